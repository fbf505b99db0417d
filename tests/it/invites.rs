//! Mails about something that binds people carry an invitation, and the calendar follows every change.

use std::fs;

use base64::Engine as _;
use serde_json::json;

use crate::support::hall::Hall;

/// The calendars in the mails that have left since the last look, unfolded.
fn calendars(hall: &Hall) -> Vec<String> {
    let folder = hall.dir.path().join("state/maildir/new");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let raw = fs::read_to_string(&path).unwrap();
        if let Some((_, part)) = raw.split_once("Content-Type: text/calendar") {
            let (_, body) = part.split_once("\r\n\r\n").unwrap();
            let encoded: String = body.split("\r\n--").next().unwrap().split_ascii_whitespace().collect();
            let text = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
            found.push(String::from_utf8(text).unwrap().replace("\r\n ", ""));
        }
        fs::remove_file(path).unwrap();
    }
    found
}

fn line<'a>(calendar: &'a str, name: &str) -> &'a str {
    let line = calendar.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in {calendar}"))
}

#[tokio::test]
pub(crate) async fn a_calendar_follows_an_escort_from_booking_to_cancelling() {
    let hall = Hall::open("2026-03-02 10:00").await;
    hall.without_digest("2026-03-02").await;
    let case = hall
        .take_in(
            "lin",
            json!({
                "resident": { "name": "沈静之", "phone": "13900000021" },
                "matter": "medical_gap",
                "request": "去做鉴定",
                "escorts": [{ "what": "现场办理", "office": "medical_insurance", "visit": "2026-03-05T09:30", "from": "示例路5号" }]
            }),
        )
        .await;
    hall.settle().await;
    let booked = calendars(&hall);
    assert_eq!(booked.len(), 1, "{booked:?}");
    assert_eq!(line(&booked[0], "METHOD"), "METHOD:REQUEST");
    assert_eq!(line(&booked[0], "SEQUENCE"), "SEQUENCE:0");
    assert_eq!(
        line(&booked[0], "DTSTART;"),
        "DTSTART;TZID=Asia/Shanghai:20260305T090000"
    );

    assert!(
        !booked[0].contains("示例路5号"),
        "where they live stays on the case page"
    );

    let escort = json!({ "do": "move_escort", "item": "e2", "visit": "2026-03-06T09:30" });
    hall.act("lin", &case, escort).await.unwrap();
    hall.settle().await;
    let moved = calendars(&hall);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!(line(&moved[0], "SEQUENCE"), "SEQUENCE:1");
    assert_eq!(line(&moved[0], "UID"), line(&booked[0], "UID"));

    let off = json!({ "do": "cancel_escort", "item": "e2", "reason": "居民改主意" });
    hall.act("lin", &case, off).await.unwrap();
    hall.settle().await;
    let off = calendars(&hall);
    assert_eq!(off.len(), 1, "{off:?}");
    assert_eq!(line(&off[0], "METHOD"), "METHOD:CANCEL");
    assert_eq!(line(&off[0], "STATUS"), "STATUS:CANCELLED");
    assert_eq!(line(&off[0], "SEQUENCE"), "SEQUENCE:2");
}

#[tokio::test]
pub(crate) async fn who_gives_an_escort_away_loses_it_from_their_calendar_and_gets_it_again_when_it_comes_back() {
    let hall = Hall::open("2026-03-02 10:00").await;
    hall.without_digest("2026-03-02").await;
    let case = hall
        .take_in(
            "lin",
            json!({
                "resident": { "name": "沈静之", "phone": "13900000021" },
                "matter": "medical_gap",
                "request": "去做鉴定",
                "escorts": [{ "what": "现场办理", "office": "medical_insurance", "visit": "2026-03-05T09:30", "with": "hao" }]
            }),
        )
        .await;
    // Method, sequence and address of what a pass sends, the address in order.
    let passed = async |to: &str| {
        let pass = json!({ "do": "pass", "item": "e2", "to": to });
        hall.act("gu", &case, pass).await.unwrap();
        hall.settle().await;
        let left = calendars(&hall);
        let mut told: Vec<String> = left
            .iter()
            .map(|one| {
                let attendee = line(one, "ATTENDEE").rsplit(':').next().unwrap();
                format!("{attendee} {} {}", line(one, "METHOD"), line(one, "SEQUENCE"))
            })
            .collect();
        told.sort();
        told
    };
    hall.settle().await;
    assert_eq!(line(&calendars(&hall)[0], "SEQUENCE"), "SEQUENCE:0");
    assert_eq!(
        passed("an").await,
        [
            "an@example.org METHOD:REQUEST SEQUENCE:1",
            "hao@example.org METHOD:CANCEL SEQUENCE:1"
        ]
    );
    // A calendar takes only what is newer than what it knows.
    hall.run_until("2026-03-02 10:05").await;
    assert_eq!(
        passed("hao").await,
        [
            "an@example.org METHOD:CANCEL SEQUENCE:2",
            "hao@example.org METHOD:REQUEST SEQUENCE:2"
        ]
    );
}
