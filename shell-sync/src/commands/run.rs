//! `run`: the pipeline here and now. Gathers the facts, wires engine, driver, record and view, and tells how it ended.

mod earlier;
mod facts;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quire_core::engine::{Answer, Engine, Output, quoted};
use quire_core::ids::RunId;
use quire_core::wire::RunOutcome;

pub use self::earlier::EarlierRun;
use self::facts::absolute;
pub use self::facts::{CLEAN_ENVIRONMENT, Facts, Secrets, base_environment, work_tree};
use super::colour;
use super::shell::{self, Watched};
use crate::cli::{At, CliError, Context, EventsTo, ExecutorArg, Exit, RunArgs, RunRequest, Spec};
use crate::clock;
use crate::git::{self, Checkout};
use crate::process::{self, Background, Discovered, Ended, Questions, Signals, Surroundings};
use crate::record::{DataDir, LiveRecord, Retention, RunDir};
use crate::store::{NewRun, RowWriter};
use crate::ui::{self, Hints, Mode, Options, Sink, View};
use crate::workspace::{Files, Workspace};

/// How long a run waits for its number (CONTRACT 2).
const NUMBER_WAIT: Duration = Duration::from_millis(100);

/// Runs the pipeline.
pub fn run(context: &Context, args: RunArgs) -> Result<Exit, CliError> {
    let spec = match args.wants_spec() {
        true => Some(Spec::read(io::stdin().lock())?),
        false => None,
    };
    let request = args.request(spec)?;
    if request.from_spec {
        // A run that a server started outlives it, and what is typed at the server's terminal is not meant for it. Refused only
        // where this process leads a group already: then it is on its own.
        let _ = rustix::process::setsid();
    }
    let workspace = context.workspace()?;
    refuse_what_has_not_landed(&request)?;
    if request.shell_on_fail {
        shell::needs_terminal()?;
    }
    check_jobs(&workspace, &request)?;
    let earlier = match &request.resume {
        Some(resume) => EarlierRun::find(context, &request, resume, &workspace)?,
        None => (None, Vec::new()),
    };
    Run::prepare(context, &request, workspace, earlier)?.drive(context, &request)
}

fn refuse_what_has_not_landed(request: &RunRequest) -> Result<(), CliError> {
    if request.executor == Some(ExecutorArg::Container) {
        return Err(CliError::usage("containers have not landed yet")
            .at("--executor container")
            .help("run on this machine: --executor host"));
    }
    Ok(())
}

/// A misspelt job is told before anything is recorded. A pipeline that does not compile is a run, and tells it itself.
fn check_jobs(workspace: &Workspace, request: &RunRequest) -> Result<(), CliError> {
    if request.jobs.is_empty() || matches!(request.at, Some(At::Rev(_))) {
        return Ok(());
    }
    let Ok(source) = workspace.source() else { return Ok(()) };
    let Ok(pipeline) = super::load_pipeline(workspace, &source) else { return Ok(()) };
    match pipeline.select(&request.jobs) {
        Ok(_) => Ok(()),
        Err(diagnostic) => {
            let error = CliError::not_found(diagnostic.message);
            Err(CliError { help: diagnostic.help, ..error })
        }
    }
}

/// Everything that a run needs, ready to go.
struct Run {
    facts: Facts,
    checkout: Option<Checkout>,
    record: LiveRecord,
    record_dir: PathBuf,
    in_database: bool,
    work_tree: Option<Background>,
    notes: Vec<String>,
    earlier: Option<EarlierRun>,
}

impl Run {
    fn prepare(
        context: &Context,
        request: &RunRequest,
        workspace: Workspace,
        (mut earlier, told): (Option<EarlierRun>, Vec<String>),
    ) -> Result<Run, CliError> {
        let now = clock::now();
        // First of all, as a short run waits for nothing longer than for git's view of the work tree.
        let early = match (request.at.is_some(), earlier.as_mut().and_then(|earlier| earlier.work_tree.take())) {
            (true, _) => None,
            (false, None) => Some(look_at_work_tree(&workspace)?),
            // A resume has looked already.
            (false, Some(found)) => Some(in_background(move || found)?),
        };
        let run_id = RunId::new(&request.run_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()));
        let repo = request.repo.clone().unwrap_or_else(|| workspace.name());
        let secrets = Secrets::of(request)?;
        let data = match &request.out_dir {
            Some(_) => None,
            None => Some(match &context.data_dir {
                Some(path) => DataDir::open(path)?,
                None => DataDir::of_workspace(&workspace.root)?,
            }),
        };
        let dir = match (&request.out_dir, &data) {
            (Some(path), _) => RunDir::take(path)?,
            (None, Some(data)) => data.create_run(&run_id)?,
            (None, None) => return Err(CliError::machine("no place for the record")),
        };
        let log = dir.events()?;
        // From here on the database's thread works beside us. It closes runs that nobody holds, so ours is held before.
        let rows = data.as_ref().map(|data| {
            let owner = std::env::var("USER").ok();
            let new = NewRun { run_id: run_id.clone(), repo, at_ms: now.wall.ms(), owner };
            RowWriter::start(&data.database(), new, Some(data.chores(Retention::default())))
        });
        let copy = open_copy(request, &dir)?;
        let record_dir = absolute(dir.files().path());
        let (workspace, checkout, head) = match &request.at {
            None => {
                let head = git::head(&workspace.root);
                (workspace, None, head)
            }
            Some(at) => {
                let checkout = git::checkout(&workspace.root, at, &record_dir.join("workspace"))
                    .map_err(|error| CliError::machine(error.to_string()).at(format!("--at {at}")))?;
                let workspace = Workspace::at(&checkout.workspace).map_err(|error| context.explain(error))?;
                let head = checkout.head.clone();
                (workspace, Some(checkout), head)
            }
        };
        let work_tree = match early {
            Some(early) => Some(early),
            None => Some(look_at_work_tree(&workspace)?),
        };
        let notes = checkout.iter().flat_map(|checkout| checkout.notes.clone());
        let notes = notes.chain(told).collect();
        let number = request.number.or_else(|| rows.as_ref().and_then(|rows| rows.number(NUMBER_WAIT)));
        let in_database = rows.is_some();
        let mut record = LiveRecord::new(dir, log, copy, rows);
        if let Some(earlier) = &mut earlier {
            let (files, claim) = earlier.logs();
            record.resume(files, claim);
        }
        Ok(Run {
            in_database,
            record,
            facts: Facts::new(request, run_id, number, workspace, head, secrets),
            checkout,
            record_dir,
            work_tree,
            notes,
            earlier,
        })
    }

    fn drive(mut self, context: &Context, request: &RunRequest) -> Result<Exit, CliError> {
        let source = self.facts.workspace.source().map_err(|error| context.explain(error))?;
        let mut config = self.facts.config(request, source);
        if let Some(earlier) = self.earlier.take() {
            earlier.resume(&mut config);
        }
        let mut engine = Engine::new(config, clock::now());
        let options = self.view_options(context, request);
        let mut view = ui::choose(&options);
        for note in std::mem::take(&mut self.notes) {
            view.notice(clock::now(), &note);
        }
        if let Err(error) = process::become_subreaper() {
            view.notice(clock::now(), &format!("processes that leave their group may outlive this run: {error}"));
        }
        let mut signals =
            Signals::install().map_err(|error| CliError::machine(format!("signals cannot be listened to: {error}")))?;
        let setup = self.facts.setup();
        let mut questions = Asked(self.facts.workspace.files());
        let work_tree = self.work_tree.take();
        let mut watched = Watched::new(&mut engine, request.shell_on_fail);
        let surroundings = Surroundings {
            record: &mut self.record,
            view: view.as_mut(),
            questions: &mut questions,
            signals: Some(&mut signals),
            background: work_tree,
        };
        let ended = process::drive(&mut watched, setup, surroundings)
            .map_err(|error| CliError::machine(format!("the event loop cannot be made: {error}")))?;
        let failed = watched.failed();
        let wants_shell = request.shell_on_fail && ended.outcome == RunOutcome::Failed && ended.signal.is_none();
        let place = wants_shell.then(|| (self.facts.workspace.root.clone(), self.facts.env.clone()));
        let exit = self.conclude(ended, &engine, view.as_mut(), options.mode, context)?;
        if let Some((workspace, env)) = place {
            shell::after_run(context, failed, &workspace, env, &mut signals);
        }
        Ok(exit)
    }

    fn view_options(&self, context: &Context, request: &RunRequest) -> Options {
        let program = context.call();
        Options {
            mode: match (request.json, request.quiet) {
                (true, _) => Mode::Json,
                (false, true) => Mode::Quiet,
                (false, false) => Mode::Normal,
            },
            colour: colour(context.color),
            sink: if request.events == EventsTo::Stdout { Sink::Stderr } else { Sink::Stdout },
            hints: Hints {
                log: self.in_database.then(|| format!("{program} log")),
                rerun: Some(format!("{program} run")),
                shell: self.in_database.then(|| format!("{program} shell")),
                browser: in_a_browser(&self.record_dir).filter(|_| self.in_database),
                record_dir: Some(self.record_dir.clone()),
            },
        }
    }

    fn conclude(
        mut self,
        ended: Ended,
        engine: &Engine,
        view: &mut dyn View,
        mode: Mode,
        context: &Context,
    ) -> Result<Exit, CliError> {
        let finished = self.record.finish(ended.record_failure.is_some());
        let now = clock::now();
        if let Some(why) = self.record.copy_failure() {
            view.notice(now, &format!("the copy of the event stream (--events) is cut short: {why}"));
        }
        for text in finished.behind.iter().chain(&finished.notes) {
            view.notice(now, text);
        }
        if let Some(checkout) = self.checkout.take() {
            let top = checkout.top.clone();
            if ended.outcome == RunOutcome::Failed {
                view.notice(now, &format!("the checkout is kept: {}", top.display()));
            } else if let Err(error) = checkout.remove() {
                view.notice(now, &format!("the checkout {} could not be removed: {error}", top.display()));
            }
        }
        if ended.record_failure.is_some() {
            view.record_failed(now);
        }
        view.end(now);
        if let Some(why) = &ended.record_failure {
            return Err(CliError::new(
                crate::cli::ErrorKind::Record,
                format!("the record could not be written, so the run was ended: {why}"),
            )
            .at(self.record_dir.display())
            .help(format!("make room there, or choose another place: {} run --data-dir DIR", context.program)));
        }
        if !engine.diagnostics().is_empty() {
            // The live view has shown them; who reads standard error alone has not seen them.
            let is_shown = mode == Mode::Normal && io::stdout().is_terminal() && io::stderr().is_terminal();
            return if is_shown { Ok(Exit::Error) } else { Err(CliError::pipeline(engine.diagnostics().to_vec())) };
        }
        Ok(match (ended.outcome, ended.signal) {
            (_, Some(signal)) => Exit::Signal(signal),
            (RunOutcome::Complete, None) => Exit::Complete,
            (RunOutcome::Failed | RunOutcome::Aborted, None) => Exit::Failed,
        })
    }
}

/// Git's view of the work tree, found while the jobs run.
fn look_at_work_tree(workspace: &Workspace) -> Result<Background, CliError> {
    let folder = workspace.root.clone();
    in_background(move || work_tree(&folder))
}

fn in_background(look: impl FnOnce() -> Discovered + Send + 'static) -> Result<Background, CliError> {
    Background::start(look).map_err(|error| CliError::machine(format!("no thread can be started: {error}")))
}

/// The workspace answers scripts.
struct Asked(Files);

impl Questions for Asked {
    fn answer(&mut self, question: &Output) -> Option<Answer> {
        self.0.answer(question)
    }
}

/// Where `--events` sends the stream, besides the record.
fn open_copy(request: &RunRequest, dir: &RunDir) -> Result<Option<Box<dyn Write + Send>>, CliError> {
    Ok(match &request.events {
        EventsTo::Null => None,
        EventsTo::Stdout => Some(Box::new(io::stdout())),
        EventsTo::File(path) if dir.is_events_file(path) => None,
        EventsTo::File(path) => Some(Box::new(File::create(path).map_err(|error| {
            CliError::machine(format!("the event stream cannot be written there: {error}"))
                .at(format!("--events {}", path.display()))
        })?)),
    })
}

/// The line that shows the data directory of this run in a browser.
pub(super) fn in_a_browser(record_dir: &Path) -> Option<String> {
    let data = record_dir.parent()?.parent()?;
    let argv = ["quire", "serve", "--data-dir"].map(|word| word.as_bytes().to_vec());
    Some(quoted(&argv.into_iter().chain([data.as_os_str().as_bytes().to_vec()]).collect::<Vec<_>>()))
}
