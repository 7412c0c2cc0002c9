//! Checks all jobs together, so that a person sees every fault of a pipeline at once, each at its place.
//!
//! Owns what makes a pipeline valid (CONTRACT 6). Types of options are checked where Lua values are seen, in [`crate::script`].

use std::collections::{BTreeMap, BTreeSet};

use super::cycle::{Tangles, reversed};
use super::definition::{JobDefinition, RawJob, SOURCES};
use super::diagnostic::{Diagnostic, Place, named, quoted};
use super::graph::Pipeline;
use super::locate::{Files, Wanted};
use super::suggest::{did_you_mean, list};
use crate::ids::JobId;

/// Most errors that are reported in all: a loop may make thousands, and finding places and near names takes time.
const MOST: usize = 200;
/// Most cycles that are reported; a tangle has more of them than anyone reads.
const CYCLES: usize = 20;
/// Most jobs of a cycle that are named.
const CYCLE_NAMES: usize = 12;

/// Checks all jobs together: ids, duplicates, unknown inputs, empty inputs, cycles, jobs that nothing can start. `earlier` are
/// the diagnostics that the script already gave about calls that it then left out; all come back in one list, in order of
/// place, the first 200 of them. An input that a message of `earlier` quotes counts as known. `files` maps file to text, for
/// columns and excerpts: those of `earlier` are completed too.
pub fn check(
    jobs: Vec<RawJob>,
    image: Option<String>,
    earlier: Vec<Diagnostic>,
    files: &BTreeMap<String, String>,
) -> Result<Pipeline, Vec<Diagnostic>> {
    let first = first_definitions(&jobs);
    let ids = jobs.iter().enumerate().filter(|(index, job)| first.get(job.id.as_str()) == Some(index));
    let mut checker = Checker {
        jobs: &jobs,
        ids: ids.map(|(_, job)| job.id.as_str()).collect(),
        first,
        mentioned: earlier.iter().flat_map(|diagnostic| diagnostic.message.split('"').skip(1).step_by(2)).collect(),
        files: Files::new(files),
        found: Vec::new(),
        seen: BTreeSet::new(),
        more: earlier.len() > MOST,
    };
    checker.found = earlier.iter().take(MOST).map(|diagnostic| checker.files.complete(diagnostic.clone())).collect();
    if jobs.is_empty() && earlier.is_empty() {
        checker.push(no_jobs(files));
    }
    if image.as_deref().is_some_and(|image| image.trim().is_empty()) {
        let diagnostic =
            Diagnostic::new("the image has no name").help("write it like ci.image(\"debian:13\"), or leave it out");
        checker.push(Diagnostic { place: image_place(files), ..diagnostic });
    }
    let ids = checker.ids();
    checker.inputs();
    checker.graph();
    if !checker.found.is_empty() {
        return Err(checker.finish());
    }
    let jobs = jobs.into_iter().zip(ids).filter_map(|(job, id)| {
        let inputs = job.inputs.unwrap_or_else(|| vec!["quire/push".into()]);
        Some(JobDefinition { id: id?, inputs, options: job.options, place: job.place })
    });
    Ok(Pipeline::new(jobs.collect(), image))
}

struct Checker<'a> {
    jobs: &'a [RawJob],
    /// Index of the first job of each id.
    first: BTreeMap<&'a str, usize>,
    /// Each id once, in declaration order.
    ids: Vec<&'a str>,
    /// What the messages of earlier errors quote: ids of jobs whose definition was refused.
    mentioned: BTreeSet<&'a str>,
    files: Files<'a>,
    found: Vec<Diagnostic>,
    /// What was reported: a call in a loop makes the same error in every round.
    seen: BTreeSet<(Place, String)>,
    /// There are errors that were not reported.
    more: bool,
}

impl<'a> Checker<'a> {
    /// Reports an error once for each call, at the place of `wanted` in it. `help` is asked only where it will be read.
    fn report(
        &mut self,
        call: &Place,
        wanted: Wanted<'_>,
        message: String,
        help: impl FnOnce(&Self) -> Option<String>,
    ) {
        if self.seen.contains(&(call.clone(), message.clone())) {
            return;
        }
        if self.found.len() >= MOST {
            self.more = true;
            return;
        }
        self.seen.insert((call.clone(), message.clone()));
        let place = Some(self.files.locate(call, wanted));
        let diagnostic = Diagnostic { help: help(self), place, ..Diagnostic::new(message) };
        self.push(diagnostic);
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        let diagnostic = self.files.complete(diagnostic);
        self.found.push(diagnostic);
    }

    /// What was found, in order of place, each error once.
    fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by(|a, b| a.place.cmp(&b.place));
        let mut seen = BTreeSet::new();
        found.retain(|diagnostic| seen.insert((diagnostic.place.clone(), diagnostic.message.clone())));
        if self.more {
            found.push(Diagnostic::new("there are more errors than are shown").help("mend these first"));
        }
        found
    }

    /// Ids are valid and given once.
    fn ids(&mut self) -> Vec<Option<JobId>> {
        let mut ids = Vec::new();
        for (index, job) in self.jobs.iter().enumerate() {
            let id = JobId::new(&job.id);
            let wanted = Wanted::Text(&job.id, 0);
            let name = quoted(&job.id);
            if let Err(error) = &id {
                let message = format!("invalid job id {name}: a job id {error}");
                self.report(&job.place, wanted, message, |_| id_help(&job.id));
            }
            ids.push(id.ok());
            let first = self.first.get(job.id.as_str()).filter(|first| **first != index);
            if let Some(earlier) = first.and_then(|first| self.jobs.get(*first)) {
                let (message, help) = match earlier.place == job.place {
                    true => (
                        format!("job {name} is defined again by the same call"),
                        "in a loop, let each round make an id of its own, like \"test-\" .. name",
                    ),
                    false => (
                        format!("job {name} is already defined at {}", earlier.place),
                        "give each job an id of its own",
                    ),
                };
                self.report(&job.place, wanted, message, |_| Some(help.to_owned()));
            }
        }
        ids
    }

    /// Inputs are there, exist, and are given once.
    fn inputs(&mut self) {
        for job in self.jobs {
            let Some(inputs) = &job.inputs else { continue };
            if inputs.is_empty() {
                let message = format!("job {} has empty inputs: nothing would start it", quoted(&job.id));
                let help = "leave the inputs out for {\"quire/push\"}, or name jobs or sources";
                self.report(&job.place, Wanted::EmptyTable, message, |_| Some(help.to_owned()));
            }
            let mut seen = BTreeSet::new();
            for input in inputs {
                let (itself, name) = (*input == job.id, quoted(input));
                if !seen.insert(input) {
                    let wanted = Wanted::Text(input, usize::from(itself) + 1);
                    self.report(&job.place, wanted, format!("input {name} is given twice"), |_| {
                        Some("name it once".to_owned())
                    });
                } else if itself {
                    self.report(&job.place, Wanted::Text(input, 1), format!("job {name} needs itself"), |_| {
                        Some(format!("take {name} out of its inputs"))
                    });
                } else if !self.is_known(input) {
                    let what = if input.starts_with("quire/") { "source" } else { "input" };
                    let message = format!("unknown {what} {name}");
                    self.report(&job.place, Wanted::Text(input, 0), message, |checker| {
                        Some(checker.what_there_is(job, input))
                    });
                }
            }
        }
    }

    fn is_known(&self, input: &str) -> bool {
        self.first.contains_key(input) || SOURCES.contains(&input) || self.mentioned.contains(input)
    }

    /// The name that was probably meant, and the inputs that the job may have.
    fn what_there_is(&self, job: &RawJob, input: &str) -> String {
        let sources = list(SOURCES.iter().copied());
        if input.starts_with("quire/") {
            return format!("{}sources: {sources}", did_you_mean(input, SOURCES.iter().copied()));
        }
        let others = || self.ids.iter().copied().filter(|id| *id != job.id);
        let meant = did_you_mean(input, SOURCES.iter().copied().chain(others()));
        let with_sources = input.contains('/') || meant.contains("quire/");
        match others().next().is_none() {
            true => format!("{meant}there is no other job; sources: {sources}"),
            false if with_sources => format!("{meant}jobs: {}; sources: {sources}", list(others())),
            false => format!("{meant}jobs: {}", list(others())),
        }
    }

    /// Nothing waits for itself, and something starts every job.
    fn graph(&mut self) {
        let needs = self.needs();
        let tangles = Tangles::find(&needs);
        let cycles = tangles.cycles(&needs, CYCLES + 1);
        self.more |= cycles.len() > CYCLES;
        for cycle in cycles.iter().take(CYCLES) {
            self.cycle(cycle);
        }
        self.unreachable(&needs, &tangles);
    }

    /// For each job the jobs that it needs, in the order written; itself, unknown ones and later definitions left out.
    fn needs(&self) -> Vec<Vec<usize>> {
        let mut needs = Vec::new();
        for (index, job) in self.jobs.iter().enumerate() {
            let mut row: Vec<usize> = Vec::new();
            if self.first.get(job.id.as_str()) == Some(&index) {
                let mut seen = BTreeSet::from([index]);
                let known = job.inputs.iter().flatten().filter_map(|input| self.first.get(input.as_str()).copied());
                row.extend(known.filter(|input| seen.insert(*input)));
            }
            needs.push(row);
        }
        needs
    }

    /// Reports a cycle, each job followed by one that it needs, at the first defined of its jobs.
    fn cycle(&mut self, cycle: &[usize]) {
        let start = cycle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
        let ring: Vec<&RawJob> =
            cycle.iter().cycle().skip(start).take(cycle.len()).filter_map(|index| self.jobs.get(*index)).collect();
        let (Some(first), Some(second)) = (ring.first(), ring.get(1)) else { return };
        let mut names: Vec<String> = ring.iter().take(CYCLE_NAMES).map(|job| named(&job.id)).collect();
        if let Some(last) = ring.last().filter(|_| ring.len() > CYCLE_NAMES) {
            names.extend(["…".to_owned(), named(&last.id)]);
        }
        names.push(named(&first.id));
        let message = format!("these jobs wait for each other: {}", names.join(" -> "));
        let help = "each needs the next one; take one of these inputs out";
        self.report(&first.place, Wanted::Text(&second.id, 0), message, |_| Some(help.to_owned()));
    }

    /// Reports jobs all of whose ways up end in a cycle. What has a mistyped or an empty input is told about that alone.
    fn unreachable(&mut self, needs: &[Vec<usize>], tangles: &Tangles) {
        let feeds = reversed(needs);
        let starts = |job: &RawJob| match &job.inputs {
            None => true,
            Some(inputs) => inputs.is_empty() || inputs.iter().any(|input| !self.first.contains_key(input.as_str())),
        };
        let mut waiting: Vec<usize> =
            (0..needs.len()).filter(|index| self.jobs.get(*index).is_some_and(starts)).collect();
        let mut reached = vec![false; needs.len()];
        while let Some(index) = waiting.pop() {
            if let Some(flag) = reached.get_mut(index).filter(|flag| !**flag) {
                *flag = true;
                waiting.extend(feeds.get(index).into_iter().flatten());
            }
        }
        for (index, job) in self.jobs.iter().enumerate() {
            let needs_itself = job.inputs.iter().flatten().any(|input| *input == job.id);
            let first = self.first.get(job.id.as_str()) == Some(&index);
            if first && reached.get(index) == Some(&false) && !tangles.contains(index) && !needs_itself {
                let message = format!("nothing starts job {}: no source is upstream of it", quoted(&job.id));
                let help = "all that it needs waits for itself; end that first";
                self.report(&job.place, Wanted::Text(&job.id, 0), message, |_| Some(help.to_owned()));
            }
        }
    }
}

fn first_definitions(jobs: &[RawJob]) -> BTreeMap<&str, usize> {
    let mut first = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        first.entry(job.id.as_str()).or_insert(index);
    }
    first
}

fn no_jobs(files: &BTreeMap<String, String>) -> Diagnostic {
    let main = [".quire/ci.lua", ".quire/ci.fnl"].into_iter().find(|file| files.contains_key(*file));
    let help = match main {
        Some(".quire/ci.fnl") => "add one: (ci.job :build (fn [rt] (rt.sh \"make\")))",
        _ => "add one: ci.job(\"build\", function(rt) rt.sh(\"make\") end)",
    };
    let place = main.map(|file| Place { file: file.into(), line: 1, column: None });
    Diagnostic { place, ..Diagnostic::new("the pipeline defines no job").help(help) }
}

/// The line that sets an image, where only one in all files does.
fn image_place(files: &BTreeMap<String, String>) -> Option<Place> {
    let empty = |line: &str| line.contains("image") && (line.contains("\"\"") || line.contains("''"));
    let mut lines =
        files.iter().flat_map(|(file, text)| text.lines().zip(1..).map(move |(line, number)| (file, line, number)));
    let (file, text, line) = lines.find(|(_, line, _)| empty(line))?;
    if lines.any(|(_, line, _)| empty(line)) {
        return None;
    }
    let before = text.find("\"\"").or_else(|| text.find("''")).and_then(|at| text.get(..at))?;
    Some(Place { file: file.clone(), line, column: u32::try_from(before.chars().count() + 1).ok() })
}

/// A valid id near an invalid one.
fn id_help(id: &str) -> Option<String> {
    if SOURCES.contains(&id) || id.starts_with("quire/") {
        return Some("names that begin with \"quire/\" are sources; give the job a name of its own".into());
    }
    let plain: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .take(100)
        .collect();
    let plain = plain.trim_start_matches(['.', '-']).trim_end_matches('-');
    (JobId::new(plain).is_ok() && id.chars().count() <= 100).then(|| format!("write {}", quoted(plain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::JobOptions;

    /// Reads pipelines of a simple shape: `ci.job("id", {"in", …}, f)`, one a line, so that places are real.
    fn jobs(file: &str, text: &str) -> Vec<RawJob> {
        let texts = |part: &str| -> Vec<String> { part.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
        let job = |(line, number): (&str, u32)| {
            let call = line.split_once("job(")?.1;
            let (id, rest) = call.split_once(',')?;
            let inputs = rest.split_once('{').map(|(_, inputs)| texts(inputs.split('}').next().unwrap_or_default()));
            Some(RawJob {
                id: texts(id).first()?.clone(),
                inputs,
                options: JobOptions::default(),
                place: Place { file: file.into(), line: number, column: None },
            })
        };
        text.lines().zip(1..).filter_map(job).collect()
    }

    fn checked(text: &str) -> Result<Pipeline, Vec<Diagnostic>> {
        let files = BTreeMap::from([(".quire/ci.lua".to_owned(), text.to_owned())]);
        check(jobs(".quire/ci.lua", text), None, Vec::new(), &files)
    }

    /// The whole text of all errors, one blank line between two.
    fn errors(text: &str) -> String {
        let found = checked(text).expect_err("an error");
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    }

    /// Each error as `line:column message (help)`.
    fn short(text: &str) -> Vec<String> {
        let one = |found: Diagnostic| {
            let place = found.place.map(|place| place.to_string().replace(".quire/ci.lua:", "")).unwrap_or_default();
            format!("{place} {} ({})", found.message, found.help.unwrap_or_default())
        };
        checked(text).expect_err("an error").into_iter().map(one).collect()
    }

    #[test]
    fn a_sound_pipeline() {
        let pipeline = checked("ci.job(\"a\", f)\nci.job(\"b\", {\"a\", \"quire/manual\"}, f)").expect("sound");
        assert_eq!(pipeline.ids(), [JobId::from_record("a"), JobId::from_record("b")]);
        assert_eq!(pipeline.jobs[0].inputs, ["quire/push"]);
        assert_eq!(pipeline.jobs[1].inputs, ["a", "quire/manual"]);
        assert_eq!(pipeline.jobs[1].place.line, 2);
    }

    #[test]
    fn a_mistyped_input_in_full() {
        assert_eq!(
            errors("ci.job(\"build\", f)\nci.job(\"lint\", f)\nci.job(\"test\", {\"biuld\"}, function(rt)"),
            "\
error: unknown input \"biuld\"
  --> .quire/ci.lua:3:17
   |
 3 | ci.job(\"test\", {\"biuld\"}, function(rt)
   |                 ^^^^^^^
   = help: did you mean \"build\"? jobs: build, lint"
        );
    }

    #[test]
    fn every_error_at_its_place() {
        for (text, expected) in [
            (
                "ci.job(\"a b\", f)",
                &[
                    "1:8 invalid job id \"a b\": a job id has only letters, digits, '-', '_' and '.', not ' ' (write \"a-b\")",
                ][..],
            ),
            ("ci.job(\"\", f)", &["1:8 invalid job id \"\": a job id must not be empty ()"]),
            ("ci.job(\"..\", f)", &["1:8 invalid job id \"..\": a job id must not start with '.' ()"]),
            ("ci.job(\"-rf\", f)", &["1:8 invalid job id \"-rf\": a job id must not start with '-' (write \"rf\")"]),
            (
                "ci.job(\"quire/x\", f)",
                &[
                    "1:8 invalid job id \"quire/x\": a job id has only letters, digits, '-', '_' and '.', not '/' (names that begin \
                 with \"quire/\" are sources; give the job a name of its own)",
                ],
            ),
            (
                "ci.job(\"a\", f)\n  ci.job(\"a\", f)",
                &["2:10 job \"a\" is already defined at .quire/ci.lua:1 (give each job an id of its own)"],
            ),
            (
                "ci.job(\"a\", {}, f)",
                &[
                    "1:13 job \"a\" has empty inputs: nothing would start it (leave the inputs out for {\"quire/push\"}, or name jobs \
                 or sources)",
                ],
            ),
            (
                "ci.job(\"a\", {\"quire/push\", \"quire/push\"}, f)",
                &["1:28 input \"quire/push\" is given twice (name it once)"],
            ),
            ("ci.job(\"a\", {\"a\"}, f)", &["1:14 job \"a\" needs itself (take \"a\" out of its inputs)"]),
            (
                "ci.job(\"a\", {\"a\", \"quire/push\", \"a\"}, f)",
                &[
                    "1:14 job \"a\" needs itself (take \"a\" out of its inputs)",
                    "1:33 input \"a\" is given twice (name it once)",
                ],
            ),
            (
                "ci.job(\"a\", {\"b\"}, f)",
                &["1:14 unknown input \"b\" (there is no other job; sources: quire/push, quire/manual)"],
            ),
            (
                "ci.job(\"a\", {\"quire/pull\"}, f)",
                &[
                    "1:14 unknown source \"quire/pull\" (did you mean \"quire/push\"? sources: quire/push, quire/manual)",
                ],
            ),
            (
                "ci.job(\"a\", {\"push\"}, f)\nci.job(\"b\", {\"git/x\"}, f)",
                &[
                    "1:14 unknown input \"push\" (did you mean \"quire/push\"? jobs: b; sources: quire/push, quire/manual)",
                    "2:14 unknown input \"git/x\" (jobs: a; sources: quire/push, quire/manual)",
                ],
            ),
            // A job whose id is wrong is there all the same: what needs it is right.
            (
                "ci.job(\"a b\", f)\nci.job(\"c\", {\"a b\"}, f)",
                &[
                    "1:8 invalid job id \"a b\": a job id has only letters, digits, '-', '_' and '.', not ' ' (write \"a-b\")",
                ],
            ),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
    }

    #[test]
    fn each_cycle_once() {
        const HELP: &str = "(each needs the next one; take one of these inputs out)";
        let unreachable = "nothing starts job \"x\": no source is upstream of it (all that it needs waits for itself; end that first)";
        for (text, expected) in [
            (
                "ci.job(\"a\", {\"b\"}, f)\nci.job(\"b\", {\"a\"}, f)",
                vec![format!("1:14 these jobs wait for each other: a -> b -> a {HELP}")],
            ),
            // Two cycles through one job; a job downstream that has a source besides, and one that has none.
            (
                "ci.job(\"x\", {\"a\"}, f)\nci.job(\"y\", {\"a\", \"quire/push\"}, f)\nci.job(\"a\", {\"b\", \"c\"}, f)\n\
                 ci.job(\"b\", {\"a\"}, f)\nci.job(\"c\", {\"d\"}, f)\nci.job(\"d\", {\"a\", \"quire/push\"}, f)\nci.job(\"z\", {\"x\", \"y\"}, f)",
                vec![
                    format!("3:14 these jobs wait for each other: a -> b -> a {HELP}"),
                    format!("3:19 these jobs wait for each other: a -> c -> d -> a {HELP}"),
                ],
            ),
            (
                "ci.job(\"x\", {\"a\"}, f)\nci.job(\"a\", {\"b\"}, f)\nci.job(\"b\", {\"a\"}, f)",
                vec![format!("1:8 {unreachable}"), format!("2:14 these jobs wait for each other: a -> b -> a {HELP}")],
            ),
            // Downstream of a mistyped or empty input nothing more is said.
            (
                "ci.job(\"x\", {\"a\"}, f)\nci.job(\"a\", {\"qqqq\"}, f)",
                vec!["2:14 unknown input \"qqqq\" (jobs: x)".to_owned()],
            ),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
    }

    #[test]
    fn large_tangles_end() {
        // 60 jobs that all need each other, and a ring of 2000.
        let all: Vec<String> = (0..60).map(|n| format!("j{n}")).collect();
        let tangle: String = all
            .iter()
            .map(|id| {
                let others: Vec<String> =
                    all.iter().filter(|other| *other != id).map(|other| format!("\"{other}\"")).collect();
                format!("ci.job(\"{id}\", {{{}}}, f)\n", others.join(", "))
            })
            .collect();
        let found = short(&tangle);
        assert_eq!(found.len(), CYCLES + 1);
        assert_eq!(found.last().map(String::as_str), Some(" there are more errors than are shown (mend these first)"));
        let ring: String = (0..2000).map(|n| format!("ci.job(\"j{n}\", {{\"j{}\"}}, f)\n", (n + 1) % 2000)).collect();
        let found = short(&ring);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("j0 -> j1 -> j2") && found[0].contains("j11 -> … -> j1999 -> j0 ("), "{found:?}");
    }

    #[test]
    fn loops_that_define_a_job_twice() {
        let place = Place { file: "x.lua".into(), line: 2, column: None };
        let job = RawJob { id: "t".into(), inputs: Some(vec!["nope".into()]), options: JobOptions::default(), place };
        let found = check(vec![job.clone(), job.clone(), job], None, Vec::new(), &BTreeMap::new()).expect_err("errors");
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages, ["job \"t\" is defined again by the same call", "unknown input \"nope\""]);
        assert!(found.iter().all(|found| found.excerpt.is_none()));
    }

    #[test]
    fn an_empty_pipeline_and_an_empty_image() {
        let found = checked("-- nothing").expect_err("an error");
        assert_eq!(
            found[0].to_string(),
            "error: the pipeline defines no job\n  --> .quire/ci.lua:1\n   |\n 1 | -- nothing\n   |\n   \
             = help: add one: ci.job(\"build\", function(rt) rt.sh(\"make\") end)"
        );
        let files = BTreeMap::from([("ci.lua".to_owned(), "ci.image(\"\")".to_owned())]);
        let found = check(Vec::new(), Some(" ".into()), vec![Diagnostic::new("broken")], &files).expect_err("errors");
        let places: Vec<Option<Option<u32>>> =
            found.iter().map(|found| found.place.as_ref().map(|place| place.column)).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].message.as_str(), places), ("broken", vec![None, Some(Some(10))]));
    }

    #[test]
    fn earlier_errors_are_completed_and_sorted_in() {
        let text = "ci.job(\"a\", {timeot = 3}, f)\nci.job(\"b\", {\"x\"}, f)";
        let files = BTreeMap::from([(".quire/ci.lua".to_owned(), text.to_owned())]);
        let place = Place { file: ".quire/ci.lua".into(), line: 1, column: None };
        let earlier = vec![Diagnostic::new("unknown option \"timeot\"").at(place).help("did you mean \"timeout\"?")];
        let found =
            check(jobs(".quire/ci.lua", "\nci.job(\"b\", {\"x\"}, f)"), None, earlier, &files).expect_err("errors");
        assert_eq!(
            found[0].to_string(),
            "error: unknown option \"timeot\"\n  --> .quire/ci.lua:1:14\n   |\n 1 | ci.job(\"a\", {timeot = 3}, f)\n   |              \
             ^^^^^^\n   = help: did you mean \"timeout\"?"
        );
        assert_eq!(found[1].place.as_ref().map(|place| (place.line, place.column)), Some((2, Some(14))));
    }

    #[test]
    fn a_refused_definition_is_no_unknown_input() {
        let text = "ci.job(\"build\", 7)\nci.job(\"test\", {\"build\", \"x\"}, f)";
        let files = BTreeMap::from([(".quire/ci.lua".to_owned(), text.to_owned())]);
        let place = Place { file: ".quire/ci.lua".into(), line: 1, column: None };
        let earlier = vec![Diagnostic::new("ci.job \"build\": the last argument is the function to run").at(place)];
        let found = check(jobs(".quire/ci.lua", text).split_off(1), None, earlier, &files).expect_err("errors");
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages, ["ci.job \"build\": the last argument is the function to run", "unknown input \"x\""]);
    }

    #[test]
    fn thousands_of_errors_end_soon() {
        let text: String = (0..20_000).map(|n| format!("ci.job(\"j{n}\", {{\"k{n}\"}}, f)\n")).collect();
        let found = checked(&text).expect_err("errors");
        assert_eq!(found.len(), MOST + 1);
        assert!(found[0].excerpt.is_some() && found[MOST].place.is_none());
        let earlier = vec![Diagnostic::new("bad"); 1000];
        assert_eq!(check(Vec::new(), None, earlier, &BTreeMap::new()).expect_err("errors").len(), 2);
    }

    #[test]
    fn fennel_places() {
        let file = ".quire/ci.fnl".to_owned();
        let text = "(ci.job :build (fn [rt] (rt.sh :x)))\n(ci.job :test\n  [:biuld]\n  (fn [rt]))";
        let job = |id: &str, inputs: Option<Vec<String>>, line| RawJob {
            id: id.into(),
            inputs,
            options: JobOptions::default(),
            place: Place { file: file.clone(), line, column: None },
        };
        let raw = vec![job("build", None, 1), job("test", Some(vec!["biuld".into()]), 2)];
        let found =
            check(raw, None, Vec::new(), &BTreeMap::from([(file.clone(), text.to_owned())])).expect_err("errors");
        assert_eq!(
            found[0].to_string(),
            "error: unknown input \"biuld\"\n  --> .quire/ci.fnl:3:4\n   |\n 3 |   [:biuld]\n   |    ^^^^^^\n   \
             = help: did you mean \"build\"? jobs: build"
        );
    }

    /// An independent judge: reachability by repeated squaring of a matrix.
    fn naive_accepts(jobs: &[RawJob]) -> bool {
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        let inputs = |job: &RawJob| job.inputs.clone().unwrap_or_else(|| vec!["quire/push".into()]);
        let mut reaches = vec![vec![false; jobs.len()]; jobs.len()];
        for (index, job) in jobs.iter().enumerate() {
            let inputs = inputs(job);
            let mut once = inputs.clone();
            once.sort();
            once.dedup();
            if JobId::new(&job.id).is_err()
                || ids.iter().filter(|id| **id == job.id).count() != 1
                || inputs.is_empty()
                || once.len() != inputs.len()
            {
                return false;
            }
            for input in inputs {
                match ids.iter().position(|id| *id == input) {
                    Some(to) => reaches[index][to] = true,
                    None if input == "quire/push" || input == "quire/manual" => {}
                    None => return false,
                }
            }
        }
        for middle in 0..jobs.len() {
            for from in 0..jobs.len() {
                for to in 0..jobs.len() {
                    reaches[from][to] |= reaches[from][middle] && reaches[middle][to];
                }
            }
        }
        !jobs.is_empty() && (0..jobs.len()).all(|index| !reaches[index][index])
    }

    fn random_jobs(seed: &[(u8, Vec<u8>)]) -> Vec<RawJob> {
        let name = |byte: u8| match byte % 24 {
            20 => "quire/manual".to_owned(),
            21..24 => "quire/push".to_owned(),
            n => format!("j{n}"),
        };
        let job = |(index, (kind, inputs)): (usize, &(u8, Vec<u8>))| RawJob {
            id: match kind {
                0 => "..".into(),
                1 => "j0".into(),
                _ => format!("j{index}"),
            },
            // Mostly backwards, so that sound graphs are as likely as unsound ones.
            inputs: (kind % 4 > 0 && !inputs.is_empty()).then(|| {
                let back = |byte: &u8| {
                    if !byte.is_multiple_of(8) && index > 0 {
                        byte % u8::try_from(index.min(20)).unwrap()
                    } else {
                        *byte
                    }
                };
                let mut names: Vec<String> = inputs.iter().take(4).map(|byte| name(back(byte))).collect();
                if kind % 8 > 1 {
                    names.sort();
                    names.dedup();
                }
                names
            }),
            options: JobOptions::default(),
            place: Place { file: "ci.lua".into(), line: u32::try_from(index + 1).unwrap(), column: None },
        };
        seed.iter().take(20).enumerate().map(job).collect()
    }

    #[test]
    fn accepts_what_a_naive_judge_accepts() {
        let mut accepted = 0;
        for round in 0..8_000_u64 {
            // A small generator of its own, so that both answers come often.
            let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            };
            let count = next() % 8;
            let seed: Vec<(u8, Vec<u8>)> =
                (0..count).map(|_| (next(), (0..next() % 4).map(|_| next()).collect())).collect();
            let raw = random_jobs(&seed);
            let sound = check(raw.clone(), None, Vec::new(), &BTreeMap::new());
            assert_eq!(sound.is_ok(), naive_accepts(&raw), "{raw:?} {sound:?}");
            accepted += u32::from(sound.is_ok());
        }
        assert!((800..7_200).contains(&accepted), "the generator is one-sided: {accepted} of 8000");
    }

    #[test]
    fn orders_and_selections_are_closed() {
        fn property(seed: Vec<(u8, Vec<u8>)>, asked: Vec<u8>) -> bool {
            let raw = random_jobs(&seed);
            let Ok(pipeline) = check(raw.clone(), None, Vec::new(), &BTreeMap::new()) else {
                return !naive_accepts(&raw);
            };
            let count = pipeline.jobs.len();
            let order = pipeline.order();
            let at = |index: usize| order.iter().position(|other| *other == index);
            let topological = order.len() == count
                && (0..count).all(|index| pipeline.job_inputs(index).iter().all(|input| at(*input) < at(index)));
            let asked: Vec<String> =
                asked.iter().map(|byte| pipeline.jobs[*byte as usize % count].id.to_string()).collect();
            let selected = pipeline.select(&asked).expect("they exist");
            let closed =
                selected.iter().all(|index| pipeline.job_inputs(*index).iter().all(|input| selected.contains(input)));
            let there = asked.iter().all(|id| pipeline.index(id).is_some_and(|index| selected.contains(&index)));
            let down = pipeline.downstream(&selected);
            let open = (0..count).all(|index| {
                down.contains(&index)
                    == (selected.contains(&index)
                        || pipeline.job_inputs(index).iter().any(|input| down.contains(input)))
            });
            topological && closed && there && open
        }
        quickcheck::quickcheck(property as fn(Vec<(u8, Vec<u8>)>, Vec<u8>) -> bool);
    }
}
