-- The driver of the Fennel compiler in its own VM.
--
-- Called once, with the globals as Lua made them, before the standard library replaces them. Returns `installed`, to be called
-- when it has, and `step(file)`: runs a slice of the compilation of that file or of one begun before. It gives nothing while
-- that is under way; else the file that is finished, true, its Lua, for each line of that the line in the file (nil: the Lua
-- has the file's own lines), and what macros printed; or the file, false, and what the compiler said.
--
-- Macros are the repository's code: they see the sandbox's standard library, other macro modules, and nothing else.
local raw, native = ...
local pcall, xpcall, error, load, setmetatable = raw.pcall, raw.xpcall, raw.error, raw.load, raw.setmetatable
local next, type, rawget, getmetatable, select = raw.next, raw.type, raw.rawget, raw.getmetatable, raw.select
local create, resume, status = raw.coroutine.create, raw.coroutine.resume, raw.coroutine.status
local gsub, sub, find_text, concat, pack = raw.string.gsub, raw.string.sub, raw.string.find, raw.table.concat, raw.table.pack
local killed, text_of = native.killed, native.text
local G = raw

local LIBRARY = native.library
local fennel, compiler, specials
local logs = {}

-- What the compiler finds instead of Lua's own -------------------------------------------------------------------------

local function after_pcall(ok, ...)
  if not ok and killed() then error("killed", 0) end
  return ok, ...
end

local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler(...)
end

-- The compiler is given Lua's own functions where they are quicker and nothing of a macro's can lead them astray; macros are
-- given the standard library. Methods of strings are the same for both.
local function copy_of(t)
  local copy = {}
  for key, value in next, t do copy[key] = value end
  return copy
end

-- Lua's own matcher for a short text and a pattern of little choice, the library's for all else.
local is_quick = setmetatable({}, { __index = function(t, pattern)
  local quick = false
  if type(pattern) == "string" then
    local _, choices = gsub(pattern, "[-*+?]", "")
    quick = choices <= 2 and #pattern <= 50
    t[pattern] = quick
  end
  return quick
end })

local function quick(own, safe)
  return function(text, pattern, third, ...)
    if type(text) == "string" and #text <= 100 and pattern ~= nil and is_quick[pattern] and type(third) ~= "function" and type(third) ~= "table" then
      return own(text, pattern, third, ...)
    end
    return safe(text, pattern, third, ...)
  end
end

local own_methods = copy_of(raw.string)
local E = { pairs = raw.pairs, ipairs = raw.ipairs, next = next, setmetatable = setmetatable, string = own_methods }
E._G = E
local macro_globals = {}

local function installed()
  for _, name in next, { "find", "match", "gsub" } do G.string[name] = quick(own_methods[name], G.string[name]) end
  local tostring = G.tostring
  local loaded, preload = {}, {}
  for _, name in next, { "assert", "error", "getmetatable", "math", "rawequal", "rawget", "rawlen", "rawset", "select", "table",
    "tonumber", "tostring", "type", "utf8", "_VERSION" } do
    E[name] = G[name]
    macro_globals[name] = G[name]
  end
  E.table = copy_of(G.table)
  local insert = G.table.insert
  E.table.insert = function(t, a, b)
    if b ~= nil then return insert(t, a, b) end
    t[#t + 1] = a
  end
  E.tostring = function(value)
    if type(value) == "string" then return value end
    local meta = type(value) == "table" and getmetatable(value)
    local show = type(meta) == "table" and rawget(meta, "__tostring")
    if show then return show(value) end
    return tostring(value)
  end
  macro_globals.setmetatable, macro_globals.ipairs, macro_globals.next = G.setmetatable, G.ipairs, G.next
  macro_globals.getmetatable = function(value)
    if type(value) == "string" then error("getmetatable: the methods of strings are not to be changed", 0) end
    return G.getmetatable(value)
  end
  E.pcall = function(f, ...) return after_pcall(pcall(f, ...)) end
  E.xpcall = function(f, handler, ...) return handled(handler, after_pcall(pcall(f, ...))) end
  macro_globals.pcall, macro_globals.xpcall = E.pcall, E.xpcall
  macro_globals.print = function(...)
    local words = pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    logs[#logs + 1] = concat(words, "\t", 1, words.n)
  end
  E.load = function(code, name, _, env)
    if type(code) ~= "string" then return nil, "load wants a text" end
    return load(code, name or "=(macro)", "t", env or E)
  end
  E.require = function(name)
    local module = loaded[name]
    if module ~= nil then return module end
    if name == "utf8" then return E.utf8 end
    if not preload[name] then error("module '" .. tostring(name) .. "' is not there", 0) end
    module = preload[name](name)
    if module == nil then module = true end
    loaded[name] = module
    return module
  end
  E.package = { preload = preload, loaded = loaded, searchers = {}, path = "", config = "/\n;\n?\n!\n-\n" }
  E.debug = { traceback = function(message) return message end, getinfo = function() end }
end

-- Macro modules ----------------------------------------------------------------------------------------------------------

-- The options of the file that is being compiled, which the macro modules that it imports share.
local options

local function find(name, endings)
  local stem = LIBRARY .. gsub(name, "%.", "/")
  for i = 1, #endings do
    local text = text_of(stem .. endings[i])
    if text then return text, stem .. endings[i] end
  end
end

local function fennel_macros(name)
  local text, file = find(name, { ".fnl", "/init-macros.fnl", "/init.fnl" })
  if not text then return nil end
  local own = copy_of(options)
  own["module-name"], own.filename, own.env, own.allowedGlobals = name, file, "_COMPILER", nil
  -- A macro that fails names a line of the Lua that runs: let it be that of the file.
  own.correlate = true
  return function(...) return fennel.eval(text, own, ...) end, file
end

local function lua_macros(name)
  local text, file = find(name, { ".lua", "/init.lua" })
  if not text then return nil end
  return specials["load-code"](text, specials["make-compiler-env"](nil, nil, nil, options), "@" .. file), file
end

-- What `require` gives in a macro module.
local function require_macros(name)
  local loaded = fennel["macro-loaded"]
  if loaded[name] == nil then
    if name == "fennel" then return { view = fennel.view } end
    local load_module, file = fennel_macros(name)
    if not load_module then load_module, file = lua_macros(name) end
    compiler.assert(load_module, name .. " module not found.")
    loaded[name] = load_module(name, file)
  end
  return loaded[name]
end

-- The globals of the macros of one file.
local function macro_env()
  local env = copy_of(macro_globals)
  env.string, env.table, env.math, env.utf8 = copy_of(G.string), copy_of(G.table), copy_of(G.math), copy_of(G.utf8)
  env.pairs, env.require = E.require("fennel.utils").stablepairs, require_macros
  return env
end

-- Places -----------------------------------------------------------------------------------------------------------------

-- What a macro of the same file made stands where the macro was called, not where its template is: Fennel itself does this
-- only for macros of other files. What the macro was given keeps its place.
local function placed_at_call(call, made)
  if not call.line or type(made) ~= "table" or fennel["ast-source"](made)["from-macro?"] then return nil end
  local seen = {}
  local function pass(node)
    if type(node) ~= "table" or seen[node] then return end
    seen[node] = true
    for key, value in next, node do
      pass(key)
      pass(value)
    end
  end
  pass(call)
  local function place(node)
    if type(node) ~= "table" or seen[node] or fennel["varg?"](node) then return end
    seen[node] = true
    local source = fennel["ast-source"](node)
    if source.filename == call.filename then
      source.line, source.col, source.endcol, source.endline = call.line, call.col, call.endcol, call.endline
    end
    for key, value in next, node do
      place(key)
      place(value)
    end
  end
  place(made)
end

-- Lines of the file for the lines of the Lua, from the compiler's map. What has no place has that of what stands before it.
local function lines_of(file, map)
  local lines, last = {}, 1
  for i = 1, #map do
    local entry = map[i]
    if entry[1] == file and type(entry[2]) == "number" then last = entry[2] end
    lines[i] = last
  end
  return lines
end

-- Lua that is written into the file: each of its lines becomes one of the compiler's own, or its map would not be one of lines.
local function raw_lua(special)
  return function(ast, scope, parent, ...)
    local from = #parent
    local made = special(ast, scope, parent, ...)
    for i = #parent, from + 1, -1 do
      local text, line = parent[i].leaf, ast.line
      local at = type(text) == "string" and find_text(text, "\n", 1, true)
      if at then
        G.table.remove(parent, i)
        local n = i
        for part in (text .. "\n"):gmatch("(.-)\n") do
          local source = fennel.list()
          source.filename, source.line = ast.filename, line and line + n - i
          G.table.insert(parent, n, { leaf = part, ast = source })
          n = n + 1
        end
      end
    end
    return made
  end
end

-- Compiling --------------------------------------------------------------------------------------------------------------

local function start()
  local chunk = native.compiler(E)
  if not chunk then error({ foreign = true }, 0) end
  fennel = chunk("fennel")
  local version = type(fennel) == "table" and fennel.version
  if type(version) ~= "string" then error({ foreign = true }, 0) end
  if not native.is_new_enough(version) then error({ version = version }, 0) end
  E.package.loaded.fennel = fennel
  compiler, specials = E.require("fennel.compiler"), E.require("fennel.specials")
  local searchers = fennel["macro-searchers"]
  for i = 1, #searchers do searchers[i] = nil end
  searchers[1], searchers[2] = fennel_macros, lua_macros
  local special_forms = compiler.scopes.global.specials
  special_forms.lua = raw_lua(special_forms.lua)
  special_forms.include = function(ast)
    compiler.assert(false, "include is not there in a pipeline; (require :name) loads a module of " .. LIBRARY, ast)
  end
end

local function options_for(file)
  local allowed = {}
  for i = 1, #native.globals do allowed[i] = native.globals[i] end
  return {
    filename = file, allowedGlobals = allowed, useMetadata = false, ["error-pinpoint"] = false, warn = function() end,
    compilerEnv = macro_env(),
    plugins = { { name = "quire", versions = { fennel.version }, macroexpand = placed_at_call } },
  }
end

local function compile(file)
  if not fennel then start() end
  logs = {}
  compiler.scopes.macro = compiler.scopes.global
  options = options_for(file)
  local text, map = fennel.compileString(text_of(file), options)
  local _, breaks = gsub(text, "\n", "")
  if #map == breaks + 1 then return text, lines_of(file, map), logs end
  -- The value of a `lua` form has several lines: the map is not one of lines.
  logs = {}
  options = options_for(file)
  options.correlate = true
  return fennel.compileString(text_of(file), options), nil, logs
end

local current, current_file

local function step(file)
  if not current then current, current_file = create(compile), file end
  local thread = current
  local answer = pack(resume(thread, current_file))
  if status(thread) == "suspended" and not killed() then return nil end
  current = nil
  return current_file, answer[1], answer[2], answer[3], answer[4]
end

return installed, step
