//! `graph`: draws the graph of jobs. How it looks is the core's.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use quire_core::pipeline::GraphFormat;

use super::{load_pipeline, read_source};
use crate::cli::{CliError, Context, Exit};

/// Options of `graph`.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// How to draw it
    #[arg(
        short,
        long,
        value_enum,
        value_name = "text|mermaid|json",
        default_value_t = Format::Text,
        hide_possible_values = true
    )]
    format: Format,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// A mermaid flowchart, for Markdown
    Mermaid,
    /// For programs
    Json,
}

/// Draws the graph of the workspace's pipeline.
pub fn run(context: &Context, args: GraphArgs) -> Result<Exit, CliError> {
    let workspace = context.workspace()?;
    let pipeline = load_pipeline(&workspace, &read_source(context, &workspace)?).map_err(CliError::pipeline)?;
    let format = match (args.json, args.format) {
        (true, _) | (_, Format::Json) => GraphFormat::Json,
        (_, Format::Text) => GraphFormat::Text,
        (_, Format::Mermaid) => GraphFormat::Mermaid,
    };
    anstream::stdout().lock().write_all(pipeline.draw(format).as_bytes())?;
    Ok(Exit::Complete)
}
