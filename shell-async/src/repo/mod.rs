//! Repositories on disk: made, taken in, listed, and their hooks.
//!
//! `<data>/repos` is the list: a folder there is a repository made here, a symlink one that was taken in. `name`: what they may be
//! called. `registry`: the list itself. `hook`: what git runs after a push. `data_dir`: modes of the data directory.

mod data_dir;
mod error;
mod hook;
mod name;
mod registry;

pub use data_dir::{prepare_data_dir, share_socket};
pub use error::RepoError;
pub use hook::{Caller, Hook, hook_binary};
pub use name::{BadName, RepoName};
pub use registry::{Removed, Repo, Repos};
