//! The graph of a checked pipeline: who needs whom, in which order, and what a request selects.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::JobDefinition;
use super::diagnostic::{Diagnostic, quoted};
use super::suggest::{did_you_mean, list};
use crate::ids::JobId;

/// A checked pipeline, made by [`super::check`]. Jobs stand in declaration order; indices into [`Pipeline::jobs`] name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// In declaration order.
    pub jobs: Vec<JobDefinition>,
    /// `ci.image`, where the pipeline names one.
    pub image: Option<String>,
    /// Ids to indices.
    by_id: BTreeMap<JobId, usize>,
    /// For each job the jobs among its inputs, in the order written.
    needs: Vec<Vec<usize>>,
    /// For each job those that have it among their inputs, in declaration order.
    feeds: Vec<Vec<usize>>,
}

impl Pipeline {
    /// Joins jobs that passed all checks.
    pub(super) fn new(jobs: Vec<JobDefinition>, image: Option<String>) -> Pipeline {
        let by_id: BTreeMap<JobId, usize> =
            jobs.iter().enumerate().map(|(index, job)| (job.id.clone(), index)).collect();
        let names: BTreeMap<&str, usize> = by_id.iter().map(|(id, index)| (id.as_str(), *index)).collect();
        let needs: Vec<Vec<usize>> = jobs
            .iter()
            .map(|job| job.inputs.iter().filter_map(|input| names.get(input.as_str()).copied()).collect())
            .collect();
        let mut feeds = vec![Vec::new(); jobs.len()];
        for (index, inputs) in needs.iter().enumerate() {
            for input in inputs {
                if let Some(row) = feeds.get_mut(*input) {
                    row.push(index);
                }
            }
        }
        Pipeline { jobs, image, by_id, needs, feeds }
    }

    /// Index of a job.
    pub fn index(&self, id: &str) -> Option<usize> {
        self.by_id.get(&JobId::from_record(id)).copied()
    }

    /// For each job, the indices of the jobs among its inputs, in the order written.
    pub fn job_inputs(&self, index: usize) -> Vec<usize> {
        self.needs.get(index).cloned().unwrap_or_default()
    }

    /// The jobs that have this one among their inputs, in declaration order.
    pub fn dependents(&self, index: usize) -> &[usize] {
        self.feeds.get(index).map_or(&[], Vec::as_slice)
    }

    /// Whether a job runs only when it is asked for: `quire/manual` is among its own inputs and `quire/push` is not.
    pub fn is_manual(&self, index: usize) -> bool {
        let has = |source: &str| self.jobs.get(index).is_some_and(|job| job.inputs.iter().any(|input| input == source));
        has("quire/manual") && !has("quire/push")
    }

    /// All jobs, each after its inputs; of those that could come next, the one declared first.
    pub fn order(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<usize> =
            missing.iter().enumerate().filter(|(_, count)| **count == 0).map(|(index, _)| index).collect();
        let mut order = Vec::new();
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for dependent in self.dependents(index) {
                if let Some(count) = missing.get_mut(*dependent) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(*dependent);
                    }
                }
            }
        }
        order
    }

    /// The jobs to run: those asked for and all that they need; without a request all that are not manual and do not depend on
    /// a manual one. An unknown name is an error that lists what there is.
    pub fn select(&self, asked: &[String]) -> Result<BTreeSet<usize>, Diagnostic> {
        if asked.is_empty() {
            let manual = (0..self.jobs.len()).filter(|index| self.is_manual(*index)).collect();
            let held_back = self.downstream(&manual);
            return Ok((0..self.jobs.len()).filter(|index| !held_back.contains(index)).collect());
        }
        let unknown: BTreeSet<&str> =
            asked.iter().map(String::as_str).filter(|name| self.index(name).is_none()).collect();
        if let Some(first) = unknown.first() {
            let names = || self.jobs.iter().map(|job| job.id.as_str());
            let message = match unknown.len() {
                1 => format!("there is no job {}", quoted(first)),
                _ => format!(
                    "there are no jobs {}",
                    unknown.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            return Err(Diagnostic::new(message).help(format!(
                "{}jobs: {}",
                did_you_mean(first, names()),
                list(names())
            )));
        }
        let asked = asked.iter().filter_map(|name| self.index(name)).collect();
        Ok(closure(&asked, &self.needs))
    }

    /// Everything downstream of these jobs, themselves included.
    pub fn downstream(&self, of: &BTreeSet<usize>) -> BTreeSet<usize> {
        closure(of, &self.feeds)
    }

    /// Everything that these jobs need, themselves included.
    pub fn upstream(&self, of: &BTreeSet<usize>) -> BTreeSet<usize> {
        closure(of, &self.needs)
    }

    /// The ids in declaration order.
    pub fn ids(&self) -> Vec<JobId> {
        self.jobs.iter().map(|job| job.id.clone()).collect()
    }
}

fn closure(of: &BTreeSet<usize>, edges: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<usize> = of.iter().copied().filter(|index| *index < edges.len()).collect();
    while let Some(index) = waiting.pop() {
        if reached.insert(index) {
            waiting.extend(edges.get(index).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{JobOptions, Place, RawJob, check};

    fn pipeline(jobs: &[(&str, &[&str])]) -> Pipeline {
        let raw = jobs.iter().map(|(id, inputs)| RawJob {
            id: (*id).into(),
            inputs: (!inputs.is_empty()).then(|| inputs.iter().map(|input| (*input).to_owned()).collect()),
            options: JobOptions::default(),
            place: Place::default(),
        });
        check(raw.collect(), None, Vec::new(), &BTreeMap::new()).expect("a sound pipeline")
    }

    fn names(pipeline: &Pipeline, indices: impl IntoIterator<Item = usize>) -> String {
        indices.into_iter().map(|index| pipeline.jobs[index].id.to_string()).collect::<Vec<_>>().join(" ")
    }

    fn sample() -> Pipeline {
        pipeline(&[
            ("announce", &["deploy"]),
            ("test", &["build"]),
            ("lint", &[]),
            ("build", &[]),
            ("deploy", &["test", "lint", "quire/manual"]),
            ("nightly", &["quire/manual", "quire/push"]),
            ("cleanup", &["quire/manual"]),
        ])
    }

    #[test]
    fn order_is_topological_and_declared_first() {
        let pipeline = sample();
        assert_eq!(names(&pipeline, pipeline.order()), "lint build test deploy announce nightly cleanup");
    }

    #[test]
    fn selection() {
        let pipeline = sample();
        for (asked, expected) in [
            (&[][..], "test lint build nightly"),
            (&["test"], "test build"),
            (&["cleanup"], "cleanup"),
            (&["announce", "announce"], "announce test lint build deploy"),
            (&["lint", "cleanup"], "lint cleanup"),
        ] {
            let asked: Vec<String> = asked.iter().map(|id| (*id).to_owned()).collect();
            let selected = pipeline.select(&asked).expect("they exist");
            assert_eq!(names(&pipeline, selected), expected, "{asked:?}");
        }
    }

    #[test]
    fn unknown_requests_list_what_there_is() {
        let pipeline = sample();
        let wrong = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|id| (*id).to_owned()).collect();
            pipeline.select(&asked).expect_err("unknown").to_string()
        };
        assert_eq!(
            wrong(&["tset"]),
            "error: there is no job \"tset\"\n   = help: did you mean \"test\"? jobs: announce, test, lint, build, deploy, nightly, cleanup"
        );
        assert!(
            wrong(&["test", "z", "y"]).starts_with("error: there are no jobs \"y\", \"z\"\n   = help: jobs: announce")
        );
    }

    #[test]
    fn neighbours() {
        let pipeline = sample();
        let deploy = pipeline.index("deploy").expect("it is there");
        assert_eq!(names(&pipeline, pipeline.job_inputs(deploy)), "test lint");
        assert_eq!(names(&pipeline, pipeline.dependents(deploy).iter().copied()), "announce");
        let build = BTreeSet::from([pipeline.index("build").expect("it is there")]);
        assert_eq!(names(&pipeline, pipeline.downstream(&build)), "announce test build deploy");
        assert_eq!(names(&pipeline, pipeline.upstream(&BTreeSet::from([deploy]))), "test lint build deploy");
        assert_eq!(pipeline.index("nope"), None);
        assert!(pipeline.job_inputs(99).is_empty() && pipeline.dependents(99).is_empty() && !pipeline.is_manual(99));
        assert!(pipeline.downstream(&BTreeSet::from([99])).is_empty());
    }

    #[test]
    fn a_chain_of_thousands_is_no_deep_recursion() {
        let ids: Vec<String> = (0..20_000).map(|n| format!("j{n}")).collect();
        let inputs: Vec<[&str; 1]> = ids.iter().map(|id| [id.as_str()]).collect();
        let mut jobs: Vec<(&str, &[&str])> = vec![("j0", &[])];
        jobs.extend(ids.iter().skip(1).zip(&inputs).map(|(id, input)| (id.as_str(), &input[..])));
        let pipeline = pipeline(&jobs);
        assert_eq!(pipeline.order(), (0..20_000).collect::<Vec<_>>());
        assert_eq!(pipeline.downstream(&BTreeSet::from([0])).len(), 20_000);
    }
}
