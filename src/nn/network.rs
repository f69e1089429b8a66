//! The traits of networks: what training needs, and what evaluation and attacks need of a trained network.

use super::{Classifier, ConvChain, Parameters};
use crate::Result;
use crate::autodiff::{BatchMoments, Normalization, Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::tensor::Shape;

/// Added to the variance in a batch normalization that says nothing else (docs/method.md, section 1).
pub const BATCH_NORM_EPS: f32 = 1e-5;

/// Whether batch normalization uses the batch's statistics or the running ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's.
    Train,
    /// The running ones.
    Evaluate,
}

/// A network that can be trained.
pub trait Network: Send {
    /// The shape of one image.
    fn input_shape(&self) -> Shape;

    /// The number of classes.
    fn classes(&self) -> usize;

    /// Bytes that its layers' values take for one sample, at least; 0: not known.
    fn sample_bytes(&self) -> usize {
        0
    }

    /// The trainable parameters.
    fn parameters(&self) -> &Parameters;

    /// Mutable access to the trainable parameters.
    fn parameters_mut(&mut self) -> &mut Parameters;

    /// Records the forward pass and returns the logits; `weights` are [`parameters`](Self::parameters) on the tape, in
    /// order.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var>;

    /// Moves running statistics toward those of the last forward pass in training mode; `momentum` is the new ones'
    /// share.
    fn move_statistics(&mut self, tape: &Tape, momentum: f32);

    /// [`move_statistics`](Self::move_statistics) with the usual share of a tenth (docs/method.md, section 1).
    fn update_statistics(&mut self, tape: &Tape) {
        self.move_statistics(tape, 0.1);
    }

    /// Parameters and statistics, by name.
    fn state(&self) -> StateDict;

    /// Takes parameters and statistics back: all that the state holds (see [`StateDict::expect_only`]).
    ///
    /// # Errors
    /// If something is missing, of another shape, or not finite, or the state holds an array that the network would not
    /// use. The network is then as it was before.
    fn load_state(&mut self, state: &StateDict) -> Result<()>;
}

/// A [`Classifier`] that runs on the tape: a network whose parameters do not change any more.
pub trait FrozenNetwork: Classifier {
    /// Records the forward pass and returns the logits. A random network draws from the tape's keys
    /// ([`Tape::set_noise`]), and from nothing else.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var>;

    /// Records the forward pass and returns every layer of spikes, before pooling; none of a network without spikes.
    ///
    /// # Errors
    /// As for [`logits`](Self::logits).
    fn spikes(&self, _tape: &mut Tape, _x: Var) -> Result<Vec<Var>> {
        Ok(Vec::new())
    }

    /// How many numbers its last layer computes logits from; 0 unless [`with_head`](Self::with_head) can exchange it.
    fn features(&self) -> usize {
        0
    }

    /// The same network with another last layer, `[class][feature]` and a bias a class. None if its last layer is not
    /// linear.
    ///
    /// # Errors
    /// If the number of weights is not features times classes.
    fn with_head(
        &self,
        _weight: &[f32],
        _bias: Vec<f32>,
    ) -> Result<Option<Box<dyn FrozenNetwork + '_>>> {
        Ok(None)
    }

    /// The same network run for `factor` times as many time steps. None of a network without time.
    fn stretched(&self, _factor: usize) -> Option<Box<dyn FrozenNetwork + Send + '_>> {
        None
    }

    /// Its layers, if they are a mere chain of convolutions: attacks that change a few pixels at a time then evaluate
    /// only what these reach ([`PartialForward`](super::PartialForward)). The bits are the same without.
    fn chain(&self) -> Option<ConvChain<'_>> {
        None
    }
}

/// A network that can be frozen.
pub trait Freeze {
    /// Its frozen form.
    type Frozen: FrozenNetwork;

    /// The frozen form, in evaluation mode.
    ///
    /// # Errors
    /// None for a well-formed network.
    fn freeze(&self) -> Result<Self::Frozen>;
}

/// Running mean and variance of a batch normalization.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningStatistics {
    /// One number a channel.
    pub mean: Vec<f32>,
    /// One number a channel, unbiased.
    pub variance: Vec<f32>,
}

impl RunningStatistics {
    /// Mean 0, variance 1.
    pub fn new(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], variance: vec![1.0; channels] }
    }

    /// As the argument of [`Tape::batch_norm`].
    pub fn normalization(&self, mode: Mode) -> Normalization<'_> {
        match mode {
            Mode::Train => Normalization::Batch,
            Mode::Evaluate => Normalization::Given { mean: &self.mean, variance: &self.variance },
        }
    }

    /// Moves toward the moments of a batch, once for each of its time steps.
    pub fn update(&mut self, moments: BatchMoments<'_>, momentum: f32) {
        let count = moments.count as f32;
        let unbiased = count / (count - 1.0).max(1.0);
        let channels = self.mean.len();
        let steps = moments.mean.chunks(channels).zip(moments.variance.chunks(channels));
        for (mean, variance) in steps {
            for (running, new) in self.mean.iter_mut().zip(mean) {
                *running = (1.0 - momentum) * *running + momentum * new;
            }
            for (running, new) in self.variance.iter_mut().zip(variance) {
                *running = (1.0 - momentum) * *running + momentum * (new * unbiased);
            }
        }
    }

    /// The affine map `scale x + shift` that the normalization is in evaluation mode.
    pub fn fold(&self, weight: &[f32], bias: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
        let deviation = |v: f32| (f64::from(v) + f64::from(eps)).sqrt();
        let scale = weight.iter().zip(&self.variance);
        let scale: Vec<f32> = scale.map(|(&w, &v)| (f64::from(w) / deviation(v)) as f32).collect();
        let shift = bias.iter().zip(&self.mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        (scale, shift)
    }
}
