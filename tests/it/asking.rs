//! SMS gateways that are asked what became of a message: what each is asked, and what its answer comes to.

use std::path::Path;

use serde_json::{Value, json};
use xixin::app::Place;
use xixin::channel::sms::{Gateways, Known, Question, SmsGateway};
use xixin::config::write_to;

use crate::support::hall::Hall;
use crate::support::http_server::{Act, HttpServer, Request};
use crate::support::intake::{resident, visit};

fn gateways(dir: &Path, text: &str) -> SmsGateway {
    write_to(dir).unwrap();
    std::fs::create_dir_all(dir.join("conf.d")).unwrap();
    std::fs::write(dir.join("key"), "secret").unwrap();
    let text = text.replace("KEY", &format!("{:?}", dir.join("key")));
    std::fs::write(
        dir.join("conf.d/10-sms.toml"),
        format!("[sms]\ntransport = \"gateways\"\n{text}"),
    )
    .unwrap();
    let place = Place {
        config: dir.to_owned(),
        environment: Default::default(),
    };
    let loaded = place.load().unwrap_or_else(|problems| panic!("{problems}")).0;
    let gateways = Gateways::new(&loaded.settings.sms, None);
    SmsGateway::Several(gateways.unwrap_or_else(|error| panic!("{error}: {}", error.what())))
}

fn aliyun(port: u16) -> String {
    format!(
        r#"
        [sms.gateway.ali]
        order = 1
        [sms.gateway.ali.aliyun]
        url = "http://127.0.0.1:{port}"
        key_id = "id"
        key_secret = {{ file = KEY }}
        [sms.gateway.ali.aliyun.templates.deadline]
        code = "SMS_1"
        "#
    )
}

fn tencent(port: u16) -> String {
    format!(
        r#"
        [sms.gateway.tx]
        order = 1
        [sms.gateway.tx.tencent]
        url = "http://127.0.0.1:{port}"
        app_id = "1400006666"
        key_id = "id"
        key_secret = {{ file = KEY }}
        [sms.gateway.tx.tencent.templates.deadline]
        code = "1110"
        "#
    )
}

/// A gateway that is asked for the list of a number, and takes messages somewhere else.
fn described(name: &str, send: u16, ask: u16, more: &str) -> String {
    format!(
        r#"
        [sms.gateway.{name}]
        order = 1
        [sms.gateway.{name}.http]
        method = "POST"
        url = "http://127.0.0.1:{send}/send"
        body = "{{{{ to }}}}"
        secrets = {{ key = {{ file = KEY }} }}
        success = {{ status = [200], pointer = "/code", equals = "OK" }}
        connections = 4
        timeout_s = 20
        [sms.gateway.{name}.http.query]
        method = "POST"
        url = "http://127.0.0.1:{ask}/status/{{{{ id|urlencode }}}}"
        headers = {{ "X-Sign" = "{{{{ (to ~ secret.key)|md5 }}}}" }}
        body = "{{{{ to }}}} {{{{ sent('%Y%m%d %H:%M') }}}} {{{{ now('%s') }}}}"
        success = {{ status = [200], pointer = "/code", equals = "0" }}
        {more}
        status = "/status"
        taken = ["WAIT"]
        delivered = ["DELIVRD"]
        failed = ["UNDELIV"]
        absent = ["NONE"]
        "#
    )
}

fn question(gateway: &str, sent: &str) -> Question {
    let sent: jiff::Timestamp = sent.parse().unwrap();
    Question {
        gateway: Some(gateway.to_owned()),
        id: "d-1".to_owned(),
        to: "13900000000".to_owned(),
        sent,
        at: sent + jiff::SignedDuration::from_mins(10),
    }
}

/// A gateway whose server has this port.
type Settings = fn(u16) -> String;

/// What one question comes to with these answers, and what was asked.
async fn asked(settings: Settings, question: &Question, acts: Vec<Act>) -> (Known, Vec<Request>) {
    let server = HttpServer::start_each(acts).await;
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateways(dir.path(), &settings(server.port));
    assert!(gateway.can_query(question.gateway.as_deref()));
    (gateway.query(question).await, server.requests())
}

/// A page of Aliyun's records: the ids and statuses on it, and how many there are in all.
fn page(records: &[(&str, u8)], total: usize) -> Act {
    let records: Vec<Value> = records
        .iter()
        .map(|(id, status)| {
            json!({
                "ErrCode": if *status == 3 { "DELIVERED" } else { "MK:0001" }, "OutId": id, "SendStatus": status,
                "PhoneNum": "13900000000", "TemplateCode": "SMS_1", "SendDate": "2026-03-09 23:59:00", "Content": "【示例】您好",
            })
        })
        .collect();
    let answer = json!({
        "Code": "OK", "Message": "OK", "TotalCount": total.to_string(), "SmsSendDetailDTOs": { "SmsSendDetailDTO": records },
    });
    Act::answer(200, &answer.to_string())
}

const NOON: &str = "2026-03-09T04:00:00Z";

#[tokio::test]
async fn aliyun_is_asked_page_by_page_for_the_days_in_beijing_on_which_it_may_have_been_sent() {
    let foreign: Vec<(String, u8)> = (0..60).map(|number| (format!("other-{number}"), 3)).collect();
    let foreign: Vec<(&str, u8)> = foreign.iter().map(|(id, status)| (id.as_str(), *status)).collect();
    let acts = vec![
        page(&foreign[..50], 60),
        page(&foreign[50..], 60),
        page(&[("other", 3), ("d-1", 3)], 2),
    ];
    // Five minutes before midnight there, in the afternoon of the same day in Greenwich.
    let question = question("ali", "2026-03-09T15:55:00Z");
    let (known, requests) = asked(aliyun, &question, acts).await;
    assert_eq!(known, Known::Arrived { reference: None });
    let lines: Vec<&str> = requests
        .iter()
        .filter_map(|request| request.head.lines().next())
        .collect();
    let line = |page: u8, day: &str| {
        format!("POST /?CurrentPage={page}&PageSize=50&PhoneNumber=13900000000&SendDate={day} HTTP/1.1")
    };
    assert_eq!(lines, [line(1, "20260309"), line(2, "20260309"), line(1, "20260310")]);
    for part in [
        "x-acs-action: QuerySendDetails",
        "x-acs-date: 2026-03-09T16:05:00Z",
        "ACS3-HMAC-SHA256 Credential=id,",
    ] {
        assert!(requests[0].head.contains(part), "{}", requests[0].head);
    }
    // Half past midnight there is still the day before in Greenwich, and one day is asked for.
    let question = self::question("ali", "2026-03-08T16:30:00Z");
    let (_, requests) = asked(aliyun, &question, vec![page(&[], 0)]).await;
    assert_eq!(requests.len(), 1);
    assert!(requests[0].head.contains("SendDate=20260309"), "{}", requests[0].head);
}

#[tokio::test]
async fn what_aliyun_answers_has_one_meaning_and_what_is_no_answer_has_none() {
    let failed = Known::Failed {
        reason: "短信未送达(MK:0001) / the SMS was not delivered (MK:0001)".to_owned(),
    };
    let (arrived, taken) = (Known::Arrived { reference: None }, Known::Taken { reference: None });
    let table = [
        (page(&[("other", 3), ("d-1", 1)], 2), taken),
        (page(&[("d-1", 2)], 1), failed),
        (page(&[("d-1", 3)], 1), arrived.clone()),
        // Two copies under one name, of which one arrived.
        (page(&[("d-1", 3), ("d-1", 2)], 2), arrived),
        (page(&[("other", 3)], 1), Known::Absent),
        (page(&[], 0), Known::Absent),
        (page(&[("d-1", 7)], 1), Known::Unclear),
        (Act::answer(400, r#"{"Code":"SignatureDoesNotMatch"}"#), Known::Unclear),
        (Act::answer(403, r#"{"Code":"NoPermission"}"#), Known::Unclear),
        (Act::answer(400, r#"{"Code":"Throttling.User"}"#), Known::Unclear),
        (Act::answer(200, r#"{"Code":"OK"}"#), Known::Unclear),
        (
            Act::answer(
                200,
                r#"{"Code":"OK","TotalCount":"x","SmsSendDetailDTOs":{"SmsSendDetailDTO":[]}}"#,
            ),
            Known::Unclear,
        ),
        (Act::answer(200, "<html>"), Known::Unclear),
        (Act::answer(503, ""), Known::Unclear),
        (Act::Drop, Known::Unclear),
    ];
    for (act, expected) in table {
        let (known, _) = asked(aliyun, &question("ali", NOON), vec![act.clone()]).await;
        assert_eq!(known, expected, "{act:?}");
    }
    // Its records are kept for thirty days: afterwards nothing follows from an empty page.
    let mut late = question("ali", NOON);
    late.at = late.sent + jiff::SignedDuration::from_hours(31 * 24);
    let (known, _) = asked(aliyun, &late, vec![page(&[], 0)]).await;
    assert_eq!(known, Known::Unclear);
}

#[tokio::test]
async fn pages_without_end_are_not_read_without_end() {
    let (known, requests) = asked(aliyun, &question("ali", NOON), vec![page(&[("other", 3)], 100_000)]).await;
    assert_eq!((known, requests.len()), (Known::Unclear, 10));
}

#[tokio::test]
async fn tencent_is_asked_by_number_and_time_and_only_what_bears_our_id_is_ours() {
    let status = |context: Value, report: &str| {
        json!({
            "Description": "DELIVRD", "CountryCode": "86", "SubscriberNumber": "13900000000", "ReportStatus": report,
            "PhoneNumber": "+8613900000000", "SerialNo": "5000:1045", "UserReceiveTime": 1_620_734_188, "SessionContext": context,
        })
    };
    let set = |set: &[Value]| Act::answer(200, &json!({ "Response": { "PullSmsSendStatusSet": set } }).to_string());
    let error = |code: &str| Act::answer(200, &json!({ "Response": { "Error": { "Code": code } } }).to_string());
    let arrived = Known::Arrived {
        reference: Some("5000:1045".to_owned()),
    };
    let failed = Known::Failed {
        reason: "短信未送达(DELIVRD) / the SMS was not delivered (DELIVRD)".to_owned(),
    };
    let table = [
        (
            set(&[status(json!("other"), "FAIL"), status(json!("d-1"), "SUCCESS")]),
            arrived.clone(),
        ),
        (
            set(&[status(json!("d-1"), "FAIL"), status(json!("d-1"), "SUCCESS")]),
            arrived,
        ),
        (set(&[status(json!("d-1"), "FAIL")]), failed),
        // It tells how deliveries ended, not what is on its way: that ours is not there says nothing.
        (set(&[status(json!("other"), "SUCCESS")]), Known::Unclear),
        (set(&[]), Known::Unclear),
        // Accounts that have not asked for it get no SessionContext back.
        (set(&[status(json!(""), "SUCCESS")]), Known::Unclear),
        (set(&[status(Value::Null, "SUCCESS")]), Known::Unclear),
        (error("AuthFailure.SignatureFailure"), Known::Unclear),
        (error("RequestLimitExceeded"), Known::Unclear),
        (Act::answer(502, "<html>"), Known::Unclear),
        (Act::Drop, Known::Unclear),
    ];
    for (act, expected) in table {
        let (known, requests) = asked(tencent, &question("tx", NOON), vec![act.clone()]).await;
        assert_eq!(known, expected, "{act:?}");
        let body: Value = serde_json::from_str(&requests[0].body).unwrap();
        assert_eq!(
            body,
            json!({
                "SmsSdkAppId": "1400006666", "PhoneNumber": "+8613900000000", "BeginTime": 1_773_028_200,
                "EndTime": 1_773_029_400, "Offset": 0, "Limit": 100,
            })
        );
        let head = &requests[0].head;
        assert!(head.contains("x-tc-action: PullSmsSendStatusByPhoneNumber"), "{head}");
        assert!(head.contains("x-tc-timestamp: 1773029400"), "{head}");
    }
}

fn one(port: u16) -> String {
    described("county", 1, port, "reference = \"/msg\"")
}

fn listed(port: u16) -> String {
    described("county", 1, port, "list = \"/list\"\nid = \"/ref\"")
}

fn complete(port: u16) -> String {
    described("county", 1, port, "list = \"/list\"\nid = \"/ref\"\nshows_all = true")
}

#[tokio::test]
async fn a_described_gateway_is_asked_and_read_as_its_settings_say() {
    let failed = Known::Failed {
        reason: "短信未送达(UNDELIV) / the SMS was not delivered (UNDELIV)".to_owned(),
    };
    let arrived = Known::Arrived { reference: None };
    let taken = Known::Taken {
        reference: Some("900".to_owned()),
    };
    let other = r#"{"code":0,"list":[{"ref":"other","status":"DELIVRD"}]}"#;
    let both = r#"{"code":0,"list":[{"ref":"other","status":"DELIVRD"},{"ref":"d-1","status":"UNDELIV"}]}"#;
    let table: [(Settings, u16, &str, Known); 12] = [
        (one, 200, r#"{"code":0,"status":"WAIT","msg":"900"}"#, taken),
        (one, 200, r#"{"code":0,"status":"DELIVRD"}"#, arrived),
        (one, 200, r#"{"code":0,"status":"UNDELIV"}"#, failed.clone()),
        (one, 200, r#"{"code":0,"status":"NONE"}"#, Known::Absent),
        (one, 200, r#"{"code":0,"status":"SOMETHING"}"#, Known::Unclear),
        (one, 200, r#"{"code":7,"status":"DELIVRD"}"#, Known::Unclear),
        (one, 500, r#"{"code":0,"status":"DELIVRD"}"#, Known::Unclear),
        (one, 200, "<html>", Known::Unclear),
        (listed, 200, both, failed),
        (listed, 200, other, Known::Unclear),
        (complete, 200, other, Known::Absent),
        (complete, 200, r#"{"code":0}"#, Known::Unclear),
    ];
    for (settings, status, body, expected) in table {
        let question = question("county", "2026-03-08T16:30:00Z");
        let (known, requests) = asked(settings, &question, vec![Act::answer(status, body)]).await;
        assert_eq!(known, expected, "{status} {body}");
        assert!(
            requests[0].head.starts_with("POST /status/d-1 HTTP/1.1\r\n"),
            "{}",
            requests[0].head
        );
        // md5("13900000000secret")
        let sign = "x-sign: f27536cc9d8f20069cfdb74df0ddd137";
        assert!(
            requests[0].head.to_ascii_lowercase().contains(sign),
            "{}",
            requests[0].head
        );
        assert_eq!(requests[0].body, "13900000000 20260309 00:30 1772988000");
    }
}

/// A hall whose only gateway takes the words of an SMS and never answers, and is asked somewhere else.
async fn silent_hall(answers: Vec<Act>) -> (Hall, xixin::domain::ids::CaseId, HttpServer, HttpServer) {
    let (send, ask) = (
        HttpServer::start(Act::Drop).await,
        HttpServer::start_each(answers).await,
    );
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "secret").unwrap();
    let settings = described("county", send.port, ask.port, "").replace("KEY", &format!("{:?}", key.path()));
    let settings = format!("[sms]\ntransport = \"gateways\"\n{settings}");
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(send.requests().len(), 1);
    (hall, case, send, ask)
}

fn status(word: &str) -> Act {
    Act::answer(200, &json!({ "code": 0, "status": word }).to_string())
}

#[tokio::test]
pub(crate) async fn an_sms_without_an_answer_is_asked_about_and_what_arrived_is_closed() {
    let (hall, case, send, ask) = silent_hall(vec![Act::Drop, status("DELIVRD")]).await;
    hall.run_until("2026-03-04 12:00").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident sms delivered".to_owned()), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains("phone")), "{rows:?}");
    assert_eq!((send.requests().len(), ask.requests().len()), (1, 2));
}

#[tokio::test]
pub(crate) async fn what_never_arrived_there_goes_once_more_and_a_second_doubt_is_told_by_a_person() {
    let (hall, case, send, ask) = silent_hall(vec![status("NONE")]).await;
    hall.run_until("2026-03-04 12:00").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident sms uncertain".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    assert_eq!((send.requests().len(), ask.requests().len()), (2, 6));
    let ids = hall
        .column("select distinct wire_id from attempts where way = 'sms'")
        .await;
    assert_eq!(ids.len(), 1, "both copies have one name");
}

#[tokio::test]
pub(crate) async fn what_a_gateway_has_given_up_becomes_a_call() {
    let (hall, case, send, _) = silent_hall(vec![status("WAIT-A-BIT"), status("UNDELIV")]).await;
    hall.run_until("2026-03-04 12:00").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident sms refused".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    assert_eq!(send.requests().len(), 1);
}

#[tokio::test]
async fn only_the_gateway_that_a_message_went_by_is_asked() {
    let (first, second) = (
        HttpServer::start(status("DELIVRD")).await,
        HttpServer::start(status("UNDELIV")).await,
    );
    let dir = tempfile::tempdir().unwrap();
    let centre = "[sms.gateway.hall]\norder = 3\n[sms.gateway.hall.kannel]\nurl = \"http://127.0.0.1:1/\"\nusername = \"u\"\n\
                  password = { file = KEY }\n";
    let text = described("a", 1, first.port, "") + &described("b", 1, second.port, "") + centre;
    let gateway = gateways(dir.path(), &text);
    let known = gateway.query(&question("b", NOON)).await;
    assert!(matches!(known, Known::Failed { .. }), "{known:?}");
    assert_eq!((first.requests().len(), second.requests().len()), (0, 1));
    // One that is gone, one that cannot be asked, and none at all.
    for (name, can) in [("a", true), ("gone", false), ("hall", false)] {
        assert_eq!(gateway.can_query(Some(name)), can, "{name}");
    }
    assert_eq!(gateway.query(&question("hall", NOON)).await, Known::Unclear);
    assert!(!gateway.can_query(None) && gateway.any_can_be_asked());
}
