//! One login at a time, and none after one that was refused.
//!
//! A wrong password that is tried by every connection and every message locks an account within a minute. So connections that log in
//! are opened one after the other, whoever waited while one failed shares its end, and after a refusal only a probe asks again: the
//! engine sends one a minute.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::connect::{Dialed, Dialer};
use super::failure::{Cause, Failure};
use super::outcome::Stage;

#[derive(Default)]
pub(crate) struct Logins {
    /// How the last one ended, when it failed.
    last: Mutex<Option<Failure>>,
    failed: AtomicU64,
}

impl Logins {
    /// A connection for a message.
    pub(crate) async fn open(&self, dialer: &Dialer) -> Result<Dialed, Failure> {
        if !dialer.logs_in() {
            return dialer.open().await;
        }
        let failed = self.failed.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        match *last {
            Some(failure) if is_refusal(failure) || self.failed.load(Ordering::Acquire) != failed => Err(failure),
            _ => self.log_in(dialer, &mut last).await,
        }
    }

    /// A connection for a probe, which asks whatever was said before.
    pub(crate) async fn again(&self, dialer: &Dialer) -> Result<Dialed, Failure> {
        let mut last = self.last.lock().await;
        self.log_in(dialer, &mut last).await
    }

    async fn log_in(&self, dialer: &Dialer, last: &mut Option<Failure>) -> Result<Dialed, Failure> {
        let opened = dialer.open().await;
        *last = opened.as_ref().err().copied();
        if opened.is_err() {
            self.failed.fetch_add(1, Ordering::Release);
        }
        opened
    }
}

/// The server has heard the password and did not take it.
fn is_refusal(failure: Failure) -> bool {
    matches!(
        failure,
        Failure {
            stage: Stage::Auth,
            cause: Cause::Reply { .. },
        }
    )
}
