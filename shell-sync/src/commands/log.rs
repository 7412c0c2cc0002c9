//! `log`: what commands printed. Logs of any length pass through in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use quire_core::cri::StreamBytes;
use quire_core::ids::ShId;
use quire_core::rows::ShRow;
use quire_core::wire::Stream;

use super::history::{FoundRun, History, listing, looks, record_error};
use crate::cli::{CliError, Context, Exit, LogArgs};
use crate::ui::text::{one_line, without_sequences};
use crate::ui::{Looks, Piece, Sink, Surroundings, Tone, pieces, words};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// Longest entry waited for; more without a line end is no log.
const LONGEST_ENTRY: usize = 4 * CHUNK;

/// Prints logs on standard output.
pub fn run(context: &Context, args: &LogArgs) -> Result<Exit, CliError> {
    let history = History::open(context)?;
    let looks = looks(context.color);
    let terminal = Surroundings::of(Sink::Stdout).terminal;
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    write(&history, args, looks, terminal, &mut out)?;
    out.flush()?;
    Ok(Exit::Complete)
}

/// Writes the logs that are asked for: one as it is, several each under a heading.
pub fn write(
    history: &History,
    args: &LogArgs,
    looks: Looks,
    terminal: bool,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let FoundRun { row, files } = history.run(&args.run)?;
    let commands = history.asked(&row, args.job.as_deref())?;
    let stream = args.stream.as_deref().and_then(Stream::parse);
    if args.raw {
        let [sh] = commands.as_slice() else {
            let error = CliError::usage("--raw prints the bytes of one command: name it as JOB/N");
            return Err(error.help(listing(&commands)));
        };
        return match files.log(&id(sh)) {
            Some(path) => raw(&path, sh, stream.unwrap_or(Stream::Stdout), out),
            None => Ok(()),
        };
    }
    let mut printer = Printer::new(looks, terminal, stream, args.timestamps);
    for (nth, sh) in commands.iter().enumerate() {
        if commands.len() > 1 {
            if nth > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", heading(sh, looks))?;
        }
        if let Some(path) = files.log(&id(sh)) {
            entries(&path, |whole| printer.print(whole, out))?;
        }
        printer.end_line(out)?;
    }
    Ok(())
}

fn id(sh: &ShRow) -> ShId {
    ShId { job: sh.job_id.clone(), n: sh.n }
}

/// `── build/1 $ cargo build (exit 0, 1.2s)`
pub fn heading(sh: &ShRow, looks: Looks) -> String {
    let took = words::sh_duration(sh).map(|took| format!(", {took}")).unwrap_or_default();
    let rule = looks.paint(Tone::Quiet, looks.pick("──", "--"));
    let title = looks.paint(Tone::Strong, one_line(&format!("{} $ {}", id(sh), sh.cmd)));
    format!("{rule} {title} ({}{took})", words::ending(sh))
}

/// The exact bytes of a stream.
fn raw(path: &Path, sh: &ShRow, stream: Stream, out: &mut impl Write) -> Result<(), CliError> {
    let mut bytes = StreamBytes::new(stream);
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut bad = None;
    chunks(path, |chunk| {
        buffer.clear();
        let taken = bytes.push(chunk, &mut buffer);
        bad = bad.take().or(taken.err());
        out.write_all(&buffer)
    })?;
    buffer.clear();
    let no_eol = sh.no_eol.as_deref().is_some_and(|words| words.split(',').any(|word| word == stream.as_str()));
    bytes.finish(no_eol, &mut buffer);
    out.write_all(&buffer)?;
    match bad {
        None => Ok(()),
        Some(error) => Err(record_error(format!("{}: {error}; what could be read was printed", path.display()))),
    }
}

/// Reads a file piece by piece. One that is not there is empty: the command may have printed nothing.
fn chunks(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), CliError> {
    let unreadable = |error| record_error(format!("cannot read {}: {error}", path.display()));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

/// Hands whole entries on, and at the end a torn one as far as it goes.
fn entries(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), CliError> {
    let mut entries = Entries::default();
    chunks(path, |chunk| entries.push(chunk, &mut each))?;
    entries.end(&mut each)?;
    Ok(())
}

/// Bytes of a log that are cut anywhere -> whole entries.
#[derive(Debug, Default)]
pub struct Entries {
    torn: Vec<u8>,
}

impl Entries {
    /// Takes the next bytes and hands the entries on that are whole.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let (whole, rest) = match memchr::memrchr(b'\n', chunk) {
            Some(at) => chunk.split_at_checked(at + 1).unwrap_or((chunk, &[])),
            None => (&[][..], chunk),
        };
        if self.torn.is_empty() {
            each(whole)?;
        } else if let Some(at) = memchr::memchr(b'\n', whole) {
            let (end, following) = whole.split_at_checked(at + 1).unwrap_or((whole, &[]));
            self.torn.extend_from_slice(end);
            each(&self.torn)?;
            self.torn.clear();
            each(following)?;
        }
        if self.torn.len() + rest.len() <= LONGEST_ENTRY {
            self.torn.extend_from_slice(rest);
        }
        Ok(())
    }

    /// There is no more: hands a torn entry on as far as it goes.
    pub fn end(self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        each(&self.torn)
    }
}

/// Entries to lines for people. A line that came in parts is one, unless the other stream breaks it.
#[derive(Debug)]
pub struct Printer {
    looks: Looks,
    terminal: bool,
    /// Only this stream.
    stream: Option<Stream>,
    timestamps: bool,
    /// The stream whose line is written but not ended.
    open: Option<Stream>,
    /// The open line may have left colours on.
    escaped: bool,
}

impl Printer {
    /// For a place of these looks, a terminal or not; of one stream only if one is given; each line with its time if wanted.
    pub fn new(looks: Looks, terminal: bool, stream: Option<Stream>, timestamps: bool) -> Printer {
        Printer { looks, terminal, stream, timestamps, open: None, escaped: false }
    }

    /// Writes whole entries.
    pub fn print(&mut self, entries: &[u8], out: &mut impl Write) -> io::Result<()> {
        let only = self.stream;
        for piece in pieces(entries).filter(|piece| only.is_none_or(|stream| stream == piece.stream)) {
            self.piece(&piece, out)?;
        }
        Ok(())
    }

    fn piece(&mut self, piece: &Piece<'_>, out: &mut impl Write) -> io::Result<()> {
        if self.open != Some(piece.stream) {
            self.end_line(out)?;
            if self.timestamps {
                // Milliseconds are enough for people.
                let at = piece.at.get(..23).filter(|_| piece.at.len() > 23);
                let at = at.map_or_else(|| piece.at.to_vec(), |at| [at, b"Z"].concat());
                let at = String::from_utf8_lossy(&at);
                write!(out, "{} ", self.looks.paint(Tone::Quiet, at))?;
            }
            self.open = Some(piece.stream);
        }
        let escapes = memchr::memchr(0x1b, piece.content).is_some();
        if escapes || self.terminal {
            let mut clean = Vec::with_capacity(piece.content.len());
            without_sequences(piece.content, self.looks.colour, self.terminal, &mut clean);
            out.write_all(&clean)?;
            self.escaped |= escapes && self.looks.colour;
        } else {
            out.write_all(piece.content)?;
        }
        if piece.full {
            self.end_line(out)?;
        }
        Ok(())
    }

    /// Ends a line that is open: the log has no more.
    pub fn end_line(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.open.take().is_some() {
            out.write_all(if std::mem::take(&mut self.escaped) { b"\x1b[0m\n" } else { b"\n" })?;
        }
        Ok(())
    }
}
