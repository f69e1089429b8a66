//! Draws convolution kernels as grids of gray squares.

use crate::draw::failed;
use crate::{Error, Result};
use plotters::prelude::*;

/// Side of a weight's square, and the gap between kernels, in pixels.
const SIDE: i32 = 16;
const GAP: i32 = 10;
/// Height of a line below a kernel, if anything is said of it.
const LINE: i32 = 14;
/// Kernels in a row.
const COLUMNS: usize = 5;

/// Kernels of this size ([y, x]), one input channel each, five in a row. White is each kernel's largest weight, black
/// its smallest. Below each stands its caption, if it has one.
///
/// # Errors
/// If the weights do not fill whole kernels.
pub fn filters_svg(
    weights: &[f32],
    [height, width]: [usize; 2],
    captions: &[String],
) -> Result<String> {
    let size = height * width;
    if size == 0 || weights.is_empty() || !weights.len().is_multiple_of(size) {
        return Err(Error::shape(
            "filters",
            format!("whole kernels of {height}x{width}"),
            format!("{} weights", weights.len()),
        ));
    }
    let kernels = weights.len() / size;
    let line = if captions.is_empty() { 0 } else { LINE };
    let (step_x, step_y) = (width as i32 * SIDE + GAP, height as i32 * SIDE + GAP + line);
    let columns = kernels.min(COLUMNS) as i32;
    let rows = kernels.div_ceil(COLUMNS) as i32;
    let mut svg = String::new();
    {
        let area = ((columns * step_x + GAP) as u32, (rows * step_y + GAP) as u32);
        let root = SVGBackend::with_string(&mut svg, area).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (k, kernel) in weights.chunks(size).enumerate() {
            let smallest = kernel.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = kernel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = if largest > smallest { largest - smallest } else { 1.0 };
            let left = GAP + (k % COLUMNS) as i32 * step_x;
            let top = GAP + (k / COLUMNS) as i32 * step_y;
            for (i, weight) in kernel.iter().enumerate() {
                let gray = (255.0 * (weight - smallest) / range) as u8;
                let x = left + (i % width) as i32 * SIDE;
                let y = top + (i / width) as i32 * SIDE;
                let square = [(x, y), (x + SIDE, y + SIDE)];
                let color = RGBColor(gray, gray, gray);
                root.draw(&Rectangle::new(square, color.filled())).map_err(failed)?;
            }
            if let Some(caption) = captions.get(k) {
                let at = (left, top + height as i32 * SIDE + 2);
                let text = Text::new(caption.clone(), at, ("sans-serif", LINE - 2));
                root.draw(&text).map_err(failed)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}
