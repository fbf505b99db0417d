//! Texts that go by SMS although a cloud has no approved template for them: who could hear them all the same, and who could not.

use std::collections::{BTreeMap, BTreeSet};

use super::Loaded;
use super::gateways::{Gateway, Kind};
use super::problem::Problem;
use super::settings::SmsTransport;
use crate::domain::ladder::{Audience, Rung, Way};
use crate::domain::text::{Said, said};

/// A text to one kind of reader, named as templates of clouds are: `TEXT-READER`.
type Read = (String, &'static str);

fn reader(audience: Audience) -> &'static str {
    match audience {
        Audience::Resident => "resident",
        Audience::Relatives => "relative",
        _ => "staff",
    }
}

/// The keys of a cloud's templates; nothing for gateways that take any text.
fn templates(gateway: &Gateway) -> Option<BTreeSet<&str>> {
    match gateway.kinds().first()? {
        Kind::Aliyun(cloud) => Some(cloud.templates.keys().map(String::as_str).collect()),
        Kind::Tencent(cloud) => Some(cloud.templates.keys().map(String::as_str).collect()),
        Kind::Http(_) | Kind::Kannel(_) | Kind::Smpp(_) => None,
    }
}

/// The clouds that cannot say a text, and whether nobody else can.
fn lacking<'a>(gateways: &'a BTreeMap<String, Gateway>, (text, reader): &Read) -> (Vec<&'a str>, bool) {
    let own = format!("{text}-{reader}");
    let lacks = |known: BTreeSet<&str>| !known.contains(own.as_str()) && !known.contains(text.as_str());
    let lacking: Vec<&str> = gateways
        .iter()
        .filter(|(_, gateway)| templates(gateway).is_some_and(lacks))
        .map(|(name, _)| name.as_str())
        .collect();
    let nobody_can = lacking.len() == gateways.len();
    (lacking, nobody_can)
}

fn rungs(loaded: &Loaded) -> impl Iterator<Item = &Rung> {
    let uses_gateways = loaded.settings.sms.transport == SmsTransport::Gateways;
    let ladders = loaded.rulebook.ladders.values().filter(move |_| uses_gateways);
    let rungs = ladders.flat_map(|ladder| &ladder.rungs);
    rungs.filter(|rung| rung.by.contains(&Way::Sms))
}

fn reads(rung: &Rung) -> impl Iterator<Item = Read> {
    let readers: BTreeSet<&str> = rung.to.iter().map(|audience| reader(*audience)).collect();
    readers.into_iter().map(|reader| (rung.text.to_string(), reader))
}

/// What goes by SMS only, and by no gateway.
pub(crate) fn unsayable(loaded: &Loaded) -> Vec<Problem> {
    let gateways = &loaded.settings.sms.gateway;
    let only = rungs(loaded).filter(|rung| rung.by == [Way::Sms]);
    let unsayable: BTreeSet<Read> = only.flat_map(reads).filter(|read| lacking(gateways, read).1).collect();
    let problem = |(text, reader): Read| {
        let what = said!(
            "{text} 只用短信发给 {reader},但没有网关登记了它的模板",
            "{text} goes to a {reader} by SMS only, and no gateway has a template for it"
        );
        let fix = said!(
            "请登记模板 {text} 或 {text}-{reader},或给这一级加别的方式",
            "add a template {text} or {text}-{reader}, or another way to the rung"
        );
        loaded.setting_problem("sms.gateway", what, fix)
    };
    unsayable.into_iter().map(problem).collect()
}

/// What a cloud cannot say, so that another gateway or another way has to.
pub(super) fn remarks(loaded: &Loaded) -> Vec<Said> {
    let gateways = &loaded.settings.sms.gateway;
    let all: BTreeSet<Read> = rungs(loaded).flat_map(reads).collect();
    let mut by_cloud: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut nobody: Vec<String> = Vec::new();
    for read in &all {
        let name = format!("{}-{}", read.0, read.1);
        let (lacking, nobody_can) = lacking(gateways, read);
        if nobody_can {
            nobody.push(name);
            continue;
        }
        for cloud in lacking {
            by_cloud.entry(cloud).or_default().push(name.clone());
        }
    }
    let mut said = Vec::new();
    if !nobody.is_empty() {
        let list = nobody.join(", ");
        said.push(Said::new(
            format!("sms.gateway: 没有网关登记以下文本的模板,短信发不出,改走其他方式: {list}"),
            format!("sms.gateway: no gateway has a template for these texts, so they go by their other ways: {list}"),
        ));
    }
    for (cloud, names) in by_cloud {
        let list = names.join(", ");
        said.push(Said::new(
            format!("sms.gateway.{cloud} 没有以下文本的模板,由其他网关发: {list}"),
            format!("sms.gateway.{cloud} has no template for these texts, so other gateways send them: {list}"),
        ));
    }
    said
}
