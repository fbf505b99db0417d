//! The canary: a reminder to an address of one's own that goes the whole way - planner, queue, sender, channel - again and again. Only when
//! one has got through is the outside told that xixin lives; when none does, somebody hears of it from there, and here it shows.
//!
//! It belongs to no case, so neither caps nor the blast guard concern it; a pause and a provider that is down do, as they should.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::channel::alarm::Alarm;
use crate::channel::ping::ping;
use crate::config::settings::Heartbeat as Settings;
use crate::domain::ladder::{Priority, Way};
use crate::domain::reminder::{Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, cancel};
use crate::engine::{Engine, POLL, new_reminder};
use crate::lifecycle::Beat;
use crate::store::StoreError;
use crate::store::canary;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;
use crate::template::Rendered;

/// The text of canaries.
pub(crate) const TEXT: &str = "canary";

/// What this process knows of its canaries.
#[derive(Debug, Default)]
pub struct Heartbeat(Mutex<Known>);

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// The last one that was queued.
    planned: Option<Timestamp>,
    /// When the last one got through.
    closed: Option<Timestamp>,
    /// Since when this process has waited for one.
    waiting_since: Option<Timestamp>,
    /// The one the outside was told of last.
    told: Option<Timestamp>,
    /// It was said in the log that none gets through.
    is_late: bool,
}

impl Heartbeat {
    /// How long it is that a canary got through; `None` when nobody wants one.
    pub fn age(&self, settings: &Settings, now: Timestamp) -> Option<SignedDuration> {
        settings.way()?;
        let known = *self.known();
        let since = known.closed.or(known.waiting_since)?;
        Some(now.duration_since(since).max(SignedDuration::ZERO))
    }

    /// Whether one should have got through by now. A start has time for the first one.
    pub fn is_late(&self, settings: &Settings, now: Timestamp) -> bool {
        let known = *self.known();
        let (Some(_), Some(since)) = (settings.way(), known.closed.max(known.waiting_since)) else {
            return false;
        };
        now.duration_since(since) > SignedDuration::from_mins(settings.late_after())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The interval that `now` lies in: its beginning names the canary.
fn slot(settings: &Settings, now: Timestamp) -> Timestamp {
    let every = i64::from(settings.every_minutes.max(1)) * 60;
    Timestamp::from_second(now.as_second().div_euclid(every) * every).unwrap_or(now)
}

/// Queues the canary of this interval. The planner does it in its own turn: when it hangs, there is none.
pub(crate) async fn plan(engine: &Engine, now: Timestamp) -> Result<(), StoreError> {
    let rules = engine.live.get();
    let settings = &rules.settings.heartbeat;
    let Some(way) = settings.way() else {
        return Ok(());
    };
    let slot = slot(settings, now);
    if engine.heartbeat.known().planned == Some(slot) {
        return Ok(());
    }
    let valid_until = slot.checked_add(SignedDuration::from_mins(settings.late_after()));
    let now_ms = now.as_millisecond();
    let row = NewReminder {
        id: new_reminder().to_string(),
        case_id: String::new(),
        mark: canary::mark(slot),
        recipient: Recipient::Nobody.to_string(),
        way: way.name(),
        text: TEXT.to_owned(),
        state: State::Queued.name(),
        reason_zh: "自检信息".to_owned(),
        reason_en: "a canary".to_owned(),
        priority: Priority::Normal as i64,
        due_ms: slot.as_millisecond(),
        decided_ms: now_ms,
        not_before_ms: now_ms,
        valid_until_ms: valid_until.unwrap_or(Timestamp::MAX).as_millisecond(),
        fallback: String::new(),
        assignee: None,
    };
    engine.store.queue_canary(&row, now).await?;
    engine.heartbeat.known().planned = Some(slot);
    engine.bells.ring_senders();
    Ok(())
}

/// A claimed canary: to the address that is set now.
pub(crate) fn prepare(rules: &Rules, way: Way, row: &Claimed, now: Timestamp) -> Judged {
    let settings = &rules.settings.heartbeat;
    if settings.way() != Some(way) || now.as_millisecond() >= row.valid_until_ms {
        return cancel(row, Said::new("已过时或已关闭", "too late, or switched off"), now);
    }
    Judged::Go {
        rendered: Rendered {
            subject: Some("[悉心听] 自检 / canary".to_owned()),
            body: Some(
                "悉心自检邮件,证明计划、队列和发送都在运行。\n\nA canary of xixin: planner, queue and sender work.\n"
                    .to_owned(),
            ),
            html: None,
            sms: Some("悉心自检".to_owned()),
            coded: rules.texts.coded_test(&rules.settings.sms.gateway),
        },
        invitation: None,
        to: settings.to.clone(),
        context: Context {
            way,
            recipient: Recipient::Nobody,
            caller: None,
            note: Said::default(),
        },
        version: None,
    }
}

/// Tells the outside whenever a canary has got through, until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        if let Err(error) = step(&engine, engine.clock.now()).await {
            error!(error = %crate::telemetry::chain(&error), "the canaries cannot be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// One look: a canary that got through since the last look is told to the outside; one that does not come is told to people, also when
/// the database cannot be read.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<(), StoreError> {
    let rules = engine.live.get();
    let settings = &rules.settings.heartbeat;
    if settings.way().is_none() {
        *engine.heartbeat.known() = Known::default();
        engine.bell.over(Alarm::Canary);
        return Ok(());
    }
    let closed = engine.store.last_canary().await;
    let news = {
        let mut known = engine.heartbeat.known();
        known.waiting_since.get_or_insert(now);
        if let Ok(closed) = closed {
            known.closed = closed;
        }
        // Of one that an earlier process saw through, it told the outside itself, or nobody waits for it any more.
        let fresh = known
            .closed
            .filter(|closed| Some(*closed) > known.told && known.waiting_since <= Some(*closed));
        known.told = fresh.or(known.told);
        fresh
    };
    say_whether_late(engine, settings, now);
    if let (Some(_), Some(url)) = (news, &settings.url) {
        // Not told this time: the next canary tries again.
        if let Err(reason) = ping(url).await {
            warn!("the outside cannot be told that a canary got through: {reason}");
        }
    }
    closed.map(drop)
}

fn say_whether_late(engine: &Engine, settings: &Settings, now: Timestamp) {
    let late = engine.heartbeat.is_late(settings, now);
    let was = std::mem::replace(&mut engine.heartbeat.known().is_late, late);
    let minutes = settings.late_after();
    if late && !was {
        error!("no canary has got through for {minutes} minutes: reminders may not leave; see `xixin ctl status`");
        let closed = settings.way().and_then(|way| engine.gate.closed_in_public(way));
        let (zh, en) = closed.map_or_else(Default::default, |why| {
            (format!("({})", why.zh), format!(" ({})", why.en))
        });
        let said = Said::new(
            format!("自检信息{minutes}分钟没有送出,提醒可能发不出去{zh}"),
            format!("no canary has got through for {minutes} minutes: reminders may not leave{en}"),
        );
        engine.alarm(Alarm::Canary, said);
    } else if !late {
        let known = *engine.heartbeat.known();
        // Also of one that an earlier process has called for, once one got through.
        if known.closed >= known.waiting_since {
            engine.bell.over(Alarm::Canary);
        }
        if was {
            info!("a canary got through again");
        }
    }
}
