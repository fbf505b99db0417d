//! Takes cases over from CSV and XLSX files: a file becomes rows of cells, rows become `NewCase`s or problems that name the cell and
//! what to do. All problems of a file are found in one go.
//!
//! What always holds: no file, however made, costs more than bounded memory (`Limits`); nothing is guessed that could be read in two
//! ways (days before months, two columns for one field, merged cells); no message repeats a name or a number of a resident.
//!
//! Nothing is written here: `cli::import` rehearses the cases and carries them to the desk.
//!
//! ```text
//! text, xlsx ── rows ──→ intake ── columns, mapping ──→ NewCase | Problem
//! ```

mod cell;
mod columns;
mod container;
mod dates;
mod field;
mod intake;
mod mapping;
mod problem;
mod reader;
mod text;
mod words;
mod xlsx;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::domain::rulebook::Rulebook;

pub use cell::{Cell, Row, letters};
pub use columns::Assignment;
pub use intake::{Found, Intake, Taken};
pub use problem::{ImportError, Problem, Problems};

/// How large a file and what is in it may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes: u64,
    /// Rows that say something, below the header.
    pub rows: usize,
    pub columns: usize,
    /// Of everything in an XLSX container, unpacked.
    pub unpacked_bytes: u64,
    /// Of the table of shared texts, unpacked: it is the one part that is held in memory.
    pub shared_bytes: u64,
    /// Problems that are kept to be shown; all are counted.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 50 * 1024 * 1024,
            rows: 100_000,
            columns: 256,
            unpacked_bytes: 400 * 1024 * 1024,
            shared_bytes: 64 * 1024 * 1024,
            problems: 200,
        }
    }
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Order {
    pub path: PathBuf,
    /// A sheet of a workbook: its number, from 1, or its name.
    pub sheet: Option<String>,
    /// Columns named by hand.
    pub assigned: Vec<Assignment>,
    pub limits: Limits,
}

/// What a file holds, as text: UTF-8, GB18030 or UTF-16, or an Excel workbook. The first bytes decide, not the name.
enum Content {
    Text(Vec<u8>),
    Workbook(Vec<u8>),
}

/// Reads a file. Refuses it as a whole when it cannot be read; otherwise yields cases and the problems of single cells.
pub fn read(order: &Order, rules: &Rulebook, now: Timestamp) -> Result<Found, ImportError> {
    let mut intake = Intake::new(rules, order.assigned.clone(), order.limits, now);
    match open(&order.path, &order.limits)? {
        Content::Text(_) if order.sheet.is_some() => return Err(ImportError::NoSheets),
        Content::Text(bytes) => text::read(bytes, &mut intake)?,
        Content::Workbook(bytes) => xlsx::read(&bytes, order.sheet.as_deref(), &mut intake)?,
    }
    intake.finish()
}

fn open(path: &Path, limits: &Limits) -> Result<Content, ImportError> {
    let unreadable = |source| ImportError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    // Never more than the limit is read, whatever the file says about its length. All of it is kept: what is checked is what is read.
    File::open(path)
        .map_err(unreadable)?
        .take(limits.bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limits.bytes {
        return Err(ImportError::TooLarge {
            max_mb: limits.bytes / 1024 / 1024,
        });
    }
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_ascii_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    if starts(b"PK\x03\x04") {
        return Ok(Content::Workbook(bytes));
    }
    let kind = if starts(b"PK") {
        "空的或损坏的压缩包 / an empty or damaged archive"
    } else if starts(b"\xd0\xcf\x11\xe0") {
        "旧版 Excel(.xls)或加密的工作簿 / an old Excel file (.xls) or an encrypted workbook"
    } else if starts(b"%PDF") {
        "PDF"
    } else if head.starts_with("<!doctype html") || head.starts_with("<html") || head.starts_with("<table") {
        "网页 / a web page"
    } else if head.starts_with("<?xml") {
        "XML"
    } else if head.starts_with("{\\rtf") {
        "RTF"
    } else {
        return Ok(Content::Text(bytes));
    };
    Err(ImportError::NotATable { kind })
}
