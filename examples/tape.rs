//! A network of one's own on the tape: its gradients with respect to parameters and input, checked, and put to use.
//!
//! ```text
//! cargo run --release --example tape
//! ```
//!
//! Nothing here is special to LeNet or to MNIST: any images, any operations that the tape has (or that you write by
//! implementing `deepsleep::autodiff::Operation`).

use deepsleep::Result;
use deepsleep::autodiff::{Labels, Seed, Tape, Var, Weight, check_gradients};
use deepsleep::kernels::conv2d::Conv2dOptions;
use deepsleep::tensor::{Context, Tensor};
use ndarray::Array4;

/// 19 images: not a multiple of the 16 samples of a vector, which makes no difference.
const IMAGES: usize = 19;
const CLASSES: usize = 3;
const CONV: [usize; 4] = [4, 2, 3, 3];
const LINEAR: [usize; 2] = [CLASSES, 4 * 3 * 3];

/// Two channels of 8 x 8 pixels -> conv 3x3 to 4 channels -> bias -> tanh -> mean-pool 2 -> linear -> a loss a sample.
///
/// A network is a function that records itself: it runs forward while it is written down.
fn network(tape: &mut Tape, x: Var, weights: &[Weight], labels: &Labels) -> Result<Var> {
    let maps = tape.conv2d(x, weights[0], Conv2dOptions::default())?;
    let maps = tape.bias(maps, weights[1])?;
    let hidden = tape.tanh(maps);
    let pooled = tape.avg_pool(hidden, [2, 2], [2, 2])?;
    let logits = tape.linear(pooled, weights[2])?;
    tape.cross_entropy(logits, labels, 1.0)
}

/// Numbers between -1 and 1 that look like noise.
fn noise(i: usize) -> f32 {
    ((i as f32 + 1.0) * 12.9898).sin()
}

fn main() -> Result<()> {
    // At the border, images are ndarray's N x C x H x W. These have noise, and two bright columns that tell the class.
    let labels: Vec<usize> = (0..IMAGES).map(|n| n % CLASSES).collect();
    let images = Array4::from_shape_fn((IMAGES, 2, 8, 8), |(n, c, y, x)| {
        let bright = if x / 2 == labels[n] { 1.0 } else { 0.0 };
        bright + 0.5 * noise(n * 128 + c * 64 + y * 8 + x)
    });
    let labels = Labels::new(&labels, CLASSES)?;
    let mut parameters: Vec<(&[usize], Vec<f32>)> = vec![
        (&CONV, (0..72).map(|i| 0.3 * noise(i)).collect()),
        (&CONV[..1], vec![0.0; 4]),
        (&LINEAR, (0..108).map(|i| 0.2 * noise(i + 7)).collect()),
    ];

    // Gradients against central differences, before trusting them.
    let weights: Vec<(&[usize], &[f32])> =
        parameters.iter().map(|(shape, values)| (*shape, values.as_slice())).collect();
    let report =
        check_gradients(images.view(), &weights, |tape, x, w| network(tape, x, w, &labels))?;
    println!("gradients differ from central differences by at most {:.1e}", report.worst());
    assert!(report.worst() < 1e-2, "{report:?}");

    // Gradient descent on the parameters. The tape is emptied after every step and keeps its memory.
    let mut tape = Tape::new(Context::new(0)?);
    let mut losses = Vec::new();
    for _ in 0..200 {
        let x = tape.constant(Tensor::from_array(images.view())); // its gradient is not wanted, so it is not computed
        let weights = parameters
            .iter()
            .map(|(shape, values)| tape.weight(shape, values))
            .collect::<Result<Vec<_>>>()?;
        let loss = network(&mut tape, x, &weights, &labels)?;
        losses.push(tape.mean(loss));
        tape.backward(loss, Seed::Mean)?;
        for ((_, values), &weight) in parameters.iter_mut().zip(&weights) {
            let gradient = tape.weight_gradient(weight).unwrap_or_default();
            values.iter_mut().zip(gradient).for_each(|(value, g)| *value -= 0.5 * g);
        }
        tape.reset();
    }
    println!("trained: mean loss {:.3} -> {:.3}", losses[0], losses[199]);
    assert!(losses[199] < 0.5 * losses[0]);

    // The other gradient: with respect to the images, the parameters held fixed. One step along its sign is the attack
    // FGSM. `Seed::Sum`, because no image's gradient may depend on how many others there are.
    let loss_of = |tape: &mut Tape, images: &Array4<f32>| {
        tape.reset();
        let x = tape.input(Tensor::from_array(images.view()));
        let weights = parameters
            .iter()
            .map(|(shape, values)| tape.fixed_weight(shape, values))
            .collect::<Result<Vec<_>>>()?;
        let loss = network(tape, x, &weights, &labels)?;
        Ok::<_, deepsleep::Error>((x, loss))
    };
    let (x, loss) = loss_of(&mut tape, &images)?;
    let before = tape.mean(loss);
    tape.backward(loss, Seed::Sum)?;
    let gradient = tape.gradient(x).map(Tensor::to_array).unwrap_or_default();
    let attacked = &images + &gradient.mapv(|g| 0.05 * g.signum());
    let (_, loss) = loss_of(&mut tape, &attacked)?;
    println!("attacked: mean loss {before:.3} -> {:.3}", tape.mean(loss));
    assert!(tape.mean(loss) > before);
    Ok(())
}
