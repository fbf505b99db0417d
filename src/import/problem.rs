//! What is wrong with a file as a whole, and what is wrong with its cells.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::domain::text::Said;

/// Why a file cannot be taken at all. Says what to do, in both languages.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path} 无法读取,请检查路径和权限。\n{path} cannot be read; check the path and its permissions", path = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("文件超过 {max_mb} MB,请拆成几个文件。\nthe file is larger than {max_mb} MB; split it")]
    TooLarge { max_mb: u64 },
    #[error("文件是空的。请选择有表头和数据的文件。\nthe file is empty; give one with a header and rows")]
    Empty,
    #[error(
        "这不是表格,而是{kind}。请在 Excel 中另存为 .xlsx 或 CSV UTF-8。\nthis is no table but {kind}; save it from Excel as .xlsx or CSV UTF-8"
    )]
    NotATable { kind: &'static str },
    #[error(
        "文件编码无法识别: 不是 UTF-8(第 {utf8_line} 行、第 {utf8_byte} 字节起),也不是 GB18030(第 {gb_line} 行、第 {gb_byte} 字节起)。请另存为 CSV UTF-8。\n\
         the encoding is neither UTF-8 (wrong from row {utf8_line}, byte {utf8_byte}) nor GB18030 (wrong from row {gb_line}, byte {gb_byte}); save it as CSV UTF-8"
    )]
    Encoding {
        utf8_line: usize,
        utf8_byte: usize,
        gb_line: usize,
        gb_byte: usize,
    },
    #[error(
        "文件开头标明是 {name},但第 {line} 行、第 {byte} 字节不符合。请另存为 CSV UTF-8。\n\
         the file says that it is {name}, but row {line}, byte {byte} is not; save it as CSV UTF-8"
    )]
    FalseMark {
        name: &'static str,
        line: usize,
        byte: usize,
    },
    #[error(
        "第 {row} 行(文件第 {line} 行)的引号没有结束。请补上引号。\nthe quotation mark in row {row} (line {line} of the file) is never closed; close it"
    )]
    OpenQuote { row: u32, line: usize },
    #[error(
        "第 {row} 行(文件第 {line} 行): 结束引号后面还有文字。文字中的引号应写成两个 \"\"。\n\
         row {row} (line {line} of the file): there is text after a closing quotation mark; write a mark inside a text as \"\""
    )]
    AfterQuote { row: u32, line: usize },
    #[error(
        "第 {row} 行超过 {max} 列。请删去不需要的列,并检查分隔符。\nrow {row} has more than {max} columns; delete those not needed and check the separators"
    )]
    TooManyColumns { row: u32, max: usize },
    #[error("数据超过 {max} 行。请拆成几个文件。\nthere are more than {max} rows; split the file")]
    TooManyRows { max: usize },
    #[error("CSV 文件没有工作表,请去掉 --sheet。\na CSV file has no sheets; leave --sheet out")]
    NoSheets,
    #[error("没有工作表“{wanted}”。现有: {known}。\nthere is no sheet \"{wanted}\"; there are: {known}")]
    NoSuchSheet { wanted: String, known: String },
    #[error(
        "这个 .xlsx 损坏或不是 Excel 工作簿({why})。请在 Excel 中打开后另存。\nthis .xlsx is damaged or no Excel workbook ({why}); open it in Excel and save it again"
    )]
    Damaged { why: String },
    #[error(
        "解压后超过 {max_mb} MB({part}),可能是压缩炸弹,已拒绝。如确有这么多数据,请拆成几个文件。\n\
         it unpacks to more than {max_mb} MB ({part}) and may be a decompression bomb: refused; if there is really that much data, split it"
    )]
    Bomb { max_mb: u64, part: String },
    #[error(
        "没有找到表头: 前 {looked} 行里没有一行同时有两个以上认识的列名(如 姓名、电话、事项、诉求)。第一行是: {first}。可用 --map resident.name=列名 指定。\n\
         there is no header: none of the first {looked} rows has two known column names (such as 姓名/name, 电话/phone, 事项/matter, 诉求/request); the first row is: {first}; name columns with --map resident.name=COLUMN"
    )]
    NoHeader { looked: usize, first: String },
    #[error(
        "表头(第 {row} 行)缺少: {missing}。请加上这些列,或用 --map 指定,如 --map matter=B。表头有: {found}。\n\
         the header (row {row}) lacks {missing}; add these columns, or name them with --map, such as --map matter=B; it has: {found}"
    )]
    MissingColumns { row: u32, missing: String, found: String },
    #[error(
        "{first} 和 {second} 两列都像是 {field}。请用 --map {field}=列 指定一列。\n\
         columns {first} and {second} both look like {field}; choose one with --map {field}=COLUMN"
    )]
    TwoColumns {
        field: String,
        first: String,
        second: String,
    },
    #[error(
        "--map {field}={column}: 表头没有这一列。表头有: {found}。\n--map {field}={column}: the header has no such column; it has: {found}"
    )]
    NoSuchColumn {
        field: String,
        column: String,
        found: String,
    },
    #[error(
        "--map {field}: 没有这个字段{near}。可用的有: {known}。\n--map {field}: there is no such field{near}; allowed: {known}"
    )]
    NoSuchField { field: String, near: String, known: String },
}

/// What is wrong with one cell, or with a whole row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As Excel counts, from 1.
    pub row: u32,
    /// `B7`, or the row when no single cell is to blame.
    pub cell: String,
    /// The header of its column; empty for a whole row.
    pub header: String,
    pub what: Said,
    pub fix: Said,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cell,
            header,
            what,
            fix,
            ..
        } = self;
        let gap = if header.is_empty() { "" } else { " " };
        write!(
            f,
            "{cell}{gap}{header}: {}。{}。 / {}; {}.",
            what.zh, fix.zh, what.en, fix.en
        )
    }
}

/// In place of a cell.
pub(super) fn whole_row(row: u32) -> String {
    format!("第{row}行 / row {row}")
}

/// Every problem is counted; the first ones are kept, in the order of the rows.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    count: usize,
    max: usize,
}

impl Problems {
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub fn add(&mut self, problem: Problem) {
        self.count += 1;
        // Whole-table problems and those of a rehearsal come after the rows that were read: the list stays in order.
        let at = self.kept.partition_point(|kept| kept.row <= problem.row);
        if at < self.max {
            self.kept.insert(at, problem);
            self.kept.truncate(self.max);
        }
    }

    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }

    pub fn count(&self) -> usize {
        self.count
    }
}
