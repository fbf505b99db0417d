//! UCS-2 and its parts: 70 characters in one SMS, 67 in each part of a longer one (3GPP TS 23.040, 9.2.3.24.1).

/// Characters of a single SMS, in UTF-16 units.
const SINGLE: usize = 70;
const PART: usize = 67;
/// An SMS of more parts cannot be numbered.
const PARTS_MAX: usize = 255;

/// The user data of each part, with its header where there are several; nothing when there are too many.
pub(super) fn divide(text: &str, reference: u8) -> Option<Vec<Vec<u8>>> {
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
    let data = match data.first().filter(|_| has_header) {
        Some(length) => data.get(usize::from(*length) + 1..).unwrap_or_default(),
        None => data,
    };
    if is_ucs2 {
        let units = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    } else {
        data.iter().copied().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventy_characters_are_one_sms_and_one_more_are_two_with_headers() {
        let one = divide(&"沈".repeat(70), 7).expect("it fits");
        assert_eq!((one.len(), one[0].len()), (1, 140));
        let two = divide(&"沈".repeat(71), 7).expect("it fits");
        assert_eq!(two.iter().map(Vec::len).collect::<Vec<_>>(), [140, 6 + 8]);
        assert_eq!(two[0][..6], [5, 0, 3, 7, 2, 1]);
        assert_eq!(two[1][..6], [5, 0, 3, 7, 2, 2]);
        let joined: String = two.iter().map(|part| text(part, true, true)).collect();
        assert_eq!(joined, "沈".repeat(71));
    }

    #[test]
    fn a_character_of_two_units_is_never_divided() {
        let long = format!("{}𠮷{}", "沈".repeat(66), "沈".repeat(10));
        let parts = divide(&long, 1).expect("it fits");
        assert_eq!(parts[0].len(), 6 + 66 * 2);
        let joined: String = parts.iter().map(|part| text(part, true, true)).collect();
        assert_eq!(joined, long);
        assert_eq!(divide(&"沈".repeat(67 * 256), 1), None);
    }
}
