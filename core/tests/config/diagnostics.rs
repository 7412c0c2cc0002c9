//! What a person is told, word for word.

use crate::support::told;

#[track_caller]
fn check(file: &str, text: &str, expected: &[&str]) {
    let told = told(file, text);
    assert_eq!(told, expected.join("\n") + "\n", "\n{told}");
}

#[test]
fn everything_at_once_each_at_its_line() {
    check(
        "config.lua",
        "local team = { ann = \"boss\" }\nreturn {\n  lisen = \"x\",\n  drain = \"10 m\", max_runs = 0,\n  logs = { keep = true, days = 3 },\n  repos = { [\"work/*\"] = { roles = team, maxruns = 3 } },\n}",
        &[
            "error: repos[\"work/*\"].roles.ann wants \"read\", \"run\" or \"admin\", not the text \"boss\"",
            "  --> config.lua:1:22",
            "   |",
            " 1 | local team = { ann = \"boss\" }",
            "   |                      ^^^^^^",
            "error: drain wants a time such as \"90s\", \"10m\", \"1h30m\", or a number of seconds, not the text \"10 m\"",
            "  --> config.lua:4:11",
            "   |",
            " 4 |   drain = \"10 m\", max_runs = 0,",
            "   |           ^^^^^^",
            "error: max_runs wants a whole number from 1 on, not the number 0",
            "  --> config.lua:4:30",
            "   |",
            " 4 |   drain = \"10 m\", max_runs = 0,",
            "   |                              ^",
            "error: logs.keep wants a time such as \"90s\", \"10m\", \"1h30m\", or a number of seconds, not true",
            "  --> config.lua:5:19",
            "   |",
            " 5 |   logs = { keep = true, days = 3 },",
            "   |                   ^^^^",
            "warning: unknown key \"lisen\"",
            "  --> config.lua:3:3",
            "   |",
            " 3 |   lisen = \"x\",",
            "   |   ^^^^^",
            "   = help: did you mean \"listen\"? keys: listen, url, max_runs, min_free, drain, logs, group, proxy, admins, repos, public, open_logs, trusted, executor, supersede, default_branch, max_runs_per_repo, slots, keep, job_timeout and 5 more",
            "warning: unknown key \"days\" in logs",
            "  --> config.lua:5:25",
            "   |",
            " 5 |   logs = { keep = true, days = 3 },",
            "   |                         ^^^^",
            "   = help: keys: keep, max_size",
            "warning: unknown key \"maxruns\" in repos[\"work/*\"]",
            "  --> config.lua:6:42",
            "   |",
            " 6 |   repos = { [\"work/*\"] = { roles = team, maxruns = 3 } },",
            "   |                                          ^^^^^^^",
            "   = help: did you mean \"max_runs\"? keys: public, open_logs, trusted, executor, supersede, default_branch, max_runs, slots, keep, job_timeout, idle_timeout, output, roles, env, secrets",
        ],
    );
}

#[test]
fn the_same_in_fennel() {
    check(
        "config.fnl",
        "(local team {:ann :boss})\n{:lisen \"x\"\n :max-runs 0\n :repos {\"work/*\" {:roles team :public 1}}}",
        &[
            "error: repos[\"work/*\"].roles.ann wants \"read\", \"run\" or \"admin\", not the text \"boss\"",
            "  --> config.fnl:1:19",
            "   |",
            " 1 | (local team {:ann :boss})",
            "   |                   ^^^^^",
            "error: max_runs wants a whole number from 1 on, not the number 0",
            "  --> config.fnl:3:12",
            "   |",
            " 3 |  :max-runs 0",
            "   |            ^",
            "error: repos[\"work/*\"].public wants true or false, not the number 1",
            "  --> config.fnl:4:40",
            "   |",
            " 4 |  :repos {\"work/*\" {:roles team :public 1}}}",
            "   |                                        ^",
            "warning: unknown key \"lisen\"",
            "  --> config.fnl:2:2",
            "   |",
            " 2 | {:lisen \"x\"",
            "   |  ^^^^^^",
            "   = help: did you mean \"listen\"? keys: listen, url, max_runs, min_free, drain, logs, group, proxy, admins, repos, public, open_logs, trusted, executor, supersede, default_branch, max_runs_per_repo, slots, keep, job_timeout and 5 more",
        ],
    );
}

/// Of each its first line and its place; the value stands on the second line.
#[test]
fn each_kind_of_fault() {
    for (value, expected) in [
        (
            "listen = '7878'",
            "error: listen is no address with a port: write for example \"127.0.0.1:7878\", \"[::1]:7878\" or \"localhost:7878\" 2:10",
        ),
        (
            "listen = 'ci.example.org:80'",
            "error: listen is no address with a port: write for example \"127.0.0.1:7878\", \"[::1]:7878\" or \"localhost:7878\" 2:10",
        ),
        ("listen = ''", "error: listen is empty 2:10"),
        (
            "url = 'ci.example.org'",
            "error: url is no address of pages: write for example \"https://ci.example.org\" 2:7",
        ),
        (
            "min_free = 'many'",
            "error: min_free wants a size such as \"500M\" or \"20GB\", or a number of bytes, not the text \"many\" 2:12",
        ),
        (
            "min_free = -1",
            "error: min_free wants a size such as \"500M\" or \"20GB\", or a number of bytes, not the number -1 2:12",
        ),
        ("max_runs = 1.5", "error: max_runs wants a whole number from 1 on, not the number 1.5 2:12"),
        (
            "drain = {}",
            "error: drain wants a time such as \"90s\", \"10m\", \"1h30m\", or a number of seconds, not a table 2:9",
        ),
        ("logs = '90d'", "error: logs wants a table with keep and max_size, not a text 2:8"),
        ("proxy = {}", "error: proxy does not say which addresses to believe: addresses = { \"127.0.0.1\" } 2:1"),
        (
            "proxy = { addresses = { '::1' } }",
            "error: proxy does not say which header has the name: header = \"x-forwarded-user\" 2:1",
        ),
        ("proxy = { addresses = { '::1' }, header = 'a b' }", "error: proxy.header is no name of a header 2:43"),
        (
            "proxy = { addresses = { '::1', 'ci' }, header = 'x' }",
            "error: proxy.addresses[2] wants an address such as \"127.0.0.1\" or \"::1\", not the text \"ci\" 2:32",
        ),
        ("admins = 'ann'", "error: admins wants a list of texts, not a text 2:10"),
        ("admins = { ann = true }", "error: admins wants a list of texts, not a table with names as keys 2:10"),
        ("admins = { 'ann', 7 }", "error: admins[2] wants a text, not the number 7 2:19"),
        ("public = 'yes'", "error: public wants true or false, not the text \"yes\" 2:10"),
        ("executor = 'moon'", "error: executor wants \"quire-ci\" or \"host\", not the text \"moon\" 2:12"),
        (
            "executor = 'container'",
            "error: executor wants \"quire-ci\" or \"host\": the executor \"container\" has not landed yet 2:12",
        ),
        ("supersede = true", "error: supersede wants \"queued\" or \"off\", not true 2:13"),
        ("keep = 'all'", "error: keep wants \"failed\" or \"none\", not the text \"all\" 2:8"),
        ("default_branch = 'a b'", "error: default_branch is no name of a branch 2:18"),
        ("default_branch = 'release-*'", "error: default_branch is no name of a branch 2:18"),
        ("max_runs_per_repo = 0", "error: max_runs_per_repo wants a whole number from 1 on, not the number 0 2:21"),
        ("output = 0", "error: output wants a size of more than 0: no command could say anything 2:10"),
        ("roles = { 'ann' }", "error: roles wants a table with names as keys, not a list 2:9"),
        ("env = { A = true }", "error: env.A wants a text, not true 2:13"),
        ("env = { ['A-B'] = 'x' }", "error: env[\"A-B\"] is no name of a variable: letters, digits and '_' 2:10"),
        ("env = { A = print }", "error: env.A is a function 2:13"),
        ("env = { A = '\\0' }", "error: env.A has a NUL in it, which no variable can have 2:13"),
        ("repos = { 'a.git' }", "error: repos wants a table of repository names or patterns with tables of keys 2:9"),
        ("repos = { ['a.git'] = true }", "error: repos[\"a.git\"] wants a table of keys, not true or false 2:23"),
        (
            "repos = { ['a.git'] = { max_runs = '2' } }",
            "error: repos[\"a.git\"].max_runs wants a whole number from 1 on, not the text \"2\" 2:36",
        ),
        ("max_runs = 1, ['max-runs'] = 2", "error: [\"max-runs\"] is given twice, as max-runs and as max_runs 2:16"),
        ("secrets = { T = { 'env:T', from = 'env:T' } }", "error: secrets.T comes from one place, not from two 2:17"),
        ("secrets = { T = {} }", "error: secrets.T does not say where it comes from: env:NAME or file:PATH 2:17"),
        ("secrets = { T = { 'env:T', refs = 'main' } }", "error: secrets.T.refs wants a list of refs, not a text 2:35"),
        (
            "secrets = { ['a b'] = 'env:T' }",
            "error: secrets[\"a b\"] is no name of a secret: letters, digits, '_', '-' and '.' 2:14",
        ),
        ("executor = 'host'", "warning: executor is \"host\", but these repositories are not trusted 2:12"),
        (
            "repos = { ['a.git'] = { executor = 'host' } }",
            "warning: repos[\"a.git\"].executor is \"host\", but these repositories are not trusted 2:36",
        ),
        ("repos = { ['work/a'] = {} }", "warning: repos[\"work/a\"] matches no repository: names end in .git 2:12"),
        ("repos = { ['a/b/*'] = {} }", "warning: repos[\"a/b/*\"] matches no repository 2:12"),
        ("repos = { ['*'] = { listen = 1 } }", "warning: unknown key \"listen\" in repos[\"*\"] 2:21"),
        (
            "proxy = { adresses = 1, addresses = { '::1' }, header = 'x' }",
            "warning: unknown key \"adresses\" in proxy 2:11",
        ),
        ("secrets = { T = { 'env:T', ref = 1 } }", "warning: unknown key \"ref\" in secrets.T 2:28"),
    ] {
        let told = told("config.lua", &format!("return {{\n{value}\n}}"));
        let mut lines = told.lines();
        let message = lines.next().unwrap_or_default();
        let place = lines.next().and_then(|line| line.split_once("config.lua:")).map_or("", |(_, place)| place);
        assert_eq!(format!("{message} {place}"), expected, "{value}\n{told}");
        assert!(!told.contains("\nerror") && !told.contains("\nwarning"), "{value}\n{told}");
    }
}

#[test]
fn one_who_trusts_some_is_not_warned() {
    for text in [
        "return { executor = 'host', repos = { ['a.git'] = { trusted = true } } }",
        "return { executor = 'host', trusted = true }",
        "return { trusted = true, repos = { ['a.git'] = { executor = 'host' } } }",
        "return { repos = { ['work/*'] = { trusted = true }, ['work/a.git'] = { executor = 'host' } } }",
        "return { repos = { ['work/*'] = { executor = 'host' }, ['work/a.git'] = { trusted = true } } }",
    ] {
        assert_eq!(told("config.lua", text), "", "{text}");
    }
}

/// The secret itself was written where its source belongs.
#[test]
fn a_secret_is_not_shown() {
    for text in [
        "return { secrets = { T = 'hunter22' } }",
        "return { secrets = { T = { 'hunter22' } } }",
        "return { secrets = { T = { from = 'hunter22', refs = 7 } } }",
        "return { secrets = { T = { 'env:T', 'hunter22' } } }",
        "return { secrets = { T = { 'env:T', password = 'hunter22' } } }",
        "return { secrets = 'hunter22' }",
        "return { repos = { ['a.git'] = { secrets = { T = 'hunter22', U = { 'env:hunter 22' } } } } }",
    ] {
        let told = told("config.lua", text);
        assert!(!told.is_empty() && !told.contains("hunter"), "{text}\n{told}");
    }
}

#[test]
fn files_that_return_no_table() {
    check(
        "config.lua",
        "listen = '127.0.0.1:1'\n",
        &[
            "error: the file returns nothing, not a table",
            "  --> config.lua:1",
            "   |",
            " 1 | listen = '127.0.0.1:1'",
            "   |",
            "   = help: write for example: return { listen = \"127.0.0.1:7878\" }",
        ],
    );
    check(
        "config.lua",
        "return {\n  listen = 7 7\n}",
        &[
            "error: '}' expected (to close '{' at line 1) near '7'",
            "  --> config.lua:2",
            "   |",
            " 2 |   listen = 7 7",
            "   |",
        ],
    );
    check(
        "config.lua",
        "local home = os.getenv 'HOME'\nreturn {}",
        &[
            "error: os is not there in a configuration",
            "  --> config.lua:1",
            "   |",
            " 1 | local home = os.getenv 'HOME'",
            "   |",
            "   = help: it returns a table, made with what Lua has for numbers, texts and tables",
        ],
    );
    check(
        "config.lua",
        "\nprint 'x'\nreturn {}",
        &[
            "error: this file is only to return a table: it cannot print, and asks for nothing",
            "  --> config.lua:2",
            "   |",
            " 2 | print 'x'",
            "   |",
        ],
    );
}

#[test]
fn lists_of_faults_end() {
    let keys: String = (0..300).map(|n| format!("['k{n}'] = 1, ")).collect();
    let told_of = told("config.lua", &format!("return {{ {keys} env = {{ {} }} }}", keys.replace("= 1", "= true")));
    let count = |word: &str| told_of.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("error"), count("warning")), (101, 101), "{told_of}");
    assert!(told_of.contains("error: there are more errors than are shown"), "{told_of}");
}
