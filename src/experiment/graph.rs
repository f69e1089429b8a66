//! From tables to jobs: train the control, craft on it, train each defence, evaluate each cell. A job is in the graph
//! once, however many tables need it.

use super::config::{Method, Sheet};
use super::published::{Column, Published};
use super::work::{Sources, Work};
use crate::attack::{Norm, parse_eps};
use crate::data::{DataIdentity, ImageSet};
use crate::evaluation::{ThreatModel, transfer_form};
use crate::method::{Defense, Profile, Settings, Training};
use crate::names::meant;
use crate::nn::LeNet;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Images that are crafted together: what is lost at most when a craft is interrupted.
const PORTION: usize = 2000;

/// Models in a graph, at most: nobody waits for so many trainings, and a graph of many more would fill the memory.
const MOST_MODELS: usize = 20_000;

/// What an experiment is asked to find out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Tables of the paper.
    pub tables: Vec<usize>,
    /// Figures of the paper.
    pub figures: Vec<usize>,
    /// Settings of all models, but for what a method sets.
    pub settings: Settings,
    /// Seeds; every model is trained once for each.
    pub seeds: Vec<u64>,
    /// Who crafts.
    pub threat_models: Vec<ThreatModel>,
    /// Test images under transfer attacks, the first ones.
    pub images: usize,
    /// Test images under white-box attacks, the first ones.
    pub white_box_images: usize,
    /// The share of the largest class among these, for the record: no result depends on it.
    pub largest_class: Option<f64>,
    /// The data set, whole.
    pub data: DataIdentity,
    /// Training images that are used: the first ones of the data set.
    pub trained_on: ImageSet,
    /// Whether it is a shortened run, to be labelled so.
    pub quick: bool,
}

impl Question {
    /// The images that are read: the training images that are used, and all test images.
    pub fn images_read(&self) -> DataIdentity {
        DataIdentity { train: self.trained_on.clone(), ..self.data.clone() }
    }

    /// What jobs read beside the results of others.
    pub fn sources(&self) -> Sources {
        Sources {
            train: self.trained_on.fingerprint.clone(),
            test: self.data.test.fingerprint.clone(),
            network: LeNet::architecture(),
        }
    }
}

/// A job: work on the results of other jobs.
#[derive(Clone, Debug)]
pub struct Job {
    /// For people.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// Under which its result is kept.
    pub key: String,
    /// The jobs whose results it uses; all are before it.
    pub inputs: Vec<usize>,
}

/// A model in the graph.
#[derive(Clone, Debug)]
pub struct ModelPlan {
    /// Its recipe.
    pub method: Method,
    /// Its seed.
    pub seed: u64,
    /// The job that trains it.
    pub job: usize,
}

/// A crafted set in the graph.
#[derive(Clone, Debug)]
pub struct SetPlan {
    /// The column's key.
    pub column: String,
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
    /// The column's key.
    pub column: String,
    /// The attack with its options; empty for clean images.
    pub attack: String,
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
    /// What the jobs read beside the results of others.
    pub sources: Sources,
    /// The images that they read.
    pub images: DataIdentity,
    by_key: HashMap<String, usize>,
    index: Index,
}

/// Where things are in the graph, so that none is looked for among all of them.
#[derive(Clone, Debug, Default)]
struct Index {
    /// The experiment's own control of each seed.
    controls: HashMap<u64, usize>,
    models: HashMap<(Method, u64), usize>,
    /// By scale, column and seed.
    sets: HashMap<(String, String, u64), usize>,
    /// By model, scale, column and threat model.
    cells: HashSet<(usize, String, String, ThreatModel)>,
}

impl Graph {
    /// The graph of a question.
    ///
    /// # Errors
    /// If a table, a figure, a column, a scale or a setting is unknown, or a setting makes no sense.
    pub fn new(question: &Question) -> Result<Self> {
        let tables = question.tables.iter().map(|&number| Sheet::of_table(number));
        let figures = question.figures.iter().map(|&number| Sheet::of_figure(number));
        Self::of_sheets(&tables.chain(figures).collect::<Result<Vec<_>>>()?, question)
    }

    /// The graph of tables of the caller's.
    ///
    /// # Errors
    /// If a column, a scale or a setting is unknown.
    pub fn of_sheets(sheets: &[Sheet], question: &Question) -> Result<Self> {
        let published = Published::load()?;
        question.settings.validate()?;
        let (sources, images) = (question.sources(), question.images_read());
        let mut graph = Self { sources, images, ..Self::default() };
        for sheet in sheets {
            refuse_twice("noise scale", &sheet.scales)?;
            refuse_twice("column", &sheet.columns)?;
            sheet.methods.iter().try_for_each(|method| method.validate(&question.settings))?;
        }
        let methods: usize = sheets.iter().map(|sheet| sheet.methods.len()).sum();
        let (seeds, models) = (question.seeds.len(), methods.saturating_mul(question.seeds.len()));
        if models > MOST_MODELS {
            let problem = format!(
                "{methods} methods with {seeds} seeds are {models} models; there can be {MOST_MODELS}"
            );
            return Err(Error::argument("experiment", problem));
        }
        for &seed in &question.seeds {
            for sheet in sheets {
                for method in &sheet.methods {
                    let model = graph.model(method, seed, question)?;
                    for scale in &sheet.scales {
                        for key in &sheet.columns {
                            let column = published.column(key).ok_or_else(|| {
                                let keys = published.columns.iter().map(|c| c.key.as_str());
                                let keys: Vec<&str> = keys.collect();
                                let (meant, keys) = (meant(key, &keys), keys.join(", "));
                                let problem =
                                    format!("there is no column `{key}`{meant}; there are {keys}");
                                Error::argument("experiment", problem)
                            })?;
                            graph.cell(model, scale, column, question)?;
                        }
                    }
                }
            }
        }
        Ok(graph)
    }

    /// The attack behind a column: what the paper ran; white-box, and under the profile whose baselines have their full
    /// strength, without what weakened it.
    fn attack(column: &Column, threat_model: ThreatModel, question: &Question) -> String {
        let full =
            threat_model == ThreatModel::WhiteBox || question.settings.profile == Profile::Standard;
        column.full.clone().filter(|_| full).unwrap_or_else(|| column.attack.clone())
    }

    /// Adds a job, unless it is there.
    fn job(&mut self, name: String, work: Work, inputs: Vec<usize>) -> usize {
        let keys: Vec<&str> = inputs.iter().map(|&input| self.jobs[input].key.as_str()).collect();
        let key = work.key(&self.sources, &keys);
        if let Some(&job) = self.by_key.get(&key) {
            return job;
        }
        self.by_key.insert(key.clone(), self.jobs.len());
        self.jobs.push(Job { name, work, key, inputs });
        self.jobs.len() - 1
    }

    /// The key of the slow-wave sleep with which a job begins, if it does.
    pub(super) fn sleep(&self, job: &Job) -> Option<String> {
        let control = model_file(&self.jobs[*job.inputs.first()?].key);
        job.work.sleep_key(&self.sources, &control)
    }

    /// Whether a model of this graph reads the setting of this name.
    pub fn reads(&self, name: &str) -> bool {
        self.jobs.iter().any(|job| match &job.work {
            Work::Train { training, settings, .. } => training.reads(settings, name),
            _ => false,
        })
    }

    /// Which jobs a shard needs, `(i, n)` for the i-th of n from 1: the cells of its models, and all that they need.
    pub fn of_shard(&self, shard: Option<(usize, usize)>) -> Vec<bool> {
        let Some((i, n)) = shard else { return vec![true; self.jobs.len()] };
        let mut ours = vec![false; self.jobs.len()];
        for cell in self.cells.iter().filter(|cell| cell.model % n.max(1) + 1 == i) {
            ours[cell.job] = true;
        }
        for job in (0..ours.len()).rev() {
            if ours[job] {
                self.jobs[job].inputs.iter().for_each(|&input| ours[input] = true);
            }
        }
        ours
    }

    /// The control of the experiment: what transfer attacks are crafted on, and what methods start from that do not
    /// change its settings.
    fn control(&mut self, seed: u64, question: &Question) -> usize {
        if let Some(&control) = self.index.controls.get(&seed) {
            return control;
        }
        let settings = Settings { seed, ..question.settings.clone() };
        let control = self.train(format!("train control, seed {seed}"), None, settings, question);
        self.index.controls.insert(seed, control);
        control
    }

    /// A training, on a control or of one.
    fn train(
        &mut self,
        name: String,
        defended: Option<(&'static dyn Defense, usize)>,
        settings: Settings,
        question: &Question,
    ) -> usize {
        let (settings, images) = (Box::new(settings), question.trained_on.images);
        let training =
            defended.map_or(Training::Control, |(defense, _)| Training::Defense(defense));
        let work = Work::Train { training, settings, images };
        self.job(name, work, defended.map(|(_, control)| control).into_iter().collect())
    }

    fn model(&mut self, method: &Method, seed: u64, question: &Question) -> Result<usize> {
        let place = (method.clone(), seed);
        if let Some(&model) = self.index.models.get(&place) {
            return Ok(model);
        }
        let settings = Settings { seed, ..method.settings(&question.settings)? };
        settings.validate()?;
        let control = if settings.control == question.settings.control {
            self.control(seed, question)
        } else {
            let name = format!("train control of {}, seed {seed}", method.id);
            self.train(name, None, settings.clone(), question)
        };
        let job = match method.training.defense() {
            None => control,
            Some(defense) => {
                let name = format!("train {}, seed {seed}", method.id);
                self.train(name, Some((defense, control)), settings, question)
            }
        };
        self.index.models.insert(place, self.models.len());
        self.models.push(ModelPlan { method: method.clone(), seed, job });
        Ok(self.models.len() - 1)
    }

    fn cell(
        &mut self,
        model: usize,
        scale: &str,
        column: &Column,
        question: &Question,
    ) -> Result<()> {
        let ModelPlan { method, seed, job: trained } = &self.models[model];
        let (id, seed, trained) = (method.id.clone(), *seed, *trained);
        let eps = parse_eps(scale, Norm::Linf, 0)?;
        let &[eps] = eps.as_slice() else {
            let problem = format!("`{scale}` is not one noise scale");
            return Err(Error::argument("experiment", problem));
        };
        for &threat_model in &question.threat_models {
            let key = &column.key;
            let place = (model, scale.to_owned(), key.clone(), threat_model);
            if !self.index.cells.insert(place) {
                continue;
            }
            let (attack, job) = match threat_model {
                _ if column.attack.is_empty() => {
                    let images = match threat_model {
                        ThreatModel::Transfer => question.images,
                        ThreatModel::WhiteBox => question.white_box_images,
                    };
                    let name = format!("show clean images to {id}, seed {seed}");
                    (String::new(), self.job(name, Work::Show { images }, vec![trained]))
                }
                ThreatModel::Transfer => {
                    let attack = transfer_form(&Self::attack(column, threat_model, question));
                    let sets = self.set(scale, eps, (column, &attack), seed, question);
                    let name = format!("show {key} {scale} to {id}, seed {seed}");
                    let inputs = [vec![trained], sets].concat();
                    let work = Work::Show { images: question.images };
                    (attack, self.job(name, work, inputs))
                }
                ThreatModel::WhiteBox => {
                    let attack = Self::attack(column, threat_model, question);
                    let eps = effective(&attack, eps);
                    let images = question.white_box_images;
                    let work = Work::Attack { attack: attack.clone(), eps, seed, images };
                    let name = format!("attack {id} by {key} {scale}, seed {seed}");
                    (attack, self.job(name, work, vec![trained]))
                }
            };
            let (scale, column) = (scale.to_owned(), key.clone());
            self.cells.push(CellPlan { model, scale, column, attack, threat_model, job });
        }
        Ok(())
    }

    /// The jobs that craft a set on the control of this seed.
    fn set(
        &mut self,
        scale: &str,
        eps: f32,
        (column, attack): (&Column, &str),
        seed: u64,
        question: &Question,
    ) -> Vec<usize> {
        let place = (scale.to_owned(), column.key.clone(), seed);
        if let Some(&set) = self.index.sets.get(&place) {
            return self.sets[set].jobs.clone();
        }
        let control = self.control(seed, question);
        let eps = effective(attack, eps);
        let starts = (0..question.images).step_by(PORTION);
        let jobs: Vec<usize> = starts
            .map(|start| {
                let images = start..question.images.min(start + PORTION);
                let name = format!(
                    "craft {} {scale}, images {} to {}, seed {seed}",
                    column.key,
                    images.start,
                    images.end - 1
                );
                let work = Work::Craft { attack: attack.to_owned(), eps, seed, images };
                self.job(name, work, vec![control])
            })
            .collect();
        self.index.sets.insert(place, self.sets.len());
        let (column, scale) = (column.key.clone(), scale.to_owned());
        self.sets.push(SetPlan { column, scale, seed, jobs: jobs.clone() });
        jobs
    }
}

/// The file in the store that holds the model which the job of this key trained.
pub(super) fn model_file(key: &str) -> String {
    format!("{key}.safetensors")
}

/// Refuses a list that has something twice: what that would mean is not clear.
fn refuse_twice(what: &str, list: &[String]) -> Result<()> {
    let twice = list.iter().enumerate().find(|(i, name)| list[..*i].contains(name));
    twice.map_or(Ok(()), |(_, name)| {
        Err(Error::argument("experiment", format!("the {what} `{name}` is there twice")))
    })
}

/// The radius that makes a difference to an attack: iterated FGSM gets no further than the sum of its steps, and Carlini
/// & Wagner's attack knows no radius. So that the same images are crafted once.
fn effective(attack: &str, eps: f32) -> f32 {
    let option = |key: &str| {
        let options = attack.split_once(':').map_or("", |(_, options)| options).split(',');
        let value = options.filter_map(|o| o.split_once('=')).find(|(name, _)| *name == key)?.1;
        parse_eps(value, Norm::L1, usize::MAX).ok()?.first().copied()
    };
    match attack.split(':').next() {
        Some("cw") => 1.0,
        Some("bim") => match (option("steps"), option("step")) {
            (Some(steps), Some(step)) => eps.min(steps * step),
            _ => eps,
        },
        _ => eps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(tables: &[usize], figures: &[usize]) -> Question {
        Question {
            tables: tables.to_vec(),
            figures: figures.to_vec(),
            settings: Settings::new(Profile::Published),
            seeds: vec![0],
            threat_models: vec![ThreatModel::Transfer, ThreatModel::WhiteBox],
            images: 10_000,
            white_box_images: 1000,
            largest_class: None,
            data: DataIdentity::default(),
            trained_on: ImageSet::default(),
            quick: false,
        }
    }

    fn method(defense: &str, set: &[(&str, &str)]) -> Method {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (label, id) = ("Some".into(), "some".into());
        Method { label, id, training: defense.parse().expect("a defense"), set: set.collect() }
    }

    fn graph_of(methods: Vec<Method>) -> Result<Graph> {
        let (scales, columns) = (vec!["64/255".into()], vec!["fgsm".into()]);
        let sheet = Sheet { table: None, figure: None, scales, columns, methods };
        Graph::of_sheets(&[sheet], &question(&[], &[]))
    }

    fn trainings(graph: &Graph) -> Vec<&str> {
        let trainings = graph.jobs.iter().filter(|job| job.work.kind() == "train");
        trainings.map(|job| job.name.as_str()).collect()
    }

    #[test]
    fn settings_of_the_control_are_applied_to_whatever_starts_from_it() {
        let set = [("control.epochs", "1")];
        let graph = graph_of(vec![method("none", &set)]).expect("a control of its own");
        // Images are crafted on the experiment's control, as for all others.
        assert_eq!(trainings(&graph), ["train control of some, seed 0", "train control, seed 0"]);
        let graph = graph_of(vec![method("slow-wave", &set)]).expect("on a control of its own");
        let names =
            ["train control of some, seed 0", "train some, seed 0", "train control, seed 0"];
        assert_eq!(trainings(&graph), names);
        assert_eq!(graph.jobs[1].inputs, [0]);
    }

    #[test]
    fn settings_that_nothing_reads_are_refused() {
        for (defense, name, words) in [
            ("none", "fast_wave.epochs", "`none` reads no"),
            ("fast-wave", "slow_wave.depth", "`fast-wave` reads no"),
            ("deepsleep", "seed", "seeds of the experiment"),
            ("deepsleep", "profile", "--profile"),
            ("none", "control.seed", "follows from `seed`"),
            ("sleep", "sleep.replay.seed", "follows from `seed`"),
            ("distillation", "distillation.teacher_epochs", "reads no"),
        ] {
            let value = if name == "profile" { "paper" } else { "1" };
            let error = graph_of(vec![method(defense, &[(name, value)])]).expect_err("no effect");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_graph_of_too_many_models_is_refused() {
        let mut question = question(&[1], &[]);
        question.seeds = (0..MOST_MODELS as u64).collect();
        let error = Graph::new(&question).expect_err("too many").to_string();
        assert!(error.contains("there can be 20000"), "{error}");
    }

    #[test]
    fn jobs_come_after_their_inputs_and_are_there_once() {
        let graph = Graph::new(&question(&[1, 2, 3], &[3])).expect("our own tables");
        for (i, job) in graph.jobs.iter().enumerate() {
            assert!(job.inputs.iter().all(|&input| input < i), "{}", job.name);
            assert!(graph.jobs[..i].iter().all(|other| other.key != job.key), "{}", job.name);
        }
        let trainings = graph.jobs.iter().filter(|job| job.work.kind() == "train").count();
        assert_eq!((trainings, graph.models.len()), (11, 11));
        // CW knows no radius; BIM ends at 20/255.
        let crafted = |key: &str| graph.jobs.iter().filter(|j| j.name.starts_with(key)).count();
        assert_eq!(crafted("craft cw"), 5);
        assert_eq!(crafted("craft bim"), 5 * 5); // 2, 4, 8, 16, 20
        assert_eq!(crafted("craft fgsm"), 8 * 5);
    }

    #[test]
    fn a_table_alone_has_the_keys_it_has_among_others() {
        let all = Graph::new(&question(&[1, 2, 3], &[3])).expect("our own tables");
        let one = Graph::new(&question(&[2], &[])).expect("our own table");
        assert!(one.jobs.iter().all(|job| all.by_key.contains_key(&job.key)));
    }
}
