//! The daily digests: exactly one per member of staff and local workday, whatever crashes.
//!
//! The day is a slot that is claimed once, in the same transaction that queues everybody's digest; what is in it is read at the moment
//! of sending. A day that was missed is not made up for: the next digest says so.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::domain::digest::Digest;
use crate::domain::ladder::{Priority, Way};
use crate::domain::milestone::instant;
use crate::domain::org::Staff;
use crate::domain::plan::duration_words;
use crate::domain::reminder::{Recipient, State};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, cancel, settle};
use crate::engine::{Engine, POLL, digest_content, new_reminder};
use crate::lifecycle::Beat;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;
use crate::store::{Store, StoreError, commit, reminders, runs};

const SCHEDULE: &str = "digest";

/// Queues each day's digests when their time has come.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        let now = engine.now();
        match step(&engine, now).await {
            Ok(0) => {}
            Ok(queued) => info!(digests = queued, "queued {queued} digests"),
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "digests cannot be queued; trying again");
                engine.note_store_error(&error).await;
            }
        }
        let until = next_digest(&engine.live.get().rulebook, now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.bells.digests.notified() => {}
            () = tokio::time::sleep(wait.clamp(Duration::from_millis(5), POLL)) => {}
        }
    }
}

/// The next instant at which digests are due, after `now`.
pub fn next_digest(rules: &Rulebook, now: Timestamp) -> Timestamp {
    let today = rules.zone.to_datetime(now).date();
    let at = |day: Date| instant(day, rules.schedule.digest_at, &rules.zone);
    let first = rules.calendar.workday_on_or_after(today);
    if at(first) > now {
        at(first)
    } else {
        at(rules.calendar.next_workday(first))
    }
}

/// Claims today's slot when its time has come and queues one digest for everybody who gets one. Returns how many.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<usize, StoreError> {
    let rules = engine.live.get();
    if engine.gate.time_in_doubt() || engine.is_odd() {
        return Ok(0);
    }
    match due_day(&rules.rulebook, now) {
        Some(today) => queue(engine, today, now).await,
        None => Ok(0),
    }
}

/// Today, when it is a workday and the time of its digests has come.
fn due_day(book: &Rulebook, now: Timestamp) -> Option<Date> {
    let today = book.zone.to_datetime(now).date();
    let due = instant(today, book.schedule.digest_at, &book.zone);
    (now >= due && book.calendar.is_workday(today)).then_some(today)
}

/// Whether the digests of today should have been queued by now and were not.
pub async fn is_owed(store: &Store, book: &Rulebook, now: Timestamp) -> Result<bool, StoreError> {
    match due_day(book, now) {
        Some(today) => Ok(!store.is_claimed(SCHEDULE, &today.to_string()).await?),
        None => Ok(false),
    }
}

/// Claims the slot of a day and queues its digests; nothing when it was claimed before. Returns how many.
pub async fn queue(engine: &Engine, day: Date, now: Timestamp) -> Result<usize, StoreError> {
    let rules = engine.live.get();
    let book = &rules.rulebook;
    let slot = day.to_string();
    // Only this very day counts: a slot that a clock gone wrong once claimed far ahead must not silence every morning until then.
    if engine.store.is_claimed(SCHEDULE, &slot).await? {
        return Ok(0);
    }
    let due = instant(day, book.schedule.digest_at, &book.zone);
    let rows: Vec<NewReminder> = readers(book, day)
        .into_iter()
        .map(|staff| new_digest(staff, day, due, now, book))
        .collect();
    let mut tx = engine.store.begin().await?;
    if !runs::claim_slot(&mut tx, SCHEDULE, &slot, now, &engine.holder).await? {
        return Ok(0);
    }
    reminders::add(&mut tx, &rows.iter().collect::<Vec<_>>()).await?;
    commit(tx, "queue the digests").await?;
    engine.bells.ring_senders();
    Ok(rows.len())
}

/// Everybody who opens a digest that day: here, with an address, and wanting one.
pub fn readers(book: &Rulebook, today: Date) -> Vec<&Staff> {
    let reads = |staff: &&Staff| {
        let here = book
            .org
            .acting_for(&staff.id, today)
            .is_some_and(|acting| acting.id == staff.id);
        staff.digest && staff.email.is_some() && here
    };
    book.org.staff.values().filter(reads).collect()
}

/// What the mark of a digest begins with.
pub(crate) const MARK: &str = "digest|";

/// In the order of the days.
pub(crate) fn mark(day: Date) -> String {
    format!("{MARK}{day}")
}

fn new_digest(staff: &Staff, day: Date, due: Timestamp, now: Timestamp, book: &Rulebook) -> NewReminder {
    let end_of_day = instant(day.tomorrow().unwrap_or(day), Time::midnight(), &book.zone);
    NewReminder {
        id: new_reminder().to_string(),
        case_id: String::new(),
        mark: mark(day),
        recipient: Recipient::Staff(staff.id.clone()).to_string(),
        way: Way::Email.name(),
        text: "digest".to_owned(),
        state: State::Queued.name(),
        reason_zh: format!("{day} 每日待办"),
        reason_en: format!("daily digest of {day}"),
        priority: Priority::Urgent as i64,
        due_ms: due.as_millisecond(),
        decided_ms: now.as_millisecond(),
        not_before_ms: now.as_millisecond(),
        valid_until_ms: end_of_day.as_millisecond(),
        fallback: String::new(),
        assignee: None,
    }
}

/// A claimed row that belongs to no case: a digest, or a message of `send-test`.
pub(crate) async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let recipient = Recipient::parse(&row.recipient);
    let staff = match &recipient {
        Some(Recipient::Staff(id)) => rules.rulebook.org.staff.get(id),
        _ => None,
    };
    let (Some(recipient), Some(staff)) = (recipient, staff) else {
        return Ok(cancel(
            row,
            Said::new("此人已不在名单中", "this person is no longer on the staff list"),
            now,
        ));
    };
    let day = row.mark.strip_prefix(MARK).and_then(|day| day.parse::<Date>().ok());
    let (Some(day), Some(to)) = (day, staff.email.clone()) else {
        return Ok(cancel(row, Said::new("没有邮箱地址", "no e-mail address"), now));
    };
    if now.as_millisecond() >= row.valid_until_ms {
        return Ok(cancel(row, Said::new("这一天已经过去", "that day is over"), now));
    }
    let Some(mut digest) = digest_content::build(engine, rules, &staff.id, day, now).await? else {
        let said = Said::new("此人已不在名单中", "this person is no longer on the staff list");
        return Ok(cancel(row, said, now));
    };
    own_up(engine, &rules.rulebook, &mut digest, now).await?;
    if digest.is_empty() && !rules.rulebook.schedule.digest_when_empty {
        let said = Said::new(
            "今日无待办,按设置不发",
            "nothing to do today; the schedule says not to send",
        );
        let verdict = settle(row, State::Skipped, said, now);
        return Ok(Judged::Settled { verdict, next: None });
    }
    let context = Context {
        way,
        recipient,
        caller: None,
        note: Said::default(),
    };
    let rendered = match rules.texts.render_digest(&digest) {
        Ok(rendered) => rendered,
        Err(error) => {
            error!(reminder.id = %row.id, "the digest cannot be rendered: {error}");
            return Ok(cancel(
                row,
                Said::new("待办文本无法生成", "the digest cannot be rendered"),
                now,
            ));
        }
    };
    Ok(Judged::Go {
        rendered,
        invitation: None,
        to,
        context,
        version: None,
    })
}

/// A digest that comes late or after missed ones says so.
async fn own_up(engine: &Engine, book: &Rulebook, digest: &mut Digest, now: Timestamp) -> Result<(), StoreError> {
    let due = instant(digest.date, book.schedule.digest_at, &book.zone);
    let late_s = now.as_second() - due.as_second();
    let is_late = late_s / 60 > i64::from(book.schedule.late_after_minutes);
    digest.late = is_late.then(|| duration_words(late_s));
    let last = engine.store.slot_before(SCHEDULE, &digest.date.to_string()).await?;
    let down = last
        .and_then(|slot| slot.parse::<Date>().ok())
        .map_or(0, |last| (book.calendar.workdays_between(last, digest.date) - 1).max(0));
    let recipient = Recipient::Staff(digest.staff.clone()).to_string();
    let lost = engine.store.undelivered(&recipient, &mark(digest.date)).await?;
    digest.missed_days = u32::try_from(down + lost).unwrap_or(u32::MAX);
    Ok(())
}
