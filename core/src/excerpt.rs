//! The first line that looks like the error, in what a failed command printed.
//!
//! Owns the patterns, taken from what compilers, test runners and shells print. Knows nothing of logs: lines are given as plain
//! text, such as [`crate::terminal::plain`] makes.

mod rules;

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use self::rules::{NEEDLES, Place};

/// How sure it is that a line tells an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// It comes of an error, mostly after the line that tells it: `make: *** [all] Error 2`.
    Weak,
    /// It tells one: `error[E0308]: mismatched types`.
    Strong,
}

/// How much of a line is looked at, in bytes.
const MOST: usize = 2048;

/// How strong a line looks like an error; `None`: not at all. `plain_line` is without styles and line end; of a long one only the
/// first 2 KiB count.
pub fn strength(plain_line: &str) -> Option<Strength> {
    let line = plain_line.get(..plain_line.floor_char_boundary(MOST)).unwrap_or_default();
    let mut found = rules::at_begin(line);
    if found == Some(Strength::Strong) {
        return found;
    }
    for needle in needles().find_iter(line) {
        let Some((text, rule)) = NEEDLES.get(needle.pattern().as_usize()) else { continue };
        let (before, rest) = line.split_at(needle.start());
        let after = rest.get(text.len()..).unwrap_or_default();
        found = found.max(rule(Place { line, before, after }));
        if found == Some(Strength::Strong) {
            break;
        }
    }
    found.filter(|_| !rules::is_harmless(line))
}

fn needles() -> &'static AhoCorasick {
    static AUTOMATON: OnceLock<AhoCorasick> = OnceLock::new();
    AUTOMATON.get_or_init(|| {
        let needles = NEEDLES.iter().map(|(text, _)| text);
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(needles)
            .expect("some twenty short needles fit into an automaton")
    })
}

/// Looks for the line to show first, among lines given in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finder {
    strong: Option<u64>,
    weak: Option<u64>,
}

impl Finder {
    /// Before the first line.
    pub fn new() -> Finder {
        Finder::default()
    }

    /// Takes the next line, by the number of its row and its plain text.
    pub fn line(&mut self, row: u64, plain_line: &str) {
        if self.is_done() {
            return;
        }
        match strength(plain_line) {
            Some(Strength::Strong) => self.strong = Some(row),
            Some(Strength::Weak) => self.weak = self.weak.or(Some(row)),
            None => {}
        }
    }

    /// Whether no further line can change what is found.
    pub fn is_done(&self) -> bool {
        self.strong.is_some()
    }

    /// The row of the first strong line, else that of the first weak one.
    pub fn found(&self) -> Option<u64> {
        self.strong.or(self.weak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Strength::{Strong, Weak};

    const STRONG: &[&str] = &[
        "error[E0308]: mismatched types",
        "error: could not compile `quire-core` (lib) due to 1 previous error",
        "error: aborting due to 2 previous errors",
        "thread 'main' panicked at src/main.rs:2:5:",
        "thread 'tests::works' (4242) panicked at core/src/a.rs:9:13:",
        "test rows::tests::joins ... FAILED",
        "        FAIL [   0.005s] quire-core rows::tests::joins",
        "Error: Os { code: 2, kind: NotFound, message: \"No such file or directory\" }",
        "main.c:3:5: error: expected ';' before 'return'",
        "main.c:1:10: fatal error: missing.h: No such file or directory",
        "main.o: in function `main': main.c:(.text+0x5): undefined reference to `f'",
        "/usr/bin/ld: main.o: undefined reference to `f'",
        "collect2: error: ld returned 1 exit status",
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
        "Undefined symbols for architecture arm64:",
        "--- FAIL: TestParse (0.00s)",
        "    --- FAIL: TestParse/empty (0.00s)",
        "FAIL\texample.com/pkg\t0.003s",
        "panic: runtime error: index out of range [3] with length 3",
        "fatal error: all goroutines are asleep - deadlock!",
        "E   assert 1 == 2",
        "E       fixture 'db' not found",
        "E   ModuleNotFoundError: No module named 'x'",
        "FAILED tests/test_a.py::test_b - assert 1 == 2",
        "ERROR tests/test_a.py - ImportError: cannot import name 'x'",
        "tests/test_a.py::test_b FAILED                                   [ 50%]",
        "tests/test_a.py:3: AssertionError",
        "Traceback (most recent call last):",
        "ValueError: invalid literal for int() with base 10: 'x'",
        "requests.exceptions.ConnectionError: refused",
        "KeyError",
        "FAIL: test_upper (__main__.TestStrings)",
        "ERROR: test_upper (__main__.TestStrings)",
        " FAIL  src/a.test.js",
        "  ✕ adds (3 ms)",
        "  ● math › adds",
        " × src/a.test.ts > adds",
        "not ok 3 - parses",
        "    not ok 1 - inner",
        "src/a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.",
        "src/a.ts:1:7 - error TS2322: Type 'string' is not assignable to type 'number'.",
        "error TS18003: No inputs were found in config file",
        "Program.cs(1,2): error CS1002: ; expected [/src/a.csproj]",
        "main.obj : error LNK2019: unresolved external symbol f",
        "  3:5  error  'x' is not defined  no-undef",
        "bash: line 1: frobnicate: command not found",
        "sh: frobnicate: command not found",
        "[ERROR] Failed to execute goal on project app: Could not resolve dependencies",
        "[error] a.scala:3:5: type mismatch",
        "Exception in thread \"main\" java.lang.NullPointerException",
        "java.lang.IllegalStateException: closed",
        "Caused by: java.io.IOException: broken pipe",
        "TypeError: Cannot read properties of undefined (reading 'x')",
        "Uncaught ReferenceError: x is not defined",
        "AssertionError [ERR_ASSERTION]: 1 == 2",
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find module './x'",
        "fatal: not a git repository (or any of the parent directories): .git",
        "Segmentation fault (core dumped)",
        "./run.sh: line 3: 4242 Segmentation fault      ./a.out",
        "FAILED: main.o",
        "ERROR: failed to solve: process \"/bin/sh -c false\" did not complete successfully: exit code: 1",
        "#12 0.345 error: no such thing",
        "2026-11-22T02:13:04Z ERROR connection refused",
        "CMake Error at CMakeLists.txt:3 (find_package):",
        "│ Error: Unsupported argument",
        "** (MatchError) no match of right hand side value: 2",
        "a.rb:3:in `x': undefined local variable or method `y' (NameError)",
        "PHP Fatal error:  Uncaught Exception: x in a.php:3",
        "PHP Parse error:  syntax error, unexpected end of file",
        "[  FAILED  ] Suite.Test (0 ms)",
        "a.out: a.c:3: main: Assertion `x == 1' failed.",
        "##[error]Process completed with exit code 1.",
        "psql: FATAL:  role \"ci\" does not exist",
        "==12345==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010",
        "rsync: error: x",
        "FATAL: kernel too old",
    ];

    const WEAK: &[&str] = &[
        "make: *** [Makefile:3: all] Error 2",
        "make[1]: *** [Makefile:3: all] Error 1",
        "make: *** No rule to make target 'x'.  Stop.",
        "cat: missing: No such file or directory",
        "sh: 1: frobnicate: not found",
        "bash: ./x: Permission denied",
        "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        "========= 1 failed, 3 passed in 0.12s =========",
        "Tests:       1 failed, 3 passed, 4 total",
        "  2 failing",
        "FAIL",
        "FAILED (failures=1)",
        "BUILD FAILED",
        "FAILURE: Build failed with an exception.",
        "Found 3 errors in 2 files (checked 5 source files)",
        "2 errors generated.",
        "npm ERR! code ELIFECYCLE",
        "An error occurred while installing json (1.8.3), and Bundler cannot continue.",
        "./a.out: error while loading shared libraries: libx.so: cannot open shared object file",
        "app | connection ERROR refused",
        "Killed",
    ];

    const NONE: &[&str] = &[
        "",
        "    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.52s",
        "0 errors",
        "no errors",
        "No errors found",
        "0 failed",
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        "Tests: 0 failed, 3 passed",
        "1 warning, 0 errors",
        "0 Error(s)",
        "    0 Warning(s)",
        "error.rs",
        "src/error.rs",
        "   Compiling thiserror v2.0.12",
        "   Compiling thiserror-impl v2.0.12",
        "   Compiling anyhow-error v0.1.0",
        "  Downloaded serde_path_to_error v0.1.17",
        "cc -Wall -Werror -c main.c",
        "gcc -Werror=format -o error.o error.c",
        "test error_is_shown ... ok",
        "test tests::panics_are_told ... ok",
        "test error::tests::ValueError ... ok",
        "errors: 0",
        "Errors: 0",
        "ERRORS: 0",
        "# FAIL:  0",
        "# ERROR: 0",
        "# fail 0",
        "cargo build --error-format=json",
        "rustc --error-format short",
        "ignoring errors",
        "Ignoring error",
        "ok 3 - handles error: message",
        "not ok 4 - later # TODO not yet",
        "not ok 5 # SKIP no network",
        "  ✓ throws TypeError: x (3 ms)",
        "PASS src/error.test.js",
        "--- PASS: TestError (0.00s)",
        "=== RUN   TestFAIL",
        "tests/test_error.py::test_raises_ValueError PASSED [ 50%]",
        "+ grep error: log",
        "use std::io::Error;",
        "fn f() -> Result<(), Error> {",
        "warning: unused `Result` that must be used: error: x",
        "{\"error\":null,\"ok\":true}",
        "on_error: continue",
        "Retrying without panic",
        "Failover configured",
        "handles FAILSAFE mode",
        "  ● Console",
        "set -o errexit",
        "Setting up liberror-perl (0.17029-2) ...",
        "Get:3 http://mirror.example/debian bookworm/main amd64 liberror-perl all 0.17029-2 [26.9 kB]",
        "copying error.html",
        "stderr: empty",
        "assert_eq!(a, b);",
        "E  x",
        "Everything is fine",
    ];

    #[test]
    fn lines_are_as_strong_as_they_look() {
        for (lines, expected) in [(STRONG, Some(Strong)), (WEAK, Some(Weak)), (NONE, None)] {
            let wrong: Vec<_> = lines.iter().filter(|line| strength(line) != expected).collect();
            assert_eq!(wrong, Vec::<&&str>::new(), "not {expected:?}");
        }
    }

    #[test]
    fn the_first_strong_line_is_found_else_the_first_weak_one() {
        for (lines, found) in [
            (&["a", "b"][..], None),
            (&["a", "make: *** [all] Error 2", "Killed"], Some(2)),
            (&["Killed", "x", "error: y", "error: z"], Some(3)),
        ] {
            let mut finder = Finder::new();
            (1..).zip(lines).for_each(|(row, line)| finder.line(row, line));
            assert_eq!(finder.found(), found, "{lines:?}");
        }
    }

    #[test]
    fn of_a_long_line_the_beginning_counts() {
        let at = |length: usize| strength(&format!("{} error: x", "ä".repeat(length)));
        assert_eq!((at(10).is_some(), at(5000)), (true, None));
    }

    quickcheck::quickcheck! {
        fn any_line_is_survived(lines: Vec<(usize, String)>) -> bool {
            let line: String = lines.iter().map(|(at, text)| format!("{text}{}", NEEDLES[at % NEEDLES.len()].0)).collect();
            strength(&line).is_none_or(|strength| strength >= Weak)
        }
    }
}
