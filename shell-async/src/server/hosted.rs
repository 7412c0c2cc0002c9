//! The runs inside this process, as the rest of the server sees them: how many there are, and a way to end them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use quire_core::ids::RunId;
use smol::channel::{self, Receiver, Sender};

use crate::host::{HostPool, Stop};

/// The pool that performs them, and which there are.
#[derive(Debug)]
pub struct Hosted {
    /// Where they are performed.
    pub pool: HostPool,
    runs: Mutex<BTreeMap<RunId, Sender<Stop>>>,
    fewer: Event,
}

/// One of them; it counts until this is dropped.
#[derive(Debug)]
pub struct Seat<'a> {
    hosted: &'a Hosted,
    run_id: RunId,
}

impl Hosted {
    /// None yet.
    pub fn new(pool: HostPool) -> Hosted {
        Hosted { pool, runs: Mutex::default(), fewer: Event::new() }
    }

    /// One more; what is asked of it arrives at the receiver.
    pub fn enter(&self, run_id: &RunId) -> (Seat<'_>, Sender<Stop>, Receiver<Stop>) {
        let (stops, arrive) = channel::unbounded();
        self.lock().insert(run_id.clone(), stops.clone());
        (Seat { hosted: self, run_id: run_id.clone() }, stops, arrive)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Asks all to end; again: at once.
    pub fn cancel_all(&self) {
        for stops in self.lock().values() {
            let _ = stops.try_send(Stop::Cancel);
        }
    }

    /// Waits until there is none.
    pub async fn none(&self) {
        loop {
            let fewer = self.fewer.listen();
            if self.count() == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Sender<Stop>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.hosted.lock().remove(&self.run_id);
        self.hosted.fewer.notify(usize::MAX);
    }
}
