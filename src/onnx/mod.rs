//! ONNX files as networks, and networks as ONNX files.
//!
//! What `torch.onnx.export` writes of an image classifier, by either of its exporters, is an [`Architecture`] with its
//! arrays: nodes that a layer computes become that layer, arithmetic that amounts to an activation or a normalization
//! becomes that, shapes that are computed on the way are computed once, and a soft-max at the end is left out.
//!
//! ```no_run
//! let read = deepsleep::onnx::read("net.onnx")?;
//! println!("{} classes, {} nodes", read.architecture.classes(), read.architecture.nodes().len());
//! read.state.save("net.safetensors")?;
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod constants;
mod finish;
mod layers;
mod network;
mod node;
mod pointwise;
mod pools;
mod proto;
mod read;
mod recognize;
mod shapes;
mod tensor;
mod value;

use crate::checkpoint::StateDict;
use crate::files::read_regular;
use crate::names::{list, shown};
use crate::nn::architecture::Architecture;
use crate::tensor::Shape;
use crate::{Error, Result};
use network::{IMAGE, Network};
use prost::Message;
use read::Reader;
use std::path::Path;
use value::Outcome;

/// Bytes of a file that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Features of an image, at most.
const MOST_FEATURES: usize = 1 << 26;

/// The oldest version of the operators whose nodes are read.
const OLDEST: i64 = 9;

/// What an ONNX file holds.
#[derive(Clone, Debug)]
pub struct Onnx {
    /// The layers.
    pub architecture: Architecture,
    /// Their arrays, with the architecture as the note `architecture`.
    pub state: StateDict,
    /// What of the file was left out, a sentence each.
    pub notes: Vec<String>,
}

/// Reads a file, and files of weights beside it.
///
/// # Errors
/// If it cannot be read, or holds what no layer computes: the node is named, with what is supported.
pub fn read(path: impl AsRef<Path>) -> Result<Onnx> {
    let path = path.as_ref();
    from_bytes(&read_regular(path, MOST_BYTES)?, path)
}

/// Reads the content of a file; `path` is what errors name, and beside which files of weights are looked for.
///
/// # Errors
/// As for [`read`].
pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Onnx> {
    let path = path.as_ref();
    let fail = |problem: String| Error::format(path, problem);
    let model = proto::Model::decode(bytes).map_err(|error| {
        fail(format!("not a readable ONNX file: {}", shown(&error.to_string())))
    })?;
    let (architecture, mut state, notes) = convert(&model, path).map_err(fail)?;
    state.note("architecture", &architecture);
    Ok(Onnx { architecture, state, notes })
}

fn convert(model: &proto::Model, path: &Path) -> Outcome<(Architecture, StateDict, Vec<String>)> {
    let graph = model.graph.as_ref().ok_or("not an ONNX network: it has no graph")?;
    let of =
        |set: &&proto::OperatorSet| matches!(set.domain.as_deref(), None | Some("" | "ai.onnx"));
    let opset = model.opset_import.iter().find(of).and_then(|set| set.version).unwrap_or(1);
    if opset < OLDEST {
        return Err(format!(
            "uses version {opset} of ONNX's operators; {OLDEST} or newer is read (torch.onnx.export has opset_version)"
        ));
    }
    let (name, shape, images) = image(graph)?;
    let features = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    let features = features.filter(|features| (1..=MOST_FEATURES).contains(features));
    let features = features.ok_or_else(|| format!("takes images of {shape:?}"))?;
    let network = Network {
        input: match shape[..] {
            [channels, height, width] => Some(Shape::new(channels, height, width)),
            _ => None,
        },
        features,
        drafts: Vec::new(),
        borders: Vec::new(),
        soft_maxes: Vec::new(),
    };
    let mut reader = Reader { model, path, opset, images, network, computed: 0, looked_at: 0 };
    let mut logits = reader.run(graph, name)?;
    let mut network = reader.network;
    let mut notes = Vec::new();
    while let Some((_, of, op)) = network.soft_maxes.iter().find(|(at, ..)| *at == logits.place) {
        notes.push(format!("the {op} at its end is left out: attacks and margins need logits"));
        logits = logits.at(*of);
    }
    let others = graph.output.iter().skip(1).map(|output| output.name.as_deref().unwrap_or("?"));
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        notes.push(format!("of its outputs the first counts, not {}", list(others)));
    }
    let place = network.vector(&logits, "flatten")?;
    if place == IMAGE {
        return Err("gives the image itself".into());
    }
    let (nodes, state) = finish::finish(&network, place)?;
    let classes = network.shape(place).features();
    let architecture = Architecture::new(network.shape(IMAGE), classes, nodes);
    let architecture = architecture.map_err(|error| error.to_string())?;
    Ok((architecture, state, notes))
}

/// The input that is an image: its name, its dimensions, and how many there are if the file says so.
fn image(graph: &proto::Graph) -> Outcome<(&str, Vec<usize>, Option<usize>)> {
    let is_array = |name: Option<&str>| graph.initializer.iter().any(|a| a.name.as_deref() == name);
    let mut inputs = graph.input.iter().filter(|input| !is_array(input.name.as_deref()));
    let input = inputs.next().ok_or("has no input")?;
    let name = input.name.as_deref().unwrap_or_default();
    let more: Vec<&str> = inputs.map(|input| input.name.as_deref().unwrap_or("?")).collect();
    if !more.is_empty() {
        return Err(format!("has other inputs than the image `{}`: {}", shown(name), list(more)));
    }
    let of = input.r#type.as_ref().and_then(|of| of.tensor_type.as_ref());
    let of = of.ok_or_else(|| format!("its input `{}` is no array", shown(name)))?;
    use proto::data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
    if !matches!(of.elem_type, Some(FLOAT | DOUBLE | FLOAT16 | BFLOAT16)) {
        return Err(format!(
            "its input `{}` is of type {}; floats from 0 to 1 are attacked (type {FLOAT})",
            shown(name),
            of.elem_type.unwrap_or(0)
        ));
    }
    let dims = of.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let side = |dim: &proto::Dimension| {
        dim.dim_value.and_then(|side| usize::try_from(side).ok()).filter(|&side| side > 0)
    };
    let sides: Option<Vec<usize>> = dims.iter().skip(1).map(side).collect();
    match sides.filter(|sides| matches!(sides.len(), 1 | 3)) {
        Some(sides) => Ok((name, sides, side(&dims[0]))),
        None => {
            let text: Vec<String> = dims
                .iter()
                .map(|dim| match (side(dim), &dim.dim_param) {
                    (Some(side), _) => side.to_string(),
                    (None, Some(name)) => shown(name),
                    (None, None) => "?".into(),
                })
                .collect();
            Err(format!(
                "its input `{}` has the shape [{}]; export it for images [batch, channels, height, width] of which only the \
                 first may be open",
                shown(name),
                text.join(", ")
            ))
        }
    }
}
