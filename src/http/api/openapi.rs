//! The description of the API, OpenAPI 3.1, made of what the program itself takes and gives (`engine::forms`).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::extract::BODY_MAX;
use super::problem::{self, Problem};
use super::read::{Cases, List, OfDay, PAGE_MAX, Summary};
use super::write::KEY_MAX;
use crate::engine::forms::{COMMANDS, FORMS, Field, Form, Shape, form};
use crate::store::requests::Receipt;

/// Made once: it does not change while the program runs.
pub(super) static DESCRIPTION: LazyLock<String> = LazyLock::new(|| description().to_string());

fn description() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "xixin 悉心",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "案件、命令、待办与提醒。错误以 application/problem+json 用中英文说明。 / Cases, commands, digests and reminders. Errors come as application/problem+json, in Chinese and English.",
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "token": [] }],
        "paths": paths(),
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "xixin token new NAME" } },
            "schemas": schemas(),
            "responses": { "Problem": {
                "description": "为什么没有办,怎样改 / why not, and what to do",
                "content": { problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
            } },
        },
    })
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |path: &str, operations: Value| {
        paths.insert(path.to_owned(), operations);
    };
    add(
        "/cases",
        json!({
            "get": operation("listCases", "read", "案件,新的在前 / cases, the newest first", &query(&form::<List>()), None, &answers(&[("200", "Cases")], &[])),
            "post": operation("openCase", "write", "立案 / opens a case", &[key(true)], Some(reference("NewCase")), &answers(&[("201", "Receipt")], &[413, 415, 422])),
        }),
    );
    let known = json!({ "name": "If-None-Match", "in": "header", "schema": { "type": "string" } });
    add(
        "/cases/{case}",
        json!({ "get": operation("getCase", "read", "案件的一切 / everything about a case", &[named("case"), known], None, &answers(&[("200", "CasePage"), ("304", "")], &[404, 410])) }),
    );
    add(
        "/cases/{case}/reminders",
        json!({ "get": operation("listReminders", "read", "每个决定及理由 / every decision with its reason", &[named("case")], None, &answers(&[("200", "Decisions")], &[404])) }),
    );
    add(
        "/staff/{staff}/digest",
        json!({ "get": operation("getDigest", "read", "某人的待办 / what somebody has to do", &[vec![named("staff")], query(&form::<OfDay>())].concat(), None, &answers(&[("200", "Digest")], &[404])) }),
    );
    add(
        "/status",
        json!({ "get": operation("getStatus", "status", "运行状态 / how the daemon is", &[], None, &answers(&[("200", "Status")], &[])) }),
    );
    for command in COMMANDS.iter() {
        let name = &command.name;
        let version = json!({
            "name": "If-Match", "in": "header", "required": true, "description": "读到的 ETag,或 * / the ETag that was read, or *",
            "schema": { "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}\")$" },
        });
        let parameters = [named("case"), version, key(false)];
        let answers = answers(&[("200", "Receipt")], &[404, 410, 412, 413, 415, 422, 428]);
        let said = format!("xixin case do CASE {name}");
        let operation = operation(
            name,
            "write",
            &said,
            &parameters,
            Some(object(&command.fields)),
            &answers,
        );
        add(
            &format!("/cases/{{case}}/commands/{name}"),
            json!({ "post": operation }),
        );
    }
    paths
}

fn operation(
    name: &str,
    scope: &str,
    said: &str,
    parameters: &[Value],
    body: Option<Value>,
    responses: &Map<String, Value>,
) -> Value {
    let mut operation = json!({
        "operationId": name, "summary": said, "tags": [scope], "parameters": parameters, "responses": responses,
    });
    if let Some(schema) = body {
        operation["requestBody"] = json!({
            "required": true,
            "description": format!("最多 {BODY_MAX} 字节 / up to {BODY_MAX} bytes"),
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

/// What may come back: documents by their names, and problems of these kinds beside those of every request.
fn answers(good: &[(&str, &str)], bad: &[u16]) -> Map<String, Value> {
    let mut answers = Map::new();
    for (status, name) in good {
        let mut answer = json!({ "description": name });
        if !name.is_empty() {
            answer["content"] = json!({ "application/json": { "schema": reference(name) } });
        }
        answers.insert((*status).to_owned(), answer);
    }
    for status in [400, 401, 403, 503].iter().chain(bad) {
        answers.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    answers
}

fn named(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[A-Za-z0-9_-]+$" } })
}

/// The parameters behind the question mark.
fn query(fields: &[Field]) -> Vec<Value> {
    let parameter = |field: &Field| {
        let mut schema = of_shape(&field.shape);
        if field.name == "limit" {
            (schema["minimum"], schema["maximum"]) = (json!(1), json!(PAGE_MAX));
        }
        json!({ "name": field.name, "in": "query", "required": field.is_needed, "schema": schema })
    };
    fields.iter().map(parameter).collect()
}

fn key(is_needed: bool) -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": is_needed,
        "description": "每个新请求一个新的键,重试时用同一个,记住 48 小时 / a key of its own for every new request, the same when it is tried again; known for 48 hours",
        "schema": { "type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[A-Za-z0-9_.:-]+$" },
    })
}

fn schemas() -> Map<String, Value> {
    let mut schemas: Map<String, Value> = FORMS
        .iter()
        .map(|Form { name, fields }| (name.clone(), object(fields)))
        .collect();
    for (name, fields) in [
        ("Cases", form::<Cases>()),
        ("Summary", form::<Summary>()),
        ("Receipt", form::<Receipt>()),
    ] {
        schemas.insert(name.to_owned(), object(&fields));
    }
    let page = [
        "case",
        "version",
        "resident",
        "relatives",
        "items",
        "advice",
        "upcoming",
        "ledger",
        "events",
    ];
    for (name, needed) in [
        ("CasePage", &page[..]),
        ("Decisions", &["case", "decisions"]),
        ("Digest", &["staff", "date"]),
        ("Status", &["version", "generation", "queue", "paused", "waits"]),
    ] {
        schemas.insert(name.to_owned(), json!({ "type": "object", "required": needed }));
    }
    schemas.insert(
        "Problem".to_owned(),
        like(&Problem::nowhere().at("field").document(), &["field"]),
    );
    schemas
}

/// An object with the fields of this one, of which `optional` may be absent.
fn like(example: &Value, optional: &[&str]) -> Value {
    let fields = example.as_object().into_iter().flatten();
    let kind = |value: &Value| if value.is_number() { "integer" } else { "string" };
    let properties: Map<String, Value> = fields
        .clone()
        .map(|(name, value)| (name.clone(), json!({ "type": kind(value) })))
        .collect();
    let needed: Vec<&String> = fields
        .map(|(name, _)| name)
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "required": needed, "properties": properties })
}

fn object(fields: &[Field]) -> Value {
    let property = |field: &Field| {
        let schema = of_shape(&field.shape);
        let schema = if field.may_be_null { or_null(schema) } else { schema };
        (field.name.clone(), schema)
    };
    let needed: Vec<&String> = fields
        .iter()
        .filter(|field| field.is_needed)
        .map(|field| &field.name)
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": needed,
        "properties": fields.iter().map(property).collect::<Map<_, _>>(),
    })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Day => json!({ "type": "string", "format": "date" }),
        Shape::Instant => json!({ "type": "string", "format": "date-time" }),
        Shape::Number { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::OneOf(names) => json!({ "type": "string", "enum": names }),
        Shape::List(of) => json!({ "type": "array", "items": of_shape(of) }),
        Shape::Form(name) => reference(name),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
