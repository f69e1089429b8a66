//! Safetensors: a JSON header, followed by the bytes of the arrays.

use super::StateDict;
use crate::foreign;
use crate::wording::{from_strict_json, list, of_json, shown};
use crate::{Error, Result};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The one key of a file's metadata that is ours; its value is JSON with sorted keys. (The format's own map has no
/// order, so more than one key would make equal models differ in their bytes.)
const METADATA: &str = "deepsleep";

/// The key under which an outside file may say which network it holds, and our note of it.
pub(crate) const ARCHITECTURE: &str = "architecture";

/// Keys of the metadata of which nothing is lost: ours, and that of PyTorch's savers.
const READ: [&str; 3] = [METADATA, ARCHITECTURE, "format"];

impl StateDict {
    /// The file as bytes. Equal state dicts give equal bytes.
    ///
    /// # Errors
    /// If the format refuses (it does not for arrays that [`insert`](Self::insert) took).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: String| Error::format(&self.path, format!("cannot be written: {e}"));
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .entries
            .iter()
            .map(|(name, entry)| {
                let bytes = entry.values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.as_str(), entry.shape.as_slice(), bytes)
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>()
            .map_err(|e| fail(e.to_string()))?;
        let notes = serde_json::to_string(&self.notes).map_err(|e| fail(e.to_string()))?;
        let metadata =
            (!self.notes.is_empty()).then(|| HashMap::from([(METADATA.to_owned(), notes)]));
        safetensors::serialize(views, metadata).map_err(|e| fail(e.to_string()))
    }

    /// Reads the content of a safetensors file; `path` is what errors name.
    ///
    /// # Errors
    /// If the content is not what the format requires.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |e: String| Error::format(path, format!("not a readable safetensors file: {e}"));
        if !foreign::is_safetensors(bytes) {
            return Err(fail(match foreign::kind(bytes) {
                Some(kind) => format!("it is {}; {}", kind.name(), kind.remedy_for_network()),
                None => "it is none, as it does not begin with the length of a header and `{`; expected a network as \
                         safetensors or ONNX (docs/formats.md)"
                    .into(),
            }));
        }
        let library = |e: SafeTensorError| match e {
            // Which array it names is chance where two begin at the same place.
            SafeTensorError::InvalidOffset(_) => {
                fail("its arrays overlap, leave gaps, or reach beyond the end".into())
            }
            other => fail(shown_words(&other.to_string())),
        };
        let (length, header) = SafeTensors::read_metadata(bytes).map_err(library)?;
        // The library takes the last of two equal keys.
        let text = bytes.get(8..8 + length).and_then(|text| str::from_utf8(text).ok());
        from_strict_json(text.unwrap_or_default()).map_err(|e| fail(of_json(&e)))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(library)?;
        let mut state = Self { path: path.to_owned(), ..Self::default() };
        for (name, view) in tensors.iter() {
            if let Some(problem) = too_wide(view.dtype(), view.data()) {
                return Err(Error::format(path, format!("`{name}` {problem}")));
            }
            match values(view.dtype(), view.data()) {
                Some(values) => state.insert(name, view.shape().to_vec(), values)?,
                None => {
                    state.unread.insert(name.to_owned(), format!("{:?}", view.dtype()));
                }
            }
        }
        let metadata = header.metadata().as_ref();
        if let Some(notes) = metadata.and_then(|metadata| metadata.get(METADATA)) {
            let strict = from_strict_json(notes).and_then(|_| serde_json::from_str(notes));
            state.notes =
                strict.map_err(|e| Error::format(path, format!("its notes: {}", of_json(&e))))?;
        }
        let foreign = metadata.and_then(|metadata| metadata.get(ARCHITECTURE));
        if let Some(text) = foreign {
            let note: Value = from_strict_json(text).map_err(|e| {
                let problem = of_json(&e);
                Error::format(path, format!("`{ARCHITECTURE}` in its metadata: {problem}"))
            })?;
            if state.notes.get(ARCHITECTURE).is_some_and(|ours| *ours != note) {
                return Err(Error::format(
                    path,
                    format!(
                        "its metadata holds two architectures, `{ARCHITECTURE}` and one in `{METADATA}`, which differ; \
                         take out the wrong one"
                    ),
                ));
            }
            state.notes.insert(ARCHITECTURE.to_owned(), note);
        }
        let keys = metadata.into_iter().flat_map(|metadata| metadata.keys());
        let mut unread: Vec<&str> =
            keys.map(String::as_str).filter(|key| !READ.contains(key)).collect();
        if !unread.is_empty() {
            unread.sort_unstable();
            log::info!(
                target: "note",
                "{}: {} in its metadata {} not read; what a network computes is in `{ARCHITECTURE}` (docs/formats.md)",
                path.display(), list(unread.iter().copied()), if unread.len() == 1 { "is" } else { "are" }
            );
        }
        Ok(state)
    }
}

/// What becomes of numbers of 64 bits that 32 bits cannot hold, if they are such.
fn too_wide(kind: Dtype, data: &[u8]) -> Option<String> {
    if kind != Dtype::F64 {
        return None;
    }
    let numbers = || data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
    let sizes = numbers().map(f64::abs).filter(|size| size.is_finite());
    let largest = sizes.fold(0.0, f64::max);
    if (largest as f32).is_infinite() {
        return Some(format!("holds {largest:e}, which is more than 32 bits can"));
    }
    // Single numbers may be as small as they like beside others.
    let vanishes = largest > 0.0 && largest < f64::from(f32::MIN_POSITIVE);
    vanishes.then(|| format!("holds nothing above {largest:e}, which is less than 32 bits can"))
}

/// The numbers in these bytes; None if they are no floats.
fn values(kind: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect(),
        // The upper half of an f32.
        Dtype::BF16 => {
            let wide = |b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            data.as_chunks().0.iter().map(wide).collect()
        }
        _ => return None,
    })
}

/// A float of 16 bits (5 of exponent, 10 of fraction), exactly.
pub(crate) fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    let magnitude = match exponent {
        // Multiples of the smallest, 2^-24: exact.
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// What a library says, which may repeat a name out of the file.
fn shown_words(text: &str) -> String {
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_widened_exactly() {
        // Every number of 16 bits against its definition, in f64.
        for bits in 0..=u16::MAX {
            let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
            let (e, f) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
            let expected = match e {
                0 => sign * f * 2f64.powi(-24),
                31 if f == 0.0 => sign * f64::INFINITY,
                31 => f64::NAN,
                _ => sign * (1.0 + f / 1024.0) * 2f64.powi(e - 15),
            };
            let found = f64::from(half(bits));
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan());
        }
    }
}
