//! The demo as a newcomer meets it: one command, messages for everybody, Ctrl-C.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
    command.env_remove("XIXIN_CONFIG").arg("demo");
    command
}

#[test]
fn the_demo_tells_people_shows_what_comes_and_ends_with_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    let mut child = demo()
        .arg("--dir")
        .arg(&folder)
        .args(["--seconds", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let before: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.contains("what leaves now"))
        .collect();
    let before = before.join("\n");
    assert!(before.contains("10 open cases; what comes next"), "{before}");
    assert!(before.contains("queued email → "), "{before}");

    let mut missing = vec!["→ 邮件/e-mail", "→ 短信/SMS", "待办"];
    for line in lines.by_ref() {
        missing.retain(|wanted| !line.contains(wanted));
        if missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "nobody was told: {missing:?}");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(lines.filter(|line| line.contains("the demo has ended")).count(), 1);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for (folder, least) in [(folder.join("maildir/new"), 10), (folder.join("sms"), 1)] {
        let found = folder
            .read_dir()
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_file())
            .count();
        assert!(found >= least, "{}: {found}", folder.display());
    }
}

#[test]
fn the_demo_ends_by_itself_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let output = demo()
            .arg("--dir")
            .arg(dir.path().join("demo"))
            .args(["--seconds", "1"])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    run();
    assert!(run().contains("10 open cases"), "the cases are not opened twice");
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter.txt"), "mine").unwrap();
    let output = demo().arg("--dir").arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
