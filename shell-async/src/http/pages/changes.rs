//! What changed between two commits: between the last green one and the one since which a ref is red.

use askama::Template;
use hyper::StatusCode;
use quire_ci::git::{self, Changes};
use quire_core::access::Action;

use super::super::answers::Answer;
use super::super::failure::Failure;
use super::super::respond::Call;
use super::frame::{self, Crumb, Frame};
use super::table::Sha;
use super::told::{self, When};

/// Commits listed.
const MOST: u32 = 200;

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    frame: Frame,
    from: Sha,
    to: Sha,
    commits: Vec<Commit>,
    changes: Changes,
    line: String,
}

struct Commit {
    sha: Sha,
    subject: String,
    author: String,
    when: When,
}

/// `GET /changes/{repo}?from=SHA&to=SHA`.
pub(in super::super) async fn changes(call: &Call) -> Result<Answer, Failure> {
    let repo = call.named.part("repo").to_owned();
    call.may(Action::ReadRun, Some(&repo))?;
    let given = |name: &str| {
        let text = call.query.get(name).map(str::to_owned);
        text.ok_or_else(|| Failure::bad(format!("{name} is needed: a commit id")))
    };
    let (from, to) = (given("from")?, given("to")?);
    let git_dir = call.site.app.repo_path(&repo).map_err(Failure::not_found)?;
    let (first, last) = (from.clone(), to.clone());
    let read = smol::unblock(move || git::changes(&git_dir, &first, &last, MOST)).await;
    let changes = read.map_err(|error| Failure::not_found(error.to_string()))?;
    let crumbs = vec![
        Crumb { href: told::repo_path(&repo), text: repo.clone() },
        Crumb { href: told::changes_path(&repo, &from, &to), text: "changes".to_owned() },
    ];
    let title = format!("{}..{} · {repo}", told::short_sha(&from), told::short_sha(&to));
    let frame = Frame::new(call, title, crumbs);
    let commits = changes.commits.iter().map(|commit| Commit {
        sha: Sha::new(&commit.sha),
        subject: commit.subject.subject.clone(),
        author: commit.subject.author.clone(),
        when: When::new(commit.subject.at_ms, frame.now_ms),
    });
    let page = ChangesPage {
        commits: commits.collect(),
        line: format!("git diff {} {}", changes.from, changes.to),
        from: Sha::new(&changes.from),
        to: Sha::new(&changes.to),
        changes,
        frame,
    };
    frame::answer(call, StatusCode::OK, &page)
}
