//! The named networks.

use super::{Algorithm, Architecture, Node, Op, Pair};
use crate::nn::network::BATCH_NORM_EPS;
use crate::tensor::Shape;
use crate::wording::{meant, shown};
use crate::{Error, Result};

/// A network that has a name, for images and classes of any number.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What it is called.
    pub name: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// The images that it was made for.
    pub input: Shape,
    nodes: fn(usize) -> Nodes,
}

/// Widths of `mlp` where its name does not say any.
const WIDTHS: &str = "256,256";

const MNIST: Shape = Shape::new(1, 28, 28);
const CIFAR: Shape = Shape::new(3, 32, 32);

/// All networks that have a name but `mlp:WIDTH,...`, which has as many names as widths.
pub const BUILTIN: [Builtin; 6] = [
    Builtin {
        name: "lenet",
        summary: "two 5x5 convolutions of 10 and 20 channels with batch normalization, a linear layer; no biases",
        input: MNIST,
        nodes: |classes| lenet(classes, false),
    },
    Builtin {
        name: "lenet-bias",
        summary: "lenet with biases, as PyTorch's layers have them by default",
        input: MNIST,
        nodes: |classes| lenet(classes, true),
    },
    Builtin {
        name: "madry",
        summary: "two padded 5x5 convolutions of 32 and 64 channels, 1024 units: of papers on robustness on MNIST",
        input: MNIST,
        nodes: madry,
    },
    Builtin {
        name: "vgg9",
        summary: "seven 3x3 convolutions with batch normalization, 1024 units: of papers on spiking networks",
        input: CIFAR,
        nodes: |classes| vgg(&[&[64, 64], &[128, 128], &[256, 256, 256]], &[1024], classes),
    },
    Builtin {
        name: "vgg11",
        summary: "eight 3x3 convolutions with batch normalization, a linear layer",
        input: CIFAR,
        nodes: |classes| vgg(&[&[64], &[128], &[256, 256], &[512, 512], &[512, 512]], &[], classes),
    },
    Builtin {
        name: "resnet20",
        summary: "nine residual blocks of 16, 32 and 64 channels, shortcuts by 1x1 convolutions",
        input: CIFAR,
        nodes: resnet20,
    },
];

impl Builtin {
    /// It, for these images and classes.
    ///
    /// # Errors
    /// If the images are too small.
    pub fn build(&self, input: Shape, classes: usize) -> Result<Architecture> {
        Architecture::new(input, classes, (self.nodes)(classes).0)
    }
}

impl Architecture {
    /// The network of this name (see [`BUILTIN`], and `mlp` or `mlp:WIDTH,...`), for these images and classes.
    ///
    /// # Errors
    /// If nothing is called so, or the images are too small for it.
    pub fn named(name: &str, input: Shape, classes: usize) -> Result<Self> {
        let name = name.trim().to_ascii_lowercase();
        if let Some(builtin) = BUILTIN.iter().find(|builtin| builtin.name == name) {
            return builtin.build(input, classes);
        }
        let widths = match name.split_once(':') {
            Some(("mlp", widths)) => Some(widths),
            None if name == "mlp" => Some(WIDTHS),
            _ => None,
        };
        let Some(widths) = widths else {
            let names: Vec<&str> =
                BUILTIN.iter().map(|builtin| builtin.name).chain(["mlp"]).collect();
            let problem = format!(
                "nothing is called `{}`{}; there are {} and mlp:WIDTH,...",
                shown(&name),
                meant(&name, &names),
                names[..names.len() - 1].join(", ")
            );
            return Err(Error::argument("architecture", problem));
        };
        let widths = widths.split(',').map(|width| {
            width.trim().parse().map_err(|_| {
                let problem = format!(
                    "mlp: `{}` is not a width; for two hidden layers say mlp:256,256",
                    shown(width)
                );
                Error::argument("architecture", problem)
            })
        });
        Self::new(input, classes, mlp(&widths.collect::<Result<Vec<usize>>>()?, classes).0)
    }

    /// [`BUILTIN`]'s `lenet`, the paper's network, or `lenet-bias`.
    ///
    /// # Errors
    /// If the images are smaller than the kernels.
    pub fn lenet(input: Shape, classes: usize, bias: bool) -> Result<Self> {
        Self::new(input, classes, lenet(classes, bias).0)
    }

    /// The name of the built-in network that it is; None for any other.
    pub fn name(&self) -> Option<&'static str> {
        let is = |builtin: &&Builtin| (builtin.nodes)(self.classes()).0.as_slice() == self.nodes();
        BUILTIN.iter().find(is).map(|builtin| builtin.name)
    }
}

/// Nodes one after the other.
struct Nodes(Vec<Node>);

impl Nodes {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a node that computes from the one before it.
    fn then(&mut self, name: impl Into<String>, op: Op) {
        self.0.push(Node { name: name.into(), op, inputs: Vec::new() });
    }

    /// Adds a node that computes from others.
    fn of(&mut self, name: impl Into<String>, op: Op, inputs: &[&str]) {
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.0.push(Node { name: name.into(), op, inputs });
    }
}

/// A convolution of square kernels, padded by `padding` on each side.
fn conv(out: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> Op {
    let [kernel, stride, padding] = [kernel, stride, padding].map(|n| Pair([n; 2]));
    Op::Conv2d { out, kernel, stride, padding, groups: 1, bias, algorithm: Algorithm::Lanes }
}

fn norm() -> Op {
    Op::BatchNorm { eps: BATCH_NORM_EPS, momentum: 0.1 }
}

fn pool() -> Op {
    Op::MaxPool { window: Pair([2; 2]), stride: None, padding: Pair([0; 2]), ceil: false }
}

fn lenet(classes: usize, bias: bool) -> Nodes {
    let mut nodes = Nodes::new();
    for (i, out) in [(1, 10), (2, 20)] {
        nodes.then(format!("conv{i}"), conv(out, 5, 1, 0, bias));
        nodes.then(format!("bn{i}"), norm());
        nodes.then(format!("relu{i}"), Op::Relu {});
        nodes.then(format!("pool{i}"), pool());
    }
    nodes.then("fc", Op::Linear { out: classes, bias });
    nodes
}

fn madry(classes: usize) -> Nodes {
    let mut nodes = Nodes::new();
    for (i, out) in [(1, 32), (2, 64)] {
        nodes.then(format!("conv{i}"), conv(out, 5, 1, 2, true));
        nodes.then(format!("relu{i}"), Op::Relu {});
        nodes.then(format!("pool{i}"), pool());
    }
    nodes.then("fc1", Op::Linear { out: 1024, bias: true });
    nodes.then("relu3", Op::Relu {});
    nodes.then("fc2", Op::Linear { out: classes, bias: true });
    nodes
}

/// Stages of convolutions, each with a 2 x 2 maximum at its end, and linear layers; named by their places in two of
/// PyTorch's `Sequential`, as torchvision does.
fn vgg(stages: &[&[usize]], hidden: &[usize], classes: usize) -> Nodes {
    let mut nodes = Nodes::new();
    for stage in stages {
        for &out in *stage {
            for op in [conv(out, 3, 1, 1, true), norm(), Op::Relu {}] {
                nodes.then(format!("features.{}", nodes.0.len()), op);
            }
        }
        nodes.then(format!("features.{}", nodes.0.len()), pool());
    }
    let first = nodes.0.len();
    for &out in hidden {
        for op in [Op::Linear { out, bias: true }, Op::Relu {}] {
            nodes.then(format!("classifier.{}", nodes.0.len() - first), op);
        }
    }
    let last = match hidden {
        [] => "classifier".into(),
        _ => format!("classifier.{}", nodes.0.len() - first),
    };
    nodes.then(last, Op::Linear { out: classes, bias: true });
    nodes
}

/// He et al. (2016), section 4.2, with their option B.
fn resnet20(classes: usize) -> Nodes {
    let mut nodes = Nodes::new();
    nodes.then("conv1", conv(16, 3, 1, 1, false));
    nodes.then("bn1", norm());
    nodes.then("relu1", Op::Relu {});
    let mut before = "relu1".to_owned();
    for (stage, out) in [(1, 16), (2, 32), (3, 64)] {
        for block in 0..3 {
            let name = |part: &str| format!("layer{stage}.{block}.{part}");
            let narrows = stage > 1 && block == 0;
            nodes.of(
                name("conv1"),
                conv(out, 3, if narrows { 2 } else { 1 }, 1, false),
                &[&before],
            );
            nodes.then(name("bn1"), norm());
            nodes.then(name("relu1"), Op::Relu {});
            nodes.then(name("conv2"), conv(out, 3, 1, 1, false));
            nodes.then(name("bn2"), norm());
            if narrows {
                nodes.of(name("shortcut.0"), conv(out, 1, 2, 0, false), &[&before]);
                nodes.then(name("shortcut.1"), norm());
                before = name("shortcut.1");
            }
            nodes.of(name("add"), Op::Add {}, &[&name("bn2"), &before]);
            nodes.then(name("relu2"), Op::Relu {});
            before = name("relu2");
        }
    }
    nodes.then("pool", Op::GlobalAvgPool {});
    nodes.then("linear", Op::Linear { out: classes, bias: true });
    nodes
}

fn mlp(widths: &[usize], classes: usize) -> Nodes {
    let mut nodes = Nodes::new();
    for (i, &out) in widths.iter().enumerate() {
        nodes.then(format!("fc{}", i + 1), Op::Linear { out, bias: true });
        nodes.then(format!("relu{}", i + 1), Op::Relu {});
    }
    nodes.then(format!("fc{}", widths.len() + 1), Op::Linear { out: classes, bias: true });
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_parameters_that_they_have() {
        for (name, input, parameters, first) in [
            ("lenet", MNIST, 8_510, "conv1.weight bn1.weight bn1.bias conv2.weight"),
            ("lenet-bias", MNIST, 8_550, "conv1.weight conv1.bias bn1.weight bn1.bias"),
            (
                "madry",
                MNIST,
                3_274_634,
                "conv1.weight conv1.bias conv2.weight conv2.bias fc1.weight",
            ),
            ("vgg9", CIFAR, 5_943_370, "features.0.weight features.0.bias features.1.weight"),
            ("vgg11", CIFAR, 9_231_114, "features.0.weight features.0.bias features.1.weight"),
            ("resnet20", CIFAR, 272_474, "conv1.weight bn1.weight bn1.bias layer1.0.conv1.weight"),
            ("MLP:256,256", MNIST, 269_322, "fc1.weight fc1.bias fc2.weight"),
            ("mlp:1", Shape::flat(2), 23, "fc1.weight fc1.bias fc2.weight"),
        ] {
            let network = Architecture::named(name, input, 10).expect("it fits");
            assert_eq!(network.parameter_count(), parameters, "{name}");
            let names: Vec<String> = network.parameters().map(|(name, _)| name).collect();
            assert!(names.join(" ").starts_with(first), "{names:?}");
            assert_eq!(
                network.name().unwrap_or("mlp"),
                name.to_lowercase().split(':').next().expect("a part")
            );
            let text = serde_json::to_string(&network).expect("JSON");
            assert_eq!(serde_json::from_str::<Architecture>(&text).expect("the same"), network);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let of = |name, side| {
            let error = Architecture::named(name, Shape::new(1, side, side), 10);
            error.expect_err("it is no network").to_string()
        };
        let text = of("lenet", 8);
        assert!(text.contains("node `conv2`") && text.contains("10x2x2"), "{text}");
        assert!(of("vgg11", 16).contains("node `features.28`"), "{}", of("vgg11", 16));
        assert!(of("rsnet20", 32).contains("did you mean `resnet20`?"));
        assert!(of("mlp:256,x", 8).contains("`x` is not a width"));
        assert!(of("mlp:0", 8).contains("node `fc1` linear: out = 0"));
    }
}
