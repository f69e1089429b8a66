//! Certificates: lower bounds of a network's margin over the whole L-infinity ball around an image.
//!
//! An attack shows that an image can be fooled; a certificate shows that it cannot. Between the accuracy that attacks
//! leave and the certified one lies the truth. There are two ways to bound ([`BoundMethod`]):
//!
//! - Interval bound propagation (Gowal et al. 2018, "On the effectiveness of interval bound propagation for training
//!   verifiably robust models"): one forward pass of twice the usual cost, the difference of two logits bounded as one sum.
//!   The bounds are tight for networks that were trained for them.
//! - CROWN (Zhang et al. 2018, "Efficient neural network robustness certification with general activation functions"):
//!   linear bounds by backward substitution. They are never below the interval bounds, far tighter for networks that were
//!   trained in any other way, and thousands of times as expensive: for small networks. ReLUs, leaky ReLUs and max pooling
//!   have linear bounds; other activations and products of nodes count by their intervals, so that a network with those in
//!   all of its layers gains little.
//!
//! The bounds are sound in f32: every rounding is outward, those of the network's own evaluation included. So a certified
//! image is classified correctly by this engine, on every instruction set, at every point that a verification of attacks
//! admits ([`Budget::admits`](crate::attack::Budget::admits)), and by the network in exact arithmetic.
//!
//! ```
//! use deepsleep::attack::Samples;
//! use deepsleep::certify::Certifier;
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::Model;
//! use deepsleep::tensor::Context;
//!
//! let context = Context::new(0)?;
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..32)?;
//! let certifier = Certifier::new(&Model::lenet(1))?; // in practice, a trained one
//! let margins = certifier.margins(&context, &samples, 0.01)?;
//! let certified = margins.iter().filter(|&&margin| margin > 0.0).count();
//! assert!(certified <= samples.len());
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod crown;
mod forward;
mod layer;
mod movable;
mod report;

pub use movable::Movable;
pub use report::Certified;

use crate::attack::{Budget, Norm, Samples};
use crate::nn::Model;
use crate::nn::architecture::Architecture;
use crate::simd::{LANES, LanesU32};
use crate::tensor::{Context, Shape};
use crate::{Error, Result};
use crown::Crown;
use forward::Forward;
use layer::Layer;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::sync::Arc;

/// How margins are bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundMethod {
    /// Interval bound propagation.
    #[default]
    Interval,
    /// Linear bounds by backward substitution, never below those of intervals.
    Crown,
}

impl BoundMethod {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Interval, Self::Crown];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Crown => "crown",
        }
    }

    /// What it is, in a line of help.
    pub fn about(self) -> &'static str {
        match self {
            Self::Interval => "Interval bound propagation",
            Self::Crown => "Linear bounds by backward substitution",
        }
    }
}

impl FromStr for BoundMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let problem = format!("unknown method {name:?}; known are interval and crown");
            Error::argument("certify", problem)
        })
    }
}

/// A network in evaluation mode, ready to be bounded.
#[derive(Clone, Debug)]
pub struct Certifier {
    method: BoundMethod,
    architecture: Arc<Architecture>,
    /// One a node.
    layers: Vec<Layer>,
    /// Where the result of the image (0) and of every node lies: a node that changes nothing shares its input's place.
    places: Vec<usize>,
    /// The linear layer that makes the logits, if it is the last node: then margins are bounded instead of logits.
    last: Option<usize>,
}

impl Certifier {
    /// For a model with rectifiers or any other functions of one number; by intervals.
    ///
    /// # Errors
    /// If there is a node for which no bounds are known: today there is none.
    pub fn new(model: &Model) -> Result<Self> {
        let architecture = Arc::clone(model.architecture());
        let layers = Layer::of(model)?;
        let mut places = vec![0];
        for (i, layer) in layers.iter().enumerate() {
            let first = places[architecture.sources(i)[0]];
            places.push(if matches!(layer, Layer::Same) { first } else { i + 1 });
        }
        let place = places[layers.len()];
        let makes_logits =
            |i: &usize| matches!(&layers[*i], Layer::Linear(linear) if linear.geometry.is_linear());
        let last = place.checked_sub(1).filter(makes_logits);
        Ok(Self { method: BoundMethod::default(), architecture, layers, places, last })
    }

    /// The same network, bounded by this method.
    #[must_use]
    pub fn with_method(self, method: BoundMethod) -> Self {
        Self { method, ..self }
    }

    /// The method.
    pub fn method(&self) -> BoundMethod {
        self.method
    }

    /// The shape of what lies at a place.
    fn shape_of(&self, place: usize) -> Shape {
        place.checked_sub(1).map_or(self.architecture.input(), |node| self.architecture.shape(node))
    }

    /// Refuses samples and budgets that do not fit.
    fn check(&self, samples: &Samples, budget: &Budget) -> Result<()> {
        budget.validate()?;
        let (expected, found) = (self.architecture.input(), samples.shape());
        if expected != found {
            let (expected, found) = (format!("images of {expected}"), format!("images of {found}"));
            return Err(Error::shape("certificate", expected, found));
        }
        let classes = self.architecture.classes();
        if let Some(label) = samples.labels().iter().find(|&&label| label >= classes) {
            let problem = format!("label {label} for a network of {classes} classes");
            return Err(Error::argument("certificate", problem));
        }
        Ok(())
    }

    /// For every sample, a lower bound of `z_y - max z_i` (y the label, i the other classes) over all images within `eps`
    /// of it in every pixel, in 0..=1: where it is positive, no perturbation of this size changes the class. What cannot
    /// be bounded is negative infinity.
    ///
    /// # Errors
    /// If the images or labels do not fit the network, `eps` is not in 0..=1, or the context was asked to stop.
    pub fn margins(&self, context: &Context, samples: &Samples, eps: f32) -> Result<Vec<f32>> {
        let budget = Budget { norm: Norm::Linf, eps, seed: 0 };
        self.check(samples, &budget)?;
        let mut margins = vec![0.0; samples.len()];
        let workers = context.workers(|context| Forward::new(self, context.isa()));
        workers.chunks(&mut margins, LANES, |forward, block, margins| {
            let first = block * LANES;
            let images = (0..margins.len()).map(|i| samples.image(first + i));
            let mut labels = LanesU32::ZERO;
            let known = samples.labels()[first..].iter().zip(&mut labels.0);
            known.for_each(|(&label, to)| *to = label as u32);
            let least = forward.margins(images, &labels, budget.reach());
            margins.copy_from_slice(&least.0[..margins.len()]);
            Ok(())
        })?;
        if self.method == BoundMethod::Crown {
            let workers = context.workers(|context| Crown::new(self, &context));
            workers.chunks(&mut margins, 1, |crown, i, margin| {
                let found = crown.margin(samples.image(i), samples.labels()[i], budget.reach())?;
                margin[0] = margin[0].max(found);
                Ok(())
            })?;
        }
        Ok(margins)
    }
}
