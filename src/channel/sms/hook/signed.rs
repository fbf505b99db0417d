//! Calls that a gateway signs, as standard-webhooks.com has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::Call;

/// A signature older or newer than this is a replay.
const SIGNED_WITHIN_S: i64 = 5 * 60;

/// HMAC-SHA256 over `id.timestamp.body`, in base64, one or more of them behind `v1,`.
pub(super) fn check(key: &str, call: &Call<'_>, now: Timestamp) -> Option<()> {
    let [id, at, signatures] = call.signed;
    let seconds: i64 = at.parse().ok()?;
    if id.is_empty() || (now.as_second() - seconds).abs() > SIGNED_WITHIN_S {
        return None;
    }
    let key = match key.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => key.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(call.body);
    let is_ours = |signature: &str| {
        let encoded = signature.strip_prefix("v1,").unwrap_or_default();
        let given = STANDARD.decode(encoded).unwrap_or_default();
        mac.clone().verify_slice(&given).is_ok()
    };
    signatures.split_ascii_whitespace().any(is_ours).then_some(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signed_call_is_heard_when_it_is_fresh_and_unaltered() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let call = |signature: &'static str, body: &'static str| Call {
            peer: IpAddr::from([127, 0, 0, 1]),
            secret: "",
            gateway: "",
            query: "",
            content_type: "",
            signed: [id, at, signature],
            body: body.as_bytes(),
        };
        let now = Timestamp::from_second(1_614_265_330).expect("an instant");
        let later = |seconds: i64| Timestamp::from_second(1_614_265_330 + seconds).expect("an instant");
        assert_eq!(check(key, &call(signature, body), now), Some(()));
        assert_eq!(
            check(
                key,
                &call("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", body),
                now
            ),
            Some(())
        );
        assert_eq!(check(key, &call(signature, body), later(300)), Some(()));
        assert_eq!(check(key, &call(signature, body), later(301)), None);
        assert_eq!(check(key, &call(signature, body), later(-301)), None);
        assert_eq!(check(key, &call(signature, r#"{"test": 2432232315}"#), now), None);
        assert_eq!(check(key, &call("v1,", body), now), None);
        assert_eq!(check("whsec_AAAA", &call(signature, body), now), None);
    }
}
