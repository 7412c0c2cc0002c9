//! What a pattern of `ci.glob` and `ci.hash` says, matched part by part so that a walk knows which folders can matter.
//!
//! - `*` any run of characters within a name, `?` one, `[a-z]` and `[!a-z]` classes, `{a,b}` alternatives (over `/` too), `\`
//!   takes the next character as it is.
//! - `**` stands alone between slashes for any number of folders; at the end for all files below.
//! - A name that begins with a dot is matched only by a part that begins with a dot: `**` and `*` pass hidden files by.
//! - `.git` is never entered and never matched, and symlinked folders are not followed.
//! - Only files are listed: regular ones, and symlinks to regular ones inside the workspace.

use super::name::NamePattern;

/// Most patterns that braces may expand to.
const MAX_ALTERNATIVES: usize = 1000;

/// One pattern, braces expanded, cut at its slashes. Never empty.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) parts: Vec<Part>,
}

/// A pattern between two slashes.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// `**`
    AnyFolders,
    /// A name without wildcards.
    Literal(Vec<u8>),
    /// A name with wildcards.
    Wild(NamePattern),
}

impl Part {
    /// Whether this part matches a single name. `**` is the walk's to know.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Part::AnyFolders => false,
            Part::Literal(literal) => literal == name,
            Part::Wild(pattern) => (pattern.is_dotted() || !name.starts_with(b".")) && pattern.matches(name),
        }
    }
}

impl Pattern {
    /// Parses patterns; the error names the one that is wrong and is for people.
    pub(super) fn parse_all(patterns: &[String]) -> Result<Vec<Pattern>, String> {
        let mut parsed = Vec::new();
        for pattern in patterns {
            let mut expanded = Vec::new();
            expand(pattern, &mut expanded).map_err(|what| format!("pattern {pattern:?}: {what}"))?;
            for alternative in expanded {
                parsed.push(Pattern::parse(&alternative).map_err(|what| format!("pattern {pattern:?}: {what}"))?);
            }
        }
        Ok(parsed)
    }

    fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.starts_with('/') {
            return Err("it is absolute; write it relative to the workspace".to_owned());
        }
        if text.ends_with('/') {
            return Err(format!("it names a folder; write {text}** for the files in it"));
        }
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            parts.push(match part {
                ".." => return Err("`..` leads outside of the workspace".to_owned()),
                // Two in a row say what one says, and would only multiply the work.
                "**" if matches!(parts.last(), Some(Part::AnyFolders)) => continue,
                "**" => Part::AnyFolders,
                _ if part.contains("**") => {
                    return Err("`**` stands alone between slashes; write src/**/*.rs".to_owned());
                }
                _ => parse_name(part)?,
            });
        }
        match parts.is_empty() {
            true => Err("it names the workspace itself".to_owned()),
            false => Ok(Pattern { parts }),
        }
    }
}

/// Braces are expanded by now; those that are left were escaped, or stand in a class.
fn parse_name(part: &str) -> Result<Part, String> {
    let pattern = NamePattern::parse(part)?;
    Ok(match pattern.literal() {
        Some(text) if matches!(text.as_str(), "." | "..") => {
            return Err(format!("`{part}` is no name of a file or folder"));
        }
        Some(text) => Part::Literal(text.into_bytes()),
        None => Part::Wild(pattern),
    })
}

/// Where the first group of braces of a pattern stands: its start, its commas, its end, in bytes.
struct Braces {
    start: usize,
    commas: Vec<usize>,
    end: usize,
}

/// Expands braces from the left: `a{b,c{d,e}}` gives ab, acd, ace.
fn expand(text: &str, into: &mut Vec<String>) -> Result<(), String> {
    let mut waiting = vec![text.to_owned()];
    while let Some(text) = waiting.pop() {
        let Some(Braces { start, commas, end }) = first_braces(&text)? else {
            into.push(text);
            if into.len() > MAX_ALTERNATIVES {
                return Err(format!("its braces make more than {MAX_ALTERNATIVES} patterns"));
            }
            continue;
        };
        let cuts: Vec<usize> = std::iter::once(start).chain(commas).chain(std::iter::once(end)).collect();
        for pair in cuts.windows(2).rev() {
            if let [from, to] = pair {
                let (head, tail) = (text.get(..start).unwrap_or_default(), text.get(end + 1..).unwrap_or_default());
                waiting.push(format!("{head}{}{tail}", text.get(from + 1..*to).unwrap_or_default()));
            }
        }
        if waiting.len() > MAX_ALTERNATIVES {
            return Err(format!("its braces make more than {MAX_ALTERNATIVES} patterns"));
        }
    }
    Ok(())
}

fn first_braces(text: &str) -> Result<Option<Braces>, String> {
    let mut depth = 0usize;
    let mut start = 0;
    let mut commas = Vec::new();
    let mut bytes = text.bytes().enumerate();
    // A `]` right after `[`, `[!` or `[^` is a member of the class.
    let mut class: Option<usize> = None;
    while let Some((at, byte)) = bytes.next() {
        match (class, byte) {
            (Some(opened), b']') => {
                let head = text.get(opened + 1..at).unwrap_or_default();
                if !matches!(head, "" | "!" | "^") {
                    class = None;
                }
            }
            (Some(_), _) => {}
            (None, b'\\') => {
                bytes.next();
            }
            (None, b'[') => class = Some(at),
            (None, b'{') => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            (None, b',') if depth == 1 => commas.push(at),
            (None, b'}') if depth == 1 => return Ok(Some(Braces { start, commas, end: at })),
            (None, b'}') if depth > 1 => depth -= 1,
            (None, _) => {}
        }
    }
    match depth {
        0 => Ok(None),
        _ => Err("a `{` has no `}`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand() {
        for (text, want) in [
            ("a", &["a"][..]),
            ("a{b,c}d", &["abd", "acd"]),
            ("{a,b}/{c,d}", &["a/c", "a/d", "b/c", "b/d"]),
            ("a{b,c{d,e}}f", &["abf", "acdf", "acef"]),
            ("{src/**,tests}/x", &["src/**/x", "tests/x"]),
            ("x{,.bak}", &["x", "x.bak"]),
            ("{one}", &["one"]),
            ("a\\{b,c\\}", &["a\\{b,c\\}"]),
            ("[{,]x", &["[{,]x"]),
            ("[]{]{a,b}", &["[]{]a", "[]{]b"]),
            ("a}b", &["a}b"]),
        ] {
            let mut got = Vec::new();
            expand(text, &mut got).unwrap();
            assert_eq!(got, want, "{text}");
        }
        for bad in ["{a,b", "{a,{b,c}", &"{a,b}".repeat(12)] {
            assert!(expand(bad, &mut Vec::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_patterns_say_what_to_write() {
        for (text, what) in [
            ("", "empty"),
            ("/etc/*", "absolute"),
            ("a/../b", "outside"),
            ("src/", "write src/**"),
            ("src/a**", "stands alone"),
            (".", "itself"),
            ("\\../x", "no name"),
            ("[a", "has no `]`"),
            ("{/etc,x}/passwd", "absolute"),
        ] {
            let error = Pattern::parse_all(&[text.to_owned()]).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_leading_dot_must_be_written() {
        for (part, name, want) in [
            ("*", "a.rs", true),
            ("*", ".a", false),
            ("?a", ".a", false),
            ("[.]a", ".a", false),
            (".*", ".a", true),
            ("\\.*", ".a", true),
            (".a", ".a", true),
            ("{a,.b}*", ".bc", true),
        ] {
            let parsed = Pattern::parse_all(&[part.to_owned()]).unwrap();
            let got = parsed.iter().any(|pattern| pattern.parts[0].matches(name.as_bytes()));
            assert_eq!(got, want, "{part} {name}");
        }
    }
}
