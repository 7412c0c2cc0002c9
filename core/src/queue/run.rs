//! The states of a run as types. Each step consumes a state, so a run is in one of them, and no step can be taken twice.

use std::collections::BTreeSet;

use crate::ids::RunId;

use super::io::Ask;

/// Tells which of two runs was queued first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// The next one.
    pub(super) fn next(&mut self) -> Ticket {
        self.0 = self.0.saturating_add(1);
        *self
    }
}

/// Somebody wants an end to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cancel {
    pub(super) ask: Ask,
    pub(super) by: Option<String>,
}

/// What is known of a run in each of its states.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) run_id: RunId,
    pub(super) repo: String,
    pub(super) ref_name: Option<String>,
    /// A push caused it.
    pub(super) pushed: bool,
    pub(super) ticket: Ticket,
}

impl Ordered {
    /// Whether a newer push of this ref may take its place.
    pub(super) fn is_pushed(&self, repo: &str, ref_name: &str) -> bool {
        self.pushed && self.repo == repo && self.ref_name.as_deref() == Some(ref_name)
    }
}

/// Ordered to be entered, not known to be in the database.
#[derive(Debug)]
pub(super) struct Entering {
    pub(super) ordered: Ordered,
    /// Newer pushes that take its place once they are entered.
    pub(super) by: BTreeSet<Ask>,
    /// One of them is entered.
    pub(super) replaced: bool,
    pub(super) cancels: Vec<Cancel>,
}

impl Entering {
    pub(super) fn new(ordered: Ordered) -> Entering {
        Entering { ordered, by: BTreeSet::new(), replaced: false, cancels: Vec::new() }
    }
}

/// In the database, and never dispatched.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ordered: Ordered,
    pub(super) number: Option<u64>,
}

impl Waiting {
    /// Newer pushes take its place once they are entered.
    pub(super) fn set_aside(self, by: BTreeSet<Ask>, cancels: Vec<Cancel>) -> Aside {
        Aside { waiting: self, by, cancels }
    }

    /// It is started, or adopted.
    pub(super) fn dispatched(self) -> Running {
        Running { ordered: self.ordered, stopping: false }
    }
}

/// In the database and never dispatched; superseded as soon as one of the newer pushes is entered, and waiting again when none was.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) waiting: Waiting,
    pub(super) by: BTreeSet<Ask>,
    pub(super) cancels: Vec<Cancel>,
}

/// Dispatched or adopted, and not over.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) ordered: Ordered,
    /// Its end was ordered.
    pub(super) stopping: bool,
}
