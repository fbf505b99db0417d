//! Everything the people who own the rules have decided, as values that have been checked.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::domain::benefit::Benefit;
use crate::domain::calendar::Calendar;
use crate::domain::ids::{BenefitId, LadderId, MatterId, OfficeId, PeriodId, PolicyId};
use crate::domain::knowledge::Knowledge;
use crate::domain::ladder::Ladder;
use crate::domain::office::{Office, Window};
use crate::domain::org::Org;
use crate::domain::period::{Counting, Period, PeriodRule};
use crate::domain::policy::Policy;
use crate::domain::quiet::SendingHours;
use crate::domain::text::Said;

/// One consistent set of rules. Every id in it that names another part exists: `config` refuses anything else.
#[derive(Debug, Clone)]
pub struct Rulebook {
    pub zone: TimeZone,
    pub calendar: Calendar,
    pub offices: BTreeMap<OfficeId, Office>,
    pub periods: BTreeMap<PeriodId, PeriodKind>,
    pub ladders: BTreeMap<LadderId, Ladder>,
    pub matters: BTreeMap<MatterId, Matter>,
    pub benefits: BTreeMap<BenefitId, Benefit>,
    pub policies: BTreeMap<PolicyId, Policy>,
    pub knowledge: Knowledge,
    pub org: Org,
    pub schedule: Schedule,
}

/// A kind of deadline: how long, how counted, what happens when it is missed, and where the rule comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodKind {
    pub id: PeriodId,
    pub name: Said,
    /// What the period counts from, e.g. 火化日期.
    pub trigger: Said,
    /// Whether the trigger has to be found out, or is the day the case was opened.
    pub starts: Starts,
    pub rule: PeriodRule,
    /// Whose opening days decide the last safe day, unless the deadline names another office.
    pub office: Option<OfficeId>,
    pub ladder: LadderId,
    pub loss: Loss,
    /// The other way when the period is over, e.g. 查档证明.
    pub alternative: Option<Said>,
    pub source: String,
    /// When somebody last compared the rule with its source.
    pub checked: Option<Date>,
}

/// From when a period counts when nobody says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// Somebody has to give the date; until then it is unknown.
    #[default]
    Given,
    /// The local day on which the case was opened.
    Opening,
}

/// What missing a deadline costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The right is gone for ever.
    Irrecoverable,
    /// It can be caught up with, at a price.
    Recoverable,
    /// Warn, but never call it expired.
    Soft,
}

/// A kind of matter: what a case of it needs from the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    pub id: MatterId,
    /// For staff.
    pub name: Said,
    /// For residents: neutral words that no gateway bans and no neighbour can read anything into, e.g. 证明补办.
    pub public_name: Said,
    pub materials: Vec<Material>,
    /// Offered when a case is opened; those without a trigger date start as unknown.
    pub deadlines: Vec<PeriodId>,
    pub agencies: Vec<OfficeId>,
    /// Where the papers are handed in; its address, route and contact stand on the notice sheet.
    pub office: Option<OfficeId>,
    /// Bereaved households get texts without cheerful words.
    pub bereaved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    pub name: Said,
    /// Who issues it, e.g. 社区居委会.
    pub issuer: Option<Said>,
}

/// `schedule.toml`: digests, hours, caps, and the ladders of items that have no period of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Local time of the daily digest, on workdays.
    pub digest_at: Time,
    /// Whether a day without tasks gets a digest that says so.
    pub digest_when_empty: bool,
    /// When residents and relatives may be written to.
    pub sending_hours: SendingHours,
    pub sms_per_resident_per_day: u32,
    pub sms_per_topic_per_day: u32,
    /// From this age on, residents are phoned first; messages are copies.
    pub phone_first_from_age: u16,
    /// Anything later than this many minutes says in its reason how late and why.
    pub late_after_minutes: u32,
    /// How long "acknowledged" silences a ladder.
    pub acknowledgement_lasts: Period,
    /// How long a promise without a date may take.
    pub callback_period: PeriodRule,
    pub callback_ladder: LadderId,
    pub appointment_ladder: LadderId,
    /// Service hours used for periods in business hours where no office is named.
    pub business_hours: (Time, Time),
}

impl Rulebook {
    /// By what a period is counted; without an office by workdays and the hall's own hours.
    pub fn counting<'a>(&'a self, office: Option<&'a Office>) -> Counting<'a> {
        let (from, to) = self.schedule.business_hours;
        Counting {
            calendar: &self.calendar,
            zone: &self.zone,
            office,
            business_hours: Window { from, to },
        }
    }

    pub fn office_of<'a>(&'a self, kind: &'a PeriodKind, named: Option<&'a OfficeId>) -> Option<&'a Office> {
        named.or(kind.office.as_ref()).and_then(|id| self.offices.get(id))
    }
}
