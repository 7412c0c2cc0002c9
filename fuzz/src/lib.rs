//! quire-fuzz: one world for all fuzzing of the core.
