-- Goes on from stdlib_order.lua, in one chunk with it: the table library, metatables, JSON, and the sandbox's globals.

-- Is it a table without metamethods, so that a C function calls nothing back and its length is that of its memory?
local function is_plain(t) return type(t) == "table" and getmetatable(t) == nil end

local function check_table(t, n, name)
  if type(t) ~= "table" then wrong_type(n, name, "table", t) end
end

local function length(t)
  local n = #t
  return math_type(n) == "integer" and n or tointeger(n) or fail("object length is not an integer")
end

function table.insert(t, ...)
  local n = select("#", ...)
  if is_plain(t) then
    if n == 1 then
      t[#t + 1] = (...)
      return
    end
    return guard("insert", pcall(raw_insert, t, ...))
  end
  check_table(t, 1, "insert")
  local stop = length(t) + 1
  local position, value = ...
  if n == 1 then
    t[stop] = position
    return
  elseif n ~= 2 then
    fail("wrong number of arguments to 'insert'")
  end
  position = to_integer(position, 2, "insert")
  if position < 1 or position > stop then bad_argument(2, "insert", "position out of bounds") end
  for i = stop, position + 1, -1 do t[i] = t[i - 1] end
  t[position] = value
end

function table.remove(t, ...)
  if is_plain(t) then return guard("remove", pcall(raw_remove, t, ...)) end
  check_table(t, 1, "remove")
  local size = length(t)
  local position = size
  if select("#", ...) > 0 then
    position = to_integer((...), 2, "remove")
    if size + 1 ~= position and (position < 1 or position > size + 1) and not (size == 0 and position == 0) then
      bad_argument(2, "remove", "position out of bounds")
    end
  end
  local value = t[position]
  while position < size do
    t[position] = t[position + 1]
    position = position + 1
  end
  t[position] = nil
  return value
end

function table.move(from, first, last, target, to)
  check_table(from, 1, "move")
  if to == nil then to = from else check_table(to, 5, "move") end
  first, last = to_integer(first, 2, "move"), to_integer(last, 3, "move")
  target = to_integer(target, 4, "move")
  if last < first then return to end
  if first <= 0 and last >= math.maxinteger + first then bad_argument(3, "move", "too many elements to move") end
  if target > math.maxinteger - (last - first + 1) + 1 then bad_argument(4, "move", "destination wrap around") end
  if last - first < AT_ONCE and is_plain(from) and is_plain(to) then return raw_move(from, first, last, target, to) end
  if target > last or target <= first or to ~= from then
    for i = 0, last - first do to[target + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do to[target + i] = from[first + i] end
  end
  return to
end

-- The same elements in a table without metamethods.
local function plain_copy(t, first, last)
  local copy = {}
  for i = first, last do copy[i] = t[i] end
  return copy
end

function table.concat(t, separator, first, last)
  if not is_plain(t) then
    check_table(t, 1, "concat")
    first, last = to_integer(first, 3, "concat", 1), last == nil and length(t) or to_integer(last, 4, "concat")
    -- An endless row of metamethod answers ends at the limit of instructions or of memory.
    t = plain_copy(t, first, last)
  end
  return guard("concat", pcall(raw_concat, t, separator, first, last))
end

function table.unpack(t, first, last)
  if is_plain(t) then
    if first == nil and last == nil and #t < 200 then return raw_unpack(t) end
  else
    check_table(t, 1, "unpack")
    first, last = to_integer(first, 2, "unpack", 1), last == nil and length(t) or to_integer(last, 3, "unpack")
    if first > last then return end
    if last - first < 0 or last - first >= 1000000 then fail("too many results to unpack") end
    t = plain_copy(t, first, last)
  end
  return guard("unpack", pcall(raw_unpack, t, first, last))
end

local function has_less(value)
  local meta = getmetatable(value) ~= nil and metatable_of(value)
  return meta and rawget(meta, "__lt") ~= nil
end

local function any_less(a, b)
  local kind, other = type(a), type(b)
  if kind == other and (kind == "number" or kind == "string") or has_less(a) or has_less(b) then return a < b end
  kind, other = type_name(a), type_name(b)
  if kind == other then fail("attempt to compare two " .. kind .. " values") end
  fail("attempt to compare " .. kind .. " with " .. other)
end

local function kind_of_all(list, n)
  local kind = type(list[1])
  if kind ~= "string" and kind ~= "number" then return nil end
  for i = 2, n do
    if type(list[i]) ~= kind then return nil end
  end
  return kind
end

function table.sort(t, less)
  check_table(t, 1, "sort")
  local n = length(t)
  if n < 2 then return end
  if n >= 0x7fffffff then bad_argument(1, "sort", "array too big") end
  if less ~= nil and type(less) ~= "function" then wrong_type(2, "sort", "function", less) end
  local list = {}
  for i = 1, n do list[i] = t[i] end
  if less == nil then
    local kind = kind_of_all(list, n)
    if kind == "string" then
      list = sort_distinct(list, n)
    else
      list = merge_sort(list, n, kind and plain_less or any_less)
    end
  else
    list = merge_sort(list, n, less)
  end
  for i = 1, n do t[i] = list[i] end
end

-- Basic functions ---------------------------------------------------------------------------------------------------------

local function setmetatable(t, meta)
  if type(meta) == "table" then
    if rawget(meta, "__gc") ~= nil then
      fail("setmetatable: __gc is not available in a pipeline: when it would run differs from run to run; use rt.defer, or a "
        .. "local <close> variable")
    elseif rawget(meta, "__mode") ~= nil then
      fail("setmetatable: __mode is not available in a pipeline: what a weak table holds differs from run to run; remove the "
        .. "entries that are no longer needed")
    end
    if is_plain(t) then return raw_setmetatable(t, meta) end
  end
  return guard("setmetatable", pcall(raw_setmetatable, t, meta))
end

-- Not of Lua 5.4, but a compatible build has them.
for _, name in ipairs({ "atan2", "cosh", "frexp", "ldexp", "log10", "pow", "sinh", "tanh" }) do math[name] = nil end

function math.randomseed()
  fail("math.randomseed is not available in a pipeline: math.random is seeded by the run and the job, so that a run can be repeated")
end

-- JSON --------------------------------------------------------------------------------------------------------------------

-- Tables that are arrays even when they are empty.
local arrays = raw_setmetatable({}, { __mode = "k" })
local json = { null = native.null }

function json.encode(value, options)
  if options ~= nil and type(options) ~= "table" then wrong_type(2, "encode", "table", options) end
  local indent = options ~= nil and rawget(options, "indent")
  return checked(native.json_encode(value, indent and true or false))
end

function json.decode(text)
  if type(text) ~= "string" then wrong_type(1, "decode", "string", text) end
  local ok, value = native.json_decode(text)
  if not ok then fail(value) end
  return value
end

function json.array(t)
  if t == nil then t = {} end
  check_table(t, 1, "array")
  arrays[t] = true
  return t
end

env.string, env.table, env.math, env.utf8, env.json = string, table, math, raw.utf8, json
env.tostring, env.next, env.pairs, env.ipairs, env.setmetatable = tostring, ordered_next, pairs, ipairs, setmetatable
env.type, env.select, env.error, env.assert, env.tonumber = type, select, error, raw.assert, tonumber
env.getmetatable, env.rawget, env.rawset = getmetatable, rawget, raw.rawset
env.rawequal, env.rawlen = raw.rawequal, raw.rawlen
env._G, env._VERSION = env, raw._VERSION

return arrays
end)()
