//! A queue to talk to in short words; its orders come back as lines.

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::queue::{
    Ask, Input, Limits, NewRun, Origin, Output, PushedRef, Queue, RepoPolicy, Request, StoppedBy, Supersede, Tip,
};
use quire_core::rows::RunState;

/// A queue whose requests are numbered from 1, each run named after its request and ref: `1main`.
#[derive(Debug)]
pub struct Desk {
    pub queue: Queue,
    asks: u64,
}

impl Desk {
    /// Configured for so many runs at once, with these repositories.
    pub fn new(max_runs: u32, repos: &[(&str, Supersede, Option<u32>)]) -> Desk {
        let mut desk = Desk::unconfigured();
        desk.configure(max_runs, repos);
        desk
    }

    pub fn unconfigured() -> Desk {
        Desk { queue: Queue::new(), asks: 0 }
    }

    pub fn configure(&mut self, max_runs: u32, repos: &[(&str, Supersede, Option<u32>)]) {
        let limits = Limits { max_runs, min_free_bytes: 5_000_000_000 };
        let policy =
            |&(name, supersede, max_runs): &(&str, _, _)| (name.to_owned(), RepoPolicy { supersede, max_runs });
        let repos: BTreeMap<String, RepoPolicy> = repos.iter().map(policy).collect();
        self.queue.handle(Input::Configured { limits, repos });
    }

    fn request(&mut self) -> Request {
        self.asks += 1;
        Request { ask: Ask(self.asks), by: Some("ann".to_owned()), at_ms: 7 }
    }

    /// A push of commits with pipelines; `main` is the default branch. Names without `refs/` are branches.
    pub fn push(&mut self, repo: &str, refs: &[&str]) {
        let tip = || Tip::Pipeline { sha: "5ha".to_owned() };
        self.push_tips(repo, false, &refs.iter().map(|name| (*name, tip())).collect::<Vec<_>>());
    }

    pub fn push_tips(&mut self, repo: &str, first: bool, refs: &[(&str, Tip)]) {
        let request = self.request();
        let full = |name: &str| if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") };
        let refs = refs.iter().map(|(name, tip)| {
            let short = name.rsplit('/').next().unwrap();
            let run_id = RunId::new(&format!("{}{short}", request.ask.0));
            (PushedRef { ref_name: full(name), tip: tip.clone() }, run_id)
        });
        let refs = refs.collect();
        let default_branch = Some("refs/heads/main".to_owned());
        self.queue.handle(Input::Pushed { request, repo: repo.to_owned(), first, default_branch, refs });
    }

    pub fn trigger(&mut self, repo: &str, name: &str) {
        let request = self.request();
        let run = NewRun {
            run_id: RunId::new(&format!("{}{name}", request.ask.0)),
            repo: repo.to_owned(),
            ref_name: Some(format!("refs/heads/{name}")),
            sha: "5ha".to_owned(),
            by: request.by.clone(),
            at_ms: 7,
            origin: Origin::Trigger,
            params: [("level".to_owned(), "9".to_owned())].into(),
            jobs: vec!["deploy".to_owned()],
        };
        self.queue.handle(Input::Triggered { request, run });
    }

    pub fn cancel(&mut self, run_id: &str) {
        let request = self.request();
        self.queue.handle(Input::CancelWanted { request, run_id: RunId::new(run_id) });
    }

    pub fn entered(&mut self, ask: u64) {
        self.queue.handle(Input::Entered { ask: Ask(ask), numbers: (ask * 10..ask * 10 + 10).collect() });
    }

    pub fn failed(&mut self, ask: u64) {
        self.queue.handle(Input::EnterFailed { ask: Ask(ask) });
    }

    pub fn ended(&mut self, run_id: &str) {
        self.queue.handle(Input::Ended { run_id: RunId::new(run_id), state: RunState::Complete });
    }

    pub fn restored(&mut self, run_id: &str, repo: &str, name: &str, running: bool) {
        self.queue.handle(Input::Restored {
            run_id: RunId::new(run_id),
            repo: repo.to_owned(),
            ref_name: Some(format!("refs/heads/{name}")),
            number: 1,
            pushed: true,
            running,
        });
    }

    pub fn disk(&mut self, free_bytes: u64) {
        self.queue.handle(Input::Disk { free_bytes });
    }

    /// A push that is entered at once.
    pub fn pushed(&mut self, repo: &str, refs: &[&str]) {
        self.push(repo, refs);
        self.entered(self.asks);
    }

    /// Every order that waits, in words.
    pub fn orders(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.queue.poll_output()).map(|order| line(&order)).collect()
    }

    /// The orders that wait are these.
    #[track_caller]
    pub fn orders_are(&mut self, expected: &[&str]) {
        assert_eq!(self.orders(), expected);
    }

    /// Why a run waits, in words.
    pub fn why(&self, run_id: &str) -> String {
        self.queue.why(&RunId::new(run_id)).map_or("-".to_owned(), |why| why.to_string())
    }
}

fn line(order: &Output) -> String {
    match order {
        Output::Enter { ask, runs, superseded, verdicts: _ } => {
            let runs: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
            let pairs = superseded.iter().map(|(old, new)| format!(" {old}<{new}"));
            format!("enter {} [{}]{}", ask.0, runs.join(" "), pairs.collect::<String>())
        }
        Output::Dispatch { run_id } => format!("dispatch {run_id}"),
        Output::Abort { ask, run_id, by } => format!("abort {run_id} for {} by {}", ask.0, by.as_deref().unwrap()),
        Output::Stop { ask: Some(ask), run_id, by: StoppedBy::Person(by) } => {
            format!("stop {run_id} for {} by {}", ask.0, by.as_deref().unwrap())
        }
        Output::Stop { ask: None, run_id, by: StoppedBy::Run(new) } => format!("stop {run_id} by run {new}"),
        Output::Stop { .. } => format!("{order:?}"),
        Output::NothingToCancel { ask, run_id } => format!("nothing {run_id} for {}", ask.0),
    }
}
