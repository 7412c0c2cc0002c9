//! Rule by rule.

use Supersede::Off;
use quire_core::ids::RunId;
use quire_core::queue::{NotRun, Origin, Output, Supersede, Tip};

use crate::desk::Desk;

#[test]
fn a_push_is_entered_and_then_dispatched() {
    let mut desk = Desk::new(1, &[]);
    desk.push("a", &["main"]);
    desk.orders_are(&["enter 1 [1main]"]);
    desk.entered(1);
    desk.orders_are(&["dispatch 1main"]);
    desk.pushed("a", &["other"]);
    desk.orders_are(&["enter 2 [2other]"]);
    desk.ended("1main");
    desk.orders_are(&["dispatch 2other"]);
    desk.ended("2other");
    assert!(desk.queue.is_idle());
}

#[test]
fn nothing_is_dispatched_before_the_configuration_with_too_little_disk_or_while_stopping() {
    let mut desk = Desk::unconfigured();
    desk.restored("old", "a", "main", false);
    desk.pushed("a", &["other"]);
    desk.orders_are(&["enter 1 [1other]"]);
    desk.disk(4_999_999_999);
    desk.configure(9, &[]);
    desk.orders_are(&[]);
    desk.disk(5_000_000_000);
    desk.orders_are(&["dispatch old", "dispatch 1other"]);
    desk.queue.handle(quire_core::queue::Input::Draining);
    desk.pushed("a", &["third"]);
    desk.orders_are(&["enter 2 [2third]"]);
}

#[test]
fn repositories_take_turns() {
    let mut desk = Desk::new(1, &[]);
    desk.pushed("a", &["1", "2", "3"]);
    desk.pushed("b", &["1", "2"]);
    desk.pushed("c", &["1"]);
    let mut order = Vec::new();
    loop {
        let dispatched = desk.orders().iter().find_map(|line| Some(line.strip_prefix("dispatch ")?.to_owned()));
        let Some(run_id) = dispatched else { break };
        desk.ended(&run_id);
        order.push(run_id);
    }
    assert_eq!(order, ["11", "21", "31", "12", "22", "13"]);
}

#[test]
fn a_repository_has_its_own_bound() {
    let mut desk = Desk::new(3, &[("a", Off, Some(1)), ("c", Off, Some(0))]);
    desk.pushed("a", &["1", "2"]);
    desk.pushed("b", &["1"]);
    desk.pushed("c", &["1"]);
    desk.orders_are(&["enter 1 [11 12]", "dispatch 11", "enter 2 [21]", "dispatch 21", "enter 3 [31]"]);
    desk.configure(3, &[("a", Off, Some(2)), ("c", Off, None)]);
    desk.orders_are(&["dispatch 31"]);
    desk.ended("21");
    desk.orders_are(&["dispatch 12"]);
}

#[test]
fn adopted_runs_take_places() {
    let mut desk = Desk::unconfigured();
    for (run_id, running) in [("1", true), ("2", false), ("3", true)] {
        desk.restored(run_id, "a", "main", running);
    }
    desk.configure(2, &[]);
    desk.orders_are(&[]);
    desk.ended("1");
    desk.orders_are(&["dispatch 2"]);
}

#[test]
fn a_newer_push_takes_the_place_of_what_waits() {
    let mut desk = Desk::new(1, &[("off", Off, None)]);
    desk.pushed("a", &["main"]);
    desk.pushed("a", &["main", "other", "refs/tags/v1"]);
    desk.trigger("a", "main");
    desk.entered(3);
    desk.orders();
    desk.push("a", &["main", "refs/tags/v1"]);
    desk.orders_are(&["enter 4 [4main 4v1] 2main<4main"]);
    desk.entered(4);
    // The default branch's run goes on, and another's is ended.
    desk.orders_are(&[]);
    desk.ended("1main");
    desk.orders_are(&["dispatch 2other"]);
    desk.pushed("a", &["other"]);
    desk.orders_are(&["enter 5 [5other]", "stop 2other by run 5other"]);
    desk.pushed("a", &["other"]);
    desk.orders_are(&["enter 6 [6other] 5other<6other"]);
    // Another repository's policy is its own.
    desk.pushed("off", &["other"]);
    desk.pushed("off", &["other"]);
    desk.orders_are(&["enter 7 [7other]", "enter 8 [8other]"]);
}

#[test]
fn what_a_failed_order_superseded_waits_on() {
    let mut desk = Desk::new(1, &[]);
    desk.pushed("a", &["busy"]);
    desk.pushed("a", &["main"]);
    desk.orders();
    desk.push("a", &["main"]);
    desk.orders_are(&["enter 3 [3main] 2main<3main"]);
    assert_eq!(desk.why("2main"), "a newer push of its ref takes its place");
    desk.ended("1busy");
    desk.orders_are(&[]);
    desk.failed(3);
    desk.orders_are(&["dispatch 2main"]);
    assert_eq!(desk.why("3main"), "-");
    // The default branch: what runs goes on, whatever comes.
    desk.pushed("a", &["main"]);
    desk.orders_are(&["enter 4 [4main]"]);
}

#[test]
fn pushes_may_follow_each_other_faster_than_the_database() {
    for (answers, expected) in [
        // Whether each of the three is entered; what is dispatched in the end.
        ([true, true, true], "dispatch 4main"),
        ([true, true, false], "dispatch 3main"),
        ([true, false, true], "dispatch 4main"),
        ([true, false, false], "dispatch 2main"),
        ([false, true, true], "dispatch 4main"),
        ([false, true, false], "dispatch 3main"),
        ([false, false, true], "dispatch 4main"),
    ] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut desk = Desk::new(1, &[]);
            desk.pushed("a", &["busy"]);
            desk.orders();
            for _ in 0..3 {
                desk.push("a", &["main"]);
            }
            desk.orders_are(&[
                "enter 2 [2main]",
                "enter 3 [3main] 2main<3main",
                "enter 4 [4main] 2main<4main 3main<4main",
            ]);
            for at in order {
                let ask = at as u64 + 2;
                if answers[at] { desk.entered(ask) } else { desk.failed(ask) }
            }
            desk.ended("1busy");
            assert_eq!(desk.orders(), [expected], "{answers:?} in order {order:?}");
            desk.ended(expected.strip_prefix("dispatch ").unwrap());
            assert!(desk.queue.is_idle(), "{:?}", desk.queue);
        }
    }
}

#[test]
fn cancelling_depends_on_how_far_a_run_is() {
    let mut desk = Desk::new(1, &[]);
    desk.pushed("a", &["main", "other"]);
    desk.orders_are(&["enter 1 [1main 1other]", "dispatch 1main"]);
    desk.cancel("1main");
    desk.cancel("1main");
    desk.cancel("1other");
    desk.cancel("1other");
    desk.orders_are(&[
        "stop 1main for 2 by ann",
        "stop 1main for 3 by ann",
        "abort 1other for 4 by ann",
        "nothing 1other for 5",
    ]);
    desk.ended("1main");
    desk.cancel("1main");
    desk.orders_are(&["nothing 1main for 6"]);
    // On its way into the database: once it is there.
    desk.push("a", &["main"]);
    desk.cancel("7main");
    desk.cancel("7main");
    desk.orders_are(&["enter 7 [7main]"]);
    desk.entered(7);
    desk.orders_are(&["abort 7main for 8 by ann", "nothing 7main for 9"]);
    desk.push("a", &["main"]);
    desk.cancel("10main");
    desk.failed(10);
    desk.orders_are(&["enter 10 [10main]", "nothing 10main for 11"]);
    assert!(desk.queue.is_idle());
}

#[test]
fn cancelling_what_is_being_superseded_waits_for_the_answer() {
    for (entered, expected) in [(true, "nothing 2main for 4"), (false, "abort 2main for 4 by ann")] {
        let mut desk = Desk::new(1, &[]);
        desk.pushed("a", &["busy"]);
        desk.pushed("a", &["main"]);
        desk.push("a", &["main"]);
        desk.cancel("2main");
        desk.orders();
        if entered {
            desk.entered(3)
        } else {
            desk.failed(3)
        }
        desk.orders_are(&[expected]);
    }
}

#[test]
fn stopping_for_a_newer_run_is_ordered_once() {
    let mut desk = Desk::new(1, &[]);
    desk.pushed("a", &["other"]);
    desk.cancel("1other");
    desk.pushed("a", &["other"]);
    desk.cancel("1other");
    desk.orders_are(&[
        "enter 1 [1other]",
        "dispatch 1other",
        "stop 1other for 2 by ann",
        "enter 3 [3other]",
        "stop 1other for 4 by ann",
    ]);
}

#[test]
fn a_trigger_keeps_what_was_asked_for() {
    let mut desk = Desk::new(1, &[]);
    desk.trigger("nowhere", "main");
    let Some(Output::Enter { runs, verdicts, .. }) = desk.queue.poll_output() else { panic!("no order") };
    assert_eq!((runs[0].origin.clone(), runs[0].params["level"].as_str()), (Origin::Trigger, "9"));
    assert_eq!(verdicts[0].run, Ok(RunId::new("1main")));
}

fn pipeline() -> Tip {
    Tip::Pipeline { sha: "5ha".to_owned() }
}

#[track_caller]
fn verdicts(first: bool, refs: &[(&str, Tip)]) -> Vec<Result<String, NotRun>> {
    let mut desk = Desk::new(1, &[]);
    desk.push_tips("a", first, refs);
    let Some(Output::Enter { runs, verdicts, .. }) = desk.queue.poll_output() else { panic!("no order") };
    let entered: Vec<_> = runs.into_iter().map(|run| run.run_id).collect();
    let verdicts: Vec<_> = verdicts.into_iter().map(|verdict| verdict.run).collect();
    assert_eq!(verdicts.iter().filter_map(|run| run.clone().ok()).collect::<Vec<_>>(), entered);
    verdicts.into_iter().map(|run| run.map(|run_id| run_id.as_str().to_owned())).collect()
}

#[test]
fn each_ref_gets_its_verdict() {
    let no_pipeline = Tip::NoPipeline { sha: "5ha".to_owned() };
    let refs = [
        ("gone", Tip::Deleted),
        ("main", pipeline()),
        ("refs/tags/tree", Tip::NoCommit),
        ("refs/notes/commits", pipeline()),
        ("bare", no_pipeline),
        ("refs/tags/v1", pipeline()),
    ];
    let run = |name: &str| Ok(name.to_owned());
    assert_eq!(
        verdicts(false, &refs),
        [
            Err(NotRun::Deleted),
            run("1main"),
            Err(NotRun::NoCommit),
            Err(NotRun::Kind),
            Err(NotRun::NoPipeline),
            run("1v1"),
        ]
    );
    assert_eq!(verdicts(true, &refs)[5], Err(NotRun::FirstPush));
    // A first push without the default branch runs the only ref that can.
    assert_eq!(verdicts(true, &[("gone", Tip::Deleted), ("dev", pipeline())])[1], run("1dev"));
    assert_eq!(verdicts(true, &[("x", pipeline()), ("dev", pipeline())])[1], Err(NotRun::FirstPush));
    assert_eq!(verdicts(true, &[("main", Tip::Deleted), ("dev", pipeline())])[1], Err(NotRun::FirstPush));
    assert_eq!(verdicts(false, &[]), []);
}

#[test]
fn of_many_refs_only_the_default_branch_runs() {
    let names: Vec<String> = (0..10).map(|at| format!("b{at}")).collect();
    let mut refs: Vec<(&str, Tip)> = names.iter().map(|name| (name.as_str(), pipeline())).collect();
    assert!(verdicts(false, &refs).iter().all(Result::is_ok));
    refs.push(("main", pipeline()));
    let verdicts = verdicts(false, &refs);
    assert!(verdicts[..10].iter().all(|run| *run == Err(NotRun::ManyRefs { count: 11 })), "{verdicts:?}");
    assert_eq!(verdicts[10], Ok("1main".to_owned()));
}
