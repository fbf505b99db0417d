//! The laws of the planner, over generated rules, people and facts: total, deterministic, settled, explained, its wake-up honest; what is
//! looked at again before it is sent agrees with what was planned.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use xixin::domain::case::{Case, Item, Status};
use xixin::domain::ladder::{Audience, Way};
use xixin::domain::plan::decide::{CALL_TASK, Scene};
use xixin::domain::plan::plan;
use xixin::domain::plan::recheck::{Queued, Recheck, recheck};
use xixin::domain::reminder::{Decided, Decision, MarkText, Recipient, Verdict};

use crate::support::rulebook::{case, people, rulebook};
use crate::support::worlds::{World, world};

fn second(s: i64) -> Timestamp {
    Timestamp::from_second(s).unwrap()
}

impl World {
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

    fn recheck(&self, decision: &Decision, now: Timestamp) -> Recheck<'_> {
        let queued = Queued {
            item: decision.mark.item.clone(),
            anchor: decision.mark.anchor.to_string(),
            ladder: decision.mark.ladder.clone(),
            rung: decision.mark.rung.clone(),
            occurrence: decision.mark.occurrence,
            audience: decision.mark.audience,
            recipient: decision.recipient.clone(),
            way: decision.way.unwrap(),
            is_call_notice: decision.text.as_str() == CALL_TASK,
            due: decision.due,
            valid_until: decision.valid_until,
        };
        let scene = Scene {
            rules: &self.rules,
            case: &self.case,
            people: &self.people,
            now,
        };
        recheck(&scene, &queued)
    }

    fn is_correction(&self, decision: &Decision) -> bool {
        let ladder = &self.rules.ladders[&decision.mark.ladder];
        let mut rungs = ladder.rungs.iter();
        rungs.any(|rung| rung.name == decision.mark.rung && rung.if_told)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_is_total_deterministic_settled_and_explained((world, now) in world()) {
        let mut decided = world.decided();
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
        let mut decided = world.decided();
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
    fn what_was_just_decided_may_leave_when_its_hour_has_come((world, now) in world()) {
        let (due, _) = world.plan(&world.decided(), now);
        for decision in due.iter().filter(|decision| decision.verdict == Verdict::Queued) {
            match world.recheck(decision, now) {
                Recheck::Send(dated) => {
                    prop_assert_eq!(dated.item.id(), &decision.mark.item);
                    prop_assert!(decision.not_before <= now, "{decision:?}");
                }
                Recheck::Wait { until } => prop_assert_eq!(until, decision.not_before),
                other => prop_assert!(false, "{decision:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn nobody_is_written_to_who_must_not_be((world, now) in world()) {
        let (due, _) = world.plan(&world.decided(), now);
        for decision in due.iter().filter(|decision| matches!(decision.verdict, Verdict::Queued | Verdict::Task)) {
            let is_notice = decision.text.as_str() == CALL_TASK;
            match &decision.recipient {
                Recipient::Nobody => prop_assert!(false, "{decision:?}"),
                Recipient::Staff(id) => {
                    prop_assert!(is_notice || !decision.mark.audience.is_public(), "{decision:?}");
                    prop_assert!(world.rules.org.staff.contains_key(id), "{decision:?}");
                }
                Recipient::Person(id) => {
                    prop_assert!(decision.mark.audience.is_public(), "{decision:?}");
                    let person = world.people.all().find(|person| person.id == *id).unwrap();
                    let agreed = person.relative.as_ref().is_none_or(|relative| relative.opted_in);
                    prop_assert!(agreed && !person.deceased, "{decision:?}");
                    let is_relative = decision.mark.audience == Audience::Relatives;
                    prop_assert_eq!(person.relative.is_some(), is_relative);
                    let sms = decision.way == Some(Way::Sms);
                    prop_assert!(!sms || (!person.opted_out && !person.phone_is_wrong), "{decision:?}");
                    let sending = world.rules.schedule.sending_hours;
                    let goes = decision.not_before;
                    let by_day = sending.next_allowed(goes, &world.rules.zone) == goes;
                    let is_call = decision.verdict == Verdict::Task;
                    let cannot_wait = sending.next_allowed(goes, &world.rules.zone) >= decision.valid_until;
                    prop_assert!(by_day || is_call || cannot_wait, "{decision:?}");
                }
            }
            if world.is_correction(decision) && !is_notice {
                let told = world.decided().was_told(&decision.mark.item, &decision.recipient);
                prop_assert!(told, "put right though never told: {decision:?}");
            }
        }
    }

    #[test]
    fn a_closed_case_speaks_only_of_what_outlives_it((world, now) in world()) {
        let status = Status::Closed {
            at: now,
            by: "li".into(),
            closing: xixin::domain::case::Closing::Done { outcome: "办结".to_owned() },
        };
        let world = World { case: Case { status, ..world.case }, ..world };
        let (due, wake) = world.plan(&world.decided(), now);
        let outlives = |item: Item<'_>| match item {
            Item::Todo(todo) => todo.done.is_none() && todo.purpose.survives_closing(),
            Item::Policy(policy) => !policy.watch.told.contains_key(&policy.policy.id),
            // Only those who had been told of it hear that it is off.
            Item::Appointment(_) | Item::Escort(_) => !item.is_open(),
            _ => false,
        };
        for decision in &due {
            let item = world.case.item(&world.rules, &decision.mark.item).unwrap();
            prop_assert!(outlives(item), "{decision:?}");
        }
        let leaves_something = world.case.items(&world.rules).any(outlives);
        prop_assert!(leaves_something || (due.is_empty() && wake.is_none()), "{wake:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn going_from_wake_up_to_wake_up_decides_what_going_by_the_hour_decides((world, start) in world()) {
        let world = world.known_at(start);
        let hour = SignedDuration::from_hours(1);
        let end = start + SignedDuration::from_hours(24 * 25);
        let (mut by_hour, mut by_wake) = (world.decided(), world.decided());
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
