//! The owner of the queue: the one task that tells the machine what happened and performs what it orders.
//!
//! Requests come from the desk, facts from the tasks that perform orders. A request is answered once what it caused is in the
//! database. What takes time (git, the database, a run) happens in tasks of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use quire_ci::store::{NotRunRecord, StoreError};
use quire_core::ids::RunId;
use quire_core::queue::{Ask, Input, NewRun, NotRun, Output, Queue, Request, StoppedBy, Verdict};
use quire_core::rows::RunState;
use smol::channel::{self, Receiver, Sender};

use super::app::App;
use super::desk::{DeskAsk, Refused, Waiting};
use super::executor::{self, Executors};
use super::gather::{self, GatheredPush, PushOrder};
use crate::api::{Cancelled, PushAnswer, PushedRef, QueuedRun};
use crate::http::run_url;

/// A fact for the owner.
#[derive(Debug)]
pub enum Fact {
    /// For the machine as it is.
    Queue(Input),
    /// What git and the database know of a push.
    Push(GatheredPush),
    /// A run is to be entered; its repository and commit exist.
    Run {
        /// What.
        run: NewRun,
        /// Gets the run.
        reply: Sender<Result<QueuedRun, Refused>>,
    },
    /// An entry was written, or not.
    Entered {
        /// The request.
        ask: Ask,
        /// The numbers of its runs.
        numbers: Result<Vec<u64>, StoreError>,
    },
    /// A waiting run's end was written.
    Aborted {
        /// The request.
        ask: Ask,
        /// The run.
        run_id: RunId,
    },
    /// A run that goes on since before this server.
    Adopt {
        /// The run.
        run_id: RunId,
        /// Who holds its lock, where its file tells.
        holder: Option<quire_ci::record::Holder>,
    },
    /// No more runs inside this process: those that are there are asked to end.
    EndHostRuns,
}

/// Who waits for what a request causes.
enum Asker {
    Push {
        repo: String,
        by: Option<String>,
        pushed_at_ms: i64,
        verdicts: Vec<Verdict>,
        reply: Sender<Result<PushAnswer, Refused>>,
    },
    Run {
        reply: Sender<Result<QueuedRun, Refused>>,
    },
    Cancel {
        reply: Sender<Result<Cancelled, Refused>>,
    },
}

/// A dispatched run.
struct Going {
    stops: Sender<()>,
    stopped: bool,
}

/// The owner.
pub struct Owner {
    app: Arc<App>,
    executors: Executors,
    queue: Queue,
    asks: Receiver<DeskAsk>,
    facts: (Sender<Fact>, Receiver<Fact>),
    next_ask: u64,
    askers: BTreeMap<Ask, Asker>,
    /// Entries on their way to the database: their runs.
    entries: BTreeMap<Ask, Vec<RunId>>,
    numbers: BTreeMap<RunId, u64>,
    going: BTreeMap<RunId, Going>,
    /// One worker a repository: its pushes are looked at in the order in which they came.
    gatherers: BTreeMap<String, Sender<PushOrder>>,
}

impl Owner {
    /// Of a queue that is empty so far; `asks` is where the desk's requests arrive.
    pub fn new(executors: Executors, asks: Receiver<DeskAsk>) -> Owner {
        Owner {
            app: Arc::clone(&executors.app),
            executors,
            queue: Queue::new(),
            asks,
            facts: channel::unbounded(),
            next_ask: 1,
            askers: BTreeMap::new(),
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            going: BTreeMap::new(),
            gatherers: BTreeMap::new(),
        }
    }

    /// Where facts are told.
    pub fn facts(&self) -> Sender<Fact> {
        self.facts.0.clone()
    }

    /// Goes on for as long as the server does.
    pub async fn run(mut self) {
        enum Next {
            Ask(DeskAsk),
            Fact(Fact),
        }
        loop {
            let (asks, facts) = (self.asks.clone(), self.facts.1.clone());
            let ask = async { asks.recv().await.map(Next::Ask) };
            let fact = async { facts.recv().await.map(Next::Fact) };
            // Facts first: what has happened frees places.
            match smol::future::or(fact, ask).await {
                Ok(Next::Ask(ask)) => self.on_ask(ask),
                Ok(Next::Fact(fact)) => self.on_fact(fact),
                Err(_) => return,
            }
            self.perform();
            // Where more has happened already, it is told with it.
            if self.facts.1.is_empty() && self.asks.is_empty() {
                self.publish();
            }
        }
    }

    fn request(&mut self, by: Option<String>, at_ms: i64, asker: Asker) -> Request {
        let ask = Ask(self.next_ask);
        self.next_ask += 1;
        self.askers.insert(ask, asker);
        Request { ask, by, at_ms }
    }

    fn on_ask(&mut self, ask: DeskAsk) {
        match ask {
            DeskAsk::Push { event, reply } => {
                let order = PushOrder { event, reply };
                let (app, facts) = (&self.app, &self.facts.0);
                let gatherer = self.gatherers.entry(order.event.repo.clone());
                let gatherer = gatherer.or_insert_with(|| gather::worker(Arc::clone(app), facts.clone()));
                // The worker lives as long as this end of its channel.
                let _ = gatherer.try_send(order);
            }
            DeskAsk::Trigger { request, by, reply } => {
                let (app, facts) = (Arc::clone(&self.app), self.facts());
                smol::spawn(async move {
                    match gather::trigger(&app, request, by).await {
                        Ok(run) => {
                            let _ = facts.try_send(Fact::Run { run, reply });
                        }
                        Err(refused) => {
                            let _ = reply.try_send(Err(refused));
                        }
                    }
                })
                .detach();
            }
            DeskAsk::Retry { run_id, request, by, reply } => {
                let (app, facts) = (Arc::clone(&self.app), self.facts());
                smol::spawn(async move {
                    match gather::retry(&app, run_id, request, by).await {
                        Ok(run) => {
                            let _ = facts.try_send(Fact::Run { run, reply });
                        }
                        Err(refused) => {
                            let _ = reply.try_send(Err(refused));
                        }
                    }
                })
                .detach();
            }
            DeskAsk::Cancel { run_id, by, reply } => {
                let request = self.request(by, now_ms(), Asker::Cancel { reply });
                self.queue.handle(Input::CancelWanted { request, run_id });
            }
        }
    }

    fn on_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Queue(input) => {
                match &input {
                    Input::Restored { run_id, number, .. } => {
                        self.numbers.insert(run_id.clone(), *number);
                    }
                    Input::Ended { run_id, state } => {
                        self.app.desk.count_ended(*state);
                        self.numbers.remove(run_id);
                        self.going.remove(run_id);
                    }
                    _ => {}
                }
                self.queue.handle(input);
            }
            Fact::Push(push) => {
                let asker = Asker::Push {
                    repo: push.repo.clone(),
                    by: push.by.clone(),
                    pushed_at_ms: push.at_ms,
                    verdicts: Vec::new(),
                    reply: push.reply,
                };
                let request = self.request(push.by, now_ms(), asker);
                self.queue.handle(Input::Pushed {
                    request,
                    repo: push.repo,
                    first: push.first,
                    default_branch: push.default_branch,
                    refs: push.refs,
                });
            }
            Fact::Run { run, reply } => {
                let request = self.request(run.by.clone(), run.at_ms, Asker::Run { reply });
                self.queue.handle(Input::Triggered { request, run });
            }
            Fact::Entered { ask, numbers } => self.on_entered(ask, numbers),
            Fact::Aborted { ask, run_id } => {
                self.numbers.remove(&run_id);
                self.app.desk.count_ended(RunState::Aborted);
                self.answer_cancel(ask, Ok(Cancelled { id: run_id.to_string(), state: "aborted".to_owned() }));
            }
            Fact::Adopt { run_id, holder } => {
                let stops = self.going(&run_id);
                let (executors, facts) = (self.executors.clone(), self.facts());
                smol::spawn(async move {
                    let state = executors.adopt(run_id.clone(), holder, stops).await;
                    let _ = facts.try_send(Fact::Queue(Input::Ended { run_id, state }));
                })
                .detach();
            }
            Fact::EndHostRuns => self.executors.hosted.cancel_all(),
        }
    }

    fn on_entered(&mut self, ask: Ask, numbers: Result<Vec<u64>, StoreError>) {
        let Some(runs) = self.entries.remove(&ask) else { return };
        match numbers {
            Ok(numbers) => {
                self.numbers.extend(runs.iter().cloned().zip(numbers.iter().copied()));
                self.queue.handle(Input::Entered { ask, numbers });
                // What starts now is known before the asker is told why its run waits.
                self.perform();
                self.answer_entry(ask, &runs);
            }
            Err(error) => {
                self.queue.handle(Input::EnterFailed { ask });
                let refused = Refused::Unavailable(format!("the database does not take it: {error}"));
                match self.askers.remove(&ask) {
                    Some(Asker::Push { reply, .. }) => drop(reply.try_send(Err(refused))),
                    Some(Asker::Run { reply }) => drop(reply.try_send(Err(refused))),
                    Some(Asker::Cancel { .. }) | None => {}
                }
            }
        }
    }

    fn answer_entry(&mut self, ask: Ask, runs: &[RunId]) {
        match self.askers.remove(&ask) {
            Some(Asker::Push { repo, verdicts, reply, .. }) => {
                let refs = verdicts.into_iter().map(|verdict| self.pushed_ref(&repo, verdict)).collect();
                let _ = reply.try_send(Ok(PushAnswer { refs }));
            }
            Some(Asker::Run { reply }) => {
                if let Some(run) = runs.first() {
                    let _ = reply.try_send(Ok(self.queued_run(run)));
                }
            }
            Some(Asker::Cancel { .. }) | None => {}
        }
    }

    fn pushed_ref(&self, repo: &str, verdict: Verdict) -> PushedRef {
        let Verdict { ref_name, sha, run } = verdict;
        let (run, not_run, trigger) = match run {
            Ok(run_id) => (Some(self.queued_run(&run_id)), None, None),
            Err(why) => (None, Some(why.to_string()), why.line(repo, &ref_name)),
        };
        PushedRef { ref_name, sha, run, not_run, trigger }
    }

    fn queued_run(&self, run_id: &RunId) -> QueuedRun {
        QueuedRun {
            id: run_id.to_string(),
            number: self.numbers.get(run_id).copied().unwrap_or(0),
            url: run_url(&self.app.settings.now(), run_id),
            waits: self.queue.why(run_id).filter(|_| !self.going.contains_key(run_id)).map(|why| why.to_string()),
        }
    }

    fn answer_cancel(&mut self, ask: Ask, answer: Result<Cancelled, Refused>) {
        if let Some(Asker::Cancel { reply }) = self.askers.remove(&ask) {
            let _ = reply.try_send(answer);
        }
    }

    /// Performs what the queue orders until it has nothing more to say.
    fn perform(&mut self) {
        while let Some(output) = self.queue.poll_output() {
            match output {
                Output::Enter { ask, runs, superseded, verdicts } => self.enter(ask, runs, superseded, verdicts),
                Output::Dispatch { run_id } => self.dispatch(run_id),
                Output::Abort { ask, run_id, by } => self.abort(ask, run_id, by),
                Output::Stop { ask, run_id, by } => self.stop(ask, run_id, by),
                Output::NothingToCancel { ask, run_id } => {
                    let told = format!("run {run_id} is neither waiting nor going on: there is nothing to cancel");
                    self.answer_cancel(ask, Err(Refused::Conflict(told)));
                }
            }
        }
    }

    fn enter(&mut self, ask: Ask, runs: Vec<NewRun>, superseded: Vec<(RunId, RunId)>, verdicts: Vec<Verdict>) {
        let repo = match self.askers.get_mut(&ask) {
            Some(Asker::Push { repo, verdicts: kept, .. }) => {
                kept.clone_from(&verdicts);
                repo.clone()
            }
            _ => runs.first().map(|run| run.repo.clone()).unwrap_or_default(),
        };
        for (run_id, _) in &superseded {
            self.numbers.remove(run_id);
            self.app.desk.count_ended(RunState::Superseded);
        }
        self.entries.insert(ask, runs.iter().map(|run| run.run_id.clone()).collect());
        let (by, pushed_at_ms) = match self.askers.get(&ask) {
            Some(Asker::Push { by, pushed_at_ms, .. }) => (by.clone(), Some(*pushed_at_ms)),
            Some(Asker::Run { .. } | Asker::Cancel { .. }) | None => (None, None),
        };
        let (not_run, facts) = (not_run(&repo, by, verdicts), self.facts());
        // Handed over here and not by a task: entries are written in the order in which they were ordered.
        self.app.writer().write(
            move |rows| {
                let numbers = rows.enter(&runs, &superseded, &not_run)?;
                if let Some(pushed_at_ms) = pushed_at_ms {
                    let runs: Vec<RunId> = runs.into_iter().map(|run| run.run_id).collect();
                    rows.note_pushed(&runs, pushed_at_ms)?;
                }
                Ok(numbers)
            },
            move |numbers| {
                let _ = facts.try_send(Fact::Entered { ask, numbers });
            },
        );
    }

    fn going(&mut self, run_id: &RunId) -> Receiver<()> {
        let (stops, stopped) = channel::unbounded();
        self.going.insert(run_id.clone(), Going { stops, stopped: false });
        stopped
    }

    fn dispatch(&mut self, run_id: RunId) {
        let stops = self.going(&run_id);
        let (executors, facts) = (self.executors.clone(), self.facts());
        smol::spawn(async move {
            let state = executors.dispatch(run_id.clone(), stops).await;
            let _ = facts.try_send(Fact::Queue(Input::Ended { run_id, state }));
        })
        .detach();
    }

    fn abort(&mut self, ask: Ask, run_id: RunId, by: Option<String>) {
        let (app, facts) = (Arc::clone(&self.app), self.facts());
        smol::spawn(async move {
            executor::abort(&app, &run_id, by.as_deref()).await;
            let _ = facts.try_send(Fact::Aborted { ask, run_id });
        })
        .detach();
    }

    fn stop(&mut self, ask: Option<Ask>, run_id: RunId, by: StoppedBy) {
        let by = match by {
            StoppedBy::Person(by) => by,
            StoppedBy::Run(run) => Some(format!("run {}", self.numbers.get(&run).copied().unwrap_or(0))),
        };
        let state = match self.going.get_mut(&run_id) {
            Some(going) => {
                let _ = going.stops.try_send(());
                if std::mem::replace(&mut going.stopped, true) { "hurried" } else { "ending" }
            }
            None => "ending",
        };
        if let Some(ask) = ask {
            self.answer_cancel(ask, Ok(Cancelled { id: run_id.to_string(), state: state.to_owned() }));
        }
        let (app, by) = (Arc::clone(&self.app), by.unwrap_or_else(|| "somebody".to_owned()));
        smol::spawn(async move {
            if let Err(error) = app.write(move |rows| rows.note_stop(&run_id, &by)).await {
                app.behind(&error);
            }
        })
        .detach();
    }

    fn publish(&self) {
        let reasons = self.queue.waiting().map(|run| (run.run_id.clone(), run.why.to_string())).collect();
        let repos = self.queue.counts().into_iter().map(|(repo, counts)| {
            let count = |runs: usize| u64::try_from(runs).unwrap_or(u64::MAX);
            (repo.to_owned(), (count(counts.waiting), count(counts.running)))
        });
        let halted = self.queue.halted().map(|why| why.to_string());
        if self.app.desk.publish(Waiting { reasons, repos: repos.collect(), halted }) {
            // Who watches rows is told: reasons change without a row.
            self.app.watcher.poke(self.app.data.path());
        }
    }
}

/// What is noted of the refs of a push that got no run; a deleted one is nothing that could run.
fn not_run(repo: &str, by: Option<String>, verdicts: Vec<Verdict>) -> Vec<NotRunRecord> {
    let at_ms = now_ms();
    let noted = verdicts.into_iter().filter_map(|Verdict { ref_name, sha, run }| match run {
        Ok(_) | Err(NotRun::Deleted) => None,
        Err(why) => {
            let reason = why.explain(repo, &ref_name);
            Some(NotRunRecord { repo: repo.to_owned(), ref_name, sha, at_ms, by: by.clone(), reason })
        }
    });
    noted.collect()
}

fn now_ms() -> i64 {
    quire_ci::clock::now().wall.ms()
}
