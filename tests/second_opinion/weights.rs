//! Arrays of a safetensors file, widened to f64.

use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// Arrays by name.
pub struct Weights(HashMap<String, Vec<f64>>);

impl Weights {
    /// Those of a file under tests/golden.
    pub fn golden(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let arrays = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
        Self(arrays.map(|(name, view)| (name, widen(view.data()))).collect())
    }

    /// An array.
    pub fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// Little-endian f32 as f64.
fn widen(bytes: &[u8]) -> Vec<f64> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    numbers.iter().map(|&number| f64::from(f32::from_le_bytes(number))).collect()
}
