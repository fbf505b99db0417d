//! Whatever comes in from outside is answered, never with a panic: files for the import, what people write into
//! the configuration, periods and ladders, dates and money.
//!
//! A short run is part of the ordinary tests. A long one, on as many cores as one likes:
//!
//! ```text
//! BOLERO_RANDOM_ITERATIONS=1000000 cargo test --release --test it -- fuzz::
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use bolero::check;
use tempfile::TempDir;
use xixin::app::Place;
use xixin::channel::outcome::{Enhanced, Stage, classify_smtp};
use xixin::config::FILES;
use xixin::domain::benefit::{Fen, Share};
use xixin::domain::case::Trigger;
use xixin::domain::ladder::When;
use xixin::domain::period::{Mode, Period, Start};
use xixin::import::{Limits, Order, read};

use crate::support::hall::shipped;
use crate::support::mutate::mutate;
use crate::support::rulebook::{at, rulebook};

const GRAMMAR: &str = include_str!("../data/fuzz/grammar.txt");
const CSV: &[u8] = include_bytes!("../data/fuzz/import.csv");

/// What is understood, written out, must be understood the same way.
fn goes_round<T: FromStr + ToString + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let written = read.to_string();
        assert_eq!(written.parse::<T>().ok(), Some(read), "{text:?} is written {written:?}");
    }
}

#[test]
fn periods_ladders_dates_and_money() {
    let samples: Vec<&[u8]> = GRAMMAR.lines().map(str::as_bytes).collect();
    check!().with_iterations(20_000).with_max_len(40).for_each(|choices| {
        let made = mutate(&samples, choices);
        let text = String::from_utf8_lossy(&made);
        goes_round::<Period>(&text);
        goes_round::<Start>(&text);
        goes_round::<Fen>(&text);
        // These are never written out.
        let _ = text.parse::<When>();
        let _ = text.parse::<Mode>();
        let _ = text.parse::<Trigger>();
        let _ = text.parse::<Share>();
        let enhanced = Enhanced::parse(&text);
        for code in [0, 250, 421, 550, u16::MAX] {
            classify_smtp(Stage::Recipient, code, enhanced);
        }
    });
}

/// A configuration of its own with these settings on top.
fn place(settings: &str) -> (TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    crate::support::hall::copy_dir(&shipped(), &config);
    std::fs::create_dir_all(config.join("conf.d")).unwrap();
    std::fs::write(config.join("conf.d/test.toml"), settings).unwrap();
    let environment = BTreeMap::new();
    (dir, Place { config, environment })
}

#[test]
fn files_for_the_import() {
    let rules = AssertUnwindSafe(rulebook());
    let dir = tempfile::tempdir().unwrap();
    let sample = dir.path().join("sample.xlsx");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, line) in std::str::from_utf8(CSV).unwrap().lines().enumerate() {
        for (column, cell) in line.split(',').enumerate() {
            let (row, column) = (u32::try_from(row).unwrap(), u16::try_from(column).unwrap());
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save(&sample).unwrap();
    let workbook = std::fs::read(&sample).unwrap();
    let order = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Order {
            path,
            sheet: None,
            assigned: Vec::new(),
            limits: Limits::default(),
        }
    };
    check!().with_iterations(300).with_max_len(40).for_each(|choices| {
        // Whether a row is taken or refused: it is answered.
        let _ = read(
            &order("f.csv", &mutate(&[CSV], choices)),
            &rules,
            at("2026-03-02 09:00"),
        );
        // The reader of workbooks is not ours and may stop; `xixin import` says then that the file is damaged.
        let damaged = order("f.xlsx", &mutate(&[&workbook], choices));
        let _ = catch_unwind(AssertUnwindSafe(|| read(&damaged, &rules, at("2026-03-02 09:00"))));
    });
}

#[test]
fn configuration_and_templates() {
    let (dir, place) = place("");
    let place = AssertUnwindSafe(place);
    let files: Vec<(&str, &str)> = FILES
        .iter()
        .filter(|(path, _)| !path.ends_with(".md"))
        .copied()
        .collect();
    check!().with_iterations(30).with_max_len(40).for_each(|choices| {
        let Some((chosen, choices)) = choices.split_first() else {
            return;
        };
        let (path, text) = files[usize::from(*chosen) * 7 % files.len()];
        let made = mutate(&[text.as_bytes()], choices);
        let file = dir.path().join("config").join(path);
        std::fs::write(&file, &made).unwrap();
        // Sound or not: every problem has a place and an advice.
        if let Err(problems) = place.load() {
            assert!(!problems.to_string().is_empty());
        }
        std::fs::write(&file, text).unwrap();
    });
}
