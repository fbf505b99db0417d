//! How many cases one core plans in a second: a typical case of five items on four ladders of the shipped rules, and the heaviest
//! one that a window carries: every kind of item at once, with a plan of five steps counted backwards.
//!
//! `cargo bench --bench plan`

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use xixin::config::shipped_rulebook;
use xixin::domain::case::Case;
use xixin::domain::command::{Command, Context, NewCase, apply, open};
use xixin::domain::ids::PersonId;
use xixin::domain::plan::{People, plan};
use xixin::domain::reminder::Decided;
use xixin::domain::rulebook::Rulebook;

/// Three deadlines with three ladders, a promised call and a visit.
const CASE: &str = r#"{
    "resident": { "name": "沈小兰", "phone": "13900001234", "email": "shen@example.org" },
    "matter": "cremation_certificate",
    "request": "补办证明",
    "deadlines": [
        { "kind": "cremation_reissue", "trigger": "2016-04-20" },
        { "kind": "funeral_benefit", "trigger": "2026-02-20" },
        { "kind": "cremation_archive", "trigger": "2016-04-20" }
    ],
    "callbacks": [{ "words": "查到就联系您", "due": "2026-03-12" }],
    "appointments": [{ "what": "交材料", "office": "OFFICE", "start": "2026-03-26T10:00" }]
}"#;
const OPENED: &str = "2026-03-02T02:00:00Z";
/// In the middle of it: some reminders have been decided, none is due.
const NOW: &str = "2026-04-09T04:00:00Z";
const ROUND: Duration = Duration::from_secs(1);

fn main() {
    let rules = shipped_rulebook();
    let (case, people) = case(&rules);
    let now: Timestamp = NOW.parse().expect("an instant");
    let decided = decided(&rules, &case, &people, now);
    let ladders: std::collections::BTreeSet<_> = plan(&rules, &case, &people, &decided, now)
        .items
        .iter()
        .filter_map(|item| Some(item.ladder?.id.clone()))
        .collect();
    println!("{} items on {} ladders", case.items(&rules).count(), ladders.len());

    report("nothing is due", || {
        let planned = plan(&rules, black_box(&case), &people, black_box(&decided), now);
        assert!(planned.due.is_empty() && planned.wake.is_some());
    });
    let heavy = heavy(&rules, case.clone(), &people);
    let of_heavy = self::decided(&rules, &heavy, &people, now);
    println!("the heaviest case has {} items", heavy.items(&rules).count());
    report("the heaviest case, nothing is due", || {
        let planned = plan(&rules, black_box(&heavy), &people, black_box(&of_heavy), now);
        assert!(planned.due.is_empty());
    });
    let nothing = Decided::default();
    report("everything is due", || {
        assert!(
            !plan(&rules, black_box(&case), &people, black_box(&nothing), now)
                .due
                .is_empty()
        );
    });
}

/// What happens to a heavy case, in order, each in somebody's name.
const WORK: [(&str, &str); 16] = [
    (
        "lin",
        r#"{"do": "book_escort", "office": "OFFICE", "what": "交材料", "visit": "2026-04-16T10:00", "with": "hao"}"#,
    ),
    ("lin", r#"{"do": "incident", "what": "头晕", "leg": "pick_up"}"#),
    ("lin", r#"{"do": "request_material", "item": "m1", "from": "档案室"}"#),
    ("lin", r#"{"do": "missing", "item": "m2"}"#),
    ("lin", r#"{"do": "resume"}"#),
    (
        "lin",
        r#"{"do": "ask", "kind": "agency", "of": "档案室", "what": "查记录", "due": "2026-04-20"}"#,
    ),
    (
        "lin",
        r#"{"do": "ask", "kind": "mail", "of": "原单位", "what": "存档证明", "due": "2026-04-20"}"#,
    ),
    (
        "lin",
        r#"{"do": "ask", "kind": "escalation", "of": "区民政局", "contact": "du", "what": "对接", "due": "2026-04-20"}"#,
    ),
    (
        "lin",
        r#"{"do": "draft_plan", "needed_by": "2026-06-30", "steps": [
            {"name": "转档案", "agency": "单位"},
            {"name": "失业金", "office": "OFFICE", "after": ["1"]},
            {"name": "医保", "office": "OFFICE", "after": ["2"]},
            {"name": "低收入", "office": "OFFICE", "after": ["2"]},
            {"name": "报销", "office": "OFFICE", "after": ["3", "4"], "expedite": true}]}"#,
    ),
    ("gu", r#"{"do": "approve_plan"}"#),
    ("shen", r#"{"do": "approve_plan"}"#),
    ("lin", r#"{"do": "todo", "words": "送表格", "due": "2026-04-20"}"#),
    ("lin", r#"{"do": "tell", "what": "one_time_notice", "method": "当面"}"#),
    ("lin", r#"{"do": "contact", "direction": "in", "kind": "phone"}"#),
    ("lin", r#"{"do": "watch", "tags": ["重残"]}"#),
    ("lin", r#"{"do": "set_flag", "flag": "in_person"}"#),
];

/// Every kind of item at once.
fn heavy(rules: &Rulebook, case: Case, people: &People) -> Case {
    let office = case.appointments[0].office.clone();
    let mut case = case;
    for (who, text) in WORK {
        let command = text.replace("OFFICE", office.as_str());
        let command: Command = serde_json::from_str(&command).expect("the command reads");
        let context = Context {
            rules,
            actor: &rules.org.staff[who],
            now: OPENED.parse().expect("an instant"),
            new_person: &|| PersonId::from("p2"),
            busy: &[],
        };
        match apply(&case, people, command, &context) {
            Ok(change) => case = change.case,
            Err(refusal) => panic!("{text}: {refusal}"),
        }
    }
    case
}

/// By the time this thread was given, so that what else the machine does counts as little as possible; the best of five rounds.
fn report(what: &str, mut plan_once: impl FnMut()) {
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let (start, given) = (Instant::now(), given());
        let mut planned = 0_u32;
        while start.elapsed() < ROUND {
            for _ in 0..100 {
                plan_once();
            }
            planned += 100;
        }
        best = best.max(f64::from(planned) / (self::given() - given).as_secs_f64());
    }
    println!("{what}: {best:.0} cases/s, {:.1} µs each", 1e6 / best);
}

/// How long this thread has had a core.
fn given() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos = text.split_whitespace().next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a number comes first"))
}

fn case(rules: &Rulebook) -> (Case, People) {
    let office = rules.offices.values().find(|office| {
        let day = "2026-03-26".parse().expect("a day");
        let ten = jiff::civil::time(10, 0, 0, 0);
        office
            .windows(&rules.calendar, day)
            .iter()
            .any(|window| window.from <= ten && ten < window.to)
    });
    let text = CASE.replace("OFFICE", office.expect("one is open on a Thursday").id.as_str());
    let new: NewCase = serde_json::from_str(&text).expect("the case reads");
    let actor = rules.org.staff.values().next().expect("the shipped hall has staff");
    let context = Context {
        rules,
        actor,
        now: OPENED.parse().expect("an instant"),
        new_person: &|| PersonId::from("p1"),
        busy: &[],
    };
    let opened = open("2026-000001".into(), new, false, &context).expect("the case opens");
    let people = People {
        resident: opened.people.into_iter().next(),
        relatives: Vec::new(),
    };
    (opened.case, people)
}

/// What the daemon has decided by `now`.
fn decided(rules: &Rulebook, case: &Case, people: &People, now: Timestamp) -> Decided {
    let mut decided = Decided::default();
    let mut at: Timestamp = OPENED.parse().expect("an instant");
    let mut marks = 0;
    loop {
        let planned = plan(rules, case, people, &decided, at);
        for decision in planned.due {
            decided.insert(decision.mark.to_string());
            marks += 1;
        }
        match planned.wake {
            Some(wake) if wake <= now => at = wake,
            _ => break,
        }
    }
    println!("{marks} decisions in the ledger");
    decided
}
