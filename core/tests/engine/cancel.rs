//! Cancel, once and twice, in every phase of a run.

use quire_core::engine::Input;
use quire_core::wire::RunOutcome;

use quire_fuzz::world::{When, World, check, check_orders};

#[test]
fn commands_are_asked_then_killed_then_deferred_functions_run() {
    let story = check_orders(
        World::new(
            "ci.job('a', function(rt) rt.defer(function() rt.sh('print tidy') end)
               rt.spawn('deaf; sleep 100') pcall(rt.sh, 'sleep 100') rt.log('never') end)
             ci.job('b', {'a'}, function(rt) end) ci.job('c', {'a'}, {needs = 'finished'}, function(rt) end)",
        )
        .cancelled(&[3_000])
        .set(|world| world.sweep_ms = 500),
        "job_started a
         sh_started a 'cmd':'deaf; sleep 100'
         ! spawn a/1
         sh_started a 'cmd':'sleep 100'
         ! spawn a/2
         job_skipped b 'reason':'run_aborted','text':'the run was cancelled'
         job_skipped c 'reason':'run_aborted','text':'the run was cancelled'
         ! Term a/1
         ! Term a/2
         sh_finished a 'exit_code':143,'sh':2,'signal':15,'cause':'cancel'
         ! Kill a/1
         sh_finished a 'exit_code':137,'signal':9,'cause':'cancel'
         ! sweep a
         sh_started a 'cmd':'print tidy'
         ! spawn a/3
         sh_finished a 'exit_code':0
         ! sweep a
         job_finished a 'outcome':'aborted'
         ! sweep the run
         run_finished 'outcome':'aborted'
         ! done aborted",
    );
    assert_eq!((story.ms("! Kill"), story.ms("sh_started a 'cmd':'print tidy'")), (13_000, 13_500));
}

#[test]
fn a_second_cancel_kills_at_once_and_defers_nothing() {
    let body = "rt.defer(function() rt.log('never') end) rt.sh('deaf; sleep 100')";
    let story = check_orders(
        World::job(body).cancelled(&[3_000, 4_000]),
        "job_started a
         sh_started a 'cmd':'deaf; sleep 100'
         ! spawn a/1
         ! Term a/1
         ! Kill a/1
         sh_finished a 'exit_code':137,'signal':9,'cause':'cancel'
         ! sweep a
         ! sweep a
         job_finished a 'outcome':'aborted'
         ! sweep the run
         run_finished 'outcome':'aborted'
         ! done aborted",
    );
    assert_eq!(story.ms("! done"), 4_000);
}

#[test]
fn a_cancel_while_deferred_functions_run_lets_them_and_a_second_does_not() {
    let body = "rt.defer(function() rt.log('other') end) rt.defer(function() rt.sh('deaf; sleep 20') end)";
    let story = World::job(body).cancelled(&[3_000]).run();
    assert_eq!((story.ms("job_logged a 'text':'other'"), story.outcome), (20_000, RunOutcome::Aborted));
    assert!(story.has("job_finished a 'outcome':'complete'"));
    let story = World::job(body).cancelled(&[3_000, 4_000]).run();
    assert!(!story.has("job_logged") && story.ms("! done") == 4_000, "{:#?}", story.script);
    assert!(story.has("sh_finished a 'exit_code':137,'signal':9,'cause':'cancel'"));
    // The same while only what they spawned runs.
    let story = World::job("rt.defer(function() rt.spawn('deaf; sleep 20') end)").cancelled(&[3_000, 4_000]).run();
    assert_eq!(story.ms("! done"), 4_000);
}

#[test]
fn a_cancelled_definition_is_a_run_without_jobs() {
    let world =
        || World::new("print('top') ci.read('x') ci.job('a', function(rt) end)").set(|world| world.answer_ms = 5_000);
    let story = check(world().cancelled(&[1_000]), "run_logged 'text':'top'\nrun_finished 'outcome':'aborted'");
    assert_eq!(story.ms("! done"), 1_000);
    let busy = World::new("while true do end").cancelled(&[20, 30]).set(|world| world.slice_ms = 10);
    check(busy, "run_finished 'outcome':'aborted'");
    // A second cancel does not matter, and what follows is waited for.
    let story = check(
        world().cancelled(&[1_000, 1_001]).with(When::Ms(2_000), Input::Fingerprint(Some("f".into()))).set(|world| {
            world.config.fingerprint_follows = true;
        }),
        "run_logged 'text':'top'\nrun_finished 'outcome':'aborted','fingerprint':'f'",
    );
    assert_eq!(story.ms("! done"), 2_000);
}

#[test]
fn a_cancel_while_sweeping_changes_no_end_but_still_comes_to_one() {
    let world = || World::job("rt.sh('ok')").set(|world| world.sweep_ms = 1_000);
    for cancels in [&[500][..], &[500, 600], &[1_500], &[1_500, 1_600]] {
        let story = world().cancelled(cancels).run();
        assert!(story.has("job_finished a 'outcome':'complete'"), "{cancels:?}");
        assert_eq!(story.ms("! done"), 2_000, "{cancels:?}");
    }
}

#[test]
fn a_failed_job_is_not_retried_in_a_cancelled_run() {
    check(
        World::new("ci.job('a', {retries = 3}, function(rt) rt.defer(function() rt.sh('sleep 5') end) error('x') end)")
            .cancelled(&[1_000]),
        "job_started a
         sh_started a 'cmd':'sleep 5'
         sh_finished a 'exit_code':0
         job_finished a 'outcome':'failed','error':{'message':'x','file':'.quire/ci.lua','line':1}
         run_finished 'outcome':'aborted'",
    );
}

#[test]
fn a_cancel_reaches_a_busy_script() {
    let story = World::job(
        "rt.defer(function() rt.log('deferred') end) while true do pcall(function() while true do end end) end",
    )
    .cancelled(&[50])
    .set(|world| world.slice_ms = 10)
    .run();
    assert_eq!((story.ms("job_logged"), story.ms("job_finished a 'outcome':'aborted'")), (50, 50));
}

#[test]
fn commands_that_wait_for_a_slot_never_start() {
    let story = World::job("for i = 1, 4 do rt.spawn('sleep 9') end rt.sh('sleep 1')").slots(1).cancelled(&[500]).run();
    assert_eq!((story.spawned.len(), story.ms("! done")), (2, 500));
}
