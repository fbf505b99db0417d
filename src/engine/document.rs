//! Reads the JSON of a case or a command. What is wrong is told with its place and what to do, in both languages.
//!
//! A typing mistake may lose nothing: unknown fields, fields given twice and anything after the end are refused.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::config::problem::nearest;
use crate::domain::command::{Command, Refusal};
use crate::domain::text::{Said, shown};

/// Reads one JSON document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, error.inner())
    })?;
    reader.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// Reads a case document.
pub fn read_object<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    if text.trim_start().starts_with('{') {
        return read(text);
    }
    Err(Refusal::new(
        Said::new("内容不是一个 JSON 对象", "the document is not a JSON object"),
        Said::new(
            "以 { 开头写成 {\"字段\": 值, …},参见 README 的例子",
            "write {\"field\": value, …}; the README has an example",
        ),
    ))
}

/// Reads `{"do": …}`. The fields stand beside the name of the command.
pub fn read_command(fields: Map<String, Value>) -> Result<Command, Refusal> {
    let given = Value::Object(fields);
    let command: Command = serde_json::from_value(given.clone()).map_err(|error| {
        let path = culprit(&given, &error.to_string()).unwrap_or_default();
        explain(&path, &error)
    })?;
    // Commands without fields take any (serde reads no further than their name), so what was read is compared with what was given.
    let known = serde_json::to_value(&command).unwrap_or_default();
    let extra = given
        .as_object()
        .and_then(|given| given.keys().find(|key| known.get(key.as_str()).is_none()));
    match extra {
        Some(key) => Err(unknown_field(key, String::new(), key, &[])),
        None => Ok(command),
    }
}

/// An object whose every field is given once.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub struct Fields(#[serde(deserialize_with = "once_each")] pub Map<String, Value>);

fn once_each<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    struct Once;
    impl<'de> serde::de::Visitor<'de> for Once {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = Map::new();
            while let Some((key, value)) = access.next_entry::<String, Value>()? {
                if map.contains_key(&key) {
                    return Err(serde::de::Error::custom(format_args!("duplicate field `{key}`")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }
    from.deserialize_map(Once)
}

/// The place of an error in a command: serde loses it in tagged enums, so it is found as the part without which the error is another.
fn culprit(given: &Value, error: &str) -> Option<String> {
    let still_wrong = |value: Value| {
        serde_json::from_value::<Command>(value)
            .err()
            .map(|error| error.to_string())
    };
    // These name their field themselves.
    if error.starts_with("unknown field") || error.starts_with("missing field") {
        return None;
    }
    let object = given.as_object()?;
    let (name, fields): (Vec<_>, Vec<_>) = object.iter().partition(|(key, _)| *key == "do");
    for (key, value) in fields.into_iter().chain(name) {
        let mut without = object.clone();
        without.remove(key);
        if still_wrong(Value::Object(without.clone())).as_deref() == Some(error) {
            continue;
        }
        let within = value.as_array().and_then(|list| {
            (0..list.len()).find(|index| {
                let mut shorter = list.clone();
                shorter.remove(*index);
                without.insert(key.clone(), Value::Array(shorter));
                still_wrong(Value::Object(without.clone())).as_deref() != Some(error)
            })
        });
        return Some(within.map_or_else(|| key.clone(), |index| format!("{key}[{index}]")));
    }
    None
}

fn explain(path: &str, error: &serde_json::Error) -> Refusal {
    let whole = error.to_string();
    let (line, column) = (error.line(), error.column());
    let message = whole
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&whole);
    // A path that serde could not follow ends in `?` or is a lone dot.
    let path = path.trim_end_matches('?').trim_matches('.').to_owned();
    let place = |said: Said| {
        if line == 0 {
            return said;
        }
        Said::new(
            format!("第{line}行第{column}列: {}", said.zh),
            format!("line {line}, column {column}: {}", said.en),
        )
    };
    let refusal = match error.classify() {
        Category::Data => wrong_data(path, message),
        Category::Eof => Refusal::new(
            Said::new("文件不完整,缺少结尾", "the document ends too early"),
            Said::new("检查括号和引号是否成对", "check that brackets and quotes are closed"),
        ),
        Category::Syntax | Category::Io => Refusal::new(
            Said::new(
                format!("不是有效的 JSON({message})"),
                format!("it is not valid JSON ({message})"),
            ),
            Said::new(
                "检查此处的逗号、引号和括号,须用半角符号",
                "check commas, quotes and brackets there",
            ),
        ),
    };
    Refusal {
        what: place(refusal.what),
        ..refusal
    }
}

fn wrong_data(path: String, message: &str) -> Refusal {
    let named: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    // The first name is what was written and may hold anything, the others are the program's own.
    let written = |start: &str| {
        let rest = message.strip_prefix(start)?;
        let end = ["`, expected one of `", "`, expected `", "`, there are no fields", "`"];
        end.iter().find_map(|end| rest.rfind(end)).map(|end| &rest[..end])
    };
    let at = |path: String, what: Said, fix: Said| Refusal {
        field: Some(path).filter(|path| !path.is_empty()),
        what,
        fix,
    };
    let expected = || {
        message
            .rfind(", expected ")
            .map_or("", |at| &message[at + ", expected ".len()..])
    };
    let listed: Vec<&str> = expected().split('`').skip(1).step_by(2).collect();
    if let Some(name) = written("unknown field `") {
        return unknown_field(name, path, name, &listed);
    }
    if let Some(name) = written("unknown variant `") {
        let near = nearest(name, listed.iter().copied()).map(str::to_owned);
        let name = shown(name);
        return at(
            path,
            Said::new(format!("没有“{name}”这个取值"), format!("there is no value \"{name}\"")),
            choices(near, &listed),
        );
    }
    if message.starts_with("missing field `") {
        let name = named.first().copied().unwrap_or_default();
        return at(
            join(&path, name),
            Said::new("没有填写", "it is missing"),
            Said::new("请填写", "fill it in"),
        );
    }
    if message.starts_with("duplicate field `") {
        let name = shown(written("duplicate field `").unwrap_or_default());
        return at(
            join(&path, &name),
            Said::new("写了两次", "it is given twice"),
            Said::new("只留一个", "keep one of them"),
        );
    }
    if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        let (zh, en) = kind_words(expected());
        return at(
            path,
            Said::new("类型不对", "it is of the wrong kind"),
            Said::new(format!("应是{zh}"), format!("give {en}")),
        );
    }
    match message.split_once(" / ") {
        // Texts of the domain say both, with what is allowed.
        Some((zh, en)) => {
            let (what_zh, fix_zh) = zh.split_once(',').unwrap_or((zh, "请改正"));
            let (what_en, fix_en) = en.split_once("; ").unwrap_or((en, "correct it"));
            at(path, Said::new(what_zh, what_en), Said::new(fix_zh, fix_en))
        }
        None => at(
            path,
            Said::new(
                format!("不是可用的值({})", shown(message)),
                format!("it is no usable value ({})", shown(message)),
            ),
            Said::new("日期形如 2026-03-09", "dates look like 2026-03-09"),
        ),
    }
}

fn unknown_field(name: &str, path: String, place: &str, known: &[&str]) -> Refusal {
    let near = nearest(name, known.iter().copied()).map(str::to_owned);
    let name = shown(name);
    let path = if path.ends_with(place) {
        path[..path.len() - place.len()].to_owned() + &name
    } else {
        join(&path, &name)
    };
    Refusal {
        field: Some(path),
        what: Said::new(format!("没有“{name}”这个字段"), format!("there is no field \"{name}\"")),
        fix: choices(near, known),
    }
}

fn choices(near: Option<String>, known: &[&str]) -> Said {
    let list = known.join(", ");
    match (near, known.is_empty()) {
        (_, true) => Said::new("此处不需要任何字段,请删去", "nothing is needed here; delete it"),
        (Some(near), _) => Said::new(
            format!("是不是 {near}?可用的有: {list}"),
            format!("did you mean {near}? allowed: {list}"),
        ),
        (None, _) => Said::new(format!("可用的有: {list}"), format!("allowed: {list}")),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What serde expects, in words for people.
fn kind_words(expected: &str) -> (&'static str, &'static str) {
    match expected {
        "a string" | "string" => ("文字,写在引号里", "a text, in quotes"),
        "i16" | "u16" | "u32" | "i64" => ("整数,不加引号", "a whole number, without quotes"),
        "a boolean" => ("true 或 false,不加引号", "true or false, without quotes"),
        "a sequence" => ("列表 […]", "a list […]"),
        _ => ("对象 {…},或不填", "an object {…}, or leave it out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::NewCase;

    fn told<T>(read: Result<T, Refusal>) -> (String, String) {
        let refusal = read.err().expect("it must be refused");
        (
            refusal.field.clone().unwrap_or_default(),
            refusal.to_string().replace('\n', " | "),
        )
    }

    #[test]
    fn a_wrong_case_document_is_told_with_the_place_and_the_fix() {
        let head = r#""matter":"m","request":"r""#;
        for (document, field, words) in [
            (
                format!(r#"{{"resident":{{"name":"x","phne":"1"}},{head}}}"#),
                "resident.phne",
                "did you mean phone?",
            ),
            (
                format!(r#"{{"resident":{{"name":"x"}},"relatives":[{{"name":"x"}}],{head}}}"#),
                "relatives[0].relation",
                "it is missing",
            ),
            (
                format!(r#"{{"resident":{{"name":5}},{head}}}"#),
                "resident.name",
                "a text, in quotes",
            ),
            (
                format!(r#"{{"resident":{{"name":"x","born":"1950"}},{head}}}"#),
                "resident.born",
                "a whole number",
            ),
            (
                format!(r#"{{"resident":{{"name":"x","born":99999}},{head}}}"#),
                "resident.born",
                "a whole number",
            ),
            (
                format!(r#"{{"resident":{{"name":"x","flags":["deaf"]}},{head}}}"#),
                "resident.flags[0]",
                "no_mobile",
            ),
            (
                format!(r#"{{"resident":{{"name":"x"}},"request":"s",{head}}}"#),
                "request",
                "given twice",
            ),
            (
                format!(r#"{{"resident":{{"name":"x"}},"deadlines":[{{"kind":"k","trigger":"10/12/2012"}}],{head}}}"#),
                "deadlines[0].trigger",
                "a date 2012-03-10",
            ),
            ("{\"resident\":".to_owned(), "", "ends too early"),
            (r#"{"resident":{"name":"x",}}"#.to_owned(), "", "line 1, column 25"),
            (
                format!(r#"{{"resident":{{"name":"x"}},{head}}} {{}}"#),
                "",
                "trailing characters",
            ),
            ("[]".to_owned(), "", "not a JSON object"),
            (String::new(), "", "not a JSON object"),
        ] {
            let (place, text) = told(read_object::<NewCase>(&document));
            assert_eq!(place, field, "{document}: {text}");
            assert!(text.contains(words), "{document}: {text}");
            assert!(text.chars().any(|letter| letter > '\u{4e00}'), "{document}: {text}");
        }
    }

    #[test]
    fn a_wrong_command_is_told_with_its_field() {
        for (document, field, words) in [
            (r#"{"do":"reopen","reason":"x"}"#, "reason", "no field"),
            (r#"{"do":"promise","wrods":"x"}"#, "wrods", "did you mean words?"),
            (r#"{"do":"promise"}"#, "words", "it is missing"),
            (r#"{"do":"promis"}"#, "do", "did you mean promise?"),
            (
                r#"{"do":"book","what":"x","office":"o","start":"x","bring":["a",5]}"#,
                "bring[1]",
                "a text",
            ),
            (
                r#"{"do":"set_end","item":"d1","end":"2026-13-01"}"#,
                "end",
                "dates look like 2026-03-09",
            ),
            (
                r#"{"do":"set_trigger","item":"d1","trigger":"2026-13-01"}"#,
                "trigger",
                "a month 2026-05",
            ),
            (r#"{"do":"change_person","born":"1950"}"#, "born", "a whole number"),
            (
                r#"{"do":"attempt","item":"c1","result":"maybe"}"#,
                "result",
                "no_answer",
            ),
            (
                r#"{"do":"close","as":"done","outcom":"x"}"#,
                "outcom",
                "did you mean outcome?",
            ),
        ] {
            let Fields(fields) = read(document).expect("an object");
            let (place, text) = told(read_command(fields));
            assert_eq!(place, field, "{document}: {text}");
            assert!(text.contains(words), "{document}: {text}");
        }
        let (place, _) = told(read::<Fields>(r#"{"words":"a","words":"b"}"#));
        assert_eq!(place, "words");
    }

    #[test]
    fn a_whole_number_is_the_same_however_it_is_written() {
        let head = r#""matter":"m","request":"r""#;
        let born = |text: &str| {
            let document = format!(r#"{{"resident":{{"name":"x","born":{text}}},{head}}}"#);
            read_object::<NewCase>(&document).map(|case| case.resident.born)
        };
        for (text, number) in [
            ("1979", Some(1979)),
            ("1979.0", Some(1979)),
            ("1.979e3", Some(1979)),
            ("null", None),
        ] {
            assert_eq!(born(text), Ok(number), "{text}");
        }
        for text in ["1979.5", "99999", "-1e300", "\"1979\"", "true"] {
            let (place, words) = told(born(text));
            assert_eq!(place, "resident.born", "{text}: {words}");
            assert!(words.contains("a whole number"), "{text}: {words}");
        }
        let Fields(step) = read(r#"{"do":"change_step","item":"p1","takes_days":3.0}"#).expect("an object");
        let step = read_command(step).expect("3.0 is 3");
        assert!(matches!(
            step,
            Command::ChangeStep {
                takes_days: Some(3),
                ..
            }
        ));
    }

    #[test]
    fn what_was_typed_is_never_repeated_whole_or_raw() {
        let name = format!("\u{202e}{}", "长".repeat(100_000));
        for document in [
            format!(r#"{{"{name}":1}}"#),
            format!(r#"{{"origin":"{name}"}}"#),
            format!(r#"{{"resident":"{name}"}}"#),
            format!(r#"{{"deadlines":[{{"kind":"k","trigger":"{name}"}}]}}"#),
        ] {
            let (place, text) = told(read_object::<NewCase>(&document));
            assert!(
                place.chars().count() < 100 && text.chars().count() < 800,
                "{place}: {text}"
            );
            assert!(!text.contains('\u{202e}'));
        }
    }
}
