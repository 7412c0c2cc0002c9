//! A recorded stream that is cut at every byte, or has one byte changed anywhere: reading it never fails, its rows are those of
//! its whole lines, and what is no event is stepped over and named.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use quire_ci::record::{DataDir, ingest};
use quire_ci::store::{Numbering, Store};
use quire_core::ids::RunId;

use crate::model::{self, Modelled};
use crate::moments::Seed;
use crate::recorded::rows;
use crate::world::World;

/// Everything that a stream can tell: retries, skips of several kinds, commands side by side, masks, time-outs, signals, what
/// never started, failures that are allowed, a last line without newline, outputs, log lines, what held the output open.
const RICH: &str = r#"
ci.job("build", { desc = "ä" }, function(rt)
  rt.log("said ä \0 \"quoted\"")
  rt.all { "echo one", "echo two >&2; printf open", { "printf", "\xff" } }
  rt.sh("setsid sleep 300 & echo three")
  return { text = "ü", list = { 1, 2.5 } }
end)
ci.job("shaky", { retries = 2 }, function(rt)
  rt.spawn("sleep 300", { service = true })
  rt.sh("exit " .. (rt.attempt < 3 and 3 or 0))
end)
ci.job("masked", function(rt) rt.sh { "echo", rt.secret("TOKEN") } return { token = rt.secret("TOKEN") } end)
ci.job("late", { allow_failure = true }, function(rt)
  rt.defer(function() rt.sh("true") end)
  rt.sh("sleep 300", { timeout = 0.05 })
end)
ci.job("gone", { allow_failure = true }, function(rt)
  rt.sh("kill -9 $$", { check = false })
  pcall(rt.sh, { "no-such-program-of-mine" })
  rt.sh("x", { cwd = "no/such/folder" })
end)
ci.job("after", { "late" }, function(rt) end)
ci.job("not-today", { "build" }, function(rt) rt.sh("true") rt.skip("not today") end)
ci.job("then", { "not-today" }, function(rt) end)
ci.job("bad", { "build" }, function(rt) rt.sh("exit 4") end)
ci.job("by-hand", { "quire/manual" }, function(rt) end)"#;

/// The stream of a rich run, and its id.
fn rich(world: &mut World) -> (String, Vec<u8>) {
    world.set("TOKEN", "hunter22");
    // An error tells it; a short one keeps the stream short.
    world.set("PATH", "/usr/bin:/bin");
    world.run(1, &["--keep-going", "--secret", "TOKEN=env:TOKEN", "-j3"]);
    let run = world.last();
    let stream = run.bytes("events.jsonl");
    let text = String::from_utf8(stream.clone()).unwrap();
    for told in [
        "job_retried",
        "\"flaky\":true",
        "job_skipped",
        "\"pipeline\"",
        "input_skipped",
        "\"masked\":true",
        "\"timeout\"",
        "\"signal\":9",
        "\"allowed\":true",
        "no_eol",
        "\"detached\":true",
        "\"sh\":2",
        "job_logged",
        "\"output\":",
        "\"exit_code\":127",
        "\"exit_code\":126",
        "\"failure_kind\":\"job\"",
    ] {
        assert!(text.contains(told), "a rich run tells {told}: {text}");
    }
    (run.id(), stream)
}

/// Run directories that are used again and again.
const ROUND: usize = 100;

const BORN_MS: i64 = 0x019a_0000_0000;

fn id(n: usize) -> String {
    format!("019a0000-0000-7000-8000-{n:012x}")
}

/// A data directory with these streams, each a run of its own under its [`id`].
fn data_with(place: &Path, streams: &[Vec<u8>]) -> DataDir {
    let data = DataDir::open(place).unwrap();
    for (n, stream) in streams.iter().enumerate() {
        let folder = data.runs().join(id(n));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("events.jsonl"), stream).unwrap();
    }
    data
}

/// Holds all rows of the database against those of the model.
#[track_caller]
fn compare(data: &DataDir, modelled: &[Modelled]) {
    for (table, query) in model::QUERIES.iter().enumerate() {
        let found = rows(&data.database(), &in_one_column(query));
        let wanted: Vec<&String> = modelled.iter().flat_map(|one| &one.tables[table]).collect();
        if let Some((found, wanted)) = found.iter().zip(&wanted).find(|(found, wanted)| found != *wanted) {
            panic!("found  {found}\nwanted {wanted}");
        }
        assert_eq!(found.len(), wanted.len(), "{query}");
    }
}

/// The same query with its columns joined as [`rows`] would join them, which SQLite does ten times as fast.
fn in_one_column(query: &str) -> String {
    let (columns, from) = query.strip_prefix("SELECT ").and_then(|rest| rest.split_once(" FROM ")).unwrap();
    let columns: Vec<String> = columns.split(',').map(|column| format!("coalesce({}, '-')", column.trim())).collect();
    format!("SELECT {} FROM {from}", columns.join(" || '|' || "))
}

/// Rows of streams that may go on, then of streams whose producers are dead, then anew, then from nothing: never an error, and
/// always those of the model.
#[track_caller]
fn check_streams(streams: &[Vec<u8>]) {
    let place = tempfile::tempdir().unwrap();
    let data = data_with(place.path(), streams);
    let modelled = |closed: bool| -> Vec<Modelled> {
        streams.iter().enumerate().map(|(n, stream)| model::rows_of(&id(n), BORN_MS, stream, closed)).collect()
    };
    let open = modelled(false);
    let mut store = data.open_store().unwrap();
    let mut bulk = store.bulk(Numbering::AtOnce).unwrap();
    for (n, one) in open.iter().enumerate() {
        let run_id = RunId::new(&id(n));
        let path = data.run(&run_id).unwrap().events();
        let ingested = ingest(&mut bulk, &run_id, &path, None).unwrap();
        let bad: Vec<u64> = ingested.bad_lines.iter().map(|bad| bad.line).collect();
        assert_eq!(bad, one.bad_lines, "{}", String::from_utf8_lossy(&streams[n]));
        assert!(ingested.bad_lines.iter().all(|bad| bad.path == path && !bad.message.is_empty()));
    }
    bulk.commit().unwrap();
    compare(&data, &open);
    let closed = modelled(true);
    let recovered = data.recover(&mut store).unwrap();
    assert_eq!(recovered.problems, Vec::<String>::new());
    compare(&data, &closed);
    drop::<Store>(store);
    let rebuilt = data.rebuild().unwrap();
    assert_eq!((rebuilt.runs, rebuilt.problems.len()), (streams.len() as u64, 0));
    compare(&data, &closed);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(data.path().join(format!("quire.db{end}")));
    }
    let rebuilt = data.rebuild().unwrap();
    assert_eq!(rebuilt.bad_lines.len(), closed.iter().map(|one| one.bad_lines.len()).sum::<usize>());
    compare(&data, &closed);
}

#[test]
fn cut_at_every_byte() {
    let mut world = World::new(RICH);
    let (_, stream) = rich(&mut world);
    let is_near_an_end = |at: &usize| (at.saturating_sub(2)..=*at).any(|at| stream.get(at) == Some(&b'\n'));
    let near: Vec<Vec<u8>> = (0..=stream.len()).filter(is_near_an_end).map(|at| stream[..at].to_vec()).collect();
    assert!(near.len() > 150, "{} cuts", near.len());
    check_streams(&near);
    // Between the ends of lines there are thousands more: once each, in rounds over the same few run directories.
    let place = tempfile::tempdir().unwrap();
    let data = data_with(place.path(), &vec![Vec::new(); ROUND]);
    let mut whole = model::rows_of(&id(0), BORN_MS, b"", true);
    for round in (0..=stream.len()).step_by(ROUND) {
        let cuts: Vec<usize> = (round..(round + ROUND)).map(|at| at.min(stream.len())).collect();
        let mut modelled = Vec::new();
        for (n, at) in cuts.into_iter().enumerate() {
            let run_id = id(n);
            // Added to and never cut: giving blocks back is slow on some disks.
            let path = data.runs().join(&run_id).join("events.jsonl");
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            let known = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.write_all(&stream[known..at]).unwrap();
            // A torn line adds nothing: only whole ones make rows.
            if stream[..at].last() == Some(&b'\n') {
                whole = model::rows_of(&id(0), BORN_MS, &stream[..at], true);
            }
            modelled.push(whole.under(&id(0), &run_id));
        }
        let rebuilt = data.rebuild().unwrap();
        assert_eq!((rebuilt.runs, rebuilt.bad_lines.len(), rebuilt.problems.len()), (ROUND as u64, 0, 0));
        compare(&data, &modelled);
    }
}

#[test]
fn one_byte_changed_anywhere() {
    let mut world = World::new(RICH);
    let (_, stream) = rich(&mut world);
    let mut random = Seed(20_261_122);
    let mut place = || usize::try_from(random.below(stream.len() as u64)).unwrap();
    let places: Vec<usize> = (0..400).map(|_| place()).collect();
    let changed: Vec<Vec<u8>> = places
        .into_iter()
        .map(|at| {
            let mut changed = stream.clone();
            // Letters and digits give other words and numbers; the rest breaks the line.
            let by = b"0129azAZ{}[]\",:\\ \n\r\t\0-+.\x80\xff";
            changed[at] = by[usize::try_from(random.below(by.len() as u64)).unwrap()];
            changed
        })
        .collect();
    check_streams(&changed);
}

#[test]
fn a_cut_record_is_shown_by_every_verb_and_the_next_run_works() {
    let mut world = World::new(RICH);
    let (whole_id, stream) = rich(&mut world);
    let mut random = Seed(4);
    let mut cuts: Vec<usize> = (0..6).map(|_| usize::try_from(random.below(stream.len() as u64)).unwrap()).collect();
    let ends: Vec<usize> = (1..=stream.len()).filter(|at| stream[at - 1] == b'\n').collect();
    cuts.extend([0, 1, ends[0], ends[1], ends[ends.len() - 2], stream.len() - 1]);
    for (n, cut) in cuts.into_iter().enumerate() {
        let id = id(n);
        let run = world.data().join("runs").join(&id);
        copy_tree(&world.data().join("runs").join(&whole_id), &run);
        fs::write(run.join("events.jsonl"), &stream[..cut]).unwrap();
        let said = world.quire(&["ls"]).ends(0);
        said.says(&[&id, "died"]);
        world.quire(&["show", &id]).ends(0);
        world.quire(&["show", &id, "--json"]).ends(0);
        assert_eq!(world.quire(&["events", &id]).ends(0).stdout, &stream[..cut]);
        let log = world.quire(&["log", &id]);
        let has_commands = !model::rows_of(&id, BORN_MS, &stream[..cut], true).tables[2].is_empty();
        assert_eq!(log.code, Some(if has_commands { 0 } else { 2 }), "cut at {cut}: {log:?}");
    }
    // One byte in the middle: told once, with its place.
    let bad_id = id(999);
    let bad = world.data().join("runs").join(&bad_id);
    copy_tree(&world.data().join("runs").join(&whole_id), &bad);
    let mut changed = stream.clone();
    changed[ends[4] + 3] = b'{';
    fs::write(bad.join("events.jsonl"), &changed).unwrap();
    world.quire(&["ls"]).ends(0).says(&[&format!("{bad_id}/events.jsonl:6:"), "stepped over"]);
    world.quire(&["rebuild"]).ends(0).says(&[&format!("{bad_id}/events.jsonl:6:"), "stepped over"]);
    fs::remove_dir_all(&bad).unwrap();
    assert!(world.quire(&["rebuild"]).ends(0).out().contains("1 without a directory"));
    world.pipeline("ci.job('a', function(rt) rt.sh('echo whole') end)");
    world.run(0, &[]);
    world.is_sound();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        match from.is_dir() {
            true => copy_tree(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}
