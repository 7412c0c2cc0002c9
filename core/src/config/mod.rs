//! The server's configuration: what its file says, as data; which repository gets what.
//!
//! Reading `config.lua` or `config.fnl` into this, with every error at its line, is `load`'s. Reading files and resolving
//! secrets is a shell's.

mod check;
mod keys;
mod load;
mod pattern;
mod places;
mod report;
mod rules;
mod types;
mod values;

pub use load::{Loaded, Refused, load};
pub use pattern::matches;
pub use types::{Executor, Keep, Limits, Logs, Proxy, RepoConfig, Role, Rule, SecretRule, ServerConfig};
