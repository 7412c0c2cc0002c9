//! Target `cri`: see [`quire_fuzz::targets::cri`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::cri::run);
