//! The pages as people meet them: the real server, real pushes, and a real browser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod axe;
mod everywhere;
mod hooks;
mod hostile;
mod http;
mod instruments;
mod keyboard;
mod large;
mod live;
mod pipelines;
mod shots;
#[path = "../serve/support.rs"]
#[allow(dead_code, reason = "the tests of `serve` use the rest of it")]
mod support;
mod webdriver;
