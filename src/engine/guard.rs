//! Asks the blast guard before an attempt begins, and keeps its counts.
//!
//! The counts of the day stand in memory, so that no message has to be looked up; what a batch adds is written in the transaction that
//! records its attempts, and a start reads it back. A message takes its place in the counts when it is asked for, and gives it back when
//! it does not leave after all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use crate::channel::outcome::Outcome;
use crate::domain::guard::{
    Blast, GuardRule, Stopped, Tried, USUAL_DAYS, last_call, limit, new_text_waits, over_run, over_same_text,
    too_many_failures,
};
use crate::domain::ladder::{Priority, Way};
use crate::domain::plan::decide::CALL_TASK;
use crate::domain::reminder::{Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Held, Judged, adding, settle, wait_for};
use crate::engine::{Engine, new_reminder};
use crate::store::grounds::Bounds;
use crate::store::holds::{Counted, Hold, Known, TEXT};
use crate::store::queue::{Claimed, Verdict};
use crate::store::reminders::NewReminder;
use crate::store::{Store, StoreError};
use crate::template::Rendered;

/// The counts of the day. Empty until the first batch asks.
#[derive(Debug, Default)]
pub struct Guard {
    book: Mutex<Option<Book>>,
    /// Held while the counts are read, so that nobody counts in a book that is about to be replaced, and while something is released, so
    /// that a book read before does not come after it.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Book {
    day: Date,
    /// The rules it was read for; `None` when it has to be read anew.
    generation: Option<i64>,
    rule: GuardRule,
    /// How many messages may leave on this day.
    limit: u64,
    email: Counts,
    sms: Counts,
    alike: HashMap<String, u64>,
    texts: HashMap<String, Trial>,
    open: Vec<Hold>,
    any_approved: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// Left for the first time since the last release.
    run: u64,
    ended: u64,
    failed: u64,
    /// Asked for, and not ended yet.
    under_way: u64,
}

#[derive(Debug, Default)]
struct Trial {
    tried: Tried,
    trusted: bool,
}

/// A message that asks whether it may go.
pub(crate) struct Ask<'a> {
    pub way: Way,
    pub row: &'a Claimed,
    /// What stands for the words of a message to a member of the public.
    pub words: Option<String>,
    /// Whether two people have released it.
    pub approved: bool,
}

/// What the guard says.
pub(crate) enum Say {
    Go(Counted),
    /// A changed text waits to see what becomes of the first few.
    Wait {
        until: Timestamp,
        text: String,
    },
    Stop(Hold),
}

impl Engine {
    /// Reads the counts of the day when they are not known. Counts of another day, or of other rules, are of no use.
    pub(crate) async fn know_the_day(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.live.get();
        let day = rules.rulebook.zone.to_datetime(now).date();
        if self.guard.knows(day, rules.generation) {
            return Ok(());
        }
        let _turn = self.guard.reading.lock().await;
        if self.guard.knows(day, rules.generation) {
            return Ok(());
        }
        let sums = rules.texts.sums().iter();
        let sums: Vec<(String, String)> = sums.map(|(text, sum)| (text.to_string(), sum.clone())).collect();
        self.store.note_texts(&sums).await?;
        let since = day.checked_sub(Span::new().days(USUAL_DAYS)).unwrap_or(day);
        let held = self.guard.held();
        let known = self
            .store
            .guard_known(&day.to_string(), &since.to_string(), &held)
            .await?;
        self.guard
            .learn(day, rules.generation, rules.rulebook.schedule.guard, known);
        Ok(())
    }
}

impl Guard {
    /// Something was released: the next batch reads the counts anew. Until then those that are known stand, so that nothing slips through in between.
    pub(crate) fn released(&self, id: &str) {
        if let Some(book) = self.book().as_mut() {
            book.generation = None;
            book.open.retain(|hold| hold.id != id);
        }
    }

    /// Other nodes have counted: the next batch reads the counts anew.
    pub(crate) fn reread(&self) {
        if let Some(book) = self.book().as_mut() {
            book.generation = None;
        }
    }

    /// How far the counts may go.
    pub(crate) fn bounds(&self) -> Bounds {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let book = self.book();
        book.as_ref().map_or_else(Bounds::default, |book| Bounds {
            run: number(book.limit),
            alike: number(book.rule.same_text.into()),
            first: number(book.rule.first.into()),
            text: number(book.rule.new_text_first.into()),
            holds: book.open.iter().map(|hold| hold.id.clone()).collect(),
        })
    }

    /// While this is kept, the counts are not read.
    pub(crate) async fn unread(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// The holds that messages fall under now.
    fn held(&self) -> Vec<String> {
        let book = self.book();
        let open = book.iter().flat_map(|book| &book.open);
        open.map(|hold| hold.id.clone()).collect()
    }

    /// The local day that is being counted, as the database names it.
    pub(crate) fn day(&self) -> String {
        self.book()
            .as_ref()
            .map_or_else(String::new, |book| book.day.to_string())
    }

    /// How many messages may be begun now: the outcomes of the first ones of a day are waited for. `None` when any number may.
    pub(crate) fn room(&self, way: Way) -> Option<u64> {
        let mut book = self.book();
        let book = book.as_mut()?;
        let first = u64::from(book.rule.first);
        let counts = book.counts(way);
        (counts.ended < first).then(|| first.saturating_sub(counts.ended + counts.under_way))
    }

    pub(crate) fn any_approved(&self) -> bool {
        self.book().as_ref().is_some_and(|book| book.any_approved)
    }

    pub(crate) fn ask(&self, ask: &Ask<'_>, now: Timestamp) -> Say {
        match self.book().as_mut() {
            Some(book) => book.ask(ask, now),
            // Nobody asks before the day is known.
            None => Say::Go(Counted::default()),
        }
    }

    /// A message that had asked does not leave.
    pub(crate) fn give_back(&self, way: Way, counted: &Counted) {
        if let Some(book) = self.book().as_mut() {
            let counts = book.counts(way);
            counts.under_way = counts.under_way.saturating_sub(1);
            counts.run = counts.run.saturating_sub(u64::from(counted.run));
            if let Some(told) = counted.alike.as_ref().and_then(|sum| book.alike.get_mut(sum)) {
                *told = told.saturating_sub(1);
            }
            if let Some(trial) = counted.text.as_ref().and_then(|text| book.texts.get_mut(text)) {
                trial.tried.sent = trial.tried.sent.saturating_sub(1);
            }
        }
    }

    /// A message has left, or was not sent in the end (`None`). Returns what counts among the first of the day: that one ended, and
    /// whether it failed.
    pub(crate) fn ended(&self, way: Way, outcome: Option<&Outcome>) -> Option<bool> {
        let mut book = self.book();
        let book = book.as_mut()?;
        let first = u64::from(book.rule.first);
        let counts = book.counts(way);
        counts.under_way = counts.under_way.saturating_sub(1);
        let failed = match outcome? {
            Outcome::Accepted { .. } => false,
            Outcome::Refused { .. } => true,
            // Nothing is known yet; of a provider in doubt the breaker takes care.
            Outcome::Deferred { .. } | Outcome::Uncertain { .. } => return None,
        };
        if counts.ended >= first {
            return None;
        }
        counts.ended += 1;
        counts.failed += u64::from(failed);
        Some(failed)
    }

    fn knows(&self, day: Date, generation: i64) -> bool {
        let book = self.book();
        book.as_ref()
            .is_some_and(|book| book.day == day && book.generation == Some(generation))
    }

    fn learn(&self, day: Date, generation: i64, rule: GuardRule, known: Known) {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let mut before: Vec<u64> = known.before.into_iter().map(count).collect();
        before.truncate(usize::try_from(USUAL_DAYS).unwrap_or(usize::MAX));
        let mut book = Book {
            day,
            generation: Some(generation),
            rule,
            limit: limit(&rule, &before),
            email: Counts::default(),
            sms: Counts::default(),
            alike: known.alike.into_iter().map(|(sum, told)| (sum, count(told))).collect(),
            texts: HashMap::new(),
            open: known.open,
            any_approved: known.any_approved,
        };
        for row in known.ways {
            if let Some(way) = Way::parse(&row.way) {
                *book.counts(way) = Counts {
                    run: count(row.run),
                    ended: count(row.ended),
                    failed: count(row.failed),
                    under_way: 0,
                };
            }
        }
        book.texts.extend(known.texts.into_iter().map(|row| {
            let tried = Tried {
                sent: count(row.sent),
                first: row.first_ms.map(crate::store::instant_of),
            };
            let trusted = row.trusted == 1;
            (row.text, Trial { tried, trusted })
        }));
        let mut kept = self.book();
        // What is on its way is known here only, and so is a hold that has just begun.
        if let Some(old) = kept.take() {
            book.email.under_way = old.email.under_way;
            book.sms.under_way = old.sms.under_way;
            let is_new =
                |hold: &Hold| book.open.iter().all(|known| known.id != hold.id) && !known.released.contains(&hold.id);
            let new: Vec<Hold> = old.open.into_iter().filter(is_new).collect();
            book.open.extend(new);
        }
        *kept = Some(book);
    }

    fn book(&self) -> MutexGuard<'_, Option<Book>> {
        self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Book {
    fn counts(&mut self, way: Way) -> &mut Counts {
        if way == Way::Email {
            &mut self.email
        } else {
            &mut self.sms
        }
    }

    fn ask(&mut self, ask: &Ask<'_>, now: Timestamp) -> Say {
        let words = ask.words.as_deref();
        let again = ask.row.tries > 0;
        if !ask.approved
            && let Some(hold) = self.stop(ask.way, words, again, now)
        {
            return Say::Stop(hold);
        }
        let is_free = ask.approved || again || ask.row.priority >= Priority::Critical as i64;
        let mut tried = None;
        if let Some(trial) = self.texts.get_mut(&ask.row.text).filter(|trial| !trial.trusted)
            && !is_free
        {
            match new_text_waits(&self.rule, trial.tried, now) {
                Some(until) => {
                    let text = ask.row.text.clone();
                    return Say::Wait { until, text };
                }
                None if trial.tried.sent >= u64::from(self.rule.new_text_first) => trial.trusted = true,
                None => {
                    trial.tried.sent += 1;
                    trial.tried.first.get_or_insert(now);
                    tried = Some(ask.row.text.clone());
                }
            }
        }
        let counted = Counted {
            run: !again && !ask.approved,
            alike: words.filter(|_| !again && !ask.approved).map(str::to_owned),
            text: tried,
        };
        let counts = self.counts(ask.way);
        counts.under_way += 1;
        counts.run += u64::from(counted.run);
        if let Some(sum) = &counted.alike {
            *self.alike.entry(sum.clone()).or_default() += 1;
        }
        Say::Go(counted)
    }

    /// The hold that a message falls under, an open one or one that begins with it. A second try has been counted with the first.
    fn stop(&mut self, way: Way, words: Option<&str>, again: bool, now: Timestamp) -> Option<Hold> {
        let falls_under = |hold: &&Hold| match Blast::parse(&hold.kind)? {
            Blast::Run => (!again).then_some(()),
            Blast::Failures => (hold.key == way.name()).then_some(()),
            Blast::SameText => (!again && Some(hold.key.as_str()) == words).then_some(()),
        };
        if let Some(hold) = self.open.iter().find(|hold| falls_under(hold).is_some()) {
            return Some(hold.clone());
        }
        let failed = self.counts(way).failed;
        let run = self.email.run + self.sms.run;
        let told = words.and_then(|sum| self.alike.get(sum)).copied().unwrap_or(0);
        let (stopped, key) = if let Some(stopped) = too_many_failures(&self.rule, failed) {
            (stopped, way.name())
        } else if again {
            return None;
        } else if let Some(stopped) = over_run(run, self.limit) {
            (stopped, "")
        } else {
            (over_same_text(&self.rule, told)?, words.unwrap_or_default())
        };
        let hold = new_hold(&stopped, key, now);
        tracing::warn!(hold = %hold.id, kind = %hold.kind, "the blast guard holds messages: {}", stopped.said.en);
        self.open.push(hold.clone());
        Some(hold)
    }
}

fn new_hold(stopped: &Stopped, key: &str, now: Timestamp) -> Hold {
    // The last digits are random; people type them.
    let id = uuid::Uuid::now_v7().simple().to_string();
    Hold {
        id: format!("h-{}", &id[id.len() - 8..]),
        kind: stopped.kind.name().to_owned(),
        key: key.to_owned(),
        opened_ms: now.as_millisecond(),
        reason_zh: stopped.said.zh.clone(),
        reason_en: stopped.said.en.clone(),
        first_ms: None,
        first_by: None,
        first_reason: None,
    }
}

/// Of the words themselves, whichever way they go, when they are for a member of the public.
pub(crate) fn words_of(store: &Store, context: &Context, rendered: &Rendered) -> Option<String> {
    let words = rendered.sms.as_deref().or(rendered.body.as_deref()).unwrap_or_default();
    matches!(context.recipient, Recipient::Person(_)).then(|| store.words_sum(words))
}

/// What becomes of a message that the guard does not let go now.
pub(crate) fn held(
    rules: &Rules,
    row: &Claimed,
    context: &Context,
    say: Say,
    now: Timestamp,
) -> Result<Counted, Box<Judged>> {
    match say {
        Say::Go(counted) => Ok(counted),
        Say::Wait { until, text } if until.as_millisecond() < row.valid_until_ms => {
            let said = Said::new(
                format!("文本 {text} 刚改动过,先发几条,其余稍后继续"),
                format!("text {text} was changed; a few have gone, the others follow in a while"),
            );
            Err(Box::new(wait_for(row, until, &said, format!("{TEXT}{text}"))))
        }
        // It cannot wait for the others of a changed text, and one more does no harm.
        Say::Wait { .. } => Ok(Counted::default()),
        Say::Stop(hold) => Err(Box::new(stopped(rules, row, context, hold, now))),
    }
}

/// It waits for people to release it; what is critical, or will soon be of no use, goes to somebody who phones.
fn stopped(rules: &Rules, row: &Claimed, context: &Context, hold: Hold, now: Timestamp) -> Judged {
    let said = Said::new(
        format!("{}(单号 {})", hold.reason_zh, hold.id),
        format!("{} (hold {})", hold.reason_en, hold.id),
    );
    let call = last_call(crate::store::instant_of(row.valid_until_ms));
    let is_critical = row.priority >= Priority::Critical as i64 && row.text != CALL_TASK;
    let (verdict, heirs) = if !is_critical && now < call {
        let verdict = Verdict {
            not_before_ms: Some(call.as_millisecond()),
            closed_ms: None,
            ..settle(row, State::Held, adding(row, &said), now)
        };
        (verdict, Vec::new())
    } else if row.text == CALL_TASK {
        // The call itself is on the list of whoever makes it.
        (settle(row, State::Cancelled, said, now), Vec::new())
    } else if is_critical || matches!(context.recipient, Recipient::Person(_)) {
        let because = said.and(&Said::new("立即改由人工告知", "a person tells them instead, at once"));
        let task = task(rules, row, context, &because, now);
        (settle(row, State::Cancelled, because, now), vec![task])
    } else {
        let late = Said::new("暂扣到已无用", "held until it was of no use");
        (settle(row, State::Refused, said.and(&late), now), Vec::new())
    };
    let held = Held {
        why: hold.id.clone(),
        opened: Some(hold),
    };
    Judged::Held { verdict, held, heirs }
}

/// Somebody tells them, at once: the one who phones for the case. Staff are named, as their own number is on no case.
fn task(rules: &Rules, row: &Claimed, context: &Context, said: &Said, now: Timestamp) -> NewReminder {
    let staff = match &context.recipient {
        Recipient::Staff(id) => rules.rulebook.org.staff.get(id),
        _ => None,
    };
    let said = match staff {
        Some(staff) => said.and(&Said::new(
            format!("请告知{}({})", staff.name, staff.role.said().zh),
            format!("tell {} ({})", staff.name, staff.role.said().en),
        )),
        None => said.clone(),
    };
    let assignee = context.caller.as_ref().or(staff.map(|staff| &staff.id));
    NewReminder {
        id: new_reminder().to_string(),
        case_id: row.case_id.clone(),
        mark: row.mark.clone(),
        recipient: row.recipient.clone(),
        way: Way::Phone.name(),
        text: row.text.clone(),
        state: State::Task.name(),
        reason_zh: said.zh,
        reason_en: said.en,
        priority: row.priority,
        due_ms: row.due_ms,
        decided_ms: now.as_millisecond(),
        not_before_ms: now.as_millisecond(),
        valid_until_ms: row.valid_until_ms,
        fallback: String::new(),
        assignee: assignee.map(ToString::to_string),
    }
}
