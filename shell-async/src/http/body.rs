//! The body of a request: JSON, or a form, and no more of it than is allowed.

use std::time::Duration;

use async_io::Timer;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use smol::future::FutureExt as _;

use super::failure::Failure;
use super::query::Query;

/// How much of a body that is too large is read all the same, and for how long: a client that is still sending would not
/// hear why.
const HEARD_OUT_BYTES: usize = 16 << 20;
const HEARD_OUT: Duration = Duration::from_secs(2);

/// Reads a JSON body.
pub(super) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming, most: usize) -> Result<T, Failure> {
    if !is_json(headers) {
        return Err(Failure::media_type());
    }
    parse(&read(headers, body, most).await?)
}

/// The same where no body means the default.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Incoming,
    most: usize,
) -> Result<T, Failure> {
    if body.is_end_stream() {
        return Ok(T::default());
    }
    json(headers, body, most).await
}

/// Reads what a form of ours sends; `known` are its fields.
pub(super) async fn form(headers: &HeaderMap, body: Incoming, most: usize, known: &[&str]) -> Result<Query, Failure> {
    let bytes = read(headers, body, most).await?;
    let text = str::from_utf8(&bytes).map_err(|_| Failure::bad("the form is not UTF-8"))?;
    Query::parse(text, known)
}

async fn read(headers: &HeaderMap, mut body: Incoming, most: usize) -> Result<Vec<u8>, Failure> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut read = Vec::new();
    let mut is_fitting = told.is_none_or(|told| told <= most);
    while is_fitting {
        let Some(frame) = body.frame().await else { return Ok(read) };
        let frame = frame.map_err(|error| Failure::bad(format!("the body cannot be read: {error}")))?;
        if let Some(data) = frame.data_ref() {
            is_fitting = read.len() + data.len() <= most;
            if is_fitting {
                read.extend_from_slice(data);
            }
        }
    }
    let rest = async {
        let mut heard = 0;
        while heard < HEARD_OUT_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            heard += frame.data_ref().map_or(0, |data| data.len());
        }
    };
    let late = async {
        Timer::after(HEARD_OUT).await;
    };
    rest.or(late).await;
    Err(Failure::too_large(most))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// `serde_json` says line and column.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::bad(format!("the body is not what this path takes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TriggerRequest;

    #[test]
    fn types_of_bodies() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_malformed_body_is_told_where() {
        let failure = parse::<TriggerRequest>(b"{\"repo\": \"a.git\",\n \"ref\": 3}").unwrap_err();
        let (status, _, problem) = failure.into_parts();
        assert_eq!(status.as_u16(), 400);
        assert!(problem.detail.contains("line 2 column 9"), "{}", problem.detail);
    }
}
