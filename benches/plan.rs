//! How many cases one core plans in a second: a typical case of five items on four ladders of the shipped rules.
//!
//! `cargo bench --bench plan`

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use xixin::config::shipped_rulebook;
use xixin::domain::case::Case;
use xixin::domain::command::{Context, NewCase, open};
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
    let nothing = Decided::default();
    report("everything is due", || {
        assert!(
            !plan(&rules, black_box(&case), &people, black_box(&nothing), now)
                .due
                .is_empty()
        );
    });
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
    println!("{what}: {best:.0} cases/s");
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
