//! What systems do: by the one door, in their own name, on a version they have read, and once.

use serde_json::{Value, json};
use xixin::domain::ids::CaseId;
use xixin::engine::retention;

use crate::support::api::{Answer, HOTLINE, NEIGHBOUR, WALL, World, a_case};
use crate::support::rulebook::at;

const NOW: &str = "2026-03-04 10:00";
const JSON: (&str, &str) = ("Content-Type", "application/json");

impl World {
    async fn open_case(&self, token: &str, key: &str, case: &Value) -> Answer {
        let headers = [JSON, ("Idempotency-Key", key)];
        self.ask(token, "POST /api/v1/cases", &headers, &case.to_string()).await
    }

    async fn command(&self, token: &str, case: &CaseId, name: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request = format!("POST /api/v1/cases/{case}/commands/{name}");
        let headers = [&[JSON], headers].concat();
        self.ask(token, &request, &headers, &body.to_string()).await
    }
}

/// A case with an owner: a system owns none.
fn for_lin() -> Value {
    let mut case = a_case("沈静之");
    case["owner"] = json!("lin");
    case["unit"] = json!("taoranting-window");
    case["callbacks"][0]["by"] = json!("lin");
    case
}

#[tokio::test]
pub(crate) async fn a_case_is_opened_and_worked_on_in_the_name_of_the_system() {
    let world = World::open(NOW).await;
    let opened = world.open_case(HOTLINE, "k-1", &for_lin()).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let case = CaseId::from(opened.body["case"].as_str().unwrap());
    assert_eq!(
        opened.header("location"),
        Some(format!("/api/v1/cases/{case}").as_str())
    );
    assert_eq!(opened.header("etag"), Some("\"1\""));
    assert_eq!(
        opened.body["items"],
        json!(["d1", "d2", "c3", "m1", "m2", "m3", "m4"]),
        "{opened:?}"
    );
    assert!(
        !opened.body.to_string().contains("沈"),
        "an answer to a write names nobody"
    );
    let words = json!({ "words": "核对后回电", "by": "lin" });
    let done = world
        .command(HOTLINE, &case, "promise", &[("If-Match", "\"1\"")], &words)
        .await;
    assert_eq!((done.status, done.header("etag")), (200, Some("\"2\"")), "{done:?}");
    assert_eq!(done.body, json!({ "case": case, "version": 2, "items": ["c4"] }));
    let page = world.get(HOTLINE, &format!("/cases/{case}")).await;
    assert_eq!(page.body["case"]["callbacks"][1]["words"], "核对后回电");
    let facts = world
        .hall
        .column("select distinct actor from events where kind = 'fact'")
        .await;
    assert_eq!(facts, ["system:hotline"]);
    // It is a clerk: what takes a supervisor stays with people, and so does whatever takes a person.
    let first = json!({ "reason": "x" });
    let refused = world
        .command(HOTLINE, &case, "prioritise", &[("If-Match", "\"2\"")], &first)
        .await;
    refused.is_problem(422, "refused", Some("reason"));
    let nobody = json!({ "words": "x" });
    let refused = world
        .command(HOTLINE, &case, "promise", &[("If-Match", "\"2\"")], &nobody)
        .await;
    refused.is_problem(422, "refused", Some("by"));
}

#[tokio::test]
pub(crate) async fn a_command_is_for_the_version_that_was_read() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let call = json!({ "direction": "in", "kind": "phone" });
    let blind = world.command(HOTLINE, &case, "contact", &[], &call).await;
    blind.is_problem(428, "unconditional", Some("If-Match"));
    for wrong in ["1", "\"x\"", "W/\"1\"", "\"1\", \"2\""] {
        let answer = world
            .command(HOTLINE, &case, "contact", &[("If-Match", wrong)], &call)
            .await;
        answer.is_problem(400, "malformed", Some("If-Match"));
    }
    let done = world
        .command(HOTLINE, &case, "contact", &[("If-Match", "\"1\"")], &call)
        .await;
    assert_eq!(done.status, 200, "{done:?}");
    let late = world
        .command(HOTLINE, &case, "contact", &[("If-Match", "\"1\"")], &call)
        .await;
    late.is_problem(412, "changed", Some("If-Match"));
    let any = world
        .command(HOTLINE, &case, "contact", &[("If-Match", "*")], &call)
        .await;
    assert_eq!((any.status, any.header("etag")), (200, Some("\"3\"")));
}

#[tokio::test]
pub(crate) async fn a_request_with_a_key_is_carried_out_once_however_often_it_comes() {
    let world = World::open(NOW).await;
    let document = for_lin();
    let at_once: Vec<_> = (0..8).map(|_| world.open_case(HOTLINE, "k-1", &document)).collect();
    let answers = futures_util::future::join_all(at_once).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body), "{answer:?}");
    }
    let again = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed") == Some("true"));
    assert_eq!(again.count(), 7);
    assert_eq!(
        world.hall.column("select cast(count(*) as text) from cases").await,
        ["1"]
    );

    let mut other = document.clone();
    other["request"] = json!("另一件事");
    world
        .open_case(HOTLINE, "k-1", &other)
        .await
        .is_problem(422, "key-taken", Some("Idempotency-Key"));
    let keyless = world
        .ask(HOTLINE, "POST /api/v1/cases", &[JSON], &document.to_string())
        .await;
    keyless.is_problem(400, "malformed", Some("Idempotency-Key"));

    // Of a command as well, also when the version has moved on because of it.
    let case = CaseId::from(answers[0].body["case"].as_str().unwrap());
    let headers = [("If-Match", "\"1\""), ("Idempotency-Key", "k-2")];
    let call = json!({ "direction": "in", "kind": "phone" });
    let first = world.command(HOTLINE, &case, "contact", &headers, &call).await;
    let second = world.command(HOTLINE, &case, "contact", &headers, &call).await;
    assert_eq!((first.status, second.status, &second.body), (200, 200, &first.body));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    // A refusal has changed nothing, and nothing is kept of it.
    let headers = [("If-Match", "\"1\""), ("Idempotency-Key", "k-3")];
    world
        .command(HOTLINE, &case, "contact", &headers, &call)
        .await
        .is_problem(412, "changed", Some("If-Match"));
    let headers = [("If-Match", "\"2\""), ("Idempotency-Key", "k-3")];
    assert_eq!(
        world.command(HOTLINE, &case, "contact", &headers, &call).await.status,
        200
    );
    assert_eq!(
        world.hall.column("select key from requests order by key").await,
        ["k-1", "k-2", "k-3"]
    );
    // Whoever tries again does so within two days.
    retention::step(&world.hall.app.engine, at("2026-03-06 09:00"))
        .await
        .unwrap();
    assert_eq!(world.hall.column("select key from requests").await.len(), 3);
    retention::step(&world.hall.app.engine, at("2026-03-07 09:00"))
        .await
        .unwrap();
    assert_eq!(world.hall.column("select key from requests").await.len(), 0);
}

#[tokio::test]
pub(crate) async fn a_system_changes_nothing_beyond_its_unit_and_its_scopes() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let call = json!({ "direction": "in", "kind": "phone" });
    let any = [("If-Match", "*")];
    world
        .command(NEIGHBOUR, &case, "contact", &any, &call)
        .await
        .is_problem(404, "no-case", Some("case"));
    world
        .command(WALL, &case, "contact", &any, &call)
        .await
        .is_problem(403, "forbidden", None);
    world
        .command("", &case, "contact", &any, &call)
        .await
        .is_problem(401, "unauthorised", Some("Authorization"));
    world
        .open_case(NEIGHBOUR, "k", &for_lin())
        .await
        .is_problem(403, "forbidden", Some("unit"));
    world
        .open_case(WALL, "k", &for_lin())
        .await
        .is_problem(403, "forbidden", None);
    assert_eq!(
        world.hall.column("select cast(version as text) from cases").await,
        ["1"]
    );
    assert_eq!(world.hall.column("select key from requests").await.len(), 0);
}

#[tokio::test]
pub(crate) async fn what_cannot_be_read_is_told_with_its_field_and_changes_nothing() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let path = format!("POST /api/v1/cases/{case}/commands/promise");
    for (body, field) in [
        ("{\"wrods\":\"x\"}", Some("wrods")),
        ("{}", Some("words")),
        ("{\"words\":5}", Some("words")),
        ("{\"words\":\"a\",\"words\":\"b\"}", Some("words")),
        ("{\"do\":\"close\",\"words\":\"a\"}", Some("do")),
        ("{\"words\":\"a\"", None),
        ("[]", None),
        ("", None),
    ] {
        let answer = world.ask(HOTLINE, &path, &[JSON, ("If-Match", "*")], body).await;
        answer.is_problem(400, "malformed", field);
    }
    let unknown = format!("POST /api/v1/cases/{case}/commands/promis");
    let answer = world.ask(HOTLINE, &unknown, &[JSON, ("If-Match", "*")], "{}").await;
    answer.is_problem(404, "no-command", Some("command"));
    let form = world.ask(HOTLINE, &path, &[("If-Match", "*")], "words=x").await;
    form.is_problem(415, "media-type", Some("Content-Type"));
    let long = json!({ "words": "长".repeat(100_000) }).to_string();
    let answer = world.ask(HOTLINE, &path, &[JSON, ("If-Match", "*")], &long).await;
    answer.is_problem(413, "too-large", None);
    let mut nested = for_lin();
    nested["deadlines"][0]["knid"] = json!("x");
    world
        .open_case(HOTLINE, "k", &nested)
        .await
        .is_problem(400, "malformed", Some("deadlines[0].knid"));
    assert_eq!(
        world.hall.column("select cast(version as text) from cases").await,
        ["1"]
    );
}
