//! One dispatched run from its workspace to its last row, whoever drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quire_ci::cli::{Spec, SpecLimits};
use quire_ci::process::end_left_behind;
use quire_ci::record::{Claim, Holder, RunFiles, RunLock};
use quire_ci::store::{QueuedRun, StoreError};
use quire_core::config::{Executor, RepoConfig};
use quire_core::ids::RunId;
use quire_core::rows::RunState;
use quire_core::wire::FailureKind;
use smol::channel::Receiver;

use super::app::App;
use super::child::{Driver, Gone};
use super::follow::Follower;
use super::hosted::Hosted;
use super::secrets;
use super::workspaces::{self, Workspace};
use crate::host::{HostRun, Stop};

/// How long a database that does not answer is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// What it takes to perform runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Executors {
    /// The rest of the server.
    pub app: Arc<App>,
    /// Runs inside this process.
    pub hosted: Arc<Hosted>,
}

/// A run that could not begin, for people.
struct CannotBegin {
    kind: FailureKind,
    text: String,
}

impl Executors {
    /// Performs a waiting run; each of `stops` asks it to end. Returns how it ended, once its rows say so.
    pub async fn dispatch(&self, run_id: RunId, stops: Receiver<()>) -> RunState {
        let app = &self.app;
        let run = self.read(&run_id).await;
        let Some(run) = run else {
            app.notice(&format!("run {run_id} is to start, but its row is gone"));
            return RunState::Aborted;
        };
        match self.begin(&run, &stops).await {
            Ok(state) => state,
            Err(CannotBegin { kind, text }) => {
                app.notice(&format!("{} cannot start: {text}", told(&run)));
                self.end_without_stream(&run_id, kind, text).await;
                RunState::Failed
            }
        }
    }

    /// Follows a run that another server started and that goes on.
    pub async fn adopt(&self, run_id: RunId, holder: Option<Holder>, stops: Receiver<()>) -> RunState {
        let files = match self.app.data.run(&run_id) {
            Ok(files) => files,
            Err(error) => {
                self.end_without_stream(&run_id, FailureKind::Orphaned, error.to_string()).await;
                return RunState::Failed;
            }
        };
        self.follow_holder(&run_id, files, holder, &stops).await
    }

    async fn read(&self, run_id: &RunId) -> Option<QueuedRun> {
        loop {
            let wanted = run_id.clone();
            match self.app.readers.ask(move |store| store.queued_run(&wanted)).await {
                Ok(run) => return run,
                Err(error) => self.app.notice(&format!("run {run_id} waits for the database: {error}")),
            }
            smol::Timer::after(PAUSE).await;
        }
    }

    async fn begin(&self, run: &QueuedRun, stops: &Receiver<()>) -> Result<RunState, CannotBegin> {
        let app = &self.app;
        let internal = |text: String| CannotBegin { kind: FailureKind::Internal, text };
        let config = app.settings.now().repo(&run.repo);
        let secrets = secrets::resolve(&config, run.ref_name.as_deref()).map_err(internal)?;
        let (theirs, wanted) = (Arc::clone(app), run.clone());
        let made = smol::unblock(move || workspaces::make(&theirs, &wanted)).await;
        let (files, workspace) = made.map_err(internal)?;
        if let Some(resume) = &workspace.resume {
            // It is this run's now.
            let earlier = RunId::new(&resume.run_id);
            if let Err(error) = app.write(move |rows| rows.note_workspace(&earlier, false)).await {
                app.behind(&error);
            }
        }
        if stops.try_recv().is_ok() {
            return Ok(self.end_unbegun(&run.run_id, &files).await);
        }
        let spec = spec(run, &config, secrets, &workspace);
        let state = match config.executor {
            Executor::QuireCi => self.drive_by_child(run, &files, &workspace, spec, stops).await,
            Executor::Host => self.drive_here(run, &files, &workspace, spec, stops).await,
        }?;
        self.tidy_up(run, &files, state, &config);
        Ok(state)
    }

    async fn drive_by_child(
        &self,
        run: &QueuedRun,
        files: &RunFiles,
        workspace: &Workspace,
        spec: Spec,
        stops: &Receiver<()>,
    ) -> Result<RunState, CannotBegin> {
        let app = &self.app;
        let hidden = secrets::variables(&app.settings.now());
        // Watched before it is written to.
        let mut follower = Follower::new(app, run.run_id.clone(), files.clone());
        let driver = Driver::start(app.program(), files, &workspace.path, &spec, &hidden).await;
        let mut driver = driver.map_err(|error| CannotBegin {
            kind: FailureKind::Internal,
            text: format!("{} cannot be started: {error}", app.program().display()),
        })?;
        let gone = follower.until(driver.gone(stops)).await;
        self.conclude(&run.run_id, files, follower, gone, stops).await
    }

    async fn drive_here(
        &self,
        run: &QueuedRun,
        files: &RunFiles,
        workspace: &Workspace,
        spec: Spec,
        stops: &Receiver<()>,
    ) -> Result<RunState, CannotBegin> {
        let app = &self.app;
        let failed =
            |error: quire_ci::record::RecordError| CannotBegin { kind: FailureKind::Record, text: error.to_string() };
        let dir = quire_ci::record::RunDir::take(files.path()).map_err(failed)?;
        let mut follower = Follower::new(&self.app, run.run_id.clone(), files.clone());
        let host = HostRun {
            run_id: run.run_id.clone(),
            dir,
            workspace: workspace.path.clone(),
            slots: spec.slots.unwrap_or(0),
            notes: Vec::new(),
            spec,
        };
        let (_seat, wanted, arrive) = self.hosted.enter(&run.run_id);
        let performed = self.hosted.pool.start(host, arrive);
        let stopped = async {
            while stops.recv().await.is_ok() {
                let _ = wanted.try_send(Stop::Cancel);
            }
            std::future::pending().await
        };
        let ended = follower.until(smol::future::or(performed, stopped)).await;
        if let Ok(ended) = &ended {
            ended.notes.iter().for_each(|note| app.notice(&format!("{}: {note}", told(run))));
        }
        let gone = match ended {
            Ok(ended) if ended.record_failure.is_some() => Gone::RecordError,
            Ok(_) => Gone::Ended,
            Err(error) => return Err(CannotBegin { kind: FailureKind::Internal, text: error.to_string() }),
        };
        self.conclude(&run.run_id, files, follower, gone, stops).await
    }

    /// The driver is gone: closes what it left open. Where another one holds the lock (it was started by a server that died over
    /// it), that one is followed.
    async fn conclude(
        &self,
        run_id: &RunId,
        files: &RunFiles,
        mut follower: Follower<'_>,
        gone: Gone,
        stops: &Receiver<()>,
    ) -> Result<RunState, CannotBegin> {
        if let Some(state) = follower.end() {
            return Ok(state);
        }
        let lock = files.lock();
        let claim = smol::unblock(move || RunLock::claim(&lock)).await;
        let claim = match claim {
            Ok(Claim::Held(holder)) => {
                drop(follower);
                return Ok(Box::pin(self.follow_holder(run_id, files.clone(), holder, stops)).await);
            }
            Ok(claim) => Some(claim),
            Err(error) => {
                self.app.notice(&error.to_string());
                None
            }
        };
        // Before the rows say that it is over.
        let runs = BTreeSet::from([run_id.clone()]);
        for left in smol::unblock(move || end_left_behind(&runs)).await {
            self.app.notice(&format!("run {run_id} had left {} ({}) running", left.name, left.pid));
        }
        // It may have written its last line while it was ended.
        follower.until(std::future::ready(())).await;
        if let Some(state) = follower.end() {
            return Ok(state);
        }
        let kind = match gone {
            Gone::RecordError => FailureKind::Record,
            Gone::Ended => files.end_without_stream(),
        };
        if !follower.has_begun() {
            let said = last_words(files);
            let text = format!(
                "its driver ended before the run began{}",
                said.map(|said| format!(": {said}")).unwrap_or_default()
            );
            return Err(CannotBegin { kind, text });
        }
        let state = follower.close(kind).await;
        drop(claim);
        Ok(state)
    }

    /// Follows a run that someone else drives until that one is gone.
    async fn follow_holder(
        &self,
        run_id: &RunId,
        files: RunFiles,
        holder: Option<Holder>,
        stops: &Receiver<()>,
    ) -> RunState {
        let mut follower = Follower::new(&self.app, run_id.clone(), files.clone());
        let driver = holder.as_ref().map(Driver::adopt);
        match driver {
            Some(Ok(Some(mut driver))) => {
                follower.until(driver.gone(stops)).await;
            }
            // It has ended meanwhile, or nobody can tell who holds it: then the lock is waited for.
            _ => {
                let (lock, app) = (files.lock(), Arc::clone(&self.app));
                follower
                    .until(async move {
                        while matches!(RunLock::claim(&lock), Ok(Claim::Held(_))) {
                            smol::Timer::after(PAUSE).await;
                        }
                        drop(app);
                    })
                    .await;
            }
        }
        let state = match self.conclude(run_id, &files, follower, Gone::Ended, stops).await {
            Ok(state) => state,
            Err(CannotBegin { kind, text }) => {
                self.end_without_stream(run_id, kind, text).await;
                RunState::Failed
            }
        };
        if let Some(run) = self.read(run_id).await {
            let config = self.app.settings.now().repo(&run.repo);
            self.tidy_up(&run, &files, state, &config);
        }
        state
    }

    /// Somebody ended the run before it began.
    async fn end_unbegun(&self, run_id: &RunId, files: &RunFiles) -> RunState {
        abort(&self.app, run_id, None).await;
        let files = files.clone();
        if let Err(error) = smol::unblock(move || workspaces::remove(&files)).await {
            self.app.notice(&format!("the workspace of run {run_id} cannot be removed: {error}"));
        }
        RunState::Aborted
    }

    async fn end_without_stream(&self, run_id: &RunId, kind: FailureKind, text: String) {
        let at_ms = quire_ci::clock::now().wall.ms();
        loop {
            let (wanted, text) = (run_id.clone(), text.clone());
            match self.app.write(move |rows| rows.fail_without_stream(&wanted, kind, &text, at_ms)).await {
                Ok(_) | Err(StoreError::Stopped { .. }) => return,
                Err(error) => self.app.behind(&error),
            }
            smol::Timer::after(PAUSE).await;
        }
    }

    /// After a run's end, beside whatever comes next: its workspace goes or stays, its size is noted.
    fn tidy_up(&self, run: &QueuedRun, files: &RunFiles, state: RunState, config: &RepoConfig) {
        let (app, run, files, keep) = (Arc::clone(&self.app), run.clone(), files.clone(), config.keep);
        smol::spawn(async move { super::keeping::after_run(&app, &run, &files, state, keep).await }).detach();
    }
}

/// Writes the end of a run that never began; a database that does not take it is asked again.
pub async fn abort(app: &App, run_id: &RunId, by: Option<&str>) {
    let at_ms = quire_ci::clock::now().wall.ms();
    loop {
        let (wanted, by) = (run_id.clone(), by.map(str::to_owned));
        match app.write(move |rows| rows.abort_pending(&wanted, by.as_deref(), at_ms)).await {
            Ok(_) => return,
            Err(StoreError::Stopped { .. }) => return,
            Err(error) => app.behind(&error),
        }
        smol::Timer::after(PAUSE).await;
    }
}

/// What a driver is told.
fn spec(run: &QueuedRun, config: &RepoConfig, secrets: BTreeMap<String, String>, workspace: &Workspace) -> Spec {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Spec {
        run_id: Some(run.run_id.to_string()),
        number: Some(run.number),
        repo: Some(run.repo.clone()),
        sha: Some(run.sha.clone()),
        ref_name: run.ref_name.clone(),
        pushed_at_ms: run.pushed_at_ms,
        executor: Some(config.executor.as_str().to_owned()),
        seed: None,
        params: run.params.clone(),
        env: config.env.clone(),
        secrets,
        jobs: run.jobs.clone(),
        keep_going: true,
        limits: SpecLimits {
            job_ms: Some(ms(config.limits.job)),
            idle_ms: Some(ms(config.limits.idle)),
            output_bytes: Some(config.limits.output_bytes),
        },
        resume: workspace.resume.clone(),
        slots: config.slots,
        notes: workspace.notes.clone(),
    }
}

/// `run 41 of work/foo.git`.
fn told(run: &QueuedRun) -> String {
    format!("run {} of {}", run.number, run.repo)
}

/// The last line of what a driver printed.
fn last_words(files: &RunFiles) -> Option<String> {
    let text = std::fs::read(files.path().join("quire-ci.log")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(|line| line.chars().take(400).collect())
}
