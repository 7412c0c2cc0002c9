//! `show`: a run of the server in full, as quire-ci shows its own.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};

use clap::Args;
use hyper::header::RANGE;
use quire_ci::cli::{CliError, Exit};
use quire_ci::clock;
use quire_ci::commands::history::looks;
use quire_ci::commands::show::{Place, text};
use quire_ci::ui::text::one_line;
use quire_ci::ui::{LastLines, LogTails, Model, Screen as _, Sink, Surroundings, Terminal};
use quire_core::ids::ShId;
use quire_core::rows::JobState;

use super::Context;
use super::answer::{self, RunArg, block_on};
use crate::api::{Run, RunDetail};
use crate::client::{Client, ClientError, rows};

/// Bytes read of the end of a failed command's log.
const TAIL: usize = 32 * 1024;
/// Most failed commands whose logs are read.
const TAILS: usize = 8;

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    run: RunArg,

    /// Print the run as one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows a run on standard output.
pub fn run(context: &Context, args: &ShowArgs) -> Result<Exit, CliError> {
    let client = context.client();
    let detail = block_on(async { Ok(answer::find(&client, &args.run.run, args.run.repo.repo.as_deref()).await?) })?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&detail).map_err(io::Error::from)?)?;
        out.flush()?;
        return Ok(Exit::Complete);
    }
    let model = model(&detail);
    let (_, commands) = rows::jobs(&detail);
    let tails = block_on(async { Ok(tails(&client, &detail.run, &model).await) })?;
    let hints = answer::hints(context, &detail.run);
    let place = Place {
        looks: looks(context.color),
        columns: Surroundings::of(Sink::Stdout).terminal.then(|| Terminal(Sink::Stdout).size().columns),
        program: &context.call(),
        now_ms: clock::now().wall.ms(),
    };
    let begun = detail.run.started_at_ms.or(detail.run.queued_at_ms);
    text(&model, &commands, &hints, &tails, &place, begun, &mut out)?;
    for (what, said) in [
        ("repository", &detail.run.repo),
        ("by", &detail.run.by),
        ("waits", &detail.run.waits),
        ("ended by", &detail.run.ended_by),
    ] {
        if let Some(said) = said {
            writeln!(out, "{what}: {}", one_line(said))?;
        }
    }
    writeln!(out, "{}", one_line(&detail.run.url))?;
    out.flush()?;
    Ok(Exit::Complete)
}

/// What the views show.
fn model(detail: &RunDetail) -> Model {
    let (jobs, commands) = rows::jobs(detail);
    Model::from_rows(rows::run(&detail.run), jobs, commands)
}

/// The ends of the logs of commands that failed their jobs.
struct Tails(BTreeMap<ShId, (Vec<u8>, bool)>);

impl LogTails for Tails {
    fn tail(&self, sh: &ShId, lines: usize) -> Option<LastLines> {
        let (bytes, cut) = self.0.get(sh)?;
        Some(LastLines::of(bytes, lines, *cut))
    }
}

async fn tails(client: &Client, run: &Run, model: &Model) -> Tails {
    let mut tails = BTreeMap::new();
    let failed = model.jobs().into_iter().filter(|job| job.row.state == JobState::Failed);
    for sh in failed.filter_map(|job| job.failing_command()).take(TAILS) {
        let path = answer::log_path(run, sh.job_id.as_str(), sh.n);
        let mut bytes = Vec::new();
        let range = [(RANGE, format!("bytes=-{TAIL}"))];
        let headers: Vec<_> = range.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
        let read = client.bytes(&path, &headers, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok::<_, ClientError>(())
        });
        // A log that cannot be read leaves the summary without its lines: `log` says why.
        if read.await.is_ok() {
            let cut = bytes.len() >= TAIL;
            let begin = if cut { bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) } else { 0 };
            bytes.drain(..begin);
            tails.insert(ShId { job: sh.job_id.clone(), n: sh.n }, (bytes, cut));
        }
    }
    Tails(tails)
}
