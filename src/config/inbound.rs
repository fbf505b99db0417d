//! `[inbound]`: where gateways report to, and what their reports look like.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Deserializer;

use super::problem::Unfit;
use super::secret::SecretSource;
use super::values::read;
use crate::domain::text::said;

/// The listener for receipts and messages. Gateways call `/SECRET/NAME`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// Its address; without it nothing listens. Boot-only.
    pub listen: Option<SocketAddr>,
    /// The secret part of the path.
    pub secret: Option<SecretSource>,
    /// Networks that may call at all.
    pub allow: Vec<Network>,
}

/// What a generic HTTP gateway calls with: JSON, a form or a query, all read as one JSON document.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub reports: Option<Reports>,
    pub messages: Option<Messages>,
}

/// Where a report carries what. Everything is a JSON pointer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// The list of reports; without it the document is one report.
    pub list: Option<String>,
    /// The gateway's own name for the SMS.
    pub reference: Option<String>,
    /// Our id, where the gateway repeats it.
    pub id: Option<String>,
    pub status: String,
    /// Values of the status that mean it arrived.
    pub delivered: Vec<String>,
    /// Values that mean it never will; every other one says nothing yet.
    pub failed: Vec<String>,
}

/// Where a message carries what.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    pub list: Option<String>,
    pub from: String,
    pub text: String,
    /// The gateway's own name for the message.
    pub id: Option<String>,
}

/// `203.0.113.0/24`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, other: IpAddr) -> bool {
        // An IPv4 caller on a socket for both.
        let other = other.to_canonical();
        let same = |own: &[u8], other: &[u8]| {
            let whole = usize::from(self.bits / 8);
            let rest = self.bits % 8;
            let differs = |at: usize| rest > 0 && (own[at] ^ other[at]) >> (8 - rest) != 0;
            own[..whole] == other[..whole] && !differs(whole.min(own.len() - 1))
        };
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(&own.octets(), &other.octets()),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(&own.octets(), &other.octets()),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let wrong = || {
            Unfit::new(
                said!("“{text}”不是网段", "\"{text}\" is no network"),
                said!(
                    "可用: 如 \"203.0.113.0/24\" 或 \"203.0.113.7\"",
                    "allowed: such as \"203.0.113.0/24\" or \"203.0.113.7\""
                ),
            )
        };
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits
            .map_or(Ok(most), |bits| bits.trim().parse::<u8>())
            .map_err(|_| wrong())?;
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&String::deserialize(deserializer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let table = [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.112.0/23", "203.0.113.9", true),
            ("203.0.112.0/23", "203.0.114.0", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
        ];
        for (network, address, expected) in table {
            let network: Network = network.parse().expect(network);
            assert_eq!(
                network.contains(address.parse().expect(address)),
                expected,
                "{network} {address}"
            );
        }
        for wrong in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
