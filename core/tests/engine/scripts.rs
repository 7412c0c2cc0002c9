//! Scripts that are busy, endless or random: bounded, interruptible, and the same every time.

use quire_core::engine::{Engine, Input, Output};

use quire_fuzz::world::{World, at, check};

const BUSY: &str = "local n = 0 for i = 1, 3000000 do n = n + i end";

#[test]
fn a_busy_script_gives_the_thread_back_in_slices() {
    let world = World::job(BUSY);
    let mut engine = Engine::new(world.config, at(0));
    let (mut pauses, mut done) = (0, false);
    while !done {
        match engine.poll_output() {
            Some(order) => done = matches!(order, Output::Done(_)),
            None => {
                assert_eq!(engine.next_deadline(), Some(at(0).mono), "unfinished work makes the deadline now");
                pauses += 1;
            }
        }
    }
    assert!((50..200).contains(&pauses), "{pauses} pauses in some 9 million instructions");
}

#[test]
fn deadlines_take_hold_at_the_next_slice_s_border() {
    // A command's, a job's, and the same where another command's end waits to be looked at.
    let other = "ci.job('b', function(rt) rt.sh('sleep 0.04') rt.sh('deaf; sleep 100', {timeout = 0.1}) end) ";
    for (before, b_ends) in [("", 0), (other, 10_140)] {
        let story = World::new(&format!(
            "{before} ci.job('a', {{timeout = 0.2}}, function(rt) while true do pcall(rt.env, 'X') end end)"
        ))
        .set(|world| {
            world.slice_ms = 10;
            world.config.keep_going = true;
        })
        .run();
        assert!((200..=220).contains(
            &story.ms("job_finished a 'outcome':'failed','error':{'message':'the job timed out after 200ms'")
        ));
        if b_ends > 0 {
            assert!(story.has("job_finished b 'outcome':'failed'"), "{:#?}", story.script);
        }
    }
}

#[test]
fn a_script_without_end_is_ended_by_its_budget() {
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end f()",
    ] {
        let story = World::job(body).set(|world| world.config.limits.instructions = 1_000_000).run();
        let end = "job_finished a 'outcome':'failed','error':{'message':'the script ran 1000000 instructions without asking for anything: an endless loop?','file':'.quire/ci.lua','line':1}";
        assert!(story.has(end), "{body}: {:#?}", story.script);
    }
    // The budget is one between two requests.
    let story = World::job("for i = 1, 8 do for j = 1, 100000 do end rt.env('X') end")
        .set(|world| world.config.limits.instructions = 300_000)
        .run();
    assert!(story.has("job_finished a 'outcome':'complete'"));
}

#[test]
fn a_script_that_asks_without_end_hangs_nobody() {
    for chatter in ["rt.env('X')", "rt.jobs('quire/push')", "rt.params.x = nil", "pcall(rt.secret, 'X')", "rt.log('x')"]
    {
        let mut world = World::new(&format!(
            "ci.job('a', function(rt) while true do {chatter} end end) ci.job('b', function(rt) rt.sh('ok') end)"
        ));
        world.config.limits.instructions = 1_000_000;
        world.config.keep_going = true;
        let mut engine = Engine::new(world.config, at(0));
        let (mut spawned, mut finished, mut done) = (false, false, false);
        for turn in 0..2_000_000 {
            match engine.poll_output() {
                Some(Output::Spawn { sh, .. }) => {
                    spawned = true;
                    engine.handle(
                        at(1),
                        Input::Exited { sh: sh.clone(), status: quire_core::engine::ExitStatus::Code(0) },
                    );
                    engine.handle(at(1), Input::OutputEnded { sh, captured: Default::default() });
                }
                Some(Output::Sweep { scope }) => engine.handle(at(1), Input::Swept { scope }),
                Some(Output::Emit(event)) => {
                    if quire_fuzz::world::line(&event).starts_with("job_finished b") {
                        finished = true;
                        engine.handle(at(2), Input::Cancel);
                    }
                }
                Some(Output::Done(_)) => {
                    done = true;
                    break;
                }
                Some(_) => {}
                None => engine.handle(at(turn / 1_000), Input::Tick),
            }
        }
        assert!(spawned && finished && done, "{chatter}: {spawned} {finished} {done}");
    }
}

#[test]
fn the_same_facts_give_the_same_orders() {
    let body = "local t = {b = 1, a = 2, [3] = 'x', [1] = 'y', [2.5] = true, z = {}}
        for k, v in pairs(t) do rt.log(k, tostring(v)) end rt.log(next(t), t, print, coroutine.create(print))
        rt.log(math.random(), math.random(100)) table.sort(t, function(a, b) return false end)
        rt.log(string.format('%s %p', t, t), rt.json.encode({y = 1, x = {2, 3}}))
        rt.log(pcall(error, t), pcall(function() local x = t.q.r end), tostring(rt))
        rt.log(pcall(rt.sh, 'x', {env = {[1] = 'a', ['b='] = 1, c = {}}}), pcall(rt.sh, {'x', q = 1, p = 2, [true] = 3}))
        rt.log(pcall(rt.sh, 'x', {nope = 1, neither = 2, [t] = 1}), pcall(function() return rt.nothing end))
        rt.log(select(2, xpcall(function() error({}) end, function(e) return tostring(e) end)))
        rt.spawn('sleep 1') rt.all {'print x', 'fail 1'}";
    let told = || format!("{:?}", World::job(body).run().orders);
    let first = told();
    assert!(!first.contains("0x"), "an address is shown: {first}");
    for _ in 0..5 {
        assert_eq!(told(), first);
    }
    assert_ne!(format!("{:?}", World::job(body).set(|world| world.config.seed = 8).run().orders), first);
}

#[test]
fn a_request_where_none_can_be_says_what_to_do() {
    check(
        World::job("\ntable.sort({3, 2, 1}, function(a, b) rt.log(a, b) return a < b end)
            rt.log((('xy'):gsub('x', function() rt.log('in gsub') return 'z' end)))
            local co = coroutine.wrap(function() rt.log('in a coroutine') coroutine.yield(1) end) rt.log(co())
            rt.log(pcall(function() local t = setmetatable({}, {__tostring = function() return rt.out('print t') end}) return tostring(t) end))")
        ,
        "job_started a
         job_logged a 'text':'2\\t3'
         job_logged a 'text':'1\\t3'
         job_logged a 'text':'1\\t2'
         job_logged a 'text':'in gsub'
         job_logged a 'text':'zy'
         job_logged a 'text':'in a coroutine'
         job_logged a 'text':'1'
         sh_started a 'cmd':'print t'
         sh_finished a 'exit_code':0
         job_logged a 'text':'true\\tt'
         job_finished a 'outcome':'complete'
         run_finished 'outcome':'complete'",
    );
}

#[test]
fn memory_is_bounded_and_its_end_is_told() {
    let story = World::job(
        "local ok, e = pcall(function() local t = {} for i = 1, 1e9 do t[i] = {i} end end) rt.log(ok) error(e)",
    )
    .set(|world| world.config.limits.vm_bytes = 4 * 1024 * 1024)
    .run();
    assert!(story.has("job_finished a 'outcome':'failed'"), "{:#?}", story.script);
}

#[test]
fn facts_about_what_is_not_known_change_nothing() {
    use quire_core::engine::{Answer, Ask, ExitStatus, Scope, SpawnFailure};
    let sh = quire_fuzz::world::sh("ghost", 3);
    let facts: Vec<Input> = vec![
        Input::Exited { sh: sh.clone(), status: ExitStatus::Code(0) },
        Input::OutputEnded { sh: sh.clone(), captured: Default::default() },
        Input::SpawnFailed { sh: sh.clone(), failure: SpawnFailure::Other { message: "x".into() } },
        Input::OutputLimitReached { sh: sh.clone() },
        Input::OutputIdle { sh: sh.clone() },
        Input::Swept { scope: Scope::Job(sh.job.clone()) },
        Input::Swept { scope: Scope::Run },
        Input::Answered { ask: Ask(99), answer: Answer::Write(Ok(())) },
        Input::Tick,
    ];
    let plain = World::job("rt.sh('sleep 5')").run();
    let world = facts
        .into_iter()
        .fold(World::job("rt.sh('sleep 5')"), |world, fact| world.with(quire_fuzz::world::When::Ms(1_000), fact));
    assert_eq!(world.run().orders, plain.orders);
}
