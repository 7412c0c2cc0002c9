//! What holds over any sequence of facts.

use std::collections::{BTreeMap, BTreeSet};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use quire_core::ids::RunId;
use quire_core::queue::{
    Ask, Input, Limits, NewRun, Origin, Output, PushedRef, Queue, RepoPolicy, Request, Supersede, Tip,
};
use quire_core::rows::RunState;

use crate::model::{Fate, Model};

/// What happens next; numbers choose among what there is then.
#[derive(Debug, Clone)]
enum Step {
    Push {
        repo: u8,
        first: bool,
        no_default: bool,
        refs: Vec<(u8, u8)>,
    },
    Trigger {
        repo: u8,
        branch: u8,
    },
    Cancel(u16),
    Enter(u8),
    Fail(u8),
    End(u8),
    /// An end or an answer of something that there may not be.
    Stray(u8),
    /// The last push comes again before it is answered.
    Again,
    Disk(bool),
    Configure {
        max_runs: u32,
        repos: Vec<(u8, bool, Option<u32>)>,
    },
    Restore {
        repo: u8,
        branch: u8,
        pushed: bool,
        running: bool,
    },
    Drain,
}

fn below(g: &mut Gen, end: u8) -> u8 {
    u8::arbitrary(g) % end
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        match below(g, 64) {
            0..=17 => {
                let count = if below(g, 16) == 0 { 12 } else { 1 + below(g, 3) };
                let refs = (0..count).map(|_| (below(g, 12), below(g, 8))).collect();
                Step::Push { repo: below(g, 4), first: below(g, 8) == 0, no_default: below(g, 16) == 0, refs }
            }
            18..=21 => Step::Trigger { repo: below(g, 4), branch: below(g, 4) },
            22..=25 => Step::Cancel(u16::arbitrary(g)),
            26..=39 => Step::Enter(u8::arbitrary(g)),
            40..=43 => Step::Fail(u8::arbitrary(g)),
            44..=56 => Step::End(u8::arbitrary(g)),
            57 => Step::Stray(u8::arbitrary(g)),
            58 => Step::Again,
            59 => Step::Disk(bool::arbitrary(g)),
            60 | 61 => {
                let repo = |g: &mut Gen, repo| {
                    (repo, bool::arbitrary(g), g.choose(&[None, Some(0), Some(1), Some(2)]).copied().flatten())
                };
                let repos = (0..below(g, 5)).map(|at| repo(g, at)).collect();
                Step::Configure { max_runs: u32::from(below(g, 5)), repos }
            }
            62 if below(g, 8) == 0 => Step::Drain,
            _ => Step::Restore {
                repo: below(g, 4),
                branch: below(g, 3),
                pushed: bool::arbitrary(g),
                running: below(g, 3) == 0,
            },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Step>> {
        match self.clone() {
            Step::Push { repo, first, no_default, refs } => {
                Box::new(refs.shrink().map(move |refs| Step::Push { repo, first, no_default, refs }))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// A queue and a model that are told the same, and all that was said.
#[derive(Debug, Default)]
struct Told {
    queue: Queue,
    model: Model,
    ids: u64,
    inputs: Vec<Input>,
    orders: Vec<Output>,
    /// Of each repository that could run something: which others were served since.
    overtaken: BTreeMap<String, BTreeSet<String>>,
}

impl Told {
    /// Everything that these steps cause; in the end everything is answered and has ended, unless the server is stopping.
    fn new(steps: &[Step]) -> Told {
        let mut told = Told::default();
        for step in steps {
            if let Some(input) = told.input(step) {
                told.tell(input);
            }
        }
        told.finish();
        told
    }

    fn id(&mut self) -> RunId {
        self.ids += 1;
        RunId::new(&format!("run-{}", self.ids))
    }

    fn request(&mut self) -> Request {
        self.ids += 1;
        Request { ask: Ask(self.ids), by: None, at_ms: 0 }
    }

    fn input(&mut self, step: &Step) -> Option<Input> {
        let branch = |at: u8| match at {
            0 => "refs/heads/main".to_owned(),
            at if at % 5 == 4 => format!("refs/tags/v{at}"),
            11 => "refs/notes/commits".to_owned(),
            at => format!("refs/heads/b{at}"),
        };
        let repo_name = |at: u8| format!("r{at}");
        let nth = |list: Vec<RunId>, at: usize| (!list.is_empty()).then(|| list[at % list.len()].clone());
        let nth_ask = |list: Vec<Ask>, at: u8| (!list.is_empty()).then(|| list[usize::from(at) % list.len()]);
        Some(match step {
            Step::Push { repo, first, no_default, refs } => {
                let sha = || "5ha".to_owned();
                let tip = |at: u8| match at {
                    0 => Tip::Deleted,
                    1 => Tip::NoPipeline { sha: sha() },
                    2 => Tip::NoCommit,
                    _ => Tip::Pipeline { sha: sha() },
                };
                let request = self.request();
                let refs =
                    refs.iter().map(|(at, kind)| (PushedRef { ref_name: branch(*at), tip: tip(*kind) }, self.id()));
                let refs = refs.collect();
                let default_branch = (!no_default).then(|| branch(0));
                Input::Pushed { request, repo: repo_name(*repo), first: *first, default_branch, refs }
            }
            Step::Trigger { repo, branch: at } => {
                let request = self.request();
                let run = NewRun {
                    run_id: self.id(),
                    repo: repo_name(*repo),
                    ref_name: Some(branch(*at)),
                    sha: "5ha".to_owned(),
                    by: None,
                    at_ms: 0,
                    origin: Origin::Trigger,
                    params: BTreeMap::new(),
                    jobs: Vec::new(),
                };
                Input::Triggered { request, run }
            }
            Step::Cancel(at) => {
                // Mostly of what came lately, sometimes of what never was.
                let recent = self.model.runs.iter().rev().take(12).map(|run| run.id.clone()).collect();
                let run_id = nth(recent, usize::from(*at)).filter(|_| at % 16 != 0);
                let run_id = run_id.unwrap_or(RunId::new("never"));
                Input::CancelWanted { request: self.request(), run_id }
            }
            Step::Enter(at) => {
                Input::Entered { ask: nth_ask(self.model.open_asks(), *at)?, numbers: vec![1; usize::from(at % 3)] }
            }
            Step::Fail(at) => Input::EnterFailed { ask: nth_ask(self.model.open_asks(), *at)? },
            Step::End(at) => {
                Input::Ended { run_id: nth(self.model.running(), usize::from(*at))?, state: RunState::Complete }
            }
            Step::Stray(at) => match at % 3 {
                0 => Input::Ended { run_id: self.model.runs.last()?.id.clone(), state: RunState::Failed },
                1 => Input::Entered { ask: Ask(u64::from(*at)), numbers: vec![7] },
                _ => Input::EnterFailed { ask: Ask(u64::from(*at)) },
            },
            Step::Again => {
                let open = self.model.open_asks();
                let is_open = |input: &&Input| match input {
                    Input::Pushed { request, .. } | Input::Triggered { request, .. } => open.contains(&request.ask),
                    _ => false,
                };
                self.inputs.iter().rev().find(is_open)?.clone()
            }
            Step::Disk(full) => Input::Disk { free_bytes: if *full { 9 } else { 10 } },
            Step::Configure { max_runs, repos } => {
                let policy = |(_, off, max_runs): &(u8, bool, Option<u32>)| RepoPolicy {
                    supersede: if *off { Supersede::Off } else { Supersede::Queued },
                    max_runs: *max_runs,
                };
                let repos = repos.iter().map(|repo| (repo_name(repo.0), policy(repo))).collect();
                Input::Configured { limits: Limits { max_runs: *max_runs, min_free_bytes: 10 }, repos }
            }
            Step::Restore { repo, branch: at, pushed, running } => Input::Restored {
                run_id: self.id(),
                repo: repo_name(*repo),
                ref_name: Some(branch(*at)),
                number: self.ids,
                pushed: *pushed,
                running: *running,
            },
            Step::Drain => Input::Draining,
        })
    }

    fn tell(&mut self, input: Input) {
        match &input {
            Input::Configured { .. } => self.overtaken.clear(),
            // To adopt a run is a turn too.
            Input::Restored { repo, running: true, .. } => {
                self.overtaken.remove(repo);
            }
            _ => {}
        }
        self.queue.handle(input.clone());
        let before = self.orders.len();
        self.orders.extend(std::iter::from_fn(|| self.queue.poll_output()));
        let already_running = self.model.running();
        let expected = self.model.step(&input);
        self.compare(&input, before, expected);
        self.a_repository_is_not_overtaken_twice(before);
        self.bounds_are_kept(before, already_running.len());
        self.what_is_said_is_so();
        self.inputs.push(input);
    }

    fn compare(&self, input: &Input, before: usize, expected: crate::model::Expected) {
        let (mut dispatched, mut others) = (Vec::new(), Vec::new());
        for order in &self.orders[before..] {
            match order {
                Output::Dispatch { run_id } => dispatched.push(run_id.clone()),
                Output::Enter { .. } => {}
                other => others.push(format!("{other:?}")),
            }
        }
        assert_eq!(dispatched, expected.dispatched, "after {input:?}");
        let mut expected: Vec<String> = expected.others.iter().map(|order| format!("{order:?}")).collect();
        others.sort();
        expected.sort();
        assert_eq!(others, expected, "after {input:?}");
    }

    /// Who could run something and waits is served before anyone else is a second time.
    fn a_repository_is_not_overtaken_twice(&mut self, before: usize) {
        let repo_of = |run_id: &RunId| self.model.runs.iter().find(|run| run.id == *run_id).unwrap().repo.clone();
        for order in &self.orders[before..] {
            let Output::Dispatch { run_id } = order else { continue };
            let served = repo_of(run_id);
            self.overtaken.remove(&served);
            for (repo, others) in &mut self.overtaken {
                assert!(others.insert(served.clone()), "{repo} waits while {served} has a second turn");
            }
        }
        // From now on, those that could run something.
        let could: BTreeSet<String> = (self.model.runs.iter())
            .filter(|run| self.model.is_in_line(run) && !self.model.is_full(&run.repo))
            .map(|run| run.repo.clone())
            .collect();
        self.overtaken.retain(|repo, _| could.contains(repo));
        for repo in could {
            self.overtaken.entry(repo).or_default();
        }
    }

    fn bounds_are_kept(&self, before: usize, already_running: usize) {
        let dispatched = self.orders[before..].iter().filter(|order| matches!(order, Output::Dispatch { .. })).count();
        if dispatched > 0 {
            assert!(!self.model.is_halted(), "dispatched while halted");
            assert!(self.model.running().len() <= self.model.max_runs(), "{already_running} and {dispatched} more");
        }
    }

    /// Counts and reasons are those of the model.
    fn what_is_said_is_so(&self) {
        let in_line: BTreeSet<&RunId> =
            self.model.runs.iter().filter(|run| self.model.is_in_line(run)).map(|run| &run.id).collect();
        let running = self.model.running().len();
        let counts = self.queue.counts();
        assert_eq!(counts.values().map(|counts| counts.running).sum::<usize>(), running);
        let waiting: BTreeSet<&RunId> = self.queue.waiting().map(|run| run.run_id).collect();
        assert!(in_line.is_subset(&waiting));
        assert_eq!(counts.values().map(|counts| counts.waiting).sum::<usize>(), waiting.len());
        assert_eq!(self.queue.halted().is_some(), self.model.is_halted());
        assert!(self.model.running().iter().all(|run_id| self.queue.why(run_id).is_some()));
    }

    fn finish(&mut self) {
        while let Some(ask) = self.model.open_asks().first().copied() {
            self.tell(Input::Entered { ask, numbers: Vec::new() });
        }
        self.tell(Input::Configured { limits: Limits { max_runs: 2, min_free_bytes: 0 }, repos: BTreeMap::new() });
        while let Some(run_id) = self.model.running().first().cloned() {
            self.tell(Input::Ended { run_id, state: RunState::Complete });
        }
    }

    /// From orders and answers alone: each run that is in the database was dispatched, aborted or superseded, once; no other was.
    fn every_run_is_served_once(&self) {
        let mut served: BTreeMap<&RunId, usize> = BTreeMap::new();
        let mut superseded: BTreeSet<&RunId> = BTreeSet::new();
        for order in &self.orders {
            match order {
                Output::Dispatch { run_id } | Output::Abort { run_id, .. } => *served.entry(run_id).or_default() += 1,
                Output::Enter { ask, superseded: pairs, .. } if self.model.answers.get(ask) == Some(&Some(true)) => {
                    superseded.extend(pairs.iter().map(|(old, _)| old));
                }
                _ => {}
            }
        }
        let entered = self.orders.iter().filter_map(|order| match order {
            Output::Enter { ask, runs, .. } => Some(runs.iter().map(move |run| (*ask, &run.run_id))),
            _ => None,
        });
        for (ask, run_id) in entered.flatten() {
            let is_in = self.model.answers.get(&ask) == Some(&Some(true));
            let times = served.get(run_id).copied().unwrap_or(0) + usize::from(is_in && superseded.contains(run_id));
            let waits = self.queue.why(run_id).is_some();
            assert_eq!(times, usize::from(is_in && !waits), "{run_id}");
        }
        assert!(self.model.draining || self.queue.is_idle(), "something is left: {:?}", self.queue);
        let adopted = |run: &&crate::model::Run| run.fate == Some(Fate::Dispatched);
        assert_eq!(self.model.runs.iter().filter(adopted).count(), 0);
    }
}

fn holds(steps: Vec<Step>) -> bool {
    let told = Told::new(&steps);
    told.every_run_is_served_once();
    it_does_not_matter_when_orders_are_fetched(&told);
    true
}

fn it_does_not_matter_when_orders_are_fetched(told: &Told) {
    let mut queue = Queue::new();
    for input in &told.inputs {
        queue.handle(input.clone());
    }
    let late: Vec<Output> = std::iter::from_fn(|| queue.poll_output()).collect();
    assert_eq!(late, told.orders);
}

#[test]
fn any_sequence_of_facts_gives_what_the_model_expects() {
    QuickCheck::new().rng(Gen::new(120)).tests(300).quickcheck(holds as fn(Vec<Step>) -> bool);
}
