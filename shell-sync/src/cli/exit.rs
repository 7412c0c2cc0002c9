//! How a command that did its work answers the shell that started it (CONTRACT 5).

/// The answer of a command that had no error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Complete,
    /// The command did its work, and the answer is no: a job failed, the pipeline has errors, doctor found something missing.
    Failed,
    /// A usage, pipeline or record error that was already told.
    Error,
    /// Ended by this signal.
    Signal(i32),
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> i32 {
        match self {
            Exit::Complete => 0,
            Exit::Failed => 1,
            Exit::Error => 2,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        for (exit, code) in [(Exit::Complete, 0), (Exit::Failed, 1), (Exit::Error, 2), (Exit::Signal(15), 143)] {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
