//! The server of the database became another one: a standby was promoted, or it was restored. What this node had sent is compared with
//! what the database knows, from `sent.log`. What it lacks is told to all nodes, so that nothing leaves again, and then a person has to look:
//! whatever else was written last is lost. When it lacks nothing, everything goes on by itself.

use std::io;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use crate::channel::alarm::Alarm;
use crate::domain::ladder::Way;
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::nodes::run_of;
use crate::store::earlier::{Unended, tell, unended};
use crate::store::queue::{EndedAttempt, Verdict, record};
use crate::store::sent::{Earlier, Known, SentLog, Unknown, key};
use crate::store::server::Meeting;
use crate::store::switches::{SERVER, hold};
use crate::store::{StoreError, Tx, commit, events};

/// Why this node could not meet the server.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("无法读写发送记录 / sent.log cannot be read or written: {0}")]
    Log(#[from] io::Error),
}

impl Engine {
    /// Looks which server the database is on, before anything is written there. Nothing where it is a file.
    pub async fn meet_server(&self) -> Result<(), MeetError> {
        if !self.store.is_shared() || !self.sent.is_written() {
            return Ok(());
        }
        let meeting = self.store.meet().await?;
        if self.store.has_met(&meeting.server) && self.sent.is_of(&meeting.incarnation) {
            return Ok(());
        }
        // Whatever was about to begin stays: it was recorded where nobody may know of it.
        self.gate.set_comparing(true);
        self.lives_anew();
        warn!(server = %meeting.server, "the database is on another server: what has left is compared with what it knows");
        self.compare(&meeting).await?;
        let name = meeting.incarnation;
        self.of_log(move |log| log.name(&name)).await?;
        self.store.set_met(meeting.server);
        self.read_switches().await?;
        Ok(())
    }

    /// Blocks a thread of its own.
    async fn of_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SentLog) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let log = Arc::clone(&self.sent);
        let done = tokio::task::spawn_blocking(move || work(&log)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Tells what this node has sent and the database does not know, all in one transaction.
    async fn compare(&self, meeting: &Meeting) -> Result<(), MeetError> {
        let known_serial = meeting.serial;
        let unknown = self.of_log(move |log| log.unknown_to(known_serial)).await?;
        let known = self.of_log(SentLog::known).await?;
        let now = self.clock.now();
        let mut tx = self.store.begin_on(&meeting.server).await?;
        let lacks_events = events::lacks_the_known(&mut tx).await?;
        let mut verdicts = self.ended(&mut tx, &known, now).await?;
        verdicts.extend(self.lost(&mut tx, &known, now).await?);
        record(&mut tx, &verdicts).await?;
        tell(&mut tx, &unknown.left, unknown.serial, now).await?;
        let is_behind = unknown.serial > known_serial || lacks_events;
        if is_behind {
            crate::store::incarnation::skip_numbers(&mut tx, now, 1).await?;
            hold(
                &mut tx,
                now,
                "xixin",
                &lost_writes(self.store.node(), &unknown, lacks_events),
            )
            .await?;
        }
        commit(tx, "tell what has left").await?;
        if is_behind {
            let left = unknown.left.len();
            error!(
                left,
                lacks_events,
                "the server lacks the last writes: {left} messages that this node sent, or may have sent, are not in the database; they are noted now, \
                 and nothing is sent until somebody releases it with `xixin ctl release`"
            );
            self.alarm(Alarm::Behind, behind());
        } else {
            info!("the database lacks nothing that this node has sent");
        }
        Ok(())
    }

    /// What the log knows the outcome of, and the database does not: an earlier run of this node, or this one, could not write it.
    /// Before anybody else takes it for a message of unknown fate.
    pub async fn note_known(&self, now: Timestamp) -> Result<usize, MeetError> {
        if !self.store.is_shared() || !self.sent.is_written() {
            return Ok(0);
        }
        let known = self.of_log(SentLog::known).await?;
        let mut tx = self.store.begin().await?;
        let verdicts = self.ended(&mut tx, &known, now).await?;
        record(&mut tx, &verdicts).await?;
        commit(tx, "note the outcomes that sent.log knows").await?;
        if !verdicts.is_empty() {
            let count = verdicts.len();
            info!(
                count,
                "{count} messages had left whose outcome could not be recorded; sent.log knew it"
            );
        }
        Ok(verdicts.len())
    }

    /// Attempts whose message was taken.
    async fn ended(&self, tx: &mut Tx, known: &Known, now: Timestamp) -> Result<Vec<Verdict>, StoreError> {
        let unended = unended(tx, &run_of(self.store.node(), "")).await?;
        let taken = unended.iter().filter(|one| fate(known, one) == Some(Earlier::Sent));
        Ok(taken.map(|one| verdict(one, State::Accepted, now)).collect())
    }

    /// Attempts of this run that the log knows to have ended otherwise: that was written on the server before, and is lost.
    async fn lost(&self, tx: &mut Tx, known: &Known, now: Timestamp) -> Result<Vec<Verdict>, StoreError> {
        let unended = unended(tx, &self.holder).await?;
        let ours = unended
            .iter()
            .filter(|one| one.holder.as_deref() == Some(&*self.holder));
        let open = ours.filter(|one| fate(known, one).is_none());
        Ok(open.map(|one| verdict(one, State::Queued, now)).collect())
    }

    /// What is paused and held, and whether anything had left that the ledger does not know.
    pub(crate) async fn read_switches(&self) -> Result<(), StoreError> {
        let switches = self.store.switches().await?;
        if let Some(node) = &self.node {
            node.set_knows_earlier(self.store.knows_earlier().await?);
        }
        self.gate.set_switches(switches);
        Ok(())
    }

    /// While others have not told what they had sent, everybody waits, and says for whom.
    pub async fn wait_for_nodes(&self) -> Result<(), StoreError> {
        if self.node.is_none() || !self.gate.has(SERVER) {
            return Ok(());
        }
        let owing = self.store.wait_for_nodes().await?;
        if owing.is_empty() {
            info!("every node has told what it had sent");
            self.read_switches().await?;
            self.bells.ring_senders();
        } else {
            let nodes = owing.join(", ");
            warn!(
                nodes,
                "nothing is sent until the nodes {nodes} have told what they had sent; if they are no more: `xixin ctl release`"
            );
        }
        Ok(())
    }

    /// What had left longer ago than any backup may be.
    pub(crate) async fn forget_earlier(&self, now: Timestamp) -> Result<(), StoreError> {
        let days = self.live.get().settings.retention.sent_log_days;
        let span = SignedDuration::from_hours(24 * i64::from(days));
        match now.checked_sub(span) {
            Ok(before) if days > 0 => self.store.forget_earlier(before).await,
            _ => Ok(()),
        }
    }
}

fn fate(known: &Known, one: &Unended) -> Option<Earlier> {
    let way = Way::parse(&one.way).map_or("", Way::name);
    known.get(&key(&one.case_id, &one.mark, &one.recipient, way))
}

/// What `sent.log` knows of an attempt, as the ledger keeps it.
fn verdict(one: &Unended, state: State, now: Timestamp) -> Verdict {
    let is_taken = state == State::Accepted;
    let now_ms = now.as_millisecond();
    Verdict {
        id: one.id.clone(),
        epoch: one.epoch,
        state: state.name(),
        not_before_ms: None,
        reason_zh: None,
        reason_en: None,
        charged: i64::from(is_taken),
        closed_ms: is_taken.then_some(now_ms),
        attempt: Some(EndedAttempt {
            id: one.attempt.clone(),
            ended_ms: now_ms,
            outcome: if is_taken { "accepted" } else { "deferred" },
            blame: None,
            reference: None,
            reason: Some("由发送记录补记 / noted from sent.log".to_owned()),
            provider: None,
            ask_ms: None,
        }),
    }
}

fn behind() -> Said {
    Said::new(
        "数据库换了服务器,缺少最后的记录;已全部扣留,核对后放行(xixin ctl release)",
        "the database came to another server that lacks the last writes; everything is held: look, then release it (xixin ctl release)",
    )
}

/// For the person who has to look.
fn lost_writes(node: &str, unknown: &Unknown, lacks_events: bool) -> String {
    let left = unknown.left.len();
    let mut said = Said::new(
        format!("数据库换了服务器,缺少最后的记录: 节点 {node} 发出的 {left} 条不在其中(已补记,不会再发)"),
        format!(
            "the database came to another server that lacks the last writes: {left} messages that node {node} sent are not in it (noted now, they do not leave again)"
        ),
    );
    if lacks_events {
        said = said.and(&Said::new(
            "最后录入的事项也缺少,请重新录入",
            "what was entered last is missing, too: enter it again",
        ));
    }
    if let Some(since) = unknown.gap {
        said = said.and(&Said::new(
            format!("sent.log 只记得 {since} 以后发出的"),
            format!("sent.log knows only what has left since {since}"),
        ));
    }
    said.and(&Said::new("核对后放行", "look at what would leave, then release it"))
        .to_string()
}
