//! A run that goes on with the one before it: what it is given of that one's record, and what must hold of what it replays.

use std::collections::{BTreeMap, BTreeSet};

use quire_core::ids::{JobId, RunId, ShId};
use quire_core::replay::{Extent, Here, Recorded};
use quire_core::wire::{Decoded, Event, EventKind, JobFinished, JobOutcome, Reader, RunStarted, ShFinished, ShStarted};

use super::given::World;
use super::machine::{Machine, RunDir};
use super::simulation::Simulation;
use super::violated;

/// The events of a run directory: its whole lines.
pub(super) fn events(dir: &RunDir) -> Vec<Event> {
    let mut events = Vec::new();
    Reader::default().push(&dir.events, |line| match line.decoded {
        Ok(Decoded::Event(event)) => events.push(event),
        other => violated("every_recorded_line_can_be_read", &other),
    });
    events
}

/// Makes the world that of a run which goes on with `earlier`, if that may be resumed.
pub(super) fn resume(machine: &Machine, earlier: &RunId, extent: Extent, world: &mut World) {
    let Some(dir) = machine.runs.get(earlier) else { return };
    let mut recorded = Recorded::default();
    events(dir).iter().for_each(|event| recorded.push(event));
    let here = Here { sha: world.config.sha.clone(), fingerprint: Some("f1".into()), ..Here::default() };
    if recorded.refusals(&world.config, &here).is_empty() {
        let lost = recorded.logs().filter(|sh| !dir.logs.contains_key(sh)).collect();
        recorded.resume(extent, &[], lost, &mut world.config);
    }
}

/// All that must hold of what the run, whose events these are, took from an earlier one.
pub(super) fn check(simulation: &Simulation, recorded: &[Event]) {
    let Some(replay) = &simulation.world.config.replay else {
        if commands(recorded).values().any(|(_, end)| end.is_some_and(|end| end.replayed)) {
            violated("nothing_is_replayed_of_no_run", &simulation.world.config.run_id);
        }
        return;
    };
    let Some(earlier) = simulation.machine.runs.get(replay.run_id()) else { return };
    let before = events(earlier);
    what_is_replayed_was_recorded_so(simulation, recorded, earlier, &before);
    what_was_answered_whole_does_not_run(simulation, recorded, &before);
}

/// Each command by its place, with its end.
fn commands(recorded: &[Event]) -> BTreeMap<ShId, (&ShStarted, Option<&ShFinished>)> {
    let mut begun = BTreeMap::<&JobId, u32>::new();
    let mut commands = BTreeMap::<ShId, (&ShStarted, Option<&ShFinished>)>::new();
    for event in recorded {
        match &event.kind {
            EventKind::ShStarted(started) => {
                let n = begun.entry(&started.job_id).or_default();
                *n += 1;
                commands.insert(ShId { job: started.job_id.clone(), n: *n }, (started, None));
            }
            EventKind::ShFinished(finished) => {
                let is_it = |sh: &ShId, end: &Option<&ShFinished>| {
                    sh.job == finished.job_id && end.is_none() && finished.sh.is_none_or(|n| n == sh.n)
                };
                if let Some((_, (_, end))) = commands.iter_mut().find(|(sh, (_, end))| is_it(sh, end)) {
                    *end = Some(finished);
                }
            }
            _ => {}
        }
    }
    commands
}

fn finished_jobs(recorded: &[Event]) -> BTreeMap<&JobId, &JobFinished> {
    let finished = recorded.iter().filter_map(|event| match &event.kind {
        EventKind::JobFinished(finished) => Some((&finished.job_id, finished)),
        _ => None,
    });
    finished.collect()
}

fn run_started(recorded: &[Event]) -> Option<&RunStarted> {
    recorded.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted(started) => Some(started),
        _ => None,
    })
}

/// A command that is marked as replayed did not run; it is one of the earlier run's, with the same words, the same log, and
/// the same end. In a job whose script runs, it had succeeded and hid nothing.
fn what_is_replayed_was_recorded_so(simulation: &Simulation, recorded: &[Event], earlier: &RunDir, before: &[Event]) {
    let (now, before) = (commands(recorded), commands(before));
    let mut whole: BTreeSet<&JobId> = BTreeSet::new();
    whole.extend(simulation.recalled.iter().filter(|(_, (_, whole))| *whole).map(|(sh, _)| &sh.job));
    let dir = simulation.machine.runs.get(&simulation.world.config.run_id);
    for (sh, (started, end)) in &now {
        let Some(end) = end.filter(|end| end.replayed) else { continue };
        let wrong = |what: &str| violated("what_is_replayed_was_recorded_so", &(what, sh, started, end));
        if simulation.processes.contains_key(sh) {
            wrong("it ran");
        }
        let Some((from, _)) = simulation.recalled.get(sh) else {
            // Of a job that is answered whole, a command that never started has no log.
            if end.error.is_none() {
                wrong("its log was not taken over");
            }
            continue;
        };
        let Some((was, Some(ended))) = before.get(from) else { wrong("it had not ended") };
        if (&was.cmd, &was.key, &was.cwd, &was.env) != (&started.cmd, &started.key, &started.cwd, &started.env) {
            wrong("it was another command");
        }
        let same = ShFinished { sh: end.sh, replayed: true, ..(*ended).clone() };
        if same != *end {
            wrong("it had ended otherwise");
        }
        if !whole.contains(&sh.job) && (end.exit_code != 0 || end.masked || end.truncated || end.cause.is_some()) {
            wrong("the record cannot answer for it");
        }
        if dir.and_then(|dir| dir.logs.get(sh)) != earlier.logs.get(from) {
            wrong("its log is another");
        }
    }
}

/// A job that completed, with an output that hides nothing, after jobs of which all that holds too, starts nothing, ends
/// again with the same output, and is said to be replayed; unless its logs are lost or failed jobs run afresh.
fn what_was_answered_whole_does_not_run(simulation: &Simulation, recorded: &[Event], before: &[Event]) {
    let (now, was) = (finished_jobs(recorded), finished_jobs(before));
    let Some(started) = run_started(before) else { return };
    let mut whole = BTreeSet::new();
    loop {
        let known = whole.len();
        for job in &started.jobs {
            let has_completed = was.get(&job.id).is_some_and(|end| end.outcome == JobOutcome::Complete && !end.masked);
            let is_input_whole = |input: &String| input.starts_with("quire/") || whole.contains(input.as_str());
            if has_completed && job.inputs.iter().all(is_input_whole) {
                whole.insert(job.id.as_str());
            }
        }
        if whole.len() == known {
            break;
        }
    }
    for (id, end) in &now {
        let is_whole = whole.contains(id.as_str());
        if end.replayed != (is_whole && end.outcome == JobOutcome::Complete) {
            violated("what_was_answered_whole_does_not_run", &(id, "is said to be replayed", end.replayed));
        }
        if is_whole && end.outcome == JobOutcome::Complete && was.get(id).is_none_or(|was| was.output != end.output) {
            violated("what_was_answered_whole_does_not_run", &(id, "has another output", &end.output));
        }
    }
    if let Some((sh, _)) = simulation.processes.iter().find(|(sh, _)| whole.contains(sh.job.as_str())) {
        violated("what_was_answered_whole_does_not_run", &(sh, "ran"));
    }
}
