//! What a call carries, whichever way it does.

use serde_json::{Map, Value};

use super::Call;

/// Query, form or JSON as one document.
pub(super) fn document(call: &Call<'_>) -> Option<Value> {
    let form = |text: &str| -> Value {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), Value::from(decoded(value)))
        });
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    if call.body.is_empty() {
        return (!call.query.is_empty()).then(|| form(call.query));
    }
    if call.content_type.contains("form-urlencoded") {
        return std::str::from_utf8(call.body).ok().map(form);
    }
    serde_json::from_slice(call.body).ok()
}

/// A value of a form or a query.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&raw(text)).into_owned()
}

/// Its bytes: `+` is a space, `%e4` a byte.
pub(super) fn raw(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| hex::decode(pair).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.extend(byte);
                at += 3;
                continue;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_and_broken_ones_do_no_harm() {
        for (text, expected) in [
            ("%E9%80%80%E8%AE%A2", "退订"),
            ("a+b%20c", "a b c"),
            ("100%", "100%"),
            ("%zz%f", "%zz%f"),
            ("", ""),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }
}
