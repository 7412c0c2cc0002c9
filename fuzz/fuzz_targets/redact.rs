//! Target `redact`: see [`quire_fuzz::targets::redact`].

#![cfg_attr(fuzzing, no_main)]

quire_fuzz::target!(quire_fuzz::targets::redact::run);
