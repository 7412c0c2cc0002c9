//! How a run begins, is cancelled, loses its record, and ends.

use super::definition::{Defined, Defining, Definition, completed, texts};
use super::io::{Output, Scope, SpawnFailure};
use super::job::{Job, JobPhase, Verdict};
use super::{Asker, Engine};
use crate::ids::ShId;
use crate::pipeline::Diagnostic;
use crate::recorder::RuntimeEvent;
use crate::replay::Answers;
use crate::scheduler::{Scheduler, Skip};
use crate::wire::{FailureKind, JobListed, RunFailure, RunOutcome, RunStarted};

/// Where a run stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// The top level of the pipeline runs, or waits for an answer.
    Defining {
        /// The top level.
        definition: Box<Definition>,
        /// It waits.
        waiting: bool,
    },
    /// Jobs run.
    Running,
    /// All jobs have ended; what they left is being ended.
    Sweeping,
    /// Only the fingerprint of the workspace is missing.
    Concluding,
    /// Nothing follows.
    Done,
}

impl Engine {
    /// Runs a slice of the top level; whether it came to a point of rest.
    pub(super) fn run_definition_slice(&mut self) -> bool {
        let Phase::Defining { definition, waiting } = &mut self.phase else { return true };
        match definition.resume() {
            Defining::Slice => false,
            Defining::Asked(request) => {
                *waiting = true;
                self.ask_machine(Asker::Definition, request);
                true
            }
            Defining::Done(Ok(defined)) => {
                self.begin(*defined);
                true
            }
            Defining::Done(Err(diagnostics)) => {
                let logs = definition.take_logs();
                self.refuse(logs, diagnostics);
                true
            }
        }
    }

    /// The pipeline is valid: its jobs may start.
    fn begin(&mut self, defined: Defined) {
        let pipeline = &defined.pipeline;
        if let Some(image) = pipeline.image.as_ref().filter(|_| !self.config.executor_forced) {
            let message =
                format!("the pipeline wants to run in the image \"{image}\", and containers have not landed yet");
            let diagnostic = Diagnostic {
                message,
                place: defined.image_place,
                help: Some("run it on this machine with --executor host".to_owned()),
                excerpt: None,
            };
            return self.refuse(defined.logs, completed(diagnostic, &texts(&self.config.source)));
        }
        let selected = match pipeline.select(&self.config.select) {
            Ok(selected) => selected,
            Err(diagnostic) => return self.refuse(defined.logs, vec![diagnostic]),
        };
        let (scheduler, skips) = Scheduler::new(pipeline.clone(), &selected, self.config.keep_going);
        let listed = pipeline.jobs.iter().map(|job| JobListed { id: job.id.clone(), inputs: job.inputs.clone() });
        self.record_run_started(listed.collect());
        for text in &defined.logs {
            self.record(RuntimeEvent::RunLogged(text.clone()));
        }
        let answers = match &mut self.config.replay {
            Some(replay) => replay.plan(&defined.pipeline),
            None => Vec::new(),
        };
        let answers = answers.into_iter().chain(std::iter::repeat_with(|| Answers::Nothing));
        let jobs = defined.pipeline.jobs.iter().zip(answers);
        self.jobs = jobs.map(|(job, answers)| Job::new(job.clone(), &self.config, answers)).collect();
        self.scheduler = Some(scheduler);
        self.defined = Some(defined);
        self.phase = Phase::Running;
        self.record_skips(skips);
    }

    fn record_run_started(&mut self, jobs: Vec<JobListed>) {
        let config = &self.config;
        self.record(RuntimeEvent::RunStarted(RunStarted {
            run_id: config.run_id.clone(),
            version: config.version.clone(),
            executor: config.executor.clone(),
            sha: config.sha.clone(),
            ref_name: config.ref_name.clone(),
            seed: Some(config.seed),
            jobs,
            number: config.number,
            repo: config.repo.clone(),
            pushed_at_ms: config.pushed_at_ms,
            params: config.params.clone(),
            resumed_from: config.replay.as_ref().map(|replay| replay.run_id().clone()),
            args: config.args.clone(),
            pipeline: Some(config.source.digest()),
        }));
        for note in std::mem::take(&mut self.config.notes) {
            self.record(RuntimeEvent::RunLogged(note));
        }
    }

    /// The pipeline cannot run: a run without jobs that says why, and what the top level printed.
    fn refuse(&mut self, logs: Vec<String>, diagnostics: Vec<Diagnostic>) {
        self.record_run_started(Vec::new());
        for text in logs {
            self.record(RuntimeEvent::RunLogged(text));
        }
        for diagnostic in &diagnostics {
            self.record(RuntimeEvent::RunLogged(diagnostic.to_string()));
        }
        let masked = |text: String| self.secrets.mask(&text).unwrap_or(text);
        let mask = |diagnostic: Diagnostic| Diagnostic {
            message: masked(diagnostic.message),
            place: diagnostic.place,
            help: diagnostic.help.map(masked),
            excerpt: diagnostic.excerpt.map(masked),
        };
        self.diagnostics = diagnostics.into_iter().map(mask).collect();
        self.phase = Phase::Concluding;
        self.conclude();
    }

    pub(super) fn record_skips(&mut self, skips: Vec<Skip>) {
        for skip in skips {
            let Some(job) = self.jobs.get_mut(skip.index) else { continue };
            job.phase = JobPhase::Ended;
            let id = job.definition.id.clone();
            self.record(RuntimeEvent::JobSkipped(id, skip.reason, Some(skip.text)));
        }
    }

    /// All jobs have ended: what they left must go, if anything was ever started.
    pub(super) fn end_run(&mut self) {
        if !self.jobs.iter().any(|job| job.has_run_commands) {
            self.phase = Phase::Concluding;
            self.conclude();
        } else {
            self.phase = Phase::Sweeping;
            self.outputs.push_back(Output::Sweep { scope: Scope::Run });
        }
    }

    /// The last event, once nothing is missing.
    pub(super) fn conclude(&mut self) {
        let missing = self.config.fingerprint_follows && self.fingerprint.is_none() && self.record_failure.is_none();
        if missing || !matches!(self.phase, Phase::Concluding) {
            return;
        }
        let first = self.diagnostics.first();
        let error = first.map(|diagnostic| RunFailure {
            message: diagnostic.message.clone(),
            file: diagnostic.place.as_ref().map(|place| place.file.clone()),
            line: diagnostic.place.as_ref().map(|place| place.line),
        });
        let (outcome, failure_kind) = if self.record_failure.is_some() {
            (RunOutcome::Failed, Some(FailureKind::Record))
        } else if error.is_some() {
            (RunOutcome::Failed, Some(FailureKind::Pipeline))
        } else {
            match self.scheduler.as_ref().map_or(RunOutcome::Aborted, Scheduler::outcome) {
                RunOutcome::Failed => (RunOutcome::Failed, Some(FailureKind::Job)),
                outcome => (outcome, None),
            }
        };
        let fingerprint = self.fingerprint.take().flatten();
        self.record(RuntimeEvent::RunFinished { outcome, failure_kind, error, fingerprint });
        self.done(outcome);
    }

    pub(super) fn on_swept(&mut self, scope: &Scope) {
        match scope {
            Scope::Run => {
                if matches!(self.phase, Phase::Sweeping) {
                    self.phase = Phase::Concluding;
                    self.conclude();
                }
            }
            Scope::Job(id) => {
                if let Some(index) = self.jobs.iter().position(|job| job.definition.id == *id) {
                    self.on_job_swept(index);
                }
            }
        }
    }

    /// The first time scripts end, commands are asked to end and deferred functions run; the second time all is killed.
    pub(super) fn on_cancel(&mut self) {
        self.cancels += 1;
        if let Phase::Defining { definition, .. } = &mut self.phase {
            let logs = definition.take_logs();
            return self.refuse(logs, Vec::new());
        }
        let Some(scheduler) = &mut self.scheduler else { return };
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let skips = scheduler.cancel();
        self.record_skips(skips);
        for index in 0..self.jobs.len() {
            self.interrupt(index, Verdict::Cancelled);
            if self.cancels > 1 {
                self.kill_job(index);
            }
        }
    }

    /// Nothing more can be recorded, so nothing more may happen: orders that wait are taken back, scripts do not go on, commands
    /// end.
    pub(super) fn on_record_failed(&mut self, message: String) {
        if self.record_failure.is_some() {
            return;
        }
        self.record_failure = Some(message);
        let mut taken_back = Vec::new();
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Emit(_)
                | Output::Read { .. }
                | Output::Write { .. }
                | Output::Glob { .. }
                | Output::Hash { .. } => {}
                Output::Spawn { sh, .. } | Output::Recall { sh, .. } => taken_back.push(sh),
                // A run that was about to end has ended, but not well.
                Output::Done(_) => self.outputs.push_back(Output::Done(RunOutcome::Failed)),
                Output::Signal { .. } | Output::CloseOutput { .. } | Output::Sweep { .. } | Output::SetSecrets(_) => {
                    self.outputs.push_back(output);
                }
            }
        }
        if matches!(self.phase, Phase::Done) {
            return;
        }
        for sh in taken_back {
            self.outputs.retain(|output| !is_about(output, &sh));
            let message = "the record could not be written".to_owned();
            self.lose_replayed(&sh);
            self.on_spawn_failed(&sh, SpawnFailure::Other { message });
        }
        if matches!(self.phase, Phase::Defining { .. }) {
            self.phase = Phase::Concluding;
        }
        if let Some(scheduler) = &mut self.scheduler {
            let skips = scheduler.cancel();
            self.record_skips(skips);
            for index in 0..self.jobs.len() {
                self.interrupt(index, Verdict::Cancelled);
                self.abandon_deferred(index);
                self.abandon_replay(index);
            }
        }
        self.conclude();
    }
}

/// Whether the order is about this command.
fn is_about(output: &Output, command: &ShId) -> bool {
    match output {
        Output::Signal { sh, .. } | Output::CloseOutput { sh } | Output::Spawn { sh, .. } => sh == command,
        _ => false,
    }
}
