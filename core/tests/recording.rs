//! From what happens to rows: recorder, wire and pairing agree on every legal run.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, quickcheck};
use quire_core::ids::{JobId, RunId};
use quire_core::pairing::Pairing;
use quire_core::recorder::{JobEnd, Recorder, RuntimeEvent, ShEnd};
use quire_core::rows::{JobState, RowCommand};
use quire_core::time::Wall;
use quire_core::wire::{
    Cause, Decoded, Event, FailureKind, JobFailure, JobListed, JobOutcome, Reader, RunOutcome, RunStarted, ShFailure,
    SkipReason, Stream, encode,
};
use serde_json::Value;

/// A legal run: anything that may happen, in an order in which it may.
#[derive(Debug, Clone)]
struct LegalRun(Vec<(i64, RuntimeEvent)>);

#[derive(Default)]
struct JobSoFar {
    started: bool,
    ended: bool,
    commands: u32,
    open: Vec<u32>,
}

impl Arbitrary for LegalRun {
    fn arbitrary(g: &mut Gen) -> LegalRun {
        let ids: Vec<JobId> = ["a", "b-1", "ünlikely"].iter().map(|id| JobId::from_record(id)).collect();
        let mut events = vec![RuntimeEvent::RunStarted(run_started(g, &ids))];
        let mut jobs: BTreeMap<JobId, JobSoFar> = BTreeMap::new();
        for _ in 0..usize::arbitrary(g) % 80 {
            let id = g.choose(&ids).unwrap().clone();
            let job = jobs.entry(id.clone()).or_default();
            events.extend(step(g, &id, job));
        }
        for (id, job) in &mut jobs {
            while let Some(n) = job.open.pop() {
                events.push(RuntimeEvent::ShFinished(id.clone(), sh_end(g, n)));
            }
            if job.started && !job.ended {
                events.push(RuntimeEvent::JobFinished(id.clone(), job_end(g)));
            }
        }
        events.push(RuntimeEvent::RunFinished {
            outcome: *g.choose(RunOutcome::ALL).unwrap(),
            failure_kind: g.choose(FailureKind::ALL).copied().filter(|_| bool::arbitrary(g)),
            error: Some(failure(g)).filter(|_| bool::arbitrary(g)),
            fingerprint: Option::arbitrary(g),
        });
        LegalRun(events.into_iter().map(|event| (i64::from(i32::arbitrary(g)), event)).collect())
    }
}

/// Something that may happen to the job now; nothing where the dice ask for what may not.
fn step(g: &mut Gen, id: &JobId, job: &mut JobSoFar) -> Option<RuntimeEvent> {
    if job.ended {
        return Some(RuntimeEvent::RunLogged(String::arbitrary(g)));
    }
    let dice = u8::arbitrary(g) % 20;
    if !job.started && dice > 0 {
        job.started = true;
        return Some(RuntimeEvent::JobStarted(id.clone()));
    }
    match dice {
        0 if job.open.is_empty() => {
            job.ended = true;
            let reason = g.choose(&[SkipReason::Pipeline, SkipReason::Other("moon".to_owned())]).unwrap().clone();
            Some(RuntimeEvent::JobSkipped(id.clone(), reason, Option::arbitrary(g)))
        }
        1 if job.open.is_empty() => {
            job.ended = true;
            Some(RuntimeEvent::JobFinished(id.clone(), job_end(g)))
        }
        2 if job.open.is_empty() => Some(RuntimeEvent::JobRetried(id.clone(), failure(g))),
        3 => Some(RuntimeEvent::JobLogged(id.clone(), String::arbitrary(g))),
        4..=10 if !job.open.is_empty() => {
            let n = job.open.remove(usize::arbitrary(g) % job.open.len());
            Some(RuntimeEvent::ShFinished(id.clone(), sh_end(g, n)))
        }
        _ if job.started => {
            job.commands += 1;
            job.open.push(job.commands);
            let (cmd, key) = (String::arbitrary(g), Option::arbitrary(g));
            let (cwd, env, shell) = (Option::arbitrary(g), BTreeMap::arbitrary(g), Option::arbitrary(g));
            Some(RuntimeEvent::ShStarted { job: id.clone(), cmd, key, cwd, env, shell })
        }
        _ => None,
    }
}

fn run_started(g: &mut Gen, ids: &[JobId]) -> RunStarted {
    RunStarted {
        run_id: RunId::new(&String::arbitrary(g)),
        version: String::arbitrary(g),
        executor: String::arbitrary(g),
        sha: Option::arbitrary(g),
        ref_name: Option::arbitrary(g),
        seed: Option::arbitrary(g),
        jobs: ids.iter().map(|id| JobListed { id: id.clone(), inputs: Vec::arbitrary(g) }).collect(),
        number: Option::arbitrary(g),
        repo: Option::arbitrary(g),
        pushed_at_ms: Option::arbitrary(g),
        params: BTreeMap::arbitrary(g),
        resumed_from: Option::<String>::arbitrary(g).map(|id| RunId::new(&id)),
        args: Vec::arbitrary(g),
        pipeline: Option::arbitrary(g),
    }
}

fn failure(g: &mut Gen) -> JobFailure {
    JobFailure { message: String::arbitrary(g), file: Option::arbitrary(g), line: Option::arbitrary(g) }
}

fn job_end(g: &mut Gen) -> JobEnd {
    JobEnd {
        outcome: *g.choose(JobOutcome::ALL).unwrap(),
        output: Some(plain_data(g, 4)).filter(|_| bool::arbitrary(g)),
        replayed: bool::arbitrary(g),
        allowed: bool::arbitrary(g),
        error: Some(failure(g)).filter(|_| bool::arbitrary(g)),
    }
}

fn sh_end(g: &mut Gen, n: u32) -> ShEnd {
    ShEnd {
        n,
        exit_code: i32::arbitrary(g),
        signal: Option::arbitrary(g),
        error: Some(ShFailure { message: String::arbitrary(g) }).filter(|_| bool::arbitrary(g)),
        cause: g.choose(Cause::ALL).copied().filter(|_| bool::arbitrary(g)),
        no_eol: Stream::ALL[..usize::arbitrary(g) % 3].to_vec(),
        masked: bool::arbitrary(g),
        truncated: bool::arbitrary(g),
        detached: bool::arbitrary(g),
        replayed: bool::arbitrary(g),
    }
}

fn plain_data(g: &mut Gen, depth: usize) -> Value {
    let some = usize::arbitrary(g) % 4;
    match u8::arbitrary(g) % if depth == 0 { 6 } else { 8 } {
        0 => Value::Null,
        1 => Value::from(bool::arbitrary(g)),
        2 => Value::from(i64::arbitrary(g)),
        3 => Value::from(u64::arbitrary(g)),
        4 => Value::from(f64::arbitrary(g)),
        5 => Value::from(String::arbitrary(g)),
        6 => (0..some).map(|_| plain_data(g, depth - 1)).collect(),
        _ => (0..some).map(|_| (String::arbitrary(g), plain_data(g, depth - 1))).collect(),
    }
}

fn record(run: &LegalRun, mask: &dyn Fn(&str) -> Option<String>) -> Vec<Event> {
    let mut recorder = Recorder::new();
    run.0.iter().map(|(ms, event)| recorder.record(Wall::from_ms(*ms), event.clone(), mask)).collect()
}

/// The stream, read back through a reader that is fed in pieces.
fn written_and_read(events: &[Event], piece: usize) -> Vec<Event> {
    let mut stream = Vec::new();
    events.iter().for_each(|event| encode(event, &mut stream));
    let (mut reader, mut read) = (Reader::default(), Vec::new());
    for bytes in stream.chunks(piece) {
        reader.push(bytes, |line| match line.decoded {
            Ok(Decoded::Event(event)) => read.push(event),
            other => panic!("line {}: {other:?}", line.number),
        });
    }
    assert_eq!(reader.pending(), b"");
    read
}

quickcheck! {
    fn what_is_recorded_is_read_back(run: LegalRun, piece: u8) -> bool {
        let events = record(&run, &|_| None);
        assert_eq!(written_and_read(&events, usize::from(piece) + 1), events);
        true
    }

    /// The indices that the recorder leaves out are those that the pairing finds by itself.
    fn a_legal_run_has_nothing_irregular_and_pairs_every_command(run: LegalRun) -> bool {
        let (mut pairing, mut puts) = (Pairing::new(RunId::new("r")), Vec::new());
        for event in record(&run, &|_| None) {
            pairing.push(&event, &mut puts);
        }
        assert!(pairing.irregularities().is_empty(), "{:?}", pairing.irregularities());
        assert!(pairing.is_finished());
        let mut ends: BTreeMap<(JobId, u32), i32> = BTreeMap::new();
        for (_, event) in &run.0 {
            if let RuntimeEvent::ShFinished(job, end) = event {
                ends.insert((job.clone(), end.n), end.exit_code);
            }
        }
        let mut rows = BTreeMap::new();
        for put in puts {
            match put {
                RowCommand::PutSh(row) => drop(rows.insert((row.job_id, row.n), row.exit_code)),
                RowCommand::PutJob(row) => {
                    let pending_at_end = row.state == JobState::Aborted && row.started_at_ms.is_none();
                    assert!(!pending_at_end || row.attempts == 0);
                }
                RowCommand::PutRun(_) => {}
            }
        }
        let expected: BTreeMap<_, _> = ends.into_iter().map(|(key, code)| (key, Some(code))).collect();
        assert_eq!(rows, expected);
        true
    }

    /// The one text that is masked away is nowhere in the stream but where texts are not masked.
    fn every_text_goes_through_the_mask(run: LegalRun) -> bool {
        let events = record(&run, &|_| Some("***".to_owned()));
        let texts = |value: &Value| {
            let mut left = vec![value.clone()];
            let mut texts = Vec::new();
            while let Some(value) = left.pop() {
                match value {
                    Value::String(text) => texts.push(text),
                    Value::Array(items) => left.extend(items),
                    Value::Object(members) => for (key, member) in members {
                        texts.push(key);
                        left.push(member);
                    },
                    Value::Null | Value::Bool(_) | Value::Number(_) => {}
                }
            }
            texts
        };
        let mut stream = Vec::new();
        events.iter().for_each(|event| encode(event, &mut stream));
        for line in stream.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            for field in ["cmd", "text", "output"] {
                assert!(line.get(field).is_none_or(|value| texts(value).iter().all(|text| text == "***")), "{line}");
            }
            let params = line.get("params").and_then(Value::as_object);
            assert!(params.is_none_or(|params| params.values().all(|value| value == "***")), "{line}");
            assert!(line.pointer("/error/message").is_none_or(|message| message == "***"), "{line}");
            let output = line.get("output").map(texts);
            let has_text = output.is_some_and(|texts| !texts.is_empty());
            assert!(!has_text || line["masked"] == true, "{line}");
        }
        true
    }
}
