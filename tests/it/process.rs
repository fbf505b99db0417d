//! The daemon as a process: start, signals, reload, lock, and what other processes can say to it.

use std::fs;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::daemon::{Installation, Ran, names};

/// A comment is another set of rules as good as any.
const CHANGE: &str = "\n# changed\n";
/// A mistake that every file refuses.
const MISTAKE: &str = "\nnonsense = 1\n";

#[test]
fn ready_is_said_with_the_address_and_stop_leaves_nothing_behind() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    let status = installation.run(&["ctl", "status", "--json"]).json();
    assert_eq!(status["data"]["http"], daemon.http.as_str());
    assert_eq!(status["data"]["pid"], daemon.pid());
    assert_eq!(status["data"]["generation"], 1);

    daemon.signal(&["TERM"]);
    daemon.told("STOPPING=1");
    assert_eq!(daemon.ended().code(), Some(0));
    // Neither the socket nor SQLite's journals. The lock's file stays: without it two daemons could lock two different files.
    let left = names(&installation.state());
    let left: Vec<&str> = left
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "maildir")
        .collect();
    let kept = [
        "chain.head",
        "chain.key",
        "sent.log",
        "xixin.ballast",
        "xixin.db",
        "xixin.key",
        "xixin.lock",
    ];
    assert_eq!(left, kept);
}

#[test]
fn interrupt_stops_as_well() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    daemon.signal(&["INT"]);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn the_second_stop_signal_ends_the_process_at_once() {
    // A mail server that takes the connection and never says a word: the first signal alone waits for the message on the wire.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let smtp = format!("[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\n");
    let installation = Installation::with(&smtp);
    let mut daemon = installation.serve();
    let document = installation.state().join("case.json");
    // Lost long ago: the supervisor is told at once.
    let case = r#"{ "resident": { "name": "测试一" }, "matter": "cremation_certificate", "request": "测试",
                    "deadlines": [{ "kind": "cremation_reissue", "trigger": "2010-03-01" }] }"#;
    fs::write(&document, case).unwrap();
    let (sender, connected) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(silent.accept()));
    installation
        .run(&["case", "add", document.to_str().unwrap(), "--as", "zhou"])
        .good();
    let on_the_wire = connected.recv_timeout(Duration::from_secs(60)).unwrap();
    daemon.signal(&["INT"]);
    daemon.told("STOPPING=1");
    daemon.signal(&["TERM"]);
    assert_eq!(daemon.ended().code(), Some(143));
    drop(on_the_wire);
    // Nothing was said goodbye to, and the next start does not mind.
    installation.serve();
}

#[test]
fn ctl_reload_puts_new_rules_in_force_and_tells_the_service_manager() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    installation.append("ladders.toml", CHANGE);
    let answer = installation.run(&["ctl", "reload"]).good();
    assert!(answer.contains("generation 2"), "{answer}");
    let reloading = daemon.told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let ready = daemon.told("READY=1");
    assert!(
        ready.contains("generation 2") && ready.contains(&daemon.http),
        "{ready}"
    );
}

#[test]
fn a_refused_reload_names_every_problem_and_changes_nothing() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    installation.append("ladders.toml", MISTAKE);
    installation.append("schedule.toml", MISTAKE);
    let refused = installation.run(&["ctl", "reload"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.out.contains("ladders.toml:"), "{refused:?}");
    assert!(refused.out.contains("schedule.toml:"), "{refused:?}");
    assert!(refused.out.contains("the old rules stay in force"), "{refused:?}");
    let ready = daemon.told("READY=1");
    assert!(ready.contains("generation 1"), "{ready}");
    // The daemon can be spoken to while a file is broken.
    let status = installation.run(&["ctl", "status", "--json"]).json();
    assert_eq!(status["data"]["generation"], 1);
}

#[test]
fn values_of_the_configuration_never_reach_the_log() {
    let installation = Installation::new();
    let daemon = installation.serve();
    installation.append(
        "people.toml",
        "\n[staff.secret]\nname = \"x\"\nrole = \"clerk\"\ndigest = false\nunit = \"taoranting-window\"\nmobile = \"1390000777\"\nemail = \"a b@example.org\"\n",
    );
    let refused = installation.run(&["ctl", "reload"]);
    assert!(refused.out.contains("1390000777"), "whoever asks is told: {refused:?}");
    for key in ["mobile", "email"] {
        let line = daemon.logged("reload refused");
        assert!(
            line.contains("people.toml:") && line.contains(&format!("staff.secret.{key}")),
            "{line}"
        );
        assert!(!line.contains("1390000777") && !line.contains("a b@"), "{line}");
    }

    // A start and a reload by systemd write into its journal.
    let in_journal = |verb: &str, stream: u8| {
        let script = format!("JOURNAL_STREAM=$(stat -Lc %d:%i /proc/$$/fd/{stream}) exec \"$XIXIN\" {verb}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).env("XIXIN", env!("CARGO_BIN_EXE_xixin"));
        Ran::of(shell.env("XIXIN_CONFIG", installation.config()).output().unwrap())
    };
    let start = in_journal("serve", 2);
    assert_eq!(start.code, 78);
    assert!(
        start.err.contains("people.toml:") && start.err.contains("xixin check"),
        "{start:?}"
    );
    assert!(!start.err.contains("1390000777"), "{start:?}");
    let reload = in_journal("ctl reload", 1);
    assert_eq!(reload.code, 78);
    assert!(
        reload.out.contains("problems; the old rules") && !reload.out.contains("1390000777"),
        "{reload:?}"
    );
}

#[test]
fn a_hangup_reloads_like_ctl() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    installation.append("ladders.toml", CHANGE);
    daemon.signal(&["HUP"]);
    daemon.told("RELOADING=1");
    assert!(daemon.told("READY=1").contains("generation 2"));

    installation.append("schedule.toml", MISTAKE);
    daemon.signal(&["HUP"]);
    daemon.told("RELOADING=1");
    assert!(daemon.told("READY=1").contains("generation 2"));
    let line = daemon.logged("reload refused");
    assert!(line.contains("schedule.toml:"), "{line}");
}

#[test]
fn what_takes_effect_only_at_a_start_is_refused_by_name() {
    let installation = Installation::new();
    let _daemon = installation.serve();
    installation.write(
        "conf.d/30-test.toml",
        "zone = \"Asia/Urumqi\"\n[reload]\nwatch = true\n",
    );
    let refused = installation.run(&["ctl", "reload"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    for key in ["zone", "reload.watch"] {
        assert!(refused.out.contains(&format!("{key}: 须重启才生效")), "{refused:?}");
    }
}

#[test]
fn a_saved_file_takes_effect_by_itself_when_that_is_switched_on() {
    let installation = Installation::with("[reload]\nwatch = true\n");
    let mut daemon = installation.serve();
    // As editors save: a new file takes the place of the old one.
    let text = fs::read_to_string(installation.config().join("ladders.toml")).unwrap();
    installation.write("ladders.toml.new", &(text + CHANGE));
    fs::rename(
        installation.config().join("ladders.toml.new"),
        installation.config().join("ladders.toml"),
    )
    .unwrap();
    daemon.told("RELOADING=1");
    assert!(daemon.told("READY=1").contains("generation 2"));
}

#[test]
fn a_second_daemon_is_refused_with_the_pid_of_the_first_until_that_one_is_gone() {
    let installation = Installation::new();
    let mut first = installation.serve();
    let second = installation.run(&["serve"]);
    assert_eq!(second.code, 73, "{second:?}");
    assert!(second.err.contains(&format!("pid {}", first.pid())), "{second:?}");

    first.signal(&["KILL"]);
    first.ended();
    installation.serve();
}

#[tokio::test]
async fn verbs_that_read_make_no_database_and_bring_none_up_to_date() {
    let installation = Installation::new();
    let path = installation.state().join("xixin.db");
    let reads: [&[&str]; 6] = [
        &["case", "list"],
        &["case", "show", "2026-000001"],
        &["preview"],
        &["digest", "--staff", "lin"],
        &["why", "2026-000001"],
        &["notice", "2026-000001"],
    ];
    for read in reads {
        let refused = installation.run(read);
        assert_eq!(refused.code, 1, "{refused:?}");
        let named = format!("there is no database {}", path.display());
        assert!(refused.err.contains(&named), "{refused:?}");
        assert!(!path.exists(), "{read:?}");
    }

    installation.run(&["migrate"]).good();
    installation.run(&["case", "list"]).good();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut database = options.connect().await.unwrap();
    sqlx::query("update _sqlx_migrations set version = 0 where version = (select max(version) from _sqlx_migrations)")
        .execute(&mut database)
        .await
        .unwrap();
    for read in reads {
        let refused = installation.run(read);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("xixin migrate"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_busy_database_is_told_as_such_after_a_while() {
    let installation = Installation::new();
    installation.run(&["migrate"]).good();
    let path = installation.state().join("xixin.db");
    let mut database = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::query("begin exclusive").execute(&mut database).await.unwrap();
    let refused = installation.run(&["case", "do", "2026-000001", "resume", "--as", "lin"]);
    assert_eq!(refused.code, 75, "{refused:?}");
    assert!(
        refused.err.contains("数据库正忙") && refused.err.contains("try again"),
        "{refused:?}"
    );
}

#[test]
fn what_is_written_is_written_at_the_time_of_the_clock() {
    let installation = Installation::new();
    for verb in [
        ["case", "add", "x.json"].as_slice(),
        &["case", "do", "2026-000001", "resume"],
    ] {
        let forged = [verb, &["--as", "lin", "--now", "2031-01-01T00:00:00Z"]].concat();
        assert_eq!(installation.run(&forged).code, 2);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let installation = Installation::new();
    installation.run(&["migrate"]).good();
    let path = installation.state().join("xixin.db");
    let mut database = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of the future', 1, x'00', 0)",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    let refused = installation.run(&["serve"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.err.contains("was written by a newer xixin"), "{refused:?}");
    let doctor = installation.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("✗ database"), "{doctor:?}");
}

#[test]
fn a_disk_without_room_is_a_clear_error_at_the_start() {
    let installation = Installation::new();
    let program = env!("CARGO_BIN_EXE_xixin");
    // No file may grow beyond 8 KiB; without the trap the kernel would end the process instead of failing the write.
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {program} serve");
    let mut command = std::process::Command::new("bash");
    command
        .env_clear()
        .env("XIXIN_CONFIG", installation.config())
        .arg("-c")
        .arg(script);
    let refused = Ran::of(command.output().unwrap());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("xixin.db"), "{refused:?}");
}

#[test]
fn a_port_in_use_is_a_clear_error_at_the_start() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let installation = Installation::with(&format!("[http]\nlisten = \"{address}\"\n"));
    let refused = installation.run(&["serve"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(&format!("http.listen {address}")), "{refused:?}");
    let doctor = installation.run(&["doctor"]);
    assert!(doctor.out.contains("✗ http"), "{doctor:?}");
}

#[test]
fn a_secret_that_is_not_there_is_a_problem_of_its_setting() {
    let hall = Installation::new();
    let daemon = hall.serve();
    hall.write(
        "conf.d/20-test.toml",
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nuser = \"hall\"\n\npassword = { file = \"/nowhere/password\" }\n",
    );
    let told = "conf.d/20-test.toml:7:1: mail.smtp.password: 密钥文件 /nowhere/password 无法读取";
    let reload = hall.run(&["ctl", "reload"]);
    assert_eq!(reload.code, 78, "{reload:?}");
    assert!((reload.out.clone() + &reload.err).contains(told), "{reload:?}");
    let report = hall.run(&["doctor"]).out;
    let line = "✗ channels: mail.smtp.password: 密钥文件 /nowhere/password 无法读取: No such file or directory (os error 2) / mail.smtp.password: the secret /nowhere/password cannot be read: No such file or directory (os error 2)";
    assert!(report.lines().any(|found| found == line), "{report}");
    drop(daemon);
    let start = hall.run(&["serve"]);
    assert_eq!(start.code, 78, "{start:?}");
    assert!(start.err.contains(told), "{start:?}");
}

#[test]
fn a_wrong_configuration_is_exit_78_with_every_problem() {
    let installation = Installation::new();
    installation.append("ladders.toml", MISTAKE);
    installation.append("people.toml", MISTAKE);
    let refused = installation.run(&["serve"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.err.contains("ladders.toml:") && refused.err.contains("people.toml:"),
        "{refused:?}"
    );
}

#[test]
fn without_a_daemon_ctl_says_where_it_looked() {
    let installation = Installation::new();
    let alone = installation.run(&["ctl", "status"]);
    assert_eq!(alone.code, 69, "{alone:?}");
    let socket = installation.state().join("control.sock");
    assert!(alone.err.contains(socket.to_str().unwrap()), "{alone:?}");
    let nowhere = installation.run(&["--config", "/nowhere", "ctl", "status"]);
    assert_eq!(nowhere.code, 78, "{nowhere:?}");
    assert!(nowhere.err.contains("/nowhere"), "{nowhere:?}");
    let given = installation.run(&["ctl", "--socket", "/nowhere/control.sock", "reload"]);
    assert_eq!(given.code, 69, "{given:?}");
    assert!(given.err.contains("/nowhere/control.sock"), "{given:?}");
}

#[test]
fn a_verb_finds_the_daemon_in_its_runtime_directory() {
    let installation = Installation::new();
    let runtime = tempfile::tempdir().unwrap();
    let path = runtime.path().to_str().unwrap();
    let _daemon = installation.serve_with(&[("RUNTIME_DIRECTORY", path)]);
    assert_eq!(names(runtime.path()), ["control.sock"]);
    // The shell of an operator has no such variable; ExecReload has.
    installation.run(&["ctl", "status"]).good();
    let within = installation
        .command(&["ctl", "reload"])
        .env("RUNTIME_DIRECTORY", path)
        .output()
        .unwrap();
    Ran::of(within).good();
}

#[test]
fn a_pause_holds_until_it_is_resumed_also_across_a_restart() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    let pause = [
        "ctl",
        "pause",
        "--channel",
        "sms",
        "--reason",
        "网关维护",
        "--as",
        "lin",
    ];
    assert!(installation.run(&pause).good().contains("paused sms"));
    let again = ["ctl", "pause", "--channel", "sms", "--reason", "other", "--as", "zhou"];
    let answer = installation.run(&again).good();
    assert!(answer.contains("already by lin: 网关维护"), "{answer}");

    daemon.signal(&["TERM"]);
    daemon.ended();
    let _daemon = installation.serve();
    let status = installation.run(&["ctl", "status"]).good();
    assert!(status.contains("sms — lin: 网关维护"), "{status}");
    let all = installation.run(&["ctl", "resume"]).good();
    assert!(all.contains("all was not paused; still paused: sms"), "{all}");
    let sms = installation.run(&["ctl", "resume", "--channel", "sms"]).good();
    assert!(sms.contains("resumed sms"), "{sms}");
}

#[test]
fn a_case_that_another_process_opens_is_planned_within_a_second() {
    let installation = Installation::new();
    let daemon = installation.serve();
    let document = installation.state().join("case.json");
    let case = serde_json::json!({
        "resident": { "name": "测试一", "phone": "13900000001" },
        "matter": "hard_case",
        "request": "测试",
        "unit": "taoranting-window",
    });
    fs::write(&document, case.to_string()).unwrap();
    let added = installation.run(&["case", "add", document.to_str().unwrap(), "--as", "zhou"]);
    let at = Instant::now();
    added.good();
    daemon.logged("woken");
    daemon.logged("planned 1 cases");
    assert!(at.elapsed() < Duration::from_secs(1), "{:?}", at.elapsed());
}

#[test]
fn the_watchdog_is_fed_when_it_asks_for_it() {
    let installation = Installation::new();
    let mut daemon = installation.serve_with(&[("WATCHDOG_USEC", "100000")]);
    daemon.told("WATCHDOG=1");
    daemon.told("WATCHDOG=1");
}

#[test]
fn the_dump_of_the_state_holds_no_words_that_people_wrote() {
    let installation = Installation::new();
    let daemon = installation.serve();
    installation
        .run(&["ctl", "pause", "--reason", "secret words", "--as", "lin"])
        .good();
    daemon.signal(&["USR1"]);
    let line = daemon.logged("the state of this daemon");
    assert!(line.contains("\"paused\":[\"all\"]"), "{line}");
    assert!(!line.contains("secret words") && !line.contains("lin"), "{line}");
}

#[test]
fn a_database_has_one_daemon_whatever_it_is_called() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    let other = installation.state().with_file_name("other");
    fs::create_dir(&other).unwrap();
    let real = installation.state().join("xixin.db");
    for file in ["xixin.key", "chain.key"] {
        fs::copy(installation.state().join(file), other.join(file)).unwrap();
    }
    let second = || {
        let mut command = installation.command(&["serve"]);
        Ran::of(command.env("XIXIN__STATE_DIR", &other).output().unwrap())
    };
    let name = other.join("xixin.db");
    std::os::unix::fs::symlink(&real, &name).unwrap();
    let refused = second();
    assert_eq!(refused.code, 73, "{refused:?}");
    assert!(refused.err.contains("in use by another xixin daemon"), "{refused:?}");

    fs::remove_file(&name).unwrap();
    fs::hard_link(&real, &name).unwrap();
    let refused = second();
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("has 2 names"), "{refused:?}");
    fs::remove_file(&name).unwrap();
    daemon.signal(&["TERM"]);
    assert_eq!(daemon.ended().code(), Some(0));
}
