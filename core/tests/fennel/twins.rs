//! `examples/twin-lua` and `examples/twin-fennel` are one pipeline in two languages: with the same facts they give the same
//! orders, byte for byte but for the files and lines that they name.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;

use quire_core::capture::Captured;
use quire_core::engine::{Answer, Compiler, Config, Engine, ExitStatus, Input, Limits, Output, Source};
use quire_core::ids::RunId;
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::{EventKind, RunOutcome, encode};

use super::support::compiler;

/// All files below a folder's `.quire`, by their names in the workspace.
fn read(example: &str, pipeline: &str) -> Source {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
    let mut files = BTreeMap::new();
    let mut folders = vec![root.join(".quire")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the example is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below it").display().to_string();
                files.insert(name, fs::read(&path).expect("it can be read"));
            }
        }
    }
    let text = files.remove(pipeline).expect("the pipeline");
    Source { file: pipeline.into(), text, modules: files, fennel: Compiler::Found(compiler()) }
}

fn config(source: Source, fail: bool) -> Config {
    Config {
        run_id: RunId::new("run"),
        version: "0".into(),
        executor: "host".into(),
        sha: fail.then(|| "0123456789abcdef0123456789abcdef01234567".to_owned()),
        ref_name: Some("refs/heads/main".into()),
        number: None,
        repo: None,
        pushed_at_ms: Some(5),
        params: BTreeMap::new(),
        args: Vec::new(),
        seed: 7,
        source,
        select: Vec::new(),
        keep_going: false,
        slots: 4,
        secrets: BTreeMap::new(),
        secret_set: SecretSet::default(),
        env: BTreeMap::new(),
        workspace: "/w".into(),
        limits: Limits::default(),
        fingerprint_follows: false,
        executor_forced: false,
        replay: None,
        notes: Vec::new(),
    }
}

/// Runs to the end in a made-up world; every order as text.
fn orders(source: Source, fail: bool) -> (Vec<String>, RunOutcome) {
    let at = |ms: u64| Now { mono: Mono(ms * 1_000_000), wall: Wall::from_ms(ms as i64) };
    let mut engine = Engine::new(config(source, fail), at(0));
    let mut orders: Vec<String> = Vec::new();
    let (mut files, mut facts) = (BTreeMap::new(), VecDeque::new());
    let mut ms = 0;
    for _ in 0..10_000 {
        while let Some(output) = engine.poll_output() {
            match &output {
                Output::Emit(event) => {
                    let (mut event, mut line) = (event.clone(), Vec::new());
                    if let EventKind::RunStarted(started) = &mut event.kind {
                        assert!(started.pipeline.take().is_some(), "it tells which files these are");
                    }
                    encode(&event, &mut line);
                    orders.push(String::from_utf8(line).expect("events are UTF-8"));
                    continue;
                }
                Output::Done(outcome) => return (orders, *outcome),
                Output::Spawn { sh, command, .. } => {
                    let words: Vec<String> =
                        command.argv.iter().map(|word| String::from_utf8_lossy(word).into()).collect();
                    let line = words.join(" ");
                    let (stdout, code) = match line.as_str() {
                        line if line.contains("mktemp") => ("/tmp/x\n", 0),
                        line if line.contains("wc -c") => ("13\n", 0),
                        line if line.contains("grep -c") => ("0\n", 1),
                        line if line.contains("exit 3") => ("", 3),
                        line if line.contains("unit tests") => ("unit tests\n", i32::from(fail)),
                        _ => ("done\n", 0),
                    };
                    facts.push_back(Input::Exited { sh: sh.clone(), status: ExitStatus::Code(code) });
                    let captured = Captured { stdout: stdout.into(), ..Captured::default() };
                    facts.push_back(Input::OutputEnded { sh: sh.clone(), captured });
                }
                Output::Sweep { scope } => facts.push_back(Input::Swept { scope: scope.clone() }),
                Output::Write { ask, path, content } => {
                    files.insert(path.clone(), content.clone());
                    facts.push_back(Input::Answered { ask: *ask, answer: Answer::Write(Ok(())) });
                }
                Output::Read { ask, path, .. } => {
                    let content = files.get(path).cloned().ok_or_else(|| "there is no such file".to_owned());
                    facts.push_back(Input::Answered { ask: *ask, answer: Answer::Read(content) });
                }
                Output::Signal { .. } | Output::CloseOutput { .. } | Output::SetSecrets(_) => {}
                Output::Recall { .. } | Output::Glob { .. } | Output::Hash { .. } => {
                    panic!("not of this pipeline: {output:?}")
                }
            }
            orders.push(format!("{output:?}"));
        }
        // Time is that of facts: a slice of a script's work takes none.
        if let Some(fact) = facts.pop_front() {
            ms += 1;
            engine.handle(at(ms), fact);
        } else {
            engine.handle(at(ms), Input::Tick);
        }
    }
    panic!("never ends: {orders:#?}");
}

/// Places of either language as one.
fn without_places(orders: Vec<String>) -> Vec<String> {
    let place = |order: String| {
        let mut order = order.replace("scratch.fnl", "scratch.lua").replace("ci.fnl", "ci.lua");
        for mark in ["\"line\":", "ci.lua:", "scratch.lua:"] {
            let mut parts: Vec<String> = order.split(mark).map(str::to_owned).collect();
            for part in parts.iter_mut().skip(1) {
                *part = part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
            }
            order = parts.join(mark);
        }
        order
    };
    orders.into_iter().map(place).collect()
}

#[test]
fn twins_give_the_same_orders() {
    for fail in [false, true] {
        let (lua, lua_outcome) = orders(read("twin-lua", ".quire/ci.lua"), fail);
        let (fennel, fennel_outcome) = orders(read("twin-fennel", ".quire/ci.fnl"), fail);
        for (lua, fennel) in without_places(lua.clone()).iter().zip(&without_places(fennel.clone())) {
            assert_eq!(lua, fennel);
        }
        assert_eq!(lua.len(), fennel.len());
        assert_eq!((lua_outcome, fennel_outcome), (RunOutcome::Complete, RunOutcome::Complete), "{lua:#?}");
        let spawned = lua.iter().filter(|order| order.starts_with("Spawn")).count();
        assert!(spawned >= 12, "{spawned}: {lua:#?}");
        assert_eq!(lua.iter().any(|order| order.contains("job_retried")), fail);
    }
}

#[test]
fn modules_are_compiled_inside_jobs_and_last_values_are_no_outputs() {
    let source = super::support::source(&[
        (
            "ci.fnl",
            "(local ci (require :quire.ci))
             (ci.job :good (fn [rt] (let [late (require :late)] (rt.sh late.command) late.command)))
             (ci.job :all (fn [rt] (rt.all [:a :b])))
             (ci.job :bad {:allow-failure true} (fn [rt]
               (print (pcall require :broken))
               (rt.sh 7)))",
        ),
        ("late.fnl", "{:command :echo-late}"),
        ("broken.fnl", "(local x 1)\n(foo)"),
    ]);
    let (orders, outcome) = orders(source, false);
    let all = orders.join("\n");
    assert_eq!(outcome, RunOutcome::Complete);
    assert!(all.contains("\"cmd\":\"echo-late\"") && !all.contains("\"output\""), "{all}");
    assert!(all.contains("false\\t.quire/lib/broken.fnl:2: unknown identifier: foo"), "{all}");
    let place = "\"file\":\".quire/ci.fnl\",\"line\":6";
    assert!(orders.iter().any(|order| order.contains("rt.sh wants a command") && order.contains(place)), "{all}");
}
