//! From a rendered mail to the exact bytes that go on the wire.
//!
//! Always: the same [`Mail`] gives the same bytes (Date and MIME boundary are derived, never drawn), one recipient, ASCII
//! only, CRLF only, no line above 998 bytes (RFC 5322 2.1.1), no NUL. Every header input passes one sanitiser and the
//! finished bytes are checked again, because lettre 0.11.23 lets a bare CR or LF through (RUSTSEC-2026-0561) and panics on
//! one in a display name (RUSTSEC-2026-0564). A message that makes the builder panic is an error, not a crash.
//!
//! An invitation is one more alternative of the same mail, after text and HTML, because clients take the last part they
//! understand (RFC 2046 5.1.4): Outlook, Thunderbird, Apple Mail and Gmail offer the event, the others show the text. Outlook takes
//! a calendar that is attached (multipart/mixed) for a file, and with both forms some clients show the event twice.
//!
//! It does not sign (DKIM is the relay's work) and does not attach anything.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, Headers};
use lettre::message::{Body, Mailbox, Mailboxes, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use super::invitation::{Invitation, Method, Party};

/// Longest subject and display name, in characters; the rest is cut. Keeps every header line below 998 bytes.
const SUBJECT_MAX: usize = 200;
const NAME_MAX: usize = 80;
/// RFC 5322 2.1.1, without the CRLF.
const LINE_MAX: usize = 998;

/// A rendered mail to one recipient.
#[derive(Clone)]
pub struct Mail {
    /// `local@domain`, with or without angle brackets; the same for every attempt at one delivery.
    pub message_id: String,
    /// The instant at which the reminder was due, not the one of the attempt: the same rendered mail gives the same bytes again.
    pub date: Timestamp,
    pub from: String,
    pub from_name: String,
    pub reply_to: Option<String>,
    /// One address. A domain outside ASCII is sent in its ASCII form; a local part outside ASCII cannot be sent.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// For the recipient's calendar: from `from`, to `to`.
    pub invitation: Option<Invitation>,
    pub importance: Importance,
}

/// Whether mail programs should mark the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    Normal,
    High,
}

/// The bytes of one mail and the envelope they travel in. Only [`build`] makes one.
#[derive(Clone)]
pub struct WireMail {
    from: Address,
    to: Address,
    bytes: Arc<[u8]>,
    message_id: String,
    sha256: String,
}

impl WireMail {
    /// Of the envelope: where it comes back to.
    pub fn from(&self) -> &Address {
        &self.from
    }

    pub fn to(&self) -> &Address {
        &self.to
    }

    /// The same, with another address for it to come back to. The bytes do not change.
    pub(crate) fn returning_to(self, path: &str) -> Result<Self, BuildError> {
        let from = address("return_path", path)?;
        Ok(Self { from, ..self })
    }

    /// Ends with CRLF; not dot-stuffed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// With angle brackets.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// Of the bytes, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// Why a message cannot be put on the wire. The text is fit for a clerk and repeats nothing from the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("邮箱地址写法有误 / the e-mail address is malformed: {field}")]
    Address { field: &'static str },
    #[error("邮箱 @ 前的部分含非英文字符,无法投递 / the part of the e-mail address before the @ is not ASCII: {field}")]
    LocalPart { field: &'static str },
    #[error("Message-ID 写法有误 / the Message-ID is malformed")]
    MessageId,
    #[error("邮件未通过发出前的检查 / the finished mail failed the last check: {0}")]
    Wire(#[from] WireFault),
    #[error("短信网关模板出错 / a template of the SMS gateway failed: {key}: {detail}")]
    Template { key: String, detail: String },
    #[error("处理这封邮件时程序出错 / building the message failed inside the program")]
    Panicked,
}

/// What is wrong with finished bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    #[error("bare CR or LF")]
    LineBreak,
    #[error("a line above 998 bytes")]
    LongLine,
    #[error("a byte outside ASCII, or NUL")]
    Byte,
    #[error("no line break at the end")]
    Unfinished,
}

/// Builds the bytes. Total: any text in any field gives bytes or an error.
pub fn build(mail: &Mail) -> Result<WireMail, BuildError> {
    catch_unwind(AssertUnwindSafe(|| build_inner(mail))).unwrap_or(Err(BuildError::Panicked))
}

fn build_inner(mail: &Mail) -> Result<WireMail, BuildError> {
    let message_id = message_id(&mail.message_id)?;
    let from = address("from", &mail.from)?;
    let to = address("to", &mail.to)?;

    // `Message::builder` parses every mailbox back out of its own text, which costs more than all the rest; the headers
    // and the MIME parts it consists of do not.
    let mut headers = Headers::with_capacity(10);
    let from_name = Some(header_text(&mail.from_name, NAME_MAX).into_owned()).filter(|name| !name.is_empty());
    headers.set(header::From::from(mailboxes(from_name.clone(), from.clone())));
    headers.set(header::To::from(mailboxes(None, to.clone())));
    if let Some(reply_to) = &mail.reply_to {
        headers.set(header::ReplyTo::from(mailboxes(None, address("reply_to", reply_to)?)));
    }
    headers.set(header::Subject::from(
        header_text(&mail.subject, SUBJECT_MAX).into_owned(),
    ));
    headers.set(header::Date::new(system_time(mail.date)));
    headers.set(header::MessageId::from(message_id.clone()));
    // RFC 3834: keeps vacation programs and mailing lists from answering.
    headers.insert_raw(ascii_header("Auto-Submitted", "auto-generated"));
    if mail.importance == Importance::High {
        headers.insert_raw(ascii_header("Importance", "high"));
        headers.insert_raw(ascii_header("X-Priority", "1"));
    }
    headers.set(header::MIME_VERSION_1_0);

    let text = part(ContentType::TEXT_PLAIN, &mail.text);
    let html = mail.html.as_ref().map(|html| part(ContentType::TEXT_HTML, html));
    let calendar = mail.invitation.as_ref().map(|invitation| {
        let organizer = Party {
            name: from_name.as_deref(),
            address: from.as_ref(),
        };
        let text = invitation.calendar(&organizer, to.as_ref());
        part(calendar_type(invitation.method), &text)
    });
    let body = if html.is_none() && calendar.is_none() {
        text.formatted()
    } else {
        let parts = MultiPart::builder().header(alternative(&message_id)).singlepart(text);
        let richer = [html, calendar].into_iter().flatten();
        richer.fold(parts, MultiPart::singlepart).formatted()
    };
    let mut head = String::with_capacity(640);
    write!(head, "{headers}").expect("writing to a string cannot fail");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&body);

    check_wire(&bytes)?;
    Ok(WireMail {
        from,
        to,
        sha256: hex::encode(Sha256::digest(&bytes)),
        bytes: bytes.into(),
        message_id,
    })
}

fn mailboxes(name: Option<String>, address: Address) -> Mailboxes {
    Mailboxes::new().with(Mailbox::new(name, address))
}

fn ascii_header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn part(content_type: ContentType, text: &str) -> SinglePart {
    let body = Body::new_with_encoding(body_bytes(text), ContentTransferEncoding::Base64)
        .unwrap_or_else(|_| unreachable!("base64 takes any bytes"));
    SinglePart::builder().header(content_type).body(body)
}

/// Base64 has no hyphen, so the boundary cannot occur in a part.
fn alternative(message_id: &str) -> ContentType {
    let digest = hex::encode(&Sha256::digest(message_id)[..16]);
    ContentType::parse(&format!("multipart/alternative; boundary=\"xixin-{digest}\""))
        .expect("a fixed type with a hexadecimal boundary is well-formed")
}

/// The method stands in the type as well as in the calendar, and both must say the same (RFC 6047 2.4).
fn calendar_type(method: Method) -> ContentType {
    let method = method.name();
    ContentType::parse(&format!(
        "text/calendar; method={method}; charset=utf-8; component=VEVENT"
    ))
    .expect("a fixed type with a fixed method is well-formed")
}

/// lettre's date panics outside 1970 to 9999.
fn system_time(at: Timestamp) -> SystemTime {
    const END_OF_9999_S: i64 = 253_402_300_799;
    let seconds = at.as_second().clamp(0, END_OF_9999_S);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn message_id(given: &str) -> Result<String, BuildError> {
    let bare = given
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(given);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.@".contains(&byte);
    let whole =
        bare.len() <= 200 && bare.bytes().all(plain) && bare.split('@').filter(|part| !part.is_empty()).count() == 2;
    if whole && bare.matches('@').count() == 1 {
        Ok(format!("<{bare}>"))
    } else {
        Err(BuildError::MessageId)
    }
}

/// Checks an address and turns its domain into ASCII. Refuses whatever could end a command or a header.
fn address(field: &'static str, given: &str) -> Result<Address, BuildError> {
    let malformed = BuildError::Address { field };
    let given = given.trim_matches(' ');
    let unsafe_char = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\\' | '(' | ')' | ',' | ';' | ':')
    };
    if given.len() > 254 || given.contains(unsafe_char) {
        return Err(malformed);
    }
    let (local, domain) = given.rsplit_once('@').ok_or(malformed.clone())?;
    if !local.is_ascii() {
        return Err(BuildError::LocalPart { field });
    }
    let domain = ascii_domain(domain).ok_or(malformed.clone())?;
    Address::new(local, domain).map_err(|_| malformed)
}

/// IDNA (UTS 46) by way of the URL parser, which is the one place in the tree that does it.
fn ascii_domain(domain: &str) -> Option<Cow<'_, str>> {
    if domain.is_ascii() {
        return Some(Cow::Borrowed(domain));
    }
    let letters = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '。');
    if !domain.chars().all(letters) {
        return None;
    }
    let url = reqwest::Url::parse(&format!("http://{domain}/")).ok()?;
    url.domain().map(|domain| Cow::Owned(domain.to_owned()))
}

/// The sanitiser: what a header may say. Line breaks, controls and direction marks become one space, runs of spaces too;
/// at most `max` characters.
fn header_text(text: &str, max: usize) -> Cow<'_, str> {
    let clean = !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !text.contains(is_unfit)
        && text.chars().nth(max).is_none();
    if clean {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text
        .split(|c: char| c == ' ' || is_unfit(c))
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    match out.char_indices().nth(max) {
        Some((end, _)) => Cow::Owned(out[..end].trim_end().to_owned()),
        None => Cow::Owned(out),
    }
}

/// C0, DEL and C1; the two Unicode line breaks; marks that reorder what is read (UAX 9) and the byte order mark.
pub(super) fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// CRLF line ends; controls other than tab are dropped. What remains travels as base64.
fn body_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16 + 2);
    // What lies between two controls is taken over as a whole. In UTF-8 no other character holds the bytes of one.
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        let c1 = byte == 0xC2 && next.is_some_and(|next| (0x80..=0x9F).contains(next));
        let control = (byte < 0x20 && byte != b'\t') || byte == 0x7F || c1;
        if !control {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + if c1 { 2 } else { 1 };
        if byte == b'\n' || (byte == b'\r' && next != Some(&b'\n')) {
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out
}

/// The last look before the socket.
fn check_wire(bytes: &[u8]) -> Result<(), WireFault> {
    if !bytes.is_ascii() || bytes.contains(&0) {
        return Err(WireFault::Byte);
    }
    let Some(whole) = bytes.strip_suffix(b"\n") else {
        return Err(WireFault::Unfinished);
    };
    for line in whole.split(|&byte| byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\r").filter(|line| !line.contains(&b'\r')) else {
            return Err(WireFault::LineBreak);
        };
        if line.len() > LINE_MAX {
            return Err(WireFault::LongLine);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail {
            message_id: "d-1@xixin.example.org".to_owned(),
            date: Timestamp::from_second(1_795_507_200).unwrap(),
            from: "xixin@example.org".to_owned(),
            from_name: "信访大厅".to_owned(),
            reply_to: None,
            to: "li@example.org".to_owned(),
            subject: "期限将至".to_owned(),
            text: "您好\n请处理。\n".to_owned(),
            html: Some("<p>您好</p>".to_owned()),
            invitation: None,
            importance: Importance::Normal,
        }
    }

    #[test]
    fn a_rebuild_is_byte_identical_and_says_what_it_should() {
        let (first, second) = (build(&mail()).unwrap(), build(&mail()).unwrap());
        assert_eq!(first.bytes(), second.bytes());
        assert_eq!(first.sha256(), second.sha256());
        let text = String::from_utf8(first.bytes().to_vec()).unwrap();
        let expected = "From: =?utf-8?b?5L+h6K6/5aSn5Y6F?= <xixin@example.org>\r\n\
            To: li@example.org\r\n\
            Subject: =?utf-8?b?5pyf6ZmQ5bCG6Iez?=\r\n\
            Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n\
            Message-ID: <d-1@xixin.example.org>\r\n\
            Auto-Submitted: auto-generated\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative;\r\n boundary=\"xixin-";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches("Content-Transfer-Encoding: base64").count(), 2);
        assert!(!text.contains("User-Agent"));
    }

    #[test]
    fn rustsec_2026_0561_a_bare_line_break_never_reaches_the_wire() {
        for hostile in [
            "a\rBcc: x@example.org",
            "a\nBcc: x@example.org",
            "a\r\nBcc: x@example.org",
            "a\n.\nQUIT",
        ] {
            let mail = Mail {
                subject: hostile.to_owned(),
                from_name: hostile.to_owned(),
                text: hostile.to_owned(),
                html: Some(hostile.to_owned()),
                ..mail()
            };
            let wire = build(&mail).unwrap();
            let text = String::from_utf8(wire.bytes().to_vec()).unwrap();
            assert!(!text.contains("\nBcc") && !text.contains("\n."), "{text}");
        }
        for field in ["li@example.org\rx", "li@example.org\nx", "\rli@example.org"] {
            assert!(
                build(&Mail {
                    to: field.to_owned(),
                    ..mail()
                })
                .is_err()
            );
            assert!(
                build(&Mail {
                    from: field.to_owned(),
                    ..mail()
                })
                .is_err()
            );
            assert!(
                build(&Mail {
                    reply_to: Some(field.to_owned()),
                    ..mail()
                })
                .is_err()
            );
            assert!(
                build(&Mail {
                    message_id: field.to_owned(),
                    ..mail()
                })
                .is_err()
            );
        }
    }

    #[test]
    fn rustsec_2026_0564_a_line_break_in_a_display_name_does_not_panic() {
        for name in ["\r", "\n", "李\r\n雷", "a\rb", "\r\n", ""] {
            assert!(
                build(&Mail {
                    from_name: name.to_owned(),
                    ..mail()
                })
                .is_ok(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_date_outside_what_mail_can_say_is_moved_not_fatal() {
        for date in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            assert!(build(&Mail { date, ..mail() }).is_ok(), "{date}");
        }
    }

    #[test]
    fn finished_bytes_are_checked_once_more() {
        let long = format!("{}\r\n", "a".repeat(999));
        let table: [(&[u8], Result<(), WireFault>); 9] = [
            (b"a\r\n\r\nb\r\n", Ok(())),
            (b"a\nb\r\n", Err(WireFault::LineBreak)),
            (b"a\rb\r\n", Err(WireFault::LineBreak)),
            (b"a\r\r\n", Err(WireFault::LineBreak)),
            (b"a\0\r\n", Err(WireFault::Byte)),
            (b"\xe5\r\n", Err(WireFault::Byte)),
            (b"a\r\nb", Err(WireFault::Unfinished)),
            (b"", Err(WireFault::Unfinished)),
            (long.as_bytes(), Err(WireFault::LongLine)),
        ];
        for (bytes, expected) in table {
            assert_eq!(check_wire(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_header_says_one_line_of_limited_length() {
        let table = [
            ("期限 将至", 80, "期限 将至"),
            ("  a  b ", 80, "a b"),
            ("a\r\n\tb", 80, "a b"),
            ("a\u{202E}b\u{2028}c\u{85}d\u{FEFF}", 80, "a b c d"),
            ("\r\n", 80, ""),
            ("一二三四五六", 4, "一二三四"),
            ("abc def", 4, "abc"),
        ];
        for (text, max, expected) in table {
            assert_eq!(header_text(text, max), expected, "{text:?}");
        }
    }

    #[test]
    fn body_lines_end_with_crlf_and_hold_no_controls() {
        assert_eq!(body_bytes("a\nb\rc\r\nd\0\x1b\te"), b"a\r\nb\r\nc\r\nd\te");
        let table = [
            ("", ""),
            ("\r\r\n\n", "\r\n\r\n\r\n"),
            ("\u{7f}\u{80}\u{9f}\u{a0}\u{85}£Â期", "\u{a0}£Â期"),
            ("x\u{85}", "x"),
        ];
        for (text, body) in table {
            assert_eq!(body_bytes(text), body.as_bytes(), "{text:?}");
        }
    }
}
