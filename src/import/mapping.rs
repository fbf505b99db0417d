//! One row becomes a `NewCase`, or the list of everything that is wrong with it. Pure: cells and rules in, values out.
//!
//! Single values are checked by the very functions that commands are checked by; what spans several fields is left to
//! `command::open`.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::config::problem::nearest;
use crate::domain::case::{CaseFlag, Origin, Trigger};
use crate::domain::command::fields::{self, NAME_MAX, SHORT_MAX};
use crate::domain::command::{NewAppointment, NewCallback, NewCase, NewDeadline, NewPerson, NewRelative, Refusal};
use crate::domain::ids::{MatterId, OfficeId, PeriodId, StaffId, UnitId};
use crate::domain::person::{Gender, Language, MayKnow, PersonFlag};
use crate::domain::rulebook::{Matter, Rulebook};
use crate::domain::text::{Said, shown};
use crate::import::cell::{Cell, Fault, Row, half_width, letters};
use crate::import::columns::{Columns, Field, TriggerColumn, plain};
use crate::import::dates::{self, Written};
use crate::import::intake::Taken;
use crate::import::problem::{Problem, whole_row};

pub(super) fn case(row: &Row, columns: &Columns, rules: &Rulebook, today: Date) -> Result<Taken, Vec<Problem>> {
    let mut reader = Reader {
        row,
        columns,
        rules,
        problems: Vec::new(),
        idle: Vec::new(),
    };
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
        flags: reader.words(Field::Flags, &CASE_FLAGS),
        priority: reader.optional(Field::Priority, |text| fields::line("", text, SHORT_MAX)),
        received_at: received_at(reader),
        deadlines,
        callbacks: callback(reader).into_iter().collect(),
        appointments: appointment(reader).into_iter().collect(),
    };
    if reader.problems.is_empty() {
        Ok(Taken {
            row: row.number,
            case: new,
            trigger_columns,
            idle_columns: std::mem::take(&mut reader.idle),
        })
    } else {
        reader.problems.sort_by_key(|(column, _)| *column);
        Err(reader.problems.drain(..).map(|(_, problem)| problem).collect())
    }
}

const GENDERS: [(Gender, &[&str]); 2] = [
    (Gender::Female, &["女", "女性", "female", "f"]),
    (Gender::Male, &["男", "男性", "male", "m"]),
];
const LANGUAGES: [(Language, &[&str]); 2] = [
    (Language::Chinese, &["中文", "汉语", "zh-cn", "zh", "chinese"]),
    (Language::English, &["英文", "英语", "en", "english"]),
];
const ORIGINS: [(Origin, &[&str]); 8] = [
    (Origin::WalkIn, &["来访", "现场", "窗口", "walk_in"]),
    (Origin::Phone, &["电话", "来电", "phone"]),
    (Origin::Referral, &["转介", "引导", "综窗", "referral"]),
    (Origin::Web, &["网上", "网站", "线上", "web"]),
    (Origin::Email, &["邮件", "email"]),
    (Origin::Letter, &["来信", "信件", "letter"]),
    (Origin::HomeVisit, &["上门", "home_visit"]),
    (Origin::Import, &["导入", "import"]),
];
const PERSON_FLAGS: [(PersonFlag, &[&str]); 7] = [
    (PersonFlag::EmptyNest, &["空巢", "空巢老人", "empty_nest"]),
    (PersonFlag::Disabled, &["残疾", "残疾人", "disabled"]),
    (PersonFlag::Mobility, &["行动不便", "mobility"]),
    (PersonFlag::Blind, &["视障", "视力障碍", "盲人", "blind"]),
    (PersonFlag::NoMobile, &["没有手机", "无手机", "no_mobile"]),
    (PersonFlag::CarerBurden, &["照护负担", "carer_burden"]),
    (PersonFlag::Bereaved, &["丧亲", "bereaved"]),
];
const CASE_FLAGS: [(CaseFlag, &[&str]); 4] = [
    (CaseFlag::OutOfScope, &["分外", "分外之事", "职责外", "out_of_scope"]),
    (CaseFlag::InPerson, &["须本人到场", "本人到场", "in_person"]),
    (CaseFlag::SensitiveTone, &["情绪敏感", "敏感", "sensitive_tone"]),
    (CaseFlag::Expedite, &["加急", "expedite"]),
];
const MAY_KNOW: [(MayKnow, &[&str]); 2] = [
    (MayKnow::DateOnly, &["仅日期", "日期", "date_only"]),
    (MayKnow::Full, &["全部", "full"]),
];
const YES_NO: [(bool, &[&str]); 2] = [
    (true, &["是", "同意", "有", "yes", "y", "true", "1", "√", "✓"]),
    (false, &["否", "不同意", "无", "no", "n", "false", "0", "×"]),
];

fn resident(reader: &mut Reader<'_>, today: Date) -> NewPerson {
    NewPerson {
        name: reader
            .required(Field::Name, |text| fields::line("", text, NAME_MAX))
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
    let name = reader.required(Field::RelativeName, |text| fields::line("", text, NAME_MAX));
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

/// Reads the cells of a row and collects what is wrong with them.
struct Reader<'a> {
    row: &'a Row,
    columns: &'a Columns,
    rules: &'a Rulebook,
    /// With the column of each; those of no single column come last.
    problems: Vec<(usize, Problem)>,
    /// Columns with a date from which nothing counts in this row.
    idle: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn cell(&self, field: Field) -> Option<(usize, &'a Cell)> {
        let column = self.columns.of(field)?;
        self.row
            .cells
            .get(column)
            .filter(|cell| !cell.is_empty())
            .map(|cell| (column, cell))
    }

    fn is_blank(&self, field: Field) -> bool {
        self.cell(field).is_none()
    }

    /// The value, or `None` and a problem at the column of the field.
    fn settle<T>(&mut self, field: Field, value: Result<T, Fault>) -> Option<T> {
        value
            .map_err(|fault| match self.columns.of(field) {
                Some(column) => self.fault_at(column, fault),
                None => {
                    let cell = whole_row(self.row.number);
                    self.problem(usize::MAX, cell, field.header().to_owned(), fault);
                }
            })
            .ok()
    }

    fn fault_at(&mut self, column: usize, fault: Fault) {
        let cell = format!("{}{}", letters(column), self.row.number);
        self.problem(column, cell, self.columns.title(column).to_owned(), fault);
    }

    /// One problem a cell: a date that serves two fields is told once.
    fn problem(&mut self, column: usize, cell: String, header: String, fault: Fault) {
        let told = |(_, known): &(usize, Problem)| known.cell == cell && known.header == header;
        if self.problems.iter().any(told) {
            return;
        }
        let problem = Problem {
            row: self.row.number,
            cell,
            header,
            what: fault.what,
            fix: fault.fix,
        };
        self.problems.push((column, problem));
    }

    fn text(&mut self, field: Field) -> Option<String> {
        let (_, cell) = self.cell(field)?;
        self.settle(field, cell.text()).flatten()
    }

    fn optional<T>(&mut self, field: Field, check: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        let text = self.text(field)?;
        self.settle(field, check(&text).map_err(Fault::from))
    }

    fn required<T>(&mut self, field: Field, check: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        if self.is_blank(field) {
            let fault = Fault::new("不能为空", "it is empty", "请填写", "fill it in");
            return self.settle(field, Err(fault));
        }
        self.optional(field, check)
    }

    /// The date in a cell; `None` when it is blank.
    fn moment(&self, field: Field) -> Option<Result<Written, Fault>> {
        let (_, cell) = self.cell(field)?;
        dates::moment(cell).transpose()
    }

    fn trigger(&mut self, column: usize) -> Option<Trigger> {
        let cell = self.row.cells.get(column)?;
        let checked = dates::trigger(cell).and_then(|trigger| {
            let bounds = match &trigger {
                Some(Trigger::Known(start)) => vec![start.day(&self.rules.zone)],
                Some(Trigger::Range { from, to }) => vec![Some(*from), Some(*to)],
                _ => Vec::new(),
            };
            for day in bounds.into_iter().flatten() {
                fields::in_range("", day).map_err(Fault::from)?;
            }
            Ok(trigger)
        });
        checked.map_err(|fault| self.fault_at(column, fault)).ok().flatten()
    }

    /// One kind of deadline dated by two columns.
    fn refuse_twice(&mut self, dated: &[(PeriodId, Trigger, Option<usize>)]) {
        let mut seen = BTreeSet::new();
        for (kind, _, column) in dated {
            if !seen.insert(kind) {
                let fault = Fault::new(
                    format!("{kind} 的起算日填了两次"),
                    format!("{kind} is dated twice"),
                    "只在一列填写",
                    "give the date in one column only",
                );
                self.fault_at(column.unwrap_or_default(), fault);
            }
        }
    }

    fn phone(&mut self, field: Field) -> Option<String> {
        let (_, cell) = self.cell(field)?;
        let is_number = matches!(cell, Cell::Number(_));
        let text = self.text(field)?;
        // 13900001234.0 is a number that lost its format on the way through another program.
        let text = text.strip_suffix(".0").unwrap_or(&text);
        let short = text.len() < 20 && text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'e'));
        let checked = if short && text.parse::<f64>().is_ok() {
            Err(Fault::new(
                "号码被 Excel 缩写成了科学计数",
                "Excel has shortened the number",
                "把该列设为文本格式,重新填写号码",
                "format the column as text and enter the number again",
            ))
        } else if text.contains(['/', '、', ';', ',', '\u{ff1b}', '\u{ff0c}']) {
            Err(Fault::new(
                "一格里有几个号码",
                "there is more than one number",
                "只留一个号码",
                "leave one number",
            ))
        } else {
            fields::phone("", text).map_err(|refusal| {
                let mut fault = Fault::from(refusal);
                if is_number {
                    fault.fix = fault.fix.and(&Said::new(
                        "固定电话开头的0可能被 Excel 去掉了,把该列设为文本格式",
                        "Excel may have dropped the 0 of a landline: format the column as text",
                    ));
                }
                fault
            })
        };
        self.settle(field, checked)
    }

    fn word<T: Copy>(&mut self, field: Field, known: &[(T, &[&str])]) -> Option<T> {
        let text = self.text(field)?;
        let found = of_words(&text, known);
        self.settle(field, found)
    }

    fn words<T: Copy + Ord>(&mut self, field: Field, known: &[(T, &[&str])]) -> BTreeSet<T> {
        let Some(text) = self.text(field) else {
            return BTreeSet::new();
        };
        let found = parts_of(&text).iter().map(|part| of_words(part, known)).collect();
        self.settle(field, found).unwrap_or_default()
    }

    fn unit(&mut self) -> Option<UnitId> {
        let text = self.text(Field::Unit)?;
        let known = self.rules.org.units.values();
        let known = known.map(|unit| (&unit.id, unit.id.as_str(), [&unit.name, &unit.short, &unit.name_en]));
        let found = look_up(known, &text);
        self.settle(Field::Unit, found).cloned()
    }

    fn staff(&mut self, field: Field) -> Option<StaffId> {
        let text = self.text(field)?;
        let known = self
            .rules
            .org
            .staff
            .values()
            .map(|staff| (&staff.id, staff.id.as_str(), [&staff.name]));
        let found = look_up(known, &text);
        self.settle(field, found).cloned()
    }

    fn office(&mut self, field: Field) -> Option<OfficeId> {
        let text = self.text(field)?;
        let known = self.rules.offices.values();
        let known = known.map(|office| (&office.id, office.id.as_str(), [&office.name, &office.name_en]));
        let found = look_up(known, &text);
        self.settle(field, found).cloned()
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self {
            what: refusal.what,
            fix: refusal.fix,
        }
    }
}

/// The parts of a list in one cell.
fn parts_of(text: &str) -> Vec<String> {
    let parts = text.split(['、', ',', ';', '/', '\n', '\u{ff1b}', '\u{ff0c}']);
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn of_words<T: Copy>(text: &str, known: &[(T, &[&str])]) -> Result<T, Fault> {
    let wanted = half_width(text).trim().to_lowercase();
    let means = |(_, words): &&(T, &[&str])| words.contains(&wanted.as_str());
    if let Some((value, _)) = known.iter().find(means) {
        return Ok(*value);
    }
    let all: Vec<&str> = known.iter().map(|(_, words)| words[0]).collect();
    let codes: Vec<&str> = known
        .iter()
        .filter_map(|(_, words)| words.iter().find(|word| word.is_ascii()))
        .copied()
        .collect();
    let text = shown(text);
    Err(Fault::new(
        format!("没有“{text}”这个取值"),
        format!("there is no value \"{text}\""),
        format!("可填: {}", all.join("、")),
        format!("allowed: {}", codes.join(", ")),
    ))
}

/// Finds what a text names by id or by one of its names. A name that two things share names neither.
fn look_up<'r, T, const N: usize>(
    known: impl Iterator<Item = (&'r T, &'r str, [&'r String; N])>,
    text: &str,
) -> Result<&'r T, Fault> {
    let wanted = plain(text);
    let known: Vec<_> = known.collect();
    if let Some((thing, ..)) = known.iter().find(|(_, id, _)| *id == text.trim()) {
        return Ok(thing);
    }
    let named: Vec<_> = known
        .iter()
        .filter(|(_, id, names)| plain(id) == wanted || names.iter().any(|name| plain(name) == wanted))
        .collect();
    let said = shown(text);
    match named.as_slice() {
        [(thing, ..)] => Ok(thing),
        [] => {
            let mut words: Vec<&str> = Vec::new();
            for (_, id, names) in &known {
                words.push(id);
                words.extend(names.iter().map(|name| name.as_str()));
            }
            let near = nearest(text.trim(), words.iter().copied());
            let hint = near.map_or_else(Said::default, |near| {
                Said::new(format!("是不是“{near}”?"), format!("did you mean \"{near}\"? "))
            });
            let all: Vec<String> = known
                .iter()
                .take(40)
                .map(|(_, id, names)| format!("{} ({id})", names[0]))
                .collect();
            let all = all.join(", ");
            Err(Fault::new(
                format!("配置中没有“{said}”"),
                format!("the configuration knows no \"{said}\""),
                format!("{}可用的有: {all}", hint.zh),
                format!("{}known are: {all}", hint.en),
            ))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|(_, id, _)| *id).collect();
            let ids = ids.join(", ");
            Err(Fault::new(
                format!("“{said}”不止一个"),
                format!("\"{said}\" is more than one"),
                format!("改填编号: {ids}"),
                format!("give the id: {ids}"),
            ))
        }
    }
}
