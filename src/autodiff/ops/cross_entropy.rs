//! Softmax cross-entropy, one loss per sample.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::cross_entropy::{self as kernel, Target};
use crate::simd::{Lanes, LanesU32};
use crate::tensor::{Shape, Tensor, label_lanes};
use crate::{Error, Result};

/// Class labels of a batch, in lane blocks.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    samples: usize,
    classes: usize,
    smoothing: f32,
    lanes: Vec<LanesU32>,
}

impl Labels {
    /// Labels below `classes`, one a sample.
    ///
    /// # Errors
    /// If a label is not below `classes`.
    pub fn new(labels: &[usize], classes: usize) -> Result<Self> {
        let mut new = Self::default();
        new.set(labels.iter().copied(), classes)?;
        Ok(new)
    }

    /// Other labels, in the same memory.
    ///
    /// # Errors
    /// If a label is not below `classes`.
    pub fn set(
        &mut self,
        labels: impl ExactSizeIterator<Item = usize>,
        classes: usize,
    ) -> Result<()> {
        (self.samples, self.classes) = (labels.len(), classes);
        label_lanes(labels, classes, &mut self.lanes)
    }

    /// With this share of each label's probability spread evenly over all classes, the label's own too.
    #[must_use]
    pub fn smoothed(self, share: f32) -> Self {
        Self { smoothing: share, ..self }
    }

    /// The probability of the label's class, and of each other one.
    fn probabilities(&self) -> [f32; 2] {
        let other = self.smoothing / self.classes.max(1) as f32;
        [1.0 - self.smoothing + other, other]
    }

    /// Those of a block.
    pub(crate) fn block(&self, block: usize) -> &LanesU32 {
        &self.lanes[block]
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

#[derive(Default)]
struct CrossEntropy {
    temperature: f32,
    probability: Vec<Lanes>,
    labels: Vec<LanesU32>,
    /// The target probability of the label's class, and of each other class.
    probabilities: [f32; 2],
    /// Soft targets; if empty, the labels count.
    soft: Vec<Lanes>,
}

impl CrossEntropy {
    fn target(&self, block: usize, classes: usize) -> Target<'_> {
        if self.soft.is_empty() {
            Target::Labels(&self.labels[block], self.probabilities)
        } else {
            Target::Soft(&self.soft[block * classes..][..classes])
        }
    }
}

impl Tape {
    /// `-ln softmax(logits / temperature)[label]`, one number a sample; with [smoothed](Labels::smoothed) labels, the mean
    /// of such terms over the classes, weighted by their probabilities.
    ///
    /// # Errors
    /// If there are not as many labels as samples, the labels' classes are not the logits', or the temperature is not
    /// positive.
    pub fn cross_entropy(&mut self, logits: Var, labels: &Labels, temperature: f32) -> Result<Var> {
        let value = self.value(logits);
        if (labels.samples, labels.classes) != (value.samples(), value.shape().features()) {
            return Err(Error::shape(
                "cross_entropy",
                format!(
                    "labels of {} samples in {} classes",
                    value.samples(),
                    value.shape().features()
                ),
                format!("{} labels in {} classes", labels.samples, labels.classes),
            ));
        }
        let mut operation: Box<CrossEntropy> = self.reuse();
        operation.soft.clear();
        operation.labels.clear();
        operation.labels.extend_from_slice(&labels.lanes);
        operation.probabilities = labels.probabilities();
        self.cross_entropy_of(logits, operation, temperature)
    }

    /// `-sum target ln softmax(logits / temperature)`, one number a sample; `target` holds a distribution a sample.
    ///
    /// # Errors
    /// If the target's shape is not the logits', or the temperature is not positive.
    pub fn soft_cross_entropy(
        &mut self,
        logits: Var,
        target: &Tensor,
        temperature: f32,
    ) -> Result<Var> {
        let value = self.value(logits);
        let (samples, classes) = (value.samples(), value.shape().features());
        if (target.samples(), target.shape().features()) != (samples, classes) {
            return Err(Error::shape(
                "soft_cross_entropy",
                format!("a target of {samples} samples x {classes} classes"),
                format!("{} samples x {}", target.samples(), target.shape()),
            ));
        }
        let mut operation: Box<CrossEntropy> = self.reuse();
        operation.soft.clear();
        operation.soft.extend_from_slice(target.lanes());
        self.cross_entropy_of(logits, operation, temperature)
    }

    fn cross_entropy_of(
        &mut self,
        logits: Var,
        mut operation: Box<CrossEntropy>,
        temperature: f32,
    ) -> Result<Var> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::argument(
                "cross_entropy",
                format!("temperature {temperature} is not a positive number"),
            ));
        }
        let value = self.value(logits);
        let (samples, steps, classes) = (value.samples(), value.steps(), value.shape().features());
        if steps != 1 {
            return Err(Error::shape("cross_entropy", "one time step", format!("{steps}")));
        }
        operation.temperature = temperature;
        operation.probability.resize(value.lanes().len(), Lanes::ZERO);
        let mut out = self.tensor(Shape::flat(1), samples, 1);
        let (isa, value) = (self.context().isa(), self.value(logits));
        let mut probability = std::mem::take(&mut operation.probability);
        // A few hundred exponentials: not worth waking other threads.
        for (block, (loss, probability)) in
            out.lanes_mut().iter_mut().zip(probability.chunks_mut(classes.max(1))).enumerate()
        {
            let (live, logits) = (value.live(block), value.block(block));
            let target = operation.target(block, classes);
            kernel::cross_entropy(isa, live, logits, target, temperature, probability, loss);
        }
        operation.probability = probability;
        Ok(self.record(operation, &[logits], &[], out))
    }
}

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let isa = pass.context().isa();
        let classes = out.shape().features();
        let grads = pass.grad().lanes();
        for (block, out) in out.lanes_mut().chunks_mut(classes.max(1)).enumerate() {
            let probability = &self.probability[block * classes..][..classes];
            let target = self.target(block, classes);
            let grad = &grads[block];
            kernel::cross_entropy_grad(isa, probability, target, self.temperature, grad, out);
        }
        pass.give_input(0, out);
    }
}
