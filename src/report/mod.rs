//! Pictures of networks and of attacks, as SVG (and PNG).

mod filters;
mod grid;
mod raster;

pub use filters::filters_svg;
pub use grid::{GridImage, grid_png, grid_svg};
pub use raster::raster_svg;

use crate::Error;

/// What a drawing library says when it fails, as an error of ours.
fn failed(error: impl std::fmt::Display) -> Error {
    Error::argument("drawing", error.to_string())
}
