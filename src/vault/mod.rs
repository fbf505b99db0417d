//! Personal data at rest: what is written about people is sealed before it reaches the database, and opened only in memory.
//!
//! ```text
//! master key (a file or a credential) ── wraps ──→ one random key per person ── seals ──→ names, numbers, facts, events
//!                                     ── wraps ──→ the hall's own keys: for what belongs to no person, and for the blind index
//! ```
//!
//! Whoever has the database, or a backup of it, without the master key has neither names nor numbers nor facts. Whoever destroys the
//! key of a person has destroyed all that was sealed with it ([`store::keys`](crate::store::keys)). What remains readable is what the
//! queue needs to work: ids, dates, states, whose desk something lies on. No key is ever printed or logged.

mod blind;
mod cipher;
mod key;
mod key_file;

pub use blind::{fingerprint, name_index, phone_index};
pub use cipher::{Cipher, Place, SealError, is_sealed, owner_of};
pub use key::{BadKey, Key, Masters, Wrapped};
pub use key_file::{KeyFileError, make, open_to_others};
