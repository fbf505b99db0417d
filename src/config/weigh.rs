//! What serde cannot judge of the settings: ranges, names and what belongs together.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::api::weigh_api;
use super::layers::Origin;
use super::postgres::{Fault, PostgresTls, Server};
use super::problem::Problem;
use super::rules::{check_line, plausible_email};
use super::secret::SecretSource;
use super::settings::{MailTransport, PersonalData, Retention, Settings, SmsTransport, Smtp, SmtpAuth, SmtpTls, zone};
use super::weigh_sms::{weigh_inbound, weigh_sms};
use crate::domain::ladder::Way;
use crate::domain::text::{Said, said};

/// Hears all of it, each where it was written.
pub(super) fn weigh(settings: &Settings, origin: &Origin, heard: &mut Vec<Problem>) {
    let mut wrong = |key: &str, what: Said, allowed: Said| heard.push(origin.problem(key, what, allowed));
    if zone(settings).is_none() {
        let what = said!("没有时区“{}”", "there is no time zone \"{}\"", settings.zone);
        wrong(
            "zone",
            what,
            said!(
                "可用: IANA 时区名,如 \"Asia/Shanghai\"",
                "allowed: an IANA name, such as \"Asia/Shanghai\""
            ),
        );
    }
    weigh_database(settings, &mut wrong);
    if !settings.http.listen.ip().is_loopback() {
        let what = said!(
            "{} 不是本机地址",
            "{} is not a loopback address",
            settings.http.listen.ip()
        );
        let fix = said!(
            "可用: 127.0.0.1:端口 或 [::1]:端口;要让别的机器访问,请在前面放反向代理",
            "allowed: 127.0.0.1:PORT or [::1]:PORT; put a reverse proxy in front for others"
        );
        wrong("http.listen", what, fix);
    }
    weigh_keys(&settings.personal_data, &mut wrong);
    let filter = &settings.log.filter;
    if filter.trim().is_empty() || tracing_subscriber::EnvFilter::try_new(filter).is_err() {
        let what = said!("“{filter}”不是日志过滤规则", "\"{filter}\" is no filter");
        wrong(
            "log.filter",
            what,
            said!(
                "可用: 级别,或 模块=级别,如 \"info,xixin::engine=debug\"",
                "allowed: a level or target=level, such as \"info,xixin::engine=debug\""
            ),
        );
    }
    weigh_mail(settings, &mut wrong);
    weigh_servers(settings, origin, &mut wrong);
    weigh_sms(settings, &mut wrong);
    weigh_heartbeat(settings, &mut wrong);
    weigh_alarm(settings, &mut wrong);
    weigh_retention(&settings.retention, &mut wrong);
    weigh_inbound(settings, &mut wrong);
    weigh_api(settings, &mut wrong);
}

fn weigh_database(settings: &Settings, wrong: Wrong<'_>) {
    let server = match Server::parse(&settings.database) {
        Some(Ok(server)) => server,
        Some(Err(Fault { what, fix })) => return wrong("database", what, fix),
        None => return weigh_file(&settings.database, wrong),
    };
    let postgres = &settings.postgres;
    check_range("postgres.connections", u64::from(postgres.connections), 1, 50, wrong);
    check_range(
        "postgres.statement_timeout_s",
        postgres.statement_timeout_s,
        1,
        3600,
        wrong,
    );
    check_range("postgres.lock_timeout_s", postgres.lock_timeout_s, 1, 600, wrong);
    match postgres.tls {
        Some(PostgresTls::None) if postgres.ca.is_some() => {
            let what = said!(
                "不加密就无从核对证书",
                "without encryption there is nobody to vouch for"
            );
            let fix = said!(
                "请去掉,或用 \"verify_full\" 或 \"verify_ca\"",
                "leave it out, or use \"verify_full\" or \"verify_ca\""
            );
            wrong("postgres.ca", what, fix);
        }
        Some(PostgresTls::None) if postgres.password.is_some() && !server.is_here() => {
            let what = said!(
                "个人信息会不加密地经过网络",
                "what is known of people would cross the network unencrypted"
            );
            let fix = said!(
                "有口令时可用: \"verify_full\" 或 \"verify_ca\"",
                "allowed with a password: \"verify_full\" or \"verify_ca\""
            );
            wrong("postgres.tls", what, fix);
        }
        _ => {}
    }
}

fn weigh_file(database: &str, wrong: Wrong<'_>) {
    let file = database.strip_prefix("sqlite:").unwrap_or_default();
    if !file.is_empty() && !file.contains('?') {
        return;
    }
    let what = match database.contains('@') {
        // It may hold a password.
        true => said!("这不是本版本能打开的数据库", "it is no database this version can open"),
        false => said!(
            "“{}”不是本版本能打开的数据库",
            "\"{}\" is no database this version can open",
            database
        ),
    };
    let fix = said!(
        "可用: \"sqlite:文件\"(相对于 state_dir),或 \"postgres://用户@主机:端口/库名\"",
        "allowed: \"sqlite:FILE\", relative to state_dir, or \"postgres://USER@HOST:PORT/NAME\""
    );
    wrong("database", what, fix);
}

fn weigh_alarm(settings: &Settings, wrong: Wrong<'_>) {
    let alarm = &settings.alarm;
    check_range(
        "alarm.every_min",
        u64::try_from(alarm.every_min).unwrap_or(0),
        1,
        1440,
        wrong,
    );
    if alarm
        .command
        .first()
        .is_some_and(|program| !Path::new(program).is_absolute())
    {
        let fix = said!(
            "请写完整路径,如 [\"/usr/local/bin/tell-operators\"]",
            "write the whole path, such as [\"/usr/local/bin/tell-operators\"]"
        );
        wrong(
            "alarm.command",
            said!("程序没有写完整路径", "the program is not named by its whole path"),
            fix,
        );
    }
    if !alarm.url.is_empty() && !alarm.url.starts_with("http://") && !alarm.url.starts_with("https://") {
        wrong(
            "alarm.url",
            said!("这不是网址", "it is no web address"),
            said!(
                "请写成 https://主机/路径,或留空",
                "write it like https://HOST/PATH, or leave it empty"
            ),
        );
    }
    if !alarm.mail_to.is_empty() && !plausible_email(&alarm.mail_to) {
        let what = said!("“{}”不是邮箱地址", "\"{}\" is no e-mail address", alarm.mail_to);
        wrong(
            "alarm.mail_to",
            what,
            said!(
                "请写成 name@example.org,或留空",
                "write it like name@example.org, or leave it empty"
            ),
        );
    } else if !alarm.mail_to.is_empty() && settings.mail.transport == MailTransport::None {
        let fix = said!(
            "请设置 mail.transport,或留空",
            "set up mail.transport, or leave it empty"
        );
        wrong(
            "alarm.mail_to",
            said!(
                "邮件已关闭,告警发不出去",
                "mail is switched off, so no alarm would arrive"
            ),
            fix,
        );
    }
}

pub(super) type Wrong<'a> = &'a mut dyn FnMut(&str, Said, Said);

fn weigh_keys(keys: &PersonalData, wrong: Wrong<'_>) {
    check_secret("personal_data.key", keys.key.as_ref(), wrong);
    for (index, old) in keys.old_keys.iter().enumerate() {
        let key = format!("personal_data.old_keys[{index}]");
        check_secret(&key, Some(old), wrong);
        if Some(old) == keys.key.as_ref() {
            let fix = said!("请写以前的密钥,或删去这一项", "name the key of before, or take it out");
            wrong(&key, said!("这就是现用的密钥", "it is the present key"), fix);
        }
    }
}

fn weigh_mail(settings: &Settings, wrong: Wrong<'_>) {
    let mail = &settings.mail;
    for (key, address) in [
        ("mail.from", Some(&mail.from)),
        ("mail.reply_to", mail.reply_to.as_ref()),
    ] {
        if let Some(address) = address.filter(|address| !plausible_email(address)) {
            let what = said!("“{address}”不是邮箱地址", "\"{address}\" is no e-mail address");
            wrong(
                key,
                what,
                said!("请写成 name@example.org", "write it like name@example.org"),
            );
        }
    }
    if let Some((what, fix)) = check_line(&mail.from_name) {
        wrong("mail.from_name", what, fix);
    }
    check_folder("mail.maildir.dir", &mail.maildir.dir, wrong);
    if let Some(bounces) = &mail.bounces {
        let local = bounces.address.split('@').next().unwrap_or_default();
        if !plausible_email(&bounces.address) || local.len() > RETURN_NAME_MAX || local.contains('+') {
            let what = said!("“{}”后面加不了标记", "\"{}\" can take no token", bounces.address);
            let fix = said!(
                "请写成 name@example.org,@ 之前最多24个字符且不含 +",
                "write it like name@example.org, with at most 24 letters and no + before the @"
            );
            wrong("mail.bounces.address", what, fix);
        }
        check_secret("mail.bounces.key", Some(&bounces.key), wrong);
    }
}

/// A token takes 40 of the 64 letters that may stand before the @ (RFC 5321 4.5.3.1.1).
const RETURN_NAME_MAX: usize = 24;

/// All that are written, also the single one that several replace.
fn weigh_servers(settings: &Settings, origin: &Origin, wrong: Wrong<'_>) {
    let mail = &settings.mail;
    let used = mail.transport == MailTransport::Smtp;
    weigh_server("mail.smtp", &mail.smtp, used && mail.server.is_empty(), origin, wrong);
    let mut names = BTreeSet::new();
    for (index, server) in mail.server.iter().enumerate() {
        let at = format!("mail.server[{index}]");
        weigh_server(&at, server, used, origin, wrong);
        if !names.insert(server.name.as_str()) {
            let what = said!(
                "还有一台邮件服务器也叫“{}”",
                "another mail server is called \"{}\" as well",
                server.name
            );
            wrong(
                &format!("{at}.name"),
                what,
                said!("每台请用不同的名称", "give each a name of its own"),
            );
        }
    }
}

fn weigh_server(at: &str, server: &Smtp, used: bool, origin: &Origin, wrong: Wrong<'_>) {
    let key = |name: &str| format!("{at}.{name}");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if server.name.is_empty() || server.name.len() > 30 || !server.name.bytes().all(plain) {
        let what = said!("“{}”不是服务器名称", "\"{}\" is no name of a server", server.name);
        wrong(
            &key("name"),
            what,
            said!("可用: 1到30个 a-z、0-9 和 -", "allowed: 1 to 30 of a-z, 0-9 and -"),
        );
    }
    check_range(&key("port"), u64::from(server.port), 1, 65_535, wrong);
    check_range(&key("connections"), server.connections as u64, 1, 50, wrong);
    check_range(&key("timeout_s"), server.timeout_s, 1, 600, wrong);
    check_range(&key("dot_timeout_s"), server.dot_timeout_s, 1, 1800, wrong);
    if used && server.host.trim().is_empty() {
        let fix = said!(
            "请写主机名,如 \"mail.example.org\"",
            "give its name, such as \"mail.example.org\""
        );
        wrong(&key("host"), said!("没有写邮件服务器", "no mail server is named"), fix);
    }
    if let Some((what, fix)) = server.hello.as_deref().and_then(check_line) {
        wrong(&key("hello"), what, fix);
    }
    weigh_login(at, server, origin, wrong);
    let here = is_this_machine(&server.host);
    match (server.tls, server.password.is_some()) {
        (SmtpTls::None, true) if !here => {
            let fix = said!(
                "有密码时可用: \"implicit\" 或 \"starttls\"",
                "allowed with a password: \"implicit\" or \"starttls\""
            );
            wrong(
                &key("tls"),
                said!(
                    "密码会不加密地经过网络",
                    "the password would cross the network unencrypted"
                ),
                fix,
            );
        }
        (SmtpTls::Opportunistic, true) => {
            let fix = said!(
                "有密码时可用: \"implicit\" 或 \"starttls\"",
                "allowed with a password: \"implicit\" or \"starttls\""
            );
            let what = said!(
                "有人隐去服务器的加密提议,就能读到密码",
                "whoever hides the server's offer of encryption would read the password"
            );
            wrong(&key("tls"), what, fix);
        }
        (SmtpTls::None, false) if used && !here && !origin.is_meant_for(&key("tls"), &key("host")) => {
            let fix = said!(
                "请在旁边写 tls: \"implicit\"、\"starttls\",或网络本身可信时写 \"none\"",
                "write tls beside it: \"implicit\", \"starttls\", or \"none\" where the network itself is trusted"
            );
            let what = said!(
                "没有写明发往另一台机器的邮件如何加密",
                "nothing says how mail to another machine is encrypted"
            );
            wrong(&key("host"), what, fix);
        }
        _ => {}
    }
    if server.ca.is_some() && server.tls == SmtpTls::None {
        let fix = said!(
            "请删去,或改用 \"implicit\" 或 \"starttls\"",
            "leave it out, or use \"implicit\" or \"starttls\""
        );
        wrong(
            &key("ca"),
            said!(
                "不加密就没有要验明的对方",
                "without encryption there is nobody to vouch for"
            ),
            fix,
        );
    }
}

fn weigh_login(at: &str, server: &Smtp, origin: &Origin, wrong: Wrong<'_>) {
    let key = |name: &str| format!("{at}.{name}");
    // Of a pair with a wrong half, the other half says nothing.
    let pair_is_whole = !origin.has_replaced(&key("user")) && !origin.has_replaced(&key("password"));
    if pair_is_whole && server.user.is_some() != server.password.is_some() {
        let half = if server.user.is_some() { "user" } else { "password" };
        wrong(
            &key(half),
            said!("用户名和密码须同时填写", "user and password belong together"),
            said!("请都写,或都不写", "give both, or neither"),
        );
    }
    if pair_is_whole && server.auth != SmtpAuth::Auto && server.user.is_none() {
        let fix = said!(
            "请写 user 和 password,或删去 auth",
            "give user and password, or leave auth out"
        );
        wrong(
            &key("auth"),
            said!("写了如何登录,却没写以谁登录", "it says how to log in, but not as whom"),
            fix,
        );
    }
    check_secret(&key("password"), server.password.as_ref(), wrong);
}

/// The machine itself, which a message reaches without crossing a network.
fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A canary that cannot leave would be an alarm for ever.
fn weigh_heartbeat(settings: &Settings, wrong: Wrong<'_>) {
    let heartbeat = &settings.heartbeat;
    let every = u64::from(heartbeat.every_minutes);
    check_range("heartbeat.every_minutes", every, 1, 1440, wrong);
    if let Some(late) = heartbeat.late_after_minutes {
        // One that is on its way is not late.
        check_range("heartbeat.late_after_minutes", u64::from(late), every + 1, 10080, wrong);
    }
    let is_number = heartbeat.to.len() >= 5 && heartbeat.to.bytes().all(|byte| byte.is_ascii_digit());
    let is_off = match heartbeat.way() {
        Some(Way::Email) => settings.mail.transport == MailTransport::None,
        Some(_) => settings.sms.transport == SmsTransport::None,
        None => false,
    };
    if heartbeat.way().is_some() && !is_number && !plausible_email(&heartbeat.to) {
        let what = said!("“{}”不是地址", "\"{}\" is no address", heartbeat.to);
        wrong(
            "heartbeat.to",
            what,
            said!(
                "可用: 邮箱地址、手机号数字,或 \"\" 表示不自检",
                "allowed: an e-mail address, the digits of a number, or \"\" for no canary"
            ),
        );
    } else if is_off {
        let fix = said!(
            "请设置 mail.transport 或 sms.transport,或写 \"\" 表示不自检",
            "set up mail.transport or sms.transport, or give \"\" for no canary"
        );
        wrong(
            "heartbeat.to",
            said!("通往它的渠道已关闭", "the way to it is switched off"),
            fix,
        );
    }
    if let Some(url) = &heartbeat.url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        wrong(
            "heartbeat.url",
            said!("这不是网址", "it is no address of the web"),
            said!("请以 https:// 开头", "start it with https://"),
        );
    } else if heartbeat.url.is_some() && heartbeat.to.is_empty() {
        let fix = said!("请写 heartbeat.to,或删去 url", "give heartbeat.to, or leave url out");
        wrong(
            "heartbeat.url",
            said!(
                "自检信息发出后才访问它,但没有自检信息",
                "it is called when the canary has left, and there is none"
            ),
            fix,
        );
    }
}

/// Whoever looked is kept for half a year at least (网络安全法 21); 0 keeps for ever.
fn weigh_retention(periods: &Retention, wrong: Wrong<'_>) {
    const LONGEST: u32 = 36_500;
    for (key, days, least) in [
        ("closed_cases_days", periods.closed_cases_days, 30),
        ("deliveries_days", periods.deliveries_days, 30),
        ("inbound_days", periods.inbound_days, 30),
        ("inbox_days", periods.inbox_days, 30),
        ("access_days", periods.access_days, 180),
        ("sent_log_days", periods.sent_log_days, 30),
    ] {
        if days != 0 && !(least..=LONGEST).contains(&days) {
            let (what, fix) = (
                said!("{days} 超出范围", "{days} is out of range"),
                said!(
                    "可用: {least} 到 {LONGEST},或 0 表示一直保存",
                    "allowed: {least} to {LONGEST}, or 0 to keep them for ever"
                ),
            );
            wrong(&format!("retention.{key}"), what, fix);
        }
    }
}

pub(super) fn check_range(key: &str, value: u64, low: u64, high: u64, wrong: Wrong<'_>) {
    if !(low..=high).contains(&value) {
        let (what, fix) = (
            said!("{value} 超出范围", "{value} is out of range"),
            said!("可用: {low} 到 {high}", "allowed: {low} to {high}"),
        );
        wrong(key, what, fix);
    }
}

pub(super) fn check_folder(key: &str, folder: &Path, wrong: Wrong<'_>) {
    if folder.as_os_str().is_empty() {
        wrong(
            key,
            said!("没有写文件夹", "no folder is named"),
            said!("请写文件夹,相对于 state_dir", "give a folder, relative to state_dir"),
        );
    }
}

/// A credential is a file of systemd's directory, not a path out of it.
pub(super) fn check_secret(key: &str, secret: Option<&SecretSource>, wrong: Wrong<'_>) {
    if let Some(SecretSource::Credential(name)) = secret
        && (name.is_empty() || name.starts_with('.') || name.contains('/'))
    {
        let fix = said!(
            "可用: LoadCredential= 中的名称,或 {{ file = \"/路径\" }}",
            "allowed: the name given in LoadCredential=, or {{ file = \"/path\" }}"
        );
        wrong(key, said!("这不是凭据名称", "it is no name of a credential"), fix);
    }
}
