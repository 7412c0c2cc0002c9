//! The options of `run`, and what they ask for as plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use quire_core::replay::Extent;

use super::error::CliError;
use super::secret::{SecretArg, SecretSource};
use super::spec::{Spec, SpecLimits, SpecResume};

/// Options of `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// The jobs to run, with all that they need [default: all but manual ones]
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Run at most N commands at once [default: the number of CPUs]
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    pub slots: Option<NonZeroU32>,

    /// After a failure, start everything that does not depend on it
    #[arg(short, long)]
    pub keep_going: bool,

    /// Run on a fresh checkout of a revision, or of what is staged (`index`), with a clean environment
    #[arg(long, value_name = "REV|index", value_parser = parse_at)]
    pub at: Option<At>,

    /// Give commands a short, documented environment instead of yours
    #[arg(long)]
    pub clean: bool,

    /// Run commands this way, whatever image the pipeline names
    #[arg(long, value_enum, value_name = "host|container", hide_possible_values = true)]
    pub executor: Option<ExecutorArg>,

    /// Give rt.secret(NAME) its value from an environment variable or a file; every log masks it (repeatable)
    #[arg(long = "secret", value_name = "NAME=env:VAR|file:PATH")]
    pub secrets: Vec<String>,

    /// Set rt.params.KEY (repeatable)
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = parse_param)]
    pub params: Vec<(String, String)>,

    /// Once the run has failed, open a shell where its first command failed: same directory, same environment, the command in
    /// the shell's history (needs a terminal; what the run left running has been ended)
    #[arg(long)]
    pub shell_on_fail: bool,

    /// Show failures and the summary only
    #[arg(short, long)]
    pub quiet: bool,

    /// Print the summary as one JSON object at the end, and nothing else, to standard output
    #[arg(long)]
    pub json: bool,

    /// Where the event stream goes besides the record: null, stdout or a file [default: null]
    #[arg(long, value_name = "null|stdout|PATH", value_parser = parse_events)]
    pub events: Option<EventsTo>,

    /// Go on with a run that failed or died: what succeeded is answered from its record, the rest runs [RUN default: last]
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", group = "replaying")]
    #[arg(conflicts_with_all = ["at", "seed"])]
    pub resume: Option<String>,

    /// Run the jobs that failed and all downstream of them afresh, the others are answered [RUN default: last-failed]
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last-failed", group = "replaying")]
    #[arg(conflicts_with_all = ["at", "seed"])]
    pub failed: Option<String>,

    /// With --resume or --failed: even if the work tree or the pipeline has changed since
    #[arg(long, requires = "replaying")]
    pub force: bool,

    /// Make D the run directory and touch no database
    #[arg(long, value_name = "D")]
    pub out_dir: Option<PathBuf>,

    /// Seed of math.random in the pipeline [default: another one for each run]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Read how a server wants the run, as JSON, from standard input; options given here win
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub spec: Option<String>,

    /// What rt.args holds
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Which checkout to run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A revision as git writes them: a branch, a tag, a sha, `HEAD~2`.
    Rev(String),
    /// What is staged.
    Index,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Rev(rev) => f.write_str(rev),
            At::Index => f.write_str("index"),
        }
    }
}

/// Where the event stream goes besides the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EventsTo {
    /// Nowhere.
    #[default]
    Null,
    /// Standard output; what people read moves to standard error.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// How commands are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutorArg {
    /// As children of this process
    Host,
    /// In the container that the pipeline names
    #[value(alias = "docker")]
    Container,
}

impl ExecutorArg {
    /// As the record names it.
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutorArg::Host => "host",
            ExecutorArg::Container => "container",
        }
    }
}

fn parse_at(text: &str) -> Result<At, String> {
    match text {
        "" => Err("name a revision (a branch, a tag, a sha), or index for what is staged".into()),
        "index" => Ok(At::Index),
        rev if rev.starts_with('-') => Err("a revision does not start with a dash".into()),
        rev => Ok(At::Rev(rev.to_owned())),
    }
}

fn parse_events(text: &str) -> Result<EventsTo, String> {
    match text {
        "" => Err("name a file, or null, or stdout".into()),
        "null" => Ok(EventsTo::Null),
        "stdout" => Ok(EventsTo::Stdout),
        path => Ok(EventsTo::File(path.into())),
    }
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) | None => Err("write KEY=VALUE".into()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
    }
}

/// What a run is asked to do: the command line and the server's spec made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The jobs to run, not yet checked against the pipeline; empty for all.
    pub jobs: Vec<String>,
    /// Most commands at once.
    pub slots: u32,
    /// Start what can still run after a failure.
    pub keep_going: bool,
    /// The checkout to run on; `None` is the workspace as it is.
    pub at: Option<At>,
    /// Commands get the documented short environment. Also set by `at` and by a spec.
    pub clean: bool,
    /// `--executor`: an image in the pipeline is overridden.
    pub executor: Option<ExecutorArg>,
    /// The executor that a spec names, for the record.
    pub recorded_executor: Option<String>,
    /// Secrets by name, to be resolved with [`SecretSource::resolve`].
    pub secrets: BTreeMap<String, SecretSource>,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// Open a shell for the first command that fails a job.
    pub shell_on_fail: bool,
    /// Failures and summary only.
    pub quiet: bool,
    /// The summary as JSON.
    pub json: bool,
    /// Where the stream goes besides the record.
    pub events: EventsTo,
    /// The run directory, where it is given.
    pub out_dir: Option<PathBuf>,
    /// Seed, where it is given.
    pub seed: Option<u64>,
    /// `rt.args`.
    pub args: Vec<String>,
    /// A spec was read: a server drives this run.
    pub from_spec: bool,
    /// The run, where the spec names it.
    pub run_id: Option<String>,
    /// Its number.
    pub number: Option<u64>,
    /// Its repository.
    pub repo: Option<String>,
    /// Full commit id, where the spec names it.
    pub sha: Option<String>,
    /// Full ref name, where the spec names it.
    pub ref_name: Option<String>,
    /// When the push came, Unix milliseconds.
    pub pushed_at_ms: Option<i64>,
    /// Added to the environment of commands.
    pub env: BTreeMap<String, String>,
    /// Bounds.
    pub limits: SpecLimits,
    /// The run to go on with.
    pub resume: Option<Resume>,
    /// What a spec says about the workspace.
    pub notes: Vec<String>,
}

/// A run to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Which.
    pub run: Earlier,
    /// How much of it answers.
    pub extent: Extent,
    /// Whatever has changed since.
    pub force: bool,
}

/// Where an earlier run is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// The run that RUN means.
    Named(String),
    /// A directory that the server names. It has seen to the workspace.
    Given(SpecResume),
}

impl RunArgs {
    /// Whether standard input holds a [`Spec`].
    pub fn wants_spec(&self) -> bool {
        self.spec.is_some()
    }

    /// Makes one request of the options and, where [`RunArgs::wants_spec`], of what was read. An option wins over the spec's
    /// field; secrets, params and the environment are united.
    pub fn request(self, spec: Option<Spec>) -> Result<RunRequest, CliError> {
        if self.json && self.events == Some(EventsTo::Stdout) {
            return Err(CliError::usage("--json and --events stdout both want standard output")
                .help("write the events to a file: --events events.jsonl"));
        }
        let from_spec = spec.is_some();
        let spec = spec.unwrap_or_default();
        let mut secrets: BTreeMap<String, SecretSource> =
            spec.secrets.into_iter().map(|(name, value)| (name, SecretSource::Given(value))).collect();
        let mut seen = Vec::new();
        // Parsed here and not by clap, whose errors quote the value: it may be the secret itself.
        for text in &self.secrets {
            let SecretArg { name, source } =
                SecretArg::parse(text).map_err(|what| CliError::usage(what).at("--secret"))?;
            if seen.contains(&name) {
                return Err(CliError::usage(format!("the secret {name:?} is given twice")).at("--secret"));
            }
            seen.push(name.clone());
            secrets.insert(name, source);
        }
        let mut params = spec.params;
        let mut seen = Vec::new();
        for (key, value) in self.params {
            if seen.contains(&key) {
                return Err(CliError::usage(format!("the parameter {key:?} is given twice")).at("--param"));
            }
            seen.push(key.clone());
            params.insert(key, value);
        }
        Ok(RunRequest {
            jobs: if self.jobs.is_empty() { spec.jobs } else { self.jobs },
            slots: self
                .slots
                .map(NonZeroU32::get)
                .or(spec.slots.filter(|slots| *slots > 0))
                .unwrap_or_else(default_slots),
            keep_going: self.keep_going || spec.keep_going,
            clean: self.clean || self.at.is_some() || from_spec,
            at: self.at,
            executor: self.executor,
            recorded_executor: spec.executor,
            secrets,
            params,
            shell_on_fail: self.shell_on_fail,
            quiet: self.quiet,
            json: self.json,
            events: self.events.unwrap_or_default(),
            out_dir: self.out_dir,
            seed: self.seed.or(spec.seed),
            args: self.args,
            from_spec,
            run_id: spec.run_id,
            number: spec.number,
            repo: spec.repo,
            sha: spec.sha,
            ref_name: spec.ref_name,
            pushed_at_ms: spec.pushed_at_ms,
            env: spec.env,
            limits: spec.limits,
            resume: resume(self.resume, self.failed, self.force, spec.resume),
            notes: spec.notes,
        })
    }
}

fn resume(resume: Option<String>, failed: Option<String>, force: bool, given: Option<SpecResume>) -> Option<Resume> {
    match (resume, failed, given) {
        (Some(run), _, _) => Some(Resume { run: Earlier::Named(run), extent: Extent::Resume, force }),
        (None, Some(run), _) => Some(Resume { run: Earlier::Named(run), extent: Extent::Failed, force }),
        (None, None, Some(given)) => {
            let extent = if given.failed { Extent::Failed } else { Extent::Resume };
            Some(Resume { run: Earlier::Given(given), extent, force: true })
        }
        (None, None, None) => None,
    }
}

/// The CPUs that this process may use; 1 where the machine does not tell.
fn default_slots() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(line: &[&str]) -> Result<RunArgs, String> {
        let line = std::iter::once("run").chain(line.iter().copied());
        Line::try_parse_from(line).map(|line| line.run).map_err(|error| error.to_string())
    }

    fn request(line: &[&str]) -> RunRequest {
        parse(line).unwrap().request(None).unwrap()
    }

    #[test]
    fn nothing_asked_is_a_plain_run() {
        let plain = request(&[]);
        assert!(plain.slots >= 1 && plain.jobs.is_empty() && !plain.clean && !plain.from_spec);
        assert_eq!((plain.events, plain.at, plain.seed), (EventsTo::Null, None, None));
    }

    #[test]
    fn every_option_arrives() {
        let all = request(&[
            "build",
            "test",
            "-j4",
            "-k",
            "--at",
            "HEAD~2",
            "--executor",
            "host",
            "--secret",
            "T=env:TOKEN",
            "--secret",
            "K=file:/k=y",
            "--param",
            "a=b=c",
            "--param",
            "empty=",
            "-q",
            "--events",
            "x/events.jsonl",
            "--out-dir",
            "x",
            "--shell-on-fail",
            "--seed",
            "7",
            "--",
            "-x",
            "y",
        ]);
        assert_eq!(all.jobs, ["build", "test"]);
        assert_eq!((all.slots, all.keep_going, all.quiet, all.clean), (4, true, true, true));
        assert!(all.shell_on_fail && !request(&[]).shell_on_fail);
        assert_eq!(all.at, Some(At::Rev("HEAD~2".into())));
        assert_eq!(all.executor.map(ExecutorArg::as_str), Some("host"));
        assert_eq!(all.secrets["T"], SecretSource::Env("TOKEN".into()));
        assert_eq!(all.secrets["K"], SecretSource::File("/k=y".into()));
        assert_eq!(all.params["a"], "b=c");
        assert_eq!(all.params["empty"], "");
        assert_eq!(all.events, EventsTo::File("x/events.jsonl".into()));
        assert_eq!(all.out_dir, Some("x".into()));
        assert_eq!((all.seed, all.args), (Some(7), vec!["-x".to_owned(), "y".to_owned()]));
        assert_eq!(request(&["--at", "index"]).at, Some(At::Index));
        assert_eq!(request(&["--executor", "docker"]).executor, Some(ExecutorArg::Container));
        assert_eq!(request(&["--events", "stdout"]).events, EventsTo::Stdout);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            &["-j0"][..],
            &["-jx"],
            &["--at", ""],
            &["--at=-x"],
            &["--executor", "moon"],
            &["--param", "=x"],
            &["--param", "x"],
            &["--events", ""],
            &["--seed", "-1"],
            &["--spec", "file"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        for line in [
            &["--json", "--events", "stdout"][..],
            &["--secret", "T"],
            &["--secret", "T=hunter22"],
            &["--secret", "T=env:A", "--secret", "T=env:B"],
            &["--param", "x=1", "--param", "x=2"],
        ] {
            let error = parse(line).unwrap().request(None).unwrap_err().to_string();
            assert!(!error.contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn options_win_over_the_spec() {
        let spec =
            r#"{"jobs":["a"],"seed":1,"params":{"x":"spec","y":"spec"},"secrets":{"T":"given-one"},"sha":"abc"}"#;
        let args = parse(&["--spec", "-", "b", "--param", "x=line", "--secret", "U=env:U"]).unwrap();
        assert!(args.wants_spec());
        let made = args.request(Some(Spec::read(spec.as_bytes()).unwrap())).unwrap();
        assert_eq!((made.jobs, made.seed, made.sha), (vec!["b".to_owned()], Some(1), Some("abc".to_owned())));
        assert_eq!((made.params["x"].as_str(), made.params["y"].as_str()), ("line", "spec"));
        assert_eq!(made.secrets.len(), 2);
        assert!(made.clean && made.from_spec);
    }
}
