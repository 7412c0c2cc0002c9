//! The same pipelines against the same facts give the same orders, byte for byte, in twenty processes: with other addresses, other
//! hash seeds, other environments.

use std::process::Command;

use quire_fuzz::{bytes_of, story, world::World};

/// Set in the processes that this test starts of itself.
const CHILD: &str = "QUIRE_DETERMINISM_CHILD";

/// All that could tell one process from another: order of keys, addresses, chance, the order of comparisons.
const PIPELINE: &str = r##"
local names = {"delta", "alpha", "charlie", "bravo"}
local t = {}
for i, name in ipairs(names) do t[name] = i; t[i * 1.5] = name end
t[true] = "yes"
print(t, names, print, coroutine.create(print), tostring(t) == tostring({}))
ci.job("order", function(rt)
  for k, v in pairs(t) do rt.log(k, v) end
  local k, v = next(t)
  while k do rt.log("next", k, v) k, v = next(t, k) end
  local nested = {b = {z = 1, a = 2, m = {}}, a = {3, 2, 1}, [10] = "ten"}
  rt.log(rt.json.encode({b = {z = 1, a = 2}, a = {3, 2, 1}}))
  for key in pairs(nested) do rt.sh("print " .. tostring(key)) end
  return nested.b
end)
ci.job("chance", function(rt)
  for _ = 1, 20 do rt.log(math.random(), math.random(6), math.random(-5, 5)) end
  rt.sh("print " .. math.random(1000000))
end)
ci.job("sort", function(rt)
  local words = {"pear", "fig", "apple", "kiwi", "date", "plum", "lime", "nut"}
  table.sort(words)
  rt.log(table.concat(words, " "))
  -- Faulty: neither transitive nor the same twice.
  local calls = 0
  rt.log(pcall(table.sort, words, function(a, b) calls = calls + 1 return (#a + calls) % 2 == 0 end))
  rt.log(table.concat(words, " "), calls)
  rt.log(pcall(table.sort, words, function() return true end))
  rt.log(pcall(table.sort, {1, "a", {}}))
  for _, word in ipairs(words) do rt.sh("print " .. word) end
end)
ci.job("texts", function(rt)
  local f, meta = function() end, setmetatable({}, {__name = "Thing"})
  rt.log(f, meta, {}, coroutine.wrap(f), rt, tostring(f), string.format("%s %q", f, "a\n\0b"))
  rt.log(pcall(string.format, "%p", f))
  rt.log(pcall(function() return {} < {} end))
  rt.log(pcall(function() return ({}).x.y end))
  rt.log(pcall(function() return #f end))
  rt.log(pcall(error, {}), pcall(error, f), select("#", pcall(error)))
  rt.log(pcall(rt.sh, "fail 3"), pcall(rt.sh, {}), pcall(rt.read_file, "no"))
  rt.log(pcall(next, {}, "none"), pcall(ipairs), pcall(setmetatable, 1, 2))
  rt.sh("print " .. tostring({}):gsub("[^%w ]", "_"))
  error(setmetatable({}, {__tostring = function() return "as text: " .. tostring(meta) end}))
end)
ci.job("several", {"order", "chance"}, function(rt)
  local handles = {}
  for i = 1, 5 do handles[i] = rt.spawn("sleep " .. math.random(5) .. "; print " .. i) end
  rt.defer(function() rt.sh("print deferred") end)
  for _, handle in ipairs(handles) do rt.log(handle:wait().stdout) end
  for id, output in pairs({o = rt.jobs("order"), c = rt.jobs("chance") or "none"}) do rt.log(id, rt.json.encode(output)) end
end)
"##;

/// Everything that the pipelines order, as text.
fn orders() -> String {
    let mut told = String::new();
    for seed in [7, 8] {
        let story = World::new(PIPELINE)
            .set(|world| {
                world.config.seed = seed;
                world.config.keep_going = true;
            })
            .run();
        for order in &story.orders {
            told.push_str(&format!("{order:?}\n"));
        }
        told.push_str(&format!("{:?}\n", story.logs));
    }
    for seed in 0..10 {
        told.push_str(&story(&bytes_of(seed)));
    }
    told
}

#[test]
fn twenty_processes_give_the_same_orders() {
    if std::env::var_os(CHILD).is_some() {
        println!("{}", orders());
        return;
    }
    let expected = orders();
    assert!(expected.contains("plum") && expected.contains("as text") && expected.contains("deferred"), "{expected}");
    assert!(!expected.contains("0x"), "an address: {expected}");
    let own = std::env::current_exe().expect("a test knows its file");
    for process in 0..20 {
        let output = Command::new(&own)
            .args(["--exact", "twenty_processes_give_the_same_orders", "--nocapture", "--test-threads=1"])
            .env(CHILD, "x".repeat(1 + process * 100))
            .output()
            .expect("a test can be started again");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "process {process}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(
            printed.contains(&expected),
            "process {process} ordered otherwise:\n{printed}\n\nexpected:\n{expected}"
        );
    }
}
