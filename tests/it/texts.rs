//! The texts: the shipped ones word for word, and what no template can be made to say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use xixin::config::problem::Problem;
use xixin::domain::ladder::{Audience, Way};
use xixin::domain::text::{sms_segments, sms_units};
use xixin::template::Texts;

use crate::support::hall::{Hall, Left, copy_dir, shipped};

/// Compares with a file that a person has read. `XIXIN_GOLDEN=write cargo test` writes it anew, to be read again.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "tests/golden/{name} differs");
}

/// What left, as a person would read it; ids of this run are left out.
fn read_out(left: &[Left]) -> String {
    let mut text = String::new();
    for message in left {
        let way = message.way.name();
        let _ = writeln!(text, "==== {way} → {}", message.to);
        if !message.subject.is_empty() {
            let _ = writeln!(text, "{}\n", message.subject);
        }
        let _ = writeln!(text, "{}\n", message.text.replace("\r\n", "\n").trim_end());
    }
    without_ids(&text)
}

/// Task ids are drawn anew in every run.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4;
    let mut out = String::new();
    for (index, piece) in text.split("task=").enumerate() {
        if index > 0 {
            out.push_str("task=");
        }
        match piece.get(..36).filter(|word| is_id(word)) {
            Some(_) => {
                out.push_str("<id>");
                out.push_str(&piece[36..]);
            }
            None => out.push_str(piece),
        }
    }
    out
}

fn shen() -> serde_json::Value {
    json!({ "name": "沈静之", "gender": "female", "phone": "13900000001", "email": "shen@example.org", "born": 1979 })
}

#[tokio::test]
async fn a_deadline_is_told_word_for_word() {
    let hall = Hall::open("2026-03-02 08:00").await;
    hall.take_in(
        "lin",
        json!({
            "resident": shen(), "matter": "cremation_certificate", "request": "父亲的火化证明找不到了。",
            "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-03-20" }],
        }),
    )
    .await;
    let mut all = String::new();
    for (what, until) in [
        ("14 days ahead", "2026-03-06 20:00"),
        ("7 days ahead", "2026-03-13 20:00"),
        ("the last days", "2026-03-17 20:00"),
        ("the eve", "2026-03-19 20:00"),
        ("too late", "2026-03-23 20:00"),
    ] {
        hall.run_until(until).await;
        let _ = writeln!(all, "######## {what}\n\n{}", read_out(&hall.take_reminders()));
    }
    golden("deadline.txt", &all);
}
