//! The program itself on a PostgreSQL that its settings name: every verb, who may reach the database, and what each node needs.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::daemon::{Installation, names};
use crate::support::postgres::{PASSWORD, Server, address, fresh, network_address};

/// A node of this database.
fn node(database: &PgConnectOptions) -> Installation {
    Installation::with(&format!("database = {:?}\n", address(database)))
}

/// A case that asks for something; returns its number.
fn add_case(node: &Installation) -> String {
    let document = node.config().join("case.json");
    let case = r#"{ "resident": { "name": "测试一", "phone": "13900000001" }, "matter": "cremation_certificate", "request": "测试", "owner": "zhou" }"#;
    std::fs::write(&document, case).unwrap();
    let added = node.run(&["case", "add", document.to_str().unwrap(), "--as", "zhou", "--json"]);
    let added: serde_json::Value = serde_json::from_str(&added.good()).unwrap();
    added["case"]["id"].as_str().unwrap().to_owned()
}

async fn tables(database: &PgConnectOptions) -> i64 {
    let mut connection = database.connect().await.unwrap();
    let count = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'");
    let count = count.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_works_beside_a_daemon_and_a_look_changes_nothing() {
    let database = fresh().await;
    let node = node(&database);
    let looked = node.run(&["case", "list"]);
    assert_eq!(looked.code, 78, "{looked:?}");
    assert!(looked.err.contains("xixin migrate"), "{looked:?}");
    assert_eq!(tables(&database).await, 0);

    let told = node.run(&["migrate"]).good();
    assert!(told.contains("postgres://xixin@"), "{told}");
    node.run(&["check"]).good();
    let daemon = node.serve();
    let case = add_case(&node);
    for verb in [
        &["case", "list"][..],
        &["case", "show", &case],
        &[
            "case",
            "do",
            &case,
            "contact",
            r#"{"direction": "in", "kind": "phone", "note": "x"}"#,
            "--as",
            "zhou",
        ],
        &["preview"],
        &["simulate", "--days", "3"],
        &["diff", node.config().to_str().unwrap()],
        &["why", &case],
        &["digest", "--staff", "zhou"],
        &["notice", &case],
        &["inbox"],
        &["bounce", "list"],
        &["retention", "preview"],
        &["retention", "run", "--as", "gu", "--reason", "x"],
        &["audit", "verify"],
        &["ctl", "pause", "--reason", "x"],
        &["ctl", "holds"],
        &["ctl", "resume"],
        &["ctl", "reload"],
        &["hand-over", "--from", "zhou", "--to", "lin", "--as", "gu"],
        &["migrate"],
    ] {
        let ran = node.run(verb);
        assert_eq!(ran.code, 0, "{verb:?}: {ran:?}");
    }
    let status = node.run(&["ctl", "status", "--json"]).json();
    assert_eq!(status["data"]["pid"], daemon.pid());
    let told = status["data"]["database"].as_str().unwrap();
    assert!(told.starts_with("postgres://xixin@"), "{told}");
    let doctor = node.run(&["doctor"]);
    assert!(doctor.out.contains("✓ database: postgres://xixin@"), "{doctor:?}");
    assert!(doctor.out.contains("✓ key"), "{doctor:?}");
    let seen = "select count(*) from events where kind = 'access'";
    let mut connection = database.connect().await.unwrap();
    let seen: i64 = sqlx::query_scalar(seen).fetch_one(&mut connection).await.unwrap();
    assert!(seen > 3, "whoever looked is noted: {seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_made_by_the_tools_of_the_server() {
    let node = node(&fresh().await);
    for verb in ["backup", "restore"] {
        let file = node.config().join("copy.db");
        std::fs::write(&file, "").unwrap();
        let ran = node.run(&[verb, file.to_str().unwrap()]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.err.contains("pg_basebackup") && ran.err.contains("xixin.key"),
            "{ran:?}"
        );
    }
}

/// What a node keeps of its own.
fn key(node: &Installation, name: &str) -> PathBuf {
    node.state().join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_that_begin_at_once_one_makes_the_keys_and_the_other_is_told_to_copy_them() {
    for _ in 0..3 {
        let database = fresh().await;
        let (one, other) = (node(&database), node(&database));
        let begin = |node: &Installation| {
            let mut command = node.command(&["migrate"]);
            let piped = std::process::Stdio::piped;
            command.stdout(piped()).stderr(piped()).spawn().unwrap()
        };
        let begun = [begin(&one), begin(&other)];
        let ended = begun.map(|one| one.wait_with_output().unwrap());
        let codes = ended.each_ref().map(|one| one.status.code().unwrap());
        let said = ended.map(|one| String::from_utf8(one.stderr).unwrap());
        let (first, second, refused) = match codes {
            [0, 78] => (&one, &other, &said[1]),
            [78, 0] => (&other, &one, &said[0]),
            _ => panic!("{codes:?} {said:?}"),
        };
        assert!(refused.contains("Copy xixin.key and chain.key"), "{refused}");
        assert!(
            !key(second, "xixin.key").exists(),
            "a key that opens nothing stands in nobody's way"
        );

        // One of them is not enough.
        std::fs::create_dir_all(second.state()).unwrap();
        std::fs::copy(key(first, "xixin.key"), key(second, "xixin.key")).unwrap();
        std::fs::write(key(second, "chain.key"), "0".repeat(64) + "\n").unwrap();
        let refused = second.run(&["migrate"]);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("chain.key"), "{refused:?}");

        std::fs::copy(key(first, "chain.key"), key(second, "chain.key")).unwrap();
        second.run(&["migrate"]).good();
        let case = add_case(first);
        second.run(&["case", "show", &case]).good();
        second.run(&["audit", "verify"]).good();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_keys_makes_none_where_there_are_some() {
    let database = fresh().await;
    let (first, second) = (node(&database), node(&database));
    first.run(&["migrate"]).good();
    add_case(&first);
    for verb in [&["migrate"][..], &["case", "list"], &["serve"]] {
        let refused = second.run(verb);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("Copy xixin.key and chain.key"), "{refused:?}");
        assert!(!key(&second, "xixin.key").exists() && !key(&second, "chain.key").exists());
    }
    // The head of the events is taken over from the others.
    for name in ["xixin.key", "chain.key"] {
        std::fs::create_dir_all(second.state()).unwrap();
        std::fs::copy(key(&first, name), key(&second, name)).unwrap();
    }
    second.run(&["migrate"]).good();
    second.run(&["audit", "verify"]).good();
    assert!(names(&second.state()).contains(&"chain.head".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_network_a_server_is_believed_by_its_certificate_and_the_password_comes_from_a_file() {
    let database = fresh().await;
    let secrets = tempfile::tempdir().unwrap();
    let password = secrets.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem");
    let settings = |more: &str| {
        let address = network_address(&database);
        format!("database = {address:?}\n[postgres]\npassword = {{ file = {password:?} }}\n{more}")
    };
    let encrypted = Installation::with(&settings(&format!("tls = \"verify_full\"\nca = {tls:?}\n")));
    encrypted.run(&["migrate"]).good();
    let encrypted_too = "select count(*) from pg_stat_ssl where ssl";
    let _daemon = encrypted.serve();
    let mut connection = database.connect().await.unwrap();
    let count: i64 = sqlx::query_scalar(encrypted_too)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(count > 0, "its connections are encrypted");

    let unknown = Installation::with(&settings("tls = \"verify_full\"\n"));
    let refused = unknown.run(&["migrate"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("certificate"), "{refused:?}");

    std::fs::write(&password, "open\n").unwrap();
    let refused = encrypted.run(&["case", "list"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("password authentication failed"), "{refused:?}");
    assert!(!refused.err.contains("open\n"), "{refused:?}");
    let doctor = encrypted.run(&["doctor"]);
    assert!(doctor.out.contains("pg_hba.conf"), "{doctor:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named() {
    let mut server = Server::start();
    let database = server.database().await;
    let node = node(&database);
    node.run(&["migrate"]).good();
    server.tell("fast");
    for verb in [&["case", "list"][..], &["migrate"]] {
        let refused = node.run(verb);
        assert_eq!(refused.code, 69, "{refused:?}");
        assert!(refused.err.contains("postgres://xixin@"), "{refused:?}");
    }
    let doctor = node.run(&["doctor"]);
    assert!(
        doctor.out.contains("✗ database") && doctor.out.contains("pg_hba.conf"),
        "{doctor:?}"
    );
    server.tell("start");
    node.run(&["case", "list"]).good();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn districts_in_one_database_each_in_a_schema_of_its_own_see_nothing_of_each_other() {
    let database = fresh().await;
    let mut server = database.connect().await.unwrap();
    let mut cases = Vec::new();
    for district in ["east", "west"] {
        // A role is known to the whole server, a schema to its database; one of the name of the role comes first on its path.
        let role = format!("{district}_{}", database.get_database().unwrap());
        let sql = format!("create role {role} login; create schema authorization {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut server)
            .await
            .unwrap();
        let node = node(&database.clone().username(&role));
        node.run(&["migrate"]).good();
        let case = add_case(&node);
        node.run(&["audit", "verify"]).good();
        cases.push((node, case));
    }
    server.close().await.unwrap();
    assert_eq!(tables(&database).await, 0, "nothing is in the schema that all share");
    for (node, case) in &cases {
        let listed = node.run(&["case", "list"]).good();
        let seen: Vec<bool> = cases.iter().map(|(_, other)| listed.contains(other)).collect();
        let expected: Vec<bool> = cases.iter().map(|(_, other)| other == case).collect();
        assert_eq!(seen, expected, "{listed}");
    }
}
