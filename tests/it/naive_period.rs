//! A second way to count periods, written from the rules as the halls state them and not from the code: it walks day by day and
//! quarter by quarter of an hour, and remembers which days it asked about. Thousands of random periods must come out the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use xixin::domain::calendar::Certainty;
use xixin::domain::office::{Office, OfficeDays};
use xixin::domain::period::{
    Counted, Counting, Mode, MonthEnd, Period, PeriodError, PeriodRule, PeriodUnit, Start, count, explain,
};

use crate::office::{office, own_weekdays, saturday_service, window};
use crate::support::published::{CALENDAR, DAYS};

/// The published days: whether each is a workday, and whether that is settled.
static PUBLISHED: LazyLock<BTreeMap<Date, (bool, bool, bool)>> = LazyLock::new(|| {
    let row = |day: &crate::support::published::PublishedDay| {
        let is_holiday = day.is_listed() && !day.is_workday;
        (day.date, (day.is_workday, day.is_settled, is_holiday))
    };
    DAYS.iter().map(row).collect()
});

const FIRST: Date = date(1900, 1, 1);
const LAST: Date = date(2200, 12, 31);
const SLOT_MINUTES: i64 = 15;

/// No answer: it leaves the supported span, or the question makes no sense.
#[derive(Debug)]
struct NoAnswer;

/// A local time, in minutes since 0:00 of the first day. The zone of these tests is +08:00 all year.
type Minutes = i64;

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    legal_end: String,
    last_safe_day: String,
    target_by: String,
    certainty: Certainty,
}

struct Naive<'a> {
    office: Option<&'a Office>,
    asked_unsettled: bool,
}

impl Naive<'_> {
    fn is_workday(&mut self, day: Date) -> bool {
        match PUBLISHED.get(&day) {
            Some((workday, settled, _)) => {
                self.asked_unsettled |= !settled;
                *workday
            }
            None => {
                self.asked_unsettled = true;
                day.weekday().to_monday_one_offset() <= 5
            }
        }
    }

    /// The opening hours of a day, in minutes of the day.
    fn opening(&mut self, day: Date) -> Vec<(i64, i64)> {
        let minutes = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
        let Some(office) = self.office else {
            return if self.is_workday(day) {
                vec![(9 * 60, 17 * 60)]
            } else {
                Vec::new()
            };
        };
        let windows = if let Some(windows) = office.extra.get(&day) {
            windows.clone()
        } else if office.closures.iter().any(|(from, to)| *from <= day && day <= *to) {
            Vec::new()
        } else {
            match &office.days {
                OfficeDays::Weekly(week) => week[day.weekday().to_monday_zero_offset() as usize].clone(),
                OfficeDays::Workdays(windows) => {
                    if self.is_workday(day) {
                        windows.clone()
                    } else {
                        Vec::new()
                    }
                }
                OfficeDays::WorkdaysAndSaturday(windows, saturday) => {
                    let is_holiday = PUBLISHED.get(&day).is_some_and(|(_, _, holiday)| *holiday);
                    if self.is_workday(day) {
                        windows.clone()
                    } else if day.weekday().to_monday_one_offset() == 6 && !is_holiday {
                        saturday.clone()
                    } else {
                        Vec::new()
                    }
                }
            }
        };
        windows
            .iter()
            .map(|window| (minutes(window.from), minutes(window.to)))
            .collect()
    }

    fn can_be_done(&mut self, day: Date) -> bool {
        if self.office.is_some() {
            !self.opening(day).is_empty()
        } else {
            self.is_workday(day)
        }
    }

    fn last_on_which_it_can_be_done(&mut self, from: Date) -> Result<Date, NoAnswer> {
        let mut day = from;
        for _ in 0..800 {
            if self.can_be_done(day) {
                return Ok(day);
            }
            day = step(day, -1)?;
        }
        Err(NoAnswer)
    }

    fn workday_towards(&mut self, from: Date, way: i64) -> Result<Date, NoAnswer> {
        let mut day = from;
        while !self.is_workday(day) {
            day = step(day, way)?;
        }
        Ok(day)
    }

    /// The n-th workday after the start, or before it.
    fn nth_workday(&mut self, start: Date, n: i64, counts_start: bool) -> Result<Date, NoAnswer> {
        if n == 0 {
            return self.workday_towards(start, 1);
        }
        let mut day = start;
        let mut left = n.abs();
        if counts_start && self.is_workday(day) {
            left -= 1;
        }
        while left > 0 {
            day = step(day, n.signum())?;
            if self.is_workday(day) {
                left -= 1;
            }
        }
        Ok(day)
    }

    fn days(&mut self, start: Date, rule: &PeriodRule) -> Result<Answer, NoAnswer> {
        let n = rule.period.n;
        let (from, counts_start) = match rule.mode {
            Mode::RetentionNextYear => (in_span(date(start.year() + 1, 1, 1))?, true),
            _ => (start, rule.count_start_day),
        };
        let end = match (rule.mode, rule.period.unit) {
            (Mode::InsuranceMonths, PeriodUnit::Months) => month_end_after(from, n)?,
            (Mode::InsuranceMonths, PeriodUnit::Years) => month_end_after(from, n * 12)?,
            (Mode::InsuranceMonths, _) => return Err(NoAnswer),
            (_, PeriodUnit::Workdays) => self.nth_workday(from, n, counts_start)?,
            (Mode::Workdays, _) | (_, PeriodUnit::Hours | PeriodUnit::BusinessHours) => return Err(NoAnswer),
            (_, PeriodUnit::Days) => natural(from, n, counts_start)?,
            (_, PeriodUnit::Weeks) => natural(from, n * 7, counts_start)?,
            (_, PeriodUnit::Months) => in_span(months(from, n, counts_start, rule.month_end))?,
            (_, PeriodUnit::Years) => in_span(months(from, n * 12, counts_start, rule.month_end))?,
        };
        let legal_end = match rule.mode {
            Mode::Civil => self.workday_towards(end, if n < 0 { -1 } else { 1 })?,
            Mode::Promise => {
                let earlier = self.workday_towards(end, -1)?;
                if n >= 0 && earlier < start { start } else { earlier }
            }
            _ => end,
        };
        let mut last_safe_day = self.last_on_which_it_can_be_done(legal_end)?;
        if rule.mode == Mode::Promise && n >= 0 && last_safe_day < start {
            last_safe_day = start;
        }
        let mut target_by = match rule.margin {
            None | Some(Period { n: 0, .. }) => last_safe_day,
            Some(margin) => {
                let earlier = self.earlier_day(last_safe_day, margin)?;
                self.last_on_which_it_can_be_done(earlier)?
            }
        };
        if rule.mode == Mode::Civil && legal_end > end {
            target_by = target_by.min(self.last_on_which_it_can_be_done(end)?);
        }
        Ok(self.answer(
            &legal_end.to_string(),
            &last_safe_day.to_string(),
            &target_by.to_string(),
        ))
    }

    fn earlier_day(&mut self, day: Date, margin: Period) -> Result<Date, NoAnswer> {
        match margin.unit {
            PeriodUnit::Workdays => self.nth_workday(day, -margin.n, false),
            PeriodUnit::Days => natural(day, -margin.n, false),
            PeriodUnit::Weeks => natural(day, -margin.n * 7, false),
            PeriodUnit::Months => in_span(months(day, -margin.n, false, MonthEnd::Clamp)),
            PeriodUnit::Years => in_span(months(day, -margin.n * 12, false, MonthEnd::Clamp)),
            PeriodUnit::Hours | PeriodUnit::BusinessHours => Err(NoAnswer),
        }
    }

    fn hours(&mut self, start: Minutes, rule: &PeriodRule) -> Result<Answer, NoAnswer> {
        let Period { n, unit } = rule.period;
        let is_elapsed = rule.mode == Mode::Elapsed;
        let end = match unit {
            PeriodUnit::Hours if is_elapsed => start + n * 60,
            PeriodUnit::Days if is_elapsed => start + n * 24 * 60,
            PeriodUnit::Weeks if is_elapsed => start + n * 7 * 24 * 60,
            PeriodUnit::Hours | PeriodUnit::BusinessHours if !is_elapsed => self.open_minutes(start, n * 60)?,
            _ => return Err(NoAnswer),
        };
        let target = match rule.margin {
            None | Some(Period { n: 0, .. }) => end,
            Some(Period {
                n,
                unit: PeriodUnit::Hours,
            }) if is_elapsed => end - n * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Days,
            }) if is_elapsed => end - n * 24 * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Weeks,
            }) if is_elapsed => end - n * 7 * 24 * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Hours | PeriodUnit::BusinessHours,
            }) => self.open_minutes(end, -n * 60)?,
            Some(margin) => {
                let (day, minute) = (day_of(end)?, end.rem_euclid(24 * 60));
                let earlier = minutes_of(self.earlier_day(day, margin)?) + minute;
                if is_elapsed {
                    earlier
                } else {
                    self.last_open_moment(earlier)?
                }
            }
        };
        let (end_text, target_text) = (written(end)?, written(target)?);
        Ok(self.answer(&end_text, &end_text, &target_text))
    }

    fn is_open_slot(&mut self, at: Minutes) -> Result<bool, NoAnswer> {
        let minute = at.rem_euclid(24 * 60);
        let day = day_of(at)?;
        Ok(self
            .opening(day)
            .iter()
            .any(|(from, to)| *from <= minute && minute < *to))
    }

    fn open_minutes(&mut self, start: Minutes, minutes: i64) -> Result<Minutes, NoAnswer> {
        let mut at = start;
        let mut left = minutes.abs();
        if minutes < 0 {
            while left > 0 {
                at -= SLOT_MINUTES;
                if self.is_open_slot(at)? {
                    left -= SLOT_MINUTES;
                }
            }
            return Ok(at);
        }
        loop {
            let is_open = self.is_open_slot(at)?;
            if is_open && left == 0 {
                return Ok(at);
            }
            at += SLOT_MINUTES;
            if is_open {
                left -= SLOT_MINUTES;
                if left == 0 {
                    return Ok(at);
                }
            }
        }
    }

    fn last_open_moment(&mut self, at: Minutes) -> Result<Minutes, NoAnswer> {
        let mut at = at;
        while !self.is_open_slot(at - SLOT_MINUTES)? {
            at -= SLOT_MINUTES;
        }
        Ok(at)
    }

    fn answer(&self, legal_end: &str, last_safe_day: &str, target_by: &str) -> Answer {
        Answer {
            legal_end: legal_end.to_owned(),
            last_safe_day: last_safe_day.to_owned(),
            target_by: target_by.to_owned(),
            certainty: if self.asked_unsettled {
                Certainty::Provisional
            } else {
                Certainty::Final
            },
        }
    }
}

fn in_span(day: Date) -> Result<Date, NoAnswer> {
    if FIRST <= day && day <= LAST {
        Ok(day)
    } else {
        Err(NoAnswer)
    }
}

fn step(day: Date, way: i64) -> Result<Date, NoAnswer> {
    let next = if way < 0 { day.yesterday() } else { day.tomorrow() };
    in_span(next.map_err(|_| NoAnswer)?)
}

fn natural(start: Date, n: i64, counts_start: bool) -> Result<Date, NoAnswer> {
    let mut day = start;
    let mut left = n.abs();
    if counts_start && left > 0 {
        left -= 1;
    }
    for _ in 0..left {
        day = step(day, n.signum())?;
    }
    Ok(day)
}

fn length_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn ymd(year: i64, month: i64, day: i64) -> Date {
    date(
        i16::try_from(year).unwrap(),
        i8::try_from(month).unwrap(),
        i8::try_from(day).unwrap(),
    )
}

/// Month by month on the calendar sheet. With the first day counted it ends one day nearer to the start than the corresponding
/// day; a corresponding day that does not exist lies between the month's last day and the next month's first.
fn months(start: Date, n: i64, counts_start: bool, policy: MonthEnd) -> Date {
    let (mut year, mut month) = (i64::from(start.year()), i64::from(start.month()));
    for _ in 0..n.abs() {
        month += n.signum();
        if month == 13 {
            (year, month) = (year + 1, 1);
        } else if month == 0 {
            (year, month) = (year - 1, 12);
        }
    }
    let length = length_of_month(year, month);
    let next_month = ymd(year, month, length).tomorrow().unwrap();
    let wanted = i64::from(start.day());
    let exists = wanted <= length;
    let shortens = counts_start && n != 0;
    match (exists, policy, shortens) {
        (true, _, false) => ymd(year, month, wanted),
        (true, _, true) if n > 0 => ymd(year, month, wanted).yesterday().unwrap(),
        (true, _, true) => ymd(year, month, wanted).tomorrow().unwrap(),
        (false, MonthEnd::Clamp, false) => ymd(year, month, length),
        (false, MonthEnd::Clamp, true) if n > 0 => ymd(year, month, length),
        (false, MonthEnd::Clamp, true) => next_month,
        (false, MonthEnd::NextDay, false) => next_month,
        (false, MonthEnd::NextDay, true) if n > 0 => next_month.yesterday().unwrap(),
        (false, MonthEnd::NextDay, true) => next_month.tomorrow().unwrap(),
    }
}

fn month_end_after(paid: Date, n: i64) -> Result<Date, NoAnswer> {
    let month = months(date(paid.year(), paid.month(), 1), n, false, MonthEnd::Clamp);
    let (year, month) = (i64::from(month.year()), i64::from(month.month()));
    in_span(ymd(year, month, length_of_month(year, month)))
}

fn minutes_of(day: Date) -> Minutes {
    i64::from(FIRST.until(day).unwrap().get_days()) * 24 * 60
}

fn day_of(at: Minutes) -> Result<Date, NoAnswer> {
    let days = jiff::Span::new().days(at.div_euclid(24 * 60));
    in_span(FIRST.checked_add(days).map_err(|_| NoAnswer)?)
}

fn written(at: Minutes) -> Result<String, NoAnswer> {
    // A period may end at 24:00 of the last day, not at 0:00 of the first: that is the day before.
    day_of(at - 1)?;
    let days = jiff::Span::new().days(at.div_euclid(24 * 60));
    let day = FIRST.checked_add(days).map_err(|_| NoAnswer)?;
    let minute = at.rem_euclid(24 * 60);
    Ok(format!("{day}T{:02}:{:02}", minute / 60, minute % 60))
}

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
        let mut naive = Naive {
            office: OFFICES[self.office].as_ref(),
            asked_unsettled: false,
        };
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
