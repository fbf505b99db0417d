//! What comes back from gateways: reports on what became of an SMS, and messages from people. Both are advisory: neither is proof.

use crate::domain::delivery::Fate;

/// One thing that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    Report(Report),
    Message(Incoming),
    /// A part of a message: whoever keeps it joins it with the others.
    Part(Part),
}

/// What a gateway reports on an SMS that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The gateway's own name for the SMS.
    pub reference: Option<String>,
    /// Our name for it, where the gateway repeats it.
    pub id: Option<String>,
    /// Delivered or bounced; nothing while it is still on its way.
    pub fate: Option<Fate>,
    /// The gateway's code, short and plain.
    pub code: Option<String>,
}

/// A message from somebody's phone. Whoever sends it can forge the number.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Digits as the gateway gives them.
    pub from: String,
    pub text: String,
    /// The gateway's own name for it, or what else tells it from others.
    pub id: Option<String>,
}

impl std::fmt::Debug for Incoming {
    /// Neither number nor text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}

/// One of several parts of a message, as it came over the air.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Digits as the gateway gives them.
    pub from: String,
    /// The same for all parts of one message, and used again for later ones.
    pub reference: u16,
    /// How many there are, and which this is, from 1.
    pub total: u8,
    pub number: u8,
    /// Without any header: a character may be divided between two parts.
    pub data: Vec<u8>,
    pub is_ucs2: bool,
}

impl std::fmt::Debug for Part {
    /// Neither number nor text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, total) = (self.number, self.total);
        f.debug_struct("Part")
            .field("number", &number)
            .field("total", &total)
            .finish_non_exhaustive()
    }
}

/// A mainland number as it is stored: eleven digits, without the country.
pub fn national(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let bare = digits
        .strip_prefix("0086")
        .or_else(|| digits.strip_prefix("86").filter(|rest| rest.len() == 11));
    bare.unwrap_or(&digits).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_with_and_without_its_country() {
        for number in [
            "13900000000",
            "+8613900000000",
            "8613900000000",
            "008613900000000",
            "139 0000 0000",
        ] {
            assert_eq!(national(number), "13900000000");
        }
        assert_eq!(national("8610"), "8610");
    }
}
