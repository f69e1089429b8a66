//! Line charts: curves in one frame.

use crate::Result;
use crate::draw::failed;
use crate::draw::theme::{GRID, LIMIT, series, themed};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Drawn at twice the size it is shown in, as plotters rounds to whole pixels.
const SIZE: (u32, u32) = (720, 500);
const TEXT: i32 = 28;

/// What runs to the right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Across {
    /// Noise scales from 2 to 255 of 255, each mark twice the one before.
    Noise,
    /// How many passes or epochs.
    Passes(usize),
    /// A length from 0 on, and what it is.
    Length {
        /// The largest.
        most: f64,
        /// What it is.
        title: &'static str,
    },
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is, for the legend.
    pub name: String,
    /// The number of its color.
    pub color: usize,
    /// As printed: dashed, its points open.
    pub printed: bool,
    /// Points: noise scale of a pixel range of 1 (or passes), and accuracy.
    pub points: Vec<(f64, f64)>,
    /// With several seeds, the interval in which one more would lie at each point: a band.
    pub band: Vec<[f64; 2]>,
}

/// Curves in one frame, accuracy upwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, in a line.
    pub title: String,
    /// What runs to the right.
    pub across: Across,
    /// The curves.
    pub series: Vec<Series>,
    /// A limit: from here to the right nothing can be above this.
    pub limit: Option<(f64, f64)>,
    /// Where something new begins.
    pub marks: Vec<f64>,
}

impl Across {
    fn range(self) -> std::ops::Range<f64> {
        match self {
            Self::Noise => 0.7..8.3,
            Self::Passes(count) => 0.0..(count.max(1) as f64 + 0.3),
            Self::Length { most, .. } => 0.0..(1.03 * most.max(f64::MIN_POSITIVE)),
        }
    }

    fn place(self, x: f64) -> f64 {
        match self {
            Self::Noise => (x * 255.0).log2(),
            Self::Passes(_) | Self::Length { .. } => x,
        }
    }

    fn label(self, place: f64) -> String {
        match self {
            // 255 is as near to 256 as one can see.
            Self::Noise => place.exp2().round().min(255.0).to_string(),
            Self::Passes(_) => place.to_string(),
            Self::Length { most, .. } if most > 10.0 => format!("{place:.0}"),
            Self::Length { .. } => format!("{place:.2}"),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Noise => "noise scale (of 255)",
            Self::Passes(_) => "passes and epochs",
            Self::Length { title, .. } => title,
        }
    }
}

impl Chart {
    /// As SVG in the colors of the page.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&root)?;
            root.present().map_err(failed)?;
        }
        Ok(themed(&svg, &self.title))
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
        let across = self.across;
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .margin_right(16)
            .x_label_area_size(80)
            .y_label_area_size(68)
            .build_cartesian_2d(across.range(), -0.02..1.02)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(9)
            .y_labels(6)
            .x_label_formatter(&|x| across.label(*x))
            .y_label_formatter(&|y| format!("{y:.1}"))
            .label_style(("sans-serif", TEXT))
            .x_desc(across.title())
            .draw()
            .map_err(failed)?;
        for &mark in &self.marks {
            let line = vec![(across.place(mark), 0.0), (across.place(mark), 1.0)];
            chart.draw_series(DashedLineSeries::new(line, 4, 6, BLACK.into())).map_err(failed)?;
        }
        if let Some((from, most)) = self.limit {
            let line = vec![(across.place(from), most), (across.range().end, most)];
            let style = LIMIT.stroke_width(4);
            chart.draw_series(DashedLineSeries::new(line, 12, 6, style)).map_err(failed)?;
        }
        for curve in &self.series {
            let color = series(curve.color);
            let at = |&(x, y): &(f64, f64)| (across.place(x), y);
            let points: Vec<_> = curve.points.iter().map(at).collect();
            let stroke = color.stroke_width(4);
            if !curve.band.is_empty() {
                let ends = || points.iter().zip(&curve.band);
                let above = ends().map(|(&(x, _), &[_, high])| (x, high));
                let below = ends().rev().map(|(&(x, _), &[low, _])| (x, low));
                let band = Polygon::new(above.chain(below).collect::<Vec<_>>(), color.mix(0.18));
                chart.draw_series([band]).map_err(failed)?;
            }
            if curve.printed {
                let line = DashedLineSeries::new(points.iter().copied(), 10, 8, stroke);
                chart.draw_series(line).map_err(failed)?;
                let dots = points.iter().map(|&point| Circle::new(point, 8, stroke));
                chart.draw_series(dots).map_err(failed)?;
            } else {
                let line = LineSeries::new(points.iter().copied(), stroke);
                chart.draw_series(line).map_err(failed)?;
                let dots = points.iter().map(|&point| Circle::new(point, 6, color.filled()));
                chart.draw_series(dots).map_err(failed)?;
            }
        }
        Ok(())
    }
}
