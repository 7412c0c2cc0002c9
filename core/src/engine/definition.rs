//! The top level of a pipeline, run once before its jobs: what it defines, and the answers it was given.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{Limits, Source};
use super::io::Answer;
use crate::pipeline::{Diagnostic, Pipeline, Place, check};
use crate::script::{Definitions, Failure, Program, Reply, Request, Step, Vm};

/// Answers that the top level was given: each job's VM is given them again.
pub(super) type Memo = Vec<(Request, Reply)>;

/// Most requests of a top level, prints included: with the budget between two of them it bounds the whole.
const MOST_REQUESTS: usize = 10_000;
/// Most bytes that a top level may print.
const MOST_PRINTED: usize = 1024 * 1024;

/// A pipeline that is valid.
#[derive(Debug, Clone)]
pub struct Defined {
    /// Its jobs.
    pub pipeline: Arc<Pipeline>,
    /// What its top level printed.
    pub logs: Vec<String>,
    /// Where it names an image, if it does.
    pub image_place: Option<Place>,
    pub(super) program: Arc<Program>,
    pub(super) memo: Arc<Memo>,
}

/// Where the definition stands.
#[derive(Debug)]
pub enum Defining {
    /// Unfinished: call [`Definition::resume`] again.
    Slice,
    /// The script asks the machine: answer with [`Definition::answer`].
    Asked(Request),
    /// It is over.
    Done(Result<Box<Defined>, Vec<Diagnostic>>),
}

/// The top level as a machine.
#[derive(Debug)]
pub struct Definition {
    files: BTreeMap<String, String>,
    program: Result<(Arc<Program>, Vm), Failure>,
    /// The top level runs; before, its file may have to be compiled.
    begun: bool,
    memo: Memo,
    logs: Vec<String>,
    requests: usize,
    printed: usize,
    asked: Option<Request>,
    reply: Option<Reply>,
}

impl Definition {
    /// Compiles the source and readies its top level.
    pub fn new(source: &Source, limits: &Limits, seed: u64) -> Definition {
        let ready = || {
            let program = Arc::new(Program::compile(source, limits)?);
            let vm = Vm::new(Arc::clone(&program), limits, seed)?;
            Ok((program, vm))
        };
        Definition {
            files: texts(source),
            program: ready(),
            begun: false,
            memo: Memo::new(),
            logs: Vec::new(),
            requests: 0,
            printed: 0,
            asked: None,
            reply: None,
        }
    }

    /// Runs the next slice.
    pub fn resume(&mut self) -> Defining {
        let (program, vm) = match &mut self.program {
            Ok(ready) => ready,
            Err(failure) => {
                let failure = failure.clone();
                return Defining::Done(Err(self.diagnose(failure)));
            }
        };
        if !self.begun {
            let Some(prepared) = program.prepare() else { return Defining::Slice };
            if let Err(failure) = prepared.and_then(|()| vm.start_top_level(None)) {
                return Defining::Done(Err(self.diagnose(failure)));
            }
            self.begun = true;
        }
        match vm.resume(self.reply.take()) {
            Step::Slice => Defining::Slice,
            Step::Request(request) => {
                self.requests += 1;
                if let Request::Log(text) = &request {
                    self.printed += text.len();
                }
                if self.requests > MOST_REQUESTS || self.printed > MOST_PRINTED {
                    let place = Some(Place { file: program.file().to_owned(), line: 1, column: None });
                    return Defining::Done(Err(self.diagnose(Failure { message: too_much(), place })));
                }
                self.on_request(request)
            }
            Step::Failed(failure) => Defining::Done(Err(self.diagnose(failure))),
            Step::Returned(_) => {
                let program = Arc::clone(program);
                let definitions = vm.definitions();
                Defining::Done(self.conclude(program, definitions))
            }
        }
    }

    /// What was asked before has the same answer again, here as in each job's VM.
    fn on_request(&mut self, request: Request) -> Defining {
        let known = self.memo.iter().find(|(asked, _)| *asked == request).map(|(_, reply)| reply.clone());
        self.reply = match (known, request) {
            (Some(reply), _) => Some(reply),
            (None, Request::Log(text)) => {
                self.logs.push(text);
                Some(Reply::Nothing)
            }
            (None, request @ (Request::Read(_) | Request::Glob(_) | Request::Hash(_))) => {
                self.asked = Some(request.clone());
                return Defining::Asked(request);
            }
            (None, _) => Some(Reply::Error("this is for the function of a job, not for the top level".to_owned())),
        };
        Defining::Slice
    }

    /// What the top level printed so far; given once.
    pub fn take_logs(&mut self) -> Vec<String> {
        std::mem::take(&mut self.logs)
    }

    /// Answers what was asked; [`Definition::resume`] goes on.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.take() {
            let reply = reply_to(&asked, answer);
            self.memo.push((asked, reply.clone()));
            self.reply = Some(reply);
        }
    }

    fn diagnose(&self, failure: Failure) -> Vec<Diagnostic> {
        let diagnostic = Diagnostic { message: failure.message, place: failure.place, ..Diagnostic::default() };
        completed(diagnostic, &self.files)
    }

    fn conclude(
        &mut self,
        program: Arc<Program>,
        definitions: Result<Definitions, Failure>,
    ) -> Result<Box<Defined>, Vec<Diagnostic>> {
        let defined = definitions.map_err(|failure| self.diagnose(failure))?;
        let pipeline = check(defined.jobs, defined.image, defined.problems, &self.files)?;
        let logs = program.macro_logs().into_iter().chain(std::mem::take(&mut self.logs)).collect();
        Ok(Box::new(Defined {
            pipeline: Arc::new(pipeline),
            logs,
            image_place: defined.image_place,
            program,
            memo: Arc::new(std::mem::take(&mut self.memo)),
        }))
    }
}

/// The files of a pipeline, for excerpts.
pub(super) fn texts(source: &Source) -> BTreeMap<String, String> {
    let files = std::iter::once((&source.file, &source.text)).chain(&source.modules);
    files.map(|(file, text)| (file.clone(), String::from_utf8_lossy(text).into_owned())).collect()
}

/// The diagnostic with its column and excerpt, as far as they are found.
pub(super) fn completed(diagnostic: Diagnostic, files: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    check(Vec::new(), None, vec![diagnostic], files).err().unwrap_or_default()
}

fn too_much() -> String {
    format!(
        "the top level asked or printed more than {MOST_REQUESTS} times, or printed more than {} MiB: an endless loop?",
        MOST_PRINTED >> 20
    )
}

/// What a script is told of the machine's answer to its request.
pub(super) fn reply_to(asked: &Request, answer: Answer) -> Reply {
    let what = match asked {
        Request::Read(path) | Request::Write { path, .. } => path.clone(),
        Request::Glob(patterns) | Request::Hash(patterns) => patterns.join(", "),
        _ => String::new(),
    };
    let told = match answer {
        Answer::Read(Ok(bytes)) => Ok(Reply::Bytes(bytes)),
        Answer::Write(Ok(())) => Ok(Reply::Nothing),
        Answer::Glob(Ok(files)) => Ok(Reply::Texts(files)),
        Answer::Hash(Ok(digest)) => Ok(Reply::Bytes(digest.into_bytes())),
        Answer::Read(Err(why)) => Err(format!("cannot read {what}: {why}")),
        Answer::Write(Err(why)) => Err(format!("cannot write {what}: {why}")),
        Answer::Glob(Err(why)) => Err(format!("cannot list {what}: {why}")),
        Answer::Hash(Err(why)) => Err(format!("cannot hash {what}: {why}")),
    };
    told.unwrap_or_else(Reply::Error)
}
