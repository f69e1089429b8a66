//! Predictions, accuracy and input gradients of a frozen network, each worker on a tape of its own.

use super::FrozenNetwork;
use crate::autodiff::{Labels, Seed, Tape};
use crate::data::Dataset;
use crate::kernels::cross_entropy::arg_max;
use crate::simd::{LANES, LanesU32};
use crate::tensor::{Context, Tensor, Workers};
use crate::{Error, Result};

/// Samples that a worker takes from pixels to logits at a time: two blocks, whose feature maps stay in L2.
const CHUNK: usize = 2 * LANES;

/// The predicted class of every image: the largest logit's, the first of equals.
///
/// # Errors
/// If the images have not the network's shape, or a logit is not finite.
pub fn predictions(
    context: &Context,
    network: &dyn FrozenNetwork,
    data: &Dataset,
) -> Result<Vec<usize>> {
    if data.classes() > network.classes() {
        let (found, at_most) = (data.classes(), network.classes());
        return Err(Error::shape(
            "evaluation",
            format!("at most {at_most} classes"),
            found.to_string(),
        ));
    }
    let mut classes = vec![0; data.len()];
    let workers = context.workers(|context| (Tape::new(context), Vec::with_capacity(CHUNK)));
    workers.chunks(&mut classes, CHUNK, |(tape, indices), i, classes| {
        indices.clear();
        indices.extend(i * CHUNK..i * CHUNK + classes.len());
        let result = predict(tape, network, data, indices, classes);
        tape.reset();
        result
    })?;
    Ok(classes)
}

fn predict(
    tape: &mut Tape,
    network: &dyn FrozenNetwork,
    data: &Dataset,
    indices: &[usize],
    classes: &mut [usize],
) -> Result<()> {
    let mut images = tape.tensor(network.input_shape(), indices.len(), 1);
    data.gather(tape.context(), indices, &mut images)?;
    let x = tape.constant(images);
    let logits = network.logits(tape, x)?;
    let isa = tape.context().isa();
    let mut best = LanesU32::ZERO;
    for (block, classes) in classes.chunks_mut(LANES).enumerate() {
        let logits = tape.value(logits).block(block);
        if logits.iter().any(|lanes| lanes.0.iter().any(|z| !z.is_finite())) {
            let first = indices[block * LANES];
            return Err(Error::NotFinite {
                place: format!("evaluation, images {first} to {}", first + classes.len() - 1),
                problem: "a logit is not finite: the weights are damaged or far too large".into(),
            });
        }
        arg_max(isa, logits, &mut best);
        classes.iter_mut().zip(&best.0).for_each(|(class, &best)| *class = best as usize);
    }
    Ok(())
}

/// The share of images whose predicted class is their label.
///
/// # Errors
/// As for [`predictions`], or if there are no images.
pub fn accuracy(context: &Context, network: &dyn FrozenNetwork, data: &Dataset) -> Result<f64> {
    if data.is_empty() {
        return Err(Error::argument("accuracy", "there are no images"));
    }
    let classes = predictions(context, network, data)?;
    let right = classes.iter().enumerate().filter(|&(i, &class)| class == data.label(i)).count();
    Ok(right as f64 / data.len() as f64)
}

/// Gradients of every image's own cross-entropy loss with respect to its pixels: the step that gradient attacks take.
/// Holds a tape for each thread, so that a loop of such steps allocates nothing.
pub struct InputGradients {
    workers: Workers<(Tape, Labels)>,
}

impl InputGradients {
    /// On the threads of this context.
    pub fn new(context: &Context) -> Self {
        Self { workers: context.workers(|context| (Tape::new(context), Labels::default())) }
    }

    /// Writes the gradients into `out`, which has the shape of `images`.
    ///
    /// # Errors
    /// If images, labels or `out` do not fit the network or one another.
    pub fn compute<N: FrozenNetwork + ?Sized>(
        &self,
        network: &N,
        images: &Tensor,
        labels: &[usize],
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
            let result = network.logits(tape, x).and_then(|logits| {
                let loss = tape.cross_entropy(logits, targets, 1.0)?;
                tape.backward(loss, Seed::Sum)
            });
            if let Some(grad) = tape.gradient(x) {
                out.copy_from_slice(grad.lanes());
            }
            tape.reset();
            result
        })
    }
}

/// [`InputGradients::compute`] once.
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
    InputGradients::new(context).compute(network, images, labels, &mut out)?;
    Ok(out)
}
