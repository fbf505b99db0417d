//! What a column can hold, and the headers that mean it.

use crate::import::cell::half_width;

/// What a column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Name,
    Phone,
    Email,
    Gender,
    Born,
    ResidentFlags,
    Language,
    Enterprise,
    Matter,
    Request,
    Unit,
    Owner,
    Origin,
    Flags,
    Priority,
    ReceivedAt,
    DeadlineKind,
    Trigger,
    DeadlineOffice,
    CallbackWords,
    CallbackDue,
    CallbackBy,
    AppointmentWhat,
    AppointmentOffice,
    AppointmentStart,
    AppointmentWith,
    AppointmentBring,
    RelativeName,
    RelativeRelation,
    RelativePhone,
    RelativeEmail,
    RelativeOptedIn,
    RelativeMayKnow,
}

/// Fields that every row must fill.
pub(super) const REQUIRED: [Field; 3] = [Field::Name, Field::Matter, Field::Request];

/// A field, its name for `--map`, and the headers that mean it (the first of them for people to read), parted by |.
pub(super) const KNOWN: [(Field, &str, &str); 33] = [
    (
        Field::Name,
        "resident.name",
        "姓名|居民姓名|居民|申请人|申请人姓名|当事人|联系人|联系人姓名|name|resident|full name",
    ),
    (
        Field::Phone,
        "resident.phone",
        "电话|手机|手机号|手机号码|电话号码|联系电话|联系方式|居民电话|phone|mobile|tel|telephone|phone number",
    ),
    (Field::Email, "resident.email", "邮箱|电子邮箱|电子邮件|email|mail"),
    (Field::Gender, "resident.gender", "性别|gender|sex"),
    (
        Field::Born,
        "resident.born",
        "出生年份|出生年|出生日期|出生年月|born|birth year|year of birth|date of birth|birthday",
    ),
    (
        Field::ResidentFlags,
        "resident.flags",
        "特殊情况|人群|人群类别|居民标记",
    ),
    (Field::Language, "resident.language", "语言|language"),
    (
        Field::Enterprise,
        "enterprise",
        "企业|企业名称|公司|公司名称|enterprise|company",
    ),
    (Field::Matter, "matter", "事项|事项名称|事项类型|办理事项|matter"),
    (Field::Request, "request", "诉求|诉求内容|具体诉求|情况说明|request"),
    (
        Field::Unit,
        "unit",
        "窗口|受理窗口|街道|所属街道|中心|unit|centre|center|window",
    ),
    (Field::Owner, "owner", "经办人|承办人|工作人员|owner|clerk"),
    (Field::Origin, "origin", "来源|来源渠道|渠道|origin"),
    (Field::Flags, "flags", "标记|案件标记|flags"),
    (Field::Priority, "priority", "优先理由|优先原因|priority"),
    (
        Field::ReceivedAt,
        "received_at",
        "收件时间|收件日期|登记时间|登记日期|受理时间|受理日期|来访时间|来访日期|received",
    ),
    (Field::DeadlineKind, "deadline.kind", "期限|期限类型|期限种类|deadline"),
    (
        Field::Trigger,
        "deadline.trigger",
        "起算日|起算日期|trigger|trigger date",
    ),
    (Field::DeadlineOffice, "deadline.office", "办理单位|期限单位|office"),
    (
        Field::CallbackWords,
        "callback.words",
        "承诺|承诺内容|回电内容|promise|callback",
    ),
    (
        Field::CallbackDue,
        "callback.due",
        "回电日期|回电时间|承诺回电日期|call back on|promised for",
    ),
    (Field::CallbackBy, "callback.by", "回电人|承诺人"),
    (
        Field::AppointmentWhat,
        "appointment.what",
        "预约事项|预约内容|appointment",
    ),
    (Field::AppointmentOffice, "appointment.office", "预约单位|预约地点"),
    (
        Field::AppointmentStart,
        "appointment.start",
        "预约时间|预约日期|appointment time",
    ),
    (Field::AppointmentWith, "appointment.with", "陪同人|陪同人员"),
    (Field::AppointmentBring, "appointment.bring", "携带材料|需带材料|bring"),
    (
        Field::RelativeName,
        "relative.name",
        "家属|家属姓名|亲属|亲属姓名|relative",
    ),
    (
        Field::RelativeRelation,
        "relative.relation",
        "关系|与本人关系|家属关系|亲属关系|relation",
    ),
    (
        Field::RelativePhone,
        "relative.phone",
        "家属电话|家属手机|亲属电话|亲属手机",
    ),
    (Field::RelativeEmail, "relative.email", "家属邮箱|亲属邮箱"),
    (
        Field::RelativeOptedIn,
        "relative.opted_in",
        "家属同意|亲属同意|同意告知|consent",
    ),
    (Field::RelativeMayKnow, "relative.may_know", "知情范围|may know"),
];

impl Field {
    fn entry(self) -> &'static (Self, &'static str, &'static str) {
        KNOWN
            .iter()
            .find(|(field, ..)| *field == self)
            .expect("every field is in the list: a test looks")
    }

    /// Its name for `--map`.
    pub(super) fn path(self) -> &'static str {
        self.entry().1
    }

    /// The header that people would write.
    pub(super) fn header(self) -> &'static str {
        let headers = self.entry().2;
        headers.split('|').next().unwrap_or(headers)
    }

    /// The field that a refusal of the domain names, such as `relatives[0].phone`.
    pub(super) fn of_refusal(path: &str) -> Option<Self> {
        let mut plain = path.to_owned();
        for list in ["deadline", "callback", "appointment", "relative"] {
            if let Some((_, rest)) = path.strip_prefix(list).and_then(|rest| rest.split_once('.')) {
                plain = format!("{list}.{}", rest.split('[').next().unwrap_or(rest));
            }
        }
        KNOWN
            .iter()
            .find(|(_, path, _)| *path == plain)
            .map(|(field, ..)| *field)
    }

    pub(super) fn of_header(header: &str) -> Option<Self> {
        let wanted = plain(header);
        let means = |(_, path, headers): &&(Self, &str, &str)| {
            plain(path) == wanted || headers.split('|').any(|header| plain(header) == wanted)
        };
        KNOWN.iter().find(means).map(|(field, ..)| *field)
    }
}

/// A header without what does not change its meaning: case, spaces, marks, and a hint in brackets such as (必填).
pub(super) fn plain(header: &str) -> String {
    let half = half_width(header);
    let before_hint = half
        .split('(')
        .next()
        .filter(|start| !start.trim().is_empty())
        .unwrap_or(&half);
    let letters = before_hint.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_field_is_listed_once_and_every_header_means_one_field() {
        let mut seen = BTreeMap::new();
        for (field, path, headers) in &KNOWN {
            for header in headers.split('|').chain([*path]) {
                if let Some(other) = seen.insert(plain(header), *field) {
                    assert_eq!(other, *field, "{header}");
                }
            }
        }
        assert_eq!(Field::RelativeMayKnow as usize + 1, KNOWN.len());
        for (index, (field, ..)) in KNOWN.iter().enumerate() {
            assert_eq!(*field as usize, index);
        }
    }

    #[test]
    fn headers_are_known_however_they_are_dressed() {
        for header in [
            "姓名",
            " 姓 名 ",
            "姓名*",
            "姓名(必填)",
            "姓名:",
            "Name",
            "ＮＡＭＥ",
            "resident.name",
            "Resident_Name",
        ] {
            assert_eq!(Field::of_header(header), Some(Field::Name), "{header}");
        }
        assert_eq!(Field::of_header("备注"), None);
        assert_eq!(Field::of_header(""), None);
    }

    #[test]
    fn refusals_of_the_domain_find_their_column() {
        for (path, field) in [
            ("resident.phone", Field::Phone),
            ("relatives[0].phone", Field::RelativePhone),
            ("deadlines[3].trigger", Field::Trigger),
            ("appointments[0].bring[2]", Field::AppointmentBring),
            ("callbacks[0].due", Field::CallbackDue),
            ("received_at", Field::ReceivedAt),
        ] {
            assert_eq!(Field::of_refusal(path), Some(field), "{path}");
        }
        assert_eq!(Field::of_refusal("nothing"), None);
    }
}
