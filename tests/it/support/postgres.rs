//! A PostgreSQL of the tests' own: one server for a run of the test program, in a directory of its own, reached over a socket in it; a
//! fresh database for whoever asks. It ends with the test program, however that ends: a shell holds it and reads from a pipe that only
//! the test program keeps open.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// Whoever starts it as root becomes one of these, because PostgreSQL does not run as root.
const NOBODIES: [&str; 2] = ["postgres", "nobody"];

/// $1 the programs, $2 the directory. Nothing in it has to survive: nothing is synced, and it is stopped without ceremony.
const HOLD: &str = r#"
"$1/initdb" --pgdata="$2/data" --username=xixin --auth=trust --encoding=UTF8 --locale=C --no-sync >"$2/log" 2>&1 &&
"$1/pg_ctl" start --wait --silent --pgdata="$2/data" --log="$2/log" \
  --options="-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c listen_addresses= -c max_connections=200 -k '$2'" &&
echo ready
read -r _
"$1/pg_ctl" stop --mode=immediate --silent --pgdata="$2/data"
rm -rf "$2"
"#;

struct Server {
    dir: PathBuf,
    made: AtomicU32,
    /// As long as its input is open, the server runs.
    _shell: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Where Debian keeps what it does not put on the path.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists());
    let packaged = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let version = |dir: &Path| dir.file_name()?.to_str()?.parse::<u32>().ok();
        let newest = versions.map(|entry| entry.path()).max_by_key(|dir| version(dir));
        newest
            .map(|dir| dir.join("bin"))
            .filter(|dir| dir.join("initdb").exists())
    };
    found
        .or_else(packaged)
        .expect("PostgreSQL is missing; install the package postgresql (tests/run leaves these tests out without it)")
}

/// User and group of the first of these accounts that is there.
fn unprivileged() -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    NOBODIES.into_iter().find_map(ids).unwrap()
}

fn start() -> Server {
    let dir = tempfile::Builder::new().prefix("xixin-pg-").tempdir().unwrap().keep();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", HOLD, "sh"])
        .args([&programs(), &dir])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // an interrupt from the keyboard is for the tests; it ends when they have
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
    if said.trim() != "ready" {
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }
    Server {
        dir,
        made: AtomicU32::new(0),
        _shell: shell,
    }
}

/// A new database with nothing in it.
pub(crate) async fn fresh() -> PgConnectOptions {
    let server = SERVER.get_or_init(start);
    let name = format!("xixin_{}", server.made.fetch_add(1, Ordering::Relaxed));
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&server.dir)
        .username("xixin")
        .disable_statement_logging();
    let mut connection = options.clone().database("postgres").connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    options.database(&name)
}
