//! KILL at random moments: whatever the moment, what was recorded is whole, the next look puts all in order, the next run works.
//!
//! `QUIRE_KILLS` sets how many, `QUIRE_KILL_SEED` the first seed; a failure tells the seed of its kill.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::aftermath::{self, Killed};
use crate::lateness::Lateness;
use crate::moments::{Moment, Seed, Tally};
use crate::world::{World, ends_within};
use crate::writer;

/// What the suite does; it takes some fifteen seconds.
const KILLS: u64 = 36;
/// Worlds side by side.
const LANES: u64 = 3;
/// Kills in one data directory, before it is taken away.
const KILLS_A_DIRECTORY: u64 = 20;

/// Several jobs, parallel and spawned commands, deferred functions, much and slow output on both streams, lines of more than
/// an entry, a last line without newline, and processes that leave their session.
const PIPELINE: &str = r#"
for _, id in ipairs { "one", "two", "three" } do
  ci.job(id, function(rt)
    rt.defer(function() rt.sh("./writer both 3 0") end)
    rt.sh("./writer both 5 0.002")
    local beside = rt.spawn("./writer both 1000 0.003")
    rt.all { "./writer wide 12 0", "./writer open 3 0.001", "./writer err 40 0" }
    rt.sh("setsid sleep 300 > /dev/null 2>&1 & ./writer both 10 0")
    beside:stop()
  end)
end
ci.job("last", { "one", "two", "three" }, function(rt)
  rt.defer(function() rt.sh("./writer out 2 0") end)
  rt.sh("setsid sleep 300 & ./writer both 2 0")
end)
ci.job("long", { "quire/manual" }, function(rt)
  rt.spawn("./writer both 100000 0.05")
  rt.spawn("setsid sleep 300 & ./writer both 100000 0.001")
  rt.all { "./writer wide 100000 0.01", "./writer both 100000 0" }
end)
ci.job("quick", { "quire/manual" }, function(rt) rt.sh("./writer both 2 0") end)"#;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

#[test]
fn killed_at_any_moment() {
    let kills = number("QUIRE_KILLS").unwrap_or(KILLS);
    let clock = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let first = number("QUIRE_KILL_SEED").unwrap_or(clock);
    let lateness = Lateness::watch();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let lateness = &lateness;
                scope
                    .spawn(move || lane_of(lane, (0..kills).filter(|n| n % LANES == lane).map(|n| first + n), lateness))
            })
            .collect();
        for lane in lanes {
            tally.merge(lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!("{kills} kills, seeds from {first}: {tally:#?}");
    assert!(u64::from(tally.hits()) * 2 > kills, "most kills hit a run: {tally:#?}");
}

/// Tells which kill it was that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat it: QUIRE_KILLS=1 QUIRE_KILL_SEED={}", self.0);
        }
    }
}

fn lane_of(lane: u64, seeds: impl Iterator<Item = u64>, lateness: &Lateness) -> Tally {
    let mut tally = Tally::default();
    let world = World::new(PIPELINE);
    writer::install(&world);
    for (kill, seed) in (0..).zip(seeds) {
        let _told = Told(seed);
        let mut random = Seed(seed);
        let moment = Moment::of(&mut random);
        // The first run of all makes the directory and the database: it is killed over that as well.
        if kill % KILLS_A_DIRECTORY == 0 || (moment.is_early() && random.below(2) == 0) {
            let _ = std::fs::remove_dir_all(world.beside("state"));
        }
        println!("lane {lane}, seed {seed}: {moment:?}");
        let killed = kill_at(&world, moment, lateness);
        let phase = aftermath::check(&world, &killed, &mut random, &mut tally);
        tally.count(phase);
    }
    aftermath::age_what_is_half_made(&world.data());
    world.quire(&["ls"]).ends(0);
    assert!(!aftermath::only_known_files(&world.data()), "what is half made and old is swept out");
    tally
}

/// Starts a run, kills it, and keeps what was to be seen from outside.
fn kill_at(world: &World, moment: Moment, lateness: &Lateness) -> Killed {
    let known: Vec<String> = world.runs().iter().map(|run| run.id()).collect();
    let args: &[&str] = match moment.is_long() {
        true => &["run", "long", "--events", "stdout", "-j4"],
        false => &["run", "--events", "stdout", "-j4"],
    };
    let running = world.start(args);
    let begun = Instant::now();
    let new_run = || world.runs().into_iter().rfind(|run| !known.contains(&run.id()));
    let recorded = |events: usize| new_run().is_some_and(|run| run.events().len() >= events);
    let is_last =
        || new_run().is_some_and(|run| run.of_type("job_started").iter().any(|event| event["job_id"] == "last"));
    let has_finished = || new_run().is_some_and(|run| run.outcome().is_some());
    let is_long = || new_run().is_some_and(|run| !run.of_type("sh_started").is_empty());
    match moment {
        Moment::After(delay) => wait(delay.saturating_sub(begun.elapsed())),
        Moment::Events(events, delay) => wait_for(&running, || recorded(events), delay),
        Moment::Last(delay) => wait_for(&running, is_last, delay),
        Moment::Finished(delay) => wait_for(&running, has_finished, delay),
        Moment::Long(delay) => wait_for(&running, is_long, delay),
    }
    let at = SystemTime::now();
    running.signal(Signal::KILL);
    let done = running.end();
    Killed { run: new_run(), at, late: lateness.worst(), done }
}

/// Looks until it is so or the run has ended, and then waits: the moment is what is random here.
fn wait_for(running: &crate::world::Running, is_so: impl Fn() -> bool, then: Duration) {
    while !is_so() && !ends_within(running.pid(), Duration::from_micros(200)) {}
    wait(then);
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// A run directory and a database are made under another name. Who is killed over that leaves it, and it goes once it is an hour
/// old.
#[test]
fn what_a_kill_left_half_made_is_swept_out() {
    let world = World::new("ci.job('a', function(rt) rt.sh('true') end)");
    world.run(0, &[]);
    let run = world.data().join("runs/.new-019a0000-0000-7000-8000-000000000000");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("lock"), "").unwrap();
    let database = world.data().join("quire.db.new-01a201c73751747fb76417a14a481dfa");
    let journal = world.data().join("quire.db.new-01a201c73751747fb76417a14a481dfa-wal");
    let left = [run, database, journal];
    for database in &left[1..] {
        std::fs::write(database, "half").unwrap();
    }
    world.quire(&["ls"]).ends(0);
    assert!(left.iter().all(|path| path.exists()), "its maker may live");
    aftermath::age_what_is_half_made(&world.data());
    world.quire(&["ls"]).ends(0);
    assert!(!left.iter().any(|path| path.exists()));
    assert_eq!(world.runs().len(), 1);
    aftermath::only_known_files(&world.data());
}
