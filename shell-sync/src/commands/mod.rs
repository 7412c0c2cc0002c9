//! One module a verb of the command line.

pub mod compile;
pub mod completions;
pub mod doctor;
pub mod events;
pub mod graph;
pub mod history;
pub mod init;
pub mod log;
pub mod ls;
pub mod prune;
pub mod rebuild;
pub mod run;
pub mod shell;
pub mod show;
pub mod validate;

use quire_core::engine::{Compiler, Defining, Definition, Limits, Source};
use quire_core::pipeline::{Diagnostic, Pipeline};
use quire_core::script::INSTALL_FENNEL;

use crate::cli::{CliError, Color, Context, ErrorKind};
use crate::ui::Colour;
use crate::workspace::Workspace;

/// `--color` as views take it.
fn colour(color: Color) -> Colour {
    match color {
        Color::Auto => Colour::Auto,
        Color::Always => Colour::Always,
        Color::Never => Colour::Never,
    }
}

/// Reads the workspace's pipeline; that this machine cannot compile it is no error of the pipeline's, and is told before.
pub fn read_source(context: &Context, workspace: &Workspace) -> Result<Source, CliError> {
    let source = workspace.source().map_err(|error| context.explain(error))?;
    match &source.fennel {
        Compiler::NotFound(places) if source.file.ends_with(".fnl") => Err(no_fennel(places)),
        _ => Ok(source),
    }
}

/// No compiler: what to do.
fn no_fennel(places: &str) -> CliError {
    CliError::new(ErrorKind::Pipeline, "the pipeline is in Fennel, and its compiler is not installed")
        .help(format!("{INSTALL_FENNEL}\nlooked at {places}"))
}

/// Runs the top level of the workspace's pipeline.
pub fn load_pipeline(workspace: &Workspace, source: &Source) -> Result<Pipeline, Vec<Diagnostic>> {
    let files = workspace.files();
    let mut definition = Definition::new(source, &Limits::default(), 0);
    loop {
        match definition.resume() {
            Defining::Slice => {}
            Defining::Asked(request) => definition.answer(files.answer_request(&request)),
            Defining::Done(done) => {
                // Its VMs stay until the process ends, which is soon: to free them piece by piece takes a tenth of the time.
                std::mem::forget(definition);
                return done.map(|defined| (*defined.pipeline).clone());
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use quire_core::pipeline::{JobOptions, Pipeline, Place, RawJob, check};

    /// A pipeline of jobs with their inputs and descs, one a line.
    pub(crate) fn pipeline(jobs: &[(&str, &[&str], Option<&str>)]) -> Pipeline {
        let jobs = jobs.iter().zip(1..).map(|((id, inputs, desc), line)| RawJob {
            id: (*id).to_owned(),
            inputs: Some(inputs.iter().map(|input| (*input).to_owned()).collect()),
            options: JobOptions { desc: desc.map(str::to_owned), ..JobOptions::default() },
            place: Place { file: ".quire/ci.lua".to_owned(), line, column: None },
        });
        check(jobs.collect(), None, Vec::new(), &BTreeMap::new()).unwrap()
    }
}
