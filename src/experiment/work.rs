//! What a job does, and the key under which its result is kept: a hash of all that the result depends on.

use crate::attack::{AttackSpec, Norm};
use crate::certify::BoundMethod;
use crate::evaluation::ThreatModel;
use crate::fingerprint::hash_of;
use crate::method::{Settings, Training, group_in_keys, is_as_before, key_name};
use crate::snn::SpikingOptions;
use serde_json::json;
use std::collections::BTreeMap;
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
        /// How.
        training: Training,
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
        /// The seed of its random numbers.
        seed: u64,
        /// Test images.
        images: Range<usize>,
    },
    /// Shows clean images to a model; or crafted ones, if the job has its answers to the clean ones and the sets among its
    /// inputs.
    Show {
        /// Test images, the first ones.
        images: usize,
        /// How the model spikes, if it is run as a spiking network.
        spiking: Option<SpikingOptions>,
    },
    /// Attacks a model itself.
    Attack {
        /// The attack with its options.
        attack: AttackSpec,
        /// How perturbations are measured.
        norm: Norm,
        /// The radius.
        eps: f32,
        /// The seed of its random numbers.
        seed: u64,
        /// Test images, the first ones.
        images: usize,
        /// How the model spikes, if it is run as a spiking network.
        spiking: Option<SpikingOptions>,
    },
    /// Certifies images: which of them no perturbation turns into another class. In linf, of a network that does not spike.
    Certify {
        /// How margins are bounded.
        bounds: BoundMethod,
        /// The radius.
        eps: f32,
        /// Test images, the first ones.
        images: usize,
    },
    /// Finds out which images withstand several attacks, from what became of them under each.
    Union {
        /// How perturbations are measured.
        norm: Norm,
        /// The radius: an image counts as fooled by what lies within.
        eps: f32,
    },
    /// Observes something that the report shows a picture of.
    Observe(Observation),
}

/// What is observed for the pictures of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Filters of a network, and its spikes.
    Network {
        /// Test images that firing rates are measured on, the first ones.
        images: usize,
        /// How its spiking form spikes.
        spiking: SpikingOptions,
    },
    /// The first image of each class in a crafted set.
    Digits,
    /// What a model takes such images for.
    Classes,
}

impl Work {
    /// The kind, for people and files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Train { .. } => "train",
            Self::Craft { .. } => "craft",
            Self::Show { .. } => "transfer",
            Self::Attack { .. } => "white-box",
            Self::Certify { .. } => "certify",
            Self::Union { .. } => "union",
            Self::Observe(_) => "observe",
        }
    }

    /// How the model that it measures spikes, if it is run as a spiking network.
    pub(super) fn spiking(&self) -> Option<&SpikingOptions> {
        match self {
            Self::Show { spiking, .. } | Self::Attack { spiking, .. } => spiking.as_ref(),
            Self::Observe(Observation::Network { spiking, .. }) => Some(spiking),
            Self::Train { .. }
            | Self::Craft { .. }
            | Self::Certify { .. }
            | Self::Union { .. }
            | Self::Observe(_) => None,
        }
    }

    /// Whether a report only shows pictures of its result: no number depends on it.
    pub fn is_observation(&self) -> bool {
        matches!(self, Self::Observe(_))
    }

    /// The key of its result. `inputs` are the keys of the jobs whose results it uses, in order.
    ///
    /// A training reads the test images too: its history holds the accuracy on them.
    pub fn key(&self, sources: &Sources, inputs: &[&str]) -> String {
        let Sources { train, test, network } = sources;
        let mut what = match self {
            Self::Train { training, settings, .. } => {
                let read = training.settings_read(settings).into_iter();
                let read = read.filter(|(name, value)| !is_as_before(name, value));
                let read: BTreeMap<_, _> = read.map(|(name, v)| (key_name(name), v)).collect();
                json!({ "defense": name_in_keys(*training), "settings": read,
                        "train": train, "test": test })
            }
            Self::Craft { attack, norm, eps, seed, images } => {
                json!({ "attack": attack.canonical(), "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "first": images.start, "end": images.end })
            }
            Self::Show { images, .. } => json!({ "images": images, "test": test }),
            Self::Attack { attack, norm, eps, seed, images, .. } => {
                json!({ "attack": attack.canonical(), "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "images": images, "threat_model": ThreatModel::WhiteBox })
            }
            Self::Certify { bounds, eps, images } => {
                json!({ "bounds": bounds, "eps": eps, "images": images, "test": test })
            }
            Self::Union { norm, eps } => json!({ "norm": norm, "eps": eps, "test": test }),
            Self::Observe(Observation::Network { images, .. }) => {
                json!({ "of": "network", "images": images, "test": test })
            }
            Self::Observe(Observation::Digits) => json!({ "of": "digits", "test": test }),
            Self::Observe(Observation::Classes) => json!({ "of": "classes", "test": test }),
        };
        if let Some(spiking) = self.spiking() {
            what["spiking"] = group_in_keys("fast_wave.spiking", spiking);
        }
        let all = json!({ "numerics": NUMERICS, "kind": self.kind(), "network": network, "what": what,
                          "inputs": inputs });
        hash_of("job", &all)
    }

    /// The key of the slow-wave sleep that a training begins with, if it does: trainings that share it sleep once.
    pub(super) fn sleep_key(&self, sources: &Sources, control: &str) -> Option<String> {
        let Self::Train { training, settings, .. } = self else { return None };
        let Sources { train, test, network } = sources;
        let stages = training.defense()?.stages(settings);
        stages.first()?.is_shared().then(|| {
            let slow_wave = group_in_keys("slow_wave", &settings.slow_wave);
            let all = json!({
                "numerics": NUMERICS, "slow_wave": slow_wave, "seed": settings.seed,
                "train": train, "test": test, "network": network, "control": control,
            });
            hash_of("sleep", &all)
        })
    }
}

/// The name of a training in keys, as older versions wrote it: what they have computed is still found.
fn name_in_keys(training: Training) -> Option<&'static str> {
    training.defense().map(|defense| match defense.name() {
        "deepsleep" => "deep-sleep",
        name => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Printed;
    use crate::method::{DeepSleep, FastWaveDefense, Profile};

    fn sources() -> Sources {
        let [train, test, network] = ["train", "test", "network"].map(String::from);
        Sources { train, test, network }
    }

    fn train(training: Training, change: &[(&str, &str)]) -> String {
        let mut settings = Settings::new(Profile::Published);
        change.iter().for_each(|(name, value)| settings.set(name, value).expect("a setting"));
        let work = Work::Train { training, settings: Box::new(settings), images: 100 };
        work.key(&sources(), &["control"])
    }

    #[test]
    fn only_what_matters_enters_a_key() {
        let fast = Training::Defense(&FastWaveDefense);
        assert_eq!(train(fast, &[]), train(fast, &[("slow_wave.depth", "3"), ("cycles", "2")]));
        assert_ne!(train(fast, &[]), train(fast, &[("fast_wave.epochs", "4")]));
        assert_ne!(train(fast, &[]), train(fast, &[("seed", "1")]));
        assert_ne!(train(fast, &[]), train(Training::Defense(&DeepSleep), &[]));
        let deep = Training::Defense(&DeepSleep);
        for change in [("slow_wave.depth", "3"), ("cycles", "2"), ("conversion", "carry")] {
            assert_ne!(train(deep, &[]), train(deep, &[change]), "{change:?}");
        }
        assert_eq!(
            train(Training::Control, &[]),
            train(Training::Control, &[("fast_wave.epochs", "4")])
        );
    }

    #[test]
    fn trainings_are_the_same_if_they_read_the_same() {
        let settings = Settings::new(Profile::Published);
        let with = |name| {
            let mut settings = settings.clone();
            settings.set(name, "3").expect("a setting");
            settings
        };
        let read =
            |settings: &Settings| Training::Defense(&FastWaveDefense).settings_read(settings);
        let same = |name| read(&settings) == read(&with(name));
        assert!(same("cycles") && same("control.epochs"));
        assert!(!same("fast_wave.epochs") && !same("seed"));
    }

    #[test]
    fn an_attack_has_one_key_however_it_is_spelled() {
        let key = |text: &str| {
            let attack = text.parse().expect("an attack");
            let norm = Norm::Linf;
            let work = Work::Craft { attack, norm, eps: 64.0 / 255.0, seed: 0, images: 0..10 };
            work.key(&sources(), &["control"])
        };
        assert_eq!(key("pgd"), key("pgd:restarts=1,steps=40"));
        assert_eq!(key("pgd:steps=7,loss=dlr"), key("pgd:loss=dlr,steps=7"));
        assert_ne!(key("pgd"), key("pgd:steps=41"));
    }

    /// What was stored before keys had one spelling is found again: the built-in attacks are spelled so.
    #[test]
    fn the_columns_of_the_paper_are_in_canonical_form() {
        let printed = Printed::load().expect("built in");
        for column in printed.columns {
            let all = [column.attack, column.other_norms, column.full, column.spiking];
            let attacks = all.into_iter().flatten();
            for attack in attacks {
                for form in [attack.transfer_form(), attack] {
                    assert_eq!(form.canonical().to_string(), form.to_string());
                }
            }
        }
    }

    #[test]
    fn inputs_enter_a_key() {
        let key =
            |images, inputs: &[&str]| Work::Show { images, spiking: None }.key(&sources(), inputs);
        assert_ne!(key(10, &["a", "b"]), key(10, &["b", "a"]));
        assert_ne!(key(10, &["a"]), key(11, &["a"]));
    }

    #[test]
    fn a_key_depends_on_what_its_job_reads() {
        let settings = Box::new(Settings::new(Profile::Published));
        let attack = || "fgsm".parse::<AttackSpec>().expect("an attack");
        let norm = Norm::Linf;
        let train = Work::Train { training: Training::Control, settings, images: 100 };
        let craft = Work::Craft { attack: attack(), norm, eps: 0.1, seed: 0, images: 0..10 };
        let show = Work::Show { images: 10, spiking: None };
        let white_box =
            Work::Attack { attack: attack(), norm, eps: 0.1, seed: 0, images: 10, spiking: None };
        let spiking = SpikingOptions::default();
        let network = Work::Observe(Observation::Network { images: 10, spiking });
        let [digits, classes] = [Observation::Digits, Observation::Classes].map(Work::Observe);
        let certify = Work::Certify { bounds: BoundMethod::Interval, eps: 0.1, images: 10 };
        let union = Work::Union { norm, eps: 0.1 };
        let measured = [&craft, &show, &white_box, &certify, &union];
        for work in measured.into_iter().chain([&train, &network, &digits, &classes]) {
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

    #[test]
    fn a_spiking_network_is_another_job() {
        let of = |spiking| Work::Show { images: 1_000_000, spiking };
        let spiking = of(Some(SpikingOptions::default()));
        assert_ne!(of(None).key(&sources(), &["a"]), spiking.key(&sources(), &["a"]));
    }
}
