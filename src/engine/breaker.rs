//! Whether a provider is worth trying: three of its own faults in a row close it for a minute, a login it refused closes it at once.
//! Then it is probed: a mail server without a message (`engine::mailers`), an SMS gateway with one message at a time. SMS claimed before
//! may try as well, when they come to their line after that minute.

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
    /// Nothing is known of it yet, and no message is risked on it before a probe.
    unproven: bool,
    probing: bool,
    /// All its lines have been silent for a while, and it has answered nothing since.
    silent: bool,
}

/// How much may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Free,
    /// One message, or a probe without any, to see whether the provider is back.
    Probe,
    /// Nothing before this instant.
    Until(Timestamp),
}

impl Breaker {
    /// One that is probed before anything is sent.
    pub(crate) fn unproven() -> Self {
        Self(Mutex::new(State {
            unproven: true,
            ..State::default()
        }))
    }

    /// What may be tried at this instant.
    pub fn flow(&self, now: Timestamp) -> Flow {
        let state = self.state();
        match state.open_until {
            // One that lies further ahead was told by a clock that was wrong.
            Some(until) if now < until && until.duration_since(now) <= pause() => Flow::Until(until),
            Some(_) => Flow::Probe,
            None if state.unproven => Flow::Probe,
            None => Flow::Free,
        }
    }

    /// The provider answered, whatever it said about the message.
    pub fn answered(&self) {
        *self.state() = State::default();
    }

    /// It keeps all its lines waiting.
    pub(crate) fn fell_silent(&self) {
        self.state().silent = true;
    }

    /// Whether it has answered nothing since it fell silent.
    pub(crate) fn is_silent(&self) -> bool {
        self.state().silent
    }

    /// The provider took nothing. Returns true when this fault opened the breaker.
    pub fn fault(&self, now: Timestamp, reason: &str) -> bool {
        let mut state = self.state();
        state.faults = state.faults.saturating_add(1);
        if state.faults < FAULTS_MAX && !state.unproven && !state.probing {
            state.last_fault = Some(reason.to_owned());
            return false;
        }
        state.open(now, reason)
    }

    /// The provider will take nothing until somebody has done something, such as a login that it refused. Returns true when it was
    /// not known yet.
    pub(crate) fn shut(&self, now: Timestamp, reason: &str) -> bool {
        self.state().open(now, reason)
    }

    /// Whether it has to be probed before anything is known of it.
    pub(crate) fn is_unproven(&self) -> bool {
        self.state().unproven
    }

    /// Whether a probe is under way.
    pub(crate) fn is_probing(&self) -> bool {
        self.state().probing
    }

    /// Whether the caller is to probe now; whoever asks next is told no until the probe has come to an end.
    pub(crate) fn take_probe(&self, now: Timestamp) -> bool {
        let due = self.flow(now) == Flow::Probe;
        let mut state = self.state();
        let taken = due && !state.probing;
        state.probing |= taken;
        taken
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

impl State {
    fn open(&mut self, now: Timestamp, reason: &str) -> bool {
        let was_closed = self.open_until.is_none();
        *self = Self {
            faults: self.faults.max(FAULTS_MAX),
            open_until: Some(now.checked_add(pause()).unwrap_or(Timestamp::MAX)),
            last_fault: Some(reason.to_owned()),
            unproven: false,
            probing: false,
            silent: false,
        };
        was_closed
    }
}

fn pause() -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(PROVIDER_PAUSE_S).unwrap_or(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_secs(60);

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
        let minute = now + MINUTE;
        assert_eq!(breaker.flow(now), Flow::Until(minute));
        assert_eq!(breaker.flow(minute), Flow::Probe);
        assert!(!breaker.fault(minute, "x"), "it was open already");
        breaker.answered();
        assert_eq!(breaker.flow(minute), Flow::Free);
    }

    #[test]
    fn one_probe_at_a_time_and_the_first_that_fails_closes_what_nothing_was_known_of() {
        let (breaker, now) = (Breaker::unproven(), Timestamp::UNIX_EPOCH);
        assert_eq!(breaker.flow(now), Flow::Probe);
        assert_eq!([breaker.take_probe(now), breaker.take_probe(now)], [true, false]);
        assert!(breaker.fault(now, "x"));
        assert_eq!(breaker.flow(now), Flow::Until(now + MINUTE));
        assert!(!breaker.take_probe(now));
        assert_eq!(
            [breaker.take_probe(now + MINUTE), breaker.take_probe(now + MINUTE)],
            [true, false]
        );
        assert!(!breaker.fault(now + MINUTE, "y"), "it was open already");
        assert_eq!(breaker.flow(now + MINUTE), Flow::Until(now + MINUTE + MINUTE));
        assert_eq!(breaker.trouble().as_deref(), Some("y"));
    }

    #[test]
    fn one_that_was_closed_by_a_clock_far_ahead_is_probed_once_the_clock_is_right() {
        let (breaker, right) = (Breaker::default(), Timestamp::UNIX_EPOCH);
        breaker.shut(right + SignedDuration::from_hours(24 * 365), "x");
        assert_eq!(breaker.flow(right), Flow::Probe);
        breaker.shut(right, "x");
        assert_eq!(breaker.flow(right), Flow::Until(right + MINUTE));
    }

    #[test]
    fn a_silent_one_is_known_as_such_until_it_says_something() {
        let (breaker, now) = (Breaker::default(), Timestamp::UNIX_EPOCH);
        breaker.fell_silent();
        assert_eq!((breaker.is_silent(), breaker.flow(now)), (true, Flow::Free));
        assert!(!breaker.fault(now, "no answer in time"));
        assert!(breaker.is_silent(), "its other lines are as silent as before");
        breaker.answered();
        assert!(!breaker.is_silent());
    }

    #[test]
    fn a_refused_login_closes_at_once() {
        let (breaker, now) = (Breaker::default(), Timestamp::UNIX_EPOCH);
        assert_eq!([breaker.shut(now, "x"), breaker.shut(now, "x")], [true, false]);
        assert_eq!(breaker.flow(now), Flow::Until(now + MINUTE));
    }
}
