//! The models under attack: each as the engine has it, and as the second opinion has it.

use super::evaluators::Evaluator;
use super::lenet::{LeNet, SpikingLeNet};
use super::net::{Net, Numbers};
use crate::common::models::{golden, lenet, test_images};
use deepsleep::Result;
use deepsleep::attack::{Classifier, Norm, Samples};
use deepsleep::autodiff::{FrozenConv, Tape, Var};
use deepsleep::kernels::conv2d::Geometry;
use deepsleep::nn::{self, Freeze, FrozenNetwork, Session, tape_session};
use deepsleep::snn::{self, SpikingOptions, Statistics};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;
use std::sync::Arc;

/// A model, twice, with images and with radii at which some of them are fooled.
pub struct Model {
    pub name: &'static str,
    pub engine: Box<dyn Classifier>,
    pub second: Box<dyn Evaluator>,
    pub samples: Samples,
    /// In Linf, L2, L1.
    pub eps: [f32; 3],
    /// By how much AutoAttack's radii are larger: whoever survives costs it five thousand queries.
    pub wider: f32,
    /// How many of all verdicts may be within rounding.
    pub unsure: f64,
}

impl Model {
    pub fn eps(&self, norm: Norm) -> f32 {
        match norm {
            Norm::Linf => self.eps[0],
            Norm::L2 => self.eps[1],
            Norm::L1 => self.eps[2],
            // A pixel changes by 1 at most.
            _ => self.eps[2].ceil(),
        }
    }
}

/// A LeNet trained on clean images alone.
pub fn plain() -> Model {
    let file = "lenet_weights.safetensors";
    Model {
        name: "plain LeNet",
        engine: Box::new(lenet(file)),
        second: Box::new(LeNet::golden(file)),
        // The last one is misclassified.
        samples: images((0..19).chain([290])),
        eps: [0.1, 1.5, 10.0],
        wider: 1.2,
        unsure: 0.01,
    }
}

/// A LeNet trained against PGD.
pub fn robust() -> Model {
    let file = "lenet_robust.safetensors";
    Model {
        name: "robust LeNet",
        engine: Box::new(lenet(file)),
        second: Box::new(LeNet::golden(file)),
        // The last four are misclassified.
        samples: images((0..14).chain([149, 241, 247, 250, 259])),
        eps: [0.25, 2.0, 15.0],
        wider: 1.2,
        unsure: 0.01,
    }
}

/// The plain LeNet's weights with spiking neurons.
pub fn spiking(name: &'static str, steps: usize) -> Model {
    let file = "lenet_weights.safetensors";
    let network = nn::Model::open(&golden(file)).unwrap();
    let options = SpikingOptions::default().with(|o| o.steps = steps);
    let network = snn::SpikingModel::from_model(&network, options, Statistics::Reset).unwrap();
    Model {
        name,
        engine: Box::new(network.freeze().unwrap()),
        second: Box::new(SpikingLeNet::golden(file, steps)),
        samples: images(0..24),
        eps: [0.1, 1.5, 10.0],
        wider: 3.0,
        unsure: 0.05,
    }
}

fn images(which: impl Iterator<Item = usize>) -> Samples {
    test_images(0..300).select(&which.collect::<Vec<usize>>()).unwrap()
}

/// One linear layer on the engine's tape.
pub fn affine() -> Model {
    let net = Net::random(11, Shape::new(1, 4, 5), &[6]);
    Model {
        name: "affine",
        engine: Box::new(Linear::new(&net)),
        samples: points(&net, 5, 20),
        second: Box::new(net),
        eps: [0.08, 0.3, 1.0],
        wider: 1.0,
        unsure: 0.01,
    }
}

/// Two hidden layers and pixels in color, evaluated by code that is not the engine's.
pub fn custom() -> Model {
    let net = Net::random(12, Shape::new(3, 3, 2), &[16, 12, 5]);
    Model {
        name: "custom",
        samples: points(&net, 6, 20),
        second: Box::new(net.clone()),
        engine: Box::new(net),
        eps: [0.08, 0.3, 1.0],
        wider: 1.0,
        unsure: 0.01,
    }
}

/// Random images of which every seventh has a label that is not the network's answer.
pub fn points(net: &Net, seed: u64, count: usize) -> Samples {
    let random = &mut Numbers::new(seed);
    let Shape { channels, height, width } = net.shape;
    let images = Array4::from_shape_simple_fn((count, channels, height, width), || {
        // Some pixels lie on the box's border.
        (1.2 * random.unit() - 0.1).clamp(0.0, 1.0) as f32
    });
    let labels = images.outer_iter().enumerate().map(|(i, image)| {
        let image: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        let logits = net.logits(&image);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        if i % 7 == 6 { (best + 1) % logits.len() } else { best }
    });
    let labels = labels.collect();
    Samples::new(images.view(), labels, (0..count as u64).collect()).unwrap()
}

/// An affine [`Net`] as the engine's own layer.
struct Linear {
    shape: Shape,
    classes: usize,
    layer: Arc<FrozenConv>,
}

impl Linear {
    fn new(net: &Net) -> Self {
        let [layer] = &net.layers[..] else { panic!("not affine") };
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (shape, classes) = (net.shape, layer.bias.len());
        let geometry = Geometry::linear(shape.features(), classes);
        let conv = FrozenConv::new(geometry, &narrow(&layer.weight), narrow(&layer.bias)).unwrap();
        Self { shape, classes, layer: Arc::new(conv) }
    }
}

impl Classifier for Linear {
    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        tape_session(self, context)
    }
}

impl FrozenNetwork for Linear {
    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        tape.frozen(x, &self.layer)
    }
}
