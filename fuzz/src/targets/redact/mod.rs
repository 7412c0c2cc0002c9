//! Target `redact`: secrets, what is printed, and the places where it is cut, all from the bytes.
//!
//! Holds: no form of a secret leaves, nor the secret as encoders of our own write it; what is masked is what a naive search for
//! the forms finds, no more; every form can be read back to the secret; cuts change nothing; a secret declared later is masked
//! from the next byte on; log and event of a whole capture give back the masked bytes.

mod encoders;

use quire_core::capture::{Capture, CaptureSpec, Captured, Tap};
use quire_core::cri::stream_bytes;
use quire_core::redact::{Redactor, SecretSet};
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::Stream;

use super::input::Input;

/// Most secrets, each of at most so many bytes.
const MOST_SECRETS: usize = 4;
const LONGEST_SECRET: usize = 80;
/// Shortest secret that is taken.
const SHORTEST_SECRET: usize = 4;
/// A line of a secret has at least so many bytes where it is masked by itself.
const SHORTEST_LINE: usize = 8;
/// Most bytes that are printed: the naive search is slow.
const MOST_PRINTED: usize = 4096;

/// Checks the masking of one text in pieces.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let secrets = secrets(&mut input);
    let Ok(set) = SecretSet::new(secrets.iter().map(Vec::as_slice)) else {
        let short = |secret: &Vec<u8>| secret.trim_ascii_end().len() < SHORTEST_SECRET;
        assert!(secrets.iter().any(short), "a secret that is long enough is refused");
        return;
    };
    // The forms of several are those of each: one says as much, and sooner.
    if secrets.len() == 1 {
        encoders::check_forms(&secrets, set.forms());
    }
    let pieces = pieces(&secrets, &mut input);
    let text = pieces.concat();
    let forms = Forms::new(set.forms());
    let masked = forms.masked(&text);
    assert_same(&streamed(&set, [&text[..]]), &masked, "at once");
    assert_same(&streamed(&set, pieces.iter().map(Vec::as_slice)), &masked, "in pieces");
    assert_same(&streamed(&set, text.chunks(1)), &masked, "byte by byte");
    let at_once = set.mask_bytes(&text);
    assert_eq!(at_once.is_some(), forms.found(&text).is_some(), "whether there was anything to mask");
    assert_same(at_once.as_ref().unwrap_or(&text), &masked, "as a text");
    check_nothing_leaves(&set, &secrets, &masked);
    check_declared_later(&set, &secrets, &pieces);
    check_capture(&set, &forms, &pieces);
}

/// Secrets of the bytes. None has an asterisk: beside a mask it could look as if it had been let out.
fn secrets(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let count = 1 + input.below(MOST_SECRETS);
    let secret = |_| {
        let length = input.below(LONGEST_SECRET + 1);
        let mut secret = input.take(length).to_vec();
        secret.iter_mut().filter(|byte| **byte == b'*').for_each(|byte| *byte = b'+');
        secret
    };
    (0..count).map(secret).collect()
}

/// What is printed: parts of secrets in many spellings, and any other bytes, one read each.
fn pieces(secrets: &[Vec<u8>], input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while !input.is_empty() && pieces.iter().map(Vec::len).sum::<usize>() < MOST_PRINTED {
        let head = input.byte();
        if head & 3 == 0 {
            let length = input.below(48);
            pieces.push(input.take(length).to_vec());
            continue;
        }
        let secret = &secrets[usize::from(head >> 2) % secrets.len()];
        // 0 to 3 bytes before it and up to 2 behind it, within the same encoded text.
        let (before, behind) = (input.take(usize::from(head >> 6)), input.below(3));
        let spelt = encoders::spell(usize::from(input.byte()), before, secret, &[b'e'; 2][..behind]);
        let cut = input.below(spelt.len() + 2);
        match head & 3 {
            1 => pieces.push(spelt),
            2 if cut <= spelt.len() => pieces.extend([spelt[..cut].to_vec(), spelt[cut..].to_vec()]),
            _ => pieces.push(spelt[..cut.min(spelt.len())].to_vec()),
        }
    }
    pieces
}

fn streamed<'a>(set: &SecretSet, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut redactor, mut out) = (Redactor::new(set.clone()), Vec::new());
    pieces.into_iter().for_each(|piece| redactor.push(piece, &mut out));
    redactor.finish(&mut out);
    out
}

/// Forms by their first byte.
struct Forms<'a> {
    begun_by: Vec<Vec<&'a [u8]>>,
}

impl<'a> Forms<'a> {
    fn new(forms: impl IntoIterator<Item = &'a Vec<u8>>) -> Forms<'a> {
        let mut begun_by = vec![Vec::new(); 256];
        forms.into_iter().for_each(|form| begun_by[usize::from(form[0])].push(form.as_slice()));
        Forms { begun_by }
    }

    /// The longest form that a text begins with.
    fn longest(&self, text: &[u8]) -> Option<&'a [u8]> {
        let begun = text.first().map_or(&[][..], |first| &self.begun_by[usize::from(*first)]);
        begun.iter().filter(|form| text.starts_with(form)).max_by_key(|form| form.len()).copied()
    }

    /// A form that is anywhere in a text.
    fn found(&self, text: &[u8]) -> Option<&'a [u8]> {
        (0..text.len()).find_map(|at| self.longest(&text[at..]))
    }

    /// At each place the longest form that matches there, from left to right, masked.
    fn masked(&self, text: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text);
        while let Some((first, after)) = rest.split_first() {
            match self.longest(rest) {
                Some(form) => {
                    out.extend_from_slice(SecretSet::MASK.as_bytes());
                    rest = &rest[form.len()..];
                }
                None => {
                    out.push(*first);
                    rest = after;
                }
            }
        }
        out
    }
}

/// Encoders may write an asterisk, and two masks side by side look like that.
fn is_plain(form: &[u8]) -> bool {
    !form.contains(&b'*')
}

fn assert_same(found: &[u8], expected: &[u8], how: &str) {
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert!(found == expected, "masked {how}: {:?} instead of {:?}", shown(found), shown(expected));
}

fn check_nothing_leaves(set: &SecretSet, secrets: &[Vec<u8>], masked: &[u8]) {
    let plain = Forms::new(set.forms().iter().filter(|form| is_plain(form)));
    assert_eq!(plain.found(masked).map(|form| form.escape_ascii().to_string()), None, "a form leaves");
    for secret in secrets {
        for spelling in 0..encoders::SPELLINGS {
            let spelt = encoders::spell(spelling, b"", encoders::without_line_ends(secret), b"");
            if is_plain(&spelt) && (spelt.len() >= SHORTEST_LINE || spelling != encoders::LONGEST_LINE) {
                assert!(!encoders::holds(masked, &spelt), "spelling {spelling} leaves: {}", spelt.escape_ascii());
            }
        }
    }
}

/// The first half is printed while the last secret is not known.
fn check_declared_later(set: &SecretSet, secrets: &[Vec<u8>], pieces: &[Vec<u8>]) {
    let Some((last, others)) = secrets.split_last() else { return };
    let first = SecretSet::new(others.iter().map(Vec::as_slice)).expect("they were taken before");
    let grown = first.with(last).expect("it was taken before");
    assert!(grown == *set, "secrets one by one are not the secrets at once");
    let (before, behind) = pieces.split_at(pieces.len() / 2);
    let (mut redactor, mut early, mut late) = (Redactor::new(first), Vec::new(), Vec::new());
    before.iter().for_each(|piece| redactor.push(piece, &mut early));
    redactor.set_secrets(grown);
    behind.iter().for_each(|piece| redactor.push(piece, &mut late));
    redactor.finish(&mut late);
    let plain = Forms::new(set.forms().iter().filter(|form| is_plain(form)));
    assert_eq!(plain.found(&late).map(|form| form.escape_ascii().to_string()), None, "a secret declared later leaves");
}

/// Both streams print the same, in turn; the log is that of masked streams, and the script is given what was printed.
fn check_capture(set: &SecretSet, forms: &Forms<'_>, pieces: &[Vec<u8>]) {
    let spec = CaptureSpec { merge: false, tap: Tap::Ends, output_limit: None, idle_limit: None };
    let now = |ms: usize| Now { mono: Mono(ms as u64 * 1_000_000), wall: Wall(ms as i64) };
    let (mut capture, mut log, mut printed) = (Capture::new(&spec, set.clone(), now(0)), Vec::new(), [vec![], vec![]]);
    for (ms, piece) in pieces.iter().enumerate() {
        let streams = [Stream::Stdout, Stream::Stderr];
        let both = if ms % 2 == 0 { &streams[..1] } else { &streams[..] };
        for stream in both {
            assert_eq!(capture.push(*stream, piece, now(ms * 90), &mut log), None);
            printed[*stream as usize].extend_from_slice(piece);
        }
        assert_eq!(capture.on_deadline(now(ms * 90), &mut log), None);
    }
    capture.end(Stream::Stdout, false, &mut log);
    capture.end(Stream::Stderr, false, &mut log);
    let captured: Captured = capture.into_captured();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let back = stream_bytes(&log, stream, captured.no_eol.contains(&stream)).expect("a log that was just written");
        assert_same(&back, &forms.masked(&printed[stream as usize]), "in a log");
    }
    let masked = printed.iter().any(|text| forms.found(text).is_some());
    assert_eq!(captured.masked, masked, "whether the log holds a mask");
    assert_eq!([captured.stdout, captured.stderr], printed, "what the script is given");
}
