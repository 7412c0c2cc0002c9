//! Jobs as wholes: order, needs, skips, failures, retries, time-outs, outputs.

use quire_core::wire::RunOutcome;

use quire_fuzz::world::{World, check, check_orders};

/// `a -> complete` and so on in the order of the ends; what was skipped with its reason.
fn ends(world: World) -> (String, RunOutcome) {
    let story = world.run();
    let mut told = Vec::new();
    for line in story.lines() {
        let word = |name: &str| line.split(&format!("'{name}':'")).nth(1).and_then(|rest| rest.split('\'').next());
        let id = line.split(' ').nth(1).unwrap_or_default();
        if let Some(reason) = word("reason") {
            told.push(format!("{id}:{reason}"));
        } else if line.starts_with("job_finished") {
            let allowed = if line.contains("'allowed':true") { "-allowed" } else { "" };
            told.push(format!("{id}:{}{allowed}", word("outcome").unwrap()));
        }
    }
    (told.join(" "), story.outcome)
}

/// Jobs in one line each: `id: inputs, options: body`.
fn pipeline(jobs: &[(&str, &str, &str, &str)]) -> World {
    let job = |(id, inputs, options, body): &(&str, &str, &str, &str)| {
        let inputs: Vec<String> = inputs.split_whitespace().map(|input| format!("'{input}'")).collect();
        let inputs = if inputs.is_empty() { "nil".to_owned() } else { format!("{{{}}}", inputs.join(", ")) };
        format!("ci.job('{id}', {inputs}, {{{options}}}, function(rt) {body} end) ")
    };
    World::new(&jobs.iter().map(job).collect::<String>())
}

const OK: &str = "rt.sh('ok')";
const FAIL: &str = "rt.sh('fail 1')";

#[test]
fn needs_decide_what_runs_after_what() {
    use RunOutcome::{Complete, Failed};
    for (jobs, expected, outcome) in [
        (vec![("b", "a", "", OK), ("a", "", "", OK)], "a:complete b:complete", Complete),
        (
            vec![("a", "", "", FAIL), ("b", "a", "", OK), ("c", "b", "", OK)],
            "a:failed b:input_failed c:input_skipped",
            Failed,
        ),
        (vec![("a", "", "allow_failure = true", FAIL), ("b", "a", "", OK)], "a:failed-allowed b:complete", Complete),
        (vec![("a", "", "", "rt.skip('x')"), ("b", "a", "", OK)], "a:pipeline b:input_skipped", Complete),
        (vec![("a", "", "", "rt.skip('x')"), ("b", "a", "needs = 'unfailed'", OK)], "a:pipeline b:complete", Complete),
        (vec![("a", "", "", FAIL), ("b", "a", "needs = 'unfailed'", OK)], "a:failed b:input_failed", Failed),
        (vec![("a", "", "", FAIL), ("b", "a", "needs = 'finished'", OK)], "a:failed b:complete", Failed),
        (
            vec![("a", "", "", FAIL), ("b", "a", "", OK), ("c", "b", "needs = 'finished'", OK)],
            "a:failed b:input_failed c:complete",
            Failed,
        ),
    ] {
        assert_eq!(ends(pipeline(&jobs)), (expected.to_owned(), outcome), "{jobs:?}");
    }
}

#[test]
fn after_a_failure_nothing_starts_unless_it_needs_ends_or_the_run_keeps_going() {
    let jobs = [
        ("a", "", "", FAIL),
        ("b", "", "", "rt.sh('sleep 5')"),
        ("c", "", "", OK),
        ("d", "b", "", OK),
        ("e", "b", "needs = 'finished'", OK),
        ("f", "a", "", OK),
    ];
    let (told, outcome) = ends(pipeline(&jobs));
    assert_eq!(told, "a:failed c:run_failed d:run_failed f:input_failed b:complete e:complete");
    assert_eq!(outcome, RunOutcome::Failed);
    let (told, _) = ends(pipeline(&jobs).set(|world| world.config.keep_going = true));
    assert_eq!(told, "a:failed f:input_failed c:complete b:complete d:complete e:complete");
}

#[test]
fn a_job_that_is_failing_holds_back_others_before_its_end() {
    // The slot is free while the cleanup waits for an answer, and while the sweep lasts.
    let jobs = |options| {
        pipeline(&[
            ("a", "", options, "rt.defer(function() rt.read_file('x') end) rt.sh('fail 1')"),
            ("b", "", "", OK),
            ("c", "", "needs = 'finished'", OK),
        ])
        .slots(1)
        .file("x", "")
        .set(|world| (world.answer_ms, world.sweep_ms) = (5_000, 5_000))
    };
    assert_eq!(ends(jobs("")).0, "c:complete a:failed b:run_failed");
    for world in
        [jobs("allow_failure = true"), jobs("retries = 1"), jobs("").set(|world| world.config.keep_going = true)]
    {
        assert!(ends(world).0.contains("b:complete"));
    }
}

#[test]
fn what_is_asked_for_runs_with_all_that_it_needs() {
    let jobs =
        [("a", "", "", OK), ("b", "a", "", OK), ("c", "", "", OK), ("m", "a quire/manual", "", OK), ("n", "m", "", OK)];
    let select = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        ends(pipeline(&jobs).set(|world| world.config.select = names)).0
    };
    assert_eq!(
        select(&[]),
        "m:not_selected n:not_selected a:complete b:complete c:complete"
            .replace("b:complete c:complete", "c:complete b:complete")
    );
    assert_eq!(select(&["b"]), "c:not_selected m:not_selected n:not_selected a:complete b:complete");
    assert_eq!(select(&["n"]), "b:not_selected c:not_selected a:complete m:complete n:complete");
    let story = pipeline(&jobs).set(|world| world.config.select = vec!["x".into()]).run();
    assert!(story.has(
        "run_finished 'outcome':'failed','failure_kind':'pipeline','error':{'message':'there is no job \\'x\\''}"
    ));
}

#[test]
fn a_job_is_retried_whole_and_its_command_count_goes_on() {
    check_orders(
        World::new("ci.job('a', {retries = 2}, function(rt) rt.log(rt.attempt) rt.sh('fail_first 1') end)"),
        "job_started a
         job_logged a 'text':'1'
         sh_started a 'cmd':'fail_first 1'
         ! spawn a/1
         sh_finished a 'exit_code':1
         ! sweep a
         job_retried a 'attempt':2,'error':{'message':'command failed with exit code 1: fail_first 1','file':'.quire/ci.lua','line':1}
         job_logged a 'text':'2'
         sh_started a 'cmd':'fail_first 1'
         ! spawn a/2
         sh_finished a 'exit_code':0
         ! sweep a
         job_finished a 'outcome':'complete','flaky':true
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    let (told, _) = ends(World::new(
        "ci.job('a', {retries = 2}, function(rt) if rt.attempt == 2 then rt.skip() end error('x') end)",
    ));
    assert_eq!(told, "a:pipeline");
}

#[test]
fn a_job_s_time_out_passes_through_pcall() {
    let story = check_orders(
        World::new(
            "ci.job('a', {timeout = '5s'}, function(rt)
               rt.defer(function() rt.sh('ok') end)
               while true do pcall(function() rt.sh('deaf; sleep 100') end) rt.log('never') end
             end)",
        )
        .set(|world| world.sweep_ms = 700),
        "job_started a
         sh_started a 'cmd':'deaf; sleep 100'
         ! spawn a/1
         ! Term a/1
         ! Kill a/1
         sh_finished a 'exit_code':137,'signal':9,'cause':'timeout'
         ! sweep a
         sh_started a 'cmd':'ok'
         ! spawn a/2
         sh_finished a 'exit_code':0
         ! sweep a
         job_finished a 'outcome':'failed','error':{'message':'the job timed out after 5s','file':'.quire/ci.lua','line':1}
         ! sweep the run
         run_finished 'outcome':'failed','failure_kind':'job'
         ! done failed",
    );
    assert_eq!((story.ms("! Term"), story.ms("! Kill"), story.ms("sh_started a 'cmd':'ok'")), (5_000, 15_000, 15_700));
}

#[test]
fn time_outs_are_per_attempt_and_come_from_limits_too() {
    let story =
        World::new("ci.job('a', {timeout = 5, retries = 1}, function(rt) rt.sh('sleep 4') rt.sh('sleep 4') end)").run();
    assert_eq!((story.ms("job_retried"), story.ms("job_finished")), (5_000, 10_000));
    let limited = |world: &mut World| world.config.limits.job = Some(std::time::Duration::from_secs(3));
    let story = World::job("rt.sh('sleep 100')").set(limited).run();
    assert_eq!(story.ms("job_finished"), 3_000);
    // Commands that nobody waits for do not hold up a time-out, nor does a queue.
    let story = World::new("ci.job('a', {timeout = 5}, function(rt) for i = 1, 3 do rt.spawn('sleep 100') end end)")
        .slots(1)
        .run();
    assert_eq!((story.ms("job_finished"), story.spawned.len()), (5_000, 1));
}

#[test]
fn outputs_reach_jobs_downstream_and_no_others() {
    check(
        pipeline(&[
            ("a", "", "", "return {list = {1, 2, {x = 'y'}}, n = 1.5}"),
            ("none", "", "", "return rt.sh('ok')"),
            ("b", "a none", "", "local o = rt.jobs('a') rt.log(o.list[3].x, o.n, rt.jobs('none'), rt.jobs('quire/push').branch)"),
            ("c", "b", "", "rt.log(rt.jobs('a').n) rt.jobs('d')"),
            ("d", "", "", "rt.log(pcall(rt.jobs, 'a')) rt.jobs('x')"),
        ])
        .slots(1)
        .set(|world| world.config.keep_going = true),
        "job_started a
         job_finished a 'outcome':'complete','output':{'list':[1,2,{'x':'y'}],'n':1.5}
         job_started none
         sh_started none 'cmd':'ok'
         sh_finished none 'exit_code':0
         job_started d
         job_logged d 'text':'false\\t.quire/ci.lua:1: rt.jobs: \\'a\\' is not before this job; it has no jobs before it: name it among the inputs of ci.job to have its output'
         job_finished d 'outcome':'failed','error':{'message':'rt.jobs: \\'x\\' is no job; it has no jobs before it: name it among the inputs of ci.job to have its output','file':'.quire/ci.lua','line':1}
         job_finished none 'outcome':'complete'
         job_started b
         job_logged b 'text':'y\\t1.5\\tnil\\tmain'
         job_finished b 'outcome':'complete'
         job_started c
         job_logged c 'text':'1.5'
         job_finished c 'outcome':'failed','error':{'message':'rt.jobs: \\'d\\' is not before this job; it can see a, none, b: name it among the inputs of ci.job to have its output','file':'.quire/ci.lua','line':1}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
}

#[test]
fn an_output_that_no_record_can_hold_is_refused() {
    for (body, message) in [
        ("return {x = string.rep('y', 65536 - 8)}", None),
        (
            "return {x = string.rep('y', 65536 - 7)}",
            Some("the job returned 65537 bytes of data, at most 65536 go into the record; write them to a file"),
        ),
        ("local t = {} for i = 2, 100 do t = {t} end return t", None),
        (
            "local t = {} for i = 2, 101 do t = {t} end return t",
            Some(
                "the job returned data that is nested 101 levels deep, at most 100 go into the record; write it to a file",
            ),
        ),
        ("return {x = print}", Some("what the job returned is not plain data: at .x: ")),
    ] {
        let story = World::job(body).run();
        match message {
            None => assert!(story.has("job_finished a 'outcome':'complete'"), "{body}"),
            Some(message) => {
                let start = format!("job_finished a 'outcome':'failed','error':{{'message':'{message}");
                assert!(story.has(&start), "{body}: {:?}", story.lines());
                assert!(story.lines().iter().any(|line| line.ends_with("'file':'.quire/ci.lua','line':1}")));
            }
        }
    }
}

#[test]
fn skip_ends_a_job_in_its_midst() {
    check(
        World::job(
            "rt.defer(function() rt.log('deferred') end) rt.sh('ok') pcall(rt.skip, 'not today') rt.log('never')",
        ),
        "job_started a
         sh_started a 'cmd':'ok'
         sh_finished a 'exit_code':0
         job_logged a 'text':'deferred'
         job_skipped a 'reason':'pipeline','text':'not today'
         run_finished 'outcome':'complete'",
    );
}

#[test]
fn files_and_questions_go_to_the_machine() {
    let story = check_orders(
        World::job(
            "rt.write_file('out.txt', rt.read_file('in.txt') .. '!') rt.log(pcall(rt.read_file, 'no'))
             rt.log(table.concat(rt.glob('src/*', 'x'), ' '), rt.hash {'src/*'}, rt.env('HOME'), rt.env('NO'))
             rt.log(rt.json.encode(rt.json.decode('[1,{\"a\":null}]')), rt.params.to, rt.args[1], rt.push.sha, rt.id)",
        )
        .file("in.txt", "hi")
        .file("src/a.c", "")
        .set(|world| {
            world.answer_ms = 3;
            world.config.args = vec!["one".into()];
            world.config.params.insert("to".into(), "staging".into());
        }),
        "job_started a
         ! read in.txt
         ! write out.txt
         ! read no
         job_logged a 'text':'false\\t.quire/ci.lua:1: cannot read no: no such file'
         ! glob src/* x
         ! hash src/*
         job_logged a 'text':'src/a.c\\thash of src/*\\t/home/ann\\tnil'
         job_logged a 'text':'[1,{\\'a\\':null}]\\tstaging\\tone\\t5ha\\ta'
         job_finished a 'outcome':'complete'
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!(story.files["out.txt"], "hi!");
}
