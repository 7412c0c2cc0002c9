//! Work beside the run whose result the loop waits for: git status, on a thread of its own.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// What the work beside the run found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovered {
    /// State of the workspace: becomes [`quire_core::engine::Input::Fingerprint`].
    pub fingerprint: Option<String>,
    /// How many files are modified, and how many untracked: shown when it is known.
    pub dirty: Option<(u64, u64)>,
}

/// A thread that finds something out while the jobs run.
#[derive(Debug)]
pub struct Background {
    ended: PipeReader,
    result: Receiver<Discovered>,
}

impl Background {
    /// Starts the work. What it panics about counts as nothing found.
    ///
    /// # Errors
    /// Where the machine gives no pipe or thread.
    pub fn start(work: impl FnOnce() -> Discovered + Send + 'static) -> io::Result<Background> {
        let (ended, writer) = io::pipe()?;
        let (sender, result) = channel();
        thread::Builder::new().name("background".to_owned()).spawn(move || {
            // Moved in so that it closes when the work is done, or has panicked: the loop sees the end of the pipe.
            let _ended = writer;
            // Nobody listens any more where the run has ended first.
            let _ = sender.send(work());
        })?;
        Ok(Background { ended, result })
    }

    /// Readable (at its end) when the work is done.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// What was found; call when [`Background::fd`] is readable.
    pub(super) fn finish(self) -> Discovered {
        self.result.try_recv().unwrap_or_default()
    }
}

/// Waits for the work: what it started must not outlive who asked for it.
impl Drop for Background {
    fn drop(&mut self) {
        // The end of the pipe is the end of the work; an error means that there is nothing to wait for.
        let _ = self.ended.read(&mut [0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(mut background: Background) -> Discovered {
        assert_eq!(background.ended.read(&mut [0]).unwrap(), 0);
        background.finish()
    }

    #[test]
    fn the_result_is_there_when_the_pipe_ends() {
        let found = Discovered { fingerprint: Some("f".to_owned()), dirty: None };
        let expected = found.clone();
        assert_eq!(finished(Background::start(move || found).unwrap()), expected);
    }

    #[test]
    fn a_panic_is_nothing_found() {
        let background = Background::start(|| panic!("the work's own fault")).unwrap();
        assert_eq!(finished(background), Discovered::default());
    }
}
