//! Keys: 256 random bits, overwritten when they are let go, and never shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::cipher::{self, Cipher, Place, SealError};

const BYTES: usize = 32;

/// One key. Its `Debug` tells nothing.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; BYTES]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What is no key. Never says what it is instead: it may be one in another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "密钥须为 32 字节,写成 64 个十六进制数字或 base64;可用 openssl rand -hex 32 生成 / a key is 32 bytes, written as 64 hexadecimal digits or in base64; openssl rand -hex 32 makes one"
)]
pub struct BadKey;

impl Key {
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(bytes.as_mut()).expect("the kernel gives random bytes");
        Self(bytes)
    }

    pub(super) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a key as people keep it.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let text = text.trim();
        let mut key = Zeroizing::new([0; BYTES]);
        if text.len() == 2 * BYTES {
            hex::decode_to_slice(text, key.as_mut()).map_err(|_| BadKey)?;
        } else {
            let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| BadKey)?);
            if bytes.len() != BYTES {
                return Err(BadKey);
            }
            key.copy_from_slice(&bytes);
        }
        Ok(Self(key))
    }

    /// As it is written into a key file.
    pub(super) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.bytes()))
    }

    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Another key, for another use, from which this one cannot be found.
    pub(super) fn derive(&self, purpose: &str) -> Self {
        let mut mac = self.mac(b"xixin derive:");
        mac.update(purpose.as_bytes());
        Self::from_bytes(mac.finalize().into_bytes().into())
    }

    pub(super) fn mac(&self, start: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.bytes()).expect("HMAC takes keys of any length");
        mac.update(start);
        mac
    }

    /// Opens what was sealed with this key at this place.
    pub fn open(&self, place: Place<'_>, text: &str) -> Result<String, SealError> {
        cipher::open_text(self, place, text)
    }
}

/// The master key, the ones before it, and the cipher for what is written from now on.
#[derive(Debug, Clone)]
pub struct Masters {
    current: Key,
    old: Vec<Key>,
    cipher: Cipher,
}

/// With which master key something opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapped {
    Current,
    /// It should be wrapped anew.
    Old,
}

impl Masters {
    pub fn new(current: Key, old: Vec<Key>, cipher: Cipher) -> Self {
        Self { current, old, cipher }
    }

    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// A key in the form in which it may lie in the database.
    pub fn wrap(&self, key: &Key, owner: &str) -> String {
        self.cipher
            .seal(&self.current.derive("wrap"), owner, at(owner), key.bytes())
    }

    /// The key that was wrapped, and whether by a master key that is no longer the current one.
    pub fn unwrap(&self, wrapped: &str, owner: &str) -> Result<(Key, Wrapped), SealError> {
        let open = |master: &Key| {
            let mut bytes = Zeroizing::new(cipher::open(&master.derive("wrap"), at(owner), wrapped)?);
            let key = <[u8; BYTES]>::try_from(bytes.as_slice()).map_err(|_| SealError::Broken);
            bytes.zeroize();
            key.map(Key::from_bytes)
        };
        let refused = match open(&self.current) {
            Ok(key) => return Ok((key, Wrapped::Current)),
            Err(refused) => refused,
        };
        let old = self.old.iter().find_map(|master| open(master).ok());
        old.map(|key| (key, Wrapped::Old)).ok_or(refused)
    }
}

fn at(owner: &str) -> Place<'_> {
    Place {
        table: "keys",
        column: "wrapped",
        row: owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_both_forms_and_nothing_else_is_one() {
        let key = Key::random();
        let hex_text = key.to_hex();
        assert_eq!(Key::parse(&hex_text).unwrap().bytes(), key.bytes());
        assert_eq!(Key::parse(&format!("{}\n", *hex_text)).unwrap().bytes(), key.bytes());
        let base64 = STANDARD.encode(key.bytes());
        assert_eq!(Key::parse(&base64).unwrap().bytes(), key.bytes());
        for wrong in ["", "password", &hex_text[2..], &base64[4..], &"g".repeat(64)] {
            assert_eq!(Key::parse(wrong).unwrap_err(), BadKey, "{wrong}");
        }
    }

    #[test]
    fn no_key_is_shown() {
        let key = Key::random();
        let masters = Masters::new(key.clone(), vec![key.clone()], Cipher::default());
        let shown = format!("{key:?} {masters:?}");
        assert!(!shown.contains(key.to_hex().as_str()), "{shown}");
        let byte = format!("{:?}", &key.bytes()[..4]);
        assert!(!shown.contains(byte.trim_matches(['[', ']'])), "{shown}");
    }

    #[test]
    fn a_wrapped_key_opens_for_its_owner_with_the_current_or_an_old_master() {
        let (first, second, stranger) = (Key::random(), Key::random(), Key::random());
        let key = Key::random();
        for cipher in [Cipher::ChaCha20Poly1305, Cipher::Sm4Gcm] {
            let before = Masters::new(first.clone(), Vec::new(), cipher);
            let wrapped = before.wrap(&key, "p-1");
            let (same, by) = before.unwrap(&wrapped, "p-1").unwrap();
            assert_eq!((same.bytes(), by), (key.bytes(), Wrapped::Current));
            assert_eq!(before.unwrap(&wrapped, "p-2").unwrap_err(), SealError::Broken);
            let after = Masters::new(second.clone(), vec![stranger.clone(), first.clone()], cipher);
            let (same, by) = after.unwrap(&wrapped, "p-1").unwrap();
            assert_eq!((same.bytes(), by), (key.bytes(), Wrapped::Old));
            let without = Masters::new(second.clone(), vec![stranger.clone()], cipher);
            assert_eq!(without.unwrap(&wrapped, "p-1").unwrap_err(), SealError::Broken);
        }
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_from_their_origin() {
        let key = Key::random();
        let (one, other) = (key.derive("wrap"), key.derive("sm4-gcm"));
        assert_ne!(one.bytes(), other.bytes());
        assert_ne!(one.bytes(), key.bytes());
        assert_eq!(one.bytes(), key.derive("wrap").bytes());
    }
}
