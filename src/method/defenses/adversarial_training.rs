//! Adversarial training: a coin toss per batch decides between clean images and examples made on the model as it is
//! (METHOD section 7; Madry et al. 2018 with a ratio of 1).

use crate::method::{
    Defense, Description, Networks, Profile, Settings, Stage, StageRun, TrainingRun, words,
};
use crate::nn::{
    Batch, BatchAttack, Freeze, GradientAttack, Model, Recipe, Regime, Trainer, TrainingOptions,
};
use crate::simd::random::{Key, uniform_from_bits};
use crate::tensor::Context;
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
        self.training(0).validate()
    }

    fn training(&self, seed: u64) -> TrainingOptions {
        self.recipe.training(self.epochs, seed)
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
        vec![Box::new(AdversarialStage)]
    }

    fn seconds(&self, settings: &Settings) -> f64 {
        2.0 * settings.adversarial_training.epochs as f64
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let sentence = words::adversarial_training(&settings.adversarial_training);
        vec![Description { choice: "Adversarial training", sentence }]
    }
}

struct AdversarialStage;

impl Stage for AdversarialStage {
    fn name(&self) -> &'static str {
        "adversarial training"
    }

    fn begin(
        &self,
        context: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (options, seed) = (settings.adversarial_training.clone(), key.to_u64());
        if options.from_scratch {
            networks.model = networks.control.renewed(seed)?;
        }
        let trainer = Trainer::new(&networks.model, options.training(seed))?;
        let regime = OnAdversarial { attack: BatchAttack::new(context), options };
        Ok(Box::new(TrainingRun::new(trainer, regime)))
    }
}

struct OnAdversarial {
    attack: BatchAttack,
    options: AdversarialTrainingOptions,
}

impl Regime<Model> for OnAdversarial {
    fn prepare(&mut self, network: &mut Model, batch: &mut Batch<'_>) -> Result<()> {
        let coin = uniform_from_bits(batch.key.named("coin").generator().next_u32());
        if coin >= self.options.ratio {
            return Ok(());
        }
        let (source, key) = (network.freeze()?, batch.key.named("attack"));
        let AdversarialTrainingOptions { attack, eps, .. } = self.options;
        self.attack.perturb(&source, attack, eps, &mut batch.images, batch.labels, key)
    }
}
