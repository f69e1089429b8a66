//! Adversarial training: a coin toss per batch decides between clean images and examples made on the current model
//! (docs/method.md, section 7; Madry et al. 2018 with a ratio of 1), at a radius that may rise, by one of several losses.

use super::adversarial_options::{AdversarialTrainingOptions, RobustLoss};
use super::fast_wave::spiking_ignores;
use crate::autodiff::{Labels, Tape, Var, Weight};
use crate::method::defense::STEP;
use crate::method::{
    Batches, Defense, Description, Networks, Settings, Stage, StageRun, TrainingCost, TrainingRun,
    against_paper,
};
use crate::nn::{
    Batch, BatchAttack, Freeze, GradientAttack, InputLoss, Mode, Model, Network, Perturbation,
    Regime, Targets, Trainer,
};
use crate::simd::LANES;
use crate::simd::random::{Key, uniform_from_bits};
use crate::snn::{SpikingModel, Statistics, check_spiking};
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use rand::Rng;

/// Training on adversarial examples.
#[derive(Clone, Copy, Debug)]
pub struct AdversarialTraining;

impl Defense for AdversarialTraining {
    fn name(&self) -> &'static str {
        "adversarial-training"
    }

    fn about(&self) -> &'static str {
        "Training on adversarial examples"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        let mut read = vec!["adversarial_training"];
        if settings.adversarial_training.spiking {
            read.push("fast_wave.spiking");
        }
        read
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        let options = &settings.adversarial_training;
        let bounds = matches!(options.loss, RobustLoss::Ibp { .. });
        let pairs = options.loss.pairs().is_some();
        let mut ignored = match options.spiking {
            true => spiking_ignores(&settings.fast_wave.spiking),
            false => Vec::new(),
        };
        // No batch is one of examples, or they are the images themselves; pairs of the same images still have another loss.
        if options.ratio == 0.0 || options.eps == 0.0 {
            ignored.extend(["adversarial_training.attack", "adversarial_training.start"]);
            // Bounds are of the radius, and their share rises with it, whether or not there are examples.
            if !bounds {
                ignored.push("adversarial_training.eps_ramp");
                ignored.push(match pairs && options.ratio > 0.0 {
                    // (Without any number of its own, a key could not tell TRADES from MART.)
                    true => "adversarial_training.loss.mart.beta",
                    false => "adversarial_training.loss",
                });
            }
        }
        if options.ratio == 0.0 && !bounds {
            ignored.push("adversarial_training.eps");
        }
        if options.ratio > 0.0 && options.eps == 0.0 && !pairs {
            ignored.push("adversarial_training.ratio");
        }
        ignored
    }

    fn stages(&self, _: &Settings) -> Vec<Box<dyn Stage>> {
        vec![Box::new(AdversarialStage::default())]
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        let options = &settings.adversarial_training;
        let step = STEP + f64::from(options.ratio) * options.attack.passes();
        let time_steps = if options.spiking { settings.fast_wave.spiking.steps } else { 1 };
        TrainingCost::of(step * (time_steps * options.epochs * images) as f64)
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let sentence = against_paper::adversarial_training(&settings.adversarial_training);
        vec![Description { choice: "Adversarial training", sentence }]
    }
}

/// Training on adversarial examples, as the group `adversarial_training` says.
#[derive(Default)]
pub(super) struct AdversarialStage {
    /// Whether it starts from the network as it is, whatever `from_scratch` says.
    pub keeps_weights: bool,
    /// Whether the network was trained so before: then the radius is the whole one from the beginning.
    pub goes_on: bool,
}

impl Stage for AdversarialStage {
    fn name(&self) -> &'static str {
        "adversarial training"
    }

    fn check(&self, settings: &Settings, control: &Model) -> Result<()> {
        if self.keeps_weights && settings.adversarial_training.from_scratch {
            let problem = "`adversarial_training.from_scratch` would do nothing: these dreams are of the network as it is";
            return Err(Error::argument("setting", problem));
        }
        if settings.adversarial_training.spiking {
            return check_spiking(control.architecture());
        }
        match settings.adversarial_training.loss {
            RobustLoss::Ibp { .. } => control.check_bounds(),
            _ => Ok(()),
        }
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        Some(Batches::of_recipe("adversarial_training", &settings.adversarial_training.recipe))
    }

    fn begin(
        &self,
        context: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (mut options, seed) = (settings.adversarial_training.clone(), key.to_u64());
        if self.goes_on {
            options.eps_ramp = 0.0;
        }
        if options.from_scratch && !self.keeps_weights {
            networks.model = networks.control.renewed(seed)?;
        }
        let trainer = Trainer::new(&networks.model, options.training(seed))?;
        let spikes = options.spiking;
        let attack = BatchAttack::new(context);
        let regime = OnAdversarial { attack, options, bounds: None, worst: None };
        let model = networks.model.clone();
        if !spikes {
            return Ok(Box::new(TrainingRun::new(trainer, model, regime)));
        }
        let spiking = settings.fast_wave.spiking;
        let network = SpikingModel::from_model(&model, spiking, Statistics::Carry)?;
        Ok(Box::new(TrainingRun::new(trainer, network, regime)))
    }
}

struct OnAdversarial {
    attack: BatchAttack,
    options: AdversarialTrainingOptions,
    /// For training by bounds: the limits of a batch's images, its labels, and the share of the radius.
    bounds: Option<([Tensor; 2], Labels, f32)>,
    /// The worst logits, once they are recorded.
    worst: Option<Var>,
}

/// A network that learns from examples of its own, and from interval bounds if it has some.
trait Bounded: Network + Freeze {
    /// The network that bounds are of.
    fn bounded(&mut self) -> Result<&mut Model>;
}

impl Bounded for Model {
    fn bounded(&mut self) -> Result<&mut Model> {
        Ok(self)
    }
}

impl Bounded for SpikingModel {
    fn bounded(&mut self) -> Result<&mut Model> {
        let problem = "there are no interval bounds of spiking networks";
        Err(Error::argument("adversarial training", problem))
    }
}

impl<N: Bounded> Regime<N> for OnAdversarial {
    fn prepare(&mut self, network: &mut N, batch: &mut Batch<'_>) -> Result<()> {
        if let RobustLoss::Ibp { .. } = self.options.loss {
            let share = self.options.share_of_eps(batch.epochs);
            let labels = Labels::new(batch.labels, network.classes())?;
            let limits =
                [-1.0, 1.0].map(|side| moved(&batch.images, side * share * self.options.eps));
            self.bounds = Some((limits, labels, share));
        }
        let coin = uniform_from_bits(batch.key.named("coin").generator().next_u32());
        if coin >= self.options.ratio {
            return Ok(());
        }
        let Self { attack, options, .. } = self;
        let (source, key) = (network.freeze()?, batch.key.named("attack"));
        let share = options.share_of_eps(batch.epochs);
        let how = match options.attack {
            GradientAttack::Fgsm => GradientAttack::Fgsm,
            GradientAttack::Pgd { steps, step } => {
                GradientAttack::Pgd { steps, step: share * step }
            }
        };
        let from;
        let loss = match options.loss {
            RobustLoss::Ce | RobustLoss::Mart { .. } | RobustLoss::Ibp { .. } => {
                InputLoss::CrossEntropy
            }
            RobustLoss::Margin => InputLoss::Margin,
            RobustLoss::Mix => InputLoss::Mix,
            RobustLoss::Trades { .. } => {
                from = attack.probabilities(&source, &batch.images, key)?;
                InputLoss::Divergence(&from)
            }
        };
        let by = Perturbation { eps: share * options.eps, start: options.start, loss };
        if options.loss.pairs().is_none() {
            return attack.perturb_by(&source, how, by, &mut batch.images, batch.labels, key);
        }
        let (clean, images) = (&batch.images, batch.images.samples());
        let mut examples = clean.clone();
        attack.perturb_by(&source, how, by, &mut examples, batch.labels, key)?;
        let mut both = Tensor::zeros(clean.shape(), 2 * images);
        both.copy_samples(0, clean, 0, images);
        both.copy_samples(images, &examples, 0, images);
        batch.images = both;
        Ok(())
    }

    fn forward(
        &mut self,
        tape: &mut Tape,
        network: &mut N,
        x: Var,
        weights: &[Weight],
    ) -> Result<Var> {
        let logits = network.forward(tape, x, weights, Mode::Train)?;
        self.worst = None;
        if let Some((limits, labels, _)) = &self.bounds {
            let limits = [&limits[0], &limits[1]].map(|limit| tape.constant(limit.clone()));
            self.worst = Some(network.bounded()?.record_worst(tape, limits, weights, labels)?);
        }
        Ok(logits)
    }

    fn loss(&mut self, tape: &mut Tape, logits: Var, targets: Targets<'_>) -> Result<Option<Var>> {
        if let (RobustLoss::Ibp { kappa }, Some(worst), Some((_, _, share))) =
            (self.options.loss, self.worst, &self.bounds)
        {
            let kappa = 1.0 - share * (1.0 - kappa);
            let plain = tape.cross_entropy(logits, targets.labels, 1.0)?;
            let bound = tape.cross_entropy(worst, targets.labels, 1.0)?;
            let (plain, bound) = (tape.scale(plain, kappa)?, tape.scale(bound, 1.0 - kappa)?);
            return tape.add(plain, bound).map(Some);
        }
        let (images, all) = (targets.indices.len(), tape.value(logits).samples());
        let Some(pairs) = self.options.loss.pairs().filter(|_| all == 2 * images) else {
            return Ok(None);
        };
        let clean = tape.samples(logits, 0..images)?;
        let examples = tape.samples(logits, images..all)?;
        tape.pair_loss(clean, examples, targets.labels, pairs).map(Some)
    }
}

/// Images with every pixel moved, in 0..=1.
fn moved(images: &Tensor, by: f32) -> Tensor {
    let mut out = images.clone();
    for sample in 0..images.samples() {
        let features = images.shape().features();
        let (block, lane) = (sample / LANES, sample % LANES);
        for lanes in &mut out.lanes_mut()[block * features..][..features] {
            lanes.0[lane] = (lanes.0[lane] + by).clamp(0.0, 1.0);
        }
    }
    out
}
