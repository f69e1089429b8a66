//! The slow waves of lucid sleep: the first convolution learns from images alone, without labels or gradients, which of
//! its synapses to keep, and at which responses its neurons open.
//!
//! A filter whose weights have an L1 norm of 1 answers a perturbation of at most eps by at most eps. Down-selection makes
//! synapses compete under that constant sum: Hebbian growth, inhibition by the neurons that hold more of the same tap, and
//! the same loss for all, which weak synapses do not survive (Tononi and Cirelli 2014). Homeostasis then puts the threshold
//! of every other neuron just above what an image's dark state can be raised to, and of the others just below what its
//! bright state can be lowered to: between the two, a perturbation moves nothing. It takes images that are mostly black or
//! white.

mod options;

use crate::data::Dataset;
use crate::nn::architecture::Op;
use crate::nn::{Model, Network, RunningStatistics};
use crate::simd::random::Key;
use crate::{Error, Result};
pub use options::LucidOptions;
use rand::Rng;

/// The first layer of a network, as its slow waves see it.
struct First {
    /// Its weights among the parameters.
    weight: usize,
    outputs: usize,
    /// Channels, kernel rows and columns.
    sides: [usize; 3],
    /// The parameters of the batch normalization behind it, and its place among the statistics.
    norm: usize,
    norm_eps: f32,
    /// Its bias, if it has one.
    bias: Option<usize>,
}

/// Refuses networks whose first layer cannot sleep so.
///
/// # Errors
/// If the image does not go straight into a convolution of one group with a batch normalization behind it, which holds the
/// thresholds.
pub fn check(model: &Model) -> Result<()> {
    First::of(model).map(|_| ())
}

impl First {
    fn of(model: &Model) -> Result<Self> {
        let architecture = model.architecture();
        let fail = |found: String| {
            Err(Error::argument(
                "lucid sleep",
                format!(
                    "it takes a network that begins with a convolution of one group and a batch normalization behind it; \
                     {found}"
                ),
            ))
        };
        let nodes = architecture.nodes();
        let users: Vec<usize> =
            (0..nodes.len()).filter(|&i| architecture.sources(i).contains(&0)).collect();
        let [first] = users[..] else {
            return fail(format!("{} nodes of this one take the image", users.len()));
        };
        let Op::Conv2d { out, kernel, groups, bias, .. } = nodes[first].op else {
            return fail(format!(
                "`{}` of this one is a {}",
                nodes[first].name,
                nodes[first].op.name()
            ));
        };
        let next: Vec<usize> =
            (0..nodes.len()).filter(|&i| architecture.sources(i).contains(&(first + 1))).collect();
        let norm = match next[..] {
            [next] if groups == 1 => next,
            [_] => return fail(format!("`{}` of this one has {groups} groups", nodes[first].name)),
            _ => {
                let (name, users) = (&nodes[first].name, next.len());
                return fail(format!("{users} nodes of this one take the result of `{name}`"));
            }
        };
        let Op::BatchNorm { eps, .. } = nodes[norm].op else {
            return fail(format!(
                "`{}` of this one is a {}",
                nodes[norm].name,
                nodes[norm].op.name()
            ));
        };
        let place = |name: String| {
            model.parameters().iter().position(|parameter| parameter.name == name).ok_or_else(
                || Error::argument("lucid sleep", format!("there is no parameter `{name}`")),
            )
        };
        let [y, x] = kernel.0;
        let conv = &nodes[first].name;
        Ok(Self {
            weight: place(format!("{conv}.weight"))?,
            outputs: out,
            sides: [architecture.input().channels, y, x],
            norm: place(format!("{}.weight", nodes[norm].name))?,
            norm_eps: eps,
            bias: if bias { Some(place(format!("{conv}.bias"))?) } else { None },
        })
    }

    fn taps(&self) -> usize {
        self.sides.iter().product()
    }

    /// What each neuron says at most: its gain times the L1 norm of its weights. The batch normalization of the first layer
    /// is the first of all.
    fn loudness(&self, model: &Model) -> Vec<f32> {
        let parameters: Vec<_> = model.parameters().iter().collect();
        let statistics = &model.statistics()[0];
        let rows = parameters[self.weight].values.chunks(self.taps());
        let gains = parameters[self.norm].values.iter().zip(&statistics.variance);
        rows.zip(gains)
            .map(|(row, (scale, variance))| {
                scale.abs() / (variance + self.norm_eps).sqrt() * l1(row)
            })
            .collect()
    }
}

fn l1(weights: &[f32]) -> f32 {
    weights.iter().map(|w| w.abs()).sum()
}

fn normalize(weights: &mut [f32]) {
    let sum = l1(weights).max(f32::MIN_POSITIVE);
    weights.iter_mut().for_each(|w| *w /= sum);
}

/// Random patches of a pass, in one row a patch.
fn patches(data: &Dataset, sides: [usize; 3], count: usize, key: Key, out: &mut Vec<f32>) {
    let shape = data.shape();
    let [channels, height, width] = sides;
    out.clear();
    let random = &mut key.generator();
    let mut below = |bound: usize| ((u64::from(random.next_u32()) * bound as u64) >> 32) as usize;
    for _ in 0..count {
        let image = data.image(below(data.len()));
        let y = below(shape.height.saturating_sub(height) + 1);
        let x = below(shape.width.saturating_sub(width) + 1);
        for channel in 0..channels {
            for row in 0..height {
                let at = (channel * shape.height + y + row) * shape.width + x;
                out.extend_from_slice(&image[at..at + width]);
            }
        }
    }
}

/// One slow-wave sleep of a model's first layer against perturbations of `eps`: all of its neurons, or only those that are
/// silent. Everything random follows from `key`.
///
/// # Errors
/// If the network or the images are not of the kind that can sleep so.
pub fn slow_waves(
    model: &mut Model,
    data: &Dataset,
    options: &LucidOptions,
    eps: f32,
    only_silent: bool,
    key: Key,
) -> Result<()> {
    let first = First::of(model)?;
    let (sides, taps) = (first.sides, first.taps());
    let shape = data.shape();
    if data.is_empty()
        || shape.channels != sides[0]
        || shape.height < sides[1]
        || shape.width < sides[2]
    {
        let found = format!("{} images of {shape}", data.len());
        return Err(Error::shape(
            "lucid sleep",
            format!("images with patches of {sides:?}"),
            found,
        ));
    }
    let loud = first.loudness(model);
    let loudest = loud.iter().fold(0.0_f32, |most, &l| most.max(l));
    let sleeps: Vec<bool> =
        loud.iter().map(|&l| !only_silent || l <= options.silent * loudest).collect();
    let mut filters: Vec<f32> = {
        let parameter = model.parameters().iter().nth(first.weight);
        // A synapse of exactly 0 could not grow.
        parameter.map_or_else(Vec::new, |p| p.values.iter().map(|w| w.abs() + 1e-3).collect())
    };
    filters.chunks_mut(taps).for_each(normalize);
    let (mut seen, mut responses) = (Vec::new(), Vec::new());
    // Without down-selection a pass leaves nothing behind but the last one's patches, which thresholds are set by.
    let first_pass = if options.down_selection { 0 } else { options.passes - 1 };
    for pass in first_pass..options.passes {
        patches(data, sides, options.patches, key.with(pass as u64), &mut seen);
        if options.down_selection {
            respond(&filters, &seen, taps, &mut responses);
            select(&mut filters, &seen, taps, &responses, &sleeps, options);
        }
    }
    respond(&filters, &seen, taps, &mut responses);
    settle(model, &first, &filters, &mut responses, &sleeps, options, eps, only_silent);
    Ok(())
}

/// The response of every neuron to every patch, `[neuron][patch]`.
fn respond(filters: &[f32], seen: &[f32], taps: usize, out: &mut Vec<f32>) {
    out.clear();
    for filter in filters.chunks(taps) {
        out.extend(
            seen.chunks(taps)
                .map(|patch| filter.iter().zip(patch).map(|(w, x)| w * x).sum::<f32>()),
        );
    }
}

/// One round of competition.
fn select(
    filters: &mut [f32],
    seen: &[f32],
    taps: usize,
    responses: &[f32],
    sleeps: &[bool],
    options: &LucidOptions,
) {
    let patches = seen.len() / taps;
    let neurons = sleeps.len();
    for neuron in (0..neurons).filter(|&n| sleeps[n]) {
        let mut drive = vec![0.0_f32; taps];
        for (patch, response) in seen.chunks(taps).zip(&responses[neuron * patches..][..patches]) {
            drive.iter_mut().zip(patch).for_each(|(drive, x)| *drive += response * x);
        }
        let mean = (drive.iter().sum::<f32>() / taps as f32).max(f32::MIN_POSITIVE);
        for tap in 0..taps {
            // Neurons of the same half inhibit one another at a tap that one of them holds more of.
            let others = (neuron % 2..neurons).step_by(2).filter(|&other| other != neuron);
            let rival = others.map(|other| filters[other * taps + tap]).fold(0.0, f32::max);
            let weight = &mut filters[neuron * taps + tap];
            let inhibited = options.inhibition * (rival - *weight).max(0.0);
            let growth = 1.0 + options.learning_rate * (drive[tap] / mean - 1.0 - inhibited);
            *weight *= growth.clamp(options.change[0], options.change[1]);
        }
        let filter = &mut filters[neuron * taps..][..taps];
        filter.iter_mut().for_each(|w| *w = (w.max(1e-6) - options.decay).max(0.0));
        if l1(filter) == 0.0 {
            // All were weak: none was weaker than the others.
            filter.fill(1.0);
        }
        normalize(filter);
    }
}

/// Writes filters and thresholds into the model.
#[expect(clippy::too_many_arguments, reason = "all that a sleep has found out")]
fn settle(
    model: &mut Model,
    first: &First,
    filters: &[f32],
    responses: &mut [f32],
    sleeps: &[bool],
    options: &LucidOptions,
    eps: f32,
    only_silent: bool,
) {
    let (taps, neurons) = (first.taps(), sleeps.len());
    let patches = responses.len() / neurons.max(1);
    let mut statistics = if only_silent {
        model.statistics()[0].clone()
    } else {
        RunningStatistics::new(first.outputs)
    };
    let mut settled = Vec::new();
    for neuron in (0..neurons).filter(|&n| sleeps[n]) {
        let responses = &mut responses[neuron * patches..][..patches];
        let mean = responses.iter().map(|&r| f64::from(r)).sum::<f64>() / patches as f64;
        let variance =
            responses.iter().map(|&r| (f64::from(r) - mean).powi(2)).sum::<f64>() / patches as f64;
        let (mean, variance) = (mean as f32, (variance as f32).max(1e-6));
        (statistics.mean[neuron], statistics.variance[neuron]) = (mean, variance);
        responses.sort_by(f32::total_cmp);
        let quantile = |share: f32| responses[((share * patches as f32) as usize).min(patches - 1)];
        let threshold = if neuron.is_multiple_of(2) {
            quantile(options.down) + eps + options.distance
        } else {
            quantile(options.up) - eps - options.distance
        };
        let (scale, shift) = if options.homeostasis {
            let deviation = (variance + first.norm_eps).sqrt();
            (options.gain * deviation, options.gain * (mean - threshold))
        } else {
            (1.0, 0.0)
        };
        settled.push((neuron, scale, shift));
    }
    model.statistics_mut()[0] = statistics;
    for (i, parameter) in model.parameters_mut().iter_mut().enumerate() {
        for &(neuron, scale, shift) in &settled {
            if i == first.weight {
                let range = neuron * taps..(neuron + 1) * taps;
                parameter.values[range.clone()].copy_from_slice(&filters[range]);
            } else if i == first.norm {
                parameter.values[neuron] = scale;
            } else if i == first.norm + 1 {
                parameter.values[neuron] = shift;
            } else if Some(i) == first.bias {
                parameter.values[neuron] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::architecture::Architecture;
    use crate::tensor::Shape;

    /// Black images with white squares.
    fn squares() -> Dataset {
        let pixel = |i: usize| {
            let (n, y, x) = (i / 784, i / 28 % 28, i % 28);
            let (top, left) = (3 + n % 11, 2 + n % 13);
            let inside = (top..top + 9).contains(&y) && (left..left + 8).contains(&x);
            f32::from(u8::from(inside))
        };
        let labels = (0..40).map(|n| n % 10).collect();
        let images = (0..40 * 784).map(pixel).collect();
        Dataset::from_floats(images, labels, Shape::new(1, 28, 28), 10).expect("images")
    }

    #[test]
    fn filters_end_on_one_tap_of_sum_one_and_thresholds_beyond_the_reach_of_eps() {
        let (mut model, data) = (Model::lenet(1), squares());
        let (options, eps) = (LucidOptions::default(), 0.25);
        slow_waves(&mut model, &data, &options, eps, false, Key::new(3)).expect("it sleeps");
        let weight = &model.parameters().get("conv1.weight").expect("weights").values;
        for filter in weight.chunks(25) {
            assert!(filter.iter().all(|w| *w >= 0.0) && (l1(filter) - 1.0).abs() < 1e-5);
            // Down-selection has left a few of 25 synapses.
            let left = filter.iter().filter(|w| **w > 0.0).count();
            assert!(left <= 3, "{filter:?}");
        }
        // Where the rectifier opens: scale (x - mean) / deviation + shift = 0.
        let values = |name: &str| model.parameters().get(name).expect("a parameter").values.clone();
        let (scale, shift) = (values("bn1.weight"), values("bn1.bias"));
        let statistics = &model.statistics()[0];
        for n in 0..10 {
            let deviation = (statistics.variance[n] + 1e-5).sqrt();
            let threshold = statistics.mean[n] - shift[n] * deviation / scale[n];
            // The images are black and white: their quantiles are 0 and 1.
            let expected = if n % 2 == 0 { eps + 0.01 } else { 1.0 - eps - 0.01 };
            assert!((threshold - expected).abs() < 1e-2, "neuron {n}: {threshold} {expected}");
            assert!((scale[n] / deviation - options.gain).abs() < 1e-4);
        }
    }

    #[test]
    fn only_silent_neurons_sleep_in_later_cycles() {
        let (mut model, data) = (Model::lenet(1), squares());
        let before = model.parameters().get("conv1.weight").expect("weights").values.clone();
        let scales = &mut model.parameters_mut().get_mut("bn1.weight").expect("scales").values;
        scales[4] = 0.01;
        let options = LucidOptions { passes: 3, ..LucidOptions::default() };
        slow_waves(&mut model, &data, &options, 0.1, true, Key::new(3)).expect("it sleeps");
        let after = &model.parameters().get("conv1.weight").expect("weights").values;
        for n in 0..10 {
            let same = before[n * 25..][..25] == after[n * 25..][..25];
            assert_eq!(same, n != 4, "neuron {n}");
        }
        let scales = &model.parameters().get("bn1.weight").expect("scales").values;
        assert!(scales[3] == 1.0 && scales[4] != 0.01);
    }

    #[test]
    fn networks_of_another_kind_are_refused() {
        let message = |name: &str| {
            let architecture =
                Architecture::named(name, Shape::new(1, 28, 28), 10).expect("a network");
            let model = Model::new(architecture, 0).expect("a model");
            check(&model).expect_err("another kind").to_string()
        };
        assert!(message("mlp:32").contains("begins with a convolution"), "{}", message("mlp:32"));
        assert!(message("madry").contains("batch normalization"), "{}", message("madry"));
        assert!(check(&Model::lenet(0)).is_ok());
        let options = LucidOptions { down: 0.99, ..LucidOptions::default() };
        assert!(options.validate().expect_err("no order").to_string().contains("lucid.down"));
    }
}
