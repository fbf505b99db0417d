//! Sealing and opening: authenticated encryption of one text, bound to the place in the database where it stands.
//!
//! A sealed text reads `v1.<cipher>.<owner>.<base64 of nonce, ciphertext and tag>`. It names its cipher, so that texts of several ciphers
//! can stand side by side, and whose key opens it. The place (table, column, row) is authenticated but not stored: a text that
//! somebody copied into another row does not open.

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::ChaCha20Poly1305;
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::key::Key;

/// The form of sealed texts. No plain document begins like this: those are JSON.
const VERSION: &str = "v1.";

const NONCE: usize = 12;

type Sm4Gcm = AesGcm<sm4::Sm4, U12>;

/// By what new texts are sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Cipher {
    /// RFC 8439.
    #[default]
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// SM4 (GB/T 32907) in Galois counter mode, as in RFC 8998: for installations that have to use 商用密码.
    #[serde(rename = "sm4-gcm")]
    Sm4Gcm,
}

impl Cipher {
    /// As it stands in sealed texts.
    fn tag(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "c20p",
            Self::Sm4Gcm => "sm4g",
        }
    }

    fn parse(tag: &str) -> Option<Self> {
        [Self::ChaCha20Poly1305, Self::Sm4Gcm]
            .into_iter()
            .find(|cipher| cipher.tag() == tag)
    }

    /// Seals a text with the key of `owner` for this place.
    pub fn seal(self, key: &Key, owner: &str, place: Place<'_>, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the kernel gives random bytes");
        let mut bytes = nonce.to_vec();
        bytes.extend(self.encrypt(key, &nonce, plain, place.to_string().as_bytes()));
        let mut text = format!("{VERSION}{}.{owner}.", self.tag());
        STANDARD_NO_PAD.encode_string(&bytes, &mut text);
        text
    }

    fn encrypt(self, key: &Key, nonce: &[u8; NONCE], msg: &[u8], aad: &[u8]) -> Vec<u8> {
        let payload = Payload { msg, aad };
        let done = match self {
            Self::ChaCha20Poly1305 => ChaCha20Poly1305::new(key.bytes().into()).encrypt(nonce.into(), payload),
            Self::Sm4Gcm => Sm4Gcm::new((&*sm4_key(key)).into()).encrypt(nonce.into(), payload),
        };
        done.expect("a text is far shorter than 64 GiB, where these ciphers end")
    }

    fn decrypt(self, key: &Key, nonce: &[u8; NONCE], msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad };
        let done = match self {
            Self::ChaCha20Poly1305 => ChaCha20Poly1305::new(key.bytes().into()).decrypt(nonce.into(), payload),
            Self::Sm4Gcm => Sm4Gcm::new((&*sm4_key(key)).into()).decrypt(nonce.into(), payload),
        };
        done.ok()
    }
}

/// SM4 takes 128 bits. Derived, so that one key never serves two ciphers.
fn sm4_key(key: &Key) -> Zeroizing<[u8; 16]> {
    let derived = key.derive("sm4-gcm");
    let mut short = Zeroizing::new([0; 16]);
    short.copy_from_slice(&derived.bytes()[..16]);
    short
}

/// Where a sealed text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// What tells the row apart. Whatever it holds, no two places read the same: names of tables and columns hold no colon.
    pub row: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.table, self.column, self.row)
    }
}

/// Why a sealed text does not open. Never says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("it is not sealed")]
    Plain,
    #[error("it is sealed in a form that this program does not know")]
    Form,
    #[error("it was changed, moved from another row, or sealed with another key")]
    Broken,
}

/// Whether a text is sealed at all. Older databases hold plain documents until they have been swept.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(VERSION)
}

/// Whose key opens a sealed text.
pub fn owner_of(text: &str) -> Option<&str> {
    parts(text).map(|(_, owner, _)| owner)
}

fn parts(text: &str) -> Option<(Cipher, &str, &str)> {
    let (tag, rest) = text.strip_prefix(VERSION)?.split_once('.')?;
    // An owner may hold a dot, base64 does not.
    let (owner, sealed) = rest.rsplit_once('.')?;
    Some((Cipher::parse(tag)?, owner, sealed))
}

/// Opens a sealed text that stands at this place.
pub(super) fn open(key: &Key, place: Place<'_>, text: &str) -> Result<Vec<u8>, SealError> {
    if !is_sealed(text) {
        return Err(SealError::Plain);
    }
    let (cipher, _, sealed) = parts(text).ok_or(SealError::Form)?;
    let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| SealError::Broken)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(SealError::Broken)?;
    cipher
        .decrypt(key, nonce, sealed, place.to_string().as_bytes())
        .ok_or(SealError::Broken)
}

/// The same for texts; what was sealed was one.
pub(super) fn open_text(key: &Key, place: Place<'_>, text: &str) -> Result<String, SealError> {
    String::from_utf8(open(key, place, text)?).map_err(|error| {
        error.into_bytes().zeroize();
        SealError::Broken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "people",
        column: "record",
        row: "p-1",
    };

    fn bytes(hex_text: &str) -> Vec<u8> {
        let packed: String = hex_text.split_ascii_whitespace().collect();
        hex::decode(packed).unwrap()
    }

    /// RFC 8439, 2.8.2.
    #[test]
    fn chacha20_poly1305_gives_the_bytes_of_the_rfc() {
        let key = Key::from_bytes((0x80..0xa0).collect::<Vec<u8>>().try_into().unwrap());
        let nonce: [u8; 12] = bytes("07 00 00 00 40 41 42 43 44 45 46 47").try_into().unwrap();
        let aad = bytes("50 51 52 53 c0 c1 c2 c3 c4 c5 c6 c7");
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let expected = bytes(
            "d3 1a 8d 34 64 8e 60 db 7b 86 af bc 53 ef 7e c2 a4 ad ed 51 29 6e 08 fe a9 e2 b5 a7 36 ee 62 d6
             3d be a4 5e 8c a9 67 12 82 fa fb 69 da 92 72 8b 1a 71 de 0a 9e 06 0b 29 05 d6 a5 b6 7e cd 3b 36
             92 dd bd 7f 2d 77 8b 8c 98 03 ae e3 28 09 1b 58 fa b3 24 e4 fa d6 75 94 55 85 80 8b 48 31 d7 bc
             3f f4 de f0 8e 4b 7a 9d e5 76 d2 65 86 ce c6 4b 61 16 1a e1 0b 59 4f 09 e2 6a 7e 90 2e cb d0 60 06 91",
        );
        let cipher = Cipher::ChaCha20Poly1305;
        assert_eq!(cipher.encrypt(&key, &nonce, plain, &aad), expected);
        assert_eq!(cipher.decrypt(&key, &nonce, &expected, &aad).unwrap(), plain);
    }

    /// RFC 8998, A.1.
    #[test]
    fn sm4_gcm_gives_the_bytes_of_the_rfc() {
        let nonce: [u8; 12] = bytes("00 00 12 34 56 78 00 00 00 00 ab cd").try_into().unwrap();
        let key: [u8; 16] = bytes("01 23 45 67 89 ab cd ef fe dc ba 98 76 54 32 10")
            .try_into()
            .unwrap();
        let aad = bytes("fe ed fa ce de ad be ef fe ed fa ce de ad be ef ab ad da d2");
        let plain = bytes(
            "aa aa aa aa aa aa aa aa bb bb bb bb bb bb bb bb cc cc cc cc cc cc cc cc dd dd dd dd dd dd dd dd
             ee ee ee ee ee ee ee ee ff ff ff ff ff ff ff ff ee ee ee ee ee ee ee ee aa aa aa aa aa aa aa aa",
        );
        let expected = bytes(
            "17 f3 99 f0 8c 67 d5 ee 19 d0 dc 99 69 c4 bb 7d 5f d4 6f d3 75 64 89 06 91 57 b2 82 bb 20 07 35
             d8 27 10 ca 5c 22 f0 cc fa 7c bf 93 d4 96 ac 15 a5 68 34 cb cf 98 c3 97 b4 02 4a 26 91 23 3b 8d
             83 de 35 41 e4 c2 b5 81 77 e0 65 a9 bf 7b 62 ec",
        );
        let cipher = Sm4Gcm::new((&key).into());
        let payload = Payload { msg: &plain, aad: &aad };
        assert_eq!(cipher.encrypt((&nonce).into(), payload).unwrap(), expected);
        let payload = Payload {
            msg: &expected,
            aad: &aad,
        };
        assert_eq!(cipher.decrypt((&nonce).into(), payload).unwrap(), plain);
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_at_its_place_only() {
        let (key, other) = (Key::random(), Key::random());
        for cipher in [Cipher::ChaCha20Poly1305, Cipher::Sm4Gcm] {
            let sealed = cipher.seal(&key, "p-1.x", PLACE, "沈怀瑾".as_bytes());
            assert!(sealed.starts_with(&format!("v1.{}.p-1.x.", cipher.tag())), "{sealed}");
            assert_eq!(owner_of(&sealed), Some("p-1.x"));
            assert_eq!(open_text(&key, PLACE, &sealed).as_deref(), Ok("沈怀瑾"));
            assert_eq!(open_text(&other, PLACE, &sealed), Err(SealError::Broken));
            for moved in [
                Place {
                    table: "cases",
                    ..PLACE
                },
                Place {
                    column: "phone",
                    ..PLACE
                },
                Place { row: "p-2", ..PLACE },
            ] {
                assert_eq!(open_text(&key, moved, &sealed), Err(SealError::Broken), "{moved}");
            }
            assert_ne!(
                sealed,
                cipher.seal(&key, "p-1.x", PLACE, "沈怀瑾".as_bytes()),
                "the same text never reads the same twice"
            );
        }
    }

    #[test]
    fn every_changed_or_missing_letter_is_noticed() {
        let key = Key::random();
        let sealed = Cipher::default().seal(&key, "p-1", PLACE, b"{}");
        // The owner only says which key to take, so it stands outside.
        let first = sealed.rfind('.').unwrap() + 1;
        for at in first..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(open(&key, PLACE, &changed).is_err(), "{at}: {changed}");
            assert!(open(&key, PLACE, &sealed[..at]).is_err(), "cut at {at}");
        }
        let swapped = sealed.replacen("c20p", "sm4g", 1);
        assert_eq!(open(&key, PLACE, &swapped), Err(SealError::Broken));
    }

    #[test]
    fn what_is_not_sealed_and_what_another_program_sealed_is_told_apart() {
        let key = Key::random();
        assert_eq!(open(&key, PLACE, "{\"name\":\"沈\"}"), Err(SealError::Plain));
        assert_eq!(open(&key, PLACE, ""), Err(SealError::Plain));
        for other in ["v1.", "v1.rot13.p-1.AAAA", "v1.c20p.AAAA"] {
            assert_eq!(open(&key, PLACE, other), Err(SealError::Form), "{other}");
        }
        for broken in ["v1.c20p.p-1.", "v1.c20p.p-1.AAAA", "v1.c20p.p-1.沈"] {
            assert_eq!(open(&key, PLACE, broken), Err(SealError::Broken), "{broken}");
        }
    }
}
