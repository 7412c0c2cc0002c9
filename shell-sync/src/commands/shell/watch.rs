//! Remembering the command that failed a job, as it was started, while its run goes on.

use std::collections::BTreeMap;

use quire_core::engine::{CommandSpec, Engine, Input, Output};
use quire_core::ids::{JobId, ShId};
use quire_core::rows::ShRow;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, EventKind, JobFinished, JobOutcome, ShFinished};

use crate::process::Machine;
use crate::ui::{Model, words};

/// Failed commands remembered of a job: as many as [`Model`] chooses from.
const FAILED_KEPT: usize = 8;

/// An engine whose orders are looked at on their way out.
pub struct Watched<'a> {
    engine: &'a mut Engine,
    memory: Option<Memory>,
}

/// A command that failed a job.
#[derive(Debug, Clone)]
pub struct FailedCommand {
    /// What its run is called.
    pub run: String,
    /// Its row.
    pub row: ShRow,
    /// What was started.
    pub spec: CommandSpec,
}

/// What is remembered of a run.
#[derive(Debug, Default)]
struct Memory {
    model: Model,
    open: BTreeMap<ShId, CommandSpec>,
    failed: BTreeMap<ShId, CommandSpec>,
    found: Option<FailedCommand>,
}

impl<'a> Watched<'a> {
    /// Watches the engine, where that is asked for.
    pub fn new(engine: &'a mut Engine, is_watched: bool) -> Watched<'a> {
        Watched { engine, memory: is_watched.then(Memory::default) }
    }

    /// The first command that failed a job, and with it the run.
    pub fn failed(self) -> Option<FailedCommand> {
        self.memory?.found
    }
}

impl Machine for Watched<'_> {
    fn handle(&mut self, now: Now, input: Input) {
        self.engine.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let order = self.engine.poll_output();
        if let (Some(memory), Some(order)) = (&mut self.memory, &order) {
            memory.look(order);
        }
        order
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.engine.next_deadline()
    }
}

impl Memory {
    fn look(&mut self, order: &Output) {
        if self.found.is_some() {
            return;
        }
        match order {
            Output::Emit(event) => self.event(event),
            Output::Spawn { sh, command, .. } => {
                self.open.insert(sh.clone(), command.clone());
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &Event) {
        self.model.event(event);
        match &event.kind {
            EventKind::ShFinished(finished) => self.ended(finished),
            EventKind::JobRetried(retried) => self.forget(&retried.job_id),
            EventKind::JobFinished(finished) => {
                self.found = self.failed_over(finished);
                self.forget(&finished.job_id);
            }
            _ => {}
        }
    }

    /// The one that `sh` names, else the only one of the job that is open.
    fn ended(&mut self, finished: &ShFinished) {
        let is_it = |sh: &&ShId| sh.job == finished.job_id && finished.sh.is_none_or(|n| n == sh.n);
        let Some(sh) = self.open.keys().find(is_it).cloned() else { return };
        let Some(spec) = self.open.remove(&sh).filter(|_| finished.exit_code != 0) else { return };
        let of_job = |other: &&ShId| other.job == sh.job;
        if self.failed.keys().filter(of_job).count() >= FAILED_KEPT
            && let Some(oldest) = self.failed.keys().find(of_job).cloned()
        {
            self.failed.remove(&oldest);
        }
        self.failed.insert(sh, spec);
    }

    fn failed_over(&mut self, finished: &JobFinished) -> Option<FailedCommand> {
        if finished.outcome != JobOutcome::Failed || finished.allowed {
            return None;
        }
        let row = self.model.job(&finished.job_id)?.failing_command()?.clone();
        let spec = self.failed.remove(&ShId { job: row.job_id.clone(), n: row.n })?;
        Some(FailedCommand { run: words::run_name(self.model.run()?), row, spec })
    }

    fn forget(&mut self, job: &JobId) {
        self.open.retain(|sh, _| sh.job != *job);
        self.failed.retain(|sh, _| sh.job != *job);
    }
}

#[cfg(test)]
mod tests {
    use quire_core::capture::{CaptureSpec, Tap};
    use quire_core::wire::{Decoded, decode};

    use super::*;

    fn emit(line: &str) -> Output {
        match decode(format!("{{\"at_ms\":1,{line}}}").as_bytes()) {
            Ok(Decoded::Event(event)) => Output::Emit(event),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn spawn(job: &str, n: u32) -> Output {
        let sh = ShId { job: JobId::from_record(job), n };
        let argv = vec![format!("{sh}").into_bytes()];
        let command = CommandSpec { argv, cwd: String::new(), env: BTreeMap::new(), stdin: None };
        let capture = CaptureSpec { merge: false, tap: Tap::Ends, output_limit: None, idle_limit: None };
        Output::Spawn { sh, command, capture }
    }

    /// `a+` starts a command of job a, `a-1:7` ends its first with exit 7, `a!` fails it, `a~` allows that, `a^` retries it.
    fn found(story: &str) -> Option<String> {
        let mut memory = Memory::default();
        memory.look(&emit(r#""type":"run_started","run_id":"r","number":3"#));
        let mut begun: BTreeMap<String, u32> = BTreeMap::new();
        for step in story.split_whitespace() {
            let (job, what) = step.split_at(1);
            if what == "+" {
                let n = begun.entry(job.to_owned()).or_default();
                *n += 1;
                memory.look(&emit(&format!(r#""type":"sh_started","job_id":"{job}","cmd":"x""#)));
                memory.look(&spawn(job, *n));
            } else if let Some((n, code)) = what.strip_prefix('-').and_then(|end| end.split_once(':')) {
                let sh = if n.is_empty() { String::new() } else { format!(r#","sh":{n}"#) };
                memory.look(&emit(&format!(r#""type":"sh_finished","job_id":"{job}","exit_code":{code}{sh}"#)));
            } else {
                let rest = match what {
                    "!" => r#""type":"job_finished","outcome":"failed""#,
                    "~" => r#""type":"job_finished","outcome":"failed","allowed":true"#,
                    _ => r#""type":"job_retried","attempt":2"#,
                };
                memory.look(&emit(&format!(r#"{rest},"job_id":"{job}""#)));
            }
        }
        let found = memory.found?;
        assert_eq!(found.run, "run 3");
        Some(String::from_utf8(found.spec.argv.concat()).unwrap())
    }

    #[test]
    fn the_first_job_that_fails_has_the_command() {
        for (story, command) in [
            ("a+ a-:1 a!", Some("a/1")),
            ("a+ a-:0 a+ a-:7 a!", Some("a/2")),
            ("a+ a+ a-2:0 a-:7 a!", Some("a/1")),
            ("a+ a+ a-1:7 a-:0 a!", Some("a/1")),
            ("a+ b+ b-:1 a-:1 b! a!", Some("b/1")),
            ("a+ a-:1 a~ b+ b-:2 b!", Some("b/1")),
            ("a+ a-:1 a^ a+ a-:1 a!", Some("a/2")),
            ("a+ a-:1 a^ a!", None),
            ("a! b+ b-:3 b!", Some("b/1")),
            ("a+ a-:1", None),
            ("a+ a-:1 a+ a-:0 a!", Some("a/1")),
        ] {
            assert_eq!(found(story).as_deref(), command, "{story}");
        }
        let many = format!("{} a!", "a+ a-:1 ".repeat(30));
        assert_eq!(found(&many).as_deref(), Some("a/30"));
    }
}
