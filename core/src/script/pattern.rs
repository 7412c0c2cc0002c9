//! Lua patterns (Lua 5.4 manual 6.4.1) with a bound on the work that a match may do.
//!
//! Lua's own matcher is C that no instruction hook interrupts: a few `.-` over a few kilobytes hang it for years. This one is
//! the same language over bytes, with the same results and error texts, that gives up after a number of steps. What calls
//! back into a script (`gsub` with a function) is left to the prelude, which asks here for one match after the other.

mod matcher;
#[cfg(test)]
mod oracle;

use matcher::Matcher;

/// The steps one call may take, a few nanoseconds each, besides [`STEPS_A_BYTE`].
pub const STEPS: u64 = 8_000_000;

/// Further steps for each byte of the subject, so that a plain scan through a large text always comes to its end.
pub const STEPS_A_BYTE: u64 = 4;

/// Why a pattern could not be matched; `Display` is Lua's own text, where Lua has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `%` is the last byte.
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    /// A set without its end.
    #[error("malformed pattern (missing ']')")]
    OpenSet,
    /// `%b` without its two bytes.
    #[error("malformed pattern (missing arguments to '%b')")]
    OpenBalance,
    /// `%f` without a set.
    #[error("missing '[' after '%f' in pattern")]
    OpenFrontier,
    /// `)` without `(`.
    #[error("invalid pattern capture")]
    Unopened,
    /// `(` without `)`.
    #[error("unfinished capture")]
    Unclosed,
    /// More than 32 captures.
    #[error("too many captures")]
    TooManyCaptures,
    /// A reference to a capture (counted from 1) that is not there or still open.
    #[error("invalid capture index %{0}")]
    CaptureIndex(usize),
    /// `%` and something else than a digit or `%` in the replacement text of `gsub`.
    #[error("invalid use of '%' in replacement string")]
    ReplacementEscape,
    /// Nested deeper than Lua allows.
    #[error("pattern too complex")]
    TooDeep,
    /// Out of steps.
    #[error(
        "pattern too complex: no answer after {0} steps; use fewer of '*', '+', '-' in one pattern, anchor it with '^', or match a shorter text (one line at a time)"
    )]
    TooLong(u64),
    /// The result of a replacement is larger than a string may be here.
    #[error("resulting string too large (at most {0} bytes)")]
    TooLarge(usize),
}

/// What a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// The bytes from the first offset (0-based) up to, not including, the second.
    Span(usize, usize),
    /// `()`: an offset, 0-based.
    Position(usize),
}

/// Has the pattern no byte of a special meaning? `string.find` then looks for it as it is (a lone `)` or `]` too).
pub fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

/// `string.find` of a plain text from `from` (0-based) on, in linear time.
pub fn find_plain(subject: &[u8], text: &[u8], from: usize) -> Option<(usize, usize)> {
    let at = from + memchr::memmem::find(subject.get(from..)?, text)?;
    Some((at, at + text.len()))
}

/// The matches of one pattern in one subject, one after the other.
pub struct Search<'a> {
    matcher: Matcher<'a>,
    anchored: bool,
}

impl<'a> Search<'a> {
    /// For `find`, `match` and `gsub`: a `^` at the pattern's begin is an anchor.
    pub fn new(subject: &'a [u8], pattern: &'a [u8]) -> Search<'a> {
        match pattern.strip_prefix(b"^") {
            Some(rest) => Search { matcher: Matcher::new(subject, rest), anchored: true },
            None => Search { matcher: Matcher::new(subject, pattern), anchored: false },
        }
    }

    /// For `gmatch`: a `^` is an ordinary byte.
    pub fn unanchored(subject: &'a [u8], pattern: &'a [u8]) -> Search<'a> {
        Search { matcher: Matcher::new(subject, pattern), anchored: false }
    }

    /// The first match that begins at `from` (0-based) or later and does not end at `not_to`: its begin and its end.
    ///
    /// # Errors
    /// The pattern is malformed or asks for too much work. The steps of all calls on one `Search` add up.
    pub fn find(&mut self, from: usize, not_to: Option<usize>) -> Result<Option<(usize, usize)>, PatternError> {
        let Some(mut start) = self.matcher.candidate(from, self.anchored)? else { return Ok(None) };
        loop {
            if let Some(end) = self.matcher.match_at(start)?
                && Some(end) != not_to
            {
                return Ok(Some((start, end)));
            }
            if self.anchored {
                return Ok(None);
            }
            match self.matcher.candidate(start + 1, false)? {
                Some(next) => start = next,
                None => return Ok(None),
            }
        }
    }

    /// How many captures the last match has.
    pub fn captures(&self) -> usize {
        self.matcher.captures()
    }

    /// The last match's capture at `index` (0-based).
    ///
    /// # Errors
    /// There is no such capture, or its parenthesis was never closed.
    pub fn capture(&self, index: usize) -> Result<Capture, PatternError> {
        self.matcher.capture(index)
    }

    fn is_anchored(&self) -> bool {
        self.anchored
    }
}

/// `string.gsub` with a text as replacement: the new text (`None`: nothing was replaced) and the number of matches.
///
/// # Errors
/// The pattern or the replacement is malformed, the work too much, or the result larger than `largest` bytes.
pub fn replace(
    subject: &[u8],
    pattern: &[u8],
    replacement: &[u8],
    limit: usize,
    largest: usize,
) -> Result<(Option<Vec<u8>>, usize), PatternError> {
    let mut search = Search::new(subject, pattern);
    let mut out = Vec::new();
    let (mut at, mut copied, mut last, mut count) = (0, 0, None, 0);
    while count < limit && at <= subject.len() {
        let Some((start, end)) = search.find(at, last)? else { break };
        count += 1;
        out.extend_from_slice(subject.get(copied..start).unwrap_or_default());
        expand(&search, subject, (start, end), replacement, &mut out)?;
        (at, copied, last) = (end, end, Some(end));
        if out.len() > largest {
            return Err(PatternError::TooLarge(largest));
        }
        if search.is_anchored() {
            break;
        }
    }
    if count == 0 {
        return Ok((None, 0));
    }
    out.extend_from_slice(subject.get(copied..).unwrap_or_default());
    if out.len() > largest { Err(PatternError::TooLarge(largest)) } else { Ok((Some(out), count)) }
}

/// Appends the replacement of one match: `%0` is the match, `%1` to `%9` its captures, `%%` a percent sign.
fn expand(
    search: &Search<'_>,
    subject: &[u8],
    (start, end): (usize, usize),
    replacement: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), PatternError> {
    let mut rest = replacement;
    while let Some(escape) = memchr::memchr(b'%', rest) {
        let (plain, tail) = rest.split_at(escape);
        out.extend_from_slice(plain);
        let span = match tail.get(1) {
            Some(b'%') => {
                out.push(b'%');
                None
            }
            Some(b'0') => Some((start, end)),
            Some(digit @ b'1'..=b'9') => {
                let index = usize::from(digit - b'1');
                match search.capture(index) {
                    Ok(Capture::Span(from, to)) => Some((from, to)),
                    Ok(Capture::Position(at)) => {
                        out.extend_from_slice((at + 1).to_string().as_bytes());
                        None
                    }
                    Err(PatternError::CaptureIndex(1)) if index == 0 => Some((start, end)),
                    Err(other) => return Err(other),
                }
            }
            _ => return Err(PatternError::ReplacementEscape),
        };
        if let Some((from, to)) = span {
            out.extend_from_slice(subject.get(from..to).unwrap_or_default());
        }
        rest = tail.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}
