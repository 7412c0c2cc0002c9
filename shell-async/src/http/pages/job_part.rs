//! A job in its run's page, or in its own: its attempts, what its script logged, its commands, in the order in which they were.

use std::collections::BTreeSet;

use quire_ci::ui::{Model, text, words};
use quire_core::ids::JobId;
use quire_core::rows::{JobRow, JobState, ShRow};

use super::run::Read;
use super::told::{self, State, Took};

/// A job with its commands.
pub(super) struct JobPart {
    pub(super) id: String,
    pub(super) anchor: String,
    pub(super) path: String,
    pub(super) state: State,
    pub(super) class: &'static str,
    pub(super) took: Option<Took>,
    pub(super) inputs: Vec<(String, String)>,
    pub(super) why: Option<String>,
    pub(super) place: Option<String>,
    pub(super) items: Vec<Item>,
    pub(super) left_out: usize,
}

/// Which of a job's commands its part has.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) commands: &'a [ShRow],
    /// The job's first is among them, its last is.
    pub(super) is_begin: bool,
    pub(super) is_end: bool,
    /// Of those that ended well only so many.
    pub(super) at_most: Option<usize>,
}

/// A line of a job's part.
pub(super) enum Item {
    Attempt { n: u32, why: Option<String> },
    Note(String),
    Command(CommandLine),
}

/// A command.
pub(super) struct CommandLine {
    pub(super) n: u32,
    pub(super) cmd: String,
    pub(super) href: Option<String>,
    pub(super) class: &'static str,
    pub(super) ending: String,
    pub(super) took: Option<Took>,
}

/// Of a job, with those of its commands that are shown.
pub(super) fn part(read: &Read, job: &JobRow, shown: Shown<'_>, now_ms: i64) -> JobPart {
    let (items, left_out) = items(read, job, shown, now_ms);
    let why = match (job.state, &job.error) {
        (JobState::Skipped, _) => words::skip(job),
        (_, None) => None,
        (_, Some(_)) => {
            let model = Model::from_rows(read.run.row.clone(), vec![job.clone()], shown.commands.iter().cloned());
            model.job(&job.job_id).and_then(words::error_beside).map(str::to_owned)
        }
    };
    let inputs = read.story.graph.iter().find(|listed| listed.id == job.job_id).map(|listed| listed.inputs.clone());
    JobPart {
        id: job.job_id.to_string(),
        path: told::job_path(&job.run_id, &job.job_id),
        anchor: anchor(&job.job_id),
        state: State::job(job),
        class: told::job_class(job.state, job.allowed),
        took: Took::new(job.started_at_ms, job.finished_at_ms, now_ms),
        inputs: inputs
            .unwrap_or_default()
            .into_iter()
            .filter(|input| !input.contains('/'))
            .map(|input| (format!("#job-{}", told::part(&input)), input))
            .collect(),
        why,
        place: words::place(job).filter(|_| job.state == JobState::Failed),
        items,
        left_out,
    }
}

/// The lines of a job's part, in the order in which things were; how many commands are left out.
fn items(read: &Read, job: &JobRow, shown: Shown<'_>, now_ms: i64) -> (Vec<Item>, usize) {
    let Shown { commands, is_begin, is_end, at_most } = shown;
    // Of a damaged record a job's name may be none that a folder has: then it has no logs.
    let has_logs = read.may_read_log && read.run.logs_removed_at_ms.is_none() && job.job_id.is_valid();
    let logs = told::job_path(&job.run_id, &job.job_id);
    let first = commands.first().map_or(1, |sh| sh.n);
    let last = commands.last().map_or(0, |sh| sh.n);
    let (notes, notes_left_out) = read.story.notes_of(&job.job_id);
    let mut notes =
        notes.iter().filter(|note| (is_begin || note.after + 1 >= first) && (is_end || note.after < last)).peekable();
    let mut items = Vec::new();
    if notes_left_out > 0 && is_begin {
        items.push(Item::Note(format!("… {notes_left_out} lines before these are in the events")));
    }
    let mut attempts = BTreeSet::new();
    if job.attempts > 1 {
        attempts.extend(commands.iter().map(|sh| sh.attempt));
        let ended = read.story.attempts(&job.job_id);
        attempts.extend(ended.filter(|_| is_begin && is_end));
        attempts.extend(Some(job.attempts).filter(|_| is_end));
    }
    let begin_until = |attempt: u32, attempts: &mut BTreeSet<u32>, items: &mut Vec<Item>| {
        while let Some(n) = attempts.first().copied().filter(|n| *n <= attempt) {
            attempts.pop_first();
            let why = read.story.retried(&job.job_id, n);
            items.push(Item::Attempt { n, why: why.map(|error| error.message.clone()) });
        }
    };
    let mut left_out = 0;
    for (at, sh) in commands.iter().enumerate() {
        while let Some(note) = notes.next_if(|note| note.after < sh.n) {
            begin_until(note.attempt, &mut attempts, &mut items);
            items.push(Item::Note(note.text.clone()));
        }
        begin_until(sh.attempt, &mut attempts, &mut items);
        if at_most.is_some_and(|most| at >= most) && sh.exit_code == Some(0) {
            left_out += 1;
            continue;
        }
        items.push(Item::Command(CommandLine {
            n: sh.n,
            cmd: text::one_line(&sh.cmd),
            href: has_logs.then(|| format!("{logs}/{}", sh.n)),
            class: told::sh_class(sh, job),
            ending: words::ending_or_replay(sh),
            took: Took::new(Some(sh.started_at_ms), sh.finished_at_ms, now_ms),
        }));
    }
    for note in notes {
        begin_until(note.attempt, &mut attempts, &mut items);
        items.push(Item::Note(note.text.clone()));
    }
    begin_until(u32::MAX, &mut attempts, &mut items);
    (items, left_out)
}

/// The name of a job's part in the page of its run.
pub(super) fn anchor(job_id: &JobId) -> String {
    format!("job-{}", told::part(job_id.as_str()))
}
