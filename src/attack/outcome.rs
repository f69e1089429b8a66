//! What an attack did to every sample, and what follows from it.

use crate::attack::candidate::{Cost, Winner};
use crate::attack::diagnostics::{Diagnostics, outside};
use crate::attack::geometry::norm::Norm;
use crate::attack::stepper::Budget;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Misclassified without any attack.
    CleanWrong,
    /// A fresh forward pass misclassifies the returned image, which lies in the box and, if the attack is bounded, in
    /// the ball.
    Fooled,
    /// No such image was found.
    Survived,
    /// A logit was not finite, or the model answered otherwise after the attack than before it: that proves nothing.
    Invalid,
    /// The image that was shown, crafted elsewhere, lies outside of the box or of the ball that it is said to lie in: it
    /// is no answer to the question how robust the model is within.
    Outside,
    /// Nothing is proven: no bound certifies the image, and none says that it can be fooled. Of certificates alone, in which
    /// those that survived are the certified ones.
    Uncertified,
}

/// How often a random model is right about a sample: shares of the draws that decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// About the clean image.
    pub clean: f64,
    /// About the returned image; if the sample survived, about the clean one or what the attack found, whichever is less.
    pub attacked: f64,
}

/// One sample's result: what the attack, the journal of an evaluation, the store of an experiment and the report know of
/// it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The sample's identity.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// What became of it.
    pub status: Status,
    /// The returned image `[channel][y][x]`; the clean one, to the bit, unless the sample was fooled (or the attack
    /// was asked to return its last points). Not in files of results, so empty in an outcome that was read from one.
    #[serde(skip)]
    pub image: Vec<f32>,
    /// The class of the returned image, by a fresh forward pass.
    pub prediction: usize,
    /// `z_y - max_{i != y} z_i` of the returned image. In a file, a margin that is not finite is null.
    #[serde(serialize_with = "finite_or_null", deserialize_with = "null_is_not_a_number")]
    pub margin: f32,
    /// Largest change of a pixel.
    pub linf: f32,
    /// Root of the sum of squared changes.
    pub l2: f32,
    /// Sum of absolute changes.
    pub l1: f32,
    /// Number of pixels that have changed.
    #[serde(default)]
    pub l0: f32,
    /// Who found the image.
    pub winner: Option<Winner>,
    /// How often the model is right; None of a model that is not random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// What the attack cost, the clean pass and the verification included.
    pub cost: Cost,
}

impl Outcome {
    /// The same without the image, which would fill the memory where thousands of results are kept.
    #[must_use]
    pub fn without_image(mut self) -> Self {
        self.image = Vec::new();
        self
    }

    /// How far the returned image is from the clean one.
    pub fn distance(&self, norm: Norm) -> f32 {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
            Norm::L0 => self.l0,
        }
    }

    /// Whether it was fooled by an image inside the ball.
    pub fn fooled_within(&self, budget: &Budget) -> bool {
        self.status == Status::Fooled && budget.admits(self.distance(budget.norm))
    }
}

fn finite_or_null<S: Serializer>(margin: &f32, to: S) -> Result<S::Ok, S::Error> {
    margin.is_finite().then_some(*margin).serialize(to)
}

fn null_is_not_a_number<'a, D: Deserializer<'a>>(from: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f32::NAN))
}

/// The results of one attack on some samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttackReport {
    /// The attack's name, without its options.
    pub attack: String,
    /// Norm, radius, seed.
    pub budget: Budget,
    /// One a sample, in the samples' order.
    pub outcomes: Vec<Outcome>,
    /// Diagnostics of the attack.
    pub diagnostics: Diagnostics,
    /// What gives reason to doubt the result: the diagnostics in words.
    pub warnings: Vec<String>,
}

impl AttackReport {
    /// Puts the reports of portions of the samples together, in their order: the result is the one that all samples would
    /// have had in one run. None if there are none, or they are of different attacks (by name: that their
    /// options were the same is for the caller to know) or budgets.
    pub fn merge(portions: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut portions = portions.into_iter();
        let mut all = portions.next()?;
        for portion in portions {
            if (&portion.attack, portion.budget) != (&all.attack, all.budget) {
                return None;
            }
            all.outcomes.extend(portion.outcomes);
            all.diagnostics.merge(&portion.diagnostics);
        }
        all.renew_warnings();
        Some(all)
    }

    /// Puts the diagnostics into words, after outcomes or diagnostics have changed.
    pub(crate) fn renew_warnings(&mut self) {
        let (cost, invalid) = (self.cost(), self.count(Status::Invalid));
        let starts = self.outcomes.iter().filter(|outcome| outcome.cost.zero_starts > 0).count();
        let (norm, samples) = (self.budget.norm, self.outcomes.len());
        self.warnings =
            self.diagnostics.warnings(&self.attack, norm, samples, invalid, &cost, starts);
        self.warnings.extend(outside(self.count(Status::Outside)));
    }

    /// How many samples ended so.
    pub fn count(&self, status: Status) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.status == status).count()
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.outcomes.len().max(1) as f64
    }

    /// The share of samples that are classified correctly without an attack.
    pub fn clean_accuracy(&self) -> f64 {
        let right = [Status::Survived, Status::Fooled, Status::Outside];
        self.share(right.into_iter().map(|status| self.count(status)).sum())
    }

    /// The share of samples that are classified correctly, clean and attacked. Invalid samples are not among them, nor
    /// are those whose image lies outside of the ball.
    pub fn robust_accuracy(&self) -> f64 {
        self.share(self.count(Status::Survived))
    }

    /// The accuracy on clean images that one draw of a random model has on average: the mean of
    /// [`Expected::clean`] over all samples. None of a model that is not random.
    pub fn expected_clean_accuracy(&self) -> Option<f64> {
        self.mean_expected(|expected| expected.clean)
    }

    /// The same under attack: the mean of [`Expected::attacked`]. Samples that are misclassified without an attack count as
    /// often as they are right, invalid ones never.
    pub fn expected_accuracy(&self) -> Option<f64> {
        self.mean_expected(|expected| expected.attacked)
    }

    fn mean_expected(&self, of: impl Fn(&Expected) -> f64) -> Option<f64> {
        let sum: f64 = self.outcomes.iter().filter_map(|o| o.expected.as_ref()).map(of).sum();
        let random = self.outcomes.iter().any(|outcome| outcome.expected.is_some());
        random.then(|| sum / self.outcomes.len() as f64)
    }

    /// The identities of the samples that survived.
    pub fn robust_indices(&self) -> Vec<u64> {
        let survived = self.outcomes.iter().filter(|outcome| outcome.status == Status::Survived);
        survived.map(|outcome| outcome.id).collect()
    }

    /// The cost of all samples.
    pub fn cost(&self) -> Cost {
        let mut sum = Cost::default();
        self.outcomes.iter().for_each(|outcome| sum += outcome.cost);
        sum
    }

    /// The share of backward passes whose gradient was exactly zero everywhere: a model that hides its gradient looks
    /// robust to attacks that need one. None if there were no backward passes.
    pub fn zero_gradient_share(&self) -> Option<f64> {
        let cost = self.cost();
        (cost.backward_passes > 0).then(|| cost.zero_gradients as f64 / cost.backward_passes as f64)
    }
}
