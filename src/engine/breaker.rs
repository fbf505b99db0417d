//! Whether a provider is worth trying: three of its own faults in a row close it for a minute; then the sender claims one message at
//! a time to probe it. Messages claimed before may try as well, when they come to their line after that minute.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use crate::domain::retry::PROVIDER_PAUSE_S;

const FAULTS_MAX: u32 = 3;

#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default, Clone)]
struct State {
    faults: u32,
    open_until: Option<Timestamp>,
    last_fault: Option<String>,
}

/// How much may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Free,
    /// One message, to see whether the provider is back.
    Probe,
    /// Nothing before this instant.
    Until(Timestamp),
}

impl Breaker {
    /// What may be tried at this instant.
    pub fn flow(&self, now: Timestamp) -> Flow {
        match self.state().open_until {
            Some(until) if now < until => Flow::Until(until),
            Some(_) => Flow::Probe,
            None => Flow::Free,
        }
    }

    /// The provider answered, whatever it said about the message.
    pub fn answered(&self) {
        *self.state() = State::default();
    }

    /// The provider took nothing. Returns true when this fault opened the breaker.
    pub fn fault(&self, now: Timestamp, reason: &str) -> bool {
        let mut state = self.state();
        state.faults = state.faults.saturating_add(1);
        state.last_fault = Some(reason.to_owned());
        if state.faults < FAULTS_MAX {
            return false;
        }
        let was_closed = state.open_until.is_none();
        let pause = SignedDuration::from_secs(i64::try_from(PROVIDER_PAUSE_S).unwrap_or(60));
        state.open_until = Some(now.checked_add(pause).unwrap_or(Timestamp::MAX));
        was_closed
    }

    /// What the provider said last, while it is not trusted.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state();
        state.open_until.and(state.last_fault.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_faults_in_a_row_close_a_provider_for_a_minute_and_an_answer_opens_it() {
        let breaker = Breaker::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(
            [
                breaker.fault(now, "x"),
                breaker.fault(now, "x"),
                breaker.fault(now, "x")
            ],
            [false, false, true]
        );
        let minute = now + SignedDuration::from_secs(60);
        assert_eq!(breaker.flow(now), Flow::Until(minute));
        assert_eq!(breaker.flow(minute), Flow::Probe);
        assert!(!breaker.fault(minute, "x"), "it was open already");
        breaker.answered();
        assert_eq!(breaker.flow(minute), Flow::Free);
    }
}
