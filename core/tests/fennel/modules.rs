//! Modules and macros, from either language.

use super::support::{compiler, define, define_within, source, told};
use quire_core::engine::{Compiler, FennelCompiler, Limits, Source};
use quire_core::script::{compile_fennel, fennel_version};

#[test]
fn either_language_requires_the_other() {
    let modules = [
        ("a.fnl", "(local b (require :b))\n{:name (.. :fennel- b.name)}"),
        ("b/init.lua", "return { name = 'lua-' .. require('c.d').name }"),
        ("c/d.fnl", "(local [name] [...])\n{: name}"),
    ];
    for (file, text) in [
        ("ci.fnl", "(let [ci (require :quire.ci) a (require :a)] (ci.job a.name (fn [])))"),
        ("ci.lua", "local ci, a = require 'quire.ci', require 'a' ci.job(a.name, function() end)"),
    ] {
        let files: Vec<_> = std::iter::once((file, text)).chain(modules).collect();
        let defined = define(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(defined.pipeline.jobs[0].id.as_str(), "fennel-lua-c.d");
    }
}

#[test]
fn macros_come_from_the_library() {
    let pipeline = "(local ci (require :quire.ci))
        (import-macros {: twice} :fennel-macros)
        (import-macros lua-macros :lua-macros)
        (require-macros :folder)
        (ci.job (twice :a) (fn []))
        (ci.job (lua-macros.text :b) (fn []))
        (ci.job (third :c) (fn []))";
    let files = [
        ("ci.fnl", pipeline),
        ("fennel-macros.fnl", "(local helper (require :helper))\n(print :told 1)\n{:twice (fn [x] (helper x))}"),
        ("helper.fnl", "(fn [x] `(.. ,x ,x))"),
        ("lua-macros.lua", "return { text = function(x) return list(sym('..'), x, 'lua') end }"),
        ("folder/init-macros.fnl", "{:third (fn [x] `(string.rep ,x 3))}"),
    ];
    let defined = define(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
    let ids: Vec<&str> = defined.pipeline.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!((ids, &defined.logs[..]), (vec!["aa", "blua", "ccc"], &["told\t1".to_owned()][..]));
}

#[test]
fn macros_have_no_files_and_nothing_of_the_machine() {
    for name in ["io", "os", "package", "debug", "load", "loadfile", "dofile", "collectgarbage", "coroutine", "_ENV"] {
        let text =
            format!("(macro m [] (tostring (?. _G :{name})))\n(local ci (require :quire.ci))\n(ci.job (m) (fn []))");
        let defined = define(&[("ci.fnl", &text)]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(defined.pipeline.jobs[0].id.as_str(), "nil", "{name}");
    }
    for (body, message) in [
        ("(include :x)", "include is not there in a pipeline"),
        ("(macro m [] (require :os)) (m)", "macro module \"os\" is not there"),
        ("(macro m [] (setmetatable {} {:__gc (fn [])})) (m)", "__gc is not available"),
        ("(macro m [] (string.rep :x 1e9)) (m)", "resulting string too large"),
    ] {
        let told = told(&[("ci.fnl", body)]);
        assert!(told.contains(message), "{body}: {told}");
    }
}

#[test]
fn the_compiler_knows_the_globals_of_a_pipeline() {
    let defined = |text: String| {
        let text = format!("(let [ci (require :quire.ci)] (ci.job :a (fn [])))\n{text}");
        define(&[("ci.fnl", &text)]).unwrap_or_else(|errors| panic!("{errors:?}"))
    };
    let names = defined("(each [name (pairs _G)] (print name))".into()).logs.clone();
    assert!(names.len() > 20, "{names:?}");
    defined(format!("(print {})", names.join(" ")));
}

#[test]
fn nothing_hangs_and_nothing_grows_without_end() {
    let limits = Limits { instructions: 20_000_000, ..Limits::default() };
    let huge = format!("(print [{}])", "1 ".repeat(2 * 1024 * 1024));
    for (text, message) in [
        ("(macro m [] (while true nil)) (m)", "compiling took more than 20000000 instructions"),
        ("(macro m [] (while true (pcall (fn [] (while true nil))))) (m)", "compiling took more than"),
        ("(macro m [] (xpcall (fn [] (error :x)) (fn [] (while true nil)))) (m)", "compiling took more than"),
        ("(macro m [] (setmetatable [] {:__index (fn [] (while true nil))})) (m)", "compiling took more than"),
        ("(macro m [] `(m)) (m)", "compiling "),
        ("(eval-compiler (string.find (string.rep :a 5000) \".-.-.-.-b\"))", "pattern too complex"),
        ("(macro m [] (let [t []] (while true (table.insert t {})))) (m)", "compiling "),
        ("(macro m [] (var s :x) (while true (set s (.. s s)))) (m)", "compiling needs more than 64 MiB"),
        (&huge, "compiling "),
        (&"(".repeat(4 * 1024 * 1024), "compiling "),
        (&"(do ".repeat(100_000), "compiling "),
    ] {
        let errors = define_within(&source(&[("ci.fnl", text)]), &limits).expect_err("an error");
        let told = errors.first().map(ToString::to_string).unwrap_or_default();
        assert!(
            told.contains(message) && told.contains("--> .quire/ci.fnl:1"),
            "{}: {told}",
            &text[..text.len().min(80)]
        );
    }
}

#[test]
fn the_compiler_is_checked() {
    let with = |fennel: Compiler| {
        let source = Source { fennel, ..source(&[("ci.fnl", "(print 1)")]) };
        let errors = define_within(&source, &Limits::default()).expect_err("an error");
        errors.iter().map(ToString::to_string).collect::<String>()
    };
    let found =
        |text: &str| Compiler::Found(FennelCompiler { path: "/x/fennel.lua".into(), text: text.as_bytes().into() });
    for (fennel, message) in [
        (Compiler::NotFound("/a, /b".into()), "the Fennel compiler is not installed: looked at /a, /b"),
        (found("return {version = '1.5.1'}"), "Fennel 1.5.1 at /x/fennel.lua is too old: quire needs 1.5.2 or newer"),
        (found("return 7"), "/x/fennel.lua is not the Fennel compiler"),
        (found("= ="), "/x/fennel.lua is not the Fennel compiler"),
        (found("\u{1b}Lua"), "/x/fennel.lua is not the Fennel compiler"),
        (found("while true do end"), "compiling took more than"),
    ] {
        let told = with(fennel);
        assert!(told.contains(message), "{told}");
    }
    let version = fennel_version(&compiler()).expect("it is new enough");
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
}

#[test]
fn the_lua_can_be_shown() {
    let files = source(&[("ci.fnl", "(local x [1])\n(each [_ v (ipairs x)]\n  (print v))"), ("m.fnl", "(fn")]);
    assert_eq!(
        compile_fennel(&files, ".quire/ci.fnl", &Limits::default()).expect("it compiles"),
        "local x = {1}\nfor _, v in ipairs(x) do\n  print(v)\nend\nreturn nil"
    );
    let errors = compile_fennel(&files, ".quire/lib/m.fnl", &Limits::default()).expect_err("an error");
    assert!(errors[0].to_string().contains("--> .quire/lib/m.fnl:1:"), "{errors:?}");
}

#[test]
fn the_same_text_gives_the_same_lua() {
    let text = include_str!("../../../examples/twin-fennel/.quire/ci.fnl");
    let macros = include_str!("../../../examples/twin-fennel/.quire/lib/macros/init-macros.fnl");
    let files = source(&[("ci.fnl", text), ("macros/init-macros.fnl", macros)]);
    let compile = || compile_fennel(&files, ".quire/ci.fnl", &Limits::default()).expect("it compiles");
    let first = compile();
    for _ in 0..10 {
        assert_eq!(compile(), first);
    }
}

#[test]
fn the_documentation_compiles() {
    let blocks: Vec<&str> = include_str!("../../../docs/pipelines.md").split("```fennel\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap_or_default();
        let defined = define(&[("ci.fnl", text)]).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert!(!defined.pipeline.jobs.is_empty());
    }
}
