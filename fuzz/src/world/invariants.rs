//! What holds of a run's record when its shell has gone, ended or killed. Each function is named for what it makes sure of.
//!
//! What can be seen only while a run goes on is checked where it happens: nothing starts before it is recorded, or after a
//! second cancel; slots; bytes that come back exactly; nothing left at the end.

use std::collections::BTreeMap;

use quire_core::engine::{ExitStatus, Output};
use quire_core::ids::{JobId, ShId};
use quire_core::wire::{Event, EventKind, FailureKind, JobOutcome, RunOutcome, encode};

use super::command::{base64, hex};
use super::model;
use super::pipeline::{Pipeline, hidden};
use super::resume;
use super::rows::rebuilt;
use super::simulation::Simulation;
use super::store::Rows;
use super::violated;

/// All of them, of a run that nobody drives any more and whose rows have caught up.
pub fn check(simulation: &mut Simulation, pipeline: &Pipeline) {
    let recorded = the_record_is_a_beginning_of_what_was_ordered(simulation);
    every_job_ends_once(&recorded);
    a_job_begins_only_as_its_needs_allow(pipeline, &recorded);
    the_outcome_is_the_recorded_one(simulation, &recorded);
    let rows = rows_are_the_models(simulation, &recorded);
    a_command_ends_as_its_process_did(simulation, &rows);
    resume::check(simulation, &recorded);
    logs_that_were_cut_off_are_beginnings(simulation);
    no_secret_byte_leaves(simulation);
}

/// The events file holds whole lines of what was ordered, in order and without gaps, and then at most a torn one. Returns the
/// events whose lines are whole.
fn the_record_is_a_beginning_of_what_was_ordered(simulation: &mut Simulation) -> Vec<Event> {
    let file = std::mem::take(&mut simulation.dir().events);
    let (mut ordered, mut recorded) = (Vec::new(), Vec::new());
    for order in &simulation.orders {
        let Output::Emit(event) = order else { continue };
        encode(event, &mut ordered);
        if ordered.len() <= file.len() {
            recorded.push(event.clone());
        }
    }
    if !ordered.starts_with(&file) {
        let found = (String::from_utf8_lossy(&file), String::from_utf8_lossy(&ordered));
        violated("the_record_is_a_beginning_of_what_was_ordered", &found);
    }
    simulation.dir().events = file;
    recorded
}

/// Jobs begin at most once and end at most once, in this order; where the run tells its end, every job that it listed has one.
fn every_job_ends_once(recorded: &[Event]) {
    let (mut begun, mut ended) = (BTreeMap::<&JobId, u32>::new(), BTreeMap::<&JobId, u32>::new());
    for event in recorded {
        match &event.kind {
            EventKind::JobStarted(job) => {
                *begun.entry(&job.job_id).or_default() += 1;
                if ended.contains_key(&job.job_id) {
                    violated("every_job_ends_once", &("started after its end", &job.job_id));
                }
            }
            EventKind::JobFinished(job) => *ended.entry(&job.job_id).or_default() += 1,
            EventKind::JobSkipped(job) => *ended.entry(&job.job_id).or_default() += 1,
            _ => {}
        }
    }
    let tells_its_end = matches!(recorded.last().map(|event| &event.kind), Some(EventKind::RunFinished(_)));
    let listed = match recorded.first().map(|event| &event.kind) {
        Some(EventKind::RunStarted(started)) => started.jobs.iter().map(|job| &job.id).collect(),
        _ => Vec::new(),
    };
    let once = |counts: &BTreeMap<&JobId, u32>| counts.iter().all(|(id, count)| *count == 1 && listed.contains(id));
    if !once(&begun) || !once(&ended) || (tells_its_end && ended.len() != listed.len()) {
        violated("every_job_ends_once", &(&listed, &begun, &ended));
    }
}

/// A job begins after the ends of all its inputs, and only over such ends as it needs.
fn a_job_begins_only_as_its_needs_allow(pipeline: &Pipeline, recorded: &[Event]) {
    let mut inputs = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for event in recorded {
        match &event.kind {
            EventKind::RunStarted(started) => {
                inputs.extend(started.jobs.iter().map(|job| (&job.id, &job.inputs)));
            }
            EventKind::JobFinished(job) => {
                let is_well = job.outcome == JobOutcome::Complete || job.allowed;
                ends.insert(job.job_id.as_str(), if is_well { "well" } else { "badly" });
            }
            EventKind::JobSkipped(job) => {
                ends.insert(job.job_id.as_str(), "skipped");
            }
            EventKind::JobStarted(job) => {
                let allowed: &[&str] = match pipeline.needs.get(&job.job_id).copied() {
                    Some("finished") => &["well", "badly", "skipped"],
                    Some("unfailed") => &["well", "skipped"],
                    _ => &["well"],
                };
                let of_job = inputs.get(&job.job_id).into_iter().copied().flatten();
                for input in of_job.filter(|input| !input.starts_with("quire/")) {
                    let end = ends.get(input.as_str()).copied();
                    if !end.is_some_and(|end| allowed.contains(&end)) {
                        violated("a_job_begins_only_as_its_needs_allow", &(&job.job_id, input, end));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The exit code of a recorded end is that of the process.
fn a_command_ends_as_its_process_did(simulation: &Simulation, rows: &Rows) {
    for ((job, n), row) in rows.commands.iter().filter(|(_, row)| !row.replayed) {
        let sh = ShId { job: job.clone(), n: *n };
        let status = simulation.processes.get(&sh).and_then(|process| process.status);
        let expected = match status {
            Some(ExitStatus::Code(code)) => vec![code],
            Some(ExitStatus::Signal(signal)) => vec![128 + signal],
            None => vec![126, 127],
        };
        if row.exit_code.is_some_and(|code| !expected.contains(&code)) {
            violated("a_command_ends_as_its_process_did", &(row, expected));
        }
    }
}

/// What the shell was told at the end is what the record says; a run whose record was lost did not end well.
fn the_outcome_is_the_recorded_one(simulation: &Simulation, recorded: &[Event]) {
    let Some(done) = simulation.done else { return };
    match recorded.last().map(|event| &event.kind) {
        Some(EventKind::RunFinished(finished)) if finished.outcome == done => {}
        // The shell says "failed" of its own where the engine had ended already.
        _ if simulation.record_failed && (done == RunOutcome::Failed || simulation.world.shell.gathers) => {}
        other => violated("the_outcome_is_the_recorded_one", &(done, other)),
    }
}

/// Rows written live, caught up, or made anew from the start of the stream, put once or twice, are those of the model, which are
/// returned.
fn rows_are_the_models(simulation: &mut Simulation, recorded: &[Event]) -> Rows {
    let run_id = simulation.world.config.run_id.clone();
    let live = simulation.machine.store.rows(&run_id);
    let bytes_a_read = simulation.world.shell.bytes_a_read;
    let tells_its_end = matches!(recorded.last().map(|event| &event.kind), Some(EventKind::RunFinished(_)));
    let dir = simulation.dir();
    let closed = dir.closed.filter(|_| !tells_its_end);
    let whole_lines = dir.events.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    let expected = model::rows(&run_id, recorded, closed, whole_lines);
    if live != expected {
        violated("rows_are_the_models", &Differing(&live, &expected));
    }
    let rebuilt = rebuilt(&run_id, &dir.events, closed.unwrap_or(FailureKind::Orphaned), bytes_a_read).rows(&run_id);
    if rebuilt != expected {
        violated("rows_made_anew_are_the_models", &Differing(&rebuilt, &expected));
    }
    expected
}

/// Two sets of rows, one after the other.
struct Differing<'a, T>(&'a T, &'a T);

impl<T: std::fmt::Debug> std::fmt::Debug for Differing<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (found, expected) = (format!("{:#?}", self.0), format!("{:#?}", self.1));
        writeln!(f)?;
        let differing =
            found.lines().zip(expected.lines()).enumerate().filter(|(_, (found, expected))| found != expected);
        for (line, (found, expected)) in differing.take(8) {
            writeln!(f, "  line {line}: {} instead of {}", found.trim(), expected.trim())?;
        }
        write!(f, "found {} lines, expected {}", found.lines().count(), expected.lines().count())
    }
}

fn logs_that_were_cut_off_are_beginnings(simulation: &Simulation) {
    let Some(dir) = simulation.machine.runs.get(&simulation.world.config.run_id) else { return };
    for (sh, process) in simulation.processes.iter().filter(|(_, process)| process.capture.is_some()) {
        if let Some(log) = dir.logs.get(sh) {
            process.check_torn_log(sh, log);
        }
    }
}

/// No form of a secret is in the events, in any log or in what is said about the pipeline.
fn no_secret_byte_leaves(simulation: &Simulation) {
    let Some(dir) = simulation.machine.runs.get(&simulation.world.config.run_id) else { return };
    let declared = simulation.world.config.secrets.values().flat_map(|secret| {
        let whole = secret.strip_suffix(b"\n").unwrap_or(secret);
        let mut forms = vec![whole.to_vec(), hex(whole), hex(whole).to_ascii_uppercase()];
        // What of its base64 it determines alone.
        forms.push(base64(whole)[..whole.len() / 3 * 4].to_vec());
        forms.extend(whole.split(|byte| *byte == b'\n').filter(|line| line.len() >= 8).map(<[u8]>::to_vec));
        forms
    });
    let masked = (0..4).map(|job| hidden(&format!("j{job}")).into_bytes());
    let said: String = simulation.engine.diagnostics().iter().map(ToString::to_string).collect();
    for form in declared.chain(masked) {
        let finder = memchr::memmem::Finder::new(&form);
        let mut places = std::iter::once(&dir.events).chain(dir.logs.values()).map(Vec::as_slice);
        if let Some(place) = places.find(|place| finder.find(place).is_some()) {
            let found = (String::from_utf8_lossy(&form), String::from_utf8_lossy(place));
            violated("no_secret_byte_leaves", &found);
        }
        if finder.find(said.as_bytes()).is_some() {
            violated("no_secret_byte_leaves", &(String::from_utf8_lossy(&form), &said));
        }
    }
}
