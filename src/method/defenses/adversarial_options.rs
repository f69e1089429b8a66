//! The options of adversarial training, and the losses that it may use.

use crate::kernels::robust_loss::PairLoss;
use crate::method::Profile;
use crate::nn::{BatchStart, GradientAttack, Recipe, Rule, Schedule, TrainingOptions};
use crate::simd::LANES;
use crate::{Error, Result};
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
    /// Whether the network is trained, and attacked, as a spiking one (`fast_wave.spiking`), by backpropagation through time.
    #[serde(default)]
    pub spiking: bool,
}

crate::options::with!(AdversarialTrainingOptions);

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
    pub(super) fn pairs(self) -> Option<PairLoss> {
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
            spiking: false,
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
                    batch_size: 64,
                    learning_rate: 0.01,
                    rule: Rule::ADAM,
                    schedule: Schedule::Triangle { peak: 0.1 },
                    ..Recipe::default()
                },
                attack: GradientAttack::Pgd { steps: 5, step: 0.4 * 64.0 / 255.0 },
                eps: 64.0 / 255.0,
                ratio: 1.0,
                eps_ramp: 0.5,
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
        if let Some(problem) = self.attack.problem() {
            return fail(format!("`adversarial_training.attack` is {problem}"));
        }
        if self.loss == RobustLoss::Mix && self.recipe.batch_size <= LANES {
            return fail(format!(
                "`adversarial_training.loss` is mix, whose losses take turns every {LANES} images: one batch of {} would have the first alone; \
                 `adversarial_training.batch_size` has to be larger",
                self.recipe.batch_size
            ));
        }
        if !(self.eps_ramp >= 0.0 && self.eps_ramp.is_finite()) {
            let ramp = self.eps_ramp;
            return fail(format!("`adversarial_training.eps_ramp` is {ramp}, no number of epochs"));
        }
        if self.spiking && matches!(self.loss, RobustLoss::Ibp { .. }) {
            return fail(
                "`adversarial_training.loss` is ibp, whose bounds are those of networks without spikes; \
                 `adversarial_training.spiking` is for the other losses"
                    .into(),
            );
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

    pub(super) fn training(&self, seed: u64) -> TrainingOptions {
        let Self { average, weight_perturbation, .. } = *self;
        let training = self.recipe.training(self.epochs, seed);
        TrainingOptions { average, weight_perturbation, ..training }
    }

    /// The share of the radius that a training has reached after `epochs`.
    pub(super) fn share_of_eps(&self, epochs: f32) -> f32 {
        if epochs < self.eps_ramp { epochs / self.eps_ramp } else { 1.0 }
    }
}
