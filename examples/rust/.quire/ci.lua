-- A small Rust crate: checks and the build run side by side, later jobs use what the build returned.
--
-- Jobs of a run share one working directory. cargo itself makes two cargo commands in one target directory wait for each other,
-- so "lint" has a target directory of its own and truly runs beside "build".

local ci = require "quire.ci"

ci.defaults { timeout = "10m", env = { CARGO_TARGET_DIR = "target" } }

ci.job("format", { desc = "rustfmt agrees" }, function(rt)
  rt.sh("cargo fmt --check")
end)

ci.job("lint", { desc = "clippy has nothing to say", env = { CARGO_TARGET_DIR = "target/lint" } }, function(rt)
  rt.sh("cargo clippy --offline --all-targets -- -D warnings")
end)

ci.job("build", { desc = "The release binary" }, function(rt)
  rt.sh("cargo build --offline --release")
  return {
    binary = "target/release/greet",
    bytes = tonumber(rt.out("wc -c < target/release/greet")),
    compiler = rt.out { "rustc", "--version" },
  }
end)

ci.job("test", { "build" }, { desc = "Unit tests, then the binary itself" }, function(rt)
  rt.sh("cargo test --offline --release")
  local said = rt.out { rt.jobs("build").binary, "quire" }
  assert(said == "hello, quire", "the binary said: " .. said)
end)

ci.job("package", { "format", "lint", "test", "build" }, { desc = "An archive with a manifest" }, function(rt)
  local build = rt.jobs("build")
  rt.sh("mkdir -p target/package")
  rt.write_file("target/package/manifest.json", rt.json.encode {
    binary = build.binary,
    bytes = build.bytes,
    compiler = build.compiler,
    commit = rt.push.sha or rt.json.null,
  })
  rt.sh("cp " .. build.binary .. " target/package/ && tar -C target -czf target/greet.tar.gz package")
  rt.log("target/greet.tar.gz holds a binary of " .. build.bytes .. " bytes")
end)
