//! What all requests share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use smol::channel::Receiver;

use super::credentials::Credentials;
use super::limits::{Limits, Seats};
use super::pages::Kept;
use super::repo_list::RepoList;
use super::router::Router;
use crate::server::App;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) app: Arc<App>,
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) limits: Limits,
    pub(super) router: Router,
    pub(super) connections: Seats,
    pub(super) event_viewers: Seats,
    pub(super) log_viewers: Seats,
    pub(super) answered: Answered,
    pub(super) repo_list: RepoList,
    /// What pages keep between requests.
    pub(super) pages: Kept,
    /// Closed once the server stops: whoever waits for it then knows.
    pub(super) stopping: Receiver<()>,
}

/// How many answers there were of each status.
#[derive(Debug, Default)]
pub(super) struct Answered(Mutex<BTreeMap<u16, u64>>);

impl Answered {
    /// One more.
    pub(super) fn count(&self, status: u16) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    /// All so far.
    pub(super) fn by_status(&self) -> BTreeMap<u16, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
