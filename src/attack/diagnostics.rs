//! Diagnostics collected during an attack, as counts and flags, so that partial evaluations can be merged: the warnings
//! of the merged parts are those of one run on all samples.

use crate::attack::Norm;
use crate::attack::candidate::Cost;
use crate::attack::estimator_text;
use crate::attack::loss::Loss;
use crate::attack::outputs::{OutputRange, Outputs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What an attack of an ensemble found of what those before it had left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundBy {
    /// The attack, and what it estimates gradients of spikes by.
    pub attack: String,
    /// Samples that it fooled.
    pub found: usize,
    /// Whether it follows the network's own gradients.
    pub own: bool,
}

/// Who of an ensemble was needed, in words; None of a single attack.
pub fn findings(found_by: &[FoundBy]) -> Option<String> {
    let needed = found_by.iter().filter(|by| by.found > 0);
    let needed: Vec<String> = needed.map(|by| format!("{} {}", by.attack, by.found)).collect();
    match (found_by.is_empty(), needed.is_empty()) {
        (true, _) => None,
        (_, true) => Some("found by: no attack".into()),
        _ => Some(format!("found by, each on what those before it left: {}", needed.join(", "))),
    }
}

/// What gives reason to doubt a result, as counts and flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnostics {
    /// About options and budget: the same for every part.
    pub option_warnings: Vec<String>,
    /// The names of the losses that gradients were taken of.
    #[serde(default)]
    pub losses: BTreeSet<String>,
    /// What the outputs look like; None: not looked at.
    #[serde(default)]
    pub outputs: Option<Outputs>,
    /// Whether an output came near 1.
    #[serde(default)]
    pub saturates: bool,
    /// Whether the same images got different answers.
    pub randomized: bool,
    /// Samples whose clean logits lie so close together that the attack's loss flattens.
    #[serde(default)]
    pub flat: usize,
    /// Samples whose logits were looked at for that.
    #[serde(default)]
    pub measured: usize,
    /// Samples of the target class, which are not attacked.
    #[serde(default)]
    pub of_target: usize,
    /// Samples that Square fooled and no attack with a gradient could.
    pub square_alone: usize,
    /// Images that seemed to fool the model and did not when shown again.
    pub refuted: usize,
    /// Samples that the model answered otherwise after the attack than before it.
    #[serde(default)]
    pub changed: usize,
    /// For an ensemble, which attack found what, in the order in which they ran.
    #[serde(default)]
    pub found_by: Vec<FoundBy>,
}

impl Diagnostics {
    /// Takes over those of another part of the same evaluation.
    pub fn merge(&mut self, other: &Self) {
        let new =
            other.option_warnings.iter().filter(|doubt| !self.option_warnings.contains(doubt));
        let new: Vec<String> = new.cloned().collect();
        self.option_warnings.extend(new);
        self.losses.extend(other.losses.iter().cloned());
        self.outputs = match (self.outputs, other.outputs) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.saturates |= other.saturates;
        self.randomized |= other.randomized;
        self.flat = self.flat.saturating_add(other.flat);
        self.measured = self.measured.saturating_add(other.measured);
        self.of_target = self.of_target.saturating_add(other.of_target);
        self.square_alone = self.square_alone.saturating_add(other.square_alone);
        self.refuted = self.refuted.saturating_add(other.refuted);
        self.changed = self.changed.saturating_add(other.changed);
        for other in &other.found_by {
            match self.found_by.iter_mut().find(|ours| ours.attack == other.attack) {
                Some(ours) => ours.found = ours.found.saturating_add(other.found),
                None => self.found_by.push(other.clone()),
            }
        }
    }

    /// In words, for all samples of the evaluation by the attack of this name: how many they are, how many of them invalid,
    /// and what they cost.
    pub fn warnings(
        &self,
        attack: &str,
        norm: Norm,
        samples: usize,
        invalid: usize,
        cost: &Cost,
        starts: usize,
    ) -> Vec<String> {
        let mut all = self.option_warnings.clone();
        // Where no gradient was taken, none was lost.
        if cost.backward_passes > 0 {
            let range = OutputRange { outputs: self.outputs, saturates: self.saturates };
            all.extend(range.doubt());
        }
        all.extend(self.randomized.then(randomness));
        all.extend(square_better(self.square_alone, samples));
        all.extend(self.own_gap(samples));
        // The median spread is too small.
        if self.flat.saturating_mul(2) > self.measured {
            all.push(format!(
                "the logits of {} of {} samples spread by less than {FLAT}: cross-entropy is nearly linear there, and a \
                 weaker attack than at a larger scale; compare with pgd:loss=ce-scaled or pgd:loss=dlr, which do not see the scale \
                 (and, but for l0, with apgd-dlr and apgd-t)",
                self.flat,
                self.measured.max(self.flat)
            ));
        }
        if self.of_target > 0 {
            all.push(format!(
                "{} samples are of the target class: they are not attacked, and count as robust if classified correctly",
                self.of_target
            ));
        }
        if self.refuted > 0 {
            let average = match attack {
                _ if self.is_of_ensemble() => "more draws (eot-pgd)",
                "eot-pgd" => "more draws (autoattack:version=rand)",
                _ => "draws (autoattack:version=rand, eot-pgd)",
            };
            all.push(format!(
                "{} images that seemed to fool the model did not when shown again: its answers vary; count on them no \
                 more than on chance, and average over {average}",
                self.refuted
            ));
        }
        if cost.zero_gradients > 0 {
            let share = cost.zero_gradients as f64 / cost.backward_passes.max(1) as f64;
            all.push(format!(
                "{:.2} % of the gradients were exactly zero ({starts} samples start with one): {}",
                100.0 * share,
                self.of_flat_losses(attack, norm, starts > 0)
            ));
        }
        all.extend(inconstant(self.changed, samples));
        let invalid = invalid.saturating_sub(self.changed);
        if invalid > 0 {
            let problem = "the model returned logits that are not finite; they count neither as robust nor as fooled";
            all.push(format!("{invalid} samples are invalid: {problem}"));
        }
        all
    }

    /// Whether an ensemble ran: every one says which of its attacks found what.
    fn is_of_ensemble(&self) -> bool {
        !self.found_by.is_empty()
    }

    /// What it means for the result that other gradient estimators fool samples that survive the network's own gradients.
    fn own_gap(&self, samples: usize) -> Option<String> {
        if !self.found_by.iter().any(|by| by.own) {
            return None;
        }
        let estimated = |by: &&FoundBy| estimator_text::is_named_in(&by.attack);
        let gap: usize = self.found_by.iter().filter(estimated).map(|by| by.found).sum();
        let share = gap as f64 / samples.max(1) as f64;
        (share > 0.02).then(|| {
            format!(
                "{gap} samples ({:.2} %) that survive the network's own gradients are fooled with other gradient estimators: \
                 robust accuracy from its own gradients alone says little",
                100.0 * share
            )
        })
    }

    /// What zero gradients mean for the result and what helps, where they are at clean images or arose along the way.
    fn of_flat_losses(&self, attack: &str, norm: Norm, at_images: bool) -> String {
        let takes = |loss: Loss| self.losses.contains(loss.name());
        if takes(Loss::CrossEntropyF32) {
            return "ce-f32 loses its gradient to rounding where the network is certain, and images may look robust for that \
                    reason alone; loss=ce keeps its direction there"
                .into();
        }
        if norm == Norm::L0 {
            let other = if takes(Loss::Margin) { "loss=dlr" } else { "loss=margin" };
            return format!(
                "the result may be unreliable where they arose; compare with pgd:{other}, and, as no attack in l0 does \
                 without gradients, with square in l2"
            );
        }
        let losses = [
            ("apgd-ce", Loss::CrossEntropy),
            ("apgd-dlr", Loss::Dlr),
            ("apgd-t", Loss::TargetedDlr),
        ];
        let others = self.other_losses(attack, &losses);
        // An ensemble has asked Square already.
        let without = if self.is_of_ensemble() {
            "nes-pgd, which estimates it from scores"
        } else {
            "square, which needs no gradient"
        };
        // DLR is 1 wherever two classes are ahead of the label's: numerator and denominator are then one difference.
        // APGD in l1, which starts outside of the ball, gets there often.
        if !at_images && takes(Loss::Dlr) {
            return format!(
                "none is at a clean image: they arose along the way; the dlr loss is flat where two classes are ahead of the \
                 right one, at points that are misclassified already; compare with {others}"
            );
        }
        if at_images {
            format!(
                "the result of gradient attacks may be unreliable; compare with {others}, and with {without}"
            )
        } else {
            format!(
                "none is at a clean image: they arose along the way, where the network is flat; compare with {without}"
            )
        }
    }

    /// Those of these attacks that are not the one that ran, nor maximize what it maximized.
    fn other_losses(&self, attack: &str, all: &[(&str, Loss)]) -> String {
        let others =
            all.iter().filter(|(name, loss)| attack != *name && !self.losses.contains(loss.name()));
        let others: Vec<&str> = others.map(|(name, _)| *name).collect();
        if others.is_empty() { "pgd:loss=margin".into() } else { others.join(" or ") }
    }
}

/// Logits that spread by less than this make a cross-entropy nearly linear in them.
pub(crate) const FLAT: f32 = 0.5;

/// What images outside of the ball mean for the result, if there are any.
pub(crate) fn outside(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} of the images lie outside of 0..=1, or farther than eps from the clean ones: they count neither as \
             robust nor as fooled"
        )
    })
}

/// What it means for the result that the model's answers changed in the course of the attack, if any did.
fn inconstant(changed: usize, samples: usize) -> Option<String> {
    (changed > 0).then(|| {
        format!(
            "the model changed in the course of the attack: it answered {changed} of {samples} samples differently at its end; they \
             are invalid, which counts neither as robust nor as fooled, and the other numbers are worth little; reset the \
             model's state before every answer"
        )
    })
}

/// What a randomized model means for the result.
fn randomness() -> String {
    "the model's answers to the same images differ: it seems to be randomized; use autoattack:version=rand"
        .into()
}

/// Whether Square, which sees no gradient, fooled `alone` samples that no attack with a gradient could.
fn square_better(alone: usize, samples: usize) -> Option<String> {
    let share = alone as f64 / samples.max(1) as f64;
    (share > 0.002).then(|| {
        format!(
            "Square lowered the accuracy by {:.2} % beyond all attacks that use gradients: the gradients may be masked \
             and the evaluation unreliable; try more queries, restarts, or an attack made for this model",
            100.0 * share
        )
    })
}
