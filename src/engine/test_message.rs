//! One test message, to see whether a channel works: recorded like any other, but it belongs to no case and is never tried again.

use jiff::{SignedDuration, Timestamp};

use crate::channel::build::{Importance, Mail, build};
use crate::channel::outcome::Outcome;
use crate::channel::sms::Sms;
use crate::domain::ladder::{Priority, Way};
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::recorder::ended;
use crate::engine::wire::Wire;
use crate::engine::{Engine, new_reminder};
use crate::store::queue::{NewAttempt, Verdict, record};
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, commit, reminders};

const SUBJECT: &str = "[悉心听] 测试邮件 / test message";
const BODY: &str = "这是悉心提醒服务的测试邮件,收到即表示邮件渠道可用,无需回复。\n\n\
                    This is a test message of the xixin reminder service. That you can read it means that e-mail works; no answer is needed.\n";
const SMS: &str = "这是悉心提醒服务的测试短信,收到即表示短信渠道可用,无需回复。";

/// What came of it, in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    pub sent: bool,
    pub said: Said,
}

/// Sends one message to `to`, an e-mail address or a number, by the rules in force. A way that is paused stays paused.
pub async fn send_test(engine: &Engine, way: Way, to: &str) -> Result<Tested, StoreError> {
    let rules = engine.live.get();
    let now = engine.now();
    engine.gate.set_switches(engine.store.switches().await?);
    if let Some(said) = engine.gate.closed(way) {
        return Ok(Tested { sent: false, said });
    }
    let id = new_reminder().to_string();
    let wire = match wire(&rules, way, to, &id, now) {
        Ok(wire) => wire,
        Err(said) => return Ok(Tested { sent: false, said }),
    };
    let attempt = attempt(&wire, &id);
    begin(engine, way, &attempt, now).await?;
    let outcome = match (&wire, &rules.channels.mail, &rules.channels.sms) {
        (Wire::Mail(mail), Some(channel), _) => channel.send_test(mail).await,
        (Wire::Sms(sms), _, Some(gateway)) => gateway.send(sms).await,
        _ => Outcome::provider_down(not_configured(way).to_string()),
    };
    let tested = tested(&outcome);
    end(engine, &attempt, &outcome, &tested).await?;
    Ok(tested)
}

fn wire(rules: &Rules, way: Way, to: &str, id: &str, now: Timestamp) -> Result<Wire, Said> {
    let unbuildable = |error: String| Said::new(format!("无法生成: {error}"), format!("it cannot be built: {error}"));
    match (way, &rules.channels.mail, &rules.channels.sms) {
        (Way::Email, Some(_), _) => {
            let settings = &rules.settings.mail;
            let domain = settings
                .from
                .rsplit_once('@')
                .map_or("xixin.invalid", |(_, domain)| domain);
            let mail = Mail {
                message_id: format!("<{id}@{domain}>"),
                date: now,
                from: settings.from.clone(),
                from_name: settings.from_name.clone(),
                reply_to: settings.reply_to.clone(),
                to: to.to_owned(),
                subject: SUBJECT.to_owned(),
                text: BODY.to_owned(),
                html: None,
                invitation: None,
                importance: Importance::Normal,
            };
            build(&mail)
                .map(Wire::Mail)
                .map_err(|error| unbuildable(error.to_string()))
        }
        (Way::Sms, _, Some(gateway)) => {
            let signature = rules.settings.sms.signature.clone();
            let text = format!("【{signature}】{SMS}");
            let sms = Sms {
                to: to.to_owned(),
                text,
                signature,
                id: id.to_owned(),
                at: now,
                coded: rules.texts.coded_test(&rules.settings.sms.gateway),
            };
            gateway
                .prepare(&sms)
                .map(Wire::Sms)
                .map_err(|error| unbuildable(error.to_string()))
        }
        _ => Err(not_configured(way)),
    }
}

fn not_configured(way: Way) -> Said {
    let key = if way == Way::Email {
        "mail.transport"
    } else {
        "sms.transport"
    };
    Said::new(
        format!("未配置此渠道: 请在 xixin.toml 设置 {key}"),
        format!("this channel is not set up: give {key} in xixin.toml"),
    )
}

fn attempt(wire: &Wire, id: &str) -> NewAttempt {
    let (wire_id, wire_sha256) = match wire {
        Wire::Mail(mail) => (mail.message_id().to_owned(), mail.sha256().to_owned()),
        Wire::Sms(sms) => (id.to_owned(), sms.sha256().to_owned()),
    };
    NewAttempt {
        id: uuid::Uuid::now_v7().to_string(),
        reminder_id: id.to_owned(),
        epoch: 0,
        case_version: None,
        wire_id,
        wire_sha256,
        judged_ms: None,
        gateway: wire.gateway(),
        // Nobody waits for what became of a test.
        receipt_ms: None,
    }
}

/// The row is ours from the start: no sender claims it.
async fn begin(engine: &Engine, way: Way, attempt: &NewAttempt, now: Timestamp) -> Result<(), StoreError> {
    let now_ms = now.as_millisecond();
    let row = NewReminder {
        id: attempt.reminder_id.clone(),
        case_id: String::new(),
        mark: format!("test|{}", attempt.reminder_id),
        recipient: "test".to_owned(),
        way: way.name(),
        text: "test".to_owned(),
        state: State::Claimed.name(),
        reason_zh: "发送测试".to_owned(),
        reason_en: "test message".to_owned(),
        priority: Priority::Normal as i64,
        due_ms: now_ms,
        decided_ms: now_ms,
        not_before_ms: now_ms,
        valid_until_ms: now
            .checked_add(SignedDuration::from_hours(1))
            .unwrap_or(now)
            .as_millisecond(),
        fallback: String::new(),
        assignee: None,
    };
    let mut tx = engine.store.begin().await?;
    reminders::add(&mut tx, &[&row]).await?;
    commit(tx, "note a test message").await?;
    engine
        .store
        .begin_attempts(way, std::slice::from_ref(attempt), now)
        .await
        .map(|_| ())
}

async fn end(engine: &Engine, attempt: &NewAttempt, outcome: &Outcome, tested: &Tested) -> Result<(), StoreError> {
    let now_ms = engine.clock.now().as_millisecond();
    let state = match outcome {
        Outcome::Accepted { .. } => State::Accepted,
        Outcome::Refused { .. } | Outcome::Deferred { .. } => State::Refused,
        Outcome::Uncertain { .. } => State::Uncertain,
    };
    let verdict = Verdict {
        id: attempt.reminder_id.clone(),
        epoch: attempt.epoch,
        state: state.name(),
        not_before_ms: None,
        reason_zh: Some(tested.said.zh.clone()),
        reason_en: Some(tested.said.en.clone()),
        charged: 1,
        closed_ms: Some(now_ms),
        attempt: Some(ended(attempt, outcome, None, engine.clock.now())),
    };
    let mut tx = engine.store.begin().await?;
    record(&mut tx, &[verdict]).await?;
    commit(tx, "record a test message").await
}

fn tested(outcome: &Outcome) -> Tested {
    match outcome {
        Outcome::Accepted { reference } => {
            let reference = reference.as_deref().unwrap_or("-");
            Tested {
                sent: true,
                said: Said::new(
                    format!("已交给服务商(编号 {reference})"),
                    format!("the provider took it (reference {reference})"),
                ),
            }
        }
        Outcome::Refused { reason, .. } | Outcome::Deferred { reason, .. } | Outcome::Uncertain { reason } => Tested {
            sent: false,
            said: Said::parse(reason),
        },
    }
}
