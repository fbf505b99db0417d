//! `xixin preview`.

use crate::app::Place;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: Args, _place: Place) -> anyhow::Result<u8> {
    unimplemented!()
}
