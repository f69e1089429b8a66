//! Draws images above maps of what a network makes of them.

use crate::draw::failed;
use crate::tensor::Shape;
use crate::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Side of a pixel of an image, and the gap between images.
const SIDE: i32 = 4;
const GAP: i32 = 10;

/// Something to draw on, with vectors.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An image and its map.
#[derive(Clone, Copy, Debug)]
pub struct MappedImage<'a> {
    /// `[channel][y][x]`, pixels in 0..=1.
    pub image: &'a [f32],
    /// `[y][x]`, in 0..=1.
    pub map: &'a [f32],
}

/// Images of this shape, side by side, and below each its map, as large as the image: black is 0, red is 1.
///
/// # Errors
/// If there are no images, or an image or a map is not of its shape.
pub fn maps_svg(shape: Shape, map: [usize; 2], images: &[MappedImage<'_>]) -> Result<String> {
    let cells = map[0] * map[1];
    let fits = |i: &MappedImage<'_>| i.image.len() == shape.features() && i.map.len() == cells;
    if images.is_empty() || cells == 0 || !images.iter().all(fits) {
        let found = format!("{} images", images.len());
        let expected = format!("images of {shape} with maps of {}x{}", map[0], map[1]);
        return Err(Error::shape("maps", expected, found));
    }
    let (width, height) = (shape.width as i32 * SIDE, shape.height as i32 * SIDE);
    let size = ((width + GAP) * images.len() as i32 + GAP, 2 * (height + GAP) + GAP);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32));
        let root = root.into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (i, MappedImage { image, map: values }) in images.iter().enumerate() {
            let left = GAP + i as i32 * (width + GAP);
            let pixels = shape.height * shape.width;
            let color = |at: usize| {
                // Gray, if there is a single channel.
                let channel = |c: usize| image[(c % shape.channels) * pixels + at];
                [0, 1, 2].map(|c| byte(channel(c)))
            };
            draw(&root, [left, GAP], [shape.height, shape.width], [width, height], color)?;
            let color = |at: usize| [byte(values[at]), 0, 0];
            draw(&root, [left, height + 2 * GAP], map, [width, height], color)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

fn byte(value: f32) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

/// Cells `[y][x]` in a rectangle of this size; neighbors of one color in a row are one.
fn draw(
    area: &Area<'_>,
    [left, top]: [i32; 2],
    [rows, columns]: [usize; 2],
    [width, height]: [i32; 2],
    color: impl Fn(usize) -> [u8; 3],
) -> Result<()> {
    let edge = |size: i32, i: usize, of: usize| (i64::from(size) * i as i64 / of as i64) as i32;
    let corner = |y, x| (left + edge(width, x, columns), top + edge(height, y, rows));
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let [r, g, b] = color(y * columns + x);
            let from = x;
            while x < columns && color(y * columns + x) == [r, g, b] {
                x += 1;
            }
            let cells = [corner(y, from), corner(y + 1, x)];
            let cells = Rectangle::new(cells, RGBColor(r, g, b).filled());
            area.draw(&cells).map_err(failed)?;
        }
    }
    Ok(())
}
