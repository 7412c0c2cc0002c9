//! quire-ci in a terminal: a pseudo-terminal of the kernel, with an emulator at its other end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::world::{World, ends_within, until};

/// A terminal that a quire-ci runs in.
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

/// How it ended and what it left on the screen.
pub struct Left {
    pub code: Option<i32>,
    pub lines: Vec<String>,
    pub bytes: String,
}

impl Terminal {
    /// Starts quire-ci as the leader of a session of its own whose controlling terminal this is.
    #[track_caller]
    pub fn start(world: &World, args: &[&str], rows: u16, columns: u16) -> Terminal {
        Terminal::of(world, "exec \"$0\" \"$@\"", args, rows, columns)
    }

    /// The same for a line of the shell; `$0` is quire-ci.
    #[track_caller]
    pub fn of(world: &World, script: &str, args: &[&str], rows: u16, columns: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        let mut command = world.command("setsid", &["--ctty", "sh", "-c", script, env!("CARGO_BIN_EXE_quire-ci")]);
        command.args(args).env("TERM", "xterm-256color");
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = command.spawn().unwrap();
        drop(command);
        let parser = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 1000);
        let seen = Arc::new(Mutex::new(Seen { parser, bytes: Vec::new() }));
        let theirs = Arc::clone(&seen);
        let mut input = File::from(master.try_clone().unwrap());
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 4096];
            // Once nobody has the other end open, reading is an error (EIO).
            while let Ok(count @ 1..) = input.read(&mut buffer) {
                let mut seen = theirs.lock().unwrap();
                seen.parser.process(&buffer[..count]);
                seen.bytes.extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { master, child, seen, reader: Some(reader) }
    }

    pub fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let columns = seen.parser.screen().size().1.get();
        let mut lines: Vec<String> =
            seen.parser.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Waits until the screen shows each of these at once.
    #[track_caller]
    pub fn shows(&self, wanted: &[&str]) {
        until(&format!("{wanted:?} on the screen"), || {
            let text = self.lines().join("\n");
            wanted.iter().all(|wanted| text.contains(wanted)).then_some(())
        });
    }

    /// The process that was started.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub fn types(&self, keys: &str) {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.seen.lock().unwrap().parser.screen_mut().set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    #[track_caller]
    pub fn end(mut self) -> Left {
        assert!(ends_within(self.pid(), std::time::Duration::from_secs(60)), "it hangs: {:#?}", self.lines());
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        let seen = self.seen.lock().unwrap();
        assert!(!seen.parser.screen().hide_cursor(), "the cursor is there again");
        let bytes = String::from_utf8_lossy(&seen.bytes).into_owned();
        drop(seen);
        Left { code, lines: self.lines(), bytes }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WAITS: &str = r#"
ci.job("first", function(rt) rt.sh("true") end)
ci.job("second", { "first" }, { timeout = "50s" }, function(rt)
  rt.sh("printf '\\033[31mred\\033[0m line\\n'; until test -e go; do sleep 0.01; done; echo last line")
end)"#;

#[test]
fn a_running_command_is_shown_and_the_end_is_clean() {
    let world = World::new(WAITS);
    let terminal = Terminal::start(&world, &["run"], 24, 80);
    terminal.shows(&["run 1 · main", "✓ first", "● second", "printf", "│ red line", "1 running"]);
    world.write("go", "");
    let left = terminal.end();
    assert_eq!(left.code, Some(0));
    let text = left.lines.join("\n");
    assert!(text.contains("✓ run 1 complete") && text.contains("✓ second"), "{text}");
    assert!(!text.contains("1 running") && !text.contains("● "), "nothing of the live view is left:\n{text}");
    assert!(left.bytes.contains("\u{1b}["), "in colours");
}

#[test]
fn a_failure_shows_the_end_of_its_output_and_how_to_go_on() {
    let world = World::new(r#"ci.job("bad", function(rt) rt.sh("for n in 1 2 3; do echo line $n; done; exit 4") end)"#);
    let left = Terminal::start(&world, &["run"], 40, 100).end();
    assert_eq!(left.code, Some(1));
    let text = left.lines.join("\n");
    for wanted in ["✗ bad", "exit 4", "│ line 3", ".quire/ci.lua:2", "quire-ci log 1 bad/1", "quire-ci run bad"] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn no_color_is_heeded() {
    let mut world = World::new(WAITS);
    world.set("NO_COLOR", "1");
    world.write("go", "");
    let left = Terminal::start(&world, &["run"], 24, 80).end();
    assert_eq!(left.code, Some(0));
    // SGR sequences end in m; moving the cursor is no colour.
    let sequences = left.bytes.split("\u{1b}[").skip(1);
    let coloured: Vec<&str> = sequences
        .filter(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
        .collect();
    assert_eq!(coloured, [] as [&str; 0]);
    assert!(left.lines.join("\n").contains("✓ run 1 complete"));
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let world = World::new(WAITS);
    world.write("go", "");
    let left = Terminal::of(&world, "TERM=dumb exec \"$0\" run --color auto", &[], 24, 80).end();
    assert_eq!(left.code, Some(0));
    assert!(left.bytes.contains("second | last line"), "{}", left.bytes);
    // What the build printed may have colours; quire-ci adds none and moves no cursor.
    let sequences: Vec<&str> =
        left.bytes.split("\u{1b}[").skip(1).map(|rest| &rest[..rest.find('m').map_or(1, |at| at + 1)]).collect();
    assert!(sequences.iter().all(|sequence| ["31m", "0m"].contains(sequence)), "{sequences:?}");
}

#[test]
fn a_narrow_terminal_and_a_resize_are_survived() {
    let world = World::new(
        r#"for n = 1, 30 do
          ci.job("a-job-with-a-long-name-" .. n, { timeout = "50s" }, function(rt)
            rt.sh("echo a rather long line of output that no narrow terminal can hold; until test -e go; do sleep 0.02; done")
          end)
        end"#,
    );
    let terminal = Terminal::start(&world, &["run", "-j30"], 8, 20);
    terminal.shows(&["a-job", "│ a rather"]);
    assert!(terminal.lines().len() <= 8);
    terminal.resize(30, 120);
    terminal.shows(&["30 running", "a-job-with-a-long-name-2"]);
    terminal.resize(5, 12);
    terminal.shows(&["30 running"]);
    world.write("go", "");
    let left = terminal.end();
    assert_eq!(left.code, Some(0));
    assert!(left.lines.iter().any(|line| line.contains("✓ run 1")), "{:#?}", left.lines);
}

#[test]
fn control_c_ends_the_run_and_leaves_the_terminal_clean() {
    let world = World::new(
        r#"ci.job("long", function(rt)
          rt.defer(function() rt.sh("echo tidied > tidied") end)
          rt.sh("echo begun; sleep 1000")
        end)"#,
    );
    let terminal = Terminal::start(&world, &["run"], 24, 80);
    terminal.shows(&["● long", "│ begun"]);
    terminal.types("\u{3}");
    let left = terminal.end();
    assert_eq!(left.code, Some(130));
    assert_eq!(world.processes(), []);
    assert_eq!(world.read("tidied"), "tidied\n");
    let text = left.lines.join("\n");
    assert!(text.contains("■ run 1 aborted") && !text.contains("● "), "{text}");
    assert_eq!(world.last().outcome().as_deref(), Some("aborted"));
}

#[test]
fn json_goes_to_stdout_while_a_terminal_shows_the_run() {
    let world = World::new(WAITS);
    let terminal = Terminal::of(&world, "exec \"$0\" run --json > summary.json", &[], 24, 80);
    terminal.shows(&["● second", "│ red line"]);
    world.write("go", "");
    let left = terminal.end();
    assert_eq!(left.code, Some(0));
    assert!(!left.lines.join("\n").contains("● "), "{:#?}", left.lines);
    let summary: serde_json::Value = serde_json::from_str(&world.read("summary.json")).unwrap();
    assert_eq!(summary["outcome"], "complete");
}
