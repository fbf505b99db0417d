//! `agencies.toml`: outside offices and when they open.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Heard, Read, check_id, check_phone, check_range, check_text};
use crate::config::decode::Document;
use crate::config::files::{AgenciesFile, OfficeEntry, Week};
use crate::config::values::{Days, Hours};
use crate::domain::ids::OfficeId;
use crate::domain::office::{Office, OfficeDays, Window};
use crate::domain::text::said;

pub(in crate::config) fn offices(read: &Read<AgenciesFile>, heard: Heard<'_>) -> BTreeMap<OfficeId, Office> {
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
            // Where the way or the person is not known yet, opening days can still be counted with.
            if !(text.is_empty() && matches!(key, "route" | "contact")) {
                check_text(doc, &format!("{path}.{key}"), text, heard);
            }
        }
        check_phone(doc, &format!("{path}.phone"), &entry.phone, heard);
        if let Some(minutes) = entry.travel_minutes {
            check_range(doc, &format!("{path}.travel_minutes"), minutes, (0, 480), heard);
        }
        let id = OfficeId::from(name.as_str());
        let office = Office {
            id: id.clone(),
            name: entry.name.clone(),
            name_en: entry.name_en.clone(),
            address: entry.address.clone(),
            route: entry.route.clone(),
            contact: entry.contact.clone(),
            phone: entry.phone.clone(),
            travel_minutes: entry.travel_minutes,
            days: office_days(doc, &path, entry, heard),
            closures: entry.closed.iter().map(|Days(from, to)| (*from, *to)).collect(),
            extra: extra(doc, &path, entry, heard),
        };
        offices.insert(id, office);
    }
    offices
}

fn extra(doc: &Document, path: &str, entry: &OfficeEntry, heard: Heard<'_>) -> BTreeMap<Date, Vec<Window>> {
    let mut extra = BTreeMap::new();
    for (index, day) in entry.extra.iter().enumerate() {
        let at = |key: &str| format!("{path}.extra[{index}].{key}");
        let windows = open_windows(doc, &at("hours"), &day.hours, heard);
        if extra.insert(day.day.0, windows).is_some() && doc.is_whole(&format!("{path}.extra")) {
            let what = said!("{} 写了两次", "{} is named twice", day.day.0);
            heard.push(doc.at(
                &at("day"),
                what,
                said!("同一天的时段请写在一项里", "write all windows of a day in one entry"),
            ));
        }
    }
    extra
}

fn office_days(doc: &Document, path: &str, entry: &OfficeEntry, heard: Heard<'_>) -> OfficeDays {
    match (&entry.hours, &entry.saturday, &entry.week) {
        (Some(hours), None, None) => OfficeDays::Workdays(open_windows(doc, &format!("{path}.hours"), hours, heard)),
        (Some(hours), Some(saturday), None) => {
            let hours = open_windows(doc, &format!("{path}.hours"), hours, heard);
            let saturday = open_windows(doc, &format!("{path}.saturday"), saturday, heard);
            OfficeDays::WorkdaysAndSaturday(hours, saturday)
        }
        (None, None, Some(week)) => OfficeDays::Weekly(week_windows(doc, path, week, heard)),
        _ => {
            if doc.is_whole(path) {
                let fix = said!(
                    "请写 hours(每个工作日)、hours 加 saturday,或 week(逐日)",
                    "give hours (every workday), hours and saturday, or week (its own weekdays)"
                );
                heard.push(doc.at(path, said!("开放时间没有写清", "its opening hours are not clear"), fix));
            }
            OfficeDays::Workdays(Vec::new())
        }
    }
}

fn week_windows(doc: &Document, path: &str, week: &Week, heard: Heard<'_>) -> [Vec<Window>; 7] {
    let Week {
        monday,
        tuesday,
        wednesday,
        thursday,
        friday,
        saturday,
        sunday,
    } = week;
    let mut of = |key: &str, hours: &[Hours]| windows(doc, &format!("{path}.week.{key}"), hours, heard);
    let days = [
        of("monday", monday),
        of("tuesday", tuesday),
        of("wednesday", wednesday),
        of("thursday", thursday),
        of("friday", friday),
        of("saturday", saturday),
        of("sunday", sunday),
    ];
    let path = format!("{path}.week");
    if days.iter().all(Vec::is_empty) {
        heard.push(doc.at(
            &path,
            said!("它从不开放", "it never opens"),
            said!("请至少给一天写上时间", "give at least one weekday its hours"),
        ));
    }
    days
}

/// Windows where an empty list would say that it never opens.
fn open_windows(doc: &Document, path: &str, hours: &[Hours], heard: Heard<'_>) -> Vec<Window> {
    if hours.is_empty() {
        let fix = said!(
            "请至少写一个时段,如 [\"09:00-12:00\", \"13:30-17:00\"]",
            "give at least one window, such as [\"09:00-12:00\", \"13:30-17:00\"]"
        );
        heard.push(doc.at(path, said!("它从不开放", "it never opens"), fix));
    }
    windows(doc, path, hours, heard)
}

/// In order and apart from each other.
fn windows(doc: &Document, path: &str, hours: &[Hours], heard: Heard<'_>) -> Vec<Window> {
    let windows: Vec<Window> = hours.iter().map(|hours| hours.0).collect();
    for (index, pair) in windows.windows(2).enumerate() {
        if pair[1].from < pair[0].to && doc.is_whole(path) {
            let path = format!("{path}[{}]", index + 1);
            let fix = said!(
                "时段请按先后写且不重叠,如 [\"09:00-12:00\", \"13:30-17:00\"]",
                "write windows in order and apart, such as [\"09:00-12:00\", \"13:30-17:00\"]"
            );
            heard.push(doc.at(&path, said!("与前一个时段重叠", "it overlaps the window before"), fix));
        }
    }
    windows
}
