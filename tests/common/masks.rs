//! Networks that hide how weak they are. None of the masks changes what the network decides by more than a little.

use deepsleep::Result;
use deepsleep::attack::{Classifier, Estimate, Session};
use deepsleep::nn::FrozenNetwork;
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::tensor::{Context, Shape};
use rand::Rng;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a network hides its gradient.
#[derive(Clone, Copy, Debug)]
pub enum Mask {
    /// Nothing is hidden.
    Nothing,
    /// Pixels are rounded to so many levels, whose gradient is zero.
    Levels(f32),
    /// The same, whose gradient passes as if nothing were rounded.
    StraightThrough(f32),
    /// `x + a sin(x / b)`: its slope is 1 and often far from it.
    Shattered { a: f32, b: f32 },
    /// Logits are rounded to multiples of this; gradients are as they were.
    Steps(f32),
    /// Pixels go through a sigmoid of this slope at a half.
    Steep(f32),
    /// No gradient.
    Zero,
    /// The gradient's negative.
    Negated,
    /// A direction that has nothing to do with the network.
    Unrelated,
    /// Logits times this.
    Scaled(f32),
    /// Logits plus this.
    Shifted(f32),
    /// Probabilities.
    Softmax,
    /// 1 for the class, 0 for the others.
    OneHot,
    /// NaN where the first pixel is not black, as it is in every image.
    Undefined,
    /// Pixel noise from a counter: every answer is another.
    Noise(f32),
    /// Pixel noise from a hash of the image.
    NoiseOfPixels(f32),
}

/// A network behind a mask.
pub struct Masked<N>(pub N, pub Mask);

struct MaskedSession<'a> {
    inner: Box<dyn Session + 'a>,
    mask: Mask,
    images: Vec<Lanes>,
    logits: Vec<Lanes>,
}

static QUERIES: AtomicU64 = AtomicU64::new(0);

impl<N: Classifier> Classifier for Masked<N> {
    fn input_shape(&self) -> Shape {
        self.0.input_shape()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn is_spiking(&self) -> bool {
        self.0.is_spiking()
    }

    fn rectified(&self) -> Option<&dyn FrozenNetwork> {
        self.0.rectified()
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        let inner = self.0.session(context);
        Box::new(MaskedSession { inner, mask: self.1, images: Vec::new(), logits: Vec::new() })
    }
}

impl MaskedSession<'_> {
    /// What the network sees of an image.
    fn seen(&self, image: &[f32]) -> Vec<f32> {
        let noisy = |key: Key, size: f32| -> Vec<f32> {
            let random = &mut key.generator();
            let mut noise = || (0..4).map(|_| random.next_u32() as f32 / 4.3e9 - 0.5).sum::<f32>();
            image.iter().map(|x| x + 1.7 * size * noise()).collect()
        };
        match self.mask {
            Mask::Levels(n) | Mask::StraightThrough(n) => {
                image.iter().map(|x| (x * n).round() / n).collect()
            }
            Mask::Shattered { a, b } => image.iter().map(|x| x + a * (x / b).sin()).collect(),
            Mask::Steep(slope) => image.iter().map(|&x| sigmoid(slope * (x - 0.5))).collect(),
            Mask::Noise(size) => noisy(Key::new(QUERIES.fetch_add(1, Ordering::Relaxed)), size),
            Mask::NoiseOfPixels(size) => {
                let hash = image.iter().fold(Key::new(0), |key, x| key.with(x.to_bits().into()));
                noisy(hash, size)
            }
            _ => image.to_vec(),
        }
    }
}

impl Session for MaskedSession<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        self.images = images.to_vec();
        let mut seen = images.to_vec();
        for lane in 0..LANES {
            let image: Vec<f32> = images.iter().map(|x| x.0[lane]).collect();
            let row = self.seen(&image);
            seen.iter_mut().zip(row).for_each(|(seen, x)| seen.0[lane] = x);
        }
        self.inner.logits(&seen, noise, differentiable, out)?;
        self.logits = out.to_vec();
        for lane in 0..LANES {
            let mut z: Vec<f32> = out.iter().map(|z| z.0[lane]).collect();
            let top = z.iter().fold(f32::MIN, |a, &b| a.max(b));
            let first = z.iter().position(|&z| z == top);
            let sum: f32 = z.iter().map(|z| (z - top).exp()).sum();
            for (class, z) in z.iter_mut().enumerate() {
                *z = match self.mask {
                    Mask::Steps(step) => (*z / step).round() * step,
                    Mask::Scaled(factor) => factor * *z,
                    Mask::Shifted(constant) => constant + *z,
                    Mask::Undefined if images[0].0[lane] != 0.0 => f32::NAN,
                    Mask::Softmax => (*z - top).exp() / sum,
                    Mask::OneHot => f32::from(u8::from(Some(class) == first)),
                    _ => *z,
                };
            }
            out.iter_mut().zip(z).for_each(|(out, z)| out.0[lane] = z);
        }
        Ok(())
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
        let mut weight = weight.to_vec();
        for lane in 0..LANES {
            let top = self.logits.iter().fold(f32::MIN, |a, z| a.max(z.0[lane]));
            let p: Vec<f32> = self.logits.iter().map(|z| (z.0[lane] - top).exp()).collect();
            let sum: f32 = p.iter().sum();
            let mean: f32 = p.iter().zip(&weight).map(|(p, w)| p / sum * w.0[lane]).sum();
            for (w, p) in weight.iter_mut().zip(p) {
                w.0[lane] = match self.mask {
                    Mask::Scaled(factor) => factor * w.0[lane],
                    Mask::Softmax => p / sum * (w.0[lane] - mean),
                    Mask::OneHot | Mask::Zero | Mask::Levels(_) => 0.0,
                    Mask::Negated => -w.0[lane],
                    _ => w.0[lane],
                };
            }
        }
        self.inner.gradient_by(estimate, &weight, out)?;
        for (i, (out, images)) in out.iter_mut().zip(&self.images).enumerate() {
            for (lane, (g, x)) in out.0.iter_mut().zip(images.0).enumerate() {
                match self.mask {
                    Mask::Shattered { a, b } => *g *= 1.0 + a / b * (x / b).cos(),
                    Mask::Steep(slope) => {
                        let s = sigmoid(slope * (x - 0.5));
                        *g *= slope * s * (1.0 - s);
                    }
                    Mask::Unrelated => {
                        let key = Key::new(i as u64).with(lane as u64).with(x.to_bits().into());
                        *g = key.to_u64() as f32 / 2.0f32.powi(63) - 1.0;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A network with the gradients of another one.
pub struct Borrowed<N>(pub N, pub N);

struct BorrowedSession<'a>(Box<dyn Session + 'a>, Box<dyn Session + 'a>, Vec<Lanes>);

impl<N: Classifier> Classifier for Borrowed<N> {
    fn input_shape(&self) -> Shape {
        self.0.input_shape()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        let other = self.1.session(context.clone());
        Box::new(BorrowedSession(self.0.session(context), other, Vec::new()))
    }
}

impl Session for BorrowedSession<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        self.2 = out.to_vec();
        self.1.logits(images, noise, differentiable, &mut self.2)?;
        self.0.logits(images, noise, differentiable, out)
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        self.1.gradient(weight, out)
    }
}

/// A model of noise of its own that says so, and is judged by twenty draws.
pub struct SaysRandom<N>(pub N);

impl<N: Classifier> Classifier for SaysRandom<N> {
    fn input_shape(&self) -> Shape {
        self.0.input_shape()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn draws_by_key(&self) -> bool {
        false
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        self.0.session(context)
    }
}
