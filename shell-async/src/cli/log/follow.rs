//! `log -f`: a run as it goes on, in the plain view of `quire ci run`: its events, and the logs of its commands as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use quire_ci::cli::CliError;
use quire_ci::clock;
use quire_ci::commands::history::{looks, parse_asked};
use quire_ci::ui::{PlainView, View};
use quire_core::ids::{JobId, ShId};
use quire_core::time::Now;
use quire_core::wire::{Decoded, Event, EventKind, decode};
use serde::Deserialize;
use smol::channel::{self, Receiver, Sender};

use super::super::Context;
use super::super::answer;
use crate::api::{Run, RunDetail};
use crate::client::{Client, Follow, Message, Next};

/// A line of a log as the server tells it.
#[derive(Debug, Deserialize)]
struct LogLine {
    time: String,
    stream: String,
    #[serde(default)]
    partial: bool,
    text: String,
}

/// What a followed log gives.
enum Told {
    /// Whole entries.
    Entries(ShId, Vec<u8>),
    /// For people.
    Note(String),
    /// There is no more.
    Ended(ShId),
}

/// Shows a run, or only what `JOB[/N]` means of it, from its beginning to its end.
pub async fn follow(
    context: &Context,
    client: &Client,
    detail: &RunDetail,
    asked: Option<&str>,
) -> Result<(), CliError> {
    let asked = asked.map(parse_asked).transpose()?;
    let (tell, told) = channel::bounded(64);
    let mut screen = Screen {
        client: client.clone(),
        run: detail.run.clone(),
        only: asked.map(|(job, n)| (JobId::from_record(job), n)),
        view: PlainView::new(io::stdout(), looks(context.color), answer::hints(context, &detail.run)),
        commands: BTreeMap::new(),
        reading: BTreeSet::new(),
        tell,
        told,
    };
    if let Some(waits) = &detail.run.waits {
        screen.view.notice(clock::now(), &format!("waits: {waits}"));
    }
    let mut events = Follow::of(client, format!("{}/events", answer::path(&detail.run)));
    loop {
        // Logs are shown while no event comes.
        let next = {
            let event = async { Some(events.next().await) };
            let log = async {
                screen.show_logs().await;
                None
            };
            smol::future::or(event, log).await
        };
        match next {
            Some(Ok(Next::Message(message))) if message.event == "end" => break,
            Some(Ok(Next::Message(message))) => screen.message(&message).await,
            Some(Ok(Next::Closed)) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    screen.end().await;
    Ok(())
}

struct Screen {
    client: Client,
    run: Run,
    /// Only this job, or this command of it.
    only: Option<(JobId, Option<u32>)>,
    view: PlainView<io::Stdout>,
    /// Commands begun by job, and of these the open ones.
    commands: BTreeMap<JobId, (u32, BTreeSet<u32>)>,
    /// Commands whose logs are being read.
    reading: BTreeSet<ShId>,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

impl Screen {
    async fn message(&mut self, message: &Message) {
        let Ok(Decoded::Event(event)) = decode(message.data.as_bytes()) else { return };
        let now = clock::now();
        match &event.kind {
            EventKind::ShStarted(started) => {
                let (count, open) = self.commands.entry(started.job_id.clone()).or_default();
                *count += 1;
                open.insert(*count);
                let sh = ShId { job: started.job_id.clone(), n: *count };
                self.event(now, &event);
                self.read(sh);
            }
            EventKind::ShFinished(finished) => {
                let open = self.commands.get_mut(&finished.job_id).map(|(_, open)| open);
                // Which one where none is named: the oldest (CONTRACT 1).
                let n = open.and_then(|open| {
                    let n = finished.sh.or_else(|| open.first().copied())?;
                    open.remove(&n).then_some(n)
                });
                if let Some(n) = n {
                    let sh = ShId { job: finished.job_id.clone(), n };
                    self.show_until(|reading| !reading.contains(&sh)).await;
                }
                self.event(now, &event);
            }
            EventKind::JobFinished(_) | EventKind::JobRetried(_) | EventKind::JobSkipped(_) => {
                let job = job_of(&event.kind).cloned();
                self.show_until(|reading| !reading.iter().any(|sh| Some(&sh.job) == job.as_ref())).await;
                self.event(now, &event);
            }
            EventKind::RunFinished(_) => {
                self.show_until(BTreeSet::is_empty).await;
                self.event(now, &event);
            }
            EventKind::RunStarted(_) | EventKind::RunLogged(_) | EventKind::JobStarted(_) | EventKind::JobLogged(_) => {
                self.event(now, &event);
            }
        }
    }

    /// Shows an event, if it is of what is followed.
    fn event(&mut self, now: Now, event: &Event) {
        let shown = match (&self.only, job_of(&event.kind)) {
            (None, _) => true,
            // Of one command only its output.
            (Some((only, n)), Some(job)) => n.is_none() && only == job,
            (Some(_), None) => false,
        };
        if shown {
            self.view.event(now, event);
        }
    }

    /// Begins to read a command's log.
    fn read(&mut self, sh: ShId) {
        let wanted = self.only.as_ref().is_none_or(|(job, n)| *job == sh.job && n.is_none_or(|n| n == sh.n));
        if !wanted {
            return;
        }
        let log = Follow::of(&self.client, answer::log_path(&self.run, sh.job.as_str(), sh.n));
        self.reading.insert(sh.clone());
        smol::spawn(read(log, sh, self.tell.clone())).detach();
    }

    /// Shows what logs give, for ever.
    async fn show_logs(&mut self) {
        self.show_until(|_| false).await;
    }

    /// Shows what logs give until `is_enough` of the commands that are being read.
    async fn show_until(&mut self, is_enough: impl Fn(&BTreeSet<ShId>) -> bool) {
        while !is_enough(&self.reading) {
            match self.told.recv().await {
                Ok(Told::Entries(sh, entries)) => self.view.output(clock::now(), &sh, &entries),
                Ok(Told::Note(note)) => self.view.notice(clock::now(), &note),
                Ok(Told::Ended(sh)) => {
                    self.reading.remove(&sh);
                }
                // Never: one sender is ours.
                Err(_) => return,
            }
        }
    }

    async fn end(&mut self) {
        self.show_until(BTreeSet::is_empty).await;
        if self.only.is_none() {
            self.view.end(clock::now());
        }
    }
}

/// The job that an event is of.
fn job_of(kind: &EventKind) -> Option<&JobId> {
    match kind {
        EventKind::RunStarted(_) | EventKind::RunLogged(_) | EventKind::RunFinished(_) => None,
        EventKind::JobStarted(event) => Some(&event.job_id),
        EventKind::JobLogged(event) => Some(&event.job_id),
        EventKind::JobRetried(event) => Some(&event.job_id),
        EventKind::JobSkipped(event) => Some(&event.job_id),
        EventKind::JobFinished(event) => Some(&event.job_id),
        EventKind::ShStarted(event) => Some(&event.job_id),
        EventKind::ShFinished(event) => Some(&event.job_id),
    }
}

/// Reads a log to its end. One that cannot be read is told, and holds nothing up.
async fn read(mut log: Follow, sh: ShId, tell: Sender<Told>) {
    loop {
        let told = match log.next().await {
            Ok(Next::Closed) => continue,
            Ok(Next::Message(message)) if message.event == "end" => break,
            Ok(Next::Message(message)) if message.event == "missed" => {
                Told::Note(format!("{sh}: some output came too fast to be shown here; the log has all of it"))
            }
            Ok(Next::Message(message)) => match entry(&message.data) {
                Some(entry) => Told::Entries(sh.clone(), entry),
                None => continue,
            },
            Err(error) => {
                // Nobody listens any more where this fails.
                let _ = tell.send(Told::Note(format!("{sh}: its log cannot be followed: {error}"))).await;
                break;
            }
        };
        if tell.send(told).await.is_err() {
            return;
        }
    }
    let _ = tell.send(Told::Ended(sh)).await;
}

/// A log's entry as it is stored, from what the server tells of it.
fn entry(data: &str) -> Option<Vec<u8>> {
    let line: LogLine = serde_json::from_str(data).ok()?;
    let tag = if line.partial { 'P' } else { 'F' };
    let mut entry = String::with_capacity(line.text.len() + 48);
    writeln!(entry, "{} {} {tag} {}", line.time, line.stream, line.text).ok()?;
    Some(entry.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_entries() {
        let line = r#"{"time":"2026-11-22T10:00:00.000000001Z","stream":"stderr","partial":true,"text":"a b"}"#;
        assert_eq!(entry(line).unwrap(), b"2026-11-22T10:00:00.000000001Z stderr P a b\n");
        assert_eq!(entry("nonsense"), None);
    }
}
