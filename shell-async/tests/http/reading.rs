//! Repositories, runs, health, badges, metrics: what is read.

use crate::record::{LiveRun, REPO, SHA, real_run};
use crate::server::Setup;

#[test]
fn pages_go_on_where_the_one_before_ended() {
    let server = Setup::default().start();
    server.repository(REPO);
    let mut ids: Vec<String> = (1..=7).map(|number| real_or_live(server.data(), number)).collect();
    ids.reverse();
    for limit in [1, 2, 3, 7, 200] {
        let (mut seen, mut path) = (Vec::new(), format!("/api/v1/runs?limit={limit}"));
        loop {
            let page = server.unix.json(&path);
            let runs = page["runs"].as_array().unwrap();
            assert!(!runs.is_empty() && runs.len() <= limit);
            seen.extend(runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/runs?limit={limit}&before={next}");
        }
        assert_eq!(seen, ids, "{limit}");
    }
    let count = |query: &str| server.unix.json(&format!("/api/v1/runs?{query}"))["runs"].as_array().unwrap().len();
    assert_eq!(count("state=active"), 6);
    assert_eq!(count("state=failed"), 1);
    assert_eq!(count("repo=work%2Ffoo.git&ref=main"), 7);
    assert_eq!(count("ref=refs/heads/other"), 0);
    for (query, detail) in [
        ("limit=0", "limit must be 1 to 200"),
        ("limit=201", "limit must be 1 to 200"),
        ("limit=x", "whole number"),
        ("state=sad", "state must be"),
        ("before=x", "before must be"),
        ("before=-1", "before must be"),
        ("rep=x", "unknown parameter"),
        ("repo=a&repo=b", "more than once"),
    ] {
        server.unix.get(&format!("/api/v1/runs?{query}"), &[]).is_problem(400, detail);
    }
}

fn real_or_live(data: &std::path::Path, number: u64) -> String {
    if number == 1 { real_run(data, number) } else { LiveRun::start(data, number).id }
}

#[test]
fn a_run_by_each_of_its_names() {
    let server = Setup::default().start();
    let id = real_run(server.data(), 12);
    for name in ["12", "last", "last-failed", &id, &id.to_uppercase(), SHA, &SHA[..7]] {
        let run = server.unix.json(&format!("/api/v1/runs/{name}"));
        assert_eq!(run["id"], id, "{name}");
    }
    let run = server.unix.json("/api/v1/runs/12?repo=work/foo.git");
    assert_eq!(run["state"], "failed");
    assert_eq!(run["failure_kind"], "job");
    assert_eq!(run["url"], format!("http://127.0.0.1:7878/runs/{id}"));
    let jobs = run["jobs"].as_array().unwrap();
    let states: Vec<&str> = jobs.iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["complete", "failed", "skipped"]);
    assert_eq!(jobs[0]["commands"].as_array().unwrap().len(), 3);
    assert_eq!(jobs[1]["commands"][0]["exit_code"], 3);
    assert_eq!(jobs[0]["commands"][1]["log"], format!("/api/v1/runs/{id}/jobs/build/2/log"));
    for name in ["13", "0193a3a1", "nonsense"] {
        server.unix.get(&format!("/api/v1/runs/{name}"), &[]).is_problem(404, "no run that you may see matches");
    }
    server.unix.get("/api/v1/runs/12?repo=other.git", &[]).is_problem(404, "no run");
    // Ids of two runs that begin alike.
    let other = real_run(server.data(), 13);
    server.unix.get("/api/v1/runs/0193a3a0", &[]).is_problem(409, &other);
    assert_eq!(server.unix.json("/api/v1/runs/last")["id"], other);
}

#[test]
fn repositories_and_how_they_stand() {
    let server = Setup::default().open("open.git").start();
    server.repository(REPO);
    server.repository("open.git");
    let id = real_run(server.data(), 1);
    let all = server.unix.json("/api/v1/repos");
    let names: Vec<&str> = all["repos"].as_array().unwrap().iter().map(|repo| repo["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["open.git", REPO]);
    for path in ["/api/v1/repos/work/foo.git", "/api/v1/repos/work%2Ffoo.git"] {
        let repo = server.unix.json(path);
        assert_eq!(repo["default_branch"], "refs/heads/main");
        assert_eq!(repo["latest"]["id"], id);
        assert_eq!((&repo["public"], &repo["executor"]), (&false.into(), &"quire-ci".into()));
    }
    server.unix.get("/api/v1/repos/none.git", &[]).is_problem(404, "quire repo new");
    // Others see what is public, and of the rest not even that it is there.
    let all = server.tcp.json("/api/v1/repos");
    assert_eq!(all["repos"].as_array().unwrap().len(), 1);
    assert_eq!(server.tcp.json("/api/v1/runs")["runs"].as_array().unwrap().len(), 0);
    let hidden = server.tcp.get("/api/v1/repos/work/foo.git", &[]);
    let absent = server.tcp.get("/api/v1/repos/none.git", &[]);
    hidden.is_problem(404, "that you may see");
    assert_eq!(hidden.body, absent.body);
}

#[test]
fn badges_are_cached_until_they_change() {
    let server = Setup::default().open(REPO).start();
    server.repository(REPO);
    let path = "/badge/work/foo.git.svg";
    let none = server.tcp.get(path, &[]);
    assert_eq!((none.status, &*none.headers["content-type"]), (200, "image/svg+xml; charset=utf-8"));
    assert!(none.text().contains("no runs"));
    real_run(server.data(), 1);
    let failing = server.tcp.get(path, &[("if-none-match", &none.headers["etag"])]);
    assert_eq!(failing.status, 200);
    assert!(failing.text().contains("failing"));
    let same = server.tcp.get(path, &[("if-none-match", &failing.headers["etag"])]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert!(server.tcp.get(&format!("{path}?ref=other"), &[]).text().contains("no runs"));
    server.tcp.get("/badge/work/foo.git", &[]).is_problem(404, ".svg");
    server.tcp.get("/badge/none.git.svg", &[]).is_problem(404, "");
}

#[test]
fn health_and_metrics() {
    let server = Setup::default().start();
    let health = server.tcp.json("/healthz");
    assert_eq!((&health["status"], &health["waiting"]), (&"ok".into(), &0.into()));
    assert!(health["free_bytes"].as_u64().unwrap() > 0);
    server.app.desk.count_ended(quire_core::rows::RunState::Failed);
    let halted = Some("4 GB are free, 5 GB must be".to_owned());
    let repos = [(REPO.to_owned(), (3, 2))].into();
    server.app.desk.publish(quire::server::Waiting { halted, repos, ..Default::default() });
    let health = server.tcp.get("/healthz", &[]);
    assert_eq!(health.status, 503);
    assert_eq!(health.value()["problems"][0], "4 GB are free, 5 GB must be");
    server.app.desk.publish(Default::default());
    server.app.desk.note_behind(7);
    let health = server.tcp.get("/healthz", &[("host", "anything.example")]);
    assert_eq!((health.status, &health.value()["status"]), (200, &"degraded".into()));
    assert_eq!(server.metric("quire_runs_ended_total{state=\"failed\"}"), 1);
    assert_eq!(server.metric("quire_database_behind_rows"), 7);
    assert_eq!(server.metric("quire_http_responses_total{status=\"503\"}"), 1);
    assert!(server.metric("quire_http_connections") >= 1);
}

#[test]
fn paths_and_methods_that_are_not_there() {
    let server = Setup::default().start();
    server.tcp.get("/api/v2/runs", &[]).is_problem(404, "openapi.json");
    let wrong = server.tcp.send("DELETE", "/api/v1/runs", &[], b"").whole();
    wrong.is_problem(405, "DELETE");
    assert_eq!(wrong.headers["allow"], "GET, POST, HEAD");
    for answer in [&wrong, &server.tcp.get("/healthz", &[])] {
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"));
    }
    let (head, get) =
        (server.tcp.send("HEAD", "/api/v1/openapi.json", &[], b""), server.tcp.get("/api/v1/openapi.json", &[]));
    let head = head.whole();
    assert_eq!((head.status, head.headers["content-length"].parse()), (200, Ok(get.body.len())));
}
