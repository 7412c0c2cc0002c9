//! What buttons do: the actions of the API for browsers without scripts. The answer leads to the run.

use hyper::body::Incoming;
use quire_core::access::Action;

use super::super::actions::by;
use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::respond::Call;
use super::super::{body, find, repos};
use super::told;
use crate::api::{RetryRequest, TriggerRequest};

/// `POST /runs/{run}/cancel`.
pub(in super::super) async fn cancel(call: &Call) -> Result<Answer, Failure> {
    let run = find::run(call, Action::Cancel).await?;
    call.site.app.desk.cancel(run.row.run_id.clone(), by(call)).await?;
    Ok(answers::elsewhere(&told::run_path(&run.row.run_id)))
}

/// `POST /runs/{run}/retry`; with `retry-failed`, only what failed.
pub(in super::super) async fn retry(call: &Call, body: Incoming) -> Result<Answer, Failure> {
    let run = find::run(call, Action::Retry).await?;
    let form = body::form(&call.headers, body, call.site.limits.body_bytes, &["retry", "retry-failed"]).await?;
    let request = RetryRequest { failed: form.get("retry-failed").is_some() };
    let queued = call.site.app.desk.retry(run.row.run_id, request, by(call)).await?;
    Ok(answers::elsewhere(&format!("/runs/{}", told::part(&queued.id))))
}

/// `POST /repos/{name}`: runs a ref of it.
pub(in super::super) async fn trigger(call: &Call, body: Incoming) -> Result<Answer, Failure> {
    let repo = call.named.part("name").to_owned();
    call.may(Action::Trigger, Some(&repo))?;
    let form = body::form(&call.headers, body, call.site.limits.body_bytes, &["ref", "trigger"]).await?;
    let ref_name =
        form.get("ref").ok_or_else(|| Failure::bad("which ref is to run? Give a branch or a tag"))?.to_owned();
    repos::exists(call, &repo).await?;
    let request = TriggerRequest { repo, ref_name: Some(ref_name), ..TriggerRequest::default() };
    let queued = call.site.app.desk.trigger(request, by(call)).await?;
    Ok(answers::elsewhere(&format!("/runs/{}", told::part(&queued.id))))
}
