//! The command line: arguments in, files and results out. No numerics here.
//!
//! One file a subcommand. What they share: `architecture` (which network), `common` (options that every one has), `dataset` (which images), `console`
//! (what is printed where, through `stderr`), `progress`, `failure` (one line, and the exit code), `numbers` (ranges of arguments),
//! `settings` (`--set`), `threat` (which attacks, against whom), `output` (files written), `checkpoint` (whose one is), `result_files` (a result and its journal), `interrupt` (Ctrl-C).

#![forbid(unsafe_code)]

mod architecture;
mod attack;
mod audit;
mod checkpoint;
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
/// Results go to stdout, progress to stderr. Exit code 0: done; 1: it failed; 2: wrong use;
/// 130, 143 or 129: interrupted by Ctrl-C, a request to end or a closed terminal, with a line that says how to go on.
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
  DEEPSLEEP_DATA  folder of data sets, looked at instead of ./data and the other usual places";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network and save it as safetensors.
    #[command(after_help = examples::TRAIN)]
    Train(train::Train),
    #[command(after_help = examples::ATTACK)]
    /// Attack a saved network; keep the images, or a picture of them.
    Attack(attack::AttackCommand),
    #[command(after_help = examples::EVALUATE)]
    /// Say how many images a saved network classifies rightly, also under attack.
    Evaluate(evaluate::Evaluate),
    #[command(after_help = examples::AUDIT)]
    /// Say whether a robust accuracy can be trusted: look for masked gradients and weak attacks.
    Audit(audit::AuditCommand),
    /// Describe a saved network: layers, norms, firing rates; draw its filters and a spike raster.
    Inspect(inspect::Inspect),
    /// Reproduce the paper's tables and figures.
    Reproduce(reproduce::Reproduce),
    /// Join what shards of a reproduction have computed.
    Merge(merge::Merge),
    /// Write what came out of an experiment as a page, Markdown and CSV, beside the paper's numbers.
    Report(report::Report),
    /// Write a saved network as another kind of file: safetensors or ONNX.
    Convert(convert::Convert),
    /// List, show or check networks: those that have a name, and files.
    Architecture(architecture::ArchitectureCommand),
    /// List, verify or download data sets.
    Data(data::Data),
    /// Show what this machine offers: instruction sets, threads, measured peak.
    Info,
    /// Print a script that completes this program's arguments in a shell.
    Completions(completions::Completions),
    /// Print a manual page, to be read with `man -l`.
    Man(completions::Man),
}

impl Command {
    /// What is asked for, if it is nothing to compute.
    fn computes_nothing(&self) -> Option<&'static str> {
        match self {
            Self::Train(train) => train.computes_nothing().then_some("--print-config"),
            Self::Attack(attack) => attack.computes_nothing().then_some("--list"),
            Self::Reproduce(reproduce) => reproduce.computes_nothing().then_some("--dry-run"),
            Self::Merge(merge) => merge.computes_nothing().then_some("--dry-run"),
            Self::Data(_) => Some("data"),
            Self::Architecture(_) => Some("architecture"),
            Self::Convert(_) => Some("convert"),
            Self::Completions(_) => Some("completions"),
            Self::Man(_) => Some("man"),
            Self::Evaluate(_)
            | Self::Audit(_)
            | Self::Inspect(_)
            | Self::Report(_)
            | Self::Info => None,
        }
    }

    /// What is left of its work when it is interrupted.
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

/// Arguments in which a negative number belongs to the option before it: clap takes `--eps -1/255` for an option `-1`, and
/// its complaint names neither eps nor the range.
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
