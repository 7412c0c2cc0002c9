//! Every target over random bytes, with shrinking, wherever `cargo test` runs. Bytes that a fuzzer made up are in the corpora.

use quickcheck::{Arbitrary, Gen, quickcheck};

/// Bytes of which many are small numbers, and some parts are said again.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

impl Arbitrary for Bytes {
    fn arbitrary(g: &mut Gen) -> Bytes {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..usize::arbitrary(g) % 12 {
            match u8::arbitrary(g) % 4 {
                0 => bytes.extend(Vec::<u8>::arbitrary(g)),
                1 => bytes.extend(Vec::<u8>::arbitrary(g).iter().map(|byte| byte % 32)),
                2 => bytes.extend(String::arbitrary(g).bytes()),
                _ => bytes.extend_from_within(..bytes.len() / 2),
            }
        }
        bytes.truncate(2_000);
        Bytes(bytes)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Bytes>> {
        Box::new(self.0.shrink().map(Bytes))
    }
}

quickcheck! {
    fn cri(bytes: Bytes) -> bool {
        quire_fuzz::targets::cri::run(&bytes.0);
        true
    }

    fn decode(bytes: Bytes) -> bool {
        quire_fuzz::targets::decode::run(&bytes.0);
        true
    }

    fn pairing(bytes: Bytes) -> bool {
        quire_fuzz::targets::pairing::run(&bytes.0);
        true
    }

    fn pipeline(bytes: Bytes) -> bool {
        quire_fuzz::targets::pipeline::run(&bytes.0);
        true
    }

    fn pipeline_of_fragments(bytes: Bytes) -> bool {
        quire_fuzz::targets::pipeline::run(&[&[0xff], &bytes.0[..]].concat());
        true
    }

    fn log(bytes: Bytes) -> bool {
        quire_fuzz::targets::log::run(&bytes.0);
        true
    }

    fn queue(bytes: Bytes) -> bool {
        quire_fuzz::targets::queue::run(&bytes.0);
        true
    }

    fn redact(bytes: Bytes) -> bool {
        quire_fuzz::targets::redact::run(&bytes.0);
        true
    }
}
