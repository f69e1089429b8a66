//! Adversarial examples for training: whole batches at a fixed radius, without early stops or a record of who was fooled.

use super::{FrozenNetwork, InputGradients};
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
                start(images, eps, key);
                (steps, step)
            }
        };
        let isa = self.context.isa();
        // The same draws at every step: what a step gains is the image's, not luck's.
        let noise = key.named("noise");
        for _ in 0..steps {
            self.gradients.compute(source, images, labels, noise, &mut grad)?;
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

/// A uniform random point of the ball, within the box; each sample of the batch has its own stream.
fn start(images: &mut Tensor, eps: f32, key: Key) {
    let (samples, features) = (images.samples(), images.shape().features());
    for sample in 0..samples {
        let mut random = key.with(sample as u64).generator();
        let (block, lane) = (sample / crate::simd::LANES, sample % crate::simd::LANES);
        for lanes in &mut images.lanes_mut()[block * features..][..features] {
            let offset = (2.0 * uniform_from_bits(random.next_u32()) - 1.0) * eps;
            lanes.0[lane] = (lanes.0[lane] + offset).clamp(0.0, 1.0);
        }
    }
}
