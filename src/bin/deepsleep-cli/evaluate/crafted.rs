//! `evaluate --crafted`: shows a network images that were crafted earlier.

use super::origin::{self, SetOrigin};
use super::robustness::Robustness;
use super::{Evaluate, EvaluatedNetwork};
use crate::common::Common;
use crate::output::OutputFiles;
use crate::threat::one_radius;
use anyhow::{Result, bail};
use deepsleep::attack::{AttackReport, Outcome, Status};
use deepsleep::checkpoint::NpzReader;
use deepsleep::evaluation::{Cell, Crafted, ThreatModel};
use deepsleep::files::Content;
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Context;
use deepsleep::wording::written;
use std::path::Path;
use std::time::Instant;

impl Evaluate {
    /// Shows images that were crafted before.
    pub(super) fn crafted(
        &self,
        common: &Common,
        context: &Context,
        mut outputs: OutputFiles,
        path: &Path,
    ) -> Result<()> {
        let out = outputs.optional("--out", self.attacks.out.as_deref(), Content::Result)?;
        let EvaluatedNetwork { network, identity, .. } = self.load(common)?;
        let mut file = NpzReader::open(path)?;
        let mut crafted = Crafted::read(&mut file)?;
        self.threat.check_random([network.as_ref()])?;
        if network.is_random() {
            crafted = crafted.with_seed(self.threat.seed());
        }
        let crafted = self.held_to(crafted, network.as_ref(), common)?;
        let origin = SetOrigin::of(&mut file);
        let threat = origin.threat(&identity);
        if threat == ThreatModel::WhiteBox {
            common.console().say("note: these images are shown to the model that made them");
        }
        let start = Instant::now();
        let anywhere = self.attacks.allow_outside;
        let report = match anywhere {
            true => crafted.show_wherever(context, network.as_ref()),
            false => crafted.show(context, network.as_ref()),
        };
        // What does not fit the network came out of the file.
        let report = report.map_err(|error| error.in_file(path))?;
        let images = report.outcomes.len();
        let correct = (report.clean_accuracy() * images as f64).round() as usize;
        let mut evaluation = self.evaluation(images, correct, start);
        evaluation.dataset = origin.dataset;
        evaluation.first = crafted.samples().ids().first().map_or(0, |&id| id as usize);
        evaluation.draws = network.is_random().then(|| network.draws());
        evaluation.expected_clean_accuracy = report.expected_clean_accuracy();
        // Whatever was shown has a finder: of the others it is the clean image that got no answer.
        let unanswered = |o: &&Outcome| o.status == Status::Invalid && o.winner.is_none();
        evaluation.invalid = report.outcomes.iter().filter(unanswered).count();
        let attack = origin.specification.unwrap_or_else(|| crafted.attack().to_owned());
        let cell = Cell::of_report(
            attack,
            threat,
            &report,
            crafted.is_bounded(),
            start.elapsed().as_secs_f64(),
        );
        let cell = if anywhere { counted_anywhere(cell, &report, &crafted) } else { cell };
        evaluation.robustness = Some(Robustness::of_crafted(&crafted, cell));
        evaluation.finish(common, out.as_ref())?;
        let outside = report.count(Status::Outside);
        if outside > 0 {
            bail!(
                "{}: {outside} of {images} images lie outside of {}, so that the result is incomplete; --allow-outside \
                 counts them by the network's answer alone",
                path.display(),
                origin::beyond(&crafted)
            );
        }
        Ok(())
    }

    /// The set, its images held to the radius that was asked for.
    fn held_to(
        &self,
        crafted: Crafted,
        network: &dyn FrozenNetwork,
        common: &Common,
    ) -> Result<Crafted> {
        let Some(eps) = &self.attacks.eps else { return Ok(crafted) };
        let norm = self.threat.norm;
        let eps = one_radius(eps, norm, network.input_shape().features())?;
        let its = crafted.budget();
        if crafted.is_stated() && (its.norm, its.eps) != (norm, eps) {
            common.console().say(format_args!(
                "note: the set says {}, eps {}; its images are held to {norm}, eps {}",
                its.norm,
                written(its.eps),
                written(eps)
            ));
        }
        Ok(crafted.within(norm, eps))
    }
}

/// The cell with images outside of box or ball counted by the network's answer, and still said to lie where they lie.
fn counted_anywhere(cell: Cell, report: &AttackReport, crafted: &Crafted) -> Cell {
    let shown = report.outcomes.iter().enumerate();
    let outside = shown
        .filter(|(_, o)| o.winner.is_some() && o.status != Status::CleanWrong)
        .filter(|(i, _)| !crafted.is_inside(*i))
        .map(|(_, outcome)| outcome.id);
    let mut cell = cell.anywhere();
    cell.outside_indices = outside.collect();
    cell.outside = cell.outside_indices.len();
    cell
}
