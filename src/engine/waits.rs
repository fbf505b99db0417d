//! Everything that keeps messages from leaving, as one list: what people have paused, what xixin holds, caps and changed texts. `ctl
//! status`, `ctl holds`, the supervisors' digest and /metrics read it.

use serde::Serialize;

use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::holds::{CAP, HeldCount, Hold, TEXT};
use crate::store::switches::Switch;

/// The kinds of waiting: the labels of the metric.
pub const KINDS: [&str; 9] = [
    "run",
    "same_text",
    "failures",
    "new_text",
    "cap",
    "alone",
    "paused",
    "canary",
    "inbox",
];

/// One reason for which messages wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// What `ctl release` takes, or the name of a pause.
    pub id: String,
    pub kind: &'static str,
    pub zh: String,
    pub en: String,
    /// How many messages wait for it now; `None` for a pause, which the whole queue waits for.
    pub count: Option<i64>,
    pub since_ms: Option<i64>,
    /// When the first of them goes on by itself or to people.
    pub until_ms: Option<i64>,
    /// Who holds it, or has agreed to release it as the first of two.
    pub who: Option<String>,
}

impl Engine {
    /// A canary that does not come holds nothing back, but says that something does.
    fn canary(&self) -> Option<Wait> {
        let rules = self.live.get();
        let late = self.heartbeat.is_late(&rules.settings.heartbeat, self.clock.now());
        late.then(|| Wait {
            id: "canary".to_owned(),
            kind: "canary",
            zh: "自检信息没有送出,提醒可能发不出去".to_owned(),
            en: "no canary gets through: reminders may not leave".to_owned(),
            count: None,
            since_ms: None,
            until_ms: None,
            who: None,
        })
    }

    /// SMS from strangers hold nothing back, but wait for somebody, too.
    async fn inbox(&self) -> Result<Option<Wait>, StoreError> {
        let (count, since_ms) = self.store.count_for_people().await?;
        Ok((count > 0).then(|| Wait {
            id: "inbox".to_owned(),
            kind: "inbox",
            zh: "有陌生号码的来信,请用 xixin inbox 查看".to_owned(),
            en: "SMS came from unknown numbers; see xixin inbox".to_owned(),
            count: Some(count),
            since_ms,
            until_ms: None,
            who: None,
        }))
    }

    /// The list, most serious first.
    pub async fn waits(&self) -> Result<Vec<Wait>, StoreError> {
        let held = self.store.held_counts().await?;
        let mut waits: Vec<Wait> = self
            .store
            .open_holds()
            .await?
            .iter()
            .map(|hold| of_hold(hold, &held))
            .collect();
        waits.extend(self.store.switches().await?.into_iter().map(of_switch));
        waits.extend(held.iter().filter_map(of_count));
        waits.extend(self.canary());
        waits.extend(self.inbox().await?);
        Ok(waits)
    }
}

fn of_hold(hold: &Hold, held: &[HeldCount]) -> Wait {
    let count = held.iter().find(|held| held.hold.as_deref() == Some(hold.id.as_str()));
    Wait {
        id: hold.id.clone(),
        kind: KINDS.into_iter().find(|kind| *kind == hold.kind).unwrap_or("run"),
        zh: hold.reason_zh.clone(),
        en: hold.reason_en.clone(),
        count: Some(count.map_or(0, |held| held.count)),
        since_ms: Some(hold.opened_ms),
        until_ms: count.map(|held| held.until_ms),
        who: hold.first_by.clone(),
    }
}

fn of_switch(switch: Switch) -> Wait {
    Wait {
        id: switch.name,
        kind: "paused",
        zh: switch.reason.clone(),
        en: switch.reason,
        count: None,
        since_ms: Some(switch.since_ms),
        until_ms: None,
        who: Some(switch.who),
    }
}

/// What waits for no hold that is open: a cap, a changed text, or a doubt about each one of them.
fn of_count(held: &HeldCount) -> Option<Wait> {
    let id = held.hold.as_deref().unwrap_or("alone");
    let (kind, zh, en) = if id == CAP {
        (
            "cap",
            "居民当天的信息已到上限,明早再发".to_owned(),
            "a resident's messages of the day are used up; they wait for the morning".to_owned(),
        )
    } else if let Some(text) = id.strip_prefix(TEXT) {
        (
            "new_text",
            format!("文本 {text} 刚改动过,先发几条"),
            format!("text {text} was changed; a few have gone"),
        )
    } else if held.hold.is_none() {
        (
            "alone",
            "逐条暂扣,请人工核实".to_owned(),
            "held one by one; somebody has to look at each".to_owned(),
        )
    } else {
        return None;
    };
    Some(Wait {
        id: id.to_owned(),
        kind,
        zh,
        en,
        count: Some(held.count),
        since_ms: None,
        until_ms: Some(held.until_ms).filter(|_| held.hold.is_some()),
        who: None,
    })
}
