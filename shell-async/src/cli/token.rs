//! `token`: API tokens, which the database holds as hashes.

use std::io::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use quire_ci::cli::{CliError, Exit};
use quire_ci::clock;
use quire_ci::record::DataDir;
use quire_ci::store::{Hashed, NewToken, Store, TokenRecord};
use quire_ci::ui::text::pad;

use super::Context;
use crate::http::random;

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make a token and print it, this once
    #[command(after_help = "Examples:\n  quire token create ann --name laptop\n  \
        quire token create deploy-bot --role run --repo 'work/*' --days 90\n\n\
        Used as `Authorization: Bearer TOKEN`. The database holds only a hash of it.")]
    Create(CreateArgs),

    /// List the tokens; never their text
    #[command(after_help = "Example:\n  quire token list --json")]
    List(ListArgs),

    /// Remove a token: it opens nothing any more
    #[command(after_help = "Example:\n  quire token rm laptop")]
    Rm(RmArgs),
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Whom it speaks for: what `roles` and `admins` of the configuration give that name, it may
    #[arg(value_name = "IDENTITY")]
    pub identity: String,

    /// What to know it by in the list [default: the identity]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// The most it may do, whatever the name may: see runs and logs; also cancel, retry and trigger; everything
    #[arg(long, value_enum, value_name = "read|run|admin", default_value_t = RoleArg::Admin, hide_possible_values = true)]
    pub role: RoleArg,

    /// In these repositories only; `*` matches any characters (repeatable) [default: all]
    #[arg(long = "repo", value_name = "PATTERN")]
    pub repos: Vec<String>,

    /// For so many days [default: until it is removed]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
}

/// `--role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// See runs and logs
    Read,
    /// Cancel, retry, trigger
    Run,
    /// Everything
    Admin,
}

impl RoleArg {
    fn as_str(self) -> &'static str {
        match self {
            RoleArg::Read => "read",
            RoleArg::Run => "run",
            RoleArg::Admin => "admin",
        }
    }
}

/// Options of `token list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print one JSON object a token
    #[arg(long)]
    pub json: bool,
}

/// Options of `token rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Its name in the list
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Does what is asked with the tokens of the data directory, whether the server runs or not.
pub fn run(context: &Context, args: TokenArgs) -> Result<Exit, CliError> {
    let mut store = DataDir::open(&context.data_dir)?.open_store()?;
    match args.verb {
        TokenVerb::Create(args) => create(&mut store, args),
        TokenVerb::List(args) => list(&store, &args),
        TokenVerb::Rm(args) => remove(&mut store, &args),
    }
}

fn create(store: &mut Store, args: CreateArgs) -> Result<Exit, CliError> {
    if args.identity.trim().is_empty() {
        return Err(CliError::usage("a token speaks for somebody").at("IDENTITY"));
    }
    let random = random().ok_or_else(|| CliError::machine("this machine has no randomness to make a token of"))?;
    let text = format!("qt_{random}");
    let created_at_ms = clock::now().wall.ms();
    let token = NewToken {
        hash: Hashed::of(&text),
        name: args.name.unwrap_or_else(|| args.identity.clone()),
        identity: args.identity,
        role: args.role.as_str().to_owned(),
        repos: args.repos,
        created_at_ms,
        expires_at_ms: args.days.map(|days| created_at_ms.saturating_add(i64::from(days) * 86_400_000)),
    };
    if store.write(|writing| writing.create_token(&token))?.is_none() {
        return Err(CliError::usage(format!("there is a token {:?} already", token.name))
            .help(format!("give this one another: --name NAME; or remove that one: quire token rm {}", token.name)));
    }
    writeln!(anstream::stdout().lock(), "{text}")?;
    writeln!(anstream::stderr().lock(), "it is shown this once: the database holds a hash of it")?;
    Ok(Exit::Complete)
}

fn list(store: &Store, args: &ListArgs) -> Result<Exit, CliError> {
    let tokens = store.tokens()?;
    let mut out = anstream::stdout().lock();
    if args.json {
        for token in &tokens {
            writeln!(out, "{}", json(token))?;
        }
        return Ok(Exit::Complete);
    }
    let now_ms = clock::now().wall.ms();
    let width = tokens.iter().map(|token| token.name.chars().count()).max().unwrap_or(0);
    for token in &tokens {
        let repos = if token.repos.is_empty() { "all repositories".to_owned() } else { token.repos.join(", ") };
        let days = |at_ms: i64| (at_ms.saturating_sub(now_ms) / 86_400_000).unsigned_abs();
        let ends = match token.expires_at_ms {
            None => String::new(),
            Some(at_ms) if at_ms <= now_ms => ", expired".to_owned(),
            Some(at_ms) => format!(", for {} more days", days(at_ms)),
        };
        let used = match token.last_used_at_ms {
            None => "never used".to_owned(),
            Some(at_ms) => match days(at_ms) {
                0 => "used today".to_owned(),
                days => format!("used {days} days ago"),
            },
        };
        writeln!(
            out,
            "{}  for {}, at most {}, in {repos}{ends}; {used}",
            pad(&token.name, width, true),
            token.identity,
            token.role
        )?;
    }
    Ok(Exit::Complete)
}

fn json(token: &TokenRecord) -> serde_json::Value {
    serde_json::json!({
        "id": token.id, "name": token.name, "identity": token.identity, "role": token.role, "repos": token.repos,
        "created_at_ms": token.created_at_ms, "last_used_at_ms": token.last_used_at_ms, "expires_at_ms": token.expires_at_ms,
    })
}

fn remove(store: &mut Store, args: &RmArgs) -> Result<Exit, CliError> {
    if store.write(|writing| writing.remove_token(&args.name))? {
        return Ok(Exit::Complete);
    }
    let known: Vec<String> = store.tokens()?.into_iter().map(|token| token.name).collect();
    let help = if known.is_empty() { "there are none".to_owned() } else { format!("there are: {}", known.join(", ")) };
    Err(CliError::not_found(format!("there is no token {:?}", args.name)).help(help))
}
