//! One integration binary; modules by subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod calendar;
mod channel_email;
mod channel_sms;
mod documents;
mod import;
mod naive_period;
mod office;
mod period;
mod period_cli;
mod period_hours;
mod period_laws;
mod period_vectors;
mod plan_laws;
mod quiet;
mod sms;
mod support;
mod texts;
mod traps;
