//! Target `queue`: see [`quire_fuzz::targets::queue`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::queue::run);
