//! What a run is given: facts that never change while it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::ids::RunId;
use crate::redact::SecretSet;
use crate::replay::Replay;

/// The pipeline's text and the modules it may require, read by the shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// `.quire/ci.lua` or `.quire/ci.fnl`: relative to the workspace.
    pub file: String,
    /// Its text.
    pub text: Vec<u8>,
    /// File name relative to the workspace (`.quire/lib/x.lua`) to text.
    pub modules: BTreeMap<String, Vec<u8>>,
    /// The Fennel compiler, where a file is Fennel.
    pub fennel: Compiler,
}

impl Source {
    /// Digest of the names and texts of all files; the compiler's do not count. 32 hex digits.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        for (file, text) in std::iter::once((&self.file, &self.text)).chain(&self.modules) {
            digest.field(file.as_bytes());
            digest.field(text);
        }
        let mut hex = digest.hex();
        hex.truncate(32);
        hex
    }

    /// The text of each file, for excerpts.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let all = std::iter::once((&self.file, &self.text)).chain(&self.modules);
        all.map(|(file, text)| (file.clone(), String::from_utf8_lossy(text).into_owned())).collect()
    }
}

/// What came of looking for the Fennel compiler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// Nobody looked: no file is Fennel.
    #[default]
    NotSought,
    /// It is there.
    Found(FennelCompiler),
    /// It is in none of these places, as people may read them.
    NotFound(String),
}

/// The reference compiler of Fennel: one file of Lua, 1.5.2 or newer. It runs in a VM of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FennelCompiler {
    /// Where it was found, for messages.
    pub path: String,
    /// Its text; 289,000 bytes, so it is not copied.
    pub text: Arc<[u8]>,
}

/// Bounds of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest attempt of a job whose options name no timeout.
    pub job: Option<Duration>,
    /// Longest silence of a command.
    pub idle: Option<Duration>,
    /// Most output of a command, in bytes.
    pub output_bytes: Option<u64>,
    /// Most VM instructions between two requests of a script.
    pub instructions: u64,
    /// Most memory of a VM, in bytes.
    pub vm_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { job: None, idle: None, output_bytes: None, instructions: 200_000_000, vm_bytes: 64 * 1024 * 1024 }
    }
}

/// Facts and wishes of one run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The run.
    pub run_id: RunId,
    /// quire's version.
    pub version: String,
    /// `host`, `quire-ci`, `container`.
    pub executor: String,
    /// Full commit id.
    pub sha: Option<String>,
    /// Full ref name.
    pub ref_name: Option<String>,
    /// Number in its repository.
    pub number: Option<u64>,
    /// Repository name.
    pub repo: Option<String>,
    /// When the push came.
    pub pushed_at_ms: Option<i64>,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// `rt.args`.
    pub args: Vec<String>,
    /// Seed of math.random.
    pub seed: u64,
    /// The pipeline.
    pub source: Source,
    /// Jobs asked for; empty for all.
    pub select: Vec<String>,
    /// Start everything that can still run after a failure.
    pub keep_going: bool,
    /// `-j`: most commands at once, at least 1.
    pub slots: u32,
    /// Name to value; all of 4 bytes or more. Their set masks everything.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The set of `secrets`, made by the shell (it refuses short ones at their source).
    pub secret_set: SecretSet,
    /// The base environment of commands: what `rt.env` answers, and where `unless set` looks.
    pub env: BTreeMap<String, String>,
    /// Absolute path of the workspace: replay keys leave it out.
    pub workspace: String,
    /// Bounds.
    pub limits: Limits,
    /// The shell will report [`super::Input::Fingerprint`] once; the run does not end before.
    pub fingerprint_follows: bool,
    /// `--executor` was given: it overrides an image that the pipeline names.
    pub executor_forced: bool,
    /// The earlier run that answers what it can: set by [`crate::replay::Recorded::resume`].
    pub replay: Option<Replay>,
    /// What whoever made the workspace has to say about it: logged first of all.
    pub notes: Vec<String>,
}

impl Config {
    /// A run of this pipeline on this machine: one command at a time, no commit, no secrets, no environment, no bounds but
    /// those of scripts. Set what is different.
    pub fn new(run_id: RunId, source: Source) -> Config {
        Config {
            run_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            executor: "host".to_owned(),
            sha: None,
            ref_name: None,
            number: None,
            repo: None,
            pushed_at_ms: None,
            params: BTreeMap::new(),
            args: Vec::new(),
            seed: 0,
            source,
            select: Vec::new(),
            keep_going: false,
            slots: 1,
            secrets: BTreeMap::new(),
            secret_set: SecretSet::default(),
            env: BTreeMap::new(),
            workspace: String::new(),
            limits: Limits::default(),
            fingerprint_follows: false,
            executor_forced: false,
            replay: None,
            notes: Vec::new(),
        }
    }
}
