//! One command from its start until nothing of it is left to wait for: its pipes, its capture's deadline, its end.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use async_process::Child;
use quire_ci::clock;
use quire_ci::process::{Desk, Streams};
use quire_core::engine::{ExitStatus, Input};
use quire_core::time::{Mono, Now};
use quire_core::wire::Stream;
use rustix::process::Pid;
use smol::future::{self, FutureExt as _};

use super::commands::{Notes, Room};
use super::inbox::{Inbox, Told};

/// The farthest a timer is set: a deadline in a year wakes its command once in a while.
const FARTHEST: Duration = Duration::from_secs(86_400 * 20);

/// A command, as its task and the run's loop share it.
#[derive(Debug)]
pub(super) struct Command {
    /// Leader of the command's process group.
    pub pid: Pid,
    /// Its leader has not been reaped: so long the number of its group names this group and no other.
    pub is_alive: Cell<bool>,
    pub streams: RefCell<Streams<Async<OwnedFd>>>,
    pub room: Rc<Room>,
    pub inbox: Rc<Inbox>,
}

impl Command {
    /// Attends to it until it is over.
    pub async fn attend(self: Rc<Command>, child: Child) {
        let _guard = Guard(&self.inbox);
        let mut timer = Deadline::default();
        future::zip(self.exit(child), poll_fn(|context| self.poll_streams(&mut timer, context))).await;
        let sh = self.streams.borrow().sh().clone();
        self.inbox.tell(Told::Over(sh));
    }

    /// Lets the streams work with what all commands of the thread share.
    pub fn with_desk<T>(&self, work: impl FnOnce(&mut Streams<Async<OwnedFd>>, &mut Desk<'_>) -> T) -> T {
        self.inbox.with_facts(|facts| {
            let mut notes = Notes::default();
            self.room.with_desk(facts, &mut notes, |desk| work(&mut self.streams.borrow_mut(), desk))
        })
    }

    async fn exit(&self, mut child: Child) {
        let status = match child.status().await {
            Ok(status) => match status.signal() {
                Some(signal) => ExitStatus::Signal(signal),
                None => ExitStatus::Code(status.code().unwrap_or(-1)),
            },
            // Somebody else in this process reaped it: how it ended is lost, that it ended is not.
            Err(_) => ExitStatus::Code(-1),
        };
        self.is_alive.set(false);
        self.room.forget(self.pid);
        self.inbox.tell(Told::Reaped(self.pid));
        let sh = self.streams.borrow().sh().clone();
        self.inbox.fact(Input::Exited { sh, status });
    }

    /// Does what can be done now; ready once both pipes have ended.
    fn poll_streams(&self, timer: &mut Deadline, context: &mut Context<'_>) -> Poll<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            // Once a turn, as it is not ready when it is asked again at once: a command that prints and prints leaves room for
            // the others.
            while let Some(ready) = self.poll(|streams| streams.pipe(stream).map(|pipe| pipe.poll_readable(context))) {
                self.with_desk(|streams, desk| match ready {
                    Ok(()) => drop(streams.read(stream, desk)),
                    Err(_) => streams.end(stream, true, desk),
                });
            }
        }
        while let Some(Ok(())) = self.poll(|streams| streams.stdin().map(|pipe| pipe.poll_writable(context))) {
            self.streams.borrow_mut().feed();
        }
        loop {
            let Some(at) = self.streams.borrow().deadline() else { break };
            let now = clock::now();
            if at <= now.mono {
                self.with_desk(|streams, desk| streams.on_deadline(now, desk));
            } else if timer.poll(at, now, context).is_pending() {
                break;
            }
        }
        match self.streams.borrow().are_over() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// What a pipe says that is there and not to be waited for.
    fn poll(
        &self,
        poll: impl FnOnce(&Streams<Async<OwnedFd>>) -> Option<Poll<io::Result<()>>>,
    ) -> Option<io::Result<()>> {
        match poll(&self.streams.borrow())? {
            Poll::Ready(ready) => Some(ready),
            Poll::Pending => None,
        }
    }
}

/// Tells the run's loop of a mistake of ours in one of its tasks, so that it does not wait for ever for what that would tell.
struct Guard<'a>(&'a Inbox);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tell(Told::Broken);
        }
    }
}

/// A timer that is set anew only where its time has changed.
#[derive(Debug, Default)]
struct Deadline(Option<(Mono, Timer)>);

impl Deadline {
    fn poll(&mut self, at: Mono, now: Now, context: &mut Context<'_>) -> Poll<()> {
        let (set, timer) = self.0.get_or_insert_with(|| (at, timer(at, now)));
        if *set != at {
            *set = at;
            timer.set_after(at.since(now.mono).min(FARTHEST));
        }
        match timer.poll(context) {
            Poll::Ready(_) => {
                self.0 = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A timer for a point of the engine's clock.
pub(super) fn timer(at: Mono, now: Now) -> Timer {
    Timer::after(at.since(now.mono).min(FARTHEST))
}
