//! How runs, jobs and commands are told in words, the same in every view.

use quire_core::rows::{JobRow, JobState, RunRow, ShRow};
use quire_core::signal;
use quire_core::wire::{Cause, SkipReason};

use super::model::Job;
use super::span;
use super::text::one_line;

/// How a command ended: `exit 1`, `SIGKILL`, `timed out (SIGTERM)`, `not started: …`; `running` where it has not.
pub fn ending(sh: &ShRow) -> String {
    if let Some(error) = &sh.error {
        return format!("not started: {}", one_line(error));
    }
    let end = match (sh.exit_code, sh.signal) {
        (_, Some(number)) => Some(signal::name(number)),
        (Some(-1), None) => Some("ended by a signal".to_owned()),
        (Some(code), None) => Some(format!("exit {code}")),
        (None, None) => None,
    };
    let cause = sh.cause.as_deref().map(|word| match Cause::parse(word) {
        Some(Cause::Timeout) => "timed out",
        Some(Cause::Cancel) => "cancelled",
        Some(Cause::Limit) => "stopped at a limit of its output",
        Some(Cause::Crash) => "cut off by the end of its run",
        None => word,
    });
    match (cause, end) {
        (Some(cause), Some(end)) => format!("{cause} ({end})"),
        (Some(cause), None) => cause.to_owned(),
        (None, Some(end)) => end,
        (None, None) if sh.finished_at_ms.is_none() => "running".to_owned(),
        (None, None) => "aborted".to_owned(),
    }
}

/// How a command ended, and whether it is an earlier run's that did.
pub fn ending_or_replay(sh: &ShRow) -> String {
    let ending = ending(sh);
    if sh.replayed { format!("{ending}, replayed") } else { ending }
}

/// A job's state with what is remarkable about it: `complete, flaky`, `failed, allowed`, `failed after 3 attempts`.
pub fn state(job: &JobRow) -> String {
    let mut words = job.state.as_str().to_owned();
    if job.allowed {
        words += ", allowed";
    }
    if job.flaky {
        words += ", flaky";
    }
    if job.replayed {
        words += ", replayed";
    }
    if job.attempts > 1 {
        words += &match job.state {
            JobState::Active => format!(", attempt {}", job.attempts),
            _ => format!(" after {} attempts", job.attempts),
        };
    }
    words
}

/// Why a job was skipped; `None` where it was not.
pub fn skip(job: &JobRow) -> Option<String> {
    if job.state != JobState::Skipped {
        return None;
    }
    if let Some(text) = job.error.as_deref().map(one_line).filter(|text| !text.is_empty()) {
        return Some(text);
    }
    let reason = job.skip_reason.as_deref()?;
    Some(match SkipReason::parse(reason) {
        SkipReason::InputFailed => "an input failed".to_owned(),
        SkipReason::InputSkipped => "an input was skipped".to_owned(),
        SkipReason::Pipeline => "its script said so".to_owned(),
        SkipReason::NotSelected => "not asked for".to_owned(),
        SkipReason::RunFailed => "another job failed first".to_owned(),
        SkipReason::RunAborted => "the run was cancelled".to_owned(),
        SkipReason::Condition => "its condition does not hold".to_owned(),
        SkipReason::Unchanged => "nothing it depends on changed".to_owned(),
        SkipReason::Other(word) => one_line(&word),
    })
}

/// Where in the pipeline a job failed: `.quire/ci.lua:7`.
pub fn place(job: &JobRow) -> Option<String> {
    let file = one_line(job.error_file.as_deref()?);
    Some(job.error_line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

/// Why a job failed or was aborted, in one line: its error, or where that only quotes a command, the command and how it
/// ended; then the place.
pub fn why(job: &Job) -> Option<String> {
    match job.row.state {
        JobState::Failed | JobState::Aborted => {}
        JobState::Pending | JobState::Active | JobState::Complete | JobState::Skipped => return None,
    }
    let reason = match (error_beside(job), job.failing_command()) {
        (Some(error), _) => one_line(error),
        (None, Some(sh)) => format!("{}: {}", ending(sh), one_line(&sh.cmd)),
        (None, None) => return None,
    };
    let place = place(&job.row).map(|place| format!(" (at {place})")).unwrap_or_default();
    Some(reason + &place)
}

/// A failed job's error where it tells more than the command that failed it does: where it does not quote that command.
pub fn error_beside(job: &Job) -> Option<&str> {
    let error = job.row.error.as_deref().filter(|error| !error.trim().is_empty())?;
    let quotes = |sh: &ShRow| {
        let first = sh.cmd.trim().lines().next().unwrap_or_default();
        let begin = first.char_indices().nth(40).map_or(first, |(at, _)| first.get(..at).unwrap_or(first));
        error.contains(begin)
    };
    (!job.failing_command().is_some_and(quotes)).then_some(error)
}

/// Branch or tag without `refs/heads/` or `refs/tags/`.
pub fn short_ref(name: &str) -> String {
    one_line(name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name))
}

/// The first seven characters of a commit id.
pub fn short_sha(sha: &str) -> String {
    one_line(sha).chars().take(7).collect()
}

/// What a run is called: `run 41`, else by the begin of its id.
pub fn run_name(run: &RunRow) -> String {
    match run.number {
        Some(number) => format!("run {number}"),
        None => format!("run {}", one_line(run.run_id.as_str()).chars().take(13).collect::<String>()),
    }
}

/// Dirty counts: `3 modified, 1 untracked`; `None` where the workspace is as committed.
pub fn dirty(modified: u64, untracked: u64) -> Option<String> {
    let words = [(modified, "modified"), (untracked, "untracked")];
    let words: Vec<String> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A count with its noun.
pub fn count(n: usize, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// How long a command ran.
pub fn sh_duration(sh: &ShRow) -> Option<String> {
    Some(span::duration(sh.finished_at_ms?.saturating_sub(sh.started_at_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quire_core::ids::{JobId, RunId};

    fn sh() -> ShRow {
        ShRow {
            run_id: RunId::new("r"),
            job_id: JobId::from_record("test"),
            n: 1,
            started_at_ms: 0,
            finished_at_ms: Some(1),
            exit_code: Some(1),
            cmd: "false".to_owned(),
            attempt: 1,
            signal: None,
            cause: None,
            error: None,
            no_eol: None,
            masked: false,
            truncated: false,
            detached: false,
            replayed: false,
        }
    }

    #[test]
    fn endings_of_commands() {
        let word = |text: &str| Some(text.to_owned());
        for (row, text) in [
            (sh(), "exit 1"),
            (ShRow { exit_code: Some(137), signal: Some(9), ..sh() }, "SIGKILL"),
            (ShRow { exit_code: Some(143), signal: Some(15), cause: word("timeout"), ..sh() }, "timed out (SIGTERM)"),
            (ShRow { exit_code: Some(162), signal: Some(34), ..sh() }, "signal 34"),
            (ShRow { exit_code: Some(-1), ..sh() }, "ended by a signal"),
            (ShRow { exit_code: Some(127), error: word("no 'x' in\nPATH"), ..sh() }, "not started: no 'x' in PATH"),
            (ShRow { exit_code: None, cause: word("crash"), ..sh() }, "cut off by the end of its run"),
            (ShRow { exit_code: None, ..sh() }, "aborted"),
            (ShRow { exit_code: None, finished_at_ms: None, ..sh() }, "running"),
            (ShRow { cause: word("moon"), ..sh() }, "moon (exit 1)"),
        ] {
            assert_eq!(ending(&row), text, "{row:?}");
        }
    }

    #[test]
    fn refs_and_counts() {
        assert_eq!(short_ref("refs/heads/a/b"), "a/b");
        assert_eq!(short_ref("refs/tags/v1"), "v1");
        assert_eq!(short_ref("HEAD"), "HEAD");
        assert_eq!(dirty(0, 0), None);
        assert_eq!(dirty(3, 1).as_deref(), Some("3 modified, 1 untracked"));
        assert_eq!(dirty(0, 2).as_deref(), Some("2 untracked"));
    }
}
