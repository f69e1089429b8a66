//! Sleep: slow-wave (spike-timing-dependent plasticity) and fast-wave (backpropagation through time, with dreams).
//!
//! To defend a model, start with the module that builds on this one, `method`: its `Defender` runs cycles of both sleeps
//! and the conversion back. The algorithms are here: [`SlowWave`], [`FastWave`], and [`replay`], the earlier sleep that the
//! paper compares with. [`StdpConv`], [`StdpLinear`], [`PairLayer`] and [`ReplayLayer`] are the layers that sleep, one batch
//! at a time.
//!
//! ```
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::Model;
//! use deepsleep::sleep::{SlowWave, SlowWaveOptions};
//! use deepsleep::tensor::Context;
//!
//! let train = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Train)?.slice(0..32)?;
//! let context = Context::new(0)?;
//! let mut network = Model::lenet(0); // in practice, a trained one
//!
//! // One batch per pass, to try it out.
//! let mut options = SlowWaveOptions::default();
//! options.batches = 1;
//! options.batch_size = 32;
//! let mut sleep = SlowWave::new(&network, options, 0)?;
//! while sleep.passes_done() < sleep.passes().len() {
//!     sleep.pass(&context, &train)?;
//! }
//! sleep.wake(&mut network); // its weights, in a network of rectifiers
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod circuit;
mod fast_wave;
pub mod lucid;
mod pair_stdp;
mod replay;
mod slow_wave;
mod stdp_conv;
mod stdp_linear;

pub(crate) use circuit::linear_output;
pub use fast_wave::{DreamOptions, DreamSource, FastWave, FastWaveOptions};
pub use lucid::LucidOptions;
pub use pair_stdp::{PairLayer, PairOptions, poisson_trains};
pub use replay::{ReplayLayer, ReplayOptions, ReplayProgress, replay, replay_with};
pub use slow_wave::{Layers, Pass, Plasticity, SleepProgress, SlowWave, SlowWaveOptions, Turn};
pub use stdp_conv::StdpConv;
pub use stdp_linear::StdpLinear;

use crate::checkpoint::StateDict;
use crate::kernels::stdp;
use crate::tensor::{Context, Shape, Tensor};
use crate::{Error, Result};

/// Chooses the winner where several channels of a pixel spike in the same step: (sample in the batch, pixel, step, set
/// of candidates as bits, channel c is bit c % 32 of word c / 32) to the number of one of them.
pub type TieBreak<'a> = dyn Fn(usize, usize, usize, &[u32]) -> usize + Sync + 'a;

fn check_weight(layer: &'static str, expected: usize, weight: &[f32]) -> Result<()> {
    if weight.len() != expected || weight.is_empty() {
        let expected = format!("{expected} weights, at least one");
        return Err(Error::shape(layer, expected, weight.len().to_string()));
    }
    Ok(())
}

/// Every sample's counts over its largest.
fn normalize(context: &Context, counts: &Tensor, out: &mut Tensor) {
    let (isa, features) = (context.isa(), counts.shape().features());
    context.chunks(out.lanes_mut(), features, |block, out| {
        stdp::normalize(isa, counts.block(block), out);
    });
}

fn check_input(layer: &'static str, expected: Shape, x: &Tensor) -> Result<()> {
    if x.shape().features() != expected.features() || x.steps() != 1 || x.samples() == 0 {
        return Err(Error::shape(
            layer,
            format!("samples of {expected}, one time step"),
            format!("{} samples of {}, {} steps", x.samples(), x.shape(), x.steps()),
        ));
    }
    Ok(())
}

/// Saves membranes as an array `[sample][feature]`, if there are any.
fn save_membrane(name: &str, membrane: Option<&Tensor>, state: &mut StateDict) -> Result<()> {
    let Some(membrane) = membrane else { return Ok(()) };
    let values = membrane.to_array().into_iter().collect();
    let shape = vec![membrane.samples(), membrane.shape().features()];
    state.insert(&format!("{name}.membrane"), shape, values)
}

fn load_membrane(name: &str, shape: Shape, state: &StateDict) -> Result<Option<Tensor>> {
    let name = format!("{name}.membrane");
    let Some(samples) = state.get(&name).and_then(|entry| entry.shape.first().copied()) else {
        return Ok(None);
    };
    let values = state.expect(&name, &[samples, shape.features()])?;
    let dim = (samples, shape.channels, shape.height, shape.width);
    let array = ndarray::ArrayView4::from_shape(dim, values)
        .map_err(|e| Error::shape("resume", format!("{name} of {dim:?}"), e.to_string()))?;
    Ok(Some(Tensor::from_array(array)))
}

/// Makes room for `samples` samples; state of another number of samples is forgotten.
fn resize(tensor: &mut Tensor, samples: usize) {
    if tensor.samples() != samples {
        *tensor = Tensor::zeros(tensor.shape(), samples);
    }
}
