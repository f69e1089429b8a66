//! The pixels of a PNG file.

use crate::data::dataset::{Pixels, QUOTIENTS};
use crate::files::open_regular;
use crate::tensor::Shape;
use crate::{Error, Result};
use std::io::BufReader;
use std::path::Path;

/// The largest file and the largest image, in bytes.
const MOST: u64 = 1 << 26;

/// Appends the pixels of a file, channel by channel. Those of 16 bits make all of them floats, which hold their values.
pub(super) fn decode(path: &Path, images: &mut Pixels) -> Result<Shape> {
    let fail = |error: png::DecodingError| {
        Error::format(path, format!("no readable PNG file: {error}; obtain it again"))
    };
    let file = BufReader::new(open_regular(path, MOST)?);
    let limits = png::Limits { bytes: MOST as usize };
    let mut decoder = png::Decoder::new_with_limits(file, limits);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(fail)?;
    let size = reader.output_buffer_size().filter(|&size| size as u64 <= MOST);
    let Some(size) = size else {
        let info = reader.info();
        let problem = format!("an image of {}x{} pixels is too large", info.height, info.width);
        return Err(Error::format(path, problem));
    };
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(fail)?;
    let channels = match frame.color_type {
        png::ColorType::Grayscale => 1,
        png::ColorType::Rgb => 3,
        other => {
            let problem = format!(
                "its pixels are {other:?}; only gray and RGB are read, without transparency: convert it first"
            );
            return Err(Error::format(path, problem));
        }
    };
    let pixels = &pixels[..frame.buffer_size()];
    match frame.bit_depth {
        png::BitDepth::Sixteen => {
            let (words, _) = pixels.as_chunks();
            let share = |word: &[u8; 2]| f32::from(u16::from_be_bytes(*word)) / 65535.0;
            append(floats(images), words, channels, share);
        }
        _ => match images {
            Pixels::Bytes(bytes) => append(bytes, pixels, channels, |&byte| byte),
            Pixels::Floats(floats) => {
                append(floats, pixels, channels, |&byte| QUOTIENTS[usize::from(byte)]);
            }
        },
    }
    Ok(Shape::new(channels, frame.height as usize, frame.width as usize))
}

/// Appends pixels that lie beside one another, channel by channel.
fn append<A, B>(images: &mut Vec<B>, pixels: &[A], channels: usize, f: impl Fn(&A) -> B) {
    for c in 0..channels {
        images.extend(pixels.iter().skip(c).step_by(channels).map(&f));
    }
}

/// The pixels as floats.
fn floats(images: &mut Pixels) -> &mut Vec<f32> {
    if let Pixels::Bytes(bytes) = images {
        let floats = bytes.iter().map(|&byte| QUOTIENTS[usize::from(byte)]).collect();
        *images = Pixels::Floats(floats);
    }
    match images {
        Pixels::Floats(floats) => floats,
        Pixels::Bytes(_) => unreachable!("they were made floats"),
    }
}
