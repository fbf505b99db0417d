//! One bound line to an SMS centre: bound when it is first needed, bound again when it broke, never twice at a time.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use rusmpp::pdus::{BindTransceiver, DeliverSmResp};
use rusmpp::types::COctetString;
use rusmpp::values::InterfaceVersion;
use rusmpp::{CommandStatus, Pdu};
use rusmppc::error::Error;
use rusmppc::{Client, ConnectionBuilder, Event};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::receipt;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};
use crate::channel::sms::arrival::Arrival;
use crate::channel::sms::web::unreachable;
use crate::config::gateways::Smpp;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So long a failed bind speaks for those who ask in the meantime.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// Between two binds of a line that keeps breaking, growing up to this.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// Arrivals that wait to be stored; then the SMS centre waits.
const WAITING_MAX: usize = 64;

/// Something that came in, and whom to tell that it is stored: only then the SMS centre is told so.
pub struct Arrived {
    pub arrival: Arrival,
    pub stored: oneshot::Sender<()>,
}

pub(super) struct Session {
    settings: Smpp,
    password: SecretString,
    line: Mutex<LineState>,
    sender: mpsc::Sender<Arrived>,
    arrivals: Mutex<mpsc::Receiver<Arrived>>,
    reader: StdMutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct LineState {
    client: Option<Client>,
    refused: Option<(Instant, Outcome)>,
}

impl Session {
    pub(super) fn new(settings: Smpp, password: SecretString) -> Self {
        let (sender, arrivals) = mpsc::channel(WAITING_MAX);
        Self {
            settings,
            password,
            line: Mutex::default(),
            sender,
            arrivals: Mutex::new(arrivals),
            reader: StdMutex::default(),
        }
    }

    /// The bound line, or why there is none.
    pub(super) async fn client(&self) -> Result<Client, Outcome> {
        let mut line = self.line.lock().await;
        if let Some(client) = line.client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        if let Some((at, outcome)) = &line.refused
            && at.elapsed() < REFUSED_FOR
        {
            return Err(outcome.clone());
        }
        match self.bind().await {
            Ok(client) => {
                line.refused = None;
                line.client = Some(client.clone());
                Ok(client)
            }
            Err(outcome) => {
                line.client = None;
                line.refused = Some((Instant::now(), outcome.clone()));
                Err(outcome)
            }
        }
    }

    /// The next arrival. Whoever waits for one keeps the line.
    pub(super) async fn next(&self) -> Arrived {
        let mut arrivals = self.arrivals.lock().await;
        tokio::select! {
            biased;
            // The session keeps a sender, so the channel never ends.
            Some(arrived) = arrivals.recv() => arrived,
            arrived = self.keep() => arrived,
        }
    }

    async fn keep(&self) -> Arrived {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.client().await {
                Ok(client) => {
                    pause = Duration::from_secs(1);
                    client.closed().await;
                    warn!("the line to the SMS centre broke; binding again");
                }
                Err(outcome) => {
                    warn!("no line to the SMS centre: {}", outcome.reason().unwrap_or_default());
                    pause = (pause * 2).min(AGAIN_MAX);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn bind(&self) -> Result<Client, Outcome> {
        let answer_within = Duration::from_secs(self.settings.timeout_s);
        let builder = ConnectionBuilder::new()
            .enquire_link_interval(Duration::from_secs(self.settings.enquire_s))
            .enquire_link_response_timeout(answer_within)
            .response_timeout(answer_within)
            // SMPP 3.4 is what SMS centres speak; the library would insist on 5.0.
            .disable_interface_version_check()
            .max_command_length(64 * 1024);
        let (host, port) = (self.settings.host.as_str(), self.settings.port);
        let connecting = async {
            if self.settings.tls {
                let (client, events) = builder.connect(format!("smpps://{host}:{port}")).await.map_err(drop)?;
                return Ok((client, events.boxed()));
            }
            let stream = tokio::net::TcpStream::connect((host, port)).await.map_err(drop)?;
            stream.set_nodelay(true).map_err(drop)?;
            let (client, events) = builder.connected(stream);
            Ok::<_, ()>((client, events.boxed()))
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let Ok(Ok((client, events))) = connected else {
            return Err(unreachable());
        };
        let bind = BindTransceiver::builder()
            .system_id(c_string(&self.settings.system_id)?)
            .password(c_string(self.password.expose_secret())?)
            .system_type(c_string(&self.settings.system_type)?)
            .interface_version(InterfaceVersion::Smpp3_4)
            .build();
        match client.bind_transceiver(bind).await {
            Ok(_) => {}
            Err(Error::UnexpectedResponse { response }) => return Err(bind_refused(response.status())),
            Err(_) => return Err(unreachable()),
        }
        info!("bound to the SMS centre {host}:{port}");
        let reading = tokio::spawn(read(client.clone(), events, self.sender.clone()));
        let before = self.lock_reader().replace(reading.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
        Ok(client)
    }

    fn lock_reader(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Session {
    /// The reader holds the line open; a reload that replaces this gateway must not leave it bound.
    fn drop(&mut self) {
        if let Some(reader) = self.lock_reader().take() {
            reader.abort();
        }
    }
}

/// Answers what the SMS centre asks, and passes on what it brings.
async fn read(
    client: Client,
    mut events: futures_util::stream::BoxStream<'static, Event>,
    arrivals: mpsc::Sender<Arrived>,
) {
    while let Some(event) = events.next().await {
        let Event::Incoming(command) = event else { continue };
        let number = command.sequence_number();
        match command.pdu() {
            Some(Pdu::DeliverSm(sm)) => {
                let stored = match receipt::read(sm) {
                    Some(arrival) => pass_on(arrival, &arrivals).await,
                    // Nothing we know what to do with: taken, so that it does not come again and again.
                    None => true,
                };
                let status = if stored {
                    CommandStatus::EsmeRok
                } else {
                    CommandStatus::EsmeRxTAppn
                };
                // A line that broke meanwhile brings it again.
                let _ = client
                    .status(status)
                    .deliver_sm_resp(number, DeliverSmResp::default())
                    .await;
            }
            Some(Pdu::Unbind) => {
                let _ = client.unbind_resp(number).await;
                let _ = client.close().await;
            }
            _ => {}
        }
    }
}

async fn pass_on(arrival: Arrival, arrivals: &mpsc::Sender<Arrived>) -> bool {
    let (stored, told) = oneshot::channel();
    arrivals.send(Arrived { arrival, stored }).await.is_ok() && told.await.is_ok()
}

fn c_string<const MAX: usize>(text: &str) -> Result<COctetString<1, MAX>, Outcome> {
    COctetString::from_vec(format!("{text}\0").into_bytes()).map_err(|_| settings_wrong())
}

fn settings_wrong() -> Outcome {
    Outcome::of(
        Fault::new(Blame::Provider, Stage::Auth),
        "短信中心的登录设置有误 / the settings of the login to the SMS centre are wrong".to_owned(),
        None,
    )
}

fn bind_refused(status: CommandStatus) -> Outcome {
    let code = u32::from(status);
    Outcome::of(
        Fault::new(Blame::Provider, Stage::Auth),
        format!("短信中心不接受登录(0x{code:08x}) / the SMS centre does not accept the login (0x{code:08x})"),
        None,
    )
}
