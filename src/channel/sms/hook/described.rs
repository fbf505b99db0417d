//! Reports and messages of a gateway that its settings describe.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{message, readable};
use crate::channel::sms::answer::{presentable, written};
use crate::channel::sms::arrival::{Arrival, Report};
use crate::config::inbound::{Hook, Messages, Reports};
use crate::domain::delivery::Fate;

/// Messages and reports may come in one list, each in its own, or alone.
pub(super) fn read(hook: &Hook, document: &Value) -> Option<Vec<Arrival>> {
    let either = |(list, one): &(&Option<String>, &Value)| {
        let messages = hook.messages.as_ref().filter(|messages| messages.list == **list);
        let reports = hook.reports.as_ref().filter(|reports| reports.list == **list);
        let message = messages.and_then(|messages| message_of(messages, one));
        message.or_else(|| report_of(reports?, one))
    };
    let messages = hook.messages.iter().map(|messages| &messages.list);
    let reports = hook.reports.iter().map(|reports| &reports.list);
    let lists: BTreeSet<&Option<String>> = messages.chain(reports).collect();
    let mut found = Vec::new();
    let mut is_there = false;
    for list in lists {
        match list {
            None => found.extend(Some((list, document)).filter(|alone| either(alone).is_some())),
            Some(pointer) => {
                let Some(several) = document.pointer(pointer).and_then(Value::as_array) else {
                    continue;
                };
                is_there = true;
                found.extend(several.iter().map(|one| (list, one)));
            }
        }
    }
    if found.is_empty() && !is_there {
        return None;
    }
    readable(&found, either)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of each kind are heard of a document whose messages and reports are listed there.
    fn heard(messages: Option<&str>, reports: Option<&str>, document: &str) -> Option<(usize, usize)> {
        let hook = Hook {
            reports: Some(Reports {
                list: reports.map(str::to_owned),
                reference: None,
                id: Some("/id".to_owned()),
                status: "/status".to_owned(),
                delivered: vec!["0".to_owned()],
                failed: Vec::new(),
            }),
            messages: Some(Messages {
                list: messages.map(str::to_owned),
                from: "/from".to_owned(),
                text: "/text".to_owned(),
                id: None,
            }),
        };
        let arrivals = read(&hook, &serde_json::from_str(document).expect("JSON"))?;
        let messages = arrivals.iter().filter(|one| matches!(one, Arrival::Message(_))).count();
        Some((messages, arrivals.len() - messages))
    }

    #[test]
    fn messages_and_reports_are_heard_together_and_what_cannot_be_read_takes_none_with_it() {
        let (message, report) = (r#"{"from":"13900000000","text":"T"}"#, r#"{"id":"a","status":0}"#);
        let one_list = |document: &str| heard(Some("/list"), Some("/list"), document);
        assert_eq!(
            one_list(&format!(r#"{{"list":[{report},{message},{{"x":1}}]}}"#)),
            Some((1, 1))
        );
        assert_eq!(one_list(r#"{"list":[{"x":1}]}"#), None);
        assert_eq!(one_list(r#"{"list":[]}"#), Some((0, 0)));
        assert_eq!(one_list("{}"), None);

        // A report that repeats the text is no message where reports have a list of their own.
        let repeats = r#"{"id":"a","status":0,"from":"13900000000","text":"T"}"#;
        let two_lists = |document: &str| heard(Some("/mo"), Some("/dr"), document);
        assert_eq!(
            two_lists(&format!(r#"{{"mo":[{message}],"dr":[{repeats}]}}"#)),
            Some((1, 1))
        );
        assert_eq!(two_lists(&format!(r#"{{"dr":[{repeats}]}}"#)), Some((0, 1)));

        assert_eq!(heard(None, None, message), Some((1, 0)));
        assert_eq!(
            heard(None, Some("/dr"), &format!(r#"{{"dr":[{report}]}}"#)),
            Some((0, 1))
        );
        assert_eq!(heard(None, Some("/dr"), message), Some((1, 0)));
        assert_eq!(heard(None, None, r#"{"x":1}"#), None);
    }
}
