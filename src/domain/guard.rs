//! The blast guard: what too many messages at once are, and what is held then. Pure rules; who counts is the engine.
//!
//! It holds and never drops. A hold of many messages needs two people to be released; what only has to wait a moment (a changed text)
//! goes on by itself. What is critical is not held: it goes to the people who can phone, at once.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::text::Said;

/// How long before the end of its use a held message goes to people instead, in minutes.
pub const LAST_CALL_MIN: i64 = 60;
/// The days that tell what is usual.
pub const USUAL_DAYS: i64 = 28;

/// `[guard]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRule {
    /// So many messages may always leave on one day.
    pub run_min: u32,
    /// As many times the usual day may leave.
    pub run_times: u32,
    /// The same words may go to so many residents on one day.
    pub same_text: u32,
    /// The first messages of a day, whose outcomes are waited for.
    pub first: u32,
    /// More failures among them, in percent, are too many.
    pub failures_percent: u32,
    /// A changed text is tried on so many.
    pub new_text_first: u32,
    /// Then it waits.
    pub new_text_wait_minutes: u32,
}

/// Why many messages are held until people have looked at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blast {
    /// More on one day than is usual.
    Run,
    /// The same words to many.
    SameText,
    /// Too many of the first ones failed.
    Failures,
}

impl Blast {
    pub const ALL: [Self; 3] = [Self::Run, Self::SameText, Self::Failures];

    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::SameText => "same_text",
            Self::Failures => "failures",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Many messages, held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    pub kind: Blast,
    pub said: Said,
}

/// How many messages may leave on a day, by what left on the days before: `max(run_min, run_times × median)`. Days on which nothing
/// left say nothing about what is usual.
pub fn limit(rule: &GuardRule, days: &[u64]) -> u64 {
    let mut busy: Vec<u64> = days.iter().copied().filter(|sent| *sent > 0).collect();
    busy.sort_unstable();
    // Of two in the middle the smaller one.
    let median = busy.get(busy.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    u64::from(rule.run_min).max(u64::from(rule.run_times).saturating_mul(median))
}

/// Whether one more message would be too many for a day on which `run` have left.
pub fn over_run(run: u64, limit: u64) -> Option<Stopped> {
    (run >= limit).then(|| Stopped {
        kind: Blast::Run,
        said: Said::new(
            format!("批量保护: 今天已发{run}条,超过平常(上限{limit}条),其余暂扣待两人核准"),
            format!(
                "blast guard: {run} messages have left today, and the usual allows {limit}; the others are held until two people agree"
            ),
        ),
    })
}

/// Whether these words have gone to enough residents today.
pub fn over_same_text(rule: &GuardRule, told: u64) -> Option<Stopped> {
    (told >= u64::from(rule.same_text)).then(|| Stopped {
        kind: Blast::SameText,
        said: Said::new(
            format!("批量保护: 同一内容今天已发给{told}人,其余暂扣待两人核准"),
            format!(
                "blast guard: the same words have gone to {told} people today; the others are held until two people agree"
            ),
        ),
    })
}

/// Whether too many of the first messages failed.
pub fn too_many_failures(rule: &GuardRule, failed: u64) -> Option<Stopped> {
    let first = u64::from(rule.first);
    (failed * 100 > u64::from(rule.failures_percent) * first).then(|| Stopped {
        kind: Blast::Failures,
        said: Said::new(
            format!("批量保护: 今天前{first}条中已有{failed}条失败,其余暂扣待两人核准"),
            format!(
                "blast guard: {failed} of the first {first} messages of the day failed; the others are held until two people agree"
            ),
        ),
    })
}

/// A text that was changed, as far as it has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    pub sent: u64,
    pub first: Option<Timestamp>,
}

/// Until when a changed text waits; `None` when it may go.
pub fn new_text_waits(rule: &GuardRule, tried: Tried, now: Timestamp) -> Option<Timestamp> {
    let first = tried.first.filter(|_| tried.sent >= u64::from(rule.new_text_first))?;
    let wait = SignedDuration::from_mins(i64::from(rule.new_text_wait_minutes));
    let until = first.checked_add(wait).unwrap_or(Timestamp::MAX);
    (now < until).then_some(until)
}

/// The instant at which a held message goes to people instead of waiting on.
pub fn last_call(valid_until: Timestamp) -> Timestamp {
    let lead = SignedDuration::from_mins(LAST_CALL_MIN);
    valid_until.checked_sub(lead).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: GuardRule = GuardRule {
        run_min: 50,
        run_times: 5,
        same_text: 100,
        first: 20,
        failures_percent: 20,
        new_text_first: 5,
        new_text_wait_minutes: 10,
    };

    #[test]
    fn the_usual_is_the_median_of_the_days_on_which_something_left() {
        let cases: [(&[u64], u64); 8] = [
            (&[], 50),
            (&[0, 0, 0], 50),
            (&[10], 50),
            (&[11], 55),
            (&[0, 0, 30, 0], 150),
            // One day of a blast that two people released is no new usual.
            (&[20, 10_000, 22, 0, 21, 19], 105),
            (&[20, 40], 100),
            (&[u64::MAX], u64::MAX),
        ];
        for (days, expected) in cases {
            assert_eq!(limit(&RULE, days), expected, "{days:?}");
        }
    }

    #[test]
    fn each_rule_stops_at_its_own_number_and_not_one_before() {
        assert!(over_run(49, 50).is_none());
        assert_eq!(over_run(50, 50).unwrap().kind, Blast::Run);
        assert!(over_same_text(&RULE, 99).is_none());
        assert_eq!(over_same_text(&RULE, 100).unwrap().kind, Blast::SameText);
        assert!(too_many_failures(&RULE, 4).is_none(), "4 of 20 are 20 percent");
        assert_eq!(too_many_failures(&RULE, 5).unwrap().kind, Blast::Failures);
    }

    #[test]
    fn a_changed_text_goes_to_five_waits_ten_minutes_and_goes_on() {
        let start = Timestamp::UNIX_EPOCH;
        let after = |minutes| start + SignedDuration::from_mins(minutes);
        let tried = |sent| Tried {
            sent,
            first: Some(start),
        };
        assert_eq!(new_text_waits(&RULE, Tried::default(), start), None);
        assert_eq!(new_text_waits(&RULE, tried(4), start), None);
        assert_eq!(new_text_waits(&RULE, tried(5), start), Some(after(10)));
        assert_eq!(new_text_waits(&RULE, tried(5), after(9)), Some(after(10)));
        assert_eq!(new_text_waits(&RULE, tried(5), after(10)), None);
    }
}
