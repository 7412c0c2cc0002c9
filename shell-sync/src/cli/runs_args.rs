//! The options of the verbs that look at runs which were: ls, show, log, events, shell, rebuild, prune.

use clap::Args;

/// Options of `ls`.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Show the newest N runs
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 20)]
    pub limit: u32,

    /// Print one JSON object a run
    #[arg(long)]
    pub json: bool,
}

/// Options of `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// A run: its number, last, last-failed, or the beginning of its id or of its commit's
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,

    /// Print the run as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `log`.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// A run: its number, last, last-failed, or the beginning of its id or of its commit's
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,

    /// A job, or one command of it: JOB/N counts from 1
    #[arg(value_name = "JOB[/N]")]
    pub job: Option<String>,

    /// Print the exact bytes of a stream (stdout unless --stream names the other)
    #[arg(long, conflicts_with = "timestamps")]
    pub raw: bool,

    /// Print this stream only
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr"])]
    pub stream: Option<String>,

    /// Begin each line with the time at which it came
    #[arg(short, long)]
    pub timestamps: bool,
}

/// Options of `events`.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// A run: its number, last, last-failed, or the beginning of its id or of its commit's
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
}

/// Options of `shell`.
#[derive(Debug, Clone, Args)]
pub struct ShellArgs {
    /// A run: its number, last, last-failed, or the beginning of its id or of its commit's
    #[arg(value_name = "RUN", default_value = "last-failed")]
    pub run: String,

    /// A job, or one command of it: JOB/N counts from 1 [default: the only job that failed, and the command that failed it]
    #[arg(value_name = "JOB[/N]")]
    pub job: Option<String>,

    /// Set variable NAME, whose value the record hides, from an environment variable or a file (repeatable)
    #[arg(long = "secret", value_name = "NAME=env:VAR|file:PATH")]
    pub secrets: Vec<String>,

    /// Begin with the short, documented environment of `run --clean` instead of yours
    #[arg(long)]
    pub clean: bool,
}

/// Options of `rebuild`.
#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    /// Say what was done as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `prune`.
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Keep the newest N runs
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub keep: usize,

    /// Keep at most this much, newest runs first: a number of bytes, or with K, M, G
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = quire_core::size::parse)]
    pub max_size: u64,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
