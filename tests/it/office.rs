//! When offices are open: workdays, own weekdays, Saturday service, closures, extra days.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time, date};
use xixin::domain::calendar::{Calendar, CalendarSource, Certainty, DayOverride};
use xixin::domain::office::{Office, OfficeDays, Window};

use crate::support::published::CALENDAR;

pub(crate) fn window(from: i8, to: i8) -> Window {
    Window {
        from: Time::constant(from, 0, 0, 0),
        to: Time::constant(to, 0, 0, 0),
    }
}

pub(crate) fn office(days: OfficeDays) -> Office {
    Office {
        id: "test_office".into(),
        name: "示例单位".to_owned(),
        name_en: "the sample office".to_owned(),
        address: "示例区示例街1号".to_owned(),
        route: "乘 1 路到示例街站".to_owned(),
        contact: "值班员".to_owned(),
        phone: "010-00001111".to_owned(),
        travel_minutes: None,
        days,
        closures: Vec::new(),
        extra: BTreeMap::new(),
    }
}

pub(crate) fn saturday_service() -> Office {
    office(OfficeDays::WorkdaysAndSaturday(
        vec![window(9, 12), window(13, 17)],
        vec![window(9, 13)],
    ))
}

/// Mondays, and Thursday afternoons.
pub(crate) fn own_weekdays() -> Office {
    let mut week: [Vec<Window>; 7] = Default::default();
    week[0] = vec![window(9, 12), window(14, 16)];
    week[3] = vec![window(14, 16)];
    office(OfficeDays::Weekly(week))
}

fn open_hours(office: &Office, day: Date) -> String {
    let windows: Vec<String> = office.windows(&CALENDAR, day).iter().map(Window::to_string).collect();
    windows.join(" ")
}

#[test]
fn saturday_service_is_for_ordinary_saturdays_only() {
    let office = saturday_service();
    for (day, hours) in [
        (date(2026, 3, 6), "09:00-12:00 13:00-17:00"),
        (date(2026, 3, 7), "09:00-13:00"),
        (date(2026, 3, 8), ""),
        // A make-up Saturday is a workday like any other.
        (date(2026, 2, 14), "09:00-12:00 13:00-17:00"),
        // A Saturday inside a public holiday.
        (date(2026, 2, 21), ""),
        (date(2026, 1, 3), ""),
        // A make-up Sunday, and a bridge day off.
        (date(2026, 1, 4), "09:00-12:00 13:00-17:00"),
        (date(2026, 1, 2), ""),
    ] {
        assert_eq!(open_hours(&office, day), hours, "{day}");
    }
}

#[test]
fn a_saturday_off_has_no_service_whether_it_has_a_name_or_not() {
    let saturday = date(2030, 3, 2);
    let off = DayOverride {
        workday: false,
        name: String::new(),
    };
    let source = CalendarSource {
        name: "test".to_owned(),
        covers: None,
        days: BTreeMap::from([(saturday, off)]),
    };
    let office = saturday_service();
    assert!(office.is_open(&Calendar::default(), saturday));
    assert!(!office.is_open(&Calendar::new(&[source]), saturday));
}

#[test]
fn own_weekdays_ignore_the_public_calendar() {
    let office = own_weekdays();
    assert_eq!(
        open_hours(&office, date(2026, 2, 16)),
        "09:00-12:00 14:00-16:00",
        "春节, a Monday"
    );
    assert_eq!(open_hours(&office, date(2026, 2, 19)), "14:00-16:00", "a Thursday");
    assert_eq!(open_hours(&office, date(2026, 2, 14)), "", "a make-up Saturday");
    assert_eq!(office.certainty(&CALENDAR, date(2040, 1, 2)), Certainty::Final);
}

#[test]
fn closures_close_and_extra_days_open_whatever_the_day() {
    let mut office = saturday_service();
    office.closures.push((date(2026, 3, 2), date(2026, 3, 7)));
    office.extra.insert(date(2026, 3, 4), vec![window(10, 11)]);
    office.extra.insert(date(2026, 3, 8), vec![window(8, 9)]);
    office.extra.insert(date(2026, 3, 9), Vec::new());
    assert_eq!(open_hours(&office, date(2026, 3, 2)), "", "closed, a workday");
    assert_eq!(
        open_hours(&office, date(2026, 3, 7)),
        "",
        "closed, a Saturday, the last day of the closure"
    );
    assert_eq!(
        open_hours(&office, date(2026, 3, 4)),
        "10:00-11:00",
        "an extra day wins over a closure"
    );
    assert_eq!(open_hours(&office, date(2026, 3, 8)), "08:00-09:00", "an extra Sunday");
    assert_eq!(
        open_hours(&office, date(2026, 3, 9)),
        "",
        "an extra day without windows is a closed one"
    );
    assert_eq!(
        office.last_open_on_or_before(&CALENDAR, date(2026, 3, 7)),
        Some(date(2026, 3, 4))
    );
    assert_eq!(
        office.next_open_on_or_after(&CALENDAR, date(2026, 3, 9)),
        Some(date(2026, 3, 10))
    );
    assert_eq!(
        office.closes_at(&CALENDAR, date(2026, 3, 4)),
        Some(Time::constant(11, 0, 0, 0))
    );
    assert_eq!(office.closes_at(&CALENDAR, date(2026, 3, 2)), None);
}

#[test]
fn only_days_that_go_by_the_calendar_can_be_provisional() {
    let mut office = saturday_service();
    let (plain, closed, extra) = (date(2030, 5, 6), date(2030, 5, 7), date(2030, 5, 8));
    office.closures.push((closed, closed));
    office.extra.insert(extra, vec![window(9, 10)]);
    assert_eq!(office.certainty(&CALENDAR, plain), Certainty::Provisional);
    assert_eq!(office.certainty(&CALENDAR, closed), Certainty::Final);
    assert_eq!(office.certainty(&CALENDAR, extra), Certainty::Final);
    assert_eq!(office.certainty(&CALENDAR, date(2026, 3, 7)), Certainty::Final);
}

#[test]
fn an_office_that_never_opens_is_not_searched_for_ever() {
    let office = office(OfficeDays::Weekly(Default::default()));
    assert_eq!(office.last_open_on_or_before(&CALENDAR, date(2026, 3, 7)), None);
    assert_eq!(office.next_open_on_or_after(&CALENDAR, date(2026, 3, 7)), None);
}
