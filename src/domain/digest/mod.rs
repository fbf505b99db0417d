//! The daily digest: what a member of staff opens every morning, sorted so that the first line is the first thing to do.
//!
//! This is the content, already masked for everybody who may look over a shoulder; `template` only lays it out.

pub mod page;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::domain::ids::{CaseId, ItemId, StaffId};
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
    /// By how much it comes late, when the daemon was down at the configured time.
    pub late: Option<Said>,
    /// Workdays whose digest was missed before this one.
    pub missed_days: u32,
    /// The last day the digest looks ahead to: tomorrow, or through the first workday after a holiday block.
    pub through: Date,
    pub overdue: Vec<Line>,
    /// Appointments and call-backs of the day, by time.
    pub today: Vec<Line>,
    /// Calls to make instead of messages.
    pub calls: Vec<Line>,
    /// Deadlines by urgency.
    pub deadlines: Vec<Line>,
    pub waiting: Vec<Line>,
    /// From tomorrow through `through`.
    pub ahead: Vec<Line>,
    /// Cases that reached this person since the digest before.
    pub new_cases: Vec<Line>,
    /// Residents who have turned to us again and again, one line each.
    pub often: Vec<Line>,
    /// Households that may be greeted, on the days that `schedule.toml` names.
    pub greetings: Vec<Line>,
    /// Rules and notes to compare with their source again.
    pub reviews: Vec<Said>,
    /// For whoever is on duty today: how it stands with the window.
    pub on_duty: Option<UnitLoad>,
    /// Items with a date that did not fit: the latest of them.
    pub more: u64,
    /// Items without a date that did not fit.
    pub more_undated: u64,
    /// For supervisors: the unit's exceptions.
    pub roll_up: Option<RollUp>,
    /// Head of the event chain, short: its number and how its hash begins.
    pub chain_head: String,
}

/// One line. Names are masked (沈**), numbers too (139****1234).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub case: CaseId,
    /// The item of the case, for the command that records what was done; `None` for lines about the case as a whole.
    pub item: Option<ItemId>,
    /// The id of a call task, for `task_done`.
    pub task: Option<String>,
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
    /// Who has to act, in a supervisor's list.
    pub owner: Option<String>,
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
    /// One row per member of staff of the centre.
    pub staff: Vec<StaffLoad>,
    /// Who leaves and still has cases.
    pub leaving: Vec<Said>,
    /// On the first workday of a month: what the month before was like.
    pub month: Option<Month>,
    /// Messages since the digest before.
    pub sent: u64,
    pub failed: u64,
    /// The last day the calendar settles, when it is near: dates after it are provisional.
    pub calendar_ends: Option<Said>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitLoad {
    pub unit: String,
    pub open_cases: u64,
    pub overdue: u64,
    pub due_today: u64,
    /// Due within seven days.
    pub urgent: u64,
    /// Deadlines whose date has to be found first.
    pub undated: u64,
}

/// What one member of staff has in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaffLoad {
    pub name: String,
    pub on_duty: bool,
    pub open_cases: u64,
    pub overdue: u64,
    pub due_today: u64,
}

/// 月度小结: where things got stuck, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Month {
    /// 2026年3月
    pub name: Said,
    /// 难点、痛点、堵点, the most frequent first.
    pub obstacles: Vec<(String, u64)>,
    /// 表扬、意见、建议
    pub feedback: Vec<(Said, u64)>,
    pub closed: u64,
    /// Closed without a single trip of the resident.
    pub closed_without_trips: u64,
}

impl Digest {
    /// Everything that needs a hand today: the number in the subject.
    pub fn tasks(&self) -> usize {
        self.pressing().count()
    }

    /// Whether there is nothing in it to do or to know.
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.overdue,
            &self.today,
            &self.calls,
            &self.deadlines,
            &self.waiting,
            &self.ahead,
            &self.new_cases,
            &self.often,
            &self.greetings,
        ];
        let of_unit = self.roll_up.as_ref().is_some_and(|all| {
            !all.exceptions.is_empty() || !all.troubles.is_empty() || !all.leaving.is_empty() || all.month.is_some()
        });
        lists.iter().all(|list| list.is_empty()) && self.reviews.is_empty() && !of_unit
    }

    /// How many of them are urgent: overdue, a deadline within three days, or granted priority.
    pub fn urgent(&self) -> usize {
        let deadlines = self.deadlines.iter().filter(|line| line.urgency <= Urgency::Critical);
        let others = self.today.iter().chain(&self.calls).filter(|line| line.priority);
        self.overdue.len() + deadlines.count() + others.count()
    }

    /// Whether the look ahead spans days off.
    pub fn before_days_off(&self) -> bool {
        self.date.tomorrow().is_ok_and(|tomorrow| self.through > tomorrow)
    }

    fn pressing(&self) -> impl Iterator<Item = &Line> {
        let deadlines = self.deadlines.iter().filter(|line| line.urgency < Urgency::Calm);
        self.overdue
            .iter()
            .chain(&self.today)
            .chain(&self.calls)
            .chain(deadlines)
    }
}
