//! Messages for clouds that take no free text: which of their approved templates says what ours says, and what fills its parameters.
//!
//! Parameters are filled from the same small ring of values as an SMS, so a cloud learns no more than the phone shows.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use minijinja::Value;

use super::samples::Samples;
use super::values::{Message, Reader};
use super::{BANNED, Texts, brief, one_line, value};
use crate::config::gateways::{Gateway, Mapping, mappings};
use crate::domain::ids::TextId;
use crate::domain::person::Language;
use crate::domain::text::{Said, said};

/// A message as the approved template of one cloud and what fills its parameters, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// The gateway's name in the settings.
    pub gateway: String,
    pub code: String,
    pub params: Vec<(String, String)>,
}

/// What is wrong with a parameter of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedProblem {
    pub gateway: String,
    /// The key of the template.
    pub key: String,
    pub param: String,
    pub what: Said,
    pub fix: Said,
}

/// The text of a test message, whose parameters are fixed words.
const TEST: &str = "test";

impl Texts {
    /// A message for each cloud that has a template for it. One whose values do not fit is left to the other gateways.
    pub fn coded(&self, gateways: &BTreeMap<String, Gateway>, text: &TextId, message: &Message) -> Vec<Coded> {
        let own = format!("{text}-{}", message.reader.folder());
        let values = brief(message, message.language);
        let mut found: BTreeMap<&str, Mapping<'_>> = BTreeMap::new();
        for mapping in mappings(gateways).filter(|mapping| mapping.key == own || mapping.key == text.as_str()) {
            let is_own = mapping.key == own;
            if is_own || !found.contains_key(mapping.gateway) {
                found.insert(mapping.gateway, mapping);
            }
        }
        let fill = |mapping: &Mapping<'_>| self.fill_params(mapping, &values).map_err(|problem| problem.what);
        found
            .values()
            .filter_map(|mapping| match fill(mapping) {
                Ok(coded) => Some(coded),
                Err(what) => {
                    tracing::warn!("text {text} cannot go by gateway {}: {}", mapping.gateway, what.en);
                    None
                }
            })
            .collect()
    }

    /// The test message, for clouds that have a template for it.
    pub fn coded_test(&self, gateways: &BTreeMap<String, Gateway>) -> Vec<Coded> {
        let nothing = value(BTreeMap::<String, String>::new());
        let tests = mappings(gateways).filter(|mapping| mapping.key == TEST);
        tests
            .filter_map(|mapping| self.fill_params(&mapping, &nothing).ok())
            .collect()
    }

    /// Fills every parameter with every sample; says what is unknown or too long.
    pub fn coded_problems(&self, gateways: &BTreeMap<String, Gateway>) -> Vec<CodedProblem> {
        let mut problems = Vec::new();
        let samples = LazyCell::new(Samples::new);
        for mapping in mappings(gateways) {
            let readers = Reader::ALL.into_iter().filter(|reader| {
                let named = Reader::ALL
                    .iter()
                    .find(|reader| mapping.key.ends_with(&format!("-{}", reader.folder())));
                named.is_none_or(|named| named == reader)
            });
            let found = if mapping.key == TEST {
                self.fill_params(&mapping, &value(BTreeMap::<String, String>::new()))
                    .err()
            } else {
                let mut values = readers.flat_map(|reader| &samples.of(reader, Language::Chinese).brief);
                values.find_map(|values| self.fill_params(&mapping, values).err())
            };
            problems.extend(found.map(|problem| *problem));
        }
        problems
    }

    fn fill_params(&self, mapping: &Mapping<'_>, values: &Value) -> Result<Coded, Box<CodedProblem>> {
        let mut params = Vec::with_capacity(mapping.params.len());
        for (name, source) in &mapping.params {
            let wrong = |what: Said, fix: Said| {
                Box::new(CodedProblem {
                    gateway: mapping.gateway.to_owned(),
                    key: mapping.key.to_owned(),
                    param: name.clone(),
                    what: Said::new(
                        format!("参数 {name}: {}", what.zh),
                        format!("parameter {name}: {}", what.en),
                    ),
                    fix,
                })
            };
            let filled = self.environment.render_named_str("parameter", source, values.clone());
            // Only the kind of the error: its detail can repeat a value.
            let filled = filled.map_err(|error| {
                wrong(
                    said!("无法填写({})", "it cannot be filled ({})", error.kind()),
                    said!(
                        "可用: 短信的值,如 {{{{ greeting }}}}、{{{{ day }}}}、{{{{ hall_phone }}}}",
                        "allowed: the values of an SMS, such as {{{{ greeting }}}}, {{{{ day }}}}, {{{{ hall_phone }}}}"
                    ),
                )
            })?;
            let filled = one_line(&filled);
            let found = filled.chars().count();
            if found > mapping.param_max {
                let what = said!(
                    "有{found}个字,云平台只收{}个",
                    "it has {found} characters, the cloud takes {}",
                    mapping.param_max
                );
                return Err(wrong(
                    what,
                    said!(
                        "请用短些的值,或在云平台允许时调高 param_max",
                        "use a shorter value, or raise param_max when the cloud allows more"
                    ),
                ));
            }
            if let Some(word) = BANNED.iter().find(|word| filled.contains(**word)) {
                return Err(wrong(
                    said!("“{word}”会被网关拒绝", "\"{word}\" is refused by gateways"),
                    said!("请用中性的词", "use a neutral word"),
                ));
            }
            params.push((name.clone(), filled));
        }
        Ok(Coded {
            gateway: mapping.gateway.to_owned(),
            code: mapping.code.to_owned(),
            params,
        })
    }
}
