//! Matches one name against the wildcards of one part of a pattern.
//!
//! Written here because the crates at hand match bytes: to them `?` is half an `ä`, and `[ä]` matches none.

/// Letters of a name: Unicode scalar values; a byte that is no UTF-8 stands above all of those, as a letter of its own.
type Letter = u32;

/// Added to a byte that is no UTF-8.
const NO_UTF8: Letter = 0x11_0000;

/// A part of a pattern: text with `*`, `?`, `[…]` and `\`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern(Vec<Element>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// `*`
    AnyRun,
    /// `?`
    AnyOne,
    /// `[a-z]`, `[!a-z]`, `[^a-z]`: inclusive ranges.
    Class { negated: bool, ranges: Vec<(Letter, Letter)> },
    /// A letter as it is.
    Letter(Letter),
}

impl NamePattern {
    /// Parses a part without slashes; the error completes "pattern …: …".
    pub(super) fn parse(text: &str) -> Result<NamePattern, String> {
        let mut elements = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            elements.push(match letter {
                '*' if elements.last() == Some(&Element::AnyRun) => continue,
                '*' => Element::AnyRun,
                '?' => Element::AnyOne,
                '[' => class(&mut letters)?,
                '\\' => Element::Letter(letters.next().ok_or("a `\\` has nothing after it")?.into()),
                letter => Element::Letter(letter.into()),
            });
        }
        Ok(NamePattern(elements))
    }

    /// The text that is matched, where nothing else is.
    pub(super) fn literal(&self) -> Option<String> {
        self.0
            .iter()
            .map(|element| if let Element::Letter(letter) = element { char::from_u32(*letter) } else { None })
            .collect()
    }

    /// Whether the pattern is written with a dot at its beginning.
    pub(super) fn is_dotted(&self) -> bool {
        self.0.first() == Some(&Element::Letter('.'.into()))
    }

    /// Whether the whole name matches. The work is at most the product of both lengths: only the last `*` is ever tried anew.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let name = letters(name);
        let (mut at, mut element) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let fits = match (self.0.get(element), name.get(at)) {
                (None, None) => return true,
                (Some(Element::AnyRun), _) => {
                    retry = Some((at, element + 1));
                    element += 1;
                    continue;
                }
                (Some(one), Some(letter)) => one.fits(*letter),
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            match (fits, retry) {
                (true, _) => (at, element) = (at + 1, element + 1),
                (false, Some((from, after))) => {
                    retry = Some((from + 1, after));
                    (at, element) = (from + 1, after);
                }
                (false, None) => return false,
            }
        }
    }
}

impl Element {
    fn fits(&self, letter: Letter) -> bool {
        match self {
            Element::AnyRun | Element::AnyOne => true,
            Element::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
            Element::Letter(own) => *own == letter,
        }
    }
}

/// The rest of a class, after its `[`. A `]` that comes first is a member.
fn class(letters: &mut std::str::Chars<'_>) -> Result<Element, String> {
    let unclosed = || "a `[` has no `]`; write \\[ for the character itself".to_owned();
    let negated = letters.as_str().starts_with(['!', '^']);
    if negated {
        letters.next();
    }
    let mut ranges = Vec::new();
    loop {
        let from = match letters.next().ok_or_else(unclosed)? {
            ']' if !ranges.is_empty() => return Ok(Element::Class { negated, ranges }),
            '\\' => letters.next().ok_or_else(unclosed)?,
            letter => letter,
        };
        let mut ahead = letters.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *letters = ahead;
                if to == '\\' { letters.next().ok_or_else(unclosed)? } else { to }
            }
            _ => from,
        };
        if to < from {
            return Err(format!("the range {from}-{to} is empty"));
        }
        ranges.push((from.into(), to.into()));
    }
}

fn letters(name: &[u8]) -> Vec<Letter> {
    let mut letters = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        letters.extend(chunk.valid().chars().map(Letter::from));
        letters.extend(chunk.invalid().iter().map(|byte| NO_UTF8 + Letter::from(*byte)));
    }
    letters
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn names_match() {
        for (pattern, name, want) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*.rs", "main.rs", true),
            ("*.RS", "main.rs", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*a*a*b", "aaaaaaaaab", true),
            ("*aab", "aaab", true),
            ("?", "ä", true),
            ("?", "", false),
            ("caf?.txt", "café.txt", true),
            ("[ä-ü]x", "öx", true),
            ("[!a]", "b", true),
            ("[^a]", "a", false),
            ("[!ab", "x", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("[a\\]b]", "]", true),
            ("[a-\\z]", "m", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\{a,b\\}", "{a,b}", true),
        ] {
            let got = NamePattern::parse(pattern).is_ok_and(|parsed| parsed.matches(name.as_bytes()));
            assert_eq!(got, want, "{pattern} {name}");
        }
        for bad in ["[", "[]", "[a", "[!]", "[z-a]", "a\\", "[a\\"] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_letters_too() {
        let name = b"a\xff\xfe.txt";
        for (pattern, want) in [("*.txt", true), ("a??.txt", true), ("a?.txt", false), ("a[!x]?.*", true)] {
            assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), want, "{pattern}");
        }
    }

    /// The plain recursive definition.
    fn model(elements: &[Element], name: &[Letter]) -> bool {
        match elements.split_first() {
            None => name.is_empty(),
            Some((Element::AnyRun, rest)) => (0..=name.len()).any(|skip| model(rest, &name[skip..])),
            Some((one, rest)) => {
                name.split_first().is_some_and(|(letter, tail)| one.fits(*letter) && model(rest, tail))
            }
        }
    }

    quickcheck! {
        fn agrees_with_the_definition(pattern: Vec<u8>, name: Vec<u8>) -> bool {
            let pattern: String = pattern.iter().take(8).map(|byte| ['a', 'b', '*', '?', '*'][usize::from(*byte) % 5]).collect();
            let name: Vec<u8> = name.iter().take(12).map(|byte| [b'a', b'b', 0xff][usize::from(*byte) % 3]).collect();
            let parsed = NamePattern::parse(&pattern).unwrap();
            parsed.matches(&name) == model(&parsed.0, &letters(&name))
        }
    }
}
