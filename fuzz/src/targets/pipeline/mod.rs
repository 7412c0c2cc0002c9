//! Target `pipeline`: any text as a pipeline; where the bytes begin with 0xff, one put together from fragments.
//!
//! Holds: its definition ends, within a number of slices that the limits allow; what is defined is sound (ids, inputs, order,
//! drawings); what is wrong is told at a place that is there, in text that cannot steer a terminal. A run of it defines the
//! same, ends too, cancelled if need be, and leaves a stream that pairs without irregularities.

mod fragments;
mod machine;

use quire_core::engine::{Defined, Defining, Definition, Limits, Source};
use quire_core::ids::JobId;
use quire_core::pipeline::{Diagnostic, GraphFormat, SOURCES};

const FILE: &str = ".quire/ci.lua";
const MODULE: &str = ".quire/lib/m.lua";

/// Most instructions between two requests of any text: few, so that all of a top level's 10,000 requests are over soon.
const INSTRUCTIONS: u64 = 20_000;
/// The same for fragments, which waste none: more than a slice.
const INSTRUCTIONS_OF_FRAGMENTS: u64 = 150_000;
/// Most memory of a VM, in bytes.
const VM_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of a line that are shown.
const LONGEST_EXCERPT: usize = 4096;
/// A definition may ask 10,000 times, and between two requests run for a slice more than its instructions are.
const MOST_SLICES: usize = 10_001 * 3;

/// Checks one pipeline.
pub fn run(data: &[u8]) {
    let (text, instructions) = match data.split_first() {
        Some((0xff, choices)) => (fragments::joined(choices), INSTRUCTIONS_OF_FRAGMENTS),
        _ => (data.to_vec(), INSTRUCTIONS),
    };
    let limits = Limits { instructions, vm_bytes: VM_BYTES, ..Limits::default() };
    let source = source(text);
    let defined = define(&source, &limits);
    match &defined {
        Ok(defined) => check_pipeline(defined),
        Err(problems) => check_problems(problems, &source),
    }
    machine::check_run(&source, limits, defined.as_deref().map_err(Vec::as_slice));
}

fn source(text: Vec<u8>) -> Source {
    let module = b"return {x = 1, f = function(...) return ... end}".to_vec();
    Source { file: FILE.to_owned(), text, modules: [(MODULE.to_owned(), module)].into(), ..Source::default() }
}

fn define(source: &Source, limits: &Limits) -> Result<Box<Defined>, Vec<Diagnostic>> {
    let mut definition = Definition::new(source, limits, machine::SEED);
    for _ in 0..MOST_SLICES {
        match definition.resume() {
            Defining::Slice => {}
            Defining::Asked(request) => definition.answer(machine::answer(&request)),
            Defining::Done(result) => return result,
        }
    }
    panic!("the definition does not end");
}

fn check_pipeline(defined: &Defined) {
    let pipeline = &defined.pipeline;
    assert!(!pipeline.jobs.is_empty(), "a pipeline without jobs");
    for (index, job) in pipeline.jobs.iter().enumerate() {
        assert!(job.id.is_valid(), "a job named {:?}", job.id);
        assert_eq!(pipeline.index(job.id.as_str()), Some(index), "two jobs of one name");
        assert!(!job.inputs.is_empty(), "a job without inputs");
        for input in &job.inputs {
            assert!(SOURCES.contains(&input.as_str()) || pipeline.index(input).is_some(), "an input {input:?}");
        }
        assert!(job.place.file == FILE || job.place.file == MODULE, "a job at {}", job.place);
    }
    let order = pipeline.order();
    let place = |index: usize| order.iter().position(|at| *at == index);
    for index in 0..pipeline.jobs.len() {
        let own = place(index).expect("each job is in the order");
        assert!(pipeline.job_inputs(index).into_iter().all(|input| place(input) < Some(own)), "a job before its input");
    }
    assert_eq!(order.len(), pipeline.jobs.len(), "a job twice in the order");
    for format in [GraphFormat::Text, GraphFormat::Mermaid, GraphFormat::Json] {
        let drawn = pipeline.draw(format);
        assert!(drawn.ends_with('\n'), "a drawing without its last newline");
        assert!(format != GraphFormat::Json || serde_json::from_str::<serde_json::Value>(&drawn).is_ok(), "{drawn}");
    }
    let ids: Vec<JobId> = pipeline.ids();
    assert!(pipeline.select(&[ids[0].to_string()]).is_ok(), "a job that is there cannot be chosen");
    assert!(pipeline.select(&["no such job".to_owned()]).is_err());
}

fn check_problems(problems: &[Diagnostic], source: &Source) {
    assert!(!problems.is_empty(), "an error without a word");
    for problem in problems {
        assert!(!problem.message.is_empty(), "an error without a word");
        let shown = problem.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "control characters: {shown:?}");
        let Some(place) = &problem.place else { continue };
        let text = if place.file == source.file { Some(&source.text) } else { source.modules.get(&place.file) };
        let text = String::from_utf8_lossy(text.expect("a place in one of the files"));
        assert!(place.line >= 1 && place.column.is_none_or(|column| column >= 1), "at {place}");
        if let Some(excerpt) = &problem.excerpt {
            let line = line_of(&text, place.line).expect("an excerpt of a line that is there");
            let shown = line.get(..line.floor_char_boundary(LONGEST_EXCERPT)).unwrap_or(line);
            assert_eq!(excerpt, shown, "an excerpt of another line than {place}");
        }
    }
}

/// A line as Lua counts them: `\n`, `\r`, and one of both together in either order, end it.
fn line_of(text: &str, number: u32) -> Option<&str> {
    let mut rest = text;
    for _ in 1..number {
        let end = rest.find(['\n', '\r'])?;
        let pair = rest[end..].starts_with("\n\r") || rest[end..].starts_with("\r\n");
        rest = &rest[end + if pair { 2 } else { 1 }..];
    }
    rest.split(['\n', '\r']).next()
}
