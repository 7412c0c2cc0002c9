//! What waits: a line for each repository, first come first served; and whose turn it is among the repositories.

use std::collections::BTreeMap;

use crate::ids::RunId;

use super::run::{Ticket, Waiting};

/// When a repository was served last: 0 for never.
type Turn = u64;

/// Where a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) repo: &'a str,
    /// Runs before it in its repository's line.
    pub(super) in_line: usize,
    /// Runs that would be served before it if every repository could always be: those of its line, and as many of each other
    /// line as that one has turns before.
    pub(super) in_all: usize,
}

/// The waiting runs.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// By repository; no line is empty.
    lines: BTreeMap<String, BTreeMap<Ticket, Waiting>>,
    /// Where each run stands.
    places: BTreeMap<RunId, (String, Ticket)>,
    turns: BTreeMap<String, Turn>,
    last_turn: Turn,
}

impl Lines {
    pub(super) fn contains(&self, run_id: &RunId) -> bool {
        self.places.contains_key(run_id)
    }

    /// The run takes the place in its repository's line that its ticket gives it.
    pub(super) fn join(&mut self, run: Waiting) {
        let (repo, ticket) = (run.ordered.repo.clone(), run.ordered.ticket);
        self.places.insert(run.ordered.run_id.clone(), (repo.clone(), ticket));
        self.lines.entry(repo).or_default().insert(ticket, run);
    }

    /// The run waits no longer.
    pub(super) fn leave(&mut self, run_id: &RunId) -> Option<Waiting> {
        let (repo, ticket) = self.places.remove(run_id)?;
        let line = self.lines.get_mut(&repo)?;
        let run = line.remove(&ticket);
        if line.is_empty() {
            self.lines.remove(&repo);
        }
        run
    }

    /// All that pushes of a ref made wait, out of the line.
    pub(super) fn take_pushed(&mut self, repo: &str, ref_name: &str) -> Vec<Waiting> {
        let line = self.lines.get(repo).into_iter().flat_map(BTreeMap::values);
        let pushed = line.filter(|run| run.ordered.is_pushed(repo, ref_name));
        let ids: Vec<RunId> = pushed.map(|run| run.ordered.run_id.clone()).collect();
        ids.iter().filter_map(|run_id| self.leave(run_id)).collect()
    }

    /// The first run of the repository whose turn it is, among those that may run something.
    pub(super) fn serve(&mut self, may_run: impl Fn(&str) -> bool) -> Option<Waiting> {
        let open = self.lines.iter().filter(|(repo, _)| may_run(repo));
        let (_, repo) = open.filter_map(|(repo, line)| Some((self.turn(repo, line)?, repo))).min()?;
        let repo = repo.clone();
        let run_id = self.lines.get(&repo)?.values().next()?.ordered.run_id.clone();
        self.served(&repo);
        self.leave(&run_id)
    }

    /// The repository got a place: its next turn comes after everyone else's.
    pub(super) fn served(&mut self, repo: &str) {
        self.last_turn = self.last_turn.saturating_add(1);
        self.turns.insert(repo.to_owned(), self.last_turn);
    }

    /// Forgets when repositories were served that neither wait nor are to be remembered.
    pub(super) fn forget_turns(&mut self, remember: impl Fn(&str) -> bool) {
        let lines = &self.lines;
        self.turns.retain(|repo, _| lines.contains_key(repo) || remember(repo));
    }

    /// Repositories and their lines.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<Ticket, Waiting>)> {
        self.lines.iter().map(|(repo, line)| (repo.as_str(), line))
    }

    /// Where a run waits.
    pub(super) fn place(&self, run_id: &RunId) -> Option<Place<'_>> {
        let (repo, ticket) = self.places.get(run_id)?;
        let line = self.lines.get(repo)?;
        let in_line = line.range(..ticket).count();
        let turn = self.turn(repo, line);
        let others = self.lines.iter().filter(|(other, _)| *other != repo);
        let before = others.map(|(other, line)| line.len().min(in_line + usize::from(self.turn(other, line) < turn)));
        Some(Place { repo, in_line, in_all: in_line + before.sum::<usize>() })
    }

    /// Served least recently first, then who waited longest.
    fn turn(&self, repo: &str, line: &BTreeMap<Ticket, Waiting>) -> Option<(Turn, Ticket)> {
        let (first, _) = line.first_key_value()?;
        Some((self.turns.get(repo).copied().unwrap_or(0), *first))
    }
}
