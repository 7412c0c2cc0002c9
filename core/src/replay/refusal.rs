//! Why a run may not be resumed here and now: replay is offered only where the workspace is the one which the record left.

use std::collections::BTreeSet;

use super::Recorded;
use super::plan::{Extent, Replay, has_log};
use super::recorded::RecordedEnd;
use crate::engine::Config;
use crate::ids::{JobId, ShId};
use crate::redact::SecretSet;
use crate::wire::{RunOutcome, SkipReason};

/// The state of things where the run would be resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Here {
    /// HEAD.
    pub sha: Option<String>,
    /// Of the workspace, as `run_finished` has it.
    pub fingerprint: Option<String>,
    /// A file of the workspace that was changed after the record's last write. Matters where the record has no end.
    pub newer: Option<String>,
    /// The machine was started again since the record was begun: nothing tells whether it went down in peace.
    pub has_rebooted: bool,
    /// The run worked in a checkout of its own, not in this workspace.
    pub is_elsewhere: bool,
}

/// Why a run may not be resumed. The message goes on from "run 41 cannot be resumed: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no beginning.
    #[error("its record has no beginning")]
    NotBegun,
    /// Its pipeline did not compile.
    #[error("its pipeline did not compile, so nothing of it ran")]
    NoJobs,
    /// Nothing is left to do.
    #[error("it is complete, there is nothing left to run")]
    Complete,
    /// An argument or a parameter was recorded with a mask in it.
    #[error("{0} held a secret, which the record does not have: give it again")]
    Masked(String),
    /// Other arguments are given.
    #[error("it was given other arguments: {0}")]
    Arguments(String),
    /// Another parameter is given.
    #[error("it was given another value of the parameter {0}")]
    Parameter(String),
    /// The pipeline is not the same.
    #[error("the pipeline has changed since")]
    Pipeline,
    /// It ran elsewhere.
    #[error("it ran in a checkout of its own, not in this work tree")]
    Elsewhere,
    /// Nothing tells whether the workspace is the same.
    #[error("nothing tells whether the workspace is as it was: {0}")]
    Unknown(&'static str),
    /// HEAD moved.
    #[error("HEAD was {was} and is {is}")]
    Head {
        /// Abbreviated.
        was: String,
        /// Abbreviated.
        is: String,
    },
    /// Files changed.
    #[error("files of the work tree have changed since it began (those that git does not ignore count)")]
    WorkTree,
    /// A file is newer than the record.
    #[error("{0} was changed after its last event")]
    Newer(String),
    /// The machine went down under it.
    #[error("the machine was started again since, and what its commands wrote last may be lost")]
    Rebooted,
}

impl Refusal {
    /// Whether it stands even where people insist.
    pub fn is_final(&self) -> bool {
        matches!(self, Refusal::NotBegun | Refusal::NoJobs | Refusal::Complete | Refusal::Masked(_))
    }

    /// Whether the scripts themselves may do something else than they did.
    fn is_about_scripts(&self) -> bool {
        matches!(self, Refusal::Pipeline | Refusal::Arguments(_) | Refusal::Parameter(_))
    }
}

impl Recorded {
    /// Whether the run ended by itself, so that [`Here::newer`] does not matter.
    pub fn has_ended(&self) -> bool {
        self.finished.is_some()
    }

    /// Every reason against a resume with this configuration, whose arguments and parameters are those asked for, none for
    /// the recorded ones. A reason that is final comes first.
    pub fn refusals(&self, config: &Config, here: &Here) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let Some(started) = &self.started else { return vec![Refusal::NotBegun] };
        if started.jobs.is_empty() {
            return vec![Refusal::NoJobs];
        }
        if self.finished.as_ref().is_some_and(|end| end.outcome == RunOutcome::Complete) {
            return vec![Refusal::Complete];
        }
        if config.args.is_empty() && started.args.iter().any(|arg| arg.contains(SecretSet::MASK)) {
            refusals.push(Refusal::Masked("an argument".to_owned()));
        }
        let is_missing =
            |(name, value): &(&String, &String)| value.contains(SecretSet::MASK) && !config.params.contains_key(*name);
        if let Some((name, _)) = started.params.iter().find(is_missing) {
            refusals.push(Refusal::Masked(format!("the parameter {name}")));
        }
        if started.pipeline.as_ref() != Some(&config.source.digest()) {
            refusals.push(Refusal::Pipeline);
        }
        let is_same = |was: &str, is: &str| was == is || was.contains(SecretSet::MASK);
        let has_same_args = config.args.len() == started.args.len()
            && started.args.iter().zip(&config.args).all(|(was, is)| is_same(was, is));
        if !config.args.is_empty() && !has_same_args {
            let was = if started.args.is_empty() { "none".to_owned() } else { started.args.join(" ") };
            refusals.push(Refusal::Arguments(was));
        }
        let differs = |(name, is): &(&String, &String)| !started.params.get(*name).is_some_and(|was| is_same(was, is));
        refusals.extend(config.params.iter().find(differs).map(|(name, _)| Refusal::Parameter(name.clone())));
        refusals.extend(self.workspace_refusal(here));
        refusals
    }

    fn workspace_refusal(&self, here: &Here) -> Option<Refusal> {
        if here.is_elsewhere {
            return Some(Refusal::Elsewhere);
        }
        let was = self.started.as_ref().and_then(|started| started.sha.as_ref());
        let head = match (was, &here.sha) {
            (Some(was), Some(is)) if was != is => Some(Refusal::Head { was: short(was), is: short(is) }),
            (Some(_), Some(_)) => None,
            _ => return Some(Refusal::Unknown("it is no git work tree, or has no commit")),
        };
        let rebooted = here.has_rebooted.then_some(Refusal::Rebooted);
        let Some(finished) = &self.finished else {
            let newer = || here.newer.clone().map(Refusal::Newer);
            return head.or_else(newer).or(rebooted);
        };
        let changed = match (&finished.fingerprint, &here.fingerprint) {
            (Some(was), Some(is)) if was == is => None,
            (Some(_), Some(_)) => Some(head.unwrap_or(Refusal::WorkTree)),
            _ => Some(Refusal::Unknown("its fingerprint is missing")),
        };
        changed.or(rebooted)
    }

    /// Every command whose log an answer would be taken from.
    pub fn logs(&self) -> impl Iterator<Item = ShId> + '_ {
        self.jobs.iter().flat_map(|(job, recorded)| {
            let logged = recorded.commands.iter().filter(|(_, sh)| has_log(sh));
            logged.map(|(n, _)| ShId { job: job.clone(), n: *n })
        })
    }

    /// Makes the configuration that of a run which goes on with this one: its seed, and where none are asked for its
    /// arguments, parameters and selection. `refusals` are those that were overruled; `lost` are commands whose log is not there.
    pub fn resume(self, extent: Extent, refusals: &[Refusal], lost: BTreeSet<ShId>, config: &mut Config) {
        let Recorded { started: Some(started), jobs, .. } = self else { return };
        config.seed = started.seed.unwrap_or(config.seed);
        if config.args.is_empty() {
            config.args = started.args;
        }
        for (name, value) in started.params {
            config.params.entry(name).or_insert(value);
        }
        if config.select.is_empty() {
            let is_left_out = |id: &JobId| {
                let end = jobs.get(id).and_then(|job| job.end.as_ref());
                matches!(end, Some(RecordedEnd::Skipped(SkipReason::NotSelected)))
            };
            let (out, selected): (Vec<_>, Vec<_>) = started.jobs.into_iter().partition(|job| is_left_out(&job.id));
            if !out.is_empty() {
                config.select = selected.into_iter().map(|job| job.id.as_str().to_owned()).collect();
            }
        }
        let is_same = !refusals.iter().any(Refusal::is_about_scripts);
        config.replay = Some(Replay { run_id: started.run_id, jobs, extent, is_same, lost });
    }
}

fn short(sha: &str) -> String {
    sha.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::Source;
    use crate::ids::RunId;
    use crate::replay::recorded::tests::recorded;

    fn config() -> Config {
        let source = Source { file: ".quire/ci.lua".into(), text: b"x".to_vec(), ..Source::default() };
        Config::new(RunId::new("new"), source)
    }

    fn run(start: &str, end: &str) -> Recorded {
        let pipeline = config().source.digest();
        recorded(&format!(
            r#""type":"run_started","run_id":"old","version":"","executor":"host","sha":"aaaa","seed":5,"jobs":[{{"id":"a","inputs":[]}},{{"id":"b","inputs":[]}}],"pipeline":"{pipeline}"{start}
            "type":"job_skipped","job_id":"b","reason":"not_selected"
            {end}"#
        ))
    }

    const FAILED: &str = r#""type":"run_finished","outcome":"failed","fingerprint":"f""#;

    fn here() -> Here {
        Here { sha: Some("aaaa".into()), fingerprint: Some("f".into()), ..Here::default() }
    }

    #[test]
    fn an_unchanged_workspace_is_taken() {
        assert_eq!(run("", FAILED).refusals(&config(), &here()), []);
        assert_eq!(run("", "").refusals(&config(), &here()), []);
        let newer = Here { newer: Some("x".into()), ..here() };
        assert_eq!(run("", FAILED).refusals(&config(), &newer), []);
    }

    #[test]
    fn each_change_is_named() {
        let check = |run: &Recorded, config: &Config, here: &Here, expected: &str| {
            let refusals: Vec<_> = run.refusals(config, here).iter().map(ToString::to_string).collect();
            assert_eq!(refusals, [expected]);
        };
        let (failed, crashed) = (run("", FAILED), run("", ""));
        let with = |change: fn(&mut Here)| {
            let mut here = here();
            change(&mut here);
            here
        };
        let other = with(|here| here.fingerprint = Some("g".into()));
        check(&failed, &config(), &other, &Refusal::WorkTree.to_string());
        let moved = with(|here| (here.sha, here.fingerprint) = (Some("bbbb".into()), Some("g".into())));
        check(&failed, &config(), &moved, "HEAD was aaaa and is bbbb");
        check(&crashed, &config(), &moved, "HEAD was aaaa and is bbbb");
        check(
            &crashed,
            &config(),
            &with(|here| here.newer = Some("src/x".into())),
            "src/x was changed after its last event",
        );
        check(&crashed, &config(), &with(|here| here.has_rebooted = true), &Refusal::Rebooted.to_string());
        check(&failed, &config(), &with(|here| here.has_rebooted = true), &Refusal::Rebooted.to_string());
        check(&failed, &config(), &with(|here| here.is_elsewhere = true), &Refusal::Elsewhere.to_string());
        let no_git = with(|here| here.sha = None);
        check(
            &failed,
            &config(),
            &no_git,
            "nothing tells whether the workspace is as it was: it is no git work tree, or has no commit",
        );
        check(&run("", &FAILED.replace("failed", "complete")), &config(), &here(), &Refusal::Complete.to_string());
        let mut changed = config();
        changed.source.text = b"y".to_vec();
        check(&failed, &changed, &here(), "the pipeline has changed since");
        let args = Config { args: vec!["-v".into()], ..config() };
        check(&failed, &args, &here(), "it was given other arguments: none");
        let params = Config { params: BTreeMap::from([("a".into(), "1".into())]), ..config() };
        check(&failed, &params, &here(), "it was given another value of the parameter a");
        check(
            &run(r#","params":{"a":"x***"}"#, FAILED),
            &config(),
            &here(),
            "the parameter a held a secret, which the record does not have: give it again",
        );
        assert_eq!(run(r#","params":{"a":"x***"}"#, FAILED).refusals(&params, &here()), []);
        assert_eq!(Recorded::default().refusals(&config(), &here()), [Refusal::NotBegun]);
    }

    #[test]
    fn a_resumed_run_is_asked_what_the_first_was() {
        let mut config = config();
        run(r#","params":{"a":"1"},"args":["-v"]"#, FAILED).resume(Extent::Resume, &[], BTreeSet::new(), &mut config);
        assert_eq!((config.seed, config.args.join(" "), config.params["a"].as_str()), (5, "-v".to_owned(), "1"));
        assert_eq!(config.select, ["a"]);
        assert_eq!(config.replay.unwrap().run_id().as_str(), "old");
    }
}
