//! The modes that end at an instant: hours on the clock, hours while it is open.

use jiff::civil::date;
use jiff::tz::TimeZone;
use xixin::domain::office::OfficeDays;
use xixin::domain::period::{Mode, PeriodRule, Start, count};
use xixin::domain::rulebook::Rulebook;

use crate::office::{office, saturday_service, window};
use crate::period::{count_with, rule};
use crate::period_vectors::hour;
use crate::support::published;
use crate::support::rulebook::{at, at_in};

#[test]
fn business_hours_run_only_while_it_is_open() {
    let rules = published::rulebook();
    let lunch = saturday_service();
    for (start, period, office, end) in [
        // At the edges of the window 09:00-17:00.
        ("2026-03-02T09:00", "8bh", None, "2026-03-02 17:00"),
        ("2026-03-02T08:00", "8bh", None, "2026-03-02 17:00"),
        ("2026-03-02T16:00", "1bh", None, "2026-03-02 17:00"),
        ("2026-03-02T17:00", "1bh", None, "2026-03-03 10:00"),
        ("2026-03-02T17:00", "0bh", None, "2026-03-03 09:00"),
        ("2026-03-02T16:59", "0bh", None, "2026-03-02 16:59"),
        ("2026-03-02T09:00", "9bh", None, "2026-03-03 10:00"),
        ("2026-03-02", "1bh", None, "2026-03-02 10:00"),
        ("2026-02-18T12:00", "1bh", None, "2026-02-24 10:00"),
        ("2026-02-13T16:00", "4h", None, "2026-02-14 12:00"),
        // Backwards.
        ("2026-03-02T09:00", "-1bh", None, "2026-02-28 16:00"),
        ("2026-03-02T17:00", "-8bh", None, "2026-03-02 09:00"),
        ("2026-03-02T00:00", "-1bh", None, "2026-02-28 16:00"),
        // 09:00-12:00 and 13:00-17:00, Saturdays 09:00-13:00.
        ("2026-03-06T11:00", "1bh", Some(&lunch), "2026-03-06 12:00"),
        ("2026-03-06T12:00", "0bh", Some(&lunch), "2026-03-06 13:00"),
        ("2026-03-06T12:30", "1bh", Some(&lunch), "2026-03-06 14:00"),
        ("2026-03-06T16:00", "3bh", Some(&lunch), "2026-03-07 11:00"),
        ("2026-03-06T16:00", "6bh", Some(&lunch), "2026-03-09 10:00"),
        ("2026-03-09T09:30", "-1bh", Some(&lunch), "2026-03-07 12:30"),
    ] {
        let counted = count(
            &start.parse().unwrap(),
            &rule(period, Mode::BusinessHours),
            &rules.counting(office),
        )
        .unwrap();
        assert_eq!(counted.end_at, at(end), "{start} {period}");
        assert_eq!(counted.legal_end, rules.zone.to_datetime(at(end)).date());
    }
}

#[test]
fn the_hours_of_the_schedule_are_business_hours() {
    let mut rules = published::rulebook();
    rules.schedule.business_hours = (hour(8), hour(12));
    let counted = count_with(&rules, "2026-03-02T11:00", "2bh", Mode::BusinessHours);
    assert_eq!(counted.end_at, at("2026-03-03 09:00"));
}

#[test]
fn margins_in_hours_modes_are_taken_off_as_the_mode_counts() {
    let rules = published::rulebook();
    for (start, period, mode, margin, target) in [
        ("2026-03-02T10:00", "24h", Mode::Elapsed, "2h", "2026-03-03 08:00"),
        ("2026-03-02T10:00", "7d", Mode::Elapsed, "1d", "2026-03-08 10:00"),
        ("2026-03-02T10:00", "7d", Mode::Elapsed, "1w", "2026-03-02 10:00"),
        ("2026-02-17T10:00", "7d", Mode::Elapsed, "1wd", "2026-02-14 10:00"),
        ("2026-03-02T10:00", "7d", Mode::Elapsed, "1bh", "2026-03-09 09:00"),
        ("2026-03-02T10:00", "7d", Mode::Elapsed, "0d", "2026-03-09 10:00"),
        (
            "2026-03-02T10:00",
            "4bh",
            Mode::BusinessHours,
            "1bh",
            "2026-03-02 13:00",
        ),
        ("2026-03-02T10:00", "4bh", Mode::BusinessHours, "6h", "2026-02-28 16:00"),
        (
            "2026-03-03T10:00",
            "4bh",
            Mode::BusinessHours,
            "1wd",
            "2026-03-02 14:00",
        ),
        // A day before Monday 14:00 it is closed; the last open moment before is Saturday's closing.
        ("2026-03-02T10:00", "4bh", Mode::BusinessHours, "1d", "2026-02-28 17:00"),
    ] {
        let rule = PeriodRule {
            margin: Some(margin.parse().unwrap()),
            ..rule(period, mode)
        };
        let counted = count(&start.parse().unwrap(), &rule, &rules.counting(None)).unwrap();
        assert_eq!(counted.target_at, at(target), "{start} {period} {margin}");
    }
}

/// A period that is over at 0:00 has the day before as its last day: a reminder on its last day must not come too late.
#[test]
fn a_period_over_at_midnight_ends_on_the_day_before() {
    let rules = published::rulebook();
    let counted = count_with(&rules, "2026-01-22", "7d", Mode::Elapsed);
    assert_eq!(counted.end_at, at("2026-01-29 00:00"));
    assert_eq!(counted.legal_end, date(2026, 1, 28));
    assert_eq!(counted.last_safe_day, date(2026, 1, 28));
    assert_eq!(counted.target_by, date(2026, 1, 28));
}

/// Berlin 2026: 03-29 has 23 hours, 10-25 has 25.
#[test]
fn elapsed_hours_are_real_hours_where_clocks_change() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let rules = Rulebook {
        zone: berlin.clone(),
        ..published::rulebook()
    };
    for (start, period, end) in [
        ("2026-03-28T12:00", "24h", "2026-03-29 13:00"),
        ("2026-10-24T12:00", "24h", "2026-10-25 11:00"),
        ("2026-03-28T12:00", "1d", "2026-03-29 13:00"),
        ("2026-03-29T12:00", "-24h", "2026-03-28 11:00"),
        // 02:30 does not exist: it is taken as 03:00.
        ("2026-03-29T02:30", "1h", "2026-03-29 04:00"),
    ] {
        let counted = count_with(&rules, start, period, Mode::Elapsed);
        assert_eq!(counted.end_at, at_in(end, &berlin), "{start} {period}");
    }
    // Days end at local midnight, whatever the clocks do.
    let counted = count_with(&rules, "2026-03-28", "1d", Mode::Retention);
    assert_eq!(counted.end_at, at_in("2026-03-30 00:00", &berlin));
    // An office that is open through the night of the change is open an hour less.
    let always = office(OfficeDays::Weekly(std::array::from_fn(|_| vec![window(0, 12)])));
    let start: Start = "2026-03-29T00:00".parse().unwrap();
    let counted = count(
        &start,
        &rule("11bh", Mode::BusinessHours),
        &rules.counting(Some(&always)),
    )
    .unwrap();
    assert_eq!(counted.end_at, at_in("2026-03-29 12:00", &berlin));
}
