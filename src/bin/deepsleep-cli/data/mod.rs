//! `data`: lists, verifies and downloads data sets.

mod fetch;
mod list;
mod verify;

use crate::common::Common;
use crate::interrupt::Leftover;
use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataAction,
}

#[derive(Debug, Subcommand)]
enum DataAction {
    /// Show where each data set is found
    List(list::List),
    /// Check files against the published hashes
    Verify(verify::Verify),
    /// Download a data set and check its hashes; continues an interrupted download
    Fetch(fetch::Fetch),
}

impl Data {
    /// What remains of its work when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        match &self.command {
            DataAction::Fetch(fetch) => fetch.leftover(),
            DataAction::List(_) | DataAction::Verify(_) => Leftover::Nothing,
        }
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        match &self.command {
            DataAction::List(list) => list.run(common),
            DataAction::Verify(verify) => verify.run(common),
            DataAction::Fetch(fetch) => fetch.run(common),
        }
    }
}
