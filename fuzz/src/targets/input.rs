//! Bytes as a source of choices. Total: where the bytes are used up, every choice is the first one.

/// Reads choices from the front of some bytes.
#[derive(Debug, Clone)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8]) -> Input<'a> {
        Input { rest: data }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// 0 or more, less than `end`, which is at least 1. Takes one byte where that is enough, else two.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let high = if end > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % end.max(1)
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The next bytes; fewer where there are fewer.
    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Cuts bytes into pieces, at places that depend on nothing but the bytes.
pub(super) fn cut(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let (mut pieces, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = [3, 17, 100, 1000][(state >> 62) as usize];
        let (piece, after) = rest.split_at(rest.len().min((state >> 33) as usize % most));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_never_end_and_pieces_are_the_whole() {
        let mut input = Input::new(b"\x07\x01\x02xy");
        assert_eq!((input.below(5), input.below(300), input.take(9)), (2, 0x102, &b"xy"[..]));
        assert!(input.is_empty());
        assert_eq!((input.byte(), input.flag(), input.below(1000), input.pick(&['a', 'b'])), (0, false, 0, 'a'));
        let data: Vec<u8> = (0..=255).collect();
        let pieces = cut(&data);
        assert!(pieces.len() > 1);
        assert_eq!(pieces.concat(), data);
        assert_eq!(cut(&data), pieces);
    }
}
