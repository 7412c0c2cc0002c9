//! What holds for any pipeline, whatever its commands do and whenever it is cancelled.

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use quire_core::engine::{Engine, Input, Output};
use quire_core::ids::JobId;
use quire_core::wire::{EventKind, RunOutcome};

use quire_fuzz::world::{Story, World, at};

/// A random pipeline, a random shell, a random moment for a cancel or two.
#[derive(Debug, Clone)]
struct Scenario {
    jobs: Vec<String>,
    slots: u32,
    keep_going: bool,
    select: Option<usize>,
    cancels: Vec<u64>,
    sweep_ms: u64,
    answer_ms: u64,
    output_first: bool,
    seed: u64,
}

impl Scenario {
    fn world(&self) -> World {
        World::new(&self.jobs.join("\n")).slots(self.slots).file("x", "content").cancelled(&self.cancels).set(|world| {
            world.config.keep_going = self.keep_going;
            world.config.select = self.select.iter().map(|job| format!("j{job}")).collect();
            world.config.seed = self.seed;
            world.sweep_ms = self.sweep_ms;
            world.answer_ms = self.answer_ms;
            world.output_first = self.output_first;
        })
    }
}

fn pick<'a>(g: &mut Gen, of: &[&'a str]) -> &'a str {
    g.choose(of).unwrap()
}

const COMMANDS: &[&str] = &[
    "ok",
    "print hello; sleep 1",
    "put x; err y",
    "fail 3",
    "sleep 2; fail 1",
    "sleep 5",
    "signal 9",
    "deaf; sleep 30",
    "term 0; sleep 20",
    "linger 1",
    "sleep 1; linger 9",
    "closes; sleep 2",
    "missing",
    "nocwd",
    "broken",
    "fail_first 1",
];

/// One statement of a job's function.
fn statement(g: &mut Gen, job: usize) -> String {
    let cmd = pick(g, COMMANDS);
    let options =
        pick(g, &["", ", {check = false}", ", {timeout = 2}", ", {retries = 1}", ", {merge = true, timeout = 3}"]);
    let spawn_options = pick(g, &["", ", {check = false}", ", {timeout = 3}", ", {service = true}"]);
    match u8::arbitrary(g) % 17 {
        0..4 => format!("rt.sh('{cmd}'{options})"),
        4 => format!("pcall(rt.sh, '{cmd}'{options})"),
        5 => format!("rt.spawn('{cmd}'{spawn_options})"),
        6 => format!(
            "local h = rt.spawn('{cmd}'{spawn_options}) rt.sh('ok') {}",
            pick(g, &["h:wait()", "h:stop()", "pcall(h.wait, h)"])
        ),
        7 => format!("pcall(rt.all, {{'{cmd}', '{}', 'ok'}})", pick(g, COMMANDS)),
        8 => format!("rt.defer(function() rt.sh('{cmd}') end)"),
        9 => "rt.defer(function() rt.spawn('sleep 1; fail 1') rt.log('deferred') end)".to_owned(),
        10 => "if math.random(2) == 1 then rt.skip('by chance') end".to_owned(),
        11 => "for k, v in pairs({b = {}, a = math.random(9), [7] = 1}) do rt.log(k, v) end".to_owned(),
        12 => "rt.log(rt.read_file('x'), pcall(rt.read_file, 'no'), rt)".to_owned(),
        13 => "rt.write_file('y' .. rt.id, 'z') rt.mask('hidden' .. rt.id)".to_owned(),
        14 => "if rt.attempt == 1 then error({}) end".to_owned(),
        15 if job > 0 => format!("rt.log(pcall(rt.jobs, 'j{}'))", usize::arbitrary(g) % job),
        _ => "for i = 1, 1000 do local x = {i} end".to_owned(),
    }
}

fn job(g: &mut Gen, job: usize) -> String {
    let mut inputs: Vec<String> =
        (0..job).filter(|_| u8::arbitrary(g) % 3 == 0).map(|input| format!("'j{input}'")).collect();
    if u8::arbitrary(g) % 12 == 0 {
        inputs.push("'quire/manual'".to_owned());
    }
    let inputs = if inputs.is_empty() { "nil".to_owned() } else { format!("{{{}}}", inputs.join(", ")) };
    let mut options = Vec::new();
    for option in ["timeout = 7", "retries = 1", "allow_failure = true"] {
        if u8::arbitrary(g) % 4 == 0 {
            options.push(option.to_owned());
        }
    }
    options.push(format!("needs = '{}'", pick(g, &["complete", "complete", "unfailed", "finished"])));
    let count = usize::arbitrary(g) % 5;
    let body: Vec<String> = (0..count).map(|_| statement(g, job)).collect();
    let end = pick(g, &["", "return {n = rt.id}", "return rt.sh('ok')", "error('at the end')"]);
    format!("ci.job('j{job}', {inputs}, {{{}}}, function(rt)\n{}\n{end} end)", options.join(", "), body.join("\n"))
}

impl Arbitrary for Scenario {
    fn arbitrary(g: &mut Gen) -> Scenario {
        let count = 1 + usize::arbitrary(g) % 6;
        let cancels = match u8::arbitrary(g) % 4 {
            0 => vec![u64::arbitrary(g) % 12_000],
            1 => {
                let first = u64::arbitrary(g) % 12_000;
                vec![first, first + u64::arbitrary(g) % 12_000]
            }
            _ => Vec::new(),
        };
        Scenario {
            jobs: (0..count).map(|index| job(g, index)).collect(),
            slots: 1 + u32::arbitrary(g) % 4,
            keep_going: bool::arbitrary(g),
            select: (u8::arbitrary(g) % 5 == 0).then(|| usize::arbitrary(g) % count),
            cancels,
            sweep_ms: *g.choose(&[0, 0, 5, 700]).unwrap(),
            answer_ms: *g.choose(&[0, 0, 5, 700]).unwrap(),
            output_first: bool::arbitrary(g),
            seed: u64::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Scenario>> {
        let mut smaller = Vec::new();
        if self.jobs.len() > 1 && self.select.is_none() {
            smaller.push(Scenario { jobs: self.jobs[..self.jobs.len() - 1].to_vec(), ..self.clone() });
        }
        if !self.cancels.is_empty() {
            smaller.push(Scenario { cancels: self.cancels[..self.cancels.len() - 1].to_vec(), ..self.clone() });
        }
        for (index, job) in self.jobs.iter().enumerate() {
            let lines: Vec<&str> = job.lines().collect();
            for line in 1..lines.len().saturating_sub(1) {
                let fewer = [&lines[..line], &lines[line + 1..]].concat().join("\n");
                let mut jobs = self.jobs.clone();
                jobs[index] = fewer;
                smaller.push(Scenario { jobs, ..self.clone() });
            }
        }
        Box::new(smaller.into_iter())
    }
}

/// How many of `job`'s events are of a kind.
fn count(story: &Story, of: impl Fn(&EventKind) -> Option<&JobId>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in story.events.iter().filter_map(|event| of(&event.kind)) {
        *counts.entry(id.to_string()).or_default() += 1;
    }
    counts
}

/// What the world itself asserts of every run is not said again: no irregularity for pairing, every command with its end in
/// the record, nothing started twice, no process left when its scope is swept, one end and nothing after it.
fn comes_to_its_end(scenario: Scenario) -> bool {
    let story = scenario.world().run();
    let EventKind::RunStarted(started) = &story.events[0].kind else { panic!("run_started is first") };
    let EventKind::RunFinished(finished) = &story.events.last().unwrap().kind else { panic!("run_finished is last") };
    assert_eq!(finished.outcome, story.outcome);
    let begun = count(&story, |kind| match kind {
        EventKind::JobStarted(job) => Some(&job.job_id),
        _ => None,
    });
    let ended = count(&story, |kind| match kind {
        EventKind::JobFinished(job) => Some(&job.job_id),
        EventKind::JobSkipped(job) => Some(&job.job_id),
        _ => None,
    });
    assert!(ended.values().chain(begun.values()).all(|count| *count == 1), "{begun:?} {ended:?}");
    let listed: Vec<String> = started.jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(ended.keys().cloned().collect::<Vec<_>>(), listed, "every job ends");
    assert!(begun.keys().all(|id| ended.contains_key(id)));
    let has_failed = story.events.iter().any(|event| match &event.kind {
        EventKind::JobFinished(job) => job.outcome.as_str() == "failed" && !job.allowed,
        _ => false,
    });
    match story.outcome {
        RunOutcome::Complete => assert!(!has_failed),
        RunOutcome::Failed => assert!(has_failed || story.diagnostics.len() == 1),
        RunOutcome::Aborted => assert!(!scenario.cancels.is_empty()),
    }
    let last = story.script.last().unwrap().0;
    assert!(last < 3_600_000, "it takes {last} ms");
    if let Some(cancel) = scenario.cancels.first().filter(|cancel| **cancel < last) {
        // TERM and KILL of the function's commands, sweep, deferred functions, TERM and KILL of theirs, sweeps.
        assert!(last <= cancel + 10_200 + 60_000 + 10_200 + 3 * 700 + 1_400, "cancelled at {cancel}, ended at {last}");
    }
    true
}

#[test]
fn every_run_comes_to_its_end_and_everything_in_it() {
    QuickCheck::new().tests(300).quickcheck(comes_to_its_end as fn(Scenario) -> bool);
}

/// Performs what the engine orders; time does not pass.
fn drain(engine: &mut Engine, now: quire_core::time::Now, orders: &mut Vec<Output>) {
    loop {
        while let Some(order) = engine.poll_output() {
            orders.push(order);
        }
        match engine.next_deadline() {
            Some(deadline) if deadline <= now.mono => engine.handle(now, Input::Tick),
            _ => return,
        }
    }
}

/// The orders of an engine that is told the facts of `story` up to `most` at a time before it is drained; never a fact before
/// the order that caused it, and alone what may not be told late.
fn told_late(world: &World, story: &Story, most: usize) -> Vec<Output> {
    let mut engine = Engine::new(world.config.clone(), at(0));
    let mut orders = Vec::new();
    drain(&mut engine, at(0), &mut orders);
    let mut facts = story.facts.iter().peekable();
    while let Some((now, fact, _)) = facts.next() {
        let (mut latest, mut told) = (*now, 1);
        engine.handle(*now, fact.clone());
        let is_alone = |fact: &Input| matches!(fact, Input::Cancel | Input::RecordFailed { .. } | Input::Tick);
        while told < most
            && !is_alone(fact)
            && let Some((now, fact, _)) = facts.next_if(|(_, fact, cause)| !is_alone(fact) && *cause <= orders.len())
        {
            engine.handle(*now, fact.clone());
            latest = *now;
            told += 1;
        }
        drain(&mut engine, latest, &mut orders);
    }
    orders
}

fn tells_the_same_eagerly_and_late(scenario: Scenario) -> bool {
    let world = scenario.world();
    let story = world.clone().run();
    for most in [1, 2, 3, 1_000] {
        let late = told_late(&world, &story, most);
        let differs = late.iter().zip(&story.orders).position(|(late, eager)| late != eager);
        if let Some(at) = differs {
            panic!("{most} at a time, order {at}: {:#?} instead of {:#?}", late[at], story.orders[at]);
        }
        assert_eq!(late.len(), story.orders.len(), "{most} at a time");
        assert_eq!(format!("{late:?}"), format!("{:?}", story.orders));
    }
    true
}

#[test]
fn the_same_facts_give_the_same_orders_however_late_they_are_drained() {
    QuickCheck::new().tests(150).quickcheck(tells_the_same_eagerly_and_late as fn(Scenario) -> bool);
}

fn loses_its_record_well(scenario: Scenario) -> bool {
    let events = scenario.world().run().events.len();
    for (at, gathers) in [(0, false), (events / 3, true), (events / 2, false), (events - 1, false)] {
        let story = scenario.world().set(|world| (world.unwritable, world.shell.gathers) = (Some(at), gathers)).run();
        assert_eq!(story.events.len(), at);
        // A shell that gathers may hold the order to end already when it finds that an event cannot be written.
        assert!(story.outcome == RunOutcome::Failed || gathers, "{:#?}", story.script);
    }
    true
}

#[test]
fn a_record_may_be_lost_anywhere() {
    QuickCheck::new().tests(60).quickcheck(loses_its_record_well as fn(Scenario) -> bool);
}
