//! quire: the server. Pushes in, runs out, rows live. The smol shell around quire-core's queue and engine.
//!
//! - `api`: the JSON of the API, as types. `cli`: the command line; `backup`: copies; `http`: the API over HTTP and over the socket.
//! - `server`: the running server: its queue's owner, its followers of streams, its executors.
//! - `host`: runs inside this process. `repo`: repositories and their hooks. `spool`: pushes that came while it was down.

pub mod api;
pub mod backup;
pub mod cli;
pub mod client;
pub mod host;
pub mod http;
pub mod repo;
pub mod server;
pub mod spool;
