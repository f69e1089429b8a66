//! `evaluate`: how many test images a saved network classifies rightly, clean and under attack.

mod robustness;
mod table;

use crate::common::Common;
use crate::dataset::TestImages;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::model::ModelKind;
use crate::numbers::at_least;
use crate::threat::Threat;
use anyhow::{Context as _, Result};
use clap::Args;
use deepsleep::attack::Samples;
use deepsleep::data::Dataset;
use deepsleep::evaluation::{Crafted, Plan};
use deepsleep::nn::{FrozenNetwork, verdicts};
use deepsleep::tensor::Context;
use robustness::{Files, Robustness};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// Images between two updates of the progress display.
const PORTION: usize = 2048;

#[derive(Debug, Args)]
pub struct Evaluate {
    /// Network to evaluate: safetensors, ours or PyTorch's with the same names
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Run it as the network of rectifiers that it is saved as, or as its spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn)]
    model_kind: ModelKind,
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
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]", requires = "eps")]
    attack: Vec<String>,
    /// Radii, pixels in 0..=1, e.g. 16/255,64/255,0.3
    #[arg(long, value_name = "RADIUS,...", requires = "attack")]
    eps: Option<String>,
    /// Images crafted before (`attack --save`), to be shown to this network
    #[arg(long, value_name = "FILE.npz", conflicts_with_all = ["attack", "eps", "source", "images", "first"])]
    crafted: Option<PathBuf>,
    /// Images attacked between two saves; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least::<1>)]
    portion: usize,
    /// Save the result as JSON; while it is not finished, FILE.checkpoint holds what is done
    #[arg(long, value_name = "FILE.json", requires = "attack")]
    out: Option<PathBuf>,
    /// Go on where an interrupted evaluation with the same options and --out was stopped
    #[arg(long, requires = "out")]
    resume: bool,
}

#[derive(Serialize, Deserialize)]
struct Evaluation {
    model: PathBuf,
    model_kind: ModelKind,
    dataset: String,
    first: usize,
    images: usize,
    correct: usize,
    clean_accuracy: f64,
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
        self.attacks.out.as_deref().map_or(Leftover::Nothing, Leftover::beside)
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        let context = common.context()?;
        let network = self.model_kind.load(&self.model, self.threat.draws)?;
        if let Some(path) = &self.attacks.crafted {
            self.threat.check_draws([network.as_ref()])?;
            let mut crafted = Crafted::load(path)?;
            if network.is_random() {
                crafted = crafted.with_seed(self.threat.seed);
            }
            return self.crafted(common, &context, network.as_ref(), &crafted);
        }
        let plan = self.plan(network.as_ref())?;
        let source = self.threat.load_source()?;
        self.threat
            .check_draws([Some(network.as_ref()), source.as_deref()].into_iter().flatten())?;
        let files = match (&self.attacks.out, &plan) {
            (Some(out), Some(_)) => Some(Files::new(out)?),
            _ => None,
        };
        let (test, images) = self.images.load()?;
        let mut evaluation = self.clean(common, &context, network.as_ref(), &test, images)?;
        if let Some(plan) = &plan {
            let first = self.images.first;
            let samples = Samples::from_dataset(&test, first..first + images)?;
            let settings = self.settings(plan, &samples)?;
            if let Some(files) = &files
                && self.attacks.resume
                && let Some(finished) = files.finished(&settings)?
            {
                common.console().say(format_args!("{} is finished already", files.out.display()));
                return finished.print(common);
            }
            let models = (network.as_ref(), source.as_deref());
            let work = robustness::Work { plan, samples: &samples, settings, models };
            evaluation.robustness =
                Some(work.run(common, &context, files.as_ref(), self.attacks.resume)?);
            if let Some(files) = &files {
                files.save(&evaluation)?;
            }
        }
        evaluation.print(common)
    }

    /// What is to be attacked how; None: nothing.
    fn plan(&self, network: &dyn FrozenNetwork) -> Result<Option<Plan>> {
        let Some(eps) = &self.attacks.eps else {
            if self.threat.source.is_some() {
                let problem = "--source is for attacks; --attack names one";
                return Err(WrongUse(problem.into()).into());
            }
            return Ok(None);
        };
        let norm = self.threat.norm;
        let plan = Plan {
            attacks: self.attacks.attack.clone(),
            norm,
            radii: deepsleep::attack::parse_eps(eps, norm, network.input_shape().features())?,
            seed: self.threat.seed,
            portion: self.attacks.portion,
        };
        plan.validate()?;
        Ok(Some(plan))
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
        let (mut correct, mut right) = (0, 0.0);
        for done in (0..images).step_by(PORTION) {
            let first = self.images.first + done;
            let portion = test.slice(first, PORTION.min(images - done))?;
            let (id, seed) = (first as u64, self.threat.seed);
            let verdicts = verdicts(context, network, &portion, id, seed).with_context(|| {
                let model = self.model.display();
                format!("{model}: test images from number {first} on")
            })?;
            for (i, verdict) in verdicts.iter().enumerate() {
                correct += usize::from(verdict.class == portion.label(i));
                right += verdict.right as f64 / network.draws() as f64;
            }
            progress.advance(portion.len(), "evaluating");
        }
        drop(progress);
        let mut evaluation = self.evaluation(images, correct, start);
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
            dataset: self.images.data.dataset.as_str().to_owned(),
            first: self.images.first,
            images,
            correct,
            clean_accuracy: correct as f64 / images as f64,
            draws: None,
            expected_clean_accuracy: None,
            seconds,
            images_per_second: images as f64 / seconds,
            robustness: None,
        }
    }

    /// Shows images that were crafted before.
    fn crafted(
        &self,
        common: &Common,
        context: &Context,
        network: &dyn FrozenNetwork,
        crafted: &Crafted,
    ) -> Result<()> {
        let start = Instant::now();
        let report = crafted.show(context, &network)?;
        let images = report.outcomes.len();
        let correct = (report.clean_accuracy() * images as f64).round() as usize;
        let mut evaluation = self.evaluation(images, correct, start);
        evaluation.first = crafted.samples().ids().first().map_or(0, |&id| id as usize);
        evaluation.draws = network.is_random().then(|| network.draws());
        evaluation.expected_clean_accuracy = report.expected_clean_accuracy();
        evaluation.robustness =
            Some(Robustness::of_crafted(crafted, &report, start.elapsed().as_secs_f64()));
        evaluation.print(common)
    }
}

impl Evaluation {
    fn print(&self, common: &Common) -> Result<()> {
        let mut text = format!(
            "clean accuracy {:.2} %: {} of {} images ({:.2} s, {:.0} images/s)",
            100.0 * self.clean_accuracy,
            self.correct,
            self.images,
            self.seconds,
            self.images_per_second,
        );
        if let (Some(draws), Some(expected)) = (self.draws, self.expected_clean_accuracy) {
            text.push_str(&format!(
                "\na random network, judged by {draws} draws an image: one draw is right in {:.2} % of the cases",
                100.0 * expected
            ));
        }
        if let Some(robustness) = &self.robustness {
            text.push('\n');
            text.push_str(&table::table(&robustness.results, &robustness.worst_case));
        }
        common.console().result(self, text)
    }
}
