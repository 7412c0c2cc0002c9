//! `--secret NAME=env:VAR|file:PATH`: where a secret's value comes from, and reading it.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::error::CliError;

/// Shortest secret, in bytes: shorter ones would mask half of every log (CONTRACT 4).
pub const MIN_BYTES: usize = 4;

/// Largest file that may hold a secret, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a secret's value comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// This environment variable. Commands do not inherit it.
    Env(String),
    /// This file, less one newline at its end.
    File(PathBuf),
    /// A spec gave the value itself.
    Given(String),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "env:{name}"),
            SecretSource::File(path) => write!(f, "file:{}", path.display()),
            SecretSource::Given(_) => f.write_str("***"),
        }
    }
}

impl SecretSource {
    /// The environment variable that commands must not inherit.
    pub fn env_name(&self) -> Option<&str> {
        match self {
            SecretSource::Env(name) => Some(name),
            SecretSource::File(_) | SecretSource::Given(_) => None,
        }
    }

    /// Reads the value of the secret `name`. `env` is the environment of this process; a relative file is taken from `folder`.
    pub fn resolve(
        &self,
        name: &str,
        env: impl Fn(&str) -> Option<OsString>,
        folder: &Path,
    ) -> Result<Vec<u8>, CliError> {
        let (value, place) = match self {
            SecretSource::Given(value) => (value.clone().into_bytes(), "--spec -".to_owned()),
            SecretSource::Env(variable) => match env(variable) {
                Some(value) => (value.into_vec(), format!("environment variable {variable}")),
                None => {
                    return Err(CliError::usage(format!(
                        "the secret {name:?} has no value: the environment has no {variable}"
                    ))
                    .at(format!("--secret {name}=env:{variable}"))
                    .help(format!("set {variable} before the run, or read a file: --secret {name}=file:PATH")));
                }
            },
            SecretSource::File(path) => {
                let path = folder.join(path);
                let value = read_file(&path).map_err(|what| {
                    CliError::usage(format!("the secret {name:?} cannot be read: {what}")).at(path.display())
                })?;
                (value, path.display().to_string())
            }
        };
        if value.len() < MIN_BYTES {
            return Err(CliError::usage(format!(
                "the secret {name:?} has {} bytes; one of less than {MIN_BYTES} cannot be masked without masking half of every log",
                value.len()
            ))
            .at(place));
        }
        Ok(value)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.is_dir() {
        return Err("it is a folder".into());
    }
    // Bounded while reading: a pipe, as `<(…)` gives one, has no length.
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut value = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut value).map_err(|error| error.to_string())?;
    if value.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    if value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    Ok(value)
}

/// One `--secret` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArg {
    /// What `rt.secret` calls it.
    pub name: String,
    /// Where its value comes from.
    pub source: SecretSource,
}

impl SecretArg {
    /// Parses `NAME=env:VAR` or `NAME=file:PATH`. What is refused is not quoted: it may be the secret itself.
    pub fn parse(text: &str) -> Result<SecretArg, String> {
        let wrong =
            || "write NAME=env:VAR or NAME=file:PATH; a value on the command line would be seen by others".to_owned();
        let (name, source) = text.split_once('=').ok_or_else(wrong)?;
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !named {
            return Err("a secret's name has letters, digits, '_', '-' and '.'".into());
        }
        let source = match source.split_once(':') {
            Some(("env", variable)) if !variable.is_empty() => SecretSource::Env(variable.to_owned()),
            Some(("file", path)) if !path.is_empty() => SecretSource::File(path.into()),
            _ => return Err(wrong()),
        };
        Ok(SecretArg { name: name.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_env(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn parses_sources() {
        let env = SecretArg::parse("TOKEN=env:MY_TOKEN").unwrap();
        assert_eq!((env.name.as_str(), env.source.env_name()), ("TOKEN", Some("MY_TOKEN")));
        let file = SecretArg::parse("key=file:/run/a b:c=d").unwrap();
        assert_eq!(file.source, SecretSource::File("/run/a b:c=d".into()));
        for bad in ["", "TOKEN", "TOKEN=hunter22", "=env:X", "T=env:", "T=file:", "a b=env:X"] {
            let error = SecretArg::parse(bad).unwrap_err();
            assert!(!error.contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn values_come_from_their_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("k"), "-----BEGIN\nkey\n").unwrap();
        std::fs::write(folder.path().join("short"), "abc\n").unwrap();
        let read = |source: SecretSource| source.resolve("S", no_env, folder.path());
        assert_eq!(read(SecretSource::File("k".into())).unwrap(), b"-----BEGIN\nkey");
        assert_eq!(read(SecretSource::Given("given".into())).unwrap(), b"given");
        let from_env =
            SecretSource::Env("V".into()).resolve("S", |name| Some(format!("of {name}").into()), folder.path());
        assert_eq!(from_env.unwrap(), b"of V");
        for (source, what) in [
            (SecretSource::File("short".into()), "3 bytes"),
            (SecretSource::File("none".into()), "cannot be read"),
            (SecretSource::File(".".into()), "it is a folder"),
            (SecretSource::Env("GONE".into()), "no GONE"),
            (SecretSource::Given("x".into()), "1 bytes"),
        ] {
            let error = read(source).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("\"S\""), "{what}: {error}");
        }
    }
}
