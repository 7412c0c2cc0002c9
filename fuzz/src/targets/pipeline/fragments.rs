//! Pipelines put together from fragments: random bytes are no Lua, these nearly always are.

use crate::targets::input::Input;

/// What a fragment is put into.
const OPENINGS: &[&str] = &[
    "local ci = require 'quire.ci'\n",
    "local ci = require 'quire.ci' local m = require 'm'\n",
    "local ci = require('quire.ci')\nci.defaults {retries = 1, timeout = '1m'}\n",
    "local ci = require 'quire.ci' ci.quire '1'\n",
];

const IDS: &[&str] =
    &["'a'", "'b'", "'c'", "'quire/push'", "''", "'a b'", "('x'):rep(101)", "m and m.x", "nil", "'\\27[31m'"];
const INPUTS: &[&str] = &[
    "",
    "{'a'}, ",
    "{'b', 'a'}, ",
    "{'quire/manual'}, ",
    "{'quire/push', 'c'}, ",
    "{}, ",
    "{1}, ",
    "{'nosuch'}, ",
    "7, ",
    "{'a', 'a'}, ",
];
const OPTIONS: &[&str] = &[
    "",
    "{retries = 2}, ",
    "{allow_failure = true, needs = 'finished'}, ",
    "{timeout = 5, needs = 'unfailed'}, ",
    "{env = {X = 'y', Z = false}, cwd = 'sub', shell = 'bash'}, ",
    "{desc = 'a \"<b>\" | c'}, ",
    "{timeout = -1}, ",
    "{timout = 1}, ",
    "{retries = 1e300}, ",
    "{timeout = 0/0}, ",
    "setmetatable({}, {__index = function(_, k) return k end}), ",
];
const STATEMENTS: &[&str] = &[
    "rt.sh 'x'",
    "rt.sh({'a', 'b'}, {check = false, timeout = 1})",
    "rt.log(rt.out 'x')",
    "local h = rt.spawn 'y' rt.sh 'z' h:stop()",
    "rt.all {rt.spawn 'p', rt.spawn 'q'}",
    "rt.spawn 'forgotten'",
    "rt.defer(function() rt.sh 'late' end)",
    "rt.skip 'no need'",
    "error('boom')",
    "error(setmetatable({}, {__tostring = function() error 'again' end}))",
    "while true do end",
    "while true do rt.sh 'again' end",
    "while true do pcall(rt.sh, 'again') end",
    "while true do rt.log 'again' end",
    "rt.mask 'word' rt.sh 'print word'",
    "rt.secret 'none'",
    "pcall(function() rt.skip() end)",
    "for i = 1, 40 do rt.spawn('s' .. i) end",
    "local t = {} t.t = t return t",
    "return {a = 1, list = {1, 2, '***'}}",
    "return function() end",
    "return ('x'):rep(70000)",
    "rt.log(rt.jobs 'a', rt.jobs('quire/push').sha, rt.push.branch)",
    "rt.write_file('f', rt.read_file 'g')",
    "rt.log(rt.glob '*', rt.hash {'*'}, rt.env 'HOME', #rt.args, rt.params.p)",
    "coroutine.wrap(function() rt.sh 'in' coroutine.yield() end)()",
    "local t = {} for i = 1, 1e9 do t[i] = {i} end",
    "local s = 'x' while true do s = s .. s end",
    "rt.sh('x', {retries = 3, stdin = 'in', merge = true, capture = 'head'})",
    "rt.log(rt.json.encode(rt.json.decode '[1,{\"a\":null}]'))",
    "if rt.attempt == 1 then error('first') end",
    "ci.job('inner', function() end)",
    "setmetatable(_G, nil) rt = nil",
    "string.rep = nil table = nil",
    "local x <close> = setmetatable({}, {__close = function() rt.sh 'closing' end})",
    "table.sort({3, 1, 2}, function() return true end)",
    "rt.log(('x'):rep(100000):find(('x*'):rep(50) .. 'y'))",
];
const TOPS: &[&str] = &[
    "print(ci.read 'x')\n",
    "for _, f in ipairs(ci.glob '*') do ci.job((f:gsub('/', '-')), function(rt) rt.log(f) end) end\n",
    "print(ci.hash {'a', 'b'})\n",
    "ci.image 'debian:12'\n",
    "ci.image(7)\n",
    "while true do print 'x' end\n",
    "while true do ci.read('x' .. math.random()) end\n",
    "local t = setmetatable({}, {__gc = function() end, __mode = 'k'}) t[t] = t\n",
    "goto done ::done::\n",
    "io.write 'x'\n",
    "local function f() return f() end f()\n",
    "local function f() f() end f()\n",
    "error {message = '\\27]0;x\\7', line = -1}\n",
    "error(nil)\n",
    "return 1, 2\n",
    "coroutine.yield 'sh'\n",
    "print(tostring(print), tostring({}), pairs {})\n",
    "ci.job = nil\n",
    "local x = = 1\n",
    "--[[ never closed\n",
    "ci.defaults {cwd = '..', env = 'no'}\n",
];

/// The text that the choices make.
pub(super) fn joined(choices: &[u8]) -> Vec<u8> {
    let mut input = Input::new(choices);
    let mut text = input.pick(OPENINGS).to_owned();
    while !input.is_empty() && text.len() < 8 * 1024 {
        if input.byte().is_multiple_of(4) {
            text.push_str(input.pick(TOPS));
            continue;
        }
        let (id, inputs, options) = (input.pick(IDS), input.pick(INPUTS), input.pick(OPTIONS));
        text.push_str(&format!("ci.job({id}, {inputs}{options}function(rt)\n"));
        for _ in 0..input.below(4) {
            // A `return` must be the last statement of a block.
            text.push_str(&format!("do {} end\n", input.pick(STATEMENTS)));
        }
        text.push_str("end)\n");
    }
    text.into_bytes()
}
