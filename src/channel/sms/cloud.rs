//! What the clouds have in common: approved templates instead of texts, requests whose signature covers the time, and a code in every
//! answer.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Sms;
use super::answer::{may_have_left, presentable, uncertain};
use super::http::fault;
use super::web::Answer;
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Outcome};
use crate::template::Coded;

/// A cloud as people are told of it, in Chinese and in English.
pub(super) struct House {
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
}

/// What the cloud of this name in the settings can say of a message.
pub(super) fn coded<'a>(sms: &'a Sms, gateway: &str) -> Option<&'a Coded> {
    sms.coded.iter().find(|coded| coded.gateway == gateway)
}

/// The same, for a message that it has been chosen for.
pub(super) fn must_be_coded<'a>(sms: &'a Sms, gateway: &str) -> Result<&'a Coded, BuildError> {
    coded(sms, gateway).ok_or_else(|| fault("templates", "no template is approved for this text"))
}

/// Headers that no log may show.
pub(super) fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = || fault(name, "it is no header");
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

impl House {
    /// What an answer without a code means.
    pub(super) fn by_status(&self, answer: &Answer) -> Outcome {
        match answer.status {
            408 | 429 | 503 => self.no(Blame::Provider, answer, &answer.status.to_string()),
            status if may_have_left(status) => uncertain(status),
            _ => self.no(Blame::Provider, answer, &answer.status.to_string()),
        }
    }

    /// A no with its code.
    pub(super) fn no(&self, blame: Blame, answer: &Answer, code: &str) -> Outcome {
        let Self { zh, en } = self;
        let (chinese, english) = match blame {
            Blame::Message => (format!("短信被{zh}拒绝"), format!("{en} refused the message")),
            Blame::Recipient => (
                "该号码暂时不能接收".to_owned(),
                "this number cannot receive just now".to_owned(),
            ),
            Blame::Provider => (format!("{zh}短信暂不可用"), format!("{en} takes no messages just now")),
        };
        let code = presentable(code).unwrap_or_else(|| "?".to_owned());
        answer.no(blame, &chinese, &english, &code)
    }
}
