//! Hostile text in every field that reaches a message, from the values of a text to the server: one message to one recipient with the
//! headers of every other one, or none, and no panic. Texts of messages, digests, letters, the signature, and facts as they lie stored.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use xixin::channel::build::{Importance, Mail, build};
use xixin::channel::email::SmtpPool;
use xixin::channel::outcome::Outcome;
use xixin::config::settings::Smtp;
use xixin::domain::digest::{Digest, Line, Month, RollUp, StaffLoad, UnitLoad, Urgency};
use xixin::domain::ids::{CaseId, ItemId, StaffId, TextId};
use xixin::domain::ladder::Way;
use xixin::domain::milestone::Milestone;
use xixin::domain::person::Language;
use xixin::domain::recount::{Letter, LetterLine, MovedDate};
use xixin::domain::text::Said;
use xixin::store::commit;
use xixin::template::{Brief, Call, Detail, Message, Reader, Rendered, Texts, Words};
use xixin::vault::Place;

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::brief_start;
use crate::support::smtp_server::{Script, SmtpServer};

const TO: &str = "li@example.org";
const FROM: &str = "tixing@example.org";

/// What people have typed that breaks programs: line ends of every kind, ends of texts, marks that turn reading round, markup.
fn specials() -> Vec<String> {
    let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').map(String::from);
    let marks = "\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200b}\u{200d}\u{feff}\u{fffe}\u{1f468}\u{301}";
    let whole = [
        "\r\n",
        "\n\r",
        "\r\n.\r\n",
        "\n.\n",
        "\r\n\r\n",
        ".\r\nMAIL FROM:<x@example.com>\r\nRCPT TO:<x@example.com>\r\nDATA\r\n",
        "\r\nBcc: x@example.com\r\n",
        "=?utf-8?b?DQpCY2M6IHhAZXhhbXBsZS5jb20NCg==?=",
        "=?utf-8?q?=0D=0ABcc:_x@example.com?=",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{ secret.key }}{% raw %}",
        "{{ 7 * 7 }}",
        "退订回T",
        "'); drop table reminders; --",
        "%s%n%x",
        "=cmd|' /C calc'!A0",
        "",
        " ",
    ];
    let mut texts: Vec<String> = controls.chain(marks.chars().map(String::from)).collect();
    texts.extend(whole.map(str::to_owned));
    texts.push("长".repeat(3_000));
    texts.push("a".repeat(3_000));
    let inside: Vec<String> = texts.iter().map(|text| format!("沈{text}怀瑾")).collect();
    texts.extend(inside);
    texts
}

/// The text in every field there is.
fn message(reader: Reader, text: &str) -> Message {
    let one = || text.to_owned();
    let many = || vec![one(), one()];
    let words = || Words {
        brief: Brief {
            greeting: one(),
            matter: one(),
            case: one(),
            item: one(),
            kind: "appointment",
            about: one(),
            milestone: "start",
            day: one(),
            time: one(),
            when: one(),
            left: one(),
            bring: many(),
            unit: one(),
            unit_short: one(),
            hall_phone: one(),
            ..Brief::default()
        },
        detail: Detail {
            who: one(),
            matter_full: one(),
            deadline: one(),
            trigger: one(),
            legal_end: one(),
            alternative: one(),
            derivation: many(),
            title: one(),
            remark: one(),
            legs: many(),
            list: many(),
            hops: many(),
            what: one(),
            bring_all: many(),
            materials: many(),
            office: one(),
            office_address: one(),
            office_route: one(),
            office_contact: one(),
            office_phone: one(),
            office_hours: one(),
            tries: 1,
            calls: vec![Call {
                who: one(),
                phone: one(),
                why: one(),
                task: one(),
            }],
            reason: one(),
            me: one(),
        },
    };
    Message {
        reader,
        language: Language::Chinese,
        zh: words(),
        en: words(),
    }
}

struct Sink {
    runtime: tokio::runtime::Runtime,
    server: SmtpServer,
    pool: SmtpPool,
    headers: BTreeSet<String>,
}

impl Sink {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(SmtpServer::start(Script::polite()));
        let pool = SmtpPool::new(&Smtp::plain("127.0.0.1", server.port), None).unwrap();
        let plain = Rendered {
            subject: Some("提醒".to_owned()),
            body: Some("您好\n".to_owned()),
            html: Some("<p>您好</p>".to_owned()),
            ..Rendered::default()
        };
        let mut sink = Self {
            runtime,
            server,
            pool,
            headers: BTreeSet::new(),
        };
        sink.headers = header_names(&sink.send(plain, "听窗口"));
        sink
    }

    /// The text of the one mail that arrives.
    fn send(&self, rendered: Rendered, from_name: &str) -> Vec<u8> {
        let mail = Mail {
            message_id: "d-1@xixin.example.org".to_owned(),
            date: "2026-11-24T08:00:00Z".parse().unwrap(),
            from: FROM.to_owned(),
            from_name: from_name.to_owned(),
            reply_to: None,
            to: TO.to_owned(),
            subject: rendered.subject.unwrap_or_default(),
            text: rendered.body.unwrap_or_default(),
            html: rendered.html,
            invitation: None,
            importance: Importance::Normal,
        };
        let wire = build(&mail).unwrap();
        assert_eq!(
            build(&mail).unwrap().bytes(),
            wire.bytes(),
            "a resend has the same bytes"
        );
        let outcome = self.runtime.block_on(self.pool.send(&wire));
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        let mut received = self.server.take_received();
        assert_eq!(received.len(), 1);
        let received = received.remove(0);
        assert_eq!(
            (received.from, received.to),
            (format!("<{FROM}>"), vec![format!("<{TO}>")])
        );
        assert_eq!(received.text, wire.bytes());
        received.text
    }

    fn check(&self, rendered: Rendered, text: &str) {
        let subject = rendered.subject.clone().unwrap_or_default();
        assert!(!subject.contains(['\r', '\n']), "{subject:?}");
        let names = header_names(&self.send(rendered, text));
        assert_eq!(names, self.headers, "{text:?}");
    }
}

fn header_names(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let own = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    own.map(|line| line.split_once(':').unwrap().0.to_owned()).collect()
}

fn texts() -> (Texts, Vec<(TextId, Reader)>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/templates");
    let (texts, problems) = Texts::load(&dir);
    assert!(problems.is_empty(), "{problems:?}");
    let mut slots = Vec::new();
    for entry in std::fs::read_dir(dir.join("zh-CN")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for reader in [Reader::Staff, Reader::Resident, Reader::Relative] {
            let id = TextId::from(name.as_str());
            if texts.render(&id, &message(reader, "您"), Way::Email).is_ok() {
                slots.push((id, reader));
            }
        }
    }
    slots.sort();
    (texts, slots)
}

/// An SMS is one line, without what a phone or a gateway could take for something else.
fn check_sms(texts: &Texts, id: &TextId, message: &Message) {
    if let Ok(rendered) = texts.render(id, message, Way::Sms) {
        let sms = rendered.sms.unwrap_or_default();
        assert!(!sms.chars().any(char::is_control), "{sms:?}");
    }
}

#[test]
fn every_control_and_every_trick_in_every_field_of_every_text_is_one_plain_mail() {
    let (sink, (texts, slots)) = (Sink::new(), texts());
    assert!(slots.len() >= 20, "only {} texts", slots.len());
    for (number, text) in specials().into_iter().enumerate() {
        // Each meets every fourth text, and each text every fourth of them.
        let met = slots.iter().enumerate().filter(|(index, _)| (index + number) % 4 == 0);
        for (_, (id, reader)) in met {
            let message = message(*reader, &text);
            match texts.render(id, &message, Way::Email) {
                Ok(rendered) => sink.check(rendered, &text),
                Err(error) => assert!(text.len() > 1_000, "{id} {reader:?} {text:?}: {error}"),
            }
            check_sms(&texts, id, &message);
        }
    }
}

#[test]
fn ten_thousand_random_strings_are_ten_thousand_plain_mails() {
    let (sink, (texts, slots)) = (Sink::new(), texts());
    let mut runner = TestRunner::new(Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    });
    let random = prop_oneof![
        "\\PC{0,100}",
        any::<String>(),
        "[ -~\r\n\t]{0,200}",
        "[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}a]{0,40}",
        "[<>\"'&{}%#=?@.\r\n ]{0,60}",
    ];
    let slot = prop::sample::select(slots);
    runner
        .run(&(random, slot), |(text, (id, reader))| {
            let message = message(reader, &text);
            let rendered = texts.render(&id, &message, Way::Email);
            sink.check(rendered.unwrap_or_else(|error| panic!("{id} {text:?}: {error}")), &text);
            check_sms(&texts, &id, &message);
            Ok(())
        })
        .unwrap();
}

/// The text in every line of a digest.
fn digest(text: &str) -> Digest {
    let one = || text.to_owned();
    let said = || Said::new(one(), one());
    let line = || Line {
        case: CaseId::from(text),
        item: Some(ItemId::from(text)),
        task: Some(one()),
        who: one(),
        what: said(),
        detail: said(),
        time: Some(one()),
        phone: Some(one()),
        owner: Some(one()),
        urgency: Urgency::High,
        priority: true,
        provisional: true,
        estimated: true,
        sort_at: Timestamp::UNIX_EPOCH,
    };
    let lines = || vec![line(), line()];
    let unit = || UnitLoad {
        unit: one(),
        open_cases: 1,
        overdue: 1,
        due_today: 1,
        urgent: 1,
        undated: 1,
    };
    let month = Month {
        name: said(),
        obstacles: vec![(one(), 1)],
        feedback: vec![(said(), 1)],
        closed: 1,
        closed_without_trips: 1,
    };
    let roll_up = RollUp {
        units: vec![unit()],
        exceptions: lines(),
        troubles: vec![said()],
        staff: vec![StaffLoad {
            name: one(),
            on_duty: true,
            open_cases: 1,
            overdue: 1,
            due_today: 1,
        }],
        leaving: vec![said()],
        month: Some(month),
        sent: 1,
        failed: 1,
        calendar_ends: Some(said()),
    };
    let day = "2026-03-02".parse().unwrap();
    Digest {
        staff: StaffId::from(text),
        staff_name: one(),
        date: day,
        unit_short: one(),
        unit_name: one(),
        unit_name_en: one(),
        unit_phone: one(),
        late: Some(Said::new(one(), one())),
        missed_days: 1,
        through: day,
        overdue: lines(),
        today: lines(),
        calls: lines(),
        deadlines: lines(),
        waiting: lines(),
        ahead: lines(),
        new_cases: lines(),
        often: lines(),
        greetings: lines(),
        reviews: vec![said()],
        on_duty: Some(unit()),
        more: 1,
        more_undated: 1,
        roll_up: Some(roll_up),
        chain_head: one(),
    }
}

/// The text in every line of a letter about a new calendar.
fn letter(text: &str) -> Letter {
    let one = || text.to_owned();
    let said = || Said::new(one(), one());
    let line = LetterLine {
        case: CaseId::from(text),
        item: ItemId::from(text),
        who: one(),
        kind: said(),
        dates: vec![MovedDate {
            milestone: Milestone::End,
            name: said(),
            old: said(),
            new: said(),
        }],
        sooner: true,
        newly_settled: true,
        provisional: true,
    };
    Letter {
        year: 2027,
        staff_name: one(),
        unit_short: one(),
        lines: vec![line.clone(), line],
        more: 1,
    }
}

#[test]
fn a_digest_of_twice_the_lines_that_one_holds_is_rendered() {
    const LINES: usize = 2 * (500 + 50 + 100 + 50);
    let usual = "火化证明补办 最晚1月30日(周日),还剩5天(3个工作日)";
    let mut digest = digest(usual);
    digest.deadlines = vec![digest.deadlines[0].clone(); LINES];
    let rendered = texts().0.render_digest(&digest).unwrap();
    let html = rendered.html.unwrap();
    assert!(html.matches(usual).count() >= LINES, "{}", html.len());
}

#[test]
fn every_trick_in_every_line_of_a_digest_and_of_a_letter_is_one_plain_mail() {
    let (sink, (texts, _)) = (Sink::new(), texts());
    for text in specials() {
        for rendered in [texts.render_digest(&digest(&text)), texts.render_letter(&letter(&text))] {
            let rendered = rendered.unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let html = rendered.html.clone().unwrap_or_default();
            assert!(!html.contains("<script") && !html.contains("<img src=x"), "{text:?}");
            sink.check(rendered, &text);
        }
    }
}

/// What is put before every SMS and stands in front of every mail comes from the configuration: what is no plain line is refused there.
#[test]
fn a_signature_or_a_name_that_is_no_plain_line_is_refused_before_it_is_used() {
    let installation = Installation::new();
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let told = |key: &str, text: &str| {
        let (section, name) = key.split_once('.').unwrap();
        installation.write(
            "conf.d/30-bad.toml",
            &format!("[{section}]\n{name} = {}\n", quoted(text)),
        );
        let refused = installation.run(&["check"]);
        assert!(refused.code != 0, "{text:?}: {refused:?}");
        let told = refused.out + &refused.err;
        // What is hidden is told by its place before anything else is looked at.
        assert!(
            told.contains(key) || told.contains("a hidden character"),
            "{text:?}: {told}"
        );
    };
    for text in [
        "a\nb",
        "a\r\nBcc: x@example.com",
        "听\u{202e}窗口",
        "【x】",
        "\u{0}",
        "",
    ] {
        told("sms.signature", text);
    }
    for text in ["a\nb", "a\r\nBcc: x@example.com"] {
        told("mail.from_name", text);
    }
}

/// Puts a text in the place of every free text of a document.
fn plant(value: &mut Value, text: &str) {
    const FREE: [&str; 8] = [
        "request",
        "words",
        "note",
        "what",
        "name",
        "relation",
        "referred_by",
        "reason",
    ];
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| plant(value, text)),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(old) if FREE.contains(&key.as_str()) => *old = text.to_owned(),
                    other => plant(other, text),
                }
            }
        }
        _ => {}
    }
}

/// As an earlier version, another program or a damaged disk may have left them: nothing at the door has seen these.
#[tokio::test]
async fn facts_that_lie_stored_as_they_never_should_be_make_plain_messages_or_none() {
    let server = SmtpServer::start(Script::polite()).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\n",
        server.port
    );
    let hall = Hall::open_quiet("2026-03-04 07:00", &settings).await;
    let tricks: Vec<String> = specials()
        .into_iter()
        .filter(|text| text.len() < 200)
        .step_by(4)
        .collect();
    let store = &hall.app.engine.store;
    for (number, text) in tricks.iter().enumerate() {
        let person = json!({ "name": "沈怀瑾", "phone": format!("1390000{number:04}"), "email": "shen@example.org", "born": 1980 });
        let start = brief_start(u32::try_from(number).unwrap());
        let begins: jiff::civil::DateTime = start.parse().unwrap();
        let end = (begins + jiff::Span::new().minutes(5)).to_string();
        let case = json!({
            "resident": person, "matter": "labour_assessment", "request": "询问进度",
            "deadlines": [{ "kind": "labour_decision", "trigger": "2026-01-15" }],
            "callbacks": [{ "words": "办好了联系您", "due": "2026-03-04" }],
            "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": start, "end": end, "with": "hao" }],
        });
        let id = hall.take_in("lin", case).await;
        let stored = store.case(&id).await.unwrap().unwrap();
        let mut facts = serde_json::to_value(&stored.case).unwrap();
        plant(&mut facts, text);
        assert!(
            facts
                .to_string()
                .contains(serde_json::to_string(text).unwrap().trim_matches('"')),
            "{facts}"
        );
        let mut tx = store.begin().await.unwrap();
        let place = Place {
            table: "cases",
            column: "facts",
            row: id.as_str(),
        };
        let sealed = tx
            .seal(Some(&stored.case.party.person), place, &facts.to_string())
            .await
            .unwrap();
        let done = sqlx::query("update cases set facts = $1 where id = $2")
            .bind(sealed)
            .bind(id.as_str())
            .execute(tx.sqlite().unwrap())
            .await;
        assert_eq!(done.unwrap().rows_affected(), 1);
        commit(tx, "plant").await.unwrap();
        // It can be read, as far as the program is concerned.
        let back = store.case(&id).await.unwrap().unwrap();
        assert!(serde_json::to_value(&back.case).unwrap().to_string().len() > 100);
    }
    hall.run_until("2026-03-04 11:00").await;
    let received = server.received();
    assert!(received.len() > tricks.len(), "{} mails", received.len());
    let known = [
        "Message-ID",
        "Date",
        "From",
        "To",
        "Subject",
        "MIME-Version",
        "Content-Type",
        "Importance",
        "X-Priority",
    ];
    let known = known.into_iter().chain([
        "Content-Transfer-Encoding",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "Reply-To",
    ]);
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    for mail in &received {
        assert_eq!(mail.to.len(), 1, "{:?}", mail.to);
        let names = header_names(&mail.text);
        assert!(names.is_subset(&known), "{names:?}");
    }
    let sms = hall.take_left();
    assert!(!sms.is_empty());
    for one in sms {
        assert!(!one.text.chars().any(char::is_control), "{:?}", one.text);
    }
}
