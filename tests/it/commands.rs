//! The one door for changes: what each command does, and what it says when it refuses.

use xixin::domain::case::{AttemptResult, CaseFlag, Closing, Due, Status};
use xixin::domain::command::{Command, Context, NewCase, Refusal, open};
use xixin::domain::ids::PersonId;

use crate::support::rulebook::{appointment, at, callback, case, daughter, day, deadline, deadline_ending, rulebook};
use crate::support::timeline::Timeline;

/// A case with one item of each kind: `d1` a deadline that can be lost, `c2` a call-back, `a3` an appointment.
fn desk() -> Timeline {
    let mut case = case("2026-03-02 10:00");
    deadline(&mut case, "cremation_reissue", "unknown", "2026-03-02 10:00");
    callback(&mut case, "li", "2026-03-02 10:00", "2026-03-09");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-05 09:30");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 11:00");
    timeline.people.relatives.push(daughter());
    timeline
}

fn refused(timeline: &Timeline, who: &str, command: &str) -> Refusal {
    let command: Command = serde_json::from_str(command).unwrap();
    timeline.try_act(who, command).expect_err("it should be refused")
}

#[test]
fn a_refusal_names_the_field_says_why_and_what_to_do() {
    for (who, command, field, what, fix) in [
        (
            "li",
            r#"{"do":"add_deadline","kind":"cremation"}"#,
            "kind",
            "knows no \"cremation\"",
            "known are: acct_archive",
        ),
        (
            "li",
            r#"{"do":"add_deadline","kind":"hard_case","office":"moon"}"#,
            "office",
            "knows no \"moon\"",
            "known are: crematorium",
        ),
        (
            "li",
            r#"{"do":"add_deadline","kind":"cremation_reissue","trigger":"0001-01-01"}"#,
            "trigger",
            "the year 1 cannot be right",
            "1900 to 2200",
        ),
        (
            "li",
            r#"{"do":"set_trigger","item":"d1","trigger":"2199-12-31"}"#,
            "trigger",
            "no period can be counted from it",
            "check the date",
        ),
        (
            "li",
            r#"{"do":"set_trigger","item":"d1","trigger":"unknown"}"#,
            "trigger",
            "the same as before",
            "nothing to",
        ),
        (
            "li",
            r#"{"do":"set_trigger","item":"c2","trigger":"unknown"}"#,
            "item",
            "no such item c2",
            "there are: d1",
        ),
        (
            "li",
            r#"{"do":"set_end","item":"d1","end":"9999-12-31"}"#,
            "end",
            "the year 9999",
            "1900 to 2200",
        ),
        (
            "li",
            r#"{"do":"done","item":"d9"}"#,
            "item",
            "no such item d9",
            "there are: d1",
        ),
        (
            "li",
            r#"{"do":"undone","item":"d1"}"#,
            "item",
            "is not marked as done",
            "nothing to undo",
        ),
        (
            "li",
            r#"{"do":"acknowledge","item":"x1"}"#,
            "item",
            "no such item x1",
            "there are: d1",
        ),
        (
            "li",
            r#"{"do":"promise","words":"  "}"#,
            "words",
            "it is empty",
            "fill it in",
        ),
        (
            "li",
            r#"{"do":"promise","words":"回电","by":"lu"}"#,
            "by",
            "knows no \"lu\"",
            "known are: chen",
        ),
        (
            "li",
            r#"{"do":"promise","words":"回电","due":"2026-03-01"}"#,
            "due",
            "the promised time has passed",
            "to come",
        ),
        (
            "li",
            r#"{"do":"promise","words":"回电","due":"下周"}"#,
            "due",
            "it is no date",
            "2026-03-09",
        ),
        (
            "li",
            r#"{"do":"attempt","item":"c2","result":"call_later"}"#,
            "due",
            "when to call again",
            "give due",
        ),
        (
            "li",
            r#"{"do":"attempt","item":"c2","result":"no_answer","due":"2026-03-10"}"#,
            "due",
            "goes with call_later only",
            "leave due out",
        ),
        (
            "li",
            r#"{"do":"pass_callback","item":"c2","to":"li"}"#,
            "to",
            "theirs already",
            "nothing to hand over",
        ),
        (
            "li",
            r#"{"do":"book","what":"办理","office":"labour","start":"2026-02-27T09:30"}"#,
            "start",
            "lies in the past",
            "a time to come",
        ),
        (
            "li",
            r#"{"do":"book","what":"办理","office":"labour","start":"2026-03-06T12:30"}"#,
            "start",
            "is closed then",
            "09:00-12:00, 13:30-17:00",
        ),
        (
            "li",
            r#"{"do":"book","what":"办理","office":"labour","start":"2026-03-06T10:00","end":"2026-03-06T10:00"}"#,
            "end",
            "does not end after it starts",
            "an end after the start",
        ),
        (
            "li",
            r#"{"do":"book","what":"办理","office":"labour","start":"2026-03-05T10:00"}"#,
            "start",
            "the resident is expected elsewhere then: 2026-000001 a3 2026-03-05 09:30-10:30",
            "move or cancel a3 first",
        ),
        (
            "li",
            r#"{"do":"move_appointment","item":"a3","start":"2026-03-05T09:30"}"#,
            "start",
            "the same as before",
            "nothing to move",
        ),
        (
            "li",
            r#"{"do":"attended","item":"a3"}"#,
            "item",
            "has not begun",
            "cancel_appointment",
        ),
        (
            "li",
            r#"{"do":"cancel_appointment","item":"a3","reason":""}"#,
            "reason",
            "it is empty",
            "fill it in",
        ),
        (
            "li",
            r#"{"do":"contact","direction":"in","kind":"phone","at":"2026-03-02T12:00"}"#,
            "at",
            "lies in the future",
            "leave it out",
        ),
        (
            "li",
            r#"{"do":"assign","owner":"li"}"#,
            "owner",
            "the same as before",
            "nothing to hand over",
        ),
        (
            "li",
            r#"{"do":"prioritise","reason":"急"}"#,
            "reason",
            "only a supervisor",
            "--as",
        ),
        (
            "li",
            r#"{"do":"change_person","phone":"12345"}"#,
            "phone",
            "no usable phone number",
            "11 digits",
        ),
        (
            "li",
            r#"{"do":"change_person","email":"a@b"}"#,
            "email",
            "no usable e-mail address",
            "name@example.org",
        ),
        (
            "li",
            r#"{"do":"change_person","opted_in":true}"#,
            "opted_in",
            "about relatives only",
            "name the relative",
        ),
        (
            "li",
            r#"{"do":"change_person","may_know":"full"}"#,
            "may_know",
            "about relatives only",
            "name the relative",
        ),
        (
            "li",
            r#"{"do":"change_person","person":"p8","deceased":true}"#,
            "person",
            "no such person",
            "there are: p1, p2",
        ),
        (
            "li",
            r#"{"do":"task_done","task":"r1","result":"wrong_number","person":"p8"}"#,
            "person",
            "no such person",
            "there are: p1, p2",
        ),
        (
            "li",
            r#"{"do":"close","as":"done","outcome":"领到"}"#,
            "",
            "call-back is still open: c2",
            "\"attempt\" first",
        ),
        (
            "li",
            r#"{"do":"deprioritise"}"#,
            "",
            "has no priority",
            "nothing to withdraw",
        ),
        ("li", r#"{"do":"resume"}"#, "", "is not waiting", "nothing to resume"),
        ("li", r#"{"do":"reopen"}"#, "", "is not closed", "nothing to reopen"),
        (
            "li",
            r#"{"do":"change_person"}"#,
            "",
            "nothing to change",
            "at least one field",
        ),
    ] {
        let timeline = desk();
        let refusal = refused(&timeline, who, command);
        assert!(
            refusal.field.as_deref().unwrap_or("").starts_with(field),
            "{command}: {refusal:?}"
        );
        assert!(refusal.what.en.contains(what), "{command}: {refusal:?}");
        assert!(refusal.fix.en.contains(fix), "{command}: {refusal:?}");
        assert!(
            !refusal.what.zh.is_empty() && !refusal.fix.zh.is_empty(),
            "{command}: {refusal:?}"
        );
    }
}

#[test]
fn s52_a_refusal_of_the_case_needs_a_supervisor_a_reason_and_another_way() {
    let mut case = case("2026-03-02 10:00");
    deadline(&mut case, "hard_case", "2026-03-02", "2026-03-02 10:00");
    let timeline = Timeline::new(rulebook(), case, "2026-03-02 11:00");
    let full = r#"{"do":"close","as":"refused","reason":"不属受理范围","alternative":"到区档案馆查档"}"#;
    for (who, command, field, what) in [
        ("li", full, Some("approved_by"), "a refusal needs a supervisor"),
        (
            "li",
            r#"{"do":"close","as":"refused","reason":"不属受理范围","alternative":"查档","approved_by":"sun"}"#,
            Some("approved_by"),
            "a refusal needs a supervisor",
        ),
        (
            "sun",
            r#"{"do":"close","as":"refused","alternative":"查档"}"#,
            Some("reason"),
            "it is empty",
        ),
        (
            "sun",
            r#"{"do":"close","as":"refused","reason":"不属受理范围"}"#,
            Some("alternative"),
            "it is empty",
        ),
        (
            "sun",
            r#"{"do":"close","as":"refused","reason":"不属","alternative":"查档","approved_by":"zhao"}"#,
            Some("approved_by"),
            "the approver has to act in person",
        ),
    ] {
        let refusal = refused(&timeline, who, command);
        assert_eq!(
            (refusal.field.as_deref(), refusal.what.en.as_str()),
            (field, what),
            "{command}"
        );
    }
    let closed = timeline.try_act("sun", serde_json::from_str(full).unwrap()).unwrap();
    let Status::Closed {
        closing: Closing::Refused { approved_by, .. },
        ..
    } = closed.case.status
    else {
        panic!("{:?}", closed.case.status)
    };
    assert_eq!(approved_by.as_str(), "sun");
}

#[test]
fn a_case_does_not_close_over_what_is_owed_to_the_resident() {
    let close = r#"{"do":"close","as":"done","outcome":"领到证明"}"#;
    let mut timeline = desk();
    assert!(
        refused(&timeline, "sun", close)
            .what
            .en
            .contains("call-back is still open: c2")
    );
    timeline.act("li", r#"{"do":"attempt","item":"c2","result":"reached"}"#);
    assert!(
        refused(&timeline, "sun", close)
            .what
            .en
            .contains("an appointment is still open: a3")
    );
    timeline.act("li", r#"{"do":"cancel_appointment","item":"a3","reason":"单位改期"}"#);
    // A clerk cannot let go of a right that may be lost; a supervisor can, under their own name.
    let refusal = refused(&timeline, "li", close);
    assert!(refusal.what.en.contains("deadline d1 is not met"), "{refusal}");
    assert!(timeline.try_act("sun", serde_json::from_str(close).unwrap()).is_ok());
    timeline.act("li", r#"{"do":"done","item":"d1"}"#);
    timeline.act("li", close);
    assert!(
        refused(&timeline, "li", r#"{"do":"done","item":"d1"}"#)
            .fix
            .en
            .contains("reopen")
    );
    // People still call about it, and what they say about themselves is written down.
    timeline.act("li", r#"{"do":"contact","direction":"in","kind":"phone"}"#);
    timeline.act("li", r#"{"do":"change_person","opted_out":true}"#);
    timeline.act("li", r#"{"do":"reopen"}"#);
    assert_eq!(timeline.case.reopened_at, Some(timeline.now));
}

#[test]
fn only_a_supervisor_acknowledges_the_loss_of_a_right() {
    let mut case = case("2026-03-02 10:00");
    deadline_ending(&mut case, "cremation_reissue", "2026-03-20", "2026-03-02 10:00");
    deadline_ending(&mut case, "hard_case", "2026-03-20", "2026-03-02 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-21 00:00");
    let refusal = refused(&timeline, "li", r#"{"do":"acknowledge","item":"d1"}"#);
    assert!(
        refusal.fix.en.contains("a supervisor has to acknowledge it"),
        "{refusal}"
    );
    timeline.act("li", r#"{"do":"acknowledge","item":"d2"}"#);
    timeline.act("sun", r#"{"do":"acknowledge","item":"d1"}"#);
    // Three workdays from Saturday: to the end of Wednesday.
    assert_eq!(
        timeline.case.deadlines[0].acknowledged.as_ref().unwrap().until,
        at("2026-03-26 00:00")
    );
}

#[test]
fn only_a_supervisor_with_a_reason_silences_the_last_days_of_a_right() {
    let acknowledge = r#"{"do":"acknowledge","item":"d1"}"#;
    let with_reason = r#"{"do":"acknowledge","item":"d1","reason":"家属已另行取得证明"}"#;
    let mut case = case("2026-11-02 10:00");
    deadline_ending(&mut case, "cremation_reissue", "2026-12-11", "2026-11-02 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2026-12-08 10:00");
    let until = |timeline: &Timeline| timeline.case.deadlines[0].acknowledged.as_ref().unwrap().until;
    // A clerk's word, with or without a reason, holds until the workday before the last safe day; so does a supervisor's bare word.
    for (who, command) in [("li", acknowledge), ("li", with_reason), ("sun", acknowledge)] {
        timeline.act(who, command);
        assert_eq!(until(&timeline), at("2026-12-10 00:00"), "{who} {command}");
    }
    timeline.now = at("2026-12-10 00:00");
    for (who, command) in [("li", acknowledge), ("li", with_reason)] {
        let refusal = refused(&timeline, who, command);
        assert_eq!(refusal.field.as_deref(), Some("item"));
        assert!(refusal.fix.en.contains("(--as) with a reason"), "{refusal}");
    }
    let refusal = refused(&timeline, "sun", acknowledge);
    assert_eq!(refusal.field.as_deref(), Some("reason"));
    assert!(refusal.fix.en.contains("give a reason"), "{refusal}");
    let blank = refused(&timeline, "sun", r#"{"do":"acknowledge","item":"d1","reason":"  "}"#);
    assert_eq!(blank, refusal);
    timeline.act("sun", with_reason);
    assert_eq!(until(&timeline), at("2026-12-16 00:00"));
}

#[test]
fn s03_an_enterprise_needs_a_contact_person_and_nothing_about_age_or_frailty() {
    let rules = rulebook();
    let context = Context {
        rules: &rules,
        actor: &rules.org.staff["li"],
        now: at("2026-03-02 10:00"),
        new_person: &|| PersonId::from("p1"),
        busy: &[],
    };
    let new = r#"{"resident":{"name":"何经理","phone":"13900001111"},"enterprise":"示例商贸","matter":"enterprise","request":"开办"}"#;
    let opened = open(
        "2026-000001".into(),
        serde_json::from_str::<NewCase>(new).unwrap(),
        false,
        &context,
    )
    .unwrap();
    assert_eq!(opened.case.party.enterprise.as_deref(), Some("示例商贸"));
    assert_eq!(opened.people[0].born, None);
    let without = r#"{"resident":{"name":" "},"enterprise":"示例商贸","matter":"enterprise","request":"开办"}"#;
    let new: NewCase = serde_json::from_str(without).unwrap();
    let refusal = open("2026-000001".into(), new, false, &context).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("resident.name"));
}

#[test]
fn s17_what_a_matter_needs_is_watched_before_its_date_is_known() {
    let rules = rulebook();
    let context = Context {
        rules: &rules,
        actor: &rules.org.staff["li"],
        now: at("2026-03-02 10:00"),
        new_person: &|| PersonId::from("p1"),
        busy: &[],
    };
    let new = r#"{"resident":{"name":"沈小兰"},"matter":"cremation","request":"补办"}"#;
    let opened = open(
        "2026-000001".into(),
        serde_json::from_str(new).unwrap(),
        false,
        &context,
    )
    .unwrap();
    assert_eq!(opened.case.deadlines.len(), 1);
    assert_eq!(opened.case.deadlines[0].trigger.to_string(), "unknown");
    assert!(
        !opened.case.flags.contains(&CaseFlag::SensitiveTone),
        "the matter makes the texts gentle; the flag is for people to set, and asks for a call"
    );
}

#[test]
fn s33_contacts_are_counted_by_who_turned_to_whom() {
    let mut timeline = Timeline::new(rulebook(), case("2026-03-02 10:00"), "2026-03-02 11:00");
    for _ in 0..14 {
        timeline.act("li", r#"{"do":"contact","direction":"in","kind":"phone"}"#);
    }
    for direction in ["in", "out", "in", "out"] {
        timeline.act(
            "li",
            &format!(r#"{{"do":"contact","direction":"{direction}","kind":"meeting"}}"#),
        );
    }
    assert_eq!(timeline.case.contact_tally().zh, "来电14次,面谈4次");
    timeline.act("li", r#"{"do":"contact","direction":"out","kind":"phone"}"#);
    let tally = timeline.case.contact_tally();
    assert_eq!(tally.zh, "来电14次,面谈4次,去电1次");
    assert_eq!(tally.en, "calls from them: 14, meetings: 4, calls from us: 1");
}

#[test]
fn s38_an_appointment_is_accepted_only_when_the_office_is_open() {
    let mut timeline = Timeline::new(rulebook(), case("2026-02-10 10:00"), "2026-02-10 11:00");
    let book = |day: &str| format!(r#"{{"do":"book","what":"鉴定","office":"labour","start":"{day}T09:30"}}"#);
    // In the Spring Festival; the working Saturday after it is fine, an ordinary one is not.
    let refusal = refused(&timeline, "li", &book("2026-02-20"));
    assert!(
        refusal.fix.en.contains("closed that day; it opens next on 2026-02-24"),
        "{refusal}"
    );
    assert!(
        refused(&timeline, "li", &book("2026-03-07"))
            .what
            .en
            .contains("is closed then")
    );
    timeline.act("li", &book("2026-02-28"));
    // The hall has Saturday hours of its own, and the extended-hours staff go along then.
    timeline.act(
        "li",
        r#"{"do":"book","what":"咨询","office":"hall","start":"2026-03-07T12:30","with":"zhou"}"#,
    );
    assert!(
        refused(
            &timeline,
            "li",
            r#"{"do":"book","what":"咨询","office":"hall","start":"2026-03-14T13:00","with":"zhou"}"#
        )
        .fix
        .en
        .contains("09:00-13:00")
    );
}

#[test]
fn s57_relative_words_are_no_dates() {
    for words in ["去年", "前年年底", "2个多月前", "yesterday", "12/03/2012", "2012-3"] {
        let command = format!(r#"{{"do":"set_trigger","item":"d1","trigger":"{words}"}}"#);
        let error = serde_json::from_str::<Command>(&command).unwrap_err().to_string();
        assert!(error.contains("2012-03-01..2012-05-31"), "{words}: {error}");
    }
}

#[test]
fn a_wrong_number_is_that_of_whoever_was_called() {
    let mut timeline = desk();
    timeline.act(
        "li",
        r#"{"do":"task_done","task":"r1","result":"wrong_number","person":"p2"}"#,
    );
    let wrong =
        |timeline: &Timeline| -> Vec<bool> { timeline.people.all().map(|person| person.phone_is_wrong).collect() };
    assert_eq!(wrong(&timeline), [false, true]);
    timeline.act("li", r#"{"do":"attempt","item":"c2","result":"wrong_number"}"#);
    assert_eq!(wrong(&timeline), [true, true]);
    timeline.act("li", r#"{"do":"change_person","phone":"139 0000 4321"}"#);
    assert_eq!(wrong(&timeline), [false, true]);
    assert_eq!(
        timeline.people.resident.as_ref().unwrap().phone.as_deref(),
        Some("13900004321")
    );
}

#[test]
fn only_a_date_that_really_changes_counts_as_moved() {
    let mut timeline = desk();
    for (command, moves) in [
        // The first date is found, not moved.
        (r#"{"do":"set_trigger","item":"d1","trigger":"2016-05-20"}"#, 0),
        // A range whose earliest bound is the same day.
        (
            r#"{"do":"set_trigger","item":"d1","trigger":"2016-05-20..2016-06-30"}"#,
            0,
        ),
        (r#"{"do":"set_end","item":"d1","end":"2026-05-20"}"#, 0),
        (r#"{"do":"set_end","item":"d1","end":"2026-05-19"}"#, 1),
        // The trigger as it was takes the fixed end away again.
        (
            r#"{"do":"set_trigger","item":"d1","trigger":"2016-05-20..2016-06-30"}"#,
            2,
        ),
    ] {
        timeline.act("li", command);
        assert_eq!(timeline.case.deadlines[0].moves, moves, "{command}");
    }
    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a3","start":"2026-03-05T09:30","end":"2026-03-05T11:00"}"#,
    );
    assert_eq!(timeline.case.appointments[0].moves, 0);
    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a3","start":"2026-03-06T09:30"}"#,
    );
    assert_eq!(timeline.case.appointments[0].moves, 1);
}

#[test]
fn a_call_asked_for_at_another_time_moves_the_promise_and_a_call_in_vain_only_the_next_try() {
    let mut timeline = desk();
    let due = |timeline: &Timeline| timeline.case.callbacks[0].due;
    timeline.act("li", r#"{"do":"attempt","item":"c2","result":"no_answer"}"#);
    assert_eq!(
        due(&timeline),
        Due::Day(day("2026-03-09")),
        "what was promised stays promised"
    );
    let next = |timeline: &Timeline| timeline.case.callbacks[0].next_try;
    assert_eq!(next(&timeline), Some(at("2026-03-02 14:00")));
    timeline.act(
        "li",
        r#"{"do":"attempt","item":"c2","result":"call_later","due":"2026-03-04T15:00"}"#,
    );
    assert_eq!(due(&timeline), Due::At(at("2026-03-04 15:00")));
    assert_eq!(next(&timeline), None, "the time they asked for is the next try");
    timeline.now = at("2026-03-04 15:10");
    timeline.act("li", r#"{"do":"attempt","item":"c2","result":"no_answer"}"#);
    assert_eq!(due(&timeline), Due::At(at("2026-03-04 15:00")));
    assert_eq!(next(&timeline), Some(at("2026-03-05 09:00")));
    let results: Vec<AttemptResult> = timeline.case.callbacks[0]
        .attempts
        .iter()
        .map(|attempt| attempt.result)
        .collect();
    assert_eq!(
        results,
        [
            AttemptResult::NoAnswer,
            AttemptResult::CallLater,
            AttemptResult::NoAnswer
        ]
    );
    assert_eq!(timeline.case.contacts.len(), 3);
}
