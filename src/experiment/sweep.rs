//! A sweep over settings that paper and code leave open: which comes nearest to each printed row?

use super::graph::Graph;
use super::published::Published;
use super::results::Results;
use super::sheet::{RowSpec, Sheet, parse};
use super::spec::ExperimentSpec;
use super::work::Work;
use crate::attack::Norm;
use crate::evaluation::ThreatModel;
use crate::method::{Settings, Training};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Every seed is a training of every variant.
const MOST_SEEDS: usize = 1000;

/// Combinations grow with every axis; this many trainings nobody waits for.
const MOST_VARIANTS: usize = 1000;

/// Combinations that are looked at, to find those that make a difference: some seconds' worth.
const MOST_TRIED: usize = 10_000;

/// A setting and the values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The setting's name.
    pub setting: String,
    /// Its values.
    pub values: Vec<String>,
}

/// What to try (`experiments/nearest.toml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Every combination, or every value by itself.
    pub all: bool,
    /// Noise scales such as `64/255`.
    pub scales: Vec<String>,
    /// Columns by their keys in the published numbers.
    pub columns: Vec<String>,
    /// Seeds: 0, 1, ...
    pub seeds: usize,
    /// Printed methods.
    #[serde(rename = "method")]
    pub methods: Vec<RowSpec>,
    /// The settings to change.
    #[serde(rename = "axis")]
    pub axes: Vec<Axis>,
}

/// How far a variant is from a printed row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The variant: the method's name and what was changed.
    pub variant: String,
    /// Its seed.
    pub seed: u64,
    /// Mean absolute difference over the columns.
    pub distance: f64,
    /// The accuracies, in the order of the sweep's columns.
    pub values: Vec<f64>,
}

/// A printed row and all variants, the nearest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The table; where several print the row, the first.
    pub table: usize,
    /// The noise scale.
    pub scale: String,
    /// The method, as printed.
    pub method: String,
    /// The printed accuracies, in the order of the sweep's columns.
    pub printed: Vec<f64>,
    /// All variants.
    pub variants: Vec<Distance>,
}

impl Answer {
    /// Name of the answers' file in a results folder.
    pub const FILE: &'static str = "sweep.json";

    /// The answers in a results folder; none if there was no sweep in it.
    ///
    /// # Errors
    /// If the file cannot be read, or is no sweep's.
    pub fn load(folder: &Path) -> Result<Vec<Self>> {
        let path = folder.join(Self::FILE);
        if path.exists() { super::results::load(&path) } else { Ok(Vec::new()) }
    }

    /// Writes the answers into a results folder, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(answers: &[Self], folder: &Path) -> Result<()> {
        super::results::save(&answers, &folder.join(Self::FILE))
    }
}

impl Axis {
    /// Refuses values that are the same one.
    fn check(&self, settings: &Settings) -> Result<()> {
        let Self { setting, values } = self;
        if values.len() > MOST_TRIED {
            let problem =
                format!("{} values of `{setting}`; there can be {MOST_TRIED}", values.len());
            return Err(refuse(problem));
        }
        let mut known: HashMap<String, &String> = HashMap::new();
        for value in values {
            let mut own = settings.clone();
            // One that depends on another axis may not be there yet: then it is what is written that counts.
            let same = match own.set(setting, value) {
                Ok(()) => format!("{own:?}"),
                Err(_) => value.clone(),
            };
            if let Some(other) = known.insert(same, value) {
                let problem = format!(
                    "the axis over `{setting}` has the values `{other}` and `{value}`, which are the same: give each once"
                );
                return Err(refuse(problem));
            }
        }
        Ok(())
    }
}

impl Sweep {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no sweep.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        parse(&text, path)
    }

    /// The spec's seeds and threat model, and the graph of all variants.
    ///
    /// # Errors
    /// If a setting, a column or a scale is unknown, an axis makes no difference to any method, or there is more to try
    /// than anybody waits for.
    pub fn graph(&self, spec: &mut ExperimentSpec) -> Result<Graph> {
        if self.seeds > MOST_SEEDS {
            return Err(refuse(format!("{} seeds; there can be {MOST_SEEDS}", self.seeds)));
        }
        if self.axes.iter().any(|axis| axis.setting == "seed") {
            let problem =
                "an axis over `seed`: `seeds = N` tries every variant with the seeds 0 to N - 1";
            return Err(refuse(problem.into()));
        }
        // Before anything is tried: there are no more axes than settings.
        let mut names = HashSet::new();
        if let Some(axis) = self.axes.iter().find(|axis| !names.insert(&axis.setting)) {
            let problem = format!(
                "two axes over `{}`: the later would replace what the first one sets; list all values in one",
                axis.setting
            );
            return Err(refuse(problem));
        }
        self.axes.iter().try_for_each(|axis| axis.check(&spec.settings))?;
        self.check_printed(&Published::load()?)?;
        spec.seeds = (0..self.seeds.max(1) as u64).collect();
        spec.threat_models = vec![ThreatModel::Transfer];
        (spec.tables, spec.figures, spec.sheets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut methods, mut tried) = (Vec::new(), 0);
        for method in &self.methods {
            methods.extend(self.variants(method, spec, &mut tried)?);
            if methods.len() > MOST_VARIANTS {
                return Err(refuse(format!("more than {MOST_VARIANTS} variants")));
            }
        }
        for Axis { setting, .. } in &self.axes {
            let mut read = false;
            for method in &methods {
                read |= method.reads(&spec.settings, setting)?;
            }
            if !read {
                let problem = format!(
                    "an axis over `{setting}`, which no method here reads: its values would change nothing"
                );
                return Err(refuse(problem));
            }
        }
        let (scales, columns) = (self.scales.clone(), self.columns.clone());
        let sheet = Sheet {
            architecture: None,
            data: None,
            set: Default::default(),
            table: None,
            figure: None,
            norm: Norm::Linf,
            scales,
            columns,
            methods,
        };
        Graph::of_sheets(&[sheet], spec)
    }

    /// Refuses methods and scales that the paper prints no row of: a sweep measures how far its variants are from one.
    fn check_printed(&self, published: &Published) -> Result<()> {
        let rows = || published.tables.iter().flat_map(|table| &table.rows);
        let listed = |names: BTreeSet<&str>| Vec::from_iter(names).join(", ");
        for RowSpec { label, .. } in &self.methods {
            if !rows().any(|row| row.method == *label && self.scales.contains(&row.scale)) {
                let problem = format!(
                    "the paper prints no row `{label}` at {}, so nothing could be compared; its labels are {}",
                    self.scales.join(", "),
                    listed(rows().map(|row| row.method.as_str()).collect())
                );
                return Err(refuse(problem));
            }
        }
        for scale in &self.scales {
            let printed = |method: &RowSpec| {
                rows().any(|row| (&row.method, &row.scale) == (&method.label, scale))
            };
            if !self.methods.iter().any(printed) {
                let problem = format!(
                    "the paper prints no row of these methods at the scale `{scale}`, so nothing could be compared; its scales are {}",
                    listed(rows().map(|row| row.scale.as_str()).collect())
                );
                return Err(refuse(problem));
            }
        }
        Ok(())
    }

    /// The method as it is, and with every change that makes a difference to it.
    fn variants(
        &self,
        method: &RowSpec,
        spec: &ExperimentSpec,
        tried: &mut usize,
    ) -> Result<Vec<RowSpec>> {
        let mut variants = vec![method.clone()];
        let mut trainings = HashSet::from([training(method, spec)?]);
        for axis in &self.axes {
            let bases = if self.all { variants.clone() } else { vec![method.clone()] };
            for value in &axis.values {
                for base in &bases {
                    *tried += 1;
                    if *tried > MOST_TRIED {
                        let problem = format!(
                            "more than {MOST_TRIED} combinations to try; give fewer axes or values"
                        );
                        return Err(refuse(problem));
                    }
                    let mut variant = base.clone();
                    variant.id = format!("{} {}={value}", base.id, axis.setting);
                    variant.set.insert(axis.setting.clone(), value.clone());
                    if trainings.insert(training(&variant, spec)?) {
                        variants.push(variant);
                    }
                    if variants.len() > MOST_VARIANTS {
                        return Err(refuse(format!("more than {MOST_VARIANTS} variants")));
                    }
                }
            }
        }
        Ok(variants)
    }

    /// For every printed row of the methods, how far the variants are from it.
    ///
    /// # Errors
    /// If the published numbers cannot be read.
    pub fn answers(&self, results: &Results) -> Result<Vec<Answer>> {
        let published = Published::load()?;
        let mut answers: Vec<Answer> = Vec::new();
        for table in &published.tables {
            for row in &table.rows {
                let wanted = self.scales.contains(&row.scale)
                    && self.methods.iter().any(|method| method.label == row.method);
                let known =
                    answers.iter().any(|a| (&a.scale, &a.method) == (&row.scale, &row.method));
                if !wanted || known {
                    continue;
                }
                let value = |column: &String| {
                    published.value(table.number, &row.method, &row.scale, column)
                };
                let printed: Vec<f64> = self.columns.iter().filter_map(value).collect();
                let mut variants = Vec::new();
                for model in results.models.iter().filter(|model| model.method == row.method) {
                    let cell = |column: &String| {
                        let cells = results.cells.iter();
                        let mut of_model =
                            cells.filter(|c| (&c.model, c.seed) == (&model.id, model.seed));
                        of_model
                            .find(|c| (&c.scale, &c.column) == (&row.scale, column))
                            .map(|c| c.accuracy)
                    };
                    let values: Vec<f64> = self.columns.iter().filter_map(cell).collect();
                    if values.len() == printed.len() && !values.is_empty() {
                        let pairs = values.iter().zip(&printed);
                        let sum: f64 = pairs.map(|(a, b)| (a - b).abs()).sum();
                        let distance = sum / values.len() as f64;
                        let (variant, seed) = (model.id.clone(), model.seed);
                        variants.push(Distance { variant, seed, distance, values });
                    }
                }
                variants.sort_by(|a, b| a.distance.total_cmp(&b.distance));
                let (scale, method) = (row.scale.clone(), row.method.clone());
                answers.push(Answer { table: table.number, scale, method, printed, variants });
            }
        }
        Ok(answers)
    }
}

/// What tells one training of a method from another, its control's included: a setting that has no part in either does
/// not change it, as dreams do not change slow-wave sleep.
fn training(method: &RowSpec, spec: &ExperimentSpec) -> Result<String> {
    let (settings, images) = (Box::new(method.settings(&spec.settings)?), spec.trained_on.images);
    let sources = spec.sources();
    let key = |training, inputs: &[&str]| {
        Work::Train { training, settings: settings.clone(), images }.key(&sources, inputs)
    };
    let control = key(Training::Control, &[]);
    Ok(match method.training {
        Training::Control => control,
        defense => key(defense, &[&control]),
    })
}

fn refuse(problem: String) -> Error {
    Error::argument("sweep", problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataIdentity, ImageSet};
    use crate::method::Profile;
    use crate::nn::architecture::Architecture;

    fn nearest() -> (Sweep, ExperimentSpec) {
        let sweep = parse(include_str!("../../experiments/nearest.toml"), "nearest.toml");
        let spec = ExperimentSpec {
            tables: vec![1],
            figures: vec![3],
            sheets: Vec::new(),
            settings: Settings::new(Profile::Published),
            seeds: vec![0],
            threat_models: Vec::new(),
            images: 100,
            white_box_images: 1,
            largest_class: None,
            architecture: Architecture::default(),
            data: DataIdentity::default(),
            trained_on: ImageSet::default(),
            quick: false,
        };
        (sweep.expect("our own file"), spec)
    }

    #[test]
    fn more_than_anybody_waits_for_is_refused() {
        let refused = |change: fn(&mut Sweep), part: &str| {
            let (mut sweep, mut spec) = nearest();
            change(&mut sweep);
            let error = sweep.graph(&mut spec).expect_err("too much").to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(|sweep| sweep.seeds = usize::MAX, "seeds");
        refused(|sweep| sweep.scales.push(sweep.scales[0].clone()), "twice");
        let many = |sweep: &mut Sweep| {
            sweep.all = true;
            let axis = |name: &str| Axis {
                setting: name.into(),
                values: (30..60).map(|n: usize| n.to_string()).collect(),
            };
            sweep.axes = vec![axis("cycles"), axis("slow_wave.depth"), axis("control.epochs")];
        };
        refused(many, "variants");
        // Values that change nothing are looked at all the same.
        let unread = |sweep: &mut Sweep| {
            let values = (1..10).map(|n: usize| n.to_string()).collect();
            sweep.axes = vec![Axis { setting: "sleep.replay.steps".into(), values }];
        };
        refused(unread, "which no method here reads");
        let twice = |sweep: &mut Sweep| sweep.axes = vec![sweep.axes[0].clone(); 400];
        refused(twice, "two axes over `");
        let same =
            |sweep: &mut Sweep| sweep.axes[1].values = vec!["64/255".into(), "0.2509804".into()];
        refused(same, "`64/255` and `0.2509804`, which are the same");
        let empty = |sweep: &mut Sweep| sweep.methods[0].label = "Fast".into();
        refused(
            empty,
            "the paper prints no row `Fast` at 64/255, 128/255, so nothing could be compared",
        );
        refused(|sweep| sweep.scales[1] = "3/255".into(), "at the scale `3/255`");
    }

    /// A sweep of one method over one setting.
    fn over(defense: &str, setting: &str, values: &[&str]) -> Result<(Graph, ExperimentSpec)> {
        let (mut sweep, mut spec) = nearest();
        let (label, id) = ("DeepSleep".into(), "some".into());
        let training = defense.parse().expect("a defense");
        sweep.methods = vec![RowSpec { label, id, training, set: Default::default() }];
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        sweep.axes = vec![Axis { setting: setting.into(), values }];
        Ok((sweep.graph(&mut spec)?, spec))
    }

    #[test]
    fn every_value_of_an_axis_is_trained_with() {
        let epochs = |graph: &Graph, job: usize| match &graph.jobs[job].work {
            Work::Train { settings, .. } => settings.control.epochs,
            _ => 0,
        };
        for defense in ["none", "fast-wave", "distillation"] {
            let (graph, _) = over(defense, "control.epochs", &["1", "2", "10"]).expect("two more");
            let jobs: HashSet<usize> = graph.models.iter().map(|model| model.job).collect();
            assert_eq!((graph.models.len(), jobs.len()), (3, 3), "{defense}");
            for (model, asked) in graph.models.iter().zip([10, 1, 2]) {
                let input = graph.jobs[model.job].inputs.first();
                let control = input.copied().unwrap_or(model.job);
                assert_eq!(epochs(&graph, control), asked, "{defense}");
            }
        }
    }

    #[test]
    fn an_axis_without_effect_is_refused() {
        for (defense, setting, words) in [
            ("none", "fast_wave.epochs", "which no method here reads"),
            ("fast-wave", "cycles", "which no method here reads"),
            ("deepsleep", "seed", "`seeds = N`"),
            ("none", "seed", "`seeds = N`"),
            ("none", "control.seed", "follows from `seed`"),
            ("deepsleep", "profile", "--profile"),
        ] {
            let value = if setting == "profile" { "paper" } else { "2" };
            let error = over(defense, setting, &[value]).expect_err("no effect").to_string();
            assert!(error.contains(words), "{error}");
        }
        // With what another axis sets, it is read.
        let (mut sweep, mut spec) = nearest();
        sweep.all = true;
        let axis = |setting: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            Axis { setting: setting.into(), values }
        };
        let teacher = axis("distillation.teacher_epochs", &["3"]);
        sweep.axes = vec![axis("distillation.method", &["papernot"]), teacher];
        sweep.graph(&mut spec).expect("a teacher that is trained");
    }

    #[test]
    fn every_change_that_matters_is_tried_once() {
        let (sweep, mut spec) = nearest();
        let graph = sweep.graph(&mut spec).expect("known settings");
        let count = |label: &str| {
            graph.models.iter().filter(|m| m.row.label == label && m.seed == 0).count()
        };
        // As published, and: two sources, an eps, two statistics; all layers, a short sleep.
        assert_eq!(count("Fast-wave only"), 1 + 2 + 1 + 2);
        assert_eq!(count("Slow-wave only"), 1 + 2 + 1 + 1);
        assert_eq!(count("DeepSleep"), 1 + 2 + 1 + 2 + 1 + 1);
        // The teacher's training; two strengths; the replay, two statistics, all layers, a short sleep.
        assert_eq!(count("Defense Distillation"), 1 + 1);
        assert_eq!(count("Adversarial Train"), 1 + 2);
        assert_eq!(count("Sleep Defense"), 1 + 1 + 2 + 1 + 1);
    }
}
