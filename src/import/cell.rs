//! Cells as both kinds of file yield them.

use jiff::civil::DateTime;

use crate::domain::command::Refusal;
use crate::domain::text::Said;

/// One row as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As Excel counts, from 1.
    pub number: u32,
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub enum Cell {
    #[default]
    Empty,
    Text(String),
    Number(f64),
    /// A number that Excel shows as a date.
    Moment(DateTime),
    Bool(bool),
    /// `#N/A` and its kin.
    Error(String),
    /// A formula that nobody has calculated yet: the file holds no value for it.
    Uncalculated,
    /// A number that Excel shows as a time or a span, or as a date that does not exist.
    Timeless,
}

impl Cell {
    /// A cell of a text file. Marks by which other programs force a text (`="010"`, a leading apostrophe) are taken off.
    pub fn from_text(text: &str) -> Self {
        let text = text.trim();
        let text = text
            .strip_prefix("=\"")
            .and_then(|text| text.strip_suffix('"'))
            .or_else(|| text.strip_prefix('\''))
            .unwrap_or(text)
            .trim();
        if text.is_empty() {
            Self::Empty
        } else {
            Self::Text(text.to_owned())
        }
    }

    /// What the cell says, as text; `None` when it is empty. Whole numbers have no decimals, days no time.
    pub fn text(&self) -> Result<Option<String>, Fault> {
        match self {
            Self::Empty => Ok(None),
            Self::Text(text) => Ok(Some(text.clone())),
            Self::Number(number) => Ok(Some(number_text(*number))),
            Self::Moment(at) if at.time() == jiff::civil::Time::midnight() => Ok(Some(at.date().to_string())),
            Self::Moment(at) => Ok(Some(at.strftime("%Y-%m-%dT%H:%M").to_string())),
            Self::Bool(yes) => Ok(Some(if *yes { "是" } else { "否" }.to_owned())),
            Self::Error(name) => Err(Fault::error_value(name)),
            Self::Uncalculated => Err(Fault::new(
                "公式没有计算结果",
                "its formula was never calculated",
                "在 Excel 中打开并保存,或把公式换成值",
                "open and save the file in Excel, or replace the formula by its value",
            )),
            Self::Timeless => Err(Fault::new(
                "是时间或时长,不是日期",
                "it is a time or a span, not a date",
                "写成日期,如 2016-12-20",
                "write a date, such as 2016-12-20",
            )),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// Whole numbers up to 15 digits are exact in Excel.
fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else {
        number.to_string()
    }
}

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) what: Said,
    pub(super) fix: Said,
}

impl Fault {
    pub(super) fn new(
        zh: impl Into<String>,
        en: impl Into<String>,
        fix_zh: impl Into<String>,
        fix_en: impl Into<String>,
    ) -> Self {
        Self {
            what: Said::new(zh, en),
            fix: Said::new(fix_zh, fix_en),
        }
    }

    fn error_value(name: &str) -> Self {
        Self::new(
            format!("是错误值 {name}"),
            format!("it is the error {name}"),
            "改正公式,或直接填写",
            "mend the formula, or type the value",
        )
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

/// The letters of a column as Excel shows them; the first is 0.
pub fn letters(column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        let digit = u8::try_from((rest - 1) % 26).expect("a remainder of 26 fits");
        letters.push(char::from(b'A' + digit));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// The column that letters name.
pub(super) fn column_of(letters: &str) -> Option<usize> {
    if letters.is_empty() || letters.len() > 3 || !letters.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let number = letters
        .bytes()
        .fold(0, |sum, byte| sum * 26 + usize::from(byte - b'A') + 1);
    Some(number - 1)
}

/// Full-width forms as their half-width ones: digits, letters, marks and the wide space.
pub(super) fn half_width(text: &str) -> String {
    let half = |letter: char| match letter {
        '\u{3000}' | '\u{a0}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
        letter => letter,
    };
    text.chars().map(half).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_excel_names_them() {
        for (column, name) in [
            (0, "A"),
            (25, "Z"),
            (26, "AA"),
            (51, "AZ"),
            (52, "BA"),
            (701, "ZZ"),
            (702, "AAA"),
        ] {
            assert_eq!(letters(column), name);
            assert_eq!(column_of(name), Some(column));
        }
        assert_eq!(column_of("姓名"), None);
        assert_eq!(column_of("a"), None);
    }

    #[test]
    fn numbers_and_forced_texts_read_as_they_look() {
        let text = |cell: Cell| cell.text().unwrap().unwrap_or_default();
        assert_eq!(text(Cell::Number(13_900_001_234.0)), "13900001234");
        assert_eq!(text(Cell::Number(0.5)), "0.5");
        assert_eq!(text(Cell::from_text("=\"01000000000\"")), "01000000000");
        assert_eq!(text(Cell::from_text(" '13900001234 ")), "13900001234");
        assert_eq!(text(Cell::from_text("\t")), "");
        assert_eq!(half_width("１３９（０）　ａ"), "139(0) a");
    }
}
