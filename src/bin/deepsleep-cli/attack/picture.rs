//! `attack --grid`: chooses the images to draw, and the format.

use crate::failure::WrongUse;
use anyhow::Result;
use deepsleep::attack::{AttackReport, Outcome, Samples, Status};
use deepsleep::draw::{GridImage, grid_png, grid_svg};
use std::path::Path;

/// Images that a grid has room for.
const ROOM: usize = 20;

/// What a picture is saved as.
#[derive(Clone, Copy)]
pub enum PictureFormat {
    Png,
    Svg,
}

/// The format that a file's name asks for.
pub fn format(path: &Path) -> Result<PictureFormat> {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("png") => Ok(PictureFormat::Png),
        Some("svg") => Ok(PictureFormat::Svg),
        _ => {
            let problem = format!("--grid {}: the name must end in .png or .svg", path.display());
            Err(WrongUse(problem).into())
        }
    }
}

/// The first images that fool; if there are none, the first of all.
pub fn draw(format: PictureFormat, samples: &Samples, report: &AttackReport) -> Result<Vec<u8>> {
    let all = || report.outcomes.iter().enumerate();
    let mut chosen: Vec<(usize, &Outcome)> =
        all().filter(|(_, outcome)| outcome.status == Status::Fooled).take(ROOM).collect();
    if chosen.is_empty() {
        chosen = all().take(ROOM).collect();
    }
    let images = chosen.iter().map(|&(i, outcome)| GridImage {
        clean: samples.image(i),
        adversarial: &outcome.image,
        caption: format!("{} > {}", outcome.label, outcome.prediction),
    });
    let images: Vec<GridImage<'_>> = images.collect();
    Ok(match format {
        PictureFormat::Png => grid_png(samples.shape(), &images)?,
        PictureFormat::Svg => grid_svg(samples.shape(), &images)?.into_bytes(),
    })
}
