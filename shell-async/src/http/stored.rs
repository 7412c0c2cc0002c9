//! Stored files as answers: whole, from an offset, or a range of their bytes. Read as they are sent, a piece at a time.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, IF_RANGE, RANGE, VARY};
use hyper::{Method, Response, StatusCode};
use quire_core::cri::StreamBytes;
use smol::stream;

use super::answers::{self, Answer, Body};
use super::failure::Failure;
use super::range::{Wanted, wanted};
use super::respond::Call;
use super::tail::{PIECE, Tail, read_at, whole_lines};

/// How much of a file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All: it grows no more.
    All,
    /// Its whole lines.
    WholeLines,
}

/// A file and how much of it counts; a file that is not there is an empty one.
#[derive(Debug, Clone)]
struct Stored {
    file: Option<Arc<File>>,
    len: u64,
}

async fn open(path: PathBuf, extent: Extent) -> Result<Stored, Failure> {
    let opened = smol::unblock(move || {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stored { file: None, len: 0 }),
            Err(error) => return Err((path, error)),
        };
        let len = match extent {
            Extent::All => file.metadata().map(|meta| meta.len()),
            Extent::WholeLines => whole_lines(&file),
        };
        match len {
            Ok(len) => Ok(Stored { file: Some(Arc::new(file)), len }),
            Err(error) => Err((path, error)),
        }
    });
    opened.await.map_err(|(path, error)| unreadable(&path, &error))
}

fn unreadable(path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::internal(format!("{} cannot be read: {error}", path.display()))
}

/// The file's bytes from `after` on; where that is 0, ranges of them too.
pub(super) async fn answer(
    call: &Call,
    path: PathBuf,
    content_type: &'static str,
    extent: Extent,
    after: u64,
) -> Result<Answer, Failure> {
    let stored = open(path, extent).await?;
    if after > stored.len {
        return Err(Failure::bad(format!("after is {after}, but there are {} bytes", stored.len)));
    }
    // Without a validator of ours no If-Range can match: then all is sent.
    let takes_ranges = after == 0 && call.method == Method::GET && !call.headers.contains_key(IF_RANGE);
    let range = call.header(RANGE.as_str()).filter(|_| takes_ranges);
    let (status, first, end) = match wanted(range, stored.len) {
        Wanted::Whole => (StatusCode::OK, after, stored.len),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last + 1),
        Wanted::Nothing => return Err(Failure::range(stored.len)),
    };
    let total = stored.len;
    let mut answer = Response::new(pieces(stored, first, end));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - first));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if status == StatusCode::PARTIAL_CONTENT {
        answers::set(&mut answer, CONTENT_RANGE, &format!("bytes {first}-{}/{total}", end - 1));
    }
    Ok(answer)
}

/// The exact bytes of one stream of a log. `no_eol` once the command has ended: whether its last line had no newline.
pub(super) async fn stream_answer(
    path: PathBuf,
    extent: Extent,
    reader: StreamBytes,
    no_eol: Option<bool>,
) -> Result<Answer, Failure> {
    let stored = open(path, extent).await?;
    let frames = stream::unfold((stored, 0, Some(reader)), move |(stored, mut at, mut reader)| async move {
        let mut bytes = Vec::new();
        while bytes.is_empty() {
            match piece(&stored, at, stored.len).await {
                Ok(read) if read.is_empty() => {
                    // The answer of a command that goes on ends before what may still get its newline.
                    let reader = reader.take()?;
                    if let Some(no_eol) = no_eol {
                        reader.finish(no_eol, &mut bytes);
                    }
                    break;
                }
                Ok(read) => {
                    at += read.len() as u64;
                    // Entries that are damaged are stepped over.
                    let _ = reader.as_mut()?.push(&read, &mut bytes);
                }
                Err(error) => return Some((Err(error), (stored, at, None))),
            }
        }
        Some((Ok(Frame::data(Bytes::from(bytes))), (stored, at, reader)))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// The failure of a viewer that goes on where no line begins.
pub(super) async fn check_resumed(tail: &mut Tail) -> Result<(), Failure> {
    match tail.is_at_a_line().await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let detail = format!("{} is no id that this stream gave: none of its lines ends there", tail.offset());
            Err(Failure::bad(detail))
        }
        Err(error) => Err(Failure::internal(format!("the record cannot be read: {error}"))),
    }
}

fn pieces(stored: Stored, first: u64, end: u64) -> Body {
    let frames = stream::unfold((stored, first), move |(stored, at)| async move {
        if at >= end {
            return None;
        }
        match piece(&stored, at, end).await {
            Ok(bytes) if bytes.is_empty() => Some((Err(ErrorKind::UnexpectedEof.into()), (stored, end))),
            Ok(bytes) => {
                let next = at + bytes.len() as u64;
                Some((Ok(Frame::data(Bytes::from(bytes))), (stored, next)))
            }
            Err(error) => Some((Err(error), (stored, end))),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn piece(stored: &Stored, at: u64, end: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(end.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
    let Some(file) = stored.file.clone().filter(|_| size > 0) else { return Ok(Vec::new()) };
    smol::unblock(move || read_at(&file, at, size)).await
}
