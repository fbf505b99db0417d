//! An HTTP server that answers as told and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to every request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer {
        status: u16,
        headers: &'static str,
        body: String,
    },
    /// Reads the request and closes.
    Drop,
    /// Reads the request and never answers.
    Silence,
}

impl Act {
    pub(crate) fn answer(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: "",
            body: body.to_owned(),
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct HttpServer {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    silent: Arc<Notify>,
}

impl HttpServer {
    /// Every request gets the same.
    pub(crate) async fn start(act: Act) -> Self {
        Self::start_each(vec![act]).await
    }

    /// One after the other; the last one goes on for ever.
    pub(crate) async fn start_each(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, silent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (recorded, notified) = (Arc::clone(&requests), Arc::clone(&silent));
        tokio::spawn(async move {
            let last = acts.last().unwrap().clone();
            for act in acts.into_iter().chain(std::iter::repeat(last)) {
                let (stream, _) = listener.accept().await.unwrap();
                let (recorded, notified) = (Arc::clone(&recorded), Arc::clone(&notified));
                tokio::spawn(async move { serve(stream, &act, &recorded, &notified).await });
            }
        });
        Self { port, requests, silent }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Until a request has been read that will not be answered.
    pub(crate) async fn fell_silent(&self) {
        self.silent.notified().await;
    }
}

async fn serve(stream: TcpStream, act: &Act, recorded: &Mutex<Vec<Request>>, silent: &Notify) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let body = String::from_utf8(body).unwrap();
    recorded.lock().unwrap().push(Request { head, body });

    match act {
        Act::Drop => {}
        Act::Silence => {
            silent.notify_one();
            // Ends when the client hangs up.
            let _ = stream.read_u8().await;
        }
        Act::Answer { status, headers, body } => {
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}");
            let _ = stream.get_mut().write_all(answer.as_bytes()).await;
            let _ = stream.get_mut().shutdown().await;
        }
    }
}
