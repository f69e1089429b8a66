//! `data`: where data sets are, whether they are the published ones, and how to get them.

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
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show where each data set is found
    List(list::List),
    /// Check files against the published hashes
    Verify(verify::Verify),
    /// Download a data set, hash-checked; an interrupted download is continued
    Fetch(fetch::Fetch),
}

impl Data {
    /// What is left of it when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        match &self.command {
            Command::Fetch(fetch) => fetch.leftover(),
            Command::List(_) | Command::Verify(_) => Leftover::Nothing,
        }
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        match &self.command {
            Command::List(list) => list.run(common),
            Command::Verify(verify) => verify.run(common),
            Command::Fetch(fetch) => fetch.run(common),
        }
    }
}
