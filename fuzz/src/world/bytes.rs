//! Choices from any bytes: total, and where they are used up every choice is the first one.

/// A reader of choices.
#[derive(Debug, Clone)]
pub struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// From the start.
    pub fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { rest: bytes }
    }

    /// Whether every choice from now on is the first one.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte; 0 behind the last one.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Two bytes, the low one first.
    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number under `end`, which is at least 1 and at most 256.
    pub fn under(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Whether the next byte is one of so many in 256.
    pub fn chance(&mut self, of_256: u8) -> bool {
        // A byte that is not there means no.
        self.byte() > 255 - of_256
    }

    /// One of these; the first behind the last byte. `of` has 1 to 256 elements.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.under(of.len())]
    }
}

/// So many bytes for a seed: the same ones everywhere and for ever (SplitMix64).
pub fn expand(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_the_first_choice() {
        let mut bytes = Bytes::new(&[7]);
        assert_eq!((bytes.under(5), bytes.pick(&["a", "b"]), bytes.word(), bytes.chance(255)), (2, "a", 0, false));
    }

    #[test]
    fn a_seed_is_for_ever() {
        // The generator's published first outputs for seed 1234567.
        let first = 6_457_827_717_110_365_317_u64.to_le_bytes();
        let second = 3_203_168_211_198_807_973_u64.to_le_bytes();
        assert_eq!(expand(1_234_567, 16), [first, second].concat());
        assert_eq!(expand(1_234_567, 3), first[..3]);
    }
}
