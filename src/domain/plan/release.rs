//! When a coming of a rung is released to an audience: at its time, unless an acknowledgement silences it or, for residents and
//! relatives, it falls outside sending hours.
//!
//! The last coming that is released stands for all before it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::calendar::OffDay;
use crate::domain::case::{Acknowledgement, Case};
use crate::domain::ladder::{Audience, Ladder, Rung, Until};
use crate::domain::milestone::{Anchor, Milestone, Moment, instant};
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::mute;
use crate::domain::plan::occurrence::{Coming, Comings, DEFAULT_AT, comings, ends_at, is_towards};
use crate::domain::rulebook::Rulebook;

/// A rung as it applies to one item of one case.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'a> {
    pub rules: &'a Rulebook,
    pub case: &'a Case,
    pub dated: &'a Dated<'a>,
    pub ladder: &'a Ladder,
    pub rung: &'a Rung,
    pub anchor: Anchor,
}

/// The last coming that is released by now, and the next instant at which there can be another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Release {
    pub last: Option<Released>,
    pub next: Option<Timestamp>,
}

/// A coming, with the instant it is released at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    pub coming: Coming,
    pub at: Timestamp,
}

/// How long a reminder without a natural end stays worth sending, in days.
const DEFAULT_VALIDITY_DAYS: i64 = 14;

impl<'a> Applied<'a> {
    /// The rung on this item; `None` when the item has no such milestone.
    pub fn new(rules: &'a Rulebook, case: &'a Case, dated: &'a Dated<'a>, rung: &'a Rung) -> Option<Self> {
        Some(Self {
            rules,
            case,
            dated,
            ladder: dated.ladder?,
            rung,
            anchor: dated.anchor(rung.when.point().milestone)?,
        })
    }

    /// The comings around `now`, whoever they are for.
    pub fn comings(&self, now: Timestamp) -> Comings {
        let Some(history_until) = self.history_until() else {
            return comings(self.rules, self.rung, self.anchor.moment, now);
        };
        let past = comings(self.rules, self.rung, self.anchor.moment, now.min(history_until));
        Comings {
            next: past.next.filter(|next| next.at <= history_until),
            ..past
        }
    }

    /// What is released to `audience` by `now`, of `comings` around `now`.
    pub fn release(&self, audience: Audience, comings: &Comings, now: Timestamp) -> Release {
        let released = |coming: Coming| Released {
            coming,
            at: self.released_at(audience, coming.at, now),
        };
        let (last, next) = (comings.last.map(released), comings.next.map(released));
        let later = |at: &Timestamp| *at > now;
        let following = next.map(|next| next.at).filter(later);
        match (last, next) {
            // The night before the end was moved to the evening before it: one reminder stands for all that would come in it.
            (_, Some(next)) if next.at <= now => Release {
                last: self.final_coming(next).map(|coming| Released { coming, at: next.at }),
                next: Some(next.coming.at),
            },
            (Some(last), _) if last.at > now => Release {
                last: None,
                next: Some(following.map_or(last.at, |following| following.min(last.at))),
            },
            (last, _) => Release { last, next: following },
        }
    }

    /// Until when the rung is silent because somebody has acknowledged it. Only what has begun to ask can be acknowledged: whoever has
    /// seen a warning has not seen the loss.
    pub fn silenced_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.silence(now).map(|(_, until)| until).filter(|until| now < *until)
    }

    /// When the message is of no use any more. A target that was missed can still be caught up with; the end of a period or the start
    /// of a visit cannot. Call-backs never are of no use.
    pub fn valid_until(&self, released: Released, now: Timestamp) -> Timestamp {
        let end = match self.rung.when.point().milestone {
            Milestone::Opened => self.period_ends(),
            Milestone::Booked | Milestone::Moved | Milestone::Passed => self.useful_until(),
            // To ask again, to begin, to say how it goes: better a day late than not at all.
            Milestone::Due
            | Milestone::Overdue
            | Milestone::Retry
            | Milestone::Chase
            | Milestone::StartBy
            | Milestone::Silent => None,
            // What repeats on after its milestone tells of it.
            _ if !self.is_towards() || released.coming.at >= self.ends_at() => None,
            Milestone::TargetBy | Milestone::LastSafeDay | Milestone::End => self.period_ends(),
            _ => Some(self.ends_at()),
        };
        let end = end.unwrap_or_else(|| {
            let validity = SignedDuration::from_hours(24 * DEFAULT_VALIDITY_DAYS);
            released.at.max(now).checked_add(validity).unwrap_or(Timestamp::MAX)
        });
        self.dated.useful_until.map_or(end, |until| until.min(end))
    }

    /// How many comings before `coming` were never decided, as `is_decided` tells; not those of a time before the item was entered.
    pub fn missed_before(&self, coming: Coming, mut is_decided: impl FnMut(Coming) -> bool) -> u32 {
        let in_force = Moment::Day(self.ladder.in_force_from(self.rung)).starts_at(&self.rules.zone);
        let since = self.case.taken_up_at(self.dated.item).max(in_force);
        let mut missed = 0;
        let mut at = coming.at;
        while missed < MISSED_MAX {
            let Ok(before) = at.checked_sub(SignedDuration::from_nanos(1)) else {
                break;
            };
            let earlier = self.comings(before).last;
            match earlier.filter(|earlier| earlier.at >= since && !is_decided(*earlier)) {
                Some(earlier) => at = earlier.at,
                None => break,
            }
            missed += 1;
        }
        missed
    }

    fn released_at(&self, audience: Audience, at: Timestamp, now: Timestamp) -> Timestamp {
        let at = match self.silence(now) {
            Some((_, until)) if at < until => self.resumed_at(until),
            _ => at,
        };
        if !audience.is_public() || self.rules.schedule.sending_hours.next_allowed(at, &self.rules.zone) == at {
            return at;
        }
        // What has come about cannot be told before it did: when the morning would be too late, it goes at once.
        if !self.is_towards() && self.useful_until().is_some_and(|end| self.next_allowed(at) >= end) {
            return at;
        }
        into_sending_hours(self.rules, at, self.limit().filter(|limit| at < *limit))
    }

    /// The acknowledgement that was given by `now` and holds for this rung, be it over or not, and when it ends.
    pub(super) fn silence(&self, now: Timestamp) -> Option<(&'a Acknowledgement, Timestamp)> {
        if self.rung.until.unwrap_or(self.ladder.until) != Until::Acknowledged {
            return None;
        }
        let mark = self.dated.item.acknowledged().filter(|mark| mark.at <= now)?;
        let until = match mute::ends_by(self.rules, self.dated, mark) {
            Some(limit) => mark.until.min(limit),
            None => mark.until,
        };
        let has_begun = until > mark.at && self.comings(mark.at).last.is_some();
        has_begun.then_some((mark, until))
    }

    /// Asks again at the rung's own time of day, not in the night in which an acknowledgement ends.
    fn resumed_at(&self, until: Timestamp) -> Timestamp {
        let zone = &self.rules.zone;
        let time = self.rung.at.unwrap_or(DEFAULT_AT);
        let day = zone.to_datetime(until).date();
        let day = if instant(day, time, zone) < until {
            day.tomorrow().unwrap_or(day)
        } else {
            day
        };
        let day = match self.rung.off_day {
            OffDay::Stay => day,
            OffDay::Earlier | OffDay::Later => self.rules.calendar.workday_on_or_after(day),
        };
        let again = instant(day, time, zone).max(until);
        // Unless the rung comes by itself before then.
        let own = until.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(until);
        self.comings(own).next.map_or(again, |next| next.at.min(again))
    }

    /// The last coming before the end that `next` was moved to the evening before.
    fn final_coming(&self, next: Released) -> Option<Coming> {
        let last = self.limit().and_then(|limit| self.comings(limit).last);
        last.filter(|last| last.at >= next.coming.at).or(Some(next.coming))
    }

    /// The instant a reminder has to be out by, when it counts towards one.
    fn limit(&self) -> Option<Timestamp> {
        let end = match self.rung.when.point().milestone {
            Milestone::Due | Milestone::Overdue => None,
            Milestone::TargetBy | Milestone::LastSafeDay | Milestone::End => self.period_ends(),
            _ => Some(self.ends_at()),
        };
        end.filter(|_| self.is_towards()).map(|end| end.min(self.ends_at()))
    }

    /// When a message about a change is of no use any more: the visit has begun, or would have.
    fn useful_until(&self) -> Option<Timestamp> {
        let start = match self.rung.when.point().milestone {
            Milestone::Booked | Milestone::Moved | Milestone::Passed => self.dated.at(Milestone::Start),
            _ => None,
        };
        let start = start.map(|start| start.starts_at(&self.rules.zone));
        start.or(self.dated.useful_until)
    }

    fn next_allowed(&self, at: Timestamp) -> Timestamp {
        self.rules.schedule.sending_hours.next_allowed(at, &self.rules.zone)
    }

    fn period_ends(&self) -> Option<Timestamp> {
        self.dated.counted.as_ref().map(|counted| counted.end_at)
    }

    fn ends_at(&self) -> Timestamp {
        ends_at(self.rules, self.rung, self.anchor.moment)
    }

    fn is_towards(&self) -> bool {
        is_towards(self.rung.when.point())
    }

    /// For cases taken over from older records: a rung about something that had come about before. It is history however often it
    /// repeats; nothing of it comes after the take-over.
    fn history_until(&self) -> Option<Timestamp> {
        let imported = self.case.imported_at?;
        let zone = &self.rules.zone;
        let past = !self.is_towards() && self.anchor.moment.day(zone) < zone.to_datetime(imported).date();
        past.then(|| imported.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(imported))
    }
}

/// More comings than this are not counted one by one.
const MISSED_MAX: u32 = 999;

/// The instant a message to a resident may go: now, else the next morning, else, when that is too late, the evening before.
pub fn into_sending_hours(rules: &Rulebook, at: Timestamp, limit: Option<Timestamp>) -> Timestamp {
    let hours = &rules.schedule.sending_hours;
    let next = hours.next_allowed(at, &rules.zone);
    match limit {
        Some(limit) if next >= limit => hours.last_allowed_before(at, &rules.zone),
        _ => next,
    }
}
