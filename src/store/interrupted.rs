//! What a run left behind that ended without saying so.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::store::queue::Claimed;
use crate::store::{During, StoreError, Tx};

/// What was found.
#[derive(Debug, Default)]
pub struct Interrupted {
    /// How many are queued again.
    pub again: u64,
    /// Those that nobody can tell the fate of; a person has to look at them.
    pub doubtful: Vec<Doubtful>,
}

/// A reminder of unknown fate.
#[derive(Debug, FromRow)]
pub struct Doubtful {
    pub way: String,
    #[sqlx(flatten)]
    pub row: Claimed,
}

/// Settles every lease of another holder. On SQLite there is only one daemon, so all of them are dead. E-mail is sent again
/// (rendered anew, under the same Message-ID) unless that has been tried `email_doubts_max` times; an SMS of unknown fate goes to a person.
pub async fn settle_interrupted(
    tx: &mut Tx,
    holder: &str,
    email_doubts_max: i64,
    now: Timestamp,
) -> Result<Interrupted, StoreError> {
    const ATTEMPTS: &str = "
        update attempts set outcome = 'uncertain', ended_ms = $2, reason = '程序中断 / interrupted'
        where outcome = 'attempting'
          and reminder_id in (select id from reminders where state in ('claimed', 'attempting') and holder is not $1)";
    const DOUBT: &str = "
        update reminders
        set state = 'uncertain', holder = null, lease_until_ms = null, closed_ms = $2,
            reason_zh = '程序中断,不知是否已发出,请人工核实', reason_en = 'interrupted; nobody knows whether it went out, please check'
        -- the second condition says nothing new, but only by it SQLite finds the partial index
        where state = 'attempting' and state in ('claimed', 'attempting') and holder is not $1
          and (way = 'sms' or $3 <= (
              select count(*) from attempts where reminder_id = reminders.id and outcome = 'uncertain'))
        returning way, id, case_id, mark, recipient, text, priority, due_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const AGAIN: &str = "
        update reminders set state = 'queued', holder = null, lease_until_ms = null
        where state in ('claimed', 'attempting') and holder is not $1";
    let now_ms = now.as_millisecond();
    sqlx::query(ATTEMPTS)
        .bind(holder)
        .bind(now_ms)
        .execute(&mut **tx)
        .await
        .during("settle interrupted attempts")?;
    let doubtful = sqlx::query_as(DOUBT)
        .bind(holder)
        .bind(now_ms)
        .bind(email_doubts_max)
        .fetch_all(&mut **tx)
        .await
        .during("settle interrupted messages")?;
    let again = sqlx::query(AGAIN)
        .bind(holder)
        .execute(&mut **tx)
        .await
        .during("queue interrupted reminders")?;
    Ok(Interrupted {
        again: again.rows_affected(),
        doubtful,
    })
}
