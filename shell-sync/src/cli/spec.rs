//! `--spec -`: what a server tells the quire-ci that it starts, as one JSON object on standard input (CONTRACT 5).

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::error::CliError;

/// Longest spec, in bytes: enough for any push, small enough that a wrong pipe does not fill the memory.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The spec of a run. Unknown fields are ignored, missing ones default.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Spec {
    /// The run; made here where it is missing.
    pub run_id: Option<String>,
    /// Its number in its repository.
    pub number: Option<u64>,
    /// The repository, as the server names it.
    pub repo: Option<String>,
    /// Full commit id.
    pub sha: Option<String>,
    /// Full ref name.
    #[serde(rename = "ref")]
    pub ref_name: Option<String>,
    /// When the push came, Unix milliseconds.
    pub pushed_at_ms: Option<i64>,
    /// The executor, for the record.
    pub executor: Option<String>,
    /// Seed of everything random in the run.
    pub seed: Option<u64>,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// Added to the environment of commands.
    pub env: BTreeMap<String, String>,
    /// Name to value.
    pub secrets: BTreeMap<String, String>,
    /// The jobs to run; empty for all.
    pub jobs: Vec<String>,
    /// Start what can still run after a failure.
    pub keep_going: bool,
    /// Bounds.
    pub limits: SpecLimits,
    /// The run to resume.
    pub resume: Option<SpecResume>,
    /// Most commands at once; the CPUs where it is missing.
    pub slots: Option<u32>,
    /// What the server has to say about the workspace, for the record.
    pub notes: Vec<String>,
}

/// Bounds of a run; a missing one is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SpecLimits {
    /// Longest attempt of a job whose options name no timeout, in milliseconds.
    pub job_ms: Option<u64>,
    /// Longest silence of a command, in milliseconds.
    pub idle_ms: Option<u64>,
    /// Most output of a command, in bytes.
    pub output_bytes: Option<u64>,
}

/// An earlier run and its directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SpecResume {
    /// The earlier run.
    pub run_id: String,
    /// Its run directory.
    pub dir: String,
    /// Failed jobs run afresh with all downstream, instead of going on from where they stopped.
    pub failed: bool,
}

impl Spec {
    /// Reads one object to the end of `input`.
    pub fn read(input: impl Read) -> Result<Spec, CliError> {
        let mut bytes = Vec::new();
        let count = input
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| CliError::machine(format!("cannot read the spec: {error}")).at("--spec -"))?;
        if count as u64 > MAX_BYTES {
            return Err(CliError::usage(format!("the spec is longer than {MAX_BYTES} bytes")).at("--spec -"));
        }
        // serde_json's message names line and column, and never quotes a value of ours back: secrets stay out of it.
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => "the spec has a field of the wrong type",
                serde_json::error::Category::Eof => "the spec ends too early",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => "the spec is not JSON",
            };
            CliError::usage(format!("{what} (line {}, column {})", error.line(), error.column()))
                .at("--spec -")
                .help("write one JSON object to standard input, such as {\"jobs\":[\"build\"]}")
        })
    }
}

/// Secrets' values never enter a debug text.
impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec")
            .field("run_id", &self.run_id)
            .field("number", &self.number)
            .field("repo", &self.repo)
            .field("sha", &self.sha)
            .field("ref_name", &self.ref_name)
            .field("pushed_at_ms", &self.pushed_at_ms)
            .field("executor", &self.executor)
            .field("seed", &self.seed)
            .field("params", &self.params.keys())
            .field("env", &self.env.keys())
            .field("secrets", &self.secrets.keys())
            .field("jobs", &self.jobs)
            .field("keep_going", &self.keep_going)
            .field("limits", &self.limits)
            .field("resume", &self.resume)
            .field("slots", &self.slots)
            .field("notes", &self.notes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_contract_s_example() {
        let line = r#"{"run_id":"r1","number":41,"repo":"work/foo.git","sha":"abc","ref":"refs/heads/main","pushed_at_ms":0,
            "executor":"quire-ci","seed":7,"params":{"a":"b"},"env":{"X":"1"},"secrets":{"TOKEN":"hunter22"},"jobs":["build"],
            "keep_going":true,"limits":{"job_ms":3600000,"idle_ms":900000,"output_bytes":100000000},
            "resume":{"run_id":"r0","dir":"/runs/r0"},"of_a_newer_server":[1,2]}"#;
        let spec = Spec::read(line.as_bytes()).unwrap();
        assert_eq!(spec.run_id.as_deref(), Some("r1"));
        assert_eq!(spec.ref_name.as_deref(), Some("refs/heads/main"));
        assert_eq!(spec.limits.idle_ms, Some(900_000));
        assert_eq!(spec.resume, Some(SpecResume { run_id: "r0".into(), dir: "/runs/r0".into(), failed: false }));
        assert!(spec.keep_going);
        assert!(!format!("{spec:?}").contains("hunter22"));
    }

    #[test]
    fn a_spec_is_read_as_written() {
        let secrets = BTreeMap::from([("TOKEN".to_owned(), "hunter22".to_owned())]);
        let limits = SpecLimits { job_ms: Some(1), ..SpecLimits::default() };
        let spec = Spec { run_id: Some("r1".to_owned()), secrets, limits, slots: Some(3), ..Spec::default() };
        assert_eq!(Spec::read(&*serde_json::to_vec(&spec).unwrap()).unwrap(), spec);
    }

    #[test]
    fn missing_fields_default() {
        assert_eq!(Spec::read(&b"{}"[..]).unwrap(), Spec::default());
        assert_eq!(Spec::read(&b" {\"sha\":null} "[..]).unwrap(), Spec::default());
    }

    #[test]
    fn errors_say_where_and_keep_secrets() {
        for (text, what) in [
            ("", "the spec ends too early"),
            ("{\"jobs\":", "the spec ends too early"),
            ("{\"secrets\":{\"T\":\"hunter22\"},}", "the spec is not JSON"),
            ("{\"secrets\":\"hunter22\"}", "the spec has a field of the wrong type"),
        ] {
            let error = Spec::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
