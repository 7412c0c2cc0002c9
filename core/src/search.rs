//! Finding a text in lines, as people search: capital letters count only where the text sought has some.

use core::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A text that is sought.
#[derive(Debug, Clone)]
pub struct Needle {
    /// `None`: the empty text, which is found nowhere.
    automaton: Option<AhoCorasick>,
    /// Tabs are shown as spaces.
    has_space: bool,
}

impl Needle {
    /// Of a text. Where it has a capital letter, capitals count; else those of ASCII do not.
    pub fn new(text: &str) -> Needle {
        let is_insensitive = !text.chars().any(char::is_uppercase);
        let automaton = (!text.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .ascii_case_insensitive(is_insensitive)
                    .match_kind(MatchKind::LeftmostFirst)
                    .kind(Some(AhoCorasickKind::DFA))
                    // Of one text its rarest letter is still frequent: hopping from one to the next took three times as long.
                    .prefilter(false)
                    .build([text])
                    .ok()
            })
            .flatten();
        Needle { automaton, has_space: text.contains(' ') }
    }

    /// Whether a line has it.
    pub fn is_in(&self, line: &[u8]) -> bool {
        self.automaton.as_ref().is_some_and(|automaton| automaton.is_match(line))
    }

    /// Whether a row of these entries of a log (CRI, whole rows) may have it: false where none has. What may be hidden by escape
    /// sequences, by what is written over, or by the cut between two entries of one row is not looked into.
    pub fn may_be_in(&self, entries: &[u8]) -> bool {
        let is_plain = |byte: &u8| *byte >= b' ' || *byte == b'\n' || (*byte == b'\t' && !self.has_space);
        self.is_in(entries)
            || !entries.iter().all(is_plain)
            || [&b" stdout P "[..], b" stderr P "].into_iter().any(|part| memchr::memmem::find(entries, part).is_some())
    }

    /// Where a line has it, in bytes, from left to right; no two places overlap.
    pub fn places(&self, line: &str) -> Vec<Range<usize>> {
        let found = self.automaton.iter().flat_map(|automaton| automaton.find_iter(line));
        found.map(|found| found.range()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_count_where_they_are_sought() {
        let check = |text: &str, line: &str, places: &[(usize, usize)]| {
            let needle = Needle::new(text);
            let found: Vec<_> = needle.places(line).iter().map(|place| (place.start, place.end)).collect();
            assert_eq!(found, places, "{text:?} in {line:?}");
            assert_eq!(needle.is_in(line.as_bytes()), !places.is_empty(), "{text:?} in {line:?}");
        };
        check("error", "an Error, an ERROR", &[(3, 8), (13, 18)]);
        check("Error", "an Error, an ERROR", &[(3, 8)]);
        check("aa", "aaaa", &[(0, 2), (2, 4)]);
        check("é", "café", &[(3, 5)]);
        check("", "anything", &[]);
        check("x", "", &[]);
    }

    #[test]
    fn entries_that_cannot_have_it_are_passed_over() {
        let entry = |flag: char, text: &str| format!("2026-11-22T02:13:04.123456789Z stdout {flag} {text}\n");
        for (text, entries, expected) in [
            ("abc", entry('F', "xyz"), false),
            ("abc", entry('F', "xABCx"), true),
            ("abc", entry('P', "xa") + &entry('F', "bcx"), true),
            ("abc", entry('F', "a\x1b[1mbc"), true),
            ("abc", entry('F', "xyz\rabc"), true),
            ("abc", entry('F', "a\0bc"), true),
            ("a b", entry('F', "a\tb"), true),
            ("abc", entry('F', "a\tb"), false),
            ("", entry('F', "xyz"), false),
        ] {
            assert_eq!(Needle::new(text).may_be_in(entries.as_bytes()), expected, "{text:?} in {entries:?}");
        }
    }

    quickcheck::quickcheck! {
        fn places_are_what_a_plain_search_finds(text: String, line: String) -> bool {
            let text = text.to_uppercase();
            let has_capitals = text.chars().any(char::is_uppercase);
            let found: Vec<Range<usize>> = Needle::new(&text).places(&line);
            !has_capitals || found.iter().map(|place| place.start).eq(line.match_indices(&text).map(|(at, _)| at))
        }
    }
}
