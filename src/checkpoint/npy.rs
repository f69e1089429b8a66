//! numpy's format for one array: a header that is a Python dictionary, followed by the elements.

use super::MOST_BYTES;
use super::format::half;
use crate::wording::shown;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::io::{ErrorKind, Read};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header; numpy reads no more either.
const MOST_HEADER: usize = 10_000;

/// Dimensions of an array; numpy has no more either.
const MOST_DIMENSIONS: usize = 64;

/// Bytes of a text.
const MOST_TEXT: usize = 1 << 20;

/// Elements that are read at a time: memory grows with what really comes.
const CHUNK: usize = 1 << 18;

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Signed,
    Unsigned,
    /// Letters of 32 bits, and of 8.
    Unicode,
    Bytes,
}

/// What is said before the elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type as numpy writes it, fit for an error.
    pub kind: String,
    /// None for types that are not read: Python objects, complex numbers, truth values, dates, records.
    element: Option<Element>,
    /// Bytes of an element.
    width: usize,
    big_endian: bool,
    fortran: bool,
    pub shape: Vec<usize>,
}

impl Header {
    /// Reads it, up to the first element.
    pub fn read(file: &mut (impl Read + ?Sized)) -> Result<Self, String> {
        let mut bytes = |count: usize| {
            let mut bytes = vec![0; count];
            file.read_exact(&mut bytes).map(|()| bytes).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => "truncated within its header".to_owned(),
                _ => error.to_string(),
            })
        };
        let start = bytes(8)?;
        if !start.starts_with(MAGIC) {
            return Err("not an npy array".into());
        }
        let length = match start[6] {
            1 => bytes(2)?.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte)),
            2 | 3 => bytes(4)?.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte)),
            version => return Err(format!("version {version} of npy; 1 to 3 are read")),
        };
        if length > MOST_HEADER {
            return Err(format!("a header of {length} bytes; at most {MOST_HEADER} are read"));
        }
        let text = bytes(length)?;
        let text = String::from_utf8_lossy(&text);
        Self::parse(&text)
            .ok_or_else(|| format!("no header of an array: {}", shown(text.trim_end())))
    }

    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        let (mut kind, mut fortran, mut shape) = (None, None, None);
        while !rest.starts_with('}') {
            let (key, after) = quoted(rest)?;
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            match key {
                "descr" => {
                    let (found, after) = quoted(rest).or_else(|| record(rest))?;
                    (kind, rest) = (Some(found), after);
                }
                "fortran_order" => {
                    let words = [("True", true), ("False", false)];
                    let (word, value) =
                        words.into_iter().find(|(word, _)| rest.starts_with(word))?;
                    (fortran, rest) = (Some(value), &rest[word.len()..]);
                }
                "shape" => {
                    let (inner, after) = rest.strip_prefix('(')?.split_once(')')?;
                    let sides = inner.split(',').map(str::trim).filter(|side| !side.is_empty());
                    // Python 2 wrote `3L`.
                    let sides = sides.map(|side| side.trim_end_matches('L').parse().ok());
                    (shape, rest) = (Some(sides.collect::<Option<Vec<usize>>>()?), after);
                }
                _ => return None,
            }
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        if rest != "}" {
            return None;
        }
        let (kind, shape) = (kind?, shape?);
        let (order, name) = match kind.split_at_checked(1)? {
            (order @ ("<" | ">" | "=" | "|"), name) => (order, name),
            _ => ("=", kind),
        };
        let (letter, width) = name.split_at_checked(1)?;
        let width: usize = width.parse().unwrap_or(0);
        let element = match (letter, width) {
            ("f", 2 | 4 | 8) => Some(Element::Float),
            ("i", 1 | 2 | 4 | 8) => Some(Element::Signed),
            ("u", 1 | 2 | 4 | 8) => Some(Element::Unsigned),
            ("U", 1..=1_000_000) => Some(Element::Unicode),
            ("S" | "a", 1..=1_000_000) => Some(Element::Bytes),
            _ => None,
        };
        let width = if element == Some(Element::Unicode) { width.saturating_mul(4) } else { width };
        let big_endian = order == ">";
        let kind = shown(kind);
        let fits = shape.len() <= MOST_DIMENSIONS;
        fits.then_some(Self { kind, element, width, big_endian, fortran: fortran?, shape })
    }

    /// The floats that follow; None if they are none.
    pub fn floats(&self, file: &mut (impl Read + ?Sized)) -> Result<Option<ArrayD<f32>>, String> {
        if self.element != Some(Element::Float) {
            return Ok(None);
        }
        let narrow = |bits: u64| match self.width {
            2 => half(bits as u16),
            4 => f32::from_bits(bits as u32),
            _ => f64::from_bits(bits) as f32,
        };
        self.array(file, narrow).map(Some)
    }

    /// The whole numbers that follow, of whatever width and sign; None if they are none.
    pub fn integers(&self, file: &mut (impl Read + ?Sized)) -> Result<Option<ArrayD<i64>>, String> {
        match self.element {
            Some(Element::Signed) => {
                let unused = 64 - 8 * self.width as u32;
                self.array(file, |bits| (bits << unused) as i64 >> unused).map(Some)
            }
            Some(Element::Unsigned) => {
                let array = self.array(file, |bits| bits)?;
                if let Some(large) = array.iter().find(|&&value| i64::try_from(value).is_err()) {
                    return Err(format!("{large} is too large"));
                }
                Ok(Some(array.mapv(|value| value as i64)))
            }
            _ => Ok(None),
        }
    }

    /// The bytes that follow; None if they are none.
    pub fn bytes(&self, file: &mut (impl Read + ?Sized)) -> Result<Option<ArrayD<u8>>, String> {
        let are_bytes = self.element == Some(Element::Unsigned) && self.width == 1;
        are_bytes.then(|| self.array(file, |bits| bits as u8)).transpose()
    }

    /// The text that follows: as bytes in a row, which is how this crate writes it, or as one string of numpy's; None if
    /// it is none.
    pub fn text(&self, file: &mut (impl Read + ?Sized)) -> Result<Option<String>, String> {
        let bytes = match self.element {
            Some(Element::Unsigned) if self.width == 1 && self.shape.len() == 1 => {
                self.bytes(file)?.into_iter().flatten().collect()
            }
            Some(Element::Unicode | Element::Bytes) if self.shape.iter().all(|&side| side == 1) => {
                if self.width > MOST_TEXT {
                    let width = self.width;
                    return Err(format!("a text of {width} bytes; at most {MOST_TEXT} are read"));
                }
                let mut bytes = vec![0; self.width];
                file.read_exact(&mut bytes).map_err(|_| "truncated".to_owned())?;
                if self.element == Some(Element::Unicode) {
                    let letters = bytes.as_chunks().0.iter().map(|&letter: &[u8; 4]| {
                        char::from_u32(match self.big_endian {
                            true => u32::from_be_bytes(letter),
                            false => u32::from_le_bytes(letter),
                        })
                    });
                    let text: Option<String> = letters.collect();
                    let text = text.ok_or("an invalid character")?;
                    return Ok(Some(text.trim_end_matches('\0').to_owned()));
                }
                bytes.truncate(bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1));
                bytes
            }
            _ => return Ok(None),
        };
        String::from_utf8(bytes).map(Some).map_err(|_| "it is not UTF-8".to_owned())
    }

    /// The elements that follow, each made from its bits, in the order of C.
    fn array<T: Clone>(
        &self,
        file: &mut (impl Read + ?Sized),
        element: impl Fn(u64) -> T,
    ) -> Result<ArrayD<T>, String> {
        let count = self.shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
        let count = if self.shape.contains(&0) { Some(0) } else { count };
        let shape = &self.shape;
        // Before anything is read: a few kilobytes of a zip archive can hold gigabytes of zeros.
        let width = self.width.max(size_of::<T>());
        let fits = |count: &usize| count.checked_mul(width).is_some_and(|n| n as u64 <= MOST_BYTES);
        let count = count.filter(fits).ok_or_else(|| {
            format!("its shape {shape:?} is of more than {MOST_BYTES} bytes; no more are read")
        })?;
        let mut values: Vec<T> = Vec::new();
        let mut bytes = vec![0; CHUNK.min(count) * self.width];
        while values.len() < count {
            let chunk = CHUNK.min(count - values.len());
            values.try_reserve(chunk).map_err(|_| {
                format!("{count} elements of shape {shape:?} do not fit into memory")
            })?;
            let bytes = &mut bytes[..chunk * self.width];
            file.read_exact(bytes).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    format!(
                        "truncated: its shape {shape:?} needs {count} elements, which are not there"
                    )
                }
                _ => error.to_string(),
            })?;
            values.extend(bytes.chunks_exact(self.width).map(|bytes| {
                let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
                element(match self.big_endian {
                    true => bytes.iter().fold(0, join),
                    false => bytes.iter().rev().fold(0, join),
                })
            }));
        }
        if file.read(&mut [0]).map_err(|error| error.to_string())? > 0 {
            return Err(format!("bytes left over after the {count} elements of shape {shape:?}"));
        }
        let problem = |error: ndarray::ShapeError| error.to_string();
        let shape = IxDyn(&self.shape).set_f(self.fortran);
        let array = ArrayD::from_shape_vec(shape, values).map_err(problem)?;
        Ok(if self.fortran { array.as_standard_layout().into_owned() } else { array })
    }
}

/// A header of version 1 as numpy writes it; the elements follow, little-endian, in the order of C.
pub(super) fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let mut sides = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        sides.push(',');
    }
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sides}), }}");
    // numpy wants the elements to begin at a multiple of 64.
    let start = MAGIC.len() + 4;
    let padding = (start + text.len() + 1).next_multiple_of(64) - start - text.len() - 1;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// A string of Python's without escapes, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inner, after) = text[1..].split_once(quote)?;
    (!inner.contains('\\')).then_some((inner, after))
}

/// A record's type, `[('a', '<f4'), ...]`, and what follows; quotes hide brackets.
fn record(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, byte) in text.bytes().enumerate() {
        match (byte, quote) {
            (b'\'' | b'"', None) => quote = Some(byte),
            (_, Some(open)) => quote = Some(open).filter(|&open| open != byte),
            (b'[' | b'(', None) => depth += 1,
            (b']' | b')', None) => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
        if depth == 0 && quote.is_none() {
            return Some(text.split_at(at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Header {
        Header::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn headers_are_read_as_python_writes_them() {
        let usual = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n");
        assert_eq!((usual.kind.as_str(), &usual.shape[..], usual.width), ("<f4", &[2, 3][..], 4));
        let other = parse("{\"shape\":(3L,),\"fortran_order\":True,\"descr\":\">i8\"}");
        assert_eq!((other.element, other.big_endian), (Some(Element::Signed), true));
        assert_eq!((other.fortran, &other.shape[..]), (true, &[3][..]));
        assert_eq!(parse("{'descr': '|O', 'fortran_order': False, 'shape': ()}").element, None);
        let record = "{'descr': [('a)', '<f4', (2, 3)), ('b', '<i8')], 'fortran_order': False, 'shape': (0,)}";
        assert_eq!(parse(record).element, None);
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + 1",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
            "{'descr': '\\'', 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': '', 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': ',",
        ] {
            assert_eq!(Header::parse(text), None, "{text}");
        }
        // However many brackets: no recursion, no second attempt.
        for open in ["(", "[", "{'descr': ["] {
            assert_eq!(Header::parse(&open.repeat(3000)), None);
        }
    }

    #[test]
    fn elements_of_every_type_and_order_are_read() {
        let array = |kind: &str, fortran: bool, bytes: &[u8]| {
            let order = if fortran { "True" } else { "False" };
            let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': (2, 2)}}");
            (parse(&text), bytes.to_vec())
        };
        let integers = |kind: &str, bytes: &[u8]| {
            let (header, bytes) = array(kind, false, bytes);
            header
                .integers(&mut &bytes[..])
                .map(|array| array.map(|a| a.into_raw_vec_and_offset().0))
        };
        assert_eq!(integers("|i1", &[1, 2, 255, 128]), Ok(Some(vec![1, 2, -1, -128])));
        assert_eq!(integers("|u1", &[1, 2, 255, 128]), Ok(Some(vec![1, 2, 255, 128])));
        assert_eq!(
            integers("<i2", &[1, 0, 0, 1, 255, 255, 0, 128]),
            Ok(Some(vec![1, 256, -1, -32768]))
        );
        assert_eq!(
            integers(">u2", &[0, 1, 1, 0, 255, 255, 0, 0]),
            Ok(Some(vec![1, 256, 65535, 0]))
        );
        assert!(
            integers("<u8", &[255; 32]).expect_err("too large").contains("18446744073709551615")
        );
        assert_eq!(integers("<f4", &[0; 16]), Ok(None));
        assert_eq!(integers("<U24", &[0; 16]), Ok(None));
        assert!(integers("|i1", &[1, 2, 3]).expect_err("short").contains("truncated"));
        assert!(integers("|i1", &[1, 2, 3, 4, 5]).expect_err("long").contains("left over"));

        let floats = |kind: &str, fortran, bytes: &[u8]| {
            let (header, bytes) = array(kind, fortran, bytes);
            header
                .floats(&mut &bytes[..])
                .expect("floats")
                .expect("floats")
                .into_raw_vec_and_offset()
                .0
        };
        let halves: Vec<u8> =
            [0x3c00_u16, 0xc000, 1, 0x7bff].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(floats("<f2", false, &halves), [1.0, -2.0, 2f32.powi(-24), 65504.0]);
        let doubles: Vec<u8> =
            [0.1_f64, 1.0, 2.0, 3.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(floats(">f8", false, &doubles), [0.1, 1.0, 2.0, 3.0]);
        assert_eq!(floats(">f8", true, &doubles), [0.1, 2.0, 1.0, 3.0]);
    }
}
