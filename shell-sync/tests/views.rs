//! What people see of a run: the live view on an emulated terminal, plain lines, the quiet view, summaries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use quire_ci::ui::{Hints, JsonView, Looks, PlainView, QuietView, Screen, Size, TerminalView, View};
use quire_core::ids::{JobId, ShId};
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::{Decoded, Event, decode};

/// A terminal that can be resized under a view; it wraps what is too long anew, as terminals do today.
#[derive(Clone)]
struct Emulated(Rc<RefCell<State>>);

struct State {
    parser: vt100::Parser,
    writes: usize,
}

fn parser(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 1000)
}

impl Emulated {
    fn new(rows: u16, columns: u16) -> Emulated {
        Emulated(Rc::new(RefCell::new(State { parser: parser(rows, columns), writes: 0 })))
    }

    fn resize(&self, rows: u16, columns: u16) {
        let cursor = usize::from(self.cursor().0);
        let mut lines = self.lines();
        lines.resize(cursor, String::new());
        let mut state = self.0.borrow_mut();
        state.parser = parser(rows, columns);
        lines.iter().for_each(|line| state.parser.process(format!("{line}\r\n").as_bytes()));
    }

    fn lines(&self) -> Vec<String> {
        let state = self.0.borrow();
        let columns = state.parser.screen().size().1.get();
        let mut lines: Vec<String> =
            state.parser.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn cursor(&self) -> (u16, u16) {
        self.0.borrow().parser.screen().cursor_position()
    }

    fn writes(&self) -> usize {
        self.0.borrow().writes
    }

    #[track_caller]
    fn shows(&self, expected: &str) {
        let expected: Vec<&str> = expected.trim_matches('\n').lines().collect();
        assert_eq!(self.lines().join("\n"), expected.join("\n"));
    }
}

impl Write for Emulated {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        state.writes += 1;
        // What the terminal's driver does to line ends (ONLCR).
        let cooked: Vec<u8> =
            text.iter().flat_map(|&b| if b == b'\n' { vec![b'\r', b'\n'] } else { vec![b] }).collect();
        state.parser.process(&cooked);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen for Emulated {
    fn size(&self) -> Size {
        let (rows, columns) = self.0.borrow().parser.screen().size();
        Size { columns: columns.get().into(), rows: rows.get().into() }
    }
}

const PLAIN: Looks = Looks { colour: false, unicode: true };

fn now(ms: i64) -> Now {
    Now { mono: Mono(u64::try_from(ms).unwrap() * 1_000_000), wall: Wall::from_ms(ms) }
}

fn event(line: &str) -> Event {
    match decode(line.as_bytes()) {
        Ok(Decoded::Event(event)) => event,
        other => panic!("{line}: {other:?}"),
    }
}

/// Tells a view the events, each at its time.
fn tell(view: &mut impl View, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let event = event(line);
        view.event(now(event.at_ms), &event);
    }
}

fn sh(job: &str, n: u32) -> ShId {
    ShId { job: JobId::from_record(job), n }
}

fn entries(lines: &[&str]) -> Vec<u8> {
    lines
        .iter()
        .map(|line| format!("2026-11-22T10:00:00.000000001Z stdout F {line}\n"))
        .collect::<String>()
        .into_bytes()
}

fn hints() -> Hints {
    let with = |verb: &str| Some(format!("quire-ci {verb}"));
    Hints { log: with("log"), rerun: with("run"), shell: with("shell"), browser: None, record_dir: None }
}

fn terminal(screen: &Emulated) -> TerminalView<Emulated> {
    TerminalView::new(screen.clone(), PLAIN, hints(), true)
}

const STARTED: &str = r#"
    {"at_ms":0,"type":"run_started","run_id":"0190b0e0-0000-7000-8000-000000000000","version":"0.1.0","executor":"host","sha":"1a2b3c4d5e6f","ref":"refs/heads/main","number":41,"jobs":[{"id":"build","inputs":["quire/push"]},{"id":"test","inputs":["build"]},{"id":"deploy","inputs":["test"]}]}
    {"at_ms":0,"type":"job_started","job_id":"build"}
    {"at_ms":0,"type":"sh_started","job_id":"build","cmd":"cargo build"}
"#;

const BUILT: &str = r#"
    {"at_ms":1200,"type":"sh_finished","job_id":"build","exit_code":0}
    {"at_ms":1200,"type":"job_finished","job_id":"build","outcome":"complete"}
    {"at_ms":1200,"type":"job_started","job_id":"test"}
    {"at_ms":1200,"type":"sh_started","job_id":"test","cmd":"cargo fetch"}
    {"at_ms":1300,"type":"sh_finished","job_id":"test","exit_code":0}
    {"at_ms":1300,"type":"sh_started","job_id":"test","cmd":"cargo test"}
"#;

const FAILED: &str = r#"
    {"at_ms":4200,"type":"sh_finished","job_id":"test","exit_code":137,"signal":9}
    {"at_ms":4200,"type":"job_finished","job_id":"test","outcome":"failed","error":{"message":"`cargo test` was ended by SIGKILL","file":".quire/ci.lua","line":7}}
    {"at_ms":4200,"type":"job_skipped","job_id":"deploy","reason":"input_failed","text":"test failed"}
    {"at_ms":4210,"type":"run_finished","outcome":"failed","failure_kind":"job"}
"#;

#[test]
fn what_runs_is_redrawn_and_what_ended_stays() {
    let screen = Emulated::new(24, 80);
    let mut view = terminal(&screen);
    tell(&mut view, STARTED);
    assert_eq!(screen.writes(), 0, "a run that ends at once shows no live area");
    view.output(now(100), &sh("build", 1), &entries(&["Compiling one", "\x1b[2Aup\x1b]0;title\x07", "10%\r20%\r30%"]));
    screen.shows(
        "
run 41 · main @ 1a2b3c4 · 3 jobs
● build     0s  cargo build
  │ Compiling one
  │ up
  │ 30%
  1 running · 2 waiting · 0s
",
    );
    view.dirty(now(110), 3, 1);
    assert_eq!(view.deadline(), Some(Mono(166_000_000)), "a frame is due, and no sooner than 15 a second");
    view.tick(now(170));
    assert_eq!(screen.lines()[0], "run 41 · main @ 1a2b3c4 · 3 modified, 1 untracked · 3 jobs");
    assert_eq!(view.deadline(), Some(Mono(1_170_000_000)), "then only time changes");
    view.tick(now(1170));
    assert_eq!(screen.lines()[1], "● build     1s  cargo build");
    tell(&mut view, BUILT);
    view.tick(now(1400));
    screen.shows(
        "
run 41 · main @ 1a2b3c4 · 3 modified, 1 untracked · 3 jobs
✓ build   complete in 1.2s
● test     0s  cargo test
  1 running · 1 done · 1 waiting · 1s
",
    );
    assert_eq!(screen.cursor(), (4, 0));
}

#[test]
fn a_failure_shows_the_end_of_its_output_and_what_to_do() {
    let screen = Emulated::new(40, 80);
    let mut view = terminal(&screen);
    tell(&mut view, STARTED);
    tell(&mut view, BUILT);
    view.output(now(2000), &sh("test", 2), &entries(&["running 2 tests", "test a ... FAILED"]));
    tell(&mut view, FAILED);
    view.end(now(4220));
    screen.shows(
        "
run 41 · main @ 1a2b3c4 · 3 jobs
✓ build   complete in 1.2s
✗ test    failed in 3.0s: SIGKILL: cargo test (at .quire/ci.lua:7)
  │ running 2 tests
  │ test a ... FAILED
○ deploy  skipped: test failed

  job     state     time  0s                                  4.2s
✓ build   complete  1.2s  ███████████▍
✗ test    failed    3.0s             ████████████████████████████▉
○ deploy  skipped      -  test failed

✗ test failed at .quire/ci.lua:7
  test/2 $ cargo test
  SIGKILL after 2.9s
  whole log: quire-ci log 41 test/2
  again:     quire-ci run test
  shell:     quire-ci shell 41 test
  resume:    quire-ci run --resume 41

✗ run 41 failed in 4.2s: 1 failed, 1 complete, 1 skipped
",
    );
}

#[test]
fn ten_columns_and_two_hundred_jobs_are_survived() {
    let ids: Vec<String> = (0..200).map(|n| format!("{{\"id\":\"job-{n}\",\"inputs\":[\"quire/push\"]}}")).collect();
    let started = format!(
        "{{\"at_ms\":0,\"type\":\"run_started\",\"run_id\":\"r\",\"version\":\"\",\"executor\":\"host\",\"jobs\":[{}]}}",
        ids.join(",")
    );
    for (rows, columns) in [(24, 80), (24, 10), (5, 80), (2, 10), (1, 1)] {
        let screen = Emulated::new(rows, columns);
        let mut view = terminal(&screen);
        tell(&mut view, &started);
        for n in 0..200 {
            tell(&mut view, &format!("{{\"at_ms\":{n},\"type\":\"job_started\",\"job_id\":\"job-{n}\"}}"));
            tell(
                &mut view,
                &format!("{{\"at_ms\":{n},\"type\":\"sh_started\",\"job_id\":\"job-{n}\",\"cmd\":\"日本語 {n}\"}}"),
            );
        }
        view.output(now(200), &sh("job-0", 1), &entries(&["wide 日本語 日本語"; 50]));
        for at in [300, 400, 500, 1500, 2500] {
            view.output(now(at), &sh("job-0", 1), &entries(&[&format!("at {at}")]));
        }
        let lines = screen.lines();
        assert!(screen.cursor().0 < rows && lines.len() <= usize::from(rows), "{rows}x{columns}: {lines:?}");
        match (rows, columns) {
            (24, 80) => {
                assert_eq!(lines[0], "run r · 200 jobs");
                assert_eq!(lines[1], "● job-0       2s  日本語 0");
                assert_eq!(lines[7], "  │ at 2500");
                assert_eq!(lines[8], "● job-1       2s  日本語 1");
                assert_eq!(lines[21], "  … and 186 more");
                assert_eq!(lines[22], "  200 running · 2s");
            }
            (24, 10) => {
                assert_eq!(lines[1], "● job-0 …");
                assert_eq!(lines[7], "  │ at 2…");
            }
            (5, 80) => assert_eq!(lines.last().unwrap(), "  200 running · 2s"),
            _ => {}
        }
        for n in 0..200 {
            tell(
                &mut view,
                &format!(
                    "{{\"at_ms\":2600,\"type\":\"job_finished\",\"job_id\":\"job-{n}\",\"outcome\":\"complete\"}}"
                ),
            );
        }
        tell(&mut view, r#"{"at_ms":2700,"type":"run_finished","outcome":"complete"}"#);
        view.end(now(2700));
        if columns == 80 {
            assert_eq!(screen.lines().last().unwrap(), "✓ run r complete in 2.7s: 200 complete");
            assert_eq!(
                screen.lines().iter().filter(|line| line.contains("running")).count(),
                0,
                "no live area is left"
            );
        }
    }
}

#[test]
fn a_resize_leaves_no_rubbish() {
    for (rows, columns) in [(24, 30), (24, 12), (24, 120), (8, 80), (6, 20)] {
        let screen = Emulated::new(24, 80);
        let mut view = terminal(&screen);
        tell(&mut view, STARTED);
        tell(&mut view, BUILT);
        view.output(
            now(1400),
            &sh("test", 2),
            &entries(&["a line of output that takes most of the eighty columns there are"]),
        );
        view.tick(now(1500));
        screen.resize(rows, columns);
        view.tick(now(3000));
        let lines = screen.lines();
        let said = |text: &str| lines.iter().filter(|line| line.starts_with(text)).count();
        assert_eq!(said("● test"), 1, "{rows}x{columns}: {lines:?}");
        assert_eq!(said("  │ a li"), 1, "{rows}x{columns}: {lines:?}");
        assert_eq!(said("✓ build"), usize::from(rows >= 8), "{rows}x{columns}: {lines:?}");
        assert_eq!(
            lines.iter().filter(|line| line.contains("running")).count(),
            usize::from(columns > 12),
            "{lines:?}"
        );
        assert_eq!(usize::from(screen.cursor().0), lines.len());
    }
}

#[test]
fn redraws_are_few_and_only_where_something_changed() {
    let screen = Emulated::new(24, 80);
    let mut view = terminal(&screen);
    tell(&mut view, STARTED);
    for ms in 1..1000 {
        view.output(now(ms), &sh("build", 1), &entries(&[&format!("line {ms}")]));
    }
    assert!((10..=15).contains(&screen.writes()), "{}", screen.writes());
    view.tick(now(1100));
    let before = screen.writes();
    view.output(now(1170), &sh("build", 1), &entries(&["line 999"; 0]));
    view.tick(now(1300));
    assert_eq!(screen.writes(), before, "the same frame is not drawn twice");
}

#[test]
fn a_view_that_is_dropped_leaves_a_clean_terminal() {
    let screen = Emulated::new(24, 80);
    let mut view = terminal(&screen);
    tell(&mut view, STARTED);
    tell(&mut view, BUILT);
    view.tick(now(1400));
    assert!(screen.lines().iter().any(|line| line.contains("running")));
    drop(view);
    screen.shows("run 41 · main @ 1a2b3c4 · 3 jobs\n✓ build   complete in 1.2s");
    assert_eq!(screen.cursor(), (2, 0));
}

#[test]
fn a_retry_is_told_with_the_output_of_the_attempt_before() {
    let screen = Emulated::new(30, 80);
    let mut view = terminal(&screen);
    tell(&mut view, STARTED);
    view.output(now(10), &sh("build", 1), &entries(&["first try"]));
    tell(
        &mut view,
        r#"
        {"at_ms":20,"type":"sh_finished","job_id":"build","exit_code":1}
        {"at_ms":20,"type":"job_retried","job_id":"build","attempt":2,"error":{"message":"`cargo build` failed"}}
        {"at_ms":30,"type":"sh_started","job_id":"build","cmd":"cargo build"}
        {"at_ms":40,"type":"sh_finished","job_id":"build","exit_code":0}
        {"at_ms":50,"type":"job_logged","job_id":"build","text":"two\nlines"}
        {"at_ms":1050,"type":"job_finished","job_id":"build","outcome":"complete","flaky":true}
    "#,
    );
    view.tick(now(1200));
    screen.shows(
        "
run 41 · main @ 1a2b3c4 · 3 jobs
↻ build   attempt 2 begins; attempt 1: exit 1: cargo build
  │ first try
build │ two
build │ lines
✓ build   complete, flaky after 2 attempts in 1.1s
  1 done · 2 waiting · 1s
",
    );
}

#[test]
fn plain_lines_carry_their_job_and_their_bytes() {
    let mut view = PlainView::new(Vec::new(), Looks::default(), hints());
    tell(&mut view, STARTED);
    let partial = |tag: &str, text: &str| format!("2026-11-22T10:00:00.000000001Z stdout {tag} {text}\n").into_bytes();
    view.output(now(1), &sh("build", 1), &entries(&["  two  spaces\t", "", "\x1b[31mred", "10%\r20%"]));
    // A line that came in parts stays one; another job's line breaks it, and then it goes on under its own name.
    view.output(now(2), &sh("build", 1), &partial("P", "one "));
    view.output(now(3), &sh("build", 1), &partial("F", "line"));
    view.output(now(4), &sh("build", 1), &partial("P", "password? "));
    view.output(now(5), &sh("test", 1), &entries(&["other"]));
    view.output(now(6), &sh("build", 1), &partial("F", "yes"));
    view.output(now(7), &sh("build", 1), &partial("P", "no newline"));
    view.output(now(8), &sh("build", 1), &partial("F", ""));
    view.output(now(9), &sh("build", 1), b"2026-11-22T10:00:00.000000001Z stderr F \xff\n");
    view.notice(now(10), "rows lag");
    tell(&mut view, BUILT);
    tell(&mut view, FAILED);
    let text = view.into_inner();
    let expected = b"run 41, main @ 1a2b3c4
build $ cargo build
build |   two  spaces\t
build | 
build | \x1b[31mred\x1b[0m
build | 10%\r20%
build | one line
build | password? 
test | other
build | yes
build | no newline
build | \xff
rows lag
build: complete in 1.2s
test $ cargo fetch
test $ cargo test
test: failed in 3.0s: SIGKILL: cargo test (at .quire/ci.lua:7)
deploy: skipped: test failed
";
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(expected));
}

#[test]
fn the_quiet_view_tells_failures_and_the_end() {
    let mut out = Vec::new();
    let mut view = QuietView::new(&mut out, Looks::default(), hints());
    tell(&mut view, STARTED);
    view.output(now(1), &sh("build", 1), &entries(&["much"]));
    tell(&mut view, BUILT);
    tell(&mut view, FAILED);
    view.end(now(4300));
    let text = String::from_utf8(out).unwrap();
    let first = "x test failed: SIGKILL: cargo test (at .quire/ci.lua:7)\n\n  job     state     time  0s";
    assert!(text.starts_with(first), "{text}");
    assert!(text.ends_with("\nx run 41 failed in 4.2s: 1 failed, 1 complete, 1 skipped\n"), "{text}");
    assert!(text.is_ascii() && !text.contains("much"), "{text}");
}

const MIXED: &str = r#"
    {"at_ms":0,"type":"run_started","run_id":"r","version":"","executor":"host","number":7,"jobs":[{"id":"lint","inputs":[]},{"id":"a-job-with-quite-a-long-name-for-a-terminal","inputs":[]},{"id":"again","inputs":[]},{"id":"other","inputs":[]}]}
    {"at_ms":0,"type":"job_started","job_id":"lint"}
    {"at_ms":0,"type":"sh_started","job_id":"lint","cmd":"lint"}
    {"at_ms":500,"type":"sh_finished","job_id":"lint","exit_code":127,"error":{"message":"there is no program lint in PATH"}}
    {"at_ms":500,"type":"job_finished","job_id":"lint","outcome":"failed","allowed":true,"error":{"message":"command failed with exit code 127: lint","file":".quire/ci.lua","line":3}}
    {"at_ms":500,"type":"job_started","job_id":"a-job-with-quite-a-long-name-for-a-terminal"}
    {"at_ms":900,"type":"job_finished","job_id":"a-job-with-quite-a-long-name-for-a-terminal","outcome":"failed","error":{"message":"attempt to index a nil value","file":".quire/ci.lua","line":9}}
    {"at_ms":500,"type":"job_started","job_id":"again"}
    {"at_ms":950,"type":"job_finished","job_id":"again","outcome":"complete","replayed":true}
    {"at_ms":950,"type":"job_skipped","job_id":"other","reason":"not_selected"}
    {"at_ms":1000,"type":"run_finished","outcome":"failed","failure_kind":"job"}
"#;

#[test]
fn the_summary_tells_what_is_remarkable() {
    let mut out = Vec::new();
    let mut view = QuietView::new(&mut out, PLAIN, hints());
    tell(&mut view, MIXED);
    view.end(now(1000));
    let text = String::from_utf8(out).unwrap();
    let expected = "\
⚠ lint failed, allowed: not started: there is no program lint in PATH: lint (at .quire/ci.lua:3)
✗ a-job-with-quite-a-long-name-for-a-terminal failed: attempt to index a nil value (at .quire/ci.lua:9)

  job                                          state               time  0s                     1.0s
⚠ lint                                         failed, allowed     0.5s  █████████████▌
✗ a-job-with-quite-a-long-name-for-a-terminal  failed              0.4s               ███████████▎
✓ again                                        complete, replayed  0.5s               ████████████▋

⚠ lint failed, allowed at .quire/ci.lua:3
  lint/1 $ lint
  not started: there is no program lint in PATH
  whole log: quire-ci log 7 lint/1
  again:     quire-ci run lint
  shell:     quire-ci shell 7 lint

✗ a-job-with-quite-a-long-name-for-a-terminal failed at .quire/ci.lua:9
  attempt to index a nil value
  again:     quire-ci run a-job-with-quite-a-long-name-for-a-terminal
  resume:    quire-ci run --resume 7

✗ run 7 failed in 1.0s: 1 failed, 1 failed but allowed, 1 complete, 1 not asked for
";
    assert_eq!(text, expected);
}

#[test]
fn the_summary_fits_a_narrow_terminal() {
    for columns in [10, 20, 40, 60] {
        let screen = Emulated::new(60, columns);
        let mut view = terminal(&screen);
        tell(&mut view, MIXED);
        view.end(now(1000));
        let lines = screen.lines();
        let table = lines.iter().position(|line| line.starts_with("  job")).unwrap();
        let below = lines.get(table..).unwrap();
        assert_eq!(below.len(), 18, "no line of the summary wraps: {below:#?}");
        if columns == 60 {
            assert_eq!(below[2], "✗ a-job-with-quite-a-…  failed              0.4s       ████");
        }
    }
}

#[test]
fn json_is_the_only_thing_on_its_output() {
    let mut out = Vec::new();
    let mut view =
        JsonView::new(&mut out, Hints { record_dir: Some("/r/41".into()), ..hints() }, Box::new(io::sink()), None);
    tell(&mut view, STARTED);
    view.output(now(1), &sh("build", 1), &entries(&["much"]));
    view.notice(now(1), "a warning");
    tell(&mut view, BUILT);
    tell(&mut view, FAILED);
    view.end(now(4300));
    let expected = concat!(
        r#"{"run_id":"0190b0e0-0000-7000-8000-000000000000","number":41,"outcome":"failed","failure_kind":"job","error":null,"#,
        r#""repo":null,"ref":"refs/heads/main","sha":"1a2b3c4d5e6f","executor":"host","resumed_from":null,"started_at_ms":0,"#,
        r#""finished_at_ms":4210,"duration_ms":4210,"record_dir":"/r/41","jobs":["#,
        r#"{"id":"build","state":"complete","exit_code":null,"started_at_ms":0,"finished_at_ms":1200,"duration_ms":1200,"#,
        r#""attempts":1,"allowed":false,"flaky":false,"replayed":false,"skip_reason":null,"error":null,"commands":1},"#,
        r#"{"id":"test","state":"failed","exit_code":137,"started_at_ms":1200,"finished_at_ms":4200,"duration_ms":3000,"#,
        r#""attempts":1,"allowed":false,"flaky":false,"replayed":false,"skip_reason":null,"#,
        r#""error":{"message":"`cargo test` was ended by SIGKILL","file":".quire/ci.lua","line":7},"commands":2},"#,
        r#"{"id":"deploy","state":"skipped","exit_code":null,"started_at_ms":null,"finished_at_ms":4200,"duration_ms":null,"#,
        r#""attempts":0,"allowed":false,"flaky":false,"replayed":false,"skip_reason":"input_failed","#,
        r#""error":{"message":"test failed","file":null,"line":null},"commands":0}]}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
