//! Looks into an XLSX container before the workbook reader does: unpacks every part once, keeps nothing, and stops at the limit.
//!
//! The sizes in a zip directory may lie, so they are not believed. The workbook reader opens the same bytes with the same zip
//! library and finds the same parts.

use std::io::{Cursor, Read as _};

use zip::ZipArchive;

use crate::domain::text::shown;
use crate::import::{ImportError, Limits};

/// A workbook has some dozens of parts.
const PARTS_MAX: usize = 2_000;
/// The workbook reader makes room for as many shared texts as the table says it has.
const SHARED_MAX: u64 = 2_000_000;

pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), ImportError> {
    let damaged = |why: String| ImportError::Damaged { why };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
    if archive.len() > PARTS_MAX {
        return Err(damaged(format!("{} parts", archive.len())));
    }
    let mut left = limits.unpacked_bytes;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        let name = part.name().map_err(|error| damaged(error.to_string()))?.to_lowercase();
        let is_shared = name.ends_with("sharedstrings.xml");
        let allowed = if is_shared { left.min(limits.shared_bytes) } else { left };
        let bomb = || ImportError::Bomb {
            max_mb: allowed.div_ceil(1024 * 1024),
            part: shown(&name),
        };
        if part.size() > allowed {
            return Err(bomb());
        }
        let mut watch = Watch::default();
        let mut part = part.take(allowed + 1);
        let mut buffer = [0; 16 * 1024];
        let mut unpacked = 0;
        loop {
            let got = part
                .read(&mut buffer)
                .map_err(|error| damaged(format!("{}: {error}", shown(&name))))?;
            if got == 0 {
                break;
            }
            if unpacked == 0 && name.ends_with(".xml") && is_utf16(&buffer[..got]) {
                return Err(damaged(format!("{} is in UTF-16", shown(&name))));
            }
            unpacked += got as u64;
            if unpacked > allowed {
                return Err(bomb());
            }
            if is_shared && watch.claims_more_than(SHARED_MAX, &buffer[..got]) {
                return Err(damaged(
                    "the table of shared texts claims more than it can hold".to_owned(),
                ));
            }
        }
        left -= unpacked;
    }
    Ok(())
}

/// Excel writes UTF-8. Other encodings would hide from the watch what the workbook reader may understand.
fn is_utf16(start: &[u8]) -> bool {
    start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) || start.iter().take(4).any(|byte| *byte == 0)
}

/// Finds `uniqueCount="…"` in a stream of chunks.
#[derive(Default)]
struct Watch {
    /// How much of the name has just been seen.
    matched: usize,
    /// Digits after the name, the equals sign and the quotation mark.
    number: Option<u64>,
}

impl Watch {
    const NAME: &[u8] = b"uniqueCount";

    fn claims_more_than(&mut self, max: u64, chunk: &[u8]) -> bool {
        for byte in chunk {
            if self.matched == Self::NAME.len() {
                match byte {
                    b'0'..=b'9' => {
                        let number = self
                            .number
                            .unwrap_or(0)
                            .saturating_mul(10)
                            .saturating_add(u64::from(byte - b'0'));
                        if number > max {
                            return true;
                        }
                        self.number = Some(number);
                        continue;
                    }
                    b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'"' | b'\'' if self.number.is_none() => continue,
                    _ => (self.matched, self.number) = (0, None),
                }
            }
            self.matched = match *byte {
                byte if byte == Self::NAME[self.matched] => self.matched + 1,
                b'u' => 1,
                _ => 0,
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_wherever_the_chunks_break() {
        let text = b"<sst count=\"5\" uuniqueCount = '4000000000'>";
        for cut in 0..text.len() {
            let mut watch = Watch::default();
            let (first, second) = text.split_at(cut);
            let found = watch.claims_more_than(SHARED_MAX, first) || watch.claims_more_than(SHARED_MAX, second);
            assert!(found, "cut at {cut}");
        }
        let mut watch = Watch::default();
        assert!(!watch.claims_more_than(
            SHARED_MAX,
            b"<sst count=\"4000000000\" uniqueCount=\"12\"><si>9999999999"
        ));
    }
}
