//! A server under test: the API, a data directory, an owner of the queue that answers what it is told to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use quire::api::{Cancelled, PushAnswer, PushedRef, QueuedRun};
use quire::http::{Credentials, Limits, Listener, Listening, NoCredentials};
use quire::server::{App, Desk, DeskAsk, Refused};
use quire_ci::record::DataDir;
use quire_core::config::{Rule, ServerConfig};
use smol::channel::{self, Sender};
use tempfile::TempDir;

use crate::client::Place;

pub struct Server {
    pub tcp: Place,
    pub unix: Place,
    pub app: Arc<App>,
    pub asked: Arc<Mutex<Vec<String>>>,
    stop: Option<Sender<()>>,
    serving: Option<JoinHandle<()>>,
    dir: TempDir,
}

/// What a server is started with.
pub struct Setup {
    pub config: ServerConfig,
    pub limits: Limits,
    pub credentials: Arc<dyn Credentials>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { config: ServerConfig::default(), limits: Limits::default(), credentials: Arc::new(NoCredentials) }
    }
}

impl Setup {
    /// Everything of this repository is open.
    pub fn open(mut self, repo: &str) -> Setup {
        let rule = Rule { public: Some(true), open_logs: Some(true), ..Rule::default() };
        self.config.repos.insert(repo.to_owned(), rule);
        self
    }

    pub fn start(self) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let (desk, asks) = Desk::new();
        // Nothing is driven here: the program is never started.
        let app = Arc::new(App::new(data, self.config, desk, "/nonexistent".into()).unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        smol::spawn(async move {
            while let Ok(ask) = asks.recv().await {
                noted.lock().unwrap().push(format!("{ask:?}"));
                answer(ask);
            }
        })
        .detach();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let socket = dir.path().join("quire.sock");
        let unix = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let listeners = vec![Listener::tcp(tcp).unwrap(), Listener::unix(unix).unwrap()];
        let listening = Listening { listeners, limits: self.limits, credentials: self.credentials };
        let (stop, stopped) = channel::bounded::<()>(1);
        let served = Arc::clone(&app);
        let serving = std::thread::spawn(move || {
            smol::block_on(listening.serve(served, async move {
                let _ = stopped.recv().await;
            }))
        });
        Server {
            tcp: Place::Tcp(address),
            unix: Place::Unix(socket),
            app,
            asked,
            stop: Some(stop),
            serving: Some(serving),
            dir,
        }
    }
}

impl Server {
    pub fn data(&self) -> &Path {
        self.dir.path()
    }

    /// Makes what looks like a repository.
    pub fn repository(&self, name: &str) -> PathBuf {
        let path = self.data().join("repos").join(name);
        for part in ["objects", "refs"] {
            fs::create_dir_all(path.join(part)).unwrap();
        }
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        path
    }

    /// Stops it, and waits until it has.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap();
        }
    }

    /// The value of a metric, whole name with labels.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.unix.get("/metrics", &[]).text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Answers as an owner might; `refuse` in a repository's or branch's name is refused.
fn answer(ask: DeskAsk) {
    let queued = || QueuedRun {
        id: "0193a3a0-0000-7000-8000-00000000abcd".to_owned(),
        number: 41,
        url: "http://localhost/runs/41".to_owned(),
        waits: Some("2 runs are before it".to_owned()),
    };
    match ask {
        DeskAsk::Push { event, reply } => {
            let refs = event.refs.into_iter().map(|change| PushedRef {
                ref_name: change.ref_name,
                sha: Some(change.after),
                run: Some(queued()),
                not_run: None,
                trigger: None,
            });
            let _ = reply.try_send(Ok(PushAnswer { refs: refs.collect() }));
        }
        DeskAsk::Trigger { request, reply, .. } => {
            let _ = reply.try_send(match request.ref_name.as_deref() {
                Some("gone") => Err(Refused::NotFound("there is no branch \"gone\"".to_owned())),
                Some("bad") => Err(Refused::Bad("\"bad\" is bad".to_owned())),
                Some("busy") => Err(Refused::Unavailable("the server is stopping".to_owned())),
                _ => Ok(queued()),
            });
        }
        DeskAsk::Retry { request, reply, .. } => {
            let _ = reply.try_send(match request.failed {
                true => Err(Refused::Conflict("nothing of it failed".to_owned())),
                false => Ok(queued()),
            });
        }
        DeskAsk::Cancel { run_id, reply, .. } => {
            let state = "ending".to_owned();
            let _ = reply.try_send(Ok(Cancelled { id: run_id.as_str().to_owned(), state }));
        }
    }
}
