//! A search that looks at four bytes in every so many.
//!
//! With a stride of n, n needles in a row of each form are known: wherever the form begins, one of them lies where the search
//! looks. A small table of hashed needles says for nearly all places at once that no form is there; so the cost hardly depends
//! on the number of forms, and falls with the length of the shortest.

use super::needles::{LEN, REACH, commonness};

/// Longest stride: beyond it the table grows more than the search gains.
const STRIDE_MAX: usize = 16;

/// Finds needles of its forms.
pub(super) struct Strided {
    stride: usize,
    /// One bit for each value of [`Strided::hash`]: set where a needle has it.
    bits: Vec<u64>,
    /// Shifts a product of 32 bits down to the hash.
    shift: u32,
    /// Sorted: needle, form, offset of the needle in the form.
    needles: Vec<(u32, usize, usize)>,
}

impl Strided {
    /// Of the `chosen` ones of all forms: at least one, each of [`LEN`] bytes or more.
    pub(super) fn new(forms: &[Vec<u8>], chosen: &[usize]) -> Strided {
        let shortest = chosen.iter().map(|&form| forms[form].len()).min().unwrap_or(LEN);
        let stride = (shortest - LEN + 1).min(STRIDE_MAX);
        let row = stride + LEN - 1;
        let mut needles = Vec::new();
        for &form in chosen {
            let rows = forms[form].windows(row).take(REACH - row + 1).enumerate();
            let rarest = rows.min_by_key(|(_, row)| commonness(row)).into_iter();
            needles.extend(rarest.flat_map(|(first, row)| {
                let in_row = row.windows(LEN).enumerate();
                in_row.map(move |(i, needle)| (number(needle), form, first + i))
            }));
        }
        needles.sort_unstable();
        // About one place in 256 is looked up for nothing; 128 KiB at most.
        let hash_bits = (256 * needles.len()).next_power_of_two().ilog2().clamp(12, 20);
        let mut strided = Strided { stride, bits: vec![0; 1 << (hash_bits - 6)], shift: 32 - hash_bits, needles };
        for i in 0..strided.needles.len() {
            let (word, bit) = strided.hash(strided.needles[i].0);
            strided.bits[word] |= 1 << bit;
        }
        strided
    }

    /// Calls `each` with form and place for every place where a form may begin.
    pub(super) fn find(&self, bytes: &[u8], each: &mut impl FnMut(usize, usize)) {
        let mut at = 0;
        while let Some(needle) = bytes.get(at..at + LEN) {
            let needle = number(needle);
            let (word, bit) = self.hash(needle);
            if self.bits[word] >> bit & 1 == 1 {
                self.look_up(needle, at, each);
            }
            at += self.stride;
        }
    }

    #[cold]
    fn look_up(&self, needle: u32, at: usize, each: &mut impl FnMut(usize, usize)) {
        let first = self.needles.partition_point(|known| known.0 < needle);
        for &(_, form, offset) in self.needles[first..].iter().take_while(|known| known.0 == needle) {
            if let Some(start) = at.checked_sub(offset) {
                each(form, start);
            }
        }
    }

    /// Place of a needle's bit: word and bit.
    #[inline]
    fn hash(&self, needle: u32) -> (usize, u32) {
        let hash = needle.wrapping_mul(0x9e37_79b1) >> self.shift;
        ((hash >> 6) as usize, hash & 63)
    }
}

#[inline]
fn number(needle: &[u8]) -> u32 {
    needle.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_wherever_it_begins() {
        let forms: Vec<Vec<u8>> = ["hunter22", "correct horse battery staple", "aaaaaaaaaaaaaaaaaaaaaaaa"]
            .map(|f| f.as_bytes().to_vec())
            .into();
        for chosen in [&[0usize, 1, 2][..], &[1, 2], &[1]] {
            let strided = Strided::new(&forms, chosen);
            for &form in chosen {
                for place in 0..70 {
                    let mut text = vec![b'.'; place];
                    text.extend_from_slice(&forms[form]);
                    let mut found = Vec::new();
                    strided.find(&text, &mut |form, start| found.push((form, start)));
                    assert!(found.contains(&(form, place)), "{form} at {place}: {found:?}");
                }
            }
        }
    }
}
