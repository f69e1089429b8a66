//! What a job does, and the key under which its result is kept: a hash of all that the result depends on.

use crate::attack::Norm;
use crate::defense::Defense;
use crate::evaluation::ThreatModel;
use crate::sleep::{Distillation, Settings, SleepDefense};
use crate::snn::Statistics;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Counts the changes of the engine that change results: stored ones of another number are not used.
pub const NUMERICS: u32 = 1;

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Trains the control, or defends it.
    Train {
        /// None: the control.
        defense: Option<Defense>,
        /// Everything about it, the seed too.
        settings: Box<Settings>,
        /// Training images, the first ones; 0 is all.
        images: usize,
    },
    /// Crafts adversarial images on a model.
    Craft {
        /// The attack with its options.
        attack: String,
        /// The radius (L-infinity).
        eps: f32,
        /// Of its random numbers.
        seed: u64,
        /// Test images.
        images: Range<usize>,
    },
    /// Shows crafted images (or, without any, clean ones) to a model.
    Show {
        /// Test images, for clean ones.
        images: usize,
    },
    /// Attacks a model itself.
    Attack {
        /// The attack with its options.
        attack: String,
        /// The radius (L-infinity).
        eps: f32,
        /// Of its random numbers.
        seed: u64,
        /// Test images, the first ones.
        images: usize,
    },
}

impl Work {
    /// The kind, for people and files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Train { .. } => "train",
            Self::Craft { .. } => "craft",
            Self::Show { .. } => "transfer",
            Self::Attack { .. } => "white-box",
        }
    }

    /// The key of its result. `inputs` are the keys of the jobs whose results it uses, in order.
    pub fn key(&self, inputs: &[&str]) -> String {
        let what = match self {
            Self::Train { defense, settings, images } => {
                json!({ "settings": relevant(*defense, settings), "images": images })
            }
            Self::Craft { attack, eps, seed, images } => {
                json!({ "attack": attack, "norm": Norm::Linf, "eps": eps, "seed": seed,
                        "first": images.start, "end": images.end })
            }
            Self::Show { images } => json!({ "images": images }),
            Self::Attack { attack, eps, seed, images } => {
                json!({ "attack": attack, "norm": Norm::Linf, "eps": eps, "seed": seed, "images": images,
                        "threat_model": ThreatModel::WhiteBox })
            }
        };
        let all =
            json!({ "numerics": NUMERICS, "kind": self.kind(), "what": what, "inputs": inputs });
        hash(&all)
    }

    /// The key of the slow-wave sleep that a training begins with, if it does: trainings that share it sleep once.
    pub(super) fn sleep_key(&self, control: &str) -> Option<String> {
        let Self::Train { defense, settings, images } = self else { return None };
        matches!(defense, Some(Defense::SlowWave | Defense::DeepSleep)).then(|| {
            hash(&json!({
                "numerics": NUMERICS, "kind": "sleep", "slow_wave": settings.slow_wave, "seed": settings.seed,
                "images": images, "control": control,
            }))
        })
    }

    /// Seconds it might take on two cores at 3 GHz: for plans and the time left, until there are measurements.
    pub fn estimate(&self) -> f64 {
        match self {
            Self::Train { defense, settings, images } => {
                let share = if *images == 0 { 1.0 } else { *images as f64 / 60_000.0 };
                share * training_seconds(*defense, settings) + 0.2
            }
            Self::Show { .. } => 0.2,
            Self::Craft { attack, eps, images, .. } => {
                attack_seconds(attack, *eps, images.len(), 10.0)
            }
            Self::Attack { attack, eps, images, .. } => {
                attack_seconds(attack, *eps, *images, 100.0)
            }
        }
    }
}

fn training_seconds(defense: Option<Defense>, s: &Settings) -> f64 {
    let per_step = if s.slow_wave.layers == crate::sleep::Layers::All { 0.25 } else { 0.13 };
    let share = if s.slow_wave.batches == 0 { 1.0 } else { s.slow_wave.batches as f64 / 468.0 };
    let slow = |steps: f64| per_step * steps * share;
    let u = s.slow_wave.sub_sleeps().into_iter().map(|steps| steps as f64).sum::<f64>()
        * s.slow_wave.length as f64;
    let fast = 13.0 * s.fast_wave.epochs as f64;
    match defense {
        None => 1.5 * s.control.epochs as f64,
        Some(Defense::AdversarialTraining) => 2.0 * s.adversarial_training.epochs as f64,
        Some(Defense::Distillation) => {
            let d = &s.distillation;
            1.6 * (d.student_epochs + d.teacher_epochs) as f64
        }
        Some(Defense::Sleep) => slow((s.sleep.steps * s.sleep.passes) as f64),
        Some(Defense::SlowWave) => slow(u),
        Some(Defense::FastWave) => fast,
        Some(Defense::DeepSleep) => (slow(u) + fast) * s.cycles as f64,
    }
}

/// Few samples survive AutoAttack from an eps of 0.2 on.
fn attack_seconds(attack: &str, eps: f32, images: usize, steps: f64) -> f64 {
    let each = if attack.starts_with("autoattack") {
        let surviving = (1.0 - 5.0 * f64::from(eps)).max(0.05);
        surviving * (0.028 + steps * 0.000_4)
    } else if attack.starts_with("cw") {
        0.003
    } else {
        0.000_3
    };
    each * images as f64 + 0.05
}

/// Whether a training (of a control, if there is no defense) comes out the same with either settings.
pub fn same_training(defense: Option<Defense>, a: &Settings, b: &Settings) -> bool {
    a.seed == b.seed && relevant(defense, a) == relevant(defense, b)
}

/// The settings that a training depends on: others may change without its being done again.
fn relevant(defense: Option<Defense>, s: &Settings) -> Value {
    let slow = || json!({ "slow_wave": s.slow_wave });
    let fast = || json!({ "fast_wave": s.fast_wave });
    // Recalibration goes over the images in batches of the fast-wave sleep's size.
    let batch = (s.conversion == Statistics::Recalibrate).then_some(s.fast_wave.batch_size);
    let convert = || json!({ "conversion": s.conversion, "batch": batch });
    let parts = match defense {
        None => vec![json!(s.control)],
        Some(Defense::AdversarialTraining) => vec![json!(s.adversarial_training)],
        Some(Defense::Distillation) => {
            // The published teacher is never trained.
            let mut d = s.distillation.clone();
            if d.method == Distillation::Published {
                d.teacher_epochs = 0;
            }
            vec![json!(d)]
        }
        Some(Defense::Sleep) => match s.sleep.method {
            SleepDefense::AsRun => {
                let run = json!({ "steps": s.sleep.steps, "passes": s.sleep.passes });
                vec![run, slow(), convert()]
            }
            SleepDefense::Tadros => vec![json!(s.sleep.replay), convert()],
        },
        Some(Defense::SlowWave) => vec![slow(), convert()],
        Some(Defense::FastWave) => vec![fast(), convert()],
        Some(Defense::DeepSleep) => vec![json!(s.cycles), slow(), fast(), convert()],
    };
    json!({ "defense": defense, "seed": s.seed, "parts": parts })
}

/// The first half of the SHA-256 of a value's JSON, whose keys are in order.
fn hash(value: &impl Serialize) -> String {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleep::Profile;

    fn train(defense: Option<Defense>, change: &[(&str, &str)]) -> String {
        let mut settings = Settings::new(Profile::Published);
        change.iter().for_each(|(name, value)| settings.set(name, value).expect("a setting"));
        Work::Train { defense, settings: Box::new(settings), images: 0 }.key(&["control"])
    }

    #[test]
    fn only_what_matters_enters_a_key() {
        let fast = Some(Defense::FastWave);
        assert_eq!(train(fast, &[]), train(fast, &[("slow_wave.depth", "3"), ("cycles", "2")]));
        assert_ne!(train(fast, &[]), train(fast, &[("fast_wave.epochs", "4")]));
        assert_ne!(train(fast, &[]), train(fast, &[("seed", "1")]));
        assert_ne!(train(fast, &[]), train(Some(Defense::DeepSleep), &[]));
        let deep = Some(Defense::DeepSleep);
        for change in [("slow_wave.depth", "3"), ("cycles", "2"), ("conversion", "carry")] {
            assert_ne!(train(deep, &[]), train(deep, &[change]), "{change:?}");
        }
        assert_eq!(train(None, &[]), train(None, &[("fast_wave.epochs", "4")]));
    }

    #[test]
    fn inputs_enter_a_key() {
        let show = Work::Show { images: 10 };
        assert_ne!(show.key(&["a", "b"]), show.key(&["b", "a"]));
        assert_ne!(show.key(&["a"]), Work::Show { images: 11 }.key(&["a"]));
    }
}
