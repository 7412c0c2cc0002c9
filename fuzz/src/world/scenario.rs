//! A scenario: what any bytes are decoded into.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use quire_core::engine::Input;
use quire_core::ids::RunId;
use quire_core::redact::SecretSet;
use quire_core::replay::Extent;

use super::bytes::Bytes;
use super::fault::{Fault, Plan};
use super::given::{When, World};
use super::pipeline::{Pipeline, pipeline};
use super::shell::Shell;

/// A world and how it is played.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The first run.
    pub world: World,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// It is played twice and must go the same way.
    pub twice: bool,
    /// A run that did not complete is gone on with, so far.
    pub resumes: Option<Extent>,
}

impl Scenario {
    /// Total over any bytes.
    pub fn decode(bytes: &[u8]) -> Scenario {
        let mut bytes = Bytes::new(bytes);
        let shell = shell(&mut bytes);
        let twice = bytes.chance(8);
        let resumes = bytes.pick(&[None, Some(Extent::Resume), None, Some(Extent::Failed), None]);
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
        let mut faults = Vec::new();
        for _ in 0..bytes.pick(&[0, 3, 4, 4, 5, 6, 7, 8]) {
            let (point, kind) = fault(&mut bytes);
            faults.push((point, kind));
            // Who cancels once, cancels twice.
            if kind == Fault::Cancel && point % 2 == 1 {
                faults.push((point + u32::from(bytes.byte() % 32), kind));
            }
        }
        let runs_again = resumes.is_some() || faults.iter().any(|(_, fault)| matches!(fault, Fault::Crash(_)));
        let pipeline = pipeline(&mut bytes, runs_again);
        let world = World::new(&pipeline.text).slots(slots).file("x", "print from a file").set(|world| {
            let (secrets, secret_set) = secrets();
            world.config.secrets.clone_from(secrets);
            world.config.secret_set = secret_set.clone();
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
        Scenario { world, pipeline, twice, resumes }
    }

    /// For people.
    pub fn told(&self) -> String {
        let World { config, shell, plan, outside, .. } = &self.world;
        let (slots, keep_going, select, limits) = (config.slots, config.keep_going, &config.select, &config.limits);
        let with = format!("slots {slots}, keep going {keep_going}, select {select:?}, {limits:?}");
        format!("{}\n{with}\n{shell:?}\n{plan:?}\n{outside:?}\n", self.pipeline.text)
    }

    /// The run that follows the one before it, on what is left of its machine.
    pub fn again(&self, life: usize) -> World {
        let mut world = self.world.clone();
        world.config.run_id = RunId::new(&format!("r-{}", life + 1));
        world
    }
}

/// The declared secrets of every scenario, and their set, which is costly to make.
fn secrets() -> &'static (BTreeMap<String, Vec<u8>>, SecretSet) {
    static SECRETS: LazyLock<(BTreeMap<String, Vec<u8>>, SecretSet)> = LazyLock::new(|| {
        let named = [("token", "t0k3n/+s3cret="), ("pem", "first line of it\nsecond line of it\n")];
        let secrets: BTreeMap<String, Vec<u8>> =
            named.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let set = SecretSet::new(secrets.values().map(Vec::as_slice)).expect("they are long enough");
        (secrets, set)
    });
    &SECRETS
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
    let point = u32::from(bytes.word() % [60, 120, 250, 500][bytes.under(4)]);
    let kind = bytes.byte() % 40;
    let size = bytes.word();
    let ms = [3, 40, 250, 2_000][usize::from(size % 4)];
    // What ends a run is rarer than what it lives through.
    let fault = match kind {
        0 | 1 => Fault::Crash(size),
        2 => Fault::EventUnwritten,
        3 => Fault::LogUnwritten,
        4 => Fault::Cancel,
        5..9 => Fault::WallSteps([-3_600_000, -700, 86_400_000, 1][usize::from(size % 4)]),
        9 => Fault::SpawnFails(size.to_le_bytes()[1]),
        10..15 => Fault::ExitLate(ms),
        15..20 => Fault::ReadSplit(size),
        20..24 => Fault::ReadLate(ms),
        24..28 => Fault::DatabaseBusy(ms),
        28..31 => Fault::CommitFails,
        31..34 => Fault::CommitUnacknowledged,
        34 | 35 => Fault::AnswerLate(ms),
        36 => Fault::AnswerFails,
        _ => Fault::LookLate(ms),
    };
    (point, fault)
}
