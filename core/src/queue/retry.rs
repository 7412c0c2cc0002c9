//! Whether a run can be had again.

use crate::rows::RunState;

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRetried {
    /// It waits or goes on.
    #[error("the run is not over yet; cancel it first")]
    NotOver,
    /// Only what failed was wanted, and nothing did.
    #[error("nothing in the run failed; retry all of it")]
    NothingFailed,
    /// Its commit is not known.
    #[error("the run's commit was not recorded")]
    NoCommit,
}

/// Whether a run in this state can be had again: all of it, or only what `failed`.
///
/// # Errors
/// For people: why not.
pub fn may_retry(state: RunState, failed: bool, has_commit: bool) -> Result<(), NotRetried> {
    match state {
        RunState::Pending | RunState::Active => Err(NotRetried::NotOver),
        RunState::Complete if failed => Err(NotRetried::NothingFailed),
        RunState::Complete | RunState::Failed | RunState::Aborted | RunState::Superseded if !has_commit => {
            Err(NotRetried::NoCommit)
        }
        RunState::Complete | RunState::Failed | RunState::Aborted | RunState::Superseded => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_again() {
        use RunState::{Aborted, Active, Complete, Failed, Pending, Superseded};
        for (state, all, failed) in [
            (Pending, Err(NotRetried::NotOver), Err(NotRetried::NotOver)),
            (Active, Err(NotRetried::NotOver), Err(NotRetried::NotOver)),
            (Complete, Ok(()), Err(NotRetried::NothingFailed)),
            (Failed, Ok(()), Ok(())),
            (Aborted, Ok(()), Ok(())),
            (Superseded, Ok(()), Ok(())),
        ] {
            assert_eq!((may_retry(state, false, true), may_retry(state, true, true)), (all, failed), "{state:?}");
        }
        assert_eq!(may_retry(Failed, false, false), Err(NotRetried::NoCommit));
    }
}
