//! `prune`: removes old runs. What may go is [`crate::record`]'s to know.

use std::io::Write;

use crate::cli::{CliError, Context, Exit, PruneArgs};
use crate::record::{Pruned, RecordError, Retention};

/// Removes, or says what would be removed. The answer is an error where something could not be.
pub fn run(context: &Context, args: &PruneArgs) -> Result<Exit, CliError> {
    let data = context.data()?;
    if data.is_servers() {
        return Err(RecordError::Servers { path: data.path().to_owned() }.into());
    }
    let mut store = data.open_store()?;
    let mut notes = Vec::new();
    if !args.dry_run {
        // Runs that died count as ended from here on.
        notes.extend(data.recover(&mut store)?.notes());
    }
    let keep = Retention { max_runs: args.keep, max_bytes: args.max_size };
    let pruned = data.prune(&mut store, &keep, args.dry_run, &|| false)?;
    let mut err = anstream::stderr().lock();
    for note in &notes {
        writeln!(err, "{note}")?;
    }
    for problem in &pruned.problems {
        writeln!(err, "error: {problem}")?;
    }
    write_pruned(&mut anstream::stdout().lock(), &pruned, args.dry_run)?;
    Ok(if pruned.problems.is_empty() { Exit::Complete } else { Exit::Error })
}

fn write_pruned(out: &mut impl Write, pruned: &Pruned, dry_run: bool) -> Result<(), CliError> {
    for run in &pruned.runs {
        let number = run.row.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let size = run.disk_bytes.map(size).unwrap_or_default();
        writeln!(out, "  {}", format!("{number:>4}  {}  {:<10}  {size}", run.row.run_id, run.row.state).trim_end())?;
    }
    let done = if dry_run { "would be removed" } else { "removed" };
    match pruned.runs.len() {
        0 => writeln!(out, "nothing to remove")?,
        1 => writeln!(out, "1 run {done}, {}", size(pruned.bytes))?,
        count => writeln!(out, "{count} runs {done}, {}", size(pruned.bytes))?,
    }
    Ok(())
}

/// Bytes for people: three digits at least, powers of 1000.
pub(super) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut rest = bytes;
    let mut unit = None;
    let mut tenths = 0;
    for name in units {
        if rest < 1000 {
            break;
        }
        tenths = rest % 1000 / 100;
        rest /= 1000;
        unit = Some(name);
    }
    match unit {
        None => format!("{rest} B"),
        Some(unit) if rest < 100 => format!("{rest}.{tenths} {unit}"),
        Some(unit) => format!("{rest} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (123_456, "123 kB"),
            (1_000_000_000, "1.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), want);
        }
    }

    #[test]
    fn nothing_is_told_too() {
        let mut out = Vec::new();
        write_pruned(&mut out, &Pruned::default(), false).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "nothing to remove\n");
    }
}
