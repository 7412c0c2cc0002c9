//! Texts of builds, commits and people stay texts: a page with the worst of them has the tags of one with harmless ones.

use std::collections::BTreeMap;

use quire::server::Waiting;
use quire_ci::store::NotRunRecord;
use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin};

use super::html::{Page, decoded};
use super::made::{self, commits, id, json, log, put};
use crate::server::Server;

const WORST: &str = r#"'"><script>alert(1)</script><b onx='y' style="a:b">&lt;&amp;%22{{x}}"#;

/// What `path` shows of a server all of whose texts are made from `text`.
struct World {
    server: Server,
    shas: Vec<String>,
    repo: String,
    job: String,
}

impl World {
    fn new(text: &str) -> World {
        let server = made::server(true, true);
        // Git takes angle brackets out of names.
        let shas = commits(&server, &[("first", "Ann"), (&format!("S {text}"), &format!("A {text}"))]);
        let (repo, job, t) = (format!("R{text}"), format!("j{text}"), json(text));
        let params = format!(r#"{{"p{t}":"v{t}"}}"#);
        let begin = |number: u64, repo: &str, more: &str| {
            format!(
                r#"{{"at_ms":1000,"type":"run_started","run_id":"{}","version":"0.1.0","executor":"x{t}","sha":"{}","ref":"refs/heads/b{t}","number":{number},"repo":"{}","params":{params},"jobs":[{{"id":"j{t}","inputs":["quire/push"]}},{{"id":"k{t}","inputs":["j{t}"]}},{{"id":"build","inputs":["k{t}"]}}]{more}}}"#,
                id(number),
                shas[1],
                json(repo)
            )
        };
        let events = format!(
            r#"{{"at_ms":1000,"type":"run_logged","text":"n{t}"}}
            {{"at_ms":1000,"type":"job_started","job_id":"j{t}"}}
            {{"at_ms":1000,"type":"job_logged","job_id":"j{t}","text":"l{t}"}}
            {{"at_ms":1000,"type":"sh_started","job_id":"j{t}","cmd":"c{t}"}}
            {{"at_ms":1500,"type":"sh_finished","job_id":"j{t}","exit_code":127,"error":{{"message":"m{t}"}},"cause":"{t}"}}
            {{"at_ms":1500,"type":"job_retried","job_id":"j{t}","attempt":2,"error":{{"message":"r{t}","file":"f{t}","line":7}}}}
            {{"at_ms":1500,"type":"sh_started","job_id":"j{t}","cmd":"c{t}"}}
            {{"at_ms":1900,"type":"sh_finished","job_id":"j{t}","exit_code":1}}
            {{"at_ms":2000,"type":"job_finished","job_id":"j{t}","outcome":"failed","error":{{"message":"e{t}","file":"f{t}","line":7}}}}
            {{"at_ms":2000,"type":"job_skipped","job_id":"k{t}","reason":"{t}","text":"s{t}"}}
            {{"at_ms":2000,"type":"job_started","job_id":"build"}}
            {{"at_ms":2000,"type":"sh_started","job_id":"build","cmd":"c{t}"}}
            {{"at_ms":2500,"type":"sh_finished","job_id":"build","exit_code":1}}
            {{"at_ms":2500,"type":"job_finished","job_id":"build","outcome":"failed"}}
            {{"at_ms":3000,"type":"run_finished","outcome":"failed","error":{{"message":"u{t}"}}}}"#
        );
        for (number, repo) in [(1, crate::record::REPO), (2, &*repo)] {
            let id = put(server.data(), number, &[&begin(number, repo, ""), &events]);
            log(server.data(), &id, "build", 1, &[("stdout", "F", text), ("stderr", "F", &format!("error: {text}"))]);
        }
        put(server.data(), 3, &[&begin(3, crate::record::REPO, "")]);
        let mut store = server.app.data.open_store().unwrap();
        let queued = NewRun {
            run_id: RunId::new(&id(4)),
            repo: crate::record::REPO.to_owned(),
            ref_name: Some(format!("refs/heads/q{text}")),
            sha: shas[0].clone(),
            by: Some(format!("y{text}")),
            at_ms: 1000,
            origin: Origin::Push,
            params: BTreeMap::new(),
            jobs: Vec::new(),
        };
        let not_run = NotRunRecord {
            repo: crate::record::REPO.to_owned(),
            ref_name: format!("refs/heads/o{text}"),
            sha: None,
            at_ms: 1000,
            by: Some(text.to_owned()),
            reason: format!("w{text}"),
        };
        store.write(|writing| writing.enter(&[queued], &[], &[not_run])).unwrap();
        store.write(|writing| writing.note_stop(&RunId::new(&id(4)), &format!("z{text}"))).unwrap();
        let reasons = [(RunId::new(&id(4)), format!("i{text}"))].into();
        let halted = Some(format!("h{text}"));
        server.app.desk.publish(Waiting { reasons, halted, ..Waiting::default() });
        World { server, shas, repo, job }
    }

    fn page(&self, path: &str) -> Page {
        Page::of(&self.server.unix.get(path, &[]))
    }
}

fn part(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[track_caller]
fn same_shape(worst: &Page, plain: &Page, path: &str) {
    let (worst_shape, plain_shape) = (worst.shape(), plain.shape());
    let differs = worst_shape.iter().zip(&plain_shape).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let near = at.saturating_sub(3)..(at + 3).min(worst.tags.len()).min(plain.tags.len());
        panic!("{path}: {:#?} and {:#?}", &worst.tags[near.clone()], &plain.tags[near]);
    }
    assert_eq!(worst_shape.len(), plain_shape.len(), "{path}");
}

#[test]
fn texts_stay_texts() {
    let harmless = World::new("plain/text");
    let hostile = World::new(WORST);
    let paths = |world: &World| {
        let (repo, job) = (part(&world.repo), part(&world.job));
        let mut paths = vec![
            "/".to_owned(),
            "/repos/work/foo.git?ref=*".to_owned(),
            format!("/repos/{repo}"),
            format!("/repos/{repo}?ref=*"),
            format!("/repos/{repo}?ref={}", part(&format!("refs/heads/b{}", &world.repo[1..]))),
            format!("/commits/{}", world.shas[1]),
            format!("/changes/work/foo.git?from={}&to={}", world.shas[0], world.shas[1]),
        ];
        for number in 1..=3 {
            paths.push(format!("/runs/{}", id(number)));
            paths.push(format!("/runs/{}/jobs/{job}", id(number)));
        }
        paths.push(format!("/runs/{}", id(4)));
        paths.push(format!("/runs/{}/jobs/build/1", id(1)));
        paths.push(format!("/runs/{}/jobs/build/1?find={}", id(1), part(&world.repo[1..])));
        paths
    };
    let mut seen = String::new();
    for (plain, worst) in paths(&harmless).iter().zip(paths(&hostile)) {
        assert_eq!(harmless.server.unix.get(plain, &[]).status, 200, "{plain}");
        assert_eq!(hostile.server.unix.get(&worst, &[]).status, 200, "{worst}");
        let (plain, worst_page) = (harmless.page(plain), hostile.page(&worst));
        same_shape(&worst_page, &plain, &worst);
        seen.push_str(&worst_page.text());
        let values = worst_page.tags.iter().flat_map(|tag| &tag.attributes).map(|(_, value)| value.as_str());
        seen.extend(values.flat_map(|value| [" ", value]));
    }
    let squeezed: String = WORST.split_whitespace().collect::<Vec<_>>().join(" ");
    for begin in [
        "R", "j", "k", "b", "x", "p", "n", "l", "c", "m", "r", "f", "e", "s", "u", "y", "z", "i", "h", "q", "o", "w",
        "S ",
    ] {
        assert!(seen.contains(&format!("{begin}{squeezed}")), "{begin} is shown, as it is");
    }
}

#[test]
fn what_is_asked_for_is_shown_as_text() {
    let harmless = World::new("plain/text");
    let run = id(1);
    for pattern in [
        "/?q=@",
        "/?show=@",
        "/?@=1",
        "/repos/work/foo.git?ref=@",
        "/repos/work/foo.git?state=@",
        "/repos/work/foo.git?before=@",
        "/repos/@",
        "/commits/@",
        "/commits/abcdef0@",
        "/changes/work/foo.git?from=@&to=abcd",
        "/changes/@?from=abcd&to=abcd",
        "/runs/@",
        "/runs/1?repo=@",
        "/login/@",
        &format!("/runs/{run}/jobs/@"),
        &format!("/runs/{run}/jobs/build/@"),
        &format!("/runs/{run}/jobs/build/1?find=@"),
        &format!("/runs/{run}/jobs/build/1?find=@&back=1"),
        &format!("/runs/{run}/jobs/build/1?find=@&times=delta"),
        &format!("/runs/{run}/jobs/build/1?times=@"),
        &format!("/runs/{run}/jobs/build/1?from=@"),
        &format!("/runs/{run}/jobs/build/1/raw?row=@"),
        "/@",
    ] {
        let get = |text: &str| harmless.server.unix.get(&pattern.replace('@', &part(text)), &[]);
        let (plain, worst) = (get("zz"), get(WORST));
        assert_eq!(plain.status, worst.status, "{pattern}");
        same_shape(&Page::of(&worst), &Page::of(&plain), pattern);
    }
    let rows = harmless.server.unix.get(&format!("/runs/{run}/jobs/build/1/rows?find={}", part(WORST)), &[]);
    assert_eq!(rows.text().matches('<').count(), rows.text().matches('>').count());
    assert!(!rows.text().contains("<script") && decoded(&rows.text()).contains("<script>"), "{}", rows.text());
}

#[test]
fn names_that_no_pipeline_could_give() {
    let server = made::server(true, true);
    let names = ["", ".", "..", "../x", "a/b", "a b", "a?b#c", "%2e%2e", "A\u{202e}B", "ä", "x\ny"];
    let jobs: Vec<String> = names.iter().map(|name| format!(r#"{{"id":"{}","inputs":["{0}"]}}"#, json(name))).collect();
    let events: Vec<String> = names
        .iter()
        .map(|name| {
            let name = json(name);
            format!(
                r#"{{"at_ms":1000,"type":"sh_started","job_id":"{name}","cmd":""}}
                {{"at_ms":1000,"type":"sh_finished","job_id":"{name}","exit_code":1}}
                {{"at_ms":1000,"type":"job_finished","job_id":"{name}","outcome":"failed"}}"#
            )
        })
        .collect();
    let more = format!(r#","sha":"--output=x","jobs":[{}]"#, jobs.join(","));
    let mut lines = vec![made::started(1, &more)];
    lines.extend(events);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = put(server.data(), 1, &lines);
    for path in [format!("/runs/{run}"), "/".to_owned(), "/repos/work/foo.git".to_owned()] {
        Page::at(&server.tcp, &path);
    }
    for name in &names[1..] {
        let path = format!("/runs/{run}/jobs/{}", part(name));
        Page::at(&server.tcp, &path);
        assert_eq!(server.tcp.get(&format!("{path}/1"), &[]).status, 404, "{name}");
        assert_eq!(server.tcp.get(&format!("{path}/1/raw"), &[]).status, 404, "{name}");
    }
    assert!(!Page::at(&server.tcp, &format!("/runs/{run}")).links().iter().any(|link| link.ends_with("/1")), "no logs");
}

#[test]
fn times_that_no_clock_tells() {
    let server = made::server(true, true);
    let times = [i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN, 1 << 53];
    for (number, shift) in (1..).zip(0..times.len()) {
        let at = |n: usize| times[(n + shift) % times.len()];
        let begin = made::started(
            number,
            &format!(r#","pushed_at_ms":{},"jobs":[{{"id":"a","inputs":["quire/push"]}}]"#, at(6)),
        );
        let run = put(
            server.data(),
            number,
            &[
                &begin.replace("\"at_ms\":1000", &format!("\"at_ms\":{}", at(0))),
                &format!(r#"{{"at_ms":{},"type":"job_started","job_id":"a"}}"#, at(1)),
                &format!(r#"{{"at_ms":{},"type":"sh_started","job_id":"a","cmd":"x"}}"#, at(2)),
                &format!(r#"{{"at_ms":{},"type":"sh_finished","job_id":"a","exit_code":1}}"#, at(3)),
                &format!(r#"{{"at_ms":{},"type":"job_finished","job_id":"a","outcome":"failed"}}"#, at(4)),
                &if shift % 2 == 0 {
                    format!(r#"{{"at_ms":{},"type":"run_finished","outcome":"failed"}}"#, at(5))
                } else {
                    String::new()
                },
            ],
        );
        log(server.data(), &run, "a", 1, &[("stdout", "F", "x")]);
        for path in ["", "/jobs/a", "/jobs/a/1?times=relative", "/jobs/a/1?times=delta", "/jobs/a/1?times=absolute"] {
            Page::at(&server.tcp, &format!("/runs/{run}{path}"));
        }
    }
    for path in ["/", "/repos/work/foo.git", "/repos/work/foo.git?ref=*"] {
        Page::at(&server.tcp, path);
    }
}
