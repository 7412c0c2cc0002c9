//! Go: `go.mod`.

use super::plan::{Job, Section};
use super::probe::Probe;

pub(super) fn detect(probe: &Probe<'_>) -> Option<Section> {
    probe.text("go.mod")?;
    let mut section = Section { prefix: "go", found: "go.mod".to_owned(), ..Section::default() };
    if !probe.has("go") {
        section.notes.push("go.mod is there but go is not: no jobs for it".to_owned());
        return Some(section);
    }
    if probe.has("gofmt") {
        // gofmt -l exits with 0 whatever it finds, and looks into vendor/ too.
        let check = "test -z \"$(git ls-files -z '*.go' ':!vendor' | xargs -0 -r gofmt -l | tee /dev/stderr)\"";
        let passes = probe.passes(&["sh", "-c", check]);
        section.jobs.push(
            Job::new("fmt", &[], "Is the code formatted?", check)
                .unless_passing(passes, "When this was written, gofmt had something to say"),
        );
    }
    section.jobs.push(Job::new("vet", &[], "Reports suspicious code", "go vet ./..."));
    section.jobs.push(Job::new("build", &[], "Compiles everything", "go build ./..."));
    section.jobs.push(Job::new("test", &["build"], "Runs the tests", "go test ./..."));
    Some(section)
}

#[cfg(test)]
mod tests {
    use super::super::probe::fake::{Fake, seen};
    use super::*;

    #[test]
    fn jobs_follow_what_is_installed() {
        let module = [("go.mod", "module x\n")];
        let (jobs, _) = seen(detect, &module, &Fake { programs: &["go", "gofmt", "sh"], failing: &[] });
        assert_eq!(jobs.len(), 4);
        assert_eq!(jobs[3], "test <- build: go test ./...");
        let (jobs, _) = seen(detect, &module, &Fake { programs: &["go", "gofmt", "sh"], failing: &["sh -c"] });
        assert!(jobs[0].starts_with("fmt? "), "{jobs:?}");
        let (jobs, notes) = seen(detect, &module, &Fake { programs: &[], failing: &[] });
        assert_eq!((jobs.len(), notes.len()), (0, 1));
        assert_eq!(seen(detect, &[], &Fake { programs: &["go"], failing: &[] }), (Vec::new(), Vec::new()));
    }
}
