//! Networks that have a name.

use super::{Architecture, Node, Op, Pair};
use crate::Result;
use crate::tensor::Shape;

impl Architecture {
    /// The paper's network: two convolutions of 5 x 5 (10 and 20 channels), each with batch normalization, rectifier and
    /// 2 x 2 maximum, and a linear layer. `bias`: whether its layers have biases, as PyTorch's have by default.
    ///
    /// # Errors
    /// If the images are smaller than the kernels.
    pub fn lenet(input: Shape, classes: usize, bias: bool) -> Result<Self> {
        let mut nodes = Vec::new();
        let mut add = |name: String, op| nodes.push(Node { name, op, inputs: Vec::new() });
        for (i, out) in [(1, 10), (2, 20)] {
            let (kernel, stride, padding) = (Pair([5; 2]), Pair([1; 2]), Pair([0; 2]));
            add(format!("conv{i}"), Op::Conv2d { out, kernel, stride, padding, groups: 1, bias });
            add(format!("bn{i}"), Op::BatchNorm { eps: 1e-5, momentum: 0.1 });
            add(format!("relu{i}"), Op::Relu {});
            let window = Pair([2; 2]);
            add(format!("pool{i}"), Op::MaxPool { window, stride: None, padding, ceil: false });
        }
        add("fc".into(), Op::Linear { out: classes, bias });
        Self::new(input, classes, nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenet_has_the_parameters_that_it_has() {
        let of = |bias| Architecture::lenet(Shape::new(1, 28, 28), 10, bias).expect("it fits");
        assert_eq!((of(false).parameter_count(), of(true).parameter_count()), (8510, 8550));
        let names: Vec<String> = of(false).parameters().map(|(name, _)| name).collect();
        let expected = [
            "conv1.weight",
            "bn1.weight",
            "bn1.bias",
            "conv2.weight",
            "bn2.weight",
            "bn2.bias",
            "fc.weight",
        ];
        assert_eq!(names, expected);
        let text = serde_json::to_string(&of(true)).expect("JSON");
        assert_eq!(serde_json::from_str::<Architecture>(&text).expect("the same"), of(true));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = Architecture::lenet(Shape::new(1, 8, 8), 10, false).expect_err("too small");
        let text = error.to_string();
        assert!(text.contains("node `conv2`") && text.contains("10x2x2"), "{text}");
    }
}
