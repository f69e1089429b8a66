//! Checkpoints: whatever a file says of a training, a sleep or a defense, it is continued or refused.

use super::CONTEXT;
use deepsleep::checkpoint::StateDict;
use deepsleep::method::{Defender, Settings, Training};
use deepsleep::nn::{Model, Trainer, TrainingOptions};
use deepsleep::sleep::{SlowWave, SlowWaveOptions};

pub fn run(bytes: &[u8]) {
    let Ok(state) = StateDict::from_bytes(bytes, "fuzz") else { return };
    if let Some(options) = state.noted::<TrainingOptions>("training.options") {
        let mut lenet = Model::lenet(0);
        if let Ok(mut trainer) = Trainer::new(&lenet, options) {
            let _ = trainer.resume(&mut lenet, &state);
        }
    }
    if let Some(options) = state.noted::<SlowWaveOptions>("sleep.options")
        && let Ok(mut sleep) = SlowWave::new(&Model::lenet(0), options, 0)
    {
        let _ = sleep.resume(&state);
    }
    let settings: Option<Settings> = state.noted("settings");
    let defense = state.noted::<Training>("defense").and_then(Training::defense);
    if let (Some(settings), Some(defense)) = (settings, defense) {
        let control = Model::open(&state.extract("control")).unwrap_or(Model::lenet(0));
        if let Ok(mut defender) = Defender::new(defense, control, settings) {
            let _ = defender.resume(&CONTEXT, &state);
            let _ = defender.start_after(&state);
            assert!(defender.checkpoint().is_ok());
        }
    }
}
