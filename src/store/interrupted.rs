//! What a run left behind that ended without saying so.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::store::db::{query, query_as};
use crate::store::queue::Claimed;
use crate::store::{During, StoreError, Tx};

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

/// A reminder that this many runs died over is handled no more until a person says so.
const CRASHES_MAX: i64 = 3;

/// Settles every lease of another holder. On SQLite there is only one daemon, so all of them are dead.
///
/// Each of them has one crash more to its name: which of them was to blame nobody knows, so they are handled alone from now on. E-mail
/// of unknown fate is sent again as it was, unless `email_doubts_max` attempts ended like that. An SMS of unknown fate is asked about at
/// `ask`, when its provider can be asked; else one that is critical goes once more, and any other goes to a person.
pub async fn settle_interrupted(
    tx: &mut Tx,
    holder: &str,
    email_doubts_max: i64,
    ask: Option<Timestamp>,
    now: Timestamp,
) -> Result<Interrupted, StoreError> {
    const ATTEMPTS: &str = "
        update attempts set outcome = 'uncertain', ended_ms = $2, reason = '程序中断 / interrupted',
            ask_ms = case when way = 'sms' then cast($3 as bigint) end
        where outcome = 'attempting'
          and reminder_id in (
              select id from reminders where state in ('claimed', 'attempting') and holder is distinct from $1)";
    const ASK: &str = "
        update reminders
        set state = 'uncertain', holder = null, lease_until_ms = null,
            reason_zh = '程序中断,不知是否已发出;正在向短信平台查询',
            reason_en = 'interrupted; nobody knows whether it went out; the gateway is being asked'
        where state = 'attempting' and state in ('claimed', 'attempting') and holder is distinct from $1 and way = 'sms'
          and cast($2 as bigint) is not null";
    const DOUBT: &str = "
        update reminders
        set state = 'uncertain', holder = null, lease_until_ms = null, closed_ms = $2,
            reason_zh = '程序中断,不知是否已发出,请人工核实', reason_en = 'interrupted; nobody knows whether it went out, please check'
        -- the second condition says nothing new, but only by it SQLite finds the partial index
        where state = 'attempting' and state in ('claimed', 'attempting') and holder is distinct from $1
          and (select count(*) from attempts where reminder_id = reminders.id and outcome = 'uncertain')
              >= case when way = 'email' then cast($3 as bigint) when priority >= 2 then 2 else 1 end
        returning way, id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const HELD: &str = "
        update reminders
        set state = 'held', hold = null, holder = null, lease_until_ms = null, crashes = crashes + 1,
            reason_zh = '三次处理时程序都中断,已扣留,请管理员查看',
            reason_en = 'the program ended three times while it had this in hand; held, an administrator has to look'
        where state in ('claimed', 'attempting') and holder is distinct from $1 and crashes + 1 >= $2
        returning way, id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const AGAIN: &str = "
        update reminders set state = 'queued', hold = null, holder = null, lease_until_ms = null, crashes = crashes + 1
        where state in ('claimed', 'attempting') and holder is distinct from $1";
    let now_ms = now.as_millisecond();
    let ask_ms = ask.map(Timestamp::as_millisecond);
    query(ATTEMPTS)
        .bind(holder)
        .bind(now_ms)
        .bind(ask_ms)
        .execute(&mut **tx)
        .await
        .during("settle interrupted attempts")?;
    query(ASK)
        .bind(holder)
        .bind(ask_ms)
        .execute(&mut **tx)
        .await
        .during("settle messages to be asked about")?;
    let doubtful = query_as(DOUBT)
        .bind(holder)
        .bind(now_ms)
        .bind(email_doubts_max)
        .fetch_all(&mut **tx)
        .await
        .during("settle interrupted messages")?;
    let held = query_as(HELD)
        .bind(holder)
        .bind(CRASHES_MAX)
        .fetch_all(&mut **tx)
        .await
        .during("hold what runs die over")?;
    let again = query(AGAIN)
        .bind(holder)
        .execute(&mut **tx)
        .await
        .during("queue interrupted reminders")?;
    Ok(Interrupted {
        again: again.rows_affected(),
        held,
        doubtful,
    })
}
