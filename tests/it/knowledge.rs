//! Policies to watch for and notes to review, on the days of the stories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use xixin::config::{load, remarks, shipped_rulebook};
use xixin::domain::knowledge::{Knowledge, Note, PeriodReview, Reviewed, reviews_due};
use xixin::domain::period::{Start, count};
use xixin::domain::rulebook::Rulebook;
use xixin::domain::text::Said;

use crate::support::rulebook::{day, rulebook};

fn note(id: &str, checked: &str, review: &str) -> Note {
    Note {
        id: id.into(),
        title: Said::new("火化证明补办", "re-issue"),
        text: Said::new("内容", "text"),
        source: "示例".to_owned(),
        checked: day(checked),
        review: review.parse().unwrap(),
        keeper: "gu".into(),
        matters: BTreeSet::new(),
    }
}

fn with_notes(notes: &[Note]) -> Rulebook {
    let notes = notes.iter().map(|note| (note.id.clone(), note.clone()));
    Rulebook {
        knowledge: Knowledge {
            notes: notes.collect(),
            periods: None,
        },
        ..rulebook()
    }
}

#[test]
fn a_note_checked_on_2025_03_01_is_due_from_2026_03_01_on() {
    let rules = with_notes(&[note("reissue", "2025-03-01", "12m")]);
    assert_eq!(reviews_due(&rules, day("2026-02-28")), []);
    for today in ["2026-03-01", "2026-03-02", "2027-01-01"] {
        let [review] = &reviews_due(&rules, day(today))[..] else {
            panic!("one review is due on {today}")
        };
        assert_eq!((review.due, review.keeper.as_str()), (day("2026-03-01"), "gu"));
        assert_eq!(review.of, Reviewed::Note("reissue".into()));
    }
}

#[test]
fn the_oldest_review_comes_first() {
    let rules = with_notes(&[note("a", "2025-06-01", "1m"), note("b", "2025-01-01", "1m")]);
    let due: Vec<String> = reviews_due(&rules, day("2026-01-01"))
        .iter()
        .map(|review| review.due.to_string())
        .collect();
    assert_eq!(due, ["2025-02-01", "2025-07-01"]);
}

#[test]
fn kinds_of_deadline_are_reviewed_where_the_file_says_by_whom_and_only_once_checked() {
    let mut rules = rulebook();
    let ids: Vec<_> = rules.periods.keys().take(2).cloned().collect();
    for kind in rules.periods.values_mut() {
        kind.checked = None;
    }
    rules.periods.get_mut(&ids[0]).unwrap().checked = Some(day("2024-02-29"));
    assert_eq!(reviews_due(&rules, day("2030-01-01")), []);
    rules.knowledge.periods = Some(PeriodReview {
        review: "1y".parse().unwrap(),
        keeper: "gu".into(),
    });
    assert_eq!(reviews_due(&rules, day("2025-02-27")), []);
    let found = reviews_due(&rules, day("2025-02-28"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].of, Reviewed::Period(ids[0].clone()));
    assert_eq!(found[0].title, rules.periods[&ids[0]].name);
}

#[test]
fn check_remarks_on_notes_that_are_due() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let loaded = load(&config, &BTreeMap::new(), &|_, _, _| true).unwrap();
    let told = |today: &str| {
        remarks(&loaded, day(today))
            .iter()
            .map(Said::to_string)
            .collect::<String>()
    };
    assert!(!told("2027-03-01").contains("due for review"));
    assert!(told("2027-03-02").contains("due for review, 1 knowledge note: cremation_reissue"));
}

/// Story S48: added on Monday 2026-03-02, three workdays to tell.
#[test]
fn a_policy_for_severe_disability_is_told_by_the_third_workday() {
    let rules = shipped_rulebook();
    let policy = &rules.policies["care_subsidy"];
    let tags = |list: &[&str]| -> BTreeSet<String> { list.iter().map(|tag| (*tag).to_owned()).collect() };
    assert!(policy.matches(&tags(&["低收入", "重残"])));
    assert!(!policy.matches(&tags(&["低收入"])));
    assert_eq!(policy.item.as_str(), "w-care_subsidy");
    let counted = count(&Start::Day(policy.added), &policy.tell_within, &rules.counting(None)).unwrap();
    assert_eq!(counted.legal_end, day("2026-03-05"));
}
