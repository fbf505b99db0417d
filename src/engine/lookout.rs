//! The lookout: every few seconds it sees what people have paused, whether the database takes writes again, and which claims were
//! never followed up. It opens and closes the gate; it plans and sends nothing.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::channel::alarm::Alarm;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::lifecycle::Beat;
use crate::store::StoreError;
use crate::store::switches::CLOCK;
use crate::telemetry::chain;

/// Between two looks while the database cannot be written: what is due goes on as soon as it can.
const SOON: Duration = Duration::from_secs(1);

/// Looks around until told to stop, or until a newer program has changed the database so that this one has to end.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) -> Result<(), StoreError> {
    let mut calling = JoinSet::new();
    loop {
        beat.now();
        engine.look_around().await;
        if let Err(error @ StoreError::Newer { .. }) = engine.store.check_version().await {
            return Err(error);
        }
        beat.now();
        engine.look_at_ballast().await;
        // Whoever is called may take longer than this loop may stand still. One that is still under way has marked what it tells.
        while calling.try_join_next().is_some() {}
        let calls = engine.clone();
        calling.spawn(async move { calls.look_at_alarms().await });
        engine.release_expired().await;
        beat.now();
        engine.wake_held().await;
        let pause = if engine.gate.storage_fault().is_some() {
            SOON
        } else {
            engine.poll()
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Engine {
    /// One look.
    pub async fn look_around(&self) {
        if let Err(error) = self.store_jump().await {
            error!(error = %chain(&error), "the hold for the clock cannot be stored; it stands as long as this process");
        }
        if let Err(error) = self.read_switches().await {
            error!(error = %chain(&error), "cannot read what is paused");
            self.note_store_error(&error).await;
        }
        self.probe_storage().await;
    }

    /// What cannot be held any longer goes to people.
    pub async fn wake_held(&self) {
        match self.store.wake_held(self.clock.now()).await {
            Ok(0) => {}
            Ok(woken) => {
                warn!(
                    woken,
                    "{woken} held messages will soon be of no use; people tell them instead"
                );
                self.bells.ring_senders();
            }
            Err(error) => {
                error!(error = %chain(&error), "what is held cannot be looked at");
                self.note_store_error(&error).await;
            }
        }
    }

    /// Without room for what is on the wire nothing new leaves.
    pub async fn look_at_ballast(&self) {
        if self.gate.storage_fault().is_none() && !self.keeps_ballast().await {
            error!("there is no room for the ballast on the disk of the database; sending is on hold");
            self.gate.set_storage_fault(Some("no room for the ballast".to_owned()));
            let said = Said::new(
                "磁盘空间不足,暂停发送",
                "there is not enough room on the disk; nothing is sent",
            );
            self.alarm(Alarm::Full, said);
        }
    }

    async fn release_expired(&self) {
        match self.store.release_expired(self.clock.now()).await {
            Ok(0) => {}
            Ok(released) => {
                warn!(
                    released,
                    "{released} claims were not followed up in time; they are queued again"
                );
                self.bells.ring_senders();
            }
            Err(error) => {
                error!(error = %chain(&error), "expired claims cannot be released");
                self.note_store_error(&error).await;
            }
        }
    }

    /// A hold for the clock is a row, so that it survives a restart and a person can take it back.
    async fn store_jump(&self) -> Result<(), StoreError> {
        let Some(jump) = self.gate.unstored_jump() else {
            return Ok(());
        };
        let minutes = jump.as_mins();
        let reason = format!(
            "系统时间跳变约{minutes}分钟,请核对后恢复 / the clock jumped by {minutes} minutes; check it, then resume"
        );
        self.store.pause(CLOCK, self.clock.now(), "xixin", &reason).await?;
        self.read_switches().await?;
        self.gate.jump_is_stored();
        Ok(())
    }

    /// Whether everything takes writes that has to be written before a message may leave.
    async fn can_record(&self) -> bool {
        let log = std::sync::Arc::clone(&self.sent);
        let probed = tokio::task::spawn_blocking(move || log.probe()).await;
        matches!(probed, Ok(Ok(())))
            && self.store.can_write().await.is_ok()
            && (!self.lacks_room() || self.keeps_ballast().await)
    }

    /// After a failure: whether the database takes writes again.
    async fn probe_storage(&self) {
        if !self.gate.is_unsynced() && self.gate.storage_fault().is_some() && self.can_record().await {
            self.gate.set_storage_fault(None);
            if self.gate.storage_fault().is_none() {
                warn!("the database can be written again; sending goes on");
                self.bells.ring_all();
            }
        }
    }
}
