//! One case under a clock that jumps from wake-up to wake-up, and the readable table of everything that was decided.
//!
//! After every planning it plans again and expects nothing: no test can pass with a planner that does not settle.

use jiff::Timestamp;
use xixin::domain::booking::Booking;
use xixin::domain::case::Case;
use xixin::domain::command::{Change, Command, Context, Refusal, apply};
use xixin::domain::ids::PersonId;
use xixin::domain::plan::decide::{CALL_TASK, Scene};
use xixin::domain::plan::recheck::{Queued, Recheck, recheck};
use xixin::domain::plan::{People, plan};
use xixin::domain::reminder::{Decided, Decision, Verdict};
use xixin::domain::rulebook::Rulebook;

use super::rulebook::{at, people};

pub(crate) struct Timeline {
    pub(crate) rules: Rulebook,
    pub(crate) case: Case,
    pub(crate) people: People,
    pub(crate) now: Timestamp,
    pub(crate) decisions: Vec<(Timestamp, Decision)>,
    /// What other cases have booked.
    pub(crate) busy: Vec<Booking>,
    decided: Decided,
}

impl Timeline {
    /// The case of `resident()` from `start` on, Beijing time unless the rules say otherwise.
    pub(crate) fn new(rules: Rulebook, case: Case, start: &str) -> Self {
        Self {
            rules,
            case,
            people: people(),
            now: at(start),
            decisions: Vec::new(),
            busy: Vec::new(),
            decided: Decided::default(),
        }
    }

    /// Goes from wake-up to wake-up until `end`, which it plans too.
    pub(crate) fn run_until(&mut self, end: &str) -> &mut Self {
        let end = at(end);
        loop {
            match self.plan() {
                Some(wake) if wake <= end => self.now = wake,
                _ => break,
            }
        }
        self.now = self.now.max(end);
        self.plan();
        self
    }

    /// The daemon is down until `end`.
    pub(crate) fn down_until(&mut self, end: &str) -> &mut Self {
        self.now = at(end);
        self.plan();
        self
    }

    /// Plans now.
    pub(crate) fn look(&mut self) {
        self.plan();
    }

    /// What is queued is taken as sent at once.
    fn plan(&mut self) -> Option<Timestamp> {
        let planned = plan(&self.rules, &self.case, &self.people, &self.decided, self.now);
        for decision in planned.due {
            self.decided.insert(decision.mark.to_string());
            if matches!(decision.verdict, Verdict::Queued | Verdict::Task) {
                let (item, recipient) = (decision.mark.item.clone(), decision.recipient.to_string());
                self.decided.heard(item, recipient);
            }
            self.decisions.push((self.now, decision));
        }
        let again = plan(&self.rules, &self.case, &self.people, &self.decided, self.now);
        assert_eq!(again.due, Vec::new(), "planning again at {} decides more", self.now);
        assert_eq!(again.wake, planned.wake);
        planned.wake
    }

    /// Carries out a command, given as JSON, in the name of `who`.
    pub(crate) fn act(&mut self, who: &str, command: &str) -> &mut Self {
        let command: Command = serde_json::from_str(command).unwrap();
        let change = self.try_act(who, command).unwrap();
        self.case = change.case;
        for person in change.people {
            let known = self.people.resident.iter_mut().chain(&mut self.people.relatives);
            match known.into_iter().find(|known| known.id == person.id) {
                Some(known) => *known = person,
                None => self.people.relatives.push(person),
            }
        }
        self
    }

    pub(crate) fn try_act(&self, who: &str, command: Command) -> Result<Change, Refusal> {
        let context = Context {
            rules: &self.rules,
            actor: &self.rules.org.staff[who],
            now: self.now,
            new_person: &|| PersonId::from("p9"),
            busy: &self.busy,
        };
        apply(&self.case, &self.people, command, &context)
    }

    /// What becomes of the queued reminders, were they sent now.
    pub(crate) fn recheck_all(&self) -> Vec<String> {
        let queued = self
            .decisions
            .iter()
            .filter(|(_, decision)| decision.verdict == Verdict::Queued);
        queued.map(|(_, decision)| self.recheck(decision)).collect()
    }

    fn recheck(&self, decision: &Decision) -> String {
        let queued = Queued {
            item: decision.mark.item.clone(),
            anchor: decision.mark.anchor.to_string(),
            ladder: decision.mark.ladder.clone(),
            rung: decision.mark.rung.clone(),
            occurrence: decision.mark.occurrence,
            audience: decision.mark.audience,
            recipient: decision.recipient.clone(),
            way: decision.way.unwrap(),
            is_call_notice: decision.text.as_str() == CALL_TASK,
            due: decision.due,
            valid_until: decision.valid_until,
        };
        let scene = Scene {
            rules: &self.rules,
            case: &self.case,
            people: &self.people,
            now: self.now,
        };
        let rung = &decision.mark.rung;
        match recheck(&scene, &queued) {
            Recheck::Send(_) => format!("{rung}: send"),
            Recheck::Wait { until } => format!("{rung}: wait until {}", self.local(until)),
            Recheck::Cancel(said) => format!("{rung}: cancel, {}", said.en),
            Recheck::PassOn { heirs, .. } => {
                let heirs: Vec<&str> = heirs.iter().map(|heir| heir.staff.as_str()).collect();
                format!("{rung}: pass on to {}", heirs.join(", "))
            }
            Recheck::Unreachable(said) => format!("{rung}: another way, {}", said.en),
        }
    }

    fn local(&self, at: Timestamp) -> String {
        self.rules.zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// `2026-02-14 09:00  d1 month-ahead → owner li email queued`, by time.
    pub(crate) fn table(&self) -> Vec<String> {
        let row = |(at, decision): &(Timestamp, Decision)| {
            let Decision { mark, recipient, .. } = decision;
            let recipient = recipient.to_string();
            let name = recipient.split_once(':').map_or(recipient.as_str(), |(_, name)| name);
            let way = decision.way.map_or(String::new(), |way| format!("{} ", way.name()));
            let verdict = format!("{:?}", decision.verdict).to_lowercase();
            let notice = if decision.text.as_str() == CALL_TASK {
                " (call notice)"
            } else {
                ""
            };
            let audience = mark.audience.name();
            let at = self.local(*at);
            format!(
                "{at}  {} {} → {audience} {name} {way}{verdict}{notice}",
                mark.item, mark.rung
            )
        };
        self.decisions.iter().map(row).collect()
    }

    /// Compares the table with what a person reviewed.
    #[track_caller]
    pub(crate) fn expect(&self, expected: &str) {
        let expected: Vec<&str> = expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let table = self.table();
        assert!(
            table == expected,
            "decided was\n{}\nexpected\n{}",
            table.join("\n"),
            expected.join("\n")
        );
    }

    /// The reasons, in English, of everything decided about a rung.
    pub(crate) fn reasons(&self, rung: &str) -> Vec<String> {
        let of_rung = self
            .decisions
            .iter()
            .filter(|(_, decision)| decision.mark.rung.as_str() == rung);
        of_rung.map(|(_, decision)| decision.reason.en.clone()).collect()
    }
}
