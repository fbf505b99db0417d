//! The nodes that share a PostgreSQL: who lives, since when, by which rules. A node lives as long as it has said so lately, by the clock
//! of the server.

use serde::Serialize;
use sqlx::FromRow;

use crate::store::db::{query, query_as, query_scalar};
use crate::store::{During as _, Store, StoreError, commit};

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Sign<'a> {
    pub name: &'a str,
    pub instance: &'a str,
    pub place: &'a str,
    pub rules: &'a str,
    pub state: &'a str,
    pub ahead_ms: i64,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Node {
    pub name: String,
    pub instance: String,
    pub place: String,
    pub version: String,
    pub rules: String,
    pub state: String,
    pub started_ms: i64,
    pub seen_ms: i64,
    /// How long it lives still; negative since it does no longer.
    pub left_ms: i64,
    pub ahead_ms: i64,
    /// Messages that it has claimed or is sending.
    pub in_hand: i64,
    /// It has still to tell what it had sent after this batch, before the server became another one.
    pub owed: Option<i64>,
}

impl Store {
    /// Lives for so long from now on. Returns the time of the server, or `None` when another node of this name lives.
    pub async fn sign_of_life(&self, sign: &Sign<'_>, lease_ms: i64) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "
            insert into nodes (name, instance, place, version, rules, state, started_ms, seen_ms, alive_until_ms, ahead_ms)
            values ($1, $2, $3, $4, $5, $6, now_ms(), now_ms(), now_ms() + cast($7 as bigint), $8)
            on conflict (name) do update
            set instance = excluded.instance, place = excluded.place, version = excluded.version, rules = excluded.rules,
                state = excluded.state,
                started_ms = case when nodes.instance = excluded.instance then nodes.started_ms else excluded.started_ms end,
                seen_ms = excluded.seen_ms, alive_until_ms = excluded.alive_until_ms, ahead_ms = excluded.ahead_ms
            where nodes.instance = excluded.instance or nodes.place = excluded.place
               or nodes.alive_until_ms < excluded.seen_ms
            returning seen_ms";
        let mut tx = self.begin().await?;
        let seen = query_scalar(SQL)
            .bind(sign.name)
            .bind(sign.instance)
            .bind(sign.place)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(sign.rules)
            .bind(sign.state)
            .bind(lease_ms)
            .bind(sign.ahead_ms)
            .fetch_optional(&mut *tx)
            .await
            .during("say that this node lives")?;
        commit(tx, "say that this node lives").await?;
        Ok(seen)
    }

    /// This run ends; the others need not wait until it is taken for dead.
    pub async fn end_life(&self, instance: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        query("update nodes set alive_until_ms = 0, state = 'stopped' where instance = $1")
            .bind(instance)
            .execute(&mut *tx)
            .await
            .during("say that this node ends")?;
        commit(tx, "say that this node ends").await
    }

    /// All that have been seen within thirty days.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        const SQL: &str = "
            select name, instance, place, version, rules, state, started_ms, seen_ms, alive_until_ms - now_ms() as left_ms, ahead_ms,
                   (select count(*) from reminders where holder = nodes.instance and state in ('claimed', 'attempting')) as in_hand,
                   owed
            from nodes
            where seen_ms > now_ms() - cast(30 as bigint) * 86400000
            order by name
            limit 1000";
        query_as(SQL).fetch_all(self.reader()).await.during("list the nodes")
    }
}
