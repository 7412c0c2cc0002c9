//! The engine: one run as a state machine. Facts in ([`Input`]), orders out ([`Output`]).

mod config;
mod io;

pub use config::{Config, Limits, Source};
pub use io::{Answer, Ask, CommandSpec, ExitStatus, GRACE, Input, Output, Scope, Signal, SpawnFailure};

use crate::time::{Mono, Now};

/// One run.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// A run that begins now.
    pub fn new(_config: Config, _now: Now) -> Engine {
        todo!()
    }

    /// Records a fact. Nothing runs until [`Engine::poll_output`].
    pub fn handle(&mut self, _now: Now, _input: Input) {
        todo!()
    }

    /// The next order, or `None` where there is nothing to do before the next fact or deadline. Lua runs in here, in slices.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// When to call [`Engine::handle`] with [`Input::Tick`] at the latest. A point not after the last `now` means at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        todo!()
    }
}
