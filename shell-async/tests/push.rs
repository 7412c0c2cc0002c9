//! Pushes by real git through the installed hook: what the server is told, and what the pusher sees.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Answer, Asked, QUIRE, Server, World, commit, git, git_command, told};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// Answers a push as the server does: branches run, nothing else.
fn answer(asked: &Asked) -> Answer {
    assert_eq!(asked.line, "POST /api/v1/push");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let event = asked.json();
    let refs: Vec<Value> = event["refs"].as_array().unwrap().iter().zip(41..).map(|(pushed, number)| {
        let name = pushed["ref"].as_str().unwrap();
        let deleted = pushed["after"].as_str().unwrap().bytes().all(|byte| byte == b'0');
        let runs = name.starts_with("refs/heads/") && !deleted;
        let run = json!({"id": "x", "number": number, "url": format!("http://h/{number}"), "waits": null});
        json!({
            "ref": name,
            "sha": if deleted { Value::Null } else { pushed["after"].clone() },
            "run": if runs { run } else { Value::Null },
            "not_run": if runs { Value::Null } else if deleted { json!("it was deleted") } else { json!("it is no branch") },
        })
    }).collect();
    Answer::json(json!({ "refs": refs }))
}

/// What git tells the pusher of what the hook said.
fn remote(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| line.strip_prefix("remote: ")).map(|line| line.trim_end().to_owned()).collect()
}

fn repo(world: &World, name: &str) -> PathBuf {
    world.ok(&["repo", "new", name]);
    world.data.join("repos").join(name)
}

#[test]
fn a_push_is_told_and_answered() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = repo(&world, "work/foo.git");
    let tree = world.tree();
    let first = git(&tree, &["rev-parse", "HEAD"]);
    git(&tree, &["remote", "add", "origin", bare.to_str().unwrap()]);
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();

    let said = git(&tree, &["push", "origin", "main"]);
    assert_eq!(remote(&said), [format!("quire: refs/heads/main {}: run 41 queued: http://h/41", &first[..7])]);
    let event = server.asked().pop().unwrap().json();
    let at_ms = u128::from(event["at_ms"].as_u64().unwrap());
    assert!(at_ms >= before && at_ms <= before + 600_000);
    assert_eq!(event["type"], "pushed");
    assert_eq!(event["repo"], "work/foo.git");
    assert_eq!(event["refs"], json!([{"ref": "refs/heads/main", "before": ZERO, "after": first}]));

    // A tag, a new branch, a force-push and a deletion.
    git(&tree, &["tag", "-a", "-m", "x", "v1"]);
    git(&tree, &["branch", "old"]);
    git(&tree, &["push", "-q", "origin", "old"]);
    git(&tree, &["commit", "-q", "--amend", "-m", "other"]);
    let second = git(&tree, &["rev-parse", "HEAD"]);
    let said = git(&tree, &["push", "origin", "+main", "v1", ":old", "HEAD:refs/heads/with\"quote-ü"]);
    let event = server.asked().pop().unwrap().json();
    let mut refs = event["refs"].as_array().unwrap().clone();
    refs.sort_by_key(|pushed| pushed["ref"].to_string());
    assert_eq!(
        Value::from(refs),
        json!([
            {"ref": "refs/heads/main", "before": first, "after": second},
            {"ref": "refs/heads/old", "before": first, "after": ZERO},
            {"ref": "refs/heads/with\"quote-ü", "before": ZERO, "after": second},
            {"ref": "refs/tags/v1", "before": ZERO, "after": git(&tree, &["rev-parse", "v1"])},
        ])
    );
    let lines = remote(&said);
    assert_eq!(lines.len(), 4, "{said}");
    assert!(lines.contains(&"quire: refs/heads/old: not run: it was deleted".to_owned()), "{said}");
    assert!(
        lines.iter().any(|line| line.starts_with("quire: refs/tags/v1 ") && line.ends_with("not run: it is no branch"))
    );
    assert!(world.spooled().is_empty());
}

#[test]
fn who_pushed_is_told() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = repo(&world, "foo.git");
    let tree = world.tree();
    let named = [("QUIRE_BY", "q"), ("GL_USER", "gl"), ("GITEA_PUSHER_NAME", "gt"), ("REMOTE_USER", "r")];
    for from in 0..=named.len() {
        commit(&tree);
        let mut push = git_command(&tree, &["push", "-q", bare.to_str().unwrap(), "main"]);
        push.envs(named.iter().skip(from).copied());
        named.iter().take(from).for_each(|(name, _)| {
            push.env_remove(name);
        });
        assert!(push.output().unwrap().status.success());
        let by = server.asked().pop().unwrap().json()["by"].as_str().map(str::to_owned);
        let want = named.get(from).map_or_else(user, |(_, name)| (*name).to_owned());
        assert_eq!(by, Some(want));
    }
}

fn user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_server_that_is_down_finds_the_push_in_the_spool() {
    let world = World::new();
    let bare = repo(&world, "foo.git");
    let tree = world.tree();
    let said = git(&tree, &["push", bare.to_str().unwrap(), "main"]);
    assert_eq!(remote(&said), ["quire: the server is not running; the push is noted, and runs when it is back"]);
    let spooled = world.spooled();
    assert_eq!(spooled.len(), 1);
    assert_eq!(spooled[0]["repo"], "foo.git");
    assert_eq!(spooled[0]["refs"][0]["after"], git(&tree, &["rev-parse", "HEAD"]));

    // One that is stopping, and one that cuts its answer off.
    for (n, torn) in [(2, false), (3, true)] {
        let server =
            Server::start(&world.data, move |_| Answer { torn, ..Answer::problem(503, "the server is stopping") });
        commit(&tree);
        let said = git(&tree, &["push", bare.to_str().unwrap(), "main"]);
        assert!(remote(&said)[0].ends_with("; the push is noted, and runs when it is back"), "{said}");
        assert_eq!(world.spooled().len(), n);
        drop(server);
    }
    // One that refuses would refuse it again.
    let _server = Server::start(&world.data, |_| Answer::problem(403, "ann may not push here\nask bob"));
    commit(&tree);
    let said = git(&tree, &["push", bare.to_str().unwrap(), "main"]);
    assert_eq!(remote(&said), ["quire: no run: ann may not push here"]);
    assert_eq!(world.spooled().len(), 3);
}

#[test]
fn no_trouble_of_ours_fails_a_push() {
    let world = World::new();
    let bare = repo(&world, "foo.git");
    let tree = world.tree();
    fs::remove_dir(world.data.join("spool")).unwrap();
    let said = git(&tree, &["push", bare.to_str().unwrap(), "main"]);
    assert!(said.contains("no run: the quire server is not running, and the push could not be noted"), "{said}");
    for input in ["", "nonsense\n", "a b\n"] {
        let mut child = world.command(&["hook", "post-receive", "--repo", "foo.git"]);
        fs::write(world.root.join("input"), input).unwrap();
        child.stdin(fs::File::open(world.root.join("input")).unwrap());
        assert_eq!(told(&child.output().unwrap()), (0, String::new(), String::new()), "{input:?}");
    }
}

#[test]
fn six_hundred_refs_in_one_push() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = repo(&world, "foo.git");
    let tree = world.tree();
    let sha = git(&tree, &["rev-parse", "HEAD"]);
    let packed: String = (0..600).map(|n| format!("{sha} refs/heads/branch-{n}\n")).collect();
    fs::write(tree.join(".git/packed-refs"), packed).unwrap();
    let said = git(&tree, &["push", bare.to_str().unwrap(), "refs/heads/branch-*"]);
    let event = server.asked().pop().unwrap().json();
    assert_eq!(event["refs"].as_array().unwrap().len(), 600);
    let lines = remote(&said);
    assert!(lines.len() <= 20, "{said}");
    assert_eq!(lines.last().unwrap(), "quire: and 588 more runs queued: quire ls --repo foo.git");
}

#[test]
fn a_hook_that_was_there_is_kept_and_called_first() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = world.root.join("ü it's.git");
    git(&world.root, &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    let hook = bare.join("hooks/post-receive");
    fs::create_dir_all(bare.join("hooks")).unwrap();
    let theirs = "#!/bin/sh\ncat >got\necho theirs\nexit 7\n";
    fs::write(&hook, theirs).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let out = world.ok(&["repo", "add", bare.to_str().unwrap(), "--name", "work/bar.git"]);
    assert!(out.contains("kept as post-receive.before-quire"), "{out}");
    let ours = fs::read(&hook).unwrap();
    // Again: nothing changes.
    world.ok(&["repo", "add", bare.to_str().unwrap()]);
    assert_eq!(fs::read(&hook).unwrap(), ours);
    assert_eq!(fs::read_to_string(bare.join("hooks/post-receive.before-quire")).unwrap(), theirs);

    let tree = world.tree();
    let said = git(&tree, &["push", bare.to_str().unwrap(), "main"]);
    assert_eq!(remote(&said)[0], "theirs", "{said}");
    assert!(remote(&said)[1].starts_with("quire: refs/heads/main "), "{said}");
    let sha = git(&tree, &["rev-parse", "HEAD"]);
    assert_eq!(fs::read_to_string(bare.join("got")).unwrap(), format!("{ZERO} {sha} refs/heads/main\n"));
    assert_eq!(server.asked().len(), 1);

    // Its exit code is the hook's.
    let line = world.root.join("line");
    fs::write(&line, format!("{sha} {ZERO} refs/heads/main\n")).unwrap();
    let called = Command::new(&hook).stdin(fs::File::open(&line).unwrap()).current_dir(&bare).output().unwrap();
    assert_eq!(called.status.code(), Some(7));
    assert_eq!(server.asked().len(), 2, "the server is told all the same");

    world.ok(&["repo", "rm", "work/bar.git"]);
    assert_eq!(fs::read_to_string(&hook).unwrap(), theirs);
    assert!(!bare.join("hooks/post-receive.before-quire").exists());
    assert!(bare.join("HEAD").exists());
    assert!(!world.data.join("repos/work").exists());
}

#[test]
fn a_folder_of_hooks_gets_one_more() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = world.root.join("forge.git");
    git(&world.root, &["init", "-q", "--bare", bare.to_str().unwrap()]);
    let hooks = bare.join("hooks");
    fs::create_dir_all(hooks.join("post-receive.d")).unwrap();
    let theirs = "#!/bin/sh\ndata=$(cat)\nfor hook in ./hooks/post-receive.d/*; do echo \"$data\" | \"$hook\"; done\n";
    fs::write(hooks.join("post-receive"), theirs).unwrap();
    fs::set_permissions(hooks.join("post-receive"), fs::Permissions::from_mode(0o755)).unwrap();
    world.ok(&["repo", "add", bare.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(hooks.join("post-receive")).unwrap(), theirs);
    let tree = world.tree();
    git(&tree, &["push", bare.to_str().unwrap(), "main"]);
    assert_eq!(server.asked().len(), 1);
    assert!(world.ok(&["repo", "list", "--json"]).contains("\"hook\":true"));
    world.ok(&["repo", "rm", "forge.git"]);
    assert_eq!(fs::read_dir(hooks.join("post-receive.d")).unwrap().count(), 0);
}

#[test]
fn hooks_that_others_share_are_left_alone() {
    let world = World::new();
    let bare = world.root.join("foo.git");
    git(&world.root, &["init", "-q", "--bare", bare.to_str().unwrap()]);
    fs::create_dir(world.root.join("shared")).unwrap();
    git(&bare, &["config", "core.hooksPath", "../shared"]);
    let (code, _, err) = world.quire(&["repo", "add", bare.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(err.contains("core.hooksPath") && err.contains("hook post-receive --data-dir"), "{err}");
    assert_eq!(fs::read_dir(world.root.join("shared")).unwrap().count(), 0);
    git(&bare, &["config", "core.hooksPath", "my hooks"]);
    world.ok(&["repo", "add", bare.to_str().unwrap()]);
    assert!(bare.join("my hooks/post-receive").exists());
}

#[test]
fn a_program_that_has_moved_leaves_the_event() {
    let world = World::new();
    let program = world.root.join("bin/quire");
    fs::create_dir(world.root.join("bin")).unwrap();
    fs::copy(QUIRE, &program).unwrap();
    let made = Command::new(&program).args(["repo", "new", "foo.git", "--data-dir"]).arg(&world.data).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::remove_file(&program).unwrap();
    let tree = world.tree();
    let bare = world.data.join("repos/foo.git");
    let said = git(&tree, &["push", bare.to_str().unwrap(), "main", "main:refs/heads/with\"quote"]);
    assert!(said.contains("is not there any more; the push is noted"), "{said}");
    let sha = git(&tree, &["rev-parse", "HEAD"]);
    let event: quire::api::PushEvent = serde_json::from_value(world.spooled().pop().unwrap()).unwrap();
    assert_eq!((event.kind.as_str(), event.repo.as_str(), event.by), ("pushed", "foo.git", None));
    assert!(event.at_ms > 1_600_000_000_000);
    let names: Vec<&str> = event.refs.iter().map(|change| change.ref_name.as_str()).collect();
    assert_eq!(names, ["refs/heads/main", "refs/heads/with\"quote"]);
    assert!(event.refs.iter().all(|change| change.after == sha && change.before == ZERO));
    let spool = quire::spool::Spool::of(&world.data);
    assert!(spool.take().all(|(_, event)| event.is_ok()));
}

#[test]
fn names_that_lead_out_are_refused() {
    let world = World::new();
    for name in ["../x.git", "/tmp/x.git", "a/b/c.git", "x", ".git", "a..b.git", "-x.git", "a/../b.git", "x.git/y.git"]
    {
        let (code, _, err) = world.quire(&["repo", "new", "--", name]);
        assert_eq!(code, 2, "{name}: {err}");
        assert!(err.contains(name), "{name}: {err}");
    }
    let elsewhere = world.root.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir_all(world.data.join("repos")).unwrap();
    symlink(&elsewhere, world.data.join("repos/work")).unwrap();
    for args in [&["repo", "new", "work/x.git"][..], &["repo", "rm", "--yes", "work/x.git"]] {
        let (code, _, err) = world.quire(args);
        assert!(code == 2 && err.contains("leads out of the data directory"), "{err}");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn repositories_are_listed_and_removed() {
    let world = World::new();
    assert_eq!(world.ok(&["repo", "list"]), "");
    repo(&world, "work/b.git");
    repo(&world, "a.git");
    let (code, _, err) = world.quire(&["repo", "new", "a.git"]);
    assert!(code == 2 && err.contains("there is a repository a.git already"), "{err}");
    let bare = world.root.join("old");
    git(&world.root, &["init", "-q", "--bare", bare.to_str().unwrap()]);
    world.ok(&["repo", "add", bare.to_str().unwrap()]);
    let listed = world.ok(&["repo", "list"]);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["a.git", "old.git", "work/b.git"], "{listed}");
    assert!(!listed.contains("no hook"), "{listed}");

    // Another server's hook is not taken over while that server has the repository.
    let other = World::new();
    let (code, _, err) = other.quire(&["repo", "add", bare.to_str().unwrap()]);
    assert!(code == 2 && err.contains("another quire") && other.ok(&["repo", "list"]).is_empty(), "{err}");

    let (code, _, err) = world.quire(&["repo", "rm", "a.git"]);
    assert!(code == 2 && err.contains("quire repo rm --yes a.git"), "{err}");
    world.ok(&["repo", "rm", "--yes", "a.git"]);
    assert!(!world.data.join("repos/a.git").exists());
    let (code, _, err) = world.quire(&["repo", "rm", "c.git"]);
    assert!(code == 2 && err.contains("there are: old.git, work/b.git"), "{err}");
    fs::remove_dir_all(&bare).unwrap();
    assert!(world.ok(&["repo", "list"]).contains("(gone)"));
    world.ok(&["repo", "rm", "old.git"]);

    let tree = world.tree();
    let (code, _, err) = world.quire(&["repo", "add", tree.to_str().unwrap()]);
    assert!(code == 2 && err.contains("git clone --bare"), "{err}");
}

#[test]
fn the_first_repository_is_the_configured_group_s_too() {
    let world = World::new();
    let gid = rustix::process::getegid().as_raw();
    let data = world.root.join("new");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("config.lua"), format!("return {{ group = \"{gid}\" }}")).unwrap();
    world.ok(&["repo", "new", "work/foo.git", "--data-dir", data.to_str().unwrap()]);
    let mode = |name: &str| fs::metadata(data.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("spool"), mode("config.lua")), (0o710, 0o3770, 0o600));
    assert_eq!((mode("repos"), mode("repos/work"), mode("repos/work/foo.git/refs")), (0o2770, 0o2770, 0o2770));
}

/// A command as another user and groups, who find no home.
fn as_user(uid: u32, groups: &[u32], program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string()]);
    match groups {
        [] => command.arg("--clear-groups"),
        groups => command.arg("--groups").arg(groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    };
    command.arg(program).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    command.env("LC_ALL", "C.UTF-8").env_remove("QUIRE_BY");
    command
}

/// A program that every user can reach, also where the build folder is private.
fn reachable(world: &World) -> PathBuf {
    let program = world.root.join("quire");
    fs::copy(QUIRE, &program).unwrap();
    program
}

#[test]
fn who_pushes_and_who_serves_need_not_be_one_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (pusher, server_user, group) = (23_401, 23_402, 23_403);
    let world = World::new();
    let program = reachable(&world);
    fs::remove_dir_all(&world.data).unwrap();
    fs::create_dir(&world.data).unwrap();
    std::os::unix::fs::chown(&world.data, Some(server_user), Some(server_user)).unwrap();
    quire::repo::prepare_data_dir(&world.data, Some(&group.to_string())).unwrap();
    for name in ["runs", "cache", "repos", "spool"] {
        std::os::unix::fs::chown(world.data.join(name), Some(server_user), None).unwrap();
    }
    assert_eq!(quire::repo::prepare_data_dir(&world.data, Some(&group.to_string())).unwrap(), [""; 0]);

    // Made by root: it is the server's, and the group's to push to.
    let data = world.data.to_str().unwrap();
    let made = Command::new(&program).args(["repo", "new", "work/foo.git", "--data-dir", data]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let bare = world.data.join("repos/work/foo.git");
    let meta = fs::metadata(bare.join("objects")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o2070), (server_user, group, 0o2070));
    assert_eq!(fs::metadata(bare.join("hooks")).unwrap().mode() & 0o022, 0, "nobody else says what pushers run");

    let tree = world.tree();
    let chown = Command::new("chown").args(["-R", &format!("{pusher}:{pusher}")]).arg(&tree).status().unwrap();
    assert!(chown.success());
    // Git asks whose a repository is that is pushed to: who pushes to another user's says once that it is trusted.
    let config = world.root.join("gitconfig");
    fs::write(&config, "[safe]\n\tdirectory = *\n").unwrap();
    let push = |groups: &[u32]| {
        let push = ["-C", tree.to_str().unwrap(), "push", bare.to_str().unwrap(), "main"];
        told(&as_user(pusher, groups, "git", &push).env("GIT_CONFIG_GLOBAL", &config).output().unwrap())
    };
    let (code, out, err) = push(&[]);
    assert!(code != 0 && !err.contains("dubious"), "who is not of the group cannot push: {out}{err}");

    let (code, out, err) = push(&[group]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("the push is noted"), "{err}");
    let spool = quire::spool::Spool::of(&world.data);
    let (path, event) = spool.take().next().unwrap();
    event.unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (pusher, group, 0o640));
    // The server, who is of the group, reads and removes it; another of the group cannot remove it.
    let file = path.to_str().unwrap();
    assert!(as_user(server_user, &[group], "cat", &[file]).output().unwrap().status.success());
    assert!(!as_user(23_404, &[group], "rm", &["-f", file]).output().unwrap().status.success());
    assert!(as_user(server_user, &[group], "rm", &[file]).output().unwrap().status.success());
    for private in ["runs", "cache"] {
        let listed = as_user(pusher, &[group], "ls", &[world.data.join(private).to_str().unwrap()]).output().unwrap();
        assert!(!listed.status.success());
    }
    assert!(!as_user(pusher, &[group], "ls", &[data]).output().unwrap().status.success());

    // A server that runs.
    let server = Server::start(&world.data, answer);
    std::os::unix::fs::chown(world.data.join("quire.sock"), Some(server_user), Some(group)).unwrap();
    fs::write(tree.join("b"), "2").unwrap();
    git(&tree, &["-c", "safe.directory=*", "add", "-A"]);
    git(&tree, &["-c", "safe.directory=*", "commit", "-q", "-m", "y"]);
    Command::new("chown").args(["-R", &format!("{pusher}:{pusher}")]).arg(&tree).status().unwrap();
    let (code, _, err) = push(&[group]);
    assert!(code == 0 && err.contains("run 41 queued"), "{err}");
    assert_eq!(server.asked().len(), 1);
    // The server's user reads what another pushed.
    let sha = git(&tree, &["-c", "safe.directory=*", "rev-parse", "HEAD"]);
    let read =
        as_user(server_user, &[group], "git", &["-c", "safe.directory=*", "-C", bare.to_str().unwrap(), "log", &sha]);
    assert!({ read }.output().unwrap().status.success());
}

#[test]
fn the_hook_s_surroundings_reach_nobody() {
    let world = World::new();
    let server = Server::start(&world.data, answer);
    let bare = repo(&world, "foo.git");
    // As git calls it: in the repository, with what it says of it.
    let mut hook = world.command(&["hook", "post-receive"]);
    fs::write(world.root.join("line"), format!("{ZERO} {} refs/heads/main\n", "1".repeat(40))).unwrap();
    hook.stdin(fs::File::open(world.root.join("line")).unwrap()).current_dir(&bare);
    hook.env("GIT_DIR", ".").env("GIT_QUARANTINE_PATH", "/nonexistent").env("GIT_OBJECT_DIRECTORY", "/nonexistent");
    let (code, out, _) = told(&hook.output().unwrap());
    assert_eq!((code, out.as_str()), (0, "quire: refs/heads/main 1111111: run 41 queued: http://h/41\n"));
    assert_eq!(server.asked()[0].json()["repo"], "foo.git", "its name is found by its place");
    // Making a repository from within a hook of another.
    let mut made = world.command(&["repo", "new", "bar.git"]);
    made.env("GIT_DIR", &bare).env("GIT_WORK_TREE", "/nonexistent");
    assert!(made.output().unwrap().status.success());
    assert!(Path::new(&world.data.join("repos/bar.git/HEAD")).exists());
}
