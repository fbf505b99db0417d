//! The words that stand for fixed values in a cell, Chinese and English; each has the code of the JSON form among them.

use crate::domain::case::{CaseFlag, Origin};
use crate::domain::person::{Gender, Language, MayKnow, PersonFlag};
use crate::domain::text::shown;
use crate::import::cell::{Fault, half_width};

pub(super) const GENDERS: [(Gender, &[&str]); 2] = [
    (Gender::Female, &["女", "女性", "female", "f"]),
    (Gender::Male, &["男", "男性", "male", "m"]),
];
pub(super) const LANGUAGES: [(Language, &[&str]); 2] = [
    (Language::Chinese, &["中文", "汉语", "zh-cn", "zh", "chinese"]),
    (Language::English, &["英文", "英语", "en", "english"]),
];
pub(super) const ORIGINS: [(Origin, &[&str]); 8] = [
    (Origin::WalkIn, &["来访", "现场", "窗口", "walk_in"]),
    (Origin::Phone, &["电话", "来电", "phone"]),
    (Origin::Referral, &["转介", "引导", "综窗", "referral"]),
    (Origin::Web, &["网上", "网站", "线上", "web"]),
    (Origin::Email, &["邮件", "email"]),
    (Origin::Letter, &["来信", "信件", "letter"]),
    (Origin::HomeVisit, &["上门", "home_visit"]),
    (Origin::Import, &["导入", "import"]),
];
pub(super) const PERSON_FLAGS: [(PersonFlag, &[&str]); 7] = [
    (PersonFlag::EmptyNest, &["空巢", "空巢老人", "empty_nest"]),
    (PersonFlag::Disabled, &["残疾", "残疾人", "disabled"]),
    (PersonFlag::Mobility, &["行动不便", "mobility"]),
    (PersonFlag::Blind, &["视障", "视力障碍", "盲人", "blind"]),
    (PersonFlag::NoMobile, &["没有手机", "无手机", "no_mobile"]),
    (PersonFlag::CarerBurden, &["照护负担", "carer_burden"]),
    (PersonFlag::Bereaved, &["丧亲", "bereaved"]),
];
pub(super) const CASE_FLAGS: [(CaseFlag, &[&str]); 4] = [
    (CaseFlag::OutOfScope, &["分外", "分外之事", "职责外", "out_of_scope"]),
    (CaseFlag::InPerson, &["须本人到场", "本人到场", "in_person"]),
    (CaseFlag::SensitiveTone, &["情绪敏感", "敏感", "sensitive_tone"]),
    (CaseFlag::Expedite, &["加急", "expedite"]),
];
pub(super) const MAY_KNOW: [(MayKnow, &[&str]); 2] = [
    (MayKnow::DateOnly, &["仅日期", "日期", "date_only"]),
    (MayKnow::Full, &["全部", "full"]),
];
pub(super) const YES_NO: [(bool, &[&str]); 2] = [
    (true, &["是", "同意", "有", "yes", "y", "true", "1", "√", "✓"]),
    (false, &["否", "不同意", "无", "no", "n", "false", "0", "×"]),
];

/// The value that a word stands for.
pub(super) fn of_words<T: Copy>(text: &str, known: &[(T, &[&str])]) -> Result<T, Fault> {
    let wanted = half_width(text).trim().to_lowercase();
    let means = |(_, words): &&(T, &[&str])| words.contains(&wanted.as_str());
    if let Some((value, _)) = known.iter().find(means) {
        return Ok(*value);
    }
    let all: Vec<&str> = known.iter().map(|(_, words)| words[0]).collect();
    let codes: Vec<&str> = known
        .iter()
        .filter_map(|(_, words)| words.iter().find(|word| word.is_ascii()))
        .copied()
        .collect();
    let text = shown(text);
    Err(Fault::new(
        format!("没有“{text}”这个取值"),
        format!("there is no value \"{text}\""),
        format!("可填: {}", all.join("、")),
        format!("allowed: {}", codes.join(", ")),
    ))
}
