//! The trait of defenses, and the list of all of them.

use super::defenses::{
    AdversarialTraining, DeepSleep, Distillation, FastWaveDefense, Lucid, SleepDefense,
    SlowWaveDefense,
};
use super::{Settings, Stage, is_within};
use crate::snn::Statistics;
use crate::wording::meant;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// All defenses. A new one is a file in `defenses` and a line here.
pub const DEFENSES: &[&dyn Defense] = &[
    &AdversarialTraining,
    &Distillation,
    &SleepDefense,
    &SlowWaveDefense,
    &FastWaveDefense,
    &DeepSleep,
    &Lucid,
];

/// A way to turn an undefended control into a defended model.
pub trait Defense: Sync {
    /// Its name on the command line and in files.
    fn name(&self) -> &'static str;

    /// What it does, in a line of help.
    fn about(&self) -> &'static str;

    /// The settings that change what comes out, by dotted name; a group stands for all that is in it. The seed is always
    /// read and need not be listed. Results are kept under what they depend on, and a setting that nothing reads is
    /// refused, so this list must be complete.
    fn reads(&self, settings: &Settings) -> Vec<&'static str>;

    /// Those of them that have no effect because of the values of others, such as the dreams of a sleep without noise.
    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        let _ = settings;
        Vec::new()
    }

    /// Its stages, in order.
    fn stages(&self, settings: &Settings) -> Vec<Box<dyn Stage>>;

    /// Its estimated cost on `images` training images, for any network.
    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost;

    /// Whether it puts the network to sleep, so that its filters and firing rates are worth a look.
    fn sleeps(&self) -> bool {
        false
    }

    /// Where it may differ from the paper, and what was run. `train_images` were trained on.
    fn describe(&self, settings: &Settings, train_images: usize) -> Vec<Description> {
        let _ = (settings, train_images);
        Vec::new()
    }
}

/// A choice that a method makes, and what was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The choice.
    pub choice: &'static str,
    /// What was run, as a sentence.
    pub sentence: String,
}

impl Debug for dyn Defense {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Defense {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Defense {}

impl Hash for dyn Defense {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// What a training costs, in forward passes of one image each: the same on every processor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingCost {
    /// Of the network, of which a step of training costs [`STEP`].
    pub passes: f64,
    /// Of simulated plasticity, as many as it takes without vectors.
    pub simulated: f64,
}

impl TrainingCost {
    /// That of passes of the network alone.
    pub fn of(passes: f64) -> Self {
        Self { passes, simulated: 0.0 }
    }

    /// That of so many times as much.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        let count = count as f64;
        Self { passes: count * self.passes, simulated: count * self.simulated }
    }
}

/// Forward passes that an image's share of a training step costs, its own and two backward.
pub const STEP: f64 = 3.0;

/// The settings that the conversion at the end of every sleep reads.
pub(super) fn conversion_reads(settings: &Settings) -> Vec<&'static str> {
    match settings.conversion {
        // Recalibration goes over the images in batches of the size of fast-wave sleep.
        Statistics::Recalibrate => vec!["conversion", "fast_wave.batch_size"],
        Statistics::Reset | Statistics::Carry => vec!["conversion"],
    }
}

/// How a model is made: by the plain training of a control, or by a defense of one. As text it is `none` or the name of
/// the defense.
///
/// ```
/// use deepsleep::method::{FastWaveDefense, Training};
///
/// let training: Training = "fast-wave".parse()?;
/// assert_eq!(training, Training::Defense(&FastWaveDefense));
/// assert!("fast-weve".parse::<Training>().unwrap_err().to_string().contains("did you mean `fast-wave`"));
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Training {
    /// The undefended control.
    Control,
    /// A defense, which starts from a control.
    Defense(&'static dyn Defense),
}

impl Training {
    /// The name of the control's training.
    const CONTROL: &str = "none";

    /// All of them, the control first.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Control).chain(DEFENSES.iter().map(|&defense| Self::Defense(defense)))
    }

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        self.defense().map_or(Self::CONTROL, Defense::name)
    }

    /// What it does, in a line of help.
    pub fn about(self) -> &'static str {
        self.defense().map_or("Nothing: the control", Defense::about)
    }

    /// The defense, if it is one.
    pub fn defense(self) -> Option<&'static dyn Defense> {
        match self {
            Self::Control => None,
            Self::Defense(defense) => Some(defense),
        }
    }

    /// Its estimated cost on `images` training images.
    pub fn cost(self, settings: &Settings, images: usize) -> TrainingCost {
        match self {
            Self::Control => TrainingCost::of(STEP * (settings.control.epochs * images) as f64),
            Self::Defense(defense) => defense.cost(settings, images),
        }
    }

    /// Whether it reads the setting of this dotted name, or part of a group of this name. What matters may depend on other
    /// settings, as the teacher's epochs do on whose distillation it is.
    pub fn reads(self, settings: &Settings, name: &str) -> bool {
        let (read, ignored) = match self {
            Self::Control => (vec!["control"], Vec::new()),
            Self::Defense(defense) => (defense.reads(settings), defense.ignores(settings)),
        };
        let is_read = read.iter().any(|read| is_within(name, read) || is_within(read, name));
        name == "seed" || is_read && !ignored.iter().any(|ignored| is_within(name, ignored))
    }

    /// The settings that it reads, with their values. Nothing else in `settings` makes a difference to it, except for the
    /// control that a defense starts from.
    pub fn settings_read(self, settings: &Settings) -> BTreeMap<String, Value> {
        let all = settings.list().into_iter();
        all.filter(|(name, _)| self.reads(settings, name)).collect()
    }
}

impl Display for Training {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Training {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::all().find(|training| training.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            let (meant, names) = (meant(name, &names), names.join(", "));
            let name = crate::wording::shown(name);
            let problem = format!("unknown defense `{name}`{meant}; there are {names}");
            Error::argument("defense", problem)
        })
    }
}

impl Serialize for Training {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Training {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Profile;

    const PROFILES: [Profile; 4] =
        [Profile::Published, Profile::Paper, Profile::Standard, Profile::Lucid];

    #[test]
    fn every_setting_has_a_reader_in_some_profile() {
        let mut profiles: Vec<Settings> = PROFILES.map(Settings::new).into();
        profiles.push(Settings { cycles: 2, ..Settings::new(Profile::Lucid) });
        let unread: Vec<String> = profiles[0]
            .list()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !profiles.iter().any(|s| Training::all().any(|t| t.reads(s, name))))
            .collect();
        // The profile is where the others come from. Slow-wave sleep sets its neurons' resistances by the drive and has no
        // gradients: these are there because a neuron has them.
        let of_neurons = ["decay_input", "reset_grad", "resistance"]
            .map(|name| format!("slow_wave.pair.neuron.{name}"));
        assert_eq!(unread, [&["profile".to_owned()], &of_neurons[..]].concat());
    }

    #[test]
    fn names_are_compared_part_by_part() {
        let settings = Settings::new(Profile::Published);
        let reads =
            |defense: &'static dyn Defense, name| Training::Defense(defense).reads(&settings, name);
        assert!(reads(&FastWaveDefense, "fast_wave.dream.eps"));
        assert!(reads(&FastWaveDefense, "fast_wave") && reads(&FastWaveDefense, "seed"));
        assert!(!reads(&FastWaveDefense, "fast_wavelet") && !reads(&FastWaveDefense, "cycles"));
        assert!(!reads(&Distillation, "distillation.teacher_epochs"));
        assert!(reads(&Distillation, "distillation") && reads(&SleepDefense, "sleep"));
        assert!(!reads(&DeepSleep, "control.epochs"));
    }

    #[test]
    fn what_is_read_is_there() {
        for profile in PROFILES {
            let settings = Settings::new(profile);
            for &defense in DEFENSES {
                for name in defense.reads(&settings) {
                    assert!(settings.list().iter().any(|(s, _)| is_within(s, name)), "{name}");
                }
            }
        }
    }
}
