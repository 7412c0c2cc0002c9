//! The record on disk: data directories, run directories, locks, the event file, log files (CONTRACT 3).
