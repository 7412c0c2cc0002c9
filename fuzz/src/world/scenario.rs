//! A scenario: what any bytes are decoded into.

use std::collections::BTreeMap;
use std::time::Duration;

use quire_core::engine::Input;
use quire_core::ids::RunId;

use super::bytes::Bytes;
use super::fault::{Fault, Plan};
use super::given::{When, World};
use super::pipeline::pipeline;
use super::shell::Shell;

/// A world and how it is played.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The first run.
    pub world: World,
    /// The pipeline, for people.
    pub pipeline: String,
    /// It is played twice and must go the same way.
    pub twice: bool,
}

impl Scenario {
    /// Total over any bytes.
    pub fn decode(bytes: &[u8]) -> Scenario {
        let mut bytes = Bytes::new(bytes);
        let shell = shell(&mut bytes);
        let twice = bytes.chance(8);
        let slots = 1 + u32::from(bytes.byte() % 4);
        let keep_going = bytes.chance(128);
        let select = bytes.chance(24).then(|| bytes.under(4));
        let seed = u64::from(bytes.byte());
        let (sweep_ms, answer_ms) = (bytes.pick(&[0, 0, 5, 700]), bytes.pick(&[0, 0, 5, 700]));
        let output_first = bytes.chance(128);
        let slice_ms = bytes.pick(&[0, 0, 3]);
        let limits = bytes.byte();
        let fingerprint_ms = bytes.chance(32).then(|| u64::from(bytes.word()) % 20_000);
        let cancel_ms = bytes.chance(24).then(|| u64::from(bytes.word()) % 12_000);
        let faults = (0..bytes.under(9)).map(|_| fault(&mut bytes)).collect();
        let pipeline = pipeline(&mut bytes);
        let world = World::new(&pipeline)
            .slots(slots)
            .file("x", "print from a file")
            .secret("token", "t0k3n/+s3cret=")
            .secret("pem", "first line of it\nsecond line of it\n")
            .set(|world| {
                world.config.keep_going = keep_going;
                world.config.select = select.iter().map(|job| format!("j{job}")).collect();
                world.config.seed = seed;
                world.config.params = BTreeMap::from([("p".into(), "param".into())]);
                world.config.limits.job = (limits & 7 == 1).then_some(Duration::from_secs(20));
                world.config.limits.idle = (limits & 15 == 2).then_some(Duration::from_secs(3));
                world.config.limits.output_bytes = (limits & 15 == 3).then_some(9_000);
                world.config.fingerprint_follows = fingerprint_ms.is_some();
                world.sweep_ms = sweep_ms;
                world.answer_ms = answer_ms;
                world.output_first = output_first;
                world.slice_ms = slice_ms;
                world.marked = true;
                world.shell = shell;
                world.plan = Plan::new(faults);
                let fingerprint = fingerprint_ms.map(|ms| (When::Ms(ms), Input::Fingerprint(Some("f1".into()))));
                world.outside.extend(fingerprint);
                world.outside.extend(cancel_ms.map(|ms| (When::Ms(ms), Input::Cancel)));
            });
        Scenario { world, pipeline, twice }
    }

    /// For people.
    pub fn told(&self) -> String {
        let World { config, shell, plan, outside, .. } = &self.world;
        let (slots, keep_going, select, limits) = (config.slots, config.keep_going, &config.select, &config.limits);
        let with = format!("slots {slots}, keep going {keep_going}, select {select:?}, {limits:?}");
        format!("{}\n{with}\n{shell:?}\n{plan:?}\n{outside:?}\n", self.pipeline)
    }

    /// The run that follows the one before it, which did not come to its end, on what is left of its machine.
    ///
    /// A run that is resumed from the record of the one before is given that record here.
    pub fn again(&self, life: usize) -> World {
        let mut world = self.world.clone();
        world.config.run_id = RunId::new(&format!("r-{}", life + 1));
        world
    }
}

fn shell(bytes: &mut Bytes<'_>) -> Shell {
    Shell {
        gathers: bytes.chance(128),
        orders_at_once: bytes.pick(&[usize::MAX, usize::MAX, usize::MAX, 1, 2, 5]),
        facts_at_once: bytes.pick(&[1, 1, 2, 3, 64]),
        events_a_commit: bytes.pick(&[1, 3, 10, 40]),
        bytes_a_read: bytes.pick(&[4096, 1, 60, 300]),
    }
}

/// A fault and its point. A world of sixty facts has some four hundred points.
fn fault(bytes: &mut Bytes<'_>) -> (u32, Fault) {
    let point = u32::from(bytes.word() % 400);
    let kind = bytes.byte() % 22;
    let size = bytes.word();
    let ms = [3, 40, 250, 2_000][usize::from(size % 4)];
    let fault = match kind {
        0 | 1 => Fault::Crash(size),
        2 => Fault::EventUnwritten,
        3 => Fault::LogUnwritten,
        4 | 5 => Fault::Cancel,
        6 | 7 => Fault::WallSteps([-3_600_000, -700, 86_400_000, 1][usize::from(size % 4)]),
        8 => Fault::SpawnFails(size.to_le_bytes()[1]),
        9 | 10 => Fault::ExitLate(ms),
        11..14 => Fault::ReadSplit(size),
        14 | 15 => Fault::ReadLate(ms),
        16 => Fault::DatabaseBusy(ms),
        17 => Fault::CommitFails,
        18 => Fault::CommitUnacknowledged,
        19 => Fault::AnswerLate(ms),
        20 => Fault::AnswerFails,
        _ => Fault::LookLate(ms),
    };
    (point, fault)
}
