//! What the forerunner got wrong about secrets: no form of one is in anything that a run leaves behind or says.

use crate::recorded::RunRecord;
use crate::world::{Done, World};

const SECRET: &str = "hunter2-Ünlock me/+\"quoted\"";

/// Looks for a needle in all that a run left and said.
#[track_caller]
fn is_nowhere(needle: &[u8], world: &World, run: &RunRecord, done: &Done) {
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let shown = String::from_utf8_lossy(needle);
    for (path, content) in run.files() {
        assert!(!holds(&content), "{shown} is in {}: {}", path.display(), String::from_utf8_lossy(&content));
    }
    assert!(!holds(&done.stdout) && !holds(&done.stderr), "{shown} was said:\n{}\n{}", done.out(), done.err());
    for name in ["quire.db", "quire.db-wal"] {
        let database = std::fs::read(world.data().join(name)).unwrap_or_default();
        assert!(!holds(&database), "{shown} is in {name}");
    }
    for args in [&["show"][..], &["show", "--json"], &["log"], &["events"]] {
        let said = world.quire(args);
        assert!(
            !holds(&said.stdout) && !holds(&said.stderr),
            "{shown} is said by {args:?}:\n{}\n{}",
            said.out(),
            said.err()
        );
    }
}

/// A pipeline that knows the secret as `secret` and runs with it.
fn world(body: &str) -> World {
    let text =
        format!("ci.job('a', {{ timeout = '50s' }}, function(rt) local secret = rt.secret('TOKEN')\n{body}\nend)");
    let mut world = World::new(&text);
    world.set("MY_TOKEN", SECRET);
    world
}

const GIVE: [&str; 2] = ["--secret", "TOKEN=env:MY_TOKEN"];

#[test]
fn encoded_secrets_are_masked() {
    let world = world(
        r#"local opts = { env = { S = secret } }
        rt.sh('printf "%s" "$S"; printf "x%sy" "$S" >&2', opts)
        rt.sh('printf "%s" "$S" | base64 -w0; printf "a%s" "$S" | base64 -w0; printf "ab%s" "$S" | base64 -w0', opts)
        rt.sh('printf "%s" "$S" | od -An -v -tx1 | tr -d " \n"; printf "%s" "$S" | od -An -v -tx1 | tr -d " \n" | tr a-f A-F', opts)
        rt.log(secret, rt.json.encode { secret })"#,
    );
    let done = world.run(0, &GIVE);
    let run = world.last();
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    is_nowhere(SECRET.as_bytes(), &world, &run, &done);
    is_nowhere(b"hunter2", &world, &run, &done);
    is_nowhere(hex.as_bytes(), &world, &run, &done);
    is_nowhere(hex.to_uppercase().as_bytes(), &world, &run, &done);
    // "hunter2-" in base64 at its three shifts: the characters that it alone determines.
    for needle in ["aHVudGVyMi", "h1bnRlcjIt", "odW50ZXIyL"] {
        is_nowhere(needle.as_bytes(), &world, &run, &done);
    }
    assert!(done.out().contains("***"), "{}", done.out());
    assert_eq!(run.of_type("sh_finished")[0]["masked"], true);
}

#[test]
fn a_secret_split_over_writes_is_masked() {
    let world = world(
        r#"rt.sh([[for c in h u n t e r 2; do printf $c; sleep 0.02; done; sleep 0.3; printf '%s\n' "${S#hunter2}"]], { env = { S = secret } })
        rt.sh([[printf hunt; sleep 0.3; printf er2; sleep 0.3; printf '%s\n' "${S#hunter2}" >&2]], { env = { S = secret }, merge = true })"#,
    );
    let done = world.run(0, &GIVE);
    let run = world.last();
    is_nowhere(SECRET.as_bytes(), &world, &run, &done);
    for n in [1, 2] {
        assert_eq!(world.quire(&["log", "last", &format!("a/{n}"), "--raw"]).ends(0).out(), "***\n");
    }
}

#[test]
fn lines_of_a_secret_are_masked_one_by_one() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("cat key; grep -n second key; tail -n1 key") end)"#);
    world.write("key", "-----first line-----\nsecond line of it\nthe last line of all\n");
    let done = world.run(0, &["--secret", "KEY=file:key"]);
    let run = world.last();
    for needle in ["first line", "second line of it", "the last line of all"] {
        is_nowhere(needle.as_bytes(), &world, &run, &done);
    }
    assert_eq!(world.quire(&["log", "last", "a/1", "--raw"]).ends(0).out(), "***\n2:***\n***\n");
}

#[test]
fn errors_commands_params_and_outputs_are_masked() {
    for (body, code) in [
        ("error('cannot log in with ' .. secret)", 1),
        ("rt.sh { 'no-such-program', secret }", 1),
        ("rt.sh { secret }", 1),
        ("rt.sh({ 'true' }, { cwd = secret })", 1),
        ("rt.sh('exit 3 # ' .. secret)", 1),
        ("rt.skip('because of ' .. secret)", 0),
        ("rt.read_file(secret)", 1),
        ("rt.jobs(secret)", 1),
        ("return { deep = { secret } }", 0),
        ("return { [secret] = 1 }", 0),
        ("assert(rt.params.p == 'x' .. secret); rt.log(rt.params.p)", 0),
        ("rt.sh({ 'sh', '-c', 'echo $S' }, { env = { S = secret }, stdin = secret })", 0),
        ("rt.spawn({ 'sh', '-c', 'exit 9', secret })", 1),
    ] {
        let world = world(body);
        let param = format!("p=x{SECRET}");
        let done = world.run(code, &[GIVE[0], GIVE[1], "--param", &param]);
        let run = world.last();
        is_nowhere(SECRET.as_bytes(), &world, &run, &done);
        is_nowhere(b"hunter2", &world, &run, &done);
        let params = &run.of_type("run_started")[0]["params"];
        assert_eq!(params["p"], "x***", "{body}");
    }
}

#[test]
fn a_secret_found_on_the_way_is_masked_from_then_on() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          local token = rt.out("cat made")
          rt.mask(token)
          rt.sh { "echo", "it is", token }
          error("not with " .. token)
        end)"#,
    );
    world.write("made", "fresh-token-1234\n");
    world.run(1, &[]);
    let run = world.last();
    assert_eq!(run.of_type("sh_started")[1]["cmd"].as_str().unwrap(), "echo 'it is' ***");
    assert_eq!(world.quire(&["log", "last", "a/2", "--raw"]).ends(0).out(), "it is ***\n");
    let error = run.event("job_finished", "a")["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("not with ***"), "{error}");
}
