//! What builds, commits and branches write: it is shown, and does nothing.

use serde_json::json;

use crate::hooks::{self, changes_page, commit_page, log_page, repo_page, run_page, visit};
use crate::pipelines::{PUBLIC, REPO};
use crate::support::Server;
use crate::webdriver::Browser;

/// Everything that is written goes into a log as it is.
const OUTPUT: &[u8] = b"<script>window.pwned = 1</script>\n\
    <img src=x onerror=\"window.pwned = 2\">\n\
    </span></div></pre></main><svg onload=window.pwned=3>\n\
    <a href=\"javascript:window.pwned=4\">click</a> javascript:window.pwned=4\n\
    \x1b]8;;javascript:window.pwned=5\x1b\\linked\x1b]8;;\x1b\\ \x1b]8;;https://evil.example/\x07there\x1b]8;;\x07\n\
    \x1b]0;pwned\x07title \x1b]2;pwned\x1b\\\n\
    \x1b[2J\x1b[1;1Hmoved\x1b[10A up\x1b[31;1mred\x1b[0m\n\
    \x1b[38;2;300;0;0;url(x)mstrange\x1b[999999999999999m\n\
    before \xe2\x80\xae after \xe2\x80\xac\n\
    nul \x00 bell \x07 back\x08space \xff\xfe invalid \xc3\x28\n\
    &lt;b&gt; &amp; &#60;i&#62; {{ 7 * 7 }} ${7 * 7}\n\
    progress 1%\rprogress 100%\n\
    -->]]><!-- <style>* { display: none }</style>\n";

const PIPELINE: &str = r#"local ci = require "quire.ci"
ci.job("hostile.job-1", { desc = "<img src=x onerror=window.pwned=10> \"quoted\" 'too' </title><script>window.pwned=11</script>" }, function(rt)
  rt.log("<script>window.pwned=12</script>")
  rt.sh("cat output")
  rt.sh("cat output >&2; : '<img src=x onerror=window.pwned=13>' '\"><script>window.pwned=14</script>'", { check = false })
  rt.sh("cat output; exit 1 # <script>window.pwned=15</script>\n# a second line </code>")
end)
ci.job("raises", function(rt) error("</pre><img src=x onerror=window.pwned=16>\27[31m") end)
ci.job("skips", function(rt) rt.skip("<script>window.pwned=17</script>") end)
"#;

const SUBJECT: &str = "<script>window.pwned=20</script> \"'&<img src=x onerror=window.pwned=21> \u{202e}desrever";
const BRANCH: &str = "<img/src=x/onerror=window.pwned=22>";

/// Names of elements in a log, attributes that are handlers, addresses of all links.
const FOUND: &str = "({
  inLog: [...new Set([...document.querySelectorAll('#log *')].map((e) => e.localName))].sort(),
  foreign: document.querySelectorAll('main script, main style, main img, main iframe, main object, main base, main meta').length,
  handlers: [...document.querySelectorAll('*')].flatMap((e) => [...e.attributes]).filter((a) => a.name.startsWith('on')).length,
  links: [...document.querySelectorAll('a[href], form[action]')].map((e) => e.href || e.action)
    .filter((href) => new URL(href).origin !== location.origin),
  styles: document.querySelectorAll('[style]').length,
})";

#[track_caller]
fn assert_harmless(browser: &Browser, server: &Server, path: &str) {
    visit(browser, server, path);
    browser.find(hooks::MAIN);
    let found = browser.value(FOUND);
    for (part, expected) in [("foreign", json!(0)), ("handlers", json!(0)), ("links", json!([])), ("styles", json!(0))]
    {
        assert_eq!(found[part], expected, "{path}: {part}: {found}");
    }
    let in_log: Vec<&str> = found["inLog"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert!(in_log.iter().all(|name| ["a", "div", "span", "time", "mark"].contains(name)), "{path}: {in_log:?}");
    assert_eq!(browser.value("window.pwned ?? null"), json!(null), "{path}: a script ran");
    assert!(!browser.title().contains("pwned=") || !browser.title().starts_with("pwned"), "{path}");
    browser.assert_quiet();
}

#[test]
fn what_others_write_is_shown_and_does_nothing() {
    let server = Server::with(PUBLIC);
    let clone = server.repository(REPO, PIPELINE);
    std::fs::write(clone.path.join("output"), OUTPUT).unwrap();
    let first = clone.git(&["rev-parse", "HEAD"]);
    let sha = clone.commit(SUBJECT);
    clone.push(&[&format!("HEAD:refs/heads/{BRANCH}")]);
    let run = server.quiet(1).remove(0);
    clone.push(&["main"]);
    server.quiet(2);

    let browser = Browser::open();
    let mut pages =
        vec!["/".to_owned(), repo_page(REPO), run_page(&run), commit_page(&sha), changes_page(REPO, &first, &sha)];
    pages.extend((1..=3).map(|n| log_page(&run, "hostile.job-1", n)));
    pages.push("/runs/<script>window.pwned=30</script>".to_owned());
    pages.push("/repos/\"><img src=x onerror=window.pwned=31>".to_owned());
    for path in &pages {
        if path.contains("pwned=3") {
            // What is not there is a failed request; the rest of its page is as harmless.
            visit(&browser, &server, path);
            browser.find(hooks::MAIN);
            assert_eq!(browser.value("window.pwned ?? null"), json!(null), "{path}: a script ran");
            browser.assert_quiet_but(&["404"]);
        } else {
            assert_harmless(&browser, &server, path);
        }
    }

    visit(&browser, &server, &run_page(&run));
    let page = browser.text(hooks::MAIN).unwrap();
    for text in ["<script>window.pwned=12</script>", "pwned=16", "pwned=17", BRANCH] {
        assert!(page.contains(text), "the run's page does not show {text}: {page}");
    }
    visit(&browser, &server, &commit_page(&sha));
    assert!(browser.text(hooks::MAIN).unwrap().contains("<script>window.pwned=20</script>"));

    visit(&browser, &server, &log_page(&run, "hostile.job-1", 1));
    let rows = browser.texts(hooks::ROW_TEXT);
    assert_eq!(rows[0], "<script>window.pwned = 1</script>");
    assert_eq!(rows[1], "<img src=x onerror=\"window.pwned = 2\">");
    assert!(rows[4].contains("linked") && rows[4].contains("there"), "{:?}", rows[4]);
    assert!(rows[10].contains("&lt;b&gt; &amp; &#60;i&#62; {{ 7 * 7 }} ${7 * 7}"), "{:?}", rows[10]);
    // A direction that is not ended does not reach out of its row.
    let isolated = "[...document.querySelectorAll('#log .row .t')].every((e) => getComputedStyle(e).unicodeBidi.includes('isolate'))";
    assert_eq!(browser.value(isolated), json!(true), "directions reach out of their rows");
}
