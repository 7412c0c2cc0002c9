//! A server that stops, dies, and starts anew disturbs no run.

use crate::support::{Server, wait_for};

#[test]
fn a_second_server_is_refused() {
    let server = Server::with("return {}");
    let output = server.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    wait_for("the refusal", || server.stderr().contains("another server uses this data directory").then_some(()));
}

#[test]
fn a_run_outlives_its_server_and_is_found_again() {
    for kill in [false, true] {
        let mut server = Server::with("return {}");
        let clone = server.repository(
            "foo.git",
            r#"
            local ci = require "quire.ci"
            ci.job("wait", function(rt) rt.sh("while [ ! -e ../../../go ]; do sleep 0.02; done; echo went") end)
        "#,
        );
        clone.push(&["main"]);
        server.until("1", "active");
        if kill {
            server.kill()
        } else {
            assert_eq!(server.stop(), Some(0))
        }
        // Left in the spool meanwhile.
        clone.commit("second");
        let said = clone.push(&["main"]);
        assert!(said.contains("not running"), "{said}");
        server.start();
        assert_eq!(server.get("/api/v1/runs/1")["state"], "active");
        std::fs::write(server.data().join("go"), "").unwrap();
        let runs = server.quiet(2);
        assert!(runs.iter().all(|run| run["state"] == "complete"), "{runs:?}");
        server.agrees();
    }
}

/// 30 runs go on while their server is killed 50 times, at any moment of its life, starts included; pushes go on as well.
#[test]
fn fifty_kills_lose_no_run() {
    const KILLS: u64 = 50;
    const RUNS: usize = 30;
    let mut server = Server::with("return { max_runs = 100, min_free = 0 }");
    let pipeline = r#"
        local ci = require "quire.ci"
        ci.job("work", function(rt)
          repeat until rt.sh("sleep 0.5; echo line; test -e ../../../go", { check = false }).exit == 0
        end)
    "#;
    let clones: Vec<_> = (0..6).map(|n| server.repository(&format!("work/repo{n}.git"), pipeline)).collect();
    let mut pushed = 0;
    for clone in &clones {
        clone.push(&["main"]);
        pushed += 1;
    }
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..KILLS {
        // xorshift: the same moments in every run of the test, as far as a machine repeats itself.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let clone = &clones[(kill % 6) as usize];
        if pushed < RUNS {
            clone.git(&["checkout", "-q", "-B", &format!("b{kill}")]);
            clone.commit("more");
            clone.push(&[&format!("b{kill}")]);
            pushed += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(random % 120));
        server.kill();
        if kill % 7 == 3 {
            // Killed before it has begun to serve.
            let mut child = server.command().spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(random % 40));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        server.start();
    }
    std::fs::write(server.data().join("go"), "").unwrap();
    let runs = server.quiet(RUNS);
    let told: Vec<_> =
        runs.iter().map(|run| (run["number"].clone(), run["state"].clone(), run["error"].clone())).collect();
    assert!(runs.iter().all(|run| run["state"] == "complete"), "{told:?}");
    let mut keys: Vec<_> = runs.iter().map(|run| (run["repo"].to_string(), run["number"].to_string())).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), runs.len());
    server.agrees();
}

/// What runs inside the server dies with it: once it is back, such a run is over, failed, and nothing of it is left.
#[test]
fn runs_inside_the_server_die_with_it_and_are_closed() {
    let mut server = Server::with(r#"return { executor = "host", trusted = true, max_runs = 10 }"#);
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("wait", function(rt) rt.sh("echo $$ > ../../../pid; exec sleep 1000") end)
    "#,
    );
    clone.push(&["main"]);
    let pid = wait_for("the command", || {
        std::fs::read_to_string(server.data().join("pid")).ok().filter(|pid| pid.ends_with('\n'))
    });
    server.until("1", "active");
    server.kill();
    server.start();
    let run = server.until("1", "failed");
    assert_eq!(run["failure_kind"], "orphaned");
    // Whoever adopted it may not have asked for its end yet.
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains(") Z "), "{status}");
    server.agrees();
}

#[test]
fn runs_inside_the_server_may_end_before_it_does() {
    let mut server = Server::with(r#"return { executor = "host", trusted = true, drain = "60s" }"#);
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("wait", function(rt) rt.sh("touch ../../../begun; while [ ! -e ../../../go ]; do sleep 0.02; done") end)
    "#,
    );
    clone.push(&["main"]);
    wait_for("the command", || server.data().join("begun").exists().then_some(()));
    server.signal(rustix::process::Signal::TERM);
    wait_for("the drain", || server.stderr().contains("stopping: 1 run").then_some(()));
    std::fs::write(server.data().join("go"), "").unwrap();
    assert_eq!(server.ended(), Some(0));
    server.start();
    assert_eq!(server.get("/api/v1/runs/1")["state"], "complete");
    server.agrees();
}

#[test]
fn runs_inside_the_server_are_cancelled_after_its_grace() {
    let mut server = Server::with(r#"return { executor = "host", trusted = true, drain = "100ms" }"#);
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("wait", function(rt) rt.sh("touch ../../../begun; sleep 1000") end)
    "#,
    );
    clone.push(&["main"]);
    wait_for("the command", || server.data().join("begun").exists().then_some(()));
    assert_eq!(server.stop(), Some(0));
    server.start();
    assert_eq!(server.get("/api/v1/runs/1")["state"], "aborted");
    server.agrees();
}
