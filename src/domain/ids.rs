//! Names of things. Every id is its own type, cheap to clone and ordered, so that no case number can pass for a person's.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}

id_type! {
    /// A case: a readable number such as `2026-000017`.
    CaseId,
    /// An item of a case: `d1` (deadline), `c2` (call-back), `a3` (appointment); `w-NAME` (policy). Numbered within the case, never used twice.
    ItemId,
    /// A resident or a relative.
    PersonId,
    /// A member of staff, as named in `people.toml`.
    StaffId,
    /// A district, service centre or window, as named in `people.toml`.
    UnitId,
    /// An outside office, as named in `agencies.toml`.
    OfficeId,
    /// A kind of matter, named by its file in `matters/`.
    MatterId,
    /// A kind of period, as named in `periods.toml`.
    PeriodId,
    /// A ladder, as named in `ladders.toml`.
    LadderId,
    /// A rung, unique within its ladder.
    RungName,
    /// A message text: a directory below `templates/<lang>/`.
    TextId,
    /// A kind of reimbursement, as named in `benefits.toml`.
    BenefitId,
    /// A policy, as named in `policies.toml`.
    PolicyId,
    /// A knowledge note, as named in `knowledge.toml`.
    NoteId,
    /// One row of the ledger.
    ReminderId,
}
