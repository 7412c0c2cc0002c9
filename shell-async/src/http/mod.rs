//! HTTP: pages for people, and the API for scripts and for quire's own clients, over TCP and over the socket.
//!
//! - `listen`, `connection`, `limits`: sockets, one connection, and what is bounded. `site`: what all requests share.
//! - `respond`, `router`, `query`, `body`: from a request to its endpoint. `access`, `credentials`: who asks, and whether they may.
//! - `answers`, `failure`, `range`: what is answered, and how. `view`: rows to the API's types.
//! - `repos`, `repo_list`, `runs`, `find`, `actions`, `events`, `logs`, `health`, `metrics`, `badge`, `login`: the endpoints.
//! - `pages`: what people look at.
//! - `stored`, `tail`, `sse`: a stored file as an answer, following it, and telling it live.
//!
//! Viewers read what is stored, never what is being built: one that does not read slows nobody.

mod access;
mod actions;
mod answers;
mod badge;
mod body;
mod connection;
mod credentials;
mod events;
mod failure;
mod find;
mod health;
mod limits;
mod listen;
mod login;
mod logs;
mod metrics;
mod pages;
mod query;
mod range;
mod repo_list;
mod repos;
mod respond;
mod router;
mod runs;
mod site;
mod sse;
mod stored;
mod tail;
mod view;

pub use access::Peer;
pub use credentials::{Credentials, NoCredentials, SignedIn, StoredCredentials, Told, own_name, random};
pub use limits::Limits;
pub use listen::{Listener, Listening, serve};
pub use router::{Endpoint, ROUTES};
pub use view::{log_path, run_url};

/// The OpenAPI 3.1 description of the API, as it is served.
pub const OPENAPI: &str = include_str!("../../openapi.json");
