//! The description of the API is true of it, and everything that shows it comes from this program.

use serde_json::Value;
use xixin::engine::forms::COMMANDS;

use crate::support::api::{HOTLINE, MONITOR, World};

const NOW: &str = "2026-03-04 10:00";

/// Everything in a document that refers to something else in it.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_address_of_the_description_is_there_and_nothing_it_refers_to_is_missing() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let description = world.get("", "/openapi.json").await;
    assert_eq!(
        (description.status, &description.body["openapi"]),
        (200, &Value::from("3.1.0"))
    );
    let mut found = Vec::new();
    references(&description.body, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.body.pointer(pointer).is_some(), "{reference}");
    }
    let paths = description.body["paths"].as_object().unwrap();
    for command in COMMANDS.iter() {
        let path = format!("/cases/{{case}}/commands/{}", command.name);
        assert!(paths.contains_key(&path), "{path}");
    }
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{case}", case.as_str()).replace("{staff}", "lin");
            let token = if operation["tags"][0] == "status" {
                MONITOR
            } else {
                HOTLINE
            };
            let headers = [("Content-Type", "application/json"), ("If-Match", "\"99\"")];
            let request = format!("{} /api/v1{path}", method.to_uppercase());
            let answer = world.ask(token, &request, &headers, "{}").await;
            let status = answer.status.to_string();
            assert!(operation["responses"].get(&status).is_some(), "{request}: {answer:?}");
            assert_ne!(
                (answer.status, answer.body["type"].as_str()),
                (404, Some("urn:xixin:problem:nowhere"))
            );
        }
    }
}

#[tokio::test]
async fn the_page_and_all_that_it_loads_come_from_here() {
    let world = World::open(NOW).await;
    let front = world.ask("", "GET /api/v1/docs", &[], "").await;
    assert_eq!((front.status, front.header("location")), (308, Some("docs/index.html")));
    let page = world.ask("", "GET /api/v1/docs/index.html", &[], "").await;
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    assert!(
        !page.text.contains("http:") && !page.text.contains("https:"),
        "{}",
        page.text
    );
    let loaded = page
        .text
        .split("src=\"./")
        .chain(page.text.split("stylesheet\" type=\"text/css\" href=\""))
        .skip(1);
    let names: Vec<&str> = loaded
        .filter_map(|rest| rest.split('"').next())
        .map(|name| name.trim_start_matches("./"))
        .filter(|name| name.ends_with(".js") || name.ends_with(".css"))
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let file = world.ask("", &format!("GET /api/v1/docs/{name}"), &[], "").await;
        assert_eq!(file.status, 200, "{name}");
    }
    world
        .get("", "/docs/elsewhere.js")
        .await
        .is_problem(404, "nowhere", None);
}
