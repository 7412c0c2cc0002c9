//! Every error stands at its place in the Fennel.

use std::collections::BTreeMap;

use super::support::{lines, told};

const CI: &str = "(local ci (require :quire.ci))\n";

/// What a person is told of a pipeline of this text, with these modules.
fn check(text: &str, modules: &[(&str, &str)], expected: &str) {
    let text = format!("{CI}{text}");
    let files: Vec<(&str, &str)> = std::iter::once(("ci.fnl", text.as_str())).chain(modules.iter().copied()).collect();
    let told = told(&files);
    assert_eq!(told.trim_end(), expected, "{text}");
}

#[test]
fn jobs_stand_where_their_calls_begin() {
    let text = "(local {: job} (require :quire.ci))

(job :first
  {:timeout \"10m\"}
  (fn [rt]
    (rt.sh \"one\")
    (each [_ x (ipairs [1 2])]
      (rt.sh x))))

(macro build [name]
  `(job ,name
     (fn [rt#]
       (rt#.sh \"true\"))))

(build :second)
(import-macros {: far} :far)
(far
  :third)
(when true
  (job :last [:first :second]
    (fn [rt]
      (rt.sh \"x\"))))
";
    let far = "(fn far [name]\n `(let [ci# (require :quire.ci)]\n (ci#.job ,name\n (fn []))))\n{: far}";
    let expected = [("first", 3), ("second", 15), ("third", 17), ("last", 20)];
    let expected: BTreeMap<_, _> = expected.map(|(id, line)| (id.to_owned(), format!(".quire/ci.fnl:{line}"))).into();
    assert_eq!(lines(&[("ci.fnl", text), ("far.fnl", far)]), expected);
}

#[test]
fn on_the_first_line() {
    let first = |text: &str| told(&[("ci.fnl", text)]);
    assert!(
        first("(foo)")
            .starts_with("error: unknown identifier: foo\n  --> .quire/ci.fnl:1:2\n   |\n 1 | (foo)\n   |  ^^^")
    );
    assert!(first("(local x").starts_with("error: expected closing delimiter )\n  --> .quire/ci.fnl:1:9\n"));
    assert!(first("(error :boom)").starts_with("error: boom\n  --> .quire/ci.fnl:1\n"), "{}", first("(error :boom)"));
    assert!(first("((require :quire.ci) :x)").contains("--> .quire/ci.fnl:1\n"));
}

#[test]
fn in_the_middle() {
    check(
        "(ci.job :a\n  (fn [rt]\n    (rt.sh foo)))",
        &[],
        "error: unknown identifier: foo\n  --> .quire/ci.fnl:4:12\n   |\n 4 |     (rt.sh foo)))\n   |            ^^^\n   = help: try \
         looking to see if there's a typo, or using the _G table instead, eg. _G.foo if you really want a global, or moving \
         this code to somewhere that foo is in scope, or binding foo as a local in the scope of this code",
    );
    check(
        "(ci.job :a\n  [:nope]\n  (fn [rt]\n    (rt.sh :x)))\n(ci.job :b\n  {:timeot 1}\n  (fn [rt]\n    (rt.sh :x)))",
        &[],
        "error: unknown input \"nope\"\n  --> .quire/ci.fnl:3:4\n   |\n 3 |   [:nope]\n   |    ^^^^^\n   = help: jobs: b\n\
         error: unknown option \"timeot\" of ci.job\n  --> .quire/ci.fnl:7:4\n   |\n 7 |   {:timeot 1}\n   |    ^^^^^^^\n   = \
         help: its options are allow_failure, cwd, desc, env, needs, retries, shell, timeout",
    );
    check(
        "\n(ci.jbo :a\n  (fn [rt]\n    (rt.sh :x)))",
        &[],
        "error: ci has no 'jbo'\n  --> .quire/ci.fnl:3:5\n   |\n 3 | (ci.jbo :a\n   |     ^^^\n   = help: it has defaults, \
         glob, hash, image, job, quire, read",
    );
    check(
        "(let [x 1]\n  (print (.. :a\n             x.y.z)))\n(ci.job :a (fn []))",
        &[],
        "error: attempt to index a number value (local 'x')\n  --> .quire/ci.fnl:3\n   |\n 3 |   (print (.. :a\n   |",
    );
    check(
        "(ci.job :a (fn [rt]\n  (io.open :x)))",
        &[],
        "error: io is not there in a pipeline\n  --> .quire/ci.fnl:3:4\n   |\n 3 |   (io.open :x)))\n   |    ^^\n   = help: use \
         rt.read_file and rt.write_file inside a job, ci.read at the top level, or a command",
    );
    check(
        "(ci.job :a (fn [rt]\n  (let x 1)))))",
        &[],
        "error: unexpected closing delimiter )\n  --> .quire/ci.fnl:3:14\n   |\n 3 |   (let x 1)))))\n   |              ^\n   = \
         help: try deleting ), or adding matching opening delimiter earlier",
    );
    // Lua in Fennel, over several lines.
    check(
        "(lua \"local a = 1\nlocal b = 2\")\n(error :x)",
        &[],
        "error: x\n  --> .quire/ci.fnl:4\n   |\n 4 | (error :x)\n   |",
    );
    check(
        "(lua \"local a\nlocal b = a.x\")",
        &[],
        "error: attempt to index a nil value (local 'a')\n  --> .quire/ci.fnl:3\n   |\n 3 | local b = a.x\")\n   |",
    );
    check("(print (lua \"\" \"1 +\n2\"))\n(error :x)", &[], "error: x\n  --> .quire/ci.fnl:5");
}

#[test]
fn inside_a_macro() {
    let call = |column: u32| {
        format!("--> .quire/ci.fnl:6:{column}\n   |\n 6 |   (m [1])))\n   |{}^", " ".repeat(column as usize))
    };
    let text = |body: &str| format!("(macro m [x]\n  {body})\n\n(ci.job :a (fn [rt]\n  (m [1])))");
    check(&text("`(+ 1 ,(. x.y :z))"), &[], &format!("error: attempt to index a nil value (field 'y')\n  {}", call(3)));
    check(&text("(error :no)"), &[], &format!("error: no\n  {}", call(3)));
    check(&text("(assert-compile false \"no good\" x)"), &[], &format!("error: no good\n  {}", call(6)));
    let own = told(&[("ci.fnl", &format!("{CI}{}", text("`(undefined ,x)")))]);
    assert!(own.starts_with(&format!("error: unknown identifier: undefined\n  {}", call(3))), "{own}");

    let importing = "(import-macros {: m} :mac)\n\n\n(ci.job :a (fn [rt]\n  (m [1])))";
    check(
        importing,
        &[("mac.fnl", "(fn m [x]\n  (+ 1 x.y.z))\n{: m}")],
        "error: attempt to index a nil value (field 'y')\n  --> .quire/lib/mac.fnl:2:10\n   |\n 2 |   (+ 1 x.y.z))\n   |          ^\n   = \
         help: this is in a macro that is called at .quire/ci.fnl:6:3",
    );
    check(
        importing,
        &[("mac/init-macros.fnl", "(fn m [x]\n  (+ 1 y))\n{: m}")],
        "error: unknown identifier: y\n  --> .quire/lib/mac/init-macros.fnl:2:8\n   |\n 2 |   (+ 1 y))\n   |        ^\n   = \
         help: try looking to see if there's a typo, or using the _G table instead, eg. _G.y if you really want a global, or \
         moving this code to somewhere that y is in scope, or binding y as a local in the scope of this code",
    );
    check(
        importing,
        &[("other.fnl", "{}")],
        "error: macro module \"mac\" is not there\n  --> .quire/ci.fnl:2:1\n   |\n 2 | (import-macros {: m} :mac)\n   | ^\n   \
         = help: looked for .quire/lib/mac.fnl, .quire/lib/mac/init-macros.fnl, .quire/lib/mac/init.fnl and \
         .quire/lib/mac.lua; .quire/lib/ has other.fnl",
    );
    // What a macro made fails when it runs: at the call.
    let made = "(macro m [x]\n  `(error ,x))\n\n\n(m :boom)";
    check(made, &[], "error: boom\n  --> .quire/ci.fnl:6\n   |\n 6 | (m :boom)\n   |");
}

#[test]
fn inside_a_required_module() {
    let requiring = "(local m (require :mod))\n(ci.job :a (fn [rt] (rt.sh m.x)))";
    check(
        requiring,
        &[("mod.fnl", "(local x 1)\n(fn")],
        "error: expected closing delimiter )\n  --> .quire/lib/mod.fnl:2:4\n   |\n 2 | (fn\n   |",
    );
    check(
        requiring,
        &[("mod/init.fnl", "\n(local x 1)\n\n(x.y.z)")],
        "error: attempt to index a number value (local 'x')\n  --> .quire/lib/mod/init.fnl:4\n   |\n 4 | (x.y.z)\n   |",
    );
    check(
        requiring,
        &[("mod.lua", "local x\n = = 3")],
        "error: unexpected symbol near '='\n  --> .quire/lib/mod.lua:2\n   |\n 2 |  = = 3\n   |",
    );
    check(
        requiring,
        &[("mod.lua", "return {}"), ("mod.fnl", "{}")],
        "error: module \"mod\" is there twice, as .quire/lib/mod.lua and .quire/lib/mod.fnl\n  --> .quire/ci.fnl:2:19\n   |\n 2 \
         | (local m (require :mod))\n   |                   ^^^^\n   = help: keep one",
    );
}
