//! `audit`: whether a robust accuracy can be trusted.

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::model::{Identity, LoadedNetwork, ModelKind, files, saved_network};
use crate::numbers::{at_least, percent, whole};
use crate::output::OutputFiles;
use crate::result_files::{ResultFiles, journal};
use crate::threat::{attack_spec, check_attack, norms, one_radius};
use anyhow::{Context as _, Result};
use clap::Args;
use deepsleep::attack::{Budget, Classifier, Norm, Samples};
use deepsleep::audit::{
    Attacked, AuditOptions, AuditReport, AuditStage, AuditTask, ENOUGH, Finding,
};
use deepsleep::data::Split;
use deepsleep::evaluation::{self, AUDIT, CheckpointKind, JournalSettings};
use deepsleep::experiment::NUMERICS;
use deepsleep::files::Content;
use deepsleep::nn::FrozenNetwork;
use deepsleep::report::audit_page;
use deepsleep::wording::written;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct AuditCommand {
    /// Network to audit: a safetensors or ONNX file, or a bundled network: control, deepsleep, plain, lucid or bounds
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network())]
    model: PathBuf,
    /// Run the network with ReLUs, as it is saved, or as a spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    #[command(flatten)]
    architecture: ArchitectureOption,
    /// Radius, with pixels in 0..=1, e.g. 8/255 or 0.03
    #[arg(long, value_name = "RADIUS")]
    eps: String,
    /// Norm of the perturbation
    #[arg(long, value_name = "NORM", default_value_t = Norm::Linf, value_parser = norms(), ignore_case = true)]
    norm: Norm,
    /// Number of correctly classified images to audit; with fewer than 500, an audit without findings is undecided
    /// [default: 500, or as many as there are]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// First test image, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0, value_parser = whole::<usize>)]
    first: usize,
    /// Robust accuracy claimed at this radius, in 0..=1
    #[arg(long, value_name = "SHARE")]
    claim: Option<f64>,
    /// An independently trained network for the same task, whose adversarial images are shown to this one; repeatable
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network())]
    twin: Vec<PathBuf>,
    /// Number of survivors to attack without gradients, with ten thousand evaluations each
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<1>)]
    search: usize,
    /// Run fewer gradient attacks, with fewer restarts
    #[arg(long)]
    fast: bool,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<u64>)]
    seed: u64,
    /// Attack behind the claim, to be checked too, e.g. pgd:steps=10
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", requires = "claim")]
    attack: Option<String>,
    /// Save the result as JSON; FILE.checkpoint keeps the progress until then
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Save the result as a web page with its curves
    #[arg(long, value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Continue an interrupted audit that had the same options and --out
    #[arg(long, requires = "out")]
    resume: bool,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize, Deserialize)]
struct AuditSummary {
    model: String,
    model_kind: ModelKind,
    dataset: String,
    /// What it depends on.
    settings: JournalSettings,
    #[serde(flatten)]
    report: AuditReport,
    /// Time taken, including the stages resumed from earlier runs.
    seconds: f64,
}

/// What is audited, and what is shown to it.
struct LoadedAudit {
    network: Box<dyn FrozenNetwork>,
    identity: Identity,
    twins: Vec<LoadedNetwork>,
    samples: Samples,
}

impl AuditCommand {
    /// What is left of it when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        self.out.as_deref().map_or(Leftover::Nothing, Leftover::beside)
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        if let Some(claim) = self.claim.filter(|claim| !(0.0..=1.0).contains(claim)) {
            let problem = format!("--claim {claim}: a robust accuracy is a share in 0..=1");
            return Err(WrongUse(problem).into());
        }
        let claimed_by = self.attack.as_deref().map(attack_spec).transpose()?;
        let mut read = files("--model", &self.model);
        read.extend(self.architecture.files());
        read.extend(self.twin.iter().flat_map(|path| files("--twin", path)));
        read.extend(self.data.files());
        let mut outputs = OutputFiles::new(common.console(), read);
        let page = outputs.optional("--page", self.page.as_deref(), Content::Page)?;
        let files = self.out.as_deref();
        let files = files
            .map(|out| ResultFiles::new(&mut outputs, out, CheckpointKind::Audit))
            .transpose()?;
        let loaded = self.load(common)?;
        if let Some(attack) = &claimed_by {
            check_attack(attack, loaded.network.as_ref(), common.console())?;
        }
        let features = loaded.network.input_shape().features();
        let eps = one_radius(&self.eps, self.norm, features)?;
        let options = AuditOptions::default().with(|o| {
            o.budget = Budget { norm: self.norm, eps, seed: self.seed };
            o.images = self.images.unwrap_or(ENOUGH);
            o.claim = self.claim;
            o.claimed_by = claimed_by;
            o.search = self.search;
            o.fast = self.fast;
        });
        let settings = self.settings(&options, &loaded);
        let finished = match &files {
            Some(files) if self.resume => files.finished(&settings, AuditSummary::settings)?,
            _ => None,
        };
        let audited = match (finished, &files) {
            (Some(finished), Some(files)) => {
                let path = files.path().display();
                common.console().say(format_args!("{path} is finished already"));
                finished
            }
            _ => self.audit(common, &loaded, &options, settings, files.as_ref())?,
        };
        if let Some(page) = &page {
            let model = self.model.display().to_string();
            page.write_all(audit_page(&model, &audited.dataset, &audited.report)?.as_bytes())?;
            common.console().wrote(page.path());
        }
        common.console().result(&audited, audited.text())
    }

    fn load(&self, common: &Common) -> Result<LoadedAudit> {
        let (shape, console) = (|| self.data.shape(), common.console());
        let architecture = self.architecture.architecture.as_deref();
        let loaded = self.model_kind.load(&self.model, architecture, &shape, None, console)?;
        loaded.note_neurons("--model-kind", &self.model, console);
        let LoadedNetwork { network, identity, .. } = loaded;
        let twins =
            self.twin.iter().map(|path| ModelKind::Cnn.load(path, None, &shape, None, console));
        let twins = twins.collect::<Result<Vec<_>>>()?;
        let test = self.data.load(Split::Test)?;
        self.data.check(&test, network.input_shape(), network.classes())?;
        for (path, twin) in self.twin.iter().zip(&twins) {
            let twin = &twin.network;
            let checked = self.data.check(&test, twin.input_shape(), twin.classes());
            checked.with_context(|| format!("--twin {}", path.display()))?;
        }
        self.check_twins(&identity, &twins)?;
        if self.first >= test.len() {
            let (first, all) = (self.first, test.len());
            let problem = format!("--first {first}: there are {all} test images, numbered from 0");
            return Err(WrongUse(problem).into());
        }
        let (first, left) = (self.first, test.len() - self.first);
        if let Some(images) = self.images.filter(|&images| images > left) {
            let problem =
                format!("--images {images}: there are {left} test images from --first {first} on");
            return Err(WrongUse(problem).into());
        }
        let samples = Samples::from_dataset(&test, self.first..test.len())?;
        Ok(LoadedAudit { network, identity, twins, samples })
    }

    /// Images made on a network are known to it: shown to itself they could not fool it more often, and shown twice not
    /// either.
    fn check_twins(&self, identity: &Identity, twins: &[LoadedNetwork]) -> Result<()> {
        for (i, (path, twin)) in self.twin.iter().zip(twins).enumerate() {
            let path = path.display();
            if twin.identity == *identity {
                let problem = format!(
                    "--twin {path}: this is the network that is audited; a twin is another one for the same task, trained by itself"
                );
                return Err(WrongUse(problem).into());
            }
            if twins[..i].iter().any(|other| other.identity == twin.identity) {
                return Err(WrongUse(format!("--twin {path}: this network is given twice")).into());
            }
        }
        Ok(())
    }

    /// Everything that the result depends on.
    fn settings(&self, options: &AuditOptions, loaded: &LoadedAudit) -> JournalSettings {
        let Budget { norm, eps, seed } = options.budget;
        let twins: Vec<&str> = loaded.twins.iter().map(|twin| twin.identity.sha256()).collect();
        let said = |value: Option<String>| value.unwrap_or_else(|| "none".into());
        let all = [
            (AUDIT, env!("CARGO_PKG_VERSION").to_owned()),
            ("numerics", NUMERICS.to_string()),
            ("test images", evaluation::fingerprint(&loaded.samples)),
            ("--norm", norm.to_string()),
            ("--eps", eps.to_string()),
            ("--seed", seed.to_string()),
            ("--images", options.images.to_string()),
            ("--search", self.search.to_string()),
            ("--fast", self.fast.to_string()),
            ("--twin", twins.join(" ")),
            ("--claim", said(self.claim.map(|claim| claim.to_string()))),
            ("--attack", said(options.claimed_by.as_ref().map(ToString::to_string))),
        ];
        let all = all.into_iter().map(|(name, value)| (name.to_owned(), value));
        all.chain(loaded.identity.settings("model")).collect()
    }

    fn audit(
        &self,
        common: &Common,
        loaded: &LoadedAudit,
        options: &AuditOptions,
        settings: JournalSettings,
        files: Option<&ResultFiles>,
    ) -> Result<AuditSummary> {
        let start = Instant::now();
        let (context, console) = (common.context()?, common.console());
        let twins = loaded.twins.iter().map(|twin| twin.network.as_ref() as &dyn Classifier);
        let twins: Vec<&dyn Classifier> = twins.collect();
        let (model, samples) = (loaded.network.as_ref(), &loaded.samples);
        let task = AuditTask { context: &context, model, samples, options, twins: &twins };
        task.check()?;
        let (mut journal, done) = journal::<AuditStage>(files, common, &settings, self.resume)?;
        let before: f64 = done.iter().map(|stage| stage.seconds).sum();
        if self.resume {
            console.say(format_args!("continuing after {} stages", done.len()));
        }
        let mut say = |what: &str| console.say(format_args!("{what} ..."));
        let report = task.run_with(done, &mut say, &mut |stage| match &mut journal {
            Some(journal) => journal.add(stage),
            None => Ok(()),
        })?;
        let audited = AuditSummary {
            model: self.model.display().to_string(),
            model_kind: self.model_kind,
            dataset: self.data.name(),
            settings,
            report,
            seconds: before + start.elapsed().as_secs_f64(),
        };
        if let Some(files) = files {
            files.save(&audited)?;
            console.wrote(files.path());
        }
        Ok(audited)
    }
}

impl AuditSummary {
    fn settings(&self) -> Option<&JournalSettings> {
        Some(&self.settings)
    }

    /// The attacks that fooled images within the radius, on how many of what they were shown.
    fn found_by(&self) -> Option<String> {
        let AuditReport { eps, attacks, .. } = &self.report;
        let within = attacks.iter().filter(|attack| attack.eps == *eps && attack.fooled > 0);
        let found = within.map(|Attacked { attack, fooled, samples, .. }| {
            format!("{attack} {fooled} of {samples}")
        });
        let found = found.collect::<Vec<String>>().join("; ");
        (!found.is_empty()).then(|| format!("fooled by: {found}"))
    }

    fn text(&self) -> String {
        let AuditReport { norm, eps, images, right, verdict, .. } = &self.report;
        let share = |value: f64| percent(value, 1.0);
        let [low, high] = self.report.interval.map(share);
        let mut lines = vec![
            format!("verdict: {verdict}"),
            format!(
                "robust accuracy to report ({norm}, eps {}): {} ({low} to {high}) of {images} images; {right} are correct without \
                 an attack; gradient attacks alone leave {} ({:.1} s)",
                written(*eps),
                share(self.report.robust_accuracy),
                share(self.report.gradient_accuracy),
                self.seconds
            ),
        ];
        let width = self.report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.report.checks {
            let finding = check.finding.word();
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
        lines.extend(self.found_by());
        lines.join("\n")
    }
}

/// Four decimals, which is one sample of ten thousand.
fn decimals(value: f64) -> String {
    format!("{value:.4}")
}
