//! Decodes TOML values without taking liberties: a struct is a table (never a list), a name is text, a number is no text.
//!
//! An error is a `Fault`: the entry, what is wrong with it and what is allowed, ready to be shown.

use std::fmt::Display;

use serde::de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

use super::place::{Path, Step};
use super::problem::{allowed, nearest};

/// One entry that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The entry; for a missing one, the table that should hold it.
    pub path: Path,
    pub what: String,
    pub allowed: String,
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
    fn new(what: String, allowed: String, names: &'static [&'static str]) -> Self {
        Self {
            path: Vec::new(),
            what,
            allowed,
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
        write!(f, "{}; {}", self.what, self.allowed)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    /// Our own grammars say what is wrong and, after "; allowed: ", what is allowed.
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        match message.split_once("; allowed: ") {
            Some((what, fits)) => Self::new(what.to_owned(), format!("allowed: {fits}"), &[]),
            None if message == "invalid socket address syntax" => {
                let fix = "allowed: address:port, such as \"127.0.0.1:8787\"";
                Self::new("it is no address to listen on".to_owned(), fix.to_owned(), &[])
            }
            None => Self::new(message, String::new(), &[]),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{} does not fit here", shown(found)), plain(expected), &[])
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("{length} entries do not fit here"), plain(expected), &[])
    }

    fn unknown_variant(name: &str, names: &'static [&'static str]) -> Self {
        let what = format!("\"{name}\" is not known");
        Self::new(what, allowed(name, names.iter().copied()), names)
    }

    fn unknown_field(name: &str, names: &'static [&'static str]) -> Self {
        let meant = nearest(name, names.iter().copied());
        Self {
            path: vec![Step::Key(name.to_owned())],
            what: "unknown key".to_owned(),
            allowed: allowed(name, names.iter().copied()),
            kind: FaultKind::Unknown { meant },
        }
    }

    fn missing_field(name: &'static str) -> Self {
        Self {
            path: Vec::new(),
            what: format!("the key \"{name}\" is missing"),
            allowed: format!("add {name} = …"),
            kind: FaultKind::Missing { name },
        }
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new(format!("\"{name}\" is given twice"), "give it once".to_owned(), &[])
    }
}

/// What was found, as people call it.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("the text \"{text}\""),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(other) => other.to_owned(),
        other => other.to_string(),
    }
}

/// What was expected, as people call it.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let words = match expected.as_str() {
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in [ ]",
        "path string" => "a path in quotes",
        "socket address" => "address:port, such as \"127.0.0.1:8787\"",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        other if other.starts_with("struct ") || other == "a map" => "a table, in { } or below a [header]",
        other => other,
    };
    format!("allowed: {words}")
}

impl<'de> Strict<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match self.0 {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Datetime(_) => Unexpected::Other("a date without quotes"),
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
                let what = format!("{} does not fit here", shown(self.unexpected()));
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
            let found = (dotted(&fault.path), fault.what.as_str(), fault.allowed.as_str());
            assert_eq!(found, (path.to_owned(), what, allowed), "{text}");
        }
    }
}
