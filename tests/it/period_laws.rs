//! Laws of counting, over thousands of random periods; the first: both ways of counting agree.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use xixin::domain::calendar::Certainty;
use xixin::domain::office::{Office, OfficeDays};
use xixin::domain::period::{
    Counted, Counting, Mode, MonthEnd, Period, PeriodError, PeriodRule, PeriodUnit, Start, count, explain,
};

use crate::naive_period::{Answer, FIRST, Naive, NoAnswer, minutes_of};
use crate::office::{office, own_weekdays, saturday_service, window};
use crate::support::published::{CALENDAR, DAYS};

/// What the product answers, in the same words.
fn answer_of(counted: &Counted, rule: &PeriodRule, zone: &TimeZone) -> Answer {
    let at = |at: jiff::Timestamp| zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M").to_string();
    if rule.mode.is_in_hours() {
        Answer {
            legal_end: at(counted.end_at),
            last_safe_day: at(counted.end_at),
            target_by: at(counted.target_at),
            certainty: counted.certainty,
        }
    } else {
        Answer {
            legal_end: counted.legal_end.to_string(),
            last_safe_day: counted.last_safe_day.to_string(),
            target_by: counted.target_by.to_string(),
            certainty: counted.certainty,
        }
    }
}

fn offices() -> Vec<Option<Office>> {
    let mut closed_often = saturday_service();
    closed_often.closures.push((date(2026, 9, 20), date(2026, 10, 12)));
    closed_often.closures.push((date(2029, 1, 1), date(2029, 3, 1)));
    closed_often.extra.insert(date(2026, 10, 3), vec![window(10, 12)]);
    closed_often
        .extra
        .insert(date(2026, 2, 18), vec![window(9, 10), window(20, 21)]);
    vec![
        None,
        Some(office(OfficeDays::Workdays(vec![window(9, 12), window(13, 17)]))),
        Some(saturday_service()),
        Some(own_weekdays()),
        Some(closed_often),
    ]
}

static OFFICES: LazyLock<Vec<Option<Office>>> = LazyLock::new(offices);

#[derive(Debug, Clone)]
struct Question {
    start: DateTime,
    rule: PeriodRule,
    office: usize,
}

impl Question {
    fn ask(&self) -> Result<Counted, PeriodError> {
        let zone = TimeZone::fixed(Offset::constant(8));
        count(&self.start(), &self.rule, &self.counting(&zone))
    }

    fn ask_from(&self, start: Date) -> Result<Counted, PeriodError> {
        let zone = TimeZone::fixed(Offset::constant(8));
        count(&Start::Day(start), &self.rule, &self.counting(&zone))
    }

    fn start(&self) -> Start {
        if self.rule.mode.is_in_hours() {
            Start::Local(self.start)
        } else {
            Start::Day(self.start.date())
        }
    }

    fn counting<'a>(&self, zone: &'a TimeZone) -> Counting<'a> {
        Counting {
            calendar: &CALENDAR,
            zone,
            office: OFFICES[self.office].as_ref(),
            business_hours: window(9, 17),
        }
    }

    fn ask_naively(&self) -> Result<Answer, NoAnswer> {
        let mut naive = Naive::new(OFFICES[self.office].as_ref());
        if self.rule.mode.is_in_hours() {
            let time = self.start.time();
            let minute = i64::from(time.hour()) * 60 + i64::from(time.minute());
            naive.hours(minutes_of(self.start.date()) + minute, &self.rule)
        } else {
            naive.days(self.start.date(), &self.rule)
        }
    }
}

fn days_after(first: Date, days: i64) -> Date {
    first.checked_add(jiff::Span::new().days(days)).unwrap()
}

static LISTED: LazyLock<Vec<Date>> =
    LazyLock::new(|| DAYS.iter().filter(|day| day.is_listed()).map(|day| day.date).collect());

/// Mostly the published years and around them, sometimes anywhere.
fn any_day() -> impl Strategy<Value = Date> {
    prop_oneof![
        10 => (0_i64..3_650).prop_map(|days| days_after(date(2020, 1, 1), days)),
        // Month ends, where corresponding days go missing.
        4 => (2010_i16..2032, 1_i8..=12, 0_i64..4).prop_map(|(year, month, days)| {
            days_after(date(year, month, 1).last_of_month(), -days)
        }),
        // The days around holidays.
        4 => (proptest::sample::select(&LISTED[..]), -3_i64..4).prop_map(|(day, days)| days_after(day, days)),
        1 => (0_i64..109_938).prop_map(|days| days_after(FIRST, days)),
    ]
}

fn any_time() -> impl Strategy<Value = Time> {
    (0_i8..24, 0_i8..4).prop_map(|(hour, quarter)| Time::constant(hour, quarter * 15, 0, 0))
}

fn any_length(unit: PeriodUnit) -> BoxedStrategy<Period> {
    let usual: i64 = match unit {
        PeriodUnit::Years => 60,
        PeriodUnit::Months => 200,
        PeriodUnit::Weeks => 100,
        PeriodUnit::Days | PeriodUnit::Workdays => 400,
        PeriodUnit::Hours | PeriodUnit::BusinessHours => 60,
    };
    let n = prop_oneof![4 => 0..=12_i64, 6 => 0..=usual, 3 => -usual..0];
    n.prop_map(move |n| Period { n, unit }).boxed()
}

/// A unit that the mode takes, and now and then one that it does not.
fn any_period(mode: Mode) -> BoxedStrategy<Period> {
    use PeriodUnit::{BusinessHours, Days, Hours, Months, Weeks, Workdays, Years};
    let units: &[PeriodUnit] = match mode {
        Mode::Civil | Mode::Retention | Mode::RetentionNextYear | Mode::Promise => &[
            Years, Months, Weeks, Days, Workdays, Years, Months, Days, Workdays, Hours,
        ],
        Mode::Workdays => &[Workdays, Workdays, Workdays, Workdays, Workdays, Workdays, Days],
        Mode::Elapsed => &[Hours, Days, Weeks, Hours, Days, Weeks, Months, BusinessHours],
        Mode::BusinessHours => &[BusinessHours, Hours, BusinessHours, Hours, Days],
        Mode::InsuranceMonths => &[Months, Years, Months, Months, Days],
    };
    proptest::sample::select(units).prop_flat_map(any_length).boxed()
}

fn any_margin() -> impl Strategy<Value = Option<Period>> {
    use PeriodUnit::{BusinessHours, Days, Hours, Months, Weeks, Workdays, Years};
    let units = proptest::sample::select(&[Workdays, Workdays, Days, Weeks, Months, Years, Hours, BusinessHours][..]);
    let margin = (0_i64..15, units).prop_map(|(n, unit)| Some(Period { n, unit }));
    prop_oneof![2 => Just(None), 3 => margin]
}

fn any_question() -> impl Strategy<Value = Question> {
    let mode = proptest::sample::select(&Mode::ALL[..]);
    mode.prop_flat_map(|mode| {
        let month_end = prop_oneof![3 => Just(MonthEnd::Clamp), 1 => Just(MonthEnd::NextDay)];
        let rule = (any_period(mode), any_margin(), any::<bool>(), month_end);
        let rule = rule.prop_map(move |(period, margin, count_start_day, month_end)| PeriodRule {
            period,
            mode,
            margin,
            count_start_day,
            month_end,
        });
        (any_day(), any_time(), rule, 0..OFFICES.len())
    })
    .prop_map(|(day, time, rule, office)| Question {
        start: day.to_datetime(time),
        rule,
        office,
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(8_000))]

    #[test]
    fn both_ways_of_counting_agree(question in any_question()) {
        let zone = TimeZone::fixed(Offset::constant(8));
        match (question.ask(), question.ask_naively()) {
            (Ok(counted), Ok(naive)) => prop_assert_eq!(answer_of(&counted, &question.rule, &zone), naive),
            (Err(_), Err(NoAnswer)) => {}
            (counted, naive) => prop_assert!(false, "{:?} but naively {:?}", counted, naive),
        }
    }

    #[test]
    fn the_target_is_never_after_the_last_safe_day_nor_that_after_the_end(question in any_question()) {
        if let Ok(counted) = question.ask() {
            prop_assert!(counted.last_safe_day <= counted.legal_end);
            prop_assert!(counted.target_by <= counted.last_safe_day);
            prop_assert!(counted.target_at <= counted.end_at || !question.rule.mode.is_in_hours());
            let zone = TimeZone::fixed(Offset::constant(8));
            let after_end = counted.legal_end.tomorrow().unwrap();
            prop_assert!(counted.end_at <= zone.to_timestamp(after_end.to_datetime(Time::midnight())).unwrap());
        }
    }

    #[test]
    fn a_later_start_never_ends_earlier(question in any_question(), days in 1_i64..40) {
        let later = days_after(question.start.date(), days);
        if let (Ok(counted), Ok(later)) = (question.ask_from(question.start.date()), question.ask_from(later)) {
            prop_assert!(counted.legal_end <= later.legal_end);
            prop_assert!(counted.last_safe_day <= later.last_safe_day);
            prop_assert!(counted.end_at <= later.end_at);
        }
    }

    #[test]
    fn words_come_with_every_answer_and_change_none(question in any_question()) {
        let zone = TimeZone::fixed(Offset::constant(8));
        let explained = explain(&question.start(), &question.rule, &question.counting(&zone));
        let counted = question.ask();
        prop_assert_eq!(explained.as_ref().map(|(counted, _)| *counted), counted.as_ref().map(|counted| *counted));
        if let Ok((counted, steps)) = &explained {
            prop_assert!(steps.iter().all(|said| !said.zh.is_empty() && !said.en.is_empty()));
            let all: BTreeSet<&str> = steps.iter().map(|said| said.zh.as_str()).collect();
            prop_assert_eq!(all.len(), steps.len(), "no step is told twice: {:?}", steps);
            // Every date that is answered was told in some step.
            let words: String = steps.iter().map(ToString::to_string).collect();
            let answer = answer_of(counted, &question.rule, &zone);
            for date in [&answer.legal_end, &answer.last_safe_day, &answer.target_by] {
                let told = words.contains(date.as_str()) || words.contains(&date.replace('T', " "));
                prop_assert!(told, "{} is in no step: {:?}", date, steps);
            }
            let says_provisional = words.contains("provisional");
            prop_assert_eq!(says_provisional, counted.certainty == Certainty::Provisional);
        }
    }

    #[test]
    fn no_text_is_a_panic(start in "\\PC{0,30}", period in "\\PC{0,12}", mode in 0_usize..8, n in any::<i64>()) {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let counting = Counting { calendar: &CALENDAR, zone: &zone, office: None, business_hours: window(9, 17) };
        let start: Start = start.parse().unwrap_or(Start::Day(date(2026, 3, 2)));
        let mode = Mode::ALL[mode];
        let _ = period.parse::<Period>();
        for unit in ["y", "m", "w", "d", "wd", "h", "bh"] {
            let unit = format!("1{unit}").parse::<Period>().unwrap().unit;
            let rule = PeriodRule { margin: Some(Period { n, unit }), ..PeriodRule::simple(Period { n, unit }, mode) };
            let _ = explain(&start, &rule, &counting);
        }
    }

    #[test]
    fn a_period_reads_back_as_it_is_written(n in -100_000_i64..=100_000, unit in 0_usize..7) {
        let unit = ["y", "m", "w", "d", "wd", "h", "bh"][unit];
        let text = format!("{n}{unit}");
        prop_assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
    }

    #[test]
    fn a_start_reads_back_as_it_is_written(day in any_day(), time in any_time(), kind in 0..4) {
        let start = match kind {
            0 => Start::Day(day),
            1 => Start::Month { year: day.year(), month: day.month() },
            2 => Start::Local(day.to_datetime(time)),
            _ => Start::Instant(TimeZone::UTC.to_timestamp(day.to_datetime(time)).unwrap()),
        };
        prop_assert_eq!(start.to_string().parse::<Start>().unwrap(), start);
    }
}
