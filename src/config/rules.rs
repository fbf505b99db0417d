//! From files to the rulebook: every name is looked up, every number weighed. All problems are collected.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::decode::Document;
use super::files::{
    AgenciesFile, LadderEntry, LaddersFile, MatterFile, OfficeEntry, PeopleFile, PeriodsFile, ScheduleFile, Week,
};
use super::problem::{Problem, allowed};
use super::values::Hours;
use crate::domain::ids::{LadderId, MatterId, OfficeId, PeriodId, RungName, StaffId, TextId, UnitId};
use crate::domain::ladder::{ItemKind, Ladder, Rung, Until, Way, When};
use crate::domain::milestone::Milestone;
use crate::domain::office::{Office, OfficeDays, Window};
use crate::domain::org::{Absence, Org, Staff, Unit};
use crate::domain::period::{Mode, Period, PeriodRule, PeriodUnit};
use crate::domain::quiet::SendingHours;
use crate::domain::rulebook::{Loss, Material, Matter, PeriodKind, Schedule};
use crate::domain::text::{Said, clean_line};

/// A file that decoded, with the document for positions.
pub(super) struct Read<T> {
    pub document: Document,
    pub value: T,
}

/// Hears problems.
pub(super) type Heard<'a> = &'a mut Vec<Problem>;

const LINE_MAX: usize = 300;

/// An id as files write it: it becomes part of keys and marks.
fn check_id(document: &Document, path: &str, id: &str, heard: Heard<'_>) {
    let fine = !id.is_empty()
        && id.len() <= 40
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    if !fine {
        heard.push(document.at(
            path,
            &format!("\"{id}\" is no name"),
            "allowed: a-z, 0-9, _ and -, up to 40 characters",
        ));
    }
}

fn check_words(document: &Document, path: &str, words: &Said, heard: Heard<'_>) {
    for (key, text) in [("zh", &words.zh), ("en", &words.en)] {
        check_text(document, &format!("{path}.{key}"), text, heard);
    }
}

fn check_text(document: &Document, path: &str, text: &str, heard: Heard<'_>) {
    match clean_line(text, LINE_MAX) {
        Ok(text) if text.is_empty() => heard.push(document.at(path, "it is empty", "write what people should read")),
        Ok(_) => {}
        Err(problem) => heard.push(document.at(path, &problem.what().en, &problem.fix().en)),
    }
}

/// Complains of a name that is not among the known ones.
fn check_known<'a>(
    document: &Document,
    path: &str,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    heard: Heard<'_>,
) -> bool {
    let known: Vec<&str> = known.into_iter().collect();
    if known.contains(&name) {
        return true;
    }
    heard.push(document.at(path, &format!("there is no {what} \"{name}\""), &allowed(name, known)));
    false
}

pub(super) fn schedule(read: &Read<ScheduleFile>, ladders: &BTreeMap<LadderId, Ladder>, heard: Heard<'_>) -> Schedule {
    let (doc, file) = (&read.document, &read.value);
    let mut number = |path: &str, value: u32, low: u32, high: u32| {
        if !(low..=high).contains(&value) {
            heard.push(doc.at(
                path,
                &format!("{value} is out of range"),
                &format!("allowed: {low} to {high}"),
            ));
        }
    };
    number(
        "caps.sms_per_resident_per_day",
        file.caps.sms_per_resident_per_day,
        1,
        20,
    );
    number("caps.sms_per_topic_per_day", file.caps.sms_per_topic_per_day, 1, 20);
    number("hours.late_after_minutes", file.hours.late_after_minutes, 1, 1440);
    number(
        "people.phone_first_from_age",
        u32::from(file.people.phone_first_from_age),
        1,
        150,
    );
    let workdays = |period: Period| period.unit == PeriodUnit::Workdays && period.n > 0;
    for (path, period) in [
        ("people.acknowledgement_lasts", file.people.acknowledgement_lasts.0),
        ("callback.period", file.callback.period.0),
    ] {
        if !workdays(period) {
            heard.push(doc.at(
                path,
                &format!("\"{period}\" is not counted in workdays"),
                "allowed: workdays, such as \"3wd\"",
            ));
        }
    }
    for (path, name, kind) in [
        ("callback.ladder", &file.callback.ladder, ItemKind::Callback),
        ("appointment.ladder", &file.appointment.ladder, ItemKind::Appointment),
    ] {
        check_ladder(doc, path, name, kind, ladders, heard);
    }
    let (sending, business) = (file.hours.sending.0, file.hours.business.0);
    Schedule {
        digest_at: file.digest.at.0,
        digest_when_empty: file.digest.when_empty,
        sending_hours: SendingHours {
            from: sending.from,
            to: sending.to,
        },
        sms_per_resident_per_day: file.caps.sms_per_resident_per_day,
        sms_per_topic_per_day: file.caps.sms_per_topic_per_day,
        phone_first_from_age: file.people.phone_first_from_age,
        late_after_minutes: file.hours.late_after_minutes,
        acknowledgement_lasts: file.people.acknowledgement_lasts.0,
        callback_period: PeriodRule::simple(file.callback.period.0, Mode::Promise),
        callback_ladder: LadderId::from(file.callback.ladder.as_str()),
        appointment_ladder: LadderId::from(file.appointment.ladder.as_str()),
        business_hours: (business.from, business.to),
    }
}

fn check_ladder(
    doc: &Document,
    path: &str,
    name: &str,
    kind: ItemKind,
    ladders: &BTreeMap<LadderId, Ladder>,
    heard: Heard<'_>,
) {
    if !check_known(doc, path, "ladder", name, ladders.keys().map(LadderId::as_str), heard) {
        return;
    }
    if let Some(ladder) = ladders.get(name).filter(|ladder| ladder.item != kind) {
        let what = format!("ladder \"{name}\" is for item = \"{}\"", ladder.item.name());
        heard.push(doc.at(
            path,
            &what,
            &format!("a ladder for item = \"{}\" is needed here", kind.name()),
        ));
    }
}

pub(super) fn ladders(read: &Read<LaddersFile>, heard: Heard<'_>) -> BTreeMap<LadderId, Ladder> {
    let doc = &read.document;
    let ladder = |(name, entry): (&String, &LadderEntry)| {
        let path = format!("ladder.{name}");
        check_id(doc, &path, name, heard);
        if entry.rung.is_empty() {
            heard.push(doc.at(&path, "it has no rungs", &format!("add [[ladder.{name}.rung]]")));
        }
        let mut names = BTreeSet::new();
        let rungs = entry.rung.iter().enumerate().map(|(index, rung)| {
            let at = |key: &str| format!("{path}.rung[{index}].{key}");
            check_id(doc, &at("name"), &rung.name, heard);
            if !names.insert(rung.name.as_str()) {
                heard.push(doc.at(
                    &at("name"),
                    &format!("\"{}\" is used twice", rung.name),
                    "each rung of a ladder has its own name",
                ));
            }
            check_when(doc, &at("when"), entry.item, rung.when.0, heard);
            if rung.to.is_empty() {
                heard.push(doc.at(
                    &at("to"),
                    "nobody is told",
                    "name at least one audience, such as \"owner\"",
                ));
            }
            if rung.by.is_empty() {
                heard.push(doc.at(
                    &at("by"),
                    "there is no way to tell",
                    "name at least one of email, sms, phone",
                ));
            }
            if rung.by.contains(&Way::Phone) && !rung.to.iter().all(|audience| audience.is_public()) {
                heard.push(doc.at(
                    &at("by"),
                    "staff are not phoned",
                    "allowed for staff: email, sms; \"phone\" makes a call task to a resident or relative",
                ));
            }
            check_id(doc, &at("text"), &rung.text, heard);
            Rung {
                name: RungName::from(rung.name.as_str()),
                when: rung.when.0,
                at: rung.at.map(|clock| clock.0),
                off_day: rung.off_day,
                to: rung.to.clone(),
                by: rung.by.clone(),
                text: TextId::from(rung.text.as_str()),
                until: rung.until,
                priority: rung.priority,
            }
        });
        let rungs = rungs.collect();
        let id = LadderId::from(name.as_str());
        let (item, until, late, effective_from) = (entry.item, entry.until, entry.late, entry.effective_from.0);
        (
            id.clone(),
            Ladder {
                id,
                item,
                until,
                late,
                effective_from,
                rungs,
            },
        )
    };
    read.value.ladder.iter().map(ladder).collect()
}

fn check_when(doc: &Document, path: &str, item: ItemKind, when: When, heard: Heard<'_>) {
    let milestone = when.point().milestone;
    if milestone.kind() != item {
        let fits = Milestone::ALL
            .into_iter()
            .filter(|milestone| milestone.kind() == item)
            .map(Milestone::name);
        let fits: Vec<&str> = fits.collect();
        let what = format!("a {} has no milestone \"{milestone}\"", item.name());
        heard.push(doc.at(path, &what, &format!("allowed: {}", fits.join(", "))));
    }
}

pub(super) fn periods(
    read: &Read<PeriodsFile>,
    ladders: &BTreeMap<LadderId, Ladder>,
    offices: &BTreeMap<OfficeId, Office>,
    heard: Heard<'_>,
) -> BTreeMap<PeriodId, PeriodKind> {
    let doc = &read.document;
    let mut kinds = BTreeMap::new();
    for (name, entry) in &read.value.period {
        let at = |key: &str| format!("period.{name}.{key}");
        check_id(doc, &format!("period.{name}"), name, heard);
        check_words(doc, &at("name"), &entry.name, heard);
        check_words(doc, &at("trigger"), &entry.trigger, heard);
        check_text(doc, &at("source"), &entry.source, heard);
        if let Some(alternative) = &entry.alternative {
            check_words(doc, &at("alternative"), alternative, heard);
        }
        check_length(doc, &at("length"), entry.length.0, entry.mode, heard);
        if let Some(margin) = &entry.margin {
            check_margin(doc, &at("margin"), margin.0, entry.length.0, heard);
        }
        if let Some(office) = &entry.office {
            check_known(
                doc,
                &at("office"),
                "office",
                office,
                offices.keys().map(OfficeId::as_str),
                heard,
            );
        }
        check_ladder(doc, &at("ladder"), &entry.ladder, ItemKind::Deadline, ladders, heard);
        let ladder = ladders.get(entry.ladder.as_str());
        if entry.loss == Loss::Irrecoverable && ladder.is_some_and(|ladder| !never_silent(ladder)) {
            let what = format!(
                "the right is lost for ever, but ladder \"{}\" ends in silence",
                entry.ladder
            );
            heard.push(doc.at(
                &at("ladder"),
                &what,
                "give that ladder a rung \"every … from … expired\" with until = \"acknowledged\" and no \"at most\"",
            ));
        }
        let id = PeriodId::from(name.as_str());
        kinds.insert(
            id.clone(),
            PeriodKind {
                id,
                name: entry.name.clone(),
                trigger: entry.trigger.clone(),
                rule: PeriodRule {
                    period: entry.length.0,
                    mode: entry.mode,
                    margin: entry.margin.as_ref().map(|margin| margin.0),
                    count_start_day: entry.count_start_day,
                    month_end: entry.month_end,
                },
                office: entry.office.as_deref().map(OfficeId::from),
                ladder: LadderId::from(entry.ladder.as_str()),
                loss: entry.loss,
                alternative: entry.alternative.clone(),
                source: entry.source.clone(),
                checked: entry.checked.map(|day| day.0),
            },
        );
    }
    kinds
}

/// After the end somebody is asked again and again until a named person acknowledges it.
fn never_silent(ladder: &Ladder) -> bool {
    ladder.rungs.iter().any(|rung| {
        let until = rung.until.unwrap_or(ladder.until);
        until == Until::Acknowledged
            && matches!(rung.when, When::Every { from, at_most: None, .. } if from.milestone == Milestone::Expired)
    })
}

fn check_length(doc: &Document, path: &str, length: Period, mode: Mode, heard: Heard<'_>) {
    use PeriodUnit::{BusinessHours, Days, Hours, Months, Weeks, Workdays, Years};
    let units: &[PeriodUnit] = match mode {
        Mode::Civil | Mode::Retention | Mode::Promise => &[Years, Months, Weeks, Days, Workdays],
        Mode::RetentionNextYear => &[Years, Months],
        Mode::Workdays => &[Workdays],
        Mode::Elapsed => &[Hours, Days, Weeks],
        Mode::BusinessHours => &[BusinessHours, Hours],
        Mode::InsuranceMonths => &[Months, Years],
    };
    if !units.contains(&length.unit) {
        let units: Vec<&str> = units.iter().map(|unit| unit.suffix()).collect();
        let what = format!("\"{length}\" cannot be counted in mode \"{}\"", mode.name());
        heard.push(doc.at(path, &what, &format!("allowed units: {}", units.join(", "))));
    }
    if length.n <= 0 {
        heard.push(doc.at(
            path,
            &format!("\"{length}\" is no length"),
            "a deadline lies after its trigger: use a number above 0",
        ));
    }
}

fn check_margin(doc: &Document, path: &str, margin: Period, length: Period, heard: Heard<'_>) {
    let days = |period: Period| match period.unit {
        PeriodUnit::Years => period.n * 365,
        PeriodUnit::Months => period.n * 30,
        PeriodUnit::Weeks => period.n * 7,
        PeriodUnit::Days => period.n,
        PeriodUnit::Workdays => period.n * 7 / 5,
        PeriodUnit::Hours | PeriodUnit::BusinessHours => period.n / 24,
    };
    if matches!(margin.unit, PeriodUnit::Hours | PeriodUnit::BusinessHours) || margin.n < 0 {
        heard.push(doc.at(
            path,
            &format!("\"{margin}\" is no margin"),
            "allowed: workdays or days, such as \"5wd\"",
        ));
    } else if days(margin) >= days(length) {
        heard.push(doc.at(
            path,
            &format!("a margin of {margin} leaves nothing of {length}"),
            "use a margin shorter than the period",
        ));
    }
}

pub(super) fn offices(read: &Read<AgenciesFile>, heard: Heard<'_>) -> BTreeMap<OfficeId, Office> {
    let doc = &read.document;
    let mut offices = BTreeMap::new();
    for (name, entry) in &read.value.office {
        let path = format!("office.{name}");
        check_id(doc, &path, name, heard);
        for (key, text) in [
            ("name", &entry.name),
            ("name_en", &entry.name_en),
            ("address", &entry.address),
            ("route", &entry.route),
            ("contact", &entry.contact),
        ] {
            check_text(doc, &format!("{path}.{key}"), text, heard);
        }
        check_phone(doc, &format!("{path}.phone"), &entry.phone, heard);
        let id = OfficeId::from(name.as_str());
        let days = office_days(doc, &path, entry, heard);
        let mut extra = BTreeMap::new();
        for (index, day) in entry.extra.iter().enumerate() {
            let windows = windows(doc, &format!("{path}.extra[{index}].hours"), &day.hours, heard);
            extra.insert(day.day.0, windows);
        }
        let closures: Vec<(Date, Date)> = entry.closed.iter().map(|days| (days.0, days.1)).collect();
        offices.insert(
            id.clone(),
            Office {
                id,
                name: entry.name.clone(),
                name_en: entry.name_en.clone(),
                address: entry.address.clone(),
                route: entry.route.clone(),
                contact: entry.contact.clone(),
                phone: entry.phone.clone(),
                days,
                closures,
                extra,
            },
        );
    }
    offices
}

fn office_days(doc: &Document, path: &str, entry: &OfficeEntry, heard: Heard<'_>) -> OfficeDays {
    let mut of = |key: &str, hours: &[Hours]| windows(doc, &format!("{path}.{key}"), hours, heard);
    match (&entry.hours, &entry.saturday, &entry.week) {
        (Some(hours), None, None) => OfficeDays::Workdays(of("hours", hours)),
        (Some(hours), Some(saturday), None) => {
            OfficeDays::WorkdaysAndSaturday(of("hours", hours), of("saturday", saturday))
        }
        (None, None, Some(week)) => {
            let Week {
                monday,
                tuesday,
                wednesday,
                thursday,
                friday,
                saturday,
                sunday,
            } = week;
            let days = [
                of("week.monday", monday),
                of("week.tuesday", tuesday),
                of("week.wednesday", wednesday),
                of("week.thursday", thursday),
                of("week.friday", friday),
                of("week.saturday", saturday),
                of("week.sunday", sunday),
            ];
            if days.iter().all(Vec::is_empty) {
                heard.push(doc.at(
                    &format!("{path}.week"),
                    "it never opens",
                    "give at least one weekday its hours",
                ));
            }
            OfficeDays::Weekly(days)
        }
        _ => {
            let what = "its opening hours are not clear";
            heard.push(doc.at(
                path,
                what,
                "give hours (every workday), hours and saturday, or week (its own weekdays)",
            ));
            OfficeDays::Workdays(Vec::new())
        }
    }
}

/// In order and apart from each other.
fn windows(doc: &Document, path: &str, hours: &[Hours], heard: Heard<'_>) -> Vec<Window> {
    let windows: Vec<Window> = hours.iter().map(|hours| hours.0).collect();
    for (index, pair) in windows.windows(2).enumerate() {
        if pair[1].from < pair[0].to {
            let path = format!("{path}[{}]", index + 1);
            heard.push(doc.at(
                &path,
                "it overlaps the window before",
                "write windows in order and apart, such as [\"09:00-12:00\", \"13:30-17:00\"]",
            ));
        }
    }
    windows
}

fn check_phone(doc: &Document, path: &str, phone: &str, heard: Heard<'_>) {
    let digits = phone.bytes().filter(u8::is_ascii_digit).count();
    let fine = (5..=13).contains(&digits)
        && phone
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"- +".contains(&byte));
    if !fine {
        heard.push(doc.at(
            path,
            &format!("\"{phone}\" is no phone number"),
            "allowed: digits and hyphens, such as \"010-00000000\"",
        ));
    }
}

pub(super) fn matters(
    files: &[(String, Read<MatterFile>)],
    periods: &BTreeMap<PeriodId, PeriodKind>,
    offices: &BTreeMap<OfficeId, Office>,
    heard: Heard<'_>,
) -> BTreeMap<MatterId, Matter> {
    let mut matters = BTreeMap::new();
    for (name, read) in files {
        let (doc, entry) = (&read.document, &read.value);
        check_id(doc, "", name, heard);
        check_words(doc, "name", &entry.name, heard);
        check_words(doc, "public_name", &entry.public_name, heard);
        for banned in BANNED.iter().filter(|banned| entry.public_name.zh.contains(**banned)) {
            heard.push(doc.at(
                "public_name.zh",
                &format!("gateways ban the word \"{banned}\""),
                "use a neutral name, such as 证明补办",
            ));
        }
        for (index, period) in entry.deadlines.iter().enumerate() {
            check_known(
                doc,
                &format!("deadlines[{index}]"),
                "period",
                period,
                periods.keys().map(PeriodId::as_str),
                heard,
            );
        }
        let named = entry
            .agencies
            .iter()
            .enumerate()
            .map(|(index, office)| (format!("agencies[{index}]"), office));
        for (path, office) in named.chain(entry.office.iter().map(|office| ("office".to_owned(), office))) {
            check_known(
                doc,
                &path,
                "office",
                office,
                offices.keys().map(OfficeId::as_str),
                heard,
            );
        }
        for (index, material) in entry.material.iter().enumerate() {
            check_words(doc, &format!("material[{index}].name"), &material.name, heard);
        }
        let id = MatterId::from(name.as_str());
        matters.insert(
            id.clone(),
            Matter {
                id,
                name: entry.name.clone(),
                public_name: entry.public_name.clone(),
                materials: entry
                    .material
                    .iter()
                    .map(|material| Material {
                        name: material.name.clone(),
                        issuer: material.issuer.clone(),
                    })
                    .collect(),
                deadlines: entry
                    .deadlines
                    .iter()
                    .map(|name| PeriodId::from(name.as_str()))
                    .collect(),
                agencies: entry
                    .agencies
                    .iter()
                    .map(|name| OfficeId::from(name.as_str()))
                    .collect(),
                office: entry.office.as_deref().map(OfficeId::from),
                bereaved: entry.bereaved,
            },
        );
    }
    matters
}

/// Words that SMS gateways refuse.
pub const BANNED: [&str; 4] = ["殡葬", "医疗", "党政", "代办证件"];

pub(super) fn org(read: &Read<PeopleFile>, heard: Heard<'_>) -> Org {
    let (doc, file) = (&read.document, &read.value);
    let mut org = Org::default();
    for (name, entry) in &file.unit {
        let path = format!("unit.{name}");
        check_id(doc, &path, name, heard);
        for (key, text) in [
            ("name", &entry.name),
            ("name_en", &entry.name_en),
            ("short", &entry.short),
            ("address", &entry.address),
        ] {
            check_text(doc, &format!("{path}.{key}"), text, heard);
        }
        check_phone(doc, &format!("{path}.phone"), &entry.phone, heard);
        if let Some(parent) = &entry.parent {
            check_known(
                doc,
                &format!("{path}.parent"),
                "unit",
                parent,
                file.unit.keys().map(String::as_str),
                heard,
            );
            if is_own_ancestor(file, name) {
                heard.push(doc.at(
                    &format!("{path}.parent"),
                    "the unit lies below itself",
                    "a window belongs to a centre, a centre to the district",
                ));
            }
        }
        let id = UnitId::from(name.as_str());
        org.units.insert(
            id.clone(),
            Unit {
                id,
                kind: entry.kind,
                name: entry.name.clone(),
                short: entry.short.clone(),
                name_en: entry.name_en.clone(),
                parent: entry.parent.as_deref().map(UnitId::from),
                phone: entry.phone.clone(),
                address: entry.address.clone(),
            },
        );
    }
    for (name, entry) in &file.staff {
        let path = format!("staff.{name}");
        check_id(doc, &path, name, heard);
        check_text(doc, &format!("{path}.name"), &entry.name, heard);
        check_known(
            doc,
            &format!("{path}.unit"),
            "unit",
            &entry.unit,
            file.unit.keys().map(String::as_str),
            heard,
        );
        if let Some(email) = &entry.email
            && !plausible_email(email)
        {
            heard.push(doc.at(
                &format!("{path}.email"),
                &format!("\"{email}\" is no e-mail address"),
                "write it like name@example.org",
            ));
        }
        if entry.digest && entry.email.is_none() {
            heard.push(doc.at(
                &format!("{path}.digest"),
                "a digest needs an e-mail address",
                "add email = \"…\", or digest = false",
            ));
        }
        if let Some(mobile) = &entry.mobile {
            check_phone(doc, &format!("{path}.mobile"), mobile, heard);
        }
        let absences = absences(doc, file, name, heard);
        let id = StaffId::from(name.as_str());
        org.staff.insert(
            id.clone(),
            Staff {
                id,
                name: entry.name.clone(),
                unit: UnitId::from(entry.unit.as_str()),
                role: entry.role,
                email: entry.email.clone(),
                mobile: entry.mobile.clone(),
                digest: entry.digest,
                leaves: entry.leaves.map(|day| day.0),
                absences,
            },
        );
    }
    org
}

fn absences(doc: &Document, file: &PeopleFile, name: &str, heard: Heard<'_>) -> Vec<Absence> {
    let Some(entry) = file.staff.get(name) else {
        return Vec::new();
    };
    let mut absences = Vec::new();
    for (index, absence) in entry.absence.iter().enumerate() {
        let at = |key: &str| format!("staff.{name}.absence[{index}].{key}");
        let (from, to) = (absence.from.0, absence.to.0);
        if from > to {
            heard.push(doc.at(
                &at("to"),
                &format!("{to} is before {from}"),
                "an absence ends on or after its first day",
            ));
        }
        if let Some(substitute) = &absence.substitute {
            check_known(
                doc,
                &at("substitute"),
                "member of staff",
                substitute,
                file.staff.keys().map(String::as_str),
                heard,
            );
            if turns_back(file, name, index) {
                heard.push(doc.at(
                    &at("substitute"),
                    "the substitutes go round in a circle",
                    "name somebody who is there in that time",
                ));
            }
        }
        absences.push(Absence {
            from,
            to,
            substitute: absence.substitute.as_deref().map(StaffId::from),
        });
    }
    absences
}

/// Follows the substitutes of one absence through its first day.
fn turns_back(file: &PeopleFile, name: &str, index: usize) -> bool {
    let Some(absence) = file.staff.get(name).and_then(|entry| entry.absence.get(index)) else {
        return false;
    };
    let day = absence.from.0;
    let mut next = absence.substitute.as_deref();
    for _ in 0..=file.staff.len() {
        match next {
            Some(current) if current == name => return true,
            Some(current) => {
                let away = file.staff.get(current).and_then(|entry| {
                    entry
                        .absence
                        .iter()
                        .find(|absence| absence.from.0 <= day && day <= absence.to.0)
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

pub(super) fn plausible_email(text: &str) -> bool {
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
