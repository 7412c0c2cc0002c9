//! quire-core: the pure engine of quire. Facts in, orders out; no clock, file, process, socket, thread, environment, stdout.
//!
//! One [`engine::Engine`] is one run of a pipeline. Whoever owns it, a shell, tells it what happened and does what it orders:
//!
//! - [`Engine::handle`](engine::Engine::handle) takes a fact ([`engine::Input`], past tense) and the time at which it was seen.
//!   It only notes it down.
//! - [`Engine::poll_output`](engine::Engine::poll_output) gives the next order ([`engine::Output`], imperative). Orders are to be
//!   performed one by one: an event is in the record before the next order is begun. `None`: nothing to do for now.
//! - [`Engine::next_deadline`](engine::Engine::next_deadline) is when to come back with [`engine::Input::Tick`] if nothing happens
//!   before. A point that has passed means at once: scripts run in slices inside `poll_output`, and this is how one that is busy
//!   lets its shell look around.
//!
//! Time is an argument ([`time::Now`]), seeds and facts about the machine are in [`engine::Config`]: the same facts give the same
//! orders. After [`engine::Output::Done`] nothing follows. What commands print does not pass through the engine: for each
//! [`engine::Output::Spawn`] the shell feeds a [`capture::Capture`] and reports what it kept.
//!
//! A whole shell, over a machine on which every command prints `hi`:
//!
//! ```
//! use quire_core::capture::Capture;
//! use quire_core::engine::{Config, Engine, ExitStatus, Input, Output, Source};
//! use quire_core::ids::RunId;
//! use quire_core::time::{Mono, Now, Wall};
//! use quire_core::wire::{RunOutcome, Stream, encode};
//!
//! let text = br#"require("quire.ci").job("greet", function(rt) return { said = rt.out("greet") } end)"#;
//! let source = Source { file: ".quire/ci.lua".into(), text: text.to_vec(), ..Source::default() };
//! let config = Config::new(RunId::new("r-1"), source);
//! let (secrets, mut ms) = (config.secret_set.clone(), 0);
//! let at = |ms: u64| Now { mono: Mono(ms * 1_000_000), wall: Wall::from_ms(1_750_000_000_000 + ms as i64) };
//! let mut engine = Engine::new(config, at(ms));
//! let mut record = Vec::new();
//! let outcome = loop {
//!     match engine.poll_output() {
//!         Some(Output::Emit(event)) => encode(&event, &mut record),
//!         Some(Output::Spawn { sh, command, capture }) => {
//!             assert_eq!(command.argv.last().unwrap(), b"greet");
//!             let (mut capture, mut log) = (Capture::new(&capture, secrets.clone(), at(ms)), Vec::new());
//!             ms += 5;
//!             let _notice = capture.push(Stream::Stdout, b"hi\n", at(ms), &mut log);
//!             capture.end(Stream::Stdout, false, &mut log);
//!             capture.end(Stream::Stderr, false, &mut log);
//!             engine.handle(at(ms), Input::Exited { sh: sh.clone(), status: ExitStatus::Code(0) });
//!             engine.handle(at(ms), Input::OutputEnded { sh, captured: capture.into_captured() });
//!         }
//!         Some(Output::Sweep { scope }) => engine.handle(at(ms), Input::Swept { scope }),
//!         Some(Output::Done(outcome)) => break outcome,
//!         Some(order) => panic!("this machine cannot do {order:?}"),
//!         // A real shell waits here, until the deadline at the latest.
//!         None => {
//!             ms = engine.next_deadline().expect("something to wait for").0 / 1_000_000;
//!             engine.handle(at(ms), Input::Tick);
//!         }
//!     }
//! };
//! assert_eq!(outcome, RunOutcome::Complete);
//! let record = String::from_utf8(record).unwrap();
//! let finished = r#"{"at_ms":1750000000005,"type":"job_finished","job_id":"greet","outcome":"complete","output":{"said":"hi"}}"#;
//! assert!(record.contains(finished), "{record}");
//! ```

#![forbid(unsafe_code)]

pub mod access;
pub mod capture;
pub mod config;
pub mod cri;
pub mod digest;
pub mod engine;
pub mod estimate;
pub mod excerpt;
pub mod ids;
pub mod pairing;
pub mod pipeline;
pub mod queue;
pub mod recorder;
pub mod redact;
pub mod replay;
pub mod rows;
pub mod scheduler;
pub mod script;
pub mod search;
pub mod signal;
pub mod size;
pub mod standing;
pub mod terminal;
pub mod time;
pub mod wire;
