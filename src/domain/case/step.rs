//! 系列服务/方案: steps in an order, at several agencies, one after the other where one needs another. Nothing starts before two people
//! have approved the plan.
//!
//! When a plan is needed by a day, the latest start of each step is counted backwards through the opening days of its agency.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::reply::chase_day;
use super::{Base, Dates, Followed, Head, Mark};
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::org::Role;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, counted};

pub(super) const MILESTONES: &[Milestone] = &[
    Milestone::Ready,
    Milestone::StartBy,
    Milestone::Chase,
    Milestone::Due,
    Milestone::Overdue,
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePlan {
    pub drafted_at: Timestamp,
    pub drafted_by: StaffId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// The day by which everything has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<Date>,
    pub steps: Vec<Step>,
}

/// 研究、梳理: somebody who leads has looked at the plan and agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub at: Timestamp,
    pub by: StaffId,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub head: Head,
    pub name: Said,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<OfficeId>,
    /// Who does it, when it is no office of `agencies.toml`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agency: String,
    /// Steps that have to be done before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ItemId>,
    /// How many opening days of the agency it takes.
    pub takes_days: u32,
    /// 加急: chased at shorter intervals.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expedite: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Mark>,
    /// The last time the agency was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Mark>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A step within its plan.
#[derive(Debug, Clone, Copy)]
pub struct StepOf<'a> {
    pub plan: &'a ServicePlan,
    pub step: &'a Step,
    /// The last day on which it can start.
    pub start_by: Option<Date>,
}

impl<'a> Followed<'a> for StepOf<'a> {
    fn base(&self) -> Base<'a> {
        self.step.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Step
    }

    fn is_open(&self) -> bool {
        self.step.done.is_none()
    }

    fn act_by(&self) -> Milestone {
        if self.step.started.is_some() {
            Milestone::Chase
        } else if self.plan.needed_by.is_some() {
            Milestone::StartBy
        } else {
            Milestone::Ready
        }
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let ladder = &rules.schedule.step.ladder;
        let milestones = match &self.step.started {
            Some(started) => self.under_way(rules, started.at),
            None => {
                // The last day comes near for a draft too.
                Milestones::default()
                    .with_some(Milestone::Ready, self.ready_at().map(Moment::Instant))
                    .with_some(Milestone::StartBy, self.start_by.map(Moment::Day))
            }
        };
        Dates::new(rules, ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        let Said { zh, en } = &self.step.name;
        Said::new(format!("步骤: {zh}"), format!("Step: {en}"))
    }

    fn label(&self) -> Said {
        Said::new("步骤", "step")
    }

    fn remark(&self, rules: &Rulebook, today: Date) -> Said {
        let office = self.step.office.as_ref().and_then(|id| rules.offices.get(id));
        let agency = match office {
            Some(office) => Said::new(office.name.clone(), office.name_en.clone()),
            None => Said::new(self.step.agency.clone(), self.step.agency.clone()),
        };
        let expedite = if self.step.expedite {
            Said::new("加急", "expedited")
        } else {
            Said::default()
        };
        let slack = self
            .slack_workdays(rules, today)
            .filter(|_| self.step.started.is_none());
        let slack = slack.map_or_else(Said::default, |days| {
            let en = counted(days, "workday");
            Said::new(format!("余量{days}个工作日"), format!("{en} of slack"))
        });
        agency.and(&expedite).and(&slack)
    }
}

impl StepOf<'_> {
    fn under_way(&self, rules: &Rulebook, started: Timestamp) -> Milestones {
        let chase = &rules.schedule.step;
        let every = if self.step.expedite {
            chase.chase_expedited_workdays
        } else {
            chase.chase_workdays
        };
        let last = self.step.last_contact.map_or(started, |last| last.max(started));
        let due = days_on(
            rules,
            self.step,
            rules.zone.to_datetime(started).date(),
            self.step.takes_days,
        );
        let due = due.map(Moment::Day);
        Milestones::default()
            .with(Milestone::Chase, Moment::Day(chase_day(rules, last, every)))
            .with_some(Milestone::Due, due)
            .with_some(Milestone::Overdue, due.map(|due| due.day_after(&rules.zone)))
    }

    /// Since when nothing stands in the way of starting: the plan is approved and all steps before are done.
    pub fn ready_at(&self) -> Option<Timestamp> {
        let approved = self.plan.approved_at()?;
        let mut ready = approved.max(self.step.head.set_at);
        for before in &self.step.after {
            let done = self.plan.step(before).and_then(|step| step.done.as_ref());
            ready = ready.max(done?.at);
        }
        Some(ready)
    }

    /// The workdays that are left until it has to start; negative when it should have.
    pub fn slack_workdays(&self, rules: &Rulebook, today: Date) -> Option<i64> {
        Some(rules.calendar.workdays_between(today, self.start_by?))
    }
}

impl ServicePlan {
    /// When the second of two people with different offices agreed: a supervisor and whoever directs the centre.
    pub fn approved_at(&self) -> Option<Timestamp> {
        let by = |roles: &[Role]| {
            self.approvals
                .iter()
                .filter(|one| roles.contains(&one.role))
                .map(|one| one.at)
                .min()
        };
        let supervisor = by(&[Role::BusinessSupervisor])?;
        let director = by(&[Role::Director, Role::DistrictLead])?;
        Some(supervisor.max(director))
    }

    pub fn step(&self, id: &ItemId) -> Option<&Step> {
        self.steps.iter().find(|step| step.head.id == *id)
    }

    /// The last day on which each step can start so that everything after it is still done in time; none without a day to be done by, and
    /// none for steps that wait for each other.
    pub fn latest_starts(&self, rules: &Rulebook) -> BTreeMap<&ItemId, Date> {
        let mut starts: BTreeMap<&ItemId, Date> = BTreeMap::new();
        let Some(needed_by) = self.needed_by else {
            return starts;
        };
        // Backwards: a step is dated when all that come after it are. Each round dates at least one, or the rest go in circles.
        for _ in &self.steps {
            let known = starts.len();
            for step in self.steps.iter().rev() {
                let id = &step.head.id;
                let after = |later: &&Step| later.after.contains(id) && later.done.is_none();
                let mut later = self.steps.iter().filter(after);
                if starts.contains_key(id) || later.clone().any(|later| !starts.contains_key(&later.head.id)) {
                    continue;
                }
                let done_by = later.try_fold(needed_by, |day, later| Some(day.min(*starts.get(&later.head.id)?)));
                let last = done_by.and_then(|day| days_on(rules, step, day, 0));
                if let Some(start) = last.and_then(|last| days_back(rules, step, last, step.takes_days)) {
                    starts.insert(id, start);
                }
            }
            if starts.len() == known {
                break;
            }
        }
        starts
    }
}

/// The `n`-th opening day of the agency after `day`; for none at all the last one on or before it.
fn days_on(rules: &Rulebook, step: &Step, day: Date, n: u32) -> Option<Date> {
    let Some(office) = step.office.as_ref().and_then(|id| rules.offices.get(id)) else {
        return if n == 0 {
            Some(rules.calendar.workday_on_or_before(day))
        } else {
            rules.calendar.add_workdays(day, i64::from(n)).ok()
        };
    };
    if n == 0 {
        return office.last_open_on_or_before(&rules.calendar, day);
    }
    let next = |day: Date| office.next_open_on_or_after(&rules.calendar, day.tomorrow().ok()?);
    (0..n).try_fold(day, |day, _| next(day))
}

/// The `n`-th opening day of the agency before `day`.
fn days_back(rules: &Rulebook, step: &Step, day: Date, n: u32) -> Option<Date> {
    let Some(office) = step.office.as_ref().and_then(|id| rules.offices.get(id)) else {
        return rules.calendar.add_workdays(day, -i64::from(n)).ok();
    };
    let before = |day: Date| office.last_open_on_or_before(&rules.calendar, day.yesterday().ok()?);
    (0..n).try_fold(day, |day, _| before(day))
}
