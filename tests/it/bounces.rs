//! Mail that came back: reports of many servers, read one by one, through the engine, and by the verb itself.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use xixin::channel::bounce::{Kind, read};
use xixin::channel::outcome::Enhanced;
use xixin::channel::verp::ReturnPath;
use xixin::clock::Clock as _;
use xixin::config::secret::SecretSource;
use xixin::config::settings::Bounces;
use xixin::engine::bounces::Noted;

use crate::support::hall::Hall;
use crate::support::intake::visit;
use crate::support::smtp_server::{Script, SmtpServer};

const REPORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bounces");
const ATTEMPT: &str = "0198c0de-0000-7000-8000-0123456789ab";

/// What each report of tests/data/bounces says: what became of the mail, the code, and whether it leads to an attempt.
const TABLE: &str = "
    163-mailbox-full          failed    5.2.2   ours
    a-persons-letter          unknown   -       ours
    action-missing            failed    5.4.4   ours
    bytes                     unknown   -       -
    complaint                 unknown   -       ours
    coremail-refused          failed    5.7.1   ours
    cut-off                   unknown   -       ours
    empty                     unknown   -       -
    exchange-delayed          delayed   4.4.7   ours
    exchange-no-such-user     failed    5.1.10  ours
    exim-delayed-words-only   delayed   -       ours
    exim-no-such-user         failed    5.1.1   ours
    exim-words-only           failed    -       ours
    gmail-delayed             delayed   4.4.1   ours
    gmail-disabled            failed    5.2.1   ours
    no-reason-given           unknown   -       ours
    not-ours                  failed    5.1.1   -
    out-of-office-exchange    automatic -       ours
    postfix-delayed           delayed   4.4.1   ours
    postfix-delivered         delivered -       ours
    postfix-expired           failed    4.4.1   ours
    postfix-mailbox-full      failed    5.2.2   ours
    postfix-no-such-user      failed    5.1.1   ours
    postfix-relayed           delivered -       ours
    qmail                     failed    5.1.1   ours
    qq-auto-reply             automatic -       ours
    qq-no-such-user           failed    5.0.0   ours
    read-receipt              automatic -       ours
    sendmail-no-such-user     failed    5.1.1   ours
    sendmail-warning          delayed   4.2.0   ours
    several-stations          failed    5.1.1   ours
    small-letters-and-folds   failed    5.1.2   ours
    to-only-in-delivered-to   failed    5.1.1   ours
    vacation                  automatic -       ours
";

fn return_path(folder: &Path) -> ReturnPath {
    std::fs::write(folder.join("key"), "a key for tests").unwrap();
    let settings = Bounces {
        address: "tuixin@example.org".to_owned(),
        key: SecretSource::File(folder.join("key")),
    };
    ReturnPath::new(&settings, None).unwrap()
}

/// A report as it would come for this address.
fn report(name: &str, address: &str) -> Vec<u8> {
    let raw = std::fs::read(format!("{REPORTS}/{name}.eml")).unwrap();
    let Some(text) = std::str::from_utf8(&raw).ok() else {
        return raw;
    };
    text.replace("@TOKEN@", address).into_bytes()
}

#[test]
fn each_report_says_what_a_person_read_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = return_path(folder.path());
    let address = path.of(ATTEMPT).unwrap();
    let mut rows: Vec<String> = Vec::new();
    let mut names: Vec<String> = std::fs::read_dir(REPORTS)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let name = name.strip_suffix(".eml").unwrap();
        let returned = read(&report(name, &address), Some(&path), &[]);
        let (kind, code) = match returned.kind {
            Kind::Failed(code) => ("failed", code),
            Kind::Delayed(code) => ("delayed", code),
            Kind::Delivered => ("delivered", None),
            Kind::Automatic => ("automatic", None),
            Kind::Unknown => ("unknown", None),
        };
        let code = code.map_or_else(|| "-".to_owned(), |code: Enhanced| code.to_string());
        let whose = match returned.attempt.as_deref() {
            Some(ATTEMPT) => "ours",
            Some(other) => panic!("{name} leads to {other}"),
            None => "-",
        };
        rows.push(format!("    {name:<25} {kind:<9} {code:<7} {whose}"));
    }
    assert_eq!(rows.join("\n"), TABLE.trim_matches('\n'));
}

#[test]
fn a_report_cut_anywhere_is_read_without_harm_and_never_leads_astray() {
    let folder = tempfile::tempdir().unwrap();
    let path = return_path(folder.path());
    let other = return_path_of(&folder, "another key");
    for name in ["postfix-no-such-user", "163-mailbox-full", "exim-words-only"] {
        let whole = report(name, &path.of(ATTEMPT).unwrap());
        for end in 0..whole.len() {
            let returned = read(&whole[..end], Some(&path), &[]);
            assert!(returned.attempt.as_deref().is_none_or(|attempt| attempt == ATTEMPT));
        }
        let forged = report(name, &other.of(ATTEMPT).unwrap());
        assert_eq!(read(&forged, Some(&path), &[]).attempt, None);
    }
}

fn return_path_of(folder: &tempfile::TempDir, key: &str) -> ReturnPath {
    let file = folder.path().join("other");
    std::fs::write(&file, key).unwrap();
    let settings = Bounces {
        address: "tuixin@example.org".to_owned(),
        key: SecretSource::File(file),
    };
    ReturnPath::new(&settings, None).unwrap()
}

fn settings(folder: &Path, port: u16) -> String {
    std::fs::write(folder.join("key"), "a key for tests").unwrap();
    let key = folder.join("key");
    format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\n\
         [mail.bounces]\naddress = \"tuixin@example.org\"\nkey = {{ file = {key:?} }}\n"
    )
}

/// A resident who reads mail has been reminded of tomorrow's visit. The return address of that mail, and where it leads.
async fn reminded(hall: &Hall, server: &SmtpServer) -> (xixin::domain::ids::CaseId, String) {
    hall.without_digest("2026-03-04").await;
    let person = json!({ "name": "沈怀瑾", "email": "shen@example.org", "born": 1980 });
    let case = visit(hall, person, "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 10:30").await;
    let mails = server.received();
    let mail = mails.iter().find(|mail| mail.to == ["<shen@example.org>"]).unwrap();
    (case, mail.from.trim_matches(['<', '>']).to_owned())
}

#[tokio::test]
pub(crate) async fn a_mail_that_came_back_goes_on_by_the_next_way_and_a_report_that_comes_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start(Script::polite()).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings(folder.path(), server.port)).await;
    let (case, address) = reminded(&hall, &server).await;
    let path = return_path(folder.path());
    let attempt = path.attempt(&address).unwrap();
    let engine = &hall.app.engine;
    let note = |name: &'static str| {
        let kind = read(&report(name, &address), Some(&path), &[]).kind;
        let attempt = attempt.clone();
        let now = hall.clock.now();
        async move { engine.note_bounce(&attempt, kind, now).await.unwrap() }
    };

    assert_eq!(note("postfix-delayed").await, Noted::Waits);
    let row = hall.rung(&case, "day-before").await;
    assert!(row.contains(&"resident email accepted".to_owned()), "{row:?}");
    let told = "select reason from attempts where reason like '%4.4.1%'";
    assert_eq!(hall.column(told).await.len(), 1);

    let before = hall.rung(&case, "day-before").await;
    let Noted::Went { instead } = note("postfix-no-such-user").await else {
        panic!("it says something new");
    };
    assert!(instead >= 1);
    let after = hall.rung(&case, "day-before").await;
    assert!(after.contains(&"resident email bounced".to_owned()), "{after:?}");
    assert_eq!(after.len(), before.len() + instead);
    let why = hall.reasons(&case, "day-before").await.join("\n");
    assert!(why.contains("邮件被退回: 邮箱不存在(5.1.1)"), "{why}");
    // Again, later and out of order.
    for name in [
        "postfix-no-such-user",
        "postfix-delayed",
        "postfix-delivered",
        "exim-no-such-user",
    ] {
        assert_eq!(note(name).await, Noted::Known, "{name}");
    }
    assert_eq!(hall.rung(&case, "day-before").await, after);
    let stranger = engine.note_bounce(ATTEMPT, Kind::Failed(None), hall.clock.now()).await;
    assert_eq!(stranger.unwrap(), Noted::Stranger);
}

#[tokio::test]
pub(crate) async fn a_bounce_after_the_visit_is_noted_and_troubles_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start(Script::polite()).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings(folder.path(), server.port)).await;
    let (case, address) = reminded(&hall, &server).await;
    hall.run_until("2026-03-05 09:31").await;
    let attempt = return_path(folder.path()).attempt(&address).unwrap();
    let noted = hall
        .app
        .engine
        .note_bounce(&attempt, Kind::Failed(None), hall.clock.now())
        .await;
    assert_eq!(noted.unwrap(), Noted::Went { instead: 0 });
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident email bounced".to_owned()), "{rows:?}");
}

#[tokio::test]
pub(crate) async fn a_report_that_overtakes_the_record_is_to_be_brought_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start(Script::polite()).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings(folder.path(), server.port)).await;
    let (_, address) = reminded(&hall, &server).await;
    let attempt = return_path(folder.path()).attempt(&address).unwrap();
    hall.sql(&format!(
        "update attempts set outcome = 'attempting' where id = '{attempt}'"
    ))
    .await;
    for kind in [Kind::Failed(None), Kind::Delayed(None), Kind::Delivered] {
        let noted = hall.app.engine.note_bounce(&attempt, kind, hall.clock.now()).await;
        assert_eq!(noted.unwrap(), Noted::TooEarly);
    }
}

/// The verb's exit code and what it said.
fn bounce(hall: &Hall, mail: &[u8], more: &[&str]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xixin"))
        .args(["bounce", "--json", "--config"])
        .arg(hall.config())
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(mail).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
pub(crate) async fn the_verb_notes_ignores_or_keeps_and_a_failure_asks_for_the_mail_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start(Script::polite()).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings(folder.path(), server.port)).await;
    let (_, address) = reminded(&hall, &server).await;
    let store = hall.app.engine.store.clone();
    let kept = async || store.returned_waiting(100).await.unwrap().len();
    let done = |said: &str| {
        serde_json::from_str::<serde_json::Value>(said).unwrap()["done"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let (code, said) = bounce(&hall, &report("vacation", &address), &[]);
    assert_eq!((code, done(&said).as_str(), kept().await), (0, "ignored", 0));
    for name in ["not-ours", "a-persons-letter", "empty"] {
        let before = kept().await;
        for _ in 0..2 {
            let (code, said) = bounce(&hall, &report(name, &address), &[]);
            assert_eq!((code, done(&said).as_str()), (0, "kept"), "{name}");
        }
        assert_eq!(kept().await, before + 1, "{name} is kept once");
    }
    // Only the envelope knows.
    let (code, said) = bounce(&hall, &report("not-ours", &address), &["--to", &address]);
    assert_eq!((code, done(&said).as_str()), (0, "noted"), "{said}");
    let bounced = hall
        .column("select outcome from attempts where outcome = 'bounced'")
        .await;
    assert_eq!(bounced.len(), 1);

    std::fs::write(hall.config().join("conf.d/90-broken.toml"), "[mail\n").unwrap();
    let (code, _) = bounce(&hall, &report("postfix-no-such-user", &address), &[]);
    assert_eq!(code, 75);
}

/// Like [`bounce`], without mail.
fn kept(hall: &Hall, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xixin"))
        .arg("bounce")
        .args(arguments)
        .arg("--config")
        .arg(hall.config())
        .env("XIXIN_AS", "lin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
pub(crate) async fn what_nobody_made_sense_of_lies_sealed_is_shown_to_a_clerk_and_goes_when_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start(Script::polite()).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings(folder.path(), server.port)).await;
    let letter = "From: shen@example.org\r\nTo: tuixin@example.org\r\nSubject: =?utf-8?b?6LCi6LCi?=\r\n\r\n\u{1b}[2J我的电话 13900001234\r\n";
    let (code, said) = bounce(&hall, letter.as_bytes(), &[]);
    assert_eq!(code, 0, "{said}");
    let bytes = |name: &str| std::fs::read(hall.dir.path().join("state").join(name)).unwrap_or_default();
    let files = [bytes("xixin.db"), bytes("xixin.db-wal")].concat();
    assert!(
        !files.windows(11).any(|window| window == b"13900001234"),
        "it lies open"
    );
    assert!(!hall.dir.path().join("state/bounces").exists());

    let (code, list, _) = kept(&hall, &["list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(code, 0);
    assert!(
        !hall.of_the_hall().await.iter().any(|event| event.contains("lin")),
        "a list says nothing of anybody"
    );
    let (code, page, _) = kept(&hall, &["show", &id]);
    assert!(
        code == 0 && page.contains("Subject: 谢谢") && page.contains("我的电话 13900001234"),
        "{page}"
    );
    assert!(!page.contains('\u{1b}'), "{page:?}");
    let seen = "select body from events where kind = 'access' and actor = 'lin'";
    assert_eq!(hall.column(seen).await.len(), 1, "who looked is noted");
    let (_, raw, _) = kept(&hall, &["show", "--raw", &id]);
    assert_eq!(raw, letter);
    assert_eq!(hall.column(seen).await.len(), 2);

    assert_eq!(kept(&hall, &["done", &id]).0, 0);
    for gone in [&["show", &id][..], &["done", &id]] {
        let (code, out, err) = kept(&hall, gone);
        assert!(
            code == 1 && out.is_empty() && err.contains("no such mail waits"),
            "{err}"
        );
    }
    let left = "select body from inbound where provider = 'mail:returned'";
    assert_eq!(hall.column(left).await, [""]);
    // The mail server hands it in once more: it has been dealt with.
    bounce(&hall, letter.as_bytes(), &[]);
    assert_eq!(hall.app.engine.store.returned_count().await.unwrap(), 0);
}

#[tokio::test]
pub(crate) async fn files_of_an_earlier_version_are_sealed_and_gone() {
    let hall = Hall::open("2026-03-04 08:50").await;
    let folder = hall.dir.path().join("state/bounces");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("aa.eml"), b"Subject: \xb2\xe2\xca\xd4\r\n\r\nx").unwrap();
    std::fs::write(folder.join("note.txt"), "of somebody's own").unwrap();
    let engine = &hall.app.engine;
    for _ in 0..2 {
        engine.seal_kept_files(&folder, hall.now()).await;
    }
    let waiting = engine.store.returned_waiting(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let raw = engine.store.returned(&waiting[0].id).await.unwrap().unwrap();
    assert_eq!(raw, b"Subject: \xb2\xe2\xca\xd4\r\n\r\nx", "byte by byte");
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["note.txt"]);
}

#[tokio::test]
pub(crate) async fn a_pile_that_nobody_looks_at_stays_with_the_mail_server() {
    let hall = Hall::open("2026-03-04 08:50").await;
    let store = &hall.app.engine.store;
    assert!(store.keep_returned(b"one", hall.now(), 2).await.unwrap().is_some());
    assert!(store.keep_returned(b"two", hall.now(), 2).await.unwrap().is_some());
    assert_eq!(store.keep_returned(b"three", hall.now(), 2).await.unwrap(), None);
    assert!(
        store.keep_returned(b"one", hall.now(), 2).await.unwrap().is_some(),
        "it is here already"
    );
}
