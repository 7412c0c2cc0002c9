-- The host side of the sandbox: `ci`, `rt`, protected calls, coroutines and modules.
--
-- A script talks to the engine by yielding: (operation, argument) up, (ok, value) down. A yield of nothing is the end of a
-- slice, a yield that begins with `false` is a user's own coroutine.yield. Called once a VM with the globals as Lua made them,
-- before the standard library replaces them; returns what the Rust side calls, first of all `installed`.
local raw, native = ...
local raw_pcall, raw_xpcall, raw_error = raw.pcall, raw.xpcall, raw.error
local raw_yield, raw_resume, raw_create = raw.coroutine.yield, raw.coroutine.resume, raw.coroutine.create
local raw_status, raw_running, raw_isyieldable = raw.coroutine.status, raw.coroutine.running, raw.coroutine.isyieldable
local raw_close = raw.coroutine.close
local raw_next, raw_type, raw_setmetatable, raw_select = raw.next, raw.type, raw.setmetatable, raw.select
local raw_getmetatable, rawget, rawset, rawequal = raw.getmetatable, raw.rawget, raw.rawset, raw.rawequal
local find, gsub, sub, sformat, match = raw.string.find, raw.string.gsub, raw.string.sub, raw.string.format, raw.string.match
local concat, sort, unpack, pack = raw.table.concat, raw.table.sort, raw.table.unpack, raw.table.pack
local math_type, floor = raw.math.type, raw.math.floor
local where, killed, tick = native.where, native.killed, native.tick
local tonumber, tostring, json = raw.tonumber, nil, nil
local USER = false
local G = raw
local globals = {}

-- All that follows is one function, so that its closures share the names above as its upvalues. As locals beside them, every
-- closure that is made would search for each of them in the list of open upvalues: a twelfth of what a VM costs.
return (function()

-- Errors -----------------------------------------------------------------------------------------------------------------

local function prefix()
  local file, line = where()
  if file then return file .. ":" .. line .. ": " end
  return ""
end

-- Raises a sentence at the place in the pipeline that called into here.
local function fail(message)
  raw_error(prefix() .. message, 0)
end

local CommandError = { __name = "command error" }
CommandError.__tostring = function(e) return e.message end

-- A module that does not compile: at its own place, not at that of the require.
local ModuleError = { __name = "module error" }
ModuleError.__tostring = function(e)
  return (e.file and e.file .. ":" .. e.line .. ": " or "") .. e.message
end

local function raise(fields)
  local file, line = where()
  fields.file, fields.line = file, line
  raw_error(raw_setmetatable(fields, CommandError), 0)
end

-- What an error value says, and where: for the engine. A message handler may run with hooks off (where a hook raised), so
-- it calls nothing of the script's: an error that is to be shown by its own __tostring is shown later, in `ended`.
local function describe(value)
  local file, line = where()
  local info = { file = file, line = line }
  local kind = raw_type(value)
  if kind == "string" then
    info.message = value
    info.prefixed = true
  elseif kind == "table" and rawequal(raw_getmetatable(value), ModuleError) then
    info = { message = value.message, file = value.file or file, line = value.line or line, column = value.column }
  elseif kind == "table" and rawequal(raw_getmetatable(value), CommandError) then
    info.message, info.exit = value.message, value.exit
    info.file, info.line = rawget(value, "file") or file, rawget(value, "line") or line
  elseif kind == "table" and raw_type(rawget(value, "message")) == "string" then
    info.message = value.message
  elseif kind == "userdata" then
    info.message = native.describe(value)
    info.prefixed = true
  else
    info.value = value
  end
  return info
end

local function after_pcall(ok, ...)
  if not ok and killed() then raw_error("killed", 0) end
  return ok, ...
end

function globals.pcall(f, ...)
  return after_pcall(raw_pcall(f, ...))
end

-- The handler runs after the stack is gone: inside the error it could neither wait nor be ended.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler(...)
end

function globals.xpcall(f, handler, ...)
  if raw_type(handler) ~= "function" then fail("xpcall wants a function as its second argument, not a " .. raw_type(handler)) end
  return handled(handler, after_pcall(raw_pcall(f, ...)))
end

local function ended(ok, value, ...)
  if ok then return true, value end
  if raw_type(value) == "table" and value.value ~= nil then
    local told, text = raw_pcall(tostring, value.value)
    value.message = told and text or ("an error value of type " .. raw_type(value.value))
  end
  return false, value
end

local main
local function entry(f, ...)
  main = raw_running()
  return ended(raw_xpcall(f, describe, ...))
end

-- Asking the engine ------------------------------------------------------------------------------------------------------

local function answer(ok, value)
  if not ok then fail(value) end
  return value
end

local function ask_raw(operation, argument)
  if not raw_isyieldable() then
    fail("rt and ci cannot be used here: this function was called by a built-in function or a metamethod that cannot wait; "
      .. "collect what you need first and call " .. operation .. " outside of it")
  end
  return raw_yield(operation, argument)
end

local function ask(operation, argument)
  return answer(ask_raw(operation, argument))
end

-- Coroutines -------------------------------------------------------------------------------------------------------------

local function step(co, ok, first, ...)
  if not ok then
    if killed() then raw_error("killed", 0) end
    return false, first, ...
  end
  if raw_status(co) == "suspended" then
    if first == USER and first ~= nil then return true, ... end
    return step(co, raw_resume(co, raw_yield(first, ...)))
  end
  return true, first, ...
end

local function resume(co, ...)
  if tick() and raw_isyieldable() then raw_yield() end
  return step(co, raw_resume(co, ...))
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  if raw_status(co) == "dead" then raw_close(co) end
  raw_error((...), 0)
end

globals.coroutine = {
  create = function(f)
    if raw_type(f) ~= "function" then fail("bad argument #1 to 'create' (function expected)") end
    tick()
    return raw_create(f)
  end,
  resume = resume,
  wrap = function(f)
    if raw_type(f) ~= "function" then fail("bad argument #1 to 'wrap' (function expected)") end
    tick()
    local co = raw_create(f)
    return function(...) return unwrap(co, resume(co, ...)) end
  end,
  yield = function(...)
    if rawequal(raw_running(), main) then fail("coroutine.yield is called outside a coroutine") end
    return raw_yield(USER, ...)
  end,
  status = raw.coroutine.status,
  running = function()
    local co = raw_running()
    return co, rawequal(co, main)
  end,
  isyieldable = function() return raw_isyieldable() and not rawequal(raw_running(), main) end,
  close = function(co)
    return after_pcall(raw_close(co))
  end,
}

-- Reading options --------------------------------------------------------------------------------------------------------

local function keys_of(t)
  local keys = {}
  for key in raw_next, t do keys[#keys + 1] = tostring(key) end
  sort(keys)
  return keys
end

-- `-` and `_` are one in names, so that both languages read naturally.
local function underscored(key)
  return (gsub(key, "-", "_"))
end

-- Field access that names what there is, and answers to `-` as well.
local function named(what, fields)
  return raw_setmetatable(fields, {
    __index = function(t, key)
      if raw_type(key) == "string" then
        local value = rawget(t, underscored(key))
        if value ~= nil then return value end
      end
      fail(sformat("%s has no %s; it has %s", what, raw_type(key) == "string" and "'" .. key .. "'" or tostring(key),
        concat(keys_of(t), ", ")))
    end,
    __newindex = function(_, key) fail(what .. " cannot be changed (setting '" .. tostring(key) .. "')") end,
  })
end

-- Fields that may be absent: absent reads nil, `-` reads as `_`.
local function plain(fields)
  return raw_setmetatable(fields, {
    __index = function(t, key)
      if raw_type(key) == "string" then return rawget(t, underscored(key)) end
    end,
  })
end

local units = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- Seconds of "1h30m", "90s", "500ms" or a number; nil and why otherwise.
local function seconds(value)
  if raw_type(value) == "number" then
    if value > 0 and value < 1e9 then return value + 0.0 end
    return nil, "a time is more than 0 seconds, not " .. tostring(value)
  end
  if raw_type(value) ~= "string" then
    return nil, "a time is a text such as \"10m\" or a number of seconds, not a " .. raw_type(value)
  end
  local total, position = 0.0, 1
  while position <= #value do
    local from, to, number, unit = find(value, "^(%d+%.?%d*)(%a+)", position)
    if not from or not units[unit] then
      return nil, sformat("%q is no time: write for example \"90s\", \"10m\", \"1h30m\" or a number of seconds", value)
    end
    total = total + tonumber(number) * units[unit]
    position = to + 1
  end
  if total > 0 and total < 1e9 then return total end
  return nil, sformat("%q is no time: a time is more than 0 seconds", value)
end

local function a_time(value) return seconds(value) end
local function a_text(value)
  if raw_type(value) == "string" then return value end
  return nil, "a text, not a " .. raw_type(value)
end
local function a_flag(value)
  if raw_type(value) == "boolean" then return value end
  return nil, "true or false, not a " .. raw_type(value)
end
local function a_count(value)
  if math_type(value) == "integer" and value >= 0 and value <= 100 then return value end
  return nil, "a whole number from 0 to 100, not " .. (raw_type(value) == "number" and tostring(value) or "a " .. raw_type(value))
end
local function one_of(words)
  return function(value)
    for i = 1, #words do if words[i] == value then return value end end
    return nil, "one of \"" .. concat(words, "\", \"") .. "\", not " .. (raw_type(value) == "string" and "\"" .. value .. "\"" or "a " .. raw_type(value))
  end
end
-- The keys of a table that a script gave, in an order that is the same in every run.
local function sorted_keys(t)
  local keys = {}
  for key in raw_next, t do keys[#keys + 1] = key end
  sort(keys, function(a, b)
    local kind, other = raw_type(a), raw_type(b)
    if kind ~= other then return kind < other end
    if kind == "string" or kind == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end
local function an_environment(value)
  if raw_type(value) ~= "table" then return nil, "a table of names to texts, not a " .. raw_type(value) end
  local out = {}
  local names = sorted_keys(value)
  for i = 1, #names do
    local name = names[i]
    local text = value[name]
    if raw_type(name) ~= "string" or name == "" or find(name, "[=%z]") then
      return nil, "a table of names to texts: " .. tostring(name) .. " is no name"
    end
    local kind = raw_type(text)
    if kind == "number" then text = tostring(text)
    elseif text == true then text = "1"
    elseif kind ~= "string" and text ~= false then
      return nil, "a table of names to texts: " .. name .. " is a " .. kind .. " (false removes a variable)"
    elseif kind == "string" and find(text, "%z") then
      return nil, "a table of names to texts: " .. name .. " holds a NUL byte"
    end
    out[name] = text
  end
  return out
end

-- Checks a table of options against `kinds`; calls `bad(message)` for each fault and leaves that option out.
local function options(what, given, kinds, bad)
  local out = {}
  local seen = sorted_keys(given)
  for i = 1, #seen do
    local key = seen[i]
    local name = raw_type(key) == "string" and underscored(key) or key
    local kind = kinds[name]
    if not kind then
      bad(sformat("unknown option %s of %s; its options are %s",
        raw_type(key) == "string" and "\"" .. key .. "\"" or "[" .. tostring(key) .. "]", what, concat(keys_of(kinds), ", ")), key)
    else
      local value, why = kind(given[key])
      if value == nil then
        if kind ~= a_time then why = "is " .. why end
        bad(sformat("option \"%s\" of %s: %s", key, what, why), key)
      else
        out[name] = value
      end
    end
  end
  return out
end

-- Commands ---------------------------------------------------------------------------------------------------------------

local command_kinds = {
  env = an_environment, cwd = a_text, stdin = a_text, timeout = a_time, retries = a_count, check = a_flag, merge = a_flag,
  capture = one_of { "head", "tail" }, shell = a_text,
}
local spawn_kinds = { service = a_flag }
for name, kind in raw_next, command_kinds do spawn_kinds[name] = kind end
spawn_kinds.retries = nil

local Handle

-- Commands tell where the script asks for them: only while a record answers, for it costs some microseconds each.
local traced = false

local function command(what, cmd, opts, kinds)
  local request = {}
  if raw_type(cmd) == "string" then
    if find(cmd, "^%s*$") then fail(what .. ": the command is empty") end
    if find(cmd, "%z") then fail(what .. ": the command holds a NUL byte") end
    request.line = cmd
  elseif raw_type(cmd) == "table" and raw_getmetatable(cmd) == nil then
    local argv = {}
    for i = 1, #cmd do
      local word = cmd[i]
      if raw_type(word) == "number" then word = tostring(word) end
      if raw_type(word) ~= "string" then
        fail(sformat("%s: word %d of the command is a %s; a command is a text for the shell or a list of texts", what, i, raw_type(word)))
      end
      if find(word, "%z") then fail(sformat("%s: word %d of the command holds a NUL byte", what, i)) end
      argv[i] = word
    end
    local keys = sorted_keys(cmd)
    for i = 1, #keys do
      local key = keys[i]
      if math_type(key) ~= "integer" then
        fail(sformat("%s: the command is a list, so the key '%s' means nothing; options go into a second table", what, tostring(key)))
      end
    end
    if #argv == 0 or argv[1] == "" then fail(what .. ": the command is empty") end
    request.argv = argv
  else
    fail(sformat("%s wants a command: a text for the shell or a list of texts, not a %s%s", what, raw_type(cmd),
      raw_type(cmd) == "table" and " with methods (write rt.sh with a dot, not a colon)" or ""))
  end
  if opts ~= nil then
    if raw_type(opts) ~= "table" then fail(what .. ": options are a table, not a " .. raw_type(opts)) end
    request.options = options(what, opts, kinds, fail)
  else
    request.options = {}
  end
  if traced then request.file, request.line_number = where() end
  return request
end

local Result = { __name = "command result" }
Result.__index = function(result, key)
  local truncated = rawget(result, "truncated_streams")
  if truncated and truncated[key] then
    fail(sformat("%s of `%s` was longer than 1 MiB and is cut in the middle; say capture = \"head\" or \"tail\" to read that part, "
      .. "or send it to a file", key, result.cmd))
  end
end

local function result_of(answer, capture)
  local truncated = answer.truncated_streams
  if truncated then
    answer.truncated = true
    if capture then
      answer.truncated_streams = nil
    else
      if truncated.stdout then answer.stdout = nil end
      if truncated.stderr then answer.stderr = nil end
    end
  end
  return raw_setmetatable(answer, Result)
end

local function check(result, checked)
  local failure = rawget(result, "failure")
  if failure and (checked ~= false or result.cause == "timeout") then
    raise { message = failure, cmd = result.cmd, exit = result.exit, signal = result.signal,
      timeout = result.cause == "timeout", result = result }
  end
  return result
end

local function run(what, cmd, opts)
  local request = command(what, cmd, opts, command_kinds)
  local tries = request.options.retries or 0
  while true do
    local result = result_of(ask("sh", request), request.options.capture)
    if tries == 0 or not rawget(result, "failure") then return check(result, request.options.check) end
    tries = tries - 1
  end
end

Handle = {
  wait = function(handle)
    if not handle.result then
      handle.result = result_of(ask("wait", handle.id), handle.capture)
    end
    return check(handle.result, handle.checked)
  end,
  stop = function(handle)
    if not handle.result then
      handle.result = result_of(ask("stop", handle.id), handle.capture)
    end
    return handle.result
  end,
}
local HandleMeta = { __name = "command handle", __index = function(_, key)
  local method = Handle[key]
  if method then return method end
  fail("a spawned command has :wait() and :stop(), no '" .. tostring(key) .. "'")
end }

local function spawn(cmd, opts)
  local request = command("rt.spawn", cmd, opts, spawn_kinds)
  local id = ask("spawn", request)
  return raw_setmetatable({ id = id, result = false, capture = request.options.capture or false,
    checked = request.options.check ~= false and not request.options.service }, HandleMeta)
end

local function all(items)
  if raw_type(items) ~= "table" then fail("rt.all wants a list of commands or handles, not a " .. raw_type(items)) end
  local handles = {}
  for i = 1, #items do
    local item = items[i]
    if raw_type(item) == "table" and rawequal(raw_getmetatable(item), HandleMeta) then
      handles[i] = item
    else
      handles[i] = spawn(item)
    end
  end
  local results, first = {}, nil
  for i = 1, #handles do
    local ok, value = globals.pcall(Handle.wait, handles[i])
    if ok then results[i] = value else first = first or { value } end
  end
  if first then raw_error(first[1], 0) end
  return results
end

-- Texts ------------------------------------------------------------------------------------------------------------------

local function joined(...)
  local parts = pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  return concat(parts, "\t", 1, parts.n)
end

local function log(...)
  ask("log", joined(...))
end

local function text_of(what, value)
  if raw_type(value) ~= "string" then fail(what .. " wants a text, not a " .. raw_type(value)) end
  return value
end

local function patterns_of(what, ...)
  local out = {}
  local function add(value)
    if raw_type(value) == "table" then
      for i = 1, #value do add(value[i]) end
    else
      out[#out + 1] = text_of(what, value)
    end
  end
  for i = 1, raw_select("#", ...) do add((raw_select(i, ...))) end
  if #out == 0 then fail(what .. " wants at least one pattern, such as \"src/**/*.rs\"") end
  return out
end

globals.print = log

-- What a job's function is given -----------------------------------------------------------------------------------------

local deferred = {}

local function make_rt(facts)
  traced = facts.traced
  local push = plain(facts.push)
  local rt = {
    id = facts.id,
    attempt = facts.attempt,
    args = facts.args,
    params = plain(facts.params),
    push = push,
    json = json,
    sh = function(cmd, opts) return run("rt.sh", cmd, opts) end,
    out = function(cmd, opts)
      local request = command("rt.out", cmd, opts, command_kinds)
      request.whole = true
      local tries = request.options.retries or 0
      while true do
        local result = result_of(ask("sh", request), request.options.capture)
        if tries == 0 or not rawget(result, "failure") then
          check(result, request.options.check)
          local out = rawget(result, "stdout")
          if not out then
            fail(sformat("rt.out: the output of `%s` is longer than 16 MiB; say capture = \"head\" or \"tail\" to have that part, "
              .. "or send it to a file", result.cmd))
          end
          if sub(out, -1) == "\n" then out = sub(out, 1, -2) end
          return out
        end
        tries = tries - 1
      end
    end,
    spawn = spawn,
    all = all,
    defer = function(f)
      if raw_type(f) ~= "function" then fail("rt.defer wants a function, not a " .. raw_type(f)) end
      deferred[#deferred + 1] = f
    end,
    secret = function(name) return ask("secret", text_of("rt.secret", name)) end,
    mask = function(text) ask("mask", text_of("rt.mask", text)) end,
    env = function(name) return ask("env", text_of("rt.env", name)) end,
    log = log,
    skip = function(text)
      ask("skip", text == nil and "" or text_of("rt.skip", text))
    end,
    read_file = function(path) return ask("read", text_of("rt.read_file", path)) end,
    write_file = function(path, content)
      ask("write", { path = text_of("rt.write_file", path), content = text_of("rt.write_file", content) })
    end,
    glob = function(...) return ask("glob", patterns_of("rt.glob", ...)) end,
    hash = function(...) return ask("hash", patterns_of("rt.hash", ...)) end,
    jobs = function(id)
      if id == "quire/push" then return push end
      return ask("output", text_of("rt.jobs", id))
    end,
  }
  return named("rt", rt)
end

-- Defining a pipeline ----------------------------------------------------------------------------------------------------

local definition = { jobs = {}, problems = {}, functions = {}, image = nil }
local defining = true

local job_kinds = {
  timeout = a_time, retries = a_count, allow_failure = a_flag, needs = one_of { "complete", "unfailed", "finished" },
  env = an_environment, cwd = a_text, shell = a_text, desc = a_text,
}
local default_kinds = {}
for name, kind in raw_next, job_kinds do
  if name ~= "needs" and name ~= "desc" then default_kinds[name] = kind end
end
local defaults = {}

local function problem(message, key)
  local file, line = where()
  definition.problems[#definition.problems + 1] = { message = message, file = file, line = line,
    key = raw_type(key) == "string" and key or nil }
end

local function has_text_key(t)
  for key in raw_next, t do if raw_type(key) == "string" then return true end end
  return false
end

local function at_top_level(what)
  if not defining then fail(what .. " defines the pipeline, so it is called at the top level of the file, not inside a job") end
end

local usage = "write ci.job(\"name\", {\"input\"}, {timeout = \"10m\"}, function(rt) … end); inputs and options may be left out"

local host

local function job(id, ...)
  at_top_level("ci.job")
  if host.only then
    if rawequal(id, host.only) and not definition.functions[id] then definition.functions[id] = raw_select(-1, ...) end
    return
  end
  local count = raw_select("#", ...)
  local rest = pack(...)
  if raw_type(id) ~= "string" then
    return problem(sformat("ci.job: the id is a text, not a %s; %s", raw_type(id), usage))
  end
  local f = rest[count]
  if count == 0 or raw_type(f) ~= "function" then
    return problem(sformat("ci.job %q: the last argument is the function to run, not a %s; %s", id,
      count == 0 and "missing argument" or raw_type(f), usage), id)
  end
  local inputs, given
  if count == 2 then
    if raw_type(rest[1]) ~= "table" then
      return problem(sformat("ci.job %q: inputs are a list of job ids and options a table, not a %s; %s", id, raw_type(rest[1]), usage), id)
    end
    if has_text_key(rest[1]) then given = rest[1] else inputs = rest[1] end
  elseif count == 3 then
    inputs, given = rest[1], rest[2]
    if inputs ~= nil and raw_type(inputs) ~= "table" then
      return problem(sformat("ci.job %q: inputs are a list of job ids, not a %s; %s", id, raw_type(inputs), usage), id)
    end
    if given ~= nil and raw_type(given) ~= "table" then
      return problem(sformat("ci.job %q: options are a table, not a %s; %s", id, raw_type(given), usage), id)
    end
  elseif count > 3 then
    return problem(sformat("ci.job %q: too many arguments; %s", id, usage), id)
  end
  local list
  if inputs then
    list = {}
    for i = 1, #inputs do
      if raw_type(inputs[i]) ~= "string" then
        problem(sformat("ci.job %q: input %d is a %s; an input is the id of a job or a source such as \"quire/push\"", id, i, raw_type(inputs[i])), id)
      else
        list[#list + 1] = inputs[i]
      end
    end
    if has_text_key(inputs) then
      problem(sformat("ci.job %q: inputs are a list; options go into a table of their own behind it", id), id)
    end
  end
  local merged = {}
  for name, value in raw_next, defaults do merged[name] = value end
  if given then
    for name, value in raw_next, options("ci.job", given, job_kinds, problem) do
      if name == "env" and merged.env then
        local env = {}
        for k, v in raw_next, merged.env do env[k] = v end
        for k, v in raw_next, value do env[k] = v end
        value = env
      end
      merged[name] = value
    end
  end
  local file, line = where()
  definition.jobs[#definition.jobs + 1] = { id = id, inputs = list, options = merged, file = file, line = line }
  if definition.functions[id] == nil then definition.functions[id] = f end
end

local ci
ci = {
  job = job,
  image = function(name)
    at_top_level("ci.image")
    if raw_type(name) ~= "string" or name == "" then
      return problem("ci.image wants the name of a container image, such as \"debian:12\"")
    end
    definition.image = name
    local file, line = where()
    definition.image_file, definition.image_line = file, line
  end,
  defaults = function(given)
    at_top_level("ci.defaults")
    if raw_type(given) ~= "table" then return problem("ci.defaults wants a table of options, not a " .. raw_type(given)) end
    for name, value in raw_next, options("ci.defaults", given, default_kinds, problem) do defaults[name] = value end
  end,
  glob = function(...) return ask("glob", patterns_of("ci.glob", ...)) end,
  read = function(path) return ask("read", text_of("ci.read", path)) end,
  hash = function(...) return ask("hash", patterns_of("ci.hash", ...)) end,
  quire = function(version)
    if tostring(version) ~= "1" then
      fail(sformat("this quire speaks version 1 of the pipeline API, the pipeline asks for %s; update quire or write ci.quire \"1\"",
        tostring(version)))
    end
    return ci
  end,
}
named("ci", ci)

-- Modules ----------------------------------------------------------------------------------------------------------------

local loaded = { ["quire.ci"] = ci }
local loading = {}

function globals.require(name)
  text_of("require", name)
  local module = loaded[name]
  if module ~= nil then return module end
  if loading[name] then fail(sformat("module %q requires itself", name)) end
  local f, why = native.load_module(name)
  -- False: it is being compiled, a slice at a time.
  while f == false do
    if raw_isyieldable() then raw_yield() end
    f, why = native.load_module(name)
  end
  if not f then
    if raw_type(why) == "table" then raw_error(raw_setmetatable(why, ModuleError), 0) end
    fail(why)
  end
  loading[name] = true
  module = f(name)
  loading[name] = nil
  if module == nil then module = true end
  loaded[name] = module
  return module
end

-- Globals that a pipeline does not have ------------------------------------------------------------------------------------

-- The standard library stands: the raw functions go, and what was defined above takes their places.
local function installed()
  tostring, json = G.tostring, G.json
  for _, name in raw.ipairs { "load", "loadfile", "dofile", "collectgarbage", "warn", "package", "json" } do G[name] = nil end
  for name, value in raw_next, globals do G[name] = value end
  raw_setmetatable(G, {
    __index = function(_, name)
      local advice = raw_type(name) == "string" and native.instead_of(name)
      if advice then fail(sformat("%s is not there in a pipeline: %s", name, advice)) end
    end,
  })
end

host = {
  installed = installed,
  entry = entry,
  definition = definition,
  make_rt = make_rt,
  job = function(id) return definition.functions[id] end,
  defined = function() defining = false end,
  pop_deferred = function()
    local f = deferred[#deferred]
    deferred[#deferred] = nil
    return f
  end,
  -- A command's result, or a list that begins with one: what rt.all gives, and the last value of many a Fennel function.
  is_result = function(value)
    local meta = raw_type(value) == "table" and raw_getmetatable(value)
    if meta == nil and raw_type(value[1]) == "table" then meta = raw_getmetatable(value[1]) end
    return rawequal(meta, Result) or rawequal(meta, HandleMeta)
  end,
}
return host
end)()
