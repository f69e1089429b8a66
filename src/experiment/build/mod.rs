//! From tables to jobs: train the control, craft on it, train each defense, measure each cell, observe what is drawn. A job is
//! in the graph once, however many tables need it.

mod observed;
mod possible;

use crate::attack::{AttackSpec, Norm, parse_eps};
use crate::evaluation::ThreatModel;
use crate::experiment::graph::{CellPlan, Graph, Job, ModelPlan, SetPlan};
use crate::experiment::printed::{Printed, PrintedColumn};
use crate::experiment::sheet::{RowSpec, Sheet};
use crate::experiment::spec::ExperimentSpec;
use crate::experiment::work::Work;
use crate::method::{Defense, Settings, Training};
use crate::snn::SpikingOptions;
use crate::{Error, Result};
use std::sync::Arc;

/// Images that are crafted together: what is lost at most when a craft is interrupted.
const PORTION: usize = 2000;

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
        for &seed in &spec.seeds {
            for sheet in sheets {
                for method in &sheet.rows {
                    let model = graph.model(method, seed, spec)?;
                    for scale in &sheet.scales {
                        for key in &sheet.columns {
                            let column = printed.column_or_attack(key)?;
                            graph.cell(model, (sheet.norm, scale), &column, spec)?;
                        }
                    }
                }
            }
        }
        possible::check(&graph)?;
        Ok(graph)
    }

    /// The attack behind a column: what the paper ran; white-box, and under the profile whose baselines have their full
    /// strength, without what weakened it; in other norms than the paper's, with steps that suit these. None for clean images.
    fn attack(
        column: &PrintedColumn,
        norm: Norm,
        threat_model: ThreatModel,
        is_spiking: bool,
        spec: &ExperimentSpec,
    ) -> Option<AttackSpec> {
        if is_spiking && threat_model == ThreatModel::WhiteBox && column.spiking.is_some() {
            return column.spiking.clone();
        }
        if norm != Norm::Linf && column.other_norms.is_some() {
            return column.other_norms.clone();
        }
        let full =
            threat_model == ThreatModel::WhiteBox || spec.settings.profile.is_full_strength();
        column.full.as_ref().filter(|_| full).or(column.attack.as_ref()).cloned()
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

    fn cell(
        &mut self,
        model: usize,
        (norm, scale): (Norm, &str),
        column: &PrintedColumn,
        spec: &ExperimentSpec,
    ) -> Result<()> {
        let ModelPlan { row, seed, job: trained, control } = &self.models[model];
        let (id, seed, trained, own) = (row.id.clone(), *seed, *trained, *control);
        let settings = row.settings(&spec.settings)?;
        let spiking = row.spiking.then_some(settings.fast_wave.spiking);
        let eps = parse_eps(scale, norm, spec.architecture.input().features());
        let eps = eps.map_err(|error| error.of("noise scale"))?;
        let &[eps] = eps.as_slice() else {
            let problem = format!("`{scale}` is not one noise scale");
            return Err(Error::argument("experiment", problem));
        };
        for &threat_model in &spec.threat_models {
            let key = &column.key;
            let place = (model, norm, scale.to_owned(), key.clone(), threat_model);
            if !self.index.cells.insert(place) {
                continue;
            }
            let images = spec.images_under(threat_model);
            let asked = Self::attack(column, norm, threat_model, spiking.is_some(), spec);
            let (attack, radius, job) = match (asked, threat_model) {
                (None, _) => (None, 0.0, self.clean(&id, (trained, spiking), seed, spec)),
                (Some(attack), ThreatModel::Transfer) => {
                    let attack = attack.transfer_form();
                    let radius = attack.effective_radius(eps)?;
                    let clean = self.clean(&id, (trained, spiking), seed, spec);
                    let control = if self.own_controls { own } else { self.control(seed, spec) };
                    let (source, ball) = ((control, id.as_str(), seed), (norm, radius));
                    let sets = self.set(scale, ball, (column, &attack), source, spec);
                    let name = format!("show {key} {} to {id}, seed {seed}", in_norm(norm, scale));
                    let inputs = [vec![trained, clean], sets].concat();
                    let job = self.job(name, Work::Show { images, spiking }, inputs);
                    (Some(attack), radius, job)
                }
                (Some(attack), ThreatModel::WhiteBox) => {
                    let radius = attack.effective_radius(eps)?;
                    let (eps, asked) = (radius, attack.canonical());
                    let work = Work::Attack { attack: asked, norm, eps, seed, images, spiking };
                    let name =
                        format!("attack {id} by {key} {}, seed {seed}", in_norm(norm, scale));
                    (Some(attack), radius, self.job(name, work, vec![trained]))
                }
            };
            let (scale, column, ball) = (scale.to_owned(), key.clone(), (norm, radius));
            self.cells.push(CellPlan {
                model,
                scale,
                noise: eps,
                column,
                attack,
                ball,
                images,
                threat_model,
                job,
            });
        }
        Ok(())
    }

    /// The job that shows a model all clean images that anything here is asked about.
    fn clean(
        &mut self,
        id: &str,
        (trained, spiking): (usize, Option<SpikingOptions>),
        seed: u64,
        spec: &ExperimentSpec,
    ) -> usize {
        let name = format!("show clean images to {id}, seed {seed}");
        let images = spec.clean_images();
        self.job(name, Work::Show { images, spiking }, vec![trained])
    }

    /// The jobs that craft a set on a control of this seed, that of the model of this id.
    fn set(
        &mut self,
        scale: &str,
        (norm, eps): (Norm, f32),
        (column, attack): (&PrintedColumn, &AttackSpec),
        (control, id, seed): (usize, &str, u64),
        spec: &ExperimentSpec,
    ) -> Vec<usize> {
        let place = (norm, scale.to_owned(), column.key.clone(), control);
        if let Some(&set) = self.index.sets.get(&place) {
            return self.sets[set].jobs.clone();
        }
        let is_common = self.index.controls.get(&seed) == Some(&control);
        let on = if is_common { String::new() } else { format!(" on the control of {id}") };
        let starts = (0..spec.images).step_by(PORTION);
        let jobs: Vec<usize> = starts
            .map(|start| {
                let images = start..spec.images.min(start + PORTION);
                let name = format!(
                    "craft {} {}{on}, images {} to {}, seed {seed}",
                    column.key,
                    in_norm(norm, scale),
                    images.start,
                    images.end - 1
                );
                let work = Work::Craft { attack: attack.canonical(), norm, eps, seed, images };
                self.job(name, work, vec![control])
            })
            .collect();
        self.index.sets.insert(place, self.sets.len());
        let (column, scale) = (column.key.clone(), scale.to_owned());
        self.sets.push(SetPlan { column, norm, scale, seed, jobs: jobs.clone() });
        jobs
    }
}

/// A noise scale for people, with its norm where that is not the paper's.
pub(super) fn in_norm(norm: Norm, scale: &str) -> String {
    if norm == Norm::Linf { scale.to_owned() } else { format!("{norm} {scale}") }
}

#[cfg(test)]
mod tests;
