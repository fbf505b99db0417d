//! Where everything is: the configuration, the database, the lock and the control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::channel::sms::{GatewayError, WebGateway};
use crate::channel::verp::ReturnPath;
use crate::channel::{ChannelError, Channels};
use crate::config::problem::{Problem, Problems};
use crate::config::settings::{Settings, SmsHttp};
use crate::config::{self, HasText, Loaded};
use crate::domain::ids::TextId;
use crate::domain::text::{Said, said};
use crate::engine::nodes;
use crate::lock::DaemonLock;
use crate::store::location::Location;
use crate::store::postgres;
use crate::template::Texts;

/// The name of the control socket in its directory.
const CONTROL: &str = "control.sock";

/// The name after which a node names what it keeps beside a database on a server.
const BESIDE_SERVER: &str = "xixin.db";

/// Symbolic links that are followed; more lead round in a circle.
const LINKS_MAX: usize = 40;

/// Where systemd keeps the credentials of the shipped unit (systemd.exec(5), `$CREDENTIALS_DIRECTORY`).
const CREDENTIALS: &str = "/run/credentials/xixin.service";

/// Where the configuration is and what surrounds it.
#[derive(Debug, Clone)]
pub struct Place {
    pub config: PathBuf,
    pub environment: BTreeMap<String, String>,
}

impl Place {
    /// Variables that are not Unicode are none of ours.
    pub fn new(config: PathBuf) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            config,
            environment: std::env::vars_os().filter_map(text).collect(),
        }
    }

    /// The channels that the settings describe, with their secrets.
    pub fn channels(&self, settings: &Settings) -> Result<Channels, ChannelError> {
        Channels::open(settings, &settings.state_dir, self.credentials().as_deref())
    }

    /// The same for a configuration with its places: what cannot be set up is a problem of the setting that is to blame.
    pub fn channels_of(&self, loaded: &Loaded) -> Result<Channels, Problems> {
        self.channels(&loaded.settings).map_err(|error| {
            let fix = said!(
                "请核对,并让服务账户能读取",
                "check it, and that the account that xixin runs as can read it"
            );
            Problems::new(vec![loaded.setting_problem(&error.key, error.what(), fix)])
        })
    }

    /// Where mail comes back to, for whoever reads what came.
    pub fn return_path(&self, settings: &Settings) -> anyhow::Result<Option<ReturnPath>> {
        let bounces = settings.mail.bounces.as_ref();
        bounces
            .map(|bounces| ReturnPath::new(bounces, self.credentials().as_deref()))
            .transpose()
            .context("mail.bounces.key 无法使用 / cannot be used")
    }

    /// Where the service manager keeps the secrets.
    pub fn credentials(&self) -> Option<PathBuf> {
        let given = self.environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        // A verb that root runs beside the daemon reads what systemd keeps for it.
        given.or_else(|| Some(PathBuf::from(CREDENTIALS)).filter(|dir| dir.is_dir()))
    }

    /// Who runs this process: the name from people.toml that `XIXIN_AS` gives, else the login. One short line, whatever they hold.
    pub fn who(&self) -> String {
        const LONGEST: usize = 64;
        let name = ["XIXIN_AS", "SUDO_USER", "LOGNAME", "USER"]
            .into_iter()
            .find_map(|name| self.environment.get(name).filter(|value| !value.trim().is_empty()));
        let name = name.map_or("unknown", |name| name.trim());
        name.chars()
            .filter(|letter| !letter.is_control())
            .take(LONGEST)
            .collect()
    }

    /// Reads and checks everything: settings, rules and texts. All problems at once, or none.
    pub fn load(&self) -> Result<(Loaded, Texts), Problems> {
        self.load_by(&|has_text| config::load(&self.config, &self.environment, has_text))
    }

    /// The same as if one file of the configuration, such as `calendar/2027.toml`, held this text. Nothing is written.
    pub fn load_edited(&self, file: &str, text: &str) -> Result<(Loaded, Texts), Problems> {
        self.load_by(&|has_text| config::load_edited(&self.config, (file, text), &self.environment, has_text))
    }

    fn load_by(&self, load: &dyn Fn(HasText<'_>) -> Result<Loaded, Problems>) -> Result<(Loaded, Texts), Problems> {
        let (texts, mut problems) = Texts::load(&self.config.join("templates"));
        // Of a text with problems of its own it is not said that it is missing as well.
        let told: BTreeSet<String> = problems.iter().filter_map(text_of).map(str::to_owned).collect();
        let has_text = |text: &TextId, way, audience| texts.has(text, way, audience) || told.contains(text.as_str());
        match load(&has_text) {
            Ok(loaded) => {
                problems.extend(gateway_problems(&loaded, &texts));
                if problems.is_empty() {
                    return Ok((loaded, texts));
                }
            }
            Err(more) => problems.extend(more.into_vec()),
        }
        Err(Problems::new(problems))
    }

    /// The operators' settings alone: enough to find the daemon while a rule file is broken.
    pub fn settings(&self) -> Result<Settings, Problems> {
        config::settings_alone(&self.config, &self.environment)
    }

    /// The control socket in the runtime directory that systemd gives.
    pub fn runtime_control(&self) -> Option<PathBuf> {
        // More than one directory may be named, with colons between them (systemd.exec(5)); the first is the main one.
        let first = self.environment.get("RUNTIME_DIRECTORY")?.split(':').next()?;
        Some(PathBuf::from(first).join(CONTROL))
    }

    /// Where a daemon opens its control socket: in the runtime directory, else beside the database.
    pub fn control_to_open(&self, settings: &Settings) -> PathBuf {
        self.runtime_control()
            .unwrap_or_else(|| settings.state_dir.join(CONTROL))
    }
}

/// Where the database is, with what it takes to reach it.
pub fn location(place: &Place, settings: &Settings) -> anyhow::Result<Location> {
    let path = database_path(settings);
    let Some(server) = settings.server() else {
        return Ok(Location::File(path));
    };
    let password = settings.postgres.password.as_ref();
    let password = password.map(|source| source.read(place.credentials().as_deref()));
    let password = password
        .transpose()
        .context("postgres.password: 口令无法读取 / the password cannot be read")?;
    let password = password.as_ref().map(|password| password.expose_secret());
    let server = postgres::Server::new((&server, &settings.postgres), password, &path, node_name(settings));
    Ok(Location::Server(Box::new(server)))
}

/// What this node is called among those of one database.
fn node_name(settings: &Settings) -> String {
    match settings.node.as_str() {
        "" => nodes::host(),
        name => name.to_owned(),
    }
}

/// The file of the database; where that is on a server, the file that it would be: what is beside it belongs to this node.
pub fn database_path(settings: &Settings) -> PathBuf {
    let file = settings.database.strip_prefix("sqlite:").unwrap_or(BESIDE_SERVER);
    settings.state_dir.join(file)
}

/// What has left, beside the database and not in it.
pub fn sent_log_path(settings: &Settings) -> PathBuf {
    settings.state_dir.join("sent.log")
}

/// Beside the file itself and not beside a link to it: two names for one database are one database.
pub fn lock_path(settings: &Settings) -> PathBuf {
    let mut database = database_path(settings);
    for _ in 0..LINKS_MAX {
        let Ok(target) = std::fs::read_link(&database) else {
            break;
        };
        database = database.parent().unwrap_or(Path::new("")).join(target);
    }
    database.with_extension("lock")
}

/// Where the daemon of this database answers: as it wrote beside its lock, since other processes do not see its runtime directory.
pub fn control_to_ask(settings: &Settings) -> PathBuf {
    let told = DaemonLock::last(&lock_path(settings)).and_then(|holder| holder.control);
    told.unwrap_or_else(|| settings.state_dir.join(CONTROL))
}

/// The text that a problem is about: `templates/<lang>/<text>/…`.
fn text_of(problem: &Problem) -> Option<&str> {
    problem.file.strip_prefix("templates/")?.split('/').nth(1)
}

/// What is wrong with the SMS gateways: templates of requests that cannot be rendered, templates of clouds that cannot be filled.
fn gateway_problems(loaded: &Loaded, texts: &Texts) -> Vec<Problem> {
    let sms = &loaded.settings.sms;
    let single = sms.http.iter().map(|gateway| ("sms.http".to_owned(), gateway));
    let named = sms.gateway.iter().filter_map(|(name, gateway)| {
        let key = format!("sms.gateway.{name}.http");
        Some((key, gateway.http.as_ref()?))
    });
    let mut problems: Vec<Problem> = single
        .chain(named)
        .filter_map(|(key, gateway)| request_problem(loaded, &key, gateway))
        .collect();
    for problem in texts.coded_problems(&sms.gateway) {
        let kind = sms.gateway[&problem.gateway]
            .kinds()
            .first()
            .map_or("", |kind| kind.name());
        let key = format!("sms.gateway.{}.{kind}.templates.{}", problem.gateway, problem.key);
        problems.push(loaded.setting_problem(&key, problem.what, problem.fix));
    }
    problems.extend(config::unsayable(loaded));
    problems
}

/// A template of a request that cannot be rendered. Secrets are not needed for that: only the service can read them.
fn request_problem(loaded: &Loaded, key: &str, gateway: &SmsHttp) -> Option<Problem> {
    match WebGateway::http(gateway, None) {
        Err(GatewayError::Template { key: part, detail }) => {
            let values = if part.starts_with("query.") {
                "to, id, nonce, now(\"%s\"), sent(\"%s\")"
            } else {
                "to, text, signature, id, nonce, now(\"%s\")"
            };
            let fix = said!(
                "可用: {values}, secret.名称,以及过滤器 md5, sha256, hmac_sha256, hmac_md5, base64, hex_to_base64, urlencode, tojson",
                "allowed: {values}, secret.NAME and the filters md5, sha256, hmac_sha256, hmac_md5, base64, hex_to_base64, urlencode, tojson"
            );
            let Said { zh, en } = Said::parse(&detail);
            let what = said!("模板有误: {zh}", "{en}");
            Some(loaded.setting_problem(&format!("{key}.{part}"), what, fix))
        }
        Err(GatewayError::NotJson { key: part }) => {
            let fix = said!(
                "请写 {{{{ text|tojson }}}},外面不加引号",
                "write {{{{ text|tojson }}}}, without quotes around it"
            );
            let what = said!(
                "请求头说是 JSON,但文字里有引号或换行时就不是",
                "the headers say JSON, but with quotes and line breaks in the text it is none"
            );
            Some(loaded.setting_problem(&format!("{key}.{part}"), what, fix))
        }
        Ok(_)
        | Err(GatewayError::Method(_) | GatewayError::Secret { .. } | GatewayError::Url(_) | GatewayError::Client(_)) => {
            None
        }
    }
}
