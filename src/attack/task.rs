//! What an attack works on.

use crate::attack::attack_info::AttackInfo;
use crate::attack::samples::Samples;
use crate::attack::stepper::Budget;
use crate::kernels::lif::Estimator;
use crate::nn::Classifier;
use crate::nn::predict;
use crate::tensor::Context;
use crate::{Error, Result};

/// What an attack works on.
#[derive(Clone, Copy)]
pub struct AttackTask<'a> {
    /// Instruction set and threads.
    pub context: &'a Context,
    /// The model.
    pub classifier: &'a dyn Classifier,
    /// The images.
    pub samples: &'a Samples,
    /// Norm, radius, seed.
    pub budget: Budget,
    /// The class that counts as success; None: any but the label.
    pub target: Option<usize>,
    /// How gradients of spikes are estimated.
    pub estimator: Estimator,
    /// Logits of the clean images, `[sample][class]`, all finite for the samples under attack.
    pub clean_logits: &'a [f32],
}

impl AttackTask<'_> {
    /// Evaluations whose mean logits decide about an image: the model's number if it is random, else the attack's.
    pub(super) fn draws(&self, of_attack: usize) -> usize {
        let model = self.classifier;
        if model.is_random() { model.draws().max(1) } else { of_attack.max(1) }
    }

    /// Whether logits decide as the attack wants.
    pub(super) fn is_success(&self, logits: &[f32], label: usize) -> bool {
        let class = predict(logits);
        self.target.map_or(class != label, |target| class == target)
    }

    /// Refuses an attack on spikes where there are none.
    pub(super) fn check_spikes(&self, attack: &AttackInfo) -> Result<()> {
        if attack.needs_windows && self.classifier.is_spiking() && !self.classifier.pools_spikes() {
            let problem = format!(
                "{}: pool= is about 2 x 2 windows over spiking neurons, and this network has none; leave it out",
                attack.name
            );
            return Err(Error::argument("attack", problem));
        }
        if !attack.needs_spikes || self.classifier.is_spiking() {
            return Ok(());
        }
        let problem = format!(
            "{}: estimators of gradients through spikes (gradient=, pool=, time=, version=spiking) are for spiking networks, and \
             this one has no spikes",
            attack.name
        );
        Err(Error::argument("attack", problem))
    }

    /// Whether the model takes these images.
    pub(super) fn check(&self) -> Result<()> {
        let (model, images) = (self.classifier.input_shape(), self.samples.shape());
        if model != images {
            let (expected, found) = (format!("images of {model}"), format!("{images}"));
            return Err(Error::shape("attack", expected, found));
        }
        let classes = self.classifier.classes();
        if let Some(label) = self.samples.labels().iter().find(|&&label| label >= classes) {
            let problem = format!("label {label} is not below the model's {classes} classes");
            return Err(Error::argument("attack", problem));
        }
        if let Some(target) = self.target.filter(|&target| target >= classes) {
            let problem = format!("target {target} is not below the model's {classes} classes");
            return Err(Error::argument("attack", problem));
        }
        if classes < 2 {
            return Err(Error::argument(
                "attack",
                format!("a model of {classes} classes; 2 or more"),
            ));
        }
        Ok(())
    }
}
