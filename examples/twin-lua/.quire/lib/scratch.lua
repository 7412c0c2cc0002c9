-- Folders that are gone when their job ends.

local scratch = {}

function scratch.folder(rt)
  local dir = rt.out("mktemp -d")
  rt.defer(function() rt.sh { "rm", "-r", dir } end)
  return dir
end

return scratch
