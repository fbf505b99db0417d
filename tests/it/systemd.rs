//! The unit, its user and its directories, judged by systemd's own tools in a root directory made for it. Needs no running systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::daemon::Ran;

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(file)
}

/// The unit with the program where this build put it, so that nothing has to be installed for it.
fn unit(dir: &TempDir) -> PathBuf {
    let text = fs::read_to_string(shipped("xixin.service")).unwrap();
    let path = dir.path().join("xixin.service");
    fs::write(&path, text.replace("/usr/bin/xixin", env!("CARGO_BIN_EXE_xixin"))).unwrap();
    path
}

fn run(program: &str, arguments: &[&str]) -> Ran {
    Ran::of(Command::new(program).args(arguments).output().unwrap())
}

#[test]
fn the_unit_has_no_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let unit = unit(&dir);
    let verified = run("systemd-analyze", &["verify", "--man=no", unit.to_str().unwrap()]);
    assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{verified:?}");
}

#[test]
fn the_unit_may_do_as_little_as_a_network_daemon_can() {
    let dir = tempfile::tempdir().unwrap();
    let unit = unit(&dir);
    let arguments = [
        "security",
        "--offline=yes",
        "--threshold=12",
        "--no-pager",
        unit.to_str().unwrap(),
    ];
    let judged = run("systemd-analyze", &arguments);
    assert_eq!(judged.code, 0, "{judged:?}");
}

#[test]
fn the_unit_calls_verbs_that_exist() {
    let text = fs::read_to_string(shipped("xixin.service")).unwrap();
    for key in ["ExecStart=", "ExecReload="] {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let mut words: Vec<&str> = line.split(' ').skip(1).collect();
        words.push("--help");
        let help = run(env!("CARGO_BIN_EXE_xixin"), &words);
        assert_eq!(help.code, 0, "{line}: {help:?}");
    }
}

#[test]
fn the_user_and_the_directories_are_made_as_the_unit_needs_them() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let root_argument = format!("--root={}", root.path().display());
    let made = run(
        "systemd-sysusers",
        &[&root_argument, shipped("xixin.sysusers").to_str().unwrap()],
    );
    assert_eq!(made.code, 0, "{made:?}");
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("xixin:") && line.contains(":/var/lib/xixin:")),
        "{users}"
    );

    let tmpfiles = shipped("xixin.tmpfiles");
    let made = run(
        "systemd-tmpfiles",
        &[&root_argument, "--create", tmpfiles.to_str().unwrap()],
    );
    assert_eq!(made.code, 0, "{made:?}");
    use std::os::unix::fs::PermissionsExt as _;
    for (dir, mode) in [
        ("etc/xixin", 0o750),
        ("etc/xixin-secrets", 0o700),
        ("var/lib/xixin", 0o700),
    ] {
        let meta = fs::metadata(root.path().join(dir)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{dir}");
    }
}
