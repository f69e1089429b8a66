//! Digits as small PNG files inside the page.

use crate::Result;
use crate::draw::failed;
use crate::tensor::Shape;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// An image of pixels in 0..=1, `[channel][y][x]`, as a data URI: three channels are red, green and blue; of any other
/// number the mean is drawn in gray.
pub fn picture(pixels: &[f32], shape: Shape) -> Result<String> {
    let byte = |p: f32| (255.0 * p.clamp(0.0, 1.0)).round() as u8;
    if shape.channels == 3 {
        let color = |i: usize| (0..3).map(move |c| byte(pixels[c * shape.pixels() + i]));
        let bytes: Vec<u8> = (0..shape.pixels()).flat_map(color).collect();
        return png(&bytes, shape.width, png::ColorType::Rgb);
    }
    let mean = |i: usize| {
        let sum: f32 = (0..shape.channels).map(|c| pixels[c * shape.pixels() + i]).sum();
        byte(sum / shape.channels as f32)
    };
    let bytes: Vec<u8> = (0..shape.pixels()).map(mean).collect();
    png(&bytes, shape.width, png::ColorType::Grayscale)
}

/// What was added to an image and what taken away, as a data URI: orange and blue on white, full at `most`. Of several
/// channels the largest change is drawn.
pub fn difference(clean: &[f32], changed: &[f32], shape: Shape, most: f32) -> Result<String> {
    const MORE: [f32; 3] = [178.0, 60.0, 0.0];
    const LESS: [f32; 3] = [0.0, 84.0, 166.0];
    let color = |i: usize| {
        let places = (0..shape.channels).map(|c| c * shape.pixels() + i);
        let changes = places.map(|place| changed[place] - clean[place]);
        let change = changes.fold(0.0f32, |most, d| if d.abs() > most.abs() { d } else { most });
        let share = (change / most).clamp(-1.0, 1.0);
        let full = if share > 0.0 { MORE } else { LESS };
        full.map(|c| (255.0 + (c - 255.0) * share.abs()).round() as u8)
    };
    let bytes: Vec<u8> = (0..shape.pixels()).flat_map(color).collect();
    png(&bytes, shape.width, png::ColorType::Rgb)
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

    fn pixels(uri: &str) -> (png::ColorType, (u32, u32), Vec<u8>) {
        let bytes = BASE64_STANDARD.decode(uri.rsplit(',').next().expect("a comma")).expect("ours");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let frame = reader.next_frame(&mut pixels).expect("one frame");
        (frame.color_type, (frame.width, frame.height), pixels)
    }

    #[test]
    fn no_change_is_white_and_the_file_is_a_png() {
        let shape = Shape::new(1, 2, 2);
        let same = difference(&[0.2; 4], &[0.2; 4], shape, 0.5).expect("four pixels");
        assert_eq!(pixels(&same).2, [255; 12]);
    }

    #[test]
    fn three_channels_are_drawn_in_color() {
        // Red on the left, blue on the right.
        let shape = Shape::new(3, 1, 2);
        let uri = picture(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0], shape).expect("two pixels");
        assert_eq!(pixels(&uri), (png::ColorType::Rgb, (2, 1), vec![255, 0, 0, 0, 0, 255]));
        let uri = picture(&[1.0, 0.0], Shape::new(1, 1, 2)).expect("two pixels");
        assert_eq!(pixels(&uri), (png::ColorType::Grayscale, (2, 1), vec![255, 0]));
        let changed = [0.0, 0.0, 0.5, 0.0, 0.0, 0.0];
        let uri = difference(&[0.0; 6], &changed, shape, 0.5).expect("two pixels");
        assert_eq!(pixels(&uri).2, [178, 60, 0, 255, 255, 255]);
    }
}
