//! What may go wrong, and when: faults lie in wait at numbered points of a world's life.
//!
//! A point is a moment between two effects: before and after an order is performed, an event line or a log entry is written, a
//! transaction is committed. A fault strikes at its point, or at the first occasion after it.

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The shell is killed. Where it is writing, so many bytes of that (modulo their count, all of them included) are written.
    Crash(u16),
    /// An event cannot be written.
    EventUnwritten,
    /// A log entry cannot be written.
    LogUnwritten,
    /// Somebody cancels the run.
    Cancel,
    /// The wall clock is set by so many milliseconds.
    WallSteps(i32),
    /// A command does not start.
    SpawnFails(u8),
    /// That a process ended is found out so many milliseconds late.
    ExitLate(u16),
    /// A read brings only so many bytes (modulo their count), the rest comes with the next one.
    ReadSplit(u16),
    /// What a command prints is read so many milliseconds late.
    ReadLate(u16),
    /// The database is busy for so many milliseconds.
    DatabaseBusy(u16),
    /// A transaction is not committed.
    CommitFails,
    /// A transaction is committed, and says that it is not.
    CommitUnacknowledged,
    /// An answer takes so many milliseconds longer.
    AnswerLate(u16),
    /// A question cannot be answered.
    AnswerFails,
    /// The shell is held up for so many milliseconds before it looks around.
    LookLate(u16),
}

/// The faults of one world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order of their points.
    waiting: Vec<(u32, Fault)>,
    /// Whose point has passed, but not their occasion.
    armed: Vec<Fault>,
    point: u32,
    struck: u32,
}

impl Plan {
    /// Each fault with its point.
    pub fn new(mut faults: Vec<(u32, Fault)>) -> Plan {
        faults.sort_by_key(|(point, _)| std::cmp::Reverse(*point));
        Plan { waiting: faults, armed: Vec::new(), point: 0, struck: 0 }
    }

    /// The next point is reached: its faults lie in wait from now on.
    pub fn reach(&mut self) {
        self.point += 1;
        while let Some((_, fault)) = self.waiting.pop_if(|(point, _)| *point <= self.point) {
            self.armed.push(fault);
        }
    }

    /// An occasion for a kind of fault: strikes with what `of` takes from the first that is one of them.
    pub fn strike<T>(&mut self, of: impl Fn(Fault) -> Option<T>) -> Option<T> {
        let (at, struck) = self.armed.iter().enumerate().find_map(|(at, fault)| Some((at, of(*fault)?)))?;
        self.armed.remove(at);
        self.struck += 1;
        Some(struck)
    }

    /// Points reached.
    pub fn point(&self) -> u32 {
        self.point
    }

    /// Faults that struck.
    pub fn struck(&self) -> u32 {
        self.struck
    }

    /// Nothing goes wrong from now on.
    pub fn end(&mut self) {
        self.waiting.clear();
        self.armed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_point_and_then_for_its_occasion() {
        let mut plan = Plan::new(vec![(2, Fault::Cancel), (1, Fault::CommitFails)]);
        let cancel = |fault| matches!(fault, Fault::Cancel).then_some(());
        plan.reach();
        assert_eq!(plan.strike(cancel), None);
        plan.reach();
        assert_eq!((plan.strike(cancel), plan.strike(cancel), plan.struck()), (Some(()), None, 1));
        plan.end();
        assert_eq!(plan.strike(Some), None);
    }
}
