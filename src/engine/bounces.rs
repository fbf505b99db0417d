//! Mail that came back: it is noted at its attempt, and what did not arrive goes on by the next way or becomes a call, as long as it
//! is still of use.

use std::path::Path;

use jiff::Timestamp;
use tracing::{info, warn};

use crate::channel::bounce::Kind;
use crate::channel::outcome::{Blame, Enhanced, Fault, Stage, smtp_reason};
use crate::domain::delivery::Fate;
use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::plan::People;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::recheck::{Recheck, recheck};
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::instead::another_way;
use crate::engine::prepare::{context, queued};
use crate::store::bounces::{note_delay, outcome_of};
use crate::store::fate::note_fate;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, commit, events, reminders};

/// Who writes events that no person caused.
const ACTOR: &str = "xixin";

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is noted; so many messages and calls take its place.
    Went { instead: usize },
    /// The mail has not arrived yet; that is noted.
    Waits,
    /// It said nothing new.
    Known,
    /// There is no such attempt: another database, or it has been cleared away.
    Stranger,
    /// What the mail server said is not recorded yet: whoever brought the report should bring it again.
    TooEarly,
}

/// Reports stand at the beginning of a mail; of one that nobody makes sense of no more is kept.
pub const KEPT_BYTES: usize = 256 * 1024;

impl Engine {
    /// Takes the files in which earlier versions kept mail that nobody made sense of: they lay open, and for ever.
    pub async fn seal_kept_files(&self, folder: &Path, now: Timestamp) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut taken = 0;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_none_or(|extension| extension != "eml") {
                continue;
            }
            let name = path.display();
            let Ok(raw) = std::fs::read(&path) else {
                warn!("{name} cannot be read; it stays where it is");
                continue;
            };
            let start = &raw[..raw.len().min(KEPT_BYTES)];
            let kept = self.store.keep_returned(start, now, usize::MAX).await;
            let gone = kept.map_err(|error| crate::telemetry::chain(&error));
            let gone = gone.and_then(|_| std::fs::remove_file(&path).map_err(|error| error.to_string()));
            match gone {
                Ok(()) => taken += 1,
                Err(error) => warn!("{name} cannot be sealed: {error}; it stays where it is"),
            }
        }
        if taken > 0 {
            info!("mail that came back lies sealed in the database now: {taken}");
        }
        // It stays while anything is in it.
        let _ = std::fs::remove_dir(folder);
    }

    /// Notes what came back of one attempt, and what follows, in one transaction. Bringing it again changes nothing.
    pub async fn note_bounce(&self, attempt: &str, kind: Kind, now: Timestamp) -> Result<Noted, StoreError> {
        let (fate, code) = match kind {
            Kind::Failed(code) => (Fate::Bounced, code),
            Kind::Delivered => (Fate::Delivered, None),
            Kind::Delayed(code) => return self.note_delay(attempt, code).await,
            Kind::Automatic | Kind::Unknown => return Ok(Noted::Known),
        };
        let mut tx = self.store.begin().await?;
        match outcome_of(&mut tx, attempt).await?.as_deref() {
            None => return Ok(Noted::Stranger),
            Some("attempting") => return Ok(Noted::TooEarly),
            Some(_) => {}
        }
        let said = words(code);
        let reason = said.to_string();
        let reason = (fate == Fate::Bounced).then_some(reason.as_str());
        let Some(moved) = note_fate(&mut tx, attempt, fate, reason, now).await? else {
            return Ok(Noted::Known);
        };
        let mut instead = Vec::new();
        if moved.state == Some(State::Bounced) {
            instead = self.instead(&moved.row, &moved.way, &said, now).await?;
            reminders::add(&mut tx, &instead.iter().collect::<Vec<_>>()).await?;
        }
        if instead.iter().any(|row| row.state == State::Task.name()) {
            let reminder = moved.row.id.as_str().into();
            let case: CaseId = moved.row.case_id.as_str().into();
            events::append(&mut tx, now, &case, ACTOR, &[Event::MessageRefused { reminder }]).await?;
        }
        commit(tx, "note a mail that came back").await?;
        let instead = instead.len();
        Ok(Noted::Went { instead })
    }

    async fn note_delay(&self, attempt: &str, code: Option<Enhanced>) -> Result<Noted, StoreError> {
        let mut tx = self.store.begin().await?;
        let outcome = outcome_of(&mut tx, attempt).await?;
        match outcome.as_deref() {
            None => return Ok(Noted::Stranger),
            Some("attempting") => return Ok(Noted::TooEarly),
            Some("accepted") => {}
            Some(_) => return Ok(Noted::Known),
        }
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        let reason =
            format!("已交出,对方服务器尚未收下{code} / handed over, but not taken by the other side yet{code}");
        note_delay(&mut tx, attempt, &reason).await?;
        commit(tx, "note a mail that is late").await?;
        Ok(Noted::Waits)
    }

    /// By which ways it goes on: none when nobody needs to hear of it any more, or when it belonged to no case.
    async fn instead(
        &self,
        row: &Claimed,
        way: &str,
        said: &Said,
        now: Timestamp,
    ) -> Result<Vec<NewReminder>, StoreError> {
        let rules = self.live.get();
        let queued = Way::parse(way).and_then(|way| queued(row, way));
        let stored = self.store.case(&CaseId::from(row.case_id.as_str())).await?;
        let (Some(queued), Some(stored)) = (queued, stored) else {
            return Ok(Vec::new());
        };
        let resident = &stored.case.party.person;
        let mut around = self.store.around(&[resident]).await?;
        let people = around.remove(resident).transpose()?.unwrap_or_else(People::default);
        let scene = Scene {
            rules: &rules.rulebook,
            case: &stored.case,
            people: &people,
            now,
        };
        if matches!(recheck(&scene, &queued), Recheck::Cancel(_)) {
            return Ok(Vec::new());
        }
        let context = context(&rules, &stored.case, row, &queued, now);
        Ok(another_way(row, &context, said, &row.fallback, now))
    }
}

/// In an office clerk's words, with codes only.
fn words(code: Option<Enhanced>) -> Said {
    let Some(code) = code.filter(|code| code.subject > 0) else {
        return Said::new("邮件被退回", "the mail came back");
    };
    let fault = Fault {
        blame: Blame::Message,
        stage: Stage::Recipient,
        code: None,
        enhanced: Some(code),
    };
    let why = Said::parse(&smtp_reason(&fault));
    Said::new(
        format!("邮件被退回: {}({code})", why.zh),
        format!("the mail came back: {} ({code})", why.en),
    )
}
