//! Which refs of a push run.

use crate::ids::RunId;

use super::MANY_REFS;
use super::io::{NotRun, PushedRef, RefKind, Tip, Verdict};

/// One verdict a ref, in the order of the push. Of a push of many refs, and of a repository's first, only the default branch
/// runs; but a first push without it runs the one ref that can run, if there is one alone.
pub(super) fn verdicts(first: bool, default_branch: Option<&str>, refs: Vec<(PushedRef, RunId)>) -> Vec<Verdict> {
    let count = refs.len();
    let is_default = |ref_name: &str| default_branch == Some(ref_name);
    let able = refs.iter().filter(|(pushed, _)| runnable(pushed).is_ok()).count();
    let has_default = refs.iter().any(|(pushed, _)| is_default(&pushed.ref_name));
    let all_run = !first || (able == 1 && !has_default);
    let verdict = |(pushed, run_id): (PushedRef, RunId)| {
        let run = match runnable(&pushed) {
            Err(why) => Err(why),
            Ok(()) if is_default(&pushed.ref_name) => Ok(run_id),
            Ok(()) if count > MANY_REFS => Err(NotRun::ManyRefs { count }),
            Ok(()) if !all_run => Err(NotRun::FirstPush),
            Ok(()) => Ok(run_id),
        };
        let sha = match pushed.tip {
            Tip::Pipeline { sha } | Tip::NoPipeline { sha } => Some(sha),
            Tip::Deleted | Tip::NoCommit => None,
        };
        Verdict { ref_name: pushed.ref_name, sha, run }
    };
    refs.into_iter().map(verdict).collect()
}

/// Whether the ref could run, taken by itself.
fn runnable(pushed: &PushedRef) -> Result<(), NotRun> {
    match (&pushed.tip, RefKind::of(&pushed.ref_name)) {
        (Tip::Deleted, _) => Err(NotRun::Deleted),
        (_, RefKind::Other) => Err(NotRun::Kind),
        (Tip::NoCommit, _) => Err(NotRun::NoCommit),
        (Tip::NoPipeline { .. }, _) => Err(NotRun::NoPipeline),
        (Tip::Pipeline { .. }, RefKind::Branch | RefKind::Tag) => Ok(()),
    }
}
