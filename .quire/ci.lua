-- quire's own pipeline: what .ci/run asks for, as jobs. `quire-ci run` runs it here; jobs share this working directory.
local ci = require "quire.ci"

ci.defaults { timeout = "30m", env = { CARGO_TERM_PROGRESS_WHEN = "never" } }

ci.job("fmt", { desc = "Formatting is rustfmt's" }, function(rt)
  rt.sh("cargo fmt --all --check")
end)

ci.job("clippy", { desc = "No warnings" }, function(rt)
  rt.sh("cargo clippy --workspace --all-targets --locked -- -D warnings")
end)

-- After clippy, and not beside it: cargo takes turns on the target folder anyway.
ci.job("test", { "fmt", "clippy" }, { desc = "The tests of the README" }, function(rt)
  rt.sh("cargo test --workspace --locked")
end)

ci.job("docs", { "clippy" }, { desc = "The documentation has no broken links" }, function(rt)
  rt.sh("cargo doc --workspace --no-deps --locked", { env = { RUSTDOCFLAGS = "-D warnings" } })
end)
