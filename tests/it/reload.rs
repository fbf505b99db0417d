//! Reload in a running daemon: everything is built first, then swapped once. The future moves, the past stays.

use std::path::PathBuf;

use xixin::domain::ladder::Way;
use xixin::engine::planner;

use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, certificate, resident, visit};
use crate::support::rulebook::at;

/// Replaces a text in one file of the configuration; it must be there.
fn edit(hall: &Hall, file: &str, from: &str, to: &str) -> PathBuf {
    let path = hall.config().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no {from:?}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

#[tokio::test]
pub(crate) async fn an_edited_ladder_moves_the_future_and_repeats_nothing() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let case = certificate(&hall, resident(1)).await;
    hall.run_until("2026-03-08 12:00").await;
    let of_deadline = async || {
        let mut told = hall.timeline(&case).await;
        told.retain(|line| line.contains(" d1 "));
        told
    };
    let before = of_deadline().await;
    assert_eq!(before.len(), 3);
    // 14 days become 13, which was yesterday; 7 days become 10.
    edit(
        &hall,
        "ladders.toml",
        "when = \"14 days before last_safe_day\"\nat = \"09:00\"",
        "when = \"13 days before last_safe_day\"\nat = \"09:00\"",
    );
    edit(
        &hall,
        "ladders.toml",
        "when = \"7 days before last_safe_day\"\nat = \"09:00\"",
        "when = \"10 days before last_safe_day\"\nat = \"09:00\"",
    );
    let generation = hall.app.reload().await.unwrap();
    hall.settle().await;
    assert_eq!(of_deadline().await, before, "what was decided stays decided");
    let planned = hall.column("select distinct cast(rules_gen as text) from cases").await;
    assert_eq!(planned, [generation.to_string()]);
    hall.run_until("2026-03-14 12:00").await;
    let told = of_deadline().await;
    assert_eq!(
        told[3..],
        [
            "03-10 09:00 d1 urgent gu email accepted",
            "03-10 09:00 d1 urgent lin email accepted",
            "03-13 10:00 d1 urgent-resident resident sms accepted",
        ]
    );
}

#[tokio::test]
pub(crate) async fn a_bad_file_changes_nothing_and_says_what_is_wrong() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let case = certificate(&hall, resident(1)).await;
    hall.plan().await;
    let (fingerprint, generation) = {
        let rules = hall.app.engine.live.get();
        (rules.fingerprint.clone(), rules.generation)
    };
    edit(&hall, "ladders.toml", "when = \"30 days", "when = \"30 dyas");
    edit(&hall, "schedule.toml", "08:00-21:00", "21:00-08:00");
    let problems = hall.app.reload().await.unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|problem| problem.starts_with("ladders.toml:")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|problem| problem.starts_with("schedule.toml:")),
        "all problems at once: {told:?}"
    );
    let rules = hall.app.engine.live.get();
    assert_eq!((rules.fingerprint.clone(), rules.generation), (fingerprint, generation));
    hall.run_until("2026-02-14 09:00").await;
    assert_eq!(
        hall.timeline(&case).await,
        ["02-14 09:00 d1 month-ahead lin email accepted"]
    );
}

#[tokio::test]
pub(crate) async fn what_takes_effect_only_at_a_start_is_refused_by_name() {
    let hall = Hall::open("2026-02-10 15:00").await;
    std::fs::write(
        hall.config().join("conf.d/30-test.toml"),
        "zone = \"Asia/Tokyo\"\ndatabase = \"sqlite:other.db\"\n",
    )
    .unwrap();
    let problems = hall.app.reload().await.unwrap_err();
    let keys: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
    assert_eq!(keys, ["zone", "database"]);
    assert_eq!(
        hall.app.engine.live.get().rulebook.zone.iana_name(),
        Some("Asia/Shanghai")
    );
}

#[tokio::test]
pub(crate) async fn after_a_reload_what_is_due_is_planned_before_the_rest() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let due = visit(&hall, resident(1), "2026-03-05 09:30").await;
    for number in 2..=4 {
        brief_visit(&hall, resident(number), &format!("2026-03-19 10:{:02}", 5 * number)).await;
    }
    hall.run_until("2026-03-04 09:59").await;
    edit(
        &hall,
        "schedule.toml",
        "late_after_minutes = 15",
        "late_after_minutes = 20",
    );
    hall.app.reload().await.unwrap();
    let now = at("2026-03-04 10:00");
    hall.clock.set(now);
    let engine = &hall.app.engine;
    let first = planner::step(engine, now).await.unwrap();
    assert_eq!((first.planned, first.queued), (1, 1), "the one that is due, alone");
    assert_eq!(
        hall.rung(&due, "day-before").await,
        ["relatives none skipped", "resident sms queued"]
    );
    assert_eq!(planner::step(engine, now).await.unwrap().planned, 3);
    assert_eq!(planner::step(engine, now).await.unwrap().planned, 0);
}

#[tokio::test]
pub(crate) async fn a_rung_that_was_taken_out_cancels_its_message_at_the_moment_of_sending() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.take_left();
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    edit(&hall, "ladders.toml", "name = \"day-before\"", "name = \"eve\"");
    hall.app.reload().await.unwrap();
    hall.settle().await;
    assert_eq!(
        hall.reasons(&case, "day-before").await[1],
        "sms cancelled: 规则中已无此提醒"
    );
    assert_eq!(
        hall.rung(&case, "eve").await,
        ["relatives none skipped", "resident sms accepted"]
    );
    assert_eq!(hall.take_left().len(), 1);
}

#[tokio::test]
pub(crate) async fn a_changed_text_is_used_for_what_is_queued_already() {
    let hall = Hall::open("2026-03-02 10:00").await;
    visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.take_left();
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    let path = hall.config().join("templates/zh-CN/appointment/resident/sms.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("改过的文字 {text}")).unwrap();
    hall.app.reload().await.unwrap();
    hall.send().await;
    let left = hall.take_left();
    assert_eq!(left.len(), 1);
    assert!(left[0].text.contains("】改过的文字 "), "{}", left[0].text);
}

#[tokio::test]
pub(crate) async fn an_unchanged_configuration_is_the_same_generation_and_plans_nothing() {
    let hall = Hall::open("2026-03-02 10:00").await;
    visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    let generation = hall.app.engine.live.get().generation;
    assert_eq!(hall.app.reload().await.unwrap(), generation);
    assert_eq!(
        planner::step(&hall.app.engine, at("2026-03-02 10:00"))
            .await
            .unwrap()
            .planned,
        0
    );
}

#[tokio::test]
pub(crate) async fn each_hall_signs_its_own_sms_and_the_rest_by_the_unit_above_or_the_common_one() {
    for (unit, expected) in [
        ("", "【陶然亭街道政务服务中心】"),
        ("district", "【示例区】"),
        ("taoranting-window", "【悉心听窗口】"),
    ] {
        let hall = Hall::open("2026-02-10 15:00").await;
        if !unit.is_empty() {
            let own = expected.trim_matches(['【', '】']);
            let head = format!("[unit.{unit}]\n");
            let district = "[unit.district]\n";
            edit(
                &hall,
                "people.toml",
                district,
                &format!("{district}signature = \"示例区\"\n"),
            );
            if unit != "district" {
                edit(&hall, "people.toml", &head, &format!("{head}signature = \"{own}\"\n"));
            }
            hall.app.reload().await.unwrap();
        }
        certificate(&hall, resident(1)).await;
        hall.run_until("2026-03-14 12:00").await;
        let left = hall.take_left();
        let sms: Vec<&str> = left
            .iter()
            .filter(|left| left.way == Way::Sms)
            .map(|left| left.text.as_str())
            .collect();
        assert!(!sms.is_empty());
        assert!(sms.iter().all(|text| text.starts_with(expected)), "{unit}: {sms:?}");
    }
}
