//! What a run is given, gathered where it runs: the same for every loop that performs one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quire_core::digest::Digest;
use quire_core::engine::{Config, Limits, Source};
use quire_core::ids::RunId;
use quire_core::redact::SecretSet;

use crate::cli::{CliError, RunRequest, SpecLimits};
use crate::git::{self, Head};
use crate::process::{Discovered, Setup};
use crate::workspace::Workspace;

/// What commands find of the caller's environment with `--clean`, `--at` and on a server; and everything that begins with `LC_`.
pub const CLEAN_ENVIRONMENT: &[&str] =
    &["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR"];

/// Secrets by name, and the set that masks them.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, Vec<u8>>,
    set: SecretSet,
}

impl Secrets {
    /// Resolves what the request names.
    ///
    /// # Errors
    /// Where one cannot be read, or is too short to be masked.
    pub fn of(request: &RunRequest) -> Result<Secrets, CliError> {
        let folder = std::env::current_dir().unwrap_or_default();
        let resolve = |(name, source): (&String, &crate::cli::SecretSource)| {
            Ok((name.clone(), source.resolve(name, |variable| std::env::var_os(variable), &folder)?))
        };
        let values: BTreeMap<String, Vec<u8>> = request.secrets.iter().map(resolve).collect::<Result<_, CliError>>()?;
        let set = SecretSet::new(values.values().map(Vec::as_slice))
            .map_err(|error| CliError::usage(format!("a secret {error}")).at("--secret"))?;
        Ok(Secrets { values, set })
    }
}

/// Everything that a run is given besides its pipeline.
#[derive(Clone)]
pub struct Facts {
    /// The run.
    pub run_id: RunId,
    /// Its number in its repository, where that is known.
    pub number: Option<u64>,
    /// Where it runs.
    pub workspace: Workspace,
    /// The base environment of commands.
    pub env: BTreeMap<OsString, OsString>,
    head: Head,
    secrets: Secrets,
}

impl Facts {
    /// Of a run that was asked for so; `head` is the commit of `workspace`.
    pub fn new(
        request: &RunRequest,
        run_id: RunId,
        number: Option<u64>,
        workspace: Workspace,
        head: Head,
        secrets: Secrets,
    ) -> Facts {
        Facts { run_id, number, workspace, env: environment(request), head, secrets }
    }

    /// What every log masks from the first byte on.
    pub fn secret_set(&self) -> &SecretSet {
        &self.secrets.set
    }

    /// What this crate's driver is to know of it.
    pub(super) fn setup(&self) -> Setup {
        Setup::new(self.run_id.clone(), self.workspace.root.clone(), self.env.clone(), self.secrets.set.clone())
    }

    /// The configuration of the engine. That the fingerprint follows is part of it.
    pub fn config(&self, request: &RunRequest, source: Source) -> Config {
        let text =
            |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        let SpecLimits { job_ms, idle_ms, output_bytes } = request.limits;
        Config {
            run_id: self.run_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            executor: request.recorded_executor.clone().unwrap_or_else(|| "host".to_owned()),
            sha: request.sha.clone().or_else(|| self.head.sha.clone()),
            ref_name: request.ref_name.clone().or_else(|| self.head.ref_name.clone()),
            number: self.number,
            repo: Some(request.repo.clone().unwrap_or_else(|| self.workspace.name())),
            pushed_at_ms: request.pushed_at_ms,
            params: request.params.clone(),
            args: request.args.clone(),
            seed: request.seed.unwrap_or_else(any_seed),
            source,
            select: request.jobs.clone(),
            keep_going: request.keep_going,
            slots: request.slots,
            secrets: self.secrets.values.clone(),
            secret_set: self.secrets.set.clone(),
            env: self.env.iter().filter_map(text).collect(),
            workspace: self.workspace.root.to_string_lossy().into_owned(),
            limits: Limits {
                job: job_ms.map(Duration::from_millis),
                idle: idle_ms.map(Duration::from_millis),
                output_bytes,
                ..Limits::default()
            },
            fingerprint_follows: true,
            executor_forced: request.executor.is_some(),
            replay: None,
            notes: request.notes.clone(),
        }
    }
}

/// The base environment of commands: the caller's, or the short one, less the sources of secrets, plus what a spec gives.
fn environment(request: &RunRequest) -> BTreeMap<OsString, OsString> {
    let hidden = request.secrets.values().filter_map(|source| source.env_name());
    let mut env = base_environment(request.clean, &hidden.map(str::to_owned).collect::<Vec<_>>());
    env.extend(request.env.iter().map(|(name, value)| (name.into(), value.into())));
    env
}

/// The caller's environment, or the short one (`clean`), less the variables that are `hidden`.
pub fn base_environment(clean: bool, hidden: &[String]) -> BTreeMap<OsString, OsString> {
    let is_kept = |name: &OsString| match name.to_str() {
        None => !clean,
        Some(name) if hidden.iter().any(|hidden| hidden == name) => false,
        Some(name) => !clean || CLEAN_ENVIRONMENT.contains(&name) || name.starts_with("LC_"),
    };
    std::env::vars_os().filter(|(name, _)| is_kept(name)).collect()
}

/// The state of the work tree, for [`quire_core::engine::Input::Fingerprint`]: it takes as long as git takes. Its path counts:
/// what commands left in one place is not in another.
pub fn work_tree(folder: &Path) -> Discovered {
    let Ok(tree) = git::work_tree(folder) else { return Discovered::default() };
    let placed = |fingerprint: String| {
        let mut digest = Digest::new();
        digest.field(absolute(folder).as_os_str().as_bytes());
        digest.field(fingerprint.as_bytes());
        digest.hex()
    };
    Discovered {
        fingerprint: tree.fingerprint.map(placed),
        dirty: Some((u64::from(tree.modified), u64::from(tree.untracked))),
    }
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn any_seed() -> u64 {
    // The random part of the id, small enough to be exact in every JSON reader.
    uuid::Uuid::now_v7().as_u64_pair().1 & ((1 << 52) - 1)
}
