//! Pipelines and pushes that several tests look at.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Clone, Server, wait_for};

/// Whose repositories are public, with their logs.
pub const PUBLIC: &str = r#"return { public = true, open_logs = true, min_free = 0 }"#;
pub const PRIVATE: &str = "return { min_free = 0 }";

pub const REPO: &str = "work/foo.git";

/// One job that passes, one that fails, one that is skipped; both streams, colours, two commands.
pub const MIXED: &str = r#"local ci = require "quire.ci"
ci.job("build", { desc = "Compile" }, function(rt)
  rt.log("building")
  rt.sh("echo one; printf '\\033[31mred\\033[0m and \\033[1mbold\\033[0m\\n'; echo oops >&2")
  rt.sh("seq 1 1200")
end)
ci.job("test", { "build" }, function(rt)
  rt.sh("echo running 3 tests; echo 'error: the sum is 5, not 4' >&2; exit 3")
end)
ci.job("deploy", { "test" }, function(rt) rt.sh("true") end)
"#;

pub const GREEN: &str = r#"local ci = require "quire.ci"
ci.job("build", function(rt) rt.sh("echo built") end)
ci.job("test", { "build" }, function(rt) rt.sh("echo tested") end)
"#;

/// A build that goes on for as long as its test wishes: it prints what it is fed with.
pub struct Feed {
    file: PathBuf,
}

impl Feed {
    /// Beside the server's data directory.
    pub fn new(server: &Server) -> Feed {
        let file = server.dir.path().join("feed");
        std::fs::write(&file, "").unwrap();
        Feed { file }
    }

    /// Two jobs: `slow` prints every line that is fed until `end` comes; `after` needs it.
    pub fn pipeline(&self) -> String {
        let file = self.file.display();
        format!(
            r#"local ci = require "quire.ci"
ci.job("slow", function(rt) rt.sh("tail -n +1 -s 0.05 -f {file} | sed -u '/^end$/q'") end)
ci.job("after", {{ "slow" }}, function(rt) rt.sh("echo after") end)
"#
        )
    }

    /// One more line.
    pub fn line(&self, text: &str) {
        use std::io::Write as _;
        let mut file = std::fs::File::options().append(true).open(&self.file).unwrap();
        writeln!(file, "{text}").unwrap();
    }

    pub fn end(&self) {
        self.line("end");
    }
}

/// Pushes `main` and waits until its run is over.
#[track_caller]
pub fn pushed(server: &Server, clone: &Clone) -> Value {
    let before = server.runs().len();
    clone.push(&["main"]);
    server.quiet(before + 1).remove(0)
}

/// Pushes `main` and waits until its run has begun.
#[track_caller]
pub fn begun(server: &Server, clone: &Clone) -> Value {
    let before = server.runs().len();
    clone.push(&["main"]);
    wait_for("a run to begin", || {
        let runs = server.runs();
        (runs.len() > before && runs[0]["state"] != "pending").then(|| runs[0].clone())
    })
}

/// The file with a command's log.
pub fn log_file(server: &Server, run: &Value, job: &str, n: u32) -> PathBuf {
    let run = run["id"].as_str().unwrap();
    server.data().join("runs").join(run).join(Path::new("jobs").join(job)).join(format!("sh-{n}.log"))
}
