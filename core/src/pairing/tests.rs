//! CONTRACT 1's pairing rules, each a literal stream and the rows that it leaves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::wire::{Decoded, Reader};

/// What is done to a pairing after its stream.
enum Then {
    Nothing,
    Close,
}
use Then::{Close, Nothing};

/// Feeds `stream` (events without braces, one a line) and compares the final rows in the notation of [`show`].
#[track_caller]
fn check(stream: &str, then: Then, rows: &str, irregular: Irregularities) {
    let mut pairing = Pairing::new(RunId::new("r"));
    let mut out = Vec::new();
    let mut reader = Reader::default();
    for line in stream.lines().map(str::trim).filter(|line| !line.is_empty()) {
        reader.push(format!("{{{line}}}\n").as_bytes(), |line| match line.decoded {
            Ok(Decoded::Event(event)) => pairing.push(&event, &mut out),
            other => panic!("{other:?}"),
        });
    }
    if matches!(then, Close) {
        pairing.close(FailureKind::Orphaned, &mut out);
    }
    let expected: Vec<&str> = rows.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = show(&out);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{out:#?}");
    assert_eq!(*pairing.irregularities(), irregular);
}

/// The final rows: `run STATE[/KIND] START-END`, `JOB STATE START-END [exit E] [xATTEMPTS]`, `JOB/N START-END EXIT [CAUSE]`.
fn show(out: &[RowCommand]) -> String {
    let mut rows = BTreeMap::new();
    for put in out {
        let time = |time: Option<i64>| time.map_or("?".to_owned(), |time| time.to_string());
        let (key, mut text) = match put {
            RowCommand::PutRun(row) => {
                let kind = row.failure_kind.map_or(String::new(), |kind| format!("/{kind}"));
                let times = format!("{}-{}", time(row.started_at_ms), time(row.finished_at_ms));
                ((0, 0, 0), format!("run {}{kind} {times}", row.state))
            }
            RowCommand::PutJob(row) => {
                let times = format!("{}-{}", time(row.started_at_ms), time(row.finished_at_ms));
                let mut text = format!("{} {} {times}", row.job_id, row.state);
                if let Some(code) = row.exit_code {
                    let _ = write!(text, " exit {code}");
                }
                if row.attempts > 1 {
                    let _ = write!(text, " x{}", row.attempts);
                }
                if let Some(reason) = &row.skip_reason {
                    let _ = write!(text, " {reason}");
                }
                ((1, row.position, 0), text)
            }
            RowCommand::PutSh(row) => {
                let code = row.exit_code.map_or("?".to_owned(), |code| code.to_string());
                let cause = row.cause.as_ref().map_or(String::new(), |cause| format!(" {cause}"));
                let times = format!("{}-{}", row.started_at_ms, time(row.finished_at_ms));
                let text = format!("{}/{} {times} {code}{cause}", row.job_id, row.n);
                ((2, u32::from(row.job_id.as_str().as_bytes()[0]), row.n), text)
            }
        };
        text.push('\n');
        rows.insert(key, text);
    }
    rows.into_values().collect()
}

fn regular() -> Irregularities {
    Irregularities::default()
}

const BASE: &str = r#"
    "at_ms":100,"type":"job_started","job_id":"a"
    "at_ms":110,"type":"sh_started","job_id":"a","cmd":"echo hi"
    "at_ms":190,"type":"sh_finished","job_id":"a","exit_code":0
    "at_ms":250,"type":"job_finished","job_id":"a","outcome":"complete""#;

#[test]
fn a_base_format_stream_makes_its_run_and_closes_with_its_worst_outcome() {
    check(BASE, Nothing, "run active 100-?\n a complete 100-250\n a/1 110-190 0", regular());
    check(BASE, Close, "run complete 100-250\n a complete 100-250\n a/1 110-190 0", regular());
    let failed = r#"
        "at_ms":300,"type":"job_started","job_id":"b"
        "at_ms":310,"type":"sh_started","job_id":"b","cmd":"kill -9 $$"
        "at_ms":320,"type":"sh_finished","job_id":"b","exit_code":-1
        "at_ms":330,"type":"job_finished","job_id":"b","outcome":"failed""#;
    check(
        &format!("{BASE}\n{failed}"),
        Close,
        "run failed/job 100-330\n a complete 100-250\n b failed 300-330 exit -1\n a/1 110-190 0\n b/1 310-320 -1",
        regular(),
    );
    check(
        &format!("{BASE}\n{}", failed.replace("\"failed\"", "\"failed\",\"allowed\":true")),
        Close,
        "run complete 100-330\n a complete 100-250\n b failed 300-330 exit -1\n a/1 110-190 0\n b/1 310-320 -1",
        regular(),
    );
    check(
        &format!("{BASE}\n\"at_ms\":300,\"type\":\"job_started\",\"job_id\":\"b\""),
        Close,
        "run aborted 100-300\n a complete 100-250\n b aborted 300-300\n a/1 110-190 0",
        regular(),
    );
}

#[test]
fn a_finish_without_sh_ends_the_oldest_and_with_sh_the_one_named() {
    let open = r#"
        "at_ms":1,"type":"job_started","job_id":"a"
        "at_ms":2,"type":"sh_started","job_id":"a","cmd":"x"
        "at_ms":3,"type":"sh_started","job_id":"a","cmd":"y"
        "at_ms":4,"type":"sh_started","job_id":"a","cmd":"z""#;
    let finish = r#""at_ms":9,"type":"sh_finished","job_id":"a","exit_code":0"#;
    check(
        &format!("{open}\n{finish}"),
        Nothing,
        "run active 1-?\n a active 1-?\n a/1 2-9 0\n a/2 3-? ?\n a/3 4-? ?",
        regular(),
    );
    check(
        &format!("{open}\n{finish},\"sh\":2\n{finish}\n{finish}"),
        Nothing,
        "run active 1-?\n a active 1-?\n a/1 2-9 0\n a/2 3-9 0\n a/3 4-9 0",
        regular(),
    );
}

#[test]
fn a_finish_of_nothing_open_is_ignored() {
    let unmatched = |count| Irregularities { unmatched_finish: count, ..regular() };
    let finish = r#""at_ms":9,"type":"sh_finished","job_id":"a","exit_code":7"#;
    check(finish, Nothing, "run active 9-?", unmatched(1));
    check(
        &format!("\"at_ms\":1,\"type\":\"job_started\",\"job_id\":\"a\"\n{finish}"),
        Nothing,
        "run active 1-?\n a active 1-?",
        unmatched(1),
    );
    let started = r#"
        "at_ms":1,"type":"job_started","job_id":"a"
        "at_ms":2,"type":"sh_started","job_id":"a","cmd":"x""#;
    check(
        &format!("{started}\n{finish},\"sh\":2\n{finish},\"sh\":0"),
        Nothing,
        "run active 1-?\n a active 1-?\n a/1 2-? ?",
        unmatched(2),
    );
}

#[test]
fn what_happens_to_a_job_not_started_starts_it() {
    let implied = Irregularities { implied_start: 1, ..regular() };
    for (event, rows) in [
        (r#""sh_started","job_id":"a","cmd":"x""#, "run active 5-?\n a active 5-?\n a/1 5-? ?"),
        (r#""job_finished","job_id":"a","outcome":"failed""#, "run active 5-?\n a failed 5-5"),
        (r#""job_retried","job_id":"a","attempt":2"#, "run active 5-?\n a active 5-? x2"),
    ] {
        check(&format!("\"at_ms\":5,\"type\":{event}"), Nothing, rows, implied.clone());
    }
}

const LISTED: &str = r#""at_ms":1,"type":"run_started","run_id":"r","version":"1","executor":"host","jobs":[{"id":"a"},{"id":"b"},{"id":"a"}]"#;

#[test]
fn jobs_listed_are_pending_and_one_not_listed_follows() {
    check(LISTED, Nothing, "run active 1-?\n a pending ?-?\n b pending ?-?", regular());
    check(
        &format!("{LISTED}\n\"at_ms\":2,\"type\":\"job_started\",\"job_id\":\"c\""),
        Nothing,
        "run active 1-?\n a pending ?-?\n b pending ?-?\n c active 2-?",
        regular(),
    );
    check(
        &format!("{LISTED}\n\"at_ms\":2,\"type\":\"job_logged\",\"job_id\":\"c\",\"text\":\"t\""),
        Nothing,
        "run active 1-?\n a pending ?-?\n b pending ?-?\n c pending ?-?",
        regular(),
    );
}

#[test]
fn a_second_start_is_ignored() {
    let repeated = Irregularities { repeated_start: 1, ..regular() };
    check(
        &format!("{LISTED}\n{}", LISTED.replace("\"b\"", "\"c\"").replace(":1,", ":7,")),
        Nothing,
        "run active 1-?\n a pending ?-?\n b pending ?-?",
        repeated.clone(),
    );
    let start = r#""type":"job_started","job_id":"a""#;
    check(&format!("\"at_ms\":1,{start}\n\"at_ms\":2,{start}"), Nothing, "run active 1-?\n a active 1-?", repeated);
}

#[test]
fn a_late_run_started_is_taken_and_its_jobs_follow() {
    check(
        &format!("\"at_ms\":0,\"type\":\"job_started\",\"job_id\":\"b\"\n{LISTED}"),
        Close,
        "run failed/orphaned 0-1\n b aborted 0-1\n a aborted ?-1",
        regular(),
    );
}

#[test]
fn what_ends_a_job_or_an_attempt_aborts_its_open_commands() {
    let aborted = Irregularities { aborted_commands: 1, ..regular() };
    let open = r#"
        "at_ms":1,"type":"job_started","job_id":"a"
        "at_ms":2,"type":"sh_started","job_id":"a","cmd":"x""#;
    for (event, row) in [
        (r#""job_finished","job_id":"a","outcome":"complete""#, "a complete 1-8"),
        (r#""job_skipped","job_id":"a","reason":"pipeline","text":"no need""#, "a skipped 1-8 pipeline"),
        (r#""job_retried","job_id":"a","attempt":2"#, "a active 1-? x2"),
    ] {
        check(
            &format!("{open}\n\"at_ms\":8,\"type\":{event}"),
            Nothing,
            &format!("run active 1-?\n {row}\n a/1 2-8 ? crash"),
            aborted.clone(),
        );
    }
    check(
        &format!("{open}\n\"at_ms\":8,\"type\":\"run_finished\",\"outcome\":\"failed\",\"failure_kind\":\"limit\""),
        Nothing,
        "run failed/limit 1-8\n a aborted 1-8\n a/1 2-8 ? crash",
        aborted,
    );
}

#[test]
fn the_end_of_a_run_aborts_what_is_open_and_what_is_pending() {
    check(
        &format!("{LISTED}\n{BASE}\n\"at_ms\":300,\"type\":\"run_finished\",\"outcome\":\"complete\""),
        Close,
        "run complete 1-300\n a complete 100-250\n b aborted ?-300\n a/1 110-190 0",
        regular(),
    );
}

#[test]
fn what_comes_after_an_end_is_ignored() {
    let after = |count| Irregularities { after_end: count, ..regular() };
    let late = r#"
        "at_ms":400,"type":"sh_started","job_id":"a","cmd":"x"
        "at_ms":401,"type":"sh_finished","job_id":"a","exit_code":1
        "at_ms":402,"type":"job_retried","job_id":"a","attempt":2
        "at_ms":403,"type":"job_skipped","job_id":"a","reason":"pipeline"
        "at_ms":404,"type":"job_started","job_id":"a"
        "at_ms":405,"type":"job_logged","job_id":"a","text":"t"
        "at_ms":406,"type":"job_finished","job_id":"a","outcome":"failed""#;
    check(&format!("{BASE}\n{late}"), Nothing, "run active 100-?\n a complete 100-250\n a/1 110-190 0", after(7));
    let end = r#""at_ms":300,"type":"run_finished","outcome":"complete""#;
    let later = r#"
        "at_ms":500,"type":"job_started","job_id":"z"
        "at_ms":501,"type":"run_logged","text":"t"
        "at_ms":502,"type":"run_finished","outcome":"failed""#;
    check(
        &format!("{BASE}\n{end}\n{late}\n{later}"),
        Close,
        "run complete 100-300\n a complete 100-250\n a/1 110-190 0",
        after(10),
    );
}

#[test]
fn a_skip_ends_a_job_before_or_after_its_start() {
    let skip = r#""type":"job_skipped","job_id":"a","reason":"a word of tomorrow""#;
    check(&format!("\"at_ms\":4,{skip}"), Nothing, "run active 4-?\n a skipped ?-4 a word of tomorrow", regular());
    check(
        &format!("\"at_ms\":3,\"type\":\"job_started\",\"job_id\":\"a\"\n\"at_ms\":4,{skip}"),
        Nothing,
        "run active 3-?\n a skipped 3-4 a word of tomorrow",
        regular(),
    );
}

#[test]
fn a_retried_job_is_one_row_and_its_command_count_goes_on() {
    let retried = r#"
        "at_ms":1,"type":"job_started","job_id":"a"
        "at_ms":2,"type":"sh_started","job_id":"a","cmd":"x"
        "at_ms":3,"type":"sh_finished","job_id":"a","exit_code":3
        "at_ms":4,"type":"job_retried","job_id":"a","attempt":2,"error":{"message":"exit 3"}
        "at_ms":5,"type":"sh_started","job_id":"a","cmd":"x"
        "at_ms":6,"type":"sh_finished","job_id":"a","exit_code":0"#;
    check(
        &format!(
            "{retried}\n\"at_ms\":7,\"type\":\"job_finished\",\"job_id\":\"a\",\"outcome\":\"complete\",\"flaky\":true"
        ),
        Nothing,
        "run active 1-?\n a complete 1-7 x2\n a/1 2-3 3\n a/2 5-6 0",
        regular(),
    );
    // The exit code of an earlier attempt did not fail the job.
    check(
        &format!("{retried}\n\"at_ms\":7,\"type\":\"job_finished\",\"job_id\":\"a\",\"outcome\":\"failed\""),
        Nothing,
        "run active 1-?\n a failed 1-7 x2\n a/1 2-3 3\n a/2 5-6 0",
        regular(),
    );
}

#[test]
fn a_clock_that_steps_back_gives_no_negative_duration() {
    let back = r#"
        "at_ms":100,"type":"job_started","job_id":"a"
        "at_ms":110,"type":"sh_started","job_id":"a","cmd":"x"
        "at_ms":50,"type":"sh_finished","job_id":"a","exit_code":0
        "at_ms":60,"type":"sh_started","job_id":"a","cmd":"y"
        "at_ms":61,"type":"sh_finished","job_id":"a","exit_code":0
        "at_ms":62,"type":"job_finished","job_id":"a","outcome":"complete"
        "at_ms":63,"type":"run_finished","outcome":"complete""#;
    check(back, Nothing, "run complete 100-100\n a complete 100-100\n a/1 110-110 0\n a/2 60-61 0", regular());
    let dead = r#"
        "at_ms":100,"type":"job_started","job_id":"a"
        "at_ms":500,"type":"run_logged","text":"t"
        "at_ms":60,"type":"sh_started","job_id":"a","cmd":"y""#;
    check(dead, Close, "run aborted 100-500\n a aborted 100-500\n a/1 60-500 ? crash", regular());
}

#[test]
fn a_dead_producer_fails_its_run_by_who_closed() {
    check(
        &format!("{LISTED}\n{BASE}"),
        Close,
        "run failed/orphaned 1-250\n a complete 100-250\n b aborted ?-250\n a/1 110-190 0",
        regular(),
    );
    check("", Close, "run failed/orphaned ?-?", regular());
    check("", Nothing, "", regular());
}

#[test]
fn a_pipeline_that_does_not_compile_is_a_run() {
    let mut pairing = Pairing::new(RunId::new("r"));
    let mut out = Vec::new();
    let mut reader = Reader::default();
    let stream = r#"{"at_ms":1,"type":"run_started","run_id":"other","version":"1","executor":"host","ref":"refs/heads/main","number":41,"jobs":[]}
{"at_ms":2,"type":"run_finished","outcome":"failed","failure_kind":"pipeline","error":{"message":"unexpected symbol","file":".quire/ci.lua","line":7},"fingerprint":"f"}
"#;
    reader.push(stream.as_bytes(), |line| {
        if let Ok(Decoded::Event(event)) = line.decoded {
            pairing.push(&event, &mut out);
        }
    });
    assert!(pairing.is_finished());
    let Some(RowCommand::PutRun(row)) = out.last() else { panic!("{out:?}") };
    assert_eq!(row.run_id, RunId::new("r"));
    assert_eq!(row.number, Some(41));
    assert_eq!(row.ref_name.as_deref(), Some("refs/heads/main"));
    assert_eq!(row.failure_kind, Some(FailureKind::Pipeline));
    assert_eq!(row.error.as_deref(), Some(".quire/ci.lua:7: unexpected symbol"));
    assert_eq!(row.fingerprint.as_deref(), Some("f"));
}

#[test]
fn parents_are_put_before_children_and_rows_are_whole() {
    let mut pairing = Pairing::new(RunId::new("r"));
    let mut out = Vec::new();
    let line = br#"{"at_ms":5,"type":"sh_started","job_id":"a","cmd":"x"}"#;
    let Ok(Decoded::Event(event)) = crate::wire::decode(line) else { panic!("an event") };
    pairing.push(&event, &mut out);
    let kinds: Vec<&str> = out
        .iter()
        .map(|put| match put {
            RowCommand::PutRun(_) => "run",
            RowCommand::PutJob(row) => row.state.as_str(),
            RowCommand::PutSh(_) => "sh",
        })
        .collect();
    assert_eq!(kinds, ["run", "pending", "active", "sh"]);
}
