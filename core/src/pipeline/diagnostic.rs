//! Diagnostics: what is wrong with a pipeline, where, and what to write instead.

use std::fmt;

/// A place in a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Relative to the workspace, `/`-separated.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters, where it is known.
    pub column: Option<u32>,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostic {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where, as far as it is known.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line at the place.
    pub excerpt: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
