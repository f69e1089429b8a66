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

mod arrange;
mod attributes;
mod constants;
mod elementwise;
mod finish;
mod fold;
mod functions;
mod image;
mod layers;
mod network;
mod neurons;
mod node;
mod pad;
mod picks;
mod pointwise;
mod pools;
mod proto;
mod read;
mod rearrange;
mod recognize;
mod reduce;
mod shapes;
mod shared;
mod sorted;
mod strided;
mod supported;
mod tensor;
mod types;
mod value;
mod write;
mod write_pool;

use crate::checkpoint::StateDict;
use crate::files::{open_regular, read_regular, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::foreign;
use crate::nn::architecture::Architecture;
use crate::wording::{in_line, list, shown};
use crate::{Error, Result};
use image::ImageInput;
use network::{DraftNetwork, IMAGE};
use prost::Message;
use read::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use value::{Features, NodeResult};

/// Bytes of a file that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes of a file that is written: a message of Protocol Buffers has no more.
const MOST_WRITTEN: usize = i32::MAX as usize;

/// The oldest version of the operators whose nodes are read.
const OLDEST: i64 = 9;

/// The note of a state dict that holds the architecture.
const NOTE: &str = "architecture";

/// The property of a file of ours that holds the other notes.
const METADATA: &str = "deepsleep";

/// What an ONNX file holds.
#[derive(Clone, Debug)]
pub struct Onnx {
    /// The layers.
    pub architecture: Architecture,
    /// Their arrays, with the architecture as the note `architecture`, and the notes of a file that [`to_bytes`] made.
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
    // Names and values of the file stand in it.
    let fail = |problem: String| Error::format(path, in_line(&problem));
    let model = proto::ModelProto::decode(bytes).map_err(|error| {
        fail(format!("not a readable ONNX file: {}", shown(&error.to_string())))
    })?;
    let (architecture, state, notes) = convert(&model, path).map_err(fail)?;
    let mut state = state.of_file(path);
    let mut noted = own_notes(&model).map_err(fail)?;
    let architecture = match noted.remove(neurons::NEURONS) {
        Some(neurons) => neurons::restored(&architecture, neurons).map_err(fail)?,
        None => architecture,
    };
    noted.iter().for_each(|(name, value)| state.note(name, value));
    state.note(NOTE, &architecture);
    Ok(Onnx { architecture, state, notes })
}

/// What a file that we wrote notes of its network, such as its neurons.
fn own_notes(model: &proto::ModelProto) -> NodeResult<BTreeMap<String, serde_json::Value>> {
    let is_ours = |property: &&proto::Property| property.key.as_deref() == Some(METADATA);
    let mut ours = model.metadata_props.iter().filter(is_ours);
    let Some(property) = ours.next() else { return Ok(BTreeMap::new()) };
    if ours.next().is_some() {
        return Err(format!("has two properties `{METADATA}`"));
    }
    serde_json::from_str(property.value.as_deref().unwrap_or_default())
        .map_err(|error| format!("has a property `{METADATA}` that cannot be read: {error}"))
}

/// The content of an ONNX file with this network and the notes of its state.
///
/// # Errors
/// If an array is missing, of another shape or not finite, or the file would be larger than such files can be.
pub fn to_bytes(architecture: &Architecture, state: &StateDict) -> Result<Vec<u8>> {
    let model = write::model(architecture, state)?;
    let length = model.encoded_len();
    if length > MOST_WRITTEN {
        let problem = format!("{length} bytes are more than an ONNX file can have, {MOST_WRITTEN}");
        return Err(Error::argument("onnx", problem));
    }
    Ok(model.encode_to_vec())
}

/// Writes an ONNX file, whole or not at all.
///
/// # Errors
/// As for [`to_bytes`], and if the file cannot be written.
pub fn write(path: impl AsRef<Path>, architecture: &Architecture, state: &StateDict) -> Result<()> {
    let bytes = to_bytes(architecture, state)?;
    write_atomically(path.as_ref(), |file| file.write_all(&bytes))
}

/// Whether a file begins as ONNX files do.
///
/// # Errors
/// If it cannot be read.
pub fn is_onnx(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let mut head = Vec::new();
    let mut file = open_regular(path, u64::MAX)?.take(foreign::HEAD as u64);
    file.read_to_end(&mut head).map_err(|error| Error::io(path, "read", error))?;
    Ok(foreign::kind(&head) == Some(foreign::FileKind::Onnx))
}

/// A fingerprint of a file and of the files of weights beside it that it names: another one for any other network.
///
/// # Errors
/// If one of them cannot be read.
pub fn fingerprint(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let content = read_regular(path, MOST_BYTES)?;
    let weights = weights_beside(path, &content)?;
    if weights.is_empty() {
        return crate::fingerprint::of_file(path);
    }
    let mut all = Fingerprint::of("onnx").bytes(&content);
    for file in weights {
        all = all.bytes(&read_regular(file, u64::MAX)?);
    }
    Ok(all.finish())
}

/// The files beside an ONNX file that its weights are read from, if they are not all in it.
///
/// # Errors
/// If the file cannot be read, or names one that is not beside it.
pub fn files_of_weights(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    weights_beside(path, &read_regular(path, MOST_BYTES)?)
}

fn weights_beside(path: &Path, content: &[u8]) -> Result<Vec<PathBuf>> {
    let model = proto::ModelProto::decode(content);
    let graph = model.ok().and_then(|model| model.graph);
    let arrays = graph.as_ref().map_or(&[][..], |graph| &graph.initializer);
    let locations: BTreeSet<&str> = arrays.iter().filter_map(tensor::location).collect();
    locations.into_iter().map(|location| tensor::beside(path, location)).collect()
}

fn convert(
    model: &proto::ModelProto,
    path: &Path,
) -> NodeResult<(Architecture, StateDict, Vec<String>)> {
    let graph = model.graph.as_ref().ok_or("not an ONNX network: it has no graph")?;
    let of =
        |set: &&proto::OperatorSet| matches!(set.domain.as_deref(), None | Some("" | "ai.onnx"));
    let opset = model.opset_import.iter().find(of).and_then(|set| set.version).unwrap_or(1);
    if opset < OLDEST {
        return Err(format!(
            "uses version {opset} of ONNX's operators; {OLDEST} or newer is read (torch.onnx.export has opset_version)"
        ));
    }
    let image = ImageInput::of(graph)?;
    // An operator that could not be read says more than nodes around it that did not fit.
    let of_operator = |problem| supported::unsupported(graph).unwrap_or(problem);
    let read = |last: bool| {
        let (network, features) = image.draft(last)?;
        let images = image.images;
        let mut reader = Reader::new(model, path, opset, images, network);
        let logits = reader.run(graph, image.name, features).map_err(of_operator)?;
        let shared = reader.shared.note();
        let (architecture, state, mut notes) = finished(graph, reader.network, logits)?;
        notes.extend(shared);
        Ok((architecture, state, notes))
    };
    match image.is_channels_last(graph) {
        // It may be one of many channels all the same.
        true => read(true).or_else(|problem| read(false).map_err(|_| problem)),
        false => read(false),
    }
}

/// What is to be said of convolutions that stand for borders, slices and permutations: they are of zeros and ones.
fn moves(state: &StateDict) -> Option<String> {
    let is_one = |name: &&str| {
        let array = state.get(name).filter(|array| array.shape.len() == 4);
        array.is_some_and(|array| array.values.iter().all(|&value| value == 0.0 || value == 1.0))
    };
    let layers: Vec<&str> =
        state.names().filter(is_one).map(|name| name.trim_end_matches(".weight")).collect();
    (!layers.is_empty()).then(|| {
        format!(
            "to pad, pick or move features there are convolutions of zeros and ones ({}), which training and sleep change like \
             any others",
            list(layers)
        )
    })
}

/// The network that was read, as far as its logits need it.
fn finished(
    graph: &proto::GraphProto,
    mut network: DraftNetwork,
    logits: Features,
) -> NodeResult<(Architecture, StateDict, Vec<String>)> {
    let (mut logits, mut notes) = (logits, Vec::new());
    while let Some((_, of, ends)) = network.soft_maxes.iter().find(|(at, ..)| *at == logits.place) {
        // The last one names those before it.
        if notes.is_empty() {
            let verb = if ends.contains(' ') { "are" } else { "is" };
            let problem =
                format!("the {ends} at its end {verb} left out: attacks and margins need logits");
            notes.push(problem);
        }
        logits = logits.at(*of);
    }
    let others = graph.output.iter().skip(1).map(|output| output.name.as_deref().unwrap_or("?"));
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        notes.push(format!("of its outputs the first counts, not {}", list(others)));
    }
    if logits.dims.iter().filter(|&&side| side > 1).count() > 1 {
        let dims: Vec<String> = logits.dims.iter().map(usize::to_string).collect();
        return Err(format!(
            "gives [batch, {}] and not one number for each class; average or flatten that before the end, as in \
             x.mean((2, 3)) or x.flatten(1), and export again",
            dims.join(", ")
        ));
    }
    let classes = logits.count();
    if classes < 2 {
        return Err(format!(
            "gives {classes} number for each image, of which none is the largest; give each class a logit, \
             as in torch.cat([-z, z], 1) of the logit z that a sigmoid would take, and export again"
        ));
    }
    let logits = Features { dims: vec![classes], ..logits };
    let logits = rearrange::settled_vector(&mut network, logits, "pick")?;
    let place = network.vector(&logits, "flatten")?;
    if place == IMAGE {
        return Err("gives the image itself".into());
    }
    let (nodes, state) = finish::finish(&mut network, place)
        .map_err(|problem| supported::unsupported(graph).unwrap_or(problem))?;
    notes.extend(moves(&state));
    let architecture = Architecture::new(network.shape(IMAGE), classes, nodes);
    let architecture = architecture.map_err(|error| error.to_string())?;
    Ok((architecture, state, notes))
}
