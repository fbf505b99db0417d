//! What is queued in the virtual time and has not left yet, and the sender's rules over it: what waited is judged once more, the caps of
//! the day are counted over all cases, and what may not go by one way goes on by the next. The rules are the sender's own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::{Date, Time};

use crate::domain::case::Case;
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::milestone::instant;
use crate::domain::plan::People;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::recheck::{Recheck, recheck};
use crate::domain::reminder::{Recipient, State, Verdict};
use crate::domain::text::Said;
use crate::engine::cap::{Cap, cap};
use crate::engine::instead::another_way;
use crate::engine::live::Rules;
use crate::engine::prepare::{Context, context, is_person, passed_on, queued};
use crate::engine::settle::{Judged, adding};
use crate::engine::simulate::{End, Happening, Step, who};
use crate::store::queue::{Claimed, Told, Waiting};
use crate::store::reminders::NewReminder;
use crate::store::{Store, StoreError, instant_of};

/// In the order in which the sender claims them (`Store::claim_due`), after the time from which they may go.
type Turn = (Timestamp, Reverse<i64>, i64, u64);

pub(super) struct Outbox<'a> {
    store: &'a Store,
    rules: &'a Rules,
    /// The first local day of the virtual time: what was really sent on it counts towards its caps.
    today: Date,
    queue: BTreeMap<Turn, Row>,
    happened: Vec<Happening>,
    /// What residents were told on `counted_on`, by recipient.
    told: HashMap<String, Vec<Told>>,
    counted_on: Date,
    /// Rows that came of others: case, mark, recipient and way.
    gone_on: HashSet<[String; 4]>,
    /// Rows so far; those of one instant are told apart by it.
    rows: u64,
}

/// A queued row.
struct Row {
    row: NewReminder,
    way: Way,
    who: String,
    tries: i64,
    decided: Timestamp,
    /// Whether the same recipient is phoned anyhow, as the old and frail are.
    called: bool,
}

/// The case of a row and everybody around it.
struct Facts {
    case: Case,
    people: People,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(store: &'a Store, rules: &'a Rules, now: Timestamp) -> Self {
        let today = rules.rulebook.zone.to_datetime(now).date();
        Self {
            store,
            rules,
            today,
            queue: BTreeMap::new(),
            happened: Vec::new(),
            told: HashMap::new(),
            counted_on: today,
            gone_on: HashSet::new(),
            rows: 0,
        }
    }

    /// When the next of them may go.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((at, ..), _)| *at)
    }

    pub(super) fn take_happened(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happened)
    }

    /// A row that is queued in the real ledger.
    pub(super) fn take_over(&mut self, waiting: Waiting, who: String) {
        let Some(way) = Way::parse(&waiting.way) else { return };
        let Waiting {
            claimed, not_before_ms, ..
        } = waiting;
        let decided_ms = claimed.decided_ms;
        let decided = instant_of(decided_ms);
        let row = NewReminder {
            id: String::new(),
            case_id: claimed.case_id,
            mark: claimed.mark,
            recipient: claimed.recipient,
            way: way.name(),
            text: claimed.text,
            state: State::Queued.name(),
            reason_zh: claimed.reason_zh,
            reason_en: claimed.reason_en,
            priority: claimed.priority,
            due_ms: claimed.due_ms,
            decided_ms,
            not_before_ms,
            valid_until_ms: claimed.valid_until_ms,
            fallback: claimed.fallback,
            assignee: None,
        };
        let row = Row {
            row,
            way,
            who,
            tries: claimed.tries,
            decided,
            called: false,
        };
        self.wait(row, instant_of(not_before_ms));
    }

    /// A decision of the planner at `now`.
    pub(super) fn put(&mut self, step: Step, now: Timestamp) {
        let Step { verdict, row, who, .. } = step;
        let end = match verdict {
            Verdict::Queued => return self.put_queued(row, who, now),
            Verdict::Task => End::Task,
            Verdict::Superseded => End::Superseded,
            Verdict::Skipped => End::Skipped,
        };
        self.ended(end, row, who, now);
    }

    /// What was decided at this very instant is not judged again: the same facts give the same answer. Only the caps have to be asked,
    /// and only for SMS to residents and relatives.
    fn put_queued(&mut self, row: NewReminder, who: String, now: Timestamp) {
        let Some(way) = Way::parse(row.way) else { return };
        let not_before = instant_of(row.not_before_ms);
        let is_capped = way == Way::Sms && row.recipient.starts_with("person:");
        if not_before <= now && !is_capped {
            return self.ended(End::Sent, row, who, now);
        }
        let of_case = self
            .happened
            .iter()
            .rev()
            .take_while(|told| told.row.case_id == row.case_id);
        let mut calls = of_case.filter(|told| told.end == End::Task && told.row.mark == row.mark);
        let called = calls.any(|told| told.row.recipient == row.recipient);
        let row = Row {
            called,
            row,
            way,
            who,
            tries: 0,
            decided: now,
        };
        self.wait(row, not_before.max(now));
    }

    fn wait(&mut self, row: Row, until: Timestamp) {
        self.rows += 1;
        let turn = (until, Reverse(row.row.priority), row.row.valid_until_ms, self.rows);
        self.queue.insert(turn, row);
    }

    fn ended(&mut self, end: End, row: NewReminder, who: String, at: Timestamp) {
        self.happened.push(Happening { at, end, who, row });
    }

    /// Everything that may go by `now`.
    pub(super) async fn send(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while let Some(turn) = self.queue.first_entry().filter(|turn| turn.key().0 <= now) {
            let row = turn.remove();
            self.judge(row, now).await?;
        }
        Ok(())
    }

    async fn judge(&mut self, mut row: Row, now: Timestamp) -> Result<(), StoreError> {
        let claimed = row.claimed();
        let Some(meant) = queued(&claimed, row.way) else {
            return Ok(());
        };
        let mut facts = None;
        let mut about = Context {
            way: row.way,
            recipient: meant.recipient.clone(),
            caller: None,
            note: Said::default(),
        };
        if row.decided < now {
            let Some(found) = self.facts(&claimed).await? else {
                return Ok(());
            };
            let scene = found.scene(self.rules, now);
            match recheck(&scene, &meant) {
                Recheck::Send(_) => {}
                Recheck::Wait { until } => {
                    self.wait(row, until);
                    return Ok(());
                }
                Recheck::Cancel(said) => {
                    self.cancelled(row, &said, now);
                    return Ok(());
                }
                Recheck::PassOn { heirs, said } => {
                    for heir in heirs {
                        self.go_on(passed_on(&claimed, heir, &said, now), &found.people, now);
                    }
                    self.cancelled(row, &said, now);
                    return Ok(());
                }
                Recheck::Unreachable(said) => {
                    let about = context(self.rules, &found.case, &claimed, &meant, now);
                    self.another_way(row, &claimed, &about, &said, &found.people, now);
                    return Ok(());
                }
            }
            about = context(self.rules, &found.case, &claimed, &meant, now);
            facts = Some(found);
        }
        self.count_anew(now);
        if is_person(&claimed.recipient) && !self.told.contains_key(&claimed.recipient) {
            let told = self.told_before(&claimed.recipient).await?;
            self.told.insert(claimed.recipient.clone(), told);
        }
        let told = self.told.entry(claimed.recipient.clone()).or_default();
        match cap(self.rules, row.way, &claimed, told, &about, now) {
            Cap::Free => {}
            Cap::Passed(said) => about.note = about.note.and(&said),
            Cap::Closed(judged) => return self.closed(row, &claimed, *judged, facts, now).await,
        }
        if !about.note.zh.is_empty() {
            row.say(adding(&claimed, &about.note));
        }
        self.ended(End::Sent, row.row, row.who, now);
        Ok(())
    }

    /// A cap is reached: it waits for the morning, or goes on by another way.
    async fn closed(
        &mut self,
        mut row: Row,
        claimed: &Claimed,
        judged: Judged,
        facts: Option<Facts>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (verdict, next) = match judged {
            Judged::Settled { verdict, next } => (verdict, next),
            Judged::Held { verdict, .. } => (verdict, None),
            Judged::PassedOn { .. } | Judged::Go { .. } => return Ok(()),
        };
        if let Some(until) = verdict.not_before_ms {
            row.say(Said::new(
                verdict.reason_zh.unwrap_or_default(),
                verdict.reason_en.unwrap_or_default(),
            ));
            self.wait(row, instant_of(until));
            return Ok(());
        }
        let Some((_, said)) = next else { return Ok(()) };
        let facts = match facts {
            Some(facts) => Some(facts),
            None => self.facts(claimed).await?,
        };
        let (Some(facts), Some(meant)) = (facts, queued(claimed, row.way)) else {
            return Ok(());
        };
        let about = context(self.rules, &facts.case, claimed, &meant, now);
        self.another_way(row, claimed, &about, &said, &facts.people, now);
        Ok(())
    }

    fn another_way(
        &mut self,
        row: Row,
        claimed: &Claimed,
        about: &Context,
        said: &Said,
        people: &People,
        now: Timestamp,
    ) {
        let mut rows = another_way(claimed, about, said, &claimed.fallback, now);
        if row.called && rows.first().is_some_and(|next| next.state == State::Task.name()) {
            rows.clear();
        }
        self.cancelled(row, said, now);
        for next in rows {
            self.go_on(next, people, now);
        }
    }

    /// A row that comes of another one. The ledger has room for one row of a mark, recipient and way.
    fn go_on(&mut self, row: NewReminder, people: &People, now: Timestamp) {
        let key = [row.case_id.as_str(), &row.mark, &row.recipient, row.way].map(str::to_owned);
        if !self.gone_on.insert(key) {
            return;
        }
        let recipient = Recipient::parse(&row.recipient).unwrap_or(Recipient::Nobody);
        let who = who(&self.rules.rulebook, people, &recipient);
        if row.state == State::Task.name() {
            self.ended(End::Task, row, who, now);
        } else {
            self.put_queued(row, who, now);
        }
    }

    fn cancelled(&mut self, mut row: Row, said: &Said, now: Timestamp) {
        row.say(said.clone());
        self.ended(End::Cancelled, row.row, row.who, now);
    }

    /// `None` when the case has gone since.
    async fn facts(&self, claimed: &Claimed) -> Result<Option<Facts>, StoreError> {
        let Some(stored) = self.store.case(&CaseId::from(claimed.case_id.as_str())).await? else {
            return Ok(None);
        };
        let people = self.store.people_of(&stored.case.party.person).await?;
        Ok(Some(Facts {
            case: stored.case,
            people,
        }))
    }

    /// With the local day the caps begin anew.
    fn count_anew(&mut self, now: Timestamp) {
        let day = self.rules.rulebook.zone.to_datetime(now).date();
        if day != self.counted_on {
            self.told.clear();
            self.counted_on = day;
        }
    }

    /// What this recipient has really got today.
    async fn told_before(&self, recipient: &str) -> Result<Vec<Told>, StoreError> {
        if self.counted_on != self.today {
            return Ok(Vec::new());
        }
        let midnight = instant(self.today, Time::midnight(), &self.rules.rulebook.zone);
        self.store.told_since(&[recipient], midnight).await
    }
}

impl Facts {
    fn scene<'a>(&'a self, rules: &'a Rules, now: Timestamp) -> Scene<'a> {
        Scene {
            rules: &rules.rulebook,
            case: &self.case,
            people: &self.people,
            now,
        }
    }
}

impl Row {
    fn claimed(&self) -> Claimed {
        let row = self.row.clone();
        Claimed {
            id: row.id,
            case_id: row.case_id,
            mark: row.mark,
            recipient: row.recipient,
            text: row.text,
            priority: row.priority,
            due_ms: row.due_ms,
            decided_ms: row.decided_ms,
            valid_until_ms: row.valid_until_ms,
            fallback: row.fallback,
            tries: self.tries,
            epoch: 0,
            reason_zh: row.reason_zh,
            reason_en: row.reason_en,
        }
    }

    fn say(&mut self, reason: Said) {
        self.row.reason_zh = reason.zh;
        self.row.reason_en = reason.en;
    }
}
