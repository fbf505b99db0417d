//! The alphabets of SMS: what the bytes of a message say (3GPP TS 23.038).

/// The default alphabet, a byte for each septet. The escape stands for itself here.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const ESCAPE: char = '\u{1b}';

/// UCS-2, big-endian; half a character at the end is left out.
pub(super) fn ucs2(data: &[u8]) -> String {
    let units = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

pub(super) fn latin1(data: &[u8]) -> String {
    data.iter().copied().map(char::from).collect()
}

/// The default alphabet with its extension; what it does not know is a replacement character.
pub(super) fn gsm(data: &[u8]) -> String {
    let mut letters = data.iter().map(|byte| {
        GSM.chars()
            .nth(usize::from(*byte))
            .unwrap_or(char::REPLACEMENT_CHARACTER)
    });
    let mut text = String::with_capacity(data.len());
    while let Some(letter) = letters.next() {
        text.extend(if letter == ESCAPE {
            letters.next().map(extended)
        } else {
            Some(letter)
        });
    }
    text
}

fn extended(letter: char) -> char {
    match letter {
        'Λ' => '^',
        '(' => '{',
        ')' => '}',
        '/' => '\\',
        '<' => '[',
        '=' => '~',
        '>' => ']',
        '¡' => '|',
        'e' => '€',
        // A phone that does not know the extension shows the letter itself.
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_alphabet_is_not_latin() {
        assert_eq!(GSM.chars().count(), 128);
        let table: [(&[u8], &str); 6] = [
            (b"T 1", "T 1"),
            (b"a\x00b", "a@b"),
            (b"\x01\x02\x03\x11", "£$¥_"),
            (b"\x1be 5", "€ 5"),
            (b"\x1b\x14\x1b(\x1b)\x1b/\x1b<\x1b=\x1b>\x1b@", "^{}\\[~]|"),
            (b"x\x1b\x80", "x\u{fffd}"),
        ];
        for (data, expected) in table {
            assert_eq!(gsm(data), expected, "{data:?}");
        }
        assert_eq!(gsm(b"x\x1b"), "x");
    }

    #[test]
    fn ucs2_is_read_in_pairs() {
        assert_eq!(ucs2(b"\x90\x00\x8b\xa2"), "退订");
        assert_eq!(ucs2(b"\xd8\x42\xdf\xb7\x00"), "𠮷");
        assert_eq!(ucs2(b"\xd8\x42"), "\u{fffd}");
    }
}
