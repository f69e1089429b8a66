//! Whether the jobs of a graph can be done at all, before anything is trained.

use crate::attack::{AttackSpec, Budget, Norm, Samples, check_attack};
use crate::certify::Certifier;
use crate::experiment::execute::network_of;
use crate::experiment::graph::{Graph, Job};
use crate::experiment::printed::Printed;
use crate::experiment::work::Work;
use crate::method::{Defender, Settings, Training};
use crate::nn::{FrozenNetwork, Model, Network};
use crate::simd::{Isa, Portable};
use crate::snn::SpikingOptions;
use crate::tensor::Context;
use crate::{Error, Result};
use ndarray::Array4;
use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

/// Refuses defenses, spiking forms and attacks that this network, its images or the norm cannot have, by trying each on an
/// untrained network and none of the images.
pub(super) fn check(graph: &Graph) -> Result<()> {
    let input = graph.architecture.input();
    let image = Array4::zeros((1, input.channels, input.height, input.width));
    let mut untrained = Untrained {
        model: Model::new(Arc::clone(&graph.architecture), 0)?,
        networks: Vec::new(),
        tried: HashSet::new(),
        samples: Samples::new(image.view(), vec![0], vec![0])?,
        context: Context::serial(Isa::Portable(Portable)),
    };
    for job in &graph.jobs {
        let result = match &job.work {
            Work::Train { training, settings, .. } => untrained.train(*training, settings),
            Work::Observe(_) | Work::Union { .. } => Ok(()),
            Work::Certify { .. } => Certifier::new(&untrained.model).map(drop),
            Work::Show { spiking, .. } => untrained.network(*spiking).map(drop),
            Work::Craft { attack, norm, eps, .. } => untrained.attack(attack, (*norm, *eps), None),
            Work::Attack { attack, norm, eps, spiking, .. } => {
                untrained.attack(attack, (*norm, *eps), *spiking)
            }
        };
        result.map_err(|error| job.blamed(error))?;
    }
    Ok(())
}

impl Graph {
    /// Refuses trainings whose batches hold more images than there are to train on: for before anything is trained.
    ///
    /// # Errors
    /// If there is one; the job and the setting are named.
    pub fn check_images(&self) -> Result<()> {
        self.jobs.iter().try_for_each(|job| match &job.work {
            Work::Train { training, settings, images } => {
                training.check_images(settings, *images).map_err(|error| job.blamed(error))
            }
            _ => Ok(()),
        })
    }
}

impl Job {
    /// What keeps this job from being done, with its name.
    pub(in crate::experiment) fn blamed(&self, error: impl Display) -> Error {
        Error::argument("experiment", format!("{}: {error}", self.name))
    }
}

/// What jobs are tried on.
struct Untrained {
    model: Model,
    /// Those that were needed so far, each made once: packing the weights of a large network takes a while.
    networks: Vec<(Option<SpikingOptions>, Box<dyn FrozenNetwork>)>,
    /// Attacks, norms, radii and networks that go together.
    tried: HashSet<(String, Norm, u32, usize)>,
    samples: Samples,
    context: Context,
}

impl Untrained {
    fn train(&self, training: Training, settings: &Settings) -> Result<()> {
        match training {
            Training::Control => training
                .batches(settings)
                .iter()
                .try_for_each(|batches| batches.check_shape(self.model.input_shape())),
            Training::Defense(defense) => {
                Defender::new(defense, self.model.clone(), settings.clone()).map(drop)
            }
        }
    }

    /// The place of a network among those that were made.
    fn network(&mut self, spiking: Option<SpikingOptions>) -> Result<usize> {
        if let Some(place) = self.networks.iter().position(|(made, _)| *made == spiking) {
            return Ok(place);
        }
        let network = network_of(&self.model, spiking)?;
        self.networks.push((spiking, network));
        Ok(self.networks.len() - 1)
    }

    fn attack(
        &mut self,
        attack: &AttackSpec,
        (norm, eps): (Norm, f32),
        spiking: Option<SpikingOptions>,
    ) -> Result<()> {
        let place = self.network(spiking)?;
        if !self.tried.insert((attack.to_string(), norm, eps.to_bits(), place)) {
            return Ok(());
        }
        let attack = attack.build()?;
        let info = attack.info();
        if !info.norms.contains(&norm) {
            let (name, why) = (&info.name, info.missing_in(norm));
            let problem = format!(
                "{name} {why}; the paper's columns that exist with norm = '{norm}' are {}",
                columns_in(norm)?.join(", ")
            );
            return Err(Error::argument("attack", problem));
        }
        let (network, budget) = (self.networks[place].1.as_ref(), Budget { norm, eps, seed: 0 });
        check_attack(&self.context, network, &self.samples, attack.as_ref(), budget)
    }
}

/// The columns whose attacks exist in this norm.
fn columns_in(norm: Norm) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for column in Printed::load()?.columns {
        let exists = match &column.attack {
            Some(attack) => attack.build()?.info().norms.contains(&norm),
            None => true,
        };
        keys.extend(exists.then_some(column.key));
    }
    Ok(keys)
}
