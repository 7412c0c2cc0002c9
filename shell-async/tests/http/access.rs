//! Who asks over TCP, and what they may.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use quire::http::{Credentials, SignedIn, Told};
use quire_core::access::{Identity, TokenScope, Via};
use quire_core::config::{Role, Rule};

use crate::record::{REPO, real_run};
use crate::server::{Server, Setup};

/// One token, one session, one link.
#[derive(Debug)]
struct Known;

impl Credentials for Known {
    fn token<'a>(&'a self, token: &'a str) -> Told<'a, Option<Identity>> {
        let scope = TokenScope { repos: vec![REPO.to_owned()], role: Role::Run };
        let robot = Identity::Known { name: "robot".to_owned(), via: Via::Token(scope) };
        Box::pin(ready(Ok((token == "qt_good").then_some(robot))))
    }

    fn session<'a>(&'a self, session: &'a str) -> Told<'a, Option<Identity>> {
        let ann = Identity::Known { name: "ann".to_owned(), via: Via::Owner };
        Box::pin(ready(Ok((session == "s1").then_some(ann))))
    }

    fn sign_in<'a>(&'a self, link: &'a str) -> Told<'a, Option<SignedIn>> {
        let signed_in = SignedIn { session: "s1".to_owned(), lasts: Duration::from_secs(60) };
        Box::pin(ready(Ok((link == "l1").then_some(signed_in))))
    }
}

fn server(public: bool) -> Server {
    let mut setup = Setup { credentials: Arc::new(Known), ..Setup::default() };
    setup.config.repos.insert(
        REPO.to_owned(),
        Rule { public: Some(public), roles: [("robot".to_owned(), Role::Admin)].into(), ..Rule::default() },
    );
    let server = setup.start();
    server.repository(REPO);
    server
}

const COOKIE: (&str, &str) = ("cookie", "quire_session=s1");
const TOKEN: (&str, &str) = ("authorization", "Bearer qt_good");

#[test]
fn what_each_may_see() {
    let server = server(false);
    real_run(server.data(), 1);
    for path in
        ["/api/v1/runs/1", "/api/v1/runs/1/events", "/api/v1/runs/1/jobs/build/1/log", "/api/v1/repos/work/foo.git"]
    {
        server.tcp.get(path, &[]).is_problem(404, "that you may see");
        for identity in [COOKIE, TOKEN] {
            assert_eq!(server.tcp.get(path, &[identity]).status, 200, "{path} {identity:?}");
        }
    }
    let wrong = server.tcp.get("/api/v1/runs/1", &[("authorization", "Bearer qt_bad")]);
    wrong.is_problem(401, "not valid");
    assert!(wrong.headers["www-authenticate"].starts_with("Bearer"));
    server.tcp.get("/api/v1/runs/1", &[("authorization", "Basic eDp5")]).is_problem(401, "`Bearer`");
    server.tcp.get("/api/v1/runs/1", &[("cookie", "quire_session=old")]).is_problem(404, "");
}

#[test]
fn logs_and_actions_of_a_public_repository_need_an_identity() {
    let server = server(true);
    real_run(server.data(), 1);
    assert_eq!(server.tcp.get("/api/v1/runs/1", &[]).status, 200);
    assert_eq!(server.tcp.get("/api/v1/runs/last", &[]).status, 200);
    assert_eq!(server.tcp.json("/api/v1/runs")["runs"].as_array().unwrap().len(), 1);
    for path in ["/api/v1/runs/1/events", "/api/v1/runs/1/jobs/build/1/log"] {
        server.tcp.get(path, &[]).is_problem(401, "needs an identity");
    }
    server.tcp.post("/api/v1/runs/1/cancel", &[], "").is_problem(401, "needs an identity");
    assert_eq!(server.tcp.post("/api/v1/runs/1/cancel", &[TOKEN], "").status, 200);
    assert!(server.asked.lock().unwrap()[0].contains("robot"));
}

#[test]
fn actions_by_cookie_come_from_a_page_of_ours() {
    let server = server(true);
    real_run(server.data(), 1);
    let cancel = |headers: &[(&str, &str)]| server.tcp.post("/api/v1/runs/1/cancel", headers, "");
    cancel(&[COOKIE]).is_problem(403, "does not come from a page of this server");
    cancel(&[COOKIE, ("origin", "http://evil.example")]).is_problem(403, "does not come");
    cancel(&[COOKIE, ("sec-fetch-site", "cross-site")]).is_problem(403, "does not come");
    assert_eq!(cancel(&[COOKIE, ("origin", "http://localhost")]).status, 200);
    assert_eq!(cancel(&[COOKIE, ("sec-fetch-site", "same-origin")]).status, 200);
    server.tcp.get("/api/v1/runs", &[("host", "rebound.example")]).is_problem(421, "rebound.example");
    assert_eq!(server.unix.get("/api/v1/runs", &[("host", "quire")]).status, 200);
}

#[test]
fn the_login_link_begins_a_session() {
    let server = server(true);
    let used = server.tcp.get("/login/other", &[]);
    assert_eq!((used.status, &*used.headers["content-type"]), (404, "text/html; charset=utf-8"), "people open it");
    assert!(used.text().contains("used already"));
    assert_eq!(server.tcp.send("HEAD", "/login/l1", &[], b"").whole().headers.get("set-cookie"), None);
    let signed_in = server.tcp.get("/login/l1", &[]);
    assert_eq!((signed_in.status, &*signed_in.headers["location"]), (303, "/"));
    assert_eq!(signed_in.headers["set-cookie"], "quire_session=s1; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
}
