//! Why a request is not answered as it wished: a status, a sentence for people, and the headers that go with it.

use hyper::header::{ALLOW, CONTENT_RANGE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use quire_ci::record::RecordError;
use quire_ci::store::StoreError;

use crate::api::Problem;
use crate::server::Refused;

/// What a failed request is answered with: `application/problem+json` (RFC 9457).
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    fn new(status: StatusCode, detail: impl Into<String>) -> Failure {
        Failure { status, detail: detail.into(), headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: &str) -> Failure {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// The request makes no sense.
    pub(super) fn bad(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Nobody knows who asks, and only someone who is known may.
    pub(super) fn unknown_identity(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, "Bearer realm=\"quire\"")
    }

    /// Who asks may not.
    pub(super) fn forbidden(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::FORBIDDEN, detail)
    }

    /// It is not there, or who asks may not know that it is.
    pub(super) fn not_found(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, detail)
    }

    /// The path is there, but not for this method.
    pub(super) fn method(method: &Method, allowed: &str) -> Failure {
        let detail = format!("this path does not take {method}, but {allowed}");
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, detail).with(ALLOW, allowed)
    }

    /// It cannot be done in the state that things are in.
    pub(super) fn conflict(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::CONFLICT, detail)
    }

    /// It was there once.
    pub(super) fn gone(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::GONE, detail)
    }

    /// The body is larger than what is taken.
    pub(super) fn too_large(most: usize) -> Failure {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body may have at most {most} bytes"))
    }

    /// The body is of a type that is not taken.
    pub(super) fn media_type() -> Failure {
        let detail = "the body must be JSON: send it with `Content-Type: application/json`";
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// No byte of the range is there.
    pub(super) fn range(len: u64) -> Failure {
        Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("there are {len} bytes, none of them in this range"))
            .with(CONTENT_RANGE, &format!("bytes */{len}"))
    }

    /// The request is for a host that this server is not.
    pub(super) fn misdirected(host: &str) -> Failure {
        let detail =
            format!("this server does not answer for the host {host:?}: its name is `url` in the configuration");
        Failure::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// Not now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(RETRY_AFTER, "5")
    }

    /// Our own fault, or the machine's.
    pub(super) fn internal(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Headers and what the body holds.
    pub(super) fn into_parts(self) -> (StatusCode, Vec<(HeaderName, HeaderValue)>, Problem) {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        (self.status, self.headers, problem)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::NotFound(detail) => Failure::not_found(detail),
            Refused::Conflict(detail) => Failure::conflict(detail),
            Refused::Bad(detail) => Failure::bad(detail),
            Refused::Unavailable(detail) => Failure::unavailable(detail),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error.is_passing() {
            true => Failure::unavailable(error.to_string()),
            false => Failure::internal(error.to_string()),
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Failure {
        Failure::internal(error.to_string())
    }
}
