//! The command line of `quire`: what there is to say. One module a verb; `quire ci …` is quire-ci's command line.

mod answer;
mod backup;
mod cancel;
mod config;
mod events;
mod hook;
mod log;
mod ls;
mod prune;
mod repo;
mod restore;
mod retry;
mod serve;
mod show;
mod token;
mod trigger;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use quire_ci::cli::{CliError, Color, Exit, styled};
use quire_ci::commands::completions::{self, CompletionsArgs};
use quire_ci::record::DataDir;

use crate::client::Client;

pub use serve::{ExecutorArg, ServeArgs};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "quire",
    version,
    about = "Self-hosted CI: every push runs its pipeline, and leaves an exact record of it",
    after_help = "Examples:\n  quire serve                       the server, on 127.0.0.1:7878\n  \
        quire repo new work/foo.git       a repository to push to\n  quire ls                          its runs\n  \
        quire log last -f                 what the newest run prints\n  \
        quire ci run                      the pipeline of this folder, here and now\n\n\
        Exit codes: 0 all is well; 1 the answer is no; 2 usage, server or record error; 128+n ended by signal n.",
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,

    #[command(subcommand)]
    verb: Verb,
}

/// Options that every verb takes.
#[derive(Debug, Clone, Args)]
struct GlobalArgs {
    /// The server's data directory [env: QUIRE_DATA] [default: quire/server under your state directory, ~/.local/state]
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

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a pipeline here and now: quire-ci, linked in
    #[command(
        disable_help_flag = true,
        after_help = "Example:\n  quire ci run\n  quire ci --help    all that it can do"
    )]
    Ci {
        /// What quire-ci is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },

    /// Run the server
    #[command(after_help = "Examples:\n  quire serve\n  quire serve --data-dir /srv/quire --listen 127.0.0.1:8000\n\n\
        TERM ends it: runs in quire-ci children go on, and are found again by the next server.")]
    Serve(ServeArgs),

    /// Make, take in, list and remove repositories
    #[command(
        after_help = "Examples:\n  quire repo new work/foo.git\n  quire repo add /srv/git/bar.git\n  quire repo list\n  \
        quire repo rm bar.git",
        arg_required_else_help = true
    )]
    Repo(repo::RepoArgs),

    /// What git hooks call
    #[command(
        after_help = "Example:\n  quire hook post-receive --repo work/foo.git < lines\n\n\
        `quire repo` installs the hook that calls it.",
        arg_required_else_help = true
    )]
    Hook(hook::HookArgs),

    /// Make, list and remove API tokens
    #[command(
        after_help = "Examples:\n  quire token create ann --name laptop\n  quire token list\n  quire token rm laptop",
        arg_required_else_help = true
    )]
    Token(token::TokenArgs),

    /// Check the configuration
    #[command(after_help = "Example:\n  quire config check", arg_required_else_help = true)]
    Config(ConfigArgs),

    /// Copy the data directory while the server runs
    #[command(after_help = "Example:\n  quire backup /mnt/backup/quire-monday\n\n\
        Database, run directories, spool and configuration; repositories are git's to copy.")]
    Backup(backup::BackupArgs),

    /// Put a copy back in the place of an empty data directory
    #[command(after_help = "Example:\n  quire restore /mnt/backup/quire-monday --data-dir /srv/quire")]
    Restore(restore::RestoreArgs),

    /// Remove old logs and workspaces now
    #[command(after_help = "Example:\n  quire prune --dry-run\n  quire prune\n\n\
        The server does this by itself. Events and rows of runs stay.")]
    Prune(prune::PruneArgs),

    /// List the runs, newest first
    #[command(after_help = "Examples:\n  quire ls\n  quire ls --repo work/foo.git --ref main -n 5\n  \
        quire ls --state failed --json")]
    Ls(ls::LsArgs),

    /// Show a run: its jobs, how they ended and how long they took
    #[command(
        after_help = "Examples:\n  quire show\n  quire show 41 --repo work/foo.git\n  quire show last-failed --json"
    )]
    Show(show::ShowArgs),

    /// Print what a run, a job or one command printed, or follow it
    #[command(after_help = "Examples:\n  quire log                     all of the newest run\n  \
        quire log -f                  as it comes, until the run is over\n  \
        quire log 41 test/3 --raw     the exact bytes of the stdout of its third command")]
    Log(log::LogArgs),

    /// Print a run's event stream, or follow it
    #[command(after_help = "Examples:\n  quire events\n  quire events 41 -f | jq -r .type")]
    Events(events::EventsArgs),

    /// End a run; a second time, without grace
    #[command(after_help = "Example:\n  quire cancel 41 --repo work/foo.git")]
    Cancel(cancel::CancelArgs),

    /// Run an ended run again
    #[command(
        after_help = "Examples:\n  quire retry 41\n  quire retry last-failed --failed    only what failed, and what \
        comes after it"
    )]
    Retry(retry::RetryArgs),

    /// Run a commit without a push
    #[command(after_help = "Examples:\n  quire trigger work/foo.git\n  \
        quire trigger work/foo.git v1.2 --job deploy --param to=staging")]
    Trigger(trigger::TriggerArgs),

    /// Print a shell's completion script
    #[command(after_help = "Example:\n  quire completions bash > ~/.local/share/bash-completion/completions/quire\n  \
        quire completions fish > ~/.config/fish/completions/quire.fish\n  \
        quire completions zsh > ~/.zfunc/_quire")]
    Completions(CompletionsArgs),
}

/// Options of `config`.
#[derive(Debug, Args)]
struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Read the configuration and say what is wrong with it
    #[command(after_help = "Example:\n  quire config check --data-dir /srv/quire\n\n\
        Exit code 0 if it is right, 1 if it is not.")]
    Check {
        /// Another file [default: config.lua or config.fnl of the data directory]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What every verb is told about how it was called.
#[derive(Debug, Clone)]
pub struct Context {
    /// `--data-dir`, else QUIRE_DATA, else the default; absolute, there or not.
    pub data_dir: PathBuf,
    /// It was named on the command line.
    pub named: bool,
    /// `--color`.
    pub color: Color,
    /// How this program was called.
    pub called_as: Option<OsString>,
}

impl Context {
    /// How to call this program again about the same server.
    pub fn call(&self) -> String {
        match self.named {
            true => format!("quire --data-dir {}", word(&self.data_dir)),
            false => "quire".to_owned(),
        }
    }

    /// The way to the server.
    pub fn client(&self) -> Client {
        Client::of(&self.data_dir)
    }
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Runs quire with these arguments (the program's name first) and returns the exit code.
pub fn main(args: Vec<OsString>) -> i32 {
    // Before anything else: the server starts a child so for every run.
    if args.get(1).is_some_and(|arg| arg == "ci") {
        return ci(args.into_iter().skip(2).collect());
    }
    let called_as = args.first().cloned();
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(args).and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // clap writes help and version to stdout and errors to stderr; a reader that has gone is no trouble of ours.
            let error = error.format(&mut command);
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
    if let Verb::Ci { args } = cli.verb {
        let dir = cli.global.data_dir.map(|dir| ["--data-dir".into(), dir.into()]);
        return ci(dir.into_iter().flatten().chain(args).collect());
    }
    let done = Context::of(cli.global, called_as).and_then(|context| dispatch(&context, cli.verb));
    match done {
        Ok(exit) => exit.code(),
        Err(error) => {
            let _ = anstream::stderr().lock().write_all(error.render(&styled).as_bytes());
            error.kind.exit_code()
        }
    }
}

/// quire-ci under its other name.
fn ci(args: Vec<OsString>) -> i32 {
    quire_ci::cli::main(std::iter::once("quire ci".into()).chain(args).collect())
}

impl Context {
    fn of(global: GlobalArgs, called_as: Option<OsString>) -> Result<Context, CliError> {
        let of_environment = || std::env::var_os("QUIRE_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let named = global.data_dir.is_some();
        let dir = match global.data_dir.or_else(of_environment) {
            Some(dir) => dir,
            None => DataDir::server_default_path()?,
        };
        let data_dir = std::path::absolute(&dir).map_err(|error| {
            CliError::usage(format!("the data directory cannot be found: {error}"))
                .at("--data-dir")
                .help("name a folder")
        })?;
        Ok(Context { data_dir, named, color: global.color, called_as })
    }

    /// The program's name as it was called.
    pub fn called_as(&self) -> Option<&OsStr> {
        self.called_as.as_deref()
    }
}

fn dispatch(context: &Context, verb: Verb) -> Result<Exit, CliError> {
    match verb {
        // It was passed on already.
        Verb::Ci { .. } => Ok(Exit::Complete),
        Verb::Serve(args) => serve::run(context, args),
        Verb::Repo(args) => repo::run(context, args),
        Verb::Hook(args) => hook::run(context, args),
        Verb::Token(args) => token::run(context, args),
        Verb::Config(ConfigArgs { verb: ConfigVerb::Check { file } }) => {
            config::check(&context.data_dir, file.as_deref())
        }
        Verb::Backup(args) => backup::run(context, args),
        Verb::Restore(args) => restore::run(context, args),
        Verb::Prune(args) => prune::run(context, args),
        Verb::Ls(args) => ls::run(context, &args),
        Verb::Show(args) => show::run(context, &args),
        Verb::Log(args) => log::run(context, &args),
        Verb::Events(args) => events::run(context, &args),
        Verb::Cancel(args) => cancel::run(context, &args),
        Verb::Retry(args) => retry::run(context, &args),
        Verb::Trigger(args) => trigger::run(context, args),
        Verb::Completions(args) => completions::run(args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        fn check(command: &clap::Command, name: &str) {
            for verb in command.get_subcommands() {
                let name = format!("{name} {}", verb.get_name());
                let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(text.contains(&name), "{name}: {text}");
                check(verb, &name);
            }
        }
        check(&Cli::command(), "quire");
    }

    #[test]
    fn a_call_leads_to_the_same_server() {
        let of = |dir: &str, named: bool| {
            Context { data_dir: dir.into(), named, color: Color::Auto, called_as: None }.call()
        };
        assert_eq!(of("/srv/quire", false), "quire");
        assert_eq!(of("/srv/quire", true), "quire --data-dir /srv/quire");
        assert_eq!(of("/it's", true), r"quire --data-dir '/it'\''s'");
    }

    #[test]
    fn usage_errors_exit_2_and_help_0() {
        for (line, code) in [
            (&["--nonsense"][..], 2),
            (&["nonsense"], 2),
            (&[], 2),
            (&["repo", "new", "../x.git"], 2),
            (&["--help"], 0),
            (&["log", "--help"], 0),
            (&["--version"], 0),
        ] {
            let line = std::iter::once("quire").chain(line.iter().copied());
            let error = Cli::command().try_get_matches_from(line.clone()).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), code, "{:?}", line.collect::<Vec<_>>());
        }
    }
}
