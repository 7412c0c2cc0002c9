//! Deferred functions: when they run, how long, and what their errors do.

use quire_core::engine::Input;

use quire_fuzz::world::{When, World, check, check_orders};

const BOTH: &str = "rt.defer(function() rt.log('first') end) rt.defer(function() rt.sh('ok') rt.log('second') end) ";

#[test]
fn they_run_last_in_first_out_after_every_end() {
    for (body, end) in [
        ("return {x = 1}", "job_finished a 'outcome':'complete','output':{'x':1}"),
        ("error('no')", "job_finished a 'outcome':'failed','error':{'message':'no'"),
        ("rt.skip('x')", "job_skipped a 'reason':'pipeline','text':'x'"),
        ("rt.sh('sleep 100')", "job_finished a 'outcome':'failed','error':{'message':'the job timed out after 50s'"),
        (
            "while true do end",
            "job_finished a 'outcome':'failed','error':{'message':'the script ran 1000000 instructions",
        ),
        ("rt.log('cancel')", "job_finished a 'outcome':'aborted'"),
    ] {
        let world = World::new(&format!("ci.job('a', {{timeout = 50}}, function(rt) {BOTH} {body} end)"))
            .with(When::Line("job_logged a 'text':'cancel'"), Input::Cancel)
            .set(|world| world.config.limits.instructions = 1_000_000);
        let story = world.run();
        let lines = story.lines();
        let at = |start: &str| {
            let found = lines.iter().position(|line| line.starts_with(start));
            found.unwrap_or_else(|| panic!("{body}: no {start} in {lines:#?}"))
        };
        assert!(at("job_logged a 'text':'second'") < at("job_logged a 'text':'first'"), "{body}");
        assert!(at("job_logged a 'text':'first'") < at(end), "{body}");
    }
}

#[test]
fn an_error_in_one_is_told_and_hides_no_other() {
    check(
        World::job(
            "rt.defer(function() rt.log('still runs') end) rt.defer(function() error('late') end) error('early')",
        ),
        "job_started a
         job_logged a 'text':'a deferred function failed at .quire/ci.lua:1: late'
         job_logged a 'text':'still runs'
         job_finished a 'outcome':'failed','error':{'message':'early','file':'.quire/ci.lua','line':1}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    // Where there is no error yet, it is the first.
    for body in ["return {x = 1}", "rt.skip()"] {
        check(
            World::job(&format!("rt.defer(function() error('third') end) rt.defer(function() rt.sh('fail 2') end) {body}")),
            "job_started a
             sh_started a 'cmd':'fail 2'
             sh_finished a 'exit_code':2
             job_logged a 'text':'a deferred function failed at .quire/ci.lua:1: third'
             job_finished a 'outcome':'failed','error':{'message':'command failed with exit code 2: fail 2','file':'.quire/ci.lua','line':1}
             run_finished 'outcome':'failed','failure_kind':'job'",
        );
    }
}

#[test]
fn they_have_60_seconds_in_all() {
    let story = check_orders(
        World::job("rt.defer(function() rt.log('never') end) rt.defer(function() rt.sh('sleep 50') end) rt.defer(function() pcall(rt.sh, 'sleep 20') end)"),
        "job_started a
         sh_started a 'cmd':'sleep 20'
         ! spawn a/1
         sh_finished a 'exit_code':0
         sh_started a 'cmd':'sleep 50'
         ! spawn a/2
         ! Term a/2
         sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'
         ! sweep a
         job_finished a 'outcome':'failed','error':{'message':'the deferred functions ran longer than 1m00s and were ended','file':'.quire/ci.lua','line':1}
         ! sweep the run
         run_finished 'outcome':'failed','failure_kind':'job'
         ! done failed",
    );
    assert_eq!(story.ms("! Term"), 60_000);
}

#[test]
fn their_clock_stands_still_while_they_wait_for_a_slot() {
    let story = World::new(
        "ci.job('a', function(rt) rt.defer(function() rt.sh('sleep 1') end) rt.read_file('x') end)
         ci.job('b', function(rt) rt.sh('sleep 300') end)",
    )
    .slots(1)
    .file("x", "")
    .set(|world| world.answer_ms = 1_000)
    .run();
    assert_eq!((story.ms("sh_started a"), story.ms("job_finished a 'outcome':'complete'")), (300_000, 301_000));
    // It goes on from where it stood: 40 s of 60, 20 s of the 20 left.
    let story = World::job("rt.defer(function() for i = 1, 2 do rt.spawn('sleep 40') end end)").slots(1).run();
    let cut = "sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'";
    assert_eq!((story.ms("sh_started a"), story.has(cut)), (0, false), "{:#?}", story.script);
    let story = World::job("rt.defer(function() rt.sh('sleep 40') rt.sh('sleep 40') end)").slots(1).run();
    assert_eq!(story.ms(cut), 60_000);
}

#[test]
fn what_they_spawn_is_waited_for_and_counts() {
    check(
        World::job("rt.spawn('ok') rt.defer(function() rt.spawn('sleep 3; fail 4') end) rt.defer(function() rt.spawn('sleep 9', {service = true}) end)"),
        "job_started a
         sh_started a 'cmd':'ok'
         sh_finished a 'exit_code':0
         sh_started a 'cmd':'sleep 9'
         sh_started a 'cmd':'sleep 3; fail 4'
         sh_finished a 'exit_code':4,'sh':3
         sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'
         job_finished a 'outcome':'failed','error':{'message':'command failed with exit code 4: sleep 3; fail 4','file':'.quire/ci.lua','line':1}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    // What the job's function left and was ended does not count against them.
    let story = World::job("rt.defer(function() rt.sh('ok') end) rt.spawn('sleep 50') rt.sh('ok') rt.skip('x')").run();
    assert!(story.has("job_skipped a 'reason':'pipeline'"), "{:#?}", story.script);
}

#[test]
fn one_that_defers_itself_for_ever_has_60_seconds_too() {
    let story = World::job("local function again() rt.defer(again) end rt.defer(again)")
        .set(|world| world.slice_ms = 1_000)
        .run();
    assert!(
        story.has("job_finished a 'outcome':'failed','error':{'message':'the deferred functions ran longer than 1m00s")
    );
}

#[test]
fn skip_in_one_ends_only_that_one() {
    check(
        World::job("rt.defer(function() rt.log('other') end) rt.defer(function() rt.skip('x') rt.log('never') end)"),
        "job_started a
         job_logged a 'text':'other'
         job_finished a 'outcome':'complete'
         run_finished 'outcome':'complete'",
    );
}

#[test]
fn each_attempt_has_its_own() {
    check(
        World::new(
            "ci.job('a', {retries = 1}, function(rt) rt.defer(function() rt.log('end of', rt.attempt) end) if rt.attempt == 1 then error('x') end end)",
        ),
        "job_started a
         job_logged a 'text':'end of\\t1'
         job_retried a 'attempt':2,'error':{'message':'x','file':'.quire/ci.lua','line':1}
         job_logged a 'text':'end of\\t2'
         job_finished a 'outcome':'complete','flaky':true
         run_finished 'outcome':'complete'",
    );
}
