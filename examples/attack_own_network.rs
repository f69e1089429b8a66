//! Attacks a network of one's own, written on the tape: it is a `Classifier` and a `FrozenNetwork`, and every attack runs
//! on it. (A model from elsewhere is a `Classifier` with a `Session` of its own.)
//!
//! `cargo run --release --example attack_own_network`

use deepsleep::attack::{Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::autodiff::{Labels, Seed, Tape, Var};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Classifier, FrozenNetwork, Session, accuracy, tape_session};
use deepsleep::tensor::{Context, Shape, Tensor};

const IMAGE: Shape = Shape::new(1, 28, 28);

/// 784 pixels -> 32 tanh -> 10 classes.
struct Perceptron {
    hidden: Vec<f32>,
    output: Vec<f32>,
}

impl Classifier for Perceptron {
    fn input_shape(&self) -> Shape {
        IMAGE
    }

    fn classes(&self) -> usize {
        10
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        tape_session(self, context)
    }
}

impl FrozenNetwork for Perceptron {
    fn logits(&self, tape: &mut Tape, x: Var) -> deepsleep::Result<Var> {
        let hidden = tape.fixed_weight(&[32, 784], &self.hidden)?;
        let output = tape.fixed_weight(&[10, 32], &self.output)?;
        let features = tape.linear(x, hidden)?;
        let features = tape.tanh(features);
        tape.linear(features, output)
    }
}

fn main() -> deepsleep::Result<()> {
    let folder = locate(DatasetName::Mnist, None)?;
    let train = Dataset::load(&folder, Split::Train)?;
    let test = Dataset::load(&folder, Split::Test)?;
    let context = Context::new(0)?;

    // Two epochs' worth of plain gradient descent, to have something to attack.
    let start = |count: usize, scale: f32| {
        (0..count).map(|i| scale * ((i as f32 * 12.9898).sin() * 43758.547).fract()).collect()
    };
    let mut model = Perceptron { hidden: start(32 * 784, 0.03), output: start(320, 0.15) };
    let mut tape = Tape::new(context.clone());
    for step in 0..900 {
        let batch: Vec<usize> = (0..128).map(|i| (step * 128 + i) % train.len()).collect();
        let labels: Vec<usize> = batch.iter().map(|&i| train.label(i)).collect();
        let mut images = Tensor::zeros(IMAGE, batch.len());
        train.gather(&context, &batch, &mut images)?;
        let x = tape.constant(images);
        let hidden = tape.weight(&[32, 784], &model.hidden)?;
        let output = tape.weight(&[10, 32], &model.output)?;
        let features = tape.linear(x, hidden)?;
        let features = tape.tanh(features);
        let logits = tape.linear(features, output)?;
        let loss = tape.cross_entropy(logits, &Labels::new(&labels, 10)?, 1.0)?;
        tape.backward(loss, Seed::Mean)?;
        for (weight, values) in [(hidden, &mut model.hidden), (output, &mut model.output)] {
            let gradient = tape.weight_gradient(weight).into_iter().flatten();
            values.iter_mut().zip(gradient).for_each(|(value, g)| *value -= 0.1 * g);
        }
        tape.reset();
    }
    println!("clean accuracy {:.3}", accuracy(&context, &model, &test)?);

    let samples = Samples::from_dataset(&test, 0..64)?;
    let budget = Budget { norm: Norm::Linf, eps: 0.05, seed: 0 };
    for name in ["fgsm", "pgd:steps=20", "square:queries=500", "apgd-t"] {
        let report = run_attack(&context, &model, &samples, parse_attack(name)?.as_ref(), budget)?;
        println!(
            "{name:20} robust accuracy {:.3}, {} of {} fooled, {} forward and {} backward passes",
            report.robust_accuracy(),
            report.count(Status::Fooled),
            samples.len(),
            report.cost().forward_passes,
            report.cost().backward_passes,
        );
        report.warnings.iter().for_each(|warning| println!("  warning: {warning}"));
    }
    Ok(())
}
