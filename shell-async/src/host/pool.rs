//! The threads on which runs are performed, away from the one that serves; and what becomes of orphans that no run is known by.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_io::Timer;
use quire_ci::process::Strays;
use smol::channel::{self, Receiver, Sender};

use super::commands::Room;
use super::run::perform;
use super::{HostEnded, HostRun, Stop};

/// How often orphans that have ended are reaped.
const REAP_EVERY: Duration = Duration::from_secs(10);

/// Performs runs on threads of its own. Dropped, it takes no more; those that go on go on.
#[derive(Debug)]
pub struct HostPool {
    lanes: Vec<Lane>,
    strays: Arc<Mutex<Strays>>,
}

/// One thread.
#[derive(Debug)]
struct Lane {
    orders: Sender<Order>,
    /// Runs given to it that have not ended.
    active: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Order {
    run: HostRun,
    stops: Receiver<Stop>,
    ended: Sender<io::Result<HostEnded>>,
}

impl HostPool {
    /// So many threads, at least one.
    ///
    /// # Errors
    /// Where the machine gives no thread.
    pub fn new(threads: usize) -> io::Result<HostPool> {
        let strays = Arc::new(Mutex::new(Strays::default()));
        let lanes = (0..threads.max(1)).map(|number| Lane::start(number, (number == 0).then(|| Arc::clone(&strays))));
        Ok(HostPool { lanes: lanes.collect::<io::Result<_>>()?, strays })
    }

    /// Starts a run at once, on the thread that has fewest. Awaited, what it returns tells how the run ended; dropped, it changes
    /// nothing about the run.
    pub fn start(
        &self,
        run: HostRun,
        stops: Receiver<Stop>,
    ) -> impl Future<Output = io::Result<HostEnded>> + Send + 'static + use<> {
        let (ended, wait) = channel::bounded(1);
        let lane = self.lanes.iter().min_by_key(|lane| lane.active.load(Ordering::Relaxed));
        if let Some(lane) = lane {
            lane.active.fetch_add(1, Ordering::Relaxed);
            // Where its thread has ended, nobody answers either.
            let _ = lane.orders.try_send(Order { run, stops, ended });
        }
        async move {
            let gone = |_| Err(io::Error::other("the thread that performs runs has ended"));
            wait.recv().await.unwrap_or_else(gone)
        }
    }

    /// How many runs go on.
    pub fn active(&self) -> usize {
        self.lanes.iter().map(|lane| lane.active.load(Ordering::Relaxed)).sum()
    }

    /// Asks orphans to end that left their run's groups and environment, and kills those that it had asked at the last call:
    /// children of this process's first thread that `is_own` does not know by their pid. While a run goes on, it does nothing.
    /// How many there were.
    pub fn end_strays(&self, is_own: impl Fn(u32) -> bool) -> usize {
        match self.active() {
            0 => self.strays.lock().unwrap_or_else(PoisonError::into_inner).end(is_own),
            _ => 0,
        }
    }
}

impl Lane {
    fn start(number: usize, strays: Option<Arc<Mutex<Strays>>>) -> io::Result<Lane> {
        let (orders, arrive) = channel::unbounded();
        let active = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&active);
        thread::Builder::new().name(format!("host-{number}")).spawn(move || {
            let room = Rc::new(Room::new());
            async_io::block_on(room.executor.run(serve(&room, arrive, &theirs, strays)));
        })?;
        Ok(Lane { orders, active })
    }
}

/// Performs what arrives, until nothing more can and all has ended.
async fn serve(
    room: &Rc<Room>,
    arrive: Receiver<Order>,
    active: &Arc<AtomicUsize>,
    strays: Option<Arc<Mutex<Strays>>>,
) {
    let _reaping = strays.map(|strays| room.executor.spawn(reap(strays)));
    let mut tasks: Vec<smol::Task<()>> = Vec::new();
    while let Ok(Order { run, stops, ended }) = arrive.recv().await {
        let (theirs, active) = (Rc::clone(room), Arc::clone(active));
        tasks.retain(|task| !task.is_finished());
        tasks.push(room.executor.spawn(async move {
            let how = perform(theirs, run, stops).await;
            active.fetch_sub(1, Ordering::Relaxed);
            // Nobody may listen any more.
            let _ = ended.try_send(how);
        }));
    }
    for task in tasks {
        task.await;
    }
}

async fn reap(strays: Arc<Mutex<Strays>>) {
    loop {
        Timer::after(REAP_EVERY).await;
        strays.lock().unwrap_or_else(PoisonError::into_inner).reap();
    }
}
