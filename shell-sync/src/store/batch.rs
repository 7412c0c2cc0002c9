//! Puts waiting for their transaction. Full rows, so of several puts of one key only the last is kept.

use std::collections::BTreeMap;

use quire_core::ids::JobId;
use quire_core::rows::{JobRow, RowCommand, RunRow, ShRow};

/// The rows of one run that wait to be put, each key once, in the order of the tables' keys.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) run: Option<RunRow>,
    pub(super) jobs: BTreeMap<JobId, JobPuts>,
    rows: usize,
}

/// What waits for one job.
#[derive(Debug, Default)]
pub(super) struct JobPuts {
    pub(super) job: Option<JobRow>,
    pub(super) commands: BTreeMap<u32, ShRow>,
}

impl Batch {
    /// Takes a put; it replaces an earlier one of the same key.
    pub fn push(&mut self, row: RowCommand) {
        let replaced = match row {
            RowCommand::PutRun(row) => self.run.replace(row).is_some(),
            RowCommand::PutJob(row) => self.job(&row.job_id).job.replace(row).is_some(),
            RowCommand::PutSh(row) => self.job(&row.job_id).commands.insert(row.n, row).is_some(),
        };
        self.rows += usize::from(!replaced);
    }

    /// How many rows wait.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Forgets every put.
    pub fn clear(&mut self) {
        *self = Batch::default();
    }

    /// Takes everything out but the commands that are still open, so that those, too, are put once, ended.
    pub fn take_ended(&mut self) -> Batch {
        let mut ended = std::mem::take(self);
        for (job_id, puts) in &mut ended.jobs {
            let open: BTreeMap<u32, ShRow> =
                puts.commands.extract_if(.., |_, command| command.finished_at_ms.is_none()).collect();
            if !open.is_empty() {
                self.rows += open.len();
                self.jobs.insert(job_id.clone(), JobPuts { job: None, commands: open });
            }
        }
        ended.rows -= self.rows;
        ended
    }

    fn job(&mut self, job_id: &JobId) -> &mut JobPuts {
        if !self.jobs.contains_key(job_id) {
            self.jobs.insert(job_id.clone(), JobPuts::default());
        }
        self.jobs.get_mut(job_id).expect("it was just put there")
    }
}

impl Extend<RowCommand> for Batch {
    fn extend<T: IntoIterator<Item = RowCommand>>(&mut self, rows: T) {
        for row in rows {
            self.push(row);
        }
    }
}
