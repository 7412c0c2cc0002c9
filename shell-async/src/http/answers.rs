//! What is answered, and the headers that every answer has.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use quire_core::digest::Digest;
use serde::Serialize;

use super::failure::Failure;

/// Bytes that come as they are wanted. An error ends the connection: what was promised cannot be sent.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// A whole answer.
pub(super) type Answer = Response<Body>;

/// A body that is there already.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    typed(status, "application/json", to_line(value))
}

/// Bytes of a type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(full(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A problem.
pub(super) fn problem(failure: Failure) -> Answer {
    let (status, headers, problem) = failure.into_parts();
    let mut answer = typed(status, "application/problem+json", to_line(&problem));
    for (name, value) in headers {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// What is asked for is there.
pub(super) fn elsewhere(path: &str) -> Answer {
    let mut answer = Response::new(empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    set(&mut answer, LOCATION, path);
    answer
}

/// Sets a header whose value was made here.
pub(super) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// A word that is another where the content is.
pub(super) fn tag(content: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(content);
    let mut word = digest.hex();
    word.truncate(16);
    word
}

/// Gives an answer what every answer has: nothing of it is run, guessed at, or, unless it says otherwise, kept.
pub(super) fn guard(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
}

/// Leaves the head of an answer, as HEAD wants it.
pub(super) fn behead(answer: Answer) -> Answer {
    use hyper::body::Body as _;
    let (mut parts, body) = answer.into_parts();
    if let Some(len) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(len));
    }
    Response::from_parts(parts, empty())
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("the API's types have text keys only");
    line.push(b'\n');
    line
}
