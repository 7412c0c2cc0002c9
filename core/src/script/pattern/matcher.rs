//! The backtracking matcher: one pattern at one place of one subject, its captures, and the count of its steps.
//!
//! The pattern is read as it is matched, never compiled, because Lua reports what is malformed only where a match comes to it.

use super::{Capture, PatternError, STEPS, STEPS_A_BYTE};

/// As Lua's LUA_MAXCAPTURES.
const MAX_CAPTURES: usize = 32;
/// As Lua's MAXCCALLS: how deep matches nest.
const MAX_DEPTH: u32 = 200;

#[derive(Clone, Copy)]
enum Extent {
    Open,
    Position,
    Closed(usize),
}

#[derive(Clone, Copy)]
struct Slot {
    start: usize,
    extent: Extent,
}

pub(super) struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    slots: [Slot; MAX_CAPTURES],
    level: usize,
    depth: u32,
    steps: u64,
    budget: u64,
    /// The byte that every match begins with, where the pattern begins with a plain one.
    first: Option<u8>,
}

type Place = Result<Option<usize>, PatternError>;

impl<'a> Matcher<'a> {
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8]) -> Matcher<'a> {
        Matcher {
            subject,
            pattern,
            slots: [Slot { start: 0, extent: Extent::Open }; MAX_CAPTURES],
            level: 0,
            depth: 0,
            steps: 0,
            budget: STEPS + STEPS_A_BYTE * subject.len() as u64,
            first: plain_first_byte(pattern),
        }
    }

    /// The first place from `from` on where a match may begin.
    pub(super) fn candidate(&mut self, from: usize, anchored: bool) -> Place {
        let Some(rest) = self.subject.get(from..) else { return Ok(None) };
        let (Some(first), false) = (self.first, anchored) else { return Ok(Some(from)) };
        let skipped = memchr::memchr(first, rest);
        self.spend(1 + skipped.unwrap_or(rest.len()) / 16)?;
        Ok(skipped.map(|n| from + n))
    }

    /// Matches the whole pattern at `at`; the end of the match.
    pub(super) fn match_at(&mut self, at: usize) -> Place {
        self.level = 0;
        self.depth = 0;
        self.nested(at, 0)
    }

    pub(super) fn captures(&self) -> usize {
        self.level
    }

    pub(super) fn capture(&self, index: usize) -> Result<Capture, PatternError> {
        match self.slots.get(index).filter(|_| index < self.level) {
            Some(Slot { start, extent: Extent::Closed(end) }) => Ok(Capture::Span(*start, *end)),
            Some(Slot { start, extent: Extent::Position }) => Ok(Capture::Position(*start)),
            Some(Slot { extent: Extent::Open, .. }) => Err(PatternError::Unclosed),
            None => Err(PatternError::CaptureIndex(index + 1)),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), PatternError> {
        self.steps += steps as u64;
        if self.steps > self.budget { Err(PatternError::TooLong(self.budget)) } else { Ok(()) }
    }

    fn nested(&mut self, s: usize, p: usize) -> Place {
        if self.depth == MAX_DEPTH {
            return Err(PatternError::TooDeep);
        }
        self.depth += 1;
        let end = self.run(s, p);
        self.depth -= 1;
        end
    }

    /// Matches the pattern from `p` on at `s`: in a loop as long as there is one way only.
    fn run(&mut self, mut s: usize, mut p: usize) -> Place {
        loop {
            self.spend(1)?;
            let Some(&item) = self.pattern.get(p) else { return Ok(Some(s)) };
            match (item, self.pattern.get(p + 1)) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Extent::Position),
                (b'(', _) => return self.open(s, p + 1, Extent::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => return Ok((s == self.subject.len()).then_some(s)),
                (b'%', Some(b'b')) => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => match self.frontier(s, p + 2)? {
                    Some(next) => p = next,
                    None => return Ok(None),
                },
                (b'%', Some(digit @ b'0'..=b'9')) => match self.back_reference(s, *digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    let quantifier = self.pattern.get(end).copied();
                    match quantifier {
                        Some(b'*') => return self.longest(s, p, end, 0),
                        Some(b'+') => return self.longest(s, p, end, 1),
                        Some(b'-') => return self.shortest(s, p, end),
                        _ => {}
                    }
                    let one = self.one(s, p, end)?;
                    match quantifier {
                        Some(b'?') => {
                            if one && let Some(end) = self.nested(s + 1, end + 1)? {
                                return Ok(Some(end));
                            }
                            p = end + 1;
                        }
                        _ if one => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// `x*` and `x+`: as many as there are, then fewer and fewer, but at least `least`.
    fn longest(&mut self, s: usize, p: usize, end: usize, least: usize) -> Place {
        let mut count = 0;
        while self.one(s + count, p, end)? {
            count += 1;
        }
        while count >= least {
            if let Some(end) = self.nested(s + count, end + 1)? {
                return Ok(Some(end));
            }
            let Some(fewer) = count.checked_sub(1) else { break };
            count = fewer;
        }
        Ok(None)
    }

    /// `x-`: none, then more and more.
    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Place {
        loop {
            if let Some(end) = self.nested(s, end + 1)? {
                return Ok(Some(end));
            }
            if !self.one(s, p, end)? {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, extent: Extent) -> Place {
        let slot = self.slots.get_mut(self.level).ok_or(PatternError::TooManyCaptures)?;
        *slot = Slot { start: s, extent };
        self.level += 1;
        let end = self.nested(s, p)?;
        if end.is_none() {
            self.level -= 1;
        }
        Ok(end)
    }

    fn close(&mut self, s: usize, p: usize) -> Place {
        let open = self.slots.iter().take(self.level).rposition(|slot| matches!(slot.extent, Extent::Open));
        let index = open.ok_or(PatternError::Unopened)?;
        self.set_extent(index, Extent::Closed(s));
        let end = self.nested(s, p)?;
        if end.is_none() {
            self.set_extent(index, Extent::Open);
        }
        Ok(end)
    }

    fn set_extent(&mut self, index: usize, extent: Extent) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.extent = extent;
        }
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balance(&mut self, s: usize, p: usize) -> Place {
        let (Some(&begin), Some(&end)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err(PatternError::OpenBalance);
        };
        if self.subject.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut open = 1usize;
        for (n, &byte) in self.subject.get(s + 1..).unwrap_or_default().iter().enumerate() {
            if byte == end {
                open -= 1;
                if open == 0 {
                    self.spend(n)?;
                    return Ok(Some(s + n + 2));
                }
            } else if byte == begin {
                open += 1;
            }
        }
        self.spend(self.subject.len() - s)?;
        Ok(None)
    }

    /// `%f[set]`: where the byte before is not in the set and the next one is; both ends of the subject count as NUL.
    fn frontier(&mut self, s: usize, p: usize) -> Place {
        if self.pattern.get(p) != Some(&b'[') {
            return Err(PatternError::OpenFrontier);
        }
        let end = self.class_end(p)?;
        let before = s.checked_sub(1).and_then(|n| self.subject.get(n)).copied().unwrap_or(0);
        let next = self.subject.get(s).copied().unwrap_or(0);
        let set = self.pattern.get(p + 1..end - 1).unwrap_or_default();
        self.spend(set.len() / 2)?;
        Ok((!set_holds(set, before) && set_holds(set, next)).then_some(end))
    }

    fn back_reference(&mut self, s: usize, digit: u8) -> Place {
        let number = usize::from(digit - b'0');
        let bad = PatternError::CaptureIndex(number);
        let index = number.checked_sub(1).filter(|index| *index < self.level).ok_or(bad.clone())?;
        let (start, end) = match self.slots.get(index).ok_or(bad.clone())? {
            Slot { extent: Extent::Open, .. } => return Err(bad),
            Slot { extent: Extent::Position, .. } => return Ok(None),
            Slot { start, extent: Extent::Closed(end) } => (*start, *end),
        };
        self.spend((end - start) / 16)?;
        let wanted = self.subject.get(start..end).unwrap_or_default();
        let there = self.subject.get(s..).unwrap_or_default();
        Ok(there.starts_with(wanted).then_some(s + wanted.len()))
    }

    /// Behind the single-byte item (a byte, `.`, `%x` or a set) that begins at `p`.
    fn class_end(&self, p: usize) -> Result<usize, PatternError> {
        match self.pattern.get(p) {
            Some(b'%') if self.pattern.get(p + 1).is_none() => Err(PatternError::EndsWithEscape),
            Some(b'%') => Ok(p + 2),
            Some(b'[') => {
                let mut at = p + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // The first byte of a set is never its end.
                loop {
                    match self.pattern.get(at) {
                        None => return Err(PatternError::OpenSet),
                        Some(b'%') if self.pattern.get(at + 1).is_some() => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Does the item `p..end` match the byte at `s`?
    fn one(&mut self, s: usize, p: usize, end: usize) -> Result<bool, PatternError> {
        self.spend(1)?;
        let (Some(&byte), Some(&item)) = (self.subject.get(s), self.pattern.get(p)) else { return Ok(false) };
        Ok(match item {
            b'.' => true,
            b'%' => self.pattern.get(p + 1).is_some_and(|class| class_holds(*class, byte)),
            b'[' => {
                let set = self.pattern.get(p + 1..end - 1).unwrap_or_default();
                self.spend(set.len() / 3)?;
                set_holds(set, byte)
            }
            plain => plain == byte,
        })
    }
}

fn plain_first_byte(pattern: &[u8]) -> Option<u8> {
    let first = *pattern.first()?;
    let plain = !b"^$*+?.([%-)".contains(&first) && !matches!(pattern.get(1), Some(b'*' | b'?' | b'-'));
    plain.then_some(first)
}

/// Is the byte in the set whose text stands between the brackets?
fn set_holds(set: &[u8], byte: u8) -> bool {
    let (wanted, set) = match set.strip_prefix(b"^") {
        Some(rest) => (false, rest),
        None => (true, set),
    };
    let mut rest = set;
    loop {
        rest = match rest {
            [] => return !wanted,
            [b'%', class, tail @ ..] => {
                if class_holds(*class, byte) {
                    return wanted;
                }
                tail
            }
            // Only behind a range up to '%', as in `[a-%%]`: Lua then takes the bracket that ends the set for the escaped byte.
            [b'%'] => return (byte == b']') == wanted,
            [low, b'-', high, tail @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return wanted;
                }
                tail
            }
            [plain, tail @ ..] => {
                if *plain == byte {
                    return wanted;
                }
                tail
            }
        }
    }
}

/// Is the byte in the class `%x`, in the C locale? A letter that names no class, and any other byte, stands for itself.
fn class_holds(class: u8, byte: u8) -> bool {
    let holds = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b'\t'..=b'\r' | b' '),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        // Deprecated, but Lua 5.4 still has it.
        b'z' => byte == 0,
        _ => return class == byte,
    };
    holds != class.is_ascii_uppercase()
}
