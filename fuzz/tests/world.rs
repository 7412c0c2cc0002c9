//! The simulated world: seeds, every literal that was once found, and quickcheck with shrinking.

use quickcheck::QuickCheck;
use quire_fuzz::{run, seeded};

#[test]
fn the_worlds_of_the_first_seeds_hold() {
    for seed in 0..400 {
        seeded(seed);
    }
}

/// What shrinks is bytes: fewer of them are fewer statements and faults, smaller ones simpler choices.
fn holds(bytes: Vec<u8>) -> bool {
    run(&bytes);
    true
}

#[test]
fn the_world_of_any_bytes_holds() {
    let g = quickcheck::Gen::new(600);
    QuickCheck::new().rng(g).tests(200).quickcheck(holds as fn(Vec<u8>) -> bool);
}

#[test]
fn no_bytes_are_a_world_too() {
    run(b"");
    for byte in 0..=255 {
        run(&[byte; 64]);
    }
}
