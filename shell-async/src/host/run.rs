//! One run, from its spec to the end of its record.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use quire_ci::cli::{CliError, Color, Context, RunArgs};
use quire_ci::clock;
use quire_ci::commands::run::{EarlierRun, Facts, Secrets, work_tree};
use quire_ci::git;
use quire_ci::process::{Discovered, Hands as _, Launcher, Next, Orders, end_left_behind};
use quire_ci::record::LiveRecord;
use quire_ci::workspace::Workspace;
use quire_core::engine::{Config, Engine, Input};
use quire_core::time::Mono;
use quire_core::wire::RunOutcome;
use smol::channel::Receiver;
use smol::future::{self, FutureExt as _};
use smol::lock::Semaphore;

use super::attend::timer;
use super::commands::{Commands, Room};
use super::inbox::Inbox;
use super::{HostEnded, HostRun, Stop};

/// What may wait for the disk and for git at once, over all runs: readers of the database use the same threads.
static PREPARING: Semaphore = Semaphore::new(4);
/// What may wait for the disk at its end at once.
static FINISHING: Semaphore = Semaphore::new(16);

/// Performs a run. Where there is a mistake of ours in it, the other runs go on.
pub(super) async fn perform(room: Rc<Room>, run: HostRun, stops: Receiver<Stop>) -> io::Result<HostEnded> {
    let run_id = run.run_id.clone();
    match AssertUnwindSafe(perform_whole(room, run, stops)).catch_unwind().await {
        Ok(ended) => ended,
        Err(_) => {
            smol::unblock(move || end_left_behind(&BTreeSet::from([run_id]))).await;
            Err(io::Error::other("an internal error ended the run; the server's own log has its text"))
        }
    }
}

async fn perform_whole(room: Rc<Room>, run: HostRun, stops: Receiver<Stop>) -> io::Result<HostEnded> {
    let prepared = {
        let _turn = PREPARING.acquire().await;
        smol::unblock(move || Prepared::of(run)).await.map_err(|error| io::Error::other(error.to_string()))?
    };
    let Prepared { facts, config, mut record, found, notes } = prepared;
    let inbox = Rc::new(Inbox::default());
    let workspace = facts.workspace.root.clone();
    let launcher = Launcher::new(workspace.clone(), facts.env.clone());
    let mut commands =
        Commands::new(Rc::clone(&room), Rc::clone(&inbox), facts.run_id.clone(), launcher, facts.workspace.files());
    commands.set_secrets(facts.secret_set().clone());
    commands.notes.0 = notes;
    let teller = Rc::clone(&inbox);
    let look = room.executor.spawn(async move {
        let found = match found {
            Some(found) => found,
            None => {
                let _turn = PREPARING.acquire().await;
                smol::unblock(move || work_tree(&workspace)).await
            }
        };
        teller.fact(Input::Fingerprint(found.fingerprint));
    });
    let mut driver = Driver {
        engine: Engine::new(config, clock::now()),
        orders: Orders::default(),
        commands,
        inbox,
        stops: Some(stops),
        cancelled: false,
    };
    let outcome = driver.drive(&mut record).await;
    drop(look);
    let Driver { orders, commands, cancelled, .. } = driver;
    let record_failure = orders.into_record_failure();
    let mut notes = commands.notes.0;
    let has_failed = record_failure.is_some();
    // Until its events are on the disk; its lock is free when this is done.
    let _turn = FINISHING.acquire().await;
    let finished = smol::unblock(move || record.finish(has_failed)).await;
    notes.extend(finished.behind.into_iter().chain(finished.notes));
    Ok(HostEnded { outcome, cancelled, record_failure, notes })
}

/// Everything that an engine needs, ready to go.
struct Prepared {
    facts: Facts,
    config: Config,
    record: LiveRecord,
    /// The state of the work tree, where it was looked at already.
    found: Option<Discovered>,
    notes: Vec<String>,
}

impl Prepared {
    fn of(run: HostRun) -> Result<Prepared, CliError> {
        let HostRun { run_id, dir, workspace, spec, slots, mut notes } = run;
        let request = RunArgs { slots: NonZeroU32::new(slots), ..RunArgs::default() }.request(Some(spec))?;
        let context = Context {
            program: "quire ci".to_owned(),
            workspace: Some(workspace.clone()),
            data_dir: None,
            color: Color::Never,
        };
        let explain = |error| context.explain(error);
        let secrets = Secrets::of(&request)?;
        let workspace = Workspace::at(&workspace).map_err(explain)?;
        let source = workspace.source().map_err(explain)?;
        let mut earlier = None;
        if let Some(resume) = &request.resume {
            let (found, told) = EarlierRun::find(&context, &request, resume, &workspace)?;
            earlier = found;
            notes.extend(told);
        }
        let log = dir.events()?;
        let mut record = LiveRecord::new(dir, log, None, None);
        let head = git::head(&workspace.root);
        let facts = Facts::new(&request, run_id, request.number, workspace, head, secrets);
        let mut config = facts.config(&request, source);
        let mut found = None;
        if let Some(mut earlier) = earlier {
            found = earlier.work_tree.take();
            let (files, claim) = earlier.logs();
            record.resume(files, claim);
            earlier.resume(&mut config);
        }
        Ok(Prepared { facts, config, record, found, notes })
    }
}

/// The loop around an engine, as a task among those of other runs.
struct Driver {
    engine: Engine,
    orders: Orders,
    commands: Commands,
    inbox: Rc<Inbox>,
    /// Absent once nobody can ask for the end any more.
    stops: Option<Receiver<Stop>>,
    cancelled: bool,
}

impl Driver {
    async fn drive(&mut self, record: &mut LiveRecord) -> RunOutcome {
        loop {
            let until = match self.orders.perform(&mut self.engine, record, &mut self.commands) {
                Next::Done(outcome) => return outcome,
                Next::LookUp => Some(Mono::default()),
                Next::Wait => [self.engine.next_deadline(), self.commands.deadline()].into_iter().flatten().min(),
            };
            let stop = self.wait(until).await;
            self.commands.attend();
            self.orders.report(&mut self.engine, &mut self.commands);
            if let Some(Stop::Cancel) = stop {
                self.cancel();
            }
            let now = clock::now();
            if self.engine.next_deadline().is_some_and(|at| at <= now.mono) {
                self.engine.handle(now, Input::Tick);
            }
        }
    }

    /// Waits until something happened or `until` is reached; lets the thread's other runs have their turn in any case.
    async fn wait(&mut self, until: Option<Mono>) -> Option<Stop> {
        let now = clock::now();
        if until.is_some_and(|at| at <= now.mono) {
            future::yield_now().await;
            return self.stops.as_ref()?.try_recv().ok();
        }
        let filled = async {
            self.inbox.filled().await;
            None
        };
        let asked = async {
            match &self.stops {
                Some(stops) => Some(stops.recv().await),
                None => future::pending().await,
            }
        };
        let deadline = async {
            match until {
                Some(at) => drop(timer(at, now).await),
                None => future::pending().await,
            }
            None
        };
        match filled.or(asked).or(deadline).await? {
            Ok(stop) => Some(stop),
            Err(_) => {
                self.stops = None;
                None
            }
        }
    }

    fn cancel(&mut self) {
        if self.cancelled {
            self.commands.hurry();
        }
        self.cancelled = true;
        self.engine.handle(clock::now(), Input::Cancel);
    }
}
