//! Runs as a table: a row a commit, a column a job, in the cells how the job went.

use std::collections::BTreeMap;

use quire_ci::git::Subject;
use quire_ci::store::RunRecord;
use quire_ci::ui::words;
use quire_core::rows::JobRow;

use super::told::{self, State, When};

/// Jobs that have a column; further ones are on the run's page.
const COLUMNS: usize = 40;
/// Further runs of a commit that are linked.
const ALSO: usize = 6;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) jobs: Vec<String>,
    pub(super) jobs_left_out: usize,
    pub(super) rows: Vec<Row>,
    pub(super) has_refs: bool,
}

/// A commit with its newest run.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) sha: Option<Sha>,
    pub(super) subject: Option<Subject>,
    pub(super) run: RunLink,
    pub(super) ref_name: Option<(String, String)>,
    pub(super) when: Option<When>,
    /// Older runs of the same commit.
    pub(super) also: Vec<RunLink>,
    pub(super) cells: Vec<Option<Cell>>,
}

/// A commit's id.
#[derive(Debug)]
pub(super) struct Sha {
    pub(super) full: String,
    pub(super) short: String,
    pub(super) href: String,
}

/// A run with its address.
#[derive(Debug)]
pub(super) struct RunLink {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) state: State,
}

/// How a job went.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) job: String,
    pub(super) state: State,
    pub(super) href: String,
}

impl Table {
    /// Of runs, newest first. `by_commit`: runs of one commit share a row. `has_refs`: rows tell their ref.
    pub(super) fn new(
        runs: &[(RunRecord, Vec<JobRow>)],
        subjects: &BTreeMap<String, Subject>,
        by_commit: bool,
        has_refs: bool,
        now_ms: i64,
    ) -> Table {
        let mut jobs: Vec<String> = Vec::new();
        for (_, of_run) in runs {
            for job in of_run {
                let name = job.job_id.as_str();
                if job.skip_reason.as_deref() != Some("not_selected") && !jobs.iter().any(|known| known == name) {
                    jobs.push(name.to_owned());
                }
            }
        }
        let jobs_left_out = jobs.len().saturating_sub(COLUMNS);
        jobs.truncate(COLUMNS);
        let mut rows: Vec<Row> = Vec::new();
        let mut place: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        for (record, of_run) in runs {
            let row = &record.row;
            let key = row.sha.as_deref().filter(|_| by_commit).map(|sha| (sha, row.ref_name.as_deref()));
            if let Some(known) = key.and_then(|key| place.get(&key)).and_then(|at| rows.get_mut(*at)) {
                if known.also.len() < ALSO {
                    known.also.push(RunLink::new(record));
                }
                continue;
            }
            if let Some(key) = key {
                place.insert(key, rows.len());
            }
            let cell = |name: &String| {
                let job = of_run.iter().find(|job| job.job_id.as_str() == name)?;
                Some(Cell {
                    job: name.clone(),
                    state: State::job_word(job.state, job.allowed, job.flaky),
                    href: format!("{}#job-{}", told::run_path(&row.run_id), told::part(name)),
                })
            };
            rows.push(Row {
                sha: row.sha.as_ref().map(|sha| Sha::new(sha)),
                subject: row.sha.as_ref().and_then(|sha| subjects.get(sha)).cloned(),
                run: RunLink::new(record),
                ref_name: row
                    .repo
                    .as_deref()
                    .zip(row.ref_name.as_deref())
                    .map(|(repo, ref_name)| (told::short_ref(ref_name), told::ref_path(repo, ref_name))),
                when: row.pushed_at_ms.or(record.queued_at_ms).or(row.started_at_ms).map(|ms| When::new(ms, now_ms)),
                also: Vec::new(),
                cells: jobs.iter().map(cell).collect(),
            });
        }
        Table { jobs, jobs_left_out, rows, has_refs }
    }
}

impl Sha {
    pub(super) fn new(sha: &str) -> Sha {
        Sha { full: sha.to_owned(), short: told::short_sha(sha), href: told::commit_path(sha) }
    }
}

impl RunLink {
    pub(super) fn new(record: &RunRecord) -> RunLink {
        let row = &record.row;
        RunLink { href: told::run_path(&row.run_id), name: words::run_name(row), state: State::run(row.state) }
    }
}
