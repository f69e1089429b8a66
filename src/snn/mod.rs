//! Spiking networks: neurons, encoders, and the spiking form of any network.
//!
//! A spiking network runs for T time steps. Its layers between neurons are the ordinary ones, on tensors that have a
//! time axis; a layer of neurons over all its steps is one node of the tape ([`Tape::lif`](crate::autodiff::Tape::lif)),
//! whose backward is backpropagation through time with a [`Surrogate`] for the derivative of a spike. Neurons and surrogates
//! themselves are kernels: [`kernels::lif`](crate::kernels::lif), [`kernels::surrogate`](crate::kernels::surrogate).
//!
//! ```
//! use deepsleep::nn::Model;
//! use deepsleep::snn::{Neuron, SpikingModel, SpikingOptions, Statistics};
//!
//! let model = Model::lenet(0); // or a trained one
//! let spiking = SpikingModel::from_model(&model, SpikingOptions::default().with(|o| o.steps = 4), Statistics::Carry)?;
//! let back = spiking.to_model(Statistics::Carry);
//!
//! // The published neuron, one step at a time: u <- u + (I - u) / 2, a spike above 0.5.
//! let dynamics = Neuron::default().dynamics()?;
//! assert_eq!((dynamics.decay, dynamics.gain, dynamics.threshold), (0.5, 0.5, 0.5));
//! # let _ = back;
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod activity;
mod encoder;
mod frozen;
mod model;
mod neurons;
mod options;

pub use crate::kernels::lif::{Neuron, Reset, SilentWindow};
pub use crate::kernels::surrogate::Surrogate;
pub use activity::{SpikeTrain, firing_rates, spike_trains};
pub use encoder::Encoder;
pub use frozen::FrozenSpikingModel;
pub use model::SpikingModel;
pub(crate) use neurons::check_spiking;
pub use options::{SpikingOptions, Statistics};
