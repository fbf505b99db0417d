//! Who answers at a window: the rota with absences, swaps and the units of a hall.

use std::collections::BTreeMap;

use jiff::civil::Date;
use xixin::config::load;
use xixin::domain::ids::StaffId;
use xixin::domain::rota::{Plan, Stretch};
use xixin::domain::rulebook::Rulebook;

use crate::support::rulebook::{absent, day, rulebook};
use crate::support::shipped::write_rules;

fn stretch(unit: &str, staff: &str, named: &[(&str, &str)]) -> Stretch {
    Stretch {
        name: unit.to_owned(),
        unit: unit.into(),
        from: day("2026-01-01"),
        to: day("2026-12-31"),
        plan: Plan::Week {
            days: std::array::from_fn(|weekday| (weekday < 5).then(|| staff.into())),
            makeup: None,
        },
        named: named.iter().map(|(on, who)| (day(on), StaffId::from(*who))).collect(),
    }
}

fn officer<'a>(rules: &'a Rulebook, unit: &str, on: &str) -> Option<&'a str> {
    rules.duty_officer(&unit.into(), day(on)).map(|staff| staff.id.as_str())
}

/// The shipped rules after an edit of one file; or the problems.
fn edited(file: &str, from: &str, to: &str) -> Result<Rulebook, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no {from:?}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    match load(folder.path(), &BTreeMap::new(), &|_, _, _| true) {
        Ok(loaded) => Ok(loaded.rulebook),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn every_workday_of_the_shipped_rota_has_somebody_at_every_window() {
    let rules = xixin::config::shipped_rulebook();
    let days = day("2026-01-01").series(jiff::Span::new().days(1));
    let days: Vec<Date> = days.take_while(|on| *on <= day("2027-12-31")).collect();
    for unit in ["taoranting-window", "tianqiao-window", "guangwai-window"] {
        for on in &days {
            let somebody = rules.duty_officer(&unit.into(), *on).is_some();
            assert_eq!(somebody, rules.calendar.is_workday(*on), "{unit} {on}");
        }
    }
    let makeup: Vec<Date> = rules.calendar.makeup_workdays(days[0], day("2026-12-31")).collect();
    assert_eq!(makeup.len(), 6);
    assert!(
        makeup
            .iter()
            .all(|on| officer(&rules, "taoranting-window", &on.to_string()) == Some("zhou"))
    );
}

#[test]
fn in_the_absence_of_the_shipped_duty_officer_the_substitute_answers() {
    let rules = xixin::config::shipped_rulebook();
    let found: Vec<_> = ["2026-12-18", "2026-12-21", "2026-12-25", "2026-12-28"]
        .map(|on| officer(&rules, "taoranting-window", on).unwrap())
        .to_vec();
    assert_eq!(found, ["lin", "zhou", "zhou", "lin"]);
}

#[test]
fn a_swap_changes_who_answers_that_day_alone() {
    let swap = "[[rota.taoranting-2026.swap]]\nday = 2026-03-05\nfrom = \"lin\"\nto = \"zhou\"\n\n\
                [[rota.taoranting-2026.swap]]\nday = 2026-03-05\nfrom = \"zhou\"\nto = \"meng\"\n\n[rota.taoranting-2027]";
    let rules = edited("rota.toml", "[rota.taoranting-2027]", swap).unwrap();
    let found = ["2026-03-04", "2026-03-05", "2026-03-06"].map(|on| officer(&rules, "taoranting-window", on).unwrap());
    assert_eq!(found, ["lin", "meng", "lin"]);
}

#[test]
fn somebody_on_duty_who_has_left_is_told_once_with_the_days() {
    let told = edited("people.toml", "# leaves = 2027-06-30", "leaves = 2026-12-29").unwrap_err();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].contains("\"lin\" is on duty on 2 days from 2026-12-30 (Wednesday) through 2026-12-31 (Thursday), but has left by then"),
        "{}",
        told[0]
    );
    assert!(told[1].contains("rota.taoranting-2027"), "{}", told[1]);
}

#[test]
fn a_rota_that_is_about_to_end_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    let loaded = load(folder.path(), &BTreeMap::new(), &|_, _, _| true).unwrap();
    let said = |today: &str| -> Vec<String> {
        let all = xixin::config::remarks(&loaded, day(today)).into_iter();
        all.map(|said| said.en).filter(|en| en.contains("rota")).collect()
    };
    assert_eq!(said("2027-12-01"), [] as [&str; 0]);
    let told = said("2027-12-02");
    assert_eq!(told.len(), 3);
    assert_eq!(
        told[2],
        "the rota of tianqiao-window ends on 2027-12-31; continue it in rota.toml"
    );
}

#[test]
fn a_gap_is_not_told_while_the_calendar_itself_is_wrong() {
    let told = edited("calendar/2026.toml", "2026-02-14 = { name", "2026-02-31 = { name").unwrap_err();
    assert!(
        told.iter().all(|problem| problem.starts_with("calendar/2026.toml:")),
        "{told:#?}"
    );
}

#[test]
fn a_unit_without_a_rota_goes_by_the_one_of_its_hall_and_never_by_another() {
    let mut rules = rulebook();
    rules.rota.stretches = vec![stretch("taoranting-1", "li", &[("2026-02-14", "wang")])];
    assert_eq!(officer(&rules, "taoranting-1", "2026-03-02"), Some("li"));
    assert_eq!(
        officer(&rules, "taoranting", "2026-03-02"),
        Some("li"),
        "the window below"
    );
    assert_eq!(officer(&rules, "taoranting", "2026-02-14"), Some("wang"));
    assert_eq!(
        officer(&rules, "taoranting", "2026-02-16"),
        None,
        "a holiday needs nobody"
    );
    assert_eq!(officer(&rules, "tianqiao", "2026-03-02"), None);
    assert_eq!(officer(&rules, "district", "2026-03-02"), None);
    assert_eq!(officer(&rules, "taoranting", "2027-03-01"), None, "the rota has ended");

    rules.rota.stretches = vec![stretch("taoranting", "zhou", &[])];
    assert_eq!(
        officer(&rules, "taoranting-1", "2026-03-02"),
        Some("zhou"),
        "the centre above"
    );
    rules.rota.stretches.push(stretch("taoranting-1", "li", &[]));
    assert_eq!(
        officer(&rules, "taoranting-1", "2026-03-02"),
        Some("li"),
        "its own comes first"
    );
    assert_eq!(officer(&rules, "taoranting", "2026-03-02"), Some("zhou"));
}

#[test]
fn whoever_acts_for_the_person_on_duty_answers() {
    let mut rules = rulebook();
    rules.rota.stretches = vec![stretch("taoranting-1", "li", &[])];
    absent(&mut rules, "li", "2026-03-02", "2026-03-06", Some("wang"));
    absent(&mut rules, "wang", "2026-03-04", "2026-03-06", None);
    assert_eq!(officer(&rules, "taoranting-1", "2026-03-03"), Some("wang"));
    assert_eq!(
        officer(&rules, "taoranting-1", "2026-03-04"),
        Some("sun"),
        "up the line when the chain breaks"
    );
}
