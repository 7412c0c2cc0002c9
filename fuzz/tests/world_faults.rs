//! One run that has a bit of everything, with one fault at every point of its life in turn.

use quire_fuzz::world::World;
use quire_fuzz::world::fault::{Fault, Plan};
use quire_fuzz::world::pipeline::Pipeline;
use quire_fuzz::world::play::{Play, Tally};
use quire_fuzz::world::scenario::Scenario;

/// Waits, prints, fails, retries, keeps a secret, leaves something behind, and cleans up.
const PIPELINE: &str = "
    ci.job('build', {retries = 1}, function(rt)
      rt.defer(function() rt.sh('print clean') end)
      local server = rt.spawn('serve; print up; sleep 50', {service = true})
      rt.sh('put [; leak token halves; print ]; err done')
      if rt.attempt == 1 then rt.sh('fail 3') end
      rt.write_file('made', rt.out('print made'))
      return {made = rt.read_file('made')}
    end)
    ci.job('test', {'build'}, function(rt)
      rt.mask('hidden-j0')
      pcall(rt.all, {'aside; sleep 1; put hidden-j0', 'aside; fail 2', 'aside; sleep 1; linger 9'})
      rt.sh('print ' .. rt.jobs('build').made, {check = false, timeout = 2})
    end)
    ci.job('last', {'test'}, {needs = 'finished'}, function(rt) rt.sh('deaf; sleep 3') end)";

fn world(gathers: bool, faults: Vec<(u32, Fault)>) -> Scenario {
    let world = World::new(PIPELINE).secret("token", "t0k3n/+s3cret=").set(|world| {
        world.shell.gathers = gathers;
        world.shell.events_a_commit = 3;
        world.shell.facts_at_once = if gathers { 4 } else { 1 };
        world.marked = true;
        world.plan = Plan::new(faults);
    });
    let needs = [("build", "complete"), ("test", "complete"), ("last", "finished")];
    let needs = needs.map(|(job, needs)| (quire_fuzz::world::sh(job, 1).job, needs)).into();
    Scenario { world, pipeline: Pipeline { text: PIPELINE.to_owned(), needs }, twice: false, resumes: None }
}

fn play(gathers: bool, faults: Vec<(u32, Fault)>) -> Tally {
    Play::of(world(gathers, faults)).play()
}

#[test]
fn a_run_may_be_killed_at_every_point() {
    let points = u32::try_from(play(true, Vec::new()).points).expect("few points");
    assert!(points > 100, "{points}");
    for point in 1..=points {
        for (gathers, written) in [(false, 9), (true, u16::MAX)] {
            let tally = play(gathers, vec![(point, Fault::Crash(written))]);
            assert!(tally.faults == 1 && tally.lives <= 2, "point {point}: {tally:?}");
        }
        // The next shell dies over what it does about the first one's death.
        let tally = play(point % 2 == 0, vec![(point, Fault::Crash(0)), (point + 2, Fault::Crash(0))]);
        assert!(tally.lives <= 3, "point {point}: {tally:?}");
    }
}

#[test]
fn each_fault_may_strike_at_every_point() {
    let faults = [
        Fault::EventUnwritten,
        Fault::LogUnwritten,
        Fault::Cancel,
        Fault::WallSteps(-3_600_000),
        Fault::SpawnFails(0),
        Fault::ExitLate(2_000),
        Fault::ReadSplit(5),
        Fault::ReadLate(250),
        Fault::DatabaseBusy(2_000),
        Fault::CommitFails,
        Fault::CommitUnacknowledged,
        Fault::AnswerLate(2_000),
        Fault::AnswerFails,
        Fault::LookLate(2_000),
    ];
    let points = u32::try_from(play(false, Vec::new()).points).expect("few points");
    for fault in faults {
        let struck: usize = (1..=points).map(|point| play(point % 2 == 0, vec![(point, fault)]).faults).sum();
        assert!(struck > 0, "{fault:?} never strikes");
    }
    for point in 1..=points {
        play(point % 2 == 0, vec![(point, Fault::Cancel), (point + 5, Fault::Cancel)]);
    }
}
