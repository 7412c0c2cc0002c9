//! `--at`: a run on a fresh checkout, which sees nothing of the work tree and leaves nothing in it.

use std::fs;

use quire_core::wire::Stream;

use crate::world::World;

const SHOW: &str = r#"
ci.job("a", function(rt)
  rt.sh("cat file; cat untracked 2>/dev/null || echo none; git rev-parse HEAD; touch made-by-the-run")
  if rt.params.fail then error("as asked") end
end)"#;

/// A repository with two commits, a staged change, and one that is not.
fn world() -> World {
    let mut world = World::new(SHOW);
    world.write("file", "one\n");
    world.commit("one");
    world.git(&["tag", "v1"]);
    world.write("file", "two\n");
    world.commit("two");
    world.write("file", "staged\n");
    world.git(&["add", "file"]);
    world.write("file", "dirty\n");
    world.write("untracked", "here\n");
    world.set("OTHER", "of the caller");
    world
}

fn printed(world: &World) -> Vec<String> {
    let text = String::from_utf8(world.last().stream("a", 1, Stream::Stdout)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The folder of the run's checkout, if it is still there.
fn checkout(world: &World) -> Option<std::path::PathBuf> {
    Some(world.last().0.join("workspace")).filter(|path| path.exists())
}

#[test]
fn a_revision_is_what_was_committed() {
    let world = world();
    let status = world.git(&["status", "--porcelain"]);
    for (rev, file, name) in [
        ("HEAD", "two", None),
        ("v1", "one", Some("refs/tags/v1")),
        ("main", "two", Some("refs/heads/main")),
        ("HEAD~1", "one", None),
    ] {
        let sha = world.git(&["rev-parse", &format!("{rev}^{{commit}}")]);
        world.run(0, &["--at", rev]);
        assert_eq!(printed(&world), [file, "none", &sha], "{rev}");
        let started = world.last().of_type("run_started").remove(0);
        assert_eq!(started["sha"].as_str(), Some(sha.as_str()));
        if name.is_some() {
            assert_eq!(started["ref"].as_str(), name);
        }
        assert_eq!(checkout(&world), None, "removed after success");
    }
    assert_eq!(world.git(&["status", "--porcelain"]), status);
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
    assert!(!world.workspace().join("made-by-the-run").exists());
}

#[test]
fn the_index_is_what_is_staged() {
    let world = world();
    let index = fs::read(world.workspace().join(".git/index")).unwrap();
    world.run(0, &["--at", "index"]);
    assert_eq!(printed(&world), ["staged", "none", &world.git(&["rev-parse", "HEAD"])]);
    assert_eq!(checkout(&world), None);
    assert_eq!(fs::read(world.workspace().join(".git/index")).unwrap(), index, "git's own index is not touched");
}

#[test]
fn a_failed_run_s_checkout_is_kept_and_told() {
    let world = world();
    let done = world.run(1, &["--at", "v1", "--param", "fail=1"]);
    let kept = checkout(&world).expect("it is kept");
    assert!(done.out().contains(&format!("the checkout is kept: {}", kept.display())), "{}", done.out());
    assert!(kept.join("made-by-the-run").exists());
    assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "one\n");
    world.is_sound();
    // It goes with its run.
    world.pipeline(SHOW);
    world.run(0, &[]);
    world.quire(&["prune", "--keep", "1"]).ends(0);
    assert!(!kept.exists());
}

#[test]
fn the_pipeline_is_that_of_the_revision() {
    let world = World::new("ci.job('old', function(rt) rt.sh('true') end)");
    world.git(&["tag", "old"]);
    world.pipeline("ci.job('new', function(rt) rt.sh('true') end)");
    world.run(0, &["--at", "old"]);
    assert_eq!(world.rows("SELECT job_id FROM jobs"), ["old"]);
    world.run(0, &["--at", "old", "old"]);
    world.run(2, &["--at", "old", "new"]).tells(&["error:", "\"new\"", "old"]);
    world.run(2, &["--at", "no-such-rev"]).says(&["error:", "no-such-rev"]);
    world.run(2, &["--at", "-x"]).says(&["error:"]);
    world.is_sound();
}

#[test]
fn a_checkout_has_a_clean_environment() {
    let mut world = World::new(
        "ci.job('a', function(rt) assert(rt.env('OTHER') == nil); rt.sh('test -z \"$OTHER\" -a -n \"$PATH\"') end)",
    );
    world.set("OTHER", "of the caller");
    world.run(0, &["--at", "HEAD"]);
}
