//! Several SMS gateways in their order: who gets what, who takes over, and what clouds are told.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use xixin::app::Place;
use xixin::channel::outcome::{Blame, Outcome};
use xixin::channel::sms::{Gateways, Sms, SmsGateway};
use xixin::config::settings::Settings;
use xixin::config::write_to;
use xixin::template::Coded;

use crate::support::hall::Hall;
use crate::support::http_server::{Act, HttpServer};

const ACCEPTED: &str = r#"{"code":"OK","id":"900123"}"#;
const DOWN: &str = r#"{"code":"BALANCE"}"#;

fn sms() -> Sms {
    Sms {
        to: "13900000000".to_owned(),
        text: "【示例】请于周五前回电".to_owned(),
        signature: "示例".to_owned(),
        id: "d-1".to_owned(),
        at: "2026-03-09T01:02:03Z".parse().unwrap(),
        coded: Vec::new(),
    }
}

fn http(name: &str, order: u32, port: u16) -> String {
    format!(
        r#"
        [sms.gateway.{name}]
        order = {order}
        [sms.gateway.{name}.http]
        method = "POST"
        url = "http://127.0.0.1:{port}/{name}"
        body = "{{{{ to }}}} {{{{ text }}}}"
        success = {{ status = [200], pointer = "/code", equals = "OK" }}
        reference = "/id"
        errors = {{ BALANCE = "provider" }}
        connections = 4
        timeout_s = 20
        "#
    )
}

/// The settings of a configuration with these gateways.
fn settings(dir: &Path, gateways: &str) -> Settings {
    write_to(dir).unwrap();
    std::fs::create_dir_all(dir.join("conf.d")).unwrap();
    let text = format!("[sms]\ntransport = \"gateways\"\n{gateways}");
    std::fs::write(dir.join("conf.d/10-sms.toml"), text).unwrap();
    let place = Place {
        config: dir.to_owned(),
        environment: Default::default(),
    };
    match place.load() {
        Ok((loaded, _)) => loaded.settings,
        Err(problems) => panic!("{problems}"),
    }
}

fn gateways(gateways: &str) -> SmsGateway {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), gateways);
    SmsGateway::Several(Gateways::new(&settings.sms, None).unwrap_or_else(|error| panic!("{error}: {}", error.what())))
}

async fn send(gateway: &SmsGateway) -> (Option<String>, Outcome) {
    let wire = gateway.prepare(&sms()).unwrap();
    let by = wire.gateway().map(|name| name.to_string());
    (by, gateway.send(&wire).await)
}

#[tokio::test]
async fn the_first_in_order_takes_everything_as_long_as_it_can() {
    let (first, second) = (
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
    );
    let gateway = gateways(&(http("b", 2, second.port) + &http("a", 9, first.port)));
    for _ in 0..5 {
        let (by, outcome) = send(&gateway).await;
        assert_eq!((by.as_deref(), outcome.name()), (Some("b"), "accepted"));
    }
    assert_eq!((second.requests().len(), first.requests().len()), (5, 0));
}

#[tokio::test]
async fn a_gateway_in_trouble_is_left_after_three_faults_and_the_next_one_takes_over_at_once() {
    let (bad, good) = (
        HttpServer::start(Act::answer(200, DOWN)).await,
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
    );
    let gateway = gateways(&(http("bad", 1, bad.port) + &http("good", 2, good.port)));
    for _ in 0..3 {
        let (by, outcome) = send(&gateway).await;
        assert_eq!(by.as_deref(), Some("bad"));
        let Outcome::Deferred { fault, retry_after, .. } = outcome else {
            panic!("it is the provider's fault");
        };
        assert_eq!(
            (fault.blame, retry_after),
            (Blame::Provider, Some(Duration::from_secs(1)))
        );
    }
    let late = gateway.prepare(&sms()).unwrap();
    assert_eq!(late.gateway().as_deref(), Some("good"));
    for _ in 0..4 {
        let (by, outcome) = send(&gateway).await;
        assert_eq!((by.as_deref(), outcome.name()), (Some("good"), "accepted"));
    }
    assert_eq!((bad.requests().len(), good.requests().len()), (3, 4));
    let troubles: Vec<(String, bool)> = gateway
        .providers()
        .into_iter()
        .map(|one| (one.name, one.trouble.is_some()))
        .collect();
    assert_eq!(troubles, [("bad".to_owned(), true), ("good".to_owned(), false)]);
}

#[tokio::test]
async fn an_sms_of_unknown_fate_is_never_given_to_another_gateway() {
    let (silent, good) = (
        HttpServer::start(Act::Drop).await,
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
    );
    let gateway = gateways(&(http("silent", 1, silent.port) + &http("good", 2, good.port)));
    let (_, outcome) = send(&gateway).await;
    assert_eq!(outcome.name(), "uncertain");
    assert_eq!(good.requests().len(), 0);
}

#[tokio::test]
async fn a_whole_hall_changes_gateways_without_a_minutes_pause_and_without_losing_one() {
    let (bad, good) = (
        HttpServer::start(Act::answer(200, DOWN)).await,
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
    );
    let settings =
        "[sms]\ntransport = \"gateways\"\n".to_owned() + &http("bad", 1, bad.port) + &http("good", 2, good.port);
    let hall = Hall::open_quiet("2026-03-04 08:00", &settings).await;
    let case = json!({
        "resident": { "name": "沈怀瑾", "phone": "13900000001", "born": 1970 },
        "matter": "labour_assessment",
        "request": "询问进度",
        "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": "2026-03-05 10:00" }],
    });
    hall.take_in("lin", case).await;
    hall.run_until("2026-03-04 20:00").await;
    assert!(!bad.requests().is_empty(), "the first in order was tried");
    assert!(!good.requests().is_empty(), "the second took over");
    assert_eq!(
        hall.column("select cast(count(*) as text) from reminders where way = 'sms' and state <> 'accepted'")
            .await,
        ["0"]
    );
}

#[tokio::test]
async fn a_cloud_gets_codes_and_parameters_and_a_text_it_has_no_template_for_goes_to_the_next() {
    let (cloud, plain) = (
        HttpServer::start(Act::answer(200, r#"{"Code":"OK","BizId":"9006^0"}"#)).await,
        HttpServer::start(Act::answer(200, ACCEPTED)).await,
    );
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "secret").unwrap();
    let ali = format!(
        r#"
        [sms.gateway.ali]
        order = 1
        receipts = true
        [sms.gateway.ali.aliyun]
        url = "http://127.0.0.1:{}"
        key_id = "id"
        key_secret = {{ file = {:?} }}
        sign_name = "示例签名"
        [sms.gateway.ali.aliyun.templates.deadline]
        code = "SMS_1"
        params = {{ day = "{{{{ day }}}}" }}
        "#,
        cloud.port, key
    );
    let gateway = gateways(&(ali + &http("plain", 2, plain.port)));
    let (by, _) = send(&gateway).await;
    assert_eq!(by.as_deref(), Some("plain"), "no template, so the next one");

    let coded = Coded {
        gateway: "ali".to_owned(),
        code: "SMS_1".to_owned(),
        params: vec![("day".to_owned(), "1月30日".to_owned())],
    };
    let wire = gateway
        .prepare(&Sms {
            coded: vec![coded],
            ..sms()
        })
        .unwrap();
    assert_eq!((wire.gateway().as_deref(), wire.is_reported()), (Some("ali"), true));
    assert_eq!(gateway.send(&wire).await.name(), "accepted");
    let requests = cloud.requests();
    let head = &requests[0].head;
    for part in [
        "POST /?OutId=d-1&PhoneNumbers=13900000000&SignName=%E7%A4%BA%E4%BE%8B%E7%AD%BE%E5%90%8D&TemplateCode=SMS_1",
        "TemplateParam=%7B%22day%22%3A%221%E6%9C%8830%E6%97%A5%22%7D ",
        "x-acs-action: SendSms",
        "x-acs-date: 2026-03-09T01:02:03Z",
        "ACS3-HMAC-SHA256 Credential=id,",
    ] {
        assert!(head.contains(part), "{part}\n{head}");
    }
    assert!(
        !head.contains("%E8%AF%B7%E4%BA%8E%E5%91%A8%E4%BA%94"),
        "no free text: {head}"
    );
}

#[tokio::test]
async fn tencent_gets_numbered_parameters_and_our_id() {
    let cloud = HttpServer::start(Act::answer(
        200,
        r#"{"Response":{"SendStatusSet":[{"SerialNo":"5000:1045710669157053657849499619","Code":"Ok"}]}}"#,
    ))
    .await;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "secret").unwrap();
    let gateway = gateways(&format!(
        r#"
        [sms.gateway.tx]
        order = 1
        [sms.gateway.tx.tencent]
        url = "http://127.0.0.1:{}"
        app_id = "1400006666"
        key_id = "id"
        key_secret = {{ file = {:?} }}
        [sms.gateway.tx.tencent.templates.deadline]
        code = "1110"
        params = ["{{{{ day }}}}", "{{{{ hall_phone }}}}"]
        "#,
        cloud.port, key
    ));
    let coded = Coded {
        gateway: "tx".to_owned(),
        code: "1110".to_owned(),
        params: vec![
            ("1".to_owned(), "1月30日".to_owned()),
            ("2".to_owned(), "010-00000000".to_owned()),
        ],
    };
    let wire = gateway
        .prepare(&Sms {
            coded: vec![coded],
            ..sms()
        })
        .unwrap();
    let outcome = gateway.send(&wire).await;
    assert_eq!(outcome.reference(), Some("5000:1045710669157053657849499619"));
    let requests = cloud.requests();
    let sent: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(
        sent,
        json!({
            "PhoneNumberSet": ["+8613900000000"], "SmsSdkAppId": "1400006666", "SignName": "示例",
            "TemplateId": "1110", "TemplateParamSet": ["1月30日", "010-00000000"], "SessionContext": "d-1",
        })
    );
    assert!(
        requests[0].head.contains("x-tc-action: SendSms"),
        "{}",
        requests[0].head
    );
    assert!(
        requests[0].head.contains("x-tc-timestamp: 1773018123"),
        "{}",
        requests[0].head
    );
}

/// The shipped example for Yun MAS, as an operator would copy it, gives the body and the digest that the carrier documents.
#[tokio::test]
async fn the_example_for_yunmas_gives_the_documented_request() {
    let server = HttpServer::start(Act::answer(
        200,
        r#"{"rspcod":"success","success":true,"msgGroup":"0309090203001000000001"}"#,
    ))
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut text = include_str!("../../config/examples/sms-yunmas.toml.example").replace(
        "https://<address.of.yunmas>",
        &format!("http://127.0.0.1:{}", server.port),
    );
    for (name, value) in [
        ("ec-name", "示例单位"),
        ("ap-id", "demo"),
        ("key", "k3y"),
        ("sign", "SIGN01"),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, value).unwrap();
        text = text.replace(
            &format!("{{ credential = \"yunmas-{name}\" }}"),
            &format!("{{ file = {file:?} }}"),
        );
    }
    let gateway = gateways(&text.replace("[sms]\ntransport = \"gateways\"\n", ""));
    let (by, outcome) = send(&gateway).await;
    assert_eq!(
        (by.as_deref(), outcome.reference()),
        (Some("yunmas"), Some("0309090203001000000001"))
    );

    use base64::Engine as _;
    let body = server.requests()[0].body.clone();
    let body = base64::engine::general_purpose::STANDARD.decode(body.trim()).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
    // md5("示例单位" + "demo" + "k3y" + "13900000000" + "【示例】请于周五前回电" + "SIGN01" + "")
    assert_eq!(
        sent,
        json!({
            "ecName": "示例单位", "apId": "demo", "mobiles": "13900000000", "content": "【示例】请于周五前回电",
            "sign": "SIGN01", "addSerial": "", "mac": "e196a8ed1b8948e0fde49d3bf4e33a16",
        })
    );
}

fn loaded(dir: &Path) -> Result<xixin::config::Loaded, String> {
    let place = Place {
        config: dir.to_owned(),
        environment: Default::default(),
    };
    place
        .load()
        .map(|(loaded, _)| loaded)
        .map_err(|problems| problems.to_string())
}

#[test]
fn texts_that_a_cloud_has_no_template_for_are_told_and_one_that_nobody_can_say_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let ali = "[sms.gateway.ali]\norder = 1\n[sms.gateway.ali.aliyun]\nkey_id = \"id\"\nkey_secret = { credential = \"k\" }\n\
               [sms.gateway.ali.aliyun.templates.callback_due]\ncode = \"SMS_1\"\n\
               [sms.gateway.ali.aliyun.templates.deadline-resident]\ncode = \"SMS_2\"\n";
    let remarks = || {
        let today = jiff::civil::date(2026, 3, 9);
        let said = xixin::config::remarks(&loaded(dir.path()).unwrap(), today);
        let of_sms = said
            .into_iter()
            .map(|said| said.en)
            .filter(|said| said.starts_with("sms.gateway"));
        of_sms.collect::<Vec<_>>()
    };
    settings(dir.path(), &(ali.to_owned() + &http("plain", 2, 9)));
    let [lacking] = &remarks()[..] else {
        panic!("{:?}", remarks())
    };
    assert!(
        lacking.starts_with("sms.gateway.ali has no template for these texts, so other gateways"),
        "{lacking}"
    );
    assert!(
        lacking.contains("appointment-resident") && !lacking.contains("callback_due"),
        "{lacking}"
    );
    assert!(!lacking.contains("deadline-resident"), "{lacking}");

    settings(dir.path(), ali);
    let [nobody] = &remarks()[..] else {
        panic!("{:?}", remarks())
    };
    assert!(
        nobody.starts_with("sms.gateway: no gateway has a template for these texts"),
        "{nobody}"
    );

    let rung = "\n[[ladder.callback.rung]]\nname = \"sms-only\"\nwhen = \"on due\"\nto = [\"resident\"]\nby = [\"sms\"]\ntext = \"TEXT\"\n";
    let ladders = dir.path().join("ladders.toml");
    let before = std::fs::read_to_string(&ladders).unwrap();
    std::fs::write(&ladders, before.clone() + &rung.replace("TEXT", "callback_due")).unwrap();
    assert!(loaded(dir.path()).is_ok());
    std::fs::write(&ladders, before + &rung.replace("TEXT", "appointment")).unwrap();
    let problems = loaded(dir.path()).unwrap_err();
    assert!(
        problems.contains("appointment goes to a resident by SMS only, and no gateway has a template for it"),
        "{problems}"
    );
}
