//! What a batch was judged by. Where several nodes send at once, another one may have counted, held or paused meanwhile: it is looked at
//! once more in the transaction that records the attempts, and what does not hold any more is judged again. On SQLite nobody can have.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::ladder::Way;
use crate::store::cases::json;
use crate::store::db::{query_as, query_scalar};
use crate::store::holds::{Counted, Tally};
use crate::store::lock::{self, Lock};
use crate::store::{During as _, StoreError, Tx};

/// Nobody waits for another to count as long as this many more may leave: what other nodes have under way is less.
const FAR: i64 = 5_000;

/// How far the counts of the guard may go.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// On one day.
    pub run: i64,
    /// The same words to residents.
    pub alike: i64,
    /// Whose outcomes are waited for.
    pub first: i64,
    /// A changed text that is being tried.
    pub text: i64,
    /// The holds that were known.
    pub holds: Vec<String>,
}

/// How often residents and relatives had been told when a batch was judged.
#[derive(Debug, Clone, Default)]
pub struct ToldBefore {
    pub since: Timestamp,
    pub counts: HashMap<String, i64>,
}

/// By what a batch was judged.
#[derive(Debug, Clone, Default)]
pub struct Grounds {
    /// The local day; empty for what the guard does not count.
    pub day: String,
    /// As what each reminder counts.
    pub counted: HashMap<String, Counted>,
    pub bounds: Bounds,
    /// Whom each reminder is for, of residents and relatives.
    pub recipients: HashMap<String, String>,
    pub told: ToldBefore,
    /// It was looked whether any of them had left before the server became another one.
    pub knows_earlier: bool,
}

/// Which reminders are for somebody who has been told something else meanwhile. The others stand: nobody tells them before the commit.
pub(super) async fn told_meanwhile(tx: &mut Tx, grounds: &Grounds) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        select recipient, count(*) from reminders
        where recipient in (select value from json_each($1)) and sent_ms >= $2
          and state in ('attempting', 'accepted', 'delivered', 'uncertain', 'no_receipt')
          and sent_ms is not null and substr(recipient, 1, 7) = 'person:'
        group by recipient
        order by recipient";
    if !tx.is_shared() || grounds.recipients.is_empty() {
        return Ok(Vec::new());
    }
    let people = grounds
        .recipients
        .values()
        .filter_map(|one| one.strip_prefix("person:"));
    lock::people(tx, &people.collect::<Vec<_>>()).await?;
    let told: Vec<(String, i64)> = query_as(SQL)
        .bind(json(&grounds.recipients.values().collect::<Vec<_>>()))
        .bind(grounds.told.since.as_millisecond())
        .fetch_all(&mut **tx)
        .await
        .during("count what people were told meanwhile")?;
    let told: HashMap<String, i64> = told.into_iter().collect();
    let count = |counts: &HashMap<String, i64>, one: &str| counts.get(one).copied().unwrap_or(0);
    let changed = grounds
        .recipients
        .iter()
        .filter(|(_, one)| count(&told, one) != count(&grounds.told.counts, one));
    Ok(changed.map(|(reminder, _)| reminder.clone()).collect())
}

/// Whether a batch that is about to start, and is counted already, may: nobody has paused or held it, and its counts stay in bounds.
pub(super) async fn still_hold(tx: &mut Tx, way: Way, grounds: &Grounds, tally: &Tally) -> Result<bool, StoreError> {
    const PAUSED: &str = "
        select
            (select count(*) from switches where name in ('all', 'clock', 'hold', 'server', $1)),
            (select count(*) from (select key from sent_earlier limit 1) as one)";
    const HELD: &str = "select id from holds where released_ms is null order by id limit 1000";
    let during = "look whether a batch may start";
    if !tx.is_shared() || grounds.day.is_empty() {
        return Ok(true);
    }
    let (paused, earlier): (i64, i64) = query_as(PAUSED)
        .bind(way.name())
        .fetch_one(&mut **tx)
        .await
        .during(during)?;
    if paused > 0 || earlier > 0 && !grounds.knows_earlier {
        return Ok(false);
    }
    if grounds.counted.is_empty() {
        return Ok(true);
    }
    let held: Vec<String> = query_scalar(HELD).fetch_all(&mut **tx).await.during(during)?;
    if held.iter().any(|hold| !grounds.bounds.holds.contains(hold)) {
        return Ok(false);
    }
    let bounds = &grounds.bounds;
    let (run, ended) = of_the_day(tx, way, &grounds.day).await?;
    if run.saturating_add(FAR) > bounds.run || ended < bounds.first {
        Lock::Guard.hold(tx).await?;
        let (run, ended) = of_the_day(tx, way, &grounds.day).await?;
        let is_over = tally.counts_run() && run > bounds.run;
        if is_over || ended < bounds.first && ended + under_way(tx, way).await? > bounds.first {
            return Ok(false);
        }
    }
    Ok(!is_told_too_often(tx, grounds, tally).await?)
}

/// What left on a day, and how many of the first of this way have ended.
async fn of_the_day(tx: &mut Tx, way: Way, day: &str) -> Result<(i64, i64), StoreError> {
    const SQL: &str = "
        select cast(coalesce(sum(run), 0) as bigint), cast(coalesce(sum(case when way = $2 then ended else 0 end), 0) as bigint)
        from guard_days where day = $1";
    query_as(SQL)
        .bind(day)
        .bind(way.name())
        .fetch_one(&mut **tx)
        .await
        .during("read what all nodes have counted")
}

async fn under_way(tx: &mut Tx, way: Way) -> Result<i64, StoreError> {
    const SQL: &str = "
        select count(*) from reminders
        where state = 'attempting' and state in ('claimed', 'attempting') and way = $1 and case_id <> ''";
    query_scalar(SQL)
        .bind(way.name())
        .fetch_one(&mut **tx)
        .await
        .during("count what all nodes have under way")
}

/// The rows are held by whoever has counted in them.
async fn is_told_too_often(tx: &mut Tx, grounds: &Grounds, tally: &Tally) -> Result<bool, StoreError> {
    const ALIKE: &str = "
        select count(*) from guard_alike where day = $1 and sum in (select value from json_each($2)) and told > $3";
    const TEXTS: &str = "
        select count(*) from guard_texts where text in (select value from json_each($1)) and trusted = 0 and sent > $2";
    let during = "read what all nodes have counted";
    let (words, texts) = tally.names();
    if !words.is_empty() {
        let over: i64 = query_scalar(ALIKE)
            .bind(&grounds.day)
            .bind(json(&words))
            .bind(grounds.bounds.alike)
            .fetch_one(&mut **tx)
            .await
            .during(during)?;
        if over > 0 {
            return Ok(true);
        }
    }
    if texts.is_empty() {
        return Ok(false);
    }
    let over: i64 = query_scalar(TEXTS)
        .bind(json(&texts))
        .bind(grounds.bounds.text)
        .fetch_one(&mut **tx)
        .await
        .during(during)?;
    Ok(over > 0)
}
