//! Reads text files: decodes them, finds the separator, and splits them into rows that are numbered as Excel numbers them.
//!
//! The csv crate skips blank lines, which shifts the numbers of rows, and takes unbalanced quotation marks without a word, which
//! swallows rows. So the few lines that RFC 4180 needs stand here; a property test compares them with that crate.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::domain::text::Said;
use crate::import::ImportError;
use crate::import::cell::{Cell, Row};
use crate::import::intake::{Beyond, Intake};

pub(super) fn read(bytes: Vec<u8>, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    let (text, encoding) = decode(bytes)?;
    let separator = separator(&text, intake)?;
    let name = match separator {
        b'\t' => ("制表符", "tab"),
        b';' => ("分号", "semicolon"),
        _ => ("逗号", "comma"),
    };
    intake.note(Said::new(
        format!("编码 {encoding},分隔符: {}", name.0),
        format!("encoding {encoding}, separated by {}", name.1),
    ));
    intake.beyond(Beyond::Wrong);
    for record in Records::new(&text, separator, intake.limits().columns) {
        intake.row(row(&record?))?;
    }
    Ok(())
}

fn row(record: &Record<'_>) -> Row {
    Row {
        number: record.number,
        cells: record.fields.iter().map(|field| Cell::from_text(field)).collect(),
    }
}

/// UTF-8 and UTF-16 with a mark, UTF-8 without, else GB18030 (which includes GBK and GB 2312).
fn decode(bytes: Vec<u8>) -> Result<(String, &'static str), ImportError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ImportError::Empty);
    }
    if let Some((encoding, length)) = Encoding::for_bom(&bytes) {
        let marked = |text: Result<String, usize>, name| {
            text.map(|text| (text, name)).map_err(|at| ImportError::FalseMark {
                name,
                line: line_of(&bytes, at),
                byte: at,
            })
        };
        return match encoding {
            encoding if encoding == UTF_16LE || encoding == UTF_16BE => {
                marked(strictly(encoding, &bytes, length), encoding.name())
            }
            _ => marked(strictly(UTF_8, &bytes, length), "UTF-8"),
        };
    }
    let bytes = match String::from_utf8(bytes) {
        // NUL is a letter of no table; in GB18030 it would be found as well.
        Ok(text) => return Ok((text, "UTF-8")),
        Err(error) => (error.utf8_error().valid_up_to(), error.into_bytes()),
    };
    let (utf8, bytes) = bytes;
    strictly(GB18030, &bytes, 0)
        .map(|text| (text, "GB18030"))
        .map_err(|gb| ImportError::Encoding {
            utf8_line: line_of(&bytes, utf8),
            utf8_byte: utf8 + 1,
            gb_line: line_of(&bytes, gb),
            gb_byte: gb + 1,
        })
}

/// Decodes all of it, or says at which byte it does not.
fn strictly(encoding: &'static Encoding, bytes: &[u8], from: usize) -> Result<String, usize> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let rest = &bytes[from..];
    let room = decoder.max_utf8_buffer_length_without_replacement(rest.len());
    let mut text = String::with_capacity(room.unwrap_or(rest.len()));
    match decoder.decode_to_string_without_replacement(rest, &mut text, true) {
        (DecoderResult::InputEmpty, _) => {
            text.shrink_to_fit();
            Ok(text)
        }
        (DecoderResult::Malformed(length, after), read) => {
            Err(from + read.saturating_sub(usize::from(length) + usize::from(after)))
        }
        (DecoderResult::OutputFull, read) => Err(from + read),
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// The separator by which the first rows show the most known column names; without any, the one that yields the most columns.
fn separator(text: &str, intake: &Intake<'_>) -> Result<u8, ImportError> {
    const LOOK: usize = 10;
    let mut best = (0, 0, b',');
    let mut trouble = None;
    for separator in [b',', b'\t', b';'] {
        let mut found = (0, 0, separator);
        for record in Records::new(text, separator, intake.limits().columns).take(LOOK) {
            match record {
                Ok(record) => {
                    let row = row(&record);
                    found.0 = found.0.max(intake.known_columns(&row));
                    found.1 = found.1.max(row.cells.len());
                }
                Err(error) => {
                    trouble.get_or_insert(error);
                    break;
                }
            }
        }
        if (found.0, found.1) > (best.0, best.1) {
            best = found;
        }
    }
    match (best.0, trouble) {
        (0, Some(error)) => Err(error),
        _ => Ok(best.2),
    }
}

/// One row of a text file.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    number: u32,
    fields: Vec<Cow<'a, str>>,
}

/// Splits a text into rows. Blank lines are rows without fields.
struct Records<'a> {
    rest: &'a str,
    separator: u8,
    columns_max: usize,
    number: u32,
    line: usize,
}

impl<'a> Records<'a> {
    fn new(text: &'a str, separator: u8, columns_max: usize) -> Self {
        Self {
            rest: text,
            separator,
            columns_max,
            number: 0,
            line: 1,
        }
    }

    fn record(&mut self) -> Result<Record<'a>, ImportError> {
        self.number += 1;
        let (number, mut fields) = (self.number, Vec::new());
        loop {
            let field = if self.rest.starts_with('"') {
                self.quoted()?
            } else {
                self.plain()
            };
            if fields.len() == self.columns_max {
                return Err(ImportError::TooManyColumns {
                    row: number,
                    max: self.columns_max,
                });
            }
            fields.push(field);
            match self.rest.bytes().next() {
                Some(byte) if byte == self.separator => self.rest = &self.rest[1..],
                end => {
                    self.end_of_line(end);
                    if fields.len() == 1 && fields[0].is_empty() {
                        fields.clear();
                    }
                    return Ok(Record { number, fields });
                }
            }
        }
    }

    fn plain(&mut self) -> Cow<'a, str> {
        let ends = |byte: u8| byte == self.separator || byte == b'\n' || byte == b'\r';
        let end = self.rest.bytes().position(ends).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        Cow::Borrowed(field)
    }

    /// A field in quotation marks; a doubled mark inside stands for one.
    fn quoted(&mut self) -> Result<Cow<'a, str>, ImportError> {
        let (row, line) = (self.number, self.line);
        let inner = &self.rest[1..];
        let mut end = 0;
        let mut doubled = false;
        loop {
            let Some(mark) = inner[end..].find('"') else {
                return Err(ImportError::OpenQuote { row, line });
            };
            end += mark;
            if !inner[end + 1..].starts_with('"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let field = &inner[..end];
        self.line += field.bytes().filter(|byte| *byte == b'\n').count();
        // Some programs put spaces before the separator.
        self.rest = inner[end + 1..].trim_start_matches(' ');
        match self.rest.bytes().next() {
            Some(byte) if byte != self.separator && byte != b'\n' && byte != b'\r' => {
                Err(ImportError::AfterQuote { row, line: self.line })
            }
            _ if doubled => Ok(Cow::Owned(field.replace("\"\"", "\""))),
            _ => Ok(Cow::Borrowed(field)),
        }
    }

    fn end_of_line(&mut self, end: Option<u8>) {
        if end.is_some() {
            self.line += 1;
            self.rest = self.rest.strip_prefix("\r\n").unwrap_or_else(|| &self.rest[1..]);
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = "";
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<(u32, Vec<String>)> {
        let record = |record: Result<Record<'_>, ImportError>| {
            let record = record.unwrap();
            (record.number, record.fields.iter().map(ToString::to_string).collect())
        };
        Records::new(text, b',', 256).map(record).collect()
    }

    #[test]
    fn rows_have_the_numbers_that_excel_shows() {
        let text = "a,b\r\n\r\n\"two\nlines\",\"say \"\"yes\"\"\"\n,\nlast";
        let fields = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = [
            (1, fields(&["a", "b"])),
            (2, fields(&[])),
            (3, fields(&["two\nlines", "say \"yes\""])),
            (4, fields(&["", ""])),
            (5, fields(&["last"])),
        ];
        assert_eq!(split(text), expected);
    }

    #[test]
    fn quotation_marks_that_do_not_match_are_told_with_their_row_and_line() {
        let error = |text: &str| Records::new(text, b',', 9).find_map(Result::err).unwrap();
        assert!(matches!(
            error("a\n\"b\nc\"\n\"d,e\n"),
            ImportError::OpenQuote { row: 3, line: 4 }
        ));
        assert!(matches!(
            error("a\n\"b\" c,d\n"),
            ImportError::AfterQuote { row: 2, line: 2 }
        ));
        assert!(matches!(
            error(",,,,,,,,,,\n"),
            ImportError::TooManyColumns { row: 1, max: 9 }
        ));
    }

    #[test]
    fn encodings_are_told_apart() {
        let text = "姓名,电话\n沈小兰,13900001234\n";
        let gb = GB18030.encode(text).0.into_owned();
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for (bytes, name) in [
            (text.into(), "UTF-8"),
            (marked, "UTF-8"),
            (gb, "GB18030"),
            (utf16, "UTF-16LE"),
        ] {
            assert_eq!(decode(bytes).unwrap(), (text.to_owned(), name));
        }
        let neither = b"name\n\xff\xff\n".to_vec();
        assert!(matches!(
            decode(neither),
            Err(ImportError::Encoding {
                utf8_line: 2,
                utf8_byte: 6,
                gb_line: 2,
                gb_byte: 6
            })
        ));
        assert!(matches!(
            decode(b"\xef\xbb\xbfok\n\xff".to_vec()),
            Err(ImportError::FalseMark {
                name: "UTF-8",
                line: 2,
                ..
            })
        ));
        assert!(matches!(decode(b" \r\n".to_vec()), Err(ImportError::Empty)));
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_csv_crate(table in prop::collection::vec(prop::collection::vec("[a-z,\"\n\r 姓]{0,6}", 1..5), 1..6)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let mut flexible = csv::WriterBuilder::new();
            flexible.flexible(true);
            let mut out = flexible.from_writer(Vec::new());
            for row in &table {
                out.write_record(row).unwrap();
            }
            writer.flush().unwrap();
            let text = String::from_utf8(out.into_inner().unwrap()).unwrap();
            let read: Vec<Vec<String>> = split(&text).into_iter().map(|(_, fields)| fields).collect();
            // A row of one empty field and a blank line are the same to us.
            let expected: Vec<Vec<String>> = table
                .into_iter()
                .map(|row| if row.len() == 1 && row[0].is_empty() { Vec::new() } else { row })
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_text_makes_it_panic_or_loop(text in "[a,\"\n\r; \t姓]{0,60}") {
            prop_assert!(Records::new(&text, b',', 9).count() <= text.len());
        }
    }
}
