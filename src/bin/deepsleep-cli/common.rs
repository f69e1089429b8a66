//! Options that every subcommand has.

use crate::console::Console;
use crate::failure::WrongUse;
use crate::numbers::at_most;
use anyhow::Result;
use clap::Args;
use deepsleep::tensor::Context;

/// Threads that any machine may be asked for: whether results depend on their number can be tried anywhere.
const MANY: usize = 64;

/// Options that every subcommand has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Number of threads, 0 for all cores; results do not depend on it [default: 0]
    #[arg(long, global = true, value_name = "N", value_parser = at_most::<1024>)]
    threads: Option<usize>,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Common {
    /// What to compute on: the instruction set of `DEEPSLEEP_ISA` or the best one, and `--threads`.
    pub fn context(&self) -> Result<Context> {
        let asked = self.threads.unwrap_or(0);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = MANY.max(8 * cores);
        if asked > most {
            self.console().say(format_args!(
                "note: --threads {asked}: this machine has {cores} cores; more than {most} threads would only wait, so it \
                 uses {most}"
            ));
        }
        Ok(Context::new(asked.min(most))?)
    }

    /// Refuses `--threads` of a command that computes nothing.
    pub fn without_threads(&self, command: &str) -> Result<()> {
        match self.threads {
            None => Ok(()),
            Some(threads) => {
                let problem = format!("--threads {threads}: {command} computes nothing");
                Err(WrongUse(problem).into())
            }
        }
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
