//! A walk through the chain of events: every edit, deletion, insertion, change of order and missing end is found and named. Rows are
//! read one by one; what has to be remembered grows with the number of purges, not of events.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::TryStreamExt as _;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use crate::domain::text::Said;
use crate::store::chain::{Chain, FORM, Head, Known, Link, META_HEAD, Sum, link};
use crate::store::db::{Connection, query_as, query_scalar};
use crate::store::{During, Store, StoreError};

/// So many faults are told one by one.
const TOLD_MAX: usize = 20;

/// A head that somebody has on paper: from the foot of a digest, or from an earlier verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Digests of older versions do not tell it.
    pub seq: Option<i64>,
    /// The hash, or what it begins with.
    pub hash: String,
}

impl std::str::FromStr for Noted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "应为每日待办末尾的记录号,如 1234-0123456789abcdef / it should be the record of a digest's foot, such as 1234-0123456789abcdef"
                .to_owned()
        };
        let (seq, hash) = match text.trim().split_once('-') {
            Some((seq, hash)) => (Some(seq.parse::<i64>().map_err(|_| wrong())?), hash),
            None => (None, text.trim()),
        };
        let hash = hash.to_ascii_lowercase();
        let is_hash = (12..=64).contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash || seq.is_some_and(|seq| seq < 0) {
            return Err(wrong());
        }
        Ok(Self { seq, hash })
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// These numbers are missing.
    Missing { from: i64, through: i64 },
    /// This row is not what was written, or not in its place.
    Altered { seq: i64 },
    /// The words of these rows are gone, and no purge says so; or not these.
    Unproved { purge: i64 },
    /// The head in the database is missing or was not written by us.
    HeadForged,
    /// The database says its newest event is another one.
    HeadElsewhere { seq: i64 },
    /// The key that proves the head is missing.
    NoKey { file: PathBuf },
    /// The head beside the database is missing or was not written by us.
    OutsideForged { file: PathBuf },
    /// The head beside the database is not in the chain.
    OutsideUnknown { file: PathBuf, seq: i64 },
    /// The head that was given is not in the chain.
    NotedUnknown { noted: String },
    /// While writing, the chain was found not to contain what was known of it.
    Broken { at: i64, seq: String },
}

/// What a walk has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub head: Head,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// How many in all.
    pub count: u64,
    /// How many rows have lost their words to a purge that is proved.
    pub blanked: i64,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        self.count == 0
    }
}

impl Store {
    /// Walks through the whole chain as it stands at one instant.
    pub async fn verify_events(&self, noted: Option<&Noted>) -> Result<Verdict, StoreError> {
        // Written after the rows it speaks of, so read before them.
        let outside = self.chain.outside();
        self.walk(noted, Some(&outside)).await
    }

    /// The same for a copy: the head beside the database goes on with the database, not with it.
    pub(super) async fn verify_copy(&self) -> Result<Verdict, StoreError> {
        self.walk(None, None).await
    }

    async fn walk(&self, noted: Option<&Noted>, outside: Option<&Known>) -> Result<Verdict, StoreError> {
        let mut snapshot = self.reader().snapshot().await.during("begin to read the events")?;
        walk(&self.chain, &mut snapshot, noted, outside).await
    }
}

/// The whole chain as this transaction sees it.
pub(super) async fn walk(
    chain: &Chain,
    on: &mut Connection,
    noted: Option<&Noted>,
    outside: Option<&Known>,
) -> Result<Verdict, StoreError> {
    const WALK: &str = "
        select seq, at_ms, kind, case_id, actor, proof, body, form, leaf, purge, hash
        from events
        order by seq";
    const KNOWN: &str = "select value from meta where name = $1";
    let mut walk = Walk::new(noted);
    let inside: Option<String> = query_scalar(KNOWN)
        .bind(META_HEAD)
        .fetch_optional(&mut *on)
        .await
        .during("read the head of the events")?;
    if let Some(Known::Head(head)) = outside {
        walk.outside = Some((head.clone(), head.seq == 0));
    }
    let mut rows = query_as(WALK).fetch(on);
    while let Some(row) = rows.try_next().await.during("read the events")? {
        walk.step(row);
    }
    let inside = chain.read(inside.as_deref().unwrap_or_default());
    Ok(conclude(chain, walk, &inside, outside))
}

fn conclude(chain: &Chain, mut walk: Walk<'_>, inside: &Known, outside: Option<&Known>) -> Verdict {
    let keyed = walk.last_form == Some(FORM);
    if !chain.has_key() && (keyed || *inside != Known::Absent) {
        let file = chain.key_file();
        walk.fault(Fault::NoKey { file });
    } else {
        match inside {
            // A database of before has no head until its next event.
            Known::Absent if keyed => walk.fault(Fault::HeadForged),
            Known::Forged => walk.fault(Fault::HeadForged),
            Known::Head(head) if *head != walk.head => walk.fault(Fault::HeadElsewhere { seq: head.seq }),
            Known::Absent | Known::Head(_) => {}
        }
        let file = chain.head_file();
        match (outside, &walk.outside) {
            (Some(Known::Forged), _) => walk.fault(Fault::OutsideForged { file }),
            (Some(Known::Absent), _) if keyed => walk.fault(Fault::OutsideForged { file }),
            (Some(Known::Head(head)), Some((_, false))) => walk.fault(Fault::OutsideUnknown { file, seq: head.seq }),
            _ => {}
        }
    }
    walk.end()
}

/// One row as it is stored.
#[derive(FromRow)]
struct Stored {
    seq: i64,
    at_ms: i64,
    kind: String,
    #[sqlx(rename = "case_id")]
    case: String,
    actor: String,
    proof: String,
    body: String,
    form: i64,
    leaf: Option<String>,
    purge: Option<i64>,
    hash: String,
}

/// A value of another type than was written is an alteration too.
enum Found {
    Stored(Stored),
    Strange { seq: Option<i64>, hash: String },
}

impl<'r, R: Row> FromRow<'r, R> for Found
where
    Stored: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(match Stored::from_row(row) {
            Ok(stored) => Self::Stored(stored),
            Err(_) => Self::Strange {
                seq: row.try_get("seq").ok(),
                hash: row.try_get("hash").unwrap_or_default(),
            },
        })
    }
}

impl Stored {
    fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at_ms: self.at_ms,
            kind: &self.kind,
            case: &self.case,
            actor: &self.actor,
            proof: &self.proof,
            body: &self.body,
        }
    }

    /// The hash it should have over the one before, and whether its words were taken away; `None` for a row that nothing of ours writes.
    fn expected(&self, before: &str) -> Option<String> {
        match (self.form, &self.leaf, self.purge) {
            (1, None, None) if self.kind == "fact" && self.proof.is_empty() => Some(self.link().old(before)),
            (FORM, None, None) => Some(link(before, &self.link().leaf())),
            (FORM, Some(leaf), Some(_)) if self.body.is_empty() => Some(link(before, leaf)),
            _ => None,
        }
    }
}

struct Walk<'a> {
    head: Head,
    last_form: Option<i64>,
    noted: Option<&'a Noted>,
    noted_seen: bool,
    /// The head from beside the database, and whether it has been met.
    outside: Option<(Head, bool)>,
    purges: BTreeMap<i64, Sum>,
    proofs: BTreeMap<i64, (i64, String)>,
    /// Breaks that nobody has explained yet.
    broken: Vec<Fault>,
    faults: Vec<Fault>,
    count: u64,
}

impl<'a> Walk<'a> {
    fn new(noted: Option<&'a Noted>) -> Self {
        let seen = noted.is_none_or(|noted| noted.seq == Some(0) && noted.hash.bytes().all(|byte| byte == b'0'));
        Self {
            head: Head::genesis(),
            last_form: None,
            noted,
            noted_seen: seen,
            outside: None,
            purges: BTreeMap::new(),
            proofs: BTreeMap::new(),
            broken: Vec::new(),
            faults: Vec::new(),
            count: 0,
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.count += 1;
        if self.faults.len() < TOLD_MAX {
            self.faults.push(fault);
        }
    }

    fn step(&mut self, found: Found) {
        let next = self.head.seq + 1;
        let stored = match found {
            Found::Stored(stored) => stored,
            Found::Strange { seq, hash } => {
                let seq = seq.unwrap_or(next);
                self.fault(Fault::Altered { seq });
                self.head = Head { seq, hash };
                return;
            }
        };
        let seq = stored.seq;
        if seq > next {
            let through = seq - 1;
            self.fault(Fault::Missing { from: next, through });
        } else if seq < next {
            self.fault(Fault::Altered { seq });
        }
        // A row of the older form is never written after one of the present form.
        let falls_back = self.last_form > Some(stored.form);
        if falls_back || stored.expected(&self.head.hash).as_deref() != Some(stored.hash.as_str()) {
            self.fault(Fault::Altered { seq });
        }
        if let (Some(leaf), Some(purge)) = (&stored.leaf, stored.purge) {
            self.purges.entry(purge).or_default().add(&stored.link(), leaf);
        }
        if stored.kind == "proof" {
            self.hear(&stored);
        }
        self.last_form = Some(stored.form);
        self.head = Head { seq, hash: stored.hash };
        self.meet();
    }

    /// What the house has noted of the chain itself.
    fn hear(&mut self, row: &Stored) {
        let words: Vec<&str> = row.proof.split(' ').collect();
        match words.as_slice() {
            ["purge", purge, rows, sum] => {
                if let (Ok(purge), Ok(rows)) = (purge.parse(), rows.parse()) {
                    self.proofs.insert(purge, (rows, (*sum).to_owned()));
                }
            }
            ["broken", seq, ..] => self.broken.push(Fault::Broken {
                at: row.seq,
                seq: (*seq).to_owned(),
            }),
            ["accepted"] => self.broken.clear(),
            // A restored database is shorter than it was, and the restore itself says who did it and why.
            ["restored", _] => {
                let before = row.seq - 1;
                self.broken
                    .retain(|fault| !matches!(fault, Fault::Broken { at, .. } if *at == before));
            }
            _ => {}
        }
    }

    /// Whether a head that is known from elsewhere is this one.
    fn meet(&mut self) {
        if let Some((head, met)) = &mut self.outside {
            *met |= *head == self.head;
        }
        if let Some(noted) = self.noted {
            let here = noted.seq.is_none_or(|seq| seq == self.head.seq);
            self.noted_seen |= here && self.head.hash.starts_with(&noted.hash);
        }
    }

    fn end(mut self) -> Verdict {
        let mut blanked = 0;
        for (purge, sum) in std::mem::take(&mut self.purges) {
            let proof = self.proofs.remove(&purge);
            if proof.is_some_and(|(rows, text)| rows == sum.rows && text == sum.text()) {
                blanked += sum.rows;
            } else {
                self.fault(Fault::Unproved { purge });
            }
        }
        for purge in std::mem::take(&mut self.proofs).into_keys() {
            self.fault(Fault::Unproved { purge });
        }
        for fault in std::mem::take(&mut self.broken) {
            self.fault(fault);
        }
        if !self.noted_seen
            && let Some(noted) = self.noted
        {
            let seq = noted.seq.map(|seq| format!("{seq}-")).unwrap_or_default();
            let noted = format!("{seq}{}", noted.hash);
            self.fault(Fault::NotedUnknown { noted });
        }
        Verdict {
            head: self.head,
            faults: self.faults,
            count: self.count,
            blanked,
        }
    }
}

impl Fault {
    pub fn said(&self) -> Said {
        match self {
            Self::Missing { from, through } => Said::new(
                format!("缺少第 {from} 至 {through} 条记录"),
                format!("events {from} through {through} are missing"),
            ),
            Self::Altered { seq } => Said::new(
                format!("第 {seq} 条记录被改动,或不在原来的位置"),
                format!("event {seq} was changed, or does not stand where it was written"),
            ),
            Self::Unproved { purge } => Said::new(
                format!("第 {purge} 次清除与其证明不符"),
                format!("purge {purge} is not what its proof says"),
            ),
            Self::HeadForged => Said::new(
                "数据库中的链头缺失或不是本系统写的",
                "the head of the chain in the database is missing or was not written by xixin",
            ),
            Self::HeadElsewhere { seq } => Said::new(
                format!("数据库中的链头是第 {seq} 条,与最后一条不符: 末尾被删除、增加或改写"),
                format!(
                    "the head in the database is event {seq}, not the last one: the end was cut off, added to or rewritten"
                ),
            ),
            Self::NoKey { file } => Said::new(
                format!("没有钥匙文件 {},无法核对链头", file.display()),
                format!("the key file {} is missing; the head cannot be checked", file.display()),
            ),
            Self::OutsideForged { file } => Said::new(
                format!("数据库旁的 {} 缺失或不是本系统写的", file.display()),
                format!(
                    "{} beside the database is missing or was not written by xixin",
                    file.display()
                ),
            ),
            Self::OutsideUnknown { file, seq } => Said::new(
                format!(
                    "{} 记下的第 {seq} 条不在链中: 数据库被换成较早的,或被改写",
                    file.display()
                ),
                format!(
                    "event {seq}, noted in {}, is not in the chain: the database was set back or rewritten",
                    file.display()
                ),
            ),
            Self::NotedUnknown { noted } => Said::new(
                format!("给出的记录号 {noted} 不在链中"),
                format!("the record {noted} that was given is not in the chain"),
            ),
            Self::Broken { at, seq } => Said::new(
                format!("第 {at} 条记载: 当时已知的第 {seq} 条不在链中,尚无主管说明"),
                format!(
                    "event {at} says that event {seq} as it was known was not in the chain; no supervisor has explained it"
                ),
            ),
        }
    }
}
