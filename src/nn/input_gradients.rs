//! Gradients of a frozen network's losses with respect to its input, with one tape per worker.

use super::FrozenNetwork;
use crate::autodiff::{Labels, Seed, Tape, Var};
use crate::kernels::robust_loss::margin_grad;
use crate::simd::LANES;
use crate::simd::random::Key;
use crate::tensor::{Context, Shape, Tensor, Workers};
use crate::{Error, Result};

/// What gradients of images are of.
#[derive(Clone, Copy, Debug, Default)]
pub enum InputLoss<'a> {
    /// The cross-entropy.
    #[default]
    CrossEntropy,
    /// The margin of the likeliest wrong class over the label.
    Margin,
    /// The cross-entropy of one block of sixteen images, the margin of the next, and so on.
    Mix,
    /// The divergence from these probabilities.
    Divergence(&'a Tensor),
}

/// Gradients of every image's own loss with respect to its pixels: the step that gradient attacks take.
/// Holds a tape for each thread, so that a loop of such steps allocates nothing.
pub struct InputGradients {
    workers: Workers<(Tape, Labels)>,
}

impl InputGradients {
    /// On the threads of this context.
    pub fn new(context: &Context) -> Self {
        Self { workers: context.workers(|context| (Tape::new(context), Labels::default())) }
    }

    /// Writes the gradients of the cross-entropy into `out`, which has the shape of `images`. Of a random network, sample i
    /// draws from
    /// `noise.with(i)`: loops that step along the gradient hold the draws fixed by giving the same key.
    ///
    /// # Errors
    /// If images, labels or `out` do not fit the network or one another.
    pub fn compute<N: FrozenNetwork + ?Sized>(
        &self,
        network: &N,
        images: &Tensor,
        labels: &[usize],
        noise: Key,
        out: &mut Tensor,
    ) -> Result<()> {
        self.compute_of(InputLoss::CrossEntropy, network, images, labels, noise, out)
    }

    /// [`compute`](Self::compute) of another loss.
    ///
    /// # Errors
    /// As for [`compute`](Self::compute).
    pub fn compute_of<N: FrozenNetwork + ?Sized>(
        &self,
        loss: InputLoss<'_>,
        network: &N,
        images: &Tensor,
        labels: &[usize],
        noise: Key,
        out: &mut Tensor,
    ) -> Result<()> {
        let (shape, samples) = (images.shape(), images.samples());
        if (labels.len(), out.samples(), images.steps(), out.steps()) != (samples, samples, 1, 1)
            || out.shape() != shape
        {
            return Err(Error::shape(
                "input gradients",
                format!("{samples} labels and gradients of {shape}, one time step"),
                format!("{} labels, {} gradients of {}", labels.len(), out.samples(), out.shape()),
            ));
        }
        self.workers.chunks(out.lanes_mut(), shape.features(), |(tape, targets), block, out| {
            let live = images.live(block);
            let labels = &labels[block * LANES..][..live];
            targets.set(labels.iter().copied(), network.classes())?;
            let mut x = tape.tensor(shape, live, 1);
            x.lanes_mut().copy_from_slice(images.block(block));
            let x = tape.input(x);
            tape.set_noise((0..live).map(|i| noise.with((block * LANES + i) as u64)));
            let result = network
                .logits(tape, x)
                .and_then(|logits| sweep(tape, logits, loss, block, targets));
            if let Some(grad) = tape.gradient(x) {
                out.copy_from_slice(grad.lanes());
            }
            tape.reset();
            result
        })
    }

    /// The probabilities that a network gives the classes of each image.
    ///
    /// # Errors
    /// If the images do not fit the network.
    pub fn probabilities<N: FrozenNetwork + ?Sized>(
        &self,
        network: &N,
        images: &Tensor,
        noise: Key,
    ) -> Result<Tensor> {
        let classes = network.classes();
        let mut out = Tensor::zeros(Shape::flat(classes), images.samples());
        self.workers.chunks(out.lanes_mut(), classes, |(tape, _), block, out| {
            let live = images.live(block);
            let mut x = tape.tensor(images.shape(), live, 1);
            x.lanes_mut().copy_from_slice(images.block(block));
            let x = tape.constant(x);
            tape.set_noise((0..live).map(|i| noise.with((block * LANES + i) as u64)));
            let result = network.logits(tape, x).and_then(|logits| {
                let probabilities = tape.softmax(logits, 1.0)?;
                out.copy_from_slice(tape.value(probabilities).lanes());
                Ok(())
            });
            tape.reset();
            result
        })?;
        Ok(out)
    }
}

/// The backward sweep of a block from its loss.
fn sweep(
    tape: &mut Tape,
    logits: Var,
    loss: InputLoss<'_>,
    block: usize,
    targets: &Labels,
) -> Result<()> {
    let loss = match loss {
        InputLoss::Mix if block.is_multiple_of(2) => InputLoss::CrossEntropy,
        InputLoss::Mix => InputLoss::Margin,
        loss => loss,
    };
    let (shape, live) = (tape.value(logits).shape(), targets.samples());
    match loss {
        InputLoss::Margin => {
            let mut grad = tape.tensor(shape, live, 1);
            margin_grad(live, targets.block(0), tape.value(logits).block(0), grad.lanes_mut());
            tape.backward_from(logits, grad)
        }
        InputLoss::Divergence(from) => {
            let mut target = tape.tensor(from.shape(), live, 1);
            target.lanes_mut().copy_from_slice(from.block(block));
            let loss = tape.soft_cross_entropy(logits, &target, 1.0);
            tape.recycle(target);
            tape.backward(loss?, Seed::Sum)
        }
        InputLoss::CrossEntropy | InputLoss::Mix => {
            let loss = tape.cross_entropy(logits, targets, 1.0)?;
            tape.backward(loss, Seed::Sum)
        }
    }
}

/// [`InputGradients::compute`] once; a random network draws from the key of seed 0.
///
/// # Errors
/// As for [`InputGradients::compute`].
pub fn input_gradients(
    context: &Context,
    network: &dyn FrozenNetwork,
    images: &Tensor,
    labels: &[usize],
) -> Result<Tensor> {
    let mut out = Tensor::zeros(images.shape(), images.samples());
    InputGradients::new(context).compute(network, images, labels, Key::new(0), &mut out)?;
    Ok(out)
}
