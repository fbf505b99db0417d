//! Every row of `tests/data/deadline_vectors.csv`, and what its reasons say beside the dates.

use std::collections::BTreeSet;

use jiff::civil::{Time, date};
use jiff::{SignedDuration, Timestamp};
use xixin::domain::calendar::{Calendar, Certainty, OffDay};
use xixin::domain::case::Item;
use xixin::domain::ladder::{Audience, Way};
use xixin::domain::milestone::{Milestone, Moment};
use xixin::domain::office::OfficeDays;
use xixin::domain::period::{Counted, Mode, PeriodRule, Start, count};
use xixin::domain::plan::milestones::Dated;
use xixin::domain::plan::occurrence::comings;
use xixin::domain::plan::release::into_sending_hours;
use xixin::domain::plan::{People, plan};
use xixin::domain::reminder::Decided;
use xixin::domain::rulebook::Rulebook;
use xixin::engine::digests::next_digest;

use crate::office::{office, window};
use crate::period::count_with;
use crate::support::published;
use crate::support::rulebook::{at, callback, case, day, deadline, ladder, rung};

/// One row of the file, read by the names of its columns.
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) mode: String,
    pub(crate) start: String,
    pub(crate) period: String,
    pub(crate) params: String,
    pub(crate) expected: String,
    weekday_answer: String,
}

pub(crate) fn vectors() -> Vec<Vector> {
    let mut reader = csv::Reader::from_reader(include_str!("../data/deadline_vectors.csv").as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |row: &csv::StringRecord, name: &str| {
        let index = headers.iter().position(|header| header == name).unwrap();
        row[index].to_owned()
    };
    let vector = |row: csv::StringRecord| Vector {
        id: column(&row, "id"),
        mode: column(&row, "mode"),
        start: column(&row, "start"),
        period: column(&row, "period"),
        params: column(&row, "params"),
        expected: column(&row, "expected"),
        weekday_answer: column(&row, "naive_mon_fri_answer_if_different"),
    };
    reader.records().map(|row| vector(row.unwrap())).collect()
}

impl Vector {
    /// What the product answers under `rules`, written as the file writes it. A mode or parameter it does not know is a failure.
    fn answer(&self, rules: &Rulebook) -> String {
        match (self.mode.as_str(), self.params.as_str()) {
            // Retention is a civil period that never rolls.
            ("period_end(no roll)", "roll=none") => self.count(rules, Mode::Retention).legal_end.to_string(),
            ("civil", "roll=forward") => self.count(rules, Mode::Civil).legal_end.to_string(),
            ("civil", "status=PROVISIONAL") => self.provisional(rules, Mode::Civil).legal_end.to_string(),
            ("retention", "roll=backward; archive works the State Council calendar") => {
                self.count(rules, Mode::Retention).last_safe_day.to_string()
            }
            ("retention", "roll=backward; margin=5 workdays") => {
                let rule = PeriodRule {
                    margin: Some("5wd".parse().unwrap()),
                    ..self.rule(Mode::Retention)
                };
                let counted = count(&self.start.parse().unwrap(), &rule, &rules.counting(None)).unwrap();
                counted.target_by.to_string()
            }
            ("retention", "status=PROVISIONAL") => self.provisional(rules, Mode::Retention).last_safe_day.to_string(),
            ("workdays", "start_inclusive=false") => self.count(rules, Mode::Workdays).legal_end.to_string(),
            ("elapsed_hours", "tz=+08:00") => local(self.count(rules, Mode::Elapsed).end_at, rules),
            ("business_hours", "windows=09:00-17:00") => {
                assert_eq!(rules.schedule.business_hours, (hour(9), hour(17)));
                local(self.count(rules, Mode::BusinessHours).end_at, rules)
            }
            ("event_date_from_utc", "tz=Asia/Shanghai") => {
                assert_eq!(rules.zone.iana_name(), Some("Asia/Shanghai"));
                self.count(rules, Mode::Retention).legal_end.to_string()
            }
            ("deadline_instant", "closing=none") => local(self.count(rules, Mode::Civil).end_at, rules),
            ("deadline_instant", "closing=17:00") => {
                let office = office(OfficeDays::Workdays(vec![window(9, 17)]));
                let start: Start = self.start.parse().unwrap();
                let counted = count(&start, &self.rule(Mode::Civil), &rules.counting(Some(&office))).unwrap();
                local(counted.end_at, rules)
            }
            ("insurance_gap", "last paid month") => self.count(rules, Mode::InsuranceMonths).legal_end.to_string(),
            ("retention_year_end", "start=01-01 of next year (inclusive)") => {
                self.count(rules, Mode::RetentionNextYear).legal_end.to_string()
            }
            ("reminder_before", "staff; shift=earlier") => self.reminder(rules, OffDay::Earlier),
            ("reminder_before", "resident; shift=none") => self.reminder(rules, OffDay::Stay),
            ("reminder_before", "digest; workdays only") => {
                assert_eq!(self.period, "next");
                // That day's own digest has just gone.
                let sent = day(&self.start).to_datetime(rules.schedule.digest_at);
                let next = next_digest(rules, rules.zone.to_timestamp(sent).unwrap());
                rules.zone.to_datetime(next).date().to_string()
            }
            ("quiet_hours", "sms resident 08:00-21:00") => {
                let hours = &rules.schedule.sending_hours;
                assert_eq!((hours.from, hours.to), (hour(8), hour(21)));
                local(into_sending_hours(rules, at(&self.start), None), rules)
            }
            ("quiet_hours", "email staff") => local(staff_email_goes(rules, at(&self.start)), rules),
            (mode, params) => panic!("row {}: nothing here tests mode {mode} with {params}", self.id),
        }
    }

    fn rule(&self, mode: Mode) -> PeriodRule {
        let period = match self.period.as_str() {
            "3 calendar months" => "3m",
            other => other,
        };
        PeriodRule::simple(period.parse().unwrap(), mode)
    }

    fn count(&self, rules: &Rulebook, mode: Mode) -> Counted {
        count(&self.start.parse().unwrap(), &self.rule(mode), &rules.counting(None)).unwrap()
    }

    fn provisional(&self, rules: &Rulebook, mode: Mode) -> Counted {
        let counted = self.count(rules, mode);
        assert_eq!(counted.certainty, Certainty::Provisional, "row {}", self.id);
        counted
    }

    /// The day of a rung so many days before an end on `start`.
    fn reminder(&self, rules: &Rulebook, off_day: OffDay) -> String {
        let days = self
            .period
            .strip_prefix('-')
            .and_then(|text| text.strip_suffix('d'))
            .unwrap();
        let when = format!("{days} days before end");
        let rung = rung("test", &when, Some("09:00"), off_day, &[Audience::Owner], &[Way::Email]);
        let long_before = at("2026-01-01 00:00");
        let coming = comings(rules, &rung, Moment::Day(day(&self.start)), long_before)
            .next
            .unwrap();
        rules.zone.to_datetime(coming.at).date().to_string()
    }
}

pub(crate) fn hour(hour: i8) -> Time {
    Time::constant(hour, 0, 0, 0)
}

fn local(at: Timestamp, rules: &Rulebook) -> String {
    rules.zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// When the planner lets an e-mail to a member of staff go that is due at `due`.
fn staff_email_goes(rules: &Rulebook, due: Timestamp) -> Timestamp {
    let mut rules = rules.clone();
    let time = rules.zone.to_datetime(due).time().strftime("%H:%M").to_string();
    let rung = rung(
        "test",
        "on due",
        Some(&time),
        OffDay::Stay,
        &[Audience::Owner],
        &[Way::Email],
    );
    let name = rules.schedule.callback_ladder.clone();
    let kind = xixin::domain::ladder::ItemKind::Callback;
    let ladder = ladder(name.as_str(), kind, xixin::domain::ladder::Late::Now, vec![rung]);
    rules.ladders.insert(name, ladder);
    let mut case = case("2026-02-13 09:00");
    let day = rules.zone.to_datetime(due).date().to_string();
    callback(&mut case, "li", "2026-02-13 09:00", &day);
    let before = due - SignedDuration::from_secs(1);
    let waiting = plan(&rules, &case, &People::default(), &Decided::default(), before);
    assert!(waiting.due.is_empty());
    waiting.wake.unwrap()
}

#[test]
fn every_vector_comes_out_as_expected() {
    let rules = published::rulebook();
    let vectors = vectors();
    for vector in &vectors {
        assert_eq!(vector.answer(&rules), vector.expected, "row {}", vector.id);
    }
    assert_eq!(vectors.len(), 94, "every row was read");
    let ids: BTreeSet<&str> = vectors.iter().map(|vector| vector.id.as_str()).collect();
    assert_eq!(ids.len(), vectors.len());
}

/// The rows that name another answer for a plain Monday-to-Friday week would catch a calendar that is not read.
#[test]
fn without_holidays_the_vectors_come_out_as_a_plain_week() {
    let rules = Rulebook {
        calendar: Calendar::default(),
        ..published::rulebook()
    };
    let mut different = 0;
    for vector in vectors() {
        let expected = match vector.weekday_answer.as_str() {
            "" => &vector.expected,
            other => {
                different += 1;
                other
            }
        };
        assert_eq!(vector.answer(&rules), expected, "row {}", vector.id);
    }
    assert!(different > 30, "{different} rows depend on the calendar");
}

#[test]
fn a_row_is_final_exactly_when_its_days_are_published() {
    let rules = published::rulebook();
    for vector in vectors() {
        let mode = match vector.mode.as_str() {
            "civil" => Mode::Civil,
            "retention" => Mode::Retention,
            "workdays" => Mode::Workdays,
            _ => continue,
        };
        let counted = vector.count(&rules, mode);
        let published = (2022..=2026).contains(&counted.legal_end.year());
        let expected = if published {
            Certainty::Final
        } else {
            Certainty::Provisional
        };
        assert_eq!(counted.certainty, expected, "row {}", vector.id);
    }
}

/// C13: the end is Saturday 2026-01-31; on the next day it is over, and Monday 02-02 is not offered.
#[test]
fn a_record_is_expired_the_day_after_its_end_also_on_a_rest_day() {
    let rules = published::rulebook();
    let mut case = case("2026-01-05 09:00");
    deadline(&mut case, "cremation_reissue", "2016-01-31", "2026-01-05 09:00");
    let dated = Dated::new(&rules, Item::Deadline(&case.deadlines[0]));
    let milestone = |milestone| dated.at(milestone).unwrap();
    assert_eq!(milestone(Milestone::LastSafeDay), Moment::Day(date(2026, 1, 30)));
    assert_eq!(milestone(Milestone::End), Moment::Day(date(2026, 1, 31)));
    assert_eq!(milestone(Milestone::Expired), Moment::Day(date(2026, 2, 1)));
    assert_eq!(dated.counted.unwrap().end_at, at("2026-02-01 00:00"));
}

/// S17 and C15: on 2022-01-19 there are 50 natural days and 33 workdays left.
#[test]
fn days_left_are_counted_both_ways() {
    let rules = published::rulebook();
    let end = count_with(&rules, "2012-03-10", "10y", Mode::Retention).legal_end;
    let now = date(2022, 1, 19);
    assert_eq!(now.until(end).unwrap().get_days(), 50);
    assert_eq!(rules.calendar.workdays_between(now, end), 33);
}

/// S20 and C17: the reminder 30 days before 2026-03-20 falls on 02-18, a holiday, and goes on the make-up Saturday before.
#[test]
fn a_staff_reminder_on_a_holiday_goes_on_the_workday_before() {
    let rules = published::rulebook();
    let rung = rung(
        "month-ahead",
        "30 days before last_safe_day",
        Some("09:00"),
        OffDay::Earlier,
        &[Audience::Owner],
        &[Way::Email],
    );
    let end = count_with(&rules, "2016-03-20", "10y", Mode::Retention).last_safe_day;
    let coming = comings(&rules, &rung, Moment::Day(end), at("2026-01-01 00:00"))
        .next
        .unwrap();
    assert_eq!(coming.at, at("2026-02-14 09:00"));
}
