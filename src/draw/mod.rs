//! Drawings: curves, filters, spike rasters and grids of images, as SVG or PNG.

#[cfg(feature = "report")]
pub(crate) mod chart;
mod filters;
mod grid;
mod maps;
mod raster;
#[cfg(feature = "report")]
pub(crate) mod scatter;
#[cfg_attr(not(feature = "report"), allow(dead_code))]
// the colors of charts, which only reports draw
pub(crate) mod theme;

pub use filters::filters_svg;
pub use grid::{GridImage, grid_png, grid_svg};
pub use maps::{MappedImage, maps_svg};
pub use raster::raster_svg;

use crate::Error;

/// What a library says when it fails to draw or write, as an error of ours.
pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed("drawing", error)
}
