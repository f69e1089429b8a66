//! Backpropagation through time, in two steps. An f64 reference computes it for any spike function and slope: with the
//! smooth step whose derivative the slope is, it must equal central differences; with the hard step in the forward pass
//! only, the engine must equal it.

use crate::common::surrogates::{slope, step};
use crate::common::{isas, portable};
use deepsleep::autodiff::Tape;
use deepsleep::kernels::lif::Dynamics;
use deepsleep::kernels::surrogate::{self, Slope};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{Isa, Lanes, Simd, dispatch};
use deepsleep::snn::{Neuron, Reset, Surrogate};
use deepsleep::tensor::{Context, Shape};
use rand_xoshiro::rand_core::Rng;

const SURROGATES: [Surrogate; 8] = [
    Surrogate::QuadraticGate(2.0),
    Surrogate::Arctan(3.0),
    Surrogate::Sigmoid(4.0),
    Surrogate::Triangle(0.8),
    Surrogate::Rectangle(1.5),
    Surrogate::FastSigmoid(5.0),
    Surrogate::Exponential(3.0),
    Surrogate::StraightThrough(0.5),
];
const STEPS: usize = 5;

/// Spikes of one neuron, and the gradient of their sum weighted by `upstream` to its inputs.
struct Reference {
    spikes: Vec<f64>,
    /// Membranes before the reset, less the threshold.
    distances: Vec<f64>,
    gradient: Vec<f64>,
}

fn reference(
    d: &Dynamics,
    x: &[f64],
    upstream: &[f64],
    spike: impl Fn(f64) -> f64,
    slope: impl Fn(f64) -> f64,
) -> Reference {
    let [synapse, decay, gain, offset, initial, threshold, keep, reset] =
        [d.synapse, d.decay, d.gain, d.offset, d.initial, d.threshold, d.keep, d.reset]
            .map(f64::from);
    let (mut i, mut v) = (0.0, initial);
    let (mut u, mut s) = (Vec::new(), Vec::new());
    for &x in x {
        i = synapse * i + x;
        let membrane = decay * v + gain * i + offset;
        let fired = spike(membrane - threshold);
        v = fired * (keep * membrane + reset) + (1.0 - fired) * membrane;
        u.push(membrane);
        s.push(fired);
    }
    let (mut of_v, mut of_i) = (0.0, 0.0);
    let mut gradient = vec![0.0; x.len()];
    for t in (0..x.len()).rev() {
        let jump = keep * u[t] + reset - u[t];
        let of_s = upstream[t] + if d.reset_grad { of_v * jump } else { 0.0 };
        let of_u = of_s * slope(u[t] - threshold) + of_v * (s[t] * keep + 1.0 - s[t]);
        of_i = gain * of_u + synapse * of_i;
        gradient[t] = of_i;
        of_v = decay * of_u;
    }
    let distances = u.iter().map(|u| u - threshold).collect();
    Reference { spikes: s, distances, gradient }
}

fn neurons(reset_grad: bool) -> Vec<Neuron> {
    let mut neurons = Vec::new();
    for reset in [Reset::Hard, Reset::Soft, Reset::None] {
        for synapse_tau in [None, Some(2.5)] {
            for (tau, rest) in [(Some(2.0), 0.0), (Some(3.5), -0.2), (None, 0.1)] {
                let neuron = Neuron { reset, synapse_tau, tau, rest, ..Neuron::default() };
                neurons.push(Neuron { reset_grad, ..neuron });
            }
        }
    }
    neurons
}

fn draw(key: Key) -> impl FnMut() -> f32 {
    let mut generator = key.generator();
    move || uniform_from_bits(generator.next_u32())
}

/// Where a slope has a corner or a jump, on either side of the threshold.
fn corner(surrogate: Surrogate) -> Option<f64> {
    match surrogate {
        Surrogate::QuadraticGate(a) | Surrogate::Rectangle(a) => Some(1.0 / f64::from(a)),
        Surrogate::Triangle(w) => Some(f64::from(w)),
        _ => None,
    }
}

#[test]
fn the_reference_is_the_derivative_of_smooth_spikes() {
    let (mut checked, mut draw) = (0, draw(Key::new(1)));
    for surrogate in SURROGATES {
        for d in neurons(true).iter().map(|neuron| neuron.dynamics().unwrap()) {
            let mut value = || f64::from(draw());
            let mut x: Vec<f64> = (0..STEPS).map(|_| 1.6 * value() - 0.3).collect();
            let upstream: Vec<f64> = (0..STEPS).map(|_| 2.0 * value() - 1.0).collect();
            let run = |x: &[f64]| {
                reference(&d, x, &upstream, |z| step(surrogate, z), |z| slope(surrogate, z))
            };
            let at = run(&x);
            let near = |z: &f64| corner(surrogate).is_some_and(|c| (z.abs() - c).abs() < 1e-4);
            if at.distances.iter().any(near) {
                continue;
            }
            let sum =
                |r: Reference| r.spikes.iter().zip(&upstream).map(|(s, g)| s * g).sum::<f64>();
            for t in 0..STEPS {
                let middle = x[t];
                let h = 1e-5;
                x[t] = middle + h;
                let above = sum(run(&x));
                x[t] = middle - h;
                let below = sum(run(&x));
                x[t] = middle;
                let expected = (above - below) / (2.0 * h);
                let off = (at.gradient[t] - expected).abs();
                assert!(off < 1e-6 * (1.0 + expected.abs()), "{surrogate:?} {d:?} {t}: {off}");
                checked += 1;
            }
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn the_engine_is_the_reference_with_hard_spikes() {
    let shape = Shape::flat(3);
    let samples = 18;
    let (mut compared, mut near) = (0, 0);
    for isa in isas() {
        let mut draw = draw(Key::new(2));
        for surrogate in SURROGATES {
            for neuron in [neurons(true), neurons(false)].concat() {
                for constant in [false, true] {
                    let d = neuron.dynamics().unwrap();
                    let mut tape = Tape::new(Context::serial(isa));
                    let input_steps = if constant { 1 } else { STEPS };
                    let mut x = tape.tensor(shape, samples, input_steps);
                    let mut upstream = tape.tensor(shape, samples, STEPS);
                    for tensor in [&mut x, &mut upstream] {
                        for block in 0..tensor.blocks() {
                            let live = tensor.live(block);
                            for lanes in &mut tensor.lanes_mut()[block * 3..][..3] {
                                *lanes = Lanes::ZERO;
                                lanes.0[..live].fill_with(|| 1.6 * draw() - 0.3);
                            }
                        }
                    }
                    let current = tape.input(x.clone());
                    let spikes = tape.lif(current, d, surrogate, STEPS).unwrap();
                    tape.backward_from(spikes, upstream.clone()).unwrap();
                    let grad = tape.gradient(current).unwrap();
                    for (n, f) in (0..samples).flat_map(|n| (0..3).map(move |f| (n, f))) {
                        let at = |tensor: &deepsleep::tensor::Tensor, t: usize| {
                            f64::from(tensor.sample(t, n).nth(f).unwrap())
                        };
                        let input = |t: usize| at(&x, if constant { 0 } else { t });
                        let xs: Vec<f64> = (0..STEPS).map(input).collect();
                        let up: Vec<f64> = (0..STEPS).map(|t| at(&upstream, t)).collect();
                        let hard = |z: f64| f64::from(u8::from(z > 0.0));
                        let slope = |z: f64| slope(surrogate, z);
                        let expected = reference(&d, &xs, &up, hard, slope);
                        // f32 may see the other side of a threshold or of a jump of the slope.
                        let border = |z: &f64| {
                            z.abs() < 1e-5
                                || corner(surrogate).is_some_and(|c| (z.abs() - c).abs() < 1e-5)
                        };
                        if expected.distances.iter().any(border) {
                            near += 1;
                            continue;
                        }
                        let spikes: Vec<f64> =
                            (0..STEPS).map(|t| at(tape.value(spikes), t)).collect();
                        assert_eq!(spikes, expected.spikes);
                        let total = [expected.gradient.iter().sum()];
                        let expected = if constant { &total[..] } else { &expected.gradient };
                        for (t, expected) in expected.iter().enumerate() {
                            let off = (at(grad, t) - expected).abs();
                            assert!(
                                off < 1e-4 * (1.0 + expected.abs()),
                                "{} {surrogate:?} {neuron:?} {t}: {off}",
                                isa.name()
                            );
                            compared += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(compared > 10_000 && near * 100 < compared, "{compared} compared, {near} left out");
}

#[inline(always)]
fn slopes_body<S: Simd, F: Slope>(s: S, slope: F, x: &[Lanes], out: &mut [Lanes]) {
    for (x, out) in x.iter().zip(out) {
        s.store(slope.slope(s, s.load(x)), out);
    }
}

fn slopes(isa: Isa, surrogate: Surrogate, x: &[Lanes]) -> Vec<Lanes> {
    let mut out = vec![Lanes::ZERO; x.len()];
    let to = &mut out;
    match surrogate {
        Surrogate::QuadraticGate(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::QuadraticGate(a), x, to))
        }
        Surrogate::Arctan(a) => dispatch!(isa, s => slopes_body(s, surrogate::Arctan(a), x, to)),
        Surrogate::Sigmoid(a) => dispatch!(isa, s => slopes_body(s, surrogate::Sigmoid(a), x, to)),
        Surrogate::Triangle(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::Triangle(a), x, to))
        }
        Surrogate::Rectangle(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::Rectangle(a), x, to))
        }
        Surrogate::FastSigmoid(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::FastSigmoid(a), x, to))
        }
        Surrogate::Exponential(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::Exponential(a), x, to))
        }
        Surrogate::StraightThrough(a) => {
            dispatch!(isa, s => slopes_body(s, surrogate::StraightThrough(a), x, to))
        }
    }
    out
}

#[test]
fn slopes_are_derivatives_of_steps() {
    let points: Vec<f32> = (-800..800).map(|i| (i as f32 + 0.37) / 200.0).collect();
    let lanes: Vec<Lanes> =
        points.chunks_exact(16).map(|x| Lanes(std::array::from_fn(|i| x[i]))).collect();
    for base in SURROGATES {
        for surrogate in [base, base.with_parameter(0.5), base.with_parameter(2.0)] {
            let a = f64::from(surrogate.parameter());
            for &x in &points {
                let (x, h) = (f64::from(x), 1e-6);
                if corner(surrogate).is_some_and(|c| (x.abs() - c).abs() < 1e-5) {
                    continue;
                }
                let expected = (step(surrogate, x + h) - step(surrogate, x - h)) / (2.0 * h);
                let off = (slope(surrogate, x) - expected).abs();
                // A step's second derivative jumps at 0 for some: first order there.
                assert!(off < 1e-5 * (1.0 + a * a), "{surrogate:?} at {x}: {off}");
            }
            // From 0 to 1, the fast sigmoid's from -1/a to 1/a; half way at 0. A line has no ends.
            let (low, middle, high) = match surrogate {
                Surrogate::FastSigmoid(_) => (-1.0 / a, 0.0, 1.0 / a),
                Surrogate::StraightThrough(_) => (-1e7 * a, 0.5, 1e7 * a),
                _ => (0.0, 0.5, 1.0),
            };
            let near = |x: f64, y: f64| (step(surrogate, x) - y).abs() < 1e-6 + 1e-6 * y.abs();
            assert!(near(-1e7, low) && near(1e7, high), "{surrogate:?}");
            assert!((step(surrogate, 0.0) - middle).abs() < 1e-12);
            let portable = slopes(portable(), surrogate, &lanes);
            for (x, found) in points.iter().zip(portable.iter().flat_map(|lanes| lanes.0)) {
                let expected = slope(surrogate, f64::from(*x));
                let off = (f64::from(found) - expected).abs();
                assert!(off < 2e-6 * (1.0 + a), "{surrogate:?} at {x}: {found}, {expected}");
            }
            for isa in isas() {
                assert_eq!(slopes(isa, surrogate, &lanes), portable, "{}", isa.name());
            }
        }
    }
}
