//! Whether the attacks of a graph can be run at all, before anything is trained.

use crate::Result;
use crate::attack::{Budget, Samples, check_attack};
use crate::experiment::graph::Graph;
use crate::experiment::work::Work;
use crate::nn::{Freeze, FrozenNetwork, Model};
use crate::simd::{Isa, Portable};
use crate::snn::{SpikingModel, Statistics};
use crate::tensor::Context;
use ndarray::Array4;
use std::collections::HashSet;
use std::sync::Arc;

/// Refuses attacks that this network, its images or the norm cannot have, by trying each on an untrained network and none of
/// the images.
pub(super) fn check(graph: &Graph) -> Result<()> {
    let model = Model::new(Arc::clone(&graph.architecture), 0)?;
    let input = graph.architecture.input();
    let image = Array4::zeros((1, input.channels, input.height, input.width));
    let samples = Samples::new(image.view(), vec![0], vec![0])?;
    let context = Context::serial(Isa::Portable(Portable));
    let mut checked = HashSet::new();
    for job in &graph.jobs {
        let (attack, norm, eps, spiking) = match &job.work {
            Work::Craft { attack, norm, eps, .. } => (attack, *norm, *eps, None),
            Work::Attack { attack, norm, eps, spiking, .. } => (attack, *norm, *eps, *spiking),
            Work::Train { .. } | Work::Show { .. } => continue,
        };
        if !checked.insert((attack.to_string(), norm, eps.to_bits(), spiking.is_some())) {
            continue;
        }
        let network: Box<dyn FrozenNetwork> = match spiking {
            None => Box::new(model.freeze()?),
            Some(options) => {
                let model = SpikingModel::from_model(&model, options, Statistics::Carry)?;
                Box::new(model.freeze()?)
            }
        };
        let budget = Budget { norm, eps, seed: 0 };
        check_attack(&context, network.as_ref(), &samples, attack.build()?.as_ref(), budget)?;
    }
    Ok(())
}
