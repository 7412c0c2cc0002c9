//! What a run's page takes from its event stream, for rows do not hold it: the graph, what scripts logged, why attempts failed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use memchr::memmem;
use quire_core::ids::JobId;
use quire_core::wire::{Decoded, EventKind, JobFailure, JobListed, decode};

/// Streams are read so far: what is logged behind that is left to the stream itself.
const MOST_BYTES: u64 = 4 << 20;
/// Lines of a job's log that a page has; of more the last.
const MOST_NOTES: usize = 50;

/// Events that tell nothing beside the rows. `at_ms` and `type` stand first in a line.
const TOLD_BY_ROWS: [&[u8]; 3] =
    [b"\"type\":\"sh_finished\"", b"\"type\":\"job_finished\"", b"\"type\":\"job_skipped\""];

/// A line that a script logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// Commands of the job that had begun before.
    pub(super) after: u32,
    /// Of the job, from 1.
    pub(super) attempt: u32,
    pub(super) text: String,
}

/// What the stream tells beside the rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Story {
    /// Jobs with their inputs, in the order of the pipeline.
    pub(super) graph: Vec<JobListed>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) args: Vec<String>,
    /// About the whole run.
    pub(super) notes: Vec<String>,
    jobs: BTreeMap<JobId, Told>,
    /// The stream goes on behind what was read.
    pub(super) is_cut: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    commands: u32,
    /// The attempt that goes on, where it is not the first.
    attempt: u32,
    notes: Vec<Note>,
    left_out: usize,
    /// Why attempts ended that another followed, by the attempt that ended.
    retried: BTreeMap<u32, JobFailure>,
}

impl Story {
    /// Of the stream at `path`; of none, an empty one. It waits for the disk.
    pub(super) fn read(path: &Path) -> io::Result<Story> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Story::default()),
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(len.min(MOST_BYTES)).unwrap_or(0));
        file.by_ref().take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(Story { is_cut: len > MOST_BYTES, ..Story::of(&bytes) })
    }

    /// Of a stream's bytes. What is no event is stepped over.
    pub(super) fn of(stream: &[u8]) -> Story {
        let mut story = Story::default();
        for line in stream.split(|byte| *byte == b'\n') {
            // Most lines tell what the rows tell as well.
            let head = line.get(..64).unwrap_or(line);
            if !TOLD_BY_ROWS.iter().any(|kind| memmem::find(head, kind).is_some())
                && let Ok(Decoded::Event(event)) = decode(line)
            {
                story.take(event.kind);
            }
        }
        story
    }

    /// The same for who may not read logs: what scripts say is one.
    pub(super) fn graph_only(self) -> Story {
        Story { graph: self.graph, ..Story::default() }
    }

    fn take(&mut self, kind: EventKind) {
        match kind {
            EventKind::RunStarted(started) if self.graph.is_empty() => {
                self.graph = started.jobs;
                self.params = started.params;
                self.args = started.args;
            }
            EventKind::RunLogged(logged) => self.notes.push(logged.text),
            EventKind::JobLogged(logged) => {
                let told = self.jobs.entry(logged.job_id).or_default();
                if told.notes.len() == MOST_NOTES {
                    told.notes.remove(0);
                    told.left_out += 1;
                }
                let (after, attempt) = (told.commands, told.attempt.max(1));
                told.notes.push(Note { after, attempt, text: logged.text });
            }
            EventKind::JobRetried(retried) => {
                let told = self.jobs.entry(retried.job_id).or_default();
                told.attempt = retried.attempt;
                if let Some(error) = retried.error {
                    told.retried.insert(retried.attempt.saturating_sub(1), error);
                }
            }
            EventKind::ShStarted(started) => self.jobs.entry(started.job_id).or_default().commands += 1,
            EventKind::RunStarted(_)
            | EventKind::JobStarted(_)
            | EventKind::JobSkipped(_)
            | EventKind::JobFinished(_)
            | EventKind::ShFinished(_)
            | EventKind::RunFinished(_) => {}
        }
    }

    /// What a job's script logged, in order; how many lines before these are left out.
    pub(super) fn notes_of(&self, job: &JobId) -> (&[Note], usize) {
        self.jobs.get(job).map_or((&[], 0), |told| (&told.notes, told.left_out))
    }

    /// The attempts of a job that another followed, as far as it is known why.
    pub(super) fn attempts(&self, job: &JobId) -> impl Iterator<Item = u32> {
        self.jobs.get(job).into_iter().flat_map(|told| told.retried.keys().copied())
    }

    /// Why this attempt of a job ended, where another followed.
    pub(super) fn retried(&self, job: &JobId, attempt: u32) -> Option<&JobFailure> {
        self.jobs.get(job)?.retried.get(&attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_do_not_hold() {
        let stream = br#"{"at_ms":1,"type":"run_started","run_id":"r","version":"0.1.0","executor":"host","jobs":[{"id":"a","inputs":["quire/push"]},{"id":"b","inputs":["a"]}],"params":{"k":"v"}}
{"at_ms":2,"type":"run_logged","text":"fresh checkout"}
{"at_ms":2,"type":"job_started","job_id":"a"}
{"at_ms":2,"type":"job_logged","job_id":"a","text":"begins"}
{"at_ms":3,"type":"sh_started","job_id":"a","cmd":"true"}
no event
{"at_ms":4,"type":"job_retried","job_id":"a","attempt":2,"error":{"message":"boom","file":"ci.lua","line":3}}
{"at_ms":5,"type":"job_logged","job_id":"a","text":"again"}
{"at_ms":6,"type":"torn"#;
        let story = Story::of(stream);
        let job = |id: &str| JobId::from_record(id);
        let listed = |id: &str, input: &str| JobListed { id: job(id), inputs: vec![input.to_owned()] };
        assert_eq!(story.graph, [listed("a", "quire/push"), listed("b", "a")]);
        assert_eq!(story.params["k"], "v");
        assert_eq!(story.notes, ["fresh checkout"]);
        let (notes, left_out) = story.notes_of(&job("a"));
        assert_eq!(
            notes.iter().map(|note| (note.after, note.attempt, note.text.as_str())).collect::<Vec<_>>(),
            [(0, 1, "begins"), (1, 2, "again")]
        );
        assert_eq!(left_out, 0);
        assert_eq!(story.retried(&job("a"), 1).map(|error| error.message.as_str()), Some("boom"));
        assert_eq!(story.retried(&job("a"), 2), None);
        assert_eq!(Story::of(b""), Story::default());
    }
}
