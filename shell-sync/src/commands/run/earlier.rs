//! The run that a new one goes on with: found, read, and held against what is here now.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use quire_core::engine::{Config, Source};
use quire_core::ids::{RunId, ShId};
use quire_core::replay::{Extent, Here, Recorded, Refusal};
use quire_core::wire::{Decoded, Reader};

use crate::cli::{CliError, Context, Earlier, Resume, RunRequest};
use crate::commands::history::{History, record_error};
use crate::git;
use crate::process::Discovered;
use crate::record::{Claim, Holder, RunFiles, RunLock};
use crate::ui::words;
use crate::workspace::Workspace;

/// An earlier run that may answer a new one.
pub struct EarlierRun {
    recorded: Recorded,
    /// Its directory.
    files: RunFiles,
    /// Its lock: nobody removes it while it answers.
    claim: Option<Claim>,
    extent: Extent,
    /// What was overruled.
    refusals: Vec<Refusal>,
    lost: BTreeSet<ShId>,
    /// The state of the work tree, looked at once.
    pub work_tree: Option<Discovered>,
}

impl EarlierRun {
    /// Finds and reads the run, and says what people should know. `None` where a server named one that cannot answer: then
    /// everything runs.
    ///
    /// # Errors
    /// Where the run that people named cannot be resumed: why, and what to do.
    pub fn find(
        context: &Context,
        request: &RunRequest,
        resume: &Resume,
        workspace: &Workspace,
    ) -> Result<(Option<EarlierRun>, Vec<String>), CliError> {
        let (name, files) = match &resume.run {
            Earlier::Named(run) => {
                let found = History::open(context)?.run(run)?;
                (words::run_name(&found.row), found.files)
            }
            Earlier::Given(given) => (format!("run {}", given.run_id), RunFiles::at(&given.dir)),
        };
        let message = |why: &str| format!("{name} cannot be resumed: {why}");
        let refused = |why: &str| CliError::usage(message(why));
        let everything = |why: &str| Ok((None, vec![format!("{}; everything runs", message(why))]));
        let is_named = matches!(resume.run, Earlier::Named(_));
        let claim = RunLock::claim(&files.lock()).map_err(record_error)?;
        if matches!(claim, Claim::Held(_)) {
            return Err(refused("it is still running, or being resumed"));
        }
        let recorded = match read(&files) {
            Ok(recorded) => recorded,
            Err(why) if is_named => return Err(refused(&why).help(whole_run(context))),
            Err(why) => return everything(&why),
        };
        let source = workspace.source().map_err(|error| context.explain(error))?;
        let asked = asked(request, source);
        let work_tree = super::work_tree(&workspace.root);
        let here = look_around(&recorded, &files, workspace, work_tree.fingerprint.clone());
        let refusals = recorded.refusals(&asked, &here);
        let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        let is_final = refusals.iter().any(Refusal::is_final);
        if is_final && !is_named {
            return everything(&told.join("; and "));
        }
        if is_final || (!refusals.is_empty() && !resume.force) {
            let help = match is_final {
                true => format!("`{} ls` lists the runs there are", context.program),
                false => format!("to resume it all the same: --force; {}", whole_run(context)),
            };
            return Err(refused(&told.join("; and ")).help(help));
        }
        let is_lost = |sh: &ShId| !files.log(sh).is_some_and(|log| log.is_file());
        let lost = recorded.logs().filter(is_lost).collect();
        let notes = told.iter().filter(|_| is_named).map(|told| format!("resumed all the same: {told}")).collect();
        let work_tree = Some(work_tree);
        let claim = Some(claim);
        Ok((Some(EarlierRun { recorded, files, claim, extent: resume.extent, refusals, lost, work_tree }), notes))
    }

    /// Where its logs are, and its lock, which is to be held as long as they are needed.
    pub fn logs(&mut self) -> (RunFiles, Option<Claim>) {
        (self.files.clone(), self.claim.take())
    }

    /// Makes the configuration that of a run which goes on with this one.
    pub fn resume(self, config: &mut Config) {
        self.recorded.resume(self.extent, &self.refusals, self.lost, config);
    }
}

fn whole_run(context: &Context) -> String {
    format!("to run everything: {} run", context.program)
}

/// What the command line asks for, as far as it decides whether a run may be resumed.
fn asked(request: &RunRequest, source: Source) -> Config {
    let run_id = RunId::new("");
    Config { args: request.args.clone(), params: request.params.clone(), ..Config::new(run_id, source) }
}

/// Reads the stream; a torn last line is no error, a bad one in the middle is: indices of commands would be wrong after it.
fn read(files: &RunFiles) -> Result<Recorded, String> {
    let path = files.events();
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut recorded, mut bad) = (Recorded::default(), None);
    Reader::default().push(&bytes, |line| match line.decoded {
        Ok(Decoded::Event(event)) => recorded.push(&event),
        Ok(Decoded::Unknown(_)) => {}
        Err(error) => {
            bad.get_or_insert(format!("line {} of {} cannot be read: {error}", line.number, path.display()));
        }
    });
    bad.map_or(Ok(recorded), Err)
}

fn look_around(recorded: &Recorded, files: &RunFiles, workspace: &Workspace, fingerprint: Option<String>) -> Here {
    let mut here = Here {
        sha: git::head(&workspace.root).sha,
        fingerprint,
        is_elsewhere: files.path().join("workspace").exists(),
        ..Here::default()
    };
    if !recorded.has_ended() {
        here.newer = last_write(files).and_then(|time| git::newer_file(&workspace.root, time).ok().flatten());
    }
    let holder = fs::read_to_string(files.lock()).ok().and_then(|text| Holder::parse(&text));
    here.has_rebooted = holder.is_some_and(|holder| holder.boot_id != Holder::this_process().boot_id);
    here
}

/// When the run wrote last.
fn last_write(files: &RunFiles) -> Option<SystemTime> {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let jobs = files.jobs().unwrap_or_default();
    let logs = jobs.iter().flat_map(|job| files.logs(job).unwrap_or_default());
    logs.filter_map(|(_, log)| modified(&log)).chain(modified(&files.events())).max()
}
