//! `compile`: the Lua that the Fennel compiler makes of a file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use quire_core::engine::{Compiler, Limits, Source};
use quire_core::script::compile_fennel;

use super::no_fennel;
use crate::cli::{CliError, Context, Exit, styled};
use crate::workspace::{Workspace, WorkspaceError, find_fennel};

/// Options of `compile`.
#[derive(Debug, Clone, Args)]
pub struct CompileArgs {
    /// A Fennel file: the pipeline, a module, or any other
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Compiles one file and prints the Lua. Macros come from the modules of the workspace, where the file is in one.
pub fn run(context: &Context, args: CompileArgs) -> Result<Exit, CliError> {
    let text = std::fs::read(&args.file)
        .map_err(|error| CliError::machine(format!("cannot be read: {error}")).at(args.file.display()))?;
    let source = source(context.workspace().ok().as_ref(), &args, text)?;
    if let Compiler::NotFound(places) = &source.fennel {
        return Err(no_fennel(places));
    }
    match compile_fennel(&source, &source.file, &Limits::default()) {
        Ok(lua) => {
            writeln!(anstream::stdout().lock(), "{lua}")?;
            Ok(Exit::Complete)
        }
        Err(diagnostics) => {
            anstream::stderr().lock().write_all(CliError::pipeline(diagnostics).render(&styled).as_bytes())?;
            Ok(Exit::Failed)
        }
    }
}

/// The file as if it were the pipeline, under the name that it has in the workspace.
fn source(workspace: Option<&Workspace>, args: &CompileArgs, text: Vec<u8>) -> Result<Source, CliError> {
    let unreadable = |error: WorkspaceError| CliError::machine(error.to_string()).at(error.place().display());
    let named = args.file.display().to_string();
    let absolute = args.file.canonicalize().ok();
    let inside = workspace.zip(absolute).filter(|(workspace, file)| file.starts_with(&workspace.root));
    let (file, modules, fennel) = match &inside {
        Some((workspace, file)) => {
            let file = file.strip_prefix(&workspace.root).unwrap_or(file).display().to_string();
            (file, workspace.source().map_err(unreadable)?.modules, workspace.fennel().map_err(unreadable)?)
        }
        None => {
            let fennel = find_fennel(None).read();
            (named, BTreeMap::new(), fennel.map_err(|(file, why)| CliError::machine(why).at(file.display()))?)
        }
    };
    Ok(Source { file, text, modules, fennel })
}
