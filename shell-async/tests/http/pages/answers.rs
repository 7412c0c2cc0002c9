//! What every page has; and where its links lead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::html::Page;
use super::made::{self, ADMIN, READER, commits, put, started};
use crate::client::{Place, Whole};
use crate::record::{LiveRun, REPO, real_run};
use crate::server::Server;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the clock says, and so differs from one answer to the next.
fn still(whole: &Whole) -> String {
    let text = whole.text();
    let (before, after) = text.split_once("data-now=\"").unwrap_or((&text, "\""));
    let text = format!("{before}{}", after.split_once('"').unwrap().1);
    let ages = text.split("<time ").map(|part| part.split_once("</time>").map_or(part, |(_, after)| after));
    ages.collect()
}

/// A server with runs of each kind. The paths of one page of each route.
fn furnished(public: bool, open_logs: bool) -> (Server, Vec<String>) {
    let server = made::server(public, open_logs);
    let shas = commits(&server, &[("first", "Ann"), ("second", "Bob")]);
    let id = real_run(server.data(), 1);
    for (number, sha) in [(2, &shas[0]), (3, &shas[1])] {
        let outcome = if number == 2 { "complete" } else { "failed" };
        let exit = u8::from(number == 3);
        put(
            server.data(),
            number,
            &[
                &started(
                    number,
                    &format!(
                        r#","sha":"{sha}","jobs":[{{"id":"a","inputs":["quire/push"]}},{{"id":"b","inputs":["a"]}}]"#
                    ),
                ),
                r#"{"at_ms":1000,"type":"job_started","job_id":"a"}
                {"at_ms":1000,"type":"sh_started","job_id":"a","cmd":"make"}"#,
                &format!(r#"{{"at_ms":1900,"type":"sh_finished","job_id":"a","exit_code":{exit}}}"#),
                &format!(r#"{{"at_ms":2000,"type":"job_finished","job_id":"a","outcome":"{outcome}"}}"#),
                &format!(r#"{{"at_ms":2000,"type":"run_finished","outcome":"{outcome}"}}"#),
            ],
        );
    }
    put(
        server.data(),
        5,
        &[
            &started(5, r#","jobs":[{"id":"a","inputs":["quire/push"]},{"id":"b","inputs":["a"]}]"#)
                .replace("heads/main", "heads/other"),
            r#"{"at_ms":1000,"type":"job_started","job_id":"a"}
            {"at_ms":1000,"type":"job_finished","job_id":"a","outcome":"complete"}
            {"at_ms":2000,"type":"job_skipped","job_id":"b","reason":"not_selected"}
            {"at_ms":2000,"type":"run_finished","outcome":"complete"}"#,
        ],
    );
    LiveRun::start(server.data(), 4);
    let paths = vec![
        "/".to_owned(),
        format!("/repos/{REPO}"),
        format!("/repos/{REPO}?ref=*&state=failed"),
        format!("/commits/{}", shas[1]),
        format!("/changes/{REPO}?from={}&to={}", shas[0], shas[1]),
        format!("/runs/{id}"),
        format!("/runs/{}", made::id(3)),
        format!("/runs/{id}/jobs/build"),
        format!("/runs/{id}/jobs/build/2"),
        format!("/runs/{id}/jobs/build/2/rows?from=100"),
    ];
    (server, paths)
}

#[test]
fn every_page_has_what_every_page_has() {
    let (server, paths) = furnished(true, true);
    for path in &paths {
        let plain = server.tcp.get(path, &[]);
        assert_eq!(plain.status, 200, "{path}: {}", plain.text());
        let check = |whole: &Whole| {
            assert_eq!(whole.headers["content-type"], "text/html; charset=utf-8", "{path}");
            assert_eq!(whole.headers["content-security-policy"], POLICY, "{path}");
            assert_eq!(whole.headers["x-content-type-options"], "nosniff");
            assert_eq!(whole.headers["cache-control"], "private, no-cache");
            assert_eq!(whole.headers["vary"], "accept, accept-encoding, cookie");
            assert_eq!(whole.headers["referrer-policy"], "same-origin");
        };
        check(&plain);
        assert_eq!(plain.headers.get("content-encoding"), None);
        if !path.contains("/rows") {
            Page::of(&plain);
        }
        let zipped = server.tcp.get(path, &[("accept-encoding", "br, gzip;q=0.8")]);
        check(&zipped);
        assert_eq!(zipped.headers["content-encoding"], "gzip", "{path}");
        let mut body = Vec::new();
        GzDecoder::new(&zipped.body[..]).read_to_end(&mut body).unwrap();
        assert_eq!(still(&Whole { body, ..zipped.clone() }), still(&plain), "{path}");
        for refused in ["gzip;q=0", "identity", "br", "x-gzip2"] {
            let plain = server.tcp.get(path, &[("accept-encoding", refused)]);
            assert_eq!(plain.headers.get("content-encoding"), None, "{refused}");
        }
        let head = server.tcp.send("HEAD", path, &[], b"").whole();
        assert_eq!(head.status, 200);
        check(&head);
        assert_eq!(head.headers["content-length"].parse::<usize>().unwrap(), plain.body.len(), "{path}");
    }
}

#[test]
fn what_fails_is_a_page_for_people_and_json_for_programs() {
    let (server, paths) = furnished(false, false);
    for path in paths.iter().filter(|path| *path != "/") {
        let hidden = server.tcp.get(path, &[]);
        assert_eq!(hidden.status, 404, "{path}");
        assert_eq!(hidden.headers["content-security-policy"], POLICY);
        let page = Page::of(&hidden);
        assert!(page.has("that you may see") || page.has("no run that you may see"), "{path}: {}", page.text());
        assert!(page.has("Not Found") && page.has("those who are signed in"), "{path}");
        assert_eq!(server.tcp.get(path, &[READER]).status, 200, "{path}");
    }
    let home = Page::at(&server.tcp, "/");
    assert!(home.has("nothing here that everyone may see") && !home.source.contains(REPO), "{}", home.text());
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/runs", 404),
        ("GET", "/runs/", 404),
        ("GET", "/?z=1", 400),
        ("GET", "/?show=sad", 400),
        ("GET", "/runs/1?x=%3Cb%3E", 400),
        ("GET", "/repos/work/foo.git?state=sad", 400),
        ("GET", "/repos/work/foo.git?before=x", 400),
        ("GET", "/repos/none.git", 404),
        ("GET", "/commits/zzzzzzzz", 404),
        ("GET", "/runs/%ff", 400),
        ("DELETE", "/", 405),
        ("POST", "/", 405),
        ("GET", "/runs/1/cancel", 405),
    ] {
        let whole = server.unix.send(method, path, &[], b"").whole();
        assert_eq!(whole.status, status, "{method} {path}");
        Page::of(&whole);
    }
    server.unix.get("/api/v1/nowhere", &[]).is_problem(404, "nothing at this path");
    server.unix.get("/api/v1/runs/none-such", &[]).is_problem(404, "no run");
    server.unix.get("/assets/quire-0.css", &[]).is_problem(404, "no such file");
    server.unix.get("/badge/none.git", &[]).is_problem(404, "");
}

/// Follows every link from the home page on; what each page leads to is there.
fn crawl(place: &Place, headers: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut seen: BTreeMap<String, String> = [("/".to_owned(), String::new())].into();
    let mut due: VecDeque<String> = ["/".to_owned()].into();
    let (mut places, mut ids) = (BTreeMap::new(), BTreeMap::new());
    while let Some(path) = due.pop_front() {
        assert!(seen.len() < 400, "the pages end: {:?}", seen.keys());
        let whole = place.get(&path, headers);
        let from = seen[&path].clone();
        assert!(matches!(whole.status, 200 | 303), "{path} from {from}: {} {}", whole.status, whole.text());
        let mut found: Vec<String> = Vec::new();
        if whole.status == 303 {
            found.push(whole.headers["location"].clone());
        } else if whole.headers["content-type"].starts_with("text/html") {
            let page = Page::of(&whole);
            ids.insert(path.clone(), page.ids().into_iter().map(str::to_owned).collect());
            for link in page.links() {
                match link.strip_prefix('#') {
                    Some(id) => drop(places.insert((path.clone(), id.to_owned()), path.clone())),
                    None => found.push(link.to_owned()),
                }
            }
        }
        for link in found {
            let (link, place) = link.split_once('#').map_or((&*link, None), |(link, place)| (link, Some(place)));
            let link = link.to_owned();
            if let Some(place) = place {
                places.insert((link.clone(), place.to_owned()), path.clone());
            }
            assert!(link.starts_with('/') && !link.starts_with("//"), "{path} leads to {link}");
            if !seen.contains_key(&link) {
                seen.insert(link.clone(), path.clone());
                due.push_back(link);
            }
        }
    }
    for ((path, place), from) in places {
        let there: &BTreeSet<String> = &ids[&path];
        assert!(there.contains(&place), "{from} leads to {path}#{place}");
    }
    seen
}

#[test]
fn every_link_leads_somewhere() {
    let (server, paths) = furnished(true, false);
    let (mut store, run_id) = (server.app.data.open_store().unwrap(), quire_core::ids::RunId::new(&made::id(2)));
    store.write(|writing| writing.note_logs_removed(&run_id, 1_750_000_000_000, 10)).unwrap();
    let admin = crawl(&server.unix, &[]);
    assert_eq!(admin.keys().collect::<Vec<_>>(), crawl(&server.tcp, &[ADMIN]).keys().collect::<Vec<_>>());
    let anonymous = crawl(&server.tcp, &[]);
    for path in &paths[..8] {
        let path = path.replace('*', "%2A").replace("&state=failed", "");
        for (seen, who) in [(&admin, "admin"), (&anonymous, "anonymous")] {
            assert!(seen.contains_key(&path), "{path} is found by {who}: {:?}", seen.keys());
        }
    }
    let has_log = |seen: &BTreeMap<String, String>| seen.keys().any(|path| path.ends_with("/jobs/build/2/raw"));
    assert!(has_log(&admin) && !has_log(&anonymous));
}

#[test]
fn assets_are_kept_for_ever() {
    let server = made::server(true, true);
    let page = Page::at(&server.tcp, "/");
    let assets: Vec<&str> = page.links().into_iter().filter(|link| link.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 3);
    for path in assets {
        let plain = server.tcp.get(path, &[]);
        assert_eq!((plain.status, &*plain.headers["cache-control"]), (200, "public, max-age=31536000, immutable"));
        let zipped = server.tcp.get(path, &[("accept-encoding", "gzip")]);
        let mut body = Vec::new();
        GzDecoder::new(&zipped.body[..]).read_to_end(&mut body).unwrap();
        assert_eq!(body, plain.body);
        assert_eq!(server.tcp.send("HEAD", path, &[], b"").whole().status, 200);
    }
}
