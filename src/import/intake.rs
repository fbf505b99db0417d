//! Takes the rows of a table one by one: finds the header, turns each row below it into a case or into problems.
//!
//! It knows nothing of files, so every rule about rows can be tested without one.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::command::{NewCase, Refusal};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};
use crate::import::cell::{Row, letters};
use crate::import::columns::{Assignment, Columns, known_columns, list, titles};
use crate::import::field::Field;
use crate::import::problem::whole_row;
use crate::import::{ImportError, Limits, Problem, Problems, mapping};

/// Titles and remarks may stand above the header, within so many rows.
const HEADER_WITHIN: usize = 10;
/// No sheet has more rows, blank ones included (Excel specifications and limits).
const ROWS_OF_EXCEL: u32 = 1_048_576;
/// A row is a header when it shows at least so many known names.
const HEADER_KNOWN: usize = 2;

/// A row that can become a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub row: u32,
    pub case: NewCase,
    /// Where the date of each of its deadlines stands, in their order.
    pub(super) trigger_columns: Vec<Option<usize>>,
    /// Columns with a date from which nothing counts here.
    pub(super) idle_columns: Vec<usize>,
}

/// What a value beyond the last header means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// In a text file: a separator inside a text that is not quoted.
    Wrong,
    /// In a workbook: a remark beside the table.
    Unnamed,
}

/// Cells that were made one, both corners counted from 0 as (row, column).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    pub first: (u32, u32),
    pub last: (u32, u32),
}

/// A table on its way in.
pub struct Intake<'a> {
    rules: &'a Rulebook,
    assigned: Vec<Assignment>,
    limits: Limits,
    today: Date,
    beyond: Beyond,
    merged: Vec<Merged>,
    /// Rows before the header is found.
    held: Vec<Row>,
    columns: Option<(u32, Columns)>,
    rows: usize,
    found: Found,
}

/// What a table came to.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub sheet: Option<String>,
    pub taken: Vec<Taken>,
    pub problems: Problems,
    /// What a person should know before they commit.
    pub notes: Vec<Said>,
    columns: Option<Columns>,
}

impl<'a> Intake<'a> {
    pub fn new(rules: &'a Rulebook, assigned: Vec<Assignment>, limits: Limits, now: Timestamp) -> Self {
        Self {
            rules,
            assigned,
            limits,
            today: rules.zone.to_datetime(now).date(),
            beyond: Beyond::Unnamed,
            merged: Vec::new(),
            held: Vec::new(),
            columns: None,
            rows: 0,
            found: Found {
                problems: Problems::new(limits.problems),
                ..Found::default()
            },
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn sheet(&mut self, name: &str) {
        self.found.sheet = Some(shown(name));
    }

    pub(super) fn note(&mut self, note: Said) {
        self.found.notes.push(note);
    }

    pub(super) fn beyond(&mut self, beyond: Beyond) {
        self.beyond = beyond;
    }

    pub(super) fn merged(&mut self, merged: Vec<Merged>) {
        self.merged = merged;
    }

    /// How many columns of a row would be known if it were the header.
    pub(super) fn known_columns(&self, row: &Row) -> usize {
        known_columns(row, &self.assigned, self.rules)
    }

    /// The next row, in the order of the table. Blank rows may be left out.
    pub fn row(&mut self, row: Row) -> Result<(), ImportError> {
        if row.number > ROWS_OF_EXCEL {
            return Err(ImportError::TooManyRows {
                max: ROWS_OF_EXCEL as usize,
            });
        }
        if row.cells.iter().all(super::Cell::is_empty) {
            return Ok(());
        }
        if self.columns.is_some() {
            return self.data(&row);
        }
        if self.known_columns(&row) >= HEADER_KNOWN {
            return self.header(&row);
        }
        self.held.push(row);
        if self.held.len() >= HEADER_WITHIN {
            self.headless()
        } else {
            Ok(())
        }
    }

    /// The end of the table.
    pub fn finish(mut self) -> Result<Found, ImportError> {
        if self.columns.is_none() {
            self.headless()?;
        }
        self.look_at_merged();
        if let Some((row, columns)) = self.columns.take() {
            self.note(Said::new(
                format!("表头在第{row}行"),
                format!("the header is row {row}"),
            ));
            let unused = columns.unused();
            if !unused.is_empty() {
                let unused = unused.join(", ");
                let zh = format!("这些列不读取: {unused}(如需要,用 --map 指定)");
                self.note(Said::new(
                    zh,
                    format!("columns not taken: {unused} (name them with --map if they matter)"),
                ));
            }
            for column in 0..columns.width() {
                self.note_idle(&columns, column);
            }
            self.found.columns = Some(columns);
        }
        Ok(self.found)
    }

    fn note_idle(&mut self, columns: &Columns, column: usize) {
        let idle = |taken: &&Taken| taken.idle_columns.contains(&column);
        let rows = self.found.taken.iter().filter(idle).count();
        if rows > 0 {
            let title = columns.title(column);
            self.note(Said::new(
                format!("“{title}”有{rows}行没有用上: 这些行的事项没有从它起算的期限"),
                format!("\"{title}\" is not used in {rows} rows: no deadline of their matter counts from it"),
            ));
        }
    }

    fn header(&mut self, row: &Row) -> Result<(), ImportError> {
        self.columns = Some((row.number, Columns::new(row, &self.assigned, self.rules)?));
        self.held.clear();
        Ok(())
    }

    /// No row looks like a header. With columns named by hand, the first row is taken for it.
    fn headless(&mut self) -> Result<(), ImportError> {
        let held = std::mem::take(&mut self.held);
        let Some((first, rest)) = held.split_first() else {
            return Err(ImportError::Empty);
        };
        if self.assigned.is_empty() {
            return Err(ImportError::NoHeader {
                looked: held.len(),
                first: list(&titles(first)),
            });
        }
        self.header(first)?;
        rest.iter().try_for_each(|row| self.data(row))
    }

    fn data(&mut self, row: &Row) -> Result<(), ImportError> {
        self.rows += 1;
        if self.rows > self.limits.rows {
            return Err(ImportError::TooManyRows { max: self.limits.rows });
        }
        let Some((_, columns)) = &self.columns else {
            return Ok(());
        };
        let beyond = (columns.width()..row.cells.len()).find(|column| !row.cells[*column].is_empty());
        if let Some(column) = beyond.filter(|_| self.beyond == Beyond::Wrong) {
            self.found.problems.add(Problem {
                row: row.number,
                cell: format!("{}{}", letters(column), row.number),
                header: String::new(),
                what: Said::new("这一行的列数比表头多", "the row has more columns than the header"),
                fix: Said::new(
                    "含有分隔符的文字要加引号",
                    "put texts that contain the separator in quotation marks",
                ),
            });
            return Ok(());
        }
        match mapping::case(row, columns, self.rules, self.today) {
            Ok(taken) => self.found.taken.push(taken),
            Err(problems) => problems
                .into_iter()
                .for_each(|problem| self.found.problems.add(problem)),
        }
        Ok(())
    }

    /// Only the first of merged cells holds their value, so the others would be taken for empty.
    fn look_at_merged(&mut self) {
        let Some((header, columns)) = &self.columns else { return };
        for area in &self.merged {
            let below = area.last.0 >= *header;
            let used = (area.first.1..=area.last.1).any(|column| columns.is_used(column as usize));
            if !below || !used || area.first == area.last {
                continue;
            }
            let name = |(row, column): (u32, u32)| format!("{}{}", letters(column as usize), row.saturating_add(1));
            self.found.problems.add(Problem {
                row: area.first.0.saturating_add(1),
                cell: format!("{}:{}", name(area.first), name(area.last)),
                header: columns.title(area.first.1 as usize).to_owned(),
                what: Said::new("单元格是合并的", "the cells are merged"),
                fix: Said::new("取消合并,每一行都填写", "unmerge them and fill in every row"),
            });
        }
    }
}

impl Found {
    /// `B 电话 → resident.phone` for every column that is taken, in their order.
    pub fn columns(&self) -> Vec<String> {
        self.columns.as_ref().map_or_else(Vec::new, Columns::used)
    }

    /// A refusal of the domain, with its place in the table.
    pub fn refused(&mut self, index: usize, refusal: &Refusal) {
        let taken = &self.taken[index];
        let path = refusal.field.as_deref().unwrap_or_default();
        let field = Field::of_refusal(path);
        let listed = path.strip_prefix("deadlines[").and_then(|rest| rest.split(']').next());
        let of_deadline = listed
            .and_then(|index| index.parse::<usize>().ok())
            .and_then(|index| taken.trigger_columns.get(index).copied().flatten());
        let columns = self.columns.as_ref();
        let column = match field {
            Some(Field::Trigger) => of_deadline,
            Some(field) => columns.and_then(|columns| columns.of(field)),
            None => None,
        };
        let row = taken.row;
        self.problems.add(Problem {
            row,
            cell: column.map_or_else(|| whole_row(row), |column| format!("{}{row}", letters(column))),
            header: column
                .and_then(|column| columns.map(|columns| columns.title(column).to_owned()))
                .unwrap_or_else(|| path.to_owned()),
            what: refusal.what.clone(),
            fix: refusal.fix.clone(),
        });
    }
}
