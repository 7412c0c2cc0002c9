//! A run's page in each state that a run can be in.

use quire::server::Waiting;
use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin};

use super::html::Page;
use super::made::{self, id, log, put, started};
use crate::record::REPO;
use crate::server::Server;

const JOBS: &str = r#","jobs":[{"id":"build","inputs":["quire/push"]},{"id":"test","inputs":["build"]}]"#;

fn server() -> Server {
    made::server(true, true)
}

fn run_page(server: &Server, number: u64) -> Page {
    Page::at(&server.tcp, &format!("/runs/{}", id(number)))
}

fn waiting(number: u64, repo: &str) -> NewRun {
    NewRun {
        run_id: RunId::new(&id(number)),
        repo: repo.to_owned(),
        ref_name: Some("refs/heads/main".to_owned()),
        sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        by: Some("ann".to_owned()),
        at_ms: 1000,
        origin: Origin::Push,
        params: [].into(),
        jobs: Vec::new(),
    }
}

#[test]
fn runs_that_wait_and_what_becomes_of_them() {
    let server = server();
    let mut store = server.app.data.open_store().unwrap();
    store.write(|writing| writing.enter(&[waiting(1, REPO), waiting(2, REPO), waiting(3, REPO)], &[], &[])).unwrap();
    let reasons = [(RunId::new(&id(1)), "2 runs are before it".to_owned())].into();
    server.app.desk.publish(Waiting { reasons, halted: Some("the disk is full".to_owned()), ..Waiting::default() });
    let page = run_page(&server, 1);
    assert!(page.has("pending · run 1") && page.has("2 runs are before it"), "{}", page.text());
    assert!(page.has("No job has begun") && page.has("because of a push") && page.has("by ann"), "{}", page.text());
    let home = Page::at(&server.tcp, "/");
    assert!(home.has("Nothing starts now: the disk is full") && home.has("2 runs are before it"), "{}", home.text());
    assert!(home.has("run 1 pending"));
    store
        .write(|writing| {
            writing.abort_pending(&RunId::new(&id(1)), Some("bob"), 2000)?;
            writing.enter(&[waiting(4, REPO)], &[(RunId::new(&id(2)), RunId::new(&id(4)))], &[])
        })
        .unwrap();
    let page = run_page(&server, 1);
    assert!(
        page.has("aborted · run 1") && page.has("ended by bob") && !page.has("2 runs are before"),
        "{}",
        page.text()
    );
    assert!(!page.is_live());
    assert!(run_page(&server, 2).has("superseded · run 2"));
    let begun = started(3, JOBS);
    put(server.data(), 3, &[&begun, r#"{"at_ms":1000,"type":"job_started","job_id":"build"}"#]);
    let page = run_page(&server, 3);
    assert!(page.has("active · run 3") && page.is_live(), "{}", page.text());
    assert_eq!(page.tags.iter().filter(|tag| tag.get("data-since").is_some()).count(), 3, "run, job, and its bar");
}

#[test]
fn a_run_that_is_complete() {
    let server = server();
    put(
        server.data(),
        1,
        &[
            &started(1, &format!(r#","params":{{"a":"b c"}},"sha":"0123456789abcdef0123456789abcdef01234567"{JOBS}"#)),
            r#"{"at_ms":1000,"type":"run_logged","text":"fresh"}
            {"at_ms":1000,"type":"job_started","job_id":"build"}
            {"at_ms":1000,"type":"job_logged","job_id":"build","text":"before"}
            {"at_ms":1000,"type":"sh_started","job_id":"build","cmd":"make\nall"}
            {"at_ms":2000,"type":"sh_finished","job_id":"build","exit_code":0,"replayed":true}
            {"at_ms":2000,"type":"job_logged","job_id":"build","text":"between"}
            {"at_ms":2000,"type":"sh_started","job_id":"build","cmd":"false"}
            {"at_ms":2500,"type":"sh_finished","job_id":"build","exit_code":1}
            {"at_ms":2500,"type":"job_retried","job_id":"build","attempt":2,"error":{"message":"false failed","file":".quire/ci.lua","line":3}}
            {"at_ms":2500,"type":"job_logged","job_id":"build","text":"anew"}
            {"at_ms":2500,"type":"job_retried","job_id":"build","attempt":3,"error":{"message":"raised at once"}}
            {"at_ms":2500,"type":"sh_started","job_id":"build","cmd":"true"}
            {"at_ms":3000,"type":"sh_finished","job_id":"build","exit_code":0}
            {"at_ms":3000,"type":"job_finished","job_id":"build","outcome":"complete","flaky":true}
            {"at_ms":3000,"type":"job_skipped","job_id":"test","reason":"unchanged","text":"nothing in src changed"}
            {"at_ms":3000,"type":"run_finished","outcome":"complete"}"#,
        ],
    );
    let page = run_page(&server, 1);
    let text = page.text();
    let mut at = 0;
    for part in [
        "complete · run 1",
        "param a=b c",
        "quire-ci run --at 0123456789abcdef0123456789abcdef01234567 --param 'a=b c'",
        "fresh",
        "Jobs and what they need",
        "Time line",
        "build",
        "attempt 1: false failed",
        "before",
        "make",
        "replayed",
        "between",
        "false",
        "attempt 2: raised at once",
        "anew",
        "attempt 3",
        "true",
        "test",
        "nothing in src changed",
    ] {
        at += text[at..].find(part).unwrap_or_else(|| panic!("{part:?} behind {:?} in {text}", &text[..at]));
    }
    assert!(text.contains("flaky") && !text.contains("What failed"), "{text}");
    assert_eq!(page.link("true"), format!("/runs/{}/jobs/build/3", id(1)));
    assert!(Page::at(&server.tcp, "/repos/work/foo.git").has("flaky"));
}

/// A run with one failed command, which printed this.
fn failed(server: &Server, number: u64, entries: &[(&str, &str, &str)]) -> String {
    let run = put(
        server.data(),
        number,
        &[
            &started(number, JOBS),
            r#"{"at_ms":1000,"type":"job_started","job_id":"build"}
            {"at_ms":1000,"type":"sh_started","job_id":"build","cmd":"make"}
            {"at_ms":2000,"type":"sh_finished","job_id":"build","exit_code":2}
            {"at_ms":2000,"type":"job_finished","job_id":"build","outcome":"failed","error":{"message":"make: exit 2","file":".quire/ci.lua","line":3}}
            {"at_ms":2000,"type":"job_skipped","job_id":"test","reason":"input_failed","text":"build failed"}
            {"at_ms":2000,"type":"run_finished","outcome":"failed","failure_kind":"job"}"#,
        ],
    );
    log(server.data(), &run, "build", 1, entries);
    run
}

#[test]
fn what_failed_stands_first() {
    let server = server();
    let lines: Vec<String> = (1..=200)
        .map(|n| if n == 100 { "src/x.c:3:1: error: <boom>".to_owned() } else { format!("line {n}") })
        .collect();
    let all: Vec<(&str, &str, &str)> = lines.iter().map(|line| ("stdout", "F", line.as_str())).collect();
    let last = |count: u64, from: u64| (count.saturating_sub(19).max(1).max(from)..=count).collect::<Vec<u64>>();
    for (number, count, expected) in [
        (1, 200, [(90..=110).collect(), last(200, 1)].concat()),
        (2, 131, [(90..=110).collect(), last(131, 1)].concat()),
        (3, 125, (90..=125).collect::<Vec<u64>>()),
        (4, 101, (82..=101).collect()),
        (5, 100, (81..=100).collect()),
        (6, 99, last(99, 1)),
        (7, 3, last(3, 1)),
    ] {
        let run = failed(&server, number, &all[..count as usize]);
        let page = run_page(&server, number);
        let rows = page.rows();
        assert_eq!(rows.iter().map(|(n, _)| *n).collect::<Vec<_>>(), expected, "of {count}");
        let errors: Vec<_> = page.with_class("error").filter(|tag| tag.has_class("row")).collect();
        assert_eq!(errors.len(), usize::from(count >= 100), "of {count}");
        assert!(rows.iter().all(|(n, text)| *text == lines[*n as usize - 1]), "{rows:?}");
        let (failure, jobs) = (page.source.find("id=\"failure\"").unwrap(), page.source.find("id=\"graph\"").unwrap());
        assert!(failure < jobs);
        for text in ["What failed", "$ make", "exit 2", ".quire/ci.lua:3"] {
            assert!(page.has(text), "{text}: {}", page.text());
        }
        for link in page.links().iter().filter(|link| link.contains("#L")) {
            let (path, row) = link.split_once('#').unwrap();
            assert!(path.starts_with(&format!("/runs/{run}/jobs/build/1?from=")), "{path}");
            assert!(Page::at(&server.tcp, path).ids().contains(row), "{link} leads to its row");
        }
    }
    let run = failed(&server, 8, &[]);
    assert!(run_page(&server, 8).has("It printed nothing."));
    std::fs::remove_dir_all(server.data().join("runs").join(run).join("jobs")).unwrap();
    assert!(run_page(&server, 8).has("It printed nothing."));
}

#[test]
fn what_failed_among_very_long_lines() {
    let server = server();
    let piece = "x".repeat(16_384);
    let mut all = Vec::new();
    for row in 1..=40 {
        match row {
            25 => all.push(("stdout", "F", "error: boom")),
            _ => all.extend((1..=20).map(|n| ("stdout", if n == 20 { "F" } else { "P" }, &*piece))),
        }
    }
    let run = failed(&server, 1, &all);
    let page = run_page(&server, 1);
    let rows = page.rows();
    assert_eq!(rows.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (15..=40).collect::<Vec<_>>());
    assert!(page.with_class("error").any(|tag| tag.get("id").is_none() && tag.has_class("row")));
    let link = page.link("line 25 of the log").split_once('#').unwrap();
    assert_eq!(link, (&*format!("/runs/{run}/jobs/build/1?from=5"), "L25"));
    let window = Page::at(&server.tcp, link.0);
    assert!(window.ids().contains("L25") && window.ids().contains("L40"));
}

#[test]
fn runs_that_failed_otherwise() {
    let server = server();
    put(
        server.data(),
        1,
        &[
            &started(1, ""),
            r#"{"at_ms":2000,"type":"run_finished","outcome":"failed","failure_kind":"pipeline","error":{"message":".quire/ci.lua:3: no such <job>"}}"#,
        ],
    );
    let page = run_page(&server, 1);
    assert!(page.has(".quire/ci.lua:3: no such <job>") && page.has("failure pipeline"), "{}", page.text());
    assert!(page.has("No job has begun") && !page.source.contains("id=\"failure\""));
    assert!(
        Page::at(&server.tcp, "/repos/work/foo.git").has("red"),
        "{}",
        Page::at(&server.tcp, "/repos/work/foo.git").text()
    );
    put(
        server.data(),
        2,
        &[
            &started(2, JOBS),
            r#"{"at_ms":1000,"type":"job_started","job_id":"build"}
            {"at_ms":1000,"type":"sh_started","job_id":"build","cmd":"sleep"}
            {"at_ms":2000,"type":"run_finished","outcome":"aborted"}"#,
        ],
    );
    let page = run_page(&server, 2);
    assert!(page.has("aborted · run 2") && page.has("sleep"), "{}", page.text());
    assert!(!page.source.contains("id=\"failure\""));
    put(
        server.data(),
        3,
        &[
            &started(3, JOBS),
            r#"{"at_ms":1000,"type":"job_started","job_id":"build"}
            {"at_ms":1000,"type":"sh_started","job_id":"build","cmd":"lint"}
            {"at_ms":1500,"type":"sh_finished","job_id":"build","exit_code":1}
            {"at_ms":1500,"type":"job_finished","job_id":"build","outcome":"failed","allowed":true}
            {"at_ms":1500,"type":"job_started","job_id":"test"}
            {"at_ms":1500,"type":"job_finished","job_id":"test","outcome":"complete"}
            {"at_ms":2000,"type":"run_finished","outcome":"complete"}"#,
        ],
    );
    let page = run_page(&server, 3);
    assert!(page.has("complete · run 3") && page.has("allowed"), "{}", page.text());
    assert!(!page.source.contains("id=\"failure\"") && page.with_class("s-failed").count() == 0);
}

#[test]
fn runs_of_which_little_is_known() {
    let server = server();
    let id = put(server.data(), 1, &[r#"{"at_ms":1000,"type":"job_started","job_id":"a"}"#]);
    let page = Page::at(&server.unix, &format!("/runs/{id}"));
    assert!(page.has("a") && page.links().contains("/"), "{}", page.text());
    assert_eq!(server.tcp.get(&format!("/runs/{id}"), &[]).status, 404, "it is of no repository");
    let id = put(
        server.data(),
        2,
        &[
            &started(2, &format!(r#","resumed_from":"{}""#, made::id(77))),
            r#"{"at_ms":2000,"type":"run_finished","outcome":"complete"}"#,
        ],
    );
    let page = run_page(&server, 2);
    assert!(page.has("resumed from") && page.has(&made::id(77)), "{}", page.text());
    std::fs::remove_dir_all(server.data().join("runs").join(id)).unwrap();
    assert!(run_page(&server, 2).has("complete"), "the rows tell, where the record is gone");
}

#[test]
fn a_run_whose_logs_were_removed() {
    let server = server();
    let run = failed(&server, 1, &[("stdout", "F", "error: x")]);
    let mut store = server.app.data.open_store().unwrap();
    store.write(|writing| writing.note_logs_removed(&RunId::new(&run), 1_750_000_000_000, 10)).unwrap();
    let page = run_page(&server, 1);
    assert!(
        page.has("were removed on 2025-06-15T15:06:40Z") && page.has("exit 2") && !page.has("error: x"),
        "{}",
        page.text()
    );
    assert!(!page.has("It printed nothing"), "nobody knows what it printed: {}", page.text());
    for path in ["", "/rows", "/raw"] {
        let gone = server.tcp.get(&format!("/runs/{run}/jobs/build/1{path}"), &[]);
        assert_eq!(gone.status, 410);
        assert!(Page::of(&gone).has("were removed"));
    }
}

#[test]
fn a_run_with_very_many_commands() {
    let server = server();
    let mut lines = vec![started(1, JOBS), r#"{"at_ms":1000,"type":"job_started","job_id":"build"}"#.to_owned()];
    for n in 1..=3000 {
        let exit = u8::from(n % 1000 == 700);
        lines.push(format!(r#"{{"at_ms":{},"type":"sh_started","job_id":"build","cmd":"step {n}"}}"#, 1000 + n));
        lines.push(format!(r#"{{"at_ms":{},"type":"sh_finished","job_id":"build","exit_code":{exit}}}"#, 1001 + n));
    }
    lines.push(r#"{"at_ms":5000,"type":"job_finished","job_id":"build","outcome":"failed"}"#.to_owned());
    lines.push(r#"{"at_ms":5000,"type":"run_finished","outcome":"failed"}"#.to_owned());
    put(server.data(), 1, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let page = run_page(&server, 1);
    let numbers = |page: &Page| -> Vec<u64> {
        let all = page.tags.iter().filter(|tag| tag.name == "li").filter_map(|tag| tag.get("data-n"));
        all.map(|n| n.parse().unwrap()).collect()
    };
    assert_eq!(numbers(&page), (1..=40).chain([700, 1700, 2700]).collect::<Vec<_>>());
    let mut path = page.link("2957 more commands, which ended well").to_owned();
    let mut all = Vec::new();
    for count in 1.. {
        let page = Page::at(&server.tcp, &path);
        all.extend(numbers(&page));
        match page.tags.iter().find(|tag| tag.text == "later commands") {
            Some(later) => path = later.get("href").unwrap().to_owned(),
            None => {
                assert_eq!(count, 6);
                assert!(page.link("earlier commands").ends_with("?from=2001"));
                break;
            }
        }
    }
    assert_eq!(all, (1..=3000).collect::<Vec<_>>());
}
