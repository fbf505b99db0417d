//! The laws of the planner, over generated rules, people and facts: total, deterministic, settled, explained, its wake-up honest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use xixin::domain::calendar::OffDay;
use xixin::domain::case::{
    Acknowledgement, Appointment, AppointmentState, Callback, Case, Deadline, Due, Status, Trigger,
};
use xixin::domain::ladder::{
    Audience, ItemKind, Ladder, Late, Point, Priority, Rung, Step, StepUnit, Until, Way, When,
};
use xixin::domain::milestone::Milestone;
use xixin::domain::org::Absence;
use xixin::domain::period::Start;
use xixin::domain::person::{Person, PersonFlag};
use xixin::domain::plan::{People, plan};
use xixin::domain::reminder::{Decided, Decision, MarkText, Verdict};
use xixin::domain::rulebook::Rulebook;

use crate::support::rulebook::{case, daughter, people, resident, rulebook};

/// Everything a plan depends on, but the time.
#[derive(Clone)]
struct World {
    rules: Rulebook,
    case: Case,
    people: People,
}

/// What was generated; the rest of the rulebook is the one in `support`.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ladders = ["record_expiry", "handling", "callback", "appointment"].map(|id| &self.rules.ladders[id].rungs);
        let staff = self.rules.org.staff.values();
        let away: Vec<_> = staff
            .filter(|staff| !staff.absences.is_empty() || staff.email.is_none())
            .collect();
        write!(
            f,
            "{:?}\n{ladders:#?}\n{away:?}\n{:#?}\n{:?}",
            self.rules.zone, self.case, self.people
        )
    }
}

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// 2020-01-01 and 2030-12-31, in seconds.
const FIRST_S: i64 = 1_577_836_800;
const LAST_S: i64 = 1_924_900_000;

fn second(s: i64) -> Timestamp {
    Timestamp::from_second(s).unwrap()
}

/// Mostly whole minutes, sometimes odd nanoseconds.
fn around(centre: i64, days: i64) -> impl Strategy<Value = Timestamp> {
    let minutes = days * 24 * 60;
    let odd = prop_oneof![4 => Just(0_i64), 1 => 0..60_000_000_000_i64];
    (-minutes..=minutes, odd)
        .prop_map(move |(minute, nanos)| second(centre + minute * 60) + SignedDuration::from_nanos(nanos))
}

fn time_of_day() -> impl Strategy<Value = Time> {
    (0_i8..24, select(vec![0_i8, 30, 59])).prop_map(|(hour, minute)| Time::constant(hour, minute, 0, 0))
}

fn milestone(kind: ItemKind) -> impl Strategy<Value = Milestone> {
    select(kind.milestones().to_vec())
}

fn when(kind: ItemKind) -> impl Strategy<Value = When> {
    use StepUnit::{Days, Hours, Minutes, Months, Weeks, Workdays};
    let unit = select(vec![Minutes, Hours, Days, Days, Workdays, Workdays, Weeks, Months]);
    let amount = prop_oneof![3 => -20..=20_i32, 2 => Just(0), 1 => -1..=1_i32];
    let point = (amount, unit, milestone(kind)).prop_map(|(amount, unit, milestone)| Point {
        amount,
        unit: if amount == 0 { Days } else { unit },
        milestone,
    });
    let step = prop_oneof![Just(Step::Day), Just(Step::Workday), (1..40_u32).prop_map(Step::Hours)];
    (point, option::of((step, option::of(1..6_u32)))).prop_map(|(point, repeat)| match repeat {
        None => When::Once(point),
        Some((step, at_most)) => When::Every {
            step,
            from: point,
            at_most,
        },
    })
}

fn rung(kind: ItemKind) -> impl Strategy<Value = Rung> {
    use Audience::{Assignee, Director, District, Owner, Relatives, Resident, Supervisor};
    let to = subsequence(
        vec![Owner, Assignee, Supervisor, Director, District, Resident, Relatives],
        1..=3,
    );
    let by = subsequence(vec![Way::Sms, Way::Email, Way::Phone], 1..=3).prop_shuffle();
    let off_day = select(vec![OffDay::Earlier, OffDay::Later, OffDay::Stay]);
    let until = select(vec![None, Some(Until::Done), Some(Until::Acknowledged)]);
    let since = select(vec![None, Some("2020-01-01"), Some("2026-03-01")]);
    let parts = (when(kind), option::of(time_of_day()), off_day, to, by, until, since);
    parts.prop_map(|(when, at, off_day, to, by, until, since)| Rung {
        name: "".into(),
        when,
        at,
        off_day,
        to,
        by,
        text: "deadline".into(),
        until,
        priority: Priority::Normal,
        if_told: false,
        effective_from: since.map(|since| since.parse().unwrap()),
    })
}

fn ladder(id: &'static str, kind: ItemKind) -> impl Strategy<Value = Ladder> {
    let until = select(vec![Until::Done, Until::Acknowledged]);
    let late = select(vec![Late::Now, Late::Next, Late::Skip]);
    let from = select(vec!["2020-01-01", "2024-06-30", "2026-03-01"]);
    (vec(rung(kind), 1..6), until, late, from).prop_map(move |(mut rungs, until, late, from)| {
        for (index, rung) in rungs.iter_mut().enumerate() {
            rung.name = format!("rung-{index}").into();
        }
        Ladder {
            id: id.into(),
            item: kind,
            until,
            late,
            effective_from: from.parse().unwrap(),
            rungs,
        }
    })
}

fn acknowledgement(centre: i64) -> impl Strategy<Value = Option<Acknowledgement>> {
    let reason = select(vec!["", "another way was found"]);
    let by = select(vec!["li", "sun"]);
    option::of((around(centre, 20), 0..10 * DAY_S, by, reason)).prop_map(|given| {
        given.map(|(at, lasts, by, reason)| Acknowledgement {
            at,
            by: by.into(),
            until: at + SignedDuration::from_secs(lasts),
            reason: reason.to_owned(),
        })
    })
}

fn day_near(centre: i64, days: i64) -> impl Strategy<Value = Date> {
    (-days..=days).prop_map(move |day| TimeZone::UTC.to_datetime(second(centre + day * DAY_S)).date())
}

fn deadline(centre: i64) -> impl Strategy<Value = Deadline> {
    let kind = select(vec![
        "hard_case",
        "hotline",
        "counter",
        "funeral_benefit",
        "ui_apply",
        "gone_from_the_rules",
    ]);
    let trigger = prop_oneof![
        3 => day_near(centre, 80).prop_map(|day| Trigger::Known(Start::Day(day))),
        2 => around(centre, 20).prop_map(|at| Trigger::Known(Start::Instant(at))),
        1 => day_near(centre, 40).prop_map(|day| Trigger::Range { from: day, to: day }),
        1 => Just(Trigger::Unknown),
    ];
    let fixed = option::weighted(0.5, day_near(centre, 25));
    let office = option::of(select(vec!["hall", "labour"]));
    (
        kind,
        trigger,
        fixed,
        office,
        around(centre, 30),
        acknowledgement(centre),
    )
        .prop_map(|(kind, trigger, fixed_end, office, set_at, acknowledged)| Deadline {
            id: "".into(),
            kind: kind.into(),
            trigger,
            fixed_end,
            office: office.map(Into::into),
            set_at,
            moves: 0,
            done: None,
            acknowledged,
        })
}

fn callback(centre: i64) -> impl Strategy<Value = Callback> {
    let due = prop_oneof![
        day_near(centre, 20).prop_map(Due::Day),
        around(centre, 20).prop_map(Due::At),
    ];
    let by = select(vec!["li", "wang", "somebody-who-left"]);
    (due, by, around(centre, 30), acknowledgement(centre)).prop_map(|(due, by, set_at, acknowledged)| Callback {
        id: "".into(),
        promised_at: set_at,
        by: by.into(),
        words: "回电".to_owned(),
        due,
        set_at,
        moves: 1,
        attempts: Vec::new(),
        next_try: None,
        kept: None,
        acknowledged,
    })
}

fn appointment(centre: i64) -> impl Strategy<Value = Appointment> {
    (
        around(centre, 20),
        1..300_i64,
        around(centre, 30),
        acknowledgement(centre),
    )
        .prop_map(|(start, minutes, set_at, acknowledged)| Appointment {
            id: "".into(),
            what: "交材料".to_owned(),
            office: "crematorium".into(),
            start,
            end: start + SignedDuration::from_mins(minutes),
            with: "zhou".into(),
            bring: Vec::new(),
            set_at,
            moves: 0,
            state: AppointmentState::Booked,
            acknowledged,
        })
}

fn facts(centre: i64) -> impl Strategy<Value = Case> {
    let items = (
        vec(deadline(centre), 0..3),
        vec(callback(centre), 0..2),
        vec(appointment(centre), 0..2),
    );
    let marks = (
        option::weighted(0.2, around(centre, 20)),
        option::weighted(0.2, around(centre, 20)),
    );
    let unit = select(vec!["taoranting-1", "taoranting-1", "guangwai", "a-unit-that-has-gone"]);
    let owner = select(vec!["li", "li", "wu", "somebody-who-left"]);
    (items, marks, unit, owner).prop_map(
        |((deadlines, callbacks, appointments), (imported, reopened), unit, owner)| {
            let mut case = Case {
                imported_at: imported,
                reopened_at: reopened,
                unit: unit.into(),
                owner: owner.into(),
                deadlines,
                callbacks,
                appointments,
                ..case("2020-01-01 10:00")
            };
            let mut n = 0;
            let mut id = |letter: char| {
                n += 1;
                format!("{letter}{n}").into()
            };
            case.deadlines.iter_mut().for_each(|item| item.id = id('d'));
            case.callbacks.iter_mut().for_each(|item| item.id = id('c'));
            case.appointments.iter_mut().for_each(|item| item.id = id('a'));
            case.next_item = n + 1;
            case
        },
    )
}

fn person(base: Person) -> impl Strategy<Value = Person> {
    let flags = btree_set(
        select(vec![PersonFlag::Mobility, PersonFlag::NoMobile, PersonFlag::EmptyNest]),
        0..2,
    );
    (flags, any::<[bool; 6]>()).prop_map(move |(flags, [phone, email, old, opted_out, wrong, gone])| Person {
        flags,
        phone: base.phone.clone().filter(|_| phone),
        email: email.then(|| "shen@example.org".to_owned()),
        born: old.then_some(1940),
        opted_out,
        phone_is_wrong: wrong,
        deceased: gone && old,
        ..base.clone()
    })
}

fn household() -> impl Strategy<Value = People> {
    (
        option::weighted(0.9, person(resident())),
        vec(person(daughter()), 0..3),
        any::<bool>(),
    )
        .prop_map(|(resident, mut relatives, opted_in)| {
            for (index, person) in relatives.iter_mut().enumerate() {
                person.id = format!("p{}", index + 2).into();
                if let Some(relative) = person.relative.as_mut() {
                    relative.opted_in = opted_in || index == 0;
                }
            }
            People { resident, relatives }
        })
}

/// Building a calendar takes longer than copying it.
static BASE: LazyLock<Rulebook> = LazyLock::new(rulebook);

fn rules(centre: i64) -> impl Strategy<Value = Rulebook> {
    let zone = select(vec![
        "Asia/Shanghai",
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/Santiago",
    ]);
    let ladders = (
        ladder("record_expiry", ItemKind::Deadline),
        ladder("handling", ItemKind::Deadline),
        ladder("callback", ItemKind::Callback),
        ladder("appointment", ItemKind::Appointment),
    );
    let away = vec(
        (
            select(vec!["li", "sun", "zhao", "chen", "wang"]),
            day_near(centre, 30),
            0..20_i64,
            option::of(select(vec!["li", "wang", "sun", "nobody"])),
        ),
        0..5,
    );
    let silent = btree_set(select(vec!["li", "sun", "zhou"]), 0..2);
    (zone, ladders, away, silent, any::<bool>()).prop_map(|(zone, ladders, away, silent, shipped)| {
        let mut rules = BASE.clone();
        rules.zone = TimeZone::get(zone).unwrap();
        if !shipped {
            let (a, b, c, d) = ladders;
            rules
                .ladders
                .extend([a, b, c, d].map(|ladder| (ladder.id.clone(), ladder)));
        }
        for (who, from, days, substitute) in away {
            let absence = Absence {
                from,
                to: from.saturating_add(jiff::Span::new().days(days)),
                substitute: substitute.map(Into::into),
            };
            rules.org.staff.get_mut(who).unwrap().absences.push(absence);
        }
        for who in silent {
            let staff = rules.org.staff.get_mut(who).unwrap();
            (staff.email, staff.mobile) = (None, None);
        }
        rules
    })
}

fn world() -> impl Strategy<Value = (World, Timestamp)> {
    (FIRST_S..LAST_S).prop_flat_map(|centre| {
        (rules(centre), facts(centre), household(), around(centre, 40))
            .prop_map(|(rules, case, people, now)| (World { rules, case, people }, now))
    })
}

impl World {
    /// Without acknowledgements that nobody has given by then.
    fn known_at(mut self, now: Timestamp) -> Self {
        let to_come = |mark: &mut Acknowledgement| mark.at > now;
        for item in &mut self.case.deadlines {
            item.acknowledged.take_if(to_come);
        }
        for item in &mut self.case.callbacks {
            item.acknowledged.take_if(to_come);
        }
        for item in &mut self.case.appointments {
            item.acknowledged.take_if(to_come);
        }
        self
    }

    fn plan(&self, decided: &Decided, now: Timestamp) -> (Vec<Decision>, Option<Timestamp>) {
        let planned = plan(&self.rules, &self.case, &self.people, decided, now);
        (planned.due, planned.wake)
    }

    /// Plans and adds what was decided; the texts of the marks.
    fn step(&self, decided: &mut Decided, now: Timestamp) -> (BTreeSet<String>, Option<Timestamp>) {
        let (due, wake) = self.plan(decided, now);
        let marks: BTreeSet<String> = due.iter().map(|decision| decision.mark.to_string()).collect();
        for mark in &marks {
            decided.insert(mark.clone());
        }
        (marks, wake)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_is_total_deterministic_settled_and_explained((world, now) in world()) {
        let mut decided = Decided::default();
        let (due, wake) = world.plan(&decided, now);
        prop_assert_eq!(world.plan(&decided, now), (due.clone(), wake));
        let mut keys = BTreeSet::new();
        for decision in &due {
            prop_assert!(!decision.reason.zh.is_empty() && !decision.reason.en.is_empty(), "{decision:?}");
            let key = (decision.mark.to_string(), decision.recipient.clone(), decision.way);
            prop_assert!(keys.insert(key), "decided twice: {decision:?}");
            prop_assert_eq!(decision.verdict == Verdict::Queued, decision.way.is_some_and(|way| way != Way::Phone));
            prop_assert!(decision.due <= now, "decided before its time: {decision:?}");
            if decision.verdict == Verdict::Queued {
                prop_assert!(now < decision.valid_until, "queued though it is of no use: {decision:?}");
            }
            decided.insert(decision.mark.to_string());
        }
        prop_assert!(wake.is_none_or(|wake| wake > now), "a wake-up at {wake:?}, but it is {now}");
        let (again, same_wake) = world.plan(&decided, now);
        prop_assert_eq!(again, Vec::new());
        prop_assert_eq!(same_wake, wake);
    }

    #[test]
    fn nothing_is_decided_before_the_wake_up((world, now) in world(), parts in vec(0.0..1.0_f64, 8)) {
        let mut decided = Decided::default();
        let mut now = now;
        for part in parts {
            let (_, wake) = world.step(&mut decided, now);
            let horizon = wake.unwrap_or(now + SignedDuration::from_hours(24 * 400));
            let room = horizon.duration_since(now);
            let between = now + SignedDuration::try_from_secs_f64(room.as_secs_f64() * part).unwrap();
            let just_before = horizon - SignedDuration::from_nanos(1);
            for instant in [between.min(just_before), just_before] {
                let (early, _) = world.plan(&decided, instant);
                prop_assert_eq!(early, Vec::new(), "at {}, between {} and {}", instant, now, horizon);
            }
            if wake.is_none() { break }
            now = horizon;
        }
    }

    #[test]
    fn a_closed_case_decides_nothing_and_sleeps((world, now) in world()) {
        let status = Status::Closed {
            at: now,
            by: "li".into(),
            closing: xixin::domain::case::Closing::Done { outcome: "办结".to_owned() },
        };
        let world = World { case: Case { status, ..world.case }, ..world };
        prop_assert_eq!(world.plan(&Decided::default(), now), (Vec::new(), None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn going_from_wake_up_to_wake_up_decides_what_going_by_the_hour_decides((world, start) in world()) {
        let world = world.known_at(start);
        let hour = SignedDuration::from_hours(1);
        let end = start + SignedDuration::from_hours(24 * 25);
        let (mut by_hour, mut by_wake) = (Decided::default(), Decided::default());
        let (mut hourly, mut woken) = (BTreeSet::new(), BTreeMap::new());
        let mut now = start;
        while now <= end {
            hourly.extend(world.step(&mut by_hour, now).0);
            now += hour;
        }
        let last_hour = now - hour;
        let mut now = start;
        loop {
            let (marks, wake) = world.step(&mut by_wake, now);
            woken.extend(marks.into_iter().map(|mark| (mark, now)));
            match wake {
                Some(wake) if wake <= last_hour => now = wake,
                _ => break,
            }
        }
        let missed: Vec<&String> = hourly.iter().filter(|mark| !woken.contains_key(*mark)).collect();
        prop_assert_eq!(missed, Vec::<&String>::new());
        // More only where the same rung came again before the hour was over.
        for (mark, at) in woken.iter().filter(|(mark, _)| !hourly.contains(*mark)) {
            let overtaken = woken.iter().any(|(other, then)| {
                at < then && *then - *at < hour && is_later_of_the_same(mark, other) && hourly.contains(other)
            });
            prop_assert!(overtaken, "{mark} at {at} is seen from wake-up to wake-up only");
        }
    }
}

fn is_later_of_the_same(mark: &str, other: &str) -> bool {
    let (mark, other) = (MarkText::parse(mark).unwrap(), MarkText::parse(other).unwrap());
    let of = |mark: &MarkText| (mark.item.clone(), mark.anchor.clone(), mark.rung.clone(), mark.audience);
    of(&mark) == of(&other) && mark.occurrence < other.occurrence
}

#[test]
fn the_end_of_the_calendar_and_of_time_is_no_trouble() {
    let rules = rulebook();
    let mut case = case("2026-01-05 10:00");
    crate::support::rulebook::deadline_ending(&mut case, "cremation_reissue", "2200-12-31", "2026-01-05 10:00");
    crate::support::rulebook::deadline_ending(&mut case, "hard_case", "1900-01-01", "2026-01-05 10:00");
    for now in [
        Timestamp::MIN,
        second(0),
        second(7_289_000_000),
        second(7_300_000_000),
        Timestamp::MAX,
    ] {
        let planned = plan(&rules, &case, &people(), &Decided::default(), now);
        assert!(planned.wake.is_none_or(|wake| wake > now), "{now}: {:?}", planned.wake);
    }
}
