//! The notice sheet (通知单): one page a resident takes along. It is whole or it is not made: without an office, a contact or a route it
//! names what is missing and where to add it.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::domain::calendar::Certainty;
use crate::domain::case::{self, Case, Deadline, Item, MaterialState, Trigger};
use crate::domain::ids::CaseId;
use crate::domain::ladder::Audience;
use crate::domain::milestone::Milestone;
use crate::domain::office::Office;
use crate::domain::person::Person;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::{Loss, Material, Matter, Rulebook};
use crate::domain::text::{Said, day_words_on, time_words};

/// What stands on the sheet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sheet {
    pub case: CaseId,
    /// 沈女士
    pub greeting: Said,
    /// The neutral name of the matter.
    pub matter: Said,
    /// Numbered on the sheet.
    pub materials: Vec<Said>,
    pub office: Place,
    pub dates: Vec<LastDay>,
    /// Appointments that are booked.
    pub visits: Vec<Said>,
    pub centre: Said,
    pub centre_address: String,
    pub centre_phone: String,
    pub printed: Date,
}

/// Where to go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    pub name: Said,
    pub address: String,
    pub route: String,
    pub contact: String,
    pub phone: String,
    pub hours: Said,
}

/// The last safe day of one deadline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastDay {
    /// 1月30日(周日); empty when the date has to be found first.
    pub day: Said,
    /// The right is gone afterwards.
    pub irrecoverable: bool,
    /// Advice only.
    pub soft: bool,
    /// The last safe day is over.
    pub over: bool,
    pub provisional: bool,
    pub estimated: bool,
    #[serde(skip)]
    pub date: Option<Date>,
}

/// Something the sheet cannot do without, and where to add it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub what: Said,
    pub fix: Said,
}

/// The sheet of a case, or everything that is missing for it.
pub fn sheet(rules: &Rulebook, case: &Case, resident: Option<&Person>, now: Timestamp) -> Result<Sheet, Vec<Missing>> {
    let today = rules.zone.to_datetime(now).date();
    let open: Vec<&Deadline> = case
        .deadlines
        .iter()
        .filter(|deadline| deadline.done.is_none())
        .collect();
    let unit = rules.org.units.get(&case.unit);
    let office = office_of(rules, case, &open);
    let mut missing = Vec::new();
    match office {
        None => missing.push(no_office(case)),
        Some(office) => missing.extend(gaps(office)),
    }
    let (Some(office), Some(unit), true) = (office, unit, missing.is_empty()) else {
        if unit.is_none() {
            missing.push(no_unit(case));
        }
        return Err(missing);
    };
    let matter = rules.matters.get(&case.matter);
    let dates = last_days(rules, &open, today);
    let visits = case
        .items(rules)
        .filter(Item::is_open)
        .filter_map(|item| visit(rules, item, today));
    Ok(Sheet {
        case: case.id.clone(),
        greeting: resident
            .filter(|person| !person.deceased)
            .map(Person::greeting)
            .unwrap_or_default(),
        matter: matter.map_or_else(Said::default, |matter| matter.public_name.clone()),
        materials: materials_of(case, matter),
        office: Place {
            name: Said::new(office.name.as_str(), office.name_en.as_str()),
            address: office.address.clone(),
            route: office.route.clone(),
            contact: office.contact.clone(),
            phone: office.phone.clone(),
            hours: office.hours_in_words(),
        },
        dates,
        visits: visits.collect(),
        centre: Said::new(unit.name.as_str(), unit.name_en.as_str()),
        centre_address: unit.address.clone(),
        centre_phone: unit.phone.clone(),
        printed: today,
    })
}

fn material_words(material: &Material) -> Said {
    words_of(&material.name, material.issuer.as_ref())
}

/// 火化证明(殡仪馆)
fn words_of(name: &Said, issuer: Option<&Said>) -> Said {
    match issuer {
        None => name.clone(),
        Some(issuer) => Said::new(
            format!("{}({})", name.zh, issuer.zh),
            format!("{} (from: {})", name.en, issuer.en),
        ),
    }
}

/// The office a deadline of the case names, else the one of the matter, else the one of a kind of deadline.
fn office_of<'a>(rules: &'a Rulebook, case: &Case, open: &[&Deadline]) -> Option<&'a Office> {
    let named = open.iter().find_map(|deadline| deadline.office.as_ref());
    let of_matter = rules
        .matters
        .get(&case.matter)
        .and_then(|matter| matter.office.as_ref());
    let kinds = open.iter().filter_map(|deadline| rules.periods.get(&deadline.kind));
    let of_kind = kinds.filter_map(|kind| kind.office.as_ref()).next();
    named.or(of_matter).or(of_kind).and_then(|id| rules.offices.get(id))
}

fn gaps(office: &Office) -> Vec<Missing> {
    let fields = [
        ("route", "路线", "the route", &office.route),
        ("contact", "联系人", "the contact", &office.contact),
        ("address", "地址", "the address", &office.address),
        ("phone", "电话", "the phone number", &office.phone),
    ];
    let empty = fields.into_iter().filter(|(.., value)| value.trim().is_empty());
    let missing = empty.map(|(key, zh, en, _)| Missing {
        what: Said::new(
            format!("{}缺少{zh}", office.name),
            format!("{en} of {} is missing", office.id),
        ),
        fix: Said::new(
            format!("请在 agencies.toml 的 [office.{}] 填写 {key}", office.id),
            format!("give {key} under [office.{}] in agencies.toml", office.id),
        ),
    });
    missing.collect()
}

fn no_office(case: &Case) -> Missing {
    let matter = &case.matter;
    Missing {
        what: Said::new("不知道该去哪个单位办理", "no office is known where to go"),
        fix: Said::new(
            format!("请在 matters/{matter}.toml 填写 office,或给本案期限指定单位"),
            format!("give office in matters/{matter}.toml, or name an office with the deadline of the case"),
        ),
    }
}

fn no_unit(case: &Case) -> Missing {
    Missing {
        what: Said::new("不知道本案属于哪个中心", "the centre of the case is not known"),
        fix: Said::new(
            format!("请在 people.toml 填写 [unit.{}]", case.unit),
            format!("give [unit.{}] in people.toml", case.unit),
        ),
    }
}

/// What the matter needs: the papers of the case, those that the resident need not bring any more marked; of a case that keeps no list,
/// those of its matter.
pub fn materials_of(case: &Case, matter: Option<&Matter>) -> Vec<Said> {
    if case.materials.is_empty() {
        return matter.map_or_else(Vec::new, |matter| matter.materials.iter().map(material_words).collect());
    }
    let needed = case.materials.iter().filter(|material| material.is_needed());
    needed.map(marked).collect()
}

/// 身份证(我们已有)
fn marked(material: &case::Material) -> Said {
    let words = words_of(&material.name, material.issuer.as_ref());
    let (zh, en) = match material.state {
        MaterialState::HandedOver { .. } => ("已转交", "handed over"),
        _ if material.is_there() => ("我们已有", "we have it"),
        _ => return words,
    };
    Said::new(format!("{}({zh})", words.zh), format!("{} ({en})", words.en))
}

/// The days by which the resident has to act: deadlines that residents are reminded of, not those of an office. What is years away
/// would only hide the one that presses, so it stands there only when nothing else does.
fn last_days(rules: &Rulebook, open: &[&Deadline], today: Date) -> Vec<LastDay> {
    let dated = open
        .iter()
        .map(|deadline| (*deadline, Dated::new(rules, Item::Deadline(deadline))));
    let theirs = dated.filter(|(_, dated)| {
        let ladder = dated.ladder.iter();
        ladder
            .flat_map(|ladder| &ladder.rungs)
            .any(|rung| rung.to.contains(&Audience::Resident))
    });
    let mut days: Vec<LastDay> = theirs
        .map(|(deadline, dated)| last_day(deadline, &dated, today))
        .collect();
    days.sort_by_key(|last| last.date);
    days.dedup_by(|later, first| later.day == first.day);
    let far = |last: &LastDay| {
        last.date
            .is_some_and(|day| today.until(day).is_ok_and(|span| span.get_days() > FAR_DAYS))
    };
    if days.iter().any(|last| !far(last)) {
        days.retain(|last| !far(last));
    } else {
        days.truncate(1);
    }
    days
}

/// A last day further away than this is not pressing.
const FAR_DAYS: i32 = 366;

fn last_day(deadline: &Deadline, dated: &Dated<'_>, today: Date) -> LastDay {
    let loss = dated.kind.map(|kind| kind.loss);
    let day = dated.counted.as_ref().map(|counted| counted.last_safe_day);
    let certainty = dated.counted.as_ref().map(|counted| counted.certainty);
    LastDay {
        irrecoverable: loss == Some(Loss::Irrecoverable),
        soft: loss == Some(Loss::Soft),
        over: day.is_some_and(|day| day < today),
        provisional: certainty == Some(Certainty::Provisional),
        estimated: matches!(deadline.trigger, Trigger::Range { .. }) && deadline.fixed_end.is_none(),
        ..LastDay::new(day, today)
    }
}

impl LastDay {
    /// A day without further remarks; `None` when it has to be found first.
    pub fn new(day: Option<Date>, today: Date) -> Self {
        Self {
            day: day.map(|day| day_words_on(today, day)).unwrap_or_default(),
            irrecoverable: false,
            soft: false,
            over: false,
            provisional: false,
            estimated: false,
            date: day,
        }
    }
}

fn visit(rules: &Rulebook, item: Item<'_>, today: Date) -> Option<Said> {
    let office = match item {
        Item::Appointment(appointment) => &appointment.office,
        Item::Escort(escort) => &escort.office,
        _ => return None,
    };
    let start = Dated::new(rules, item).at(Milestone::Start)?.starts_at(&rules.zone);
    let local = rules.zone.to_datetime(start);
    let (day, time) = (day_words_on(today, local.date()), time_words(local.time()));
    let office = rules.offices.get(office);
    let (zh, en) = office.map_or(("", ""), |office| (office.name.as_str(), office.name_en.as_str()));
    Some(Said::new(
        format!("{}{} {zh}", day.zh, time.zh),
        format!("{} at {}, {en}", day.en, time.en),
    ))
}
