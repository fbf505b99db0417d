//! The modes that end on a day: adding, clamping to the month's end, rolling, the last safe day and the margin, in this order.

use jiff::Span;
use jiff::civil::Date;

use crate::domain::calendar::{FIRST_DAY, LAST_DAY, add_days};
use crate::domain::period::count::{Count, shown};
use crate::domain::period::{Counted, Mode, MonthEnd, Period, PeriodError, PeriodUnit};
use crate::domain::text::Said;

impl Count<'_> {
    /// Civil periods, retention, workdays and promises: from the day of the event.
    pub(super) fn days(&mut self, start: Date) -> Result<Counted, PeriodError> {
        if self.rule.mode == Mode::Workdays && self.rule.period.unit != PeriodUnit::Workdays {
            return Err(self.wrong_unit("wd"));
        }
        let end = self.add(start, self.rule.count_start_day)?;
        let legal_end = self.roll(start, end)?;
        if self.rule.mode == Mode::Retention {
            self.tell(|| {
                Said::new(
                    format!("{end} 当日仍有效,次日起就晚了;遇休息日不顺延"),
                    format!("{end} itself is still in time, the day after is too late; it never rolls forward"),
                )
            });
        }
        self.conclude_days(Some(start), end, legal_end)
    }

    /// From 1 January of the next year, that day counted (会计档案管理办法 14).
    pub(super) fn retention_next_year(&mut self, day: Date) -> Result<Counted, PeriodError> {
        let first = in_range(Date::new(day.year() + 1, 1, 1).map_err(|_| PeriodError::OutOfRange)?)?;
        self.tell(|| {
            Said::new(
                format!("自下一年1月1日起算: {first}"),
                format!("it begins on 1 January of the next year: {first}"),
            )
        });
        let end = self.add(first, true)?;
        self.conclude_days(Some(day), end, end)
    }

    /// Calendar months after the last paid one, to the month's end.
    pub(super) fn insurance_months(&mut self, day: Date) -> Result<Counted, PeriodError> {
        let months = match self.rule.period.unit {
            PeriodUnit::Months => self.rule.period.n,
            PeriodUnit::Years => self.rule.period.n.saturating_mul(12),
            _ => return Err(self.wrong_unit("m, y")),
        };
        let (month, _) = add_months(day.first_of_month(), months, MonthEnd::Clamp)?;
        let end = in_range(month.last_of_month())?;
        self.tell(|| {
            let (paid, month) = (day.strftime("%Y-%m"), month.strftime("%Y-%m"));
            let (zh, en) = shown(end);
            Said::new(
                format!("末次缴费月 {paid} 之后第{months}个自然月是 {month},到月底: {zh}"),
                format!("calendar month {months} after the last paid month {paid} is {month}, to its end: {en}"),
            )
        });
        self.conclude_days(Some(day), end, end)
    }

    /// Adds to the original start. Without `inclusive` the first day is not counted (民法典 201).
    fn add(&mut self, start: Date, inclusive: bool) -> Result<Date, PeriodError> {
        let Period { n, unit } = self.rule.period;
        let end = match unit {
            PeriodUnit::Years => self.add_months(start, n.saturating_mul(12), inclusive)?,
            PeriodUnit::Months => self.add_months(start, n, inclusive)?,
            PeriodUnit::Weeks => add_days(start, shortened(n.saturating_mul(7), inclusive))?,
            PeriodUnit::Days => add_days(start, shortened(n, inclusive))?,
            PeriodUnit::Workdays => self.add_workdays(start, n, inclusive)?,
            PeriodUnit::Hours | PeriodUnit::BusinessHours => return Err(self.wrong_unit("y, m, w, d, wd")),
        };
        self.tell(|| {
            let (how_zh, how_en) = if inclusive {
                ("首日计入", "the first day counted")
            } else {
                ("首日不计", "the first day not counted")
            };
            let length = Period {
                n: n.saturating_abs(),
                unit,
            }
            .words();
            let (way_zh, way_en) = if n < 0 { ("往前数", "less") } else { ("加", "plus") };
            let ((start_zh, start_en), (end_zh, end_en)) = (shown(start), shown(end));
            Said::new(
                format!("{start_zh} {way_zh}{}({how_zh}): {end_zh}", length.zh),
                format!("{start_en} {way_en} {}, {how_en}: {end_en}", length.en),
            )
        });
        if unit == PeriodUnit::Workdays {
            self.tell_makeup_workdays(start, end);
        }
        Ok(end)
    }

    /// A counted first day ends the day before the corresponding one. Where that day does not exist and the month's last day stands
    /// for it, the month's last day is the day before it already.
    fn add_months(&mut self, start: Date, months: i64, inclusive: bool) -> Result<Date, PeriodError> {
        let policy = self.rule.month_end;
        let (corresponding, missing) = add_months(start, months, policy)?;
        if missing {
            self.tell(|| {
                let (zh, en) = match policy {
                    MonthEnd::Clamp => ("取月末", "its last day"),
                    MonthEnd::NextDay => ("取次月首日", "the first day of the next month"),
                };
                Said::new(
                    format!("那个月没有{}日,{zh}: {corresponding}", start.day()),
                    format!("that month has no day {}; {en}: {corresponding}", start.day()),
                )
            });
        }
        let is_day_before = missing && policy == MonthEnd::Clamp && months > 0;
        let end = if inclusive && !is_day_before && months != 0 {
            let back = if months < 0 {
                corresponding.tomorrow()
            } else {
                corresponding.yesterday()
            };
            back.map_err(|_| PeriodError::OutOfRange)?
        } else {
            corresponding
        };
        in_range(end)
    }

    fn add_workdays(&mut self, start: Date, n: i64, inclusive: bool) -> Result<Date, PeriodError> {
        let calendar = self.counting.calendar;
        if n == 0 {
            return self.workday_on_or_after(start);
        }
        if inclusive {
            // A first day that is a rest day counts for nothing: day one is the next workday that way.
            let first = if n < 0 {
                self.workday_on_or_before(start)?
            } else {
                self.workday_on_or_after(start)?
            };
            let end = calendar.add_workdays(first, shortened(n, true))?;
            self.look_at(first.min(end), first.max(end));
            return Ok(end);
        }
        let end = calendar.add_workdays(start, n)?;
        if n > 0 {
            self.look_at(start.tomorrow().map_err(|_| PeriodError::OutOfRange)?, end);
        } else {
            self.look_at(end, start.yesterday().map_err(|_| PeriodError::OutOfRange)?);
        }
        Ok(end)
    }

    fn tell_makeup_workdays(&mut self, start: Date, end: Date) {
        let calendar = self.counting.calendar;
        let (low, high) = (start.min(end), start.max(end));
        self.tell(|| {
            let makeup: Vec<String> = calendar
                .makeup_workdays(low, high)
                .filter(|day| *day != start)
                .map(|day| day.to_string())
                .collect();
            if makeup.is_empty() {
                Said::new("其间的休息日不计", "rest days in between are not counted")
            } else {
                let makeup = makeup.join(", ");
                Said::new(
                    format!("其间的休息日不计,调休上班日计入: {makeup}"),
                    format!("rest days in between are not counted, make-up workdays are: {makeup}"),
                )
            }
        });
    }

    /// One direction, by mode. A civil period rolls forward (民法典 203); counted backwards it rolls earlier, because a shift towards
    /// the day it is counted from would shorten it. A promise rolls earlier, but not to before the day it was made.
    fn roll(&mut self, start: Date, end: Date) -> Result<Date, PeriodError> {
        let is_backwards = self.rule.period.n < 0;
        let rolled = match self.rule.mode {
            Mode::Civil if !is_backwards => self.workday_on_or_after(end)?,
            Mode::Civil => self.workday_on_or_before(end)?,
            Mode::Promise if !is_backwards => self.workday_on_or_before(end)?.max(start),
            Mode::Promise => self.workday_on_or_before(end)?,
            _ => return Ok(end),
        };
        if rolled != end {
            let name = self.counting.calendar.name_of(end).unwrap_or("休息日");
            self.tell(|| {
                let (way_zh, way_en) = if rolled > end {
                    ("顺延至", "rolls forward to")
                } else {
                    ("提前至", "moves earlier to")
                };
                let (zh, en) = shown(rolled);
                Said::new(
                    format!("{end} 是{name},{way_zh} {zh}"),
                    format!("{end} is a rest day: {way_en} {en}"),
                )
            });
        }
        Ok(rolled)
    }

    /// From the end in law to the days that matter. `end` is the end before it rolled; a period with a fixed end has no start.
    pub(super) fn conclude_days(
        &mut self,
        start: Option<Date>,
        end: Date,
        legal_end: Date,
    ) -> Result<Counted, PeriodError> {
        let start = start.filter(|_| self.rule.period.n >= 0);
        let mut last_safe_day = self.doable_on_or_before(legal_end)?;
        if let Some(start) = start.filter(|_| self.rule.mode == Mode::Promise) {
            last_safe_day = last_safe_day.max(start);
        }
        if last_safe_day != legal_end {
            self.tell_last_safe_day(legal_end, last_safe_day);
        }
        if let Some(start) = start.filter(|start| last_safe_day < *start) {
            self.tell(|| {
                Said::new(
                    format!("这早于起算日 {start}: 期限内没有可办的日子"),
                    format!("that is before {start}, where it began: no day of the period is open"),
                )
            });
        }
        let target_by = self.target_by(end, legal_end, last_safe_day)?;
        let end_at = if last_safe_day == legal_end {
            self.over_at(legal_end)?
        } else {
            self.end_of(legal_end)?
        };
        Ok(Counted {
            legal_end,
            end_at,
            last_safe_day,
            target_by,
            target_at: self.end_of(target_by)?,
            certainty: self.certainty,
        })
    }

    fn tell_last_safe_day(&mut self, legal_end: Date, last_safe_day: Date) {
        let office = self.counting.office;
        self.tell(|| {
            let (zh, en) = shown(last_safe_day);
            let (why_zh, why_en) = match office {
                Some(office) => (
                    format!("{} {legal_end} 不办公", office.name),
                    format!("{} is closed on {legal_end}", office.name_en),
                ),
                None => (format!("{legal_end} 是休息日"), format!("{legal_end} is a rest day")),
            };
            Said::new(
                format!("{why_zh},最晚可办日: {zh}"),
                format!("{why_en}; the last safe day: {en}"),
            )
        });
    }

    fn target_by(&mut self, end: Date, legal_end: Date, last_safe_day: Date) -> Result<Date, PeriodError> {
        let mut target_by = last_safe_day;
        if let Some(margin) = self.rule.margin {
            target_by = self.before(last_safe_day, margin)?;
            self.tell(|| {
                let (words, (zh, en)) = (margin.words(), shown(target_by));
                Said::new(
                    format!("预留{}: 目标日 {zh}", words.zh),
                    format!("a margin of {}: target by {en}", words.en),
                )
            });
        }
        if self.rule.mode == Mode::Civil && end < legal_end {
            // The roll is the law's gift; what is asked of people is the workday before.
            let before = self.doable_on_or_before(end)?;
            if before < target_by {
                target_by = before;
                self.tell(|| {
                    let (zh, en) = shown(before);
                    Said::new(
                        format!("不指望顺延: 目标日取休息日前的 {zh}"),
                        format!("not counting on the roll: target by {en}, before the rest days"),
                    )
                });
            }
        }
        Ok(target_by)
    }

    /// A margin earlier; where it cannot be done on that day, the last day before on which it can.
    fn before(&mut self, day: Date, margin: Period) -> Result<Date, PeriodError> {
        let earlier = match margin.unit {
            _ if margin.n == 0 => return Ok(day),
            _ if margin.n < 0 => return Err(PeriodError::Margin),
            PeriodUnit::Hours | PeriodUnit::BusinessHours => return Err(PeriodError::Margin),
            _ => self.day_before(day, margin)?,
        };
        self.doable_on_or_before(earlier)
    }

    /// So many days, workdays, weeks, months or years before `day`.
    pub(super) fn day_before(&mut self, day: Date, margin: Period) -> Result<Date, PeriodError> {
        let n = margin.n;
        match margin.unit {
            PeriodUnit::Workdays => self.add_workdays(day, n.saturating_neg(), false),
            PeriodUnit::Days => Ok(add_days(day, n.saturating_neg())?),
            PeriodUnit::Weeks => Ok(add_days(day, n.saturating_mul(-7))?),
            PeriodUnit::Months => in_range(add_months(day, n.saturating_neg(), MonthEnd::Clamp)?.0),
            PeriodUnit::Years => in_range(add_months(day, n.saturating_mul(-12), MonthEnd::Clamp)?.0),
            PeriodUnit::Hours | PeriodUnit::BusinessHours => Err(PeriodError::Margin),
        }
    }

    /// The last day on or before `day` on which the office is open; without an office, the last workday.
    fn doable_on_or_before(&mut self, day: Date) -> Result<Date, PeriodError> {
        let Some(office) = self.counting.office else {
            return self.workday_on_or_before(day);
        };
        let found = office
            .last_open_on_or_before(self.counting.calendar, day)
            .ok_or(PeriodError::NeverOpen)?;
        let searched = std::iter::successors(Some(found), |day| day.tomorrow().ok());
        for searched in searched.take_while(|searched| *searched <= day) {
            self.look_at_office(office, searched);
        }
        in_range(found)
    }

    fn workday_on_or_before(&mut self, day: Date) -> Result<Date, PeriodError> {
        let calendar = self.counting.calendar;
        let found = calendar.workday_on_or_before(day);
        self.look_at(found, day);
        // At the edge of the calendar there may be none.
        if calendar.is_workday(found) {
            Ok(found)
        } else {
            Err(PeriodError::OutOfRange)
        }
    }

    fn workday_on_or_after(&mut self, day: Date) -> Result<Date, PeriodError> {
        let calendar = self.counting.calendar;
        let found = calendar.workday_on_or_after(day);
        self.look_at(day, found);
        if calendar.is_workday(found) {
            Ok(found)
        } else {
            Err(PeriodError::OutOfRange)
        }
    }

    pub(super) fn wrong_unit(&self, allowed: &'static str) -> PeriodError {
        PeriodError::Unit {
            unit: self.rule.period.unit,
            mode: self.rule.mode,
            allowed,
        }
    }
}

/// A counted first day takes one off, towards none.
fn shortened(n: i64, inclusive: bool) -> i64 {
    if inclusive { n - n.signum() } else { n }
}

/// The corresponding day or what stands for it, and whether the month has none.
fn add_months(start: Date, months: i64, policy: MonthEnd) -> Result<(Date, bool), PeriodError> {
    let span = Span::new().try_months(months).map_err(|_| PeriodError::OutOfRange)?;
    let end = start.checked_add(span).map_err(|_| PeriodError::OutOfRange)?;
    let missing = end.day() != start.day();
    if missing && policy == MonthEnd::NextDay {
        let next = end.tomorrow().map_err(|_| PeriodError::OutOfRange)?;
        return Ok((next, true));
    }
    Ok((end, missing))
}

fn in_range(day: Date) -> Result<Date, PeriodError> {
    if (FIRST_DAY..=LAST_DAY).contains(&day) {
        Ok(day)
    } else {
        Err(PeriodError::OutOfRange)
    }
}
