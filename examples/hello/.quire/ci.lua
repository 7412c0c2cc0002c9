-- Three jobs. "left" and "right" need nothing of each other and run at once; "both" waits for both.

local ci = require "quire.ci"

ci.job("left", { desc = "One half of the greeting" }, function(rt)
  rt.sh("echo working on the left half")
  return { word = "hello" }
end)

ci.job("right", { desc = "The other half" }, function(rt)
  rt.sh("echo working on the right half")
  return { word = rt.out("echo world") }
end)

ci.job("both", { "left", "right" }, { desc = "Put the halves together" }, function(rt)
  local text = rt.jobs("left").word .. ", " .. rt.jobs("right").word
  rt.sh { "echo", text }
end)
