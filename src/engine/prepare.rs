//! From claimed rows to bytes: every reminder is judged once more from current facts, rendered and built. One that fails does so
//! alone: also one whose case cannot be read, or that makes this program itself fail.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};

use crate::channel::build::{Importance, Mail, WireMail, build};
use crate::channel::sms::{Sms, WireSms};
use crate::domain::case::Case;
use crate::domain::ids::{CaseId, PersonId, StaffId, TextId};
use crate::domain::ladder::{Priority, Way};
use crate::domain::milestone::instant;
use crate::domain::plan::decide::{CALL_TASK, Scene};
use crate::domain::plan::recheck::{Heir, Queued, Recheck, recheck};
use crate::domain::plan::recipients::caller;
use crate::domain::plan::{People, duration_words};
use crate::domain::reminder::{MarkText, Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::{Engine, digests, message, new_reminder};
use crate::store::StoreError;
use crate::store::cases::StoredCase;
use crate::store::people::Around;
use crate::store::queue::{Claimed, NewAttempt, Verdict};
use crate::store::reminders::{LedgerRow, NewReminder};
use crate::template::Rendered;

/// A batch, judged.
pub struct Prepared {
    /// Rows that end here or wait: cancelled, deferred, taken out of the way.
    pub settled: Vec<Settled>,
    pub ready: Vec<Ready>,
}

/// A row that is not sent now, and whether another way has to be found for it.
pub struct Settled {
    pub verdict: Verdict,
    pub next: Option<Box<(Claimed, Context, Said)>>,
    /// Rows for those who are meant instead by now.
    pub heirs: Vec<NewReminder>,
}

/// A message that can leave as soon as its attempt is recorded.
pub struct Ready {
    pub claimed: Claimed,
    pub attempt: NewAttempt,
    pub wire: Wire,
    pub context: Context,
}

/// What is needed to find another way when this one fails, and what the ledger should say when it does not.
#[derive(Debug, Clone)]
pub struct Context {
    pub way: Way,
    pub recipient: Recipient,
    /// Who phones instead, for residents and relatives.
    pub caller: Option<StaffId>,
    /// What was out of the ordinary: late, or over a cap.
    pub note: Said,
}

/// How long a reminder waits that could not be judged, in minutes.
const UNJUDGED_MIN: i64 = 15;

pub enum Wire {
    Mail(WireMail),
    Sms(WireSms),
}

struct Facts {
    cases: HashMap<CaseId, StoredCase>,
    people: Around,
    /// Cases that exist but cannot be read.
    unreadable: HashMap<CaseId, StoreError>,
    /// Open call tasks of the cases whose callers are to be told.
    tasks: Vec<LedgerRow>,
    sms_today: Vec<(String, String)>,
}

/// Judges, renders and builds a batch.
pub async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    claimed: Vec<Claimed>,
    now: Timestamp,
) -> Result<Prepared, StoreError> {
    let mut facts = load(engine, rules, way, &claimed, now).await?;
    let mut prepared = Prepared {
        settled: Vec::new(),
        ready: Vec::new(),
    };
    for row in claimed {
        // A fault of this program must not take the rest of the batch along.
        let judged = if row.case_id.is_empty() {
            let digest = AssertUnwindSafe(digests::prepare(engine, rules, way, &row, now));
            digest.catch_unwind().await.unwrap_or_else(|_| Ok(failed(&row, now)))?
        } else {
            catch_unwind(AssertUnwindSafe(|| judge(rules, way, &row, &mut facts, now)))
                .unwrap_or_else(|_| failed(&row, now))
        };
        match judged {
            Judged::Settled { verdict, next } => {
                let next = next.map(|(context, said)| Box::new((row, context, said)));
                let heirs = Vec::new();
                prepared.settled.push(Settled { verdict, next, heirs });
            }
            Judged::PassedOn { verdict, heirs } => {
                let next = None;
                prepared.settled.push(Settled { verdict, next, heirs });
            }
            Judged::Go {
                rendered,
                to,
                context,
                version,
            } => match wire(rules, way, &row, &to, rendered) {
                Ok((wire, attempt)) => {
                    let attempt = NewAttempt {
                        case_version: version,
                        ..attempt
                    };
                    prepared.ready.push(Ready {
                        claimed: row,
                        attempt,
                        wire,
                        context,
                    });
                }
                Err(said) => {
                    let verdict = settle(&row, State::Refused, said.clone(), now);
                    prepared.settled.push(Settled {
                        verdict,
                        next: Some(Box::new((row, context, said))),
                        heirs: Vec::new(),
                    });
                }
            },
        }
    }
    Ok(prepared)
}

/// What a judgement comes to.
pub enum Judged {
    Settled {
        verdict: Verdict,
        next: Option<(Context, Said)>,
    },
    /// Somebody else is meant by now.
    PassedOn { verdict: Verdict, heirs: Vec<NewReminder> },
    Go {
        rendered: Rendered,
        to: String,
        context: Context,
        version: Option<i64>,
    },
}

async fn load(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    claimed: &[Claimed],
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let ids: Vec<CaseId> = claimed
        .iter()
        .filter(|row| !row.case_id.is_empty())
        .map(|row| row.case_id.as_str().into())
        .collect();
    let cases = engine.store.cases(&ids.iter().collect::<Vec<_>>()).await?;
    let mut unreadable = HashMap::new();
    for id in ids.into_iter().filter(|id| !cases.contains_key(id)) {
        match engine.store.case(&id).await {
            Err(error @ StoreError::Corrupt { .. }) => drop(unreadable.insert(id, error)),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    let residents: Vec<&PersonId> = cases.values().map(|stored| &stored.case.party.person).collect();
    let people = engine.store.around(&residents).await?;
    let notices = claimed.iter().filter(|row| row.text == CALL_TASK);
    let with_calls: Vec<CaseId> = notices.map(|row| row.case_id.as_str().into()).collect();
    let tasks = if with_calls.is_empty() {
        Vec::new()
    } else {
        engine.store.tasks_of(&with_calls.iter().collect::<Vec<_>>()).await?
    };
    let sms_today = if way == Way::Sms {
        let recipients: Vec<&str> = claimed.iter().map(|row| row.recipient.as_str()).collect();
        let zone = &rules.rulebook.zone;
        let midnight = instant(zone.to_datetime(now).date(), Time::midnight(), zone);
        engine.store.sms_since(&recipients, midnight).await?
    } else {
        Vec::new()
    };
    Ok(Facts {
        cases,
        people,
        tasks,
        unreadable,
        sms_today,
    })
}

fn judge(rules: &Rules, way: Way, row: &Claimed, facts: &mut Facts, now: Timestamp) -> Judged {
    if let Some(error) = facts.unreadable.get(row.case_id.as_str()) {
        return unjudged(row, error, now);
    }
    let Some(stored) = facts.cases.get(row.case_id.as_str()) else {
        return cancel(row, Said::new("案件已不存在", "the case does not exist any more"), now);
    };
    let none = People::default();
    let people = match facts.people.get(&stored.case.party.person) {
        Some(Ok(people)) => people,
        Some(Err(error)) => return unjudged(row, error, now),
        None => &none,
    };
    let Some(queued) = queued(row, way) else {
        return cancel(row, Said::new("记录无法读取", "the row cannot be read"), now);
    };
    let scene = Scene {
        rules: &rules.rulebook,
        case: &stored.case,
        people,
        now,
    };
    let mut context = context(rules, &stored.case, row, &queued, now);
    let dated = match recheck(&scene, &queued) {
        Recheck::Send(dated) => dated,
        Recheck::Wait { until } => {
            let said = Said::new("不在可发时段,等时段开始", "outside sending hours; it waits for them");
            return wait(row, until, said);
        }
        Recheck::Cancel(said) => return cancel(row, said, now),
        Recheck::PassOn { heirs, said } => {
            let heirs = heirs.into_iter().map(|heir| passed_on(row, heir, &said, now)).collect();
            let verdict = settle(row, State::Cancelled, said, now);
            return Judged::PassedOn { verdict, heirs };
        }
        Recheck::Unreachable(said) => {
            let verdict = settle(row, State::Cancelled, said.clone(), now);
            return Judged::Settled {
                verdict,
                next: Some((context, said)),
            };
        }
    };
    match cap(rules, way, row, &mut facts.sms_today, &context, now) {
        Cap::Free => {}
        Cap::Passed(said) => context.note = context.note.and(&said),
        Cap::Closed(judged) => return judged,
    }
    let Some(to) = address(rules, people, &queued) else {
        let said = Said::new("没有可用的地址", "no address is known");
        let verdict = settle(row, State::Cancelled, said.clone(), now);
        return Judged::Settled {
            verdict,
            next: Some((context, said)),
        };
    };
    let is_meant = |task: &&LedgerRow| task.case_id == row.case_id && task.mark == row.mark;
    let calls: Vec<&LedgerRow> = facts.tasks.iter().filter(is_meant).collect();
    if queued.is_call_notice && calls.is_empty() {
        return cancel(row, Said::new("电话已经打过", "the call has been made"), now);
    }
    let message = message::for_reminder(&scene, &dated, &queued, row, &calls);
    match rules.texts.render(&TextId::from(row.text.as_str()), &message, way) {
        Ok(rendered) => Judged::Go {
            rendered,
            to,
            context,
            version: Some(stored.version),
        },
        Err(error) => {
            tracing::error!(reminder.id = %row.id, text = %row.text, "text {} cannot be rendered: {error}", row.text);
            let said = Said::new(
                format!("文本 {} 无法生成", row.text),
                format!("text {} cannot be rendered", row.text),
            );
            let verdict = settle(row, State::Refused, said.clone(), now);
            Judged::Settled {
                verdict,
                next: Some((context, said)),
            }
        }
    }
}

/// The same reminder for somebody who is meant instead.
fn passed_on(row: &Claimed, heir: Heir, said: &Said, now: Timestamp) -> NewReminder {
    let fallback: Vec<&str> = heir.fallback.iter().map(|way| way.name()).collect();
    NewReminder {
        id: new_reminder().to_string(),
        case_id: row.case_id.clone(),
        mark: row.mark.clone(),
        recipient: Recipient::Staff(heir.staff).to_string(),
        way: heir.way.name(),
        text: row.text.clone(),
        state: State::Queued.name(),
        reason_zh: said.zh.clone(),
        reason_en: said.en.clone(),
        priority: row.priority,
        due_ms: row.due_ms,
        decided_ms: now.as_millisecond(),
        not_before_ms: now.as_millisecond(),
        valid_until_ms: row.valid_until_ms,
        fallback: fallback.join(","),
        assignee: None,
    }
}

/// Who is meant, who phones when no message gets through, and what is out of the ordinary.
pub(crate) fn context(rules: &Rules, case: &Case, row: &Claimed, queued: &Queued, now: Timestamp) -> Context {
    let today = rules.rulebook.zone.to_datetime(now).date();
    let phones = case
        .item(&queued.item)
        .and_then(|item| caller(&rules.rulebook.org, case, item, today));
    Context {
        way: queued.way,
        recipient: queued.recipient.clone(),
        caller: phones.map(|staff| staff.id.clone()),
        note: lateness(rules, row, now),
    }
}

/// What the ledger says about a message that leaves late although it was decided in time.
fn lateness(rules: &Rules, row: &Claimed, now: Timestamp) -> Said {
    let late_s = (now.as_millisecond() - row.due_ms) / 1000;
    let told = row.reason_zh.contains("晚了");
    if told || late_s <= i64::from(rules.rulebook.schedule.late_after_minutes) * 60 {
        return Said::default();
    }
    let how = duration_words(late_s);
    let why = if row.tries > 0 {
        Said::new("此前发送未成,已重试", "it was tried before without success")
    } else {
        Said::new(
            "等待时段、上限、暂停或服务商恢复",
            "it waited for sending hours, a cap, a pause or the provider",
        )
    };
    Said::new(
        format!("发出时晚了{}: {}", how.zh, why.zh),
        format!("left {} late: {}", how.en, why.en),
    )
}

pub(crate) fn queued(row: &Claimed, way: Way) -> Option<Queued> {
    let mark = MarkText::parse(&row.mark)?;
    let recipient = Recipient::parse(&row.recipient)?;
    Some(Queued {
        item: mark.item,
        anchor: mark.anchor,
        ladder: mark.ladder,
        rung: mark.rung,
        occurrence: mark.occurrence,
        audience: mark.audience,
        recipient,
        way,
        is_call_notice: row.text == CALL_TASK,
        due: crate::store::instant_of(row.due_ms),
        valid_until: crate::store::instant_of(row.valid_until_ms),
    })
}

fn address(rules: &Rules, people: &People, queued: &Queued) -> Option<String> {
    match &queued.recipient {
        Recipient::Staff(id) => {
            let staff = rules.rulebook.org.staff.get(id)?;
            if queued.way == Way::Email {
                staff.email.clone()
            } else {
                staff.mobile.clone()
            }
        }
        Recipient::Person(id) => {
            let person = people.all().find(|person| person.id == *id)?;
            if queued.way == Way::Email {
                person.email.clone()
            } else {
                person.phone.clone()
            }
        }
        Recipient::Nobody => None,
    }
}

/// What the caps of the day say about a message.
enum Cap {
    Free,
    /// Over the cap, but it goes for the reason given.
    Passed(Said),
    Closed(Judged),
}

/// At most so many SMS a day to one resident, over all cases, and one per topic. What is critical goes through and says so; the rest
/// waits for the morning, or becomes a call when the morning is too late.
fn cap(
    rules: &Rules,
    way: Way,
    row: &Claimed,
    sms_today: &mut Vec<(String, String)>,
    context: &Context,
    now: Timestamp,
) -> Cap {
    if way != Way::Sms || !matches!(context.recipient, Recipient::Person(_)) {
        return Cap::Free;
    }
    let schedule = &rules.rulebook.schedule;
    let count = |keep: &dyn Fn(&(String, String)) -> bool| {
        u32::try_from(sms_today.iter().filter(|sent| keep(sent)).count()).unwrap_or(u32::MAX)
    };
    let all = count(&|sent| sent.0 == row.recipient);
    let topic = count(&|sent| sent.0 == row.recipient && sent.1 == row.case_id);
    let over = all >= schedule.sms_per_resident_per_day || topic >= schedule.sms_per_topic_per_day;
    let critical = row.priority >= Priority::Critical as i64;
    if !over || critical {
        sms_today.push((row.recipient.clone(), row.case_id.clone()));
        let said = Said::new(
            "今天给此人的短信已到上限,因事关失权仍发出",
            "this person's SMS of the day are used up; it goes all the same, because a right can be lost",
        );
        return if over { Cap::Passed(said) } else { Cap::Free };
    }
    let zone = &rules.rulebook.zone;
    let today = zone.to_datetime(now).date();
    let midnight = instant(today.tomorrow().unwrap_or(today), Time::midnight(), zone);
    let until = schedule.sending_hours.next_allowed(midnight, zone);
    if until.as_millisecond() < row.valid_until_ms {
        let said = Said::new(
            "今天给此人的短信已到上限,明早再发",
            "this person's SMS of the day are used up; it waits for the morning",
        );
        return Cap::Closed(wait(row, until, said));
    }
    let said = Said::new(
        "今天给此人的短信已到上限,改打电话",
        "this person's SMS of the day are used up: phone instead",
    );
    let verdict = settle(row, State::Cancelled, said.clone(), now);
    Cap::Closed(Judged::Settled {
        verdict,
        next: Some((context.clone(), said)),
    })
}

/// Builds the bytes that leave.
fn wire(rules: &Rules, way: Way, row: &Claimed, to: &str, rendered: Rendered) -> Result<(Wire, NewAttempt), Said> {
    let unbuildable = |what: String| {
        Said::new(
            format!("信息无法生成: {what}"),
            format!("the message cannot be built: {what}"),
        )
    };
    let (wire, wire_id, wire_sha256) = match way {
        Way::Email if rules.channels.mail.is_none() => {
            return Err(Said::new("未配置邮件渠道", "no e-mail channel is configured"));
        }
        Way::Email => {
            let mail = build(&mail(rules, row, to, rendered)).map_err(|error| unbuildable(error.to_string()))?;
            let (id, sha256) = (mail.message_id().to_owned(), mail.sha256().to_owned());
            (Wire::Mail(mail), id, sha256)
        }
        Way::Sms | Way::Phone => {
            let gateway = rules.channels.sms.as_ref();
            let gateway = gateway.ok_or_else(|| Said::new("未配置短信渠道", "no SMS channel is configured"))?;
            let signature = rules.settings.sms.signature.clone();
            let text = format!("【{signature}】{}", rendered.sms.unwrap_or_default());
            let sms = Sms {
                to: to.to_owned(),
                text,
                signature,
                id: row.id.clone(),
            };
            let sms = gateway.prepare(&sms).map_err(|error| unbuildable(error.to_string()))?;
            let sha256 = sms.sha256().to_owned();
            (Wire::Sms(sms), row.id.clone(), sha256)
        }
    };
    let attempt = NewAttempt {
        id: uuid::Uuid::now_v7().to_string(),
        reminder_id: row.id.clone(),
        epoch: row.epoch,
        case_version: None,
        wire_id,
        wire_sha256,
    };
    Ok((wire, attempt))
}

fn mail(rules: &Rules, row: &Claimed, to: &str, rendered: Rendered) -> Mail {
    let settings = &rules.settings.mail;
    let domain = settings
        .from
        .rsplit_once('@')
        .map_or("xixin.invalid", |(_, domain)| domain);
    Mail {
        // The row's id never changes, so neither does the Message-ID of a resend.
        message_id: format!("<{}@{domain}>", row.id),
        date: crate::store::instant_of(row.due_ms),
        from: settings.from.clone(),
        from_name: settings.from_name.clone(),
        reply_to: settings.reply_to.clone(),
        to: to.to_owned(),
        subject: rendered.subject.unwrap_or_default(),
        text: rendered.body.unwrap_or_default(),
        html: rendered.html,
        // A digest comes every day: it is in a hurry to leave, but no mail program need shout.
        importance: if row.priority >= Priority::Urgent as i64 && !row.case_id.is_empty() {
            Importance::High
        } else {
            Importance::Normal
        },
    }
}

pub(crate) fn settle(row: &Claimed, state: State, said: Said, now: Timestamp) -> Verdict {
    Verdict {
        id: row.id.clone(),
        epoch: row.epoch,
        state: state.name(),
        not_before_ms: None,
        reason_zh: Some(said.zh),
        reason_en: Some(said.en),
        charged: 0,
        closed_ms: Some(now.as_millisecond()),
        attempt: None,
    }
}

pub(crate) fn cancel(row: &Claimed, said: Said, now: Timestamp) -> Judged {
    Judged::Settled {
        verdict: settle(row, State::Cancelled, said, now),
        next: None,
    }
}

fn wait(row: &Claimed, until: Timestamp, said: Said) -> Judged {
    let reason = adding(row, &said);
    let verdict = Verdict {
        not_before_ms: Some(until.as_millisecond()),
        closed_ms: None,
        ..settle(row, State::Queued, reason, until)
    };
    Judged::Settled { verdict, next: None }
}

/// The reason of a row with one more thing said, once.
pub(crate) fn adding(row: &Claimed, said: &Said) -> Said {
    let reason = Said::new(row.reason_zh.as_str(), row.reason_en.as_str());
    if said.zh.is_empty() || row.reason_zh.contains(&said.zh) {
        reason
    } else {
        reason.and(said)
    }
}

/// This program failed over one reminder.
fn failed(row: &Claimed, now: Timestamp) -> Judged {
    tracing::error!(reminder.id = %row.id, "reminder {} makes the program fail; it waits, the others go on", row.id);
    later(
        row,
        Said::new(
            "处理时程序出错,稍后再试",
            "the program failed over it; it is tried again later",
        ),
        now,
    )
}

/// The facts that a reminder is judged by cannot be read.
fn unjudged(row: &Claimed, error: &StoreError, now: Timestamp) -> Judged {
    tracing::error!(reminder.id = %row.id, "reminder {} cannot be judged: {error}", row.id);
    let said = Said::new(
        "案件或人员记录无法读取,请管理员修复",
        "the record of the case or of a person cannot be read; an administrator has to repair it",
    );
    later(row, said, now)
}

/// Waits a little; when that would be too late, it is a trouble that people see.
fn later(row: &Claimed, said: Said, now: Timestamp) -> Judged {
    let until = now
        .checked_add(SignedDuration::from_mins(UNJUDGED_MIN))
        .unwrap_or(Timestamp::MAX);
    if until.as_millisecond() < row.valid_until_ms {
        return wait(row, until, said);
    }
    let verdict = settle(row, State::Refused, said, now);
    Judged::Settled { verdict, next: None }
}
