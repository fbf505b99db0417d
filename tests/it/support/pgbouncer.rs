//! A pgbouncer between the tests and their PostgreSQL, which gives each transaction one of a few connections. It ends with the test
//! program, as the server does.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use sqlx::postgres::PgConnectOptions;

use super::postgres::unprivileged;

/// Where Debian keeps it, which is not on everybody's path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// $1 the program, $2 the directory.
const HOLD: &str = r#"
"$1" "$2/pgbouncer.ini" >"$2/log" 2>&1 &
bouncer=$!
until [ -S "$2/.s.PGSQL.6432" ] || ! kill -0 "$bouncer"; do sleep 0.01; done
kill -0 "$bouncer" && echo ready
read -r _
kill "$bouncer"
wait "$bouncer"
rm -rf "$2"
"#;

struct Pooler {
    dir: PathBuf,
    /// As long as its input is open, the pooler runs.
    _shell: Child,
}

static POOLER: OnceLock<Pooler> = OnceLock::new();

fn start(server: &Path, port: u16) -> Pooler {
    let dir = tempfile::Builder::new().prefix("xixin-pool-").tempdir().unwrap().keep();
    let settings = format!(
        "[databases]\n* = host={} port={port} user=xixin\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {}\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 500\nlogfile = {}\n",
        server.display(),
        dir.display(),
        dir.join("pgbouncer.log").display()
    );
    std::fs::write(dir.join("pgbouncer.ini"), settings).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", HOLD, "sh", PROGRAM])
        .arg(&dir)
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    if std::fs::metadata(&dir).unwrap().uid() == 0 {
        let (user, group) = unprivileged();
        chown(&dir, Some(user), Some(group)).unwrap();
        shell.uid(user).gid(group);
    }
    let mut shell = shell.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    assert_eq!(said.trim(), "ready", "{}", log());
    Pooler { dir, _shell: shell }
}

/// This database of the server that the tests share, by way of the pooler.
pub(crate) fn address(database: &PgConnectOptions) -> String {
    let pooler = POOLER.get_or_init(|| start(database.get_socket().unwrap(), database.get_port()));
    let socket = pooler.dir.to_str().unwrap().replace('/', "%2F");
    let (user, name) = (database.get_username(), database.get_database().unwrap());
    format!("postgres://{user}@{socket}:6432/{name}")
}
