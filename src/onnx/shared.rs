//! Weights that several layers of a file share: of ours, each has its own.

use super::node::FileNode;
use crate::wording::list;
use std::collections::BTreeMap;

/// How many layers take each of a file's arrays.
#[derive(Default)]
pub struct SharedWeights(BTreeMap<String, usize>);

impl SharedWeights {
    /// Counts the layer that a node is, if it is one, for its inputs that are arrays of the file.
    pub fn count(&mut self, node: &FileNode<'_>, is_array: impl Fn(&str) -> bool) {
        if ["Conv", "Gemm", "MatMul", "BatchNormalization"].contains(&node.op()) {
            for name in node.proto.input.iter().filter(|name| is_array(name)) {
                *self.0.entry(name.clone()).or_default() += 1;
            }
        }
    }

    /// What is to be said of them.
    pub fn note(&self) -> Option<String> {
        let shared = self.0.iter().filter(|&(_, &layers)| layers > 1);
        let shared: Vec<&str> = shared.map(|(name, _)| name.as_str()).collect();
        (!shared.is_empty()).then(|| {
            let shared = list(shared);
            format!(
                "several layers share {shared}; here each has its own, and training changes them apart"
            )
        })
    }
}
