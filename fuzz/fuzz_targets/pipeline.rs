//! Target `pipeline`: see [`quire_fuzz::targets::pipeline`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::pipeline::run);
