//! `validate`, and what bare `quire-ci` does: the jobs in order, with their inputs and what they are for.

use std::io::Write;

use clap::Args;
use quire_core::pipeline::{Diagnostic, JobDefinition, Pipeline};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::{load_pipeline, read_source};
use crate::cli::{CliError, Context, Exit, styled};

/// Options of `validate`.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// Print one JSON object: the jobs, or what is wrong
    #[arg(long)]
    json: bool,
}

/// Checks the pipeline and prints its jobs or its errors.
pub fn run(context: &Context, args: ValidateArgs) -> Result<Exit, CliError> {
    let workspace = context.workspace()?;
    let loaded = load_pipeline(&workspace, &read_source(context, &workspace)?);
    let exit = if loaded.is_ok() { Exit::Complete } else { Exit::Failed };
    if args.json {
        writeln!(anstream::stdout().lock(), "{}", report(workspace.pipeline, &loaded)?)?;
        return Ok(exit);
    }
    match loaded {
        Ok(pipeline) => {
            let mut out = anstream::stdout().lock();
            let count = pipeline.jobs.len();
            let plural = if count == 1 { "" } else { "s" };
            writeln!(out, "{}: {count} job{plural}, no errors", workspace.pipeline)?;
            write_jobs(&mut out, &pipeline)?;
        }
        Err(diagnostics) => {
            anstream::stderr().lock().write_all(CliError::pipeline(diagnostics).render(&styled).as_bytes())?;
        }
    }
    Ok(exit)
}

/// Lists the jobs for a person who typed the program's name alone.
pub fn list(context: &Context) -> Result<Exit, CliError> {
    let workspace = context.workspace()?;
    let pipeline = load_pipeline(&workspace, &read_source(context, &workspace)?).map_err(CliError::pipeline)?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "Jobs of {}:", workspace.root.join(workspace.pipeline).display())?;
    write_jobs(&mut out, &pipeline)?;
    writeln!(out, "\nRun all: {0} run. Run some: {0} run JOB… More: {0} --help", context.program)?;
    Ok(Exit::Complete)
}

/// One line a job: id, inputs, desc. Columns are as wide as what is in them, bounded so that one long id does not push all else
/// out of sight.
pub fn write_jobs(out: &mut impl Write, pipeline: &Pipeline) -> Result<(), CliError> {
    const WIDEST: usize = 32;
    let rows: Vec<(&JobDefinition, String)> = order(pipeline).map(|job| (job, job.inputs.join(", "))).collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let ids = width(&mut rows.iter().map(|(job, _)| job.id.as_str().width()));
    let sources = width(&mut rows.iter().map(|(_, inputs)| inputs.width()));
    for (job, inputs) in &rows {
        let desc = job.options.desc.as_deref().unwrap_or_default();
        // A desc is one line here, whatever it holds.
        let desc = desc.lines().next().unwrap_or_default();
        let id_gap = " ".repeat(ids.saturating_sub(job.id.as_str().width()));
        let gap = " ".repeat(sources.saturating_sub(inputs.width()));
        let line = format!("  {}{id_gap}  <- {inputs}{gap}  {}", job.id, printable(desc));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Control characters of a desc stay out of the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The jobs so that each stands after its inputs.
fn order(pipeline: &Pipeline) -> impl Iterator<Item = &JobDefinition> {
    pipeline.order().into_iter().filter_map(|index| pipeline.jobs.get(index))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    ok: bool,
    jobs: Vec<JobReport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    diagnostics: Vec<DiagnosticReport<'a>>,
}

#[derive(Serialize)]
struct JobReport<'a> {
    id: &'a str,
    inputs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<&'a str>,
    file: &'a str,
    line: u32,
}

#[derive(Serialize)]
struct DiagnosticReport<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// The report of a pipeline, or of what is wrong with it, as one line of JSON.
fn report(file: &str, loaded: &Result<Pipeline, Vec<Diagnostic>>) -> Result<String, CliError> {
    let (pipeline, diagnostics) = match loaded {
        Ok(pipeline) => (Some(pipeline), &[][..]),
        Err(diagnostics) => (None, diagnostics.as_slice()),
    };
    let report = Report {
        file,
        ok: loaded.is_ok(),
        jobs: pipeline.map(|pipeline| order(pipeline).map(JobReport::of).collect()).unwrap_or_default(),
        image: pipeline.and_then(|pipeline| pipeline.image.as_deref()),
        diagnostics: diagnostics.iter().map(DiagnosticReport::of).collect(),
    };
    serde_json::to_string(&report).map_err(|error| CliError::machine(format!("cannot write the report: {error}")))
}

impl JobReport<'_> {
    fn of(job: &JobDefinition) -> JobReport<'_> {
        JobReport {
            id: job.id.as_str(),
            inputs: &job.inputs,
            desc: job.options.desc.as_deref(),
            file: &job.place.file,
            line: job.place.line,
        }
    }
}

impl DiagnosticReport<'_> {
    fn of(diagnostic: &Diagnostic) -> DiagnosticReport<'_> {
        let place = diagnostic.place.as_ref();
        DiagnosticReport {
            message: &diagnostic.message,
            file: place.map(|place| place.file.as_str()),
            line: place.map(|place| place.line),
            column: place.and_then(|place| place.column),
            excerpt: diagnostic.excerpt.as_deref(),
            help: diagnostic.help.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use quire_core::pipeline::Place;

    use super::*;
    use crate::commands::tests::pipeline;

    #[test]
    fn jobs_stand_after_their_inputs() {
        let pipeline = pipeline(&[
            ("test", &["build", "quire/push"], Some("All tests\nand more")),
            ("build", &["quire/push"], None),
            ("lint", &["quire/push"], Some("Quick \u{1b}[31mlooks")),
        ]);
        let mut text = Vec::new();
        write_jobs(&mut text, &pipeline).unwrap();
        let want = "  build  <- quire/push\n  test   <- build, quire/push  All tests\n  lint   <- quire/push         Quick [31mlooks\n";
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }

    #[test]
    fn json_holds_jobs_and_diagnostics() {
        let good = pipeline(&[("build", &["quire/push"], Some("Compile"))]);
        let want = r#"{"file":".quire/ci.lua","ok":true,"jobs":[{"id":"build","inputs":["quire/push"],"desc":"Compile","file":".quire/ci.lua","line":1}],"diagnostics":[]}"#;
        assert_eq!(report(".quire/ci.lua", &Ok(good)).unwrap(), want);
        let diagnostic = Diagnostic {
            message: "no".into(),
            place: Some(Place { file: "f".into(), line: 2, column: Some(3) }),
            help: Some("yes".into()),
            excerpt: None,
        };
        let want = r#"{"file":".quire/ci.fnl","ok":false,"jobs":[],"diagnostics":[{"message":"no","file":"f","line":2,"column":3,"help":"yes"}]}"#;
        assert_eq!(report(".quire/ci.fnl", &Err(vec![diagnostic])).unwrap(), want);
    }
}
