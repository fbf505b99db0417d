//! A calendar invitation as the text of its `text/calendar` part (RFC 5545, 5546, 6047).
//!
//! Always: one event for one attendee; every content line ends with CRLF and is folded at 75 octets, never inside a character
//! (RFC 5545 3.1); the same [`Invitation`] gives the same text. Times are told in the hall's zone, with exactly the onsets from the
//! zone data that the event needs; where a wall-clock time would be ambiguous, or the zone has no name, they are told in UTC.
//! The event is private, and brings no alarm: reminding is the ladder's work.
//!
//! It does not judge what may be said to whom: the words come finished. Answers are not asked for (RSVP=FALSE), because nobody
//! reads them; the hall hears of a resident who cannot come over its line.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{Dst, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::build::is_unfit;

/// RFC 5545 3.1, without the CRLF.
const LINE_MAX: usize = 75;
/// Longest text of a property, in characters; the rest is cut.
const TEXT_MAX: usize = 2_000;

const MOMENT: SignedDuration = SignedDuration::from_nanos(1);
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);
/// More changes of offset than these are in no event that somebody is invited to.
const ONSETS_MAX: usize = 8;

/// What the attendee's calendar should do. Organizer and attendee are the sender and the recipient of the mail that carries it.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub method: Method,
    /// Names the event for all its life, over moves and its cancelling; see [`Invitation::uid`].
    pub uid: String,
    /// Rises with every move, and once more with the cancelling: calendars ignore what is older than what they know.
    pub sequence: u32,
    /// When the facts told here were settled, not the instant of the attempt: a resend gives the same text.
    pub stamp: Timestamp,
    pub start: Timestamp,
    /// Exclusive. Not after `start`: the event takes no time.
    pub end: Timestamp,
    /// The hall's.
    pub zone: TimeZone,
    pub summary: String,
    pub location: Option<String>,
    pub description: Option<String>,
    /// The attendee's name as the calendar shows it.
    pub attendee: Option<String>,
}

/// What is asked of the calendar (RFC 5546 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Puts the event in, or moves it.
    Request,
    /// Takes the event out.
    Cancel,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Request => "CONFIRMED",
            Self::Cancel => "CANCELLED",
        }
    }
}

impl Invitation {
    /// The name of an item's event, in the same words for every recipient: a relative and a resident hear of one event.
    pub fn uid(case: &str, item: &str, domain: &str) -> String {
        format!("{case}-{item}@{domain}")
    }

    /// The calendar, for the organizer and attendee with these addresses, whose form has been checked.
    pub(crate) fn calendar(&self, organizer: &Party<'_>, attendee: &str) -> String {
        let times = Times::of(self);
        let mut out = Lines(String::with_capacity(1_024));
        out.line("BEGIN:VCALENDAR");
        out.line("VERSION:2.0");
        out.line("PRODID:-//xixin//xixin//ZH");
        out.line("CALSCALE:GREGORIAN");
        out.line(&format!("METHOD:{}", self.method.name()));
        if let Times::Local { zone, onsets, .. } = &times {
            time_zone(zone, onsets, &mut out);
        }
        out.line("BEGIN:VEVENT");
        out.text("UID", &self.uid);
        out.line(&format!("SEQUENCE:{}", self.sequence));
        out.line(&format!("DTSTAMP:{}", in_utc(self.stamp)));
        let (start, end) = times.written(self);
        out.line(&format!("DTSTART{start}"));
        // An end that is not later may not be told (RFC 5545 3.8.2.2); without one the event takes no time.
        if self.start < self.end {
            out.line(&format!("DTEND{end}"));
        }
        out.text("SUMMARY", &self.summary);
        if let Some(location) = &self.location {
            out.text("LOCATION", location);
        }
        if let Some(description) = &self.description {
            out.text("DESCRIPTION", description);
        }
        out.line(&format!(
            "ORGANIZER{}:mailto:{}",
            common_name(organizer.name),
            organizer.address
        ));
        let asked = match self.method {
            Method::Request => ";PARTSTAT=NEEDS-ACTION;RSVP=FALSE",
            Method::Cancel => "",
        };
        out.line(&format!(
            "ATTENDEE{};CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT{asked}:mailto:{attendee}",
            common_name(self.attendee.as_deref())
        ));
        out.line("CLASS:PRIVATE");
        out.line(&format!("STATUS:{}", self.method.status()));
        out.line("TRANSP:OPAQUE");
        out.line("END:VEVENT");
        out.line("END:VCALENDAR");
        out.0
    }
}

/// Who invites.
pub(crate) struct Party<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) address: &'a str,
}

/// How start and end are told.
enum Times {
    Local {
        zone: String,
        start: DateTime,
        end: DateTime,
        onsets: Vec<Onset>,
    },
    Utc,
}

impl Times {
    fn of(invitation: &Invitation) -> Self {
        let zone = &invitation.zone;
        let (start, end) = (invitation.start, invitation.end.max(invitation.start));
        // A TZID is a parameter value; nothing but an IANA name may stand there unquoted.
        let name = zone.iana_name().filter(|name| *name != "UTC" && is_zone_name(name));
        // In a fold, RFC 5545 3.3.5 reads a local time as the first of the two; the second can only be told in UTC.
        let read_back = |at: Timestamp| zone.to_timestamp(zone.to_datetime(at)).ok() == Some(at);
        match name {
            Some(name) if read_back(start) && read_back(end) => Self::Local {
                zone: name.to_owned(),
                start: zone.to_datetime(start),
                end: zone.to_datetime(end),
                onsets: onsets(zone, start, end),
            },
            _ => Self::Utc,
        }
    }

    /// What follows `DTSTART` and `DTEND`.
    fn written(&self, invitation: &Invitation) -> (String, String) {
        match self {
            Self::Local { zone, start, end, .. } => (
                format!(";TZID={zone}:{}", local(*start)),
                format!(";TZID={zone}:{}", local(*end)),
            ),
            Self::Utc => (
                format!(":{}", in_utc(invitation.start)),
                format!(":{}", in_utc(invitation.end.max(invitation.start))),
            ),
        }
    }
}

/// From when a zone keeps an offset.
struct Onset {
    kind: Dst,
    /// On the wall clock as it was until then (RFC 5545 3.6.5).
    from: DateTime,
    before: Offset,
    after: Offset,
    name: String,
}

/// The onset in force when the event starts, and those after it through the first that comes after its end. Each stands for
/// itself, without a rule of recurrence: the event happens once, and no guess at a rule can be wrong.
fn onsets(zone: &TimeZone, start: Timestamp, end: Timestamp) -> Vec<Onset> {
    // A transition at the very instant of the start is in force; `preceding` leaves that instant out.
    let next = start.saturating_add(MOMENT).unwrap_or(start);
    let Some(current) = zone.preceding(next).next() else {
        return vec![since_ever(zone, start)];
    };
    // Standard and summer time alternate about half-yearly: what comes much later is no part of this event's year.
    let horizon = end.saturating_add(YEAR).unwrap_or(end);
    let mut onsets = vec![current.timestamp()];
    for later in zone.following(start).take(ONSETS_MAX) {
        if later.timestamp() > horizon {
            break;
        }
        onsets.push(later.timestamp());
        if later.timestamp() > end {
            break;
        }
    }
    onsets.into_iter().map(|at| onset(zone, at)).collect()
}

fn onset(zone: &TimeZone, at: Timestamp) -> Onset {
    let before = zone.to_offset(at.saturating_sub(MOMENT).unwrap_or(at));
    let info = zone.to_offset_info(at);
    Onset {
        kind: info.dst(),
        from: before.to_datetime(at),
        before,
        after: info.offset(),
        name: info.abbreviation().to_owned(),
    }
}

/// Of a zone that never changed.
fn since_ever(zone: &TimeZone, at: Timestamp) -> Onset {
    let info = zone.to_offset_info(at);
    Onset {
        kind: info.dst(),
        from: DateTime::constant(1601, 1, 1, 0, 0, 0, 0),
        before: info.offset(),
        after: info.offset(),
        name: info.abbreviation().to_owned(),
    }
}

fn time_zone(name: &str, onsets: &[Onset], out: &mut Lines) {
    out.line("BEGIN:VTIMEZONE");
    out.line(&format!("TZID:{name}"));
    for onset in onsets {
        let kind = if onset.kind.is_dst() { "DAYLIGHT" } else { "STANDARD" };
        out.line(&format!("BEGIN:{kind}"));
        out.line(&format!("DTSTART:{}", local(onset.from)));
        out.line(&format!("TZOFFSETFROM:{}", offset(onset.before)));
        out.line(&format!("TZOFFSETTO:{}", offset(onset.after)));
        out.text("TZNAME", &onset.name);
        out.line(&format!("END:{kind}"));
    }
    out.line("END:VTIMEZONE");
}

fn is_zone_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
}

fn in_utc(at: Timestamp) -> String {
    let mut text = local(Offset::UTC.to_datetime(at));
    text.push('Z');
    text
}

fn local(at: DateTime) -> String {
    strtime::format("%Y%m%dT%H%M%S", at).expect("a date and a time of day have all of these parts")
}

/// `+0800`; seconds only where a zone has them (RFC 5545 3.3.14).
fn offset(offset: Offset) -> String {
    let total = offset.seconds();
    let sign = if total < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) = (total.abs() / 3_600, total.abs() / 60 % 60, total.abs() % 60);
    if seconds == 0 {
        format!("{sign}{hours:02}{minutes:02}")
    } else {
        format!("{sign}{hours:02}{minutes:02}{seconds:02}")
    }
}

/// `;CN="…"`. A parameter value has no escape for a quotation mark (RFC 5545 3.2), so it becomes a typographic one.
fn common_name(name: Option<&str>) -> String {
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(|letter| !is_unfit(*letter))
        .take(80)
        .map(|letter| if letter == '"' { '\u{201d}' } else { letter })
        .collect();
    if name.trim().is_empty() {
        String::new()
    } else {
        format!(";CN=\"{}\"", name.trim())
    }
}

/// Content lines.
struct Lines(String);

impl Lines {
    /// A line without anything to escape in it, folded.
    fn line(&mut self, line: &str) {
        let mut room = LINE_MAX;
        for letter in line.chars() {
            if letter.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE_MAX - 1;
            }
            self.0.push(letter);
            room -= letter.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// A property whose value is a text (RFC 5545 3.3.11).
    fn text(&mut self, name: &str, value: &str) {
        let mut line = format!("{name}:");
        let mut letters = value.trim().chars().take(TEXT_MAX).peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' | ';' | ',' => line.extend(['\\', letter]),
                '\r' if letters.peek() == Some(&'\n') => {}
                '\r' | '\n' => line.push_str("\\n"),
                '\t' => line.push(' '),
                letter if is_unfit(letter) => {}
                letter => line.push(letter),
            }
        }
        self.line(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_folded_at_75_octets_and_never_inside_a_character() {
        for text in ["a".repeat(200), "悉".repeat(60), format!("a{}", "𠮷é".repeat(40))] {
            let mut out = Lines(String::new());
            out.line(&text);
            assert!(out.0.split("\r\n").all(|line| line.len() <= LINE_MAX), "{}", out.0);
            assert!(out.0.split("\r\n").next().unwrap().len() > LINE_MAX - 4);
            assert_eq!(out.0.replace("\r\n ", ""), format!("{text}\r\n"));
        }
    }

    #[test]
    fn a_text_can_end_neither_its_line_nor_its_value() {
        let table = [
            ("a,b;c\\d", "X:a\\,b\\;c\\\\d\r\n"),
            ("a\r\nEND:VEVENT\rb\nc", "X:a\\nEND:VEVENT\\nb\\nc\r\n"),
            ("a\0\u{202e}b\u{2028}c\td", "X:abc d\r\n"),
            ("", "X:\r\n"),
        ];
        for (text, expected) in table {
            let mut out = Lines(String::new());
            out.text("X", text);
            assert_eq!(out.0, expected, "{text:?}");
        }
        assert_eq!(common_name(Some("沈\"小\r\n兰\"")), ";CN=\"沈”小兰”\"");
        assert_eq!(common_name(Some(" \u{feff}")), "");
    }

    #[test]
    fn an_offset_tells_its_sign_and_seconds_only_where_there_are_any() {
        for (seconds, expected) in [
            (28_800, "+0800"),
            (-12_600, "-0330"),
            (0, "+0000"),
            (29_143, "+080543"),
            (-1_800, "-0030"),
        ] {
            assert_eq!(offset(Offset::from_seconds(seconds).unwrap()), expected);
        }
    }
}
