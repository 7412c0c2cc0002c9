//! `hook post-receive`: tells the server about a push, or leaves it in the spool; tells the pusher what became of it.
//!
//! A push has happened when this runs: nothing here fails it. No git is called, so what git's environment says of its
//! repository (`GIT_DIR`, `GIT_QUARANTINE_PATH`) reaches nobody.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use quire_ci::cli::{CliError, Exit};
use quire_ci::clock;
use quire_ci::ui::text::one_line;
use quire_ci::ui::words;

use super::Context;
use crate::api::{PushAnswer, PushEvent, PushedRef, RefChange};
use crate::client::ClientError;
use crate::repo::{RepoName, Repos};
use crate::spool::Spool;

/// How long a pusher waits for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest input: more than any push has.
const MAX_INPUT: u64 = 64 * 1024 * 1024;
/// Most lines that a pusher is shown.
const LINES: usize = 20;
/// Of these, most that tell of runs where not every ref has its line.
const RUN_LINES: usize = 12;

/// Options of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    #[command(subcommand)]
    verb: HookVerb,
}

#[derive(Debug, Subcommand)]
enum HookVerb {
    /// Tell the server about a push; reads git's lines, "BEFORE AFTER REF"
    #[command(after_help = "Example:\n  quire hook post-receive --repo work/foo.git < lines\n\n\
        Who pushed is QUIRE_BY, else GL_USER, GITEA_PUSHER_NAME or REMOTE_USER, else the user's name. With the server down the \
        push is noted in the spool. The exit code is 0, whatever happens: the push is done.")]
    PostReceive(PostReceiveArgs),
}

#[derive(Debug, Args)]
struct PostReceiveArgs {
    /// The repository's name [default: found by where git calls the hook]
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
}

/// Does a hook's work.
pub fn run(context: &Context, args: HookArgs) -> Result<Exit, CliError> {
    let HookVerb::PostReceive(args) = args.verb;
    let (out, err) = match event(context, &args) {
        Ok(Some(event)) => deliver(context, &event),
        Ok(None) => (Vec::new(), Vec::new()),
        Err(why) => (Vec::new(), vec![why]),
    };
    // The pusher may be gone.
    let mut stdout = io::stdout().lock();
    let _ = out.iter().try_for_each(|line| writeln!(stdout, "quire: {line}"));
    let mut stderr = io::stderr().lock();
    let _ = err.iter().try_for_each(|line| writeln!(stderr, "quire: {line}"));
    Ok(Exit::Complete)
}

/// The event that git's lines tell; `None` where they tell of none.
fn event(context: &Context, args: &PostReceiveArgs) -> Result<Option<PushEvent>, String> {
    let mut text = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot read the push: {error}"))?;
    let refs: Vec<RefChange> = String::from_utf8_lossy(&text).lines().filter_map(change).collect();
    if refs.is_empty() {
        return Ok(None);
    }
    let repo = match &args.repo {
        Some(repo) => {
            RepoName::parse(repo).map_err(|why| format!("{repo:?} is no repository's name: {why}: no run"))?
        }
        None => {
            let git_dir = env::var_os("GIT_DIR").unwrap_or_else(|| ".".into());
            let repo = Repos::of(&context.data_dir).of_git_dir(Path::new(&git_dir));
            repo.ok_or("this repository is not on the server's list: no run; `quire repo add` takes it in")?.name
        }
    };
    let at_ms = clock::now().wall.ms();
    Ok(Some(PushEvent { at_ms, kind: "pushed".to_owned(), repo: repo.to_string(), by: pusher(), refs }))
}

/// `BEFORE AFTER REF`, as git writes it.
fn change(line: &str) -> Option<RefChange> {
    let (before, rest) = line.split_once(' ')?;
    let (after, ref_name) = rest.split_once(' ')?;
    Some(RefChange { ref_name: ref_name.to_owned(), before: before.to_owned(), after: after.to_owned() })
}

/// Who pushed, for people.
fn pusher() -> Option<String> {
    let named = ["QUIRE_BY", "GL_USER", "GITEA_PUSHER_NAME", "REMOTE_USER"];
    let of_variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    named.iter().find_map(|name| of_variable(name)).or_else(user_name).or_else(|| of_variable("LOGNAME"))
}

/// The name of the user that this process runs as.
fn user_name() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid.as_str())).then(|| name.to_owned())
    })
}

/// Hands the event over; lines for standard output and standard error.
fn deliver(context: &Context, event: &PushEvent) -> (Vec<String>, Vec<String>) {
    let client = context.client().patience(PATIENCE);
    match smol::block_on(client.post::<_, PushAnswer>("/push", event)) {
        Ok(answer) => (report(&answer, &event.repo), Vec::new()),
        Err(error) if error.is_passing() => spool(context, event, &error),
        // The same event would be refused again.
        Err(error) => (Vec::new(), vec![format!("no run: {error}")]),
    }
}

fn spool(context: &Context, event: &PushEvent, error: &ClientError) -> (Vec<String>, Vec<String>) {
    match Spool::of(&context.data_dir).leave(event) {
        Ok(_) => {
            let why = match error {
                ClientError::NotRunning { .. } => "the server is not running".to_owned(),
                error => error.to_string(),
            };
            (vec![format!("{why}; the push is noted, and runs when it is back")], Vec::new())
        }
        Err(left) => (Vec::new(), vec![format!("no run: {error}, and the push could not be noted: {left}")]),
    }
}

/// What the pusher is shown: a line a ref, or where there are many, the runs, and the rest by reason.
fn report(answer: &PushAnswer, repo: &str) -> Vec<String> {
    if answer.refs.len() <= LINES {
        return answer.refs.iter().map(line).collect();
    }
    let (ran, not_run): (Vec<&PushedRef>, Vec<&PushedRef>) =
        answer.refs.iter().partition(|pushed| pushed.run.is_some());
    let mut lines: Vec<String> = ran.iter().take(RUN_LINES).map(|pushed| line(pushed)).collect();
    if ran.len() > RUN_LINES {
        lines.push(format!("and {} more runs queued: quire ls --repo {repo}", ran.len() - RUN_LINES));
    }
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for pushed in &not_run {
        let why = one_line(pushed.not_run.as_deref().unwrap_or("no reason given"));
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    let room = LINES.saturating_sub(lines.len() + 2);
    for (why, count) in reasons.iter().take(room) {
        lines.push(format!("{} not run: {why}", words::count(*count, "ref", "refs")));
    }
    let rest: usize = reasons.iter().skip(room).map(|(_, count)| count).sum();
    if rest > 0 {
        lines.push(format!("{} not run for other reasons", words::count(rest, "ref", "refs")));
    }
    if !not_run.is_empty() {
        lines.push(format!("to run one: quire trigger {repo} REF"));
    }
    lines
}

/// `refs/heads/main a1b2c3d: run 41 queued: URL`
fn line(pushed: &PushedRef) -> String {
    let mut text = one_line(&pushed.ref_name);
    if let Some(sha) = &pushed.sha {
        text += &format!(" {}", words::short_sha(sha));
    }
    match &pushed.run {
        Some(run) => {
            text += &format!(": run {} queued: {}", run.number, one_line(&run.url));
            if let Some(waits) = &run.waits {
                text += &format!(" ({})", one_line(waits));
            }
        }
        None => {
            text += &format!(": not run: {}", one_line(pushed.not_run.as_deref().unwrap_or("no reason given")));
            if let Some(line) = &pushed.trigger {
                text += &format!("; to run it: {}", one_line(line));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::QueuedRun;

    fn pushed(name: &str, not_run: Option<&str>) -> PushedRef {
        let run = QueuedRun { id: "r".into(), number: 41, url: "http://h/r".into(), waits: None };
        PushedRef {
            ref_name: name.to_owned(),
            sha: Some("a1b2c3d4e5".to_owned()),
            run: not_run.is_none().then_some(run),
            not_run: not_run.map(str::to_owned),
            trigger: None,
        }
    }

    #[test]
    fn a_line_a_ref() {
        let mut waits = pushed("refs/heads/b", None);
        waits.run.as_mut().unwrap().waits = Some("2 runs are before it".into());
        let mut deleted = pushed("refs/heads/c", Some("the ref was\ndeleted"));
        deleted.sha = None;
        let answer = PushAnswer { refs: vec![pushed("refs/heads/main", None), waits, deleted] };
        assert_eq!(
            report(&answer, "foo.git"),
            [
                "refs/heads/main a1b2c3d: run 41 queued: http://h/r",
                "refs/heads/b a1b2c3d: run 41 queued: http://h/r (2 runs are before it)",
                "refs/heads/c: not run: the ref was deleted",
            ]
        );
    }

    #[test]
    fn many_refs_are_told_in_few_lines() {
        let mut refs: Vec<PushedRef> = (0..600).map(|n| pushed(&format!("refs/heads/b{n}"), Some("many"))).collect();
        refs[300] = pushed("refs/heads/main", None);
        let lines = report(&PushAnswer { refs: refs.clone() }, "foo.git");
        assert_eq!(
            lines,
            [
                "refs/heads/main a1b2c3d: run 41 queued: http://h/r",
                "599 refs not run: many",
                "to run one: quire trigger foo.git REF",
            ]
        );
        for (n, pushed) in refs.iter_mut().enumerate() {
            match n % 2 {
                0 => *pushed = self::pushed("refs/heads/x", None),
                _ => pushed.not_run = Some(format!("reason {n}")),
            }
        }
        let lines = report(&PushAnswer { refs }, "foo.git");
        assert!(lines.len() <= LINES, "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("and 288 more runs")), "{lines:#?}");
    }

    #[test]
    fn lines_of_git() {
        let got = change("aa bb refs/heads/with\"quote").unwrap();
        assert_eq!(
            (got.before.as_str(), got.after.as_str(), got.ref_name.as_str()),
            ("aa", "bb", "refs/heads/with\"quote")
        );
        assert_eq!(change("aa bb"), None);
        assert_eq!(change(""), None);
    }
}
