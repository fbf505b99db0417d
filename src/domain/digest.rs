//! The daily digest: what a member of staff opens every morning, sorted so that the first line is the first thing to do.
//!
//! This is the content, already masked for everybody who may look over a shoulder; `template` only lays it out.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::domain::ids::{CaseId, StaffId};
use crate::domain::text::Said;

/// The digest of one person for one local workday.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Digest {
    pub staff: StaffId,
    pub staff_name: String,
    pub date: Date,
    pub unit_short: String,
    pub unit_name: String,
    pub unit_name_en: String,
    pub unit_phone: String,
    /// How many hours it comes late, when the daemon was down at the configured time; 0 on time.
    pub late_minutes: u32,
    /// Workdays whose digest was missed before this one.
    pub missed_days: u32,
    /// The last day the digest looks ahead to: tomorrow, or through the first workday after a holiday block.
    pub through: Date,
    pub overdue: Vec<Line>,
    /// Appointments and call-backs of the day, by time; then call tasks.
    pub today: Vec<Line>,
    /// Deadlines by urgency.
    pub deadlines: Vec<Line>,
    pub waiting: Vec<Line>,
    /// From tomorrow through `through`.
    pub ahead: Vec<Line>,
    /// Cases that reached this person since the digest before.
    pub new_cases: Vec<Line>,
    /// For supervisors: the unit's exceptions.
    pub roll_up: Option<RollUp>,
    /// Head of the event chain, short.
    pub chain_head: String,
}

/// One line. Names are masked (沈**), numbers too (139****1234).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub case: CaseId,
    /// 沈**
    pub who: String,
    /// What it is, e.g. 火化证明补办 / Cremation certificate.
    pub what: Said,
    /// What to do or know, e.g. 最晚1月30日(周日), 还剩5天(3个工作日).
    pub detail: Said,
    /// Local start time when the line has one, as `09:30`.
    pub time: Option<String>,
    /// 139****1234, for calls.
    pub phone: Option<String>,
    pub urgency: Urgency,
    /// Priority lane: sorted first.
    pub priority: bool,
    /// Marked 暂定: the calendar of that year is not published.
    pub provisional: bool,
    /// Marked 估算: counted from the earliest bound of a range.
    pub estimated: bool,
    #[serde(skip)]
    pub sort_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    Overdue,
    /// 3 days or less.
    Critical,
    /// 7 days or less, or the trigger date is unknown.
    High,
    /// 14 days or less.
    Attention,
    Calm,
}

/// What a supervisor sees of their unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollUp {
    /// One row per unit below (or the unit itself).
    pub units: Vec<UnitLoad>,
    /// Overdue and expired items of others.
    pub exceptions: Vec<Line>,
    /// Messages that failed, are uncertain or are held, in an office clerk's words.
    pub troubles: Vec<Said>,
    /// Yesterday's counts.
    pub sent_yesterday: u64,
    pub failed_yesterday: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitLoad {
    pub unit: String,
    pub open_cases: u64,
    pub overdue: u64,
    pub due_today: u64,
    pub urgent: u64,
}

impl Digest {
    /// Everything that needs a hand today: the number in the subject.
    pub fn tasks(&self) -> usize {
        self.overdue.len() + self.today.len() + self.due_deadlines().count()
    }

    /// Whether there is nothing in it to do or to know.
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.overdue,
            &self.today,
            &self.deadlines,
            &self.waiting,
            &self.ahead,
            &self.new_cases,
        ];
        let troubles = self
            .roll_up
            .as_ref()
            .is_some_and(|all| !all.exceptions.is_empty() || !all.troubles.is_empty());
        lists.iter().all(|list| list.is_empty()) && !troubles
    }

    /// How many of them are urgent.
    pub fn urgent(&self) -> usize {
        let lines = self.overdue.iter().chain(&self.today).chain(self.due_deadlines());
        lines.filter(|line| line.urgency <= Urgency::Critical).count()
    }

    fn due_deadlines(&self) -> impl Iterator<Item = &Line> {
        self.deadlines.iter().filter(|line| line.urgency < Urgency::Calm)
    }
}
