//! One module a verb of the command line.

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
pub mod show;
pub mod validate;

use quire_core::engine::{Defining, Definition, Limits};
use quire_core::pipeline::{Diagnostic, Pipeline};

use crate::workspace::Workspace;

/// Reads the workspace's pipeline and runs its top level.
pub fn load_pipeline(workspace: &Workspace) -> Result<Pipeline, Vec<Diagnostic>> {
    let source = workspace.source().map_err(|error| {
        let place = error.place().display().to_string();
        vec![Diagnostic { message: format!("{error} ({place})"), ..Diagnostic::default() }]
    })?;
    let files = workspace.files();
    let mut definition = Definition::new(&source, &Limits::default(), 0);
    loop {
        match definition.resume() {
            Defining::Slice => {}
            Defining::Asked(request) => definition.answer(files.answer_request(&request)),
            Defining::Done(done) => return done.map(|defined| (*defined.pipeline).clone()),
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
