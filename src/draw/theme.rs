//! Adapts drawings to a page: colors become the page's variables, which follow light and dark mode.

use crate::wording::html;
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

/// A drawing for the page: black becomes the page's text color and white its background color, `description` is what screen
/// readers read, and attributes that say what is the default in SVG are left out.
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

/// The page's colors of series in daylight.
#[cfg(feature = "report")]
const DAYLIGHT: [&str; SERIES] = ["#0a6ebd", "#c2500a", "#14804a", "#8b3fb0", "#8a6d00", "#b0256b"];

/// A drawing for a file of its own, which knows no page: on white.
#[cfg(feature = "report")]
pub fn standalone(svg: &str, description: &str) -> String {
    let mut svg = themed(svg, description)
        .replace("currentColor", "#1b1f24")
        .replace("var(--paper)", "#ffffff")
        .replace("var(--line)", "#d5dae0")
        .replace("var(--bad)", "#b3261e");
    for (number, color) in DAYLIGHT.iter().enumerate() {
        svg = svg.replace(&format!("var(--series-{number})"), color);
    }
    // The background is the first thing drawn.
    let Some(end) = svg.find('>') else { return svg };
    svg.insert_str(end + 1, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
    svg
}

/// A drawing whose black and white mean something: only described.
pub fn described(svg: &str, description: &str) -> String {
    let label = format!("<svg role=\"img\" aria-label=\"{}\" ", html(description));
    svg.trim().replacen("<svg ", &label, 1)
}
