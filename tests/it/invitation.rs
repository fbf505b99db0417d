//! Calendar invitations: what leaves in the mail, read back from its bytes by a reader that shares no code with the writer.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use xixin::channel::build::{Importance, Mail, build};
use xixin::channel::invitation::{Invitation, Method};

use crate::support::rulebook::at_in;

fn invitation(zone: &str, start: &str, end: &str) -> Invitation {
    let zone = TimeZone::get(zone).unwrap();
    Invitation {
        method: Method::Request,
        uid: Invitation::uid("2026-000017", "a3", "xixin.example.org"),
        sequence: 0,
        stamp: "2026-03-02T01:30:00Z".parse().unwrap(),
        start: at_in(start, &zone),
        end: at_in(end, &zone),
        zone,
        summary: "陪同办理:沈女士; 请带身份证, 户口本".to_owned(),
        location: Some("示例区档案室, 示例路8号".to_owned()),
        description: Some(
            "上门接 09:00\n到达 09:30\n送回 12:00前\n如有变动请致电大厅 010-00002100,不必回复这封邮件。".to_owned(),
        ),
        attendee: Some("郝平川".to_owned()),
    }
}

fn beijing() -> Invitation {
    invitation("Asia/Shanghai", "2026-03-05 09:00", "2026-03-05 12:00")
}

fn mail(invitation: Invitation) -> Mail {
    Mail {
        message_id: "r-1@xixin.example.org".to_owned(),
        date: "2026-03-02T01:30:00Z".parse().unwrap(),
        from: "xixin@example.org".to_owned(),
        from_name: "陶然亭“悉心听”窗口".to_owned(),
        reply_to: None,
        to: "hao@example.org".to_owned(),
        subject: "[悉心听][陶然亭] 3月5日陪同办理".to_owned(),
        text: "3月5日(周四) 9点 上门接。\n".to_owned(),
        html: Some("<p>3月5日(周四) 9点 上门接。</p>".to_owned()),
        invitation: Some(invitation),
        importance: Importance::Normal,
    }
}

fn wire(invitation: Invitation) -> String {
    String::from_utf8(build(&mail(invitation)).unwrap().bytes().to_vec()).unwrap()
}

/// The head and the decoded text of the calendar's part.
fn calendar(invitation: Invitation) -> (String, String) {
    let bytes = wire(invitation);
    let part = bytes
        .split("\r\n--xixin-")
        .find(|part| part.contains("text/calendar"))
        .unwrap();
    let (head, body) = part.split_once("\r\n\r\n").unwrap();
    let body: String = body.split_whitespace().collect();
    let text = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
    (head.split_once("\r\n").unwrap().1.to_owned(), text)
}

/// Name with parameters, and value, of every line; folds undone and checked.
fn lines(text: &str) -> Vec<(String, String)> {
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
    let whole = text.replace("\r\n ", "");
    let split = |line: &str| {
        let mut quoted = false;
        let colon = line.find(|letter| {
            quoted ^= letter == '"';
            letter == ':' && !quoted
        });
        let (name, value) = line.split_at(colon.unwrap());
        (name.to_owned(), value[1..].to_owned())
    };
    whole.lines().map(split).collect()
}

/// Of the event; what stands in the zone is left out.
fn value(text: &str, name: &str) -> Option<String> {
    let mut found = lines(text);
    if let Some(end) = found.iter().position(|line| line.1 == "VTIMEZONE" && line.0 == "END") {
        found.drain(..end);
    }
    let mut values = found
        .iter()
        .filter(|(key, _)| key.split(';').next() == Some(name))
        .map(|(_, value)| value.to_owned());
    let first = values.next();
    assert_eq!(values.next(), None, "{name} stands twice");
    first
}

fn unescaped(value: &str) -> String {
    let (mut text, mut letters) = (String::new(), value.chars());
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next().unwrap() {
                'n' => text.push('\n'),
                letter => text.push(letter),
            },
            (letter, _) => text.push(letter),
        }
    }
    text
}

fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(found, expected, "tests/golden/{name} differs");
}

#[test]
fn an_invitation_reads_as_a_person_reviewed_it() {
    let cancel = Invitation {
        method: Method::Cancel,
        sequence: 2,
        description: None,
        ..beijing()
    };
    // Kept with plain line ends, as every file of the project; `lines` looks at the CRLF.
    let told = |invitation| calendar(invitation).1.replace("\r\n", "\n");
    golden("invitation-request.ics", &told(beijing()));
    golden("invitation-cancel.ics", &told(cancel));
    let berlin = invitation("Europe/Berlin", "2026-03-28 22:00", "2026-03-29 04:00");
    golden("invitation-summer-time.ics", &told(berlin));
    golden("invitation.eml", &wire(beijing()).replace("\r\n", "\n"));
}

#[test]
fn the_same_invitation_gives_the_same_bytes() {
    let (first, second) = (build(&mail(beijing())).unwrap(), build(&mail(beijing())).unwrap());
    assert_eq!(first.bytes(), second.bytes());
    assert_eq!(first.message_id(), "<r-1@xixin.example.org>");
}

#[test]
fn the_calendar_is_the_last_alternative_and_its_type_tells_its_method() {
    for (method, name) in [(Method::Request, "REQUEST"), (Method::Cancel, "CANCEL")] {
        let event = Invitation { method, ..beijing() };
        let (head, text) = calendar(event.clone());
        let head = head.replace("\r\n ", " ");
        let expected = format!("Content-Type: text/calendar; method={name}; charset=utf-8; component=VEVENT");
        assert!(head.lines().any(|line| line == expected), "{head}");
        assert!(text.contains(&format!("\r\nMETHOD:{name}\r\n")));
        let bytes = wire(event);
        let places = ["multipart/alternative", "text/plain", "text/html", "text/calendar"].map(|kind| bytes.find(kind));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
        assert!(!bytes.contains("Content-Disposition"));
    }
}

#[test]
fn a_mail_without_html_carries_its_invitation_as_well() {
    let bytes = build(&Mail {
        html: None,
        ..mail(beijing())
    })
    .unwrap();
    let text = String::from_utf8(bytes.bytes().to_vec()).unwrap();
    assert!(text.contains("multipart/alternative") && text.contains("text/calendar") && !text.contains("text/html"));
}

#[test]
fn a_cancelled_event_says_so_and_keeps_its_name() {
    let cancel = Invitation {
        method: Method::Cancel,
        sequence: 1,
        ..beijing()
    };
    let (request, cancel) = (calendar(beijing()).1, calendar(cancel).1);
    assert_eq!(value(&request, "UID"), value(&cancel, "UID"));
    assert_eq!(value(&request, "STATUS").as_deref(), Some("CONFIRMED"));
    assert_eq!(value(&cancel, "STATUS").as_deref(), Some("CANCELLED"));
    assert_eq!(value(&cancel, "SEQUENCE").as_deref(), Some("1"));
    assert!(!cancel.contains("RSVP") && !cancel.contains("PARTSTAT"));
}

#[test]
fn an_event_is_private_without_alarm_and_asks_for_no_answer() {
    let text = calendar(beijing()).1;
    assert_eq!(value(&text, "CLASS").as_deref(), Some("PRIVATE"));
    assert!(!text.contains("VALARM") && text.replace("\r\n ", "").contains("RSVP=FALSE"));
}

/// Organizer and attendee are sender and recipient, whatever the names are: nobody else's calendar gets it.
#[test]
fn it_invites_the_recipient_in_the_name_of_the_sender() {
    let event = Invitation {
        attendee: Some("郝\"\r\nATTENDEE:mailto:x@example.org".to_owned()),
        ..beijing()
    };
    let text = calendar(event).1;
    assert_eq!(value(&text, "ORGANIZER").as_deref(), Some("mailto:xixin@example.org"));
    assert_eq!(value(&text, "ATTENDEE").as_deref(), Some("mailto:hao@example.org"));
    assert!(
        lines(&text)
            .iter()
            .any(|(name, _)| name == "ORGANIZER;CN=\"陶然亭“悉心听”窗口\"")
    );
}

/// The instants that somebody understands who knows only what the part says of the zone.
fn understood(text: &str, name: &str) -> Timestamp {
    let all = lines(text);
    let event = all.iter().position(|line| line.1 == "VEVENT").unwrap();
    let (key, value) = all[event..]
        .iter()
        .find(|(key, _)| key.split(';').next() == Some(name))
        .unwrap();
    let local = |text: &str| -> DateTime { DateTime::strptime("%Y%m%dT%H%M%S", text.trim_end_matches('Z')).unwrap() };
    let utc = |at: DateTime, offset: i64| TimeZone::UTC.to_timestamp(at).unwrap().as_second() - offset;
    if value.ends_with('Z') {
        return Timestamp::from_second(utc(local(value), 0)).unwrap();
    }
    assert!(key.contains(";TZID="), "{key}");
    let seconds = |offset: &str| {
        let part = |at: usize| offset.get(at..at + 2).map_or(0, |part| part.parse::<i64>().unwrap());
        let total = part(1) * 3_600 + part(3) * 60 + part(5);
        if offset.starts_with('-') { -total } else { total }
    };
    let mut onsets: Vec<(DateTime, i64)> = Vec::new();
    let mut current: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, value) in &all {
        match (key.as_str(), value.as_str()) {
            ("BEGIN", _) => current.clear(),
            ("END", "STANDARD" | "DAYLIGHT") => {
                onsets.push((local(current["DTSTART"]), seconds(current["TZOFFSETTO"])));
            }
            (key, value) => drop(current.insert(key, value)),
        }
    }
    // Onsets are told on the wall clock as it was until then, so that of two readings in a fold the first counts (RFC 5545 3.3.5).
    let at = local(value);
    let before = onsets.iter().rev().find(|(from, _)| *from <= at);
    let (_, offset) = before.expect("an onset before the event");
    Timestamp::from_second(utc(at, *offset)).unwrap()
}

#[test]
fn an_event_at_any_time_is_understood_from_what_the_part_says_of_the_zone() {
    for name in [
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "UTC",
        "Etc/GMT-8",
    ] {
        let zone = TimeZone::get(name).unwrap();
        let first: Timestamp = "2026-01-01T00:15:00Z".parse().unwrap();
        let spread = (0..8_760)
            .step_by(61)
            .map(|hours| first + jiff::SignedDuration::from_hours(hours));
        // Every quarter of an hour near the changes of the year's offsets.
        let changes = zone.following(first).take(4).map(|change| change.timestamp());
        let near = changes.flat_map(|at| (-16..=16).map(move |n| at + jiff::SignedDuration::from_mins(15 * n)));
        for start in spread.chain(near) {
            let end = start + jiff::SignedDuration::from_mins(150);
            let event = Invitation {
                start,
                end,
                zone: zone.clone(),
                description: None,
                ..beijing()
            };
            let text = calendar(event).1;
            assert_eq!(understood(&text, "DTSTART"), start, "{text}");
            assert_eq!(understood(&text, "DTEND"), end, "{text}");
        }
    }
}

#[test]
fn beijing_needs_one_onset_and_a_zone_without_a_name_none() {
    let text = calendar(beijing()).1;
    assert_eq!(
        (
            text.matches("BEGIN:STANDARD").count(),
            text.matches("BEGIN:DAYLIGHT").count()
        ),
        (1, 0)
    );
    assert!(text.contains("\r\nTZOFFSETTO:+0800\r\n"));
    let nameless = Invitation {
        zone: TimeZone::posix("CST-8").unwrap(),
        ..beijing()
    };
    let text = calendar(nameless).1;
    assert!(!text.contains("VTIMEZONE"));
    assert_eq!(value(&text, "DTSTART").as_deref(), Some("20260305T010000Z"));
}

#[test]
fn an_event_without_length_tells_no_end() {
    let event = beijing();
    let text = calendar(Invitation {
        end: event.start,
        ..event
    })
    .1;
    assert_eq!(value(&text, "DTEND"), None);
    assert!(value(&text, "DTSTART").is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_read_back(
        summary in "[\\PC\n]{0,120}",
        location in "\\PC{1,120}",
        uid in "[a-z0-9-]{1,90}",
        second in proptest::num::i64::ANY,
    ) {
        let start = Timestamp::from_second(second.rem_euclid(4_000_000_000)).unwrap();
        let event = Invitation {
            uid: uid.clone(), summary: summary.clone(), location: Some(location.clone()), start, ..beijing()
        };
        let text = calendar(event).1;
        let unseen = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        let shown = |text: &str| text.trim().replace(unseen, "");
        prop_assert_eq!(unescaped(&value(&text, "SUMMARY").unwrap()), shown(&summary));
        prop_assert_eq!(unescaped(&value(&text, "LOCATION").unwrap()), shown(&location));
        prop_assert_eq!(value(&text, "UID").unwrap(), uid);
        let extreme = Invitation { start: Timestamp::MAX, end: Timestamp::MIN, stamp: Timestamp::MAX, ..beijing() };
        prop_assert!(build(&mail(extreme)).is_ok());
    }
}
