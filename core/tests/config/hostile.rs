//! Files that would hang, fill or crash whoever reads them.

use quire_core::config::load;

use crate::support::{source, told};

#[test]
fn nothing_hangs_or_fills_the_host() {
    for text in [
        "while true do end",
        "while true do pcall(print, 1) end",
        "while true do pcall(function() while true do end end) end",
        "local t = {} for i = 1, 1e9 do t[i] = { i } end return t",
        "local t = {} for i = 1, 200000 do t[i] = i end return { admins = t }",
        "local s = string.rep('x', 1e6) local t = {} for i = 1, 1000 do t[i] = s end return { admins = t }",
        "local t = {} for i = 1, 60 do t = { t, t } end return { repos = t }",
        "local t = {} t.repos = t return t",
        "local t = {} local u = t for i = 1, 1e5 do u.x = {} u = u.x end return t",
        "return setmetatable({ f = print }, { __index = function() while true do end end, __pairs = error })",
        "return ('('):rep(1e5)",
        "print 'x'",
        "return require 'quire.ci'",
        "return coroutine.wrap(function() end)",
        "coroutine.yield({})",
        "error({})",
        "error()",
        "return json.null",
        "return { [json.null] = 1, [{}] = 2, [1.5] = 3, [true] = 4, ['\\xff'] = 5, admins = { [2] = 'x' }, url = '\\xff', drain = 0/0 }",
        "\u{1b}Lua",
        "\0",
        "return",
    ] {
        let told = told("config.lua", text);
        assert!(told.starts_with("error: "), "{text}\n{told}");
        assert!(told.len() < 20_000, "{text}\n{told}");
    }
    for text in ["(while true)", "(macro m [] (while true)) (m)", "(", "{:a", "", "(fn [] 1)", "(. nil)"] {
        let told = told("config.fnl", text);
        assert!(told.starts_with("error: "), "{text}\n{told}");
    }
}

#[test]
fn any_text_is_survived() {
    fn property(text: Vec<u8>) -> bool {
        let _ = load(&source("config.lua", text));
        true
    }
    quickcheck::quickcheck(property as fn(Vec<u8>) -> bool);
}

/// Texts that are nearly configurations: keys with values of every kind, well nested or not.
#[test]
fn any_table_is_survived() {
    const PIECES: [&str; 40] = [
        "{",
        "}",
        "listen",
        "url",
        "max_runs",
        "logs",
        "proxy",
        "admins",
        "repos",
        "[\"work/*\"]",
        "public",
        "executor",
        "secrets",
        "env",
        "roles",
        "refs",
        "from",
        "output",
        " = ",
        ", ",
        "\"127.0.0.1:1\"",
        "\"env:X\"",
        "\"host\"",
        "\"10m\"",
        "\"1G\"",
        "true",
        "1",
        "-1",
        "1.5",
        "1e300",
        "\"é\"",
        "\"\"",
        "nil",
        "{}",
        "{ 'a' }",
        "keep",
        "addresses",
        "header",
        "\n",
        "x",
    ];
    fn table(pieces: Vec<u8>) -> bool {
        let text: String = pieces.iter().map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect();
        let _ = load(&source("config.lua", format!("return {{ {text} }}")));
        true
    }
    fn keys(pairs: Vec<(u8, u8, u8)>) -> bool {
        let pick = |at: u8| PIECES[usize::from(at) % PIECES.len()];
        let name = |at: u8| {
            ["listen", "url", "logs", "proxy", "admins", "secrets", "env", "roles", "executor", "output", "x"]
                [usize::from(at) % 11]
        };
        let values = [
            "true",
            "1",
            "-1",
            "1.5",
            "'x'",
            "''",
            "'10m'",
            "'env:X'",
            "{}",
            "{ 'a', 1 }",
            "{ a = 1 }",
            "{ T = { 'env:X', refs = { 1 } } }",
        ];
        let fields: String = pairs
            .iter()
            .map(|(key, value, rule)| {
                let value = values[usize::from(*value) % values.len()];
                match rule % 3 {
                    0 => format!("{} = {value}, ", name(*key)),
                    1 => format!(
                        "repos = {{ ['{}'] = {{ {} = {value} }} }}, ",
                        pick(*rule).replace(['\n', '\''], ""),
                        name(*key)
                    ),
                    _ => format!("logs = {{ {} = {value} }}, ", name(*key)),
                }
            })
            .collect();
        let _ = load(&source("config.lua", format!("return {{ {fields} }}")));
        true
    }
    quickcheck::quickcheck(table as fn(Vec<u8>) -> bool);
    quickcheck::quickcheck(keys as fn(Vec<(u8, u8, u8)>) -> bool);
}
