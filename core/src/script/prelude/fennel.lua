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
local gsub, sub, concat, pack = raw.string.gsub, raw.string.sub, raw.table.concat, raw.table.pack
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

local function install()
  local tostring = G.tostring
  local loaded, preload = {}, {}
  G.pcall = function(f, ...) return after_pcall(pcall(f, ...)) end
  G.xpcall = function(f, handler, ...) return handled(handler, after_pcall(pcall(f, ...))) end
  -- The compiler keeps what it knows of functions in a weak table. A finalizer would run where no hook sees it.
  G.setmetatable = function(t, meta)
    if type(meta) == "table" and rawget(meta, "__gc") ~= nil then error("setmetatable: __gc is not available in a macro", 0) end
    return setmetatable(t, meta)
  end
  G.load = function(code, name, _, env)
    if type(code) ~= "string" then return nil, "load wants a text" end
    return load(code, name or "=(macro)", "t", env or G)
  end
  G.require = function(name)
    local module = loaded[name]
    if module ~= nil then return module end
    if name == "utf8" or name == "string" or name == "table" or name == "math" then return G[name] end
    if not preload[name] then error("module '" .. tostring(name) .. "' is not there", 0) end
    module = preload[name](name)
    if module == nil then module = true end
    loaded[name] = module
    return module
  end
  G.package = { preload = preload, loaded = loaded, searchers = {}, path = "", config = "/\n;\n?\n!\n-\n" }
  G.debug = { traceback = function(message) return message end, getinfo = function() end }
  G.print = function(...)
    local words = pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    logs[#logs + 1] = concat(words, "\t", 1, words.n)
  end
  for _, name in next, { "coroutine", "loadfile", "dofile", "collectgarbage", "warn" } do G[name] = nil end
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
  local own = {}
  for key, value in next, options do own[key] = value end
  own["module-name"], own.filename, own.env, own.allowedGlobals = name, file, "_COMPILER", nil
  -- A macro that fails names a line of the Lua that runs: let it be that of the file.
  own.correlate = true
  return function(...) return fennel.eval(text, own, ...) end, file
end

local function lua_macros(name)
  local text, file = find(name, { ".lua", "/init.lua" })
  if not text then return nil end
  return specials["load-code"](text, specials["make-compiler-env"](), "@" .. file), file
end

-- Places -----------------------------------------------------------------------------------------------------------------

-- What a macro of the same file made stands where the macro was called, not where its template is: Fennel itself does this
-- only for macros of other files. What the macro was given keeps its place.
local function placed_at_call(call, made)
  if not call.line then return nil end
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

-- Compiling --------------------------------------------------------------------------------------------------------------

local function start()
  fennel = native.compiler()("fennel")
  local version = type(fennel) == "table" and fennel.version
  if type(version) ~= "string" then error({ foreign = true }, 0) end
  if not native.is_new_enough(version) then error({ version = version }, 0) end
  G.package.loaded.fennel = fennel
  compiler, specials = G.require("fennel.compiler"), G.require("fennel.specials")
  local searchers = fennel["macro-searchers"]
  for i = 1, #searchers do searchers[i] = nil end
  searchers[1], searchers[2] = fennel_macros, lua_macros
  compiler.scopes.global.specials.include = function(ast)
    compiler.assert(false, "include is not there in a pipeline; (require :name) loads a module of " .. LIBRARY, ast)
  end
end

local function options_for(file)
  local allowed = {}
  for i = 1, #native.globals do allowed[i] = native.globals[i] end
  return {
    filename = file, allowedGlobals = allowed, useMetadata = false, ["error-pinpoint"] = false, warn = function() end,
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
  -- Lua written into the file by hand, over several lines: the map is not one of lines.
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

return install, step
