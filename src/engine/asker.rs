//! Asks SMS gateways what became of messages whose fate nobody knows, at 2, 5 and 10 minutes: each message at the gateway it went by. It
//! sends nothing: what is to be sent again goes back to the queue.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::channel::sms::{Known, Question};
use crate::domain::delivery::{Doubt, Fate, Resolve};
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::earlier::key_of;
use crate::engine::instead::another_way;
use crate::engine::live::Rules;
use crate::engine::prepare::{Context, address, context, queued};
use crate::engine::recorder::can_ask;
use crate::engine::{Engine, POLL};
use crate::lifecycle::Beat;
use crate::store::doubts::{Open, ask_again, leave_doubt, note_reference};
use crate::store::fate::note_fate;
use crate::store::queue::Claimed;
use crate::store::sent::Earlier;
use crate::store::{StoreError, commit, instant_of, reminders};

/// Questions of one turn.
const AT_ONCE: i64 = 32;
/// Questions under way at a time: they take no line from messages.
const UNDER_WAY: usize = 8;
/// Longest wait for an answer. A gateway that is silent is asked again at its time, and must not keep the others from being asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Asks until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        let now = engine.now();
        match step(&engine, now).await {
            Ok(0) => {}
            Ok(asked) => info!(asked, "asked what became of {asked} messages"),
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "gateways cannot be asked; trying again");
                engine.note_store_error(&error).await;
            }
        }
        let next = engine.store.next_question().await.ok().flatten();
        let wait = next.map_or(POLL, |next| {
            Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO)
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.clamp(Duration::from_secs(1), POLL)) => {}
        }
    }
}

/// Asks everything whose time has come; returns how many.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<usize, StoreError> {
    let open = engine.store.open_questions(now, AT_ONCE).await?;
    let count = open.len();
    if count == 0 {
        return Ok(0);
    }
    let rules = engine.live.get();
    for open in open.chunks(UNDER_WAY) {
        let asked = open.iter().map(|open| ask(engine, &rules, open, now));
        for (open, answer) in open.iter().zip(join_all(asked).await) {
            let (known, context) = answer?;
            resolve(engine, open, known, context.as_ref(), now).await?;
        }
    }
    engine.bells.ring_senders();
    Ok(count)
}

async fn ask(
    engine: &Engine,
    rules: &Rules,
    open: &Open,
    now: Timestamp,
) -> Result<(Known, Option<Context>), StoreError> {
    let case = CaseId::from(open.row.case_id.as_str());
    let cases = engine.store.cases(&[&case]).await?;
    let way = Way::parse(&open.way).unwrap_or(Way::Sms);
    let (Some(stored), Some(queued)) = (cases.get(&case), queued(&open.row, way)) else {
        return Ok((Known::Unclear, None));
    };
    let context = context(rules, &stored.case, &open.row, &queued, now);
    // A backup may have been made between the attempt and its outcome; the log knows the outcome.
    let key = key_of(&open.row, way);
    if engine.sent_earlier(&[key]).await?.get(&key) == Some(&Earlier::Sent) {
        return Ok((Known::Taken { reference: None }, Some(context)));
    }
    let resident = &stored.case.party.person;
    let around = engine.store.around(&[resident]).await?;
    let people = around.get(resident).and_then(|people| people.as_ref().ok());
    let to = people.and_then(|people| address(rules, people, &queued));
    let known = match (to, &rules.channels.sms) {
        (Some(to), Some(gateway)) => {
            let question = Question {
                gateway: open.gateway.clone(),
                id: open.wire_id.clone(),
                to,
                sent: instant_of(open.started_ms),
                at: now,
            };
            let answer = tokio::time::timeout(ANSWER_WITHIN, gateway.query(&question)).await;
            answer.unwrap_or(Known::Unclear)
        }
        _ => Known::Unclear,
    };
    Ok((known, Some(context)))
}

/// One transaction for each answer: a receipt may have come meanwhile, which is then left as it is.
async fn resolve(
    engine: &Engine,
    open: &Open,
    known: Known,
    context: Option<&Context>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let doubts = engine.store.doubts(&open.row.id).await?;
    let way = Way::parse(&open.way).unwrap_or(Way::Sms);
    let doubt = Doubt {
        way,
        priority: open.row.priority,
        doubts,
        asked: open.asked.saturating_add(1),
        can_ask: can_ask(engine, way, open.gateway.as_deref()),
        since: instant_of(open.ended_ms),
        now,
        valid_until: instant_of(open.row.valid_until_ms),
    };
    let is_absent = known == Known::Absent;
    let end = match known {
        Known::Taken { reference } => End::Taken(Fate::Accepted, reference),
        Known::Arrived { reference } => End::Taken(Fate::Delivered, reference),
        Known::Failed { reason } => End::Failed(Said::parse(&reason)),
        Known::Absent => End::Open(doubt.resolve_absent()),
        Known::Unclear => End::Open(doubt.resolve()),
    };
    note_in_log(engine, open, &end).await;
    let mut tx = engine.store.begin().await?;
    match end {
        End::Taken(fate, reference) => {
            note_fate(&mut tx, &open.attempt, fate, None, now).await?;
            if let Some(reference) = reference {
                note_reference(&mut tx, &open.attempt, &reference).await?;
            }
        }
        End::Failed(said) => {
            let reason = said.to_string();
            if note_fate(&mut tx, &open.attempt, Fate::Refused, Some(&reason), now)
                .await?
                .is_some()
            {
                let row = saying(&open.row, &said);
                if leave_doubt(&mut tx, &row, State::Refused.name(), None, now).await? {
                    go_on(&mut tx, open, context, &said, &open.row.fallback, now).await?;
                }
            }
        }
        End::Open(Resolve::Ask { at }) => {
            ask_again(&mut tx, open, Some(at)).await?;
        }
        End::Open(Resolve::Again { at }) => {
            if ask_again(&mut tx, open, None).await? {
                let said = if is_absent {
                    Said::new(
                        "短信平台没有收到,再发一次",
                        "the gateway never had it, so it goes once more",
                    )
                } else {
                    Said::new(
                        "平台查不到,紧要事项再发一次",
                        "the gateway cannot say; being critical it goes once more",
                    )
                };
                leave_doubt(&mut tx, &saying(&open.row, &said), State::Queued.name(), Some(at), now).await?;
            }
        }
        End::Open(Resolve::Person) => {
            if ask_again(&mut tx, open, None).await? {
                let said = Said::new("不知是否已发出", "nobody knows whether it went out");
                let row = saying(&open.row, &said);
                if leave_doubt(&mut tx, &row, State::Uncertain.name(), None, now).await? {
                    // Never the same message by another way: it may have arrived.
                    go_on(&mut tx, open, context, &said, "", now).await?;
                }
            }
        }
    }
    commit(tx, "note what a gateway said").await
}

/// What an answer comes to.
enum End {
    Taken(Fate, Option<String>),
    Failed(Said),
    /// Still nobody knows, or what is known is that it never came there.
    Open(Resolve),
}

async fn note_in_log(engine: &Engine, open: &Open, end: &End) {
    let taken = match end {
        End::Taken(..) => true,
        End::Failed(_) => false,
        End::Open(_) => return,
    };
    let key = key_of(&open.row, Way::parse(&open.way).unwrap_or(Way::Sms));
    engine.note_ends(vec![(key, taken)]).await;
}

fn saying(row: &Claimed, said: &Said) -> Claimed {
    Claimed {
        reason_zh: said.zh.clone(),
        reason_en: said.en.clone(),
        ..row.clone()
    }
}

async fn go_on(
    tx: &mut crate::store::Tx,
    open: &Open,
    context: Option<&Context>,
    said: &Said,
    ways: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(context) = context {
        let rows = another_way(&open.row, context, said, ways, now);
        reminders::add(tx, &rows.iter().collect::<Vec<_>>()).await?;
    }
    Ok(())
}
