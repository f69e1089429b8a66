//! What measures a model: crafting, showing, attacking, certifying. All of it goes through [`evaluation`](crate::evaluation).

use super::execute::{Lab, file_of, read};
use super::store::StoreEntry;
use crate::attack::{AttackReport, AttackSpec, Budget, Samples, Status};
use crate::certify::{BoundMethod, Certifier};
use crate::checkpoint::NpzReader;
use crate::evaluation::{
    Cell, Crafted, Evidence, Models, NamedAttack, Plan, ThreatModel, about, classify, evaluate,
};
use crate::nn::Freeze;
use crate::snn::SpikingOptions;
use crate::wording::to_json;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;

/// What a job writes about the set that it crafts.
#[derive(Serialize, Deserialize)]
struct CraftedBy {
    /// The attack with its options.
    attack: AttackSpec,
}

/// A trained model, and how it spikes if it is run as a spiking network.
type Run<'a> = (&'a StoreEntry, Option<SpikingOptions>);

impl Lab<'_> {
    /// Crafts images on a model, into a file of their own.
    pub(super) fn craft(
        &self,
        key: &str,
        inputs: &[&StoreEntry],
        attack: &AttackSpec,
        budget: Budget,
        images: Range<usize>,
    ) -> Result<(Value, Option<String>)> {
        let source = self.model(inputs[0])?.freeze()?;
        let samples = Samples::from_dataset(self.test, images)?;
        let built = attack.build()?;
        let crafted = Crafted::craft(self.context, &source, &samples, built.as_ref(), budget)?;
        let file = format!("{key}.npz");
        let notes = CraftedBy { attack: attack.clone() };
        crafted.to_npz(&notes)?.save(self.store.place(&file)?)?;
        let count = json!({ "images": samples.len() });
        Ok((to_json(&count).map_err(|e| Error::failed("experiment", e))?, Some(file)))
    }

    /// What a model makes of the first clean images.
    pub(super) fn clean(&self, model: Run<'_>, images: usize) -> Result<Cell> {
        let model = self.network(model)?;
        let samples = Samples::from_dataset(self.test, 0..images)?;
        let report = classify(self.context, &*model, &samples, 0)?;
        finite(&report)?;
        Ok(Cell::of_clean(&report))
    }

    /// What a model makes of crafted images; `clean` are its answers to the clean ones.
    pub(super) fn show(
        &self,
        model: Run<'_>,
        clean: &StoreEntry,
        sets: &[&StoreEntry],
    ) -> Result<Cell> {
        let model = self.network(model)?;
        let clean = read::<Evidence>(clean)?.cell(usize::MAX)?.outcomes;
        let mut reports = Vec::new();
        let (mut attack, mut bounded, mut begin) = (None, true, 0);
        for set in sets {
            let mut file = NpzReader::open(self.store.path(file_of(set)?))?;
            let crafted = Crafted::read(&mut file)?;
            let notes = about(&mut file).and_then(|notes| serde_json::from_value(notes).ok());
            attack = attack.or(notes.map(|CraftedBy { attack }| NamedAttack::Known(attack)));
            bounded &= crafted.is_bounded();
            let known = clean.get(begin..begin + crafted.samples().len()).unwrap_or_default();
            reports.push(crafted.show_classified(self.context, &*model, known)?);
            begin += crafted.samples().len();
        }
        let report = AttackReport::merge(reports).ok_or_else(|| {
            Error::failed("experiment", "the crafted sets are of different attacks, or none")
        })?;
        finite(&report)?;
        let attack = attack.unwrap_or_else(|| report.attack.clone().into());
        Ok(Cell::of_report(attack, ThreatModel::Transfer, &report, bounded, 0.0))
    }

    /// Attacks a model itself.
    pub(super) fn attack(
        &self,
        model: Run<'_>,
        attack: &AttackSpec,
        budget: Budget,
        images: usize,
    ) -> Result<Cell> {
        let model = self.network(model)?;
        let samples = Samples::from_dataset(self.test, 0..images)?;
        let Budget { norm, eps, seed } = budget;
        let (attacks, radii) = (vec![attack.clone()], vec![eps]);
        let plan = Plan { attacks, norm, radii, seed, portion: images.max(1) };
        let models = Models { target: &*model, source: None };
        let cells = evaluate(self.context, models, &samples, &plan)?;
        let cell = cells.into_iter().next();
        let cell = cell.ok_or_else(|| Error::failed("experiment", "no cell was measured"))?;
        // Logits that are not finite at an attacked image are an answer of the attack; at the image itself, none of the model.
        if cell.outcomes.iter().any(|outcome| outcome.status == Status::Invalid) {
            finite(&classify(self.context, &*model, &samples, seed)?)?;
        }
        Ok(cell)
    }

    /// Which of the first images no perturbation of this size turns into another class.
    pub(super) fn certify(
        &self,
        model: &StoreEntry,
        bounds: BoundMethod,
        eps: f32,
        images: usize,
    ) -> Result<Cell> {
        let model = self.model(model)?;
        let samples = Samples::from_dataset(self.test, 0..images)?;
        let clean = classify(self.context, &model.freeze()?, &samples, 0)?;
        finite(&clean)?;
        let certifier = Certifier::new(&model)?.with_method(bounds);
        let margins = certifier.margins(self.context, &samples, eps)?;
        Ok(Cell::of_certificates(&clean, &margins, eps))
    }
}

/// Refuses a model that has no answer to some images: an accuracy would hide it.
pub(super) fn finite(report: &AttackReport) -> Result<()> {
    let invalid = report.count(Status::Invalid);
    if invalid == 0 {
        return Ok(());
    }
    Err(Error::NotFinite {
        place: "evaluation".into(),
        problem: format!(
            "a logit is not finite for {invalid} images: the weights are damaged or too large"
        ),
    })
}
