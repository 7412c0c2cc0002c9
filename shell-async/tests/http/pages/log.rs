//! A command's log: its windows, what is sought in it, what is downloaded of it.

use std::io::Write as _;

use super::html::Page;
use super::made::{self, log, put, started};
use crate::record::{LiveRun, entry, real_run};
use crate::server::Server;

/// A run whose one command has ended and printed this.
fn command(server: &Server, no_eol: &str, entries: &[(&str, &str, &str)]) -> String {
    let run = put(
        server.data(),
        1,
        &[
            &started(1, r#","jobs":[{"id":"build","inputs":["quire/push"]}]"#),
            r#"{"at_ms":0,"type":"job_started","job_id":"build"}
            {"at_ms":0,"type":"sh_started","job_id":"build","cmd":"make <all>"}"#,
            &format!(r#"{{"at_ms":2000,"type":"sh_finished","job_id":"build","exit_code":0,"no_eol":[{no_eol}]}}"#),
            r#"{"at_ms":2000,"type":"job_finished","job_id":"build","outcome":"complete"}
            {"at_ms":2000,"type":"run_finished","outcome":"complete"}"#,
        ],
    );
    log(server.data(), &run, "build", 1, entries);
    format!("/runs/{run}/jobs/build/1")
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("line {n}")).collect()
}

fn entries(lines: &[String]) -> Vec<(&str, &str, &str)> {
    lines.iter().map(|line| ("stdout", "F", line.as_str())).collect()
}

#[test]
fn windows() {
    let server = made::server(true, true);
    let lines = numbered(1234);
    let path = command(&server, "", &entries(&lines));
    for (query, first, last) in [
        ("", 1, 150),
        ("?from=", 1, 150),
        ("?from=1", 1, 150),
        ("?from=0", 1, 150),
        ("?from=500&count=3", 500, 502),
        ("?count=0", 1, 1),
        ("?count=1", 1, 1),
        ("?count=99999", 1, 1234),
        ("?from=1234", 1234, 1234),
        ("?from=end", 1085, 1234),
        ("?from=end&count=4", 1231, 1234),
        ("?from=1235", 1085, 1234),
        ("?from=18446744073709551615&count=2", 1233, 1234),
        ("?from=18446744073709551615&count=2&times=delta", 1233, 1234),
    ] {
        let page = Page::at(&server.tcp, &format!("{path}{query}"));
        let rows = page.rows();
        let expected: Vec<(u64, String)> = (first..=last).map(|n| (n, lines[n as usize - 1].clone())).collect();
        assert_eq!(rows, expected, "{query}");
        assert!(page.has(&format!("lines {first}–{last} of 1234")), "{query}: {}", page.text());
        let visible = |id: &str| page.tags.iter().any(|tag| tag.get("id") == Some(id) && tag.get("hidden").is_none());
        assert_eq!((visible("earlier"), visible("later")), (first > 1, last < 1234), "{query}");
        assert!(page.ids().contains(&*format!("L{first}")) && page.ids().contains(&*format!("L{last}")));
    }
    for bad in [
        "from=x",
        "from=-1",
        "from=1.5",
        "from=18446744073709551616",
        "count=x",
        "times=moon",
        "from=1&from=2",
        "row=1",
        "mark=x",
    ] {
        let refused = server.tcp.get(&format!("{path}?{bad}"), &[]);
        assert_eq!(refused.status, 400, "{bad}");
        Page::of(&refused);
    }
    // From one window to the next, and back.
    let (mut at, mut seen) = (path.clone(), Vec::new());
    loop {
        let page = Page::at(&server.tcp, &at);
        seen.extend(page.rows());
        match page.tags.iter().find(|tag| tag.get("id") == Some("later")).unwrap() {
            later if later.get("hidden").is_none() => at = later.get("href").unwrap().to_owned(),
            _ => break,
        }
    }
    assert_eq!(seen.len(), 1234);
}

#[test]
fn rows_for_who_goes_on_reading() {
    let server = made::server(true, true);
    let lines = numbered(20);
    let path = command(&server, "", &entries(&lines));
    let rows = |query: &str| {
        let whole = server.tcp.get(&format!("{path}/rows{query}"), &[]);
        assert_eq!(whole.status, 200, "{query}");
        Page::of(&whole)
    };
    let page = rows("?from=19");
    assert_eq!(page.rows(), [(19, "line 19".to_owned()), (20, "line 20".to_owned())]);
    assert_eq!((page.tags[0].get("data-total"), page.tags[0].get("data-done")), (Some("20"), Some("true")));
    for beyond in ["?from=21", "?from=18446744073709551615", "?from=21&times=delta"] {
        let page = rows(beyond);
        assert_eq!((page.rows(), page.tags[0].get("data-total")), (vec![], Some("20")), "{beyond}");
    }
    let page = rows("?from=9&count=2&mark=line+1");
    assert_eq!(page.tags.iter().filter(|tag| tag.name == "mark").map(|tag| &*tag.text).collect::<Vec<_>>(), ["line 1"]);
    let page = rows("?from=1&count=2&find=LINE+1");
    assert!(page.tags[0].get("data-found").unwrap().contains("in no line") && page.tags[0].get("data-match").is_none());
    let page = rows("?from=2&count=2&find=line+1");
    assert_eq!(page.tags[0].get("data-match"), Some("10"));
    assert_eq!(rows("?from=9&find=line+1&back=1").tags[0].get("data-match"), Some("1"));
    assert_eq!(rows("?from=end&count=1&find=line+1&back=1").tags[0].get("data-match"), Some("19"));
    assert_eq!(rows("?from=10&find=line+1&back=1").tags[0].get("data-match"), Some("10"), "the row itself counts");
}

#[test]
fn what_is_sought_is_found_and_leads_on() {
    let server = made::server(true, true);
    let mut lines = numbered(1000);
    for n in [300, 600, 900] {
        lines[n - 1] = format!("a <needle> & \u{1b}[31mre\u{1b}[32md\u{1b}[0m {n}");
    }
    let path = command(&server, "", &entries(&lines));
    let mut at = format!("{path}?find=%3Cneedle%3E+%26+red");
    for n in [300, 600, 900] {
        let page = Page::at(&server.tcp, &at);
        assert!(page.has(&format!("\"<needle> & red\" in line {n}")), "{}", page.text());
        assert_eq!(page.rows()[0].0, n - 20);
        assert!(page.tags.iter().any(|tag| tag.name == "mark"));
        let log = page.tags.iter().find(|tag| tag.get("id") == Some("log")).unwrap();
        assert_eq!(log.get("data-match"), Some(&*n.to_string()));
        at = page.link("next match").to_owned();
    }
    let page = Page::at(&server.tcp, &at);
    assert!(page.has("is in no line from here on"), "{}", page.text());
    let page = Page::at(&server.tcp, &format!("{path}?find=needle&from=899&back=1"));
    assert!(page.has("in line 600"), "{}", page.text());
    let page = Page::at(&server.tcp, &format!("{path}?find=needle&from=299&back=1"));
    assert!(page.has("is in no line before"), "{}", page.text());
    let page = Page::at(&server.tcp, &format!("{path}?find=%1b&from=1"));
    assert!(page.has("in no line"), "what a terminal does not show is not found: {}", page.text());
}

#[test]
fn streams_interleave_and_lines_come_in_parts() {
    let server = made::server(true, true);
    let path = command(
        &server,
        "",
        &[
            ("stdout", "P", "a"),
            ("stdout", "P", "b"),
            ("stderr", "F", "oops <1>"),
            ("stdout", "F", "c"),
            ("stdout", "F", ""),
            ("stderr", "P", "half "),
            ("stderr", "F", "line"),
            ("stdout", "F", "\u{1b}[1;31mbold\u{1b}[0m\tafter"),
        ],
    );
    let page = Page::at(&server.tcp, &path);
    let rows = page.rows();
    let texts: Vec<&str> = rows.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(&texts[..5], ["ab", "oops <1>", "c", "", "half line"]);
    assert!(texts[5].starts_with("bold") && texts[5].ends_with("after"));
    assert_eq!(rows.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    let errors: Vec<_> = page.tags.iter().filter(|tag| tag.get("data-stream") == Some("stderr")).collect();
    assert_eq!(errors.iter().map(|tag| tag.get("id").unwrap()).collect::<Vec<_>>(), ["L2", "L5"]);
    for n in 1..=6_u64 {
        let page = Page::at(&server.tcp, &format!("{path}?from={n}&count=1"));
        assert_eq!(page.rows(), [rows[n as usize - 1].clone()]);
    }
    let raw = server.tcp.get(&format!("{path}/raw"), &[]);
    assert_eq!(raw.text(), "aboops <1>\nc\n\nhalf line\n\u{1b}[1;31mbold\u{1b}[0m\tafter\n");
    assert_eq!(server.tcp.get(&format!("{path}/raw?row=5"), &[]).text(), "half line");
    for none in ["0", "7", "18446744073709551615"] {
        assert_eq!(server.tcp.get(&format!("{path}/raw?row={none}"), &[]).status, 404, "{none}");
    }
}

#[test]
fn times_of_rows() {
    let server = made::server(true, true);
    let lines = numbered(3);
    let path = command(&server, "", &entries(&lines));
    let times = |query: &str| -> Vec<String> {
        let page = Page::at(&server.tcp, &format!("{path}{query}"));
        page.with_class("at").map(|tag| tag.text.clone()).collect()
    };
    assert_eq!(times(""), Vec::<String>::new());
    assert_eq!(times("?times=none"), Vec::<String>::new());
    assert_eq!(times("?times=absolute"), ["01-01 00:00:00.500", "01-01 00:00:01.500", "01-01 00:00:02.500"]);
    assert_eq!(times("?times=relative"), ["+0.500", "+1.500", "+2.500"]);
    assert_eq!(times("?times=delta")[1..], ["+1.000", "+1.000"]);
    assert_eq!(times("?times=delta&from=2"), ["+1.000", "+1.000"], "the row before a window counts");
    let page = Page::at(&server.tcp, &format!("{path}?times=delta&from=2"));
    assert_eq!(page.link("relative"), format!("{path}?from=2&times=relative"));
    let chosen: Vec<_> = page.tags.iter().filter(|tag| tag.get("aria-current") == Some("true")).collect();
    assert_eq!(chosen.iter().map(|tag| &*tag.text).collect::<Vec<_>>(), ["delta"]);
}

#[test]
fn a_line_of_a_megabyte() {
    let server = made::server(true, true);
    let long: String = (0..131_072).map(|n| format!("{n:07} ")).collect();
    let mut parts: Vec<(&str, &str, &str)> = vec![("stdout", "F", "before")];
    let pieces: Vec<&str> = (0..long.len()).step_by(16_384).map(|at| &long[at..at + 16_384]).collect();
    parts.extend(pieces.iter().map(|piece| ("stdout", "P", *piece)));
    parts.extend([("stdout", "F", "end"), ("stdout", "F", "after")]);
    let path = command(&server, "", &parts);
    let page = Page::at(&server.tcp, &path);
    assert!(page.source.len() < 40_000, "{}", page.source.len());
    let rows = page.rows();
    assert_eq!((rows.len(), &*rows[0].1, &*rows[2].1), (3, "before", "after"));
    assert!(rows[1].1.starts_with(&long[..10_000]) && rows[1].1.contains(" more, "));
    let whole = server.tcp.get(page.link("all of this line"), &[]);
    assert_eq!(whole.headers["content-type"], "text/plain; charset=utf-8");
    assert!(whole.headers["content-security-policy"].contains("sandbox"));
    assert_eq!(whole.body.len(), long.len() + 3);
    assert_eq!(whole.text(), format!("{long}end"));
    assert_eq!(server.tcp.get(&format!("{path}/raw"), &[]).text(), format!("before\n{long}end\nafter\n"));
}

#[test]
fn what_is_downloaded_was_printed() {
    let server = made::server(true, true);
    let id = real_run(server.data(), 2);
    let raw = |n: u32| server.tcp.get(&format!("/runs/{id}/jobs/build/{n}/raw"), &[]);
    let numbers: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    let all = raw(2);
    assert_eq!(all.text(), numbers);
    assert_eq!(all.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(all.headers["content-disposition"], "attachment; filename=\"run-2-build-2.log\"");
    assert!(all.headers["content-security-policy"].contains("sandbox"));
    assert_eq!(raw(3).body, b"");
    let page = Page::at(&server.tcp, &format!("/runs/{id}/jobs/build/1"));
    for (link, bytes) in [("stdout", &b"one\ntwo <&>\r\n\nlast"[..]), ("stderr", b"oops \xc3\x28\n")] {
        assert_eq!(server.tcp.get(page.link(link), &[]).body, bytes, "{link}");
    }
    let page = Page::at(&server.tcp, &format!("/runs/{id}/jobs/build/3"));
    assert!(page.has("no lines yet") && page.rows().is_empty());
    for (no_eol, entries, printed) in [
        ("\"stdout\"", &[("stdout", "F", "a"), ("stdout", "F", "b")][..], "a\nb"),
        ("\"stderr\"", &[("stdout", "F", "a"), ("stdout", "F", "b")], "a\nb\n"),
        ("\"stdout\",\"stderr\"", &[("stdout", "F", "a"), ("stderr", "F", "b")], "a\nb"),
        ("\"stdout\"", &[("stdout", "P", "a"), ("stdout", "F", "")], "a"),
        ("", &[], ""),
    ] {
        let path = command(&server, no_eol, entries);
        assert_eq!(server.tcp.get(&format!("{path}/raw"), &[]).text(), printed, "{no_eol} {entries:?}");
    }
}

#[test]
fn a_log_that_grows() {
    let server = made::server(true, true);
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    let path = format!("/runs/{}/jobs/build/1", live.id);
    assert_eq!(Page::at(&server.tcp, &path).rows(), []);
    for n in 1..=1200 {
        log.write_all(&entry(&format!("line {n}"))).unwrap();
    }
    log.write_all(&entry("torn")[..40]).unwrap();
    let page = Page::at(&server.tcp, &path);
    assert_eq!((page.rows().len(), page.rows()[0].0), (150, 1051), "who watches begins at the end");
    assert!(page.tags.iter().any(|tag| tag.get("data-start") == Some("end")));
    assert_eq!(Page::at(&server.tcp, &format!("{path}?from=1")).rows()[0].0, 1);
    log.write_all(&entry("torn")[40..]).unwrap();
    let rows = Page::of(&server.tcp.get(&format!("{path}/rows?from=1201"), &[]));
    assert_eq!(rows.rows(), [(1201, "torn".to_owned())]);
    assert_eq!(rows.tags[0].get("data-done"), Some("false"));
    live.command_ends();
    let page = Page::at(&server.tcp, &path);
    assert_eq!(page.rows()[0].0, 1, "who reads begins at the begin");
    assert!(page.has("lines 1–150 of 1201"));
    assert_eq!(server.tcp.get(&format!("{path}/raw"), &[]).text().lines().count(), 1201);
}
