//! What supervisors may do to the records as such, and that it is noted in the chain of events.

use jiff::Timestamp;

use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::ids::StaffId;
use crate::domain::org::Staff;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::store::{Head, Store, StoreError, commit, events};

/// Longest reason, in characters.
const REASON_MAX: usize = 200;

/// Why somebody may not do this to the records. What is wrong, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}。{} / {}; {}", what.zh, fix.zh, what.en, fix.en)]
pub struct Denied {
    pub what: Said,
    pub fix: Said,
}

impl Denied {
    pub(crate) fn new(what: Said, fix: Said) -> Self {
        Self { what, fix }
    }
}

/// The supervisor who does it, with a reason: without both the records are left alone.
pub fn supervisor<'a>(book: &'a Rulebook, staff: &StaffId, reason: &str) -> Result<&'a Staff, Denied> {
    let Some(found) = book.org.staff.get(staff) else {
        return Err(Denied::new(
            Said::new(
                format!("没有工作人员“{staff}”"),
                format!("there is no member of staff \"{staff}\""),
            ),
            Said::new("请用 people.toml 中的名字", "use a name from people.toml"),
        ));
    };
    if !found.role.is_supervisory() {
        let role = found.role.said();
        return Err(Denied::new(
            Said::new(
                format!("{staff} 是{},此事须由主管办理", role.zh),
                format!("{staff} is a {}; this takes a supervisor", role.en),
            ),
            Said::new("请主管运行同一命令", "ask a supervisor to run the same command"),
        ));
    }
    if reason.trim().is_empty() || reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(Denied::new(
            Said::new("须写明原因", "a reason is needed"),
            Said::new(
                format!("--reason 写一行,最多{REASON_MAX}字,不写姓名和号码"),
                format!("give --reason as one line of at most {REASON_MAX} characters, without names and numbers"),
            ),
        ));
    }
    Ok(found)
}

/// Notes a supervisor's explanation; from now on the chain is known as it is.
pub async fn accept(store: &Store, by: &Staff, reason: &str, now: Timestamp) -> Result<Head, StoreError> {
    let reason = reason.trim().to_owned();
    let mut tx = store.begin().await?;
    events::append_house(
        &mut tx,
        now,
        by.id.as_str(),
        &[Event::House(House::Accepted { reason })],
    )
    .await?;
    commit(tx, "note an explanation").await?;
    store.chain_head().await
}
