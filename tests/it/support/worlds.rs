//! Generated worlds for property tests: rules, facts with every kind of item, people, and who has heard of what.
//!
//! Facts are what a store may hold, not what commands let through: steps that wait for each other, legs in any order, owners who left.

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
    Acknowledgement, Answer, Appointment, AppointmentState, Approval, Attempt, AttemptResult, Callback, Care, Case,
    CaseFlag, CheckIn, Closing, Contact, ContactKind, Deadline, Direction, Due, Escort, EscortState, Head, Incident,
    Leg, Mark, Material, MaterialState, Origin, Passes, Purpose, Reply, ReplyKind, Search, SearchAnswer, ServicePlan,
    Status, Step as PlanStep, Todo, Trigger, Watch,
};
use xixin::domain::ids::{ItemId, LadderId};
use xixin::domain::ladder::{
    Audience, ItemKind, Ladder, Late, Point, Priority, Rung, Step, StepUnit, Until, Way, When,
};
use xixin::domain::milestone::Milestone;
use xixin::domain::org::{Absence, Role};
use xixin::domain::period::{Mode, PeriodRule, Start};
use xixin::domain::person::{Person, PersonFlag};
use xixin::domain::plan::People;
use xixin::domain::policy::Policy;
use xixin::domain::reminder::Decided;
use xixin::domain::rota::{Each, Plan, Rota, Stretch};
use xixin::domain::rulebook::Rulebook;
use xixin::domain::text::Said;

use super::rulebook::{SHIPPED, case, daughter, resident, rulebook};

/// Everything a plan depends on, but the time.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) rules: Rulebook,
    pub(crate) case: Case,
    pub(crate) people: People,
    /// Who has heard of which item before.
    pub(crate) told: Vec<(ItemId, String)>,
}

/// What was generated; the rest of the rulebook is the one in `support`.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ladders = ladder_ids().map(|(id, _)| &self.rules.ladders[&id]);
        let ladders: Vec<_> = ladders.map(|ladder| (&ladder.id, &ladder.rungs)).collect();
        let staff = self.rules.org.staff.values();
        let away: Vec<_> = staff
            .filter(|staff| !staff.absences.is_empty() || staff.email.is_none())
            .collect();
        let Self { case, people, told, .. } = self;
        write!(
            f,
            "{:?}\n{ladders:#?}\n{away:?}\n{:?}\n{:?}\n{case:#?}\n{people:?}\n{told:?}",
            self.rules.zone, self.rules.rota, self.rules.policies
        )
    }
}

impl World {
    /// What the ledger holds at first: nothing decided, some people told of some things.
    pub(crate) fn decided(&self) -> Decided {
        let mut decided = Decided::default();
        for (item, recipient) in &self.told {
            decided.heard(item.clone(), recipient.clone());
        }
        decided
    }

    /// Without acknowledgements that nobody has given by then.
    pub(crate) fn known_at(mut self, now: Timestamp) -> Self {
        let to_come = |mark: &mut Acknowledgement| mark.at > now;
        let case = &mut self.case;
        let steps = case.plan.iter_mut().flat_map(|plan| &mut plan.steps);
        let heads = (case.escorts.iter_mut().map(|item| &mut item.head))
            .chain(case.incidents.iter_mut().map(|item| &mut item.head))
            .chain(case.materials.iter_mut().map(|item| &mut item.head))
            .chain(case.replies.iter_mut().map(|item| &mut item.head))
            .chain(case.todos.iter_mut().map(|item| &mut item.head))
            .chain(steps.map(|item| &mut item.head));
        let marks = (case.deadlines.iter_mut().map(|item| &mut item.acknowledged))
            .chain(case.callbacks.iter_mut().map(|item| &mut item.acknowledged))
            .chain(case.appointments.iter_mut().map(|item| &mut item.acknowledged))
            .chain(heads.map(|head| &mut head.acknowledged))
            .chain([&mut case.care.acknowledged]);
        for mark in marks {
            mark.take_if(to_come);
        }
        if let Some(watch) = &mut case.watch {
            watch.acknowledged.retain(|_, mark| mark.at <= now);
        }
        self
    }
}

/// A world, and an instant in it.
pub(crate) fn world() -> impl Strategy<Value = (World, Timestamp)> {
    (FIRST_S..LAST_S).prop_flat_map(|centre| {
        let told = vec((select(ITEMS.to_vec()), select(RECIPIENTS.to_vec())), 0..8);
        let told = told.prop_map(|told| {
            let told = told.into_iter();
            told.map(|(item, recipient)| (item.into(), recipient.to_owned()))
                .collect()
        });
        (rules(centre), facts(centre), household(), told, around(centre, 40)).prop_map(
            |(rules, case, people, told, now)| {
                (
                    World {
                        rules,
                        case,
                        people,
                        told,
                    },
                    now,
                )
            },
        )
    })
}

/// Names of items that a generated case may have.
pub(crate) const ITEMS: [&str; 16] = [
    "d1",
    "d2",
    "c1",
    "a1",
    "a2",
    "e1",
    "e2",
    "i1",
    "m1",
    "r1",
    "s1",
    "s2",
    "t1",
    "w-heating",
    "w-care",
    "case",
];
const RECIPIENTS: [&str; 6] = [
    "person:p1",
    "person:p2",
    "person:p3",
    "staff:li",
    "staff:zhou",
    "staff:sun",
];

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
    let to = subsequence(Audience::ALL.to_vec(), 1..=3);
    let by = subsequence(vec![Way::Sms, Way::Email, Way::Phone], 1..=3).prop_shuffle();
    let off_day = select(vec![OffDay::Earlier, OffDay::Later, OffDay::Stay]);
    let until = select(vec![None, Some(Until::Done), Some(Until::Acknowledged)]);
    let since = select(vec![None, Some("2020-01-01"), Some("2026-03-01")]);
    let if_told = prop::bool::weighted(0.2);
    let parts = (
        when(kind),
        option::of(time_of_day()),
        off_day,
        to,
        by,
        until,
        since,
        if_told,
    );
    parts.prop_map(|(when, at, off_day, to, by, until, since, if_told)| Rung {
        name: "".into(),
        when,
        at,
        off_day,
        to,
        by,
        text: "deadline".into(),
        until,
        priority: Priority::Normal,
        if_told,
        effective_from: since.map(|since| since.parse().unwrap()),
    })
}

fn ladder(id: LadderId, kind: ItemKind) -> impl Strategy<Value = Ladder> {
    let until = select(vec![Until::Done, Until::Acknowledged]);
    let late = select(vec![Late::Now, Late::Next, Late::Skip]);
    let from = select(vec!["2020-01-01", "2024-06-30", "2026-03-01"]);
    (vec(rung(kind), 1..5), until, late, from).prop_map(move |(mut rungs, until, late, from)| {
        for (index, rung) in rungs.iter_mut().enumerate() {
            rung.name = format!("rung-{index}").into();
        }
        Ladder {
            id: id.clone(),
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
    let parts = (
        due,
        by,
        around(centre, 30),
        acknowledgement(centre),
        option::of(around(centre, 20)),
        mark(centre),
    );
    parts.prop_map(|(due, by, set_at, acknowledged, next_try, kept)| Callback {
        id: "".into(),
        promised_at: set_at,
        by: by.into(),
        words: "回电".to_owned(),
        due,
        set_at,
        moves: 1,
        attempts: next_try.map(|_| in_vain(set_at)).into_iter().collect(),
        next_try,
        passed_at: next_try,
        kept,
        acknowledged,
    })
}

fn appointment(centre: i64) -> impl Strategy<Value = Appointment> {
    (
        around(centre, 20),
        1..300_i64,
        around(centre, 30),
        acknowledgement(centre),
        0..3_u32,
        ending(centre),
    )
        .prop_map(|(start, minutes, set_at, acknowledged, moves, ending)| Appointment {
            id: "".into(),
            what: "交材料".to_owned(),
            office: "crematorium".into(),
            start,
            end: start + SignedDuration::from_mins(minutes),
            with: "zhou".into(),
            bring: Vec::new(),
            set_at,
            moves,
            passed_at: (moves == 1).then_some(set_at),
            passes: passes(moves),
            state: match ending {
                Ending::Booked => AppointmentState::Booked,
                Ending::Over(at) => AppointmentState::Attended { at, by: "li".into() },
                Ending::Off(at) => AppointmentState::Cancelled {
                    at,
                    by: "li".into(),
                    reason: "改期".to_owned(),
                },
            },
            acknowledged,
        })
}

/// What became of an appointment or an escort.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Booked,
    Over(Timestamp),
    Off(Timestamp),
}

fn ending(centre: i64) -> impl Strategy<Value = Ending> {
    prop_oneof![
        4 => Just(Ending::Booked),
        1 => around(centre, 20).prop_map(Ending::Over),
        2 => around(centre, 20).prop_map(Ending::Off),
    ]
}

fn mark(centre: i64) -> impl Strategy<Value = Option<Mark>> {
    let mark = around(centre, 20).prop_map(|at| Mark { at, by: "li".into() });
    option::weighted(0.25, mark)
}

fn in_vain(at: Timestamp) -> Attempt {
    Attempt {
        at,
        by: "li".into(),
        result: AttemptResult::NoAnswer,
    }
}

/// What was moved once went into other hands afterwards.
fn passes(moves: u32) -> Passes {
    match moves {
        1 => Passes {
            times: 1,
            from: Some("li".into()),
        },
        _ => Passes::default(),
    }
}

/// The id is given when the case is put together.
fn head(centre: i64) -> impl Strategy<Value = Head> {
    (around(centre, 30), 0..3_u32, acknowledgement(centre)).prop_map(|(set_at, moves, acknowledged)| Head {
        id: "".into(),
        set_at,
        moves,
        passed_at: (moves == 1).then_some(set_at),
        passes: passes(moves),
        acknowledged,
    })
}

fn escort(centre: i64) -> impl Strategy<Value = Escort> {
    let with = select(vec!["zhou", "li", "somebody-who-left"]);
    let office = select(vec!["labour", "hall", "crematorium"]);
    let checks = (subsequence(Leg::ALL.to_vec(), 0..=3), around(centre, 20));
    let parts = (
        head(centre),
        around(centre, 20),
        1..180_i64,
        1..300_i64,
        with,
        office,
        checks,
        ending(centre),
    );
    parts.prop_map(|(head, pick_up, way, stay, with, office, (legs, at), ending)| {
        let visit = pick_up + SignedDuration::from_mins(way);
        let check = |leg| CheckIn {
            leg,
            at,
            by: "zhou".into(),
        };
        Escort {
            head,
            what: "鉴定".to_owned(),
            office: office.into(),
            with: with.into(),
            pick_up,
            visit,
            home_by: visit + SignedDuration::from_mins(stay),
            from: String::new(),
            bring: Vec::new(),
            checks: legs.into_iter().map(check).collect(),
            state: match ending {
                Ending::Booked => EscortState::Booked,
                Ending::Over(at) => EscortState::Completed { at, by: "zhou".into() },
                Ending::Off(at) => EscortState::Cancelled {
                    at,
                    by: "li".into(),
                    reason: "天气".to_owned(),
                },
            },
        }
    })
}

fn incident(centre: i64) -> impl Strategy<Value = Incident> {
    let escort = option::of(select(vec!["e1", "e7"]));
    let by = select(vec!["zhou", "li", "somebody-who-left"]);
    (head(centre), around(centre, 20), by, escort, mark(centre)).prop_map(|(head, at, by, escort, recovered)| {
        Incident {
            head,
            at,
            by: by.into(),
            escort: escort.map(Into::into),
            leg: escort.map(|_| Leg::Visit),
            what: "摔倒".to_owned(),
            action: String::new(),
            told: Vec::new(),
            recovered,
        }
    })
}

fn material(centre: i64) -> impl Strategy<Value = Material> {
    let state = (0..7_u8, around(centre, 30)).prop_map(|(rank, at)| match rank {
        0 => MaterialState::Required,
        1 | 2 => MaterialState::Requested {
            at,
            from: "档案室".to_owned(),
        },
        3 => MaterialState::Obtained { at },
        4 => MaterialState::Verified { at },
        5 => MaterialState::HandedOver { at },
        _ => MaterialState::NotNeeded {
            at,
            reason: "已有".to_owned(),
        },
    });
    let finder = option::of(select(vec!["li", "wang", "somebody-who-left"]));
    let answer = select(vec![SearchAnswer::Here, SearchAnswer::NotHere, SearchAnswer::Unclear]);
    let place = select(vec!["档案室", "派出所", "居委会"]);
    let search = vec((around(centre, 20), place, answer), 0..4);
    (head(centre), state, finder, search).prop_map(|(head, state, finder, search)| Material {
        head,
        name: Said::new("火化证", "certificate"),
        issuer: None,
        places: vec!["档案室".to_owned(), "居委会".to_owned()],
        state,
        finder: finder.map(Into::into),
        search: search
            .into_iter()
            .map(|(at, place, answer)| Search {
                at,
                by: "li".into(),
                place: place.to_owned(),
                answer,
            })
            .collect(),
    })
}

fn reply(centre: i64) -> impl Strategy<Value = Reply> {
    let contact = option::of(select(vec!["chu", "wu", "somebody-who-left"]));
    let parts = (
        head(centre),
        select(ReplyKind::ALL.to_vec()),
        contact,
        around(centre, 30),
        day_near(centre, 20),
        around(centre, 20),
        option::of(0..10_u32),
        mark(centre),
    );
    parts.prop_map(
        |(head, kind, contact, asked_at, due, last_contact, chase_workdays, answered)| Reply {
            head,
            kind,
            of: "区民政局".to_owned(),
            office: None,
            contact: contact.map(Into::into),
            what: "查档".to_owned(),
            list: Vec::new(),
            participants: Vec::new(),
            asked_at,
            due,
            last_contact,
            chase_workdays,
            answered: answered.map(|Mark { at, by }| Answer {
                at,
                by,
                result: "已复".to_owned(),
            }),
        },
    )
}

/// Steps may wait for themselves, for each other and for steps that do not exist.
fn step(centre: i64) -> impl Strategy<Value = PlanStep> {
    let office = option::of(select(vec!["labour", "hall", "gone-from-the-rules"]));
    let after = subsequence(vec!["s1", "s2", "s3", "s4", "s9"], 0..=2);
    let parts = (
        head(centre),
        office,
        after,
        0..8_u32,
        any::<bool>(),
        mark(centre),
        option::of(around(centre, 20)),
        mark(centre),
    );
    parts.prop_map(
        |(head, office, after, takes_days, expedite, started, last_contact, done)| PlanStep {
            head,
            name: Said::new("鉴定", "assessment"),
            office: office.map(Into::into),
            agency: String::new(),
            after: after.into_iter().map(Into::into).collect(),
            takes_days,
            expedite,
            started,
            last_contact,
            done,
        },
    )
}

fn service_plan(centre: i64) -> impl Strategy<Value = ServicePlan> {
    let roles = vec![
        ("sun", Role::BusinessSupervisor),
        ("zhao", Role::Director),
        ("chen", Role::DistrictLead),
    ];
    let approvals = (subsequence(roles, 0..=3), around(centre, 30));
    let needed_by = option::of(day_near(centre, 40));
    (around(centre, 30), approvals, needed_by, vec(step(centre), 1..5)).prop_map(
        |(drafted_at, (roles, at), needed_by, steps)| ServicePlan {
            drafted_at,
            drafted_by: "li".into(),
            approvals: roles
                .into_iter()
                .map(|(by, role)| Approval {
                    at,
                    by: by.into(),
                    role,
                })
                .collect(),
            needed_by,
            steps,
        },
    )
}

fn todo(centre: i64) -> impl Strategy<Value = Todo> {
    let by = select(vec!["li", "sun", "somebody-who-left"]);
    let purpose = select(Purpose::ALL.to_vec());
    (head(centre), purpose, by, day_near(centre, 20), mark(centre)).prop_map(|(head, purpose, by, due, done)| Todo {
        head,
        purpose,
        by: by.into(),
        due,
        words: String::new(),
        about: None,
        done,
    })
}

fn watch(centre: i64) -> impl Strategy<Value = Watch> {
    let tags = btree_set(select(vec!["低收入", "重残", "单亲"]), 0..3);
    let told = option::of(select(vec!["heating", "care"]));
    let acknowledged = (select(vec!["heating", "care"]), acknowledgement(centre));
    (around(centre, 30), tags, told, acknowledged).prop_map(|(since, tags, told, (policy, acknowledged))| Watch {
        since,
        tags: tags.into_iter().map(str::to_owned).collect(),
        noted: BTreeMap::new(),
        told: told
            .map(|policy| {
                (
                    policy.into(),
                    Mark {
                        at: since,
                        by: "li".into(),
                    },
                )
            })
            .into_iter()
            .collect(),
        acknowledged: acknowledged.map(|mark| (policy.into(), mark)).into_iter().collect(),
    })
}

fn status(centre: i64) -> impl Strategy<Value = Status> {
    let closed = around(centre, 10).prop_map(|at| Status::Closed {
        at,
        by: "li".into(),
        closing: Closing::Done {
            outcome: "办结".to_owned(),
        },
    });
    let waiting = around(centre, 20).prop_map(|since| Status::Waiting {
        on: "区民政局".to_owned(),
        since,
    });
    prop_oneof![5 => Just(Status::Open), 1 => waiting, 2 => closed]
}

fn facts(centre: i64) -> impl Strategy<Value = Case> {
    let older = (
        vec(deadline(centre), 0..3),
        vec(callback(centre), 0..2),
        vec(appointment(centre), 0..3),
    );
    let newer = (
        vec(escort(centre), 0..3),
        vec(incident(centre), 0..2),
        vec(material(centre), 0..3),
        vec(reply(centre), 0..3),
        option::weighted(0.4, service_plan(centre)),
        vec(todo(centre), 0..3),
        option::weighted(0.4, watch(centre)),
    );
    let marks = (
        option::weighted(0.2, around(centre, 20)),
        option::weighted(0.2, around(centre, 20)),
        option::weighted(0.2, around(centre, 20)),
    );
    let unit = select(vec!["taoranting-1", "taoranting-1", "guangwai", "a-unit-that-has-gone"]);
    let owner = select(vec!["li", "li", "wu", "somebody-who-left"]);
    let origin = select(vec![Origin::WalkIn, Origin::Web, Origin::Email, Origin::Import]);
    let whole = (
        status(centre),
        origin,
        around(centre, 40),
        vec(around(centre, 20), 0..3),
        acknowledgement(centre),
        btree_set(select(vec![CaseFlag::SensitiveTone, CaseFlag::Expedite]), 0..2),
    );
    (older, newer, marks, unit, owner, whole).prop_map(|(older, newer, marks, unit, owner, whole)| {
        let (deadlines, callbacks, appointments) = older;
        let (escorts, incidents, materials, replies, plan, todos, watch) = newer;
        let (imported_at, reopened_at, owner_since) = marks;
        let (status, origin, opened_at, contacts, acknowledged, flags) = whole;
        let mut case = Case {
            opened_at,
            origin,
            status,
            flags,
            imported_at,
            reopened_at,
            unit: unit.into(),
            owner: owner.into(),
            deadlines,
            callbacks,
            appointments,
            escorts,
            incidents,
            materials,
            replies,
            plan,
            todos,
            watch,
            care: Care {
                owner_since,
                acknowledged,
            },
            contacts: contacts.into_iter().map(heard_from).collect(),
            next_item: 20,
            ..case("2020-01-01 10:00")
        };
        number(case.deadlines.iter_mut().map(|item| &mut item.id), 'd');
        number(case.callbacks.iter_mut().map(|item| &mut item.id), 'c');
        number(case.appointments.iter_mut().map(|item| &mut item.id), 'a');
        number(case.escorts.iter_mut().map(|item| &mut item.head.id), 'e');
        number(case.incidents.iter_mut().map(|item| &mut item.head.id), 'i');
        number(case.materials.iter_mut().map(|item| &mut item.head.id), 'm');
        number(case.replies.iter_mut().map(|item| &mut item.head.id), 'r');
        let steps = case.plan.iter_mut().flat_map(|plan| &mut plan.steps);
        number(steps.map(|item| &mut item.head.id), 's');
        number(case.todos.iter_mut().map(|item| &mut item.head.id), 't');
        case
    })
}

fn heard_from(at: Timestamp) -> Contact {
    Contact {
        at,
        by: "li".into(),
        direction: Direction::In,
        kind: ContactKind::Phone,
        note: String::new(),
    }
}

fn number<'a>(ids: impl Iterator<Item = &'a mut ItemId>, letter: char) {
    for (index, id) in ids.enumerate() {
        *id = format!("{letter}{}", index + 1).into();
    }
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

/// Building a calendar takes longer than copying it. The newer kinds of item have the ladders they are shipped with.
static BASE: LazyLock<Rulebook> = LazyLock::new(every_kind);

/// The rules most tests start from, with ladders for every kind of item, policies and benefits as they are shipped.
pub(crate) fn every_kind() -> Rulebook {
    let mut rules = Rulebook {
        policies: SHIPPED.policies.clone(),
        benefits: SHIPPED.benefits.clone(),
        ..rulebook()
    };
    for (id, kind) in ladder_ids() {
        if !matches!(kind, ItemKind::Deadline | ItemKind::Callback | ItemKind::Appointment) {
            rules.ladders.insert(id.clone(), SHIPPED.ladders[&id].clone());
        }
    }
    rules
}

/// The ladders that are generated; the others stay as they are.
fn ladder_ids() -> impl Iterator<Item = (LadderId, ItemKind)> {
    let ids = [
        ("record_expiry", ItemKind::Deadline),
        ("handling", ItemKind::Deadline),
        ("callback", ItemKind::Callback),
        ("appointment", ItemKind::Appointment),
        ("escort", ItemKind::Escort),
        ("incident", ItemKind::Incident),
        ("follow_up_material", ItemKind::Material),
        ("follow_up_reply", ItemKind::Reply),
        ("escalation", ItemKind::Reply),
        ("follow_up_step", ItemKind::Step),
        ("todo", ItemKind::Todo),
        ("policy", ItemKind::Policy),
        ("case", ItemKind::Case),
    ];
    ids.into_iter().map(|(id, kind)| (id.into(), kind))
}

fn ladders() -> impl Strategy<Value = Vec<Ladder>> {
    ladder_ids()
        .map(|(id, kind)| ladder(id, kind).boxed())
        .collect::<Vec<_>>()
}

fn policy(id: &'static str, tag: &'static str, centre: i64) -> impl Strategy<Value = Policy> {
    let until = option::of(day_near(centre, 60));
    (day_near(centre, 30), 1..6_i64, until).prop_map(move |(added, workdays, until)| Policy {
        id: id.into(),
        item: Policy::item_of(&id.into()),
        name: Said::new("补贴", "subsidy"),
        tags: BTreeSet::from([tag.to_owned()]),
        added,
        tell_within: PeriodRule::simple(format!("{workdays}wd").parse().unwrap(), Mode::Promise),
        what: Said::new("可申请", "can be claimed"),
        source: "示例".to_owned(),
        checked: None,
        until,
    })
}

fn rota(centre: i64) -> impl Strategy<Value = Rota> {
    let plan = prop_oneof![
        Just(Plan::Week {
            days: std::array::from_fn(|weekday| (weekday < 4).then(|| "wang".into())),
            makeup: None,
        }),
        select(vec![Each::Workday, Each::Week]).prop_map(|each| Plan::Turns {
            staff: vec!["li".into(), "wang".into(), "somebody-who-left".into()],
            each,
        }),
    ];
    let stretch = (plan, day_near(centre, 40), 0..60_i64, day_near(centre, 20));
    vec(stretch, 0..2).prop_map(|stretches| Rota {
        stretches: stretches
            .into_iter()
            .map(|(plan, from, days, named)| Stretch {
                name: "generated".to_owned(),
                unit: "taoranting-1".into(),
                from,
                to: from.saturating_add(jiff::Span::new().days(days)),
                plan,
                named: BTreeMap::from([(named, "zhou".into())]),
            })
            .collect(),
    })
}

fn rules(centre: i64) -> impl Strategy<Value = Rulebook> {
    let zone = select(vec![
        "Asia/Shanghai",
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/Santiago",
    ]);
    let away = vec(
        (
            select(vec!["li", "sun", "zhao", "chen", "wang", "zhou", "chu"]),
            day_near(centre, 30),
            0..20_i64,
            option::of(select(vec!["li", "wang", "sun", "nobody"])),
        ),
        0..5,
    );
    let silent = btree_set(select(vec!["li", "sun", "zhou", "chu"]), 0..2);
    let policies = (policy("heating", "低收入", centre), policy("care", "重残", centre));
    let ladders = prop_oneof![1 => Just(None), 2 => ladders().prop_map(Some)];
    (zone, ladders, away, silent, policies, rota(centre)).prop_map(
        |(zone, ladders, away, silent, (one, other), rota)| {
            let mut rules = BASE.clone();
            rules.zone = TimeZone::get(zone).unwrap();
            rules.rota = rota;
            rules.policies = [one, other].map(|policy| (policy.id.clone(), policy)).into();
            let generated = ladders.into_iter().flatten();
            rules
                .ladders
                .extend(generated.map(|ladder| (ladder.id.clone(), ladder)));
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
        },
    )
}
