//! Every layer but convolution, forward and backward, against naive f64 references over random shapes, samples and time
//! steps, on every instruction set with equal bits; dead lanes stay zero throughout.

use crate::common::{best, bits, dead_lanes_are_zero, isas, numbers, relative, wide, widen};
use deepsleep::Result;
use deepsleep::autodiff::{Labels, Normalization, Tape, Var, Weight};
use deepsleep::tensor::{Context, Shape, Tensor};
use proptest::prelude::*;
use std::cell::RefCell;

/// Values, input gradient, weight gradients.
type Found = (Tensor, Tensor, Vec<Vec<f32>>);

/// A tensor of several time steps: sixteen samples at step 0, at step 1..., then the next sixteen.
fn stepped(seed: u64, samples: usize, steps: usize, shape: Shape) -> Tensor {
    let mut x = Tape::new(Context::serial(best())).tensor(shape, samples, steps);
    let values = numbers(seed, steps * samples * shape.features());
    let features = shape.features();
    for (i, value) in values.into_iter().enumerate() {
        let (step, n, f) = (i / features / samples, i / features % samples, i % features);
        x.lanes_mut()[(n / 16 * steps + step) * features + f].0[n % 16] = value;
    }
    x
}

/// Runs one layer on every instruction set, on one thread and two; all must give the same bits and keep dead lanes zero.
fn run(
    x: &Tensor,
    weights: &[&[f32]],
    seed: u64,
    layer: impl Fn(&mut Tape, Var, &[Weight]) -> Result<Var>,
) -> (Found, Tensor) {
    let mut first: Option<(Found, Tensor)> = None;
    for (isa, threads) in isas().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
        let mut tape = Tape::new(Context::with_isa(isa, threads).unwrap());
        // Buffers full of ones, so that what an operation forgets to write shows.
        let mut dirty = tape.tensor(x.shape(), x.samples(), x.steps());
        dirty.lanes_mut().iter_mut().for_each(|lanes| lanes.0.fill(1.0));
        tape.input(dirty);
        tape.reset();
        let input = tape.input(x.clone());
        let w: Vec<Weight> = weights.iter().map(|w| tape.weight(&[w.len()], w).unwrap()).collect();
        let y = layer(&mut tape, input, &w).unwrap();
        let value = tape.value(y).clone();
        let grad = stepped(seed, value.samples(), value.steps(), value.shape());
        tape.backward_from(y, grad.clone()).unwrap();
        let x_grad = tape.gradient(input).unwrap().clone();
        let w_grads = w.iter().map(|&w| tape.weight_gradient(w).unwrap().to_vec()).collect();
        assert!(dead_lanes_are_zero(&value) && dead_lanes_are_zero(&x_grad), "{}", isa.name());
        let found = (value, x_grad, w_grads);
        let ((value, x_grad, w_grads), _) = first.get_or_insert_with(|| (found.clone(), grad));
        assert_eq!(bits(found.0.lanes()), bits(value.lanes()), "{} {threads}", isa.name());
        assert_eq!(bits(found.1.lanes()), bits(x_grad.lanes()), "{} {threads}", isa.name());
        assert_eq!(&found.2, w_grads, "{} {threads}", isa.name());
    }
    first.unwrap()
}

fn close(found: &Tensor, expected: &[f64], tolerance: f64) {
    let error = relative(found.to_array(), expected.iter().copied());
    assert!(error <= tolerance, "{error:e} > {tolerance:e}");
}

fn shapes() -> impl Strategy<Value = (usize, usize, Shape)> {
    let samples = prop::sample::select(vec![1_usize, 2, 3, 15, 16, 17, 31, 33, 50]);
    let shape = (1_usize..5, 1_usize..7, 1_usize..7).prop_map(|(c, h, w)| Shape::new(c, h, w));
    (samples, 1_usize..4, shape)
}

/// Batch normalization of one step and channel in f64: values, input gradient, gradients of weight and bias.
fn normalize(
    x: &[f64],
    grad: &[f64],
    w: f64,
    b: f64,
    given: Option<(f64, f64)>,
    eps: f64,
) -> (Vec<f64>, Vec<f64>, f64, f64) {
    let n = x.len() as f64;
    let mean = given.map_or(x.iter().sum::<f64>() / n, |g| g.0);
    let variance = given.map_or(x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n, |g| g.1);
    let inverse = 1.0 / (variance + eps).sqrt();
    let h: Vec<f64> = x.iter().map(|x| (x - mean) * inverse).collect();
    let (dw, db) = (h.iter().zip(grad).map(|(h, g)| h * g).sum::<f64>(), grad.iter().sum::<f64>());
    let share = if given.is_some() { 0.0 } else { 1.0 / n };
    let dx = h.iter().zip(grad).map(|(h, g)| w * inverse * (g - share * db - share * h * dw));
    (h.iter().map(|h| w * h + b).collect(), dx.collect(), dw, db)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batch_norm_is_its_f64_reference_at_every_time_step(
        (samples, steps, shape) in shapes(), of_batch: bool, offset in -3.0_f32..3.0, seed: u64,
    ) {
        let mut x = stepped(seed, samples, steps, shape);
        for block in 0..x.blocks() {
            let (live, features) = (x.live(block), shape.features());
            for lanes in &mut x.lanes_mut()[block * features..][..features] {
                lanes.0[..live].iter_mut().for_each(|x| *x += offset);
            }
        }
        let c = shape.channels;
        let (w, b) = (numbers(seed ^ 1, c), numbers(seed ^ 2, c));
        let (mean, eps) = (numbers(seed ^ 3, c), 1e-2);
        let variance: Vec<f32> = numbers(seed ^ 4, c).iter().map(|v| v + 1.1).collect();
        let how = if of_batch { Normalization::Batch } else { Normalization::Given { mean: &mean, variance: &variance } };
        let ((y, dx, dw), grad) = run(&x, &[&w, &b], seed ^ 5, |tape, x, p| {
            let y = tape.batch_norm(x, p[0], p[1], how, eps)?;
            assert_eq!(tape.batch_moments(y).is_some(), of_batch);
            Ok(y)
        });
        let (xs, grads, pixels) = (wide(&x), wide(&grad), shape.pixels());
        let mut expected = [vec![0.0; xs.len()], vec![0.0; xs.len()]];
        let mut weights = [vec![0.0; c], vec![0.0; c]];
        for (step, channel) in (0..steps).flat_map(|s| (0..c).map(move |c| (s, c))) {
            let at: Vec<usize> = (0..samples)
                .flat_map(|n| (0..pixels).map(move |p| ((step * samples + n) * c + channel) * pixels + p))
                .collect();
            let pick = |values: &[f64]| at.iter().map(|&i| values[i]).collect::<Vec<f64>>();
            let given = (!of_batch).then(|| (f64::from(mean[channel]), f64::from(variance[channel])));
            let (w, b) = (f64::from(w[channel]), f64::from(b[channel]));
            let (y, dx, dw, db) = normalize(&pick(&xs), &pick(&grads), w, b, given, f64::from(eps));
            for (i, &at) in at.iter().enumerate() {
                (expected[0][at], expected[1][at]) = (y[i], dx[i]);
            }
            weights[0][channel] += dw;
            weights[1][channel] += db;
        }
        close(&y, &expected[0], 1e-5);
        // With few numbers a channel the gradient is a small difference of large ones: measured against what enters.
        let scale = grads.iter().fold(0.0_f64, |m, g| m.max(g.abs())) * 10.0;
        let error = dx.to_array().iter().zip(&expected[1]).fold(0.0_f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
        prop_assert!(error < 1e-5 * scale, "{error:e} of {scale}");
        for (found, expected) in dw.iter().zip(&weights) {
            let error = found.iter().zip(expected).fold(0.0_f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
            prop_assert!(error < 1e-6 * grads.len() as f64 + 1e-5, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn norm_relu_pool_is_the_three_layers(
        (samples, steps, shape) in shapes(), of_batch: bool, ties: bool, seed: u64,
    ) {
        let shape = Shape::new(shape.channels, 2 * shape.height, 2 * shape.width);
        let mut x = stepped(seed, samples, steps, shape);
        if ties {
            x.lanes_mut().iter_mut().for_each(|lanes| lanes.0 = lanes.0.map(|x| (2.0 * x).round() / 2.0));
        }
        let (w, b) = (numbers(seed ^ 1, shape.channels), numbers(seed ^ 2, shape.channels));
        let (mean, variance) = (numbers(seed ^ 3, shape.channels), vec![0.5; shape.channels]);
        let how = if of_batch { Normalization::Batch } else { Normalization::Given { mean: &mean, variance: &variance } };
        let moments = RefCell::new(Vec::new());
        let note = |tape: &Tape, y| moments.borrow_mut().push(tape.batch_moments(y).map(|m| (m.mean.to_vec(), m.variance.to_vec(), m.count)));
        let (fused, _) = run(&x, &[&w, &b], seed ^ 5, |tape, x, p| {
            let y = tape.norm_relu_pool(x, p[0], p[1], how, 1e-3)?;
            note(tape, y);
            Ok(y)
        });
        let (plain, _) = run(&x, &[&w, &b], seed ^ 5, |tape, x, p| {
            let y = tape.batch_norm(x, p[0], p[1], how, 1e-3)?;
            note(tape, y);
            let y = tape.relu(y);
            tape.max_pool(y, [2, 2], [2, 2])
        });
        // Equal as numbers: a zero's sign may differ.
        prop_assert_eq!(&fused.0, &plain.0);
        close(&fused.1, &wide(&plain.1), 1e-5);
        let scale = (samples * steps * shape.pixels()) as f64;
        for (fused, plain) in fused.2.iter().zip(&plain.2) {
            let error = fused.iter().zip(plain).fold(0.0_f64, |m, (a, b)| m.max(f64::from((a - b).abs())));
            prop_assert!(error < 1e-6 * scale + 1e-5, "{fused:?} {plain:?}");
        }
        let moments = moments.into_inner();
        prop_assert!(moments.iter().all(|m| *m == moments[0]) && moments[0].is_some() == of_batch);
    }

    #[test]
    fn pooling_is_its_f64_reference_also_where_windows_overlap_or_leave_gaps(
        (samples, steps, shape) in shapes(), window in [1_usize..5, 1_usize..5], stride in [1_usize..6, 1_usize..6],
        ties: bool, seed: u64,
    ) {
        let window = [window[0].min(shape.height), window[1].min(shape.width)];
        let mut x = stepped(seed, samples, steps, shape);
        if ties {
            x.lanes_mut().iter_mut().for_each(|lanes| lanes.0 = lanes.0.map(f32::round));
        }
        for maximum in [true, false] {
            let ((y, dx, _), grad) = run(&x, &[], seed ^ 5, |tape, x, _| {
                if maximum { tape.max_pool(x, window, stride) } else { tape.avg_pool(x, window, stride) }
            });
            let (xs, grads, out) = (wide(&x), wide(&grad), y.shape());
            let (mut ys, mut dxs) = (vec![0.0; grads.len()], vec![0.0; xs.len()]);
            for o in 0..grads.len() {
                let (plane, row, column) = (o / out.pixels(), o % out.pixels() / out.width, o % out.width);
                let inputs: Vec<usize> = (0..window[0] * window[1])
                    .map(|p| (row * stride[0] + p / window[1], column * stride[1] + p % window[1]))
                    .map(|(y, x)| plane * shape.pixels() + y * shape.width + x)
                    .collect();
                if maximum {
                    // The first of equals.
                    let won = inputs.iter().fold(inputs[0], |best, &i| if xs[i] > xs[best] { i } else { best });
                    ys[o] = xs[won];
                    dxs[won] += grads[o];
                } else {
                    let share = 1.0 / inputs.len() as f64;
                    ys[o] = inputs.iter().map(|&i| xs[i]).sum::<f64>() * share;
                    inputs.iter().for_each(|&i| dxs[i] += grads[o] * share);
                }
            }
            close(&y, &ys, if maximum { 0.0 } else { 1e-6 });
            close(&dx, &dxs, 1e-6);
        }
    }

    #[test]
    fn functions_of_one_number_are_their_f64_references((samples, steps, shape) in shapes(), factor in -9.0_f32..9.0, seed: u64) {
        let mut x = stepped(seed, samples, steps, shape);
        x.lanes_mut().iter_mut().for_each(|lanes| lanes.0 = lanes.0.map(|x| (x * 6.0).clamp(-5.0, 5.0)));
        type Function = (fn(&mut Tape, Var, f32) -> Result<Var>, fn(f64, f64) -> f64, fn(f64, f64) -> f64);
        let functions: [Function; 5] = [
            (|t, x, _| Ok(t.relu(x)), |x, _| x.max(0.0), |x, _| f64::from(x > 0.0)),
            (|t, x, _| Ok(t.tanh(x)), |x, _| x.tanh(), |x, _| 1.0 - x.tanh().powi(2)),
            (|t, x, _| Ok(t.sigmoid(x)), |x, _| 1.0 / (1.0 + (-x).exp()), |x, _| 1.0 / (2.0 + x.exp() + (-x).exp())),
            (|t, x, f| t.scale(x, f), |x, f| x * f, |_, f| f),
            (|t, x, f| { let y = t.scale(x, f)?; t.add(x, y) }, |x, f| x + x * f, |_, f| 1.0 + f),
        ];
        for (layer, value, derivative) in functions {
            let ((y, dx, _), grad) = run(&x, &[], seed ^ 5, |tape, x, _| layer(tape, x, factor));
            let f = f64::from(factor);
            let ys: Vec<f64> = wide(&x).iter().map(|&x| value(x, f)).collect();
            let dxs: Vec<f64> = wide(&x).iter().zip(wide(&grad)).map(|(&x, g)| g * derivative(x, f)).collect();
            // Absolute: a derivative near 0 is made from a value near 1, and x + f x may cancel.
            let scale = 5.0 * (f.abs() + 1.0);
            for (found, expected) in [(&y, &ys), (&dx, &dxs)] {
                for (found, expected) in found.to_array().iter().zip(expected) {
                    let error = (f64::from(*found) - expected).abs();
                    prop_assert!(error < 1.5e-7 * scale, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn bias_is_its_f64_reference((samples, steps, shape) in shapes(), seed: u64) {
        let (x, b) = (stepped(seed, samples, steps, shape), numbers(seed ^ 1, shape.channels));
        let ((y, dx, db), grad) = run(&x, &[&b], seed ^ 5, |tape, x, p| tape.bias(x, p[0]));
        let channel = |i: usize| i / shape.pixels() % shape.channels;
        let ys: Vec<f64> = wide(&x).iter().enumerate().map(|(i, x)| x + widen(&b)[channel(i)]).collect();
        let mut dbs = vec![0.0; b.len()];
        wide(&grad).iter().enumerate().for_each(|(i, g)| dbs[channel(i)] += g);
        close(&y, &ys, 2e-7);
        prop_assert_eq!(dx, grad);
        for (found, expected) in db[0].iter().zip(&dbs) {
            prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn cross_entropy_is_its_f64_reference_for_hard_and_soft_targets_of_any_size(
        samples in 1_usize..40, classes in 1_usize..13, soft: bool, smoothing in prop::sample::select(vec![0.0_f32, 0.1, 0.75]), temperature in prop::sample::select(vec![0.1_f32, 1.0, 20.0]),
        size in prop::sample::select(vec![1e-3_f32, 1.0, 10.0, 1e4]), seed: u64,
    ) {
        let shape = Shape::flat(classes);
        let mut x = stepped(seed, samples, 1, shape);
        x.lanes_mut().iter_mut().for_each(|lanes| lanes.0 = lanes.0.map(|x| x * size));
        let labels: Vec<usize> = (0..samples).map(|n| (n * 7 + seed as usize % 5) % classes).collect();
        let mut target = Tensor::zeros(shape, samples);
        for (n, &label) in labels.iter().enumerate() {
            let row = numbers(seed ^ n as u64, classes);
            let sum: f32 = row.iter().map(|t| t.abs()).sum();
            for (c, &share) in row.iter().enumerate() {
                let own = f32::from(u8::from(label == c));
                let hard = (1.0 - smoothing) * own + smoothing / classes as f32;
                let t = if soft { share.abs() / sum } else { hard };
                target.lanes_mut()[n / 16 * classes + c].0[n % 16] = t;
            }
        }
        let hard = Labels::new(&labels, classes).unwrap().smoothed(smoothing);
        let ((loss, dx, _), grad) = run(&x, &[], seed ^ 5, |tape, x, _| {
            if soft { tape.soft_cross_entropy(x, &target, temperature) } else { tape.cross_entropy(x, &hard, temperature) }
        });
        let (xs, ts, gs, heat) = (wide(&x), wide(&target), wide(&grad), f64::from(temperature));
        let (mut losses, mut dxs) = (Vec::new(), Vec::new());
        for n in 0..samples {
            let z: Vec<f64> = xs[n * classes..][..classes].iter().map(|z| z / heat).collect();
            let t = &ts[n * classes..][..classes];
            let top = z.iter().fold(f64::MIN, |m, &z| m.max(z));
            let log_sum = z.iter().map(|z| (z - top).exp()).sum::<f64>().ln() + top;
            losses.push(z.iter().zip(t).map(|(z, t)| t * (log_sum - z)).sum());
            let weight: f64 = t.iter().sum();
            dxs.extend(z.iter().zip(t).map(|(z, t)| gs[n] * ((z - log_sum).exp() * weight - t) / heat));
        }
        prop_assert!(loss.to_array().iter().chain(dx.to_array().iter()).all(|v| v.is_finite()));
        let scale = (f64::from(size) / heat).max(1.0);
        let worst = |found: &Tensor, expected: &[f64]| {
            found.to_array().iter().zip(expected).fold(0.0_f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()))
        };
        prop_assert!(worst(&loss, &losses) < 1e-6 * scale, "{:e}", worst(&loss, &losses));
        // A logit's own rounding, in units of the temperature, is what the probability cannot know.
        prop_assert!(worst(&dx, &dxs) < 1e-6 / heat * scale, "{:e}", worst(&dx, &dxs));
    }
}

#[test]
fn layers_refuse_what_does_not_fit_and_name_it() {
    let mut tape = Tape::new(Context::serial(best()));
    let x = tape.input(stepped(1, 3, 2, Shape::new(2, 5, 6)));
    let y = tape.input(stepped(1, 4, 2, Shape::new(2, 5, 6)));
    let z = tape.input(stepped(1, 3, 1, Shape::new(2, 5, 6)));
    let (two, three) =
        (tape.weight(&[2], &[1.0; 2]).unwrap(), tape.weight(&[3], &[1.0; 3]).unwrap());
    let labels = Labels::new(&[1, 2], 60).unwrap();
    let both = |found: Result<Var>, parts: &[&str]| {
        let message = found.unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    both(tape.add(x, y), &["add", "3 samples x 2x5x6", "4 samples x 2x5x6"]);
    both(tape.add(x, z), &["2 steps", "1 steps"]);
    both(tape.bias(x, three), &["bias", "2x5x6", "3"]);
    both(tape.scale(x, f32::NAN), &["scale", "NaN"]);
    both(tape.batch_norm(x, two, three, Normalization::Batch, 1e-5), &["2x5x6", "bias 3"]);
    let given = Normalization::Given { mean: &[0.0], variance: &[1.0; 2] };
    both(tape.batch_norm(x, two, two, given, 1e-5), &["2x5x6", "mean 1"]);
    both(tape.batch_norm(x, two, two, Normalization::Batch, 0.0), &["eps 0"]);
    both(tape.norm_relu_pool(x, two, two, Normalization::Batch, 1e-5), &["even", "2x5x6"]);
    both(tape.max_pool(x, [6, 2], [1, 1]), &["5x6", "[6, 2]"]);
    both(tape.avg_pool(x, [2, 2], [0, 1]), &["[0, 1]"]);
    both(tape.cross_entropy(z, &labels, 1.0), &["3 samples in 60 classes", "2 labels in 60"]);
    let labels = Labels::new(&[1, 2, 0], 60).unwrap();
    both(tape.cross_entropy(x, &labels, 1.0), &["one time step", "2"]);
    both(tape.cross_entropy(z, &labels, 0.0), &["temperature 0"]);
    both(
        tape.soft_cross_entropy(z, &Tensor::zeros(Shape::flat(9), 3), 1.0),
        &["3 samples x 60", "9x1x1"],
    );
    assert!(Labels::new(&[0, 60], 60).unwrap_err().to_string().contains("label 60 of sample 1"));
    tape.max_pool(x, [2, 2], [usize::MAX; 2]).unwrap();
}
