//! Whatever comes in from outside is answered, never with a panic: files for the import, what people write into
//! the configuration, periods and ladders, dates and money; what mail servers answer, mail that came back, and calls of gateways.
//!
//! A short run is part of the ordinary tests. A long one, on as many cores as one likes:
//!
//! ```text
//! BOLERO_RANDOM_ITERATIONS=1000000 cargo test --release --test it -- fuzz::
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use bolero::check;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use xixin::app::Place;
use xixin::channel::bounce::{self, Kind};
use xixin::channel::build::{Importance, Mail, build};
use xixin::channel::email::SmtpPool;
use xixin::channel::outcome::{Enhanced, Outcome, Stage, classify_smtp};
use xixin::channel::sms::{Arrival, Call, Door};
use xixin::channel::verp::ReturnPath;
use xixin::config::FILES;
use xixin::config::secret::SecretSource;
use xixin::config::settings::{Bounces, Smtp};
use xixin::domain::benefit::{Fen, Share};
use xixin::domain::case::Trigger;
use xixin::domain::ladder::When;
use xixin::domain::period::{Mode, Period, Start};
use xixin::import::{Limits, Order, read};

use crate::support::hall::shipped;
use crate::support::mutate::mutate;
use crate::support::rulebook::{at, rulebook};

const GRAMMAR: &str = include_str!("../data/fuzz/grammar.txt");
const CSV: &[u8] = include_bytes!("../data/fuzz/import.csv");

/// What is understood, written out, must be understood the same way.
fn goes_round<T: FromStr + ToString + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let written = read.to_string();
        assert_eq!(written.parse::<T>().ok(), Some(read), "{text:?} is written {written:?}");
    }
}

#[test]
fn periods_ladders_dates_and_money() {
    let samples: Vec<&[u8]> = GRAMMAR.lines().map(str::as_bytes).collect();
    check!().with_iterations(20_000).with_max_len(40).for_each(|choices| {
        let made = mutate(&samples, choices);
        let text = String::from_utf8_lossy(&made);
        goes_round::<Period>(&text);
        goes_round::<Start>(&text);
        goes_round::<Fen>(&text);
        // These are never written out.
        let _ = text.parse::<When>();
        let _ = text.parse::<Mode>();
        let _ = text.parse::<Trigger>();
        let _ = text.parse::<Share>();
        let enhanced = Enhanced::parse(&text);
        for code in [0, 250, 421, 550, u16::MAX] {
            classify_smtp(Stage::Recipient, code, enhanced);
        }
    });
}

/// A configuration of its own with these settings on top.
fn place(settings: &str) -> (TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    crate::support::hall::copy_dir(&shipped(), &config);
    std::fs::create_dir_all(config.join("conf.d")).unwrap();
    std::fs::write(config.join("conf.d/test.toml"), settings).unwrap();
    let environment = BTreeMap::new();
    (dir, Place { config, environment })
}

#[test]
fn files_for_the_import() {
    let rules = AssertUnwindSafe(rulebook());
    let dir = tempfile::tempdir().unwrap();
    let sample = dir.path().join("sample.xlsx");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, line) in std::str::from_utf8(CSV).unwrap().lines().enumerate() {
        for (column, cell) in line.split(',').enumerate() {
            let (row, column) = (u32::try_from(row).unwrap(), u16::try_from(column).unwrap());
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save(&sample).unwrap();
    let workbook = std::fs::read(&sample).unwrap();
    let order = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Order {
            path,
            sheet: None,
            assigned: Vec::new(),
            limits: Limits::default(),
        }
    };
    check!().with_iterations(300).with_max_len(40).for_each(|choices| {
        // Whether a row is taken or refused: it is answered.
        let _ = read(
            &order("f.csv", &mutate(&[CSV], choices)),
            &rules,
            at("2026-03-02 09:00"),
        );
        // The reader of workbooks is not ours and may stop; `xixin import` says then that the file is damaged.
        let damaged = order("f.xlsx", &mutate(&[&workbook], choices));
        let _ = catch_unwind(AssertUnwindSafe(|| read(&damaged, &rules, at("2026-03-02 09:00"))));
    });
}

#[test]
fn configuration_and_templates() {
    let (dir, place) = place("");
    let place = AssertUnwindSafe(place);
    let files: Vec<(&str, &str)> = FILES
        .iter()
        .filter(|(path, _)| !path.ends_with(".md"))
        .copied()
        .collect();
    check!().with_iterations(30).with_max_len(40).for_each(|choices| {
        let Some((chosen, choices)) = choices.split_first() else {
            return;
        };
        let (path, text) = files[usize::from(*chosen) * 7 % files.len()];
        let made = mutate(&[text.as_bytes()], choices);
        let file = dir.path().join("config").join(path);
        std::fs::write(&file, &made).unwrap();
        // Sound or not: every problem has a place and an advice.
        if let Err(problems) = place.load() {
            assert!(!problems.to_string().is_empty());
        }
        std::fs::write(&file, text).unwrap();
    });
}

/// What a server says from its greeting to the end of one mail, without and with PIPELINING.
const POLITE: &[u8] = b"220 x ESMTP\r\n250-x\r\n250 SIZE 1\r\n250-x\r\n250 SIZE 1\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 ok: queued as 4X\r\n";
const QUICK: &[u8] =
    b"220 x ESMTP\r\n250-x\r\n250 PIPELINING\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 ok\r\n";
const RUDE: &[u8] = b"220 x\r\n250 x\r\n250-\xb2\xe2\r\n250 x\r\n450 4.2.0 later\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n421 4.3.2 bye\r\n";

/// The reader of answers: whatever a server says, and wherever it stops, comes to an outcome with words that can be shown.
#[test]
fn what_mail_servers_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mail = Mail {
        message_id: "d-1@xixin.example.org".to_owned(),
        date: at("2026-03-02 09:00"),
        from: "tixing@example.org".to_owned(),
        from_name: "x".to_owned(),
        reply_to: None,
        to: "li@example.org".to_owned(),
        subject: "x".to_owned(),
        text: "x".to_owned(),
        html: None,
        invitation: None,
        importance: Importance::Normal,
    };
    let wire = build(&mail).unwrap();
    let talk = |said: &[u8]| {
        runtime.block_on(async {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                // It may have hung up by now.
                let _ = stream.write_all(said).await;
                let _ = stream.shutdown().await;
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await;
            };
            let pool = SmtpPool::new(&Smtp::plain("127.0.0.1", port), None).unwrap();
            let client = async {
                let outcome = pool.send(&wire).await;
                // With it goes the line, which the server waits for.
                drop(pool);
                outcome
            };
            tokio::join!(client, server).0
        })
    };
    for polite in [POLITE, QUICK] {
        assert!(matches!(talk(polite), Outcome::Accepted { .. }));
    }
    assert!(!matches!(talk(RUDE), Outcome::Accepted { .. }));
    let talk = AssertUnwindSafe(talk);
    check!().with_iterations(1_000).with_max_len(40).for_each(|choices| {
        let said = mutate(&[POLITE, QUICK, RUDE], choices);
        let outcome = talk(&said);
        let reason = outcome.reason().unwrap_or_default();
        assert!(!reason.chars().any(char::is_control), "{reason:?}");
        let is_accepted = matches!(outcome, Outcome::Accepted { .. });
        assert!(
            !is_accepted || said.windows(3).any(|code| code == b"250"),
            "{outcome:?}"
        );
    });
}

const ATTEMPT: &str = "0198c0de-0000-7000-8000-0123456789ab";

/// Mail that came back leads to the attempt whose address it carries or to none, and can be shown to a person.
#[test]
fn mail_that_came_back() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "a key for tests").unwrap();
    let path = ReturnPath::new(
        &Bounces {
            address: "tuixin@example.org".to_owned(),
            key: SecretSource::File(key),
        },
        None,
    )
    .unwrap();
    let address = path.of(ATTEMPT).unwrap();
    let reports = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bounces");
    let samples: Vec<Vec<u8>> = std::fs::read_dir(reports)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .map(|raw| match String::from_utf8(raw) {
            Ok(text) => text.replace("@TOKEN@", &address).into_bytes(),
            Err(raw) => raw.into_bytes(),
        })
        .collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let path = AssertUnwindSafe(path);
    check!().with_iterations(3_000).with_max_len(60).for_each(|choices| {
        let made = mutate(&samples, choices);
        let returned = bounce::read(&made, Some(&path), &[]);
        assert!(returned.attempt.as_deref().is_none_or(|attempt| attempt == ATTEMPT));
        if let Kind::Failed(Some(code)) | Kind::Delayed(Some(code)) = returned.kind {
            assert_eq!(Enhanced::parse(&code.to_string()), Some(code));
        }
        let shown = bounce::shown(&made);
        assert!(
            !shown
                .chars()
                .any(|letter| letter.is_control() && !"\n\t".contains(letter))
        );
    });
}

/// Receipts and answers as gateways of every kind send them.
const CALLS: [(&str, &str, &str, &str); 6] = [
    (
        "ali",
        "application/json",
        "",
        r#"[{"phone_number":"13900000000","send_time":"2026-03-09 09:02:03","success":true,"err_code":"DELIVERED","biz_id":"9^0","out_id":"d-1"},{"phone_number":"13900000000","content":"2","send_time":"2026-03-09 09:02:03","sequence_id":7}]"#,
    ),
    (
        "tx",
        "application/json",
        "",
        r#"[{"nationcode":"86","mobile":"13900000000","report_status":"SUCCESS","errmsg":"DELIVRD","sid":"5000:1"}]"#,
    ),
    (
        "tx",
        "application/json",
        "",
        r#"{"extend":"01","mobile":"13900000000","nationcode":"86","sign":"x","text":"2","time":1773018123}"#,
    ),
    (
        "county",
        "application/json",
        "",
        r#"{"ref":"ref-1","status":"DELIVRD"}"#,
    ),
    (
        "county",
        "application/x-www-form-urlencoded",
        "",
        "mobile=13900000000&content=%E9%80%80%E8%AE%A2&msg=1",
    ),
    ("county", "", "ref=ref-1&status=UNDELIV", ""),
];

#[test]
fn calls_of_gateways() {
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    std::fs::write(&secret, "8f2c61f0b9d94f6a").unwrap();
    let (_dir, place) = place(&format!(
        r#"
        [inbound]
        listen = "127.0.0.1:0"
        secret = {{ file = {secret:?} }}
        [sms]
        transport = "gateways"
        [sms.gateway.county]
        order = 1
        receipts = true
        [sms.gateway.county.http]
        method = "POST"
        url = "http://127.0.0.1:9/send"
        body = "{{{{ to }}}}"
        success = {{ status = [200] }}
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
        [sms.gateway.ali]
        order = 2
        [sms.gateway.ali.aliyun]
        key_id = "id"
        key_secret = {{ file = {secret:?} }}
        sign_name = "示例签名"
        [sms.gateway.ali.aliyun.templates.deadline]
        code = "SMS_1"
        params = {{ day = "{{{{ day }}}}" }}
        [sms.gateway.tx]
        order = 3
        [sms.gateway.tx.tencent]
        app_id = "1400006666"
        key_id = "id"
        key_secret = {{ file = {secret:?} }}
        [sms.gateway.tx.tencent.templates.deadline]
        code = "1110"
        params = ["{{{{ day }}}}"]
        "#
    ));
    let (loaded, _) = place.load().unwrap_or_else(|problems| panic!("{problems}"));
    let door = Door::open(&loaded.settings, None).unwrap().unwrap();
    let call = |gateway: &str, kind: &str, query: &str, body: &[u8]| {
        door.hear(
            &Call {
                peer: [127, 0, 0, 1].into(),
                secret: "8f2c61f0b9d94f6a",
                gateway,
                query,
                content_type: kind,
                signed: [""; 3],
                body,
            },
            at("2026-03-09 09:03"),
        )
    };
    for (gateway, kind, query, body) in CALLS {
        let heard = call(gateway, kind, query, body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why:?}"));
        assert!(!heard.arrivals.is_empty(), "{body} {query}");
    }
    let call = AssertUnwindSafe(call);
    let bodies: Vec<&[u8]> = CALLS.iter().map(|(.., body)| body.as_bytes()).collect();
    let queries: Vec<&[u8]> = CALLS.iter().map(|(_, _, query, _)| query.as_bytes()).collect();
    check!().with_iterations(10_000).with_max_len(40).for_each(|choices| {
        let body = mutate(&bodies, choices);
        let query = mutate(&queries, choices);
        let query = String::from_utf8_lossy(&query);
        let (gateway, kind, ..) = CALLS[choices.first().map_or(0, |choice| usize::from(*choice)) % CALLS.len()];
        let Ok(heard) = call(gateway, kind, &query, &body) else {
            return;
        };
        for arrival in heard.arrivals {
            if let Arrival::Message(message) = arrival {
                assert!(message.text.chars().count() <= 2_000);
            }
        }
    });
}
