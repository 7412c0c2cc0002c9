-- What to do about things that fail: retries, time-outs, allowed failures, clean-up, and jobs that run whatever happened.
-- This run is green: each failure in it is expected or allowed.

local ci = require "quire.ci"

ci.job("flaky", { retries = 2, desc = "A job that passes on its second attempt" }, function(rt)
  rt.log("attempt " .. rt.attempt)
  if rt.attempt == 1 then
    rt.sh("echo 'the network is down' >&2; exit 1")
  end
  rt.sh("echo 'the network is back'")
end)

ci.job("patient", { desc = "A command that is tried again" }, function(rt)
  local dir = rt.out("mktemp -d")
  -- Deferred functions run last in, first out, after success, failure, skip, time-out and cancel alike.
  rt.defer(function() rt.sh { "rm", "-r", dir } end)
  rt.sh("test -e ready || { touch ready; echo 'not yet'; exit 1; }", { cwd = dir, retries = 3 })
end)

ci.job("bounded", { timeout = "1m", desc = "A command that takes too long" }, function(rt)
  local ok, err = pcall(rt.sh, "sleep 60", { timeout = 1 })
  assert(not ok and err.timeout, "sleep should have been cut short")
  rt.log("caught: " .. tostring(err))
end)

ci.job("tolerant", { desc = "A command whose exit code is an answer" }, function(rt)
  local found = rt.sh("grep -c quire", { stdin = "no such word here\n", check = false })
  rt.log(found.exit == 1 and "not found" or "found")
end)

ci.job("optional", { allow_failure = true, desc = "May fail, and does" }, function(rt)
  rt.sh("echo 'this does not fail the run'; exit 3")
end)

ci.job("unneeded", { desc = "Skips itself" }, function(rt)
  rt.skip("nothing to do today")
end)

ci.job("summary", { "flaky", "patient", "bounded", "tolerant", "optional", "unneeded" },
  { needs = "finished", desc = "Runs however the others ended" },
  function(rt)
    rt.sh("echo all have ended")
  end)
