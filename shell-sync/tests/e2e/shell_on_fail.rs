//! `run --shell-on-fail`: the shell opens after a run that failed, with what was really started.

use std::fs;

use crate::shell::{asks, left_files, variable, world_of_shells};
use crate::terminal::Terminal;
use crate::world::until;

#[test]
fn the_failed_command_is_ready_with_its_secrets_and_the_exit_code_stays() {
    let mut world = world_of_shells(
        r#"ci.job("fine", function(rt) rt.sh("true") end)
        ci.job("bad", { "fine" }, { env = { OF_JOB = "job" } }, function(rt)
          rt.sh("exit 3", { check = false })
          local token = rt.secret("T")
          rt.sh("echo again " .. token .. " >> marks; false", { cwd = ".quire", env = { TOKEN = token }, stdin = "four" })
        end)"#,
    );
    world.set("MY_TOKEN", "hunter22hunter22");
    let terminal = Terminal::start(&world, &["run", "--shell-on-fail", "--secret", "T=env:MY_TOKEN"], 50, 120);
    asks(&terminal, 1);
    terminal.shows(&["✗ run 1 failed", "run 1, bad/2: exit 1", "4 bytes on standard input", "arrow up"]);
    assert_eq!(world.last().outcome().as_deref(), Some("failed"), "the record is finished");
    world.quire(&["show"]).ends(0);
    terminal.types("\u{1b}[A\r");
    until("the command to run again", || (world.read(".quire/marks").lines().count() == 2).then_some(()));
    assert_eq!(world.read(".quire/marks"), "again hunter22hunter22\n".repeat(2));
    asks(&terminal, 2);
    terminal.types("env > seen; echo > end\r");
    until("the environment", || fs::read(world.workspace().join(".quire/end")).ok());
    for (name, value) in [
        ("TOKEN", Some("hunter22hunter22")),
        ("OF_JOB", Some("job")),
        ("MY_TOKEN", None),
        ("QUIRE_JOB_ID", Some("bad")),
        ("QUIRE_SH", None),
    ] {
        assert_eq!(variable(&world, ".quire/seen", name).as_deref(), value, "{name}");
    }
    asks(&terminal, 3);
    terminal.types("exit 0\r");
    assert_eq!(terminal.end().code, Some(1));
    let history = fs::read_to_string(world.beside("home/.bash_history")).unwrap();
    assert!(!history.contains("hunter22"), "{history}");
    assert_eq!(left_files(&world), [""; 0]);
    world.is_sound();
}

#[test]
fn a_kept_checkout_is_where_it_opens() {
    let world = world_of_shells(r#"ci.job("bad", function(rt) rt.sh({ "test", "-e", "none" }) end)"#);
    let terminal = Terminal::start(&world, &["run", "--shell-on-fail", "--at", "HEAD"], 40, 200);
    asks(&terminal, 1);
    terminal.shows(&["the checkout is kept", "arrow up for the command; exit"]);
    terminal.types("pwd > place\r");
    let place = world.last().0.join("workspace/place");
    until("the place", || fs::read_to_string(&place).ok().filter(|text| text.ends_with('\n')));
    asks(&terminal, 2);
    terminal.types("exit\r");
    assert_eq!(terminal.end().code, Some(1));
}

#[test]
fn nothing_opens_after_success_a_cancel_or_an_error_without_a_command() {
    let world = world_of_shells(
        r#"ci.job("fine", function(rt) rt.sh("true") end)
        ci.job("script", function(rt) error("no command") end)
        ci.job("long", function(rt) rt.sh("echo begun; sleep 1000") end)"#,
    );
    let left = Terminal::start(&world, &["run", "--shell-on-fail", "fine"], 24, 100).end();
    assert_eq!(left.code, Some(0));
    assert!(!left.bytes.contains("ready>"), "{}", left.bytes);
    let left = Terminal::start(&world, &["run", "--shell-on-fail", "script"], 24, 100).end();
    assert_eq!(left.code, Some(1));
    assert!(left.bytes.contains("no command failed a job") && !left.bytes.contains("ready>"), "{}", left.bytes);
    let terminal = Terminal::start(&world, &["run", "--shell-on-fail", "long"], 24, 100);
    terminal.shows(&["│ begun"]);
    terminal.types("\u{3}");
    let left = terminal.end();
    assert_eq!(left.code, Some(130));
    assert!(!left.bytes.contains("ready>"), "{}", left.bytes);
}

#[test]
fn it_wants_a_terminal_before_anything_runs() {
    let world = world_of_shells(r#"ci.job("bad", function(rt) rt.sh("false") end)"#);
    world.quire(&["run", "--shell-on-fail"]).ends(2).says(&["a shell needs a terminal", "--shell-on-fail"]);
    let left = Terminal::of(&world, "exec \"$0\" run --shell-on-fail < /dev/null", &[], 24, 100).end();
    assert_eq!(left.code, Some(2));
    assert_eq!(world.runs().len(), 0);
}

#[test]
fn a_directory_that_the_run_took_away_is_told_and_the_exit_code_stays() {
    let world = world_of_shells(
        r#"ci.job("bad", function(rt)
          rt.defer(function() rt.sh("rm -r gone") end)
          rt.sh("mkdir gone")
          rt.sh("false", { cwd = "gone" })
        end)"#,
    );
    let left = Terminal::start(&world, &["run", "--shell-on-fail"], 40, 120).end();
    assert_eq!(left.code, Some(1));
    let text = left.lines.join("\n");
    assert!(text.contains("the directory of bad/2 cannot be entered: it has gone"), "{text}");
}
