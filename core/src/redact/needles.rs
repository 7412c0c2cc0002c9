//! Where a form may begin: a fast search for a few rare bytes of each form, by which the matcher checks only a few places.
//!
//! One automaton over all forms costs several times what the framing of a log does. Long forms are found by looking at
//! every so many bytes only ([`Strided`]); for the few that are too short for that there are packed searchers, which look at 32
//! bytes at once, but take few and short patterns.

use std::collections::BTreeMap;

use aho_corasick::packed;

use super::strided::Strided;

/// Bytes of a needle: the most that a packed searcher compares at once, and the shortest form.
pub(super) const LEN: usize = 4;
/// A needle lies within the first so many bytes of its form.
pub(super) const REACH: usize = 32;
/// Needles of a packed searcher at most.
const PER_SEARCHER: usize = 32;
/// How to share the work, first come first served: forms of at least so many bytes are found by strides, of 16, 5 or 1, where
/// packed searchers need at most so many needles for the shorter ones. A searcher costs as much as a stride of 10.
const SHARES: [(usize, usize); 3] = [(19, PER_SEARCHER), (8, 6 * PER_SEARCHER), (LEN, 0)];

/// The needles of a sorted list of forms.
pub(super) struct Needles {
    packed: Packed,
    strided: Option<Strided>,
}

/// Packed searchers, each with the number of its first needle.
struct Packed {
    searchers: Vec<(packed::Searcher, usize)>,
    /// For each needle the forms that have it, as index and offset of the needle in the form.
    owners: Vec<Vec<(usize, usize)>>,
}

impl Needles {
    /// Of forms that have [`LEN`] bytes or more.
    pub(super) fn new(forms: &[Vec<u8>]) -> Needles {
        let share = |(long, most)| {
            let (long, short): (Vec<usize>, Vec<usize>) = (0..forms.len()).partition(|&form| forms[form].len() >= long);
            let packed = Packed::new(forms, &short, most)?;
            Some(Needles { packed, strided: (!long.is_empty()).then(|| Strided::new(forms, &long)) })
        };
        SHARES.into_iter().find_map(share).expect("the last share leaves nothing to the packed searchers")
    }

    /// Calls `each` with form and place for every place where a form's needle says that it may begin, in no order.
    pub(super) fn find(&self, bytes: &[u8], mut each: impl FnMut(usize, usize)) {
        self.packed.find(bytes, &mut each);
        if let Some(strided) = &self.strided {
            strided.find(bytes, &mut each);
        }
    }
}

impl Packed {
    /// Takes of each form the four bytes that are the least common in logs, or that another form has as well. `None` for more
    /// needles than `most`, or a processor without the instructions.
    fn new(forms: &[Vec<u8>], chosen: &[usize], most: usize) -> Option<Packed> {
        let mut needles: Vec<&[u8]> = Vec::new();
        let mut owners: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut known = BTreeMap::new();
        for &form in chosen {
            let choices = || forms[form].windows(LEN).take(REACH - LEN + 1).enumerate();
            let shared = choices().find_map(|(offset, needle)| known.get(needle).map(|&number| (number, offset)));
            let (number, offset) = shared.unwrap_or_else(|| {
                let rarest = choices().min_by_key(|(_, needle)| commonness(needle));
                let (offset, needle) = rarest.expect("a form is as long as a needle");
                needles.push(needle);
                owners.push(Vec::new());
                known.insert(needle, needles.len() - 1);
                (needles.len() - 1, offset)
            });
            owners[number].push((form, offset));
        }
        if needles.len() > most {
            return None;
        }
        let groups = needles.chunks(PER_SEARCHER).enumerate();
        let searchers = groups.map(|(i, group)| Some((packed::Searcher::new(group)?, i * PER_SEARCHER)));
        Some(Packed { searchers: searchers.collect::<Option<_>>()?, owners })
    }

    fn find(&self, bytes: &[u8], each: &mut impl FnMut(usize, usize)) {
        for (searcher, first) in &self.searchers {
            let mut from = 0;
            // All needles are of one length and differ, so no two are found at one place; but they may overlap.
            while let Some(hit) = searcher.find_in(bytes, (from..bytes.len()).into()) {
                for &(form, offset) in &self.owners[first + hit.pattern().as_usize()] {
                    if let Some(start) = hit.start().checked_sub(offset) {
                        each(form, start);
                    }
                }
                from = hit.start() + 1;
            }
        }
    }
}

/// How often bytes are met in logs, roughly: an order, no measure.
pub(super) fn commonness(needle: &[u8]) -> u32 {
    let of = |byte: &u8| match byte {
        b' ' => 10,
        b'0' | b'\n' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 6,
        b'1'..=b'9' | b'-' | b'.' | b'/' | b':' | b'_' | b'=' | b'c' | b'd' | b'l' | b'u' | b'p' | b'm' => 5,
        b'a'..=b'z' => 4,
        b'"' | b'\'' | b',' | b'(' | b')' | b'[' | b']' | b'%' | b'\\' => 3,
        b'A'..=b'Z' => 2,
        _ => 1,
    };
    let repeated = needle.iter().zip(needle.iter().skip(1)).filter(|(a, b)| a == b).count();
    needle.iter().map(of).sum::<u32>() + 10 * u32::try_from(repeated).unwrap_or(u32::MAX / 20)
}
