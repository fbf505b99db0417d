//! A new notice of holidays: what is wrong with a file, what becomes of open cases, who is told.

use serde_json::{Value, json};
use xixin::config::notice_json::Notice;
use xixin::domain::ids::CaseId;
use xixin::engine::calendar_news::{self, Found};
use xixin::store::commit;

use crate::support::daemon::{Installation, names};
use crate::support::hall::{Hall, Left};
use crate::support::in_english;
use crate::support::intake::resident;
use crate::support::rulebook::{at, day};

/// An invented notice of 2027: `+` marks make-up workdays.
fn notice() -> Value {
    let text = "元旦 01-01 01-02 01-03 春节 +01-31 02-05 02-06 02-07 02-08 02-09 02-10 02-11 02-12 02-13 +02-14 \
                清明节 04-03 04-04 04-05 劳动节 +04-25 05-01 05-02 05-03 05-04 05-05 端午节 06-09 中秋节 09-15 \
                国庆节 +09-26 10-01 10-02 10-03 10-04 10-05 10-06 10-07 +10-09";
    let mut name = "";
    let mut days = Vec::new();
    for word in text.split_whitespace() {
        let date = word.trim_start_matches('+');
        if date.starts_with(|letter: char| letter.is_ascii_digit()) {
            let off = !word.starts_with('+');
            days.push(json!({ "name": name, "date": format!("2027-{date}"), "isOffDay": off }));
        } else {
            name = word;
        }
    }
    json!({ "$schema": "https://example.org/schema.json", "$id": "x", "year": 2027, "papers": ["https://example.org/notice"], "days": days })
}

/// One entry a line, so that places can be read.
fn lines(value: &Value) -> String {
    let list = |key: &str| {
        let entries = value[key].as_array().unwrap().iter().map(|entry| format!("  {entry}"));
        entries.collect::<Vec<_>>().join(",\n")
    };
    format!(
        "{{\n\"year\": {},\n\"papers\": {},\n\"days\": [\n{}\n]}}",
        value["year"],
        value["papers"],
        list("days")
    )
}

/// What is told of the notice after a change to it.
fn told(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut notice = notice();
    change(&mut notice);
    told_of(&lines(&notice))
}

fn told_of(text: &str) -> Vec<String> {
    match Notice::parse("n.json", text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(in_english).collect(),
    }
}

#[test]
fn a_sound_notice_becomes_a_file_of_the_calendar() {
    let read = Notice::parse("n.json", &notice().to_string()).unwrap();
    assert_eq!((read.days_off(), read.makeup_days().count()), (29, 5));
    assert_eq!(read.remarks, []);
    assert_eq!(read.file(), "calendar/2027.toml");
    let text = read.to_toml();
    for line in [
        "covers = \"2027-01-01..2027-12-31\"",
        "source = \"https://example.org/notice\"",
        "\"2027-01-01..2027-01-03\" = { name = \"元旦\", workday = false }",
        "2027-01-31 = { name = \"春节\", workday = true }",
        "\"2027-02-05..2027-02-13\" = { name = \"春节\", workday = false }",
        "2027-06-09 = { name = \"端午节\", workday = false }",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
}

/// The notices of 2022 to 2026 in the common JSON come out as the shipped files have them.
#[test]
fn every_published_year_survives_the_way_through_json() {
    for year in 2022..=2026_i16 {
        let published = crate::support::published::DAYS.iter();
        let listed = published.filter(|day| day.date.year() == year && day.is_listed());
        let days: Vec<Value> = listed
            .map(|day| json!({ "name": day.name, "date": day.date, "isOffDay": !day.is_workday }))
            .collect();
        let text = json!({ "year": year, "papers": ["p"], "days": days }).to_string();
        let read = Notice::parse("n.json", &text).unwrap_or_else(|problems| panic!("{year}: {problems}"));
        assert_eq!(read.remarks, [], "{year}");
    }
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let found = told(|notice| {
        notice["days"][3]["isOffDay"] = json!("no");
        notice["days"][1]["date"] = json!("2027-01-01");
        notice["days"][5]["date"] = json!("2027-02-30");
        notice["days"][6]["name"] = json!("");
        notice["papers"] = json!([]);
        notice["days"][9]["isOffDay"] = json!(false);
    });
    assert_eq!(
        found,
        [
            "n.json:3:11: papers: it names no notice; name the notices it comes from, so that somebody can compare the days",
            "n.json:6:11: days[1].date: 2027-01-01 is named twice; the first time in days[0]; name each day once",
            "n.json:8:35: days[3].isOffDay: \"no\" is neither true nor false; true on days off (放假), false on make-up workdays (上班)",
            "n.json:10:11: days[5].date: \"2027-02-30\" is no date; write an existing date such as \"2027-01-01\"",
            "n.json:11:47: days[6].name: 2027-02-07 (Sunday) is off anyway, and has no name; give the holiday it belongs to, or leave the day out",
            "n.json:14:35: days[9].isOffDay: 2027-02-10 (Wednesday) is worked anyway: a make-up day falls on a weekend; correct the date, write true, or leave the day out",
        ]
    );
}

#[test]
fn a_mistake_of_each_kind_is_told() {
    let one = |found: Vec<String>, part: &str| {
        assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:#?}");
    };
    one(
        told(|notice| notice["year"] = json!("2027")),
        "n.json:2:9: year: \"2027\" is no year",
    );
    one(
        told(|notice| notice["days"][0]["date"] = json!("2026-01-01")),
        "days[0].date: 2026-01-01 is not in 2027; correct the date, or year; only the December before",
    );
    one(
        told(|notice| notice["days"] = json!([])),
        "days: it names no day: the notice has not been published",
    );
    one(
        told(|notice| drop(notice["days"].as_array_mut().unwrap().remove(0))),
        "2027-01-01 is a day off by law (元旦), and is missing",
    );
    one(
        told(|notice| {
            notice["days"]
                .as_array_mut()
                .unwrap()
                .retain(|day| day["name"] != "中秋节")
        }),
        "0 of the 1 or more days off of 中秋 are there, between 2027-09-06 and 2027-10-10",
    );
    one(
        told(|notice| notice["days"][0]["name"] = json!("元\u{202e}旦")),
        "days[0].name: ",
    );
    one(
        told(|notice| {
            let days = notice["days"].as_array_mut().unwrap();
            days.extend(
                (14..=28).map(|day| json!({ "name": "春节", "date": format!("2027-03-{day}"), "isOffDay": true })),
            );
            days.extend(
                (1..=5).map(|day| json!({ "name": "春节", "date": format!("2027-03-0{day}"), "isOffDay": true })),
            );
            days.extend(
                (6..=13).map(|day| json!({ "name": "春节", "date": format!("2027-03-{day:02}"), "isOffDay": true })),
            );
        }),
        "\"春节\" is 28 days long, 2027-03-01 to 2027-03-28; allowed: up to 16 days",
    );
    one(
        told_of("{\"year\": 2027,"),
        "n.json:1:14: it is no JSON: EOF while parsing",
    );
    one(told_of("[]"), "n.json:1:1: it is no object");
    let twice = lines(&notice()).replace("\"year\": 2027", "\"year\": 2026, \"year\": 2027");
    one(told_of(&twice), "n.json:2:15: year: the key is given twice");
}

#[test]
fn december_before_may_be_changed_and_an_unusual_count_is_said() {
    let mut notice = notice();
    let days = notice["days"].as_array_mut().unwrap();
    days.push(json!({ "name": "元旦", "date": "2026-12-31", "isOffDay": true }));
    let read = Notice::parse("n.json", &notice.to_string()).unwrap();
    let said: Vec<&str> = read.remarks.iter().map(|said| said.en.as_str()).collect();
    assert_eq!(
        said,
        [
            "the notice changes the December before too: 2026-12-31",
            "weekdays off exceed make-up workdays by 14 days; by law it is 13: is a day missing, or one too many?",
        ]
    );
}

fn certificate(number: u32, cremated: &str) -> Value {
    json!({
        "resident": resident(number),
        "matter": "cremation_certificate",
        "request": "证明遗失",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": cremated }],
    })
}

/// A hall with two certificates whose dates the notice moves, one to each side, and one that it leaves alone.
async fn hall() -> (Hall, [CaseId; 3], Found) {
    let hall = Hall::open("2026-11-24 15:00").await;
    let later = hall.take_in("lin", certificate(1, "2017-02-14")).await;
    let sooner = hall.take_in("lin", certificate(2, "2017-02-12")).await;
    let same = hall.take_in("qiao", certificate(3, "2017-06-18")).await;
    let read = Notice::parse("n.json", &notice().to_string()).unwrap();
    std::fs::write(hall.config().join(read.file()), read.to_toml()).unwrap();
    let old = hall.app.engine.live.get();
    hall.app.reload().await.unwrap();
    let new = hall.app.engine.live.get();
    let found = calendar_news::look(&hall.app.engine.store, &old.rulebook, &new.rulebook)
        .await
        .unwrap();
    (hall, [later, sooner, same], found)
}

async fn queue(hall: &Hall, found: &Found) -> u64 {
    let rules = hall.app.engine.live.get();
    let now = at("2026-11-24 15:00");
    let addressed = calendar_news::address(&rules.rulebook, &found.moved, now);
    let mut tx = hall.app.engine.store.begin().await.unwrap();
    let queued = calendar_news::queue(&mut tx, 2027, &"gu".into(), &addressed.letters, now)
        .await
        .unwrap();
    commit(tx, "queue").await.unwrap();
    queued
}

fn letters(hall: &Hall) -> Vec<Left> {
    let left = hall.take_left();
    left.into_iter()
        .filter(|left| left.subject.contains("放假安排"))
        .collect()
}

#[tokio::test]
async fn every_open_item_is_counted_again_and_only_what_moved_is_listed() {
    let (_hall, [later, sooner, _], found) = hall().await;
    assert_eq!((found.items, found.moved.len(), found.settled), (6, 2, 1));
    let safe = |case: &CaseId| {
        let moved = found.moved.iter().find(|moved| moved.case == *case).unwrap();
        let date = moved.dates.iter().find(|date| date.name.en == "last safe day").unwrap();
        (date.old.zh.as_str(), date.new.zh.as_str(), moved.sooner)
    };
    assert_eq!(safe(&later), ("2027-02-12(周五)", "2027-02-14(周日)", false));
    assert_eq!(safe(&sooner), ("2027-02-12(周五)", "2027-02-04(周四)", true));
    assert_eq!(found.who[&later], "沈**");
}

#[tokio::test]
async fn each_owner_gets_one_letter_about_all_their_moved_dates() {
    let (hall, [later, sooner, same], found) = hall().await;
    assert_eq!(
        queue(&hall, &found).await,
        1,
        "one letter for lin; nothing of qiao's moved"
    );
    hall.settle().await;
    let left = letters(&hall);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].to, "lin@example.org");
    assert_eq!(left[0].subject, "[悉心听][陶然亭] 2027年放假安排更新,2件事日期有变");
    let text = &left[0].text;
    let (first, second) = (text.find(sooner.as_str()).unwrap(), text.find(later.as_str()).unwrap());
    assert!(first < second, "what has become earlier comes first");
    assert!(
        text.contains("- 最晚可办日: 2027-02-12(周五) → 2027-02-04(周四)"),
        "{text}"
    );
    assert!(
        text.contains("[提前]") && text.contains("[earlier]") && text.contains("其中1件提前了"),
        "{text}"
    );
    assert!(!text.contains(same.as_str()) && !text.contains("怀瑾"), "{text}");
    hall.settle().await;
    assert_eq!(letters(&hall), []);
}

#[tokio::test]
async fn a_letter_that_cannot_be_read_waits_and_does_not_fail_its_batch() {
    let (hall, _, found) = hall().await;
    queue(&hall, &found).await;
    hall.plan().await;
    hall.sql("update meta set value = substr(value, 1, length(value) - 4) || 'AAAA' where name like 'news|calendar|%'")
        .await;
    hall.settle().await;
    let letter = "select state from reminders where text = 'calendar_changed'";
    assert_eq!(hall.column(letter).await, ["queued"]);
}

#[tokio::test]
async fn what_was_closed_or_changed_meanwhile_is_left_out_of_the_letter() {
    let (hall, [later, sooner, _], found) = hall().await;
    queue(&hall, &found).await;
    hall.act("lin", &sooner, json!({ "do": "done", "item": "d1" }))
        .await
        .unwrap();
    hall.settle().await;
    let left = letters(&hall);
    assert_eq!(left.len(), 1);
    assert!(left[0].text.contains(later.as_str()) && !left[0].text.contains(sooner.as_str()));

    let (hall, [later, sooner, _], found) = self::hall().await;
    queue(&hall, &found).await;
    for case in [&later, &sooner] {
        hall.act("lin", case, json!({ "do": "done", "item": "d1" }))
            .await
            .unwrap();
    }
    hall.settle().await;
    assert_eq!(letters(&hall), []);
    let states = hall
        .column("select state || ' ' || reason_zh from reminders where text = 'calendar_changed'")
        .await;
    assert_eq!(states, ["cancelled 这些事已办结或日期已另改,不必再告知"]);
}

#[tokio::test]
async fn a_letter_goes_to_whoever_acts_for_the_owner() {
    let (hall, _, found) = hall().await;
    let mut book = hall.app.engine.live.get().rulebook.clone();
    let addressed = calendar_news::address(&book, &found.moved, at("2026-12-22 09:00"));
    assert_eq!(
        addressed.letters.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["zhou"]
    );
    for staff in book.org.staff.values_mut() {
        staff.email = None;
    }
    let addressed = calendar_news::address(&book, &found.moved, at("2026-12-22 09:00"));
    assert!(addressed.letters.is_empty());
    assert_eq!(addressed.out_of_reach["lin"], 2);
}

#[tokio::test]
async fn a_letter_is_no_missed_digest() {
    let (hall, _, found) = hall().await;
    hall.run_until("2026-11-24 16:00").await;
    queue(&hall, &found).await;
    hall.sql("update reminders set state = 'refused', closed_ms = 1 where text = 'calendar_changed'")
        .await;
    hall.take_left();
    hall.run_until("2026-11-25 09:00").await;
    let left = hall.take_left();
    let digest = left
        .iter()
        .find(|left| left.to == "lin@example.org" && left.subject.contains("11月25日"))
        .unwrap();
    assert!(!digest.text.contains("没有发出待办"), "{}", digest.text);
}

/// The file of the notice and a case that it moves, in a place of their own.
fn installed() -> (Installation, String) {
    let installation = Installation::new();
    installation.write("n.json", &notice().to_string());
    installation.write("case.json", &certificate(1, "2017-02-12").to_string());
    let case = installation.config().join("case.json");
    installation
        .run(&["case", "add", case.to_str().unwrap(), "--as", "lin"])
        .good();
    let file = installation.config().join("n.json").to_str().unwrap().to_owned();
    (installation, file)
}

#[test]
fn a_clerk_may_not_change_the_calendar() {
    let (installation, file) = installed();
    let ran = installation.run(&["calendar", "import", &file, "--as", "lin"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("--as: lin 不能更改放假安排"), "{}", ran.err);
    assert!(
        ran.err
            .contains("lin may not change the calendar; a business supervisor"),
        "{}",
        ran.err
    );
    let ran = installation.run(&["calendar", "import", &file, "--as", "nobody"]);
    assert!(
        ran.err.contains("there is no member of staff \"nobody\""),
        "{}",
        ran.err
    );
}

#[test]
fn a_dry_import_shows_the_changes_and_writes_nothing() {
    let (installation, file) = installed();
    let before = names(&installation.config().join("calendar"));
    let shipped = std::fs::read(installation.config().join("calendar/2027.toml")).unwrap();
    let out = installation
        .run(&["calendar", "import", &file, "--as", "gu", "--dry"])
        .good();
    for part in [
        "调休上班5天",
        "2027-02-12(周五) → 2027-02-04(周四)",
        "[提前 / earlier]",
        "将发邮件告知 / would be told by e-mail: lin(1)",
        "nothing was written (--dry)",
    ] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    assert_eq!(names(&installation.config().join("calendar")), before);
    assert_eq!(
        std::fs::read(installation.config().join("calendar/2027.toml")).unwrap(),
        shipped
    );
}

#[test]
fn an_import_reaches_the_running_daemon_and_the_owner() {
    let (installation, file) = installed();
    let daemon = installation.serve();
    let shipped = std::fs::read(installation.config().join("calendar/2027.toml")).unwrap();
    let out = installation.run(&["calendar", "import", &file, "--as", "gu"]).good();
    assert!(out.contains("new rules are in force"), "{out}");
    daemon.logged("new rules are in force");
    let folder = installation.config().join("calendar");
    let kept: Vec<String> = names(&folder)
        .into_iter()
        .filter(|name| name.starts_with("2027.toml."))
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].ends_with(".bak"));
    assert_eq!(std::fs::read(folder.join(&kept[0])).unwrap(), shipped);
    assert_eq!(names(&folder).iter().filter(|name| name.starts_with('.')).count(), 0);
    installation.run(&["check"]).good();

    let found = installation
        .run(&["calendar", "import", &file, "--as", "gu", "--json"])
        .json();
    assert_eq!(
        (&found["is_there"], &found["moved"]),
        (&json!(true), &json!([])),
        "{found}"
    );
    let kept = names(&folder)
        .into_iter()
        .filter(|name| name.starts_with("2027.toml."))
        .count();
    assert_eq!(kept, 1, "nothing was replaced the second time");
}

#[test]
fn without_a_daemon_the_import_takes_effect_at_the_next_start() {
    let (installation, file) = installed();
    let found = installation
        .run(&["calendar", "import", &file, "--as", "shen", "--json"])
        .json();
    assert_eq!(
        (&found["ok"], &found["reload"], &found["told"]),
        (&json!(true), &Value::Null, &json!(["lin"]))
    );
    assert_eq!(found["moved"][0]["owner"], "lin");
    assert_eq!(found["moved"][0]["settled"], "newly");
}

#[test]
fn a_notice_that_leaves_a_window_alone_is_refused_with_the_day() {
    let (installation, file) = installed();
    let rota = std::fs::read_to_string(installation.config().join("rota.toml")).unwrap();
    installation.write("rota.toml", &rota.replacen("makeup = \"zhou\"\nweek", "week", 1));
    installation.run(&["check"]).good();
    let before = std::fs::read(installation.config().join("calendar/2027.toml")).unwrap();
    let ran = installation.run(&["calendar", "import", &file, "--as", "gu"]);
    assert_eq!(ran.code, 78);
    assert!(
        ran.out
            .contains("nobody is on duty on 2027-01-31 (Sunday), a make-up workday"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("什么也没有写入"), "{}", ran.err);
    assert_eq!(
        std::fs::read(installation.config().join("calendar/2027.toml")).unwrap(),
        before
    );
}

#[test]
fn check_needs_no_installation_and_tells_what_a_file_brings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.json");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_xixin"))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    std::fs::write(&file, format!("\u{feff}{}", notice())).unwrap();
    let (code, out) = run(&["calendar", "check", file.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("放假29天,调休上班5天") && out.contains("2027-02-14(周日)"),
        "{out}"
    );
    std::fs::write(&file, b"{\"year\": \xff}").unwrap();
    let (code, out) = run(&["calendar", "check", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(out.contains("n.json:1:10: 从这里起不是 UTF-8"), "{out}");
    std::fs::write(&file, "x".repeat(1024 * 1024 + 1)).unwrap();
    let (_, out) = run(&["calendar", "check", file.to_str().unwrap()]);
    assert!(out.contains("it is 1048577 bytes long; allowed: up to 1 MiB"), "{out}");
    let (_, out) = run(&["calendar", "check", "/nowhere/n.json"]);
    assert!(out.contains("there is no such file"), "{out}");
}

#[test]
fn the_day_of_a_notice_is_a_workday_after_the_import() {
    let read = Notice::parse("n.json", &notice().to_string()).unwrap();
    assert!(read.days[&day("2027-01-31")].workday);
    assert!(!read.days[&day("2027-02-05")].workday);
}
