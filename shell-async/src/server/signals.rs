//! Signals to the server: TERM and INT ask it to stop, HUP to read its configuration again.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use async_io::Async;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The configuration read again.
    Reload,
    /// An end.
    Stop,
}

/// Catches the signals from its making on. Children start with default actions.
#[derive(Debug)]
pub struct Signals {
    readable: Async<UnixStream>,
    delivery: Mutex<SignalDelivery<UnixStream, SignalOnly>>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Where the kernel gives no socket pair or refuses a handler.
    pub fn install() -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        let readable = Async::new(read.try_clone()?)?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGTERM, SIGINT, SIGHUP])?;
        Ok(Signals { readable, delivery: Mutex::new(delivery) })
    }

    /// Waits for the next one.
    pub async fn next(&self) -> Wanted {
        loop {
            let pending: Vec<i32> = self.delivery.lock().unwrap_or_else(PoisonError::into_inner).pending().collect();
            if pending.iter().any(|signal| *signal != SIGHUP) {
                return Wanted::Stop;
            }
            if !pending.is_empty() {
                return Wanted::Reload;
            }
            if self.readable.readable().await.is_err() {
                return Wanted::Stop;
            }
        }
    }
}
