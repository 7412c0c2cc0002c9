//! Which run a person means: the RUN of command lines (CONTRACT 5).

use quire_core::ids::RunId;
use quire_core::rows::RunState;

use super::queries::{RunFilter, RunRecord};
use super::{SelectError, Store, StoreError};

/// Fewest characters of an id's prefix.
const ID_PREFIX: usize = 8;
/// Fewest characters of a commit's prefix.
const SHA_PREFIX: usize = 7;
/// Most digits of a number.
const NUMBER_DIGITS: usize = 6;
/// How many runs an error lists.
const LISTED: u32 = 10;

impl Store {
    /// The run that `text` means: at most 6 digits are a number; else `last`, `last-failed`, a whole id, a prefix of 8 or
    /// more of an id, or of 7 or more of a commit (its newest run).
    pub fn select(&self, text: &str) -> Result<RunId, SelectError> {
        let mut matches = self.matching(text, None)?;
        let found = matches.pop();
        match found {
            Some(run) if matches.is_empty() => Ok(run.row.run_id),
            Some(run) => {
                matches.push(run);
                matches.sort_by_key(|run| std::cmp::Reverse(run.seq));
                Err(SelectError::Several { text: text.to_owned(), matches })
            }
            None => {
                let latest = self.runs(&RunFilter { limit: Some(5), ..RunFilter::default() })?;
                let text = text.to_owned();
                Err(match latest.is_empty() {
                    true => SelectError::Empty,
                    false if has_form(&text) => SelectError::None { text, latest },
                    false => SelectError::Form { text, latest },
                })
            }
        }
    }

    /// The runs that `text` may mean, [`Store::select`]'s way, of one repository or of all; at most ten.
    pub fn matching(&self, text: &str, repo: Option<&str>) -> Result<Vec<RunRecord>, StoreError> {
        let newest = |state| RunFilter { repo: repo.map(str::to_owned), state, limit: Some(1), ..RunFilter::default() };
        let mut found = match (number(text), repo, text) {
            (Some(number), Some(repo), _) => self.runs_where("repo = ?1 AND number = ?2", (repo, number), LISTED)?,
            (Some(number), None, _) => self.runs_where("number = ?1", [number], LISTED)?,
            (None, _, "last") => self.runs(&newest(None))?,
            (None, _, "last-failed") => self.runs(&newest(Some(RunState::Failed)))?,
            (None, _, _) => self.prefixed(text)?,
        };
        if let Some(repo) = repo {
            found.retain(|run| run.row.repo.as_deref() == Some(repo));
        }
        Ok(found)
    }

    fn prefixed(&self, text: &str) -> Result<Vec<RunRecord>, StoreError> {
        if let Some(run) = self.run(&RunId::new(text))? {
            return Ok(vec![run]);
        }
        // Ids and commits are written in lower case; people may paste them otherwise.
        let from = text.to_ascii_lowercase();
        let to = format!("{from}\u{10ffff}");
        let mut found = Vec::new();
        if text.len() >= ID_PREFIX {
            found = self.runs_where("id >= ?1 AND id < ?2", (&from, &to), LISTED)?;
        }
        if text.len() >= SHA_PREFIX {
            for sha in self.shas_between(&from, &to, LISTED)? {
                let newest = self.runs_where("sha = ?1", [&sha], 1)?;
                found.extend(newest.into_iter().filter(|run| found_not(&found, run)).collect::<Vec<_>>());
            }
        }
        Ok(found)
    }
}

fn found_not(found: &[RunRecord], run: &RunRecord) -> bool {
    found.iter().all(|other| other.seq != run.seq)
}

fn number(text: &str) -> Option<i64> {
    let is_number = (1..=NUMBER_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn has_form(text: &str) -> bool {
    number(text).is_some()
        || matches!(text, "last" | "last-failed")
        || (text.len() >= SHA_PREFIX && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}
