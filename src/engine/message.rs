//! What a text may say about a reminder: facts, already masked and put into words. Who may know less gets less; the rest is not even
//! handed over.

use jiff::civil::Date;

use crate::domain::calendar::{Certainty, days_left};
use crate::domain::case::{Case, CaseFlag, HeardBy, Hop, Item, Leg};
use crate::domain::digest::page::called_as;
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Moment};
use crate::domain::notice::materials_of;
use crate::domain::office::Office;
use crate::domain::org::{Staff, Unit};
use crate::domain::person::{Language, MayKnow, Person, PersonFlag};
use crate::domain::plan::decide::Scene;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::recheck::Queued;
use crate::domain::reminder::{MarkText, Recipient};
use crate::domain::rulebook::{Loss, Matter};
use crate::domain::text::{Said, day_words_on, is_plain, mask_name, mask_phone, time_words};
use crate::store::queue::Claimed;
use crate::store::reminders::LedgerRow;
use crate::template::{Brief, Call, Detail, Message, Reader, Words};

/// An SMS names this many things to bring; the notice sheet has them all.
const BRING_MAX: usize = 3;

/// A mail names this many stops on the way through the departments; the case page has them all.
const HOPS_MAX: usize = 5;

/// The message of one reminder. `tasks` are the open call tasks that a `call_task` notice speaks of.
pub fn for_reminder(
    scene: &Scene<'_>,
    dated: &Dated<'_>,
    queued: &Queued,
    row: &Claimed,
    tasks: &[&LedgerRow],
) -> Message {
    let to = match &queued.recipient {
        Recipient::Person(id) => scene.people.all().find(|person| person.id == *id),
        Recipient::Staff(_) | Recipient::Nobody => None,
    };
    let staff = match &queued.recipient {
        Recipient::Staff(id) => scene.rules.org.staff.get(id),
        Recipient::Person(_) | Recipient::Nobody => None,
    };
    let facts = Facts {
        scene,
        dated,
        row,
        tasks,
        today: scene.rules.zone.to_datetime(scene.now).date(),
        reader: reader(to),
        to,
        staff,
        knows: knows(to),
    };
    Message {
        reader: facts.reader,
        language: to.map_or(Language::Chinese, |person| person.language),
        zh: facts.words(zh),
        en: facts.words(en),
    }
}

fn reader(to: Option<&Person>) -> Reader {
    match to {
        None => Reader::Staff,
        Some(person) if person.relative.is_some() => Reader::Relative,
        Some(_) => Reader::Resident,
    }
}

fn knows(to: Option<&Person>) -> MayKnow {
    to.and_then(|person| person.relative.as_ref())
        .map_or(MayKnow::Full, |relative| relative.may_know)
}

fn zh(said: Said) -> String {
    said.zh
}

fn en(said: Said) -> String {
    said.en
}

/// Takes one language out of the two.
type Pick = fn(Said) -> String;

struct Facts<'a> {
    scene: &'a Scene<'a>,
    dated: &'a Dated<'a>,
    row: &'a Claimed,
    tasks: &'a [&'a LedgerRow],
    today: Date,
    reader: Reader,
    /// The resident or relative it goes to.
    to: Option<&'a Person>,
    /// The member of staff it goes to.
    staff: Option<&'a Staff>,
    knows: MayKnow,
}

impl Facts<'_> {
    fn words(&self, pick: Pick) -> Words {
        let detail = match (self.reader, self.knows) {
            (Reader::Staff, _) => self.for_staff(pick),
            (_, MayKnow::Full) => self.for_public(pick),
            (_, MayKnow::DateOnly) => Detail::default(),
        };
        Words {
            brief: self.brief(pick),
            detail,
        }
    }

    fn brief(&self, pick: Pick) -> Brief {
        let case = self.scene.case;
        let full = self.knows == MayKnow::Full;
        let unit = self.unit();
        let relative = self.reader == Reader::Relative;
        let loss = self.dated.kind.map(|kind| kind.loss);
        Brief {
            greeting: pick(self.to.map(Person::greeting).unwrap_or_default()),
            matter: self
                .matter()
                .filter(|_| full)
                .map_or_else(String::new, |matter| pick(matter.public_name.clone())),
            case: if relative { String::new() } else { case.id.to_string() },
            item: if relative {
                String::new()
            } else {
                self.dated.item.id().to_string()
            },
            kind: self.dated.item.kind().name(),
            about: pick(self.dated.item.label()),
            milestone: self.milestone(),
            day: pick(self.day().map_or_else(to_be_found, |day| self.day_words(day))),
            time: self.time().map(pick).unwrap_or_default(),
            when: pick(self.when()),
            left: pick(self.left()),
            bring: if full { self.bring_openly() } else { Vec::new() },
            bring_more: full && self.brings_more(),
            unit: pick(unit.map_or_else(Said::default, |unit| {
                Said::new(unit.name.as_str(), unit.name_en.as_str())
            })),
            unit_short: self.scene.rules.org.known_as(&case.unit).unwrap_or_default().to_owned(),
            hall_phone: unit.map(|unit| unit.phone.clone()).unwrap_or_default(),
            irrecoverable: loss == Some(Loss::Irrecoverable),
            soft: loss == Some(Loss::Soft),
            expired: self.is_expired(),
            estimated: self.is_estimated(),
            provisional: self.is_provisional(),
            gentle: is_gentle(case, self.matter(), self.scene.people.resident.as_ref()),
        }
    }

    fn for_public(&self, pick: Pick) -> Detail {
        Detail {
            what: self.what(),
            bring_all: self.bring().to_vec(),
            materials: self.materials(pick),
            ..self.office_words(pick)
        }
    }

    fn for_staff(&self, pick: Pick) -> Detail {
        let rules = self.scene.rules;
        let kind = self.dated.kind;
        let case = &self.scene.case.matter;
        let counted = self.dated.counted.as_ref();
        let alternative = kind.and_then(|kind| kind.alternative.clone());
        let resident = self.scene.people.resident.as_ref();
        Detail {
            who: resident.map(|person| mask_name(&person.name)).unwrap_or_default(),
            matter_full: self
                .matter()
                .map_or_else(|| case.to_string(), |matter| pick(matter.name.clone())),
            deadline: kind.map(|kind| pick(kind.name.clone())).unwrap_or_default(),
            trigger: kind.map(|kind| pick(kind.trigger.clone())).unwrap_or_default(),
            legal_end: counted
                .map(|counted| pick(self.day_words(counted.legal_end)))
                .unwrap_or_default(),
            alternative: alternative.map(pick).unwrap_or_default(),
            derivation: self.dated.explain(rules).into_iter().map(pick).collect(),
            what: self.what(),
            bring_all: self.bring().to_vec(),
            materials: self.materials(pick),
            title: pick(self.dated.item.title(rules)),
            remark: pick(self.dated.item.remark(rules, self.today)),
            legs: self.legs(pick),
            list: match self.dated.item {
                Item::Reply(reply) => reply.list.clone(),
                _ => Vec::new(),
            },
            hops: self.hops(pick),
            tries: match self.dated.item {
                Item::Callback(callback) => callback.attempts.len(),
                _ => 0,
            },
            calls: self.tasks.iter().filter_map(|task| self.call(task, pick)).collect(),
            reason: pick(Said::new(self.row.reason_zh.as_str(), self.row.reason_en.as_str())),
            me: self.staff.map(|staff| staff.id.to_string()).unwrap_or_default(),
            ..self.office_words(pick)
        }
    }

    fn call(&self, task: &LedgerRow, pick: Pick) -> Option<Call> {
        let Recipient::Person(id) = Recipient::parse(&task.recipient)? else {
            return None;
        };
        let person = self.scene.people.all().find(|person| person.id == id)?;
        Some(Call {
            who: called_as(person),
            phone: person.phone.as_deref().map(mask_phone).unwrap_or_default(),
            why: pick(Said::new(task.reason_zh.as_str(), task.reason_en.as_str())),
            task: task.id.clone(),
        })
    }

    fn office_words(&self, pick: Pick) -> Detail {
        let Some(office) = self.office() else {
            return Detail::default();
        };
        Detail {
            office: pick(Said::new(office.name.as_str(), office.name_en.as_str())),
            office_address: office.address.clone(),
            office_route: office.route.clone(),
            office_contact: office.contact.clone(),
            office_phone: office.phone.clone(),
            office_hours: pick(office.hours_in_words()),
            ..Detail::default()
        }
    }

    fn matter(&self) -> Option<&Matter> {
        self.scene.rules.matters.get(&self.scene.case.matter)
    }

    fn unit(&self) -> Option<&Unit> {
        self.scene.rules.org.units.get(&self.scene.case.unit)
    }

    /// Where to go: the place of the appointment, else the office of the deadline, else that of the matter.
    fn office(&self) -> Option<&Office> {
        let rules = self.scene.rules;
        let of_matter = || self.matter().and_then(|matter| matter.office.as_ref());
        let id = match self.dated.item {
            Item::Appointment(appointment) => Some(&appointment.office),
            Item::Escort(escort) => Some(&escort.office),
            Item::Deadline(deadline) => {
                let of_kind = self.dated.kind.and_then(|kind| kind.office.as_ref());
                deadline.office.as_ref().or_else(of_matter).or(of_kind)
            }
            Item::Reply(reply) => reply.office.as_ref(),
            Item::Step(of) => of.step.office.as_ref(),
            _ => None,
        };
        id.and_then(|id| rules.offices.get(id))
    }

    fn materials(&self, pick: Pick) -> Vec<String> {
        let listed = materials_of(self.scene.case, self.matter());
        listed.into_iter().map(pick).collect()
    }

    fn bring(&self) -> &[String] {
        match self.dated.item {
            Item::Appointment(appointment) => &appointment.bring,
            Item::Escort(escort) => &escort.bring,
            _ => &[],
        }
    }

    /// What an SMS may name: a few things, and none that gives away more than the errand.
    fn bring_openly(&self) -> Vec<String> {
        let plain = |thing: &&String| is_plain(thing);
        self.bring().iter().filter(plain).take(BRING_MAX).cloned().collect()
    }

    /// Whether there is more to bring than an SMS may name.
    fn brings_more(&self) -> bool {
        self.bring().len() > self.bring_openly().len()
    }

    fn what(&self) -> String {
        match self.dated.item {
            Item::Appointment(appointment) => appointment.what.clone(),
            Item::Escort(escort) => escort.what.clone(),
            _ => String::new(),
        }
    }

    fn moment(&self) -> Option<Moment> {
        let called_off = match self.dated.item {
            Item::Appointment(appointment) => Some(appointment.start),
            Item::Escort(escort) => Some(escort.pick_up),
            _ => None,
        };
        let due = || self.dated.at(Milestone::Due);
        self.dated.act_by().or_else(due).or(called_off.map(Moment::Instant))
    }

    fn day_words(&self, day: Date) -> Said {
        day_words_on(self.today, day)
    }

    fn day(&self) -> Option<Date> {
        self.moment().map(|moment| moment.day(&self.scene.rules.zone))
    }

    fn time(&self) -> Option<Said> {
        match self.moment()? {
            Moment::Instant(at) => Some(time_words(self.scene.rules.zone.to_datetime(at).time())),
            Moment::Day(_) => None,
        }
    }

    /// 3月5日(周四)9点30分; a call of today is 今天下午.
    fn when(&self) -> Said {
        let Some(day) = self.day() else {
            return to_be_found();
        };
        if self.dated.item.kind() == ItemKind::Callback && day == self.today {
            return self.part_of_today();
        }
        let words = self.day_words(day);
        match self.time() {
            Some(time) => Said::new(
                format!("{}{}", words.zh, time.zh),
                format!("{} at {}", words.en, time.en),
            ),
            None => words,
        }
    }

    fn part_of_today(&self) -> Said {
        let hour = match self.moment() {
            Some(Moment::Instant(at)) => Some(self.scene.rules.zone.to_datetime(at).hour()),
            _ => None,
        };
        match hour {
            None => Said::new("今天", "today"),
            Some(..12) => Said::new("今天上午", "this morning"),
            Some(12..18) => Said::new("今天下午", "this afternoon"),
            Some(_) => Said::new("今天晚上", "this evening"),
        }
    }

    fn left(&self) -> Said {
        let day = self.day();
        day.map_or_else(Said::default, |day| {
            days_left(&self.scene.rules.calendar, self.today, day)
        })
    }

    fn is_expired(&self) -> bool {
        let over = self.dated.at(Milestone::Expired);
        over.is_some_and(|after| after.starts_at(&self.scene.rules.zone) <= self.scene.now)
    }

    fn is_estimated(&self) -> bool {
        match self.dated.item {
            Item::Deadline(deadline) => deadline.is_estimated(),
            _ => false,
        }
    }

    /// The milestone that the rung counts from, as ladders name it; empty for a rung that is gone.
    fn milestone(&self) -> &'static str {
        let mark = MarkText::parse(&self.row.mark);
        let rungs = self.dated.ladder.map_or(&[][..], |ladder| &ladder.rungs);
        let rung = mark.and_then(|mark| rungs.iter().find(|rung| rung.name == mark.rung));
        rung.map_or("", |rung| rung.when.point().milestone.name())
    }

    /// The legs of an escort, each with its time and whether it was confirmed.
    fn legs(&self, pick: Pick) -> Vec<String> {
        let Item::Escort(escort) = self.dated.item else {
            return Vec::new();
        };
        let leg = |leg: Leg| {
            let (said, at) = (leg.said(), self.scene.rules.zone.to_datetime(escort.time_of(leg)));
            let clock = at.strftime("%-H:%M");
            pick(match (escort.is_checked(leg), leg) {
                (true, _) => Said::new(format!("{} {clock} ✓", said.zh), format!("{} {clock} ✓", said.en)),
                (false, Leg::DropOff) => Said::new(format!("{} {clock}前", said.zh), format!("{} by {clock}", said.en)),
                (false, _) => Said::new(format!("{} {clock}", said.zh), format!("{} {clock}", said.en)),
            })
        };
        Leg::ALL.into_iter().map(leg).collect()
    }

    /// What other offices have said, the last first: whoever phones next need not begin again.
    fn hops(&self, pick: Pick) -> Vec<String> {
        let hop = |hop: &Hop| {
            let day = self.day_words(self.scene.rules.zone.to_datetime(hop.at).date());
            let place = [hop.place.as_str(), hop.person.as_str(), hop.phone.as_str()];
            let place = place
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            let by = match &hop.heard_by {
                HeardBy::Resident => Said::new("居民自己问过", "the resident asked"),
                HeardBy::Staff(staff) => Said::new(format!("{staff} 问过"), format!("{staff} asked")),
            };
            let result = &hop.result;
            pick(Said::new(
                format!("{} {}{place}: {result}", day.zh, by.zh),
                format!("{} {} {place}: {result}", day.en, by.en),
            ))
        };
        self.scene.case.hops.iter().rev().take(HOPS_MAX).map(hop).collect()
    }

    fn is_provisional(&self) -> bool {
        let counted = self.dated.counted.as_ref();
        counted.is_some_and(|counted| counted.certainty == Certainty::Provisional)
    }
}

/// A bereaved or sensitive household.
fn is_gentle(case: &Case, matter: Option<&Matter>, resident: Option<&Person>) -> bool {
    case.flags.contains(&CaseFlag::SensitiveTone)
        || matter.is_some_and(|matter| matter.bereaved)
        || resident.is_some_and(|person| person.flags.contains(&PersonFlag::Bereaved))
}

fn to_be_found() -> Said {
    Said::new("日期待核实", "a date still to be found")
}
