//! Decodes TOML values without taking liberties: a struct is a table (never a list), a name is text, a number is no text.
//!
//! An error is a `Fault`: the entry, what is wrong with it and what is allowed, ready to be shown.

use std::fmt::Display;

use serde::de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

use super::place::{Path, Step};
use super::problem::{Unfit, allowed, nearest};
use crate::domain::text::{Said, said};

/// One entry that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The entry; for a missing one, the table that should hold it.
    pub path: Path,
    pub unfit: Box<Unfit>,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The key may not be there; `meant` is the known name it resembles.
    Unknown { meant: Option<&'static str> },
    /// The table lacks this key.
    Missing { name: &'static str },
    /// The value does not fit; `names` are the only ones that would, where there are such.
    Wrong { names: &'static [&'static str] },
}

/// A value to decode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strict<'de>(pub &'de Value);

impl Fault {
    fn new(what: Said, allowed: Said, names: &'static [&'static str]) -> Self {
        Self {
            path: Vec::new(),
            unfit: Box::new(Unfit::new(what, allowed)),
            kind: FaultKind::Wrong { names },
        }
    }

    fn inside(mut self, step: Step) -> Self {
        self.path.insert(0, step);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.unfit.what.and(&self.unfit.allowed).fmt(f)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        if message == "invalid socket address syntax" {
            let what = said!("这不是监听地址", "it is no address to listen on");
            return Self::new(what, socket_address(), &[]);
        }
        let Unfit { what, allowed } = Unfit::opened(&message);
        Self::new(what, allowed, &[])
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(does_not_fit(found), plain(expected), &[])
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let what = said!("此处不能有{length}项", "{length} entries do not fit here");
        Self::new(what, plain(expected), &[])
    }

    fn unknown_variant(name: &str, names: &'static [&'static str]) -> Self {
        let what = said!("没有“{name}”", "\"{name}\" is not known");
        Self::new(what, allowed(name, names.iter().copied()), names)
    }

    fn unknown_field(name: &str, names: &'static [&'static str]) -> Self {
        let meant = nearest(name, names.iter().copied());
        Self {
            path: vec![Step::Key(name.to_owned())],
            kind: FaultKind::Unknown { meant },
            ..Self::new(
                said!("没有这个键", "unknown key"),
                allowed(name, names.iter().copied()),
                &[],
            )
        }
    }

    fn missing_field(name: &'static str) -> Self {
        Self {
            kind: FaultKind::Missing { name },
            ..Self::new(
                said!("缺少键“{name}”", "the key \"{name}\" is missing"),
                said!("请加上 {name} = …", "add {name} = …"),
                &[],
            )
        }
    }

    fn duplicate_field(name: &'static str) -> Self {
        let what = said!("“{name}”写了两次", "\"{name}\" is given twice");
        Self::new(what, said!("请只写一次", "give it once"), &[])
    }
}

/// What was found, as people call it.
fn does_not_fit(found: Unexpected<'_>) -> Said {
    let found = match found {
        Unexpected::Str(text) => said!("文字“{text}”", "the text \"{text}\""),
        Unexpected::Signed(number) => said!(" {number} ", "{number}"),
        Unexpected::Float(number) => said!(" {number} ", "{number}"),
        Unexpected::Bool(value) => said!(" {value} ", "{value}"),
        Unexpected::Seq => said!("列表", "a list"),
        Unexpected::Map => said!("表", "a table"),
        Unexpected::Other(DATE) => said!("不带引号的日期", "{DATE}"),
        other => said!(" {other} ", "{other}"),
    };
    let zh = format!("此处不能用{}", found.zh);
    Said::new(zh.trim_end(), format!("{} does not fit here", found.en))
}

/// How a TOML date is called to serde.
const DATE: &str = "a date without quotes";

/// What was expected, as people call it. Our own grammars say it in both languages.
fn plain(expected: &dyn Expected) -> Said {
    let expected = expected.to_string();
    match expected.as_str() {
        "a string" => said!("可用: 带引号的文字", "allowed: text in quotes"),
        "a boolean" => said!("可用: true 或 false", "allowed: true or false"),
        "a sequence" => said!("可用: [ ] 中的列表", "allowed: a list in [ ]"),
        "path string" => said!("可用: 带引号的路径", "allowed: a path in quotes"),
        "socket address" => socket_address(),
        "u16" => said!("可用: 0 到 65535 的整数", "allowed: a whole number from 0 to 65535"),
        "u32" | "u64" | "usize" => {
            said!("可用: 0 或更大的整数", "allowed: a whole number, 0 or more")
        }
        other if other.starts_with("struct ") || other == "a map" => said!(
            "可用: 表,写在 {{ }} 里或 [标题] 下面",
            "allowed: a table, in {{ }} or below a [header]"
        ),
        other => {
            let Said { zh, en } = Said::parse(other);
            said!("可用: {zh}", "allowed: {en}")
        }
    }
}

fn socket_address() -> Said {
    said!(
        "可用: 地址:端口,如 \"127.0.0.1:8787\"",
        "allowed: address:port, such as \"127.0.0.1:8787\""
    )
}

impl<'de> Strict<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match self.0 {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Datetime(_) => Unexpected::Other(DATE),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }

    fn unfit<V: Visitor<'de>>(self, visitor: &V) -> Fault {
        de::Error::invalid_type(self.unexpected(), visitor)
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Fault;

    /// Whatever it is; a date comes as text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Datetime(datetime) => visitor.visit_string(datetime.to_string()),
            Value::Array(list) => visitor.visit_seq(List { list, next: 0 }),
            Value::Table(table) => visitor.visit_map(Entries {
                entries: table.iter(),
                value: None,
            }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Table(_) => self.deserialize_any(visitor),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => {
                let what = does_not_fit(self.unexpected());
                Err(Fault::new(what, allowed("", names.iter().copied()), names))
            }
        }
    }

    /// TOML has no null: what is there is there.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        identifier ignored_any
    }
}

struct List<'de> {
    list: &'de [Value],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let index = self.next;
        let Some(value) = self.list.get(index) else {
            return Ok(None);
        };
        self.next += 1;
        seed.deserialize(Strict(value))
            .map(Some)
            .map_err(|fault| fault.inside(Step::Index(index)))
    }
}

struct Entries<'de> {
    entries: toml::map::Iter<'de, String, Value>,
    value: Option<(&'de String, &'de Value)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        match self.value {
            Some((key, _)) => seed.deserialize(key.as_str().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self.value.take().expect("serde asks for a key before its value");
        seed.deserialize(Strict(value))
            .map_err(|fault| fault.inside(Step::Key(key.clone())))
    }
}

/// Decodes a whole table.
pub(super) fn decode<T: de::DeserializeOwned>(table: &Value) -> Result<T, Fault> {
    T::deserialize(Strict(table))
}

/// An empty table as a value.
pub(super) fn empty() -> Value {
    Value::Table(Table::new())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::config::place::dotted;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        number: Option<u16>,
        #[serde(default)]
        text: String,
        #[serde(default)]
        kind: Kind,
        #[serde(default)]
        inner: Inner,
        #[serde(default)]
        list: Vec<Kind>,
        #[serde(default)]
        map: BTreeMap<String, bool>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        zh: String,
        en: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        #[default]
        Clerk,
        Director,
    }

    #[test]
    fn loose_values_are_refused_with_their_place_and_what_is_allowed() {
        let number = "allowed: a whole number from 0 to 65535";
        let table = "allowed: a table, in { } or below a [header]";
        for (text, path, what, allowed) in [
            ("number = \"9\"", "number", "the text \"9\" does not fit here", number),
            ("number = 1.5", "number", "1.5 does not fit here", number),
            ("number = -5", "number", "-5 does not fit here", number),
            ("number = 70000", "number", "70000 does not fit here", number),
            ("text = 9", "text", "9 does not fit here", "allowed: text in quotes"),
            (
                "text = 2026-02-14",
                "text",
                "a date without quotes does not fit here",
                "allowed: text in quotes",
            ),
            (
                "kind = true",
                "kind",
                "true does not fit here",
                "allowed: clerk, director",
            ),
            (
                "kind = { clerk = 1 }",
                "kind",
                "a table does not fit here",
                "allowed: clerk, director",
            ),
            ("inner = [\"甲\", \"a\"]", "inner", "a list does not fit here", table),
            (
                "list = [\"clerk\", \"clark\"]",
                "list[1]",
                "\"clark\" is not known",
                "did you mean \"clerk\"? allowed: clerk, director",
            ),
            (
                "list = \"clerk\"",
                "list",
                "the text \"clerk\" does not fit here",
                "allowed: a list in [ ]",
            ),
            (
                "map = { a = true, b = \"yes\" }",
                "map.b",
                "the text \"yes\" does not fit here",
                "allowed: true or false",
            ),
            (
                "inner = { zh = \"甲\", eng = \"a\" }",
                "inner.eng",
                "unknown key",
                "did you mean \"en\"? allowed: zh, en",
            ),
        ] {
            let value = Value::Table(text.parse().unwrap());
            let fault = decode::<Sample>(&value).unwrap_err();
            let Unfit {
                what: said,
                allowed: fix,
            } = *fault.unfit;
            let found = (dotted(&fault.path), said.en.as_str(), fix.en.as_str());
            assert_eq!(found, (path.to_owned(), what, allowed), "{text}");
        }
    }
}
