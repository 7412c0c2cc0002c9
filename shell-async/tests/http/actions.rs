//! What changes something, and what the queue's owner is asked then.

use crate::record::{REPO, SHA, real_run};
use crate::server::Setup;

#[test]
fn trigger_retry_and_cancel() {
    let server = Setup::default().start();
    server.repository(REPO);
    let id = real_run(server.data(), 1);
    let queued = server.unix.post("/api/v1/runs", &[], r#"{"repo":"work/foo.git","ref":"main","params":{"a":"b"}}"#);
    assert_eq!((queued.status, &queued.value()["number"]), (201, &41.into()));
    assert_eq!(queued.headers["location"], "/api/v1/runs/0193a3a0-0000-7000-8000-00000000abcd");
    let retried = server.unix.send("POST", &format!("/api/v1/runs/{id}/retry"), &[], b"").whole();
    assert_eq!(retried.status, 201);
    server.unix.post("/api/v1/runs/1/retry", &[], r#"{"failed":true}"#).is_problem(409, "nothing of it failed");
    let cancelled = server.unix.send("POST", "/api/v1/runs/last/cancel", &[], b"").whole();
    assert_eq!((cancelled.status, &cancelled.value()["id"]), (200, &id.into()));
    for (body, status, detail) in [
        (r#"{"repo":"work/foo.git"}"#, 400, "`ref` or `sha` is needed"),
        (r#"{"repo":"none.git","ref":"main"}"#, 404, "no repository"),
        (r#"{"repo":"work/foo.git","ref":"gone"}"#, 404, "no branch"),
        (r#"{"repo":"work/foo.git","ref":"bad"}"#, 400, "is bad"),
        (r#"{"repo":"work/foo.git","ref":"busy"}"#, 503, "stopping"),
    ] {
        server.unix.post("/api/v1/runs", &[], body).is_problem(status, detail);
    }
    let asked = server.asked.lock().unwrap();
    assert!(asked[0].contains("Trigger") && asked[0].contains("by: Some("), "{asked:?}");
    assert!(asked[0].contains(r#"{"a": "b"}"#), "{asked:?}");
}

#[test]
fn pushes_over_the_socket() {
    let server = Setup::default().start();
    server.repository(REPO);
    let zeros = "0".repeat(40);
    let event = |repo: &str, kind: &str, after: &str| {
        format!(
            r#"{{"at_ms":1,"type":"{kind}","repo":"{repo}","by":"ann","refs":[{{"ref":"refs/heads/main","before":"{zeros}","after":"{after}"}}],"later":1}}"#
        )
    };
    let answer = server.unix.post("/api/v1/push", &[], &event(REPO, "pushed", SHA));
    assert_eq!((answer.status, &answer.value()["refs"][0]["run"]["number"]), (200, &41.into()));
    assert!(server.asked.lock().unwrap()[0].contains("by: Some(\"ann\")"), "the owner's hook knows who pushed");
    server.unix.post("/api/v1/push", &[], &event("none.git", "pushed", SHA)).is_problem(404, "no repository");
    server.unix.post("/api/v1/push", &[], &event(REPO, "pulled", SHA)).is_problem(400, "\"pushed\"");
    server.unix.post("/api/v1/push", &[], &event(REPO, "pushed", "abc")).is_problem(400, "object ids");
    server.tcp.post("/api/v1/push", &[], &event(REPO, "pushed", SHA)).is_problem(404, "that you may see");
}
