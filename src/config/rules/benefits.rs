//! `benefits.toml`: kinds of reimbursement in layers.

use std::collections::BTreeMap;

use super::{Heard, Read, check_id, check_text, check_words};
use crate::config::decode::Document;
use crate::config::files::{BenefitEntry, BenefitsFile, LayerEntry};
use crate::domain::benefit::{Benefit, Fen, LAYERS_MAX, Layer};
use crate::domain::ids::BenefitId;
use crate::domain::text::said;

pub(in crate::config) fn benefits(read: &Read<BenefitsFile>, heard: Heard<'_>) -> BTreeMap<BenefitId, Benefit> {
    let mut benefits = BTreeMap::new();
    for (name, entry) in &read.value.benefit {
        check(&read.document, name, entry, heard);
        let id = BenefitId::from(name.as_str());
        let benefit = Benefit {
            id: id.clone(),
            name: entry.name.clone(),
            layers: entry.layer.iter().map(layer).collect(),
            source: entry.source.clone(),
            checked: entry.checked.map(|day| day.0),
        };
        benefits.insert(id, benefit);
    }
    benefits
}

fn layer(entry: &LayerEntry) -> Layer {
    Layer {
        name: entry.name.clone(),
        share: entry.share.0,
        deductible: entry.deductible.map_or_else(Fen::default, |yuan| yuan.0),
        cap: entry.cap.map(|yuan| yuan.0),
    }
}

fn check(doc: &Document, name: &str, entry: &BenefitEntry, heard: Heard<'_>) {
    let at = |key: &str| format!("benefit.{name}.{key}");
    check_id(doc, &format!("benefit.{name}"), name, heard);
    check_words(doc, &at("name"), &entry.name, heard);
    check_text(doc, &at("source"), &entry.source, heard);
    let layers = entry.layer.len();
    if !(1..=LAYERS_MAX).contains(&layers) {
        let what = said!("有{layers}层", "there are {layers} layers");
        let fix = said!(
            "可用: 1到{LAYERS_MAX}层,每层写成 [[benefit.{name}.layer]]",
            "allowed: 1 to {LAYERS_MAX}, each as [[benefit.{name}.layer]]"
        );
        heard.push(doc.at(&at("layer"), what, fix));
    }
    for (index, layer) in entry.layer.iter().enumerate() {
        let at = |key: &str| format!("benefit.{name}.layer[{index}].{key}");
        check_words(doc, &at("name"), &layer.name, heard);
        if layer.cap.is_some_and(|yuan| yuan.0 == Fen::default()) {
            let fix = said!(
                "请写最多报多少,或删去 cap",
                "give what it pays at most, or leave the cap out"
            );
            heard.push(doc.at(
                &at("cap"),
                said!("封顶为0的一层什么也不报", "a layer with a cap of 0 pays nothing"),
                fix,
            ));
        }
    }
}
