//! Streams of every earlier version are read: as runs that a server finds in its data directory.
//!
//! There is no tag yet. From the first one on, a child built from the last tag is driven here as well.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::Server;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams")
}

/// What of an answer is the record's, and not this machine's.
fn essence(run: &Value) -> Value {
    let jobs = run["jobs"].as_array().unwrap().iter().map(|job| {
        let mut job = job.clone();
        for command in job["commands"].as_array_mut().unwrap() {
            command.as_object_mut().unwrap().remove("log");
        }
        job
    });
    let of_run = ["state", "failure_kind", "error", "ref", "sha", "executor", "started_at_ms", "finished_at_ms"];
    let mut told: serde_json::Map<String, Value> =
        of_run.into_iter().map(|field| (field.to_owned(), run[field].clone())).collect();
    told.insert("jobs".to_owned(), jobs.collect());
    Value::Object(told)
}

#[test]
fn streams_of_every_version_are_read() {
    let mut server = Server::unstarted("return {}");
    let mut known = Vec::new();
    for version in fs::read_dir(folder()).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        for stream in fs::read_dir(version.path()).unwrap().flatten().map(|entry| entry.path()) {
            if stream.extension().is_some_and(|extension| extension == "jsonl") {
                let id = format!("00000000-0000-7000-8000-{:012}", known.len() + 1);
                let run = server.data().join("runs").join(&id);
                fs::create_dir_all(&run).unwrap();
                fs::copy(&stream, run.join("events.jsonl")).unwrap();
                fs::write(run.join("lock"), "").unwrap();
                known.push((stream.with_extension("json"), id));
            }
        }
    }
    assert!(known.len() >= 7, "{known:?}");
    server.start();
    let mut wrong = Vec::new();
    for (expected, id) in known {
        let found = essence(&server.get(&format!("/api/v1/runs/{id}")));
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if serde_json::from_str::<Value>(&wanted).unwrap_or(json!(null)) != found {
            wrong.push(format!("{}:\n{}", expected.display(), serde_json::to_string_pretty(&found).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}
