//! `evaluate`: measures the accuracy of a saved network, clean and under attack.

mod crafted;
mod origin;
mod result;
mod robustness;
mod table;

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::TestImages;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::model::{self, Identity, LoadedNetwork, ModelKind, saved_network};
use crate::numbers::at_least;
use crate::output::OutputFiles;
use crate::result_files::ResultFiles;
use crate::threat::{ThreatOptions, attack_spec, radii};
use anyhow::{Context as _, Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};
use deepsleep::attack::{Norm, Samples};
use deepsleep::certify::{BoundMethod, Certified, Certifier};
use deepsleep::checkpoint::NpzReader;
use deepsleep::data::Dataset;
use deepsleep::evaluation::{CheckpointKind, Plan, wilson};
use deepsleep::files::Content;
use deepsleep::nn::{FrozenNetwork, decisions};
use deepsleep::tensor::{Context, Shape};
use result::Evaluation;
use std::path::PathBuf;
use std::time::Instant;

/// Images between two updates of the progress display.
const PORTION: usize = 2048;

#[derive(Debug, Args)]
pub struct Evaluate {
    /// Network to evaluate: a safetensors or ONNX file, or a bundled network: control, deepsleep, plain, lucid or bounds
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network())]
    model: PathBuf,
    /// Run the network with ReLUs, as it is saved, or as a spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    /// Print the confusion matrix
    #[arg(long, conflicts_with = "crafted")]
    confusion: bool,
    #[command(flatten)]
    architecture: ArchitectureOption,
    #[command(flatten)]
    images: TestImages,
    #[command(flatten)]
    attacks: Attacks,
    #[command(flatten)]
    threat: ThreatOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Under attack")]
#[command(group(ArgGroup::new("images_of").multiple(true)))]
struct Attacks {
    /// Attack, e.g. pgd or pgd:steps=100,restarts=5; may be given several times (`attack --list` shows all)
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", requires = "eps", group = "images_of")]
    attack: Vec<String>,
    /// Radii, with pixels in 0..=1, e.g. 16/255,64/255,0.3; with --crafted, the radius that its images must respect
    #[arg(long, value_name = "RADIUS,...", requires = "images_of")]
    eps: Option<String>,
    /// Also certify images: count those whose class no attack can change within --eps, by sound bounds (linf): those of
    /// intervals if METHOD is left out, or the tighter and slower ones of CROWN
    #[arg(long, value_parser = bound_methods(), value_name = "METHOD", num_args = 0..=1, require_equals = true, default_missing_value = "interval",
        requires = "eps", group = "images_of", ignore_case = true)]
    certify: Option<BoundMethod>,
    /// Show this network images that were crafted earlier (`attack --save`)
    // They bring their own clean images and attack, and usually norm and radius.
    #[arg(long, value_name = "FILE.npz", group = "images_of", conflicts_with_all = [
        "attack", "certify", "source", "source_architecture", "source_kind", "portion", "resume", "images", "first", "data", "dataset", "data_dir",
    ])]
    crafted: Option<PathBuf>,
    /// Count images of --crafted outside the box or the ball by the network's answer, as if they were inside
    #[arg(long)]
    allow_outside: bool,
    /// Number of images attacked between two saves to --out; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least::<1>, requires_all = ["attack", "out"])]
    portion: usize,
    /// Save the result as JSON; until the attacks are done, FILE.checkpoint holds the finished portions
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Continue an interrupted evaluation that had the same options and --out
    #[arg(long, requires_all = ["attack", "out"])]
    resume: bool,
}

/// The ways to bound, each with a line of help.
fn bound_methods() -> impl TypedValueParser<Value = BoundMethod> {
    let value = |method: BoundMethod| PossibleValue::new(method.name()).help(method.about());
    PossibleValuesParser::new(BoundMethod::ALL.map(value))
        .try_map(|name| name.to_ascii_lowercase().parse::<BoundMethod>())
}

impl Evaluate {
    /// What remains of its work when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        match &self.attacks.out {
            Some(out) if !self.attacks.attack.is_empty() => Leftover::beside(out),
            _ => Leftover::Nothing,
        }
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        // By hand: clap forgives a missing option that could not be given beside the others.
        if self.attacks.allow_outside && self.attacks.crafted.is_none() {
            let problem =
                "--allow-outside is for images that were crafted before: --crafted names them";
            return Err(WrongUse(problem.into()).into());
        }
        self.check_certify()?;
        let context = common.context()?;
        let outputs = OutputFiles::new(common.console(), self.read());
        match (&self.attacks.crafted, &self.attacks.eps) {
            (Some(crafted), _) => self.crafted(common, &context, outputs, crafted),
            (None, Some(eps)) if !self.attacks.attack.is_empty() => {
                self.attacked(common, &context, outputs, eps)
            }
            (None, _) => self.unattacked(common, &context, outputs),
        }
    }

    /// Refuses certificates of what cannot be certified.
    fn check_certify(&self) -> Result<()> {
        let problem = match (self.attacks.certify.is_some(), self.model_kind, self.threat.norm) {
            (true, ModelKind::Snn, _) => {
                "--certify bounds networks with ReLUs; bounds of spikes would say nothing; leave \
                 --model-kind snn out"
            }
            (true, _, norm) if norm != Norm::Linf => {
                "--certify bounds perturbations in linf; leave --norm out"
            }
            _ => return Ok(()),
        };
        Err(WrongUse(problem.into()).into())
    }

    /// The files that are read, with the options that name them.
    fn read(&self) -> Vec<(&'static str, PathBuf)> {
        let mut read = model::files("--model", &self.model);
        read.extend(self.architecture.files());
        read.extend(self.threat.files());
        match &self.attacks.crafted {
            Some(path) => read.push(("--crafted", path.clone())),
            None => read.extend(self.images.data.files()),
        }
        read
    }

    fn load(&self, common: &Common) -> Result<EvaluatedNetwork> {
        let architecture = self.architecture.architecture.as_deref();
        let shape = || self.shape();
        let (state, model) = model::load(&self.model, architecture, &shape, common.console())?;
        let loaded = self.model_kind.run(&self.model, &state, &model, self.threat.draws)?;
        loaded.note_neurons("--model-kind", &self.model, common.console());
        let bounded = |method| Certifier::new(&model).map(|all| all.with_method(method));
        let certifier = self.attacks.certify.map(bounded).transpose()?;
        let LoadedNetwork { network, identity, .. } = loaded;
        Ok(EvaluatedNetwork { network, identity, certifier })
    }

    /// The shape of the images that are shown.
    fn shape(&self) -> Result<Shape> {
        let Some(crafted) = &self.attacks.crafted else { return self.images.data.shape() };
        match NpzReader::open(crafted)?.shape("images")?[..] {
            [_, channels, height, width] => Ok(Shape::new(channels, height, width)),
            ref other => bail!("{}: `images` has shape {other:?}", crafted.display()),
        }
    }

    /// Clean images.
    fn unattacked(
        &self,
        common: &Common,
        context: &Context,
        mut outputs: OutputFiles,
    ) -> Result<()> {
        let out = outputs.optional("--out", self.attacks.out.as_deref(), Content::Result)?;
        let EvaluatedNetwork { network, certifier, .. } = self.load(common)?;
        self.threat.check_random([network.as_ref()])?;
        let (test, images) = self.images.load(network.as_ref())?;
        let mut evaluation = self.clean(common, context, network.as_ref(), &test, images)?;
        if let (Some(certifier), Some(eps)) = (certifier, &self.attacks.eps) {
            let first = self.images.first;
            let samples = Samples::from_dataset(&test, first..first + images)?;
            let radii = radii(eps, Norm::Linf, network.input_shape().features())?;
            evaluation.certified = certified(&certifier, context, &samples, &radii)?;
        }
        evaluation.finish(common, out.as_ref())
    }

    /// Images under attack, with a checkpoint.
    fn attacked(
        &self,
        common: &Common,
        context: &Context,
        mut outputs: OutputFiles,
        eps: &str,
    ) -> Result<()> {
        let out = self.attacks.out.as_deref();
        let files = out.map(|out| ResultFiles::new(&mut outputs, out, CheckpointKind::Evaluation));
        let files = files.transpose()?;
        let EvaluatedNetwork { network, identity, certifier } = self.load(common)?;
        let plan = self.plan(network.as_ref(), eps)?;
        let source = self.threat.load_source(&|| self.shape(), common.console())?;
        let own = self.threat.note_own(source.as_ref(), &identity, common.console());
        let (source, source_identity) = source.map(|s| (s.network, s.identity)).unzip();
        let networks = [Some(network.as_ref()), source.as_deref()];
        self.threat.check_draws(networks.into_iter().flatten())?;
        let attacked = source.as_deref().unwrap_or(network.as_ref());
        let all = networks.into_iter().flatten();
        self.threat.check_attacks(&plan.attacks, attacked, all, common.console())?;
        let (test, images) = self.images.load(network.as_ref())?;
        self.threat.check_source(source.as_deref(), &self.images.data, &test)?;
        let first = self.images.first;
        let samples = Samples::from_dataset(&test, first..first + images)?;
        let settings = self.settings(&plan, &samples, &identity, source_identity.as_ref());
        if let Some(files) = &files
            && self.attacks.resume
            && let Some(finished) = files.finished(&settings, Evaluation::settings)?
        {
            common.console().say(format_args!("{} is finished already", files.path().display()));
            finished.print(common)?;
            return finished.check();
        }
        let mut evaluation = self.clean(common, context, network.as_ref(), &test, images)?;
        let models = (network.as_ref(), source.as_deref());
        let task =
            robustness::AttackedEvaluation { plan: &plan, samples: &samples, settings, models };
        let mut robustness = task.run(common, context, files.as_ref(), self.attacks.resume)?;
        if own {
            robustness.mark_white_box();
        }
        evaluation.robustness = Some(robustness);
        if let Some(certifier) = certifier {
            evaluation.certified = certified(&certifier, context, &samples, &plan.radii)?;
        }
        if let Some(files) = &files {
            files.save(&evaluation)?;
            common.console().wrote(files.path());
        }
        evaluation.print(common)?;
        evaluation.check()
    }

    /// What is to be attacked how.
    fn plan(&self, network: &dyn FrozenNetwork, eps: &str) -> Result<Plan> {
        let norm = self.threat.norm;
        let attacks = self.attacks.attack.iter().map(|text| attack_spec(text));
        let attacks = attacks.collect::<deepsleep::Result<_>>()?;
        let radii = radii(eps, norm, network.input_shape().features())?;
        let plan = Plan::default().with(|o| {
            o.attacks = attacks;
            o.norm = norm;
            o.radii = radii;
            o.seed = self.threat.seed();
            o.portion = self.attacks.portion;
        });
        plan.validate()?;
        Ok(plan)
    }

    fn clean(
        &self,
        common: &Common,
        context: &Context,
        network: &dyn FrozenNetwork,
        test: &Dataset,
        images: usize,
    ) -> Result<Evaluation> {
        let start = Instant::now();
        let mut progress = common.console().progress(images);
        let (mut correct, mut invalid, mut right) = (0, 0, 0.0);
        let classes = network.classes();
        let mut confusion = self.confusion.then(|| vec![vec![0; classes]; classes]);
        for done in (0..images).step_by(PORTION) {
            let first = self.images.first + done;
            let portion = test.slice(first..first + PORTION.min(images - done))?;
            let (id, seed) = (first as u64, self.threat.seed());
            let decisions = decisions(context, network, &portion, id, seed).with_context(|| {
                let model = self.model.display();
                format!("{model}: test images from number {first} on")
            })?;
            for (i, decision) in decisions.iter().enumerate() {
                correct += usize::from(decision.class == Some(portion.label(i)));
                invalid += usize::from(decision.class.is_none());
                right += decision.right as f64 / network.draws() as f64;
                if let (Some(confusion), Some(class)) = (&mut confusion, decision.class) {
                    confusion[portion.label(i)][class] += 1;
                }
            }
            progress.advance(portion.len(), "evaluating");
        }
        drop(progress);
        let mut evaluation = self.evaluation(images, correct, start);
        evaluation.invalid = invalid;
        evaluation.confusion = confusion;
        if network.is_random() {
            (evaluation.draws, evaluation.expected_clean_accuracy) =
                (Some(network.draws()), Some(right / images as f64));
        }
        Ok(evaluation)
    }

    fn evaluation(&self, images: usize, correct: usize, start: Instant) -> Evaluation {
        let seconds = start.elapsed().as_secs_f64();
        Evaluation {
            model: self.model.display().to_string(),
            model_kind: self.model_kind,
            dataset: Some(self.images.data.name()),
            first: self.images.first,
            images,
            correct,
            invalid: 0,
            clean_accuracy: correct as f64 / images.max(1) as f64,
            clean_interval: (images > 0).then(|| wilson(correct, images)),
            confusion: None,
            draws: None,
            expected_clean_accuracy: None,
            seconds,
            images_per_second: images as f64 / seconds.max(f64::MIN_POSITIVE),
            robustness: None,
            certified: Vec::new(),
        }
    }
}

/// What is evaluated.
struct EvaluatedNetwork {
    network: Box<dyn FrozenNetwork>,
    identity: Identity,
    certifier: Option<Certifier>,
}

/// The certificates at all radii.
fn certified(
    certifier: &Certifier,
    context: &Context,
    samples: &Samples,
    radii: &[f32],
) -> Result<Vec<Certified>> {
    let at = |&eps: &f32| certifier.certify(context, samples, eps);
    Ok(radii.iter().map(at).collect::<deepsleep::Result<_>>()?)
}
