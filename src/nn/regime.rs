//! What a training adds to the plain loss on clean images.

use super::{Mode, Network};
use crate::Result;
use crate::autodiff::{Labels, Tape, Var, Weight};
use crate::simd::random::Key;
use crate::tensor::Tensor;

/// The images of a step, before they go through the network.
pub struct Batch<'a> {
    /// Their places in the data set.
    pub indices: &'a [usize],
    /// Their labels.
    pub labels: &'a [usize],
    /// Their pixels, augmented; a [`Regime`] may change them.
    pub images: Tensor,
    /// The key of everything random in this step.
    pub key: Key,
    /// Epochs that the training has made before this step, with the part of the one that it is in.
    pub epochs: f32,
}

/// What a loss may compare with.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Places of the images in the data set.
    pub indices: &'a [usize],
    /// Their labels.
    pub labels: &'a Labels,
}

/// What a training does besides the plain loss on the images as they are: adversarial examples, dreams, soft labels.
pub trait Regime<N: Network + ?Sized>: Send {
    /// Changes the batch, or the network's own settings, before the forward pass.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn prepare(&mut self, network: &mut N, batch: &mut Batch<'_>) -> Result<()> {
        let _ = (network, batch);
        Ok(())
    }

    /// Records the forward pass and returns the logits.
    ///
    /// # Errors
    /// Those of the network.
    fn forward(
        &mut self,
        tape: &mut Tape,
        network: &mut N,
        x: Var,
        weights: &[Weight],
    ) -> Result<Var> {
        network.forward(tape, x, weights, Mode::Train)
    }

    /// Records the loss, one number a sample, if it is not the cross-entropy with the labels.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn loss(&mut self, tape: &mut Tape, logits: Var, targets: Targets<'_>) -> Result<Option<Var>> {
        let _ = (tape, logits, targets);
        Ok(None)
    }
}

/// The images as they are, the plain loss.
#[derive(Clone, Copy, Debug)]
pub struct PlainRegime;

impl<N: Network + ?Sized> Regime<N> for PlainRegime {}
