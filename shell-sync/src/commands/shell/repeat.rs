//! What it takes to repeat a command by hand: its text, its directory, its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use quire_core::engine::CommandSpec;
use quire_core::redact::SecretSet;
use quire_core::wire::ShStarted;

use super::typed::Typed;

/// A command to repeat, and all that a shell needs for it.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// What its run is called: `run 12`.
    pub run: String,
    /// What it is called there: `test/3`.
    pub sh: String,
    /// How it ended: `exit 101`.
    pub ending: String,
    /// The command.
    pub typed: Typed,
    /// Where it ran; absolute.
    pub directory: PathBuf,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Names of it that quire or the pipeline gave.
    pub given: BTreeSet<String>,
    /// Names that are not in it, whatever the person's shell sets.
    pub unset: BTreeSet<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Repeat {
    /// Puts variables on top of the environment; `None` removes one. A name that cannot be one is passed over.
    pub fn give(&mut self, variables: BTreeMap<String, Option<String>>) {
        for (name, value) in variables {
            if name.is_empty() || name.contains(['=', '\0']) || value.as_ref().is_some_and(|value| value.contains('\0'))
            {
                continue;
            }
            match value {
                Some(value) => {
                    self.unset.remove(&name);
                    self.env.insert(OsString::from(&name), value.into());
                    self.given.insert(name);
                }
                None => self.remove(name),
            }
        }
    }

    /// Takes a variable out of the environment.
    pub fn remove(&mut self, name: String) {
        self.env.remove(&OsString::from(&name));
        self.given.remove(&name);
        self.unset.insert(name);
    }

    /// Gives what the record says that the pipeline gave. A value that the record masks is taken from `secrets` by the
    /// variable's name, else the variable is left unset and told.
    pub fn give_recorded(&mut self, started: ShStarted, secrets: &BTreeMap<String, OsString>) {
        let is_masked = |name: &str, value: &Option<String>| {
            name.contains(SecretSet::MASK) || value.as_ref().is_some_and(|value| value.contains(SecretSet::MASK))
        };
        let (masked, plain): (BTreeMap<_, _>, BTreeMap<_, _>) =
            started.env.into_iter().partition(|(name, value)| is_masked(name, value));
        self.give(plain);
        for name in masked.into_keys() {
            match secrets.get(&name) {
                Some(value) => {
                    self.env.insert(OsString::from(&name), value.clone());
                    self.given.insert(name);
                }
                None => {
                    let how = format!("give it: --secret {name}=env:VAR or --secret {name}=file:PATH");
                    self.notes.push(format!("{name} is not set, as the record hides a secret in it; {how}"));
                    self.remove(name);
                }
            }
        }
    }

    /// Gives all that was put into the environment of a command that this process started, but for what its run would end it by.
    pub fn give_started(&mut self, spec: &CommandSpec) {
        let mut variables = spec.env.clone();
        variables.remove("QUIRE_SH");
        self.give(variables);
        if let Some(stdin) = &spec.stdin {
            let note = format!("the pipeline gave it {} bytes on standard input, which are not repeated", stdin.len());
            self.notes.push(note);
        }
    }
}

/// The directory that a command was given, below the workspace; empty is the workspace itself.
pub fn directory(workspace: &Path, cwd: &str) -> PathBuf {
    if cwd.is_empty() { workspace.to_owned() } else { workspace.join(cwd) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quire_core::ids::JobId;

    use super::*;

    fn repeat(env: &[(&str, &str)]) -> Repeat {
        Repeat {
            run: "run 1".to_owned(),
            sh: "a/1".to_owned(),
            ending: "exit 1".to_owned(),
            typed: Typed::recorded("x", None),
            directory: PathBuf::from("/"),
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            given: BTreeSet::new(),
            unset: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    fn started(env: &[(&str, Option<&str>)]) -> ShStarted {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        let job_id = JobId::from_record("a");
        ShStarted { job_id, cmd: "x".to_owned(), key: None, cwd: None, env, shell: None }
    }

    fn env(repeat: &Repeat) -> Vec<(&str, &str)> {
        repeat.env.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn what_was_given_stands_on_top() {
        let mut repeat = repeat(&[("A", "caller"), ("B", "caller"), ("C", "caller")]);
        repeat.give_recorded(
            started(&[("A", Some("1")), ("B", None), ("D", Some("")), ("", Some("x")), ("E=F", Some("x"))]),
            &BTreeMap::new(),
        );
        assert_eq!(env(&repeat), [("A", "1"), ("C", "caller"), ("D", "")]);
        assert_eq!(repeat.given, ["A".to_owned(), "D".to_owned()].into());
        assert_eq!(repeat.unset, ["B".to_owned()].into());
        assert_eq!(repeat.notes, [""; 0]);
    }

    #[test]
    fn what_is_masked_is_unset_and_told_unless_it_is_given_again() {
        let masked = || started(&[("TOKEN", Some("Bearer ***")), ("KEY", Some("***"))]);
        let mut told = repeat(&[("TOKEN", "of the caller")]);
        told.give_recorded(masked(), &BTreeMap::from([("KEY".to_owned(), "value".into())]));
        assert_eq!(env(&told), [("KEY", "value")]);
        assert_eq!(told.unset, ["TOKEN".to_owned()].into());
        assert_eq!(told.notes.len(), 1);
        assert!(told.notes[0].starts_with("TOKEN is not set"), "{:?}", told.notes);
    }

    #[test]
    fn a_directory_is_below_the_workspace_unless_it_is_absolute() {
        for (cwd, expected) in [("", "/w"), ("sub/x", "/w/sub/x"), ("/tmp", "/tmp")] {
            assert_eq!(directory(Path::new("/w"), cwd), Path::new(expected));
        }
    }
}
