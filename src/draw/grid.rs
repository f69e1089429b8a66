//! Draws adversarial images beside the originals.

use crate::draw::failed;
use crate::tensor::Shape;
use crate::{Error, Result};
use font8x8::UnicodeFonts;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Side of a pixel of an image, gap between images, height of a line and width of the titles, all in pixels.
const SIDE: i32 = 3;
const GAP: i32 = 8;
const LINE: i32 = 12;
const TITLES: i32 = 100;
/// Images beside one another.
const COLUMNS: usize = 10;
const ROWS: [&str; 3] = ["clean", "adversarial", "difference"];
const BLACK_ON: [[u8; 3]; 2] = [[255; 3], [0; 3]];

/// One sample of a grid.
#[derive(Clone, Debug)]
pub struct GridImage<'a> {
    /// The clean image, `[channel][y][x]`, pixels in 0..=1.
    pub clean: &'a [f32],
    /// What an attack made of it.
    pub adversarial: &'a [f32],
    /// What stands above: a few letters, such as `7 > 3`.
    pub caption: String,
}

/// Something to draw on.
trait Canvas {
    fn rectangle(&mut self, at: [i32; 2], size: [i32; 2], color: [u8; 3]) -> Result<()>;
    fn text(&mut self, at: [i32; 2], text: &str) -> Result<()>;
}

struct Vectors<'a>(DrawingArea<SVGBackend<'a>, Shift>);

impl Canvas for Vectors<'_> {
    fn rectangle(&mut self, at: [i32; 2], size: [i32; 2], color: [u8; 3]) -> Result<()> {
        let corners = [(at[0], at[1]), (at[0] + size[0], at[1] + size[1])];
        let color = RGBColor(color[0], color[1], color[2]);
        self.0.draw(&Rectangle::new(corners, color.filled())).map_err(failed)
    }

    fn text(&mut self, at: [i32; 2], text: &str) -> Result<()> {
        let text = Text::new(text.to_owned(), (at[0], at[1]), ("monospace", LINE));
        self.0.draw(&text).map_err(failed)
    }
}

struct Bitmap {
    pixels: Vec<u8>,
    width: i32,
}

impl Canvas for Bitmap {
    fn rectangle(&mut self, at: [i32; 2], size: [i32; 2], color: [u8; 3]) -> Result<()> {
        for y in at[1]..at[1] + size[1] {
            for x in at[0]..(at[0] + size[0]).min(self.width) {
                let place = 3 * (y as usize * self.width as usize + x as usize);
                if let Some(pixel) = self.pixels.get_mut(place..place + 3) {
                    pixel.copy_from_slice(&color);
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, [left, top]: [i32; 2], text: &str) -> Result<()> {
        for (i, letter) in text.chars().enumerate() {
            let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or_default();
            for (y, row) in rows.iter().enumerate() {
                for x in (0..8).filter(|x| row >> x & 1 == 1) {
                    let at = [left + 8 * i as i32 + x, top + y as i32];
                    self.rectangle(at, [1, 1], BLACK_ON[1])?;
                }
            }
        }
        Ok(())
    }
}

/// Clean images, adversarial ones and their differences below one another, as SVG. Differences are red where a pixel
/// became lighter and blue where it became darker; the strongest color is the largest change of all.
///
/// # Errors
/// If there are no images, or one is not of this shape.
pub fn grid_svg(shape: Shape, images: &[GridImage<'_>]) -> Result<String> {
    let size = size(shape, images)?;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (size[0] as u32, size[1] as u32));
    let mut canvas = Vectors(area.into_drawing_area());
    draw(&mut canvas, size, shape, images)?;
    canvas.0.present().map_err(failed)?;
    drop(canvas);
    Ok(svg)
}

/// As [`grid_svg`], as a PNG file's bytes.
///
/// # Errors
/// As for [`grid_svg`].
pub fn grid_png(shape: Shape, images: &[GridImage<'_>]) -> Result<Vec<u8>> {
    let size = size(shape, images)?;
    let pixels = vec![0; 3 * (size[0] * size[1]) as usize];
    let mut canvas = Bitmap { pixels, width: size[0] };
    draw(&mut canvas, size, shape, images)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size[0] as u32, size[1] as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&canvas.pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// Distance of one column to the next, and of one band of columns to the next.
fn steps(shape: Shape) -> [i32; 2] {
    let (width, height) = (shape.width as i32 * SIDE, shape.height as i32 * SIDE);
    [width + GAP, ROWS.len() as i32 * (height + GAP) + LINE + GAP]
}

fn size(shape: Shape, images: &[GridImage<'_>]) -> Result<[i32; 2]> {
    let features = shape.features();
    let misfit = |i: &&GridImage<'_>| i.clean.len() != features || i.adversarial.len() != features;
    if images.is_empty() || images.iter().any(|image| misfit(&image)) {
        let found = images.iter().find(misfit).map_or_else(
            || "none".to_owned(),
            |i| format!("one of {} and {} pixels", i.clean.len(), i.adversarial.len()),
        );
        return Err(Error::shape("grid", format!("pairs of images of {shape}"), found));
    }
    let [x, y] = steps(shape);
    let bands = images.len().div_ceil(COLUMNS) as i32;
    Ok([TITLES + images.len().min(COLUMNS) as i32 * x + GAP, bands * y + GAP])
}

fn draw(
    canvas: &mut impl Canvas,
    size: [i32; 2],
    shape: Shape,
    images: &[GridImage<'_>],
) -> Result<()> {
    canvas.rectangle([0, 0], size, BLACK_ON[0])?;
    let [step_x, step_y] = steps(shape);
    let height = shape.height as i32 * SIDE + GAP;
    let changes = images.iter().flat_map(|i| i.clean.iter().zip(i.adversarial));
    let largest = changes.fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    for (i, image) in images.iter().enumerate() {
        let left = TITLES + (i % COLUMNS) as i32 * step_x;
        let top = GAP + (i / COLUMNS) as i32 * step_y;
        canvas.text([left, top], &image.caption)?;
        for (row, title) in ROWS.iter().enumerate() {
            let y = top + LINE + GAP / 2 + row as i32 * height;
            if i % COLUMNS == 0 {
                canvas.text([GAP, y + height / 2 - LINE], title)?;
            }
            let color = |pixel: usize| match row {
                0 => shade(shape, image.clean, pixel),
                1 => shade(shape, image.adversarial, pixel),
                _ => change(shape, image, largest, pixel),
            };
            picture(canvas, [left, y], shape, color)?;
        }
    }
    Ok(())
}

/// One image; neighbors of one color in a row become one rectangle.
fn picture(
    canvas: &mut impl Canvas,
    [left, top]: [i32; 2],
    shape: Shape,
    color: impl Fn(usize) -> [u8; 3],
) -> Result<()> {
    for y in 0..shape.height {
        let mut x = 0;
        while x < shape.width {
            let here = color(y * shape.width + x);
            let same = (x..shape.width).take_while(|&x| color(y * shape.width + x) == here).count();
            let at = [left + x as i32 * SIDE, top + y as i32 * SIDE];
            canvas.rectangle(at, [same as i32 * SIDE, SIDE], here)?;
            x += same;
        }
    }
    Ok(())
}

/// A pixel's color: of three channels, or gray of the mean of however many.
fn shade(shape: Shape, image: &[f32], pixel: usize) -> [u8; 3] {
    let channel = |c: usize| (255.0 * image[c * shape.pixels() + pixel]).round() as u8;
    if shape.channels == 3 {
        return [channel(0), channel(1), channel(2)];
    }
    let sum: f32 = (0..shape.channels).map(|c| image[c * shape.pixels() + pixel]).sum();
    [(255.0 * sum / shape.channels.max(1) as f32).round() as u8; 3]
}

/// White where nothing changed, red where a pixel became lighter, blue where it became darker.
fn change(shape: Shape, image: &GridImage<'_>, largest: f32, pixel: usize) -> [u8; 3] {
    let places = (0..shape.channels).map(|c| c * shape.pixels() + pixel);
    let changes = places.map(|place| image.adversarial[place] - image.clean[place]);
    let most = changes.fold(0.0f32, |most, d| if d.abs() > most.abs() { d } else { most });
    let pale = 255 - (255.0 * (most.abs() / largest.max(f32::MIN_POSITIVE)).min(1.0)).round() as u8;
    if most >= 0.0 { [255, pale, pale] } else { [pale, pale, 255] }
}
