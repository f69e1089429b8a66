//! `evaluate`: how many test images a saved network classifies rightly, clean and under attack.

mod origin;
mod robustness;
mod table;

use crate::architecture::ArchitectureOption;
use crate::checkpoint::Kind;
use crate::common::Common;
use crate::dataset::TestImages;
use crate::failure::{WrongUse, answered};
use crate::interrupt::Leftover;
use crate::model::ModelKind;
use crate::numbers::{at_least, percent, radius};
use crate::output::Outputs;
use crate::result_files::{ResultFiles, save};
use crate::threat::{Threat, attack_spec, one_radius, radii};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use deepsleep::attack::{Outcome, Samples, Status};
use deepsleep::checkpoint::NpzReader;
use deepsleep::data::Dataset;
use deepsleep::evaluation::{Cell, Crafted, Plan, Settings, ThreatModel, wilson};
use deepsleep::files::{Content, Output};
use deepsleep::nn::{FrozenNetwork, verdicts};
use deepsleep::tensor::{Context, Shape};
pub use origin::Maker;
use origin::Origin;
use robustness::Robustness;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Images between two updates of the progress display.
const PORTION: usize = 2048;

#[derive(Debug, Args)]
pub struct Evaluate {
    /// Network to evaluate: safetensors, ours or PyTorch's with the same names
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Run it as the network of rectifiers that it is saved as, or as its spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    /// Print which class the images of each class are taken for
    #[arg(long, conflicts_with = "crafted")]
    confusion: bool,
    #[command(flatten)]
    architecture: ArchitectureOption,
    #[command(flatten)]
    images: TestImages,
    #[command(flatten)]
    attacks: Attacks,
    #[command(flatten)]
    threat: Threat,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Under attack")]
struct Attacks {
    /// Attack, e.g. pgd or pgd:steps=100,restarts=5; may be given several times (`attack --list` shows all)
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", requires = "eps", group = "images_of")]
    attack: Vec<String>,
    /// Radii, pixels in 0..=1, e.g. 16/255,64/255,0.3; of --crafted the one that its images are held to
    #[arg(long, value_name = "RADIUS,...", requires = "images_of")]
    eps: Option<String>,
    /// Images crafted before (`attack --save`), to be shown to this network
    // They bring their own clean images and attack, and usually norm and radius.
    #[arg(long, value_name = "FILE.npz", group = "images_of", conflicts_with_all = [
        "attack", "source", "source_architecture", "source_kind", "portion", "resume", "images", "first", "data", "dataset", "data_dir",
    ])]
    crafted: Option<PathBuf>,
    /// Count images of --crafted that lie outside of box or ball by the network's answer, as if they lay within
    #[arg(long)]
    allow_outside: bool,
    /// Images attacked between two saves to --out; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least::<1>, requires_all = ["attack", "out"])]
    portion: usize,
    /// Save the result as JSON; while attacks are not finished, FILE.checkpoint holds what is done
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Go on where an interrupted evaluation with the same options and --out was stopped
    #[arg(long, requires_all = ["attack", "out"])]
    resume: bool,
}

#[derive(Serialize, Deserialize)]
struct Evaluation {
    model: PathBuf,
    model_kind: ModelKind,
    /// None of images crafted before, whose file does not have to say it.
    dataset: Option<String>,
    first: usize,
    images: usize,
    correct: usize,
    /// Clean images for which the network has no finite logits; they count as not correct.
    #[serde(default)]
    invalid: usize,
    clean_accuracy: f64,
    /// What the accuracy on all images of this kind is, with 95 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clean_interval: Option<[f64; 2]>,
    /// Images `[label][predicted class]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confusion: Option<Vec<Vec<usize>>>,
    /// Of a random network: draws that decide about an image, and the accuracy that one draw has on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draws: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_clean_accuracy: Option<f64>,
    seconds: f64,
    images_per_second: f64,
    #[serde(flatten)]
    robustness: Option<Robustness>,
}

impl Evaluate {
    /// What is left of it when it is interrupted.
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
        let context = common.context()?;
        let outputs = Outputs::new(common.console(), self.read());
        match (&self.attacks.crafted, &self.attacks.eps) {
            (Some(crafted), _) => self.crafted(common, &context, outputs, crafted),
            (None, Some(eps)) => self.attacked(common, &context, outputs, eps),
            (None, None) => self.unattacked(common, &context, outputs),
        }
    }

    /// The files that are read, with the options that name them.
    fn read(&self) -> Vec<(&'static str, PathBuf)> {
        let mut read = vec![("--model", self.model.clone())];
        read.extend(self.threat.source.clone().map(|path| ("--source", path)));
        match &self.attacks.crafted {
            Some(path) => read.push(("--crafted", path.clone())),
            None => read.extend(self.images.data.files()),
        }
        read
    }

    fn load(&self, common: &Common) -> Result<Box<dyn FrozenNetwork>> {
        let architecture = self.architecture.architecture.as_deref();
        let (draws, console) = (self.threat.draws, common.console());
        self.model_kind.load(&self.model, architecture, &|| self.shape(), draws, console)
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
    fn unattacked(&self, common: &Common, context: &Context, mut outputs: Outputs) -> Result<()> {
        let out = outputs.optional("--out", self.attacks.out.as_deref(), Content::Outcome)?;
        let network = self.load(common)?;
        self.threat.check_random([network.as_ref()])?;
        let (test, images) = self.images.load(network.as_ref())?;
        let evaluation = self.clean(common, context, network.as_ref(), &test, images)?;
        evaluation.finish(common, out.as_ref())
    }

    /// Images under attack, with a checkpoint.
    fn attacked(
        &self,
        common: &Common,
        context: &Context,
        mut outputs: Outputs,
        eps: &str,
    ) -> Result<()> {
        let out = self.attacks.out.as_deref();
        let files = out.map(|out| ResultFiles::new(&mut outputs, out, Kind::Evaluation));
        let files = files.transpose()?;
        let network = self.load(common)?;
        let plan = self.plan(network.as_ref(), eps)?;
        let source = self.threat.load_source(&|| self.shape(), common.console())?;
        let own = self.threat.note_own(&self.model, self.model_kind, common.console())?;
        let networks = [Some(network.as_ref()), source.as_deref()];
        self.threat.check_draws(networks.into_iter().flatten())?;
        let attacked = source.as_deref().unwrap_or(network.as_ref());
        let all = networks.into_iter().flatten();
        self.threat.check_attacks(&plan.attacks, attacked, all, common.console())?;
        let (test, images) = self.images.load(network.as_ref())?;
        let mut evaluation = self.clean(common, context, network.as_ref(), &test, images)?;
        let first = self.images.first;
        let samples = Samples::from_dataset(&test, first..first + images)?;
        let settings = self.settings(&plan, &samples)?;
        if let Some(files) = &files
            && self.attacks.resume
            && let Some(finished) = files.finished(&settings, Evaluation::settings)?
        {
            common.console().say(format_args!("{} is finished already", files.path().display()));
            finished.print(common)?;
            return finished.check();
        }
        let models = (network.as_ref(), source.as_deref());
        let task =
            robustness::AttackedEvaluation { plan: &plan, samples: &samples, settings, models };
        let mut robustness = task.run(common, context, files.as_ref(), self.attacks.resume)?;
        if own {
            robustness.is_white_box();
        }
        evaluation.robustness = Some(robustness);
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
        let plan = Plan {
            attacks,
            norm,
            radii: radii(eps, norm, network.input_shape().features())?,
            seed: self.threat.seed(),
            portion: self.attacks.portion,
        };
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
            let portion = test.slice(first, PORTION.min(images - done))?;
            let (id, seed) = (first as u64, self.threat.seed());
            let verdicts = verdicts(context, network, &portion, id, seed).with_context(|| {
                let model = self.model.display();
                format!("{model}: test images from number {first} on")
            })?;
            for (i, verdict) in verdicts.iter().enumerate() {
                correct += usize::from(verdict.class == Some(portion.label(i)));
                invalid += usize::from(verdict.class.is_none());
                right += verdict.right as f64 / network.draws() as f64;
                if let (Some(confusion), Some(class)) = (&mut confusion, verdict.class) {
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
            model: self.model.clone(),
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
        }
    }

    /// Shows images that were crafted before.
    fn crafted(
        &self,
        common: &Common,
        context: &Context,
        mut outputs: Outputs,
        path: &Path,
    ) -> Result<()> {
        let out = outputs.optional("--out", self.attacks.out.as_deref(), Content::Outcome)?;
        let network = self.load(common)?;
        let mut file = NpzReader::open(path)?;
        let mut crafted = Crafted::read(&mut file)?;
        self.threat.check_random([network.as_ref()])?;
        if network.is_random() {
            crafted = crafted.with_seed(self.threat.seed());
        }
        if let Some(eps) = &self.attacks.eps {
            let norm = self.threat.norm;
            let eps = one_radius(eps, norm, network.input_shape().features())?;
            let its = crafted.budget();
            if crafted.is_stated() && (its.norm, its.eps) != (norm, eps) {
                common.console().say(format_args!(
                    "note: the set says {}, eps {}; its images are held to {norm}, eps {}",
                    its.norm,
                    radius(its.eps),
                    radius(eps)
                ));
            }
            crafted = crafted.within(norm, eps);
        }
        let origin = Origin::of(&mut file);
        let threat = origin.threat(&self.model, self.model_kind)?;
        if threat == ThreatModel::WhiteBox {
            common.console().say("note: these images are shown to the model that made them");
        }
        let start = Instant::now();
        let anywhere = self.attacks.allow_outside;
        let report = match anywhere {
            true => crafted.show_wherever(context, &network.as_ref()),
            false => crafted.show(context, &network.as_ref()),
        };
        // What does not fit the network came out of the file.
        let report = report.map_err(|error| error.in_file(path))?;
        let images = report.outcomes.len();
        let correct = (report.clean_accuracy() * images as f64).round() as usize;
        let mut evaluation = self.evaluation(images, correct, start);
        evaluation.dataset = origin.dataset;
        evaluation.first = crafted.samples().ids().first().map_or(0, |&id| id as usize);
        evaluation.draws = network.is_random().then(|| network.draws());
        evaluation.expected_clean_accuracy = report.expected_clean_accuracy();
        // Whatever was shown has a finder: of the others it is the clean image that got no answer.
        let unanswered = |o: &&Outcome| o.status == Status::Invalid && o.winner.is_none();
        evaluation.invalid = report.outcomes.iter().filter(unanswered).count();
        let attack = origin.specification.unwrap_or_else(|| crafted.attack().to_owned());
        let cell = Cell::of_report(
            attack,
            threat,
            &report,
            crafted.is_bounded(),
            start.elapsed().as_secs_f64(),
        );
        let mut cell = if anywhere { cell.anywhere() } else { cell };
        if anywhere {
            // They are counted, and still said to lie where they lie.
            let shown = report.outcomes.iter().enumerate();
            let outside = shown
                .filter(|(_, o)| o.winner.is_some() && o.status != Status::CleanWrong)
                .filter(|(i, _)| !crafted.is_inside(*i))
                .map(|(_, outcome)| outcome.id);
            cell.outside_indices = outside.collect();
            cell.outside = cell.outside_indices.len();
        }
        evaluation.robustness = Some(Robustness::of_crafted(&crafted, cell));
        evaluation.finish(common, out.as_ref())?;
        let outside = report.count(Status::Outside);
        if outside > 0 {
            bail!(
                "{}: {outside} of {images} images lie outside of {}, so that the result is incomplete; --allow-outside \
                 counts them by the network's answer alone",
                path.display(),
                origin::beyond(&crafted)
            );
        }
        Ok(())
    }
}

impl Evaluation {
    /// What it depends on, if it is one under attack.
    fn settings(&self) -> Option<&Settings> {
        self.robustness.as_ref().map(|robustness| &robustness.settings)
    }

    /// Saves it where that was asked for, and prints it.
    fn finish(&self, common: &Common, out: Option<&Output>) -> Result<()> {
        if let Some(out) = out {
            save(out, self)?;
            common.console().wrote(out.path());
        }
        self.print(common)?;
        self.check()
    }

    /// A result that was saved and printed is incomplete where the network had no answer.
    fn check(&self) -> Result<()> {
        let cells = self.robustness.iter().flat_map(|robustness| &robustness.results);
        let invalid = cells.map(|cell| cell.invalid).fold(self.invalid, usize::max);
        answered(&self.model, invalid, self.images)
    }

    fn print(&self, common: &Common) -> Result<()> {
        let mut text = format!(
            "clean accuracy {}: {} of {} images{}{} ({:.2} s, {:.0} images/s)",
            percent(self.correct as f64, self.images as f64),
            self.correct,
            self.images,
            self.clean_interval.map_or(String::new(), |[low, high]| {
                format!(", {:.2} to {:.2} % with 95 % confidence", 100.0 * low, 100.0 * high)
            }),
            if self.invalid > 0 {
                format!(", {} without an answer", self.invalid)
            } else {
                String::new()
            },
            self.seconds,
            self.images_per_second,
        );
        if let (Some(draws), Some(expected)) = (self.draws, self.expected_clean_accuracy) {
            text.push_str(&format!(
                "\na random network, judged by {draws} draws an image: one draw is right in {:.2} % of the cases",
                100.0 * expected
            ));
        }
        if let Some(confusion) = &self.confusion {
            text.push('\n');
            text.push_str(&table::confusion(confusion));
        }
        if let Some(robustness) = &self.robustness {
            text.push('\n');
            text.push_str(&table::table(&robustness.results, &robustness.worst_case));
        }
        common.console().result(self, text)
    }
}
