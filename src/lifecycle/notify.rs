//! What the service manager is told (sd_notify(3)). Without `$NOTIFY_SOCKET` nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Up, or up again after a reload.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; `ready` ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

pub(super) fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often the watchdog wants to hear from this process; `None` when it does not.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager cannot be told: {error}");
    }
}
