//! The result of an evaluation, as JSON and as text.

use super::robustness::Robustness;
use super::table;
use crate::common::Common;
use crate::failure::answered;
use crate::model::ModelKind;
use crate::numbers::{confidence, percent};
use crate::result_files::save;
use anyhow::Result;
use deepsleep::certify::{BoundMethod, Certified};
use deepsleep::evaluation::JournalSettings;
use deepsleep::files::Output;
use deepsleep::wording::written;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Evaluation {
    pub model: String,
    pub model_kind: ModelKind,
    /// None of images crafted before, whose file does not have to say it.
    pub dataset: Option<String>,
    pub first: usize,
    pub images: usize,
    pub correct: usize,
    /// Clean images for which the network has no finite logits; they count as not correct.
    #[serde(default)]
    pub invalid: usize,
    pub clean_accuracy: f64,
    /// What the accuracy on all images of this kind is, with 95 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_interval: Option<[f64; 2]>,
    /// Images `[label][predicted class]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<usize>>>,
    /// For a random network: draws that decide about an image, and the accuracy that one draw has on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_clean_accuracy: Option<f64>,
    pub seconds: f64,
    pub images_per_second: f64,
    #[serde(flatten)]
    pub robustness: Option<Robustness>,
    /// Lower bounds, one a radius.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certified: Vec<Certified>,
}

impl Evaluation {
    /// What it depends on, if it is one under attack.
    pub fn settings(&self) -> Option<&JournalSettings> {
        self.robustness.as_ref().map(|robustness| &robustness.settings)
    }

    /// Saves it where that was asked for, and prints it.
    pub fn finish(&self, common: &Common, out: Option<&Output>) -> Result<()> {
        if let Some(out) = out {
            save(out, self)?;
            common.console().wrote(out.path());
        }
        self.print(common)?;
        self.check()
    }

    /// A result that was saved and printed is incomplete where the network had no answer.
    pub fn check(&self) -> Result<()> {
        let cells = self.robustness.iter().flat_map(|robustness| &robustness.results);
        let invalid = cells.map(|cell| cell.invalid).fold(self.invalid, usize::max);
        answered(&self.model, invalid, self.images)
    }

    pub fn print(&self, common: &Common) -> Result<()> {
        let mut text = format!(
            "clean accuracy {}: {} of {} images{}{} ({:.2} s, {:.0} images/s)",
            percent(self.correct as f64, self.images as f64),
            self.correct,
            self.images,
            self.clean_interval
                .map_or(String::new(), |interval| format!(", {}", confidence(interval))),
            if self.invalid > 0 {
                format!(", {} without an answer", self.invalid)
            } else {
                String::new()
            },
            self.seconds,
            self.images_per_second,
        );
        if let (Some(draws), Some(expected)) = (self.draws, self.expected_clean_accuracy) {
            text.push_str(&format!(
                "\na random network, judged by {draws} draws an image: a single draw is right in {} of the cases",
                percent(expected, 1.0)
            ));
        }
        if let Some(confusion) = &self.confusion {
            text.push('\n');
            text.push_str(&table::confusion(confusion));
        }
        if let Some(robustness) = &self.robustness {
            text.push('\n');
            text.push_str(&table::table(&robustness.results, &robustness.worst_case));
        }
        for certified in &self.certified {
            text.push_str(&format!(
                "\ncertified at eps {}{}: {}, {} of {} images ({:.2} s); no perturbation of this size changes their class",
                written(certified.eps),
                match certified.bounds {
                    BoundMethod::Interval => "",
                    BoundMethod::Crown => " by CROWN",
                },
                percent(certified.certified_accuracy, 1.0),
                certified.certified_indices.len(),
                self.images,
                certified.seconds,
            ));
        }
        common.console().result(self, text)
    }
}
