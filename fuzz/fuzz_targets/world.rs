//! Target `world`: see [`quire_fuzz::run`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::run);
