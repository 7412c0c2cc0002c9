//! What every page has around its own, and how a page becomes an answer.

use askama::Template;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, VARY};
use quire_ci::clock;

use super::super::access;
use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::respond::Call;
use super::{assets, compressed, takes_gzip};

/// Only what this server has, and nothing of it inside the page: no style, no script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Pages larger than this are compressed.
const WORTH_COMPRESSING: usize = 1400;
/// Of most pages.
const ROOM: usize = 64 << 10;
/// Four fifths of what the best level saves, in a quarter of its time.
const LEVEL: u32 = 3;

/// A step on the way from the home page to this one.
#[derive(Debug, Clone)]
pub(super) struct Crumb {
    pub(super) href: String,
    pub(super) text: String,
}

/// What every page has.
#[derive(Debug)]
pub(super) struct Frame {
    /// Of the tab: the state first.
    pub(super) title: String,
    /// The state that the tab's icon shows.
    pub(super) state: Option<&'static str>,
    /// Which version this is, where the page has a live view.
    pub(super) version: Option<String>,
    /// Whether it can change.
    pub(super) is_live: bool,
    /// Unix milliseconds: browsers' clocks differ.
    pub(super) now_ms: i64,
    /// Who is signed in, for people; empty where nobody looked who asks.
    pub(super) signed: String,
    pub(super) crumbs: Vec<Crumb>,
    pub(super) sheet: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Frame {
    /// Of a page that does not change by itself.
    pub(super) fn new(call: &Call, title: impl Into<String>, crumbs: Vec<Crumb>) -> Frame {
        let signed = match access::name(&call.identity) {
            Some(name) => format!("signed in as {name}"),
            None => "not signed in".to_owned(),
        };
        Frame { signed, crumbs, ..Frame::titled(title.into()) }
    }

    /// With nothing but a title.
    fn titled(title: String) -> Frame {
        Frame {
            title,
            state: None,
            version: None,
            is_live: false,
            now_ms: clock::now().wall.ms(),
            signed: String::new(),
            crumbs: Vec::new(),
            sheet: assets::sheet(),
            script: assets::script(),
            icon: assets::icon(None),
        }
    }

    /// With a live view, at this version.
    pub(super) fn live(self, version: String, is_live: bool) -> Frame {
        Frame { version: Some(version), is_live, ..self }
    }

    /// Of a thing in this state.
    pub(super) fn state(self, state: &'static str) -> Frame {
        Frame { state: Some(state), icon: assets::icon(Some(state)), ..self }
    }
}

/// The page as an answer.
pub(super) fn answer(call: &Call, status: StatusCode, page: &impl Template) -> Result<Answer, Failure> {
    let mut text = String::with_capacity(ROOM);
    page.render_into(&mut text).map_err(|error| Failure::internal(format!("the page cannot be written: {error}")))?;
    Ok(sent(takes_gzip(&call.headers), status, text))
}

/// A part of a page, for the script.
pub(super) fn fragment(call: &Call, html: String) -> Answer {
    sent(takes_gzip(&call.headers), StatusCode::OK, html)
}

fn sent(takes_gzip: bool, status: StatusCode, text: String) -> Answer {
    let is_compressed = takes_gzip && text.len() > WORTH_COMPRESSING;
    let bytes = if is_compressed { compressed(text.as_bytes(), LEVEL) } else { text.into_bytes() };
    let mut answer = answers::typed(status, "text/html; charset=utf-8", bytes);
    let headers = answer.headers_mut();
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding, cookie"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    title: String,
    detail: String,
    /// It may be there for others.
    may_be_hidden: bool,
}

/// A failure as a page. The headers that it brings (which methods, when to come back) stay.
pub(in super::super) fn problem(takes_gzip: bool, failure: Failure) -> Answer {
    let (status, headers, problem) = failure.into_parts();
    let frame = Frame::titled(problem.title.clone());
    let may_be_hidden = matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED);
    let page = ProblemPage { frame, title: problem.title, detail: problem.detail, may_be_hidden };
    let text = page.render().unwrap_or_default();
    let mut answer = sent(takes_gzip, status, text);
    for (name, value) in headers {
        answer.headers_mut().insert(name, value);
    }
    answer
}
