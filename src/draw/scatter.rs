//! Two numbers of the same thing against one another: points around a diagonal, with the interval of each.

use crate::Result;
use crate::draw::failed;
use crate::draw::theme::{GRID, series, standalone, themed};
use plotters::prelude::*;

/// Drawn at twice the size it is shown in.
const SIZE: (u32, u32) = (1240, 860);
const TEXT: i32 = 26;

/// A point.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The number of its color; beyond the colors there are, the point is open.
    pub color: usize,
    /// To the right, in 0..=1.
    pub x: f64,
    /// Upwards, in 0..=1.
    pub y: f64,
    /// From where to where it may be, upwards.
    pub interval: Option<[f64; 2]>,
}

/// Points around a diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// What it shows, in a line.
    pub title: String,
    /// What runs to the right, and upwards.
    pub axes: [&'static str; 2],
    /// The points.
    pub points: Vec<Mark>,
}

impl Scatter {
    /// As SVG in the colors of the page.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn svg(&self) -> Result<String> {
        Ok(themed(&self.draw()?, &self.title))
    }

    /// As SVG by itself, on white.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn standalone(&self) -> Result<String> {
        Ok(standalone(&self.draw()?, &self.title))
    }

    fn draw(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let mut chart = ChartBuilder::on(&root)
                .margin(12)
                .margin_right(20)
                .x_label_area_size(76)
                .y_label_area_size(90)
                .build_cartesian_2d(-0.02..1.02, -0.02..1.02)
                .map_err(failed)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(GRID)
                .axis_style(GRID)
                .x_labels(6)
                .y_labels(6)
                .x_label_formatter(&|x| format!("{x:.1}"))
                .y_label_formatter(&|y| format!("{y:.1}"))
                .label_style(("sans-serif", TEXT))
                .x_desc(self.axes[0])
                .y_desc(self.axes[1])
                .draw()
                .map_err(failed)?;
            let diagonal = LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.stroke_width(2));
            chart.draw_series(diagonal).map_err(failed)?;
            for Mark { color, x, interval, .. } in &self.points {
                let bar = interval.map(|[low, high]| {
                    let style = series(*color).mix(0.45).stroke_width(3);
                    PathElement::new(vec![(*x, low), (*x, high)], style)
                });
                chart.draw_series(bar).map_err(failed)?;
            }
            for Mark { color, x, y, .. } in &self.points {
                let style = series(*color);
                let open = *color >= crate::draw::theme::SERIES;
                let style = if open { style.stroke_width(3) } else { style.filled() };
                chart.draw_series([Circle::new((*x, *y), 7, style)]).map_err(failed)?;
            }
            root.present().map_err(failed)?;
        }
        Ok(svg)
    }
}
