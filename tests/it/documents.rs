//! Hostile documents: every text field of every command against every value that could harm somebody who reads it later. Each is
//! refused with its field and the fix, in both languages, and nothing is written.

use std::io::Write as _;
use std::process::{Command as Process, Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use xixin::domain::case::Case;
use xixin::domain::command::{Change, Command, Context, NewCase, Refusal, apply, open};
use xixin::domain::ids::{CaseId, PersonId};
use xixin::domain::plan::People;
use xixin::domain::rulebook::Rulebook;
use xixin::store::cases::Filter;

use super::support::hall::Hall;
use super::support::rulebook::{appointment, at, callback, case, daughter, deadline, resident, rulebook};

const NOW: &str = "2026-03-02 09:00";

/// Values that no text field takes, with a word of the reason.
fn poison() -> Vec<(&'static str, String)> {
    vec![
        ("control character U+0000", "沈\0兰".to_owned()),
        ("control character U+001B", "沈\u{1b}[31m兰".to_owned()),
        ("control character U+0080", "沈\u{80}兰".to_owned()),
        ("direction of writing", "沈\u{202e}兰".to_owned()),
        ("direction of writing", "\u{2066}沈兰\u{2069}".to_owned()),
        ("direction of writing", "沈\u{200f}兰".to_owned()),
        ("invisible U+200B", "沈\u{200b}兰".to_owned()),
        ("invisible U+FEFF", "沈\u{feff}兰".to_owned()),
        ("invisible U+E0041", "沈\u{e0041}兰".to_owned()),
        ("lost in a conversion", "沈\u{fffd}兰".to_owned()),
        ("too long", "长".repeat(5_000)),
    ]
}

/// What a field of one line refuses besides.
fn line_breaks() -> Vec<(&'static str, String)> {
    [
        "沈\n兰",
        "沈\r\n兰",
        "沈\r兰",
        "沈\u{2028}兰",
        "沈\u{85}兰",
        "沈\u{0b}兰",
    ]
    .map(|text| ("line break", text.to_owned()))
    .into()
}

/// Dates that are none, or that nobody alive can mean.
const BAD_DATES: [&str; 9] = [
    "0001-01-01T09:30",
    "9999-12-31T09:30",
    "2026-02-30T09:30",
    "2026-03-05T25:00",
    "-009999-01-01T00:00",
    "+012345-01-01T00:00",
    "tomorrow",
    "2026-03-05T09:30\0",
    "２０２６-03-05T09:30",
];

const EMOJI: &str = "沈👩‍👧兰";

enum Kind {
    /// One line, free words.
    Line,
    /// Several lines, free words.
    Note,
    /// A local date and time, of which the text is not repeated.
    When,
    /// Something else that is looked up or parsed: a hostile text is simply unknown.
    Code,
}

use Kind::{Code, Line, Note, When};

/// A case document with every field filled in.
fn full() -> Value {
    json!({
        "resident": { "name": "沈小兰", "phone": "13900001234", "email": "shen@example.org", "born": 1950 },
        "relatives": [
            { "name": "沈晓", "relation": "女儿", "phone": "13900005678", "email": "xiao@example.org", "opted_in": true }
        ],
        "enterprise": "示例公司",
        "matter": "cremation",
        "request": "补办证明",
        "unit": "taoranting-1",
        "owner": "li",
        "priority": "材料将过期",
        "received_at": "2026-03-01T10:00",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2017-03-10", "office": "crematorium" }],
        "callbacks": [{ "words": "办好了联系您", "due": "2026-03-09", "by": "li" }],
        "appointments": [{
            "what": "交材料", "office": "crematorium", "start": "2026-03-05T09:30", "end": "2026-03-05T10:30", "with": "li",
            "bring": ["身份证", "户口本"]
        }]
    })
}

fn document_fields() -> Vec<(&'static str, &'static str, Kind)> {
    vec![
        ("/resident/name", "resident.name", Line),
        ("/resident/phone", "resident.phone", Code),
        ("/resident/email", "resident.email", Code),
        ("/relatives/0/name", "relatives[0].name", Line),
        ("/relatives/0/relation", "relatives[0].relation", Line),
        ("/relatives/0/phone", "relatives[0].phone", Code),
        ("/relatives/0/email", "relatives[0].email", Code),
        ("/enterprise", "enterprise", Line),
        ("/matter", "matter", Code),
        ("/request", "request", Note),
        ("/unit", "unit", Code),
        ("/owner", "owner", Code),
        ("/priority", "priority", Line),
        ("/received_at", "received_at", When),
        ("/deadlines/0/kind", "deadlines[0].kind", Code),
        ("/deadlines/0/office", "deadlines[0].office", Code),
        ("/callbacks/0/words", "callbacks[0].words", Note),
        ("/callbacks/0/due", "callbacks[0].due", When),
        ("/callbacks/0/by", "callbacks[0].by", Code),
        ("/appointments/0/what", "appointments[0].what", Line),
        ("/appointments/0/office", "appointments[0].office", Code),
        ("/appointments/0/start", "appointments[0].start", When),
        ("/appointments/0/end", "appointments[0].end", When),
        ("/appointments/0/with", "appointments[0].with", Code),
        ("/appointments/0/bring/1", "appointments[0].bring[1]", Line),
    ]
}

fn with_context<T>(act: impl FnOnce(&Context<'_>) -> T) -> T {
    static RULES: LazyLock<Rulebook> = LazyLock::new(rulebook);
    let new_person = || PersonId::from("p9");
    act(&Context {
        rules: &RULES,
        actor: &RULES.org.staff["sun"],
        now: at(NOW),
        new_person: &new_person,
        busy: &[],
    })
}

fn open_document(document: Value) -> Result<Change, Refusal> {
    let new: NewCase = serde_json::from_value(document).unwrap();
    with_context(|context| open(CaseId::from("2026-000009"), new, false, context))
}

#[track_caller]
fn assert_refused(done: Result<Change, Refusal>, field: &str, reason: &str, value: &str) {
    let shown: String = value.chars().take(20).flat_map(char::escape_default).collect();
    let Err(refusal) = done else {
        panic!("{field} took {shown}")
    };
    assert_eq!(refusal.field.as_deref(), Some(field), "{shown}: {refusal}");
    assert!(refusal.what.en.contains(reason), "{field} {shown}: {refusal}");
    for text in [&refusal.what.zh, &refusal.what.en, &refusal.fix.zh, &refusal.fix.en] {
        assert!(
            !text.is_empty() && text.chars().count() < 700,
            "{field} {shown}: {text}"
        );
        let hostile = |letter: char| {
            letter.is_control()
                || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        assert!(!text.contains(hostile), "{field} {shown} is repeated raw: {text:?}");
    }
}

#[test]
fn every_text_field_of_a_case_document_refuses_every_hostile_value() {
    open_document(full()).expect("without poison it is a good case");
    for (pointer, field, kind) in document_fields() {
        let with = |value: &str| {
            let mut document = full();
            *document.pointer_mut(pointer).unwrap() = json!(value);
            open_document(document)
        };
        for (reason, value) in poison() {
            let reason = if matches!(kind, Line | Note) { reason } else { "" };
            assert_refused(with(&value), field, reason, &value);
        }
        for (reason, value) in line_breaks() {
            match kind {
                // Line ends are what such a field is for; only a carriage return alone and Unicode's own breaks are none.
                Note if value.contains('\n') => drop(with(&value).unwrap()),
                Note => assert_refused(with(&value), field, "line break", &value),
                Line => assert_refused(with(&value), field, reason, &value),
                When | Code => assert_refused(with(&value), field, "", &value),
            }
        }
        match kind {
            Line | Note => {
                with(EMOJI).unwrap_or_else(|refusal| panic!("{field}: emoji harm nobody: {refusal}"));
                if !matches!(field, "enterprise") {
                    assert_refused(with(" \n "), field, "it is empty", " ");
                }
            }
            When => BAD_DATES
                .iter()
                .for_each(|date| assert_refused(with(date), field, "", date)),
            Code => assert_refused(with(EMOJI), field, "", EMOJI),
        }
    }
}

#[test]
fn triggers_and_numbers_out_of_reason_are_refused() {
    let with = |pointer: &str, value: Value| {
        let mut document = full();
        *document.pointer_mut(pointer).unwrap() = value;
        open_document(document)
    };
    for trigger in [
        "0001-01-01",
        "9999-12-31",
        "0001-01",
        "9999-12",
        "1899-12-31",
        "2016-01-01..9999-01-01",
        "0001-01-01T00:00",
    ] {
        assert_refused(
            with("/deadlines/0/trigger", json!(trigger)),
            "deadlines[0].trigger",
            "cannot be right",
            trigger,
        );
    }
    for born in [-1, 0, 1, 1895, 2027, 9999, i16::MAX] {
        assert_refused(
            with("/resident/born", json!(born)),
            "resident.born",
            "cannot be right",
            "",
        );
    }
    let many = |n: usize, one: Value| Value::Array(vec![one; n]);
    assert_refused(
        with("/relatives", many(21, json!({"name": "沈晓", "relation": "女儿"}))),
        "relatives",
        "at most 20",
        "",
    );
    assert_refused(
        with("/appointments/0/bring", many(21, json!("身份证"))),
        "appointments[0].bring",
        "at most 20",
        "",
    );
    let two_megabytes = "长".repeat(700_000);
    for (pointer, field) in [
        ("/resident/name", "resident.name"),
        ("/request", "request"),
        ("/matter", "matter"),
    ] {
        assert_refused(with(pointer, json!(two_megabytes)), field, "", &two_megabytes);
    }
    for name in ["0", "-", "…", "👩"] {
        assert_refused(with("/resident/name", json!(name)), "resident.name", "no name", name);
    }
}

/// A case with one item of each kind, and the people around it.
fn scene() -> (Case, People) {
    let mut case = case("2026-03-01 10:00");
    deadline(&mut case, "cremation_reissue", "2017-03-10", "2026-03-01 10:00");
    callback(&mut case, "li", "2026-03-01 10:00", "2026-03-09");
    appointment(&mut case, "li", "2026-03-01 10:00", "2026-03-05 09:30");
    let people = People {
        resident: Some(resident()),
        relatives: vec![daughter()],
    };
    (case, people)
}

fn command_fields() -> Vec<(Value, &'static str, Kind)> {
    let office = "crematorium";
    vec![
        (json!({"do": "add_deadline", "kind": "hard_case"}), "kind", Code),
        (
            json!({"do": "add_deadline", "kind": "hard_case", "trigger": "2026-03-02", "office": office}),
            "office",
            Code,
        ),
        (
            json!({"do": "set_trigger", "item": "d1", "trigger": "2017-03-11"}),
            "item",
            Code,
        ),
        (
            json!({"do": "set_end", "item": "d1", "end": "2027-03-11"}),
            "item",
            Code,
        ),
        (json!({"do": "done", "item": "d1"}), "item", Code),
        (json!({"do": "acknowledge", "item": "d1"}), "item", Code),
        (json!({"do": "promise", "words": "办好了联系您"}), "words", Note),
        (
            json!({"do": "promise", "words": "联系您", "due": "2026-03-09"}),
            "due",
            When,
        ),
        (json!({"do": "promise", "words": "联系您", "by": "li"}), "by", Code),
        (
            json!({"do": "attempt", "item": "c2", "result": "no_answer"}),
            "item",
            Code,
        ),
        (
            json!({"do": "attempt", "item": "c2", "result": "no_answer", "note": "忙"}),
            "note",
            Note,
        ),
        (
            json!({"do": "attempt", "item": "c2", "result": "call_later", "due": "2026-03-09"}),
            "due",
            When,
        ),
        (json!({"do": "pass_callback", "item": "c2", "to": "wang"}), "to", Code),
        (
            json!({"do": "book", "what": "交材料", "office": office, "start": "2026-03-06T09:30"}),
            "what",
            Line,
        ),
        (
            json!({"do": "book", "what": "交材料", "office": office, "start": "2026-03-06T09:30"}),
            "start",
            When,
        ),
        (
            json!({"do": "move_appointment", "item": "a3", "start": "2026-03-06T09:30"}),
            "start",
            When,
        ),
        (
            json!({"do": "move_appointment", "item": "a3", "start": "2026-03-06T09:30", "end": "2026-03-06T10:30"}),
            "end",
            When,
        ),
        (
            json!({"do": "cancel_appointment", "item": "a3", "reason": "改期"}),
            "reason",
            Line,
        ),
        (
            json!({"do": "contact", "direction": "in", "kind": "phone", "note": "来电"}),
            "note",
            Note,
        ),
        (
            json!({"do": "contact", "direction": "in", "kind": "phone", "at": "2026-03-01T10:00"}),
            "at",
            When,
        ),
        (
            json!({"do": "task_done", "task": "r1", "result": "no_answer", "note": "忙"}),
            "note",
            Note,
        ),
        (json!({"do": "assign", "owner": "wang"}), "owner", Code),
        (json!({"do": "prioritise", "reason": "将过期"}), "reason", Line),
        (json!({"do": "wait", "on": "档案室"}), "on", Line),
        (json!({"do": "change_person", "name": "沈兰"}), "name", Line),
        (json!({"do": "change_person", "phone": "13900009999"}), "phone", Code),
        (
            json!({"do": "change_person", "email": "new@example.org"}),
            "email",
            Code,
        ),
        (
            json!({"do": "change_person", "person": "p2", "name": "沈兰"}),
            "person",
            Code,
        ),
        (
            json!({"do": "add_relative", "name": "沈平", "relation": "儿子"}),
            "name",
            Line,
        ),
        (
            json!({"do": "add_relative", "name": "沈平", "relation": "儿子"}),
            "relation",
            Line,
        ),
        (
            json!({"do": "add_relative", "name": "沈平", "relation": "儿子", "phone": "13900007777"}),
            "phone",
            Code,
        ),
    ]
}

#[test]
fn every_text_field_of_every_command_refuses_every_hostile_value() {
    let (case, people) = scene();
    let act = |document: &Value| {
        let command: Command = serde_json::from_value(document.clone()).unwrap();
        with_context(|context| apply(&case, &people, command, context))
    };
    for (document, field, kind) in command_fields() {
        act(&document).unwrap_or_else(|refusal| panic!("without poison it is a good command: {document}: {refusal}"));
        let with = |value: &str| {
            let mut document = document.clone();
            document[field] = json!(value);
            act(&document)
        };
        for (reason, value) in poison() {
            let reason = if matches!(kind, Line | Note) { reason } else { "" };
            assert_refused(with(&value), field, reason, &value);
        }
        match kind {
            Line => line_breaks()
                .iter()
                .for_each(|(reason, value)| assert_refused(with(value), field, reason, value)),
            Note => assert_refused(with("沈\r兰"), field, "line break", "\r"),
            When => BAD_DATES
                .iter()
                .for_each(|date| assert_refused(with(date), field, "", date)),
            Code => assert_refused(with("沈\n兰"), field, "", "\n"),
        }
    }
    // Closing needs what was promised and agreed to be over.
    let mut case = case.clone();
    case.callbacks.clear();
    case.appointments.clear();
    for (r#as, field) in [
        ("done", "outcome"),
        ("withdrawn", "reason"),
        ("transferred", "to"),
        ("refused", "reason"),
        ("refused", "alternative"),
    ] {
        let mut document = json!({"do": "close", "as": r#as, "outcome": "办成", "reason": "自愿", "to": "社保", "alternative": "查档"});
        let close = |document: &Value| {
            let command: Command = serde_json::from_value(document.clone()).unwrap();
            with_context(|context| apply(&case, &people, command, context))
        };
        close(&document).unwrap();
        for (reason, value) in poison().into_iter().chain(line_breaks()) {
            document[field] = json!(value);
            assert_refused(close(&document), field, reason, &value);
        }
    }
    for born in [-5, 1800, 2100] {
        assert_refused(
            act(&json!({"do": "change_person", "born": born})),
            "born",
            "cannot be right",
            "",
        );
    }
    for end in ["0001-01-01", "9999-12-31"] {
        assert_refused(
            act(&json!({"do": "set_end", "item": "d1", "end": end})),
            "end",
            "cannot be right",
            end,
        );
    }
}

// Through the program itself.

fn xixin(hall: &Hall, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut process = Process::new(env!("CARGO_BIN_EXE_xixin"));
    process
        .arg("--config")
        .arg(hall.config())
        .args(arguments)
        .env("XIXIN_AS", "lin")
        .env_remove("XIXIN_CONFIG");
    let mut child = process
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may refuse before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

async fn count(hall: &Hall) -> usize {
    let all = Filter {
        limit: 100,
        ..Filter::default()
    };
    hall.app.engine.store.list_cases(&all).await.unwrap().len()
}

#[tokio::test]
async fn the_program_refuses_hostile_documents_and_writes_nothing() {
    let hall = Hall::open(NOW).await;
    let good = r#"{"resident":{"name":"沈小兰"},"matter":"hard_case","request":"查询"}"#;
    let with = |from: &str, to: &str| good.replace(from, to).into_bytes();
    let huge = format!("{}{}", good, " ".repeat(300_000));
    for (document, words) in [
        (
            with("\"name\"", "\"nmae\""),
            vec!["resident.nmae: 第1行第19列: 没有“nmae”这个字段", "did you mean name?"],
        ),
        (
            with("沈小兰", "沈\\u0000兰"),
            vec!["resident.name: 第2个字符是控制字符 U+0000", "delete that character"],
        ),
        (
            with("沈小兰", "沈\\u202e兰"),
            vec!["resident.name: 第2个字符会改变文字方向"],
        ),
        (
            with("沈小兰", "沈\\n兰"),
            vec!["resident.name: 第2个字符是换行", "a single line"],
        ),
        (with("\"查询\"", "\"\""), vec!["request: 不能为空", "fill it in"]),
        (
            with("hard_case", "hard-case"),
            vec!["matter: 配置中没有“hard-case”", "known are: "],
        ),
        (with("查询\"}", "查询\""), vec!["the document ends too early"]),
        (
            with("\"request\"", "\"request\":\"x\",\"request\""),
            vec!["request: ", "it is given twice"],
        ),
        (b"\xff\xfe{}".to_vec(), vec!["不是 UTF-8", "at byte 0"]),
        (b"[]".to_vec(), vec!["不是一个 JSON 对象"]),
        (huge.into_bytes(), vec!["larger than 262144 bytes"]),
        (with("沈小兰", "\u{1b}]0;x\u{7}"), vec!["不是有效的 JSON"]),
    ] {
        let output = xixin(&hall, &["case", "add", "-"], &document);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for words in words {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(
            !said.contains(['\u{1b}', '\u{202e}', '\0']) && said.len() < 4000,
            "{said:?}"
        );
    }
    assert_eq!(count(&hall).await, 0);

    let added = xixin(&hall, &["case", "add", "-", "--json"], good.as_bytes());
    assert_eq!(
        added.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    let case: Value = serde_json::from_slice(&added.stdout).unwrap();
    let id = case["case"]["id"].as_str().unwrap();
    for (arguments, code, words) in [
        (vec!["promise", "wrods=联系您"], 1, "did you mean words?"),
        (
            vec!["promise", "words=\u{202e}联系您"],
            1,
            "words: 第1个字符会改变文字方向",
        ),
        (vec!["reopen", "reason=x"], 1, "reason: 没有“reason”这个字段"),
        (vec!["promis"], 1, "did you mean promise?"),
        (vec!["promise", "words"], 1, "key=value"),
        (vec!["promise", "words=a", "words=b"], 1, "is given twice"),
        (vec!["promise", r#"{"words":"a","words":"b"}"#], 1, "it is given twice"),
        (vec!["promise", "words=a", "due=0001-01-01"], 1, "due: 年份1不可信"),
        (vec!["set_end", "item=d1", "end=2026-13-01"], 1, "end: "),
        (vec!["promise", "words=a", "--nonsense"], 2, "--nonsense"),
    ] {
        let output = xixin(&hall, &[&["case", "do", id], arguments.as_slice()].concat(), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let stored = hall.app.engine.store.case(&id.into()).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.case.callbacks.len()), (1, 0));
    // What a resident said need not stand on a command line, where everybody on the machine can read it.
    let words = r#"{"words":"给您回电话"}"#;
    let file = hall.dir.path().join("words.json");
    std::fs::write(&file, words).unwrap();
    let from_file = format!("@{}", file.display());
    for (values, stdin) in [("-", words.as_bytes()), (from_file.as_str(), b"".as_slice())] {
        let output = xixin(&hall, &["case", "do", id, "promise", values], stdin);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let stored = hall.app.engine.store.case(&id.into()).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.case.callbacks.len()), (3, 2));
    let missing = xixin(&hall, &["case", "do", id, "promise", "@nowhere.json"], b"");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.json 无法读取"));
    let nobody = xixin(&hall, &["case", "do", "\u{202e}nonsense", "resume"], b"");
    assert!(
        String::from_utf8(nobody.stderr)
            .unwrap()
            .contains("there is no case <U+202E>nonsense")
    );
}
