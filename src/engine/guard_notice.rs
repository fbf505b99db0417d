//! The word about a hold: to every supervisor, who can release it, and to whoever has to phone meanwhile. One mail each, whatever is held.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::guard::LAST_CALL_MIN;
use crate::domain::ids::StaffId;
use crate::domain::ladder::{Priority, Way};
use crate::domain::org::Staff;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, cancel};
use crate::engine::staff_mail::{self, Occasion};
use crate::store::StoreError;
use crate::store::holds::Hold;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;
use crate::template::Rendered;

/// The text of these messages.
pub(crate) const TEXT: &str = "guard";
/// What their marks begin with. They sort behind those of digests, which count what comes before them.
const MARK: &str = "guard|";
/// A word that could not leave for so long is history: the digests have told.
const VALID_DAYS: i64 = 3;

/// One word for each hold and each supervisor or caller. One that is queued already is left as it is by whoever adds them.
pub(crate) fn rows(book: &Rulebook, holds: &[Hold], callers: &BTreeSet<&str>, now: Timestamp) -> Vec<NewReminder> {
    let today = book.zone.to_datetime(now).date();
    let hears = |staff: &&Staff| {
        let concerned = staff.role.is_supervisory() || callers.contains(staff.id.as_str());
        concerned && staff.email.is_some() && !staff.has_left(today)
    };
    let staff: Vec<&Staff> = book.org.staff.values().filter(hears).collect();
    holds
        .iter()
        .flat_map(|hold| staff.iter().map(|staff| row(hold, &staff.id, now)))
        .collect()
}

fn row(hold: &Hold, staff: &StaffId, now: Timestamp) -> NewReminder {
    let occasion = Occasion {
        mark: &format!("{MARK}{}", hold.id),
        text: TEXT,
        reason: Said::new(
            format!("批量保护暂扣了信息(单号 {})", hold.id),
            format!("the blast guard holds messages (hold {})", hold.id),
        ),
        priority: Priority::Critical,
        valid_days: VALID_DAYS,
    };
    staff_mail::row(&occasion, staff, now)
}

/// Judges a claimed word once more: nobody hears of a hold that is over.
pub(crate) async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let id = row.mark.strip_prefix(MARK).unwrap_or_default();
    let (recipient, staff, to) = match staff_mail::reader(rules, row) {
        Ok(reader) => reader,
        Err(said) => return Ok(cancel(row, said, now)),
    };
    let hold = engine.store.open_holds().await?.into_iter().find(|hold| hold.id == id);
    let Some(hold) = hold.filter(|_| now.as_millisecond() < row.valid_until_ms) else {
        let said = Said::new("已放行或已过时", "it was released, or this is too late");
        return Ok(cancel(row, said, now));
    };
    let held = engine.store.held_counts().await?;
    let held = held.iter().find(|held| held.hold.as_deref() == Some(id));
    let calls = engine.store.open_tasks(std::slice::from_ref(&staff.id)).await?.len();
    Ok(Judged::Go {
        rendered: words(&hold, held.map_or(0, |held| held.count), calls, staff),
        invitation: None,
        to,
        context: Context {
            way,
            recipient,
            caller: None,
            note: Said::default(),
        },
        version: None,
    })
}

fn words(hold: &Hold, count: i64, calls: usize, staff: &Staff) -> Rendered {
    let id = &hold.id;
    let mut zh = format!(
        "{}:\n\n{}。\n\n目前暂扣{count}条,一条也不会丢: 到期前{LAST_CALL_MIN}分钟仍未放行的,改由人工告知;事关失权的已立即转为电话任务。\n",
        staff.name, hold.reason_zh
    );
    let mut en = format!(
        "{}.\n\n{count} messages are held now, and none is dropped: {LAST_CALL_MIN} minutes before one is of no use any more, a person tells them instead; what is critical has become a call task at once.\n",
        hold.reason_en
    );
    if calls > 0 {
        let _ = write!(
            zh,
            "\n您名下现有{calls}个电话任务,请今天处理: xixin digest {}\n",
            staff.id
        );
        let _ = write!(
            en,
            "\nYou have {calls} calls to make, today please: xixin digest {}\n",
            staff.id
        );
    }
    if staff.role.is_supervisory() {
        let _ = write!(
            zh,
            "\n请先核对原因(导入、规则或文本改动?),再由两位主管分别放行:\n  xixin ctl holds\n  xixin ctl release {id} --reason 理由 --as {}\n",
            staff.id
        );
        let _ = write!(
            en,
            "\nFind out why first (an import, an edit of rules or texts?); then two supervisors release them, each under their own name:\n  xixin ctl holds\n  xixin ctl release {id} --reason WHY --as {}\n",
            staff.id
        );
    }
    Rendered {
        subject: Some(format!(
            "[悉心听] 批量保护暂扣了{count}条信息,单号 {id} / messages are held"
        )),
        body: Some(format!("{zh}\n────────────────────\n\n{en}")),
        ..Rendered::default()
    }
}
