//! What a service manager does to a server's control group, done to a real one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Server, wait_for};

/// A control group of this test's own, in whichever hierarchy this machine lets it make one.
struct Group(PathBuf);

impl Group {
    fn new() -> Group {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = |prefix: &str| {
            own.lines()
                .find_map(|line| line.split_once(prefix))
                .map(|(_, path)| path.trim_start_matches('/').to_owned())
        };
        let candidates = [
            ("/sys/fs/cgroup/unified", own("0::")),
            ("/sys/fs/cgroup/systemd", own("name=systemd:")),
            ("/sys/fs/cgroup", own("0::")),
            ("/sys/fs/cgroup/pids", own("pids:")),
        ];
        for (root, own) in candidates {
            let Some(own) = own else { continue };
            let path = Path::new(root).join(own).join(format!("quire-test-{}", std::process::id()));
            if fs::create_dir(&path).is_ok() && path.join("cgroup.procs").exists() {
                return Group(path);
            }
        }
        panic!("this machine lets no control group be made: run the tests as root, or in a delegated one");
    }

    fn add(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    fn processes(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.0.join("cgroup.procs")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The unit as shipped: what it says of stopping is what is done here.
fn unit(key: &str) -> String {
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/quire.service")).unwrap();
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit says nothing of {key}")).to_owned()
}

/// Stops what is in the group as systemd.kill(5) says for the unit's KillMode.
fn stop(group: &Group, server: &mut Server) {
    match unit("KillMode").as_str() {
        "process" => assert_eq!(server.stop(), Some(0)),
        "control-group" => {
            for pid in group.processes() {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::TERM,
                );
            }
            server.ended();
        }
        other => panic!("this test does not know KillMode={other}"),
    }
}

#[test]
fn a_restart_of_the_unit_spares_the_runs_in_its_group() {
    let group = Group::new();
    let mut server = Server::with("return {}");
    group.add(server.pid());
    let clone = server.repository(
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("wait", function(rt) rt.sh("while [ ! -e ../../../go ]; do sleep 0.02; done") end)
    "#,
    );
    clone.push(&["main"]);
    server.until("1", "active");
    wait_for("server, driver and command in the group", || (group.processes().len() >= 3).then_some(()));
    stop(&group, &mut server);
    assert!(group.processes().len() >= 2, "the driver and its command are still there");
    server.start();
    group.add(server.pid());
    assert_eq!(server.get("/api/v1/runs/1")["state"], "active");
    fs::write(server.data().join("go"), "").unwrap();
    server.until("1", "complete");
    server.agrees();
    drop(server);
    wait_for("the group to be empty", || group.processes().is_empty().then_some(()));
}
