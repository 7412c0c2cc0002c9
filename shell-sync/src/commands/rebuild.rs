//! `rebuild`: makes the database's rows anew from the run directories, and says what it found.

use std::io::Write as _;

use serde_json::json;

use crate::cli::{CliError, Context, Exit, RebuildArgs};
use crate::record::Rebuilt;

/// Rebuilds. The answer is an error where a run could not be read: its rows are missing.
pub fn run(context: &Context, args: &RebuildArgs) -> Result<Exit, CliError> {
    let data = context.data()?;
    let rebuilt = data.rebuild()?;
    let exit = if rebuilt.problems.is_empty() { Exit::Complete } else { Exit::Error };
    if args.json {
        writeln!(anstream::stdout().lock(), "{}", report(&rebuilt))?;
        return Ok(exit);
    }
    let mut err = anstream::stderr().lock();
    for note in rebuilt.notes() {
        writeln!(err, "{note}")?;
    }
    for line in &rebuilt.bad_lines {
        writeln!(err, "warning: {line}")?;
    }
    for problem in &rebuilt.problems {
        writeln!(err, "error: {problem}")?;
    }
    writeln!(anstream::stdout().lock(), "{}", told(&rebuilt, &data.database().display().to_string()))?;
    Ok(exit)
}

fn told(rebuilt: &Rebuilt, database: &str) -> String {
    let plural = if rebuilt.runs == 1 { "" } else { "s" };
    let mut text = format!("{} run{plural} read into {database}", rebuilt.runs);
    if rebuilt.removed > 0 {
        text.push_str(&format!("; {} without a directory left out", rebuilt.removed));
    }
    if let Some(path) = &rebuilt.set_aside {
        text.push_str(&format!("; the damaged database is now {}", path.display()));
    }
    text
}

/// `{"runs":…,"removed":…,"bad_lines":[{"path":…,"line":…,"message":…}],"problems":[…],"notes":[…],"set_aside":…}`
fn report(rebuilt: &Rebuilt) -> serde_json::Value {
    let bad_lines: Vec<_> = rebuilt
        .bad_lines
        .iter()
        .map(|bad| json!({ "path": bad.path.to_string_lossy(), "line": bad.line, "message": bad.message }))
        .collect();
    json!({
        "runs": rebuilt.runs,
        "removed": rebuilt.removed,
        "bad_lines": bad_lines,
        "problems": rebuilt.problems,
        "notes": rebuilt.notes(),
        "set_aside": rebuilt.set_aside.as_ref().map(|path| path.to_string_lossy()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_done() {
        let one = Rebuilt { runs: 1, ..Rebuilt::default() };
        assert_eq!(told(&one, "/d/quire.db"), "1 run read into /d/quire.db");
        let all = Rebuilt { runs: 2, removed: 3, set_aside: Some("/d/old".into()), ..Rebuilt::default() };
        assert_eq!(
            told(&all, "/d/quire.db"),
            "2 runs read into /d/quire.db; 3 without a directory left out; the damaged database is now /d/old"
        );
    }
}
