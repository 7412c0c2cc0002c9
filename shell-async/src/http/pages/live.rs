//! The live view of a page: a stream that tells which version of what it shows there is now.
//!
//! A page and its live view have one address. The version is told at once, also to who comes back, and whenever it changes: a
//! page that is of another fetches itself anew. Nothing is remembered of viewers, so nothing can be missed.

use std::time::Duration;

use async_io::Timer;
use smol::future::FutureExt as _;

use super::super::answers::Answer;
use super::super::failure::Failure;
use super::super::limits::Seat;
use super::super::respond::Call;
use super::super::sse::{self, Pulled, Source, Told};
use super::super::tail::Follow;

/// Changes within this time are told as one.
const APART: Duration = Duration::from_millis(100);

/// What a page shows, as far as its live view goes.
pub(super) trait Version: Send + 'static {
    /// The version now, in letters, digits and what needs no escape in an attribute; whether it is the last. `None` where it
    /// cannot be told now.
    fn now(&mut self) -> impl Future<Output = Option<(String, bool)>> + Send;
}

/// Tells the versions of a page. Rows are looked at when they change, and what `other` follows, where there is such.
pub(super) fn answer(call: &Call, version: impl Version, other: Option<Follow>, seat: Seat) -> Answer {
    // Rows change, whoever writes them, in the database's files.
    let rows = Follow::new(&call.site.app.watcher, call.site.app.data.path());
    sse::answer(call, Bell { version, rows, other, told: None }, seat)
}

/// A seat for a viewer of a page.
pub(super) fn seat(call: &Call) -> Result<Seat, Failure> {
    let seat = call.site.event_viewers.take(call.site.limits.event_viewers);
    seat.ok_or_else(|| Failure::unavailable("as many watch pages as the server allows: reload to see what is new"))
}

struct Bell<V> {
    version: V,
    rows: Follow,
    other: Option<Follow>,
    told: Option<String>,
}

impl<V: Version> Source for Bell<V> {
    async fn pull(&mut self, told: &mut Told) -> std::io::Result<Pulled> {
        let Some((version, is_last)) = self.version.now().await else { return Ok(Pulled::Nothing) };
        if is_last {
            told.word(Some("end"), &version);
            return Ok(Pulled::All);
        }
        if self.told.as_ref() == Some(&version) {
            return Ok(Pulled::Nothing);
        }
        told.word(None, &version);
        self.told = Some(version);
        Ok(Pulled::Something)
    }

    async fn wait(&mut self) {
        let other = async {
            match &mut self.other {
                Some(other) => other.changed().await,
                None => std::future::pending().await,
            }
        };
        self.rows.changed().or(other).await;
        Timer::after(APART).await;
    }
}
