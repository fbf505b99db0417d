//! Too much at once: what is held, what is not, and how people let it go. Through planner, sender and channel, with restarts in between.

use serde_json::json;
use xixin::domain::command::NewCase;
use xixin::domain::ids::StaffId;
use xixin::domain::ladder::Way;
use xixin::engine::desk::Desk;
use xixin::engine::sender;
use xixin::engine::waits::Wait;

use crate::support::daemon::Installation;
use crate::support::hall::{Hall, Left};
use crate::support::intake::{brief_visit, certificate, promise, resident};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

/// Takes so many cases over as an import does, each with a call-back promised for this day.
async fn import(hall: &Hall, count: u32, due: &str) {
    let one = |number: u32| -> NewCase {
        let case = json!({
            "resident": { "name": "沈怀瑾", "gender": "female", "phone": format!("139{number:08}"), "born": 1980 },
            "matter": "labour_assessment",
            "request": "询问进度",
            "deadlines": [{ "kind": "labour_decision", "trigger": "2026-06-01" }],
            "callbacks": [{ "words": "办好了联系您", "due": due }],
        });
        serde_json::from_value(case).unwrap()
    };
    let rules = hall.app.engine.live.get();
    let desk = Desk::new(&hall.app.engine.store, &rules.rulebook, &StaffId::from("lin")).unwrap();
    let cases = (0..count).map(one).collect();
    assert_eq!(desk.import(cases, &[], hall.now()).await.unwrap().len(), count as usize);
}

/// Messages about cases, and the words about holds.
fn mails(hall: &Hall) -> (Vec<Left>, Vec<Left>) {
    hall.take_reminders()
        .into_iter()
        .partition(|left| !left.subject.contains("批量保护"))
}

async fn count(hall: &Hall, what: &str) -> String {
    let sql = format!("select cast(count(*) as text) from reminders where {what}");
    hall.column(&sql).await.remove(0)
}

async fn waits(hall: &Hall, kind: &str) -> Vec<Wait> {
    let waits = hall.app.engine.waits().await.unwrap();
    waits.into_iter().filter(|wait| wait.kind == kind).collect()
}

async fn release(hall: &Hall, id: &str, who: &str) -> bool {
    hall.app.release_one(id, "已核对", who).await.unwrap().ok
}

fn edit(hall: &Hall, file: &str, from: &str, to: &str) {
    let path = hall.config().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// A hall whose `schedule.toml` says this of the guard, such as `run_min = 2`, with more settings on top.
async fn within(now: &str, limit: &str, settings: &str) -> Hall {
    let (key, _) = limit.split_once(" = ").unwrap();
    Hall::open_edited(now, |config| {
        std::fs::write(config.join("conf.d/20-test.toml"), settings).unwrap();
        let schedule = config.join("schedule.toml");
        let text = std::fs::read_to_string(&schedule).unwrap();
        let is_it = |line: &&str| line.starts_with(&format!("{key} = "));
        let line = text.lines().find(is_it).unwrap().to_owned();
        std::fs::write(schedule, text.replace(&line, limit)).unwrap();
    })
    .await
}

fn by_smtp(port: u16) -> String {
    format!("[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nconnections = 1\n")
}

/// Residents who were each promised a call on this day.
async fn promises(hall: &Hall, numbers: std::ops::Range<u32>, day: &str) {
    for number in numbers {
        promise(hall, resident(number), day).await;
    }
}

/// So many certificates whose last days have come: only of that something is due.
async fn certificates_end(hall: &Hall, count: u32) {
    hall.without_digest("2026-03-17").await;
    for number in 0..count {
        certificate(hall, resident(number)).await;
    }
    hall.plan().await;
    // What taking them in brings is another day's.
    hall.sql("update reminders set state = 'cancelled' where state = 'queued'")
        .await;
    hall.run_until("2026-03-17 08:30").await;
}

/// How many an import makes due: enough to see it, unless `XIXIN_BLAST` (50 and more) asks for another number, such as 10000.
fn blast() -> u32 {
    let asked = std::env::var("XIXIN_BLAST").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(1_000)
}

#[tokio::test]
pub(crate) async fn an_import_that_makes_thousands_due_sends_fifty_until_two_supervisors_agree() {
    let all = blast();
    let hall = Hall::open("2026-03-06 10:00").await;
    hall.without_digest("2026-03-09").await;
    import(&hall, all, "2026-03-09").await;
    hall.run_until("2026-03-09 08:30").await;
    let (sent, words) = mails(&hall);
    assert_eq!(sent.len(), 50);
    let rest_of = (all - 50).to_string();
    assert_eq!(count(&hall, "text = 'callback_due' and state = 'held'").await, rest_of);
    let mut told: Vec<&str> = words.iter().map(|word| word.to.as_str()).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), words.len(), "one word to each, whatever is held");
    let hold = waits(&hall, "run").await.remove(0);
    assert_eq!(hold.count, Some(i64::from(all) - 50));
    assert!(words.iter().any(|word| word.text.contains(&hold.id)), "{words:?}");

    let hall = hall.crash().await;
    hall.settle().await;
    assert_eq!(mails(&hall).0, [], "a restart lets nothing go");
    assert!(!release(&hall, &hold.id, "lin").await, "a clerk");
    assert!(!release(&hall, &hold.id, "nobody").await);
    assert!(release(&hall, &hold.id, "gu").await, "the first of two");
    hall.settle().await;
    assert_eq!(mails(&hall).0, []);
    assert!(!release(&hall, &hold.id, "gu").await, "twice the same person");
    let hall = hall.crash().await;
    assert_eq!(waits(&hall, "run").await[0].who.as_deref(), Some("gu"));
    assert!(release(&hall, &hold.id, "shen").await);
    assert!(!release(&hall, &hold.id, "luo").await, "it is over");
    hall.settle().await;
    let (rest, words) = mails(&hall);
    assert_eq!((rest.len(), words.len()), (all as usize - 50, 0));
    let accepted = count(&hall, "text = 'callback_due' and state = 'accepted'").await;
    assert_eq!(accepted, all.to_string());
    let mut ids: Vec<&String> = sent.iter().chain(&rest).map(|left| &left.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all as usize, "each of them once");
    assert!(waits(&hall, "run").await.is_empty());
    assert_eq!(
        hall.of_the_hall().await,
        ["xixin sending_held", "shen sending_released"]
    );
    let why = "select distinct reason_zh from reminders where approved is not null";
    let why = hall.column(why).await.remove(0);
    assert!(
        why.contains("批量保护") && why.contains("经 gu、shen 核准发出"),
        "{why}"
    );
}

#[tokio::test]
pub(crate) async fn an_edit_that_makes_many_due_is_held_and_what_was_usual_before_is_not() {
    let hall = Hall::open("2026-03-02 10:00").await;
    for day in [
        "2026-03-02",
        "2026-03-03",
        "2026-03-04",
        "2026-03-05",
        "2026-03-06",
        "2026-03-09",
    ] {
        hall.without_digest(day).await;
    }
    promises(&hall, 0..60, "2026-03-09").await;
    hall.run_until("2026-03-05 12:00").await;
    assert_eq!(mails(&hall).0.len(), 0);
    // A rule that tells everybody three days earlier.
    edit(
        &hall,
        "ladders.toml",
        "when = \"on due\"\nat = \"08:30\"",
        "when = \"3 days before due\"\nat = \"08:30\"",
    );
    hall.app.reload().await.unwrap();
    hall.run_until("2026-03-06 09:00").await;
    assert_eq!(mails(&hall).0.len(), 50);
    let hold = waits(&hall, "run").await.remove(0);
    assert!(release(&hall, &hold.id, "gu").await && release(&hall, &hold.id, "ouyang").await);
    hall.settle().await;
    assert_eq!(mails(&hall).0.len(), 10);

    // The usual is fifty a day by now: sixty more are nothing out of the ordinary.
    promises(&hall, 100..160, "2026-03-12").await;
    hall.run_until("2026-03-09 09:00").await;
    let sent = count(&hall, "text = 'callback_due' and state = 'accepted'").await;
    assert_eq!(sent, "120");
}

#[tokio::test]
pub(crate) async fn what_is_critical_is_not_held_but_called_at_once() {
    let hall = Hall::open("2026-03-16 20:00").await;
    certificates_end(&hall, 60).await;
    let last_days = |state: &str| format!("mark like '%|last-days|%' and {state}");
    let all = count(&hall, &last_days("way = 'email'")).await;
    assert_eq!(all, "120", "to lin and to gu");
    let sent: i64 = count(&hall, &last_days("state = 'accepted'")).await.parse().unwrap();
    assert!((1..=50).contains(&sent), "{sent}");
    let calls = count(&hall, &last_days("state = 'task' and assignee = 'lin'")).await;
    assert_eq!(calls, (120 - sent).to_string(), "every other one is a call");
    let reason = hall
        .column("select distinct reason_zh from reminders where state = 'task' and recipient = 'staff:gu' limit 1")
        .await
        .remove(0);
    assert!(reason.contains("批量保护") && reason.contains("请告知顾"), "{reason}");
    let (_, words) = mails(&hall);
    let word = words.iter().find(|word| word.to.contains("lin")).unwrap();
    assert!(word.text.contains("个电话任务"), "{}", word.text);
}

#[tokio::test]
pub(crate) async fn what_is_critical_is_called_at_once_also_when_a_hold_stops_its_second_way() {
    let bad = Script::polite().on(Verb::Rcpt, Act::Reply("550 5.1.1 no such user"));
    let server = SmtpServer::start(bad).await;
    let hall = within("2026-03-16 20:00", "run_min = 2", &by_smtp(server.port)).await;
    certificates_end(&hall, 3).await;
    let last_days = |state: &str| format!("mark like '%|last-days|%' and {state}");
    let refused: i64 = count(&hall, &last_days("state = 'refused'")).await.parse().unwrap();
    assert!(refused > 0, "some were tried by e-mail");
    let stopped = count(&hall, &last_days("way = 'sms' and state = 'cancelled'")).await;
    assert_eq!(stopped, refused.to_string(), "their SMS fall under the hold");
    assert_eq!(count(&hall, &last_days("way = 'phone' and state = 'task'")).await, "6");
}

#[tokio::test]
pub(crate) async fn held_messages_become_calls_before_they_are_of_no_use() {
    let hall = within("2026-03-02 10:00", "run_min = 2", "").await;
    hall.without_digest("2026-03-04").await;
    let mut cases = Vec::new();
    for number in 1..=3 {
        cases.push(
            brief_visit(
                &hall,
                resident(number),
                &format!("2026-03-05 09:{:02}", 25 + 5 * number),
            )
            .await,
        );
    }
    hall.run_until("2026-03-04 10:00").await;
    let states = |rung: &'static str| async {
        let mut states = Vec::new();
        for case in &cases {
            states.extend(hall.rung(case, rung).await);
        }
        states.retain(|state| state.starts_with("resident"));
        states
    };
    let held = states("day-before").await;
    assert!(held.contains(&"resident sms held".to_owned()), "{held:?}");
    let sent = held.iter().filter(|state| state.ends_with("accepted")).count();
    hall.clock.set(at("2026-03-05 08:29"));
    hall.app.engine.wake_held().await;
    hall.send().await;
    assert_eq!(states("day-before").await, held);
    // An hour before the last of them begins.
    hall.clock.set(at("2026-03-05 08:40"));
    hall.app.engine.wake_held().await;
    hall.send().await;
    let after = states("day-before").await;
    let calls = after.iter().filter(|state| *state == "resident phone task").count();
    assert_eq!(
        (sent + calls, after.contains(&"resident sms held".to_owned())),
        (3, false),
        "{after:?}"
    );
}

#[tokio::test]
pub(crate) async fn what_is_written_as_held_after_its_hold_was_released_goes_on() {
    let hall = within("2026-03-06 10:00", "run_min = 2", "").await;
    hall.without_digest("2026-03-09").await;
    promises(&hall, 0..4, "2026-03-09").await;
    hall.run_until("2026-03-09 08:30").await;
    assert_eq!(count(&hall, "text = 'callback_due' and state = 'held'").await, "2");
    let id = waits(&hall, "run").await.remove(0).id;
    assert!(release(&hall, &id, "gu").await, "the first of two");
    // The release is in the database while messages are judged that do not know of it.
    let store = &hall.app.engine.store;
    let hold = store.open_holds().await.unwrap().remove(0);
    let by = ("shen", "已核对");
    let gone = store
        .release_hold(&hold, "2026-03-09", 20, by, hall.now())
        .await
        .unwrap();
    assert_eq!(gone, Some(2));
    assert_eq!(hall.send_by(Way::Email).await, 2);
    let released = format!("text = 'callback_due' and state = 'queued' and hold is null and approved = '{id}'");
    assert_eq!(count(&hall, &released).await, "2", "judged as held, but not left there");
    hall.send().await;
    assert_eq!(count(&hall, "text = 'callback_due' and state = 'accepted'").await, "4");

    // The guard knows by now that nothing falls under it any more.
    promise(&hall, resident(9), "2026-03-09").await;
    hall.settle().await;
    assert_eq!(count(&hall, "text = 'callback_due' and state = 'accepted'").await, "5");
}

#[tokio::test]
pub(crate) async fn a_batch_that_fails_after_it_was_judged_gives_back_its_places_in_the_counts() {
    let hall = within("2026-03-06 10:00", "run_min = 2", "").await;
    hall.without_digest("2026-03-09").await;
    promises(&hall, 0..2, "2026-03-09").await;
    hall.clock.set(at("2026-03-09 08:30"));
    hall.plan().await;
    // Looked at only for what has been tried, after it was judged: what may have left before.
    hall.sql("update reminders set tries = 1 where text = 'callback_due' and id = (select max(id) from reminders where text = 'callback_due')")
        .await;
    hall.sql("alter table attempts rename column wire_sha256 to gone").await;
    let engine = &hall.app.engine;
    let step = || sender::step(engine, Way::Email, &hall.recorder, hall.now());
    for _ in 0..12 {
        assert!(step().await.is_err());
        hall.recorder.flush().await;
        engine.gate.set_storage_fault(None);
    }
    hall.sql("alter table attempts rename column gone to wire_sha256").await;
    assert_eq!(
        step().await.unwrap().started,
        2,
        "none of them left, so none is counted"
    );
    assert_eq!(count(&hall, "text = 'callback_due' and state = 'accepted'").await, "2");
}

#[tokio::test]
pub(crate) async fn a_changed_text_goes_to_five_and_to_the_others_ten_minutes_later() {
    let hall = Hall::open("2026-03-06 10:00").await;
    hall.without_digest("2026-03-09").await;
    promises(&hall, 0..12, "2026-03-09").await;
    edit(
        &hall,
        "templates/zh-CN/callback_due/staff/body.txt",
        "\n",
        "\n请尽快。\n",
    );
    hall.app.reload().await.unwrap();
    let saying = |hall: &Hall, words: &str| mails(hall).0.iter().filter(|mail| mail.text.contains(words)).count();
    hall.run_until("2026-03-09 08:39").await;
    assert_eq!(saying(&hall, "请尽快"), 5);
    let wait = waits(&hall, "new_text").await.remove(0);
    assert_eq!((wait.id.as_str(), wait.count), ("text:callback_due", Some(7)));
    let hall = hall.crash().await;
    hall.settle().await;
    assert_eq!(saying(&hall, "请尽快"), 0, "a restart does not begin anew");
    hall.run_until("2026-03-09 08:40").await;
    assert_eq!(saying(&hall, "请尽快"), 7);

    // Somebody who vouches for the next change need not wait.
    promises(&hall, 20..32, "2026-03-10").await;
    hall.without_digest("2026-03-10").await;
    edit(
        &hall,
        "templates/zh-CN/callback_due/staff/body.txt",
        "请尽快。",
        "请今天办。",
    );
    hall.app.reload().await.unwrap();
    hall.run_until("2026-03-10 08:31").await;
    assert_eq!(saying(&hall, "请今天办"), 5);
    assert!(!release(&hall, "text:callback_due", "lin").await);
    assert!(release(&hall, "text:callback_due", "gu").await);
    hall.settle().await;
    assert_eq!(saying(&hall, "请今天办"), 7);
}

#[tokio::test]
pub(crate) async fn when_many_of_the_first_twenty_fail_the_others_are_held() {
    let bad = Script::polite().on(Verb::Rcpt, Act::Reply("550 5.1.1 no such user"));
    let server = SmtpServer::start(bad).await;
    let hall = Hall::open_with("2026-03-06 10:00", &by_smtp(server.port)).await;
    hall.without_digest("2026-03-09").await;
    promises(&hall, 0..40, "2026-03-09").await;
    hall.run_until("2026-03-09 08:30").await;
    let due = "text = 'callback_due' and way = 'email'";
    assert_eq!(count(&hall, &format!("{due} and state = 'refused'")).await, "20");
    assert_eq!(count(&hall, &format!("{due} and state = 'held'")).await, "20");
    let hold = waits(&hall, "failures").await.remove(0);
    assert_eq!(hold.count, Some(20));
    assert!(release(&hall, &hold.id, "gu").await && release(&hall, &hold.id, "shen").await);
    assert_eq!(
        hall.send_by(Way::Email).await,
        20,
        "whoever has looked at it lets them be tried"
    );
    assert_eq!(count(&hall, &format!("{due} and state = 'refused'")).await, "40");
}

#[tokio::test]
pub(crate) async fn the_same_words_go_to_so_many_residents_and_no_further() {
    let hall = within("2026-02-10 15:00", "same_text = 4", "").await;
    for number in 1..=7 {
        certificate(&hall, resident(number)).await;
    }
    hall.run_until("2026-03-06 10:00").await;
    let sms = |state: &str| format!("way = 'sms' and mark like '%|attention-resident|%' and state = '{state}'");
    assert_eq!(count(&hall, &sms("accepted")).await, "4");
    assert_eq!(count(&hall, &sms("held")).await, "3");
    let hold = waits(&hall, "same_text").await.pop().unwrap();
    assert!(release(&hall, &hold.id, "gu").await && release(&hall, &hold.id, "shen").await);
    hall.settle().await;
    assert_eq!(count(&hall, &sms("accepted")).await, "7");
}

#[test]
fn everything_that_waits_is_one_list_and_only_supervisors_let_it_go() {
    let installation = Installation::new();
    let _daemon = installation.serve();
    assert!(installation.run(&["ctl", "holds"]).good().contains("nothing is held"));
    installation
        .run(&[
            "ctl",
            "pause",
            "--channel",
            "sms",
            "--reason",
            "网关维护",
            "--as",
            "lin",
        ])
        .good();
    let list = installation.run(&["ctl", "holds"]).good();
    assert!(list.contains("sms — lin: 网关维护"), "{list}");
    let json = installation.run(&["ctl", "holds", "--json"]).json();
    assert_eq!(json["data"]["holds"][0]["kind"], "paused");
    for (who, why) in [
        ("lin", "lin may not release this"),
        ("gu", "there is no hold h-00000000"),
    ] {
        let refused = installation.run(&["ctl", "release", "h-00000000", "--reason", "已核对", "--as", who]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.out.contains(why), "{refused:?}");
    }
    let without = installation.run(&["ctl", "release", "h-00000000", "--as", "gu"]);
    assert_eq!(without.code, 2, "a release of a hold says why: {without:?}");
}
