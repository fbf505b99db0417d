//! Plays a story through the real planner, store, digests and senders, under a clock that goes from one thing to do to the next.
//!
//! Beyond what a story expects, every one of them shows that planning again decides nothing more, and that whatever is recorded as
//! sent has left exactly once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command as Process;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use toml::Spanned;
use xixin::clock::Clock as _;
use xixin::domain::command::{Command, NewCase};
use xixin::domain::ids::{CaseId, StaffId};
use xixin::engine::desk::{Desk, DeskError};
use xixin::engine::hand_over::hand_over;
use xixin::store::reminders::LedgerRow;

use super::hall::{Hall, Left};
use super::rulebook::at;
use super::story::{Act, Digest, Edit, HandOver, Message, Prints, Silence, Story, TakenIn, What};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
/// Set to 1, it writes what was decided into the files instead of comparing it.
const BLESS: &str = "XIXIN_BLESS";

/// Plays the file of this name and tells everything that is not as the story says.
pub(crate) async fn play(name: &str) {
    let path = Path::new(FOLDER).join(format!("{name}.toml"));
    let story = Story::read(&path).unwrap_or_else(|wrong| panic!("{wrong}"));
    let wrong = Stage::open(&story).await.perform().await;
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What this file would be refused with, were it read.
pub(crate) fn refusal(path: &Path) -> String {
    Story::read(path).err().unwrap_or_default()
}

struct Stage<'a> {
    story: &'a Story,
    hall: Hall,
    cases: BTreeMap<String, CaseId>,
    /// Everything that has left, with the minute.
    left: Vec<(String, Left)>,
    wrong: Vec<String>,
}

impl<'a> Stage<'a> {
    /// The hall opens with the changes to its configuration that name no time.
    async fn open(story: &'a Story) -> Self {
        let mut wrong = Vec::new();
        let hall = Hall::open_edited(&story.start, |config| {
            for entry in &story.entries {
                if let What::Config(edit) = &entry.what
                    && edit.at.is_none()
                    && let Err(said) = change_file(config, edit)
                {
                    wrong.push(story.at_line(entry.line, &said));
                }
            }
        })
        .await;
        Self {
            story,
            hall,
            cases: BTreeMap::new(),
            left: Vec::new(),
            wrong,
        }
    }

    async fn perform(mut self) -> Vec<String> {
        let story = self.story;
        for entry in &story.entries {
            let done = match &entry.what {
                What::Config(edit) => self.reconfigure(edit).await,
                What::Case(taken_in) => self.take_in(taken_in).await,
                What::Act(act) => self.act(act).await,
                What::HandOver(hand_over) => self.hand_over(hand_over).await,
                What::Prints(prints) => {
                    let differ = self.prints(prints, entry.line).await;
                    self.wrong.extend(differ);
                    Ok(())
                }
                What::Digest(_) | What::Message(_) | What::Silence(_) => Ok(()),
            };
            if let Err(said) = done {
                self.wrong.push(story.at_line(entry.line, &said));
            }
        }
        self.go_on_until(&story.until).await;
        for entry in &story.entries {
            let differ = match &entry.what {
                What::Digest(digest) => self.digest(digest, entry.line),
                What::Message(message) => self.message(message, entry.line),
                What::Silence(silence) => self.silence(silence, entry.line),
                _ => Vec::new(),
            };
            self.wrong.extend(differ);
        }
        let found = self.timeline().await;
        if std::env::var_os(BLESS).is_some_and(|set| set == "1") {
            assert!(
                std::env::var_os("CI").is_none(),
                "what is to be expected is for people to say"
            );
            story.bless(&found);
        } else {
            self.wrong.extend(story.compare(&found));
        }
        self.nothing_is_left_over(&found).await;
        self.wrong
    }

    /// Lets the time pass, doing at each instant what the daemon would do then.
    async fn go_on_until(&mut self, until: &str) {
        let end = at(until);
        self.settle().await;
        while let Some(next) = self.hall.next_event().await.filter(|next| *next <= end) {
            self.hall.clock.set(next);
            self.settle().await;
        }
        self.hall.clock.set(end);
        self.settle().await;
    }

    async fn settle(&mut self) {
        self.hall.settle().await;
        let now = minute(self.hall.clock.now(), &self.zone());
        // Mails end their lines in two characters, stories in one.
        let left = self.hall.take_left().into_iter().map(|left| Left {
            text: left.text.replace("\r\n", "\n"),
            ..left
        });
        self.left.extend(left.map(|left| (now.clone(), left)));
    }

    async fn reconfigure(&mut self, edit: &Edit) -> Result<(), String> {
        let Some(at) = &edit.at else { return Ok(()) };
        self.go_on_until(at).await;
        let path = self.hall.config().join(&edit.file);
        let before = std::fs::read_to_string(&path).ok();
        change_file(&self.hall.config(), edit)?;
        let done = self
            .hall
            .app
            .reload()
            .await
            .map(drop)
            .map_err(|error| format!("{error:#}"));
        if done.is_err() {
            match before {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
        }
        let end = as_expected(done, edit.refused.as_deref());
        self.settle().await;
        end
    }

    async fn take_in(&mut self, taken_in: &TakenIn) -> Result<(), String> {
        self.go_on_until(taken_in.at.as_deref().unwrap_or(&self.story.start))
            .await;
        let done = match serde_json::from_value::<NewCase>(taken_in.document()) {
            Ok(new) => self
                .open_case(&taken_in.r#as, new)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let done = done.map(|id| drop(self.cases.insert(taken_in.name.clone(), id)));
        let end = as_expected(done, taken_in.refused.as_deref());
        self.settle().await;
        end
    }

    async fn open_case(&self, staff: &str, new: NewCase) -> Result<CaseId, DeskError> {
        let rules = self.hall.app.engine.live.get();
        let desk = Desk::new(&self.hall.app.engine.store, &rules.rulebook, &StaffId::from(staff))?;
        Ok(desk.open(new, self.hall.clock.now()).await?.case.id)
    }

    async fn act(&mut self, act: &Act) -> Result<(), String> {
        self.go_on_until(&act.at).await;
        let case = self.case(&act.case)?;
        let mut command = act.command();
        self.put_ids(&mut command, &case).await?;
        let done = match serde_json::from_value::<Command>(command) {
            Ok(command) => self
                .carry_out(&act.r#as, &case, command)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let end = as_expected(done, act.refused.as_deref());
        self.settle().await;
        end
    }

    async fn hand_over(&mut self, wanted: &HandOver) -> Result<(), String> {
        self.go_on_until(&wanted.at).await;
        let rules = self.hall.app.engine.live.get();
        let store = &self.hall.app.engine.store;
        let desk = Desk::new(store, &rules.rulebook, &StaffId::from(wanted.r#as.as_str()))
            .map_err(|error| error.to_string())?;
        let (from, to) = (StaffId::from(wanted.from.as_str()), StaffId::from(wanted.to.as_str()));
        let done = hand_over(store, &desk, &from, &to, self.hall.clock.now()).await;
        let done = match done {
            Ok(done) if done.refused.is_empty() => Ok(()),
            Ok(done) => Err(done.refused.iter().map(|(id, why)| format!("{id}: {why}\n")).collect()),
            Err(error) => Err(error.to_string()),
        };
        let end = as_expected(done, wanted.refused.as_deref());
        self.settle().await;
        end
    }

    async fn carry_out(&self, staff: &str, case: &CaseId, command: Command) -> Result<(), DeskError> {
        let rules = self.hall.app.engine.live.get();
        let desk = Desk::new(&self.hall.app.engine.store, &rules.rulebook, &StaffId::from(staff))?;
        desk.act(case, command, self.hall.clock.now()).await.map(drop)
    }

    /// A story names a call task by its rung and a relative by their relation; the numbers behind them are new each time.
    async fn put_ids(&self, command: &mut Value, case: &CaseId) -> Result<(), String> {
        if let Some(task) = command.get("task").and_then(Value::as_str) {
            let rows = self.hall.ledger(case).await;
            let open = |row: &&LedgerRow| row.state == "task" && part(&row.mark, 3) == task;
            let row = rows
                .iter()
                .find(open)
                .ok_or_else(|| format!("no call is to be made for {task:?}"))?;
            command["task"] = Value::from(row.id.as_str());
        }
        let names_a_relative = matches!(command["do"].as_str(), Some("task_done" | "change_person"));
        if let Some(person) = command
            .get("person")
            .and_then(Value::as_str)
            .filter(|_| names_a_relative)
        {
            let named = self.names(case).await.into_iter().find(|(_, name)| name == person);
            let (id, _) = named.ok_or_else(|| format!("the case has no relative {person:?}"))?;
            command["person"] = Value::from(id);
        }
        Ok(())
    }

    fn case(&self, name: &str) -> Result<CaseId, String> {
        self.cases
            .get(name)
            .cloned()
            .ok_or_else(|| format!("no case is called {name:?}"))
    }

    async fn prints(&mut self, prints: &Prints, line: usize) -> Vec<String> {
        self.go_on_until(&prints.at).await;
        let mut program = Process::new(env!("CARGO_BIN_EXE_xixin"));
        let words: Vec<&str> = prints.xixin.split_whitespace().collect();
        program.args(
            words
                .iter()
                .map(|word| self.cases.get(*word).map_or(*word, CaseId::as_str)),
        );
        program.arg("--config").arg(self.hall.config());
        // Files are named from where the configuration lies. The calculators and what looks at a notice of holidays need no clock.
        program.current_dir(self.hall.config().parent().unwrap());
        if !matches!(words.first(), Some(&"period" | &"calendar")) {
            program.arg("--now").arg(self.hall.clock.now().to_string());
        }
        let output = program.output().unwrap();
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        let mut differ = self.says(&text, &prints.has, &prints.lacks);
        if output.status.code() != Some(prints.exit) {
            differ.push(
                self.story
                    .at_line(line, &format!("the exit code is {:?}", output.status.code())),
            );
        }
        shown_once(differ, &text)
    }

    fn digest(&self, digest: &Digest, line: usize) -> Vec<String> {
        let here = |said: &str| vec![self.story.at_line(line, said)];
        let mut mails = self
            .to(&digest.of)
            .filter(|(at, left)| at.starts_with(&digest.day) && is_digest(left));
        match (mails.next(), mails.next(), digest.comes) {
            (Some((_, mail)), None, true) => {
                let text = format!("{}\n{}", mail.subject, mail.text);
                shown_once(self.says(&text, &digest.has, &digest.lacks), &text)
            }
            (None, _, true) => here(&format!("{} had no digest on {}", digest.of, digest.day)),
            (None, _, false) => Vec::new(),
            (Some((at, _)), None, false) => here(&format!("{} had a digest at {at}", digest.of)),
            (Some(_), Some(_), _) => here(&format!("{} had several digests on {}", digest.of, digest.day)),
        }
    }

    fn message(&self, message: &Message, line: usize) -> Vec<String> {
        let texts: Vec<(&str, String)> = self
            .to(&message.to)
            .filter(|(_, left)| !is_digest(left))
            .map(|(at, left)| (at.as_str(), format!("{}\n{}", left.subject, left.text)))
            .collect();
        let says_all = |text: &str| message.has.iter().all(|part| text.contains(part.get_ref().as_str()));
        let fit: Vec<&String> = texts
            .iter()
            .filter(|(at, text)| *at == message.at && says_all(text))
            .map(|(_, text)| text)
            .collect();
        if let [text] = fit[..] {
            return shown_once(self.says(text, &[], &message.lacks), text);
        }
        let mut said = format!(
            "{} messages to {} at {} say this; they got:",
            fit.len(),
            message.to,
            message.at
        );
        for (at, text) in &texts {
            // In full what left then; of the rest what it was about.
            let text = text.trim();
            let text = if *at == message.at {
                text
            } else {
                text.lines().next().unwrap_or_default()
            };
            let _ = write!(said, "\n    {at} {}", text.replace('\n', "\n      "));
        }
        vec![self.story.at_line(line, &said)]
    }

    fn silence(&self, silence: &Silence, line: usize) -> Vec<String> {
        let span = silence.from.as_str()..=silence.until.as_str();
        let about = silence.about.as_deref().unwrap_or_default();
        self.to(&silence.to)
            .filter(|(at, left)| span.contains(&at.as_str()) && !is_digest(left))
            .filter(|(_, left)| left.subject.contains(about) || left.text.contains(about))
            .map(|(at, left)| {
                self.story
                    .at_line(line, &format!("{at} {} {}", left.subject, left.text))
            })
            .collect()
    }

    /// What has left for a number, an address or a member of staff.
    fn to(&self, whom: &str) -> impl Iterator<Item = &(String, Left)> {
        let rules = self.hall.app.engine.live.get();
        let staff = rules.rulebook.org.staff.get(whom);
        let known = staff.map_or_else(
            || vec![whom.to_owned()],
            |staff| {
                [&staff.email, &staff.mobile]
                    .into_iter()
                    .flatten()
                    .map(ToString::to_string)
                    .collect()
            },
        );
        self.left.iter().filter(move |(_, left)| known.contains(&left.to))
    }

    fn says(&self, text: &str, has: &[Spanned<String>], lacks: &[Spanned<String>]) -> Vec<String> {
        let at = |part: &Spanned<String>, said: &str| {
            let said = format!("{said} {:?}", part.get_ref());
            self.story.at_line(self.story.line_of(part), &said)
        };
        let missing = has.iter().filter(|part| !text.contains(part.get_ref().as_str()));
        let unwanted = lacks.iter().filter(|part| text.contains(part.get_ref().as_str()));
        missing
            .map(|part| at(part, "it does not say"))
            .chain(unwanted.map(|part| at(part, "it says")))
            .collect()
    }

    /// Every decision in words: when, about which case and item, by which rung, for whom, how, and what became of it and why, unless it
    /// simply left.
    async fn timeline(&self) -> Vec<String> {
        let zone = self.zone();
        let mut rows: Vec<(i64, String)> = Vec::new();
        for (name, case) in &self.cases {
            let names = self.names(case).await;
            let called = if self.cases.len() > 1 {
                format!("{name} ")
            } else {
                String::new()
            };
            for row in self.hall.ledger(case).await {
                rows.push((row.decided_ms, format!("{called}{}", told(&row, &names, &zone))));
            }
        }
        rows.sort();
        let line = |(decided_ms, text): &(i64, String)| format!("{}  {text}", when(*decided_ms, &zone));
        rows.iter().map(line).collect()
    }

    /// The people of a case by their ids: `resident`, or the relation of a relative.
    async fn names(&self, case: &CaseId) -> BTreeMap<String, String> {
        let store = &self.hall.app.engine.store;
        let stored = store.case(case).await.unwrap().unwrap();
        let people = store.people_of(&stored.case.party.person).await.unwrap();
        let name = |person: &xixin::domain::person::Person| {
            let relation = person.relative.as_ref().map(|relative| relative.relation.clone());
            (person.id.to_string(), relation.unwrap_or_else(|| "resident".to_owned()))
        };
        people.all().map(name).collect()
    }

    /// Planned again, nothing more is decided; and everything that counts as sent has left once.
    async fn nothing_is_left_over(&mut self, before: &[String]) {
        self.hall.sql("update cases set wake_ms = 0").await;
        self.hall.plan().await;
        if self.timeline().await != before {
            self.wrong.push(self.story.at_line(1, "planning again decides more"));
        }
        let sent = "select cast(count(*) as text) from reminders where state = 'accepted'";
        let sent = self.hall.column(sent).await.remove(0);
        if sent != self.left.len().to_string() {
            let said = format!("{sent} messages count as sent, {} have left", self.left.len());
            self.wrong.push(self.story.at_line(1, &said));
        }
    }

    fn zone(&self) -> TimeZone {
        self.hall.app.engine.live.get().rulebook.zone.clone()
    }
}

fn change_file(config: &Path, edit: &Edit) -> Result<(), String> {
    let path = config.join(&edit.file);
    let before = std::fs::read_to_string(&path).ok();
    let text = edit.apply(before.as_deref())?;
    std::fs::write(path, text).map_err(|error| error.to_string())
}

fn as_expected(done: Result<(), String>, refused: Option<&str>) -> Result<(), String> {
    match (done, refused) {
        (Ok(()), None) => Ok(()),
        (Err(said), Some(part)) if said.contains(part) => Ok(()),
        (Ok(()), Some(_)) => Err("it was not refused".to_owned()),
        (Err(said), _) => Err(format!("it was refused: {said}")),
    }
}

/// What is wrong with a text, and the text below it.
fn shown_once(mut differ: Vec<String>, text: &str) -> Vec<String> {
    if let Some(last) = differ.last_mut() {
        let _ = write!(last, "\n    {}", text.trim().replace('\n', "\n    "));
    }
    differ
}

fn is_digest(left: &Left) -> bool {
    left.subject.contains("待办")
}

fn part(mark: &str, index: usize) -> &str {
    mark.split('|').nth(index).unwrap_or_default()
}

fn told(row: &LedgerRow, names: &BTreeMap<String, String>, zone: &TimeZone) -> String {
    let (item, rung) = (part(&row.mark, 0), part(&row.mark, 3));
    let who = match row.recipient.split_once(':') {
        Some(("staff", id)) => id,
        Some((_, id)) => names.get(id).map_or(id, String::as_str),
        None => part(&row.mark, 5),
    };
    let call = if row.text == "call_task" { " (call)" } else { "" };
    let mut text = format!("{item} {rung} → {who} {} {}{call}", row.way, row.state);
    if let Some(sent_ms) = row
        .sent_ms
        .filter(|sent_ms| when(*sent_ms, zone) != when(row.decided_ms, zone))
    {
        let _ = write!(text, ", sent {}", when(sent_ms, zone));
    }
    if row.state != "accepted" {
        let _ = write!(text, ": {}", row.reason_zh);
    }
    text
}

/// `2026-02-14 周六 09:00`
fn when(at_ms: i64, zone: &TimeZone) -> String {
    const DAYS: [&str; 7] = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"];
    let local = zone.to_datetime(Timestamp::from_millisecond(at_ms).unwrap());
    let day = DAYS[usize::try_from(local.weekday().to_monday_zero_offset()).unwrap()];
    format!("{} {day} {}", local.date(), local.strftime("%H:%M"))
}

fn minute(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}
