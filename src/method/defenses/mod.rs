//! One file per defense; `conversion.rs` ends every sleep.

mod adversarial_options;
mod adversarial_training;
mod conversion;
mod deepsleep;
mod distillation;
mod fast_wave;
mod lucid;
mod sleep;
mod slow_wave;

pub use adversarial_options::{AdversarialTrainingOptions, RobustLoss};
pub use adversarial_training::AdversarialTraining;
pub use conversion::Conversion;
pub use deepsleep::DeepSleep;
pub use distillation::{Distillation, DistillationMethod, DistillationOptions};
pub use fast_wave::{FastWaveDefense, FastWaveStage, spiking_reads};
pub use lucid::Lucid;
pub use sleep::{SleepDefense, SleepDefenseMethod, SleepDefenseOptions};
pub use slow_wave::{SlowWaveDefense, SlowWaveStage};
