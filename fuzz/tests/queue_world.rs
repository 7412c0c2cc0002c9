//! The simulated world of a server: seeds, and quickcheck with shrinking.

use quickcheck::{Gen, QuickCheck};
use quire_fuzz::queue_world::{Tally, play, seeded};

#[test]
fn the_worlds_of_the_first_seeds_hold() {
    let tallies: Vec<Tally> = (0..1_000).map(seeded).collect();
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (runs, lives, faults) = (sum(|it| it.runs), sum(|it| it.lives), sum(|it| it.faults));
    assert!(
        runs > 10_000 && lives > 2_000 && faults > 1_500,
        "dull worlds: {runs} runs, {lives} lives, {faults} faults"
    );
}

fn holds(bytes: Vec<u8>) -> bool {
    play(&bytes);
    true
}

#[test]
fn the_world_of_any_bytes_holds() {
    QuickCheck::new().rng(Gen::new(400)).tests(500).quickcheck(holds as fn(Vec<u8>) -> bool);
}

/// Worlds in which an invariant once did not hold, each told by what was wrong.
#[test]
fn worlds_that_once_did_not_hold_hold() {
    // It was the invariant: a run that was to be stopped for a newer push had not begun when its process and the server were
    // killed, so both waited after the restart.
    seeded(7008);
}

#[test]
fn no_bytes_are_a_world_too() {
    play(b"");
    for byte in 0..=255 {
        play(&[byte; 64]);
    }
}
