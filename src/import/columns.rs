//! Which column holds what: recognised by its header, in Chinese or English, or named by hand with `--map`.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::config::problem::nearest;
use crate::domain::ids::PeriodId;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};
use crate::import::ImportError;
use crate::import::cell::{Row, column_of, letters};
use crate::import::field::{Field, KNOWN, REQUIRED, plain};

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
