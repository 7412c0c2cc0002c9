//! Reads what the Fennel compiler says of a file.
//!
//! `FILE:LINE:COLUMN: Compile error: MESSAGE`, an empty line, the source line, and `* Try SUGGESTION.` lines. The column counts
//! from 0, in characters. What a macro raised is a message that may begin with a place of its own.

use crate::engine::Source;
use crate::pipeline::Place;
use crate::script::advice::instead_of;
use crate::script::program::MODULES;
use crate::script::vm::Failure;

/// The failure in `text`, which was said while `file` was compiled. What to do stands behind a semicolon.
pub(super) fn read(text: &str, file: &str, source: &Source) -> Failure {
    let (head, tail) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut place = None;
    let mut called = None;
    let mut message = head;
    // A macro's failure is told at the macro's call; behind it stands what the macro raised, which may have a place of its own.
    while let Some((inner, rest)) = split(message, source) {
        if let Some(inner) = inner {
            called = place.replace(inner);
        }
        message = rest;
    }
    let place = place.unwrap_or_else(|| Place { file: file.to_owned(), line: 1, column: None });
    let mut message = message.strip_prefix("(macro):").map_or(message, without_line).trim().to_owned();
    if let Some(name) = message.strip_suffix(" module not found.") {
        message = format!("macro module \"{name}\" is not there; {}", looked_for(name, source));
    } else if let Some((name, advice)) = message
        .strip_prefix("unknown identifier: ")
        .and_then(|name| Some((name, instead_of(name.split(['.', ':']).next()?, true)?)))
    {
        message = format!("{name} is not there in a pipeline; {advice}");
    } else {
        let mut tries: Vec<&str> =
            tail.lines().filter_map(|line| line.strip_prefix("* Try ")?.strip_suffix('.')).collect();
        // A macro's failure is told again in that of its caller.
        if let Some(again) = tries.iter().skip(1).position(|other| tries.first() == Some(other)) {
            tries.truncate(again + 1);
        }
        if !tries.is_empty() {
            message = format!("{message}; try {}", tries.join(", or "));
        } else if let Some(called) = called.filter(|called| called.file != place.file) {
            message = format!("{message}; this is in a macro that is called at {called}");
        }
    }
    Failure { message, place: Some(place) }
}

/// Takes a place (`FILE:LINE:COLUMN:` or `FILE:LINE:`) and the kind of error off. The place is `None` where FILE is none of the
/// source's. `None`: the text does not begin so.
fn split<'a>(text: &'a str, source: &Source) -> Option<(Option<Place>, &'a str)> {
    let files = std::iter::once(&source.file).chain(source.modules.keys());
    let mut known = files.filter_map(|file| Some((file, text.strip_prefix(file.as_str())?.strip_prefix(':')?)));
    let Some((file, rest)) = known.next() else {
        // Such as `unknown:354:?: Compile error: …`, where the compiler knows of no place.
        let kind = ["Compile error: ", "Parse error: "].into_iter().find_map(|kind| text.split_once(kind));
        let (before, rest) = kind?;
        return before.starts_with("unknown:").then_some((None, rest));
    };
    let (line, rest) = rest.split_once(':')?;
    let line = line.parse().ok()?;
    let (column, rest) = match rest.split_once(':') {
        Some((column, rest)) if column == "?" || column.bytes().all(|byte| byte.is_ascii_digit()) => {
            (column.parse::<u32>().ok().map(|column| column.saturating_add(1)), rest)
        }
        _ => (None, rest),
    };
    let rest = rest.trim_start();
    let rest = ["Compile error: ", "Parse error: "].iter().find_map(|kind| rest.strip_prefix(kind)).unwrap_or(rest);
    Some((Some(Place { file: file.clone(), line, column }), rest))
}

/// Takes the line of a macro's own code off.
fn without_line(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, message)| message)
}

fn looked_for(name: &str, source: &Source) -> String {
    let stem = format!("{MODULES}{}", name.replace('.', "/"));
    let there: Vec<&str> = source.modules.keys().filter_map(|file| file.strip_prefix(MODULES)).collect();
    let there = if there.is_empty() { "no modules".to_owned() } else { there.join(", ") };
    format!("looked for {stem}.fnl, {stem}/init-macros.fnl, {stem}/init.fnl and {stem}.lua; {MODULES} has {there}")
}
