-- The same pipeline as examples/twin-fennel, which is written in Fennel: both give the same orders.

local ci = require "quire.ci"
local scratch = require "scratch"

ci.defaults { timeout = "5m", env = { GREETING = "hello" } }

local built = {}

for _, mode in ipairs { "debug", "release" } do
  local id = "build-" .. mode
  table.insert(built, id)
  ci.job(id, { desc = "Build for " .. mode }, function(rt)
    local dir = scratch.folder(rt)
    rt.sh("echo \"$GREETING, $MODE\" > out; cat out", { cwd = dir, env = { MODE = mode } })
    return { ["file-size"] = tonumber(rt.out("wc -c < out", { cwd = dir })), mode = mode }
  end)
end

ci.job("test", built, { retries = 1, allow_failure = true, desc = "Two commands at once, the second may fail" }, function(rt)
  if not rt.push.sha then rt.log("no commit") end
  local results = rt.all { "echo unit tests", { "sh", "-c", "echo style tests" } }
  for i, result in ipairs(results) do
    rt.log(i, (result.stdout:gsub("\n$", "")))
  end
  local found = rt.sh("grep -c quire", { stdin = "nothing here\n", check = false })
  assert(found.exit == 1, "grep should find nothing")
end)

ci.job("report", { "test", "build-debug" }, { needs = "finished" }, function(rt)
  local file = "quire-report.txt"
  rt.defer(function() rt.sh { "rm", file } end)
  rt.write_file(file, rt.json.encode(rt.jobs("build-debug")))
  rt.log(rt.read_file(file))
  local ok, err = pcall(rt.sh, "exit 3")
  if not ok then rt.log("caught exit code " .. err.exit) end
end)
