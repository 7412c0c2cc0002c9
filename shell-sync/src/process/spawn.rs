//! Starting one command: which program, in which directory, with which environment and pipes; and the words for what went wrong.
//!
//! Everything here keeps std's posix_spawn path: a program with a slash in it, no `pre_exec`, no user id.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quire_core::engine::{CommandSpec, SpawnFailure};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::Pid;

use super::streams::Pipes;

/// What a PATH that is not set means to execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Plans how to start commands of one run.
#[derive(Debug)]
pub struct Launcher {
    /// Absolute: a command's directory and a program named by a relative path hang below it.
    workspace: PathBuf,
    env: BTreeMap<OsString, OsString>,
}

/// A command that is ready to start.
#[derive(Debug)]
pub struct Planned {
    command: Command,
    theirs: [Stdio; 3],
    ours: Pipes<OwnedFd>,
    program: PathBuf,
    cwd: PathBuf,
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Launched {
    /// The process, leader of a group of its own. It is ours to reap.
    pub pid: Pid,
    pub pipes: Pipes<OwnedFd>,
}

impl Launcher {
    /// For commands that start in `workspace` with `env`, where they say nothing else.
    pub fn new(workspace: PathBuf, env: BTreeMap<OsString, OsString>) -> Launcher {
        Launcher { workspace, env }
    }

    /// How to start the command, with one pipe for both outputs under `merge`.
    pub fn plan(&self, spec: &CommandSpec, merge: bool) -> Result<Planned, SpawnFailure> {
        let Some((name, arguments)) = spec.argv.split_first() else {
            return Err(SpawnFailure::Other { message: "the command is empty".to_owned() });
        };
        // Joined to an absolute path, an absolute one replaces it and an empty one only adds a slash.
        let cwd = if spec.cwd.is_empty() { self.workspace.clone() } else { self.workspace.join(&spec.cwd) };
        let program = resolve(OsStr::from_bytes(name), self.path(spec), &cwd)?;
        let mut command = Command::new(&program);
        command.arg0(OsStr::from_bytes(name)).args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
        command.current_dir(&cwd).process_group(0).env_clear().envs(&self.env);
        for (variable, value) in &spec.env {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let program = cwd.join(program);
        let (theirs, ours) = pipes(spec.stdin.is_some(), merge).map_err(|error| explain(&error, &program, &cwd))?;
        Ok(Planned { command, theirs, ours, program, cwd })
    }

    /// Starts the command; it has begun to execute its program when this returns.
    pub(super) fn launch(&self, spec: &CommandSpec, merge: bool) -> Result<Launched, SpawnFailure> {
        let (mut command, [stdin, stdout, stderr], pipes, explain) = self.plan(spec, merge)?.parts();
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().map_err(|error| explain(&error))?;
        Ok(Launched { pid: Pid::from_child(&child), pipes })
    }

    fn path<'a>(&'a self, spec: &'a CommandSpec) -> &'a OsStr {
        match spec.env.get("PATH") {
            Some(Some(path)) => OsStr::new(path),
            Some(None) => OsStr::new(DEFAULT_PATH),
            None => self.env.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str),
        }
    }
}

impl Planned {
    /// What to start, but for its standard streams; these, as the command is to have them; our ends of them, close-on-exec and
    /// non-blocking; and the words for a start that fails.
    pub fn parts(self) -> (Command, [Stdio; 3], Pipes<OwnedFd>, impl Fn(&io::Error) -> SpawnFailure) {
        let Planned { command, theirs, ours, program, cwd } = self;
        (command, theirs, ours, move |error| explain(error, &program, &cwd))
    }
}

/// The command's ends and ours.
fn pipes(feed: bool, merge: bool) -> io::Result<([Stdio; 3], Pipes<OwnedFd>)> {
    let (stdout, out) = pipe()?;
    let (stderr, err) = match merge {
        true => (None, out.try_clone()?),
        false => pipe().map(|(stderr, err)| (Some(stderr), err))?,
    };
    let (stdin, theirs) = match feed {
        true => {
            let (theirs, stdin) = io::pipe()?;
            rustix::io::ioctl_fionbio(&stdin, true)?;
            (Some(stdin), Stdio::from(theirs))
        }
        false => (None, Stdio::null()),
    };
    let ours = Pipes { stdin: stdin.map(OwnedFd::from), stdout: stdout.into(), stderr: stderr.map(OwnedFd::from) };
    Ok(([theirs, out.into(), err.into()], ours))
}

/// A pipe whose reading end never blocks; the writing end goes to a command and must block.
fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(reader.as_fd(), true)?;
    Ok((reader, writer))
}

/// What to execute from the command's directory, as execvp(3) would find it: a path with a slash in it.
fn resolve(name: &OsStr, path: &OsStr, cwd: &Path) -> Result<PathBuf, SpawnFailure> {
    if name.as_bytes().contains(&b'/') {
        let program = cwd.join(name);
        return match executable(&program) {
            // Left as it was written, so that a script's $0 is: it is looked up after the change of directory.
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(cwd_failure(cwd).unwrap_or(SpawnFailure::NotFound { searched: String::new() }))
            }
            Err(error) => Err(other(&program, error.into())),
        };
    }
    let mut denied = None;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry is the command's directory; a relative one hangs below it.
        let program = cwd.join(OsStr::from_bytes(folder)).join(name);
        match executable(&program) {
            Ok(()) if !name.is_empty() => return Ok(program),
            Err(Errno::ACCESS) => denied = denied.or(Some(program)),
            _ => (),
        }
    }
    match denied {
        Some(program) => Err(other(&program, Errno::ACCESS.into())),
        None => Err(SpawnFailure::NotFound { searched: path.to_string_lossy().into_owned() }),
    }
}

/// Whether the file may be executed. A directory may not, whatever its mode.
fn executable(program: &Path) -> Result<(), Errno> {
    access(program, Access::EXEC_OK)?;
    match rustix::fs::stat(program) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => Ok(()),
        Ok(_) => Err(Errno::ACCESS),
        Err(error) => Err(error),
    }
}

/// Why a program that was there did not start.
fn explain(error: &io::Error, program: &Path, cwd: &Path) -> SpawnFailure {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) if let Some(failure) = cwd_failure(cwd) => failure,
        Some(Errno::NOENT) => match interpreter(program) {
            Some(line) => message(program, &format!("its interpreter was not found: {line}")),
            None => message(program, "its dynamic loader was not found (built for another system?)"),
        },
        Some(Errno::NOEXEC) => {
            message(program, "neither a program for this machine nor a script that begins with #! and its interpreter")
        }
        _ => other(program, io::Error::new(error.kind(), error.to_string())),
    }
}

/// The directory's failure, where a command cannot start in it.
fn cwd_failure(cwd: &Path) -> Option<SpawnFailure> {
    let problem = match fs::metadata(cwd) {
        Ok(metadata) if !metadata.is_dir() => Errno::NOTDIR.into(),
        Ok(_) => io::Error::from(access(cwd, Access::EXEC_OK).err()?),
        Err(error) => error,
    };
    Some(SpawnFailure::Cwd { message: format!("{}: {problem}", cwd.display()) })
}

/// The first line of a script, where it names an interpreter.
fn interpreter(program: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next())?;
    Some(format!("#!{}", String::from_utf8_lossy(line)))
}

fn other(program: &Path, error: io::Error) -> SpawnFailure {
    message(program, &error.to_string())
}

fn message(program: &Path, problem: &str) -> SpawnFailure {
    SpawnFailure::Other { message: format!("{}: {problem}", program.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "late", "sub dir", "late/folder"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for (file, text, mode) in [
            ("bin/tool", "#!/bin/sh\n", 0o755),
            ("late/tool", "#!/bin/sh\n", 0o755),
            ("bin/plain", "text", 0o644),
            ("late/plain", "#!/bin/sh\n", 0o755),
            ("bin/only-plain", "text", 0o644),
            ("lost", "#!/no/such/interpreter -x\nrest", 0o755),
            ("garbage", "\u{1}\u{2}\u{3}", 0o755),
        ] {
            let file = root.path().join(file);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        root
    }

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        let root = workspace();
        let at = |relative: &str| root.path().join(relative);
        let path = format!("{}:/no/such:late", at("bin").display());
        for (name, cwd, expected) in [
            ("tool", "", Some("bin/tool")),
            ("plain", "", Some("late/plain")),
            ("./bin/tool", "", Some("bin/tool")),
            ("../bin/tool", "sub dir", Some("bin/tool")),
            ("tool", "sub dir", Some("bin/tool")),
            ("plain", "sub dir", None),
            ("folder", "", None),
            ("only-plain", "", None),
            ("none", "", None),
            ("", "", None),
            ("./none", "", None),
        ] {
            let found = resolve(OsStr::new(name), OsStr::new(&path), &at(cwd));
            let found = found.ok().map(|program| fs::canonicalize(at(cwd).join(program)).unwrap());
            assert_eq!(found, expected.map(|file| fs::canonicalize(at(file)).unwrap()), "{name} in {cwd:?}");
        }
        let empty_entry = resolve(OsStr::new("tool"), OsStr::new(":/none"), &at("late"));
        assert_eq!(empty_entry, Ok(at("late/tool")));
    }

    #[test]
    fn a_failure_says_what_was_wrong() {
        let root = workspace();
        let launcher = Launcher::new(root.path().to_owned(), BTreeMap::from([("PATH".into(), "/no/such:bin".into())]));
        let failure = |argv: &[&str], cwd: &str| {
            let argv = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
            let spec = CommandSpec { argv, cwd: cwd.to_owned(), env: BTreeMap::new(), stdin: None };
            match launcher.launch(&spec, false).unwrap_err() {
                SpawnFailure::NotFound { searched } => format!("not found in {searched}"),
                SpawnFailure::Cwd { message } => format!("cwd {message}"),
                SpawnFailure::Other { message } => message,
            }
        };
        let at = |relative: &str| root.path().join(relative).display().to_string();
        for (argv, cwd, expected) in [
            (&["none"][..], "", "not found in /no/such:bin".to_owned()),
            (&["./none"], "", "not found in ".to_owned()),
            (&["only-plain"], "", format!("{}: Permission denied (os error 13)", at("bin/only-plain"))),
            (&["./late"], "", format!("{}: Permission denied (os error 13)", at("./late"))),
            (&["/bin/sh"], "gone", format!("cwd {}: No such file or directory (os error 2)", at("gone"))),
            (&["./x"], "gone", format!("cwd {}: No such file or directory (os error 2)", at("gone"))),
            (&["/bin/sh"], "lost", format!("cwd {}: Not a directory (os error 20)", at("lost"))),
            (&["./lost"], "", format!("{}: its interpreter was not found: #!/no/such/interpreter -x", at("./lost"))),
            (
                &["./garbage"],
                "",
                format!(
                    "{}: neither a program for this machine nor a script that begins with #! and its interpreter",
                    at("./garbage")
                ),
            ),
            (&[], "", "the command is empty".to_owned()),
        ] {
            assert_eq!(failure(argv, cwd), expected, "{argv:?}");
        }
        assert!(failure(&["/bin/sh", "nul\0byte"], "").contains("nul byte"));
        assert!(failure(&["/bin/sh", &"x".repeat(4_000_000)], "").contains("Argument list too long"));
    }
}
