//! Numbers for Prometheus, in its text exposition format 0.0.4.

use std::fmt::{Display, Write as _};

use hyper::StatusCode;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::health;
use super::respond::Call;

/// States in which a run ends: each has its series from the start.
const ENDED: [&str; 4] = ["complete", "failed", "aborted", "superseded"];

/// `GET /metrics`.
pub(super) async fn metrics(call: &Call) -> Result<Answer, Failure> {
    let site = &call.site;
    let desk = &site.app.desk;
    let standing = desk.waiting();
    let (waiting, running) = health::totals(&standing.repos);
    let ended = desk.ended();
    let mut page = Page::default();
    page.family(
        "quire_build_info",
        "gauge",
        "Version of the server.",
        &[(&[("version", env!("CARGO_PKG_VERSION"))], 1)],
    );
    page.family(
        "quire_runs",
        "gauge",
        "Runs that are not over.",
        &[(&[("state", "waiting")], waiting), (&[("state", "running")], running)],
    );
    let ended: Vec<_> = ENDED.map(|state| ([("state", state)], ended.get(state).copied().unwrap_or(0))).into();
    let ended: Vec<Sample<'_>> = ended.iter().map(|(labels, value)| (&labels[..], *value)).collect();
    page.family("quire_runs_ended_total", "counter", "Runs that ended since the start.", &ended);
    let halted = u64::from(standing.halted.is_some());
    page.family("quire_halted", "gauge", "1 while nothing is admitted.", &[(&[], halted)]);
    page.family(
        "quire_database_behind_rows",
        "gauge",
        "Recorded rows that are not in the database yet.",
        &[(&[], desk.behind())],
    );
    if let Some(free) = health::free_bytes(call).await {
        page.family("quire_disk_free_bytes", "gauge", "Bytes free where runs are recorded.", &[(&[], free)]);
    }
    let answered: Vec<(String, u64)> =
        site.answered.by_status().into_iter().map(|(status, count)| (status.to_string(), count)).collect();
    let answered: Vec<_> = answered.iter().map(|(status, count)| ([("status", status.as_str())], *count)).collect();
    let answered: Vec<Sample<'_>> = answered.iter().map(|(labels, count)| (&labels[..], *count)).collect();
    page.family("quire_http_responses_total", "counter", "Answers by HTTP status.", &answered);
    page.family("quire_http_connections", "gauge", "Open connections.", &[(&[], count(site.connections.taken()))]);
    page.family(
        "quire_viewers",
        "gauge",
        "Live views.",
        &[
            (&[("of", "events")], count(site.event_viewers.taken())),
            (&[("of", "log")], count(site.log_viewers.taken())),
        ],
    );
    Ok(answers::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.0))
}

fn count(seats: usize) -> u64 {
    u64::try_from(seats).unwrap_or(u64::MAX)
}

/// Labels and value.
type Sample<'a> = (&'a [(&'a str, &'a str)], u64);

#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[Sample<'_>]) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            self.line(format_args!("{name}{labels} {value}"));
        }
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.family("a_total", "counter", "All.", &[(&[("x", "1"), ("y", "2")], 3), (&[], 4)]);
        assert_eq!(page.0, "# HELP a_total All.\n# TYPE a_total counter\na_total{x=\"1\",y=\"2\"} 3\na_total 4\n");
    }
}
