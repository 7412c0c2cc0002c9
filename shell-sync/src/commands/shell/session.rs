//! The shell itself: which one, what is said before it, and waiting for its end.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, access};

use super::repeat::Repeat;
use super::startup::{self, Kind};
use crate::cli::CliError;
use crate::process::{Signals, wait_in_foreground};
use crate::ui::text::harmless;
use crate::ui::{Colour, Looks, Sink, Surroundings, Tone};

/// Lines of a command that are shown where its history has all of it.
const SHOWN_LINES: usize = 8;

/// Opens a shell and waits for its end; the signal that asked for it, if one did.
///
/// # Errors
/// Where the directory or the shell is not there, or cannot be used.
pub fn open(repeat: &Repeat, signals: &mut Signals, colour: Colour) -> Result<Option<i32>, CliError> {
    let (kind, program) = choose(|name| std::env::var_os(name));
    let is_interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let refused = |what: &str, error: std::io::Error| CliError::machine(format!("{what}: {error}"));
    let mut command = Command::new(&program);
    command.env_clear().envs(&repeat.env).current_dir(&repeat.directory);
    let files = match is_interactive {
        true => startup::ready(kind, &mut command, repeat).map_err(|error| {
            refused("the shell's start files cannot be made", error).at(std::env::temp_dir().display())
        })?,
        false => None,
    };
    let history = if is_interactive { kind.history(repeat).len() } else { 0 };
    let looks = Surroundings::of(Sink::Stderr).looks(colour);
    let text = banner(repeat, is_interactive.then_some((kind, history)), looks);
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
    let mut child =
        command.spawn().map_err(|error| refused("the shell cannot be started", error).at(program.display()))?;
    let ended =
        wait_in_foreground(&mut child, signals).map_err(|error| refused("the shell cannot be waited for", error));
    drop(files);
    ended
}

/// The person's shell where it is one that can be told a history, else bash, else sh.
fn choose(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> (Kind, PathBuf) {
    let own = variable("SHELL").map(PathBuf::from).filter(|program| program.is_absolute() && is_program(program));
    if let Some(program) = own
        && let Some(kind) = Kind::of(&program)
    {
        return (kind, program);
    }
    let path = variable("PATH").unwrap_or_default();
    let find = |name: &str| {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name));
        found.into_iter().find(|program| program.is_absolute() && is_program(program))
    };
    match find("bash") {
        Some(program) => (Kind::Bash, program),
        None => (Kind::Sh, find("sh").unwrap_or_else(|| PathBuf::from("/bin/sh"))),
    }
}

fn is_program(program: &Path) -> bool {
    program.is_file() && access(program, Access::EXEC_OK).is_ok()
}

/// What is said before the shell: which command, how it ended, where this is, how to recall it. `interactive` names the shell
/// and how many entries its history has.
fn banner(repeat: &Repeat, interactive: Option<(Kind, usize)>, looks: Looks) -> String {
    let mut text = String::new();
    let Repeat { run, sh, ending, typed, directory, notes, .. } = repeat;
    let title = looks.paint(Tone::Strong, format_args!("{run}, {sh}"));
    let _ = writeln!(text, "{title}: {}", looks.paint(Tone::Bad, ending));
    let in_history = interactive.is_some_and(|(_, entries)| entries > 0);
    let lines: Vec<&str> = typed.written.trim_end().lines().collect();
    let shown = if in_history { SHOWN_LINES } else { lines.len() };
    for (line, sign) in lines.iter().take(shown).zip(std::iter::once("$").chain(std::iter::repeat(" "))) {
        let _ = writeln!(text, "  {} {}", looks.paint(Tone::Quiet, sign), harmless(line.as_bytes(), false));
    }
    if lines.len() > shown {
        let _ = writeln!(text, "    {} {} lines in all", looks.pick("…", "..."), lines.len());
    }
    if typed.is_masked() {
        let _ = writeln!(text, "{}", warning(looks, "*** in it stands for a secret that the record does not hold"));
    }
    for note in notes {
        let _ = writeln!(text, "{}", warning(looks, &harmless(note.as_bytes(), false)));
    }
    let how = match (interactive, typed.ran_by()) {
        (None, _) => String::new(),
        (Some((_, 0)), None) => "; exit to leave".to_owned(),
        (Some((_, 0)), Some(by)) => format!("; it ran under {by}; exit to leave"),
        (Some((_, 1)), _) => "; arrow up for the command; exit to leave".to_owned(),
        (Some((Kind::Fish, _)), Some(by)) => {
            format!("; arrow up for the command under {by}, twice for the line as it is; exit to leave")
        }
        (Some(_), by) => {
            let by = by.unwrap_or_else(|| "its shell".to_owned());
            format!("; arrow up for the command, twice for it under {by}; exit to leave")
        }
    };
    let _ = writeln!(text, "in {}{}", harmless(bytes(directory), false), looks.paint(Tone::Quiet, how));
    text
}

fn warning(looks: Looks, text: &str) -> String {
    format!("{} {text}", looks.paint(Tone::Warning, "note:"))
}

fn bytes(path: &Path) -> &[u8] {
    OsStr::as_encoded_bytes(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::commands::shell::typed::Typed;

    #[test]
    fn it_is_said_which_command_how_it_ended_where_this_is_and_how_to_recall_it() {
        let repeat = |cmd: &str, notes: &[&str]| Repeat {
            run: "run 3".to_owned(),
            sh: "test/2".to_owned(),
            ending: "exit 1".to_owned(),
            typed: Typed::recorded(cmd, None),
            directory: PathBuf::from("/w/a\u{1b}b"),
            env: BTreeMap::new(),
            given: BTreeSet::new(),
            unset: BTreeSet::new(),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        };
        let lines = |count: usize| (1..=count).map(|n| format!("echo {n}")).collect::<Vec<_>>().join("\n");
        for (repeat, interactive, expected) in [
            (
                repeat("make", &[]),
                Some((Kind::Bash, 2)),
                "  $ make\nin /w/a; arrow up for the command, twice for it under sh -e -c; exit to leave\n".to_owned(),
            ),
            (
                repeat("make", &[]),
                Some((Kind::Fish, 2)),
                "  $ make\nin /w/a; arrow up for the command under sh -e -c, twice for the line as it is; exit to leave\n"
                    .to_owned(),
            ),
            (repeat("make", &[]), None, "  $ make\nin /w/a\n".to_owned()),
            (
                repeat("x ***", &["a\u{1b}[31mb"]),
                Some((Kind::Zsh, 1)),
                "  $ x ***\nnote: *** in it stands for a secret that the record does not hold\nnote: ab\nin /w/a; arrow up for the command; exit to leave\n".to_owned(),
            ),
            (
                repeat(&lines(9), &[]),
                Some((Kind::Bash, 2)),
                format!("  $ {}\n    ... 9 lines in all\nin /w/a; arrow up for the command, twice for it under sh -e -c; exit to leave\n", lines(8).replace('\n', "\n    ")),
            ),
            (
                repeat(&lines(9), &[]),
                Some((Kind::Sh, 0)),
                format!("  $ {}\nin /w/a; it ran under sh -e -c; exit to leave\n", lines(9).replace('\n', "\n    ")),
            ),
        ] {
            let text = banner(&repeat, interactive, Looks::default());
            assert_eq!(text, format!("run 3, test/2: exit 1\n{expected}"), "{interactive:?}");
        }
    }

    #[test]
    fn the_shell_is_the_persons_own_else_bash_else_sh() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let (zsh, dash) = (program("own/zsh"), program("own/dash"));
        let (bash, sh) = (program("with/bash"), program("without/sh"));
        let with = format!("relative:{}", bash.parent().unwrap().display());
        let without = format!("/no/such:{}", sh.parent().unwrap().display());
        let gone = PathBuf::from("/no/such/zsh");
        for (own, path, expected) in [
            (Some(&zsh), &with, (Kind::Zsh, &zsh)),
            (Some(&dash), &with, (Kind::Bash, &bash)),
            (Some(&gone), &with, (Kind::Bash, &bash)),
            (None, &with, (Kind::Bash, &bash)),
            (Some(&dash), &without, (Kind::Sh, &sh)),
        ] {
            let found = choose(|name| match name {
                "SHELL" => own.map(|path| path.clone().into_os_string()),
                "PATH" => Some(OsString::from(path)),
                _ => None,
            });
            assert_eq!(found, (expected.0, expected.1.clone()), "{own:?} {path}");
        }
    }
}
