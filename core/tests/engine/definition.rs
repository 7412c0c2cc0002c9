//! The top level of a pipeline: what it may ask, what it prints, and pipelines that cannot run.

use quire_fuzz::world::{World, check, check_orders};

#[test]
fn a_pipeline_that_is_wrong_is_a_run_without_jobs() {
    let story = World::new(
        "print('so far')\nci.job('b', {'biuld'}, function(rt) end)\nci.job('..', function(rt) end)\nci.job('c', 7)",
    )
    .run();
    assert!(story.script[0].1.contains("'jobs':[]"), "{:?}", story.script[0]);
    let lines = story.lines();
    assert_eq!(lines[0], "run_logged 'text':'so far'");
    assert_eq!((lines.len(), story.diagnostics.len()), (5, 3), "{lines:#?}");
    for (line, start) in lines[1..].iter().zip([
        "run_logged 'text':'error: unknown input \\'biuld\\'\\n  --> .quire/ci.lua:2:14",
        "run_logged 'text':'error: invalid job id \\'..\\'",
        "run_logged 'text':'error: ci.job \\'c\\': the last argument is the function to run, not a number",
        "run_finished 'outcome':'failed','failure_kind':'pipeline','error':{'message':'unknown input \\'biuld\\'','file':'.quire/ci.lua','line':2}",
    ]) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn what_stops_the_top_level_is_told_with_what_it_printed() {
    for (pipeline, message) in [
        ("print('x') error('boom')", "boom"),
        ("print('x') ci.read('nope')", "cannot read nope: no such file"),
        (
            "print('x') while true do end",
            "the script ran 1000000 instructions without asking for anything: an endless loop?",
        ),
        ("print('x') while true do ci.read('there') end", "the top level asked or printed more than 10000 times"),
        ("while true do print('x') end", "the top level asked or printed more than 10000 times"),
        (
            "print('x') print(('y'):rep(2^20))",
            "the top level asked or printed more than 10000 times, or printed more than 1 MiB",
        ),
        ("print('x') local x = nil + 1", "attempt to perform arithmetic on a nil value"),
        ("print('x') rt.sh('y')", "rt is not there in a pipeline: rt is the argument of a job's function"),
        ("print('x') local t = {} for i = 1, 1e9 do t[i] = {i} end", "the script needs more memory than a VM may have"),
    ] {
        let limited = |world: &mut World| {
            world.config.limits.instructions = if pipeline.contains("1e9") { 200_000_000 } else { 1_000_000 }
        };
        let story = World::new(pipeline).file("there", "").set(limited).run();
        assert!(story.has("run_logged 'text':'x'"), "{pipeline}");
        assert!(story.diagnostics[0].message.starts_with(message), "{pipeline}: {:?}", story.diagnostics);
        assert_eq!(story.diagnostics[0].place.as_ref().unwrap().line, 1, "{pipeline}");
        assert!(story.has("run_finished 'outcome':'failed','failure_kind':'pipeline'"), "{pipeline}");
    }
    let story = World::new("local x = = 1").run();
    assert!(story.diagnostics[0].message.contains("unexpected symbol near '='"), "{:?}", story.diagnostics);
}

#[test]
fn questions_are_asked_once_and_answered_the_same_in_every_vm() {
    let story = check_orders(
        World::new(
            "print('once') local version = ci.read('version') .. ci.read('version')
             for _, file in ipairs(ci.glob('src/*')) do
               ci.job(file:match('%a+$'), function(rt) rt.log(version, ci.hash('src/*'), ci.read('version')) end)
             end",
        )
        .file("version", "1")
        .file("src/x", "")
        .file("src/y", "")
        .slots(1)
        .set(|world| world.answer_ms = 5),
        "! read version
         ! glob src/*
         run_logged 'text':'once'
         job_started x
         ! hash src/*
         job_started y
         ! hash src/*
         ! read version
         ! read version
         job_logged x 'text':'11\\thash of src/*\\t1'
         job_finished x 'outcome':'complete'
         job_logged y 'text':'11\\thash of src/*\\t1'
         job_finished y 'outcome':'complete'
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert!(
        story.script[2].1.contains("'jobs':[{'id':'x','inputs':['quire/push']},{'id':'y','inputs':['quire/push']}]")
    );
}

#[test]
fn chance_at_the_top_level_falls_alike_in_every_vm() {
    let story = World::new(
        "local n = math.random(1000000)
         ci.job('j' .. n, function(rt) rt.log(n, math.random(1000000)) end)
         ci.job('k' .. n, function(rt) rt.log(n, math.random(1000000)) end)",
    )
    .run();
    let logged: Vec<_> = story.lines().into_iter().filter_map(|line| line.split("'text':'").nth(1)).collect();
    let numbers: Vec<_> = logged.iter().map(|text| text.split("\\t").collect::<Vec<_>>()).collect();
    assert_eq!(numbers.len(), 2, "{:#?}", story.script);
    assert_eq!(numbers[0][0], numbers[1][0]);
    assert_ne!(numbers[0][1], numbers[1][1], "each job has chances of its own");
}

#[test]
fn an_image_is_refused_unless_an_executor_was_chosen() {
    let world = || World::new("\nci.image('debian:12') ci.job('a', function(rt) end)");
    let story = world().run();
    let told = story.diagnostics[0].to_string();
    assert!(told.contains("--> .quire/ci.lua:2") && told.contains("2 | ci.image("), "{told}");
    assert!(story.has("run_finished 'outcome':'failed','failure_kind':'pipeline','error':{'message':'the pipeline wants to run in the image \\'debian:12\\'"));
    assert!(story.diagnostics[0].help.as_ref().unwrap().contains("--executor host"));
    check(
        world().set(|world| world.config.executor_forced = true),
        "job_started a\njob_finished a 'outcome':'complete'\nrun_finished 'outcome':'complete'",
    );
}

#[test]
fn modules_and_a_version_can_be_asked_for() {
    let with = |pipeline: &str, module: &str| {
        World::new(pipeline).set(|world| {
            world.config.source.modules.insert(".quire/lib/m.lua".into(), module.into());
        })
    };
    let job =
        "local m = require 'm' ci.quire '1' ci.job('a', function(rt) rt.log(m.x, require('m') == m) m.fail() end)";
    check(
        with(job, "return {x = 1,\nfail = function() error('in m') end}"),
        "job_started a
         job_logged a 'text':'1\\ttrue'
         job_finished a 'outcome':'failed','error':{'message':'in m','file':'.quire/lib/m.lua','line':2}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    let story = with("require 'm'", "\n\nlocal x = = 1").run();
    let place = story.diagnostics[0].place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line), (".quire/lib/m.lua", 3));
    let story = World::new("ci.quire '2'").run();
    assert!(story.diagnostics[0].message.starts_with("this quire speaks version 1"));
}

#[test]
fn defaults_hold_for_the_jobs_after_them() {
    let story = World::new(
        "ci.job('a', function(rt) rt.sh('getenv X') end)
         ci.defaults {retries = 1, env = {X = 'd', Y = 'd'}}
         ci.job('b', {env = {X = 'own'}}, function(rt) rt.log(rt.out('getenv X'), rt.out('getenv Y')) if rt.attempt == 1 then error() end end)",
    )
    .run();
    assert!(story.has("job_logged b 'text':'own\\td'") && story.has("job_retried b"), "{:#?}", story.script);
}

#[test]
fn the_fingerprint_is_waited_for_and_told() {
    use quire_core::engine::Input;
    use quire_fuzz::world::When;
    for at in [0, 700] {
        let world = World::job("").set(|world| world.config.fingerprint_follows = true);
        let story = check(
            world.with(When::Ms(at), Input::Fingerprint(Some("f".into()))),
            "job_started a\njob_finished a 'outcome':'complete'\nrun_finished 'outcome':'complete','fingerprint':'f'",
        );
        assert_eq!(story.ms("! done"), at);
    }
}
