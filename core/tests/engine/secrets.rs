//! Secrets: who gets them, and that nothing else shows them.

use quire_core::engine::Output;

use quire_fuzz::world::{World, check, check_orders, sh};

#[test]
fn a_secret_reaches_the_script_and_is_masked_everywhere_else() {
    let story = check(
        World::job(
            "local s = rt.secret('TOKEN') rt.log('it is ' .. s) rt.sh('print ' .. s, {env = {T = s}})
             rt.defer(function() error({message = 'late ' .. s}) end)
             pcall(rt.skip, s) return {s}",
        )
        .secret("TOKEN", "hunter22")
        .set(|world| {
            world.config.params.insert("p".into(), "hunter22".into());
        }),
        "job_started a
         job_logged a 'text':'it is ***'
         sh_started a 'cmd':'print ***','env':{'T':'***'}
         sh_finished a 'exit_code':0,'masked':true
         job_finished a 'outcome':'failed','error':{'message':'late ***','file':'.quire/ci.lua','line':2}
         run_finished 'outcome':'failed','failure_kind':'job'",
    );
    assert_eq!(
        (story.logs[&sh("a", 1)].as_str(), &story.spawned[&sh("a", 1)].env["T"]),
        ("***", &Some("hunter22".to_owned()))
    );
    assert!(story.script[0].1.contains("'params':{'p':'***'}"));
}

#[test]
fn an_output_is_masked_in_the_record_and_whole_for_jobs_downstream() {
    check(
        World::new(
            "ci.job('a', function(rt) return {x = rt.secret('TOKEN')} end)
             ci.job('b', {'a'}, function(rt) rt.log(#rt.jobs('a').x) end)",
        )
        .secret("TOKEN", "hunter22"),
        "job_started a
         job_finished a 'outcome':'complete','output':{'x':'***'},'masked':true
         job_started b
         job_logged b 'text':'8'
         job_finished b 'outcome':'complete'
         run_finished 'outcome':'complete'",
    );
}

#[test]
fn an_undeclared_secret_is_an_error_that_says_how_to_declare_it() {
    let story = World::job("rt.secret('NO')").secret("TOKEN", "hunter22").run();
    let error = "job_finished a 'outcome':'failed','error':{'message':'secret \\'NO\\' is not declared (declared: TOKEN); declare it with --secret NO=env:VARIABLE or --secret NO=file:PATH'";
    assert!(story.has(error), "{:#?}", story.script);
}

#[test]
fn what_a_script_masks_is_masked_from_then_on_everywhere() {
    let story = check_orders(
        World::job("rt.log('found1') rt.mask('found1') rt.log('found1') rt.sh('print found1') rt.log(pcall(rt.mask, 'abc'))"),
        "job_started a
         job_logged a 'text':'found1'
         ! set secrets
         job_logged a 'text':'***'
         sh_started a 'cmd':'print ***'
         ! spawn a/1
         sh_finished a 'exit_code':0,'masked':true
         job_logged a 'text':'false\\t.quire/ci.lua:1: rt.mask: the text has 3 bytes; a secret has at least 4, or masking it would make the log unreadable'
         ! sweep a
         job_finished a 'outcome':'complete'
         ! sweep the run
         run_finished 'outcome':'complete'
         ! done complete",
    );
    assert_eq!(story.logs[&sh("a", 1)], "***");
    // A command that runs already is masked from the next byte on, and the declared ones stay masked.
    let story = World::job("local h = rt.spawn('print found1; sleep 5; print found1 hunter22') rt.sh('sleep 1') rt.mask('found1') h:wait()")
        .secret("TOKEN", "hunter22")
        .run();
    assert_eq!(story.logs[&sh("a", 1)], "found1\n*** ***");
    let is_set = |order: &&Output| matches!(order, Output::SetSecrets(_));
    assert_eq!(story.orders.iter().filter(is_set).count(), 1);
}

#[test]
fn replay_keys_and_diagnostics_hold_no_secret() {
    let keys = |value: &str| {
        let story = World::job("rt.sh('print ' .. rt.secret('TOKEN'), {stdin = rt.secret('TOKEN')})")
            .secret("TOKEN", value)
            .run();
        story.events.iter().find_map(|event| match &event.kind {
            quire_core::wire::EventKind::ShStarted(started) => started.key.clone(),
            _ => None,
        })
    };
    assert_eq!(keys("hunter22"), keys("another-one"));
    let story =
        World::new("error(ci.read('token')) -- hunter22").file("token", "hunter22").secret("TOKEN", "hunter22").run();
    assert!(!format!("{:?}{:?}", story.diagnostics, story.script).contains("hunter22"), "{:?}", story.diagnostics);
}
