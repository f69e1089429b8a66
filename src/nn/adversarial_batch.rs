//! Adversarial examples for training: whole batches at a fixed radius, without early stops or a record of who was fooled.

use super::{FrozenNetwork, InputGradients, InputLoss};
use crate::kernels::elementwise;
use crate::simd::random::{Key, uniform_from_bits};
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How adversarial examples are made for training (L-infinity, pixels in 0..=1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum GradientAttack {
    /// One step of full length along the sign of the gradient.
    Fgsm,
    /// Several steps, projected onto the ball, from a uniform random start.
    Pgd {
        /// Steps.
        steps: usize,
        /// Length of a step.
        step: f32,
    },
}

impl GradientAttack {
    /// What is wrong with steps that go nowhere: there are none, or their length is not positive.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::Pgd { steps, step } if steps == 0 || !(step > 0.0 && step.is_finite()) => {
                Some(format!("pgd with {steps} steps of {step}, which stays where it starts"))
            }
            _ => None,
        }
    }

    /// Forward passes that an example costs: each step is one, and a backward pass to the image.
    pub fn passes(self) -> f64 {
        match self {
            Self::Fgsm => 2.0,
            Self::Pgd { steps, .. } => 2.0 * steps as f64,
        }
    }
}

/// Where the steps of a batch begin; those of FGSM always at the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchStart {
    /// At random points of the ball.
    #[default]
    #[serde(alias = "random")]
    Uniform,
    /// In the corner of the ball that is nearest to gray: what is bright as dark as can be, what is dark as bright.
    #[serde(alias = "grey")]
    Gray,
    /// In random corners of the ball.
    Corner,
    /// Next to gray for one half of the batches, at random points for the others.
    Alternate,
}

/// How adversarial examples are made, besides the attack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perturbation<'a> {
    /// The radius of the ball, pixels in 0..=1.
    pub eps: f32,
    /// Where the steps begin.
    pub start: BatchStart,
    /// What they ascend.
    pub loss: InputLoss<'a>,
}

/// Makes adversarial examples batch by batch; reuses its memory.
pub struct BatchAttack {
    context: Context,
    gradients: InputGradients,
    grad: Option<Tensor>,
    clean: Option<Tensor>,
}

impl BatchAttack {
    /// On the threads of this context.
    pub fn new(context: &Context) -> Self {
        let gradients = InputGradients::new(context);
        Self { context: context.clone(), gradients, grad: None, clean: None }
    }

    /// Replaces images by adversarial ones of radius `eps` against `source`. Random starts, and the draws of a random
    /// source, follow from `key`.
    ///
    /// # Errors
    /// If images and labels do not fit the network, or `eps` is not in 0..=1.
    pub fn perturb<N: FrozenNetwork + ?Sized>(
        &mut self,
        source: &N,
        attack: GradientAttack,
        eps: f32,
        images: &mut Tensor,
        labels: &[usize],
        key: Key,
    ) -> Result<()> {
        let perturbation = Perturbation { eps, ..Perturbation::default() };
        self.perturb_by(source, attack, perturbation, images, labels, key)
    }

    /// The probabilities that a network gives the classes of each image.
    ///
    /// # Errors
    /// If the images do not fit the network.
    pub fn probabilities<N: FrozenNetwork + ?Sized>(
        &self,
        source: &N,
        images: &Tensor,
        key: Key,
    ) -> Result<Tensor> {
        self.gradients.probabilities(source, images, key.named("noise"))
    }

    /// [`perturb`](Self::perturb) from another start, or up another loss.
    ///
    /// # Errors
    /// As for [`perturb`](Self::perturb).
    pub fn perturb_by<N: FrozenNetwork + ?Sized>(
        &mut self,
        source: &N,
        attack: GradientAttack,
        Perturbation { eps, start, loss }: Perturbation<'_>,
        images: &mut Tensor,
        labels: &[usize],
        key: Key,
    ) -> Result<()> {
        if !(0.0..=1.0).contains(&eps) {
            let problem = format!("eps {eps} is not between 0 and 1 (of the pixel range)");
            return Err(Error::argument("adversarial batch", problem));
        }
        let mut grad = matching(self.grad.take(), images);
        let mut clean = matching(self.clean.take(), images);
        clean.lanes_mut().copy_from_slice(images.lanes());
        let (steps, length) = match attack {
            GradientAttack::Fgsm => (1, eps),
            GradientAttack::Pgd { steps, step } => {
                start.place(images, eps, key);
                (steps, step)
            }
        };
        let isa = self.context.isa();
        // The same draws at every step: what a step gains is the image's, not luck's.
        let noise = key.named("noise");
        for _ in 0..steps {
            self.gradients.compute_of(loss, source, images, labels, noise, &mut grad)?;
            let features = images.shape().features();
            self.context.chunks(images.lanes_mut(), features, |block, x| {
                let (clean, grad) = (clean.block(block), grad.block(block));
                elementwise::sign_step(isa, length, eps, clean, grad, x);
            });
        }
        self.grad = Some(grad);
        self.clean = Some(clean);
        Ok(())
    }
}

/// An old tensor if it has this shape, else a new one.
fn matching(old: Option<Tensor>, like: &Tensor) -> Tensor {
    let fits = |t: &Tensor| (t.shape(), t.samples()) == (like.shape(), like.samples());
    old.filter(fits).unwrap_or_else(|| Tensor::zeros(like.shape(), like.samples()))
}

/// The direction from a pixel to gray: what is bright goes down, what is dark goes up.
pub(crate) fn toward_gray(pixel: f32) -> f32 {
    if pixel > 0.5 { -1.0 } else { 1.0 }
}

impl BatchStart {
    /// Moves every image to a point of the ball around it, within the box; each sample of the batch has its own stream.
    fn place(self, images: &mut Tensor, eps: f32, key: Key) {
        let start = match self {
            Self::Alternate => {
                let coin = key.named("start").generator().next_u32() >> 31 == 0;
                if coin { Self::Gray } else { Self::Uniform }
            }
            start => start,
        };
        let (samples, features) = (images.samples(), images.shape().features());
        for sample in 0..samples {
            let mut random = key.with(sample as u64).generator();
            let (block, lane) = (sample / crate::simd::LANES, sample % crate::simd::LANES);
            for lanes in &mut images.lanes_mut()[block * features..][..features] {
                let pixel = &mut lanes.0[lane];
                let direction = match start {
                    Self::Gray => toward_gray(*pixel),
                    Self::Corner if random.next_u32() >> 31 == 0 => 1.0,
                    Self::Corner => -1.0,
                    _ => 2.0 * uniform_from_bits(random.next_u32()) - 1.0,
                };
                *pixel = (*pixel + direction * eps).clamp(0.0, 1.0);
            }
        }
    }
}
