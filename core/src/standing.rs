//! How a ref stands: which of its jobs are broken, since which of its runs, and what was the last that was well.
//!
//! Reads runs, decides nothing: who broke it is the reader's to say, who sees the commits between [`Red::last_green`] and
//! [`Red::since`].
//!
//! What a run says of a job is its *verdict*. Green: it completed, or it failed and was allowed to. Red: it failed. None: it
//! was skipped, aborted, never ended, or is not there; such a run is passed over, so that a job that is not reached any more
//! because its input is broken stays as it was. An aborted run counts by those of its jobs that ended before it did. Runs that
//! wait, go on or were superseded say nothing but that there was a push.
//!
//! Of a run as a whole: it is red if it failed without a failed job (the pipeline is no pipeline, the record cannot be
//! written, its executor died), once for each kind; green if it completed, or failed by a job; an aborted one has no verdict,
//! nor has one that is red by another kind.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::JobId;
use crate::rows::{JobRow, JobState, RunRow, RunState};
use crate::wire::FailureKind;

/// What is looked at of a run of the ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its state.
    pub state: RunState,
    /// Why it failed.
    pub failure_kind: Option<FailureKind>,
    /// Its commit.
    pub sha: Option<String>,
    /// Its jobs, in the order of its pipeline; none where the pipeline did not compile or nothing has begun.
    pub jobs: Vec<PastJob>,
}

/// What is looked at of a job of such a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastJob {
    /// Its id, once in its run.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Whether its failure was allowed.
    pub allowed: bool,
    /// Whether it passed on a later attempt.
    pub flaky: bool,
}

impl PastRun {
    /// Of a run's rows; its jobs in the order of its pipeline.
    pub fn new(run: &RunRow, jobs: &[JobRow]) -> PastRun {
        let jobs = jobs.iter().map(|job| PastJob {
            id: job.job_id.clone(),
            state: job.state,
            allowed: job.allowed,
            flaky: job.flaky,
        });
        PastRun { state: run.state, failure_kind: run.failure_kind, sha: run.sha.clone(), jobs: jobs.collect() }
    }

    /// Whether it is over and had its turn.
    fn has_ended(&self) -> bool {
        self.state.had_its_turn()
    }

    /// Why it failed, if no job did.
    fn failed_by_itself(&self) -> Option<Option<FailureKind>> {
        let has_red_job = self.jobs.iter().any(|job| job.verdict() == Some(Verdict::Red));
        (self.state == RunState::Failed && !has_red_job).then_some(self.failure_kind)
    }

    /// What it says of failures by itself of this kind.
    fn verdict(&self, kind: Option<FailureKind>) -> Option<Verdict> {
        match (self.state, self.failed_by_itself()) {
            (RunState::Complete, _) | (RunState::Failed, None) => Some(Verdict::Green),
            (RunState::Failed, Some(own)) if own == kind => Some(Verdict::Red),
            (RunState::Failed | RunState::Aborted, _) => None,
            (RunState::Pending | RunState::Active | RunState::Superseded, _) => None,
        }
    }
}

impl PastJob {
    fn verdict(&self) -> Option<Verdict> {
        match self.state {
            JobState::Complete => Some(Verdict::Green),
            JobState::Failed if self.allowed => Some(Verdict::Green),
            JobState::Failed => Some(Verdict::Red),
            JobState::Pending | JobState::Active | JobState::Skipped | JobState::Aborted => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Green,
    Red,
}

/// How a ref stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// State of its newest run that has ended and was not superseded: complete, failed or aborted.
    pub state: Option<RunState>,
    /// What is broken: its jobs in the order of the newest run that lists any, then the run as a whole.
    pub red: Vec<Red>,
    /// The jobs, in the same order, that in their newest verdict passed on a later attempt only.
    pub flaky: Vec<JobId>,
}

/// Something that is broken. Indices are into the runs that [`standing`] was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Red {
    /// What.
    pub what: What,
    /// The run that broke it, as far as the list tells: the oldest of the failures that nothing green interrupts.
    pub since: usize,
    /// How many commits came after that of `since`: other ones, each once, of runs that are newer, whatever became of them.
    pub pushes_ago: usize,
    /// The newest run before `since` in which it was well. `None`: the list ended before there was one, and it may be broken
    /// for longer than `since`.
    pub last_green: Option<usize>,
}

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A job.
    Job(JobId),
    /// The run, without any job that failed; with its kind of failure.
    Run(Option<FailureKind>),
}

/// How a ref stands by its newest runs: `runs` has them newest first, of whatever state, a retry of an older commit included:
/// what ran last counts first.
///
/// A job that the newest run with jobs does not list was removed, and is not broken any more.
pub fn standing(runs: &[PastRun]) -> Standing {
    let ended = || runs.iter().enumerate().filter(|(_, run)| run.has_ended());
    let Some((_, newest)) = ended().next() else { return Standing::default() };
    let listed = ended().find(|(_, run)| !run.jobs.is_empty()).map_or(&[][..], |(_, run)| &run.jobs);
    let mut by_job: BTreeMap<&JobId, Series> = listed.iter().map(|job| (&job.id, Series::default())).collect();
    let mut flaky_jobs = BTreeSet::new();
    for (index, run) in ended() {
        for job in &run.jobs {
            if let (Some(verdict), Some(series)) = (job.verdict(), by_job.get_mut(&job.id)) {
                if job.flaky && verdict == Verdict::Green && series.is_new() {
                    flaky_jobs.insert(&job.id);
                }
                series.take(index, verdict);
            }
        }
    }
    let mut red: Vec<Red> =
        listed.iter().filter_map(|job| by_job.remove(&job.id)?.red(What::Job(job.id.clone()), runs)).collect();
    let failure = ended().find(|(_, run)| run.state != RunState::Aborted).and_then(|(_, run)| run.failed_by_itself());
    if let Some(kind) = failure {
        let mut series = Series::default();
        for (index, run) in ended() {
            run.verdict(kind).into_iter().for_each(|verdict| series.take(index, verdict));
        }
        red.extend(series.red(What::Run(kind), runs));
    }
    let flaky = listed.iter().filter(|job| flaky_jobs.remove(&job.id)).map(|job| job.id.clone()).collect();
    Standing { state: Some(newest.state), red, flaky }
}

/// The failures of one thing that nothing green interrupts, from the newest verdict on.
#[derive(Debug, Default)]
struct Series {
    /// The oldest failure yet.
    since: Option<usize>,
    /// The first green one met; nothing after it matters.
    green: Option<usize>,
}

impl Series {
    fn is_new(&self) -> bool {
        self.since.is_none() && self.green.is_none()
    }

    /// Takes the next older verdict.
    fn take(&mut self, index: usize, verdict: Verdict) {
        match verdict {
            _ if self.green.is_some() => {}
            Verdict::Green => self.green = Some(index),
            Verdict::Red => self.since = Some(index),
        }
    }

    fn red(self, what: What, runs: &[PastRun]) -> Option<Red> {
        let since = self.since?;
        let broken_by = runs.get(since).and_then(|run| run.sha.as_deref());
        let newer: BTreeSet<&str> = runs
            .iter()
            .take(since)
            .filter_map(|run| run.sha.as_deref())
            .filter(|sha| Some(*sha) != broken_by)
            .collect();
        Some(Red { what, since, pushes_ago: newer.len(), last_green: self.green })
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen};

    use super::*;

    /// `state sha job=verdict ...`: a run in one line. Verdicts: `ok`, `flaky`, `bad`, `allowed`, `skip`, `abort`, `wait`.
    fn run(line: &str) -> PastRun {
        let mut words = line.split_whitespace();
        let state = words.next().unwrap();
        let (state, kind) =
            state.split_once(':').map_or((state, None), |(state, kind)| (state, FailureKind::parse(kind)));
        let state = RunState::parse(state).unwrap();
        let sha = words.next().filter(|sha| *sha != "-").map(str::to_owned);
        let jobs = words.map(|word| {
            let (id, verdict) = word.split_once('=').unwrap();
            let state = match verdict {
                "ok" | "flaky" => JobState::Complete,
                "bad" | "allowed" => JobState::Failed,
                "skip" => JobState::Skipped,
                "abort" => JobState::Aborted,
                "wait" => JobState::Pending,
                _ => panic!("{verdict}"),
            };
            PastJob { id: JobId::from_record(id), state, allowed: verdict == "allowed", flaky: verdict == "flaky" }
        });
        let jobs = jobs.collect();
        PastRun { state, failure_kind: kind, sha, jobs }
    }

    fn shown(standing: &Standing) -> String {
        let mut text = standing.state.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
        for red in &standing.red {
            let what = match &red.what {
                What::Job(id) => id.to_string(),
                What::Run(kind) => kind.map_or_else(|| "run".to_owned(), |kind| format!("run:{kind}")),
            };
            let green = red.last_green.map_or_else(|| "?".to_owned(), |green| green.to_string());
            text += &format!("; {what} since {} ({} ago) after {green}", red.since, red.pushes_ago);
        }
        for job in &standing.flaky {
            text += &format!("; {job} flaky");
        }
        text
    }

    #[test]
    fn a_ref_stands_as_its_newest_verdicts_say() {
        for (what, runs, expected) in [
            ("nothing ever ran", &[][..], "unknown"),
            ("nothing has ended", &["active b test=bad", "pending c", "superseded a"], "unknown"),
            ("all is well", &["complete b test=ok", "failed:job a test=bad"], "complete"),
            (
                "the newest push broke it",
                &["failed:job b test=bad", "complete a test=ok"],
                "failed; test since 0 (0 ago) after 1",
            ),
            (
                "broken for three pushes, one of which never ran",
                &["active d", "superseded c", "failed:job b test=bad", "failed:job a test=bad", "complete z test=ok"],
                "failed; test since 3 (3 ago) after 4",
            ),
            (
                "a series ends at the first green one",
                &["failed b test=bad", "complete a test=ok", "failed z test=bad"],
                "failed; test since 0 (0 ago) after 1",
            ),
            (
                "the list ends before a green one",
                &["failed b test=bad", "failed a test=bad"],
                "failed; test since 1 (1 ago) after ?",
            ),
            ("a retry of the same commit passed", &["complete a test=ok", "failed a test=bad"], "complete"),
            (
                "a retry of the same commit failed again",
                &["failed a test=bad", "failed a test=bad", "complete z test=ok"],
                "failed; test since 1 (0 ago) after 2",
            ),
            (
                "the commit of the failure, retried after another push",
                &["failed a test=bad", "failed b test=bad", "failed a test=bad", "complete z test=ok"],
                "failed; test since 2 (1 ago) after 3",
            ),
            (
                "skipped since its input is broken: still red",
                &["failed c build=bad test=skip", "failed b build=ok test=bad", "complete a build=ok test=ok"],
                "failed; build since 0 (0 ago) after 1; test since 1 (1 ago) after 2",
            ),
            (
                "not selected in the newest run: as it was",
                &["complete c lint=ok test=skip", "failed b lint=ok test=bad", "complete a lint=ok test=ok"],
                "complete; test since 1 (1 ago) after 2",
            ),
            ("removed from the pipeline", &["complete b lint=ok", "failed a test=bad lint=ok"], "complete"),
            (
                "a pipeline that does not compile removes no job",
                &["failed:pipeline c", "failed:job b test=bad", "complete a test=ok"],
                "failed; test since 1 (1 ago) after 2; run:pipeline since 0 (0 ago) after 1",
            ),
            ("an allowed failure is none", &["complete b test=allowed", "failed a test=bad"], "complete"),
            (
                "an aborted run counts by what had ended",
                &["aborted c build=bad test=abort", "failed b build=ok test=bad", "complete a build=ok test=ok"],
                "aborted; build since 0 (0 ago) after 1; test since 1 (1 ago) after 2",
            ),
            ("aborted before anything", &["aborted c", "complete b test=ok"], "aborted"),
            (
                "a job that fails beside an orphaned run",
                &["failed:orphaned b test=bad", "complete a test=ok"],
                "failed; test since 0 (0 ago) after 1",
            ),
            (
                "an orphaned run",
                &["failed:orphaned c test=abort", "failed:pipeline b", "failed:orphaned a", "complete z test=ok"],
                "failed; run:orphaned since 2 (2 ago) after 3",
            ),
            ("failed, nobody knows why", &["failed b", "complete a test=ok"], "failed; run since 0 (0 ago) after 1"),
            (
                "an aborted run hides no failure",
                &["aborted c", "failed:pipeline b", "aborted -", "failed:pipeline a"],
                "aborted; run:pipeline since 3 (2 ago) after ?",
            ),
            (
                "runs without a commit",
                &["failed - test=bad", "failed - test=bad"],
                "failed; test since 1 (0 ago) after ?",
            ),
            (
                "flaky in its newest verdict only",
                &["active d a=bad", "failed c a=skip b=ok c=bad", "complete b a=flaky b=flaky c=flaky"],
                "failed; c since 1 (1 ago) after 2; a flaky",
            ),
            (
                "in the order of the newest run",
                &["failed b z=bad a=bad m=bad", "failed a a=bad m=bad z=bad"],
                "failed; z since 1 (1 ago) after ?; a since 1 (1 ago) after ?; m since 1 (1 ago) after ?",
            ),
            ("a damaged record lists a job twice", &["failed b a=bad a=bad"], "failed; a since 0 (0 ago) after ?"),
        ] {
            let runs: Vec<PastRun> = runs.iter().map(|line| run(line)).collect();
            assert_eq!(shown(&standing(&runs)), expected, "{what}");
        }
    }

    #[derive(Debug, Clone)]
    struct Runs(Vec<PastRun>);

    impl Arbitrary for Runs {
        fn arbitrary(g: &mut Gen) -> Runs {
            let count = usize::arbitrary(g) % 9;
            let one = |g: &mut Gen| {
                let ids: Vec<&str> = ["a", "b", "c"].into_iter().filter(|_| bool::arbitrary(g)).collect();
                let jobs = ids.into_iter().map(|id| PastJob {
                    id: JobId::from_record(id),
                    state: *g.choose(JobState::ALL).unwrap(),
                    allowed: u8::arbitrary(g).is_multiple_of(4),
                    flaky: bool::arbitrary(g),
                });
                let mut jobs: Vec<PastJob> = jobs.collect();
                if bool::arbitrary(g) {
                    jobs.reverse();
                }
                PastRun {
                    state: *g.choose(RunState::ALL).unwrap(),
                    failure_kind: g
                        .choose(&[None, Some(FailureKind::Job), Some(FailureKind::Pipeline)])
                        .copied()
                        .unwrap(),
                    sha: g.choose(&[None, Some("x"), Some("y"), Some("z")]).unwrap().map(str::to_owned),
                    jobs,
                }
            };
            Runs((0..count).map(|_| one(g)).collect())
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Runs>> {
            let runs = self.0.clone();
            Box::new((0..runs.len()).map(move |at| {
                let mut fewer = runs.clone();
                fewer.remove(at);
                Runs(fewer)
            }))
        }
    }

    /// Looks every thing up on its own: the list of its verdicts (index, whether it was well), newest first, then what follows.
    fn model(runs: &[PastRun]) -> Standing {
        let ended: Vec<(usize, &PastRun)> = runs
            .iter()
            .enumerate()
            .filter(|(_, run)| !matches!(run.state, RunState::Pending | RunState::Active | RunState::Superseded))
            .collect();
        let of_list = |what: What, verdicts: Vec<(usize, bool)>| {
            let failures = verdicts.iter().take_while(|(_, well)| !well).count();
            let (since, _) = *verdicts[..failures].last()?;
            let mut shas: Vec<&String> = runs[..since].iter().filter_map(|run| run.sha.as_ref()).collect();
            shas.sort();
            shas.dedup();
            shas.retain(|sha| runs[since].sha.as_ref() != Some(*sha));
            Some(Red {
                what,
                since,
                pushes_ago: shas.len(),
                last_green: verdicts.get(failures).map(|(green, _)| *green),
            })
        };
        let is_bad = |job: &PastJob| job.state == JobState::Failed && !job.allowed;
        let mut standing = Standing { state: ended.first().map(|(_, run)| run.state), ..Standing::default() };
        let listed = ended.iter().find(|(_, run)| !run.jobs.is_empty()).map_or(Vec::new(), |(_, run)| run.jobs.clone());
        for PastJob { id, .. } in listed {
            let mut told: Vec<(usize, &PastJob)> = Vec::new();
            for (index, run) in &ended {
                told.extend(run.jobs.iter().filter(|job| job.id == id).map(|job| (*index, job)));
            }
            told.retain(|(_, job)| matches!(job.state, JobState::Complete | JobState::Failed));
            if told.first().is_some_and(|(_, job)| job.flaky && !is_bad(job)) {
                standing.flaky.push(id.clone());
            }
            standing
                .red
                .extend(of_list(What::Job(id), told.iter().map(|(index, job)| (*index, !is_bad(job))).collect()));
        }
        let own = |run: &PastRun| run.state == RunState::Failed && !run.jobs.iter().any(is_bad);
        let tried: Vec<(usize, &PastRun)> =
            ended.into_iter().filter(|(_, run)| run.state != RunState::Aborted).collect();
        if let Some((_, newest)) = tried.first().filter(|(_, run)| own(run)) {
            let kind = newest.failure_kind;
            let of_kind = tried.iter().filter(|(_, run)| !own(run) || run.failure_kind == kind);
            standing.red.extend(of_list(What::Run(kind), of_kind.map(|(index, run)| (*index, !own(run))).collect()));
        }
        standing
    }

    #[test]
    fn a_ref_stands_as_the_model_says() {
        fn property(runs: Runs) -> bool {
            standing(&runs.0) == model(&runs.0)
        }
        quickcheck::QuickCheck::new().tests(3000).quickcheck(property as fn(Runs) -> bool);
    }
}
