//! From a push to a run's end.

use serde_json::json;

use crate::support::{Server, wait_for};

const HELLO: &str = r#"
local ci = require "quire.ci"
ci.job("hello", function(rt) rt.sh("echo hello from $QUIRE_REF") end)
"#;

#[test]
fn a_push_runs() {
    let server = Server::with("return {}");
    let clone = server.repository("work/foo.git", HELLO);
    let said = clone.push(&["main"]);
    assert!(said.contains("run 1 queued: http://"), "{said}");
    let runs = server.quiet(1);
    assert_eq!(runs[0]["state"], "complete", "{}", runs[0]);
    assert_eq!(runs[0]["ref"], "refs/heads/main");
    assert_eq!(runs[0]["origin"], "push");
    let run = server.get("/api/v1/runs/1");
    assert_eq!(run["jobs"][0]["commands"][0]["cmd"], "echo hello from $QUIRE_REF");
    server.agrees();
}

#[test]
fn what_does_not_run_is_told() {
    let server = Server::with("return {}");
    let clone = server.repository("foo.git", HELLO);
    clone.git(&["branch", "topic"]);
    let said = clone.push(&["main", "topic"]);
    assert!(said.contains("refs/heads/main") && said.contains("run 1 queued"), "{said}");
    assert!(said.contains("quire trigger foo.git refs/heads/topic"), "{said}");
    clone.git(&["rm", "-q", "-r", ".quire"]);
    clone.commit("no pipeline");
    let said = clone.push(&["main"]);
    assert!(said.contains("not run: its commit has neither .quire/ci.lua nor .quire/ci.fnl"), "{said}");
    let said = clone.push(&[":topic"]);
    assert!(said.contains("deleted"), "{said}");
    assert_eq!(server.quiet(1).len(), 1);
}

#[test]
fn a_newer_push_takes_the_place_of_what_waits() {
    let server = Server::with("return { max_runs = 1 }");
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("wait", function(rt) rt.sh("while [ ! -e " .. rt.env("HOME") .. "/go ]; do sleep 0.02; done") end)
    "#,
    );
    let server = server;
    clone.push(&["main"]);
    server.until("1", "active");
    for _ in 0..3 {
        clone.commit("more");
        clone.push(&["main"]);
    }
    let run = server.get("/api/v1/runs/4");
    assert_eq!(run["state"], "pending");
    assert!(run["waits"].as_str().unwrap().contains("1 run"), "{run}");
    assert_eq!(server.get("/api/v1/runs/2")["state"], "superseded");
    assert_eq!(server.get("/api/v1/runs/3")["ended_by"], "run 4");
    let (status, answer) = server.api("POST", "/api/v1/runs/4/cancel", Some(&json!({})));
    assert_eq!((status, answer["state"].as_str()), (200, Some("aborted")), "{answer}");
    let (_, answer) = server.api("POST", "/api/v1/runs/1/cancel", Some(&json!({})));
    assert_eq!(answer["state"], "ending");
    let ended = server.until("1", "aborted");
    assert_eq!(ended["jobs"][0]["commands"][0]["cause"], "cancel");
    server.agrees();
}

#[test]
fn a_failed_run_goes_on_in_its_kept_workspace() {
    let server = Server::with("return {}");
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("build", function(rt) rt.sh("echo built >> built; echo x >> ../builds") end)
        ci.job("test", { "build" }, function(rt) rt.sh("test -e ../../../ok") end)
    "#,
    );
    clone.push(&["main"]);
    server.until("1", "failed");
    let first = server.get("/api/v1/runs/1")["id"].as_str().unwrap().to_owned();
    let workspace = server.data().join("runs").join(&first).join("workspace");
    assert!(workspace.join("built").exists());
    std::fs::write(server.data().join("ok"), "").unwrap();
    let (status, run) = server.api("POST", "/api/v1/runs/1/retry", Some(&json!({"failed": true})));
    assert_eq!(status, 201, "{run}");
    let run = server.until("2", "complete");
    assert_eq!(run["resumed_from"], first.as_str());
    assert_eq!(run["jobs"][0]["replayed"], true, "{run}");
    assert_eq!(run["jobs"][1]["replayed"], false);
    wait_for("the workspace to go", || (!workspace.exists()).then_some(()));
    server.agrees();
}

#[test]
fn two_hundred_pushes_at_once_to_twenty_repositories() {
    let server = Server::with(r#"return { max_runs = 8, supersede = "off", min_free = 0 }"#);
    let clones: Vec<_> = (0..20).map(|n| server.repository(&format!("r{n}.git"), HELLO)).collect();
    std::thread::scope(|scope| {
        for clone in &clones {
            // Ten pushes each at once: branches of their own, so that git itself lets them.
            clone.push(&["main"]);
            let copies: Vec<_> = (0..9).map(|n| format!("HEAD:refs/heads/b{n}")).collect();
            for copy in copies {
                scope.spawn(move || clone.push(&[&copy]));
            }
        }
    });
    let runs = server.quiet(200);
    assert_eq!(runs.len(), 200);
    assert!(runs.iter().all(|run| run["state"] == "complete"));
    for n in 0..20 {
        let name = format!("r{n}.git");
        let mut numbers: Vec<_> =
            runs.iter().filter(|run| run["repo"] == name.as_str()).map(|run| run["number"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "{name}");
    }
    server.agrees();
}

/// Secrets reach the run, and are nowhere that others can look.
#[test]
fn secrets_travel_on_the_drivers_standard_input_only() {
    let mut server = Server::unstarted(
        r#"return { repos = { ["foo.git"] = { secrets = {
            TOKEN = { "env:QUIRE_TEST_TOKEN", refs = { "main" } },
        } } } }"#,
    )
    .env("QUIRE_TEST_TOKEN", "hunter2-of-the-test");
    server.start();
    let clone = server.repository("foo.git", r#"
        local ci = require "quire.ci"
        ci.job("use", function(rt)
          local ok, token = pcall(rt.secret, "TOKEN")
          rt.sh("echo token is $TOKEN; [ -z \"$QUIRE_TEST_TOKEN\" ]; touch ../../../begun; while [ ! -e ../../../go ]; do sleep 0.02; done",
            { env = { TOKEN = ok and token or "none" } })
        end)
    "#);
    clone.push(&["main"]);
    wait_for("the command", || server.data().join("begun").exists().then_some(()));
    let run_id = server.get("/api/v1/runs/1")["id"].as_str().unwrap().to_owned();
    let run_id = quire_core::ids::RunId::new(&run_id);
    assert_eq!(quire_ci::process::drivers(&[run_id.clone()].into()).len(), 1);
    let mut looked_at = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let is_driver = std::fs::read(entry.path().join("environ"))
            .is_ok_and(|env| String::from_utf8_lossy(&env).contains(&format!("QUIRE_DRIVES={run_id}")));
        for file in ["environ", "cmdline"] {
            let text = std::fs::read(entry.path().join(file)).unwrap_or_default();
            // The command itself was given it; the server has it from whoever started it.
            if is_driver || file == "cmdline" {
                looked_at += 1;
                assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{}", entry.path().join(file).display());
            }
        }
    }
    assert!(looked_at > 2);
    std::fs::write(server.data().join("go"), "").unwrap();
    server.until("1", "complete");
    // Another ref does not get it.
    clone.git(&["checkout", "-q", "-b", "topic"]);
    clone.push(&["topic"]);
    server.until("2", "complete");
    let mut folders = vec![server.data()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        // Workspaces go, and are made ahead, meanwhile.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if let Ok(text) = std::fs::read(entry.path()) {
                files += 1;
                assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{}", entry.path().display());
            }
        }
    }
    assert!(files > 10);
    let first =
        std::fs::read_to_string(server.data().join("runs").join(run_id.as_str()).join("jobs/use/sh-1.log")).unwrap();
    assert!(first.contains("token is ***"), "{first}");
}

#[test]
fn nothing_is_admitted_where_disk_is_short() {
    let server = Server::with(r#"return { min_free = "900000TB" }"#);
    let clone = server.repository("foo.git", HELLO);
    let said = clone.push(&["main"]);
    assert!(said.contains("run 1 queued"), "{said}");
    let run = wait_for("the reason", || {
        let run = server.get("/api/v1/runs/1");
        run["waits"].as_str().is_some_and(|why| why.contains("disk")).then_some(run)
    });
    assert_eq!(run["state"], "pending");
    let (status, health) = server.api("GET", "/healthz", None);
    assert_eq!((status, health["status"].as_str()), (503, Some("degraded")), "{health}");
    assert!(health["problems"][0].as_str().unwrap().contains("disk"), "{health}");
}

/// Six hundred refs at once: the default branch runs, the rest is noted with the line that would run it; then tags, a force-push,
/// and what a branch off the default one does to what runs.
#[test]
fn many_refs_tags_and_rewritten_branches() {
    let server = Server::with("return { max_runs = 4 }");
    let clone = server.repository("foo.git", HELLO);
    clone.push(&["main"]);
    server.until("1", "complete");
    let first = clone.git(&["rev-parse", "HEAD"]);
    clone.commit("second");
    for n in 0..600 {
        clone.git(&["update-ref", &format!("refs/heads/many/b{n}"), &first]);
    }
    let said = clone.push(&["main", "refs/heads/many/*:refs/heads/many/*"]);
    let lines = said.lines().filter(|line| line.contains("quire:")).count();
    assert!(said.contains("run 2 queued") && said.contains("600 refs not run") && lines <= 20, "{said}");
    server.until("2", "complete");
    let noted = server.get("/api/v1/repos/foo.git");
    let noted = noted["not_run"].as_array().unwrap();
    assert_eq!(noted.len(), 100);
    let reason = noted[0]["reason"].as_str().unwrap();
    assert!(reason.contains("of a push of more than 10 refs (this one has 601)"), "{reason}");
    let line = reason.split("to run it: ").nth(1).unwrap();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    assert!(server.done(&words).contains("run 3 queued"), "{line}");
    server.until("3", "complete");
    clone.git(&["tag", "-a", "v1", "-m", "one"]);
    assert!(clone.push(&["v1"]).contains("refs/tags/v1"));
    let tag = server.until("4", "complete");
    assert_eq!(
        (tag["ref"].as_str(), tag["sha"].as_str()),
        (Some("refs/tags/v1"), Some(clone.git(&["rev-parse", "HEAD"]).as_str()))
    );
    clone.git(&["checkout", "-q", "-b", "topic"]);
    clone.write(".quire/ci.lua", r#"require("quire.ci").job("wait", function(rt) rt.sh("sleep 1000") end)"#);
    clone.commit("waits");
    clone.push(&["topic"]);
    server.until("5", "active");
    clone.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "rewritten"]);
    clone.write(".quire/ci.lua", HELLO);
    clone.commit("says hello");
    assert!(clone.push(&["+topic"]).contains("run 6 queued"));
    let ended = server.until("5", "aborted");
    assert_eq!(ended["ended_by"], "run 6");
    server.until("6", "complete");
    server.agrees();
}

/// What a configuration keeps of workspaces: the last failed one of a ref, or none.
#[test]
fn workspaces_are_kept_as_configured() {
    let server = Server::with(r#"return { repos = { ["none.git"] = { keep = "none" } } }"#);
    let fails = r#"require("quire.ci").job("fail", function(rt) rt.sh("exit 1") end)"#;
    for (name, kept) in [("kept.git", true), ("none.git", false)] {
        let clone = server.repository(name, fails);
        let workspace = |number: u32| {
            let run = server.get(&format!("/api/v1/runs/{number}?repo={name}"));
            server.data().join("runs").join(run["id"].as_str().unwrap()).join("workspace")
        };
        for number in 1..=2 {
            clone.commit("again");
            clone.push(&["main"]);
            server.until(&format!("{number}?repo={name}"), "failed");
            wait_for("the workspace", || (workspace(number).exists() == kept).then_some(()));
        }
        wait_for("the older workspace to go", || (!workspace(1).exists()).then_some(()));
        assert_eq!(workspace(2).exists(), kept);
    }
}
