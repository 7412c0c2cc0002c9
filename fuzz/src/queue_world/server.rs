//! One life of a server's shell: it tells the queue facts, and does what that orders, one by one; it may be killed in between.

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::queue::{Ask, Input, NewRun, Origin, Output, PushedRef, Queue, Request, Tip};
use quire_core::rows::RunState;

use super::agenda::Agenda;
use super::invariants::Watch;
use super::machine::{Machine, Outside};
use super::scenario::{Action, Pushed};
use super::writer::{Write, Writer, Wrote};
use crate::world::fault::Fault;
use crate::world::machine::Killed;
use crate::world::violated;

/// More steps than any life needs.
const MOST_STEPS: usize = 20_000;

/// What happens inside a server, and dies with it.
#[derive(Debug)]
enum Inside {
    /// The writer's next transaction.
    Commits,
    /// The writer answers.
    Answers(Wrote),
    /// That a run's process is gone is found out.
    Notices(RunId, RunState),
}

/// How a life ended that was not cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to stop.
    Stopped,
    /// Nothing is left to happen.
    Quiet,
}

/// A server.
#[derive(Debug)]
pub(super) struct Server<'a> {
    machine: &'a mut Machine,
    queue: Queue,
    inside: Agenda<Inside>,
    writer: Writer,
    watch: Watch,
    stopping: bool,
    /// Nothing goes wrong any more, and there is room for all.
    at_ease: bool,
    pub(super) facts: usize,
}

impl<'a> Server<'a> {
    pub(super) fn new(machine: &'a mut Machine) -> Server<'a> {
        Server {
            machine,
            queue: Queue::new(),
            inside: Agenda::new(),
            writer: Writer::default(),
            watch: Watch::default(),
            stopping: false,
            at_ease: false,
            facts: 0,
        }
    }

    /// From its start to its end. Pushes that it leaves unanswered are in the spool then.
    pub(super) fn live(&mut self) -> Result<End, Killed> {
        let end = self.start().and_then(|()| self.go_on());
        if end.is_err() {
            self.machine.tell(|| "the server is killed".to_owned());
            let asked = std::mem::take(&mut self.watch.asked);
            self.machine.spool.extend(asked.into_values().flatten());
        }
        end
    }

    /// What the store and the locks say is restored; then come the disk, the configuration, and the spool.
    fn start(&mut self) -> Result<(), Killed> {
        self.machine.tell(|| "a server starts".to_owned());
        for row in self.machine.store.rows().to_vec().into_iter().filter(|row| !row.has_ended()) {
            self.machine.point()?;
            let process = self.machine.processes.get(&row.run_id).cloned();
            let running = match process {
                Some(process) if process.gone.is_none() => true,
                Some(process) if process.begun => {
                    self.machine.store.end(&row.run_id, process.gone.flatten().unwrap_or(RunState::Failed));
                    continue;
                }
                // Its lock is free and its record is empty: it starts again.
                Some(_) | None => {
                    self.machine.processes.remove(&row.run_id);
                    false
                }
            };
            let (run_id, repo, ref_name) = (row.run_id, row.repo, row.ref_name);
            let restored = Input::Restored { run_id, repo, ref_name, number: row.number, pushed: row.pushed, running };
            self.fact(restored)?;
        }
        self.fact(Input::Disk { free_bytes: self.machine.free_bytes })?;
        self.configure()?;
        while !self.machine.spool.is_empty() {
            let push = self.machine.spool.remove(0);
            self.act(push)?;
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<End, Killed> {
        for _ in 0..MOST_STEPS {
            let is_settled = self.inside.is_empty() && self.writer.is_empty();
            if is_settled {
                self.watch.every_request_is_answered();
                self.watch.the_queue_agrees_with_the_store(&self.queue, self.machine);
                if self.stopping {
                    return Ok(End::Stopped);
                }
            }
            let (inside, outside) = (self.inside.next_ms(), self.machine.agenda.next_ms());
            if inside.is_some_and(|inside| outside.is_none_or(|outside| inside <= outside)) {
                self.machine.clock.pass_to(inside.unwrap_or(0));
                if let Some(thing) = self.inside.take() {
                    self.inside_happens(thing)?;
                }
            } else if let Some(thing) = self.machine.agenda.take() {
                self.machine.clock.pass_to(outside.unwrap_or(0));
                self.outside_happens(thing)?;
            } else if self.at_ease {
                if !self.queue.is_idle() {
                    violated("after_the_last_fault_the_world_falls_quiet", &self.queue);
                }
                return Ok(End::Quiet);
            } else {
                self.ease()?;
            }
        }
        violated("after_the_last_fault_the_world_falls_quiet", &self.queue)
    }

    /// Nothing happens any more by itself: no faults from now on, and room for all.
    fn ease(&mut self) -> Result<(), Killed> {
        self.at_ease = true;
        self.machine.plan.end();
        self.machine.free_bytes = u64::MAX;
        for policy in self.machine.repos.values_mut() {
            policy.max_runs = None;
        }
        self.configure()?;
        self.fact(Input::Disk { free_bytes: self.machine.free_bytes })
    }

    fn configure(&mut self) -> Result<(), Killed> {
        self.fact(Input::Configured { limits: self.machine.limits.clone(), repos: self.machine.repos.clone() })
    }

    fn inside_happens(&mut self, thing: Inside) -> Result<(), Killed> {
        match thing {
            Inside::Commits => {
                for wrote in self.writer.commit(self.machine)? {
                    let ms = self.machine.ms() + self.machine.late_ms();
                    self.inside.put(ms, Inside::Answers(wrote));
                }
                if !self.writer.is_empty() {
                    self.schedule_commit();
                }
                Ok(())
            }
            Inside::Answers(Wrote::Entered { ask, numbers }) => {
                self.watch.answered(ask);
                self.fact(Input::Entered { ask, numbers })
            }
            Inside::Answers(Wrote::EnterFailed { ask }) => {
                self.watch.answered(ask);
                self.fact(Input::EnterFailed { ask })
            }
            Inside::Answers(Wrote::Aborted { ask }) => {
                self.watch.answered(ask);
                Ok(())
            }
            Inside::Answers(Wrote::Ended(run_id, state)) => self.fact(Input::Ended { run_id, state }),
            Inside::Notices(run_id, state) => {
                self.write(Write::End(run_id, state));
                Ok(())
            }
        }
    }

    fn outside_happens(&mut self, thing: Outside) -> Result<(), Killed> {
        match thing {
            Outside::Acts(action) => self.act(action),
            Outside::Begins(run_id) => {
                if self.machine.begins(&run_id) {
                    self.write(Write::Begin(run_id));
                }
                Ok(())
            }
            Outside::Ends(run_id) => {
                if let Some(state) = self.machine.ends(&run_id) {
                    self.notice_later(run_id, state);
                }
                Ok(())
            }
            // It has started already.
            Outside::Starts => Ok(()),
        }
    }

    fn notice_later(&mut self, run_id: RunId, state: RunState) {
        let ms = self.machine.ms() + self.machine.exit_late_ms();
        self.inside.put(ms, Inside::Notices(run_id, state));
    }

    fn write(&mut self, write: Write) {
        if self.writer.is_empty() {
            self.schedule_commit();
        }
        self.writer.push(write);
    }

    fn schedule_commit(&mut self) {
        let ms = (self.machine.ms() + self.machine.pace.commit_ms).max(self.machine.busy_until_ms);
        self.inside.put(ms, Inside::Commits);
    }

    /// Tells the queue, and performs what it orders.
    fn fact(&mut self, input: Input) -> Result<(), Killed> {
        self.facts += 1;
        self.machine.tell(|| format!("told: {input:?}"));
        self.watch.fact(&input);
        self.queue.handle(input);
        while let Some(order) = self.queue.poll_output() {
            self.watch.order(&order, &self.queue, self.machine);
            self.machine.point()?;
            self.machine.tell(|| format!("ordered: {order:?}"));
            self.perform(order);
            self.machine.point()?;
        }
        Ok(())
    }

    fn perform(&mut self, order: Output) {
        match order {
            Output::Enter { ask, runs, superseded, verdicts: _ } => {
                if runs.is_empty() {
                    self.watch.answered(ask);
                } else {
                    self.write(Write::Enter { ask, runs, superseded });
                }
            }
            Output::Dispatch { run_id } => {
                self.machine.dispatched.insert(run_id.clone());
                let fails = |fault| matches!(fault, Fault::SpawnFails(_)).then_some(());
                if self.machine.plan.strike(fails).is_some() {
                    self.write(Write::End(run_id, RunState::Failed));
                } else {
                    self.machine.spawn(&run_id);
                }
            }
            Output::Abort { ask, run_id, by: _ } => self.write(Write::Abort { ask, run_id }),
            Output::Stop { ask, run_id, by: _ } => {
                self.machine.term(&run_id);
                if let Some(ask) = ask {
                    self.watch.answered(ask);
                }
            }
            Output::NothingToCancel { ask, run_id: _ } => self.watch.answered(ask),
        }
    }

    fn act(&mut self, action: Action) -> Result<(), Killed> {
        let ms = self.machine.clock.now().wall.ms();
        match action {
            Action::Pushes { ref repo, ref refs } => {
                let ask = self.ask(Some(action.clone()));
                let request = Request { ask, by: Some("ann".to_owned()), at_ms: ms };
                let refs = refs.iter().map(|(name, tip)| (pushed(name, *tip), self.machine.fresh_run())).collect();
                let first = self.machine.store.rows().iter().all(|row| row.repo != *repo);
                let default_branch = self.machine.default_branch(repo).map(str::to_owned);
                self.fact(Input::Pushed { request, repo: repo.clone(), first, default_branch, refs })
            }
            Action::Triggers { repo, ref_name, retry } => {
                let request = Request { ask: self.ask(None), by: None, at_ms: ms };
                let last = self.machine.store.rows().last().map(|row| row.run_id.clone());
                let origin = match last {
                    Some(of) if retry => Origin::Retry { of, failed: false },
                    _ => Origin::Trigger,
                };
                let run = NewRun {
                    run_id: self.machine.fresh_run(),
                    repo,
                    ref_name,
                    sha: "5ha".to_owned(),
                    by: None,
                    at_ms: ms,
                    origin,
                    params: BTreeMap::new(),
                    jobs: Vec::new(),
                };
                self.fact(Input::Triggered { request, run })
            }
            Action::Cancels(back) => {
                let run_id = self.machine.run_back(back);
                let request = Request { ask: self.ask(None), by: None, at_ms: ms };
                self.fact(Input::CancelWanted { request, run_id })
            }
            Action::Kills(nth) => {
                if let Some(run_id) = self.machine.kill_one(nth) {
                    self.notice_later(run_id, RunState::Failed);
                }
                Ok(())
            }
            Action::FillsDisk(full) => {
                self.machine.fill(full);
                self.fact(Input::Disk { free_bytes: self.machine.free_bytes })
            }
            Action::Configures { max_runs, repo, repo_runs } => {
                self.machine.configure(max_runs, &repo, repo_runs);
                self.configure()
            }
            Action::Restarts => {
                self.stopping = true;
                self.fact(Input::Draining)
            }
        }
    }

    fn ask(&mut self, push: Option<Action>) -> Ask {
        let ask = Ask(self.machine.fresh());
        self.watch.asked.insert(ask, push);
        ask
    }
}

fn pushed(name: &str, tip: Pushed) -> PushedRef {
    let sha = "5ha".to_owned();
    let tip = match tip {
        Pushed::Pipeline => Tip::Pipeline { sha },
        Pushed::NoPipeline => Tip::NoPipeline { sha },
        Pushed::Deleted => Tip::Deleted,
        Pushed::NoCommit => Tip::NoCommit,
    };
    PushedRef { ref_name: name.to_owned(), tip }
}
