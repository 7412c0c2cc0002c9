//! `quire serve`: from the lock of the data directory to the last answer.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Async;
use quire_ci::cli::{CliError, Exit};
use quire_ci::process::{become_subreaper, drivers};
use quire_ci::record::{Claim, DataDir, RunLock};
use quire_ci::store::{Hashed, QueuedRun};
use quire_core::config::ServerConfig;
use quire_core::ids::RunId;
use quire_core::queue::{Input, Limits, Origin, RepoPolicy};
use smol::Timer;
use smol::channel::Sender;

use super::app::App;
use super::desk::Desk;
use super::executor::Executors;
use super::hosted::Hosted;
use super::owner::{Fact, Owner};
use super::signals::{Signals, Wanted};
use super::{keeping, spooled};
use crate::cli::ServeArgs;
use crate::host::HostPool;
use crate::http::{Listener, Listening, StoredCredentials, own_name, random};
use crate::repo::{Repo, Repos, prepare_data_dir, share_socket};

/// How long a driver that an earlier server was starting has to take its run's lock.
const LOCKED_WITHIN: Duration = Duration::from_secs(10);
/// How long the login link lets in.
const LOGIN_MS: i64 = 3_600_000;
/// Threads on which engines of runs inside this process work.
const HOST_THREADS: usize = 1;

/// Serves until it is told to stop.
///
/// # Errors
/// For people: what keeps it from starting.
pub fn serve(data: &Path, args: ServeArgs) -> Result<Exit, CliError> {
    let mut config = args.configuration(data)?;
    let prepared = prepare_data_dir(data, config.group.as_deref())
        .map_err(|error| CliError::machine(format!("it cannot be made: {error}")).at(data.display()))?;
    let data = DataDir::open(data)?;
    let _lock = only_server(data.path())?;
    if let Err(error) = become_subreaper() {
        let _ = writeln!(
            anstream::stderr().lock(),
            "quire: processes that leave their group may outlive a host run: {error}"
        );
    }
    if let Err(error) = raise_descriptor_limit() {
        let _ = writeln!(anstream::stderr().lock(), "quire: many runs at once may lack file descriptors: {error}");
    }
    let signals =
        Signals::install().map_err(|error| CliError::machine(format!("signals cannot be listened to: {error}")))?;
    smol::block_on(async {
        let (desk, asks) = Desk::new();
        let listeners = listen(&mut config, &data)?;
        let app = Arc::new(App::new(data, config, desk, this_program())?);
        prepared.iter().for_each(|told| app.notice(told));
        let pool = HostPool::new(HOST_THREADS)
            .map_err(|error| CliError::machine(format!("no thread can be started: {error}")))?;
        let hosted = Arc::new(Hosted::new(pool));
        let executors = Executors { app: Arc::clone(&app), hosted: Arc::clone(&hosted) };
        let owner = Owner::new(executors, asks);
        let facts = owner.facts();
        // In this order: what goes on takes its places, and how much room there is is known, before anything starts.
        restore(&app, &facts).await?;
        keeping::look_at_disk(&app, &facts).await;
        tell_configuration(&app, &facts);
        let owner = smol::spawn(owner.run());
        smol::spawn(keeping::watch_disk(Arc::clone(&app), Arc::clone(&hosted), facts.clone())).detach();
        smol::spawn(keeping::prune(Arc::clone(&app))).detach();
        smol::spawn(spooled::take_in(Arc::clone(&app))).detach();
        let (closing, closed) = smol::channel::bounded::<()>(1);
        let credentials = StoredCredentials::new(app.readers.clone(), app.writer());
        let listening = Listening { credentials: Arc::new(credentials), ..Listening::new(listeners) };
        let web = smol::spawn(listening.serve(Arc::clone(&app), async move {
            let _ = closed.recv().await;
        }));
        greet(&app).await;
        while signals.next().await == Wanted::Reload {
            reload(&args, &app, &facts);
        }
        stop(&app, &facts, &hosted, &signals).await;
        drop(closing);
        web.await;
        drop(owner);
        keeping::remove_socket(&app.data.socket());
        app.stop_writing();
        Ok(Exit::Complete)
    })
}

/// A run takes some six descriptors, a viewer two, and the usual soft limit is 1024. What more than 65,536 would cost programs that
/// close all they could have is not asked for.
fn raise_descriptor_limit() -> io::Result<()> {
    let wanted = 65_536;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    if limit.current.is_some_and(|current| current < most) {
        let raised = rustix::process::Rlimit { current: Some(most), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    }
    Ok(())
}

/// Makes sure that no other server uses the data directory.
fn only_server(data: &Path) -> Result<RunLock, CliError> {
    let path = data.join("server.lock");
    RunLock::take(&path).map_err(|error| match error {
        quire_ci::record::RecordError::Held { holder, .. } => {
            let who = holder.map(|holder| format!(" (process {})", holder.pid)).unwrap_or_default();
            CliError::usage(format!("another server uses this data directory{who}"))
                .at(data.display())
                .help("stop that one first, or name another directory: --data-dir DIR")
        }
        error => CliError::from(error),
    })
}

fn listen(config: &mut ServerConfig, data: &DataDir) -> Result<Vec<Listener>, CliError> {
    let cannot = |place: &dyn std::fmt::Display, error: io::Error| {
        CliError::machine(format!("cannot listen there: {error}")).at(place)
    };
    let address: SocketAddr = config.listen.parse().map_err(|_| {
        CliError::usage(format!("{:?} is no address to listen to", config.listen))
            .help("write IP:PORT, such as 127.0.0.1:7878; names are not looked up")
    })?;
    let tcp = TcpListener::bind(address).map_err(|error| {
        cannot(&address, error)
            .help("choose another: --listen 127.0.0.1:PORT, or `listen` in the configuration; port 0 takes a free one")
    })?;
    // With port 0 the kernel chose one.
    config.listen = tcp.local_addr().map_err(|error| cannot(&address, error))?.to_string();
    let path = data.socket();
    // The lock is ours: whoever listened here is gone.
    keeping::remove_socket(&path);
    let unix = UnixListener::bind(&path).map_err(|error| cannot(&path.display(), error))?;
    share_socket(&path, config.group.as_deref()).map_err(|error| cannot(&path.display(), error))?;
    let tcp = Async::new(tcp).map_err(|error| cannot(&address, error))?;
    let unix = Async::new(unix).map_err(|error| cannot(&path.display(), error))?;
    Ok(vec![Listener::Tcp(tcp), Listener::Unix(unix)])
}

/// What the database and the run directories say of runs that are not over, told to the queue.
async fn restore(app: &Arc<App>, facts: &Sender<Fact>) -> Result<(), CliError> {
    let theirs = Arc::clone(app);
    let (open, notes) = smol::unblock(move || {
        if let Err(error) = theirs.spares.sweep() {
            theirs.notice(&format!("workspaces that were being made ahead stay: {error}"));
        }
        let mut store = theirs.data.open_store()?;
        let waiting: BTreeSet<RunId> = store.open_runs()?.into_iter().map(|run| run.run_id).collect();
        wait_for_locks(&theirs, &waiting);
        let recovered = theirs.data.recover(&mut store)?;
        Ok::<_, CliError>((store.open_runs()?, recovered.notes()))
    })
    .await?;
    notes.iter().for_each(|note| app.notice(note));
    for run in open {
        let claim = app.data.run(&run.run_id).and_then(|files| RunLock::claim(&files.lock()));
        let holder = match claim {
            Ok(Claim::Held(holder)) => Some(holder),
            Ok(Claim::Taken(_) | Claim::NoLock) | Err(_) => None,
        };
        let QueuedRun { run_id, repo, ref_name, number, origin, .. } = run;
        let pushed = matches!(origin, Some(Origin::Push));
        let running = holder.is_some();
        let input = Input::Restored { run_id: run_id.clone(), repo, ref_name, number, pushed, running };
        let _ = facts.try_send(Fact::Queue(input));
        if let Some(holder) = holder {
            let _ = facts.try_send(Fact::Adopt { run_id, holder });
        }
    }
    Ok(())
}

/// A driver that an earlier server had just started may not hold its lock yet: it is waited for, so that no run is driven twice.
fn wait_for_locks(app: &App, waiting: &BTreeSet<RunId>) {
    let begun = Instant::now();
    loop {
        let unlocked = |run_id: &RunId| {
            let claim = app.data.run(run_id).and_then(|files| RunLock::claim(&files.lock()));
            !matches!(claim, Ok(Claim::Held(_)))
        };
        let starting: Vec<_> = drivers(waiting).into_iter().filter(|(run_id, _)| unlocked(run_id)).collect();
        if starting.is_empty() {
            return;
        }
        if begun.elapsed() > LOCKED_WITHIN {
            for (run_id, driver) in starting {
                app.notice(&format!(
                    "the driver of run {run_id} does not begin; it is ended, and the run started anew"
                ));
                driver.kill();
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tell_configuration(app: &App, facts: &Sender<Fact>) {
    let config = app.settings.now();
    let cores = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
    let limits = Limits { max_runs: config.max_runs.unwrap_or(cores).max(1), min_free_bytes: config.min_free_bytes };
    let listed = Repos::of(app.data.path()).list().unwrap_or_default();
    let policy = |repo: Repo| {
        let name = repo.name.to_string();
        let repo = config.repo(&name);
        (name, RepoPolicy { supersede: repo.supersede, max_runs: repo.max_runs })
    };
    let repos = listed.into_iter().map(policy).collect();
    let _ = facts.try_send(Fact::Queue(Input::Configured { limits, repos }));
}

fn reload(args: &ServeArgs, app: &App, facts: &Sender<Fact>) {
    match args.configuration(app.data.path()) {
        Ok(config) => {
            // It is listened to where it was.
            let config = ServerConfig { listen: app.settings.now().listen.clone(), ..config };
            app.settings.replace(config);
            tell_configuration(app, facts);
            app.notice("the configuration was read again");
        }
        Err(error) => app.notice(&format!("the configuration stays as it was: {error}")),
    }
}

/// Drains: nothing more starts; runs inside this process may end by themselves for a while, then are cancelled; those that
/// quire-ci children drive go on.
async fn stop(app: &App, facts: &Sender<Fact>, hosted: &Hosted, signals: &Signals) {
    let _ = facts.try_send(Fact::Queue(Input::Draining));
    let count = hosted.count();
    let grace = app.settings.now().drain;
    if count > 0 {
        app.notice(&format!(
            "stopping: {count} run{} inside this process may go on for {}; stop again to cancel at once",
            if count == 1 { "" } else { "s" },
            quire_core::time::shown(grace)
        ));
        smol::future::or(
            smol::future::or(hosted.none(), async {
                Timer::after(grace).await;
            }),
            async {
                signals.next().await;
            },
        )
        .await;
        // Twice asked, commands are killed at once.
        let _ = facts.try_send(Fact::EndHostRuns);
        smol::future::or(hosted.none(), async {
            signals.next().await;
            let _ = facts.try_send(Fact::EndHostRuns);
            hosted.none().await;
        })
        .await;
    }
    app.notice("stopped; runs of quire-ci children go on, and are found again at the next start");
}

/// Says where it can be reached, and how to log in.
async fn greet(app: &App) {
    let config = app.settings.now();
    let mut out = anstream::stdout().lock();
    let _ =
        writeln!(out, "quire {} serves {} at {}", env!("CARGO_PKG_VERSION"), app.data.path().display(), config.url());
    match login_link(app).await {
        Ok(link) => drop(writeln!(out, "log in, once and within the hour: {link}")),
        Err(error) => app.notice(&format!("there is no login link: {error}")),
    }
    if let Some(port) = config.listen.rsplit(':').next().filter(|_| config.url.is_none()) {
        let _ = writeln!(
            out,
            "from another machine: ssh -L {port}:{} THIS-MACHINE, then the same link there",
            config.listen
        );
    }
    let _ = out.flush();
}

/// A link that logs one browser in as who runs this server.
async fn login_link(app: &App) -> Result<String, String> {
    let secret = random().ok_or("this machine has no randomness")?;
    let (hash, now_ms) = (Hashed::of(&secret), quire_ci::clock::now().wall.ms());
    let name = own_name();
    let made = app.write(move |rows| rows.create_login(&hash, &name, now_ms, now_ms + LOGIN_MS));
    made.await.map_err(|error| error.to_string())?;
    Ok(format!("{}/login/{secret}", app.settings.now().url()))
}

/// This program, also where its file was replaced since: the children that drive runs are of the server's own version.
fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
