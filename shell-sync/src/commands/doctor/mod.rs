//! `doctor`: looks at this machine and says what is missing, one line a thing, each with what to do.

mod data;
mod platform;
mod tools;

use std::io::Write;

use anstyle::{AnsiColor, Style};

use crate::cli::{CliError, Context, Exit};
use crate::workspace::Workspace;

/// How well a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// As it should be.
    Ok,
    /// Runs work, something beside does not.
    Warn,
    /// Runs do not work.
    Fail,
}

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    /// One line, the thing's name first.
    what: String,
    /// What to do.
    help: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, what: what.into(), help: None }
    }

    fn warn(what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, what: what.into(), help: Some(help.into()) }
    }

    fn fail(what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, what: what.into(), help: Some(help.into()) }
    }
}

/// Looks and tells; the answer is no if something is missing that a run needs.
pub fn run(context: &Context) -> Result<Exit, CliError> {
    let workspace = context.workspace();
    let mut findings = vec![Finding::ok(format!("quire-ci {}", env!("CARGO_PKG_VERSION")))];
    findings.push(pipeline(&workspace, &context.program));
    let workspace = workspace.ok();
    findings.extend(platform::look());
    findings.extend(tools::look(workspace.as_ref()));
    findings.extend(data::look(context, workspace.as_ref()));
    findings.extend(platform::terminal());
    write(&mut anstream::stdout().lock(), &findings)?;
    Ok(if findings.iter().any(|finding| finding.level == Level::Fail) { Exit::Failed } else { Exit::Complete })
}

fn pipeline(workspace: &Result<Workspace, CliError>, program: &str) -> Finding {
    match workspace {
        Ok(workspace) => Finding::ok(format!("pipeline: {}", workspace.root.join(workspace.pipeline).display())),
        Err(error) => Finding::warn(
            format!("pipeline: {}", error.message),
            error.help.clone().unwrap_or_else(|| format!("see {program} validate")),
        ),
    }
}

fn write(out: &mut impl Write, findings: &[Finding]) -> Result<(), CliError> {
    for Finding { level, what, help } in findings {
        let (word, style) = match level {
            Level::Ok => ("ok  ", AnsiColor::Green.on_default()),
            Level::Warn => ("warn", AnsiColor::Yellow.on_default().bold()),
            Level::Fail => ("fail", AnsiColor::Red.on_default().bold()),
        };
        writeln!(out, "{style}{word}{style:#}  {what}")?;
        if let Some(help) = help {
            let dim = Style::new().dimmed();
            writeln!(out, "      {dim}{help}{dim:#}")?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => writeln!(out, "all is well")?,
        (0, warnings) => writeln!(out, "runs work; {warnings} to look at")?,
        (failures, _) => writeln!(out, "runs do not work until what is marked fail is mended: {failures}")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_with_what_to_do() {
        let told = |findings: &[Finding]| {
            let mut out = Vec::new();
            write(&mut out, findings).unwrap();
            anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
        };
        assert_eq!(told(&[Finding::ok("a")]), "ok    a\nall is well\n");
        let findings = [Finding::ok("a"), Finding::warn("b", "do b"), Finding::fail("c", "do c")];
        assert_eq!(told(&findings[..2]), "ok    a\nwarn  b\n      do b\nruns work; 1 to look at\n");
        assert!(
            told(&findings).ends_with("fail  c\n      do c\nruns do not work until what is marked fail is mended: 1\n")
        );
    }
}
