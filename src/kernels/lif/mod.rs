//! Integrate-and-fire neurons over all time steps at once: the membrane stays in a register while time runs.
//!
//! One neuron, at each step:
//!
//! ```text
//! i <- synapse i + x                       (synapse 0: the input itself)
//! u <- decay v + gain i + offset
//! s  = 1 if u > threshold else 0           (>= with `inclusive`)
//! v <- s (keep u + reset) + (1 - s) u
//! ```
//!
//! [`Dynamics`] holds the numbers; what LIF, IF, hard and soft reset mean in them is [`Neuron`]'s business. The
//! backward (backpropagation through time) recomputes the membranes from the input, then runs time in reverse: that
//! costs a second pass of arithmetic and spares writing every membrane to memory.
//!
//! Blocks are `[step][feature]`. An input of one step is a constant current, and gets the sum of all steps' gradients.
//!
//! An attack may ask for another backward than the network's own: an [`Estimator`].

mod backward;
mod estimator;
mod forward;
mod group;
mod neuron;
mod rate;
mod slopes;

pub use backward::{BackwardRule, grad_scratch, lif_grad};
pub use estimator::{Assg, Estimate, Estimator, RateRule, SlopeRule, TimeRule};
pub use forward::{lif, lif_pool};
pub use neuron::{Neuron, Reset};

use crate::tensor::Shape;

/// The numbers of a neuron's update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// Share of the synaptic current that is left a step later.
    pub synapse: f32,
    /// Share of the membrane that is left a step later.
    pub decay: f32,
    /// What a unit of current adds.
    pub gain: f32,
    /// What every step adds.
    pub offset: f32,
    /// The membrane before the first step.
    pub initial: f32,
    /// Above it, a spike.
    pub threshold: f32,
    /// Whether a membrane exactly at the threshold spikes.
    pub inclusive: bool,
    /// Factor on the membrane at a spike: 0 for a hard reset, 1 for a soft one.
    pub keep: f32,
    /// Added to the membrane at a spike: the reset potential, or minus the threshold.
    pub reset: f32,
    /// Whether gradients flow through the spike in the reset.
    pub reset_grad: bool,
}

/// Where the gradient of a pooling window without a spike goes. The maximum of four zeros has no gradient of
/// its own: each of the four would make it 1 by a spike. (In a window with spikes, the gradient goes to the first of
/// those.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SilentWindow {
    /// To the first neuron, at the window's top left, as a maximum of spikes that is differentiated by itself gives it
    /// to the first of equals. Training's rule.
    First,
    /// To the neuron with the largest membrane before the reset, the first of equals: the nearest to a spike. The rule of
    /// attacks, which it makes far stronger.
    Largest,
    /// To all four, to each the whole of it.
    All,
}

impl SilentWindow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::First, Self::Largest, Self::All];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Largest => "largest",
            Self::All => "all",
        }
    }
}

/// A single neuron between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuronState {
    /// The membrane, after the reset.
    pub membrane: f32,
    /// The synaptic current.
    pub current: f32,
}

impl Dynamics {
    /// A neuron before its first step.
    pub fn start(&self) -> NeuronState {
        NeuronState { membrane: self.initial, current: 0.0 }
    }

    /// Advances one neuron by a step with input `x`; returns its membrane before the reset, and whether it spiked.
    ///
    /// The bits are those of the vector loops, which never write membranes out: this is for looking at them, as a trace
    /// of one neuron or an oracle of a test.
    pub fn step(&self, cell: &mut NeuronState, x: f32) -> (f32, bool) {
        cell.current = self.synapse.mul_add(cell.current, x);
        let u = self.decay.mul_add(cell.membrane, self.gain.mul_add(cell.current, self.offset));
        let spike = if self.inclusive { u >= self.threshold } else { u > self.threshold };
        cell.membrane = if spike { u.mul_add(self.keep, self.reset) } else { u };
        (u, spike)
    }
}

/// The neurons of a layer: sizes and dynamics.
#[derive(Clone, Copy, Debug)]
pub struct LifLayer {
    /// Neurons of a sample.
    pub shape: Shape,
    /// Time steps.
    pub steps: usize,
    /// Whether the input is one current for all steps.
    pub constant: bool,
    /// The update.
    pub dynamics: Dynamics,
}

impl LifLayer {
    /// Where step `t` of the input begins.
    #[inline(always)]
    fn input_at(&self, t: usize) -> usize {
        if self.constant { 0 } else { t * self.shape.features() }
    }
}
