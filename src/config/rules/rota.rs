//! `rota.toml`: who is on duty. Whoever opens the window has to be known: a workday without anybody is a mistake of the file, and so
//! is somebody who is away that day with nobody standing in.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Heard, Kind, Names, Read, check_id, check_known};
use crate::config::decode::Document;
use crate::config::files::{DutyWeek, RotaEntry, RotaFile};
use crate::domain::calendar::Calendar;
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::org::Org;
use crate::domain::rota::{Plan, Rota, Stretch};
use crate::domain::text::{Said, dated, said};

/// A longer stretch is a typing mistake in a year.
const STRETCH_MAX_DAYS: i32 = 3 * 366;
/// Gaps told one by one; a rota with more has another fault.
const GAPS_MAX: usize = 20;

/// `around` is left out when people or calendar could not be read: gaps would be told that are none.
pub(in crate::config) fn rota(
    read: &Read<RotaFile>,
    (units, staff): (&Names, &Names),
    around: Option<(&Org, &Calendar)>,
    heard: Heard<'_>,
) -> Rota {
    let doc = &read.document;
    let mut rota = Rota::default();
    for (name, entry) in &read.value.rota {
        let path = format!("rota.{name}");
        let before = heard.len();
        check_id(doc, &path, name, heard);
        check_names(doc, &path, name, entry, (units, staff), heard);
        let mut stretch = Stretch {
            name: name.clone(),
            unit: UnitId::from(entry.unit.as_deref().unwrap_or(name)),
            from: entry.from.0,
            to: entry.to.0,
            plan: plan(doc, &path, entry, heard),
            named: BTreeMap::new(),
        };
        check_span(doc, &path, &stretch, &rota, heard);
        stretch.named = named(doc, &path, entry, heard);
        if let Some((org, calendar)) = around.filter(|_| heard.len() == before && doc.is_whole(&path)) {
            swap(doc, &path, entry, &mut stretch, calendar, heard);
            check_gaps(doc, &path, &stretch, calendar, heard);
            check_there(doc, &path, entry, &stretch, (org, calendar), heard);
        }
        rota.stretches.push(stretch);
    }
    rota
}

fn check_names(
    doc: &Document,
    path: &str,
    name: &str,
    entry: &RotaEntry,
    (units, staff): (&Names, &Names),
    heard: Heard<'_>,
) {
    match &entry.unit {
        Some(unit) => check_known(doc, &format!("{path}.unit"), Kind::Unit, unit, units, heard),
        None => check_known(doc, path, Kind::Unit, name, units, heard),
    }
    let mut member = |key: &str, id: &str| check_known(doc, &format!("{path}.{key}"), Kind::Staff, id, staff, heard);
    for (index, id) in entry.turns.iter().flatten().enumerate() {
        member(&format!("turns[{index}]"), id);
    }
    for (key, id) in entry.week.iter().flat_map(weekdays) {
        id.into_iter().for_each(|id| member(&format!("week.{key}"), id));
    }
    entry.makeup.iter().for_each(|id| member("makeup", id));
    for (index, day) in entry.day.iter().enumerate() {
        member(&format!("day[{index}].staff"), &day.staff);
    }
    for (index, swap) in entry.swap.iter().enumerate() {
        member(&format!("swap[{index}].from"), &swap.from);
        member(&format!("swap[{index}].to"), &swap.to);
    }
}

fn weekdays(week: &DutyWeek) -> [(&'static str, Option<&String>); 7] {
    let DutyWeek {
        monday,
        tuesday,
        wednesday,
        thursday,
        friday,
        saturday,
        sunday,
    } = week;
    [
        ("monday", monday.as_ref()),
        ("tuesday", tuesday.as_ref()),
        ("wednesday", wednesday.as_ref()),
        ("thursday", thursday.as_ref()),
        ("friday", friday.as_ref()),
        ("saturday", saturday.as_ref()),
        ("sunday", sunday.as_ref()),
    ]
}

fn plan(doc: &Document, path: &str, entry: &RotaEntry, heard: Heard<'_>) -> Plan {
    let mut say = |key: &str, what: Said, fix: Said| {
        if doc.is_whole(path) {
            heard.push(doc.at(&format!("{path}{key}"), what, fix));
        }
    };
    match (&entry.week, &entry.turns, entry.each) {
        (Some(week), None, None) => {
            let days = weekdays(week).map(|(_, id)| id.map(|id| StaffId::from(id.as_str())));
            if days.iter().all(Option::is_none) {
                say(
                    ".week",
                    said!("没有写任何人", "it names nobody"),
                    said!("请至少给一天写上人员", "give at least one weekday its member of staff"),
                );
            }
            let makeup = entry.makeup.as_deref().map(StaffId::from);
            return Plan::Week { days, makeup };
        }
        (None, Some(turns), Some(each)) => {
            if turns.is_empty() {
                say(
                    ".turns",
                    said!("没有写任何人", "it names nobody"),
                    said!(
                        "请写轮班的人,如 [\"lin\", \"zhou\"]",
                        "name who takes turns, such as [\"lin\", \"zhou\"]"
                    ),
                );
            }
            if entry.makeup.is_some() {
                let fix = said!(
                    "请删去;[[….day]] 可为某一天指定人员",
                    "leave it out; [[….day]] names somebody for a single day"
                );
                say(
                    ".makeup",
                    said!(
                        "轮班在调休上班日自动接着轮",
                        "turns go on over make-up workdays by themselves"
                    ),
                    fix,
                );
            }
            let staff = turns.iter().map(|id| StaffId::from(id.as_str())).collect();
            return Plan::Turns { staff, each };
        }
        (None, Some(_), None) => say(
            "",
            said!("没有写明一轮多长", "it is not clear how long a turn lasts"),
            said!(
                "请加上 each = \"workday\" 或 \"week\"",
                "add each = \"workday\" or \"week\""
            ),
        ),
        (Some(_), None, Some(_)) => say(
            ".each",
            said!("按周排班没有轮次", "a weekly plan has no turns"),
            said!("请删去", "leave it out"),
        ),
        (Some(_), Some(_), _) => say(
            ".turns",
            said!("既有按周排班又有轮班", "there are a weekly plan and turns"),
            said!("week 和 turns 请只写一个", "give one of week and turns"),
        ),
        (None, None, _) => {
            let fix = said!(
                "请写 week = {{ monday = \"…\" }},或 turns = [\"…\"] 加 each",
                "give week = {{ monday = \"…\" }}, or turns = [\"…\"] and each"
            );
            say("", said!("没有写谁值班", "it does not say who is on duty"), fix);
        }
    }
    Plan::Week {
        days: std::array::from_fn(|_| None),
        makeup: None,
    }
}

fn check_span(doc: &Document, path: &str, stretch: &Stretch, before: &Rota, heard: Heard<'_>) {
    let Stretch { from, to, unit, .. } = stretch;
    if !doc.is_whole(path) {
        return;
    }
    if from > to {
        let fix = said!("值班表的最后一天不早于第一天", "a rota ends on or after its first day");
        heard.push(doc.at(
            &format!("{path}.to"),
            said!("{to} 早于 {from}", "{to} is before {from}"),
            fix,
        ));
        return;
    }
    if from.until(*to).map_or(i32::MAX, |span| span.get_days()) >= STRETCH_MAX_DAYS {
        let what = said!("{from}..{to} 超过三年", "{from}..{to} is longer than three years");
        heard.push(doc.at(
            &format!("{path}.to"),
            what,
            said!(
                "年份对吗? 以后的年份请另写一张值班表",
                "is the year right? write a new rota for later years"
            ),
        ));
    }
    let overlaps = |other: &&Stretch| other.unit == *unit && other.from <= *to && *from <= other.to;
    if let Some(other) = before.stretches.iter().find(overlaps) {
        let what = said!(
            "与同一单位的值班表“{}”({}..{})重叠",
            "it overlaps the rota \"{}\" ({}..{}) of the same unit",
            other.name,
            other.from,
            other.to
        );
        heard.push(doc.at(
            &format!("{path}.from"),
            what,
            said!(
                "日期请不要重叠,以便明确由谁值班",
                "write days apart, so that it is clear who is on duty"
            ),
        ));
    }
}

fn named(doc: &Document, path: &str, entry: &RotaEntry, heard: Heard<'_>) -> BTreeMap<Date, StaffId> {
    let mut named = BTreeMap::new();
    for (index, day) in entry.day.iter().enumerate() {
        let at = format!("{path}.day[{index}].day");
        check_inside(doc, &at, path, entry, day.day.0, heard);
        if named.insert(day.day.0, StaffId::from(day.staff.as_str())).is_some() && doc.is_whole(path) {
            let Said { zh, en } = dated(day.day.0);
            heard.push(doc.at(
                &at,
                said!("{zh}写了两次", "{en} is named twice"),
                said!("每天只写一次", "name each day once"),
            ));
        }
    }
    for (index, swap) in entry.swap.iter().enumerate() {
        check_inside(
            doc,
            &format!("{path}.swap[{index}].day"),
            path,
            entry,
            swap.day.0,
            heard,
        );
        if swap.from == swap.to && doc.is_whole(path) {
            let at = format!("{path}.swap[{index}].to");
            heard.push(doc.at(
                &at,
                said!("自己与自己换班", "somebody swaps with themself"),
                said!("请写由谁来替", "name who comes instead"),
            ));
        }
    }
    named
}

fn check_inside(doc: &Document, at: &str, path: &str, entry: &RotaEntry, day: Date, heard: Heard<'_>) {
    let (from, to) = (entry.from.0, entry.to.0);
    if !(from..=to).contains(&day) && doc.is_whole(path) {
        heard.push(doc.at(
            at,
            said!("{day} 不在 {from}..{to} 之内", "{day} lies outside {from}..{to}"),
            said!("请改正日期,或 from 和 to", "correct the date, or from and to"),
        ));
    }
}

/// One after the other, so that a day can be passed on twice.
fn swap(doc: &Document, path: &str, entry: &RotaEntry, stretch: &mut Stretch, calendar: &Calendar, heard: Heard<'_>) {
    for (index, swap) in entry.swap.iter().enumerate() {
        let day = swap.day.0;
        let on_duty = stretch.on_duty(calendar, day);
        if on_duty.is_some_and(|id| id.as_str() == swap.from) {
            stretch.named.insert(day, StaffId::from(swap.to.as_str()));
            continue;
        }
        let at = format!("{path}.swap[{index}].from");
        let (from, Said { zh, en }) = (&swap.from, dated(day));
        let (what, fix) = match on_duty {
            Some(id) => (
                said!(
                    "{zh}不是“{from}”值班,是“{id}”",
                    "\"{from}\" is not on duty on {en}; \"{id}\" is"
                ),
                said!("请写 from = \"{id}\",或改日期", "write from = \"{id}\", or another day"),
            ),
            None => (
                said!(
                    "{zh}不是“{from}”值班,那天无人值班",
                    "\"{from}\" is not on duty on {en}; nobody is"
                ),
                said!(
                    "请改正日期;休息日可用 [[….day]] 指定人员",
                    "correct the day; [[….day]] names somebody for a rest day"
                ),
            ),
        };
        heard.push(doc.at(&at, what, fix));
    }
}

fn check_gaps(doc: &Document, path: &str, stretch: &Stretch, calendar: &Calendar, heard: Heard<'_>) {
    let gaps: Vec<Date> = stretch.gaps(calendar).collect();
    for day in gaps.iter().take(GAPS_MAX) {
        let Said { zh, en } = dated(*day);
        let what = if calendar.is_makeup_workday(*day) {
            said!("{zh}调休上班,无人值班", "nobody is on duty on {en}, a make-up workday")
        } else {
            said!("{zh}是工作日,无人值班", "nobody is on duty on {en}, a workday")
        };
        let fix = said!(
            "请加上 [[{path}.day]] day = {day} staff = \"…\",或补全排班",
            "add [[{path}.day]] day = {day} staff = \"…\", or complete the plan"
        );
        heard.push(doc.at(path, what, fix));
    }
    if gaps.len() > GAPS_MAX {
        let what = said!(
            "还有工作日无人值班: 共{}天",
            "on further workdays nobody is on duty: {} in all",
            gaps.len()
        );
        heard.push(doc.at(path, what, said!("请补全排班", "complete the plan")));
    }
}

/// Days on which somebody is on duty who is not there, told once for each person and reason.
fn check_there(
    doc: &Document,
    path: &str,
    entry: &RotaEntry,
    stretch: &Stretch,
    (org, calendar): (&Org, &Calendar),
    heard: Heard<'_>,
) {
    let mut missing: BTreeMap<(String, &StaffId, bool), Vec<Date>> = BTreeMap::new();
    for day in stretch.days() {
        let Some(id) = stretch.on_duty(calendar, day) else {
            continue;
        };
        if org.standing_in(id, day).is_some() {
            continue;
        }
        let has_left = org.staff.get(id).is_some_and(|staff| staff.has_left(day));
        let by_swap = entry.swap.iter().rposition(|swap| swap.day.0 == day);
        let by_day = entry.day.iter().position(|named| named.day.0 == day);
        let at = match (by_swap, by_day) {
            (Some(index), _) => format!("{path}.swap[{index}].to"),
            (None, Some(index)) => format!("{path}.day[{index}].staff"),
            (None, None) => path.to_owned(),
        };
        missing.entry((at, id, has_left)).or_default().push(day);
    }
    for ((at, id, has_left), days) in missing {
        let Said { zh, en } = match days.as_slice() {
            [day] => {
                let Said { zh, en } = dated(*day);
                said!("{zh}", "on {en}")
            }
            [first, .., last] => {
                let (count, first, last) = (days.len(), dated(*first), dated(*last));
                Said::new(
                    format!("{}至{}共{count}天", first.zh, last.zh),
                    format!("on {count} days from {} through {}", first.en, last.en),
                )
            }
            [] => continue,
        };

        let (what, fix) = if has_left {
            (
                said!(
                    "{zh}由“{id}”值班,但那时已离岗",
                    "\"{id}\" is on duty {en}, but has left by then"
                ),
                said!("请提前结束值班表,或换人", "end the rota before, or name somebody else"),
            )
        } else {
            (
                said!(
                    "{zh}由“{id}”值班,但人不在,也无人代班",
                    "\"{id}\" is on duty {en}, but away, and nobody stands in"
                ),
                said!(
                    "请在 people.toml 的不在时间里写 substitute,或加 [[….swap]] 或 [[….day]]",
                    "add substitute to the absence in people.toml, a [[….swap]], or a [[….day]]"
                ),
            )
        };
        heard.push(doc.at(&at, what, fix));
    }
}
