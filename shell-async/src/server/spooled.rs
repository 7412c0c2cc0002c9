//! Takes in the pushes that were left in the spool: at the start, and whenever one is left there later.

use std::sync::Arc;

use quire_ci::store::StoreError;

use super::app::App;
use super::desk::Refused;
use crate::api::PushEvent;
use crate::spool::Spool;

/// Takes in what is there and what comes, for as long as the server lives.
pub async fn take_in(app: Arc<App>) {
    let spool = Spool::of(app.data.path());
    let mut watch = app.watcher.watch(&spool.dir);
    loop {
        let reading = spool.clone();
        let found = smol::unblock(move || reading.take().collect::<Vec<_>>()).await;
        for (path, event) in found {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    app.notice(&error.to_string());
                    continue;
                }
            };
            let event = match untaken(&app, event).await {
                Ok(event) => event,
                Err(error) => {
                    app.notice(&format!("pushes wait in the spool: {error}"));
                    break;
                }
            };
            match app.desk.push(event.clone()).await {
                // The event stays, and is taken in again.
                Err(Refused::Unavailable(why)) => {
                    app.notice(&format!("a push to {} waits in the spool: {why}", event.repo));
                    break;
                }
                Err(refused) => app.notice(&format!("a push to {} that was left in the spool: {refused}", event.repo)),
                Ok(_) => {}
            }
            if let Err(error) = spool.done(&path) {
                app.notice(&error.to_string());
            }
        }
        watch.changed().await;
    }
}

/// The push less the refs that have their run: it may have been taken in, and only the answer, or the removal of its file, was
/// lost.
async fn untaken(app: &App, event: PushEvent) -> Result<PushEvent, StoreError> {
    app.readers
        .ask(move |store| {
            let mut refs = Vec::new();
            for change in event.refs {
                if !store.has_push(&event.repo, &change.ref_name, &change.after, event.at_ms)? {
                    refs.push(change);
                }
            }
            Ok(PushEvent { refs, ..event })
        })
        .await
}
