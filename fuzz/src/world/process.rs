//! Simulated processes: their lives step by step, their pipes, their logs.

use std::collections::VecDeque;

use quire_core::capture::{Capture, Captured, Notice};
use quire_core::cri::stream_bytes;
use quire_core::engine::{ExitStatus, Input, Output, Signal};
use quire_core::ids::ShId;
use quire_core::redact::SecretSet;
use quire_core::wire::Stream;

use super::command::{Form, Script, Statement, base64, hex};
use super::fault::Fault;
use super::machine::Killed;
use super::simulation::{Happening, Simulation};
use super::violated;

/// What a command has between TERM and KILL.
const GRACE_MS: u64 = 10_000;
/// How old the pipes of a command that has exited may get.
const LINGER_MS: u64 = 200;

/// A command's process, and the shell's end of its output.
#[derive(Debug)]
pub(super) struct Process {
    pub script: Script,
    pub text: String,
    pub next: usize,
    pub capture: Option<Capture>,
    /// The order that started it, counted from 1.
    pub cause: usize,
    pub merge: bool,
    pub deaf: bool,
    pub on_term: Option<i32>,
    pub linger_ms: u64,
    pub late: usize,
    pub exited: bool,
    /// How, as the shell is told.
    pub status: Option<ExitStatus>,
    /// Facts of its end that were told: two in all.
    pub facts_of_end: u8,
    /// When it was asked to end.
    pub asked_ms: Option<u64>,
    /// When the engine was told that it has exited.
    pub exit_told_ms: Option<u64>,
    /// What it printed and nobody has read.
    pub pipe: VecDeque<(Stream, Vec<u8>)>,
    /// A read is on its way; until then nothing is read.
    pub read_is_late: bool,
    /// What was read: standard output, standard error.
    pub read: [Vec<u8>; 2],
    /// What its log was masked with, if that never changed.
    pub secrets: Option<SecretSet>,
    /// Its output reached the limit.
    pub limited: bool,
    /// Its log could not be written.
    pub log_failed: bool,
}

impl Process {
    pub fn new(text: String, capture: Capture, merge: bool, secrets: SecretSet, cause: usize) -> Process {
        Process {
            script: Script::parse(&text),
            text,
            next: 0,
            capture: Some(capture),
            cause,
            merge,
            deaf: false,
            on_term: None,
            linger_ms: 0,
            late: 0,
            exited: false,
            status: None,
            facts_of_end: 0,
            asked_ms: None,
            exit_told_ms: None,
            pipe: VecDeque::new(),
            read_is_late: false,
            read: [Vec::new(), Vec::new()],
            secrets: Some(secrets),
            limited: false,
            log_failed: false,
        }
    }

    /// What was read of a stream.
    fn read_of(&self, stream: Stream) -> &[u8] {
        match stream {
            Stream::Stdout => &self.read[0],
            Stream::Stderr => &self.read[1],
        }
    }

    /// What its whole log must give back of a stream; `None` where that cannot be said.
    fn expected(&self, stream: Stream) -> Option<Vec<u8>> {
        let secrets = self.secrets.as_ref().filter(|_| !self.limited && !self.log_failed)?;
        let read = self.read_of(stream);
        Some(secrets.mask_bytes(read).unwrap_or_else(|| read.to_vec()))
    }

    /// A log that the shell was killed over holds a beginning of what was read of each stream, masked.
    pub fn check_torn_log(&self, sh: &ShId, log: &[u8]) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(expected) = self.expected(stream) else { continue };
            let held = stream_bytes(log, stream, true);
            if !held.as_ref().is_ok_and(|held| expected.starts_with(held)) {
                violated("a_torn_log_is_a_beginning", &(sh, stream, held, expected));
            }
        }
    }

    /// Log and end together give back each stream's bytes; the script is given them as they were.
    fn check_whole_log(&self, sh: &ShId, log: &[u8], captured: &Captured) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(expected) = self.expected(stream) else { continue };
            let held = stream_bytes(log, stream, captured.no_eol.contains(&stream));
            if held.as_ref() != Ok(&expected) {
                violated("a_commands_bytes_come_back_exactly", &(sh, stream, held, expected));
            }
            let (kept, truncated) = match stream {
                Stream::Stdout => (&captured.stdout, captured.stdout_truncated),
                Stream::Stderr => (&captured.stderr, captured.stderr_truncated),
            };
            if !truncated && kept.as_slice() != self.read_of(stream) {
                violated("a_script_is_given_the_raw_bytes", &(sh, stream, kept));
            }
        }
    }
}

impl Simulation {
    /// Runs a command's statements up to a sleep or its end.
    pub(super) fn step(&mut self, sh: &ShId) -> Result<(), Killed> {
        loop {
            let Some(process) = self.processes.get_mut(sh).filter(|process| !process.exited) else { return Ok(()) };
            let Some(statement) = process.script.statements.get(process.next).cloned() else {
                return self.exit(sh, ExitStatus::Code(0));
            };
            process.next += 1;
            match statement {
                Statement::Nothing => {}
                Statement::Print { stderr, bytes } => {
                    let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
                    self.print(sh, stream, bytes)?;
                }
                Statement::Late(bytes) => process.late = bytes,
                Statement::SleepMs(ms) => {
                    self.push(self.ms() + ms, Happening::Step(sh.clone()));
                    return Ok(());
                }
                Statement::Fail(code) => return self.exit(sh, ExitStatus::Code(code)),
                Statement::Signal(signal) => return self.exit(sh, ExitStatus::Signal(signal)),
                Statement::Deaf => process.deaf = true,
                Statement::Term(code) => process.on_term = Some(code),
                Statement::LingerMs(ms) => process.linger_ms = ms,
                Statement::Closes => self.end_output(sh, false)?,
                Statement::FailFirst(count) => {
                    if self.started.get(&process.text).copied().unwrap_or(0) <= count {
                        return self.exit(sh, ExitStatus::Code(1));
                    }
                }
                Statement::Cat | Statement::Pwd | Statement::GetEnv(_) => {
                    let bytes = self.of_its_order(process_cause(self, sh), &statement);
                    self.print(sh, Stream::Stdout, bytes)?;
                }
                Statement::Leak { name, form } => self.leak(sh, &name, form)?,
            }
        }
    }

    /// What a command knows of how it was started.
    fn of_its_order(&self, cause: usize, statement: &Statement) -> Vec<u8> {
        let Some(Output::Spawn { command, .. }) = self.orders.get(cause.saturating_sub(1)) else { return Vec::new() };
        match statement {
            Statement::Cat => command.stdin.clone().unwrap_or_default(),
            Statement::Pwd => command.cwd.clone().into_bytes(),
            Statement::GetEnv(name) => {
                command.env.get(name).cloned().flatten().unwrap_or_else(|| "(unset)".into()).into_bytes()
            }
            _ => Vec::new(),
        }
    }

    fn leak(&mut self, sh: &ShId, name: &str, form: Form) -> Result<(), Killed> {
        let Some(secret) = self.world.config.secrets.get(name).cloned() else { return Ok(()) };
        match form {
            Form::Raw => self.print(sh, Stream::Stdout, secret),
            Form::Hex => self.print(sh, Stream::Stderr, hex(&secret)),
            Form::Base64 => self.print(sh, Stream::Stdout, base64(&secret)),
            Form::Halves => {
                let (first, second) = secret.split_at(secret.len() / 2);
                self.print(sh, Stream::Stdout, first.to_vec())?;
                if let Some(process) = self.processes.get_mut(sh) {
                    // What is left of it comes after a pause.
                    let rest = Statement::Print { stderr: false, bytes: second.to_vec() };
                    process.script.statements.insert(process.next, rest);
                    process.script.statements.insert(process.next, Statement::SleepMs(300));
                }
                Ok(())
            }
        }
    }

    /// Bytes go into a pipe; the shell reads them at once, unless it is late.
    fn print(&mut self, sh: &ShId, stream: Stream, bytes: Vec<u8>) -> Result<(), Killed> {
        let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
        let stream = if process.merge { Stream::Stdout } else { stream };
        process.pipe.push_back((stream, bytes));
        if process.read_is_late {
            return Ok(());
        }
        let late = |fault| match fault {
            Fault::ReadLate(ms) => Some(ms),
            _ => None,
        };
        if let Some(ms) = self.machine.plan.strike(late) {
            process.read_is_late = true;
            self.push(self.ms() + u64::from(ms), Happening::Read(sh.clone()));
            return Ok(());
        }
        self.read(sh)
    }

    /// Reads all that is in a command's pipes.
    pub(super) fn read(&mut self, sh: &ShId) -> Result<(), Killed> {
        loop {
            let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
            process.read_is_late = false;
            let Some((stream, bytes)) = process.pipe.pop_front() else { return Ok(()) };
            let split = |fault| match fault {
                Fault::ReadSplit(at) => Some(usize::from(at) % (bytes.len() + 1)),
                _ => None,
            };
            let (first, second) = bytes.split_at(self.machine.plan.strike(split).unwrap_or(bytes.len()));
            self.take(sh, stream, first)?;
            self.take(sh, stream, second)?;
        }
    }

    fn take(&mut self, sh: &ShId, stream: Stream, bytes: &[u8]) -> Result<(), Killed> {
        let now = self.machine.clock.now();
        let Some(Process { capture: Some(capture), read: [stdout, stderr], cause, limited, .. }) =
            self.processes.get_mut(sh)
        else {
            return Ok(());
        };
        self.reads += 1;
        match stream {
            Stream::Stdout => stdout.extend_from_slice(bytes),
            Stream::Stderr => stderr.extend_from_slice(bytes),
        }
        let (notice, cause) = (capture.push(stream, bytes, now, &mut self.entries), *cause);
        *limited |= notice == Some(Notice::OutputLimit);
        self.write_log(sh)?;
        if notice == Some(Notice::OutputLimit) {
            self.fact(Input::OutputLimitReached { sh: sh.clone() }, cause);
        }
        Ok(())
    }

    /// The entries that wait go into the command's log. One that cannot be written ends the record.
    pub(super) fn write_log(&mut self, sh: &ShId) -> Result<(), Killed> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.entries);
        let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
        if !process.log_failed {
            if let Some(cut) = self.machine.write_point(entries.len()) {
                self.log(sh).extend_from_slice(&entries[..cut]);
                return Err(Killed);
            }
            if self.machine.plan.strike(|fault| matches!(fault, Fault::LogUnwritten).then_some(())).is_some() {
                process.log_failed = true;
                self.record_failed = true;
                self.fact(Input::RecordFailed { message: "the log cannot be written".into() }, 0);
            } else {
                self.log(sh).extend_from_slice(&entries);
            }
        }
        self.entries = entries;
        self.entries.clear();
        Ok(())
    }

    fn log(&mut self, sh: &ShId) -> &mut Vec<u8> {
        self.dir().logs.entry(sh.clone()).or_default()
    }

    pub(super) fn signal(&mut self, sh: &ShId, signal: Signal) -> Result<(), Killed> {
        if !self.processes.contains_key(sh) && !self.record_failed && !self.is_recorded(sh) {
            violated("only_what_was_started_is_signalled", &(signal, sh));
        }
        let now = self.ms();
        let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
        if !process.exited && signal == Signal::Term {
            process.asked_ms.get_or_insert(now);
        }
        let status = match signal {
            _ if process.exited => return Ok(()),
            Signal::Kill => ExitStatus::Signal(9),
            _ if process.deaf => return Ok(()),
            Signal::Term => process.on_term.map_or(ExitStatus::Signal(15), ExitStatus::Code),
            Signal::Int => ExitStatus::Signal(2),
        };
        self.exit(sh, status)
    }

    fn exit(&mut self, sh: &ShId, status: ExitStatus) -> Result<(), Killed> {
        let output_first = self.world.output_first && sh.n.is_multiple_of(2);
        let (now, held_up_ms) = (self.ms(), self.held_up_ms);
        let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
        if process.asked_ms.is_some_and(|asked| now - asked > GRACE_MS + held_up_ms) {
            violated("what_is_asked_to_end_is_killed_after_its_grace", &(sh, process.asked_ms, now));
        }
        process.exited = true;
        process.status = Some(status);
        let (cause, linger_ms) = (process.cause, process.linger_ms);
        if linger_ms > 0 {
            self.push(self.ms() + linger_ms, Happening::LetGo(sh.clone()));
        } else if output_first {
            self.end_output(sh, false)?;
        }
        let late = |fault| match fault {
            Fault::ExitLate(ms) => Some(u64::from(ms)),
            _ => None,
        };
        let late_ms = self.machine.plan.strike(late).unwrap_or(0);
        self.push(self.ms() + late_ms, Happening::Fact(Input::Exited { sh: sh.clone(), status }, cause));
        if linger_ms == 0 && !output_first {
            self.push(self.ms(), Happening::LetGo(sh.clone()));
        }
        Ok(())
    }

    pub(super) fn let_go(&mut self, sh: &ShId) -> Result<(), Killed> {
        let late = self.processes.get(sh).map_or(0, |process| process.late);
        self.print(sh, Stream::Stdout, vec![b'x'; late])?;
        self.end_output(sh, false)
    }

    /// Reads what is there and ends the capture.
    pub(super) fn end_output(&mut self, sh: &ShId, detached: bool) -> Result<(), Killed> {
        self.read(sh)?;
        let (now, held_up_ms) = (self.ms(), self.held_up_ms);
        let Some(process) = self.processes.get_mut(sh) else { return Ok(()) };
        let Some(mut capture) = process.capture.take() else { return Ok(()) };
        if process.exit_told_ms.is_some_and(|told| now - told > LINGER_MS + held_up_ms) {
            violated("output_is_closed_soon_after_the_exit", &(sh, process.exit_told_ms, now));
        }
        let cause = process.cause;
        self.with_output.remove(sh);
        capture.end(Stream::Stdout, detached, &mut self.entries);
        capture.end(Stream::Stderr, detached, &mut self.entries);
        self.write_log(sh)?;
        let captured = capture.into_captured();
        let log = self.machine.runs.get(&self.world.config.run_id).and_then(|dir| dir.logs.get(sh));
        if let (Some(process), Some(log)) = (self.processes.get(sh), log) {
            process.check_whole_log(sh, log, &captured);
        }
        self.push(self.ms(), Happening::Fact(Input::OutputEnded { sh: sh.clone(), captured }, cause));
        Ok(())
    }
}

fn process_cause(simulation: &Simulation, sh: &ShId) -> usize {
    simulation.processes.get(sh).map_or(0, |process| process.cause)
}
