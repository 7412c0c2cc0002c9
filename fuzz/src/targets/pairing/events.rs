//! Events made from bytes: of anything, in any order, of few jobs and few times so that they meet.

use std::collections::BTreeMap;

use quire_core::ids::{JobId, RunId};
use quire_core::wire::{
    Cause, Event, EventKind, FailureKind, JobFailure, JobFinished, JobListed, JobLogged, JobOutcome, JobRetried,
    JobSkipped, JobStarted, RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished, ShStarted,
    SkipReason, Stream,
};

use crate::targets::input::Input;

const IDS: [&str; 5] = ["a", "b", "c", "", "no/job id"];
const TEXTS: [&str; 4] = ["text", "", "line\nline \u{1f980} \\\"", "ci.lua: it failed"];
const EXIT_CODES: [i32; 6] = [0, 0, 1, 137, -1, i32::MIN];
const STREAMS: [&[Stream]; 5] =
    [&[], &[Stream::Stdout], &[Stream::Stdout, Stream::Stderr], &[Stream::Stderr], &[Stream::Stderr, Stream::Stderr]];

/// Events, two to six bytes each, until the bytes are used up.
pub(super) fn events(mut input: Input<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    while !input.is_empty() {
        let kind = kind(&mut input);
        let at_ms = match input.byte() {
            0xff => i64::MAX,
            0xfe => i64::MIN,
            byte => i64::from(byte % 64),
        };
        events.push(Event { at_ms, kind });
    }
    events
}

fn kind(input: &mut Input<'_>) -> EventKind {
    let head = input.byte();
    let job_id = JobId::from_record(IDS[usize::from(head >> 5) % IDS.len()]);
    match head & 31 {
        0 => EventKind::RunStarted(run_started(input)),
        1 => EventKind::RunLogged(RunLogged { text: text(input) }),
        2 => EventKind::JobLogged(JobLogged { job_id, text: text(input) }),
        3..=6 => EventKind::JobStarted(JobStarted { job_id }),
        7 | 8 => {
            let attempt = input.pick(&[0, 1, 2, 3, u32::MAX]);
            EventKind::JobRetried(JobRetried { job_id, attempt, error: failure(input) })
        }
        9 => {
            let reason = input.pick(&["condition", "input_failed", "a word of tomorrow"]);
            let text = input.flag().then(|| text(input));
            EventKind::JobSkipped(JobSkipped { job_id, reason: SkipReason::parse(reason), text })
        }
        10..=12 => {
            let flags = input.byte();
            EventKind::JobFinished(JobFinished {
                job_id,
                outcome: JobOutcome::ALL[usize::from(flags >> 4) % JobOutcome::ALL.len()],
                output: None,
                masked: false,
                replayed: flags & 1 != 0,
                allowed: flags & 2 != 0,
                flaky: flags & 4 != 0,
                error: if flags & 8 != 0 { failure(input) } else { None },
            })
        }
        13 => EventKind::RunFinished(RunFinished {
            outcome: input.pick(RunOutcome::ALL),
            failure_kind: input.flag().then(|| input.pick(FailureKind::ALL)),
            error: failure(input),
            fingerprint: input.flag().then(|| text(input)),
        }),
        14..=22 => {
            let flags = input.byte();
            let key = (flags & 1 != 0).then(|| text(input));
            let cwd = (flags & 2 != 0).then(|| text(input));
            let shell = (flags & 4 != 0).then(|| text(input));
            let value = (flags & 8 != 0).then(|| text(input));
            let env = if flags & 16 != 0 { BTreeMap::from([(text(input), value)]) } else { BTreeMap::new() };
            EventKind::ShStarted(ShStarted { job_id, cmd: text(input), key, cwd, env, shell })
        }
        _ => EventKind::ShFinished(sh_finished(job_id, input)),
    }
}

fn sh_finished(job_id: JobId, input: &mut Input<'_>) -> ShFinished {
    let (flags, more) = (input.byte(), input.byte());
    ShFinished {
        job_id,
        exit_code: EXIT_CODES[usize::from(more) % EXIT_CODES.len()],
        sh: (flags & 1 != 0).then(|| u32::from(more >> 4)),
        signal: (flags & 2 != 0).then_some(9),
        error: (flags & 4 != 0).then(|| ShFailure { message: text(input) }),
        cause: (flags & 8 != 0).then(|| Cause::ALL[usize::from(more >> 2) % Cause::ALL.len()]),
        no_eol: STREAMS[usize::from(more >> 3) % STREAMS.len()].to_vec(),
        masked: flags & 16 != 0,
        truncated: flags & 32 != 0,
        detached: flags & 64 != 0,
        replayed: flags & 128 != 0,
    }
}

fn run_started(input: &mut Input<'_>) -> RunStarted {
    let listed = input.below(6);
    let jobs = (0..listed).map(|_| JobListed { id: JobId::from_record(input.pick(&IDS)), inputs: Vec::new() });
    let jobs = jobs.collect();
    let flags = input.byte();
    RunStarted {
        run_id: RunId::new("another"),
        version: text(input),
        executor: text(input),
        sha: (flags & 1 != 0).then(|| "sha".to_owned()),
        ref_name: (flags & 2 != 0).then(|| "refs/heads/main".to_owned()),
        seed: (flags & 4 != 0).then_some(u64::MAX),
        jobs,
        number: (flags & 8 != 0).then_some(41),
        repo: (flags & 16 != 0).then(|| "repo".to_owned()),
        pushed_at_ms: (flags & 32 != 0).then_some(-1),
        params: if flags & 64 != 0 { BTreeMap::from([(text(input), text(input))]) } else { BTreeMap::new() },
        resumed_from: (flags & 128 != 0).then(|| RunId::new("q")),
        args: if flags & 64 != 0 { vec![text(input), text(input)] } else { Vec::new() },
        pipeline: (flags & 128 != 0).then(|| text(input)),
    }
}

fn text(input: &mut Input<'_>) -> String {
    input.pick(&TEXTS).to_owned()
}

fn failure(input: &mut Input<'_>) -> Option<JobFailure> {
    let flags = input.byte();
    (flags & 1 != 0).then(|| JobFailure {
        message: text(input),
        file: (flags & 2 != 0).then(|| "ci.lua".to_owned()),
        line: (flags & 4 != 0).then_some(3),
    })
}
