//! The supervisors' files as they are written. Unknown keys are refused everywhere.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::values::{Clock, Day, Days, Hours, Parsed, Yuan};
use crate::domain::benefit::Share;
use crate::domain::calendar::OffDay;
use crate::domain::case::{Purpose, ReplyKind};
use crate::domain::ladder::{Audience, ItemKind, Late, Priority, Until, Way, When};
use crate::domain::org::{Role, UnitKind};
use crate::domain::period::{Mode, MonthEnd, Period};
use crate::domain::rota::Each;
use crate::domain::rulebook::{Greeting, Loss, Starts};
use crate::domain::text::Said;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleFile {
    pub digest: DigestSection,
    pub hours: HoursSection,
    pub caps: Caps,
    pub guard: GuardSection,
    pub people: PeopleSection,
    pub callback: CallbackSection,
    pub appointment: AppointmentSection,
    pub escort: EscortSection,
    pub incident: LadderSection,
    pub material: MaterialSection,
    pub step: StepSection,
    pub reply: BTreeMap<ReplyKind, ReplySection>,
    pub todo: BTreeMap<Purpose, TodoSection>,
    pub policy: LadderSection,
    pub case: CaseSection,
    pub greeting: GreetingSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DigestSection {
    pub at: Clock,
    pub when_empty: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoursSection {
    pub sending: Hours,
    pub business: Hours,
    pub extended: Hours,
    pub late_after_minutes: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Caps {
    pub sms_per_resident_per_day: u32,
    pub sms_per_topic_per_day: u32,
    pub messages_per_resident_per_day: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardSection {
    pub run_min: u32,
    pub run_times: u32,
    pub same_text: u32,
    pub first: u32,
    pub failures_percent: u32,
    pub new_text_first: u32,
    pub new_text_wait_minutes: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleSection {
    pub phone_first_from_age: u16,
    pub acknowledgement_lasts: Parsed<Period>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallbackSection {
    pub period: Parsed<Period>,
    pub attempts_max: u32,
    pub windows: Vec<Hours>,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppointmentSection {
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LadderSection {
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EscortSection {
    pub travel_minutes: u32,
    pub grace_minutes: u32,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaterialSection {
    pub chase_workdays: u32,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepSection {
    pub chase_workdays: u32,
    pub chase_expedited_workdays: u32,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplySection {
    pub period: Parsed<Period>,
    pub chase_workdays: Option<u32>,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TodoSection {
    pub period: Parsed<Period>,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseSection {
    pub silent_after_workdays: u32,
    pub recap_after_calls: u32,
    pub pressing_after_contacts: u32,
    pub ladder: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GreetingSection {
    pub on: Vec<Greeting>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LaddersFile {
    #[serde(default)]
    pub ladder: BTreeMap<String, LadderEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LadderEntry {
    pub item: ItemKind,
    pub until: Until,
    pub late: Late,
    pub effective_from: Day,
    #[serde(default)]
    pub rung: Vec<RungEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RungEntry {
    pub name: String,
    pub when: Parsed<When>,
    pub at: Option<Clock>,
    #[serde(default)]
    pub off_day: OffDay,
    pub to: Vec<Audience>,
    pub by: Vec<Way>,
    pub text: String,
    pub until: Option<Until>,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default)]
    pub if_told: bool,
    pub effective_from: Option<Day>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodsFile {
    #[serde(default)]
    pub period: BTreeMap<String, PeriodEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodEntry {
    pub name: Said,
    pub trigger: Said,
    #[serde(default)]
    pub starts: Starts,
    pub length: Parsed<Period>,
    pub mode: Mode,
    pub margin: Option<Parsed<Period>>,
    #[serde(default)]
    pub count_start_day: bool,
    #[serde(default)]
    pub month_end: MonthEnd,
    pub office: Option<String>,
    pub ladder: String,
    pub loss: Loss,
    pub alternative: Option<Said>,
    pub source: String,
    pub checked: Option<Day>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatterFile {
    pub name: Said,
    pub public_name: Said,
    #[serde(default)]
    pub bereaved: bool,
    pub office: Option<String>,
    #[serde(default)]
    pub deadlines: Vec<String>,
    #[serde(default)]
    pub agencies: Vec<String>,
    #[serde(default)]
    pub suits: Vec<String>,
    pub benefit: Option<String>,
    #[serde(default)]
    pub material: Vec<MaterialEntry>,
    #[serde(default)]
    pub step: Vec<StepEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaterialEntry {
    pub name: Said,
    pub issuer: Option<Said>,
    #[serde(default)]
    pub places: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepEntry {
    pub name: Said,
    pub office: Option<String>,
    pub agency: Option<String>,
    #[serde(default)]
    pub after: Vec<u32>,
    pub takes_days: u32,
    #[serde(default)]
    pub expedite: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgenciesFile {
    #[serde(default)]
    pub office: BTreeMap<String, OfficeEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfficeEntry {
    pub name: String,
    pub name_en: String,
    pub address: String,
    /// Without a route or a contact no notice sheet can be made.
    #[serde(default)]
    pub route: String,
    #[serde(default)]
    pub contact: String,
    pub phone: String,
    pub travel_minutes: Option<u32>,
    /// Windows of every workday.
    pub hours: Option<Vec<Hours>>,
    /// Windows of ordinary Saturdays, beside `hours`.
    pub saturday: Option<Vec<Hours>>,
    /// Windows of its own weekdays, instead of `hours`.
    pub week: Option<Week>,
    #[serde(default)]
    pub closed: Vec<Days>,
    #[serde(default)]
    pub extra: Vec<ExtraEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtraEntry {
    pub day: Day,
    pub hours: Vec<Hours>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Week {
    pub monday: Vec<Hours>,
    pub tuesday: Vec<Hours>,
    pub wednesday: Vec<Hours>,
    pub thursday: Vec<Hours>,
    pub friday: Vec<Hours>,
    pub saturday: Vec<Hours>,
    pub sunday: Vec<Hours>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleFile {
    #[serde(default)]
    pub unit: BTreeMap<String, UnitEntry>,
    #[serde(default)]
    pub staff: BTreeMap<String, StaffEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitEntry {
    pub kind: UnitKind,
    pub name: String,
    pub name_en: String,
    pub short: String,
    pub parent: Option<String>,
    pub phone: String,
    pub address: String,
    pub signature: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaffEntry {
    pub name: String,
    pub unit: String,
    pub role: Role,
    pub email: Option<String>,
    pub mobile: Option<String>,
    pub digest: bool,
    pub leaves: Option<Day>,
    #[serde(default)]
    pub absence: Vec<AbsenceEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AbsenceEntry {
    pub from: Day,
    pub to: Day,
    pub substitute: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotaFile {
    #[serde(default)]
    pub rota: BTreeMap<String, RotaEntry>,
}

/// Either `week` or `turns`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotaEntry {
    /// The unit; without it the entry is named like its unit.
    pub unit: Option<String>,
    pub from: Day,
    pub to: Day,
    pub turns: Option<Vec<String>>,
    pub each: Option<Each>,
    pub makeup: Option<String>,
    pub week: Option<DutyWeek>,
    #[serde(default)]
    pub day: Vec<DutyDayEntry>,
    #[serde(default)]
    pub swap: Vec<SwapEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DutyWeek {
    pub monday: Option<String>,
    pub tuesday: Option<String>,
    pub wednesday: Option<String>,
    pub thursday: Option<String>,
    pub friday: Option<String>,
    pub saturday: Option<String>,
    pub sunday: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DutyDayEntry {
    pub day: Day,
    pub staff: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwapEntry {
    pub day: Day,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BenefitsFile {
    #[serde(default)]
    pub benefit: BTreeMap<String, BenefitEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BenefitEntry {
    pub name: Said,
    pub source: String,
    pub checked: Option<Day>,
    #[serde(default)]
    pub layer: Vec<LayerEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerEntry {
    pub name: Said,
    pub share: Parsed<Share>,
    pub deductible: Option<Yuan>,
    pub cap: Option<Yuan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoliciesFile {
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub policy: BTreeMap<String, PolicyEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEntry {
    pub name: Said,
    pub tags: Vec<String>,
    pub added: Day,
    pub tell_within: Parsed<Period>,
    pub what: Said,
    pub source: String,
    pub checked: Option<Day>,
    pub until: Option<Day>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnowledgeFile {
    pub periods: Option<PeriodReviewEntry>,
    #[serde(default)]
    pub note: BTreeMap<String, NoteEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodReviewEntry {
    pub review: Parsed<Period>,
    pub keeper: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteEntry {
    pub title: Said,
    pub text: Said,
    pub source: String,
    pub checked: Day,
    pub review: Parsed<Period>,
    pub keeper: String,
    #[serde(default)]
    pub matters: Vec<String>,
}
