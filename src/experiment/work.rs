//! What a job does, and the key under which its result is kept: a hash of all that the result depends on.

use crate::attack::{AttackSpec, Norm};
use crate::evaluation::ThreatModel;
use crate::fingerprint::hash_of;
use crate::method::{Settings, Training, TrainingCost, group_in_keys, is_as_before, key_name};
use crate::simd::Isa;
use crate::snn::SpikingOptions;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;

/// Counts the changes of the engine that change results: stored ones of another number are not used.
pub const NUMERICS: u32 = 3;

/// Opening files, and what else does not grow with the images.
const SECONDS_PER_JOB: f64 = 0.03;

/// Seconds that a crafted image takes to be packed, by one thread, and to be read.
const WRITTEN: f64 = 1e-4;
const READ: f64 = 2e-5;

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
    /// Observes something that the report shows a picture of.
    Observe(Observation),
}

/// What is observed for the pictures of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Filters of a network that was put to sleep, and its spikes.
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
            Self::Observe(_) => "observe",
        }
    }

    /// How the model that it measures spikes, if it is run as a spiking network.
    fn spiking(&self) -> Option<&SpikingOptions> {
        match self {
            Self::Show { spiking, .. } | Self::Attack { spiking, .. } => spiking.as_ref(),
            Self::Observe(Observation::Network { spiking, .. }) => Some(spiking),
            Self::Train { .. } | Self::Craft { .. } | Self::Observe(_) => None,
        }
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
                json!({ "attack": attack, "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "first": images.start, "end": images.end })
            }
            Self::Show { images, .. } => json!({ "images": images, "test": test }),
            Self::Attack { attack, norm, eps, seed, images, .. } => {
                json!({ "attack": attack, "norm": norm, "eps": eps, "seed": seed, "test": test,
                        "images": images, "threat_model": ThreatModel::WhiteBox })
            }
            Self::Observe(Observation::Network { images, .. }) => {
                json!({ "of": "network", "images": images, "test": test })
            }
            Self::Observe(Observation::Digits) => json!({ "of": "digits", "test": test }),
            Self::Observe(Observation::Classes) => json!({ "of": "classes", "test": test }),
        };
        if let Some(spiking) = self.spiking() {
            what["spiking"] = json!(spiking);
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
            let slow_wave = group_in_keys(settings, "slow_wave", json!(settings.slow_wave));
            let all = json!({
                "numerics": NUMERICS, "slow_wave": slow_wave, "seed": settings.seed,
                "train": train, "test": test, "network": network, "control": control,
            });
            hash_of("sleep", &all)
        })
    }

    /// Seconds it might take on two cores at 3 GHz with the instructions of this processor, of a network of so many operations a sample: for
    /// plans and the time left, until there are measurements.
    pub fn estimate(&self, flops: usize) -> f64 {
        self.seconds(flops, Isa::detect().map_or(PORTABLE, Speed::of))
    }

    fn seconds(&self, flops: usize, speed: Speed) -> f64 {
        let steps = self.spiking().map_or(1.0, |spiking| spiking.steps as f64);
        let (passes, files) = match self {
            Self::Train { training, settings, images } => {
                (speed.passes(training.cost(settings, *images)), 0.0)
            }
            Self::Show { images, .. } => (*images as f64, READ * *images as f64),
            Self::Observe(Observation::Network { images, .. }) => (*images as f64, 0.0),
            Self::Observe(Observation::Digits | Observation::Classes) => (0.0, 0.0),
            Self::Craft { attack, eps, images, .. } => {
                let count = images.len() as f64;
                (attack_passes(attack, *eps, 10.0) * count, WRITTEN * count)
            }
            Self::Attack { attack, eps, images, .. } => {
                (attack_passes(attack, *eps, 100.0) * *images as f64, 0.0)
            }
        };
        passes * steps * flops as f64 / speed.trained_flops + files + SECONDS_PER_JOB
    }
}

/// How fast two cores at 3 GHz are with an instruction set: LeNet's epoch over 60,000 images takes 1.3 s with vectors.
#[derive(Clone, Copy)]
struct Speed {
    /// Operations a second in training.
    trained_flops: f64,
    /// What a simulated pass costs in passes of the network. Where no vector has sixteen lanes, more of them wait for the
    /// slowest.
    simulated: f64,
}

const PORTABLE: Speed = Speed { trained_flops: 1.5e9, simulated: 1.0 };
#[cfg(any(test, target_arch = "x86_64"))]
const AVX2: Speed = Speed { trained_flops: 1.3e11, simulated: 3.0 };
#[cfg(target_arch = "x86_64")]
const AVX512: Speed = Speed { trained_flops: 1.35e11, simulated: 0.75 };

impl Speed {
    fn of(isa: Isa) -> Self {
        match isa {
            Isa::Portable(_) => PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => AVX2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => AVX512,
        }
    }

    /// All of a training, in passes of the network.
    fn passes(self, cost: TrainingCost) -> f64 {
        cost.passes + self.simulated * cost.simulated
    }
}

/// The name of a training in keys, as older versions wrote it: what they have computed is still found.
fn name_in_keys(training: Training) -> Option<&'static str> {
    training.defense().map(|defense| match defense.name() {
        "deepsleep" => "deep-sleep",
        name => name,
    })
}

/// Passes of a network for one image of an attack; few images survive AutoAttack from an eps of 0.2 on, and fewer those of
/// the control, which are crafted in `steps` of 10. Measured on LeNet.
fn attack_passes(attack: &AttackSpec, eps: f32, steps: f64) -> f64 {
    if attack.is_ensemble() {
        let fall = if steps > 10.0 { 5.0 } else { 10.0 };
        let surviving = (1.0 - fall * f64::from(eps)).max(0.03);
        surviving * (970.0 + 75.0 * steps)
    } else if attack.is_unbounded().unwrap_or_default() {
        200.0
    } else {
        36.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{DeepSleep, FastWaveDefense, Profile};
    use crate::nn::architecture::Architecture;
    use crate::tensor::Shape;

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
    fn an_estimate_grows_with_images_and_network() {
        let seconds = |name: &str, training: Training, images, change: &[(&str, &str)]| {
            let network = Architecture::named(name, Shape::new(3, 32, 32), 10).expect("built in");
            let mut settings = Settings::new(Profile::Published);
            change.iter().for_each(|(name, value)| settings.set(name, value).expect("a setting"));
            Work::Train { training, settings: Box::new(settings), images }
                .seconds(network.flops(), AVX2)
        };
        let control = |name, images| seconds(name, Training::Control, images, &[]);
        let ratio = control("lenet", 60_000) / control("lenet", 600);
        assert!((50.0..100.0).contains(&ratio), "{ratio}");
        // 41 million multiply-adds, against LeNet's one.
        assert!(control("resnet20", 6_000) > 20.0 * control("lenet", 6_000));
        let adversarial: Training = "adversarial-training".parse().expect("a defense");
        let pgd = [("adversarial_training.attack", "pgd:steps=40,step=0.01")];
        let weak = seconds("lenet", adversarial, 6_000, &[]);
        assert!(seconds("lenet", adversarial, 6_000, &pgd) > 5.0 * weak);
        let some = [("slow_wave.batches", "2")];
        let asleep = |change| seconds("lenet", Training::Defense(&DeepSleep), 60_000, change);
        assert!(asleep(&some) < asleep(&[]));
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
        for work in [&train, &craft, &show, &white_box, &network, &digits, &classes] {
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

    /// Measured on one thread of an AMD EPYC: core-seconds with AVX2, two of which are a second here if threads share the work.
    #[test]
    fn estimates_are_near_what_was_measured() {
        let network = Architecture::default();
        let seconds = |work: &Work| work.seconds(network.flops(), AVX2);
        let craft = |name: &str, eps: f32| {
            let attack = name.parse::<AttackSpec>().expect("an attack");
            let norm = Norm::Linf;
            seconds(&Work::Craft { attack, norm, eps, seed: 0, images: 0..2000 })
        };
        let published = "autoattack:version=published";
        for (estimate, core_seconds) in [
            (craft("cw", 0.0), 6.7),
            (craft(published, 2.0 / 255.0), 44.0),
            (craft(published, 8.0 / 255.0), 34.0),
        ] {
            let ratio = 2.0 * estimate / core_seconds;
            assert!((0.66..1.5).contains(&ratio), "{estimate} for {core_seconds}: {ratio}");
        }
    }

    #[test]
    fn a_spiking_network_is_another_job_and_takes_as_many_times_longer_as_it_has_steps() {
        let of = |spiking| Work::Show { images: 1_000_000, spiking };
        let spiking = of(Some(SpikingOptions::default()));
        assert_ne!(of(None).key(&sources(), &["a"]), spiking.key(&sources(), &["a"]));
        let seconds = |work: &Work| work.seconds(1_000_000, AVX2);
        assert!(seconds(&spiking) > seconds(&of(None)));
    }
}
