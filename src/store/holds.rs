//! What the blast guard counts and holds. Counts are written in the transaction that records the attempts they count, a hold in the one
//! that takes its first messages out of the queue: none of it can be lost without the messages it is about.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::lock::Lock;
use crate::store::{During, Store, StoreError, Tx, commit, events};

/// Reminders that wait for the next sending hours because of a cap of the day name this as their hold.
pub const CAP: &str = "cap";
/// What the hold of a changed text begins with.
pub const TEXT: &str = "text:";

/// Many messages, held until two people have released them.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Hold {
    pub id: String,
    pub kind: String,
    pub key: String,
    pub opened_ms: i64,
    pub reason_zh: String,
    pub reason_en: String,
    pub first_ms: Option<i64>,
    pub first_by: Option<String>,
    pub first_reason: Option<String>,
}

/// What has left by one way today.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DayRow {
    pub way: String,
    pub run: i64,
    pub ended: i64,
    pub failed: i64,
}

/// A text as this database has seen it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct TextRow {
    pub text: String,
    pub sum: String,
    pub sent: i64,
    pub first_ms: Option<i64>,
    pub trusted: i64,
}

/// Everything the guard knows about a day.
#[derive(Debug, Default)]
pub struct Known {
    pub ways: Vec<DayRow>,
    /// What left on each day before.
    pub before: Vec<i64>,
    pub alike: Vec<(String, i64)>,
    pub texts: Vec<TextRow>,
    pub open: Vec<Hold>,
    /// Those of the holds asked about that people have released.
    pub released: Vec<String>,
    /// Whether two people have ever released something that may still be on its way.
    pub any_approved: bool,
}

/// As what one message counts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counted {
    /// It leaves for the first time, and nobody has released it.
    pub run: bool,
    /// The fingerprint of the words that a resident gets.
    pub alike: Option<String>,
    /// A changed text that is being tried.
    pub text: Option<String>,
}

/// What one batch adds to the counts of a local day.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    run: i64,
    alike: BTreeMap<String, i64>,
    texts: BTreeMap<String, i64>,
}

impl Tally {
    pub(super) fn counts_run(&self) -> bool {
        self.run > 0
    }

    /// The words and the changed texts that it counts.
    pub(super) fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let words = self.alike.keys().map(String::as_str);
        (words.collect(), self.texts.keys().map(String::as_str).collect())
    }

    pub(crate) fn of<'a>(counted: impl Iterator<Item = &'a Counted>) -> Self {
        let mut tally = Self::default();
        for one in counted {
            tally.run += i64::from(one.run);
            if let Some(sum) = &one.alike {
                *tally.alike.entry(sum.clone()).or_default() += 1;
            }
            if let Some(text) = &one.text {
                *tally.texts.entry(text.clone()).or_default() += 1;
            }
        }
        tally
    }
}

/// A reminder that waits, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marked {
    pub id: String,
    pub hold: String,
}

/// Reminders that wait for one reason.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct HeldCount {
    /// `None` for reminders held one by one.
    pub hold: Option<String>,
    pub count: i64,
    /// When the first of them goes on by itself, or to people.
    pub until_ms: i64,
}

impl Store {
    /// What is known about `day`, about what left on the days since `since` (ISO dates), and about these holds.
    pub async fn guard_known(&self, day: &str, since: &str, held: &[String]) -> Result<Known, StoreError> {
        const WAYS: &str = "
            select way, cast(sum(run) as bigint) as run, cast(sum(ended) as bigint) as ended, cast(sum(failed) as bigint) as failed
            from guard_days where day = $1 group by way";
        const BEFORE: &str = "
            select cast(sum(sent) as bigint) from guard_days where day >= $1 and day < $2 group by day";
        const ALIKE: &str = "select sum, told from guard_alike where day = $1";
        const TEXTS: &str = "select text, sum, sent, first_ms, trusted from guard_texts";
        const APPROVED: &str =
            "select count(*) from (select id from holds where released_ms is not null limit 1) as one";
        const RELEASED: &str = "
            select id from holds where id in (select value from json_each($1)) and released_ms is not null";
        let during = "read what the guard has counted";
        let released = query_scalar(RELEASED).bind(json(&held));
        let released = released.fetch_all(self.reader()).await;
        let ways = query_as(WAYS).bind(day).fetch_all(self.reader()).await;
        let before = query_scalar(BEFORE).bind(since).bind(day);
        let before = before.fetch_all(self.reader()).await;
        let alike = query_as(ALIKE).bind(day).fetch_all(self.reader()).await;
        let texts = query_as(TEXTS).fetch_all(self.reader()).await;
        let approved = query_scalar::<i64>(APPROVED).fetch_one(self.reader()).await;
        Ok(Known {
            ways: ways.during(during)?,
            before: before.during(during)?,
            alike: alike.during(during)?,
            texts: texts.during(during)?,
            open: self.open_holds().await?,
            released: released.during(during)?,
            any_approved: approved.during(during)? > 0,
        })
    }

    /// Holds that nobody has released yet, oldest first.
    pub async fn open_holds(&self) -> Result<Vec<Hold>, StoreError> {
        const SQL: &str = "
            select id, kind, key, opened_ms, reason_zh, reason_en, first_ms, first_by, first_reason
            from holds
            where released_ms is null
            order by opened_ms, id";
        query_as(SQL).fetch_all(self.reader()).await.during("read the holds")
    }

    /// How many reminders wait for each reason.
    pub async fn held_counts(&self) -> Result<Vec<HeldCount>, StoreError> {
        const HELD: &str = "
            select hold, count(*) as count, min(not_before_ms) as until_ms
            from reminders
            where hold is not null and state in ('held', 'queued')
            group by hold";
        // Read from the index of what is in trouble: few are.
        const ALONE: &str = "
            select hold, count(*) as count, coalesce(min(not_before_ms), 0) as until_ms
            from reminders
            where state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt') and state = 'held' and hold is null
            group by hold";
        let during = "count what is held";
        let mut held: Vec<HeldCount> = query_as(HELD).fetch_all(self.reader()).await.during(during)?;
        held.extend(
            query_as::<HeldCount>(ALONE)
                .fetch_all(self.reader())
                .await
                .during(during)?,
        );
        Ok(held)
    }

    /// Which of these reminders two people have released.
    pub async fn approved_of(&self, ids: &[&str]) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            select id from reminders
            where id in (select value from json_each($1)) and approved is not null";
        query_scalar(SQL)
            .bind(json(&ids))
            .fetch_all(self.reader())
            .await
            .during("read what was released")
    }

    /// Held reminders that will soon be of no use are judged again: they go to people. Returns how many.
    pub async fn wake_held(&self, now: Timestamp) -> Result<u64, StoreError> {
        const ANY: &str = "
            select count(*) from reminders where state = 'held' and hold is not null and not_before_ms <= $1";
        const SQL: &str = "
            update reminders set state = 'queued' where state = 'held' and hold is not null and not_before_ms <= $1";
        self.change_due((ANY, SQL), now, "wake what cannot be held any longer")
            .await
    }

    /// Notes the texts in force: those of a new database are trusted, a changed one is tried first.
    pub async fn note_texts(&self, texts: &[(String, String)]) -> Result<(), StoreError> {
        const ANY: &str = "select count(*) from (select text from guard_texts limit 1) as one";
        const SQL: &str = "
            insert into guard_texts (text, sum, sent, first_ms, trusted)
            select value ->> 0, value ->> 1, 0, null, $2 from json_each($1)
            where true
            on conflict (text) do update
                set sum = excluded.sum, sent = 0, first_ms = null, trusted = excluded.trusted
                where guard_texts.sum <> excluded.sum";
        let mut tx = self.begin().await?;
        let any = query_scalar::<i64>(ANY).fetch_one(&mut *tx).await;
        let trusted = i64::from(any.during("look for known texts")? == 0);
        query(SQL)
            .bind(json(&texts))
            .bind(trusted)
            .execute(&mut *tx)
            .await
            .during("note the texts")?;
        commit(tx, "note the texts").await
    }

    /// A text that was tried, or that somebody vouches for, is like any other.
    pub async fn trust_text(&self, text: &str, now: Timestamp) -> Result<(), StoreError> {
        const TRUST: &str = "update guard_texts set trusted = 1 where text = $1";
        // The wider conditions say nothing new, but only by them SQLite finds the partial index.
        const GO: &str = "
            update reminders set not_before_ms = $2, hold = null
            where hold = $1 and hold is not null and state in ('held', 'queued') and state = 'queued'";
        let mut tx = self.begin().await?;
        query(TRUST).bind(text).execute(&mut *tx).await.during("trust a text")?;
        query(GO)
            .bind(format!("{TEXT}{text}"))
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await
            .during("trust a text")?;
        commit(tx, "trust a text").await
    }

    /// The first of two people says that a hold may go; false when somebody has said so or it is no longer open.
    pub async fn approve_hold(&self, id: &str, who: &str, reason: &str, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "
            update holds set first_ms = $2, first_by = $3, first_reason = $4
            where id = $1 and released_ms is null and first_by is null";
        let mut tx = self.begin().await?;
        let done = query(SQL)
            .bind(id)
            .bind(now.as_millisecond())
            .bind(who)
            .bind(reason)
            .execute(&mut *tx)
            .await
            .during("approve a release")?;
        commit(tx, "approve a release").await?;
        Ok(done.rows_affected() == 1)
    }

    /// The second one lets everything go: what was held is queued again, and the counts that stopped it begin anew. Returns how many, or
    /// `None` when the hold is not open, or this is the person who was first.
    pub async fn release_hold(
        &self,
        hold: &Hold,
        day: &str,
        first: i64,
        (who, reason): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        const HOLD: &str = "
            update holds set released_ms = $2, released_by = $3, release_reason = $4
            where id = $1 and released_ms is null and first_by is not null and first_by <> $3";
        const ROWS: &str = "
            update reminders
            set state = 'queued', hold = null, approved = $1, not_before_ms = $2,
                reason_zh = reason_zh || $3, reason_en = reason_en || $4
            where hold = $1 and hold is not null and state in ('held', 'queued')";
        const RUN: &str = "update guard_days set run = 0 where day = $1";
        const FAILURES: &str = "update guard_days set failed = 0, ended = 0 where day = $1 and way = $2";
        const ALIKE: &str = "delete from guard_alike where day = $1 and sum = $2";
        let during = "release a hold";
        let mut tx = self.begin().await?;
        let done = query(HOLD)
            .bind(&hold.id)
            .bind(now.as_millisecond())
            .bind(who)
            .bind(reason)
            .execute(&mut *tx)
            .await
            .during(during)?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let first_by = hold.first_by.as_deref().unwrap_or_default();
        let rows = query(ROWS)
            .bind(&hold.id)
            .bind(now.as_millisecond())
            .bind(format!("; 经 {first_by}、{who} 核准发出"))
            .bind(format!("; {first_by} and {who} let it go"))
            .execute(&mut *tx)
            .await
            .during(during)?;
        let anew = match hold.kind.as_str() {
            "run" => query(RUN).bind(day),
            "failures" => query(FAILURES).bind(day).bind(&hold.key),
            _ => query(ALIKE).bind(day).bind(&hold.key),
        };
        anew.execute(&mut *tx).await.during(during)?;
        if hold.kind == "failures" {
            // The first of the day have been seen.
            count_ended(&mut tx, day, &hold.key, first, 0).await?;
        }
        let released = Event::SendingReleased { hold: hold.id.clone() };
        events::append(&mut tx, now, &CaseId::from(""), who, &[released]).await?;
        commit(tx, during).await?;
        Ok(Some(rows.rows_affected()))
    }
}

/// Notes holds; one that is known already is left as it is. Returns those that another node had begun for the same reason: what they hold
/// waits for that one.
pub async fn open(tx: &mut Tx, holds: &[Hold], now: Timestamp) -> Result<Vec<String>, StoreError> {
    const SAME: &str = "
        select id from holds
        where kind = $1 and key = $2 and id <> $3 and released_ms is null
        order by opened_ms, id
        limit 1";
    const GIVE: &str =
        "update reminders set hold = $2 where hold = $1 and hold is not null and state in ('held', 'queued')";
    let during = "note a hold";
    let (mut first, mut given) = (Vec::new(), Vec::new());
    Lock::Guard.hold(tx).await?;
    for hold in holds {
        let same: Option<String> = query_scalar(SAME)
            .bind(&hold.kind)
            .bind(&hold.key)
            .bind(&hold.id)
            .fetch_optional(&mut **tx)
            .await
            .during(during)?;
        let Some(same) = same.filter(|_| tx.is_shared()) else {
            first.push(hold);
            continue;
        };
        query(GIVE)
            .bind(&hold.id)
            .bind(same)
            .execute(&mut **tx)
            .await
            .during(during)?;
        given.push(hold.id.clone());
    }
    insert(tx, &first, now).await?;
    Ok(given)
}

async fn insert(tx: &mut Tx, holds: &[&Hold], now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into holds (id, kind, key, opened_ms, reason_zh, reason_en)
        select
            value ->> 'id', value ->> 'kind', value ->> 'key', cast(value ->> 'opened_ms' as bigint),
            value ->> 'reason_zh', value ->> 'reason_en'
        from jsonb_each($1)
        where true
        on conflict (id) do nothing
        returning id";
    let new: Vec<String> = query_scalar(SQL)
        .bind(json(&holds))
        .fetch_all(&mut **tx)
        .await
        .during("note a hold")?;
    let held: Vec<Event> = new.into_iter().map(|hold| Event::SendingHeld { hold }).collect();
    if !held.is_empty() {
        events::append(tx, now, &CaseId::from(""), "xixin", &held).await?;
    }
    Ok(())
}

/// Says of reminders what they wait for. Their state is written with the outcomes.
pub async fn mark(tx: &mut Tx, marked: &[Marked]) -> Result<(), StoreError> {
    const SQL: &str = "
        update reminders set hold = new.hold
        from (select value ->> 'id' as id, value ->> 'hold' as hold from jsonb_each($1)) as new
        where reminders.id = new.id";
    if marked.is_empty() {
        return Ok(());
    }
    query(SQL)
        .bind(json(&marked))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("say what reminders wait for")
}

/// Lets go what was held although two people had released its hold while it was being judged. Returns the ids of those holds.
pub async fn let_go_released(tx: &mut Tx, marked: &[Marked], now: Timestamp) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        update reminders
        set state = 'queued', hold = null, approved = old.id, not_before_ms = $2,
            reason_zh = reason_zh || '; 经 ' || old.first_by || '、' || old.released_by || ' 核准发出',
            reason_en = reason_en || '; ' || old.first_by || ' and ' || old.released_by || ' let it go'
        from (
            select new.value ->> 'id' as reminder, holds.id, holds.first_by, holds.released_by
            from jsonb_each($1) as new
            join holds on holds.id = new.value ->> 'hold'
            where holds.released_ms is not null
        ) as old
        where reminders.id = old.reminder and reminders.hold = old.id and reminders.state = 'held'
        returning reminders.approved";
    let gone: Vec<String> = query_scalar(SQL)
        .bind(json(&marked))
        .bind(now.as_millisecond())
        .fetch_all(&mut **tx)
        .await
        .during("let go what was released")?;
    Ok(gone)
}

/// Adds what a batch sends to the counts.
pub(crate) async fn count(tx: &mut Tx, day: &str, way: &str, tally: &Tally, now: Timestamp) -> Result<(), StoreError> {
    const DAY: &str = "
        insert into guard_days (day, way, node, sent, run, ended, failed) values ($1, $2, $4, $3, $3, 0, 0)
        on conflict (day, way, node) do update
            set sent = guard_days.sent + excluded.sent, run = guard_days.run + excluded.run";
    const ALIKE: &str = "
        insert into guard_alike (day, sum, told)
        select $1, value ->> 0, cast(value ->> 1 as bigint) from json_each($2)
        where true
        on conflict (day, sum) do update set told = guard_alike.told + excluded.told";
    const TEXTS: &str = "
        update guard_texts set sent = guard_texts.sent + new.n, first_ms = coalesce(guard_texts.first_ms, $2)
        from (select value ->> 0 as text, cast(value ->> 1 as bigint) as n from json_each($1)) as new
        where guard_texts.text = new.text";
    let during = "count what is sent";
    if tally.run > 0 {
        query(DAY)
            .bind(day)
            .bind(way)
            .bind(tally.run)
            .bind(&*tx.node.clone())
            .execute(&mut **tx)
            .await
            .during(during)?;
    }
    if !tally.alike.is_empty() {
        query(ALIKE)
            .bind(day)
            .bind(json(&tally.alike.iter().collect::<Vec<_>>()))
            .execute(&mut **tx)
            .await
            .during(during)?;
    }
    if !tally.texts.is_empty() {
        query(TEXTS)
            .bind(json(&tally.texts.iter().collect::<Vec<_>>()))
            .bind(now.as_millisecond())
            .execute(&mut **tx)
            .await
            .during(during)?;
    }
    Ok(())
}

/// Adds outcomes of the first messages of a day.
pub async fn count_ended(tx: &mut Tx, day: &str, way: &str, ended: i64, failed: i64) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into guard_days (day, way, node, sent, run, ended, failed) values ($1, $2, $5, 0, 0, $3, $4)
        on conflict (day, way, node) do update
            set ended = guard_days.ended + excluded.ended, failed = guard_days.failed + excluded.failed";
    query(SQL)
        .bind(day)
        .bind(way)
        .bind(ended)
        .bind(failed)
        .bind(&*tx.node.clone())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("count outcomes")
}
