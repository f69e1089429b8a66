//! What there is to do: jobs, in an order in which they can be done, and the models, sets and cells that they are for.

use super::sheet::RowSpec;
use super::sweep::PassedVariant;
use super::work::{Sources, Work};
use crate::attack::{AttackSpec, Norm};
use crate::data::DataIdentity;
use crate::evaluation::ThreatModel;
use crate::method::{Profile, Settings, lacking, spiking_reads};
use crate::nn::architecture::Architecture;
use std::collections::HashMap;
use std::sync::Arc;

/// A job: work on the results of other jobs.
#[derive(Clone, Debug)]
pub struct Job {
    /// A name to display.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// The key of its result in the store.
    pub key: String,
    /// The jobs whose results it uses; all are before it.
    pub inputs: Vec<usize>,
}

/// A model in the graph.
#[derive(Clone, Debug)]
pub struct ModelPlan {
    /// Its recipe.
    pub row: RowSpec,
    /// Its seed.
    pub seed: u64,
    /// The job that trains it.
    pub job: usize,
    /// The job that trains the control it starts from; its own, if it is one.
    pub control: usize,
}

/// A crafted set in the graph.
#[derive(Clone, Debug)]
pub struct SetPlan {
    /// The column's key.
    pub column: String,
    /// How perturbations are measured.
    pub norm: Norm,
    /// The noise scale.
    pub scale: String,
    /// The control's seed.
    pub seed: u64,
    /// The jobs that craft its portions.
    pub jobs: Vec<usize>,
}

/// A cell in the graph.
#[derive(Clone, Debug)]
pub struct CellPlan {
    /// Place of the model among the models.
    pub model: usize,
    /// The noise scale.
    pub scale: String,
    /// The same as a number: images of an attack that no radius bounds are counted within it.
    pub noise: f32,
    /// The column's key.
    pub column: String,
    /// The attack; None if there is none: for clean images, certificates and unions of attacks.
    pub attack: Option<AttackSpec>,
    /// How perturbations are measured, and the radius.
    pub ball: (Norm, f32),
    /// Test images, from the first on.
    pub images: usize,
    /// Who crafts.
    pub threat_model: ThreatModel,
    /// The job that evaluates it.
    pub job: usize,
}

/// All jobs in an order in which they can be done, and what they are for.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The models.
    pub models: Vec<ModelPlan>,
    /// The crafted sets.
    pub sets: Vec<SetPlan>,
    /// The cells.
    pub cells: Vec<CellPlan>,
    /// Whether transfer images are crafted on the control that a model starts from, even where that is not the experiment's.
    pub own_controls: bool,
    /// In a sweep, the variants that are impossible and therefore left out.
    pub passed_over: Vec<PassedVariant>,
    /// What the jobs read beside the results of others.
    pub sources: Sources,
    /// The images that they read.
    pub images: DataIdentity,
    /// The network that they train.
    pub architecture: Arc<Architecture>,
    pub(super) observed: Observed,
    pub(super) by_key: HashMap<String, usize>,
    pub(super) index: Index,
}

/// The jobs whose results a report shows pictures of.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// The control, and networks that were put to sleep.
    pub(super) networks: Vec<ObservedModel>,
    /// Crafted sets.
    pub(super) digits: Vec<ObservedDigits>,
    /// What models take the images of all these sets for.
    pub(super) answers: Vec<ObservedModel>,
}

/// A model, by its place among the models, and the job that observes something of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObservedModel {
    pub(super) model: usize,
    pub(super) job: usize,
}

/// A crafted set, by its place among the sets, and the job that picks its digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObservedDigits {
    pub(super) set: usize,
    pub(super) job: usize,
}

/// Where things are in the graph, so that none is looked for among all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The experiment's own control of each seed.
    pub(super) controls: HashMap<u64, usize>,
    pub(super) models: HashMap<(RowSpec, u64), usize>,
    /// By norm, scale, column and the job of the control.
    pub(super) sets: HashMap<(Norm, String, String, usize), usize>,
    /// By model, norm, scale, column and threat model.
    pub(super) cells: HashMap<(usize, Norm, String, String, ThreatModel), usize>,
}

impl Graph {
    /// The key of the slow-wave sleep with which a job begins, if it does.
    pub(super) fn sleep(&self, job: &Job) -> Option<String> {
        let control = model_file(&self.jobs[*job.inputs.first()?].key);
        job.work.sleep_key(&self.sources, &control)
    }

    /// Seconds that a job might take: see [`Work::estimate`].
    pub fn estimate(&self, job: &Job) -> f64 {
        job.work.estimate(&self.architecture)
    }

    /// Whether a model of this graph reads the setting of this name, in training or as a spiking network.
    pub fn reads(&self, name: &str) -> bool {
        self.any_model(name, |_| true)
    }

    /// Whether a model that reads this setting has the value of `settings`, those of the experiment: methods may set it
    /// themselves.
    pub fn takes(&self, settings: &Settings, name: &str) -> bool {
        let value = settings.value(name);
        self.any_model(name, |its| its.value(name) == value)
    }

    /// Whether the settings of any model that reads this one are such.
    fn any_model(&self, name: &str, such: impl Fn(&Settings) -> bool) -> bool {
        lacking(&self.architecture, name).is_none()
            && self.jobs.iter().any(|job| match &job.work {
                Work::Train { training, settings, .. } => {
                    training.reads(settings, name) && such(settings)
                }
                Work::Show { spiking: Some(spiking), .. }
                | Work::Attack { spiking: Some(spiking), .. } => {
                    let mut settings = Settings::new(Profile::Published);
                    settings.fast_wave.spiking = *spiking;
                    spiking_reads(&settings, name) && such(&settings)
                }
                _ => false,
            })
    }

    /// Which jobs a shard needs, `(i, n)` for the i-th of n from 1: the cells and pictures of its models, and all that they need.
    pub fn of_shard(&self, shard: Option<(usize, usize)>) -> Vec<bool> {
        let Some((i, n)) = shard else { return vec![true; self.jobs.len()] };
        let mut ours = vec![false; self.jobs.len()];
        let cells = self.cells.iter().map(|cell| (cell.model, cell.job));
        let observed = self.observed.networks.iter().chain(&self.observed.answers);
        for (model, job) in cells.chain(observed.map(|seen| (seen.model, seen.job))) {
            ours[job] |= model % n.max(1) + 1 == i;
        }
        for job in (0..ours.len()).rev() {
            if ours[job] {
                self.jobs[job].inputs.iter().for_each(|&input| ours[input] = true);
            }
        }
        ours
    }
}

/// The file in the store that holds the model which the job of this key trained.
pub(super) fn model_file(key: &str) -> String {
    format!("{key}.safetensors")
}
