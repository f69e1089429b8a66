//! `evaluate`: how many test images a saved network classifies rightly.

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::ModelKind;
use crate::numbers::at_least;
use anyhow::{Context as _, Result};
use clap::Args;
use deepsleep::data::{Dataset, Split};
use deepsleep::nn::predictions;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Images between two updates of the progress display.
const PORTION: usize = 2048;

#[derive(Debug, Args)]
pub struct Evaluate {
    /// Network to evaluate: safetensors, ours or PyTorch's with the same names
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Number of test images [default: all from --first on]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// First test image, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    first: usize,
    /// Run it as the network of rectifiers that it is saved as, or as its spiking network
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn)]
    model_kind: ModelKind,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize)]
struct Evaluation<'a> {
    model: &'a std::path::Path,
    model_kind: ModelKind,
    dataset: &'static str,
    first: usize,
    images: usize,
    correct: usize,
    clean_accuracy: f64,
    seconds: f64,
    images_per_second: f64,
}

impl Evaluate {
    pub fn run(&self, common: &Common) -> Result<()> {
        let context = common.context()?;
        let network = self.model_kind.load(&self.model)?;
        let test = self.data.load(Split::Test)?;
        let images = self.chosen(&test)?;

        let start = Instant::now();
        let mut progress = common.console().progress(images);
        let mut correct = 0;
        for done in (0..images).step_by(PORTION) {
            let first = self.first + done;
            let portion = test.slice(first, PORTION.min(images - done))?;
            let classes = predictions(&context, network.as_ref(), &portion)
                .with_context(|| format!("test images from number {first} on"))?;
            correct +=
                classes.iter().enumerate().filter(|&(i, &class)| class == portion.label(i)).count();
            progress.advance(portion.len(), "evaluating");
        }
        drop(progress);
        let seconds = start.elapsed().as_secs_f64();

        let evaluation = Evaluation {
            model: &self.model,
            model_kind: self.model_kind,
            dataset: self.data.dataset.as_str(),
            first: self.first,
            images,
            correct,
            clean_accuracy: correct as f64 / images as f64,
            seconds,
            images_per_second: images as f64 / seconds,
        };
        let text = format!(
            "clean accuracy {:.2} %: {correct} of {images} images ({seconds:.2} s, {:.0} images/s)",
            100.0 * evaluation.clean_accuracy,
            evaluation.images_per_second,
        );
        common.console().result(&evaluation, text)
    }

    /// How many images `--first` and `--images` ask for; there are that many.
    fn chosen(&self, test: &Dataset) -> Result<usize> {
        let (first, all) = (self.first, test.len());
        let wrong = |problem: String| Err(WrongUse(problem).into());
        match (all.saturating_sub(first), self.images) {
            (0, _) => {
                wrong(format!("--first {first}: there are {all} test images, numbered from 0"))
            }
            (left, Some(images)) if images > left => wrong(format!(
                "--images {images}: there are {left} test images from --first {first} on"
            )),
            (left, images) => Ok(images.unwrap_or(left)),
        }
    }
}
