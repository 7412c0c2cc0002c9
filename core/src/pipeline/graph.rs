//! The graph of jobs: checked as a whole, ordered, drawn.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{JobDefinition, RawJob};
use super::diagnostic::Diagnostic;
use crate::ids::JobId;

/// A checked pipeline. Jobs stand in declaration order; indices into [`Pipeline::jobs`] name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// In declaration order.
    pub jobs: Vec<JobDefinition>,
    /// `ci.image`, where the pipeline names one.
    pub image: Option<String>,
}

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

/// Checks all jobs together: ids, duplicates, unknown inputs, empty inputs, cycles, jobs that nothing can start. `earlier` are
/// the diagnostics that the script already gave; all come back in one list, in order of place. `files` maps file to text, for
/// columns and excerpts.
pub fn check(
    _jobs: Vec<RawJob>,
    _image: Option<String>,
    _earlier: Vec<Diagnostic>,
    _files: &BTreeMap<String, String>,
) -> Result<Pipeline, Vec<Diagnostic>> {
    todo!()
}

impl Pipeline {
    /// Index of a job.
    pub fn index(&self, _id: &str) -> Option<usize> {
        todo!()
    }

    /// For each job, the indices of the jobs among its inputs, in the order written.
    pub fn job_inputs(&self, _index: usize) -> Vec<usize> {
        todo!()
    }

    /// Whether a job has the source `quire/manual` among its own inputs and nothing else starts it.
    pub fn is_manual(&self, _index: usize) -> bool {
        todo!()
    }

    /// The jobs to run: those asked for and all that they need; without a request all that are not manual and do not depend on
    /// a manual one. An unknown name is an error that lists what there is.
    pub fn select(&self, _asked: &[String]) -> Result<BTreeSet<usize>, Diagnostic> {
        todo!()
    }

    /// Everything downstream of these jobs, themselves included.
    pub fn downstream(&self, _of: &BTreeSet<usize>) -> BTreeSet<usize> {
        todo!()
    }

    /// Draws the graph, newline-terminated.
    pub fn draw(&self, _format: GraphFormat) -> String {
        todo!()
    }

    /// The ids in declaration order.
    pub fn ids(&self) -> Vec<JobId> {
        self.jobs.iter().map(|job| job.id.clone()).collect()
    }
}
