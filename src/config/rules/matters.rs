//! `matters/*.toml`: kinds of matter. The name of the file is the name of the kind.

use std::collections::BTreeMap;

use super::{Heard, Kind, Names, Read, check_id, check_known, check_once, check_range, check_text, check_words};
use crate::config::decode::Document;
use crate::config::files::{MatterFile, StepEntry};
use crate::domain::command::STEPS_MAX;
use crate::domain::ids::{BenefitId, MatterId, OfficeId, PeriodId};
use crate::domain::rulebook::{Material, Matter, StepPreset};
use crate::domain::text::{Said, said};

/// Words that SMS gateways refuse.
pub const BANNED: [&str; 4] = ["殡葬", "医疗", "党政", "代办证件"];

/// Words in a name for residents that would tell a neighbour about a death, an illness, a disability or an income.
const TELLING_ZH: [&str; 12] = [
    "火化",
    "丧",
    "死亡",
    "去世",
    "逝",
    "残",
    "病",
    "精神",
    "低保",
    "低收入",
    "失业",
    "救助",
];
const TELLING_EN: [&str; 9] = [
    "cremat", "funeral", "death", "deceased", "disab", "illness", "disease", "income", "unemploy",
];

pub(in crate::config) fn matters(
    files: &[(String, Read<MatterFile>)],
    periods: &Names,
    offices: &Names,
    benefits: &Names,
    heard: Heard<'_>,
) -> BTreeMap<MatterId, Matter> {
    let mut matters = BTreeMap::new();
    for (name, read) in files {
        let (doc, entry) = (&read.document, &read.value);
        check_id(doc, "", name, heard);
        check_words(doc, "name", &entry.name, heard);
        check_words(doc, "public_name", &entry.public_name, heard);
        check_public_name(doc, &entry.public_name, heard);
        check_once(doc, "deadlines", &entry.deadlines, heard);
        for (index, period) in entry.deadlines.iter().enumerate() {
            check_known(
                doc,
                &format!("deadlines[{index}]"),
                Kind::Period,
                period,
                periods,
                heard,
            );
        }
        check_once(doc, "agencies", &entry.agencies, heard);
        for (index, office) in entry.agencies.iter().enumerate() {
            check_known(doc, &format!("agencies[{index}]"), Kind::Office, office, offices, heard);
        }
        if let Some(office) = &entry.office {
            check_known(doc, "office", Kind::Office, office, offices, heard);
        }
        for (index, material) in entry.material.iter().enumerate() {
            check_words(doc, &format!("material[{index}].name"), &material.name, heard);
            if let Some(issuer) = &material.issuer {
                check_words(doc, &format!("material[{index}].issuer"), issuer, heard);
            }
            check_once(doc, &format!("material[{index}].places"), &material.places, heard);
            for (place, text) in material.places.iter().enumerate() {
                check_text(doc, &format!("material[{index}].places[{place}]"), text, heard);
            }
        }
        check_once(doc, "suits", &entry.suits, heard);
        for (index, tag) in entry.suits.iter().enumerate() {
            check_text(doc, &format!("suits[{index}]"), tag, heard);
        }
        if let Some(benefit) = &entry.benefit {
            check_known(doc, "benefit", Kind::Benefit, benefit, benefits, heard);
        }
        if entry.step.len() > STEPS_MAX {
            let what = said!(
                "{}个步骤超过方案的上限",
                "{} steps are more than a plan may have",
                entry.step.len()
            );
            heard.push(doc.at(
                &format!("step[{STEPS_MAX}]"),
                what,
                said!("可用: 最多{STEPS_MAX}个", "allowed: up to {STEPS_MAX}"),
            ));
        }
        for (index, step) in entry.step.iter().enumerate() {
            check_step(doc, index, step, offices, heard);
        }
        let id = MatterId::from(name.as_str());
        matters.insert(id.clone(), matter(id, entry));
    }
    matters
}

fn matter(id: MatterId, entry: &MatterFile) -> Matter {
    let material = |entry: &crate::config::files::MaterialEntry| Material {
        name: entry.name.clone(),
        issuer: entry.issuer.clone(),
        places: entry.places.clone(),
    };
    let step = |entry: &StepEntry| StepPreset {
        name: entry.name.clone(),
        office: entry.office.as_deref().map(OfficeId::from),
        agency: entry.agency.clone().unwrap_or_default(),
        after: entry.after.clone(),
        takes_days: entry.takes_days,
        expedite: entry.expedite,
    };
    Matter {
        id,
        name: entry.name.clone(),
        public_name: entry.public_name.clone(),
        materials: entry.material.iter().map(material).collect(),
        deadlines: entry
            .deadlines
            .iter()
            .map(|name| PeriodId::from(name.as_str()))
            .collect(),
        agencies: entry
            .agencies
            .iter()
            .map(|name| OfficeId::from(name.as_str()))
            .collect(),
        office: entry.office.as_deref().map(OfficeId::from),
        bereaved: entry.bereaved,
        steps: entry.step.iter().map(step).collect(),
        suits: entry.suits.iter().cloned().collect(),
        benefit: entry.benefit.as_deref().map(BenefitId::from),
    }
}

/// A step is done by somebody, and waits only for steps above it: so no two wait for each other.
fn check_step(doc: &Document, index: usize, step: &StepEntry, offices: &Names, heard: Heard<'_>) {
    let at = |key: &str| format!("step[{index}].{key}");
    check_words(doc, &at("name"), &step.name, heard);
    check_range(doc, &at("takes_days"), step.takes_days, (0, 250), heard);
    match (&step.office, &step.agency) {
        (Some(office), _) => check_known(doc, &at("office"), Kind::Office, office, offices, heard),
        (None, Some(agency)) => check_text(doc, &at("agency"), agency, heard),
        (None, None) if doc.is_whole(&format!("step[{index}]")) => {
            let fix = said!(
                "请写 office = \"…\"(agencies.toml 中的名称)或 agency = \"…\"",
                "give office = \"…\", a name in agencies.toml, or agency = \"…\""
            );
            heard.push(doc.at(
                &format!("step[{index}]"),
                said!("这一步没有人办", "nobody does this step"),
                fix,
            ));
        }
        (None, None) => {}
    }
    let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
    for (place, before) in step.after.iter().enumerate() {
        if !(1..number).contains(before) {
            let what = said!(
                "第{number}步不能在第{before}步之后",
                "step {number} cannot come after step {before}"
            );
            let fix = if number == 1 {
                said!(
                    "请删去此行: 第一步不等任何步骤",
                    "delete this line: the first step waits for none"
                )
            } else {
                said!(
                    "可用: 1 到 {},即上面的步骤",
                    "allowed: 1 to {}, the steps above it",
                    number - 1
                )
            };
            heard.push(doc.at(&format!("step[{index}].after[{place}]"), what, fix));
        }
    }
}

fn check_public_name(doc: &Document, name: &Said, heard: Heard<'_>) {
    let fix = said!(
        "请用中性的名称,如“证明补办”",
        "use a neutral name, such as 证明补办 / re-issue of a certificate"
    );
    for word in BANNED.iter().filter(|word| name.zh.contains(**word)) {
        let what = said!("短信网关禁用“{word}”一词", "SMS gateways ban the word \"{word}\"");
        heard.push(doc.at("public_name.zh", what, fix.clone()));
    }
    let told = |word: &str| {
        said!(
            "给居民的信息不能让看到手机的人知道“{word}”",
            "residents' messages may not tell \"{word}\" to whoever looks at the phone"
        )
    };
    if let Some(word) = TELLING_ZH.iter().find(|word| name.zh.contains(**word)) {
        heard.push(doc.at("public_name.zh", told(word), fix.clone()));
    }
    let english = name.en.to_lowercase();
    if let Some(word) = TELLING_EN.iter().find(|word| english.contains(**word)) {
        heard.push(doc.at("public_name.en", told(word), fix));
    }
}
