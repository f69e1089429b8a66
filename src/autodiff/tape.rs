//! The tape: an arena of nodes.

use super::estimator_memory::EstimatorMemory;
use super::node::{TapeNode, WeightNode};
use super::operation::Operation;
use crate::kernels::lif::Estimate;
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Buffers, Context, Shape, Tensor};
use crate::{Error, Result};
use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tensor of per-sample features on a [`Tape`]; valid until the tape's next reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    pub(super) index: u32,
    recording: u64,
}

/// A parameter on a [`Tape`], shared by all samples; valid until the tape's next reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    index: u32,
    recording: u64,
}

/// A number for a recording that no other recording of any tape has, so that a variable of another one is noticed.
fn new_recording() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where a node comes from.
pub(super) struct NodeOrigin {
    /// None for an input.
    pub(super) operation: Option<Box<dyn Operation>>,
    pub(super) inputs: Range<usize>,
    pub(super) weights: Range<usize>,
}

/// Operations of one type from earlier recordings.
#[derive(Default)]
struct Spare {
    operations: VecDeque<Box<dyn Operation>>,
    /// Operations that were handed out. Only as many are kept: those that a caller makes anew each time would pile up.
    lent: usize,
}

/// A caller-owned arena of recorded operations.
pub struct Tape {
    pub(super) context: Context,
    pub(super) nodes: Vec<TapeNode>,
    /// One a node.
    pub(super) origins: Vec<NodeOrigin>,
    pub(super) weights: Vec<WeightNode>,
    /// The inputs of all nodes, one after the other.
    pub(super) edges: Vec<u32>,
    /// The weights of all nodes, one after the other.
    pub(super) weight_edges: Vec<u32>,
    pub(super) buffers: Buffers,
    /// Operations of earlier recordings, by type, in the order in which they were recorded: in a loop each finds its
    /// own old buffers again.
    spare: HashMap<TypeId, Spare>,
    /// One key a sample, for this recording.
    noise: Vec<Key>,
    /// Operations of this recording that have drawn from them.
    drawn: u64,
    pub(super) estimators: EstimatorMemory,
    recording: u64,
    /// A list that recorders of whole networks borrow.
    pub(super) vars: Vec<Var>,
}

impl Tape {
    /// An empty tape on this context.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            nodes: Vec::new(),
            origins: Vec::new(),
            weights: Vec::new(),
            edges: Vec::new(),
            weight_edges: Vec::new(),
            buffers: Buffers::default(),
            spare: HashMap::new(),
            noise: Vec::new(),
            drawn: 0,
            estimators: EstimatorMemory::default(),
            recording: new_recording(),
            vars: Vec::new(),
        }
    }

    /// Instruction set and threads.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Forgets everything recorded and keeps the memory. All [`Var`]s and [`Weight`]s lose their validity.
    pub fn reset(&mut self) {
        for node in self.nodes.drain(..) {
            if !node.released {
                self.buffers.give_lanes(node.value.into_lanes());
            }
            if let Some(grad) = node.grad {
                self.buffers.give_lanes(grad.into_lanes());
            }
        }
        for operation in self.origins.drain(..).filter_map(|origin| origin.operation) {
            let any: &dyn Any = operation.as_ref();
            let spare = self.spare.entry(any.type_id()).or_default();
            if spare.lent > 0 {
                spare.lent -= 1;
                spare.operations.push_back(operation);
            }
        }
        for weight in self.weights.drain(..) {
            self.buffers.give_floats(weight.value);
            if let Some(grad) = weight.grad {
                self.buffers.give_floats(grad);
            }
        }
        self.edges.clear();
        self.weight_edges.clear();
        self.noise.clear();
        self.drawn = 0;
        self.estimators.reset();
        self.recording = new_recording();
    }

    /// Where the random operations of this recording draw from: sample i from the stream of the i-th key, whatever its
    /// pixels, its place and its lane mates. To be said anew after every reset.
    pub fn set_noise(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.noise.clear();
        self.noise.extend(keys);
    }

    /// How the next sweeps estimate gradients of spikes, until something else is said.
    pub fn set_estimate(&mut self, estimate: Estimate) {
        self.estimators.ask(estimate);
    }

    /// Writes the keys of the next random operation, block by block: each operation of a recording draws streams of its
    /// own.
    ///
    /// # Errors
    /// If the keys given are not one for each of `samples`.
    pub(super) fn draw(
        &mut self,
        operation: &'static str,
        samples: usize,
        out: &mut Vec<[Key; LANES]>,
    ) -> Result<()> {
        if self.noise.len() != samples {
            return Err(Error::shape(
                operation,
                format!("keys for {samples} samples, given with `Tape::set_noise` before"),
                format!("{} keys", self.noise.len()),
            ));
        }
        let drawn = self.drawn;
        self.drawn += 1;
        let block = |keys: &[Key]| {
            // Where there is no sample there are no pixels, and no spikes.
            std::array::from_fn(|i| keys.get(i).map_or(Key::new(0), |key| key.with(drawn)))
        };
        out.clear();
        out.extend(self.noise.chunks(LANES).map(block));
        Ok(())
    }

    /// An input whose gradient is wanted.
    pub fn input(&mut self, value: Tensor) -> Var {
        self.push(value, true, None, &[], &[])
    }

    /// An input whose gradient is not needed, such as training images.
    pub fn constant(&mut self, value: Tensor) -> Var {
        self.push(value, false, None, &[], &[])
    }

    /// A parameter whose gradient is wanted; the values are copied. Shapes have one to four dimensions.
    ///
    /// # Errors
    /// If shape and values disagree.
    pub fn weight(&mut self, shape: &[usize], values: &[f32]) -> Result<Weight> {
        self.push_weight(shape, values, true)
    }

    /// A parameter that is held fixed.
    ///
    /// # Errors
    /// If shape and values disagree.
    pub fn fixed_weight(&mut self, shape: &[usize], values: &[f32]) -> Result<Weight> {
        self.push_weight(shape, values, false)
    }

    /// The sizes of a parameter's numbers, as a parameter of the same shape. What reaches its gradient goes on to that one's,
    /// with the signs of the numbers (none at 0).
    ///
    /// # Panics
    /// If the parameter is not of this tape's current recording.
    pub fn weight_sizes(&mut self, weight: Weight) -> Weight {
        let source = self.weight_index(weight);
        let WeightNode { value: values, shape, wants_grad, .. } = &self.weights[source];
        let (shape, wants_grad) = (*shape, *wants_grad);
        let mut value = self.buffers.floats(values.len());
        value.iter_mut().zip(values).for_each(|(size, number)| *size = number.abs());
        let (index, sizes_of) = (self.weights.len() as u32, Some(source as u32));
        self.weights.push(WeightNode { value, shape, grad: None, wants_grad, sizes_of });
        Weight { index, recording: self.recording }
    }

    fn push_weight(&mut self, shape: &[usize], values: &[f32], wants: bool) -> Result<Weight> {
        let count = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n));
        if !(1..=4).contains(&shape.len()) || count != Some(values.len()) || values.is_empty() {
            return Err(Error::shape(
                "weight",
                format!("1 to 4 dimensions of at least 1 for {} numbers", values.len()),
                format!("{shape:?}"),
            ));
        }
        let mut dimensions = [1; 4];
        dimensions[..shape.len()].copy_from_slice(shape);
        let mut value = self.buffers.floats(values.len());
        value.copy_from_slice(values);
        let index = self.weights.len() as u32;
        self.weights.push(WeightNode {
            value,
            shape: dimensions,
            grad: None,
            wants_grad: wants,
            sizes_of: None,
        });
        Ok(Weight { index, recording: self.recording })
    }

    /// The value of a variable.
    ///
    /// # Panics
    /// If the variable is not of this tape's current recording.
    pub fn value(&self, var: Var) -> &Tensor {
        &self.nodes[self.index(var)].value
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If the parameter is not of this tape's current recording.
    pub fn weight_value(&self, weight: Weight) -> &[f32] {
        &self.weights[self.weight_index(weight)].value
    }

    /// A parameter's shape, filled up with ones to four dimensions.
    ///
    /// # Panics
    /// If the parameter is not of this tape's current recording.
    pub fn weight_shape(&self, weight: Weight) -> [usize; 4] {
        self.weights[self.weight_index(weight)].shape
    }

    /// Mean over the samples (and time steps) of a variable of one feature, such as a loss. Summed in order, in f64.
    pub fn mean(&self, var: Var) -> f32 {
        let tensor = self.value(var);
        let lanes = (0..tensor.blocks()).flat_map(|b| tensor.block(b).iter().map(move |v| (b, v)));
        let sum: f64 = lanes
            .map(|(b, v)| v.0[..tensor.live(b)].iter().map(|&x| f64::from(x)).sum::<f64>())
            .sum();
        (sum / (tensor.samples() * tensor.steps()) as f64) as f32
    }

    /// An operation of an earlier recording, its buffers with it, or a new one.
    pub fn reuse<O: Operation + Default>(&mut self) -> Box<O> {
        let spare = self.spare.entry(TypeId::of::<O>()).or_default();
        spare.lent += 1;
        let operation = spare.operations.pop_front();
        let any: Option<Box<dyn Any>> = operation.map(|operation| operation as Box<dyn Any>);
        any.and_then(|any| any.downcast().ok()).unwrap_or_default()
    }

    /// A tensor of `shape` for the samples and steps of `x`, written block by block in parallel by `f(isa, x, block, out)`: the
    /// output of an operation that keeps nothing of each block.
    #[inline(always)]
    pub fn map_blocks(
        &mut self,
        x: Var,
        shape: Shape,
        f: impl Fn(Isa, &Tensor, usize, &mut [Lanes]) + Sync + Send,
    ) -> Tensor {
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let mut out = self.tensor(shape, samples, steps);
        let (isa, value) = (self.context.isa(), self.value(x));
        self.context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            f(isa, value, block, out);
        });
        out
    }

    /// Appends an operation that computed `value` from `inputs` and `weights`.
    ///
    /// # Panics
    /// If an input or a weight is not of this tape's current recording.
    pub fn record(
        &mut self,
        operation: Box<dyn Operation>,
        inputs: &[Var],
        weights: &[Weight],
        value: Tensor,
    ) -> Var {
        // Folds that look at all of them: a stale one may come after one that wants a gradient.
        let wants = inputs.iter().fold(false, |wants, &i| wants | self.wants_gradient(i));
        let wants = weights
            .iter()
            .fold(wants, |wants, &w| wants | self.weights[self.weight_index(w)].wants_grad);
        self.push(value, wants, Some(operation), inputs, weights)
    }

    fn push(
        &mut self,
        value: Tensor,
        wants_grad: bool,
        operation: Option<Box<dyn Operation>>,
        inputs: &[Var],
        weights: &[Weight],
    ) -> Var {
        let (edge, weight_edge) = (self.edges.len(), self.weight_edges.len());
        self.edges.extend(inputs.iter().map(|var| var.index));
        self.weight_edges.extend(weights.iter().map(|weight| weight.index));
        let index = self.nodes.len() as u32;
        self.nodes.push(TapeNode { value, grad: None, wants_grad, released: false });
        self.origins.push(NodeOrigin {
            operation,
            inputs: edge..self.edges.len(),
            weights: weight_edge..self.weight_edges.len(),
        });
        Var { index, recording: self.recording }
    }

    /// The operation that made a variable, if it is an `O`.
    pub(super) fn operation<O: Operation>(&self, var: Var) -> Option<&O> {
        let operation: &dyn Any = self.origins[self.index(var)].operation.as_deref()?;
        operation.downcast_ref()
    }

    pub(super) fn index(&self, var: Var) -> usize {
        assert!(
            var.recording == self.recording,
            "a Var outlived its tape's reset, or is another tape's"
        );
        var.index as usize
    }

    pub(super) fn weight_index(&self, weight: Weight) -> usize {
        assert!(
            weight.recording == self.recording,
            "a Weight outlived its tape's reset, or is another tape's"
        );
        weight.index as usize
    }
}
