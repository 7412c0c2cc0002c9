//! What is kept and what goes: workspaces after their runs, logs by age and size, and what makes room where disk is short.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use quire_ci::record::RunFiles;
use quire_ci::store::{QueuedRun, Store};
use quire_core::config::Keep;
use quire_core::queue::Input;
use quire_core::rows::RunState;
use smol::Timer;
use smol::channel::Sender;

use super::app::App;
use super::hosted::Hosted;
use super::owner::Fact;
use super::workspaces;

/// How often the free room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often old logs are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// A run has ended: its workspace goes, unless it failed and such are kept; then the one that was kept for its ref before goes.
pub async fn after_run(app: &Arc<App>, run: &QueuedRun, files: &RunFiles, state: RunState, keep: Keep) {
    let kept = keep.keeps(state);
    let (theirs, ended, files) = (Arc::clone(app), run.clone(), files.clone());
    let done = smol::unblock(move || {
        if kept {
            remove_older(&theirs, &ended)?;
        } else {
            workspaces::remove(&files).map_err(|error| error.to_string())?;
        }
        // For the next run of the repository; one that is gone meanwhile needs none.
        let has_room = free_bytes(&theirs)? >= theirs.settings.now().min_free_bytes;
        if let Ok(repo) = theirs.repo_path(&ended.repo)
            && has_room
            && let Err(error) = theirs.spares.make(&ended.repo, &repo, &ended.sha)
        {
            theirs.notice(&format!("no workspace of {} could be made ahead: {error}", ended.repo));
        }
        Ok::<_, String>(quire_ci::record::disk_bytes(files.path()))
    })
    .await;
    let bytes = match done {
        Ok(bytes) => bytes,
        Err(error) => return app.notice(&format!("a workspace of {} stays: {error}", run.repo)),
    };
    let run_id = run.run_id.clone();
    let noted = app.write(move |rows| {
        rows.note_disk_bytes(&run_id, bytes)?;
        rows.note_workspace(&run_id, kept)
    });
    if let Err(error) = noted.await {
        app.behind(&error);
    }
}

/// Removes the workspaces that earlier runs of the ref have left; not one that a run which waits will take over.
fn remove_older(app: &App, ended: &QueuedRun) -> Result<(), String> {
    let mut store = Store::open(&app.data.database()).map_err(|error| error.to_string())?;
    let needed = store.needed_by_open_runs().map_err(|error| error.to_string())?;
    let older = store.kept_workspaces_of_ref(&ended.repo, ended.ref_name.as_deref());
    for older in older.map_err(|error| error.to_string())? {
        let run_id = older.row.run_id;
        if run_id != ended.run_id && !needed.contains(&run_id) {
            app.data.remove_workspace(&mut store, &run_id).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Looks around for as long as the server lives: ends orphans that nobody knows, tells the queue how much room there is, and
/// where it is short, removes kept workspaces, oldest first.
pub async fn watch_disk(app: Arc<App>, hosted: Arc<Hosted>, facts: Sender<Fact>) {
    loop {
        let (host, theirs) = (Arc::clone(&hosted), Arc::clone(&app));
        smol::unblock(move || {
            theirs.askers.expire();
            // Children of the first thread are orphans: the server starts none there itself.
            host.pool.end_strays(|pid| theirs.askers.has(pid))
        })
        .await;
        look_at_disk(&app, &facts).await;
        Timer::after(LOOK_EVERY).await;
    }
}

/// Tells the queue how much room there is, after some was made where it is short.
pub async fn look_at_disk(app: &Arc<App>, facts: &Sender<Fact>) {
    let (theirs, needed) = (Arc::clone(app), app.settings.now().min_free_bytes);
    match smol::unblock(move || make_room(&theirs, needed)).await {
        Ok(free_bytes) => drop(facts.send(Fact::Queue(Input::Disk { free_bytes })).await),
        Err(error) => app.notice(&error),
    }
}

fn make_room(app: &App, needed: u64) -> Result<u64, String> {
    let free = free_bytes(app)?;
    if free >= needed {
        return Ok(free);
    }
    app.spares.clear().map_err(|error| format!("workspaces made ahead cannot be removed: {error}"))?;
    let mut store = Store::open(&app.data.database()).map_err(|error| error.to_string())?;
    let enough = || free_bytes(app).is_ok_and(|free| free >= needed);
    let removed = app.data.remove_workspaces(&mut store, &enough).map_err(|error| error.to_string())?;
    for run_id in removed {
        app.notice(&format!("disk is short: the workspace of run {run_id} was removed"));
    }
    free_bytes(app)
}

fn free_bytes(app: &App) -> Result<u64, String> {
    let path = app.data.path();
    let stat = rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Removes old logs for as long as the server lives.
pub async fn prune(app: Arc<App>) {
    loop {
        let theirs = Arc::clone(&app);
        let pruned = smol::unblock(move || {
            let keep = theirs.settings.now().logs;
            let mut store = Store::open(&theirs.data.database()).map_err(|error| error.to_string())?;
            let now_ms = quire_ci::clock::now().wall.ms();
            let pruned = theirs.data.prune_logs(&mut store, &keep, now_ms, false, &|| false);
            pruned.map_err(|error| error.to_string())
        })
        .await;
        match pruned {
            Ok(pruned) => pruned.problems.iter().for_each(|problem| app.notice(problem)),
            Err(error) => app.notice(&format!("old logs cannot be removed: {error}")),
        }
        Timer::after(PRUNE_EVERY).await;
    }
}

/// Removes the file of a socket that nobody listens to any more.
pub fn remove_socket(path: &std::path::Path) {
    let _ = fs::remove_file(path);
}
