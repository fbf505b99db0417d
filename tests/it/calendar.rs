//! The workday calendar against the published days, and its laws.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use xixin::domain::calendar::{
    Calendar, CalendarSource, Certainty, DayOverride, FIRST_DAY, LAST_DAY, OffDay, OutOfRange, add_days,
};

use crate::support::published::{CALENDAR, DAYS};

fn source(covers: Option<(Date, Date)>, days: &[(Date, bool)]) -> CalendarSource {
    let day = |(day, workday): &(Date, bool)| {
        let what = DayOverride {
            workday: *workday,
            name: "节日".to_owned(),
        };
        (*day, what)
    };
    CalendarSource {
        name: "test".to_owned(),
        covers,
        days: days.iter().map(day).collect(),
    }
}

#[test]
fn every_published_day_is_known() {
    assert_eq!(DAYS.len(), 365 * 6 + 1, "2022 to 2027, one of them a leap year");
    for day in DAYS.iter() {
        assert_eq!(CALENDAR.is_workday(day.date), day.is_workday, "{}", day.date);
        assert_eq!(CALENDAR.certainty(day.date), certainty(day.is_settled), "{}", day.date);
        assert_eq!(
            CALENDAR.is_holiday(day.date),
            day.is_listed() && !day.is_workday,
            "{}",
            day.date
        );
    }
}

fn certainty(is_settled: bool) -> Certainty {
    if is_settled {
        Certainty::Final
    } else {
        Certainty::Provisional
    }
}

/// The files that are shipped say the same of every day, and settle no day that is not published.
#[test]
fn the_shipped_calendar_agrees_with_the_published_days() {
    let shipped = xixin::config::shipped_rulebook().calendar;
    for day in DAYS.iter() {
        assert_eq!(shipped.is_workday(day.date), day.is_workday, "{}", day.date);
        assert_eq!(shipped.certainty(day.date), certainty(day.is_settled), "{}", day.date);
        assert_eq!(
            shipped.is_holiday(day.date),
            CALENDAR.is_holiday(day.date),
            "{}",
            day.date
        );
        let name = day.is_listed().then_some(day.name.as_str());
        assert_eq!(shipped.name_of(day.date), name, "{}", day.date);
    }
    let mut day = FIRST_DAY;
    while day < LAST_DAY {
        if !(2022..=2027).contains(&day.year()) {
            assert_eq!(shipped.certainty(day), Certainty::Provisional, "{day}");
        }
        day = day.tomorrow().unwrap();
    }
}

#[test]
fn makeup_workdays_are_the_published_ones() {
    let published: Vec<Date> = DAYS
        .iter()
        .filter(|day| day.kind == "makeup_workday")
        .map(|day| day.date)
        .collect();
    let found: Vec<Date> = CALENDAR.makeup_workdays(FIRST_DAY, LAST_DAY).collect();
    assert_eq!(found, published);
    assert!(found.contains(&date(2026, 2, 14)) && found.contains(&date(2026, 2, 28)));
    assert_eq!(CALENDAR.makeup_workdays(LAST_DAY, FIRST_DAY).count(), 0);
}

#[test]
fn unpublished_days_follow_the_weekday_and_are_provisional() {
    for (day, workday) in [
        (date(2021, 12, 31), true),
        (date(2028, 1, 1), false),
        (date(2030, 10, 1), true),
        (FIRST_DAY, true),
        (LAST_DAY, true),
    ] {
        assert_eq!(CALENDAR.is_workday(day), workday, "{day}");
        assert_eq!(CALENDAR.certainty(day), Certainty::Provisional, "{day}");
    }
}

#[test]
fn a_range_is_final_only_when_every_day_of_it_is_settled() {
    let between = |from: (i16, i8, i8), to: (i16, i8, i8)| {
        CALENDAR.certainty_between(date(from.0, from.1, from.2), date(to.0, to.1, to.2))
    };
    assert_eq!(between((2022, 1, 1), (2026, 12, 31)), Certainty::Final);
    assert_eq!(between((2021, 12, 31), (2022, 1, 1)), Certainty::Provisional);
    assert_eq!(
        between((2026, 12, 31), (2027, 1, 1)),
        Certainty::Final,
        "1 January is statutory"
    );
    assert_eq!(between((2026, 12, 31), (2027, 1, 2)), Certainty::Provisional);
    assert_eq!(between((2027, 2, 5), (2027, 2, 8)), Certainty::Final);
    assert_eq!(between((2030, 1, 2), (2030, 1, 1)), Certainty::Final, "no day at all");
}

#[test]
fn a_later_source_wins_and_may_change_the_december_before() {
    let december = date(2026, 12, 31);
    let of_2026 = source(Some((date(2026, 1, 1), december)), &[]);
    let of_2027 = source(Some((date(2027, 1, 1), date(2027, 12, 31))), &[(december, false)]);
    assert!(Calendar::new(std::slice::from_ref(&of_2026)).is_workday(december));
    assert!(!Calendar::new(&[of_2026.clone(), of_2027.clone()]).is_workday(december));
    let alone = Calendar::new(&[of_2027]);
    assert_eq!(
        alone.certainty(december),
        Certainty::Final,
        "a notice settles the days it names"
    );
    assert_eq!(alone.certainty(date(2026, 12, 30)), Certainty::Provisional);
}

#[test]
fn days_outside_the_supported_span_are_errors_not_panics() {
    assert_eq!(CALENDAR.add_workdays(LAST_DAY, 1), Err(OutOfRange));
    assert_eq!(CALENDAR.add_workdays(FIRST_DAY, -1), Err(OutOfRange));
    for n in [i64::MAX, i64::MIN, i64::MIN + 1] {
        assert_eq!(CALENDAR.add_workdays(date(2026, 3, 2), n), Err(OutOfRange));
        assert_eq!(add_days(date(2026, 3, 2), n), Err(OutOfRange));
    }
    assert_eq!(CALENDAR.add_workdays(date(1899, 12, 31), 1), Err(OutOfRange));
    assert!(CALENDAR.is_workday(date(2201, 1, 1)));
    let all = CALENDAR.workdays_between(Date::MIN, Date::MAX);
    assert_eq!(
        all,
        CALENDAR.workdays_between(FIRST_DAY, LAST_DAY) + 1,
        "1900-01-01 was a Monday"
    );
}

#[test]
fn a_rest_day_moves_as_asked() {
    let rest = date(2026, 2, 18);
    assert_eq!(CALENDAR.shift(rest, OffDay::Earlier), date(2026, 2, 14));
    assert_eq!(CALENDAR.shift(rest, OffDay::Later), date(2026, 2, 24));
    assert_eq!(CALENDAR.shift(rest, OffDay::Stay), rest);
    assert_eq!(CALENDAR.name_of(rest), Some("春节"));
}

fn any_day() -> impl Strategy<Value = Date> {
    (-1_600_i64..1_500).prop_map(|days| add_days(date(2025, 1, 1), days).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counting_back_undoes_counting_on(day in any_day(), n in 1_i64..400) {
        let on = CALENDAR.add_workdays(day, n).unwrap();
        prop_assert!(CALENDAR.is_workday(on));
        prop_assert_eq!(CALENDAR.add_workdays(on, -n).unwrap(), CALENDAR.workday_on_or_before(day));
        let back = CALENDAR.add_workdays(day, -n).unwrap();
        prop_assert!(CALENDAR.is_workday(back));
        prop_assert_eq!(CALENDAR.add_workdays(back, n).unwrap(), CALENDAR.workday_on_or_after(day));
    }

    #[test]
    fn workdays_between_counts_what_add_workdays_adds(day in any_day(), n in 0_i64..400) {
        let end = CALENDAR.add_workdays(day, n).unwrap();
        let rest_to_work = i64::from(n == 0 && !CALENDAR.is_workday(day));
        prop_assert_eq!(CALENDAR.workdays_between(day, end), n + rest_to_work);
        prop_assert_eq!(CALENDAR.workdays_between(end, day), -n - rest_to_work);
    }

    #[test]
    fn workdays_between_agrees_with_walking(day in any_day(), length in 0_i64..900) {
        let through = add_days(day, length).unwrap();
        let walked = (1..=length).filter(|n| CALENDAR.is_workday(add_days(day, *n).unwrap())).count();
        prop_assert_eq!(CALENDAR.workdays_between(day, through), i64::try_from(walked).unwrap());
    }

    #[test]
    fn the_nearest_workday_leaves_none_out(day in any_day()) {
        let (before, after) = (CALENDAR.workday_on_or_before(day), CALENDAR.workday_on_or_after(day));
        prop_assert!(before <= day && day <= after);
        prop_assert!(CALENDAR.is_workday(before) && CALENDAR.is_workday(after));
        prop_assert_eq!(CALENDAR.workdays_between(before, after), i64::from(before != after));
    }

    #[test]
    fn random_overrides_are_kept(days in proptest::collection::btree_map(-800_i64..800, any::<bool>(), 0..60)) {
        let days: BTreeMap<Date, bool> =
            days.into_iter().map(|(n, workday)| (add_days(date(2026, 1, 1), n).unwrap(), workday)).collect();
        let listed: Vec<(Date, bool)> = days.iter().map(|(day, workday)| (*day, *workday)).collect();
        let calendar = Calendar::new(&[source(None, &listed)]);
        for n in -800..800 {
            let day = add_days(date(2026, 1, 1), n).unwrap();
            let plain = day.weekday().to_monday_zero_offset() < 5;
            prop_assert_eq!(calendar.is_workday(day), *days.get(&day).unwrap_or(&plain));
        }
    }
}
