//! What came of one attempt to send: the vocabulary that channels speak to the engine.
//!
//! A channel never decides what happens next; it says who is to blame, and the retry policy follows from that:
//! a fault of the provider charges no message, a fault of the recipient waits, a fault of the message is final.
//!
//! Reasons are written for an office clerk, Chinese first, and hold codes only. What a server adds in its own words is
//! dropped, because servers like to repeat the address, and reasons are shown, exported and logged.

use std::fmt;
use std::time::Duration;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took the message. `reference` is its own name for it, when it gave one.
    Accepted { reference: Option<String> },
    /// This message will never pass on this channel.
    Refused { fault: Fault, reason: String },
    /// Not sent, certainly; it can be tried again.
    Deferred {
        fault: Fault,
        reason: String,
        /// The provider's own wish, 1 second to 1 hour.
        retry_after: Option<Duration>,
    },
    /// The provider may or may not have taken it: the line was cut between our last byte and its answer.
    Uncertain { reason: String },
}

impl Outcome {
    /// As the ledger writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::Deferred { .. } => "deferred",
            Self::Uncertain { .. } => "uncertain",
        }
    }

    /// To whom it is charged, when it went wrong for a known reason.
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::Refused { fault, .. } | Self::Deferred { fault, .. } => Some(fault.blame),
            Self::Accepted { .. } | Self::Uncertain { .. } => None,
        }
    }

    /// Why it went wrong, in an office clerk's words: `中文 / English`.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused { reason, .. } | Self::Deferred { reason, .. } | Self::Uncertain { reason } => Some(reason),
            Self::Accepted { .. } => None,
        }
    }

    /// The provider's own name for an accepted message.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Accepted { reference } => reference.as_deref(),
            _ => None,
        }
    }

    /// Nothing was tried: the provider is known to be down.
    pub fn provider_down(reason: String) -> Self {
        Self::of(Fault::new(Blame::Provider, Stage::Connect), reason, None)
    }

    /// The reason, when the provider itself is to blame.
    pub fn provider_fault(&self) -> Option<&str> {
        match self {
            Self::Deferred { fault, reason, .. } if fault.blame == Blame::Provider => Some(reason),
            _ => None,
        }
    }

    /// A message's own fault is final, every other one can be waited out.
    pub fn of(fault: Fault, reason: String, retry_after: Option<Duration>) -> Self {
        match fault.blame {
            Blame::Message => Self::Refused { fault, reason },
            Blame::Recipient | Blame::Provider => Self::Deferred {
                fault,
                reason,
                retry_after,
            },
        }
    }
}

/// One thing that went wrong: who is to blame, where it happened, and the codes that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub blame: Blame,
    pub stage: Stage,
    /// SMTP reply code or HTTP status.
    pub code: Option<u16>,
    /// RFC 3463 status code, when an SMTP server gave one.
    pub enhanced: Option<Enhanced>,
}

impl Fault {
    pub fn new(blame: Blame, stage: Stage) -> Self {
        Self {
            blame,
            stage,
            code: None,
            enhanced: None,
        }
    }
}

/// To whom a fault is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// This message will never pass: next channel or a call task.
    Message,
    /// This recipient cannot take it now: retry.
    Recipient,
    /// The provider cannot take anything now: wait, charging nobody.
    Provider,
}

impl Blame {
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Recipient => "recipient",
            Self::Provider => "provider",
        }
    }
}

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking the server up and connecting.
    Connect,
    /// STARTTLS and the handshake.
    Tls,
    /// The greeting and EHLO.
    Hello,
    Auth,
    /// NOOP of a probe.
    Probe,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// The DATA command.
    Data,
    /// The text of the message, before the final dot.
    Body,
    /// The final dot and its answer.
    Dot,
    /// The request to an SMS gateway.
    Request,
    /// Writing a file.
    Spool,
}

/// An RFC 3463 status code, such as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

impl Enhanced {
    /// Reads the code that a reply's text begins with, if it begins with one (RFC 2034 section 4).
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_ascii_whitespace().next()?;
        let mut parts = word.split('.');
        let class = parts.next().filter(|class| matches!(*class, "2" | "4" | "5"))?;
        let mut number = || {
            let part = parts.next()?;
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some(Self {
            class: class.parse().ok()?,
            subject,
            detail,
        })
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Who is to blame for a negative SMTP reply. Any code may come from a server; an unknown one is judged by its first digit.
///
/// Before a recipient was named, every complaint is about this system or the server. Codes: RFC 5321 4.2.3, RFC 3463,
/// RFC 4954 6 (authentication), RFC 7372 (5.7.20 to 5.7.27: the sending side's records).
pub fn classify_smtp(stage: Stage, code: u16, enhanced: Option<Enhanced>) -> Fault {
    let fault = |blame| Fault {
        blame,
        stage,
        code: Some(code),
        enhanced,
    };
    // A class that contradicts the reply code says nothing (RFC 2034 section 4).
    let detail = enhanced
        .filter(|enhanced| u16::from(enhanced.class) == code / 100)
        .map(|enhanced| (enhanced.subject, enhanced.detail));
    let named = matches!(stage, Stage::Recipient | Stage::Data | Stage::Body | Stage::Dot);

    match (code, detail) {
        (421 | 432 | 454 | 530 | 534 | 535 | 538, _) => fault(Blame::Provider),
        (_, Some((7, 0 | 8..=14 | 20..=27))) if code >= 500 => fault(Blame::Provider),
        // The envelope sender is ours and the same in every message.
        (_, Some((1, 7 | 8))) => fault(Blame::Provider),
        // Too large, or content that cannot be taken: true of this message only, wherever it is said.
        (552, _) | (_, Some((3, 4) | (6, _))) if code >= 500 && (named || stage == Stage::Mail) => {
            fault(Blame::Message)
        }
        _ if !named => fault(Blame::Provider),
        // The server's own storage or configuration.
        (_, Some((3, _))) => fault(Blame::Provider),
        // Out of step, or a command it does not know: nothing to do with this message.
        (500 | 502..=504, _) => fault(Blame::Provider),
        (500.., _) => fault(Blame::Message),
        _ => fault(Blame::Recipient),
    }
}

/// What a clerk reads about a negative SMTP reply.
pub fn smtp_reason(fault: &Fault) -> String {
    let (chinese, english) = smtp_words(fault);
    match (fault.code, fault.enhanced) {
        (Some(code), Some(enhanced)) => format!("{chinese}({code} {enhanced}) / {english} ({code} {enhanced})"),
        (Some(code), None) => format!("{chinese}({code}) / {english} ({code})"),
        (None, _) => format!("{chinese} / {english}"),
    }
}

fn smtp_words(fault: &Fault) -> (&'static str, &'static str) {
    const SENDER: (&str, &str) = ("发件地址不被接受", "the sender's address is not accepted");
    const TOO_LARGE: (&str, &str) = ("邮件太大", "the message is too large");
    const CREDENTIALS: (&str, &str) = (
        "邮件服务器不接受本系统的身份或安全设置",
        "the mail server does not accept this system's credentials or security settings",
    );
    let code = fault.code.unwrap_or_default();
    if fault.blame == Blame::Provider && matches!(code, 454 | 530 | 534 | 535 | 538) {
        return CREDENTIALS;
    }
    if code == 421 {
        return ("邮件服务器暂停服务", "the mail server is busy or closing");
    }
    match fault.enhanced.map(|enhanced| (enhanced.subject, enhanced.detail)) {
        Some((1, 1)) => return ("邮箱不存在", "mailbox does not exist"),
        Some((1, 2 | 10)) => return ("邮箱的域名不收信", "the domain of the address takes no mail"),
        Some((1, 3)) => return ("邮箱地址写法有误", "the address is malformed"),
        Some((1, 6)) => return ("邮箱已迁移", "mailbox has moved"),
        Some((1, 7 | 8)) => return SENDER,
        Some((1, _)) => return ("收件地址无效", "the recipient's address is not valid"),
        Some((2, 1)) => return ("邮箱已停用", "mailbox is disabled"),
        Some((2, 2)) => return ("邮箱已满", "mailbox is full"),
        Some((2, 3) | (3, 4)) => return TOO_LARGE,
        Some((2, _)) => return ("邮箱暂不能收信", "mailbox cannot take the message"),
        Some((3, _)) => return ("邮件服务器系统故障", "the mail server has a fault of its own"),
        Some((4, _)) => return ("邮件路由故障", "the mail cannot be routed"),
        Some((6, _)) => return ("邮件格式不被接受", "the form of the message is not accepted"),
        Some((7, _)) => {
            return match fault.blame {
                Blame::Provider => CREDENTIALS,
                Blame::Message => ("邮件被对方安全策略拒收", "refused by the receiving side's policy"),
                Blame::Recipient => ("对方要求稍后再投", "the receiving side asks to try again later"),
            };
        }
        _ => {}
    }
    match (code, fault.stage) {
        (501 | 550 | 551 | 553, Stage::Mail) => SENDER,
        (450 | 451, _) => ("对方暂时不能收信", "the receiving side cannot take mail just now"),
        (452, _) => ("对方存储空间不足", "the receiving side is short of space"),
        (500 | 502..=504, _) => ("与邮件服务器通信出错", "the mail server did not understand a command"),
        (501 | 553, _) => ("邮箱地址写法不被接受", "the form of the address is not accepted"),
        (550 | 551, _) => ("邮箱不存在或不收信", "mailbox unavailable"),
        (552, _) => ("邮箱已满或邮件太大", "mailbox is full or the message is too large"),
        (554, _) => ("邮件被拒收", "the message was refused"),
        (500.., _) => ("邮件被拒绝", "the mail server refused"),
        _ => ("邮件服务器暂时拒绝", "the mail server refused for now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_smtp_reply_is_charged_to_whom_it_concerns() {
        use Blame::{Message, Provider, Recipient};
        use Stage::{Auth, Data, Dot, Hello, Mail, Recipient as Rcpt, Tls};
        let table = [
            (Hello, 421, "4.3.2", Provider),
            (Hello, 554, "", Provider),
            (Hello, 550, "5.7.1", Provider),
            (Tls, 454, "4.7.0", Provider),
            (Auth, 535, "5.7.8", Provider),
            (Auth, 534, "5.7.9", Provider),
            (Auth, 454, "4.7.0", Provider),
            (Auth, 432, "4.7.12", Provider),
            (Auth, 538, "5.7.11", Provider),
            (Mail, 530, "5.7.0", Provider),
            (Mail, 421, "", Provider),
            (Mail, 451, "4.3.0", Provider),
            (Mail, 452, "4.3.1", Provider),
            (Mail, 550, "5.7.1", Provider),
            (Mail, 553, "5.1.8", Provider),
            (Mail, 501, "5.1.7", Provider),
            (Mail, 552, "5.3.4", Message),
            (Mail, 552, "", Message),
            (Rcpt, 550, "5.1.1", Message),
            (Rcpt, 550, "5.1.2", Message),
            (Rcpt, 556, "5.1.10", Message),
            (Rcpt, 553, "5.1.3", Message),
            (Rcpt, 551, "5.1.6", Message),
            (Rcpt, 550, "5.2.1", Message),
            (Rcpt, 552, "5.2.2", Message),
            (Rcpt, 550, "", Message),
            (Rcpt, 550, "5.5.0", Message),
            (Rcpt, 501, "", Message),
            (Rcpt, 554, "5.7.1", Message),
            (Rcpt, 599, "", Message),
            (Rcpt, 550, "5.7.0", Provider),
            (Rcpt, 550, "5.7.25", Provider),
            (Rcpt, 530, "5.7.0", Provider),
            (Rcpt, 503, "5.5.1", Provider),
            (Rcpt, 550, "5.1.8", Provider),
            (Rcpt, 554, "5.3.2", Provider),
            (Rcpt, 421, "4.7.0", Provider),
            (Rcpt, 450, "4.7.1", Recipient),
            (Rcpt, 451, "4.7.1", Recipient),
            (Rcpt, 450, "", Recipient),
            (Rcpt, 452, "4.2.2", Recipient),
            (Rcpt, 452, "4.5.3", Recipient),
            (Rcpt, 452, "4.3.1", Provider),
            (Rcpt, 499, "", Recipient),
            (Rcpt, 450, "5.1.1", Recipient),
            (Data, 503, "", Provider),
            (Data, 554, "", Message),
            (Data, 451, "", Recipient),
            (Dot, 552, "5.3.4", Message),
            (Dot, 554, "5.6.0", Message),
            (Dot, 554, "5.7.1", Message),
            (Dot, 550, "5.7.26", Provider),
            (Dot, 451, "4.3.0", Provider),
            (Dot, 451, "", Recipient),
            (Dot, 452, "4.2.2", Recipient),
            (Dot, 421, "", Provider),
        ];
        for (stage, code, enhanced, blame) in table {
            let fault = classify_smtp(stage, code, Enhanced::parse(enhanced));
            assert_eq!(fault.blame, blame, "{stage:?} {code} {enhanced}");
            assert!(smtp_reason(&fault).contains(&code.to_string()), "{code}");
        }
    }

    #[test]
    fn a_reason_is_chinese_first_and_holds_codes_only() {
        let fault = classify_smtp(
            Stage::Recipient,
            550,
            Enhanced::parse("5.1.1 <li@example.org>: no such user"),
        );
        assert_eq!(
            smtp_reason(&fault),
            "邮箱不存在(550 5.1.1) / mailbox does not exist (550 5.1.1)"
        );
    }

    #[test]
    fn only_a_leading_well_formed_status_code_is_read() {
        for text in [
            "", "no", "5.1", "5.1.1.1", "3.1.1", "5.1234.1", "5..1", "5.1.x", "x 5.1.1", "5.1.+1",
        ] {
            assert_eq!(Enhanced::parse(text), None, "{text}");
        }
        let enhanced = Enhanced::parse("4.7.1 greylisted").map(|enhanced| enhanced.to_string());
        assert_eq!(enhanced.as_deref(), Some("4.7.1"));
    }
}
