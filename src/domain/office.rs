//! Outside offices: when they are open. The window calendar is not the workday calendar; Saturday service exists.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, Time, Weekday};

use crate::domain::calendar::{Calendar, Certainty};
use crate::domain::ids::OfficeId;
use crate::domain::text::{Said, weekday_words};

/// An outside office with what a resident needs to get there.
#[derive(Debug, Clone, PartialEq)]
pub struct Office {
    pub id: OfficeId,
    pub name: String,
    pub name_en: String,
    pub address: String,
    /// How to get there, in words.
    pub route: String,
    /// Whom to ask for.
    pub contact: String,
    pub phone: String,
    /// How long the way takes, in minutes, when it is not the usual.
    pub travel_minutes: Option<u32>,
    pub days: OfficeDays,
    /// Closed from … through …, both inclusive, whatever the day.
    pub closures: Vec<(Date, Date)>,
    /// Open on these days in these windows, whatever the day.
    pub extra: BTreeMap<Date, Vec<Window>>,
}

/// Which days an office keeps. The windows of a day are in order and apart.
#[derive(Debug, Clone, PartialEq)]
pub enum OfficeDays {
    /// Every workday, make-up Saturdays included, in the same windows.
    Workdays(Vec<Window>),
    /// Its own weekdays, Monday first; public holidays do not close it, closures do.
    Weekly([Vec<Window>; 7]),
    /// Workdays in the first windows, and ordinary Saturdays (not public holidays) in the second.
    WorkdaysAndSaturday(Vec<Window>, Vec<Window>),
}

/// Open from `from` until `to` (exclusive), local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Time,
    pub to: Time,
}

/// An office that has not opened for this long is closed for good.
pub(crate) const SEARCH_DAYS: u32 = 800;

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

impl Office {
    /// The windows of a day; empty when it is closed.
    pub fn windows<'a>(&'a self, calendar: &Calendar, day: Date) -> &'a [Window] {
        if let Some(windows) = self.extra.get(&day) {
            return windows;
        }
        if self.closures.iter().any(|(from, to)| *from <= day && day <= *to) {
            return &[];
        }
        match &self.days {
            OfficeDays::Workdays(windows) if calendar.is_workday(day) => windows,
            OfficeDays::Workdays(_) => &[],
            OfficeDays::Weekly(week) => {
                let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0);
                &week[weekday]
            }
            OfficeDays::WorkdaysAndSaturday(windows, _) if calendar.is_workday(day) => windows,
            OfficeDays::WorkdaysAndSaturday(_, saturday) => {
                let ordinary = day.weekday() == Weekday::Saturday && !calendar.is_holiday(day);
                if ordinary { saturday } else { &[] }
            }
        }
    }

    pub fn is_open(&self, calendar: &Calendar, day: Date) -> bool {
        !self.windows(calendar, day).is_empty()
    }

    pub fn last_open_on_or_before(&self, calendar: &Calendar, day: Date) -> Option<Date> {
        let back = std::iter::successors(Some(day), |day| day.yesterday().ok());
        back.take(SEARCH_DAYS as usize).find(|day| self.is_open(calendar, *day))
    }

    pub fn next_open_on_or_after(&self, calendar: &Calendar, day: Date) -> Option<Date> {
        let on = std::iter::successors(Some(day), |day| day.tomorrow().ok());
        on.take(SEARCH_DAYS as usize).find(|day| self.is_open(calendar, *day))
    }

    /// 工作日 9:00-12:00、13:30-17:00;周六 9:00-13:00
    pub fn hours_in_words(&self) -> Said {
        match &self.days {
            OfficeDays::Workdays(windows) => hours_of(&Said::new("工作日", "workdays"), windows),
            OfficeDays::WorkdaysAndSaturday(windows, saturday) => {
                let workdays = hours_of(&Said::new("工作日", "workdays"), windows);
                workdays.and(&hours_of(&Said::new("周六", "Saturday"), saturday))
            }
            OfficeDays::Weekly(week) => week_in_words(week),
        }
    }

    /// Whether it is settled that the office is open or closed on `day`. What does not go by the calendar always is.
    pub fn certainty(&self, calendar: &Calendar, day: Date) -> Certainty {
        let by_date =
            self.extra.contains_key(&day) || self.closures.iter().any(|(from, to)| *from <= day && day <= *to);
        if by_date || matches!(self.days, OfficeDays::Weekly(_)) {
            Certainty::Final
        } else {
            calendar.certainty(day)
        }
    }

    /// When business stops that day.
    pub fn closes_at(&self, calendar: &Calendar, day: Date) -> Option<Time> {
        self.windows(calendar, day).iter().map(|window| window.to).max()
    }
}

const MONDAY_FIRST: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// Days that follow each other with the same hours are told together: 周一至周四 9:00-12:00.
fn week_in_words(week: &[Vec<Window>; 7]) -> Said {
    let mut said = Said::default();
    let mut from = 0;
    while from < week.len() {
        let mut to = from;
        while to + 1 < week.len() && week[to + 1] == week[from] {
            to += 1;
        }
        if !week[from].is_empty() {
            let (first, last) = (weekday_words(MONDAY_FIRST[from]), weekday_words(MONDAY_FIRST[to]));
            let days = if from == to {
                Said::new(first.0, first.1)
            } else {
                Said::new(format!("{}至{}", first.0, last.0), format!("{} to {}", first.1, last.1))
            };
            said = said.and(&hours_of(&days, &week[from]));
        }
        from = to + 1;
    }
    said
}

fn hours_of(days: &Said, windows: &[Window]) -> Said {
    let clock = |time: Time| format!("{}:{:02}", time.hour(), time.minute());
    let hours: Vec<String> = windows
        .iter()
        .map(|window| format!("{}-{}", clock(window.from), clock(window.to)))
        .collect();
    Said::new(
        format!("{} {}", days.zh, hours.join("、")),
        format!("{} {}", days.en, hours.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i8, to: i8) -> Vec<Window> {
        vec![Window {
            from: Time::constant(from, 0, 0, 0),
            to: Time::constant(to, 30, 0, 0),
        }]
    }

    #[test]
    fn days_with_the_same_hours_are_told_together() {
        let mut week: [Vec<Window>; 7] = std::array::from_fn(|_| window(9, 16));
        week[2] = window(9, 11);
        week[5] = window(9, 12);
        week[6] = Vec::new();
        let said = week_in_words(&week);
        assert_eq!(
            said.zh,
            "周一至周二 9:00-16:30;周三 9:00-11:30;周四至周五 9:00-16:30;周六 9:00-12:30"
        );
        assert!(said.en.starts_with("Monday to Tuesday 9:00-16:30; Wednesday "));
    }
}
