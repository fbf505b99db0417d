//! Counting periods in days: tables of the cases that halls argue about, the edges, the texts and the words.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::TimeZone;
use xixin::domain::calendar::Certainty;
use xixin::domain::office::{Office, OfficeDays, Window};
use xixin::domain::period::{
    Counted, Mode, MonthEnd, Period, PeriodError, PeriodRule, PeriodUnit, Start, count, ending_on, explain,
};
use xixin::domain::rulebook::Rulebook;

use crate::office::{office, own_weekdays, saturday_service};
use crate::support::published;
use crate::support::rulebook::{at, at_in, day};

pub(crate) fn rule(period: &str, mode: Mode) -> PeriodRule {
    PeriodRule::simple(period.parse().unwrap(), mode)
}

pub(crate) fn count_with(rules: &Rulebook, start: &str, period: &str, mode: Mode) -> Counted {
    count(&start.parse().unwrap(), &rule(period, mode), &rules.counting(None)).unwrap()
}

/// (legal end, last safe day, target) of a rule that ends on a day.
fn days(start: &str, rule: &PeriodRule, office: Option<&Office>) -> (Date, Date, Date) {
    let rules = published::rulebook();
    let counted = count(&start.parse().unwrap(), rule, &rules.counting(office)).unwrap();
    (counted.legal_end, counted.last_safe_day, counted.target_by)
}

fn three(text: &str) -> (Date, Date, Date) {
    let mut days = text.split(' ').map(day);
    let three = (days.next().unwrap(), days.next().unwrap(), days.next().unwrap());
    assert!(days.next().is_none());
    three
}

#[test]
fn counting_back_rolls_earlier() {
    for (start, period, expected) in [
        ("2026-09-30", "-30d", "2026-08-31 2026-08-31 2026-08-31"),
        ("2026-02-14", "-7d", "2026-02-06 2026-02-06 2026-02-06"),
        ("2026-02-25", "-3d", "2026-02-14 2026-02-14 2026-02-14"),
        ("2026-03-31", "-1m", "2026-02-28 2026-02-28 2026-02-28"),
        ("2028-02-29", "-2y", "2026-02-28 2026-02-28 2026-02-28"),
        ("2026-02-26", "-1w", "2026-02-14 2026-02-14 2026-02-14"),
        ("2026-02-25", "-2wd", "2026-02-14 2026-02-14 2026-02-14"),
    ] {
        assert_eq!(
            days(start, &rule(period, Mode::Civil), None),
            three(expected),
            "{start} {period}"
        );
    }
    let workdays = days("2026-02-25", &rule("-2wd", Mode::Workdays), None);
    assert_eq!(workdays, three("2026-02-14 2026-02-14 2026-02-14"));
    let retention = days("2026-02-25", &rule("-3d", Mode::Retention), None);
    assert_eq!(retention, three("2026-02-22 2026-02-14 2026-02-14"));
    let promise = days("2026-02-25", &rule("-3d", Mode::Promise), None);
    assert_eq!(promise, three("2026-02-14 2026-02-14 2026-02-14"));
}

#[test]
fn a_civil_end_that_rolled_is_aimed_at_the_workday_before() {
    let margin = |period, margin: &str| PeriodRule {
        margin: Some(margin.parse().unwrap()),
        ..rule(period, Mode::Civil)
    };
    for (start, rule, expected) in [
        (
            "2026-01-15",
            rule("1m", Mode::Civil),
            "2026-02-24 2026-02-24 2026-02-14",
        ),
        (
            "2012-02-03",
            rule("10y", Mode::Civil),
            "2022-02-07 2022-02-07 2022-01-30",
        ),
        (
            "2026-01-14",
            rule("1m", Mode::Civil),
            "2026-02-14 2026-02-14 2026-02-14",
        ),
        // The margin counts from the last safe day.
        ("2026-01-15", margin("1m", "1wd"), "2026-02-24 2026-02-24 2026-02-14"),
        ("2026-01-15", margin("1m", "2wd"), "2026-02-24 2026-02-24 2026-02-13"),
        ("2026-01-15", margin("1m", "0wd"), "2026-02-24 2026-02-24 2026-02-14"),
        ("2026-01-15", margin("1m", "3d"), "2026-02-24 2026-02-24 2026-02-14"),
        ("2026-01-15", margin("1m", "2w"), "2026-02-24 2026-02-24 2026-02-10"),
        ("2026-01-14", margin("1m", "3d"), "2026-02-14 2026-02-14 2026-02-11"),
        ("2026-01-14", margin("1m", "1w"), "2026-02-14 2026-02-14 2026-02-06"),
        ("2026-03-31", margin("2m", "3m"), "2026-06-01 2026-06-01 2026-02-28"),
    ] {
        assert_eq!(days(start, &rule, None), three(expected), "{start} {rule:?}");
    }
}

#[test]
fn a_promise_is_due_earlier_but_never_before_it_was_made() {
    for (start, period, expected) in [
        ("2026-03-02", "5wd", "2026-03-09 2026-03-09 2026-03-09"),
        ("2026-02-13", "5d", "2026-02-14 2026-02-14 2026-02-14"),
        // Promised on the Sunday before the holidays for the Tuesday in them.
        ("2026-02-15", "2d", "2026-02-15 2026-02-15 2026-02-15"),
        ("2026-02-18", "0wd", "2026-02-24 2026-02-24 2026-02-24"),
    ] {
        assert_eq!(
            days(start, &rule(period, Mode::Promise), None),
            three(expected),
            "{start} {period}"
        );
    }
}

#[test]
fn a_counted_first_day_makes_a_period_one_day_shorter() {
    for (start, period, end) in [
        ("2026-03-02", "1d", "2026-03-02"),
        ("2026-03-02", "10d", "2026-03-11"),
        ("2026-03-02", "2w", "2026-03-15"),
        ("2026-03-02", "1m", "2026-04-01"),
        ("2026-03-01", "1m", "2026-03-31"),
        ("2026-01-31", "1m", "2026-02-28"),
        ("2026-01-29", "1m", "2026-02-28"),
        ("2026-01-28", "1m", "2026-02-27"),
        ("2016-01-01", "10y", "2025-12-31"),
        ("2024-02-29", "1y", "2025-02-28"),
        ("2026-03-02", "5wd", "2026-03-06"),
        // A rest day counts for nothing: day one is the next workday.
        ("2026-02-18", "1wd", "2026-02-24"),
        ("2026-02-18", "0wd", "2026-02-24"),
        ("2026-03-02", "0d", "2026-03-02"),
        ("2026-03-31", "-1m", "2026-03-01"),
        ("2026-03-28", "-1m", "2026-03-01"),
        ("2026-03-02", "-1d", "2026-03-02"),
        ("2026-03-06", "-5wd", "2026-03-02"),
    ] {
        let counted_first = PeriodRule {
            count_start_day: true,
            ..rule(period, Mode::Retention)
        };
        assert_eq!(days(start, &counted_first, None).0, day(end), "{start} {period}");
    }
}

#[test]
fn the_other_month_end_policy_takes_the_first_of_the_next_month() {
    for (start, period, count_start_day, end) in [
        ("2026-01-31", "1m", false, "2026-03-01"),
        ("2016-02-29", "10y", false, "2026-03-01"),
        ("2026-01-28", "1m", false, "2026-02-28"),
        ("2026-01-31", "1m", true, "2026-02-28"),
        ("2026-03-31", "-1m", false, "2026-03-01"),
        ("2026-03-31", "-1m", true, "2026-03-02"),
    ] {
        let rule = PeriodRule {
            count_start_day,
            month_end: MonthEnd::NextDay,
            ..rule(period, Mode::Retention)
        };
        assert_eq!(
            days(start, &rule, None).0,
            day(end),
            "{start} {period} {count_start_day}"
        );
    }
}

#[test]
fn retention_ends_on_the_last_day_its_own_office_is_open() {
    let (saturday, mondays) = (saturday_service(), own_weekdays());
    let ten = rule("10y", Mode::Retention);
    let with_margin = PeriodRule {
        margin: Some("5wd".parse().unwrap()),
        ..ten
    };
    for (start, rule, office, expected) in [
        // Saturday 2026-03-07 has Saturday service; the workday calendar says Friday.
        ("2016-03-07", ten, Some(&saturday), "2026-03-07 2026-03-07 2026-03-07"),
        ("2016-03-07", ten, None, "2026-03-07 2026-03-06 2026-03-06"),
        ("2016-03-08", ten, Some(&saturday), "2026-03-08 2026-03-07 2026-03-07"),
        // A Saturday of 国庆节 has none.
        ("2016-10-03", ten, Some(&saturday), "2026-10-03 2026-09-30 2026-09-30"),
        // Open on Mondays and Thursdays, holidays or not.
        ("2016-02-18", ten, Some(&mondays), "2026-02-18 2026-02-16 2026-02-16"),
        (
            "2016-03-07",
            with_margin,
            Some(&mondays),
            "2026-03-07 2026-03-05 2026-02-26",
        ),
    ] {
        assert_eq!(days(start, &rule, office), three(expected), "{start}");
    }
}

#[test]
fn a_period_is_over_when_its_office_stops_business_that_day() {
    let rules = published::rulebook();
    let office = saturday_service();
    let end_at = |start: &str, office| {
        let start = start.parse().unwrap();
        count(&start, &rule("10y", Mode::Retention), &rules.counting(office))
            .unwrap()
            .end_at
    };
    assert_eq!(end_at("2016-03-06", Some(&office)), at("2026-03-06 17:00"));
    assert_eq!(end_at("2016-03-07", Some(&office)), at("2026-03-07 13:00"));
    assert_eq!(
        end_at("2016-03-08", Some(&office)),
        at("2026-03-09 00:00"),
        "closed that day: in law it ends at 24:00"
    );
    assert_eq!(end_at("2016-03-06", None), at("2026-03-07 00:00"));
}

#[test]
fn insurance_months_run_to_the_end_of_the_month() {
    for (start, period, expected) in [
        ("2026-05", "3m", "2026-08-31 2026-08-31 2026-08-31"),
        ("2026-05-20", "3m", "2026-08-31 2026-08-31 2026-08-31"),
        ("2025-11", "3m", "2026-02-28 2026-02-28 2026-02-28"),
        // 2026-05-31 is a Sunday: the earlier day.
        ("2026-02", "3m", "2026-05-31 2026-05-29 2026-05-29"),
        ("2023-02", "1y", "2024-02-29 2024-02-29 2024-02-29"),
        ("2026-05", "-3m", "2026-02-28 2026-02-28 2026-02-28"),
    ] {
        assert_eq!(
            days(start, &rule(period, Mode::InsuranceMonths), None),
            three(expected),
            "{start} {period}"
        );
    }
}

#[test]
fn a_day_is_provisional_only_when_the_answer_depends_on_an_unsettled_one() {
    use Certainty::{Final, Provisional};
    let rules = published::rulebook();
    let with_margin = PeriodRule {
        margin: Some("5wd".parse().unwrap()),
        ..rule("5y", Mode::Retention)
    };
    for (start, rule, expected) in [
        // The days on the way do not matter to natural days, only the last one.
        ("2015-03-02", rule("11y", Mode::Civil), Final),
        ("2021-12-30", rule("5d", Mode::Civil), Final),
        // They do to workdays; the start itself does not.
        ("2021-12-30", rule("5wd", Mode::Workdays), Provisional),
        ("2021-12-31", rule("5wd", Mode::Workdays), Final),
        ("2026-12-30", rule("1wd", Mode::Workdays), Final),
        ("2026-12-31", rule("1wd", Mode::Workdays), Provisional),
        ("2027-01-04", rule("-2wd", Mode::Workdays), Provisional),
        ("2027-01-02", rule("-1wd", Mode::Workdays), Final),
        // 1 January 2027 is statutory: a record that ends then is safe through the published 31 December.
        ("2017-01-01", rule("10y", Mode::Retention), Final),
        ("2017-01-02", rule("10y", Mode::Retention), Provisional),
        // The margin reaches back into a year that is not known.
        ("2017-01-06", with_margin, Provisional),
        ("2017-01-12", with_margin, Final),
        ("2026-12-31T10:00", rule("48h", Mode::Elapsed), Final),
        ("2026-12-31T10:00", rule("7bh", Mode::BusinessHours), Final),
        ("2026-12-31T10:00", rule("8bh", Mode::BusinessHours), Provisional),
    ] {
        let counted = count(&start.parse().unwrap(), &rule, &rules.counting(None)).unwrap();
        assert_eq!(counted.certainty, expected, "{start} {rule:?}");
    }
    // An office with its own weekdays does not go by the calendar.
    let office = own_weekdays();
    let far = count(
        &day_start("2030-01-01"),
        &rule("10y", Mode::Retention),
        &rules.counting(Some(&office)),
    )
    .unwrap();
    assert_eq!(far.certainty, Final);
}

fn day_start(text: &str) -> Start {
    Start::Day(day(text))
}

#[test]
fn a_fixed_end_is_taken_as_it_is() {
    let rules = published::rulebook();
    let civil = PeriodRule {
        margin: Some("2wd".parse().unwrap()),
        ..rule("1m", Mode::Civil)
    };
    let counted = ending_on(date(2026, 2, 16), &civil, &rules.counting(None)).unwrap();
    assert_eq!(
        counted.legal_end,
        date(2026, 2, 16),
        "what a person fixed does not roll"
    );
    assert_eq!(counted.last_safe_day, date(2026, 2, 14));
    assert_eq!(counted.target_by, date(2026, 2, 12));
    let hours = PeriodRule {
        margin: Some("2h".parse().unwrap()),
        ..rule("24h", Mode::Elapsed)
    };
    let counted = ending_on(date(2026, 2, 16), &hours, &rules.counting(None)).unwrap();
    assert_eq!(
        (counted.end_at, counted.target_at),
        (at("2026-02-17 00:00"), at("2026-02-16 22:00"))
    );
    assert_eq!(counted.last_safe_day, date(2026, 2, 16));
    let promise = ending_on(date(2026, 2, 16), &rule("5wd", Mode::Promise), &rules.counting(None)).unwrap();
    assert_eq!(promise.last_safe_day, date(2026, 2, 14));
}

#[test]
fn the_edges_of_the_calendar_are_errors_not_panics() {
    let rules = published::rulebook();
    let counting = rules.counting(None);
    let ask = |start: &str, period: &str, mode| count(&start.parse().unwrap(), &rule(period, mode), &counting);
    assert_eq!(
        ask("2200-12-30", "1d", Mode::Civil).unwrap().legal_end,
        date(2200, 12, 31)
    );
    assert_eq!(
        ask("2190-05-05", "10y", Mode::RetentionNextYear).unwrap().legal_end,
        date(2200, 12, 31)
    );
    assert_eq!(
        ask("1900-01-02", "-1d", Mode::Retention).unwrap().last_safe_day,
        date(1900, 1, 1)
    );
    for (start, period, mode) in [
        ("2200-12-31", "1d", Mode::Civil),
        ("2200-12-31", "1wd", Mode::Workdays),
        ("1900-01-01", "-1d", Mode::Civil),
        ("2200-06-01", "1y", Mode::RetentionNextYear),
        ("2191-05-05", "10y", Mode::RetentionNextYear),
        // It would end inside, but it begins outside.
        ("2200-01-01", "-2y", Mode::RetentionNextYear),
        ("2200-12-31T10:00", "24h", Mode::Elapsed),
        ("1900-01-01T08:00", "-9h", Mode::Elapsed),
        ("2200-12-31T16:00", "2bh", Mode::BusinessHours),
        ("1900-01-01T10:00", "-2bh", Mode::BusinessHours),
        ("1899-12-31", "1d", Mode::Civil),
        ("2201-01-01", "-1d", Mode::Civil),
        ("0001-01-01", "1d", Mode::Civil),
        ("9999-12-31", "1d", Mode::Civil),
        ("2026-01-01", "100000d", Mode::Civil),
        ("2026-01-01", "100000y", Mode::Retention),
        ("2026-01-01", "-100000m", Mode::InsuranceMonths),
        ("2026-01-01", "100000wd", Mode::Workdays),
    ] {
        assert_eq!(
            ask(start, period, mode),
            Err(PeriodError::OutOfRange),
            "{start} {period}"
        );
    }
}

#[test]
fn an_office_that_does_not_open_is_an_error() {
    let rules = published::rulebook();
    let closed = office(OfficeDays::Weekly(Default::default()));
    for (period, mode) in [
        ("10y", Mode::Retention),
        ("4bh", Mode::BusinessHours),
        ("-4bh", Mode::BusinessHours),
    ] {
        let counted = count(
            &day_start("2016-03-07"),
            &rule(period, mode),
            &rules.counting(Some(&closed)),
        );
        assert_eq!(counted, Err(PeriodError::NeverOpen), "{period}");
    }
}

#[test]
fn a_unit_without_meaning_in_a_mode_is_refused_with_the_ones_allowed() {
    let rules = published::rulebook();
    let allowed: BTreeMap<&str, &str> = BTreeMap::from([
        ("civil", "y m w d wd"),
        ("retention", "y m w d wd"),
        ("retention_next_year", "y m w d wd"),
        ("workdays", "wd"),
        ("elapsed", "w d h"),
        ("business_hours", "h bh"),
        ("insurance_months", "y m"),
        ("promise", "y m w d wd"),
    ]);
    for mode in Mode::ALL {
        let taken: Vec<&str> = ["y", "m", "w", "d", "wd", "h", "bh"]
            .into_iter()
            .filter(|unit| {
                let rule = rule(&format!("1{unit}"), mode);
                match count(&day_start("2026-03-02"), &rule, &rules.counting(None)) {
                    Ok(_) => true,
                    Err(PeriodError::Unit {
                        unit: refused, allowed, ..
                    }) => {
                        assert_eq!(refused.suffix(), *unit);
                        assert!(!allowed.split(", ").any(|one| one == *unit));
                        false
                    }
                    Err(other) => panic!("{mode:?} {unit}: {other}"),
                }
            })
            .collect();
        assert_eq!(taken.join(" "), allowed[mode.name()], "{mode:?}");
    }
    let margin = PeriodRule {
        margin: Some(Period {
            n: 2,
            unit: PeriodUnit::Hours,
        }),
        ..rule("5d", Mode::Civil)
    };
    assert_eq!(
        count(&day_start("2026-03-02"), &margin, &rules.counting(None)),
        Err(PeriodError::Margin)
    );
}

#[test]
fn texts_that_are_no_period_are_refused() {
    for text in [
        "",
        " ",
        "d",
        "5",
        "5x",
        "5 d",
        "5D",
        "5dd",
        "1.5d",
        "--5d",
        "+-5d",
        "-",
        "１０y",
        "10年",
        "5d5",
        "100001d",
        "99999999999999999999d",
        "5wd\0",
        "0x5d",
    ] {
        assert!(text.parse::<Period>().is_err(), "{text:?}");
    }
    for (text, n, unit) in [
        ("10y", 10, PeriodUnit::Years),
        ("-30d", -30, PeriodUnit::Days),
        ("+3m", 3, PeriodUnit::Months),
        (" 2w ", 2, PeriodUnit::Weeks),
        ("0wd", 0, PeriodUnit::Workdays),
        ("-0d", 0, PeriodUnit::Days),
        ("007bh", 7, PeriodUnit::BusinessHours),
        ("100000h", 100_000, PeriodUnit::Hours),
    ] {
        assert_eq!(text.parse::<Period>(), Ok(Period { n, unit }), "{text}");
    }
}

#[test]
fn texts_that_are_no_start_are_refused() {
    for text in [
        "",
        "today",
        "2026",
        "2026-13",
        "2026-02-29",
        "2026-2-3",
        "26-02-03",
        "2026/02/03",
        "20260203",
        "2026-02-03T",
        "2026-02-03T25:00",
        "2026-02-03T16",
        "2026-02-03T16:30[Europe/Paris]",
        "2026-02-03T16:30 ",
        "2026-02-03-04",
        "2026-02-03T16:60",
        "２０２６-02-03",
        "-2026-02-03",
        "2026-02-03x",
    ]
    .into_iter()
    .filter(|text| text.trim() == *text)
    {
        assert!(text.parse::<Start>().is_err(), "{text:?}");
    }
    let local = |text: &str| Start::Local(text.parse::<DateTime>().unwrap());
    let utc = |text: &str| Start::Instant(at_in(text, &TimeZone::UTC));
    for (text, start) in [
        ("2026-02-03", Start::Day(date(2026, 2, 3))),
        (" 2026-02-03 ", Start::Day(date(2026, 2, 3))),
        ("2026-02", Start::Month { year: 2026, month: 2 }),
        ("2026-02-03T16:30", local("2026-02-03T16:30")),
        ("2026-02-03 16:30:05", local("2026-02-03T16:30:05")),
        ("2026-03-01T16:30Z", utc("2026-03-01 16:30")),
        ("2026-03-01T16:30:00+08:00", utc("2026-03-01 08:30")),
    ] {
        assert_eq!(text.parse::<Start>(), Ok(start), "{text}");
    }
    let missing = "2026-02-29T10:00".parse::<Start>().unwrap_err();
    assert_eq!(missing.what.en, "there is no day 2026-02-29");
}

#[test]
fn the_derivation_tells_every_step() {
    let rules = published::rulebook();
    let told = |start: &str, rule: &PeriodRule, office: Option<&Office>| -> Vec<String> {
        let (_, steps) = explain(&start.parse().unwrap(), rule, &rules.counting(office)).unwrap();
        steps.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told("2026-01-15", &rule("1m", Mode::Civil), None),
        [
            "2026-01-15(周四) 加1个月(首日不计): 2026-02-15(周日) / 2026-01-15 (Thursday) plus 1 month, the first day not counted: 2026-02-15 (Sunday)",
            "2026-02-15 是春节,顺延至 2026-02-24(周二) / 2026-02-15 is a rest day: rolls forward to 2026-02-24 (Tuesday)",
            "不指望顺延: 目标日取休息日前的 2026-02-14(周六) / not counting on the roll: target by 2026-02-14 (Saturday), before the rest days",
        ]
    );
    let record = PeriodRule {
        margin: Some("5wd".parse().unwrap()),
        ..rule("10y", Mode::Retention)
    };
    assert_eq!(
        told("2016-02-29", &record, Some(&own_weekdays())),
        [
            "那个月没有29日,取月末: 2026-02-28 / that month has no day 29; its last day: 2026-02-28",
            "2016-02-29(周一) 加10年(首日不计): 2026-02-28(周六) / 2016-02-29 (Monday) plus 10 years, the first day not counted: 2026-02-28 (Saturday)",
            "2026-02-28 当日仍有效,次日起就晚了;遇休息日不顺延 / 2026-02-28 itself is still in time, the day after is too late; it never rolls forward",
            "示例单位 2026-02-28 不办公,最晚可办日: 2026-02-26(周四) / the sample office is closed on 2026-02-28; the last safe day: 2026-02-26 (Thursday)",
            "预留5个工作日: 目标日 2026-02-12(周四) / a margin of 5 workdays: target by 2026-02-12 (Thursday)",
        ]
    );
    assert_eq!(
        told("2026-01-20", &rule("20wd", Mode::Workdays), None),
        [
            "2026-01-20(周二) 加20个工作日(首日不计): 2026-02-24(周二) / 2026-01-20 (Tuesday) plus 20 workdays, the first day not counted: 2026-02-24 (Tuesday)",
            "其间的休息日不计,调休上班日计入: 2026-02-14 / rest days in between are not counted, make-up workdays are: 2026-02-14",
        ]
    );
    let last = told("2026-12-31", &rule("1wd", Mode::Workdays), None).pop().unwrap();
    assert!(last.starts_with("所依据的日期有的尚未公布放假安排: 暂定"), "{last}");
    let range = told("2012-03", &rule("10y", Mode::Retention), None).remove(0);
    assert!(
        range.starts_with("估算: 起算日只到月份,按最早的一天算: 2012-03-01"),
        "{range}"
    );
}

/// A window for tests that ask for other hours than whole ones.
#[test]
fn windows_are_written_as_people_write_them() {
    let half = Window {
        from: Time::constant(13, 30, 0, 0),
        to: Time::constant(16, 0, 0, 0),
    };
    assert_eq!(half.to_string(), "13:30-16:00");
}
