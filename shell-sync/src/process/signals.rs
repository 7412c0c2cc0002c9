//! Signals to this process, as facts of the loop: INT, TERM and HUP ask for the run's end, WINCH for a redraw.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// Catches the signals of a run from its making on. Children are not touched: they start with an empty mask and default actions.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Installs the handlers. INT and HUP stay ignored where whoever started this process had them ignored (`nohup`, a shell's
    /// background job).
    ///
    /// # Errors
    /// Where the kernel gives no socket pair or refuses a handler.
    pub fn install() -> io::Result<Signals> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let wanted = [SIGINT, SIGHUP].into_iter().filter(|signal| ignored & bit(*signal) == 0);
        if ignored & bit(SIGCHLD) != 0 {
            // Whoever started us ignores its children's ends, and so would we: the kernel would reap them, statuses lost.
            signal_hook::flag::register(SIGCHLD, Arc::default())?;
        }
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, wanted.chain([SIGTERM, SIGWINCH]))?;
        Ok(Signals { delivery })
    }

    /// Readable when [`Signals::pending`] has something.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// The signals that came since the last call, each once.
    pub(super) fn pending(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

/// Whether the signal asks for a redraw; any other one here asks for the end.
pub(super) fn is_resize(signal: i32) -> bool {
    signal == SIGWINCH
}

/// The `SigIgn` mask of a `/proc/PID/status` (proc_pid_status(5)); 0 where there is none.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        for (status, hup, int) in [
            ("Name:\tx\nSigIgn:\t0000000000000000\n", false, false),
            ("SigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n", true, false),
            ("SigIgn:\t0000000000000002\n", false, true),
            ("", false, false),
        ] {
            let mask = ignored_signals(status);
            assert_eq!((mask & bit(SIGHUP) != 0, mask & bit(SIGINT) != 0), (hup, int), "{status:?}");
        }
    }

    #[test]
    fn a_signal_makes_the_descriptor_readable() {
        let mut signals = Signals::install().unwrap();
        assert_eq!(signals.pending(), [] as [i32; 0]);
        signal_hook::low_level::raise(SIGWINCH).unwrap();
        let mut fds = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None), Ok(1));
        assert_eq!(signals.pending(), [SIGWINCH]);
    }

    impl AsFd for Signals {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd()
        }
    }
}
