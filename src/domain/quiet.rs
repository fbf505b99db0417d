//! Sending hours: when residents may be written to, 08:00 to 21:00 unless the schedule says otherwise. Holidays are allowed.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::domain::milestone::instant;

/// From `from` until `to`, local time; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendingHours {
    pub from: Time,
    pub to: Time,
}

impl SendingHours {
    /// `at` itself inside the hours, else when they next begin.
    pub fn next_allowed(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let local = zone.to_datetime(at);
        let morning = if local.time() < self.from {
            instant(local.date(), self.from, zone)
        } else if local.time() < self.to {
            return at;
        } else {
            instant(local.date().tomorrow().unwrap_or(local.date()), self.from, zone)
        };
        // Where the date line moved, a day had no morning at all: then the next one.
        let shown = zone.to_datetime(morning);
        if shown.time() < self.from {
            instant(shown.date(), self.from, zone)
        } else {
            morning
        }
    }

    /// `at` itself inside the hours, else the last minute before it that was: for messages that cannot wait until morning.
    pub fn last_allowed_before(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let local = zone.to_datetime(at);
        if self.next_allowed(at, zone) == at {
            return at;
        }
        let day = if local.time() < self.from {
            local.date().yesterday().unwrap_or(local.date())
        } else {
            local.date()
        };
        let end = instant(day, self.to, zone);
        end.checked_sub(jiff::SignedDuration::from_mins(1)).unwrap_or(end)
    }
}
