//! The description holds against the server: every answer against its schema, every path against the router, and the reverse.

use std::collections::BTreeSet;

use quire::http::{OPENAPI, ROUTES};
use serde_json::{Value, json};

use crate::record::{LiveRun, REPO, real_run};
use crate::server::Setup;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Whether `value` is a `name` of the description, and has nothing that it does not tell of.
#[track_caller]
fn check(name: &str, value: &Value) {
    let mut schema = description();
    close(&mut schema["components"]["schemas"]);
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    for field in ["openapi", "info", "paths", "security"] {
        schema.as_object_mut().unwrap().remove(field);
    }
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") && fields.get("type").is_some_and(Value::is_string) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn every_path_of_the_router_and_no_other() {
    let mut routed = BTreeSet::new();
    for (path, methods) in ROUTES {
        let path = path.replace("{*", "{").replace("/badge/{repo}", "/badge/{repo}.svg");
        for (method, endpoint) in *methods {
            let name = format!("{endpoint:?}");
            let name = name[..1].to_ascii_lowercase() + &name[1..];
            routed.insert(format!("{} {path} {name}", method.as_str().to_ascii_lowercase()));
        }
    }
    let mut described = BTreeSet::new();
    for (path, methods) in description()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert(format!("{method} {path} {}", operation["operationId"].as_str().unwrap()));
            let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
            for part in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
                let is_told = parameters.iter().any(|parameter| {
                    parameter["name"] == part || parameter["$ref"] == format!("#/components/parameters/{part}")
                });
                assert!(is_told, "{path} tells of {part}");
            }
        }
    }
    assert_eq!(described, routed);
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, all: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(all.pointer(pointer).is_some(), "{reference}");
                }
                fields.values().for_each(|value| walk(value, all));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, all)),
            _ => {}
        }
    }
    let all = description();
    walk(&all, &all);
    assert_eq!(all["openapi"], "3.1.0");
}

#[test]
fn every_answer_is_as_described() {
    let server = Setup::default().start();
    server.repository(REPO);
    server.repository("empty.git");
    let id = real_run(server.data(), 1);
    let get = |path: &str| server.unix.json(path);
    check("RepoPage", &get("/api/v1/repos"));
    check("Repo", &get("/api/v1/repos/work/foo.git"));
    check("Repo", &get("/api/v1/repos/empty.git"));
    check("RunPage", &get("/api/v1/runs"));
    check("RunPage", &get("/api/v1/runs?state=pending"));
    check("RunDetail", &get("/api/v1/runs/1"));
    check("Health", &get("/healthz"));
    assert_eq!(get("/api/v1/openapi.json"), description());
    let trigger = r#"{"repo":"work/foo.git","ref":"main","params":{"a":"b"},"jobs":["build"]}"#;
    check("TriggerRequest", &serde_json::from_str(trigger).unwrap());
    check("QueuedRun", &server.unix.post("/api/v1/runs", &[], trigger).value());
    check("RetryRequest", &json!({"failed": false}));
    check("QueuedRun", &server.unix.post("/api/v1/runs/1/retry", &[], r#"{"failed":false}"#).value());
    check("Cancelled", &server.unix.post("/api/v1/runs/1/cancel", &[], "").value());
    let ids = ["0".repeat(40), "a".repeat(40)];
    let change = json!({"ref": "refs/heads/main", "before": ids[0], "after": ids[1]});
    let push = json!({"at_ms": 1, "type": "pushed", "repo": REPO, "by": "ann", "refs": [change]});
    check("PushEvent", &push);
    check("PushAnswer", &server.unix.post("/api/v1/push", &[], &push.to_string()).value());
    for path in ["/api/v1/runs/2", "/api/none", "/api/v1/runs?limit=0"] {
        check("Problem", &server.unix.get(path, &[]).value());
    }
    let events = server.unix.view(&format!("/api/v1/runs/{id}/events"), &[]).rest();
    let (end, events) = events.split_last().unwrap();
    check("RunEnd", &end.value());
    events.iter().for_each(|told| check("Event", &told.value()));
    for line in server.unix.get(&format!("/api/v1/runs/{id}/events"), &[]).text().lines() {
        check("Event", &serde_json::from_str(line).unwrap());
    }
    let lines = server.unix.view(&format!("/api/v1/runs/{id}/jobs/build/1/log"), &[]).rest();
    let (end, lines) = lines.split_last().unwrap();
    check("LogEnd", &end.value());
    lines.iter().for_each(|told| check("LogLine", &told.value()));
    let mut live = LiveRun::start(server.data(), 2);
    live.command();
    check("RunDetail", &get("/api/v1/runs/2"));
}
