//! The server's configuration as people write it, and what they are told where it is wrong.

#![allow(clippy::disallowed_methods, reason = "the compiler of this machine is read")]

mod diagnostics;
mod hostile;
mod support;
mod values;
