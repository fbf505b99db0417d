//! Residents and their relatives: how they may be reached, and what they may be told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::ids::PersonId;
use crate::domain::ladder::Way;
use crate::domain::text::{Said, surname};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: PersonId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<Gender>,
    /// Digits only, mainland mobile or landline with area code; already checked at the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<i16>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<PersonFlag>,
    #[serde(default, skip_serializing_if = "Language::is_default")]
    pub language: Language,
    #[serde(default, skip_serializing_if = "is_false")]
    pub deceased: bool,
    /// 退订: no SMS any more; reminders become call tasks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub opted_out: bool,
    /// The number turned out to be somebody else's: nothing is sent to it until it is corrected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub phone_is_wrong: bool,
    /// Set for relatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whose relative this person is, and what they agreed to hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relative {
    pub of: PersonId,
    /// In the resident's words, e.g. 女儿.
    pub relation: String,
    pub opted_in: bool,
    pub may_know: MayKnow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MayKnow {
    /// Dates and times only.
    DateOnly,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    Female,
    Male,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "zh-CN")]
    Chinese,
    #[serde(rename = "en")]
    English,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    pub fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What makes a resident vulnerable, so that staff phone first and watch their tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonFlag {
    /// 空巢
    EmptyNest,
    /// 残疾
    Disabled,
    /// 行动不便
    Mobility,
    /// 视障
    Blind,
    /// 没有手机
    NoMobile,
    /// 照护负担
    CarerBurden,
    /// 丧亲
    Bereaved,
}

impl PersonFlag {
    fn asks_for_a_call(self) -> bool {
        matches!(self, Self::Mobility | Self::Blind | Self::NoMobile)
    }
}

impl Person {
    /// 沈女士 / Ms 沈. Empty when it is not known how to address them: a text then begins with 您好.
    pub fn greeting(&self) -> Said {
        let surname = surname(&self.name);
        match self.gender {
            Some(Gender::Female) => Said::new(format!("{surname}女士"), format!("Ms {surname}")),
            Some(Gender::Male) => Said::new(format!("{surname}先生"), format!("Mr {surname}")),
            None => Said::default(),
        }
    }

    /// Takes over from an older record of the same person what the newer one does not say.
    pub fn complete(&mut self, old: &Self) {
        self.id = old.id.clone();
        self.gender = self.gender.or(old.gender);
        self.phone = self.phone.take().or_else(|| old.phone.clone());
        self.email = self.email.take().or_else(|| old.email.clone());
        self.born = self.born.or(old.born);
        self.flags.extend(&old.flags);
        self.deceased |= old.deceased;
        self.opted_out |= old.opted_out;
        self.phone_is_wrong |= old.phone_is_wrong && self.phone == old.phone;
        // Not to have been asked again is no withdrawal.
        if let (Some(relative), Some(before)) = (&mut self.relative, &old.relative) {
            relative.opted_in |= before.opted_in;
        }
    }

    /// Whether staff call first and a message is only a copy.
    pub fn phone_first(&self, year: i16, from_age: u16) -> bool {
        let old = self
            .born
            .is_some_and(|born| i32::from(year) - i32::from(born) >= i32::from(from_age));
        old || self.flags.iter().any(|flag| flag.asks_for_a_call())
    }

    /// Whether `way` can be used at all: an address is known and has not been withdrawn or proved wrong.
    pub fn reachable_by(&self, way: Way) -> bool {
        match way {
            Way::Email => self.email.is_some(),
            Way::Sms => self.can_get_sms(),
            Way::Phone => true,
        }
    }

    fn can_get_sms(&self) -> bool {
        !self.opted_out
            && !self.phone_is_wrong
            && !self.flags.contains(&PersonFlag::NoMobile)
            && self.phone.as_deref().is_some_and(is_mobile)
    }
}

/// A mainland mobile number: eleven digits, the first a 1, the second 3 to 9 (工信部《电信网编号计划》).
pub fn is_mobile(number: &str) -> bool {
    let digits = number.as_bytes();
    digits.len() == 11
        && digits[0] == b'1'
        && (b'3'..=b'9').contains(&digits[1])
        && digits.iter().all(u8::is_ascii_digit)
}
