//! Bookings: who is bound by an appointment or an escort, when and where. What does not fit is refused with whatever stands in the way;
//! nothing is ever moved.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::domain::case::{Case, ItemKind};
use crate::domain::command::Refusal;
use crate::domain::ids::{CaseId, ItemId, OfficeId, PersonId, StaffId, UnitId};
use crate::domain::office::Office;
use crate::domain::org::{Role, Staff};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

/// Somebody of the staff and a resident, bound for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    pub case: CaseId,
    pub item: ItemId,
    pub staff: StaffId,
    pub resident: PersonId,
    pub from: Timestamp,
    pub to: Timestamp,
    pub office: OfficeId,
    /// An escort begins and ends at somebody's home, not at the office.
    pub is_escort: bool,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub case: &'a Case,
    /// The item that is moved; `None` for a new one.
    pub item: Option<&'a ItemId>,
    pub staff: &'a StaffId,
    pub office: &'a OfficeId,
    pub from: Timestamp,
    pub to: Timestamp,
    pub is_escort: bool,
}

impl Wish<'_> {
    /// Whether nobody has to go anywhere between the two.
    fn is_at_the_place_of(&self, other: &Booking) -> bool {
        other.office == *self.office && !self.is_escort && !other.is_escort
    }
}

/// Everything that binds anybody, as far as it may matter: what other cases have, and what the case itself has by now.
#[derive(Debug, Clone)]
pub struct Agenda<'a> {
    rules: &'a Rulebook,
    bookings: Vec<Booking>,
}

impl<'a> Agenda<'a> {
    /// `busy` may speak of the case as it was before; what the case says itself counts.
    pub fn new(rules: &'a Rulebook, case: &Case, busy: &[Booking]) -> Self {
        let others = busy.iter().filter(|booking| booking.case != case.id).cloned();
        let own = case.items(rules).filter_map(|item| {
            let span = item.span()?;
            Some(Booking {
                case: case.id.clone(),
                item: item.id().clone(),
                staff: item.assignee().unwrap_or(&case.owner).clone(),
                resident: case.party.person.clone(),
                from: span.from,
                to: span.to,
                office: span.office.clone(),
                is_escort: item.kind() == ItemKind::Escort,
            })
        });
        Self {
            rules,
            bookings: others.chain(own).collect(),
        }
    }

    /// Refuses what cannot be: somebody who is away, off duty or elsewhere at that time, a resident who is, too little time on the way.
    pub fn allows(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
        self.is_there(wish)?;
        if let Some(other) = self.of_staff(wish).find(|other| overlaps(other, wish.from, wish.to)) {
            return Err(self.refused_for_staff(wish, &Said::new("时间冲突", "it clashes with"), other));
        }
        let resident = &wish.case.party.person;
        let theirs = self.others(wish).filter(|other| other.resident == *resident);
        if let Some(other) = theirs.into_iter().find(|other| overlaps(other, wish.from, wish.to)) {
            let words = self.words(other);
            return Err(Refusal::at(
                "start",
                Said::new(
                    format!("居民那时已有安排: {}", words.zh),
                    format!("the resident is expected elsewhere then: {}", words.en),
                ),
                Said::new(
                    format!("另选时间,或先改期或取消 {}", other.item),
                    format!("choose another time, or move or cancel {} first", other.item),
                ),
            ));
        }
        let on_the_way = |other: &&Booking| {
            let travel = self.travel(other, wish);
            !wish.is_at_the_place_of(other)
                && (wish.from < later(other.to, travel) && other.from < later(wish.to, travel))
        };
        match self.of_staff(wish).find(on_the_way) {
            Some(other) => Err(self.refused_for_staff(
                wish,
                &Said::new("路上时间不够,前后是", "there is too little time for the way from or to"),
                other,
            )),
            None => Ok(()),
        }
    }

    /// Whether a unit has no extended-hours staff at all: no other time would help.
    pub fn has_nobody_for(&self, unit: &UnitId) -> bool {
        pool(self.rules, unit).next().is_none()
    }

    /// Members of the pool who could take it, the least busy of that day first.
    pub fn free(&self, wish: &Wish<'_>) -> Vec<&'a Staff> {
        let mut free: Vec<&Staff> = pool(self.rules, &wish.case.unit)
            .filter(|staff| {
                self.could(&Wish {
                    staff: &staff.id,
                    ..*wish
                })
            })
            .collect();
        let day = self.rules.zone.to_datetime(wish.from).date();
        let load = |staff: &Staff| {
            let of_day = |booking: &&Booking| self.rules.zone.to_datetime(booking.from).date() == day;
            let theirs = self.bookings.iter().filter(|booking| booking.staff == staff.id);
            theirs.filter(of_day).count()
        };
        free.sort_by_key(|staff| (load(staff), staff.id.clone()));
        free
    }

    fn is_there(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
        let rules = self.rules;
        let Some(staff) = rules.org.staff.get(wish.staff) else {
            return Ok(());
        };
        let day = rules.zone.to_datetime(wish.from).date();
        let why = if staff.leaves.is_some_and(|last| last < day) {
            Said::new("已离岗", "has left by then")
        } else if let Some(absence) = staff.absence_on(day) {
            let (from, to) = (absence.from, absence.to);
            Said::new(format!("{from}至{to}不在岗"), format!("is away from {from} to {to}"))
        } else if !self.is_on_duty(staff, day, wish) {
            Said::new("那时不上班", "is off duty then")
        } else {
            return Ok(());
        };
        let id = &staff.id;
        Err(Refusal::at(
            "with",
            Said::new(format!("{id} {}", why.zh), format!("{id} {}", why.en)),
            self.suggestion(wish),
        ))
    }

    /// Whoever serves extended hours goes out every day within them; others on workdays.
    fn is_on_duty(&self, staff: &Staff, day: Date, wish: &Wish<'_>) -> bool {
        let rules = self.rules;
        if staff.role != Role::ExtendedHoursStaff {
            return rules.calendar.is_workday(day)
                || rules.rota.on_duty(&rules.calendar, &staff.unit, day) == Some(&staff.id);
        }
        let (from, to) = (rules.zone.to_datetime(wish.from), rules.zone.to_datetime(wish.to));
        let (first, last) = rules.schedule.extended_hours;
        from.time() >= first && to.time() <= last && from.date() == to.date()
    }

    fn refused_for_staff(&self, wish: &Wish<'_>, why: &Said, other: &Booking) -> Refusal {
        let (words, id) = (self.words(other), wish.staff);
        let (zh, en) = (
            format!("{id} {}: {}", why.zh, words.zh),
            format!("{id}: {} {}", why.en, words.en),
        );
        Refusal::at("with", Said::new(zh, en), self.suggestion(wish))
    }

    /// Colleagues who could go instead.
    fn suggestion(&self, wish: &Wish<'_>) -> Said {
        let free: Vec<String> = pool(self.rules, &wish.case.unit)
            .filter(|staff| {
                staff.id != *wish.staff
                    && self.could(&Wish {
                        staff: &staff.id,
                        ..*wish
                    })
            })
            .map(|staff| format!("{} ({})", staff.id, staff.name))
            .collect();
        if self.has_nobody_for(&wish.case.unit) {
            return nobody_to_go();
        }
        if free.is_empty() {
            return Said::new(
                "那时没有空闲的延时服务人员,请另选时间",
                "nobody of the extended-hours staff is free then; choose another time",
            );
        }
        let list = free.join(", ");
        Said::new(format!("那时有空: {list}"), format!("free then: {list}"))
    }

    /// As `allows`, without words.
    fn could(&self, wish: &Wish<'_>) -> bool {
        let Some(staff) = self.rules.org.staff.get(wish.staff) else {
            return false;
        };
        let day = self.rules.zone.to_datetime(wish.from).date();
        let is_here = staff.leaves.is_none_or(|last| day <= last) && staff.absence_on(day).is_none();
        let clashes = self.of_staff(wish).any(|other| {
            let travel = if wish.is_at_the_place_of(other) {
                SignedDuration::ZERO
            } else {
                self.travel(other, wish)
            };
            wish.from < later(other.to, travel) && other.from < later(wish.to, travel)
        });
        is_here && self.is_on_duty(staff, day, wish) && !clashes
    }

    fn others<'b>(&'b self, wish: &'b Wish<'_>) -> impl Iterator<Item = &'b Booking> {
        let itself = move |other: &&Booking| other.case == wish.case.id && Some(&other.item) == wish.item;
        self.bookings.iter().filter(move |other| !itself(other))
    }

    fn of_staff<'b>(&'b self, wish: &'b Wish<'_>) -> impl Iterator<Item = &'b Booking> {
        self.others(wish).filter(|other| other.staff == *wish.staff)
    }

    fn travel(&self, other: &Booking, wish: &Wish<'_>) -> SignedDuration {
        let minutes = |office: &OfficeId| travel_minutes(self.rules, self.rules.offices.get(office));
        SignedDuration::from_mins(i64::from(minutes(&other.office).max(minutes(wish.office))))
    }

    /// 2026-000017 e3 2026-03-05 09:00-12:00
    fn words(&self, other: &Booking) -> Said {
        let (from, to) = (
            self.rules.zone.to_datetime(other.from),
            self.rules.zone.to_datetime(other.to),
        );
        let words = format!(
            "{} {} {}-{}",
            other.case,
            other.item,
            from.strftime("%Y-%m-%d %H:%M"),
            to.strftime("%H:%M")
        );
        Said::new(words.clone(), words)
    }
}

/// How long it takes to an office, in minutes.
pub fn travel_minutes(rules: &Rulebook, office: Option<&Office>) -> u32 {
    let own = office.and_then(|office| office.travel_minutes);
    own.unwrap_or(rules.schedule.escort.travel_minutes)
}

/// Whoever goes along with people: the extended-hours staff of the nearest unit that has some.
fn pool<'a>(rules: &'a Rulebook, unit: &UnitId) -> impl Iterator<Item = &'a Staff> + use<'a> {
    rules.org.with_role(unit, Role::ExtendedHoursStaff)
}

/// What to do where nobody serves extended hours.
pub fn nobody_to_go() -> Said {
    Said::new(
        "本中心没有延时服务人员,请用 with 指明由谁陪同",
        "no extended-hours staff at this centre; name who goes along with \"with\"",
    )
}

fn overlaps(other: &Booking, from: Timestamp, to: Timestamp) -> bool {
    from < other.to && other.from < to
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
