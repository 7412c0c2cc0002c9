//! A scenario of a server: what any bytes are decoded into.

use std::collections::BTreeMap;

use quire_core::queue::{Limits, RepoPolicy, Supersede};

use crate::world::bytes::Bytes;
use crate::world::fault::Fault;

/// Most things that people do in one world.
const MOST_ACTIONS: usize = 80;
/// What must be free on every server of these worlds.
pub(super) const MIN_FREE_BYTES: u64 = 1_000;

/// What a pushed ref names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Pipeline,
    NoPipeline,
    Deleted,
    NoCommit,
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Pushes {
        repo: String,
        refs: Vec<(String, Pushed)>,
    },
    Triggers {
        repo: String,
        ref_name: Option<String>,
        retry: bool,
    },
    /// Of the runs that were ever entered or ordered, this many before the newest.
    Cancels(usize),
    /// A run's process, of those that live.
    Kills(usize),
    FillsDisk(bool),
    Configures {
        max_runs: u32,
        repo: String,
        repo_runs: Option<u32>,
    },
    /// The server is asked to stop, and is started again.
    Restarts,
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// From a transaction's order to its commit.
    pub(super) commit_ms: u64,
    /// Orders to the store that one transaction holds at most.
    pub(super) commit_of: usize,
    /// From a process's start to its first event.
    pub(super) begins_ms: u64,
    /// From there to its end, in turn.
    pub(super) lasts_ms: [u64; 4],
    /// From TERM to its end.
    pub(super) term_ms: u64,
}

/// A world of a server.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) limits: Limits,
    pub(super) repos: BTreeMap<String, RepoPolicy>,
    pub(super) pace: Pace,
    pub(super) faults: Vec<(u32, Fault)>,
    /// With their times.
    pub(super) actions: Vec<(u64, Action)>,
}

impl Scenario {
    /// Total over any bytes.
    pub(super) fn decode(bytes: &[u8]) -> Scenario {
        let bytes = &mut Bytes::new(bytes);
        let limits = Limits { max_runs: bytes.pick(&[1, 2, 3, 0]), min_free_bytes: MIN_FREE_BYTES };
        let repo_count = 1 + bytes.under(4);
        let repos = (0..repo_count).map(|at| {
            let supersede = if bytes.chance(64) { Supersede::Off } else { Supersede::Queued };
            (repo_name(at), RepoPolicy { supersede, max_runs: bytes.pick(&[None, None, Some(1), Some(2)]) })
        });
        let repos = repos.collect();
        let pace = Pace {
            commit_ms: bytes.pick(&[0, 5, 20]),
            commit_of: bytes.pick(&[1, 3, 100]),
            begins_ms: bytes.pick(&[1, 10]),
            lasts_ms: [(); 4].map(|()| bytes.pick(&[5, 0, 40, 300])),
            term_ms: bytes.pick(&[0, 20]),
        };
        let faults = (0..bytes.under(8)).map(|_| (u32::from(bytes.word() % 200), fault(bytes))).collect();
        let mut ms = 0;
        let mut actions = Vec::new();
        while !bytes.is_empty() && actions.len() < MOST_ACTIONS {
            ms += bytes.pick(&[0, 0, 1, 5, 50, 0, 2, 10]);
            actions.push((ms, action(bytes, repo_count)));
        }
        Scenario { limits, repos, pace, faults, actions }
    }
}

fn repo_name(at: usize) -> String {
    format!("r{at}.git")
}

fn ref_name(at: usize) -> String {
    match at {
        0 => "refs/heads/main".to_owned(),
        1 => "refs/heads/dev".to_owned(),
        2 => "refs/heads/next".to_owned(),
        3 => "refs/tags/v1".to_owned(),
        4 => "refs/notes/commits".to_owned(),
        at => format!("refs/heads/b{at}"),
    }
}

fn fault(bytes: &mut Bytes<'_>) -> Fault {
    match bytes.under(9) {
        0..=2 => Fault::Crash(0),
        3 => Fault::CommitFails,
        4 => Fault::CommitUnacknowledged,
        5 => Fault::AnswerLate(u16::from(bytes.byte())),
        6 => Fault::SpawnFails(0),
        7 => Fault::ExitLate(u16::from(bytes.byte())),
        _ => Fault::DatabaseBusy(u16::from(bytes.byte())),
    }
}

fn action(bytes: &mut Bytes<'_>, repo_count: usize) -> Action {
    let kind = bytes.under(32);
    let repo = repo_name(bytes.under(repo_count));
    match kind {
        0..=17 => {
            let count = bytes.pick(&[1, 1, 1, 2, 1, 3, 1, 14]);
            let mut refs: BTreeMap<usize, Pushed> = BTreeMap::new();
            for at in 0..count {
                // Of a push of many each ref is another one.
                let at = if count > 10 { at } else { bytes.under(6) };
                let tip = [Pushed::Pipeline, Pushed::NoPipeline, Pushed::Deleted, Pushed::NoCommit];
                refs.insert(at, if bytes.chance(32) { bytes.pick(&tip) } else { Pushed::Pipeline });
            }
            Action::Pushes { repo, refs: refs.into_iter().map(|(at, tip)| (ref_name(at), tip)).collect() }
        }
        18..=20 => {
            let ref_name = (!bytes.chance(32)).then(|| ref_name(bytes.under(3)));
            Action::Triggers { repo, ref_name, retry: bytes.chance(128) }
        }
        21..=25 => Action::Cancels(bytes.under(8)),
        26 => Action::Kills(bytes.under(4)),
        27 | 28 => Action::FillsDisk(bytes.chance(128)),
        29 | 30 => Action::Configures {
            max_runs: bytes.pick(&[1, 2, 4]),
            repo,
            repo_runs: bytes.pick(&[None, Some(0), Some(1), Some(3)]),
        },
        _ => Action::Restarts,
    }
}
