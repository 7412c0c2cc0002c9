//! The API over real sockets, on loopback: records of real runs, a fake owner of the queue.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod actions;
mod client;
mod events;
mod limits;
mod logs;
mod openapi;
mod pages;
mod reading;
mod record;
mod server;
