-- Goes on from stdlib.lua, in one chunk with it: sorting, and the order in which tables are walked.

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
