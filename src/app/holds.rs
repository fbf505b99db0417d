//! What waits and for what, and how people let it go: `ctl holds` and `ctl release ID`.

use jiff::Timestamp;
use serde_json::json;
use tracing::info;

use crate::app::App;
use crate::control::Answer;
use crate::domain::ids::StaffId;
use crate::domain::text::Said;
use crate::store::StoreError;
use crate::store::holds::{CAP, TEXT};

impl App {
    /// Everything that keeps messages from leaving, in one list.
    pub async fn holds(&self) -> Result<Answer, StoreError> {
        let waits = self.engine.waits().await?;
        let said = if waits.is_empty() {
            Said::new("没有暂扣或等待", "nothing is held")
        } else {
            Said::new(
                format!("{}处暂扣或等待", waits.len()),
                format!("reasons that hold messages: {}", waits.len()),
            )
        };
        Ok(Answer::ok(said.zh, said.en, json!({ "holds": waits })))
    }

    /// Lets one hold go. What was held because it is too much takes two supervisors; the first one's word is noted.
    pub async fn release_one(&self, id: &str, reason: &str, who: &str) -> Result<Answer, StoreError> {
        let engine = &self.engine;
        // Until the guard knows of it, too.
        let _unread = engine.guard.unread().await;
        let (now, rules) = (engine.clock.now(), engine.live.get());
        let today = rules.rulebook.zone.to_datetime(now).date();
        let staff = rules.rulebook.org.staff.get(&StaffId::from(who));
        let may = |staff: &&crate::domain::org::Staff| staff.role.is_supervisory() && !staff.has_left(today);
        let Some(staff) = staff.filter(may) else {
            return Ok(Answer::refused(
                format!("{who} 不能放行: 由业务主管、主任或区级牵头人用自己的编号(--as)放行"),
                format!(
                    "{who} may not release this: a business supervisor, a director or the district lead does, under their own id (--as)"
                ),
                json!({}),
            ));
        };
        if let Some(text) = id.strip_prefix(TEXT) {
            engine.store.trust_text(text, now).await?;
            info!(who = %staff.id, text, "a changed text is trusted");
            return Ok(self.gone_on(
                id,
                &Said::new(format!("文本 {text} 已放行"), format!("text {text} is released")),
            ));
        }
        let Some(hold) = engine.store.open_holds().await?.into_iter().find(|hold| hold.id == id) else {
            return Ok(Answer::refused(
                if id == CAP {
                    "每日上限到明早自行放行".to_owned()
                } else {
                    format!("没有单号 {id};请看 xixin ctl holds")
                },
                if id == CAP {
                    "what waits for a cap of the day goes on by itself in the morning".to_owned()
                } else {
                    format!("there is no hold {id}; see `xixin ctl holds`")
                },
                json!({}),
            ));
        };
        let Some(first) = hold.first_by.clone() else {
            return self.first_word(id, reason, staff.id.as_str(), now).await;
        };
        if first == staff.id.as_str() {
            return Ok(Answer::refused(
                format!("{first} 已经核准过,还须另一位主管"),
                format!("{first} has agreed already; a second supervisor has to agree too"),
                json!({}),
            ));
        }
        let first_of_day = i64::from(rules.rulebook.schedule.guard.first);
        let day = today.to_string();
        let by = (staff.id.as_str(), reason);
        let done = engine.store.release_hold(&hold, &day, first_of_day, by, now).await?;
        let Some(count) = done else {
            return Ok(Answer::refused(
                "刚刚已由别人放行",
                "somebody else has just released it",
                json!({}),
            ));
        };
        info!(who = %staff.id, hold = id, count, "the hold {id} is released: {count} messages go on");
        Ok(self.gone_on(
            id,
            &Said::new(
                format!("{first}、{} 已核准,放行{count}条", staff.id),
                format!("{first} and {} agreed: {count} messages go on", staff.id),
            ),
        ))
    }

    async fn first_word(&self, id: &str, reason: &str, who: &str, now: Timestamp) -> Result<Answer, StoreError> {
        if !self.engine.store.approve_hold(id, who, reason, now).await? {
            return Ok(Answer::refused(
                "刚刚有别人核准,请再看一次",
                "somebody else has just agreed; look again",
                json!({}),
            ));
        }
        info!(who, hold = id, "the first of two agrees to release {id}");
        Ok(Answer::ok(
            format!("已记下 {who} 的核准;还须另一位主管核准后才放行"),
            format!("{who} agrees; it is released once a second supervisor agrees too"),
            json!({ "released": false }),
        ))
    }

    fn gone_on(&self, id: &str, said: &Said) -> Answer {
        self.engine.guard.released(id);
        self.engine.ring_everywhere();
        Answer::ok(said.zh.clone(), said.en.clone(), json!({ "released": true }))
    }
}
