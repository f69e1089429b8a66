//! Adapts drawings to a page: colors become the page's variables, which follow light and dark mode.

use plotters::style::RGBColor;

/// Colors of series, by number; `--series-0` and on in the page's style.
pub const SERIES: usize = 6;

/// Stands for `--series-N` until the drawing is themed.
pub fn series(number: usize) -> RGBColor {
    RGBColor(1, 0, (number % SERIES) as u8)
}

/// Stands for `--line`: grids.
pub const GRID: RGBColor = RGBColor(2, 0, 0);

/// Stands for `--bad`: limits.
pub const LIMIT: RGBColor = RGBColor(3, 0, 0);

/// A drawing for the page: black is the page's ink, white its paper, what the drawing says is given to those who cannot
/// see it, and what every SVG viewer assumes anyway is left out.
pub fn themed(svg: &str, description: &str) -> String {
    let mut svg = svg
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\"", "")
        .replace(" stroke-width=\"1\"", "")
        .replace("\"#000000\"", "\"currentColor\"")
        .replace("\"#FFFFFF\"", "\"var(--paper)\"")
        .replace("\"#020000\"", "\"var(--line)\"")
        .replace("\"#030000\"", "\"var(--bad)\"");
    for number in 0..SERIES {
        let stand_in = format!("\"#0100{number:02X}\"");
        svg = svg.replace(&stand_in, &format!("\"var(--series-{number})\""));
    }
    described(&svg, description)
}

/// A drawing whose black and white mean something: only described.
pub fn described(svg: &str, description: &str) -> String {
    let escaped = description.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.trim().replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{escaped}\" "), 1)
}
