//! Whether the server can do its work.

use hyper::StatusCode;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::respond::Call;
use crate::api::Health;

/// `GET /healthz`: 503 only where nothing can be admitted.
pub(super) async fn health(call: &Call) -> Result<Answer, Failure> {
    let app = &call.site.app;
    let standing = app.desk.waiting();
    let mut problems = Vec::new();
    problems.extend(standing.halted.clone());
    let is_read = app.readers.ask(|store| store.active_runs().map(drop)).await;
    problems.extend(is_read.as_ref().err().map(ToString::to_string));
    let can_admit = problems.is_empty();
    let behind = app.desk.behind();
    if behind > 0 {
        problems.push(format!("the database is {behind} rows behind what runs recorded; nothing is lost"));
    }
    let (waiting, running) = totals(&standing.repos);
    let health = Health {
        status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        waiting,
        running,
        free_bytes: free_bytes(call).await,
        problems,
    };
    let status = if can_admit { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(answers::json(status, &health))
}

/// How many runs wait and go on, over all repositories.
pub(super) fn totals(repos: &std::collections::BTreeMap<String, (u64, u64)>) -> (u64, u64) {
    repos.values().fold((0, 0), |(waiting, running), (waits, runs)| (waiting + waits, running + runs))
}

/// Bytes free where runs are recorded, for users other than root.
pub(super) async fn free_bytes(call: &Call) -> Option<u64> {
    let path = call.site.app.data.runs();
    smol::unblock(move || {
        let told = rustix::fs::statvfs(&path).ok()?;
        Some(told.f_bavail.saturating_mul(told.f_frsize))
    })
    .await
}
