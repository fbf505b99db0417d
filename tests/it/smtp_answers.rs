//! Every answer a mail server can give at every moment: who is charged is written in the table, not computed.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use xixin::channel::build::{Importance, Mail, WireMail, build};
use xixin::channel::email::SmtpPool;
use xixin::channel::outcome::{Blame, Outcome, Stage};
use xixin::config::secret::SecretSource;
use xixin::config::settings::{Smtp, SmtpTls};

use crate::support::smtp_server::{Act, Script, SmtpServer, Tls, Verb};

/// The moments, in the order of the letters below.
const MOMENTS: [Verb; 10] = [
    Verb::Connect,
    Verb::Ehlo,
    Verb::Starttls,
    Verb::Auth,
    Verb::Mail,
    Verb::Rcpt,
    Verb::Data,
    Verb::Dot,
    Verb::Noop,
    Verb::Quit,
];

/// One answer per line; one letter per moment, in the order greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, dot, NOOP, QUIT.
///
/// `a` accepted; `m` the message's own fault, so refused for good; `r` the recipient cannot take it now; `p` the provider's
/// fault, which charges no message; `u` handed over, fate unknown. NOOP is what a probe says, QUIT what is said after an EHLO that was
/// refused, so its own answer changes nothing. Where an odd but positive answer lets the talk go on, nothing is at stake: only
/// 250 after the dot makes a message accepted. A second digit above 5 is no answer of SMTP (RFC 5321 4.2.1), and is taken as garbage.
const TABLE: &str = "
    200 ok                      aaaaaapaap
    211 help                    aaaaaapaap
    214 help                    aaaaaapaap
    220 ready                   aaaaaapaap
    221 2.0.0 bye               aaaaaapaap
    235 2.7.0 welcome           aaaaaapaap
    250 2.1.0 ok                aaaaaapaap
    251 2.1.5 forwarded         aaaaaapaap
    252 2.5.2 cannot verify     aaaaaapaap
    299 fine                    pppppppupp
    334 go on                   aaappppupp
    354 go on                   aaappp.upp
    399 go on                   pppppppupp
    400 later                   ppppprrrpp
    401 later                   ppppprrrpp
    421 4.3.2 closing           pppppppppp
    421 4.7.0 slow down         pppppppppp
    421 closing                 pppppppppp
    422 4.2.2 full              ppppprrrpp
    430 later                   ppppprrrpp
    432 4.7.12 change password  pppppppppp
    441 4.4.1 no answer         ppppprrrpp
    442 4.4.2 dropped           ppppprrrpp
    450 later                   ppppprrrpp
    450 4.1.1 unverified        ppppprrrpp
    450 4.1.8 your domain       pppppppppp
    450 4.2.0 greylisted        ppppprrrpp
    450 4.7.1 greylisted        ppppprrrpp
    451 later                   ppppprrrpp
    451 4.3.0 my own fault      pppppppppp
    451 4.3.5 misconfigured     pppppppppp
    451 4.7.1 greylisted        ppppprrrpp
    452 full                    ppppprrrpp
    452 4.2.2 mailbox full      ppppprrrpp
    452 4.3.1 disk full         pppppppppp
    452 4.5.3 too many          ppppprrrpp
    454 4.7.0 tls not now       pppppppppp
    455 parameters              ppppprrrpp
    458 later                   ppppprrrpp
    499 later                   pppppppupp
    500 what                    pppppppppp
    500 5.5.2 what              pppppppppp
    501 syntax                  pppppmmmpp
    501 5.1.3 bad address       pppppmmmpp
    501 5.1.7 bad sender        pppppppppp
    502 5.5.1 no such command   pppppppppp
    503 5.5.1 order             pppppppppp
    504 5.5.4 parameter         pppppppppp
    510 5.1.1 bad address       pppppmmmpp
    511 5.1.1 bad address       pppppmmmpp
    521 5.3.2 takes no mail     pppppppppp
    523 5.7.10 encryption       pppppppppp
    530 5.7.0 log in            pppppppppp
    534 5.7.9 too weak          pppppppppp
    535 5.7.8 who are you       pppppppppp
    538 5.7.11 encryption       pppppppppp
    541 5.7.1 looks like spam   pppppmmmpp
    550 no                      pppppmmmpp
    550 5.1.1 unknown           pppppmmmpp
    550 5.1.2 no such domain    pppppmmmpp
    550 5.1.8 your domain       pppppppppp
    550 5.2.1 disabled          pppppmmmpp
    550 5.7.0 policy            pppppppppp
    550 5.7.1 policy            pppppmmmpp
    550 5.7.25 reverse name     pppppppppp
    550 5.7.26 not signed       pppppppppp
    550 4.7.1 contradictory     pppppmmmpp
    551 5.1.6 moved             pppppmmmpp
    552 full or too large       ppppmmmmpp
    552 5.2.2 mailbox full      ppppmmmmpp
    552 5.3.4 too large         ppppmmmmpp
    553 5.1.3 malformed         pppppmmmpp
    554 no                      pppppmmmpp
    554 5.3.0 my own fault      pppppppppp
    554 5.6.0 content           ppppmmmmpp
    554 5.7.1 refused           pppppmmmpp
    555 parameters              pppppmmmpp
    556 5.1.10 null MX          pppppmmmpp
    571 5.7.1 refused           pppppppupp
    599 no                      pppppppupp
";

fn mail() -> WireMail {
    let mail = Mail {
        message_id: "d-1@xixin.example.org".to_owned(),
        date: "2026-11-24T08:00:00Z".parse().unwrap(),
        from: "xixin@example.org".to_owned(),
        from_name: "听窗口".to_owned(),
        reply_to: None,
        to: "li@example.org".to_owned(),
        subject: "提醒".to_owned(),
        text: "您好\n".to_owned(),
        html: None,
        invitation: None,
        importance: Importance::Normal,
    };
    build(&mail).unwrap()
}

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");

fn settings(port: u16, tls: SmtpTls) -> Smtp {
    Smtp {
        tls,
        ca: (tls != SmtpTls::None).then(|| format!("{TLS}/ca.pem").into()),
        hello: Some("hall.example.org".to_owned()),
        connections: 1,
        timeout_s: 30,
        dot_timeout_s: 30,
        ..Smtp::plain("127.0.0.1", port)
    }
}

/// A server that behaves but for these acts, and a pool that talks to it: with STARTTLS and a password where the moment asks for them.
async fn talk(verb: Verb, acts: &[(Verb, Act)]) -> (SmtpServer, SmtpPool) {
    let tls = verb == Verb::Starttls;
    let mut script = Script::polite();
    if tls {
        script = script.tls(Tls::AfterStarttls, "right");
    }
    for (verb, act) in acts {
        script = script.on(*verb, *act);
    }
    let server = SmtpServer::start(script).await;
    let mut settings = settings(server.port, if tls { SmtpTls::Starttls } else { SmtpTls::None });
    if verb == Verb::Auth {
        settings.user = Some("hall".to_owned());
        settings.password = Some(SecretSource::File(
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(),
        ));
    }
    let pool = SmtpPool::new(&settings, None).unwrap();
    (server, pool)
}

fn letter(outcome: &Outcome) -> char {
    match outcome {
        Outcome::Accepted { .. } => 'a',
        Outcome::Refused { fault, .. } => {
            assert_eq!(fault.blame, Blame::Message);
            'm'
        }
        Outcome::Deferred { fault, .. } if fault.blame == Blame::Recipient => 'r',
        Outcome::Deferred { .. } => 'p',
        Outcome::Uncertain { .. } => 'u',
    }
}

async fn outcome(verb: Verb, act: Act) -> char {
    let acts: &[(Verb, Act)] = match verb {
        Verb::Quit => &[(Verb::Ehlo, Act::Reply("550 5.7.1 not you")), (Verb::Quit, act)],
        verb => &[(verb, act)],
    };
    let (server, pool) = talk(verb, acts).await;
    let found = match verb {
        Verb::Noop => pool.probe().await.map_or_else(|fault| letter(&fault), |()| 'a'),
        _ => letter(&pool.send(&mail()).await),
    };
    if found != 'u' {
        let received = usize::from(found == 'a' && verb != Verb::Noop);
        assert_eq!(server.received().len(), received, "{verb:?} {act:?}");
    }
    found
}

/// Leaked, because scripts hold static texts.
fn forms(line: &str) -> [&'static str; 2] {
    let (code, text) = line.split_once(' ').unwrap();
    let enhanced = text
        .split(' ')
        .next()
        .filter(|word| word.contains('.'))
        .unwrap_or_default();
    let many =
        format!("{code}-{enhanced} one of several lines, to li@example.org\r\n{code}-{enhanced}\r\n{code} {text}");
    [line.to_owned(), many].map(|form| &*form.leak())
}

#[tokio::test]
async fn each_code_at_each_moment_is_charged_to_whom_the_table_says_by_one_line_and_by_many() {
    let rows: Vec<(&str, &str)> = TABLE
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim().rsplit_once(' ').unwrap())
        .collect();
    assert!(rows.len() >= 60);
    let mut cells = Vec::new();
    for (answer, letters) in rows {
        let letters: Vec<char> = letters.chars().collect();
        assert_eq!(letters.len(), MOMENTS.len(), "{answer}");
        for form in forms(answer.trim()) {
            let row = MOMENTS.iter().zip(&letters).filter(|(_, letter)| **letter != '.');
            cells.extend(row.map(|(verb, letter)| (*verb, form, *letter)));
        }
    }
    let asked = cells.len();
    let differ: Vec<String> = stream::iter(cells)
        .map(|(verb, form, expected)| async move {
            let found = outcome(verb, Act::Reply(form)).await;
            (found != expected).then(|| format!("{verb:?} {form:?}: the table says {expected}, it was {found}"))
        })
        .buffer_unordered(16)
        .filter_map(|differs| async move { differs })
        .collect()
        .await;
    assert!(
        differ.is_empty(),
        "{} of {asked} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

/// What is no answer at all: cut, garbage, oversize. Before the dot the provider is at fault; after it nobody knows.
#[tokio::test]
async fn what_is_no_answer_never_counts_as_one() {
    const LONG: &str =
        "220 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let acts = [
        Act::Close,
        Act::Reset,
        Act::Reply(""),
        Act::Reply("hello?"),
        Act::Reply("25"),
        Act::Reply("2500 ok"),
        Act::Reply("150 1yz is no answer of SMTP"),
        Act::Reply("650 nor is 6yz"),
        Act::Reply("250-ok\r\n251 not the same code"),
        Act::Reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        Act::Reply("250\u{a0}ok"),
        Act::Raw(b"\0\0\0\0\r\n"),
        Act::Raw(b"250 \xff\xfe\r\n"),
        // A TLS alert, handshake_failure, where words are expected.
        Act::Raw(&[21, 3, 3, 0, 2, 2, 40, b'\r', b'\n']),
        Act::Endless("220-more\r\n"),
        Act::Endless("250-\r\n"),
        Act::Endless(LONG),
    ];
    let mut differ = Vec::new();
    for act in acts {
        let found = MOMENTS.map(|verb| async move { (verb, outcome(verb, act).await) });
        for (verb, found) in join_all(found).await {
            let expected = if verb == Verb::Dot { 'u' } else { 'p' };
            if found != expected {
                differ.push(format!("{verb:?} {act:?}: {found}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_the_same_answer() {
    let slow = |verb, text| async move { outcome(verb, Act::ByteWise(text)).await };
    assert_eq!(slow(Verb::Connect, "220-slow\r\n220 server").await, 'a');
    assert_eq!(slow(Verb::Mail, "250-2.1.0 slow\r\n250 2.1.0 server").await, 'a');
    assert_eq!(slow(Verb::Dot, "250 2.0.0 slow").await, 'a');
}

async fn over_tls(
    tls: SmtpTls,
    server: Option<Tls>,
    certificate: &'static str,
    trusted: Option<&str>,
) -> (char, Vec<String>) {
    let mut script = Script::polite();
    if let Some(tls) = server {
        script = script.tls(tls, certificate);
    }
    let server = SmtpServer::start(script).await;
    let settings = Smtp {
        ca: trusted.map(|file| format!("{TLS}/{file}.pem").into()),
        ..settings(server.port, tls)
    };
    let found = letter(&SmtpPool::new(&settings, None).unwrap().send(&mail()).await);
    (found, server.commands())
}

#[tokio::test]
async fn mail_leaves_encrypted_by_a_certificate_that_is_right_in_every_way_and_not_otherwise() {
    use SmtpTls::{Implicit, Opportunistic, Starttls};
    let (first, after) = (Some(Tls::FromTheFirstByte), Some(Tls::AfterStarttls));
    let table = [
        (Implicit, first, "right", Some("ca"), 'a'),
        (Starttls, after, "right", Some("ca"), 'a'),
        (Opportunistic, after, "right", Some("ca"), 'a'),
        // It goes on in the clear only where nothing was offered.
        (Opportunistic, None, "", Some("ca"), 'a'),
        (Opportunistic, after, "untrusted", Some("ca"), 'p'),
        // Stripped.
        (Starttls, None, "", Some("ca"), 'p'),
        (Implicit, None, "", Some("ca"), 'p'),
        (Implicit, first, "other-name", Some("ca"), 'p'),
        (Starttls, after, "other-name", Some("ca"), 'p'),
        (Implicit, first, "expired", Some("ca"), 'p'),
        (Starttls, after, "expired", Some("ca"), 'p'),
        (Implicit, first, "untrusted", Some("ca"), 'p'),
        (Starttls, after, "untrusted", Some("ca"), 'p'),
        // Trusted by nobody on this machine, and another authority than the one that was named.
        (Starttls, after, "right", None, 'p'),
        (Starttls, after, "right", Some("untrusted"), 'p'),
    ];
    for (tls, server, certificate, trusted, expected) in table {
        let (found, said) = over_tls(tls, server, certificate, trusted).await;
        assert_eq!(found, expected, "{tls:?} {server:?} {certificate} {trusted:?}");
        let mails = said.iter().filter(|line| line.starts_with("MAIL")).count();
        assert_eq!(mails, usize::from(expected == 'a'), "{tls:?} {certificate}: {said:?}");
    }
}

#[tokio::test]
async fn an_alert_in_the_handshake_is_the_providers_fault_and_nothing_was_said() {
    let alert = Act::Raw(b"220 go\r\n\x15\x03\x03\x00\x02\x02\x28");
    let (server, pool) = talk(Verb::Starttls, &[(Verb::Starttls, alert)]).await;
    let Outcome::Deferred { fault, .. } = pool.send(&mail()).await else {
        panic!("it was sent");
    };
    assert_eq!((fault.blame, fault.stage), (Blame::Provider, Stage::Tls));
    assert_eq!(server.commands()[..2], ["EHLO hall.example.org", "STARTTLS"]);
    assert!(!server.commands().iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn each_way_to_log_in_says_what_it_should_and_a_replaced_token_is_in_use_at_once() {
    use xixin::config::settings::SmtpAuth::{Auto, Login, Plain, Xoauth2};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let table = [
        (Auto, "AUTH PLAIN AGhhbGwAb25l", "AUTH PLAIN AGhhbGwAdHdv"),
        (Plain, "AUTH PLAIN AGhhbGwAb25l", "AUTH PLAIN AGhhbGwAdHdv"),
        (Login, "AUTH LOGIN", "AUTH LOGIN"),
        (
            Xoauth2,
            "AUTH XOAUTH2 dXNlcj1oYWxsAWF1dGg9QmVhcmVyIG9uZQEB",
            "AUTH XOAUTH2 dXNlcj1oYWxsAWF1dGg9QmVhcmVyIHR3bwEB",
        ),
    ];
    for (auth, first, second) in table {
        // The first connection ends when it is used again.
        let once = Script::polite().login(first).on(Verb::Mail, Act::Close);
        let server = SmtpServer::start_each(vec![once, Script::polite().login(second)]).await;
        std::fs::write(&file, "one\n").unwrap();
        let settings = Smtp {
            user: Some("hall".to_owned()),
            password: Some(SecretSource::File(file.clone())),
            auth,
            ..settings(server.port, SmtpTls::None)
        };
        let pool = SmtpPool::new(&settings, None).unwrap();
        assert_eq!(pool.probe().await, Ok(()), "{auth:?}");
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!(letter(&pool.send(&mail()).await), 'a', "{auth:?}");
        assert_eq!(server.connections(), 2);
    }
    let server = SmtpServer::start(Script::polite()).await;
    let settings = Smtp {
        user: Some("hall".to_owned()),
        password: Some(SecretSource::File(file.clone())),
        ..settings(server.port, SmtpTls::None)
    };
    let pool = SmtpPool::new(&settings, None).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        letter(&pool.send(&mail()).await),
        'p',
        "a password that has gone is no fault of the message"
    );
    assert!(!server.commands().iter().any(|line| line.starts_with("AUTH")));
    assert!(SmtpPool::new(&settings, None).is_err(), "at a start it is told at once");
}

#[tokio::test]
async fn a_refused_login_is_asked_once_however_many_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong").unwrap();
    let server = SmtpServer::start(Script::polite().login("AUTH PLAIN AGhhbGwAc2VzYW1l")).await;
    let settings = Smtp {
        user: Some("hall".to_owned()),
        password: Some(SecretSource::File(file.clone())),
        connections: 10,
        ..settings(server.port, SmtpTls::None)
    };
    let (pool, wire) = (SmtpPool::new(&settings, None).unwrap(), mail());
    let logins = || server.commands().iter().filter(|line| line.starts_with("AUTH")).count();
    for _ in 0..3 {
        let outcomes = join_all((0..30).map(|_| pool.send(&wire))).await;
        assert!(outcomes.iter().all(|outcome| letter(outcome) == 'p'));
        assert_eq!(logins(), 1);
    }
    assert!(pool.probe().await.is_err());
    assert_eq!(logins(), 2, "a probe asks again");
    std::fs::write(&file, "sesame").unwrap();
    assert_eq!(letter(&pool.send(&wire).await), 'p', "nobody has found out yet");
    assert_eq!(pool.probe().await, Ok(()));
    let outcomes = join_all((0..30).map(|_| pool.send(&wire))).await;
    assert!(outcomes.iter().all(|outcome| letter(outcome) == 'a'));
}

#[tokio::test]
async fn a_connection_is_left_after_as_many_messages_as_the_server_takes_by_one() {
    let server = SmtpServer::start(Script::polite()).await;
    let settings = Smtp {
        per_connection: 3,
        ..settings(server.port, SmtpTls::None)
    };
    let (pool, wire) = (SmtpPool::new(&settings, None).unwrap(), mail());
    for _ in 0..9 {
        assert_eq!(letter(&pool.send(&wire).await), 'a');
    }
    assert_eq!((server.received().len(), server.connections()), (9, 3));
}
