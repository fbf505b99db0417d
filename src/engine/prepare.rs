//! From claimed rows to bytes: every reminder is judged once more from current facts, rendered and built. One that fails does so
//! alone: also one whose case cannot be read, or that makes this program itself fail.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use jiff::civil::Time;

use crate::domain::case::Case;
use crate::domain::ids::{CaseId, PersonId, StaffId, TextId, UnitId};
use crate::domain::ladder::Way;
use crate::domain::milestone::instant;
use crate::domain::plan::decide::{CALL_TASK, Scene};
use crate::domain::plan::recheck::{Heir, Queued, Recheck, recheck};
use crate::domain::plan::recipients::caller;
use crate::domain::plan::{People, duration_words};
use crate::domain::reminder::{MarkText, Recipient, State};
use crate::domain::text::Said;
use crate::engine::cap::{Cap, cap};
use crate::engine::guard::{Ask, held, words_of};
use crate::engine::invite::invitation;
use crate::engine::live::Rules;
use crate::engine::place::Place;
use crate::engine::settle::{Held, Judged, cancel, failed, put_off, settle, unjudged, wait};
use crate::engine::wire::{Wire, domain, wire};
use crate::engine::{Engine, calendar_news, digests, guard_notice, heartbeat, message, new_reminder};
use crate::store::StoreError;
use crate::store::cases::StoredCase;
use crate::store::grounds::ToldBefore;
use crate::store::people::Around;
use crate::store::queue::{Claimed, NewAttempt, Told, Verdict};
use crate::store::reminders::{LedgerRow, NewReminder};
use crate::template::{Message, Rendered};

/// A batch, judged.
pub struct Prepared {
    /// Rows that end here or wait: cancelled, deferred, taken out of the way.
    pub settled: Vec<Settled>,
    pub ready: Vec<Ready>,
    /// How often its residents and relatives had been told today.
    pub told: ToldBefore,
}

/// A row that is not sent now, and whether another way has to be found for it.
pub struct Settled {
    pub verdict: Verdict,
    pub next: Option<Box<(Claimed, Context, Said)>>,
    /// Rows for those who are meant instead by now.
    pub heirs: Vec<NewReminder>,
    /// What it waits for.
    pub held: Option<Held>,
}

impl Settled {
    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            next: None,
            heirs: Vec::new(),
            held: None,
        }
    }
}

/// A message that can leave as soon as its attempt is recorded.
pub struct Ready {
    pub claimed: Claimed,
    pub attempt: NewAttempt,
    pub wire: Wire,
    pub context: Context,
    /// Its place in the counts of the guard; `None` for messages of no case, which it does not ask about.
    pub place: Option<Place>,
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

struct Facts {
    cases: HashMap<CaseId, StoredCase>,
    people: Around,
    /// Cases that exist but cannot be read.
    unreadable: HashMap<CaseId, StoreError>,
    /// Open call tasks of the cases whose callers are to be told.
    tasks: Vec<LedgerRow>,
    /// What the residents and relatives of the batch have been told today.
    told_today: Vec<Told>,
}

impl Facts {
    fn unit_of(&self, row: &Claimed) -> Option<&UnitId> {
        let stored = self.cases.get(row.case_id.as_str())?;
        Some(&stored.case.unit)
    }
}

/// Judges, renders and builds a batch.
pub async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    claimed: Vec<Claimed>,
    now: Timestamp,
) -> Result<Prepared, StoreError> {
    let mut facts = load(engine, rules, &claimed, now).await?;
    let approved = approved(engine, &claimed).await?;
    let mut told = ToldBefore {
        since: midnight(rules, now),
        counts: HashMap::new(),
    };
    for one in &facts.told_today {
        *told.counts.entry(one.recipient.clone()).or_default() += 1;
    }
    let mut prepared = Prepared {
        settled: Vec::new(),
        ready: Vec::new(),
        told,
    };
    for row in claimed {
        // A fault of this program must not take the rest of the batch along.
        let judged = if row.case_id.is_empty() {
            let judged = AssertUnwindSafe(of_no_case(engine, rules, way, &row, now));
            match judged.catch_unwind().await {
                Ok(Ok(judged)) => judged,
                // What cannot be read today cannot be read at the next try either: the others do not wait for it.
                Ok(Err(error @ (StoreError::Corrupt { .. } | StoreError::Erased { .. }))) => {
                    unjudged(&row, &error, now)
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => failed(&row, now),
            }
        } else {
            catch_unwind(AssertUnwindSafe(|| judge(rules, way, &row, &mut facts, now)))
                .unwrap_or_else(|_| failed(&row, now))
        };
        let is_approved = approved.contains(&row.id);
        let (judged, place) = guarded(engine, rules, (way, &row, is_approved), judged, now);
        match judged {
            Judged::Settled { verdict, next } => {
                let next = next.map(|(context, said)| Box::new((row, context, said)));
                prepared.settled.push(Settled {
                    next,
                    ..Settled::new(verdict)
                });
            }
            Judged::Held { verdict, held, heirs } => prepared.settled.push(Settled {
                heirs,
                held: Some(held),
                ..Settled::new(verdict)
            }),
            Judged::PassedOn { verdict, heirs } => prepared.settled.push(Settled {
                heirs,
                ..Settled::new(verdict)
            }),
            Judged::Go {
                rendered,
                invitation,
                to,
                context,
                version,
            } => {
                let unit = facts.unit_of(&row);
                let content = (rendered, invitation.map(|one| *one));
                let built = catch_unwind(AssertUnwindSafe(|| wire(rules, way, &row, &to, unit, content, now)));
                let Ok(built) = built else {
                    prepared.settled.push(Settled::new(put_off(&row, now)));
                    continue;
                };
                match built {
                    Ok((wire, attempt)) => prepared.ready.push(Ready {
                        claimed: row,
                        attempt: NewAttempt {
                            case_version: version,
                            ..attempt
                        },
                        wire,
                        context,
                        place,
                    }),
                    Err(said) => {
                        let verdict = settle(&row, State::Refused, said.clone(), now);
                        prepared.settled.push(Settled {
                            next: Some(Box::new((row, context, said))),
                            ..Settled::new(verdict)
                        });
                    }
                }
            }
        }
    }
    Ok(prepared)
}

/// Those that two people have released from a hold.
async fn approved(engine: &Engine, claimed: &[Claimed]) -> Result<HashSet<String>, StoreError> {
    if !engine.guard.any_approved() {
        return Ok(HashSet::new());
    }
    let ids: Vec<&str> = claimed.iter().map(|row| row.id.as_str()).collect();
    Ok(engine.store.approved_of(&ids).await?.into_iter().collect())
}

/// Asks the guard about a message that could go. Those of no case are few, whatever happens: one a day to each member of staff.
fn guarded(
    engine: &Engine,
    rules: &Rules,
    (way, row, approved): (Way, &Claimed, bool),
    judged: Judged,
    now: Timestamp,
) -> (Judged, Option<Place>) {
    let Judged::Go { rendered, context, .. } = &judged else {
        return (judged, None);
    };
    if row.case_id.is_empty() {
        return (judged, None);
    }
    let ask = Ask {
        way,
        row,
        words: words_of(&engine.store, context, rendered),
        approved,
    };
    match held(rules, row, context, engine.guard.ask(&ask, now), now) {
        Ok(counted) => (judged, Some(Place::new(&engine.guard, way, counted))),
        Err(stopped) => (*stopped, None),
    }
}

/// A digest, a letter on moved dates, a word about a hold, or a canary.
pub(crate) async fn of_no_case(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    if row.text == calendar_news::TEXT {
        calendar_news::prepare(engine, rules, way, row, now).await
    } else if row.text == guard_notice::TEXT {
        guard_notice::prepare(engine, rules, way, row, now).await
    } else if row.text == heartbeat::TEXT {
        Ok(heartbeat::prepare(rules, way, row, now))
    } else {
        digests::prepare(engine, rules, way, row, now).await
    }
}

/// Whether a recipient is a resident or a relative.
pub(crate) fn is_person(recipient: &str) -> bool {
    matches!(Recipient::parse(recipient), Some(Recipient::Person(_)))
}

async fn load(engine: &Engine, rules: &Rules, claimed: &[Claimed], now: Timestamp) -> Result<Facts, StoreError> {
    let ids: Vec<CaseId> = claimed
        .iter()
        .filter(|row| !row.case_id.is_empty())
        .map(|row| row.case_id.as_str().into())
        .collect();
    let cases = engine.store.cases(&ids.iter().collect::<Vec<_>>()).await?;
    let mut unreadable = HashMap::new();
    for id in ids.into_iter().filter(|id| !cases.contains_key(id)) {
        match engine.store.case(&id).await {
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Erased { .. })) => drop(unreadable.insert(id, error)),
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
    let recipients: Vec<&str> = claimed.iter().map(|row| row.recipient.as_str()).collect();
    let recipients: Vec<&str> = recipients.into_iter().filter(|one| is_person(one)).collect();
    let told_today = if recipients.is_empty() {
        Vec::new()
    } else {
        engine.store.told_since(&recipients, midnight(rules, now)).await?
    };
    Ok(Facts {
        cases,
        people,
        tasks,
        unreadable,
        told_today,
    })
}

/// Since when it is today.
fn midnight(rules: &Rules, now: Timestamp) -> Timestamp {
    let zone = &rules.rulebook.zone;
    instant(zone.to_datetime(now).date(), Time::midnight(), zone)
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
    match cap(rules, way, row, &mut facts.told_today, &context, now) {
        Cap::Free => {}
        Cap::Passed(said) => context.note = context.note.and(&said),
        Cap::Closed(judged) => return *judged,
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
            rendered: with_codes(rules, way, row, &message, rendered),
            invitation: invitation(&scene, &dated, &queued, domain(rules))
                .filter(|_| way == Way::Email)
                .map(Box::new),
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

/// Clouds take no free text: the same message in their approved templates.
pub(crate) fn with_codes(rules: &Rules, way: Way, row: &Claimed, message: &Message, rendered: Rendered) -> Rendered {
    let gateways = &rules.settings.sms.gateway;
    if way != Way::Sms || gateways.is_empty() {
        return rendered;
    }
    let coded = rules.texts.coded(gateways, &TextId::from(row.text.as_str()), message);
    Rendered { coded, ..rendered }
}

/// The same reminder for somebody who is meant instead.
pub(crate) fn passed_on(row: &Claimed, heir: Heir, said: &Said, now: Timestamp) -> NewReminder {
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
        .item(&rules.rulebook, &queued.item)
        .and_then(|item| caller(&rules.rulebook, case, item, today));
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

pub(crate) fn address(rules: &Rules, people: &People, queued: &Queued) -> Option<String> {
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
