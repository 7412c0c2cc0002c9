-- Commands in the background: a service that lives as long as its job, and commands that run at once.

local ci = require "quire.ci"

ci.job("service", { desc = "Ask a server that runs beside the script" }, function(rt)
  local dir = rt.out("mktemp -d")
  rt.defer(function() rt.sh { "rm", "-r", dir } end)
  rt.sh { "mkfifo", dir .. "/ask", dir .. "/answer" }

  -- A service takes no slot of -j. It is stopped when the job ends, before deferred functions run, and its exit code does not
  -- count. Here it is a few lines of shell; a database or a web server is started in the same way.
  rt.spawn("while read -r word < ask; do echo \"you said: $word\" > answer; done", { service = true, cwd = dir })

  -- Opening a FIFO waits for the other side. With a server that listens on a port, ask until it answers:
  --   rt.sh("until curl -fsS localhost:8080/health; do sleep 0.1; done", { timeout = "30s" })
  for _, word in ipairs { "one", "two" } do
    local answer = rt.out("echo " .. word .. " > ask; cat answer", { cwd = dir })
    rt.log(answer)
    assert(answer == "you said: " .. word)
  end
end)

ci.job("parallel", { desc = "Several commands of one job at once" }, function(rt)
  -- all starts what is not yet running, waits for everything, and gives the results in the order written.
  local results = rt.all {
    "sleep 0.2; echo slow",
    { "echo", "an argv, without a shell" },
    "echo quick",
  }
  rt.log("first: " .. results[1].stdout .. "second: " .. results[2].stdout)

  -- spawn gives a handle; the script goes on, and waits where it needs the result.
  local build = rt.spawn("sleep 0.2; echo built")
  rt.sh("echo something else meanwhile")
  assert(build:wait().stdout == "built\n")
end)
