//! Poisson encoding and the mean over time.

use crate::common::isas;
use deepsleep::autodiff::{Seed, Tape};
use deepsleep::simd::Lanes;
use deepsleep::simd::random::Key;
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::{Array4, s};

/// Images of 12 pixels, all different.
fn images(samples: usize) -> Array4<f32> {
    Array4::from_shape_fn((samples, 1, 3, 4), |(n, _, y, x)| {
        ((n * 17 + y * 5 + x * 3) % 101) as f32 / 101.0
    })
}

/// Image i draws from `key.with(i)`.
fn encode(context: &Context, images: &Array4<f32>, rate: f32, steps: usize, key: Key) -> Tensor {
    let keys: Vec<Key> = (0..images.len_of(ndarray::Axis(0))).map(|i| key.with(i as u64)).collect();
    encode_with(context, images, rate, steps, &keys)
}

fn encode_with(
    context: &Context,
    images: &Array4<f32>,
    rate: f32,
    steps: usize,
    keys: &[Key],
) -> Tensor {
    let mut tape = Tape::new(context.clone());
    tape.set_noise(keys.iter().copied());
    let x = tape.constant(Tensor::from_array(images.view()));
    let spikes = tape.poisson(x, rate, steps).unwrap();
    tape.value(spikes).clone()
}

#[test]
fn spikes_come_at_the_rate_asked_for() {
    let (images, steps, rate) = (images(3), 20_000, 0.7);
    let context = Context::new(1).unwrap();
    let spikes = encode(&context, &images, rate, steps, Key::new(5));
    let (mut chi_squared, mut pixels) = (0.0, 0.0);
    for (n, image) in images.outer_iter().enumerate() {
        let mut count = [0.0_f64; 12];
        let (mut pairs, mut previous) = (0.0, vec![0.0; 12]);
        for t in 0..steps {
            let now: Vec<f32> = spikes.sample(t, n).collect();
            assert!(now.iter().all(|&s| s == 0.0 || s == 1.0));
            count.iter_mut().zip(&now).for_each(|(c, &s)| *c += f64::from(s));
            pairs += now.iter().zip(&previous).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            previous = now;
        }
        let mut expected_pairs = 0.0;
        for (&x, count) in image.iter().zip(count) {
            let p = f64::from(rate * x);
            expected_pairs += p * p * steps as f64;
            if p > 0.0 {
                chi_squared += (count - p * steps as f64).powi(2) / (steps as f64 * p * (1.0 - p));
                pixels += 1.0;
            } else {
                assert_eq!(count, 0.0);
            }
        }
        // Steps do not know of one another: spikes follow spikes as often as chance has it.
        assert!((pairs / expected_pairs - 1.0).abs() < 0.02, "{pairs} {expected_pairs}");
    }
    // Mean 1, deviation sqrt(2 / pixels) a pixel: five deviations.
    assert!((chi_squared / pixels - 1.0).abs() < 5.0 * (2.0_f64 / pixels).sqrt(), "{chi_squared}");
}

#[test]
fn a_sample_has_the_same_spikes_wherever_it_is() {
    let (images, key) = (images(37), Key::new(1).named("test"));
    let portable = Context::serial(crate::common::portable());
    let all = encode(&portable, &images, 0.9, 6, key);
    for isa in isas() {
        for threads in [1, 2, 5] {
            let context = Context::with_isa(isa, threads).unwrap();
            assert_eq!(encode(&context, &images, 0.9, 6, key), all, "{}", isa.name());
        }
    }
    for n in [0, 5, 16, 36] {
        let image = images.slice(s![n..=n, .., .., ..]).to_owned();
        let alone = encode_with(&portable, &image, 0.9, 6, &[key.with(n as u64)]);
        for t in 0..6 {
            assert!(alone.sample(t, 0).eq(all.sample(t, n)), "image {n}");
        }
    }
    // Another key, other draws; images that hardly differ, the same ones; two samples, unrelated ones.
    assert_ne!(encode(&portable, &images, 0.9, 6, key.with(1)), all);
    let gray = Array4::from_shape_fn((2, 1, 30, 30), |(n, ..)| 0.5 + n as f32 * 1e-7);
    let agree = |spikes: &Tensor| {
        spikes.sample(0, 0).zip(spikes.sample(0, 1)).filter(|(a, b)| a == b).count()
    };
    let common = encode_with(&portable, &gray, 1.0, 1, &[key, key]);
    assert!(agree(&common) >= 899, "{} of 900 pixels agree", agree(&common));
    let apart = agree(&encode(&portable, &gray, 1.0, 1, key));
    assert!((370..530).contains(&apart), "{apart} of 900 pixels agree");
}

#[test]
fn every_random_operation_draws_for_itself_and_none_without_keys() {
    let gray = Array4::from_elem((3, 1, 30, 30), 0.5);
    let mut tape = Tape::new(Context::new(1).unwrap());
    let x = tape.constant(Tensor::from_array(gray.view()));
    let message = tape.poisson(x, 1.0, 1).unwrap_err().to_string();
    assert!(message.contains("3 samples") && message.contains("set_noise"), "{message}");
    tape.set_noise((0..3).map(Key::new));
    let [a, b] = [(); 2].map(|()| tape.poisson(x, 1.0, 1).unwrap());
    assert_ne!(tape.value(a), tape.value(b));
    // A reset forgets the keys: the same numbers are never drawn twice.
    tape.reset();
    let x = tape.constant(Tensor::from_array(gray.view()));
    assert!(tape.poisson(x, 1.0, 1).is_err());
}

#[test]
fn the_gradient_goes_straight_through() {
    let images = images(19);
    let mut tape = Tape::new(Context::new(1).unwrap());
    let x = tape.input(Tensor::from_array(images.view()));
    tape.set_noise((0..19).map(Key::new));
    let spikes = tape.poisson(x, 0.25, 4).unwrap();
    let mut upstream = tape.tensor(Shape::new(1, 3, 4), 19, 4);
    upstream.lanes_mut().fill(Lanes::ZERO);
    for block in 0..8 {
        for (f, lanes) in upstream.lanes_mut()[block * 12..][..12].iter_mut().enumerate() {
            let live = if block < 4 { 16 } else { 3 };
            lanes.0[..live].fill((block % 4 + 1) as f32 * (f + 1) as f32);
        }
    }
    tape.backward_from(spikes, upstream).unwrap();
    let grad = tape.gradient(x).unwrap();
    for n in 0..19 {
        let expected = (1..=12).map(|f| 0.25 * 10.0 * f as f32);
        assert!(grad.sample(0, n).eq(expected), "{:?}", grad.sample(0, n).collect::<Vec<_>>());
    }
}

#[test]
fn the_mean_over_steps_and_its_gradient() {
    let images = images(21);
    for isa in isas() {
        let mut tape = Tape::new(Context::with_isa(isa, 2).unwrap());
        let x = tape.input(Tensor::from_array(images.view()));
        tape.set_noise((0..21).map(Key::new));
        let spikes = tape.poisson(x, 1.0, 5).unwrap();
        let mean = tape.mean_steps(spikes);
        let (spikes, value) = (tape.value(spikes).clone(), tape.value(mean).clone());
        assert_eq!((value.steps(), value.samples()), (1, 21));
        for n in 0..21 {
            for (f, found) in value.sample(0, n).enumerate() {
                let sum: f32 = (0..5).map(|t| spikes.sample(t, n).nth(f).unwrap()).sum();
                assert_eq!(found, sum * (1.0 / 5.0));
            }
        }
        // mean and encoder together pass rate * gradient on.
        tape.backward(mean, Seed::Sum).unwrap();
        let grad = tape.gradient(x).unwrap();
        for n in 0..21 {
            assert!(grad.sample(0, n).all(|g| (g - 1.0).abs() < 1e-6));
        }
    }
}

#[test]
fn what_is_the_same_at_every_step_collects_the_gradients_of_all() {
    let images = images(21);
    for isa in isas() {
        let mut tape = Tape::new(Context::with_isa(isa, 2).unwrap());
        let x = tape.input(Tensor::from_array(images.view()));
        let all = tape.repeat_steps(x, 4).unwrap();
        let (one, value) = (tape.value(x).clone(), tape.value(all).clone());
        assert_eq!((value.steps(), value.samples()), (4, 21));
        assert!((0..21).all(|n| (0..4).all(|t| value.sample(t, n).eq(one.sample(0, n)))));
        // Gradients that differ from step to step.
        let mut grad = value.clone();
        grad.lanes_mut().iter_mut().enumerate().for_each(|(i, g)| g.0.fill((i % 7) as f32));
        tape.backward_from(all, grad.clone()).unwrap();
        let found = tape.gradient(x).unwrap();
        for (n, f) in (0..21).flat_map(|n| (0..found.shape().features()).map(move |f| (n, f))) {
            let sum: f32 = (0..4).map(|t| grad.sample(t, n).nth(f).unwrap()).sum();
            assert_eq!(found.sample(0, n).nth(f), Some(sum));
        }
        assert!(tape.repeat_steps(x, 0).is_err() && tape.repeat_steps(all, 4).is_err());
    }
}

#[test]
fn rates_beyond_probabilities_are_refused() {
    let mut tape = Tape::new(Context::new(1).unwrap());
    let x = tape.input(Tensor::from_array(images(2).view()));
    tape.set_noise([Key::new(0), Key::new(1)]);
    for (rate, steps) in [(-0.1, 3), (1.1, 3), (f32::NAN, 3), (0.5, 0)] {
        assert!(tape.poisson(x, rate, steps).is_err());
    }
    let spikes = tape.poisson(x, 0.5, 2).unwrap();
    assert!(tape.poisson(spikes, 0.5, 2).is_err());
}
