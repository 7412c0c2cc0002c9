//! Pipelines in Fennel, with the installed compiler. A machine without it fails these tests: `.ci/install-fennel` installs it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the compiler is read from the machine")]

mod modules;
mod places;
mod support;
mod twins;
