//! Reads the cells of one row by what their columns hold, and collects everything that is wrong with them.

use std::collections::BTreeSet;

use crate::config::problem::nearest;
use crate::domain::case::Trigger;
use crate::domain::command::{Refusal, fields};
use crate::domain::ids::{OfficeId, PeriodId, StaffId, UnitId};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};
use crate::import::cell::{Cell, Fault, Row, letters};
use crate::import::columns::Columns;
use crate::import::dates::{self, Written};
use crate::import::field::{Field, plain};
use crate::import::problem::{Problem, whole_row};
use crate::import::words::of_words;

/// Reads the cells of a row and collects what is wrong with them.
pub(super) struct Reader<'a> {
    row: &'a Row,
    pub(super) columns: &'a Columns,
    pub(super) rules: &'a Rulebook,
    /// With the column of each; those of no single column come last.
    problems: Vec<(usize, Problem)>,
    /// Columns with a date from which nothing counts in this row.
    pub(super) idle: Vec<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(row: &'a Row, columns: &'a Columns, rules: &'a Rulebook) -> Self {
        Self {
            row,
            columns,
            rules,
            problems: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// The problems in the order of the columns, or, without any, the columns from whose date nothing counts.
    pub(super) fn finish(&mut self) -> Result<Vec<usize>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(std::mem::take(&mut self.idle));
        }
        self.problems.sort_by_key(|(column, _)| *column);
        Err(self.problems.drain(..).map(|(_, problem)| problem).collect())
    }

    fn cell(&self, field: Field) -> Option<(usize, &'a Cell)> {
        let column = self.columns.of(field)?;
        self.row
            .cells
            .get(column)
            .filter(|cell| !cell.is_empty())
            .map(|cell| (column, cell))
    }

    pub(super) fn is_blank(&self, field: Field) -> bool {
        self.cell(field).is_none()
    }

    /// The value, or `None` and a problem at the column of the field.
    pub(super) fn settle<T>(&mut self, field: Field, value: Result<T, Fault>) -> Option<T> {
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

    pub(super) fn fault_at(&mut self, column: usize, fault: Fault) {
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

    pub(super) fn text(&mut self, field: Field) -> Option<String> {
        let (_, cell) = self.cell(field)?;
        self.settle(field, cell.text()).flatten()
    }

    pub(super) fn optional<T>(&mut self, field: Field, check: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        let text = self.text(field)?;
        self.settle(field, check(&text).map_err(Fault::from))
    }

    pub(super) fn required<T>(&mut self, field: Field, check: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        if self.is_blank(field) {
            let fault = Fault::new("不能为空", "it is empty", "请填写", "fill it in");
            return self.settle(field, Err(fault));
        }
        self.optional(field, check)
    }

    /// The date in a cell; `None` when it is blank.
    pub(super) fn moment(&self, field: Field) -> Option<Result<Written, Fault>> {
        let (_, cell) = self.cell(field)?;
        dates::moment(cell).transpose()
    }

    pub(super) fn trigger(&mut self, column: usize) -> Option<Trigger> {
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
    pub(super) fn refuse_twice(&mut self, dated: &[(PeriodId, Trigger, Option<usize>)]) {
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

    pub(super) fn phone(&mut self, field: Field) -> Option<String> {
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

    pub(super) fn word<T: Copy>(&mut self, field: Field, known: &[(T, &[&str])]) -> Option<T> {
        let text = self.text(field)?;
        let found = of_words(&text, known);
        self.settle(field, found)
    }

    pub(super) fn words<T: Copy + Ord>(&mut self, field: Field, known: &[(T, &[&str])]) -> BTreeSet<T> {
        let Some(text) = self.text(field) else {
            return BTreeSet::new();
        };
        let found = parts_of(&text).iter().map(|part| of_words(part, known)).collect();
        self.settle(field, found).unwrap_or_default()
    }

    pub(super) fn unit(&mut self) -> Option<UnitId> {
        let text = self.text(Field::Unit)?;
        let known = self.rules.org.units.values();
        let known = known.map(|unit| (&unit.id, unit.id.as_str(), [&unit.name, &unit.short, &unit.name_en]));
        let found = look_up(known, &text);
        self.settle(Field::Unit, found).cloned()
    }

    pub(super) fn staff(&mut self, field: Field) -> Option<StaffId> {
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

    pub(super) fn office(&mut self, field: Field) -> Option<OfficeId> {
        let text = self.text(field)?;
        let known = self.rules.offices.values();
        let known = known.map(|office| (&office.id, office.id.as_str(), [&office.name, &office.name_en]));
        let found = look_up(known, &text);
        self.settle(field, found).cloned()
    }
}

/// The parts of a list in one cell.
pub(super) fn parts_of(text: &str) -> Vec<String> {
    let parts = text.split(['、', ',', ';', '/', '\n', '\u{ff1b}', '\u{ff0c}']);
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Finds what a text names by id or by one of its names. A name that two things share names neither.
pub(super) fn look_up<'r, T, const N: usize>(
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
