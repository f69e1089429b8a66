//! Losses: gradients against differences, invariances, few classes, numbers that are not finite.

use deepsleep::attack::Loss;
use deepsleep::simd::{Lanes, LanesU32};
use proptest::prelude::*;

const LOSSES: [Loss; 8] = [
    Loss::CrossEntropy,
    Loss::ScaledCrossEntropy,
    Loss::CrossEntropyF32,
    Loss::TargetedCrossEntropy,
    Loss::Dlr,
    Loss::TargetedDlr,
    Loss::Margin,
    Loss::Difference,
];

/// Loss and gradient of one sample, in lane 3.
fn evaluate(loss: Loss, z: &[f32], label: usize, target: usize) -> (f32, Vec<f32>) {
    let isa = crate::common::isas().pop().unwrap();
    let lanes: Vec<Lanes> = z
        .iter()
        .map(|&z| {
            let mut lanes = Lanes::splat(0.5);
            lanes.0[3] = z;
            lanes
        })
        .collect();
    let (label, target) = (LanesU32::splat(label as u32), LanesU32::splat(target as u32));
    let (mut value, mut grad) = (Lanes::ZERO, vec![Lanes::ZERO; z.len()]);
    loss.evaluate(isa, &lanes, &label, &target, &mut value, &mut grad);
    (value.0[3], grad.iter().map(|g| g.0[3]).collect())
}

/// Logits of which no two lie close together: the ratios have edges there.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-0.2f32..0.2, 2..12).prop_flat_map(|noise| {
        let places: Vec<usize> = (0..noise.len()).collect();
        (Just(noise), Just(places).prop_shuffle()).prop_map(|(noise, places)| {
            places.iter().zip(noise).map(|(&place, noise)| place as f32 + noise).collect()
        })
    })
}

proptest! {
    #[test]
    fn gradients_agree_with_differences(
        z in logits(),
        label in 0usize..12,
        target in 0usize..12,
        loss in prop::sample::select(&LOSSES[..]),
    ) {
        let (label, target) = (label % z.len(), target % z.len());
        prop_assume!(label != target);
        let (value, grad) = evaluate(loss, &z, label, target);
        prop_assert!(value.is_finite());
        for (i, g) in grad.iter().enumerate() {
            let at = |h: f32| {
                let mut z = z.clone();
                z[i] += h;
                f64::from(evaluate(loss, &z, label, target).0)
            };
            let h = 0.02;
            let slope = (at(h) - at(-h)) / (2.0 * f64::from(h));
            prop_assert!((slope - f64::from(*g)).abs() < 5e-3 * slope.abs().max(1.0), "{loss:?} {i}: {slope} {g}");
        }
        // No loss changes when all logits rise together.
        prop_assert!(grad.iter().sum::<f32>().abs() < 1e-4);
    }

    #[test]
    fn dlr_sees_neither_scale_nor_shift_and_lies_in_its_range(
        z in logits(),
        label in 0usize..12,
        scale in 0.1f32..50.0,
        shift in -10.0f32..10.0,
    ) {
        prop_assume!(z.len() >= 3);
        let label = label % z.len();
        let value = evaluate(Loss::Dlr, &z, label, 0).0;
        let other: Vec<f32> = z.iter().map(|z| scale * z + shift).collect();
        let moved = evaluate(Loss::Dlr, &other, label, 0).0;
        prop_assert!((value - moved).abs() <= 1e-3 * value.abs().max(1.0), "{value} {moved}");
        let correct = deepsleep::nn::margin(&z, label) > 0.0;
        if correct {
            prop_assert!((-1.0..=0.0).contains(&value));
        } else {
            prop_assert!(value > 0.0);
        }
    }
}

#[test]
fn with_few_classes_the_ratios_become_margins() {
    let z = [0.5, 2.0, 1.0];
    assert_eq!(evaluate(Loss::Dlr, &z[..2], 0, 1), (1.5, vec![-1.0, 1.0]));
    assert_eq!(evaluate(Loss::TargetedDlr, &z, 1, 2), (-1.0, vec![0.0, -1.0, 1.0]));
}

#[test]
fn a_certain_answer_still_has_a_gradient() {
    // softmax(z)[0] is 1 to the last bit; the loss is that of logits times 11/31, by which the third largest is 11 lower.
    let (value, grad) = evaluate(Loss::CrossEntropy, &[32.0, 0.0, 1.0, 2.0], 0, 0);
    assert!((value - (1.494_989 - 11.0 / 31.0 * 32.0)).abs() <= 1e-5, "{value}");
    let expected = [-1.0, 0.224_251, 0.319_771, 0.455_978];
    assert!(grad.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{grad:?}");
    // Larger logits make the same loss.
    let z = [30.0, 0.0, 12.0, 15.0];
    let double = evaluate(Loss::CrossEntropy, &z.map(|z| 2.0 * z), 0, 0);
    for exponent in [2, 10, 20, 60] {
        let scale = 2.0f32.powi(exponent);
        let (value, grad) = evaluate(Loss::CrossEntropy, &z.map(|z| scale * z), 0, 0);
        assert_eq!(value, double.0);
        assert_eq!(grad, double.1);
        assert!(grad[3] > grad[2] && grad[2] > 0.0 && grad[0] < 0.0, "{grad:?}");
    }
    // As PyTorch has it, the label's part is gone.
    let (value, grad) = evaluate(Loss::CrossEntropyF32, &[40.0, 0.0, 1.0, 2.0], 0, 0);
    assert_eq!((value, grad[0]), (0.0, 0.0));
    assert!(grad[3] > grad[2] && grad[2] > grad[1] && grad[1] > 0.0, "{grad:?}");
}

/// As of a class that a model was told never to answer, or never saw: four of these ten are far below the others.
#[test]
fn classes_out_of_play_change_nothing() {
    let z = |low: f32| [30.0, 12.0, low, 18.0, 25.0, low, 9.0, low, 22.0, low];
    for loss in [Loss::CrossEntropy, Loss::ScaledCrossEntropy, Loss::TargetedCrossEntropy] {
        let near = evaluate(loss, &z(-50.0), 0, 4);
        for low in [-1e3, -1e6, -1e12] {
            let far = evaluate(loss, &z(low), 0, 4);
            assert!((near.0 - far.0).abs() < 1e-5, "{loss:?} {low}: {} {}", near.0, far.0);
            let pairs = near.1.iter().zip(&far.1);
            assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5), "{loss:?} {low}: {pairs:?}");
        }
    }
}

#[test]
fn the_scaled_loss_sees_no_scale() {
    let z = [3.0, -1.0, 2.5, 0.25, 1.0];
    let (value, grad) = evaluate(Loss::ScaledCrossEntropy, &z, 0, 0);
    for exponent in [-60, -20, -1, 1, 20, 60] {
        let scale = 2.0f32.powi(exponent);
        let (v, g) = evaluate(Loss::ScaledCrossEntropy, &z.map(|z| z * scale), 0, 0);
        assert_eq!(v, value);
        assert_eq!(g, grad.iter().map(|g| g / scale).collect::<Vec<f32>>());
    }
    let (value, grad) = evaluate(Loss::ScaledCrossEntropy, &[0.0; 5], 0, 0);
    assert!((value - 4.0f32.ln()).abs() < 1e-6 && grad[0] == -11.0, "{value} {grad:?}");
}

#[test]
fn ratios_see_no_scale_however_small() {
    let z = [3.0, -1.0, 2.5, 0.25, 1.0];
    for loss in [Loss::Dlr, Loss::TargetedDlr] {
        let (value, grad) = evaluate(loss, &z, 0, 4);
        for exponent in [-80, -30, 30, 80] {
            let scale = 2.0f32.powi(exponent);
            let (v, g) = evaluate(loss, &z.map(|z| z * scale), 0, 4);
            assert_eq!(v, value, "{loss:?}");
            assert_eq!(g, grad.iter().map(|g| g / scale).collect::<Vec<f32>>(), "{loss:?}");
        }
        // No spread, no ratio: the difference itself.
        assert_eq!(evaluate(loss, &[0.0; 5], 0, 4).0, 0.0);
    }
}

#[test]
fn nothing_finite_comes_from_what_is_not() {
    for loss in LOSSES {
        let value = evaluate(loss, &[1.0, f32::NAN, 0.0, 0.5, -1.0], 1, 0).0;
        assert!(!value.is_finite(), "{loss:?} {value}");
    }
}
