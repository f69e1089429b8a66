//! The certificates of a set of samples at one radius, as stored in results.

use super::{BoundMethod, Certifier};
use crate::Result;
use crate::attack::{Norm, Samples};
use crate::tensor::Context;
use serde::{Deserialize, Serialize};

/// What is certain about a set of samples at one radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certified {
    /// How the bounds were computed.
    pub bounds: BoundMethod,
    /// The norm of the ball: Linf.
    pub norm: Norm,
    /// Its radius.
    pub eps: f32,
    /// The share of samples that no perturbation of this size turns into another class.
    pub certified_accuracy: f64,
    /// The identities of those.
    pub certified_indices: Vec<u64>,
    /// For every sample, the lower bound of the margin of the label over all other classes; None where there is none.
    pub margins: Vec<Option<f32>>,
    /// The time that it took.
    pub seconds: f64,
}

impl Certifier {
    /// The certificates of all samples at a radius.
    ///
    /// # Errors
    /// As for [`margins`](Self::margins).
    pub fn certify(&self, context: &Context, samples: &Samples, eps: f32) -> Result<Certified> {
        let start = std::time::Instant::now();
        let margins = self.margins(context, samples, eps)?;
        let certified = samples.ids().iter().zip(&margins).filter(|(_, margin)| **margin > 0.0);
        let certified_indices: Vec<u64> = certified.map(|(&id, _)| id).collect();
        Ok(Certified {
            bounds: self.method,
            norm: Norm::Linf,
            eps,
            certified_accuracy: certified_indices.len() as f64 / samples.len().max(1) as f64,
            certified_indices,
            margins: margins.into_iter().map(|m| m.is_finite().then_some(m)).collect(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}
