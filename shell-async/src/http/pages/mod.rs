//! Pages: what people look at in a browser. Server-rendered, readable without scripts; one script follows what they show.
//!
//! - `frame`: what every page has, and how one becomes an answer. `assets`, `palette`: style, script, icons, colours of logs.
//! - `live`: the live view of a page, at the page's own address.
//! - `home`, `repo`, `commit`, `changes`, `run`, `log`: the pages. `table`: runs as commits and jobs. `forms`: their buttons.
//! - `run_head`, `failure`, `graph`, `timeline`, `job_part`, `story`: parts of a run's page. `rows`, `indexes`, `window`: parts of
//!   a log's. `lists`, `overviews`: what lists show, and what of it has changed.
//! - `told`: states, times and places in words and addresses.
//!
//! What a state means, which line looks like the error, since when a branch is broken, where a row of a log begins: the core
//! says it. Everything that a build, a commit or a person wrote is escaped: askama does it in templates, `rows` in logs.

mod assets;
mod changes;
mod commit;
mod commits;
mod failure;
mod forms;
mod frame;
mod graph;
mod home;
mod indexes;
mod job_part;
mod lists;
mod live;
mod log;
mod overviews;
mod palette;
mod repo;
mod rows;
mod run;
mod run_head;
mod story;
mod table;
mod timeline;
mod told;
mod window;

pub(super) use assets::asset;
pub(super) use changes::changes;
pub(super) use commit::commit;
pub(super) use forms::{cancel, retry, trigger};
pub(super) use frame::problem;
pub(super) use home::home;
pub(super) use log::{log, raw, rows};
pub(super) use repo::repo;
pub(super) use run::{job, run};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// What pages keep between requests: what never changes, or only grows.
#[derive(Debug, Default)]
pub(super) struct Kept {
    subjects: commits::Subjects,
    indexes: indexes::Indexes,
    errors: failure::Errors,
    overviews: overviews::Overviews,
}

/// Whether an answer may be compressed.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn compressed(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes any bytes")
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
