//! Evaluates images again of which a few pixels have changed, to the bits of a whole forward pass: a convolution
//! changes where its kernel reaches a changed pixel, and nowhere else.

use crate::Result;
use crate::autodiff::{FrozenConv, halved};
use crate::kernels::elementwise;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Region, Shape};

/// A frozen network that is nothing but convolutions, each with rectifier and 2 x 2 maximum, and a last layer with
/// neither.
#[derive(Clone, Debug)]
pub struct ConvChain<'a> {
    convolutions: Vec<&'a FrozenConv>,
    last: &'a FrozenConv,
}

impl<'a> ConvChain<'a> {
    /// Of convolutions, each taking what the one before it gives, and what makes logits of it.
    ///
    /// # Errors
    /// If a layer does not take what the one before it gives, or a convolution's output has an odd side.
    pub fn new(convolutions: Vec<&'a FrozenConv>, last: &'a FrozenConv) -> Result<Self> {
        let layers = convolutions.iter().chain([&last]);
        for (layer, next) in convolutions.iter().zip(layers.skip(1)) {
            next.check("chain of layers", halved("chain of layers", layer.geometry().output)?)?;
        }
        Ok(Self { convolutions, last })
    }
}

/// A convolution of the chain.
struct Stage<'a> {
    layer: &'a FrozenConv,
    shape: Shape,
    /// Its output for the images that were evaluated last, and for those that others are compared with. They differ
    /// only in `changed`.
    new: Vec<Lanes>,
    old: Vec<Lanes>,
    changed: Region,
}

/// Sixteen images, each in a lane of its own, that change bit by bit.
pub struct PartialForward<'a> {
    isa: Isa,
    stages: Vec<Stage<'a>>,
    last: &'a FrozenConv,
    scratch: Vec<Lanes>,
    /// Whether there has been an evaluation of whole images.
    begun: bool,
}

impl<'a> PartialForward<'a> {
    /// Of this chain, on this instruction set.
    pub fn new(chain: &ConvChain<'a>, isa: Isa) -> Self {
        let stages = chain.convolutions.iter().map(|&layer| {
            let Shape { channels, height, width } = layer.geometry().output;
            let shape = Shape::new(channels, height / 2, width / 2);
            let zeros = || vec![Lanes::ZERO; shape.features()];
            Stage { layer, shape, new: zeros(), old: zeros(), changed: Region::default() }
        });
        let layers = chain.convolutions.iter().chain([&chain.last]);
        let scratch = layers.map(|layer| layer.scratch()).max().unwrap_or(0);
        Self {
            isa,
            stages: stages.collect(),
            last: chain.last,
            scratch: vec![Lanes::ZERO; scratch],
            begun: false,
        }
    }

    /// The logits of sixteen images `[channel][y][x]`. Lanes in `kept` are compared with the previous evaluation (it was
    /// accepted), the others with the last accepted one; pixels outside `changed` must equal that reference.
    pub fn evaluate(&mut self, images: &[Lanes], changed: &Region, kept: u16, out: &mut [Lanes]) {
        let isa = self.isa;
        let mut changed = changed.clone();
        if !std::mem::replace(&mut self.begun, true) {
            changed =
                self.stages.first().map_or(changed, |s| Region::all(s.layer.geometry().unpadded()));
        }
        let mut x = images;
        for stage in &mut self.stages {
            elementwise::commit_or_roll_back(
                isa,
                stage.shape,
                &stage.changed,
                kept,
                &mut stage.new,
                &mut stage.old,
            );
            changed = stage.layer.reach(&changed).halved();
            stage.layer.relu_pool(isa, x, &changed, &mut stage.new, None, &mut self.scratch);
            stage.changed = changed.clone();
            x = &stage.new;
        }
        self.last.affine(isa, LANES, x, out, &mut self.scratch);
    }
}
