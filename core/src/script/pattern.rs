//! Lua patterns (Lua 5.4 manual 6.4.1) with a bound on the work that a match may do.
