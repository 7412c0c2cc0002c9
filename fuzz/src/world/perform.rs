//! Performing one order.

use std::collections::BTreeMap;

use quire_core::capture::{Capture, CaptureSpec, Captured, Tap};
use quire_core::engine::{Answer, Ask, CommandSpec, Input, Output, Scope, SpawnFailure};
use quire_core::ids::ShId;
use quire_core::replay::Recall;
use quire_core::wire::Stream;

use super::command::{start_failure, text_of};
use super::fault::Fault;
use super::machine::Killed;
use super::process::Process;
use super::simulation::{Happening, Simulation};
use super::violated;

impl Simulation {
    /// `cause` is the order's number, from 1.
    pub(super) fn perform(&mut self, order: &Output, cause: usize) -> Result<(), Killed> {
        match order {
            Output::Emit(_) => {}
            Output::Spawn { sh, command, capture } => self.spawn(sh, command, capture, cause)?,
            Output::Recall { sh, from, tap, no_eol } => self.recall(sh, from, *tap, no_eol, cause),
            Output::Signal { sh, signal } => self.signal(sh, *signal)?,
            Output::CloseOutput { sh } => self.end_output(sh, true)?,
            Output::Sweep { scope } => self.sweep(scope, cause),
            Output::SetSecrets(secrets) => {
                for process in self.processes.values_mut() {
                    if let Some(capture) = &mut process.capture {
                        capture.set_secrets(secrets.clone());
                        process.secrets = None;
                    }
                }
                self.secrets = secrets.clone();
            }
            Output::Read { ask, path, .. } => {
                let content = self.machine.files.get(path).map(|text| text.clone().into_bytes());
                self.answer(*ask, cause, |fails| {
                    Answer::Read(content.filter(|_| !fails).ok_or_else(|| "no such file".to_owned()))
                });
            }
            Output::Write { ask, path, content } => {
                self.machine.files.insert(path.clone(), String::from_utf8_lossy(content).into_owned());
                self.answer(*ask, cause, |fails| Answer::Write(if fails { Err("disk full".into()) } else { Ok(()) }));
            }
            Output::Glob { ask, patterns } => {
                let found = matching(&self.machine.files, patterns);
                self.answer(*ask, cause, |fails| {
                    Answer::Glob(if fails { Err("no permission".into()) } else { Ok(found) })
                });
            }
            Output::Hash { ask, patterns } => {
                let digest = format!("hash of {}", patterns.join(" "));
                self.answer(*ask, cause, |fails| {
                    Answer::Hash(if fails { Err("no permission".into()) } else { Ok(digest) })
                });
            }
            Output::Done(outcome) => self.done = Some(*outcome),
        }
        Ok(())
    }

    /// Takes over the log of a command of the run that this one goes on with.
    fn recall(&mut self, sh: &ShId, from: &ShId, tap: Option<Tap>, no_eol: &[Stream], cause: usize) {
        if !self.record_failed && !self.is_recorded(sh) {
            violated("a_command_is_recorded_before_it_is_replayed", &sh);
        }
        let earlier = self.world.config.replay.as_ref().and_then(|replay| self.machine.runs.get(replay.run_id()));
        let log = earlier.and_then(|earlier| earlier.logs.get(from)).cloned();
        let fails = tap.is_some()
            && self.machine.plan.strike(|fault| matches!(fault, Fault::AnswerFails).then_some(())).is_some();
        let captured = match (&log, tap) {
            _ if fails => Err("no permission".to_owned()),
            (None, _) => Err("no such file".to_owned()),
            (Some(_), None) => Ok(Captured::default()),
            (Some(log), Some(tap)) => {
                let mut recall = Recall::new(tap, no_eol.to_vec());
                recall.push(log);
                recall.finish()
            }
        };
        if let Some(log) = log.filter(|_| captured.is_ok()) {
            self.dir().logs.insert(sh.clone(), log);
            self.recalled.insert(sh.clone(), (from.clone(), tap.is_none()));
        }
        let at = self.answered_at();
        self.push(at, Happening::Fact(Input::Recalled { sh: sh.clone(), captured }, cause));
    }

    /// When an answer comes that is asked for now.
    fn answered_at(&mut self) -> u64 {
        let late = |fault| match fault {
            Fault::AnswerLate(ms) => Some(u64::from(ms)),
            _ => None,
        };
        self.ms() + self.world.answer_ms + self.machine.plan.strike(late).unwrap_or(0)
    }

    fn answer(&mut self, ask: Ask, cause: usize, answer: impl FnOnce(bool) -> Answer) {
        let at = self.answered_at();
        let fails = self.machine.plan.strike(|fault| matches!(fault, Fault::AnswerFails).then_some(())).is_some();
        self.push(at, Happening::Fact(Input::Answered { ask, answer: answer(fails) }, cause));
    }

    fn sweep(&mut self, scope: &Scope, cause: usize) {
        let within = |sh: &ShId| match scope {
            Scope::Job(job) => sh.job == *job,
            Scope::Run => true,
        };
        if let Some((sh, _)) = self.processes.iter().find(|(sh, process)| !process.exited && within(sh)) {
            violated("nothing_runs_any_more_when_its_scope_is_swept", &(scope, sh));
        }
        let at = self.ms() + self.world.sweep_ms;
        self.push(at, Happening::Fact(Input::Swept { scope: scope.clone() }, cause));
    }

    fn spawn(&mut self, sh: &ShId, command: &CommandSpec, capture: &CaptureSpec, cause: usize) -> Result<(), Killed> {
        if self.record_failed {
            if !self.world.shell.gathers {
                violated("nothing_is_started_once_the_record_is_lost", &sh);
            }
            let failure = SpawnFailure::Other { message: "the record is lost".into() };
            self.fact(Input::SpawnFailed { sh: sh.clone(), failure }, cause);
            return Ok(());
        }
        if let Some(why) = self.nothing_starts {
            violated("nothing_is_started_after_a_second_cancel", &(sh, why));
        }
        if !self.is_recorded(sh) {
            violated("a_command_is_recorded_before_it_is_started", &sh);
        }
        let tag = command.env.get("QUIRE_SH").cloned().flatten();
        if tag != Some(format!("{}/{sh}", self.world.config.run_id)) {
            violated("a_command_carries_its_own_tag", &(sh, tag));
        }
        let text = text_of(&command.argv);
        *self.started.entry(text.clone()).or_default() += 1;
        let fails = |fault| match fault {
            Fault::SpawnFails(how) => Some(how),
            _ => None,
        };
        let failure = self.machine.plan.strike(fails).map(|how| match how % 3 {
            0 => SpawnFailure::NotFound { searched: "/bin".into() },
            1 => SpawnFailure::Cwd { message: "no such directory".into() },
            _ => SpawnFailure::Other { message: "out of memory".into() },
        });
        if let Some(failure) = failure.or_else(|| start_failure(&text)) {
            self.push(self.ms(), Happening::Fact(Input::SpawnFailed { sh: sh.clone(), failure }, cause));
            return Ok(());
        }
        let taken = Capture::new(capture, self.secrets.clone(), self.machine.clock.now());
        let process = Process::new(text, taken, capture.merge, self.secrets.clone(), cause);
        if self.world.marked {
            self.check_slots(sh, &process);
        }
        if self.processes.insert(sh.clone(), process).is_some() {
            violated("a_command_is_started_once", &sh);
        }
        self.with_output.insert(sh.clone());
        self.dir().logs.insert(sh.clone(), Vec::new());
        let running = self.processes.values().filter(|process| !process.exited).count();
        self.most_running = self.most_running.max(running);
        self.push(self.ms(), Happening::Step(sh.clone()));
        Ok(())
    }

    /// A command starts while all slots are held only where it is a service, or where no script waited from the start for any
    /// that holds one (CONTRACT 6).
    fn check_slots(&self, sh: &ShId, starts: &Process) {
        let holds = |process: &&Process| !process.script.service && process.facts_of_end < 2;
        let holders = || self.processes.values().filter(holds);
        let slots = usize::try_from(self.world.config.slots.max(1)).unwrap_or(usize::MAX);
        if !starts.script.service && holders().count() >= slots && !holders().all(|holder| holder.script.aside) {
            let texts: Vec<&str> = holders().map(|holder| holder.text.as_str()).collect();
            violated("slots_are_never_exceeded", &(sh, slots, texts));
        }
    }
}

/// The files that match, by their beginnings.
fn matching(files: &BTreeMap<String, String>, patterns: &[String]) -> Vec<String> {
    let matches = |path: &&String| patterns.iter().any(|pattern| path.starts_with(pattern.trim_end_matches('*')));
    files.keys().filter(matches).cloned().collect()
}
