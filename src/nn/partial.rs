//! Re-evaluates images in which a few pixels have changed, with the bits of a whole forward pass: a convolution
//! changes where its kernel reaches a changed pixel, and nowhere else.

use crate::autodiff::{FrozenConv, halved};
use crate::kernels::activation::{Activation, activate};
use crate::kernels::elementwise;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Region, Shape};
use crate::{Error, Result};

/// A frozen network that is nothing but convolutions, each with rectifier and 2 x 2 maximum, and linear layers after them,
/// with rectifiers between these.
#[derive(Clone, Debug)]
pub struct ConvChain<'a> {
    convolutions: Vec<&'a FrozenConv>,
    linear: Vec<&'a FrozenConv>,
}

impl<'a> ConvChain<'a> {
    /// Of convolutions, each taking what the one before it gives, and what makes logits of it.
    ///
    /// # Errors
    /// If a layer does not take what the one before it gives, a convolution's output has an odd side or no kernel that
    /// pools, or there is no linear layer.
    pub fn new(convolutions: Vec<&'a FrozenConv>, linear: Vec<&'a FrozenConv>) -> Result<Self> {
        if linear.is_empty() {
            return Err(Error::argument("chain of layers", "nothing in it makes logits"));
        }
        if !convolutions.iter().all(|layer| layer.is_fused()) {
            return Err(Error::argument("chain of layers", "a convolution is computed as a whole"));
        }
        let pooled = |layer: &&FrozenConv| halved("chain of layers", layer.geometry().output);
        let shapes = convolutions.iter().map(pooled);
        let shapes = shapes.chain(linear.iter().map(|layer| Ok(layer.geometry().output)));
        for (layer, shape) in convolutions.iter().chain(&linear).skip(1).zip(shapes) {
            layer.check("chain of layers", shape?)?;
        }
        Ok(Self { convolutions, linear })
    }
}

/// A convolution of the chain.
struct ChainLayer<'a> {
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
    stages: Vec<ChainLayer<'a>>,
    linear: Vec<&'a FrozenConv>,
    /// What a linear layer gives, before and after its rectifier.
    hidden: [Vec<Lanes>; 2],
    scratch: Vec<Lanes>,
    /// Whether there has been an evaluation of whole images.
    begun: bool,
}

impl<'a> PartialForward<'a> {
    /// For this chain, on this instruction set.
    pub fn new(chain: &ConvChain<'a>, isa: Isa) -> Self {
        let stages = chain.convolutions.iter().map(|&layer| {
            let Shape { channels, height, width } = layer.geometry().output;
            let shape = Shape::new(channels, height / 2, width / 2);
            let zeros = || vec![Lanes::ZERO; shape.features()];
            ChainLayer { layer, shape, new: zeros(), old: zeros(), changed: Region::default() }
        });
        let layers = chain.convolutions.iter().chain(&chain.linear);
        let scratch = layers.map(|layer| layer.scratch(1)).max().unwrap_or(0);
        Self {
            isa,
            stages: stages.collect(),
            linear: chain.linear.clone(),
            hidden: [Vec::new(), Vec::new()],
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
        let Some((last, before)) = self.linear.split_last() else { return };
        let [sums, hidden] = &mut self.hidden;
        for (i, layer) in before.iter().enumerate() {
            let x = if i == 0 { x } else { hidden.as_slice() };
            sums.resize(layer.geometry().output.features(), Lanes::ZERO);
            layer.affine(isa, |_| LANES, x, sums, &mut self.scratch);
            hidden.resize(sums.len(), Lanes::ZERO);
            activate(isa, Activation::Relu, LANES, sums, hidden);
        }
        let x = if before.is_empty() { x } else { hidden.as_slice() };
        last.affine(isa, |_| LANES, x, out, &mut self.scratch);
    }
}
