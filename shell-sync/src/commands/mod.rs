//! One module a verb of the command line.

pub mod completions;
pub mod doctor;
pub mod events;
pub mod graph;
pub mod history;
pub mod init;
pub mod log;
pub mod ls;
pub mod run;
pub mod show;
pub mod validate;

use quire_core::pipeline::{Diagnostic, Pipeline};

use crate::cli::{CliError, suggest};
use crate::workspace::Workspace;

/// Reads the workspace's pipeline and runs its top level.
pub fn load_pipeline(workspace: &Workspace) -> Result<Pipeline, Vec<Diagnostic>> {
    let _ = workspace;
    Err(vec![Diagnostic {
        message: "loading a pipeline is not wired up yet".to_owned(),
        place: None,
        help: None,
        excerpt: None,
    }])
}

/// Checks job names of the command line against the pipeline: the error lists what there is and says what was probably meant.
pub fn check_job_names(names: &[String], pipeline: &Pipeline) -> Result<(), CliError> {
    let known: Vec<&str> = pipeline.jobs.iter().map(|job| job.id.as_str()).collect();
    let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let there_is = match known.as_slice() {
        [] => "the pipeline has no jobs".to_owned(),
        known => format!("the jobs are: {}", known.join(", ")),
    };
    let help = match suggest(unknown, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}? {there_is}"),
        None => there_is,
    };
    Err(CliError::not_found(format!("there is no job {unknown:?}")).help(help))
}

#[cfg(test)]
pub(crate) mod tests {
    use quire_core::ids::JobId;
    use quire_core::pipeline::{JobDefinition, JobOptions, Place};

    use super::*;

    /// A pipeline of jobs with their inputs and descs.
    pub(crate) fn pipeline(jobs: &[(&str, &[&str], Option<&str>)]) -> Pipeline {
        let jobs = jobs.iter().zip(1..).map(|((id, inputs, desc), line)| JobDefinition {
            id: JobId::new(id).unwrap(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            options: JobOptions { desc: desc.map(str::to_owned), ..JobOptions::default() },
            place: Place { file: ".quire/ci.lua".to_owned(), line, column: None },
        });
        Pipeline { jobs: jobs.collect(), image: None }
    }

    #[test]
    fn unknown_jobs_are_told_with_what_there_is() {
        let pipeline = pipeline(&[("build", &["quire/push"], None), ("test", &["build"], None)]);
        assert_eq!(check_job_names(&["test".to_owned()], &pipeline), Ok(()));
        let error = check_job_names(&["test".to_owned(), "biuld".to_owned()], &pipeline).unwrap_err();
        assert_eq!(
            error.render(),
            "error: there is no job \"biuld\"\nhelp: did you mean build? the jobs are: build, test\n"
        );
    }
}
