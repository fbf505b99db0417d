//! The control socket: one JSON request a line, one JSON answer a line.
//!
//! Always: only root and the daemon's own user are heard; a request is bounded in size and in time; a client that sends garbage, says
//! nothing or hangs up costs one connection for a few seconds and nothing else. What a request does is not decided here.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// A request may be this long, in bytes.
const REQUEST_MAX: u64 = 64 * 1024;
/// An answer may be this long: a reload can find thousands of problems.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;
/// A client has so long to say something, and to take the answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// Clients at once; one more is turned away.
const CLIENTS_MAX: usize = 32;
/// Longer paths do not fit into a socket address (unix(7): 108 bytes with the final NUL).
const PATH_MAX: usize = 107;

use crate::domain::ladder::Way;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Facts changed.
    Poke {
        case: Option<String>,
    },
    Reload,
    Status,
    Pause {
        channel: Option<String>,
        reason: String,
        who: String,
    },
    Resume {
        channel: Option<String>,
        who: String,
    },
    /// Nothing leaves until somebody releases it.
    Hold {
        reason: String,
        who: String,
    },
    /// Ends that hold, or the one of the blast guard with this id.
    Release {
        id: Option<String>,
        reason: Option<String>,
        who: String,
    },
    /// What waits, and for what.
    Holds,
    /// Which nodes share the database.
    Nodes,
    /// One test message, through the daemon's own channels.
    SendTest {
        way: Way,
        to: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub ok: bool,
    pub zh: String,
    pub en: String,
    pub data: serde_json::Value,
}

impl Answer {
    pub fn ok(zh: impl Into<String>, en: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            ok: true,
            zh: zh.into(),
            en: en.into(),
            data,
        }
    }

    pub fn refused(zh: impl Into<String>, en: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            ok: false,
            zh: zh.into(),
            en: en.into(),
            data,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "没有服务在 {path} 应答 / no daemon answers at {path}; start it with `systemctl start xixin` or `xixin serve`",
        path = path.display()
    )]
    Absent { path: PathBuf },
    #[error(
        "无权访问 {path} / {path} may not be opened; run this as root or as the user that the daemon runs as",
        path = path.display()
    )]
    Denied { path: PathBuf },
    #[error("服务没有应答 / the daemon at {path} gave no answer within {within_s} s", path = path.display())]
    Silent { path: PathBuf, within_s: u64 },
    #[error("服务的答复无法理解 / the answer from {path} cannot be understood", path = path.display())]
    Garbled { path: PathBuf },
    #[error("the control socket {path} cannot be used", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("another process answers at the control socket {path}; two daemons cannot share a directory", path = path.display())]
    Taken { path: PathBuf },
    #[error("{path} is in the way of the control socket and is no socket; move it away", path = path.display())]
    Blocked { path: PathBuf },
}

/// Opens the socket, and returns the future that answers until `stop`. A socket that nobody answers any more is replaced.
pub async fn serve<H, F>(
    path: PathBuf,
    handler: H,
    stop: CancellationToken,
) -> Result<impl Future<Output = io::Result<()>> + Send, ControlError>
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = bind(&path).await?;
    let failed = |source| ControlError::Io {
        path: path.clone(),
        source,
    };
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    let owner = fs::metadata(&path).map_err(failed)?.uid();
    Ok(async move {
        accept(&listener, owner, &handler, &stop).await;
        // Nobody finds a socket behind which there is no daemon.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    })
}

/// Asks the daemon at `path`, and waits `patience` for its answer.
pub async fn ask(path: &Path, request: &Request, patience: Duration) -> Result<Answer, ControlError> {
    let line = serde_json::to_string(request).expect("a request always serialises") + "\n";
    let asked = async {
        let (near, _dir) = near(path)?;
        let mut stream = UnixStream::connect(near).await?;
        stream.write_all(line.as_bytes()).await?;
        read_line(&mut stream, ANSWER_MAX).await
    };
    let answer = timeout(patience, asked).await.map_err(|_| ControlError::Silent {
        path: path.to_owned(),
        within_s: patience.as_secs(),
    })?;
    let answer = answer.map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ControlError::Absent { path: path.to_owned() },
        ErrorKind::PermissionDenied => ControlError::Denied { path: path.to_owned() },
        _ => ControlError::Io {
            path: path.to_owned(),
            source,
        },
    })?;
    serde_json::from_slice(&answer).map_err(|_| ControlError::Garbled { path: path.to_owned() })
}

/// Opens a socket in the file system. One that nobody answers any more is replaced.
pub(crate) async fn bind(path: &Path) -> Result<UnixListener, ControlError> {
    let failed = |source| ControlError::Io {
        path: path.to_owned(),
        source,
    };
    let (near, _dir) = near(path).map_err(failed)?;
    match UnixListener::bind(&near) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        bound => return bound.map_err(failed),
    }
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(ControlError::Blocked { path: path.to_owned() });
    }
    match UnixStream::connect(&near).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        _ => return Err(ControlError::Taken { path: path.to_owned() }),
    }
    fs::remove_file(path).map_err(failed)?;
    UnixListener::bind(&near).map_err(failed)
}

/// A path that fits into a socket address: a long one is reached through its opened directory, which has to stay open meanwhile.
fn near(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) if path.as_os_str().len() > PATH_MAX => {
            let dir = File::open(dir)?;
            Ok((
                Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name),
                Some(dir),
            ))
        }
        _ => Ok((path.to_owned(), None)),
    }
}

async fn accept<H, F>(listener: &UnixListener, owner: u32, handler: &H, stop: &CancellationToken)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: it passes, and asking again at once would only burn the processor.
                    warn!("no connection can be taken on the control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let welcome = stream
            .peer_cred()
            .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == owner);
        let seat = Arc::clone(&seats).try_acquire_owned();
        let (true, Ok(seat)) = (welcome, seat) else {
            debug!("a client of the control socket was turned away");
            continue;
        };
        let handler = handler.clone();
        clients.spawn(async move {
            let _seat = seat;
            if let Err(error) = talk(stream, &handler).await {
                debug!("a client of the control socket went away: {error}");
            }
        });
    }
}

/// One request, one answer. A request that was read is carried out even if the client does not wait for the answer.
async fn talk<H, F>(mut stream: UnixStream, handler: &H) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Answer>,
{
    let line = timeout(CLIENT_PATIENCE, read_line(&mut stream, REQUEST_MAX)).await??;
    let answer = match serde_json::from_slice(&line) {
        Ok(request) => handler(request).await,
        Err(error) => Answer::refused(
            "请求无法理解",
            format!("the request cannot be understood: {error}"),
            serde_json::json!({}),
        ),
    };
    let answer = serde_json::to_string(&answer)? + "\n";
    timeout(CLIENT_PATIENCE, stream.write_all(answer.as_bytes())).await?
}

/// A line without its end; one that is longer than `max` is an error.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), max: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(max)).read_until(b'\n', &mut line).await?;
    if line.pop() == Some(b'\n') {
        Ok(line)
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidData,
            "the line does not end, or is too long",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo(request: Request) -> Answer {
        Answer::ok("好", "good", serde_json::json!({ "heard": request }))
    }

    async fn raw(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The daemon may hang up in the middle of it.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn garbage_huge_lines_and_hang_ups_leave_the_next_client_unharmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(path.clone(), echo, stop.clone()).await.unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        assert!(raw(&path, b"\xff\xfe{]\n").await.contains("\"ok\":false"));
        assert!(
            raw(&path, b"{\"ask\":\"poke\",\"more\":1}\n")
                .await
                .contains("\"ok\":false")
        );
        assert_eq!(raw(&path, &vec![b'x'; 1 << 20]).await, "");
        assert_eq!(raw(&path, b"{\"ask\":").await, "");
        assert_eq!(raw(&path, b"").await, "");
        let _silent = UnixStream::connect(&path).await.unwrap();

        let answer = ask(&path, &Request::Status, Duration::from_secs(60)).await.unwrap();
        assert_eq!(answer.data["heard"]["ask"], "status");
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_client_too_many_is_turned_away_and_a_seat_becomes_free_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let serving = serve(path.clone(), echo, CancellationToken::new()).await.unwrap();
        let serving = tokio::spawn(serving);
        let mut silent = Vec::new();
        for _ in 0..CLIENTS_MAX {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let patience = Duration::from_secs(60);
        assert!(ask(&path, &Request::Status, patience).await.is_err());
        drop(silent);
        // Seats are given back by tasks that the scheduler has yet to run.
        while ask(&path, &Request::Status, patience).await.is_err() {
            tokio::task::yield_now().await;
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let patience = Duration::from_secs(60);
        let absent = ask(&path, &Request::Status, patience).await;
        assert!(matches!(absent, Err(ControlError::Absent { .. })), "{absent:?}");

        let first = serve(path.clone(), echo, CancellationToken::new()).await.unwrap();
        let second = serve(path.clone(), echo, CancellationToken::new()).await.err();
        assert!(matches!(second, Some(ControlError::Taken { .. })));
        drop(first);

        let file = dir.path().join("file.sock");
        fs::write(&file, "x").unwrap();
        let blocked = serve(file.clone(), echo, CancellationToken::new()).await.err();
        assert!(matches!(blocked, Some(ControlError::Blocked { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_address_works_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        fs::create_dir(&deep).unwrap();
        let path = deep.join("control.sock");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(path.clone(), echo, stop.clone()).await.unwrap());
        assert!(ask(&path, &Request::Reload, Duration::from_secs(60)).await.unwrap().ok);
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
