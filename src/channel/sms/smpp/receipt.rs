//! What a `deliver_sm` says: a receipt in the text form of SMPP 3.4 appendix B, or somebody's message.

use rusmpp::pdus::DeliverSm;
use rusmpp::tlvs::TlvValue;
use rusmpp::values::{DataCoding, MessageState, MessageType};

use super::parts::{self, Place};
use crate::channel::sms::alphabet;
use crate::channel::sms::answer::presentable;
use crate::channel::sms::arrival::{Arrival, Incoming, Part, Report};
use crate::domain::delivery::Fate;

/// Nothing for a `deliver_sm` that says nothing we know.
pub(super) fn read(sm: &DeliverSm) -> Option<Arrival> {
    let value = |wanted: fn(&TlvValue) -> bool| {
        sm.tlvs()
            .iter()
            .filter_map(|tlv| tlv.value())
            .find(|value| wanted(value))
    };
    let payload = match value(|value| matches!(value, TlvValue::MessagePayload(_))) {
        Some(TlvValue::MessagePayload(payload)) => Some(payload.value.as_ref()),
        _ => None,
    };
    let data: &[u8] = payload
        .filter(|_| sm.short_message().is_empty())
        .unwrap_or(sm.short_message().as_ref());
    let is_ucs2 = sm.data_coding == DataCoding::Ucs2;
    let has_header = u8::from(sm.esm_class) & 0x40 != 0;
    let text = parts::text(data, is_ucs2, has_header);
    if sm.esm_class.message_type != MessageType::ShortMessageContainsMCDeliveryReceipt {
        let is_message = sm.esm_class.message_type == MessageType::Default;
        if let Some(place) = place(sm, data, has_header).filter(|_| is_message) {
            let (data, is_ucs2) = match sm.data_coding {
                DataCoding::McSpecific => {
                    let units: Vec<u16> = alphabet::gsm(parts::body(data, has_header)).encode_utf16().collect();
                    (parts::bytes(&units), true)
                }
                _ => (parts::body(data, has_header).to_vec(), is_ucs2),
            };
            return Some(Arrival::Part(Part {
                from: sm.source_addr.to_string(),
                reference: place.reference,
                total: place.total,
                number: place.number,
                data,
                is_ucs2,
            }));
        }
        return is_message.then(|| {
            Arrival::Message(Incoming {
                from: sm.source_addr.to_string(),
                // A receipt's fields are plain ASCII, whatever the alphabet is said to be; what people write is not.
                text: match sm.data_coding {
                    DataCoding::McSpecific => alphabet::gsm(parts::body(data, has_header)),
                    _ => text,
                },
                id: None,
            })
        });
    }
    let id = match value(|value| matches!(value, TlvValue::ReceiptedMessageId(_))) {
        Some(TlvValue::ReceiptedMessageId(id)) => Some(id.to_string()),
        _ => field(&text, "id:").map(str::to_owned),
    };
    let state = match value(|value| matches!(value, TlvValue::MessageState(_))) {
        Some(TlvValue::MessageState(state)) => Some(fate_of(*state)),
        _ => None,
    };
    let word = field(&text, "stat:").unwrap_or_default();
    Some(Arrival::Report(Report {
        reference: Some(id.as_deref().and_then(presentable)?),
        id: None,
        fate: state.unwrap_or_else(|| fate(word)),
        code: presentable(word),
    }))
}

/// Which part it is: told by a header before the text, or by optional parameters.
fn place(sm: &DeliverSm, data: &[u8], has_header: bool) -> Option<Place> {
    if has_header && let Some(place) = Place::in_header(data) {
        return Some(place);
    }
    let (mut reference, mut total, mut number) = (None, None, None);
    for value in sm.tlvs().iter().filter_map(|tlv| tlv.value()) {
        match value {
            TlvValue::SarMsgRefNum(value) => reference = Some(*value),
            TlvValue::SarTotalSegments(value) => total = Some(*value),
            TlvValue::SarSegmentSeqnum(value) => number = Some(*value),
            _ => {}
        }
    }
    Place::new(reference?, total?, number?)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = &text[text.find(name)? + name.len()..];
    rest.split_ascii_whitespace().next()
}

fn fate(word: &str) -> Option<Fate> {
    match word.to_ascii_uppercase().as_str() {
        "DELIVRD" => Some(Fate::Delivered),
        "EXPIRED" | "DELETED" | "UNDELIV" | "REJECTD" => Some(Fate::Bounced),
        // ENROUTE, ACCEPTD, UNKNOWN and whatever else an SMS centre invents.
        _ => None,
    }
}

fn fate_of(state: MessageState) -> Option<Fate> {
    match state {
        MessageState::Delivered => Some(Fate::Delivered),
        MessageState::Expired | MessageState::Deleted | MessageState::Undeliverable | MessageState::Rejected => {
            Some(Fate::Bounced)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rusmpp::tlvs::MessageDeliveryRequestTlvValue;
    use rusmpp::types::{COctetString, OctetString};
    use rusmpp::values::EsmClass;

    use super::*;

    fn deliver(esm_class: u8, coding: DataCoding, data: &[u8]) -> DeliverSm {
        DeliverSm::builder()
            .source_addr(COctetString::from_slice(b"8613900000000\0").expect("a number"))
            .esm_class(EsmClass::from(esm_class))
            .data_coding(coding)
            .short_message(OctetString::from_slice(data).expect("short enough"))
            .build()
    }

    #[test]
    fn receipts_are_read_from_their_text() {
        let receipt = |stat: &str| {
            format!(
                "id:0A1B2c sub:001 dlvrd:001 submit date:2603090902 done date:2603090903 stat:{stat} err:000 text:x"
            )
        };
        for (stat, expected) in [
            ("DELIVRD", Some(Fate::Delivered)),
            ("UNDELIV", Some(Fate::Bounced)),
            ("REJECTD", Some(Fate::Bounced)),
            ("EXPIRED", Some(Fate::Bounced)),
            ("ACCEPTD", None),
            ("ENROUTE", None),
            ("MA:0001", None),
        ] {
            let found = read(&deliver(4, DataCoding::McSpecific, receipt(stat).as_bytes()));
            let Some(Arrival::Report(report)) = found else {
                panic!("{stat} is a receipt");
            };
            assert_eq!(
                (report.reference.as_deref(), report.fate),
                (Some("0A1B2c"), expected),
                "{stat}"
            );
        }
        assert_eq!(read(&deliver(4, DataCoding::McSpecific, b"no receipt at all")), None);
    }

    #[test]
    fn messages_are_read_in_the_alphabet_they_are_written_in() {
        let units: Vec<u16> = "退订".encode_utf16().collect();
        for (coding, data, expected) in [
            (DataCoding::Ucs2, parts::bytes(&units), "退订"),
            (DataCoding::McSpecific, b"T".to_vec(), "T"),
            (DataCoding::McSpecific, b"\x1be5 a\x00b\x11".to_vec(), "€5 a@b_"),
            (DataCoding::Ia5, b"a@b_".to_vec(), "a@b_"),
            (DataCoding::Latin1, b"\xa35".to_vec(), "£5"),
        ] {
            let Some(Arrival::Message(message)) = read(&deliver(0, coding, &data)) else {
                panic!("{expected} is a message");
            };
            assert_eq!(
                (message.from.as_str(), message.text.as_str()),
                ("8613900000000", expected)
            );
        }
    }

    #[test]
    fn a_part_is_told_by_its_header_or_by_optional_parameters() {
        let part = |sm: &DeliverSm| match read(sm) {
            Some(Arrival::Part(part)) => (part.reference, part.total, part.number, part.data),
            other => panic!("it is a part: {other:?}"),
        };
        let data = [5, 0, 3, 7, 2, 1, 0x90, 0x00];
        assert_eq!(
            part(&deliver(0x40, DataCoding::Ucs2, &data)),
            (7, 2, 1, vec![0x90, 0x00])
        );
        let mut sm = deliver(0, DataCoding::Ucs2, &[0x90, 0x00]);
        sm.push_tlv(MessageDeliveryRequestTlvValue::SarMsgRefNum(300));
        sm.push_tlv(MessageDeliveryRequestTlvValue::SarTotalSegments(3));
        sm.push_tlv(MessageDeliveryRequestTlvValue::SarSegmentSeqnum(2));
        assert_eq!(part(&sm), (300, 3, 2, vec![0x90, 0x00]));
    }
}
