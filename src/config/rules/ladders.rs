//! `ladders.toml`: which reminders go to whom, how long before or after what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Heard, Read, check_id};
use crate::config::decode::Document;
use crate::config::files::{LadderEntry, LaddersFile, RungEntry};
use crate::domain::ids::{LadderId, RungName, TextId};
use crate::domain::ladder::{Audience, ItemKind, Ladder, Priority, Rung, StepUnit, Until, Way, When};
use crate::domain::milestone::Milestone;
use crate::domain::text::said;

pub(in crate::config) fn ladders(read: &Read<LaddersFile>, heard: Heard<'_>) -> BTreeMap<LadderId, Ladder> {
    let doc = &read.document;
    let mut ladders = BTreeMap::new();
    for (name, entry) in &read.value.ladder {
        let path = format!("ladder.{name}");
        check_id(doc, &path, name, heard);
        if entry.rung.is_empty() && doc.is_whole(&format!("{path}.rung")) {
            heard.push(doc.at(
                &path,
                said!("它没有任何一级", "it has no rungs"),
                said!("请加上 [[ladder.{name}.rung]]", "add [[ladder.{name}.rung]]"),
            ));
        }
        check_names(doc, &path, entry, heard);
        for (index, rung) in entry.rung.iter().enumerate() {
            let item = doc.is_whole(&format!("{path}.item")).then_some(entry.item);
            check_rung(doc, &format!("{path}.rung[{index}]"), item, rung, heard);
        }
        let id = LadderId::from(name.as_str());
        let ladder = Ladder {
            id: id.clone(),
            item: entry.item,
            until: entry.until,
            late: entry.late,
            effective_from: entry.effective_from.0,
            rungs: entry.rung.iter().map(rung).collect(),
        };
        ladders.insert(id, ladder);
    }
    ladders
}

fn rung(entry: &RungEntry) -> Rung {
    Rung {
        name: RungName::from(entry.name.as_str()),
        when: entry.when.0,
        at: entry.at.map(|clock| clock.0),
        off_day: entry.off_day,
        to: entry.to.clone(),
        by: entry.by.clone(),
        text: TextId::from(entry.text.as_str()),
        until: entry.until,
        priority: entry.priority,
        if_told: entry.if_told,
        effective_from: entry.effective_from.map(|day| day.0),
    }
}

fn check_names(doc: &Document, path: &str, entry: &LadderEntry, heard: Heard<'_>) {
    let mut names = BTreeSet::new();
    for (index, rung) in entry.rung.iter().enumerate() {
        let path = format!("{path}.rung[{index}].name");
        if doc.is_whole(&path) && !names.insert(rung.name.as_str()) {
            let what = said!("“{}”用了两次", "\"{}\" is used twice", rung.name);
            heard.push(doc.at(
                &path,
                what,
                said!("同一梯级中每一级名称不同", "each rung of a ladder has its own name"),
            ));
        }
    }
}

fn check_rung(doc: &Document, path: &str, item: Option<ItemKind>, rung: &RungEntry, heard: Heard<'_>) {
    let at = |key: &str| format!("{path}.{key}");
    check_id(doc, &at("name"), &rung.name, heard);
    check_id(doc, &at("text"), &rung.text, heard);
    if let Some(item) = item.filter(|_| doc.is_whole(&at("when"))) {
        check_when(doc, path, item, rung, heard);
    }
    if rung.to.is_empty() {
        let fix = said!(
            "请至少写一个对象,如 \"owner\"",
            "name at least one audience, such as \"owner\""
        );
        heard.push(doc.at(&at("to"), said!("没有通知任何人", "nobody is told"), fix));
    }
    if rung.by.is_empty() {
        let fix = said!(
            "请至少写 email、sms、phone 之一",
            "name at least one of email, sms, phone"
        );
        heard.push(doc.at(&at("by"), said!("没有通知方式", "there is no way to tell"), fix));
    }
    for key in ["to", "by"] {
        let twice = match key {
            "to" => first_twice(&rung.to).map(|(index, audience)| (index, audience.name())),
            _ => first_twice(&rung.by).map(|(index, way)| (index, way.name())),
        };
        if let Some((index, name)) = twice.filter(|_| doc.is_whole(&at(key))) {
            let what = said!("“{name}”写了两次", "\"{name}\" is named twice");
            heard.push(doc.at(
                &format!("{path}.{key}[{index}]"),
                what,
                said!("每个只写一次", "name each only once"),
            ));
        }
    }
    let contact = rung.to.iter().position(|audience| *audience == Audience::Contact);
    if let (Some(index), Some(item)) = (contact, item.filter(|item| *item != ItemKind::Reply)) {
        let what = {
            let (zh, en) = (item.name(), with_article(item));
            said!("{zh} 没有应答复的联系人", "{en} has no contact who owes an answer")
        };
        let fix = said!(
            "只能用于 item = \"reply\";请改写别人,如 \"owner\"",
            "allowed only with item = \"reply\"; name somebody else, such as \"owner\""
        );
        heard.push(doc.at(&format!("{path}.to[{index}]"), what, fix));
    }
    let former = rung.to.iter().position(|audience| *audience == Audience::Former);
    if let (Some(index), Some(item)) = (former, item) {
        let bound = matches!(item, ItemKind::Appointment | ItemKind::Escort);
        if !bound || rung.when.0.point().milestone != Milestone::Passed {
            let fix = said!(
                "只能用于预约或陪同的 when = \"on passed\"",
                "allowed only with when = \"on passed\" of an appointment or an escort"
            );
            heard.push(doc.at(
                &format!("{path}.to[{index}]"),
                said!("没有以前的承办人", "there is nobody who had it before"),
                fix,
            ));
        }
    }
    let staff = rung.to.iter().any(|audience| !audience.is_public());
    if staff && rung.by.contains(&Way::Phone) && doc.is_whole(&at("to")) {
        let fix = said!(
            "工作人员可用: email, sms;\"phone\" 是给居民或家属打电话的任务",
            "allowed for staff: email, sms; \"phone\" makes a call task to a resident or relative"
        );
        heard.push(doc.at(&at("by"), said!("不给工作人员打电话", "staff are not phoned"), fix));
    }
    if rung.priority == Priority::Critical && rung.by.len() == 1 && doc.is_whole(&at("by")) {
        let what = said!(
            "关键提醒在 {} 不通时没有第二种方式",
            "a critical reminder has no second way when {} fails",
            rung.by[0].name()
        );
        let fix = said!(
            "请再写一种方式,如 by = [\"email\", \"sms\"]",
            "name another way, such as by = [\"email\", \"sms\"]"
        );
        heard.push(doc.at(&at("by"), what, fix));
    }
}

/// The milestone belongs to the item, and nothing that is written would go unheeded.
fn check_when(doc: &Document, path: &str, item: ItemKind, rung: &RungEntry, heard: Heard<'_>) {
    let point = rung.when.0.point();
    if !item.milestones().contains(&point.milestone) {
        let fits: Vec<&str> = item.milestones().iter().map(|milestone| milestone.name()).collect();
        let what = {
            let (zh, en) = (item.name(), with_article(item));
            said!("{zh} 没有时点“{}”", "{en} has no milestone \"{}\"", point.milestone)
        };
        heard.push(doc.at(
            &format!("{path}.when"),
            what,
            said!("可用: {}", "allowed: {}", fits.join(", ")),
        ));
    }
    let exact = matches!(point.unit, StepUnit::Minutes | StepUnit::Hours);
    let timed = matches!(item, ItemKind::Appointment | ItemKind::Escort | ItemKind::Incident);
    if exact && timed && rung.at.is_some() {
        let what = said!(
            "与 {} 相距几小时或几分钟,本身已定了时刻",
            "a distance in hours or minutes from an {} has its own time of day",
            item.name()
        );
        heard.push(doc.at(
            &format!("{path}.at"),
            what,
            said!("请删去此行,或改以天计", "delete this line, or count in days"),
        ));
    }
}

fn with_article(item: ItemKind) -> String {
    let name = item.name();
    let article = if name.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

fn first_twice<T: Copy + PartialEq>(list: &[T]) -> Option<(usize, T)> {
    list.iter()
        .enumerate()
        .find(|(index, value)| list[..*index].contains(value))
        .map(|(index, value)| (index, *value))
}

/// After the end a person further up is asked again and again until somebody acknowledges it.
pub(super) fn never_silent(ladder: &Ladder) -> bool {
    ladder.rungs.iter().any(|rung| {
        let until = rung.until.unwrap_or(ladder.until);
        let repeats =
            matches!(rung.when, When::Every { from, at_most: None, .. } if from.milestone == Milestone::Expired);
        let above = |audience: &Audience| audience.role().is_some();
        until == Until::Acknowledged && repeats && rung.to.iter().any(above)
    })
}
