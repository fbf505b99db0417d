//! Canaries: a word of its own in every field that may say something about a person. Everything is run, and the words are looked for
//! wherever they must not be: logs, metrics, the state that is dumped, SMS, subjects, the files of the database, its backup, the report
//! of a crash. Each search is tried on a place that is known to hold the word.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::engine::status::status;

use crate::support::daemon::{Installation, http};
use crate::support::hall::Hall;

/// People, as they are found whole; a surname alone may be used to address them.
const PEOPLE: [&str; 8] = [
    "欧阳鹂翎",
    "13987650001",
    "liling@canary.example",
    "司徒鸢羽",
    "13987650002",
    "yuanyu@canary.example",
    "司徒鹡鸰",
    "13987650003",
];

/// The word of one field.
fn word(field: &str) -> String {
    format!("canary-{field}-51")
}

/// Fields of the case as it is taken in.
const OPENED: [&str; 5] = ["request", "referrer", "words", "home", "relation"];

fn document() -> Value {
    json!({
        "resident": { "name": PEOPLE[0], "gender": "female", "phone": PEOPLE[1], "email": PEOPLE[2], "born": 1980 },
        "relatives": [{ "name": PEOPLE[3], "relation": word("relation"), "phone": PEOPLE[4], "email": PEOPLE[5], "opted_in": true, "may_know": "full" }],
        "matter": "labour_assessment",
        "request": word("request"),
        "referred_by": word("referrer"),
        "deadlines": [{ "kind": "labour_decision", "trigger": "2026-01-15" }],
        "callbacks": [{ "words": word("words") }],
        "escorts": [{ "what": "办手续", "office": "social_insurance", "visit": "2026-03-05 10:00", "with": "hao", "from": word("home") }],
    })
}

/// Commands with a word in every field that takes words, and who gives them.
fn commands() -> Vec<(&'static str, Value)> {
    vec![
        (
            "lin",
            json!({ "do": "contact", "direction": "in", "kind": "phone", "note": word("contact") }),
        ),
        ("lin", json!({ "do": "listen", "note": word("listen") })),
        (
            "lin",
            json!({ "do": "add_material", "name": word("paper"), "issuer": word("issuer"), "places": [word("drawer")] }),
        ),
        (
            "lin",
            json!({ "do": "ask", "kind": "agency", "of": word("agency"), "what": word("question") }),
        ),
        (
            "lin",
            json!({ "do": "hop", "place": word("place"), "person": word("somebody"), "phone": "13987650009", "result": word("hearsay") }),
        ),
        (
            "lin",
            json!({ "do": "draft_plan", "steps": [{ "name": word("step"), "agency": word("board") }] }),
        ),
        ("lin", json!({ "do": "todo", "words": word("todo") })),
        (
            "lin",
            json!({ "do": "tell", "what": "explanation", "method": word("method") }),
        ),
        (
            "lin",
            json!({ "do": "feedback", "kind": "commendation", "note": word("praise") }),
        ),
        ("lin", json!({ "do": "obstacle", "tag": word("obstacle") })),
        ("lin", json!({ "do": "responsible", "body": word("body") })),
        (
            "lin",
            json!({ "do": "incident", "what": word("incident"), "action": word("action"), "told": [word("told")] }),
        ),
        ("gu", json!({ "do": "prioritise", "reason": word("priority") })),
        (
            "lin",
            json!({ "do": "add_relative", "name": PEOPLE[6], "relation": word("kin"), "phone": PEOPLE[7], "opted_in": true }),
        ),
        ("lin", json!({ "do": "wait", "on": word("wait") })),
    ]
}

/// What is refused, so that a refusal cannot tell it to the wrong reader.
fn refused() -> Vec<Value> {
    vec![
        json!({ "do": "attempt", "item": "x9", "result": "no_answer", "note": word("refused") }),
        json!({ "do": "change_person", "phone": "not-a-number-51", "email": word("refused") }),
        json!({ "do": "promise", "words": word("refused"), "due": "canary-no-date-51" }),
    ]
}

/// Where lines of the log go.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every canary that a text or a file holds: words, and people by name, number or address.
fn canaries(bytes: &[u8]) -> Vec<&'static str> {
    let holds = |what: &str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
    let kinds = PEOPLE.into_iter().chain(["canary-", "鹂翎", "鸢羽", "not-a-number-51"]);
    kinds.filter(|canary| holds(canary)).collect()
}

fn none_in(place: &str, bytes: &[u8]) {
    let found = canaries(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| !canaries(line.as_bytes()).is_empty());
    let lines: Vec<String> = lines.map(|line| line.chars().take(400).collect()).take(5).collect();
    assert!(found.is_empty(), "{place} holds {found:?}: {lines:#?}");
}

/// The database as whoever takes the disk finds it.
fn files_of(database: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(database).unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        bytes.extend(std::fs::read(name).unwrap_or_default());
    }
    bytes
}

/// Everything that is known of a case, opened.
async fn opened(hall: &Hall, case: &CaseId) -> String {
    let store = &hall.app.engine.store;
    let stored = store.case(case).await.unwrap().unwrap();
    let people = store.people_of(&stored.case.party.person).await.unwrap();
    let people = json!({ "resident": people.resident, "relatives": people.relatives });
    format!("{} {people}", serde_json::to_string(&stored.case).unwrap())
}

#[tokio::test]
async fn what_is_known_of_people_is_in_no_log_no_sms_no_subject_and_no_file() {
    let log = Heard::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let hall = Hall::open("2026-03-02 09:00").await;
    let case = hall.take_in("lin", document()).await;
    for (who, command) in commands() {
        let told = command.to_string();
        hall.act(who, &case, command)
            .await
            .unwrap_or_else(|refusal| panic!("{told}: {refusal}"));
    }
    for command in refused() {
        hall.act("lin", &case, command).await.unwrap_err();
    }
    let known = opened(&hall, &case).await;
    let fields = OPENED.into_iter().map(word);
    let given = commands().into_iter().flat_map(|(_, command)| words_of(&command));
    for planted in fields.chain(given).chain(PEOPLE.map(str::to_owned)) {
        assert!(known.contains(&planted), "{planted} was never planted");
    }

    // Reminders, escalations, digests, a restart, an end that was not said.
    hall.run_until("2026-03-12 09:00").await;
    let hall = hall.crash().await;
    let kept = json!({ "do": "attempt", "item": "c2", "result": "no_answer", "note": word("attempt") });
    hall.act("lin", &case, kept).await.unwrap();
    hall.run_until("2026-03-16 09:00").await;

    let left = hall.take_left();
    let (sms, mails): (Vec<_>, Vec<_>) = left.iter().partition(|left| left.way == Way::Sms);
    assert!(
        !sms.is_empty() && mails.len() > 3,
        "{} SMS, {} mails",
        sms.len(),
        mails.len()
    );
    for message in &sms {
        none_in("an SMS", message.text.as_bytes());
    }
    for message in &mails {
        none_in("a subject", message.subject.as_bytes());
    }
    let mail = mails.iter().map(|mail| mail.text.as_str()).collect::<String>();
    assert!(
        !canaries(mail.as_bytes()).is_empty(),
        "no mail holds any: the messages were not read"
    );

    let state = serde_json::to_string(&status(&hall.app.engine).await.unwrap()).unwrap();
    none_in("the status", state.as_bytes());
    none_in("the metrics", xixin::telemetry::metrics().render().as_bytes());
    let database = hall.app.engine.store.path();
    none_in("the database", &files_of(database));
    let copy = database.with_extension("copy");
    hall.sql(&format!("vacuum into '{}'", copy.display())).await;
    none_in("the backup", &std::fs::read(&copy).unwrap());
    none_in("the log", log.text().as_bytes());
    assert!(log.text().contains(case.as_str()), "the log was not heard");

    // The same searches find a word that lies open.
    hall.sql(&format!(
        "insert into meta (name, value) values ('open', '{}')",
        word("open")
    ))
    .await;
    assert_eq!(canaries(&files_of(database)), ["canary-"]);
    tracing::info!("{} {}", word("open"), PEOPLE[0]);
    assert_eq!(canaries(log.text().as_bytes()), [PEOPLE[0], "canary-", "鹂翎"]);
}

/// The words of a command.
fn words_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.starts_with("canary-").then(|| text.clone()).into_iter().collect(),
        Value::Array(list) => list.iter().flat_map(words_of).collect(),
        Value::Object(map) => map.values().flat_map(words_of).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_panic_tells_where_it_was_and_nothing_of_what_was_in_hand() {
    let log = Heard::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let before = Arc::new(take_hook());
    let (mine, others) = (std::thread::current().id(), Arc::clone(&before));
    set_hook(Box::new(move |panic| {
        if std::thread::current().id() == mine {
            xixin::telemetry::report_panic(panic);
        } else {
            others(panic);
        }
    }));
    let name = PEOPLE[0].to_owned();
    let slip = catch_unwind(AssertUnwindSafe(|| name[1..].len()));
    set_hook(Box::new(move |panic| before(panic)));
    // The message of this panic quotes the text that was cut.
    let message = slip.unwrap_err();
    assert!(message.downcast_ref::<String>().unwrap().contains(PEOPLE[0]));
    let told = log.text();
    assert!(told.contains("panicked at") && told.contains("canary.rs"), "{told}");
    none_in("the report of a panic", told.replace("canary.rs", "").as_bytes());
}

#[test]
fn the_daemon_and_the_verbs_tell_the_log_nothing_of_people() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    let file = installation.config().join("case.json");
    let mut case = document();
    // Its date would have to be a workday of the year in which this test is run.
    case.as_object_mut().unwrap().remove("escorts");
    std::fs::write(&file, case.to_string()).unwrap();
    let shown = installation.run(&["case", "add", file.to_str().unwrap(), "--as", "lin"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let case = "2026-000001".replace("2026", &shown.out[shown.out.find("20").unwrap()..][..4]);
    for (who, mut command) in commands() {
        let verb = command.as_object_mut().unwrap().remove("do").unwrap();
        let verb = verb.as_str().unwrap().replace('_', "-");
        let ran = installation.run(&["case", "do", &case, &verb, &command.to_string(), "--as", who]);
        assert_eq!(ran.code, 0, "{ran:?}");
        none_in("what a verb complains of", ran.err.as_bytes());
    }
    for mut command in refused() {
        let verb = command.as_object_mut().unwrap().remove("do").unwrap();
        let verb = verb.as_str().unwrap().replace('_', "-");
        assert_ne!(
            installation
                .run(&["case", "do", &case, &verb, &command.to_string(), "--as", "lin"])
                .code,
            0
        );
    }
    let list = installation.config().join("list.csv");
    let rows = format!(
        "姓名,电话,事项,诉求\n{},{},labour_assessment,{}\n,{},nowhere,{}\n",
        PEOPLE[3],
        PEOPLE[4],
        word("import"),
        PEOPLE[7],
        word("import")
    );
    std::fs::write(&list, rows).unwrap();
    installation.run(&["import", list.to_str().unwrap(), "--as", "lin"]);
    let page = installation.run(&["case", "show", &case, "--json"]).good();
    assert!(
        page.contains(PEOPLE[1]) && page.contains(&word("listen")),
        "whoever reads the case sees all of it"
    );
    for verb in [
        &["preview"][..],
        &["why", &case],
        &["simulate", "--days", "3"],
        &["digest", "--staff", "lin"],
        &["doctor"],
    ] {
        none_in("what a verb complains of", installation.run(verb).err.as_bytes());
    }
    installation.run(&["ctl", "reload"]).good();
    let (code, metrics) = http(&daemon.http, "GET", "/metrics");
    assert_eq!(code, 200);
    none_in("the metrics", metrics.as_bytes());
    for path in ["/readyz", "/healthz", "/canary"] {
        none_in(path, http(&daemon.http, "GET", path).1.as_bytes());
    }
    none_in(
        "the status",
        installation.run(&["ctl", "status", "--json"]).good().as_bytes(),
    );
    daemon.signal(&["USR1"]);
    let log = daemon.log_until("the state of this daemon");
    daemon.signal(&["TERM"]);
    assert!(daemon.ended().success());
    let log = log + &daemon.rest_of_log();
    none_in("the log", log.as_bytes());
    assert!(log.contains("stopped"), "{log}");
    none_in("the database", &files_of(&installation.state().join("xixin.db")));
}
