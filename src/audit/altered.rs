//! The model under audit with one thing of it changed on purpose, to see what the audit or an attack makes of it.

use crate::Result;
use crate::attack::{Classifier, Session};
use crate::kernels::lif::Estimate;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};
use crate::tensor::{Context, Shape};

/// A model whose gradients are multiplied by a factor, or whose draws are always the same.
pub(super) struct Altered<'a> {
    model: &'a dyn Classifier,
    factor: f32,
    fixed_draws: bool,
}

impl<'a> Altered<'a> {
    /// All gradients multiplied by `factor`.
    pub(super) fn gradients(model: &'a dyn Classifier, factor: f32) -> Self {
        Self { model, factor, fixed_draws: false }
    }

    /// The same draws at every evaluation.
    pub(super) fn fixed_draws(model: &'a dyn Classifier) -> Self {
        Self { model, factor: 1.0, fixed_draws: true }
    }
}

struct AlteredSession<'a> {
    inner: Box<dyn Session + 'a>,
    factor: f32,
    fixed_draws: bool,
}

impl Classifier for Altered<'_> {
    fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn is_random(&self) -> bool {
        !self.fixed_draws && self.model.is_random()
    }

    fn may_change(&self) -> bool {
        self.model.may_change() && !self.model.is_random()
    }

    fn draws_by_key(&self) -> bool {
        self.model.draws_by_key()
    }

    fn estimates_gradients(&self) -> bool {
        self.model.estimates_gradients()
    }

    fn is_spiking(&self) -> bool {
        self.model.is_spiking()
    }

    fn pools_spikes(&self) -> bool {
        self.model.pools_spikes()
    }

    fn announce(&self, blocks: usize) {
        self.model.announce(blocks);
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        let Self { model, factor, fixed_draws } = *self;
        Box::new(AlteredSession { inner: model.session(context), factor, fixed_draws })
    }
}

impl Session for AlteredSession<'_> {
    fn occupy(&mut self, lanes: u16) {
        self.inner.occupy(lanes);
    }

    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        let fixed = [Key::new(0).named("fixed"); LANES];
        let noise = if self.fixed_draws { &fixed } else { noise };
        self.inner.logits(images, noise, differentiable, out)
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        self.gradient_by(&Estimate::default(), weight, out)
    }

    fn gradient_by(
        &mut self,
        estimate: &Estimate,
        weight: &[Lanes],
        out: &mut [Lanes],
    ) -> Result<()> {
        self.inner.gradient_by(estimate, weight, out)?;
        out.iter_mut().for_each(|lanes| lanes.0.iter_mut().for_each(|g| *g *= self.factor));
        Ok(())
    }
}
