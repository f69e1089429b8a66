//! Options that every subcommand has.

use crate::console::Console;
use crate::numbers::at_most;
use anyhow::Result;
use clap::Args;
use deepsleep::tensor::Context;

/// Options that every subcommand has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Threads to compute on, 0 for all of the machine's; results do not depend on it
    #[arg(long, global = true, value_name = "N", default_value_t = 0, value_parser = at_most::<1024>)]
    threads: usize,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print neither progress nor notes
    #[arg(long, short, global = true)]
    quiet: bool,
}

impl Common {
    /// What to compute on: the instruction set of `DEEPSLEEP_ISA` or the best one, and `--threads`.
    pub fn context(&self) -> Result<Context> {
        Ok(Context::new(self.threads)?)
    }

    /// Whether neither progress nor notes are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Where to print.
    pub fn console(&self) -> Console {
        Console::new(self.json, self.quiet)
    }
}
