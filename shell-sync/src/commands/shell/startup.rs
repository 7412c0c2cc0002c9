//! How each shell is started so that it is the person's own, in the command's environment, with the command in its history.
//!
//! The person's start files run first; what they change of the environment is undone after, as the command never saw it.
//! History goes to a file that lives as long as the shell does: a command may hold secrets, and is not the person's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::repeat::Repeat;
use crate::clock;

/// Longest entry of a history, in bytes: most of what the kernel takes as one variable.
const LONGEST_ENTRY: usize = 100_000;

/// fish's history in its data directory.
const FISH_HISTORY: &str = "fish_history";

/// Which shell a person uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// Anything else that is called `sh`.
    Sh,
}

impl Kind {
    /// The kind of a program, by its name.
    pub fn of(program: &Path) -> Option<Kind> {
        match program.file_name()?.to_str()? {
            "bash" => Some(Kind::Bash),
            "zsh" => Some(Kind::Zsh),
            "fish" => Some(Kind::Fish),
            _ => None,
        }
    }

    /// What the repeated command leaves in this shell's history, the one to be recalled first at the end.
    pub fn history(self, repeat: &Repeat) -> Vec<String> {
        if self == Kind::Sh {
            return Vec::new();
        }
        let mut entries = repeat.typed.history(self == Kind::Fish);
        entries.retain(|entry| entry.len() <= LONGEST_ENTRY && !entry.contains('\0'));
        entries
    }
}

/// Start files of one shell; gone with it.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    fn make() -> io::Result<Files> {
        let path = std::env::temp_dir().join(format!("quire-shell-{}", uuid::Uuid::now_v7()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Files(path))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// What a person's start files define as functions or aliases is stepped around: `\builtin`.
const BASH: &str = r#"__quire_env=$(export -p)
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
\builtin eval "$__quire_env" 2>/dev/null
\builtin unset -v $QUIRE_SHELL_UNSET
\builtin cd -- "$QUIRE_SHELL_DIRECTORY"
if [ -n "${HISTFILE-}" ] && [ -r "$HISTFILE" ]; then \builtin history -r; fi
HISTFILE=$QUIRE_SHELL_FILES/history
__quire_control=${HISTCONTROL-} __quire_ignore=${HISTIGNORE-}
HISTCONTROL= HISTIGNORE=
if [ -n "${QUIRE_SHELL_EARLIER-}" ]; then \builtin history -s -- "$QUIRE_SHELL_EARLIER"; fi
if [ -n "${QUIRE_SHELL_COMMAND-}" ]; then \builtin history -s -- "$QUIRE_SHELL_COMMAND"; fi
HISTCONTROL=$__quire_control HISTIGNORE=$__quire_ignore
case ${QUIRE_SHELL_COMMAND-} in *'!'*) \builtin set +H ;; esac
\builtin unset -v __quire_env __quire_control __quire_ignore QUIRE_SHELL_COMMAND QUIRE_SHELL_EARLIER
\builtin unset -v QUIRE_SHELL_UNSET QUIRE_SHELL_DIRECTORY QUIRE_SHELL_FILES
"#;

/// Reads the person's own `.zshenv`, which may name another folder for what follows.
const ZSHENV: &str = r#"__quire_env=$(export -p)
__quire_files=$ZDOTDIR
if [[ -n ${QUIRE_SHELL_ZDOTDIR+x} ]]; then ZDOTDIR=$QUIRE_SHELL_ZDOTDIR; else unset ZDOTDIR; fi
if [[ -r ${ZDOTDIR:-$HOME}/.zshenv ]]; then . "${ZDOTDIR:-$HOME}/.zshenv"; fi
if [[ -n ${ZDOTDIR+x} ]]; then __quire_zdotdir=$ZDOTDIR; fi
ZDOTDIR=$__quire_files
"#;

const ZSHRC: &str = r#"if [[ -n ${__quire_zdotdir+x} ]]; then ZDOTDIR=$__quire_zdotdir; else unset ZDOTDIR; fi
if [[ -r ${ZDOTDIR:-$HOME}/.zshrc ]]; then . "${ZDOTDIR:-$HOME}/.zshrc"; fi
\builtin eval "$__quire_env" 2>/dev/null
if [[ -n ${QUIRE_SHELL_ZDOTDIR+x} ]]; then ZDOTDIR=$QUIRE_SHELL_ZDOTDIR; else \builtin unset ZDOTDIR; fi
\builtin unset ${=QUIRE_SHELL_UNSET} 2>/dev/null
\builtin cd -- "$QUIRE_SHELL_DIRECTORY"
if [[ -n ${HISTFILE-} && -r $HISTFILE ]]; then \builtin fc -R; fi
HISTFILE=$__quire_files/history
if (( ${HISTSIZE:-0} < 100 )); then HISTSIZE=100; fi
if [[ -n ${QUIRE_SHELL_EARLIER-} ]]; then \builtin print -rs -- "$QUIRE_SHELL_EARLIER"; fi
if [[ -n ${QUIRE_SHELL_COMMAND-} ]]; then \builtin print -rs -- "$QUIRE_SHELL_COMMAND"; fi
if [[ ${QUIRE_SHELL_COMMAND-} == *'!'* ]]; then \builtin setopt no_bang_hist; fi
\builtin unset __quire_env __quire_files __quire_zdotdir QUIRE_SHELL_COMMAND QUIRE_SHELL_EARLIER QUIRE_SHELL_UNSET
\builtin unset QUIRE_SHELL_DIRECTORY QUIRE_SHELL_FILES QUIRE_SHELL_ZDOTDIR
"#;

const FISH: &str = r#"for name in (string split -n ' ' -- $QUIRE_SHELL_GIVEN)
    set -l from QUIRE_SHELL_GIVEN_$name
    set -e $name
    set -gx $name $$from
    set -e $from
end
for name in (string split -n ' ' -- $QUIRE_SHELL_UNSET)
    set -e $name
end
set -g fish_history fish
if set -q QUIRE_SHELL_XDG_DATA_HOME
    set -gx XDG_DATA_HOME $QUIRE_SHELL_XDG_DATA_HOME
else
    set -e XDG_DATA_HOME
end
builtin cd -- $QUIRE_SHELL_DIRECTORY
for name in GIVEN UNSET DIRECTORY FILES COMMAND EARLIER XDG_DATA_HOME
    set -e QUIRE_SHELL_$name
end
"#;

/// Readies `command`, whose environment is the repeated command's, to be an interactive shell of this kind.
///
/// # Errors
/// Where its files cannot be made.
pub fn ready(kind: Kind, command: &mut Command, repeat: &Repeat) -> io::Result<Option<Files>> {
    if kind == Kind::Sh {
        command.arg("-i");
        return Ok(None);
    }
    let files = Files::make()?;
    let entries = kind.history(repeat);
    for (variable, entry) in ["QUIRE_SHELL_COMMAND", "QUIRE_SHELL_EARLIER"].iter().zip(entries.iter().rev()) {
        command.env(variable, entry);
    }
    command.env("QUIRE_SHELL_FILES", &files.0).env("QUIRE_SHELL_DIRECTORY", &repeat.directory);
    command.env("QUIRE_SHELL_UNSET", names(repeat.unset.iter()));
    match kind {
        Kind::Bash => {
            files.write("bashrc", BASH.as_bytes())?;
            command.arg("--rcfile").arg(files.0.join("bashrc")).arg("-i");
        }
        Kind::Zsh => {
            files.write(".zshenv", ZSHENV.as_bytes())?;
            files.write(".zshrc", ZSHRC.as_bytes())?;
            keep(command, &repeat.env, "ZDOTDIR", "QUIRE_SHELL_ZDOTDIR");
            command.env("ZDOTDIR", &files.0).arg("-i");
        }
        Kind::Fish => {
            make_fish_data(&files, &entries, &repeat.env)?;
            keep(command, &repeat.env, "XDG_DATA_HOME", "QUIRE_SHELL_XDG_DATA_HOME");
            command.env("XDG_DATA_HOME", &files.0).env("QUIRE_SHELL_GIVEN", names(repeat.given.iter()));
            for name in repeat.given.iter().filter(|name| is_plain(name)) {
                if let Some(value) = repeat.env.get(&OsString::from(name)) {
                    command.env(format!("QUIRE_SHELL_GIVEN_{name}"), value);
                }
            }
            command.args(["-i", "-C", FISH]);
        }
        Kind::Sh => {}
    }
    Ok(Some(files))
}

/// Hands a variable on under another name, as its own is needed for the start.
fn keep(command: &mut Command, env: &BTreeMap<OsString, OsString>, name: &str, kept: &str) {
    if let Some(value) = env.get(&OsString::from(name)) {
        command.env(kept, value);
    }
}

/// Names that a shell can take as variables, in one line.
fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.filter(|name| is_plain(name)).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// fish reads its history from a file of its data directory; there the entries follow the person's own. The rest of the directory
/// is linked. It looks for the completions that it made of manual pages there: without the folder it would make them anew.
fn make_fish_data(files: &Files, entries: &[String], env: &BTreeMap<OsString, OsString>) -> io::Result<()> {
    let variable = |name: &str| env.get(&OsString::from(name)).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    let ours = files.0.join("fish");
    DirBuilder::new().mode(0o700).create(&ours)?;
    let mut text = Vec::new();
    if let Some(theirs) = data.map(|data| data.join("fish")).filter(|theirs| theirs.is_absolute()) {
        text = fs::read(theirs.join(FISH_HISTORY)).unwrap_or_default();
        for entry in fs::read_dir(&theirs).into_iter().flatten().flatten() {
            if entry.file_name() != FISH_HISTORY {
                symlink(entry.path(), ours.join(entry.file_name()))?;
            }
        }
    }
    let completions = ours.join("generated_completions");
    if !completions.exists() {
        fs::create_dir(completions)?;
    }
    let when = clock::now().wall.ms() / 1000;
    for entry in entries {
        let entry = entry.replace('\\', r"\\").replace('\n', r"\n");
        text.extend(format!("- cmd: {entry}\n  when: {when}\n").bytes());
    }
    files.write(&format!("fish/{FISH_HISTORY}"), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_known_by_its_name() {
        for (program, kind) in [
            ("/bin/bash", Some(Kind::Bash)),
            ("zsh", Some(Kind::Zsh)),
            ("/opt/x/fish", Some(Kind::Fish)),
            ("/bin/dash", None),
            ("", None),
        ] {
            assert_eq!(Kind::of(Path::new(program)), kind, "{program}");
        }
    }

    #[test]
    fn only_names_that_a_shell_can_take_are_told() {
        let all = ["A", "_b1", "1A", "A-B", "", "x y", "BASH_FUNC_f%%"].map(str::to_owned);
        assert_eq!(names(all.iter()), "A _b1");
    }
}
