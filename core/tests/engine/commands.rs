//! Commands: what they are given, how they end, what the script and the record are told.

use quire_core::engine::{CommandSpec, Limits};
use quire_core::ids::ShId;
use std::collections::BTreeMap;
use std::time::Duration;

use quire_fuzz::world::{Story, World, check, check_orders, sh};

/// Lines of a run of one job `a` without its frame.
#[track_caller]
fn check_job(body: &str, expected: &str) -> Story {
    check(World::job(body), &format!("job_started a\n{expected}\nrun_finished 'outcome':'complete'"))
}

#[test]
fn a_run_is_recorded_and_ordered_step_by_step() {
    let story = check_orders(
        World::job("rt.sh('print hello')"),
        "job_started a
         sh_started a 'cmd':'print hello'
         ! spawn a/1
         sh_finished a 'exit_code':0
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!(
        story.script[0].1,
        "run_started 'run_id':'r-1','version':'0.1.0','executor':'host','sha':'5ha','ref':'refs/heads/main','seed':7,\
         'jobs':[{'id':'a','inputs':['quire/push']}],'number':41,'pipeline':'7db90386f06f0cef321ad403b2ccf978'"
    );
    assert_eq!(story.logs[&sh("a", 1)], "hello");
}

#[test]
fn a_script_is_told_how_a_command_ended() {
    for (command, told) in [
        ("rt.sh('print x; err y')", "0 x\n|y\n||false"),
        ("rt.sh('put x; fail 3', {check = false})", "3 x||nil|false"),
        ("rt.sh('signal 9', {check = false})", "137 ||9|false"),
        ("rt.sh('cat', {stdin = 'in\\0put'})", "0 in\0put||nil|false"),
        ("rt.sh('print x; err y', {merge = true})", "0 x\ny\n||nil|false"),
        ("rt.sh({'print', 'x y'})", "0 x y\n||nil|false"),
        ("rt.sh('missing', {check = false})", "127 ||nil|false"),
        ("rt.sh('nocwd', {check = false})", "126 ||nil|false"),
        ("rt.sh('broken', {check = false})", "126 ||nil|false"),
    ] {
        let body = format!(
            "local r = {command} return {{told = r.exit .. ' ' .. r.stdout .. '|' .. r.stderr .. '|' ..
            tostring(r.signal) .. '|' .. tostring(r.truncated)}}"
        );
        let story = World::job(&body).run();
        let told = told.replace("||false", "|nil|false").replace("'", "");
        let finished = story.events.iter().find_map(|event| match &event.kind {
            quire_core::wire::EventKind::JobFinished(finished) => finished.output.clone(),
            _ => None,
        });
        assert_eq!(finished.unwrap()["told"], told, "{command}");
    }
}

#[test]
fn a_failed_command_raises_and_can_be_caught() {
    check(
        World::job("\nrt.sh('fail 3')"),
        "job_started a
         sh_started a 'cmd':'fail 3'
         sh_finished a 'exit_code':3
         job_finished a 'outcome':'failed','error':{'message':'command failed with exit code 3: fail 3','file':'.quire/ci.lua','line':2}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    check_job(
        "local ok, e = pcall(rt.sh, 'signal 11')
         rt.log(tostring(e), e.exit, e.signal, e.timeout, e.cmd, e.message == tostring(e), e.result.exit)",
        "sh_started a 'cmd':'signal 11'
         sh_finished a 'exit_code':139,'signal':11
         job_logged a 'text':'command was ended by SIGSEGV: signal 11\\t139\\t11\\tfalse\\tsignal 11\\ttrue\\t139'
         job_finished a 'outcome':'complete'",
    );
}

#[test]
fn a_command_that_cannot_start_has_an_end_too() {
    let body = "for _, cmd in ipairs {'missing', 'nocwd', 'broken'} do
        local ok, e = pcall(rt.sh, {cmd}, {cwd = 'sub'}) rt.log(tostring(e), e.exit) end";
    check_job(
        body,
        "sh_started a 'cmd':'missing','cwd':'sub'
         sh_finished a 'exit_code':127,'error':{'message':'program not found: missing (PATH: /bin)'}
         job_logged a 'text':'program not found: missing (PATH: /bin)\\t127'
         sh_started a 'cmd':'nocwd','cwd':'sub'
         sh_finished a 'exit_code':126,'error':{'message':'cannot run in directory \\'sub\\': no such directory'}
         job_logged a 'text':'cannot run in directory \\'sub\\': no such directory\\t126'
         sh_started a 'cmd':'broken','cwd':'sub'
         sh_finished a 'exit_code':126,'error':{'message':'cannot start broken: exec format error'}
         job_logged a 'text':'cannot start broken: exec format error\\t126'
         job_finished a 'outcome':'complete'",
    );
}

fn spec(story: &Story, id: &ShId) -> CommandSpec {
    story.spawned[id].clone()
}

#[test]
fn a_command_gets_argv_directory_and_environment() {
    let story = World::new(
        "ci.job('a', {env = {JOB = 'j', BOTH = 'j', GONE = false}, cwd = 'sub', shell = 'bash'}, function(rt)
           rt.sh('ok') rt.sh('ok', {shell = 'sh', cwd = '/tmp', env = {BOTH = 'c', N = 5, HOME = false}}) rt.sh {'ok'} end)",
    )
    .set(|world| {
        world.config.env.insert("FORCE_COLOR".into(), "0".into());
    })
    .run();
    let words =
        |n| spec(&story, &sh("a", n)).argv.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>();
    assert_eq!(words(1).join(" "), "bash -eo pipefail -c ok");
    assert_eq!(words(2).join(" "), "sh -e -c ok");
    assert_eq!(words(3).join(" "), "ok");
    let (first, second) = (spec(&story, &sh("a", 1)), spec(&story, &sh("a", 2)));
    assert_eq!((first.cwd.as_str(), second.cwd.as_str()), ("sub", "/tmp"));
    assert_eq!(first.stdin, None);
    let some = |text: &str| Some(text.to_owned());
    let expected: BTreeMap<String, Option<String>> = [
        ("BOTH", some("j")),
        ("CARGO_TERM_COLOR", some("always")),
        ("CI", some("true")),
        ("CLICOLOR_FORCE", some("1")),
        ("GONE", None),
        ("JOB", some("j")),
        ("PYTHONUNBUFFERED", some("1")),
        ("QUIRE_JOB_ID", some("a")),
        ("QUIRE_REF", some("refs/heads/main")),
        ("QUIRE_RUN_ID", some("r-1")),
        ("QUIRE_RUN_NUMBER", some("41")),
        ("QUIRE_SH", some("r-1/a/1")),
        ("QUIRE_SHA", some("5ha")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    assert_eq!(first.env, expected);
    assert_eq!((&second.env["BOTH"], &second.env["N"], &second.env["HOME"]), (&some("c"), &some("5"), &None));
}

#[test]
fn a_start_says_what_the_pipeline_gave_and_nothing_where_it_gave_nothing() {
    check(
        World::new(
            "ci.job('a', function(rt) rt.sh('ok') rt.sh {'ok'} end)
             ci.job('b', {'a'}, {env = {JOB = 'j', BOTH = 'j', GONE = false, CI = 'no'}, cwd = 'sub', shell = 'bash'}, function(rt)
               rt.sh('ok') rt.sh('ok', {shell = 'sh', cwd = '/tmp', env = {BOTH = 'c'}, retries = 1}) rt.sh {'ok'} end)",
        ),
        "job_started a
         sh_started a 'cmd':'ok'
         sh_finished a 'exit_code':0
         sh_started a 'cmd':'ok'
         sh_finished a 'exit_code':0
         job_finished a 'outcome':'complete'
         job_started b
         sh_started b 'cmd':'ok','cwd':'sub','env':{'BOTH':'j','GONE':null,'JOB':'j'},'shell':'bash'
         sh_finished b 'exit_code':0
         sh_started b 'cmd':'ok','cwd':'/tmp','env':{'BOTH':'c','GONE':null,'JOB':'j'}
         sh_finished b 'exit_code':0
         sh_started b 'cmd':'ok','cwd':'sub','env':{'BOTH':'j','GONE':null,'JOB':'j'}
         sh_finished b 'exit_code':0
         job_finished b 'outcome':'complete'
         run_finished 'outcome':'complete'",
    );
}

#[test]
fn a_command_is_retried_as_a_command_of_its_own() {
    check_job(
        "rt.sh('fail_first 2', {retries = 2})",
        "sh_started a 'cmd':'fail_first 2'
         sh_finished a 'exit_code':1
         sh_started a 'cmd':'fail_first 2'
         sh_finished a 'exit_code':1
         sh_started a 'cmd':'fail_first 2'
         sh_finished a 'exit_code':0
         job_finished a 'outcome':'complete'",
    );
    let story = World::job("rt.out('fail 1', {retries = 1})").run();
    assert!(story.has("job_finished a 'outcome':'failed'") && story.spawned.len() == 2);
}

#[test]
fn a_command_s_time_out_can_be_caught() {
    let story = check_orders(
        World::job("local ok, e = pcall(rt.sh, 'deaf; sleep 100', {timeout = 5}) rt.log(ok, e, e.timeout)"),
        "job_started a
         sh_started a 'cmd':'deaf; sleep 100'
         ! spawn a/1
         ! Term a/1
         ! Kill a/1
         sh_finished a 'exit_code':137,'signal':9,'cause':'timeout'
         job_logged a 'text':'false\\tcommand timed out after 5s: deaf; sleep 100\\ttrue'
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!((story.ms("! Term"), story.ms("! Kill")), (5_000, 15_000));
}

#[test]
fn a_time_out_is_a_failure_whatever_the_exit_code() {
    let story = World::job("rt.sh('term 0; sleep 9', {timeout = 5, check = false})").run();
    assert!(story.has("sh_finished a 'exit_code':0,'cause':'timeout'"), "{:?}", story.script);
    assert!(story.has("job_finished a 'outcome':'failed','error':{'message':'command timed out after 5s"));
    // And it is tried again like any failure.
    let story = World::job("rt.sh('term 0; sleep 9', {timeout = 5, retries = 1})").run();
    assert_eq!(story.spawned.len(), 2);
}

#[test]
fn output_that_something_holds_is_closed_after_200_ms() {
    let story = check_orders(
        World::job("rt.sh('print x; linger 30')"),
        "job_started a
         sh_started a 'cmd':'print x; linger 30'
         ! spawn a/1
         ! close a/1
         sh_finished a 'exit_code':0,'detached':true
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!(story.ms("! close"), 200);
    let story = World::job("rt.sh('linger 0.1')").run();
    assert!(!story.has("! close") && story.ms("sh_finished") == 100);
    // A command that closes its output and goes on has not ended.
    assert_eq!(World::job("rt.sh('closes; sleep 7')").run().ms("sh_finished"), 7_000);
}

#[test]
fn limits_of_output_and_silence_end_a_command() {
    let limited = |body: &str| {
        World::job(body).set(|world| {
            let idle = Some(Duration::from_secs(60));
            world.config.limits = Limits { output_bytes: Some(100), idle, ..Limits::default() };
        })
    };
    for (body, finished) in [
        (
            "rt.sh('bytes 101; sleep 5')",
            "sh_finished a 'exit_code':143,'signal':15,'cause':'limit','no_eol':['stdout']",
        ),
        ("rt.sh('bytes 100')", "sh_finished a 'exit_code':0,'no_eol':['stdout']"),
        ("rt.sh('print x; sleep 50; print y; sleep 50')", "sh_finished a 'exit_code':0"),
        ("rt.sh('print x; sleep 61')", "sh_finished a 'exit_code':143,'signal':15,'cause':'limit'"),
        // The log lacks bytes, so the limit is told though the command was quicker than the signal.
        ("rt.sh('late 101')", "sh_finished a 'exit_code':0,'cause':'limit','no_eol':['stdout']"),
    ] {
        let story = limited(body).run();
        assert!(story.lines().contains(&finished), "{body}: {:#?}", story.lines());
        let message = "'message':'command reached a limit of its output and was ended:";
        assert_eq!(story.has("job_finished a 'outcome':'failed'"), finished.contains("limit"), "{body}");
        assert_eq!(story.lines().iter().any(|line| line.contains(message)), finished.contains("limit"), "{body}");
    }
}

#[test]
fn a_cut_answer_raises_where_it_is_read() {
    let big = 2 * 1024 * 1024;
    for (body, logged) in [
        (
            format!("local r = rt.sh('bytes {big}') rt.log(r.truncated, pcall(function() return r.stdout end))"),
            "job_logged a 'text':'true\\tfalse\\t.quire/ci.lua:1: stdout of `bytes 2097152` was longer than 1 MiB and is cut in the middle; say capture = \\'head\\' or \\'tail\\' to read that part, or send it to a file'",
        ),
        (
            format!("local r = rt.sh('bytes {big}', {{capture = 'tail'}}) rt.log(r.truncated, #r.stdout)"),
            "job_logged a 'text':'true\\t1048576'",
        ),
        (
            format!("local r = rt.sh('err e; bytes {big}') rt.log(r.truncated, r.stderr)"),
            "job_logged a 'text':'true\\te\\n'",
        ),
        (format!("rt.log(#rt.out('bytes {big}'))"), "job_logged a 'text':'2097152'"),
    ] {
        let story = World::job(&body).run();
        assert!(story.lines().contains(&logged), "{body}: {:#?}", story.lines());
    }
    let story = World::job("rt.out('bytes 16777217')").run();
    assert!(story.lines().iter().any(|line| line.contains("longer than 16 MiB")), "{:#?}", story.lines());
}

#[test]
fn a_line_s_last_newline_is_taken_off() {
    check_job(
        "rt.log(rt.out('print x') .. '|' .. rt.out('put y') .. '|' .. rt.out('print '))",
        "sh_started a 'cmd':'print x'
         sh_finished a 'exit_code':0
         sh_started a 'cmd':'put y'
         sh_finished a 'exit_code':0,'no_eol':['stdout']
         sh_started a 'cmd':'print '
         sh_finished a 'exit_code':0
         job_logged a 'text':'x|y|'
         job_finished a 'outcome':'complete'",
    );
}
