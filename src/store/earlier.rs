//! What nodes had sent that the database does not know of, because its server became another one that lacks the last writes: each tells
//! it from its own `sent.log`, and all of them read it before they send. While one has not told it, nobody sends.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::store::cases::json;
use crate::store::db::{Connection, query, query_as, query_scalar};
use crate::store::runs::{serial_row, set_meta};
use crate::store::sent::{Earlier, Key};
use crate::store::switches::SERVER;
use crate::store::{During as _, Store, StoreError, Tx, commit};

/// So many are told with one statement.
const CHUNK: usize = 1_000;

#[derive(Serialize)]
struct Told {
    key: String,
    what: &'static str,
}

fn name(earlier: Earlier) -> &'static str {
    match earlier {
        Earlier::Sent => "sent",
        Earlier::Doubtful => "doubtful",
    }
}

/// An attempt of which the database does not know how it ended.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Unended {
    pub(crate) id: String,
    pub(crate) case_id: String,
    pub(crate) mark: String,
    pub(crate) recipient: String,
    pub(crate) way: String,
    pub(crate) epoch: i64,
    pub(crate) attempt: String,
    /// In whose hand it is; nobody's when others have settled it as one of a dead node.
    pub(crate) holder: Option<String>,
}

/// Attempts without an end: of the runs of this node, and those that others have settled.
pub(crate) async fn unended(tx: &mut Tx, node: &str) -> Result<Vec<Unended>, StoreError> {
    const SQL: &str = "
        select reminders.id, case_id, mark, recipient, reminders.way, reminders.epoch, attempts.id as attempt, holder
        from reminders join attempts on attempts.reminder_id = reminders.id and attempts.epoch = reminders.epoch
        where attempts.outcome in ('attempting', 'uncertain')
          and reminders.id in (
              select id from reminders
              where state in ('claimed', 'attempting') and state = 'attempting' and substr(holder, 1, length($1)) = $1
              union all
              select id from reminders where state = 'queued' and crashes > 0
              union all
              select id from reminders
              where state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt') and state = 'uncertain')
        order by reminders.id
        limit 100000";
    query_as(SQL)
        .bind(node)
        .fetch_all(&mut **tx)
        .await
        .during("find attempts without an end")
}

/// What this node has sent, told in one transaction.
pub(crate) async fn tell(tx: &mut Tx, left: &[(Key, Earlier)], serial: i64, now: Timestamp) -> Result<(), StoreError> {
    // What is certain stays certain.
    const TELL: &str = "
        insert into sent_earlier (key, what, node, told_ms)
        select value ->> 'key', value ->> 'what', $2, $3 from jsonb_each($1)
        where true
        on conflict (key) do update set what = excluded.what where sent_earlier.what = 'doubtful'";
    const SERIAL: &str = "select cast(value as bigint) from meta where name = $1";
    const PAID: &str = "update nodes set owed = null where name = $1";
    let action = "tell what has left";
    let node = std::sync::Arc::clone(&tx.node);
    for left in left.chunks(CHUNK) {
        let told = left.iter().map(|(key, earlier)| Told {
            key: hex::encode(key),
            what: name(*earlier),
        });
        query(TELL)
            .bind(json(&told.collect::<Vec<_>>()))
            .bind(&*node)
            .bind(now.as_millisecond())
            .execute(&mut **tx)
            .await
            .during(action)?;
    }
    // No number of a batch is ever given twice.
    let row = serial_row(&node);
    let known: Option<i64> = query_scalar(SERIAL)
        .bind(&row)
        .fetch_optional(&mut **tx)
        .await
        .during(action)?;
    if known.is_none_or(|known| known < serial) && serial > 0 {
        set_meta(tx, &row, &serial.to_string()).await?;
    }
    query(PAID).bind(&*node).execute(&mut **tx).await.during(action)?;
    open_when_told(tx).await.map(drop)
}

/// Lets all go on when nobody owes anything. Else tells who does.
async fn open_when_told(tx: &mut Connection) -> Result<Vec<String>, StoreError> {
    // One after the other: of two that tell at once the second sees the first.
    const HOLD: &str = "select name from switches where name = $1 for update";
    const OWING: &str = "select name from nodes where owed is not null order by name limit 1000";
    let action = "look which nodes have told what has left";
    query(HOLD).bind(SERVER).execute(&mut *tx).await.during(action)?;
    let owing: Vec<String> = query_scalar(OWING).fetch_all(&mut *tx).await.during(action)?;
    if owing.is_empty() {
        query("delete from switches where name = $1")
            .bind(SERVER)
            .execute(&mut *tx)
            .await
            .during(action)?;
    }
    Ok(owing)
}

/// Nobody has to tell anything any more: a person says so.
pub(super) async fn waive(tx: &mut Tx) -> Result<(), StoreError> {
    query("update nodes set owed = null where owed is not null")
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("go on without what nodes have not told")
}

impl Store {
    /// Whether there is anything that left and that the ledger does not know.
    pub(crate) async fn knows_earlier(&self) -> Result<bool, StoreError> {
        const SQL: &str = "select count(*) from (select key from sent_earlier limit 1) as one";
        let any: i64 = query_scalar(SQL)
            .fetch_one(self.reader())
            .await
            .during("look for what had left")?;
        Ok(any > 0)
    }

    /// What is known of these.
    pub(crate) async fn sent_earlier(&self, keys: &[Key]) -> Result<HashMap<Key, Earlier>, StoreError> {
        const SQL: &str = "
            select key, what from sent_earlier where key in (select value from json_each($1)) order by key limit 100000";
        let keys: Vec<String> = keys.iter().map(hex::encode).collect();
        let found: Vec<(String, String)> = query_as(SQL)
            .bind(json(&keys))
            .fetch_all(self.reader())
            .await
            .during("look for what had left")?;
        let read = |(key, what): (String, String)| {
            let mut known = Key::default();
            hex::decode_to_slice(key, &mut known).ok()?;
            let what = if what == name(Earlier::Sent) {
                Earlier::Sent
            } else {
                Earlier::Doubtful
            };
            Some((known, what))
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// While all wait for those who have not told what left: the reason says for whom. Returns them.
    pub(crate) async fn wait_for_nodes(&self) -> Result<Vec<String>, StoreError> {
        const SAY: &str = "update switches set reason = $2 where name = $1 and reason <> $2";
        let action = "look which nodes have told what has left";
        let mut tx = self.begin().await?;
        let owing = open_when_told(&mut tx).await?;
        if !owing.is_empty() {
            query(SAY)
                .bind(SERVER)
                .bind(waiting_for(&owing))
                .execute(&mut *tx)
                .await
                .during(action)?;
        }
        commit(tx, action).await?;
        Ok(owing)
    }

    /// What was told before this instant is needed by nobody any more.
    pub(crate) async fn forget_earlier(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        query("delete from sent_earlier where told_ms < $1")
            .bind(before.as_millisecond())
            .execute(&mut *tx)
            .await
            .during("forget what had left long ago")?;
        commit(tx, "forget what had left long ago").await
    }
}

fn waiting_for(nodes: &[String]) -> String {
    let nodes = nodes.join(", ");
    format!(
        "数据库换了服务器,等待节点 {nodes} 报告已发出的: 请启动它们;不再有的,核对后 xixin ctl release / \
         the database came to another server, and the nodes {nodes} have not told what they had sent: start them; if they are no more, look at what would leave, then xixin ctl release"
    )
}
