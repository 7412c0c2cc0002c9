//! Globals that a pipeline does not have, and what to use in their place.

/// What to do instead of using this global, in the language of the file that names it.
pub(super) fn instead_of(name: &str, fennel: bool) -> Option<&'static str> {
    Some(match (name, fennel) {
        ("io", _) => "use rt.read_file and rt.write_file inside a job, ci.read at the top level, or a command",
        ("os", _) => "use rt.env for the environment, rt.sh for commands, rt.push.pushed_at_ms for a time",
        ("package", _) => "require finds modules in .quire/lib/",
        ("debug", _) => "error texts carry their place; use print or rt.log",
        ("load" | "loadstring" | "loadfile" | "dofile", _) => "put code into a module under .quire/lib/ and require it",
        ("collectgarbage", _) => "memory is managed for you",
        ("warn", _) => "use print or rt.log",
        ("unpack", _) => "write table.unpack",
        ("setfenv" | "getfenv", _) => "this is Lua 5.4: use local variables",
        ("rt", false) => "rt is the argument of a job's function: ci.job(\"name\", function(rt) … end)",
        ("rt", true) => "rt is the argument of a job's function: (ci.job :name (fn [rt] …))",
        ("ci", false) => "begin the file with: local ci = require \"quire.ci\"",
        ("ci", true) => "begin the file with: (local ci (require :quire.ci))",
        _ => return None,
    })
}
