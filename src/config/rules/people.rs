//! `people.toml`: units, staff, roles and absences.

use std::collections::BTreeSet;

use super::{Heard, Kind, Names, Read, check_id, check_known, check_phone, check_text};
use crate::config::decode::Document;
use crate::config::files::{AbsenceEntry, PeopleFile, StaffEntry, UnitEntry};
use crate::config::values::Day;
use crate::config::weigh_sms::signature_problem;
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::ladder::{Audience, Ladder};
use crate::domain::org::{Absence, Org, Staff, Unit, UnitKind};
use crate::domain::person::is_mobile;
use crate::domain::text::said;

pub(in crate::config) fn org(read: &Read<PeopleFile>, heard: Heard<'_>) -> Org {
    let (doc, file) = (&read.document, &read.value);
    if doc.is_whole("") {
        for (key, missing) in [("unit", file.unit.is_empty()), ("staff", file.staff.is_empty())] {
            if missing {
                let fix = said!(
                    "请加上 [{key}.名称],参照随附的 people.toml",
                    "add [{key}.NAME], as in the shipped people.toml"
                );
                heard.push(doc.at(
                    "",
                    said!(
                        "没有任何 {key},无人可以通知",
                        "there is no {key}: nobody could be told anything"
                    ),
                    fix,
                ));
            }
        }
    }
    let units = Names::of(Some(read), "unit");
    let staff = Names::of(Some(read), "staff");
    let mut org = Org::default();
    for (name, entry) in &file.unit {
        check_unit(doc, file, name, entry, &units, heard);
        let id = UnitId::from(name.as_str());
        org.units.insert(id.clone(), unit(id, entry));
    }
    for (name, entry) in &file.staff {
        check_staff(doc, name, entry, &units, heard);
        check_absences(doc, file, name, entry, &staff, heard);
        let id = StaffId::from(name.as_str());
        org.staff.insert(id.clone(), member(id, entry));
    }
    org
}

/// Whoever a ladder tells must be somebody in every unit whose cases it may belong to.
pub(in crate::config) fn nobody_there<'a>(
    read: &Read<PeopleFile>,
    org: &Org,
    ladders: impl IntoIterator<Item = &'a Ladder>,
    heard: Heard<'_>,
) {
    if !read.document.is_whole("") {
        return;
    }
    let rungs = ladders.into_iter().flat_map(|ladder| &ladder.rungs);
    let told: BTreeSet<Audience> = rungs.flat_map(|rung| rung.to.iter().copied()).collect();
    // Units that hang in the air have been told of.
    let rooted = |unit: &&Unit| {
        let top = org.line_of(&unit.id).last();
        unit.kind != UnitKind::District && top.is_some_and(|top| top.parent.is_none() && top.kind != UnitKind::Window)
    };
    for unit in org.units.values().filter(rooted) {
        for audience in &told {
            let Some(role) = audience.role() else {
                continue;
            };
            if org.with_role(&unit.id, role).next().is_none() {
                let what = said!(
                    "梯级要通知 {},但本单位及其上级都没有",
                    "ladders tell the {}, but this unit and those above it have none",
                    audience.name()
                );
                let role = serde_json::to_string(&role).unwrap_or_default();
                let fix = said!("请给其中一人写 role = {role}", "give somebody there role = {role}");
                heard.push(read.document.at(&format!("unit.{}", unit.id), what, fix));
            }
        }
    }
}

fn unit(id: UnitId, entry: &UnitEntry) -> Unit {
    Unit {
        id,
        kind: entry.kind,
        name: entry.name.clone(),
        short: entry.short.clone(),
        name_en: entry.name_en.clone(),
        parent: entry.parent.as_deref().map(UnitId::from),
        phone: entry.phone.clone(),
        address: entry.address.clone(),
        signature: entry.signature.clone(),
    }
}

fn member(id: StaffId, entry: &StaffEntry) -> Staff {
    let absence = |absence: &AbsenceEntry| Absence {
        from: absence.from.0,
        to: absence.to.0,
        substitute: absence.substitute.as_deref().map(StaffId::from),
    };
    Staff {
        id,
        name: entry.name.clone(),
        unit: UnitId::from(entry.unit.as_str()),
        role: entry.role,
        email: entry.email.clone(),
        mobile: entry.mobile.clone(),
        digest: entry.digest,
        leaves: entry.leaves.map(|day| day.0),
        absences: entry.absence.iter().map(absence).collect(),
    }
}

fn check_unit(doc: &Document, file: &PeopleFile, name: &str, entry: &UnitEntry, units: &Names, heard: Heard<'_>) {
    let path = format!("unit.{name}");
    let at = |key: &str| format!("{path}.{key}");
    check_id(doc, &path, name, heard);
    for (key, text) in [
        ("name", &entry.name),
        ("name_en", &entry.name_en),
        ("short", &entry.short),
        ("address", &entry.address),
    ] {
        check_text(doc, &at(key), text, heard);
    }
    if let Some((what, fix)) = entry.signature.as_deref().and_then(signature_problem) {
        heard.push(doc.at(&at("signature"), what, fix));
    }
    check_phone(doc, &at("phone"), &entry.phone, heard);
    let private = file.staff.values().filter_map(|staff| staff.mobile.as_deref());
    if private.into_iter().any(|mobile| digits(mobile) == digits(&entry.phone)) {
        let fix = said!(
            "这个号码会告诉居民: 请写大厅电话",
            "residents are given this number: write the line of the hall"
        );
        heard.push(doc.at(
            &at("phone"),
            said!("这是工作人员的手机", "it is the mobile of a member of staff"),
            fix,
        ));
    }
    match &entry.parent {
        Some(parent) => {
            check_known(doc, &at("parent"), Kind::Unit, parent, units, heard);
            check_parent(doc, &at("parent"), file, name, entry.kind, parent, heard);
        }
        None if entry.kind == UnitKind::Window && doc.is_whole(&path) => {
            let fix = said!(
                "请加上 parent = \"…\",即此窗口所属的中心",
                "add parent = \"…\", the centre of this window"
            );
            heard.push(doc.at(&path, said!("窗口须属于一个中心", "a window belongs to a centre"), fix));
        }
        None => {}
    }
}

fn check_parent(
    doc: &Document,
    path: &str,
    file: &PeopleFile,
    name: &str,
    kind: UnitKind,
    parent: &str,
    heard: Heard<'_>,
) {
    let fix = said!(
        "窗口属于中心,中心属于区",
        "a window belongs to a centre, a centre to the district"
    );
    if is_own_ancestor(file, name) {
        heard.push(doc.at(path, said!("单位成了自己的下级", "the unit lies below itself"), fix));
        return;
    }
    let above = file.unit.get(parent).map(|unit| unit.kind);
    let known = |name: &str| doc.is_whole(&format!("unit.{name}.kind"));
    let fits = !known(name)
        || !known(parent)
        || match kind {
            UnitKind::District => false,
            UnitKind::Centre => above.is_none_or(|above| above == UnitKind::District),
            UnitKind::Window => above.is_none_or(|above| above == UnitKind::Centre),
        };
    if !fits {
        heard.push(doc.at(
            path,
            said!("“{parent}”不能是本单位的上级", "\"{parent}\" cannot be above this unit"),
            fix,
        ));
    }
}

fn check_staff(doc: &Document, name: &str, entry: &StaffEntry, units: &Names, heard: Heard<'_>) {
    let path = format!("staff.{name}");
    let at = |key: &str| format!("{path}.{key}");
    check_id(doc, &path, name, heard);
    check_text(doc, &at("name"), &entry.name, heard);
    check_known(doc, &at("unit"), Kind::Unit, &entry.unit, units, heard);
    if let Some(email) = entry.email.as_ref().filter(|email| !plausible_email(email)) {
        let what = said!("“{email}”不是邮箱地址", "\"{email}\" is no e-mail address");
        heard.push(doc.at(
            &at("email"),
            what,
            said!("请写成 name@example.org", "write it like name@example.org"),
        ));
    }
    if let Some(mobile) = entry.mobile.as_ref().filter(|mobile| !is_mobile(mobile)) {
        let what = said!("“{mobile}”不是手机号", "\"{mobile}\" is no mobile number");
        let fix = said!(
            "可用: 11位数字,不含空格,如 \"13900000000\"",
            "allowed: 11 digits without spaces, such as \"13900000000\""
        );
        heard.push(doc.at(&at("mobile"), what, fix));
    }
    if entry.digest && entry.email.is_none() && doc.is_whole(&path) {
        let fix = said!(
            "请加上 email = \"…\",或写 digest = false",
            "add email = \"…\", or write digest = false"
        );
        heard.push(doc.at(
            &at("digest"),
            said!("每日待办需要邮箱", "a digest needs an e-mail address"),
            fix,
        ));
    }
    if entry.email.is_none() && entry.mobile.is_none() && doc.is_whole(&path) {
        heard.push(doc.at(
            &path,
            said!("没有办法提醒这个人", "no reminder can reach this person"),
            said!("请加上 email 或 mobile", "add email or mobile"),
        ));
    }
}

fn check_absences(doc: &Document, file: &PeopleFile, name: &str, entry: &StaffEntry, staff: &Names, heard: Heard<'_>) {
    for (index, absence) in entry.absence.iter().enumerate() {
        let at = |key: &str| format!("staff.{name}.absence[{index}].{key}");
        let (Day(from), Day(to)) = (absence.from, absence.to);
        if from > to && doc.is_whole(&at("from")) {
            let what = said!("{to} 早于 {from}", "{to} is before {from}");
            heard.push(doc.at(
                &at("to"),
                what,
                said!(
                    "不在的最后一天不早于第一天",
                    "an absence ends on or after its first day"
                ),
            ));
        }
        let mut before = entry.absence[..index].iter();
        let overlaps = before.any(|other| absence.from <= other.to && other.from <= absence.to);
        if overlaps && doc.is_whole(&format!("staff.{name}.absence")) {
            let fix = said!(
                "日期请不要重叠,以便明确由谁代班",
                "write days apart, so that it is clear who stands in"
            );
            heard.push(doc.at(
                &at("from"),
                said!("与前一段不在的时间重叠", "it overlaps an absence before"),
                fix,
            ));
        }
        if let Some(substitute) = &absence.substitute {
            check_known(doc, &at("substitute"), Kind::Staff, substitute, staff, heard);
            if doc.is_whole("staff") && turns_back(file, name, index) {
                let fix = said!("请写那段时间在岗的人", "name somebody who is there in that time");
                heard.push(doc.at(
                    &at("substitute"),
                    said!("代班的人绕成了一圈", "the substitutes go round in a circle"),
                    fix,
                ));
            }
        }
    }
}

/// Follows the substitutes of one absence through its first day. A circle shows on the first day of the last absence that
/// closes it.
fn turns_back(file: &PeopleFile, name: &str, index: usize) -> bool {
    let Some(absence) = file.staff.get(name).and_then(|entry| entry.absence.get(index)) else {
        return false;
    };
    let day = absence.from;
    let mut next = absence.substitute.as_deref();
    for _ in 0..=file.staff.len() {
        match next {
            Some(current) if current == name => return true,
            Some(current) => {
                let away = file.staff.get(current).and_then(|entry| {
                    let mut absences = entry.absence.iter();
                    absences.find(|absence| absence.from <= day && day <= absence.to)
                });
                next = away.and_then(|absence| absence.substitute.as_deref());
            }
            None => return false,
        }
    }
    false
}

fn is_own_ancestor(file: &PeopleFile, name: &str) -> bool {
    let parent = |name: &str| file.unit.get(name).and_then(|unit| unit.parent.as_deref());
    let mut next = parent(name);
    for _ in 0..=file.unit.len() {
        match next {
            Some(unit) if unit == name => return true,
            Some(unit) => next = parent(unit),
            None => return false,
        }
    }
    false
}

/// Without spaces and hyphens.
fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

pub(in crate::config) fn plausible_email(text: &str) -> bool {
    let ascii = text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    ascii
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.contains('@')
        })
}
