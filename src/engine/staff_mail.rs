//! Mail to members of staff that belongs to no case: words about holds, letters on moved dates.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::StaffId;
use crate::domain::ladder::{Priority, Way};
use crate::domain::org::Staff;
use crate::domain::reminder::{Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::new_reminder;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;

/// What the mails of one occasion have in common.
pub(crate) struct Occasion<'a> {
    pub(crate) mark: &'a str,
    pub(crate) text: &'a str,
    pub(crate) reason: Said,
    pub(crate) priority: Priority,
    /// One that could not leave for so long is history: the digests have told.
    pub(crate) valid_days: i64,
}

/// One of them, queued. What is queued already is left as it is by whoever adds it.
pub(crate) fn row(occasion: &Occasion<'_>, staff: &StaffId, now: Timestamp) -> NewReminder {
    let now_ms = now.as_millisecond();
    let valid_until = now.checked_add(SignedDuration::from_hours(24 * occasion.valid_days));
    NewReminder {
        id: new_reminder().to_string(),
        case_id: String::new(),
        mark: occasion.mark.to_owned(),
        recipient: Recipient::Staff(staff.clone()).to_string(),
        way: Way::Email.name(),
        text: occasion.text.to_owned(),
        state: State::Queued.name(),
        reason_zh: occasion.reason.zh.clone(),
        reason_en: occasion.reason.en.clone(),
        priority: occasion.priority as i64,
        due_ms: now_ms,
        decided_ms: now_ms,
        not_before_ms: now_ms,
        valid_until_ms: valid_until.unwrap_or(Timestamp::MAX).as_millisecond(),
        fallback: String::new(),
        assignee: None,
    }
}

/// Who reads a claimed one, and at which address; else why nobody does any more.
pub(crate) fn reader<'a>(rules: &'a Rules, row: &Claimed) -> Result<(Recipient, &'a Staff, String), Said> {
    let recipient = Recipient::parse(&row.recipient);
    let staff = match &recipient {
        Some(Recipient::Staff(id)) => rules.rulebook.org.staff.get(id),
        _ => None,
    };
    let (Some(recipient), Some(staff)) = (recipient, staff) else {
        return Err(Said::new(
            "此人已不在名单中",
            "this person is no longer on the staff list",
        ));
    };
    match &staff.email {
        Some(to) => Ok((recipient, staff, to.clone())),
        None => Err(Said::new("没有邮箱地址", "no e-mail address")),
    }
}
