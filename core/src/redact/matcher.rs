//! Exact matching of all forms: what matches at a place, and whether that is decided yet.

use std::collections::BTreeSet;

use super::needles::{Needles, REACH};

/// All forms, ready to be searched for. Immutable and shared.
pub(super) struct Matcher {
    /// Sorted, no two alike.
    forms: Vec<Vec<u8>>,
    /// For each form the longest other one that it begins with.
    parents: Vec<Option<usize>>,
    begins: Begins,
    needles: Needles,
}

/// What a place in a stream holds, as far as its bytes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Length of the longest form that matches.
    pub(super) matched: Option<usize>,
    /// A longer form matches as far as there are bytes.
    pub(super) open: bool,
}

/// Part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// No secret: so many bytes.
    Plain(usize),
    /// A form of a secret: so many bytes.
    Secret(usize),
}

impl Matcher {
    /// Of forms of at least four bytes each.
    pub(super) fn new(forms: BTreeSet<Vec<u8>>) -> Matcher {
        let forms: Vec<Vec<u8>> = forms.into_iter().collect();
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(forms.len());
        let mut begins = Begins::default();
        for (i, form) in forms.iter().enumerate() {
            // In sorted order, a form's beginnings are the form before it or beginnings of that.
            let mut candidate = i.checked_sub(1);
            while let Some(j) = candidate.filter(|&j| !form.starts_with(&forms[j])) {
                candidate = parents[j];
            }
            parents.push(candidate);
            begins.add(form[0], form[1]);
        }
        let needles = Needles::new(&forms);
        Matcher { forms, parents, begins, needles }
    }

    pub(super) fn forms(&self) -> &[Vec<u8>] {
        &self.forms
    }

    /// What begins at the first of these bytes.
    pub(super) fn verdict(&self, bytes: &[u8]) -> Verdict {
        let above = self.forms.partition_point(|form| form.as_slice() <= bytes);
        let open = self.forms.get(above).is_some_and(|form| form.starts_with(bytes));
        // The greatest form that is not above the bytes begins with every form that the bytes begin with.
        let mut candidate = above.checked_sub(1);
        while let Some(i) = candidate {
            if bytes.starts_with(&self.forms[i]) {
                return Verdict { matched: Some(self.forms[i].len()), open };
            }
            candidate = self.parents[i];
        }
        Verdict { matched: None, open }
    }

    /// Where the first form that is there as a whole begins.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut first = None;
        self.needles.find(bytes, |form, start| {
            if bytes[start..].starts_with(&self.forms[form]) && first.is_none_or(|first| start < first) {
                first = Some(start);
            }
        });
        first
    }

    /// Splits a text into parts, given in order to `each`. Unless this is the `end` of it, stops before the first place where
    /// a form may still match or become longer. Returns how many bytes the parts cover.
    pub(super) fn split(&self, bytes: &[u8], end: bool, mut each: impl FnMut(Part)) -> usize {
        let mut places: Vec<usize> = Vec::new();
        self.needles.find(bytes, |form, start| {
            let form = &self.forms[form];
            let known = form.len().min(bytes.len() - start);
            if bytes[start..start + known] == form[..known] {
                places.push(start);
            }
        });
        if !end {
            // Here a form may begin whose needle is still to come.
            let near_end = bytes.len().saturating_sub(REACH)..bytes.len();
            places.extend(near_end.filter(|&i| self.begins.may(&bytes[i..])));
        }
        places.sort_unstable();
        let mut done = 0;
        for place in places {
            if place < done {
                continue;
            }
            let verdict = self.verdict(&bytes[place..]);
            if verdict.open && !end {
                each(Part::Plain(place - done));
                return place;
            }
            if let Some(length) = verdict.matched {
                each(Part::Plain(place - done));
                each(Part::Secret(length));
                done = place + length;
            }
        }
        each(Part::Plain(bytes.len() - done));
        bytes.len()
    }
}

/// With which two bytes forms begin.
struct Begins {
    /// One bit for each second byte, by first byte.
    seconds: [[u64; 4]; 256],
}

impl Default for Begins {
    fn default() -> Begins {
        Begins { seconds: [[0; 4]; 256] }
    }
}

impl Begins {
    fn add(&mut self, first: u8, second: u8) {
        self.seconds[usize::from(first)][usize::from(second / 64)] |= 1 << (second % 64);
    }

    /// Whether a form may begin so, or with the one byte that there is.
    fn may(&self, bytes: &[u8]) -> bool {
        match *bytes {
            [] => true,
            [first] => self.seconds[usize::from(first)] != [0; 4],
            [first, second, ..] => self.seconds[usize::from(first)][usize::from(second / 64)] >> (second % 64) & 1 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(forms: &[&str]) -> Matcher {
        Matcher::new(forms.iter().map(|form| form.as_bytes().to_vec()).collect())
    }

    fn check(forms: &[&str], text: &str, matched: Option<usize>, open: bool) {
        assert_eq!(matcher(forms).verdict(text.as_bytes()), Verdict { matched, open }, "{text}");
    }

    #[test]
    fn the_longest_form_and_whether_it_may_grow() {
        let forms = ["abcd", "abcdef", "abcdefgh", "abcdxxxx", "bcde", "zzzz"];
        check(&forms, "", None, true);
        check(&forms, "a", None, true);
        check(&forms, "abc", None, true);
        check(&forms, "abcd", Some(4), true);
        check(&forms, "abcde", Some(4), true);
        check(&forms, "abcdef", Some(6), true);
        check(&forms, "abcdefg", Some(6), true);
        check(&forms, "abcdefg!", Some(6), false);
        check(&forms, "abcdefgh", Some(8), false);
        check(&forms, "abcdexyz", Some(4), false);
        check(&forms, "abcdxxxy", Some(4), false);
        check(&forms, "abcx", None, false);
        check(&forms, "zz", None, true);
        check(&forms, "zzz{", None, false);
        check(&forms, "zzzzz", Some(4), false);
        check(&forms, "0", None, false);
    }

    #[test]
    fn splitting_stops_where_it_is_undecided() {
        let matcher = matcher(&["abcd", "abcdef"]);
        let split = |text: &str, end| {
            let mut parts = Vec::new();
            let covered = matcher.split(text.as_bytes(), end, |part| parts.push(part));
            (parts, covered)
        };
        use Part::{Plain, Secret};
        assert_eq!(split("-abcd-", false), (vec![Plain(1), Secret(4), Plain(1)], 6));
        assert_eq!(split("-abcd", false), (vec![Plain(1)], 1));
        assert_eq!(split("-abcd", true), (vec![Plain(1), Secret(4), Plain(0)], 5));
        assert_eq!(split("-abc", true), (vec![Plain(4)], 4));
        assert_eq!(split("abcdabc", false), (vec![Plain(0), Secret(4), Plain(0)], 4));
    }
}
