//! Target `log`: see [`quire_fuzz::targets::log`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::log::run);
