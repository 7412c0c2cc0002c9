//! Commands from a script's request to their end: slots, starting, time, killing, output, results.

use std::time::Duration;

use super::Engine;
use super::command::{Command, CommandState, Running, exit_code, job_environment, never_started};
use super::io::{ExitStatus, GRACE, Output, Signal, SpawnFailure};
use super::job::Waiting;
use super::slots::CommandId;
use super::timers::Timer;
use crate::capture::Captured;
use crate::ids::ShId;
use crate::recorder::{RuntimeEvent, ShEnd};
use crate::script::{Reply, ShRequest, ShResult};
use crate::size;
use crate::time;
use crate::wire::{Cause, ShFailure};

/// How old the pipes of a command that has exited may get before they are closed.
const LINGER: Duration = Duration::from_millis(200);

impl Engine {
    /// Takes a script's command; it starts when a slot is free.
    pub(super) fn queue_command(&mut self, index: usize, request: ShRequest, waited: bool) -> CommandId {
        let id = self.next_command;
        self.next_command += 1;
        let Some(job) = self.jobs.get_mut(index) else { return id };
        let service = request.service;
        let env = job_environment(&self.config, &job.definition.id, &job.definition.options);
        let options = &job.definition.options;
        let command = Command::new(index, request, options, &env, &self.config, &self.secrets);
        job.open.insert(id);
        self.commands.insert(id, command);
        if self.replay_command(index, id) {
            // It takes no slot.
        } else if service {
            self.start_command(id);
        } else {
            self.slots.request(id);
            if waited {
                self.slots.waited_for(id);
            }
            self.set_deferred_clock(index);
        }
        id
    }

    /// Records and orders the start.
    pub(super) fn start_command(&mut self, id: CommandId) {
        // One that a record was to answer has its name already.
        let named = self.commands.get(&id).and_then(|command| command.sh.clone());
        if let Some(sh) = named.or_else(|| self.record_start(id)) {
            self.spawn(id, sh);
        }
    }

    /// Records the start, by which the command gets its name.
    pub(super) fn record_start(&mut self, id: CommandId) -> Option<ShId> {
        let command = self.commands.get_mut(&id)?;
        let job = self.jobs.get(command.job)?.definition.id.clone();
        let sh = ShId { n: self.recorder.next_sh(&job), job: job.clone() };
        command.sh = Some(sh.clone());
        let (cmd, key) = (command.cmd.clone(), Some(command.key.clone()));
        let cwd = Some(command.spec.cwd.clone()).filter(|cwd| !cwd.is_empty());
        let (env, shell) = (std::mem::take(&mut command.given), command.shell.take());
        self.by_sh.insert(sh.clone(), id);
        self.record(RuntimeEvent::ShStarted { job, cmd, key, cwd, env, shell });
        Some(sh)
    }

    /// Orders the process of a command whose start is recorded.
    fn spawn(&mut self, id: CommandId, sh: ShId) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        let index = command.job;
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.has_run_commands = true;
        command.state = CommandState::Running(Running::default());
        let (mut spec, capture) = (command.spec.clone(), command.capture.clone());
        spec.env.insert("QUIRE_SH".to_owned(), Some(format!("{}/{sh}", self.config.run_id)));
        if let Some(timeout) = command.timeout {
            self.timers.set(Timer::Command(id), self.now.mono.plus(timeout));
        }
        self.set_deferred_clock(index);
        self.outputs.push_back(Output::Spawn { sh, command: spec, capture });
    }

    /// The script waits for a command that it spawned.
    pub(super) fn wait_for_command(&mut self, index: usize, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id).filter(|command| command.job == index) else {
            return self.reply(index, Reply::Error("this command is not of this attempt of the job".to_owned()));
        };
        if !matches!(command.state, CommandState::Ended(_)) {
            let is_replayed = matches!(command.state, CommandState::Replaying(_));
            self.slots.waited_for(id);
            self.wait_for(index, Waiting::Command(id));
            if is_replayed {
                self.release_replayed(index, id);
            }
            return;
        }
        if let Some(Command { state: CommandState::Ended(result), .. }) = self.commands.remove(&id) {
            self.reply(index, Reply::Result(result));
        }
    }

    /// The script stops a command that it spawned, and waits for its end.
    pub(super) fn stop_command(&mut self, index: usize, id: CommandId) {
        self.wait_for_command(index, id);
        if self.jobs.get(index).is_some_and(|job| job.waiting == Waiting::Command(id)) {
            self.end_early(id, Cause::Cancel);
        }
    }

    /// Asks a command to end: TERM, and KILL after a grace. One that has not started never does; one that has exited only has
    /// its output closed.
    pub(super) fn end_early(&mut self, id: CommandId, cause: Cause) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        match &mut command.state {
            CommandState::Queued => self.end_unstarted(id, cause),
            CommandState::Running(running) if running.exited.is_some() => self.close_output(id),
            CommandState::Running(running) if running.cause.is_none() => {
                running.cause = Some(cause);
                self.timers.set(Timer::Kill(id), self.now.mono.plus(GRACE));
                self.signal(id, Signal::Term);
            }
            CommandState::Replaying(ended_for) => {
                ended_for.get_or_insert(cause);
                let index = command.job;
                self.release_replayed(index, id);
            }
            CommandState::Running(_) | CommandState::Ended(_) => {}
        }
    }

    /// Ends a command that never starts, though its start may be recorded.
    pub(super) fn end_unstarted(&mut self, id: CommandId, cause: Cause) {
        let error = Some("stopped before it started".to_owned());
        if let Some(sh) = self.commands.get_mut(&id).and_then(|command| command.sh.take()) {
            self.by_sh.remove(&sh);
            let failure = error.clone().map(|message| ShFailure { message });
            let end = ShEnd { error: failure, cause: Some(cause), ..ShEnd::new(sh.n, 126) };
            self.record(RuntimeEvent::ShFinished(sh.job, end));
        }
        self.settle(id, ShResult { exit: 128 + 15, error, cause: Some(cause.as_str()), ..self.blank(id) });
    }

    pub(super) fn signal(&mut self, id: CommandId, signal: Signal) {
        let Some(command) = self.commands.get(&id) else { return };
        if let (CommandState::Running(Running { exited: None, .. }), Some(sh)) = (&command.state, &command.sh) {
            self.outputs.push_back(Output::Signal { sh: sh.clone(), signal });
        }
    }

    pub(super) fn close_output(&mut self, id: CommandId) {
        self.timers.clear(Timer::Close(id));
        let Some(command) = self.commands.get(&id) else { return };
        if let (CommandState::Running(Running { output: None, .. }), Some(sh)) = (&command.state, &command.sh) {
            self.outputs.push_back(Output::CloseOutput { sh: sh.clone() });
        }
    }

    pub(super) fn on_command_timeout(&mut self, id: CommandId) {
        self.end_early(id, Cause::Timeout);
    }

    /// The log lacks bytes from here on: the limit is the cause of the command's end, be it that it has exited already.
    pub(super) fn on_output_limit(&mut self, sh: &ShId) {
        let Some(id) = self.by_sh.get(sh).copied() else { return };
        if let Some(Command { state: CommandState::Running(running), .. }) = self.commands.get_mut(&id)
            && running.exited.is_some()
        {
            running.cause.get_or_insert(Cause::Limit);
        }
        if let Some(most) = self.config.limits.output_bytes {
            let text = format!("{sh} printed more than {}: its log ends there, and it is ended", size::shown(most));
            self.record(RuntimeEvent::JobLogged(sh.job.clone(), text));
        }
        self.end_early(id, Cause::Limit);
    }

    /// A command that has exited may be silent.
    pub(super) fn on_output_idle(&mut self, sh: &ShId) {
        let Some(id) = self.by_sh.get(sh).copied() else { return };
        if let Some(Command { state: CommandState::Running(Running { exited: None, .. }), .. }) = self.commands.get(&id)
        {
            if let Some(longest) = self.config.limits.idle {
                let text = format!("{sh} printed nothing for {}: it is ended", time::shown(longest));
                self.record(RuntimeEvent::JobLogged(sh.job.clone(), text));
            }
            self.end_early(id, Cause::Limit);
        }
    }

    pub(super) fn on_spawn_failed(&mut self, sh: &ShId, failure: SpawnFailure) {
        let Some(id) = self.by_sh.remove(sh) else { return };
        let Some(command) = self.commands.get(&id) else { return };
        let (exit, message) = never_started(failure, &command.spec);
        let error = Some(ShFailure { message: message.clone() });
        self.record(RuntimeEvent::ShFinished(sh.job.clone(), ShEnd { error, ..ShEnd::new(sh.n, exit) }));
        self.settle(id, ShResult { exit, error: Some(message), ..self.blank(id) });
    }

    pub(super) fn on_exited(&mut self, sh: &ShId, status: ExitStatus) {
        let Some(id) = self.by_sh.get(sh).copied() else { return };
        let Some(Command { state: CommandState::Running(running), .. }) = self.commands.get_mut(&id) else { return };
        running.exited = Some(status);
        self.timers.clear(Timer::Kill(id));
        self.timers.clear(Timer::Command(id));
        if running.output.is_none() {
            self.timers.set(Timer::Close(id), self.now.mono.plus(LINGER));
        }
        self.finish_command(id);
    }

    pub(super) fn on_output_ended(&mut self, sh: &ShId, captured: Captured) {
        let Some(id) = self.by_sh.get(sh).copied() else { return };
        let Some(Command { state: CommandState::Running(running), .. }) = self.commands.get_mut(&id) else { return };
        running.output = Some(captured);
        self.timers.clear(Timer::Close(id));
        self.finish_command(id);
    }

    /// Records the end of a command that has both exited and been read to its last byte.
    fn finish_command(&mut self, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        let (Some(sh), CommandState::Running(running)) = (&command.sh, &mut command.state) else { return };
        let Some(status) = running.exited else { return };
        let Some(captured) = running.output.take() else { return };
        let (sh, cause, timeout) = (sh.clone(), running.cause, command.timeout);
        let (exit, signal) = exit_code(status);
        self.by_sh.remove(&sh);
        self.record(RuntimeEvent::ShFinished(
            sh.job.clone(),
            ShEnd {
                signal,
                cause,
                no_eol: captured.no_eol,
                masked: captured.masked,
                truncated: captured.stdout_truncated || captured.stderr_truncated,
                detached: captured.detached,
                ..ShEnd::new(sh.n, exit)
            },
        ));
        // A time-out of the job's, not of the command's own, ends it too: then there is no time to name.
        let after = timeout.filter(|_| cause == Some(Cause::Timeout));
        self.settle(
            id,
            ShResult {
                exit,
                signal,
                stdout: captured.stdout,
                stderr: captured.stderr,
                stdout_truncated: captured.stdout_truncated,
                stderr_truncated: captured.stderr_truncated,
                cause: cause.map(Cause::as_str),
                after,
                ..self.blank(id)
            },
        );
    }

    pub(super) fn blank(&self, id: CommandId) -> ShResult {
        ShResult {
            exit: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            stdout_truncated: false,
            stderr_truncated: false,
            cmd: self.commands.get(&id).map(|command| command.cmd.clone()).unwrap_or_default(),
            signal: None,
            cause: None,
            after: None,
            error: None,
        }
    }

    /// The command is over: frees its slot and tells who waits.
    pub(super) fn settle(&mut self, id: CommandId, result: ShResult) {
        self.slots.release(id);
        for timer in [Timer::Command(id), Timer::Kill(id), Timer::Close(id)] {
            self.timers.clear(timer);
        }
        let Some(command) = self.commands.get_mut(&id) else { return };
        let index = command.job;
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.open.remove(&id);
        if job.waiting == Waiting::Command(id) {
            // A script is told of a command once; its handle remembers.
            self.commands.remove(&id);
            self.reply(index, Reply::Result(Box::new(result)));
        } else {
            command.state = CommandState::Ended(Box::new(result));
        }
        self.set_deferred_clock(index);
        self.advance(index);
    }
}
