//! Workspaces, a pool, and what a run left to look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use quire::host::{HostEnded, HostPool, HostRun, Stop};
use quire_ci::cli::Spec;
use quire_ci::process::become_subreaper;
use quire_ci::record::{RunDir, RunFiles};
use quire_core::cri::stream_bytes;
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::wire::{Decoded, Event, EventKind, JobFinished, Reader, ShFinished, Stream};
use smol::channel::{self, Sender};

/// A workspace with a pipeline; records of its runs beside it.
pub struct World {
    root: tempfile::TempDir,
}

/// A run that was started.
pub struct Going {
    pub files: RunFiles,
    pub stops: Sender<Stop>,
    ended: smol::Task<std::io::Result<HostEnded>>,
}

/// A run that has ended.
pub struct Ran {
    pub ended: HostEnded,
    pub files: RunFiles,
    pub events: Vec<Event>,
}

/// One thread for all tests, as in a server.
pub fn pool() -> &'static HostPool {
    static POOL: OnceLock<HostPool> = OnceLock::new();
    POOL.get_or_init(|| {
        // In place of the binary.
        become_subreaper().unwrap();
        HostPool::new(1).unwrap()
    })
}

/// Tests that end what other tests leave take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The pipeline is Lua, without the line that loads the API.
    pub fn new(pipeline: &str) -> World {
        let world = World { root: tempfile::tempdir().unwrap() };
        world.write(".quire/ci.lua", &format!("local ci = require(\"quire.ci\")\n{pipeline}"));
        world
    }

    /// A copy of a folder that holds a pipeline.
    pub fn copy_of(folder: &Path) -> World {
        let world = World { root: tempfile::tempdir().unwrap() };
        copy(folder, &world.workspace());
        world
    }

    pub fn workspace(&self) -> PathBuf {
        self.root.path().join("work space")
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.workspace().join(relative)
    }

    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub fn run(&self) -> Ran {
        self.start(Spec::default()).end()
    }

    pub fn run_with(&self, spec: Spec) -> Ran {
        self.start(spec).end()
    }

    pub fn start(&self, spec: Spec) -> Going {
        let run_id = RunId::new(&uuid::Uuid::now_v7().to_string());
        self.start_in(&self.root.path().join(run_id.as_str()), run_id, spec)
    }

    /// In a run directory that is made at this place.
    pub fn start_in(&self, path: &Path, run_id: RunId, spec: Spec) -> Going {
        let dir = RunDir::create(path).unwrap();
        fs::write(path.join("events.jsonl"), "").unwrap();
        let (stops, stopped) = channel::unbounded();
        let run = HostRun { run_id, dir, workspace: self.workspace(), spec, slots: 4, notes: Vec::new() };
        let ended = smol::spawn(pool().start(run, stopped));
        Going { files: RunFiles::at(path), stops, ended }
    }
}

impl Going {
    pub fn cancel(&self) {
        self.stops.try_send(Stop::Cancel).unwrap();
    }

    pub fn try_end(self) -> std::io::Result<HostEnded> {
        smol::block_on(self.ended)
    }

    #[track_caller]
    pub fn end(self) -> Ran {
        let ended = smol::block_on(self.ended).unwrap();
        Ran { ended, events: events(&self.files), files: self.files }
    }
}

/// The events of a record, whose lines are all good.
pub fn events(files: &RunFiles) -> Vec<Event> {
    let bytes = fs::read(files.events()).unwrap();
    let mut events = Vec::new();
    Reader::default().push(&bytes, |line| match line.decoded.unwrap() {
        Decoded::Event(event) => events.push(event),
        Decoded::Unknown(what) => panic!("{what:?}"),
    });
    events
}

impl Ran {
    /// How the commands of a job ended, in that order.
    pub fn commands(&self, job: &str) -> Vec<&ShFinished> {
        let of_job = |event: &'_ Event| matches!(&event.kind, EventKind::ShFinished(finished) if finished.job_id.as_str() == job);
        let finished = self.events.iter().filter(|event| of_job(event));
        finished
            .filter_map(|event| if let EventKind::ShFinished(finished) = &event.kind { Some(finished) } else { None })
            .collect()
    }

    #[track_caller]
    pub fn job(&self, job: &str) -> &JobFinished {
        let found = self.events.iter().find_map(|event| match &event.kind {
            EventKind::JobFinished(finished) if finished.job_id.as_str() == job => Some(finished),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{job} did not finish: {:#?}", self.events))
    }

    /// What a command printed, as its log has it.
    #[track_caller]
    pub fn logged(&self, job: &str, n: u32, stream: Stream) -> String {
        let log = fs::read(self.files.log(&sh(job, n)).unwrap()).unwrap();
        let no_eol = self.commands(job).get(n as usize - 1).is_some_and(|finished| finished.no_eol.contains(&stream));
        String::from_utf8(stream_bytes(&log, stream, no_eol).unwrap()).unwrap()
    }

    pub fn stdout(&self, job: &str, n: u32) -> String {
        self.logged(job, n, Stream::Stdout)
    }
}

pub fn sh(job: &str, n: u32) -> ShId {
    ShId { job: JobId::new(job).unwrap(), n }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Whether the process is there and no zombie.
pub fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 60, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
