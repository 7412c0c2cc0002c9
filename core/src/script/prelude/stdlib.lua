-- The sandbox's standard library: Lua 5.4's, without what can hang the host or differ from run to run. This file: errors, texts,
-- strings; stdlib_order.lua and stdlib_tables.lua go on in the same chunk.
--
-- Gets the native functions (Rust), the raw globals and the sandbox's own globals, which it fills. Lua's own C functions are
-- kept where their work is bounded and they call nothing back; what sorts, replaces or walks with callbacks is written here, so
-- that the instruction hook sees it and a callback may yield. Loaded under a chunk name that begins with "=": that is how
-- `native.where` tells these frames from the pipeline's. Nothing here may use a global or a string method: scripts can
-- replace those.

local native, raw, env = ...

local type, next, select, pcall, error = raw.type, raw.next, raw.select, raw.pcall, raw.error
local getmetatable, raw_setmetatable = raw.getmetatable, raw.setmetatable
local rawget, raw_tostring, tonumber = raw.rawget, raw.tostring, raw.tonumber
local string, table, math = raw.string, raw.table, raw.math
local sub, raw_find, raw_match, raw_format = string.sub, string.find, string.match, string.format
local raw_rep, raw_pack = string.rep, string.pack
local raw_sort, raw_concat, raw_unpack = table.sort, table.concat, table.unpack
local raw_insert, raw_remove, raw_move = table.insert, table.remove, table.move
local math_type, tointeger = math.type, math.tointeger
local where, metatable_of = native.where, native.metatable

local LARGEST = 16 * 1024 * 1024
-- How much a C function may do at once: above it, the same is done here, where the hook sees it.
local AT_ONCE = 4096

-- All that follows is one function, so that its closures share the names above as its upvalues. As locals beside them, every
-- closure that is made would search for each of them in the list of open upvalues: a twelfth of what a VM costs.
return (function()

-- Errors ------------------------------------------------------------------------------------------------------------------

local function fail(message)
  if message == "not enough memory" then error(message, 0) end
  error((where()) .. message, 0)
end

local function type_name(value)
  local meta = metatable_of(value)
  local name = meta and rawget(meta, "__name")
  return type(name) == "string" and name or type(value)
end

-- Lua's wording; in a method call the object is not counted.
local function bad_argument(n, name, message)
  local position, method = where()
  if method then
    n = n - 1
    if n == 0 then error(position .. "calling '" .. name .. "' on bad self (" .. message .. ")", 0) end
  end
  error(position .. "bad argument #" .. n .. " to '" .. name .. "' (" .. message .. ")", 0)
end

local function wrong_type(n, name, expected, value)
  bad_argument(n, name, expected .. " expected, got " .. type_name(value))
end

-- Passes on what a C function gave under pcall, its errors with the pipeline's position and the name the pipeline knows.
local function guard(name, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) ~= "string" then error(message, 0) end
  local n, text = raw_match(message, "^bad argument #(%d+) to '[^']*' %((.*)%)$")
  if n then bad_argument(tonumber(n), name, text) end
  fail(message)
end

-- Passes on what a native function gave: `false` and a message is an error.
local function checked(first, ...)
  if first == false then fail((...)) end
  return first, ...
end

local function to_string(value, n, name)
  if type(value) == "string" then return value end
  if type(value) == "number" then return raw_tostring(value) end
  wrong_type(n, name, "string", value)
end

local function to_integer(value, n, name, default)
  if math_type(value) == "integer" then return value end
  if value == nil and default then return default end
  local number = value
  if type(value) == "string" then number = tonumber(value) end
  if type(number) ~= "number" then wrong_type(n, name, "number", value) end
  return tointeger(number) or bad_argument(n, name, "number has no integer representation")
end

-- Values as text ----------------------------------------------------------------------------------------------------------

-- Objects are numbered as they are first shown or ordered: what takes the place of an address.
local serials = raw_setmetatable({}, { __mode = "k" })
local last_serial = 0

local function serial(object)
  local number = serials[object]
  if not number then
    number = last_serial + 1
    last_serial = number
    serials[object] = number
  end
  return number
end

local addressed = { table = true, ["function"] = true, thread = true, userdata = true }

local function tostring(value)
  local kind = type(value)
  if not addressed[kind] then return raw_tostring(value) end
  if kind == "userdata" then
    local text = native.userdata_text(value)
    if text then return text end
  elseif kind == "table" and getmetatable(value) ~= nil then
    local meta = metatable_of(value)
    local handler = rawget(meta, "__tostring")
    if handler ~= nil then
      local text = handler(value)
      if type(text) ~= "string" then
        if type(text) ~= "number" then fail("'__tostring' must return a string") end
        text = raw_tostring(text)
      end
      return text
    end
    local name = rawget(meta, "__name")
    if type(name) == "string" then kind = name end
  end
  return kind .. ": " .. serial(value)
end

-- Strings -----------------------------------------------------------------------------------------------------------------

-- The 0-based offset of a start position, which may count from the end.
local function offset(init, length, n, name)
  init = to_integer(init, n, name, 1)
  if init > 0 then return init - 1 end
  if init == 0 or init < -length then return 0 end
  return length + init
end

local native_find, native_match, native_step = native.find, native.match, native.step

function string.find(s, pattern, init, plain)
  if type(s) ~= "string" then s = to_string(s, 1, "find") end
  if type(pattern) ~= "string" then pattern = to_string(pattern, 2, "find") end
  local at = 0
  if init ~= nil then
    at = offset(init, #s, 3, "find")
    if at > #s then return nil end
  end
  if plain and #s <= AT_ONCE then return raw_find(s, pattern, at + 1, true) end
  return checked(native_find(s, pattern, at, plain and true or false))
end

function string.match(s, pattern, init)
  if type(s) ~= "string" then s = to_string(s, 1, "match") end
  if type(pattern) ~= "string" then pattern = to_string(pattern, 2, "match") end
  local at = 0
  if init ~= nil then
    at = offset(init, #s, 3, "match")
    if at > #s then return nil end
  end
  return checked(native_match(s, pattern, at))
end

function string.gmatch(s, pattern, init)
  s = to_string(s, 1, "gmatch")
  pattern = to_string(pattern, 2, "gmatch")
  local at, last = offset(init, #s, 3, "gmatch"), -1
  if at > #s then at = nil end
  local function take(first, stop, ...)
    if not first then
      at = nil
      if first == false then fail(stop) end
      return nil
    end
    at, last = stop, stop
    return ...
  end
  return function()
    if at then return take(native_step(s, pattern, at, last, true)) end
  end
end

local function replacement(with, first, stop, ...)
  if not first then return first, stop end
  if type(with) == "function" then return first, stop, (with(...)) end
  return first, stop, with[(...)]
end

function string.gsub(s, pattern, with, limit)
  s = to_string(s, 1, "gsub")
  pattern = to_string(pattern, 2, "gsub")
  limit = to_integer(limit, 4, "gsub", #s + 1)
  local kind = type(with)
  if kind == "string" or kind == "number" then
    local text, count = checked(native.replace(s, pattern, to_string(with), limit < 0 and 0 or limit))
    return text or s, count
  elseif kind ~= "function" and kind ~= "table" then
    wrong_type(3, "gsub", "string/function/table", with)
  end
  local anchored = sub(pattern, 1, 1) == "^"
  local pieces, used, count, at, last = {}, 0, 0, 0, -1
  while count < limit and at <= #s do
    local first, stop, value = replacement(with, native_step(s, pattern, at, last, false))
    if not first then
      if first == false then fail(stop) end
      break
    end
    count = count + 1
    local copied = last < 0 and 0 or last
    if not value then
      value = sub(s, first, stop)
    elseif type(value) ~= "string" and type(value) ~= "number" then
      fail("invalid replacement value (a " .. type(value) .. ")")
    end
    pieces[used + 1] = sub(s, copied + 1, first - 1)
    pieces[used + 2] = value
    used = used + 2
    at, last = stop, stop
    if anchored then break end
  end
  if count == 0 then return s, 0 end
  pieces[used + 1] = sub(s, last + 1)
  return raw_concat(pieces), count
end

function string.rep(s, n, separator)
  s = to_string(s, 1, "rep")
  n = to_integer(n, 2, "rep")
  separator = separator == nil and "" or to_string(separator, 3, "rep")
  local each = #s + #separator
  if n <= 0 or each == 0 then return "" end
  if n > LARGEST // each + 1 or each * n - #separator > LARGEST then
    fail("string.rep: resulting string too large (at most 16 MiB)")
  end
  return raw_rep(s, n, separator)
end

-- Gives every %s its text and refuses %p; all other limits are those of Lua's own format.
local function format_texts(format, args)
  local at, n = 1, 0
  while true do
    local escape = raw_find(format, "%", at, true)
    if not escape then return end
    local _, stop, conversion = raw_find(format, "^[-+ #0-9.]*(.?)", escape + 1)
    at = stop + 1
    if conversion ~= "%" or stop > escape + 1 then
      n = n + 1
      if conversion == "p" then
        fail("string.format: '%p' shows an address, which differs from run to run; use %s, or tostring(value)")
      elseif conversion == "s" and addressed[type(args[n])] then
        args[n] = tostring(args[n])
      end
    end
  end
end

function string.format(format, ...)
  format = to_string(format, 1, "format")
  local n = select("#", ...)
  local special = raw_find(format, "p", 1, true)
  if not special then
    local a, b, c = ...
    special = n > 3 or addressed[type(a)] or addressed[type(b)] or addressed[type(c)]
  end
  if not special then return guard("format", pcall(raw_format, format, ...)) end
  local args = { ... }
  format_texts(format, args)
  return guard("format", pcall(raw_format, format, raw_unpack(args, 1, n)))
end

function string.pack(format, ...)
  format = to_string(format, 1, "pack")
  if raw_find(format, "c%d%d%d%d%d%d%d%d") then fail("string.pack: a field of more than 9,999,999 bytes is too large") end
  return guard("pack", pcall(raw_pack, format, ...))
end

function string.dump()
  fail("string.dump is not available in a pipeline: functions cannot be saved; keep the code in .quire/lib and require it")
end
