//! What systems see: what their token is for, of their unit, and never without a trace.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use xixin::domain::ids::CaseId;

use crate::support::api::{FORMER, HOTLINE, MONITOR, NEIGHBOUR, WALL, World, a_case};
use crate::support::daemon::{Installation, names};
use crate::support::rulebook::at;

const NOW: &str = "2026-03-04 10:00";

#[tokio::test]
pub(crate) async fn nothing_is_shown_without_a_token_that_is_known_good_and_for_it() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let paths = [
        "/cases".to_owned(),
        format!("/cases/{case}"),
        format!("/cases/{case}/reminders"),
        "/staff/lin/digest".to_owned(),
    ];
    for path in &paths {
        for token in ["", "xixin_nobody", FORMER] {
            let answer = world.get(token, path).await;
            answer.is_problem(401, "unauthorised", Some("Authorization"));
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|how| how.starts_with("Bearer"))
            );
        }
        world.get(MONITOR, path).await.is_problem(403, "forbidden", None);
        let answer = world.get(WALL, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(world.get(MONITOR, "/status").await.body["generation"], 1);
    world.get(HOTLINE, "/status").await.is_problem(403, "forbidden", None);
    // On its last day a token is good to the end of the day.
    world.hall.clock.set(at("2026-03-31 23:59"));
    assert_eq!(world.get(WALL, "/cases").await.status, 200);
}

#[tokio::test]
pub(crate) async fn a_system_sees_the_cases_and_staff_of_its_unit_and_of_no_other() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    for path in [
        format!("/cases/{case}"),
        format!("/cases/{case}/reminders"),
        "/cases/2026-999999".to_owned(),
    ] {
        world
            .get(NEIGHBOUR, &path)
            .await
            .is_problem(404, "no-case", Some("case"));
    }
    for staff in ["lin", "nobody"] {
        let digest = world.get(NEIGHBOUR, &format!("/staff/{staff}/digest")).await;
        digest.is_problem(404, "no-staff", Some("staff"));
    }
    assert_eq!(world.get(NEIGHBOUR, "/cases").await.body["cases"], json!([]));
    let asked_for = world.get(NEIGHBOUR, "/cases?unit=taoranting").await;
    assert_eq!(asked_for.body["cases"], json!([]));
    let list = world.get(HOTLINE, "/cases?unit=taoranting-window").await;
    assert_eq!(list.body["cases"][0]["case"], case.as_str());
    assert_eq!(
        list.body["cases"][0].get("request"),
        None,
        "a list tells nothing that anybody said"
    );
}

#[tokio::test]
pub(crate) async fn whoever_looks_is_noted_before_anything_is_shown() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    world.get(HOTLINE, &format!("/cases/{case}")).await;
    world.get(HOTLINE, "/cases").await;
    world.get(NEIGHBOUR, &format!("/cases/{case}")).await;
    let seen = world
        .hall
        .column("select actor || ' ' || case_id from events where kind = 'access' order by seq")
        .await;
    // The list holds one case, which its record names.
    let line = format!("system:hotline {case}");
    assert_eq!(seen, [line.clone(), line], "nothing was shown to the neighbour");
}

#[tokio::test]
pub(crate) async fn a_page_has_everything_about_a_case_and_its_version_as_tag() {
    let world = World::open(NOW).await;
    let case = world.case().await;
    let path = format!("/cases/{case}");
    let page = world.get(HOTLINE, &path).await;
    assert_eq!(page.header("etag"), Some("\"1\""));
    assert_eq!(page.body["version"], 1);
    assert_eq!(page.body["case"]["owner"], "lin");
    assert_eq!(page.body["resident"]["name"], "沈静之");
    assert_eq!(page.body["items"][0]["milestones"]["last_safe_day"], "2026-12-11");
    assert!(!page.body["upcoming"].as_array().unwrap().is_empty());
    let known = world
        .ask(
            HOTLINE,
            &format!("GET /api/v1{path}"),
            &[("If-None-Match", "\"1\"")],
            "",
        )
        .await;
    assert_eq!((known.status, known.body), (304, Value::Null));
    let done = json!({ "do": "contact", "direction": "in", "kind": "phone" });
    world.hall.act("lin", &case, done).await.unwrap();
    let changed = world
        .ask(
            HOTLINE,
            &format!("GET /api/v1{path}"),
            &[("If-None-Match", "\"1\"")],
            "",
        )
        .await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
    let digest = world.get(HOTLINE, "/staff/lin/digest?date=2026-03-05").await;
    assert_eq!(digest.status, 200, "{digest:?}");
    assert!(digest.body.to_string().contains(case.as_str()), "{digest:?}");
}

#[tokio::test]
pub(crate) async fn pages_follow_each_other_without_gap_or_repetition_while_cases_come() {
    let world = World::open(NOW).await;
    let mut there: Vec<CaseId> = Vec::new();
    for _ in 0..7 {
        there.push(world.hall.take_in("lin", a_case("沈静之")).await);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(HOTLINE, &format!("/cases?limit=3{cursor}")).await;
        let cases = page.body["cases"].as_array().unwrap().clone();
        seen.extend(cases.iter().map(|case| CaseId::from(case["case"].as_str().unwrap())));
        // Somebody comes meanwhile.
        world.case().await;
        match page.body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    there.reverse();
    assert_eq!(seen, there);
    let closed = world.get(HOTLINE, "/cases?status=closed").await;
    assert_eq!(closed.body, json!({ "cases": [] }));
    let of_another = world.get(HOTLINE, "/cases?owner=zhou&status=open").await;
    assert_eq!(of_another.body["cases"], json!([]));
}

#[tokio::test]
async fn a_wrong_parameter_is_told_with_its_name() {
    let world = World::open(NOW).await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=done", "status"),
        ("stauts=open", "stauts"),
    ] {
        let answer = world.get(HOTLINE, &format!("/cases?{query}")).await;
        answer.is_problem(400, "malformed", Some(field));
    }
    let answer = world.get(HOTLINE, "/staff/lin/digest?date=tomorrow").await;
    answer.is_problem(400, "malformed", Some("date"));
    world.get(HOTLINE, "/elsewhere").await.is_problem(404, "nowhere", None);
    let posted = world.ask(HOTLINE, "POST /api/v1/status", &[], "").await;
    posted.is_problem(405, "method", None);
    assert!(
        posted.header("allow").is_some_and(|allowed| allowed.contains("GET")),
        "{posted:?}"
    );
}

#[test]
fn the_daemon_listens_on_a_socket_in_the_file_system_and_takes_it_away() {
    let files = tempfile::tempdir().unwrap();
    let socket = files.path().join("api.sock");
    let installation = Installation::with(&format!("[api]\nlisten = \"unix:{}\"\n", socket.display()));
    let made = installation.run(&["token", "new", "wall"]).good();
    let token = made.lines().next().unwrap().to_owned();
    assert_eq!(token.len(), "xixin_".len() + 64);
    let section = made.split_once("[api.system").unwrap().1;
    let section = format!("[api.system{section}").replace("unit = \"\"", "unit = \"taoranting\"");
    installation.write("conf.d/30-api.toml", &section);
    let mut daemon = installation.serve();
    assert_eq!(names(files.path()), ["api.sock"]);
    let ask = |token: String| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            let request = format!(
                "GET /api/v1/cases HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer))
                .await
                .unwrap()
                .unwrap();
            answer.split(' ').nth(1).unwrap().to_owned()
        })
    };
    assert_eq!(ask(token.clone()), "200");
    // A token that is taken out of the configuration is worth nothing from then on.
    installation.write("conf.d/30-api.toml", "");
    installation.run(&["ctl", "reload"]).good();
    assert_eq!(ask(token), "401");
    daemon.signal(&["TERM"]);
    assert_eq!(daemon.ended().code(), Some(0));
    assert_eq!(names(files.path()), Vec::<String>::new());
}
