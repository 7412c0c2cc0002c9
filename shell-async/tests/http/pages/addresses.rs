//! Which run, commit and change an address means.

use super::html::Page;
use super::made::{self, READER, commits, put, started};
use crate::record::{REPO, SHA, real_run};

#[test]
fn a_run_has_one_address_and_several_names() {
    let server = made::server(true, true);
    let id = real_run(server.data(), 12);
    let canonical = format!("/runs/{id}");
    for name in ["12", "12?repo=work/foo.git", "last", "last-failed", &id[..23], &id.to_uppercase(), SHA, &SHA[..7]] {
        let led = server.tcp.get(&format!("/runs/{name}"), &[]);
        assert_eq!((led.status, led.headers.get("location")), (303, Some(&canonical)), "{name}");
    }
    assert_eq!(server.tcp.get(&canonical, &[]).status, 200);
    for (below, to) in [
        ("/jobs/build/2", "/jobs/build/2"),
        ("/jobs/build/2?from=7&repo=work/foo.git&find=a+b", "/jobs/build/2?find=a%20b&from=7"),
        ("/jobs/build?from=2", "/jobs/build?from=2"),
        ("/jobs/build?repo=work/foo.git", "/jobs/build"),
    ] {
        let led = server.tcp.get(&format!("/runs/12{below}"), &[]);
        assert_eq!((led.status, &*led.headers["location"]), (303, &*format!("{canonical}{to}")), "{below}");
    }
    for none in ["13", "12?repo=other.git", "abc", "abcdefab", ".", "..%2f..", "1%00", "12/x", "12/", "12/jobs"] {
        let none = server.tcp.get(&format!("/runs/{none}"), &[]);
        assert_eq!(none.status, 404);
        Page::of(&none);
    }
    for none in ["build/9", "build/0", "build/x", "none/1", "..%2F../1", "build/1/x", "build/-1", "build/99999999999"] {
        assert_eq!(server.tcp.get(&format!("{canonical}/jobs/{none}"), &[]).status, 404, "{none}");
    }
    put(server.data(), 12, &[&started(12, "").replace(REPO, "other.git")]);
    let several = server.unix.get("/runs/12", &[]);
    assert_eq!(several.status, 409);
    assert!(Page::of(&several).has("?repo="));
    assert_eq!(server.unix.get("/runs/12?repo=work/foo.git", &[]).status, 303);
    assert_eq!(server.tcp.get("/runs/12", &[]).status, 303, "who sees one of them means it");
}

#[test]
fn a_job_page_by_page() {
    let server = made::server(true, true);
    let id = real_run(server.data(), 1);
    let path = format!("/runs/{id}/jobs/build");
    for from in ["1", "2", "3", "4", "500", "18446744073709551615"] {
        let page = Page::at(&server.tcp, &format!("{path}?from={from}"));
        assert!(page.has("true"), "the last command at least: {from}");
    }
    for bad in ["x", "-1", "1.5", "18446744073709551616"] {
        assert_eq!(server.tcp.get(&format!("{path}?from={bad}"), &[]).status, 400, "{bad}");
    }
}

#[test]
fn commits_by_the_begin_of_their_id() {
    let server = made::server(true, true);
    let sha = "0123456789abcdef0123456789abcdef01234567";
    put(server.data(), 1, &[&started(1, &format!(r#","sha":"{sha}""#))]);
    for short in [&sha[..7], &sha[..12], &sha.to_uppercase()] {
        let led = server.tcp.get(&format!("/commits/{short}"), &[]);
        assert_eq!((led.status, &*led.headers["location"]), (303, &*format!("/commits/{sha}")));
    }
    let page = Page::at(&server.tcp, &format!("/commits/{sha}"));
    assert!(page.has(sha) && page.has("run 1 active"), "{}", page.text());
    for none in
        ["0123456", "1234567", "zzzzzzz", "..", "012", "", "0123456789abcdef0123456789abcdef0123456f", "0193a3a0"]
    {
        let wanted = if none == "0123456" { "0123450" } else { none };
        assert_eq!(server.tcp.get(&format!("/commits/{wanted}"), &[]).status, 404, "{wanted}");
    }
    // The newest run of the commit is one that not everyone may see.
    put(server.data(), 2, &[&started(2, &format!(r#","sha":"{sha}""#)).replace(REPO, "secret.git")]);
    assert_eq!(server.tcp.get(&format!("/commits/{}", &sha[..7]), &[]).status, 303);
    let page = Page::at(&server.tcp, &format!("/commits/{sha}"));
    assert!(!page.source.contains("secret"));
    assert!(Page::at(&server.unix, &format!("/commits/{sha}")).has("secret.git"));
}

#[test]
fn changes_between_two_commits_and_nothing_else() {
    let server = made::server(false, false);
    let shas = commits(&server, &[("first", "Ann"), ("second <b>", "Bob"), ("third", "Eve")]);
    let path = |from: &str, to: &str| format!("/changes/{REPO}?from={from}&to={to}");
    let page = server.tcp.get(&path(&shas[0], &shas[2]), &[READER]);
    assert_eq!(page.status, 200);
    let page = Page::of(&page);
    for text in
        ["second <b>", "third", "Bob", "Eve", "src <0>.rs", "src <2>.rs", &format!("git diff {} {}", shas[0], shas[2])]
    {
        assert!(page.has(text), "{text}: {}", page.text());
    }
    assert!(!page.has("first") || page.has("The first is no ancestor"), "only what came between");
    let back = server.tcp.get(&path(&shas[2], &shas[0]), &[READER]);
    assert!(Page::of(&back).has("the ref was rewritten"));
    assert_eq!(server.tcp.get(&path(&shas[0][..8], &shas[1][..8]), &[READER]).status, 200);
    let outside = server.data().join("written");
    let option = format!("--output={}", outside.display());
    for bad in [
        &*option,
        "--output=x",
        "HEAD",
        "main",
        "refs%2Fheads%2Fmain",
        "..",
        "-",
        &format!("{}..{}", shas[0], shas[1]),
        &"f".repeat(40),
        "%00",
        &format!("{}%0a", shas[0]),
    ] {
        for path in [path(bad, &shas[2]), path(&shas[2], bad)] {
            let refused = server.tcp.get(&path, &[READER]);
            assert!(matches!(refused.status, 400 | 404), "{path}: {}", refused.status);
            Page::of(&refused);
        }
    }
    assert!(!outside.exists());
    for query in ["", "?from=abcd", "?to=abcd", "?from=a&to=b&x=1", "?from=&to="] {
        assert_eq!(server.tcp.get(&format!("/changes/{REPO}{query}"), &[READER]).status, 400, "{query}");
    }
    assert_eq!(server.tcp.get(&path(&shas[0], &shas[1]), &[]).status, 404);
    for repo in ["none.git", "..%2f..", "work%2f..%2fwork%2ffoo.git"] {
        assert_eq!(
            server.unix.get(&format!("/changes/{repo}?from={}&to={}", shas[0], shas[1]), &[]).status,
            404,
            "{repo}"
        );
    }
}
