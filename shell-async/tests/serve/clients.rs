//! The verbs on runs, against the server that they are for.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Server, plain, quire, wait_for};

/// Prints, waits for the file `GO`, prints on.
const SLOW: &str = r#"
local ci = require "quire.ci"
ci.job("build", function(rt)
  rt.sh("echo begun; while [ ! -e 'GO' ]; do sleep 0.02; done; echo 'and done' >&2")
  rt.sh("echo the param is " .. (rt.params.to or "not given"))
end)
ci.job("test", { "build" }, function(rt) rt.sh("exit 3") end)
"#;

/// [`SLOW`], and the file that it waits for.
fn slow(server: &Server) -> (String, PathBuf) {
    let go = server.data().with_file_name("go");
    (SLOW.replace("GO", go.to_str().unwrap()), go)
}

/// A client that goes on.
fn follow(server: &Server, args: &[&str]) -> Child {
    let mut command = Command::new(quire());
    plain(command.args(args).env("QUIRE_DATA", server.data()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_is_followed_shown_and_run_again() {
    let server = Server::with("return {}");
    let (pipeline, go) = slow(&server);
    let clone = server.repository("work/foo.git", &pipeline);
    clone.push(&["main"]);
    server.until("1", "active");
    let (log, events) = (follow(&server, &["log", "-f"]), follow(&server, &["events", "last", "-f"]));
    // Before its first command it has no log.
    wait_for("the first line", || (server.quire(&["log", "1", "build/1"]).stdout == b"begun\n").then_some(()));
    std::fs::write(go, "").unwrap();

    let log = said(log);
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(at("build | begun") < at("build | and done"), "{log}");
    assert!(at("build | and done") < at("build | the param is not given"), "{log}");
    assert!(at("build | the param is") < at("build: complete"), "{log}");
    assert!(at("test: failed") < at("run 1 failed"), "{log}");
    let events = said(events);
    server.until("1", "failed");
    assert_eq!(events, server.done(&["events", "1"]));

    assert_eq!(server.done(&["log", "1", "build/1"]), "begun\nand done\n");
    assert_eq!(server.done(&["log", "1", "build/1", "--raw", "--stream", "stderr"]), "and done\n");
    let shown = server.done(&["show", "last-failed"]);
    assert!(shown.contains("exit 3") && shown.contains("work/foo.git"), "{shown}");

    assert!(server.done(&["retry", "1"]).starts_with("run 2 queued: http"));
    let queued = server.done(&["trigger", "work/foo.git", "--param", "to=staging", "--job", "build"]);
    assert!(queued.starts_with("run 3 queued: http"), "{queued}");
    server.until("3", "complete");
    assert!(server.done(&["log", "3", "build/2"]).contains("the param is staging"));
    server.quiet(3);
    let listed = server.done(&["ls", "--state", "failed", "--json"]);
    let numbers: Vec<u64> =
        listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(server.done(&["ls"]).lines().count(), 3);
    server.agrees();
}

#[test]
fn a_run_is_cancelled() {
    let server = Server::with("return {}");
    let clone = server.repository("foo.git", &slow(&server).0);
    clone.push(&["main"]);
    server.until("1", "active");
    let said = server.done(&["cancel", "1", "--repo", "foo.git"]);
    assert!(said.starts_with("run 1 of foo.git is being ended"), "{said}");
    server.until("1", "aborted");
    // Its rows tell of its end before its driver is gone.
    let refused = wait_for("a refusal", || {
        let again = server.quire(&["cancel", "1"]);
        (again.status.code() == Some(2)).then_some(again)
    });
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.starts_with("error: "), "{said}");
    let unknown = server.quire(&["show", "77"]);
    assert_eq!(unknown.status.code(), Some(2));
}
