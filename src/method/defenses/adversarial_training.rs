//! Adversarial training: a coin toss per batch decides between clean images and examples made on the model as it is
//! (METHOD section 7; Madry et al. 2018 with a ratio of 1), at a radius that may rise, by one of several losses.

use crate::autodiff::{Labels, Tape, Var, Weight};
use crate::kernels::robust_loss::PairLoss;
use crate::method::defense::{STEP, example_passes};
use crate::method::{
    Defense, Description, Networks, Profile, Settings, Stage, StageRun, TrainingRun, words,
};
use crate::nn::{
    Batch, BatchAttack, BatchStart, Freeze, GradientAttack, InputLoss, Mode, Model, Network,
    Perturbation, Recipe, Regime, Rule, Schedule, Targets, Trainer, TrainingOptions,
};
use crate::simd::LANES;
use crate::simd::random::{Key, uniform_from_bits};
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The options of adversarial training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AdversarialTrainingOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// How it learns.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// How the examples are made, on the current model.
    pub attack: GradientAttack,
    /// Their L-infinity radius; pixels are in 0..=1.
    pub eps: f32,
    /// Probability that a batch is adversarial.
    pub ratio: f32,
    /// Whether to start from random weights instead of the control's.
    pub from_scratch: bool,
    /// Epochs over which the radius rises in a straight line from 0; the steps of an attack grow with it.
    #[serde(default)]
    pub eps_ramp: f32,
    /// Where the steps of an attack begin.
    #[serde(default)]
    pub start: BatchStart,
    /// What the examples are made to raise, and what is learned from them.
    #[serde(default)]
    pub loss: RobustLoss,
    /// Share of the last average in the moving average of weights and statistics, which the training ends with; 0: none.
    #[serde(default)]
    pub average: f32,
    /// How far the weights of each layer go up the loss before a gradient is taken, as a share of their length (Wu et al.
    /// 2020); 0: not at all.
    #[serde(default)]
    pub weight_perturbation: f32,
}

/// What adversarial examples raise, and what a network learns from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RobustLoss {
    /// Both the cross-entropy.
    #[default]
    Ce,
    /// Examples of the margin of the likeliest wrong class; the cross-entropy is learned.
    Margin,
    /// Examples of either, sixteen images at a time in turn; the cross-entropy is learned.
    Mix,
    /// Examples of the divergence from the clean images' probabilities; the cross-entropy of the clean images and `beta`
    /// times the divergence are learned (Zhang et al. 2019).
    Trades {
        /// Weight of the divergence.
        #[serde(default = "trades_beta")]
        beta: f32,
    },
    /// The cross-entropy of the images or examples, `kappa` of it, and for the rest that of the worst logits that interval
    /// bounds over the ball allow, of which a share rises together with the radius (Gowal et al. 2018). With a `ratio` of 0
    /// there are no examples.
    Ibp {
        /// Share of the plain cross-entropy once the radius is the whole one.
        #[serde(default = "ibp_kappa")]
        kappa: f32,
    },
    /// Examples of the cross-entropy; what is learned weighs the images that are taken for another class (Wang et al.
    /// 2020).
    Mart {
        /// Weight of the divergence.
        #[serde(default = "mart_beta")]
        beta: f32,
    },
}

fn trades_beta() -> f32 {
    6.0
}

fn ibp_kappa() -> f32 {
    0.5
}

fn mart_beta() -> f32 {
    5.0
}

impl RobustLoss {
    /// The loss of clean images together with their examples, if they are learned from together.
    fn pairs(self) -> Option<PairLoss> {
        match self {
            Self::Ce | Self::Margin | Self::Mix | Self::Ibp { .. } => None,
            Self::Trades { beta } => Some(PairLoss::Trades(beta)),
            Self::Mart { beta } => Some(PairLoss::Mart(beta)),
        }
    }
}

impl AdversarialTrainingOptions {
    /// The values of a profile.
    pub fn new(profile: Profile) -> Self {
        let published = Self {
            epochs: 24,
            recipe: Recipe::default(),
            attack: GradientAttack::Fgsm,
            eps: 8.0 / 255.0,
            ratio: 0.5,
            from_scratch: false,
            eps_ramp: 0.0,
            start: BatchStart::Uniform,
            loss: RobustLoss::Ce,
            average: 0.0,
            weight_perturbation: 0.0,
        };
        match profile {
            Profile::Published | Profile::Paper => published,
            // Full strength: Madry et al. (2018), every batch, 40 steps of 0.01, eps 0.3.
            Profile::Standard => Self {
                attack: GradientAttack::Pgd { steps: 40, step: 0.01 },
                eps: 0.3,
                ratio: 1.0,
                ..published
            },
            // A rising radius and a rate that falls (docs/method.md, section 11).
            Profile::Lucid => Self {
                epochs: 4,
                recipe: Recipe {
                    learning_rate: 0.006,
                    rule: Rule::ADAM,
                    schedule: Schedule::Triangle { peak: 0.1 },
                    ..Recipe::default()
                },
                attack: GradientAttack::Pgd { steps: 5, step: 0.4 * 64.0 / 255.0 },
                eps: 64.0 / 255.0,
                ratio: 1.0,
                eps_ramp: 1.5,
                ..published
            },
        }
    }

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If there is one; it is named.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("eps", self.eps), ("ratio", self.ratio)] {
            if !(0.0..=1.0).contains(&value) {
                let problem =
                    format!("`adversarial_training.{name}` is {value}, not between 0 and 1");
                return Err(Error::argument("setting", problem));
            }
        }
        let fail = |problem: String| Err(Error::argument("setting", problem));
        if !(self.eps_ramp >= 0.0 && self.eps_ramp.is_finite()) {
            let ramp = self.eps_ramp;
            return fail(format!("`adversarial_training.eps_ramp` is {ramp}, no number of epochs"));
        }
        if let RobustLoss::Ibp { kappa } = self.loss
            && !(0.0..=1.0).contains(&kappa)
        {
            return fail(format!(
                "`adversarial_training.loss` has a kappa of {kappa}; it must be between 0 and 1"
            ));
        }
        if let Some(PairLoss::Trades(beta) | PairLoss::Mart(beta)) = self.loss.pairs() {
            if !(beta >= 0.0 && beta.is_finite()) {
                return fail(format!(
                    "`adversarial_training.loss` has a beta of {beta}; it must be 0 or more"
                ));
            }
            if self.recipe.label_smoothing > 0.0 {
                return fail(
                    "`adversarial_training.label_smoothing` would do nothing with the losses trades and mart"
                        .into(),
                );
            }
        }
        if self.attack == GradientAttack::Fgsm && matches!(self.loss, RobustLoss::Trades { .. }) {
            return fail(
                "`adversarial_training.loss` is trades, which is for pgd: FGSM starts at the image itself, where the \
                 divergence has no gradient"
                    .into(),
            );
        }
        if self.attack == GradientAttack::Fgsm && self.start != BatchStart::Uniform {
            return fail(
                "`adversarial_training.start` is for pgd: FGSM starts at the image itself".into(),
            );
        }
        self.training(0).validate()
    }

    fn training(&self, seed: u64) -> TrainingOptions {
        let Self { average, weight_perturbation, .. } = *self;
        let training = self.recipe.training(self.epochs, seed);
        TrainingOptions { average, weight_perturbation, ..training }
    }

    /// The share of the radius that a training has reached after so many epochs.
    fn share_of_eps(&self, epochs: f32) -> f32 {
        if epochs < self.eps_ramp { epochs / self.eps_ramp } else { 1.0 }
    }
}

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

    fn reads(&self, _: &Settings) -> Vec<&'static str> {
        vec!["adversarial_training"]
    }

    fn stages(&self, _: &Settings) -> Vec<Box<dyn Stage>> {
        vec![Box::new(AdversarialStage::default())]
    }

    fn passes(&self, settings: &Settings, images: usize) -> f64 {
        let options = &settings.adversarial_training;
        let step = STEP + f64::from(options.ratio) * example_passes(options.attack);
        step * (options.epochs * images) as f64
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let sentence = words::adversarial_training(&settings.adversarial_training);
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
        match settings.adversarial_training.loss {
            RobustLoss::Ibp { .. } => control.check_bounds(),
            _ => Ok(()),
        }
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
        let attack = BatchAttack::new(context);
        let regime = OnAdversarial { attack, options, bounds: None, worst: None };
        Ok(Box::new(TrainingRun::new(trainer, regime)))
    }
}

struct OnAdversarial {
    attack: BatchAttack,
    options: AdversarialTrainingOptions,
    /// Of training by bounds: the limits of a batch's images, its labels, and the share of the radius.
    bounds: Option<([Tensor; 2], Labels, f32)>,
    /// The worst logits, once they are recorded.
    worst: Option<Var>,
}

impl Regime<Model> for OnAdversarial {
    fn prepare(&mut self, network: &mut Model, batch: &mut Batch<'_>) -> Result<()> {
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
        network: &mut Model,
        x: Var,
        weights: &[Weight],
    ) -> Result<Var> {
        let logits = network.forward(tape, x, weights, Mode::Train)?;
        self.worst = None;
        if let Some((limits, labels, _)) = &self.bounds {
            let limits = [&limits[0], &limits[1]].map(|limit| tape.constant(limit.clone()));
            self.worst = Some(network.record_worst(tape, limits, weights, labels)?);
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
