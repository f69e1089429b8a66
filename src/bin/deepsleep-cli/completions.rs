//! `completions` and `man`: shell completion scripts and manual pages.

use crate::Cli;
use crate::common::Common;
use crate::failure::WrongUse;
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to write the script for
    #[arg(value_enum, ignore_case = true)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "deepsleep-cli", &mut script);
        let script = String::from_utf8(script)?;
        common.console().result(&script, script.trim_end())
    }
}

#[derive(Debug, Args)]
pub struct Man {
    /// Subcommand that the page describes [default: the program]
    command: Option<String>,
}

impl Man {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut cli = Cli::command();
        cli.build();
        let command = match &self.command {
            None => &cli,
            Some(name) => cli.find_subcommand(name).ok_or_else(|| {
                let names: Vec<&str> = cli.get_subcommands().map(|c| c.get_name()).collect();
                WrongUse(format!("there is no subcommand `{name}`; there are {}", names.join(", ")))
            })?,
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        let page = String::from_utf8(page)?;
        common.console().result(&page, page.trim_end())
    }
}
