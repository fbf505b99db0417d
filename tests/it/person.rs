//! What a person may ask for: to see everything that is kept about them, and to be forgotten.

use serde_json::{Value, json};
use xixin::channel::sms::{Arrival, Incoming};
use xixin::domain::ids::StaffId;
use xixin::engine::inbound;
use xixin::engine::person::erase;

use crate::support::daemon::{Installation, names};
use crate::support::hall::Hall;

const NAME: &str = "沈小兰";
const NOTE: &str = "孩子在外地上学";

/// A case with a relative and a note, by the real program; its number and the resident's id.
fn case(hall: &Installation) -> (String, String) {
    let document = json!({
        "resident": { "name": NAME, "gender": "female", "phone": "13900001234", "born": 1980 },
        "relatives": [{
            "name": "周明", "phone": "13900005678", "relation": "女儿", "opted_in": true,
        }],
        "matter": "hard_case",
        "request": "询问进度",
        "unit": "taoranting-window",
    });
    hall.write("case.json", &document.to_string());
    let file = hall.config().join("case.json");
    let added = hall.run(&["case", "add", file.to_str().unwrap(), "--as", "lin", "--json"]);
    let added: Value = serde_json::from_str(&added.good()).unwrap();
    let id = added["case"]["id"].as_str().unwrap().to_owned();
    let person = added["case"]["party"]["person"].as_str().unwrap().to_owned();
    let note = format!("note={NOTE}");
    hall.run(&[
        "case",
        "do",
        &id,
        "contact",
        "direction=in",
        "kind=phone",
        &note,
        "--as",
        "lin",
    ])
    .good();
    (id, person)
}

#[test]
fn an_export_tells_everything_once_to_a_supervisor_and_is_noted() {
    let hall = Installation::new();
    let (id, person) = case(&hall);
    let seen = hall
        .command(&["case", "show", &id])
        .env("XIXIN_AS", "hao")
        .output()
        .unwrap();
    assert!(seen.status.success(), "{seen:?}");
    let export = |who: &str, more: &[&str]| {
        let words = [
            &["person", "export", &person, "--reason", "本人申请查阅", "--as", who],
            more,
        ]
        .concat();
        hall.run(&words)
    };
    let refused = export("lin", &[]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("this takes a supervisor"), "{refused:?}");
    let refused = export("fang", &[]);
    assert!(refused.err.contains("is not below fang"), "another centre: {refused:?}");
    let folder = hall.state().join("for-the-resident");
    export("gu", &["--out", folder.to_str().unwrap()]).good();
    assert!(
        folder.join(format!("person-{person}.txt")).is_file(),
        "the folder is made"
    );
    let all = export("gu", &["--json"]).json();
    assert_eq!(all["person"]["name"], NAME);
    assert_eq!(all["relatives"][0]["name"], "周明");
    assert_eq!(all["cases"][0]["id"], id.as_str());
    assert_eq!(all["cases"][0]["contacts"][0]["note"], NOTE);
    assert!(
        all["events"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["what"]["event"] == "case_opened")
    );
    assert_eq!(all["views"][0]["who"], "hao", "{}", all["views"]);
    let page = export("ouyang", &[]).good();
    for word in [NAME, "13900001234", NOTE, "询问进度", "hao", "looked at the case"] {
        assert!(page.contains(word), "{word} is not in {page}");
    }
    let folder = hall.state().join("out");
    std::fs::create_dir(&folder).unwrap();
    let folder_name = folder.to_str().unwrap();
    export("gu", &["--out", folder_name]).good();
    assert_eq!(
        names(&folder),
        [format!("person-{person}.json"), format!("person-{person}.txt")]
    );
    let again = export("gu", &["--out", folder_name]);
    assert_eq!(again.code, 1, "nothing is written over");
    let unknown = hall.run(&["person", "export", "p-0", "--reason", "x", "--as", "gu"]);
    assert!(unknown.err.contains("there is no record of p-0"), "{unknown:?}");
    hall.run(&["audit", "verify"]).good();
}

#[test]
fn whoever_looks_is_noted_and_the_system_itself_is_not() {
    let hall = Installation::new();
    let (id, _) = case(&hall);
    let events = || {
        let said = hall.run(&["audit", "verify", "--json"]).json();
        said["events"].as_i64().unwrap()
    };
    let mut before = events();
    for verb in [
        &["case", "show", &id][..],
        &["case", "show", &id, "--json", "--now", "2026-01-01T00:00:00Z"],
        &["case", "list"],
        &["why", &id],
        &["why-not", &id, "last-days"],
        &["preview"],
        &["digest", "--staff", "lin"],
        &["simulate", "--days", "1"],
    ] {
        hall.run(verb).good();
        assert_eq!(events(), before + 1, "{verb:?}");
        before += 1;
    }
    // A sheet is made for what has an office with all that a visitor needs to know.
    let document = json!({
        "resident": { "name": "周小芳", "phone": "13900002222", "born": 1980 },
        "matter": "labour_assessment",
        "request": "询问进度",
        "deadlines": [{ "kind": "labour_decision", "trigger": "2026-01-15" }],
    });
    hall.write("second.json", &document.to_string());
    let file = hall.config().join("second.json");
    let added = hall.run(&["case", "add", file.to_str().unwrap(), "--as", "lin", "--json"]);
    let added: Value = serde_json::from_str(&added.good()).unwrap();
    let second = added["case"]["id"].as_str().unwrap().to_owned();
    before = events();
    hall.run(&["notice", &second]).good();
    assert_eq!(events(), before + 1, "notice");
    before += 1;
    for verb in [
        &["doctor"][..],
        &["check"],
        &["audit", "verify"],
        &["retention", "preview"],
        &["case", "show", "nix"],
    ] {
        hall.run(verb);
        assert_eq!(events(), before, "{verb:?}");
    }
    let page = hall.run(&["case", "show", &id]).good();
    assert!(
        !page.contains("looked at"),
        "who looked is not part of the history: {page}"
    );
}

#[test]
fn somebody_who_is_erased_is_gone_from_every_view_and_stays_gone_after_a_restore() {
    let hall = Installation::new();
    let (id, person) = case(&hall);
    let erase = |who: &str| hall.run(&["person", "erase", &person, "--reason", "本人要求", "--as", who]);
    let refused = erase("lin");
    assert!(refused.err.contains("this takes a supervisor"), "{refused:?}");
    let refused = erase("gu");
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains(&format!("cases are still open: {id}")),
        "{refused:?}"
    );
    let close = [
        "case",
        "do",
        &id,
        "close",
        "as=withdrawn",
        "reason=不办了",
        "--as",
        "lin",
    ];
    hall.run(&close).good();
    let backup = hall.config().join("backup.db");
    let backup = backup.to_str().unwrap();
    hall.run(&["backup", backup]).good();

    let said = erase("gu").good();
    assert!(said.contains("cases: 1"), "{said}");
    let gone = || {
        let page = hall.run(&["case", "show", &id]);
        assert!(page.code == 1 && page.err.contains("已应要求删除"), "{page:?}");
        let export = hall.run(&["person", "export", &person, "--reason", "核对", "--as", "gu"]);
        assert!(
            export.code == 1 && export.err.contains("erased on request"),
            "{export:?}"
        );
        let list = hall.run(&["case", "list", "--json"]).good() + &hall.run(&["preview"]).good();
        for word in [NAME, "13900001234", NOTE, "询问进度", "周明", "不办了"] {
            let told = page.err.contains(word) || export.err.contains(word) || list.contains(word);
            assert!(!told, "{word} is still told");
        }
        hall.run(&["audit", "verify"]).good()
    };
    assert!(
        gone().contains("proof"),
        "the chain holds, and says that words were taken away"
    );
    let log = std::fs::read_to_string(hall.state().join("erased.log")).unwrap();
    assert!(log.trim().ends_with(&person) && log.lines().count() == 1, "{log}");

    hall.run(&["restore", backup, "--as", "gu"]).good();
    gone();
    assert_eq!(
        std::fs::read_to_string(hall.state().join("erased.log")).unwrap(),
        log,
        "noted once"
    );
    hall.serve().logged("ready");
}

/// A number and a letter that have come in and wait, of somebody and of somebody else.
#[tokio::test]
pub(crate) async fn what_came_in_from_somebody_who_is_erased_goes_with_them_and_of_nobody_else() {
    let hall = Hall::open("2026-03-02 09:00").await;
    let gone = json!({ "name": NAME, "phone": "13900001234", "email": "lan@example.org", "born": 1980 });
    let case = json!({ "resident": gone, "matter": "hard_case", "request": "询问进度" });
    let case = hall.take_in("lin", case).await;
    let close = json!({ "do": "close", "as": "withdrawn", "reason": "不办了" });
    hall.act("lin", &case, close).await.unwrap();
    let engine = &hall.app.engine;
    let store = &engine.store;
    for from in ["+8613900001234", "13900009999"] {
        let arrival = Arrival::Message(Incoming {
            from: from.to_owned(),
            text: "在吗".to_owned(),
            id: None,
        });
        inbound::keep(engine, "county", &[arrival], hall.now()).await.unwrap();
    }
    for letter in [
        "From: a@example.org\r\n\r\nLAN@example.org does not exist",
        // In the form in which mail travels: 电话 13900001234.
        "From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n55S16K+dIDEzOTAwMDAxMjM0\r\n",
        "From: a@example.org\r\n\r\nnobody@example.org does not exist",
    ] {
        store.keep_returned(letter.as_bytes(), hall.now(), 100).await.unwrap();
    }
    let waiting = "select cast(count(*) as text) from inbound where body <> ''";
    assert_eq!(hall.column(waiting).await, ["5"]);

    let stored = store.case(&case).await.unwrap().unwrap();
    let rules = engine.live.get();
    let by = &rules.rulebook.org.staff[&StaffId::from("gu")];
    let person = &stored.case.party.person;
    erase::erase(store, &rules.rulebook, person, by, "本人要求", hall.now())
        .await
        .unwrap();
    let left = store.inbound_unhandled().await.unwrap();
    let texts: String = left.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(left.len(), 2, "{texts}");
    assert!(
        texts.contains("13900009999") && texts.contains("nobody@example.org"),
        "{texts}"
    );
    assert_eq!(hall.column(waiting).await, ["2"]);
}
