//! Target `decode`: see [`quire_fuzz::targets::decode`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::decode::run);
