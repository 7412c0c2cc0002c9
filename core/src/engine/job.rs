//! The phases of one attempt of a job, from its VM to its end.
//!
//! Top level again, the job's function, the commands that it spawned and did not wait for, ending what is open, the deferred
//! functions and what they spawned, ending what those left, a sweep; then the end, or the next attempt. Whatever happens to a job, it goes this way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Engine;
use super::command::CommandState;
use super::config::Config;
use super::io::{Ask, Output, Scope, Signal};
use super::slots::CommandId;
use super::timers::Timer;
use crate::digest::Digest;
use crate::ids::{JobId, ShId};
use crate::pipeline::JobDefinition;
use crate::recorder::{JobEnd, RuntimeEvent};
use crate::replay::Answers;
use crate::scheduler::End;
use crate::script::{Failure, JobFacts, Reply, Request, ShResult, Step, Vm};
use crate::time::shown;
use crate::wire::{Cause, JobFailure, JobOutcome, MAX_OUTPUT_DEPTH, SkipReason};

/// Most bytes of a job's output, as JSON.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobPhase {
    /// Not begun.
    Pending,
    /// The top level runs again in the job's VM.
    TopLevel,
    /// The job's function runs.
    Body,
    /// It returned; commands that it spawned still run.
    AwaitingSpawned,
    /// What is open is being ended.
    Stopping,
    /// After a time-out or a cancel: every process must go before deferred functions run.
    SweepingEarly,
    /// A deferred function runs.
    Deferred,
    /// The deferred functions are through; commands that they spawned still run.
    AwaitingDeferred,
    /// What the deferred functions left open is being ended.
    StoppingDeferred,
    /// Every process must go before the job ends.
    Sweeping,
    /// No script runs: an earlier run's record is recorded again.
    Replaying,
    /// Over.
    Ended,
}

impl JobPhase {
    /// Deferred functions, or what they spawned, run.
    pub(super) fn is_deferred(self) -> bool {
        matches!(self, JobPhase::Deferred | JobPhase::AwaitingDeferred)
    }
}

/// What a script waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Nothing.
    Nothing,
    /// A command's end.
    Command(CommandId),
    /// The machine's answer to a request.
    Answer(Ask, Request),
}

/// What became of the job's function.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It returned this.
    Returned(Option<Value>),
    /// It raised, or a command that it did not wait for failed.
    Failed(Failure),
    /// It called `rt.skip`.
    Skipped(String),
    /// Its time was up.
    TimedOut(Failure),
    /// The run was cancelled.
    Cancelled,
}

/// A job and its current attempt.
#[derive(Debug)]
pub(super) struct Job {
    pub definition: JobDefinition,
    pub phase: JobPhase,
    pub waiting: Waiting,
    /// Commands that are not over.
    pub open: BTreeSet<CommandId>,
    /// What downstream sees.
    pub output: Option<Value>,
    /// A command was started: processes may be left.
    pub has_run_commands: bool,
    attempt: u32,
    pub vm: Option<Vm>,
    reply: Option<Reply>,
    pub verdict: Option<Verdict>,
    timeout: Option<Duration>,
    /// Commands from this one on are the deferred functions'.
    pub deferred_from: CommandId,
    /// Time that the deferred functions still have, while their clock stands still.
    pub deferred_left: Option<Duration>,
    seed: u64,
    /// What an earlier run's record has for it.
    pub answers: Answers,
    /// Commands whose logs are being taken over, where the job is answered whole.
    pub recalls: BTreeSet<ShId>,
}

impl Job {
    pub(super) fn new(definition: JobDefinition, config: &Config, answers: Answers) -> Job {
        Job {
            answers,
            recalls: BTreeSet::new(),
            phase: JobPhase::Pending,
            waiting: Waiting::Nothing,
            open: BTreeSet::new(),
            output: None,
            has_run_commands: false,
            attempt: 0,
            vm: None,
            reply: None,
            verdict: None,
            timeout: definition.options.timeout.or(config.limits.job),
            deferred_from: 0,
            deferred_left: None,
            seed: seed(config.seed, &definition.id),
            definition,
        }
    }
}

/// The seed of a job's `math.random`: from the run's seed and the job's id.
fn seed(run: u64, job: &JobId) -> u64 {
    let mut digest = Digest::new();
    digest.field(&run.to_le_bytes());
    digest.field(job.as_str().as_bytes());
    let hex = digest.hex();
    u64::from_str_radix(hex.get(..16).unwrap_or("0"), 16).unwrap_or(run)
}

impl Engine {
    /// The scheduler chose this job.
    pub(super) fn start_job(&mut self, index: usize) {
        let Some(job) = self.jobs.get(index) else { return };
        let is_whole = matches!(job.answers, Answers::Whole(_));
        self.record(RuntimeEvent::JobStarted(job.definition.id.clone()));
        if is_whole {
            self.begin_replay(index);
        } else {
            self.begin_attempt(index);
        }
    }

    fn begin_attempt(&mut self, index: usize) {
        let Some(defined) = &self.defined else { return };
        let program = Arc::clone(&defined.program);
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.attempt += 1;
        if job.attempt > 1 {
            // The record answers one attempt, and that has failed.
            job.answers = Answers::Nothing;
        }
        job.phase = JobPhase::TopLevel;
        job.verdict = None;
        job.deferred_from = 0;
        if let Some(timeout) = job.timeout {
            self.timers.set(Timer::Job(index), self.now.mono.plus(timeout));
        }
        let ready = Vm::new(program, &self.config.limits, self.config.seed).and_then(|mut vm| {
            vm.start_top_level(Some(job.definition.id.as_str()))?;
            Ok(vm)
        });
        match ready {
            Ok(vm) => {
                job.vm = Some(vm);
                self.ready.push_back(index);
            }
            Err(failure) => self.interrupt(index, Verdict::Failed(failure)),
        }
    }

    /// Runs a slice of the job's script; whether it came to a point of rest.
    pub(super) fn run_job_slice(&mut self, index: usize) -> bool {
        let Some(job) = self.jobs.get_mut(index) else { return true };
        let Some(vm) = &mut job.vm else { return true };
        match vm.resume(job.reply.take()) {
            Step::Slice => {
                self.ready.push_front(index);
                return false;
            }
            Step::Request(request) => self.on_request(index, request),
            Step::Failed(failure) => self.on_script_failed(index, failure),
            Step::Returned(output) => self.on_script_returned(index, output),
        }
        true
    }

    fn on_script_returned(&mut self, index: usize, output: Result<Option<Value>, Failure>) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        match job.phase {
            JobPhase::TopLevel => {
                job.phase = JobPhase::Body;
                let facts = JobFacts {
                    id: job.definition.id.as_str().to_owned(),
                    attempt: job.attempt,
                    seed: job.seed,
                    args: self.config.args.clone(),
                    params: self.config.params.clone(),
                    sha: self.config.sha.clone(),
                    ref_name: self.config.ref_name.clone(),
                    pushed_at_ms: self.config.pushed_at_ms,
                    is_traced: matches!(job.answers, Answers::Commands(_)),
                };
                let Some(vm) = &mut job.vm else { return };
                match vm.start_job(&facts) {
                    Ok(()) => self.ready.push_front(index),
                    Err(failure) => self.interrupt(index, Verdict::Failed(failure)),
                }
            }
            JobPhase::Deferred => self.next_deferred(index),
            _ => {
                job.verdict = Some(match output.and_then(fit_for_the_record) {
                    Ok(output) => Verdict::Returned(output),
                    Err(failure) => Verdict::Failed(Failure {
                        place: failure.place.or_else(|| Some(job.definition.place.clone())),
                        ..failure
                    }),
                });
                job.phase = JobPhase::AwaitingSpawned;
                self.advance(index);
            }
        }
    }

    pub(super) fn on_script_failed(&mut self, index: usize, failure: Failure) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        if job.phase != JobPhase::Deferred {
            return self.interrupt(index, Verdict::Failed(failure));
        }
        self.fail_deferred(index, failure);
        self.next_deferred(index);
    }

    /// The script goes on with this answer.
    pub(super) fn reply(&mut self, index: usize, reply: Reply) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.waiting = Waiting::Nothing;
        job.reply = Some(reply);
        self.ready.push_back(index);
    }

    pub(super) fn wait_for(&mut self, index: usize, waiting: Waiting) {
        if let Some(job) = self.jobs.get_mut(index) {
            job.waiting = waiting;
        }
    }

    /// The script does not go on, whatever it was doing.
    pub(super) fn abandon_script(&mut self, index: usize) {
        self.ready.retain(|ready| *ready != index);
        if let Some(job) = self.jobs.get_mut(index) {
            job.waiting = Waiting::Nothing;
            job.reply = None;
        }
    }

    /// Ends the job's function with this verdict, if it is not over yet.
    pub(super) fn interrupt(&mut self, index: usize, verdict: Verdict) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        if !matches!(job.phase, JobPhase::TopLevel | JobPhase::Body | JobPhase::AwaitingSpawned) {
            return;
        }
        job.verdict = Some(verdict);
        self.abandon_script(index);
        self.stop_open(index, JobPhase::Stopping);
    }

    /// Ends all open commands, in the phase `stopping`.
    pub(super) fn stop_open(&mut self, index: usize, stopping: JobPhase) {
        self.timers.clear(Timer::Job(index));
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.phase = stopping;
        let failed = matches!(job.verdict, Some(Verdict::Failed(_) | Verdict::TimedOut(_)));
        let options = &job.definition.options;
        if failed
            && !options.allow_failure
            && job.attempt > options.retries
            && let Some(scheduler) = &mut self.scheduler
        {
            scheduler.will_fail();
        }
        let cause = match &job.verdict {
            Some(Verdict::TimedOut(_)) => Cause::Timeout,
            _ => Cause::Cancel,
        };
        let open: Vec<CommandId> = job.open.iter().copied().collect();
        for command in open {
            self.end_early(command, cause);
        }
        // Where something was open, its end has advanced, or will advance, the job.
        if self.jobs.get(index).is_some_and(|job| job.phase == stopping) {
            self.advance(index);
        }
    }

    /// A second cancel: nothing deferred runs any more, and what runs is killed.
    pub(super) fn kill_job(&mut self, index: usize) {
        self.abandon_deferred(index);
        let open: Vec<CommandId> = self.jobs.get(index).into_iter().flat_map(|job| job.open.iter().copied()).collect();
        for command in open {
            self.signal(command, Signal::Kill);
        }
    }

    /// Goes on where the current phase has nothing left to wait for.
    pub(super) fn advance(&mut self, index: usize) {
        let Some(job) = self.jobs.get(index) else { return };
        match job.phase {
            JobPhase::AwaitingSpawned => {
                let is_service = |id: &CommandId| self.commands.get(id).is_some_and(|command| command.service);
                if job.open.iter().all(is_service) {
                    self.count_spawned(index);
                    self.stop_open(index, JobPhase::Stopping);
                }
            }
            JobPhase::AwaitingDeferred => {
                let is_service = |id: &CommandId| self.commands.get(id).is_some_and(|command| command.service);
                if job.open.iter().all(is_service) {
                    self.count_spawned(index);
                    self.end_deferred(index);
                }
            }
            JobPhase::Stopping if job.open.is_empty() => {
                let early = matches!(job.verdict, Some(Verdict::TimedOut(_) | Verdict::Cancelled));
                if early && job.has_run_commands {
                    self.sweep(index, JobPhase::SweepingEarly);
                } else {
                    self.begin_deferred(index);
                }
            }
            JobPhase::StoppingDeferred if job.open.is_empty() => {
                if job.has_run_commands {
                    self.sweep(index, JobPhase::Sweeping);
                } else {
                    self.end_attempt(index);
                }
            }
            _ => {}
        }
    }

    fn sweep(&mut self, index: usize, phase: JobPhase) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.phase = phase;
        self.outputs.push_back(Output::Sweep { scope: Scope::Job(job.definition.id.clone()) });
    }

    pub(super) fn on_job_swept(&mut self, index: usize) {
        match self.jobs.get(index).map(|job| job.phase) {
            Some(JobPhase::SweepingEarly) => self.begin_deferred(index),
            Some(JobPhase::Sweeping) => self.end_attempt(index),
            _ => {}
        }
    }

    /// A spawned command that nobody waited for counts: the first that failed fails the job, or its deferred functions.
    pub(super) fn count_spawned(&mut self, index: usize) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        let unwaited = self.commands.range(job.deferred_from..).map(|(_, command)| command);
        let failed =
            unwaited.filter(|command| command.job == index && command.check).find_map(|command| match &command.state {
                CommandState::Ended(result) => ShResult::failure(result),
                _ => None,
            });
        let Some(message) = failed else { return };
        let failure = Failure { message, place: Some(job.definition.place.clone()) };
        if job.phase == JobPhase::AwaitingDeferred {
            self.fail_deferred(index, failure);
        } else {
            job.verdict = Some(Verdict::Failed(failure));
        }
    }

    pub(super) fn on_job_timeout(&mut self, index: usize) {
        let Some(job) = self.jobs.get(index) else { return };
        let message = format!("the job timed out after {}", job.timeout.map(shown).unwrap_or_default());
        let failure = Failure { message, place: Some(job.definition.place.clone()) };
        self.interrupt(index, Verdict::TimedOut(failure));
    }

    /// Nothing of the attempt is left: the job ends, or tries again.
    fn end_attempt(&mut self, index: usize) {
        self.commands.retain(|_, command| command.job != index);
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.vm = None;
        let id = job.definition.id.clone();
        let options = &job.definition.options;
        let verdict = job.verdict.take().unwrap_or(Verdict::Cancelled);
        let mut outcome =
            JobEnd { outcome: JobOutcome::Failed, output: None, replayed: false, allowed: false, error: None };
        let end = match verdict {
            Verdict::Returned(output) => {
                job.output.clone_from(&output);
                outcome = JobEnd { outcome: JobOutcome::Complete, output, ..outcome };
                End::Complete
            }
            Verdict::Failed(failure) | Verdict::TimedOut(failure) => {
                let error = job_failure(failure);
                if job.attempt <= options.retries && self.cancels == 0 && self.record_failure.is_none() {
                    self.record(RuntimeEvent::JobRetried(id, error));
                    return self.begin_attempt(index);
                }
                outcome = JobEnd { allowed: options.allow_failure, error: Some(error), ..outcome };
                if options.allow_failure { End::Allowed } else { End::Failed }
            }
            Verdict::Skipped(text) => {
                job.phase = JobPhase::Ended;
                let text = (!text.is_empty()).then_some(text);
                self.record(RuntimeEvent::JobSkipped(id, SkipReason::Pipeline, text));
                return self.tell_scheduler(index, End::Skipped);
            }
            Verdict::Cancelled => {
                outcome.outcome = JobOutcome::Aborted;
                End::Aborted
            }
        };
        job.phase = JobPhase::Ended;
        self.record(RuntimeEvent::JobFinished(id, outcome));
        self.tell_scheduler(index, end);
    }

    pub(super) fn tell_scheduler(&mut self, index: usize, end: End) {
        if let Some(scheduler) = &mut self.scheduler {
            let skips = scheduler.end(index, end);
            self.record_skips(skips);
        }
    }
}

/// The output, if the record can hold it and readers will take it.
fn fit_for_the_record(output: Option<Value>) -> Result<Option<Value>, Failure> {
    let depth = output.as_ref().map_or(0, depth);
    if depth > MAX_OUTPUT_DEPTH {
        let message = format!(
            "the job returned data that is nested {depth} levels deep, at most {MAX_OUTPUT_DEPTH} go into the record; write it to a file"
        );
        return Err(Failure { message, place: None });
    }
    let size = output.as_ref().map_or(0, |output| output.to_string().len());
    if size <= OUTPUT_LIMIT {
        return Ok(output);
    }
    let message = format!(
        "the job returned {size} bytes of data, at most {OUTPUT_LIMIT} go into the record; write them to a file"
    );
    Err(Failure { message, place: None })
}

/// How deep a value nests; a list or an object of nothing else counts one. What comes from a script is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
    }
}

fn job_failure(failure: Failure) -> JobFailure {
    let (file, line) = failure.place.map_or((None, None), |place| (Some(place.file), Some(place.line)));
    JobFailure { message: failure.message, file, line }
}
