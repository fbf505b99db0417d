//! 值班表: who is on duty at which window on which day.
//!
//! A unit's rota is made of stretches that do not overlap. In a stretch a single day that names somebody counts first (swaps are such
//! days), then the plan: a weekday's person, or people taking turns. Rest days need nobody. It says who is meant to be there; who acts for
//! somebody who is away is the business of `org`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::calendar::Calendar;
use crate::domain::ids::{StaffId, UnitId};

/// All rotas of the organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rota {
    pub stretches: Vec<Stretch>,
}

/// The rota of one unit from `from` through `to`, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// As the file names it.
    pub name: String,
    pub unit: UnitId,
    pub from: Date,
    pub to: Date,
    pub plan: Plan,
    /// Single days, swaps included; they count before the plan, on rest days too.
    pub named: BTreeMap<Date, StaffId>,
}

/// Who comes when nothing is said of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Public holidays need nobody; a Saturday or Sunday that has a person is kept like a workday.
    Week {
        /// Monday first.
        days: [Option<StaffId>; 7],
        /// Whoever takes make-up workdays at weekends (调休上班) where that weekday has nobody.
        makeup: Option<StaffId>,
    },
    /// One after the other, from the first day of the stretch on, on workdays only.
    Turns { staff: Vec<StaffId>, each: Each },
}

/// How long a turn lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// A workday; rest days are no turn.
    Workday,
    /// A week, Monday to Sunday, also when all of it is a holiday.
    Week,
}

/// A workday on which a stretch has nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap<'a> {
    pub stretch: &'a Stretch,
    pub day: Date,
}

impl Rota {
    /// Who is on duty at a unit that day. `None` on days that need nobody, and where no stretch of that unit says who.
    pub fn on_duty(&self, calendar: &Calendar, unit: &UnitId, day: Date) -> Option<&StaffId> {
        self.stretch(unit, day)?.on_duty(calendar, day)
    }

    /// Whether a unit has a rota for that day, be it that it needs nobody.
    pub fn speaks_of(&self, unit: &UnitId, day: Date) -> bool {
        self.stretch(unit, day).is_some()
    }

    /// Every workday on which a stretch has nobody, in the order of the stretches and days.
    pub fn gaps<'a>(&'a self, calendar: &'a Calendar) -> impl Iterator<Item = Gap<'a>> {
        let gaps = |stretch: &'a Stretch| stretch.gaps(calendar).map(move |day| Gap { stretch, day });
        self.stretches.iter().flat_map(gaps)
    }

    fn stretch(&self, unit: &UnitId, day: Date) -> Option<&Stretch> {
        self.stretches
            .iter()
            .find(|stretch| stretch.unit == *unit && stretch.from <= day && day <= stretch.to)
    }
}

impl Stretch {
    /// Whoever is meant to be there on a day of the stretch.
    pub fn on_duty(&self, calendar: &Calendar, day: Date) -> Option<&StaffId> {
        if let Some(named) = self.named.get(&day) {
            return Some(named);
        }
        match &self.plan {
            _ if calendar.is_holiday(day) => None,
            Plan::Week { days, makeup } => {
                let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0);
                let makeup = makeup.as_ref().filter(|_| calendar.is_makeup_workday(day));
                days[weekday].as_ref().or(makeup)
            }
            Plan::Turns { .. } if !calendar.is_workday(day) => None,
            Plan::Turns { staff, each } => {
                let turn = usize::try_from(self.turn(*each, calendar, day)).unwrap_or(0);
                staff.get(turn % staff.len().max(1))
            }
        }
    }

    pub fn days(&self) -> impl Iterator<Item = Date> {
        let to = self.to;
        self.from
            .series(jiff::Span::new().days(1))
            .take_while(move |day| *day <= to)
    }

    /// Workdays without anybody.
    pub fn gaps(&self, calendar: &Calendar) -> impl Iterator<Item = Date> {
        self.days()
            .filter(|day| calendar.is_workday(*day) && self.on_duty(calendar, *day).is_none())
    }

    /// How many turns have passed since the first day.
    fn turn(&self, each: Each, calendar: &Calendar, day: Date) -> i64 {
        match each {
            Each::Workday => {
                let before_first = self.from.yesterday().unwrap_or(self.from);
                calendar.workdays_between(before_first, day) - 1
            }
            Each::Week => {
                let into_week = i64::from(self.from.weekday().to_monday_zero_offset());
                let days = self.from.until(day).map_or(0, |span| i64::from(span.get_days()));
                (days + into_week) / 7
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::{CalendarSource, DayOverride};
    use jiff::civil::date;

    /// 2026-02-14 and 02-28 are worked, 02-15 through 02-23 are off.
    fn calendar() -> Calendar {
        let day = |day, workday| {
            let name = "春节".to_owned();
            (date(2026, 2, day), DayOverride { workday, name })
        };
        let mut days: BTreeMap<_, _> = (15..=23).map(|off| day(off, false)).collect();
        days.extend([day(14, true), day(28, true)]);
        Calendar::new(&[CalendarSource {
            name: "2026".to_owned(),
            covers: Some((date(2026, 1, 1), date(2026, 12, 31))),
            days,
        }])
    }

    fn stretch(plan: Plan) -> Stretch {
        Stretch {
            name: "window".to_owned(),
            unit: "window".into(),
            from: date(2026, 2, 2),
            to: date(2026, 3, 31),
            plan,
            named: BTreeMap::new(),
        }
    }

    fn weekdays(staff: &str, makeup: Option<&str>) -> Plan {
        Plan::Week {
            days: std::array::from_fn(|day| (day < 5).then(|| staff.into())),
            makeup: makeup.map(Into::into),
        }
    }

    fn on(stretch: &Stretch, month: i8, day: i8) -> Option<&str> {
        let day = date(2026, month, day);
        stretch.on_duty(&calendar(), day).map(StaffId::as_str)
    }

    #[test]
    fn a_rest_day_needs_nobody_and_a_makeup_saturday_without_anybody_is_a_gap() {
        let plain = stretch(weekdays("lin", None));
        assert_eq!(
            (on(&plain, 2, 13), on(&plain, 2, 16), on(&plain, 2, 8)),
            (Some("lin"), None, None)
        );
        let rota = Rota { stretches: vec![plain] };
        let calendar = calendar();
        let gaps: Vec<Date> = rota.gaps(&calendar).map(|gap| gap.day).collect();
        assert_eq!(gaps, [date(2026, 2, 14), date(2026, 2, 28)]);
        let filled = stretch(weekdays("lin", Some("zhou")));
        assert_eq!(
            (on(&filled, 2, 14), on(&filled, 2, 21), on(&filled, 2, 7)),
            (Some("zhou"), None, None)
        );
    }

    #[test]
    fn a_named_day_counts_before_the_plan_and_on_rest_days() {
        let mut rota = stretch(weekdays("lin", None));
        rota.named.insert(date(2026, 3, 5), "zhou".into());
        rota.named.insert(date(2026, 2, 17), "hao".into());
        assert_eq!(
            (on(&rota, 3, 5), on(&rota, 3, 6), on(&rota, 2, 17)),
            (Some("zhou"), Some("lin"), Some("hao"))
        );
    }

    #[test]
    fn a_saturday_in_the_weekly_plan_is_kept_except_on_holidays() {
        let days = std::array::from_fn(|day| (day == 5).then(|| "hao".into()));
        let rota = stretch(Plan::Week { days, makeup: None });
        assert_eq!(
            (on(&rota, 2, 7), on(&rota, 2, 14), on(&rota, 2, 21)),
            (Some("hao"), Some("hao"), None)
        );
    }

    #[test]
    fn turns_by_workday_skip_rest_days_and_count_makeup_days() {
        let staff = vec!["lin".into(), "zhou".into()];
        let rota = stretch(Plan::Turns {
            staff,
            each: Each::Workday,
        });
        let turns: Vec<_> = [2, 3, 4, 5, 6, 7, 9, 13, 14, 16, 24]
            .map(|day| on(&rota, 2, day))
            .to_vec();
        let (lin, zhou) = (Some("lin"), Some("zhou"));
        assert_eq!(turns, [lin, zhou, lin, zhou, lin, None, zhou, zhou, lin, None, zhou]);
    }

    #[test]
    fn turns_by_week_go_from_monday_to_sunday_whatever_day_the_stretch_begins() {
        let staff = vec!["lin".into(), "zhou".into()];
        let mut rota = stretch(Plan::Turns {
            staff,
            each: Each::Week,
        });
        rota.from = date(2026, 2, 5);
        let turns: Vec<_> = [5, 6, 9, 13, 14, 24].map(|day| on(&rota, 2, day)).to_vec();
        let (lin, zhou) = (Some("lin"), Some("zhou"));
        assert_eq!(turns, [lin, lin, zhou, zhou, zhou, zhou]);
        assert_eq!(on(&rota, 3, 2), lin);
    }

    #[test]
    fn another_unit_and_another_time_have_no_rota() {
        let rota = Rota {
            stretches: vec![stretch(weekdays("lin", None))],
        };
        let calendar = calendar();
        assert_eq!(rota.on_duty(&calendar, &"other".into(), date(2026, 2, 3)), None);
        assert_eq!(rota.on_duty(&calendar, &"window".into(), date(2026, 4, 1)), None);
        assert!(rota.speaks_of(&"window".into(), date(2026, 2, 16)));
        assert!(!rota.speaks_of(&"window".into(), date(2026, 4, 1)));
    }
}
