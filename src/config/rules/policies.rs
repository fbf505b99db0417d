//! `policies.toml`: the watch-list.

use std::collections::{BTreeMap, BTreeSet};

use super::{Heard, Read, check_id, check_once, check_text, check_words};
use crate::config::decode::Document;
use crate::config::files::{PoliciesFile, PolicyEntry};
use crate::domain::ids::PolicyId;
use crate::domain::period::{Mode, PeriodRule, PeriodUnit};
use crate::domain::policy::Policy;
use crate::domain::text::said;

/// Within half a year of workdays somebody has told everybody.
const TELL_WITHIN_MAX: i64 = 120;

pub(in crate::config) fn policies(read: &Read<PoliciesFile>, heard: Heard<'_>) -> BTreeMap<PolicyId, Policy> {
    let mut policies = BTreeMap::new();
    for (name, entry) in &read.value.policy {
        check(&read.document, name, entry, heard);
        let id = PolicyId::from(name.as_str());
        policies.insert(id.clone(), policy(id, entry));
    }
    policies
}

/// The tags that households may have although no policy uses them yet.
pub(in crate::config) fn tags(read: &Read<PoliciesFile>, heard: Heard<'_>) -> BTreeSet<String> {
    let tags = &read.value.tags;
    for (index, tag) in tags.iter().enumerate() {
        check_text(&read.document, &format!("tags[{index}]"), tag, heard);
    }
    check_once(&read.document, "tags", tags, heard);
    tags.iter().map(|tag| tag.trim().to_owned()).collect()
}

fn policy(id: PolicyId, entry: &PolicyEntry) -> Policy {
    Policy {
        item: Policy::item_of(&id),
        id,
        name: entry.name.clone(),
        tags: entry.tags.iter().map(|tag| tag.trim().to_owned()).collect(),
        added: entry.added.0,
        tell_within: PeriodRule::simple(entry.tell_within.0, Mode::Promise),
        what: entry.what.clone(),
        source: entry.source.clone(),
        checked: entry.checked.map(|day| day.0),
        until: entry.until.map(|day| day.0),
    }
}

fn check(doc: &Document, name: &str, entry: &PolicyEntry, heard: Heard<'_>) {
    let at = |key: &str| format!("policy.{name}.{key}");
    check_id(doc, &format!("policy.{name}"), name, heard);
    check_words(doc, &at("name"), &entry.name, heard);
    check_words(doc, &at("what"), &entry.what, heard);
    check_text(doc, &at("source"), &entry.source, heard);
    if entry.tags.is_empty() && doc.is_whole(&at("tags")) {
        let fix = said!(
            "请至少写一个家庭标签,如“重残”",
            "name at least one tag of households, such as \"重残\""
        );
        heard.push(doc.at(&at("tags"), said!("它不针对任何人", "it is meant for nobody"), fix));
    }
    for (index, tag) in entry.tags.iter().enumerate() {
        check_text(doc, &format!("{}[{index}]", at("tags")), tag, heard);
    }
    check_once(doc, &at("tags"), &entry.tags, heard);
    let within = entry.tell_within.0;
    if within.unit != PeriodUnit::Workdays || !(1..=TELL_WITHIN_MAX).contains(&within.n) {
        let fix = said!(
            "可用: 1wd 到 {TELL_WITHIN_MAX}wd(工作日),如 \"3wd\"",
            "allowed: 1wd to {TELL_WITHIN_MAX}wd (workdays), such as \"3wd\""
        );
        heard.push(doc.at(
            &at("tell_within"),
            said!("此处不能用“{within}”", "\"{within}\" does not fit here"),
            fix,
        ));
    }
    if let Some(until) = entry
        .until
        .filter(|until| *until < entry.added && doc.is_whole(&at("added")))
    {
        let what = said!(
            "它在 {} 结束,早于加入的日期",
            "it ends on {}, before it was added",
            until.0
        );
        heard.push(doc.at(
            &at("until"),
            what,
            said!("请用 added 当天或之后的日期", "use a day on or after added"),
        ));
    }
}
