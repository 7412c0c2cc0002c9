//! A record that cannot be written, at every event of a run.

use quire_core::engine::Input;
use quire_core::wire::RunOutcome;

use quire_fuzz::world::{When, World};

/// A run in which everything happens at least once.
fn eventful() -> World {
    World::new(
        "print(ci.read('x'))
         ci.job('a', {retries = 1, timeout = 30}, function(rt)
           rt.defer(function() rt.sh('ok') rt.write_file('w', 'y') rt.sh('ok') end)
           rt.defer(function() rt.spawn('sleep 1') end)
           local h = rt.spawn('sleep 5', {service = true}) rt.spawn('sleep 2')
           rt.all {'print x', 'missing', 'linger 3'} end)
         ci.job('b', {allow_failure = true}, function(rt) rt.mask('hidden') rt.sh('sleep 99', {timeout = 4}) end)
         ci.job('c', {'a'}, {needs = 'finished', timeout = 5}, function(rt) rt.write_file('w', 'z') rt.sh('deaf; sleep 99') end)
         ci.job('d', {'c'}, function(rt) rt.sh('ok') end)",
    )
    .file("x", "top")
    .set(|world| {
        world.sweep_ms = 10;
        world.answer_ms = 10;
        world.config.fingerprint_follows = true;
    })
    .with(When::Ms(60), Input::Fingerprint(Some("f".into())))
}

#[test]
fn wherever_the_record_fails_nothing_starts_any_more_and_the_run_ends_failed() {
    for cancel in [None, Some(1_500)] {
        let eventful = || eventful().cancelled(cancel.as_slice());
        let events = eventful().run().events.len();
        assert!(events > 30, "{events}");
        for (at, gathers) in (0..events).flat_map(|at| [(at, false), (at, true)]) {
            let story = eventful().set(|world| (world.unwritable, world.shell.gathers) = (Some(at), gathers)).run();
            let context = format!("event {at}, gathers {gathers}, cancel {cancel:?}: {:#?}", story.script);
            assert_eq!(story.events.len(), at, "{context}");
            // A shell that gathers holds the order to end already when it finds that the last event cannot be written.
            assert!(story.outcome == RunOutcome::Failed || gathers && at + 1 == events, "{context}");
            let lost = story.events.last().map_or(0, |event| u64::try_from(event.at_ms - 1_000).unwrap());
            assert!(story.script.last().unwrap().0 <= lost + 31_000, "{context}");
        }
    }
}

#[test]
fn a_failed_record_does_not_wait_for_the_fingerprint() {
    let story = World::job("rt.sh('sleep 5')")
        .set(|world| {
            world.config.fingerprint_follows = true;
            world.unwritable = Some(0);
        })
        .run();
    assert_eq!((story.outcome, story.events.len(), story.script.len()), (RunOutcome::Failed, 0, 1));
}
