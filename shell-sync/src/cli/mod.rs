//! The command line: what there is to say, and the exit code of each answer.
//!
//! Owns parsing and the one place where errors become text and exit codes; what a verb does is [`crate::commands`]'.

mod error;
mod exit;
mod run_args;
mod runs_args;
mod secret;
mod spec;
mod suggest;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use error::{CliError, ErrorKind, plain, styled};
pub use exit::Exit;
pub use run_args::{At, Earlier, EventsTo, ExecutorArg, Resume, RunArgs, RunRequest};
pub use runs_args::{EventsArgs, LogArgs, LsArgs, PruneArgs, RebuildArgs, ShellArgs, ShowArgs};
pub use secret::{MIN_BYTES as MIN_SECRET_BYTES, SecretArg, SecretSource};
pub use spec::{Spec, SpecLimits, SpecResume};
pub use suggest::suggest;

use crate::commands;
use crate::record::DataDir;
use crate::workspace::{Workspace, WorkspaceError};

/// The name in help texts and examples, unless the caller goes by another (`quire ci`).
const NAME: &str = "quire-ci";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "quire-ci",
    version,
    about = "Runs your pipeline here and now, in parallel, and keeps an exact record of it",
    after_help = "The pipeline is .quire/ci.lua (or ci.fnl), found upwards from the working directory.\n\
        Without a command, its jobs are listed.\n\n\
        Examples:\n  quire-ci init        write a pipeline that fits this repository\n  \
        quire-ci run         run it\n  quire-ci run test    run one job and what it needs\n  \
        quire-ci log         what the last run printed\n\n\
        Exit codes: 0 complete; 1 a job failed, or validate or doctor found something;\n\
        2 usage, pipeline or record error; 128+n ended by signal n.",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,

    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Options that every verb takes.
#[derive(Debug, Clone, Args)]
struct GlobalArgs {
    /// The workspace: the folder that holds .quire [default: found upwards from here]
    #[arg(short, long, global = true, value_name = "DIR", help_heading = "Global options")]
    workspace: Option<PathBuf>,

    /// Where runs are kept [env: QUIRE_DATA] [default: a folder of this workspace under your state directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<PathBuf>,

    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "auto|always|never",
        default_value_t = Color::Auto,
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    color: Color,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a pipeline that fits this repository and passes
    #[command(after_help = "Example:\n  quire-ci init            write .quire/ci.lua\n  \
        quire-ci init --print    only show what it would be")]
    Init(commands::init::InitArgs),

    /// Check the pipeline and list its jobs in order
    #[command(after_help = "Example:\n  quire-ci validate\n  quire-ci validate -w ../other --json\n\n\
        Exit code 0 if the pipeline is right, 1 if it is not.")]
    Validate(commands::validate::ValidateArgs),

    /// Run the pipeline, or some of its jobs with all that they need
    #[command(after_help = "Examples:\n  quire-ci run\n  quire-ci run test -j2 --keep-going\n  \
        quire-ci run --at index                            what is staged, checked out afresh\n  \
        quire-ci run deploy --secret TOKEN=env:MY_TOKEN --param to=staging\n  \
        quire-ci run --shell-on-fail                       a shell where a command fails\n\n\
        In a browser, live: quire serve --data-dir DIR, with the directory that quire-ci doctor names, and the link that it prints.\n\n\
        Exit code 0 complete, 1 a job failed, 2 usage, pipeline or record error, 128+n ended by signal n.")]
    Run(Box<RunArgs>),

    /// Draw the graph of jobs
    #[command(after_help = "Example:\n  quire-ci graph\n  quire-ci graph --format mermaid > graph.mmd")]
    Graph(commands::graph::GraphArgs),

    /// Print the Lua that a Fennel file compiles to
    #[command(after_help = "Example:\n  quire-ci compile .quire/ci.fnl\n\n\
        Exit code 0 if it compiles, 1 if it does not, 2 if there is no Fennel compiler.")]
    Compile(commands::compile::CompileArgs),

    /// Print a shell's completion script
    #[command(
        after_help = "Example:\n  quire-ci completions bash > ~/.local/share/bash-completion/completions/quire-ci\n  \
        quire-ci completions fish > ~/.config/fish/completions/quire-ci.fish\n  \
        quire-ci completions zsh > ~/.zfunc/_quire-ci"
    )]
    Completions(commands::completions::CompletionsArgs),

    /// List the runs, newest first
    #[command(after_help = "Example:\n  quire-ci ls\n  quire-ci ls -n 5 --json")]
    Ls(LsArgs),

    /// Show a run: its jobs, how they ended and how long they took
    #[command(after_help = "Example:\n  quire-ci show\n  quire-ci show last-failed\n  quire-ci show 12 --json")]
    Show(ShowArgs),

    /// Print what a run, a job or one command printed
    #[command(after_help = "Examples:\n  quire-ci log                      all of the last run\n  \
        quire-ci log last-failed test     one job\n  \
        quire-ci log 12 test/3 --raw      the exact bytes of the stdout of its third command")]
    Log(LogArgs),

    /// Print a run's event stream as it is recorded
    #[command(
        after_help = "Example:\n  quire-ci events\n  quire-ci events 12 | jq -r 'select(.type == \"sh_started\").cmd'"
    )]
    Events(EventsArgs),

    /// Open a shell where a command failed: its directory, its environment, the command in its history
    #[command(
        after_help = "Examples:\n  quire-ci shell                    the command that failed the last failed run\n  \
        quire-ci shell 12 test/3          the third command of job test in run 12\n  \
        quire-ci shell last deploy --secret TOKEN=env:MY_TOKEN\n\n\
        The shell is yours ($SHELL) if that is bash, zsh or fish, else bash or sh. Your start files run; its history is \
        kept apart from yours. Directory and variables are what the record says that the pipeline gave, on top of your \
        environment; a checkout that was kept (run --at) is entered with its clean environment. A variable whose value \
        the record hides (***) is left unset unless --secret gives it. Nothing is recorded, and what the run left \
        running is gone.\n\n\
        Exit code 0 once the shell has ended, however it did; 2 if the run, the job, the command or its directory is \
        not there; 128+n ended by signal n."
    )]
    Shell(ShellArgs),

    /// Make the database's rows anew from the run directories
    #[command(
        after_help = "Example:\n  quire-ci rebuild\n\nA damaged database is set aside; no recorded event or log is touched."
    )]
    Rebuild(RebuildArgs),

    /// Remove old runs
    #[command(after_help = "Example:\n  quire-ci prune --dry-run\n  quire-ci prune --keep 10 --max-size 200M\n\n\
        Every run does this by itself, with the defaults. The newest run is always kept.")]
    Prune(PruneArgs),

    /// Look at this machine and say what is missing
    #[command(after_help = "Example:\n  quire-ci doctor\n\nExit code 1 if something is missing that a run needs.")]
    Doctor,
}

/// What every verb is told about where and how it was called.
#[derive(Debug, Clone)]
pub struct Context {
    /// How people call this program: `quire-ci` or `quire ci`. For "what to do next".
    pub program: String,
    /// `--workspace`.
    pub workspace: Option<PathBuf>,
    /// `--data-dir`, else QUIRE_DATA.
    pub data_dir: Option<PathBuf>,
    /// `--color`.
    pub color: Color,
}

impl Context {
    /// The workspace that was named, else the one found upwards from the working directory.
    pub fn workspace(&self) -> Result<Workspace, CliError> {
        self.find()?.map_err(|error| self.explain(error))
    }

    fn find(&self) -> Result<Result<Workspace, WorkspaceError>, CliError> {
        Ok(match &self.workspace {
            Some(dir) => Workspace::at(dir),
            None => Workspace::find(&self.working_directory()?),
        })
    }

    /// The data directory that was named, else the workspace's; made if there is none.
    pub fn data(&self) -> Result<DataDir, CliError> {
        match &self.data_dir {
            Some(dir) => Ok(DataDir::open(dir)?),
            None => Ok(DataDir::of_workspace(&self.folder()?)?),
        }
    }

    /// The workspace's folder, absolute.
    ///
    /// The runs of a workspace stay within reach while it has no pipeline, as on a branch from before there was one: then it is
    /// the nearest folder upwards that has runs.
    pub fn folder(&self) -> Result<PathBuf, CliError> {
        let error = match self.find()? {
            Ok(workspace) => return Ok(workspace.root),
            Err(error) => error,
        };
        if let WorkspaceError::NoPipeline { folder, upwards } = &error {
            let has_runs = |folder: &&Path| DataDir::default_path(folder).is_ok_and(|path| path.is_dir());
            let above = if *upwards { usize::MAX } else { 1 };
            if let Some(folder) = folder.ancestors().take(above).find(has_runs) {
                return Ok(folder.to_owned());
            }
        }
        Err(self.explain(error))
    }

    /// How to call this program again about the same runs from the same place: its name and the options that led to them.
    pub fn call(&self) -> String {
        let mut call = self.program.clone();
        for (option, dir) in [("-w", &self.workspace), ("--data-dir", &self.data_dir)] {
            if let Some(dir) = dir {
                let dir = dir.to_string_lossy();
                let is_plain =
                    |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@');
                let dir = match !dir.is_empty() && dir.chars().all(is_plain) {
                    true => dir.into_owned(),
                    false => format!("'{}'", dir.replace('\'', "'\\''")),
                };
                call += &format!(" {option} {dir}");
            }
        }
        call
    }

    /// The working directory.
    pub fn working_directory(&self) -> Result<PathBuf, CliError> {
        std::env::current_dir().map_err(|error| {
            CliError::machine(format!("the working directory cannot be found: {error}"))
                .help("go to a folder that exists, or name the workspace: -w DIR")
        })
    }

    /// Says what to do about a workspace that is none.
    pub fn explain(&self, error: WorkspaceError) -> CliError {
        let program = &self.program;
        let kind = match &error {
            WorkspaceError::NoFolder { .. } => ErrorKind::Usage,
            _ => ErrorKind::Pipeline,
        };
        let help = match &error {
            WorkspaceError::NoPipeline { .. } => Some(format!("write one that fits this repository: {program} init")),
            WorkspaceError::BothPipelines { .. } => Some("keep one of the two and remove the other".to_owned()),
            WorkspaceError::Foreign { folder, .. } => {
                Some(format!("if you trust it, name it: {program} -w {}", folder.display()))
            }
            WorkspaceError::NoFolder { .. } => Some("name the folder that holds .quire".to_owned()),
            WorkspaceError::Unreadable { .. } => None,
        };
        let place = error.place().display().to_string();
        CliError { help, ..CliError::new(kind, error.to_string()).at(place) }
    }
}

/// Runs quire-ci with these arguments (the program's name first) and returns the exit code.
pub fn main(args: Vec<OsString>) -> i32 {
    let program = program_name(args.first());
    let cli = match parse(&program, args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap writes help and version to stdout and errors to stderr; a reader that has gone is no trouble of ours.
            let _ = error.print();
            return error.exit_code();
        }
    };
    match cli.global.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let context = Context {
        program,
        workspace: cli.global.workspace,
        data_dir: cli.global.data_dir.or_else(data_dir_of_environment),
        color: cli.global.color,
    };
    match dispatch(&context, cli.verb) {
        Ok(exit) => exit.code(),
        Err(error) => {
            let _ = anstream::stderr().lock().write_all(error.render(&styled).as_bytes());
            error.kind.exit_code()
        }
    }
}

fn dispatch(context: &Context, verb: Option<Verb>) -> Result<Exit, CliError> {
    match verb {
        None => commands::validate::list(context),
        Some(Verb::Init(args)) => commands::init::run(context, args),
        Some(Verb::Validate(args)) => commands::validate::run(context, args),
        Some(Verb::Run(args)) => commands::run::run(context, *args),
        Some(Verb::Graph(args)) => commands::graph::run(context, args),
        Some(Verb::Compile(args)) => commands::compile::run(context, args),
        Some(Verb::Completions(args)) => commands::completions::run(args, command(NAME)),
        Some(Verb::Ls(args)) => commands::ls::run(context, &args),
        Some(Verb::Show(args)) => commands::show::run(context, &args),
        Some(Verb::Log(args)) => commands::log::run(context, &args),
        Some(Verb::Events(args)) => commands::events::run(context, &args),
        Some(Verb::Shell(args)) => commands::shell::run(context, &args),
        Some(Verb::Rebuild(args)) => commands::rebuild::run(context, &args),
        Some(Verb::Prune(args)) => commands::prune::run(context, &args),
        Some(Verb::Doctor) => commands::doctor::run(context),
    }
}

/// QUIRE_DATA, unless it is empty.
fn data_dir_of_environment() -> Option<PathBuf> {
    std::env::var_os("QUIRE_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// The name to show: the last part of the first argument, which for a linked-in quire-ci is `quire ci` as it is.
fn program_name(first: Option<&OsString>) -> String {
    first
        .and_then(|name| Path::new(name).file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|| NAME.to_owned())
}

fn parse(program: &str, args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = command(program);
    let mut matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The command line under the given name; the examples in its help texts go by that name too.
fn command(program: &str) -> clap::Command {
    let mut command = Cli::command().bin_name(program.to_owned());
    if program == NAME {
        return command;
    }
    let renamed = |text: Option<&clap::builder::StyledStr>| text.map(|text| text.to_string().replace(NAME, program));
    if let Some(text) = renamed(command.get_after_help()) {
        command = command.after_help(text);
    }
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for verb in verbs {
        command = command.mut_subcommand(verb, |verb| match renamed(verb.get_after_help()) {
            Some(text) => verb.after_help(text),
            None => verb,
        });
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command(NAME).debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in command(NAME).get_subcommands() {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains(&format!("quire-ci {}", verb.get_name())), "{}: {text}", verb.get_name());
        }
    }

    #[test]
    fn a_linked_in_program_goes_by_its_own_name() {
        assert_eq!(program_name(Some(&"/usr/bin/quire-ci".into())), "quire-ci");
        assert_eq!(program_name(Some(&"quire ci".into())), "quire ci");
        assert_eq!(program_name(None), "quire-ci");
        let mut command = command("quire ci");
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage: quire ci") && help.contains("  quire ci run "), "{help}");
        assert!(!help.contains("quire-ci"), "{help}");
        let error = parse("quire ci", vec!["quire ci".into(), "run".into(), "--help".into()]).unwrap_err();
        assert!(error.to_string().contains("Usage: quire ci run"), "{error}");
    }

    #[test]
    fn a_call_leads_to_the_same_runs() {
        let of = |workspace: Option<&str>, data_dir: Option<&str>| {
            let dir = |dir: Option<&str>| dir.map(PathBuf::from);
            let (workspace, data_dir) = (dir(workspace), dir(data_dir));
            Context { program: NAME.to_owned(), workspace, data_dir, color: Color::Auto }.call()
        };
        assert_eq!(of(None, None), "quire-ci");
        assert_eq!(of(Some("../x"), None), "quire-ci -w ../x");
        assert_eq!(of(Some("a b"), Some("/it's")), r"quire-ci -w 'a b' --data-dir '/it'\''s'");
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [&["-w", "x", "validate"][..], &["validate", "-w", "x"], &["validate", "--workspace=x"]] {
            let line = std::iter::once("quire-ci").chain(line.iter().copied()).map(OsString::from).collect();
            let cli = parse("quire-ci", line).unwrap();
            assert_eq!(cli.global.workspace, Some("x".into()));
        }
    }

    #[test]
    fn usage_errors_exit_2_and_help_0() {
        for (line, code) in [(&["--nonsense"][..], 2), (&["nonsense"], 2), (&["--help"], 0), (&["--version"], 0)] {
            let line = std::iter::once("quire-ci").chain(line.iter().copied()).map(OsString::from).collect();
            assert_eq!(parse("quire-ci", line).unwrap_err().exit_code(), code);
        }
    }
}
