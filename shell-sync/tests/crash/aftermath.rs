//! What has to hold after a kill: of the record as it was left, of the next look, and of the next run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use quire_core::cri;
use quire_core::wire::Stream;
use rustix::fs::{FlockOperation, flock};

use crate::moments::{Phase, Seed, Tally};
use crate::recorded::{RunRecord, rows};
use crate::world::{Done, World, processes_where};
use crate::writer::{Writing, finished_by};

/// What a command has finished so long before the kill is in its log.
const PROMISED: Duration = Duration::from_millis(500);

/// A run that was killed.
pub struct Killed {
    /// Its directory, if it had come so far.
    pub run: Option<RunRecord>,
    /// Just before the signal.
    pub at: SystemTime,
    /// How late the machine was about then.
    pub late: Duration,
    pub done: Done,
}

/// Checks everything; how far the run had come.
#[track_caller]
pub fn check(world: &World, killed: &Killed, random: &mut Seed, tally: &mut Tally) -> Phase {
    tally.late = tally.late.max(killed.late);
    let phase = phase_of(killed);
    if let Some(run) = &killed.run {
        delivered_is_a_prefix(run, &killed.done, tally);
    }
    let before = world.runs().len();
    next_look(world, killed, phase, random, tally);
    nothing_is_left(world);
    if let Some(run) = &killed.run {
        what_ran_is_recorded(world, run, tally);
        logs_are_prefixes(world, run, killed, tally);
        the_run_is_closed(world, run, phase);
    }
    rows_are_the_record(world);
    world.run(0, &["quick", "--quiet"]);
    let next = world.last();
    assert_eq!(next.outcome().as_deref(), Some("complete"));
    let writing = Writing::of("./writer both 2 0").unwrap();
    assert_eq!(next.stream("quick", 1, Stream::Stdout), writing.whole(Stream::Stdout));
    assert!(world.runs().len() > before);
    assert_eq!(rows(&world.data().join("quire.db"), "SELECT count(*) FROM runs WHERE state = 'active'"), ["0"]);
    only_known_files(&world.data());
    let whose = fs::canonicalize(world.workspace()).unwrap();
    assert_eq!(fs::read(world.data().join("workspace")).unwrap(), format!("{}\n", whose.display()).into_bytes());
    phase
}

fn phase_of(killed: &Killed) -> Phase {
    if killed.done.signal.is_none() {
        assert_eq!(killed.done.code, Some(0), "it ended before it was killed: {}", killed.done.err());
        return Phase::Over;
    }
    let Some(run) = &killed.run else { return Phase::Unborn };
    let (started, finished) = (run.of_type("sh_started").len(), run.of_type("sh_finished").len());
    match (run.events().is_empty(), run.outcome(), started, started - finished) {
        (true, ..) => Phase::Silent,
        (_, Some(_), ..) => Phase::Recorded,
        (_, _, 0, _) => Phase::Begun,
        (_, _, _, 0) => Phase::Between,
        (_, _, _, open) => Phase::Running(open),
    }
}

fn delivered_is_a_prefix(run: &RunRecord, done: &Done, tally: &mut Tally) {
    let recorded = fs::read(run.0.join("events.jsonl")).unwrap_or_default();
    assert!(recorded.starts_with(&done.stdout), "the stream that was delivered is none of the record's prefixes");
    tally.events += run.events().len();
    let is_torn = |bytes: &[u8]| bytes.last().is_some_and(|byte| *byte != b'\n');
    tally.torn_events += usize::from(is_torn(&recorded));
    if is_torn(&done.stdout) {
        assert_eq!(done.stdout, recorded, "a torn line was delivered that is whole in the record");
    }
}

/// The next command that opens the data directory: whichever it is, it puts things in order.
fn next_look(world: &World, killed: &Killed, phase: Phase, random: &mut Seed, tally: &mut Tally) {
    let id = killed.run.as_ref().map(RunRecord::id);
    tally.left_running += id.as_ref().map_or(0, |id| tagged(id).len());
    let said = match random.below(4) {
        0 => world.quire(&["ls"]).ends(0),
        1 => world.quire(&["rebuild"]).ends(0),
        2 => world.run(0, &["quick"]),
        // It shows the run, where there is one.
        _ => match &id {
            Some(id) => world.quire(&["show", id]).ends(0),
            None => world.quire(&["ls"]).ends(0),
        },
    };
    let text = said.out() + &said.err();
    if matches!(phase, Phase::Recorded | Phase::Over) {
        assert!(!text.contains("had died"), "a run whose end is recorded did not die: {text}");
    }
}

/// The living processes of a run, by the tag that they inherit.
fn tagged(run_id: &str) -> Vec<(rustix::process::Pid, String)> {
    let tag = format!("QUIRE_SH={run_id}/");
    processes_where(|entry| entry.starts_with(tag.as_bytes()))
}

fn nothing_is_left(world: &World) {
    for run in world.runs() {
        assert_eq!(tagged(&run.id()), [], "processes outlive the look that closed their run");
        let lock = File::open(run.0.join("lock")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody holds the lock of a dead run");
    }
}

/// Every command that left its mark is in the record, and has its number there.
fn what_ran_is_recorded(world: &World, run: &RunRecord, tally: &mut Tally) {
    let mut started: BTreeMap<String, u32> = BTreeMap::new();
    for event in run.of_type("sh_started") {
        *started.entry(event["job_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for mark in names(&world.workspace().join("marks")) {
        let mut words = mark.split('+');
        let (of, job, n) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        if of == run.id() {
            tally.commands += 1;
            let n: u32 = n.parse().unwrap();
            assert!(started.get(job).is_some_and(|count| n <= *count), "{job}/{n} ran and is not recorded");
        }
    }
}

fn logs_are_prefixes(world: &World, run: &RunRecord, killed: &Killed, tally: &mut Tally) {
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in run.of_type("sh_started") {
        let cmd = event["cmd"].as_str().unwrap().to_owned();
        commands.entry(event["job_id"].as_str().unwrap().to_owned()).or_default().push(cmd);
    }
    for (path, log) in run.files() {
        let Some(name) = path.strip_prefix(run.0.join("jobs")).ok().and_then(Path::to_str) else { continue };
        let (job, n) = name.strip_suffix(".log").and_then(|name| name.split_once("/sh-")).unwrap();
        let n: usize = n.parse().unwrap();
        let writing = Writing::of(&commands[job][n - 1]).expect("every command here is a writer");
        let is_torn = check_entries(name, &log);
        tally.logs += 1;
        tally.torn_logs += usize::from(is_torn);
        let notes = fs::read_to_string(world.workspace().join("finished").join(format!("{}+{job}+{n}", run.id())));
        let old = finished_by(&notes.unwrap_or_default(), killed.at - PROMISED - killed.late);
        tally.old_lines += u64::from(old);
        let no_eol = ended_open(run, job, n);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let bytes = cri::stream_bytes(&log, stream, no_eol.contains(&stream.as_str().to_owned())).unwrap();
            let lines = writing.lines_of(stream, &bytes);
            let lines = lines.unwrap_or_else(|| panic!("{name}: {stream:?} is no beginning of what was written"));
            assert!(lines >= old, "{name}: {stream:?} has {lines} lines, and {old} had been finished long before");
        }
    }
}

/// Each line of a log is an entry, but for a torn last one: whether there is one.
fn check_entries(name: &str, log: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    let torn = lines.pop().unwrap_or_default();
    let mut last = None;
    for line in lines {
        let entry = cri::parse(line).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(last <= Some(entry.at), "{name}: times go back");
        last = Some(entry.at);
    }
    !torn.is_empty()
}

/// The streams of a command whose event tells that they ended without a newline.
fn ended_open(run: &RunRecord, job: &str, n: usize) -> Vec<String> {
    let mut open: Vec<usize> = Vec::new();
    let mut begun = 0;
    for event in run.events().iter().filter(|event| event["job_id"] == job) {
        match event["type"].as_str().unwrap() {
            "sh_started" => {
                begun += 1;
                open.push(begun);
            }
            "sh_finished" => {
                let ended = event["sh"].as_u64().map_or(open[0], |sh| usize::try_from(sh).unwrap());
                open.retain(|other| *other != ended);
                if ended == n {
                    let named = event["no_eol"].as_array().cloned().unwrap_or_default();
                    return named.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
                }
            }
            _ => (),
        }
    }
    Vec::new()
}

fn the_run_is_closed(world: &World, run: &RunRecord, phase: Phase) {
    let id = run.id();
    let states = world.rows(&format!("SELECT state, failure_kind FROM runs WHERE id = '{id}'"));
    let wanted = match phase {
        Phase::Recorded | Phase::Over => "complete|-",
        _ => "failed|orphaned",
    };
    assert_eq!(states, [wanted]);
    let open = format!(
        "SELECT (SELECT count(*) FROM jobs WHERE run_id = '{id}' AND state IN ('pending', 'active'))
            + (SELECT count(*) FROM sh_events WHERE run_id = '{id}' AND finished_at_ms IS NULL)"
    );
    assert_eq!(world.rows(&open), ["0"]);
    let commands = world.rows(&format!("SELECT count(*) FROM sh_events WHERE run_id = '{id}'"));
    assert_eq!(commands, [run.of_type("sh_started").len().to_string()]);
}

/// Made anew, and once more, the rows are what they were, in every column.
fn rows_are_the_record(world: &World) {
    let were = tables(world);
    for _ in 0..2 {
        world.quire(&["rebuild"]).ends(0);
        assert_eq!(tables(world), were);
    }
}

/// Every column of every row.
pub fn tables(world: &World) -> String {
    let queries = [
        "SELECT * FROM runs ORDER BY id",
        "SELECT * FROM jobs ORDER BY run_id, job_id",
        "SELECT * FROM sh_events ORDER BY run_id, job_id, n",
    ];
    queries.map(|query| world.rows(query).join("\n")).join("\n\n")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().expect("names here are text"))
        .collect();
    names.sort();
    names
}

/// In a data directory there is what CONTRACT 3 names, what SQLite keeps beside a database, and the note whose it is. Besides,
/// there may be what was not made whole: whether there is.
#[track_caller]
pub fn only_known_files(data: &Path) -> bool {
    let mut is_half_made = false;
    for name in names(data) {
        let is_new = name.strip_prefix("quire.db.new-").is_some_and(|rest| rest.get(..32).is_some_and(is_hex));
        is_half_made |= is_new;
        let is_known = ["quire.db", "quire.db-wal", "quire.db-shm", "runs", "workspace"].contains(&name.as_str());
        assert!(is_known || is_new, "{name} in the data directory");
    }
    for run in names(&data.join("runs")) {
        let folder = data.join("runs").join(&run);
        let id = run.strip_prefix(".new-").unwrap_or(&run);
        is_half_made |= id != run;
        assert!(id.len() == 36 && is_hex(&id.replace('-', "")), "{run} among the runs");
        for name in names(&folder) {
            assert!(["lock", "events.jsonl", "jobs"].contains(&name.as_str()), "{name} in {run}");
        }
        for job in names(&folder.join("jobs")) {
            for log in names(&folder.join("jobs").join(&job)) {
                let n = log.strip_prefix("sh-").and_then(|rest| rest.strip_suffix(".log"));
                assert!(n.is_some_and(|n| n.parse::<u32>().is_ok()), "{log} in {run}/jobs/{job}");
            }
        }
    }
    is_half_made
}

/// Makes what is half made in a data directory look as if it had been so for more than an hour.
#[track_caller]
pub fn age_what_is_half_made(data: &Path) {
    for folder in [data.to_owned(), data.join("runs")] {
        for name in names(&folder).iter().filter(|name| name.contains(".new-")) {
            let old = SystemTime::now() - Duration::from_secs(3601);
            File::open(folder.join(name)).unwrap().set_modified(old).unwrap();
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
