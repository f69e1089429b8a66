//! Spiking neurons: the fused loops against one neuron at a time, known voltages of other libraries, and encoders.

use crate::common::isas;
use deepsleep::autodiff::{Seed, Tape};
use deepsleep::kernels::lif::Dynamics;
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{Isa, Lanes};
use deepsleep::snn::{Neuron, Reset, SilentWindow, Surrogate};
use deepsleep::tensor::{Context, Shape, Tensor};
use proptest::prelude::*;
use rand_xoshiro::rand_core::Rng;

/// `[step][sample][feature]` in a tensor with time steps.
fn with_steps(tape: &mut Tape, shape: Shape, samples: usize, values: &[Vec<Vec<f32>>]) -> Tensor {
    let steps = values.len();
    let mut tensor = tape.tensor(shape, samples, steps);
    tensor.lanes_mut().fill(Lanes::ZERO);
    for (t, samples) in values.iter().enumerate() {
        for (n, features) in samples.iter().enumerate() {
            for (f, &value) in features.iter().enumerate() {
                let at = (n / 16 * steps + t) * shape.features() + f;
                tensor.lanes_mut()[at].0[n % 16] = value;
            }
        }
    }
    tensor
}

fn random(key: Key, steps: usize, samples: usize, features: usize) -> Vec<Vec<Vec<f32>>> {
    let mut generator = key.generator();
    let mut draw = || 3.0 * uniform_from_bits(generator.next_u32()) - 1.0;
    let mut sample = || (0..features).map(|_| draw()).collect::<Vec<f32>>();
    (0..steps).map(|_| (0..samples).map(|_| sample()).collect()).collect()
}

/// The update as the module's documentation writes it, one neuron, one operation at a time; multiply-adds rounded once.
fn naive(d: &Dynamics, currents: impl Iterator<Item = f32>) -> Vec<(f32, bool)> {
    let (mut i, mut v) = (0.0_f32, d.initial);
    let step = |x: f32| {
        i = f32::mul_add(d.synapse, i, x);
        let u = f32::mul_add(d.decay, v, f32::mul_add(d.gain, i, d.offset));
        let spike = u > d.threshold || (d.inclusive && u == d.threshold);
        v = if spike { f32::mul_add(d.keep, u, d.reset) } else { u };
        (u, spike)
    };
    currents.map(step).collect()
}

/// Which of a window's four neurons, of these membranes and spikes, get its gradient.
fn receivers(silent: SilentWindow, window: [(f32, bool); 4]) -> Vec<usize> {
    if let Some(first) = window.iter().position(|(_, spike)| *spike) {
        return vec![first];
    }
    match silent {
        SilentWindow::First => vec![0],
        SilentWindow::Largest => {
            let top = window.iter().map(|(u, _)| *u).fold(f32::NEG_INFINITY, f32::max);
            vec![window.iter().position(|(u, _)| *u == top).unwrap()]
        }
        SilentWindow::All => vec![0, 1, 2, 3],
    }
}

fn neurons() -> impl Strategy<Value = Neuron> {
    let tau = prop_oneof![Just(None), (1.0_f32..8.0).prop_map(Some), Just(Some(2.0))];
    let synapse = prop_oneof![Just(None), (1.0_f32..6.0).prop_map(Some)];
    let reset = prop_oneof![Just(Reset::Hard), Just(Reset::Soft), Just(Reset::None)];
    let rest = prop_oneof![Just(0.0), -0.5_f32..0.4];
    (tau, synapse, reset, rest, 0.3_f32..1.2, any::<[bool; 3]>()).prop_map(
        |(tau, synapse_tau, reset, rest, threshold, [inclusive, decay_input, reset_grad])| Neuron {
            tau,
            synapse_tau,
            reset,
            rest,
            threshold,
            inclusive,
            decay_input,
            reset_grad,
            ..Neuron::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fused_loops_are_naive_loops(
        neuron in neurons(),
        steps in 1_usize..7,
        constant in any::<bool>(),
        samples in 1_usize..35,
        (channels, height, width) in (1_usize..4, 1_usize..4, 1_usize..4),
        seed in any::<u64>(),
    ) {
        let shape = Shape::new(channels, 2 * height, 2 * width);
        let (features, key) = (shape.features(), Key::new(seed));
        let mut current = random(key, if constant { 1 } else { steps }, samples, features);
        // Currents that meet the threshold exactly tell `>` from `>=`.
        current[0][0][0] = neuron.threshold;
        let d = neuron.dynamics().unwrap();
        let of = |n: usize, f: usize| {
            let current = &current;
            let at = move |t: usize| current[if constant { 0 } else { t }][n][f];
            naive(&d, (0..steps).map(at))
        };
        // The public reference gives the same membranes.
        let mut cell = d.start();
        for (t, expected) in of(0, 0).into_iter().enumerate() {
            prop_assert_eq!(d.step(&mut cell, current[if constant { 0 } else { t }][0][0]), expected);
        }
        let upstream = random(key.with(1), steps, samples, features);
        let mut gradients: Vec<Vec<Tensor>> = Vec::new();
        for isa in isas() {
            let mut tape = Tape::new(Context::with_isa(isa, 1).unwrap());
            let x = with_steps(&mut tape, shape, samples, &current);
            let x = tape.input(x);
            let spikes = tape.lif(x, d, Surrogate::default(), steps).unwrap();
            let pooled = tape.lif_pool(x, d, Surrogate::default(), steps, SilentWindow::First).unwrap();
            let (value, value_pooled) = (tape.value(spikes), tape.value(pooled));
            for n in 0..samples {
                let alone: Vec<Vec<(f32, bool)>> = (0..features).map(|f| of(n, f)).collect();
                for t in 0..steps {
                    let expected: Vec<f32> = alone.iter().map(|run| f32::from(run[t].1)).collect();
                    prop_assert!(value.sample(t, n).eq(expected.iter().copied()));
                    let mut found = value_pooled.sample(t, n);
                    for row in (0..channels * 2 * height).step_by(2) {
                        for column in (0..2 * width).step_by(2) {
                            let at = row * 2 * width + column;
                            let window = [at, at + 1, at + 2 * width, at + 2 * width + 1];
                            let any = window.map(|f| expected[f]).into_iter().fold(0.0, f32::max);
                            prop_assert_eq!(found.next(), Some(any));
                        }
                    }
                }
            }
            for tensor in [value, value_pooled] {
                for block in 0..tensor.blocks() {
                    let live = tensor.live(block);
                    prop_assert!(tensor.block(block).iter().all(|x| x.0[live..] == [0.0; 16][live..]));
                }
            }
            let upstream = with_steps(&mut tape, shape, samples, &upstream);
            tape.backward_from(spikes, upstream).unwrap();
            let mut of_isa = vec![tape.gradient(x).unwrap().clone()];
            tape.reset();
            // The pooled layer's gradient is that of the unpooled one followed by an ordinary pooling.
            let x = with_steps(&mut tape, shape, samples, &current);
            let x = tape.input(x);
            let pooled = tape.lif_pool(x, d, Surrogate::Arctan(2.0), steps, SilentWindow::First).unwrap();
            tape.backward(pooled, Seed::Sum).unwrap();
            of_isa.push(tape.gradient(x).unwrap().clone());
            tape.reset();
            let again = with_steps(&mut tape, shape, samples, &current);
            let again = tape.input(again);
            let spikes = tape.lif(again, d, Surrogate::Arctan(2.0), steps).unwrap();
            let pooled = tape.max_pool(spikes, [2, 2], [2, 2]).unwrap();
            tape.backward(pooled, Seed::Sum).unwrap();
            prop_assert_eq!(tape.gradient(again).unwrap(), &of_isa[1]);
            // With other rules, that of the unpooled one whose windows were routed by hand.
            let pooled_features = features / 4;
            let of_pooled = random(key.with(2), steps, samples, pooled_features);
            for silent in [SilentWindow::First, SilentWindow::Largest, SilentWindow::All] {
                let mut routed = vec![vec![vec![0.0; features]; samples]; steps];
                for n in 0..samples {
                    let alone: Vec<Vec<(f32, bool)>> = (0..features).map(|f| of(n, f)).collect();
                    for t in 0..steps {
                        for (cell, &grad) in of_pooled[t][n].iter().enumerate() {
                            let (row, column) = (cell / width, cell % width);
                            let at = 2 * (row * 2 * width + column);
                            let window = [at, at + 1, at + 2 * width, at + 2 * width + 1];
                            for f in receivers(silent, window.map(|f| alone[f][t])) {
                                routed[t][n][window[f]] = grad;
                            }
                        }
                    }
                }
                tape.reset();
                let x = with_steps(&mut tape, shape, samples, &current);
                let x = tape.input(x);
                let pooled = tape.lif_pool(x, d, Surrogate::Arctan(2.0), steps, silent).unwrap();
                let pooled_shape = Shape::new(channels, height, width);
                let upstream = with_steps(&mut tape, pooled_shape, samples, &of_pooled);
                tape.backward_from(pooled, upstream).unwrap();
                let found = tape.gradient(x).unwrap().clone();
                tape.reset();
                let x = with_steps(&mut tape, shape, samples, &current);
                let x = tape.input(x);
                let spikes = tape.lif(x, d, Surrogate::Arctan(2.0), steps).unwrap();
                let upstream = with_steps(&mut tape, shape, samples, &routed);
                tape.backward_from(spikes, upstream).unwrap();
                prop_assert_eq!(tape.gradient(x).unwrap(), &found, "{:?}", silent);
                of_isa.push(found);
            }
            gradients.push(of_isa);
        }
        prop_assert!(gradients.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

/// Spikes of one neuron under a constant current.
fn periods(isa: Isa, dynamics: Dynamics, current: f32, steps: usize) -> Vec<usize> {
    let mut tape = Tape::new(Context::serial(isa));
    let x = with_steps(&mut tape, Shape::flat(1), 1, &[vec![vec![current]]]);
    let x = tape.constant(x);
    let spikes = tape.lif(x, dynamics, Surrogate::default(), steps).unwrap();
    let value = tape.value(spikes);
    (0..steps).filter(|&t| value.sample(t, 0).next() == Some(1.0)).map(|t| t + 1).collect()
}

/// The published neuron has period n iff 0.5 / (1 - 2^-n) < I <= 0.5 / (1 - 2^-(n-1)).
#[test]
fn a_constant_current_gives_the_known_periods() {
    let dynamics = Neuron::default().dynamics().unwrap();
    for isa in isas() {
        for n in 1..=10_i32 {
            let rheobase = |n: i32| 0.5 / (1.0 - 0.5_f64.powi(n));
            let upper = if n == 1 { 1.2 } else { rheobase(n - 1) };
            let (low, high) = (rheobase(n) as f32, upper as f32);
            for current in [low * (1.0 + 1e-5), 0.5 * (low + high), high * (1.0 - 1e-5)] {
                let found = periods(isa, dynamics, current, 40);
                let n = n as usize;
                let expected: Vec<usize> = (1..=40 / n).map(|k| k * n).collect();
                assert_eq!(found, expected, "{}: period {n}, current {current}", isa.name());
            }
        }
        assert!(periods(isa, dynamics, 0.5, 1000).is_empty());
        // Exactly at the upper ends, where the comparison is strict: 1 and 2/3 in binary fractions.
        assert_eq!(periods(isa, dynamics, 1.0, 8), [2, 4, 6, 8]);
    }
}

fn voltages(neuron: &Neuron, currents: &[f32]) -> Vec<(f32, bool)> {
    let dynamics = neuron.dynamics().unwrap();
    let mut cell = dynamics.start();
    currents.iter().map(|&x| dynamics.step(&mut cell, x)).collect()
}

fn assert_close(found: impl IntoIterator<Item = f32>, expected: &[f32], off: f32) {
    let found: Vec<f32> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= off, "{found:?}, expected {expected:?}");
    }
}

/// Norse's own golden voltages: dt = 1 ms, 1/tau_mem = 100, 1/tau_syn = 200, threshold 1.
#[test]
fn norses_voltages() {
    let neuron = Neuron {
        tau: Some(0.01),
        synapse_tau: Some(0.005),
        time_step: 0.001,
        threshold: 1.0,
        ..Neuron::default()
    };
    let after = voltages(&neuron, &[1.0; 9]);
    let after = after.iter().map(|&(u, spike)| if spike { 0.0 } else { u });
    let expected = [0.1, 0.27, 0.487, 0.7335, 0.9963, 0.0, 0.3951, 0.7717, 0.0];
    assert_close(after, &expected, 1e-4);

    // The constant-current encoder: the same neuron without a synapse.
    let encoder = Neuron { synapse_tau: None, ..neuron };
    let membranes = voltages(&encoder, &[1.0; 8]);
    let expected = [0.1, 0.19, 0.271, 0.3439, 0.409_51, 0.468_559, 0.521_703_1, 0.569_532_8];
    assert_close(membranes.iter().map(|&(u, _)| u), &expected, 1e-5);
    // It reaches 1 only in the limit; a current of 2 gets there: 2 (1 - 0.9^n) > 1 from n = 7 on.
    let spikes = voltages(&encoder, &[2.0; 14]);
    assert_eq!(spikes.iter().positions(), [6, 13]);
}

/// SpikingJelly's nodes: `>=` at the threshold; IF adds the input whole, LIF with or without decaying it.
#[test]
fn spikingjellys_neurons() {
    let node = Neuron { threshold: 1.0, inclusive: true, ..Neuron::default() };
    let fire = Neuron { tau: None, decay_input: false, ..node };
    let found = voltages(&fire, &[0.5; 6]);
    assert_close(found.iter().map(|&(u, _)| u), &[0.5, 1.0, 0.5, 1.0, 0.5, 1.0], 0.0);
    assert_eq!(found.iter().positions(), [1, 3, 5]);
    // Soft reset keeps what is above the threshold.
    let soft = Neuron { reset: Reset::Soft, ..fire };
    let found = voltages(&soft, &[0.75; 5]);
    assert_close(found.iter().map(|&(u, _)| u), &[0.75, 1.5, 1.25, 1.0, 0.75], 0.0);
    assert_eq!(found.iter().positions(), [1, 2, 3]);
    // No reset: once above, above.
    let none = Neuron { reset: Reset::None, ..fire };
    assert_eq!(voltages(&none, &[0.5; 5]).iter().positions(), [1, 2, 3, 4]);
    // LIF, tau 2: v + (x - v) / 2, and v - v / 2 + x.
    let found = voltages(&node, &[1.5; 4]);
    assert_close(found.iter().map(|&(u, _)| u), &[0.75, 1.125, 0.75, 1.125], 0.0);
    let plain = Neuron { decay_input: false, ..node };
    let found = voltages(&plain, &[0.5, 0.75, 0.25, 0.5]);
    assert_close(found.iter().map(|&(u, _)| u), &[0.5, 1.0, 0.25, 0.625], 0.0);
    // Leak and reset toward a potential other than zero: v + (x - (v - rest)) / 2.
    let rest = Neuron { rest: 0.25, ..node };
    let found = voltages(&rest, &[0.5, 1.0, 2.0, 0.0]);
    assert_close(found.iter().map(|&(u, _)| u), &[0.5, 0.875, 1.5625, 0.25], 0.0);
    assert_eq!(found.iter().positions(), [2]);
}

/// The steps that have a spike.
trait Positions {
    fn positions(self) -> Vec<usize>;
}

impl<'a, I: Iterator<Item = &'a (f32, bool)>> Positions for I {
    fn positions(self) -> Vec<usize> {
        self.enumerate().filter(|(_, (_, spike))| *spike).map(|(t, _)| t).collect()
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut tape = Tape::new(Context::serial(Isa::detect().unwrap()));
    let x = with_steps(&mut tape, Shape::flat(2), 3, &random(Key::new(0), 3, 3, 2));
    let x = tape.input(x);
    let dynamics = Neuron::default().dynamics().unwrap();
    for steps in [0, 2, 4] {
        assert!(tape.lif(x, dynamics, Surrogate::default(), steps).is_err());
    }
    assert!(tape.lif_pool(x, dynamics, Surrogate::default(), 3, SilentWindow::First).is_err()); // odd sides
    for surrogate in [Surrogate::Triangle(0.0), Surrogate::Arctan(f32::NAN)] {
        assert!(tape.lif(x, dynamics, surrogate, 3).is_err());
    }
    for neuron in [
        Neuron { tau: Some(0.5), ..Neuron::default() },
        Neuron { threshold: f32::NAN, ..Neuron::default() },
        Neuron { time_step: 0.0, ..Neuron::default() },
        Neuron { synapse_tau: Some(-1.0), ..Neuron::default() },
    ] {
        assert!(neuron.dynamics().is_err(), "{neuron:?}");
    }
}
