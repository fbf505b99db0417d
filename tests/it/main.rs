//! One integration binary; modules by subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod admin;
mod bad_config;
mod calendar;
mod channel_email;
mod channel_sms;
mod commands;
mod config;
mod config_keys;
mod crash;
mod digests;
mod documents;
mod engine;
mod import;
mod layers;
mod loops;
mod naive_period;
mod office;
mod period;
mod period_cli;
mod period_hours;
mod period_laws;
mod period_vectors;
mod plan;
mod plan_laws;
mod process;
mod providers;
mod quiet;
mod reload;
mod sms;
mod storage;
mod store;
mod support;
mod systemd;
mod texts;
mod traps;
