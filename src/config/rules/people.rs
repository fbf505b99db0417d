//! `people.toml`: units, staff, roles and absences.

use std::collections::BTreeSet;

use super::{Heard, Names, Read, check_id, check_known, check_phone, check_text};
use crate::config::decode::Document;
use crate::config::files::{AbsenceEntry, PeopleFile, StaffEntry, UnitEntry};
use crate::config::values::Day;
use crate::config::weigh_sms::signature_problem;
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::ladder::{Audience, Ladder};
use crate::domain::org::{Absence, Org, Staff, Unit, UnitKind};
use crate::domain::person::is_mobile;

pub(in crate::config) fn org(read: &Read<PeopleFile>, heard: Heard<'_>) -> Org {
    let (doc, file) = (&read.document, &read.value);
    if doc.is_whole("") {
        for (key, missing) in [("unit", file.unit.is_empty()), ("staff", file.staff.is_empty())] {
            if missing {
                let fix = format!("add [{key}.NAME], as in the shipped people.toml");
                heard.push(doc.at("", &format!("there is no {key}: nobody could be told anything"), &fix));
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
            let Some(role) = audience.role() else { continue };
            if org.with_role(&unit.id, role).next().is_none() {
                let what = format!(
                    "ladders tell the {}, but this unit and those above it have none",
                    audience.name()
                );
                let role = serde_json::to_string(&role).unwrap_or_default();
                let fix = format!("give somebody there role = {role}");
                heard.push(read.document.at(&format!("unit.{}", unit.id), &what, &fix));
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
        heard.push(doc.at(&at("signature"), &what, fix));
    }
    check_phone(doc, &at("phone"), &entry.phone, heard);
    let private = file.staff.values().filter_map(|staff| staff.mobile.as_deref());
    if private.into_iter().any(|mobile| digits(mobile) == digits(&entry.phone)) {
        let fix = "residents are given this number: write the line of the hall";
        heard.push(doc.at(&at("phone"), "it is the mobile of a member of staff", fix));
    }
    match &entry.parent {
        Some(parent) => {
            check_known(doc, &at("parent"), "unit", parent, units, heard);
            check_parent(doc, &at("parent"), file, name, entry.kind, parent, heard);
        }
        None if entry.kind == UnitKind::Window && doc.is_whole(&path) => {
            let fix = "add parent = \"…\", the centre of this window";
            heard.push(doc.at(&path, "a window belongs to a centre", fix));
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
    let fix = "a window belongs to a centre, a centre to the district";
    if is_own_ancestor(file, name) {
        heard.push(doc.at(path, "the unit lies below itself", fix));
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
        heard.push(doc.at(path, &format!("\"{parent}\" cannot be above this unit"), fix));
    }
}

fn check_staff(doc: &Document, name: &str, entry: &StaffEntry, units: &Names, heard: Heard<'_>) {
    let path = format!("staff.{name}");
    let at = |key: &str| format!("{path}.{key}");
    check_id(doc, &path, name, heard);
    check_text(doc, &at("name"), &entry.name, heard);
    check_known(doc, &at("unit"), "unit", &entry.unit, units, heard);
    if let Some(email) = entry.email.as_ref().filter(|email| !plausible_email(email)) {
        let what = format!("\"{email}\" is no e-mail address");
        heard.push(doc.at(&at("email"), &what, "write it like name@example.org"));
    }
    if let Some(mobile) = entry.mobile.as_ref().filter(|mobile| !is_mobile(mobile)) {
        let what = format!("\"{mobile}\" is no mobile number");
        let fix = "allowed: 11 digits without spaces, such as \"13900000000\"";
        heard.push(doc.at(&at("mobile"), &what, fix));
    }
    if entry.digest && entry.email.is_none() && doc.is_whole(&path) {
        let fix = "add email = \"…\", or write digest = false";
        heard.push(doc.at(&at("digest"), "a digest needs an e-mail address", fix));
    }
    if entry.email.is_none() && entry.mobile.is_none() && doc.is_whole(&path) {
        heard.push(doc.at(&path, "no reminder can reach this person", "add email or mobile"));
    }
}

fn check_absences(doc: &Document, file: &PeopleFile, name: &str, entry: &StaffEntry, staff: &Names, heard: Heard<'_>) {
    for (index, absence) in entry.absence.iter().enumerate() {
        let at = |key: &str| format!("staff.{name}.absence[{index}].{key}");
        let (Day(from), Day(to)) = (absence.from, absence.to);
        if from > to && doc.is_whole(&at("from")) {
            let what = format!("{to} is before {from}");
            heard.push(doc.at(&at("to"), &what, "an absence ends on or after its first day"));
        }
        let mut before = entry.absence[..index].iter();
        let overlaps = before.any(|other| absence.from <= other.to && other.from <= absence.to);
        if overlaps && doc.is_whole(&format!("staff.{name}.absence")) {
            let fix = "write days apart, so that it is clear who stands in";
            heard.push(doc.at(&at("from"), "it overlaps an absence before", fix));
        }
        if let Some(substitute) = &absence.substitute {
            check_known(doc, &at("substitute"), "member of staff", substitute, staff, heard);
            if doc.is_whole("staff") && turns_back(file, name, index) {
                let fix = "name somebody who is there in that time";
                heard.push(doc.at(&at("substitute"), "the substitutes go round in a circle", fix));
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
