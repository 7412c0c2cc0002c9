//! What every part of the server holds.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quire_ci::record::DataDir;
use quire_ci::store::{GroupWriter, Store, StoreError, Writing};
use quire_core::config::ServerConfig;
use smol::channel;

use super::askers::Askers;
use super::desk::Desk;
use super::readers::Readers;
use super::spares::Spares;
use super::watcher::Watcher;
use crate::repo::{RepoName, Repos};

/// The configuration that is in force, replaced as a whole by a reload.
#[derive(Debug, Default)]
pub struct Settings(Mutex<Arc<ServerConfig>>);

impl Settings {
    /// Begins with this.
    pub fn new(config: ServerConfig) -> Settings {
        Settings(Mutex::new(Arc::new(config)))
    }

    /// What is in force now.
    pub fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.0))
    }

    /// From now on this is in force.
    pub fn replace(&self, config: ServerConfig) {
        *lock(&self.0) = Arc::new(config);
    }
}

/// What every part of the server holds; shared behind an [`Arc`].
#[derive(Debug)]
pub struct App {
    /// Paths.
    pub data: DataDir,
    /// The configuration.
    pub settings: Settings,
    /// The way to the queue.
    pub desk: Desk,
    /// Reading rows.
    pub readers: Readers,
    /// Waking those who follow files.
    pub watcher: Watcher,
    /// Gits that look at pushes.
    pub askers: Askers,
    /// Workspaces made ahead.
    pub spares: Spares,
    /// Writing rows.
    writer: Arc<GroupWriter>,
    /// The program that runs are driven by, as `PROGRAM ci run …`.
    program: PathBuf,
    /// Why rows are behind their streams, where they are.
    behind: Mutex<Option<String>>,
}

impl App {
    /// Over a data directory whose database exists. `program` is this program.
    ///
    /// # Errors
    /// Where the database cannot be opened.
    pub fn new(data: DataDir, config: ServerConfig, desk: Desk, program: PathBuf) -> Result<App, StoreError> {
        // Made or migrated before anyone reads.
        drop(Store::open(&data.database())?);
        Ok(App {
            writer: Arc::new(GroupWriter::start(&data.database())?),
            readers: Readers::new(data.database()),
            watcher: Watcher::new(),
            askers: Askers::default(),
            spares: Spares::of(data.path()),
            settings: Settings::new(config),
            behind: Mutex::default(),
            data,
            desk,
            program,
        })
    }

    /// The program that runs are driven by.
    pub fn program(&self) -> &PathBuf {
        &self.program
    }

    /// Writes rows in the next transaction; the answer comes once they are committed.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, answer) = channel::bounded(1);
        self.writer.write(work, move |result| drop(done.try_send(result)));
        let answer = answer.recv().await;
        if matches!(&answer, Ok(Ok(_))) && lock(&self.behind).take().is_some() {
            self.desk.note_behind(0);
            self.notice("rows are written again");
        }
        answer.unwrap_or_else(|_| Err(StoreError::Stopped { path: self.data.database() }))
    }

    /// The thread that writes.
    pub fn writer(&self) -> Arc<GroupWriter> {
        Arc::clone(&self.writer)
    }

    /// Writes what waits, and ends the writer.
    pub fn stop_writing(&self) {
        self.writer.stop();
    }

    /// Where a repository is.
    ///
    /// # Errors
    /// For people: there is none of this name.
    pub fn repo_path(&self, name: &str) -> Result<PathBuf, String> {
        let parsed = RepoName::parse(name).map_err(|why| format!("{name:?} is no name of a repository: {why}"))?;
        let found = Repos::of(self.data.path()).find(&parsed);
        found.map(|repo| repo.git_dir).map_err(|error| error.to_string())
    }

    /// Rows could not be written; they are tried again.
    pub fn behind(&self, error: &StoreError) {
        let text = error.to_string();
        let known = lock(&self.behind).replace(text.clone());
        self.desk.note_behind(u64::try_from(self.writer.pressure().rows).unwrap_or(u64::MAX).max(1));
        if known.as_ref() != Some(&text) {
            self.notice(&format!("rows are behind: {text}"));
        }
    }

    /// Tells whoever runs the server: a line on its standard error.
    pub fn notice(&self, text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "quire: {text}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
