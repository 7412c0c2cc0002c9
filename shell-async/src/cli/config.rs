//! `config check`, and reading the configuration: which file it is, and what people are told about it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use quire_ci::cli::{CliError, Exit, styled};
use quire_ci::workspace::{find_fennel, read_bounded, sentence};
use quire_core::config::{self, Loaded, Refused, ServerConfig};
use quire_core::engine::{Compiler, Source};
use quire_core::pipeline::Diagnostic;

/// The configuration's names in the data directory; at most one is there.
pub const FILES: [&str; 2] = ["config.lua", "config.fnl"];

/// Largest configuration, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Checks `file`, or the configuration of the data directory, and tells a person. Exit code 1 if it has errors; warnings are told
/// and do no harm.
pub fn check(data: &Path, file: Option<&Path>) -> Result<Exit, CliError> {
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => find(data)?,
    };
    let Some(file) = file else {
        let places = FILES.join(" or ");
        writeln!(anstream::stdout().lock(), "{} has no {places}: everything is as by default", data.display())?;
        return Ok(Exit::Complete);
    };
    let (errors, warnings) = match load(&file)? {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(Refused { errors, warnings }) => (errors, warnings),
    };
    warn(&warnings)?;
    if !errors.is_empty() {
        let error = CliError::configuration(errors);
        anstream::stderr().lock().write_all(error.render(&styled).as_bytes())?;
        return Ok(Exit::Failed);
    }
    let warned = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        count => format!(", {count} warnings"),
    };
    writeln!(anstream::stdout().lock(), "{}: no errors{warned}", file.display())?;
    Ok(Exit::Complete)
}

/// The configuration of the data directory; the defaults where it has none.
///
/// # Errors
/// It cannot be used: all that is wrong with it. What else is odd about it is then told on stderr already.
pub fn read(data: &Path) -> Result<Loaded, CliError> {
    let Some(file) = find(data)? else {
        return Ok(Loaded { config: ServerConfig::default(), warnings: Vec::new() });
    };
    load(&file)?.or_else(|Refused { errors, warnings }| {
        warn(&warnings)?;
        Err(CliError::configuration(errors))
    })
}

/// Tells warnings on stderr.
pub fn warn(warnings: &[Diagnostic]) -> Result<(), CliError> {
    let mut stderr = anstream::stderr().lock();
    for warning in warnings {
        writeln!(stderr, "{}", warning.render_warning(&styled))?;
    }
    Ok(())
}

/// The configuration's file, where there is one. Anything but "there is none" counts as one: reading it then tells what is wrong
/// with it.
fn find(data: &Path) -> Result<Option<PathBuf>, CliError> {
    let mut present = FILES.map(|name| data.join(name)).into_iter().filter(|file| fs::symlink_metadata(file).is_ok());
    match (present.next(), present.next()) {
        (Some(_), Some(_)) => Err(CliError::usage("there are two configurations, config.lua and config.fnl")
            .at(data.display())
            .help("keep one of them")),
        (found, _) => Ok(found),
    }
}

fn load(file: &Path) -> Result<Result<Loaded, Refused>, CliError> {
    let unreadable = |what: String| CliError::machine(format!("the configuration cannot be read: {what}"));
    let opened = fs::File::open(file).map_err(|error| sentence(&error));
    let text = opened.and_then(|opened| read_bounded(opened, MAX_BYTES));
    let text = text.map_err(|what| unreadable(what).at(file.display()))?;
    let fennel = match file.extension().is_some_and(|extension| extension == "fnl") {
        true => find_fennel(None).read().map_err(|(place, what)| {
            CliError::machine(format!("the Fennel compiler cannot be read: {what}")).at(place.display())
        })?,
        false => Compiler::NotSought,
    };
    let source = Source { file: file.display().to_string(), text, fennel, ..Source::default() };
    Ok(config::load(&source))
}

#[cfg(test)]
mod tests {
    use quire_ci::cli::ErrorKind;
    use quire_core::pipeline::Part;

    use super::*;

    fn data(files: &[(&str, &str)]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(data.path().join(name), text).unwrap();
        }
        data
    }

    #[test]
    fn either_language_or_none() {
        assert_eq!(read(data(&[]).path()).unwrap().config, ServerConfig::default());
        for (name, text) in [("config.lua", "return { max_runs = 3 }"), ("config.fnl", "{:max-runs 3}")] {
            let data = data(&[(name, text)]);
            let loaded = read(data.path()).unwrap();
            assert_eq!((loaded.config.max_runs, loaded.warnings), (Some(3), Vec::new()), "{name}");
            assert_eq!(check(data.path(), None), Ok(Exit::Complete));
        }
        let both = data(&[("config.lua", ""), ("config.fnl", "")]);
        let error = read(both.path()).unwrap_err();
        assert_eq!(error.message, "there are two configurations, config.lua and config.fnl");
        assert_eq!(check(both.path(), None), Err(error));
    }

    #[test]
    fn errors_are_told_with_their_places() {
        let data = data(&[("config.lua", "return {\n  listen = 7,\n}"), ("other.lua", "return { lisen = 7 }")]);
        let error = read(data.path()).unwrap_err();
        let text = error.render(&|_: Part, text: &str| text.to_owned());
        let file = data.path().join("config.lua");
        let expected = format!(
            "error: listen wants a text, not the number 7\n  --> {}:2:12\n   |\n 2 |   listen = 7,\n   |            ^\n",
            file.display()
        );
        assert_eq!((text, error.kind), (expected, ErrorKind::Usage));
        assert_eq!(check(data.path(), None), Ok(Exit::Failed));
        // One that is named need not be the server's; a key that is not known is no error.
        assert_eq!(check(data.path(), Some(&data.path().join("other.lua"))), Ok(Exit::Complete));
        let gone = check(data.path(), Some(&data.path().join("gone.lua"))).unwrap_err();
        assert_eq!(gone.message, "the configuration cannot be read: there is no such file");
    }

    #[test]
    fn what_cannot_be_read_is_no_missing_file() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("config.lua")).unwrap();
        assert_eq!(read(data.path()).unwrap_err().message, "the configuration cannot be read: it is a folder");
    }
}
