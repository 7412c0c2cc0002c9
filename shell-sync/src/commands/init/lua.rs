//! Writes a plan as Lua, with comments that teach.

use std::fmt::Write as _;

use super::plan::{Job, Plan, Section};

/// The whole file.
pub(super) fn render(plan: &Plan, program: &str) -> String {
    let mut text = format!(
        r#"-- The pipeline of this repository. `{program} run` runs it here.
--
-- A pipeline is a program that defines jobs:
--
--     ci.job("test", {{ "build" }}, {{ timeout = "10m" }}, function(rt) rt.sh("make test") end)
--
-- - The second argument is what the job comes after: other jobs, or "quire/push", which is every run. Jobs run side by
--   side unless one comes after the other, and a job whose input failed is skipped.
-- - All jobs share one working directory, this repository: what "build" leaves there, "test" finds. Jobs that write the
--   same files must therefore come after one another.
-- - rt.sh runs a command in a shell. One that exits with anything but 0 fails its job.
-- - Options, the third argument, may be left out: desc, timeout, retries, allow_failure, needs, env, cwd, shell.
--
-- `{program}` lists the jobs, `{program} validate` checks this file, `{program} run JOB` runs one job and what it needs.
local ci = require "quire.ci"
"#
    );
    for section in plan.sections() {
        write_section(&mut text, section);
    }
    text
}

fn write_section(text: &mut String, section: &Section) {
    if !section.found.is_empty() {
        let _ = write!(text, "\n-- Found {}.\n", comment(&section.found));
    }
    for note in &section.notes {
        let _ = writeln!(text, "-- {}.", comment(note));
    }
    for job in &section.jobs {
        write_job(text, job);
    }
}

fn write_job(text: &mut String, job: &Job) {
    text.push('\n');
    if let Some(why) = &job.allowed {
        let _ = writeln!(text, "-- {}. Take allow_failure out once it passes.", comment(why));
    }
    let inputs: Vec<String> = job.inputs.iter().map(|input| string(input)).collect();
    let allowed = if job.allowed.is_some() { ", allow_failure = true" } else { "" };
    let _ = writeln!(
        text,
        "ci.job({}, {{ {} }}, {{ desc = {}{allowed} }}, function(rt)",
        string(&job.id),
        inputs.join(", "),
        string(&job.desc)
    );
    for command in &job.commands {
        let _ = writeln!(text, "  rt.sh({})", string(command));
    }
    text.push_str("end)\n");
}

/// Text that stays within its comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A Lua string: in single quotes where that saves escapes (Lua 5.4 manual 3.1).
fn string(text: &str) -> String {
    let quote = if text.contains('"') && !text.contains('\'') { '\'' } else { '"' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\{:03}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_lua_s() {
        for (text, want) in [
            ("plain ü", "\"plain ü\""),
            ("say \"x\"", "'say \"x\"'"),
            ("it's \"x\"", "\"it's \\\"x\\\"\""),
            ("a\\b\nc\td", "\"a\\\\b\\nc\\009d\""),
        ] {
            assert_eq!(string(text), want, "{text}");
        }
    }

    #[test]
    fn a_job_reads_well() {
        let job = Job::new("test", &["build"], "Runs the tests", "make test").unless_passing(false, "fails\ntoday");
        let section =
            Section { prefix: "make", found: "Makefile".into(), jobs: vec![job], notes: vec!["no lint".into()] };
        let text = render(&Plan::new(vec![section]), "quire-ci");
        let end = "local ci = require \"quire.ci\"\n\n-- Found Makefile.\n-- no lint.\n\n\
            -- fails today. Take allow_failure out once it passes.\n\
            ci.job(\"test\", { \"build\" }, { desc = \"Runs the tests\", allow_failure = true }, function(rt)\n  \
            rt.sh(\"make test\")\nend)\n";
        assert!(text.ends_with(end), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120));
    }
}
