//! The cells of a row at a noise scale, one a column and threat model, and the jobs behind them.

use super::in_norm;
use crate::attack::{AttackSpec, Norm, parse_eps};
use crate::certify::BoundMethod;
use crate::evaluation::ThreatModel;
use crate::experiment::column::Column;
use crate::experiment::graph::{CellPlan, Graph, SetPlan};
use crate::experiment::printed::PrintedColumn;
use crate::experiment::sheet::Sheet;
use crate::experiment::spec::ExperimentSpec;
use crate::experiment::work::Work;
use crate::snn::SpikingOptions;
use crate::{Error, Result};

/// Images that are crafted together: what is lost at most when a craft is interrupted.
const PORTION: usize = 2000;

/// A model at a noise scale: where the cells of a row are.
struct ModelAtScale<'a> {
    /// Place of the model among the models.
    model: usize,
    /// The row's name for files, and the seed.
    id: String,
    seed: u64,
    /// The job that trains it, and how it spikes, if it is run as a spiking network.
    run: (usize, Option<SpikingOptions>),
    /// The job that trains the control it starts from.
    control: usize,
    norm: Norm,
    /// The noise scale, as it is written and as a number.
    scale: &'a str,
    eps: f32,
}

/// The columns of a sheet, each with its key.
pub(super) type Columns<'a> = [(&'a String, Column)];

impl Graph {
    /// The cells of a model at a noise scale of a sheet.
    pub(super) fn cells(
        &mut self,
        model: usize,
        (sheet, scale): (&Sheet, &str),
        columns: &Columns<'_>,
        spec: &ExperimentSpec,
    ) -> Result<()> {
        let target = self.target(model, (sheet.norm, scale), spec)?;
        for (key, column) in columns {
            match column {
                Column::Shown(column) => self.answers(&target, column, spec)?,
                Column::Certified(bounds) => self.certified(&target, (key, *bounds), spec)?,
                Column::Union => {}
            }
        }
        // Last, as they are of the cells of all attacks.
        for (key, _) in columns.iter().filter(|(_, column)| *column == Column::Union) {
            self.union(&target, key, columns, spec)?;
        }
        Ok(())
    }

    fn target<'a>(
        &self,
        model: usize,
        (norm, scale): (Norm, &'a str),
        spec: &ExperimentSpec,
    ) -> Result<ModelAtScale<'a>> {
        let plan = &self.models[model];
        let settings = plan.row.settings(&spec.settings)?;
        let spiking = plan.row.spiking.then_some(settings.fast_wave.spiking);
        let eps = parse_eps(scale, norm, spec.architecture.input().features());
        let eps = eps.map_err(|error| error.of("noise scale"))?;
        let &[eps] = eps.as_slice() else {
            let problem = format!("`{scale}` is not one noise scale");
            return Err(Error::argument("experiment", problem));
        };
        let (id, seed, control) = (plan.row.id.clone(), plan.seed, plan.control);
        Ok(ModelAtScale { model, id, seed, run: (plan.job, spiking), control, norm, scale, eps })
    }

    /// What the model makes of clean images, or of those of an attack.
    fn answers(
        &mut self,
        target: &ModelAtScale<'_>,
        column: &PrintedColumn,
        spec: &ExperimentSpec,
    ) -> Result<()> {
        let &ModelAtScale { ref id, seed, run: (trained, spiking), norm, scale, eps, .. } = target;
        let key = &column.key;
        for &threat_model in &spec.threat_models {
            if self.index.cells.contains_key(&target.place(key, threat_model)) {
                continue;
            }
            let images = spec.images_under(threat_model);
            let asked = attack_of(column, norm, threat_model, spiking.is_some(), spec);
            let (attack, radius, job) = match (asked, threat_model) {
                (None, _) => (None, 0.0, self.clean(target, spec)),
                (Some(attack), ThreatModel::Transfer) => {
                    let attack = attack.transfer_form();
                    let radius = attack.effective_radius(eps)?;
                    let clean = self.clean(target, spec);
                    let sets = self.set(target, (column, &attack), radius, spec);
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
            self.cell(target, (key, threat_model), (attack, radius), job, spec);
        }
        Ok(())
    }

    /// Which images are certified: of the model itself, as white-box cells are.
    fn certified(
        &mut self,
        target: &ModelAtScale<'_>,
        (key, bounds): (&String, BoundMethod),
        spec: &ExperimentSpec,
    ) -> Result<()> {
        let &ModelAtScale { ref id, seed, run: (trained, spiking), norm, scale, eps, .. } = target;
        let problem = match (spiking, norm) {
            (Some(_), _) => format!(
                "row `{id}`: the column `{key}` bounds networks with ReLUs, and this row is a spiking one; leave the column out, or the row"
            ),
            (None, Norm::Linf) if !spec.threat_models.contains(&ThreatModel::WhiteBox) => format!(
                "the column `{key}` is of the model itself; leave it out, or ask for white-box attacks too"
            ),
            (None, Norm::Linf) => {
                let threat_model = ThreatModel::WhiteBox;
                if !self.index.cells.contains_key(&target.place(key, threat_model)) {
                    let images = spec.images_under(threat_model);
                    let name =
                        format!("certify {id} by {} bounds {scale}, seed {seed}", bounds.name());
                    let work = Work::Certify { bounds, eps, images };
                    let job = self.job(name, work, vec![trained]);
                    self.cell(target, (key, threat_model), (None, eps), job, spec);
                }
                return Ok(());
            }
            (None, norm) => format!(
                "the column `{key}` bounds perturbations in linf; leave it out with norm = '{norm}'"
            ),
        };
        Err(Error::argument("experiment", problem))
    }

    /// Which images withstand all attacks of the sheet.
    fn union(
        &mut self,
        target: &ModelAtScale<'_>,
        key: &String,
        columns: &Columns<'_>,
        spec: &ExperimentSpec,
    ) -> Result<()> {
        let &ModelAtScale { ref id, seed, norm, scale, eps, .. } = target;
        for &threat_model in &spec.threat_models {
            let attacks = columns.iter().filter(|(_, column)| column.is_attack());
            let cells = attacks.filter_map(|(attack, _)| {
                self.index.cells.get(&target.place(attack, threat_model))
            });
            let inputs = cells.map(|&cell| self.cells[cell].job).collect();
            let scale = in_norm(norm, scale);
            let name =
                format!("union of attacks {} {scale} on {id}, seed {seed}", threat_model.name());
            let job = self.job(name, Work::Union { norm, eps }, inputs);
            match self.index.cells.get(&target.place(key, threat_model)) {
                None => self.cell(target, (key, threat_model), (None, eps), job, spec),
                Some(&cell) if self.cells[cell].job == job => {}
                Some(_) => {
                    let problem = format!(
                        "row `{id}` has the column `{key}` at {scale} in two sheets, of different attacks; leave one of them out"
                    );
                    return Err(Error::argument("experiment", problem));
                }
            }
        }
        Ok(())
    }

    /// Adds a cell.
    fn cell(
        &mut self,
        target: &ModelAtScale<'_>,
        (key, threat_model): (&String, ThreatModel),
        (attack, radius): (Option<AttackSpec>, f32),
        job: usize,
        spec: &ExperimentSpec,
    ) {
        self.index.cells.insert(target.place(key, threat_model), self.cells.len());
        self.cells.push(CellPlan {
            model: target.model,
            scale: target.scale.to_owned(),
            noise: target.eps,
            column: key.clone(),
            attack,
            ball: (target.norm, radius),
            images: spec.images_under(threat_model),
            threat_model,
            job,
        });
    }

    /// The job that shows a model all clean images that anything here is asked about.
    fn clean(&mut self, target: &ModelAtScale<'_>, spec: &ExperimentSpec) -> usize {
        let &ModelAtScale { ref id, seed, run: (trained, spiking), .. } = target;
        let name = format!("show clean images to {id}, seed {seed}");
        let images = spec.clean_images();
        self.job(name, Work::Show { images, spiking }, vec![trained])
    }

    /// The jobs that craft a set within a radius, on the control that is the model's source.
    fn set(
        &mut self,
        target: &ModelAtScale<'_>,
        (column, attack): (&PrintedColumn, &AttackSpec),
        eps: f32,
        spec: &ExperimentSpec,
    ) -> Vec<usize> {
        let &ModelAtScale { ref id, seed, norm, scale, .. } = target;
        let control = if self.own_controls { target.control } else { self.control(seed, spec) };
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

impl ModelAtScale<'_> {
    /// The place of a cell in the index.
    fn place(
        &self,
        key: &str,
        threat_model: ThreatModel,
    ) -> (usize, Norm, String, String, ThreatModel) {
        (self.model, self.norm, self.scale.to_owned(), key.to_owned(), threat_model)
    }
}

/// The attack behind a column: what the paper ran; white-box, and under the profile whose baselines have their full
/// strength, without what weakened it; in other norms than the paper's, with steps that suit these. None for clean images.
fn attack_of(
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
    let full = threat_model == ThreatModel::WhiteBox || spec.settings.profile.is_full_strength();
    column.full.as_ref().filter(|_| full).or(column.attack.as_ref()).cloned()
}
