//! What keeps the house as STYLE 8-9 wants it, by machine: no I/O in core, dependencies and layers, licences, file headers.
//!
//! Clippy's list in `core/clippy.toml` bans functions and types; this test adds what clippy cannot say, and shows that the
//! ban fires.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "it reads the sources and asks cargo")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Modules of std that core never names.
const BANNED_MODULES: &[&str] = &["fs", "net", "process", "thread", "env"];

/// All that core is built from.
const CORE_DEPENDENCIES: &[&str] = &[
    "aho-corasick",
    "jiff",
    "memchr",
    "mlua",
    "serde",
    "serde_ignored",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
    "unicode-width",
];

/// Licences that let anyone do anything but complain.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("core lies in the workspace").to_owned()
}

/// Every Rust file under these folders of the workspace, with its text.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                left.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty(), "no sources under {folders:?}");
    files.sort();
    files
}

#[test]
fn core_names_no_module_that_does_io() {
    let named: Vec<String> = sources(&["core/src"])
        .iter()
        .flat_map(|(path, text)| banned_uses(text).into_iter().map(move |used| format!("{}: {used}", path.display())))
        .collect();
    assert_eq!(named, Vec::<String>::new());
}

/// Paths into banned modules, grouped imports and renamed roots included; comments do not count.
fn banned_uses(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.chars().chain([' ']))
        .collect();
    // White space around punctuation is of no meaning to a path.
    let words: Vec<&str> = code.split_whitespace().collect();
    let code = words.join(" ").replace(" ::", "::").replace(":: ", "::").replace("{ ", "{").replace(", ", ",");
    let mut uses = Vec::new();
    for (at, _) in code.match_indices("std") {
        let continues_a_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[at + "std".len()..];
        if continues_a_word {
            continue;
        }
        if rest.starts_with("::*") || (rest.starts_with(" as ") && code[..at].ends_with("use ")) {
            uses.push("std whole".to_owned());
        }
        let Some(path) = rest.strip_prefix("::") else { continue };
        let firsts = match path.strip_prefix('{') {
            Some(group) => first_segments(group),
            None => vec![first_segment(path)],
        };
        uses.extend(
            firsts.into_iter().filter(|first| BANNED_MODULES.contains(first)).map(|first| format!("std::{first}")),
        );
    }
    uses
}

fn first_segment(path: &str) -> &str {
    path.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// The first segment of each member of a group whose `{` is already off.
fn first_segments(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut segments) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            segments.push(first_segment(&group[start..at]));
            start = at + c.len_utf8();
        }
        if depth == 0 {
            break;
        }
    }
    segments
}

#[test]
fn the_search_finds_every_way_to_name_a_module() {
    for (code, uses) in [
        ("let x = std::fs::read(p);", 1),
        ("use ::std::net::TcpStream;", 1),
        ("use std::{collections::BTreeMap, fs, io::{Read, env}, thread::{self, JoinHandle}};", 2),
        ("use std::{\n    fmt,\n    process,\n};", 1),
        ("use std :: env;", 1),
        ("use std as s;", 1),
        ("use std::*;", 1),
        ("// std::fs is not used\nlet a = 1; // std::env", 0),
        ("use std::fmt; use my_std::fs; use std::collections::BTreeMap; use crate::env;", 0),
        ("use std::io::{self, Write}; use std::{time::Duration};", 0),
    ] {
        assert_eq!(banned_uses(code).len(), uses, "{code}: {:?}", banned_uses(code));
    }
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<PathBuf> = sources(&["core", "shell-sync", "shell-async", "fuzz"])
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

fn cargo() -> Command {
    Command::new(env!("CARGO"))
}

#[track_caller]
fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// `cargo metadata` for this machine: what a build here needs is here, so it asks no network.
fn metadata() -> Value {
    let version = stdout(cargo().arg("-vV").output().expect("cargo runs"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo tells its host");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
    let output = cargo().args(arguments).current_dir(root()).output().expect("cargo runs");
    serde_json::from_str(&stdout(output)).expect("cargo metadata is JSON")
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("no list {field}"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// Names of a workspace member's dependencies that are built into it.
fn dependencies<'a>(metadata: &'a Value, member: &str) -> BTreeSet<&'a str> {
    let package = list(metadata, "packages").iter().find(|package| text(package, "name") == member);
    let package = package.unwrap_or_else(|| panic!("no package {member}"));
    list(package, "dependencies").iter().filter(|it| it["kind"] != "dev").map(|it| text(it, "name")).collect()
}

/// Names of everything that is built into a workspace member, however deep.
fn closure<'a>(metadata: &'a Value, member: &str) -> BTreeSet<&'a str> {
    let names: BTreeMap<&str, &str> =
        list(metadata, "packages").iter().map(|package| (text(package, "id"), text(package, "name"))).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let mut left: Vec<&str> = names.iter().filter(|(_, name)| **name == member).map(|(id, _)| *id).collect();
    assert_eq!(left.len(), 1, "{member}");
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if seen.insert(id) {
            let built_in = |it: &&Value| list(it, "dep_kinds").iter().any(|kind| kind["kind"] != "dev");
            left.extend(list(nodes[id], "deps").iter().filter(built_in).map(|it| text(it, "pkg")));
        }
    }
    seen.into_iter().map(|id| names[id]).collect()
}

#[test]
fn core_depends_on_the_allowed_and_nothing_else() {
    assert_eq!(dependencies(&metadata(), "quire-core"), CORE_DEPENDENCIES.iter().copied().collect());
}

#[test]
fn every_layer_keeps_to_its_own() {
    let metadata = metadata();
    let is_async = |name: &str| name == "smol" || name == "hyper" || name == "tokio" || name.starts_with("async-");
    let is_database = |name: &str| name.starts_with("rusqlite") || name == "libsqlite3-sys";
    for (member, async_allowed, database_allowed) in
        [("quire-core", false, false), ("quire-fuzz", false, false), ("quire-ci", false, true), ("quire", true, true)]
    {
        let foreign: Vec<&str> = closure(&metadata, member)
            .into_iter()
            .filter(|name| (!async_allowed && is_async(name)) || (!database_allowed && is_database(name)))
            .collect();
        assert_eq!(foreign, Vec::<&str>::new(), "{member}");
    }
    let above_core = |name: &&str| name.starts_with("quire");
    assert_eq!(dependencies(&metadata, "quire-core").into_iter().find(above_core), None);
    assert!(!closure(&metadata, "quire-ci").contains("quire"), "shell-sync knows nothing of shell-async");
}

/// libFuzzer's runtime is C++ under another licence: nothing but cargo-fuzz, which sets the cfg, may build it.
#[test]
fn a_fuzzers_runtime_is_built_for_fuzzing_only() {
    let metadata = metadata();
    let fuzz = list(&metadata, "packages").iter().find(|package| text(package, "name") == "quire-fuzz");
    let fuzz = fuzz.expect("quire-fuzz is a member");
    let conditional: Vec<(&str, &str)> = list(fuzz, "dependencies")
        .iter()
        .filter_map(|it| it["target"].as_str().map(|target| (text(it, "name"), target)))
        .collect();
    assert_eq!(conditional, [("libfuzzer-sys", "cfg(fuzzing)")]);
    for member in ["quire-core", "quire-fuzz", "quire-ci", "quire"] {
        assert!(!closure(&metadata, member).contains("libfuzzer-sys"), "{member}");
    }
}

#[test]
fn every_dependency_has_a_permissive_licence_and_a_version() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in list(&metadata, "packages") {
        let ours = package["source"].is_null();
        let name = text(package, "name");
        let licence = package["license"].as_str().unwrap_or("none");
        if !ours && !is_permissive(licence) {
            wrong.push(format!("{name}: licence {licence}"));
        }
        let wildcards = list(package, "dependencies").iter().filter(|it| ours && text(it, "req").contains('*'));
        wrong.extend(wildcards.map(|it| format!("{name}: {} of any version", text(it, "name"))));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether an SPDX expression leaves a choice of allowed licences. Without parentheses, `OR` binds less than `AND`; the old
/// `/` means `OR`.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.trim().replace('/', " OR ");
    split_outside(&expression, " OR ").iter().any(|choice| {
        split_outside(choice, " AND ").iter().all(|licence| {
            let licence = licence.trim();
            match licence.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                Some(inner) => is_permissive(inner),
                None => LICENCES.contains(&licence),
            }
        })
    })
}

/// Splits at a word that stands in no parentheses.
fn split_outside<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in expression.match_indices(word) {
        let before = &expression[..at];
        if at >= start && before.matches('(').count() == before.matches(')').count() {
            parts.push(&expression[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn licence_expressions_are_understood() {
    for (expression, permissive) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT AND GPL-3.0) OR AGPL-3.0", false),
        ("(MIT OR GPL-3.0) AND (ISC AND GPL-2.0)", false),
        ("MPL-2.0", false),
        ("none", false),
        ("", false),
    ] {
        assert_eq!(is_permissive(expression), permissive, "{expression}");
    }
}

/// What a careless hand could write in core, each with the name that clippy is to report.
const CARELESS: &[(&str, &str)] = &[
    ("std::fs::read", "let _ = std::fs::read(\"x\");"),
    ("std::fs::File", "let _: Option<std::fs::File> = None;"),
    ("std::env::var", "let _ = std::env::var(\"X\");"),
    ("std::thread::sleep", "std::thread::sleep(std::time::Duration::ZERO);"),
    ("std::process::Command", "let _: Option<std::process::Command> = None;"),
    ("std::net::TcpStream", "let _: Option<std::net::TcpStream> = None;"),
    ("std::time::Instant::now", "let _ = std::time::Instant::now();"),
    ("std::time::SystemTime", "let _: Option<std::time::SystemTime> = None;"),
    ("std::collections::HashMap", "let _: Option<std::collections::HashMap<u8, u8>> = None;"),
    ("std::path::Path::exists", "let _ = std::path::Path::new(\"x\").exists();"),
    ("std::println", "println!();"),
];

#[test]
fn the_ban_fires() {
    let crate_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("canary-{}", std::process::id()));
    fs::create_dir_all(crate_dir.join("src")).expect("a folder for the canary");
    let manifest = "[package]\nname = \"canary\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(crate_dir.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(root().join("core/clippy.toml"), crate_dir.join("clippy.toml")).expect("core's clippy.toml");
    let statements: Vec<&str> = CARELESS.iter().map(|(_, statement)| *statement).collect();
    let source = format!("//! Canary.\n/// Careless.\npub fn careless() {{\n    {}\n}}\n", statements.join("\n    "));
    fs::write(crate_dir.join("src/lib.rs"), source).expect("a source");
    let output = cargo()
        .args(["clippy", "--offline", "--quiet", "--target-dir"])
        .arg(crate_dir.join("target"))
        .args(["--", "-D", "warnings"])
        .current_dir(&crate_dir)
        .env_remove("CLIPPY_CONF_DIR")
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .expect("cargo clippy runs");
    fs::remove_dir_all(&crate_dir).expect("the canary goes");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "clippy lets the canary live:\n{report}");
    for (name, statement) in CARELESS {
        let reported = report.lines().any(|line| line.contains("disallowed") && line.contains(&format!("`{name}`")));
        assert!(reported, "no word about {statement}\n{report}");
    }
    assert!(!report.contains("does not refer to"), "core/clippy.toml bans what does not exist:\n{report}");
}
