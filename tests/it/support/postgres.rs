//! A PostgreSQL of the tests' own: one server for a run of the test program, in a directory of its own, reached over a socket in it or,
//! with a password and encrypted, on a port of the loopback address; a fresh database for whoever asks. A test that stops its server
//! starts one of its own. Each ends with the test program, however that ends: a shell holds it and reads from a pipe that only the test
//! program keeps open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// Whoever starts it as root becomes one of these, because PostgreSQL does not run as root.
const NOBODIES: [&str; 2] = ["postgres", "nobody"];

/// What it asks for over the network.
pub(crate) const PASSWORD: &str = "sesame";

/// Nothing in it has to survive the machine: nothing is synced.
const FOR_TESTS: &str = "-c fsync=off -c max_connections=200";

/// $1 the programs, $2 the directory, $3 the port, $4 its settings. A line on its input stops it, in the way that pg_ctl calls so, starts it
/// again, or makes it another server; each is answered.
const HOLD: &str = r#"
trap '' PIPE
programs=$1 dir=$2 port=$3 settings=$4
start() {
  "$programs/pg_ctl" start --wait --silent --pgdata="$dir/data" --log="$dir/log" --options="$settings \
    -c listen_addresses=127.0.0.1 -c port=$port -c ssl=on -c ssl_cert_file='$dir/server.pem' -c ssl_key_file='$dir/server.key' -k '$dir'"
}
stop() {
  "$programs/pg_ctl" stop --wait --silent --mode="$1" --pgdata="$dir/data"
}
go_back() {
  [ ! -e "$dir/copy" ] || { rm -rf "$dir/data" && mv "$dir/copy" "$dir/data"; }
}
"$1/initdb" --pgdata="$2/data" --username=xixin --auth-local=trust --auth-host=scram-sha-256 --pwfile="$2/password" \
  --encoding=UTF8 --locale=C --no-sync >"$2/log" 2>&1 &&
start && echo ready
while read -r verb; do
  case "$verb" in
    start) start ;;
    copy) stop fast && cp -a "$dir/data" "$dir/copy" && start ;;
    standby) stop immediate && go_back && touch "$dir/data/standby.signal" && start ;;
    promote) "$programs/pg_ctl" promote --wait --silent --pgdata="$dir/data" ;;
    *) stop "$verb" ;;
  esac >>"$dir/log" 2>&1 && echo done || echo failed
done
stop immediate
rm -rf "$dir"
"#;

/// A server.
pub(crate) struct Server {
    dir: PathBuf,
    port: u16,
    made: AtomicU32,
    /// As long as its input is open, the server runs.
    shell: Child,
    answers: BufReader<ChildStdout>,
}

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
pub(super) fn unprivileged() -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    NOBODIES.into_iter().find_map(ids).unwrap()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(FOR_TESTS)
    }

    /// With these settings (`-c name=value …`).
    pub(crate) fn with(settings: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("xixin-pg-").tempdir().unwrap().keep();
        let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let texts = [
            ("server.pem", std::fs::read_to_string(certificates.join("right.pem"))),
            ("server.key", std::fs::read_to_string(certificates.join("server.key"))),
            ("password", Ok(PASSWORD.to_owned())),
        ];
        let files = texts.map(|(name, text)| {
            let (path, mut make) = (dir.join(name), std::fs::OpenOptions::new());
            let mut file = make.write(true).create_new(true).mode(0o600).open(&path).unwrap();
            file.write_all(text.unwrap().as_bytes()).unwrap();
            path
        });
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", HOLD, "sh"])
            .args([&programs(), &dir])
            .args([&port.to_string(), settings])
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
            for path in files.iter().chain([&dir]) {
                chown(path, Some(user), Some(group)).unwrap();
            }
            shell.uid(user).gid(group);
        }
        let mut shell = shell.spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut server = Self {
            dir,
            port,
            made: AtomicU32::new(0),
            shell,
            answers,
        };
        server.hear("ready");
        server
    }

    fn hear(&mut self, expected: &str) {
        let mut said = String::new();
        self.answers.read_line(&mut said).unwrap();
        if said.trim() != expected {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            panic!("PostgreSQL does not start or stop: {log}");
        }
    }

    /// `fast` or `immediate` stops it, `start` starts it again. `copy` keeps a copy; `standby` dies and goes on from there, if there is one,
    /// as a standby, which `promote` makes the server.
    pub(crate) fn tell(&mut self, verb: &str) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{verb}").unwrap();
        self.hear("done");
    }

    /// A new database with nothing in it.
    pub(crate) async fn database(&self) -> PgConnectOptions {
        let name = format!("xixin_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.dir)
            .port(self.port)
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
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// A new database with nothing in it, on the server that the tests share.
pub(crate) async fn fresh() -> PgConnectOptions {
    SERVER.get_or_init(Server::start).database().await
}

/// As the settings name it.
pub(crate) fn address(options: &PgConnectOptions) -> String {
    let socket = options.get_socket().unwrap().to_str().unwrap().replace('/', "%2F");
    let (user, name) = (options.get_username(), options.get_database().unwrap());
    format!("postgres://{user}@{socket}:{}/{name}", options.get_port())
}

/// The same over the network.
pub(crate) fn network_address(options: &PgConnectOptions) -> String {
    let (user, name) = (options.get_username(), options.get_database().unwrap());
    format!("postgres://{user}@127.0.0.1:{}/{name}", options.get_port())
}
