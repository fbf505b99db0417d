//! Sending hours: when residents may be written to, and what cannot wait until then.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use xixin::domain::plan::release::into_sending_hours;
use xixin::domain::quiet::SendingHours;

use crate::support::published;
use crate::support::rulebook::{at, at_in};

const HOURS: SendingHours = SendingHours {
    from: Time::constant(8, 0, 0, 0),
    to: Time::constant(21, 0, 0, 0),
};

#[test]
fn a_message_waits_for_the_morning() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    for (due, goes) in [
        ("2026-03-02 00:00", "2026-03-02 08:00"),
        ("2026-03-02 07:59", "2026-03-02 08:00"),
        ("2026-03-02 08:00", "2026-03-02 08:00"),
        ("2026-03-02 20:59", "2026-03-02 20:59"),
        ("2026-03-02 21:00", "2026-03-03 08:00"),
        ("2026-02-28 23:59", "2026-03-01 08:00"),
    ] {
        assert_eq!(HOURS.next_allowed(at(due), &zone), at(goes), "{due}");
    }
}

#[test]
fn what_cannot_wait_for_the_morning_goes_the_evening_before() {
    let rules = published::rulebook();
    for (due, limit, goes) in [
        // Home pick-up at 07:30: the morning is too late.
        ("2026-03-05 07:00", "2026-03-05 07:30", "2026-03-04 20:59"),
        ("2026-03-04 22:00", "2026-03-05 07:30", "2026-03-04 20:59"),
        // The morning is in time.
        ("2026-03-05 07:00", "2026-03-05 09:30", "2026-03-05 08:00"),
        // The limit itself is too late.
        ("2026-03-05 07:00", "2026-03-05 08:00", "2026-03-04 20:59"),
        ("2026-03-05 10:00", "2026-03-05 12:00", "2026-03-05 10:00"),
    ] {
        assert_eq!(
            into_sending_hours(&rules, at(due), Some(at(limit))),
            at(goes),
            "{due} before {limit}"
        );
    }
}

#[test]
fn sending_hours_are_wall_clock_hours_where_clocks_change() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for (due, goes) in [
        ("2026-03-28 22:00", "2026-03-29 08:00"),
        ("2026-10-24 22:00", "2026-10-25 08:00"),
    ] {
        assert_eq!(
            HOURS.next_allowed(at_in(due, &berlin), &berlin),
            at_in(goes, &berlin),
            "{due}"
        );
    }
}
