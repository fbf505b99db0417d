//! What a day of one reader looks like, line by line: words, masks, urgency and order. Pure.

use jiff::Timestamp;
use jiff::civil::{Date, Time};

use super::{Digest, Line, Urgency};
use crate::domain::advice::is_pressing;
use crate::domain::calendar::Certainty;
use crate::domain::calendar::days_left;
use crate::domain::case::{Case, Item, Status, Trigger};
use crate::domain::ids::{CaseId, ItemId};
use crate::domain::milestone::{Milestone, Moment, instant};
use crate::domain::org::Staff;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::Recipient;
use crate::domain::rulebook::{Greeting, Loss, Rulebook};
use crate::domain::solar::winter_solstice_day;
use crate::domain::text::{Said, counted, day_words_on, mask_name, mask_phone};

/// One day of one reader.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub rules: &'a Rulebook,
    pub day: Date,
    /// How far it looks ahead: the next workday, so that a holiday block is spanned.
    pub through: Date,
    pub now: Timestamp,
}

/// An open call task.
#[derive(Debug, Clone)]
pub struct CallTask<'a> {
    pub id: &'a str,
    pub item: Option<ItemId>,
    /// Who is to be phoned.
    pub recipient: Option<Recipient>,
    pub due: Timestamp,
    pub reason: Said,
}

impl<'a> Page<'a> {
    pub fn new(rules: &'a Rulebook, day: Date, now: Timestamp) -> Self {
        Self {
            rules,
            day,
            through: rules.calendar.next_workday(day),
            now,
        }
    }

    /// A digest without lines.
    pub fn empty(&self, reader: &Staff, chain_head: &str) -> Digest {
        let unit = self.rules.org.units.get(&reader.unit);
        Digest {
            staff: reader.id.clone(),
            staff_name: reader.name.clone(),
            date: self.day,
            unit_short: self.rules.org.known_as(&reader.unit).unwrap_or_default().to_owned(),
            unit_name: unit.map(|unit| unit.name.clone()).unwrap_or_default(),
            unit_name_en: unit.map(|unit| unit.name_en.clone()).unwrap_or_default(),
            unit_phone: unit.map(|unit| unit.phone.clone()).unwrap_or_default(),
            late: None,
            missed_days: 0,
            through: self.through,
            overdue: Vec::new(),
            today: Vec::new(),
            calls: Vec::new(),
            deadlines: Vec::new(),
            waiting: Vec::new(),
            ahead: Vec::new(),
            new_cases: Vec::new(),
            often: Vec::new(),
            greetings: Vec::new(),
            reviews: Vec::new(),
            on_duty: None,
            more: 0,
            more_undated: 0,
            roll_up: None,
            chain_head: chain_head.to_owned(),
        }
    }

    /// Puts an item where the reader looks for it.
    pub fn file_item(&self, digest: &mut Digest, case: &Case, people: &People, item: Item<'_>) {
        let dated = Dated::new(self.rules, item);
        let line = self.item_line(case, people, &dated);
        let Some(day) = act_by(self.rules, &dated) else {
            digest.deadlines.push(line);
            return;
        };
        let section = match item {
            _ if line.urgency == Urgency::Overdue => &mut digest.overdue,
            Item::Deadline(_) => &mut digest.deadlines,
            _ if day <= self.day => &mut digest.today,
            _ if day <= self.through => &mut digest.ahead,
            _ => return,
        };
        section.push(line);
    }

    pub fn item_line(&self, case: &Case, people: &People, dated: &Dated<'_>) -> Line {
        let line = match dated.item {
            Item::Deadline(deadline) => {
                let (detail, urgency) = self.deadline_detail(dated);
                let kind = dated.kind.map(|kind| kind.name.clone());
                let name = kind.unwrap_or_else(|| Said::new("期限", "deadline"));
                let sort_at = act_by(self.rules, dated).map_or(Timestamp::MIN, |day| self.midnight(day));
                let counted = dated.counted.as_ref();
                Line {
                    estimated: matches!(deadline.trigger, Trigger::Range { .. }) && deadline.fixed_end.is_none(),
                    provisional: counted.is_some_and(|counted| counted.certainty == Certainty::Provisional),
                    ..self.line(case, people, name, detail, urgency, sort_at)
                }
            }
            Item::Callback(callback) => {
                let due = Moment::from(callback.due);
                let words = self.words(due.day(&self.rules.zone));
                let detail = Said::new(format!("{}前回电", words.zh), format!("call back by {}", words.en));
                let name = Said::new("承诺回电", "Promised call-back");
                let urgency = self.urgency(due.day(&self.rules.zone));
                Line {
                    time: self.time_of(due),
                    phone: resident(people)
                        .and_then(|person| person.phone.as_deref())
                        .map(mask_phone),
                    ..self.line(
                        case,
                        people,
                        name,
                        detail.and(&tried(callback.attempts.len())),
                        urgency,
                        due.starts_at(&self.rules.zone),
                    )
                }
            }
            Item::Appointment(appointment) => {
                let day = self.rules.zone.to_datetime(appointment.start).date();
                let urgency = if appointment.end <= self.now {
                    Urgency::Overdue
                } else {
                    self.urgency(day).max(Urgency::Critical)
                };
                let office = self.rules.offices.get(&appointment.office);
                let id = appointment.office.as_str();
                let (zh, en) = office.map_or((id, id), |office| (office.name.as_str(), office.name_en.as_str()));
                let words = self.words(day);
                let detail = Said::new(format!("{} {zh}", words.zh), format!("{}, {en}", words.en));
                let what = &appointment.what;
                let name = Said::new(format!("预约: {what}"), format!("Appointment: {what}"));
                Line {
                    time: self.time_of(Moment::Instant(appointment.start)),
                    ..self.line(case, people, name, detail, urgency, appointment.start)
                }
            }
            item => {
                let moment = dated.act_by();
                let day = moment.map(|moment| moment.day(&self.rules.zone));
                let words = day.map_or_else(Said::default, |day| self.words(day));
                let detail = words.and(&item.remark(self.rules, self.day));
                let is_over = item.span().is_some_and(|span| span.to <= self.now);
                let urgency = match day {
                    _ if is_over => Urgency::Overdue,
                    Some(day) if item.span().is_some() => self.urgency(day).max(Urgency::Critical),
                    Some(day) => self.urgency(day),
                    None => Urgency::Calm,
                };
                let sort_at = moment.map_or(Timestamp::MIN, |moment| moment.starts_at(&self.rules.zone));
                Line {
                    time: moment.and_then(|moment| self.time_of(moment)),
                    ..self.line(case, people, item.title(self.rules), detail, urgency, sort_at)
                }
            }
        };
        Line {
            item: Some(dated.item.id().clone()),
            ..line
        }
    }

    /// A call that somebody is to make instead of a message.
    pub fn task_line(&self, case: &Case, people: &People, task: &CallTask<'_>) -> Line {
        let item = task.item.as_ref().and_then(|id| case.item(self.rules, id));
        let about = item.and_then(|item| self.about(item)).unwrap_or_default();
        let called = match &task.recipient {
            Some(Recipient::Person(id)) => people.all().find(|person| person.id == *id),
            _ => None,
        };
        let who = called.map(called_as);
        let name = Said::new("代为电话告知", "Phone instead of writing");
        let urgency = match self.urgency(self.rules.zone.to_datetime(task.due).date()) {
            Urgency::Overdue => Urgency::Overdue,
            _ => Urgency::Critical,
        };
        let line = self.line(case, people, name, about.and(&task.reason), urgency, task.due);
        Line {
            item: task.item.clone(),
            task: Some(task.id.to_owned()),
            who: who.unwrap_or(line.who),
            phone: called.and_then(|person| person.phone.as_deref()).map(mask_phone),
            ..line
        }
    }

    /// The date a call is about.
    fn about(&self, item: Item<'_>) -> Option<Said> {
        let dated = Dated::new(self.rules, item);
        let words = self.words(act_by(self.rules, &dated)?);
        Some(match item {
            Item::Deadline(_) => Said::new(format!("最晚{}", words.zh), format!("by {}", words.en)),
            Item::Callback(_) => Said::new(
                format!("承诺{}前回电", words.zh),
                format!("a call was promised by {}", words.en),
            ),
            Item::Appointment(_) => Said::new(format!("预约{}", words.zh), format!("appointment on {}", words.en)),
            item => {
                let label = item.label();
                Said::new(
                    format!("{}: {}", label.zh, words.zh),
                    format!("{}: {}", label.en, words.en),
                )
            }
        })
    }

    fn line(
        &self,
        case: &Case,
        people: &People,
        item: Said,
        detail: Said,
        urgency: Urgency,
        sort_at: Timestamp,
    ) -> Line {
        let matter = self.rules.matters.get(&case.matter);
        let id = case.matter.as_str();
        let matter = matter.map_or_else(|| Said::new(id, id), |matter| matter.name.clone());
        let what = if item == Said::default() {
            matter
        } else if matter.zh == item.zh {
            item
        } else {
            let (zh, en) = (
                format!("{} · {}", matter.zh, item.zh),
                format!("{} · {}", matter.en, item.en),
            );
            Said::new(zh, en)
        };
        Line {
            case: case.id.clone(),
            item: None,
            task: None,
            who: resident(people).map_or_else(|| "—".to_owned(), |person| mask_name(&person.name)),
            what,
            detail,
            time: None,
            phone: None,
            owner: None,
            urgency,
            priority: case.priority.is_some() || is_pressing(self.rules, case),
            provisional: false,
            estimated: false,
            sort_at,
        }
    }

    fn deadline_detail(&self, dated: &Dated<'_>) -> (Said, Urgency) {
        let Some(counted) = &dated.counted else {
            let trigger = dated
                .kind
                .map_or_else(|| Said::new("起算日", "trigger date"), |kind| kind.trigger.clone());
            let detail = Said::new(
                format!("核实{}: 日期不明,不能当作安全", trigger.zh),
                format!("Find out: {}; no date may be taken as safe", trigger.en),
            );
            return (detail, Urgency::High);
        };
        let day = counted.last_safe_day;
        let (words, end) = (self.words(day), self.words(counted.legal_end));
        let soft = dated.kind.is_some_and(|kind| kind.loss == Loss::Soft);
        if day < self.day {
            let over = dated
                .at(Milestone::Expired)
                .is_some_and(|after| after.day(&self.rules.zone) <= self.day);
            let detail = match (over, soft) {
                (_, true) => Said::new(
                    format!("建议不晚于{},请尽快", words.zh),
                    format!("was advised by {}; soon, please", words.en),
                ),
                (true, _) => {
                    let other = dated.kind.and_then(|kind| kind.alternative.clone());
                    let other = other.map_or_else(Said::default, |other| {
                        Said::new(format!("改走: {}", other.zh), format!("other way: {}", other.en))
                    });
                    let expired = Said::new(
                        format!("已过期,最晚可办日是{}", words.zh),
                        format!("expired; the last safe day was {}", words.en),
                    );
                    expired.and(&other)
                }
                (false, _) => Said::new(
                    format!("最晚可办日{}已过,期限到{}", words.zh, end.zh),
                    format!("last safe day {} is over; the period ends {}", words.en, end.en),
                ),
            };
            return (detail, Urgency::Overdue);
        }
        let left = days_left(&self.rules.calendar, self.day, day);
        let detail = if soft {
            Said::new(
                format!("建议不晚于{},{}", words.zh, left.zh),
                format!("advised by {}; {}", words.en, left.en),
            )
        } else {
            Said::new(
                format!("最晚{},{}", words.zh, left.zh),
                format!("by {}; {}", words.en, left.en),
            )
        };
        (detail, self.urgency(day))
    }

    fn urgency(&self, day: Date) -> Urgency {
        match self.day.until(day).map_or(0, |span| span.get_days()) {
            ..0 => Urgency::Overdue,
            0..=3 => Urgency::Critical,
            4..=7 => Urgency::High,
            8..=14 => Urgency::Attention,
            _ => Urgency::Calm,
        }
    }

    pub fn waiting_line(&self, case: &Case, people: &People) -> Line {
        let (on, since) = match &case.status {
            Status::Waiting { on, since } => (on.clone(), *since),
            _ => (String::new(), case.opened_at),
        };
        let day = self.rules.zone.to_datetime(since).date();
        let words = self.words(day);
        let days = day.until(self.day).map_or(0, |span| span.get_days());
        let detail = Said::new(
            format!("自{}起等{on},已{days}天", words.zh),
            format!("for {on} since {}, {}", words.en, counted(i64::from(days), "day")),
        );
        let missing = case.materials.iter().find(|material| material.waited_as() == on);
        let finder = missing.and_then(|material| self.rules.org.staff.get(material.finder.as_ref()?));
        let finder = finder.map_or_else(Said::default, |staff| {
            Said::new(format!("由{}查找", staff.name), format!("{} looks for it", staff.name))
        });
        let detail = detail.and(&finder);
        self.line(case, people, Said::new("等待", "Waiting"), detail, Urgency::Calm, since)
    }

    /// A resident who has turned to us again and again; `None` when they have not.
    pub fn often_line(&self, case: &Case, people: &People) -> Option<Line> {
        if !is_pressing(self.rules, case) || case.is_closed() {
            return None;
        }
        let name = Said::new(
            "居民多次联系,优先处理",
            "Has turned to us again and again: take it first",
        );
        let line = self.line(case, people, name, case.contact_tally(), Urgency::High, case.opened_at);
        Some(line)
    }

    /// The greeting that is due on this workday, if the schedule asks for any: the day itself, or the last workday before it.
    pub fn greeting(&self) -> Option<Said> {
        let year = self.day.year();
        let due = |greeting: &Greeting| {
            let (day, name) = match greeting {
                Greeting::WinterSolstice => (
                    winter_solstice_day(year, &self.rules.zone)?,
                    Said::new("冬至", "the winter solstice"),
                ),
                // A holiday: greeted before it.
                Greeting::NewYear => (Date::new(year + 1, 1, 1).ok()?, Said::new("元旦", "New Year")),
            };
            let is_today = self.rules.calendar.workday_on_or_before(day) == self.day;
            is_today.then(|| {
                let words = self.words(day);
                Said::new(format!("{}{}", words.zh, name.zh), format!("{}, {}", words.en, name.en))
            })
        };
        self.rules.schedule.greetings.iter().find_map(due)
    }

    pub fn greeting_line(&self, case: &Case, people: &People, occasion: &Said) -> Line {
        let name = Said::new("可以打电话问候", "May be greeted by phone");
        let line = self.line(case, people, name, occasion.clone(), Urgency::Calm, case.opened_at);
        let phone = resident(people)
            .and_then(|person| person.phone.as_deref())
            .map(mask_phone);
        Line { phone, ..line }
    }

    pub fn new_line(&self, case: &Case, people: &People) -> Line {
        let local = self.rules.zone.to_datetime(case.opened_at);
        let words = self.words(local.date());
        let at = local.strftime("%H:%M");
        let detail = Said::new(format!("{} {at} 收件", words.zh), format!("taken in {} {at}", words.en));
        let detail = detail.and(&case.origin.said());
        let name = self
            .rules
            .matters
            .get(&case.matter)
            .map_or_else(Said::default, |matter| matter.name.clone());
        self.line(case, people, name, detail, Urgency::Calm, case.opened_at)
    }

    /// A case whose record is damaged must not simply be missing.
    pub fn unreadable_line(&self, case: &CaseId) -> Line {
        Line {
            case: case.clone(),
            item: None,
            task: None,
            who: "—".to_owned(),
            what: Said::new("案件记录无法读取", "The record of the case cannot be read"),
            detail: Said::new(
                "修复前不会再提醒任何人,请立即告诉管理员",
                "nobody is reminded of it until it is repaired; tell an administrator now",
            ),
            time: None,
            phone: None,
            owner: None,
            urgency: Urgency::Overdue,
            priority: true,
            provisional: false,
            estimated: false,
            sort_at: Timestamp::MIN,
        }
    }

    fn time_of(&self, moment: Moment) -> Option<String> {
        match moment {
            Moment::Instant(at) => Some(self.rules.zone.to_datetime(at).strftime("%H:%M").to_string()),
            Moment::Day(_) => None,
        }
    }

    fn words(&self, day: Date) -> Said {
        day_words_on(self.day, day)
    }

    fn midnight(&self, day: Date) -> Timestamp {
        instant(day, Time::midnight(), &self.rules.zone)
    }
}

fn resident(people: &People) -> Option<&Person> {
    people.resident.as_ref()
}

/// 沈** or 沈**(女儿)
pub fn called_as(person: &Person) -> String {
    let name = mask_name(&person.name);
    match &person.relative {
        Some(relative) => format!("{name}({})", relative.relation),
        None => name,
    }
}

fn tried(times: usize) -> Said {
    match times {
        0 => Said::default(),
        1 => Said::new("已试1次", "tried once"),
        _ => Said::new(format!("已试{times}次"), format!("tried {times} times")),
    }
}

/// The local day by which to act; `None` when the date has to be found first.
fn act_by(rules: &Rulebook, dated: &Dated<'_>) -> Option<Date> {
    dated.act_by().map(|moment| moment.day(&rules.zone))
}

/// First what is granted priority, then what presses most, then by time.
pub fn sort(digest: &mut Digest) {
    let key = |line: &Line| (!line.priority, line.urgency, line.sort_at, line.case.clone());
    let by_time = |line: &Line| (line.time.clone().unwrap_or_else(|| "99:99".to_owned()), key(line));
    digest.overdue.sort_by_key(key);
    digest.deadlines.sort_by_key(key);
    digest.today.sort_by_key(by_time);
    digest.calls.sort_by_key(key);
    digest.ahead.sort_by_key(|line| (line.sort_at, line.case.clone()));
    digest.waiting.sort_by_key(|line| (line.sort_at, line.case.clone()));
    digest.often.sort_by_key(|line| line.case.clone());
    digest.new_cases.sort_by_key(|line| (line.sort_at, line.case.clone()));
}
