//! Draws the graph: a listing for a terminal, a mermaid flowchart, JSON for programs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::definition::{JobDefinition, Needs, SOURCES};
use super::graph::Pipeline;

/// Widest column of the listing that others are aligned with, in characters.
const COLUMN: usize = 32;

/// How to draw a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// For a terminal.
    Text,
    /// A mermaid flowchart.
    Mermaid,
    /// For programs.
    Json,
}

impl Pipeline {
    /// Draws the graph, newline-terminated.
    pub fn draw(&self, format: GraphFormat) -> String {
        match format {
            GraphFormat::Text => self.listing(),
            GraphFormat::Mermaid => self.flowchart(),
            GraphFormat::Json => self.json(),
        }
    }

    /// One line a job, each after its inputs: `id  <- inputs  notes`.
    fn listing(&self) -> String {
        let rows: Vec<[String; 3]> = self
            .order()
            .into_iter()
            .filter_map(|index| self.jobs.get(index))
            .map(|job| [job.id.to_string(), format!("<- {}", job.inputs.join(", ")), notes(job)])
            .collect();
        let width = |column: usize| {
            let lengths = rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count());
            lengths.filter(|length| *length <= COLUMN).max().unwrap_or(0)
        };
        let (ids, inputs) = (width(0), width(1));
        let lines = rows
            .iter()
            .map(|[id, input, notes]| format!("{id:ids$}  {input:inputs$}  {notes}").trim_end().to_owned() + "\n");
        lines.collect()
    }

    fn flowchart(&self) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        let used: BTreeSet<&str> = self.jobs.iter().flat_map(|job| job.inputs.iter().map(String::as_str)).collect();
        let node = |input: &str| match SOURCES.iter().position(|source| *source == input) {
            Some(source) => Some(format!("s{source}")),
            None => self.index(input).map(|index| format!("j{index}")),
        };
        for source in SOURCES.iter().filter(|source| used.contains(**source)) {
            lines.extend(node(source).map(|node| format!("    {node}([\"{}\"])", escaped(source))));
        }
        for (index, job) in self.jobs.iter().enumerate() {
            let desc = job.options.desc.as_ref().map(|desc| format!("<br/>{}", escaped(desc))).unwrap_or_default();
            lines.push(format!("    j{index}[\"{}{desc}\"]", escaped(job.id.as_str())));
        }
        for (index, job) in self.jobs.iter().enumerate() {
            let arrow = match job.options.needs {
                Needs::Complete => "-->".to_owned(),
                other => format!("-.->|{other}|"),
            };
            for from in job.inputs.iter().filter_map(|input| node(input)) {
                lines.push(format!("    {from} {arrow} j{index}"));
            }
        }
        lines.join("\n") + "\n"
    }

    fn json(&self) -> String {
        let jobs = self.jobs.iter().enumerate().map(|(index, job)| JobDrawn::new(job, self.is_manual(index))).collect();
        let drawn = Drawn { image: self.image.as_deref(), jobs };
        serde_json::to_string(&drawn).expect("strings, numbers and lists always encode") + "\n"
    }
}

#[derive(Serialize)]
struct Drawn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    jobs: Vec<JobDrawn<'a>>,
}

/// Fields that say nothing are left out, but `id`, `inputs` and `needs`.
#[derive(Serialize)]
struct JobDrawn<'a> {
    id: &'a str,
    inputs: &'a [String],
    needs: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    manual: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_failure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    file: &'a str,
    line: u32,
}

impl<'a> JobDrawn<'a> {
    fn new(job: &'a JobDefinition, manual: bool) -> JobDrawn<'a> {
        JobDrawn {
            id: job.id.as_str(),
            inputs: &job.inputs,
            needs: job.options.needs.as_str(),
            desc: job.options.desc.as_deref(),
            manual,
            allow_failure: job.options.allow_failure,
            timeout_ms: job.options.timeout.and_then(|timeout| u64::try_from(timeout.as_millis()).ok()),
            retries: Some(job.options.retries).filter(|retries| *retries > 0),
            file: &job.place.file,
            line: job.place.line,
        }
    }
}

/// What is unusual about a job, then its description.
fn notes(job: &JobDefinition) -> String {
    let needs = match job.options.needs {
        Needs::Complete => None,
        Needs::Unfailed => Some("(unless an input failed)"),
        Needs::Finished => Some("(always)"),
    };
    let allowed = job.options.allow_failure.then_some("(may fail)");
    let desc = job.options.desc.as_deref().map(one_line);
    let notes = needs.into_iter().chain(allowed).map(str::to_owned).chain(desc);
    notes.collect::<Vec<_>>().join(" ")
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text inside a quoted mermaid label: what ends the label or begins an entity or a tag is written as an entity code.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '\\' | '`' => out.push_str(&format!("#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::pipeline::{JobOptions, Place, RawJob, check};

    fn sample() -> Pipeline {
        let job = |line, id: &str, inputs: Option<&[&str]>, options: JobOptions| RawJob {
            id: id.into(),
            inputs: inputs.map(|inputs| inputs.iter().map(|input| (*input).to_owned()).collect()),
            options,
            place: Place { file: ".quire/ci.lua".into(), line, column: None },
        };
        let plain = JobOptions::default;
        let raw = vec![
            job(
                1,
                "report",
                Some(&["test", "lint"]),
                JobOptions { needs: Needs::Finished, desc: Some("say \"how\" <it>\nwent".into()), ..plain() },
            ),
            job(2, "build", None, JobOptions { timeout: Some(Duration::from_secs(90)), retries: 2, ..plain() }),
            job(3, "lint", None, JobOptions { allow_failure: true, desc: Some("style".into()), ..plain() }),
            job(4, "test", Some(&["build"]), plain()),
            job(5, "deploy", Some(&["test", "quire/manual"]), JobOptions { needs: Needs::Unfailed, ..plain() }),
        ];
        check(raw, Some("debian:13".into()), Vec::new(), &BTreeMap::new()).expect("a sound pipeline")
    }

    #[test]
    fn text() {
        assert_eq!(
            sample().draw(GraphFormat::Text),
            "\
build   <- quire/push
lint    <- quire/push          (may fail) style
test    <- build
report  <- test, lint          (always) say \"how\" <it> went
deploy  <- test, quire/manual  (unless an input failed)
"
        );
    }

    #[test]
    fn mermaid() {
        assert_eq!(
            sample().draw(GraphFormat::Mermaid),
            "\
flowchart LR
    s0([\"quire/push\"])
    s1([\"quire/manual\"])
    j0[\"report<br/>say #34;how#34; #60;it#62; went\"]
    j1[\"build\"]
    j2[\"lint<br/>style\"]
    j3[\"test\"]
    j4[\"deploy\"]
    j3 -.->|finished| j0
    j2 -.->|finished| j0
    s0 --> j1
    s0 --> j2
    j1 --> j3
    j3 -.->|unfailed| j4
    s1 -.->|unfailed| j4
"
        );
    }

    #[test]
    fn json() {
        assert_eq!(
            sample().draw(GraphFormat::Json),
            [
                r#"{"image":"debian:13","jobs":["#,
                r#"{"id":"report","inputs":["test","lint"],"needs":"finished","desc":"say \"how\" <it>\nwent","file":".quire/ci.lua","line":1},"#,
                r#"{"id":"build","inputs":["quire/push"],"needs":"complete","timeout_ms":90000,"retries":2,"file":".quire/ci.lua","line":2},"#,
                r#"{"id":"lint","inputs":["quire/push"],"needs":"complete","desc":"style","allow_failure":true,"file":".quire/ci.lua","line":3},"#,
                r#"{"id":"test","inputs":["build"],"needs":"complete","file":".quire/ci.lua","line":4},"#,
                r#"{"id":"deploy","inputs":["test","quire/manual"],"needs":"unfailed","manual":true,"file":".quire/ci.lua","line":5}"#,
                "]}\n",
            ]
            .concat()
        );
    }

    #[test]
    fn wide_graphs_do_not_stretch_the_listing() {
        let mut raw: Vec<RawJob> = (0..200)
            .map(|n| RawJob {
                id: format!("job-{n}"),
                inputs: None,
                options: JobOptions::default(),
                place: Place::default(),
            })
            .collect();
        let all = raw.iter().map(|job| job.id.clone()).collect();
        let options = JobOptions { desc: Some("all".into()), ..JobOptions::default() };
        raw.push(RawJob { id: "end".into(), inputs: Some(all), options, place: Place::default() });
        let text = check(raw, None, Vec::new(), &BTreeMap::new()).expect("sound").draw(GraphFormat::Text);
        assert_eq!(text.lines().count(), 201);
        assert_eq!(text.lines().next(), Some("job-0    <- quire/push"));
        assert!(text.ends_with("job-199  all\n"));
    }
}
