//! The part of an evaluation that takes long: attacks, a portion of the images at a time, saved after each.

use super::{Evaluate, Evaluation};
use crate::checkpoint::CheckpointKind;
use crate::common::Common;
use crate::model::{self, ModelKind};
use crate::output::Outputs;
use anyhow::{Context as _, Result, anyhow};
use deepsleep::attack::{Classifier, Samples};
use deepsleep::evaluation::{
    Cell, Crafted, Journal, JournalSettings, Models, Plan, PortionResult, ThreatModel, WorstCase,
    evaluate, fingerprint, same_settings, worst_cases,
};
use deepsleep::experiment::NUMERICS;
use deepsleep::files::{Content, Output};
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Context;
use deepsleep::written;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What attacks did.
#[derive(Serialize, Deserialize)]
pub struct Robustness {
    /// What the result depends on.
    pub settings: JournalSettings,
    /// All radii of one attack after the other.
    pub results: Vec<Cell>,
    /// Over all attacks, for every radius.
    pub worst_case: Vec<WorstCase>,
}

impl Robustness {
    fn new(settings: JournalSettings, results: Vec<Cell>) -> Self {
        let worst_case = worst_cases(&results);
        Self { settings, results, worst_case }
    }

    /// Says that the images were crafted on the network itself, which was given as its own source.
    pub fn is_white_box(&mut self) {
        self.results.iter_mut().for_each(|cell| cell.threat_model = ThreatModel::WhiteBox);
    }

    /// Of images crafted before.
    pub fn of_crafted(crafted: &Crafted, cell: Cell) -> Self {
        let samples = fingerprint(crafted.samples());
        Self::new(JournalSettings::from([("images".to_owned(), samples)]), vec![cell])
    }
}

/// `FILE.json` and `FILE.json.checkpoint`.
pub struct ResultFiles {
    out: Output,
    checkpoint: Output,
}

impl ResultFiles {
    /// Refuses a place that cannot be written to now, not after an hour of attacks, and one that holds another's work.
    pub fn new(mut outputs: Outputs, out: &Path) -> Result<Self> {
        let (out, checkpoint) = outputs.with_checkpoint("--out", out, Content::Result)?;
        CheckpointKind::Evaluation.expect(&checkpoint)?;
        Ok(Self { out, checkpoint })
    }

    /// Where the result goes.
    pub fn path(&self) -> &Path {
        self.out.path()
    }

    /// The finished result of these settings, where there is no checkpoint.
    pub fn finished(&self, settings: &JournalSettings) -> Result<Option<Evaluation>> {
        if self.checkpoint.path().exists() {
            return Ok(None);
        }
        let (out, checkpoint) = (self.out.path().display(), self.checkpoint.path().display());
        if !self.out.path().exists() {
            return Err(anyhow!(
                "nothing to resume: there is no {checkpoint}; evaluate without --resume to begin"
            ));
        }
        let text = std::fs::read(self.out.path()).with_context(|| format!("{out}: cannot read"))?;
        let problem = || format!("{out}: this is not the result of an evaluation under attack");
        let evaluation: Evaluation = serde_json::from_slice(&text).with_context(problem)?;
        let robustness = evaluation.robustness.as_ref().with_context(problem)?;
        same_settings(self.out.path(), &robustness.settings, settings)?;
        Ok(Some(evaluation))
    }

    /// Saves the result, after which the checkpoint has served.
    pub fn save(&self, evaluation: &Evaluation) -> Result<()> {
        save(&self.out, evaluation)?;
        Ok(self.checkpoint.remove()?)
    }

    /// The file to note parts in, and those that it holds.
    fn journal(
        &self,
        common: &Common,
        settings: &JournalSettings,
        resume: bool,
    ) -> Result<(Journal, Vec<PortionResult>)> {
        let (place, path, console) = (&self.checkpoint, self.checkpoint.path(), common.console());
        if resume && let Some(found) = Journal::resume(place, settings)? {
            return Ok(found);
        }
        if !resume && path.exists() {
            console.say(format_args!(
                "note: {} of an interrupted evaluation will be replaced; --resume would continue it",
                path.display()
            ));
        }
        Ok((Journal::begin(place, settings)?, Vec::new()))
    }
}

/// Writes a result as JSON.
pub fn save(out: &Output, evaluation: &Evaluation) -> Result<()> {
    let mut text = serde_json::to_string_pretty(evaluation)?;
    text.push('\n');
    Ok(out.write_all(text.as_bytes())?)
}

impl Evaluate {
    /// Everything that the bits of the result depend on.
    pub fn settings(&self, plan: &Plan, samples: &Samples) -> Result<JournalSettings> {
        let radii: Vec<String> = plan.radii.iter().map(f32::to_string).collect();
        let attacks: Vec<String> = plan.attacks.iter().map(ToString::to_string).collect();
        let kind = |kind: ModelKind| match kind {
            ModelKind::Cnn => "cnn",
            ModelKind::Snn => "snn",
        };
        let mut all = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("numerics", NUMERICS.to_string()),
            ("--model", model::fingerprint(&self.model)?),
            ("--model-kind", kind(self.model_kind).to_owned()),
            ("images", fingerprint(samples)),
            ("--attack", attacks.join(" ")),
            ("--norm", plan.norm.to_string()),
            ("--eps", radii.join(",")),
            ("--seed", plan.seed.to_string()),
            ("--portion", plan.portion.to_string()),
        ];
        if let Some(draws) = self.threat.draws {
            all.push(("--draws", draws.to_string()));
        }
        if self.attacks.certify {
            all.push(("--certify", "yes".to_owned()));
        }
        if let Some(source) = &self.threat.source {
            all.push(("--source", model::fingerprint(source)?));
            all.push(("--source-kind", kind(self.threat.source_kind).to_owned()));
        }
        Ok(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// What is to be done.
pub struct AttackedEvaluation<'a> {
    pub plan: &'a Plan,
    pub samples: &'a Samples,
    pub settings: JournalSettings,
    /// The network in spec, and the one that images are crafted on.
    pub models: (&'a dyn FrozenNetwork, Option<&'a dyn FrozenNetwork>),
}

impl AttackedEvaluation<'_> {
    pub fn run(
        self,
        common: &Common,
        context: &Context,
        files: Option<&ResultFiles>,
        resume: bool,
    ) -> Result<Robustness> {
        let Self { plan, samples, settings, models } = self;
        let (mut journal, done) = match files {
            None => (None, Vec::new()),
            Some(files) => {
                let (journal, done) = files.journal(common, &settings, resume)?;
                (Some(journal), done)
            }
        };
        let console = common.console();
        if resume {
            let parts = plan.parts(samples.len());
            console.say(format_args!("continuing after {} of {parts} portions", done.len()));
        }
        let cells = plan.attacks.len() * plan.radii.len();
        let finished: usize = done.iter().map(|part| part.outcomes.len()).sum();
        let attacks = (cells * samples.len()).saturating_sub(finished);
        let mut progress = console.progress_of("attacks", attacks);
        let source = models.1.map(|source| source as &dyn Classifier);
        let models = Models { target: models.0, source };
        let results = evaluate(context, models, samples, plan, done, &mut |part| {
            if let Some(journal) = &mut journal {
                journal.add(part)?;
            }
            let (attack, eps) = (&plan.attacks[part.attack], plan.radii[part.radius]);
            progress.advance(part.outcomes.len(), format_args!("{attack}, eps {}", written(eps)));
            Ok(())
        })?;
        drop(progress);
        Ok(Robustness::new(settings, results))
    }
}
