//! One row becomes a `NewCase`, or the list of everything that is wrong with it. Pure: cells and rules in, values out.
//!
//! Single values are checked by the very functions that commands are checked by; what spans several fields is left to
//! `command::open`.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::domain::case::{Origin, Trigger};
use crate::domain::command::fields::{self, NAME_MAX, SHORT_MAX};
use crate::domain::command::{NewAppointment, NewCallback, NewCase, NewDeadline, NewPerson, NewRelative};
use crate::domain::ids::{MatterId, OfficeId, PeriodId};
use crate::domain::person::MayKnow;
use crate::domain::rulebook::{Matter, Rulebook};
use crate::import::cell::{Fault, Row, half_width};
use crate::import::columns::{Columns, TriggerColumn};
use crate::import::dates::Written;
use crate::import::field::Field;
use crate::import::intake::Taken;
use crate::import::problem::Problem;
use crate::import::reader::{Reader, look_up, parts_of};
use crate::import::words::{CASE_FLAGS, GENDERS, LANGUAGES, MAY_KNOW, ORIGINS, PERSON_FLAGS, YES_NO};

pub(super) fn case(row: &Row, columns: &Columns, rules: &Rulebook, today: Date) -> Result<Taken, Vec<Problem>> {
    let mut reader = Reader::new(row, columns, rules);
    let reader = &mut reader;
    let resident = resident(reader, today);
    let relatives = relative(reader).into_iter().collect();
    let matter = matter(reader);
    let request = reader.required(Field::Request, |text| fields::required_note("", text));
    let owner = reader.staff(Field::Owner);
    // Whoever owns the case takes it to their own unit, unless the table says otherwise.
    let unit = reader.unit().or_else(|| {
        let owner = owner.as_ref()?;
        rules.org.staff.get(owner).map(|staff| staff.unit.clone())
    });
    let (deadlines, trigger_columns) = deadlines(reader, matter);
    let new = NewCase {
        resident,
        relatives,
        enterprise: reader.optional(Field::Enterprise, |text| fields::line("", text, SHORT_MAX)),
        matter: matter.map_or_else(|| MatterId::from(""), |matter| matter.id.clone()),
        request: request.unwrap_or_default(),
        unit,
        owner,
        origin: reader.word(Field::Origin, &ORIGINS).unwrap_or(Origin::Import),
        referred_by: None,
        flags: reader.words(Field::Flags, &CASE_FLAGS),
        priority: reader.optional(Field::Priority, |text| fields::line("", text, SHORT_MAX)),
        received_at: received_at(reader),
        deadlines,
        callbacks: callback(reader).into_iter().collect(),
        appointments: appointment(reader).into_iter().collect(),
        escorts: Vec::new(),
    };
    let idle_columns = reader.finish()?;
    Ok(Taken {
        row: row.number,
        case: new,
        trigger_columns,
        idle_columns,
    })
}

fn resident(reader: &mut Reader<'_>, today: Date) -> NewPerson {
    NewPerson {
        name: reader
            .required(Field::Name, |text| fields::name("", text))
            .unwrap_or_default(),
        gender: reader.word(Field::Gender, &GENDERS),
        phone: reader.phone(Field::Phone),
        email: reader.optional(Field::Email, |text| fields::email("", text)),
        born: born(reader, today),
        flags: reader.words(Field::ResidentFlags, &PERSON_FLAGS),
        language: reader.word(Field::Language, &LANGUAGES).unwrap_or_default(),
    }
}

/// A year, or a date of which the year is taken.
fn born(reader: &mut Reader<'_>, today: Date) -> Option<i16> {
    let text = reader.text(Field::Born)?;
    let plain_year = half_width(&text);
    let plain_year = plain_year.trim().trim_end_matches('年');
    let year = match plain_year.parse::<i16>() {
        Ok(year) => Ok(year),
        Err(_) => reader.moment(Field::Born)?.map(|written| written.first_day().year()),
    };
    let checked = year.and_then(|year| fields::year_of_birth("", year, today.year()).map_err(Fault::from));
    reader.settle(Field::Born, checked)
}

fn relative(reader: &mut Reader<'_>) -> Option<NewRelative> {
    let fields_of = [
        Field::RelativeName,
        Field::RelativeRelation,
        Field::RelativePhone,
        Field::RelativeEmail,
        Field::RelativeOptedIn,
        Field::RelativeMayKnow,
    ];
    if fields_of.into_iter().all(|field| reader.is_blank(field)) {
        return None;
    }
    let name = reader.required(Field::RelativeName, |text| fields::name("", text));
    let relation = reader.required(Field::RelativeRelation, |text| fields::line("", text, NAME_MAX));
    Some(NewRelative {
        name: name.unwrap_or_default(),
        relation: relation.unwrap_or_default(),
        gender: None,
        phone: reader.phone(Field::RelativePhone),
        email: reader.optional(Field::RelativeEmail, |text| fields::email("", text)),
        opted_in: reader.word(Field::RelativeOptedIn, &YES_NO).unwrap_or(false),
        may_know: reader
            .word(Field::RelativeMayKnow, &MAY_KNOW)
            .unwrap_or(MayKnow::DateOnly),
    })
}

fn matter<'a>(reader: &mut Reader<'a>) -> Option<&'a Matter> {
    let text = reader.required(Field::Matter, |text| Ok(text.to_owned()))?;
    let rules = reader.rules;
    let known = rules
        .matters
        .values()
        .map(|matter| (matter, matter.id.as_str(), [&matter.name.zh, &matter.name.en]));
    let found = look_up(known, &text);
    reader.settle(Field::Matter, found)
}

fn received_at(reader: &mut Reader<'_>) -> Option<String> {
    let written = reader.moment(Field::ReceivedAt)?;
    let local = written.and_then(|written| match written {
        Written::At(at) => Ok(at),
        Written::Day(day) => Ok(day.to_datetime(jiff::civil::Time::midnight())),
        Written::Month { .. } => Err(Fault::new(
            "只有月份",
            "it is only a month",
            "写明日期,如 2026-03-05",
            "give the day, such as 2026-03-05",
        )),
    });
    let zone = &reader.rules.zone;
    let checked = local.and_then(|local| {
        let text = local.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        fields::parse_local("", &text, zone).map_err(Fault::from)?;
        Ok(text)
    });
    reader.settle(Field::ReceivedAt, checked)
}

/// The deadlines that a row dates: of the kind that it names, or of the kinds of its matter that count from what a column is named
/// after, or of all kinds of its matter. What the matter has and no column dates is opened with an unknown date by `command::open`.
fn deadlines(reader: &mut Reader<'_>, matter: Option<&Matter>) -> (Vec<NewDeadline>, Vec<Option<usize>>) {
    let office = reader.office(Field::DeadlineOffice);
    let mut dated: Vec<(PeriodId, Trigger, Option<usize>)> = Vec::new();
    let offered: &[PeriodId] = matter.map_or(&[], |matter| &matter.deadlines);

    let columns = reader.columns;
    let named = period(reader);
    for TriggerColumn {
        column,
        kinds,
        by_hand,
        serves_otherwise,
    } in columns.triggers()
    {
        let Some(trigger) = reader.trigger(column) else {
            continue;
        };
        let mine = |kind: &&PeriodId| by_hand || offered.contains(kind) || named.as_ref() == Some(*kind);
        let mine: Vec<&PeriodId> = kinds.iter().filter(mine).collect();
        if mine.is_empty() && !serves_otherwise {
            reader.idle.push(column);
        }
        dated.extend(
            mine.into_iter()
                .map(|kind| (kind.clone(), trigger.clone(), Some(column))),
        );
    }
    let column = columns.of(Field::Trigger);
    let trigger = column.and_then(|column| reader.trigger(column));
    match (named, trigger) {
        (Some(kind), trigger) => {
            let known = dated.iter().any(|(known, ..)| *known == kind);
            if !known || trigger.is_some() {
                dated.push((kind, trigger.unwrap_or(Trigger::Unknown), column));
            }
        }
        (None, Some(trigger)) if matter.is_some() => match one_trigger(offered, reader.rules) {
            Ok(kinds) => dated.extend(kinds.iter().map(|kind| (kind.clone(), trigger.clone(), column))),
            Err(fault) => reader.fault_at(column.unwrap_or_default(), fault),
        },
        (None, _) => {}
    }
    reader.refuse_twice(&dated);
    let columns = dated.iter().map(|(.., column)| *column).collect();
    let new = |(kind, trigger, _)| NewDeadline {
        kind,
        trigger: Some(trigger),
        office: office.clone(),
    };
    (dated.into_iter().map(new).collect(), columns)
}

fn period(reader: &mut Reader<'_>) -> Option<PeriodId> {
    let text = reader.text(Field::DeadlineKind)?;
    let rules = reader.rules;
    let known = rules
        .periods
        .values()
        .map(|kind| (&kind.id, kind.id.as_str(), [&kind.name.zh, &kind.name.en]));
    let found = look_up(known, &text);
    reader.settle(Field::DeadlineKind, found).cloned()
}

/// The kinds of a matter, if all of them count from the same thing.
fn one_trigger<'k>(offered: &'k [PeriodId], rules: &Rulebook) -> Result<&'k [PeriodId], Fault> {
    let from: BTreeSet<&str> = offered
        .iter()
        .filter_map(|kind| rules.periods.get(kind))
        .map(|kind| kind.trigger.zh.as_str())
        .collect();
    if from.len() == 1 {
        return Ok(offered);
    }
    let all: Vec<&str> = from.into_iter().collect();
    if all.is_empty() {
        return Err(Fault::new(
            "该事项没有期限,不知道从此日起算什么",
            "the matter has no deadline, so it is not known what counts from this day",
            "在“期限”列写明种类,或清空此格",
            "name the kind in a column \"deadline\", or clear the cell",
        ));
    }
    let names = all.join("、");
    Err(Fault::new(
        format!("该事项的期限从不同的日子起算({names})"),
        format!("the deadlines of the matter count from different things ({names})"),
        format!("用这些名字作列名: {names}"),
        format!("use columns with these names: {names}"),
    ))
}

fn callback(reader: &mut Reader<'_>) -> Option<NewCallback> {
    let due = match reader.moment(Field::CallbackDue) {
        None => None,
        Some(written) => {
            let text = written.map(|written| match written {
                Written::At(at) => at.strftime("%Y-%m-%dT%H:%M").to_string(),
                other => other.first_day().to_string(),
            });
            let zone = &reader.rules.zone;
            let checked = text.and_then(|text| {
                fields::parse_due("", &text, zone).map_err(Fault::from)?;
                Ok(text)
            });
            reader.settle(Field::CallbackDue, checked)
        }
    };
    let by = reader.staff(Field::CallbackBy);
    if reader.is_blank(Field::CallbackWords) && reader.is_blank(Field::CallbackDue) {
        return None;
    }
    let words = reader.required(Field::CallbackWords, |text| fields::required_note("", text))?;
    Some(NewCallback { words, due, by })
}

fn appointment(reader: &mut Reader<'_>) -> Option<NewAppointment> {
    let parts = [
        Field::AppointmentWhat,
        Field::AppointmentOffice,
        Field::AppointmentStart,
    ];
    if parts.into_iter().all(|field| reader.is_blank(field)) {
        return None;
    }
    let what = reader.required(Field::AppointmentWhat, |text| fields::line("", text, SHORT_MAX));
    let office = match reader.is_blank(Field::AppointmentOffice) {
        true => reader.required(Field::AppointmentOffice, |_| Ok(OfficeId::from(""))),
        false => reader.office(Field::AppointmentOffice),
    };
    let start = match reader.moment(Field::AppointmentStart) {
        None => reader.required(Field::AppointmentStart, |text| Ok(text.to_owned())),
        Some(written) => {
            let at = written.and_then(|written| match written {
                Written::At(at) => Ok(at.strftime("%Y-%m-%dT%H:%M").to_string()),
                _ => Err(Fault::new(
                    "没有写几点",
                    "it does not say at what time",
                    "写明时间,如 2026-03-05 9:30",
                    "give the time, such as 2026-03-05 9:30",
                )),
            });
            reader.settle(Field::AppointmentStart, at)
        }
    };
    let with = reader.staff(Field::AppointmentWith);
    let bring = reader
        .text(Field::AppointmentBring)
        .map_or_else(Vec::new, |text| parts_of(&text));
    Some(NewAppointment {
        what: what?,
        office: office?,
        start: start?,
        end: None,
        with,
        bring,
    })
}
