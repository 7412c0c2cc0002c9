//! What an earlier run's record answers, and what runs.

use quire_core::replay::Extent;
use quire_core::wire::RunOutcome;

use quire_fuzz::world::{Story, World, check_orders, sh};

/// The commands that a resume of the story starts.
fn started(world: World, story: &Story, extent: Extent) -> (Vec<String>, Story) {
    let resumed = world.resuming(&story.events, &story.raw_logs, extent).run();
    (resumed.spawned.keys().map(ToString::to_string).collect(), resumed)
}

#[test]
fn what_succeeded_is_answered_and_the_rest_runs() {
    let world = || World::job("rt.sh('print a; sleep 5'); rt.log(rt.out('put b')); rt.sh('fail_first 1'); rt.sh('ok')");
    let first = world().run();
    assert_eq!(first.outcome, RunOutcome::Failed);
    let resumed = check_orders(
        world().resuming(&first.events, &first.raw_logs, Extent::Resume),
        "job_started a
        sh_started a 'cmd':'print a; sleep 5'
        ! recall a/1 from a/1
        sh_finished a 'exit_code':0,'replayed':true
        sh_started a 'cmd':'put b'
        ! recall a/2 from a/2
        sh_finished a 'exit_code':0,'no_eol':['stdout'],'replayed':true
        job_logged a 'text':'b'
        sh_started a 'cmd':'fail_first 1'
        ! spawn a/3
        sh_finished a 'exit_code':1
        ! sweep a
        job_finished a 'outcome':'failed','error':{'message':'command failed with exit code 1: fail_first 1','file':'.quire/ci.lua','line':1}
        ! sweep the run
        run_finished 'outcome':'failed','failure_kind':'job'
        ! done failed",
    );
    // What was replayed is recorded again, with its log: it is answered a second time.
    let (again, _) = started(world(), &resumed, Extent::Resume);
    assert_eq!(again, ["a/3"]);
    assert_eq!(resumed.raw_logs[&sh("a", 1)], first.raw_logs[&sh("a", 1)]);
}

/// Three jobs in a row, the last of which fails.
fn chain() -> World {
    World::new(
        "ci.job('build', function(rt) rt.sh('print built; sleep 1'); rt.sh('fail 3', {check = false}); rt.log('made') return {bin = 'x'} end)
         ci.job('test', {'build'}, function(rt) rt.sh('print ' .. rt.jobs('build').bin) rt.sh('sleep 1') return {n = math.random(100)} end)
         ci.job('ship', {'test'}, function(rt) rt.sh('ok') rt.sh('print ' .. rt.jobs('test').n .. '; fail 1') end)",
    )
}

#[test]
fn completed_jobs_are_answered_whole() {
    let first = chain().run();
    let (commands, resumed) = started(chain(), &first, Extent::Resume);
    assert_eq!(commands, ["ship/2"]);
    let lines = resumed.lines();
    let of_build: Vec<_> = lines.iter().filter(|line| line.contains(" build ")).copied().collect();
    assert_eq!(
        of_build,
        [
            "sh_started build 'cmd':'print built; sleep 1'",
            "sh_finished build 'exit_code':0,'replayed':true",
            "sh_started build 'cmd':'fail 3'",
            "sh_finished build 'exit_code':3,'replayed':true",
            "job_logged build 'text':'made'",
            "job_finished build 'outcome':'complete','output':{'bin':'x'},'replayed':true",
        ]
    );
    assert!(resumed.has("run_started 'run_id':'r-1+'") && resumed.script[0].1.contains("'resumed_from':'r-1'"));
}

#[test]
fn failed_jobs_run_afresh_where_that_is_asked() {
    let (commands, resumed) = started(chain(), &chain().run(), Extent::Failed);
    assert_eq!(commands, ["ship/1", "ship/2"]);
    assert_eq!(resumed.outcome, RunOutcome::Failed);
}

#[test]
fn a_changed_pipeline_is_answered_command_by_command() {
    let first = chain().run();
    let changed = chain().set(|world| {
        let text = String::from_utf8(world.config.source.text.clone()).unwrap();
        world.config.source.text = text.replace("'sleep 1')", "'sleep 2')").into_bytes();
    });
    let (commands, resumed) = started(changed, &first, Extent::Resume);
    assert_eq!(commands, ["build/2", "ship/2", "test/2"]);
    let told = "job_logged test 'text':'the record answers nothing from command 2 on: recorded `sleep 1`, now `sleep 2` at .quire/ci.lua:2'";
    assert!(resumed.has(told), "{:#?}", resumed.lines());
}

#[test]
fn secrets_are_not_in_the_record_and_so_not_answered() {
    let world = || World::job("rt.sh('print ' .. rt.secret('T')); rt.sh('ok') rt.sh('fail 1')").secret("T", "hunter22");
    let (commands, resumed) = started(world(), &world().run(), Extent::Resume);
    assert_eq!(commands, ["a/1", "a/2", "a/3"]);
    assert!(resumed.has(
        "job_logged a 'text':'the record answers nothing from command 1 on: `print ***`: its output held a secret"
    ));
}

#[test]
fn parallel_commands_end_as_they_ended() {
    let world = || World::job("rt.all{'sleep 3', 'sleep 1', 'sleep 2'} rt.sh('fail 1')").slots(3);
    let (commands, resumed) = started(world(), &world().run(), Extent::Resume);
    assert_eq!(commands, ["a/4"]);
    let ends: Vec<_> = resumed.lines().into_iter().filter(|line| line.contains("replayed")).collect();
    assert_eq!(
        ends,
        [
            "sh_finished a 'exit_code':0,'sh':2,'replayed':true",
            "sh_finished a 'exit_code':0,'sh':3,'replayed':true",
            "sh_finished a 'exit_code':0,'replayed':true",
        ]
    );
}

#[test]
fn a_run_that_died_goes_on_where_it_was() {
    let world = || World::job("for i = 1, 4 do rt.sh('print ' .. i .. '; sleep 1') end");
    let whole = world().run();
    for cut in 1..whole.events.len() - 1 {
        let events = &whole.events[..cut];
        let ended = events.iter().filter(|event| event.kind.name() == "sh_finished").count();
        let resumed = world().resuming(events, &whole.raw_logs, Extent::Resume).run();
        let job_ended = events.iter().any(|event| event.kind.name() == "job_finished");
        assert_eq!(resumed.spawned.len(), if job_ended { 0 } else { 4 - ended }, "cut at {cut}");
        assert_eq!(resumed.outcome, RunOutcome::Complete);
        let texts: Vec<_> = whole.lines().iter().map(|line| line.to_string()).collect();
        let again: Vec<_> = resumed.lines().iter().map(|line| line.replace(",'replayed':true", "")).collect();
        assert_eq!(again, texts, "cut at {cut}");
    }
}

#[test]
fn a_lost_log_is_no_answer() {
    let world = || World::job("rt.sh('print a'); rt.sh('print b'); rt.sh('fail 1')");
    let first = world().run();
    let mut logs = first.raw_logs.clone();
    logs.remove(&sh("a", 2));
    let resumed = world().resuming(&first.events, &logs, Extent::Resume).run();
    assert_eq!(resumed.spawned.keys().collect::<Vec<_>>(), [&sh("a", 2), &sh("a", 3)]);
    assert!(
        resumed.has("job_logged a 'text':'the record answers nothing from command 2 on: `print b`: its log is gone")
    );
    // One that is found damaged only when it is read runs after all, under its name.
    logs.insert(sh("a", 2), b"torn".to_vec());
    let resumed = world().resuming(&first.events, &logs, Extent::Resume).run();
    assert_eq!(resumed.spawned.keys().collect::<Vec<_>>(), [&sh("a", 2), &sh("a", 3)]);
    assert!(
        resumed
            .has("job_logged a 'text':'the record answers nothing from here on: the log of command 2 cannot be read")
    );
}

#[test]
fn only_the_first_attempt_is_answered_and_only_from_the_last_one() {
    let world =
        || World::new("ci.job('a', {retries = 1}, function(rt) rt.sh('ok') rt.sh('put x') rt.sh('fail 1') end)");
    let first = world().run();
    let (commands, resumed) = started(world(), &first, Extent::Resume);
    assert_eq!(commands, ["a/3", "a/4", "a/5", "a/6"]);
    assert!(resumed.script.iter().any(|(_, line)| line == "! recall a/1 from a/4"), "{:#?}", resumed.script);
}

#[test]
fn a_whole_job_takes_no_slot_and_a_service_runs() {
    let world = || {
        World::new(
            "ci.job('a', function(rt) rt.spawn('sleep 60', {service = true}) rt.sh('ok') rt.sh('fail 1') end)
             ci.job('b', function(rt) rt.sh('print b') end)",
        )
        .slots(1)
        .set(|world| world.config.keep_going = true)
    };
    let (commands, resumed) = started(world(), &world().run(), Extent::Resume);
    assert_eq!(commands, ["a/1", "a/2", "a/3"]);
    assert!(resumed.has("job_finished b 'outcome':'complete','replayed':true"));
}

#[test]
fn a_lost_record_ends_a_replay_too() {
    let first = chain().run();
    let (_, resumed) = started(chain(), &first, Extent::Resume);
    for at in 0..resumed.events.len() {
        for gathers in [false, true] {
            let world = chain().resuming(&first.events, &first.raw_logs, Extent::Resume);
            let story = world.set(|world| (world.unwritable, world.shell.gathers) = (Some(at), gathers)).run();
            assert_eq!(story.events.len(), at);
        }
    }
}

/// A resume of a run of `pipeline` whose log of a/1 is damaged; answers take 100 ms.
fn with_a_damaged_log(pipeline: &str) -> World {
    let world = || World::new(pipeline).slots(1).set(|world| world.config.keep_going = true);
    let first = world().run();
    let mut logs = first.raw_logs.clone();
    logs.insert(sh("a", 1), b"torn".to_vec());
    world().set(|world| world.answer_ms = 100).resuming(&first.events, &logs, Extent::Resume)
}

/// Found by the simulated world, seed 4003 of 2026-11-22: it started beside what held the slot.
#[test]
fn a_command_that_runs_after_all_waits_for_a_slot() {
    let story = with_a_damaged_log(
        "ci.job('a', function(rt) rt.sh('print a') rt.sh('fail 1') end)
         ci.job('b', function(rt) rt.sh('sleep 5; fail 1') end)",
    )
    .run();
    assert_eq!((story.most_running, story.ms("! spawn b/1"), story.ms("! spawn a/1")), (1, 0, 5_000));
}

/// Found by the simulated world likewise: it was started though the run had been cancelled, or its record was lost.
#[test]
fn a_command_that_cannot_be_answered_is_not_started_after_a_cancel() {
    let pipeline = "ci.job('a', function(rt) rt.sh('print a') rt.sh('fail 1') end)";
    let story = with_a_damaged_log(pipeline).cancelled(&[50]).run();
    assert!(story.spawned.is_empty(), "{:#?}", story.script);
    assert!(
        story.has("sh_finished a 'exit_code':126,'error':{'message':'stopped before it started'},'cause':'cancel'")
    );
    let story = with_a_damaged_log(pipeline).set(|world| world.unwritable = Some(3)).run();
    assert!(story.spawned.is_empty(), "{:#?}", story.script);
}
