//! A server that runs out of descriptors: commands that cannot start fail, and none runs that nobody knows of. A process of its
//! own, as the limit is the process's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;

use quire::host::{HostPool, HostRun};
use quire_ci::cli::Spec;
use quire_ci::process::become_subreaper;
use quire_ci::record::RunDir;
use quire_core::ids::RunId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn no_command_is_left_that_could_not_be_watched() {
    become_subreaper().unwrap();
    let root = tempfile::tempdir().unwrap();
    let workspace = root.path().join("work");
    fs::create_dir_all(workspace.join(".quire")).unwrap();
    // More and more commands at once, so that each descriptor in turn is the one that is lacking.
    let pipeline = r#"
        local ci = require("quire.ci")
        ci.job("a", function(rt)
          for n = 1, 20 do rt.spawn({ "sh", "-c", "touch ran-" .. n .. "; sleep 1000" }, { service = true, stdin = "x" }) end
          rt.sh { "true" }
        end)"#;
    fs::write(workspace.join(".quire/ci.lua"), pipeline).unwrap();
    let pool = HostPool::new(1).unwrap();
    let run = |n: u32| {
        let run = HostRun {
            run_id: RunId::new(&format!("run-{n}")),
            dir: RunDir::create(&root.path().join(n.to_string())).unwrap(),
            workspace: workspace.clone(),
            spec: Spec::default(),
            slots: 4,
            notes: Vec::new(),
        };
        smol::block_on(pool.start(run, smol::channel::unbounded().1))
    };
    run(0).unwrap();
    let before = getrlimit(Resource::Nofile);
    let (mut failed, mut told) = (0, Vec::new());
    for spare in 20..40 {
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit_with(spare)), ..before }).unwrap();
        let ended = run(spare);
        setrlimit(Resource::Nofile, before).unwrap();
        let events = fs::read_to_string(root.path().join(spare.to_string()).join("events.jsonl")).unwrap_or_default();
        failed += events.matches("Too many open files").count();
        if let Ok(ended) = &ended {
            assert!(events.contains("run_finished") || ended.record_failure.is_some(), "{ended:?}\n{events}");
        }
        told.push(format!("{spare}: {ended:?}\n{events}"));
        assert_eq!(children(), Vec::<String>::new(), "with {spare} to spare");
    }
    assert!(failed > 5, "{failed}: {}", told.join("\n"));
}

/// The limit under which so many more can be opened: a number above it that is open already takes none away.
fn limit_with(spare: u32) -> u64 {
    let names = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open: BTreeSet<u32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let free = (0..).filter(|number| !open.contains(number));
    free.take(spare as usize).last().map_or(0, |last| u64::from(last) + 1)
}

/// Of all threads of this process, those that live.
fn children() -> Vec<String> {
    let lists = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path().join("children"));
    let pids = lists.filter_map(|list| fs::read_to_string(list).ok());
    let pids: Vec<String> =
        pids.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let told = |pid: String| format!("{pid}: {}", fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default());
    pids.into_iter().map(told).filter(|stat| stat.contains(") ") && !stat.contains(") Z ")).collect()
}
