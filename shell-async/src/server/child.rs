//! A quire-ci that drives a run: started as this server's child, or found alive by a server that was started anew.
//!
//! It does not depend on the server: it leads a session of its own, writes its record itself, and its output goes to a file.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use async_io::Async;
use async_process::{Child, Command};
use quire_ci::cli::Spec;
use quire_ci::commands::run::base_environment;
use quire_ci::process::{Adopted, DRIVES};
use quire_ci::record::{Holder, RunFiles};
use smol::io::AsyncWriteExt as _;

/// The exit code with which quire-ci says that it could not record (CONTRACT 5).
const RECORD_ERROR: i32 = 2;

/// A living driver.
#[derive(Debug)]
pub enum Driver {
    /// Ours.
    Child {
        /// The process.
        child: Child,
        /// How it is signalled; none where it was gone at once.
        handle: Option<Adopted>,
    },
    /// An earlier server's.
    Adopted(Async<Adopted>),
}

/// How a driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Our child said that it could not record.
    RecordError,
    /// Anything else: its stream tells, if anything does.
    Ended,
}

impl Driver {
    /// Starts `program ci run` for a run and hands it the spec, secrets included, on its standard input. `hidden` are variables of
    /// this process that it must not inherit.
    ///
    /// # Errors
    /// Where it cannot be started or does not take its spec.
    pub async fn start(
        program: &Path,
        files: &RunFiles,
        workspace: &Path,
        spec: &Spec,
        hidden: &[String],
    ) -> io::Result<Driver> {
        let log = File::options().append(true).create(true).open(files.path().join("quire-ci.log"))?;
        let mut command = std::process::Command::new(program);
        std::os::unix::process::CommandExt::arg0(&mut command, "quire");
        command.args(["ci", "run", "--quiet", "--workspace"]).arg(workspace).arg("--out-dir").arg(files.path());
        command.arg("--events").arg(files.events()).args(["--spec", "-"]);
        command.current_dir(workspace).env_clear().envs(base_environment(true, hidden));
        command.env(DRIVES, spec.run_id.as_deref().unwrap_or_default());
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        let text = serde_json::to_vec(spec).map_err(io::Error::other)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that is gone already says why in its log.
            let _ = stdin.write_all(&text).await;
            let _ = stdin.close().await;
        }
        let handle = Adopted::of_child(child.id()).ok();
        Ok(Driver::Child { child, handle })
    }

    /// The process that holds a run's lock; `None` where it is gone.
    ///
    /// # Errors
    /// Where the kernel gives no handle.
    pub fn adopt(holder: &Holder) -> io::Result<Option<Driver>> {
        Ok(match Adopted::of(holder)? {
            Some(adopted) => Some(Driver::Adopted(Async::new_nonblocking(adopted)?)),
            None => None,
        })
    }

    /// Waits for its end; each of `stops` asks it to end its run.
    pub async fn gone(&mut self, stops: &smol::channel::Receiver<()>) -> Gone {
        let stopping = async |handle: Option<&Adopted>| {
            while stops.recv().await.is_ok() {
                if let Some(handle) = handle {
                    handle.terminate();
                }
            }
            smol::future::pending::<Gone>().await
        };
        match self {
            Driver::Child { child, handle } => {
                let ended = async {
                    match child.status().await {
                        Ok(status) if status.code() == Some(RECORD_ERROR) => Gone::RecordError,
                        Ok(_) | Err(_) => Gone::Ended,
                    }
                };
                smol::future::or(ended, stopping(handle.as_ref())).await
            }
            Driver::Adopted(adopted) => {
                let ended = async {
                    let _ = adopted.readable().await;
                    Gone::Ended
                };
                smol::future::or(ended, stopping(Some(adopted.get_ref()))).await
            }
        }
    }
}
