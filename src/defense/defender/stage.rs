//! What a defense is made of.

use crate::defense::Defense;
use crate::sleep::{Distillation, Settings, SleepDefense};

/// A part of a defense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Adversarial,
    Teacher,
    Student,
    SleepAsRun,
    Replay,
    SlowWave,
    FastWave,
    Convert,
}

impl Stage {
    /// The stages of a defense, in order.
    pub(super) fn all(defense: Defense, settings: &Settings) -> Vec<Self> {
        let mut stages = match defense {
            Defense::AdversarialTraining => vec![Self::Adversarial],
            Defense::Distillation => match settings.distillation.method {
                Distillation::Papernot => vec![Self::Teacher, Self::Student],
                Distillation::Published => vec![Self::Student],
            },
            Defense::Sleep => match settings.sleep.method {
                SleepDefense::AsRun => vec![Self::SleepAsRun],
                SleepDefense::Tadros => vec![Self::Replay],
            },
            Defense::SlowWave => vec![Self::SlowWave],
            Defense::FastWave => vec![Self::FastWave],
            Defense::DeepSleep => {
                (0..settings.cycles).flat_map(|_| [Self::SlowWave, Self::FastWave]).collect()
            }
        };
        if !matches!(defense, Defense::AdversarialTraining | Defense::Distillation) {
            stages.push(Self::Convert);
        }
        stages
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Adversarial => "adversarial training",
            Self::Teacher => "teacher",
            Self::Student => "student",
            Self::SleepAsRun => "sleep defense",
            Self::Replay => "sleep replay",
            Self::SlowWave => "slow-wave sleep",
            Self::FastWave => "fast-wave sleep",
            Self::Convert => "conversion",
        }
    }
}
