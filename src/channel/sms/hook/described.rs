//! Reports and messages of a gateway that its settings describe.

use serde_json::Value;

use super::{LIST_MAX, message};
use crate::channel::sms::answer::{presentable, written};
use crate::channel::sms::arrival::{Arrival, Report};
use crate::config::inbound::{Hook, Messages, Reports};
use crate::domain::delivery::Fate;

pub(super) fn read(hook: &Hook, document: &Value) -> Option<Vec<Arrival>> {
    let list = |pointer: &Option<String>| -> Option<Vec<Value>> {
        match pointer {
            None => Some(vec![document.clone()]),
            Some(pointer) => document
                .pointer(pointer)?
                .as_array()
                .filter(|list| list.len() <= LIST_MAX)
                .cloned(),
        }
    };
    if let Some(messages) = &hook.messages
        && let Some(found) = list(&messages.list)
        && let Some(arrivals) = found
            .iter()
            .map(|one| message_of(messages, one))
            .collect::<Option<Vec<_>>>()
    {
        return Some(arrivals);
    }
    let reports = hook.reports.as_ref()?;
    list(&reports.list)?.iter().map(|one| report_of(reports, one)).collect()
}

fn message_of(messages: &Messages, value: &Value) -> Option<Arrival> {
    let at = |pointer: &str| value.pointer(pointer).and_then(written);
    let id = messages.id.as_deref().and_then(at).and_then(|id| presentable(&id));
    Some(message(at(&messages.from)?, &at(&messages.text)?, id))
}

fn report_of(reports: &Reports, value: &Value) -> Option<Arrival> {
    let at = |pointer: &str| value.pointer(pointer).and_then(written);
    let name = |pointer: &Option<String>| pointer.as_deref().and_then(at).and_then(|text| presentable(&text));
    let (reference, id) = (name(&reports.reference), name(&reports.id));
    let status = at(&reports.status)?;
    if reference.is_none() && id.is_none() {
        return None;
    }
    Some(Arrival::Report(Report {
        reference,
        id,
        fate: if reports.delivered.contains(&status) {
            Some(Fate::Delivered)
        } else if reports.failed.contains(&status) {
            Some(Fate::Bounced)
        } else {
            None
        },
        code: presentable(&status),
    }))
}
