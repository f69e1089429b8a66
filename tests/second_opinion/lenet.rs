//! LeNet and the spiking LeNet in f64. Maps are `[channel][y][x]`, their sides are written where they are used.

use super::weights::Weights;

/// PyTorch's default.
const NORM_EPS: f64 = 1e-5;

/// A convolution of 5 x 5 without border or bias, and the batch normalization behind it with its running statistics.
pub struct Convolution {
    inputs: usize,
    outputs: usize,
    weight: Vec<f64>,
    gain: Vec<f64>,
    bias: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Convolution {
    fn new(weights: &Weights, layer: usize, inputs: usize, outputs: usize) -> Self {
        let get = |name: &str| weights.get(name).to_vec();
        Self {
            inputs,
            outputs,
            weight: get(&format!("conv{layer}.weight")),
            gain: get(&format!("bn{layer}.weight")),
            bias: get(&format!("bn{layer}.bias")),
            mean: get(&format!("bn{layer}.running_mean")),
            variance: get(&format!("bn{layer}.running_var")),
        }
    }

    /// The maps of `side - 4`, normalized, of maps of `side`: every input adds to the outputs that see it, black pixels
    /// and silent neurons add nothing.
    fn forward(&self, x: &[f64], side: usize) -> Vec<f64> {
        let out = side - 4;
        let mut y = vec![0.0; self.outputs * out * out];
        for (place, &value) in x.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            let (i, row, column) = (place / (side * side), place / side % side, place % side);
            for ky in (0..5).filter(|&ky| ky <= row && row - ky < out) {
                for kx in (0..5).filter(|&kx| kx <= column && column - kx < out) {
                    for o in 0..self.outputs {
                        y[(o * out + row - ky) * out + column - kx] +=
                            self.weight[((o * self.inputs + i) * 5 + ky) * 5 + kx] * value;
                    }
                }
            }
        }
        for (place, y) in y.iter_mut().enumerate() {
            let o = place / (out * out);
            let scale = self.gain[o] / (self.variance[o] + NORM_EPS).sqrt();
            *y = (*y - self.mean[o]) * scale + self.bias[o];
        }
        y
    }
}

/// The largest of every 2 x 2 window.
fn max_pool(x: &[f64], channels: usize, side: usize) -> Vec<f64> {
    let out = side / 2;
    let mut y = vec![f64::NEG_INFINITY; channels * out * out];
    for c in 0..channels {
        for row in 0..side {
            for column in 0..side {
                let best = &mut y[(c * out + row / 2) * out + column / 2];
                *best = best.max(x[(c * side + row) * side + column]);
            }
        }
    }
    y
}

/// `W x`, rows of W after one another.
fn linear(weight: &[f64], x: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

/// conv 5x5 1->10, norm, ReLU, pool; conv 5x5 10->20, norm, ReLU, pool; linear 320->10.
pub struct LeNet {
    conv1: Convolution,
    conv2: Convolution,
    fc: Vec<f64>,
}

impl LeNet {
    /// The network of a file under tests/golden.
    pub fn golden(name: &str) -> Self {
        let weights = Weights::golden(name);
        Self {
            conv1: Convolution::new(&weights, 1, 1, 10),
            conv2: Convolution::new(&weights, 2, 10, 20),
            fc: weights.get("fc.weight").to_vec(),
        }
    }

    /// The logits of an image.
    pub fn logits(&self, image: &[f32]) -> Vec<f64> {
        let rectify = |x: Vec<f64>| x.into_iter().map(|x| x.max(0.0)).collect::<Vec<f64>>();
        let x: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        let x = max_pool(&rectify(self.conv1.forward(&x, 28)), 10, 24);
        let x = max_pool(&rectify(self.conv2.forward(&x, 12)), 20, 8);
        linear(&self.fc, &x)
    }
}

/// Where a leaky neuron's membrane spikes, and its time constant in steps.
pub const THRESHOLD: f64 = 0.5;
const TAU: f64 = 2.0;

/// One step of leaky integrate-and-fire neurons: membranes in place, spikes returned.
pub fn fire(current: &[f64], membrane: &mut [f64], threshold: f64) -> Vec<f64> {
    let mut spikes = vec![0.0; current.len()];
    for i in 0..current.len() {
        membrane[i] += (current[i] - membrane[i]) / TAU;
        if membrane[i] > threshold {
            spikes[i] = 1.0;
            membrane[i] = 0.0;
        }
    }
    spikes
}

/// LeNet with neurons that fire in the place of rectifiers; the image is a current that lasts; logits are the mean over
/// time.
pub struct SpikingLeNet {
    lenet: LeNet,
    steps: usize,
}

impl SpikingLeNet {
    /// The network of a file under tests/golden, its running statistics forgotten (mean 0, variance 1).
    pub fn golden(name: &str, steps: usize) -> Self {
        let mut lenet = LeNet::golden(name);
        for layer in [&mut lenet.conv1, &mut lenet.conv2] {
            layer.mean.fill(0.0);
            layer.variance.fill(1.0);
        }
        Self { lenet, steps }
    }

    /// The logits of an image, with neurons of this threshold.
    pub fn logits(&self, image: &[f32], threshold: f64) -> Vec<f64> {
        let image: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        let mut first = vec![0.0; 10 * 24 * 24];
        let mut second = vec![0.0; 20 * 8 * 8];
        let mut sum = vec![0.0; 10];
        let current = self.lenet.conv1.forward(&image, 28);
        for _ in 0..self.steps {
            let spikes = max_pool(&fire(&current, &mut first, threshold), 10, 24);
            let current = self.lenet.conv2.forward(&spikes, 12);
            let spikes = max_pool(&fire(&current, &mut second, threshold), 20, 8);
            let logits = linear(&self.lenet.fc, &spikes);
            sum.iter_mut().zip(logits).for_each(|(sum, z)| *sum += z);
        }
        sum.into_iter().map(|sum| sum / self.steps as f64).collect()
    }
}

#[test]
fn lenet_is_pytorchs() {
    let golden = Weights::golden("lenet.safetensors");
    let network = LeNet::golden("lenet_weights.safetensors");
    let rows = golden.get("images").chunks(784).zip(golden.get("eval.logits").chunks(10));
    for (image, expected) in rows {
        let image: Vec<f32> = image.iter().map(|&x| x as f32).collect();
        for (found, expected) in network.logits(&image).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, PyTorch has {expected}");
        }
    }
}

#[test]
fn neurons_fire_as_in_pytorch() {
    let golden = Weights::golden("lif.safetensors");
    let mut membrane = vec![0.0; 5 * 7];
    let steps = golden.get("current").chunks(35);
    let after = golden.get("spikes").chunks(35).zip(golden.get("membrane_after_reset").chunks(35));
    for (current, (spikes, expected)) in steps.zip(after) {
        assert_eq!(fire(current, &mut membrane, THRESHOLD), spikes);
        for (found, expected) in membrane.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
