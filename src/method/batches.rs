//! What trainings ask of the training images: batches that they fill, and sides that shifts leave something of.

use super::{Settings, Training};
use crate::nn::{Augmentation, Recipe};
use crate::tensor::Shape;
use crate::{Error, Result};

/// How a stage goes over the training images: in whole batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The group of settings that says so.
    pub group: &'static str,
    /// Images of a batch; a last, smaller one is dropped.
    pub size: usize,
    /// How the images are changed.
    pub augmentation: Augmentation,
}

impl Batches {
    /// Batches of `size` images, unchanged.
    pub fn of(group: &'static str, size: usize) -> Self {
        Self { group, size, augmentation: Augmentation::default() }
    }

    /// Those of a training by backpropagation.
    pub fn of_recipe(group: &'static str, recipe: &Recipe) -> Self {
        Self { augmentation: recipe.augmentation, ..Self::of(group, recipe.batch_size) }
    }

    /// Refuses shifts that may leave nothing of images of this shape.
    ///
    /// # Errors
    /// If a shift is as large as a side of the images, or larger.
    pub fn check_shape(&self, images: Shape) -> Result<()> {
        self.augmentation.check(images).map_err(|error| match error {
            Error::Argument { operation, problem } => {
                let problem = format!("`{}.augmentation.shift`: {problem}", self.group);
                Error::argument(operation, problem)
            }
            other => other,
        })
    }

    /// Refuses batches of more images than there are.
    ///
    /// # Errors
    /// If the images do not fill one batch.
    pub fn check_images(&self, images: usize) -> Result<()> {
        let Self { group, size, .. } = self;
        if images >= *size {
            return Ok(());
        }
        let problem = format!(
            "{images} images do not fill one batch of {size} (`{group}.batch_size`); use a smaller batch"
        );
        Err(Error::argument("training", problem))
    }
}

impl Training {
    /// The batches of all its stages.
    pub fn batches(self, settings: &Settings) -> Vec<Batches> {
        match self {
            Self::Control => vec![Batches::of_recipe("control", &settings.control.recipe)],
            Self::Defense(defense) => {
                let stages = defense.stages(settings);
                stages.iter().filter_map(|stage| stage.batches(settings)).collect()
            }
        }
    }

    /// Refuses batches of more images than there are, before any stage begins.
    ///
    /// # Errors
    /// If the images do not fill one batch of every stage; the setting is named.
    pub fn check_images(self, settings: &Settings, images: usize) -> Result<()> {
        self.batches(settings).iter().try_for_each(|batches| batches.check_images(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Defender, Profile};
    use crate::nn::Model;

    /// Every stage that goes over the images in batches, or shifts them, is known by its settings.
    #[test]
    fn every_training_says_which_batches_it_needs() {
        let cases: [(&str, Profile, &[&str], &[&str]); 9] = [
            ("none", Profile::Published, &["control"], &["control"]),
            ("slow-wave", Profile::Published, &["slow_wave"], &[]),
            ("fast-wave", Profile::Published, &["fast_wave"], &["fast_wave"]),
            ("deepsleep", Profile::Published, &["slow_wave", "fast_wave"], &["fast_wave"]),
            ("sleep", Profile::Published, &["slow_wave"], &[]),
            // Recalibration takes the batches of fast-wave sleep; the dream is of one image.
            ("sleep", Profile::Standard, &["fast_wave"], &[]),
            ("distillation", Profile::Paper, &["distillation"], &["distillation"]),
            (
                "adversarial-training",
                Profile::Published,
                &["adversarial_training"],
                &["adversarial_training"],
            ),
            ("lucid", Profile::Lucid, &["adversarial_training"], &["adversarial_training"]),
        ];
        let groups = ["control", "slow_wave", "fast_wave", "distillation", "adversarial_training"];
        for (name, profile, batches, shifts) in cases {
            let training: Training = name.parse().expect("a training");
            for group in groups {
                let mut settings = Settings::new(profile);
                let size = format!("{group}.batch_size");
                settings.set(&size, "129").expect("a size");
                let refused = training.check_images(&settings, 128).err().map(|e| e.to_string());
                assert_eq!(refused.is_some(), batches.contains(&group), "{name}, {group}");
                assert!(
                    refused.is_none_or(|e| e.contains("128 images") && e.contains(&size)),
                    "{name}"
                );
                training.check_images(&settings, 129).expect("one batch");
                if group == "slow_wave" {
                    continue;
                }
                let shift = format!("{group}.augmentation.shift");
                settings.set(&shift, "28").expect("a shift");
                let refused = match training {
                    Training::Control => training.batches(&settings)[0]
                        .check_shape(Model::lenet(0).architecture().input()),
                    Training::Defense(defense) => {
                        Defender::new(defense, Model::lenet(0), settings).map(drop)
                    }
                };
                let refused = refused.err().map(|e| e.to_string());
                assert_eq!(refused.is_some(), shifts.contains(&group), "{name}, {shift}");
                assert!(refused.is_none_or(|e| e.contains(&shift)), "{name}");
            }
        }
    }
}
