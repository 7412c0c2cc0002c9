//! Which rows of a log are asked for, and what is found: the same for a log's page and for the script that goes on reading.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use quire_core::cri::Row;
use quire_core::search::Needle;
use quire_core::time::Wall;

use super::super::failure::Failure;
use super::super::query::Query;
use super::super::site::Site;
use super::indexes::{Log, Sought};
use super::rows::{self, Looks, Times};

/// Rows of a page where the request says nothing: some screens, so that the first is there at once. The script asks for more.
pub(super) const PAGE_ROWS: u64 = 150;
/// Rows of a window where the script says nothing, and at most.
pub(super) const ROWS: u64 = 500;
const MOST_ROWS: u64 = 2000;
/// Rows before the one that was found.
const ABOVE: u64 = 20;

/// Where a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Row(u64),
    /// The last rows.
    End,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    from: Option<From>,
    count: u64,
    pub(super) times: Times,
    /// Sought, and marked where it is found.
    pub(super) find: Option<String>,
    /// Only marked.
    mark: Option<String>,
    back: bool,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: u64,
    /// HTML.
    pub(super) rows: String,
    /// What the search came to, for people.
    pub(super) found: Option<String>,
    pub(super) matched: Option<u64>,
}

/// The log that is read, and how its rows are written.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) begin: Wall,
    pub(super) raw: String,
    /// Where a window begins that nobody named: at its end, for who watches.
    pub(super) at_end: bool,
    /// Whether a place behind the end is the end: not for who goes on reading.
    pub(super) stays_inside: bool,
}

impl Wanted {
    pub(super) fn read(query: &Query, rows: u64) -> Result<Wanted, Failure> {
        let from = match query.get("from") {
            None => None,
            Some("end") => Some(From::End),
            Some(_) => Some(From::Row(query.number("from")?.unwrap_or(1).max(1))),
        };
        let times = query.get("times").map(|word| {
            Times::parse(word)
                .ok_or_else(|| Failure::bad(format!("times must be none, absolute, relative or delta, not {word:?}")))
        });
        Ok(Wanted {
            from,
            count: query.number("count")?.unwrap_or(rows).clamp(1, MOST_ROWS),
            times: times.transpose()?.unwrap_or_default(),
            find: query.get("find").map(str::to_owned),
            mark: query.get("mark").map(str::to_owned),
            back: query.get("back").is_some(),
        })
    }

    /// Reads the window, on a thread that may wait for the disk.
    pub(super) async fn window(self, site: &Arc<Site>, source: Source) -> Result<Window, Failure> {
        let site = Arc::clone(site);
        let read = smol::unblock(move || {
            let log = site.pages.indexes.open(&source.path);
            log.and_then(|log| self.of(&log, &source)).map_err(|error| (source.path, error))
        });
        read.await.map_err(|(path, error): (PathBuf, std::io::Error)| {
            Failure::internal(format!("{} cannot be read: {error}", path.display()))
        })
    }

    fn of(&self, log: &Log, source: &Source) -> std::io::Result<Window> {
        let last_window = log.total.saturating_sub(self.count - 1).max(1);
        let mut from = match self.from {
            Some(From::Row(row)) if source.stays_inside && row > log.total => last_window,
            Some(From::Row(row)) => row,
            Some(From::End) => last_window,
            None if source.at_end && self.find.is_none() => last_window,
            None => 1,
        };
        let needle = self.find.as_deref().or(self.mark.as_deref()).map(Needle::new);
        let (mut found, mut matched) = (None, None);
        if let (Some(needle), Some(text)) = (&needle, &self.find) {
            let sought = log.search(needle, from, self.back)?;
            found = Some(match sought {
                Sought::Found(row) => {
                    matched = Some(row);
                    from = row.saturating_sub(ABOVE).max(1);
                    format!("{text:?} in line {row}")
                }
                Sought::Nowhere if self.back => format!("{text:?} is in no line before"),
                Sought::Nowhere => format!("{text:?} is in no line from here on"),
                Sought::SoFar(row) => {
                    from = row;
                    format!("{text:?} was not found up to line {row}; search again to go on")
                }
            });
        }
        // One row more tells how long before the first its predecessor was.
        let begin = if self.times == Times::Delta { from.saturating_sub(1).max(1) } else { from };
        let read = log.window(begin, self.count + (from - begin))?;
        let looks = Looks {
            base: "",
            has_ids: true,
            times: self.times,
            begin: source.begin,
            error: None,
            needle: needle.as_ref(),
            raw: &source.raw,
        };
        let (mut rows, mut before) = (String::with_capacity(read.len() * 160), None);
        for row in &read {
            if row.number >= from {
                rows::write(row, before, &looks, &mut rows);
            }
            before = Some(row.at);
        }
        let last = read.last().map(|row: &Row| row.number).filter(|last| *last >= from).unwrap_or(0);
        Ok(Window { first: from.min(last), last, total: log.total, rows, found, matched })
    }
}

impl Window {
    /// For the script: the rows, and where they stand.
    pub(super) fn fragment(&self, is_done: bool) -> String {
        let mut out = format!("<div data-total=\"{}\" data-done=\"{is_done}\"", self.total);
        if let Some(row) = self.matched {
            let _ = write!(out, " data-match=\"{row}\"");
        }
        if let Some(found) = &self.found {
            out.push_str(" data-found=\"");
            rows::escape(found, &mut out);
            out.push('"');
        }
        out.push('>');
        out.push_str(&self.rows);
        out.push_str("</div>\n");
        out
    }
}
