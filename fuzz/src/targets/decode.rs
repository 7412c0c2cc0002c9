//! Target `decode`: any bytes as a stream of events.
//!
//! Holds: lines do not depend on how the stream is cut nor on where a reader begins; what is decoded can be written and read
//! again, and is the same then; the quick way through a plain line reads what the JSON parser reads; errors are short.

use quire_core::wire::{Decoded, Event, Line, Reader, decode, encode};

use super::input::cut;

/// Longest message of a decode error that is put up with, in bytes.
const LONGEST_MESSAGE: usize = 310;

/// Checks a stream of any bytes.
pub fn run(data: &[u8]) {
    let lines = read(&[data]);
    assert_eq!(read(&cut(data)), lines, "cut into pieces it is read otherwise");
    assert_eq!(read(&data.chunks(1).collect::<Vec<_>>()), lines, "byte by byte it is read otherwise");
    check_places(data, &lines);
    let texts = data.split(|byte| *byte == b'\n');
    for (text, line) in texts.zip(&lines) {
        match &line.decoded {
            Ok(Decoded::Event(event)) => check_event(event),
            Ok(Decoded::Unknown(_)) => {}
            Err(error) => {
                let length = error.message.len();
                assert!(length > 0 && length <= LONGEST_MESSAGE, "a message of {length} bytes");
            }
        }
        check_slow_way(text, line);
    }
}

fn read(pieces: &[&[u8]]) -> Vec<Line> {
    let (mut reader, mut lines) = (Reader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece, |line| lines.push(line));
    }
    let whole: usize = pieces.iter().map(|piece| piece.len()).sum();
    let ended = lines.last().map_or(0, |line: &Line| line.end);
    assert_eq!(ended + reader.pending().len() as u64, whole as u64, "bytes were lost");
    lines
}

/// Lines are numbered, end where their newline is, and a reader can begin behind each.
fn check_places(data: &[u8], lines: &[Line]) {
    let newlines = data.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at as u64 + 1);
    assert!(lines.iter().map(|line| line.end).eq(newlines), "a line ends elsewhere");
    assert!(lines.iter().map(|line| line.number).eq(1..=lines.len() as u64), "a line has another number");
    if let Some(middle) = lines.get(lines.len() / 2) {
        let rest = &data[usize::try_from(middle.end).expect("a stream in memory")..];
        let (mut reader, mut later) = (Reader::starting_at(middle.end, middle.number + 1), Vec::new());
        reader.push(rest, |line| later.push(line));
        assert_eq!(later, lines[lines.len() / 2 + 1..], "a reader that begins later reads otherwise");
    }
}

/// Written and read again, the event is the same; and it is one line.
fn check_event(event: &Event) {
    let mut written = Vec::new();
    encode(event, &mut written);
    let Some((b'\n', text)) = written.split_last() else { panic!("an event is written without its newline") };
    assert!(!text.contains(&b'\n'), "an event is written on several lines");
    assert_eq!(decode(text), Ok(Decoded::Event(event.clone())), "an event is not read as it was written");
}

/// White space before a line keeps it from the quick way.
fn check_slow_way(text: &[u8], line: &Line) {
    let slow = decode(&[b" ", text].concat());
    assert_eq!(slow.as_ref().ok(), line.decoded.as_ref().ok(), "the quick way reads otherwise");
}
