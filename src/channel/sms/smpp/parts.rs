//! UCS-2 and its parts: 70 characters in one SMS, 67 in each part of a longer one (3GPP TS 23.040, 9.2.3.24.1).

use std::collections::BTreeMap;

use crate::channel::sms::alphabet;

/// Characters of a single SMS, in UTF-16 units.
const SINGLE: usize = 70;
const PART: usize = 67;
/// An SMS of more parts cannot be numbered.
const PARTS_MAX: usize = 255;

/// The user data of each part, with its header where there are several; nothing when there are too many. A phone joins the parts of one
/// sender that have the same reference, so each message of several parts takes the next one.
pub(super) fn divide(text: &str, next_reference: impl FnOnce() -> u8) -> Option<Vec<Vec<u8>>> {
    let units: Vec<u16> = text.encode_utf16().collect();
    if units.len() <= SINGLE {
        return Some(vec![bytes(&units)]);
    }
    let mut parts = Vec::new();
    let mut rest = units.as_slice();
    while !rest.is_empty() {
        let mut end = rest.len().min(PART);
        // The halves of one character stay together.
        if end < rest.len() && (0xd800..0xdc00).contains(&rest[end - 1]) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    let total = u8::try_from(parts.len()).ok().filter(|_| parts.len() <= PARTS_MAX)?;
    let reference = next_reference();
    let with_header = |(number, part): (u8, &[u16])| {
        let header = [5, 0, 3, reference, total, number];
        header.into_iter().chain(bytes(part)).collect()
    };
    Some((1..=total).zip(parts).map(with_header).collect())
}

/// Big-endian, as UCS-2 goes over the air.
pub(super) fn bytes(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_be_bytes()).collect()
}

/// User data as text: UCS-2 by its coding, else one character for each byte.
pub(super) fn text(data: &[u8], is_ucs2: bool, has_header: bool) -> String {
    plain(body(data, has_header), is_ucs2)
}

/// User data without its header.
pub(super) fn body(data: &[u8], has_header: bool) -> &[u8] {
    match data.first().filter(|_| has_header) {
        Some(length) => data.get(usize::from(*length) + 1..).unwrap_or_default(),
        None => data,
    }
}

/// Which part of which message this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) reference: u16,
    pub(super) total: u8,
    pub(super) number: u8,
}

impl Place {
    /// Nothing for a message that is whole, or whose numbering makes no sense.
    pub(super) fn new(reference: u16, total: u8, number: u8) -> Option<Self> {
        let is_part = total > 1 && (1..=total).contains(&number);
        is_part.then_some(Self {
            reference,
            total,
            number,
        })
    }

    /// From the user data header: elements of a kind, a length and as many bytes; concatenation is 0 or 8 (3GPP TS 23.040, 9.2.3.24).
    pub(super) fn in_header(data: &[u8]) -> Option<Self> {
        let length = usize::from(*data.first()?);
        let mut rest = data.get(1..=length)?;
        while let [kind, length, after @ ..] = rest {
            let value = after.get(..usize::from(*length))?;
            match (kind, value) {
                (0, [reference, total, number]) => return Self::new(u16::from(*reference), *total, *number),
                (8, [high, low, total, number]) => {
                    return Self::new(u16::from_be_bytes([*high, *low]), *total, *number);
                }
                _ => rest = &after[value.len()..],
            }
        }
        None
    }
}

/// The text of the parts that have come, by their numbers; `…` stands where some are missing.
pub fn joined(parts: &BTreeMap<u8, (Vec<u8>, bool)>, total: u8) -> String {
    let mut text = String::new();
    let mut run: (Vec<u8>, bool) = Default::default();
    for number in 1..=total {
        match parts.get(&number) {
            // Bytes of one run are read together, because a character may be divided between two parts.
            Some((data, is_ucs2)) if run.0.is_empty() || run.1 == *is_ucs2 => {
                run.0.extend(data);
                run.1 = *is_ucs2;
            }
            Some((data, is_ucs2)) => {
                text += &plain(&run.0, run.1);
                run = (data.clone(), *is_ucs2);
            }
            None => {
                text += &plain(&run.0, run.1);
                run.0.clear();
                if !text.ends_with('…') {
                    text.push('…');
                }
            }
        }
    }
    text + &plain(&run.0, run.1)
}

fn plain(data: &[u8], is_ucs2: bool) -> String {
    if is_ucs2 {
        alphabet::ucs2(data)
    } else {
        alphabet::latin1(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventy_characters_are_one_sms_and_one_more_are_two_with_headers() {
        let one = divide(&"沈".repeat(70), || unreachable!("a single SMS needs none")).expect("it fits");
        assert_eq!((one.len(), one[0].len()), (1, 140));
        let two = divide(&"沈".repeat(71), || 7).expect("it fits");
        assert_eq!(two.iter().map(Vec::len).collect::<Vec<_>>(), [140, 6 + 8]);
        assert_eq!(two[0][..6], [5, 0, 3, 7, 2, 1]);
        assert_eq!(two[1][..6], [5, 0, 3, 7, 2, 2]);
        let joined: String = two.iter().map(|part| text(part, true, true)).collect();
        assert_eq!(joined, "沈".repeat(71));
    }

    #[test]
    fn parts_are_told_by_their_header_whatever_stands_before_it() {
        let place = |reference, total, number| {
            Some(Place {
                reference,
                total,
                number,
            })
        };
        let table: [(&[u8], Option<Place>); 9] = [
            (&[5, 0, 3, 7, 2, 1, 0x6c], place(7, 2, 1)),
            (&[6, 8, 4, 1, 2, 3, 3, 0x6c], place(258, 3, 3)),
            // Ports stand before it.
            (&[11, 5, 4, 0, 0, 0, 0, 0, 3, 9, 2, 2, 0x6c], place(9, 2, 2)),
            (&[5, 0, 3, 7, 1, 1], None),
            (&[5, 0, 3, 7, 2, 3], None),
            (&[5, 0, 3, 7, 2, 0], None),
            (&[5, 0, 9, 7, 2, 1], None),
            (&[200, 0, 3, 7, 2, 1], None),
            (&[], None),
        ];
        for (data, expected) in table {
            assert_eq!(Place::in_header(data), expected, "{data:?}");
        }
    }

    #[test]
    fn parts_are_joined_in_their_order_and_what_is_missing_is_shown() {
        let long = format!("{}𠮷{}", "沈".repeat(66), "安".repeat(80));
        let data = bytes(&long.encode_utf16().collect::<Vec<_>>());
        // Divided in the middle of a character, as careless phones do.
        let parts: BTreeMap<u8, (Vec<u8>, bool)> = (1..)
            .zip(data.chunks(134))
            .map(|(number, part)| (number, (part.to_vec(), true)))
            .collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(joined(&parts, 3), long);
        let without = |missing: u8| {
            let mut parts = parts.clone();
            parts.remove(&missing);
            joined(&parts, 3)
        };
        assert!(
            without(1).starts_with('…') && without(1).ends_with("安"),
            "{}",
            without(1)
        );
        assert!(without(2).contains("\u{fffd}…安"), "{}", without(2));
        assert!(without(3).ends_with('…'), "{}", without(3));
        assert_eq!(joined(&BTreeMap::new(), 3), "…");
    }

    #[test]
    fn a_character_of_two_units_is_never_divided() {
        let long = format!("{}𠮷{}", "沈".repeat(66), "沈".repeat(10));
        let parts = divide(&long, || 1).expect("it fits");
        assert_eq!(parts[0].len(), 6 + 66 * 2);
        let joined: String = parts.iter().map(|part| text(part, true, true)).collect();
        assert_eq!(joined, long);
        assert_eq!(divide(&"沈".repeat(67 * 256), || 1), None);
    }
}
