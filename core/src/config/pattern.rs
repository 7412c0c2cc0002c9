//! Patterns over the names of repositories and refs: `*` matches any run of characters, `/` too.

/// Does the pattern match the whole name?
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Behind the last `*` that was passed, and where the name goes on behind what that has swallowed.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, n));
            }
            Some(byte) if name.get(n) == Some(byte) => {
                p += 1;
                n += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (p, n) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// How special a pattern is: a name without `*` is more so than any other, then one with more characters besides `*`.
pub(super) fn rank(pattern: &str) -> (bool, usize) {
    let literal = pattern.bytes().filter(|byte| *byte != b'*').count();
    (literal == pattern.len(), literal)
}

/// The full name of a ref or of a pattern of refs: `main` and `release-*` are branches.
pub(super) fn full_ref(name: &str) -> String {
    if name.starts_with("refs/") || name.starts_with('*') { name.to_owned() } else { format!("refs/heads/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("work/*", "work/foo.git", true),
            ("work/*", "work/", true),
            ("work/*", "works/foo.git", false),
            ("*.git", "work/foo.git", true),
            ("*/foo*", "work/foo.git", true),
            ("*o*o*", "foo", true),
            ("*o*o*o*", "foo", false),
            ("a*b", "ab", true),
            ("a*b", "abab", true),
            ("a*b", "aba", false),
            ("**", "x", true),
            ("foo", "foo", true),
            ("foo", "Foo", false),
            ("refs/heads/*", "refs/heads/é/*", true),
            ("a*", "", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn as_the_naive_matcher_says() {
        fn naive(pattern: &[u8], name: &[u8]) -> bool {
            match pattern.split_first() {
                None => name.is_empty(),
                Some((b'*', rest)) => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
                Some((byte, rest)) => name.first() == Some(byte) && naive(rest, &name[1..]),
            }
        }
        fn property(pattern: Vec<u8>, name: Vec<u8>) -> bool {
            let few = |bytes: &[u8], of: &[u8]| -> String {
                bytes.iter().take(12).map(|byte| of[usize::from(*byte) % of.len()] as char).collect()
            };
            let (pattern, name) = (few(&pattern, b"ab*"), few(&name, b"ab"));
            matches(&pattern, &name) == naive(pattern.as_bytes(), name.as_bytes())
        }
        quickcheck::quickcheck(property as fn(Vec<u8>, Vec<u8>) -> bool);
    }

    #[test]
    fn a_branch_is_named_shortly() {
        for (name, full) in [
            ("main", "refs/heads/main"),
            ("release-*", "refs/heads/release-*"),
            ("refs/tags/v*", "refs/tags/v*"),
            ("*", "*"),
        ] {
            assert_eq!(full_ref(name), full);
        }
    }
}
