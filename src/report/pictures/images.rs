//! Digits as small PNG files inside the page.

use crate::Result;
use crate::draw::failed;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A grey image of pixels in 0..=1, as a data URI.
pub fn grey(pixels: &[f32], width: usize) -> Result<String> {
    let bytes: Vec<u8> = pixels.iter().map(|p| (255.0 * p.clamp(0.0, 1.0)).round() as u8).collect();
    png(&bytes, width, png::ColorType::Grayscale)
}

/// What was added to an image and what taken away, as a data URI: orange and blue on white, full at `most`.
pub fn difference(clean: &[f32], changed: &[f32], width: usize, most: f32) -> Result<String> {
    const MORE: [f32; 3] = [178.0, 60.0, 0.0];
    const LESS: [f32; 3] = [0.0, 84.0, 166.0];
    let color = |(clean, changed): (&f32, &f32)| {
        let share = ((changed - clean) / most).clamp(-1.0, 1.0);
        let full = if share > 0.0 { MORE } else { LESS };
        full.map(|c| (255.0 + (c - 255.0) * share.abs()).round() as u8)
    };
    let bytes: Vec<u8> = clean.iter().zip(changed).flat_map(color).collect();
    png(&bytes, width, png::ColorType::Rgb)
}

fn png(bytes: &[u8], width: usize, color: png::ColorType) -> Result<String> {
    let row = width * color.samples();
    let height = bytes.len().checked_div(row).unwrap_or(0);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&bytes[..row * height]).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_is_white_and_the_file_is_a_png() {
        let same = difference(&[0.2; 4], &[0.2; 4], 2, 0.5).expect("four pixels");
        let bytes =
            BASE64_STANDARD.decode(same.rsplit(',').next().expect("a comma")).expect("ours");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("one frame");
        assert_eq!(pixels, [255; 12]);
    }
}
