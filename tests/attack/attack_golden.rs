//! Losses and deterministic attacks against PyTorch's numbers (tests/golden/attacks.safetensors).

use crate::common::models::{golden, lenet, test_images};
use deepsleep::attack::{
    Attack, Budget, Fab, Fgsm, Goal, Loss, Norm, Pgd, StepSize, bim, run_attack,
};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::input_gradients;
use deepsleep::simd::{LANES, Lanes, LanesU32};
use deepsleep::tensor::{Context, Tensor};

const SAMPLES: usize = 19;
const EPS: f32 = 64.0 / 255.0;

fn values<'a>(file: &'a StateDict, name: &str) -> &'a [f32] {
    &file.get(name).unwrap_or_else(|| panic!("no {name}")).values
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let file = golden("attacks.safetensors");
    let labels = test_images(0..SAMPLES).labels().to_vec();
    let logits = values(&file, "logits");
    for (name, loss) in
        [("dlr", Loss::Dlr), ("dlr_targeted", Loss::TargetedDlr), ("cw_margin", Loss::Margin)]
    {
        let value = values(&file, &format!("{name}.value"));
        let grad = values(&file, &format!("{name}.logit_grad"));
        for isa in crate::common::isas() {
            for n in 0..SAMPLES {
                // A different lane for every sample, other numbers in the other lanes.
                let lane = n % LANES;
                let mut z = [Lanes::splat(0.25); 10];
                (0..10).for_each(|class| z[class].0[lane] = logits[n * 10 + class]);
                let (mut label, mut target) = (LanesU32::ZERO, LanesU32::splat(1));
                label.0[lane] = labels[n] as u32;
                target.0[lane] = (labels[n] as u32 + 1) % 10;
                let (mut v, mut g) = (Lanes::ZERO, [Lanes::ZERO; 10]);
                loss.evaluate(isa, &z, &label, &target, &mut v, &mut g);
                // PyTorch's margin is to be minimised, and clamped at 0.
                let margin = loss == Loss::Margin;
                let ours = if margin { (-v.0[lane]).max(0.0) } else { v.0[lane] };
                assert!((ours - value[n]).abs() <= 1e-5 * value[n].abs().max(1.0), "{name} {n}");
                for class in 0..10 {
                    let ours = match g[class].0[lane] {
                        _ if margin && v.0[lane] >= 0.0 => 0.0,
                        g if margin => -g,
                        g => g,
                    };
                    let theirs = grad[n * 10 + class];
                    assert!((ours - theirs).abs() <= 1e-5, "{name} {n} {class}: {ours} {theirs}");
                }
            }
        }
    }
}

/// The images of an attack that returns its last point, whatever it is.
fn crafted(attack_: &dyn Attack) -> Vec<f32> {
    let (context, network) = (Context::new(2).unwrap(), lenet("lenet_weights.safetensors"));
    let budget = Budget { norm: Norm::Linf, eps: EPS, seed: 0 };
    let report = run_attack(&context, &network, &test_images(0..SAMPLES), attack_, budget).unwrap();
    report.outcomes.into_iter().flat_map(|outcome| outcome.image).collect()
}

#[test]
fn fgsm_is_pytorchs_but_where_the_gradient_vanishes() {
    let file = golden("attacks.safetensors");
    let ours = crafted(&Fgsm { loss: Loss::CrossEntropyF32, goal: Goal::Last, ..Fgsm::default() });
    let samples = test_images(0..SAMPLES);
    let gradient = input_gradients(
        &Context::new(1).unwrap(),
        &lenet("lenet_weights.safetensors"),
        &Tensor::from_array(samples.to_array().view()),
        samples.labels(),
    )
    .unwrap()
    .to_array();
    for (n, gradient) in gradient.outer_iter().enumerate() {
        let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for (i, g) in gradient.iter().enumerate().filter(|(_, g)| g.abs() >= 1e-7 * largest) {
            let (ours, theirs) = (ours[n * 784 + i], values(&file, "fgsm_64")[n * 784 + i]);
            assert!((ours - theirs).abs() < 1e-6, "{n} {i}: {ours} {theirs}, gradient {g}");
        }
    }
}

/// A walk along the boundary must end beyond it by more than rounding, not be thrown away there.
#[test]
fn fab_keeps_what_it_finds_at_the_boundary() {
    let (context, network) = (Context::new(2).unwrap(), lenet("lenet_weights.safetensors"));
    let budget = Budget { norm: Norm::L1, eps: 10.0, seed: 0 };
    let fab = Fab { targets: 0, steps: 20, ..Fab::default() };
    let report = run_attack(&context, &network, &test_images(200..250), &fab, budget).unwrap();
    // 0.12 also when any misclassified point counted, of which some were right in double precision.
    assert!(report.robust_accuracy() <= 0.12, "{}", report.robust_accuracy());
}

#[test]
fn bim_is_pytorchs_on_almost_every_pixel() {
    let file = golden("attacks.safetensors");
    let ours = crafted(&Pgd {
        loss: Loss::CrossEntropyF32,
        step: StepSize::Absolute(2.0 / 255.0),
        goal: Goal::Last,
        ..bim()
    });
    let theirs = values(&file, "bim_64");
    let equal = ours.iter().zip(theirs).filter(|(a, b)| (*a - *b).abs() < 1e-6).count();
    let share = equal as f64 / theirs.len() as f64;
    assert!(share >= 0.995, "{share}");
}
