//! What takes the place of a message that did not get through.

use jiff::Timestamp;

use crate::domain::ladder::Way;
use crate::domain::plan::decide::CALL_TASK;
use crate::domain::reminder::{Recipient, State};
use crate::domain::text::Said;
use crate::engine::new_reminder;
use crate::engine::prepare::Context;
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;

/// The rows by which a message that did not get through goes on: the next way in the list, else, for residents and relatives, a call
/// task and the notice to whoever makes the call. Staff without another way are a trouble that the supervisor's digest shows.
pub(crate) fn another_way(
    claimed: &Claimed,
    context: &Context,
    said: &Said,
    ways: &str,
    now: Timestamp,
) -> Vec<NewReminder> {
    let mut ways = ways.split(',').filter_map(Way::parse);
    let way = match (ways.next(), &context.recipient) {
        (Some(way), _) if way != Way::Phone => way,
        (_, Recipient::Person(_)) => Way::Phone,
        _ => return Vec::new(),
    };
    let rest: Vec<&str> = ways.map(Way::name).collect();
    let task = way == Way::Phone;
    let because = Said::new(
        format!("{}不成({}),改用{}", way_zh(context.way), said.zh, way_zh(way)),
        format!("{} failed ({}), so {}", context.way.name(), said.en, way.name()),
    );
    let row = NewReminder {
        id: new_reminder().to_string(),
        case_id: claimed.case_id.clone(),
        mark: claimed.mark.clone(),
        recipient: claimed.recipient.clone(),
        way: way.name(),
        text: claimed.text.clone(),
        state: if task { State::Task.name() } else { State::Queued.name() },
        reason_zh: because.zh,
        reason_en: because.en,
        priority: claimed.priority,
        due_ms: claimed.due_ms,
        decided_ms: now.as_millisecond(),
        not_before_ms: now.as_millisecond(),
        valid_until_ms: claimed.valid_until_ms,
        fallback: rest.join(","),
        assignee: context.caller.as_ref().filter(|_| task).map(ToString::to_string),
    };
    let notice = context.caller.as_ref().filter(|_| task).map(|caller| NewReminder {
        id: new_reminder().to_string(),
        recipient: Recipient::Staff(caller.clone()).to_string(),
        way: Way::Email.name(),
        text: CALL_TASK.to_owned(),
        state: State::Queued.name(),
        reason_zh: "有电话要打,通知经办人".to_owned(),
        reason_en: "tells whoever makes the call".to_owned(),
        fallback: Way::Sms.name().to_owned(),
        assignee: None,
        ..row.clone()
    });
    std::iter::once(row).chain(notice).collect()
}

fn way_zh(way: Way) -> &'static str {
    match way {
        Way::Email => "邮件",
        Way::Sms => "短信",
        Way::Phone => "电话",
    }
}
