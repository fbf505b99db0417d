//! `xixin period`.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::domain::calendar::Calendar;
use crate::domain::ids::OfficeId;
use crate::domain::office::Office;

#[derive(Debug, clap::Args)]
pub struct PeriodArgs {}

pub fn run(
    _args: &PeriodArgs,
    _calendar: &Calendar,
    _zone: &TimeZone,
    _offices: &BTreeMap<OfficeId, Office>,
    _out: &mut impl Write,
) -> anyhow::Result<u8> {
    unimplemented!()
}
