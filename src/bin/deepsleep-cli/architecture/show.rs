//! `architecture list|show|check`.

use super::{of_argument, of_file};
use crate::common::Common;
use crate::failure::WrongUse;
use crate::numbers::between;
use crate::stderr::shown;
use anyhow::Result;
use clap::{Args, Subcommand};
use deepsleep::nn::architecture::{Architecture, BUILTIN};
use deepsleep::tensor::Shape;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ArchitectureCommand {
    #[command(subcommand)]
    command: ArchitectureAction,
}

#[derive(Debug, Subcommand)]
enum ArchitectureAction {
    /// List the named networks
    List,
    /// Show the layers of a network, their shapes and sizes
    Show(Show),
    /// Check a file that describes a network
    Check {
        /// TOML, JSON, or a saved model
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Show {
    /// Name, or file in TOML or JSON, or a saved model
    #[arg(value_name = "NAME|FILE")]
    architecture: String,
    /// Input shape of a named network [default: the one it was made for]
    #[arg(long, value_name = "CxHxW", value_parser = shape)]
    input: Option<Shape>,
    /// Number of classes of a named network [default: 10]
    #[arg(long, value_name = "N", value_parser = between::<1, 1_000_000>)]
    classes: Option<usize>,
    /// Print it as TOML, to edit and use with `train --architecture FILE.toml`
    #[arg(long, conflicts_with = "json")]
    toml: bool,
}

fn shape(text: &str) -> Result<Shape, String> {
    let sides: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[channels, height, width]) => Ok(Shape::new(channels, height, width)),
        _ => Err("expected channels x height x width, e.g. 3x32x32".into()),
    }
}

#[derive(Serialize)]
struct ListedArchitecture {
    name: &'static str,
    input: [usize; 3],
    parameters: usize,
    summary: &'static str,
}

impl ArchitectureCommand {
    pub fn run(&self, common: &Common) -> Result<()> {
        match &self.command {
            ArchitectureAction::List => list(common),
            ArchitectureAction::Show(show) => show.run(common),
            ArchitectureAction::Check { file } => {
                let architecture = of_file(file)?;
                let text = format!("{}: {architecture}", shown(file));
                common.console().result(&architecture, text)
            }
        }
    }
}

fn list(common: &Common) -> Result<()> {
    let listed = BUILTIN.iter().map(|builtin| {
        let Shape { channels, height, width } = builtin.input;
        let parameters = builtin.build(builtin.input, 10)?.parameter_count();
        let (name, summary) = (builtin.name, builtin.summary);
        Ok(ListedArchitecture { name, input: [channels, height, width], parameters, summary })
    });
    let all = listed.collect::<deepsleep::Result<Vec<_>>>()?;
    let line = |listed: &ListedArchitecture| {
        let [channels, height, width] = listed.input;
        let input = format!("{channels}x{height}x{width}");
        format!(
            "{:11} {input:8} {:>9} parameters: {}",
            listed.name, listed.parameters, listed.summary
        )
    };
    let mut lines: Vec<String> = all.iter().map(line).collect();
    lines.push(
        "mlp:W,...   any      linear layers of these widths with ReLUs, e.g. mlp:256,256".into(),
    );
    lines.push("Each takes images of any size that fits, and any number of classes.".into());
    common.console().result(&all, lines.join("\n"))
}

impl Show {
    fn run(&self, common: &Common) -> Result<()> {
        let given = self.input.is_some() || self.classes.is_some();
        if super::is_file(&self.architecture) && given {
            let problem =
                "--input and --classes are for named networks: a file says which images it takes";
            return Err(WrongUse(problem.into()).into());
        }
        let builtin = BUILTIN.iter().find(|b| self.architecture.eq_ignore_ascii_case(b.name));
        let input = builtin.map_or(Shape::new(1, 28, 28), |builtin| builtin.input);
        let (input, classes) = (self.input.unwrap_or(input), self.classes.unwrap_or(10));
        let architecture = of_argument(&self.architecture, input, classes)?;
        let text = match self.toml {
            true => toml::to_string(&architecture)?.trim_end().to_owned(),
            false => table(&architecture),
        };
        common.console().result(&architecture, text)
    }
}

fn table(architecture: &Architecture) -> String {
    let mut lines =
        vec![format!("{:<22} {:<16} {:>12} {:>12}", "node", "op", "output", "parameters")];
    lines.push(format!("{:<22} {:<16} {:>12}", "input", "", architecture.input().to_string()));
    for (i, node) in architecture.nodes().iter().enumerate() {
        let parameters = node.op.parameters(architecture.input_of(i)).unwrap_or_default();
        let count: usize =
            parameters.iter().map(|array| array.shape.iter().product::<usize>()).sum();
        let count = if count == 0 { String::new() } else { count.to_string() };
        let shape = architecture.shape(i).to_string();
        let line = format!("{:<22} {:<16} {shape:>12} {count:>12}", node.name, node.op.name());
        lines.push(line.trim_end().to_owned());
    }
    let megabytes = architecture.bytes() as f64 / 1e6;
    lines.push(format!(
        "{architecture}; {:.1} million operations and {megabytes:.2} MB per image",
        architecture.flops() as f64 / 1e6
    ));
    lines.join("\n")
}
