//! The time line of a run: a bar a job, in it its commands, all on one scale. The script lets open bars grow.

use quire_core::rows::{JobRow, JobState, ShRow};

use super::told::{Took, part};

/// Commands of a run that are drawn; of more, those that failed or go on.
const MOST_COMMANDS: usize = 2000;

/// A bar, in hundredths of the whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    /// Unix milliseconds.
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    /// `job` or `sh`, and `failed` or `active`.
    pub(super) class: &'static str,
}

/// A job's line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) job: String,
    pub(super) anchor: String,
    pub(super) took: Option<Took>,
    pub(super) bars: Vec<Bar>,
}

/// All lines, in the order of the pipeline; jobs that never began have none.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Unix milliseconds.
    pub(super) begin: i64,
    pub(super) is_live: bool,
    pub(super) whole: Took,
    pub(super) lines: Vec<Line>,
}

impl Timeline {
    /// Of a run that has begun, in which a job has.
    pub(super) fn new(
        begin: Option<i64>,
        end: Option<i64>,
        jobs: &[JobRow],
        commands: &[ShRow],
        now_ms: i64,
    ) -> Option<Timeline> {
        let begin = begin?;
        let last = end.unwrap_or(now_ms).max(begin.saturating_add(1));
        let scale = Scale { begin, whole: last.saturating_sub(begin).max(1), last };
        let draws_all = commands.len() <= MOST_COMMANDS;
        let mut commands = commands.iter().peekable();
        let mut lines = Vec::new();
        for job in jobs {
            let mut bars = Vec::new();
            if let Some(from) = job.started_at_ms {
                bars.push(scale.bar(from, job.finished_at_ms, "job"));
            }
            while let Some(sh) = commands.next_if(|sh| sh.job_id == job.job_id) {
                let class = match sh.state() {
                    JobState::Active => "sh active",
                    JobState::Failed | JobState::Aborted if job.is_broken() => "sh failed",
                    _ => "sh",
                };
                if draws_all || class != "sh" {
                    bars.push(scale.bar(sh.started_at_ms, sh.finished_at_ms, class));
                }
            }
            if bars.is_empty() {
                continue;
            }
            lines.push(Line {
                job: job.job_id.to_string(),
                anchor: format!("#job-{}", part(job.job_id.as_str())),
                took: Took::new(job.started_at_ms, job.finished_at_ms, now_ms),
                bars,
            });
        }
        let whole = Took::new(Some(begin), end, now_ms)?;
        (!lines.is_empty()).then_some(Timeline { begin, is_live: end.is_none(), whole, lines })
    }
}

struct Scale {
    begin: i64,
    whole: i64,
    last: i64,
}

impl Scale {
    /// Clocks may say anything.
    fn since(&self, ms: i64) -> i64 {
        ms.saturating_sub(self.begin)
    }

    fn bar(&self, from: i64, to: Option<i64>, class: &'static str) -> Bar {
        // In hundredths of a hundredth.
        let place = |ms: i64| i128::from(ms.max(0)) * 10_000 / i128::from(self.whole);
        let (x, end) = (place(self.since(from)).min(10_000), place(self.since(to.unwrap_or(self.last))).min(10_000));
        // What took no time is seen all the same.
        let width = (end - x).max(15);
        let written = |place: i128| format!("{}.{:02}%", place / 100, place % 100);
        Bar { x: written(x), width: written(width), from, to, class }
    }
}

#[cfg(test)]
mod tests {
    use quire_core::ids::{JobId, RunId};

    use super::*;

    fn job(id: &str, from: Option<i64>, to: Option<i64>) -> JobRow {
        JobRow {
            run_id: RunId::new("r"),
            job_id: JobId::from_record(id),
            position: 0,
            state: if to.is_some() { JobState::Complete } else { JobState::Active },
            exit_code: None,
            started_at_ms: from,
            finished_at_ms: to,
            allowed: false,
            flaky: false,
            replayed: false,
            attempts: 1,
            skip_reason: None,
            error: None,
            error_file: None,
            error_line: None,
        }
    }

    #[test]
    fn bars_stand_on_one_scale() {
        let jobs = [job("a", Some(1000), Some(1500)), job("b", Some(1500), None), job("c", None, None)];
        let timeline = Timeline::new(Some(1000), None, &jobs, &[], 2000).unwrap();
        let bars: Vec<_> = timeline.lines.iter().map(|line| (&line.bars[0].x[..], &line.bars[0].width[..])).collect();
        assert_eq!(bars, [("0.00%", "50.00%"), ("50.00%", "50.00%")]);
        assert!(timeline.is_live);
        // A clock that stepped back draws nothing outside.
        let timeline = Timeline::new(Some(1000), Some(1000), &[job("a", Some(900), Some(5000))], &[], 0).unwrap();
        assert_eq!((&timeline.lines[0].bars[0].x[..], &timeline.lines[0].bars[0].width[..]), ("0.00%", "100.00%"));
        assert!(
            Timeline::new(Some(i64::MAX), Some(i64::MIN), &[job("a", Some(i64::MIN), Some(i64::MAX))], &[], 0)
                .is_some()
        );
        assert!(Timeline::new(None, None, &jobs, &[], 2000).is_none());
        assert!(Timeline::new(Some(1), None, &jobs[2..], &[], 2000).is_none());
    }
}
