//! The real program in a directory of its own: the shipped configuration, mail into a Maildir, SMS into files, a free port, and a
//! service manager's socket on which the test hears what the daemon says of itself. Waiting ends with what was waited for, or fails
//! after [`PATIENCE`].

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::hall::{copy_dir, shipped};

/// Far longer than anything takes: reached only when it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks whether the daemon still runs.
const LOOK: Duration = Duration::from_millis(100);

/// A configuration and a place for data.
pub(crate) struct Installation {
    dir: TempDir,
}

impl Installation {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With more settings on top (TOML).
    pub(crate) fn with(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&shipped(), &dir.path().join("config"));
        std::fs::create_dir_all(dir.path().join("config/conf.d")).unwrap();
        let made = Self { dir };
        let base = format!(
            "state_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[mail]\ntransport = \"maildir\"\n[sms]\ntransport = \"file\"\n\
             [log]\nformat = \"text\"\nfilter = \"info,xixin=debug\"\n",
            made.state().to_str().unwrap()
        );
        made.write("conf.d/10-test.toml", &base);
        made.write("conf.d/20-test.toml", settings);
        made
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.config().join(file), text).unwrap();
    }

    pub(crate) fn append(&self, file: &str, text: &str) {
        let before = std::fs::read_to_string(self.config().join(file)).unwrap();
        self.write(file, &(before + text));
    }

    /// The program with these arguments, in surroundings that hold nothing else but a planted fault (tests/planted).
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
        command
            .env_clear()
            .envs(std::env::var_os("XIXIN_PLANTED").map(|fault| ("XIXIN_PLANTED", fault)))
            .env("XIXIN_CONFIG", self.config())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let mut daemon = self.start(variables);
        let ready = daemon.told("READY=1");
        let (_, address) = ready.split_once("http ").unwrap();
        daemon.http = address.lines().next().unwrap().to_owned();
        daemon
    }

    fn start(&self, variables: &[(&str, &str)]) -> Daemon {
        let socket = self.dir.path().join("notify.sock");
        let _ = std::fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(LOOK)).unwrap();
        let mut child = self
            .command(&["serve"])
            .env("NOTIFY_SOCKET", &socket)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(line);
            }
        });
        Daemon {
            child,
            manager,
            log,
            http: String::new(),
        }
    }
}

/// How a verb ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What was printed, once it is known that all went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A running daemon. Dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    manager: UnixDatagram,
    log: Receiver<String>,
    /// Where it listens.
    pub(crate) http: String,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends signals, one after the other.
    pub(crate) fn signal(&self, signals: &[&str]) {
        let pid = self.pid();
        let script: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {pid}")).collect();
        let sent = Command::new("sh").arg("-c").arg(script.join(" && ")).status().unwrap();
        assert!(sent.success());
    }

    /// The next word to the service manager that contains this.
    pub(crate) fn told(&mut self, what: &str) -> String {
        let mut word = vec![0; 4096];
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let Ok(length) = self.manager.recv(&mut word) else {
                match self.child.try_wait().unwrap() {
                    Some(_) => break,
                    None => continue,
                }
            };
            let text = String::from_utf8_lossy(&word[..length]).into_owned();
            if text.contains(what) {
                return text;
            }
        }
        let log: Vec<String> = self.log.try_iter().collect();
        panic!("the daemon never said {what}; its log: {log:#?}");
    }

    /// The next line of the log that contains this.
    pub(crate) fn logged(&self, what: &str) -> String {
        self.heard_until(what).pop().unwrap_or_default()
    }

    /// The log from where it was last read to the line that contains this.
    pub(crate) fn log_until(&self, what: &str) -> String {
        self.heard_until(what).join("\n") + "\n"
    }

    fn heard_until(&self, what: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let found = line.contains(what);
            seen.push(line);
            if found {
                return seen;
            }
        }
        panic!("{what:?} is not in the log: {seen:#?}");
    }

    /// What it logged that was not waited for, to the end. It has to have ended.
    pub(crate) fn rest_of_log(&self) -> String {
        self.log.iter().map(|line| line + "\n").collect()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to a daemon's listener: the status and the body.
pub(crate) fn http(address: &str, method: &str, path: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The names of what lies in a directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
