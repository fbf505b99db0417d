//! What documents may hold, found by asking whoever reads them: serde tells in its errors which fields and values it would take. So the
//! description of the API and COMMANDS.md say what the program takes, and nowhere stands a second list of fields.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::domain::command::{
    Command, NewAppointment, NewCallback, NewCase, NewDeadline, NewEscort, NewHop, NewPerson, NewRelative, NewStep,
};

/// What a document may hold, by the names of its fields, in the order in which they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    /// It may not be left out.
    pub is_needed: bool,
    pub may_be_null: bool,
    pub shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Text,
    /// `2026-03-09`
    Day,
    /// An instant, RFC 3339.
    Instant,
    Number {
        least: i64,
        most: i64,
    },
    Flag,
    OneOf(Vec<String>),
    List(Box<Shape>),
    /// Another form, by its name.
    Form(String),
}

/// Reads a document: the error, or nothing when it can be taken.
type Reader<'a> = &'a dyn Fn(Value) -> String;

/// Every command, in the order of the catalogue; other names of a command stand beside it.
pub static COMMANDS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let names = expected(&why::<Command>(json!({ "do": "?" })));
    let form = |name: String| {
        let fields = fields(&|mut document: Value| {
            if let Value::Object(fields) = &mut document {
                fields.insert("do".to_owned(), json!(name));
            }
            why::<Command>(document)
        });
        Form { name, fields }
    };
    names.into_iter().map(form).collect()
});

/// Asks for the fields of a type.
type Asked = fn() -> Vec<Field>;

macro_rules! forms {
    ($($name:ident)*) => {
        BTreeMap::from([$((stringify!($name), form::<$name> as Asked),)*])
    };
}

/// The forms that commands and new cases are made of, by the names that serde calls them.
static PARTS: LazyLock<BTreeMap<&'static str, Asked>> = LazyLock::new(|| {
    forms! { NewAppointment NewCallback NewCase NewDeadline NewEscort NewHop NewPerson NewRelative NewStep }
});

/// The same with their fields.
pub static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |(name, fields): (&&str, &Asked)| Form {
        name: (*name).to_owned(),
        fields: fields(),
    };
    PARTS.iter().map(form).collect()
});

/// The fields of a type that refuses unknown ones.
pub fn form<T: DeserializeOwned>() -> Vec<Field> {
    fields(&why::<T>)
}

fn why<T: DeserializeOwned>(document: Value) -> String {
    let read = serde_json::from_value::<T>(document);
    read.err().map(|error| error.to_string()).unwrap_or_default()
}

/// The names that an error says are expected.
fn expected(error: &str) -> Vec<String> {
    let list = error.split_once(", expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn fields(reader: Reader<'_>) -> Vec<Field> {
    let field = |name: String| {
        let shape = shape(&|value: Value| reader(json!({ &name: value })));
        let null = reader(json!({ &name: null }));
        Field {
            is_needed: false,
            may_be_null: null.is_empty() || null.starts_with("missing field `"),
            name,
            shape,
        }
    };
    let names = expected(&reader(json!({ "?": 1 })));
    let mut fields: Vec<Field> = names.into_iter().map(field).collect();
    // One that is missing is told after the other.
    let mut document = Map::new();
    while let Some(missing) = missing(&reader(Value::Object(document.clone()))) {
        let Some(field) = fields
            .iter_mut()
            .find(|field| field.name == missing && !field.is_needed)
        else {
            break;
        };
        field.is_needed = true;
        field.may_be_null = false;
        document.insert(missing, sample(&field.shape));
    }
    fields
}

fn missing(error: &str) -> Option<String> {
    let rest = error.strip_prefix("missing field `")?;
    rest.split('`').next().map(str::to_owned)
}

/// What fits where `reader` puts a value.
fn shape(reader: Reader<'_>) -> Shape {
    // What is missing beside it is no fault of its own.
    let fits = |value: Value| {
        let error = reader(value);
        error.is_empty() || error.starts_with("missing field `")
    };
    let refused = reader(json!("?"));
    if refused.starts_with("unknown variant `?`") {
        return Shape::OneOf(expected(&refused));
    }
    if fits(json!("?")) {
        return Shape::Text;
    }
    let wanted = refused.rsplit_once(", expected ").map_or("", |(_, wanted)| wanted);
    match wanted {
        "a boolean" => Shape::Flag,
        "a sequence" => Shape::List(Box::new(shape(&|value: Value| reader(json!([value]))))),
        "i16" => Shape::number(i16::MIN.into(), i16::MAX.into()),
        "u16" => Shape::number(0, u16::MAX.into()),
        "u32" => Shape::number(0, u32::MAX.into()),
        "i64" => Shape::number(i64::MIN, i64::MAX),
        _ => match wanted.strip_prefix("struct ") {
            Some(name) => Shape::Form(name.to_owned()),
            None if fits(json!("2026-03-09")) && !fits(json!("2026-03")) => Shape::Day,
            None if !fits(json!("2026-03-09")) && fits(json!("2026-03-09T00:00:00Z")) => Shape::Instant,
            None => Shape::Text,
        },
    }
}

impl Shape {
    fn number(least: i64, most: i64) -> Self {
        Self::Number { least, most }
    }
}

/// Something that fits.
fn sample(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Day => json!("2026-03-09"),
        Shape::Instant => json!("2026-03-09T00:00:00Z"),
        Shape::Number { .. } => json!(1),
        Shape::Flag => json!(true),
        Shape::OneOf(names) => json!(names.first()),
        Shape::List(_) => json!([]),
        Shape::Form(name) => {
            let fields = PARTS.get(name.as_str()).map_or_else(Vec::new, |fields| fields());
            let needed = fields.iter().filter(|field| field.is_needed);
            needed
                .map(|field| (field.name.clone(), sample(&field.shape)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(forms: &'a [Form], name: &str) -> &'a Form {
        forms.iter().find(|form| form.name == name).expect(name)
    }

    fn field<'a>(form: &'a Form, name: &str) -> &'a Field {
        form.fields.iter().find(|field| field.name == name).expect(name)
    }

    #[test]
    fn what_is_needed_and_what_fits_is_what_the_program_takes() {
        let promise = named(&COMMANDS, "promise");
        let needed: Vec<bool> = promise.fields.iter().map(|field| field.is_needed).collect();
        assert_eq!(needed, [true, false, false]);
        let result = field(named(&COMMANDS, "attempt"), "result");
        assert!(matches!(&result.shape, Shape::OneOf(names) if names.contains(&"no_answer".to_owned())));
        assert_eq!(field(named(&COMMANDS, "set_end"), "end").shape, Shape::Day);
        assert_eq!(field(named(&COMMANDS, "set_trigger"), "trigger").shape, Shape::Text);
        let steps = field(named(&COMMANDS, "draft_plan"), "steps");
        assert!(steps.may_be_null && !steps.is_needed);
        assert_eq!(steps.shape, Shape::List(Box::new(Shape::Form("NewStep".to_owned()))));
        let flags = field(named(&COMMANDS, "change_person"), "flags");
        assert!(matches!(&flags.shape, Shape::List(of) if matches!(**of, Shape::OneOf(_))));
        let born = field(named(&FORMS, "NewPerson"), "born");
        assert_eq!(born.shape, Shape::number(-32768, 32767));
        assert_eq!(named(&COMMANDS, "hand_over").fields, []);
        let told = field(named(&COMMANDS, "incident"), "told");
        assert!(
            !told.may_be_null,
            "a list that is left out is empty, but null is no list"
        );
        let case = named(&FORMS, "NewCase");
        let needed = case.fields.iter().filter(|field| field.is_needed);
        assert_eq!(
            needed.map(|field| field.name.as_str()).collect::<Vec<_>>(),
            ["resident", "matter", "request"]
        );
    }

    #[test]
    fn every_form_that_another_names_is_known() {
        fn names(shape: &Shape) -> Option<&String> {
            match shape {
                Shape::Form(name) => Some(name),
                Shape::List(of) => names(of),
                _ => None,
            }
        }
        let forms = COMMANDS.iter().chain(FORMS.iter());
        for name in forms.flat_map(|form| form.fields.iter().filter_map(|field| names(&field.shape))) {
            assert!(PARTS.contains_key(name.as_str()), "{name} is not in the list of forms");
        }
    }
}
