//! Turns the finished draft into an architecture with its arrays.

use super::network::{Draft, DraftKind, DraftNetwork, IMAGE};
use super::value::NodeResult;
use crate::checkpoint::StateDict;
use crate::nn::architecture::{Algorithm, INPUT, Node, Op, Pair};
use crate::wording::shown;
use std::collections::HashSet;

/// Letters of a node's name.
const MOST_LETTERS: usize = 120;

/// The nodes that the place `last` needs, and their arrays.
pub fn finish(network: &mut DraftNetwork, last: usize) -> NodeResult<(Vec<Node>, StateDict)> {
    let mut needed = vec![false; network.drafts.len() + 1];
    needed[last] = true;
    for (i, draft) in network.drafts.iter().enumerate().rev() {
        if needed[i + 1] {
            draft.inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut finished = Finished::default();
    finished.taken.insert(INPUT.to_owned());
    // Where each place ended up: the name of a node, or the image's.
    let mut names = vec![INPUT.to_owned(); network.drafts.len() + 1];
    for (i, draft) in network.drafts.iter_mut().enumerate().filter(|(i, _)| needed[i + 1]) {
        let inputs = draft.inputs.iter().map(|&input| names[input].clone()).collect();
        names[i + 1] = finished.add(draft, inputs)?;
    }
    // A node that computes from the one before it need not say so.
    let mut before = INPUT.to_owned();
    for node in &mut finished.nodes {
        if node.inputs == [before.as_str()] {
            node.inputs.clear();
        }
        before.clone_from(&node.name);
    }
    debug_assert_eq!(names[IMAGE], INPUT);
    Ok((finished.nodes, finished.state))
}

#[derive(Default)]
struct Finished {
    nodes: Vec<Node>,
    state: StateDict,
    taken: HashSet<String>,
}

impl Finished {
    /// Adds the nodes of a draft; returns the name of the last.
    fn add(&mut self, draft: &mut Draft, inputs: Vec<String>) -> NodeResult<String> {
        let is_layer = matches!(draft.kind, DraftKind::Layer(..));
        let name = self.name(&draft.name, is_layer);
        match &mut draft.kind {
            DraftKind::Plain(op) => self.push(name.clone(), op.clone(), inputs),
            DraftKind::Layer(op, arrays) => {
                for array in arrays {
                    let full = format!("{name}.{}", array.suffix);
                    let (shape, values) = (array.shape.clone(), std::mem::take(&mut array.values));
                    self.state.insert(&full, shape, values).map_err(|error| error.to_string())?;
                }
                self.push(name.clone(), op.clone(), inputs);
            }
            DraftKind::Affine(scale, shift) => {
                return self.affine(draft.shape.channels, name, [scale, shift], inputs);
            }
            DraftKind::Unknown(problem) => {
                return Err(format!("node `{}` {problem}", shown(&draft.name)));
            }
        }
        Ok(name)
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<String>) {
        self.nodes.push(Node { name, op, inputs });
    }

    /// `scale x + shift`, by the simplest node that computes it.
    fn affine(
        &mut self,
        channels: usize,
        name: String,
        [scale, shift]: [&[f64]; 2],
        inputs: Vec<String>,
    ) -> NodeResult<String> {
        let every = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
            let pair = |i: usize| (scale[i % scale.len()], shift[i % shift.len()]);
            (0..channels).map(pair).map(|(scale, shift)| f(scale, shift) as f32).collect()
        };
        if let (&[factor], &[0.0]) = (scale, shift) {
            self.push(name.clone(), Op::Scale { factor: factor as f32 }, inputs);
            return Ok(name);
        }
        let is_input = inputs == [INPUT];
        let sign = if scale.iter().all(|&s| s < 0.0) { -1.0 } else { 1.0 };
        let mean = every(&|scale, shift| -shift / scale);
        let std = every(&|scale, _| sign / scale);
        let fits =
            mean.iter().all(|m| m.is_finite()) && std.iter().all(|s| s.is_normal() && *s > 0.0);
        if fits && (is_input || scale.len() == 1) {
            self.push(name.clone(), Op::Normalize { mean, std }, inputs);
            if sign > 0.0 {
                return Ok(name);
            }
            let turned = self.name(&format!("{name}.sign"), false);
            self.push(turned.clone(), Op::Scale { factor: -1.0 }, vec![name]);
            return Ok(turned);
        }
        let bias = shift != [0.0];
        let (one, none) = (Pair([1; 2]), Pair([0; 2]));
        let op = Op::Conv2d {
            out: channels,
            kernel: one,
            stride: one,
            padding: none,
            groups: channels,
            bias,
            algorithm: Algorithm::Lanes,
        };
        let weight = every(&|scale, _| scale);
        let insert = self.state.insert(&format!("{name}.weight"), vec![channels, 1, 1, 1], weight);
        insert.map_err(|error| error.to_string())?;
        if bias {
            let shift = every(&|_, shift| shift);
            let insert = self.state.insert(&format!("{name}.bias"), vec![channels], shift);
            insert.map_err(|error| error.to_string())?;
        }
        self.push(name.clone(), op, inputs);
        Ok(name)
    }

    /// A name of its own, made of that of the file.
    fn name(&mut self, from: &str, is_layer: bool) -> String {
        let name = pytorch_name(from, is_layer);
        let mut unique = name.clone();
        for i in 2.. {
            if self.taken.insert(unique.clone()) {
                break;
            }
            unique = format!("{name}_{i}");
        }
        unique
    }
}

/// A node's name, as PyTorch would have it if the file says so: `layer1.0.conv1` of `/layer1/layer1.0/conv1/Conv`.
pub fn pytorch_name(from: &str, is_layer: bool) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').filter(|part| !part.is_empty()) {
        // A module within another repeats the other's name.
        let repeats = |last: &&str| part.strip_prefix(*last).is_some_and(|p| p.starts_with('.'));
        if parts.last().is_some_and(repeats) {
            parts.pop();
        }
        parts.push(part);
    }
    let mut joined = String::new();
    if from.contains('/') && parts.len() > 1 && is_layer {
        parts.pop();
    } else if let Some(last) = parts.last_mut().filter(|_| from.contains('/')) {
        joined = last.to_ascii_lowercase();
        parts.pop();
    }
    if !joined.is_empty() {
        parts.push(&joined);
    }
    let name = parts.join(".");
    let name = name.strip_prefix("node_").unwrap_or(&name);
    let letter = |c: char| if c.is_control() || c.is_whitespace() { '_' } else { c };
    let name: String = name.chars().take(MOST_LETTERS).map(letter).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}
