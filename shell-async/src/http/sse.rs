//! Server-sent events: a body that tells what a source has, as long as there is more to come.
//!
//! The body is pulled: nothing is read for a client that does not take what was read before.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Method, Response};
use serde::Serialize;
use smol::future::FutureExt as _;
use smol::stream;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::limits::Seat;
use super::respond::Call;
use super::site::Site;

/// What is told live.
pub(super) trait Source: Send + 'static {
    /// Appends what there is now, about a piece of it.
    fn pull(&mut self, told: &mut Told) -> impl Future<Output = io::Result<Pulled>> + Send;
    /// Waits until there may be more.
    fn wait(&mut self) -> impl Future<Output = ()> + Send;
}

/// Whether a source had something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulled {
    /// It had.
    Something,
    /// Not now.
    Nothing,
    /// What was told now was the last.
    All,
}

/// Events on their way.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<u8>);

/// What a viewer was not told: bytes of the stored file, readable by range.
#[derive(Debug, Serialize)]
struct Missed {
    from: u64,
    to: u64,
    bytes: u64,
}

impl Told {
    /// An event. `id` is where a viewer that comes back goes on; `data` holds no line break.
    pub(super) fn event(&mut self, id: u64, kind: Option<&str>, data: &[u8]) {
        if let Some(kind) = kind {
            self.0.extend_from_slice(b"event: ");
            self.0.extend_from_slice(kind.as_bytes());
            self.0.push(b'\n');
        }
        self.0.extend_from_slice(format!("id: {id}\ndata: ").as_bytes());
        self.0.extend_from_slice(data);
        self.0.extend_from_slice(b"\n\n");
    }

    /// An event that a viewer who comes back is told anew: it has no id. `data` holds no line break.
    pub(super) fn word(&mut self, kind: Option<&str>, data: &str) {
        if let Some(kind) = kind {
            self.0.extend_from_slice(format!("event: {kind}\n").as_bytes());
        }
        self.0.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    }

    /// An event with JSON.
    pub(super) fn json(&mut self, id: u64, kind: Option<&str>, value: &impl Serialize) {
        let data = serde_json::to_vec(value).expect("text keys only");
        self.event(id, kind, &data);
    }

    /// The viewer is not told these bytes.
    pub(super) fn missed(&mut self, from: u64, to: u64) {
        self.json(to, Some("missed"), &Missed { from, to, bytes: to.saturating_sub(from) });
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where a viewer goes on: after what it was told last.
pub(super) fn resume_at(call: &Call) -> Result<u64, Failure> {
    let wrong = |text: &str| Failure::bad(format!("{text:?} is no id that this stream gave: ids are numbers of bytes"));
    // A browser that comes back by itself keeps the query of its first request: the header is newer.
    match call.header("last-event-id").filter(|id| !id.is_empty()) {
        Some(id) => id.parse().map_err(|_| wrong(id)),
        None => Ok(call.query.number("after")?.unwrap_or(0)),
    }
}

/// The answer that tells a source.
pub(super) fn answer(call: &Call, source: impl Source, seat: Seat) -> Answer {
    let mut answer = Response::new(match call.method == Method::HEAD {
        true => answers::empty(),
        false => {
            let view = View { source, site: Arc::clone(&call.site), _seat: seat, is_over: false };
            let frames = stream::unfold(view, |mut view| async move {
                let bytes = view.next().await?;
                Some((bytes.map(|bytes| Frame::data(Bytes::from(bytes))), view))
            });
            StreamBody::new(frames).boxed_unsync()
        }
    });
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    // Proxies in front (nginx) would otherwise keep it back until they have more.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

struct View<S> {
    source: S,
    site: Arc<Site>,
    _seat: Seat,
    is_over: bool,
}

enum Woken {
    More,
    Quiet,
    Stopping,
}

impl<S: Source> View<S> {
    /// What is sent next; `None` at the end.
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        if self.is_over {
            return None;
        }
        let mut told = Told::default();
        let mut quiet = pin!(sleep(self.site.limits.heartbeat));
        loop {
            match self.source.pull(&mut told).await {
                Ok(Pulled::Something) => return Some(Ok(told.0)),
                Ok(Pulled::All) => {
                    self.is_over = true;
                    return Some(Ok(told.0));
                }
                Ok(Pulled::Nothing) => {}
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
            let more = async {
                self.source.wait().await;
                Woken::More
            };
            let is_quiet = async {
                quiet.as_mut().await;
                Woken::Quiet
            };
            let stopping = async {
                let _ = self.site.stopping.recv().await;
                Woken::Stopping
            };
            match more.or(is_quiet).or(stopping).await {
                Woken::More => {}
                Woken::Quiet => return Some(Ok(b": alive\n\n".to_vec())),
                Woken::Stopping => return None,
            }
        }
    }
}

async fn sleep(time: Duration) {
    Timer::after(time).await;
}
