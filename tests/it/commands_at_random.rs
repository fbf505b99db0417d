//! Commands at random, one after the other, on one case: whatever people do in whatever order, nothing panics, nothing is lost, no
//! number is given twice, and a refusal changes nothing.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::{SignedDuration, Span, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use serde_json::Value;
use xixin::domain::booking::Booking;
use xixin::domain::case::{Case, EscortState, Item, Leg, Purpose, StepOf};
use xixin::domain::command::{Change, Command};
use xixin::domain::event::Event;
use xixin::domain::plan::plan;
use xixin::domain::reminder::Decided;
use xixin::domain::rulebook::Rulebook;

use crate::support::rulebook::{appointment, at, callback, case, daughter, deadline};
use crate::support::timeline::Timeline;
use crate::support::worlds::every_kind;

/// Every command, with places for what is picked: `#e` an item whose number begins with e (`#` any), `@` a local time, `@day` a day,
/// `~` words, `%` a member of staff, `&` an office.
const COMMANDS: &[&str] = &[
    r##"{"do":"add_deadline","kind":"cremation_reissue","trigger":"2016-03-20"}"##,
    r##"{"do":"add_deadline","kind":"hotline","office":"&"}"##,
    r##"{"do":"add_deadline","kind":"ghost","trigger":"@day"}"##,
    r##"{"do":"set_trigger","item":"#d","trigger":"@day"}"##,
    r##"{"do":"set_end","item":"#d","end":"@day"}"##,
    r##"{"do":"done","item":"#d"}"##,
    r##"{"do":"done","item":"#t"}"##,
    r##"{"do":"done","item":"#"}"##,
    r##"{"do":"undone","item":"#d"}"##,
    r##"{"do":"acknowledge","item":"#","reason":"~"}"##,
    r##"{"do":"promise","words":"~","due":"@"}"##,
    r##"{"do":"promise","words":"~","by":"%"}"##,
    r##"{"do":"attempt","item":"#c","result":"no_answer","note":"~"}"##,
    r##"{"do":"attempt","item":"#c","result":"wrong_number"}"##,
    r##"{"do":"attempt","item":"#c","result":"call_later","due":"@"}"##,
    r##"{"do":"attempt","item":"#c","result":"reached"}"##,
    r##"{"do":"pass","item":"#","to":"%"}"##,
    r##"{"do":"take_over","from":"%","to":"%"}"##,
    r##"{"do":"book","what":"~","office":"&","start":"@","with":"%"}"##,
    r##"{"do":"move_appointment","item":"#a","start":"@"}"##,
    r##"{"do":"attended","item":"#a"}"##,
    r##"{"do":"cancel_appointment","item":"#a","reason":"~"}"##,
    r##"{"do":"book_escort","what":"~","office":"&","visit":"@"}"##,
    r##"{"do":"book_escort","what":"~","office":"&","visit":"@","pick_up":"@","home_by":"@","with":"%","from":"~"}"##,
    r##"{"do":"move_escort","item":"#e","visit":"@"}"##,
    r##"{"do":"move_escort","item":"#e","visit":"@","home_by":"@"}"##,
    r##"{"do":"home_later","item":"#e","home_by":"@","reason":"~"}"##,
    r##"{"do":"check_in","item":"#e","leg":"pick_up","at":"@"}"##,
    r##"{"do":"check_in","item":"#e","leg":"pick_up"}"##,
    r##"{"do":"check_in","item":"#e","leg":"visit"}"##,
    r##"{"do":"check_in","item":"#e","leg":"drop_off"}"##,
    r##"{"do":"complete_escort","item":"#e"}"##,
    r##"{"do":"cancel_escort","item":"#e","reason":"~"}"##,
    r##"{"do":"incident","what":"~","escort":"#e","leg":"visit"}"##,
    r##"{"do":"incident","what":"~","told":["~"],"at":"@"}"##,
    r##"{"do":"recovered","item":"#i"}"##,
    r##"{"do":"add_material","name":"~","places":["~","~"]}"##,
    r##"{"do":"missing","item":"#m","finder":"%"}"##,
    r##"{"do":"request_material","item":"#m","from":"~"}"##,
    r##"{"do":"searched","item":"#m","place":"~","answer":"not_here"}"##,
    r##"{"do":"searched","item":"#m","place":"~","answer":"here"}"##,
    r##"{"do":"material","item":"#m","state":"obtained"}"##,
    r##"{"do":"material","item":"#m","state":"verified"}"##,
    r##"{"do":"material","item":"#m","state":"handed_over"}"##,
    r##"{"do":"not_needed","item":"#m","reason":"~"}"##,
    r##"{"do":"hand_over"}"##,
    r##"{"do":"ask","kind":"agency","of":"~","what":"~","due":"@day"}"##,
    r##"{"do":"ask","kind":"sub_request","of":"~","what":"~","list":["~"],"chase_workdays":2}"##,
    r##"{"do":"ask","kind":"mail","of":"~","what":"~","asked_on":"@day"}"##,
    r##"{"do":"ask","kind":"escalation","of":"~","what":"~","contact":"%"}"##,
    r##"{"do":"chased","item":"#r"}"##,
    r##"{"do":"chased","item":"#s","hop":{"place":"~","result":"~"}}"##,
    r##"{"do":"answered","item":"#r","result":"~"}"##,
    r##"{"do":"hop","place":"~","result":"~","by_resident":true}"##,
    r##"{"do":"draft_plan"}"##,
    r##"{"do":"draft_plan","needed_by":"@day","steps":[{"name":"~"},{"name":"~","office":"&","after":["1"],"takes_days":2}]}"##,
    r##"{"do":"draft_plan","steps":[{"name":"~","after":["2"]},{"name":"~","after":["1"]}]}"##,
    r##"{"do":"add_step","name":"~","after":["#s"],"expedite":true}"##,
    r##"{"do":"drop_step","item":"#s","reason":"~"}"##,
    r##"{"do":"change_step","item":"#s","takes_days":4,"after":["#s"]}"##,
    r##"{"do":"needed_by","day":"@day"}"##,
    r##"{"do":"needed_by","day":"none"}"##,
    r##"{"do":"approve_plan"}"##,
    r##"{"do":"start_step","item":"#s"}"##,
    r##"{"do":"step_done","item":"#s"}"##,
    r##"{"do":"expedite","item":"#s"}"##,
    r##"{"do":"todo","words":"~","due":"@day","by":"%"}"##,
    r##"{"do":"tell","what":"one_time_notice","method":"~"}"##,
    r##"{"do":"listen","note":"~"}"##,
    r##"{"do":"feedback","kind":"commendation","note":"~"}"##,
    r##"{"do":"obstacle","tag":"~"}"##,
    r##"{"do":"no_obstacle","tag":"~"}"##,
    r##"{"do":"trip"}"##,
    r##"{"do":"responsible","body":"~"}"##,
    r##"{"do":"watch","tags":["重残"]}"##,
    r##"{"do":"watch","tags":["低收入","重残"]}"##,
    r##"{"do":"watch","tags":[]}"##,
    r##"{"do":"watch","tags":["~"]}"##,
    r##"{"do":"estimate","benefit":"ghost","amount":"~"}"##,
    r##"{"do":"estimate","amount":"1234.50"}"##,
    r##"{"do":"contact","direction":"in","kind":"phone","note":"~"}"##,
    r##"{"do":"contact","direction":"out","kind":"letter","at":"@"}"##,
    r##"{"do":"task_done","task":"t","result":"wrong_number","person":"p2"}"##,
    r##"{"do":"assign","owner":"%"}"##,
    r##"{"do":"prioritise","reason":"~"}"##,
    r##"{"do":"deprioritise"}"##,
    r##"{"do":"set_flag","flag":"sensitive_tone"}"##,
    r##"{"do":"clear_flag","flag":"sensitive_tone"}"##,
    r##"{"do":"wait","on":"~"}"##,
    r##"{"do":"resume"}"##,
    r##"{"do":"change_person","phone":"~","opted_out":true}"##,
    r##"{"do":"add_relative","name":"~","relation":"~","opted_in":true}"##,
    r##"{"do":"close","as":"done","outcome":"~"}"##,
    r##"{"do":"close","as":"withdrawn","reason":"~"}"##,
    r##"{"do":"close","as":"transferred","to":"~"}"##,
    r##"{"do":"close","as":"done","outcome":"~","leaving":"~"}"##,
    r##"{"do":"close","as":"refused","reason":"~","alternative":"~"}"##,
    r##"{"do":"reopen"}"##,
];

/// The place in the list of a plan whose steps follow each other.
const DRAFT: usize = 54;
const WORDS: &[&str] = &[
    "好",
    "档案室",
    "2026-03-09",
    "13900001234",
    "😀",
    "sun",
    "",
    " ",
    "a\0b",
    "\u{202e}字",
];
const STAFF: &[&str] = &["li", "sun", "zhou", "wang", "ghost"];
const OFFICES: &[&str] = &["labour", "hall", "crematorium", "ghost"];

/// One thing somebody does.
#[derive(Debug, Clone)]
struct Deed {
    template: &'static str,
    who: &'static str,
    /// What is picked for its places, one after the other.
    picks: Vec<u16>,
    after_h: i64,
    /// Does what comes next in the case instead, where something does.
    goes_on: bool,
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = select(vec!["li", "sun", "zhao", "zhou"]);
    let picks = vec(any::<u16>(), 8);
    let after_h = prop_oneof![2 => Just(0_i64), 3 => 0..30_i64];
    let goes_on = prop::bool::weighted(0.2);
    (select(COMMANDS), who, picks, after_h, goes_on).prop_map(|(template, who, picks, after_h, goes_on)| Deed {
        template,
        who,
        picks,
        after_h,
        goes_on,
    })
}

/// What somebody would do next with a case that stands like this.
fn next_steps(case: &Case) -> Vec<&'static str> {
    let mut next = Vec::new();
    let mut may = |is_so: bool, templates: &[&'static str]| {
        if is_so {
            next.extend_from_slice(templates);
        }
    };
    may(case.is_closed(), &[r##"{"do":"reopen"}"##]);
    may(case.plan.is_none(), &[COMMANDS[DRAFT]]);
    let approved = case.plan.as_ref().is_some_and(|plan| plan.approved_at().is_some());
    may(case.plan.is_some() && !approved, &[r##"{"do":"approve_plan"}"##]);
    let steps = [
        r##"{"do":"start_step","item":"#s"}"##,
        r##"{"do":"chased","item":"#s","hop":{"place":"~","result":"~"}}"##,
        r##"{"do":"step_done","item":"#s"}"##,
    ];
    may(approved, &steps);
    let under_way = case.escorts.iter().any(|one| one.state == EscortState::Booked);
    let legs = [
        r##"{"do":"move_escort","item":"#e","visit":"@"}"##,
        r##"{"do":"check_in","item":"#e","leg":"visit"}"##,
        r##"{"do":"check_in","item":"#e","leg":"pick_up"}"##,
        r##"{"do":"check_in","item":"#e","leg":"drop_off"}"##,
        r##"{"do":"incident","what":"~","escort":"#e","leg":"visit"}"##,
        r##"{"do":"complete_escort","item":"#e"}"##,
    ];
    may(under_way, &legs);
    let another = r##"{"do":"book_escort","what":"~","office":"&","visit":"@"}"##;
    may(!under_way, &[another]);
    let hurt = case.incidents.iter().any(|one| one.recovered.is_none());
    may(hurt, &[r##"{"do":"recovered","item":"#i"}"##]);
    let missing = case.materials.iter().any(|one| !one.is_there());
    may(!missing, &[r##"{"do":"add_material","name":"~","places":["~","~"]}"##]);
    may(missing, &[r##"{"do":"material","item":"#m","state":"obtained"}"##]);
    let promised = case.callbacks.iter().any(|one| one.kept.is_none());
    may(promised, &[r##"{"do":"attempt","item":"#c","result":"reached"}"##]);
    next
}

impl Deed {
    /// What is done now.
    fn template(&self, timeline: &Timeline) -> &'static str {
        let next = if self.goes_on {
            next_steps(&timeline.case)
        } else {
            Vec::new()
        };
        let next = next.get(usize::from(self.picks[7]) % next.len().max(1));
        next.copied().unwrap_or(self.template)
    }

    /// The command, as somebody would send it now; `None` when it cannot even be read.
    fn command(&self, timeline: &Timeline) -> Option<Command> {
        let mut value: Value = serde_json::from_str(self.template(timeline)).unwrap();
        let mut picks = Picks {
            timeline,
            day: self.picks[6] % 12,
            left: self.picks.iter().copied().cycle(),
        };
        picks.fill(&mut value);
        serde_json::from_value(value).ok()
    }
}

/// What stands in the places of one command.
struct Picks<'a, I> {
    timeline: &'a Timeline,
    /// All times of one command are of one day, so that some of them fit together.
    day: u16,
    left: I,
}

impl<I: Iterator<Item = u16>> Picks<'_, I> {
    fn fill(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(picked) = self.picked(text) {
                    *text = picked;
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|one| self.fill(one)),
            Value::Object(fields) => fields.values_mut().for_each(|one| self.fill(one)),
            _ => {}
        }
    }

    fn picked(&mut self, text: &str) -> Option<String> {
        let place = text.chars().next().filter(|first| "#@~%&".contains(*first))?;
        let pick = usize::from(self.left.next().unwrap());
        let one_of = |list: &[&str]| list[pick % list.len()].to_owned();
        let Timeline { case, rules, now, .. } = self.timeline;
        Some(match place {
            '#' => {
                let items = case.items(rules).map(|item| item.id().to_string());
                let all: Vec<String> = items.chain(["x9".to_owned()]).collect();
                let meant: Vec<&String> = all.iter().filter(|id| id.starts_with(&text[1..])).collect();
                let meant = if meant.is_empty() { all.iter().collect() } else { meant };
                meant[pick % meant.len()].clone()
            }
            '@' => {
                let today = rules.zone.to_datetime(*now).date();
                let day = today + Span::new().days(i64::from(self.day) - 1);
                let times = ["08:30", "09:30", "10:30", "12:30", "14:00", "15:30", "17:00", "23:00"];
                if text == "@day" {
                    day.to_string()
                } else {
                    format!("{day}T{}", one_of(&times))
                }
            }
            '~' => one_of(WORDS),
            '%' => one_of(STAFF),
            _ => one_of(OFFICES),
        })
    }
}

static RULES: LazyLock<Rulebook> = LazyLock::new(every_kind);

/// A case with some items: `d1` a deadline that can be lost, `c2` a call-back, `a3` an appointment; another case keeps `zhou` busy.
fn desk() -> Timeline {
    let mut case = case("2026-03-02 10:00");
    deadline(&mut case, "cremation_reissue", "unknown", "2026-03-02 10:00");
    callback(&mut case, "li", "2026-03-02 10:00", "2026-03-09");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-05 09:30");
    let mut timeline = Timeline::new(RULES.clone(), case, "2026-03-02 11:00");
    timeline.people.relatives.push(daughter());
    timeline.busy = vec![Booking {
        case: "2026-000009".into(),
        item: "e1".into(),
        staff: "zhou".into(),
        resident: "p8".into(),
        from: at("2026-03-04 09:00"),
        to: at("2026-03-04 12:00"),
        office: "labour".into(),
        is_escort: true,
    }];
    timeline
}

fn ids(case: &Case) -> BTreeSet<String> {
    case.item_ids().map(ToString::to_string).collect()
}

/// Papers have numbers of their own.
fn number(id: &str) -> Option<u32> {
    (!id.starts_with('m')).then(|| id[1..].parse().unwrap())
}

fn numbers_are_new(before: &Case, after: &Case) -> Result<(), TestCaseError> {
    let (old, new) = (ids(before), ids(after));
    // Only a step that nobody has begun can be dropped.
    let begun = |id: &&String| {
        !id.starts_with('s') || {
            let step = before.plan.as_ref().and_then(|plan| plan.step(&id.as_str().into()));
            step.is_none_or(|step| step.started.is_some())
        }
    };
    let lost: Vec<&String> = old.difference(&new).filter(begun).collect();
    prop_assert!(lost.is_empty(), "lost {lost:?} of {old:?}: {new:?}");
    prop_assert_eq!(
        new.len(),
        after.item_ids().count(),
        "a number was given twice: {:?}",
        new
    );
    let added: Vec<u32> = new.difference(&old).filter_map(|id| number(id)).collect();
    prop_assert_eq!(after.next_item, before.next_item + u32::try_from(added.len()).unwrap());
    for number in added {
        prop_assert!(number >= before.next_item, "{number} was given before");
    }
    Ok(())
}

/// Everything that binds a member of staff, in this case and in others.
fn bound(timeline: &Timeline, case: &Case) -> Vec<(String, String, Timestamp, Timestamp)> {
    let own = case.items(&timeline.rules).filter_map(|item| {
        let span = item.span()?;
        Some((item.id().to_string(), item.assignee()?.to_string(), span.from, span.to))
    });
    let others = timeline.busy.iter().map(|booking| {
        let item = format!("{} {}", booking.case, booking.item);
        (item, booking.staff.to_string(), booking.from, booking.to)
    });
    own.chain(others).collect()
}

/// Whoever was just booked is nowhere else at that time.
fn nobody_is_at_two_places(timeline: &Timeline, change: &Change) -> Result<(), TestCaseError> {
    let all = bound(timeline, &change.case);
    for event in &change.events {
        let (Event::AppointmentBooked { item, .. }
        | Event::AppointmentMoved { item, .. }
        | Event::EscortBooked { item, .. }
        | Event::EscortMoved { item, .. }) = event
        else {
            continue;
        };
        let (name, staff, from, to) = all.iter().find(|(id, ..)| id == item.as_str()).unwrap();
        let clash = all
            .iter()
            .find(|(id, who, begin, end)| id != name && who == staff && from < end && begin < to);
        prop_assert!(clash.is_none(), "{name} clashes with {clash:?}");
    }
    Ok(())
}

/// What the hall owes to people, whatever command brought it about.
fn promises_hold(before: &Case, change: &Change) -> Result<(), TestCaseError> {
    let after = &change.case;
    let open_incident = |escort: &str| {
        let mut incidents = after.incidents.iter();
        incidents.any(|one| one.recovered.is_none() && one.escort.as_ref().is_some_and(|id| id.as_str() == escort))
    };
    for event in &change.events {
        match event {
            Event::EscortCompleted { item } => {
                let escort = after.escorts.iter().find(|one| one.head.id == *item).unwrap();
                prop_assert!(
                    escort.is_checked(Leg::DropOff),
                    "complete, but nobody knows that they are home"
                );
                prop_assert!(!open_incident(item.as_str()), "complete over an incident");
            }
            Event::EscortCancelled { item } => {
                let escort = after.escorts.iter().find(|one| one.head.id == *item).unwrap();
                let on_the_way = escort.is_checked(Leg::PickUp) && !escort.is_checked(Leg::DropOff);
                prop_assert!(!on_the_way, "called off while they are on the way");
            }
            Event::StepStarted { item } => {
                let plan = after.plan.as_ref().unwrap();
                let step = plan.step(item).unwrap();
                let of = StepOf {
                    plan,
                    step,
                    start_by: None,
                };
                prop_assert!(of.ready_at().is_some(), "started before its time");
                let offices: BTreeSet<_> = plan.approvals.iter().map(|one| one.role).collect();
                prop_assert!(offices.len() >= 2, "started before two people agreed");
            }
            Event::CaseClosed { .. } => {
                let owed = before.callbacks.iter().any(|one| one.kept.is_none())
                    || before.incidents.iter().any(|one| one.recovered.is_none())
                    || before.escorts.iter().any(|one| one.state == EscortState::Booked)
                    || before.appointments.iter().any(|one| Item::Appointment(one).is_open());
                prop_assert!(!owed, "closed over what is owed");
            }
            _ => {}
        }
    }
    let handovers = after.todos.iter();
    let handovers = handovers.filter(|todo| todo.purpose == Purpose::Handover && todo.done.is_none());
    prop_assert!(handovers.count() <= 1, "asked twice for one hand-over");
    Ok(())
}

fn stays_closed(before: &Case, after: &Case, command: &Command) -> Result<(), TestCaseError> {
    if before.is_closed() && *command != Command::Reopen {
        prop_assert!(after.is_closed(), "opened a closed case");
        prop_assert_eq!(ids(before), ids(after), "a closed case got something new");
    }
    Ok(())
}

fn is_planned(timeline: &Timeline) -> Result<(), TestCaseError> {
    let Timeline {
        rules,
        case,
        people,
        now,
        ..
    } = timeline;
    let mut decided = Decided::default();
    for decision in plan(rules, case, people, &decided, *now).due {
        decided.insert(decision.mark.to_string());
    }
    prop_assert_eq!(plan(rules, case, people, &decided, *now).due, Vec::new());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_command_panics_loses_an_item_gives_a_number_twice_or_breaks_a_promise(deeds in vec(deed(), 1..60)) {
        let mut timeline = desk();
        for (index, deed) in deeds.into_iter().enumerate() {
            timeline.now += SignedDuration::from_hours(deed.after_h);
            let Some(command) = deed.command(&timeline) else { continue };
            let said = serde_json::to_string(&command).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Command>(&said).unwrap(), &command);
            let before = timeline.case.clone();
            match timeline.try_act(deed.who, command.clone()) {
                Err(refusal) => {
                    for words in [&refusal.what.zh, &refusal.what.en, &refusal.fix.zh, &refusal.fix.en] {
                        prop_assert!(!words.is_empty(), "{said}: {refusal:?}");
                    }
                    prop_assert_eq!(timeline.try_act(deed.who, command), Err(refusal));
                    prop_assert_eq!(&timeline.case, &before);
                }
                Ok(change) => {
                    numbers_are_new(&before, &change.case)?;
                    nobody_is_at_two_places(&timeline, &change)?;
                    promises_hold(&before, &change)?;
                    stays_closed(&before, &change.case, &command)?;
                    prop_assert!(change.case == before || !change.events.is_empty(), "{said} leaves no trace");
                    for event in &change.events {
                        let words = event.said(&timeline.rules.zone);
                        prop_assert!(!words.zh.is_empty() && !words.en.is_empty(), "{event:?}");
                        let json = serde_json::to_string(event).unwrap();
                        prop_assert_eq!(&serde_json::from_str::<Event>(&json).unwrap(), event);
                    }
                    let json = serde_json::to_string(&change.case).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<Case>(&json).unwrap(), &change.case);
                    timeline.case = change.case;
                    if index % 5 == 0 {
                        is_planned(&timeline)?;
                    }
                }
            }
        }
    }
}

/// A new command stands in the list above, or this fails.
#[test]
fn every_command_is_tried() {
    let refused = serde_json::from_str::<Command>(r#"{"do":"?"}"#)
        .unwrap_err()
        .to_string();
    let known: BTreeSet<&str> = refused.split('`').skip(3).step_by(2).collect();
    let tried: BTreeSet<String> = COMMANDS
        .iter()
        .map(|template| {
            let value: Value = serde_json::from_str(template).unwrap();
            value["do"].as_str().unwrap().to_owned()
        })
        .collect();
    let known: BTreeSet<String> = known
        .into_iter()
        .map(str::to_owned)
        .filter(|name| name != "pass_callback")
        .collect();
    assert_eq!(known, tried);
}

/// Every template can be carried out by somebody at some time: a list of commands that are always refused would test nothing.
#[test]
fn most_of_what_is_tried_can_succeed() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..1000 {
        let deeds = vec(deed(), 60).new_tree(&mut runner).unwrap().current();
        let mut timeline = desk();
        for deed in deeds {
            timeline.now += SignedDuration::from_hours(deed.after_h);
            let Some(command) = deed.command(&timeline) else {
                continue;
            };
            let template = deed.template(&timeline);
            if let Ok(change) = timeline.try_act(deed.who, command) {
                timeline.case = change.case;
                done.insert(template);
            }
        }
    }
    // These are there to be refused: names that nobody knows, steps that wait for each other, a matter without usual steps. An escort
    // completes itself with its last leg, or with the incident on it.
    let refused = [
        "ghost",
        r#""after":["2"]"#,
        r#"{"do":"draft_plan"}"#,
        "1234.50",
        r#""tags":["~"]"#,
        "complete_escort",
    ];
    let is_meant = |template: &&&str| !refused.iter().any(|part| template.contains(part));
    let never: Vec<&&str> = COMMANDS
        .iter()
        .filter(is_meant)
        .filter(|template| !done.contains(**template))
        .collect();
    assert_eq!(never, Vec::<&&str>::new());
}
