//! `repo`: make, take in, list and remove repositories.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use quire_ci::cli::{CliError, Exit};
use quire_ci::ui::text::{pad, width};

use super::{Context, config, word};
use crate::repo::{BadName, Caller, Hook, Repo, RepoError, RepoName, Repos, hook_binary, prepare_data_dir};

/// Options of `repo`.
#[derive(Debug, Args)]
pub struct RepoArgs {
    #[command(subcommand)]
    verb: RepoVerb,
}

#[derive(Debug, Subcommand)]
enum RepoVerb {
    /// Make an empty repository to push to
    #[command(after_help = "Example:\n  quire repo new work/foo.git\n\n\
        Its first branch is main. A push to it runs its pipeline, .quire/ci.lua.")]
    New(NewArgs),

    /// Take in an existing bare repository: pushes to it run from now on
    #[command(after_help = "Examples:\n  quire repo add /srv/git/bar.git\n  \
        quire repo add /srv/git/bar.git --name work/bar.git\n\n\
        A post-receive hook that is there is kept and called first. Doing it again brings the hook up to date.")]
    Add(AddArgs),

    /// List the repositories
    #[command(after_help = "Example:\n  quire repo list\n  quire repo list --json")]
    List(ListArgs),

    /// Take a repository off the list
    #[command(after_help = "Examples:\n  quire repo rm work/bar.git\n  quire repo rm work/foo.git --yes\n\n\
        One that was added stays where it is, without quire's hook. One that was made here is deleted, which needs --yes. \
        Runs stay in the record.")]
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// NAME.git or GROUP/NAME.git
    #[arg(value_name = "NAME", value_parser = name)]
    name: RepoName,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The bare repository
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// What to call it: NAME.git or GROUP/NAME.git [default: its folder's name]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<RepoName>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print one JSON object a repository
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    name: RepoName,

    /// Delete it, if it was made here
    #[arg(long)]
    yes: bool,
}

fn name(text: &str) -> Result<RepoName, BadName> {
    RepoName::parse(text)
}

/// Does what is asked with the repositories of the data directory, whether the server runs or not.
pub fn run(context: &Context, args: RepoArgs) -> Result<Exit, CliError> {
    let repos = Repos::of(&context.data_dir);
    match args.verb {
        RepoVerb::New(args) => {
            prepare(context)?;
            let (repo, hook) = repos.create(&args.name, &caller(context)?)?;
            tell("made", &repo, &hook)
        }
        RepoVerb::Add(args) => {
            prepare(context)?;
            let (repo, hook) = repos.add(&args.path, args.name, &caller(context)?)?;
            tell("takes part", &repo, &hook)
        }
        RepoVerb::List(args) => list(&repos, args.json),
        RepoVerb::Rm(args) => remove(&repos, &args),
    }
}

/// Makes the data directory where no server has yet, so that the first repository is its group's too.
fn prepare(context: &Context) -> Result<(), CliError> {
    let data = &context.data_dir;
    if data.join("repos").is_dir() {
        return Ok(());
    }
    let group = config::read(data)?.config.group;
    let notes = prepare_data_dir(data, group.as_deref())
        .map_err(|error| CliError::machine(format!("the data directory cannot be made: {error}")).at(data.display()))?;
    let mut err = anstream::stderr().lock();
    notes.iter().try_for_each(|note| writeln!(err, "warning: {note}"))?;
    Ok(())
}

fn caller(context: &Context) -> Result<Caller, CliError> {
    let binary = hook_binary(context.called_as());
    let binary = binary.map_err(|error| CliError::machine(format!("this program's own path is not known: {error}")))?;
    Ok(Caller { binary, data: context.data_dir.clone() })
}

fn tell(done: &str, repo: &Repo, hook: &Hook) -> Result<Exit, CliError> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{} {done}: {}", repo.name, repo.git_dir.display())?;
    let mut err = anstream::stderr().lock();
    match hook {
        Hook::Chained(_) => {
            writeln!(out, "its post-receive hook is kept as post-receive.before-quire and is called first")?;
        }
        Hook::Part(path) => writeln!(out, "its hook is {}", path.display())?,
        Hook::Elsewhere { folder, call } => {
            writeln!(
                err,
                "warning: git runs its hooks from {} (core.hooksPath), where none was installed",
                folder.display()
            )?;
            writeln!(err, "let the post-receive hook there call, with its standard input:\n  {call}")?;
        }
        Hook::Alone(_) | Hook::Missing => {}
    }
    if !repo.added {
        writeln!(out, "push to it: git push {} main", word(&repo.git_dir))?;
    }
    Ok(Exit::Complete)
}

fn list(repos: &Repos, json: bool) -> Result<Exit, CliError> {
    let all = repos.list()?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    let column = all.iter().map(|repo| width(repo.name.as_str())).max().unwrap_or(0);
    for repo in &all {
        let hook = if repo.present { repos.hook(repo) } else { Hook::Missing };
        if json {
            let object = serde_json::json!({
                "name": repo.name.as_str(),
                "path": repo.git_dir.to_string_lossy(),
                "added": repo.added,
                "present": repo.present,
                "hook": hook != Hook::Missing,
            });
            writeln!(out, "{object}")?;
            continue;
        }
        let note = match (repo.present, &hook) {
            (false, _) => "  (gone)",
            (true, Hook::Missing) => "  (no hook: quire repo add installs it)",
            (true, _) => "",
        };
        writeln!(out, "{}  {}{note}", pad(repo.name.as_str(), column, true), repo.git_dir.display())?;
    }
    out.flush()?;
    drop(out);
    if all.is_empty() && !json {
        writeln!(
            anstream::stderr().lock(),
            "there are no repositories yet: `quire repo new NAME.git` makes the first"
        )?;
    }
    Ok(Exit::Complete)
}

fn remove(repos: &Repos, args: &RmArgs) -> Result<Exit, CliError> {
    let removed = repos.remove(&args.name, args.yes)?;
    let path = removed.repo.git_dir.display();
    let mut out = anstream::stdout().lock();
    match removed.repo.added {
        true => writeln!(out, "{} is off the list; {path} stays as it is", args.name)?,
        false => writeln!(out, "{} is deleted", args.name)?,
    }
    if let Some(error) = removed.hook_left {
        warn(&error)?;
    }
    Ok(Exit::Complete)
}

fn warn(error: &RepoError) -> io::Result<()> {
    writeln!(anstream::stderr().lock(), "warning: its hook is still there: {error}")
}
