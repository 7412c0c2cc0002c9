//! What Fennel costs: `quire-ci validate` as a whole process, of `examples/twin-fennel` and of a pipeline of one file, each against
//! the same in Lua.
//!
//! `cargo bench -p quire-ci --bench fennel`. Rounds take turns, so that a machine that is busy is busy for both; printed are
//! medians in milliseconds, and the least, which the other processes of a machine disturb least.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 101;

const LUA: &str = "local ci = require 'quire.ci'
ci.job('build', {timeout = '10m'}, function(rt)
  rt.sh('cargo build')
  for _, mode in ipairs {'debug', 'release'} do rt.sh('echo ' .. mode) end
  return {a = 1}
end)
ci.job('test', {'build'}, function(rt)
  local result = rt.sh('false', {check = false})
  if result.exit == 1 then error('boom') end
end)
";

const FENNEL: &str = "(local ci (require :quire.ci))
(ci.job :build {:timeout :10m}
  (fn [rt]
    (rt.sh \"cargo build\")
    (each [_ mode (ipairs [:debug :release])] (rt.sh (.. \"echo \" mode)))
    {:a 1}))
(ci.job :test [:build]
  (fn [rt]
    (let [result (rt.sh :false {:check false})]
      (when (= result.exit 1) (error :boom)))))
";

fn validate(workspace: &Path) -> f64 {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_quire-ci"))
        .args(["validate", "-w"])
        .arg(workspace)
        .stdout(Stdio::null())
        .status()
        .expect("quire-ci starts");
    assert!(status.success(), "{}", workspace.display());
    begun.elapsed().as_secs_f64() * 1000.0
}

fn compare(what: &str, lua: &Path, fennel: &Path) {
    let (mut with_lua, mut with_fennel) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with_lua.push(validate(lua));
        with_fennel.push(validate(fennel));
    }
    for times in [&mut with_lua, &mut with_fennel] {
        times.sort_by(f64::total_cmp);
    }
    let at = |index: usize| (with_lua[index], with_fennel[index], with_fennel[index] - with_lua[index]);
    let (median, least) = (at(ROUNDS / 2), at(0));
    println!("{what}: Lua {:.2} ms, Fennel {:.2} ms, {:.2} ms more (bar: 12)", median.0, median.1, median.2);
    println!("{what}, least: Lua {:.2} ms, Fennel {:.2} ms, {:.2} ms more", least.0, least.1, least.2);
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, file: &str, text: &str| {
        let root = folder.path().join(name);
        fs::create_dir_all(root.join(".quire")).expect("a folder");
        fs::write(root.join(".quire").join(file), text).expect("a file");
        root
    };
    let (lua, fennel) = (write("lua", "ci.lua", LUA), write("fennel", "ci.fnl", FENNEL));
    compare("one file, two jobs", &lua, &fennel);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    compare("the twins, with a module and macros", &examples.join("twin-lua"), &examples.join("twin-fennel"));
}
