//! Builds the service from a live configuration; start and stop order in one place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;
use tracing::{error, info, warn};

use crate::channel::Channels;
use crate::channel::sms::{GatewayError, HttpGateway};
use crate::clock::Clock;
use crate::config::problem::{Problem, Problems};
use crate::config::settings::Settings;
use crate::config::{self, Loaded};
use crate::control::{self, Answer, Request};
use crate::domain::ids::TextId;
use crate::domain::ladder::Way;
use crate::engine::live::Rules;
use crate::engine::recorder::Recorder;
use crate::engine::status::status;
use crate::engine::test_message::{Tested, send_test};
use crate::engine::ticker::Ticker;
use crate::engine::{Engine, digests, planner, sender};
use crate::lifecycle::{Lifecycle, Signal, notify};
use crate::lock::DaemonLock;
use crate::store::Store;
use crate::store::switches::ALL;
use crate::template::Texts;

/// How long a stop waits for messages on the wire.
const GRACE: Duration = Duration::from_secs(20);
/// Before the start, the clock may lie this much behind what the ledger has seen.
const CLOCK_BACK_MAX_H: i64 = 1;

/// Where the configuration is and what surrounds it.
#[derive(Debug, Clone)]
pub struct Place {
    pub config: PathBuf,
    pub environment: BTreeMap<String, String>,
}

impl Place {
    pub fn new(config: PathBuf) -> Self {
        Self {
            config,
            environment: std::env::vars().collect(),
        }
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        self.environment.get(name).map(PathBuf::from)
    }

    /// The channels that the settings describe, with their secrets.
    pub fn channels(&self, settings: &Settings) -> anyhow::Result<Channels> {
        let credentials = self.variable("CREDENTIALS_DIRECTORY");
        Channels::open(settings, &settings.state_dir, credentials.as_deref())
            .context("渠道无法启用 / a channel cannot be set up")
    }

    /// Reads and checks everything: settings, rules and texts. All problems at once, or none.
    pub fn load(&self) -> Result<(Loaded, Texts), Problems> {
        let (texts, mut problems) = Texts::load(&self.config.join("templates"));
        let has_text = |text: &TextId, way, audience| texts.has(text, way, audience);
        match config::load(&self.config, &self.environment, &has_text) {
            Ok(loaded) => {
                problems.extend(gateway_problem(&loaded));
                if problems.is_empty() {
                    return Ok((loaded, texts));
                }
            }
            Err(more) => problems.extend(more.into_vec()),
        }
        Err(Problems::new(problems))
    }
}

/// A template of the SMS gateway that cannot be rendered. Secrets are not needed for that: only the service can read them.
fn gateway_problem(loaded: &Loaded) -> Option<Problem> {
    let gateway = loaded.settings.sms.http.as_ref()?;
    match HttpGateway::new(gateway, None) {
        Err(GatewayError::Template { key, detail }) => {
            let fix = "allowed: to, text, signature, id, secret.NAME and the filters md5, sha256, hmac_sha256, base64, urlencode, tojson";
            Some(loaded.setting_problem(&format!("sms.http.{key}"), &detail, fix))
        }
        Err(GatewayError::NotJson) => {
            let fix = "write {{ text|tojson }}, without quotes around it";
            let what = "the headers say JSON, but with quotes and line breaks in the text it is none";
            Some(loaded.setting_problem("sms.http.body", what, fix))
        }
        Ok(_) | Err(GatewayError::Method(_) | GatewayError::Secret { .. } | GatewayError::Client(_)) => None,
    }
}

/// The service, built but not running.
pub struct App {
    pub engine: Engine,
    place: Place,
    settings: Settings,
    ticker: bool,
}

/// Reads the settings of a configuration that has been checked.
pub fn state_dir(settings: &Settings) -> &Path {
    &settings.state_dir
}

pub fn database_path(settings: &Settings) -> PathBuf {
    let file = settings.database.strip_prefix("sqlite:").unwrap_or(&settings.database);
    settings.state_dir.join(file)
}

/// The control socket lies in the runtime directory that systemd gives, else beside the database.
pub fn control_path(settings: &Settings, place: &Place) -> PathBuf {
    place
        .variable("RUNTIME_DIRECTORY")
        .unwrap_or_else(|| settings.state_dir.clone())
        .join("control.sock")
}

/// The rules by which a daemon works: channels opened, the generation noted.
async fn rules_for_service(place: &Place, loaded: Loaded, texts: Texts, store: &Store) -> anyhow::Result<Rules> {
    let generation = store.rules_generation(&loaded.fingerprint).await?;
    let channels = place.channels(&loaded.settings)?;
    Ok(rules(loaded, texts, channels, generation))
}

fn rules(loaded: Loaded, texts: Texts, channels: Channels, generation: i64) -> Rules {
    let Loaded {
        settings,
        rulebook,
        fingerprint,
        ..
    } = loaded;
    Rules {
        settings,
        rulebook,
        texts,
        channels,
        fingerprint,
        generation,
    }
}

impl App {
    /// Loads the configuration and opens the database, as every verb but the daemon looks at them. It needs no secret, sends nothing
    /// and notes no new rules.
    pub async fn open(place: Place, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (loaded, texts) = place.load()?;
        let store = Store::open(&database_path(&loaded.settings)).await?;
        let rules = rules(loaded, texts, Channels::none(), 0);
        Ok(Self::new(place, clock, store, rules).await)
    }

    /// The same for the daemon itself: with channels that can send, and the rules noted as the ones in force.
    pub async fn open_for_service(place: Place, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (loaded, texts) = place.load()?;
        let store = Store::open(&database_path(&loaded.settings)).await?;
        let rules = rules_for_service(&place, loaded, texts, &store).await?;
        Ok(Self::new(place, clock, store, rules).await)
    }

    async fn new(place: Place, clock: Arc<dyn Clock>, store: Store, rules: Rules) -> Self {
        let settings = rules.settings.clone();
        let engine = Engine::new(store, rules, clock);
        engine.look_around().await;
        Self {
            engine,
            place,
            settings,
            ticker: true,
        }
    }

    pub fn control_path(&self) -> PathBuf {
        control_path(&self.settings, &self.place)
    }

    /// Builds a whole new set of rules and swaps it in, or changes nothing and says why.
    pub async fn reload(&self) -> Result<i64, Problems> {
        let (loaded, texts) = self.place.load()?;
        let refused = config::boot_only_changes(&self.settings, &loaded);
        if !refused.is_empty() {
            return Err(Problems::new(refused));
        }
        let fresh = match rules_for_service(&self.place, loaded, texts, &self.engine.store).await {
            Ok(fresh) => fresh,
            Err(error) => {
                return Err(Problems::new(vec![Problem::general(
                    &self.place.config,
                    &format!("{error:#}"),
                )]));
            }
        };
        let generation = fresh.generation;
        self.engine.live.swap(fresh);
        self.engine.bells.ring_all();
        Ok(generation)
    }

    /// Runs until a signal or `enough` ends it: lock, take-over, listeners, loops, READY; and back in the opposite order.
    pub async fn serve(self, lifecycle: Lifecycle, enough: Option<Duration>) -> anyhow::Result<()> {
        let app = Arc::new(self);
        let engine = app.engine.clone();
        let lock = DaemonLock::acquire(&database_path(&app.settings).with_extension("lock"))?;
        app.take_over().await?;
        let listener = tokio::net::TcpListener::bind(app.settings.http.listen)
            .await
            .with_context(|| {
                format!(
                    "http.listen {} 无法监听 / cannot be listened on",
                    app.settings.http.listen
                )
            })?;
        let address = listener.local_addr()?;

        let mut lifecycle = lifecycle;
        let soft = lifecycle.soft();
        let ticker = if app.ticker {
            Some(Ticker::start(&engine).await)
        } else {
            None
        };
        if let Some(Err(error)) = &ticker {
            warn!(error = %crate::telemetry::chain(error), "no ticks; the loops look by themselves");
        }
        let admin = crate::http::admin_state(&engine);
        let serve_http = crate::http::serve(listener, admin, lifecycle.hard());
        lifecycle.spawn("http", async move { serve_http.await.map_err(anyhow::Error::from) });
        let control = control::serve(app.control_path(), handler(Arc::clone(&app)), lifecycle.hard()).await?;
        lifecycle.spawn("control", async move { control.await.map_err(anyhow::Error::from) });

        let (recorder, recording) = Recorder::new(engine.clone());
        lifecycle.spawn("recorder", async move {
            recording.await;
            Ok(())
        });
        let loops = [("planner", soft.clone()), ("digests", soft.clone())];
        for (name, stop) in loops {
            let (engine, beat) = (engine.clone(), lifecycle.beat(name));
            lifecycle.spawn(name, async move {
                match name {
                    "planner" => planner::run(engine, beat, stop).await,
                    _ => digests::run(engine, beat, stop).await,
                }
                Ok(())
            });
        }
        for (name, way) in [("email", Way::Email), ("sms", Way::Sms)] {
            let (engine, beat, stop, recorder) = (engine.clone(), lifecycle.beat(name), soft.clone(), recorder.clone());
            lifecycle.spawn(name, async move {
                sender::run(engine, way, recorder, beat, stop).await;
                Ok(())
            });
        }
        drop(recorder);
        if app.settings.reload.watch {
            app.watch(&mut lifecycle)?;
        }
        lifecycle.start_watchdog();
        notify::ready(&format!(
            "rules {}, http {address}",
            &engine.live.get().fingerprint[..12]
        ));
        info!(%address, database = %engine.store.path().display(), "ready: health and metrics on http://{address}");

        app.until_stopped(&mut lifecycle, enough).await;
        notify::stopping();
        info!("stopping: messages on the wire are finished, nothing new is started");
        if let Some(Ok(ticker)) = ticker {
            ticker.stop().await;
        }
        let ended = lifecycle.finish(GRACE).await;
        engine.store.close().await;
        drop(lock);
        ended.map_err(anyhow::Error::from)
    }

    async fn take_over(&self) -> anyhow::Result<()> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let (again, doubt) = engine.store.take_over(&engine.holder, now).await?;
        if again + doubt > 0 {
            warn!(
                again,
                doubt, "the last run was interrupted: {again} reminders queued again, {doubt} SMS need a person's eyes"
            );
        }
        let newest = engine.store.newest_decision().await?;
        let limit = jiff::SignedDuration::from_hours(CLOCK_BACK_MAX_H);
        if newest.is_some_and(|newest| newest.duration_since(now) > limit) {
            let reason = "系统时间早于已有记录,请核对后恢复 / the clock is behind the ledger; check it, then resume";
            engine.store.pause(ALL, now, "xixin", reason).await?;
            error!(
                "the clock is more than an hour behind what the ledger has seen; sending is on hold until `xixin ctl resume`"
            );
        }
        engine.look_around().await;
        Ok(())
    }

    async fn until_stopped(self: &Arc<Self>, lifecycle: &mut Lifecycle, enough: Option<Duration>) {
        let end = enough.map(|enough| tokio::time::Instant::now() + enough);
        loop {
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                signal = lifecycle.signal() => match signal {
                    Signal::Stop => return,
                    Signal::Reload => {
                        notify::reloading();
                        self.reload_and_tell().await;
                    }
                    Signal::Dump => match status(&self.engine).await {
                        Ok(status) => info!(status = %json!(status), "state"),
                        Err(error) => error!(error = %crate::telemetry::chain(&error), "the state cannot be read"),
                    },
                },
            }
        }
    }

    async fn reload_and_tell(&self) -> Answer {
        match self.reload().await {
            Ok(generation) => {
                let fingerprint = self.engine.live.get().fingerprint.clone();
                notify::ready(&format!("rules {}", &fingerprint[..12]));
                info!(generation, rules = %fingerprint, "new rules are in force");
                Answer::ok(
                    format!("新规则已生效(第{generation}代 {})", &fingerprint[..12]),
                    format!(
                        "the new rules are in force (generation {generation}, {})",
                        &fingerprint[..12]
                    ),
                    json!({ "generation": generation, "rules": fingerprint }),
                )
            }
            Err(problems) => {
                notify::ready("reload refused; the old rules stay in force");
                for problem in problems.iter() {
                    error!("reload refused: {problem}");
                }
                let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Answer::refused(
                    format!("配置有{}处问题,旧规则继续有效", list.len()),
                    format!("{} problems; the old rules stay in force", list.len()),
                    json!({ "problems": list }),
                )
            }
        }
    }

    async fn answer(&self, request: Request) -> Answer {
        let store = &self.engine.store;
        let now = self.engine.clock.now();
        let done = match request {
            Request::Poke { .. } => {
                self.engine.bells.ring_all();
                return Answer::ok("已唤醒", "woken", json!({}));
            }
            Request::Reload => return self.reload_and_tell().await,
            Request::Status => match status(&self.engine).await {
                Ok(status) => return Answer::ok("运行中", "running", json!(status)),
                Err(error) => Err(error),
            },
            Request::SendTest { way, to } => match send_test(&self.engine, way, &to).await {
                Ok(Tested { sent: true, said }) => return Answer::ok(said.zh, said.en, json!({})),
                Ok(Tested { sent: false, said }) => return Answer::refused(said.zh, said.en, json!({})),
                Err(error) => Err(error),
            },
            Request::Pause { channel, reason, who } => {
                let name = channel.unwrap_or_else(|| ALL.to_owned());
                store
                    .pause(&name, now, &who, &reason)
                    .await
                    .map(|()| (format!("已暂停 {name}"), format!("paused {name}")))
            }
            Request::Resume { channel, who } => {
                let name = channel.unwrap_or_else(|| ALL.to_owned());
                store.resume(&name).await.map(|was| {
                    if was {
                        info!(who, "{name} resumed by {who}");
                        (format!("已恢复 {name}"), format!("resumed {name}"))
                    } else {
                        (format!("{name} 本来没有暂停"), format!("{name} was not paused"))
                    }
                })
            }
        };
        match done {
            Ok((zh, en)) => {
                self.engine.look_around().await;
                self.engine.bells.ring_all();
                Answer::ok(zh, en, json!({}))
            }
            Err(error) => {
                self.engine.note_store_error(&error);
                Answer::refused("数据库出错", crate::telemetry::chain(&error), json!({}))
            }
        }
    }

    /// Reloads when somebody saves a file of the configuration.
    fn watch(self: &Arc<Self>, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
        let (sender, mut changed) = tokio::sync::mpsc::channel(1);
        let told = move |result: notify_debouncer_full::DebounceEventResult| {
            let writes = |event: &notify_debouncer_full::DebouncedEvent| !event.kind.is_access();
            if result.is_ok_and(|events| events.iter().any(writes)) {
                // A full channel means that a reload is coming anyway.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify_debouncer_full::new_debouncer(Duration::from_millis(500), None, told)?;
        watcher.watch(
            &self.place.config,
            notify_debouncer_full::notify::RecursiveMode::Recursive,
        )?;
        let (app, stop) = (Arc::clone(self), lifecycle.soft());
        lifecycle.spawn("watch", async move {
            let _watcher = watcher;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    event = changed.recv() => match event {
                        Some(()) => drop(app.reload_and_tell().await),
                        None => return Ok(()),
                    },
                }
            }
        });
        Ok(())
    }
}

fn handler(
    app: Arc<App>,
) -> impl Fn(Request) -> futures_util::future::BoxFuture<'static, Answer> + Clone + Send + Sync {
    move |request| {
        let app = Arc::clone(&app);
        Box::pin(async move { app.answer(request).await })
    }
}

/// Tells a running daemon that facts changed; without one nothing is lost, the next start sees them.
pub async fn poke(settings: &Settings, place: &Place, case: Option<String>) {
    let path = control_path(settings, place);
    if path.exists()
        && let Err(error) = control::ask(&path, &Request::Poke { case }, Duration::from_secs(2)).await
    {
        tracing::debug!("no daemon to wake: {error}");
    }
}

/// The instant a read verb looks at the data: `--now`, or the clock.
pub fn now_or(given: Option<Timestamp>, clock: &dyn Clock) -> Timestamp {
    given.unwrap_or_else(|| clock.now())
}
