//! Where in the file a key of the configuration stands: Lua and Fennel tell values, not where they were written.
//!
//! A light reading of the file: its tables as far as they are written out, and what is assigned to which name. A way through
//! tables and names is followed key by key; where it is lost, in a loop or a call, the last place on it is told.

mod fennel;
mod lua;

use std::cell::Cell;

use crate::pipeline::{Lexer, Token};

/// How deep forms and tables are read.
const DEPTH: usize = 100;
/// How many names may lead to each other.
const HOPS: usize = 16;
/// How many tables and assignments are looked at for one path.
const STEPS: usize = 100_000;

/// Where a key and its value stand, as byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub key: usize,
    pub value: usize,
}

/// What a file says where.
pub(super) struct Outline<'a> {
    root: Option<(Spot, Node<'a>)>,
    assignments: Vec<Assignment<'a>>,
}

/// A value as it is written.
#[derive(Debug, Clone)]
enum Node<'a> {
    Table(Vec<Field<'a>>),
    /// A variable, and fields of it.
    Name(Vec<&'a str>),
    Other,
}

#[derive(Debug, Clone)]
struct Field<'a> {
    key: Key<'a>,
    spot: Spot,
    value: Node<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key<'a> {
    Text(&'a str),
    /// Its number in the list.
    Nth(usize),
    /// Computed: it may be any.
    Any,
}

impl Key<'_> {
    fn is(&self, wanted: &str) -> bool {
        match self {
            Key::Text(text) => *text == wanted || text.replace('-', "_") == wanted,
            Key::Nth(n) => n.to_string() == wanted,
            Key::Any => true,
        }
    }
}

/// `NAME.KEY… = VALUE`.
#[derive(Debug)]
struct Assignment<'a> {
    name: &'a str,
    keys: Vec<Key<'a>>,
    spot: Spot,
    value: Node<'a>,
}

impl<'a> Outline<'a> {
    pub(super) fn read(text: &'a str, fennel: bool) -> Outline<'a> {
        let tokens: Vec<(Token<'a>, usize)> =
            Lexer::new(text, fennel).filter(|(token, _)| *token != Token::LineEnd).collect();
        let mut reader = Reader { tokens, at: 0, outline: Outline { root: None, assignments: Vec::new() } };
        match fennel {
            true => reader.fennel(),
            false => reader.lua(),
        }
        reader.outline
    }

    /// The spot of the last key of `path` that can be found, and how many keys lead to it.
    pub(super) fn find(&self, path: &[String]) -> Option<(Spot, usize)> {
        let (spot, node) = self.root.as_ref()?;
        Some(self.follow(node, path, (*spot, 0), (HOPS, &Cell::new(STEPS))))
    }

    fn follow(
        &self,
        node: &Node<'a>,
        path: &[String],
        best: (Spot, usize),
        (hops, steps): (usize, &Cell<usize>),
    ) -> (Spot, usize) {
        let Some((first, rest)) = path.split_first() else { return best };
        match node {
            Node::Other => best,
            Node::Table(fields) => match last_of(fields, first) {
                Some(field) => self.follow(&field.value, rest, (field.spot, best.1 + 1), (hops, steps)),
                None => best,
            },
            Node::Name(name) => {
                let Some((variable, fields)) = name.split_first().filter(|_| hops > 0) else { return best };
                let mut found = best;
                for assignment in self.assignments.iter().filter(|assignment| assignment.name == *variable) {
                    let Some(left) = steps.get().checked_sub(1) else { return found };
                    steps.set(left);
                    // The fields of the name are assigned to first, then keys of the path.
                    let wanted = fields.iter().copied().chain(path.iter().map(String::as_str));
                    let known = fields.len().min(assignment.keys.len());
                    let taken = assignment.keys.len() - known;
                    let leads = assignment.keys.len() <= fields.len() + path.len()
                        && assignment.keys.iter().zip(wanted).all(|(key, wanted)| key.is(wanted));
                    let Some(left) = path.get(taken..).filter(|_| leads) else { continue };
                    let spot = if taken == 0 { best.0 } else { assignment.spot };
                    // What of the name's own fields was not assigned is in the value.
                    let inner: Vec<String> =
                        fields.iter().skip(known).map(|field| (*field).to_owned()).chain(left.to_vec()).collect();
                    let extra = fields.len() - known;
                    let (at, depth) = self.follow(&assignment.value, &inner, (spot, best.1 + taken), (hops - 1, steps));
                    let depth = depth.saturating_sub(extra).max(best.1 + taken);
                    // The later one wins, but one that might be meant gives way to one that is.
                    let is_certain = !assignment.keys.contains(&Key::Any);
                    if depth > found.1 || (depth == found.1 && is_certain) {
                        found = (at, depth);
                    }
                }
                found
            }
        }
    }
}

/// The field that a key has in the end: the last one of that name, else the last that might be.
fn last_of<'n, 'a>(fields: &'n [Field<'a>], key: &str) -> Option<&'n Field<'a>> {
    let is_certain = |field: &&Field<'a>| field.key != Key::Any && field.key.is(key);
    fields.iter().rfind(is_certain).or_else(|| fields.iter().rfind(|field| field.key == Key::Any))
}

struct Reader<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    at: usize,
    outline: Outline<'a>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).map(|(token, _)| *token)
    }

    /// The offset of the next token; after the last one that of the last.
    fn offset(&self, ahead: usize) -> usize {
        self.tokens.get(self.at + ahead).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    /// Passes the bracket that opens here, whatever is in it.
    fn skip_bracket(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token {
                Token::Open(_) => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands where the key and the value of a path are found: some letters of each, and how many keys were found.
    fn check(text: &str, fennel: bool, cases: &[(&[&str], &str, &str, usize)]) {
        let outline = Outline::read(text, fennel);
        for (path, key, value, depth) in cases {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            let (spot, found) = outline.find(&path).expect("a root");
            let at = |from: usize, letters: &str| text.get(from..from + letters.len()).unwrap_or("past the end");
            assert_eq!(
                (at(spot.key, key), at(spot.value, value), found),
                (*key, *value, *depth),
                "{path:?} in\n{text}\n{}",
                &text[spot.key..]
            );
        }
    }

    #[test]
    fn lua_tables_are_followed() {
        let text = r#"
local mine = { x = { 1 } } -- a comment with { brackets
local rule, other = { keep = "none" }
local config = { listen = "a", ["url"] = 'u', repos = {
    ["work/*"] = { public = true, env = { A = f(1, 2), B = function(a, b) if a then return 1, 2 end end, C = 3 } },
    ["b.git"] = rule, ["c.git"] = mine.x, [name] = { slots = 4 },
}, admins = { "ann", "bob"; "eve" }, secrets = { T = { "env:T", refs = { "main" } } } }
config.max_runs = 4
config.repos["d.git"] = { keep = 7 }
config.repos["d.git"].env = {}
for _, name in pairs(names) do config.logs[name] = 12 end
return config
"#;
        check(
            text,
            false,
            &[
                (&[], "config\n", "config\n", 0),
                (&["listen"], "listen", "\"a\"", 1),
                (&["url"], "\"url\"", "'u'", 1),
                (&["repos", "work/*", "public"], "public", "true", 3),
                (&["repos", "work/*", "env", "A"], "A =", "f(1", 4),
                (&["repos", "work/*", "env", "C"], "C =", "3 }", 4),
                (&["repos", "work/*", "env", "D"], "env", "{ A", 3),
                (&["repos", "b.git", "slots"], "\"b.git\"", "rule", 2),
                (&["repos", "c.git", "1"], "1 }", "1 }", 3),
                (&["repos", "z.git", "slots"], "slots", "4", 3),
                (&["admins", "1"], "\"ann", "\"ann", 2),
                (&["admins", "3"], "\"eve", "\"eve", 2),
                (&["secrets", "T", "1"], "\"env:T", "\"env:T", 3),
                (&["secrets", "T", "refs", "1"], "\"main", "\"main", 4),
                (&["max_runs"], "config.max_runs", "4\n", 1),
                (&["repos", "d.git", "keep"], "keep", "7", 3),
                (&["repos", "d.git", "env"], "config.repos", "{}", 3),
                (&["logs", "keep"], "config.logs[", "12", 2),
                (&["nothing"], "config\n", "config\n", 0),
            ],
        );
        check("return { a-b = 1, ['max-runs'] = 2 }", false, &[(&["max_runs"], "'max", "2", 1)]);
        check("return f { a = 1 }\n", false, &[(&["a"], "f {", "f {", 0)]);
    }

    #[test]
    fn fennel_tables_are_followed() {
        let text = r#"
(local rule {:keep :none :slots 3}) ; a comment with { brackets
(let [config {:listen "a" "url" :u :max-runs 4
              :repos {"work/*" {:public true :env {:A (f {:x 1} 2) :C 3}}
                      "b.git" rule (.. :c ".git") {:slots 4}}
              :admins [:ann "bob"] :secrets {:T {1 "env:T" :refs [:main]}}}]
  (set config.drain 5)
  (tset config.repos "d.git" :keep 7)
  config)
"#;
        check(
            text,
            true,
            &[
                (&["listen"], ":listen", "\"a\"", 1),
                (&["url"], "\"url\"", ":u", 1),
                (&["max_runs"], ":max-runs", "4", 1),
                (&["repos", "work/*", "public"], ":public", "true", 3),
                (&["repos", "work/*", "env", "C"], ":C", "3}", 4),
                (&["repos", "b.git", "slots"], ":slots", "3}", 3),
                (&["repos", "z.git", "slots"], ":slots", "4}", 3),
                (&["admins", "2"], "\"bob", "\"bob", 2),
                (&["secrets", "T", "1"], "1 \"env", "\"env:T", 3),
                (&["secrets", "T", "refs", "1"], ":main", ":main", 4),
                (&["drain"], "config.drain", "5)", 1),
                (&["repos", "d.git", "keep"], "config.repos", "7)", 3),
            ],
        );
        check("{: listen :a #(f)}", true, &[(&["listen"], ": listen", "listen", 1), (&["a"], ":a", "#(", 1)]);
    }

    #[test]
    fn any_text_is_survived() {
        fn property(fennel: bool, pieces: Vec<u8>, path: Vec<u8>) -> bool {
            const PIECES: [&str; 24] = [
                "{", "}", "[", "]", "(", ")", "=", ",", ".", "return ", "a", " b ", "\"k\"", ":k ", "(let ", "(set ",
                "(tset ", "local ", "function", " end ", "\n", "1", "#", "é",
            ];
            let text: String = pieces.iter().map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect();
            let path: Vec<String> = path.iter().map(|n| ["a", "b", "k", "1"][usize::from(n % 4)].to_owned()).collect();
            let outline = Outline::read(&text, fennel);
            outline.find(&path).is_none_or(|(spot, depth)| {
                depth <= path.len() && text.is_char_boundary(spot.key) && text.is_char_boundary(spot.value)
            })
        }
        quickcheck::quickcheck(property as fn(bool, Vec<u8>, Vec<u8>) -> bool);
    }

    #[test]
    fn names_in_a_circle_and_deep_tables_end() {
        let circle = "local a = b local b = a return a";
        assert!(Outline::read(circle, false).find(&["x".to_owned()]).is_some());
        let many = format!("{} return a", "a = a ".repeat(10_000));
        assert!(Outline::read(&many, false).find(&["x".to_owned()]).is_some());
        for (open, fennel) in [("return {", false), ("{", false), ("{:a ", true), ("(let [", true), ("'", true)] {
            let deep = format!("return {}", open.repeat(50_000));
            Outline::read(&deep, fennel).find(&["a".to_owned()]);
        }
    }
}
