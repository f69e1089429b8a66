//! Estimators of gradients through spikes, each held to its formula in f64.

#![allow(clippy::needless_range_loop)] // written as the formulas are

use crate::common::surrogates::slope;
use crate::common::{isas, portable};
use deepsleep::attack::{
    Assg, Attack, Estimate, Estimated, Estimator, Pgd, RateRule, SilentWindow, SlopeRule, TimeRule,
};
use deepsleep::autodiff::Tape;
use deepsleep::kernels::lif::Dynamics;
use deepsleep::kernels::surrogate::Surrogate;
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{Isa, LANES, Lanes};
use deepsleep::snn::{Neuron, Reset};
use deepsleep::tensor::{Context, Shape};
use rand::Rng;

const STEPS: usize = 6;
const OWN: Surrogate = Surrogate::Arctan(2.0);

fn shape() -> Shape {
    Shape::new(3, 2, 2)
}

fn estimators() -> Vec<Estimator> {
    let names = [
        "own",
        "triangle:0.5",
        "triangle:2",
        "rectangle:2",
        "exponential:2",
        "arctan:3",
        "straight-through",
        "bptr",
        "rga",
        "rga:0.5",
        "relu",
        "hart:1",
        "pdsg",
        "assg:0.425",
        "assg:0.2",
    ];
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn neurons() -> Vec<Dynamics> {
    let neuron = Neuron::default();
    let all = [
        neuron,
        Neuron { threshold: 1.25, tau: Some(4.0), ..neuron },
        Neuron { rest: -0.2, reset: Reset::Soft, ..neuron },
        Neuron { synapse_tau: Some(2.5), reset_grad: true, ..neuron },
        Neuron { tau: None, threshold: 0.8, decay_input: false, ..neuron },
    ];
    all.iter().map(|neuron| neuron.dynamics().unwrap()).collect()
}

/// One sample's currents and upstream gradients, `[step][neuron]`.
struct Case {
    x: Vec<Vec<f64>>,
    upstream: Vec<Vec<f64>>,
}

/// Sixteen samples as the tape takes them, with one current for all steps or one each.
fn draw(seed: u64, constant: bool) -> (Vec<Lanes>, Vec<Lanes>) {
    let random = &mut Key::new(seed).generator();
    let mut number = || uniform_from_bits(random.next_u32());
    let features = shape().features();
    let steps = if constant { 1 } else { STEPS };
    let mut x: Vec<Lanes> = (0..steps * features)
        .map(|_| Lanes(std::array::from_fn(|_| 2.2 * number() - 0.4)))
        .collect();
    // One neuron that is silent always, and one that never is.
    for step in x.chunks_mut(features) {
        (step[0], step[5]) = (Lanes::splat(0.05), Lanes::splat(3.0));
    }
    let upstream = (0..STEPS * features).map(|_| Lanes(std::array::from_fn(|_| number() - 0.4)));
    (x, upstream.collect())
}

fn case(x: &[Lanes], upstream: &[Lanes], lane: usize) -> Case {
    let features = shape().features();
    let rows = |lanes: &[Lanes]| -> Vec<Vec<f64>> {
        let row = |row: &[Lanes]| row.iter().map(|v| f64::from(v.0[lane])).collect();
        lanes.chunks(features).map(row).collect()
    };
    let mut x = rows(x);
    while x.len() < STEPS {
        x.push(x[0].clone());
    }
    Case { x, upstream: rows(upstream) }
}

/// Membranes before the reset less the threshold, spikes, and synaptic currents, `[step][neuron]`.
fn forward(d: &Dynamics, x: &[Vec<f64>]) -> [Vec<Vec<f64>>; 3] {
    let n = x[0].len();
    let (mut v, mut i) = (vec![f64::from(d.initial); n], vec![0.0; n]);
    let mut out = [const { Vec::new() }; 3];
    for x in x {
        let (mut z, mut s) = (vec![0.0; n], vec![0.0; n]);
        for k in 0..n {
            i[k] = f64::from(d.synapse) * i[k] + x[k];
            let u = f64::from(d.decay) * v[k] + f64::from(d.gain) * i[k] + f64::from(d.offset);
            z[k] = u - f64::from(d.threshold);
            s[k] = if z[k] > 0.0 { 1.0 } else { 0.0 };
            v[k] = if z[k] > 0.0 { u * f64::from(d.keep) + f64::from(d.reset) } else { u };
        }
        out[0].push(z);
        out[1].push(s);
        out[2].push(i.clone());
    }
    out
}

/// Running means of ASSG, `[step][neuron]`; none before the first gradient of a run.
type Moments = Option<Vec<Vec<(f64, f64)>>>;

fn unit(d: &Dynamics) -> f64 {
    f64::from(d.threshold) - f64::from(d.initial)
}

/// The slopes `[step][neuron]` of rules that have one.
fn slopes(d: &Dynamics, rule: SlopeRule, z: &[Vec<f64>], moments: &mut Moments) -> Vec<Vec<f64>> {
    let (unit, steps, n) = (unit(d), z.len(), z[0].len());
    let mut h = vec![vec![0.0; n]; steps];
    if let SlopeRule::Assg(Assg { degree, decay, deviations }) = rule {
        let m = moments.get_or_insert_with(|| vec![vec![(2.0 * unit, 0.0); n]; steps]);
        let [b, rho, degree] = [decay, deviations, degree].map(f64::from);
        let a = 2.0 / std::f64::consts::PI * (std::f64::consts::PI * degree).tan();
        for t in 0..steps {
            for k in 0..n {
                let (mean, deviation) = &mut m[t][k];
                *mean = b * *mean + (1.0 - b) * z[t][k].abs();
                *deviation = b * *deviation + (1.0 - b) * (z[t][k].abs() - *mean).abs();
                let alpha = a / (*mean + rho * *deviation + 2e-4 * unit);
                let y = std::f64::consts::FRAC_PI_2 * alpha * z[t][k];
                h[t][k] = alpha / (2.0 * (1.0 + y * y));
            }
        }
        return h;
    }
    for t in 0..steps {
        for k in 0..n {
            h[t][k] = match rule {
                SlopeRule::Own => slope(OWN, z[t][k]),
                SlopeRule::Fixed(surrogate) => slope(surrogate, z[t][k] / unit) / unit,
                _ => {
                    let pixels = shape().pixels();
                    let channel = k / pixels * pixels..(k / pixels + 1) * pixels;
                    let seen = z[..=t].iter().flat_map(|row| row[channel.clone()].iter());
                    let count = (pixels * (t + 1)) as f64;
                    let mean = seen.clone().sum::<f64>() / count;
                    let sigma =
                        (seen.map(|z| (z - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
                    let y = (z[t][k] - sigma / 2.0) / sigma;
                    (-y * y / 2.0).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
                }
            };
        }
    }
    h
}

/// The gradient `[step][neuron]` of the currents.
fn reference(d: &Dynamics, e: &Estimator, case: &Case, moments: &mut Moments) -> Vec<Vec<f64>> {
    let Case { x, upstream } = case;
    let [z, s, i] = forward(d, x);
    let (steps, n) = (x.len(), x[0].len());
    let [decay, gain, synapse] = [d.decay, d.gain, d.synapse].map(f64::from);
    let mut of_i = vec![vec![0.0; n]; steps];
    if let TimeRule::Rate(rule) = e.time {
        let kappa = gain / unit(d);
        for k in 0..n {
            let drive = kappa * (0..steps).map(|t| i[t][k]).sum::<f64>() / steps as f64;
            let phi = match rule {
                RateRule::Bptr => f64::from(u8::from(s.iter().any(|s| s[k] > 0.0))),
                RateRule::Relu => f64::from(u8::from(drive > 0.0)),
                RateRule::Rga(_) if !(0.0..=2.0).contains(&drive) => 0.0,
                RateRule::Rga(gamma) if drive <= 1.0 - decay => f64::from(gamma),
                RateRule::Rga(gamma) => (1.0 - f64::from(gamma) * (1.0 - decay)) / (decay + 1.0),
            };
            (0..steps).for_each(|t| of_i[t][k] = kappa * phi * upstream[t][k]);
        }
    } else {
        let h = slopes(d, e.slope, &z, moments);
        for k in 0..n {
            let mut of_v = 0.0;
            for t in (0..steps).rev() {
                let u = z[t][k] + f64::from(d.threshold);
                let jump = u * f64::from(d.keep) + f64::from(d.reset) - u;
                let of_s = upstream[t][k] + if d.reset_grad { of_v * jump } else { 0.0 };
                let kept = s[t][k] * f64::from(d.keep) + 1.0 - s[t][k];
                let of_u = of_s * h[t][k] + of_v * kept;
                of_v = if e.time == TimeRule::Detached { 0.0 } else { decay * of_u };
                of_i[t][k] = gain * of_u;
            }
        }
    }
    for t in (0..steps - 1).rev() {
        for k in 0..n {
            of_i[t][k] += synapse * of_i[t + 1][k];
        }
    }
    if e.average {
        for k in 0..n {
            let mean = (0..steps).map(|t| of_i[t][k]).sum::<f64>() / steps as f64;
            (0..steps).for_each(|t| of_i[t][k] = mean);
        }
    }
    of_i
}

/// Gradients by the engine, of one recording after the other on one tape.
struct Engine {
    tape: Tape,
    dynamics: Dynamics,
}

impl Engine {
    fn new(isa: Isa, dynamics: Dynamics) -> Self {
        Self { tape: Tape::new(Context::serial(isa)), dynamics }
    }

    /// The spikes and the gradient `[step][neuron]` of the input.
    fn run(&mut self, x: &[Lanes], upstream: &[Lanes], ask: Estimate) -> [Vec<Lanes>; 2] {
        let tape = &mut self.tape;
        tape.reset();
        let mut input = tape.tensor(shape(), LANES, x.len() / shape().features());
        input.lanes_mut().copy_from_slice(x);
        let x = tape.input(input);
        let spikes = tape.lif(x, self.dynamics, OWN, STEPS).unwrap();
        let mut grad = tape.tensor(shape(), LANES, STEPS);
        grad.lanes_mut().copy_from_slice(upstream);
        tape.set_estimate(ask);
        tape.backward_from(spikes, grad).unwrap();
        let gradient = tape.gradient(x).unwrap().lanes().to_vec();
        [tape.value(spikes).lanes().to_vec(), gradient]
    }
}

fn ask(estimator: Estimator) -> Estimate {
    Estimate { estimator, ..Estimate::default() }
}

/// Three gradients of a run each, after which half of the lanes begin another.
#[test]
fn every_estimator_is_its_formula() {
    let (mut compared, mut left_out) = (0, 0);
    for d in neurons() {
        for e in estimators() {
            for constant in [false, true] {
                let mut engines: Vec<Engine> =
                    isas().into_iter().map(|isa| Engine::new(isa, d)).collect();
                let mut moments: Vec<Moments> = vec![None; LANES];
                for run in 0..4 {
                    let fresh = [u16::MAX, 0, 0, 0x5555][run];
                    let (x, upstream) = draw(run as u64 + 7, constant);
                    let estimate = Estimate { estimator: e, fresh, learn: true };
                    let found: Vec<[Vec<Lanes>; 2]> = engines
                        .iter_mut()
                        .map(|engine| engine.run(&x, &upstream, estimate))
                        .collect();
                    assert!(found.iter().all(|other| *other == found[0]), "{e}: instruction sets");
                    for lane in 0..LANES {
                        if fresh >> lane & 1 == 1 {
                            moments[lane] = None;
                        }
                        let case = case(&x, &upstream, lane);
                        let mut expected = reference(&d, &e, &case, &mut moments[lane]);
                        if constant {
                            let n = expected[0].len();
                            let total = (0..n).map(|k| expected.iter().map(|row| row[k]).sum());
                            expected = vec![total.collect()];
                        }
                        let near = forward(&d, &case.x)[0].iter().flatten().any(|z| z.abs() < 1e-4);
                        if near {
                            left_out += 1;
                            continue;
                        }
                        let largest = expected.iter().flatten().fold(0.0f64, |m, g| m.max(g.abs()));
                        for (row, found) in
                            expected.iter().zip(found[0][1].chunks(shape().features()))
                        {
                            for (k, (g, found)) in row.iter().zip(found).enumerate() {
                                let off = (f64::from(found.0[lane]) - g).abs();
                                assert!(
                                    off <= 2e-4 * largest,
                                    "{e}, {d:?}, constant {constant}, run {run}, neuron {k}: {} for {g}",
                                    found.0[lane]
                                );
                                compared += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(compared > 10_000 && 10 * left_out < compared, "{compared} {left_out}");
}

#[test]
fn spikes_know_nothing_of_it_and_the_network_own_is_the_default() {
    let (x, upstream) = draw(3, false);
    for d in neurons() {
        let mut engine = Engine::new(portable(), d);
        let [spikes, own] = engine.run(&x, &upstream, Estimate::default());
        for e in estimators() {
            let [other, gradient] = engine.run(&x, &upstream, ask(e));
            assert_eq!(other, spikes, "{e}");
            assert_eq!(gradient == own, e.is_own(), "{e}");
        }
        let [_, again] = engine.run(&x, &upstream, Estimate::default());
        assert_eq!(again, own);
    }
}

/// Currents, threshold and all sixteen times as large: the gradient to them is a sixteenth, to the bit. Of the network's
/// own surrogate, whose width is absolute, it is not.
#[test]
fn estimators_do_not_see_the_scale_of_a_layer() {
    let (x, upstream) = draw(5, false);
    let larger: Vec<Lanes> = x.iter().map(|lanes| Lanes(lanes.0.map(|x| 16.0 * x))).collect();
    let neuron = Neuron::default();
    let large = Neuron { threshold: 16.0 * neuron.threshold, ..neuron };
    let [d, large] = [neuron, large].map(|neuron| neuron.dynamics().unwrap());
    for e in estimators() {
        let [spikes, gradient] = Engine::new(portable(), d).run(&x, &upstream, ask(e));
        let [same, scaled] = Engine::new(portable(), large).run(&larger, &upstream, ask(e));
        assert_eq!(spikes, same);
        let scaled: Vec<Lanes> = scaled.iter().map(|g| Lanes(g.0.map(|g| 16.0 * g))).collect();
        assert_eq!(scaled == gradient, !e.is_own(), "{e}");
    }
}

fn dot(a: &[Lanes], b: &[Lanes]) -> f64 {
    let products = a.iter().zip(b).flat_map(|(a, b)| a.0.into_iter().zip(b.0));
    products.map(|(a, b)| f64::from(a) * f64::from(b)).sum()
}

#[test]
fn wide_slopes_are_straight_through() {
    let (x, upstream) = draw(8, false);
    let mut engine = Engine::new(portable(), Neuron::default().dynamics().unwrap());
    let [_, line] =
        engine.run(&x, &upstream, ask(Estimator::fixed(Surrogate::StraightThrough(1e-3))));
    let [_, wide] = engine.run(&x, &upstream, ask(Estimator::fixed(Surrogate::Triangle(1e3))));
    let cosine = dot(&line, &wide) / (dot(&line, &line) * dot(&wide, &wide)).sqrt();
    assert!(cosine > 0.999, "{cosine}");
}

/// Without a carry from step to step the height of a slope is no more than a factor.
#[test]
fn without_a_carry_the_height_of_a_slope_changes_no_sign() {
    let (x, upstream) = draw(9, false);
    let mut d = Neuron::default().dynamics().unwrap();
    d.decay = 0.0;
    let mut engine = Engine::new(portable(), d);
    let mut signs = |height| -> Vec<f32> {
        let e = Estimator::fixed(Surrogate::StraightThrough(height));
        let [_, gradient] = engine.run(&x, &upstream, ask(e));
        gradient.iter().flat_map(|g| g.0.map(|g| if g == 0.0 { 0.0 } else { g.signum() })).collect()
    };
    assert_eq!(signs(0.3), signs(7.0));
}

#[test]
fn bptr_gives_silent_neurons_nothing_and_active_ones_their_gain() {
    let (x, upstream) = draw(4, false);
    let d = Neuron::default().dynamics().unwrap();
    let mut engine = Engine::new(portable(), d);
    let [spikes, gradient] = engine.run(&x, &upstream, ask(Estimator::rate(RateRule::Bptr)));
    let features = shape().features();
    let kappa = d.gain / (d.threshold - d.initial);
    for k in 0..features {
        for lane in 0..LANES {
            let any = (0..STEPS).any(|t| spikes[t * features + k].0[lane] > 0.0);
            for t in 0..STEPS {
                let expected = if any { kappa * upstream[t * features + k].0[lane] } else { 0.0 };
                assert_eq!(gradient[t * features + k].0[lane], expected);
            }
        }
    }
}

/// The slope of rates, read off neurons with constant currents: a rate of 1 at a drive of 2, and nothing outside.
#[test]
fn the_slopes_of_rga_add_up_to_one() {
    for neuron in [Neuron::default(), Neuron { tau: Some(5.0), ..Neuron::default() }] {
        let d = neuron.dynamics().unwrap();
        let kappa = d.gain / d.threshold;
        let mut engine = Engine::new(portable(), d);
        let features = shape().features();
        let upstream = vec![Lanes::splat(1.0); STEPS * features];
        let (mut sum, count) = (0.0, 4096);
        // The drive from -1 to 3, in the middles of small steps.
        let drives: Vec<f32> =
            (0..count).map(|i| -1.0 + 4.0 * (i as f32 + 0.5) / count as f32).collect();
        for drives in drives.chunks(LANES) {
            let x = Lanes(std::array::from_fn(|i| drives[i] / kappa));
            let e = Estimator::rate(RateRule::Rga(0.2));
            let [_, gradient] = engine.run(&vec![x; features], &upstream, ask(e));
            for (drive, g) in drives.iter().zip(gradient[0].0) {
                let slope = g / (kappa * STEPS as f32);
                assert_eq!(slope == 0.0, !(0.0..=2.0).contains(drive), "{drive}");
                sum += f64::from(slope) * 4.0 / f64::from(count);
            }
        }
        assert!((sum - 1.0).abs() < 2e-3, "{sum}");
    }
}

#[test]
fn hart_shares_out_what_detached_steps_have() {
    let (x, upstream) = draw(6, false);
    let mut engine = Engine::new(portable(), Neuron::default().dynamics().unwrap());
    let hart = Estimator::hart(1.0);
    let [_, mean] = engine.run(&x, &upstream, ask(hart));
    let [_, each] = engine.run(&x, &upstream, ask(Estimator { average: false, ..hart }));
    let features = shape().features();
    for k in 0..features {
        let total = |gradient: &[Lanes]| -> f64 {
            (0..STEPS).map(|t| f64::from(gradient[t * features + k].0[3])).sum()
        };
        assert!((total(&mean) - total(&each)).abs() < 1e-5);
        assert!((1..STEPS).all(|t| mean[t * features + k] == mean[k]));
    }
}

/// The share of the arctangent's area that lies within a neuron's distance from its threshold: on average no more than twice
/// the degree.
#[test]
fn adaptive_sharpness_keeps_its_degree() {
    let d = Neuron::default().dynamics().unwrap();
    for degree in [0.2, 0.425] {
        let e = Estimator::assg(degree);
        let mut moments = None;
        let (mut sum, mut count) = (0.0, 0);
        for run in 0..40 {
            let (x, upstream) = draw(run, false);
            let case = case(&x, &upstream, 0);
            let z = &forward(&d, &case.x)[0];
            let h = slopes(&d, e.slope, z, &mut moments);
            if run < 10 {
                continue; // The means begin far from where they settle.
            }
            for (z, h) in z.iter().flatten().zip(h.iter().flatten()) {
                // h is alpha / 2 / (1 + (pi alpha z / 2)^2): of the two sharpnesses that give it, the means' own.
                let y = std::f64::consts::PI * z.abs() * h;
                let root =
                    (1.0 - (1.0 - (2.0 * y).powi(2)).max(0.0).sqrt()) / (2.0 * y).max(1e-300);
                let share = 2.0 / std::f64::consts::PI * root.atan();
                sum += share.min(1.0);
                count += 1;
            }
        }
        let mean = sum / f64::from(count);
        assert!(mean <= 2.0 * f64::from(degree) + 0.02, "{degree}: {mean}");
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for e in estimators() {
        assert_eq!(e.to_string().parse::<Estimator>().unwrap(), e, "{e}");
    }
    let pooled = Estimator { pool: Some(SilentWindow::All), ..Estimator::pdsg() };
    let pgd = Estimated { attack: Box::new(Pgd::default()), estimator: pooled };
    assert_eq!(pgd.info().label, "pgd:gradient=pdsg,pool=all");
    for wrong in [
        "",
        "tirangle",
        "triangle:0",
        "triangle:-1",
        "rect:inf",
        "atan:x",
        "ste:2",
        "assg:0.5",
        "rga:2",
        "exp:NaN",
    ] {
        assert!(wrong.parse::<Estimator>().is_err(), "{wrong}");
    }
}
