//! Arrays of numbers in a file, or in another one beside it.

use super::proto::{Property, TensorProto, data_type};
use super::value::{NodeResult, Operand, Whole, checked_count};
use crate::Result;
use crate::checkpoint::half;
use crate::files::{inside, open_regular};
use crate::wording::shown;
use ndarray::{ArcArray, IxDyn};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a file of weights, at most.
const MOST_BYTES: u64 = 1 << 32;

/// Where a tensor says that its numbers are: not in itself.
const EXTERNAL: i32 = 1;

/// The numbers of a tensor; `path` is the file that it is in.
///
/// # Errors
/// If they are of a type without meaning here, fewer or more than its shape says, or in a file that is not there.
pub fn read(tensor: &TensorProto, path: &Path) -> NodeResult<Operand> {
    let name = shown(tensor.name.as_deref().unwrap_or("?"));
    let fail = |problem: String| Err(format!("the array `{name}` {problem}"));
    let sides: Option<Vec<usize>> =
        tensor.dims.iter().map(|&side| usize::try_from(side).ok()).collect();
    let product = |sides: &Vec<usize>| sides.iter().try_fold(1_usize, |n, &s| n.checked_mul(s));
    let Some((sides, count)) = sides.and_then(|sides| product(&sides).map(|n| (sides, n))) else {
        return fail(format!("has the shape {:?}", tensor.dims));
    };
    let external;
    let raw = if tensor.data_location == Some(EXTERNAL) {
        let Some(bytes) = width(tensor).and_then(|width| count.checked_mul(width)) else {
            return fail(refused(tensor));
        };
        external = match external_bytes(&tensor.external_data, bytes, path) {
            Ok(raw) => raw,
            Err(problem) => return fail(problem),
        };
        Some(external.as_slice())
    } else {
        tensor.raw_data.as_deref()
    };
    let read = numbers(tensor, raw);
    let Some(numbers) = read else { return fail(refused(tensor)) };
    let found = match &numbers {
        Numbers::Floats(numbers) => numbers.len(),
        Numbers::Wholes(numbers) => numbers.len(),
    };
    let fits = format!("has {found} numbers for the shape {sides:?}");
    if found != count {
        return fail(fits);
    }
    let shape = IxDyn(&sides);
    match numbers {
        Numbers::Floats(numbers) => {
            ArcArray::from_shape_vec(shape, numbers).map(Operand::Floats).or(fail(fits))
        }
        Numbers::Wholes(numbers) => {
            checked_count(&sides)?;
            let numbers = numbers.into_iter().map(Whole::Known).collect();
            ArcArray::from_shape_vec(shape, numbers).map(Operand::Wholes).or(fail(fits))
        }
    }
}

enum Numbers {
    Floats(Vec<f32>),
    Wholes(Vec<i64>),
}

/// Bytes of a number, if it is of a type that is read.
fn width(tensor: &TensorProto) -> Option<usize> {
    Some(match tensor.data_type? {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => 1,
        data_type::UINT16 | data_type::INT16 | data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        data_type::FLOAT | data_type::INT32 => 4,
        data_type::DOUBLE | data_type::INT64 => 8,
        _ => return None,
    })
}

fn refused(tensor: &TensorProto) -> String {
    format!(
        "has numbers of type {}; floats of 16, 32 and 64 bits and whole numbers are read",
        tensor.data_type.unwrap_or(0)
    )
}

/// The numbers, from bytes (little end first) or from the fields for their type; None if the type is not read.
fn numbers(tensor: &TensorProto, raw: Option<&[u8]>) -> Option<Numbers> {
    /// Each number of a type from its bytes.
    fn each<const N: usize, T>(raw: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|bytes| from(*bytes)).collect()
    }
    let TensorProto { int32_data, .. } = tensor;
    let wide = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    let short = |from: &dyn Fn(u16) -> f32| match raw {
        Some(raw) => each(raw, |bytes| from(u16::from_le_bytes(bytes))),
        None => int32_data.iter().map(|&bits| from(bits as u16)).collect(),
    };
    let small = |from: &dyn Fn(u8) -> i64| match raw {
        Some(raw) => raw.iter().map(|&byte| from(byte)).collect(),
        None => int32_data.iter().map(|&number| i64::from(number)).collect(),
    };
    let floats = match tensor.data_type? {
        data_type::FLOAT => match raw {
            Some(raw) => each(raw, f32::from_le_bytes),
            None => tensor.float_data.clone(),
        },
        data_type::DOUBLE => match raw {
            Some(raw) => each(raw, |bytes| f64::from_le_bytes(bytes) as f32),
            None => tensor.double_data.iter().map(|&number| number as f32).collect(),
        },
        data_type::FLOAT16 => short(&half),
        data_type::BFLOAT16 => short(&wide),
        _ => {
            return Some(Numbers::Wholes(match tensor.data_type? {
                data_type::INT64 => match raw {
                    Some(raw) => each(raw, i64::from_le_bytes),
                    None => tensor.int64_data.clone(),
                },
                data_type::INT32 => match raw {
                    Some(raw) => each(raw, |bytes| i64::from(i32::from_le_bytes(bytes))),
                    None => int32_data.iter().map(|&number| i64::from(number)).collect(),
                },
                data_type::UINT16 => match raw {
                    Some(raw) => each(raw, |bytes| i64::from(u16::from_le_bytes(bytes))),
                    None => int32_data.iter().map(|&number| i64::from(number)).collect(),
                },
                data_type::INT16 => match raw {
                    Some(raw) => each(raw, |bytes| i64::from(i16::from_le_bytes(bytes))),
                    None => int32_data.iter().map(|&number| i64::from(number)).collect(),
                },
                data_type::UINT8 | data_type::BOOL => small(&|byte| i64::from(byte)),
                data_type::INT8 => small(&|byte| i64::from(byte as i8)),
                _ => return None,
            }));
        }
    };
    Some(Numbers::Floats(floats))
}

/// The name of the file that holds a tensor's numbers, if it is another one.
pub fn location(tensor: &TensorProto) -> Option<&str> {
    (tensor.data_location == Some(EXTERNAL))
        .then(|| get(&tensor.external_data, "location"))
        .flatten()
}

/// The path of a file beside the network's own, and nowhere else.
pub fn beside(path: &Path, location: &str) -> Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    inside(folder.unwrap_or(Path::new(".")), location)
}

fn get<'a>(external: &'a [Property], key: &str) -> Option<&'a str> {
    external.iter().find(|p| p.key.as_deref() == Some(key)).and_then(|p| p.value.as_deref())
}

/// So many bytes of a file beside the network's own.
fn external_bytes(external: &[Property], bytes: usize, path: &Path) -> NodeResult<Vec<u8>> {
    let location = get(external, "location").unwrap_or_default();
    let there = |problem: String| {
        format!(
            "is in the file `{}`, {problem}; keep both files in one folder, or export with external_data=False",
            shown(location)
        )
    };
    let number =
        |key: &str| get(external, key).map_or(Some(None), |text| text.parse().ok().map(Some));
    let (Some(offset), Some(length)) = (number("offset"), number("length")) else {
        return Err(there("at a place that is not a number".into()));
    };
    if length.is_some_and(|length: u64| length != bytes as u64) {
        return Err(there(format!("which has another length for it than {bytes} bytes")));
    }
    let file = beside(path, location).and_then(|path| open_regular(path, MOST_BYTES));
    let mut file = file.map_err(|error| there(format!("which cannot be opened ({error})")))?;
    let offset = offset.unwrap_or(0);
    let there_are = file.metadata().map_or(0, |data| data.len()).saturating_sub(offset);
    if there_are < bytes as u64 {
        return Err(there(format!("which has {there_are} bytes for it, not {bytes}")));
    }
    let mut raw = Vec::with_capacity(bytes);
    let read = file.seek(SeekFrom::Start(offset));
    let read = read.and_then(|_| file.take(bytes as u64).read_to_end(&mut raw));
    read.map_err(|error| there(format!("which cannot be read ({error})")))?;
    Ok(raw)
}
