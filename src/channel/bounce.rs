//! Mail that came back: what a report says, without believing more than it says.
//!
//! Reports in the standard form (RFC 3464) are read by their fields. The older and home-made forms that relays in use still send are
//! read only when they carry a status code or the line that names who failed. An automatic answer of a person's mailbox is no bounce;
//! what is neither is [`Kind::Unknown`], for a person to look at. Total: any bytes give an answer.

use std::panic::catch_unwind;

use mail_parser::{HeaderName, Message, MessageParser, MimeHeaders as _, PartType};

use super::outcome::Enhanced;
use super::verp::ReturnPath;

/// What came back, as far as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub kind: Kind,
    /// The attempt it is about: only by a return path that this system made.
    pub attempt: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It did not arrive and will not.
    Failed(Option<Enhanced>),
    /// It has not arrived yet; the relay goes on trying.
    Delayed(Option<Enhanced>),
    /// It arrived, or went on to a place that gives no reports.
    Delivered,
    /// Out of office, a vacation program, a receipt that it was read.
    Automatic,
    /// A person's letter, a complaint, or a form nobody knows.
    Unknown,
}

/// Reads a mail that came back. `recipients` are those the mail server gave it for, besides those in the mail itself.
pub fn read(raw: &[u8], path: Option<&ReturnPath>, recipients: &[String]) -> Returned {
    // The parser is somebody else's, and the mail is a stranger's.
    let read = catch_unwind(std::panic::AssertUnwindSafe(|| {
        let message = MessageParser::default().parse(raw)?;
        let attempt = path.and_then(|path| attempt(&message, path, recipients));
        let kind = kind(&message);
        Some(Returned { kind, attempt })
    }));
    read.ok().flatten().unwrap_or(Returned {
        kind: Kind::Unknown,
        attempt: None,
    })
}

/// A mail as a person reads it: who it is from and to, when, what about, and its text. Nothing in it can move a terminal.
pub fn shown(raw: &[u8]) -> String {
    const NAMES: [&str; 4] = ["From", "To", "Date", "Subject"];
    let read = catch_unwind(std::panic::AssertUnwindSafe(|| {
        let message = MessageParser::default().parse(raw)?;
        let mut text = String::new();
        for name in NAMES {
            let value = match name {
                "Subject" => message.subject().map(str::to_owned),
                _ => message.header_raw(name).map(|value| value.trim().to_owned()),
            };
            text += &format!("{name}: {}\n", value.unwrap_or_default());
        }
        for part in message.text_bodies().chain(message.attachments()) {
            if let Some(words) = part.text_contents() {
                text += "\n";
                text += words.trim_end();
                text += "\n";
            }
        }
        Some(text)
    }));
    let text = read.ok().flatten();
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned());
    text.chars()
        .filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
        .collect()
}

fn attempt(message: &Message<'_>, path: &ReturnPath, recipients: &[String]) -> Option<String> {
    const NAMES: [&str; 6] = [
        "To",
        "Delivered-To",
        "X-Original-To",
        "Envelope-To",
        "X-Envelope-To",
        "X-Rcpt-To",
    ];
    let told = recipients.iter().find_map(|address| path.attempt(address));
    told.or_else(|| {
        let headers = message.headers_raw();
        let mut of_interest = headers.filter(|(name, _)| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)));
        of_interest.find_map(|(_, value)| words(value).find_map(|word| path.attempt(word)))
    })
}

/// What could be an address in a header.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(|letter: char| letter.is_whitespace() || "<>,;\"()".contains(letter))
}

fn kind(message: &Message<'_>) -> Kind {
    if let Some(report) = status_report(message) {
        return report;
    }
    if is_from_a_server(message) {
        return old_form(message).unwrap_or(Kind::Unknown);
    }
    if is_automatic(message) {
        return Kind::Automatic;
    }
    Kind::Unknown
}

/// Servers mark their reports as automatic answers as well (RFC 3834), also those that lost the part with the fields.
fn is_from_a_server(message: &Message<'_>) -> bool {
    let from = message
        .header_raw(HeaderName::From)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let report = message.root_part().content_type();
    ["mailer-daemon", "postmaster"].iter().any(|name| from.contains(name))
        || message.header_raw(HeaderName::Other(FAILED.into())).is_some()
        || report
            .and_then(|kind| kind.c_subtype.as_deref())
            .is_some_and(|of| of.eq_ignore_ascii_case("report"))
}

/// What Exim adds.
const FAILED: &str = "X-Failed-Recipients";

/// The part with the fields of RFC 3464, wherever it stands; some relays forget to call the whole a report.
fn status_report(message: &Message<'_>) -> Option<Kind> {
    let mut found = None;
    for part in &message.parts {
        let is = |main: &str, sub: &str| {
            part.content_type().is_some_and(|kind| {
                kind.c_type.eq_ignore_ascii_case(main)
                    && kind.c_subtype.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(sub))
            })
        };
        if is("message", "disposition-notification") {
            return Some(Kind::Automatic);
        }
        if is("message", "delivery-status") || is("message", "global-delivery-status") {
            let text = match &part.body {
                PartType::Text(text) => text.to_string(),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => String::from_utf8_lossy(
                    message
                        .raw_message()
                        .get(part.raw_body_offset() as usize..part.raw_end_offset() as usize)?,
                )
                .into_owned(),
            };
            found = found.or_else(|| fields(&text));
        }
    }
    found
}

/// The worst of what a report says of its recipients: a mail of ours has one, so several are the stations of one way.
fn fields(text: &str) -> Option<Kind> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let mut worst = None;
    for group in unfolded.split("\n\n") {
        let field = |name: &str| {
            group.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        let status = field("Status").and_then(Enhanced::parse);
        let code = status
            .filter(|status| (status.subject, status.detail) != (0, 0))
            .or_else(|| field("Diagnostic-Code").and_then(status_in))
            .or(status);
        let action =
            field("Action").map(|action| action.split([' ', ';']).next().unwrap_or_default().to_ascii_lowercase());
        let kind = match action.as_deref() {
            Some("failed") => Kind::Failed(code),
            Some("delayed") => Kind::Delayed(code),
            Some("delivered" | "relayed" | "expanded") => Kind::Delivered,
            // Some relays leave the action out.
            None if code.is_some_and(|code| code.class == 5) => Kind::Failed(code),
            None if code.is_some_and(|code| code.class == 4) => Kind::Delayed(code),
            _ => continue,
        };
        worst = match (worst, kind) {
            (Some(Kind::Failed(code)), _) => Some(Kind::Failed(code)),
            (_, Kind::Failed(code)) => Some(Kind::Failed(code)),
            (Some(Kind::Delayed(code)), _) => Some(Kind::Delayed(code)),
            (_, kind) => Some(kind),
        };
    }
    worst
}

/// A mailbox that answers by itself (RFC 3834, and what programs did before it).
fn is_automatic(message: &Message<'_>) -> bool {
    const SUBJECTS: [&str; 8] = [
        "自动回复",
        "自動回覆",
        "自动答复",
        "休假",
        "out of office",
        "out of the office",
        "automatic reply",
        "auto-reply",
    ];
    // By their text: the parser knows some of these by names of its own.
    let header = |name: &str| {
        let found = message
            .headers_raw()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_ascii_lowercase())
    };
    let subject = message.subject().unwrap_or_default().to_lowercase();
    header("Auto-Submitted").is_some_and(|value| value.starts_with("auto-replied"))
        || ["X-Autoreply", "X-Autorespond", "X-Autogenerated"]
            .into_iter()
            .any(|name| header(name).is_some())
        || header("Precedence").is_some_and(|value| value == "auto_reply")
        || SUBJECTS.iter().any(|known| subject.contains(known))
}

/// Reports that say so in words only.
fn old_form(message: &Message<'_>) -> Option<Kind> {
    const SUBJECTS: [&str; 12] = [
        "退信",
        "undeliver",
        "delivery status notification",
        "delivery failure",
        "delivery failed",
        "mail delivery",
        "failure notice",
        "returned mail",
        "returned to sender",
        "message delayed",
        "warning: message",
        "投递失败",
    ];
    const GOES_ON: [&str; 6] = [
        "delayed",
        "warning: message",
        "will be retried",
        "still being retried",
        "继续尝试",
        "延迟",
    ];
    if message.header_raw(HeaderName::Other(FAILED.into())).is_some() {
        return Some(Kind::Failed(status_in(&text(message))));
    }
    let subject = message.subject().unwrap_or_default().to_lowercase();
    if !SUBJECTS.iter().any(|known| subject.contains(known)) {
        return None;
    }
    let text = text(message);
    let code = status_in(&text);
    let goes_on = GOES_ON
        .iter()
        .any(|word| subject.contains(word) || text.to_lowercase().contains(word));
    match code.map(|code| code.class) {
        _ if goes_on => Some(Kind::Delayed(code)),
        Some(5) => Some(Kind::Failed(code)),
        _ => None,
    }
}

/// What the mail says in its own words: what was sent comes back as an attachment, or below a line that says so.
fn text(message: &Message<'_>) -> String {
    const COPY: [&str; 3] = ["a copy of the message", "original message", "邮件原文"];
    let body = message.body_text(0).unwrap_or_default();
    let own = body.lines().take_while(|line| {
        let line = line.to_lowercase();
        !COPY.iter().any(|marker| line.contains(marker))
    });
    own.flat_map(|line| line.chars().chain(std::iter::once('\n')))
        .take(TEXT_MAX)
        .collect()
}

const TEXT_MAX: usize = 20_000;

/// The first failure that a text tells: `5.1.1`, else a reply code such as `550`.
fn status_in(text: &str) -> Option<Enhanced> {
    let words = || text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
    let enhanced = words().find_map(|word| {
        let code = Enhanced::parse(word.trim_matches('.'))?;
        matches!(code.class, 4 | 5).then_some(code)
    });
    enhanced.or_else(|| {
        let reply = words().find(|word| word.len() == 3 && ["45", "55"].iter().any(|start| word.starts_with(start)));
        let class = reply?.as_bytes().first()? - b'0';
        Some(Enhanced {
            class,
            subject: 0,
            detail: 0,
        })
    })
}
