-- A matrix is two loops: every input with every level of gzip, six jobs that run at once, and a seventh that compares them.

local ci = require "quire.ci"

local inputs = {
  numbers = "seq 1 20000",
  zeros = "head -c 200000 /dev/zero",
}
local levels = { 1, 6, 9 }

local cells = {}

-- pairs goes in sorted order here, so the jobs have the same order every time.
for name, make in pairs(inputs) do
  for _, level in ipairs(levels) do
    local id = "gzip-" .. name .. "-" .. level
    table.insert(cells, id)
    ci.job(id, { desc = "Level " .. level .. " on " .. name }, function(rt)
      local size = rt.out(make .. " | gzip -c -" .. level .. " | wc -c")
      return { input = name, level = level, bytes = tonumber(size) }
    end)
  end
end

ci.job("report", cells, { desc = "Compare the sizes" }, function(rt)
  for _, id in ipairs(cells) do
    local cell = rt.jobs(id)
    rt.log(string.format("%-8s level %d %8d bytes", cell.input, cell.level, cell.bytes))
  end
end)
