//! The mail channel against servers that refuse, stall, drop and lie.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use xixin::channel::build::{BuildError, Importance, Mail, WireMail, build};
use xixin::channel::email::{SmtpError, SmtpPool};
use xixin::channel::maildir::Maildir;
use xixin::channel::outcome::{Blame, Outcome, Stage};
use xixin::config::secret::SecretSource;
use xixin::config::settings::{Smtp, SmtpTls};

use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

pub(crate) fn mail() -> Mail {
    Mail {
        message_id: "d-1@xixin.example.org".to_owned(),
        date: "2026-11-24T08:00:00Z".parse().unwrap(),
        from: "xixin@example.org".to_owned(),
        from_name: "信访大厅提醒".to_owned(),
        reply_to: Some("hall@example.org".to_owned()),
        to: "li@example.org".to_owned(),
        subject: "期限将至:请在周五前回复来访人,并把结果告诉窗口".to_owned(),
        text: "您好\n..\n.\n请处理。\n".to_owned(),
        html: Some("<p>您好</p>".to_owned()),
        invitation: None,
        importance: Importance::High,
    }
}

pub(crate) fn wire() -> WireMail {
    build(&mail()).unwrap()
}

/// More than the sockets on both ends can hold.
pub(crate) fn large_wire() -> WireMail {
    build(&Mail {
        text: "长".repeat(4_000_000),
        html: None,
        ..mail()
    })
    .unwrap()
}

pub(crate) fn settings(port: u16) -> Smtp {
    Smtp {
        hello: Some("hall.example.org".to_owned()),
        timeout_s: 30,
        dot_timeout_s: 30,
        ..Smtp::plain("127.0.0.1", port)
    }
}

pub(crate) fn pool(server: &SmtpServer) -> SmtpPool {
    SmtpPool::new(&settings(server.port), None).unwrap()
}

/// One word and the stage, for tables.
pub(crate) fn verdict(outcome: &Outcome) -> (&'static str, Option<Stage>) {
    match outcome {
        Outcome::Accepted { .. } => ("accepted", None),
        Outcome::Uncertain { .. } => ("uncertain", None),
        Outcome::Refused { fault, .. } => ("refused", Some(fault.stage)),
        Outcome::Deferred { fault, .. } if fault.blame == Blame::Recipient => ("recipient", Some(fault.stage)),
        Outcome::Deferred { fault, .. } => ("provider", Some(fault.stage)),
    }
}

#[tokio::test]
async fn an_accepted_mail_arrives_once_byte_for_byte_with_the_servers_reference() {
    let server = SmtpServer::start(Script::polite()).await;
    let wire = wire();
    let outcome = pool(&server).send(&wire).await;
    assert_eq!(
        outcome,
        Outcome::Accepted {
            reference: Some("4XyZ12abc".to_owned())
        }
    );
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].from, "<xixin@example.org>");
    assert_eq!(received[0].to, ["<li@example.org>"]);
    assert_eq!(received[0].text, wire.bytes());
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = SmtpServer::start(Script::polite()).await;
    let pool = pool(&server);
    for _ in 0..20 {
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
    }
    assert_eq!((server.received().len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn no_more_connections_are_open_than_configured() {
    let server = SmtpServer::start(Script::polite()).await;
    let (pool, wire) = (pool(&server), wire());
    let outcomes = join_all((0..64).map(|_| pool.send(&wire))).await;
    assert!(outcomes.iter().all(|outcome| verdict(outcome).0 == "accepted"));
    assert!(server.most_open() <= 4, "{}", server.most_open());
}

#[tokio::test]
async fn an_absent_server_is_the_providers_fault() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pool = SmtpPool::new(&settings(port), None).unwrap();
    assert_eq!(verdict(&pool.send(&wire()).await), ("provider", Some(Stage::Connect)));
    assert_eq!(
        verdict(&pool.probe().await.unwrap_err()),
        ("provider", Some(Stage::Connect))
    );
}

#[tokio::test]
async fn each_refusal_is_charged_to_whom_it_concerns() {
    use Verb::{Connect, Data, Dot, Ehlo, Mail, Rcpt};
    let table = [
        (Connect, "421 4.3.2 closing", "provider", Stage::Hello),
        (Connect, "554 5.7.1 not you", "provider", Stage::Hello),
        (Ehlo, "550 5.7.1 bad name", "provider", Stage::Hello),
        (Mail, "421 4.7.0 slow down", "provider", Stage::Mail),
        (Mail, "451 4.3.0 later", "provider", Stage::Mail),
        (Mail, "452 4.3.1 disk full", "provider", Stage::Mail),
        (Mail, "530 5.7.0 log in", "provider", Stage::Mail),
        (Mail, "550 5.7.1 no", "provider", Stage::Mail),
        (Mail, "552 5.3.4 too large", "refused", Stage::Mail),
        (Rcpt, "421 4.7.0 slow down", "provider", Stage::Recipient),
        (
            Rcpt,
            "450 4.7.1 greylisted <li@example.org>",
            "recipient",
            Stage::Recipient,
        ),
        (Rcpt, "451 later", "recipient", Stage::Recipient),
        (Rcpt, "452 4.2.2 full", "recipient", Stage::Recipient),
        (Rcpt, "454 4.7.0 tls", "provider", Stage::Recipient),
        (Rcpt, "501 syntax", "refused", Stage::Recipient),
        (Rcpt, "503 5.5.1 order", "provider", Stage::Recipient),
        (Rcpt, "550 5.1.1 <li@example.org> unknown", "refused", Stage::Recipient),
        (Rcpt, "550-5.1.1 two\r\n550 5.1.1 lines", "refused", Stage::Recipient),
        (Rcpt, "550 5.7.0 no", "provider", Stage::Recipient),
        (Rcpt, "551 5.1.6 moved", "refused", Stage::Recipient),
        (Rcpt, "552 5.2.2 full", "refused", Stage::Recipient),
        (Rcpt, "553 5.1.3 malformed", "refused", Stage::Recipient),
        (Rcpt, "554 5.7.1 no", "refused", Stage::Recipient),
        (Data, "451 4.3.0 later", "provider", Stage::Data),
        (Data, "554 no valid recipients", "refused", Stage::Data),
        (Dot, "421 closing", "provider", Stage::Dot),
        (Dot, "451 later", "recipient", Stage::Dot),
        (Dot, "552 too large", "refused", Stage::Dot),
        (Dot, "554 5.6.0 content", "refused", Stage::Dot),
    ];
    for (verb, reply, word, stage) in table {
        let server = SmtpServer::start(Script::polite().on(verb, Act::Reply(reply))).await;
        let outcome = pool(&server).send(&wire()).await;
        assert_eq!(verdict(&outcome), (word, Some(stage)), "{verb:?} {reply}");
        let (Outcome::Refused { reason, .. } | Outcome::Deferred { reason, .. }) = &outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            reason.contains(&reply[..3]) && !reason.contains("example.org"),
            "{reason}"
        );
        assert_eq!(
            (server.received().len(), server.connections()),
            (0, 1),
            "{verb:?} {reply}"
        );
    }
}

#[tokio::test]
async fn a_refused_recipient_leaves_the_connection_fit_for_the_next_mail() {
    let script = Script::polite().on_nth(Verb::Rcpt, 1, Act::Reply("550 5.1.1 unknown"));
    let server = SmtpServer::start(script).await;
    let pool = pool(&server);
    assert_eq!(verdict(&pool.send(&wire()).await).0, "refused");
    assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
    assert_eq!(server.connections(), 1);
    let verbs: Vec<String> = server.commands().iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(verbs, ["EHLO", "EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]);
}

#[tokio::test]
async fn a_line_cut_before_the_dot_sent_nothing_and_after_it_is_uncertain() {
    let table = [
        (Verb::Connect, "provider", Some(Stage::Hello)),
        (Verb::Ehlo, "provider", Some(Stage::Hello)),
        (Verb::Mail, "provider", Some(Stage::Mail)),
        (Verb::Rcpt, "provider", Some(Stage::Recipient)),
        (Verb::Data, "provider", Some(Stage::Data)),
        (Verb::Dot, "uncertain", None),
    ];
    for act in [Act::Close, Act::Reset, Act::Reply("hello?"), Act::Reply("2")] {
        for (verb, word, stage) in table {
            let server = SmtpServer::start(Script::polite().on(verb, act)).await;
            let pool = pool(&server);
            assert_eq!(verdict(&pool.send(&wire()).await), (word, stage), "{verb:?} {act:?}");
            assert_eq!(server.connections(), 1, "{verb:?} {act:?}");
        }
    }
    let server = SmtpServer::start(Script::polite().on(Verb::Text, Act::Reset)).await;
    assert_eq!(
        verdict(&pool(&server).send(&large_wire()).await),
        ("provider", Some(Stage::Body))
    );
}

#[tokio::test]
async fn a_positive_answer_that_is_not_the_right_one_is_no_acceptance() {
    let table = [
        (Verb::Data, Act::Reply("250 fine"), "provider"),
        (Verb::Rcpt, Act::Reply("354 go on"), "provider"),
        (Verb::Dot, Act::Reply("354 go on"), "uncertain"),
    ];
    for (verb, act, word) in table {
        let server = SmtpServer::start(Script::polite().on(verb, act)).await;
        assert_eq!(verdict(&pool(&server).send(&wire()).await).0, word, "{verb:?}");
    }
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_phases_time() {
    let table = [
        (Verb::Connect, "provider", Some(Stage::Hello)),
        (Verb::Ehlo, "provider", Some(Stage::Hello)),
        (Verb::Mail, "provider", Some(Stage::Mail)),
        (Verb::Rcpt, "provider", Some(Stage::Recipient)),
        (Verb::Data, "provider", Some(Stage::Data)),
        (Verb::Text, "provider", Some(Stage::Body)),
        (Verb::Dot, "uncertain", None),
    ];
    let large = &large_wire();
    join_all(table.map(|(verb, word, stage)| async move {
        let server = SmtpServer::start(Script::polite().on(verb, Act::Silence)).await;
        let impatient = Smtp {
            timeout_s: 1,
            dot_timeout_s: 1,
            ..settings(server.port)
        };
        let pool = SmtpPool::new(&impatient, None).unwrap();
        let outcome = if verb == Verb::Text {
            pool.send(large).await
        } else {
            pool.send(&wire()).await
        };
        assert_eq!(verdict(&outcome), (word, stage), "{verb:?}");
    }))
    .await;
}

#[tokio::test]
async fn answers_that_come_byte_by_byte_are_understood() {
    let script = Script::polite()
        .on(Verb::Connect, Act::ByteWise("220 slow"))
        .on(Verb::Ehlo, Act::ByteWise("250-slow\r\n250-PIPELINING\r\n250 8BITMIME"))
        .on(Verb::Data, Act::ByteWise("354 go"))
        .on(Verb::Dot, Act::ByteWise("250 2.0.0 ok"));
    let server = SmtpServer::start(script).await;
    assert_eq!(verdict(&pool(&server).send(&wire()).await).0, "accepted");
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_once_and_nothing_is_sent_twice() {
    for act in [Act::Reply("421 4.4.2 idle too long"), Act::Close, Act::Reset] {
        let stale = Script::polite().on_nth(Verb::Mail, 2, act);
        let server = SmtpServer::start_each(vec![stale, Script::polite()]).await;
        let pool = pool(&server);
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted", "{act:?}");
        assert_eq!((server.received().len(), server.connections()), (2, 2), "{act:?}");
    }
    let server = SmtpServer::start_each(vec![
        Script::polite().on_nth(Verb::Mail, 2, Act::Close),
        Script::polite().on(Verb::Mail, Act::Close),
    ])
    .await;
    let pool = pool(&server);
    pool.send(&wire()).await;
    assert_eq!(verdict(&pool.send(&wire()).await), ("provider", Some(Stage::Mail)));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_dropped_attempt_closes_its_connection() {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Silence), Script::polite()]).await;
    let (pool, wire) = (pool(&server), wire());
    tokio::select! {
        outcome = pool.send(&wire) => panic!("nobody answered, but {outcome:?}"),
        () = server.fell_silent() => {}
    }
    server.closed().await;
    assert_eq!(verdict(&pool.send(&wire).await).0, "accepted");
    assert_eq!((server.received().len(), server.connections()), (1, 2));
}

#[tokio::test]
async fn a_probe_logs_in_and_sends_nothing() {
    let server = SmtpServer::start(Script::polite()).await;
    let pool = pool(&server);
    assert_eq!(pool.probe().await, Ok(()));
    assert_eq!(
        server.commands(),
        ["EHLO hall.example.org", "EHLO hall.example.org", "NOOP"]
    );
    assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
    assert_eq!(server.connections(), 1);

    let server = SmtpServer::start(Script::polite().on(Verb::Noop, Act::Reply("421 no"))).await;
    let pool = SmtpPool::new(&settings(server.port), None).unwrap();
    assert_eq!(
        verdict(&pool.probe().await.unwrap_err()),
        ("provider", Some(Stage::Probe))
    );
}

fn with_password(port: u16, tls: SmtpTls) -> SmtpPool {
    let folder = tempfile::tempdir().unwrap();
    let settings = Smtp {
        tls,
        timeout_s: 2,
        ..logging_in(folder.path(), port)
    };
    let pool = SmtpPool::new(&settings, Some(folder.path())).unwrap();
    // It is read again at each connection.
    let _ = folder.keep();
    pool
}

fn logging_in(folder: &Path, port: u16) -> Smtp {
    std::fs::write(folder.join("password"), "sesame\n").unwrap();
    Smtp {
        user: Some("hall".to_owned()),
        password: Some(SecretSource::Credential("password".to_owned())),
        ..settings(port)
    }
}

#[tokio::test]
async fn a_server_stripped_of_starttls_gets_neither_password_nor_mail() {
    let server = SmtpServer::start(Script::polite()).await;
    let outcome = with_password(server.port, SmtpTls::Starttls).send(&wire()).await;
    assert_eq!(verdict(&outcome), ("provider", Some(Stage::Tls)));
    assert_eq!(server.commands(), ["EHLO hall.example.org"]);
}

#[tokio::test]
async fn a_failed_handshake_gets_neither_password_nor_mail() {
    let offered = Script::polite().on(Verb::Ehlo, Act::Reply("250-test.example.org\r\n250 STARTTLS"));
    let scripts = [
        offered
            .clone()
            .on(Verb::Starttls, Act::Reply("220 go\r\n250-injected\r\n250 AUTH PLAIN")),
        offered.clone().on(Verb::Starttls, Act::Reply("454 4.7.0 not now")),
        offered.clone().on(Verb::Starttls, Act::Close),
    ];
    for script in scripts {
        let server = SmtpServer::start(script.clone()).await;
        let outcome = with_password(server.port, SmtpTls::Starttls).send(&wire()).await;
        assert_eq!(verdict(&outcome), ("provider", Some(Stage::Tls)), "{script:?}");
        let said = server.commands().join("\n");
        assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
    }
    let server = SmtpServer::start(Script::polite()).await;
    let outcome = with_password(server.port, SmtpTls::Implicit).send(&wire()).await;
    assert_eq!(verdict(&outcome), ("provider", Some(Stage::Tls)));
}

#[tokio::test]
async fn a_relay_on_this_machine_may_ask_for_a_password_and_no_other_without_tls() {
    let server = SmtpServer::start(Script::polite()).await;
    let outcome = with_password(server.port, SmtpTls::None).send(&wire()).await;
    assert_eq!(verdict(&outcome).0, "accepted");
    assert_eq!(server.commands()[2], "AUTH PLAIN AGhhbGwAc2VzYW1l");

    let folder = tempfile::tempdir().unwrap();
    for tls in [SmtpTls::None, SmtpTls::Opportunistic] {
        let remote = Smtp {
            host: "mail.example.org".to_owned(),
            tls,
            ..logging_in(folder.path(), 25)
        };
        let refused = SmtpPool::new(&remote, Some(folder.path()));
        assert!(matches!(refused.err(), Some(SmtpError::ReadablePassword(_))), "{tls:?}");
    }
}

#[tokio::test]
async fn a_rejected_login_is_the_providers_fault() {
    for act in [
        Act::Reply("535 5.7.8 no"),
        Act::Reply("454 4.7.0 later"),
        Act::Reply("534 5.7.9 weak"),
        Act::Close,
    ] {
        let server = SmtpServer::start(Script::polite().on(Verb::Auth, act)).await;
        let outcome = with_password(server.port, SmtpTls::None).send(&wire()).await;
        assert_eq!(verdict(&outcome), ("provider", Some(Stage::Auth)), "{act:?}");
        assert!(!format!("{outcome:?}").contains("sesame"));
    }
    let server = SmtpServer::start(Script::polite().on(Verb::Ehlo, Act::Reply("250 AUTH GSSAPI"))).await;
    let outcome = with_password(server.port, SmtpTls::None).send(&wire()).await;
    assert_eq!(verdict(&outcome), ("provider", Some(Stage::Auth)));
    assert_eq!(server.commands(), ["EHLO hall.example.org"; 2]);
}

/// The header names of a message, folded lines left out.
fn header_names(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let head = text.split_once("\r\n\r\n").unwrap().0.to_owned();
    let own = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    own.map(|line| line.split_once(':').unwrap().0.to_owned()).collect()
}

#[test]
fn hostile_text_in_any_field_is_one_mail_to_one_recipient_or_none() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(SmtpServer::start(Script::polite()));
    let pool = pool(&server);
    let proper = header_names(wire().bytes());
    let check = |mail: &Mail| {
        let Ok(wire) = build(mail) else { return };
        assert_eq!(build(mail).unwrap().bytes(), wire.bytes());
        assert_eq!(verdict(&runtime.block_on(pool.send(&wire))).0, "accepted");
        let received = server.take_received();
        assert_eq!(received.len(), 1);
        assert_eq!(
            (received[0].to.len(), received[0].from.as_str()),
            (1, "<xixin@example.org>")
        );
        assert!(
            header_names(&received[0].text).is_subset(&proper),
            "{:?}",
            header_names(&received[0].text)
        );
        assert_eq!(received[0].text, wire.bytes());
    };
    let in_each_field = |text: &str| {
        let hostile = Mail {
            from_name: text.to_owned(),
            subject: text.to_owned(),
            ..mail()
        };
        assert!(
            build(&hostile).is_ok(),
            "a name or subject never stops a mail: {text:?}"
        );
        check(&hostile);
        check(&Mail {
            text: text.to_owned(),
            html: Some(text.to_owned()),
            ..mail()
        });
        for address in [
            text.to_owned(),
            format!("{text}@example.org"),
            format!("li@{text}"),
            format!("li@example.org{text}"),
        ] {
            check(&Mail {
                to: address.clone(),
                ..mail()
            });
            check(&Mail {
                reply_to: Some(address),
                ..mail()
            });
        }
        check(&Mail {
            message_id: format!("{text}@example.org"),
            ..mail()
        });
    };
    let breaks = [
        "\r",
        "\n",
        "\r\n",
        "\n\r",
        "\r\n.\r\n",
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\0",
    ];
    for control in breaks
        .iter()
        .map(|text| (*text).to_owned())
        .chain(('\0'..='\u{9f}').map(String::from))
    {
        in_each_field(&control);
        in_each_field(&format!("a{control}Bcc: x@example.org{control}"));
        in_each_field(&format!("x>{control}RCPT TO:<x@example.org>"));
    }
    let mut runner = TestRunner::new(Config {
        cases: 2000,
        failure_persistence: None,
        ..Config::default()
    });
    let random = prop_oneof![
        "\\PC{0,300}",
        any::<String>(),
        "[ -~\r\n\t]{0,400}",
        " {0,1200}x?",
        "[a-z]{900,1200}"
    ];
    runner
        .run(&random, |text| {
            check(&Mail {
                from_name: text.clone(),
                subject: text.clone(),
                text: text.clone(),
                html: Some(text.clone()),
                ..mail()
            });
            check(&Mail {
                to: format!("{text}@example.org"),
                ..mail()
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_address_that_cannot_be_sent_is_named_by_its_field_and_not_repeated() {
    let bad = [
        "",
        "li",
        "@example.org",
        "li@",
        "li lei@example.org",
        "<li@example.org>",
        "li@example.org,x@example.org",
    ];
    for to in bad {
        let error = build(&Mail {
            to: to.to_owned(),
            ..mail()
        })
        .err();
        assert_eq!(error, Some(BuildError::Address { field: "to" }), "{to}");
    }
    let error = build(&Mail {
        to: "李雷@example.org".to_owned(),
        ..mail()
    })
    .err();
    assert_eq!(error, Some(BuildError::LocalPart { field: "to" }));
    let wire = build(&Mail {
        to: "li@例子.中国".to_owned(),
        ..mail()
    })
    .unwrap();
    assert_eq!(wire.to().to_string(), "li@xn--fsqu00a.xn--fiqs8s");
}

#[tokio::test]
async fn a_mail_sent_twice_is_one_file_in_the_maildir() {
    let dir = tempfile::tempdir().unwrap();
    let maildir = Maildir::new(dir.path().join("mail"));
    let wire = wire();
    for _ in 0..2 {
        assert_eq!(maildir.send(&wire).await, Outcome::Accepted { reference: None });
    }
    let files: Vec<_> = std::fs::read_dir(dir.path().join("mail/new")).unwrap().collect();
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::read(files[0].as_ref().unwrap().path()).unwrap(), wire.bytes());
    assert_eq!(std::fs::read_dir(dir.path().join("mail/tmp")).unwrap().count(), 0);

    std::fs::write(dir.path().join("taken"), "").unwrap();
    let outcome = Maildir::new(dir.path().join("taken")).send(&wire).await;
    assert_eq!(verdict(&outcome), ("provider", Some(Stage::Spool)));
}
