//! Which paths there are, and what each does.

use std::collections::BTreeMap;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// What can be asked for. The names in the OpenAPI file (`operationId`) are these in camel case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /api/v1/repos`.
    ListRepos,
    /// `GET /api/v1/repos/{name}`.
    ShowRepo,
    /// `GET /api/v1/runs`.
    ListRuns,
    /// `POST /api/v1/runs`.
    TriggerRun,
    /// `GET /api/v1/runs/{run}`.
    ShowRun,
    /// `POST /api/v1/runs/{run}/cancel`.
    CancelRun,
    /// `POST /api/v1/runs/{run}/retry`.
    RetryRun,
    /// `GET /api/v1/runs/{run}/events`.
    RunEvents,
    /// `GET /api/v1/runs/{run}/jobs/{job}/{n}/log`.
    CommandLog,
    /// `POST /api/v1/push`.
    Push,
    /// `GET /api/v1/openapi.json`.
    OpenApi,
    /// `GET /metrics`.
    Metrics,
    /// `GET /healthz`.
    Health,
    /// `GET /badge/{repo}.svg`.
    Badge,
    /// `GET /login/{link}`.
    Login,
    /// `GET /`.
    Home,
    /// `GET /repos/{name}`.
    RepoPage,
    /// `POST /repos/{name}`: a button that runs a ref.
    TriggerForm,
    /// `GET /commits/{sha}`.
    CommitPage,
    /// `GET /changes/{repo}`: between two commits.
    ChangesPage,
    /// `GET /runs/{run}`: the address of a run that people are given.
    RunPage,
    /// `POST /runs/{run}/cancel`: a button.
    CancelForm,
    /// `POST /runs/{run}/retry`: two buttons.
    RetryForm,
    /// `GET /runs/{run}/jobs/{job}`.
    JobPage,
    /// `GET /runs/{run}/jobs/{job}/{n}`: a command's log.
    LogPage,
    /// `GET /runs/{run}/jobs/{job}/{n}/rows`: a part of it, for the page's script.
    LogRows,
    /// `GET /runs/{run}/jobs/{job}/{n}/raw`: what was printed.
    LogRaw,
    /// `GET /assets/{file}`.
    Asset,
}

/// A path with its methods. `{*name}` takes the rest of the path.
type Route = (&'static str, &'static [(Method, Endpoint)]);

/// Every path of the API.
pub const ROUTES: &[Route] = &[
    ("/api/v1/repos", &[(Method::GET, Endpoint::ListRepos)]),
    ("/api/v1/repos/{*name}", &[(Method::GET, Endpoint::ShowRepo)]),
    ("/api/v1/runs", &[(Method::GET, Endpoint::ListRuns), (Method::POST, Endpoint::TriggerRun)]),
    ("/api/v1/runs/{run}", &[(Method::GET, Endpoint::ShowRun)]),
    ("/api/v1/runs/{run}/cancel", &[(Method::POST, Endpoint::CancelRun)]),
    ("/api/v1/runs/{run}/retry", &[(Method::POST, Endpoint::RetryRun)]),
    ("/api/v1/runs/{run}/events", &[(Method::GET, Endpoint::RunEvents)]),
    ("/api/v1/runs/{run}/jobs/{job}/{n}/log", &[(Method::GET, Endpoint::CommandLog)]),
    ("/api/v1/push", &[(Method::POST, Endpoint::Push)]),
    ("/api/v1/openapi.json", &[(Method::GET, Endpoint::OpenApi)]),
    ("/metrics", &[(Method::GET, Endpoint::Metrics)]),
    ("/healthz", &[(Method::GET, Endpoint::Health)]),
    ("/badge/{*repo}", &[(Method::GET, Endpoint::Badge)]),
    ("/login/{link}", &[(Method::GET, Endpoint::Login)]),
];

/// Every path of the pages: for people, and no promise to programs.
const PAGES: &[Route] = &[
    ("/", &[(Method::GET, Endpoint::Home)]),
    ("/repos/{*name}", &[(Method::GET, Endpoint::RepoPage), (Method::POST, Endpoint::TriggerForm)]),
    ("/commits/{sha}", &[(Method::GET, Endpoint::CommitPage)]),
    ("/changes/{*repo}", &[(Method::GET, Endpoint::ChangesPage)]),
    ("/runs/{run}", &[(Method::GET, Endpoint::RunPage)]),
    ("/runs/{run}/cancel", &[(Method::POST, Endpoint::CancelForm)]),
    ("/runs/{run}/retry", &[(Method::POST, Endpoint::RetryForm)]),
    ("/runs/{run}/jobs/{job}", &[(Method::GET, Endpoint::JobPage)]),
    ("/runs/{run}/jobs/{job}/{n}", &[(Method::GET, Endpoint::LogPage)]),
    ("/runs/{run}/jobs/{job}/{n}/rows", &[(Method::GET, Endpoint::LogRows)]),
    ("/runs/{run}/jobs/{job}/{n}/raw", &[(Method::GET, Endpoint::LogRaw)]),
    ("/assets/{file}", &[(Method::GET, Endpoint::Asset)]),
];

/// Whether a path is for people: what goes wrong there is told as a page.
pub(super) fn is_page(path: &str) -> bool {
    let is_in = |folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    !["/api", "/metrics", "/healthz", "/badge", "/assets"].into_iter().any(is_in)
}

/// The parts of a path that have a name, decoded.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<String, String>);

impl Named {
    /// The part with this name; empty for a name that the route does not have.
    pub(super) fn part(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// Finds endpoints.
#[derive(Debug)]
pub(super) struct Router(matchit::Router<&'static [(Method, Endpoint)]>);

impl Router {
    pub(super) fn new() -> Router {
        let mut router = matchit::Router::new();
        for (path, methods) in ROUTES.iter().chain(PAGES) {
            router.insert(*path, *methods).expect("no two routes are in each other's way");
        }
        Router(router)
    }

    /// What `method` on `path` does. `HEAD` does what `GET` does.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<(Endpoint, Named), Failure> {
        let found = self.0.at(path).map_err(|_| {
            Failure::not_found("there is nothing at this path: /api/v1/openapi.json describes what there is")
        })?;
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let endpoint = found.value.iter().find(|(method, _)| method == wanted).map(|(_, endpoint)| *endpoint);
        let Some(endpoint) = endpoint else {
            let mut allowed: Vec<&str> = found.value.iter().map(|(method, _)| method.as_str()).collect();
            if allowed.contains(&"GET") {
                allowed.push("HEAD");
            }
            return Err(Failure::method(method, &allowed.join(", ")));
        };
        let mut named = Named::default();
        for (name, part) in found.params.iter() {
            let decoded = percent_decode_str(part)
                .decode_utf8()
                .map_err(|_| Failure::bad(format!("{part:?} in the path is not percent-encoded UTF-8")))?;
            named.0.insert(name.to_owned(), decoded.into_owned());
        }
        Ok((endpoint, named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_what_is_none() {
        for (path, expected) in [
            ("/", true),
            ("/runs/1", true),
            ("/nowhere", true),
            ("/login/x", true),
            ("/apiary", true),
            ("/api/v1/runs", false),
            ("/api", false),
            ("/healthz", false),
            ("/assets/x.css", false),
        ] {
            assert_eq!(is_page(path), expected, "{path}");
        }
    }

    #[test]
    fn paths_methods_and_parts() {
        let router = Router::new();
        let check = |method: Method, path: &str| match router.find(&method, path) {
            Ok((endpoint, named)) => {
                let parts: Vec<String> = named.0.iter().map(|(name, part)| format!("{name}={part}")).collect();
                format!("{endpoint:?} {}", parts.join(" ")).trim().to_owned()
            }
            Err(failure) => failure.status.as_u16().to_string(),
        };
        for (method, path, found) in [
            (Method::GET, "/api/v1/repos", "ListRepos"),
            (Method::HEAD, "/api/v1/repos", "ListRepos"),
            (Method::GET, "/api/v1/repos/work/foo.git", "ShowRepo name=work/foo.git"),
            (Method::GET, "/api/v1/repos/work%2Ffoo.git", "ShowRepo name=work/foo.git"),
            (Method::POST, "/api/v1/runs", "TriggerRun"),
            (Method::GET, "/api/v1/runs/41/jobs/build/2/log", "CommandLog job=build n=2 run=41"),
            (Method::GET, "/badge/work/foo.git.svg", "Badge repo=work/foo.git.svg"),
            (Method::DELETE, "/api/v1/runs", "405"),
            (Method::HEAD, "/api/v1/push", "405"),
            (Method::GET, "/api/v1/runs/", "404"),
            (Method::GET, "/api/v1/runs/%ff", "400"),
            (Method::GET, "/", "Home"),
            (Method::GET, "/runs/1", "RunPage run=1"),
            (Method::POST, "/runs/1", "405"),
            (Method::POST, "/repos/work/foo.git", "TriggerForm name=work/foo.git"),
            (Method::GET, "/runs/1/jobs/build/2", "LogPage job=build n=2 run=1"),
            (Method::GET, "/runs/1/jobs/build", "JobPage job=build run=1"),
            (Method::GET, "/runs", "404"),
            (Method::GET, "", "404"),
            (Method::GET, "/api/v1/repos/", "404"),
        ] {
            assert_eq!(check(method, path), found, "{path}");
        }
    }
}
