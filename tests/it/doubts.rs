//! Messages of which nobody knows whether they went out: what is sent again, what is asked about, and what a person gets to see.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;

use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, promise, resident, visit};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};
use crate::vault::as_it_was_before;

const TEN: &str = "2026-03-04 10:00";

fn smtp(port: u16) -> String {
    format!("[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\n")
}

/// How many messages there are, unless `XIXIN_CUTS` names how many of them are to be cut after the dot, such as 1000.
fn many() -> u32 {
    let cuts = std::env::var("XIXIN_CUTS")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    cuts.map_or(400, |cuts| cuts * 7)
}

/// Every seventh dot on a connection is not answered although the server has the message: all the same each message arrives once, or as
/// two copies that are the same to the byte.
#[tokio::test]
pub(crate) async fn cut_after_the_dot_leaves_two_identical_copies_at_the_most() {
    let server = SmtpServer::start(Script::polite().on_nth(Verb::Dot, 7, Act::Cut)).await;
    let hall = Hall::open_quiet("2026-03-04 08:05", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    let many = many();
    for number in 0..many {
        promise(&hall, resident(number), "2026-03-04").await;
    }
    hall.run_until("2026-03-04 11:00").await;
    let mut copies: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for message in server.received() {
        let text = String::from_utf8_lossy(&message.text).into_owned();
        let id = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
        copies.entry(id.to_owned()).or_default().push(message.text);
    }
    let twice = copies.values().filter(|copies| copies.len() == 2).count();
    assert!(
        copies.len() >= usize::try_from(many).unwrap() && twice > 20,
        "{} {twice}",
        copies.len()
    );
    for (id, copies) in &copies {
        assert!(copies.len() <= 2, "{id}");
        assert!(copies.iter().all(|copy| copy == &copies[0]), "{id}");
    }
    // One that was cut twice is shown to people; all others are known to have arrived.
    let open = "select state from reminders where way = 'email' and state not in ('accepted', 'superseded')
        and (select count(*) from attempts where reminder_id = reminders.id and outcome = 'uncertain') < 2";
    assert_eq!(hall.column(open).await, Vec::<String>::new());
}

/// An e-mail to a resident that was cut after the dot, and the case as it is then.
async fn cut_once() -> (Hall, CaseId, SmtpServer) {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Cut), Script::polite()]).await;
    let hall = Hall::open_quiet("2026-03-04 09:10", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    let person = json!({ "name": "沈怀瑾", "email": "shen@example.org", "born": 1980 });
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.clock.set(at(TEN));
    hall.plan().await;
    // Only the message to the resident is on its way.
    hall.sql("update reminders set state = 'cancelled' where state = 'queued' and recipient like 'staff:%'")
        .await;
    hall.send_by(Way::Email).await;
    assert_eq!(hall.column("select outcome from attempts").await, ["uncertain"]);
    (hall, case, server)
}

async fn wires(hall: &Hall) -> Vec<String> {
    let sql = "select wire_id || ' ' || wire_sha256 from attempts where way = 'email' order by started_ms, id";
    hall.column(sql).await
}

#[tokio::test]
pub(crate) async fn the_second_copy_is_the_first_to_the_byte_also_hours_later() {
    let (hall, _, server) = cut_once().await;
    hall.clock.set(at("2026-03-04 13:00"));
    hall.send().await;
    let wires = wires(&hall).await;
    assert_eq!(wires.len(), 2);
    assert_eq!(wires[0], wires[1]);
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert!(received[0].text == received[1].text);
}

#[tokio::test]
pub(crate) async fn a_message_whose_words_have_changed_meanwhile_goes_under_another_name_and_the_ledger_says_so() {
    let (hall, case, server) = cut_once().await;
    for text in std::fs::read_dir(hall.config().join("templates/zh-CN")).unwrap() {
        let body = text.unwrap().path().join("resident/body.txt");
        if let Ok(words) = std::fs::read_to_string(&body) {
            std::fs::write(&body, words + "请走东门。\n").unwrap();
        }
    }
    hall.app.reload().await.unwrap();
    hall.clock.set(at("2026-03-04 10:01"));
    hall.send().await;
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert!(received[0].text != received[1].text);
    let ids = hall
        .column("select wire_id from attempts where way = 'email' order by started_ms, id")
        .await;
    let (first, second) = (ids[0].trim_start_matches('<'), ids[1].trim_start_matches('<'));
    let row = first.split('@').next().unwrap();
    assert!(second.starts_with(&format!("{row}-2@")), "{ids:?}");
    let reasons = hall.reasons(&case, "day-before").await;
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("内容已变,作为新信息再发一次")),
        "{reasons:?}"
    );
}

/// An SMS that a run died over. The gateway, a folder, can be asked.
async fn sms_in_doubt(priority: u8, arrived: bool) -> (Hall, CaseId) {
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until(TEN).await;
    if !arrived {
        hall.take_left();
    }
    let undo = format!(
        "update reminders set state = 'attempting', holder = 'dead', closed_ms = null, priority = {priority} where way = 'sms';
         update attempts set outcome = 'attempting', ended_ms = null where way = 'sms'"
    );
    hall.sql(&undo).await;
    let hall = hall.crash().await;
    let asking = hall.reasons(&case, "day-before").await;
    assert!(
        asking.iter().any(|reason| reason.contains("正在向短信平台查询")),
        "{asking:?}"
    );
    assert_eq!(
        hall.rung(&case, "day-before").await.len(),
        2,
        "nobody phones yet: {asking:?}"
    );
    (hall, case)
}

#[tokio::test]
pub(crate) async fn a_gateway_that_has_the_message_ends_the_doubt() {
    let (hall, case) = sms_in_doubt(0, true).await;
    hall.run_until("2026-03-04 10:01").await;
    assert!(
        hall.rung(&case, "day-before")
            .await
            .contains(&"resident sms uncertain".to_owned())
    );
    hall.run_until("2026-03-04 10:02").await;
    assert!(
        hall.rung(&case, "day-before")
            .await
            .contains(&"resident sms accepted".to_owned())
    );
    assert_eq!(
        hall.column("select outcome from attempts where way = 'sms'").await,
        ["accepted"]
    );
}

#[tokio::test]
pub(crate) async fn a_gateway_that_cannot_say_is_asked_three_times_then_a_person_phones() {
    let (hall, case) = sms_in_doubt(0, false).await;
    for (minute, asked) in [(1, 0), (2, 1), (4, 1), (5, 2), (9, 2)] {
        hall.run_until(&format!("2026-03-04 10:{minute:02}")).await;
        let found = hall
            .column("select cast(asked as text) from attempts where way = 'sms'")
            .await;
        assert_eq!(found, [asked.to_string()], "after {minute} minutes");
    }
    assert_eq!(hall.rung(&case, "day-before").await.len(), 2);
    hall.run_until("2026-03-04 10:10").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident sms uncertain".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    hall.run_until("2026-03-04 20:00").await;
    assert!(
        hall.take_left().iter().all(|left| left.way != Way::Sms),
        "never again by itself"
    );
}

#[tokio::test]
pub(crate) async fn a_critical_sms_of_unknown_fate_goes_once_more_and_only_once() {
    let (hall, case) = sms_in_doubt(2, false).await;
    hall.run_until("2026-03-04 10:11").await;
    let left: Vec<_> = hall
        .take_left()
        .into_iter()
        .filter(|left| left.way == Way::Sms)
        .collect();
    assert_eq!(left.len(), 1);
    assert!(
        hall.rung(&case, "day-before")
            .await
            .contains(&"resident sms accepted".to_owned())
    );
    let outcomes = hall
        .column("select outcome from attempts where way = 'sms' order by started_ms, id")
        .await;
    assert_eq!(outcomes, ["uncertain", "accepted"]);
    assert_eq!(
        left[0].id,
        hall.column("select id from reminders where way = 'sms'").await[0],
        "the same name"
    );
}

#[tokio::test]
pub(crate) async fn what_three_runs_died_over_is_held_and_the_others_go_on() {
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    hall.without_digest("2026-03-04").await;
    for number in 0..3 {
        brief_visit(&hall, resident(number), &format!("2026-03-05 09:{:02}", number * 5)).await;
    }
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let claim = xixin::store::queue::Claim::Due;
    let (now, lease) = (at("2026-03-04 09:00"), at("2026-03-04 09:01"));
    let store = hall.app.engine.store.clone();
    let claimed = store.claim_due(Way::Email, claim, now, 10, "h", lease).await.unwrap();
    assert_eq!(claimed.len(), 3);
    // The first death has three names; from now on each is handled alone, and the second and the third have one.
    let mut hall = hall.crash().await;
    let mut poison = None;
    for _ in 0..2 {
        let store = hall.app.engine.store.clone();
        assert_eq!(
            store.claim_due(Way::Email, claim, now, 10, "h", lease).await.unwrap(),
            []
        );
        if let Some(poison) = &poison {
            // The least suspicious come first, and through.
            for _ in 0..2 {
                assert_eq!(hall.send_by(Way::Email).await, 1);
            }
            let next = store
                .claim_suspect(Way::Email, claim, now, "h", lease)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(&next.id, poison);
        } else {
            poison = store
                .claim_suspect(Way::Email, claim, now, "h", lease)
                .await
                .unwrap()
                .map(|row| row.id);
        }
        hall = hall.crash().await;
    }
    let states =
        "select state || ' ' || crashes from reminders where way = 'email' and recipient like 'staff:%' order by state";
    assert_eq!(hall.column(states).await, ["accepted 0", "accepted 0", "held 3"]);
    hall.run_until("2026-03-04 09:30").await;
    assert_eq!(hall.take_left().len(), 2);
    assert_eq!(hall.app.engine.store.release_suspects().await.unwrap(), 1);
    hall.settle().await;
    assert_eq!(hall.take_left().len(), 1);
}

#[tokio::test]
pub(crate) async fn an_older_database_is_sealed_and_what_was_in_doubt_in_it_goes_once_more_under_its_name() {
    let (hall, case, server) = cut_once().await;
    let other = promise(&hall, resident(2), "2026-03-09").await;
    let first = server.received().remove(0).text;
    let plain = hex::encode(Sha256::digest(&first));
    let of_it = "select reminder_id from attempts where wire_sha256 = ";
    let reminder = format!("{of_it}'{}'", hall.app.engine.store.wire_sum(&plain));
    let reminder = hall.column(&reminder).await.remove(0);
    as_it_was_before(&hall).await;
    // Those days kept the hash of the bytes itself.
    hall.sql(&format!("update attempts set wire_sha256 = '{plain}'")).await;
    let hall = hall.crash().await;
    let sums = format!("select wire_sha256 from attempts where reminder_id = '{reminder}'");
    let sum = hall.app.engine.store.wire_sum(&plain);
    assert_eq!(hall.column(&sums).await, std::slice::from_ref(&sum));
    hall.run_until("2026-03-10 18:00").await;
    assert_eq!(hall.column(&sums).await, [sum.clone(), sum]);
    let copies = server.received().iter().filter(|mail| mail.text == first).count();
    assert_eq!(copies, 2);
    // Whatever else was planned goes on, each once.
    for case in [&case, &other] {
        let twice = format!(
            "select r.id from reminders r join attempts a on a.reminder_id = r.id
             where r.case_id = '{case}' and r.id <> '{reminder}' group by r.id having count(*) > 1"
        );
        assert_eq!(hall.column(&twice).await, Vec::<String>::new());
        let sent = format!(
            "select r.id from reminders r join attempts a on a.reminder_id = r.id
             where r.case_id = '{case}' and r.id <> '{reminder}' and a.outcome = 'accepted'"
        );
        assert!(!hall.column(&sent).await.is_empty());
        let left = format!(
            "select id from reminders
             where case_id = '{case}' and state in ('queued', 'claimed', 'attempting') and due_ms < {}",
            hall.now().as_millisecond()
        );
        assert_eq!(hall.column(&left).await, Vec::<String>::new());
    }
}
