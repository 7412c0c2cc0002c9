//! Spawned commands, services, `rt.all`, and the slots of `-j`.

use quire_fuzz::world::{World, check, check_orders};

#[test]
fn a_spawned_command_runs_beside_its_script() {
    check_orders(
        World::job("local h = rt.spawn('sleep 2; print x') rt.sh('sleep 1') rt.log(h:wait().stdout, h:wait().exit)"),
        "job_started a
         sh_started a 'cmd':'sleep 2; print x'
         ! spawn a/1
         sh_started a 'cmd':'sleep 1'
         ! spawn a/2
         sh_finished a 'exit_code':0,'sh':2
         sh_finished a 'exit_code':0
         job_logged a 'text':'x\\n\\t0'
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
}

#[test]
fn a_spawned_command_that_nobody_waits_for_is_waited_for_and_counts() {
    let story = check(
        World::job("rt.spawn('sleep 3; fail 4') rt.spawn('sleep 5') return {x = 1}"),
        "job_started a
         sh_started a 'cmd':'sleep 3; fail 4'
         sh_started a 'cmd':'sleep 5'
         sh_finished a 'exit_code':4,'sh':1
         sh_finished a 'exit_code':0
         job_finished a 'outcome':'failed','error':{'message':'command failed with exit code 4: sleep 3; fail 4','file':'.quire/ci.lua','line':1}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    assert_eq!(story.ms("job_finished"), 5_000);
    let story = World::job("rt.spawn('sleep 3; fail 4', {check = false})").run();
    assert!(story.has("job_finished a 'outcome':'complete'"));
    // What was waited for and caught does not count again.
    let story = World::job("local h = rt.spawn('fail 4') pcall(h.wait, h)").run();
    assert!(story.has("job_finished a 'outcome':'complete'"));
}

#[test]
fn stop_ends_a_command_and_is_no_failure() {
    for (command, finished) in [
        ("sleep 50", "sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'"),
        ("deaf; sleep 50", "sh_finished a 'exit_code':137,'signal':9,'cause':'cancel'"),
        ("term 0; sleep 50", "sh_finished a 'exit_code':0,'cause':'cancel'"),
        ("ok", "sh_finished a 'exit_code':0"),
    ] {
        let story =
            World::job(&format!("local h = rt.spawn('{command}') rt.sh('sleep 1') rt.log(h:stop().exit) h:stop()"))
                .run();
        let lines: Vec<_> = story.lines().into_iter().filter(|line| line.starts_with("sh_finished")).collect();
        assert!(lines.iter().any(|line| line.replace(",'sh':1", "") == finished), "{command}: {lines:?}");
        assert!(story.has("job_finished a 'outcome':'complete'"), "{command}");
    }
}

#[test]
fn all_waits_for_all_and_raises_the_first_error_in_order() {
    let story = check(
        World::job(
            "local ok, e = pcall(rt.all, {'sleep 3; fail 3', rt.spawn('fail 1'), {'sleep', '5'}}) rt.log(e)
            rt.log(rt.all({'print x', {'print', 'y'}})[2].stdout)",
        )
        .slots(3),
        "job_started a
         sh_started a 'cmd':'fail 1'
         sh_started a 'cmd':'sleep 3; fail 3'
         sh_started a 'cmd':'sleep 5'
         sh_finished a 'exit_code':1,'sh':1
         sh_finished a 'exit_code':3,'sh':2
         sh_finished a 'exit_code':0
         job_logged a 'text':'command failed with exit code 3: sleep 3; fail 3'
         sh_started a 'cmd':'print x'
         sh_started a 'cmd':'print y'
         sh_finished a 'exit_code':0,'sh':4
         sh_finished a 'exit_code':0
         job_logged a 'text':'y\\n'
         job_finished a 'outcome':'complete'
         run_finished 'outcome':'complete'",
    );
    assert_eq!(story.ms("job_logged"), 5_000);
}

#[test]
fn slots_are_given_first_come_first_served() {
    let jobs: String = (1..=4).map(|n| format!("ci.job('j{n}', function(rt) rt.sh('sleep {n}') end) ")).collect();
    let story = World::new(&jobs).slots(2).run();
    assert_eq!(story.most_running, 2);
    let starts: Vec<_> = (1..=4).map(|n| story.ms(&format!("sh_started j{n}"))).collect();
    assert_eq!(starts, [0, 0, 1_000, 2_000]);
    // A job whose command would have to wait has not started either.
    assert_eq!(story.ms("job_started j3"), 1_000);
}

#[test]
fn spawned_commands_queue_in_order() {
    let story = World::job("for i = 1, 5 do rt.spawn('sleep ' .. i) end").slots(2).run();
    let starts: Vec<_> = (1..=5).map(|n| story.ms(&format!("sh_started a 'cmd':'sleep {n}'"))).collect();
    assert_eq!((starts, story.most_running), (vec![0, 0, 1_000, 2_000, 4_000], 2));
}

#[test]
fn a_command_that_is_waited_for_passes_slots_held_by_unwaited_ones() {
    let story = World::job("local server = rt.spawn('sleep 100') rt.sh('sleep 1') server:stop()").slots(1).run();
    assert_eq!((story.most_running, story.ms("sh_finished a 'exit_code':0")), (2, 1_000));
    // Not where one of the slots is held by a command that its script waits for.
    let story = World::new(
        "ci.job('a', function(rt) rt.spawn('sleep 5') rt.sh('sleep 2') end)
         ci.job('b', function(rt) rt.sh('ok') end)",
    )
    .slots(1)
    .run();
    assert_eq!((story.ms("sh_started b"), story.most_running), (5_000, 2));
    // Waiting for a queued handle makes it pass as well.
    let story = World::job("rt.spawn('sleep 5') local h = rt.spawn('sleep 1') h:wait()").slots(1).run();
    assert_eq!(story.ms("sh_started a 'cmd':'sleep 1'"), 0);
}

#[test]
fn services_take_no_slot_and_are_stopped_at_the_job_s_end_before_deferred_functions() {
    let story = check_orders(
        World::job(
            "rt.defer(function() rt.log('deferred') end) rt.spawn('sleep 999', {service = true}) rt.sh('sleep 1')",
        )
        .slots(1),
        "job_started a
         sh_started a 'cmd':'sleep 999'
         ! spawn a/1
         sh_started a 'cmd':'sleep 1'
         ! spawn a/2
         sh_finished a 'exit_code':0,'sh':2
         ! Term a/1
         sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'
         job_logged a 'text':'deferred'
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!(story.most_running, 2);
    let story = World::job("rt.spawn('fail 1', {service = true}) rt.sh('sleep 1')").run();
    assert!(story.has("job_finished a 'outcome':'complete'"), "a service's end does not count");
}

#[test]
fn a_failing_function_ends_what_it_spawned() {
    let story = check_orders(
        World::job("rt.spawn('sleep 50') rt.spawn('sleep 60') rt.spawn('sleep 70') error('no')"),
        "job_started a
         sh_started a 'cmd':'sleep 50'
         ! spawn a/1
         sh_started a 'cmd':'sleep 60'
         ! spawn a/2
         ! Term a/1
         ! Term a/2
         sh_finished a 'exit_code':143,'sh':1,'signal':15,'cause':'cancel'
         sh_finished a 'exit_code':143,'signal':15,'cause':'cancel'
         ! sweep a
         job_finished a 'outcome':'failed','error':{'message':'no','file':'.quire/ci.lua','line':1}
         ! sweep the run
         run_finished 'outcome':'failed','failure_kind':'job'
         ! done failed",
    );
    assert_eq!(story.ms("! done"), 0);
}
