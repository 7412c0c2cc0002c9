//! Requests of scripts: answered at once, turned into orders, or turned into commands.

use super::definition::reply_to;
use super::io::{Answer, Ask, Output};
use super::job::{JobPhase, Verdict, Waiting};
use super::run::Phase;
use super::{Asker, Engine};
use crate::recorder::RuntimeEvent;
use crate::script::{Reply, Request};

/// Most bytes of a file that a script may read.
pub const READ_LIMIT: u64 = 16 * 1024 * 1024;

impl Engine {
    /// A job's script asks for something.
    pub(super) fn on_request(&mut self, index: usize, request: Request) {
        let Some(job) = self.jobs.get(index) else { return };
        if job.phase == JobPhase::TopLevel {
            let reply = self.remembered(&request);
            return self.reply(index, reply);
        }
        match request {
            Request::Sh(request) => {
                let command = self.queue_command(index, request, true);
                self.wait_for(index, Waiting::Command(command));
            }
            Request::Spawn(request) => {
                let command = self.queue_command(index, request, false);
                self.reply(index, Reply::Id(command));
            }
            Request::Wait(command) => self.wait_for_command(index, command),
            Request::Stop(command) => self.stop_command(index, command),
            Request::Log(text) => {
                self.record(RuntimeEvent::JobLogged(job.definition.id.clone(), text));
                self.reply(index, Reply::Nothing);
            }
            Request::Skip(text) => self.on_skip(index, text),
            Request::Secret(name) => {
                let reply = self.secret(&name);
                self.reply(index, reply);
            }
            Request::Mask(text) => {
                let reply = self.mask(&text);
                self.reply(index, reply);
            }
            Request::Env(name) => {
                let value = self.config.env.get(&name);
                let reply = value.map_or(Reply::Nothing, |value| Reply::Bytes(value.clone().into_bytes()));
                self.reply(index, reply);
            }
            Request::Output(id) => {
                let reply = self.output_of(index, &id);
                self.reply(index, reply);
            }
            request @ (Request::Read(_) | Request::Write { .. } | Request::Glob(_) | Request::Hash(_)) => {
                let ask = self.ask_machine(Asker::Job(index), request.clone());
                self.wait_for(index, Waiting::Answer(ask, request));
            }
        }
    }

    /// What the top level was told when the pipeline was defined.
    fn remembered(&self, request: &Request) -> Reply {
        if matches!(request, Request::Log(_)) {
            return Reply::Nothing;
        }
        let memo = self.defined.iter().flat_map(|defined| defined.memo.iter());
        let found = memo.into_iter().find(|(asked, _)| asked == request).map(|(_, reply)| reply.clone());
        found.unwrap_or_else(|| {
            Reply::Error("the top level of the pipeline did not ask for this the first time".to_owned())
        })
    }

    /// Orders what answers the request.
    pub(super) fn ask_machine(&mut self, asker: Asker, request: Request) -> Ask {
        let ask = self.ask(asker);
        self.outputs.push_back(match request {
            Request::Write { path, content } => Output::Write { ask, path, content },
            Request::Glob(patterns) => Output::Glob { ask, patterns },
            Request::Hash(patterns) => Output::Hash { ask, patterns },
            Request::Read(path) => Output::Read { ask, path, limit: READ_LIMIT },
            _ => unreachable!("only questions to the machine are asked of it"),
        });
        ask
    }

    pub(super) fn on_answered(&mut self, ask: Ask, answer: Answer) {
        match self.asks.remove(&ask) {
            Some(Asker::Definition) => {
                if let Phase::Defining { definition, waiting } = &mut self.phase {
                    definition.answer(answer);
                    *waiting = false;
                }
            }
            Some(Asker::Job(index)) => {
                let Some(job) = self.jobs.get(index) else { return };
                if let Waiting::Answer(expected, request) = &job.waiting
                    && *expected == ask
                {
                    let reply = reply_to(request, answer);
                    self.reply(index, reply);
                }
            }
            None => {}
        }
    }

    fn secret(&self, name: &str) -> Reply {
        if let Some(value) = self.config.secrets.get(name) {
            return Reply::Bytes(value.clone());
        }
        let names: Vec<&str> = self.config.secrets.keys().map(String::as_str).collect();
        let declared = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Reply::Error(format!(
            "secret \"{name}\" is not declared (declared: {declared}); declare it with --secret {name}=env:VARIABLE or --secret {name}=file:PATH"
        ))
    }

    fn mask(&mut self, text: &[u8]) -> Reply {
        match self.secrets.with(text) {
            Ok(secrets) => {
                self.secrets = secrets.clone();
                self.outputs.push_back(Output::SetSecrets(secrets));
                Reply::Nothing
            }
            Err(error) => Reply::Error(format!("rt.mask: the text {error}")),
        }
    }

    /// The output of a job upstream; nothing where it has none.
    fn output_of(&self, index: usize, id: &str) -> Reply {
        let Some(pipeline) = self.defined.as_ref().map(|defined| &defined.pipeline) else { return Reply::Nothing };
        let mut upstream = pipeline.upstream(&[index].into());
        upstream.remove(&index);
        let asked = pipeline.index(id);
        if let Some(asked) = asked.filter(|asked| upstream.contains(asked)) {
            let output = self.jobs.get(asked).and_then(|job| job.output.clone());
            return output.map_or(Reply::Nothing, Reply::Data);
        }
        let names: Vec<&str> =
            upstream.iter().filter_map(|index| pipeline.jobs.get(*index)).map(|job| job.id.as_str()).collect();
        let there = if names.is_empty() {
            "it has no jobs before it".to_owned()
        } else {
            format!("it can see {}", names.join(", "))
        };
        let why = if asked.is_some() { "is not before this job" } else { "is no job" };
        Reply::Error(format!("rt.jobs: \"{id}\" {why}; {there}: name it among the inputs of ci.job to have its output"))
    }

    /// Ends the script here: the job is skipped. In a deferred function only that function ends.
    fn on_skip(&mut self, index: usize, text: String) {
        let Some(job) = self.jobs.get(index) else { return };
        if job.phase == JobPhase::Deferred {
            return self.next_deferred(index);
        }
        self.interrupt(index, Verdict::Skipped(text));
    }
}
