//! xixin (悉心, "with one's whole heart"): the queue-and-reminder daemon for follow-up work in public-service halls.
//!
//! The modules in reading order; each may use only those after it (`tests/it/layers.rs` reads the paths):
//!
//! ```text
//! cli → app → { http, engine, import } → { store, channel } → { lifecycle, telemetry, control } → { template, config } → domain      clock, durable, lock, plain, vault: leaves
//! ```

pub mod cli;

pub mod app;

pub mod engine;
pub mod http;
pub mod import;

pub mod channel;
pub mod store;

pub mod control;
pub mod lifecycle;
pub mod telemetry;

pub mod config;
pub mod template;

pub mod domain;

pub mod clock;
mod durable;
pub mod lock;
mod plain;
pub mod vault;
