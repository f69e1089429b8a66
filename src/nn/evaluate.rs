//! Predictions and accuracy of a frozen network, with one tape per worker.

use super::{FrozenNetwork, decision_noise};
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::kernels::cross_entropy::arg_max;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes, LanesU32};
use crate::tensor::Context;
use crate::{Error, Result};

/// Samples that a worker takes from pixels to logits at a time: two blocks, whose feature maps stay in L2.
const CHUNK: usize = 2 * LANES;

/// What a network makes of one image, by all draws that decide about it ([`Classifier::draws`](super::Classifier::draws)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The predicted class: of the mean logits the largest one's, the first of equals. None if a logit of a draw is not
    /// finite: that is no answer.
    pub class: Option<usize>,
    /// In how many of the draws the label was predicted; in none where there is no class.
    pub right: usize,
}

/// The predicted class of every image: the largest logit's, the first of equals. A random network is judged by the draws
/// of seed 0; [`decisions`] knows others.
///
/// # Errors
/// If the images do not have the network's shape, or a logit is not finite.
pub fn predictions(
    context: &Context,
    network: &dyn FrozenNetwork,
    data: &Dataset,
) -> Result<Vec<usize>> {
    let all = decisions(context, network, data, 0, 0)?;
    let class = |(i, decision): (usize, Decision)| {
        decision.class.ok_or_else(|| Error::NotFinite {
            place: format!("evaluation, image {i}"),
            problem: "a logit is not finite: the weights are damaged or far too large".into(),
        })
    };
    all.into_iter().enumerate().map(class).collect()
}

/// What a network makes of every image. Of a random network the draws are those of `seed` and of each image's identity,
/// which is `first` plus its place in `data`: parts of a set get the decisions of the whole, and attacks on the same
/// samples and seed start from the same ones.
///
/// # Errors
/// If the images do not have the network's input shape.
pub fn decisions(
    context: &Context,
    network: &dyn FrozenNetwork,
    data: &Dataset,
    first: u64,
    seed: u64,
) -> Result<Vec<Decision>> {
    if network.classes() < 2 {
        let problem = format!("a model of {} classes; 2 or more", network.classes());
        return Err(Error::argument("evaluation", problem));
    }
    if data.classes() > network.classes() {
        let (found, at_most) = (data.classes(), network.classes());
        return Err(Error::shape(
            "evaluation",
            format!("at most {at_most} classes"),
            found.to_string(),
        ));
    }
    check_memory(context, network.sample_bytes(), CHUNK)?;
    let mut decisions = vec![Decision::default(); data.len()];
    let workers = context.workers(|context| Judge {
        tape: Tape::new(context),
        indices: Vec::with_capacity(CHUNK),
        mean: Vec::new(),
    });
    workers.chunks(&mut decisions, CHUNK, |judge, i, decisions| {
        judge.indices.clear();
        judge.indices.extend(i * CHUNK..i * CHUNK + decisions.len());
        let noise = |index: usize, draw| decision_noise(seed, first + index as u64, draw);
        let result = judge.decisions(network, data, &noise, decisions);
        judge.tape.reset();
        result
    })?;
    Ok(decisions)
}

/// Refuses a network whose samples need more memory than the threads have.
pub(crate) fn check_memory(context: &Context, sample_bytes: usize, samples: usize) -> Result<()> {
    let all = (context.threads() * samples) as u64;
    let bytes = all.saturating_mul(sample_bytes as u64);
    let what = format!("this network, of {all} images at a time");
    let remedy = "use fewer threads, a smaller network, or fewer time steps";
    crate::memory::check("evaluation", bytes, &what, remedy)
}

/// What one worker judges with.
struct Judge {
    tape: Tape,
    indices: Vec<usize>,
    /// Logits `[block][class]`, over the draws.
    mean: Vec<Lanes>,
}

impl Judge {
    fn decisions(
        &mut self,
        network: &dyn FrozenNetwork,
        data: &Dataset,
        noise: &dyn Fn(usize, usize) -> Key,
        decisions: &mut [Decision],
    ) -> Result<()> {
        let Self { tape, indices, mean } = self;
        let isa = tape.context().isa();
        let (draws, classes) = (network.draws().max(1), network.classes());
        mean.clear();
        mean.resize(indices.len().div_ceil(LANES) * classes, Lanes::ZERO);
        let mut best = LanesU32::ZERO;
        for draw in 0..draws {
            tape.reset();
            let mut images = tape.tensor(network.input_shape(), indices.len(), 1);
            data.gather(tape.context(), indices, &mut images)?;
            let x = tape.constant(images);
            tape.set_noise(indices.iter().map(|&index| noise(index, draw)));
            let logits = network.logits(tape, x)?;
            for (block, decisions) in decisions.chunks_mut(LANES).enumerate() {
                let logits = tape.value(logits).block(block);
                let first = indices[block * LANES];
                arg_max(isa, logits, &mut best);
                for (i, (decision, &best)) in decisions.iter_mut().zip(&best.0).enumerate() {
                    let answers = logits.iter().all(|lanes| lanes.0[i].is_finite());
                    let class = answers.then_some(best as usize);
                    decision.right += usize::from(class == Some(data.label(first + i)));
                    // What is no answer once is none.
                    decision.class = if draw == 0 { class } else { decision.class.and(class) };
                }
                for (mean, z) in mean[block * classes..].iter_mut().zip(logits) {
                    mean.0.iter_mut().zip(&z.0).for_each(|(mean, z)| *mean += z / draws as f32);
                }
            }
        }
        if draws > 1 {
            for (mean, decisions) in mean.chunks(classes).zip(decisions.chunks_mut(LANES)) {
                arg_max(isa, mean, &mut best);
                let classes = decisions.iter_mut().zip(&best.0);
                classes.for_each(|(decision, &best)| {
                    decision.class = decision.class.and(Some(best as usize));
                    decision.right *= usize::from(decision.class.is_some());
                });
            }
        }
        Ok(())
    }
}

/// The share of images whose predicted class is their label.
///
/// # Errors
/// As for [`predictions`], or if there are no images.
pub fn accuracy(context: &Context, network: &dyn FrozenNetwork, data: &Dataset) -> Result<f64> {
    if data.is_empty() {
        return Err(Error::argument("accuracy", "there are no images"));
    }
    let classes = predictions(context, network, data)?;
    let right = classes.iter().enumerate().filter(|&(i, &class)| class == data.label(i)).count();
    Ok(right as f64 / data.len() as f64)
}
