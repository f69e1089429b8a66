//! What a job does, and the key under which its result is kept: a hash of all that the result depends on.

use crate::attack::{AttackSpec, Norm};
use crate::defense::{Defense, settings_read};
use crate::evaluation::ThreatModel;
use crate::fingerprint::of_json;
use crate::sleep::Settings;
use serde_json::json;
use std::ops::Range;

/// Counts the changes of the engine that change results: stored ones of another number are not used.
pub const NUMERICS: u32 = 3;

/// What jobs read beside the results of others, by fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The training images that are used, with their labels.
    pub train: String,
    /// All test images, with their labels.
    pub test: String,
    /// The layers of the network and their shapes.
    pub network: String,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Trains the control, or defends it.
    Train {
        /// None: the control.
        defense: Option<Defense>,
        /// Everything about it, the seed too.
        settings: Box<Settings>,
        /// Training images, the first ones.
        images: usize,
    },
    /// Crafts adversarial images on a model.
    Craft {
        /// The attack with its options.
        attack: AttackSpec,
        /// How perturbations are measured.
        norm: Norm,
        /// The radius.
        eps: f32,
        /// Of its random numbers.
        seed: u64,
        /// Test images.
        images: Range<usize>,
    },
    /// Shows clean images to a model; or crafted ones, if the job has its answers to the clean ones and the sets among its
    /// inputs.
    Show {
        /// Test images, the first ones.
        images: usize,
    },
    /// Attacks a model itself.
    Attack {
        /// The attack with its options.
        attack: AttackSpec,
        /// How perturbations are measured.
        norm: Norm,
        /// The radius.
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
    ///
    /// A training reads the test images too: its history holds the accuracy on them.
    pub fn key(&self, sources: &Sources, inputs: &[&str]) -> String {
        let Sources { train, test, network } = sources;
        let what = match self {
            Self::Train { defense, settings, .. } => {
                json!({ "defense": defense, "settings": settings_read(*defense, settings),
                        "train": train, "test": test })
            }
            Self::Craft { attack, norm, eps, seed, images } => {
                json!({ "attack": attack, "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "first": images.start, "end": images.end })
            }
            Self::Show { images } => json!({ "images": images, "test": test }),
            Self::Attack { attack, norm, eps, seed, images } => {
                json!({ "attack": attack, "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "images": images, "threat_model": ThreatModel::WhiteBox })
            }
        };
        let all = json!({ "numerics": NUMERICS, "kind": self.kind(), "network": network, "what": what,
                          "inputs": inputs });
        of_json("job", &all)
    }

    /// The key of the slow-wave sleep that a training begins with, if it does: trainings that share it sleep once.
    pub(super) fn sleep_key(&self, sources: &Sources, control: &str) -> Option<String> {
        let Self::Train { defense, settings, .. } = self else { return None };
        let Sources { train, test, network } = sources;
        matches!(defense, Some(Defense::SlowWave | Defense::DeepSleep)).then(|| {
            let all = json!({
                "numerics": NUMERICS, "slow_wave": settings.slow_wave, "seed": settings.seed,
                "train": train, "test": test, "network": network, "control": control,
            });
            of_json("sleep", &all)
        })
    }

    /// Seconds it might take on two cores at 3 GHz: for plans and the time left, until there are measurements.
    pub fn estimate(&self) -> f64 {
        match self {
            Self::Train { defense, settings, images } => {
                let share = *images as f64 / 60_000.0;
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
fn attack_seconds(attack: &AttackSpec, eps: f32, images: usize, steps: f64) -> f64 {
    let each = if attack.is_ensemble() {
        let surviving = (1.0 - 5.0 * f64::from(eps)).max(0.05);
        surviving * (0.028 + steps * 0.000_4)
    } else if attack.is_minimal_norm().unwrap_or_default() {
        0.003
    } else {
        0.000_3
    };
    each * images as f64 + 0.05
}

/// Whether a training (of a control, if there is no defense) comes out the same with either settings.
pub fn same_training(defense: Option<Defense>, a: &Settings, b: &Settings) -> bool {
    settings_read(defense, a) == settings_read(defense, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleep::Profile;

    fn sources() -> Sources {
        let [train, test, network] = ["train", "test", "network"].map(String::from);
        Sources { train, test, network }
    }

    fn train(defense: Option<Defense>, change: &[(&str, &str)]) -> String {
        let mut settings = Settings::new(Profile::Published);
        change.iter().for_each(|(name, value)| settings.set(name, value).expect("a setting"));
        let work = Work::Train { defense, settings: Box::new(settings), images: 100 };
        work.key(&sources(), &["control"])
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
    fn trainings_are_the_same_if_they_read_the_same() {
        let settings = Settings::new(Profile::Published);
        let with = |name| {
            let mut settings = settings.clone();
            settings.set(name, "3").expect("a setting");
            settings
        };
        let same = |name| same_training(Some(Defense::FastWave), &settings, &with(name));
        assert!(same("cycles") && same("control.epochs"));
        assert!(!same("fast_wave.epochs") && !same("seed"));
    }

    #[test]
    fn inputs_enter_a_key() {
        let key = |images, inputs: &[&str]| Work::Show { images }.key(&sources(), inputs);
        assert_ne!(key(10, &["a", "b"]), key(10, &["b", "a"]));
        assert_ne!(key(10, &["a"]), key(11, &["a"]));
    }

    #[test]
    fn a_key_depends_on_what_its_job_reads() {
        let settings = Box::new(Settings::new(Profile::Published));
        let attack = || "fgsm".parse::<AttackSpec>().expect("an attack");
        let norm = Norm::Linf;
        let train = Work::Train { defense: None, settings, images: 100 };
        let craft = Work::Craft { attack: attack(), norm, eps: 0.1, seed: 0, images: 0..10 };
        let show = Work::Show { images: 10 };
        let white_box = Work::Attack { attack: attack(), norm, eps: 0.1, seed: 0, images: 10 };
        for work in [&train, &craft, &show, &white_box] {
            let changed = |change: fn(&mut Sources)| {
                let mut other = sources();
                change(&mut other);
                work.key(&other, &["a"]) != work.key(&sources(), &["a"])
            };
            // The others read training images by way of their models.
            assert_eq!(changed(|s| s.train.push('x')), work.kind() == "train");
            assert!(changed(|s| s.test.push('x')) && changed(|s| s.network.push('x')));
        }
    }
}
