//! MAIL, RCPT and DATA in one piece (RFC 2920), against servers that offer it and then refuse, close or lie half-way.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use xixin::channel::email::SmtpPool;
use xixin::channel::outcome::Stage;
use xixin::config::settings::Smtp;

use crate::channel_email::{large_wire, pool, settings, verdict, wire};
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

/// A server that takes several commands at once.
fn offering() -> Script {
    Script::polite().on(
        Verb::Ehlo,
        Act::Reply("250-test.example.org\r\n250-8BITMIME\r\n250-pipelining\r\n250 HELP"),
    )
}

/// What it was told after the greetings.
fn verbs(server: &SmtpServer) -> Vec<String> {
    let commands = server.commands();
    assert!(
        commands[..2].iter().all(|line| line.starts_with("EHLO ")),
        "{commands:?}"
    );
    commands[2..].iter().map(|line| line[..4].to_owned()).collect()
}

#[tokio::test]
async fn the_three_commands_go_out_before_the_first_of_them_is_answered() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 test ESMTP\r\n").await.unwrap();
        for _ in 0..2 {
            stream.read_line(&mut String::new()).await.unwrap();
            stream.write_all(b"250-test\r\n250 PIPELINING\r\n").await.unwrap();
        }
        let mut said = String::new();
        while !said.ends_with("DATA\r\n") {
            assert_ne!(stream.read_line(&mut said).await.unwrap(), 0, "{said}");
        }
        stream.write_all(b"250 ok\r\n250 ok\r\n354 go on\r\n").await.unwrap();
        let mut text = String::new();
        while !text.ends_with("\r\n.\r\n") {
            assert_ne!(stream.read_line(&mut text).await.unwrap(), 0, "{text}");
        }
        stream
            .write_all(b"250 2.0.0 ok: queued as 4XyZ12abc\r\n")
            .await
            .unwrap();
        (said, text)
    });
    let pool = SmtpPool::new(&settings(port), None).unwrap();
    let wire = wire();
    assert_eq!(verdict(&pool.send(&wire).await).0, "accepted");
    let (said, text) = server.await.unwrap();
    assert_eq!(
        said,
        "MAIL FROM:<xixin@example.org>\r\nRCPT TO:<li@example.org>\r\nDATA\r\n"
    );
    assert_eq!(text.strip_suffix(".\r\n").unwrap().as_bytes(), wire.bytes());
}

#[tokio::test]
async fn a_server_that_does_not_offer_it_or_greets_once_only_is_told_one_thing_at_a_time() {
    let scripts = [
        Script::polite(),
        Script::polite().on(Verb::Ehlo, Act::Reply("250 PIPELINING")),
        Script::polite().on(Verb::Ehlo, Act::Reply("250-test\r\n250 NOPIPELINING")),
        Script::polite()
            .on_nth(Verb::Ehlo, 1, Act::Reply("250-test\r\n250 PIPELINING"))
            .on_nth(Verb::Ehlo, 2, Act::Reply("250 test")),
    ];
    for script in scripts {
        // With the sender refused, whoever asks for one thing at a time says nothing more.
        let server = SmtpServer::start(script.on(Verb::Mail, Act::Reply("451 4.3.0 later"))).await;
        let outcome = pool(&server).send(&wire()).await;
        assert_eq!(verdict(&outcome), ("provider", Some(Stage::Mail)));
        assert_eq!(verbs(&server), ["MAIL"]);
    }
    let once = Script::polite()
        .on_nth(Verb::Ehlo, 1, Act::Reply("250-test\r\n250 PIPELINING"))
        .on_nth(Verb::Ehlo, 2, Act::Reply("503 5.5.1 you said that before"));
    let server = SmtpServer::start(once).await;
    assert_eq!(verdict(&pool(&server).send(&wire()).await).0, "accepted");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn many_mails_arrive_whole_over_one_connection() {
    let server = SmtpServer::start(offering()).await;
    let (pool, wire) = (pool(&server), wire());
    for _ in 0..20 {
        assert_eq!(verdict(&pool.send(&wire).await).0, "accepted");
    }
    let received = server.received();
    assert!(received.iter().all(|mail| mail.text == wire.bytes()));
    assert_eq!((received.len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn the_first_refusal_is_the_outcome_and_the_answers_after_it_are_not_taken_for_the_next_mails() {
    let bad = "503 5.5.1 out of order";
    let table = [
        (
            vec![(Verb::Mail, "451 4.3.0 later"), (Verb::Rcpt, bad), (Verb::Data, bad)],
            "provider",
            Stage::Mail,
        ),
        (
            vec![
                (Verb::Mail, "552 5.3.4 too large"),
                (Verb::Rcpt, bad),
                (Verb::Data, bad),
            ],
            "refused",
            Stage::Mail,
        ),
        (
            vec![(Verb::Rcpt, "550 5.1.1 unknown"), (Verb::Data, bad)],
            "refused",
            Stage::Recipient,
        ),
        (
            vec![
                (Verb::Rcpt, "550-5.1.1 two\r\n550 5.1.1 lines"),
                (Verb::Data, "554 5.5.1 nobody"),
            ],
            "refused",
            Stage::Recipient,
        ),
        (
            vec![(Verb::Rcpt, "450 4.7.1 greylisted"), (Verb::Data, bad)],
            "recipient",
            Stage::Recipient,
        ),
        (vec![(Verb::Data, "554 5.7.1 no")], "refused", Stage::Data),
        (vec![(Verb::Dot, "554 5.6.0 content")], "refused", Stage::Dot),
    ];
    for (replies, word, stage) in table {
        let script = |script: Script, (verb, reply): &(Verb, &'static str)| script.on_nth(*verb, 1, Act::Reply(reply));
        let server = SmtpServer::start(replies.iter().fold(offering(), script)).await;
        let pool = pool(&server);
        assert_eq!(verdict(&pool.send(&wire()).await), (word, Some(stage)), "{replies:?}");
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted", "{replies:?}");
        assert_eq!((server.received().len(), server.connections()), (1, 1), "{replies:?}");
        assert_eq!(
            verbs(&server),
            ["MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"],
            "{replies:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_asks_for_the_text_of_a_refused_mail_is_hung_up_on_and_gets_none() {
    for (verb, reply, word, stage) in [
        (Verb::Mail, "550 5.7.1 no", "provider", Stage::Mail),
        (Verb::Rcpt, "550 5.1.1 unknown", "refused", Stage::Recipient),
        (Verb::Rcpt, "450 4.7.1 later", "recipient", Stage::Recipient),
    ] {
        let server = SmtpServer::start(offering().on_nth(verb, 1, Act::Reply(reply))).await;
        let pool = pool(&server);
        assert_eq!(verdict(&pool.send(&wire()).await), (word, Some(stage)), "{reply}");
        server.closed().await;
        assert_eq!(server.received().len(), 0, "{reply}");
    }
    let stubborn = offering().on(Verb::Rcpt, Act::Reply("550 5.1.1 unknown"));
    let server = SmtpServer::start_each(vec![stubborn, offering()]).await;
    let pool = pool(&server);
    assert_eq!(verdict(&pool.send(&wire()).await).0, "refused");
    assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
    assert_eq!((server.received().len(), server.connections()), (1, 2));
}

#[tokio::test]
async fn a_connection_that_ends_half_way_is_not_used_again_and_what_was_refused_stays_refused() {
    let closing = |verb, act| offering().on(verb, act);
    let table = [
        (
            closing(Verb::Mail, Act::Reply("421 4.7.0 slow down")),
            "provider",
            Stage::Mail,
        ),
        (
            closing(Verb::Rcpt, Act::Reply("421 4.7.0 slow down")),
            "provider",
            Stage::Recipient,
        ),
        (
            closing(Verb::Data, Act::Reply("421 4.3.2 closing")),
            "provider",
            Stage::Data,
        ),
        (closing(Verb::Mail, Act::Close), "provider", Stage::Mail),
        (closing(Verb::Rcpt, Act::Close), "provider", Stage::Recipient),
        (closing(Verb::Data, Act::Close), "provider", Stage::Data),
        (closing(Verb::Data, Act::Reply("hello?")), "provider", Stage::Data),
        (closing(Verb::Data, Act::Reply("250 fine")), "provider", Stage::Data),
        (
            closing(Verb::Rcpt, Act::Reply("354 go on")),
            "provider",
            Stage::Recipient,
        ),
        (
            closing(Verb::Data, Act::Close).on(Verb::Rcpt, Act::Reply("550 5.1.1 unknown")),
            "refused",
            Stage::Recipient,
        ),
        (
            closing(Verb::Data, Act::Reply("421 closing")).on(Verb::Rcpt, Act::Reply("550 5.1.1 unknown")),
            "refused",
            Stage::Recipient,
        ),
        (
            closing(Verb::Rcpt, Act::Close).on(Verb::Mail, Act::Reply("552 5.3.4 too large")),
            "refused",
            Stage::Mail,
        ),
    ];
    for (n, (script, word, stage)) in table.into_iter().enumerate() {
        let server = SmtpServer::start_each(vec![script, offering()]).await;
        let pool = pool(&server);
        assert_eq!(verdict(&pool.send(&wire()).await), (word, Some(stage)), "{n}");
        assert_eq!((server.received().len(), server.connections()), (0, 1), "{n}");
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted", "{n}");
        assert_eq!((server.received().len(), server.connections()), (1, 2), "{n}");
    }
}

#[tokio::test]
async fn a_connection_closed_between_two_mails_is_replaced_once_and_nothing_is_sent_twice() {
    for act in [Act::Reply("421 4.4.2 idle too long"), Act::Close, Act::Reset] {
        let stale = offering().on_nth(Verb::Mail, 2, act);
        let server = SmtpServer::start_each(vec![stale, offering()]).await;
        let pool = pool(&server);
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted");
        assert_eq!(verdict(&pool.send(&wire()).await).0, "accepted", "{act:?}");
        assert_eq!((server.received().len(), server.connections()), (2, 2), "{act:?}");
    }
}

#[tokio::test]
async fn after_the_dot_only_an_answer_tells_and_before_it_nothing_was_sent() {
    for act in [Act::Close, Act::Reset, Act::Reply("hello?"), Act::Reply("354 go on")] {
        let server = SmtpServer::start(offering().on(Verb::Dot, act)).await;
        assert_eq!(
            verdict(&pool(&server).send(&wire()).await),
            ("uncertain", None),
            "{act:?}"
        );
    }
    let server = SmtpServer::start(offering().on(Verb::Text, Act::Reset)).await;
    let outcome = pool(&server).send(&large_wire()).await;
    assert_eq!(verdict(&outcome), ("provider", Some(Stage::Body)));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_after_the_phases_time() {
    for (verb, word, stage) in [
        (Verb::Mail, "provider", Some(Stage::Mail)),
        (Verb::Rcpt, "provider", Some(Stage::Recipient)),
        (Verb::Data, "provider", Some(Stage::Data)),
        (Verb::Dot, "uncertain", None),
    ] {
        let server = SmtpServer::start(offering().on(verb, Act::Silence)).await;
        let impatient = Smtp {
            timeout_s: 1,
            dot_timeout_s: 1,
            ..settings(server.port)
        };
        let pool = SmtpPool::new(&impatient, None).unwrap();
        assert_eq!(verdict(&pool.send(&wire()).await), (word, stage), "{verb:?}");
    }
}
