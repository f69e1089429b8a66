//! Works through a defense, one pass or epoch at a time.

mod checkpoint;
mod stage;

use stage::Stage;

use super::Defense;
use super::adversarial_training::OnAdversarial;
use super::distillation::FromTeacher;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::nn::{
    LeNet, Network, Plain, Regime, Trainer, TrainingOptions, check_finite_state, recalibrate,
};
use crate::simd::random::Key;
use crate::sleep::{FastWave, ReplayOptions, Settings, SlowWave, replay};
use crate::snn::{SpikingLeNet, Statistics};
use crate::tensor::Context;
use crate::{Error, Result};

/// The stage at work.
enum Work {
    Training(Box<Trainer>, Box<dyn Regime<LeNet>>),
    Slow(Box<SlowWave>),
    Fast(Box<FastWave>),
}

impl Work {
    /// Passes or epochs in all.
    fn units(&self) -> usize {
        match self {
            Self::Training(trainer, _) => trainer.options().epochs,
            Self::Slow(sleep) => sleep.passes().len(),
            Self::Fast(sleep) => sleep.epochs(),
        }
    }
}

/// A pass or an epoch that was just made.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it was part of.
    pub stage: &'static str,
    /// Passes or epochs of this stage that are done.
    pub done: usize,
    /// Passes or epochs of this stage in all.
    pub of: usize,
    /// Mean loss, where there is one.
    pub loss: Option<f32>,
}

/// A batch that was just made.
#[derive(Clone, Copy, Debug)]
pub struct DefenseProgress {
    /// What it is part of.
    pub stage: &'static str,
    /// Batches of this pass or epoch that are done.
    pub batch: usize,
    /// Batches of this pass or epoch in all.
    pub batches: usize,
    /// Images of this batch.
    pub images: usize,
}

/// A control on its way to a defended model.
pub struct Defender {
    defense: Defense,
    settings: Settings,
    control: LeNet,
    stages: Vec<Stage>,
    /// The stage at work.
    at: usize,
    /// The model as it is now; during a stage, as the last pass or epoch left it.
    model: LeNet,
    teacher: Option<LeNet>,
    first_linear: Option<Vec<f32>>,
    work: Option<Work>,
    spiking: Option<SpikingLeNet>,
}

impl Defender {
    /// Before the first stage.
    ///
    /// # Errors
    /// If a setting makes no sense, be it of another defense.
    pub fn new(defense: Defense, control: LeNet, settings: Settings) -> Result<Self> {
        settings.check()?;
        let model = control.clone();
        Ok(Self {
            stages: Stage::all(defense, &settings),
            defense,
            settings,
            control,
            at: 0,
            model,
            teacher: None,
            first_linear: None,
            work: None,
            spiking: None,
        })
    }

    /// The model as it is now, seen as a network of rectifiers with the running statistics that it has.
    pub fn model(&self) -> &LeNet {
        &self.model
    }

    /// The spiking network as the last step left it, if that was fast-wave sleep.
    pub fn spiking(&self) -> Option<&SpikingLeNet> {
        self.spiking.as_ref()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The finished model with notes of what it is: defense, profile, every setting.
    pub fn state(&self) -> StateDict {
        let mut state = self.model.state();
        state.note("defense", self.defense.name());
        state.note("settings", &self.settings);
        state
    }

    /// Makes the next pass or epoch; `None` when the defense is complete. `progress` is called after every batch.
    ///
    /// # Errors
    /// Those of the stage: images of another shape, too few of them, numbers that stop being finite.
    pub fn advance(
        &mut self,
        context: &Context,
        data: &Dataset,
        progress: &mut (dyn FnMut(DefenseProgress) + Send),
    ) -> Result<Option<Step>> {
        let Some(&stage) = self.stages.get(self.at) else { return Ok(None) };
        let name = stage.name();
        self.spiking = None;
        if stage == Stage::Convert {
            self.convert(context, data)?;
            self.at += 1;
            return self.checked(Step { stage: name, done: 1, of: 1, loss: None });
        }
        if stage == Stage::Replay {
            let seed = self.key(stage).to_u64();
            let options = ReplayOptions { seed, ..self.settings.sleep.replay };
            self.model = replay(context, &self.model, data, &options, &mut |p| {
                progress(DefenseProgress {
                    stage: name,
                    batch: p.step,
                    batches: p.steps,
                    images: 0,
                });
            })?;
            self.at += 1;
            return self.checked(Step { stage: name, done: 1, of: 1, loss: None });
        }
        if self.work.is_none() {
            self.work = Some(self.begin(context, stage)?);
        }
        let Some(work) = &mut self.work else { return Ok(None) };
        if work.units() == 0 {
            // Asked for no pass or epoch, a stage leaves everything as it is.
            self.finish(stage);
            return self.checked(Step { stage: name, done: 0, of: 0, loss: None });
        }
        let mut loss = None;
        let (done, of) = match work {
            Work::Training(trainer, regime) => {
                let report = trainer.epoch_with(
                    context,
                    &mut self.model,
                    data,
                    regime.as_mut(),
                    &mut |p| {
                        progress(DefenseProgress {
                            stage: name,
                            batch: p.step,
                            batches: p.steps,
                            images: p.images,
                        })
                    },
                )?;
                loss = Some(report.loss);
                (trainer.epochs_done(), trainer.options().epochs)
            }
            Work::Slow(sleep) => {
                sleep.pass(context, data, &mut |p| {
                    progress(DefenseProgress {
                        stage: name,
                        batch: p.batch,
                        batches: p.batches,
                        images: p.images,
                    });
                })?;
                sleep.wake(&mut self.model);
                self.first_linear = sleep.first_linear().map(<[f32]>::to_vec);
                (sleep.passes_done(), sleep.passes().len())
            }
            Work::Fast(sleep) => {
                let report = sleep.epoch(context, data, &mut |p| {
                    progress(DefenseProgress {
                        stage: name,
                        batch: p.step,
                        batches: p.steps,
                        images: p.images,
                    });
                })?;
                loss = Some(report.loss);
                self.model = sleep.network().to_lenet(Statistics::Carry);
                self.spiking = Some(sleep.network().clone());
                (sleep.epochs_done(), sleep.epochs())
            }
        };
        if done >= of {
            self.finish(stage);
        }
        self.checked(Step { stage: name, done, of, loss })
    }

    /// A step that was just made, unless it left the model with a number that is not finite.
    fn checked(&self, step: Step) -> Result<Option<Step>> {
        let Step { stage, done, of, .. } = step;
        check_finite_state(&self.model.state(), || format!("{stage}, {done} of {of}"))?;
        Ok(Some(step))
    }

    /// The key of everything random in the stage at work.
    fn key(&self, stage: Stage) -> Key {
        Key::new(self.settings.seed).named(stage.name()).with(self.at as u64)
    }

    /// Prepares a stage: its first weights, its seed.
    fn begin(&mut self, context: &Context, stage: Stage) -> Result<Work> {
        let key = self.key(stage);
        let seed = key.to_u64();
        let settings = &self.settings;
        let training = |epochs, batch_size, learning_rate, temperature| TrainingOptions {
            epochs,
            batch_size,
            learning_rate,
            temperature,
            seed,
            ..TrainingOptions::default()
        };
        Ok(match stage {
            Stage::Adversarial => {
                let o = &settings.adversarial_training;
                if o.from_scratch {
                    self.model = LeNet::new(seed);
                }
                let options = training(o.epochs, o.batch_size, o.learning_rate, 1.0);
                let regime = OnAdversarial::new(context, o.clone());
                Work::Training(Box::new(Trainer::new(&self.model, options)?), Box::new(regime))
            }
            Stage::Teacher => {
                let o = &settings.distillation;
                self.model = LeNet::new(seed);
                let options =
                    training(o.teacher_epochs, o.batch_size, o.learning_rate, o.temperature);
                Work::Training(Box::new(Trainer::new(&self.model, options)?), Box::new(Plain))
            }
            Stage::Student => {
                let o = &settings.distillation;
                // Without a teacher stage before, the teacher is as the published code leaves it: untrained.
                let teacher =
                    self.teacher.get_or_insert_with(|| LeNet::new(key.named("teacher").to_u64()));
                self.model = LeNet::new(seed);
                let options = training(o.student_epochs, o.batch_size, o.learning_rate, 1.0);
                let regime = FromTeacher::new(context, teacher, o.method, o.temperature)?;
                Work::Training(Box::new(Trainer::new(&self.model, options)?), Box::new(regime))
            }
            Stage::SleepAsRun => {
                let options = settings.slow_wave.clone();
                let sleep = &settings.sleep;
                let passes = options.passes_of(std::iter::repeat_n(sleep.steps, sleep.passes));
                Work::Slow(Box::new(SlowWave::with_passes(&self.model, options, passes, seed)?))
            }
            Stage::SlowWave => {
                Work::Slow(Box::new(SlowWave::new(&self.model, settings.slow_wave.clone(), seed)?))
            }
            Stage::FastWave => {
                let first = self.first_linear.as_deref();
                let (model, control, options) = (&self.model, &self.control, &settings.fast_wave);
                Work::Fast(Box::new(FastWave::new(context, model, control, first, options, seed)?))
            }
            Stage::Replay | Stage::Convert => {
                let problem = format!("{} has no passes of its own", stage.name());
                return Err(Error::argument("defense", problem));
            }
        })
    }

    fn finish(&mut self, stage: Stage) {
        if stage == Stage::Teacher {
            self.teacher = Some(self.model.clone());
        }
        self.work = None;
        self.at += 1;
    }

    /// The network rebuilt at the end: its running statistics as the settings say.
    fn convert(&mut self, context: &Context, data: &Dataset) -> Result<()> {
        let conversion = self.settings.conversion;
        conversion.apply(self.model.statistics_mut());
        if conversion == Statistics::Recalibrate {
            recalibrate(context, &mut self.model, data, self.settings.fast_wave.batch_size)?;
        }
        Ok(())
    }
}
