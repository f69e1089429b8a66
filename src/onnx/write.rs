//! A network as an ONNX file, of operators that any runtime has.

use super::proto::{
    Attribute, Dimension, Graph, Model, Node, OperatorSet, Property, Tensor, TensorShape,
    TensorType, Type, ValueInfo, attribute_type, data_type,
};
use super::{METADATA, NOTE};
use crate::checkpoint::StateDict;
use crate::nn::architecture::{Architecture, INPUT, Op, Pair};
use crate::tensor::Shape;
use crate::{Error, Result};

/// The versions of the format and of the operators that are written: old enough for most runtimes.
const FORMAT: i64 = 8;
const OPSET: i64 = 17;

/// The name of what comes out.
const OUTPUT: &str = "logits";

/// The file of a network with these arrays.
///
/// # Errors
/// If an array is missing or of another shape, or ONNX has nothing like a node.
pub fn model(architecture: &Architecture, state: &StateDict) -> Result<Model> {
    let mut writer = Writer { graph: Graph::default(), state };
    let last = architecture.nodes().len() - 1;
    let mut values = vec![INPUT.to_owned()];
    for (i, node) in architecture.nodes().iter().enumerate() {
        let sources = architecture.sources(i).iter();
        let inputs: Vec<&str> = sources.map(|&source| values[source].as_str()).collect();
        let output = if i == last { OUTPUT.to_owned() } else { format!("{}_output", node.name) };
        writer.node(&node.name, &node.op, &inputs, &output, architecture.input_of(i))?;
        values.push(output);
    }
    let mut graph = writer.graph;
    let Shape { channels, height, width } = architecture.input();
    graph.name = Some("network".into());
    graph.input = vec![value(INPUT, &[channels, height, width])];
    graph.output = vec![value(OUTPUT, &[architecture.classes()])];
    // What else is known of the network comes along, but for its layers, which are in the file.
    let mut notes = state.notes().clone();
    notes.remove(NOTE);
    let notes = (!notes.is_empty()).then(|| serde_json::to_string(&notes).unwrap_or_default());
    let property = |value| Property { key: Some(METADATA.into()), value: Some(value) };
    Ok(Model {
        ir_version: Some(FORMAT),
        producer_name: Some("deepsleep".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: notes.map(property).into_iter().collect(),
        functions: Vec::new(),
    })
}

/// What goes in or comes out: of any number of images.
fn value(name: &str, sides: &[usize]) -> ValueInfo {
    let batch = Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let side = |&side: &usize| Dimension { dim_value: Some(side as i64), dim_param: None };
    let dim = std::iter::once(batch).chain(sides.iter().map(side)).collect();
    let tensor_type =
        TensorType { elem_type: Some(data_type::FLOAT), shape: Some(TensorShape { dim }) };
    ValueInfo { name: Some(name.into()), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}

fn float(name: &str, number: f32) -> Attribute {
    let r#type = Some(attribute_type::FLOAT);
    Attribute { name: Some(name.into()), f: Some(number), r#type, ..Attribute::default() }
}

fn int(name: &str, number: usize) -> Attribute {
    let r#type = Some(attribute_type::INT);
    Attribute { name: Some(name.into()), i: Some(number as i64), r#type, ..Attribute::default() }
}

fn ints(name: &str, numbers: impl IntoIterator<Item = usize>) -> Attribute {
    let ints = numbers.into_iter().map(|number| number as i64).collect();
    let r#type = Some(attribute_type::INTS);
    Attribute { name: Some(name.into()), ints, r#type, ..Attribute::default() }
}

/// The attributes of a window.
fn window(window: [usize; 2], stride: [usize; 2], [y, x]: [usize; 2]) -> Vec<Attribute> {
    vec![ints("kernel_shape", window), ints("strides", stride), ints("pads", [y, x, y, x])]
}

struct Writer<'a> {
    graph: Graph,
    state: &'a StateDict,
}

impl Writer<'_> {
    /// Adds an operator.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(format!("{output}_{op}")),
            op_type: Some(op.to_owned()),
            attribute,
            domain: None,
        });
    }

    /// Adds numbers; returns their name.
    fn array(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(Tensor {
            dims: shape.iter().map(|&side| side as i64).collect(),
            data_type: Some(data_type::FLOAT),
            name: Some(name.clone()),
            raw_data: Some(values.iter().flat_map(|number| number.to_le_bytes()).collect()),
            ..Tensor::default()
        });
        name
    }

    /// Adds an array of the network, with its own name.
    fn parameter(&mut self, name: String, shape: &[usize]) -> Result<String> {
        let values = self.state.expect(&name, shape)?;
        Ok(self.array(name, shape, values))
    }

    /// An operation on features and one number.
    fn with_number(&mut self, op: &str, input: &str, number: f32, output: &str) {
        let number = self.array(format!("{output}_number"), &[], &[number]);
        self.push(op, &[input, &number], output, Vec::new());
    }

    /// Adds a node of ours, which may be several operators.
    fn node(
        &mut self,
        name: &str,
        op: &Op,
        inputs: &[&str],
        output: &str,
        input: Shape,
    ) -> Result<()> {
        let x = inputs[0];
        let part = |what: &str| format!("{output}_{what}");
        let simple = match op {
            Op::Relu {} => ("Relu", Vec::new()),
            Op::LeakyRelu { slope } => ("LeakyRelu", vec![float("alpha", *slope)]),
            Op::Elu { alpha } => ("Elu", vec![float("alpha", *alpha)]),
            Op::Tanh {} => ("Tanh", Vec::new()),
            Op::Sigmoid {} => ("Sigmoid", Vec::new()),
            Op::HardSigmoid {} => ("HardSigmoid", vec![float("alpha", 1.0 / 6.0)]),
            Op::HardSwish {} => ("HardSwish", Vec::new()),
            Op::Dropout { .. } => ("Identity", Vec::new()),
            Op::GlobalAvgPool {} => ("GlobalAveragePool", Vec::new()),
            Op::Flatten {} => ("Flatten", vec![int("axis", 1)]),
            Op::Add {} => ("Add", Vec::new()),
            Op::Concat {} => ("Concat", vec![int("axis", 1)]),
            Op::MaxPool { window: size, stride, padding, ceil } => {
                let mut all = window(size.0, stride.unwrap_or(*size).0, padding.0);
                all.push(int("ceil_mode", (*ceil).into()));
                ("MaxPool", all)
            }
            Op::AvgPool { window: size, stride, padding, ceil, count_include_pad } => {
                let mut all = window(size.0, stride.unwrap_or(*size).0, padding.0);
                all.push(int("ceil_mode", (*ceil).into()));
                all.push(int("count_include_pad", (*count_include_pad).into()));
                ("AveragePool", all)
            }
            Op::Conv2d { .. } | Op::Linear { .. } | Op::BatchNorm { .. } => {
                return self.layer(name, op, x, output, input);
            }
            Op::Normalize { mean, std } => {
                let sides = [1, input.channels, 1, 1];
                let mean = self.array(part("mean"), &sides, mean);
                let std = self.array(part("std"), &sides, std);
                let centered = part("centered");
                self.push("Sub", &[x, &mean], &centered, Vec::new());
                self.push("Div", &[&centered, &std], output, Vec::new());
                return Ok(());
            }
            Op::Scale { factor } => {
                self.with_number("Mul", x, *factor, output);
                return Ok(());
            }
            Op::Clamp { low, high } => {
                let low = self.array(part("low"), &[], &[*low]);
                let high = self.array(part("high"), &[], &[*high]);
                self.push("Clip", &[x, &low, &high], output, Vec::new());
                return Ok(());
            }
            Op::Lif { .. } => {
                let problem = format!(
                    "node `{name}` spikes, and ONNX has no spiking neurons; save the network as safetensors"
                );
                return Err(Error::argument("ONNX", problem));
            }
            Op::Silu {} => {
                self.push("Sigmoid", &[x], &part("sigmoid"), Vec::new());
                self.push("Mul", &[x, &part("sigmoid")], output, Vec::new());
                return Ok(());
            }
            Op::Gelu { tanh } => {
                self.gelu(x, *tanh, output);
                return Ok(());
            }
        };
        let (simple, attributes) = simple;
        self.push(simple, inputs, output, attributes);
        Ok(())
    }

    /// A layer with arrays.
    fn layer(&mut self, name: &str, op: &Op, x: &str, output: &str, input: Shape) -> Result<()> {
        let mut inputs = vec![x.to_owned()];
        for array in op.parameters(input)? {
            inputs.push(self.parameter(format!("{name}.{}", array.suffix), &array.shape)?);
        }
        let (onnx, attributes) = match op {
            Op::Conv2d { kernel: Pair(kernel), stride, padding, groups, .. } => {
                let mut all = window(*kernel, stride.0, padding.0);
                all.push(int("group", *groups));
                ("Conv", all)
            }
            Op::BatchNorm { eps, momentum } => {
                for suffix in ["running_mean", "running_var"] {
                    inputs.push(self.parameter(format!("{name}.{suffix}"), &[input.channels])?);
                }
                (
                    "BatchNormalization",
                    vec![float("epsilon", *eps), float("momentum", 1.0 - momentum)],
                )
            }
            _ => {
                if input != Shape::flat(input.channels) {
                    inputs[0] = format!("{output}_flat");
                    self.push("Flatten", &[x], &inputs[0], vec![int("axis", 1)]);
                }
                ("Gemm", vec![int("transB", 1)])
            }
        };
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.push(onnx, &inputs, output, attributes);
        Ok(())
    }

    /// GELU has no operator before version 20: `x/2 (1 + erf(x / sqrt 2))`, or with a hyperbolic tangent.
    fn gelu(&mut self, x: &str, tanh: bool, output: &str) {
        let part = |what: &str| format!("{output}_{what}");
        if tanh {
            self.push("Mul", &[x, x], &part("square"), Vec::new());
            self.with_number("Mul", &part("square"), 0.044_715, &part("small"));
            self.with_number("Add", &part("small"), 1.0, &part("factor"));
            self.push("Mul", &[x, &part("factor")], &part("sum"), Vec::new());
            let scale = (2.0 / std::f32::consts::PI).sqrt();
            self.with_number("Mul", &part("sum"), scale, &part("inner"));
            self.push("Tanh", &[&part("inner")], &part("curve"), Vec::new());
        } else {
            let scale = std::f32::consts::FRAC_1_SQRT_2;
            self.with_number("Mul", x, scale, &part("inner"));
            self.push("Erf", &[&part("inner")], &part("curve"), Vec::new());
        }
        self.with_number("Add", &part("curve"), 1.0, &part("share"));
        self.push("Mul", &[x, &part("share")], &part("double"), Vec::new());
        self.with_number("Mul", &part("double"), 0.5, output);
    }
}
