//! From a request to its answer: host, route, query, identity, endpoint; and what every answer has.

use std::sync::Arc;

use async_io::Timer;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use quire_core::access::{Action, Identity};
use quire_core::config::ServerConfig;
use smol::future::FutureExt as _;

use super::access::{self, Peer};
use super::answers::{self, Answer};
use super::failure::Failure;
use super::query::Query;
use super::router::{Endpoint, Named};
use super::site::Site;
use super::{actions, badge, events, health, login, logs, metrics, pages, repos, router, runs};

/// A request as endpoints see it; its body is apart.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) site: Arc<Site>,
    /// The configuration, the same throughout the request.
    pub(super) config: Arc<ServerConfig>,
    pub(super) identity: Identity,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) named: Named,
    pub(super) query: Query,
}

impl Call {
    /// Whether who asks may; the failure says why not.
    pub(super) fn may(&self, action: Action, repo: Option<&str>) -> Result<(), Failure> {
        access::decide(&self.config, &self.identity, action, repo)
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a live view is wanted.
    pub(super) fn wants_event_stream(&self) -> bool {
        let accepted = self.header("accept").unwrap_or_default();
        accepted
            .split(',')
            .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream"))
    }
}

/// Answers one request.
pub(super) async fn respond(site: Arc<Site>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let is_page = router::is_page(request.uri().path());
    let takes_gzip = pages::takes_gzip(request.headers());
    let late = async {
        Timer::after(site.limits.answer_time).await;
        Err(Failure::unavailable(
            "the server did not come to an answer in time: what was asked for may still happen, look before asking again",
        ))
    };
    let answer = endpoint(Arc::clone(&site), peer, request).or(late).await;
    let mut answer = answer.unwrap_or_else(|failure| match is_page {
        true => pages::problem(takes_gzip, failure),
        false => answers::problem(failure),
    });
    answers::guard(&mut answer);
    site.answered.count(answer.status().as_u16());
    if is_head { answers::behead(answer) } else { answer }
}

async fn endpoint(site: Arc<Site>, peer: Arc<Peer>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (parts, body) = request.into_parts();
    let config = site.app.settings.now();
    let (endpoint, named) = site.router.find(&parts.method, parts.uri.path())?;
    let is_local = matches!(*peer, Peer::Socket { .. });
    // What watches over the server asks for it by whatever address it has.
    if !is_local && endpoint != Endpoint::Health {
        access::check_host(&config, &parts.headers)?;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default(), parameters(endpoint))?;
    let caller = access::identify(&*site.credentials, &config, &peer, &parts.headers).await?;
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        access::check_origin(&caller, &config, parts.method.as_str(), &parts.headers)?;
    }
    let (method, headers) = (parts.method, parts.headers);
    let call = Call { site, config, identity: caller.identity, method, headers, named, query };
    match endpoint {
        Endpoint::ListRepos => repos::list(&call).await,
        Endpoint::ShowRepo => repos::show(&call).await,
        Endpoint::ListRuns => runs::list(&call).await,
        Endpoint::ShowRun => runs::show(&call).await,
        Endpoint::TriggerRun => actions::trigger(&call, body).await,
        Endpoint::CancelRun => actions::cancel(&call).await,
        Endpoint::RetryRun => actions::retry(&call, body).await,
        Endpoint::Push => actions::push(&call, body).await,
        Endpoint::RunEvents => events::events(&call).await,
        Endpoint::CommandLog => logs::log(&call).await,
        Endpoint::OpenApi => Ok(answers::typed(hyper::StatusCode::OK, "application/json", super::OPENAPI)),
        Endpoint::Metrics => metrics::metrics(&call).await,
        Endpoint::Health => health::health(&call).await,
        Endpoint::Badge => badge::badge(&call).await,
        Endpoint::Login => login::login(&call).await,
        Endpoint::Home => pages::home(&call).await,
        Endpoint::RepoPage => pages::repo(&call).await,
        Endpoint::TriggerForm => pages::trigger(&call, body).await,
        Endpoint::CommitPage => pages::commit(&call).await,
        Endpoint::ChangesPage => pages::changes(&call).await,
        Endpoint::RunPage => pages::run(&call).await,
        Endpoint::CancelForm => pages::cancel(&call).await,
        Endpoint::RetryForm => pages::retry(&call, body).await,
        Endpoint::JobPage => pages::job(&call).await,
        Endpoint::LogPage => pages::log(&call).await,
        Endpoint::LogRows => pages::rows(&call).await,
        Endpoint::LogRaw => pages::raw(&call).await,
        Endpoint::Asset => pages::asset(&call),
    }
}

/// The query parameters of an endpoint.
fn parameters(endpoint: Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::ListRuns => &["repo", "ref", "state", "limit", "before"],
        Endpoint::ShowRun | Endpoint::CancelRun | Endpoint::RetryRun => &["repo"],
        Endpoint::RunEvents => &["repo", "after"],
        Endpoint::CommandLog => &["repo", "after", "stream"],
        Endpoint::Badge => &["ref"],
        Endpoint::Home => &["q", "show"],
        Endpoint::RepoPage => &["ref", "state", "before"],
        Endpoint::ChangesPage => &["from", "to"],
        Endpoint::RunPage => &["repo"],
        Endpoint::JobPage => &["repo", "from"],
        Endpoint::LogPage => &["repo", "from", "count", "times", "find", "back"],
        Endpoint::LogRows => &["repo", "from", "count", "times", "find", "mark", "back"],
        Endpoint::LogRaw => &["repo", "row"],
        Endpoint::ListRepos
        | Endpoint::ShowRepo
        | Endpoint::TriggerRun
        | Endpoint::Push
        | Endpoint::OpenApi
        | Endpoint::Metrics
        | Endpoint::Health
        | Endpoint::Login
        | Endpoint::TriggerForm
        | Endpoint::CommitPage
        | Endpoint::CancelForm
        | Endpoint::RetryForm
        | Endpoint::Asset => &[],
    }
}
