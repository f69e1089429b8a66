//! From tables to jobs: train the control, craft on it, train each defense, measure each cell, observe what is drawn. A job is
//! in the graph once, however many tables need it.

mod cells;
mod observed;
mod possible;

use crate::attack::Norm;
use crate::experiment::column::{Column, UNION};
use crate::experiment::graph::{Graph, Job, ModelPlan};
use crate::experiment::printed::Printed;
use crate::experiment::sheet::{RowSpec, Sheet};
use crate::experiment::spec::ExperimentSpec;
use crate::experiment::work::Work;
use crate::method::{Defense, Settings, Training};
use crate::{Error, Result};
use std::sync::Arc;

/// The most models in a graph: more trainings would never finish, and a much larger graph would fill the memory.
const MOST_MODELS: usize = 20_000;

impl Graph {
    /// The graph of a spec.
    ///
    /// # Errors
    /// If a table, a figure, a column, a scale or a setting is unknown, a setting makes no sense, or the network cannot have a
    /// defense, a spiking form or an attack.
    pub fn new(spec: &ExperimentSpec) -> Result<Self> {
        Self::without_pictures(spec)?.with_pictures(spec)
    }

    /// The same, but for what only pictures are drawn from.
    pub(super) fn without_pictures(spec: &ExperimentSpec) -> Result<Self> {
        let tables = spec.tables.iter().map(|&number| Sheet::of_table(number));
        let figures = spec.figures.iter().map(|&number| Sheet::of_figure(number));
        let mut sheets = tables.chain(figures).collect::<Result<Vec<_>>>()?;
        if let Some(only) = &spec.only {
            sheets = sheets.into_iter().filter_map(|sheet| only.of(sheet)).collect();
        }
        sheets.extend_from_slice(&spec.sheets);
        Self::default().with_sheets(&sheets, spec)
    }

    /// The graph of variants of one experiment: each is what the whole experiment would be with its settings, so a variant with
    /// another control is shown images that are crafted on that one.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of_variants(sheet: Sheet, spec: &ExperimentSpec) -> Result<Self> {
        Self { own_controls: true, ..Self::default() }.with_sheets(&[sheet], spec)
    }

    fn with_sheets(self, sheets: &[Sheet], spec: &ExperimentSpec) -> Result<Self> {
        let printed = Printed::load()?;
        spec.settings.validate()?;
        let (sources, images) = (spec.sources(), spec.images_read());
        let architecture = Arc::new(spec.architecture.clone());
        let mut graph = Self { sources, images, architecture, ..self };
        for sheet in sheets {
            sheet.validate()?;
            sheet.rows.iter().try_for_each(|method| method.validate(&spec.settings))?;
        }
        let methods: usize = sheets.iter().map(|sheet| sheet.rows.len()).sum();
        let (seeds, models) = (spec.seeds.len(), methods.saturating_mul(spec.seeds.len()));
        if models > MOST_MODELS {
            let problem = format!(
                "{methods} methods with {seeds} seeds are {models} models; there can be {MOST_MODELS}"
            );
            return Err(Error::argument("experiment", problem));
        }
        let columns = sheets.iter().map(|sheet| columns(sheet, &printed));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for &seed in &spec.seeds {
            for (sheet, columns) in sheets.iter().zip(&columns) {
                for method in &sheet.rows {
                    let model = graph.model(method, seed, spec)?;
                    for scale in &sheet.scales {
                        graph.cells(model, (sheet, scale), columns, spec)?;
                    }
                }
            }
        }
        possible::check(&graph)?;
        Ok(graph)
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

    /// The control of the experiment: what transfer attacks are crafted on, and what methods start from that do not
    /// change its settings.
    fn control(&mut self, seed: u64, spec: &ExperimentSpec) -> usize {
        if let Some(&control) = self.index.controls.get(&seed) {
            return control;
        }
        let settings = Settings { seed, ..spec.settings.clone() };
        let control = self.train(format!("train control, seed {seed}"), None, settings, spec);
        self.index.controls.insert(seed, control);
        control
    }

    /// A training, on a control or of one.
    fn train(
        &mut self,
        name: String,
        defended: Option<(&'static dyn Defense, usize)>,
        settings: Settings,
        spec: &ExperimentSpec,
    ) -> usize {
        let (settings, images) = (Box::new(settings), spec.trained_on.images);
        let training =
            defended.map_or(Training::Control, |(defense, _)| Training::Defense(defense));
        let work = Work::Train { training, settings, images };
        self.job(name, work, defended.map(|(_, control)| control).into_iter().collect())
    }

    fn model(&mut self, method: &RowSpec, seed: u64, spec: &ExperimentSpec) -> Result<usize> {
        let place = (method.clone(), seed);
        if let Some(&model) = self.index.models.get(&place) {
            return Ok(model);
        }
        let settings = Settings { seed, ..method.settings(&spec.settings)? };
        let control = if settings.control == spec.settings.control {
            self.control(seed, spec)
        } else {
            let name = format!("train control of {}, seed {seed}", method.id);
            self.train(name, None, settings.clone(), spec)
        };
        let job = match method.training.defense() {
            None => control,
            Some(defense) => {
                let name = format!("train {}, seed {seed}", method.id);
                self.train(name, Some((defense, control)), settings, spec)
            }
        };
        self.index.models.insert(place, self.models.len());
        self.models.push(ModelPlan { row: method.clone(), seed, job, control });
        Ok(self.models.len() - 1)
    }
}

/// The columns of a sheet with their keys. A union without an attack beside it is refused: it would be of nothing.
fn columns<'a>(sheet: &'a Sheet, printed: &Printed) -> Result<Vec<(&'a String, Column)>> {
    let columns = sheet.columns.iter().map(|key| Ok((key, Column::of(key, printed)?)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let attacks = columns.iter().filter(|(_, column)| column.is_attack()).count();
    if attacks == 0 && columns.iter().any(|(_, column)| *column == Column::Union) {
        let problem = format!(
            "the column `{UNION}` is of the attacks beside it, and there are none; add one to `columns`, such as `autoattack`"
        );
        return Err(Error::argument("experiment", problem));
    }
    Ok(columns)
}

/// A noise scale for people, with its norm where that is not the paper's.
pub(super) fn in_norm(norm: Norm, scale: &str) -> String {
    if norm == Norm::Linf { scale.to_owned() } else { format!("{norm} {scale}") }
}

#[cfg(test)]
mod tests;
