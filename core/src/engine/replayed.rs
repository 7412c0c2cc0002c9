//! What an earlier run's record answers: whole jobs, and the first commands of jobs whose scripts run again. All of it is
//! recorded again, and the logs are taken over.

use super::Engine;
use super::command::{Command, CommandState};
use super::io::Output;
use super::job::{JobPhase, Waiting};
use super::slots::CommandId;
use crate::capture::Captured;
use crate::ids::{JobId, ShId};
use crate::recorder::{JobEnd, RuntimeEvent, ShEnd};
use crate::replay::{Answers, Next, WholeStep};
use crate::scheduler::End;
use crate::script::ShResult;
use crate::wire::{JobOutcome, ShFinished, ShStarted};

impl Engine {
    /// The job's record is recorded again; its script does not run.
    pub(super) fn begin_replay(&mut self, index: usize) {
        if let Some(job) = self.jobs.get_mut(index) {
            job.phase = JobPhase::Replaying;
        }
        self.go_on_replaying(index);
    }

    /// Records what is next, until a log that is being taken over must come first.
    fn go_on_replaying(&mut self, index: usize) {
        loop {
            let Some(job) = self.jobs.get_mut(index).filter(|job| job.phase == JobPhase::Replaying) else { return };
            let id = job.definition.id.clone();
            let Answers::Whole(whole) = &mut job.answers else { return };
            let Some(step) = whole.steps.front() else {
                let output = whole.output.take();
                return self.end_replay(index, id, output);
            };
            if let WholeStep::Ended { n, .. } = step
                && job.recalls.contains(&ShId { job: id.clone(), n: *n })
            {
                return;
            }
            match whole.steps.pop_front() {
                Some(WholeStep::Logged(text)) => self.record(RuntimeEvent::JobLogged(id, text)),
                Some(WholeStep::Started { started, from }) => {
                    let sh = ShId { n: self.recorder.next_sh(&id), job: id.clone() };
                    let ShStarted { job_id: job, cmd, key, cwd, env, shell } = started;
                    self.record(RuntimeEvent::ShStarted { job, cmd, key, cwd, env, shell });
                    if let Some(from) = from {
                        if let Some(job) = self.jobs.get_mut(index) {
                            job.recalls.insert(sh.clone());
                        }
                        self.outputs.push_back(Output::Recall { sh, from, tap: None, no_eol: Vec::new() });
                    }
                }
                Some(WholeStep::Ended { n, finished }) => {
                    self.record(RuntimeEvent::ShFinished(id, replayed_end(n, finished)));
                }
                None => return,
            }
        }
    }

    fn end_replay(&mut self, index: usize, id: JobId, output: Option<serde_json::Value>) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.phase = JobPhase::Ended;
        job.output.clone_from(&output);
        let end = JobEnd { outcome: JobOutcome::Complete, output, replayed: true, allowed: false, error: None };
        self.record(RuntimeEvent::JobFinished(id, end));
        self.tell_scheduler(index, End::Complete);
    }

    /// The record of this run is lost: nothing more is taken over.
    pub(super) fn abandon_replay(&mut self, index: usize) {
        let Some(job) = self.jobs.get_mut(index).filter(|job| job.phase == JobPhase::Replaying) else { return };
        job.phase = JobPhase::Ended;
        self.tell_scheduler(index, End::Aborted);
    }

    /// Whether the record answers the command; its start is recorded then, and its log being taken over.
    pub(super) fn replay_command(&mut self, index: usize, id: CommandId) -> bool {
        if !self.jobs.get(index).is_some_and(|job| matches!(job.answers, Answers::Commands(_))) {
            return false;
        }
        let Some(command) = self.commands.get(&id) else { return false };
        let (key, cmd) = (command.key.clone(), command.cmd.clone());
        let (tap, is_service) = (command.capture.tap, command.service);
        let at = command.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        let Some(job) = self.jobs.get_mut(index) else { return false };
        let job_id = job.definition.id.clone();
        let Answers::Commands(cursor) = &mut job.answers else { return false };
        let (n, told) = match cursor.next(id, &key) {
            Next::Answer { from, finished } if !is_service => {
                if let Some(command) = self.commands.get_mut(&id) {
                    command.state = CommandState::Replaying(None);
                }
                if let Some(sh) = self.record_start(id) {
                    self.outputs.push_back(Output::Recall { sh, from, tap: Some(tap), no_eol: finished.no_eol });
                }
                return true;
            }
            Next::Answer { from, .. } => {
                // A service is there for what follows, which may run.
                cursor.lost(id);
                (from.n, "it is a service now".to_owned())
            }
            Next::Differs { n, expected } => (n, format!("recorded `{expected}`, now `{cmd}`{at}")),
            Next::Ends { n, cmd, why } => (n, format!("`{cmd}`: {why}")),
            Next::Over => return false,
        };
        let text = format!("the record answers nothing from command {n} on: {told}");
        self.record(RuntimeEvent::JobLogged(job_id, text));
        self.end_replayed(index);
        false
    }

    /// The order to take over the command's log, if it was one, was taken back: nothing waits for its recorded end any more.
    pub(super) fn lose_replayed(&mut self, sh: &ShId) {
        let Some(id) = self.by_sh.get(sh).copied() else { return };
        let Some(Command { job, state: CommandState::Replaying(_), .. }) = self.commands.get(&id) else { return };
        if let Some(Answers::Commands(cursor)) = self.jobs.get_mut(*job).map(|job| &mut job.answers) {
            cursor.lost(id);
        }
    }

    /// A log was taken over, or could not be.
    pub(super) fn on_recalled(&mut self, sh: &ShId, captured: Result<Captured, String>) {
        let index = self.jobs.iter().position(|job| job.definition.id == sh.job);
        let Some(index) = index else { return };
        let Some(id) = self.by_sh.get(sh).copied() else {
            let Some(job) = self.jobs.get_mut(index) else { return };
            if job.recalls.remove(sh) && job.phase == JobPhase::Replaying {
                if let Err(why) = captured {
                    let text = format!("the log of command {} could not be taken over: {why}", sh.n);
                    self.record(RuntimeEvent::JobLogged(sh.job.clone(), text));
                }
                self.go_on_replaying(index);
            }
            return;
        };
        let state = self.commands.get(&id).map(|command| &command.state);
        let Some(CommandState::Replaying(ended_for)) = state else { return };
        let ended_for = *ended_for;
        let Some(Answers::Commands(cursor)) = self.jobs.get_mut(index).map(|job| &mut job.answers) else { return };
        match captured {
            Ok(captured) => cursor.recalled(id, captured),
            Err(why) => {
                cursor.lost(id);
                let text = format!(
                    "the record answers nothing from here on: the log of command {} cannot be read: {why}",
                    sh.n
                );
                self.record(RuntimeEvent::JobLogged(sh.job.clone(), text));
                match ended_for {
                    Some(cause) => self.end_unstarted(id, cause),
                    None => self.run_after_all(index, id),
                }
            }
        }
        self.end_replayed(index);
    }

    /// The command waits for a slot, as if it had been asked for just now.
    fn run_after_all(&mut self, index: usize, id: CommandId) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.state = CommandState::Queued;
        }
        self.slots.request(id);
        if self.jobs.get(index).is_some_and(|job| job.waiting == Waiting::Command(id)) {
            self.slots.waited_for(id);
        }
        self.set_deferred_clock(index);
    }

    /// The script waits for the command, or wants it to end: what ended before it in the record is not waited for.
    pub(super) fn release_replayed(&mut self, index: usize, id: CommandId) {
        if let Some(Answers::Commands(cursor)) = self.jobs.get_mut(index).map(|job| &mut job.answers) {
            cursor.release(id);
            self.end_replayed(index);
        }
    }

    /// Ends the commands whose turn it is.
    fn end_replayed(&mut self, index: usize) {
        loop {
            let Some(Answers::Commands(cursor)) = self.jobs.get_mut(index).map(|job| &mut job.answers) else { return };
            let Some((id, finished, captured)) = cursor.pop_ended() else { return };
            let Some(sh) = self.commands.get(&id).and_then(|command| command.sh.clone()) else { continue };
            self.by_sh.remove(&sh);
            self.record(RuntimeEvent::ShFinished(sh.job, replayed_end(sh.n, finished)));
            let Captured { stdout, stderr, stdout_truncated, stderr_truncated, .. } = captured;
            let result = ShResult { stdout, stderr, stdout_truncated, stderr_truncated, ..self.blank(id) };
            self.settle(id, result);
        }
    }
}

/// The recorded end, as that of command `n` of this run.
fn replayed_end(n: u32, finished: ShFinished) -> ShEnd {
    ShEnd {
        n,
        exit_code: finished.exit_code,
        signal: finished.signal,
        error: finished.error,
        cause: finished.cause,
        no_eol: finished.no_eol,
        masked: finished.masked,
        truncated: finished.truncated,
        detached: finished.detached,
        replayed: true,
    }
}
