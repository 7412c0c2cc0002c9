//! Target `pairing`: see [`quire_fuzz::targets::pairing`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::pairing::run);
