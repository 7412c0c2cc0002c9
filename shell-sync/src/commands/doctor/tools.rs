//! Programs that runs use: shells, git, container engines, the Fennel compiler.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quire_core::engine::Compiler;
use quire_core::script::{INSTALL_FENNEL, fennel_version};

use super::Finding;
use crate::workspace::{FENNEL_VARIABLE, Workspace, find_fennel};

pub(super) fn look(workspace: Option<&Workspace>) -> Vec<Finding> {
    vec![sh(), bash(), git(), containers(), fennel(workspace)]
}

/// The program's file by PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The first line that `program --version` prints.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

fn sh() -> Finding {
    let Some(path) = find("sh") else {
        return Finding::fail("sh: not in PATH", "rt.sh(\"…\") needs it: put the folder of a POSIX shell into PATH");
    };
    match path.canonicalize() {
        Ok(real) if real != path => Finding::ok(format!("sh: {}, which is {}", path.display(), real.display())),
        _ => Finding::ok(format!("sh: {}", path.display())),
    }
}

fn bash() -> Finding {
    match find("bash") {
        Some(path) => Finding::ok(format!("bash: {}", path.display())),
        None => Finding::ok("bash: not in PATH; only shell = \"bash\" needs it"),
    }
}

fn git() -> Finding {
    const HELP: &str = "runs lack the state of the work tree, and --at cannot work: install git";
    match find("git") {
        None => Finding::warn("git: not in PATH", HELP),
        Some(path) => match version(&path) {
            Some(version) => Finding::ok(format!("git: {}", version.trim_start_matches("git version "))),
            None => Finding::warn(format!("git: {} does not start", path.display()), HELP),
        },
    }
}

fn containers() -> Finding {
    let found: Vec<String> = ["podman", "docker"]
        .into_iter()
        .filter_map(|name| find(name).map(|path| version(&path).unwrap_or_else(|| format!("{name} does not start"))))
        .collect();
    match found.is_empty() {
        true => Finding::ok("containers: neither podman nor docker; only pipelines that name an image need one"),
        false => Finding::ok(format!("containers: {}", found.join("; "))),
    }
}

fn fennel(workspace: Option<&Workspace>) -> Finding {
    let is_needed = workspace.is_some_and(|workspace| workspace.pipeline.ends_with(".fnl"));
    let compiler = find_fennel(workspace.map(|workspace| workspace.root.as_path())).read();
    let told = match compiler {
        Ok(Compiler::Found(compiler)) => match fennel_version(&compiler) {
            Ok(version) => return Finding::ok(format!("fennel: {version}, {}", compiler.path)),
            Err(why) => why,
        },
        Ok(Compiler::NotFound(places)) if is_needed => {
            format!(
                "the pipeline is written in it, and its compiler is not installed: looked at {places}; {INSTALL_FENNEL}"
            )
        }
        Ok(Compiler::NotFound(_) | Compiler::NotSought) => {
            let what = format!("fennel: not found; only .quire/ci.fnl needs it ({FENNEL_VARIABLE} can name it)");
            return Finding::ok(what);
        }
        Err((path, why)) => format!("{} cannot be read: {why}; name another in {FENNEL_VARIABLE}", path.display()),
    };
    let (what, help) = told.split_once("; ").unwrap_or((&told, INSTALL_FENNEL));
    let what = format!("fennel: {what}");
    if is_needed { Finding::fail(what, help) } else { Finding::warn(what, help) }
}
