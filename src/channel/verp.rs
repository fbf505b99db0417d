//! Return paths that say which attempt came back (VERP): `tuixin+TOKEN@example.org`.
//!
//! The token holds the attempt's id and a keyed hash of it, so that nobody can make a report on a mail that they did not get. Letters
//! may change their case on the way; they are read in either.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use uuid::Uuid;

use crate::config::secret::SecretError;
use crate::config::settings::Bounces;

/// Bytes of the keyed hash: one in 2^64 guesses is right, and a right one says no more than that a mail came back.
const MAC: usize = 8;
const ID: usize = 16;
/// Crockford's 32 letters, which leave out those that look alike.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Before what is hashed, so that the key can be used for nothing else.
const CONTEXT: &[u8] = b"xixin return path 1\0";

/// Where mail that cannot be delivered comes back to.
pub struct ReturnPath {
    local: String,
    domain: String,
    key: SecretString,
}

impl ReturnPath {
    /// `credentials` is `$CREDENTIALS_DIRECTORY`, when set.
    pub fn new(settings: &Bounces, credentials: Option<&Path>) -> Result<Self, SecretError> {
        let (local, domain) = settings.address.rsplit_once('@').unwrap_or((&settings.address, ""));
        Ok(Self {
            local: local.to_owned(),
            domain: domain.to_owned(),
            key: settings.key.read(credentials)?,
        })
    }

    /// The address for one attempt; `None` when its id is no UUID.
    pub fn of(&self, attempt: &str) -> Option<String> {
        let id = Uuid::parse_str(attempt).ok()?;
        let mut token = id.as_bytes().to_vec();
        token.extend(self.mac(id));
        Some(format!("{}+{}@{}", self.local, encode(&token), self.domain))
    }

    /// The attempt that an address is about, if this system made the address.
    pub fn attempt(&self, address: &str) -> Option<String> {
        let (local, domain) = address.trim().rsplit_once('@')?;
        let (base, token) = local.rsplit_once('+')?;
        if !domain.eq_ignore_ascii_case(&self.domain) || !base.eq_ignore_ascii_case(&self.local) {
            return None;
        }
        let token = decode(token).filter(|token| token.len() == ID + MAC)?;
        let (id, told) = token.split_at(ID);
        let id = Uuid::from_slice(id).ok()?;
        let mut mac = self.keyed();
        mac.update(id.as_bytes());
        mac.verify_truncated_left(told).ok()?;
        Some(id.to_string())
    }

    fn mac(&self, id: Uuid) -> [u8; MAC] {
        let mut mac = self.keyed();
        mac.update(id.as_bytes());
        let whole = mac.finalize().into_bytes();
        std::array::from_fn(|at| whole[at])
    }

    fn keyed(&self) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(CONTEXT);
        mac
    }
}

fn encode(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0_u32, 0);
    let mut push = |bits: u32| text.push(char::from(LETTERS[(bits & 31) as usize]));
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            push(bits >> count);
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        push(bits << (5 - count));
    }
    text
}

/// `None` for what [`encode`] does not write.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let letter = letter.to_ascii_lowercase();
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = (bits << 5) | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 255).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0 && count < 5).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::SecretSource;

    const ATTEMPT: &str = "0198c0de-0000-7000-8000-0123456789ab";

    fn path(key: &str) -> ReturnPath {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, key).unwrap();
        let settings = Bounces {
            address: "tuixin@example.org".to_owned(),
            key: SecretSource::File(file),
        };
        ReturnPath::new(&settings, None).unwrap()
    }

    #[test]
    fn an_address_leads_back_to_its_attempt_in_any_case_of_letters_and_fits_the_limit() {
        let path = path("a key");
        let address = path.of(ATTEMPT).unwrap();
        let (local, domain) = address.split_once('@').unwrap();
        assert!(local.starts_with("tuixin+") && local.len() <= 64, "{local}");
        assert_eq!(domain, "example.org");
        for address in [address.clone(), address.to_uppercase(), format!(" {address}\n")] {
            assert_eq!(path.attempt(&address).as_deref(), Some(ATTEMPT));
        }
    }

    #[test]
    fn an_address_that_was_not_made_here_leads_nowhere() {
        let (ours, theirs) = (path("a key"), path("another key"));
        let address = ours.of(ATTEMPT).unwrap();
        assert_eq!(theirs.attempt(&address), None, "another key");
        let (local, domain) = address.split_once('@').unwrap();
        // Each letter changed in turn, one too many, one too few.
        for at in "tuixin+".len()..local.len() {
            let mut bytes = local.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(ours.attempt(&format!("{changed}@{domain}")), None, "{changed}");
        }
        for other in [
            format!("{local}0@{domain}"),
            format!("{}@{domain}", &local[..local.len() - 1]),
            format!("{local}@other.example.org"),
            format!("x{local}@{domain}"),
            format!("tuixin@{domain}"),
            "tuixin+@example.org".to_owned(),
            "tuixin+号@example.org".to_owned(),
            String::new(),
        ] {
            assert_eq!(ours.attempt(&other), None, "{other}");
        }
    }

    #[test]
    fn letters_stand_for_bytes_and_nothing_else_does() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 37 + 11) as u8).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for text in ["u", "0i", "é", "zz", "000001"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
