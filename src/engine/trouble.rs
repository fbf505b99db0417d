//! What the engine does when its storage fails: it holds sending, gives up the ballast, or ends the process; and it calls for somebody
//! over a way that needs no database.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::error;

use crate::channel::MailChannel;
use crate::channel::alarm::Alarm;
use crate::config::settings::Settings;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::bell::Bell;
use crate::store::location::Location;
use crate::store::server::Elsewhere;
use crate::store::{StoreError, sent};

/// Of sysexits(3), EX_IOERR: the service manager starts the daemon again, and it reads what the disk really holds.
const EXIT_STORAGE: i32 = 74;
/// So long the alarm may take before the process ends.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Engine {
    /// A database that cannot be written stops sending; the first write that succeeds lets it go on.
    pub(crate) async fn note_store_error(&self, error: &StoreError) {
        if !error.is_storage_fault() {
            return;
        }
        self.gate.set_storage_fault(Some(crate::telemetry::chain(error)));
        self.react(error).await;
    }

    /// What has to be done at once about a fault of the storage, beside holding sending.
    pub(crate) async fn react(&self, error: &StoreError) {
        if error.is_sync_failure() {
            self.end_unsynced(&error.to_string()).await;
        }
        if error.is_full() {
            self.make_room().await;
            self.alarm(
                Alarm::Full,
                Said::new("磁盘已满,暂停发送", "the disk is full; nothing is sent"),
            );
        } else if error.is_damage() {
            self.hold_damaged().await;
        } else if matches!(error.elsewhere(), Some(Elsewhere::Another { .. })) {
            // The next sign of life meets it (`engine::reconcile`).
        } else if error.is_gone() {
            let place = self.store.location();
            self.alarm(
                Alarm::Storage,
                Said::new(
                    format!("数据库服务器 {place} 没有应答,暂停发送,恢复后自动继续"),
                    format!("the server of the database {place} does not answer; nothing is sent, and it goes on by itself when it answers again"),
                ),
            );
        } else if error.is_storage_fault() {
            self.alarm(
                Alarm::Storage,
                Said::new(
                    "数据库不能写入,暂停发送",
                    "the database cannot be written; nothing is sent",
                ),
            );
        }
    }

    /// The same for `sent.log`.
    pub(crate) async fn react_to_log(&self, error: &io::Error) {
        if sent::is_sync_failure(error) {
            self.end_unsynced(&format!("sent.log: {error}")).await;
        }
        if error.kind() == io::ErrorKind::StorageFull {
            self.make_room().await;
        }
        self.alarm(
            Alarm::Storage,
            Said::new(
                "sent.log 不能写入,暂停发送",
                "sent.log cannot be written; nothing is sent",
            ),
        );
    }

    /// Gives up the ballast, so that outcomes of what is on the wire find room.
    async fn make_room(&self) {
        let ballast = Arc::clone(&self.ballast);
        let given = tokio::task::spawn_blocking(move || ballast.give_up()).await;
        if let Ok(Err(error)) = given {
            error!("the ballast cannot be given up: {error}");
        }
    }

    /// Whether the ballast was given up and is not back yet.
    pub(crate) fn lacks_room(&self) -> bool {
        self.ballast.is_away()
    }

    /// Whether the ballast is there, or can be taken now.
    pub async fn keeps_ballast(&self) -> bool {
        let ballast = Arc::clone(&self.ballast);
        matches!(tokio::task::spawn_blocking(move || ballast.keep()).await, Ok(Ok(())))
    }

    /// A damaged database sends nothing until a person has looked. The file is left as it is, for whoever repairs it.
    async fn hold_damaged(&self) {
        let said = damaged(self.store.location());
        self.gate.set_damaged();
        // Where the damage leaves room for it, the hold outlives this process.
        if let Err(error) = self.store.hold(self.clock.now(), "xixin", &said.to_string()).await {
            error!(error = %crate::telemetry::chain(&error), "the hold for the damage cannot be stored; it stands as long as this process");
        }
        // Waited for: at a start the process ends right afterwards.
        let _ = tokio::time::timeout(LAST_WORDS, self.alarm_now(Alarm::Damage, said)).await;
    }

    /// Never the same fsync again: the process ends at once, and the next one reads what the disk really holds.
    async fn end_unsynced(&self, what: &str) {
        // Before anything that takes time: nothing may leave, and no probe may take the next fsync for a good one.
        self.gate.set_unsynced();
        error!(
            "the disk did not make durable what was written ({what}); this process ends, the next one reads what there is"
        );
        let said = Said::new(
            "磁盘写入未能落盘,服务重启",
            "the disk did not make durable what was written; the daemon restarts",
        );
        let _ = tokio::time::timeout(LAST_WORDS, self.alarm_now(Alarm::Sync, said)).await;
        std::process::exit(EXIT_STORAGE);
    }

    /// Calls for somebody, without waiting for it.
    pub(crate) fn alarm(&self, kind: Alarm, said: Said) {
        self.bell.stands(kind, said);
        let engine = self.clone();
        tokio::spawn(async move { engine.call().await });
    }

    async fn alarm_now(&self, kind: Alarm, said: Said) {
        self.bell.stands(kind, said);
        self.call().await;
    }

    /// Tells whatever is to be told at this instant.
    pub async fn call(&self) {
        let rules = self.live.get();
        let place = self.store.location().to_string();
        let (settings, mail) = (&rules.settings, rules.channels.mail.as_ref());
        self.bell.ring(settings, mail, &place, self.clock.now()).await;
    }

    /// What is wrong no longer is told to whoever had been told, and what still is, again after a while.
    pub async fn look_at_alarms(&self) {
        if self.gate.storage_fault().is_none() && !self.gate.is_unsynced() {
            for kind in [Alarm::Full, Alarm::Storage, Alarm::Sync, Alarm::Start] {
                self.bell.over(kind);
            }
        }
        // A person has looked and released it.
        if !self.gate.is_held() {
            self.bell.over(Alarm::Behind);
            if !self.gate.is_damaged() {
                self.bell.over(Alarm::Damage);
            }
        }
        self.call().await;
    }
}

/// The daemon cannot start, because its database cannot be opened: there is no engine yet that could say so.
pub(crate) async fn cannot_start(
    rules: (&Settings, Option<&MailChannel>),
    database: &Location,
    is_damaged: bool,
    now: Timestamp,
) {
    let (kind, said) = if is_damaged {
        (Alarm::Damage, damaged(database))
    } else {
        let said = Said::new(
            "数据库无法打开,服务没有启动,提醒不会发出;原因见日志",
            "the database cannot be opened, so the daemon does not start and no reminder leaves; the log says why",
        );
        (Alarm::Start, said)
    };
    let bell = Bell::beside(database.beside());
    bell.stands(kind, said);
    let place = database.to_string();
    let ringing = bell.ring(rules.0, rules.1, &place, now);
    let _ = tokio::time::timeout(LAST_WORDS, ringing).await;
}

fn damaged(database: &Location) -> Said {
    match database {
        Location::File(_) => Said::new(
            "数据库损坏;文件已保留,请由备份恢复(xixin restore)",
            "the database is damaged; the file is kept; restore a backup (xixin restore)",
        ),
        Location::Server(_) => Said::new(
            "数据库损坏;请停止各节点,由 PostgreSQL 的备份恢复",
            "the database is damaged; stop every node, and restore what PostgreSQL's own tools have backed up",
        ),
    }
}
