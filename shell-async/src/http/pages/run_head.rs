//! What stands above all parts of a run: how it stands, of what it is, when it is likely to be over, and what can be done with it.

use quire_ci::git::Subject;
use quire_ci::store::RunRecord;
use quire_ci::ui::{span, words};
use quire_core::access::Action;
use quire_core::engine::quoted;
use quire_core::estimate::estimate;
use quire_core::rows::RunState;
use quire_core::wire::FailureKind;

use super::super::respond::Call;
use super::super::{events, repos};
use super::commits;
use super::run::Read;
use super::told::{self, State, Took, When};

/// What stands above all parts of a run.
pub(super) struct Head {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) waits: Option<String>,
    pub(super) due: Option<Due>,
    pub(super) subject: Option<Subject>,
    pub(super) repo: Option<(String, String)>,
    pub(super) ref_name: Option<(String, String)>,
    pub(super) sha: Option<(String, String)>,
    pub(super) facts: Vec<(&'static str, String)>,
    /// Its name; its address where it still is.
    pub(super) resumed_from: Option<(String, Option<String>)>,
    pub(super) began: Option<When>,
    pub(super) took: Option<Took>,
    pub(super) may_cancel: bool,
    pub(super) may_retry: bool,
    pub(super) may_retry_failed: bool,
    pub(super) again: Option<String>,
    pub(super) logs_removed: Option<String>,
}

/// When a run that goes on is likely to be over.
pub(super) struct Due {
    pub(super) at_ms: i64,
    pub(super) text: String,
}

/// Of a run, as it is at `now_ms`.
pub(super) async fn head(call: &Call, read: &Read, now_ms: i64) -> Head {
    let RunRecord { row, queued_at_ms, origin, by_whom, ended_by, retry_of: _, logs_removed_at_ms, .. } = &read.run;
    let app = &call.site.app;
    let repo = row.repo.as_deref();
    let is_over = events::ended(&read.run).is_some();
    let subject = match (repo, &row.sha) {
        (Some(repo), Some(sha)) => commits::subjects(call, repo, std::slice::from_ref(sha)).await.remove(sha),
        _ => None,
    };
    let waits = (!is_over).then(|| app.desk.waiting().reasons.get(&row.run_id).cloned()).flatten();
    let mut facts = Vec::new();
    let mut fact = |what, text: Option<String>| facts.extend(text.map(|text| (what, text)));
    fact("author", subject.as_ref().map(|subject| subject.author.clone()));
    fact("by", by_whom.clone().filter(|by| subject.as_ref().is_none_or(|subject| &subject.author != by)));
    fact("because of", origin.clone().map(|origin| format!("a {origin}")));
    let waited = queued_at_ms.zip(row.started_at_ms).map(|(from, to)| to.saturating_sub(from));
    fact("waited", waited.filter(|ms| *ms >= 1000).map(span::duration));
    fact("executor", row.executor.clone());
    fact("ended by", ended_by.clone());
    fact("failure", row.failure_kind.filter(|kind| *kind != FailureKind::Job).map(|kind| kind.as_str().to_owned()));
    for (name, value) in &read.story.params {
        fact("param", Some(format!("{name}={value}")));
    }
    let due = row.started_at_ms.filter(|_| row.state == RunState::Active).and_then(|begin| {
        let estimate = estimate(&read.durations, now_ms.saturating_sub(begin))?;
        let at_ms = begin.saturating_add(estimate.total_ms);
        let text = match estimate.is_overdue {
            false => format!("about {} left", span::elapsed(estimate.left_ms)),
            true => format!("{} longer than usual", span::elapsed(now_ms.saturating_sub(at_ms))),
        };
        Some(Due { at_ms, text })
    });
    // Only a run of a repository that is served can be ended and repeated here.
    let is_served = match repo {
        Some(repo) => repos::is_served(call, repo).await,
        None => false,
    };
    let may = |action| is_served && call.may(action, repo).is_ok();
    let has_failed = matches!(row.state, RunState::Failed | RunState::Aborted) && row.started_at_ms.is_some();
    Head {
        path: told::run_path(&row.run_id),
        name: words::run_name(row),
        state: State::run(row.state),
        waits,
        due,
        subject,
        repo: repo.map(|name| (name.to_owned(), told::repo_path(name))),
        ref_name: repo
            .zip(row.ref_name.as_deref())
            .map(|(repo, ref_name)| (told::short_ref(ref_name), told::ref_path(repo, ref_name))),
        sha: row.sha.as_deref().map(|sha| (told::short_sha(sha), told::commit_path(sha))),
        facts,
        resumed_from: row.resumed_from.as_ref().map(|id| {
            let resumed =
                read.resumed.as_ref().filter(|run| call.may(Action::ReadRun, run.row.repo.as_deref()).is_ok());
            match resumed {
                Some(run) => (words::run_name(&run.row), Some(told::run_path(id))),
                None => (id.to_string(), None),
            }
        }),
        began: row.started_at_ms.or(*queued_at_ms).map(|ms| When::new(ms, now_ms)),
        took: Took::new(row.started_at_ms, row.finished_at_ms, now_ms),
        may_cancel: !is_over && may(Action::Cancel),
        may_retry: is_over && may(Action::Retry),
        may_retry_failed: is_over && has_failed && may(Action::Retry),
        again: again(read),
        logs_removed: logs_removed_at_ms.map(told::exact),
    }
}

/// The line that repeats the run on a laptop: at its commit, with its parameters, what failed of it.
fn again(read: &Read) -> Option<String> {
    let sha = read.run.row.sha.as_deref()?;
    let mut argv = vec!["quire-ci".to_owned(), "run".to_owned(), "--at".to_owned(), sha.to_owned()];
    for (name, value) in &read.story.params {
        argv.extend(["--param".to_owned(), format!("{name}={value}")]);
    }
    let failed = read.jobs.iter().filter(|job| job.is_broken());
    argv.extend(failed.filter(|job| job.job_id.is_valid()).map(|job| job.job_id.to_string()));
    if !read.story.args.is_empty() {
        argv.push("--".to_owned());
        argv.extend(read.story.args.iter().cloned());
    }
    Some(quoted(&argv.into_iter().map(String::into_bytes).collect::<Vec<_>>()))
}
