//! `attack`: one attack on some images, and what became of each.

mod list;
mod picture;

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::TestImages;
use crate::evaluate::Maker;
use crate::failure::{WrongUse, answered};
use crate::model::ModelKind;
use crate::numbers::{percent, radius, significant};
use crate::output::Outputs;
use crate::threat::{ThreatOptions, attack_spec, one_radius};
use anyhow::{Result, anyhow};
use clap::Args;
use deepsleep::attack::{
    Attack, AttackReport, Budget, Classifier, FoundBy, Samples, Status, findings, run_attack,
};
use deepsleep::evaluation::{Cell, Crafted, ThreatModel, archive, worst_cases};
use deepsleep::files::Content;
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Images between two updates of the progress display.
const PORTION: usize = 256;

#[derive(Debug, Args)]
pub struct AttackCommand {
    /// List the attacks and their options, or those of --attack
    #[arg(long, conflicts_with_all = [
        "model", "eps", "model_kind", "architecture", "norm", "source", "source_architecture", "source_kind", "seed", "draws", "save", "grid", "images", "first", "data", "dataset",
        "data_dir",
    ])]
    list: bool,
    /// Network to attack: safetensors, ours or PyTorch's with the same names
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    model: Option<PathBuf>,
    /// Attack, e.g. pgd or pgd:steps=100,restarts=5
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", required_unless_present = "list")]
    attack: Option<String>,
    /// Radius, pixels in 0..=1: 64/255 or 0.25
    #[arg(long, value_name = "RADIUS", required_unless_present = "list")]
    eps: Option<String>,
    /// Run it as the network of rectifiers that it is saved as, or as its spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    #[command(flatten)]
    architecture: ArchitectureOption,
    #[command(flatten)]
    threat: ThreatOptions,
    /// Save images, labels, adversarial images and every image's result, for numpy and for `evaluate --crafted`
    #[arg(long, value_name = "FILE.npz")]
    save: Option<PathBuf>,
    /// Draw clean and adversarial images and their differences
    #[arg(long, value_name = "FILE.png|FILE.svg")]
    grid: Option<PathBuf>,
    #[command(flatten)]
    images: TestImages,
}

#[derive(Serialize)]
struct AttackSummary<'a> {
    model: &'a Path,
    model_kind: ModelKind,
    source: Option<&'a Path>,
    dataset: String,
    first: usize,
    images: usize,
    attack: &'a str,
    #[serde(flatten)]
    budget: Of,
    threat_model: ThreatModel,
    clean_accuracy: f64,
    robust_accuracy: f64,
    /// Of a random network, what one draw has on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_clean_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draws: Option<usize>,
    /// The same, if only what lies within eps counts as fooled: another number where eps does not bound the attack.
    robust_accuracy_within_eps: Option<f64>,
    clean_wrong: usize,
    fooled: usize,
    survived: usize,
    invalid: usize,
    /// Images found by each part of an ensemble.
    winners: BTreeMap<std::borrow::Cow<'static, str>, usize>,
    /// The same in the ensemble's order, those who found nothing too.
    #[serde(skip_serializing_if = "<[FoundBy]>::is_empty")]
    found_by: &'a [FoundBy],
    #[serde(skip)]
    findings: Option<String>,
    /// Of the images that fool.
    mean_linf: Option<f64>,
    mean_l2: Option<f64>,
    mean_l1: Option<f64>,
    /// Pixels that changed.
    mean_l0: Option<f64>,
    forward_passes: u64,
    backward_passes: u64,
    zero_gradient_share: Option<f64>,
    seconds: f64,
    warnings: &'a [String],
    bounded: bool,
}

#[derive(Serialize)]
struct Of {
    norm: deepsleep::attack::Norm,
    eps: f32,
    seed: u64,
}

/// What a saved file says about itself, besides the attack's name and budget.
#[derive(Serialize)]
struct About<'a> {
    version: &'static str,
    /// The attack with its options, as for `--attack`.
    specification: &'a str,
    dataset: String,
    first: usize,
    model: &'a Path,
    model_kind: ModelKind,
    source: Option<&'a Path>,
    threat_model: ThreatModel,
    /// The network that the images were made on.
    maker: Maker,
}

impl AttackCommand {
    pub fn computes_nothing(&self) -> bool {
        self.list
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        if self.list {
            return list::run(common, self.attack.as_deref());
        }
        let missing = || anyhow!(WrongUse("--model, --attack and --eps are needed".into()));
        let model = self.model.as_deref().ok_or_else(missing)?;
        let text = self.attack.as_deref().ok_or_else(missing)?;
        let spec = match self.threat.model() {
            ThreatModel::WhiteBox => attack_spec(text)?,
            ThreatModel::Transfer => attack_spec(text)?.transfer_form(),
        };
        let method = spec.build()?;
        let text = spec.to_string();
        let draw = self.grid.as_deref().map(picture::format).transpose()?;
        let mut read = vec![("--model", model.to_owned())];
        read.extend(self.threat.source.clone().map(|path| ("--source", path)));
        read.extend(self.images.data.files());
        let mut outputs = Outputs::new(common.console(), read);
        let save = outputs.optional("--save", self.save.as_deref(), Content::CraftedSet)?;
        let grid = outputs.optional("--grid", self.grid.as_deref(), Content::Picture)?;
        let context = common.context()?;
        let architecture = self.architecture.architecture.as_deref();
        let shape = || self.images.data.shape();
        let (draws, console) = (self.threat.draws, common.console());
        let network = self.model_kind.load(model, architecture, &shape, draws, console)?;
        let norm = self.threat.norm;
        let features = network.input_shape().features();
        let eps = one_radius(self.eps.as_deref().ok_or_else(missing)?, norm, features)?;
        let source = self.threat.load_source(&shape, common.console())?;
        let networks = || [Some(network.as_ref()), source.as_deref()].into_iter().flatten();
        self.threat.check_draws(networks())?;
        let attacked = source.as_deref().unwrap_or(network.as_ref());
        let attacks = std::slice::from_ref(&spec);
        self.threat.check_attacks(attacks, attacked, networks(), common.console())?;
        let (test, images) = self.images.load(network.as_ref())?;
        let first = self.images.first;
        let samples = Samples::from_dataset(&test, first..first + images)?;

        let start = Instant::now();
        let budget = Budget { norm, eps, seed: self.threat.seed() };
        let models = (network.as_ref(), source.as_deref());
        let report = self.report(common, &context, models, &samples, (method.as_ref(), budget))?;
        let seconds = start.elapsed().as_secs_f64();

        let (dataset, model_kind) = (self.images.data.name(), self.model_kind);
        let own = self.threat.note_own(model, model_kind, common.console())?;
        let threat_model = if own { ThreatModel::WhiteBox } else { self.threat.model() };
        let source = self.threat.source.as_deref();
        if let Some(save) = &save {
            let (maker, its_kind) = match source {
                Some(source) => (source, self.threat.source_kind),
                None => (model, model_kind),
            };
            let version = env!("CARGO_PKG_VERSION");
            let about = About {
                version,
                specification: &text,
                dataset: dataset.clone(),
                first,
                model,
                model_kind,
                source,
                threat_model,
                maker: Maker::of(maker, its_kind)?,
            };
            let npz = archive(&samples, &report, &method.info(), &about)?;
            save.write_all(&npz.to_bytes()?)?;
            common.console().wrote(save.path());
        }
        if let (Some(grid), Some(draw)) = (&grid, draw) {
            grid.write_all(&picture::draw(draw, &samples, &report)?)?;
            common.console().wrote(grid.path());
        }
        // With all the warnings that an evaluation has.
        let bounded = method.info().bounded;
        let cell = Cell::of_report(text.clone(), threat_model, &report, bounded, seconds);
        let within = worst_cases(std::slice::from_ref(&cell));

        let fooled: Vec<_> =
            report.outcomes.iter().filter(|o| o.status == Status::Fooled).collect();
        let mean = |get: fn(&deepsleep::attack::Outcome) -> f32| {
            let sum: f64 = fooled.iter().map(|outcome| f64::from(get(outcome))).sum();
            (!fooled.is_empty()).then(|| sum / fooled.len() as f64)
        };
        let mut winners = BTreeMap::new();
        for winner in fooled.iter().filter_map(|outcome| outcome.winner.as_ref()) {
            *winners.entry(winner.attack.clone()).or_default() += 1;
        }
        let cost = report.cost();
        let printed = AttackSummary {
            model,
            model_kind,
            source,
            dataset,
            first,
            images,
            attack: &text,
            budget: Of { norm, eps, seed: budget.seed },
            threat_model,
            clean_accuracy: report.clean_accuracy(),
            robust_accuracy: report.robust_accuracy(),
            expected_clean_accuracy: report.expected_clean_accuracy(),
            expected_accuracy: report.expected_accuracy(),
            draws: network.is_random().then(|| network.draws()),
            robust_accuracy_within_eps: within.first().map(|worst| worst.robust_accuracy),
            clean_wrong: report.count(Status::CleanWrong),
            fooled: fooled.len(),
            survived: report.count(Status::Survived),
            invalid: report.count(Status::Invalid),
            winners,
            found_by: &report.diagnostics.found_by,
            findings: findings(&report.diagnostics.found_by),
            mean_linf: mean(|outcome| outcome.linf),
            mean_l2: mean(|outcome| outcome.l2),
            mean_l1: mean(|outcome| outcome.l1),
            mean_l0: mean(|outcome| outcome.l0),
            forward_passes: cost.forward_passes,
            backward_passes: cost.backward_passes,
            zero_gradient_share: report.zero_gradient_share(),
            seconds,
            warnings: &cell.warnings,
            bounded,
        };
        common.console().result(&printed, printed.text())?;
        answered(model, printed.invalid, images)
    }

    fn report(
        &self,
        common: &Common,
        context: &Context,
        (network, source): (&dyn FrozenNetwork, Option<&dyn FrozenNetwork>),
        samples: &Samples,
        (method, budget): (&dyn Attack, Budget),
    ) -> Result<AttackReport> {
        let mut progress = common.console().progress(samples.len());
        let all: Vec<usize> = (0..samples.len()).collect();
        let target: &dyn Classifier = &network;
        let portion = |portion: &[usize]| -> Result<AttackReport> {
            let some = samples.select(portion)?;
            let report = match &source {
                None => run_attack(context, target, &some, method, budget)?,
                Some(source) => {
                    Crafted::craft(context, source, &some, method, budget)?.show(context, target)?
                }
            };
            progress.advance(portion.len(), &report.attack);
            Ok(report)
        };
        let parts = all.chunks(PORTION).map(portion).collect::<Result<Vec<AttackReport>>>()?;
        AttackReport::merge(parts).ok_or_else(|| anyhow!("there are no images"))
    }
}

impl AttackSummary<'_> {
    fn text(&self) -> String {
        let Of { norm, eps, .. } = self.budget;
        let mut lines = vec![format!(
            "{} ({norm}, eps {}) on {} images: robust accuracy {}, clean {} ({:.1} s)",
            self.attack,
            radius(eps),
            self.images,
            percent(self.robust_accuracy, 1.0),
            percent(self.clean_accuracy, 1.0),
            self.seconds
        )];
        if let (false, Some(within)) = (self.bounded, self.robust_accuracy_within_eps) {
            let (within, eps) = (percent(within, 1.0), radius(eps));
            lines.push(format!("against images within eps {eps} alone: robust accuracy {within}"));
        }
        lines.push(format!(
            "{} fooled, {} survived, {} misclassified without an attack, {} invalid",
            self.fooled, self.survived, self.clean_wrong, self.invalid
        ));
        if let (Some(clean), Some(robust), Some(draws)) =
            (self.expected_clean_accuracy, self.expected_accuracy, self.draws)
        {
            lines.push(format!(
                "a random network, judged by {draws} draws an image: one draw is right in {:.2} % of the cases under \
                 attack, {:.2} % clean",
                100.0 * robust,
                100.0 * clean
            ));
        }
        if let (Some(linf), Some(l2), Some(l1), Some(l0)) =
            (self.mean_linf, self.mean_l2, self.mean_l1, self.mean_l0)
        {
            lines.push(format!(
                "images that fool, on average: linf {}, l2 {}, l1 {}, l0 {}",
                significant(linf),
                significant(l2),
                significant(l1),
                significant(l0)
            ));
        }
        let zeros = self.zero_gradient_share.map_or("no gradients".to_owned(), |share| {
            format!("{:.2} % of the gradients exactly zero", 100.0 * share)
        });
        lines.push(format!(
            "{} forward and {} backward passes, {zeros}",
            self.forward_passes, self.backward_passes
        ));
        lines.extend(self.findings.clone());
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    }
}
