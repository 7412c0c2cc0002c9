//! Target `log`: what people see of a log: rows of any bytes, and what a terminal would show of each.
//!
//! Holds: however the bytes are cut, the index counts as many rows as are read, from its every place the same rows come, numbered
//! without gaps; of a row nothing is left but text and styles: no control character, nothing that turns the direction, no more
//! columns than were asked for; the style behind a row is the one that the index counts with.

use quire_core::cri::{Row, RowIndex, Rows};
use quire_core::terminal::{Line, Style, plain, scan_style};
use quire_core::wire::Stream;

use super::input::{Input, cut};

/// Longest row that is read whole here.
const MOST: usize = 1 << 20;

/// Checks the bytes as a row, as a log, and as the content of one.
pub fn run(data: &[u8]) {
    row(data);
    log(data);
    log(&written(data));
}

/// What the bytes make up as a log: entries of either stream, whole or partial, with any content.
fn written(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    let mut log = Vec::new();
    while !input.is_empty() {
        let head = input.byte();
        let stream = if head & 1 == 0 { "stdout" } else { "stderr" };
        let flag = if head & 2 == 0 { "F" } else { "P" };
        let content = input.take(usize::from(head >> 2));
        log.extend_from_slice(format!("2026-11-22T02:13:{:02}.000000000Z {stream} {flag} ", head % 60).as_bytes());
        log.extend(content.iter().filter(|byte| **byte != b'\n'));
        log.push(b'\n');
    }
    log
}

fn row(content: &[u8]) {
    let content: Vec<u8> = content.iter().copied().filter(|byte| *byte != b'\n').collect();
    for most in [0, 7, 10_000] {
        let line = Line::of(&content, Style::default(), most);
        let text: String = line.spans.iter().map(|span| span.text.as_str()).collect();
        assert!(
            !text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
            "{text:?}"
        );
        assert_eq!(line.end, scan_style(&content, Style::default()));
        assert!(line.spans.iter().all(|span| !span.text.is_empty()), "{line:?}");
        if line.cut == 0 && most == 10_000 {
            assert_eq!(text, plain(&content));
        }
    }
}

fn log(log: &[u8]) {
    let mut index = RowIndex::new();
    cut(log).into_iter().for_each(|piece| index.push(piece));
    let read = |bytes: &[u8], row: u64| {
        let (mut rows, mut read) = (Rows::at(index.seek(row), MOST), Vec::new());
        rows.push(bytes, &mut read);
        read.extend(rows.finish());
        read
    };
    let all: Vec<Row> = read(log, 1);
    assert_eq!(all.len() as u64, index.rows());
    assert!(all.iter().zip(1..).all(|(row, number)| row.number == number), "{all:?}");
    let mut styles = [Style::default(); 2];
    for row in &all {
        let style = &mut styles[usize::from(row.stream == Stream::Stderr)];
        assert_eq!(row.style, *style, "{row:?}");
        *style = scan_style(&row.content, *style);
    }
    let last = index.seek(u64::MAX);
    let end = usize::try_from(last.offset).expect("it lies in the log");
    let rest = read(&log[end..], u64::MAX);
    assert_eq!(rest, all[all.len() - rest.len()..]);
}
