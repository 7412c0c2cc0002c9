-- The sandbox's standard library: Lua 5.4's, without what can hang the host or differ from run to run.
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

-- Order -------------------------------------------------------------------------------------------------------------------

-- A stable merge sort of list[1..n] with a buffer of the same size; returns the one of the two that holds the result.
local function merge_sort(list, n, less)
  for low = 1, n, 8 do
    local high = low + 7
    if high > n then high = n end
    for i = low + 1, high do
      local value, j = list[i], i - 1
      while j >= low and less(value, list[j]) do
        list[j + 1] = list[j]
        j = j - 1
      end
      list[j + 1] = value
    end
  end
  local from, to, width = list, {}, 8
  while width < n do
    for low = 1, n, 2 * width do
      local left, middle = low, low + width
      local right, high = middle, middle + width
      if middle > n + 1 then middle = n + 1 end
      if high > n + 1 then high = n + 1 end
      for i = low, high - 1 do
        if left < middle and (right >= high or not less(from[right], from[left])) then
          to[i] = from[left]
          left = left + 1
        else
          to[i] = from[right]
          right = right + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  return from
end

local function plain_less(a, b) return a < b end

-- Sorts different strings, or different numbers: there is one right order only, so that Lua's own sort will do.
local function sort_distinct(list, n)
  if n < 2 then return list end
  if n > AT_ONCE then return merge_sort(list, n, plain_less) end
  raw_sort(list)
  return list
end

local function serial_less(a, b) return serials[a] < serials[b] end

local function sort_objects(list, n)
  local unseen = 0
  for i = 1, n do
    if not serials[list[i]] then unseen = unseen + 1 end
  end
  if unseen > 1 then
    fail("the keys of this table have no fixed order: " .. unseen .. " of them are tables, functions or the like that were never "
      .. "shown; use strings or numbers as keys, keep the objects in a list, or number each with tostring(object) when you make it")
  end
  for i = 1, n do serial(list[i]) end
  return merge_sort(list, n, serial_less)
end

-- The keys of a table in the order of pairs: integers from 1 on, other numbers, strings by their bytes, false, true, then objects in
-- the order of their serial numbers. The integers 1..from are left out; so are the objects, on demand, where there are other keys.
local function sorted_keys(t, from, no_objects)
  local list, count = {}, 0
  local numbers, strings, objects, number_count, string_count, object_count = nil, nil, nil, 0, 0, 0
  local has_false, has_true
  -- What Lua keeps as an array comes first, and in order.
  local expected = 1
  for key in next, t do
    local kind = key == expected and expected <= from or type(key)
    if kind == true then
      expected = expected + 1
    elseif kind == "string" then
      if not strings then strings = {} end
      string_count = string_count + 1
      strings[string_count] = key
    elseif kind == "number" then
      if key < 1 or math_type(key) == "float" then
        if not numbers then numbers = {} end
        number_count = number_count + 1
        numbers[number_count] = key
      elseif key > from then
        count = count + 1
        list[count] = key
      end
    elseif kind == "boolean" then
      if key then has_true = true else has_false = true end
    else
      if not objects then objects = {} end
      object_count = object_count + 1
      objects[object_count] = key
    end
  end
  list = sort_distinct(list, count)
  if numbers then
    numbers = sort_distinct(numbers, number_count)
    for i = 1, number_count do list[count + i] = numbers[i] end
    count = count + number_count
  end
  if strings then
    strings = sort_distinct(strings, string_count)
    if count == 0 then
      list = strings
    else
      for i = 1, string_count do list[count + i] = strings[i] end
    end
    count = count + string_count
  end
  if has_false then count = count + 1; list[count] = false end
  if has_true then count = count + 1; list[count] = true end
  if objects and not (no_objects and count > 0) then
    objects = sort_objects(objects, object_count)
    for i = 1, object_count do list[count + i] = objects[i] end
    count = count + object_count
  end
  return list, count
end

local function pairs(t)
  if getmetatable(t) ~= nil then
    local meta = metatable_of(t)
    local handler = meta and rawget(meta, "__pairs")
    if handler ~= nil then
      local step, state, control = handler(t)
      return step, state, control
    end
  end
  if type(t) ~= "table" then wrong_type(1, "pairs", "table", t) end
  -- A sequence needs no list; the list of all other keys is made where the sequence ends.
  local index, list, count, position = 0, nil, 0, 0
  return function()
    if index then
      local i = index + 1
      local value = rawget(t, i)
      if value ~= nil then
        index = i
        return i, value
      end
      list, count = sorted_keys(t, index)
      index = nil
    end
    while position < count do
      position = position + 1
      local key = list[position]
      local value = rawget(t, key)
      -- Removed while the loop runs: not visited.
      if value ~= nil then return key, value end
    end
    return nil
  end, t, nil
end

local ranks = { number = 2, string = 3 }

local function rank(key)
  if math_type(key) == "integer" and key >= 1 then return 1 end
  if key == false then return 4 end
  if key == true then return 5 end
  return ranks[type(key)] or 6
end

-- Does key `a` come before key `b` in sorted_keys?
local function precedes(a, b)
  local rank_a, rank_b = rank(a), rank(b)
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a == 6 then return serial(a) < serial(b) end
  return rank_a < 4 and a < b
end

-- What next knows of the tables that are walked with it. next(t) must be quick, because that is how one asks whether a table is empty, so
-- it gives the first live key of `heads`, a list that may be older than some smaller keys. A walk that begins at such a key
-- `start` goes round: to the last key in the order of sorted_keys, then from the smallest one up to `start`. `handed` holds the
-- keys that next(t) gave and where a walk may begin, `last` the key where the present walk is, `keys` from `at` on those still
-- to come (nil: the next integer will do).
local cursors = raw_setmetatable({}, { __mode = "k" })

local function cursor_of(t)
  local cursor = cursors[t]
  if not cursor then
    cursor = { head = 1, head_count = 0, handed = {} }
    cursors[t] = cursor
  end
  return cursor
end

local function first_key(t)
  local value = rawget(t, 1)
  if value ~= nil then
    cursor_of(t).handed[1] = true
    return 1, value
  end
  if next(t) == nil then return nil end
  local cursor = cursor_of(t)
  -- Another key than `last`, if there is one: else a new walk could not be told from the present one going on.
  local last, last_value = cursor.last, nil
  for attempt = 1, 2 do
    local skipped = false
    for i = cursor.head, cursor.head_count do
      local key = cursor.heads[i]
      value = rawget(t, key)
      if value ~= nil then
        if not skipped then cursor.head = i end
        if key ~= last then
          cursor.handed[key] = true
          return key, value
        end
        skipped, last_value = true, value
      end
    end
    if attempt == 1 then
      cursor.heads, cursor.head_count = sorted_keys(t, 0, true)
      cursor.head = 1
    end
  end
  return last, last_value
end

-- The keys that a walk from `start` (nil: from the smallest key) comes to after `key`.
local function keys_after(t, key, start)
  local sorted, total = sorted_keys(t, 0)
  local keys, count = {}, 0
  local wrapped = start ~= nil and precedes(key, start)
  for i = 1, total do
    local other = sorted[i]
    if precedes(key, other) and not (wrapped and not precedes(other, start)) then
      count = count + 1
      keys[count] = other
    end
  end
  if start ~= nil and not wrapped then
    for i = 1, total do
      if not precedes(sorted[i], start) then break end
      count = count + 1
      keys[count] = sorted[i]
    end
  end
  return keys, count
end

local function ordered_next(t, key)
  if type(t) ~= "table" then wrong_type(1, "next", "table", t) end
  if key == nil then return first_key(t) end
  if math_type(key) == "float" then key = tointeger(key) or key end
  local cursor = cursor_of(t)
  if cursor.last ~= key then
    cursor.keys, cursor.start = nil, nil
    if cursor.handed[key] then cursor.start, cursor.handed = key, {} end
  end
  if not cursor.keys then
    if math_type(key) == "integer" and key >= 1 and cursor.start ~= key + 1 then
      local value = rawget(t, key + 1)
      if value ~= nil then
        cursor.last = key + 1
        return key + 1, value
      end
    end
    cursor.keys, cursor.count = keys_after(t, key, cursor.start)
    cursor.at = 0
  end
  while cursor.at < cursor.count do
    cursor.at = cursor.at + 1
    local following = cursor.keys[cursor.at]
    local value = rawget(t, following)
    if value ~= nil then
      cursor.last = following
      return following, value
    end
  end
  cursor.keys, cursor.last, cursor.start = nil, nil, nil
  return nil
end

local function ipairs_step(t, i)
  i = i + 1
  local value = t[i]
  if value ~= nil then return i, value end
end

local function ipairs(t)
  if type(t) ~= "table" and getmetatable(t) == nil then wrong_type(1, "ipairs", "table", t) end
  return ipairs_step, t, 0
end

-- Tables ------------------------------------------------------------------------------------------------------------------

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
