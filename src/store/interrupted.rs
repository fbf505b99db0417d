//! What a run left behind that ended without saying so.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::queue::Claimed;
use crate::store::{During, Store, StoreError, Tx};

/// What was found.
#[derive(Debug, Default)]
pub struct Interrupted {
    /// How many are queued again.
    pub again: u64,
    /// Those that are held, because every run dies over them; people tell them meanwhile.
    pub held: Vec<Doubtful>,
    /// Those that nobody can tell the fate of; a person has to look at them.
    pub doubtful: Vec<Doubtful>,
}

/// A reminder that goes to a person.
#[derive(Debug, FromRow)]
pub struct Doubtful {
    pub way: String,
    #[sqlx(flatten)]
    pub row: Claimed,
}

/// Whose leases are settled.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// Of every run but this one: on SQLite there is only one daemon.
    Others(&'a str),
    /// Of earlier runs of this node: it begins only when they have ended. The names of its runs begin like this.
    Earlier { run: &'a str, node: &'a str },
    /// Of all who live no longer.
    Dead,
}

/// A reminder that this many runs died over is handled no more until a person says so.
const CRASHES_MAX: i64 = 3;

const OTHERS: &str = "
    select id from reminders where state in ('claimed', 'attempting') and holder is distinct from $1";

const EARLIER: &str = "
    select id from reminders
    where state in ('claimed', 'attempting') and holder <> $1 and substr(holder, 1, length($2)) = $2
    order by id
    for update skip locked";

/// What its maker holds without a name, a test message, is of no use after its time.
const DEAD: &str = "
    select id from reminders
    where state in ('claimed', 'attempting')
      and case when holder is null then coalesce(lease_until_ms, valid_until_ms) < now_ms()
          else not exists (select 1 from nodes where instance = reminders.holder and alive_until_ms >= now_ms()) end
    order by id
    for update skip locked";

impl Store {
    /// Whether anybody who lives no longer has left something behind.
    pub async fn any_left_behind(&self) -> Result<bool, StoreError> {
        const SQL: &str = "
            select count(*) from reminders
            where state in ('claimed', 'attempting')
              and case when holder is null then coalesce(lease_until_ms, valid_until_ms) < now_ms()
                  else not exists (select 1 from nodes where instance = reminders.holder and alive_until_ms >= now_ms()) end";
        let any: i64 = query_scalar(SQL)
            .fetch_one(self.reader())
            .await
            .during("look for what dead nodes have left behind")?;
        Ok(any > 0)
    }
}

async fn left_behind(tx: &mut Tx, whose: Whose<'_>) -> Result<Vec<String>, StoreError> {
    let found = match whose {
        Whose::Others(run) => query_scalar(OTHERS).bind(run),
        Whose::Earlier { run, node } => query_scalar(EARLIER).bind(run).bind(node),
        Whose::Dead => query_scalar(DEAD),
    };
    found.fetch_all(&mut **tx).await.during("find what was interrupted")
}

/// Settles leases of runs that have ended.
///
/// Each of them has one crash more to its name: which of them was to blame nobody knows, so they are handled alone from now on. E-mail
/// of unknown fate is sent again as it was, unless `email_doubts_max` attempts ended like that. An SMS of unknown fate is asked about at
/// `ask`, when its provider can be asked; else one that is critical goes once more, and any other goes to a person.
pub async fn settle_interrupted(
    tx: &mut Tx,
    whose: Whose<'_>,
    email_doubts_max: i64,
    ask: Option<Timestamp>,
    now: Timestamp,
) -> Result<Interrupted, StoreError> {
    const ATTEMPTS: &str = "
        update attempts set outcome = 'uncertain', ended_ms = $2, reason = '程序中断 / interrupted',
            ask_ms = case when way = 'sms' then cast($3 as bigint) end
        where outcome = 'attempting' and reminder_id in (select value from json_each($1))";
    const ASK: &str = "
        update reminders
        set state = 'uncertain', holder = null, lease_until_ms = null,
            reason_zh = '程序中断,不知是否已发出;正在向短信平台查询',
            reason_en = 'interrupted; nobody knows whether it went out; the gateway is being asked'
        where id in (select value from json_each($1)) and state = 'attempting' and way = 'sms' and cast($2 as bigint) is not null";
    const DOUBT: &str = "
        update reminders
        set state = 'uncertain', holder = null, lease_until_ms = null, closed_ms = $2,
            reason_zh = '程序中断,不知是否已发出,请人工核实', reason_en = 'interrupted; nobody knows whether it went out, please check'
        where id in (select value from json_each($1)) and state = 'attempting'
          and (select count(*) from attempts where reminder_id = reminders.id and outcome = 'uncertain')
              >= case when way = 'email' then cast($3 as bigint) when priority >= 2 then 2 else 1 end
        returning way, id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const HELD: &str = "
        update reminders
        set state = 'held', hold = null, holder = null, lease_until_ms = null, crashes = crashes + 1,
            reason_zh = '三次处理时程序都中断,已扣留,请管理员查看',
            reason_en = 'the program ended three times while it had this in hand; held, an administrator has to look'
        where id in (select value from json_each($1)) and state in ('claimed', 'attempting') and crashes + 1 >= $2
        returning way, id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const AGAIN: &str = "
        update reminders set state = 'queued', hold = null, holder = null, lease_until_ms = null, crashes = crashes + 1
        where id in (select value from json_each($1)) and state in ('claimed', 'attempting')";
    let now_ms = now.as_millisecond();
    let ask_ms = ask.map(Timestamp::as_millisecond);
    let rows = left_behind(tx, whose).await?;
    if rows.is_empty() {
        return Ok(Interrupted::default());
    }
    let rows = json(&rows);
    query(ATTEMPTS)
        .bind(&rows)
        .bind(now_ms)
        .bind(ask_ms)
        .execute(&mut **tx)
        .await
        .during("settle interrupted attempts")?;
    query(ASK)
        .bind(&rows)
        .bind(ask_ms)
        .execute(&mut **tx)
        .await
        .during("settle messages to be asked about")?;
    let doubtful = query_as(DOUBT)
        .bind(&rows)
        .bind(now_ms)
        .bind(email_doubts_max)
        .fetch_all(&mut **tx)
        .await
        .during("settle interrupted messages")?;
    let held = query_as(HELD)
        .bind(&rows)
        .bind(CRASHES_MAX)
        .fetch_all(&mut **tx)
        .await
        .during("hold what runs die over")?;
    let again = query(AGAIN)
        .bind(&rows)
        .execute(&mut **tx)
        .await
        .during("queue interrupted reminders")?;
    Ok(Interrupted {
        again: again.rows_affected(),
        held,
        doubtful,
    })
}
