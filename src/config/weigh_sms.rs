//! What serde cannot judge of the settings for SMS: each kind of gateway has its own.

use super::gateways::{Gateway, Kind};
use super::rules::check_line;
use super::settings::{Settings, SmsHttp, SmsQuery, SmsSuccess, SmsTransport};
use super::weigh::{Wrong, check_folder, check_range, check_secret};
use crate::domain::text::{Said, said};

pub(super) fn weigh_sms(settings: &Settings, wrong: Wrong<'_>) {
    let sms = &settings.sms;
    if let Some((what, fix)) = signature_problem(&sms.signature) {
        wrong("sms.signature", what, fix);
    }
    check_folder("sms.file.dir", &sms.file.dir, wrong);
    match &sms.http {
        Some(gateway) => weigh_http("sms.http", gateway, wrong),
        None if sms.transport == SmsTransport::Http => {
            wrong(
                "sms.transport",
                said!("\"http\" 需要一个网关", "\"http\" needs a gateway"),
                said!("请在 [sms.http] 中说明", "describe it in [sms.http]"),
            );
        }
        None => {}
    }
    if sms.transport == SmsTransport::Gateways && sms.gateway.is_empty() {
        wrong(
            "sms.transport",
            said!("\"gateways\" 需要网关", "\"gateways\" needs a gateway"),
            said!("请在 [sms.gateway.名称] 中说明", "describe one in [sms.gateway.NAME]"),
        );
    }
    for (name, gateway) in &sms.gateway {
        weigh_gateway(name, gateway, wrong);
    }
}

fn weigh_gateway(name: &str, gateway: &Gateway, wrong: Wrong<'_>) {
    let key = format!("sms.gateway.{name}");
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(is_plain) {
        let what = said!("“{name}”不是网关名称", "\"{name}\" is no name of a gateway");
        wrong(
            &key,
            what,
            said!(
                "可用: 1到32个 a-z、0-9、_ 和 -",
                "allowed: 1 to 32 of a-z, 0-9, _ and -"
            ),
        );
    }
    if let Some(per_second) = gateway.per_second {
        check_range(&format!("{key}.per_second"), u64::from(per_second), 1, 10_000, wrong);
    }
    weigh_hook(&key, gateway, wrong);
    let kinds = gateway.kinds();
    if kinds.len() != 1 {
        let found: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let what = if found.is_empty() {
            said!("没有写明网关用什么方式", "it does not say how to talk to the gateway")
        } else {
            said!(
                "一个网关里写了几种: {}",
                "it describes several gateways in one: {}",
                found.join(", ")
            )
        };
        wrong(
            &key,
            what,
            said!(
                "请只写 http、aliyun、tencent、kannel、smpp 中的一个表",
                "give exactly one table of http, aliyun, tencent, kannel, smpp"
            ),
        );
    }
    for kind in kinds {
        weigh_kind(&format!("{key}.{}", kind.name()), kind, wrong);
    }
}

pub(super) fn weigh_inbound(settings: &Settings, wrong: Wrong<'_>) {
    let inbound = &settings.inbound;
    check_secret("inbound.secret", inbound.secret.as_ref(), wrong);
    if inbound.listen.is_some() && inbound.secret.is_none() {
        let fix = said!(
            "请加上 secret = {{ credential = \"名称\" }},内容为一长串随机字符",
            "add secret = {{ credential = \"NAME\" }} with a long random text"
        );
        wrong(
            "inbound.listen",
            said!(
                "谁找到这个地址,谁就能随意上报",
                "whoever finds the address could report anything"
            ),
            fix,
        );
    }
    if inbound.listen.is_some() && inbound.allow.is_empty() {
        wrong(
            "inbound.allow",
            said!("没有谁可以访问", "nobody may call"),
            said!(
                "可用: 网段,如 \"203.0.113.0/24\"",
                "allowed: networks such as \"203.0.113.0/24\""
            ),
        );
    }
    if let (Some(listen), true) = (inbound.listen, inbound.listen == Some(settings.http.listen))
        && listen.port() != 0
    {
        wrong(
            "inbound.listen",
            said!("与 http.listen 的地址相同", "http.listen has the same address"),
            said!("请换一个端口", "give another port"),
        );
    }
}

/// What it calls us with, and whether it can be heard.
fn weigh_hook(key: &str, gateway: &Gateway, wrong: Wrong<'_>) {
    check_secret(&format!("{key}.webhook_key"), gateway.webhook_key.as_ref(), wrong);
    if let (Some(_), None) = (&gateway.hook, &gateway.http) {
        let fix = said!(
            "请删去;只有 http 类的网关才写它",
            "leave it out; it belongs to a gateway of kind http"
        );
        wrong(
            &format!("{key}.hook"),
            said!("这类网关的回调格式是已知的", "the calls of this kind are known"),
            fix,
        );
    }
    if gateway.receipts && gateway.http.is_some() && gateway.hook.as_ref().is_none_or(|hook| hook.reports.is_none()) {
        let fix = said!(
            "请在 hook.reports 中说明回执,或删去 receipts",
            "describe its reports in hook.reports, or leave receipts out"
        );
        wrong(
            &format!("{key}.receipts"),
            said!("没有写明回执的格式", "nothing says what its reports look like"),
            fix,
        );
    }
    let Some(hook) = &gateway.hook else { return };
    let mut pointers = Vec::new();
    if let Some(reports) = &hook.reports {
        let named = [
            ("list", reports.list.as_ref()),
            ("reference", reports.reference.as_ref()),
            ("id", reports.id.as_ref()),
            ("status", Some(&reports.status)),
        ];
        pointers.extend(named.map(|(name, pointer)| (format!("{key}.hook.reports.{name}"), pointer)));
        if reports.reference.is_none() && reports.id.is_none() {
            let fix = said!("请写 reference 或 id,或都写", "give reference or id, or both");
            wrong(
                &format!("{key}.hook.reports"),
                said!("没有写明回执说的是哪条短信", "nothing says which SMS a report is about"),
                fix,
            );
        }
        if reports.delivered.iter().any(|value| reports.failed.contains(value)) {
            let fix = said!("每个值只能表示一种", "let each value mean one of them");
            wrong(
                &format!("{key}.hook.reports.failed"),
                said!(
                    "有一个值既表示送达又表示失败",
                    "a value means both delivered and failed"
                ),
                fix,
            );
        }
    }
    if let Some(messages) = &hook.messages {
        let named = [
            ("list", messages.list.as_ref()),
            ("from", Some(&messages.from)),
            ("text", Some(&messages.text)),
            ("id", messages.id.as_ref()),
        ];
        pointers.extend(named.map(|(name, pointer)| (format!("{key}.hook.messages.{name}"), pointer)));
    }
    for (key, pointer) in pointers {
        if let Some(pointer) = pointer.filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            let what = said!("“{pointer}”不是 JSON 指针", "\"{pointer}\" is no JSON pointer");
            wrong(
                &key,
                what,
                said!("可用: 路径,如 \"/data/code\"", "allowed: a path such as \"/data/code\""),
            );
        }
    }
}

fn weigh_kind(key: &str, kind: Kind<'_>, wrong: Wrong<'_>) {
    let at = |name: &str| format!("{key}.{name}");
    let mut common = |url: Option<&str>, connections: usize, timeout_s: u64| {
        if let Some(url) = url {
            check_url(&at("url"), url, wrong);
        }
        check_range(&at("connections"), connections as u64, 1, 100, wrong);
        check_range(&at("timeout_s"), timeout_s, 1, 300, wrong);
    };
    match kind {
        Kind::Http(settings) => weigh_http(key, settings, wrong),
        Kind::Aliyun(settings) => {
            common(Some(&settings.url), settings.connections, settings.timeout_s);
            check_secret(&at("key_secret"), Some(&settings.key_secret), wrong);
            check_range(&at("param_max"), settings.param_max as u64, 1, 500, wrong);
            let codes = settings.templates.iter().map(|(name, template)| (name, &template.code));
            check_codes(key, codes, wrong);
            check_signature(&at("sign_name"), settings.sign_name.as_deref(), wrong);
            check_words(&[(at("key_id"), &settings.key_id)], wrong);
        }
        Kind::Tencent(settings) => {
            common(Some(&settings.url), settings.connections, settings.timeout_s);
            check_secret(&at("key_secret"), Some(&settings.key_secret), wrong);
            check_range(&at("param_max"), settings.param_max as u64, 1, 500, wrong);
            let codes = settings.templates.iter().map(|(name, template)| (name, &template.code));
            check_codes(key, codes, wrong);
            check_signature(&at("sign_name"), settings.sign_name.as_deref(), wrong);
            let words = [
                (at("key_id"), &settings.key_id),
                (at("app_id"), &settings.app_id),
                (at("region"), &settings.region),
            ];
            check_words(&words, wrong);
        }
        Kind::Kannel(settings) => {
            common(Some(&settings.url), settings.connections, settings.timeout_s);
            check_secret(&at("password"), Some(&settings.password), wrong);
            check_secret(&at("report_to"), settings.report_to.as_ref(), wrong);
            check_words(&[(at("username"), &settings.username)], wrong);
        }
        Kind::Smpp(settings) => {
            common(None, settings.connections, settings.timeout_s);
            check_secret(&at("password"), Some(&settings.password), wrong);
            check_range(&at("port"), u64::from(settings.port), 1, 65_535, wrong);
            check_range(&at("enquire_s"), settings.enquire_s, 5, 600, wrong);
            check_words(&[(at("host"), &settings.host)], wrong);
            for (name, text, most) in [
                ("system_id", &settings.system_id, 15),
                ("system_type", &settings.system_type, 12),
                ("from", &settings.from, 20),
            ] {
                if text.len() > most || !text.is_ascii() {
                    let what = said!("“{text}”不合 SMPP 的格式", "\"{text}\" does not fit into SMPP");
                    wrong(
                        &at(name),
                        what,
                        said!(
                            "可用: 最多 {most} 个英文字符",
                            "allowed: at most {most} plain characters"
                        ),
                    );
                }
            }
        }
    }
}

/// Texts that must say something, in one line.
fn check_words(words: &[(String, &String)], wrong: Wrong<'_>) {
    for (key, text) in words {
        if text.trim().is_empty() || check_line(text).is_some() {
            wrong(
                key,
                said!("它是空的,或不止一行", "it is empty or has more than one line"),
                said!("请照服务商给出的填写", "give it as the provider shows it"),
            );
        }
    }
}

fn check_signature(key: &str, signature: Option<&str>, wrong: Wrong<'_>) {
    if let Some((what, fix)) = signature.and_then(signature_problem) {
        wrong(key, what, fix);
    }
}

fn check_codes<'a>(key: &str, codes: impl Iterator<Item = (&'a String, &'a String)>, wrong: Wrong<'_>) {
    for (name, code) in codes {
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let what = said!("“{code}”不是模板编号", "\"{code}\" is no code of a template");
            let fix = said!(
                "可用: 已审核模板的编号,如 \"SMS_123456789\"",
                "allowed: the code of the approved template, such as \"SMS_123456789\""
            );
            wrong(&format!("{key}.templates.{name}.code"), what, fix);
        }
    }
}

fn check_url(key: &str, url: &str, wrong: Wrong<'_>) {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let fix = said!(
            "请以 https:// 开头(内网可用 http://)",
            "start it with https:// (or http:// inside the hall)"
        );
        wrong(key, said!("这不是网址", "it is no address of the web"), fix);
    }
}

fn weigh_http(key: &str, gateway: &SmsHttp, wrong: Wrong<'_>) {
    let at = |name: &str| format!("{key}.{name}");
    check_range(&at("connections"), gateway.connections as u64, 1, 100, wrong);
    check_range(&at("timeout_s"), gateway.timeout_s, 1, 300, wrong);
    check_method(&at("method"), &gateway.method, wrong);
    check_url(&at("url"), &gateway.url, wrong);
    if let Some(query) = &gateway.query {
        weigh_query(&at("query"), query, wrong);
    }
    for (name, secret) in &gateway.secrets {
        check_secret(&at(&format!("secrets.{name}")), Some(secret), wrong);
    }
    let success = &gateway.success;
    weigh_success(&at("success"), success, wrong);
    check_pointers(&[(at("reference"), gateway.reference.as_ref())], wrong);
    if !gateway.errors.is_empty() && success.pointer.is_none() {
        let fix = said!(
            "请加上 success.pointer = \"/…\",指向应答中的代码",
            "add success.pointer = \"/…\", where the answer carries its code"
        );
        wrong(
            &at("errors"),
            said!("没有写明代码在应答的哪里", "nothing says where the code stands"),
            fix,
        );
    }
}

/// How it is asked about an SMS.
fn weigh_query(key: &str, query: &SmsQuery, wrong: Wrong<'_>) {
    let at = |name: &str| format!("{key}.{name}");
    check_method(&at("method"), &query.method, wrong);
    check_url(&at("url"), &query.url, wrong);
    weigh_success(&at("success"), &query.success, wrong);
    let pointers = [
        (at("list"), query.list.as_ref()),
        (at("id"), query.id.as_ref()),
        (at("reference"), query.reference.as_ref()),
        (at("status"), Some(&query.status)),
    ];
    check_pointers(&pointers, wrong);
    if query.list.is_some() && query.id.is_none() {
        let fix = said!(
            "请加上 id = \"/…\",指向列表中每条短信里我方的编号",
            "add id = \"/…\", where each SMS of the list carries our id"
        );
        wrong(
            &at("list"),
            said!(
                "没有写明列表中哪条短信是我方的",
                "nothing says which SMS of the list is ours"
            ),
            fix,
        );
    }
    if query.shows_all && query.list.is_none() {
        let fix = said!(
            "请加上 list = \"/…\",或删去 shows_all",
            "add list = \"/…\", or leave shows_all out"
        );
        wrong(
            &at("shows_all"),
            said!("没有可以列出全部的列表", "there is no list that could show all"),
            fix,
        );
    }
    let meanings = [&query.taken, &query.delivered, &query.failed, &query.absent];
    let mut values: Vec<&String> = meanings.into_iter().flatten().collect();
    let count = values.len();
    values.sort();
    values.dedup();
    if values.len() < count {
        let fix = said!(
            "每个值只能写在 taken、delivered、failed、absent 之一",
            "let each value stand in one of taken, delivered, failed and absent"
        );
        wrong(
            &at("status"),
            said!("它的一个值表示了几种意思", "a value of it means several things"),
            fix,
        );
    }
    if count == 0 {
        let fix = said!(
            "请写 taken、delivered、failed 或 absent 的值",
            "give values of taken, delivered, failed or absent"
        );
        wrong(
            &at("status"),
            said!("它的值没有一个有意思", "no value of it means anything"),
            fix,
        );
    }
}

fn weigh_success(key: &str, success: &SmsSuccess, wrong: Wrong<'_>) {
    let at = |name: &str| format!("{key}.{name}");
    if success.status.is_empty() || !success.status.iter().all(|status| (100..=599).contains(status)) {
        let fix = said!(
            "可用: 至少一个 HTTP 状态码,如 [200]",
            "allowed: at least one HTTP status, such as [200]"
        );
        wrong(
            &at("status"),
            said!("没有哪种应答能算成功", "no answer could count as success"),
            fix,
        );
    }
    check_pointers(&[(at("pointer"), success.pointer.as_ref())], wrong);
    if success.equals.is_some() && success.pointer.is_none() {
        let fix = said!(
            "请加上 pointer = \"/…\",指向应答中的该值",
            "add pointer = \"/…\", where the answer carries that value"
        );
        wrong(
            &at("equals"),
            said!("没有写明什么应与它相等", "nothing says what should equal it"),
            fix,
        );
    }
}

fn check_pointers(pointers: &[(String, Option<&String>)], wrong: Wrong<'_>) {
    for (key, pointer) in pointers {
        if let Some(pointer) = pointer.filter(|pointer| !pointer.starts_with('/')) {
            let what = said!("“{pointer}”不是 JSON 指针", "\"{pointer}\" is no JSON pointer");
            wrong(
                key,
                what,
                said!("可用: 路径,如 \"/data/code\"", "allowed: a path such as \"/data/code\""),
            );
        }
    }
}

fn check_method(key: &str, method: &str, wrong: Wrong<'_>) {
    if !["GET", "POST"].contains(&method) {
        wrong(
            key,
            said!("没有“{method}”这种方法", "\"{method}\" is no method"),
            said!("可用: GET, POST", "allowed: GET, POST"),
        );
    }
}

/// What is wrong with the signature of an SMS, and what is allowed.
pub(super) fn signature_problem(signature: &str) -> Option<(Said, Said)> {
    let sound = !signature.is_empty()
        && signature.chars().count() <= 30
        && !signature.contains(['【', '】'])
        && check_line(signature).is_none();
    let fix = said!(
        "可用: 1到30个字,不带括号【】",
        "allowed: 1 to 30 characters, without the brackets 【】"
    );
    (!sound).then(|| {
        (
            said!("“{signature}”不是短信签名", "\"{signature}\" is no signature"),
            fix,
        )
    })
}
