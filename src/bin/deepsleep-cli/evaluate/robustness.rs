//! The slow part of an evaluation: attacks, one portion of the images at a time, each saved when it is done.

use super::Evaluate;
use crate::common::Common;
use crate::model::Identity;
use crate::result_files::{ResultFiles, journal};
use anyhow::Result;
use deepsleep::attack::{Classifier, Samples};
use deepsleep::certify::BoundMethod;
use deepsleep::evaluation::{
    Cell, Crafted, JournalSettings, Models, Plan, PortionResult, ThreatModel, WorstCase,
    evaluate_with, fingerprint, worst_cases,
};
use deepsleep::experiment::NUMERICS;
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Context;
use deepsleep::wording::written;
use serde::{Deserialize, Serialize};

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
    pub fn mark_white_box(&mut self) {
        self.results.iter_mut().for_each(|cell| cell.threat_model = ThreatModel::WhiteBox);
    }

    /// For images crafted before.
    pub fn of_crafted(crafted: &Crafted, cell: Cell) -> Self {
        let samples = fingerprint(crafted.samples());
        Self::new(JournalSettings::from([("images".to_owned(), samples)]), vec![cell])
    }
}

impl Evaluate {
    /// Everything that the bits of the result depend on.
    pub fn settings(
        &self,
        plan: &Plan,
        samples: &Samples,
        network: &Identity,
        source: Option<&Identity>,
    ) -> JournalSettings {
        let radii: Vec<String> = plan.radii.iter().map(f32::to_string).collect();
        let attacks: Vec<String> = plan.attacks.iter().map(ToString::to_string).collect();
        let mut all = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("numerics", NUMERICS.to_string()),
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
        if let Some(method) = self.attacks.certify {
            // Intervals as they were written when there was nothing else.
            let setting = if method == BoundMethod::Interval { "yes" } else { method.name() };
            all.push(("--certify", setting.to_owned()));
        }
        if self.confusion {
            all.push(("--confusion", "yes".to_owned()));
        }
        let all = all.into_iter().map(|(name, value)| (name.to_owned(), value));
        let source = source.into_iter().flat_map(|source| source.settings("source"));
        all.chain(network.settings("model")).chain(source).collect()
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
        let source = models.1.map(|source| source as &dyn Classifier);
        let models = Models { target: models.0, source };
        plan.check(context, models, samples)?;
        let (mut journal, done) = journal::<PortionResult>(files, common, &settings, resume)?;
        let console = common.console();
        if resume {
            let all = plan.portions(samples.len());
            console.say(format_args!("continuing after {} of {all} portions", done.len()));
        }
        let cells = plan.attacks.len() * plan.radii.len();
        let finished: usize = done.iter().map(|portion| portion.outcomes.len()).sum();
        let attacks = (cells * samples.len()).saturating_sub(finished);
        let mut progress = console.progress_of("attacks", attacks);
        let results = evaluate_with(context, models, samples, plan, done, &mut |portion| {
            if let Some(journal) = &mut journal {
                journal.add(portion)?;
            }
            let (attack, eps) = (&plan.attacks[portion.attack], plan.radii[portion.radius]);
            progress
                .advance(portion.outcomes.len(), format_args!("{attack}, eps {}", written(eps)));
            Ok(())
        })?;
        drop(progress);
        Ok(Robustness::new(settings, results))
    }
}
