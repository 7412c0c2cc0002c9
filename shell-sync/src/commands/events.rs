//! `events`: the stream of a run as it is, byte for byte.

use std::fs::File;
use std::io::{self, Write as _};

use super::history::{History, record_error};
use crate::cli::{CliError, Context, EventsArgs, Exit};

/// Copies a run's event file to standard output.
pub fn run(context: &Context, args: &EventsArgs) -> Result<Exit, CliError> {
    let history = History::open(context)?;
    let mut out = io::stdout().lock();
    write(&history, args, &mut out)?;
    out.flush()?;
    Ok(Exit::Complete)
}

/// Copies a run's event file to `out`. A stream that was never begun is an empty one.
pub fn write(history: &History, args: &EventsArgs, out: &mut impl io::Write) -> Result<(), CliError> {
    let path = history.run(&args.run)?.files.events();
    match File::open(&path) {
        Ok(mut file) => {
            io::copy(&mut file, out)?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(record_error(format!("cannot read {}: {error}", path.display()))),
    }
}
