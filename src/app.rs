//! Builds the service from a live configuration; start and stop order in one place.

mod answer;
mod holds;
mod keys;
mod moved;
mod opened;
mod place;
mod saw;
mod watch;

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::channel::Channels;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::api::Listen;
use crate::config::settings::Settings;
use crate::control::{self, Answer, ControlError, Request};
use crate::domain::ladder::Way;
use crate::engine::bell::Bell;
use crate::engine::live::Rules;
use crate::engine::recorder::Recorder;
use crate::engine::takeover::TakenOver;
use crate::engine::ticker::Ticker;
use crate::engine::{
    Engine, asker, digests, heartbeat, hints, inbound, lookout, nodes, person, planner, retention, sender, trouble,
};
use crate::http::{self, AdminState, Door};
use crate::lifecycle::{Lifecycle, Pulse, Signal, notify};
use crate::lock::DaemonLock;
use crate::store::ballast::Ballast;
use crate::store::location::Location;
use crate::store::sent::{Fit, SentLog};
use crate::store::switches::CLOCK;
use crate::store::{Store, StoreError, commit, incarnation};
use crate::template::Texts;

pub use keys::{key_file, masters, masters_to_write};
pub use moved::settle_move;
pub use opened::OpenError;
pub use place::{Place, control_to_ask, database_path, location, lock_path, sent_log_path};

/// Where earlier versions kept mail that came back and that nobody made sense of.
const KEPT_BOUNCES: &str = "bounces";
/// How long a stop waits for messages on the wire.
const GRACE: Duration = Duration::from_secs(20);
/// How long a verb waits for the daemon to wake.
const POKE_MAX: Duration = Duration::from_secs(2);
/// Before the start, the clock may lie this much behind what the ledger has seen.
const CLOCK_BACK_MAX_H: i64 = 1;

/// Why everything is held, in one line for people.
const RESTORED: &str = "由备份恢复,核对后放行 / restored from a backup: look at what would leave, then release it";
const OLDER: &str = "数据库比发送记录旧(可能被旧副本替换),核对后放行 / the database is older than sent.log, as if an old copy had been put in its place: \
     look at what would leave, then release it";
const LOST: &str = "发送记录 sent.log 不见了,无法得知已发出什么;核对后放行 / sent.log is gone, and with it what has left: \
     look at what would leave, then release it";

/// For whoever puts a copy in place that is older than what `sent.log` remembers.
pub fn forgotten(since: jiff::civil::Date) -> String {
    format!(
        "sent.log 只记得 {since} 以后发出的,更早发出的可能再发一次 / sent.log knows only what has left since {since}; what left before may leave again"
    )
}

/// The scheduler's actors can hang; ending them may take this long.
const TICKER_MAX: Duration = Duration::from_secs(2);

/// Opens a listener where the settings want it.
async fn open_door(key: &str, wanted: &Listen) -> anyhow::Result<Door> {
    let failed = || {
        format!(
            "{key} {wanted} 无法监听,请停止占用它的程序或改用别的地址 / cannot be listened on; stop what uses it, or name another address"
        )
    };
    match wanted {
        Listen::Tcp(address) => Ok(Door::Tcp(TcpListener::bind(address).await.with_context(failed)?)),
        Listen::Unix(path) => {
            let listener = control::bind(path).await.with_context(failed)?;
            // For the proxy of the same group.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(failed)?;
            Ok(Door::Unix(listener, path.clone()))
        }
    }
}

/// The service, built but not running.
pub struct App {
    pub engine: Engine,
    place: Place,
    settings: Settings,
    lock: Option<DaemonLock>,
    reloading: tokio::sync::Mutex<()>,
    /// Known once this process serves.
    http: OnceLock<SocketAddr>,
    inbound: OnceLock<SocketAddr>,
    api: OnceLock<SocketAddr>,
    pulse: OnceLock<Pulse>,
}

/// What only one process on a database has: the daemon.
struct Alone {
    lock: Option<DaemonLock>,
    sent: SentLog,
    ballast: Ballast,
    bell: Bell,
}

impl Alone {
    /// For all the others.
    fn none() -> Self {
        Self {
            lock: None,
            sent: SentLog::of_none(),
            ballast: Ballast::of_none(),
            bell: Bell::default(),
        }
    }
}

/// Under a second name in the file system the database would have a second lock and a second write-ahead log: two daemons could send from
/// it, and SQLite damages such a file (its page "How to corrupt", 2.5).
fn refuse_second_name(database: &Path) -> anyhow::Result<()> {
    let names = std::fs::metadata(database).map_or(1, |meta| meta.nlink());
    anyhow::ensure!(
        names == 1,
        "数据库 {0} 有{names}个名字(硬链接),可能被两个服务同时使用;请删去其余的名字(find -samefile 可找到)再启动 / \
         the database {0} has {names} names (hard links), so that two daemons could use it; remove the others (find -samefile shows them), then start again",
        database.display()
    );
    Ok(())
}

/// Opens the log of what has left. A database that does not know of all that is in it has been restored, by whatever means: it holds
/// everything until a person has looked.
async fn open_sent_log(path: &Path, store: &Store, now: Timestamp) -> anyhow::Result<SentLog> {
    let failed = || format!("无法使用 {0} / {0} cannot be used", path.display());
    let incarnation = store.incarnation().await?;
    let (log, fit) = SentLog::open(path, &incarnation, store.sent_serial().await?).with_context(failed)?;
    if store.is_shared() {
        // What a node knows and the database does not, it tells the others before it sends (`Engine::meet_server`).
        match fit {
            Fit::Lost => drop(store.hold(now, "xixin", LOST).await?),
            Fit::Older if log.is_of(&incarnation) => store.begin_new_life().await?,
            Fit::Same | Fit::Restored | Fit::Older => {}
        }
        return Ok(log);
    }
    let name = match fit {
        Fit::Same => return Ok(log),
        Fit::Restored => {
            store.hold(now, "xixin", RESTORED).await?;
            incarnation
        }
        Fit::Lost => {
            store.hold(now, "xixin", LOST).await?;
            incarnation
        }
        Fit::Older => {
            let mut tx = store.begin().await?;
            let reason = match log.gap() {
                None => OLDER.to_owned(),
                Some(since) => format!("{OLDER}; {}", forgotten(since)),
            };
            let name = incarnation::renew(&mut tx, now, "xixin", &reason).await?;
            // The same copy may have been put in place before.
            incarnation::skip_numbers(&mut tx, now, log.lives()).await?;
            commit(tx, "name the restored database").await?;
            name
        }
    };
    log.name(&name).with_context(failed)?;
    error!(
        sent_earlier = log.earlier_count(),
        "the database is not the one that sent last; nothing is sent until somebody releases it with `xixin ctl release`"
    );
    Ok(log)
}

/// What only the process does that is alone on its database: brings it up to date, and opens what lies beside it.
async fn open_alone(
    place: &Place,
    settings: &Settings,
    location: &Location,
    now: Timestamp,
) -> anyhow::Result<(Store, SentLog)> {
    let (masters, fresh) = masters_to_write(place, settings, location).await?;
    settle_move(place, settings, (location, &masters), (now, "xixin")).await?;
    let store = location
        .open(&masters)
        .await
        .inspect_err(|error| fresh.give_up(error))?;
    person::erase::again(&store, now).await?;
    let sent = open_sent_log(&sent_log_path(settings), &store, now).await?;
    Ok((store, sent))
}

/// The rules by which a daemon works: channels opened, the generation noted.
async fn rules_for_service(place: &Place, loaded: Loaded, texts: Texts, store: &Store) -> anyhow::Result<Rules> {
    let channels = place.channels_of(&loaded)?;
    let generation = store.rules_generation(&loaded.fingerprint).await?;
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
    /// Loads the configuration and looks at the database without changing anything. A database that is missing or of another
    /// version is refused: the directory may be the wrong one.
    pub async fn look(place: Place, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (loaded, texts) = place.load()?;
        let masters = masters(&place, &loaded.settings)?;
        let store = location(&place, &loaded.settings)?.look(masters.as_ref()).await?;
        let rules = rules(loaded, texts, Channels::none(), 0);
        Ok(Self::new(place, clock, store, rules, Alone::none()).await)
    }

    /// Loads the configuration and opens the database, made and brought up to date, for the verbs that write. It needs no secret,
    /// sends nothing and notes no new rules. Nothing is brought up to date under a daemon that runs.
    pub async fn open(place: Place, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (loaded, texts) = place.load()?;
        let location = location(&place, &loaded.settings)?;
        let (masters, fresh) = masters_to_write(&place, &loaded.settings, &location).await?;
        let opened = opened::open_beside(&location, &lock_path(&loaded.settings), &masters).await;
        let store = opened.inspect_err(|error| fresh.give_up_on(error))?;
        person::erase::again(&store, clock.now()).await?;
        let rules = rules(loaded, texts, Channels::none(), 0);
        Ok(Self::new(place, clock, store, rules, Alone::none()).await)
    }

    /// The same for the daemon itself: alone on its database, with channels that can send, and the rules noted as the ones in force.
    pub async fn open_for_service(place: Place, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (loaded, texts) = place.load()?;
        Self::for_service(place, loaded, texts, clock).await
    }

    /// The lock comes before the database is opened, so that a second daemon neither upgrades it nor writes to it.
    pub async fn for_service(
        place: Place,
        loaded: Loaded,
        texts: Texts,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let lock = DaemonLock::acquire(&lock_path(&loaded.settings))?;
        let location = location(&place, &loaded.settings)?;
        location.file().map_or(Ok(()), refuse_second_name)?;
        let opened = open_alone(&place, &loaded.settings, &location, clock.now()).await;
        let (store, sent) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let is_damaged = error.downcast_ref::<StoreError>().is_some_and(StoreError::is_damage);
                // Mail that cannot be set up keeps the other ways from nothing.
                let channels = place.channels(&loaded.settings).ok();
                let mail = channels.as_ref().and_then(|channels| channels.mail.as_ref());
                trouble::cannot_start((&loaded.settings, mail), &location, is_damaged, clock.now()).await;
                return Err(error);
            }
        };
        let rules = rules_for_service(&place, loaded, texts, &store).await?;
        let ballast = location.file().map_or_else(Ballast::of_none, Ballast::beside);
        let bell = Bell::beside(store.path());
        let alone = Alone {
            lock: Some(lock),
            sent,
            ballast,
            bell,
        };
        let app = Self::new(place, clock, store, rules, alone).await;
        let engine = &app.engine;
        engine.meet_server().await?;
        engine.note_known(engine.clock.now()).await?;
        engine.gate.set_comparing(false);
        Ok(app)
    }

    async fn new(place: Place, clock: Arc<dyn Clock>, store: Store, rules: Rules, alone: Alone) -> Self {
        let Alone {
            lock,
            sent,
            ballast,
            bell,
        } = alone;
        let settings = rules.settings.clone();
        let engine = Engine::new(store, rules, clock, sent, ballast, bell);
        engine.look_around().await;
        Self {
            engine,
            place,
            settings,
            lock,
            reloading: tokio::sync::Mutex::default(),
            http: OnceLock::new(),
            inbound: OnceLock::new(),
            api: OnceLock::new(),
            pulse: OnceLock::new(),
        }
    }

    /// Runs until a signal or `enough` ends it: lock, take-over, listeners, loops, READY; and back in the opposite order.
    pub async fn serve(mut self, mut lifecycle: Lifecycle, enough: Option<Duration>) -> anyhow::Result<()> {
        let mut lock = match self.lock.take() {
            Some(lock) => lock,
            None => DaemonLock::acquire(&lock_path(&self.settings))?,
        };
        let app = Arc::new(self);
        let engine = app.engine.clone();
        engine.sign_of_life().await?;
        app.take_over().await?;
        let kept = app.settings.state_dir.join(KEPT_BOUNCES);
        engine.seal_kept_files(&kept, engine.clock.now()).await;
        engine.look_at_ballast().await;

        let address = app.listen(&mut lifecycle, &mut lock).await?;
        let ticker = Ticker::start(&engine).await;
        if let Err(error) = &ticker {
            warn!(error = %crate::telemetry::chain(error), "no ticks; the loops look by themselves");
        }
        start_loops(&engine, &mut lifecycle);
        if app.settings.reload.watch {
            watch::start(&app, &mut lifecycle)?;
        }
        lifecycle.start_watchdog();
        notify::ready(&app.status_line());
        info!(%address, database = %engine.store.location(), "ready: health and metrics on http://{address}");

        app.until_stopped(&mut lifecycle, enough).await;
        notify::stopping();
        info!("stopping: messages on the wire are finished, nothing new is started; a second signal ends at once");
        if let Ok(ticker) = ticker
            && tokio::time::timeout(TICKER_MAX, ticker.stop()).await.is_err()
        {
            warn!("the ticks do not stop; they end with the process");
        }
        let ended = lifecycle.finish(GRACE).await;
        engine.end_life().await;
        engine.store.close().await;
        drop(lock);
        if ended.is_ok() {
            info!("stopped");
        }
        ended.map_err(anyhow::Error::from)
    }

    /// Opens the listener for health and metrics and the control socket.
    async fn listen(self: &Arc<Self>, lifecycle: &mut Lifecycle, lock: &mut DaemonLock) -> anyhow::Result<SocketAddr> {
        let wanted = self.settings.http.listen;
        let listener = TcpListener::bind(wanted).await.with_context(|| {
            format!(
                "http.listen {wanted} 无法监听,请停止占用它的程序或改用别的端口 / cannot be listened on; stop what uses it, or name another port"
            )
        })?;
        let address = listener.local_addr()?;
        // Each is set here only, and a process serves once.
        let _ = self.http.set(address);
        let _ = self.pulse.set(lifecycle.pulse());
        let state = AdminState {
            engine: self.engine.clone(),
            pulse: lifecycle.pulse(),
        };
        let serving = http::serve(listener, state, lifecycle.hard());
        lifecycle.listen("http", async move { Ok(serving.await?) });

        if let Some(wanted) = self.settings.inbound.listen {
            let listener = TcpListener::bind(wanted).await.with_context(|| {
                format!(
                    "inbound.listen {wanted} 无法监听,请停止占用它的程序或改用别的端口 / cannot be listened on; stop what uses it, or name another port"
                )
            })?;
            info!("gateways may call http://{}/SECRET/NAME", listener.local_addr()?);
            // Each is set here only, and a process serves once.
            let _ = self.inbound.set(listener.local_addr()?);
            let hearing = http::inbound::serve(listener, self.engine.clone(), lifecycle.hard());
            lifecycle.listen("gateways", async move { Ok(hearing.await?) });
        }
        if let Some(wanted) = &self.settings.api.listen {
            let door = open_door("api.listen", wanted).await?;
            if let Door::Tcp(listener) = &door {
                // Each is set here only, and a process serves once.
                let _ = self.api.set(listener.local_addr()?);
            }
            info!("other systems may ask at {wanted}");
            let serving = http::api::serve(door, self.engine.clone(), lifecycle.hard());
            lifecycle.listen("api", async move { Ok(serving.await?) });
        }
        let path = self.place.control_to_open(&self.settings);
        let answering = control::serve(path.clone(), handler(Arc::clone(self)), lifecycle.hard()).await?;
        lifecycle.listen("control", async move { Ok(answering.await?) });
        lock.tell_control(&std::path::absolute(path)?)?;
        Ok(address)
    }

    pub async fn take_over(&self) -> anyhow::Result<()> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let taken = engine.take_over(now).await;
        if let Err(error) = &taken {
            engine.note_store_error(error).await;
        }
        let TakenOver { again, held, doubtful } = taken?;
        if again > 0 || held > 0 || doubtful > 0 {
            warn!(
                again,
                held,
                doubtful,
                "the last run was interrupted: {again} reminders queued again, {held} held because runs die over them, \
                 {doubtful} messages need a person's eyes"
            );
        }
        let newest = engine.store.newest_decision().await?;
        let limit = jiff::SignedDuration::from_hours(CLOCK_BACK_MAX_H);
        if newest.is_some_and(|newest| newest.duration_since(now) > limit) {
            let reason = "系统时间早于已有记录,请核对后恢复 / the clock is behind the ledger; check it, then resume";
            engine.store.pause(CLOCK, now, "xixin", reason).await?;
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
                    // Said in the log and to the service manager; nobody else waits for the answer.
                    Signal::Reload => drop(self.reload_and_tell().await),
                    Signal::Dump => self.dump().await,
                },
            }
        }
    }
}

/// The recorder ends when the last sender has gone.
fn start_loops(engine: &Engine, lifecycle: &mut Lifecycle) {
    let (recorder, recording) = Recorder::new(engine.clone());
    lifecycle.spawn("recorder", async move {
        recording.await;
        Ok(())
    });
    let looking = lookout::run(engine.clone(), lifecycle.beat("lookout"), lifecycle.soft());
    lifecycle.spawn("lookout", async move { Ok(looking.await?) });
    if engine.node.is_some() {
        let living = nodes::run(engine.clone(), lifecycle.beat("nodes"), lifecycle.soft());
        lifecycle.spawn("nodes", async move {
            living.await;
            Ok(())
        });
    }
    if engine.node.is_some() {
        let hearing = hints::run(engine.clone(), lifecycle.soft());
        lifecycle.spawn("hints", async move {
            hearing.await;
            Ok(())
        });
    }
    let asking = asker::run(engine.clone(), lifecycle.beat("asker"), lifecycle.soft());
    lifecycle.spawn("asker", async move {
        asking.await;
        Ok(())
    });
    let planning = planner::run(engine.clone(), lifecycle.beat("planner"), lifecycle.soft());
    lifecycle.spawn("planner", async move {
        planning.await;
        Ok(())
    });
    let digesting = digests::run(engine.clone(), lifecycle.beat("digests"), lifecycle.soft());
    lifecycle.spawn("digests", async move {
        digesting.await;
        Ok(())
    });
    let proving = heartbeat::run(engine.clone(), lifecycle.beat("heartbeat"), lifecycle.soft());
    lifecycle.spawn("heartbeat", async move {
        proving.await;
        Ok(())
    });
    let retiring = retention::watch(engine.clone(), lifecycle.soft());
    lifecycle.spawn("retention", async move {
        retiring.await;
        Ok(())
    });
    let hearing = inbound::run(engine.clone(), lifecycle.beat("inbound"), lifecycle.soft());
    lifecycle.spawn("inbound", async move {
        hearing.await;
        Ok(())
    });
    for way in [Way::Email, Way::Sms] {
        let (beat, stop) = (lifecycle.beat(way.name()), lifecycle.soft());
        let sending = sender::run(engine.clone(), way, recorder.clone(), beat, stop);
        lifecycle.spawn(way.name(), async move {
            sending.await;
            Ok(())
        });
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

/// Tells a running daemon that facts changed, here or, when there is none here, wherever one shares the database; without any nothing
/// is lost, the next start sees them.
pub async fn poke(app: &App, case: Option<String>) {
    let path = control_to_ask(&app.engine.live.get().settings);
    match control::ask(&path, &Request::Poke { case }, POKE_MAX).await {
        Ok(_) => {}
        Err(ControlError::Absent { .. }) => {
            if let Err(error) = app.engine.store.hint(&app.engine.holder).await {
                warn!("the other nodes were not woken and will see the change within 5 s: {error}");
            }
        }
        Err(error) => warn!("the daemon was not woken and will see the change within 15 s: {error}"),
    }
}

/// The instant a verb looks at the data: `--now`, or the clock.
pub fn now_or(given: Option<Timestamp>, clock: &dyn Clock) -> Timestamp {
    given.unwrap_or_else(|| clock.now())
}
