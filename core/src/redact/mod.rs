//! Masking of secrets (CONTRACT 4, "Masking"): in text at once, and in a byte stream cut anywhere.
//!
//! Leftmost-longest: at the first byte where any form of a secret begins, the longest form that matches there becomes
//! [`SecretSet::MASK`], and the search goes on behind it.

mod encodings;
mod forms;
mod matcher;
mod needles;
mod stream;
mod strided;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use forms::add_forms;
use matcher::Matcher;
pub(crate) use stream::Piece;
pub use stream::Redactor;

/// Why a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short to be masked without making the log unreadable. Line ends at its end do not count.
    #[error("has {0} bytes; a secret has at least 4, or masking it would make the log unreadable")]
    TooShort(usize),
}

/// The set of a run's secrets in all forms that are masked: one shared matcher. Cheap to clone; never prints what it holds.
#[derive(Clone, Default)]
pub struct SecretSet {
    matcher: Option<Arc<Matcher>>,
}

impl PartialEq for SecretSet {
    /// Equal where both mask the same.
    fn eq(&self, other: &SecretSet) -> bool {
        self.forms() == other.forms()
    }
}

impl Eq for SecretSet {}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSet(..)")
    }
}

impl SecretSet {
    /// What a masked secret reads.
    pub const MASK: &'static str = "***";

    /// The set of these secrets. Line ends at the end of a secret, as a file has them, are no part of it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<SecretSet, SecretError> {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            add_forms(secret, &mut forms)?;
        }
        Ok(SecretSet::of(forms))
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.matcher.is_none()
    }

    /// This set with one more secret (`rt.mask`).
    pub fn with(&self, secret: &[u8]) -> Result<SecretSet, SecretError> {
        let mut forms: BTreeSet<Vec<u8>> = self.forms().iter().cloned().collect();
        add_forms(secret, &mut forms)?;
        Ok(SecretSet::of(forms))
    }

    /// The text masked, or `None` where it holds no secret. A secret that is no UTF-8 may leave U+FFFD beside its mask.
    pub fn mask(&self, text: &str) -> Option<String> {
        let masked = self.mask_bytes(text.as_bytes())?;
        Some(String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The bytes masked, or `None` where they hold no secret.
    pub fn mask_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let matcher = self.matcher.as_deref()?;
        matcher.find(bytes)?;
        let mut redactor = Redactor::new(self.clone());
        let mut out = Vec::with_capacity(bytes.len());
        redactor.push(bytes, &mut out);
        redactor.finish(&mut out);
        redactor.masked().then_some(out)
    }

    fn of(forms: BTreeSet<Vec<u8>>) -> SecretSet {
        SecretSet { matcher: (!forms.is_empty()).then(|| Arc::new(Matcher::new(forms))) }
    }

    /// What is masked, sorted: for who must look for secrets in other ways than by masking. Never to be shown.
    pub fn forms(&self) -> &[Vec<u8>] {
        self.matcher.as_deref().map_or(&[], Matcher::forms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    fn set(secrets: &[&str]) -> SecretSet {
        SecretSet::new(secrets.iter().map(|secret| secret.as_bytes())).unwrap()
    }

    /// At each place the longest form that matches there, from left to right.
    fn naive(set: &SecretSet, bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), bytes);
        while let Some((&first, after)) = rest.split_first() {
            match set.forms().iter().filter(|form| rest.starts_with(form)).max_by_key(|form| form.len()) {
                Some(form) => {
                    out.extend_from_slice(SecretSet::MASK.as_bytes());
                    rest = &rest[form.len()..];
                }
                None => {
                    out.push(first);
                    rest = after;
                }
            }
        }
        out
    }

    fn streamed<'a>(set: &SecretSet, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut redactor, mut out) = (Redactor::new(set.clone()), Vec::new());
        parts.into_iter().for_each(|part| redactor.push(part, &mut out));
        redactor.finish(&mut out);
        out
    }

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let set = set(secrets);
        let bytes = text.as_bytes();
        let masked = set.mask(text);
        assert_eq!(masked.as_deref().unwrap_or(text), expected);
        assert_eq!(masked.is_none(), expected == text);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(shown(&naive(&set, bytes)), expected);
        assert_eq!(shown(&streamed(&set, bytes.chunks(1))), expected);
        for split in 0..=bytes.len() {
            assert_eq!(shown(&streamed(&set, [&bytes[..split], &bytes[split..]])), expected, "split at {split}");
        }
    }

    #[test]
    fn masks_leftmost_longest() {
        check(&[], "nothing to hide", "nothing to hide");
        check(&["hunter22"], "login hunter22 ok", "login *** ok");
        check(&["hunter22"], "hunter2 hunter22hunter22", "hunter2 ******");
        check(&["abcd", "abcdefgh"], "abcdefgh abcdefg abcd abc", "*** ***efg *** abc");
        check(&["abcabc", "cabcd"], "abcabcd", "***d");
        check(&["aaaa"], "aaaaaaaaaaa", "******aaa");
        check(&["übergang"], "der übergäng übergang", "der übergäng ***");
    }

    #[test]
    fn masks_every_encoding() {
        check(&["p@ss w/rd\""], "u=p%40ss%20w%2Frd%22&x", "u=***&x");
        check(&["p@ss w/rd\""], r#"{"p":"p@ss w\/rd\""}"#, r#"{"p":"***"}"#);
        check(&["p@ss w/rd\""], r#"curl -p p@ss\ w/rd\" x"#, "curl -p *** x");
        check(&["secret!"], "Authorization: Basic dXNlcjpzZWNyZXQh", "Authorization: Basic dXNlcjp***");
        check(&["secret!"], "c2VjcmV0IQ== 73656372657421 736563726574217F", "*** *** ***7F");
        check(&["first line\nx\nsecond line\n"], "first line\nx\nsecond line\nx\n", "***\nx\n");
        check(&["first line\nx\nsecond line\n"], "> second line\r\n> first line\r\n", "> ***\r\n> ***\r\n");
    }

    #[test]
    fn only_what_may_be_a_secret_is_held_back() {
        let mut redactor = Redactor::new(set(&["hunter22", "hunter22-more"]));
        let mut out = Vec::new();
        for (bytes, so_far) in [
            ("password: h", "password: "),
            ("unter2", "password: "),
            ("3\n", "password: hunter23\n"),
            ("hunter22", "password: hunter23\n"),
            ("-mor", "password: hunter23\n"),
            ("\n", "password: hunter23\n***-mor\n"),
        ] {
            redactor.push(bytes.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), so_far);
        }
        redactor.push(b"hunter22-mor", &mut out);
        redactor.finish(&mut out);
        assert!(out.ends_with(b"\n***-mor"));
    }

    #[test]
    fn a_new_secret_takes_hold_of_what_is_held_back() {
        let (mut redactor, mut out) = (Redactor::new(set(&["hunter22"])), Vec::new());
        redactor.push(b"later hunt", &mut out);
        redactor.set_secrets(set(&["hunter22"]).with(b"hunt down").unwrap());
        redactor.push(b" down later", &mut out);
        redactor.set_secrets(SecretSet::default());
        redactor.push(b" hunter22 ", &mut out);
        redactor.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), "later *** later hunter22 ");
    }

    #[test]
    fn sets_compare_by_what_they_mask_and_print_nothing() {
        assert_eq!(set(&["aaaa", "bbbb"]), set(&["bbbb", "aaaa", "aaaa"]));
        assert_eq!(set(&["aaaa"]).with(b"bbbb").unwrap(), set(&["aaaa", "bbbb"]));
        assert_eq!(SecretSet::default(), set(&[]));
        assert_ne!(set(&["aaaa"]), set(&["aaab"]));
        assert_eq!(set(&["aaaa"]).with(b"bbb"), Err(SecretError::TooShort(3)));
        let mut redactor = Redactor::new(set(&["tell-tale"]));
        redactor.push(b"tell-ta", &mut Vec::new());
        let printed = format!("{redactor:?} {:?}", set(&["tell-tale"]));
        assert_eq!(printed, "Redactor { held: 7, masked: false, .. } SecretSet(..)");
    }

    #[test]
    fn one_set_serves_all_threads() {
        fn check<T: Send + Sync>(_: T) {}
        check(set(&["shared"]));
    }

    #[test]
    fn many_secrets_are_all_found() {
        let long: Vec<String> = (0..300).map(|i| format!("token-{i:03}-{:x}", i * 7919)).collect();
        let short: Vec<String> = (0..300).map(|i| format!("<{i:03}")).collect();
        for secrets in [long, short] {
            let all: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let set = set(&all);
            assert_eq!(set.mask(&all.join(" ")), Some(vec!["***"; 300].join(" ")));
            assert_eq!(set.mask("token-, token-99 <30"), None);
        }
    }

    /// A few secrets of few letters, and a text of forms, of parts of forms and of other bytes, with places to cut it.
    #[derive(Debug, Clone)]
    struct Case {
        secrets: Vec<Vec<u8>>,
        text: Vec<u8>,
        cuts: Vec<usize>,
    }

    impl Case {
        fn set(&self) -> SecretSet {
            SecretSet::new(self.secrets.iter().map(Vec::as_slice)).unwrap()
        }

        fn parts(&self) -> Vec<&[u8]> {
            let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut % (self.text.len() + 1)).collect();
            cuts.extend([0, self.text.len()]);
            cuts.sort_unstable();
            cuts.windows(2).map(|cut| &self.text[cut[0]..cut[1]]).collect()
        }
    }

    impl Arbitrary for Case {
        fn arbitrary(g: &mut Gen) -> Case {
            // No asterisk: beside a mask it could look like a secret that has one.
            let letters: &[u8] =
                [&b"ab"[..], b"ab\n", b"a\n\"' /\xc3\xa4", b"s3cr3t-T0K3N/+= \n\\"][usize::arbitrary(g) % 4];
            let secret = |g: &mut Gen| -> Vec<u8> {
                let length = 4 + usize::arbitrary(g) % [3, 12, 60][usize::arbitrary(g) % 3];
                let mut secret: Vec<u8> = (0..length).filter_map(|_| g.choose(letters).copied()).collect();
                secret.extend_from_slice(b"abab");
                secret
            };
            let secrets: Vec<Vec<u8>> = (0..1 + u8::arbitrary(g) % 4).map(|_| secret(g)).collect();
            let set = SecretSet::new(secrets.iter().map(Vec::as_slice)).unwrap();
            let mut text = Vec::new();
            for _ in 0..u8::arbitrary(g) % 16 {
                let form = g.choose(set.forms()).unwrap().clone();
                let at = usize::arbitrary(g) % form.len();
                match u8::arbitrary(g) % 6 {
                    0 | 1 => text.extend(form),
                    2 => text.extend_from_slice(&form[..at]),
                    3 => text.extend_from_slice(&form[at..]),
                    4 => text.extend((0..u8::arbitrary(g) % 9).filter_map(|_| g.choose(letters).copied())),
                    _ => text.extend(Vec::<u8>::arbitrary(g)),
                }
            }
            Case { secrets, text, cuts: Vec::arbitrary(g) }
        }
    }

    quickcheck! {
        fn any_splits_mask_as_the_naive_model(case: Case) -> bool {
            let set = case.set();
            let expected = naive(&set, &case.text);
            streamed(&set, [&case.text[..]]) == expected
                && streamed(&set, case.parts()) == expected
                && streamed(&set, case.text.chunks(1)) == expected
                && set.mask_bytes(&case.text).unwrap_or_else(|| case.text.clone()) == expected
        }

        fn no_form_comes_out(case: Case) -> bool {
            let set = case.set();
            let out = streamed(&set, case.parts());
            set.forms().iter().filter(|form| !form.contains(&b'*')).all(|form| memchr::memmem::find(&out, form).is_none())
        }

        fn what_holds_no_secret_is_untouched(case: Case, text: Vec<u8>) -> bool {
            let set = case.set();
            let holds_none = set.forms().iter().all(|form| memchr::memmem::find(&text, form).is_none());
            !holds_none || (set.mask_bytes(&text).is_none() && streamed(&set, text.chunks(3)) == text)
        }
    }
}
