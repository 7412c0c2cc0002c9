//! What is wrong with a configuration, gathered and put to its places.

use std::collections::{BTreeMap, BTreeSet};

use super::places::Outline;
use crate::pipeline::{Diagnostic, Files, Place, quoted};

/// Most errors, and most warnings, that are told.
const MOST: usize = 100;

/// Which part of a key and its value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Key,
    Value,
}

/// What was found so far.
pub(super) struct Report {
    file: String,
    text: String,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    /// Paths at which there is an error, and all that lead to them: what is said of those then follows from it.
    wrong: BTreeSet<Vec<String>>,
}

struct Finding {
    path: Vec<String>,
    at: At,
    message: String,
    help: Option<String>,
}

impl Report {
    pub(super) fn new(file: &str, text: String) -> Report {
        let file = file.to_owned();
        Report { file, text, errors: Vec::new(), warnings: Vec::new(), wrong: BTreeSet::new() }
    }

    fn is_fennel(&self) -> bool {
        self.file.ends_with(".fnl")
    }

    /// Nothing more would be told.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() > MOST
    }

    /// A small configuration, in the file's language.
    pub(super) fn example(&self) -> String {
        let example =
            if self.is_fennel() { "{:listen \"127.0.0.1:7878\"}" } else { "return { listen = \"127.0.0.1:7878\" }" };
        format!("write for example: {example}")
    }

    /// What is wrong with the value at `path`; `message` stands behind its name.
    pub(super) fn error(&mut self, path: Vec<String>, at: At, message: &str) {
        self.add_error(path, at, message, None);
    }

    pub(super) fn error_with_help(&mut self, path: Vec<String>, message: &str, help: &str) {
        self.add_error(path, At::Value, message, Some(help.to_owned()));
    }

    fn add_error(&mut self, path: Vec<String>, at: At, message: &str, help: Option<String>) {
        if self.is_full() || self.wrong.contains(&path) {
            return;
        }
        self.wrong.extend((1..=path.len()).filter_map(|length| Some(path.get(..length)?.to_vec())));
        let message = format!("{} {message}", self.name(&path));
        self.errors.push(Finding { path, at, message, help });
    }

    /// What is odd about the value at `path`; `message` stands behind its name.
    pub(super) fn warning(&mut self, path: Vec<String>, at: At, message: &str, help: &str) {
        let message = format!("{} {message}", self.name(&path));
        self.warnings.push(Finding { path, at, message, help: Some(help.to_owned()) });
    }

    pub(super) fn unknown_key(&mut self, path: Vec<String>, help: String) {
        let (key, parents) = path.split_last().map_or(("", &[][..]), |(key, parents)| (key.as_str(), parents));
        let within = if parents.is_empty() { String::new() } else { format!(" in {}", self.name(parents)) };
        let message = format!("unknown key {}{within}", quoted(key));
        self.warnings.push(Finding { path, at: At::Key, message, help: Some(help) });
    }

    /// As one would write it: `repos["work/*"].env.PATH`.
    fn name(&self, path: &[String]) -> String {
        let mut name = String::new();
        for key in path {
            let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !key.starts_with(|c: char| c.is_ascii_digit())
                && !key.is_empty();
            match (is_plain, name.is_empty()) {
                (true, true) => name.push_str(key),
                (true, false) => name.push_str(&format!(".{key}")),
                (false, _) if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()) => {
                    name.push_str(&format!("[{key}]"));
                }
                (false, _) => name.push_str(&format!("[{}]", quoted(key))),
            }
        }
        if name.is_empty() { "the file".to_owned() } else { name }
    }

    /// Errors and warnings, each in order of place.
    pub(super) fn finish(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let fennel = self.is_fennel();
        let texts = BTreeMap::from([(self.file.clone(), self.text.clone())]);
        let mut files = Files::new(&texts);
        let outline = (!self.errors.is_empty() || !self.warnings.is_empty()).then(|| Outline::read(&self.text, fennel));
        let mut placed = |findings: Vec<Finding>, what: &str| {
            let more = findings.len() > MOST;
            let mut found: Vec<Diagnostic> = findings
                .into_iter()
                .take(MOST)
                .map(|finding| diagnostic(&self.file, outline.as_ref(), &mut files, finding))
                .collect();
            found.sort_by(|a, b| a.place.cmp(&b.place));
            if more {
                found.push(Diagnostic::new(format!("there are more {what} than are shown")).help("mend these first"));
            }
            found
        };
        let errors = placed(self.errors, "errors");
        (errors, placed(self.warnings, "warnings"))
    }
}

fn diagnostic(file: &str, outline: Option<&Outline<'_>>, files: &mut Files<'_>, finding: Finding) -> Diagnostic {
    let found = outline.and_then(|outline| outline.find(&finding.path));
    let place = found.and_then(|(spot, depth)| {
        let is_exact = depth == finding.path.len();
        let at = if finding.at == At::Value && is_exact { spot.value } else { spot.key };
        let place = files.place_at(file, at)?;
        // What leads there is not what is meant.
        Some(if is_exact { place } else { Place { column: None, ..place } })
    });
    let place = place.unwrap_or_else(|| Place { file: file.to_owned(), line: 1, column: None });
    // A secret that was written where its source belongs is not to be shown again.
    let may_show = !finding.path.iter().any(|key| key == "secrets");
    let excerpt = files.excerpt(&place).filter(|line| may_show && !line.trim().is_empty());
    Diagnostic { message: finding.message, place: Some(place), help: finding.help, excerpt }
}
