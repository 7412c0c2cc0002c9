//! One connection: its bytes, and a client's patience.

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncWrite};
use smol_hyper::rt::{FuturesIo, SmolTimer};

use super::access::Peer;
use super::respond;
use super::site::Site;

/// What a connection may hold of what it reads and of what it is to write.
const BUFFER: usize = 64 << 10;

/// A connection's two directions.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(Async<TcpStream>),
    Unix(Async<UnixStream>),
}

impl Wire {
    /// Nothing more will be written.
    pub(super) fn shutdown(&self) {
        // Fails where the client is gone, which is as well.
        let _ = match self {
            Wire::Tcp(stream) => stream.get_ref().shutdown(Shutdown::Write),
            Wire::Unix(stream) => stream.get_ref().shutdown(Shutdown::Write),
        };
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(site: Arc<Site>, wire: Wire, peer: Peer) {
    let peer = Arc::new(peer);
    let stopping = site.stopping.clone();
    let limits = site.limits.clone();
    let service = service_fn(move |request| {
        let (site, peer) = (Arc::clone(&site), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(respond::respond(site, peer, request).await) }
    });
    let wire = FuturesIo::new(Patient { wire, patience: limits.write_time, stalled: None });
    let mut builder = http1::Builder::new();
    builder
        .timer(SmolTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(BUFFER.max(limits.header_bytes))
        .max_header_size(limits.header_bytes)
        .max_headers(limits.headers);
    let mut connection = pin!(builder.serve_connection(wire, service));
    let stopped = async {
        let _ = stopping.recv().await;
        None
    };
    // An error here is the client's: it went away, or spoke no HTTP.
    let ended = async { Some(connection.as_mut().await) }.or(stopped).await;
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// A wire whose client may take nothing for so long and no longer.
#[derive(Debug)]
struct Patient {
    wire: Wire,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Timer>,
}

impl Patient {
    /// Passes on how a write went, unless it waits for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, went: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if went.is_ready() {
            self.stalled = None;
            return went;
        }
        let timer = self.stalled.get_or_insert_with(|| Timer::after(self.patience));
        ready!(timer.poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of what is sent")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let went = Pin::new(&mut this.wire).poll_write(cx, buf);
        this.judge(cx, went)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let went = Pin::new(&mut this.wire).poll_write_vectored(cx, bufs);
        this.judge(cx, went)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let went = Pin::new(&mut this.wire).poll_flush(cx);
        this.judge(cx, went)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_close(cx)
    }
}

macro_rules! either {
    ($wire:expr, $stream:ident => $do:expr) => {
        match $wire {
            Wire::Tcp($stream) => $do,
            Wire::Unix($stream) => $do,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_close(cx))
    }
}
