//! What turns an undefended control into a defended model (METHOD sections 4 to 7).
//!
//! A [`Defender`] works through the stages of a [`Defense`], one pass or epoch at a time; between any two it can be
//! written to a checkpoint and resumed to the same bits.
//!
//! ```
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::defense::{Defender, Defense};
//! use deepsleep::nn::LeNet;
//! use deepsleep::sleep::{Profile, Settings};
//! use deepsleep::tensor::Context;
//!
//! let train = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Train)?.slice(0, 256)?;
//! let context = Context::new(0)?;
//! let control = LeNet::new(0); // a trained one, in earnest
//!
//! let mut settings = Settings::new(Profile::Published);
//! settings.set("fast_wave.epochs", "1")?;
//! let mut defender = Defender::new(Defense::FastWave, control, settings)?;
//! while let Some(step) = defender.advance(&context, &train, &mut |_| {})? {
//!     println!("{} {}/{}", step.stage, step.done, step.of);
//! }
//! let defended: &LeNet = defender.model();
//! # let _ = defended;
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod adversarial_training;
mod defender;
mod distillation;
mod reads;

pub use defender::{Defender, DefenseProgress, Step};
pub use reads::{reads, settings_read};

use crate::Error;
use crate::names::meant;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A way to defend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defense {
    /// Training on adversarial examples.
    AdversarialTraining,
    /// Defensive distillation.
    Distillation,
    /// Sleep Defense.
    Sleep,
    /// Slow-wave sleep alone.
    SlowWave,
    /// Fast-wave sleep alone.
    FastWave,
    /// Cycles of slow-wave and fast-wave sleep.
    DeepSleep,
}

impl Defense {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AdversarialTraining,
        Self::Distillation,
        Self::Sleep,
        Self::SlowWave,
        Self::FastWave,
        Self::DeepSleep,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdversarialTraining => "adversarial-training",
            Self::Distillation => "distillation",
            Self::Sleep => "sleep",
            Self::SlowWave => "slow-wave",
            Self::FastWave => "fast-wave",
            Self::DeepSleep => "deepsleep",
        }
    }
}

impl FromStr for Defense {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|defense| defense.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let (meant, names) = (meant(name, &names), names.join(", "));
            Error::argument(
                "defense",
                format!("unknown defense `{name}`{meant}; there are {names}"),
            )
        })
    }
}
