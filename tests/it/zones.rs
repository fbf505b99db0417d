//! Every zone of the world at every change of its clocks from 1970 to 2037: a reminder of each day comes once, in order, and never
//! before its time.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use xixin::domain::calendar::OffDay;
use xixin::domain::ladder::{Audience, ItemKind, Late, Way};
use xixin::domain::milestone::{Moment, instant};
use xixin::domain::plan::occurrence::comings;
use xixin::domain::quiet::SendingHours;
use xixin::domain::reminder::Occurrence;

use crate::support::rulebook::{case, deadline_ending, ladder, rulebook, rung};
use crate::support::timeline::Timeline;

const FIRST: &str = "1970-01-01T00:00:00Z";
const LAST: &str = "2038-01-01T00:00:00Z";

/// A change of the clocks.
struct Change {
    zone: TimeZone,
    name: String,
    at: Timestamp,
}

impl Change {
    /// The local readings just before and just after it.
    fn edges(&self) -> [DateTime; 2] {
        let before = self.at - SignedDuration::from_secs(1);
        [self.zone.to_datetime(before), self.zone.to_datetime(self.at)]
    }

    fn local_day(&self, days: i64) -> Date {
        self.zone
            .to_datetime(self.at + SignedDuration::from_hours(24 * days))
            .date()
    }

    /// The pieces of time around it in which the offset stays the same.
    fn pieces(&self) -> Vec<(Timestamp, SignedDuration)> {
        let mut start = self.at - SignedDuration::from_hours(24 * 6);
        let end = self.at + SignedDuration::from_hours(24 * 6);
        let mut pieces = vec![(start, seconds(self.zone.to_offset(start).seconds()))];
        while let Some(next) = self.zone.following(start).next().filter(|next| next.timestamp() < end) {
            start = next.timestamp();
            pieces.push((start, seconds(next.offset().seconds())));
        }
        pieces
    }

    /// The first instant around it at which a clock on the wall shows this or more. Nothing of it is taken from the code under test.
    fn first_showing(&self, wanted: DateTime) -> Timestamp {
        let pieces = self.pieces();
        let wanted = TimeZone::UTC.to_timestamp(wanted).unwrap();
        for (index, (start, offset)) in pieces.iter().enumerate() {
            let shown = (wanted - *offset).max(*start);
            if pieces.get(index + 1).is_none_or(|(end, _)| shown < *end) {
                return shown;
            }
        }
        unreachable!("the last piece has no end")
    }
}

fn seconds(count: i32) -> SignedDuration {
    SignedDuration::from_secs(count.into())
}

/// Zones that are the same under several names are taken once.
fn changes() -> Vec<Change> {
    let (first, last): (Timestamp, Timestamp) = (FIRST.parse().unwrap(), LAST.parse().unwrap());
    let database = TimeZoneDatabase::bundled();
    let mut distinct = BTreeMap::new();
    for name in database.available() {
        let zone = database.get(name.as_str()).unwrap();
        let changes: Vec<(Timestamp, i32)> = zone
            .following(first)
            .take_while(|change| change.timestamp() < last)
            .map(|change| (change.timestamp(), change.offset().seconds()))
            .collect();
        distinct.entry(changes).or_insert((name.to_string(), zone));
    }
    let of_zone = |(changes, (name, zone)): (Vec<(Timestamp, i32)>, (String, TimeZone))| {
        let change = move |(at, _)| Change {
            zone: zone.clone(),
            name: name.clone(),
            at,
        };
        changes.into_iter().map(change).collect::<Vec<_>>()
    };
    let all: Vec<Change> = distinct.into_iter().flat_map(of_zone).collect();
    assert!(all.len() > 10_000, "only {} changes", all.len());
    all
}

/// Times of day: some that changes like, and the very edges of this one.
fn times(change: &Change) -> Vec<Time> {
    let mut times: Vec<Time> = [(0, 0), (0, 30), (2, 0), (2, 30), (9, 0), (23, 59)]
        .into_iter()
        .map(|(hour, minute)| Time::constant(hour, minute, 0, 0))
        .collect();
    times.extend(change.edges().map(|edge| edge.time()));
    times
}

#[test]
fn a_local_time_is_the_first_instant_that_shows_it_or_more() {
    for change in changes() {
        for day in [-1, 0, 1].map(|days| change.local_day(days)) {
            for time in times(&change) {
                let found = instant(day, time, &change.zone);
                assert_eq!(
                    found,
                    change.first_showing(day.to_datetime(time)),
                    "{} {day} {time}",
                    change.name
                );
            }
        }
    }
}

#[test]
fn a_rung_of_every_day_comes_once_for_each_date_and_in_order() {
    let mut rules = rulebook();
    for change in changes() {
        rules.zone = change.zone.clone();
        let first = change.local_day(-2);
        for time in [change.edges()[0].time(), Time::constant(2, 30, 0, 0)] {
            let at = time.strftime("%H:%M").to_string();
            let daily = rung(
                "daily",
                "every day from on expired",
                Some(&at),
                OffDay::Stay,
                &[Audience::Owner],
                &[Way::Email],
            );
            let mut now = change.at - SignedDuration::from_hours(24 * 5);
            let mut day = first;
            for _ in 0..5 {
                let next = comings(&rules, &daily, Moment::Day(first), now).next.unwrap();
                let told = format!("{} {at} after {now}", change.name);
                let Occurrence::On(date) = next.occurrence else {
                    panic!("{told}: {next:?}")
                };
                // Two dates share an instant where one of them never was (Samoa had no 2011-12-30): the later one stands for both.
                assert!(date >= day && next.at > now, "{told}: {next:?}");
                while day < date {
                    assert_eq!(
                        instant(day, time.with().second(0).build().unwrap(), &rules.zone),
                        next.at,
                        "{told}: {day} is left out"
                    );
                    day = day.tomorrow().unwrap();
                }
                let after = comings(&rules, &daily, Moment::Day(first), next.at);
                assert_eq!(after.last, Some(next), "{told}");
                now = next.at;
                day = date.tomorrow().unwrap();
            }
        }
    }
}

#[test]
fn sending_hours_begin_once_a_day_and_never_in_the_past() {
    let hours = SendingHours {
        from: Time::constant(8, 0, 0, 0),
        to: Time::constant(21, 0, 0, 0),
    };
    for change in changes() {
        for minutes in [-600, -90, -31, -1, 0, 1, 31, 90, 600] {
            let at = change.at + SignedDuration::from_mins(minutes);
            let goes = hours.next_allowed(at, &change.zone);
            assert!(goes >= at, "{} {at}", change.name);
            assert_eq!(hours.next_allowed(goes, &change.zone), goes, "{} {at}", change.name);
            let shown = change.zone.to_datetime(goes).time();
            assert!(shown >= hours.from && shown < hours.to, "{} {at} {shown}", change.name);
        }
    }
}

/// The whole planner from wake-up to wake-up across each change of some zones that have tried everything: half hours, days left out,
/// twice a year, at midnight, for Ramadan.
#[test]
fn the_planner_decides_each_day_once_across_every_change() {
    const ZONES: [&str; 8] = [
        "Asia/Shanghai",
        "Europe/Dublin",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Africa/Cairo",
        "America/St_Johns",
    ];
    let database = TimeZoneDatabase::bundled();
    let (first, last): (Timestamp, Timestamp) = (FIRST.parse().unwrap(), LAST.parse().unwrap());
    for name in ZONES {
        let zone = database.get(name).unwrap();
        for change in zone.following(first).take_while(|change| change.timestamp() < last) {
            let mut rules = rulebook();
            rules.zone = zone.clone();
            let daily = rung(
                "daily",
                "every day from on expired",
                Some("02:30"),
                OffDay::Stay,
                &[Audience::Owner],
                &[Way::Email],
            );
            let mut daily = ladder("record_expiry", ItemKind::Deadline, Late::Next, vec![daily]);
            daily.effective_from = jiff::civil::date(1960, 1, 1);
            rules.ladders.insert(daily.id.clone(), daily);
            let local = |days: i64| {
                zone.to_datetime(change.timestamp() + SignedDuration::from_hours(24 * days))
                    .date()
            };
            let (set, end) = (format!("{} 12:00", local(-4)), local(-3).to_string());
            let mut case = case(&set);
            deadline_ending(&mut case, "cremation_reissue", &end, &set);
            let mut timeline = Timeline::new(rules, case, &set);
            timeline.run_until(&format!("{} 12:00", local(4)));
            let daily = timeline
                .decisions
                .iter()
                .filter(|(_, decision)| decision.mark.rung.as_str() == "daily");
            let days: Vec<String> = daily
                .map(|(_, decision)| decision.mark.occurrence.to_string())
                .collect();
            let mut once = days.clone();
            once.dedup();
            assert_eq!(days, once, "{name} {}", change.timestamp());
            assert!(days.len() >= 4, "{name} {}: {days:?}", change.timestamp());
        }
    }
}
