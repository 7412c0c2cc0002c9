//! The pattern matcher against Lua's own: same results, same error texts.

use mlua::{Function, Lua, StdLib, Value};
use quickcheck::{Arbitrary, Gen};

use super::{Capture, PatternError, Search, find_plain, is_plain, replace};

/// Pieces of patterns, so that random ones are often well-formed and often nearly so.
const ITEMS: &[&str] = &[
    "a", "b", "x", ".", "%a", "%d", "%s", "%w", "%W", "%p", "%u", "%c", "%g", "%x", "%z", "%.", "%%", "%", "[ab]",
    "[^a]", "[]]", "[^]]", "[a-c]", "[a-]", "[%a_]", "[%", "[", "]", "(", ")", "()", "(a)", "(.-)", "%b()", "%bab",
    "%b", "%f[%w]", "%f[^a]", "%f", "%1", "%2", "%0", "^", "$", "-", "\0", "é", " ", "[%]a]", "[a-%%]", "[%a-z]",
];
const QUANTIFIERS: &[&str] = &["", "", "", "*", "+", "-", "?"];
const TEXTS: &[&str] = &["a", "b", "ab", "(", ")", "1", " ", "x", "]", "A", "\0", "é", "%", "_", ".", "-"];
const REPLACEMENTS: &[&str] = &["x", "%0", "%1", "%2", "%%", "%", "%a", "<", ">"];

#[derive(Debug, Clone)]
struct Case {
    subject: Vec<u8>,
    pattern: Vec<u8>,
    replacement: Vec<u8>,
    init: usize,
    limit: usize,
}

fn text(g: &mut Gen, pieces: &[&str], quantifiers: &[&str], most: usize) -> Vec<u8> {
    let count = usize::arbitrary(g) % (most + 1);
    let mut out = String::new();
    for _ in 0..count {
        out.push_str(g.choose(pieces).unwrap());
        out.push_str(g.choose(quantifiers).unwrap());
    }
    out.into_bytes()
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Case {
        Case {
            subject: text(g, TEXTS, &[""], 12),
            pattern: text(g, ITEMS, QUANTIFIERS, 5),
            replacement: text(g, REPLACEMENTS, &[""], 3),
            init: usize::arbitrary(g) % 4,
            limit: usize::arbitrary(g) % 5,
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Case>> {
        let case = self.clone();
        let shorter = |bytes: &[u8]| -> Vec<Vec<u8>> {
            (0..bytes.len()).map(|cut| [&bytes[..cut], &bytes[cut + 1..]].concat()).collect()
        };
        let subjects = shorter(&case.subject).into_iter().map({
            let case = case.clone();
            move |subject| Case { subject, ..case.clone() }
        });
        let patterns = shorter(&case.pattern).into_iter().map({
            let case = case.clone();
            move |pattern| Case { pattern, ..case.clone() }
        });
        Box::new(subjects.chain(patterns.collect::<Vec<_>>()).collect::<Vec<_>>().into_iter())
    }
}

/// Results as text: one line a value, or the error.
fn shown(values: Result<Vec<Vec<u8>>, String>) -> String {
    match values {
        Ok(values) => values.iter().map(|v| format!("[{}]", v.escape_ascii())).collect(),
        Err(error) => format!("error: {error}"),
    }
}

fn capture_bytes(subject: &[u8], capture: Capture) -> Vec<u8> {
    match capture {
        Capture::Span(from, to) => subject[from..to].to_vec(),
        Capture::Position(at) => (at + 1).to_string().into_bytes(),
    }
}

fn captures(search: &Search<'_>, subject: &[u8], whole: Option<(usize, usize)>) -> Result<Vec<Vec<u8>>, PatternError> {
    match (search.captures(), whole) {
        (0, Some((start, end))) => Ok(vec![subject[start..end].to_vec()]),
        (n, _) => (0..n).map(|index| Ok(capture_bytes(subject, search.capture(index)?))).collect(),
    }
}

fn ours(case: &Case) -> [String; 4] {
    let Case { subject, pattern, replacement, init, limit } = case;
    let find = || {
        let mut search = Search::new(subject, pattern);
        let plain = is_plain(pattern);
        let found = if plain { find_plain(subject, pattern, *init) } else { search.find(*init, None)? };
        let Some((start, end)) = found else { return Ok(vec![b"nil".to_vec()]) };
        let mut values = vec![(start + 1).to_string().into_bytes(), end.to_string().into_bytes()];
        values.extend(if plain { Vec::new() } else { captures(&search, subject, None)? });
        Ok(values)
    };
    let find_match = || {
        let mut search = Search::new(subject, pattern);
        match search.find(*init, None)? {
            Some(whole) => captures(&search, subject, Some(whole)),
            None => Ok(vec![b"nil".to_vec()]),
        }
    };
    let gmatch = || {
        let mut search = Search::unanchored(subject, pattern);
        let (mut values, mut at, mut last) = (Vec::new(), *init, None);
        while let Some((start, end)) = search.find(at, last)? {
            values.extend(captures(&search, subject, Some((start, end)))?);
            (at, last) = (end, Some(end));
        }
        Ok(values)
    };
    let gsub = || {
        let (text, count) = replace(subject, pattern, replacement, *limit, 1 << 20)?;
        Ok(vec![text.unwrap_or_else(|| subject.clone()), count.to_string().into_bytes()])
    };
    let init_ok = *init <= subject.len();
    let nothing = |values: Vec<Vec<u8>>| Ok(values);
    [
        shown(if init_ok { find().map_err(|e: PatternError| e.to_string()) } else { nothing(vec![b"nil".to_vec()]) }),
        shown(if init_ok { find_match().map_err(|e| e.to_string()) } else { nothing(vec![b"nil".to_vec()]) }),
        shown(if init_ok { gmatch().map_err(|e: PatternError| e.to_string()) } else { nothing(vec![]) }),
        shown(gsub().map_err(|e: PatternError| e.to_string())),
    ]
}

struct Oracle {
    lua: Lua,
    run: Function,
}

impl Oracle {
    fn new() -> Oracle {
        let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE, mlua::LuaOptions::default()).unwrap();
        let run: Function = lua
            .load(
                r#"
                local s, p, r, init, limit = ...
                local function pack(ok, ...)
                  if not ok then return "error", (...) end
                  local out = table.pack(...)
                  for i = 1, out.n do out[i] = tostring(out[i]) end
                  return out
                end
                local function all()
                  local out = {}
                  local step = string.gmatch(s, p, init)
                  while true do
                    local row = table.pack(step())
                    if row[1] == nil then return table.unpack(out) end
                    table.move(row, 1, row.n, #out + 1, out)
                  end
                end
                return { pack(pcall(string.find, s, p, init)) }, { pack(pcall(string.match, s, p, init)) },
                  { pack(pcall(all)) }, { pack(pcall(string.gsub, s, p, r, limit)) }
                "#,
            )
            .set_name("=oracle")
            .into_function()
            .unwrap();
        Oracle { lua, run }
    }

    fn ask(&self, case: &Case) -> [String; 4] {
        let lua = &self.lua;
        let bytes = |b: &[u8]| lua.create_string(b).unwrap();
        let tables: (mlua::Table, mlua::Table, mlua::Table, mlua::Table) = self
            .run
            .call((bytes(&case.subject), bytes(&case.pattern), bytes(&case.replacement), case.init + 1, case.limit))
            .unwrap();
        let read = |table: mlua::Table| {
            shown(match table.raw_get::<Value>(1).unwrap() {
                Value::Table(values) => {
                    Ok(values.sequence_values::<mlua::LuaString>().map(|v| v.unwrap().as_bytes().to_vec()).collect())
                }
                _ => {
                    let text = table.raw_get::<mlua::LuaString>(2).unwrap().to_string_lossy();
                    Err(text)
                }
            })
        };
        [read(tables.0), read(tables.1), read(tables.2), read(tables.3)]
    }
}

/// Lua puts a place in front of its errors.
fn without_place(text: &str) -> String {
    match text.split_once("error: oracle:") {
        Some((before, rest)) => {
            let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
            format!("{before}error: {message}")
        }
        None => text.to_owned(),
    }
}

#[test]
fn random_patterns_do_as_lua_does() {
    let oracle = Oracle::new();
    // Quickcheck wants a plain function, and a Lua for each case would be slow: the cases are drawn here.
    let mut g = Gen::new(20);
    let mut errors = 0;
    for _ in 0..60_000 {
        let case = Case::arbitrary(&mut g);
        let (got, wanted) = (ours(&case), oracle.ask(&case).map(|text| without_place(&text)));
        errors += usize::from(wanted[0].starts_with("error"));
        if got != wanted {
            let smallest = smallest(&oracle, case);
            panic!("{smallest:?}\nours {:?}\nLua  {:?}", ours(&smallest), oracle.ask(&smallest));
        }
    }
    assert!((1_000..50_000).contains(&errors), "the cases are worth their time: {errors} errors");
}

fn smallest(oracle: &Oracle, mut case: Case) -> Case {
    while let Some(next) = case.shrink().find(|next| ours(next) != oracle.ask(next).map(|text| without_place(&text))) {
        case = next;
    }
    case
}
