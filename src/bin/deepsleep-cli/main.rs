//! The command line: arguments in, files and results out. No numerics here.
//!
//! One file per subcommand. They share `architecture` (which network), `common` (options of every subcommand), `dataset`
//! (which images), `console` (what is printed where, through `stderr`), `progress`, `failure` (the one line and the exit
//! code), `numbers` (ranges of arguments), `settings` (`--set`), `threat` (how to attack), `output` (files that are written),
//! `result_files` (a result and its journal) and `interrupt` (Ctrl-C).

#![forbid(unsafe_code)]

mod architecture;
mod attack;
mod audit;
mod common;
mod completions;
mod console;
mod convert;
mod data;
mod dataset;
mod evaluate;
mod examples;
mod failure;
mod info;
mod inspect;
mod interrupt;
mod merge;
mod model;
mod numbers;
mod output;
mod progress;
mod report;
mod reproduce;
mod result_files;
mod settings;
mod stderr;
mod threat;
mod train;

use clap::{Parser, Subcommand};
use common::Common;
use interrupt::Leftover;
use std::ffi::OsString;
use std::process::ExitCode;

/// Trains networks on plain CPUs, attacks them, and says how good they are.
///
/// Results go to stdout, progress to stderr. Exit codes: 0 success; 1 failure; 2 wrong use; 130, 143 or 129 after Ctrl-C,
/// SIGTERM or a closed terminal, with a line that says how to continue.
#[derive(Debug, Parser)]
#[command(name = "deepsleep-cli", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const ENVIRONMENT: &str = "Environment:
  DEEPSLEEP_ISA   instruction set: portable, avx2 or avx512 (results are the same)
  DEEPSLEEP_DATA  folder of data sets, searched instead of ./data and the other usual places";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network and save it as safetensors.
    #[command(after_help = examples::TRAIN)]
    Train(train::Train),
    #[command(after_help = examples::ATTACK)]
    /// Attack a saved network; save the adversarial images, or a picture of them.
    Attack(attack::AttackCommand),
    #[command(after_help = examples::EVALUATE)]
    /// Measure the accuracy of a saved network, clean or under attack.
    Evaluate(evaluate::Evaluate),
    #[command(after_help = examples::AUDIT)]
    /// Check whether a robust accuracy can be trusted: look for masked gradients and weak attacks.
    Audit(audit::AuditCommand),
    /// Describe a saved network: layers, norms, firing rates; draw its filters and a spike raster.
    Inspect(inspect::Inspect),
    /// Reproduce the paper's tables and figures.
    Reproduce(reproduce::Reproduce),
    /// Merge the results of a reproduction's shards.
    Merge(merge::Merge),
    /// Write the report of an experiment next to the paper's numbers: an HTML page, Markdown and CSV.
    Report(report::Report),
    /// Convert a saved network to safetensors or ONNX.
    Convert(convert::Convert),
    /// List, show or check network architectures, by name or file.
    Architecture(architecture::ArchitectureCommand),
    /// List, verify or download data sets.
    Data(data::Data),
    /// Show what this machine offers: instruction sets, threads, measured peak.
    Info,
    /// Print a shell completion script for this program.
    Completions(completions::Completions),
    /// Print a manual page; read it with `man -l`.
    Man(completions::Man),
}

impl Command {
    /// The option or subcommand that asks for no computation, if there is one.
    fn computes_nothing(&self) -> Option<&'static str> {
        match self {
            Self::Train(train) => train.computes_nothing().then_some("--print-config"),
            Self::Attack(attack) => attack.computes_nothing().then_some("--list"),
            Self::Reproduce(reproduce) => reproduce.computes_nothing().then_some("--dry-run"),
            Self::Merge(merge) => merge.computes_nothing(),
            Self::Report(_) => Some("report"),
            Self::Data(_) => Some("data"),
            Self::Architecture(_) => Some("architecture"),
            Self::Convert(_) => Some("convert"),
            Self::Completions(_) => Some("completions"),
            Self::Man(_) => Some("man"),
            Self::Evaluate(_) | Self::Audit(_) | Self::Inspect(_) | Self::Info => None,
        }
    }

    /// What remains of its work when it is interrupted.
    fn leftover(&self) -> Leftover {
        match self {
            Self::Train(train) => train.leftover(),
            Self::Evaluate(evaluate) => evaluate.leftover(),
            Self::Reproduce(reproduce) => reproduce.leftover(),
            Self::Merge(merge) => merge.leftover(),
            Self::Data(data) => data.leftover(),
            Self::Audit(audit) => audit.leftover(),
            Self::Attack(_)
            | Self::Inspect(_)
            | Self::Report(_)
            | Self::Architecture(_)
            | Self::Convert(_)
            | Self::Info
            | Self::Completions(_)
            | Self::Man(_) => Leftover::Nothing,
        }
    }
}

/// The arguments, with a negative number joined to the option before it. Otherwise clap takes the `-1` of `--eps -1/255`
/// for an option, and its message names neither eps nor the range.
fn arguments() -> Vec<OsString> {
    let negative = |text: &str| {
        let number = text.strip_prefix('-').and_then(|rest| rest.chars().next());
        number.is_some_and(|first| first.is_ascii_digit() || first == '.')
    };
    let mut all: Vec<OsString> = Vec::new();
    for argument in std::env::args_os() {
        match (
            all.last_mut().and_then(|last| Some((last.to_str()?.to_owned(), last))),
            argument.to_str(),
        ) {
            (Some((option, last)), Some(number))
                if option.starts_with("--")
                    && option.len() > 2
                    && !option.contains('=')
                    && negative(number) =>
            {
                *last = format!("{option}={number}").into();
            }
            _ => all.push(argument),
        }
    }
    all
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(arguments()) {
        Ok(cli) => cli,
        Err(error) => return failure::of_arguments(&error),
    };
    let Cli { common, command } = cli;
    if let Some(idle) = command.computes_nothing()
        && let Err(error) = common.without_threads(idle)
    {
        return failure::of_command(&error);
    }
    if !common.quiet {
        stderr::show_notes();
    }
    interrupt::watch(command.leftover());
    let done = match command {
        Command::Train(train) => train.run(&common),
        Command::Attack(attack) => attack.run(&common),
        Command::Evaluate(evaluate) => evaluate.run(&common),
        Command::Audit(audit) => audit.run(&common),
        Command::Inspect(inspect) => inspect.run(&common),
        Command::Convert(convert) => convert.run(&common),
        Command::Reproduce(reproduce) => reproduce.run(&common),
        Command::Merge(merge) => merge.run(&common),
        Command::Report(report) => report.run(&common),
        Command::Architecture(architecture) => architecture.run(&common),
        Command::Data(data) => data.run(&common),
        Command::Info => info::run(&common),
        Command::Completions(completions) => completions.run(&common),
        Command::Man(man) => man.run(&common),
    };
    done.map_or_else(|error| failure::of_command(&error), |()| ExitCode::SUCCESS)
}
