//! The SMS channel against gateways that answer oddly, late or not at all.

use std::time::Duration;

use xixin::channel::outcome::{Blame, Outcome, Stage};
use xixin::channel::sms::{FileGateway, GatewayError, Sms, SmsGateway, WebGateway};
use xixin::config::secret::SecretSource;
use xixin::config::settings::{ErrorClass, SmsHttp, SmsSuccess};

use crate::support::http_server::{Act, HttpServer};

const ACCEPTED: &str = r#"{"code":"OK","id":"900123"}"#;

fn sms() -> Sms {
    Sms {
        to: "13900000000".to_owned(),
        text: "【示例】请于\"周五\"前回复&处理\n谢谢".to_owned(),
        signature: "示例".to_owned(),
        id: "d-1".to_owned(),
        at: "2026-03-09T01:02:03Z".parse().unwrap(),
        coded: Vec::new(),
    }
}

fn settings(port: u16) -> SmsHttp {
    SmsHttp {
        method: "POST".to_owned(),
        url: format!("http://127.0.0.1:{port}/send?id={{{{ id|urlencode }}}}"),
        headers: [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Sign".to_owned(), "{{ (to ~ id)|sha256 }}".to_owned()),
        ]
        .into(),
        body: r#"{"to":{{ to|tojson }},"text":{{ text|tojson }}}"#.to_owned(),
        secrets: Default::default(),
        success: SmsSuccess {
            status: vec![200],
            pointer: Some("/code".to_owned()),
            equals: Some("OK".to_owned()),
        },
        reference: Some("/id".to_owned()),
        errors: [
            ("LIMIT".to_owned(), ErrorClass::Recipient),
            ("BALANCE".to_owned(), ErrorClass::Provider),
        ]
        .into(),
        query: None,
        connections: 4,
        timeout_s: 20,
    }
}

fn gateway(settings: &SmsHttp) -> SmsGateway {
    SmsGateway::Web(WebGateway::http(settings, None).unwrap())
}

async fn sent(settings: &SmsHttp) -> Outcome {
    let gateway = gateway(settings);
    let wire = gateway.prepare(&sms()).unwrap();
    gateway.send(&wire).await
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused { .. } => "refused",
        Outcome::Deferred { fault, .. } if fault.blame == Blame::Recipient => "recipient",
        Outcome::Deferred { .. } => "provider",
        Outcome::Uncertain { .. } => "uncertain",
    }
}

#[tokio::test]
async fn an_accepted_sms_is_one_request_as_described_with_the_gateways_reference() {
    let server = HttpServer::start(Act::answer(200, ACCEPTED)).await;
    let outcome = sent(&settings(server.port)).await;
    assert_eq!(
        outcome,
        Outcome::Accepted {
            reference: Some("900123".to_owned())
        }
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].head.starts_with("POST /send?id=d-1 HTTP/1.1\r\n"),
        "{}",
        requests[0].head
    );
    let document: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(
        (document["to"].as_str(), document["text"].as_str()),
        (Some("13900000000"), Some(sms().text.as_str()))
    );
}

#[tokio::test]
async fn each_answer_of_a_gateway_has_one_meaning() {
    let large = format!(r#"{{"code":"OK","pad":"{}"}}"#, "x".repeat(70_000));
    let table = [
        (200, r#"{"code":"LIMIT"}"#, "recipient"),
        (200, r#"{"code":"BALANCE"}"#, "provider"),
        (200, r#"{"code":"UNLISTED"}"#, "refused"),
        (200, "<html>please log in</html>", "uncertain"),
        (200, "", "uncertain"),
        (200, large.as_str(), "uncertain"),
        (401, "", "provider"),
        (403, "", "provider"),
        (429, "", "provider"),
        (500, "", "uncertain"),
        (502, "", "uncertain"),
        (503, "", "provider"),
    ];
    for (status, body, expected) in table {
        let server = HttpServer::start(Act::answer(status, body)).await;
        let outcome = sent(&settings(server.port)).await;
        assert_eq!(verdict(&outcome), expected, "{status} {:.60}", body);
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_busy_gateways_own_time_is_honoured() {
    let headers = [
        ("Retry-After: 90\r\n", 90),
        (
            "Retry-After: Tue, 24 Nov 2026 08:02:00 GMT\r\nDate: Tue, 24 Nov 2026 08:00:00 GMT\r\n",
            120,
        ),
    ];
    for (headers, seconds) in headers {
        let server = HttpServer::start(Act::Answer {
            status: 429,
            headers,
            body: String::new(),
        })
        .await;
        let Outcome::Deferred { fault, retry_after, .. } = sent(&settings(server.port)).await else {
            panic!("429 waits");
        };
        assert_eq!(
            (fault.blame, retry_after),
            (Blame::Provider, Some(Duration::from_secs(seconds)))
        );
    }
}

#[tokio::test]
async fn a_request_that_left_and_was_not_answered_is_uncertain() {
    let server = HttpServer::start(Act::Drop).await;
    assert_eq!(verdict(&sent(&settings(server.port)).await), "uncertain");
    assert_eq!(server.requests().len(), 1);

    let server = HttpServer::start(Act::Silence).await;
    let impatient = SmsHttp {
        timeout_s: 1,
        ..settings(server.port)
    };
    let (outcome, ()) = tokio::join!(sent(&impatient), server.fell_silent());
    assert_eq!(verdict(&outcome), "uncertain");
}

#[tokio::test]
async fn an_absent_gateway_is_the_providers_fault() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let Outcome::Deferred { fault, .. } = sent(&settings(port)).await else {
        panic!("nothing listens there");
    };
    assert_eq!((fault.blame, fault.stage), (Blame::Provider, Stage::Connect));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = HttpServer::start(Act::answer(200, ACCEPTED)).await;
    let headers = Box::leak(format!("Location: http://127.0.0.1:{}/\r\n", target.port).into_boxed_str());
    let server = HttpServer::start(Act::Answer {
        status: 307,
        headers,
        body: String::new(),
    })
    .await;
    assert_eq!(verdict(&sent(&settings(server.port)).await), "provider");
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn a_secret_reaches_the_gateway_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "sesame\n").unwrap();
    let server = HttpServer::start(Act::answer(200, ACCEPTED)).await;
    let mut settings = settings(server.port);
    settings.secrets = [("key".to_owned(), SecretSource::Credential("key".to_owned()))].into();
    settings
        .headers
        .insert("Authorization".to_owned(), "Bearer {{ secret.key }}".to_owned());
    let gateway = SmsGateway::Web(WebGateway::http(&settings, Some(dir.path())).unwrap());
    let wire = gateway.prepare(&sms()).unwrap();
    assert_eq!(verdict(&gateway.send(&wire).await), "accepted");
    assert!(
        server.requests()[0]
            .head
            .to_lowercase()
            .contains("authorization: bearer sesame\r\n")
    );

    settings
        .headers
        .insert("X-Broken".to_owned(), "{{ secret.key|nosuchfilter }}".to_owned());
    let error = WebGateway::http(&settings, Some(dir.path())).err().unwrap();
    assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
}

#[test]
fn a_faulty_description_is_refused_before_the_first_message_and_names_its_key() {
    let broken = |change: fn(&mut SmsHttp)| {
        let mut settings = settings(1);
        change(&mut settings);
        WebGateway::http(&settings, None)
            .err()
            .map(|error| format!("{}: {error}", error.key()))
            .unwrap()
    };
    type Change = fn(&mut SmsHttp);
    let table: [(Change, &str); 9] = [
        (|s| s.method = "PUT".to_owned(), "method: "),
        (|s| s.url = "http://127.0.0.1/{{ id".to_owned(), "url: "),
        (|s| s.url = "ftp://127.0.0.1/".to_owned(), "url: "),
        (|s| s.url = "/send".to_owned(), "url: "),
        (
            |s| drop(s.headers.insert("X-A".to_owned(), "{{ nobody }}".to_owned())),
            "headers.X-A: ",
        ),
        (
            |s| drop(s.headers.insert("X-A".to_owned(), "{{ text }}".to_owned())),
            "headers.X-A: ",
        ),
        (
            |s| drop(s.headers.insert("X A".to_owned(), "a".to_owned())),
            "headers.X A: ",
        ),
        (|s| s.body = "{{ text|nosuchfilter }}".to_owned(), "body: "),
        (|s| s.body = r#"{"text":"{{ text }}"}"#.to_owned(), "body: "),
    ];
    for (change, key) in table {
        let message = broken(change);
        assert!(message.starts_with(key), "{message}");
    }
    let mut settings = settings(1);
    settings.secrets = [("key".to_owned(), SecretSource::Credential("key".to_owned()))].into();
    assert!(
        matches!(WebGateway::http(&settings, None).err(), Some(GatewayError::Secret { key, .. }) if key == "secrets.key")
    );
}

#[test]
fn the_same_sms_is_the_same_request() {
    let gateway = gateway(&settings(1));
    let digest = |sms: &Sms| gateway.prepare(sms).unwrap().sha256().to_owned();
    assert_eq!(digest(&sms()), digest(&sms()));
    assert_ne!(
        digest(&sms()),
        digest(&Sms {
            id: "d-2".to_owned(),
            ..sms()
        })
    );
}

#[tokio::test]
async fn an_sms_sent_twice_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = SmsGateway::File(FileGateway::new(dir.path().join("sms")));
    for text in ["一", "二"] {
        let wire = gateway
            .prepare(&Sms {
                text: text.to_owned(),
                ..sms()
            })
            .unwrap();
        assert_eq!(gateway.send(&wire).await, Outcome::Accepted { reference: None });
    }
    let document = std::fs::read_to_string(dir.path().join("sms/d-1.json")).unwrap();
    assert_eq!(document, r#"{"id":"d-1","to":"13900000000","text":"二"}"#);
    assert_eq!(std::fs::read_dir(dir.path().join("sms/.tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_message_prepared_for_a_replaced_gateway_waits() {
    let dir = tempfile::tempdir().unwrap();
    let file = SmsGateway::File(FileGateway::new(dir.path().to_owned()));
    let wire = gateway(&settings(1)).prepare(&sms()).unwrap();
    assert_eq!(verdict(&file.send(&wire).await), "provider");
}

/// A text holds what residents and clerks wrote: a name such as `沈&to=…` must not choose whom it goes to.
#[test]
fn a_text_that_could_add_a_parameter_of_its_own_is_refused_when_it_is_set_up() {
    let form = "application/x-www-form-urlencoded";
    let table = [
        (
            "http://127.0.0.1:9/?to={{ to }}&text={{ text|urlencode }}",
            "",
            "",
            None,
        ),
        ("http://127.0.0.1:9/?to={{ to }}&text={{ text }}", "", "", Some("url")),
        (
            "http://127.0.0.1:9/",
            form,
            "to={{ to }}&text={{ text|urlencode }}",
            None,
        ),
        ("http://127.0.0.1:9/", form, "to={{ to }}&text={{ text }}", Some("body")),
        ("http://127.0.0.1:9/", "text/plain", "{{ to }} {{ text }}", None),
    ];
    for (url, kind, body, expected) in table {
        let mut settings = settings(9);
        settings.url = url.to_owned();
        settings.body = body.to_owned();
        settings.headers = [("Content-Type".to_owned(), kind.to_owned())].into();
        let found = match WebGateway::http(&settings, None) {
            Err(GatewayError::Template { key, detail }) => {
                assert!(detail.contains("urlencode"), "{detail}");
                Some(key)
            }
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found.as_deref(), expected, "{url} {body}");
    }
}
