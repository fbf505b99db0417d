//! Outside offices: when they are open. The window calendar is not the workday calendar; Saturday service exists.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, Time, Weekday};

use crate::domain::calendar::{Calendar, Certainty};
use crate::domain::ids::OfficeId;

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
