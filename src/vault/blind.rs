//! The blind index: by it a number or a name is found again without standing in the database. Whoever lacks the key can neither read it
//! nor try out all eleven-digit numbers.

use hmac::Mac as _;

use super::key::Key;

/// So many bytes are kept: more than enough to tell everybody apart, fewer than the whole.
const KEPT: usize = 16;

/// The index of a phone number, however it is written.
pub fn phone_index(key: &Key, number: &str) -> String {
    index(key, "phone", &normal(number))
}

/// The index of a name as it was entered at the door.
pub fn name_index(key: &Key, name: &str) -> String {
    index(key, "name", name.trim())
}

/// Stands for a text where only sameness counts: a message, or its words. A plain hash would give away whatever can be tried out.
pub fn fingerprint(key: &Key, kind: &str, text: &str) -> String {
    index(key, kind, text)
}

fn index(key: &Key, kind: &str, text: &str) -> String {
    let mut mac = key.mac(b"xixin index:");
    mac.update(kind.as_bytes());
    mac.update(b":");
    mac.update(text.as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..KEPT])
}

/// Digits only, without the country code of the mainland.
fn normal(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    for prefix in ["0086", "86"] {
        if let Some(rest) = digits.strip_prefix(prefix)
            && rest.len() == 11
            && rest.starts_with('1')
        {
            return rest.to_owned();
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let key = Key::random();
        let plain = phone_index(&key, "13900000001");
        assert_eq!(plain.len(), 2 * KEPT);
        for written in [
            "139 0000 0001",
            "+86 139-0000-0001",
            "8613900000001",
            "0086 13900000001",
        ] {
            assert_eq!(phone_index(&key, written), plain, "{written}");
        }
        for other in ["13900000002", "1390000001", "01063510001", "86139000000"] {
            assert_ne!(phone_index(&key, other), plain, "{other}");
        }
        // A landline that begins like the country code stays itself.
        assert_eq!(normal("8610635"), "8610635");
    }

    #[test]
    fn without_the_key_nothing_is_found() {
        let (key, other) = (Key::random(), Key::random());
        assert_ne!(phone_index(&key, "13900000001"), phone_index(&other, "13900000001"));
        assert_ne!(name_index(&key, "沈怀瑾"), name_index(&other, "沈怀瑾"));
        assert_eq!(name_index(&key, "沈怀瑾 "), name_index(&key, "沈怀瑾"));
        // A name that reads like a number is no number.
        assert_ne!(name_index(&key, "13900000001"), phone_index(&key, "13900000001"));
    }
}
