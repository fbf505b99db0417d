//! When a deferred reminder is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Waits after the first four tries that the recipient could not take; afterwards hourly.
const STEPS_MIN: [u64; 4] = [1, 5, 15, 30];
const THEN_MIN: u64 = 60;
/// Between two tries of a provider that takes nothing at all.
pub const PROVIDER_PAUSE_S: u64 = 60;

/// The instant of the next try after `tries` charged ones: 1, 5, 15, 30 minutes, then hourly ± 20 %, or what the provider asked for.
///
/// `seed` spreads reminders that failed together; the same seed and count give the same instant.
pub fn next_try(now: Timestamp, tries: u32, asked: Option<Duration>, seed: u64) -> Timestamp {
    let wait_s = asked.map_or_else(
        || match STEPS_MIN.get(usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX)) {
            Some(minutes) => minutes * 60,
            None => spread(THEN_MIN * 60, seed.wrapping_add(u64::from(tries))),
        },
        |asked| asked.as_secs().clamp(1, 3600),
    );
    now.checked_add(SignedDuration::from_secs(i64::try_from(wait_s).unwrap_or(3600)))
        .unwrap_or(Timestamp::MAX)
}

/// `base` ± 20 %, from a seed (SplitMix64's finalizer mixes it).
fn spread(base_s: u64, seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    base_s * 4 / 5 + mixed % (base_s * 2 / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_after_1_5_15_30_minutes_and_then_about_hourly() {
        let now = Timestamp::UNIX_EPOCH;
        for (tries, minutes) in [(1, 1), (2, 5), (3, 15), (4, 30)] {
            assert_eq!(next_try(now, tries, None, 7).as_second(), minutes * 60);
        }
        for seed in 0..1000 {
            let wait = next_try(now, 5, None, seed).as_second();
            assert!((48 * 60..=72 * 60).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn what_the_provider_asks_for_is_kept_between_a_second_and_an_hour() {
        let now = Timestamp::UNIX_EPOCH;
        for (asked, wait) in [(0, 1), (90, 90), (86_400, 3600)] {
            assert_eq!(next_try(now, 1, Some(Duration::from_secs(asked)), 0).as_second(), wait);
        }
    }
}
