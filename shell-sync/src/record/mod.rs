//! The record on disk: data directories, run directories, locks, the event file, log files (CONTRACT 3).
//!
//! Owns every path below a data directory but the database, whose rows are [`crate::store`]'s. What is recorded, and in
//! which order, is quire-core's; this only makes sure that it is on disk, whole, and found again.

mod data_dir;
mod error;
mod event_log;
mod ingest;
mod live;
mod lock;
mod log_retention;
mod rebuild;
mod recover;
mod retention;
mod run_dir;
mod run_files;

pub use data_dir::DataDir;
pub use error::RecordError;
pub use event_log::EventLog;
pub use ingest::{BadLine, Ingested, ingest};
pub use live::LiveRecord;
pub use lock::{Claim, Holder, LockState, RunLock};
pub use log_retention::PrunedLogs;
pub use rebuild::Rebuilt;
pub use recover::Recovered;
pub use retention::{Pruned, Retention, disk_bytes};
pub use run_dir::RunDir;
pub use run_files::RunFiles;
