//! The screenshots of the README: `docs/screenshots/make` runs this. A small C project with a pipeline of its own, commits of two
//! people, and a test that the last of them breaks.

use std::fs;
use std::path::Path;

use crate::hooks::{self, at_home, log_page, run_page, signed_in, visit};
use crate::pipelines::{Feed, GREEN, PRIVATE, begun, pushed};
use crate::support::{Clone, Server};
use crate::webdriver::Browser;

const PIPELINE: &str = r#"local ci = require "quire.ci"

ci.defaults { timeout = "10m" }

ci.job("lint", { desc = "No trailing blanks, no tabs" }, function(rt)
  rt.sh("! grep -nP '[ \\t]+$|\\t' src/*.c test/*.c")
end)

ci.job("build", { desc = "Compile the library" }, function(rt)
  for _, file in ipairs(rt.glob("src/*.c")) do
    rt.sh { "cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-c", file, "-o", (file:gsub("%.c$", ".o")) }
  end
  rt.sh("ar rcs libroman.a src/*.o && ls -l libroman.a")
end)

ci.job("unit", { "build" }, { desc = "Every number there and back" }, function(rt)
  rt.sh("cc -std=c11 -Wall -Isrc test/unit.c libroman.a -o unit")
  rt.sh("./unit")
end)

ci.job("sanitize", { "lint" }, { desc = "The same under sanitizers" }, function(rt)
  rt.sh("cc -std=c11 -g -fsanitize=undefined -Isrc src/*.c test/soak.c -o soak && ./soak 3000000")
end)

ci.job("package", { "unit", "sanitize" }, { desc = "A tarball" }, function(rt)
  rt.sh("tar czf roman.tar.gz src/*.h libroman.a && tar tzf roman.tar.gz")
end)
"#;

const HEADER: &str = "#pragma once\n#include <stddef.h>\n\nint to_roman(int number, char *text, size_t size);\nint from_roman(const char *text);\n";

const WRITE: &str = r#"#include "roman.h"
#include <string.h>

static const struct { int value; const char *text; } parts[] = {
  {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"},
  {50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"},
};

int to_roman(int number, char *text, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    for (; number >= parts[i].value; number -= parts[i].value) {
      size_t length = strlen(parts[i].text);
      if (used + length >= size) return -1;
      memcpy(text + used, parts[i].text, length);
      used += length;
    }
  text[used] = 0;
  return (int)used;
}
"#;

const READ: &str = r#"#include "roman.h"

static int digit(char letter) {
  switch (letter) {
    case 'I': return 1;
    case 'V': return 5;
    case 'X': return 10;
    case 'L': return 50;
    case 'C': return 100;
    case 'D': return 500;
    case 'M': return 1000;
    default: return 0;
  }
}

int from_roman(const char *text) {
  int sum = 0;
  for (; *text; text++)
    sum += digit(text[0]) < digit(text[1]) ? -digit(text[0]) : digit(text[0]);
  return sum;
}
"#;

const UNIT: &str = r#"#include "roman.h"
#include <stdio.h>

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int n = 1; n < 4000; n += n < 20 ? 1 : 97) {
    char text[32];
    to_roman(n, text, sizeof text);
    int back = from_roman(text);
    printf(back == n ? "\033[32mok\033[0m   %4d %s\n" : "\033[31;1mFAIL\033[0m %4d %s\n", n, text);
    if (back != n) {
      fprintf(stderr, "test/unit.c:%d: error: %s reads as %d, not %d\n", __LINE__, text, back, n);
      return 1;
    }
  }
}
"#;

const SOAK: &str = r#"#include "roman.h"
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  long rounds = count > 1 ? atol(arguments[1]) : 1000, sum = 0;
  for (long i = 0; i < rounds; i++) {
    char text[32];
    sum += to_roman((int)(i % 3999) + 1, text, sizeof text);
    if (i % (rounds / 10) == 0) printf("%3ld%%\n", 100 * i / rounds), fflush(stdout);
  }
  printf("%ld rounds, %ld letters\n", rounds, sum);
}
"#;

#[test]
#[ignore = "writes the screenshots of the README: docs/screenshots/make"]
fn make() {
    let server = Server::with(PRIVATE);
    let project = project(&server);
    let failed = pushed(&server, &project);
    assert_eq!(failed["state"], "failed", "{failed}");
    let site = server.repository("acme/site.git", GREEN);
    pushed(&server, &site);
    let feed = Feed::new(&server);
    let slow = server.repository("acme/images.git", &feed.pipeline());
    feed.line("rendering");
    begun(&server, &slow);

    let browser = signed_in(&server);
    browser.screen(1280, 480, 1.0, false);
    browser.find(&at_home("acme/roman.git"));
    shoot(&browser, "home");
    browser.screen(1280, 1080, 1.0, false);
    visit(&browser, &server, &run_page(&failed));
    browser.find(hooks::FAILURE);
    shoot(&browser, "run");
    browser.screen(1280, 760, 1.0, false);
    visit(&browser, &server, &format!("{}?from=1", log_page(&failed, "unit", 2)));
    browser.find(hooks::ROW);
    shoot(&browser, "log");
    feed.end();
}

/// Pushed commit by commit up to the last, which breaks it and is not pushed.
fn project(server: &Server) -> Clone {
    let clone = server.repository("acme/roman.git", PIPELINE);
    for (file, text) in [
        ("src/roman.h", HEADER),
        ("src/write.c", WRITE),
        ("src/read.c", READ),
        ("test/unit.c", UNIT),
        ("test/soak.c", SOAK),
    ] {
        clone.write(file, text);
    }
    let by = |author: &str, message: &str| {
        clone.git(&["add", "-A"]);
        clone.git(&["commit", "-q", "--author", author, "-m", message]);
    };
    by("Ann Lindqvist <ann@example.org>", "Numbers there and back");
    pushed(server, &clone);
    clone.write("README", "Roman numerals, up to 3999.\n");
    by("Ben Okafor <ben@example.org>", "Say what it is");
    pushed(server, &clone);
    clone.write("src/write.c", &WRITE.replace("used + length >= size", "length >= size - used"));
    by("Ann Lindqvist <ann@example.org>", "write: a size check that cannot overflow");
    pushed(server, &clone);
    clone.write("src/read.c", &READ.replace("digit(text[1]) ?", "digit(text[1]) && text[1] != 'D' ?"));
    by("Ben Okafor <ben@example.org>", "read: nothing stands before a D");
    clone
}

/// What the window shows, without the place where the test runs.
fn shoot(browser: &Browser, name: &str) {
    browser.assert_quiet();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name).with_extension("png"), browser.screenshot()).unwrap();
}
