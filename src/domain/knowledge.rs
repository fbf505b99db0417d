//! Knowledge notes: what the hall has found out about a rule, with its source, and when somebody has to look at the source again.
//!
//! A review falls due on the day that lies the review period after the last check, on a rest day as well: it is shown from then on
//! until the file carries a new date. Who sees it is the digest's to decide; here stands who keeps it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Span;
use jiff::civil::Date;

use crate::domain::ids::{MatterId, NoteId, PeriodId, StaffId};
use crate::domain::period::{Period, PeriodUnit};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

/// `knowledge.toml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Knowledge {
    pub notes: BTreeMap<NoteId, Note>,
    /// How the kinds of deadline are reviewed; without it nobody is asked to.
    pub periods: Option<PeriodReview>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    pub id: NoteId,
    pub title: Said,
    pub text: Said,
    pub source: String,
    pub checked: Date,
    pub review: Period,
    pub keeper: StaffId,
    /// For which matters it is of use; none means for all.
    pub matters: BTreeSet<MatterId>,
}

/// How long a checked kind of deadline is trusted, and by whom it is checked again.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodReview {
    pub review: Period,
    pub keeper: StaffId,
}

/// A check that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    pub of: Reviewed,
    pub title: Said,
    pub source: String,
    pub keeper: StaffId,
    pub checked: Date,
    /// The first day on which it is due.
    pub due: Date,
}

/// What has to be compared with its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reviewed {
    Note(NoteId),
    Period(PeriodId),
}

/// The checks due on `day`, the oldest first. A kind of deadline that was never checked has no date to count from: `xixin check`
/// tells of it.
pub fn reviews_due(rules: &Rulebook, day: Date) -> Vec<Review> {
    let notes = rules.knowledge.notes.values().map(|note| Review {
        of: Reviewed::Note(note.id.clone()),
        title: note.title.clone(),
        source: note.source.clone(),
        keeper: note.keeper.clone(),
        checked: note.checked,
        due: due(note.checked, note.review),
    });
    let periods = rules.knowledge.periods.iter().flat_map(|how| {
        rules.periods.values().filter_map(|kind| {
            let checked = kind.checked?;
            Some(Review {
                of: Reviewed::Period(kind.id.clone()),
                title: kind.name.clone(),
                source: kind.source.clone(),
                keeper: how.keeper.clone(),
                checked,
                due: due(checked, how.review),
            })
        })
    });
    let mut reviews: Vec<Review> = notes.chain(periods).filter(|review| review.due <= day).collect();
    reviews.sort_by(|a, b| (a.due, &a.of).cmp(&(b.due, &b.of)));
    reviews
}

/// Units in which a review period can be given.
pub const REVIEW_UNITS: [PeriodUnit; 4] = [
    PeriodUnit::Years,
    PeriodUnit::Months,
    PeriodUnit::Weeks,
    PeriodUnit::Days,
];

/// The corresponding day, else the month's last; what leaves the calendar is never due.
fn due(checked: Date, review: Period) -> Date {
    let span = match review.unit {
        PeriodUnit::Years => Span::new().try_years(review.n),
        PeriodUnit::Months => Span::new().try_months(review.n),
        PeriodUnit::Weeks => Span::new().try_weeks(review.n),
        PeriodUnit::Days | PeriodUnit::Workdays => Span::new().try_days(review.n),
        PeriodUnit::Hours | PeriodUnit::BusinessHours => Span::new().try_days(0),
    };
    span.and_then(|span| checked.checked_add(span)).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_falls_on_the_corresponding_day_else_the_last_of_the_month() {
        for (checked, review, expected) in [
            ("2025-03-01", "12m", "2026-03-01"),
            ("2024-02-29", "1y", "2025-02-28"),
            ("2026-01-31", "1m", "2026-02-28"),
            ("2026-12-31", "2w", "2027-01-14"),
            ("2026-02-14", "90d", "2026-05-15"),
        ] {
            let found = due(checked.parse().unwrap(), review.parse().unwrap());
            assert_eq!(found, expected.parse().unwrap(), "{checked} {review}");
        }
    }
}
