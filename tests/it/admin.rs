//! Health, readiness, metrics, and `xixin doctor`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::daemon::{Installation, http};

#[test]
fn health_and_metrics_answer_get_and_nothing_else() {
    let installation = Installation::new();
    let daemon = installation.serve();
    assert_eq!(http(&daemon.http, "GET", "/healthz"), (200, "ok\n".to_owned()));
    let (status, ready) = http(&daemon.http, "GET", "/readyz");
    assert_eq!(status, 200, "{ready}");
    assert_eq!(http(&daemon.http, "GET", "/elsewhere").0, 404);
    for path in ["/healthz", "/readyz", "/metrics", "/elsewhere"] {
        assert_eq!(http(&daemon.http, "POST", path).0, 405, "{path}");
    }
}

#[test]
fn metrics_name_ways_states_and_loops_and_never_people() {
    let installation = Installation::new();
    let daemon = installation.serve();
    let (status, text) = http(&daemon.http, "GET", "/metrics");
    assert_eq!(status, 200);
    for line in [
        "xixin_queue_depth{way=\"email\",state=\"queued\"} 0",
        "xixin_queue_depth{way=\"phone\",state=\"task\"} 0",
        "xixin_due_unsent_seconds_max{way=\"sms\"} 0",
        "xixin_oldest_due_age_seconds{way=\"sms\"} 0",
        "xixin_planner_lag_seconds 0",
        "xixin_provider_up{way=\"email\"} 1",
        "xixin_sending_open{way=\"email\"} 1",
        "xixin_rules_generation 1",
        concat!("xixin_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
    }
    let labels = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (_, labels) = line.split_once('{')?;
        labels.split_once('}').map(|(labels, _)| labels)
    });
    for label in labels.flat_map(|labels| labels.split("\",")) {
        let (name, _) = label.split_once('=').unwrap();
        assert!(
            ["way", "state", "loop", "outcome", "version", "kind"].contains(&name),
            "{label}"
        );
    }
}

#[test]
fn a_hold_shows_as_not_ready_without_the_words_of_whoever_set_it() {
    let installation = Installation::new();
    let daemon = installation.serve();
    installation
        .run(&["ctl", "pause", "--reason", "maintenance", "--as", "lin"])
        .good();
    let (status, body) = http(&daemon.http, "GET", "/readyz");
    assert_eq!(status, 503);
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["ready"], false);
    assert_eq!(health["problems"][0]["what"], "sending");
    assert_eq!(
        health["problems"][0]["en"], "paused",
        "who paused it and why is not for every local user"
    );
    assert!(!body.contains("maintenance") && !body.contains("lin"), "{body}");
    installation.run(&["ctl", "resume", "--as", "lin"]).good();
    assert_eq!(http(&daemon.http, "GET", "/readyz").0, 200);
}

#[test]
fn silent_clients_do_not_keep_others_out() {
    let installation = Installation::new();
    let daemon = installation.serve();
    // More than there are seats; each is put out after its ten seconds.
    let silent: Vec<_> = (0..40)
        .map(|_| std::net::TcpStream::connect(&daemon.http).unwrap())
        .collect();
    assert_eq!(http(&daemon.http, "GET", "/healthz").0, 200);
    drop(silent);
}

#[test]
fn doctor_finds_nothing_bad_with_a_healthy_daemon() {
    let installation = Installation::new();
    let _daemon = installation.serve();
    let report = installation.run(&["doctor"]);
    assert_eq!(report.code, 0, "{report:?}");
    for line in [
        "✓ config",
        "✓ daemon",
        "✓ database",
        "✓ queue",
        "✓ email",
        "✓ sms",
        "✓ permissions",
    ] {
        assert!(report.out.contains(line), "{line} is missing: {report:?}");
    }
    let json = installation.run(&["doctor", "--json"]).json();
    assert_eq!(json["ok"], true);
}

#[test]
fn doctor_changes_nothing() {
    let installation = Installation::new();
    let report = installation.run(&["doctor"]);
    assert_eq!(report.code, 0, "{report:?}");
    assert!(
        report.out.contains("! database") && report.out.contains("! daemon"),
        "{report:?}"
    );
    assert!(!installation.state().exists());
}

#[test]
fn doctor_tells_that_files_changed_since_the_daemon_read_them() {
    let installation = Installation::new();
    let _daemon = installation.serve();
    installation.append("ladders.toml", "\n# changed\n");
    let report = installation.run(&["doctor"]);
    assert!(report.out.contains("xixin ctl reload"), "{report:?}");
}

#[test]
fn doctor_names_a_provider_that_does_not_answer_and_a_secret_that_is_open() {
    // A port on which nobody listens.
    let port = {
        let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        gone.local_addr().unwrap().port()
    };
    let secrets = tempfile::tempdir().unwrap();
    let secret = secrets.path().join("smtp-password");
    std::fs::write(&secret, "not a real one").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let installation = Installation::with(&format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"x\"\npassword = {{ file = {secret:?} }}\n"
    ));
    let report = installation.run(&["doctor"]);
    assert_eq!(report.code, 1, "{report:?}");
    assert!(report.out.contains(&format!("✗ email: 127.0.0.1:{port}")), "{report:?}");
    assert!(
        report.out.contains(&format!("chmod o= {}", secret.display())),
        "{report:?}"
    );
    assert!(!report.out.contains("not a real one"), "{report:?}");
}

#[test]
fn doctor_lists_every_problem_of_the_configuration_and_goes_on() {
    let installation = Installation::new();
    installation.append("ladders.toml", "\nnonsense = 1\n");
    let report = installation.run(&["doctor"]);
    assert_eq!(report.code, 1, "{report:?}");
    assert!(
        report.out.contains("✗ config") && report.out.contains("ladders.toml:"),
        "{report:?}"
    );
    assert!(report.out.contains("database"), "{report:?}");
}

/// The names in the table of ARCHITECTURE.md that a daemon on SQLite shows, each with a unit.
fn documented() -> std::collections::BTreeSet<String> {
    let text = include_str!("../../ARCHITECTURE.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `xixin_"));
    let rows = rows.filter(|row| !row.contains("only on PostgreSQL"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        let cells: Vec<&str> = rest.trim_end_matches(" |").split(" | ").collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        format!("xixin_{name}")
    })
    .collect()
}

#[test]
fn every_figure_is_documented_with_its_unit_and_every_documented_one_is_there() {
    let installation = Installation::new();
    let daemon = installation.serve();
    let (_, text) = http(&daemon.http, "GET", "/metrics");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let measured: std::collections::BTreeSet<String> =
        types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(measured, documented());
    for name in &measured {
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} does not say what it is"
        );
    }
}
