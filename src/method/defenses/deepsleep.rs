//! DeepSleep: cycles of slow-wave and fast-wave sleep.

use super::fast_wave::{fast_wave_ignores, fast_wave_passes};
use super::slow_wave::{slow_wave_ignores, slow_wave_passes};
use super::{Conversion, FastWaveStage, SlowWaveStage};
use crate::method::defense::conversion_reads;
use crate::method::{Defense, Description, Settings, Stage, TrainingCost, against_paper};

/// Cycles of slow-wave and fast-wave sleep.
#[derive(Clone, Copy, Debug)]
pub struct DeepSleep;

impl Defense for DeepSleep {
    fn name(&self) -> &'static str {
        "deepsleep"
    }

    fn about(&self) -> &'static str {
        "Cycles of slow-wave and fast-wave sleep"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        let sleep = vec!["cycles", "slow_wave", "fast_wave"];
        [sleep, conversion_reads(settings)].concat()
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        [slow_wave_ignores(settings), fast_wave_ignores(settings)].concat()
    }

    fn stages(&self, settings: &Settings) -> Vec<Box<dyn Stage>> {
        let cycle =
            || -> [Box<dyn Stage>; 2] { [Box::new(SlowWaveStage), Box::new(FastWaveStage)] };
        let mut stages: Vec<Box<dyn Stage>> = (0..settings.cycles).flat_map(|_| cycle()).collect();
        stages.push(Box::new(Conversion));
        stages
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        let passes = fast_wave_passes(settings, images);
        let cycle = TrainingCost { passes, simulated: slow_wave_passes(settings, images) };
        cycle.times(settings.cycles)
    }

    fn sleeps(&self) -> bool {
        true
    }

    fn describe(&self, settings: &Settings, train_images: usize) -> Vec<Description> {
        let mut all = vec![against_paper::conversion(settings.conversion)];
        all.extend(against_paper::slow_wave(&settings.slow_wave, train_images));
        all.push(against_paper::cycles(settings));
        all.extend(against_paper::fast_wave(&settings.fast_wave));
        all
    }
}
