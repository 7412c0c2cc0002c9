//! A backup that is made while runs go on is a record that can be served.

use crate::support::Server;

#[test]
fn a_backup_of_a_busy_server_is_restored() {
    let server = Server::with("return { max_runs = 2 }");
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("work", function(rt)
          if rt.push.branch == "wait" then
            repeat until rt.sh("echo line; sleep 0.05; test -e ../../../go", { check = false }).exit == 0
          end
        end)
    "#,
    );
    clone.push(&["main"]);
    server.until("1", "complete");
    clone.git(&["checkout", "-q", "-b", "wait"]);
    clone.commit("waits");
    clone.push(&["wait"]);
    server.until("2", "active");
    let backup = server.dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    let said = server.done(&["backup", backup]);
    assert!(said.contains("2 runs"), "{said}");
    let again = server.done(&["backup", backup]);
    assert!(again.contains("2 runs"), "{again}");
    std::fs::write(server.data().join("go"), "").unwrap();
    server.quiet(2);
    let mut restored = Server::unstarted("");
    std::fs::remove_file(restored.data().join("config.lua")).unwrap();
    restored.done(&["restore", backup]);
    let output = restored.quire(&["restore", backup]);
    assert_eq!(output.status.code(), Some(2), "not over what is there");
    assert_eq!(std::fs::read_to_string(restored.data().join("config.lua")).unwrap(), "return { max_runs = 2 }");
    restored.start();
    assert_eq!(restored.get("/api/v1/runs/1")["state"], "complete");
    let run = restored.get("/api/v1/runs/2");
    assert_eq!((run["state"].as_str(), run["failure_kind"].as_str()), (Some("failed"), Some("orphaned")));
    restored.agrees();
}
