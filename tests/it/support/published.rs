//! The published calendars as the CSV files of `tests/data` state them, day by day.

use std::sync::LazyLock;

use jiff::civil::Date;
use xixin::domain::calendar::{Calendar, CalendarSource, DayOverride};
use xixin::domain::rulebook::Rulebook;

/// One line of a calendar file.
pub(crate) struct PublishedDay {
    pub(crate) date: Date,
    pub(crate) is_workday: bool,
    pub(crate) name: String,
    pub(crate) kind: String,
    /// The file of 2027 settles only its statutory days.
    pub(crate) is_settled: bool,
}

impl PublishedDay {
    /// Whether it differs from Monday-to-Friday, or is a holiday that a weekend hides.
    pub(crate) fn is_listed(&self) -> bool {
        !matches!(self.kind.as_str(), "workday" | "weekend")
    }
}

/// Every day of 2022 to 2027, in order.
pub(crate) static DAYS: LazyLock<Vec<PublishedDay>> = LazyLock::new(|| {
    let years = [
        include_str!("../../data/cn-workdays-2022.csv"),
        include_str!("../../data/cn-workdays-2023.csv"),
        include_str!("../../data/cn-workdays-2024.csv"),
        include_str!("../../data/cn-workdays-2025.csv"),
        include_str!("../../data/cn-workdays-2026.csv"),
        include_str!("../../data/cn-workdays-2027-PROVISIONAL.csv"),
    ];
    years.iter().flat_map(|text| rows(text)).collect()
});

fn rows(text: &str) -> Vec<PublishedDay> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let last = reader.headers().unwrap().get(5).unwrap().to_owned();
    let row = |row: csv::StringRecord| PublishedDay {
        date: row[0].parse().unwrap(),
        is_workday: row[1].parse().unwrap(),
        name: row[2].to_owned(),
        kind: row[3].to_owned(),
        is_settled: match (last.as_str(), &row[5]) {
            ("source", _) | ("certainty", "statutory") => true,
            ("certainty", "provisional") => false,
            other => panic!("unknown column or value: {other:?}"),
        },
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// The calendar those days make: the notices of 2022 to 2026, and the statutory days of 2027.
pub(crate) static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| {
    let listed = |settled_year: bool| {
        DAYS.iter()
            .filter(move |day| day.is_listed() && (day.date.year() <= 2026) == settled_year)
            .map(|day| {
                let what = DayOverride {
                    workday: day.is_workday,
                    name: day.name.clone(),
                };
                (day.date, what)
            })
            .collect()
    };
    Calendar::new(&[
        CalendarSource {
            name: "2022-2026".to_owned(),
            covers: Some((jiff::civil::date(2022, 1, 1), jiff::civil::date(2026, 12, 31))),
            days: listed(true),
        },
        CalendarSource {
            name: "2027".to_owned(),
            covers: None,
            days: listed(false),
        },
    ])
});

/// The rules most tests start from, with the whole published calendar.
pub(crate) fn rulebook() -> Rulebook {
    Rulebook {
        calendar: CALENDAR.clone(),
        ..super::rulebook::rulebook()
    }
}
