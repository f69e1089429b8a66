//! Defensive distillation: the student learns the teacher's softened probabilities (Papernot et al. 2016).

use crate::Result;
use crate::autodiff::{Tape, Var};
use crate::method::defense::STEP;
use crate::method::{
    Batches, Defense, Description, Networks, Profile, Settings, Stage, StageRun, TrainingCost,
    TrainingRun, against_paper,
};
use crate::nn::{
    Batch, Freeze, FrozenModel, FrozenNetwork, Model, PlainRegime, Recipe, Regime, Targets,
    Trainer, TrainingOptions,
};
use crate::simd::random::Key;
use crate::tensor::{Context, Tensor};
use serde::{Deserialize, Serialize};

/// Whose distillation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistillationMethod {
    /// Papernot et al. (2016): a trained teacher, softened labels, deployed at temperature 1.
    Papernot,
    /// The published code: the teacher stays as initialized, and the student's loss takes a soft-max of a soft-max.
    Published,
}

/// The options of defensive distillation (docs/method.md, section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillationOptions {
    /// Whose.
    pub method: DistillationMethod,
    /// Temperature of teacher and student.
    pub temperature: f32,
    /// Passes of the teacher over the data.
    pub teacher_epochs: usize,
    /// Passes of the student over the data.
    pub student_epochs: usize,
    /// How both learn; labels are smoothed for the teacher alone, the student learns the teacher's.
    #[serde(flatten)]
    pub recipe: Recipe,
}

crate::options::with!(DistillationOptions);

impl DistillationOptions {
    /// The values of a profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            method: match profile {
                Profile::Published => DistillationMethod::Published,
                Profile::Paper | Profile::Standard | Profile::Lucid => DistillationMethod::Papernot,
            },
            temperature: 10.0,
            teacher_epochs: 10,
            student_epochs: 24,
            recipe: Recipe::default(),
        }
    }

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If there is one; it is named.
    pub fn validate(&self) -> Result<()> {
        self.training(self.teacher_epochs, self.temperature, 0).validate()
    }

    fn training(&self, epochs: usize, temperature: f32, seed: u64) -> TrainingOptions {
        TrainingOptions { temperature, ..self.recipe.training(epochs, seed) }
    }
}

/// Defensive distillation.
#[derive(Clone, Copy, Debug)]
pub struct Distillation;

impl Defense for Distillation {
    fn name(&self) -> &'static str {
        "distillation"
    }

    fn about(&self) -> &'static str {
        "Defensive distillation"
    }

    fn reads(&self, _: &Settings) -> Vec<&'static str> {
        vec!["distillation"]
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        match settings.distillation.method {
            DistillationMethod::Papernot => vec![],
            // The published teacher is never trained: nothing learns from labels.
            DistillationMethod::Published => {
                vec!["distillation.teacher_epochs", "distillation.label_smoothing"]
            }
        }
    }

    fn stages(&self, settings: &Settings) -> Vec<Box<dyn Stage>> {
        match settings.distillation.method {
            DistillationMethod::Papernot => vec![Box::new(Teacher), Box::new(Student)],
            DistillationMethod::Published => vec![Box::new(Student)],
        }
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        let options = &settings.distillation;
        let teacher = match options.method {
            DistillationMethod::Papernot => options.teacher_epochs,
            DistillationMethod::Published => 0,
        };
        // The student asks the teacher.
        let steps = STEP * teacher as f64 + (STEP + 1.0) * options.student_epochs as f64;
        TrainingCost::of(steps * images as f64)
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let sentence = against_paper::distillation(&settings.distillation);
        vec![Description { choice: "Distillation's teacher", sentence }]
    }
}

struct Teacher;

impl Stage for Teacher {
    fn name(&self) -> &'static str {
        "teacher"
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        Some(Batches::of_recipe("distillation", &settings.distillation.recipe))
    }

    fn begin(
        &self,
        _: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (options, seed) = (&settings.distillation, key.to_u64());
        networks.model = networks.control.renewed(seed)?;
        let training = options.training(options.teacher_epochs, options.temperature, seed);
        let trainer = Trainer::new(&networks.model, training)?;
        let run = TrainingRun::new(trainer, networks.model.clone(), PlainRegime);
        Ok(Box::new(run.then(|networks| networks.teacher = Some(networks.model.clone()))))
    }
}

struct Student;

impl Stage for Student {
    fn name(&self) -> &'static str {
        "student"
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        Some(Batches::of_recipe("distillation", &settings.distillation.recipe))
    }

    fn begin(
        &self,
        context: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (options, seed) = (&settings.distillation, key.to_u64());
        // Without a stage that trains one, the teacher is as the published code leaves it: untrained.
        let teacher = match networks.teacher.take() {
            Some(teacher) => teacher,
            None => networks.control.renewed(key.named("teacher").to_u64())?,
        };
        let teacher = networks.teacher.insert(teacher).freeze()?;
        networks.model = networks.control.renewed(seed)?;
        let training = options.training(options.student_epochs, 1.0, seed);
        let trainer = Trainer::new(&networks.model, training)?;
        let regime = FromTeacher {
            teacher,
            tape: Tape::new(context.clone()),
            method: options.method,
            temperature: options.temperature,
            target: None,
        };
        Ok(Box::new(TrainingRun::new(trainer, networks.model.clone(), regime)))
    }
}

/// The student's regime.
struct FromTeacher {
    teacher: FrozenModel,
    tape: Tape,
    method: DistillationMethod,
    temperature: f32,
    /// The teacher's probabilities for the images of this step.
    target: Option<Tensor>,
}

impl Regime<Model> for FromTeacher {
    fn prepare(&mut self, _: &mut Model, batch: &mut Batch<'_>) -> Result<()> {
        let mut images = self.tape.tensor(batch.images.shape(), batch.images.samples(), 1);
        images.lanes_mut().copy_from_slice(batch.images.lanes());
        let x = self.tape.constant(images);
        let logits = self.teacher.logits(&mut self.tape, x)?;
        let probability = self.tape.softmax(logits, self.temperature)?;
        let value = self.tape.value(probability);
        match &mut self.target {
            Some(target) if target.samples() == value.samples() => {
                target.lanes_mut().copy_from_slice(value.lanes());
            }
            target => *target = Some(value.clone()),
        }
        self.tape.reset();
        Ok(())
    }

    fn loss(&mut self, tape: &mut Tape, logits: Var, _: Targets<'_>) -> Result<Option<Var>> {
        let Some(target) = &self.target else { return Ok(None) };
        match self.method {
            DistillationMethod::Papernot => {
                tape.soft_cross_entropy(logits, target, self.temperature).map(Some)
            }
            DistillationMethod::Published => {
                let probability = tape.softmax(logits, self.temperature)?;
                tape.soft_cross_entropy(probability, target, 1.0).map(Some)
            }
        }
    }
}
