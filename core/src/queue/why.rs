//! The queue in words: why a run waits, why nothing starts, why a ref got no run.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::quoted;
use crate::ids::RunId;
use crate::size::shown;

use super::io::NotRun;
use super::lines::Place;
use super::{MANY_REFS, Queue, as_count};

/// Why a run does not go on yet. The display is for people: "waits for …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is being written into the database.
    Entering,
    /// A newer push of its ref is being written, and takes its place.
    Replaced,
    /// The server has no configuration yet.
    Starting,
    /// The server is about to stop.
    Draining,
    /// Too little is free where runs are recorded.
    Disk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that must be.
        needed_bytes: u64,
    },
    /// Its repository has all the places that it may have.
    Repo {
        /// Runs of the repository that go on.
        running: usize,
        /// Most of them at once.
        limit: usize,
        /// Waiting runs of the repository that come before.
        before: usize,
    },
    /// Every place of the server is taken.
    Place {
        /// Runs that go on.
        running: usize,
        /// Most of them at once.
        limit: usize,
        /// Waiting runs whose turn comes before.
        before: usize,
    },
    /// It was dispatched.
    Dispatched,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = |f: &mut fmt::Formatter<'_>, before: usize| match before {
            0 => f.write_str("; it is the next one"),
            count => write!(f, "; {count} {} before it", plural(count, "is", "are")),
        };
        match *self {
            Why::Entering => f.write_str("is being queued"),
            Why::Replaced => f.write_str("a newer push of its ref takes its place"),
            Why::Starting => f.write_str("waits: the server is starting"),
            Why::Draining => f.write_str("waits: the server is stopping"),
            Why::Disk { free_bytes, needed_bytes } => {
                write!(f, "waits for disk: {} free, {} needed", shown(free_bytes), shown(needed_bytes))
            }
            Why::Repo { limit: 0, .. } => f.write_str("waits for its repository: it may run nothing (max_runs = 0)"),
            Why::Repo { running, limit, before: count } => {
                let runs = plural(limit, "run", "runs");
                let goes = plural(running, "goes", "go");
                write!(f, "waits for its repository: {running} of at most {limit} {runs} {goes} on")?;
                before(f, count)
            }
            Why::Place { running, limit, before: count } => {
                let place = if limit == 1 { "the only place".to_owned() } else { format!("one of {limit} places") };
                let goes = plural(running, "run goes", "runs go");
                write!(f, "waits for {place}: {running} {goes} on")?;
                before(f, count)
            }
            Why::Dispatched => f.write_str("starts now"),
        }
    }
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// How many runs of a repository wait and go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the database, not dispatched.
    pub waiting: usize,
    /// Dispatched or adopted.
    pub running: usize,
}

/// A run that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRun<'a> {
    /// Its id.
    pub run_id: &'a RunId,
    /// Its repository.
    pub repo: &'a str,
    /// Its ref.
    pub ref_name: Option<&'a str>,
    /// Its number, where the database gave one.
    pub number: Option<u64>,
    /// Why it waits.
    pub why: Why,
}

impl Queue {
    /// Why the run does not go on yet; `None` if it is over, or was never here.
    pub fn why(&self, run_id: &RunId) -> Option<Why> {
        if self.running.contains(run_id) {
            return Some(Why::Dispatched);
        }
        if self.entrance.contains(run_id) {
            return Some(if self.entrance.is_entering(run_id) { Why::Entering } else { Why::Replaced });
        }
        let place = self.lines.place(run_id)?;
        Some(self.halted().unwrap_or_else(|| self.why_in_line(place)))
    }

    /// Why nothing at all is dispatched, if so.
    pub fn halted(&self) -> Option<Why> {
        if self.draining {
            return Some(Why::Draining);
        }
        let Some(settings) = &self.settings else { return Some(Why::Starting) };
        let needed_bytes = settings.limits.min_free_bytes;
        let free_bytes = self.free_bytes.filter(|free_bytes| *free_bytes < needed_bytes)?;
        Some(Why::Disk { free_bytes, needed_bytes })
    }

    /// Of each repository that has runs here.
    pub fn counts(&self) -> BTreeMap<&str, Counts> {
        let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
        for (repo, line) in self.lines.iter() {
            counts.entry(repo).or_default().waiting += line.len();
        }
        for run in self.entrance.aside() {
            counts.entry(&run.ordered.repo).or_default().waiting += 1;
        }
        for (repo, running) in self.running.counts() {
            counts.entry(repo).or_default().running = running;
        }
        counts
    }

    /// Runs that wait, by repository, first come first; and those whose place a newer push is about to take.
    pub fn waiting(&self) -> impl Iterator<Item = WaitingRun<'_>> {
        let in_line = self.lines.iter().flat_map(|(_, line)| line.values());
        in_line.chain(self.entrance.aside()).filter_map(|run| {
            let ordered = &run.ordered;
            Some(WaitingRun {
                run_id: &ordered.run_id,
                repo: &ordered.repo,
                ref_name: ordered.ref_name.as_deref(),
                number: run.number,
                why: self.why(&ordered.run_id)?,
            })
        })
    }

    /// Whether no run is here, and no order waits to be fetched.
    pub fn is_idle(&self) -> bool {
        self.outputs.is_empty()
            && self.running.len() == 0
            && self.entrance.is_empty()
            && self.lines.iter().next().is_none()
    }

    fn why_in_line(&self, place: Place<'_>) -> Why {
        let running = self.running.of(place.repo);
        match self.policy(place.repo).max_runs.map(as_count) {
            Some(limit) if running >= limit => Why::Repo { running, limit, before: place.in_line },
            _ => Why::Place { running: self.running.len(), limit: self.places().unwrap_or(1), before: place.in_all },
        }
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRun::Deleted => f.write_str("it was deleted"),
            NotRun::NoPipeline => f.write_str("its commit has neither .quire/ci.lua nor .quire/ci.fnl"),
            NotRun::NoCommit => f.write_str("it names no commit"),
            NotRun::Kind => f.write_str("only branches and tags run"),
            NotRun::ManyRefs { count } => {
                write!(f, "of a push of more than {MANY_REFS} refs (this one has {count}) only the default branch runs")
            }
            NotRun::FirstPush => f.write_str("of the first push to a repository only the default branch runs"),
            NotRun::UnknownRepo => f.write_str("there is no such repository"),
        }
    }
}

impl NotRun {
    /// The line that runs the ref all the same, where there is one.
    pub fn line(&self, repo: &str, ref_name: &str) -> Option<String> {
        match self {
            NotRun::ManyRefs { .. } | NotRun::FirstPush => {
                Some(quoted(&["quire", "trigger", repo, ref_name].map(|word| word.as_bytes().to_vec())))
            }
            NotRun::UnknownRepo | NotRun::Deleted | NotRun::NoPipeline | NotRun::NoCommit | NotRun::Kind => None,
        }
    }

    /// Why the ref got no run, with that line.
    pub fn explain(&self, repo: &str, ref_name: &str) -> String {
        match self.line(repo, ref_name) {
            Some(line) => format!("{self}; to run it: {line}"),
            None => self.to_string(),
        }
    }
}
