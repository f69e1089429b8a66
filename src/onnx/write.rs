//! Writes a network as an ONNX file, with operators that every runtime has.

use super::attributes::{float, int, window};
use super::layers::complement;
use super::proto::{
    Attribute, Dimension, GraphProto, ModelProto, NodeProto, OperatorSet, Property, TensorProto,
    TensorShape, TensorType, Type, ValueInfo, data_type,
};
use super::write_pool::pool;
use super::{METADATA, NOTE, neurons};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::nn::architecture::{Architecture, INPUT, Node, Op, Pair};
use crate::tensor::Shape;

/// The versions of the format and of the operators that are written: old enough for most runtimes.
const FORMAT: i64 = 8;
const OPSET: i64 = 17;

/// The name of what comes out.
const OUTPUT: &str = "logits";

/// The operator of rectifiers and, as ONNX has no time, of neurons.
const RECTIFIER: &str = "Relu";

/// The file of a network with these arrays.
///
/// # Errors
/// If an array is missing or of another shape, or ONNX has nothing like a node.
pub fn model(architecture: &Architecture, state: &StateDict) -> Result<ModelProto> {
    let mut writer = Writer { graph: GraphProto::default(), state };
    let mut values = vec![Signal { name: INPUT.to_owned(), is_flat: false }];
    for (i, node) in architecture.nodes().iter().enumerate() {
        let inputs: Vec<Signal> =
            architecture.sources(i).iter().map(|&source| values[source].clone()).collect();
        let name = output_name(node);
        let is_flat = writer.node(&node.name, &node.op, inputs, &name, architecture.input_of(i))?;
        values.push(Signal { name, is_flat });
    }
    let last = values.pop().map(|last| writer.vector(last));
    writer.push("Identity", &[&last.unwrap_or_default()], OUTPUT, Vec::new());
    let mut graph = writer.graph;
    let Shape { channels, height, width } = architecture.input();
    graph.name = Some("network".into());
    graph.input = vec![value(INPUT, &[channels, height, width])];
    graph.output = vec![value(OUTPUT, &[architecture.classes()])];
    // What else is known of the network comes along, but for its layers, which are in the file.
    let mut notes = state.notes().clone();
    notes.remove(NOTE);
    let name_in_file = |node: &Node| node_name(&output_name(node), RECTIFIER);
    if let Some(neurons) = neurons::of(architecture, name_in_file) {
        notes.insert(neurons::NEURONS.into(), serde_json::to_value(neurons).unwrap_or_default());
    }
    let notes = (!notes.is_empty()).then(|| serde_json::to_string(&notes).unwrap_or_default());
    let property = |value| Property { key: Some(METADATA.into()), value: Some(value) };
    Ok(ModelProto {
        ir_version: Some(FORMAT),
        producer_name: Some("deepsleep".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: notes.map(property).into_iter().collect(),
        functions: Vec::new(),
    })
}

/// What a node gives is called so.
fn output_name(node: &Node) -> String {
    format!("{}_output", node.name)
}

/// What the operator is called that gives this.
fn node_name(output: &str, op: &str) -> String {
    format!("{output}_{op}")
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

/// What a node gives, in the file: images N x C x H x W, or N x F, which is flat.
#[derive(Clone)]
struct Signal {
    name: String,
    is_flat: bool,
}

struct Writer<'a> {
    graph: GraphProto,
    state: &'a StateDict,
}

impl Writer<'_> {
    /// Adds an operator.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(node_name(output, op)),
            op_type: Some(op.to_owned()),
            attribute,
            domain: None,
        });
    }

    /// Adds numbers; returns their name.
    fn array(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&side| side as i64).collect(),
            data_type: Some(data_type::FLOAT),
            name: Some(name.clone()),
            raw_data: Some(values.iter().flat_map(|number| number.to_le_bytes()).collect()),
            ..TensorProto::default()
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

    /// The name of these features as a vector.
    fn vector(&mut self, signal: Signal) -> String {
        if signal.is_flat {
            return signal.name;
        }
        let flat = format!("{}_flat", signal.name);
        if !self.has(&flat) {
            self.push("Flatten", &[&signal.name], &flat, vec![int("axis", 1)]);
        }
        flat
    }

    /// The name of these features as images, of one pixel if they are a vector.
    fn image(&mut self, signal: Signal) -> String {
        if !signal.is_flat {
            return signal.name;
        }
        let (image, sides) = (format!("{}_image", signal.name), format!("{}_sides", signal.name));
        if !self.has(&image) {
            self.graph.initializer.push(TensorProto {
                dims: vec![4],
                data_type: Some(data_type::INT64),
                name: Some(sides.clone()),
                int64_data: vec![0, -1, 1, 1],
                ..TensorProto::default()
            });
            self.push("Reshape", &[&signal.name, &sides], &image, Vec::new());
        }
        image
    }

    fn has(&self, name: &str) -> bool {
        self.graph.node.iter().any(|node| node.output[0] == name)
    }

    /// Adds a node of ours, which may be several operators; returns whether its output is flat.
    fn node(
        &mut self,
        name: &str,
        op: &Op,
        inputs: Vec<Signal>,
        output: &str,
        input: Shape,
    ) -> Result<bool> {
        let is_flat = inputs[0].is_flat;
        match op {
            Op::Conv2d { .. } | Op::Linear { .. } | Op::BatchNorm { .. } => {
                self.layer(name, op, &inputs[0], output, input)?;
                let keeps = is_flat && op.is_norm();
                return Ok(keeps || matches!(op, Op::Linear { .. }));
            }
            Op::MaxPool { .. } | Op::AvgPool { .. } | Op::GlobalAvgPool {} => {
                let x = self.image(inputs[0].clone());
                let (pool, attributes) = pool(op, input)?;
                self.push(pool, &[&x], output, attributes);
                return Ok(false);
            }
            Op::Flatten {} => {
                let x = self.vector(inputs[0].clone());
                self.push("Identity", &[&x], output, Vec::new());
                return Ok(true);
            }
            Op::Add {} | Op::Mul {} | Op::Concat {} => {
                return Ok(self.joined(op, inputs, output, input));
            }
            _ => self.function(op, &inputs[0], output, input.channels),
        }
        Ok(is_flat)
    }

    /// A function of each feature.
    fn function(&mut self, op: &Op, x: &Signal, output: &str, channels: usize) {
        let part = |what: &str| format!("{output}_{what}");
        let (x, is_flat) = (x.name.as_str(), x.is_flat);
        let (name, attributes) = match op {
            Op::LeakyRelu { slope } => ("LeakyRelu", vec![float("alpha", *slope)]),
            Op::Elu { alpha } => ("Elu", vec![float("alpha", *alpha)]),
            Op::HardSigmoid {} => ("HardSigmoid", vec![float("alpha", 1.0 / 6.0)]),
            Op::Relu {} | Op::Lif { .. } => (RECTIFIER, Vec::new()),
            Op::Softplus {} => ("Softplus", Vec::new()),
            Op::Tanh {} => ("Tanh", Vec::new()),
            Op::Sigmoid {} => ("Sigmoid", Vec::new()),
            Op::HardSwish {} => ("HardSwish", Vec::new()),
            Op::Normalize { mean, std } => {
                let sides = [1, channels, 1, 1];
                let sides = if is_flat { &sides[..2] } else { &sides };
                let (mean, std) =
                    (self.array(part("mean"), sides, mean), self.array(part("std"), sides, std));
                self.push("Sub", &[x, &mean], &part("centered"), Vec::new());
                return self.push("Div", &[&part("centered"), &std], output, Vec::new());
            }
            Op::Scale { factor } => return self.with_number("Mul", x, *factor, output),
            Op::Clamp { low, high } => {
                let low = self.array(part("low"), &[], &[*low]);
                let high = self.array(part("high"), &[], &[*high]);
                return self.push("Clip", &[x, &low, &high], output, Vec::new());
            }
            Op::Silu {} => {
                self.push("Sigmoid", &[x], &part("sigmoid"), Vec::new());
                return self.push("Mul", &[x, &part("sigmoid")], output, Vec::new());
            }
            // Version 18 of the operators has one for it.
            Op::Mish {} => {
                self.push("Softplus", &[x], &part("softplus"), Vec::new());
                self.push("Tanh", &[&part("softplus")], &part("tanh"), Vec::new());
                return self.push("Mul", &[x, &part("tanh")], output, Vec::new());
            }
            Op::Gelu { tanh } => return self.gelu(x, *tanh, output),
            // Outside of training dropout does nothing.
            _ => ("Identity", Vec::new()),
        };
        self.push(name, &[x], output, attributes);
    }

    /// A node of several inputs, which have to be alike; returns whether its output is flat.
    fn joined(&mut self, op: &Op, inputs: Vec<Signal>, output: &str, input: Shape) -> bool {
        let alike = inputs.iter().all(|signal| signal.is_flat == inputs[0].is_flat);
        let is_flat = if alike { inputs[0].is_flat } else { input == Shape::flat(input.channels) };
        let inputs: Vec<String> = inputs
            .into_iter()
            .map(|signal| if is_flat { self.vector(signal) } else { self.image(signal) })
            .collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let (name, attributes) = match op {
            Op::Add {} => ("Add", Vec::new()),
            Op::Mul {} => ("Mul", Vec::new()),
            _ => ("Concat", vec![int("axis", 1)]),
        };
        self.push(name, &inputs, output, attributes);
        is_flat
    }

    /// A layer with arrays.
    fn layer(&mut self, name: &str, op: &Op, x: &Signal, output: &str, input: Shape) -> Result<()> {
        let mut inputs = vec![match op {
            Op::Conv2d { .. } => self.image(x.clone()),
            Op::Linear { .. } => self.vector(x.clone()),
            _ => x.name.clone(),
        }];
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
                let momentum = float("momentum", complement(*momentum));
                ("BatchNormalization", vec![float("epsilon", *eps), momentum])
            }
            _ => ("Gemm", vec![int("transB", 1)]),
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
