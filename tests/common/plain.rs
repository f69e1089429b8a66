//! Models as users write them, in plain loops: a sample at a time, in f64.

use deepsleep::attack::Session;
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::{Error, Result};

/// What a model makes of one sample.
pub trait Plain: Sync {
    fn logits(&self, image: &[f64], noise: Key) -> Vec<f64>;

    /// The gradient of `sum_i weight_i logit_i`.
    fn gradient(&self, image: &[f64], weight: &[f64]) -> Vec<f64>;
}

/// Sixteen samples, one after the other.
pub struct PlainSession<'a, M> {
    model: &'a M,
    /// Those of the last differentiable evaluation.
    images: Option<Vec<Lanes>>,
}

impl<'a, M: Plain> PlainSession<'a, M> {
    pub fn new(model: &'a M) -> Self {
        Self { model, images: None }
    }
}

/// The values of one lane.
pub fn lane(lanes: &[Lanes], lane: usize) -> Vec<f64> {
    lanes.iter().map(|lanes| f64::from(lanes.0[lane])).collect()
}

/// Writes the values of one lane.
pub fn set_lane(lanes: &mut [Lanes], lane: usize, values: &[f64]) {
    assert_eq!(lanes.len(), values.len());
    lanes.iter_mut().zip(values).for_each(|(lanes, &value)| lanes.0[lane] = value as f32);
}

impl<M: Plain> Session for PlainSession<'_, M> {
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        // Lanes without a sample all hold the same: that is worked out once.
        let mut last: Option<(Vec<f64>, Key, Vec<f64>)> = None;
        for (i, &key) in noise.iter().enumerate() {
            let image = lane(images, i);
            let known = last.take().filter(|(x, k, _)| (x, *k) == (&image, key));
            let (_, _, logits) = known.unwrap_or_else(|| {
                let logits = self.model.logits(&image, key);
                (Vec::new(), key, logits)
            });
            set_lane(out, i, &logits);
            last = Some((image, key, logits));
        }
        self.images = differentiable.then(|| images.to_vec());
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        let missing = || Error::argument("plain", "the last evaluation was not differentiable");
        let images = self.images.as_ref().ok_or_else(missing)?;
        out.fill(Lanes::ZERO);
        for i in 0..LANES {
            let weight = lane(weight, i);
            if weight.iter().any(|&w| w != 0.0) {
                set_lane(out, i, &self.model.gradient(&lane(images, i), &weight));
            }
        }
        Ok(())
    }
}
