//! Everything the people who own the rules have decided, as values that have been checked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::domain::benefit::Benefit;
use crate::domain::calendar::Calendar;
use crate::domain::case::{Purpose, ReplyKind};
use crate::domain::guard::GuardRule;
use crate::domain::ids::{BenefitId, LadderId, MatterId, OfficeId, PeriodId, PolicyId, UnitId};
use crate::domain::knowledge::Knowledge;
use crate::domain::ladder::Ladder;
use crate::domain::office::{Office, Window};
use crate::domain::org::{Org, Staff, Unit, UnitKind};
use crate::domain::period::{Counting, Period, PeriodRule};
use crate::domain::policy::Policy;
use crate::domain::quiet::SendingHours;
use crate::domain::rota::Rota;
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
    /// Tags of households that no policy needs to use yet.
    pub tags: BTreeSet<String>,
    pub knowledge: Knowledge,
    pub org: Org,
    pub rota: Rota,
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
    /// The plan that is offered for it, in order.
    pub steps: Vec<StepPreset>,
    /// Households that a scan of needs offers it to.
    pub suits: BTreeSet<String>,
    /// How its reimbursement is estimated, a name in `benefits.toml`.
    pub benefit: Option<BenefitId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    pub name: Said,
    /// Who issues it, e.g. 社区居委会.
    pub issuer: Option<Said>,
    /// Where it may be found, in the order to ask.
    pub places: Vec<String>,
}

/// A step that a matter of this kind usually takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPreset {
    pub name: Said,
    pub office: Option<OfficeId>,
    /// Who does it, when it is no office of `agencies.toml`.
    pub agency: String,
    /// The numbers of the steps that come before, counted from 1.
    pub after: Vec<u32>,
    pub takes_days: u32,
    pub expedite: bool,
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
    /// By whatever way, over all cases.
    pub messages_per_resident_per_day: u32,
    pub guard: GuardRule,
    /// From this age on, residents are phoned first; messages are copies.
    pub phone_first_from_age: u16,
    /// Anything later than this many minutes says in its reason how late and why.
    pub late_after_minutes: u32,
    /// How long "acknowledged" silences a ladder.
    pub acknowledgement_lasts: Period,
    /// How long a promise without a date may take.
    pub callback_period: PeriodRule,
    pub callback_ladder: LadderId,
    /// How many tries in vain before somebody tries another way.
    pub callback_attempts_max: usize,
    /// When staff phone: after a try in vain, the next one comes at the start of the next of these.
    pub callback_windows: Vec<Window>,
    pub appointment_ladder: LadderId,
    pub escort: EscortRule,
    pub incident_ladder: LadderId,
    pub material: ChaseRule,
    pub step: StepRule,
    pub replies: BTreeMap<ReplyKind, ReplyRule>,
    pub todos: BTreeMap<Purpose, TodoRule>,
    pub policy_ladder: LadderId,
    pub care: CareRule,
    /// The days on which staff may greet households that like to hear from them; none unless somebody asks for it.
    pub greetings: Vec<Greeting>,
    /// When extended-hours staff go out, every day.
    pub extended_hours: (Time, Time),
    /// Service hours used for periods in business hours where no office is named.
    pub business_hours: (Time, Time),
}

/// `[escort]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscortRule {
    pub ladder: LadderId,
    /// Between two places, unless the office says otherwise.
    pub travel_minutes: u32,
    /// How long after the time of a leg nobody has to worry.
    pub grace_minutes: u32,
}

/// `[material]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaseRule {
    pub ladder: LadderId,
    pub chase_workdays: u32,
}

/// `[step]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRule {
    pub ladder: LadderId,
    pub chase_workdays: u32,
    /// The same for steps that are expedited.
    pub chase_expedited_workdays: u32,
}

/// `[reply.<kind>]`
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyRule {
    pub ladder: LadderId,
    /// How long an answer may take when nobody says.
    pub period: PeriodRule,
    /// Asked again after so many workdays; `None` is only when it is overdue.
    pub chase_workdays: Option<u32>,
}

/// `[todo.<purpose>]`
#[derive(Debug, Clone, PartialEq)]
pub struct TodoRule {
    pub ladder: LadderId,
    pub period: PeriodRule,
}

/// `[case]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CareRule {
    pub ladder: LadderId,
    /// After so many workdays without a contact somebody is asked to tell the resident how it goes.
    pub silent_after_workdays: u32,
    /// After so many calls a summary on paper is suggested.
    pub recap_after_calls: usize,
    /// After so many contacts from the resident the case sorts first.
    pub pressing_after_contacts: usize,
}

/// A day on which staff may greet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// 冬至
    WinterSolstice,
    /// 元旦
    NewYear,
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

    /// Who answers at a unit's window that day: the person on duty by the rota, or whoever acts for them. `None` on a day that needs
    /// nobody, and where no rota says who.
    ///
    /// A unit without a rota for that day goes by one in the same hall: first its windows, then its centre and the other windows of
    /// that. The rota of another hall never counts.
    pub fn duty_officer(&self, unit: &UnitId, day: Date) -> Option<&Staff> {
        let on_duty = |unit: &Unit| self.rota.on_duty(&self.calendar, &unit.id, day);
        let has_rota = |unit: &&Unit| self.rota.speaks_of(&unit.id, day);
        let is_in_hall = |above: &&Unit| above.id == *unit || above.kind != UnitKind::District;
        let duty = self.org.line_of(unit).take_while(is_in_hall).find_map(|above| {
            if has_rota(&above) {
                return Some(on_duty(above));
            }
            let below = |unit: &&Unit| unit.kind == UnitKind::Window && unit.parent.as_ref() == Some(&above.id);
            let mut windows = self.org.units.values().filter(below).filter(has_rota).peekable();
            windows.peek().is_some().then(|| windows.find_map(on_duty))
        });
        self.org.acting_for(duty??, day)
    }

    pub fn office_of<'a>(&'a self, kind: &'a PeriodKind, named: Option<&'a OfficeId>) -> Option<&'a Office> {
        named.or(kind.office.as_ref()).and_then(|id| self.offices.get(id))
    }
}
