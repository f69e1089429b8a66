//! Lane-blocked tensors: sixteen samples interleaved, sample-innermost.
//!
//! A [`Tensor`] holds, for each of its samples, one feature map of a [`Shape`] (channels x height x width), in *lane
//! blocks* `[block][channel][y][x][16]`. The layout is the engine's one idea about speed: LeNet's channel counts
//! (1, 10, 20, 10) fill no vector register, its samples do, and nothing between two samples has an edge case.
//! `ndarray` is the language of the border ([`Tensor::from_array`], [`Tensor::to_array`]).
//!
//! A tensor of a spiking network also has a number of time *steps*: sixteen samples' features at step 0, at step 1, and
//! so on, then the next sixteen samples. The layers between spiking ones see nothing but more blocks; a spiking layer
//! finds the whole history of sixteen samples in one piece.

mod buffers;
mod context;
mod pool;
mod region;
mod shape;
mod stop;

pub use buffers::Buffers;
pub use context::{Context, Workers};
pub use region::Region;
pub use shape::Shape;
pub use stop::Stop;

use crate::simd::{LANES, Lanes, LanesU32};
use crate::{Error, Result};
use ndarray::{Array4, ArrayView4};

/// Feature maps of some samples, in lane blocks. Dead lanes (the tail block's, past the last sample) hold zeros.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Shape,
    samples: usize,
    steps: usize,
    /// At least what the sizes say. A recycled buffer may be longer: shortened, it would have to be cleared when it
    /// grows again.
    data: Vec<Lanes>,
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        let sizes = |tensor: &Self| (tensor.shape, tensor.samples, tensor.steps);
        sizes(self) == sizes(other) && self.lanes() == other.lanes()
    }
}

/// Lane blocks that `samples` samples fill.
pub const fn blocks_of(samples: usize) -> usize {
    samples.div_ceil(LANES)
}

impl Tensor {
    /// Zeros for `samples` samples of `shape`, one time step.
    pub fn zeros(shape: Shape, samples: usize) -> Self {
        Self::with_steps(shape, samples, 1, Vec::new())
    }

    /// `samples` samples of `shape` at each of `steps` time steps, in a recycled buffer: what is in it stays, what it
    /// lacks is zero.
    pub fn with_steps(shape: Shape, samples: usize, steps: usize, mut data: Vec<Lanes>) -> Self {
        buffers::grow(&mut data, blocks_of(samples) * steps * shape.features());
        Self { shape, samples, steps, data }
    }

    /// Copies `count` samples of another tensor of this shape, from its sample `first` on, to this one's sample `at` and on.
    /// Both have one time step.
    pub(crate) fn copy_samples(&mut self, at: usize, from: &Self, first: usize, count: usize) {
        let features = self.shape.features();
        for i in 0..count {
            let (source, target) = (first + i, at + i);
            let lanes = &from.data[source / LANES * features..][..features];
            for (to, from) in self.data[target / LANES * features..].iter_mut().zip(lanes) {
                to.0[target % LANES] = from.0[source % LANES];
            }
        }
    }

    /// From an N x C x H x W array.
    pub fn from_array(array: ArrayView4<'_, f32>) -> Self {
        let (samples, channels, height, width) = array.dim();
        let mut tensor = Self::zeros(Shape::new(channels, height, width), samples);
        let features = tensor.shape.features();
        for (n, sample) in array.outer_iter().enumerate() {
            let block = &mut tensor.data[n / LANES * features..][..features];
            for (lanes, &value) in block.iter_mut().zip(sample.iter()) {
                lanes.0[n % LANES] = value;
            }
        }
        tensor
    }

    /// As an N x C x H x W array; the time steps, if more than one, follow one another along N.
    pub fn to_array(&self) -> Array4<f32> {
        let Shape { channels, height, width } = self.shape;
        let mut array = Array4::zeros((self.steps * self.samples, channels, height, width));
        for (row, mut sample) in array.outer_iter_mut().enumerate() {
            let (step, n) = (row / self.samples, row % self.samples);
            let block = self.block(n / LANES * self.steps + step);
            for (value, lanes) in sample.iter_mut().zip(block) {
                *value = lanes.0[n % LANES];
            }
        }
        array
    }

    /// The shape of one sample's features.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The number of time steps; 1 for anything that does not spike.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The number of lane blocks, all time steps together.
    pub fn blocks(&self) -> usize {
        blocks_of(self.samples) * self.steps
    }

    /// How many lanes of `block` carry a sample.
    pub fn live(&self, block: usize) -> usize {
        live_lanes(self.samples, self.steps, block)
    }

    /// One block's features, `[channel][y][x]`.
    pub fn block(&self, block: usize) -> &[Lanes] {
        let features = self.shape.features();
        &self.lanes()[block * features..][..features]
    }

    /// All blocks, one after the other.
    pub fn lanes(&self) -> &[Lanes] {
        &self.data[..self.blocks() * self.shape.features()]
    }

    /// All blocks, one after the other, to write. Dead lanes are to be left at zero.
    pub fn lanes_mut(&mut self) -> &mut [Lanes] {
        let length = self.blocks() * self.shape.features();
        &mut self.data[..length]
    }

    /// The same numbers seen with another feature shape of equal size, e.g. flattened.
    ///
    /// # Errors
    /// If the number of features differs.
    pub fn reshape(mut self, shape: Shape) -> Result<Self> {
        if shape.features() != self.shape.features() {
            return Err(Error::shape(
                "reshape",
                format!("{} features", self.shape.features()),
                format!("{shape} = {} features", shape.features()),
            ));
        }
        self.shape = shape;
        Ok(self)
    }

    /// One sample's features at one time step, in channel, y, x order.
    pub fn sample(&self, step: usize, n: usize) -> impl Iterator<Item = f32> + '_ {
        let block = self.block(n / LANES * self.steps + step);
        block.iter().map(move |lanes| lanes.0[n % LANES])
    }

    /// Its memory, block after block; a recycled buffer may be longer.
    pub fn into_lanes(self) -> Vec<Lanes> {
        self.data
    }
}

/// How many lanes of `block` carry one of `samples` samples.
pub(crate) const fn live_lanes(samples: usize, steps: usize, block: usize) -> usize {
    let first = block / steps * LANES;
    if samples - first < LANES { samples - first } else { LANES }
}

/// Class labels as lane blocks; dead lanes hold 0 and are masked where they are used.
///
/// # Errors
/// If a label is not below `classes`.
pub fn label_lanes(
    labels: impl ExactSizeIterator<Item = usize>,
    classes: usize,
    into: &mut Vec<LanesU32>,
) -> Result<()> {
    into.clear();
    into.resize(blocks_of(labels.len()), LanesU32::ZERO);
    for (n, label) in labels.enumerate() {
        if label >= classes {
            return Err(Error::argument(
                "labels",
                format!("label {label} of sample {n} is not below the {classes} classes"),
            ));
        }
        into[n / LANES].0[n % LANES] = label as u32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a recycled buffer has beyond the tensor is not part of it.
    #[test]
    fn a_longer_buffer_does_not_show() {
        let shape = Shape::new(1, 1, 2);
        let old = Tensor::with_steps(shape, 3, 1, vec![Lanes::splat(1.0); 9]);
        let new = Tensor::with_steps(shape, 3, 1, vec![Lanes::splat(1.0); 2]);
        assert_eq!((old.lanes().len(), old.clone().lanes_mut().len()), (2, 2));
        assert_eq!(old, new);
        let beyond = std::panic::catch_unwind(|| old.block(1).len());
        assert!(beyond.is_err(), "there is one block");
    }
}
