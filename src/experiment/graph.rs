//! From tables to jobs: train the control, craft on it, train each defence, evaluate each cell. A job is in the graph
//! once, however many tables need it.

use super::config::{Method, Sheet, set_all};
use super::published::{Column, Published};
use super::work::Work;
use crate::attack::{Norm, parse_eps};
use crate::defense::Defense;
use crate::evaluation::{ThreatModel, transfer_form};
use crate::names::meant;
use crate::sleep::{Profile, Settings};
use crate::{Error, Result};
use std::collections::HashMap;

/// Images that are crafted together: what is lost at most when a craft is interrupted.
const PORTION: usize = 2000;

/// What an experiment is asked to find out.
#[derive(Clone, Debug)]
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
    /// Training images, the first ones; 0 is all.
    pub train_images: usize,
    /// Whether it is a shortened run, to be labelled so.
    pub quick: bool,
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
    by_key: HashMap<String, usize>,
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
        question.settings.check()?;
        let mut graph = Self::default();
        for sheet in sheets {
            refuse_twice("noise scale", &sheet.scales)?;
            refuse_twice("column", &sheet.columns)?;
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
        let key = work.key(&keys);
        if let Some(&job) = self.by_key.get(&key) {
            return job;
        }
        self.by_key.insert(key.clone(), self.jobs.len());
        self.jobs.push(Job { name, work, key, inputs });
        self.jobs.len() - 1
    }

    /// The key of the slow-wave sleep with which a job begins, if it does.
    pub(super) fn sleep(&self, job: &Job) -> Option<String> {
        job.work.sleep_key(&model_file(&self.jobs[*job.inputs.first()?].key))
    }

    fn control(&mut self, seed: u64, question: &Question) -> usize {
        let settings = Box::new(Settings { seed, ..question.settings.clone() });
        let work = Work::Train { defense: None, settings, images: question.train_images };
        self.job(format!("train control, seed {seed}"), work, Vec::new())
    }

    fn model(&mut self, method: &Method, seed: u64, question: &Question) -> Result<usize> {
        let same = |model: &ModelPlan| (&model.method, model.seed) == (method, seed);
        if let Some(model) = self.models.iter().position(same) {
            return Ok(model);
        }
        let control = self.control(seed, question);
        let job = if method.defense == "none" {
            control
        } else {
            let defense: Defense = method.defense.parse()?;
            let mut settings = Settings { seed, ..question.settings.clone() };
            set_all(&mut settings, &method.set)?;
            settings.check()?;
            let settings = Box::new(settings);
            let images = question.train_images;
            let work = Work::Train { defense: Some(defense), settings, images };
            self.job(format!("train {}, seed {seed}", method.id), work, vec![control])
        };
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
        let ModelPlan { method, seed, job: trained } = self.models[model].clone();
        let eps = parse_eps(scale, Norm::Linf, 0)?;
        let &[eps] = eps.as_slice() else {
            let problem = format!("`{scale}` is not one noise scale");
            return Err(Error::argument("experiment", problem));
        };
        for &threat_model in &question.threat_models {
            let (id, key) = (&method.id, &column.key);
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
            let same = |cell: &CellPlan| {
                (cell.model, &*cell.scale, &cell.column, cell.threat_model)
                    == (model, scale, key, threat_model)
            };
            if !self.cells.iter().any(same) {
                let (scale, column) = (scale.to_owned(), key.clone());
                self.cells.push(CellPlan { model, scale, column, attack, threat_model, job });
            }
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
        let same =
            |set: &SetPlan| (&*set.scale, &set.column, set.seed) == (scale, &column.key, seed);
        if let Some(set) = self.sets.iter().find(|set| same(set)) {
            return set.jobs.clone();
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
            train_images: 0,
            quick: false,
        }
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
