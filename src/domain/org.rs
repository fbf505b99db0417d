//! Units, staff, roles and absences: who answers for a case on a given day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{StaffId, UnitId};
use crate::domain::text::Said;

/// The organisation as `people.toml` describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Org {
    pub units: BTreeMap<UnitId, Unit>,
    pub staff: BTreeMap<StaffId, Staff>,
}

/// A district, a service centre or a window. Windows belong to centres, centres to the district.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    pub id: UnitId,
    pub kind: UnitKind,
    /// The full name, e.g. 陶然亭街道政务服务中心.
    pub name: String,
    /// The short name for subjects and lists, e.g. 陶然亭.
    pub short: String,
    /// The English name.
    pub name_en: String,
    pub parent: Option<UnitId>,
    /// The hall's line: the only number ever given to residents.
    pub phone: String,
    pub address: String,
    /// The 【…】 signature of its SMS, for itself and what lies below it.
    pub signature: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    District,
    Centre,
    Window,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Staff {
    pub id: StaffId,
    pub name: String,
    pub unit: UnitId,
    pub role: Role,
    pub email: Option<String>,
    /// For reminders to this person only; never shown to residents.
    pub mobile: Option<String>,
    /// Gets a daily digest.
    pub digest: bool,
    /// The last day in service; afterwards every item passes to the substitute of an open-ended absence or up the line.
    pub leaves: Option<Date>,
    pub absences: Vec<Absence>,
}

/// Who answers for a unit, from the nearest upwards.
const LINE: [Role; 3] = [Role::BusinessSupervisor, Role::Director, Role::DistrictLead];

/// Away from `from` through `to`, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    pub from: Date,
    pub to: Date,
    pub substitute: Option<StaffId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 工作人员/经办人
    Clerk,
    /// 综合窗口人员
    GeneralWindowClerk,
    /// 延时服务人员
    ExtendedHoursStaff,
    /// 业务主管
    BusinessSupervisor,
    /// 服务中心主任/负责人
    Director,
    /// 区级牵头人
    DistrictLead,
    /// 区级相关部门
    DistrictDept,
}

impl Role {
    pub fn said(self) -> Said {
        match self {
            Self::Clerk => Said::new("工作人员", "clerk"),
            Self::GeneralWindowClerk => Said::new("综合窗口人员", "general-window clerk"),
            Self::ExtendedHoursStaff => Said::new("延时服务人员", "extended-hours staff"),
            Self::BusinessSupervisor => Said::new("业务主管", "business supervisor"),
            Self::Director => Said::new("主任", "director"),
            Self::DistrictLead => Said::new("区级牵头人", "district lead"),
            Self::DistrictDept => Said::new("区级部门", "district department"),
        }
    }

    /// May change rules, approve refusals and release what is held.
    pub fn is_supervisory(self) -> bool {
        matches!(self, Self::BusinessSupervisor | Self::Director | Self::DistrictLead)
    }
}

impl Staff {
    fn is_here(&self, on: Date) -> bool {
        !self.has_left(on) && self.absence_on(on).is_none()
    }

    pub fn has_left(&self, on: Date) -> bool {
        self.leaves.is_some_and(|last| last < on)
    }

    /// Whether a message can reach this person at all.
    pub fn has_address(&self) -> bool {
        self.email.is_some() || self.mobile.is_some()
    }

    pub fn absence_on(&self, on: Date) -> Option<&Absence> {
        self.absences
            .iter()
            .find(|absence| absence.from <= on && on <= absence.to)
    }
}

impl Org {
    /// The person who acts for `staff` on that day: themself, or the end of the chain of substitutes, or, when the chain
    /// breaks or turns back on itself, the first supervisor up the line who is there. `None` when nobody is.
    pub fn acting_for(&self, staff: &StaffId, on: Date) -> Option<&Staff> {
        let unit = &self.staff.get(staff)?.unit;
        self.standing_in(staff, on).or_else(|| {
            LINE.into_iter()
                .flat_map(|role| self.with_role(unit, role))
                .find(|candidate| candidate.is_here(on))
        })
    }

    /// Whoever `staff` themself has provided for that day: themself, or the end of the chain of substitutes. `None` when the chain
    /// breaks or turns back on itself.
    pub fn standing_in(&self, staff: &StaffId, on: Date) -> Option<&Staff> {
        let mut current = self.staff.get(staff)?;
        // A chain longer than the staff list has turned back on itself.
        for _ in 0..=self.staff.len() {
            if current.is_here(on) {
                return Some(current);
            }
            let substitute = current.absence_on(on)?.substitute.as_ref()?;
            current = self.staff.get(substitute)?;
        }
        None
    }

    /// Who takes what nobody of a role (or no clerk, without one) can take: the nearest of supervisor, director and district lead who
    /// can be reached, upwards from that role first. When all of them are away, one who is away is better than nobody.
    pub fn up_the_line(&self, unit: &UnitId, from: Option<Role>, on: Date) -> Option<&Staff> {
        let start = LINE.iter().position(|role| Some(*role) == from).unwrap_or(0);
        let everybody = || {
            let roles = LINE[start..].iter().chain(LINE[..start].iter().rev());
            let holders = roles.flat_map(|role| {
                self.line_of(unit).flat_map(|unit| {
                    self.staff
                        .values()
                        .filter(|staff| staff.role == *role && staff.unit == unit.id)
                })
            });
            holders.filter(|staff| staff.has_address())
        };
        everybody()
            .find(|staff| staff.is_here(on))
            .or_else(|| everybody().find(|staff| !staff.has_left(on)))
            // A unit that has gone from the file has no line; the district answers for it.
            .or_else(|| {
                let mut leads = self.staff.values().filter(|staff| staff.role == Role::DistrictLead);
                leads.find(|staff| staff.has_address() && !staff.has_left(on))
            })
    }

    /// Everybody with `role` in the nearest unit, from `unit` upwards, that has such a person.
    pub fn with_role<'a>(&'a self, unit: &UnitId, role: Role) -> impl Iterator<Item = &'a Staff> + use<'a> {
        let holder = self
            .line_of(unit)
            .find(|unit| {
                self.staff
                    .values()
                    .any(|staff| staff.role == role && staff.unit == unit.id)
            })
            .map(|unit| &unit.id);
        self.staff
            .values()
            .filter(move |staff| staff.role == role && Some(&staff.unit) == holder)
    }

    /// The unit and its parents, nearest first. Bounded, so that a cycle in the file cannot hang anything.
    pub fn line_of(&self, unit: &UnitId) -> impl Iterator<Item = &Unit> {
        std::iter::successors(self.units.get(unit), |unit| {
            unit.parent.as_ref().and_then(|id| self.units.get(id))
        })
        .take(self.units.len())
    }

    /// The short name people know a unit by: that of its centre, for a window.
    pub fn known_as(&self, unit: &UnitId) -> Option<&str> {
        let known = self.line_of(unit).find(|unit| unit.kind != UnitKind::Window);
        known.or_else(|| self.units.get(unit)).map(|unit| unit.short.as_str())
    }

    /// The signature of the nearest unit, from `unit` upwards, that has one of its own.
    pub fn signature_of(&self, unit: &UnitId) -> Option<&str> {
        self.line_of(unit).find_map(|unit| unit.signature.as_deref())
    }

    /// Whether `unit` is `above` or lies below it.
    pub fn is_within(&self, unit: &UnitId, above: &UnitId) -> bool {
        self.line_of(unit).any(|unit| unit.id == *above)
    }
}
