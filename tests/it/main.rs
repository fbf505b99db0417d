//! One integration binary; modules by subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod channel_email;
mod channel_sms;
mod support;
