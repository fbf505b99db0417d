//! What gateways report and what people answer: kept once, handled once, in whatever order and however often it comes.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use xixin::channel::sms::{Arrival, Part, Report};
use xixin::clock::Clock as _;
use xixin::domain::delivery::Fate;
use xixin::domain::ids::CaseId;
use xixin::engine::inbound;

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::http_server::{Act, HttpServer};

const SECRET: &str = "8f2c61f0b9d94f6a";
const PHONE: &str = "13900000001";

struct World {
    hall: Hall,
    /// Where gateways call.
    door: SocketAddr,
    case: CaseId,
    _files: tempfile::TempDir,
}

/// A hall whose gateway reports by a form, with one SMS to the resident on its way.
async fn world() -> World {
    world_with(|_| String::new()).await
}

/// The same with more settings, which are told where a file with the secret is.
async fn world_with(more: impl Fn(&std::path::Path) -> String) -> World {
    world_open_to("127.0.0.0/8", more).await
}

/// The same for callers from one network.
async fn world_open_to(network: &str, more: impl Fn(&std::path::Path) -> String) -> World {
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let gateway = HttpServer::start(Act::answer(200, r#"{"code":"OK","id":"ref-1"}"#)).await;
    let settings = format!(
        r#"
        [inbound]
        listen = "127.0.0.1:0"
        secret = {{ file = {secret:?} }}
        allow = ["{network}"]
        [sms]
        transport = "gateways"
        [sms.gateway.county]
        order = 1
        receipts = true
        [sms.gateway.county.http]
        method = "POST"
        url = "http://127.0.0.1:{}/send"
        body = "{{{{ to }}}}"
        success = {{ status = [200], pointer = "/code", equals = "OK" }}
        connections = 4
        timeout_s = 20
        [sms.gateway.county.hook.reports]
        id = "/ref"
        status = "/status"
        delivered = ["DELIVRD"]
        failed = ["UNDELIV"]
        [sms.gateway.county.hook.messages]
        from = "/mobile"
        text = "/content"
        id = "/msg"
        {}"#,
        gateway.port,
        more(&secret)
    );
    let hall = Hall::open_with("2026-03-04 08:00", &settings).await;
    let case = visit(&hall, "沈怀瑾", PHONE, "2026-03-05 14:00").await;
    hall.run_until("2026-03-04 20:00").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    tokio::spawn(xixin::http::inbound::serve(
        listener,
        hall.app.engine.clone(),
        CancellationToken::new(),
    ));
    World {
        hall,
        door,
        case,
        _files: files,
    }
}

/// A resident who is told of an appointment by SMS.
async fn visit(hall: &Hall, name: &str, phone: &str, start: &str) -> CaseId {
    let case = json!({
        "resident": { "name": name, "phone": phone, "born": 1970 },
        "matter": "labour_assessment",
        "request": "询问进度",
        "owner": "lin",
        "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": start }],
    });
    hall.take_in("lin", case).await
}

impl World {
    /// One call as a gateway makes it: the status line it is answered with.
    async fn call(&self, path: &str, body: &str) -> String {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// The same with the secret, and what is kept is handled.
    async fn told(&self, body: &str) -> String {
        let answer = self.call(&format!("/{SECRET}/county"), body).await;
        inbound::step(&self.hall.app.engine, self.hall.clock.now())
            .await
            .unwrap();
        answer
    }

    /// The ids of the SMS to the resident, the first first.
    async fn sms(&self) -> Vec<String> {
        self.hall
            .column("select id from reminders where way = 'sms' and recipient like 'person:%' and sent_ms is not null order by sent_ms, id")
            .await
    }

    async fn states(&self, id: &str) -> Vec<String> {
        self.hall
            .column(&format!(
                "select reminders.state || ' ' || attempts.outcome from reminders join attempts on reminder_id = reminders.id
                 where reminders.id = '{id}'"
            ))
            .await
    }

    /// A report that names the message as the gateway does.
    async fn reported(&self, reference: &str, fate: Fate) {
        let report = Report {
            reference: Some(reference.to_owned()),
            id: None,
            fate: Some(fate),
            code: None,
        };
        self.arrives(&Arrival::Report(report), 0).await;
    }

    /// The gateway has given this name to an SMS.
    async fn names(&self, id: &str, reference: &str) {
        let sql = format!("update attempts set reference = '{reference}' where reminder_id = '{id}'");
        self.hall.sql(&sql).await;
    }

    async fn tasks(&self) -> Vec<String> {
        self.hall
            .column("select way || ' ' || reason_zh from reminders where state = 'task'")
            .await
    }

    async fn case(&self) -> xixin::domain::case::Case {
        self.hall.app.engine.store.case(&self.case).await.unwrap().unwrap().case
    }

    async fn notes(&self) -> Vec<String> {
        self.case()
            .await
            .contacts
            .into_iter()
            .map(|contact| contact.note)
            .collect()
    }
}

#[tokio::test]
pub(crate) async fn a_report_moves_a_message_forward_once_however_often_and_in_whatever_order_it_comes() {
    let world = world().await;
    let id = world.sms().await[0].clone();
    assert_eq!(world.states(&id).await, ["accepted accepted"]);
    let events = world.hall.column("select cast(count(*) as text) from events").await;
    for body in [
        format!("ref={id}&status=ACCEPTD"),
        format!("ref={id}&status=DELIVRD"),
        format!("ref={id}&status=DELIVRD"),
        format!("ref={id}&status=ACCEPTD"),
    ] {
        assert_eq!(world.told(&body).await, "HTTP/1.1 200 OK");
    }
    assert_eq!(world.states(&id).await, ["delivered delivered"]);
    assert_eq!(
        world.hall.column("select cast(count(*) as text) from inbound").await,
        ["1"]
    );
    assert_eq!(
        world.hall.column("select cast(count(*) as text) from events").await,
        events
    );
}

#[tokio::test]
pub(crate) async fn an_urgent_sms_that_was_not_delivered_becomes_a_call_and_an_ordinary_one_is_only_shown() {
    for (priority, expected) in [(0, 0), (1, 1)] {
        let world = world().await;
        let id = world.sms().await[0].clone();
        world
            .hall
            .sql(&format!("update reminders set priority = {priority} where id = '{id}'"))
            .await;
        for _ in 0..2 {
            world.told(&format!("ref={id}&status=UNDELIV")).await;
        }
        assert_eq!(world.states(&id).await, ["bounced bounced"]);
        let tasks = world.tasks().await;
        assert_eq!(tasks.len(), expected, "{tasks:?}");
        assert!(
            tasks
                .iter()
                .all(|task| task == "phone 短信不成(短信未送达(UNDELIV)),改用电话"),
            "{tasks:?}"
        );
        // A receipt cancels nothing.
        world.told(&format!("ref={id}&status=DELIVRD")).await;
        assert_eq!(world.tasks().await.len(), expected);
    }
}

#[tokio::test]
pub(crate) async fn a_report_that_comes_before_its_message_is_known_waits_for_it() {
    let world = world().await;
    let id = world.sms().await[0].clone();
    // As if the answer to the attempt had not been recorded yet.
    world
        .hall
        .sql(&format!(
            "update attempts set outcome = 'attempting' where reminder_id = '{id}'"
        ))
        .await;
    world.told(&format!("ref={id}&status=DELIVRD")).await;
    assert_eq!(world.states(&id).await, ["accepted attempting"]);
    world
        .hall
        .sql(&format!(
            "update attempts set outcome = 'accepted' where reminder_id = '{id}'"
        ))
        .await;
    let later = world.hall.clock.now() + jiff::SignedDuration::from_secs(10);
    inbound::step(&world.hall.app.engine, later).await.unwrap();
    assert_eq!(world.states(&id).await, ["delivered delivered"]);
}

#[tokio::test]
pub(crate) async fn without_a_report_for_seventy_two_hours_it_is_unknown_and_a_late_one_still_counts() {
    let world = world().await;
    let id = world.sms().await[0].clone();
    let sent = world
        .hall
        .column(&format!(
            "select cast(started_ms as text) from attempts where reminder_id = '{id}'"
        ))
        .await;
    let sent = jiff::Timestamp::from_millisecond(sent[0].parse().unwrap()).unwrap();
    let after =
        |hours: i64, ms: i64| sent + jiff::SignedDuration::from_hours(hours) + jiff::SignedDuration::from_millis(ms);
    inbound::step(&world.hall.app.engine, after(72, -1)).await.unwrap();
    assert_eq!(world.states(&id).await, ["accepted accepted"]);
    inbound::step(&world.hall.app.engine, after(72, 0)).await.unwrap();
    assert_eq!(world.states(&id).await, ["no_receipt no_receipt"]);
    assert!(world.tasks().await.is_empty(), "it is shown, and nothing more");
    world.told(&format!("ref={id}&status=DELIVRD")).await;
    assert_eq!(world.states(&id).await, ["delivered delivered"]);
}

#[tokio::test]
async fn a_centre_that_uses_its_names_again_loses_no_report() {
    let world = world().await;
    let first = world.sms().await[0].clone();
    world.names(&first, "7").await;
    world.reported("7", Fate::Delivered).await;
    visit(&world.hall, "周芸", "13900000002", "2026-03-06 09:00").await;
    world.hall.run_until("2026-03-05 20:00").await;
    let second = world.sms().await.pop().unwrap();
    world.names(&second, "7").await;
    assert_eq!(world.states(&second).await, ["accepted accepted"]);
    world.reported("7", Fate::Delivered).await;
    assert_eq!(world.states(&second).await, ["delivered delivered"]);
    assert_eq!(world.states(&first).await, ["delivered delivered"]);
}

#[tokio::test]
async fn a_report_under_a_name_that_is_used_again_waits_for_the_message_that_is_still_on_its_way() {
    let world = world().await;
    let first = world.sms().await[0].clone();
    world.names(&first, "7").await;
    world.reported("7", Fate::Delivered).await;
    visit(&world.hall, "周芸", "13900000002", "2026-03-06 09:00").await;
    world.hall.run_until("2026-03-05 20:00").await;
    let second = world.sms().await.pop().unwrap();
    let known = async |known: bool| {
        let (state, reference) = if known {
            ("accepted", "'7'")
        } else {
            ("attempting", "null")
        };
        for sql in [
            format!("update reminders set state = '{state}' where id = '{second}'"),
            format!("update attempts set outcome = '{state}', reference = {reference} where reminder_id = '{second}'"),
        ] {
            world.hall.sql(&sql).await;
        }
    };
    // As if the centre had not answered yet.
    known(false).await;
    world.reported("7", Fate::Delivered).await;
    assert_eq!(world.states(&second).await, ["attempting attempting"]);
    known(true).await;
    let later = world.hall.clock.now() + jiff::SignedDuration::from_secs(10);
    inbound::step(&world.hall.app.engine, later).await.unwrap();
    assert_eq!(world.states(&second).await, ["delivered delivered"]);
}

#[tokio::test]
async fn a_report_moves_no_message_that_began_after_it() {
    let world = world().await;
    world.reported("7", Fate::Bounced).await;
    visit(&world.hall, "周芸", "13900000002", "2026-03-06 09:00").await;
    world.hall.run_until("2026-03-05 20:00").await;
    let later = world.sms().await.pop().unwrap();
    world.names(&later, "7").await;
    inbound::step(&world.hall.app.engine, world.hall.clock.now())
        .await
        .unwrap();
    assert_eq!(world.states(&later).await, ["accepted accepted"]);
}

#[tokio::test]
pub(crate) async fn whoever_lacks_the_secret_or_names_no_gateway_is_told_nothing_and_changes_nothing() {
    let world = world().await;
    let id = world.sms().await[0].clone();
    let body = format!("ref={id}&status=UNDELIV");
    for path in [
        "/wrong/county",
        &format!("/{SECRET}/other"),
        "/",
        "/county",
        &format!("/{SECRET}/county/x"),
        "/%ff/county",
    ] {
        assert_eq!(world.call(path, &body).await, "HTTP/1.1 404 Not Found", "{path}");
    }
    assert_eq!(
        world.call(&format!("/{SECRET}/county"), "nothing=1").await,
        "HTTP/1.1 400 Bad Request"
    );
    inbound::step(&world.hall.app.engine, world.hall.clock.now())
        .await
        .unwrap();
    assert_eq!(world.states(&id).await, ["accepted accepted"]);
    assert_eq!(
        world.hall.column("select cast(count(*) as text) from inbound").await,
        ["0"]
    );
}

#[tokio::test]
pub(crate) async fn one_confirms_two_asks_for_a_call_and_anything_else_is_a_task_with_the_text() {
    let world = world().await;
    assert_eq!(
        world.told(&format!("mobile=%2B86{PHONE}&content=1&msg=m1")).await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(world.notes().await, ["短信回复 1(已知悉) / answered 1 (has read it)"]);

    for _ in 0..3 {
        world.told(&format!("mobile={PHONE}&content=2&msg=m2")).await;
    }
    let case = world.case().await;
    assert_eq!(case.callbacks.len(), 1, "the same message three times is one call");
    assert_eq!(
        (case.callbacks[0].by.as_str(), case.callbacks[0].kept.is_none()),
        ("lin", true)
    );

    world
        .told(&format!(
            "mobile={PHONE}&content=%E6%97%B6%E9%97%B4%E8%83%BD%E6%94%B9%E5%90%97&msg=m3"
        ))
        .await;
    let case = world.case().await;
    assert_eq!(case.todos.len(), 1);
    assert!(case.todos[0].words.ends_with("时间能改吗"), "{}", case.todos[0].words);
    assert_eq!(case.todos[0].by.as_str(), "lin");
    // What they wrote stays in the case, not in the heap of what came in.
    assert_eq!(
        world
            .hall
            .column("select cast(count(*) as text) from inbound where body <> '' or handled_ms is null")
            .await,
        ["0"]
    );
    let actors = world
        .hall
        .column("select distinct actor from events order by actor")
        .await;
    assert!(actors.contains(&"xixin".to_owned()), "{actors:?}");
}

#[tokio::test]
pub(crate) async fn whoever_opts_out_gets_no_sms_any_more_and_is_called_instead() {
    let world = world().await;
    world
        .told(&format!("mobile={PHONE}&content=%E9%80%80%E8%AE%A2&msg=m1"))
        .await;
    let resident = world.case().await.party.person;
    let people = world.hall.app.engine.store.people_of(&resident).await.unwrap();
    assert!(people.resident.unwrap().opted_out);
    assert_eq!(world.notes().await, ["短信回复退订 / opted out of SMS"]);
    let before = world.sms().await.len();
    world.hall.run_until("2026-03-06 20:00").await;
    assert_eq!(world.sms().await.len(), before);
}

/// Chinese comes in UTF-16 then (Kannel 1.4.5, seen in `tests/lab/servers.py`), and a word of two bytes that are letters too is a word.
#[tokio::test]
pub(crate) async fn an_opt_out_is_heard_as_kannel_passes_it_on() {
    let world = world_with(|secret| {
        format!(
            "[sms.gateway.hall]\norder = 2\n[sms.gateway.hall.kannel]\nurl = \"http://127.0.0.1:9/cgi-bin/sendsms\"
            username = \"xixin\"\npassword = {{ file = {secret:?} }}"
        )
    })
    .await;
    for (text, id) in [("N-", 1), ("%90%00%8B%A2", 2)] {
        let request = format!(
            "GET /{SECRET}/hall?from=%2B86{PHONE}&text={text}&charset=UTF-16BE&id={id} HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        assert_eq!(world.ask(&request).await, "HTTP/1.1 200 OK");
        inbound::step(&world.hall.app.engine, world.hall.clock.now())
            .await
            .unwrap();
    }
    let case = world.case().await;
    assert!(
        case.todos[0].words.ends_with("an SMS came: 中"),
        "{}",
        case.todos[0].words
    );
    assert_eq!(world.notes().await, ["短信回复退订 / opted out of SMS"]);
    let people = world.hall.app.engine.store.people_of(&case.party.person).await.unwrap();
    assert!(people.resident.unwrap().opted_out);
}

#[tokio::test]
pub(crate) async fn a_stranger_changes_nothing() {
    let world = world().await;
    world.told("mobile=13900009999&content=2&msg=m1").await;
    let case = world.case().await;
    assert_eq!((case.callbacks.len(), case.todos.len(), case.contacts.len()), (0, 0, 0));
}

#[tokio::test]
pub(crate) async fn what_a_stranger_writes_is_kept_sealed_until_a_person_has_dealt_with_it() {
    let world = world().await;
    world
        .told("mobile=13900009999&content=%E6%88%91%E6%98%AF%E8%B0%81&msg=m1")
        .await;
    let engine = &world.hall.app.engine;
    // Days later it is there, and nothing looks at it over and over.
    let later = world.hall.clock.now() + jiff::SignedDuration::from_hours(100);
    let handled = inbound::step(engine, later).await.unwrap();
    assert_eq!((handled.handled, handled.waiting), (0, 0));
    let strangers = engine.strangers().await.unwrap();
    let seen: Vec<_> = strangers
        .iter()
        .map(|one| (one.from.as_str(), one.text.as_str()))
        .collect();
    assert_eq!(seen, [("13900009999", "我是谁")]);
    let body = "select body from inbound";
    let sealed = world.hall.column(body).await.remove(0);
    assert!(
        !sealed.contains("13900009999") && !sealed.contains("我是谁"),
        "{sealed}"
    );
    let waits = engine.waits().await.unwrap();
    let wait = waits.iter().find(|wait| wait.kind == "inbox").unwrap();
    assert_eq!(wait.count, Some(1));
    engine.stranger_done(&strangers[0]).await.unwrap();
    assert!(engine.strangers().await.unwrap().is_empty());
    assert_eq!(world.hall.column(body).await, [""]);
    assert!(engine.waits().await.unwrap().iter().all(|wait| wait.kind != "inbox"));
}

#[test]
fn the_inbox_says_when_it_is_empty_and_knows_no_other_numbers() {
    let hall = Installation::new();
    assert_eq!(hall.run(&["migrate"]).code, 0);
    let ran = hall.run(&["inbox"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("no SMS from unknown numbers"), "{}", ran.out);
    let ran = hall.run(&["inbox", "--done", "12345678"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no SMS has the number 12345678"), "{}", ran.err);
    assert_eq!(hall.run(&["inbox", "--json"]).out.trim(), r#"{"inbox":[]}"#);
}

/// The parts of a message as an SMS centre brings them, by their numbers.
fn parts(text: &str, reference: u16, total: u8) -> Vec<Arrival> {
    let data: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let length = data.len().div_ceil(usize::from(total));
    let part = |(number, data): (u8, &[u8])| {
        Arrival::Part(Part {
            from: format!("86{PHONE}"),
            reference,
            total,
            number,
            data: data.to_vec(),
            is_ucs2: true,
        })
    };
    (1..).zip(data.chunks(length)).map(part).collect()
}

impl World {
    async fn arrives(&self, arrival: &Arrival, after_s: i64) {
        let at = self.hall.clock.now() + jiff::SignedDuration::from_secs(after_s);
        let engine = &self.hall.app.engine;
        inbound::keep(engine, "county", std::slice::from_ref(arrival), at)
            .await
            .unwrap();
        // Once for the part, once for the whole.
        for _ in 0..2 {
            inbound::step(engine, at).await.unwrap();
        }
    }

    async fn words(&self) -> Vec<String> {
        let todos = self.case().await.todos.into_iter();
        todos
            .map(|todo| todo.words.rsplit(": ").next().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
pub(crate) async fn a_message_in_parts_is_one_message_in_whatever_order_and_however_often_they_come() {
    let world = world().await;
    let (first, second) = ("我明天上午可能来不了,想改到下周三", "另外请问要不要带户口本原件");
    let (one, other) = (parts(first, 7, 3), parts(second, 8, 2));
    for arrival in [&one[2], &other[1], &one[0], &one[0], &other[0]] {
        world.arrives(arrival, 0).await;
    }
    assert_eq!(world.words().await, [second]);
    world.arrives(&one[1], 60).await;
    // What was not acknowledged in time comes again and changes nothing.
    for arrival in one.iter().chain(&other) {
        world.arrives(arrival, 90).await;
    }
    assert_eq!(world.words().await, [second, first]);
    let left = "select cast(count(*) as text) from inbound where body <> '' or handled_ms is null";
    assert_eq!(world.hall.column(left).await, ["0"]);
}

#[tokio::test]
pub(crate) async fn a_message_of_which_a_part_does_not_come_is_told_as_far_as_it_came() {
    let world = world().await;
    let text = "我明天上午来不了想改到下周三";
    let parts = parts(text, 7, 2);
    world.arrives(&parts[1], 0).await;
    let step = |seconds: i64| {
        let at = world.hall.clock.now() + jiff::SignedDuration::from_secs(seconds);
        inbound::step(&world.hall.app.engine, at)
    };
    step(299).await.unwrap();
    assert!(world.words().await.is_empty());
    for seconds in [374, 375] {
        step(seconds).await.unwrap();
    }
    assert_eq!(world.words().await, ["…了想改到下周三"]);
    // The other one comes after all: it is told as well, as another message.
    world.arrives(&parts[0], 400).await;
    for seconds in [800, 801] {
        step(seconds).await.unwrap();
    }
    assert_eq!(world.words().await, ["…了想改到下周三", "我明天上午来不…"]);
}

#[tokio::test]
pub(crate) async fn an_answer_from_a_shared_telephone_belongs_to_the_last_sms_that_went_to_it_and_an_opt_out_to_everybody()
 {
    let world = world().await;
    let other = visit(&world.hall, "周芸", PHONE, "2026-03-06 09:00").await;
    world.hall.run_until("2026-03-05 20:00").await;
    world.told(&format!("mobile={PHONE}&content=2&msg=m1")).await;
    let store = &world.hall.app.engine.store;
    let second = store.case(&other).await.unwrap().unwrap().case;
    assert_eq!((world.case().await.callbacks.len(), second.callbacks.len()), (0, 1));

    world
        .told(&format!("mobile={PHONE}&content=%E9%80%80%E8%AE%A2&msg=m2"))
        .await;
    for resident in [world.case().await.party.person, second.party.person] {
        assert!(store.people_of(&resident).await.unwrap().resident.unwrap().opted_out);
    }
}

#[tokio::test]
async fn an_opt_out_reaches_everybody_of_a_number_however_many_they_are_and_whatever_became_of_their_case() {
    let world = world().await;
    for number in 0..40 {
        let case = json!({
            "resident": { "name": format!("周芸{number}"), "phone": PHONE, "born": 1970 },
            "matter": "hard_case", "request": "x", "owner": "lin", "unit": "taoranting-window",
        });
        let case = world.hall.take_in("lin", case).await;
        if number % 2 == 0 {
            let close = json!({ "do": "close", "as": "withdrawn", "reason": "居民撤回" });
            world.hall.act("lin", &case, close).await.unwrap();
        }
    }
    world
        .told(&format!("mobile={PHONE}&content=%E9%80%80%E8%AE%A2&msg=m1"))
        .await;
    let store = &world.hall.app.engine.store;
    let people = store.people_by_number(PHONE).await.unwrap();
    assert_eq!(people.len(), 41);
    for (person, _) in people {
        let known = store.people_of(&person).await.unwrap();
        assert!(known.resident.unwrap().opted_out, "{person}");
    }
}

#[tokio::test]
pub(crate) async fn what_belongs_to_a_case_that_cannot_be_read_keeps_nobody_elses_answer_waiting() {
    let world = world().await;
    let other = visit(&world.hall, "周芸", "13900000002", "2026-03-06 09:00").await;
    let broken = world.case.as_str();
    let sql = format!("update cases set facts = 'broken' where id = '{broken}'");
    world.hall.sql(&sql).await;
    // Something that nobody can open any more came before all others.
    world.call(&format!("/{SECRET}/county"), "ref=x&status=UNDELIV").await;
    world.hall.sql("update inbound set body = 'broken'").await;
    // The urgent SMS of a case that nobody can read has failed, and its resident writes.
    let id = world.sms().await[0].clone();
    let urgent = format!("update reminders set priority = 1 where id = '{id}'");
    world.hall.sql(&urgent).await;
    world.told(&format!("ref={id}&status=UNDELIV")).await;
    world.told(&format!("mobile={PHONE}&content=2&msg=m1")).await;
    world.told("mobile=13900000002&content=2&msg=m2").await;
    let case = world.hall.app.engine.store.case(&other).await.unwrap().unwrap().case;
    assert_eq!(case.callbacks.len(), 1);
    // They wait until it is repaired.
    let waiting = "select cast(count(*) as text) from inbound where handled_ms is null";
    assert_eq!(world.hall.column(waiting).await, ["3"]);
}

#[tokio::test]
pub(crate) async fn a_report_on_an_sms_to_somebody_who_was_erased_is_noted_and_nobody_is_asked_to_call() {
    let world = world().await;
    let id = world.sms().await[0].clone();
    let urgent = format!("update reminders set priority = 1 where id = '{id}'");
    world.hall.sql(&urgent).await;
    let resident = world.case().await.party.person;
    let destroyed = format!("update keys set wrapped = null where owner = '{resident}'");
    world.hall.sql(&destroyed).await;
    world.told(&format!("ref={id}&status=UNDELIV")).await;
    assert_eq!(world.states(&id).await, ["bounced bounced"]);
    assert!(world.tasks().await.is_empty());
    let waiting = "select cast(count(*) as text) from inbound where handled_ms is null";
    assert_eq!(world.hall.column(waiting).await, ["0"]);
}

#[tokio::test]
pub(crate) async fn whoever_calls_from_elsewhere_is_hung_up_on_and_takes_no_seat() {
    let world = world_open_to("203.0.113.0/24", |_| String::new()).await;
    // More than there are seats, and none of them says a word.
    for _ in 0..40 {
        let mut stream = TcpStream::connect(world.door).await.unwrap();
        let mut answer = Vec::new();
        // Reset or closed: either way nothing is said.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
pub(crate) async fn whoever_lacks_the_secret_is_sent_away_before_a_byte_of_the_body_has_come() {
    let world = world().await;
    let mut stream = TcpStream::connect(world.door).await.unwrap();
    let head = "POST /wrong/county HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
}

#[tokio::test]
pub(crate) async fn whoever_writes_again_and_again_is_noted_each_time_and_makes_no_more_work() {
    let world = world().await;
    for number in 0..3 {
        world.told(&format!("mobile={PHONE}&content=2&msg=call-{number}")).await;
    }
    for number in 0..25 {
        world
            .told(&format!("mobile={PHONE}&content=words&msg=words-{number}"))
            .await;
    }
    let case = world.case().await;
    assert_eq!(
        (case.callbacks.len(), case.todos.len(), case.contacts.len()),
        (1, 20, 7)
    );
    // Once somebody has called, the next wish is a new one.
    let open = case.callbacks[0].id.clone();
    let called = json!({ "do": "attempt", "item": open, "result": "reached" });
    world.hall.act("lin", &world.case, called).await.unwrap();
    world.told(&format!("mobile={PHONE}&content=2&msg=call-9")).await;
    assert_eq!(world.case().await.callbacks.len(), 2);
}
