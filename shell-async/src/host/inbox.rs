//! What the tasks of a run tell its loop. All on one thread.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use quire_core::engine::Input;
use quire_core::ids::ShId;
use rustix::process::Pid;

/// Something that happened and is no fact for the engine by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A command's leader was reaped.
    Reaped(Pid),
    /// Nothing of a command is left to wait for.
    Over(ShId),
    /// A process that a sweep watches has ended.
    Ended(u64),
    /// A command's task has panicked.
    Broken,
}

/// One run's.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    facts: RefCell<Vec<Input>>,
    told: RefCell<Vec<Told>>,
    reader: RefCell<Option<Waker>>,
}

impl Inbox {
    /// Lets facts be put in, then wakes who waits for some.
    pub fn with_facts<T>(&self, put: impl FnOnce(&mut Vec<Input>) -> T) -> T {
        let (result, is_filled) = {
            let mut facts = self.facts.borrow_mut();
            let before = facts.len();
            (put(&mut facts), facts.len() > before)
        };
        if is_filled {
            self.wake();
        }
        result
    }

    /// Puts a fact in.
    pub fn fact(&self, fact: Input) {
        self.with_facts(|facts| facts.push(fact));
    }

    /// Puts in what is no fact.
    pub fn tell(&self, told: Told) {
        self.told.borrow_mut().push(told);
        self.wake();
    }

    /// The facts since the last call.
    pub fn facts(&self) -> Vec<Input> {
        self.facts.take()
    }

    /// What else was told since the last call.
    pub fn told(&self) -> Vec<Told> {
        self.told.take()
    }

    /// Waits until there is something. One waits at a time.
    pub async fn filled(&self) {
        poll_fn(|context| {
            if self.facts.borrow().is_empty() && self.told.borrow().is_empty() {
                *self.reader.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await
    }

    fn wake(&self) {
        let reader = self.reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
