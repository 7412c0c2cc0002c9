//! `serve`: what the server is told on the command line. Flags win over the configuration.

use std::path::Path;

use clap::{Args, ValueEnum};
use quire_ci::cli::{CliError, Exit};
use quire_core::config::{Executor, ServerConfig};

use super::Context;

/// Options of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Listen for HTTP there [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Run at most N runs at once [default: the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_runs: Option<u32>,

    /// Who performs runs [default: quire-ci]
    #[arg(long, value_enum, value_name = "quire-ci|host", hide_possible_values = true)]
    pub executor: Option<ExecutorArg>,
}

/// `--executor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutorArg {
    /// A child a run, which outlives the server
    QuireCi,
    /// Inside the server, for trusted repositories
    Host,
}

impl From<ExecutorArg> for Executor {
    fn from(arg: ExecutorArg) -> Executor {
        match arg {
            ExecutorArg::QuireCi => Executor::QuireCi,
            ExecutorArg::Host => Executor::Host,
        }
    }
}

impl ServeArgs {
    /// The configuration of the data directory, with what the command line says instead.
    ///
    /// # Errors
    /// It cannot be used: all that is wrong with it.
    pub fn configuration(&self, data: &Path) -> Result<ServerConfig, CliError> {
        let loaded = super::config::read(data)?;
        super::config::warn(&loaded.warnings)?;
        let mut config = loaded.config;
        if let Some(listen) = &self.listen {
            config.listen.clone_from(listen);
        }
        config.max_runs = self.max_runs.or(config.max_runs);
        config.defaults.executor = self.executor.map(Executor::from).or(config.defaults.executor);
        Ok(config)
    }
}

/// Runs the server until it is told to stop.
pub fn run(context: &Context, args: ServeArgs) -> Result<Exit, CliError> {
    crate::server::serve(&context.data_dir, args)
}
