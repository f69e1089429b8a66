//! Sleep: slow-wave (spike-timing-dependent plasticity), fast-wave (backpropagation through time, with dreams), and the
//! cycles of both.

mod pair_stdp;
mod replay;
mod stdp_conv;
mod stdp_linear;

pub use pair_stdp::{PairLayer, PairOptions, poisson_trains};
pub use replay::{ReplayLayer, ReplayOptions, ReplayProgress, replay};
pub use stdp_conv::StdpConv;
pub use stdp_linear::StdpLinear;

use crate::kernels::stdp::MAX_CHANNELS;
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// Chooses the winner where several channels of a pixel spike in the same step: (sample in the batch, pixel, step, set
/// of candidates as bits) to the number of one of them.
pub type TieBreak<'a> = dyn Fn(usize, usize, usize, u32) -> u32 + Sync + 'a;

fn check_weight(
    layer: &'static str,
    expected: usize,
    channels: usize,
    weight: &[f32],
) -> Result<()> {
    if weight.len() != expected {
        let found = format!("{}", weight.len());
        return Err(Error::shape(layer, format!("{expected} weights"), found));
    }
    if channels > MAX_CHANNELS {
        let problem = format!("{channels} channels; at most {MAX_CHANNELS} can compete");
        return Err(Error::argument(layer, problem));
    }
    Ok(())
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

/// Makes room for `samples` samples; state of another number of samples is forgotten.
fn resize(tensor: &mut Tensor, samples: usize) {
    if tensor.samples() != samples {
        *tensor = Tensor::zeros(tensor.shape(), samples);
    }
}
