//! Reads a sheet of an Excel workbook cell by cell. Formulas count by the values they had when the file was saved.

use std::io::Cursor;

use calamine::{Data, DataRef, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};

use crate::domain::text::{Said, shown};
use crate::import::cell::{Cell, Row};
use crate::import::container;
use crate::import::dates::serial;
use crate::import::intake::{Beyond, Intake, Merged};
use crate::import::{ImportError, dates};

pub(super) fn read(bytes: &[u8], sheet: Option<&str>, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    container::check(bytes, &intake.limits())?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let name = choose(&book, sheet, intake)?;
    let is_1904 = book.has_1904_epoch();
    let merged = book.merge_cells_by_sheet_name(&name).map_err(damaged)?;
    intake.merged(
        merged
            .iter()
            .map(|area| Merged {
                first: area.start,
                last: area.end,
            })
            .collect(),
    );
    intake.beyond(Beyond::Unnamed);

    let mut cells = book.worksheet_cells_reader(&name).map_err(damaged)?;
    let mut row = Row {
        number: 0,
        cells: Vec::new(),
    };
    let mut formulas = 0_usize;
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(damaged)? {
        let (above, column) = cell.pos;
        // A formula that yields an empty text has a value; one that no program has calculated has none.
        let uncalculated = cell.formula.is_some() && cell.value == DataRef::Empty;
        formulas += usize::from(cell.formula.is_some());
        let value = if uncalculated {
            Cell::Uncalculated
        } else {
            value(cell.value, is_1904)
        };
        if value.is_empty() {
            continue;
        }
        let number = above.saturating_add(1);
        if number < row.number {
            return Err(ImportError::Damaged {
                why: format!("row {number} comes after row {}", row.number),
            });
        }
        if number > row.number && row.number > 0 {
            intake.row(std::mem::replace(
                &mut row,
                Row {
                    number,
                    cells: Vec::new(),
                },
            ))?;
        }
        row.number = number;
        let column = column as usize;
        let max = intake.limits().columns;
        if column >= max {
            return Err(ImportError::TooManyColumns { row: number, max });
        }
        if row.cells.len() <= column {
            row.cells.resize(column + 1, Cell::Empty);
        }
        row.cells[column] = value;
    }
    if row.number > 0 {
        intake.row(row)?;
    }
    if formulas > 0 {
        intake.note(Said::new(
            format!("有{formulas}个公式单元格,按文件中保存的结果读取"),
            format!("{formulas} cells hold formulas; the values saved in the file were taken"),
        ));
    }
    Ok(())
}

/// The sheet that was asked for, else the first visible one.
fn choose<RS: std::io::Read + std::io::Seek>(
    book: &Xlsx<RS>,
    wanted: Option<&str>,
    intake: &mut Intake<'_>,
) -> Result<String, ImportError> {
    let sheets: Vec<_> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .collect();
    let names: Vec<String> = sheets.iter().map(|sheet| shown(&sheet.name)).collect();
    let chosen = match wanted {
        None => sheets
            .iter()
            .find(|sheet| sheet.visible == SheetVisible::Visible)
            .or(sheets.first()),
        Some(wanted) => {
            let by_number = wanted
                .parse::<usize>()
                .ok()
                .and_then(|number| sheets.get(number.checked_sub(1)?));
            sheets.iter().find(|sheet| sheet.name == wanted).or(by_number)
        }
    };
    let Some(chosen) = chosen else {
        return Err(match wanted {
            Some(wanted) => ImportError::NoSuchSheet {
                wanted: shown(wanted),
                known: names.join(", "),
            },
            None => ImportError::Empty,
        });
    };
    intake.sheet(&chosen.name);
    if wanted.is_none() && sheets.len() > 1 {
        let (this, all) = (shown(&chosen.name), names.join(", "));
        intake.note(Said::new(
            format!("只读取工作表“{this}”(共有: {all});用 --sheet 选择其他"),
            format!("only the sheet \"{this}\" is read (there are: {all}); choose another with --sheet"),
        ));
    }
    Ok(chosen.name.clone())
}

fn value(value: DataRef<'_>, is_1904: bool) -> Cell {
    match value {
        DataRef::Empty => Cell::Empty,
        DataRef::Int(number) => Cell::Number(number as f64),
        DataRef::Float(number) => Cell::Number(number),
        DataRef::String(text) => of_text(&text),
        DataRef::SharedString(text) => of_text(text),
        DataRef::Bool(yes) => Cell::Bool(yes),
        DataRef::DateTime(at) if at.is_datetime() => serial(at.as_f64(), is_1904).map_or(Cell::Timeless, Cell::Moment),
        DataRef::DateTime(_) | DataRef::DurationIso(_) => Cell::Timeless,
        DataRef::DateTimeIso(text) => match dates::written(&text) {
            Ok(dates::Written::Day(day)) => Cell::Moment(day.to_datetime(jiff::civil::Time::midnight())),
            Ok(dates::Written::At(at)) => Cell::Moment(at),
            _ => Cell::Text(text),
        },
        DataRef::Error(error) => Cell::Error(Data::Error(error).to_string()),
    }
}

fn of_text(text: &str) -> Cell {
    let text = text.trim();
    if text.is_empty() {
        Cell::Empty
    } else {
        Cell::Text(text.to_owned())
    }
}

/// Errors of the reader name parts and tags, but may also repeat what is in the file.
fn damaged(error: XlsxError) -> ImportError {
    ImportError::Damaged {
        why: shown(&error.to_string()),
    }
}
