//! `audit`: whether a robust accuracy can be trusted.

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::ModelKind;
use crate::numbers::{at_least, percent};
use crate::output::Outputs;
use crate::threat::{norms, one_radius};
use anyhow::Result;
use clap::Args;
use deepsleep::attack::{Budget, Classifier, Norm, Samples};
use deepsleep::audit::{Audit, AuditReport, ENOUGH, Finding, audit};
use deepsleep::data::Split;
use deepsleep::files::Content;
use deepsleep::written;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, Args)]
pub struct AuditCommand {
    /// Network to audit: safetensors, ours or PyTorch's with the same names
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Run it as the network of rectifiers that it is saved as, or as its spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    #[command(flatten)]
    architecture: ArchitectureOption,
    /// Radius, pixels in 0..=1: 8/255 or 0.03
    #[arg(long, value_name = "RADIUS")]
    eps: String,
    /// How a perturbation is measured
    #[arg(long, value_name = "NORM", default_value_t = Norm::Linf, value_parser = norms(), ignore_case = true)]
    norm: Norm,
    /// Images to audit, of those that the network classifies rightly; fewer than 500 that raise no doubt decide nothing
    #[arg(long, value_name = "N", default_value_t = ENOUGH, value_parser = at_least::<1>)]
    images: usize,
    /// First test image, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    first: usize,
    /// Robust accuracy that somebody claims at this radius, in 0..=1
    #[arg(long, value_name = "SHARE")]
    claim: Option<f64>,
    /// Another network for the same task, trained by itself, whose images are shown to this one; may be given several times
    #[arg(long, value_name = "FILE")]
    twin: Vec<PathBuf>,
    /// Images that withstood gradients and are searched without them, ten thousand evaluations each
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<1>)]
    search: usize,
    /// Leave out the long tail of attacks with gradients
    #[arg(long)]
    fast: bool,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Save the result as JSON
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize)]
struct AuditSummary<'a> {
    model: &'a Path,
    model_kind: ModelKind,
    dataset: String,
    #[serde(flatten)]
    report: &'a AuditReport,
    seconds: f64,
}

impl AuditCommand {
    pub fn run(&self, common: &Common) -> Result<()> {
        if let Some(claim) = self.claim.filter(|claim| !(0.0..=1.0).contains(claim)) {
            let problem = format!("--claim {claim}: a robust accuracy is a share in 0..=1");
            return Err(WrongUse(problem).into());
        }
        let mut read = vec![("--model", self.model.clone())];
        read.extend(self.twin.iter().map(|path| ("--twin", path.clone())));
        read.extend(self.data.files());
        let mut outputs = Outputs::new(common.console(), read);
        let out = outputs.optional("--out", self.out.as_deref(), Content::Result)?;
        let context = common.context()?;
        let (shape, console) = (|| self.data.shape(), common.console());
        let architecture = self.architecture.architecture.as_deref();
        let network = self.model_kind.load(&self.model, architecture, &shape, None, console)?;
        let features = network.input_shape().features();
        let eps = one_radius(&self.eps, self.norm, features)?;
        let twins =
            self.twin.iter().map(|path| ModelKind::Cnn.load(path, None, &shape, None, console));
        let twins = twins.collect::<Result<Vec<_>>>()?;
        let test = self.data.load(Split::Test)?;
        self.data.check(&test, network.input_shape(), network.classes())?;
        if self.first >= test.len() {
            let (first, all) = (self.first, test.len());
            let problem = format!("--first {first}: there are {all} test images, numbered from 0");
            return Err(WrongUse(problem).into());
        }
        let samples = Samples::from_dataset(&test, self.first..test.len())?;
        let options = Audit {
            budget: Budget { norm: self.norm, eps, seed: self.seed },
            images: self.images,
            claim: self.claim,
            search: self.search,
            fast: self.fast,
            ..Audit::default()
        };
        let start = Instant::now();
        let views: Vec<&dyn Classifier> =
            twins.iter().map(|twin| twin.as_ref() as &dyn Classifier).collect();
        let say = |what: &str| console.say(format_args!("{what} ..."));
        let report = audit(&context, network.as_ref(), &samples, &options, &views, say)?;
        let printed = AuditSummary {
            model: &self.model,
            model_kind: self.model_kind,
            dataset: self.data.name(),
            report: &report,
            seconds: start.elapsed().as_secs_f64(),
        };
        if let Some(out) = &out {
            let mut json = serde_json::to_vec_pretty(&printed)?;
            json.push(b'\n');
            out.write_all(&json)?;
            console.wrote(out.path());
        }
        console.result(&printed, printed.text())
    }
}

impl AuditSummary<'_> {
    fn text(&self) -> String {
        let AuditReport { norm, eps, images, right, verdict, .. } = self.report;
        let share = |value: f64| percent(value, 1.0);
        let [low, high] = self.report.interval.map(share);
        let mut lines = vec![
            format!("verdict: {verdict}"),
            format!(
                "the number to report, {norm}, eps {}: {} ({low} to {high}) of {images} images, {right} of which are right \
                 without an attack; gradients alone leave {} ({:.1} s)",
                written(*eps),
                share(self.report.robust_accuracy),
                share(self.report.gradient_accuracy),
                self.seconds
            ),
        ];
        let width = self.report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.report.checks {
            let finding = match check.finding {
                Finding::Pass => "pass",
                Finding::Warn => "WARN",
                Finding::Fail => "FAIL",
            };
            let interval = check.interval.map_or(String::new(), |[low, high]| {
                format!(" ({} to {})", decimals(low), decimals(high))
            });
            lines.push(format!(
                "{finding}  {:<width$}  {}{interval}  {} [{}]",
                check.name,
                decimals(check.statistic),
                check.measures,
                check.threshold
            ));
        }
        let doubts = self.report.checks.iter().filter(|check| check.finding != Finding::Pass);
        lines.extend(doubts.map(|check| format!("{}: {}", check.name, check.meaning)));
        lines.join("\n")
    }
}

/// Four decimals, which is one sample of ten thousand.
fn decimals(value: f64) -> String {
    format!("{value:.4}")
}
