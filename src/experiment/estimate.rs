//! How long a job might take: for plans and the time left, until there are measurements.

use super::work::{Observation, Work};
use crate::attack::{AttackSpec, Effort, Norm};
use crate::certify::BoundMethod;
use crate::method::TrainingCost;
use crate::nn::architecture::Architecture;
use crate::simd::Isa;

/// Opening files, and what else does not grow with the images.
const SECONDS_PER_JOB: f64 = 0.03;

/// Seconds that a crafted image takes to be packed, by one thread, and to be read.
const WRITTEN: f64 = 1e-4;
const READ: f64 = 2e-5;

impl Work {
    /// Seconds it might take on two cores at 3 GHz with the instructions of this processor: for plans and the time left, until
    /// there are measurements.
    pub fn estimate(&self, network: &Architecture) -> f64 {
        self.seconds(network, Isa::detect().map_or(PORTABLE, Speed::of))
    }

    fn seconds(&self, network: &Architecture, speed: Speed) -> f64 {
        let steps = self.spiking().map_or(1.0, |spiking| spiking.steps as f64);
        let (passes, files) = match self {
            Self::Train { training, settings, images } => {
                (speed.passes(training.cost(settings, *images)), 0.0)
            }
            Self::Show { images, .. } => (*images as f64, READ * *images as f64),
            Self::Certify { bounds, images, .. } => {
                let each = match bounds {
                    BoundMethod::Interval => INTERVAL,
                    BoundMethod::Crown => CROWN,
                };
                (each * *images as f64, 0.0)
            }
            // No pass at all: what became of every image is in the store.
            Self::Union { .. } => (0.0, 0.0),
            Self::Observe(Observation::Network { images, .. }) => (*images as f64, 0.0),
            Self::Observe(Observation::Digits | Observation::Classes) => (0.0, 0.0),
            Self::Craft { attack, norm, eps, images, .. } => {
                let count = images.len() as f64;
                let each =
                    attack_passes(attack, *norm, network.classes()) * left(attack, *eps, 10.0);
                (each * count, WRITTEN * count)
            }
            Self::Attack { attack, norm, eps, images, .. } => {
                let each =
                    attack_passes(attack, *norm, network.classes()) * left(attack, *eps, 5.0);
                (each * *images as f64, 0.0)
            }
        };
        passes * steps * network.flops() as f64 / speed.trained_flops + files + SECONDS_PER_JOB
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

/// What a forward and a backward pass of an attack cost in passes of training. Measured on LeNet, the forward pass with
/// Square, of whose images a part is computed, as nothing else asks so often.
const FORWARD: f64 = 0.22;
const BACKWARD: f64 = 1.0;

/// What the bounds of an image cost in passes of training. Those of CROWN took 500 on LeNet and 1,400 on a network for images of
/// 8 x 8; larger networks, each of whose neurons is bounded by itself, take more.
const INTERVAL: f64 = 0.7;
const CROWN: f64 = 1000.0;

/// What an attack costs for one image that withstands it, in passes of training.
fn attack_passes(attack: &AttackSpec, norm: Norm, classes: usize) -> f64 {
    let effort = attack.build().map_or(Effort::default(), |attack| attack.effort(norm, classes));
    FORWARD * effort.forward_passes + BACKWARD * effort.backward_passes + effort.own_work
}

/// The share of an ensemble's work that is done, as its later members see only what is left; measured with AutoAttack on
/// LeNet. It falls to nothing with the radius: twice as fast on the control, on which images are crafted, as on others.
fn left(attack: &AttackSpec, eps: f32, fall: f64) -> f64 {
    if attack.is_ensemble() { (1.0 - fall * f64::from(eps)).max(0.03) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{DeepSleep, Profile, Settings, Training};
    use crate::snn::SpikingOptions;
    use crate::tensor::Shape;

    #[test]
    fn an_estimate_grows_with_images_and_network() {
        let seconds = |name: &str, training: Training, images, change: &[(&str, &str)]| {
            let network = Architecture::named(name, Shape::new(3, 32, 32), 10).expect("built in");
            let mut settings = Settings::new(Profile::Published);
            change.iter().for_each(|(name, value)| settings.set(name, value).expect("a setting"));
            Work::Train { training, settings: Box::new(settings), images }.seconds(&network, AVX2)
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

    /// Measured on one thread of an AMD EPYC: core-seconds with AVX2, two of which are a second here if threads share the work.
    #[test]
    fn estimates_are_near_what_was_measured() {
        let network = Architecture::default();
        let seconds = |work: &Work| work.seconds(&network, AVX2);
        let craft = |name: &str, eps: f32| {
            let attack = name.parse::<AttackSpec>().expect("an attack");
            let norm = Norm::Linf;
            seconds(&Work::Craft { attack, norm, eps, seed: 0, images: 0..2000 })
        };
        let published = "autoattack:version=published";
        for (estimate, core_seconds) in [
            (craft("cw:form=published", 0.0), 6.7),
            (craft(published, 2.0 / 255.0), 44.0),
            (craft(published, 8.0 / 255.0), 34.0),
        ] {
            let ratio = 2.0 * estimate / core_seconds;
            assert!((0.66..1.5).contains(&ratio), "{estimate} for {core_seconds}: {ratio}");
        }
    }

    #[test]
    fn a_spiking_network_takes_as_many_times_longer_as_it_has_steps() {
        let network = Architecture::default();
        let of = |spiking| Work::Show { images: 1_000_000, spiking }.seconds(&network, AVX2);
        assert!(of(Some(SpikingOptions::default())) > of(None));
    }
}
