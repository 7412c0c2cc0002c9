//! Where a form may begin: a fast search for four rare bytes of each form, by which the matcher checks only a few places.
//!
//! One automaton over all forms costs several times what the framing of a log does. Packed searchers look at 32 bytes at
//! once, but take few and short patterns. So each form gives one needle: the four bytes among its first ones that are the
//! least common in logs, or that another form gave already.

use aho_corasick::{AhoCorasick, packed};

/// Bytes of a needle: the most that a packed searcher compares at once, and the shortest form.
const LEN: usize = 4;
/// A needle lies within the first so many bytes of its form.
pub(super) const REACH: usize = 32;
/// Patterns a packed searcher takes, and searchers at most: with more needles one automaton is faster.
const PER_SEARCHER: usize = 32;
const MAX_SEARCHERS: usize = 6;

/// The needles of a sorted list of forms.
pub(super) struct Needles {
    finder: Finder,
    /// For each needle the forms that have it, as index and offset of the needle in the form.
    owners: Vec<Vec<(usize, usize)>>,
}

enum Finder {
    /// Each with the number of its first needle.
    Packed(Vec<(packed::Searcher, usize)>),
    Automaton(AhoCorasick),
}

impl Needles {
    /// Chooses a needle for each form; every form has [`LEN`] bytes or more.
    pub(super) fn new(forms: &[Vec<u8>]) -> Needles {
        let mut needles: Vec<[u8; LEN]> = Vec::new();
        let mut owners: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut known = std::collections::BTreeMap::new();
        let mut by_length: Vec<usize> = (0..forms.len()).collect();
        by_length.sort_by_key(|&form| forms[form].len());
        for form in by_length {
            let choices = || forms[form].windows(LEN).take(REACH - LEN + 1).enumerate();
            let shared = choices().find_map(|(offset, needle)| known.get(needle).map(|&number| (number, offset)));
            let (number, offset) = shared.unwrap_or_else(|| {
                let rarest = choices().min_by_key(|(_, needle)| commonness(needle));
                let (offset, needle) = rarest.expect("a form is as long as a needle");
                needles.push(needle.try_into().expect("a window of this length"));
                owners.push(Vec::new());
                known.insert(needle, needles.len() - 1);
                (needles.len() - 1, offset)
            });
            owners[number].push((form, offset));
        }
        Needles { finder: Finder::new(&needles), owners }
    }

    /// Calls `each` with form and place for every place where a form's needle says that it may begin, in no order.
    pub(super) fn find(&self, bytes: &[u8], mut each: impl FnMut(usize, usize)) {
        let mut found = |needle: usize, at: usize| {
            for &(form, offset) in &self.owners[needle] {
                if let Some(start) = at.checked_sub(offset) {
                    each(form, start);
                }
            }
        };
        match &self.finder {
            Finder::Packed(searchers) => {
                for (searcher, first) in searchers {
                    let mut from = 0;
                    // All needles are of one length and differ, so no two are found at one place; but they may overlap.
                    while let Some(hit) = searcher.find_in(bytes, (from..bytes.len()).into()) {
                        found(first + hit.pattern().as_usize(), hit.start());
                        from = hit.start() + 1;
                    }
                }
            }
            Finder::Automaton(automaton) => {
                for hit in automaton.find_overlapping_iter(bytes) {
                    found(hit.pattern().as_usize(), hit.start());
                }
            }
        }
    }
}

impl Finder {
    fn new(needles: &[[u8; LEN]]) -> Finder {
        Finder::packed(needles).unwrap_or_else(|| Finder::automaton(needles))
    }

    /// `None` for too many needles, or a processor without the instructions.
    fn packed(needles: &[[u8; LEN]]) -> Option<Finder> {
        if needles.len() > PER_SEARCHER * MAX_SEARCHERS {
            return None;
        }
        let groups = needles.chunks(PER_SEARCHER).enumerate();
        let searcher = |(i, group): (usize, &[[u8; LEN]])| Some((packed::Searcher::new(group)?, i * PER_SEARCHER));
        groups.map(searcher).collect::<Option<_>>().map(Finder::Packed)
    }

    fn automaton(needles: &[[u8; LEN]]) -> Finder {
        let automaton = AhoCorasick::new(needles);
        Finder::Automaton(automaton.expect("patterns of four bytes stay within the automaton's limits"))
    }
}

/// How often four bytes are met in logs, roughly: an order, no measure.
fn commonness(needle: &[u8]) -> u32 {
    let of = |byte: &u8| match byte {
        b' ' => 10,
        b'0' | b'\n' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 6,
        b'1'..=b'9' | b'-' | b'.' | b'/' | b':' | b'_' | b'=' | b'c' | b'd' | b'l' | b'u' | b'p' | b'm' => 5,
        b'a'..=b'z' => 4,
        b'"' | b'\'' | b',' | b'(' | b')' | b'[' | b']' | b'%' | b'\\' => 3,
        b'A'..=b'Z' => 2,
        _ => 1,
    };
    let repeats = needle.iter().zip(needle.iter().skip(1)).filter(|(a, b)| a == b).count();
    needle.iter().map(of).sum::<u32>() + if repeats >= 2 { 20 } else { 0 }
}
