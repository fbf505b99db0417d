//! Reports and messages of Aliyun, Tencent and Kannel, as they document them.

use serde_json::Value;

use super::form::raw;
use super::{message, name_in, text};
use crate::channel::sms::alphabet;
use crate::channel::sms::answer::presentable;
use crate::channel::sms::arrival::{Arrival, Report};
use crate::domain::delivery::Fate;

/// SmsReport and SmsUp.
pub(super) fn aliyun(value: &Value) -> Option<Arrival> {
    if let Some(content) = text(value, "content") {
        let id = name_in(value, "sequence_id").or_else(|| said_at(text(value, "send_time"), &content));
        return Some(message(text(value, "phone_number")?, &content, id));
    }
    let is_there = match text(value, "success")?.as_str() {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some(Arrival::Report(Report {
        reference: name_in(value, "biz_id"),
        id: name_in(value, "out_id"),
        fate: Some(if is_there { Fate::Delivered } else { Fate::Bounced }),
        code: name_in(value, "err_code"),
    }))
}

/// Status reports and replies.
pub(super) fn tencent(value: &Value) -> Option<Arrival> {
    if let Some(said) = text(value, "text") {
        let id = said_at(text(value, "time"), &said);
        return Some(message(text(value, "mobile")?, &said, id));
    }
    let status = text(value, "report_status")?;
    Some(Arrival::Report(Report {
        reference: name_in(value, "sid"),
        id: None,
        fate: match status.as_str() {
            "SUCCESS" => Some(Fate::Delivered),
            "FAIL" => Some(Fate::Bounced),
            _ => None,
        },
        code: name_in(value, "errmsg"),
    }))
}

/// `report=%d&id=…` of our own dlr-url, or `from=%p&text=%b&charset=%C&id=%I` of a get-url.
pub(super) fn kannel(query: &str, value: &Value) -> Option<Arrival> {
    if let Some(said) = query.split('&').find_map(|pair| pair.strip_prefix("text=")) {
        let said = kannel_text(&raw(said), text(value, "charset").as_deref());
        return Some(message(text(value, "from")?, &said, name_in(value, "id")));
    }
    let report = text(value, "report")?;
    Some(Arrival::Report(Report {
        reference: None,
        id: Some(name_in(value, "id")?),
        fate: match report.as_str() {
            "1" => Some(Fate::Delivered),
            "2" | "16" => Some(Fate::Bounced),
            _ => None,
        },
        code: presentable(&report),
    }))
}

/// Kannel passes Chinese on as it came over the air, in UTF-16 without any mark, and everything else in UTF-8. Where its charset is not
/// told, what cannot be UTF-8 (nobody writes a NUL) is taken for the former.
fn kannel_text(bytes: &[u8], charset: Option<&str>) -> String {
    let is_wide = match charset {
        Some(charset) if !charset.is_empty() => charset.to_ascii_uppercase().starts_with("UTF-16"),
        _ => bytes.len().is_multiple_of(2) && (bytes.contains(&0) || std::str::from_utf8(bytes).is_err()),
    };
    if is_wide {
        alphabet::ucs2(bytes)
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// What tells a message without a name from others: its second alone does not, one telephone may send two in it.
fn said_at(time: Option<String>, text: &str) -> Option<String> {
    time.map(|time| format!("{time} {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::sms::hook::each;

    fn report(reference: Option<&str>, id: Option<&str>, fate: Option<Fate>, code: Option<&str>) -> Arrival {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Arrival::Report(Report {
            reference: own(reference),
            id: own(id),
            fate,
            code: own(code),
        })
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn reports_and_messages_are_read_as_each_cloud_documents_them() {
        let ali = json(
            r#"[{"phone_number":"13900000000","send_time":"2026-03-09 09:02:03","report_time":"2026-03-09 09:02:05","success":true,"err_code":"DELIVERED","err_msg":"x","sms_size":"1","biz_id":"900619746936498440^0","out_id":"d-1"},
                {"phone_number":"13900000000","success":false,"err_code":"MK:0001","biz_id":"9^1","out_id":"d-2"}]"#,
        );
        assert_eq!(
            each(&ali, aliyun),
            Some(vec![
                report(
                    Some("900619746936498440^0"),
                    Some("d-1"),
                    Some(Fate::Delivered),
                    Some("DELIVERED")
                ),
                report(Some("9^1"), Some("d-2"), Some(Fate::Bounced), Some("MK:0001")),
            ])
        );
        let tx = json(
            r#"[{"user_receive_time":"2026-03-09 09:02:05","nationcode":"86","mobile":"13900000000","report_status":"SUCCESS","errmsg":"DELIVRD","description":"x","sid":"5000:1045710669157053657849499619"}]"#,
        );
        assert_eq!(
            each(&tx, tencent),
            Some(vec![report(
                Some("5000:1045710669157053657849499619"),
                None,
                Some(Fate::Delivered),
                Some("DELIVRD")
            )])
        );
        let reply =
            json(r#"{"extend":"01","mobile":"13900000000","nationcode":"86","sign":"x","text":"2","time":1773018123}"#);
        let Some(Arrival::Message(message)) = tencent(&reply) else {
            panic!("it is a message");
        };
        assert_eq!(
            (message.from.as_str(), message.text.as_str(), message.id.as_deref()),
            ("13900000000", "2", Some("1773018123 2"))
        );
        let dlr = json(r#"{"report":"16","id":"d-1"}"#);
        assert_eq!(
            kannel("", &dlr),
            Some(report(None, Some("d-1"), Some(Fate::Bounced), Some("16")))
        );
        assert_eq!(
            kannel("", &json(r#"{"report":"8","id":"d-1"}"#)),
            Some(report(None, Some("d-1"), None, Some("8")))
        );
        assert_eq!(kannel("", &json(r#"{"report":"1"}"#)), None);
    }

    /// As Kannel 1.4.5 calls for a message in UCS-2 and for one in the default alphabet.
    #[test]
    fn kannel_passes_chinese_on_as_it_came() {
        for (said, charset, expected) in [
            ("%90%00%8B%A2", "UTF-16BE", "退订"),
            ("N-", "UTF-16BE", "中"),
            ("N-", "UTF-8", "N-"),
            ("%C2%A35+T", "UTF-8", "£5 T"),
            ("%90%00%8B%A2", "", "退订"),
            ("%001", "", "1"),
            ("T", "", "T"),
            ("%E9%80%80", "", "退"),
        ] {
            let query = format!("from=%2B8613900000001&text={said}&charset={charset}&id=1");
            let value = serde_json::json!({ "from": "+8613900000001", "text": "?", "charset": charset, "id": "1" });
            let Some(Arrival::Message(message)) = kannel(&query, &value) else {
                panic!("{query} is a message");
            };
            assert_eq!(message.text, expected, "{query}");
        }
    }

    #[test]
    fn two_messages_of_one_second_are_two_and_one_that_comes_again_is_one() {
        let id = |said: &Value, read: fn(&Value) -> Option<Arrival>| match read(said) {
            Some(Arrival::Message(message)) => message.id.expect("a name"),
            _ => panic!("it is a message"),
        };
        let tencent_said = |text: &str| {
            json(&format!(
                r#"{{"mobile":"13900000000","text":"{text}","time":1773018123}}"#
            ))
        };
        let aliyun_said = |text: &str| {
            json(&format!(
                r#"{{"phone_number":"13900000000","content":"{text}","send_time":"2026-03-09 09:02:03"}}"#
            ))
        };
        assert_ne!(id(&tencent_said("2"), tencent), id(&tencent_said("T"), tencent));
        assert_eq!(id(&tencent_said("2"), tencent), id(&tencent_said("2"), tencent));
        assert_ne!(id(&aliyun_said("2"), aliyun), id(&aliyun_said("T"), aliyun));
    }
}
