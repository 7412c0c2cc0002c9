//! `shell`: a person's shell where a command failed, in a real terminal and without one.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Signal, kill_process};

use crate::terminal::Terminal;
use crate::world::{World, until};

/// A world whose shells say `ready> ` and change what they must not, with a place of its own for temporary files.
pub fn world_of_shells(pipeline: &str) -> World {
    let mut world = World::new(pipeline);
    let home = world.beside("home");
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        ".bashrc",
        "PS1='ready> '\nexport GIVEN=mine GONE=mine\nHISTCONTROL=ignoreboth\ncd /\nset -u\nalias cd='echo no' history='echo no'\n",
    );
    write(".bash_history", "echo an old one\n");
    write(".zshenv", "export GONE=mine\n");
    write(
        ".zshrc",
        "PS1='ready> '\nexport GIVEN=mine\nHISTFILE=~/.zsh_history\nSAVEHIST=100\nunsetopt prompt_sp\ncd /\ncd() { echo no }\nalias print='echo no'\n",
    );
    write(".zsh_history", "echo an old one\n");
    write(".config/fish/config.fish", "function fish_prompt; echo -n 'ready> '; end\nset -gx GIVEN mine\ncd /\n");
    write(".local/share/fish/fish_history", "- cmd: echo an old one\n  when: 1600000000\n");
    let temporary = world.beside_text("tmp");
    fs::create_dir(&temporary).unwrap();
    world.set("TMPDIR", &temporary);
    world
}

/// Waits until the shell has asked this often.
#[track_caller]
pub fn asks(terminal: &Terminal, times: usize) {
    until(&format!("prompt {times}"), || {
        (terminal.lines().join("\n").matches("ready>").count() >= times).then_some(())
    });
}

/// The variables in a file that `env` wrote.
#[track_caller]
pub fn variable(world: &World, file: &str, name: &str) -> Option<String> {
    let text = world.read(file);
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

/// What is left of the files that shells are started with.
pub fn left_files(world: &World) -> Vec<String> {
    let names =
        fs::read_dir(world.beside("tmp")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("quire-")).collect()
}

/// Where a program is.
#[track_caller]
fn program(name: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found: Option<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name} is needed; .ci/run installs it")).to_str().unwrap().to_owned()
}

const FAILS: &str = r#"
ci.job("fine", function(rt) rt.sh("true") end)
ci.job("bad", { "fine" }, function(rt)
  rt.sh("true")
  rt.sh("echo \"it's $GIVEN\" \\\\ ! >> marks; false; echo not under -e >> marks", {
    cwd = "sub", env = { GIVEN = "by the pipeline", GONE = false, DATA_PATH = "/a:/b" } })
end)"#;

/// The way through one shell: `written` is how often the arrow goes up to the line as it is written, `exact` under `sh`.
fn arrow_up_brings_the_command(shell: &str, written: usize, exact: usize) {
    let mut world = world_of_shells(FAILS);
    world.set("SHELL", &program(shell));
    world.set("OF_CALLER", "of the caller");
    fs::create_dir(world.workspace().join("sub")).unwrap();
    world.run(1, &[]);
    let recorded = world.last().bytes("events.jsonl");
    assert_eq!(world.read("sub/marks"), "it's by the pipeline \\ !\n");

    let terminal = Terminal::start(&world, &["shell"], 50, 120);
    asks(&terminal, 1);
    terminal.shows(&["run 1, bad/2: exit 1", "$ echo", "/sub; arrow up", "sh -e -c"]);
    terminal.types(&format!("{}\r", "\u{1b}[A".repeat(exact)));
    until("the command to run again", || (world.read("sub/marks").lines().count() == 2).then_some(()));
    asks(&terminal, 2);
    terminal.types("env > seen; pwd > place\r");
    until("the place", || {
        fs::read_to_string(world.workspace().join("sub/place")).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(world.read("sub/place").trim_end(), world.workspace().join("sub").to_str().unwrap());
    for (name, value) in [
        ("GIVEN", Some("by the pipeline")),
        ("GONE", None),
        ("DATA_PATH", Some("/a:/b")),
        ("OF_CALLER", Some("of the caller")),
        ("CI", Some("true")),
        ("QUIRE_JOB_ID", Some("bad")),
        ("QUIRE_RUN_NUMBER", Some("1")),
        ("QUIRE_REF", Some("refs/heads/main")),
        ("FORCE_COLOR", Some("1")),
        ("QUIRE_SH", None),
        ("ZDOTDIR", None),
        ("XDG_DATA_HOME", None),
    ] {
        assert_eq!(variable(&world, "sub/seen", name).as_deref(), value, "{name}");
    }
    assert_eq!(variable(&world, "sub/seen", "QUIRE_RUN_ID"), Some(world.last().id()));
    assert_eq!(variable(&world, "sub/seen", "QUIRE_SHA"), Some(world.git(&["rev-parse", "HEAD"])));
    assert!(!world.read("sub/seen").contains("QUIRE_SHELL"), "nothing of the start is left");
    if written > 0 {
        asks(&terminal, 3);
        // Behind the two commands that were typed since.
        terminal.types(&format!("{}\r", "\u{1b}[A".repeat(2 + written)));
        until("the line as it is", || world.read("sub/marks").contains("not under -e").then_some(()));
        asks(&terminal, 4);
    }
    terminal.types("exit 3\r");
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{:#?}", left.lines);

    assert_eq!(world.last().bytes("events.jsonl"), recorded, "the record is as it was");
    assert_eq!(world.runs().len(), 1);
    assert_eq!(left_files(&world), [""; 0]);
    for history in [".bash_history", ".zsh_history", ".local/share/fish/fish_history"] {
        let text = fs::read_to_string(world.beside("home").join(history)).unwrap();
        assert!(text.contains("an old one") && !text.contains("marks") && !text.contains("seen"), "{history}: {text}");
    }
}

#[test]
fn arrow_up_brings_the_command_in_bash() {
    arrow_up_brings_the_command("bash", 1, 2);
}

#[test]
fn arrow_up_brings_the_command_in_zsh() {
    arrow_up_brings_the_command("zsh", 1, 2);
}

#[test]
fn arrow_up_brings_the_command_in_fish() {
    arrow_up_brings_the_command("fish", 0, 1);
}

#[test]
fn a_command_of_several_lines_comes_back_as_one() {
    let world =
        world_of_shells(r#"ci.job("bad", function(rt) rt.sh("echo one >> marks\nfalse\necho two >> marks") end)"#);
    world.run(1, &[]);
    let terminal = Terminal::start(&world, &["shell"], 40, 100);
    asks(&terminal, 1);
    terminal.shows(&["  $ echo one >> marks", "    false", "    echo two >> marks"]);
    terminal.types("\u{1b}[A\u{1b}[A\r");
    until("the lines under -e", || (world.read("marks") == "one\none\n").then_some(()));
    asks(&terminal, 2);
    terminal.types("\u{1b}[A\u{1b}[A\r");
    until("the lines as they are", || (world.read("marks") == "one\none\none\ntwo\n").then_some(()));
    asks(&terminal, 3);
    terminal.types("exit\r");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn the_persons_own_history_is_within_reach() {
    for shell in ["bash", "zsh", "fish"] {
        let mut world = world_of_shells(r#"ci.job("bad", function(rt) rt.sh({ "test", "-e", "there is none" }) end)"#);
        world.set("SHELL", &program(shell));
        world.run(1, &[]);
        let terminal = Terminal::start(&world, &["shell"], 24, 100);
        asks(&terminal, 1);
        terminal.types("\u{1b}[A\u{1b}[A\u{1b}[A > was\r");
        until("an old command", || fs::read(world.workspace().join("was")).ok().filter(|text| !text.is_empty()));
        assert_eq!(world.read("was"), "an old one\n", "{shell}");
        asks(&terminal, 2);
        terminal.types("exit\r");
        assert_eq!(terminal.end().code, Some(0), "{shell}");
    }
}

#[test]
fn a_shell_without_a_history_is_shown_the_whole_command() {
    let mut world = world_of_shells(
        r#"ci.job("bad", function(rt) rt.sh("echo 1\necho 2\necho 3\necho 4\necho 5\necho 6\necho 7\necho 8\necho 9\nfalse") end)"#,
    );
    world.run(1, &[]);
    // Only sh is in this PATH, and $SHELL is none that is known.
    let only = world.beside("only");
    fs::create_dir(&only).unwrap();
    std::os::unix::fs::symlink(program("sh"), only.join("sh")).unwrap();
    world.set("SHELL", "/bin/false");
    world.set("PS1", "ready> ");
    let script = format!("PATH={} exec \"$0\" shell", only.display());
    let terminal = Terminal::of(&world, &script, &[], 30, 100);
    asks(&terminal, 1);
    terminal.shows(&["echo 9", "it ran under sh -e -c", "exit to leave"]);
    terminal.types("exit 1\r");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn without_a_terminal_the_shell_reads_what_it_is_given() {
    let world = world_of_shells(FAILS);
    fs::create_dir(world.workspace().join("sub")).unwrap();
    world.run(1, &[]);
    let done = world.quire_reading(&["shell"], "pwd; echo \"$GIVEN\"; exit 5\n").ends(0);
    assert_eq!(done.out(), format!("{}\nby the pipeline\n", world.workspace().join("sub").display()));
    done.says(&["run 1, bad/2: exit 1", "  $ echo"]);
    assert!(!done.err().contains("arrow up"), "{}", done.err());
    // Any command of any job will do.
    let done = world.quire_reading(&["shell", "last", "bad/1"], "pwd; echo \"${GIVEN-none}\"\n").ends(0);
    assert_eq!(done.out(), format!("{}\nnone\n", world.workspace().display()));
    done.says(&["run 1, bad/1: exit 0"]);
    world.quire_reading(&["shell", "1", "fine"], "true\n").ends(0).says(&["fine/1"]);
}

#[test]
fn what_the_record_hides_is_unset_and_told_or_given_again() {
    let mut world = world_of_shells(
        r#"ci.job("bad", function(rt)
          local token = rt.secret("T")
          rt.sh("test -z " .. token, { env = { TOKEN = token, HEADER = "Bearer " .. token, PLAIN = "plain" } })
        end)"#,
    );
    world.set("MY_TOKEN", "hunter22hunter22");
    world.set("TOKEN", "of the caller");
    world.run(1, &["--secret", "T=env:MY_TOKEN"]);
    let show = "echo \"${TOKEN-none} ${HEADER-none} $PLAIN ${MY_TOKEN-none}\"\n";
    let done = world.quire_reading(&["shell"], show).ends(0);
    assert_eq!(done.out(), "none none plain hunter22hunter22\n", "the run's source of it is the caller's own variable");
    done.says(&["$ test -z ***", "*** in it stands for a secret", "TOKEN is not set", "--secret TOKEN=env:VAR"]);
    done.says(&["HEADER is not set"]);
    let done = world.quire_reading(&["shell", "--secret", "TOKEN=env:MY_TOKEN"], show).ends(0);
    assert_eq!(done.out(), "hunter22hunter22 none plain none\n");
    assert!(!done.err().contains("TOKEN is not set") && !done.err().contains("hunter22"), "{}", done.err());
    let unasked = world.quire_reading(&["shell", "--secret", "OTHER=env:MY_TOKEN"], show).ends(2);
    unasked.says(&["no secret in a variable OTHER", "HEADER, TOKEN"]);
}

#[test]
fn what_is_not_there_is_told() {
    let world = world_of_shells(
        r#"ci.job("one", function(rt) rt.sh("mkdir gone"); rt.sh("false", { cwd = "gone" }) end)
        ci.job("two", function(rt) if not rt.params.alone then rt.sh("exit 2") end end)
        ci.job("three", function(rt) error("no command") end)
        ci.job("allowed", { allow_failure = true }, function(rt) rt.sh("exit 3") end)
        ci.job("fine", function(rt) rt.sh("true") end)"#,
    );
    world.quire(&["shell"]).ends(2).says(&["no runs yet"]);
    world.run(0, &["fine"]);
    world.quire(&["shell"]).ends(2).says(&["last-failed"]);
    world.quire(&["shell", "last"]).ends(2).says(&["no job of run 1 failed", "fine"]);
    world.run(1, &["--keep-going"]);
    world.quire(&["shell"]).ends(2).says(&["3 jobs of run 2 failed", "one, two, three"]);
    world.quire(&["shell", "2", "three"]).ends(2).says(&["ran no command"]);
    world.quire(&["shell", "2", "four"]).ends(2).says(&["has no job \"four\""]);
    world.quire(&["shell", "2", "one/7"]).ends(2).says(&["no command 7", "one/2"]);
    world.quire(&["shell", "77"]).ends(2).says(&["77"]);
    world.quire_reading(&["shell", "2", "one"], "pwd\n").ends(0).says(&["one/2: exit 1"]);
    fs::remove_dir(world.workspace().join("gone")).unwrap();
    let gone = world.workspace().join("gone");
    let error = world.quire(&["shell", "2", "one"]).ends(2);
    error.says(&["the directory of one/2", "it has gone", gone.to_str().unwrap(), "--shell-on-fail"]);
    fs::write(&gone, "a file").unwrap();
    world.quire(&["shell", "2", "one"]).ends(2).says(&["a directory no more"]);
    // An allowed failure is meant only where nothing else failed.
    world.run(0, &["allowed"]);
    world.quire_reading(&["shell", "last"], "").ends(0).says(&["allowed/1: exit 3"]);
    fs::remove_file(world.last().0.join("events.jsonl")).unwrap();
    world.quire(&["shell", "last"]).ends(2).says(&["event file has gone"]);
}

#[test]
fn a_kept_checkout_is_entered_with_its_clean_environment() {
    let mut world = world_of_shells(r#"ci.job("bad", function(rt) rt.sh("echo kept > file; false") end)"#);
    world.set("OF_CALLER", "of the caller");
    world.run(1, &["--at", "HEAD"]);
    let show = "pwd; cat file; echo \"${OF_CALLER-none}\"\n";
    let done = world.quire_reading(&["shell"], show).ends(0);
    let checkout = fs::canonicalize(world.last().0.join("workspace")).unwrap();
    assert_eq!(done.out(), format!("{}\nkept\nnone\n", checkout.display()));
    // Without the checkout it is the workspace, and a later commit there is told.
    fs::remove_dir_all(checkout).unwrap();
    world.write("file", "mine\n");
    world.commit("later");
    let done = world.quire_reading(&["shell"], show).ends(0);
    assert_eq!(done.out(), format!("{}\nmine\nof the caller\n", world.workspace().display()));
    done.says(&["the run was of commit", "the workspace is at"]);
    let done = world.quire_reading(&["shell", "--clean"], show).ends(0);
    assert_eq!(done.out(), format!("{}\nmine\nnone\n", world.workspace().display()));
}

#[test]
fn a_kept_checkout_of_a_folder_below_its_repository_is_entered_there() {
    let world = World::without_git("top/below", r#"ci.job("bad", function(rt) rt.sh("false") end)"#);
    let top = world.workspace().parent().unwrap().to_owned();
    let git = |args: &[&str]| {
        let done = world.command("git", args).current_dir(&top).output().unwrap();
        assert!(done.status.success(), "{args:?}");
    };
    git(&["init", "-q", "-b", "main", "."]);
    git(&["add", "-A"]);
    git(&["-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "commit", "-q", "-m", "first"]);
    world.run(1, &["--at", "HEAD"]);
    let checkout = fs::canonicalize(world.last().0.join("workspace/below")).unwrap();
    assert_eq!(world.quire_reading(&["shell"], "pwd\n").ends(0).out(), format!("{}\n", checkout.display()));
}

#[test]
fn a_stream_of_before_says_less_and_is_read_all_the_same() {
    let world = world_of_shells(r#"ci.job("bad", function(rt) rt.sh("false", { cwd = ".quire" }) end)"#);
    world.run(1, &[]);
    let path = world.last().0.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let old = text.replace(r#","cwd":".quire""#, "");
    assert_ne!(old, text);
    fs::write(&path, old).unwrap();
    let done = world.quire_reading(&["shell"], "pwd\n").ends(0);
    assert_eq!(done.out(), format!("{}\n", world.workspace().display()));
}

#[test]
fn a_terminated_shell_leaves_nothing() {
    let world = world_of_shells(FAILS);
    fs::create_dir(world.workspace().join("sub")).unwrap();
    world.run(1, &[]);
    let terminal = Terminal::start(&world, &["shell"], 24, 100);
    asks(&terminal, 1);
    kill_process(terminal.pid(), Signal::TERM).unwrap();
    assert_eq!(terminal.end().code, Some(143));
    assert_eq!(left_files(&world), [""; 0]);
    world.falls_quiet();
}
