//! Which column holds what: recognised by its header, in Chinese or English, or named by hand with `--map`.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::config::problem::nearest;
use crate::domain::ids::PeriodId;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};
use crate::import::ImportError;
use crate::import::cell::{Row, column_of, half_width, letters};

/// What a column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Name,
    Phone,
    Email,
    Gender,
    Born,
    ResidentFlags,
    Language,
    Enterprise,
    Matter,
    Request,
    Unit,
    Owner,
    Origin,
    Flags,
    Priority,
    ReceivedAt,
    DeadlineKind,
    Trigger,
    DeadlineOffice,
    CallbackWords,
    CallbackDue,
    CallbackBy,
    AppointmentWhat,
    AppointmentOffice,
    AppointmentStart,
    AppointmentWith,
    AppointmentBring,
    RelativeName,
    RelativeRelation,
    RelativePhone,
    RelativeEmail,
    RelativeOptedIn,
    RelativeMayKnow,
}

/// Fields that every row must fill.
pub(super) const REQUIRED: [Field; 3] = [Field::Name, Field::Matter, Field::Request];

/// A field, its name for `--map`, and the headers that mean it (the first of them for people to read), parted by |.
const KNOWN: [(Field, &str, &str); 33] = [
    (
        Field::Name,
        "resident.name",
        "姓名|居民姓名|居民|申请人|申请人姓名|当事人|联系人|联系人姓名|name|resident|full name",
    ),
    (
        Field::Phone,
        "resident.phone",
        "电话|手机|手机号|手机号码|电话号码|联系电话|联系方式|居民电话|phone|mobile|tel|telephone|phone number",
    ),
    (Field::Email, "resident.email", "邮箱|电子邮箱|电子邮件|email|mail"),
    (Field::Gender, "resident.gender", "性别|gender|sex"),
    (
        Field::Born,
        "resident.born",
        "出生年份|出生年|出生日期|出生年月|born|birth year|year of birth|date of birth|birthday",
    ),
    (
        Field::ResidentFlags,
        "resident.flags",
        "特殊情况|人群|人群类别|居民标记",
    ),
    (Field::Language, "resident.language", "语言|language"),
    (
        Field::Enterprise,
        "enterprise",
        "企业|企业名称|公司|公司名称|enterprise|company",
    ),
    (Field::Matter, "matter", "事项|事项名称|事项类型|办理事项|matter"),
    (Field::Request, "request", "诉求|诉求内容|具体诉求|情况说明|request"),
    (
        Field::Unit,
        "unit",
        "窗口|受理窗口|街道|所属街道|中心|unit|centre|center|window",
    ),
    (Field::Owner, "owner", "经办人|承办人|工作人员|owner|clerk"),
    (Field::Origin, "origin", "来源|来源渠道|渠道|origin"),
    (Field::Flags, "flags", "标记|案件标记|flags"),
    (Field::Priority, "priority", "优先理由|优先原因|priority"),
    (
        Field::ReceivedAt,
        "received_at",
        "收件时间|收件日期|登记时间|登记日期|受理时间|受理日期|来访时间|来访日期|received",
    ),
    (Field::DeadlineKind, "deadline.kind", "期限|期限类型|期限种类|deadline"),
    (
        Field::Trigger,
        "deadline.trigger",
        "起算日|起算日期|trigger|trigger date",
    ),
    (Field::DeadlineOffice, "deadline.office", "办理单位|期限单位|office"),
    (
        Field::CallbackWords,
        "callback.words",
        "承诺|承诺内容|回电内容|promise|callback",
    ),
    (
        Field::CallbackDue,
        "callback.due",
        "回电日期|回电时间|承诺回电日期|call back on|promised for",
    ),
    (Field::CallbackBy, "callback.by", "回电人|承诺人"),
    (
        Field::AppointmentWhat,
        "appointment.what",
        "预约事项|预约内容|appointment",
    ),
    (Field::AppointmentOffice, "appointment.office", "预约单位|预约地点"),
    (
        Field::AppointmentStart,
        "appointment.start",
        "预约时间|预约日期|appointment time",
    ),
    (Field::AppointmentWith, "appointment.with", "陪同人|陪同人员"),
    (Field::AppointmentBring, "appointment.bring", "携带材料|需带材料|bring"),
    (
        Field::RelativeName,
        "relative.name",
        "家属|家属姓名|亲属|亲属姓名|relative",
    ),
    (
        Field::RelativeRelation,
        "relative.relation",
        "关系|与本人关系|家属关系|亲属关系|relation",
    ),
    (
        Field::RelativePhone,
        "relative.phone",
        "家属电话|家属手机|亲属电话|亲属手机",
    ),
    (Field::RelativeEmail, "relative.email", "家属邮箱|亲属邮箱"),
    (
        Field::RelativeOptedIn,
        "relative.opted_in",
        "家属同意|亲属同意|同意告知|consent",
    ),
    (Field::RelativeMayKnow, "relative.may_know", "知情范围|may know"),
];

impl Field {
    fn entry(self) -> &'static (Self, &'static str, &'static str) {
        KNOWN
            .iter()
            .find(|(field, ..)| *field == self)
            .expect("every field is in the list: a test looks")
    }

    /// Its name for `--map`.
    pub(super) fn path(self) -> &'static str {
        self.entry().1
    }

    /// The header that people would write.
    pub(super) fn header(self) -> &'static str {
        let headers = self.entry().2;
        headers.split('|').next().unwrap_or(headers)
    }

    /// The field that a refusal of the domain names, such as `relatives[0].phone`.
    pub(super) fn of_refusal(path: &str) -> Option<Self> {
        let mut plain = path.to_owned();
        for list in ["deadline", "callback", "appointment", "relative"] {
            if let Some((_, rest)) = path.strip_prefix(list).and_then(|rest| rest.split_once('.')) {
                plain = format!("{list}.{}", rest.split('[').next().unwrap_or(rest));
            }
        }
        KNOWN
            .iter()
            .find(|(_, path, _)| *path == plain)
            .map(|(field, ..)| *field)
    }

    fn of_header(header: &str) -> Option<Self> {
        let wanted = plain(header);
        let means = |(_, path, headers): &&(Self, &str, &str)| {
            plain(path) == wanted || headers.split('|').any(|header| plain(header) == wanted)
        };
        KNOWN.iter().find(means).map(|(field, ..)| *field)
    }
}

/// A header without what does not change its meaning: case, spaces, marks, and a hint in brackets such as (必填).
pub(super) fn plain(header: &str) -> String {
    let half = half_width(header);
    let before_hint = half
        .split('(')
        .next()
        .filter(|start| !start.trim().is_empty())
        .unwrap_or(&half);
    let letters = before_hint.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// `--map FIELD=COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub field: String,
    /// A header, or the letters of a column.
    pub column: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').map(|(field, column)| (field.trim(), column.trim())) {
            Some((field, column)) if !field.is_empty() && !column.is_empty() => Ok(Self {
                field: field.to_owned(),
                column: column.to_owned(),
            }),
            _ => Err("应写成 字段=列,如 resident.phone=联系电话 或 matter=B / write FIELD=COLUMN, such as resident.phone=Telephone or matter=B".to_owned()),
        }
    }
}

/// What one column is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Field(Field),
    /// The column is named after what these kinds of period count from, such as 火化日期.
    TriggerOf(Vec<PeriodId>),
    /// Named by hand: from when this kind counts.
    TriggerFor(PeriodId),
}

/// A column that may date deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct TriggerColumn<'a> {
    pub column: usize,
    /// What may count from it.
    pub kinds: &'a [PeriodId],
    /// Named by hand: it dates its kind whatever the matter.
    pub by_hand: bool,
    /// It is used for something else as well, so a row for which nothing counts from it loses nothing.
    pub serves_otherwise: bool,
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    titles: Vec<String>,
    roles: BTreeMap<usize, Role>,
    /// Fields that bear the name of what periods count from: 受理日期 is when the case was received, and from when it counts.
    fields_that_trigger: BTreeMap<usize, Vec<PeriodId>>,
}

impl Columns {
    /// Reads a header.
    pub(super) fn new(header: &Row, assigned: &[Assignment], rules: &Rulebook) -> Result<Self, ImportError> {
        let titles = titles(header);
        let mut roles = BTreeMap::new();
        for assignment in assigned {
            let role = assigned_role(assignment, rules)?;
            let column = assigned_column(assignment, &titles)?;
            if let Some((first, _)) = roles.iter().find(|(_, known)| **known == role) {
                return Err(two_columns(&role, &titles, *first, column));
            }
            roles.insert(column, role);
        }
        for (column, title) in titles.iter().enumerate() {
            let Some(role) = role_of(title, rules).filter(|_| !roles.contains_key(&column)) else {
                continue;
            };
            match roles.iter().find(|(_, known)| **known == role) {
                // A column named by hand goes before one that only looks like it.
                Some((_, _))
                    if assigned
                        .iter()
                        .any(|one| assigned_role(one, rules).is_ok_and(|chosen| chosen == role)) => {}
                Some((first, _)) => return Err(two_columns(&role, &titles, *first, column)),
                None => drop(roles.insert(column, role)),
            }
        }
        let fields_that_trigger = roles
            .iter()
            .filter(|(_, role)| matches!(role, Role::Field(field) if *field != Field::Trigger))
            .map(|(column, _)| (*column, counting_from(&titles[*column], rules)))
            .filter(|(_, kinds)| !kinds.is_empty())
            .collect();
        let columns = Self {
            titles,
            roles,
            fields_that_trigger,
        };
        let missing: Vec<String> = REQUIRED
            .into_iter()
            .filter(|field| columns.of(*field).is_none())
            .map(|field| format!("{} ({})", field.header(), field.path()))
            .collect();
        if missing.is_empty() {
            return Ok(columns);
        }
        Err(ImportError::MissingColumns {
            row: header.number,
            missing: missing.join(", "),
            found: list(&columns.titles),
        })
    }

    pub(super) fn of(&self, field: Field) -> Option<usize> {
        let holds = |(_, role): &(&usize, &Role)| **role == Role::Field(field);
        self.roles.iter().find(holds).map(|(column, _)| *column)
    }

    /// The columns that may date deadlines.
    pub(super) fn triggers(&self) -> impl Iterator<Item = TriggerColumn<'_>> {
        let own = self.roles.iter().filter_map(|(column, role)| {
            let (kinds, by_hand) = match role {
                Role::TriggerOf(kinds) => (kinds.as_slice(), false),
                Role::TriggerFor(kind) => (std::slice::from_ref(kind), true),
                Role::Field(_) => return None,
            };
            Some(TriggerColumn {
                column: *column,
                kinds,
                by_hand,
                serves_otherwise: false,
            })
        });
        let shared = self.fields_that_trigger.iter().map(|(column, kinds)| TriggerColumn {
            column: *column,
            kinds,
            by_hand: false,
            serves_otherwise: true,
        });
        own.chain(shared)
    }

    pub(super) fn title(&self, column: usize) -> &str {
        self.titles.get(column).map_or("", String::as_str)
    }

    pub(super) fn width(&self) -> usize {
        self.titles.len()
    }

    pub(super) fn is_used(&self, column: usize) -> bool {
        self.roles.contains_key(&column)
    }

    /// `B 电话 → resident.phone`, in the order of the columns.
    pub(super) fn used(&self) -> Vec<String> {
        let line = |(column, role): (&usize, &Role)| {
            let name = match role {
                Role::Field(field) => field.path().to_owned(),
                Role::TriggerOf(kinds) => format!("deadline.trigger ({})", ids(kinds)),
                Role::TriggerFor(kind) => format!("trigger.{kind}"),
            };
            let also = self.fields_that_trigger.get(column);
            let also = also.map_or_else(String::new, |kinds| format!(", deadline.trigger ({})", ids(kinds)));
            format!("{} {} → {name}{also}", letters(*column), self.title(*column))
        };
        self.roles.iter().map(line).collect()
    }

    /// Headers that mean nothing to the import.
    pub(super) fn unused(&self) -> Vec<&str> {
        let unused = |(column, title): (usize, &'_ String)| !self.is_used(column) && !title.is_empty();
        self.titles
            .iter()
            .enumerate()
            .filter(|(column, title)| unused((*column, title)))
            .map(|(_, title)| title.as_str())
            .collect()
    }
}

/// How many columns of a row are known by their header, or are named by hand.
pub(super) fn known_columns(row: &Row, assigned: &[Assignment], rules: &Rulebook) -> usize {
    let by_hand = |title: &str| assigned.iter().any(|one| plain(&one.column) == plain(title));
    let known = |title: &&String| !title.is_empty() && (by_hand(title) || role_of(title, rules).is_some());
    titles(row).iter().filter(known).count()
}

/// A header cell that holds no text (a number, an error) is no title.
pub(super) fn titles(row: &Row) -> Vec<String> {
    let title = |cell: &crate::import::Cell| cell.text().ok().flatten().map_or_else(String::new, |text| shown(&text));
    row.cells.iter().map(title).collect()
}

pub(super) fn list(titles: &[String]) -> String {
    let named: Vec<&str> = titles
        .iter()
        .map(String::as_str)
        .filter(|title| !title.is_empty())
        .take(40)
        .collect();
    if named.is_empty() {
        "-".to_owned()
    } else {
        named.join(", ")
    }
}

fn role_of(title: &str, rules: &Rulebook) -> Option<Role> {
    if let Some(field) = Field::of_header(title) {
        return Some(Role::Field(field));
    }
    let kinds = counting_from(title, rules);
    (!kinds.is_empty()).then_some(Role::TriggerOf(kinds))
}

/// The kinds of period that count from what is called so.
fn counting_from(title: &str, rules: &Rulebook) -> Vec<PeriodId> {
    let wanted = plain(title);
    let so_called = |said: &Said| plain(&said.zh) == wanted || plain(&said.en) == wanted;
    let kinds = rules
        .periods
        .values()
        .filter(|kind| so_called(&kind.trigger) && !wanted.is_empty());
    kinds.map(|kind| kind.id.clone()).collect()
}

fn ids(kinds: &[PeriodId]) -> String {
    let ids: Vec<&str> = kinds.iter().map(PeriodId::as_str).collect();
    ids.join(", ")
}

fn assigned_role(assignment: &Assignment, rules: &Rulebook) -> Result<Role, ImportError> {
    if let Some(field) = Field::of_header(&assignment.field) {
        return Ok(Role::Field(field));
    }
    let kind = assignment.field.strip_prefix("trigger.").map(PeriodId::from);
    if let Some(kind) = kind.filter(|kind| rules.periods.contains_key(kind)) {
        return Ok(Role::TriggerFor(kind));
    }
    let names: Vec<String> = KNOWN
        .iter()
        .map(|(_, path, _)| (*path).to_owned())
        .chain(rules.periods.keys().map(|kind| format!("trigger.{kind}")))
        .collect();
    let near = nearest(&assignment.field, names.iter().map(String::as_str));
    Err(ImportError::NoSuchField {
        field: shown(&assignment.field),
        near: near.map_or_else(String::new, |near| format!(" ({near}?)")),
        known: names.join(", "),
    })
}

fn assigned_column(assignment: &Assignment, titles: &[String]) -> Result<usize, ImportError> {
    let wanted = plain(&assignment.column);
    let by_title = titles
        .iter()
        .position(|title| !wanted.is_empty() && plain(title) == wanted);
    let by_letters = column_of(&assignment.column).filter(|column| *column < titles.len());
    by_title.or(by_letters).ok_or_else(|| ImportError::NoSuchColumn {
        field: assignment.field.clone(),
        column: shown(&assignment.column),
        found: list(titles),
    })
}

fn two_columns(role: &Role, titles: &[String], first: usize, second: usize) -> ImportError {
    let name = |column: usize| format!("{} “{}”", letters(column), titles[column]);
    ImportError::TwoColumns {
        field: match role {
            Role::Field(field) => field.path().to_owned(),
            Role::TriggerOf(kinds) => format!("trigger.{}", kinds[0]),
            Role::TriggerFor(kind) => format!("trigger.{kind}"),
        },
        first: name(first),
        second: name(second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_once_and_every_header_means_one_field() {
        let mut seen = BTreeMap::new();
        for (field, path, headers) in &KNOWN {
            for header in headers.split('|').chain([*path]) {
                if let Some(other) = seen.insert(plain(header), *field) {
                    assert_eq!(other, *field, "{header}");
                }
            }
        }
        assert_eq!(Field::RelativeMayKnow as usize + 1, KNOWN.len());
        for (index, (field, ..)) in KNOWN.iter().enumerate() {
            assert_eq!(*field as usize, index);
        }
    }

    #[test]
    fn headers_are_known_however_they_are_dressed() {
        for header in [
            "姓名",
            " 姓 名 ",
            "姓名*",
            "姓名(必填)",
            "姓名:",
            "Name",
            "ＮＡＭＥ",
            "resident.name",
            "Resident_Name",
        ] {
            assert_eq!(Field::of_header(header), Some(Field::Name), "{header}");
        }
        assert_eq!(Field::of_header("备注"), None);
        assert_eq!(Field::of_header(""), None);
    }

    #[test]
    fn refusals_of_the_domain_find_their_column() {
        for (path, field) in [
            ("resident.phone", Field::Phone),
            ("relatives[0].phone", Field::RelativePhone),
            ("deadlines[3].trigger", Field::Trigger),
            ("appointments[0].bring[2]", Field::AppointmentBring),
            ("callbacks[0].due", Field::CallbackDue),
            ("received_at", Field::ReceivedAt),
        ] {
            assert_eq!(Field::of_refusal(path), Some(field), "{path}");
        }
        assert_eq!(Field::of_refusal("nothing"), None);
    }
}
