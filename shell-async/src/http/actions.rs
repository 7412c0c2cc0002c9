//! What changes something: push, trigger, retry, cancel. The queue's owner decides; here is who asks, and whether it makes sense.

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::LOCATION;
use quire_core::access::{Action, Identity, Via};

use super::access;
use super::answers::{self, Answer};
use super::failure::Failure;
use super::respond::Call;
use super::{body, find, repos, view};
use crate::api::{PushEvent, QueuedRun, RetryRequest, TriggerRequest};

/// `POST /api/v1/push`.
pub(super) async fn push(call: &Call, body: Incoming) -> Result<Answer, Failure> {
    let mut event: PushEvent = body::json(&call.headers, body, call.site.limits.push_bytes).await?;
    call.may(Action::Push, Some(&event.repo))?;
    event.check().map_err(Failure::bad)?;
    repos::exists(call, &event.repo).await?;
    // Only the server's own user may speak for others: its hook knows who pushed.
    match &call.identity {
        Identity::Known { name, via: Via::Owner } => {
            event.by.get_or_insert_with(|| name.clone());
        }
        identity => event.by = access::name(identity).map(str::to_owned),
    }
    Ok(answers::json(StatusCode::OK, &call.site.app.desk.push(event).await?))
}

/// `POST /api/v1/runs`.
pub(super) async fn trigger(call: &Call, body: Incoming) -> Result<Answer, Failure> {
    let request: TriggerRequest = body::json(&call.headers, body, call.site.limits.body_bytes).await?;
    call.may(Action::Trigger, Some(&request.repo))?;
    if request.ref_name.is_none() && request.sha.is_none() {
        return Err(Failure::bad("`ref` or `sha` is needed: what is to run?"));
    }
    repos::exists(call, &request.repo).await?;
    created(call.site.app.desk.trigger(request, by(call)).await?)
}

/// `POST /api/v1/runs/{run}/retry`.
pub(super) async fn retry(call: &Call, body: Incoming) -> Result<Answer, Failure> {
    let run = find::run(call, Action::Retry).await?;
    let request: RetryRequest = body::json_or_default(&call.headers, body, call.site.limits.body_bytes).await?;
    created(call.site.app.desk.retry(run.row.run_id, request, by(call)).await?)
}

/// `POST /api/v1/runs/{run}/cancel`.
pub(super) async fn cancel(call: &Call) -> Result<Answer, Failure> {
    let run = find::run(call, Action::Cancel).await?;
    let cancelled = call.site.app.desk.cancel(run.row.run_id, by(call)).await?;
    Ok(answers::json(StatusCode::OK, &cancelled))
}

/// Who asks, for the record.
pub(super) fn by(call: &Call) -> Option<String> {
    access::name(&call.identity).map(str::to_owned)
}

fn created(run: QueuedRun) -> Result<Answer, Failure> {
    let mut answer = answers::json(StatusCode::CREATED, &run);
    answers::set(&mut answer, LOCATION, &view::run_path(&run.id));
    Ok(answer)
}
