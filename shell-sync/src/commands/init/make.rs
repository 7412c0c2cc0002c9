//! make: the targets lint, check and test of a Makefile.

use super::plan::{Job, Section};
use super::probe::Probe;

/// The names that GNU make looks for, in its order.
const MAKEFILES: [&str; 3] = ["GNUmakefile", "makefile", "Makefile"];

pub(super) fn detect(probe: &Probe<'_>) -> Option<Section> {
    let (name, text) = MAKEFILES.into_iter().find_map(|name| Some((name, probe.text(name)?)))?;
    let mut section = Section { prefix: "make", found: name.to_owned(), ..Section::default() };
    if !probe.has("make") {
        section.notes.push(format!("{name} is there but make is not: no jobs for it"));
        return Some(section);
    }
    let targets = targets(&text);
    let known = [("lint", "Lints"), ("check", "Runs the checks"), ("test", "Runs the tests")];
    let found: Vec<(&str, &str)> = known.into_iter().filter(|(target, _)| targets.contains(target)).collect();
    let mut before: Option<&str> = None;
    for (target, desc) in &found {
        // One after the other: two makes in one directory would build the same files at once.
        section.jobs.push(Job::new(target, before.as_slice(), desc, &format!("make {target}")));
        before = Some(target);
    }
    if found.is_empty() {
        section.notes.push(format!("{name} has no target test, check or lint: no jobs for it"));
    }
    Some(section)
}

/// The explicit targets of a Makefile: what stands at a line's beginning before a `:` that is no assignment.
fn targets(text: &str) -> Vec<&str> {
    let rule = |line: &'_ str| -> Option<usize> {
        let colon = line.find(':')?;
        let rest = line.get(colon + 1..)?;
        let is_assignment = rest.starts_with('=') || rest.starts_with(":=") || line.get(..colon)?.contains(['=', '#']);
        (!line.starts_with(['\t', ' ', '.']) && !is_assignment).then_some(colon)
    };
    let of_line = |line| rule(line).and_then(|colon| line.get(..colon)).unwrap_or_default();
    text.lines().flat_map(|line: &str| of_line(line).split_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::probe::fake::{Fake, seen};
    use super::*;

    #[test]
    fn targets_are_found() {
        let text =
            "CC := gcc\nX=a:b\n.PHONY: test\nall: lint\n\ttest: no\nlint check: x\n# test:\ntest::\n\techo\nv::=1\n";
        assert_eq!(targets(text), ["all", "lint", "check", "test"]);
    }

    #[test]
    fn jobs_come_one_after_the_other() {
        let machine = Fake { programs: &["make"], failing: &[] };
        let (jobs, _) = seen(detect, &[("Makefile", "test:\n\ttrue\nlint:\n\ttrue\n")], &machine);
        assert_eq!(jobs, ["lint <- quire/push: make lint", "test <- lint: make test"]);
        let (jobs, notes) = seen(detect, &[("Makefile", "all:\n")], &machine);
        assert_eq!((jobs.len(), notes.len()), (0, 1));
    }
}
