//! How hundreds of repositories stand, for one page: a few steps in indices for each of them.

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::rows::RunState;
use quire_core::wire::FailureKind;
use rusqlite::{OptionalExtension, Row, Rows};

use super::queries::{optional_word, run_id, word};
use super::{Store, StoreError};

/// How many of a repository's newest runs are looked through for other refs.
const LOOKED_AT: u32 = 12;
/// How many other refs are told of.
const OTHER_REFS: usize = 3;

/// What a line of a list shows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunLine {
    /// Its place in the order of runs.
    pub seq: i64,
    /// Its id.
    pub run_id: RunId,
    /// Its number in its repository.
    pub number: Option<u64>,
    /// Full ref name.
    pub ref_name: Option<String>,
    /// Full commit id.
    pub sha: Option<String>,
    /// Its state.
    pub state: RunState,
    /// Why it failed.
    pub failure_kind: Option<FailureKind>,
    /// When it entered the queue, Unix milliseconds.
    pub queued_at_ms: Option<i64>,
    /// Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// Unix milliseconds.
    pub finished_at_ms: Option<i64>,
}

/// How a repository stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RepoOverview {
    /// Its name.
    pub repo: String,
    /// The newest run of its default branch that has ended and was not superseded.
    pub default_run: Option<RunLine>,
    /// The newest run, in whatever state, of each of up to three other refs among its newest twelve runs; newest first.
    pub others: Vec<RunLine>,
    /// Its runs that wait or go on, in the order in which they were queued.
    pub open: Vec<RunLine>,
}

const LINE_COLUMNS: &str =
    "seq, id, number, ref_name, sha, state, failure_kind, queued_at_ms, started_at_ms, finished_at_ms";

impl Store {
    /// How repositories stand, in the order given, each named once; each with the full name of its default branch, if it has one.
    pub fn overview(&self, repos: &[(String, Option<String>)]) -> Result<Vec<RepoOverview>, StoreError> {
        // One moment for all, and one lock: each statement would take its own.
        let _moment = self.conn.unchecked_transaction().map_err(|error| self.failed(error))?;
        let mut open: BTreeMap<String, Vec<RunLine>> = BTreeMap::new();
        for (repo, line) in self.rows(&open_lines(), [], |row| Ok((row.get(10)?, run_line(row)?)))? {
            open.entry(repo).or_default().push(line);
        }
        for lines in open.values_mut() {
            lines.sort_unstable_by_key(|line| line.seq);
        }
        let (newest, ended) = (newest_lines(), newest_ended());
        let mut newest = self.conn.prepare_cached(&newest).map_err(|error| self.failed(error))?;
        let one = |(repo, default_branch): &(String, Option<String>)| {
            let mut seen = Seen::of(newest.query((repo, LOOKED_AT))?, default_branch.as_deref())?;
            if let (None, Some(branch)) = (&seen.default_run, default_branch) {
                let mut ended = self.conn.prepare_cached(&ended)?;
                seen.default_run = ended.query_row((repo, branch), run_line).optional()?;
            }
            let open = open.remove(repo).unwrap_or_default();
            Ok(RepoOverview { repo: repo.clone(), default_run: seen.default_run, others: seen.others, open })
        };
        repos.iter().map(one).collect::<rusqlite::Result<_>>().map_err(|error| self.failed(error))
    }
}

/// What a repository's newest runs tell.
#[derive(Default)]
struct Seen {
    /// Of the default branch, ended; that it is not here means that it is older, or that there is none.
    default_run: Option<RunLine>,
    others: Vec<RunLine>,
}

impl Seen {
    fn of(mut rows: Rows<'_>, default_branch: Option<&str>) -> rusqlite::Result<Seen> {
        let mut seen = Seen::default();
        let is_enough =
            |seen: &Seen| seen.others.len() == OTHER_REFS && (seen.default_run.is_some() || default_branch.is_none());
        while !is_enough(&seen)
            && let Some(row) = rows.next()?
        {
            // Most are of a ref that is known already: those are not taken out of the row.
            let Some(ref_name) = row.get_ref(3)?.as_str_or_null()? else { continue };
            if Some(ref_name) == default_branch {
                let has_ended = || word(row, 5, RunState::parse).map(RunState::had_its_turn);
                if seen.default_run.is_none() && has_ended()? {
                    seen.default_run = Some(run_line(row)?);
                }
            } else if seen.others.len() < OTHER_REFS
                && seen.others.iter().all(|other| other.ref_name.as_deref() != Some(ref_name))
            {
                seen.others.push(run_line(row)?);
            }
        }
        Ok(seen)
    }
}

/// The newest of each state that is an end by one step each; of these the newest.
fn newest_ended() -> String {
    let newest =
        |state| format!("SELECT max(seq) AS seq FROM runs WHERE repo = ?1 AND ref_name = ?2 AND state = '{state}'");
    let newest = ["complete", "failed", "aborted"].map(newest).join(" UNION ALL ");
    format!("SELECT {LINE_COLUMNS} FROM runs WHERE seq = (SELECT max(seq) FROM ({newest}))")
}

fn newest_lines() -> String {
    format!("SELECT {LINE_COLUMNS} FROM runs WHERE repo = ?1 ORDER BY seq DESC LIMIT ?2")
}

fn open_lines() -> String {
    format!("SELECT {LINE_COLUMNS}, repo FROM runs INDEXED BY runs_open WHERE state IN ('pending', 'active')")
}

fn run_line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    Ok(RunLine {
        seq: row.get(0)?,
        run_id: run_id(row, 1)?,
        number: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
        ref_name: row.get(3)?,
        sha: row.get(4)?,
        state: word(row, 5, RunState::parse)?,
        failure_kind: optional_word(row, 6, FailureKind::parse)?,
        queued_at_ms: row.get(7)?,
        started_at_ms: row.get(8)?,
        finished_at_ms: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_walks_indices() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("quire.db")).unwrap();
        assert_eq!(store.plan(&newest_lines()), "SEARCH runs USING INDEX runs_by_repo (repo=?)");
        assert_eq!(store.plan(&open_lines()), "SCAN runs USING INDEX runs_open");
        let plan = store.plan(&newest_ended());
        let step = "SEARCH runs USING COVERING INDEX runs_by_repo_ref_state (repo=? AND ref_name=? AND state=?)";
        assert_eq!(plan.matches(step).count(), 3, "{plan}");
        assert!(plan.starts_with("SEARCH runs USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
    }
}
