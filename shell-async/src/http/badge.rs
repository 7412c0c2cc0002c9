//! A badge: how the newest ended run of a branch went, as a small picture without fonts or scripts of others.

use hyper::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use quire_core::rows::RunState;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::respond::Call;
use super::{repos, runs};

/// Width of a letter, on average, of the sans-serif fonts that viewers have at 11 px.
const LETTER: usize = 7;
/// Room on both sides of a text.
const ROOM: usize = 12;

/// `GET /badge/{repo}.svg`.
pub(super) async fn badge(call: &Call) -> Result<Answer, Failure> {
    let name = call.named.part("repo").strip_suffix(".svg");
    let name = name.ok_or_else(|| Failure::not_found("the path of a badge is /badge/REPOSITORY.svg"))?;
    let found = repos::named(call, name).await?;
    let branch = match call.query.get("ref") {
        Some(text) => Some(runs::full_ref_name(text)),
        None => repos::default_branch(call, &found),
    };
    let latest = match branch {
        Some(branch) => {
            let name = name.to_owned();
            call.site.app.readers.ask(move |store| store.newest_ended(&name, &branch)).await?
        }
        None => None,
    };
    let picture = drawn(latest.map(|run| run.row.state));
    let tag = format!("\"{}\"", answers::tag(picture.as_bytes()));
    let known = call.header(IF_NONE_MATCH.as_str()).unwrap_or_default();
    let is_known = known.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == tag);
    let mut answer = match is_known {
        true => {
            let mut answer = Response::new(answers::empty());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        }
        false => answers::typed(StatusCode::OK, "image/svg+xml; charset=utf-8", picture),
    };
    answers::set(&mut answer, ETAG, &tag);
    // Asked for again each time: an old green badge is a lie.
    answers::set(&mut answer, CACHE_CONTROL, "no-cache");
    Ok(answer)
}

fn drawn(state: Option<RunState>) -> String {
    let (word, colour) = match state {
        Some(RunState::Complete) => ("passing", "#2e7d32"),
        Some(RunState::Failed) => ("failing", "#c62828"),
        Some(RunState::Aborted) => ("aborted", "#616161"),
        Some(RunState::Pending | RunState::Active | RunState::Superseded) | None => ("no runs", "#616161"),
    };
    let left = "quire".len() * LETTER + ROOM;
    let right = word.len() * LETTER + ROOM;
    let (width, middle, other) = (left + right, left / 2, left + right / 2);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"20\" role=\"img\" aria-label=\"quire: {word}\">\
         <title>quire: {word}</title>\
         <rect width=\"{left}\" height=\"20\" fill=\"#37474f\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{middle}\" y=\"14\">quire</text><text x=\"{other}\" y=\"14\">{word}</text></g></svg>\n"
    )
}
