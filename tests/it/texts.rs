//! The texts: the shipped ones word for word, and what no template can be made to say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use xixin::clock::Clock as _;
use xixin::domain::ladder::{Audience, Way};
use xixin::domain::notice::sheet;
use xixin::domain::person::Language;
use xixin::domain::text::{sms_segments, sms_units};
use xixin::engine::digest_content;
use xixin::template::{Brief, Detail, Message, Reader, Texts, Words};

use crate::support::hall::{Hall, Left, copy_dir, shipped};
use crate::support::in_english;

/// Compares with a file that a person has read. `XIXIN_GOLDEN=write cargo test` writes it anew, to be read again.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "tests/golden/{name} differs");
}

/// What left, as a person would read it, in an order that does not depend on ids.
fn read_out(mut left: Vec<Left>) -> String {
    left.sort_by(|a, b| (&a.to, a.way, &a.subject, &a.text).cmp(&(&b.to, b.way, &b.subject, &b.text)));
    let mut text = String::new();
    for message in left {
        let way = message.way.name();
        let _ = writeln!(text, "==== {way} → {}", message.to);
        if !message.subject.is_empty() {
            let _ = writeln!(text, "{}\n", message.subject);
        }
        let _ = writeln!(text, "{}\n", message.text.replace("\r\n", "\n").trim_end());
    }
    without_ids(&text)
}

/// Task ids are drawn anew in every run.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4;
    let read = |word: &str| match word.strip_prefix("task=") {
        Some(id) if is_id(id) => "task=<id>".to_owned(),
        None if is_id(word) => "<id>".to_owned(),
        _ => word.to_owned(),
    };
    text.split_inclusive([' ', '\n'])
        .map(|piece| {
            let word = piece.trim_end_matches([' ', '\n']);
            format!("{}{}", read(word), &piece[word.len()..])
        })
        .collect()
}

fn person(name: &str, gender: &str, phone: &str) -> Value {
    json!({ "name": name, "gender": gender, "phone": phone, "born": 1979 })
}

/// What leaves on one day, to one address or everybody.
async fn on(hall: &Hall, until: &str, to: &str) -> String {
    hall.run_until(until).await;
    let mut left = hall.take_reminders();
    left.retain(|message| to.is_empty() || message.to == to);
    format!("######## {until}\n\n{}", read_out(left))
}

/// Lets the days pass unread.
async fn skip_to(hall: &Hall, until: &str) {
    hall.run_until(until).await;
    drop(hall.take_left());
}

#[tokio::test]
async fn a_deadline_is_told_word_for_word() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("沈静之", "female", "13900000001"), "matter": "cremation_certificate", "request": "证明找不到了。",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-03-20" }],
    });
    hall.take_in("lin", case).await;
    skip_to(&hall, "2026-03-05 20:00").await;
    let mut told = on(&hall, "2026-03-06 20:00", "").await;
    skip_to(&hall, "2026-03-12 20:00").await;
    told += &on(&hall, "2026-03-13 20:00", "lin@example.org").await;
    skip_to(&hall, "2026-03-22 20:00").await;
    told += &on(&hall, "2026-03-23 20:00", "gu@example.org").await;
    golden("deadline.txt", &told);
}

#[tokio::test]
async fn a_date_that_is_not_known_is_told_as_unsafe() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("郑怀安", "male", "13900000002"), "matter": "funeral_benefit", "request": "哪天说不准。",
        "deadlines": [{ "kind": "funeral_benefit" }],
    });
    hall.take_in("lin", case).await;
    golden("verify_date.txt", &on(&hall, "2026-03-02 20:00", "").await);
}

#[tokio::test]
async fn an_estimated_and_a_provisional_date_say_so() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("司徒云", "female", "13900000011"), "matter": "cremation_certificate", "request": "大概是那年春天。",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-04-01..2016-05-31" }],
    });
    hall.take_in("lin", case).await;
    let told = on(&hall, "2026-03-02 20:00", "lin@example.org").await;
    assert!(told.contains("[估算]") && told.contains("[estimated]"), "{told}");
    assert!(!told.contains("[暂定]"), "{told}");

    let hall = Hall::open("2027-03-02 08:00").await;
    let case = json!({
        "resident": person("司徒云", "female", "13900000011"), "matter": "cremation_certificate", "request": "证明找不到了。",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2017-03-20" }],
    });
    hall.take_in("lin", case).await;
    let told = on(&hall, "2027-03-02 20:00", "lin@example.org").await;
    assert!(told.contains("[暂定]") && told.contains("[provisional]"), "{told}");
}

#[tokio::test]
async fn a_promised_call_is_told_word_for_word() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("温素心", "female", "13900000003"), "matter": "funeral_benefit", "request": "补助怎么办。",
        "deadlines": [{ "kind": "funeral_benefit", "trigger": "2026-02-20" }],
        "callbacks": [{ "words": "周四下午给您回电话", "due": "2026-03-05T15:00" }],
    });
    hall.take_in("lin", case).await;
    skip_to(&hall, "2026-03-04 20:00").await;
    let mut told = on(&hall, "2026-03-05 20:00", "").await;
    told += &on(&hall, "2026-03-06 20:00", "").await;
    golden("callback.txt", &told);
}

#[tokio::test]
async fn an_appointment_is_told_to_everybody_as_they_may_know_it() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("欧阳文秀", "female", "13900000005"),
        "relatives": [
            { "name": "欧阳晴", "relation": "女儿", "gender": "female", "phone": "13900000006", "opted_in": true, "may_know": "date_only" },
            { "name": "欧阳朗", "relation": "儿子", "gender": "male", "email": "lang@example.org", "opted_in": true, "may_know": "full" },
            { "name": "Jane Miller", "relation": "儿媳", "gender": "female", "email": "jane@example.org",
              "opted_in": true, "may_know": "date_only" },
            { "name": "欧阳山", "relation": "弟弟", "gender": "male", "phone": "13900000017", "opted_in": false, "may_know": "full" },
        ],
        "matter": "labour_assessment", "request": "想做鉴定。",
        "appointments": [{
            "what": "现场核验", "office": "labour_assessment", "start": "2026-03-06T09:30", "with": "zhou",
            "bring": ["身份证", "诊断证明", "照片两张", "户口本", "复印件"],
        }],
    });
    hall.take_in("lin", case).await;
    skip_to(&hall, "2026-03-04 20:00").await;
    let told = on(&hall, "2026-03-05 20:00", "").await;
    let for_dates_only: Vec<&str> = told
        .split("==== ")
        .filter(|part| part.contains("13900000006") || part.contains("jane@example.org"))
        .collect();
    assert_eq!(for_dates_only.len(), 2);
    for part in for_dates_only {
        for private in [
            "鉴定",
            "labour",
            "诊断",
            "身份证",
            "2026-000001",
            "欧阳文秀",
            "certificate",
        ] {
            assert!(!part.contains(private), "{private}: {part}");
        }
    }
    let sms = told.split("==== ").find(|part| part.contains("13900000005")).unwrap();
    assert!(
        sms.contains("请带身份证、照片两张、户口本。"),
        "three things at most, none that tells: {sms}"
    );
    assert!(!told.contains("13900000017"), "who did not opt in is not told");
    skip_to(&hall, "2026-03-06 09:00").await;
    let told = format!("{told}{}", on(&hall, "2026-03-06 20:00", "").await);
    golden("appointment.txt", &told);
}

#[tokio::test]
async fn a_call_instead_of_a_message_says_whom_why_and_what() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": { "name": "唐守诚", "gender": "male", "phone": "13900000007", "born": 1945, "flags": ["bereaved"] },
        "matter": "expedited_reimbursement", "request": "药费垫了几个月。", "flags": ["sensitive_tone"],
        "appointments": [{ "what": "递交票据", "office": "medical_insurance", "start": "2026-03-05T09:30", "bring": ["身份证"] }],
    });
    let case = hall.take_in("zhou", case).await;
    skip_to(&hall, "2026-03-03 20:00").await;
    let told = on(&hall, "2026-03-04 20:00", "").await;
    golden("call_task.txt", &told);
    let task = hall
        .ledger(&case)
        .await
        .into_iter()
        .find(|row| row.state == "task")
        .unwrap();
    let done = json!({ "do": "task_done", "task": task.id, "result": "reached" });
    hall.act("zhou", &case, done).await.unwrap();
}

#[tokio::test]
async fn a_resident_is_written_to_in_their_language() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let ann =
        json!({ "name": "Ann Miller", "gender": "female", "phone": "13900000012", "born": 1979, "language": "en" });
    let bob = json!({ "name": "Bob Baker", "email": "bob@example.org", "born": 1979, "language": "en" });
    for resident in [ann, bob] {
        let case = json!({
            "resident": resident, "matter": "cremation_certificate", "request": "证明找不到了。",
            "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-03-20" }],
        });
        hall.take_in("lin", case).await;
    }
    skip_to(&hall, "2026-03-05 20:00").await;
    hall.run_until("2026-03-06 20:00").await;
    let mut left = hall.take_reminders();
    left.retain(|message| message.to == "13900000012" || message.to == "bob@example.org");
    golden("english.txt", &read_out(left));
}

#[tokio::test]
async fn an_sms_of_every_shipped_text_fits_where_the_samples_do() {
    // The sample texts T1 (a date that must be kept), T2 (an appointment) and T3 (a promised call), with the same signature: one
    // segment each, as the samples.
    let hall = Hall::open("2026-03-02 08:00").await;
    let rungs = "\n[[ladder.callback.rung]]\nname = \"tell-resident\"\nwhen = \"on due\"\nat = \"10:00\"\noff_day = \"stay\"\n\
                 to = [\"resident\"]\nby = [\"sms\"]\ntext = \"callback_due\"\n";
    let ladders = hall.config().join("ladders.toml");
    let text = std::fs::read_to_string(&ladders).unwrap();
    std::fs::write(&ladders, format!("{text}{rungs}")).unwrap();
    hall.app.reload().await.unwrap();
    for (case, until) in [
        (
            json!({ "resident": person("沈静之", "female", "13900000001"), "matter": "cremation_certificate", "request": "x",
                    "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-03-16" }] }),
            "2026-03-02 20:00",
        ),
        (
            json!({ "resident": person("郑怀安", "female", "13900000002"), "matter": "labour_assessment", "request": "x",
                    "appointments": [{ "what": "现场核验", "office": "labour_assessment", "start": "2026-03-06T09:30", "bring": ["身份证"] }] }),
            "2026-03-05 20:00",
        ),
        (
            json!({ "resident": person("王明", "male", "13900000003"), "matter": "labour_assessment", "request": "x",
                    "callbacks": [{ "words": "x", "due": "2026-03-06T15:00" }] }),
            "2026-03-06 20:00",
        ),
    ] {
        hall.take_in("lin", case).await;
        hall.run_until(until).await;
        let sms: Vec<String> = hall
            .take_reminders()
            .into_iter()
            .filter(|left| left.way == Way::Sms && left.to.starts_with("1390000000"))
            .map(|left| left.text)
            .collect();
        assert_eq!(sms.len(), 1, "{sms:?}");
        let units = sms_units(&sms[0]);
        assert_eq!(sms_segments(units), 1, "{units}: {}", sms[0]);
        golden(
            &format!("sms-{}.txt", &until[..10]),
            &format!("{}\n{units} units\n", sms[0]),
        );
    }
}

/// A hall on the evening before the last workday before the Spring Festival block of 2026 (14 February is a make-up Saturday), with a little of everything.
async fn busy_hall() -> Hall {
    let hall = Hall::open("2026-02-02 09:00").await;
    let of = |name: &str, gender: &str, phone: &str| person(name, gender, phone);
    let shen = json!({
        "resident": of("沈静之", "female", "13900000001"), "matter": "cremation_certificate", "request": "证明找不到了。",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-02-20" }],
    });
    let wen = json!({
        "resident": { "name": "温素心", "gender": "female", "phone": "13900000003", "born": 1968, "flags": ["bereaved"] },
        "matter": "funeral_benefit", "request": "老伴走了,补助怎么办。", "flags": ["sensitive_tone"],
        "deadlines": [{ "kind": "funeral_benefit", "trigger": "2025-12-28" }],
        "callbacks": [{ "words": "周六下午给您回电话", "due": "2026-02-14T15:00" }],
    });
    let he = json!({
        "resident": of("贺东升", "male", "13900000004"), "matter": "file_transfer", "request": "单位一直不转档案。",
        "deadlines": [{ "kind": "file_transfer", "trigger": "2026-02-05" }],
        "callbacks": [{ "words": "问过单位就告诉您", "due": "2026-02-10" }],
    });
    let tang = json!({
        "resident": { "name": "唐守诚", "gender": "male", "phone": "13900000007", "born": 1945, "flags": ["mobility"] },
        "matter": "expedited_reimbursement", "request": "药费垫了几个月。",
        "appointments": [{ "what": "递交票据", "office": "medical_insurance", "start": "2026-02-14T13:30", "bring": ["身份证", "发票原件"] }],
    });
    let yin = json!({
        "resident": of("尹长河", "male", "13900000010"), "matter": "low_income", "request": "想申请认定。",
        "deadlines": [{ "kind": "low_income", "trigger": "2026-01-20" }],
    });
    let situ = json!({
        "resident": of("司徒云", "female", "13900000011"), "matter": "cremation_certificate", "request": "大概是那年春天。",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-03-10..2016-04-30" }],
    });
    let zheng = json!({
        "resident": of("郑怀安", "male", "13900000002"), "matter": "cremation_certificate", "request": "哪一年说不准。",
    });
    let jiang = json!({
        "resident": of("蒋若水", "female", "13900000008"), "matter": "old_contract", "request": "旧合同找不到了。",
        "callbacks": [{ "words": "节后告诉您", "due": "2026-02-24" }],
    });
    let mut ids = Vec::new();
    for case in [shen, wen, he, tang, yin, situ, zheng, jiang] {
        ids.push(hall.take_in("lin", case).await);
    }
    let first = json!({ "do": "prioritise", "reason": "年老,等用" });
    hall.act("gu", &ids[0], first).await.unwrap();
    hall.act("lin", &ids[4], json!({ "do": "wait", "on": "民政核对结果" }))
        .await
        .unwrap();
    hall.run_until("2026-02-13 18:00").await;
    let new = json!({
        "resident": of("鲁思源", "male", "13900000009"), "enterprise": "示例小馆餐饮有限公司",
        "matter": "enterprise_licence", "request": "想知道何时有结果。",
        "deadlines": [{ "kind": "licence", "trigger": "2026-02-11" }],
    });
    hall.take_in("lin", new).await;
    drop(hall.take_left());
    hall
}

#[tokio::test]
async fn a_digest_is_read_from_the_top_down() {
    let hall = busy_hall().await;
    hall.run_until("2026-02-14 08:30").await;
    let left = hall.take_left();
    let digest_of = |to: &str| {
        let found: Vec<Left> = left
            .iter()
            .filter(|left| left.to == to && left.subject.contains("待办"))
            .cloned()
            .collect();
        assert_eq!(found.len(), 1, "{to}");
        found
    };
    let lin = digest_of("lin@example.org");
    for private in ["沈静之", "13900000003", "找不到", "老伴", "温素心", "丧亲"] {
        assert!(
            !lin[0].text.contains(private) && !lin[0].subject.contains(private),
            "{private}"
        );
    }
    golden("digest.txt", &without_chain(&read_out(lin)));
    golden(
        "digest-supervisor.txt",
        &without_chain(&read_out(digest_of("gu@example.org"))),
    );
    golden(
        "digest-empty.txt",
        &without_chain(&read_out(digest_of("zhou@example.org"))),
    );
}

/// The head of the chain hangs on ids that are drawn anew.
fn without_chain(text: &str) -> String {
    let lines = text.lines().map(|line| line.split(" · 记录号").next().unwrap_or(line));
    let mut out = lines.collect::<Vec<_>>().join("\n");
    out.push('\n');
    out
}

#[tokio::test]
async fn a_notice_sheet_is_whole_or_says_what_is_missing() {
    let hall = busy_hall().await;
    let rules = hall.app.engine.live.get();
    let store = &hall.app.engine.store;
    let stored = store.case(&"2026-000001".into()).await.unwrap().unwrap();
    let people = store.people_of(&stored.case.party.person).await.unwrap();
    let resident = people.resident.as_ref();
    let now = hall.clock.now();

    let whole = sheet(&rules.rulebook, &stored.case, resident, now).unwrap();
    for (language, name) in [(Language::Chinese, "notice.txt"), (Language::English, "notice-en.txt")] {
        let rendered = rules.texts.render_notice(&whole, language).unwrap();
        golden(name, &rendered.body.unwrap());
        let html = rendered.html.unwrap();
        assert!(
            html.contains("@page { size: A4;") && html.contains("font-size: 18pt"),
            "{html}"
        );
        assert!(
            points(&html).iter().all(|size| *size >= 18),
            "nothing is smaller than 18 pt"
        );
        assert!(html.contains(&whole.office.route) && html.contains(&whole.office.contact));
    }

    let mut book = rules.rulebook.clone();
    let office = book.offices.get_mut("crematorium_archive").unwrap();
    (office.route, office.contact) = (String::new(), " ".to_owned());
    let missing = sheet(&book, &stored.case, resident, now).unwrap_err();
    let told: Vec<&str> = missing.iter().map(|missing| missing.fix.en.as_str()).collect();
    let place = "under [office.crematorium_archive] in agencies.toml";
    assert_eq!(told, [format!("give route {place}"), format!("give contact {place}")]);

    book.matters.get_mut("cremation_certificate").unwrap().office = None;
    book.periods.get_mut("cremation_reissue").unwrap().office = None;
    book.periods.get_mut("cremation_archive").unwrap().office = None;
    let missing = sheet(&book, &stored.case, resident, now).unwrap_err();
    assert!(
        missing[0].fix.zh.contains("matters/cremation_certificate.toml"),
        "{missing:?}"
    );
}

/// Every `font-size` of a page that is given in points.
fn points(html: &str) -> Vec<u32> {
    let sizes = html.split("font-size: ").skip(1);
    sizes.filter_map(|rest| rest.split_once("pt")?.0.parse().ok()).collect()
}

/// The shipped templates with one file changed; `None` takes it away.
fn with_template(path: &str, text: Option<&str>) -> (Texts, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let templates = dir.path().join("templates");
    copy_dir(&shipped().join("templates"), &templates);
    let file = templates.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    match text {
        Some(text) => std::fs::write(file, text).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
    let (texts, problems) = Texts::load(&templates);
    (texts, problems.iter().map(in_english).collect())
}

#[test]
fn the_shipped_texts_have_no_problem() {
    let (texts, problems) = Texts::load(&shipped().join("templates"));
    assert_eq!(problems, []);
    for text in ["deadline", "deadline_urgent", "appointment"] {
        for audience in [Audience::Owner, Audience::Resident, Audience::Relatives] {
            for way in [Way::Email, Way::Sms] {
                assert!(texts.has(&text.into(), way, audience), "{text} {way:?} {audience:?}");
            }
        }
    }
    assert!(!texts.has(&"verify_date".into(), Way::Sms, Audience::Resident));
    assert!(!texts.has(&"nothing".into(), Way::Email, Audience::Owner));
}

/// One mistake each: the file, what it says, and the problem word for word.
const MISTAKES: [(&str, &str, &str); 30] = [
    (
        "zh-CN/deadline/resident/sms.txt",
        "您好,请到{{ office_address }}办理",
        "1:9: \"office_address\" is sensitive: an SMS may not say it; allowed: ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "您好\n{% if illness %}请注意{% endif %}",
        "2:7: \"illness\" is sensitive: an SMS may not say it; allowed: ",
    ),
    (
        "zh-CN/deadline/staff/sms.txt",
        "{{ who }}的事最晚{{ day }}",
        "1:4: \"who\" is sensitive: an SMS may not say it; allowed: ",
    ),
    (
        "zh-CN/deadline/staff/body.txt",
        "{{ case }} {{ request }}",
        "1:15: \"request\" is private: no message may say it; allowed: ",
    ),
    (
        "zh-CN/deadline/resident/subject.txt",
        "{{ greeting }}您好",
        "1:4: \"greeting\" is sensitive: a subject may not say it; allowed: ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "最晚{{ dai }}去办",
        "1:6: there is no value \"dai\"; did you mean \"day\"? allowed: ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "最晚{{ day }去办",
        "1:3: syntax error: ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "最晚\n{% if day %}去办",
        "2:1: syntax error: ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "最晚{{ day|shout }}去办",
        "1:3: unknown filter: filter shout is unknown; ",
    ),
    (
        "zh-CN/deadline/resident/body.html",
        "<p>{{ matter|safe }}</p>",
        "1:4: unknown filter: filter safe is unknown; ",
    ),
    (
        "zh-CN/deadline/resident/body.html",
        "{% autoescape false %}{{ matter }}{% endautoescape %}",
        "1:4: \"autoescape\" would switch the escaping off; leave it out",
    ),
    (
        "zh-CN/deadline/staff/body.txt",
        "{{ debug() }}",
        "1:4: there is no value \"debug\"; ",
    ),
    (
        "zh-CN/call_task/staff/body.txt",
        "{% for call in calls %}{{ call.address }}{% endfor %}",
        "1:1: undefined value",
    ),
    (
        "zh-CN/deadline/staff/body.txt",
        "{% include \"/etc/hostname\" %}",
        "1:1: template not found: ",
    ),
    (
        "zh-CN/deadline/staff/body.txt",
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ day }}{% endfor %}{% endfor %}",
        "1:1: the template does too much work, or makes too long a text on the way; ",
    ),
    (
        "zh-CN/deadline/staff/body.txt",
        "{{ day }}\n好 {% set text = namespace(long=day) %}\n\
         {% for n in range(40) %}{% set text.long = text.long ~ text.long %}{% endfor %}{{ day }}",
        "3:1: the template does too much work, or makes too long a text on the way; ",
    ),
    (
        "zh-CN/deadline/resident/body.html",
        "<p>{{ day }}</p>{% for n in range(2000) %}{{ n }}{% endfor %}",
        "1:4: the template does too much work, or makes too long a text on the way; ",
    ),
    (
        "both/digest/body.txt",
        "{% set text = namespace(long=staff_name) %}{% for n in range(19) %}{% set text.long = text.long ~ text.long %}{% endfor %}\
         {{ text.long }}",
        "1:1: the text comes out with ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "【中心】您好,最晚{{ day }}",
        "1:1: \"【\" is for the signature, which the channel adds; write 「」, or nothing",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "★您好,最晚{{ day }}",
        "1:1: \"★\" is refused by gateways; leave it out",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "您好,殡葬事项最晚{{ day }}",
        "1:4: \"殡葬\" is refused by gateways; use a neutral word, such as 证明补办",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "您好,低保最晚{{ day }}",
        "1:4: \"低保\" gives a private matter away; use a neutral word, or leave it out",
    ),
    (
        "zh-CN/deadline/resident/body.txt",
        "祝您节日愉快! {{ day }}",
        "1:1: \"祝您\" hurts in a house of mourning; ",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "最晚{{ day }},有事打13900000001",
        "1:16: a personal mobile number stands here; give the hall's line: {{ hall_phone }}",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "{% if expired %}已过期{% endif %}",
        "1:1: the text comes out empty; it has to say something with every sample",
    ),
    (
        "zh-CN/deadline/resident/sms.txt",
        "{% for n in range(99) %}{{ matter }}{{ day }}{% endfor %}",
        "1:1: the SMS comes out with ",
    ),
    (
        "zh-CN/deadline/resident/subject.txt",
        "{% for n in range(99) %}{{ matter }}{{ day }}{% endfor %}",
        "1:1: the subject comes out with ",
    ),
    (
        "zh-CN/deadline/resident/message.txt",
        "x",
        "1:1: nothing called \"message.txt\" belongs here; ",
    ),
    (
        "both/digest/body.txt",
        "{{ staff_name }} {{ today|length }} {{ tomorrow }}",
        "1:40: there is no value \"tomorrow\"; ",
    ),
    (
        "zh-CN/notice/body.html",
        "<p>{{ office.adress }}</p>",
        "1:4: undefined value",
    ),
];

#[test]
fn a_mistake_in_a_template_is_named_with_its_place_and_what_is_allowed() {
    let mut wrong = String::new();
    for (path, text, expected) in MISTAKES {
        let (_, problems) = with_template(path, Some(text));
        let expected = format!("templates/{path}:{expected}");
        if !problems.iter().any(|problem| problem.starts_with(&expected)) {
            let _ = writeln!(wrong, "{text}\nexpected {expected}\nfound {problems:#?}");
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn a_text_that_a_language_or_a_way_lacks_is_missed() {
    for (path, expected) in [
        (
            "en/deadline/resident/sms.txt",
            "the file is missing; every language needs the same files",
        ),
        ("zh-CN/deadline/resident/body.txt", "the file is missing; "),
        ("zh-CN/deadline/staff/subject.txt", "the file is missing; "),
        (
            "both/digest/body.html",
            "the file is missing; copy it from the shipped config/",
        ),
        ("layout.html", "the file is missing; copy it from the shipped config/"),
        (
            "en/notice/body.txt",
            "the file is missing; copy it from the shipped config/",
        ),
        ("zh-CN/call_task/staff/sms.txt", "the file is missing; "),
    ] {
        let (_, problems) = with_template(path, None);
        let expected = format!("templates/{path}:1:1: {expected}");
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&expected), "{}", problems[0]);
    }
    let stray = |path: &str| with_template(path, Some("x")).1.remove(0);
    assert!(
        stray("de/deadline/staff/body.txt")
            .starts_with("templates/de:1:1: nothing called \"de\" belongs here; allowed: ")
    );
    assert!(stray("zh-CN/deadline/residents/sms.txt").contains("did you mean \"resident\"?"));
    assert!(stray("zh-CN/Dead line/staff/body.txt").contains("a folder named with a-z, 0-9 and _"));
    let (_, problems) = with_template("zh-CN/deadline/staff/.body.txt.swp", Some("x"));
    assert_eq!(problems, [""; 0], "what editors leave behind is none of our business");
    let (_, problems) = Texts::load(Path::new("/nonexistent/templates"));
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_broken_template_stops_only_itself() {
    let (texts, problems) = with_template("zh-CN/deadline/resident/sms.txt", Some("{{ illness }}"));
    assert_eq!(problems.len(), 1);
    assert!(!texts.has(&"deadline".into(), Way::Sms, Audience::Resident));
    assert!(texts.has(&"deadline".into(), Way::Email, Audience::Resident));
    assert!(texts.has(&"deadline".into(), Way::Sms, Audience::Owner));
    let message = message(Reader::Resident, "证明补办");
    assert!(texts.render(&"deadline".into(), &message, Way::Sms).is_err());
    assert!(texts.render(&"deadline_urgent".into(), &message, Way::Sms).is_ok());
}

#[test]
fn several_mistakes_in_one_file_come_out_at_once() {
    let (_, problems) = with_template("zh-CN/deadline/resident/sms.txt", Some("★{{ illness }}\n{{ dai }}残疾"));
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

fn message(reader: Reader, matter: &str) -> Message {
    let words = Words {
        brief: Brief {
            matter: matter.to_owned(),
            day: "3月5日(周四)".to_owned(),
            hall_phone: "010-00000000".to_owned(),
            ..Brief::default()
        },
        detail: Detail::default(),
    };
    Message {
        reader,
        language: Language::Chinese,
        zh: words.clone(),
        en: words,
    }
}

#[test]
fn what_a_value_holds_cannot_break_out() {
    let (texts, _) = Texts::load(&shipped().join("templates"));
    let hostile = message(
        Reader::Resident,
        "<script>alert(\"1\")</script>\r\nBcc: x@example.org\r\n\r\n【签名】★",
    );
    let mail = texts.render(&"deadline".into(), &hostile, Way::Email).unwrap();
    let html = mail.html.unwrap();
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
    assert!(!mail.subject.unwrap().contains(['\r', '\n']));
    let sms = texts
        .render(&"deadline".into(), &hostile, Way::Sms)
        .unwrap()
        .sms
        .unwrap();
    assert!(!sms.contains(['\r', '\n', '【', '】', '★']), "{sms}");

    let banned = message(Reader::Resident, "医疗报销");
    let error = texts
        .render(&"deadline".into(), &banned, Way::Sms)
        .unwrap_err()
        .to_string();
    assert!(error.contains("gateways ban") && !error.contains("医疗"), "{error}");
    let long = message(Reader::Resident, &"长".repeat(600));
    assert!(texts.render(&"deadline".into(), &long, Way::Sms).is_err());
}

#[tokio::test]
async fn a_name_in_a_digest_is_text_and_never_markup() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": person("<b>沈</b>", "female", "13900000001"), "matter": "labour_assessment", "request": "x",
        "appointments": [{ "what": "<img src=x onerror=alert(1)>", "office": "labour_assessment", "start": "2026-03-02T09:30" }],
    });
    hall.take_in("lin", case).await;
    let rules = hall.app.engine.live.get();
    let day = "2026-03-02".parse().unwrap();
    let digest = digest_content::build(&hall.app.engine, &rules, &"lin".into(), day, hall.clock.now())
        .await
        .unwrap()
        .unwrap();
    let html = rules.texts.render_digest(&digest).unwrap().html.unwrap();
    assert!(!html.contains("<img") && !html.contains("<b>沈"), "{html}");
    assert!(html.contains("&lt;img src=x"));
    for outside in ["src=\"", "http://", "https://", "@import", "url("] {
        assert!(!html.contains(outside), "a mail loads nothing from outside: {outside}");
    }
}

#[test]
fn every_value_is_documented_beside_the_templates() {
    let guide = std::fs::read_to_string(shipped().join("templates/README.md")).unwrap();
    let documented: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let known = |values: Value| -> BTreeSet<String> { values.as_object().unwrap().keys().cloned().collect() };
    let brief = known(serde_json::to_value(Brief::default()).unwrap());
    let detail = known(serde_json::to_value(Detail::default()).unwrap());
    let all: BTreeSet<&str> = brief.union(&detail).map(String::as_str).collect();
    assert_eq!(documented, all);
}
