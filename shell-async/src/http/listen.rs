//! Listening: connections are taken in, counted, and ended when the server stops.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use smol::channel::{self, Receiver, Sender};
use smol::future::{self, FutureExt as _};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::access::{self, Peer};
use super::connection::{self, Wire};
use super::credentials::{Credentials, NoCredentials};
use super::failure::Failure;
use super::limits::{Limits, Seat, Seats};
use super::router::Router;
use super::site::Site;
use crate::server::App;

/// How many that are one too many are told so at once; those beyond are only closed.
const TURNED_AWAY: usize = 64;
/// How long one that is told so may take to hear it.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is waited after a failure to accept: most often there are no descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A socket that is listened to.
#[derive(Debug)]
pub enum Listener {
    /// For browsers and scripts.
    Tcp(Async<TcpListener>),
    /// For clients on this machine, known by their user.
    Unix(Async<UnixListener>),
}

impl Listener {
    /// Takes a bound socket.
    pub fn tcp(listener: TcpListener) -> io::Result<Listener> {
        Async::new(listener).map(Listener::Tcp)
    }

    /// Takes a bound socket.
    pub fn unix(listener: UnixListener) -> io::Result<Listener> {
        Async::new(listener).map(Listener::Unix)
    }

    async fn accept(&self) -> io::Result<(Wire, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // A live view sends small pieces, each of which is wanted at once.
                let _ = stream.get_ref().set_nodelay(true);
                Ok((Wire::Tcp(stream), Peer::Tcp(from.ip().to_canonical())))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = access::socket_peer(stream.get_ref())?;
                Ok((Wire::Unix(stream), peer))
            }
        }
    }
}

/// What is about to be served.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub listeners: Vec<Listener>,
    /// Within which bounds.
    pub limits: Limits,
    /// Who knows tokens, sessions and login links.
    pub credentials: Arc<dyn Credentials>,
}

impl Listening {
    /// With the default bounds, and nobody who could sign in.
    pub fn new(listeners: Vec<Listener>) -> Listening {
        Listening { listeners, limits: Limits::default(), credentials: Arc::new(NoCredentials) }
    }

    /// Serves until `stop` is done; then takes in no more, lets answers that have begun end, and ends live views.
    pub async fn serve(self, app: Arc<App>, stop: impl Future<Output = ()>) {
        let Listening { listeners, limits, credentials } = self;
        let (running, stopping) = channel::bounded::<()>(1);
        let stop_time = limits.stop_time;
        let site = Arc::new(Site {
            app,
            credentials,
            limits,
            router: Router::new(),
            connections: Seats::default(),
            event_viewers: Seats::default(),
            log_viewers: Seats::default(),
            answered: Default::default(),
            repo_list: Default::default(),
            pages: Default::default(),
            stopping,
        });
        // Every connection holds an end of each: the one is closed to abort them, the other once all are gone.
        let (going_on, abort) = channel::bounded::<()>(1);
        let (alive, all_gone) = channel::bounded::<()>(1);
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| smol::spawn(accept(listener, Arc::clone(&site), abort.clone(), alive.clone())))
            .collect();
        drop(alive);
        stop.await;
        for task in accepting {
            task.cancel().await;
        }
        drop(running);
        let gone = async {
            let _ = all_gone.recv().await;
        };
        gone.or(wait(stop_time)).await;
        drop(going_on);
    }
}

/// [`Listening::serve`] with the default bounds.
pub async fn serve(app: Arc<App>, listeners: Vec<Listener>, stop: impl Future<Output = ()>) {
    Listening::new(listeners).serve(app, stop).await;
}

async fn accept(listener: Listener, site: Arc<Site>, abort: Receiver<()>, alive: Sender<()>) {
    let turned_away = Seats::default();
    loop {
        let Ok((wire, peer)) = listener.accept().await else {
            wait(ACCEPT_AGAIN).await;
            continue;
        };
        let Some(seat) = site.connections.take(site.limits.connections) else {
            site.answered.count(503);
            if let Some(seat) = turned_away.take(TURNED_AWAY) {
                smol::spawn(turn_away(wire, seat)).detach();
            }
            continue;
        };
        let (site, abort, alive) = (Arc::clone(&site), abort.clone(), alive.clone());
        smol::spawn(async move {
            let aborted = async {
                let _ = abort.recv().await;
            };
            connection::serve(site, wire, peer).or(aborted).await;
            drop((seat, alive));
        })
        .detach();
    }
}

/// Says that there is no room. What the client sent is read: closing over it would take the answer away again.
async fn turn_away(mut wire: Wire, _seat: Seat) {
    let farewell = async {
        wire.write_all(&farewell()).await?;
        wire.shutdown();
        let mut sink = [0; 4096];
        for _ in 0..16 {
            if wire.read(&mut sink).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let late = async {
        wait(FAREWELL).await;
        Ok(())
    };
    let _ = future::or(farewell, late).await;
}

async fn wait(time: Duration) {
    Timer::after(time).await;
}

/// The whole answer to one connection too many.
fn farewell() -> Vec<u8> {
    let detail = "the server has as many connections as it takes: try again in a few seconds, close live views";
    let (_, _, problem) = Failure::unavailable(detail).into_parts();
    let body = serde_json::to_string(&problem).expect("text keys only");
    let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
        content-type: application/problem+json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
