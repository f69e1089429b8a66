//! `attack`: runs one attack on some images and reports what happened to each.

mod list;
mod picture;
mod summary;

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::TestImages;
use crate::failure::{WrongUse, answered};
use crate::model::{Identity, LoadedNetwork, ModelKind, files, saved_network};
use crate::output::OutputFiles;
use crate::threat::{ThreatOptions, attack_spec, one_radius};
use anyhow::{Result, anyhow};
use clap::Args;
use deepsleep::attack::{Attack, AttackReport, Budget, Samples};
use deepsleep::evaluation::{Cell, Models, ThreatModel, archive};
use deepsleep::files::Content;
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use summary::{AttackSubject, AttackSummary};

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
    /// Network to attack: a safetensors or ONNX file, or a bundled network: control, deepsleep, plain, lucid or bounds
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network(), required_unless_present = "list")]
    model: Option<PathBuf>,
    /// Attack, e.g. pgd or pgd:steps=100,restarts=5
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", required_unless_present = "list")]
    attack: Option<String>,
    /// Radius, with pixels in 0..=1, e.g. 64/255 or 0.25
    #[arg(long, value_name = "RADIUS", required_unless_present = "list")]
    eps: Option<String>,
    /// Run the network with ReLUs, as it is saved, or as a spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    #[command(flatten)]
    architecture: ArchitectureOption,
    #[command(flatten)]
    threat: ThreatOptions,
    /// Save images, labels, adversarial images and the result for each image, for numpy and `evaluate --crafted`
    #[arg(long, value_name = "FILE.npz")]
    save: Option<PathBuf>,
    /// Draw clean images, adversarial images and their differences
    #[arg(long, value_name = "FILE.png|FILE.svg")]
    grid: Option<PathBuf>,
    #[command(flatten)]
    images: TestImages,
}

/// What a saved file says about itself, besides the attack's name and budget.
#[derive(Serialize)]
struct About<'a> {
    version: &'static str,
    /// The attack with its options, as for `--attack`.
    specification: &'a str,
    dataset: String,
    first: usize,
    model: &'a str,
    model_kind: ModelKind,
    source: Option<&'a str>,
    threat_model: ThreatModel,
    /// The network that the images were made on.
    maker: &'a Identity,
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
        let (attack, text) = (spec.build()?, spec.to_string());
        let draw = self.grid.as_deref().map(picture::format).transpose()?;
        let mut outputs = OutputFiles::new(common.console(), self.read(model));
        let save = outputs.optional("--save", self.save.as_deref(), Content::CraftedSet)?;
        let grid = outputs.optional("--grid", self.grid.as_deref(), Content::Picture)?;
        let context = common.context()?;
        let architecture = self.architecture.architecture.as_deref();
        let shape = || self.images.data.shape();
        let (draws, console) = (self.threat.draws, common.console());
        let loaded = self.model_kind.load(model, architecture, &shape, draws, console)?;
        loaded.note_neurons("--model-kind", model, console);
        let LoadedNetwork { network, identity, .. } = loaded;
        let norm = self.threat.norm;
        let features = network.input_shape().features();
        let eps = one_radius(self.eps.as_deref().ok_or_else(missing)?, norm, features)?;
        let source = self.threat.load_source(&shape, common.console())?;
        let own = self.threat.note_own(source.as_ref(), &identity, common.console());
        let (source, source_identity) = source.map(|s| (s.network, s.identity)).unzip();
        let networks = || [Some(network.as_ref()), source.as_deref()].into_iter().flatten();
        self.threat.check_draws(networks())?;
        let attacked = source.as_deref().unwrap_or(network.as_ref());
        let attacks = std::slice::from_ref(&spec);
        self.threat.check_attacks(attacks, attacked, networks(), common.console())?;
        let (test, images) = self.images.load(network.as_ref())?;
        self.threat.check_source(source.as_deref(), &self.images.data, &test)?;
        let first = self.images.first;
        let samples = Samples::from_dataset(&test, first..first + images)?;

        let start = Instant::now();
        let budget = Budget { norm, eps, seed: self.threat.seed() };
        let models = models(network.as_ref(), source.as_deref());
        let report = self.report(common, &context, models, &samples, (attack.as_ref(), budget))?;
        let seconds = start.elapsed().as_secs_f64();

        let (dataset, model_kind) = (self.images.data.name(), self.model_kind);
        let threat_model = if own { ThreatModel::WhiteBox } else { self.threat.model() };
        let name = model.display().to_string();
        let source = self.threat.source.as_ref().map(|source| source.display().to_string());
        let source = source.as_deref();
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
            specification: &text,
            dataset: dataset.clone(),
            first,
            model: &name,
            model_kind,
            source,
            threat_model,
            maker: source_identity.as_ref().unwrap_or(&identity),
        };
        if let Some(save) = &save {
            let npz = archive(&samples, &report, &attack.info(), &about)?;
            save.write_all(&npz.to_bytes()?)?;
            common.console().wrote(save.path());
        }
        if let (Some(grid), Some(draw)) = (&grid, draw) {
            grid.write_all(&picture::draw(draw, &samples, &report)?)?;
            common.console().wrote(grid.path());
        }
        // With all the warnings that an evaluation has.
        let bounded = attack.info().bounded;
        let cell = Cell::of_report(spec, threat_model, &report, bounded, seconds);
        let model = name.as_str();
        let subject = AttackSubject { model, model_kind, source, dataset, first, images };
        let draws = network.is_random().then(|| network.draws());
        let summary = AttackSummary::new(subject, &report, &cell, draws);
        common.console().result(&summary, summary.text())?;
        answered(&name, summary.invalid, images)
    }

    /// The files that are read, with the options that name them.
    fn read(&self, model: &Path) -> Vec<(&'static str, PathBuf)> {
        let mut read = files("--model", model);
        read.extend(self.architecture.files());
        read.extend(self.threat.files());
        read.extend(self.images.data.files());
        read
    }

    fn report(
        &self,
        common: &Common,
        context: &Context,
        models: Models<'_>,
        samples: &Samples,
        (attack, budget): (&dyn Attack, Budget),
    ) -> Result<AttackReport> {
        let mut progress = common.console().progress(samples.len());
        let mut observe = |report: &AttackReport| {
            progress.advance(report.outcomes.len(), &report.attack);
        };
        Ok(models.attack_in_portions(context, samples, attack, budget, PORTION, &mut observe)?)
    }
}

/// Whom an attack is against, and whom it is crafted on.
fn models<'a>(target: &'a dyn FrozenNetwork, source: Option<&'a dyn FrozenNetwork>) -> Models<'a> {
    Models { target, source: source.map(|source| source as _) }
}
